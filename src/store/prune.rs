//! Forgetting: changes that no client can need any more.
//!
//! First the beginning of the history is moved, then what lies before it is deleted, in small transactions. In between
//! there is more history than is promised, never less; and a reader whose snapshot is older than the move is older than
//! every deletion, too, so that it still finds all of it.

use sqlx::{PgConnection, Postgres, Row as _, postgres::PgArguments, query::Query};

use crate::{
    error::Result,
    model::{
        id::{Generation, LayerKey, ReplicaId},
        layer::Service,
        life::Wish,
    },
    sql::{fragment::Fragment, select::change_table},
};

use super::{
    Store,
    life::RESTORE_GRACE,
    session::{Session, generation_of},
};

/// How many rows are deleted in a transaction.
const BATCH_ROWS: i64 = 10_000;

/// What is kept although no replica needs it.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Changes younger than this are kept.
    pub history_days: i32,
    /// Receipts younger than this are kept.
    pub receipts_days: i32,
    /// Refused edits of connected clients that are open are kept for so long.
    pub refused_days: i32,
}

/// What pruning a service did, or would do.
#[derive(Clone, Debug)]
pub struct Pruned {
    /// The service.
    pub service: String,
    /// Where its history began before …
    pub from: Generation,
    /// … and where it begins now.
    pub to: Generation,
    /// The replica that needs what comes next, if it is that and not the retention which sets the limit.
    pub held_by: Option<ReplicaId>,
    /// Changes, transactions and uploads deleted.
    pub n_changes: u64,
    /// Transactions that nothing refers to any more.
    pub n_transactions: u64,
    /// Uploads and requests of connected clients, with their receipts.
    pub n_batches: u64,
    /// Refused edits of connected clients that nobody applied or dismissed.
    pub n_refused: u64,
}

impl Store {
    /// Forgets what no replica can need and what is older than the retention, in all services. `None` if another process is
    /// at it. With `dry_run` nothing is changed, and the numbers are what would have been.
    pub async fn prune(&self, keep: Retention, dry_run: bool) -> Result<Option<Vec<Pruned>>> {
        let mut session = self.session().await?;
        if !session.try_lock_pruning().await? {
            return Ok(None);
        }
        self.reload().await?;
        let mut all = Vec::new();
        for service in &self.catalogue().services {
            let wish = Wish::OlderThan { seconds: i64::from(keep.history_days) * 86_400 };
            let mut pruned = session.raise_history(service, &[], wish, dry_run).await?;
            if dry_run {
                pruned.n_changes = session.count_prunable(service, pruned.to).await?;
            } else {
                session.sweep_history(service, keep, &mut pruned).await?;
            }
            all.push(pruned);
        }
        session.unlock_pruning().await?;
        Ok(Some(all))
    }

    /// Moves the beginning of a service's history, or of some of its layers' and of those that are connected with them, as
    /// somebody wishes, but never past what a replica needs. What lies before it is deleted the next time that somebody prunes.
    pub(crate) async fn clean_up(&self, service: &Service, layers: &[LayerKey], wish: Wish) -> Result<Pruned> {
        let mut session = self.session().await?;
        let pruned = session.raise_history(service, layers, wish, false).await?;
        self.reload().await?;
        Ok(pruned)
    }
}

impl Session {
    /// One process prunes at a time.
    async fn try_lock_pruning(&mut self) -> Result<bool> {
        let row =
            sqlx::query("-- prune_lock\nselect pg_try_advisory_lock(1398361671)").fetch_one(self.connection()).await?;
        Ok(row.try_get(0)?)
    }

    /// Lets others prune at once. Without it, they could when the connection is back in the pool, which may take a moment.
    async fn unlock_pruning(&mut self) -> Result<()> {
        sqlx::query("-- prune_unlock\nselect pg_advisory_unlock(1398361671)").execute(self.connection()).await?;
        Ok(())
    }

    /// Moves the beginning of a history: as far as is wished, and no further than what the lowest live replica has. Without
    /// `layers`, that of the service.
    async fn raise_history(
        &mut self,
        service: &Service,
        layers: &[LayerKey],
        wish: Wish,
        dry_run: bool,
    ) -> Result<Pruned> {
        let (seconds, upto, replica) = match wish {
            Wish::OlderThan { seconds } => (Some(seconds), None, None),
            Wish::Upto(generation) => (None, Some(generation.get()), None),
            Wish::HeldBy(replica) => (None, None, Some(replica.0)),
        };
        let named: Vec<i32> = layers.iter().map(|key| key.0).collect();
        let mut tx = self.own().await?;
        let row = sqlx::query("-- layer_list_connected\nselect array(select distinct k from unnest($1::int4[]) l, syncline.connected(l) k)")
            .bind(named)
            .fetch_one(tx.connection())
            .await?;
        let keys: Vec<i32> = row.try_get(0)?;
        let row = sqlx::query(
            "-- history_horizon
             with held as (
               select l.replica_id, syncline.acknowledged(l, $2) as upto
               from syncline.replica r join syncline.replica_layer l using (replica_id) join syncline.layer y using (layer_key)
                 join syncline.service s on s.service_id = r.service_id
               where r.service_id = $1 and r.unregistered_at is null and r.direction <> 'upload' and (cardinality($3::int4[]) = 0 or l.layer_key = any($3))
                 -- Who needs more than there is gets all rows anew, and keeps nothing.
                 and syncline.acknowledged(l, $2) >= greatest(s.history_from, y.history_from)
             ), young as (
               select t.generation from syncline.txn t join syncline.service s using (service_id)
               where t.service_id = $1 and t.generation > s.history_from
                 and ($4::int8 is null or t.committed_at >= now() - make_interval(secs => $4)) order by t.generation limit 1
             ), wished as (
               select coalesce(max(t.generation), 0) as upto from syncline.txn t
               where t.service_id = $1 and case when $4 is not null then t.generation < coalesce((select generation from young), 9223372036854775807)
                 else t.generation <= coalesce($5, (select min(upto) from held where replica_id = $6)) end
             ), lowest as (select replica_id, upto from held order by upto, replica_id limit 1)
             select s.history_from, greatest(s.history_from, least(w.upto, l.upto)), case when l.upto < w.upto then l.replica_id end
             from syncline.service s cross join wished w left join lowest l on true where s.service_id = $1",
        )
        .bind(service.key.0)
        .bind(RESTORE_GRACE)
        .bind(&keys)
        .bind(seconds)
        .bind(upto)
        .bind(replica)
        .fetch_one(tx.connection())
        .await?;
        let (from, to) = (generation_of(&row, 0)?, generation_of(&row, 1)?);
        if !dry_run {
            let statement = if keys.is_empty() {
                sqlx::query("-- service_raise_history\nupdate syncline.service set history_from = $2 where service_id = $1 and history_from < $2")
                    .bind(service.key.0)
                    .bind(to.get())
            } else {
                sqlx::query("-- layer_raise_history\nupdate syncline.layer set history_from = $2 where layer_key = any($1) and history_from < $2")
                    .bind(&keys)
                    .bind(to.get())
            };
            statement.execute(tx.connection()).await?;
            tx.commit().await?;
        }
        Ok(Pruned {
            service: service.name.clone(),
            from,
            to,
            held_by: row.try_get::<Option<uuid::Uuid>, _>(2)?.map(ReplicaId),
            n_changes: 0,
            n_transactions: 0,
            n_batches: 0,
            n_refused: 0,
        })
    }

    /// Deletes what lies before the beginning of a service's history, piece by piece.
    async fn sweep_history(&mut self, service: &Service, keep: Retention, pruned: &mut Pruned) -> Result<()> {
        for layer in service.tracked() {
            let Some((done, upto)) = self.prunable(layer.key).await? else { continue };
            loop {
                let mut tx = self.own().await?;
                let n_deleted = delete_changes(tx.connection(), service, layer.key, done, upto).await?;
                tx.commit().await?;
                pruned.n_changes += n_deleted;
                if n_deleted == 0 {
                    break;
                }
            }
            let mut tx = self.own().await?;
            sqlx::query("-- layer_note_pruned\nupdate syncline.layer set pruned_to = $2 where layer_key = $1")
                .bind(layer.key.0)
                .bind(upto)
                .execute(tx.connection())
                .await?;
            tx.commit().await?;
        }
        let batches = || {
            sqlx::query(DELETE_BATCHES)
                .bind(service.key.0)
                .bind(BATCH_ROWS)
                .bind(keep.receipts_days)
                .bind(RESTORE_GRACE)
        };
        pruned.n_batches = self.delete_in_pieces(batches).await?;
        let refused = || sqlx::query(DELETE_REFUSED).bind(service.key.0).bind(BATCH_ROWS).bind(keep.refused_days);
        pruned.n_refused = self.delete_in_pieces(refused).await?;
        let transactions = || sqlx::query(DELETE_TRANSACTIONS).bind(service.key.0).bind(BATCH_ROWS);
        pruned.n_transactions = self.delete_in_pieces(transactions).await?;
        Ok(())
    }

    /// Up to where the changes of a layer were deleted, and up to where they may be. `None` if there is nothing between.
    async fn prunable(&mut self, layer: LayerKey) -> Result<Option<(i64, i64)>> {
        let row = sqlx::query(
            "-- layer_prunable
             select l.pruned_to, greatest(l.history_from, s.history_from) from syncline.layer l join syncline.service s using (service_id)
             where l.layer_key = $1",
        )
        .bind(layer.0)
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let (done, upto): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        Ok((done < upto).then_some((done, upto)))
    }

    /// Runs a statement that deletes some rows until it finds none.
    async fn delete_in_pieces(&mut self, piece: impl Fn() -> Query<'static, Postgres, PgArguments>) -> Result<u64> {
        let mut n_deleted = 0;
        loop {
            let mut tx = self.own().await?;
            let n_rows = piece().execute(tx.connection()).await?.rows_affected();
            tx.commit().await?;
            n_deleted += n_rows;
            if n_rows == 0 {
                return Ok(n_deleted);
            }
        }
    }

    /// How many changes would be deleted if the history of a service began at `to`.
    async fn count_prunable(&mut self, service: &Service, to: Generation) -> Result<u64> {
        let mut n_changes = 0;
        for layer in service.tracked() {
            let mut out = Fragment::new("-- changes_count_prunable\nselect count(*) from syncline.txn t join ");
            out.ident(&change_table(layer.key)).sql(" c on c.syncline_txn = t.txn_id where t.service_id = ");
            out.bind(service.key.0).sql(" and t.generation <= greatest(").bind(to.get());
            out.sql(", (select l.history_from from syncline.layer l where l.layer_key = ").bind(layer.key.0).sql("))");
            let n: i64 = out.query()?.fetch_one(self.connection()).await?.try_get(0)?;
            n_changes += u64::try_from(n).unwrap_or(0);
        }
        Ok(n_changes)
    }
}

/// Deletes some of the changes of a layer in a window. Returns how many; 0 if none are left.
async fn delete_changes(
    connection: &mut PgConnection,
    service: &Service,
    layer: LayerKey,
    after: i64,
    upto: i64,
) -> Result<u64> {
    let changes = change_table(layer);
    let mut out = Fragment::new("-- changes_delete\ndelete from ");
    out.ident(&changes).sql(" where ctid = any(array(select c.ctid from syncline.txn t join ").ident(&changes);
    out.sql(" c on c.syncline_txn = t.txn_id where t.service_id = ").bind(service.key.0);
    out.sql(" and t.generation > ").bind(after).sql(" and t.generation <= ").bind(upto);
    out.sql(" order by t.generation limit ").bind(BATCH_ROWS).sql("))");
    Ok(out.query()?.execute(connection).await?.rows_affected())
}

/// Batches that are old, that lie before the history, and, of uploads, that the replica's client has moved past: it can
/// neither repeat them nor be sent a delta for which it matters that they were its own.
const DELETE_BATCHES: &str = "-- batch_delete_old
    with gone as (delete from syncline.batch where batch_id = any(array(
      select b.batch_id from syncline.batch b join syncline.txn t using (txn_id) join syncline.service s on s.service_id = b.service_id
        left join syncline.replica r using (replica_id)
      where b.service_id = $1 and b.received_at < now() - make_interval(days => $3) and t.generation <= s.history_from
        and (r.replica_id is not null or b.replica_id is null)
        and not exists (select from syncline.replica_layer l
          where l.replica_id = r.replica_id and r.unregistered_at is null and r.direction <> 'upload' and syncline.acknowledged(l, $4) < t.generation)
      order by b.batch_id limit $2)) returning batch_id),
    receipts as (delete from syncline.receipt r using gone g where r.batch_id = g.batch_id)
    select batch_id from gone";

/// What connected clients were refused so long ago, and nobody cared about.
const DELETE_REFUSED: &str = "-- rejected_edit_delete_old
    delete from syncline.rejected_edit where rejected_edit_id = any(array(
      select rejected_edit_id from syncline.rejected_edit
      where service_id = $1 and state = 'open' and replica_id is null and last_received_at < now() - make_interval(days => $3) limit $2))";

/// Transactions before the history whose changes are gone, and that no upload refers to.
const DELETE_TRANSACTIONS: &str = "-- txn_delete_old
    delete from syncline.txn where txn_id = any(array(
      select t.txn_id from syncline.txn t join syncline.service s using (service_id)
      where t.service_id = $1
        and t.generation <= least(s.history_from, (select min(l.pruned_to) from syncline.layer l where l.service_id = $1))
        and not exists (select from syncline.batch b where b.txn_id = t.txn_id)
      order by t.generation limit $2))";
