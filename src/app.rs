//! What a running server holds.

use std::{sync::Arc, time::Duration};

use crate::{auth::Gate, config::Config, error::Result, files::Files, gdal, metrics::Metrics, store::Store};

/// The handles of a server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    /// The database and what is published in it.
    pub store: Arc<Store>,
    /// Bytes outside the database.
    pub files: Files,
    /// The settings.
    pub config: Arc<Config>,
    /// What is counted while the process runs.
    pub metrics: Arc<Metrics>,
    /// Who may try to sign in.
    pub gate: Arc<Gate>,
}

impl App {
    /// Opens the database at `url` and the data directory of `config`, to serve them.
    pub async fn open(config: Config, url: &str) -> Result<App> {
        let store = Store::open(url, config.max_connections).await?;
        let files = Files::open(&config.data, config.disk_reserve_bytes).await?;
        // Asked now rather than when the first client comes.
        gdal::formats().await;
        let held = files.instance().await?;
        let instance = store.begin_serving(held).await?;
        if held != Some(instance) {
            files.keep_instance(instance).await?;
        }
        Ok(App {
            store: Arc::new(store),
            files,
            config: Arc::new(config),
            metrics: Arc::default(),
            gate: Arc::default(),
        })
    }

    /// Deletes result files that nobody has fetched for the time that the settings allow, and what requests that ended
    /// half-way have left behind; forgets jobs that ended as long ago. Returns how many results were deleted.
    pub async fn sweep_files(&self) -> Result<usize> {
        // Older than the longest statement: whoever wrote them would have registered them by now.
        const LOST: Duration = Duration::from_hours(2);
        self.files.sweep_spool(LOST).await?;
        let old = self.files.old_exports(LOST).await?;
        let mut session = self.store.session().await?;
        let mut tx = session.own().await?;
        let unknown = tx.export_list_unknown(&old).await?;
        let mut expired = tx.export_expire(self.config.keep_exports_hours).await?;
        let n_jobs = tx.job_expire(self.config.keep_exports_hours.max(24)).await?;
        // Mostly there is nothing to do, and nothing to commit.
        if !expired.is_empty() || n_jobs > 0 {
            tx.commit().await?;
        }
        expired.extend(unknown);
        for id in &expired {
            self.files.export_remove(*id).await?;
        }
        self.sweep_contents().await?;
        Ok(expired.len())
    }

    /// Deletes what attachments held that no attachment, no change and no refused edit refers to any more.
    async fn sweep_contents(&self) -> Result<()> {
        // Older than the longest upload: whoever kept them would have entered the attachment by now.
        const UNUSED: Duration = Duration::from_hours(24);
        self.store.delete_orphans().await?;
        let old = self.files.old_contents(UNUSED).await?;
        let mut session = self.store.session().await?;
        for some in old.chunks(1000) {
            let unused = session.own().await?.contents_without_use(&self.store.catalogue(), some).await?;
            for sha256 in unused {
                self.files.content_remove(&sha256, UNUSED).await?;
            }
        }
        Ok(())
    }
}
