//! Writes a file of changes for a mobile geodatabase: what a synchronization sends down.
//!
//! Each table that changed is a dataset (`GDB_DataChangesDatasets`), with a table for its new rows, one for the changed, and one for those that are
//! gone (`T_1_inserts`, `T_1_updates`, `T_1_deletes`). Rows are known by their global ids; object ids are the client's own. Of files that a server made
//! none was there to compare: this one is like those that clients send, with whole rows.

use std::{collections::HashMap, fs::File};

use rusqlite::{Connection, blob::ZeroBlob, params, types::ValueRef};
use sqlx::postgres::PgRow;

use crate::{
    error::{Error, Result},
    files::Place,
    model::{
        attachment::AttachmentInfo,
        edit::{EditResult, Op},
        id::GlobalId,
        replica::SyncModel,
    },
    sqlite::{
        attachment, cannot_write,
        geopackage::{self, Plan},
        insert::{Failure, Inserts, Slots},
        message::Message,
        quoted,
        write::{Coming, Writing},
    },
};

use super::{
    column::{Column, Kind},
    geometry::Encoder,
    items::{braced, count, geometry_type},
    reference::SpatialReference,
    registry::{describe, enter_class, register_columns},
    table::Table,
    write::{encoder, finish, object_id, of_row, ordinates, put_fields, put_shape, tables},
    xml::{Class, ClassField, ClassShape},
};

const TABLES: &str = "
CREATE TABLE GDB_DataChanges (ID INTEGER PRIMARY KEY AUTOINCREMENT, ParentConnectionInfo TEXT(255), ParentID int32, ReplicaGUID uuidtext,
  ReplicaModelType int32, Major int32, Minor int32, Bugfix int32, SourceGenStart int32, SourceGenEnd int32, TargetGen int32,
  ReplicaState int16, MessageType int16, SourceMyTime realdate, ServerGen TEXT(20));
CREATE TABLE GDB_DataChangesDatasets (ID INTEGER PRIMARY KEY AUTOINCREMENT, ParentDB TEXT(255), ParentOwner TEXT(255), Name TEXT(255) NOT NULL,
  Type int16 NOT NULL, TopoID int32, LayerID int32, ServerGen TEXT(20));
CREATE TABLE GDB_DataChangesDeltas (ID INTEGER PRIMARY KEY AUTOINCREMENT, RecordsetClassID int32 NOT NULL, ChangeType int16 NOT NULL,
  ChangedDatasetID int32 NOT NULL);
CREATE TABLE GDB_DataChangesEditResults (ID INTEGER PRIMARY KEY AUTOINCREMENT, ObjectId int64, ObjectGuid uuidtext, Success int32, Code int32,
  Description TEXT(255), ChangeType int32, SyncedLayerId int32);
";

/// Begins to write a file of changes on a thread of its own.
pub(crate) fn write(place: Place, plan: Plan) -> Writing<Message> {
    Writing::begin(place, move |connection, coming| Changes::begin(connection, &plan)?.work(coming))
}

/// A file of changes that is being written.
struct Changes<'p, 'c> {
    connection: &'c Connection,
    plan: &'p Plan,
    reference: SpatialReference,
    /// The tables as a replica has them, by their positions in the plan.
    tables: Vec<(Table, Option<Table>)>,
    /// The numbers of the datasets.
    datasets: HashMap<(usize, bool), i64>,
    /// The tables of changes so far.
    made: HashMap<(usize, bool, Op), Made<'c>>,
}

/// A table of changes.
struct Made<'c> {
    name: String,
    inserts: Inserts<'c>,
    /// Where the values of the columns are in the rows that come, without the object id.
    order: Vec<usize>,
    encoder: Option<Encoder>,
    blob: Vec<u8>,
}

impl<'p, 'c> Changes<'p, 'c> {
    fn begin(connection: &'c Connection, plan: &'p Plan) -> Result<Changes<'p, 'c>> {
        connection.execute_batch(include_str!("catalogue.sql")).map_err(cannot_write)?;
        connection.execute_batch(TABLES).map_err(cannot_write)?;
        let has_more = plan.tables.iter().any(|table| table.columns.dimensions.z || table.columns.dimensions.m);
        let mut changes = Changes {
            connection,
            plan,
            reference: SpatialReference::new(&plan.reference, has_more),
            tables: tables(plan).into_iter().map(|(_, features, attachments)| (features, attachments)).collect(),
            datasets: HashMap::new(),
            made: HashMap::new(),
        };
        changes.head().map_err(cannot_write)?;
        Ok(changes)
    }

    /// Says whose changes these are, and which generation each layer reaches: also one of which nothing changed.
    fn head(&mut self) -> rusqlite::Result<()> {
        let Some(replica) = &self.plan.replica else { return Ok(()) };
        let generations = self.plan.tables.iter().filter_map(|table| Some(table.synced.as_ref()?.generation.get()));
        let oldest = match replica.model {
            SyncModel::PerReplica => generations.min(),
            SyncModel::PerLayer => None,
        };
        self.connection.execute(
            "INSERT INTO GDB_DataChanges (ReplicaGUID, ServerGen) VALUES (?1, ?2)",
            params![braced(replica.id.0), oldest.unwrap_or(0).to_string()],
        )?;
        for position in 0..self.tables.len() {
            let planned = &self.plan.tables[position];
            let generation = planned.synced.as_ref().map(|synced| synced.generation.get().to_string());
            let (features, attachments) = &self.tables[position];
            let all = [(false, Some(features)), (true, attachments.as_ref())];
            for (is_attachments, table) in all {
                let Some(table) = table else { continue };
                let number = count(self.datasets.len()) + 1;
                let kind = if table.layer.is_some() { 2 } else { 1 };
                self.connection.execute(
                    "INSERT INTO GDB_DataChangesDatasets (ID, Name, Type, LayerID, ServerGen) VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![number, table.name, kind, planned.layer.id.0, generation],
                )?;
                self.datasets.insert((position, is_attachments), number);
            }
        }
        describe(self.connection, &self.reference)
    }

    fn work(mut self, coming: &mut Coming<Message>) -> Result<()> {
        while let Some(message) = coming.next()? {
            match message {
                Message::Rows { table, op, first, rows } => self.rows(table, op.unwrap_or(Op::Add), first, &rows)?,
                Message::Attachment { table, op, info, bytes } => {
                    self.attachment(table, op.unwrap_or(Op::Add), &info, bytes)?;
                }
                Message::Deleted { table, attachments, ids } => self.deleted(table, attachments, &ids)?,
                Message::Results { table, results, .. } => self.results(table, &results)?,
                // Who waits hears when the sender is dropped.
                Message::Complete(_) | Message::Name(_) => {}
            }
        }
        self.connection.execute_batch(include_str!("indexes.sql")).map_err(cannot_write)?;
        finish(self.connection).map_err(cannot_write)
    }

    fn rows(&mut self, position: usize, op: Op, first: usize, rows: &[PgRow]) -> Result<()> {
        let planned = &self.plan.tables[position];
        self.make(position, false, op)?;
        let Some(Made { inserts, order, encoder, blob, .. }) = self.made.get_mut(&(position, false, op)) else {
            return Ok(());
        };
        let at_shape = first + planned.columns.fields.len();
        inserts
            .insert(rows, |row, slots: &mut Slots<'_, '_>| -> std::result::Result<(), Failure> {
                let named = |error| match object_id(planned, row, first) {
                    Ok(id) => of_row(error, planned, id),
                    Err(_) => error,
                };
                put_fields(planned, order, row, first, slots).map_err(|Failure(error)| named(error))?;
                if let Some(encoder) = encoder {
                    put_shape(encoder, row, at_shape, blob, slots).map_err(named)?;
                }
                Ok(())
            })
            .map_err(|Failure(error)| error)
    }

    fn attachment(&mut self, position: usize, op: Op, info: &AttachmentInfo, bytes: File) -> Result<()> {
        self.make(position, true, op)?;
        let Some(Made { name, .. }) = self.made.get(&(position, true, op)) else { return Ok(()) };
        let length = attachment::length(info, &bytes)?;
        let insert = format!(
            "INSERT INTO {} (GLOBALID, REL_GLOBALID, CONTENT_TYPE, ATT_NAME, DATA_SIZE, DATA) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            quoted(name)
        );
        let ids = [info.global_id, info.parent].map(|id| braced(id.0));
        let row = params![ids[0], ids[1], info.content_type, info.name, length, ZeroBlob(length)];
        self.connection.execute(&insert, row).map_err(cannot_write)?;
        attachment::copy(self.connection, name, self.connection.last_insert_rowid(), bytes)
    }

    fn deleted(&mut self, position: usize, attachments: bool, ids: &[GlobalId]) -> Result<()> {
        self.make(position, attachments, Op::Delete)?;
        let Some(Made { inserts, .. }) = self.made.get_mut(&(position, attachments, Op::Delete)) else { return Ok(()) };
        inserts.insert(ids, |id, slots| slots.put(ValueRef::Text(braced(id.0).as_bytes()))).map_err(cannot_write)
    }

    fn results(&self, position: usize, results: &[EditResult]) -> Result<()> {
        let layer = self.plan.tables[position].layer.id.0;
        for result in results {
            let insert = "INSERT INTO GDB_DataChangesEditResults (ObjectId, ObjectGuid, Success, Code, Description, ChangeType, SyncedLayerId)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let row = params![
                result.object_id,
                result.global_id.map(|id| braced(id.0)),
                result.error.is_none(),
                result.error.as_ref().map_or(0, |error| error.code.number()),
                result.error.as_ref().map(|error| error.description.as_str()),
                change_type(result.op),
                layer
            ];
            self.connection.execute(insert, row).map_err(cannot_write)?;
        }
        Ok(())
    }

    /// Makes the table for changes of this kind, if it is not there.
    fn make(&mut self, position: usize, attachments: bool, op: Op) -> Result<()> {
        let key = (position, attachments, op);
        if self.made.contains_key(&key) {
            return Ok(());
        }
        let planned = &self.plan.tables[position];
        let dataset = self.datasets.get(&(position, attachments)).copied();
        let table = if attachments { self.tables[position].1.as_ref() } else { Some(&self.tables[position].0) };
        let (Some(dataset), Some(table)) = (dataset, table) else {
            return Err(Error::internal("writing changes", "a layer has changes and no place in the file"));
        };
        let class = count(self.made.len()) + 1;
        let mut columns = table.columns.clone();
        if op == Op::Delete {
            columns.retain(|column| matches!(column.kind, Kind::ObjectId | Kind::GlobalId));
        }
        let changed = Table {
            name: format!("T_{dataset}_{}", suffix(op)),
            columns,
            registration: class,
            layer: table.layer.filter(|_| op != Op::Delete).map(|_| class),
            tracked: false,
            foreign_keys: Vec::new(),
        };
        let make = || -> rusqlite::Result<Inserts<'c>> {
            self.register(planned, &changed)?;
            self.connection.execute(
                "INSERT INTO GDB_DataChangesDeltas (RecordsetClassID, ChangeType, ChangedDatasetID) VALUES (?1, ?2, ?3)",
                params![class, change_type(op), dataset],
            )?;
            let names: Vec<&str> = changed.columns.iter().skip(1).map(|column| column.name.as_str()).collect();
            Inserts::new(self.connection, &changed.name, &names)
        };
        let inserts = make().map_err(cannot_write)?;
        let fields = &planned.columns.fields;
        let order = (0..fields.len()).filter(|&at| fields[at] != planned.layer.object_id).collect();
        let made = Made {
            name: changed.name,
            inserts,
            order,
            encoder: encoder(planned, &self.reference).filter(|_| !attachments),
            blob: Vec::new(),
        };
        self.made.insert(key, made);
        Ok(())
    }

    /// Makes a table of changes, and enters it where readers look for it.
    fn register(&self, planned: &geopackage::Table, table: &Table) -> rusqlite::Result<()> {
        let columns: Vec<String> = table.columns.iter().map(Column::plain_definition).collect();
        self.connection.execute_batch(&format!("CREATE TABLE {} ({})", quoted(&table.name), columns.join(", ")))?;
        register_columns(self.connection, table)?;
        let name = format!("main.{}", table.name);
        let shape = table.column(Kind::Shape).filter(|_| table.layer.is_some()).zip(planned.layer.shape.as_ref());
        let fields = table.columns.iter().map(|column| ClassField {
            column,
            alias: &column.name,
            domain: None,
            default: None,
            editable: true,
        });
        let class = Class {
            name: &name,
            item: table.registration,
            fields: fields.collect(),
            relationships: Vec::new(),
            tracking: None,
            shape: shape.map(|(column, shape)| ClassShape {
                geometry_type: geometry_type(shape.geometry_type).1,
                column: &column.name,
                has: ordinates(planned),
                extent: None,
                reference: &self.reference,
            }),
            tracked: false,
        };
        enter_class(self.connection, planned, table, &class, self.reference.grid.srid)
    }
}

fn suffix(op: Op) -> &'static str {
    match op {
        Op::Add => "inserts",
        Op::Update => "updates",
        Op::Delete => "deletes",
    }
}

/// The number of a kind of change.
pub(super) fn change_type(op: Op) -> i64 {
    match op {
        Op::Add => 1,
        Op::Update => 2,
        Op::Delete => 3,
    }
}
