//! The registries of a mobile geodatabase: which tables, columns, layers and spatial references it has.

use rusqlite::{Connection, params};
use uuid::Uuid;

use crate::{model::geometry::GeometryType, sqlite::geopackage};

use super::{
    column::Kind,
    geometry::Ordinates,
    items::{FEATURE_CLASS, TABLE, braced, count},
    reference::SpatialReference,
    table::Table,
    write::{Geodatabase, Rows, ordinates},
    xml::Class,
};

/// A box that nobody knows.
const NOWHERE: [f64; 4] = [9.999e35, 9.999e35, -9.999e35, -9.999e35];

/// Enters tables, columns, layers and spatial references where clients look for them.
/// `n_items` and `n_relations` are how many items there are, and relations of theirs; `extent` is the box round all layers, in degrees.
pub(super) fn write(
    file: &Geodatabase<'_, '_>,
    (n_items, n_relations): (i64, i64),
    extent: Option<[f64; 4]>,
) -> rusqlite::Result<()> {
    let (connection, seconds) = (file.connection, file.now_ms / 1000);
    let mut tables = connection.prepare("INSERT INTO GDB_TableRegistry VALUES (?1, ?2, ?3, NULL, ?4, ?5, 1)")?;
    let mut ids = connection.prepare("INSERT INTO GDB_RowidGenerators VALUES (?1, ?2, -1, ?2)")?;
    let system = [
        ("GDB_Tables_Last_Modified", None, 0, 0),
        ("GDB_Items", Some("ObjectID"), 4_210_695, n_items + 1),
        ("GDB_ItemRelationships", Some("ObjectID"), 4_194_307, n_relations + 1),
        ("GDB_ItemTypes", Some("ObjectID"), 3, 35),
        ("GDB_ItemRelationshipTypes", Some("ObjectID"), 3, 18),
        ("GDB_ReplicaLog", Some("ID"), 3, 1),
    ];
    for (number, (name, key, flags, next)) in (1_i64..).zip(system) {
        tables.execute(params![number, name, key, flags, seconds])?;
        if key.is_some() {
            ids.execute(params![number, next])?;
        }
    }
    let mut last = count(system.len());
    let all = file.layers.iter().flat_map(|filling| std::iter::once(&filling.features).chain(&filling.attachments));
    for Rows { table, last_id, .. } in all {
        let flags = match (table.layer.is_some(), table.tracked) {
            (true, true) => 278_535,
            (false, true) => 262_147,
            (true, false) => 16_391,
            (false, false) => 3,
        };
        tables.execute(params![table.registration, table.name, table.object_id(), flags, seconds])?;
        ids.execute(params![table.registration, last_id + 1])?;
        register_columns(connection, table)?;
        last = last.max(table.registration);
    }
    tables.execute(params![last + 1, "GDB_ServiceItems", "OBJECTID", 3, seconds])?;
    let n_documents = file.plan.documents.as_ref().map_or(0, |documents| count(documents.layers.len()) + 1);
    ids.execute(params![last + 1, n_documents + 1])?;
    for name in ["GDB_Layers", "GDB_TableRegistry"] {
        connection.execute("INSERT INTO GDB_TablesModified VALUES (?1, ?2)", params![name, seconds])?;
    }
    layers(file, extent, seconds)
}

/// Registers the columns of a table.
pub(super) fn register_columns(connection: &Connection, table: &Table) -> rusqlite::Result<()> {
    let mut columns = connection.prepare("INSERT INTO GDB_ColumnRegistry VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")?;
    for column in &table.columns {
        let (kind, size, digits, flags) = column.registered();
        let layer = table.layer.filter(|_| column.kind == Kind::Shape);
        columns.execute(params![table.name, column.name, kind, size, digits, None::<&str>, flags, layer])?;
    }
    if table.tracked {
        for (name, kind, description) in [
            ("gdb_archive_oid", 2, "Archiving record unique id."),
            ("gdb_from_date", 7, "Archiving from date."),
            ("gdb_to_date", 7, "Archiving to date."),
        ] {
            columns.execute(params![table.name, name, kind, 0, None::<i64>, description, 536_870_912, None::<i64>])?;
        }
    }
    Ok(())
}

fn layers(file: &Geodatabase<'_, '_>, extent: Option<[f64; 4]>, seconds: i64) -> rusqlite::Result<()> {
    let of_items = LayerRow {
        number: 1,
        table: "GDB_Items",
        column: "Shape",
        geometry: GeometryType::Polygon,
        has: Ordinates { z: false, m: false },
        bounds: extent.unwrap_or(NOWHERE),
        srid: 4326,
        index: "RTREEXY",
    };
    of_items.insert(file.connection, seconds)?;
    for (planned, filling) in file.plan.tables.iter().zip(&file.layers) {
        let table = &filling.features.table;
        if let Some(layer) = LayerRow::of(planned, table, file.reference.grid.srid) {
            let bounds = filling.extent.unwrap_or(NOWHERE);
            LayerRow { bounds, ..layer }.insert(file.connection, seconds)?;
        }
    }
    describe(file.connection, &file.reference)
}

/// A layer as the two tables of layers have it.
struct LayerRow<'a> {
    number: i64,
    table: &'a str,
    column: &'a str,
    geometry: GeometryType,
    has: Ordinates,
    bounds: [f64; 4],
    srid: u32,
    index: &'static str,
}

impl<'a> LayerRow<'a> {
    /// That of a table, if it has a geometry.
    fn of(planned: &geopackage::Table, table: &'a Table, srid: u32) -> Option<LayerRow<'a>> {
        Some(LayerRow {
            number: table.layer?,
            table: &table.name,
            column: &table.column(Kind::Shape)?.name,
            geometry: planned.layer.shape.as_ref()?.geometry_type,
            has: ordinates(planned),
            bounds: NOWHERE,
            srid,
            index: "RTREEXY",
        })
    }

    fn insert(&self, connection: &Connection, seconds: i64) -> rusqlite::Result<()> {
        let LayerRow { number, table, column, geometry, has, bounds: [xmin, ymin, xmax, ymax], srid, index } = self;
        let flags = layer_flags(*geometry, *has);
        connection.execute(
            "INSERT INTO GDB_Layers VALUES (?1, NULL, ?2, ?3, ?4, 0, ?5, ?6, ?7, ?8, NULL, NULL, NULL, NULL, ?9, 1, ?10, 0)",
            params![number, table, column, flags, xmin, ymin, xmax, ymax, seconds, srid],
        )?;
        let kind = match geometry {
            GeometryType::Point => 1,
            GeometryType::Multipoint => 4,
            GeometryType::Polyline => 5,
            GeometryType::Polygon => 6,
        };
        let kind = kind + if has.z { 1000 } else { 0 } + if has.m { 2000 } else { 0 };
        let n_dimensions = 2 + i64::from(has.z) + i64::from(has.m);
        connection.execute(
            "INSERT INTO st_geometry_columns VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![number, table, column, kind, n_dimensions, srid, index],
        )?;
        Ok(())
    }
}

/// Enters a table of changes as a class, so that readers find it: its item has the number under which it is registered.
pub(super) fn enter_class(
    connection: &Connection,
    planned: &geopackage::Table,
    table: &Table,
    class: &Class<'_>,
    srid: u32,
) -> rusqlite::Result<()> {
    let kind = if table.layer.is_some() { FEATURE_CLASS } else { TABLE };
    connection.execute(
        "INSERT INTO GDB_Items (ObjectID, UUID, Type, Name, PhysicalName, Path, Url, Properties, Definition) VALUES (?1, ?2, ?3, ?4, ?5, ?6, '', 1, ?7)",
        params![
            table.registration,
            braced(Uuid::new_v4()),
            kind,
            class.name,
            class.name.to_uppercase(),
            format!("\\{}", class.name),
            class.document()
        ],
    )?;
    connection.execute(
        "INSERT INTO GDB_TableRegistry VALUES (?1, ?2, ?3, NULL, 3, 0, 1)",
        params![table.registration, table.name, table.object_id()],
    )?;
    match LayerRow::of(planned, table, srid) {
        Some(layer) => LayerRow { index: "NONE", ..layer }.insert(connection, 0),
        None => Ok(()),
    }
}

/// Describes the spatial reference, unless every reader knows it.
pub(super) fn describe(connection: &Connection, reference: &SpatialReference) -> rusqlite::Result<()> {
    if !reference.is_own() {
        return Ok(());
    }
    let [(x, xy), (y, _), (z, z_units), (m, m_units)] = reference.grid.axes;
    let tolerance = reference.tolerance.parse::<f64>().unwrap_or(0.001);
    connection.execute(
        "INSERT INTO st_aux_spatial_reference_systems VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0.001, 0.001, 1)",
        params![
            reference.grid.srid,
            reference.authority,
            reference.latest_wkid,
            reference.wkt,
            x,
            y,
            xy,
            z,
            z_units,
            m,
            m_units,
            tolerance
        ],
    )?;
    Ok(())
}

/// The flags of a layer. That of measures is inferred, like those of multipoints in the plane.
fn layer_flags(geometry: GeometryType, has: Ordinates) -> i64 {
    let flat = match geometry {
        GeometryType::Point => 71_303_299,
        GeometryType::Multipoint => 71_565_443,
        GeometryType::Polyline => 71_565_453,
        GeometryType::Polygon => 71_565_457,
    };
    flat + if has.z { 1 << 16 } else { 0 } + if has.m { 1 << 19 } else { 0 }
}
