//! What a running server holds.

use std::{sync::Arc, time::Duration};

use crate::{config::Config, error::Result, files::Files, store::Store};

/// The handles of a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    /// The database and what is published in it.
    pub store: Arc<Store>,
    /// Bytes outside the database.
    pub files: Files,
    /// The settings.
    pub config: Arc<Config>,
}

impl App {
    /// Opens the database at `url` and the data directory of `config`.
    pub async fn open(config: Config, url: &str) -> Result<App> {
        let store = Store::open(url, config.max_connections).await?;
        let files = Files::open(&config.data).await?;
        Ok(App { store: Arc::new(store), files, config: Arc::new(config) })
    }

    /// Deletes result files that nobody has fetched for the time that the settings allow, and what crashes left of unfinished
    /// ones. Returns how many.
    pub async fn sweep_files(&self) -> Result<usize> {
        let mut session = self.store.session().await?;
        let mut tx = session.own().await?;
        let expired = tx.export_expire(self.config.keep_exports_hours).await?;
        tx.commit().await?;
        for id in &expired {
            self.files.export_remove(*id).await?;
        }
        let hours = u64::try_from(self.config.keep_exports_hours).unwrap_or(1);
        let n_unfinished = self.files.sweep_spool(Duration::from_hours(hours)).await?;
        Ok(expired.len() + n_unfinished)
    }
}
