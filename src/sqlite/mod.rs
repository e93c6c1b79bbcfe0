//! SQLite files: results that are databases, and databases that clients send.
//!
//! What every kind of file needs is here: [`mod@write`] makes a file on a thread of its own, [`packed`] gives it a spatial index and [`sorted`]
//! others, [`read`] opens one that a stranger made. What stands in the tables is the matter of the rooms below.

mod attachment;
pub(crate) mod esri;
pub(crate) mod geopackage;
mod insert;
pub(crate) mod message;
pub(crate) mod packed;
pub(crate) mod read;
pub(crate) mod sorted;
pub(crate) mod upload;
pub(crate) mod write;

use crate::error::Error;

/// A name as SQLite takes it, whatever is in it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as a literal, for statements that take no parameters.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A failure to write a database. A full disk is nothing that a client or a developer can mend.
pub(crate) fn cannot_write(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => {
            tracing::error!(%error, "the data directory is full");
            Error::Unavailable("the server's disk is full; nothing was kept, try again later".to_owned())
        }
        _ => Error::internal("writing a database file", error),
    }
}

#[cfg(test)]
mod tests;
