//! Room on the disk of the data directory, of which a part is always left free.
//!
//! A disk that is full to the last byte fails more than the request that filled it: the database may be on it, too, and
//! stops where it cannot write its log.

use std::{
    io::{Error as IoError, ErrorKind, Result as IoResult},
    os::fd::AsFd,
    path::Path,
};

use crate::error::{Error, Result};

/// How many bytes are left free.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reserve(pub(super) u64);

impl Reserve {
    /// Fails like a full disk does, if so many bytes more would take of what is to be left free.
    pub(super) fn check(self, file: impl AsFd, n_bytes: u64) -> IoResult<()> {
        let disk = rustix::fs::fstatvfs(file)?;
        if disk.f_bavail.saturating_mul(disk.f_frsize) < n_bytes.saturating_add(self.0) {
            return Err(IoError::from(ErrorKind::StorageFull));
        }
        Ok(())
    }

    /// Refuses a result that is thought to take so many bytes below this directory, with the figures, if they are not there.
    pub(super) fn require(self, directory: &Path, n_bytes: u64) -> Result<()> {
        let free = free_bytes(directory)?;
        if free >= n_bytes.saturating_add(self.0) {
            return Ok(());
        }
        tracing::error!(n_bytes, free, reserve = self.0, "refused what the disk of the data directory has no room for");
        Err(Error::Unavailable(format!(
            "the result would take about {n_bytes} bytes on the server's disk, of which {free} are free and {} are not to be used; nothing was \
             kept. Ask for less (fewer layers, a smaller area, a where clause, attachments by URL), or tell the administrator",
            self.0
        )))
    }
}

/// How many bytes of the disk of a directory are free.
pub(super) fn free_bytes(directory: &Path) -> Result<u64> {
    let disk = rustix::fs::statvfs(directory)
        .map_err(|error| Error::internal("asking how full the disk is", IoError::from(error)))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// What a failure to write means. A full disk is nothing that a client or a developer can mend.
pub(super) fn cannot_write(error: IoError) -> Error {
    let why = match error.kind() {
        ErrorKind::StorageFull => "disk is full",
        ErrorKind::QuotaExceeded => "disk quota is used up",
        ErrorKind::FileTooLarge => "disk takes no file of this size",
        _ => return Error::internal("writing to the data directory", error),
    };
    tracing::error!(%error, "the data directory is full");
    Error::Unavailable(format!("the server's {why}; nothing was kept, try again later"))
}
