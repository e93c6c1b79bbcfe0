//! Edits that were received and refused. They are kept whole until they are applied or dismissed.

use serde_json::Value as Json;
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{
    error::Result,
    model::{
        edit::{EditError, EditErrorCode, Op},
        id::{GlobalId, LayerKey, ReplicaId, ServiceKey},
        layer::Service,
        provenance::{EditOperation, Provenance},
    },
};

use super::{OwnTx, Store, WriteTx};

/// Where refused edits come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RejectedOrigin<'a> {
    /// The replica that uploaded them; `None` if a connected client sent them.
    replica: Option<ReplicaId>,
    /// The batch that they came with, if it was entered into the books.
    batch: Option<i64>,
    operation: EditOperation,
    user: &'a str,
    request_id: Option<&'a str>,
}

impl<'a> RejectedOrigin<'a> {
    /// An upload of a replica.
    pub(crate) fn upload(replica: ReplicaId, batch: Option<i64>, user: &'a str) -> RejectedOrigin<'a> {
        RejectedOrigin {
            replica: Some(replica),
            batch,
            operation: EditOperation::SynchronizeReplica,
            user,
            request_id: None,
        }
    }

    /// A request of a connected client.
    pub(crate) fn connected(from: &'a Provenance, batch: Option<i64>) -> RejectedOrigin<'a> {
        RejectedOrigin {
            replica: None,
            batch,
            operation: from.operation,
            user: &from.user,
            request_id: Some(&from.request_id),
        }
    }
}

/// A refused edit that is to be kept.
#[derive(Debug)]
pub(crate) struct NewRejected {
    /// The layer.
    pub(crate) layer: LayerKey,
    /// What it would have done.
    pub(crate) op: Op,
    /// Which feature, if that could be read.
    pub(crate) global_id: Option<GlobalId>,
    /// The edit as an Esri feature, or what was sent.
    pub(crate) feature: String,
    /// The fields that it names, and `geometry`.
    pub(crate) names: Vec<String>,
    /// SHA-256 of operation and feature.
    pub(crate) digest: Vec<u8>,
    /// Why it was refused.
    pub(crate) error: EditError,
    /// How many bytes it takes up, with the file of an attachment.
    pub(crate) size_bytes: i64,
}

/// What must be known of an open refused edit to see that a later edit settles it.
#[derive(Debug)]
pub(crate) struct OpenRejected {
    /// Its number.
    pub(crate) id: i64,
    /// The layer.
    pub(crate) layer: LayerKey,
    /// What it would have done.
    pub(crate) op: Op,
    /// Which feature, if that could be read.
    pub(crate) global_id: Option<GlobalId>,
    /// The fields that it names, and `geometry`.
    pub(crate) names: Vec<String>,
}

/// What became of a refused edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RejectedState {
    /// Nothing yet.
    Open,
    /// It was applied, as it was or corrected.
    Applied,
    /// Somebody decided that it is not wanted.
    Dismissed,
}

impl RejectedState {
    /// The name in the API and in the database.
    pub(crate) fn name(self) -> &'static str {
        match self {
            RejectedState::Open => "open",
            RejectedState::Applied => "applied",
            RejectedState::Dismissed => "dismissed",
        }
    }

    /// The state with this name, in any case.
    pub(crate) fn from_name(name: &str) -> Option<RejectedState> {
        [RejectedState::Open, RejectedState::Applied, RejectedState::Dismissed]
            .into_iter()
            .find(|state| state.name().eq_ignore_ascii_case(name))
    }
}

/// A refused edit that is kept.
#[derive(Debug)]
pub(crate) struct Rejected {
    /// Its number.
    pub(crate) id: i64,
    /// Whose it is; `None` if a connected client sent it.
    pub(crate) replica: Option<ReplicaId>,
    /// The name of the replica, if anything is still known of it.
    pub(crate) replica_name: Option<String>,
    /// The batch that it last came with, if that was entered into the books.
    pub(crate) batch: Option<i64>,
    /// The operation that brought it.
    pub(crate) operation: String,
    /// Who sent it; empty if nobody knows.
    pub(crate) user: String,
    /// The request that it last came with, if a connected client sent it.
    pub(crate) request_id: Option<String>,
    /// The layer.
    pub(crate) layer: LayerKey,
    /// What it would have done.
    pub(crate) op: Op,
    /// Which feature, if that could be read.
    pub(crate) global_id: Option<GlobalId>,
    /// The edit as an Esri feature, or what was sent.
    pub(crate) feature: String,
    /// Why it was refused.
    pub(crate) error: EditError,
    /// What became of it.
    pub(crate) state: RejectedState,
    /// When it came first, in milliseconds since 1970.
    pub(crate) received_ms: i64,
    /// When it came last.
    pub(crate) last_received_ms: i64,
    /// How often it came.
    pub(crate) times_received: i32,
    /// When and by whom it was closed.
    pub(crate) closed: Option<(i64, String)>,
}

/// Which refused edits a list has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RejectedFilter {
    /// Those of a replica.
    pub(crate) replica: Option<ReplicaId>,
    /// Those of connected clients, or those of replicas.
    pub(crate) connected: Option<bool>,
    /// Those of a layer.
    pub(crate) layer: Option<LayerKey>,
    /// Those in a state.
    pub(crate) state: Option<RejectedState>,
    /// Those of a feature.
    pub(crate) global_id: Option<GlobalId>,
}

impl WriteTx<'_> {
    /// Keeps refused edits. One that is open already is not kept twice. No two of them have the same layer and digest.
    pub(crate) async fn rejected_insert(
        &mut self,
        service: ServiceKey,
        from: RejectedOrigin<'_>,
        rows: &[NewRejected],
    ) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let names: Vec<String> =
            rows.iter().map(|row| serde_json::Value::from(row.names.clone()).to_string()).collect();
        sqlx::query(
            "-- rejected_edit_insert
             insert into syncline.rejected_edit as k (service_id, replica_id, batch_id, layer_key, op, global_id, feature, names, digest, code, message,
               operation, user_name, request_id, size_bytes)
             select $1, $2, $3, u.layer_key, u.op, u.global_id, u.feature,
               array(select jsonb_array_elements_text(u.names::jsonb)), u.digest, u.code, u.message, $12, $13, $14, u.size_bytes
             from unnest($4::int4[], $5::text[], $6::uuid[], $7::text[], $8::text[], $9::bytea[], $10::int4[], $11::text[], $15::int8[])
               u(layer_key, op, global_id, feature, names, digest, code, message, size_bytes)
             on conflict (coalesce(replica_id, '00000000-0000-0000-0000-000000000000'), layer_key, digest) where state = 'open'
             do update set batch_id = coalesce(excluded.batch_id, k.batch_id), operation = excluded.operation, user_name = excluded.user_name,
               request_id = excluded.request_id, code = excluded.code, message = excluded.message, last_received_at = now(),
               times_received = k.times_received + 1",
        )
        .bind(service.0)
        .bind(from.replica.map(|id| id.0))
        .bind(from.batch)
        .bind(rows.iter().map(|row| row.layer.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.op.name()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.global_id.map(|id| id.0)).collect::<Vec<Option<Uuid>>>())
        .bind(rows.iter().map(|row| row.feature.as_str()).collect::<Vec<_>>())
        .bind(names)
        .bind(rows.iter().map(|row| row.digest.as_slice()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.error.code.number()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.error.description.as_str()).collect::<Vec<_>>())
        .bind(from.operation.name())
        .bind(from.user)
        .bind(from.request_id)
        .bind(rows.iter().map(|row| row.size_bytes).collect::<Vec<_>>())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// The open refused edits of a replica.
    pub(crate) async fn rejected_open(&mut self, replica: ReplicaId) -> Result<Vec<OpenRejected>> {
        sqlx::query(
            "-- rejected_edit_open
             select rejected_edit_id, layer_key, op, global_id, names from syncline.rejected_edit where replica_id = $1 and state = 'open'",
        )
        .bind(replica.0)
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(open_rejected)
        .collect()
    }

    /// Closes refused edits that are open, in somebody's name. Returns how many were.
    pub(crate) async fn rejected_close(
        &mut self,
        service: ServiceKey,
        ids: &[i64],
        state: RejectedState,
        by: &str,
    ) -> Result<u64> {
        if ids.is_empty() {
            return Ok(0);
        }
        let done = sqlx::query(
            "-- rejected_edit_close
             update syncline.rejected_edit set state = $3, closed_at = now(), closed_by = $4
             where service_id = $1 and rejected_edit_id = any($2) and state = 'open'",
        )
        .bind(service.0)
        .bind(ids)
        .bind(state.name())
        .bind(by)
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected())
    }
}

impl OwnTx<'_> {
    /// A page of the refused edits that who asks may touch, in the order in which they came; one more than the limit if there are more.
    pub(crate) async fn rejected_list(
        &mut self,
        service: &Service,
        wanted: &RejectedFilter,
        offset: i64,
        limit: i64,
    ) -> Result<Vec<Rejected>> {
        sqlx::query(
            "-- rejected_edit_list
             select k.rejected_edit_id, k.replica_id, r.name, k.batch_id, k.layer_key, k.op, k.global_id, k.feature, k.code, k.message, k.state,
               (extract(epoch from k.received_at) * 1000)::int8, (extract(epoch from k.last_received_at) * 1000)::int8, k.times_received,
               (extract(epoch from k.closed_at) * 1000)::int8, k.closed_by, k.operation, coalesce(nullif(k.user_name, ''), r.owner, ''), k.request_id
             from syncline.rejected_edit k left join syncline.replica r using (replica_id)
             where k.service_id = $1 and ($2::uuid is null or k.replica_id = $2) and ($3::int4 is null or k.layer_key = $3)
               and ($4::text is null or k.state = $4) and ($5::uuid is null or k.global_id = $5)
               and ($8::bool is null or (k.replica_id is null) = $8)
               and ($9::text is null or lower(coalesce(r.owner, k.user_name)) in ('', lower($9)))
             order by k.rejected_edit_id limit $6 offset $7",
        )
        .bind(service.key.0)
        .bind(wanted.replica.map(|id| id.0))
        .bind(wanted.layer.map(|key| key.0))
        .bind(wanted.state.map(RejectedState::name))
        .bind(wanted.global_id.map(|id| id.0))
        .bind(limit.saturating_add(1))
        .bind(offset)
        .bind(wanted.connected)
        .bind(service.caller.only())
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(rejected)
        .collect()
    }

    /// One refused edit, if who asks may touch it.
    pub(crate) async fn rejected_find(&mut self, service: &Service, id: i64) -> Result<Option<Rejected>> {
        sqlx::query(
            "-- rejected_edit_find
             select k.rejected_edit_id, k.replica_id, r.name, k.batch_id, k.layer_key, k.op, k.global_id, k.feature, k.code, k.message, k.state,
               (extract(epoch from k.received_at) * 1000)::int8, (extract(epoch from k.last_received_at) * 1000)::int8, k.times_received,
               (extract(epoch from k.closed_at) * 1000)::int8, k.closed_by, k.operation, coalesce(nullif(k.user_name, ''), r.owner, ''), k.request_id
             from syncline.rejected_edit k left join syncline.replica r using (replica_id)
             where k.service_id = $1 and k.rejected_edit_id = $2
               and ($3::text is null or lower(coalesce(r.owner, k.user_name)) in ('', lower($3)))",
        )
        .bind(service.key.0)
        .bind(id)
        .bind(service.caller.only())
        .fetch_optional(self.connection())
        .await?
        .as_ref()
        .map(rejected)
        .transpose()
    }
}

pub(super) fn open_rejected(row: &PgRow) -> Result<OpenRejected> {
    let op: String = row.try_get(2)?;
    Ok(OpenRejected {
        id: row.try_get(0)?,
        layer: LayerKey(row.try_get(1)?),
        op: Op::from_name(&op).unwrap_or(Op::Update),
        global_id: row.try_get::<Option<Uuid>, _>(3)?.map(GlobalId),
        names: row.try_get(4)?,
    })
}

fn rejected(row: &PgRow) -> Result<Rejected> {
    let (op, state): (String, String) = (row.try_get(5)?, row.try_get(10)?);
    let closed = row.try_get::<Option<i64>, _>(14)?.zip(row.try_get::<Option<String>, _>(15)?);
    Ok(Rejected {
        id: row.try_get(0)?,
        replica: row.try_get::<Option<Uuid>, _>(1)?.map(ReplicaId),
        replica_name: row.try_get(2)?,
        batch: row.try_get(3)?,
        operation: row.try_get(16)?,
        user: row.try_get(17)?,
        request_id: row.try_get(18)?,
        layer: LayerKey(row.try_get(4)?),
        op: Op::from_name(&op).unwrap_or(Op::Update),
        global_id: row.try_get::<Option<Uuid>, _>(6)?.map(GlobalId),
        feature: row.try_get(7)?,
        error: EditError { code: EditErrorCode::from_number(row.try_get(8)?), description: row.try_get(9)? },
        state: RejectedState::from_name(&state).unwrap_or(RejectedState::Open),
        received_ms: row.try_get(11)?,
        last_received_ms: row.try_get(12)?,
        times_received: row.try_get(13)?,
        closed,
    })
}

impl Store {
    /// EWKB as GeoJSON geometries in longitude and latitude; null for none. One that lies outside of what its reference is made
    /// for fails the statement: then each is asked for alone, and that one is null.
    pub(crate) async fn as_geojson(&self, places: &[Option<Vec<u8>>]) -> Result<Vec<Json>> {
        if let Ok(all) = self.all_as_geojson(places).await {
            return Ok(all);
        }
        let mut each = Vec::with_capacity(places.len());
        for place in places {
            match self.all_as_geojson(std::slice::from_ref(place)).await {
                Ok(one) => each.extend(one),
                Err(sqlx::Error::Database(problem)) => {
                    tracing::debug!(%problem, "the geometry of a refused edit cannot be brought to longitude and latitude");
                    each.push(Json::Null);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(each)
    }

    async fn all_as_geojson(&self, places: &[Option<Vec<u8>>]) -> std::result::Result<Vec<Json>, sqlx::Error> {
        sqlx::query(
            "-- geometry_as_geojson
             select ST_AsGeoJSON(ST_ForcePolygonCCW(case when ST_SRID(g) = 4326 then g else ST_Transform(g, 4326) end), 9, 0)::jsonb
             from (select e::geometry as g, n from unnest($1::bytea[]) with ordinality u(e, n)) p order by n",
        )
        .bind(places)
        .fetch_all(self.pool())
        .await?
        .iter()
        .map(|row| Ok(row.try_get::<Option<Json>, _>(0)?.unwrap_or(Json::Null)))
        .collect()
    }
}
