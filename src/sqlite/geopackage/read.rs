//! The edits in a GeoPackage that a client sends: what the log comes to, as the JSON that a client could have sent instead.
//!
//! From there, there is one way for all edits. The rows themselves are read only where the log names them, so that a large
//! file with few edits costs little.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use rusqlite::{Row, Statement, types::ValueRef};
use serde_json::{Value as Json, json};

use crate::{
    error::{Error, Result},
    files::Content,
    format::{
        edit::{empty, write_geometry},
        json::{integer, number, string},
    },
    model::{
        id::{GlobalId, LayerId, ReplicaId},
        layer::Layer,
        value::{FieldType, brief},
    },
    sqlite::{
        quoted,
        read::{Reader, Table, faulty},
    },
};

use super::{log, shape};

/// How many edits of how many rows are taken out of a file.
const MAX_ROWS: usize = 1_000_000;

/// Whether a file is one of ours.
pub(crate) fn is_ours(reader: &Reader) -> bool {
    log::NAMES.iter().take(3).all(|name| reader.table(name).is_some()) && reader.table("gpkg_contents").is_some()
}

/// What is needed to read a file.
pub(crate) struct Reading<'a> {
    /// The parameter that names the file.
    pub(crate) name: &'static str,
    /// The layers of the service.
    pub(crate) layers: &'a [Arc<Layer>],
    /// The replica that it must be of.
    pub(crate) replica: ReplicaId,
    /// How long the edits may be, as JSON.
    pub(crate) max_bytes: usize,
}

/// Writes the edits in the file of a replica as the parameter `edits` has them. Bytes of attachments go to `keep`; edits name
/// what was kept by its position as their upload.
pub(crate) fn edits(
    reader: &Reader,
    reading: &Reading<'_>,
    keep: &mut dyn FnMut(&[u8]) -> Result<Content>,
) -> Result<(String, Vec<Content>)> {
    reading.check_replica(reader)?;
    let mut out = Edits { reading, keep, text: b"[".to_vec(), contents: Vec::new() };
    for known in reading.layers(reader)? {
        for is_attachment in [false, true] {
            let nets = reading.nets(reader, known.layer.id, is_attachment)?;
            if !nets.is_empty() {
                out.layer(reader, &known, is_attachment, &nets)?;
            }
        }
    }
    out.text.push(b']');
    let text = String::from_utf8(out.text).map_err(|error| Error::internal("reading edits", error))?;
    Ok((text, out.contents))
}

/// A layer as the file has it.
struct Known<'a> {
    layer: &'a Layer,
    table: String,
    global_id: String,
    geometry: Option<String>,
    attachments: Option<String>,
}

/// What became of a row while the client was alone.
#[derive(Default)]
struct Net {
    /// Whether the client made it.
    is_new: bool,
    /// Whether it was replaced as a whole.
    is_replaced: bool,
    /// The fields that were changed.
    fields: BTreeSet<String>,
}

impl Reading<'_> {
    pub(in crate::sqlite) fn wrong(&self, problem: impl Into<String>) -> Error {
        Error::invalid(self.name, format!("{}; nothing was applied", problem.into()))
    }

    pub(in crate::sqlite) fn faulty(&self) -> impl Fn(rusqlite::Error) -> Error + use<> {
        let name = self.name;
        move |error| faulty(name, &error)
    }

    fn check_replica(&self, reader: &Reader) -> Result<()> {
        let row = reader.connection().query_row(
            "SELECT format_version, CAST(replica_id AS TEXT) FROM sync_replica",
            [],
            |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?)),
        );
        let (version, id) = match row {
            Err(rusqlite::Error::QueryReturnedNoRows) => {
                return Err(self.wrong("the file does not say whose it is: its table sync_replica is empty"));
            }
            row => row.map_err(self.faulty())?,
        };
        if version != log::VERSION {
            return Err(self.wrong(format!(
                "the log in the file has version {version}, and this server knows version {}; create the replica again",
                log::VERSION
            )));
        }
        let id = id.unwrap_or_default();
        if ReplicaId::parse(&id) != Some(self.replica) {
            return Err(self.wrong(format!(
                "the file is of replica '{}', and the request is about replica {}; send the file of the replica that you name",
                brief(&id),
                self.replica
            )));
        }
        Ok(())
    }

    fn layers(&self, reader: &Reader) -> Result<Vec<Known<'_>>> {
        let mut statement = reader
            .connection()
            .prepare("SELECT layer_id, table_name, globalid_field, geometry_field, attachments_table FROM sync_layers ORDER BY layer_id")
            .map_err(self.faulty())?;
        let mut rows = statement.query([]).map_err(self.faulty())?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(self.faulty())? {
            let read = |row: &Row<'_>| Ok((row.get::<_, i32>(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?));
            let (id, table, global_id, geometry, attachments) = read(row).map_err(self.faulty())?;
            let layer = self
                .layers
                .iter()
                .find(|layer| layer.id == LayerId(id))
                .ok_or_else(|| self.wrong(format!("the file has a layer {id}, and the service has none")))?;
            if found.iter().any(|known: &Known<'_>| known.layer.id == layer.id) {
                return Err(self.wrong(format!("the file has layer {id} twice")));
            }
            found.push(Known { layer, table, global_id, geometry, attachments });
        }
        Ok(found)
    }

    /// What became of the rows of a table that the log names, in the order in which they were first edited.
    fn nets(&self, reader: &Reader, layer: LayerId, is_attachment: bool) -> Result<Vec<(String, Net)>> {
        let with_fields = reader.table("sync_changes").is_some_and(|table| table.column("fields").is_some());
        let fields = if with_fields { "CAST(fields AS TEXT)" } else { "NULL" };
        let mut statement = reader
            .connection()
            .prepare(&format!(
                "SELECT op, CAST(globalid AS TEXT), {fields} FROM sync_changes WHERE layer_id = ?1 AND (is_attachment <> 0) = ?2 ORDER BY seq"
            ))
            .map_err(self.faulty())?;
        let mut rows = statement.query((layer.0, is_attachment)).map_err(self.faulty())?;
        let mut nets: Vec<(String, Net)> = Vec::new();
        let mut positions: HashMap<String, usize> = HashMap::new();
        while let Some(row) = rows.next().map_err(self.faulty())? {
            let read = |row: &Row<'_>| {
                Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(1)?, row.get::<_, Option<String>>(2)?))
            };
            let (op, id, fields) = read(row).map_err(self.faulty())?;
            let id = id.unwrap_or_default();
            let key = GlobalId::parse(&id).map_or_else(|| id.clone(), |id| id.to_string());
            let position = match positions.get(&key) {
                Some(&position) => position,
                None if nets.len() >= MAX_ROWS => {
                    return Err(Error::TooLarge {
                        what: "the upload",
                        limit: format!("{MAX_ROWS} edited rows of a layer; send edits more often"),
                    });
                }
                None => {
                    positions.insert(key, nets.len());
                    nets.push((id, Net { is_new: op == "I", ..Net::default() }));
                    nets.len() - 1
                }
            };
            let net = &mut nets[position].1;
            match fields {
                Some(fields) if op == "U" => net.fields.extend(self.names(&fields)?),
                _ => net.is_replaced = true,
            }
        }
        Ok(nets)
    }

    /// Names as the elements of a JSON array, without its brackets, and with a comma at the end.
    fn names(&self, fields: &str) -> Result<Vec<String>> {
        serde_json::from_str(&format!("[{}]", fields.trim_end_matches(',')))
            .map_err(|_| self.wrong(format!("the log in the file names fields as '{}'", brief(fields))))
    }
}

/// The edits as they are written.
struct Edits<'r, 'k> {
    reading: &'r Reading<'r>,
    keep: &'k mut dyn FnMut(&[u8]) -> Result<Content>,
    text: Vec<u8>,
    contents: Vec<Content>,
}

impl Edits<'_, '_> {
    /// Appends the edits of a layer, or of its attachments.
    fn layer(&mut self, reader: &Reader, known: &Known<'_>, is_attachment: bool, nets: &[(String, Net)]) -> Result<()> {
        let wrong = |problem: String| self.reading.wrong(problem);
        let name = match (is_attachment, &known.attachments) {
            (false, _) => &known.table,
            (true, Some(name)) => name,
            (true, None) => {
                return Err(wrong(format!(
                    "the file has edits of attachments of layer {} and no table of them",
                    known.layer.id
                )));
            }
        };
        let global_id = if is_attachment { "GLOBALID" } else { known.global_id.as_str() };
        let table = reader.table(name).ok_or_else(|| {
            wrong(format!(
                "the file has edits of table '{}', which is not there or is not an ordinary table",
                brief(name)
            ))
        })?;
        let Some(key) = table.column(global_id) else {
            return Err(wrong(format!("table '{}' has no column '{}'", brief(name), brief(global_id))));
        };
        let columns: Vec<String> = table.columns.iter().map(|column| quoted(&column.name)).collect();
        let mut row = reader
            .connection()
            .prepare(&format!(
                "SELECT {} FROM {} WHERE {} = ?1",
                columns.join(", "),
                quoted(&table.name),
                quoted(&key.name)
            ))
            .map_err(self.reading.faulty())?;
        if self.text.len() > 1 {
            self.text.push(b',');
        }
        let member = if is_attachment { "attachments" } else { "features" };
        self.text.extend_from_slice(format!("{{\"id\":{},\"{member}\":{{", known.layer.id).as_bytes());
        let mut deleted: Vec<&str> = Vec::new();
        for (list, are_new) in [("adds", true), ("updates", false)] {
            self.text.extend_from_slice(format!("\"{list}\":[").as_bytes());
            let mut is_first = true;
            for (id, net) in nets.iter().filter(|(_, net)| net.is_new == are_new) {
                // What is not there any more was deleted, whatever the log has; unless nobody else ever saw it.
                let there = self.row(&mut row, (known, table, is_attachment), (id, net), is_first)?;
                if there {
                    is_first = false;
                } else if !net.is_new {
                    deleted.push(id);
                }
            }
            self.text.extend_from_slice(b"],");
        }
        self.text.extend_from_slice(format!("\"deleteIds\":{}}}}}", Json::from(deleted)).as_bytes());
        Ok(())
    }

    /// Appends an edit that adds or updates a row. False if there is no such row.
    fn row(
        &mut self,
        statement: &mut Statement<'_>,
        (known, table, is_attachment): (&Known<'_>, &Table, bool),
        (id, net): (&str, &Net),
        is_first: bool,
    ) -> Result<bool> {
        let faulty = self.reading.faulty();
        let mut rows = statement.query([id]).map_err(&faulty)?;
        let Some(row) = rows.next().map_err(&faulty)? else { return Ok(false) };
        if !is_first {
            self.text.push(b',');
        }
        let is_wanted = |name: &str| {
            net.is_new || net.is_replaced || net.fields.iter().any(|field| field.eq_ignore_ascii_case(name))
        };
        if is_attachment {
            let columns = table.columns.iter().map(|column| column.name.as_str());
            let wanted = |_, name: &str, _: ValueRef<'_>| is_wanted(name);
            let keep = &mut |bytes: &[u8]| {
                self.contents.push((self.keep)(bytes)?);
                Ok(self.contents.len() - 1)
            };
            let object = self.reading.attachment(columns, row, id, wanted, keep)?;
            self.text.extend_from_slice(object.as_bytes());
        } else {
            self.feature(known, table, row, (id, net.is_new), is_wanted)?;
        }
        if self.text.len() > self.reading.max_bytes {
            return Err(Error::invalid(
                self.reading.name,
                format!(
                    "the file has edits of more than {} bytes, and so many are taken at a time; nothing was applied. Send edits more often",
                    self.reading.max_bytes
                ),
            ));
        }
        Ok(true)
    }

    fn feature(
        &mut self,
        known: &Known<'_>,
        table: &Table,
        row: &Row<'_>,
        (id, is_new): (&str, bool),
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let out = &mut self.text;
        out.extend_from_slice(b"{\"attributes\":{");
        string(&known.layer.global_id_field().name, out);
        out.push(b':');
        string(id, out);
        let mut geometry = None;
        for (position, column) in table.columns.iter().enumerate() {
            if known.geometry.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(&column.name)) {
                geometry = is_wanted(&column.name).then_some(position);
                continue;
            }
            if column.is_key || column.name.eq_ignore_ascii_case(&known.global_id) || !is_wanted(&column.name) {
                continue;
            }
            let value = row.get_ref(position).map_err(self.reading.faulty())?;
            // What a new row leaves empty is filled in by the server, if it has something to fill in.
            if is_new && value == ValueRef::Null {
                continue;
            }
            let field = known.layer.field_index(&column.name).map(|index| known.layer.fields[index].field_type);
            out.push(b',');
            string(&column.name, out);
            out.push(b':');
            self.reading.value(value, field, out)?;
        }
        out.push(b'}');
        if let (Some(position), Some(column)) = (geometry, &known.layer.shape) {
            let read = match row.get_ref(position).map_err(self.reading.faulty())? {
                ValueRef::Null => Ok(None),
                ValueRef::Blob(blob) => shape::read(blob),
                _ => Err("it is not a blob"),
            };
            match read {
                Ok(None) if is_new => {}
                Ok(None) => {
                    out.extend_from_slice(b",\"geometry\":");
                    out.extend_from_slice(empty(column.geometry_type));
                }
                Ok(Some(shape)) => {
                    out.extend_from_slice(b",\"geometry\":");
                    // In the reference of the replica, which is what a geometry without one is in.
                    write_geometry(&shape, None, known.layer.dimensions(), out);
                }
                // Refused in its place, and kept, like any other edit that cannot be read.
                Err(problem) => {
                    let problem = json!({ "unreadable": problem });
                    out.extend_from_slice(format!(",\"geometry\":{problem}").as_bytes());
                }
            }
        }
        out.push(b'}');
        Ok(())
    }
}

impl Reading<'_> {
    pub(in crate::sqlite) fn text<'t>(&self, bytes: &'t [u8]) -> Result<&'t str> {
        std::str::from_utf8(bytes).map_err(|_| self.wrong("the file has a text that is not UTF-8"))
    }

    /// An edited attachment as JSON: what is `wanted` of its columns, which are given by their places, names and values. `keep` keeps bytes, and says under
    /// which number.
    pub(in crate::sqlite) fn attachment<'n>(
        &self,
        columns: impl Iterator<Item = &'n str>,
        row: &Row<'_>,
        id: &str,
        wanted: impl Fn(usize, &str, ValueRef<'_>) -> bool,
        keep: &mut dyn FnMut(&[u8]) -> Result<usize>,
    ) -> Result<String> {
        let mut object = json!({ "globalId": id });
        for (position, column) in columns.enumerate() {
            let name = column.to_ascii_uppercase();
            let member = match name.as_str() {
                "REL_GLOBALID" => "parentGlobalId",
                "CONTENT_TYPE" => "contentType",
                "ATT_NAME" => "name",
                "KEYWORDS" => "keywords",
                "DATA" => "uploadId",
                _ => continue,
            };
            let value = row.get_ref(position).map_err(self.faulty())?;
            if !wanted(position, &name, value) {
                continue;
            }
            object[member] = match value {
                ValueRef::Blob(bytes) if name == "DATA" => Json::from(keep(bytes)?.to_string()),
                ValueRef::Text(text) if name != "DATA" => Json::from(self.text(text)?),
                ValueRef::Null => continue,
                _ => {
                    return Err(self.wrong(format!(
                        "attachment '{}' has a {name} of a type that does not belong there",
                        brief(id)
                    )));
                }
            };
        }
        Ok(object.to_string())
    }

    /// Appends a value, so that what does not fit its field is refused by its name, and not taken for something else.
    fn value(&self, value: ValueRef<'_>, field: Option<FieldType>, out: &mut Vec<u8>) -> Result<()> {
        match value {
            ValueRef::Null => out.extend_from_slice(b"null"),
            // A number where a date is kept as text is not milliseconds.
            ValueRef::Integer(value) if field == Some(FieldType::Date) => string(&format!("{value} (a number)"), out),
            ValueRef::Real(value) if field == Some(FieldType::Date) || !value.is_finite() => {
                string(&format!("{value} (a number)"), out);
            }
            ValueRef::Integer(value) => integer(value, out),
            ValueRef::Real(value) => number(value, out),
            ValueRef::Text(text) => string(self.text(text)?, out),
            // No field takes one.
            ValueRef::Blob(_) => out.extend_from_slice(b"[]"),
        }
        Ok(())
    }
}
