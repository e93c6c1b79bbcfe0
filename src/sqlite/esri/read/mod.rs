//! The edits in a mobile geodatabase that a client sends, as the JSON that it could have sent instead.
//!
//! A client sends a file of changes, or its whole replica: there, the versions of rows say what was edited since the client last uploaded. Of a row that
//! was changed in a whole replica, only what differs from the version before counts as edited.

mod changes;
mod documents;
mod replica;

use rusqlite::{Row, types::ValueRef};
use serde_json::json;

use crate::{
    error::{Error, Result},
    files::Content,
    format::{
        edit::{empty, write_geometry},
        json::{integer, number, string},
    },
    model::{
        geometry::{GeometryType, Shape},
        id::{GlobalId, ReplicaId},
        layer::Layer,
        value::{FieldType, brief},
    },
    sqlite::{
        geopackage::read::Reading,
        literal,
        read::{Reader, Table},
    },
};

use super::{
    column::instant_ms,
    geometry::{Grid, decode, srid_of},
    reference::built_in,
};

/// How many edited rows of a table are taken out of a file.
const MAX_ROWS: usize = 1_000_000;

/// What kind of mobile geodatabase a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Changes only.
    Changes,
    /// A whole replica.
    Replica,
}

/// What kind a file is, if it is one.
pub(crate) fn form(reader: &Reader) -> Option<Form> {
    if reader.table("GDB_DataChangesDeltas").is_some() && reader.table("GDB_DataChangesDatasets").is_some() {
        return Some(Form::Changes);
    }
    reader.table("GDB_Items").map(|_| Form::Replica)
}

/// Writes the edits in a file as the parameter `edits` has them. Bytes of attachments go to `keep`; edits name what was kept by its position as
/// their upload.
pub(crate) fn edits(
    reader: &Reader,
    form: Form,
    reading: &Reading<'_>,
    keep: &mut dyn FnMut(&[u8]) -> Result<Content>,
) -> Result<(String, Vec<Content>)> {
    let mut out = Edits { reading, keep, text: b"[".to_vec(), contents: Vec::new() };
    match form {
        Form::Changes => changes::read(reader, &mut out)?,
        Form::Replica => replica::read(reader, &mut out)?,
    }
    out.text.push(b']');
    let text = String::from_utf8(out.text).map_err(|error| Error::internal("reading edits", error))?;
    Ok((text, out.contents))
}

/// Checks that a file is of the replica that the request names.
fn check_replica(reading: &Reading<'_>, id: &str) -> Result<()> {
    if ReplicaId::parse(id) == Some(reading.replica) {
        return Ok(());
    }
    Err(reading.wrong(format!(
        "the file is of replica '{}', and the request is about replica {}; send the file of the replica that you name",
        brief(id),
        reading.replica
    )))
}

/// The layer that a dataset of a file is of, and whether it is of its attachments.
fn layer_of<'r>(reading: &'r Reading<'_>, id: Option<i64>, name: &str) -> Result<(&'r Layer, bool)> {
    let is_attachment = name.to_ascii_lowercase().ends_with("__attach");
    let found = reading.layers.iter().find(|layer| Some(i64::from(layer.id.0)) == id);
    let layer = found.ok_or_else(|| {
        let id = id.map_or_else(|| "none".to_owned(), |id| id.to_string());
        reading.wrong(format!("the file has '{}' of layer {id}, and the service has no such layer", brief(name)))
    })?;
    Ok((layer, is_attachment))
}

/// A table with edits.
struct Source<'a> {
    layer: &'a Layer,
    is_attachment: bool,
    table: &'a Table,
    /// The positions of the columns that are read, in what is selected.
    columns: Vec<Read>,
    /// The position of the global id.
    global_id: usize,
    grids: Grids<'a>,
}

/// What a column that is read is.
struct Read {
    name: String,
    kind: ReadKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadKind {
    /// An attribute, of this type if the layer has such a field.
    Attribute(Option<FieldType>),
    Shape,
    /// What is said otherwise, or not at all.
    Nothing,
}

impl<'a> Source<'a> {
    fn new(
        reader: &'a Reader,
        reading: &Reading<'_>,
        (layer, is_attachment): (&'a Layer, bool),
        table: &'a Table,
    ) -> Result<Source<'a>> {
        let registered = |bit: i64| -> Result<Option<String>> {
            let Some(registry) = reader.table("GDB_ColumnRegistry") else { return Ok(None) };
            let sql = format!(
                "SELECT CAST(column_name AS TEXT) FROM {} WHERE lower(table_name) = {} AND object_flags & {bit} <> 0 LIMIT 1",
                crate::sqlite::quoted(&registry.name),
                literal(&table.name.to_lowercase())
            );
            match reader.connection().query_row(&sql, [], |row| row.get(0)) {
                Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
                found => found.map_err(reading.faulty()),
            }
        };
        let named = |name: &str| table.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
        let global_id = match registered(256)?.and_then(|name| named(&name)) {
            Some(position) => Some(position),
            None => named(&layer.global_id_field().name).or_else(|| named("GlobalID")),
        };
        let global_id = global_id.ok_or_else(|| {
            reading.wrong(format!("table '{}' of the file has no column of global ids", brief(&table.name)))
        })?;
        let shape_name = layer.shape.as_ref().map_or("", |shape| shape.column.as_str());
        let columns = table.columns.iter().enumerate().map(|(position, column)| {
            let field = layer.field_index(&column.name);
            let is_shape = column.declared.eq_ignore_ascii_case("geometryblob")
                || (field.is_none() && column.name.eq_ignore_ascii_case(shape_name));
            let is_system = column.is_key || column.name.to_ascii_lowercase().starts_with("gdb_");
            let kind = match field {
                _ if position == global_id || is_system || field == Some(layer.object_id) => ReadKind::Nothing,
                _ if is_shape => ReadKind::Shape,
                field => ReadKind::Attribute(field.map(|index| layer.fields[index].field_type)),
            };
            Read { name: column.name.clone(), kind }
        });
        let columns = columns.collect();
        Ok(Source { layer, is_attachment, table, columns, global_id, grids: Grids { reader, table } })
    }

    /// The columns of a table, to be selected.
    fn list(&self) -> String {
        let names: Vec<String> = self.table.columns.iter().map(|column| crate::sqlite::quoted(&column.name)).collect();
        names.join(", ")
    }
}

/// Finds the grids of geometries.
struct Grids<'a> {
    reader: &'a Reader,
    table: &'a Table,
}

impl Grids<'_> {
    /// The grid that a number of a spatial reference stands for in this file, and the number that everybody knows it by.
    fn find(&self, reading: &Reading<'_>, srid: u32) -> Result<Option<(Grid, Option<i32>)>> {
        if srid < 300_000 {
            let known = i32::try_from(srid).ok();
            return Ok(match built_in(srid) {
                Some(grid) => Some((grid, known)),
                None => self.described(reading, srid)?.map(|grid| (grid, known)),
            });
        }
        let Some(references) = self.reader.table("st_aux_spatial_reference_systems") else { return Ok(None) };
        let sql = format!(
            "SELECT falsex, falsey, xyunits, falsez, zunits, falsem, munits, auth_name, auth_srid FROM {} WHERE srid = ?1",
            crate::sqlite::quoted(&references.name)
        );
        let read = |row: &Row<'_>| -> rusqlite::Result<(Grid, Option<i32>)> {
            let number = |at: usize| row.get::<_, Option<f64>>(at);
            let axis = |origin: usize, units: usize| -> rusqlite::Result<(f64, f64)> {
                Ok((number(origin)?.unwrap_or(0.0), number(units)?.unwrap_or(1.0)))
            };
            let authority = row.get::<_, Option<String>>(7)?.unwrap_or_default();
            let code = row.get::<_, Option<i32>>(8)?.filter(|_| authority.eq_ignore_ascii_case("EPSG"));
            Ok((Grid { srid, axes: [axis(0, 2)?, axis(1, 2)?, axis(3, 4)?, axis(5, 6)?] }, code))
        };
        let found = match self.reader.connection().query_row(&sql, [srid], read) {
            Err(rusqlite::Error::QueryReturnedNoRows) => return Ok(None),
            found => found.map_err(reading.faulty())?,
        };
        Ok(Some(found).filter(|(grid, _)| is_sound(grid)))
    }

    /// The grid in the definition of the table's class.
    fn described(&self, reading: &Reading<'_>, srid: u32) -> Result<Option<Grid>> {
        let Some(items) = self.reader.table("GDB_Items") else { return Ok(None) };
        let sql = format!(
            "SELECT CAST(Definition AS TEXT) FROM {} NOT INDEXED WHERE lower(Name) = {} LIMIT 1",
            crate::sqlite::quoted(&items.name),
            literal(&format!("main.{}", self.table.name).to_lowercase())
        );
        let definition = match self.reader.connection().query_row(&sql, [], |row| row.get::<_, Option<String>>(0)) {
            Err(rusqlite::Error::QueryReturnedNoRows) => None,
            found => found.map_err(reading.faulty())?,
        };
        let Some(definition) = definition else { return Ok(None) };
        let Some(reference) = documents::elements(&definition, "SpatialReference").next() else { return Ok(None) };
        let number = |name: &str| documents::text(reference, name).and_then(|text| text.parse::<f64>().ok());
        let axis = |origin: &str, units: &str| Some((number(origin)?, number(units)?));
        let axes = || {
            Some([
                axis("XOrigin", "XYScale")?,
                axis("YOrigin", "XYScale")?,
                axis("ZOrigin", "ZScale").unwrap_or((0.0, 1.0)),
                axis("MOrigin", "MScale").unwrap_or((0.0, 1.0)),
            ])
        };
        Ok(axes().map(|axes| Grid { srid, axes }).filter(is_sound))
    }
}

/// Whether coordinates come out of a grid that a stranger made.
fn is_sound(grid: &Grid) -> bool {
    grid.axes.iter().all(|(origin, units)| origin.is_finite() && units.is_finite() && *units > 1e-6)
}

/// A geometry with the spatial reference that it names; `None` if it is empty; or what is wrong with it.
type Decoding = std::result::Result<Option<(Shape, Option<i32>)>, String>;

/// The edits as they are written.
struct Edits<'r, 'k> {
    reading: &'r Reading<'r>,
    keep: &'k mut dyn FnMut(&[u8]) -> Result<Content>,
    text: Vec<u8>,
    contents: Vec<Content>,
}

/// Which fields of a row count as edited.
#[derive(Clone, Copy)]
enum Wanted<'w> {
    /// All that are not empty: the row is new.
    New,
    /// All.
    All,
    /// Those that differ from what the row was, by the positions of the columns.
    ChangedSince(&'w [rusqlite::types::Value]),
}

impl Wanted<'_> {
    fn wants(self, position: usize, value: ValueRef<'_>) -> bool {
        match self {
            Wanted::New => value != ValueRef::Null,
            Wanted::All => true,
            Wanted::ChangedSince(before) => before.get(position).is_none_or(|before| ValueRef::from(before) != value),
        }
    }
}

impl Edits<'_, '_> {
    /// Begins a list of edits: `adds`, `updates` or `deleteIds`.
    fn open(&mut self, source: &Source<'_>, list: &str) -> usize {
        if self.text.len() > 1 {
            self.text.push(b',');
        }
        let member = if source.is_attachment { "attachments" } else { "features" };
        self.text.extend_from_slice(format!("{{\"id\":{},\"{member}\":{{\"{list}\":[", source.layer.id).as_bytes());
        self.text.len()
    }

    fn close(&mut self) {
        self.text.extend_from_slice(b"]}}");
    }

    /// Appends an edit that adds or updates a row to the list that was opened at `start`.
    fn row(&mut self, source: &Source<'_>, row: &Row<'_>, wanted: Wanted<'_>, start: usize) -> Result<()> {
        self.separate(start)?;
        let id = match row.get_ref(source.global_id).map_err(self.reading.faulty())? {
            ValueRef::Text(text) => self.reading.text(text)?.to_owned(),
            _ => String::new(),
        };
        if source.is_attachment {
            let columns = source.columns.iter().map(|column| column.name.as_str());
            let wanted = |position, _: &str, value: ValueRef<'_>| wanted.wants(position, value);
            let keep = &mut |bytes: &[u8]| {
                self.contents.push((self.keep)(bytes)?);
                Ok(self.contents.len() - 1)
            };
            let object = self.reading.attachment(columns, row, &id, wanted, keep)?;
            self.text.extend_from_slice(object.as_bytes());
            Ok(())
        } else {
            self.feature(source, row, &id, wanted)
        }
    }

    /// Appends the global id of a row that is gone.
    fn deleted(&mut self, id: &str, start: usize) -> Result<()> {
        self.separate(start)?;
        string(id, &mut self.text);
        Ok(())
    }

    fn separate(&mut self, start: usize) -> Result<()> {
        if self.text.len() > start {
            self.text.push(b',');
        }
        if self.text.len() <= self.reading.max_bytes {
            return Ok(());
        }
        Err(self.reading.wrong(format!(
            "the file has edits of more than {} bytes, and so many are taken at a time; send edits more often",
            self.reading.max_bytes
        )))
    }

    fn feature(&mut self, source: &Source<'_>, row: &Row<'_>, id: &str, wanted: Wanted<'_>) -> Result<()> {
        self.text.extend_from_slice(b"{\"attributes\":{");
        string(&source.layer.global_id_field().name, &mut self.text);
        self.text.push(b':');
        string(id, &mut self.text);
        let mut shape = None;
        for (position, column) in source.columns.iter().enumerate() {
            let value = row.get_ref(position).map_err(self.reading.faulty())?;
            if column.kind == ReadKind::Nothing || !wanted.wants(position, value) {
                continue;
            }
            match column.kind {
                ReadKind::Shape => shape = Some(value),
                ReadKind::Attribute(field) => {
                    self.text.push(b',');
                    string(&column.name, &mut self.text);
                    self.text.push(b':');
                    self.value(value, field)?;
                }
                ReadKind::Nothing => {}
            }
        }
        self.text.push(b'}');
        if let (Some(value), Some(column)) = (shape, &source.layer.shape) {
            self.text.extend_from_slice(b",\"geometry\":");
            self.geometry(source, value, column.geometry_type)?;
        }
        self.text.push(b'}');
        Ok(())
    }

    /// Appends a geometry; what cannot be read is refused in its place, and kept, like any other edit that cannot be.
    fn geometry(&mut self, source: &Source<'_>, value: ValueRef<'_>, geometry_type: GeometryType) -> Result<()> {
        let read = match value {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(blob) => self.decoded(source, blob)?,
            _ => Err("it is not a blob".to_owned()),
        };
        let out = &mut self.text;
        match read {
            Ok(Some((shape, srid))) => write_geometry(&shape, srid, source.layer.dimensions(), out),
            Ok(None) => out.extend_from_slice(empty(geometry_type)),
            Err(problem) => out.extend_from_slice(json!({ "unreadable": problem }).to_string().as_bytes()),
        }
        Ok(())
    }

    /// What a blob says.
    fn decoded(&self, source: &Source<'_>, blob: &[u8]) -> Result<Decoding> {
        let srid = match srid_of(blob) {
            Ok(srid) => srid,
            Err(problem) => return Ok(Err(problem)),
        };
        let Some((grid, known)) = source.grids.find(self.reading, srid)? else {
            return Ok(Err(format!("the file does not describe its spatial reference {srid}")));
        };
        Ok(decode(blob, &grid).map(|decoded| decoded.shape.map(|shape| (shape, known))))
    }

    /// Appends a value, so that what does not fit its field is refused by its name, and not taken for something else.
    fn value(&mut self, value: ValueRef<'_>, field: Option<FieldType>) -> Result<()> {
        let out = &mut self.text;
        let day = match value {
            ValueRef::Real(day) => Some(day),
            #[expect(
                clippy::cast_precision_loss,
                reason = "days are far fewer than 2^53, and what is beyond is refused"
            )]
            ValueRef::Integer(day) => Some(day as f64),
            _ => None,
        };
        match (value, day, field) {
            (_, Some(day), Some(FieldType::Date)) => match instant_ms(day) {
                Some(ms) => integer(ms, out),
                None => string(&format!("{day} (a Julian day)"), out),
            },
            (ValueRef::Null, ..) => out.extend_from_slice(b"null"),
            (ValueRef::Integer(value), ..) => integer(value, out),
            (ValueRef::Real(value), ..) if value.is_finite() => number(value, out),
            (ValueRef::Real(value), ..) => string(&format!("{value} (a number)"), out),
            (ValueRef::Text(text), ..) => string(self.reading.text(text)?, out),
            // No field takes one.
            (ValueRef::Blob(_), ..) => out.extend_from_slice(b"[]"),
        }
        Ok(())
    }
}

/// A global id in one spelling, to find what belongs together.
fn key(id: &str) -> String {
    GlobalId::parse(id).map_or_else(|| id.to_owned(), |id| id.to_string())
}
