//! Bytes outside the database: results while they are written, finished results that wait to be fetched, and files that
//! clients send.
//!
//! Names are ids that Syncline makes; nothing of a request is ever part of a path. A result is written under `spool/` and
//! moved to `exports/` when it is complete, so that a file there is always whole; so is what a client sends, under
//! `uploads/`. Rows point to files, never the other way; files without rows are swept away. What attachments hold is under
//! `contents/`, by the SHA-256 of the bytes: what is the same is kept once, and what is there under a name can be nothing
//! else.

pub(crate) mod copy;
mod disk;
mod usage;
mod writing;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use sha2::{Digest as _, Sha256};
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt as _},
};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    model::{data_format::DataFormat, digest::hex, upload_item::UploadedFile},
};

use disk::{Reserve, cannot_write};
pub(crate) use usage::Counted;
pub(crate) use writing::Place;
use writing::{Spooled, Writing, Written};

/// Results that stay below this never touch the disk.
const SMALL_BYTES: usize = 1 << 20;

/// How much is read, and goes to the disk, at a time.
const CHUNK_BYTES: usize = 1 << 18;

/// The data directory.
#[derive(Clone, Debug)]
pub struct Files {
    spool: PathBuf,
    exports: PathBuf,
    contents: PathBuf,
    uploads: PathBuf,
    /// Has the id of the installation.
    instance: PathBuf,
    /// What is never written to.
    reserve: Reserve,
}

impl Files {
    /// Uses this directory; makes it if need be. So many bytes of its disk are left free: what would take of them fails.
    pub async fn open(data: &Path, reserve_bytes: u64) -> Result<Files> {
        let files = Files {
            spool: data.join("spool"),
            exports: data.join("exports"),
            contents: data.join("contents"),
            uploads: data.join("uploads"),
            instance: data.join("instance"),
            reserve: Reserve(reserve_bytes),
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

    /// How many bytes of the disk of the data directory are free.
    pub(crate) fn free_bytes(&self) -> Result<u64> {
        disk::free_bytes(&self.spool)
    }

    /// The id of the installation that this data directory belongs to. `None` if it has served no database yet.
    pub(crate) async fn instance(&self) -> Result<Option<Uuid>> {
        match tokio::fs::read_to_string(&self.instance).await {
            Ok(text) => Uuid::try_parse(text.trim()).map(Some).map_err(|_| {
                Error::Unavailable(format!(
                    "{} does not have the id of an installation; restore it from a back-up, or delete it",
                    self.instance.display()
                ))
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::internal("reading the id of the installation", error)),
        }
    }

    /// Notes the id of the installation that this data directory belongs to, on the disk.
    pub(crate) async fn keep_instance(&self, id: Uuid) -> Result<()> {
        let mut writing = self.writing();
        writing.add(Bytes::from(format!("{id}\n"))).await?;
        let written = writing.finish().await?;
        // What has this name is read when the server starts, so it gets it last.
        written.sync().await?;
        tokio::fs::rename(&written.spooled.path, &self.instance).await.map_err(cannot_write)?;
        sync_directory(self.instance.parent().unwrap_or(&self.spool)).await.map_err(cannot_write)
    }

    /// A place to write a result, which tells how far it is.
    pub(crate) fn spool(&self, progress: &Arc<Progress>) -> Spool {
        Spool { buffer: Vec::new(), writing: None, files: self.clone(), progress: Arc::clone(progress) }
    }

    /// Refuses a result that is thought to have so many bytes if the disk has no room for it.
    pub(crate) fn require_room(&self, n_bytes: u64) -> Result<()> {
        if n_bytes < SMALL_BYTES as u64 {
            return Ok(());
        }
        self.reserve.require(&self.spool, n_bytes)
    }

    /// A new file in the spool.
    fn writing(&self) -> Writing {
        Writing::begin(self.spool_path(), self.reserve)
    }

    /// A place in the spool for a result that something else writes, for instance SQLite.
    pub(crate) fn place(&self) -> Place {
        Place(Spooled { path: self.spool_path() })
    }

    /// An empty directory in the spool, for a program that makes several files of one.
    pub(crate) async fn workplace(&self) -> Result<Workplace> {
        let path =
            tokio::fs::canonicalize(&self.spool).await.map_err(cannot_write)?.join(Uuid::new_v4().simple().to_string());
        tokio::fs::create_dir(&path).await.map_err(cannot_write)?;
        Ok(Workplace(path))
    }

    /// Gives a finished result a lasting name. When this returns, neither file nor name is lost in a crash.
    pub(crate) async fn keep(&self, finished: Finished, format: DataFormat) -> Result<Export> {
        let written = match finished {
            Finished::File(written) => written,
            Finished::Memory(bytes) => {
                let mut writing = self.writing();
                writing.add(bytes).await?;
                writing.finish().await?
            }
        };
        let id = Uuid::new_v4();
        written.keep_as(&self.export_path(id), &self.exports).await?;
        Ok(Export { id, format, size_bytes: written.size_bytes, sha256: written.sha256.clone() })
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
            let removed =
                if path.is_dir() { tokio::fs::remove_dir_all(path).await } else { tokio::fs::remove_file(path).await };
            removed.map_err(|error| Error::internal("emptying the spool", error))?;
        }
        Ok(())
    }

    /// A place for a file that a client sends, of no more than so many bytes.
    pub(crate) fn incoming(&self, max_bytes: u64) -> Incoming {
        Incoming { writing: self.writing(), size_bytes: 0, max_bytes }
    }

    /// Gives a file that has arrived a lasting name. When this returns, neither file nor name is lost in a crash.
    pub(crate) async fn keep_upload(&self, received: &Received) -> Result<UploadedFile> {
        received.written.keep_as(&self.upload_path(received.content.file), &self.uploads).await?;
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

    fn spool_path(&self) -> PathBuf {
        self.spool.join(Uuid::new_v4().simple().to_string())
    }

    /// Where a file that a client sent is; it never changes.
    pub(crate) fn upload_path(&self, file: Uuid) -> PathBuf {
        self.uploads.join(file.simple().to_string())
    }

    /// The name says nothing of the form; a row does.
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
        let mut writing = self.writing();
        loop {
            let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
            if bytes.read_buf(&mut chunk).await.map_err(failed)? == 0 {
                break;
            }
            writing.add(chunk.freeze()).await?;
        }
        let written = writing.finish().await?;
        let (sha256, size_bytes) = (hex(&written.sha256), written.size_bytes);
        let path = self.content_path(&sha256)?;
        // Whoever sweeps looks at the time after it has taken a file away, and puts it back if that is recent.
        if self.touch(&path).await.is_err() {
            let directory = path.parent().unwrap_or(&self.contents);
            tokio::fs::create_dir_all(directory).await.map_err(cannot_write)?;
            // What has this name is taken for whole, so it gets it last.
            written.sync().await?;
            tokio::fs::rename(&written.spooled.path, &path).await.map_err(cannot_write)?;
            sync_directory(directory).await.map_err(cannot_write)?;
        }
        Ok(Content { sha256, size_bytes })
    }

    /// Keeps the bytes of an upload, which never change: the file gets a second name. `None` if it is gone.
    pub(crate) async fn content_of_upload(&self, uploaded: &UploadedFile) -> Result<Option<Content>> {
        let failed = |error| Error::internal("keeping an upload as an attachment", error);
        let sha256 = hex(&uploaded.sha256);
        let (from, path) = (self.upload_path(uploaded.file), self.content_path(&sha256)?);
        let directory = path.parent().unwrap_or(&self.contents);
        tokio::fs::create_dir_all(directory).await.map_err(cannot_write)?;
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
        sync_directory(directory).await.map_err(failed)?;
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
        let aside = self.spool_path();
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

/// Has the names in a directory last.
async fn sync_directory(directory: &Path) -> std::io::Result<()> {
    File::open(directory).await?.sync_all().await
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
    /// Its form.
    pub(crate) format: DataFormat,
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
    /// How much was converted to another format, in percent, and one.
    converted: AtomicU64,
}

impl Progress {
    /// Tells that so many rows more of this layer have been written.
    pub(crate) fn tell(&self, layer: i32, n_rows: u64) {
        self.layer.store(layer, Ordering::Relaxed);
        self.n_rows.fetch_add(n_rows, Ordering::Relaxed);
    }

    /// Tells how much of what was written has been converted to another format, in percent.
    pub(crate) fn tell_converted(&self, percent: u64) {
        self.converted.store(percent + 1, Ordering::Relaxed);
    }

    /// How much was converted to another format, in percent; `None` if nothing is being converted yet.
    pub(crate) fn converted(&self) -> Option<u64> {
        self.converted.load(Ordering::Relaxed).checked_sub(1)
    }

    /// The layer whose rows are written now, and how many rows of all layers were; `None` before the first row.
    pub(crate) fn now(&self) -> Option<(i32, u64)> {
        let n_rows = self.n_rows.load(Ordering::Relaxed);
        (n_rows > 0).then(|| (self.layer.load(Ordering::Relaxed), n_rows))
    }
}

/// A result that is being written. Dropped unfinished, it leaves nothing behind.
pub(crate) struct Spool {
    buffer: Vec<u8>,
    writing: Option<Writing>,
    files: Files,
    progress: Arc<Progress>,
}

impl Spool {
    /// Where it is written.
    pub(crate) fn files(&self) -> &Files {
        &self.files
    }

    /// Tells that a row of this layer has been written.
    pub(crate) fn tell_row(&self, layer: i32) {
        self.progress.tell(layer, 1);
    }

    /// Where to write. Give the spool a chance to [`Spool::relieve`] it now and then.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Moves the buffer to the disk if enough has gathered. It is digested and written while the next one fills.
    pub(crate) async fn relieve(&mut self) -> Result<()> {
        if self.buffer.len() < if self.writing.is_some() { CHUNK_BYTES } else { SMALL_BYTES } {
            return Ok(());
        }
        let writing = self.writing.get_or_insert_with(|| self.files.writing());
        let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4));
        writing.add(Bytes::from(full)).await
    }

    /// Declares the result complete.
    pub(crate) async fn finish(self) -> Result<Finished> {
        match self.writing {
            None => Ok(Finished::Memory(Bytes::from(self.buffer))),
            Some(mut writing) => {
                writing.add(Bytes::from(self.buffer)).await?;
                Ok(Finished::File(writing.finish().await?))
            }
        }
    }
}

/// A complete result.
pub(crate) enum Finished {
    /// A small one.
    Memory(Bytes),
    /// A large one; deleted when dropped, unless it was kept.
    File(Written),
}

impl Finished {
    /// Its size.
    pub(crate) fn size_bytes(&self) -> u64 {
        match self {
            Finished::Memory(bytes) => bytes.len() as u64,
            Finished::File(written) => written.size_bytes,
        }
    }

    /// All of it, of which the caller knows that it is small.
    pub(crate) async fn read(self) -> Result<Vec<u8>> {
        match self {
            Finished::Memory(bytes) => Ok(bytes.into()),
            Finished::File(written) => {
                let mut bytes = Vec::new();
                let mut file = written.open().await?;
                file.read_to_end(&mut bytes).await.map_err(|error| Error::internal("reading a result", error))?;
                Ok(bytes)
            }
        }
    }

    /// Has it be found at a path, too, as long as it is there, for a program that reads files.
    pub(crate) async fn lend(&self, path: &Path) -> Result<()> {
        match self {
            Finished::Memory(bytes) => tokio::fs::write(path, bytes).await.map_err(cannot_write),
            Finished::File(written) => {
                let own = tokio::fs::canonicalize(&written.spooled.path).await.map_err(cannot_write)?;
                tokio::fs::symlink(own, path).await.map_err(cannot_write)
            }
        }
    }
}

/// A directory in the spool. It is deleted with all that is in it when this is dropped.
pub(crate) struct Workplace(PathBuf);

impl Workplace {
    /// The path, from the root.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // Left to the next sweep if it cannot be deleted.
        let _ = std::fs::remove_dir_all(&self.0);
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
    writing: Writing,
    size_bytes: u64,
    max_bytes: u64,
}

impl Incoming {
    /// Takes the next bytes.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.size_bytes += bytes.len() as u64;
        if self.size_bytes > self.max_bytes {
            return Err(Error::TooLarge { what: "the upload", limit: format!("{} bytes", self.max_bytes) });
        }
        self.writing.add(bytes).await
    }

    /// Declares it complete.
    pub(crate) async fn finish(self) -> Result<Received> {
        let written = self.writing.finish().await?;
        let content =
            UploadedFile { file: Uuid::new_v4(), size_bytes: written.size_bytes, sha256: written.sha256.clone() };
        Ok(Received { written, content })
    }
}

/// A file that has arrived. Deleted when dropped, unless it was kept.
pub(crate) struct Received {
    written: Written,
    content: UploadedFile,
}

impl Received {
    /// What has arrived.
    pub(crate) fn arrived(&self) -> &UploadedFile {
        &self.content
    }
}
