//! A copy of each layer that open programs understand, in the same file: what GDAL's SQLite driver takes for a layer.
//!
//! It is not registered with the tables of the geodatabase, and nobody reads edits out of it.

use rusqlite::{Connection, params, types::ValueRef};
use sqlx::postgres::PgRow;

use crate::{
    error::Result,
    model::{
        geometry::{GeometryType, SpatialReference},
        value::FieldType,
    },
    sqlite::{
        geopackage::{self, geometry, values},
        insert::{Failure, Inserts, Slots, sent},
        quoted,
    },
};

/// The tables by which GDAL knows geometries.
const TABLES: &str = "
CREATE TABLE spatial_ref_sys (srid INTEGER UNIQUE, auth_name TEXT, auth_srid TEXT, srtext TEXT);
CREATE TABLE geometry_columns (f_table_name VARCHAR, f_geometry_column VARCHAR, geometry_type INTEGER, coord_dimension INTEGER,
  srid INTEGER, geometry_format VARCHAR);
";

/// How the names of the copies end.
pub(super) const SUFFIX: &str = "_open";

/// The copy of a layer that is being filled.
pub(super) struct Mirror<'c> {
    inserts: Inserts<'c>,
    shape: Vec<u8>,
}

/// Makes the tables that describe the copies.
pub(super) fn create(connection: &Connection, reference: &SpatialReference) -> rusqlite::Result<()> {
    connection.execute_batch(TABLES)?;
    connection.execute(
        "INSERT INTO spatial_ref_sys VALUES (?1, ?2, ?3, ?4)",
        params![reference.srid, reference.authority, reference.code.to_string(), reference.text],
    )?;
    Ok(())
}

impl<'c> Mirror<'c> {
    /// Makes the copy's table.
    pub(super) fn begin(connection: &'c Connection, planned: &geopackage::Table) -> rusqlite::Result<Mirror<'c>> {
        let (layer, fields) = (&planned.layer, &planned.columns.fields);
        let name = format!("{}{SUFFIX}", planned.name);
        let mut columns = Vec::with_capacity(fields.len() + 1);
        for &index in fields {
            let field = &layer.fields[index];
            columns.push(match field.field_type {
                _ if index == layer.object_id => format!("{} INTEGER PRIMARY KEY", quoted(&field.name)),
                FieldType::Date => format!("{} TIMESTAMP", quoted(&field.name)),
                // What is called an integer is taken for one of 32 bits.
                FieldType::BigInteger => format!("{} BIGINT", quoted(&field.name)),
                _ => format!("{} {}", quoted(&field.name), values::declared(field)),
            });
        }
        let mut names: Vec<&str> = fields.iter().map(|&index| layer.fields[index].name.as_str()).collect();
        let mut geometry = "geom".to_owned();
        if let Some(shape) = layer.shape.as_ref().filter(|_| planned.geometry().is_some()) {
            while names.iter().any(|name| name.eq_ignore_ascii_case(&geometry)) {
                geometry.push('_');
            }
            columns.push(format!("{} BLOB", quoted(&geometry)));
            let dimensions = planned.columns.dimensions;
            let kind = match shape.geometry_type {
                GeometryType::Point if !shape.multi => 1,
                GeometryType::Polyline if !shape.multi => 2,
                GeometryType::Polygon if !shape.multi => 3,
                GeometryType::Point | GeometryType::Multipoint => 4,
                GeometryType::Polyline => 5,
                GeometryType::Polygon => 6,
            };
            // Heights are told by the number of dimensions alone: a type that says so as well is none to QGIS.
            let kind = kind
                + match (dimensions.z, dimensions.m) {
                    (_, false) => 0,
                    (false, true) => 2000,
                    (true, true) => 3000,
                };
            connection.execute(
                "INSERT INTO geometry_columns VALUES (?1, ?2, ?3, ?4, ?5, 'WKB')",
                params![
                    name,
                    geometry,
                    kind,
                    2 + i32::from(dimensions.z) + i32::from(dimensions.m),
                    planned.columns.srid
                ],
            )?;
            names.push(&geometry);
        }
        connection.execute_batch(&format!("CREATE TABLE {} ({})", quoted(&name), columns.join(", ")))?;
        Ok(Mirror { inserts: Inserts::new(connection, &name, &names)?, shape: Vec::new() })
    }

    /// Enters rows as they come.
    pub(super) fn rows(&mut self, planned: &geopackage::Table, first: usize, rows: &[PgRow]) -> Result<()> {
        let fields = &planned.columns.fields;
        let has_geometry = planned.geometry().is_some();
        let Mirror { inserts, shape } = self;
        let insert = |row: &PgRow, slots: &mut Slots<'_, 'c>| -> std::result::Result<(), Failure> {
            for (at, &index) in fields.iter().enumerate() {
                let Some(bytes) = sent(row, first + at)? else {
                    slots.put(ValueRef::Null)?;
                    continue;
                };
                values::put(bytes, &planned.layer.fields[index], slots)?;
            }
            if !has_geometry {
                return Ok(());
            }
            let Some(bytes) = sent(row, first + fields.len())? else { return Ok(slots.put(ValueRef::Null)?) };
            geometry::write(bytes, 0, shape)?;
            let bare = geometry::without_head(shape);
            Ok(slots.put(if bare.is_empty() { ValueRef::Null } else { ValueRef::Blob(bare) })?)
        };
        inserts.insert(rows, insert).map_err(|Failure(error)| error)
    }
}
