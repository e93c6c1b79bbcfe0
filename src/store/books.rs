//! The books of uploads, for people: uploads with the sums of their receipts, and receipts page by page.

use sqlx::{Row as _, postgres::PgRow};

use crate::{
    error::Result,
    model::{
        edit::EditResult,
        id::{GlobalId, LayerKey, ReplicaId},
    },
};

use super::{OwnTx, Store, WriteTx, uploads::receipt};

/// How long what is settled stays in the books.
const KEPT_DAYS: i32 = 400;

/// An upload as the books have it.
#[derive(Debug)]
pub(crate) struct BookedUpload {
    /// Its number.
    pub(crate) id: i64,
    /// When it was received, in milliseconds since 1970.
    pub(crate) received_ms: i64,
    /// Which way the request went.
    pub(crate) direction: String,
    /// The generations that were presented, by layer; `None` where none was.
    pub(crate) presented: Vec<(LayerKey, Option<i64>)>,
    /// The transaction of its edits.
    pub(crate) txn: i64,
    /// The generation that its edits became, while the history is kept.
    pub(crate) generation: Option<i64>,
    /// When it was undone.
    pub(crate) undone_ms: Option<i64>,
    /// Applied adds, updates, and deletes.
    pub(crate) applied: [i64; 3],
    /// How many edits were refused, by code.
    pub(crate) refused: Vec<(i32, i64)>,
    /// How many edits overwrote what the client had not seen.
    pub(crate) n_conflicts: i64,
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
    /// A page of the uploads of a replica, the newest first; one more than the limit if there are more. `only` is the number
    /// of the one that is wanted.
    pub(crate) async fn upload_list(
        &mut self,
        replica: ReplicaId,
        only: Option<i64>,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<BookedUpload>> {
        sqlx::query(
            "-- upload_list
             select b.batch_id, (extract(epoch from b.received_at) * 1000)::int8, b.direction, b.presented, b.txn_id, t.generation,
               (extract(epoch from b.undone_at) * 1000)::int8, s.adds, s.updates, s.deletes,
               array(select r.code || ':' || count(*) from syncline.receipt r
                 where r.batch_id = b.batch_id and r.code is not null group by r.code order by r.code),
               (select count(*) from syncline.conflict k where k.replica_id = b.replica_id and k.batch_id = b.batch_id)
             from (select * from syncline.batch where replica_id = $1 and ($2::int8 is null or batch_id = $2)
               order by batch_id desc limit $3 offset $4) b
             left join syncline.txn t using (txn_id)
             cross join lateral (select count(*) filter (where r.op = 'add') as adds, count(*) filter (where r.op = 'update') as updates,
               count(*) filter (where r.op = 'delete') as deletes
               from syncline.receipt r where r.batch_id = b.batch_id and r.code is null) s
             order by b.batch_id desc",
        )
        .bind(replica.0)
        .bind(only)
        .bind(limit.saturating_add(1))
        .bind(offset)
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(booked_upload)
        .collect()
    }

    /// A page of the receipts of an upload, in the order of its edits; one more than the limit if there are more.
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
             delete from syncline.batch b using syncline.replica r
             where r.replica_id = b.replica_id and r.unregistered_at < now() - make_interval(days => $1)",
        ] {
            sqlx::query(statement).bind(KEPT_DAYS).execute(self.connection()).await?;
        }
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
    /// Notes that an upload has been undone.
    pub(crate) async fn batch_undone(&mut self, batch: i64) -> Result<()> {
        sqlx::query("-- batch_undone\nupdate syncline.batch set undone_at = now() where batch_id = $1")
            .bind(batch)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

fn booked_upload(row: &PgRow) -> Result<BookedUpload> {
    let (presented, refused): (String, Vec<String>) = (row.try_get(3)?, row.try_get(10)?);
    let pair = |text: &str| text.split_once(':').map(|(left, right)| (left.to_owned(), right.to_owned()));
    Ok(BookedUpload {
        id: row.try_get(0)?,
        received_ms: row.try_get(1)?,
        direction: row.try_get(2)?,
        presented: presented
            .split(',')
            .filter_map(pair)
            .filter_map(|(layer, generation)| Some((LayerKey(layer.parse().ok()?), generation.parse().ok())))
            .collect(),
        txn: row.try_get(4)?,
        generation: row.try_get(5)?,
        undone_ms: row.try_get(6)?,
        applied: [row.try_get(7)?, row.try_get(8)?, row.try_get(9)?],
        refused: refused
            .iter()
            .filter_map(|text| pair(text))
            .filter_map(|(code, n)| Some((code.parse().ok()?, n.parse().ok()?)))
            .collect(),
        n_conflicts: row.try_get(11)?,
    })
}
