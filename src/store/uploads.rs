//! Batches and receipts: what replicas uploaded, and what became of each edit.

use sqlx::{
    PgConnection, Postgres, Row as _,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use uuid::Uuid;

use crate::{
    error::Result,
    model::{
        edit::{EditError, EditErrorCode, EditResult, Op},
        id::{Generation, GlobalId, LayerKey, ReplicaId, ServiceKey},
        provenance::EditOperation,
        replica::SyncDirection,
    },
};

use super::{OwnTx, WriteTx, jobs::Lease, replicas::sibling_note};

/// The edits of one upload, as far as they are recognised by it.
#[derive(Clone, Debug)]
pub(crate) struct Upload {
    /// Whose it is.
    pub(crate) replica: ReplicaId,
    /// Who sends it; empty if nobody knows.
    pub(crate) user: String,
    /// SHA-256 of the edits in a canonical form.
    pub(crate) digest: Vec<u8>,
    /// The generations that came with it, in a canonical form.
    pub(crate) presented: String,
    /// The direction of the request.
    pub(crate) direction: SyncDirection,
    /// The generation that the client had seen of each layer that takes part.
    pub(crate) known: Vec<(LayerKey, Generation)>,
    /// Where it comes from another server.
    pub(crate) partner: Option<Partner>,
    /// The job that it is a part of; the upload fails if the lease is lost.
    pub(crate) lease: Option<Lease>,
}

/// What another server says of an upload.
#[derive(Clone, Debug)]
pub(crate) struct Partner {
    /// The generation of that server that each layer reaches with the upload.
    pub(crate) siblings: Vec<(LayerKey, Generation)>,
}

/// A batch that is in the books.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch {
    /// Its key.
    pub(crate) id: i64,
    /// The generation of its transaction.
    pub(crate) generation: Generation,
    /// Whether its request asked for a download, too.
    pub(crate) downloads: bool,
}

impl WriteTx<'_> {
    /// Those of the layers edited in this transaction whose stored rows may differ from what was sent: because of actions
    /// of their foreign keys, or of triggers and rules, which may change rows of any table. Asked each time, since nobody
    /// tells the server of a new trigger.
    pub(crate) async fn altering_layers(&mut self, layers: Vec<LayerKey>) -> Result<Vec<LayerKey>> {
        let keys: Vec<i32> = layers.iter().map(|key| key.0).collect();
        sqlx::query(
            "-- layer_list_altering
             with edited as (select l.layer_key, c.oid from syncline.layer l join pg_namespace n on n.nspname = l.table_schema
               join pg_class c on c.relnamespace = n.oid and c.relname = l.table_name where l.layer_key = any($1))
             select e.layer_key from edited e
             where exists (select from pg_constraint f where f.conrelid = e.oid and f.contype = 'f'
                 and (f.confdeltype in ('n', 'd') or f.confupdtype in ('c', 'n', 'd')))
               or exists (select from pg_trigger t join edited any_of on any_of.oid = t.tgrelid
                 where not t.tgisinternal and not starts_with(t.tgname::text, 'zz_syncline_'))
               or exists (select from pg_rewrite r join edited any_of on any_of.oid = r.ev_class)",
        )
        .bind(keys)
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(|row| Ok(LayerKey(row.try_get(0)?)))
        .collect()
    }

    /// Enters an upload and the fate of its edits into the books, in the transaction of the edits.
    pub(crate) async fn batch_insert(
        &mut self,
        service: ServiceKey,
        upload: &Upload,
        results: &[(LayerKey, Vec<EditResult>)],
    ) -> Result<i64> {
        let mark = self.mark();
        let row = sqlx::query(
            "-- batch_insert
             insert into syncline.batch (replica_id, digest, presented, direction, txn_id, service_id, operation, layers, user_name)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning batch_id",
        )
        .bind(upload.replica.0)
        .bind(&upload.digest)
        .bind(&upload.presented)
        .bind(upload.direction.name())
        .bind(mark)
        .bind(service.0)
        .bind(EditOperation::SynchronizeReplica.name())
        .bind(results.iter().map(|(layer, _)| layer.0).collect::<Vec<_>>())
        .bind(&upload.user)
        .fetch_one(self.connection())
        .await?;
        let batch: i64 = row.try_get(0)?;
        if let Some(partner) = &upload.partner {
            // With the import or not at all: otherwise the other server would skip changes, or send them for ever.
            sibling_note(self.connection(), upload.replica, &partner.siblings).await?;
        }
        if let Some(lease) = upload.lease {
            self.job_note_batch(lease, batch).await?;
        }
        for (layer, results) in results {
            self.receipts_insert(batch, *layer, 0, results).await?;
        }
        Ok(batch)
    }

    /// What became of the edits of a batch on one layer, in their order.
    pub(crate) async fn receipt_list(&mut self, batch: i64, layer: LayerKey) -> Result<Vec<EditResult>> {
        receipts(self.connection(), batch, layer).await
    }

    /// Enters what became of edits of one layer, `after` so many of them.
    pub(super) async fn receipts_insert(
        &mut self,
        batch: i64,
        layer: LayerKey,
        after: i64,
        results: &[EditResult],
    ) -> Result<()> {
        let statement = sqlx::query(
            "-- receipt_insert
             insert into syncline.receipt (batch_id, layer_key, position, op, global_id, object_id, altered, code, message)
             select $1, $2, $3 + u.position, u.op, u.global_id, u.object_id, u.altered, u.code, u.message
             from unnest($4::text[], $5::uuid[], $6::int8[], $7::bool[], $8::int4[], $9::text[])
               with ordinality u(op, global_id, object_id, altered, code, message, position)",
        )
        .bind(batch)
        .bind(layer.0)
        .bind(after);
        ReceiptColumns::of(results).bind_to(statement).execute(self.connection()).await?;
        Ok(())
    }
}

impl OwnTx<'_> {
    /// The batch that this upload repeats, if it is one that came before. A batch is no longer repeated but made anew when
    /// a later upload of the same replica edited any of its rows: open, closed, and open again are three edits. One that had
    /// no effect, since all of its edits were refused, is tried anew: what they lacked may be there by now.
    pub(crate) async fn batch_find(&mut self, upload: &Upload) -> Result<Option<i64>> {
        let row = sqlx::query(
            "-- batch_find
             select b.batch_id from syncline.batch b
             where b.replica_id = $1 and b.digest = $2 and b.presented = $3
             and exists (select from syncline.receipt a where a.batch_id = b.batch_id and a.code is null) and not exists (
               select from syncline.batch later join syncline.receipt r on r.batch_id = later.batch_id
               where later.replica_id = b.replica_id and later.batch_id > b.batch_id and (r.layer_key, r.global_id) in
                 (select m.layer_key, m.global_id from syncline.receipt m where m.batch_id = b.batch_id))
             order by b.batch_id desc limit 1",
        )
        .bind(upload.replica.0)
        .bind(&upload.digest)
        .bind(&upload.presented)
        .fetch_optional(self.connection())
        .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// What became of the edits of a batch on one layer, in their order.
    pub(crate) async fn receipt_list(&mut self, batch: i64, layer: LayerKey) -> Result<Vec<EditResult>> {
        receipts(self.connection(), batch, layer).await
    }

    /// The batches of a replica after a generation, oldest first.
    pub(crate) async fn batch_list(&mut self, replica: ReplicaId, after: Generation) -> Result<Vec<Batch>> {
        let rows = sqlx::query(
            "-- batch_list
             select b.batch_id, t.generation, b.direction from syncline.batch b join syncline.txn t using (txn_id)
             where b.replica_id = $1 and t.generation > $2 order by b.batch_id",
        )
        .bind(replica.0)
        .bind(after.get())
        .fetch_all(self.connection())
        .await?;
        let mut batches = Vec::with_capacity(rows.len());
        for row in &rows {
            let direction: String = row.try_get(2)?;
            batches.push(Batch {
                id: row.try_get(0)?,
                generation: super::session::generation_of(row, 1)?,
                downloads: SyncDirection::from_name(&direction).is_none_or(SyncDirection::downloads),
            });
        }
        Ok(batches)
    }
}

/// Receipts, column by column.
#[derive(Default)]
pub(super) struct ReceiptColumns<'a> {
    ops: Vec<&'static str>,
    global_ids: Vec<Option<Uuid>>,
    object_ids: Vec<Option<i64>>,
    altered: Vec<bool>,
    codes: Vec<Option<i32>>,
    messages: Vec<Option<&'a str>>,
}

impl<'a> ReceiptColumns<'a> {
    /// Those of edits, in their order.
    pub(super) fn of(results: impl IntoIterator<Item = &'a EditResult>) -> ReceiptColumns<'a> {
        let mut columns = ReceiptColumns::default();
        for result in results {
            columns.ops.push(result.op.name());
            columns.global_ids.push(result.global_id.map(|id| id.0));
            columns.object_ids.push(result.object_id);
            columns.altered.push(result.altered);
            columns.codes.push(result.error.as_ref().map(|error| error.code.number()));
            columns.messages.push(match &result.error {
                Some(error) => Some(error.description.as_str()),
                None => result.passed_over.as_deref(),
            });
        }
        columns
    }

    /// Binds them, in the order of their members.
    pub(super) fn bind_to<'q>(self, statement: Query<'q, Postgres, PgArguments>) -> Query<'q, Postgres, PgArguments>
    where
        'a: 'q,
    {
        let ReceiptColumns { ops, global_ids, object_ids, altered, codes, messages } = self;
        statement.bind(ops).bind(global_ids).bind(object_ids).bind(altered).bind(codes).bind(messages)
    }
}

async fn receipts(connection: &mut PgConnection, batch: i64, layer: LayerKey) -> Result<Vec<EditResult>> {
    sqlx::query(
        "-- receipt_list
         select op, global_id, object_id, altered, code, message from syncline.receipt
         where batch_id = $1 and layer_key = $2 order by position",
    )
    .bind(batch)
    .bind(layer.0)
    .fetch_all(connection)
    .await?
    .iter()
    .map(receipt)
    .collect()
}

pub(super) fn receipt(row: &PgRow) -> Result<EditResult> {
    let op: String = row.try_get(0)?;
    let (code, message): (Option<i32>, Option<String>) = (row.try_get(4)?, row.try_get(5)?);
    Ok(EditResult {
        op: Op::from_name(&op).unwrap_or(Op::Update),
        global_id: row.try_get::<Option<Uuid>, _>(1)?.map(GlobalId),
        object_id: row.try_get(2)?,
        altered: row.try_get(3)?,
        passed_over: message.clone().filter(|_| code.is_none()),
        error: code
            .map(|code| EditError { code: EditErrorCode::from_number(code), description: message.unwrap_or_default() }),
    })
}
