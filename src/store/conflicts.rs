//! Conflicts: what edits of uploads overwrote that their clients had not seen.

use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{
    error::Result,
    model::{
        edit::Op,
        id::{Generation, GlobalId, LayerKey, ReplicaId, ServiceKey},
        layer::Service,
    },
};

use super::{OwnTx, WriteTx, session::generation_of};

/// What is overwritten, by what.
#[derive(Debug)]
pub(crate) struct Overwrite {
    /// The layer.
    pub(crate) layer: LayerKey,
    /// The feature.
    pub(crate) global_id: GlobalId,
    /// What the client did to it.
    pub(crate) op: Op,
    /// The fields whose values were lost, and `geometry`.
    pub(crate) fields: Vec<String>,
    /// What the client had seen.
    pub(crate) known: Generation,
    /// The newest change by somebody else …
    pub(crate) other_generation: Generation,
    /// … and the replica it came from, if it came from one.
    pub(crate) other_origin: Option<ReplicaId>,
    /// The feature as the client had seen it, as Esri JSON; `None` if it was not there.
    pub(crate) base: Option<String>,
    /// The feature as it was overwritten; `None` if it was deleted.
    pub(crate) server: Option<String>,
    /// The feature as the client sent it; `None` if it deleted it.
    pub(crate) client: Option<String>,
}

/// A conflict that is in the books.
#[derive(Debug)]
pub(crate) struct Conflict {
    /// Its number.
    pub(crate) id: i64,
    /// The replica whose upload overwrote.
    pub(crate) replica: ReplicaId,
    /// Its name, if anything is still known of it.
    pub(crate) replica_name: Option<String>,
    /// The upload.
    pub(crate) batch: i64,
    /// The transaction of the upload.
    pub(crate) txn: i64,
    /// Its generation, while the history is kept.
    pub(crate) generation: Option<i64>,
    /// What was overwritten, by what.
    pub(crate) overwrite: Overwrite,
    /// The name of the replica that the other change came from.
    pub(crate) other_name: Option<String>,
    /// The batch of the connected client that made the other change, if one did, and the operation.
    pub(crate) other_connected: Option<(i64, String)>,
    /// When it was found, in milliseconds since 1970.
    pub(crate) found_ms: i64,
    /// When what was overwritten was put back.
    pub(crate) restored_ms: Option<i64>,
}

/// Which conflicts a list has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConflictFilter {
    /// Those of a replica's uploads.
    pub(crate) replica: Option<ReplicaId>,
    /// Those of an upload.
    pub(crate) batch: Option<i64>,
    /// Those of a layer.
    pub(crate) layer: Option<LayerKey>,
    /// Those of a feature.
    pub(crate) global_id: Option<GlobalId>,
    /// Those found at or after this time, in milliseconds since 1970.
    pub(crate) since_ms: Option<i64>,
}

impl WriteTx<'_> {
    /// Enters conflicts into the books, in the transaction of the edits.
    pub(crate) async fn conflict_insert(
        &mut self,
        service: ServiceKey,
        replica: ReplicaId,
        batch: i64,
        found: &[Overwrite],
    ) -> Result<()> {
        let fields: Vec<String> =
            found.iter().map(|one| serde_json::Value::from(one.fields.clone()).to_string()).collect();
        let mark = self.mark();
        sqlx::query(
            "-- conflict_insert
             insert into syncline.conflict (service_id, replica_id, batch_id, txn_id, layer_key, global_id, op, fields, known_generation,
               other_generation, other_origin, base, server, client)
             select $1, $2, $3, $4, u.layer_key, u.global_id, u.op, array(select jsonb_array_elements_text(u.fields::jsonb)),
               u.known, u.other_generation, u.other_origin, u.base, u.server, u.client
             from unnest($5::int4[], $6::uuid[], $7::text[], $8::text[], $9::int8[], $10::int8[], $11::uuid[], $12::text[], $13::text[], $14::text[])
               u(layer_key, global_id, op, fields, known, other_generation, other_origin, base, server, client)",
        )
        .bind(service.0)
        .bind(replica.0)
        .bind(batch)
        .bind(mark)
        .bind(found.iter().map(|one| one.layer.0).collect::<Vec<_>>())
        .bind(found.iter().map(|one| one.global_id.0).collect::<Vec<_>>())
        .bind(found.iter().map(|one| one.op.name()).collect::<Vec<_>>())
        .bind(fields)
        .bind(found.iter().map(|one| one.known.get()).collect::<Vec<_>>())
        .bind(found.iter().map(|one| one.other_generation.get()).collect::<Vec<_>>())
        .bind(found.iter().map(|one| one.other_origin.map(|id| id.0)).collect::<Vec<Option<Uuid>>>())
        .bind(found.iter().map(|one| one.base.as_deref()).collect::<Vec<_>>())
        .bind(found.iter().map(|one| one.server.as_deref()).collect::<Vec<_>>())
        .bind(found.iter().map(|one| one.client.as_deref()).collect::<Vec<_>>())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Whether anybody else changed anything in a service after a generation.
    pub(crate) async fn changed_by_others(
        &mut self,
        service: ServiceKey,
        replica: ReplicaId,
        after: Generation,
    ) -> Result<bool> {
        let row = sqlx::query(
            "-- txn_by_others_exists
             select exists (select from syncline.txn where service_id = $1 and generation > $2 and origin is distinct from $3)",
        )
        .bind(service.0)
        .bind(after.get())
        .bind(replica.0)
        .fetch_one(self.connection())
        .await?;
        Ok(row.try_get(0)?)
    }

    /// Notes that what was overwritten has been put back.
    pub(crate) async fn conflict_restored(&mut self, id: i64) -> Result<()> {
        sqlx::query("-- conflict_restored\nupdate syncline.conflict set restored_at = now() where conflict_id = $1")
            .bind(id)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

impl OwnTx<'_> {
    /// A page of the conflicts that who asks may touch, in the order in which they were found; one more than the limit if there are more.
    pub(crate) async fn conflict_list(
        &mut self,
        service: &Service,
        wanted: &ConflictFilter,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<Conflict>> {
        sqlx::query(
            "-- conflict_list
             select k.conflict_id, k.replica_id, r.name, k.batch_id, k.txn_id, t.generation, k.layer_key, k.global_id, k.op, k.fields,
               k.known_generation, k.other_generation, k.other_origin, o.name, k.base, k.server, k.client,
               (extract(epoch from k.found_at) * 1000)::int8, (extract(epoch from k.restored_at) * 1000)::int8,
               b.batch_id, b.operation
             from syncline.conflict k left join syncline.replica r on r.replica_id = k.replica_id
             left join syncline.replica o on o.replica_id = k.other_origin left join syncline.txn t on t.txn_id = k.txn_id
             left join syncline.txn c on c.service_id = k.service_id and c.generation = k.other_generation
             left join syncline.batch b on b.txn_id = c.txn_id and b.replica_id is null
             where k.service_id = $1 and ($2::uuid is null or k.replica_id = $2) and ($3::int8 is null or k.batch_id = $3)
               and ($4::int4 is null or k.layer_key = $4) and ($5::uuid is null or k.global_id = $5)
               and ($6::int8 is null or k.found_at >= to_timestamp($6 / 1000.0))
               and ($9::text is null or lower(r.owner) in ('', lower($9)))
             order by k.conflict_id limit $7 offset $8",
        )
        .bind(service.key.0)
        .bind(wanted.replica.map(|id| id.0))
        .bind(wanted.batch)
        .bind(wanted.layer.map(|key| key.0))
        .bind(wanted.global_id.map(|id| id.0))
        .bind(wanted.since_ms)
        .bind(limit.saturating_add(1))
        .bind(offset)
        .bind(service.caller.only())
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(conflict)
        .collect()
    }

    /// One conflict, if who asks may touch it.
    pub(crate) async fn conflict_find(&mut self, service: &Service, id: i64) -> Result<Option<Conflict>> {
        sqlx::query(
            "-- conflict_find
             select k.conflict_id, k.replica_id, r.name, k.batch_id, k.txn_id, t.generation, k.layer_key, k.global_id, k.op, k.fields,
               k.known_generation, k.other_generation, k.other_origin, o.name, k.base, k.server, k.client,
               (extract(epoch from k.found_at) * 1000)::int8, (extract(epoch from k.restored_at) * 1000)::int8,
               b.batch_id, b.operation
             from syncline.conflict k left join syncline.replica r on r.replica_id = k.replica_id
             left join syncline.replica o on o.replica_id = k.other_origin left join syncline.txn t on t.txn_id = k.txn_id
             left join syncline.txn c on c.service_id = k.service_id and c.generation = k.other_generation
             left join syncline.batch b on b.txn_id = c.txn_id and b.replica_id is null
             where k.service_id = $1 and k.conflict_id = $2
               and ($3::text is null or lower(r.owner) in ('', lower($3)))",
        )
        .bind(service.key.0)
        .bind(id)
        .bind(service.caller.only())
        .fetch_optional(self.connection())
        .await?
        .as_ref()
        .map(conflict)
        .transpose()
    }
}

fn conflict(row: &PgRow) -> Result<Conflict> {
    let op: String = row.try_get(8)?;
    Ok(Conflict {
        id: row.try_get(0)?,
        replica: ReplicaId(row.try_get(1)?),
        replica_name: row.try_get(2)?,
        batch: row.try_get(3)?,
        txn: row.try_get(4)?,
        generation: row.try_get(5)?,
        overwrite: Overwrite {
            layer: LayerKey(row.try_get(6)?),
            global_id: GlobalId(row.try_get(7)?),
            op: Op::from_name(&op).unwrap_or(Op::Update),
            fields: row.try_get(9)?,
            known: generation_of(row, 10)?,
            other_generation: generation_of(row, 11)?,
            other_origin: row.try_get::<Option<Uuid>, _>(12)?.map(ReplicaId),
            base: row.try_get(14)?,
            server: row.try_get(15)?,
            client: row.try_get(16)?,
        },
        other_name: row.try_get(13)?,
        other_connected: row.try_get::<Option<i64>, _>(19)?.zip(row.try_get::<Option<String>, _>(20)?),
        found_ms: row.try_get(17)?,
        restored_ms: row.try_get(18)?,
    })
}
