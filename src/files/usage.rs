//! How much of the disk the data directory takes up, and how much there is.

use std::{
    fs,
    io::{Error as IoError, Result as IoResult},
    path::Path,
};

use crate::error::{Error, Result};

use super::Files;

/// How many files of a directory are counted; of more, only that there are.
const MOST_COUNTED: u64 = 100_000;

/// What is in a directory.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    /// How many files.
    pub(crate) n_files: u64,
    /// How many bytes they have together.
    pub(crate) n_bytes: u64,
    /// Whether there are more than were counted.
    pub(crate) has_more: bool,
}

/// The disk of the data directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// How many bytes the disk has.
    pub(crate) total_bytes: u64,
    /// How many of them are free for this server.
    pub(crate) free_bytes: u64,
    /// How many are never written to.
    pub(crate) reserve_bytes: u64,
    /// Results while they are written.
    pub(crate) spool: Counted,
    /// Finished results that can be fetched.
    pub(crate) exports: Counted,
    /// Files that clients sent.
    pub(crate) uploads: Counted,
    /// What attachments hold.
    pub(crate) contents: Counted,
}

impl Files {
    /// How much is there.
    pub(crate) async fn usage(&self) -> Result<Usage> {
        let files = self.clone();
        let counted = tokio::task::spawn_blocking(move || files.count());
        let failed = |error| Error::internal("looking at the data directory", error);
        counted.await.map_err(|error| Error::internal("looking at the data directory", error))?.map_err(failed)
    }

    fn count(&self) -> IoResult<Usage> {
        let disk = rustix::fs::statvfs(&self.spool).map_err(IoError::from)?;
        Ok(Usage {
            total_bytes: disk.f_blocks.saturating_mul(disk.f_frsize),
            free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
            reserve_bytes: self.reserve.0,
            spool: counted(&self.spool)?,
            exports: counted(&self.exports)?,
            uploads: counted(&self.uploads)?,
            contents: counted(&self.contents)?,
        })
    }
}

/// What is in a directory and those below it. Whatever goes away meanwhile is passed over.
fn counted(directory: &Path) -> IoResult<Counted> {
    let mut found = Counted::default();
    let mut open = vec![fs::read_dir(directory)?];
    while let Some(entries) = open.last_mut() {
        let Some(entry) = entries.next() else {
            open.pop();
            continue;
        };
        let Ok(entry) = entry else { continue };
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            open.extend(fs::read_dir(entry.path()));
            continue;
        }
        if found.n_files == MOST_COUNTED {
            found.has_more = true;
            break;
        }
        found.n_files += 1;
        found.n_bytes += metadata.len();
    }
    Ok(found)
}
