//! A second data directory with the same files: a backup, or what is made of one.

use std::{
    fs,
    io::{ErrorKind, Read as _, Result as IoResult, Write as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::{
    error::{Error, Result},
    model::digest::hex,
};

use super::{CHUNK_BYTES, Files, cannot_write};

/// What was copied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Copied {
    /// How many files.
    pub(crate) n_files: u64,
    /// How many bytes.
    pub(crate) n_bytes: u64,
    /// The files that are not what their names say, which were not copied.
    pub(crate) damaged: Vec<String>,
}

impl Files {
    /// Copies every finished file that `to` does not have. Files never change, so that what is there is right; what attachments
    /// hold is compared with its name on the way. One that goes meanwhile is passed over: nobody refers to it any more.
    pub(crate) async fn copy_missing(&self, to: &Files) -> Result<Copied> {
        let (from, to) = (self.clone(), to.clone());
        let copied = tokio::task::spawn_blocking(move || {
            let mut copied = Copied::default();
            for directory in directories(&from.contents).map_err(unreadable)? {
                copy_all(
                    &directory,
                    &to.contents.join(directory.file_name().unwrap_or_default()),
                    &to,
                    true,
                    &mut copied,
                )?;
            }
            copy_all(&from.exports, &to.exports, &to, false, &mut copied)?;
            copy_all(&from.uploads, &to.uploads, &to, false, &mut copied)?;
            Ok(copied)
        });
        copied.await.map_err(|error| Error::internal("copying files", error))?
    }
}

fn unreadable(error: std::io::Error) -> Error {
    Error::internal("reading the files to be copied", error)
}

fn directories(of: &Path) -> IoResult<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(of)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Copies the files of one directory. `named_by_digest`: their names are the SHA-256 of what is in them.
fn copy_all(from: &Path, into: &Path, to: &Files, named_by_digest: bool, copied: &mut Copied) -> Result<()> {
    fs::create_dir_all(into).map_err(cannot_write)?;
    let mut any = false;
    for entry in fs::read_dir(from).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let place = into.join(entry.file_name());
        if !entry.file_type().map_err(unreadable)?.is_file() || place.exists() {
            continue;
        }
        let aside = to.spool_path();
        let (n_bytes, sha256) = match copy(&entry.path(), &aside, to) {
            Ok(done) => done,
            Err(Error::NotFound(_)) => continue,
            Err(error) => {
                // What is left of it is of no use to anybody.
                let _ = fs::remove_file(&aside);
                return Err(error);
            }
        };
        if named_by_digest && entry.file_name().to_str() != Some(sha256.as_str()) {
            copied.damaged.push(entry.path().display().to_string());
            fs::remove_file(&aside).map_err(cannot_write)?;
            continue;
        }
        fs::rename(&aside, &place).map_err(cannot_write)?;
        any = true;
        copied.n_files += 1;
        copied.n_bytes += n_bytes;
    }
    if any {
        fs::File::open(into).and_then(|directory| directory.sync_all()).map_err(cannot_write)?;
    }
    Ok(())
}

/// Copies one file, onto the disk. Returns its size and its SHA-256.
fn copy(from: &Path, aside: &Path, to: &Files) -> Result<(u64, String)> {
    let mut source = match fs::File::open(from) {
        Ok(source) => source,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(Error::NotFound("it is gone".to_owned())),
        Err(error) => return Err(unreadable(error)),
    };
    let mut target = fs::File::create_new(aside).map_err(cannot_write)?;
    let (mut n_bytes, mut sha) = (0, Sha256::new());
    let mut chunk = vec![0_u8; CHUNK_BYTES];
    loop {
        let n_read = source.read(&mut chunk).map_err(unreadable)?;
        let read = chunk.get(..n_read).unwrap_or_default();
        if read.is_empty() {
            break;
        }
        to.reserve.check(&target, n_read as u64).map_err(cannot_write)?;
        target.write_all(read).map_err(cannot_write)?;
        sha.update(read);
        n_bytes += n_read as u64;
    }
    target.sync_all().map_err(cannot_write)?;
    Ok((n_bytes, hex(&sha.finalize())))
}

/// The SHA-256 of a file, as hexadecimal digits, and its size.
pub(crate) async fn digest(path: PathBuf) -> Result<(String, u64)> {
    let digested = tokio::task::spawn_blocking(move || -> IoResult<(String, u64)> {
        let mut file = fs::File::open(path)?;
        let mut sha = Sha256::new();
        let mut n_bytes = 0;
        let mut chunk = vec![0_u8; CHUNK_BYTES];
        loop {
            let n_read = file.read(&mut chunk)?;
            if n_read == 0 {
                return Ok((hex(&sha.finalize()), n_bytes));
            }
            sha.update(chunk.get(..n_read).unwrap_or_default());
            n_bytes += n_read as u64;
        }
    });
    digested.await.map_err(|error| Error::internal("reading a file", error))?.map_err(unreadable)
}
