//! Backups: the database and the data directory, as one whole that can be restored while clients go on.
//!
//! A backup is a directory that looks like a data directory, with the database beside it (`database.dump`) and a description of the whole
//! (`backup.json`), which is written last: without it, a backup is not whole.
//!
//! The dump is one snapshot. Files never change and are named by ids or by what is in them, so that those of the dump are among those that were there
//! before it (they may be swept away during it) and those that are there after it.

mod programs;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    files::{
        Files,
        copy::{Copied, digest},
    },
    store::Store,
};

const DUMP: &str = "database.dump";
const DESCRIPTION: &str = "backup.json";
const FORMAT: u32 = 1;

/// What a backup says about itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Backup {
    format: u32,
    /// The version of the program that took it.
    pub(crate) version: String,
    /// When, by the clock of the database.
    pub(crate) taken_at: String,
    /// The installation that it is of.
    instance: Option<String>,
    /// The size of the database as it was dumped.
    pub(crate) database_bytes: u64,
    database_sha256: String,
    /// How many files there are beside it.
    pub(crate) n_files: u64,
    /// How many bytes they have.
    pub(crate) file_bytes: u64,
    /// Files that were not what their names say when they were copied; they are not in the backup.
    pub(crate) damaged: Vec<String>,
}

/// Where a database is, and how to save and load it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// Its URL.
    pub(crate) url: &'a str,
    /// Where PostgreSQL's programs are, if somebody says so.
    pub(crate) bin_dir: Option<&'a Path>,
}

/// Takes a backup into a directory that is empty or does not exist. `tell` hears of each step.
pub(crate) async fn take(
    store: &Store,
    place: Place<'_>,
    files: &Files,
    directory: &Path,
    tell: impl Fn(&str),
) -> Result<Backup> {
    make_empty(directory)?;
    let to = Files::open(directory, 0).await?;
    tell("copying files");
    let before = files.copy_missing(&to).await?;
    tell("dumping the database");
    let (taken_at, major) = store.now_and_version().await?;
    let dump = directory.join(DUMP);
    let arguments: [&OsStr; 3] = ["--format=custom".as_ref(), "--file".as_ref(), dump.as_ref()];
    programs::run("pg_dump", place.bin_dir, major, place.url, &arguments).await?;
    sync(&dump)?;
    tell("copying files that came meanwhile");
    let after = files.copy_missing(&to).await?;
    let (database_sha256, database_bytes) = digest(dump).await?;
    let mut damaged = [before.damaged, after.damaged].concat();
    damaged.sort();
    damaged.dedup();
    let backup = Backup {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        taken_at,
        instance: files.instance().await?.map(|id| id.to_string()),
        database_bytes,
        database_sha256,
        n_files: before.n_files + after.n_files,
        file_bytes: before.n_bytes + after.n_bytes,
        damaged,
    };
    let text =
        serde_json::to_string_pretty(&backup).map_err(|error| Error::internal("describing the backup", error))?;
    let description = directory.join(DESCRIPTION);
    std::fs::write(&description, text).map_err(|error| not_writable(directory, &error))?;
    sync(&description)?;
    sync(directory)?;
    store
        .record("backup.taken", "", &directory.display().to_string(), serde_json::json!({"files": backup.n_files}))
        .await?;
    Ok(backup)
}

/// Reads what a backup says about itself, and checks that its database is whole.
pub(crate) async fn check(directory: &Path) -> Result<Backup> {
    let path = directory.join(DESCRIPTION);
    let text = std::fs::read_to_string(&path).map_err(|error| {
        Error::Unavailable(format!(
            "{} cannot be read ({error}): {} is no backup, or one that did not come to its end",
            path.display(),
            directory.display()
        ))
    })?;
    let backup: Backup = serde_json::from_str(&text)
        .map_err(|error| Error::Unavailable(format!("{} cannot be read: {error}", path.display())))?;
    if backup.format != FORMAT {
        return Err(Error::Unavailable(format!(
            "the backup is of format {}, and this version of Syncline ({}) reads format {FORMAT}; it was taken by version {}",
            backup.format,
            env!("CARGO_PKG_VERSION"),
            backup.version
        )));
    }
    let (sha256, _) = digest(directory.join(DUMP)).await?;
    if sha256 != backup.database_sha256 {
        return Err(Error::Unavailable(format!(
            "{} is damaged: its SHA-256 is not the one in {DESCRIPTION}; use another backup",
            directory.join(DUMP).display()
        )));
    }
    Ok(backup)
}

/// Restores a backup into a database that has nothing of Syncline's, and a data directory. `as_copy`: beside the original, which lives on. Returns
/// what was copied.
pub(crate) async fn restore(
    backup: &Backup,
    directory: &Path,
    store: &Store,
    place: Place<'_>,
    files: &Files,
    as_copy: bool,
    tell: impl Fn(&str),
) -> Result<Copied> {
    if store.has_schema().await? {
        return Err(Error::Unavailable(
            "the database has Syncline's tables already; restore into an empty one (createdb makes one), or choose another --data".to_owned(),
        ));
    }
    if files.instance().await?.is_some() {
        return Err(Error::Unavailable(
            "the data directory has served a database already; choose an empty one with --data".to_owned(),
        ));
    }
    tell("copying files");
    let copied = Files::open(directory, 0).await?.copy_missing(files).await?;
    tell("loading the database");
    let (_, major) = store.now_and_version().await?;
    let dump: PathBuf = directory.join(DUMP);
    // Whole or not at all.
    let arguments: [&OsStr; 4] =
        ["--single-transaction".as_ref(), "--no-owner".as_ref(), "--no-privileges".as_ref(), dump.as_ref()];
    programs::run("pg_restore", place.bin_dir, major, place.url, &arguments).await?;
    tell("beginning an epoch");
    store.take_up_restored(&backup.taken_at, as_copy).await?;
    if let (false, Some(instance)) = (as_copy, &backup.instance) {
        let id =
            Uuid::try_parse(instance).map_err(|error| Error::internal("reading the backup's installation", error))?;
        files.keep_instance(id).await?;
    }
    let detail = serde_json::json!({"takenAt": backup.taken_at, "asCopy": as_copy});
    store.record("backup.restored", "", &directory.display().to_string(), detail).await?;
    Ok(copied)
}

fn make_empty(directory: &Path) -> Result<()> {
    std::fs::create_dir_all(directory).map_err(|error| not_writable(directory, &error))?;
    let mut entries = std::fs::read_dir(directory).map_err(|error| not_writable(directory, &error))?;
    if entries.next().is_some() {
        return Err(Error::Unavailable(format!(
            "{} is not empty; give a directory of its own to each backup",
            directory.display()
        )));
    }
    Ok(())
}

fn sync(path: &Path) -> Result<()> {
    std::fs::File::open(path).and_then(|file| file.sync_all()).map_err(|error| not_writable(path, &error))
}

fn not_writable(path: &Path, error: &std::io::Error) -> Error {
    Error::Unavailable(format!("{} cannot be written: {error}", path.display()))
}
