//! The only room that talks to PostgreSQL.
//!
//! [`Store`] hands out sessions; a [`Session`] is one connection, on which transactions follow each other:
//! [`ReadTx`] sees one snapshot and knows its generation, [`WriteTx`] edits published tables and is stamped when it
//! commits, [`OwnTx`] touches only Syncline's own tables. Dropping a transaction rolls it back.

pub(crate) mod accounts;
mod acting;
mod additions;
mod areas;
mod attempts;
pub mod audit;
pub(crate) mod books;
mod candidates;
pub(crate) mod catalogue;
pub(crate) mod conflicts;
pub(crate) mod connected;
pub(crate) mod console;
pub(crate) mod contents;
pub mod definition;
pub mod epoch;
mod estimates;
pub(crate) mod exports;
mod facts;
mod figures;
pub mod gaps;
pub(crate) mod health;
mod history;
pub(crate) mod identities;
mod inspect;
mod instance;
pub(crate) mod jobs;
mod keys;
pub mod life;
mod moments;
mod odd;
pub mod owners;
pub mod prune;
pub mod publish;
pub(crate) mod quota;
pub(crate) mod rebase;
pub(crate) mod rejected;
pub mod relations;
pub mod repair;
pub(crate) mod replicas;
mod restored;
mod session;
pub(crate) mod share;
pub(crate) mod synchronizations;
mod tables;
pub mod unpublish;
pub(crate) mod upload_items;
pub(crate) mod uploads;
pub(crate) mod users;

use std::{
    str::FromStr,
    sync::{Arc, Mutex, RwLock},
    time::{Duration, Instant},
};

use sqlx::{
    ConnectOptions as _, Connection as _, PgPool, Row as _,
    migrate::Migrator,
    postgres::{PgConnectOptions, PgListener, PgPoolOptions},
};
use tokio::sync::Notify;

use crate::{
    error::{Error, Result},
    metrics::Histogram,
    model::{
        id::ReplicaId,
        layer::{Catalogue, Service},
    },
};

pub(crate) use acting::acting;
pub(crate) use session::{OwnTx, ReadTx, Session, Snapshot, WriteTx};

/// The channels on which processes tell each other; triggers write to them.
const CATALOGUE_CHANGED: &str = "syncline_catalogue";
const JOB_WAITS: &str = "syncline_job";
const ACCOUNTS_CHANGED: &str = "syncline_accounts";

/// How long a request waits for another one of the same replica.
const REPLICA_WAIT: Duration = Duration::from_secs(30);

/// A database that has Syncline's tables, and what is published in it.
#[derive(Debug)]
pub struct Store {
    pool: PgPool,
    catalogue: RwLock<Arc<Catalogue>>,
    job_waits: Notify,
    facts: Mutex<facts::Known>,
    accounts: accounts::Known,
    /// How long commits of edits took, in which they get their generation.
    commits: Arc<Histogram>,
}

impl Store {
    /// Connects to the database at `url`, brings its schema up to date, and reads the catalogue.
    pub async fn open(url: &str, max_connections: u32) -> Result<Store> {
        let store = Store::connect(url, max_connections).await?;
        store.migrate().await?;
        store.settle().await?;
        store.reload().await?;
        Ok(store)
    }

    /// Connects to the database at `url` as it is.
    pub async fn connect(url: &str, max_connections: u32) -> Result<Store> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| Error::Unavailable(format!("the database URL cannot be read: {error}; it looks like postgres://user:password@host:5432/database")))?
            .application_name("syncline")
            // Windows differ in size by orders of magnitude, so each statement is planned for its own values.
            .options([
                ("TimeZone", "UTC"),
                ("plan_cache_mode", "force_custom_plan"),
                ("jit", "off"),
                // Pages and deltas are small: workers would take longer to start than to help, and an index finds the rows of a
                // delta faster than a scan of the table does.
                ("max_parallel_workers_per_gather", "0"),
                ("random_page_cost", "1.1"),
                ("lock_timeout", "30s"),
                ("statement_timeout", "30min"),
            ])
            // What a request did is said where it is handled.
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(Duration::from_secs(30))
            // A connection that was in use a moment ago need not be asked whether it lives.
            .test_before_acquire(false)
            .before_acquire(|connection, used| {
                Box::pin(async move {
                    if used.idle_for > Duration::from_secs(5) {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            // A request that is dropped half-way must not leave its replica locked, nor a transaction open, which happens if it
            // is dropped while the transaction begins. The time of the transaction is then before that of the statement.
            .after_release(|connection, _| {
                Box::pin(async move {
                    let row = sqlx::raw_sql("select pg_advisory_unlock_all(), now() = statement_timestamp()")
                        .fetch_one(&mut *connection)
                        .await?;
                    row.try_get(1)
                })
            })
            .connect_with(options)
            .await
            .map_err(|error| Error::Unavailable(format!("the database cannot be reached: {error}")))?;
        Ok(Store {
            pool,
            catalogue: RwLock::default(),
            job_waits: Notify::new(),
            facts: Mutex::default(),
            accounts: accounts::Known::default(),
            commits: Arc::new(Histogram::of_seconds()),
        })
    }

    /// Brings the schema up to date, under a lock, and checks that the server is recent enough.
    pub async fn migrate(&self) -> Result<()> {
        let row = sqlx::query("select current_setting('server_version_num')::int").fetch_one(&self.pool).await?;
        let version: i32 = row.try_get(0)?;
        if version < 140_000 {
            return Err(Error::Unavailable(format!(
                "PostgreSQL {} is too old: Syncline needs version 14 or later",
                version / 10_000
            )));
        }
        let mut migrator: Migrator = sqlx::migrate!();
        migrator.create_schema("syncline");
        migrator.dangerous_set_table_name("syncline.migration");
        migrator
            .run(&self.pool)
            .await
            .map_err(|error| Error::internal("bringing the database schema up to date", error))
    }

    /// What is published, as last read.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Reads the catalogue again.
    pub async fn reload(&self) -> Result<()> {
        let mut session = self.session().await?;
        let fresh = Arc::new(catalogue::read(session.own().await?).await?);
        *self.catalogue.write().unwrap_or_else(std::sync::PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// The service with this name. What another process has published a moment ago is found, too.
    pub async fn service(&self, name: &str) -> Result<Arc<Service>> {
        if let Some(service) = self.catalogue().service(name) {
            return Ok(service.clone());
        }
        self.reload().await?;
        self.catalogue()
            .service(name)
            .cloned()
            .ok_or_else(|| Error::NotFound(format!("Service {name}/FeatureServer not found ")))
    }

    /// A connection of one's own, of the share of whoever asks.
    pub(crate) async fn session(&self) -> Result<Session> {
        let place = share::connection().await?;
        Ok(Session::new(self.pool.acquire().await?, place, Arc::clone(&self.commits)))
    }

    /// A connection on which no other request synchronizes this replica until it is given back. Waits without holding a
    /// connection, so that requests for one replica cannot use up those of all others.
    pub(crate) async fn session_for_replica(&self, replica: ReplicaId) -> Result<Session> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(5);
        loop {
            let mut session = self.session().await?;
            if session.try_lock_replica(replica).await? {
                return Ok(session);
            }
            drop(session);
            if started.elapsed() > REPLICA_WAIT {
                return Err(Error::ReplicaBusy);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
    }

    /// Whether the database answers.
    pub async fn is_ready(&self) -> bool {
        sqlx::query("select 1").execute(&self.pool).await.is_ok()
    }

    /// Follows what other processes tell (a changed catalogue, a job that waits), until the pool is closed.
    pub async fn follow_notices(self: Arc<Store>) {
        while !self.pool.is_closed() {
            if let Err(error) = self.follow_once().await {
                tracing::warn!(
                    error = crate::error::chain(&error),
                    "lost sight of what other processes tell; trying again"
                );
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
    }

    async fn follow_once(&self) -> Result<()> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen_all([CATALOGUE_CHANGED, JOB_WAITS, ACCOUNTS_CHANGED]).await?;
        // What was told before is not told again.
        self.reload().await?;
        self.accounts.forget();
        self.job_waits.notify_one();
        loop {
            match listener.try_recv().await? {
                Some(notice) if notice.channel() == JOB_WAITS => self.job_waits.notify_one(),
                Some(notice) if notice.channel() == ACCOUNTS_CHANGED => self.accounts.forget(),
                Some(_) => self.reload().await?,
                None => return Err(Error::Unavailable("the connection that listens was closed".to_owned())),
            }
        }
    }

    /// Waits until somebody tells that a job waits to be begun.
    pub(crate) async fn job_waits(&self) {
        self.job_waits.notified().await;
    }

    /// Closes all connections, after the statements that are running.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// The pool, for tests and tools that bring their own statements.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }
}
