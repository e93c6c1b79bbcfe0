//! The tables by which a replica's file is synchronized, and the triggers that log what is edited in it.
//!
//! | table | what it has |
//! |---|---|
//! | `sync_replica` | the replica, in one row; `tracking` is 0 while what comes from the server is entered |
//! | `sync_layers` | for each layer its table, which rows it has, and the generation up to which it is complete |
//! | `sync_changes` | what was edited, in the order in which it was; for an update, which fields |
//! | `sync_results` | in a file of changes: what became of the edits that were sent |
//!
//! Whichever program edits the file fires the triggers. A new row without a global id gets one; nobody changes one. What the
//! log comes to for a row is worked out when it is read ([`super::read`]): from its entries, and from whether the row is there.

use rusqlite::{Connection, params};

use crate::{
    model::replica::SyncModel,
    sqlite::{literal, quoted},
};

use super::{Plan, Replica, Table, attachments_name};

/// The number of this form of the tables; a client that does not know it leaves the file alone.
pub(crate) const VERSION: i64 = 1;

/// The tables.
pub(crate) const TABLES: &str = "
CREATE TABLE sync_replica (
  id INTEGER PRIMARY KEY CHECK (id = 1), format_version INTEGER NOT NULL, replica_id TEXT NOT NULL, replica_name TEXT,
  service_url TEXT NOT NULL, sync_model TEXT NOT NULL, sync_direction TEXT NOT NULL, server_gen INTEGER,
  created_ms INTEGER NOT NULL, last_sync_ms INTEGER, tracking INTEGER NOT NULL DEFAULT 1, service_json TEXT);
CREATE TABLE sync_layers (
  layer_id INTEGER PRIMARY KEY, table_name TEXT NOT NULL UNIQUE, layer_name TEXT NOT NULL, oid_field TEXT NOT NULL,
  globalid_field TEXT NOT NULL, geometry_field TEXT, server_gen INTEGER, where_clause TEXT, use_geometry INTEGER,
  query_option TEXT, include_related INTEGER, attachments_table TEXT, layer_json TEXT, replaces INTEGER NOT NULL DEFAULT 0);
CREATE TABLE sync_changes (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, layer_id INTEGER NOT NULL, is_attachment INTEGER NOT NULL DEFAULT 0,
  op TEXT NOT NULL CHECK (op IN ('I', 'U', 'D')), globalid TEXT NOT NULL, oid INTEGER,
  changed_ms INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)), fields TEXT);
CREATE INDEX sync_changes_key ON sync_changes (layer_id, globalid, seq);
CREATE TABLE sync_results (
  layer_id INTEGER NOT NULL, is_attachment INTEGER NOT NULL, op TEXT NOT NULL, globalid TEXT, oid INTEGER,
  success INTEGER NOT NULL, code INTEGER, description TEXT);
";

/// The tables' names.
pub(crate) const NAMES: [&str; 4] = ["sync_replica", "sync_layers", "sync_changes", "sync_results"];

/// Object ids of rows that the server does not know yet begin after this, out of the way of those that it gives.
pub(crate) const LOCAL_IDS: i64 = 1_000_000_000;

/// A global id as it must look, for GLOB.
const BRACED: &str = "{[0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f]-\
[0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f]-[0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f]-\
[0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f]-[0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f]\
[0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f][0-9A-Fa-f]}";

/// A new global id.
const NEW_ID: &str = "'{' || upper(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' \
|| substr('89AB', 1 + (abs(random()) % 4), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))) || '}'";

/// Makes the tables and fills in what is known of the replica.
pub(super) fn begin(connection: &Connection, plan: &Plan, replica: &Replica) -> rusqlite::Result<()> {
    connection.execute_batch(TABLES)?;
    let generations = || plan.tables.iter().filter_map(|table| Some(table.synced.as_ref()?.generation.get()));
    let oldest = match replica.model {
        SyncModel::PerReplica => generations().min(),
        SyncModel::PerLayer => None,
    };
    // What the file has is what there is now.
    connection.execute(
        "INSERT INTO sync_replica (id, format_version, replica_id, replica_name, service_url, sync_model, sync_direction, server_gen, created_ms,
           last_sync_ms, tracking, service_json)
         SELECT 1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, now, now, 1, ?8 FROM (SELECT CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER) AS now)",
        params![
            VERSION,
            replica.id.to_string(),
            replica.name,
            replica.service_url,
            replica.model.name(),
            replica.direction.name(),
            oldest,
            plan.documents.as_ref().map(|documents| &documents.service)
        ],
    )?;
    let mut layers = connection.prepare(
        "INSERT INTO sync_layers (layer_id, table_name, layer_name, oid_field, globalid_field, geometry_field, server_gen, where_clause,
           use_geometry, query_option, include_related, attachments_table, layer_json, replaces)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    for (position, table) in plan.tables.iter().enumerate() {
        let Some(synced) = &table.synced else { continue };
        let document = plan.documents.as_ref().and_then(|documents| documents.layers.get(position));
        layers.execute(params![
            table.layer.id.0,
            table.name,
            table.layer.name,
            table.object_id(),
            table.global_id(),
            table.geometry(),
            synced.generation.get(),
            synced.query.where_clause,
            synced.query.use_geometry,
            synced.query.option.name(),
            synced.query.include_related,
            table.attachments.then(|| table.attachments_name()),
            document,
            synced.replaces
        ])?;
    }
    Ok(())
}

/// Makes the triggers of a table, when its rows are in.
pub(super) fn triggers(connection: &Connection, table: &Table) -> rusqlite::Result<()> {
    let fields =
        table.columns.fields.iter().filter(|&&index| index != table.layer.object_id && index != table.layer.global_id);
    let mut compared: Vec<&str> = fields.map(|&index| table.layer.fields[index].name.as_str()).collect();
    compared.extend(table.geometry());
    let logged = Logged {
        table: &table.name,
        layer: table.layer.id.0.into(),
        is_attachment: false,
        object_id: table.object_id(),
        global_id: table.global_id(),
        compared: &compared,
    };
    connection.execute_batch(&logged.triggers())?;
    reserve(connection, &table.name, table.object_id())?;
    if table.attachments {
        let name = attachments_name(&table.name);
        let logged = Logged {
            table: &name,
            is_attachment: true,
            object_id: "ATTACHMENTID",
            global_id: "GLOBALID",
            compared: &["REL_GLOBALID", "CONTENT_TYPE", "ATT_NAME", "KEYWORDS", "DATA"],
            ..logged
        };
        connection.execute_batch(&logged.triggers())?;
        reserve(connection, &name, "ATTACHMENTID")?;
        connection.execute_batch(&with_feature(&table.name, table.global_id(), &name))?;
    }
    Ok(())
}

/// Lets rows that are added in the file have object ids that the server will hardly give to others: those after [`LOCAL_IDS`].
pub(crate) fn reserve(connection: &Connection, table: &str, object_id: &str) -> rusqlite::Result<()> {
    let highest: i64 = connection.query_row(
        &format!("SELECT max({LOCAL_IDS}, coalesce(max({}), 0)) FROM {}", quoted(object_id), quoted(table)),
        [],
        |row| row.get(0),
    )?;
    connection.execute("DELETE FROM sqlite_sequence WHERE name = ?1", [table])?;
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)", params![table, highest])?;
    Ok(())
}

/// Deletes the attachments of a feature with it, as the server does.
pub(crate) fn with_feature(table: &str, global_id: &str, attachments: &str) -> String {
    format!(
        "CREATE TRIGGER {name} AFTER DELETE ON {table} WHEN (SELECT tracking FROM sync_replica) = 1 BEGIN
           DELETE FROM {attachments} WHERE REL_GLOBALID = OLD.{id}; END;",
        name = quoted(&format!("sync_{table}_att")),
        table = quoted(table),
        attachments = quoted(attachments),
        id = quoted(global_id),
    )
}

/// A table whose edits are logged.
#[derive(Clone, Copy)]
pub(crate) struct Logged<'a> {
    /// Its name in the file.
    pub(crate) table: &'a str,
    /// The layer.
    pub(crate) layer: i64,
    /// Whether it has the layer's attachments.
    pub(crate) is_attachment: bool,
    /// The columns of its keys.
    pub(crate) object_id: &'a str,
    pub(crate) global_id: &'a str,
    /// The columns whose change is an edit.
    pub(crate) compared: &'a [&'a str],
}

impl Logged<'_> {
    /// The statements that make its triggers.
    pub(crate) fn triggers(&self) -> String {
        let Logged { layer, .. } = self;
        let (table, oid, id) = (quoted(self.table), quoted(self.object_id), quoted(self.global_id));
        let name = |suffix: &str| quoted(&format!("sync_{}_{suffix}", self.table));
        let on = "(SELECT tracking FROM sync_replica) = 1";
        let flag = i32::from(self.is_attachment);
        let braced = literal(BRACED);
        // The names of the fields that differ, as the elements of a JSON array with a comma after each.
        let changed: Vec<String> = self
            .compared
            .iter()
            .map(|column| {
                let element = format!("{},", serde_json::Value::from(*column));
                let column = quoted(column);
                format!("CASE WHEN OLD.{column} IS NOT NEW.{column} THEN {} ELSE '' END", literal(&element))
            })
            .collect();
        let changed = if changed.is_empty() { "''".to_owned() } else { changed.join(" || ") };
        let (insert, update, keep, delete, replace) = (name("ins"), name("upd"), name("gid"), name("del"), name("rep"));
        // A row that is replaced fires no trigger of a deletion, so whoever inserts looks first: both keys are unique.
        format!(
            "CREATE TRIGGER {replace} BEFORE INSERT ON {table} WHEN {on} AND EXISTS (SELECT 1 FROM {table} WHERE {oid} = NEW.{oid} OR {id} = NEW.{id}) BEGIN
               INSERT INTO sync_changes (layer_id, is_attachment, op, globalid, oid)
               SELECT {layer}, {flag}, 'D', {id}, {oid} FROM {table} WHERE {oid} = NEW.{oid} OR {id} = NEW.{id}; END;
             CREATE TRIGGER {insert} AFTER INSERT ON {table} WHEN {on} BEGIN
               UPDATE {table} SET {id} = {NEW_ID} WHERE {oid} = NEW.{oid} AND ({id} IS NULL OR ({id} NOT GLOB {braced} AND '{{' || {id} || '}}' NOT GLOB {braced}));
               INSERT INTO sync_changes (layer_id, is_attachment, op, globalid, oid) SELECT {layer}, {flag}, 'I', {id}, {oid} FROM {table} WHERE {oid} = NEW.{oid}; END;
             CREATE TRIGGER {update} AFTER UPDATE ON {table} WHEN {on} AND OLD.{id} IS NEW.{id} BEGIN
               INSERT INTO sync_changes (layer_id, is_attachment, op, globalid, oid, fields)
               SELECT {layer}, {flag}, 'U', NEW.{id}, NEW.{oid}, changed FROM (SELECT {changed} AS changed) WHERE changed <> ''; END;
             CREATE TRIGGER {keep} BEFORE UPDATE OF {id} ON {table}
               WHEN {on} AND OLD.{id} IS NOT NEW.{id} AND (OLD.{id} GLOB {braced} OR '{{' || OLD.{id} || '}}' GLOB {braced}) BEGIN
               SELECT RAISE(ABORT, 'the global id of a row cannot be changed'); END;
             CREATE TRIGGER {delete} AFTER DELETE ON {table} WHEN {on} BEGIN
               INSERT INTO sync_changes (layer_id, is_attachment, op, globalid, oid) VALUES ({layer}, {flag}, 'D', OLD.{id}, OLD.{oid}); END;"
        )
    }
}
