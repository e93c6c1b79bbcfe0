//! `syncline backup` and `syncline restore`

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::{
    backup::{self, Place},
    config::Config,
    error::{Error, Result},
    files::Files,
    model::actor::Actor,
    store::{Store, acting},
};

use super::{Database, database_url, say, stop};

#[derive(Debug, Args)]
pub(super) struct Backup {
    /// The directory to write it to, which is made; each backup has its own
    directory: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The directory that syncline backup wrote
    directory: PathBuf,
    /// The original lives on: replicas of it are refused here until somebody adopts them
    #[arg(long)]
    as_copy: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Tells people of a step; programs hear of the end.
fn tell(json: bool) -> impl Fn(&str) {
    move |step| {
        if !json {
            // That nobody listens is no reason to stop.
            let _ = say(format!("… {step}"));
        }
    }
}

impl Backup {
    pub(super) async fn run(self, database: &Database, config: &Config) -> Result<()> {
        let files = Files::open(&config.data, config.disk_reserve_bytes).await?;
        let place = Place { url: &database.url, bin_dir: config.pg_bindir.as_deref() };
        let taken = backup::take(&database.store, place, &files, &self.directory, tell(self.json)).await?;
        if self.json {
            say(json!({
                "directory": self.directory, "takenAt": taken.taken_at, "databaseBytes": taken.database_bytes, "files": taken.n_files,
                "fileBytes": taken.file_bytes, "damaged": taken.damaged,
            })
            .to_string())?;
        } else {
            say(format!(
                "{} holds the database as it was at {} ({} bytes) and {} files ({} bytes).",
                self.directory.display(),
                taken.taken_at,
                taken.database_bytes,
                taken.n_files,
                taken.file_bytes
            ))?;
        }
        damaged(&taken.damaged)
    }
}

impl Restore {
    /// Restores into the configured database, or into the private one of the data directory, which must be empty.
    pub(super) async fn run(self, config: &Config) -> Result<()> {
        // Before anything is made.
        let taken = backup::check(&self.directory).await?;
        let (url, cluster) = database_url(config).await?;
        let actor = Actor::command(rustix::process::getuid().as_raw());
        let done = acting(&actor, self.load(&taken, &url, config)).await;
        if let Some(cluster) = cluster {
            stop(cluster).await?;
        }
        done
    }

    async fn load(&self, taken: &backup::Backup, url: &str, config: &Config) -> Result<()> {
        let store = Store::connect(url, config.max_connections).await?;
        let files = Files::open(&config.data, config.disk_reserve_bytes).await?;
        let place = Place { url, bin_dir: config.pg_bindir.as_deref() };
        let restored =
            backup::restore(taken, &self.directory, &store, place, &files, self.as_copy, tell(self.json)).await;
        store.close().await;
        let copied = restored?;
        if self.json {
            say(json!({
                "takenAt": taken.taken_at, "files": copied.n_files, "fileBytes": copied.n_bytes, "damaged": copied.damaged,
            })
            .to_string())?;
        } else {
            say(format!(
                "Restored as it was at {}, with {} files. Clients that synchronized since then are told to take all rows anew; others go on.",
                taken.taken_at, copied.n_files
            ))?;
        }
        damaged(&copied.damaged)
    }
}

fn damaged(files: &[String]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    Err(Error::Unavailable(format!(
        "{} files are not what their names say, and were left out; all else is done. They hold attachments: {}",
        files.len(),
        files.join(", ")
    )))
}
