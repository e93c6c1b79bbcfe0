//! What the console for administrators asks the books about many replicas at once: few statements, whatever their number.

use std::collections::{HashMap, HashSet};

use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    metrics::SyncOutcome,
    model::{
        id::{Generation, LayerKey, ReplicaId, ServiceKey},
        layer::Service,
    },
};

use super::{
    OwnTx,
    session::{generation, generation_of},
    synchronizations::MOST_KEPT,
};

/// The last synchronization of a replica, in brief.
#[derive(Clone, Debug)]
pub(crate) struct LastSync {
    /// How it ended.
    pub(crate) outcome: SyncOutcome,
    /// When, in milliseconds since 1970.
    pub(crate) ended_ms: i64,
    /// What its client was told, if it failed.
    pub(crate) message: Option<String>,
    /// What the client calls itself.
    pub(crate) client: String,
}

/// What the books have about a replica beside its life.
#[derive(Clone, Debug, Default)]
pub(crate) struct Booked {
    /// What the client that made it calls itself.
    pub(crate) client: String,
    /// How many synchronizations were noted.
    pub(crate) n_syncs: i64,
    /// Its own rule of expiry: days, 0 for never; `None` if it has none.
    pub(crate) expire_days: Option<i32>,
    /// The last one.
    pub(crate) last: Option<LastSync>,
    /// How many of its refused edits are open.
    pub(crate) n_rejected: i64,
    /// How many of its conflicts nobody has settled.
    pub(crate) n_conflicts: i64,
}

/// A layer of a replica, in brief.
#[derive(Clone, Debug)]
pub(crate) struct HeldLayer {
    /// The layer.
    pub(crate) layer: LayerKey,
    /// `all`, `none` or `useFilter`.
    pub(crate) option: String,
    /// Its condition.
    pub(crate) where_clause: Option<String>,
    /// Whether the replica's geometry restricts it.
    pub(crate) use_geometry: bool,
    /// Whether rows come along that belong to others.
    pub(crate) include_related: bool,
    /// The newest generation that the client was given.
    pub(crate) given: i64,
    /// The newest that it has presented.
    pub(crate) presented: i64,
    /// The box of its area in degrees: west, south, east, north.
    pub(crate) extent: Option<[f64; 4]>,
}

/// The shape of a replica, in brief.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// How its generations count.
    pub(crate) sync_model: String,
    /// The directions it was made for.
    pub(crate) direction: String,
    /// Its geometry as the client gave it, as Esri JSON.
    pub(crate) area_json: Option<String>,
    /// Its layers, in the order of the request that made it.
    pub(crate) layers: Vec<HeldLayer>,
}

/// Where the history of a service begins and ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// The oldest generation from which a delta can be made …
    pub(crate) from: Generation,
    /// … and when it was committed, or what comes next; in milliseconds since 1970.
    pub(crate) from_ms: Option<i64>,
    /// The newest generation …
    pub(crate) to: Generation,
    /// … and when it was committed.
    pub(crate) to_ms: Option<i64>,
    /// Up to here, history is older than what is kept for its age.
    pub(crate) horizon: Generation,
}

impl OwnTx<'_> {
    /// Which replicas are being synchronized: the keys of their locks, see [`lock_key`].
    pub(crate) async fn replica_locks(&mut self) -> Result<HashSet<i64>> {
        sqlx::query(
            "-- replica_locks
             select (l.classid::int8 << 32) | l.objid::int8 from pg_locks l
             where l.locktype = 'advisory' and l.objsubid = 1 and l.granted and l.pid <> pg_backend_pid()
               and l.database = (select d.oid from pg_database d where d.datname = current_database())",
        )
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(|row| Ok(row.try_get(0)?))
        .collect()
    }

    /// What the books have about each registered replica of a service.
    pub(crate) async fn booked_list(&mut self, service: ServiceKey) -> Result<HashMap<ReplicaId, Booked>> {
        sqlx::query(
            "-- booked_list
             with rejected as (
               select replica_id, count(*) as n from syncline.rejected_edit where service_id = $1 and state = 'open' and replica_id is not null group by 1
             ), conflict as (
               select replica_id, count(*) as n from syncline.conflict where service_id = $1 and restored_at is null group by 1
             )
             select r.replica_id, r.client, r.n_syncs, k.outcome, (extract(epoch from k.ended_at) * 1000)::int8, k.message, k.client,
               coalesce(e.n, 0), coalesce(c.n, 0), r.expire_days
             from syncline.replica r left join syncline.synchronization k on k.replica_id = r.replica_id and k.slot = r.n_syncs % $2
               left join rejected e on e.replica_id = r.replica_id left join conflict c on c.replica_id = r.replica_id
             where r.service_id = $1 and r.unregistered_at is null",
        )
        .bind(service.0)
        .bind(MOST_KEPT)
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(booked)
        .collect()
    }

    /// The service that a replica is registered with.
    pub(crate) async fn replica_service(&mut self, id: ReplicaId) -> Result<Option<ServiceKey>> {
        let row = sqlx::query(
            "-- replica_service\nselect service_id from syncline.replica where replica_id = $1 and unregistered_at is null",
        )
        .bind(id.0)
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| Ok(ServiceKey(row.try_get(0)?))).transpose()
    }

    /// The shapes of some replicas of a service.
    pub(crate) async fn held_list(&mut self, ids: &[ReplicaId]) -> Result<HashMap<ReplicaId, Held>> {
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let mut found: HashMap<ReplicaId, Held> = HashMap::new();
        for row in sqlx::query(
            "-- held_list
             select r.replica_id, r.sync_model, r.direction, r.area_json, l.layer_key, l.query_option, l.where_clause, l.use_geometry, l.include_related,
               l.given, l.presented, case when l.use_geometry and l.query_option = 'useFilter' then syncline.box_in_degrees(l.area) end
             from syncline.replica r join syncline.replica_layer l using (replica_id) where r.replica_id = any($1) order by r.replica_id, l.position",
        )
        .bind(&ids)
        .fetch_all(self.connection())
        .await?
        {
            let held = found.entry(ReplicaId(row.try_get(0)?)).or_default();
            held.sync_model = row.try_get(1)?;
            held.direction = row.try_get(2)?;
            held.area_json = row.try_get(3)?;
            held.layers.push(HeldLayer {
                layer: LayerKey(row.try_get(4)?),
                option: row.try_get(5)?,
                where_clause: row.try_get(6)?,
                use_geometry: row.try_get(7)?,
                include_related: row.try_get(8)?,
                given: row.try_get(9)?,
                presented: row.try_get(10)?,
                extent: corners(row.try_get(11)?),
            });
        }
        Ok(found)
    }

    /// Boxes in degrees of boxes in other spatial references; `None` for those that cannot be brought there.
    pub(crate) async fn boxes_in_degrees(&mut self, boxes: &[(i32, [f64; 4])]) -> Result<Vec<Option<[f64; 4]>>> {
        let side = |index: usize| boxes.iter().map(|(_, sides)| sides[index]).collect::<Vec<f64>>();
        sqlx::query(
            "-- boxes_in_degrees
             select syncline.box_in_degrees(ST_AsEWKB(ST_MakeEnvelope(b.xmin, b.ymin, b.xmax, b.ymax, b.srid)))
             from unnest($1::int4[], $2::float8[], $3::float8[], $4::float8[], $5::float8[]) with ordinality b(srid, xmin, ymin, xmax, ymax, position)
             order by b.position",
        )
        .bind(boxes.iter().map(|(srid, _)| *srid).collect::<Vec<i32>>())
        .bind(side(0))
        .bind(side(1))
        .bind(side(2))
        .bind(side(3))
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(|row| Ok(corners(row.try_get(0)?)))
        .collect()
    }

    /// Where the history of a service begins and ends, and from where on it is kept for its age.
    pub(crate) async fn history_span(&mut self, service: &Service, keep_days: i32) -> Result<Span> {
        let row = sqlx::query(
            "-- history_span
             select s.history_from, greatest(s.history_from, n.generation),
               (select (extract(epoch from t.committed_at) * 1000)::int8 from syncline.txn t
                 where t.service_id = s.service_id and t.generation >= s.history_from order by t.generation limit 1),
               (extract(epoch from n.committed_at) * 1000)::int8,
               coalesce((select max(t.generation) from syncline.txn t where t.service_id = s.service_id and t.generation < coalesce(
                 (select y.generation from syncline.txn y where y.service_id = s.service_id and y.generation > s.history_from
                   and y.committed_at >= now() - make_interval(days => $2) order by y.generation limit 1), 9223372036854775807)), s.history_from)
             from syncline.service s left join lateral (select t.generation, t.committed_at from syncline.txn t
               where t.service_id = s.service_id and t.generation is not null order by t.generation desc limit 1) n on true
             where s.service_id = $1",
        )
        .bind(service.key.0)
        .bind(keep_days)
        .fetch_optional(self.connection())
        .await?
        .ok_or_else(|| Error::NotFound(format!("Service {}/FeatureServer not found ", service.name)))?;
        Ok(Span {
            from: generation_of(&row, 0)?,
            to: generation(row.try_get::<Option<i64>, _>(1)?.unwrap_or_default())?,
            from_ms: row.try_get(2)?,
            to_ms: row.try_get(3)?,
            horizon: generation_of(&row, 4)?,
        })
    }

    /// How many jobs of each of these replicas have not ended.
    pub(crate) async fn jobs_of_replicas(&mut self, ids: &[ReplicaId]) -> Result<HashMap<ReplicaId, i64>> {
        sqlx::query(
            "-- jobs_of_replicas
             select r.id, count(*) from unnest($1::uuid[]) r(id) join syncline.job j
               on j.ended_at is null and j.operation = 'synchronizeReplica' and position(r.id::text in lower(j.parameters)) > 0
             group by r.id",
        )
        .bind(ids.iter().map(|id| id.0).collect::<Vec<Uuid>>())
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(|row| Ok((ReplicaId(row.try_get(0)?), row.try_get(1)?)))
        .collect()
    }

    /// Sets after how many days without a synchronization some replicas expire; 0 for never, `None` for whatever holds for
    /// their service. Those that had expired and would not any more live again. Returns which there are.
    pub(crate) async fn replica_set_expiry(
        &mut self,
        service: ServiceKey,
        ids: &[ReplicaId],
        days: Option<i32>,
        default_days: i32,
    ) -> Result<HashSet<ReplicaId>> {
        sqlx::query(
            "-- replica_set_expiry
             update syncline.replica r set expire_days = $3,
               expired_at = case when r.last_sync_at >= now() - make_interval(days => nullif(coalesce($3, s.expire_days, $4), 0)) or
                 coalesce($3, s.expire_days, $4) = 0 then null else r.expired_at end
             from syncline.service s
             where s.service_id = r.service_id and r.service_id = $1 and r.replica_id = any($2) and r.unregistered_at is null returning r.replica_id",
        )
        .bind(service.0)
        .bind(ids.iter().map(|id| id.0).collect::<Vec<Uuid>>())
        .bind(days)
        .bind(default_days)
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(|row| Ok(ReplicaId(row.try_get(0)?)))
        .collect()
    }

    /// The same for the replicas of a service that have no rule of their own.
    pub(crate) async fn service_set_expiry(
        &mut self,
        service: ServiceKey,
        days: Option<i32>,
        default_days: i32,
    ) -> Result<()> {
        sqlx::query(
            "-- service_set_expiry
             with changed as (update syncline.service set expire_days = $2 where service_id = $1 returning service_id)
             update syncline.replica r set expired_at = null from changed
             where r.service_id = changed.service_id and r.expire_days is null and r.unregistered_at is null and r.expired_at is not null
               and (coalesce($2, $3) = 0 or r.last_sync_at >= now() - make_interval(days => coalesce($2, $3)))",
        )
        .bind(service.0)
        .bind(days)
        .bind(default_days)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// The rules of services that are not those of the settings.
    pub(crate) async fn service_expiry_list(&mut self) -> Result<Vec<(String, i32)>> {
        sqlx::query(
            "-- service_expiry_list\nselect name, expire_days from syncline.service where expire_days is not null order by name",
        )
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
        .collect()
    }

    /// Numbers that change whenever something changes that the console shows, cheaply had.
    pub(crate) async fn pulse(&mut self) -> Result<Vec<i64>> {
        let row = sqlx::query(
            "-- pulse
             select (select coalesce(sum(g.generation), 0)::int8 from syncline.service s cross join lateral
                 (select t.generation from syncline.txn t where t.service_id = s.service_id and t.generation is not null order by t.generation desc limit 1) g),
               (select coalesce(sum(n_syncs), 0)::int8 from syncline.replica), (select count(*) from syncline.replica where unregistered_at is null),
               (select coalesce(sum(coalesce(expire_days, -1)), 0)::int8 from syncline.replica where unregistered_at is null),
               (select count(*) from syncline.replica where unregistered_at is null and expired_at is not null),
               (select count(*) from syncline.rejected_edit where state = 'open'), (select count(*) from syncline.conflict where restored_at is null),
               (select count(*) from syncline.job where state = 'Pending'), (select count(*) from syncline.job where state = 'InProgress'),
               (select count(*) from syncline.job where ended_at is not null),
               (select count(*) from syncline.gap where mended_at is null), (select coalesce(sum(history_from), 0)::int8 from syncline.service)",
        )
        .fetch_one(self.connection())
        .await?;
        (0..row.len()).map(|index| Ok(row.try_get(index)?)).collect()
    }
}

/// The key of the lock that a synchronization of a replica holds.
pub(crate) fn lock_key(id: ReplicaId) -> i64 {
    id.0.as_u64_pair().0.cast_signed()
}

fn corners(sides: Option<Vec<f64>>) -> Option<[f64; 4]> {
    sides.and_then(|sides| <[f64; 4]>::try_from(sides).ok())
}

fn booked(row: &PgRow) -> Result<(ReplicaId, Booked)> {
    let outcome: Option<String> = row.try_get(3)?;
    let last = match outcome.as_deref().and_then(SyncOutcome::from_name) {
        None => None,
        Some(outcome) => {
            let ended_ms = row.try_get(4)?;
            Some(LastSync { outcome, ended_ms, message: row.try_get(5)?, client: row.try_get(6)? })
        }
    };
    let booked = Booked {
        client: row.try_get(1)?,
        n_syncs: row.try_get(2)?,
        expire_days: row.try_get(9)?,
        last,
        n_rejected: row.try_get(7)?,
        n_conflicts: row.try_get(8)?,
    };
    Ok((ReplicaId(row.try_get(0)?), booked))
}
