//! The file: a GeoPackage that is a replica, opened for the client's own work.
//!
//! Beside the tables by which any program's edits are logged (see `crate::sqlite::geopackage`), the client has its own:
//!
//! | table | what it has |
//! |---|---|
//! | `sync_outbox` | the one request that was sent, or is about to be, and not yet answered; it is repeated until it is |
//! | `sync_outbox_changes` | the entries of the log that are in it |
//! | `sync_outbox_rows` | the edits in it, as they were sent |
//! | `sync_refused` | edits that the server refused, with its words; their rows are as the user left them |
//! | `sync_conflicts` | what others changed in rows with edits that were not sent yet |
//! | `sync_wanted` | attachments whose bytes have not come yet |
//! | `sync_leftovers` | names of replicas that may be left on the server by a clone that broke off |

use std::{
    fs::{File as Handle, OpenOptions},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, functions::FunctionFlags, params, types::ValueRef};
use serde_json::Value as Json;

use super::{
    answer::Generations,
    error::{Error, Result},
    geometry,
    service::{Layer, Offers},
};
use crate::sqlite::{
    geopackage::{
        log::{LOCAL_IDS, VERSION},
        schema,
    },
    quoted,
};

/// How long the file may be held by another program's writing.
const PATIENCE: Duration = Duration::from_secs(30);

/// The client's own tables.
pub(crate) const TABLES: &str = "
CREATE TABLE IF NOT EXISTS sync_outbox (
  id INTEGER PRIMARY KEY CHECK (id = 1), kind TEXT NOT NULL, request TEXT, status_url TEXT, head TEXT,
  made_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS sync_outbox_changes (
  seq INTEGER PRIMARY KEY, layer_id INTEGER NOT NULL, is_attachment INTEGER NOT NULL, op TEXT NOT NULL, globalid TEXT NOT NULL,
  oid INTEGER, changed_ms INTEGER NOT NULL, fields TEXT);
CREATE TABLE IF NOT EXISTS sync_outbox_rows (
  layer_id INTEGER NOT NULL, is_attachment INTEGER NOT NULL, globalid TEXT NOT NULL, op TEXT NOT NULL, sent TEXT, upload_id TEXT,
  PRIMARY KEY (layer_id, is_attachment, globalid));
CREATE TABLE IF NOT EXISTS sync_refused (
  layer_id INTEGER NOT NULL, is_attachment INTEGER NOT NULL, globalid TEXT NOT NULL, op TEXT NOT NULL, code INTEGER,
  description TEXT NOT NULL, sent TEXT, fields TEXT, refused_ms INTEGER NOT NULL, PRIMARY KEY (layer_id, is_attachment, globalid));
CREATE TABLE IF NOT EXISTS sync_conflicts (
  id INTEGER PRIMARY KEY, layer_id INTEGER NOT NULL, is_attachment INTEGER NOT NULL, globalid TEXT NOT NULL, what TEXT NOT NULL,
  theirs TEXT, seen_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS sync_wanted (
  layer_id INTEGER NOT NULL, globalid TEXT NOT NULL, url TEXT, PRIMARY KEY (layer_id, globalid));
CREATE TABLE IF NOT EXISTS sync_leftovers (replica_name TEXT PRIMARY KEY, noted_ms INTEGER NOT NULL);
";

/// The names of the client's own tables.
pub(crate) const NAMES: [&str; 7] = [
    "sync_outbox",
    "sync_outbox_changes",
    "sync_outbox_rows",
    "sync_refused",
    "sync_conflicts",
    "sync_wanted",
    "sync_leftovers",
];

/// A file that is a replica, and the only client at it.
pub(crate) struct Replica {
    /// The database.
    pub(crate) db: Connection,
    /// Where the file is.
    pub(crate) path: PathBuf,
    /// The replica's id.
    pub(crate) id: String,
    /// Its name on the server.
    pub(crate) name: String,
    /// The service.
    pub(crate) url: String,
    /// Whether each layer has a generation of its own.
    pub(crate) per_layer: bool,
    /// Which way it synchronizes: `bidirectional`, `upload`, `download`.
    pub(crate) direction: String,
    /// What the service offered when the file was made.
    pub(crate) offers: Offers,
    /// Its tables.
    pub(crate) tables: Vec<Table>,
    /// Kept open as long as this program works on the file: the lock ends with it.
    _lock: Option<Handle>,
}

/// A table of the file that is a layer's.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The layer.
    pub(crate) layer: Layer,
    /// Its name in the file.
    pub(crate) name: String,
    /// The geometry column, and how geometries are written.
    pub(crate) geometry: Option<(String, geometry::Form)>,
    /// The table of its attachments.
    pub(crate) attachments: Option<String>,
}

impl Table {
    /// The columns that the server knows, and the geometry last.
    pub(crate) fn columns(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.layer.fields.iter().map(|field| field.name.as_str()).collect();
        names.extend(self.geometry.as_ref().map(|(column, _)| column.as_str()));
        names
    }

    /// The table of features or of attachments, and its columns of object ids and global ids. `None` if there are no
    /// attachments.
    pub(crate) fn keys(&self, is_attachment: bool) -> Option<(&str, &str, &str)> {
        match is_attachment {
            false => Some((&self.name, &self.layer.oid_field, &self.layer.globalid_field)),
            true => Some((self.attachments.as_deref()?, "ATTACHMENTID", "GLOBALID")),
        }
    }
}

/// Opens a database with the functions that spatial indexes call.
pub(crate) fn connect(path: &Path, create: bool) -> Result<Connection> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(PATIENCE)?;
    db.set_prepared_statement_cache_capacity(64);
    // Keep the journal as whoever made the file wanted it; but what is committed must be on the disk.
    db.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF; PRAGMA cache_size = -65536; PRAGMA recursive_triggers = OFF")?;
    let bound = |name: &'static str, at: usize| {
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
        db.create_scalar_function(name, 1, flags, move |context| {
            Ok(match context.get_raw(0) {
                ValueRef::Blob(blob) => geometry::bounds(blob).and_then(|bounds| bounds.get(at).copied()),
                _ => None,
            })
        })
    };
    for (at, name) in ["ST_MinX", "ST_MinY", "ST_MaxX", "ST_MaxY"].into_iter().enumerate() {
        bound(name, at)?;
    }
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    db.create_scalar_function("ST_IsEmpty", 1, flags, |context| {
        Ok(match context.get_raw(0) {
            ValueRef::Blob(blob) => Some(geometry::bounds(blob).is_none()),
            _ => None,
        })
    })?;
    Ok(db)
}

impl Replica {
    /// Opens a file that is a replica, for working on it alone.
    pub(crate) fn open(path: &Path) -> Result<Replica> {
        expect_file(path)?;
        let lock = lock(path)?;
        let mut replica = Replica::look(path)?;
        replica._lock = Some(lock);
        Ok(replica)
    }

    /// Opens a file that is a replica, to look at it.
    pub(crate) fn look(path: &Path) -> Result<Replica> {
        expect_file(path)?;
        Replica::read(connect(path, false)?, path)
    }

    /// Reads what a database says of its replica.
    pub(crate) fn read(db: Connection, path: &Path) -> Result<Replica> {
        let is_there: bool =
            db.query_row("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'sync_replica')", [], |row| {
                row.get(0)
            })?;
        let unfit = || {
            Error::Unfit(format!(
                "{} is not a replica of a feature service; syncline clone makes one, and so does createReplica with dataFormat=geoPackage",
                path.display()
            ))
        };
        if !is_there {
            return Err(unfit());
        }
        let version: Option<i64> =
            db.query_row("SELECT format_version FROM sync_replica", [], |row| row.get(0)).optional()?;
        match version {
            None => return Err(unfit()),
            Some(VERSION) => {}
            Some(version) => {
                return Err(Error::Unfit(format!(
                    "{} has form {version} of the tables for synchronizing, and this program knows {VERSION}; use the program that made it, or a newer one",
                    path.display()
                )));
            }
        }
        db.execute_batch(TABLES)?;
        // A file that the server made knows nothing of the client's tables yet.
        for name in NAMES {
            schema::enter_sync_table(&db, name)?;
        }
        // The notes of the clone that made it.
        db.execute_batch("DROP TABLE IF EXISTS sync_clone")?;
        let (id, name, url, model, direction, service): (
            String,
            Option<String>,
            String,
            String,
            String,
            Option<String>,
        ) = db.query_row(
            "SELECT replica_id, replica_name, service_url, sync_model, sync_direction, service_json FROM sync_replica",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)),
        )?;
        let service: Json = service.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default();
        let tables = tables(&db)?;
        Ok(Replica {
            db,
            path: path.to_owned(),
            id,
            name: name.unwrap_or_default(),
            url,
            per_layer: model == "perLayer",
            direction,
            offers: Offers::read(&service),
            tables,
            _lock: None,
        })
    }

    /// The table of a layer.
    pub(crate) fn table(&self, layer: i64) -> Result<&Table> {
        table(&self.tables, layer)
    }

    /// The generations that the file has.
    pub(crate) fn generations(&self) -> Result<Generations> {
        let all = self.db.query_row("SELECT server_gen FROM sync_replica", [], |row| row.get(0))?;
        let mut layers = self
            .db
            .prepare("SELECT layer_id, server_gen FROM sync_layers WHERE server_gen IS NOT NULL ORDER BY layer_id")?;
        let layers = layers
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<Vec<(i64, i64)>>>()?;
        Ok(match self.per_layer {
            true => Generations { all: None, layers },
            false => Generations { all, layers: Vec::new() },
        })
    }

    /// Makes sure that edits are being recorded. A program that rebuilds a table may lose its triggers.
    pub(crate) fn check_recording(&self) -> Result<()> {
        let mut exists = self.db.prepare("SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND name = ?1 AND lower(tbl_name) = lower(?2))")?;
        for table in &self.tables {
            for name in std::iter::once(&table.name).chain(&table.attachments) {
                for suffix in ["ins", "upd", "del"] {
                    let is_there: bool =
                        exists.query_row([&format!("sync_{name}_{suffix}"), name], |row| row.get(0))?;
                    if !is_there {
                        return Err(Error::Unfit(format!(
                            "edits of table '{name}' are no longer recorded: a program has rebuilt or dropped the table, and its triggers with it. \
                             Nothing was sent. Make a new clone in another file, and bring into it what was edited here since"
                        )));
                    }
                }
            }
        }
        Ok(())
    }
}

fn expect_file(path: &Path) -> Result<()> {
    if path.is_file() {
        return Ok(());
    }
    let hint = match super::http::beside(path, "part").is_file() {
        true => "; its clone is not finished: run syncline clone again",
        false => "; syncline clone makes one",
    };
    Err(Error::Unfit(format!("there is no file {}{hint}", path.display())))
}

/// The table of a layer.
pub(crate) fn table(tables: &[Table], layer: i64) -> Result<&Table> {
    tables
        .iter()
        .find(|table| table.layer.id == layer)
        .ok_or_else(|| Error::Protocol(format!("it has rows of layer {layer}, which the file does not have")))
}

fn tables(db: &Connection) -> Result<Vec<Table>> {
    let mut listed = db.prepare(
        "SELECT l.layer_id, l.table_name, l.attachments_table, l.layer_json, g.column_name, g.srs_id, g.z, g.m, g.geometry_type_name LIKE 'MULTI%'
         FROM sync_layers l LEFT JOIN gpkg_geometry_columns g ON g.table_name = l.table_name ORDER BY l.layer_id",
    )?;
    let mut rows = listed.query([])?;
    let mut tables = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, name, text): (i64, String, Option<String>) = (row.get(0)?, row.get(1)?, row.get(3)?);
        let document: Json = text.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default();
        let layer = Layer::read(document).map_err(|_| {
            Error::Unfit(format!(
                "the file does not have the description of layer {id}: it was made by an earlier version of the server, or of a service without global ids; \
                 make a new one with syncline clone, or send it as editsUploadId of synchronizeReplica"
            ))
        })?;
        let geometry = match (row.get::<_, Option<String>>(4)?, layer.geometry) {
            (Some(column), Some((kind, ..))) => Some((
                column,
                geometry::Form {
                    kind,
                    srs_id: row.get(5)?,
                    z: row.get::<_, i64>(6)? == 1,
                    m: row.get::<_, i64>(7)? == 1,
                    multi: row.get(8)?,
                },
            )),
            _ => None,
        };
        tables.push(Table { layer, name, geometry, attachments: row.get(2)? });
    }
    Ok(tables)
}

/// Makes this the only client at the file. Programs that edit it are not kept out.
pub(crate) fn lock(path: &Path) -> Result<Handle> {
    // Opened before the database, and closed after it: closing a file ends what locks SQLite has on it.
    let handle = OpenOptions::new().read(true).write(true).open(path).map_err(|error| Error::file(path, &error))?;
    match handle.try_lock() {
        Ok(()) => Ok(handle),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::Unfit(format!(
            "another syncline works on {} at the moment; wait until it has finished",
            path.display()
        ))),
        Err(std::fs::TryLockError::Error(error)) => Err(Error::file(path, &error)),
    }
}

/// Keeps a row from being in the way: a local row that holds an object id which the server gave another one gets a new one.
pub(crate) fn make_way(
    db: &Connection,
    table: &str,
    oid_field: &str,
    globalid_field: &str,
    oid: i64,
    globalid: &str,
) -> Result<()> {
    let (table, oid_field, globalid_field) = (quoted(table), quoted(oid_field), quoted(globalid_field));
    let mut found =
        db.prepare_cached(&format!("SELECT 1 FROM {table} WHERE {oid_field} = ?1 AND {globalid_field} IS NOT ?2"))?;
    if found.exists(params![oid, globalid])? {
        // Above all that were ever given here.
        db.execute(
            &format!("UPDATE {table} SET {oid_field} = (SELECT max({LOCAL_IDS}, max({oid_field})) + 1 FROM {table}) WHERE {oid_field} = ?1"),
            [oid],
        )?;
    }
    Ok(())
}
