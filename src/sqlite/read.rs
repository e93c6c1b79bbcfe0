//! Opens a database file that a stranger made.
//!
//! Nothing in it is believed. It is opened as it is, read-only, without its triggers, views and functions; virtual tables and
//! views are not even listed. Every statement has a time limit, every value a greatest size. What the values mean is checked
//! by whoever reads them.

use std::{
    io::Read as _,
    path::Path,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags, config::DbConfig, ffi, hooks::AuthAction, hooks::Authorization, limits::Limit};

use crate::error::{Error, Result};

/// Every database begins with this.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// How many columns a table may have.
const MAX_COLUMNS: i32 = 1000;

/// How long the text of a statement, or of a definition in the file, may be.
const MAX_SQL_BYTES: i32 = 1 << 20;

/// How deep an expression may be, also in a definition in the file.
const MAX_EXPRESSION_DEPTH: i32 = 100;

/// How many tables are looked at.
const MAX_TABLES: i64 = 10_000;

/// After how many steps of SQLite's machine the clock is asked.
const STEPS_BETWEEN_LOOKS: i32 = 100_000;

/// What a file may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// How large a single value may be.
    pub(crate) max_value_bytes: i32,
    /// How long reading may take, all in all.
    pub(crate) time: Duration,
}

/// A database file that a stranger made, open for reading. Calls block.
pub(crate) struct Reader {
    connection: Connection,
    tables: Vec<Table>,
}

/// An ordinary table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// Its name, as the file spells it.
    pub(crate) name: String,
    /// Its columns, without generated ones.
    pub(crate) columns: Vec<Column>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Its name, as the file spells it.
    pub(crate) name: String,
    /// Its type, as it was declared; SQLite does not enforce it.
    pub(crate) declared: String,
    /// Whether it is part of the primary key.
    pub(crate) is_key: bool,
}

impl Table {
    /// The column of this name, in whichever case.
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }
}

impl Reader {
    /// Opens a file. What is wrong with it is told as a fault of the parameter `name`, by which the client has named it.
    pub(crate) fn open(path: &Path, name: &'static str, bounds: Bounds) -> Result<Reader> {
        let failed = |error| Error::internal("reading an upload", error);
        let mut head = [0; 100];
        let mut file = std::fs::File::open(path).map_err(failed)?;
        if file.read_exact(&mut head).is_err() || !head.starts_with(MAGIC) {
            return Err(Error::invalid(
                name,
                "the file is not an SQLite database; upload a whole database file, or the edits as JSON with editsUploadFormat=json",
            ));
        }
        check_head(&head, file.metadata().map_err(failed)?.len()).map_err(|problem| Error::invalid(name, problem))?;
        drop(file);
        let faulty = |error| faulty(name, &error);
        let connection = connect(path, bounds).map_err(faulty)?;
        let tables = list(&connection).map_err(faulty)?;
        Ok(Reader { connection, tables })
    }

    /// The tables that may be read.
    pub(crate) fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The table of this name, in whichever case.
    pub(crate) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name.eq_ignore_ascii_case(name))
    }

    /// For statements over [`Reader::table`].
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// A failure while a stranger's file was read, told to the client.
pub(crate) fn faulty(name: &'static str, error: &rusqlite::Error) -> Error {
    let problem = match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            "the database file is damaged or incomplete; nothing was applied. Upload it again"
        }
        Some(rusqlite::ErrorCode::OperationInterrupted) => {
            "reading the database file took longer than is allowed; nothing was applied. Upload fewer edits at a time"
        }
        Some(rusqlite::ErrorCode::TooBig) => {
            "the database file has a value that is larger than is allowed; nothing was applied"
        }
        _ => return Error::invalid(name, format!("the database file cannot be read: {error}; nothing was applied")),
    };
    Error::invalid(name, problem)
}

/// Refuses what SQLite would read without a word although something is missing.
fn check_head(head: &[u8; 100], size_bytes: u64) -> std::result::Result<(), &'static str> {
    // A writer keeps its newest changes in a file beside this one, which did not come along.
    if head[18] == 2 || head[19] == 2 {
        return Err(
            "the database is still open in another program, which keeps the newest edits in a second file (-wal); close it there, or run \
             PRAGMA journal_mode=DELETE, and upload it again. Nothing was applied",
        );
    }
    let page_bytes = match u64::from(u16::from_be_bytes([head[16], head[17]])) {
        1 => 65_536,
        bytes => bytes,
    };
    let n_pages = u64::from(u32::from_be_bytes([head[28], head[29], head[30], head[31]]));
    // The number counts if it was written together with the last change.
    let is_counted = head[24..28] == head[92..96];
    if is_counted && size_bytes < n_pages * page_bytes {
        return Err("the database file is incomplete; nothing was applied. Upload it again");
    }
    Ok(())
}

fn connect(path: &Path, bounds: Bounds) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(immutable(path), flags)?;
    for (limit, value) in [
        (Limit::SQLITE_LIMIT_LENGTH, bounds.max_value_bytes),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, MAX_SQL_BYTES.min(bounds.max_value_bytes)),
        (Limit::SQLITE_LIMIT_COLUMN, MAX_COLUMNS),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, MAX_EXPRESSION_DEPTH),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 0),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, value)?;
    }
    for (setting, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
    ] {
        connection.set_db_config(setting, on)?;
    }
    connection.execute_batch(
        "PRAGMA query_only = ON; PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0; PRAGMA cache_size = -8192;
         PRAGMA temp_store = FILE; PRAGMA ignore_check_constraints = ON",
    )?;
    let deadline = Instant::now() + bounds.time;
    connection.progress_handler(STEPS_BETWEEN_LOOKS, Some(move || Instant::now() > deadline))?;
    // Pages that are not what they should be could hide rows without a word. What a table's own rules say of its rows is no matter.
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict != "ok" {
        return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(verdict)));
    }
    // From here on, nothing but reading.
    connection.authorizer(Some(|context: rusqlite::hooks::AuthContext<'_>| match context.action {
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Function { .. }
        | AuthAction::Recursive
        | AuthAction::Pragma { pragma_name: "table_info", .. } => Authorization::Allow,
        _ => Authorization::Deny,
    }))?;
    Ok(connection)
}

/// An address that tells SQLite that nobody changes the file, so that it neither locks it nor looks for a journal beside it.
fn immutable(path: &Path) -> String {
    let mut address = "file:".to_owned();
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => address.push(char::from(byte)),
            byte => {
                let digit = |value: u8| char::from(b"0123456789ABCDEF"[usize::from(value)]);
                address.extend(['%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    address + "?mode=ro&immutable=1"
}

fn list(connection: &Connection) -> rusqlite::Result<Vec<Table>> {
    let mut names = connection.prepare(
        "SELECT name FROM sqlite_schema
         WHERE type = 'table' AND typeof(name) = 'text' AND upper(ltrim(sql)) NOT LIKE 'CREATE VIRTUAL%' LIMIT ?1",
    )?;
    let names = names.query_map([MAX_TABLES], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let mut columns = connection.prepare("SELECT name, type, pk > 0 FROM pragma_table_info(?1)")?;
    let mut tables = Vec::with_capacity(names.len());
    for name in names {
        let columns = columns
            .query_map([&name], |row| Ok(Column { name: row.get(0)?, declared: row.get(1)?, is_key: row.get(2)? }))?
            .collect::<rusqlite::Result<Vec<Column>>>()?;
        tables.push(Table { name, columns });
    }
    Ok(tables)
}
