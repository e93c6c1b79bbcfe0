//! Writes a GeoPackage as its rows come.

use std::fs::File;

use rusqlite::{Connection, blob::ZeroBlob, params, types::ValueRef};
use sqlx::postgres::PgRow;

use crate::{
    error::Result,
    files::Place,
    format::array,
    model::{
        attachment::AttachmentInfo,
        edit::{EditResult, Op},
        id::GlobalId,
    },
    sqlite::{
        attachment, cannot_write,
        insert::{Failure, Inserts, Slots, around, sent},
        message::Message,
        packed::Boxes,
        quoted,
        sorted::{IdKeys, id_key},
        write::{Coming, Writing},
    },
};

use super::{Plan, attachments_name, geometry, log, schema, style, values};

/// Begins to write a GeoPackage on a thread of its own.
pub(crate) fn write(place: Place, plan: Plan) -> Writing<Message> {
    Writing::begin(place, move |connection, coming| Package::begin(connection, &plan)?.work(coming))
}

/// A GeoPackage that is being written.
struct Package<'p, 'c> {
    connection: &'c Connection,
    plan: &'p Plan,
    tables: Vec<Filling<'c>>,
}

/// A table that is being filled.
struct Filling<'c> {
    inserts: Inserts<'c>,
    boxes: Boxes,
    /// The global ids, for their index.
    ids: IdKeys,
    n_rows: i64,
    /// The box round all rows.
    extent: Option<[f64; 4]>,
    /// Memory that is used again for each geometry.
    shape: Vec<u8>,
}

impl<'p, 'c> Package<'p, 'c> {
    fn begin(connection: &'c Connection, plan: &'p Plan) -> Result<Package<'p, 'c>> {
        let make = || -> rusqlite::Result<Vec<Filling<'c>>> {
            schema::container(connection, plan)?;
            let mut tables = Vec::with_capacity(plan.tables.len());
            for table in &plan.tables {
                schema::table(connection, plan.reference.srid, table)?;
                tables.push(Filling {
                    inserts: Inserts::new(connection, &table.name, &schema::columns(table))?,
                    boxes: Boxes::beside(connection),
                    ids: IdKeys::beside(connection),
                    n_rows: 0,
                    extent: None,
                    shape: Vec::new(),
                });
            }
            if let Some(replica) = &plan.replica {
                log::begin(connection, plan, replica)?;
            }
            Ok(tables)
        };
        Ok(Package { connection, plan, tables: make().map_err(cannot_write)? })
    }

    fn work(mut self, coming: &mut Coming<Message>) -> Result<()> {
        while let Some(message) = coming.next()? {
            match message {
                Message::Rows { table, op, first, rows } => {
                    self.rows(table, first, &rows)?;
                    if let Some(op) = op {
                        self.note_rows(table, op, first, &rows)?;
                    }
                }
                Message::Attachment { table, op, info, bytes } => {
                    self.attachment(table, &info, bytes)?;
                    if let Some(op) = op {
                        self.note(table, true, op, info.global_id, Some(info.id))?;
                    }
                }
                Message::Deleted { table, attachments, ids } => {
                    for id in ids {
                        self.note(table, attachments, Op::Delete, id, None)?;
                    }
                }
                Message::Results { table, attachments, results } => self.results(table, attachments, &results)?,
                Message::Complete(done) => {
                    self.complete().map_err(cannot_write)?;
                    // If nobody waits any more, the file is dropped as well.
                    let _ = done.send(());
                }
                Message::Name(name) => {
                    self.connection
                        .execute("UPDATE sync_replica SET replica_name = ?1", [name])
                        .map_err(cannot_write)?;
                }
            }
        }
        Ok(())
    }

    fn rows(&mut self, position: usize, first: usize, rows: &[PgRow]) -> Result<()> {
        let table = &self.plan.tables[position];
        let srid = self.plan.reference.srid;
        let (fields, object_id, global_id) = (&table.columns.fields, table.layer.object_id, table.layer.global_id);
        let with_boxes = !self.plan.only_changes;
        let has_geometry = table.geometry().is_some();
        let Filling { inserts, boxes, ids, n_rows, extent, shape } = &mut self.tables[position];
        inserts
            .insert(rows, |row, slots: &mut Slots<'_, '_>| -> std::result::Result<(), Failure> {
                *n_rows += 1;
                let (mut id, mut global) = (0, None);
                for (at, &index) in fields.iter().enumerate() {
                    let Some(bytes) = sent(row, first + at)? else {
                        slots.put(ValueRef::Null)?;
                        continue;
                    };
                    if index == object_id {
                        id = values::integer(bytes)?;
                    } else if index == global_id {
                        global = Some(array(bytes)?);
                    }
                    values::put(bytes, &table.layer.fields[index], slots)?;
                }
                if let Some(global) = global {
                    // Keys of their own are counted.
                    ids.push(id_key(global, if table.own_keys { *n_rows } else { id }))?;
                }
                if !has_geometry {
                    return Ok(());
                }
                let Some(bytes) = sent(row, first + fields.len())? else { return Ok(slots.put(ValueRef::Null)?) };
                if let Some(bounds) = geometry::write(bytes, srid, shape)? {
                    *extent = Some(extent.map_or(bounds, |known| around(known, bounds)));
                    if with_boxes {
                        boxes.add(id, bounds)?;
                    }
                }
                Ok(slots.put(if shape.is_empty() { ValueRef::Null } else { ValueRef::Blob(shape) })?)
            })
            .map_err(|Failure(error)| error)
    }

    fn attachment(&mut self, position: usize, info: &AttachmentInfo, bytes: File) -> Result<()> {
        let name = attachments_name(&self.plan.tables[position].name);
        let length = attachment::length(info, &bytes)?;
        let columns = schema::ATTACHMENT_COLUMNS.join(", ");
        let mut insert = self
            .connection
            .prepare(&format!("INSERT INTO {} ({columns}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", quoted(&name)))
            .map_err(cannot_write)?;
        let row = insert.insert(params![
            info.id,
            braced(info.global_id),
            braced(info.parent),
            info.content_type,
            info.name,
            length,
            info.keywords,
            ZeroBlob(length)
        ]);
        attachment::copy(self.connection, &name, row.map_err(cannot_write)?, bytes)
    }

    /// Names changed rows in the log.
    fn note_rows(&self, position: usize, op: Op, first: usize, rows: &[PgRow]) -> Result<()> {
        let table = &self.plan.tables[position];
        let at = |wanted| table.columns.fields.iter().position(|&index| index == wanted).unwrap_or_default();
        let (object_id, global_id) = (first + at(table.layer.object_id), first + at(table.layer.global_id));
        for row in rows {
            let id = GlobalId(uuid::Uuid::from_bytes(array(sent(row, global_id)?.unwrap_or_default())?));
            self.note(position, false, op, id, Some(values::integer(sent(row, object_id)?.unwrap_or_default())?))?;
        }
        Ok(())
    }

    fn note(&self, position: usize, is_attachment: bool, op: Op, id: GlobalId, object_id: Option<i64>) -> Result<()> {
        let layer = self.plan.tables[position].layer.id.0;
        let insert =
            "INSERT INTO sync_changes (layer_id, is_attachment, op, globalid, oid) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.connection
            .execute(insert, params![layer, is_attachment, letter(op), braced(id), object_id])
            .map_err(cannot_write)?;
        Ok(())
    }

    fn results(&self, position: usize, is_attachment: bool, results: &[EditResult]) -> Result<()> {
        let layer = self.plan.tables[position].layer.id.0;
        for result in results {
            self.connection
                .execute(
                    "INSERT INTO sync_results VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                    params![
                        layer,
                        is_attachment,
                        letter(result.op),
                        result.global_id.map(braced),
                        result.object_id,
                        result.error.is_none(),
                        result.error.as_ref().map(|error| error.code.number()),
                        result.error.as_ref().map(|error| error.description.as_str()),
                    ],
                )
                .map_err(cannot_write)?;
        }
        Ok(())
    }

    /// Makes what is made when all rows are in.
    fn complete(&mut self) -> rusqlite::Result<()> {
        for (table, filling) in self.plan.tables.iter().zip(&mut self.tables) {
            let ids = std::mem::replace(&mut filling.ids, IdKeys::beside(self.connection));
            schema::finish_table(self.connection, table, ids)?;
            if let Some([min_x, min_y, max_x, max_y]) = filling.extent {
                self.connection.execute(
                    "UPDATE gpkg_contents SET min_x = ?2, min_y = ?3, max_x = ?4, max_y = ?5 WHERE table_name = ?1",
                    params![table.name, min_x, min_y, max_x, max_y],
                )?;
            }
            if self.plan.only_changes {
                continue;
            }
            if let Some(column) = table.geometry() {
                schema::rtree(self.connection, &table.name, column)?;
                let boxes = std::mem::replace(&mut filling.boxes, Boxes::beside(self.connection));
                boxes.write(self.connection, &schema::rtree_name(&table.name, column))?;
                schema::rtree_triggers(self.connection, &table.name, column, table.object_id())?;
            }
            if self.plan.replica.is_some() {
                log::triggers(self.connection, table)?;
            }
        }
        for relation in &self.plan.relations {
            schema::relation(self.connection, self.plan, relation)?;
        }
        if !self.plan.only_changes {
            style::write(self.connection, self.plan.tables.iter().filter_map(style::Drawn::of))?;
        }
        Ok(())
    }
}

fn letter(op: Op) -> &'static str {
    match op {
        Op::Add => "I",
        Op::Update => "U",
        Op::Delete => "D",
    }
}

fn braced(id: GlobalId) -> String {
    String::from_utf8_lossy(&values::guid(*id.0.as_bytes())).into_owned()
}
