//! How maps draw the layers: `layer_styles`, the table from which QGIS takes a style.
//!
//! [`drawing`] reads the `drawingInfo` of a layer's definition; [`qml`] writes it for QGIS, [`sld`] for everybody else.

mod drawing;
mod qml;
mod sld;

use rusqlite::{Connection, params};
use serde_json::Value as Json;

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

/// A table of features, and how the service draws it.
pub(crate) struct Drawn<'a> {
    /// Its name.
    pub(crate) table: &'a str,
    /// The column of its geometries.
    pub(crate) column: &'a str,
    /// The names of its fields.
    pub(crate) fields: Vec<&'a str>,
    /// The layer's `drawingInfo`.
    pub(crate) info: &'a Json,
}

impl Drawn<'_> {
    /// A table of a plan, if it is drawn.
    pub(super) fn of(table: &Table) -> Option<Drawn<'_>> {
        let fields = table.columns.fields.iter().map(|&index| table.layer.fields[index].name.as_str());
        let info = table.layer.definition.drawing_info.as_ref()?;
        Some(Drawn { table: &table.name, column: table.geometry()?, fields: fields.collect(), info })
    }
}

/// Writes the styles of tables. What cannot be said in a style, like pictures, is left to the program.
pub(crate) fn write<'a>(connection: &Connection, tables: impl Iterator<Item = Drawn<'a>>) -> rusqlite::Result<()> {
    connection.execute_batch(TABLE)?;
    for Drawn { table, column, fields, info } in tables {
        let named =
            |name: &str| fields.iter().find(|known| known.eq_ignore_ascii_case(name)).map(|&known| known.to_owned());
        let Some(style) = drawing::read(info, named) else { continue };
        connection.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, styleQML, styleSLD, useAsDefault, description, owner)
             VALUES ('', '', ?1, ?2, ?3, ?4, ?5, 1, 'As the service draws the layer', '')",
            params![
                table,
                column,
                table.chars().take(30).collect::<String>(),
                qml::document(&style),
                sld::document(&style, table)
            ],
        )?;
    }
    Ok(())
}

/// A text within an XML document, without the characters that it cannot have.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
