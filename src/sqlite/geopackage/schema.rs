//! The tables of the standard and of its extensions, and what is entered in them.

use rusqlite::{Connection, params, types::ValueRef};
use serde_json::Value as Json;

use crate::{
    model::{
        definition::Domain,
        geometry::{GeometryType, SpatialReference},
        layer::ShapeColumn,
    },
    sqlite::{
        quoted,
        sorted::{IdKeys, Index, distinct, of_id_key},
    },
};

use super::{Plan, Relation, Table, attachments_name, log, values};

/// `GPKG`, and version 1.3.
pub(crate) const CONTAINER: &str = "PRAGMA application_id = 1196444487; PRAGMA user_version = 10300;
CREATE TABLE gpkg_spatial_ref_sys (
  srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY, organization TEXT NOT NULL, organization_coordsys_id INTEGER NOT NULL,
  definition TEXT NOT NULL, description TEXT);
CREATE TABLE gpkg_contents (
  table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE, description TEXT DEFAULT '',
  last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')), min_x DOUBLE, min_y DOUBLE, max_x DOUBLE,
  max_y DOUBLE, srs_id INTEGER, CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_geometry_columns (
  table_name TEXT NOT NULL, column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL,
  z TINYINT NOT NULL, m TINYINT NOT NULL, CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name),
  CONSTRAINT uk_gc_table_name UNIQUE (table_name),
  CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name),
  CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_extensions (
  table_name TEXT, column_name TEXT, extension_name TEXT NOT NULL, definition TEXT NOT NULL, scope TEXT NOT NULL,
  CONSTRAINT ge_tce UNIQUE (table_name, column_name, extension_name));
CREATE TABLE gpkg_data_columns (
  table_name TEXT NOT NULL, column_name TEXT NOT NULL, name TEXT, title TEXT, description TEXT, mime_type TEXT,
  constraint_name TEXT, CONSTRAINT pk_gdc PRIMARY KEY (table_name, column_name), CONSTRAINT gdc_tn UNIQUE (table_name, name));
CREATE TABLE gpkg_data_column_constraints (
  constraint_name TEXT NOT NULL, constraint_type TEXT NOT NULL, value TEXT, min NUMERIC, min_is_inclusive BOOLEAN,
  max NUMERIC, max_is_inclusive BOOLEAN, description TEXT,
  CONSTRAINT gdcc_ntv UNIQUE (constraint_name, constraint_type, value));
CREATE TABLE gpkgext_relations (
  id INTEGER PRIMARY KEY AUTOINCREMENT, base_table_name TEXT NOT NULL, base_primary_column TEXT NOT NULL DEFAULT 'id',
  related_table_name TEXT NOT NULL, related_primary_column TEXT NOT NULL DEFAULT 'id', relation_name TEXT NOT NULL,
  mapping_table_name TEXT NOT NULL UNIQUE);
INSERT INTO gpkg_spatial_ref_sys VALUES
  ('Undefined Cartesian SRS', -1, 'NONE', -1, 'undefined', 'undefined Cartesian coordinate reference system'),
  ('Undefined geographic SRS', 0, 'NONE', 0, 'undefined', 'undefined geographic coordinate reference system');
INSERT INTO gpkg_extensions VALUES
  ('gpkg_data_columns', NULL, 'gpkg_schema', 'http://www.geopackage.org/spec120/#extension_schema', 'read-write'),
  ('gpkg_data_column_constraints', NULL, 'gpkg_schema', 'http://www.geopackage.org/spec120/#extension_schema', 'read-write');
";

/// WGS 84 as GDAL writes it.
pub(crate) const WGS84: &str = "GEOGCS[\"WGS 84\",DATUM[\"WGS_1984\",SPHEROID[\"WGS 84\",6378137,298.257223563,AUTHORITY[\"EPSG\",\"7030\"]],\
AUTHORITY[\"EPSG\",\"6326\"]],PRIMEM[\"Greenwich\",0,AUTHORITY[\"EPSG\",\"8901\"]],UNIT[\"degree\",0.0174532925199433,\
AUTHORITY[\"EPSG\",\"9122\"]],AUTHORITY[\"EPSG\",\"4326\"]]";

const RTREE: &str = "http://www.geopackage.org/spec120/#extension_rtree";
const RELATED: &str = "http://www.geopackage.org/18-000.html";
/// Named by who defined it; a program that does not know it can read everything else.
const SYNC: &str = "syncline_sync";

/// Makes the container.
pub(super) fn container(connection: &Connection, plan: &Plan) -> rusqlite::Result<()> {
    connection.execute_batch(CONTAINER)?;
    let wgs84 = SpatialReference { srid: 4326, authority: "EPSG".to_owned(), code: 4326, text: WGS84.to_owned() };
    let mut references = vec![&wgs84];
    if plan.reference.srid != wgs84.srid {
        references.push(&plan.reference);
    }
    for reference in references {
        let name = reference.text.split('"').nth(1).unwrap_or("unnamed");
        connection.execute(
            "INSERT INTO gpkg_spatial_ref_sys VALUES (?1, ?2, ?3, ?4, ?5, NULL)",
            params![name, reference.srid, reference.authority, reference.code, reference.text],
        )?;
    }
    if plan.replica.is_some() {
        for name in log::NAMES {
            enter_sync_table(connection, name)?;
        }
    }
    Ok(())
}

/// Enters a table by which a file is synchronized, unless it is: programs do not take it for one of theirs.
pub(crate) fn enter_sync_table(connection: &Connection, name: &str) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO gpkg_extensions SELECT ?1, NULL, ?2, 'https://github.com/syncline/syncline', 'write-only'
         WHERE NOT EXISTS (SELECT 1 FROM gpkg_extensions WHERE table_name = ?1)",
        [name, SYNC],
    )?;
    Ok(())
}

/// The columns of a table, in the order in which rows are inserted.
pub(super) fn columns(table: &Table) -> Vec<&str> {
    let mut names: Vec<&str> =
        table.columns.fields.iter().map(|&index| table.layer.fields[index].name.as_str()).collect();
    names.extend(table.geometry());
    names
}

/// The columns of a table of attachments, in the order in which rows are inserted.
pub(super) const ATTACHMENT_COLUMNS: [&str; 8] =
    ["ATTACHMENTID", "GLOBALID", "REL_GLOBALID", "CONTENT_TYPE", "ATT_NAME", "DATA_SIZE", "KEYWORDS", "DATA"];

/// Makes the table of a layer, and that of its attachments, and enters them.
pub(super) fn table(connection: &Connection, srid: i32, table: &Table) -> rusqlite::Result<()> {
    let layer = &table.layer;
    let mut parts = Vec::new();
    if table.own_keys {
        let mut key = "syncline_row".to_owned();
        while columns(table).iter().any(|name| name.eq_ignore_ascii_case(&key)) {
            key.push('_');
        }
        parts.push(format!("{} INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL", quoted(&key)));
    }
    for &index in &table.columns.fields {
        let field = &layer.fields[index];
        let rule = if index == layer.object_id && !table.own_keys {
            " PRIMARY KEY AUTOINCREMENT NOT NULL"
        // What the server or a trigger fills in may be left empty by whoever edits the file.
        } else if !field.nullable && !field.has_default && layer.is_editable(index) {
            " NOT NULL"
        } else {
            ""
        };
        parts.push(format!("{} {}{rule}", quoted(&field.name), values::declared(field)));
    }
    if let (Some(column), Some(shape)) = (table.geometry(), &layer.shape) {
        parts.push(format!("{} {}", quoted(column), geometry_type(shape)));
    }
    connection.execute_batch(&format!("CREATE TABLE {} ({})", quoted(&table.name), parts.join(", ")))?;
    let data_type = if table.geometry().is_some() { "features" } else { "attributes" };
    let description = layer.definition.description.as_deref().unwrap_or_default();
    connection.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, srs_id) VALUES (?1, ?2, ?1, ?3, ?4)",
        params![table.name, data_type, description, table.geometry().map(|_| srid)],
    )?;
    if let (Some(column), Some(shape)) = (table.geometry(), &layer.shape) {
        connection.execute(
            "INSERT INTO gpkg_geometry_columns VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![table.name, column, geometry_type(shape), srid, shape.dimensions.z, shape.dimensions.m],
        )?;
    }
    if table.attachments {
        attachments(connection, &table.name)?;
    }
    describe(connection, table)
}

/// Makes the table of a table's attachments, and enters it.
pub(crate) fn attachments(connection: &Connection, table: &str) -> rusqlite::Result<()> {
    let name = attachments_name(table);
    connection.execute_batch(&format!(
        "CREATE TABLE {} (ATTACHMENTID INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, GLOBALID TEXT(38), REL_GLOBALID TEXT(38) NOT NULL,
           CONTENT_TYPE TEXT(150) NOT NULL, ATT_NAME TEXT(250) NOT NULL, DATA_SIZE MEDIUMINT, KEYWORDS TEXT, DATA BLOB NOT NULL)",
        quoted(&name)
    ))?;
    connection.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, description) VALUES (?1, 'attributes', ?1, ?2)",
        params![name, format!("Attachments of {table}")],
    )?;
    Ok(())
}

/// Makes what is not needed while rows come in: unique ids, and how tables belong together.
pub(super) fn finish_table(connection: &Connection, table: &Table, ids: IdKeys) -> rusqlite::Result<()> {
    if table.has_global_ids() {
        unique_of(connection, &table.name, table.global_id(), ids)?;
    }
    if table.attachments {
        let name = attachments_name(&table.name);
        unique(connection, &name, "GLOBALID")?;
        connection.execute_batch(&format!(
            "CREATE INDEX {} ON {} (REL_GLOBALID)",
            quoted(&format!("idx_{name}_REL_GLOBALID")),
            quoted(&name)
        ))?;
        if table.has_global_ids() {
            let ends =
                [(table.name.as_str(), table.object_id(), table.global_id()), (&name, "ATTACHMENTID", "REL_GLOBALID")];
            relate(connection, &format!("{name}_map"), "media", ends)?;
        }
    }
    Ok(())
}

/// Makes a unique index.
pub(crate) fn unique(connection: &Connection, table: &str, column: &str) -> rusqlite::Result<()> {
    connection.execute_batch(&unique_sql(table, column))
}

/// Makes the unique index of a column of global ids out of the ids.
fn unique_of(connection: &Connection, table: &str, column: &str, ids: IdKeys) -> rusqlite::Result<()> {
    let (name, sql) = (format!("idx_{table}_{column}"), unique_sql(table, column));
    let index = Index { name: &name, table, sql: &sql, n_columns: 1 };
    let ids = ids.sorted()?;
    index.build(connection, distinct(ids.iter()?), |entry, slots| {
        let (id, key) = of_id_key(entry);
        slots.put(ValueRef::Text(&values::guid(id)))?;
        slots.put(ValueRef::Integer(key))
    })
}

fn unique_sql(table: &str, column: &str) -> String {
    let index = quoted(&format!("idx_{table}_{column}"));
    format!("CREATE UNIQUE INDEX {index} ON {} ({})", quoted(table), quoted(column))
}

/// Enters a relationship between two tables of the plan.
pub(super) fn relation(connection: &Connection, plan: &Plan, relation: &Relation) -> rusqlite::Result<()> {
    let (origin, destination) = (&plan.tables[relation.origin.0], &plan.tables[relation.destination.0]);
    let name: String = relation.name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).take(80).collect();
    let mapping = format!("{}_{}_{name}_map", origin.name, destination.name);
    let kind = if destination.geometry().is_some() { "features" } else { "simple_attributes" };
    let ends = [
        (origin.name.as_str(), origin.object_id(), relation.origin.1.as_str()),
        (destination.name.as_str(), destination.object_id(), relation.destination.1.as_str()),
    ];
    relate(connection, &mapping, kind, ends)
}

/// Enters that rows of the second table belong to rows of the first: each by its table, its primary key, and the column
/// that says so. The pairs are a view, which is right whatever is edited.
fn relate(connection: &Connection, mapping: &str, kind: &str, ends: [(&str, &str, &str); 2]) -> rusqlite::Result<()> {
    let [(base, base_id, base_key), (related, related_id, related_key)] = ends;
    connection.execute_batch(&format!(
        "CREATE VIEW {} AS SELECT b.{} AS base_id, r.{} AS related_id FROM {} b JOIN {} r ON r.{} = b.{}",
        quoted(mapping),
        quoted(base_id),
        quoted(related_id),
        quoted(base),
        quoted(related),
        quoted(related_key),
        quoted(base_key),
    ))?;
    connection.execute(
        "INSERT INTO gpkgext_relations (base_table_name, base_primary_column, related_table_name, related_primary_column, relation_name, mapping_table_name)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        [base, base_id, related, related_id, kind, mapping],
    )?;
    for name in ["gpkgext_relations", mapping] {
        connection.execute(
            "INSERT OR IGNORE INTO gpkg_extensions
             SELECT ?1, NULL, 'gpkg_related_tables', ?2, 'read-write'
             WHERE NOT EXISTS (SELECT 1 FROM gpkg_extensions WHERE table_name = ?1)",
            [name, RELATED],
        )?;
    }
    Ok(())
}

/// Enters what people read for the names of fields, and which values they take.
fn describe(connection: &Connection, table: &Table) -> rusqlite::Result<()> {
    for &index in &table.columns.fields {
        let field = &table.layer.fields[index];
        let defined = table.layer.definition.field(&field.name);
        let title = Some(&field.alias).filter(|alias| **alias != field.name);
        let description = defined.and_then(|defined| defined.description.as_ref());
        let constraint = match defined.and_then(|defined| defined.domain.as_ref()) {
            Some(domain) => constraint(connection, &table.name, &field.name, domain)?,
            None => None,
        };
        if title.is_some() || description.is_some() || constraint.is_some() {
            connection.execute(
                "INSERT INTO gpkg_data_columns (table_name, column_name, title, description, constraint_name) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![table.name, field.name, title, description, constraint],
            )?;
        }
    }
    Ok(())
}

/// Enters the values that a field takes. Each field has its own list: two layers may call different lists alike.
fn constraint(connection: &Connection, table: &str, field: &str, domain: &Domain) -> rusqlite::Result<Option<String>> {
    let name = format!("{table}_{field}").to_lowercase();
    match domain {
        Domain::CodedValue { coded_values, .. } => {
            let mut insert = connection.prepare(
                "INSERT OR IGNORE INTO gpkg_data_column_constraints (constraint_name, constraint_type, value, description)
                 VALUES (?1, 'enum', ?2, ?3)",
            )?;
            for coded in coded_values {
                let code = coded.code.as_str().map_or_else(|| coded.code.to_string(), str::to_owned);
                insert.execute([name.as_str(), &code, &coded.name])?;
            }
        }
        Domain::Range { range: [least, greatest], .. } => {
            let (Some(least), Some(greatest)) = (Json::as_f64(least), Json::as_f64(greatest)) else { return Ok(None) };
            connection.execute(
                "INSERT INTO gpkg_data_column_constraints (constraint_name, constraint_type, min, min_is_inclusive, max, max_is_inclusive)
                 VALUES (?1, 'range', ?2, 1, ?3, 1)",
                params![name, least, greatest],
            )?;
        }
        Domain::Inherited => return Ok(None),
    }
    Ok(Some(name))
}

/// The name of the R-tree of a table.
pub(crate) fn rtree_name(table: &str, column: &str) -> String {
    format!("rtree_{table}_{column}")
}

/// Makes an empty R-tree and enters it.
pub(crate) fn rtree(connection: &Connection, table: &str, column: &str) -> rusqlite::Result<()> {
    let name = quoted(&rtree_name(table, column));
    connection.execute_batch(&format!("CREATE VIRTUAL TABLE {name} USING rtree(id, minx, maxx, miny, maxy)"))?;
    connection.execute(
        "INSERT INTO gpkg_extensions VALUES (?1, ?2, 'gpkg_rtree_index', ?3, 'write-only')",
        [table, column, RTREE],
    )?;
    Ok(())
}

/// Makes the triggers that keep an R-tree true. They call functions that programs for GeoPackages have.
pub(crate) fn rtree_triggers(connection: &Connection, table: &str, column: &str, id: &str) -> rusqlite::Result<()> {
    let rtree = rtree_name(table, column);
    let name = |suffix: &str| quoted(&format!("{rtree}_{suffix}"));
    let (tree, table, c, i) = (quoted(&rtree), quoted(table), quoted(column), quoted(id));
    let full = format!("(NEW.{c} NOT NULL AND NOT ST_IsEmpty(NEW.{c}))");
    let enter = format!(
        "INSERT OR REPLACE INTO {tree} VALUES (NEW.{i}, ST_MinX(NEW.{c}), ST_MaxX(NEW.{c}), ST_MinY(NEW.{c}), ST_MaxY(NEW.{c}));"
    );
    let was_full = format!("(OLD.{c} NOT NULL AND NOT ST_IsEmpty(OLD.{c}))");
    let was_empty = format!("(OLD.{c} ISNULL OR ST_IsEmpty(OLD.{c}))");
    let is_empty = format!("(NEW.{c} ISNULL OR ST_IsEmpty(NEW.{c}))");
    connection.execute_batch(&format!(
        "CREATE TRIGGER {insert} AFTER INSERT ON {table} WHEN {full} BEGIN {enter} END;
         CREATE TRIGGER {update2} AFTER UPDATE OF {c} ON {table} WHEN OLD.{i} = NEW.{i} AND {is_empty} BEGIN
           DELETE FROM {tree} WHERE id = OLD.{i}; END;
         CREATE TRIGGER {update4} AFTER UPDATE ON {table} WHEN OLD.{i} != NEW.{i} AND {is_empty} BEGIN
           DELETE FROM {tree} WHERE id IN (OLD.{i}, NEW.{i}); END;
         CREATE TRIGGER {update5} AFTER UPDATE ON {table} WHEN OLD.{i} != NEW.{i} AND {full} BEGIN
           DELETE FROM {tree} WHERE id = OLD.{i}; {enter} END;
         CREATE TRIGGER {update6} AFTER UPDATE OF {c} ON {table} WHEN OLD.{i} = NEW.{i} AND {full} AND {was_full} BEGIN
           UPDATE {tree} SET minx = ST_MinX(NEW.{c}), maxx = ST_MaxX(NEW.{c}), miny = ST_MinY(NEW.{c}), maxy = ST_MaxY(NEW.{c})
           WHERE id = NEW.{i}; END;
         CREATE TRIGGER {update7} AFTER UPDATE OF {c} ON {table} WHEN OLD.{i} = NEW.{i} AND {full} AND {was_empty} BEGIN
           INSERT INTO {tree} VALUES (NEW.{i}, ST_MinX(NEW.{c}), ST_MaxX(NEW.{c}), ST_MinY(NEW.{c}), ST_MaxY(NEW.{c})); END;
         CREATE TRIGGER {delete} AFTER DELETE ON {table} WHEN OLD.{c} NOT NULL BEGIN DELETE FROM {tree} WHERE id = OLD.{i}; END;",
        insert = name("insert"),
        update2 = name("update2"),
        update4 = name("update4"),
        update5 = name("update5"),
        update6 = name("update6"),
        update7 = name("update7"),
        delete = name("delete"),
    ))
}

fn geometry_type(shape: &ShapeColumn) -> &'static str {
    match (shape.geometry_type, shape.multi) {
        (GeometryType::Point, false) => "POINT",
        (GeometryType::Point, true) | (GeometryType::Multipoint, _) => "MULTIPOINT",
        (GeometryType::Polyline, false) => "LINESTRING",
        (GeometryType::Polyline, true) => "MULTILINESTRING",
        (GeometryType::Polygon, false) => "POLYGON",
        (GeometryType::Polygon, true) => "MULTIPOLYGON",
    }
}
