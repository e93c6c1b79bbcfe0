//! Bytes outside the database: results while they are written, finished results that wait to be fetched, and files that
//! clients send.
//!
//! Names are ids that Syncline makes; nothing of a request is ever part of a path. A result is written under `spool/` and
//! moved to `exports/` when it is complete, so that a file there is always whole; so is what a client sends, under
//! `uploads/`. Rows point to files, never the other way; files without rows are swept away. What attachments hold is under
//! `contents/`, by the SHA-256 of the bytes: what is the same is kept once, and what is there under a name can be nothing
//! else.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    model::{digest::hex, upload_item::UploadedFile},
};

/// How much is gathered before it goes to the disk. Results that stay below never touch it.
const CHUNK_BYTES: usize = 1 << 20;

/// The data directory.
#[derive(Clone, Debug)]
pub struct Files {
    spool: PathBuf,
    exports: PathBuf,
    contents: PathBuf,
    uploads: PathBuf,
}

impl Files {
    /// Uses this directory; makes it if need be.
    pub async fn open(data: &Path) -> Result<Files> {
        let files = Files {
            spool: data.join("spool"),
            exports: data.join("exports"),
            contents: data.join("contents"),
            uploads: data.join("uploads"),
        };
        for directory in [&files.spool, &files.exports, &files.contents, &files.uploads] {
            tokio::fs::create_dir_all(directory).await.map_err(|error| {
                Error::Unavailable(format!(
                    "the data directory {} cannot be written: {error}; choose another with --data",
                    directory.display()
                ))
            })?;
        }
        Ok(files)
    }

    /// A place to write a result, which tells how far it is.
    pub(crate) fn spool(&self, progress: &Arc<Progress>) -> Spool {
        Spool {
            buffer: Vec::new(),
            file: None,
            path: self.spool.join(Uuid::new_v4().simple().to_string()),
            sha256: Sha256::new(),
            progress: Arc::clone(progress),
        }
    }

    /// Gives a finished result a lasting name.
    pub(crate) async fn keep(&self, finished: Finished) -> Result<Export> {
        let id = Uuid::new_v4();
        let size_bytes = finished.size_bytes();
        let path = self.export_path(id);
        let (moved, sha256) = match finished {
            Finished::Memory(bytes) => {
                let spooled = self.spool.join(id.simple().to_string());
                tokio::fs::write(&spooled, &bytes).await.map_err(|error| Error::internal("writing a result", error))?;
                (tokio::fs::rename(&spooled, path).await, Sha256::digest(&bytes).to_vec())
            }
            Finished::File(spooled) => (tokio::fs::rename(&spooled.path, path).await, spooled.sha256.clone()),
        };
        moved.map_err(|error| Error::internal("moving a finished result into place", error))?;
        Ok(Export { id, size_bytes, sha256 })
    }

    /// Opens a result that was kept. `None` if it is no longer there.
    pub(crate) async fn export(&self, id: Uuid) -> Result<Option<(File, u64)>> {
        open(&self.export_path(id)).await
    }

    /// Deletes a result that was kept.
    pub(crate) async fn export_remove(&self, id: Uuid) -> Result<()> {
        remove(&self.export_path(id)).await
    }

    /// The results that were kept at least so long ago.
    pub(crate) async fn old_exports(&self, age: Duration) -> Result<Vec<Uuid>> {
        Ok(ids(&old_files(&self.exports, age).await?))
    }

    /// Deletes unfinished results that nobody has written to for so long: what a crash has left.
    pub(crate) async fn sweep_spool(&self, age: Duration) -> Result<()> {
        for path in old_files(&self.spool, age).await? {
            tokio::fs::remove_file(path).await.map_err(|error| Error::internal("emptying the spool", error))?;
        }
        Ok(())
    }

    /// A place for a file that a client sends, of no more than so many bytes.
    pub(crate) async fn incoming(&self, max_bytes: u64) -> Result<Incoming> {
        let path = self.spool.join(Uuid::new_v4().simple().to_string());
        let file = File::create_new(&path).await.map_err(cannot_write)?;
        Ok(Incoming {
            file,
            spooled: Spooled { path, sha256: Vec::new() },
            buffer: Vec::new(),
            sum: Sum::default(),
            size_bytes: 0,
            max_bytes,
        })
    }

    /// Gives a file that has arrived a lasting name. When this returns, neither file nor name is lost in a crash.
    pub(crate) async fn keep_upload(&self, received: &Received) -> Result<UploadedFile> {
        tokio::fs::rename(&received.spooled.path, self.upload_path(received.content.file))
            .await
            .map_err(cannot_write)?;
        let directory = File::open(&self.uploads).await.map_err(cannot_write)?;
        directory.sync_all().await.map_err(cannot_write)?;
        Ok(received.content.clone())
    }

    /// Opens a file that a client sent, and says how large it is. `None` if it is no longer there.
    pub(crate) async fn upload(&self, file: Uuid) -> Result<Option<(File, u64)>> {
        open(&self.upload_path(file)).await
    }

    /// Deletes a file that a client sent.
    pub(crate) async fn upload_remove(&self, file: Uuid) -> Result<()> {
        remove(&self.upload_path(file)).await
    }

    /// The files that clients sent at least so long ago.
    pub(crate) async fn old_uploads(&self, age: Duration) -> Result<Vec<Uuid>> {
        Ok(ids(&old_files(&self.uploads, age).await?))
    }

    fn upload_path(&self, file: Uuid) -> PathBuf {
        self.uploads.join(file.simple().to_string())
    }

    fn export_path(&self, id: Uuid) -> PathBuf {
        self.exports.join(format!("{}.json", id.simple()))
    }
}

/// The bytes of an attachment, as they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// Their SHA-256, as 64 hexadecimal digits.
    pub(crate) sha256: String,
    /// How many they are.
    pub(crate) size_bytes: u64,
}

impl Files {
    /// Keeps bytes under their SHA-256. They are on the disk when this returns, whether somebody kept the same before or not.
    pub(crate) async fn content_put(&self, mut bytes: impl AsyncRead + Unpin) -> Result<Content> {
        let failed = |error| Error::internal("keeping the bytes of an attachment", error);
        let spooled = Spooled { path: self.spool.join(Uuid::new_v4().simple().to_string()), sha256: Vec::new() };
        let mut file = File::create_new(&spooled.path).await.map_err(failed)?;
        let (mut sum, mut size_bytes) = (Sha256::new(), 0_u64);
        let mut buffer = vec![0; 1 << 18];
        loop {
            let n_read = bytes.read(&mut buffer).await.map_err(failed)?;
            let Some(read) = buffer.get(..n_read).filter(|read| !read.is_empty()) else { break };
            sum.update(read);
            size_bytes += read.len() as u64;
            file.write_all(read).await.map_err(failed)?;
        }
        file.flush().await.map_err(failed)?;
        let sha256 = hex(&sum.finalize());
        let path = self.content_path(&sha256)?;
        // Whoever sweeps looks at the time after it has taken a file away, and puts it back if that is recent.
        if self.touch(&path).await.is_err() {
            file.sync_all().await.map_err(failed)?;
            let directory = path.parent().unwrap_or(&self.contents);
            tokio::fs::create_dir_all(directory).await.map_err(failed)?;
            tokio::fs::rename(&spooled.path, &path).await.map_err(failed)?;
            File::open(directory).await.map_err(failed)?.sync_all().await.map_err(failed)?;
        }
        Ok(Content { sha256, size_bytes })
    }

    /// Keeps the bytes of an upload, which never change: the file gets a second name. `None` if it is gone.
    pub(crate) async fn content_of_upload(&self, uploaded: &UploadedFile) -> Result<Option<Content>> {
        let failed = |error| Error::internal("keeping an upload as an attachment", error);
        let sha256 = hex(&uploaded.sha256);
        let (from, path) = (self.upload_path(uploaded.file), self.content_path(&sha256)?);
        let directory = path.parent().unwrap_or(&self.contents);
        tokio::fs::create_dir_all(directory).await.map_err(failed)?;
        match tokio::fs::hard_link(&from, &path).await {
            // The time says since when nobody may have needed it.
            Ok(()) => self.touch(&path).await.map_err(failed)?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && self.touch(&path).await.is_ok() => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            // Swept away just now, or a file system without links.
            Err(_) => {
                let Ok(file) = File::open(&from).await else { return Ok(None) };
                return self.content_put(file).await.map(Some);
            }
        }
        File::open(directory).await.map_err(failed)?.sync_all().await.map_err(failed)?;
        Ok(Some(Content { sha256, size_bytes: uploaded.size_bytes }))
    }

    async fn touch(&self, path: &Path) -> std::io::Result<()> {
        File::options().append(true).open(path).await?.into_std().await.set_modified(SystemTime::now())
    }

    /// Opens the bytes with this SHA-256. `None` if they are not there.
    pub(crate) async fn content(&self, sha256: &str) -> Result<Option<(File, u64)>> {
        open(&self.content_path(sha256)?).await
    }

    /// The SHA-256 of all bytes that were kept at least so long ago.
    pub(crate) async fn old_contents(&self, age: Duration) -> Result<Vec<String>> {
        let failed = |error| Error::internal("listing the contents of attachments", error);
        let mut directories = tokio::fs::read_dir(&self.contents).await.map_err(failed)?;
        let mut old = Vec::new();
        while let Some(directory) = directories.next_entry().await.map_err(failed)? {
            for path in old_files(&directory.path(), age).await? {
                old.extend(path.file_name().and_then(|name| name.to_str()).map(str::to_owned));
            }
        }
        Ok(old)
    }

    /// Deletes bytes that nobody refers to, unless somebody kept the same ones again meanwhile.
    pub(crate) async fn content_remove(&self, sha256: &str, age: Duration) -> Result<()> {
        let failed = |error| Error::internal("deleting the bytes of an attachment", error);
        let path = self.content_path(sha256)?;
        let aside = self.spool.join(Uuid::new_v4().simple().to_string());
        match tokio::fs::rename(&path, &aside).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            done => done.map_err(failed)?,
        }
        let modified = tokio::fs::metadata(&aside).await.and_then(|metadata| metadata.modified()).map_err(failed)?;
        if modified.elapsed().is_ok_and(|elapsed| elapsed > age) {
            tokio::fs::remove_file(&aside).await.map_err(failed)
        } else {
            tokio::fs::rename(&aside, &path).await.map_err(failed)
        }
    }

    fn content_path(&self, sha256: &str) -> Result<PathBuf> {
        match sha256.get(..2) {
            Some(directory) if sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Ok(self.contents.join(directory).join(sha256))
            }
            _ => Err(Error::internal("looking for the bytes of an attachment", format!("'{sha256}' is not a SHA-256"))),
        }
    }
}

/// A file and its size. `None` if it is not there.
async fn open(path: &Path) -> Result<Option<(File, u64)>> {
    match File::open(path).await {
        Ok(file) => {
            let metadata = file.metadata().await.map_err(|error| Error::internal("reading a file", error))?;
            Ok(Some((file, metadata.len())))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::internal("reading a file", error)),
    }
}

async fn remove(path: &Path) -> Result<()> {
    match tokio::fs::remove_file(path).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::internal("deleting a file", error)),
        _ => Ok(()),
    }
}

/// The ids that files are called after.
fn ids(paths: &[PathBuf]) -> Vec<Uuid> {
    paths.iter().filter_map(|path| Uuid::try_parse(path.file_stem()?.to_str()?).ok()).collect()
}

/// A full disk is nothing that a client or a developer can mend.
fn cannot_write(error: std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            tracing::error!(%error, "the data directory is full");
            Error::Unavailable("the server's disk is full; nothing was kept, try again later".to_owned())
        }
        _ => Error::internal("writing to the data directory", error),
    }
}

async fn old_files(directory: &Path, age: Duration) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::internal(format!("listing {}", directory.display()), error);
    let mut entries = tokio::fs::read_dir(directory).await.map_err(failed)?;
    let mut old = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(failed)? {
        // A file may go away meanwhile.
        let modified = entry.metadata().await.and_then(|metadata| metadata.modified());
        if modified.is_ok_and(|modified| modified.elapsed().is_ok_and(|elapsed| elapsed > age)) {
            old.push(entry.path());
        }
    }
    Ok(old)
}

/// A finished result that was kept.
#[derive(Clone, Debug)]
pub(crate) struct Export {
    /// Its id.
    pub(crate) id: Uuid,
    /// Its size.
    pub(crate) size_bytes: u64,
    /// The SHA-256 of its bytes.
    pub(crate) sha256: Vec<u8>,
}

/// How far the writing of a result is, for who waits for it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    layer: AtomicI32,
    n_rows: AtomicU64,
}

impl Progress {
    /// The layer whose rows are written now, and how many rows of all layers were; `None` before the first row.
    pub(crate) fn now(&self) -> Option<(i32, u64)> {
        let n_rows = self.n_rows.load(Ordering::Relaxed);
        (n_rows > 0).then(|| (self.layer.load(Ordering::Relaxed), n_rows))
    }
}

/// A result that is being written. Dropped unfinished, it leaves nothing behind.
pub(crate) struct Spool {
    buffer: Vec<u8>,
    file: Option<(File, Spooled)>,
    path: PathBuf,
    sha256: Sha256,
    progress: Arc<Progress>,
}

impl Spool {
    /// Tells that a row of this layer has been written.
    pub(crate) fn tell_row(&self, layer: i32) {
        self.progress.layer.store(layer, Ordering::Relaxed);
        self.progress.n_rows.fetch_add(1, Ordering::Relaxed);
    }

    /// Where to write. Give the spool a chance to [`Spool::relieve`] it now and then.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Moves the buffer to the disk if enough has gathered. The file system takes it over while the writing goes on.
    pub(crate) async fn relieve(&mut self) -> Result<()> {
        if self.buffer.len() < CHUNK_BYTES {
            return Ok(());
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<()> {
        let full_disk = |error| Error::internal("writing a result to the data directory", error);
        if self.file.is_none() {
            let file = File::create_new(&self.path).await.map_err(full_disk)?;
            self.file = Some((file, Spooled { path: self.path.clone(), sha256: Vec::new() }));
        }
        if let Some((file, _)) = &mut self.file {
            file.write_all(&self.buffer).await.map_err(full_disk)?;
            self.sha256.update(&self.buffer);
            self.buffer.clear();
        }
        Ok(())
    }

    /// Declares the result complete.
    pub(crate) async fn finish(mut self) -> Result<Finished> {
        if self.file.is_none() {
            return Ok(Finished::Memory(Bytes::from(self.buffer)));
        }
        self.flush().await?;
        match self.file {
            Some((mut file, mut spooled)) => {
                spooled.sha256 = self.sha256.finalize().to_vec();
                file.flush().await.map_err(|error| Error::internal("writing a result to the data directory", error))?;
                drop(file);
                Ok(Finished::File(spooled))
            }
            None => Err(Error::internal("finishing a result", "its file is gone")),
        }
    }
}

/// A complete result.
pub(crate) enum Finished {
    /// A small one.
    Memory(Bytes),
    /// A large one; deleted when dropped, unless it was kept.
    File(Spooled),
}

impl Finished {
    /// Its size.
    pub(crate) fn size_bytes(&self) -> u64 {
        match self {
            Finished::Memory(bytes) => bytes.len() as u64,
            Finished::File(spooled) => std::fs::metadata(&spooled.path).map_or(0, |metadata| metadata.len()),
        }
    }
}

/// A file in the spool.
pub(crate) struct Spooled {
    path: PathBuf,
    sha256: Vec<u8>,
}

impl Spooled {
    /// Opens it for reading.
    pub(crate) async fn open(&self) -> Result<File> {
        File::open(&self.path).await.map_err(|error| Error::internal("reading a result", error))
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        // Gone already if the result was kept; left to the next sweep if it cannot be deleted.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A digest while its bytes come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sum(Sha256);

impl Sum {
    /// Adds the next bytes.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The SHA-256 of them all.
    pub(crate) fn sha256(self) -> Vec<u8> {
        self.0.finalize().to_vec()
    }
}

/// A file that a client is sending. Dropped unfinished, it leaves nothing behind.
pub(crate) struct Incoming {
    file: File,
    spooled: Spooled,
    /// What has come and is not written yet: the network brings little at a time, and each write has its price.
    buffer: Vec<u8>,
    sum: Sum,
    size_bytes: u64,
    max_bytes: u64,
}

impl Incoming {
    /// Takes the next bytes.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.size_bytes += bytes.len() as u64;
        if self.size_bytes > self.max_bytes {
            return Err(Error::TooLarge { what: "the upload", limit: format!("{} bytes", self.max_bytes) });
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < CHUNK_BYTES {
            return Ok(());
        }
        self.flush().await
    }

    async fn flush(&mut self) -> Result<()> {
        self.sum.add(&self.buffer);
        self.file.write_all(&self.buffer).await.map_err(cannot_write)?;
        self.buffer.clear();
        Ok(())
    }

    /// Declares it complete, once it is on the disk.
    pub(crate) async fn finish(mut self) -> Result<Received> {
        self.flush().await?;
        self.file.flush().await.map_err(cannot_write)?;
        self.file.sync_all().await.map_err(cannot_write)?;
        let content = UploadedFile { file: Uuid::new_v4(), size_bytes: self.size_bytes, sha256: self.sum.sha256() };
        Ok(Received { spooled: self.spooled, content })
    }
}

/// A file that has arrived. Deleted when dropped, unless it was kept.
pub(crate) struct Received {
    spooled: Spooled,
    content: UploadedFile,
}

impl Received {
    /// What has arrived.
    pub(crate) fn arrived(&self) -> &UploadedFile {
        &self.content
    }
}
