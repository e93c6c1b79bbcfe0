//! How maps draw the layers: `layer_styles`, the table from which QGIS takes a style.

use rusqlite::Connection;

use super::Table;

/// As QGIS makes it. It is always there where features are: GDAL lists the tables of a replica as layers in a file that has no
/// table of attributes entered.
const TABLE: &str = "
CREATE TABLE layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256),
  f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT,
  owner TEXT(30), ui TEXT(30), update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')));
INSERT INTO gpkg_contents (table_name, data_type, identifier, description) VALUES ('layer_styles', 'attributes', 'layer_styles', '');
";

/// Writes the styles of the tables that have one.
pub(super) fn write(connection: &Connection, _tables: &[Table]) -> rusqlite::Result<()> {
    connection.execute_batch(TABLE)
}
