//! Inserts rows quickly: many with one statement, and values bound as they lie in memory.

use rusqlite::{
    Connection, Statement, ToSql,
    types::{ToSqlOutput, ValueRef},
};

use sqlx::{Row as _, ValueRef as _, postgres::PgRow};

use super::{cannot_write, quoted};
use crate::error::{Error, Result};

/// How many rows go into one statement at most. Running a statement costs about as much as two rows.
const MAX_ROWS: usize = 64;

/// How many parameters a statement may have, in any SQLite of the last years.
const MAX_PARAMETERS: usize = 32_000;

/// Inserts into one table.
pub(crate) struct Inserts<'c> {
    many: Statement<'c>,
    one: Statement<'c>,
    n_columns: usize,
    n_rows: usize,
}

/// Where the values of a row go, one after the other.
pub(crate) struct Slots<'s, 'c> {
    statement: &'s mut Statement<'c>,
    next: usize,
}

struct Raw<'a>(ValueRef<'a>);

impl ToSql for Raw<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(self.0))
    }
}

impl Slots<'_, '_> {
    /// Binds the next value. Text must be UTF-8.
    pub(crate) fn put(&mut self, value: ValueRef<'_>) -> rusqlite::Result<()> {
        self.statement.raw_bind_parameter(self.next, Raw(value))?;
        self.next += 1;
        Ok(())
    }
}

impl<'c> Inserts<'c> {
    /// Prepares to insert into a table that has these columns, in this order.
    pub(crate) fn new(connection: &'c Connection, table: &str, columns: &[&str]) -> rusqlite::Result<Inserts<'c>> {
        let n_columns = columns.len();
        let n_rows = (MAX_PARAMETERS / n_columns.max(1)).clamp(1, MAX_ROWS);
        let row = format!("({})", vec!["?"; n_columns].join(","));
        let names: Vec<String> = columns.iter().map(|name| quoted(name)).collect();
        let head = format!("INSERT INTO {} ({}) VALUES ", quoted(table), names.join(","));
        Ok(Inserts {
            many: connection.prepare(&format!("{head}{}", vec![row.as_str(); n_rows].join(",")))?,
            one: connection.prepare(&format!("{head}{row}"))?,
            n_columns,
            n_rows,
        })
    }

    /// Inserts all rows that come, of which no more are in memory than go into one statement.
    pub(crate) fn insert_all<R>(
        &mut self,
        rows: impl Iterator<Item = rusqlite::Result<R>>,
        mut bind: impl FnMut(&R, &mut Slots<'_, 'c>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let mut gathered = Vec::with_capacity(self.n_rows);
        for row in rows {
            gathered.push(row?);
            if gathered.len() == self.n_rows {
                self.insert(&gathered, &mut bind)?;
                gathered.clear();
            }
        }
        self.insert(&gathered, bind)
    }

    /// Inserts rows; `bind` puts as many values as there are columns.
    pub(crate) fn insert<R, E: From<rusqlite::Error>>(
        &mut self,
        rows: &[R],
        mut bind: impl FnMut(&R, &mut Slots<'_, 'c>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let chunks = rows.chunks_exact(self.n_rows);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (position, row) in chunk.iter().enumerate() {
                bind(row, &mut Slots { statement: &mut self.many, next: position * self.n_columns + 1 })?;
            }
            self.many.raw_execute()?;
        }
        for row in rest {
            bind(row, &mut Slots { statement: &mut self.one, next: 1 })?;
            self.one.raw_execute()?;
        }
        Ok(())
    }
}

/// A value of a row, as the database sent it. `None` is null.
pub(crate) fn sent(row: &PgRow, at: usize) -> Result<Option<&[u8]>> {
    let value = row.try_get_raw(at)?;
    if value.is_null() {
        return Ok(None);
    }
    value.as_bytes().map(Some).map_err(|error| Error::internal("reading a value", error))
}

/// A failure to write a row: of SQLite, or of what was to be written.
pub(crate) struct Failure(pub(crate) Error);

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Failure {
        Failure(cannot_write(error))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure(error)
    }
}

/// The box round two.
pub(crate) fn around(a: [f64; 4], b: [f64; 4]) -> [f64; 4] {
    [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]
}
