//! Files while they are written, and whole ones that have no lasting name yet.

use std::{
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::{fs::File, sync::mpsc, task::JoinHandle};

use crate::error::{Error, Result};

use super::{
    CHUNK_BYTES, Finished,
    disk::{Reserve, cannot_write},
    sync_directory,
};

/// The place of a file in the spool, which is deleted when this is dropped.
pub(super) struct Spooled {
    pub(super) path: PathBuf,
}

impl Drop for Spooled {
    fn drop(&mut self) {
        // Gone already if the file was kept; left to the next sweep if it cannot be deleted.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A place in the spool where something else writes a result. What is there is deleted when this is dropped.
pub(crate) struct Place(pub(super) Spooled);

impl Place {
    /// The path; there is nothing yet.
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Declares the file there whole, and digests it. Blocks.
    pub(crate) fn finish(self) -> Result<Finished> {
        let failed = |error| Error::internal("reading a result", error);
        let mut file = std::fs::File::open(&self.0.path).map_err(failed)?;
        let same = file.try_clone().map_err(failed)?;
        let (mut sha256, mut size_bytes) = (Sha256::new(), 0);
        // It goes to the disk while it is read.
        std::thread::scope(|scope| {
            let synced = scope.spawn(move || same.sync_all());
            let mut chunk = vec![0; CHUNK_BYTES];
            loop {
                let n_read = file.read(&mut chunk)?;
                if n_read == 0 {
                    break;
                }
                sha256.update(chunk.get(..n_read).unwrap_or_default());
                size_bytes += n_read as u64;
            }
            synced.join().unwrap_or_else(|_| Err(std::io::Error::other("the thread that syncs it has failed")))
        })
        .map_err(failed)?;
        Ok(Finished::File(Written {
            file: Arc::new(file),
            size_bytes,
            sha256: sha256.finalize().to_vec(),
            spooled: self.0,
        }))
    }
}

/// A file in the spool while a thread of its own digests and writes what comes: neither holds up whoever makes the bytes,
/// until a few chunks wait. Dropped unfinished, it leaves nothing behind.
pub(super) struct Writing {
    chunks: mpsc::Sender<Bytes>,
    thread: JoinHandle<std::io::Result<Written>>,
}

impl Writing {
    pub(super) fn begin(path: PathBuf, reserve: Reserve) -> Writing {
        let (chunks, coming) = mpsc::channel(4);
        // Nobody waits for the thread of what was dropped, so that its file is dropped as well.
        Writing { chunks, thread: tokio::task::spawn_blocking(move || write(path, reserve, coming)) }
    }

    pub(super) async fn add(&mut self, chunk: Bytes) -> Result<()> {
        if self.chunks.send(chunk).await.is_ok() {
            return Ok(());
        }
        // The thread ends before its time only if it cannot write.
        match (&mut self.thread).await {
            Ok(Err(error)) => Err(cannot_write(error)),
            _ => Err(Error::internal("writing to the data directory", "it ended before its time")),
        }
    }

    pub(super) async fn finish(self) -> Result<Written> {
        drop(self.chunks);
        let written = self.thread.await.map_err(|error| Error::internal("writing to the data directory", error))?;
        written.map_err(cannot_write)
    }
}

fn write(path: PathBuf, reserve: Reserve, mut coming: mpsc::Receiver<Bytes>) -> std::io::Result<Written> {
    let mut file = std::fs::File::create_new(&path)?;
    let spooled = Spooled { path };
    let (mut sha256, mut size_bytes) = (Sha256::new(), 0);
    while let Some(chunk) = coming.blocking_recv() {
        reserve.check(&file, chunk.len() as u64)?;
        file.write_all(&chunk)?;
        sha256.update(&chunk);
        size_bytes += chunk.len() as u64;
    }
    Ok(Written { file: Arc::new(file), size_bytes, sha256: sha256.finalize().to_vec(), spooled })
}

/// A whole file in the spool, which need not be on the disk yet. Deleted when dropped, unless it was kept.
pub(crate) struct Written {
    pub(super) file: Arc<std::fs::File>,
    pub(super) size_bytes: u64,
    pub(super) sha256: Vec<u8>,
    pub(super) spooled: Spooled,
}

impl Written {
    /// Opens it for reading.
    pub(crate) async fn open(&self) -> Result<File> {
        File::open(&self.spooled.path).await.map_err(|error| Error::internal("reading a result", error))
    }

    pub(super) async fn sync(&self) -> Result<()> {
        let file = Arc::clone(&self.file);
        let synced = tokio::task::spawn_blocking(move || file.sync_all()).await;
        synced.map_err(|error| Error::internal("writing to the data directory", error))?.map_err(cannot_write)
    }

    /// Moves it to a name that nobody knows yet, in this directory. File and name are on the disk when this returns; both
    /// are sent there at once, and a crash leaves a file of which no row tells.
    pub(super) async fn keep_as(&self, path: &Path, directory: &Path) -> Result<()> {
        tokio::fs::rename(&self.spooled.path, path).await.map_err(cannot_write)?;
        let synced = tokio::try_join!(self.sync(), async { sync_directory(directory).await.map_err(cannot_write) });
        if let Err(error) = synced {
            // Nobody will hear of it; left to the next sweep if it cannot be deleted.
            let _ = tokio::fs::remove_file(path).await;
            return Err(error);
        }
        Ok(())
    }
}
