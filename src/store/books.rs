//! The books, for people: batches with the sums of their receipts, and receipts page by page.

use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{
    error::Result,
    model::{
        edit::{EditResult, Op},
        id::{GlobalId, LayerKey, ReplicaId},
        layer::Service,
        provenance::EditOperation,
    },
};

use super::{OwnTx, Store, WriteTx, uploads::receipt};

/// How long what is settled stays in the books.
pub(super) const KEPT_DAYS: i32 = 400;

/// A batch as the books have it: an upload of a replica, or a request of a connected client.
#[derive(Debug)]
pub(crate) struct BookedBatch {
    /// Its number.
    pub(crate) id: i64,
    /// The replica that uploaded it; `None` for a connected client.
    pub(crate) replica: Option<ReplicaId>,
    /// The name of the replica, if anything is still known of it.
    pub(crate) replica_name: Option<String>,
    /// Who sent it; empty if nobody knows.
    pub(crate) user: String,
    /// The operation that brought it.
    pub(crate) operation: String,
    /// The id of the request or of its job, of a connected client.
    pub(crate) request_id: Option<String>,
    /// The layers that it edits.
    pub(crate) layers: Vec<LayerKey>,
    /// When it was received, in milliseconds since 1970.
    pub(crate) received_ms: i64,
    /// Which way the request went, of an upload.
    pub(crate) direction: Option<String>,
    /// The generations that were presented, by layer; `None` where none was.
    pub(crate) presented: Vec<(LayerKey, Option<i64>)>,
    /// The transaction of its edits.
    pub(crate) txn: i64,
    /// The generation that its edits became, while the history is kept.
    pub(crate) generation: Option<i64>,
    /// When it was undone.
    pub(crate) undone_ms: Option<i64>,
    /// Applied adds, updates, and deletes; also those of rows that a condition selected.
    pub(crate) applied: [i64; 3],
    /// What became of the rows that a condition selected, and how many they were; they have no receipts.
    pub(crate) by_condition: Option<(Op, i64)>,
    /// How many edits were refused, by code.
    pub(crate) refused: Vec<(i32, i64)>,
    /// How many of those were not kept.
    pub(crate) n_not_kept: i64,
    /// How many edits overwrote what the client had not seen.
    pub(crate) n_conflicts: i64,
}

/// Which batches a list has.
#[derive(Clone, Debug, Default)]
pub(crate) struct BatchFilter {
    /// The one with this number.
    pub(crate) only: Option<i64>,
    /// The uploads of a replica.
    pub(crate) replica: Option<ReplicaId>,
    /// Those of connected clients, or those of replicas.
    pub(crate) connected: Option<bool>,
    /// Those that an operation brought.
    pub(crate) operation: Option<EditOperation>,
    /// Those that edit a layer.
    pub(crate) layer: Option<LayerKey>,
    /// Those of a request or job.
    pub(crate) request_id: Option<String>,
    /// Those received at or after this time, in milliseconds since 1970.
    pub(crate) since_ms: Option<i64>,
}

/// Which receipts a list has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReceiptFilter {
    /// Those of a layer.
    pub(crate) layer: Option<LayerKey>,
    /// Those that were refused, or those that were applied.
    pub(crate) refused: Option<bool>,
    /// Those of a feature.
    pub(crate) global_id: Option<GlobalId>,
}

/// A receipt: layer, place among the edits of the layer from 1 on, and what became of the edit.
pub(crate) type Receipt = (LayerKey, i32, EditResult);

impl Store {
    /// Forgets what has been settled for so long that nobody asks any more: replicas that were unregistered, their uploads,
    /// closed refused edits, conflicts. Open refused edits stay. Returns how many replicas were forgotten.
    pub async fn forget_old_books(&self) -> Result<u64> {
        let mut session = self.session().await?;
        let mut tx = session.own().await?;
        let n_replicas = tx.books_forget().await?;
        tx.commit().await?;
        Ok(n_replicas)
    }
}

impl OwnTx<'_> {
    /// A page of the batches of a service that who asks may touch, the newest first; one more than the limit if there are more.
    pub(crate) async fn batch_page(
        &mut self,
        service: &Service,
        wanted: &BatchFilter,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<BookedBatch>> {
        sqlx::query(
            "-- batch_page
             select b.batch_id, (extract(epoch from b.received_at) * 1000)::int8, b.direction, b.presented, b.txn_id, t.generation,
               (extract(epoch from b.undone_at) * 1000)::int8, s.adds, s.updates, s.deletes,
               array(select r.code || ':' || count(*) from syncline.receipt r
                 where r.batch_id = b.batch_id and r.code is not null group by r.code order by r.code),
               (select count(*) from syncline.conflict k where k.replica_id = b.replica_id and k.batch_id = b.batch_id),
               b.replica_id, p.name, coalesce(nullif(b.user_name, ''), p.owner, ''), b.operation, b.request_id, b.layers,
               b.changed_as, b.n_changed, b.n_not_kept
             from (select * from syncline.batch where service_id = $1 and ($2::uuid is null or replica_id = $2)
                 and ($3::int8 is null or batch_id = $3) and ($6::bool is null or (replica_id is null) = $6)
                 and ($7::text is null or operation = $7) and ($8::int4 is null or $8 = any(layers))
                 and ($9::text is null or request_id = $9) and ($10::int8 is null or received_at >= to_timestamp($10 / 1000.0))
                 and ($11::text is null or lower(coalesce((select r.owner from syncline.replica r where r.replica_id = batch.replica_id), user_name))
                   in ('', lower($11)))
               order by batch_id desc limit $4 offset $5) b
             left join syncline.txn t using (txn_id) left join syncline.replica p on p.replica_id = b.replica_id
             cross join lateral (select count(*) filter (where r.op = 'add') as adds, count(*) filter (where r.op = 'update') as updates,
               count(*) filter (where r.op = 'delete') as deletes
               from syncline.receipt r where r.batch_id = b.batch_id and r.code is null) s
             order by b.batch_id desc",
        )
        .bind(service.key.0)
        .bind(wanted.replica.map(|id| id.0))
        .bind(wanted.only)
        .bind(limit.saturating_add(1))
        .bind(offset)
        .bind(wanted.connected)
        .bind(wanted.operation.map(EditOperation::name))
        .bind(wanted.layer.map(|key| key.0))
        .bind(wanted.request_id.as_deref())
        .bind(wanted.since_ms)
        .bind(service.caller.only())
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(booked_batch)
        .collect()
    }

    /// How many receipts a batch has of those that are wanted.
    pub(crate) async fn receipt_count(&mut self, batch: i64, wanted: &ReceiptFilter) -> Result<i64> {
        let row = sqlx::query(
            "-- receipt_count
             select count(*) from syncline.receipt
             where batch_id = $1 and ($2::int4 is null or layer_key = $2) and ($3::bool is null or (code is not null) = $3)
               and ($4::uuid is null or global_id = $4)",
        )
        .bind(batch)
        .bind(wanted.layer.map(|key| key.0))
        .bind(wanted.refused)
        .bind(wanted.global_id.map(|id| id.0))
        .fetch_one(self.connection())
        .await?;
        Ok(row.try_get(0)?)
    }

    /// A page of the receipts of a batch, in the order of its edits; one more than the limit if there are more.
    pub(crate) async fn receipt_page(
        &mut self,
        batch: i64,
        wanted: &ReceiptFilter,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<Receipt>> {
        sqlx::query(
            "-- receipt_page
             select op, global_id, object_id, altered, code, message, layer_key, position from syncline.receipt
             where batch_id = $1 and ($2::int4 is null or layer_key = $2) and ($3::bool is null or (code is not null) = $3)
               and ($4::uuid is null or global_id = $4)
             order by layer_key, position limit $5 offset $6",
        )
        .bind(batch)
        .bind(wanted.layer.map(|key| key.0))
        .bind(wanted.refused)
        .bind(wanted.global_id.map(|id| id.0))
        .bind(limit.saturating_add(1))
        .bind(offset)
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(|row| Ok((LayerKey(row.try_get(6)?), row.try_get(7)?, receipt(row)?)))
        .collect()
    }

    /// The receipts of a feature in the uploads of a replica, the newest first: number and generation of the upload, and what
    /// became of the edit.
    pub(crate) async fn receipts_of_feature(
        &mut self,
        replica: ReplicaId,
        layer: LayerKey,
        id: GlobalId,
        limit: i64,
    ) -> Result<Vec<(i64, Option<i64>, EditResult)>> {
        sqlx::query(
            "-- receipt_list_by_feature
             select r.op, r.global_id, r.object_id, r.altered, r.code, r.message, b.batch_id, t.generation
             from syncline.batch b join syncline.receipt r using (batch_id) left join syncline.txn t using (txn_id)
             where b.replica_id = $1 and r.layer_key = $2 and r.global_id = $3 order by b.batch_id desc, r.position desc limit $4",
        )
        .bind(replica.0)
        .bind(layer.0)
        .bind(id.0)
        .bind(limit)
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(|row| Ok((row.try_get(6)?, row.try_get(7)?, receipt(row)?)))
        .collect()
    }

    /// Forgets what has been settled for so long. Returns how many replicas were forgotten.
    async fn books_forget(&mut self) -> Result<u64> {
        for statement in [
            "-- rejected_edit_forget
             delete from syncline.rejected_edit where state <> 'open' and closed_at < now() - make_interval(days => $1)",
            "-- conflict_forget
             delete from syncline.conflict where found_at < now() - make_interval(days => $1)",
            "-- batch_forget
             with gone as (delete from syncline.batch b using syncline.replica r
               where r.replica_id = b.replica_id and r.unregistered_at < now() - make_interval(days => $1) returning b.batch_id)
             delete from syncline.receipt r using gone g where r.batch_id = g.batch_id",
        ] {
            sqlx::query(statement).bind(KEPT_DAYS).execute(self.connection()).await?;
        }
        self.sync_forget().await?;
        let done = sqlx::query(
            "-- replica_forget
             delete from syncline.replica where unregistered_at < now() - make_interval(days => $1)",
        )
        .bind(KEPT_DAYS)
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected())
    }
}

impl WriteTx<'_> {
    /// Notes that a batch has been undone.
    pub(crate) async fn batch_undone(&mut self, batch: i64) -> Result<()> {
        sqlx::query("-- batch_undone\nupdate syncline.batch set undone_at = now() where batch_id = $1")
            .bind(batch)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

fn booked_batch(row: &PgRow) -> Result<BookedBatch> {
    let (presented, refused): (Option<String>, Vec<String>) = (row.try_get(3)?, row.try_get(10)?);
    let pair = |text: &str| text.split_once(':').map(|(left, right)| (left.to_owned(), right.to_owned()));
    let changed_as: Option<String> = row.try_get(18)?;
    let by_condition = changed_as.and_then(|name| Op::from_name(&name)).zip(row.try_get::<Option<i64>, _>(19)?);
    let mut applied = [row.try_get(7)?, row.try_get(8)?, row.try_get(9)?];
    if let Some((op, n_rows)) = by_condition {
        let [adds, updates, deletes] = &mut applied;
        *match op {
            Op::Add => adds,
            Op::Update => updates,
            Op::Delete => deletes,
        } += n_rows;
    }
    Ok(BookedBatch {
        id: row.try_get(0)?,
        replica: row.try_get::<Option<Uuid>, _>(12)?.map(ReplicaId),
        replica_name: row.try_get(13)?,
        user: row.try_get(14)?,
        operation: row.try_get(15)?,
        request_id: row.try_get(16)?,
        layers: row.try_get::<Vec<i32>, _>(17)?.into_iter().map(LayerKey).collect(),
        received_ms: row.try_get(1)?,
        direction: row.try_get(2)?,
        presented: presented
            .unwrap_or_default()
            .split(',')
            .filter_map(pair)
            .filter_map(|(layer, generation)| Some((LayerKey(layer.parse().ok()?), generation.parse().ok())))
            .collect(),
        txn: row.try_get(4)?,
        generation: row.try_get(5)?,
        undone_ms: row.try_get(6)?,
        applied,
        by_condition,
        refused: refused
            .iter()
            .filter_map(|text| pair(text))
            .filter_map(|(code, n)| Some((code.parse().ok()?, n.parse().ok()?)))
            .collect(),
        n_not_kept: row.try_get(20)?,
        n_conflicts: row.try_get(11)?,
    })
}
