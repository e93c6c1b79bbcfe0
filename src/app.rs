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

    /// Deletes result files that nobody has fetched for the time that the settings allow, and what requests that ended
    /// half-way have left behind. Returns how many results were deleted.
    pub async fn sweep_files(&self) -> Result<usize> {
        // Older than the longest statement: whoever wrote them would have registered them by now.
        const LOST: Duration = Duration::from_hours(2);
        self.files.sweep_spool(LOST).await?;
        let old = self.files.old_exports(LOST).await?;
        let mut session = self.store.session().await?;
        let mut tx = session.own().await?;
        let mut expired = tx.export_expire(self.config.keep_exports_hours).await?;
        expired.extend(tx.export_list_unknown(&old).await?);
        tx.commit().await?;
        for id in &expired {
            self.files.export_remove(*id).await?;
        }
        Ok(expired.len())
    }
}
