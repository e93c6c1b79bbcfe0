//! The bytes of attachments, into the rows that have room for them.

use std::{fs::File, io::Read as _};

use rusqlite::{Connection, MAIN_DB};

use super::cannot_write;
use crate::{
    error::{Error, Result},
    model::attachment::AttachmentInfo,
};

/// How much of an attachment is copied at a time.
const CHUNK_BYTES: usize = 1 << 18;

/// What SQLite takes as one value, unless it was built otherwise.
const MAX_BLOB_BYTES: u64 = 1_000_000_000;

/// How long an attachment is, if a file can hold it.
pub(super) fn length(info: &AttachmentInfo, bytes: &File) -> Result<i32> {
    let size = bytes.metadata().map_err(|error| Error::internal("reading an attachment", error))?.len();
    let length = i32::try_from(size).ok().filter(|_| size <= MAX_BLOB_BYTES);
    length.ok_or_else(|| {
        Error::NotSupported(format!(
            "attachment {} ({}) has {size} bytes, and a database file takes {MAX_BLOB_BYTES} at most; ask without attachments (returnAttachments=false), or for dataFormat=json",
            info.global_id, info.name
        ))
    })
}

/// Copies the bytes of an attachment into the column `DATA` of a row that has room for them.
pub(super) fn copy(connection: &Connection, table: &str, row: i64, mut bytes: File) -> Result<()> {
    let mut blob = connection.blob_open(MAIN_DB, table, "DATA", row, false).map_err(cannot_write)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut at = 0;
    loop {
        let n_read = bytes.read(&mut chunk).map_err(|error| Error::internal("reading an attachment", error))?;
        if n_read == 0 {
            return Ok(());
        }
        blob.write_at(chunk.get(..n_read).unwrap_or_default(), at).map_err(cannot_write)?;
        at += n_read;
    }
}
