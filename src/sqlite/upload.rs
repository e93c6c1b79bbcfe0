//! The edits in a database that a client sends, whichever kind of file it is: its content says so, not its name.

use std::{path::Path, time::Duration};

use super::{
    esri::read as esri,
    geopackage::read::{self as geopackage, Reading},
    read::{Bounds, Reader},
};
use crate::{
    error::{Error, Result},
    files::Content,
};

/// How large a value may be, hence an attachment: it is in memory as a whole.
const MAX_VALUE_BYTES: i32 = 256 << 20;
/// How long reading a file may take.
const MAX_TIME: Duration = Duration::from_mins(5);

/// Whether bytes are the beginning of a database.
pub(crate) fn is_database(bytes: &[u8]) -> bool {
    bytes.starts_with(b"SQLite format 3\0")
}

/// Writes the edits in a file as the parameter `edits` has them. Bytes of attachments go to `keep`; edits name what was kept
/// by its position as their upload. Blocks.
pub(crate) fn edits(
    path: &Path,
    reading: &Reading<'_>,
    keep: &mut dyn FnMut(&[u8]) -> Result<Content>,
) -> Result<(String, Vec<Content>)> {
    let bounds = Bounds { max_value_bytes: MAX_VALUE_BYTES, time: MAX_TIME };
    let reader = Reader::open(path, reading.name, bounds)?;
    if geopackage::is_ours(&reader) {
        return geopackage::edits(&reader, reading, keep);
    }
    if let Some(form) = esri::form(&reader) {
        return esri::edits(&reader, form, reading, keep);
    }
    Err(Error::invalid(
        reading.name,
        "the database is not the file of a replica: it has neither the tables sync_replica, sync_layers and sync_changes of a GeoPackage, nor the \
         tables of a mobile geodatabase. Send the file that createReplica gave, or the edits as JSON; nothing was applied",
    ))
}
