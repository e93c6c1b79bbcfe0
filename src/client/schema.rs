//! Makes the tables of a new file.

use rusqlite::{Connection, params};
use serde_json::Value as Json;

use super::{
    error::{Error, Result},
    file::{self, Table},
    geometry,
    service::{Layer, Service, wkid},
    values::{Kind, now_ms},
};
use crate::sqlite::{
    geopackage::{
        self, log, schema,
        style::{self, Drawn},
    },
    packed::Boxes,
    quoted,
};

/// Web Mercator as GDAL writes it.
const WEB_MERCATOR: &str = "PROJCS[\"WGS 84 / Pseudo-Mercator\",GEOGCS[\"WGS 84\",DATUM[\"WGS_1984\",SPHEROID[\"WGS 84\",6378137,298.257223563,\
AUTHORITY[\"EPSG\",\"7030\"]],AUTHORITY[\"EPSG\",\"6326\"]],PRIMEM[\"Greenwich\",0,AUTHORITY[\"EPSG\",\"8901\"]],UNIT[\"degree\",0.0174532925199433,\
AUTHORITY[\"EPSG\",\"9122\"]],AUTHORITY[\"EPSG\",\"4326\"]],PROJECTION[\"Mercator_1SP\"],PARAMETER[\"central_meridian\",0],PARAMETER[\"scale_factor\",1],\
PARAMETER[\"false_easting\",0],PARAMETER[\"false_northing\",0],UNIT[\"metre\",1,AUTHORITY[\"EPSG\",\"9001\"]],AXIS[\"Easting\",EAST],AXIS[\"Northing\",NORTH],\
EXTENSION[\"PROJ4\",\"+proj=merc +a=6378137 +b=6378137 +lat_ts=0 +lon_0=0 +x_0=0 +y_0=0 +k=1 +units=m +nadgrids=@null +wktext +no_defs\"],\
AUTHORITY[\"EPSG\",\"3857\"]]";

/// The number under which a service's spatial reference stands in the file. One without a number gets one of nobody's.
pub(crate) fn srs_id(reference: &Json) -> i32 {
    const UNNUMBERED: i32 = 999_001;
    match (wkid(reference), reference["wkt"].as_str()) {
        (Some(wkid), _) => wkid,
        (None, Some(_)) => UNNUMBERED,
        (None, None) => -1,
    }
}

/// Refuses layers with fields that are the same to SQLite, which does not tell `Name` from `name`.
pub(crate) fn require_distinct_fields(service: &Service) -> Result<()> {
    for layer in &service.layers {
        for (position, field) in layer.fields.iter().enumerate() {
            let before = layer.fields.get(..position).unwrap_or_default();
            if let Some(same) = before.iter().find(|known| known.name.eq_ignore_ascii_case(&field.name)) {
                return Err(Error::Unfit(format!(
                    "layer {} ({}) has the fields '{}' and '{}', which a GeoPackage cannot tell apart; leave the layer out with --layers",
                    layer.id, layer.name, same.name, field.name
                )));
            }
        }
    }
    Ok(())
}

/// The tables of a service's layers, by the names that they have in files.
pub(crate) fn tables(service: &Service, with_attachments: bool) -> Vec<Table> {
    let srs_id = srs_id(&service.spatial_reference);
    let mut taken: Vec<String> = Vec::new();
    let mut tables = Vec::new();
    for layer in &service.layers {
        let name = free_name(layer, &mut taken);
        let geometry = layer.geometry.map(|(kind, z, m)| {
            let multi = matches!(kind, geometry::Kind::Polyline | geometry::Kind::Polygon);
            (column_name(layer), geometry::Form { kind, multi, srs_id, z, m })
        });
        let attachments = (with_attachments && layer.has_attachments).then(|| geopackage::attachments_name(&name));
        tables.push(Table { layer: layer.clone(), name, geometry, attachments });
    }
    tables
}

/// A name for a layer's table without what some program stumbles over, and none twice.
fn free_name(layer: &Layer, taken: &mut Vec<String>) -> String {
    let mut name: String = layer.name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).take(80).collect();
    let lower = name.to_lowercase();
    let is_reserved = ["gpkg", "rtree", "sqlite", "sync", "layer_styles"].iter().any(|head| lower.starts_with(head));
    if is_reserved || !name.starts_with(|c: char| c.is_alphabetic() || c == '_') || lower.ends_with("__attach") {
        name = format!("layer_{name}");
    }
    if taken.contains(&name.to_lowercase()) {
        name = format!("{name}_{}", layer.id);
    }
    taken.push(name.to_lowercase());
    name
}

/// The geometry column: the service's name for it, unless a field has that.
fn column_name(layer: &Layer) -> String {
    let wanted = layer.shape_field();
    match layer.fields.iter().any(|field| field.name.eq_ignore_ascii_case(&wanted)) {
        true => format!("{wanted}_geometry"),
        false => wanted,
    }
}

/// Makes the container and the tables of all layers, still without indexes and triggers.
pub(crate) fn create(db: &Connection, service: &Service, tables: &[Table]) -> Result<()> {
    db.execute_batch(schema::CONTAINER)?;
    db.execute_batch(log::TABLES)?;
    db.execute_batch(file::TABLES)?;
    references(db, &service.spatial_reference)?;
    for name in log::NAMES.into_iter().chain(file::NAMES) {
        schema::enter_sync_table(db, name)?;
    }
    for table in tables {
        create_table(db, table)?;
    }
    style::write(db, tables.iter().filter_map(drawn))?;
    Ok(())
}

/// How the service draws a table, for programs that draw it.
fn drawn(table: &Table) -> Option<Drawn<'_>> {
    let (column, _) = table.geometry.as_ref()?;
    let fields = table.layer.fields.iter().map(|field| field.name.as_str()).collect();
    Some(Drawn { table: &table.name, column, fields, info: &table.layer.document["drawingInfo"] })
}

fn references(db: &Connection, reference: &Json) -> Result<()> {
    let mut insert = db.prepare("INSERT OR IGNORE INTO gpkg_spatial_ref_sys VALUES (?1, ?2, ?3, ?4, ?5, NULL)")?;
    insert.execute(params!["WGS 84", 4326, "EPSG", 4326, schema::WGS84])?;
    let id = srs_id(reference);
    let own = reference["wkt2"].as_str().or_else(|| reference["wkt"].as_str());
    let (authority, definition) = match id {
        -1 | 4326 => return Ok(()),
        3857 => ("EPSG", WEB_MERCATOR),
        // Numbers from here on are Esri's own; GDAL and QGIS look up the definition of what EPSG numbers.
        37_000..=37_999 | 102_000..=104_999 => ("ESRI", own.unwrap_or("undefined")),
        999_001 => ("NONE", own.unwrap_or("undefined")),
        _ => ("EPSG", own.unwrap_or("undefined")),
    };
    let name = definition.split('"').nth(1).map_or_else(|| format!("{authority}:{id}"), str::to_owned);
    insert.execute(params![name, id, authority, id, definition])?;
    Ok(())
}

fn create_table(db: &Connection, table: &Table) -> Result<()> {
    let Table { layer, name, geometry, attachments } = table;
    let mut columns: Vec<String> = layer
        .fields
        .iter()
        .map(|field| format!("{} {}", quoted(&field.name), declared(field.kind, field.length)))
        .collect();
    if let Some((column, form)) = geometry {
        columns.push(format!("{} {}", quoted(column), form.kind.name()));
    }
    db.execute_batch(&format!("CREATE TABLE {} ({})", quoted(name), columns.join(", ")))?;
    db.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, srs_id) VALUES (?1, ?2, ?1, ?3, ?4)",
        params![
            name,
            if geometry.is_some() { "features" } else { "attributes" },
            layer.document["description"].as_str().unwrap_or_default(),
            geometry.as_ref().map(|(_, form)| form.srs_id)
        ],
    )?;
    if let Some((column, form)) = geometry {
        db.execute(
            "INSERT INTO gpkg_geometry_columns VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![name, column, form.kind.name(), form.srs_id, form.z, form.m],
        )?;
    }
    if attachments.is_some() {
        schema::attachments(db, name)?;
    }
    describe(db, table)
}

fn declared(kind: Kind, length: Option<i64>) -> String {
    match (kind, length) {
        (Kind::ObjectId, _) => "INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL".to_owned(),
        (Kind::GlobalId | Kind::Guid, _) => "TEXT(38)".to_owned(),
        (Kind::Small, _) => "SMALLINT".to_owned(),
        (Kind::Integer, _) => "MEDIUMINT".to_owned(),
        (Kind::Big, _) => "INTEGER".to_owned(),
        (Kind::Single, _) => "FLOAT".to_owned(),
        (Kind::Double, _) => "DOUBLE".to_owned(),
        (Kind::Text, Some(length @ 1..=1_000_000)) => format!("TEXT({length})"),
        (Kind::Text | Kind::TimeOnly | Kind::Offset, _) => "TEXT".to_owned(),
        (Kind::Date, _) => "DATETIME".to_owned(),
        (Kind::DateOnly, _) => "DATE".to_owned(),
    }
}

/// Enters what people call the fields, and which values they take.
fn describe(db: &Connection, table: &Table) -> Result<()> {
    for field in &table.layer.fields {
        let constraint = format!("{}_{}", table.name, field.name).to_lowercase();
        let has_values = match (field.domain["codedValues"].as_array(), field.domain["range"].as_array()) {
            (Some(coded), _) => {
                let mut insert = db.prepare(
                    "INSERT OR IGNORE INTO gpkg_data_column_constraints (constraint_name, constraint_type, value, description) VALUES (?1, 'enum', ?2, ?3)",
                )?;
                for value in coded {
                    let code = value["code"].as_str().map_or_else(|| value["code"].to_string(), str::to_owned);
                    insert.execute(params![constraint, code, value["name"].as_str()])?;
                }
                !coded.is_empty()
            }
            (None, Some(range)) => {
                let bounds = range.iter().filter_map(Json::as_f64).collect::<Vec<_>>();
                if let [least, greatest] = bounds.as_slice() {
                    db.execute(
                        "INSERT INTO gpkg_data_column_constraints (constraint_name, constraint_type, min, min_is_inclusive, max, max_is_inclusive)
                         VALUES (?1, 'range', ?2, 1, ?3, 1)",
                        params![constraint, least, greatest],
                    )?;
                }
                bounds.len() == 2
            }
            (None, None) => false,
        };
        if field.alias.is_some() || has_values {
            db.execute(
                "INSERT INTO gpkg_data_columns (table_name, column_name, title, constraint_name) VALUES (?1, ?2, ?3, ?4)",
                params![table.name, field.name, field.alias, has_values.then_some(constraint)],
            )?;
        }
    }
    Ok(())
}

/// Makes what is not needed while rows come in: indexes, object ids of the file's own, and the triggers that log edits.
pub(crate) fn complete(db: &Connection, tables: &[Table], spatial_index: bool) -> Result<()> {
    for table in tables {
        let layer = &table.layer;
        schema::unique(db, &table.name, &layer.globalid_field)?;
        let mut compared: Vec<&str> = table.columns();
        compared.retain(|name| *name != layer.oid_field && *name != layer.globalid_field);
        let logged = log::Logged {
            table: &table.name,
            layer: layer.id,
            is_attachment: false,
            object_id: &layer.oid_field,
            global_id: &layer.globalid_field,
            compared: &compared,
        };
        if let Some(attachments) = &table.attachments {
            schema::unique(db, attachments, "GLOBALID")?;
            let logged = log::Logged {
                table: attachments,
                is_attachment: true,
                object_id: "ATTACHMENTID",
                global_id: "GLOBALID",
                compared: &["REL_GLOBALID", "CONTENT_TYPE", "ATT_NAME", "KEYWORDS", "DATA"],
                ..logged
            };
            db.execute_batch(&logged.triggers())?;
            db.execute_batch(&log::with_feature(&table.name, &layer.globalid_field, attachments))?;
            log::reserve(db, attachments, "ATTACHMENTID")?;
        }
        db.execute_batch(&logged.triggers())?;
        log::reserve(db, &table.name, &layer.oid_field)?;
        if let Some((column, _)) = &table.geometry {
            extent(db, table, column, spatial_index)?;
        }
    }
    Ok(())
}

/// Enters the box round all rows, and makes the spatial index.
fn extent(db: &Connection, table: &Table, column: &str, spatial_index: bool) -> Result<()> {
    let mut boxes = Boxes::beside(db);
    let mut around = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    let mut read = db.prepare(&format!(
        "SELECT {}, {} FROM {}",
        quoted(&table.layer.oid_field),
        quoted(column),
        quoted(&table.name)
    ))?;
    let mut rows = read.query([])?;
    while let Some(row) = rows.next()? {
        let rusqlite::types::ValueRef::Blob(blob) = row.get_ref(1)? else { continue };
        let Some(found) = geometry::bounds(blob) else { continue };
        let [a, b, c, d] = around;
        around = [a.min(found[0]), b.min(found[1]), c.max(found[2]), d.max(found[3])];
        boxes.add(row.get(0)?, found)?;
    }
    if around[0].is_finite() {
        db.execute(
            "UPDATE gpkg_contents SET min_x = ?2, min_y = ?3, max_x = ?4, max_y = ?5 WHERE table_name = ?1",
            params![table.name, around[0], around[1], around[2], around[3]],
        )?;
    }
    if spatial_index {
        schema::rtree(db, &table.name, column)?;
        boxes.write(db, &schema::rtree_name(&table.name, column))?;
        schema::rtree_triggers(db, &table.name, column, &table.layer.oid_field)?;
    }
    Ok(())
}

/// What a replica is, when its answer has come.
pub(crate) struct Registration<'a> {
    /// Its id.
    pub(crate) id: &'a str,
    /// Its name on the server.
    pub(crate) name: &'a str,
    /// The service.
    pub(crate) url: &'a str,
    /// Whether each layer has a generation of its own.
    pub(crate) per_layer: bool,
    /// Which way it synchronizes.
    pub(crate) direction: &'a str,
    /// Its filters, by layer.
    pub(crate) queries: &'a Json,
    /// Its generations.
    pub(crate) generations: &'a super::answer::Generations,
}

/// Enters the replica.
pub(crate) fn register(db: &Connection, service: &Service, tables: &[Table], replica: &Registration<'_>) -> Result<()> {
    db.execute(
        "INSERT INTO sync_replica (id, format_version, replica_id, replica_name, service_url, sync_model, sync_direction, server_gen, created_ms, last_sync_ms, tracking, service_json)
         VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, 1, ?9)",
        params![
            log::VERSION,
            replica.id,
            replica.name,
            replica.url,
            if replica.per_layer { "perLayer" } else { "perReplica" },
            replica.direction,
            replica.generations.all,
            now_ms(),
            service.document.to_string()
        ],
    )?;
    for table in tables {
        let layer = &table.layer;
        let of_layer =
            replica.generations.layers.iter().find(|(id, _)| *id == layer.id).map(|(_, generation)| *generation);
        if replica.per_layer && of_layer.is_none() {
            return Err(Error::Protocol(format!("it has no generation for layer {}", layer.id)));
        }
        let query = &replica.queries[layer.id.to_string()];
        db.execute(
            "INSERT INTO sync_layers (layer_id, table_name, layer_name, oid_field, globalid_field, geometry_field, server_gen, where_clause,
               use_geometry, query_option, include_related, attachments_table, layer_json)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            params![
                layer.id,
                table.name,
                layer.name,
                layer.oid_field,
                layer.globalid_field,
                table.geometry.as_ref().map(|(column, _)| column),
                of_layer,
                query["where"].as_str(),
                query["useGeometry"].as_bool(),
                query["queryOption"].as_str(),
                query["includeRelated"].as_bool(),
                table.attachments,
                layer.document.to_string()
            ],
        )?;
    }
    if !replica.per_layer && replica.generations.all.is_none() {
        return Err(Error::Protocol("it has no generation".to_owned()));
    }
    Ok(())
}
