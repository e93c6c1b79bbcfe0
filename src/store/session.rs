//! Connections and transactions.

use std::{
    collections::HashMap,
    ops::{Deref, DerefMut},
    sync::Arc,
    time::Instant,
};

use futures_util::{Stream, TryStreamExt as _};
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, Postgres, Row as _, Transaction,
    pool::PoolConnection,
    postgres::{PgQueryResult, PgRow},
};
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    metrics::Histogram,
    model::{
        id::{Generation, GlobalId, ReplicaId, ServiceKey},
        layer::{Layer, Service},
    },
    sql::{fragment::Fragment, modify},
};

use super::{
    acting,
    history::{HISTORY_FIND, History},
};

/// One connection. What a request does, it does on one of these, so that requests cannot wait for each other's
/// connections in a circle.
pub(crate) struct Session {
    connection: PoolConnection<Postgres>,
    /// What it takes up of its caller's share.
    _place: Option<OwnedSemaphorePermit>,
    commits: Arc<Histogram>,
}

impl Session {
    pub(super) fn new(
        connection: PoolConnection<Postgres>,
        place: Option<OwnedSemaphorePermit>,
        commits: Arc<Histogram>,
    ) -> Session {
        Session { connection, _place: place, commits }
    }

    /// A snapshot of all layers of a service, and the generation that it adds up to.
    pub(crate) async fn read(&mut self, service: &Service) -> Result<ReadTx<'_>> {
        let mut tx = self.connection.begin_with("begin isolation level repeatable read read only").await?;
        // The first statement takes the snapshot; it is also the one that reads the generation.
        let row = sqlx::query(HISTORY_FIND)
            .bind(service.key.0)
            .fetch_optional(&mut *tx)
            .await?
            .ok_or_else(|| Error::NotFound(format!("Service {}/FeatureServer not found ", service.name)))?;
        let history = History::read(&row, service)?;
        Ok(ReadTx { snapshot: Snapshot { tx, limit: None }, generation: history.current(), history })
    }

    /// A snapshot for a query that somebody waits for, and that need not know of which generation it is. A single statement
    /// may take `limit_seconds`.
    pub(crate) async fn look(&mut self, limit_seconds: u32) -> Result<Snapshot<'_>> {
        // What is right for the few rows of deltas makes the database follow the index row by row for the many that a query
        // counts, where it is quicker to sort out the pages first.
        let begin = format!(
            "begin isolation level repeatable read read only; set local statement_timeout = '{limit_seconds}s'; \
             set local random_page_cost = 2"
        );
        Ok(Snapshot { tx: self.connection.begin_with(AssertSqlSafe(begin)).await?, limit: Some(limit_seconds) })
    }

    /// A transaction that edits layers of a service. `origin` is the replica whose upload it is.
    pub(crate) async fn write(&mut self, service: ServiceKey, origin: Option<ReplicaId>) -> Result<WriteTx<'_>> {
        let mut tx = self.connection.begin_with(AssertSqlSafe(acting::begin())).await?;
        let mut mark = None;
        if let Some(origin) = origin {
            let row = sqlx::query("-- txn_begin\nselect syncline.begin_upload($1, $2)")
                .bind(service.0)
                .bind(origin.0)
                .fetch_one(&mut *tx)
                .await?;
            mark = Some(row.try_get(0)?);
        }
        Ok(WriteTx { tx, mark, savepoint: Savepoint::None, commits: Arc::clone(&self.commits) })
    }

    /// A transaction over Syncline's own tables.
    pub(crate) async fn own(&mut self) -> Result<OwnTx<'_>> {
        let tx = self.connection.begin_with(AssertSqlSafe(acting::begin())).await?;
        Ok(OwnTx { tx, commits: None })
    }

    /// The connection itself, outside of any transaction.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Keeps other requests from synchronizing this replica until the session ends. False if one does already.
    pub(super) async fn try_lock_replica(&mut self, replica: ReplicaId) -> Result<bool> {
        let (high, _) = replica.0.as_u64_pair();
        let row = sqlx::query("-- replica_lock\nselect pg_try_advisory_lock($1)")
            .bind(high.cast_signed())
            .fetch_one(&mut *self.connection)
            .await?;
        Ok(row.try_get(0)?)
    }
}

/// A read-only snapshot.
pub(crate) struct Snapshot<'s> {
    tx: Transaction<'s, Postgres>,
    /// How many seconds a statement of a query may take.
    limit: Option<u32>,
}

impl Snapshot<'_> {
    /// Rows as they come.
    pub(crate) fn stream(&mut self, statement: Fragment) -> Result<impl Stream<Item = Result<PgRow>> + Send + '_> {
        let limit = self.limit;
        Ok(statement.query()?.fetch(&mut *self.tx).map_err(move |error| failure(error, limit)))
    }

    /// The only row.
    pub(crate) async fn one(&mut self, statement: Fragment) -> Result<PgRow> {
        statement.query()?.fetch_one(&mut *self.tx).await.map_err(|error| failure(error, self.limit))
    }

    /// All rows of a statement that gives few.
    pub(crate) async fn all(&mut self, statement: Fragment) -> Result<Vec<PgRow>> {
        statement.query()?.fetch_all(&mut *self.tx).await.map_err(|error| failure(error, self.limit))
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}

/// A read-only snapshot of a service that knows its generation.
pub(crate) struct ReadTx<'s> {
    snapshot: Snapshot<'s>,
    /// What the rows of the snapshot add up to.
    pub(crate) generation: Generation,
    /// From where deltas can be made, and of which layers.
    pub(crate) history: History,
}

impl<'s> Deref for ReadTx<'s> {
    type Target = Snapshot<'s>;

    fn deref(&self) -> &Snapshot<'s> {
        &self.snapshot
    }
}

impl DerefMut for ReadTx<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.snapshot
    }
}

impl<'s> ReadTx<'s> {
    /// The snapshot alone, for a query: a statement may take `limit_seconds`.
    pub(crate) async fn into_limited(mut self, limit_seconds: u32) -> Result<Snapshot<'s>> {
        sqlx::query("-- limit_set\nselect set_config('statement_timeout', $1, true)")
            .bind(format!("{limit_seconds}s"))
            .execute(&mut *self.snapshot.tx)
            .await?;
        self.snapshot.limit = Some(limit_seconds);
        Ok(self.snapshot)
    }

    /// Ends the snapshot.
    pub(crate) async fn end(self) -> Result<()> {
        Ok(self.snapshot.tx.rollback().await?)
    }
}

/// Why a statement failed; for a query with a limit, in terms of its parameters.
fn failure(error: sqlx::Error, limit: Option<u32>) -> Error {
    let (Some(limit), Some(database)) = (limit, error.as_database_error()) else { return error.into() };
    match database.code().as_deref() {
        Some("57014") => Error::Unavailable(format!(
            "the query took the database longer than the limit of {limit} s (max_query_seconds); narrow it by where, geometry or \
             objectIds, or ask for fewer rows, fields or statistics"
        )),
        Some("22003") => Error::NotSupported(
            "a statistic is beyond the range of numbers; narrow the query, or divide it into several".to_owned(),
        ),
        // What PROJ cannot do has no code of its own.
        Some("XX000") if database.message().contains("transform") => Error::NotSupported(format!(
            "a geometry of the rows asked for cannot be brought into another spatial reference ({}); choose another outSR, or \
             narrow the query",
            database.message()
        )),
        _ => error.into(),
    }
}

/// A transaction that edits published tables. It gets its generation while it commits.
pub(crate) struct WriteTx<'s> {
    tx: Transaction<'s, Postgres>,
    mark: Option<i64>,
    savepoint: Savepoint,
    commits: Arc<Histogram>,
}

/// Where the savepoint of a transaction's edits stands.
#[derive(Clone, Copy)]
enum Savepoint {
    /// There is none yet.
    None,
    /// Before the last edit, which succeeded.
    Behind,
    /// After all edits that succeeded.
    Here,
}

impl<'s> WriteTx<'s> {
    /// Runs a statement that returns global id and object id of the rows that it touched. A failure leaves the transaction
    /// usable.
    pub(crate) async fn edit(
        &mut self,
        statement: Fragment,
    ) -> Result<std::result::Result<Vec<(Uuid, i64)>, sqlx::Error>> {
        let query = statement.query()?;
        // One savepoint stands all the time. It is moved on by the statement after one that succeeded, which saves a
        // round trip for each.
        match self.savepoint {
            Savepoint::None => sqlx::raw_sql("savepoint edit").execute(&mut *self.tx).await?,
            Savepoint::Behind => sqlx::raw_sql("release savepoint edit; savepoint edit").execute(&mut *self.tx).await?,
            Savepoint::Here => PgQueryResult::default(),
        };
        self.savepoint = Savepoint::Here;
        match query.fetch_all(&mut *self.tx).await {
            Ok(rows) => {
                self.savepoint = Savepoint::Behind;
                let mut touched = Vec::with_capacity(rows.len());
                for row in &rows {
                    touched.push((row.try_get(0)?, row.try_get(1)?));
                }
                Ok(Ok(touched))
            }
            Err(error @ sqlx::Error::Database(_)) => {
                sqlx::raw_sql("rollback to savepoint edit").execute(&mut *self.tx).await?;
                Ok(Err(error))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// All rows of a statement that gives few.
    pub(crate) async fn rows(&mut self, statement: Fragment) -> Result<Vec<PgRow>> {
        Ok(statement.query()?.fetch_all(&mut *self.tx).await?)
    }

    /// The key of the transaction's mark, if it is an upload of a replica.
    pub(crate) fn mark(&self) -> Option<i64> {
        self.mark
    }

    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Keeps everybody else from editing these layers until the transaction ends.
    pub(crate) async fn close_layers(&mut self, layers: &[Arc<Layer>]) -> Result<()> {
        // In one order everywhere, so that nobody waits in a circle.
        let mut layers = layers.to_vec();
        layers.sort_by_key(|layer| layer.key);
        for layer in layers {
            modify::close(&layer).query()?.execute(&mut *self.tx).await?;
        }
        Ok(())
    }

    /// How many rows a layer has, and how many of those that it had before the transaction changed.
    pub(crate) async fn loaded(&mut self, layer: &Layer) -> Result<(i64, i64)> {
        let row = modify::loaded(layer, self.mark).query()?.fetch_one(&mut *self.tx).await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    /// Ends the edits of an upload and gives them their generation, before the commit: what follows in the transaction can
    /// make use of it, and touches only Syncline's own tables. Other commits of the service wait from here on.
    pub(crate) async fn stamp(mut self) -> Result<(OwnTx<'s>, Generation)> {
        sqlx::query("-- stamp_now\nset constraints syncline.stamp immediate").execute(&mut *self.tx).await?;
        let row = sqlx::query("-- txn_generation\nselect generation from syncline.txn where txn_id = $1")
            .bind(self.mark)
            .fetch_one(&mut *self.tx)
            .await?;
        let generation = generation_of(&row, 0)?;
        Ok((OwnTx { tx: self.tx, commits: Some(self.commits) }, generation))
    }

    /// The time of the transaction, in milliseconds since 1970.
    pub(crate) async fn moment(&mut self) -> Result<i64> {
        let row = sqlx::query("-- edit_moment\nselect (extract(epoch from now()) * 1000)::int8")
            .fetch_one(&mut *self.tx)
            .await?;
        Ok(row.try_get(0)?)
    }

    /// Ends the edits: what follows in the transaction touches only Syncline's own tables.
    pub(crate) fn end_edits(self) -> OwnTx<'s> {
        OwnTx { tx: self.tx, commits: Some(self.commits) }
    }

    /// Makes the edits visible and gives them their generation.
    pub(crate) async fn commit(self) -> Result<()> {
        self.end_edits().commit().await
    }

    /// Undoes everything.
    pub(crate) async fn roll_back(self) -> Result<()> {
        Ok(self.tx.rollback().await?)
    }
}

/// A transaction over Syncline's own tables.
pub(crate) struct OwnTx<'s> {
    tx: Transaction<'s, Postgres>,
    /// Where it is counted how long the commit takes, if there were edits before.
    commits: Option<Arc<Histogram>>,
}

impl OwnTx<'_> {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// The global ids of features by their object ids.
    pub(crate) async fn features_by_object_id(
        &mut self,
        layer: &Layer,
        ids: Vec<i64>,
    ) -> Result<HashMap<i64, GlobalId>> {
        let rows = modify::by_object_id(layer, ids).query()?.fetch_all(&mut *self.tx).await?;
        rows.iter().map(|row| Ok((row.try_get(1)?, GlobalId(row.try_get(0)?)))).collect()
    }

    /// Lets the commit return before it is on the disk, for what may be lost in a crash.
    pub(crate) async fn do_not_wait_for_disk(&mut self) -> Result<()> {
        sqlx::query("set local synchronous_commit = off").execute(&mut *self.tx).await?;
        Ok(())
    }

    /// Makes the changes visible.
    pub(crate) async fn commit(self) -> Result<()> {
        let began = Instant::now();
        self.tx.commit().await?;
        if let Some(commits) = self.commits {
            commits.observe(began.elapsed());
        }
        Ok(())
    }
}

pub(super) fn generation_of(row: &PgRow, index: usize) -> Result<Generation> {
    generation(row.try_get(index)?)
}

pub(super) fn generation(value: i64) -> Result<Generation> {
    Generation::new(value).ok_or_else(|| Error::internal("reading a generation", format!("{value} is out of range")))
}
