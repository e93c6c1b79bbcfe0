//! Batches of connected clients: what their requests changed, and what became of each edit.

use sqlx::{Postgres, Row as _, postgres::PgArguments, query::Query};
use uuid::Uuid;

use crate::{
    error::Result,
    model::{
        edit::{EditResult, Op},
        id::{LayerKey, ServiceKey},
        provenance::Provenance,
    },
};

use super::{
    OwnTx, WriteTx,
    rejected::{OpenRejected, open_rejected},
    uploads::ReceiptColumns,
};

/// A request of a connected client that is to be entered into the books.
#[derive(Debug)]
pub(crate) struct NewBatch<'a> {
    /// The service.
    pub(crate) service: ServiceKey,
    /// How it came.
    pub(crate) from: &'a Provenance,
    /// The layers that it edits.
    pub(crate) layers: Vec<LayerKey>,
    /// What its edits mean, if they name every feature by its global id.
    pub(crate) digest: Option<&'a [u8]>,
    /// What becomes of the rows that a condition selects, if it is such a request.
    pub(crate) changed_as: Option<Op>,
}

/// What is open in a service of what connected clients were refused.
#[derive(Debug)]
pub(crate) struct OpenConnected {
    /// How many edits.
    pub(crate) n_edits: i64,
    /// How many bytes they take up.
    pub(crate) n_bytes: i64,
    /// Those of the digests in question that are among them.
    pub(crate) known: Vec<Vec<u8>>,
}

/// An edit of a feature by a connected client.
#[derive(Debug)]
pub(crate) struct ConnectedEdit {
    /// The batch.
    pub(crate) batch: i64,
    /// The operation.
    pub(crate) operation: String,
    /// The generation of the edit.
    pub(crate) generation: Option<i64>,
    /// What it did to the feature.
    pub(crate) op: Op,
}

/// Binds receipts, column by column: layer, position, and what [`ReceiptColumns`] has.
fn with_receipts<'q>(
    statement: Query<'q, Postgres, PgArguments>,
    results: &[(LayerKey, i32, &'q EditResult)],
) -> Query<'q, Postgres, PgArguments> {
    let columns = ReceiptColumns::of(results.iter().map(|(_, _, result)| *result));
    let statement = statement
        .bind(results.iter().map(|(layer, _, _)| layer.0).collect::<Vec<_>>())
        .bind(results.iter().map(|(_, position, _)| *position).collect::<Vec<_>>());
    columns.bind_to(statement)
}

impl WriteTx<'_> {
    /// Enters a request of a connected client and what became of its edits, each with its layer and its place among those of the
    /// layer from 1 on, in their transaction. Returns its number, and whether any refused edits of connected clients are open.
    pub(crate) async fn connected_insert(
        &mut self,
        new: &NewBatch<'_>,
        results: &[(LayerKey, i32, &EditResult)],
    ) -> Result<(i64, bool)> {
        let statement = sqlx::query(
            "-- connected_insert
             with entered as (
               insert into syncline.batch (service_id, operation, layers, digest, changed_as, n_changed, user_name, request_id, txn_id)
               values ($1, $2, $3, $4, $5, case when $5 is not null then 0 end, $6, $7, syncline.mark($1)) returning batch_id
             ), receipts as (
               insert into syncline.receipt (batch_id, layer_key, position, op, global_id, object_id, altered, code, message)
               select e.batch_id, u.* from entered e
               cross join unnest($8::int4[], $9::int4[], $10::text[], $11::uuid[], $12::int8[], $13::bool[], $14::int4[], $15::text[]) u
             )
             select batch_id, exists (select from syncline.rejected_edit k
               where k.service_id = $1 and k.state = 'open' and k.replica_id is null) from entered",
        )
        .bind(new.service.0)
        .bind(new.from.operation.name())
        .bind(new.layers.iter().map(|layer| layer.0).collect::<Vec<_>>())
        .bind(new.digest)
        .bind(new.changed_as.map(Op::name))
        .bind(&new.from.user)
        .bind(&new.from.request_id);
        let row = with_receipts(statement, results).fetch_one(self.connection()).await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    /// Enters what became of more edits of a request, each with its layer and its place.
    pub(crate) async fn connected_more(&mut self, batch: i64, results: &[(LayerKey, i32, &EditResult)]) -> Result<()> {
        let statement = sqlx::query(
            "-- connected_more
             insert into syncline.receipt (batch_id, layer_key, position, op, global_id, object_id, altered, code, message)
             select $1, * from unnest($2::int4[], $3::int4[], $4::text[], $5::uuid[], $6::int8[], $7::bool[], $8::int4[], $9::text[])",
        )
        .bind(batch);
        with_receipts(statement, results).execute(self.connection()).await?;
        Ok(())
    }

    /// Enters what became of edits of one layer, `after` so many of them.
    pub(crate) async fn connected_receipts(
        &mut self,
        batch: i64,
        layer: LayerKey,
        after: usize,
        results: &[EditResult],
    ) -> Result<()> {
        self.receipts_insert(batch, layer, i64::try_from(after).unwrap_or(i64::MAX), results).await
    }

    /// Notes how many rows a condition has selected, and how many of the refused edits were not kept.
    pub(crate) async fn connected_note(&mut self, batch: i64, changed: Option<usize>, not_kept: usize) -> Result<()> {
        sqlx::query("-- connected_note\nupdate syncline.batch set n_changed = $2, n_not_kept = n_not_kept + $3 where batch_id = $1")
            .bind(batch)
            .bind(changed.map(|n| i64::try_from(n).unwrap_or(i64::MAX)))
            .bind(i64::try_from(not_kept).unwrap_or(i64::MAX))
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// What is open of what connected clients were refused, and which of these digests are among it.
    pub(crate) async fn connected_open(&mut self, service: ServiceKey, digests: Vec<&[u8]>) -> Result<OpenConnected> {
        let row = sqlx::query(
            "-- rejected_edit_sum_connected
             select count(*), coalesce(sum(size_bytes), 0)::int8, coalesce(array_agg(digest) filter (where digest = any($2)), '{}')
             from syncline.rejected_edit where service_id = $1 and state = 'open' and replica_id is null",
        )
        .bind(service.0)
        .bind(digests)
        .fetch_one(self.connection())
        .await?;
        Ok(OpenConnected { n_edits: row.try_get(0)?, n_bytes: row.try_get(1)?, known: row.try_get(2)? })
    }

    /// The open refused edits of connected clients that are about these features, or have these digests.
    pub(crate) async fn connected_candidates(
        &mut self,
        service: ServiceKey,
        features: Vec<Uuid>,
        digests: Vec<Vec<u8>>,
    ) -> Result<Vec<(OpenRejected, Vec<u8>)>> {
        sqlx::query(
            "-- rejected_edit_open_connected
             select rejected_edit_id, layer_key, op, global_id, names, digest from syncline.rejected_edit
             where service_id = $1 and state = 'open' and replica_id is null and (global_id = any($2) or digest = any($3))",
        )
        .bind(service.0)
        .bind(features)
        .bind(digests)
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(|row| Ok((open_rejected(row)?, row.try_get(5)?)))
        .collect()
    }

    /// The newest batch of a connected client that had the same meaning and was applied whole, if the history since is kept:
    /// its number, its generation, and its time in milliseconds since 1970.
    pub(crate) async fn connected_find(
        &mut self,
        service: ServiceKey,
        from: &Provenance,
        digest: &[u8],
    ) -> Result<Option<(i64, i64, i64)>> {
        let row = sqlx::query(
            "-- connected_find
             select b.batch_id, t.generation, (extract(epoch from b.received_at) * 1000)::int8
             from syncline.batch b join syncline.txn t using (txn_id) join syncline.service s on s.service_id = b.service_id
             where b.service_id = $1 and b.digest = $3 and b.replica_id is null and b.operation = $2 and b.user_name = $4 and b.undone_at is null
               and t.generation > s.history_from
               and not exists (select from syncline.layer l where l.layer_key = any(b.layers) and l.history_from >= t.generation)
               and not exists (select from syncline.receipt r where r.batch_id = b.batch_id and r.code is not null)
             order by b.batch_id desc limit 1",
        )
        .bind(service.0)
        .bind(from.operation.name())
        .bind(digest)
        .bind(&from.user)
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).transpose()
    }
}

impl OwnTx<'_> {
    /// The batch whose edits became a generation, and the operation that brought them, if it was a connected client's.
    pub(crate) async fn connected_at(&mut self, service: ServiceKey, generation: i64) -> Result<Option<(i64, String)>> {
        let row = sqlx::query(
            "-- connected_at
             select b.batch_id, b.operation from syncline.txn t join syncline.batch b using (txn_id)
             where t.service_id = $1 and t.generation = $2 and b.replica_id is null",
        )
        .bind(service.0)
        .bind(generation)
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
    }
}

/// An edit of a feature by a connected client, out of a row of [`crate::sql::history::connected_edits`].
pub(crate) fn connected_edit(row: &sqlx::postgres::PgRow) -> Result<ConnectedEdit> {
    let op: String = row.try_get(3)?;
    Ok(ConnectedEdit {
        batch: row.try_get(0)?,
        operation: row.try_get(1)?,
        generation: row.try_get(2)?,
        op: Op::from_name(&op).unwrap_or(Op::Update),
    })
}
