//! How replicas live: what their clients acknowledge, how far they lag behind, when they expire.

use std::time::Duration;

use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{
    error::Result,
    model::{
        id::{Generation, LayerKey, ReplicaId},
        layer::Service,
        life::{Life, Policy},
    },
    sql::{fragment::Fragment, select::change_table},
};

use super::{OwnTx, session::generation_of};

/// For how long a device that was restored from a copy finds the history it needs: pruning uses the lowest generation
/// that a client held within this time, not the last.
pub(crate) const RESTORE_GRACE: Duration = Duration::from_hours(7 * 24);

/// How many changes are counted before "more than" is said. Bounds the cost of a list of replicas.
pub const MOST_COUNTED: i64 = 10_000;

/// What became known of a layer of a replica in a synchronization.
pub(crate) struct LayerNote {
    /// The layer.
    pub(crate) layer: LayerKey,
    /// What the client presented, if that is news.
    pub(crate) presented: Option<Generation>,
    /// What the client was given, if that is news.
    pub(crate) given: Option<Generation>,
    /// What the client presented, if a delta can start from it.
    pub(crate) acknowledged: Option<Generation>,
    /// The generation of all rows anew, if the client was given them.
    pub(crate) renewed: Option<Generation>,
    /// The oldest generation from which a delta of the layer can be made.
    pub(crate) history_from: Generation,
}

impl OwnTx<'_> {
    /// Notes what a synchronization made known of the layers of a replica. An acknowledged generation only makes a row new if it
    /// is lower than the others or begins a period.
    pub(crate) async fn replica_note(&mut self, id: ReplicaId, notes: &[LayerNote]) -> Result<()> {
        let numbers = |of: fn(&LayerNote) -> Option<Generation>| -> Vec<Option<i64>> {
            notes.iter().map(|note| of(note).map(Generation::get)).collect()
        };
        sqlx::query(
            "-- replica_note
             with note as (
               select * from unnest($3::int4[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::int8[])
                 as n(layer_key, presented, given, acknowledged, renewed, history_from)
             )
             update syncline.replica_layer l set
                 presented = greatest(l.presented, n.presented), given = coalesce(n.given, l.given),
                 -- Who could not be given a delta any more begins anew with a snapshot.
                 low = case when n.renewed is not null and coalesce(l.low, l.given) < n.history_from then n.renewed
                   when n.acknowledged is null then coalesce(l.low, l.given)
                   when now() >= l.low_since + $2 then n.acknowledged
                   else least(coalesce(l.low, l.given), n.acknowledged) end,
                 low_before = case when n.renewed is not null and coalesce(l.low, l.given) < n.history_from then null
                   when n.acknowledged is not null and now() >= l.low_since + $2 then coalesce(l.low, l.given)
                   else l.low_before end,
                 low_since = case when n.acknowledged is not null and now() >= l.low_since + $2 then now() else l.low_since end
               from note n
               where l.replica_id = $1 and l.layer_key = n.layer_key
                 and (n.presented is not null or n.given is not null or l.low is null or n.acknowledged < l.low
                   or (n.acknowledged is not null and now() >= l.low_since + $2)
                   or (n.renewed is not null and l.low < n.history_from))",
        )
        .bind(id.0)
        .bind(RESTORE_GRACE)
        .bind(notes.iter().map(|note| note.layer.0).collect::<Vec<i32>>())
        .bind(numbers(|note| note.presented))
        .bind(numbers(|note| note.given))
        .bind(numbers(|note| note.acknowledged))
        .bind(numbers(|note| note.renewed))
        .bind(numbers(|note| Some(note.history_from)))
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// The lives of all replicas of a service, oldest first, in one statement. Lags are counted in changes since what each was given last, up
    /// to [`MOST_COUNTED`] for each layer, from the newest transactions backwards, once for all replicas.
    pub(crate) async fn life_list(&mut self, service: &Service) -> Result<Vec<Life>> {
        lives(service).query()?.fetch_all(self.connection()).await?.iter().map(life).collect()
    }

    /// Lets replicas expire that have not synchronized for longer than the policy has it, or the rule of their own or of their service; never those of other
    /// servers. Returns the service, id and name of each.
    pub(crate) async fn replica_expire(&mut self, policy: Policy) -> Result<Vec<(String, ReplicaId, String)>> {
        sqlx::query(
            "-- replica_expire
             update syncline.replica r set expired_at = now() from syncline.service s
             where s.service_id = r.service_id and r.unregistered_at is null and r.target_type <> 'server' and r.expired_at is null
               and r.last_sync_at < now() - make_interval(days => nullif(coalesce(r.expire_days, s.expire_days, $1), 0))
             returning s.name, r.replica_id, r.name",
        )
        .bind(policy.expire_days.unwrap_or(0))
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(|row| Ok((row.try_get(0)?, ReplicaId(row.try_get(1)?), row.try_get(2)?)))
        .collect()
    }

    /// The replicas that expired so long ago that nothing revives them any more, with the keys of their services.
    pub(crate) async fn replica_list_overdue(&mut self, policy: Policy) -> Result<Vec<(i32, ReplicaId)>> {
        sqlx::query(
            "-- replica_list_overdue
             select r.service_id, r.replica_id from syncline.replica r join syncline.service s using (service_id)
             where r.unregistered_at is null and r.expired_at < now() - make_interval(days => $1) and coalesce(r.expire_days, s.expire_days, $2) > 0
             order by r.expired_at limit 1000",
        )
        .bind(policy.grace_days)
        .bind(policy.expire_days.unwrap_or(0))
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(|row| Ok((row.try_get(0)?, ReplicaId(row.try_get::<Uuid, _>(1)?))))
        .collect()
    }

    /// Whether a replica still is overdue; a synchronization may have revived it.
    pub(crate) async fn replica_is_overdue(&mut self, id: ReplicaId, policy: Policy) -> Result<bool> {
        let row = sqlx::query(
            "-- replica_is_overdue
             select exists (select from syncline.replica r join syncline.service s using (service_id) where r.replica_id = $1 and r.unregistered_at is null
               and r.expired_at < now() - make_interval(days => $2) and coalesce(r.expire_days, s.expire_days, $3) > 0)",
        )
        .bind(id.0)
        .bind(policy.grace_days)
        .bind(policy.expire_days.unwrap_or(0))
        .fetch_one(self.connection())
        .await?;
        Ok(row.try_get(0)?)
    }

    /// The changes of a service's layers after one generation, up to another; at most [`MOST_COUNTED`] of each layer. How many, and about how
    /// many bytes they take up.
    pub(crate) async fn changes_count(
        &mut self,
        service: &Service,
        after: Generation,
        upto: Generation,
    ) -> Result<(i64, i64)> {
        let mut out = Fragment::new(
            "-- changes_count
             select coalesce(sum(n.n), 0)::int8,
               coalesce(sum(n.n * coalesce(pg_relation_size(c.oid) / nullif(greatest(c.reltuples, 0), 0), 250)), 0)::int8
             from (select null::int4 as layer_key, 0::int8 as n",
        );
        for layer in service.tracked() {
            out.sql("\n union all select ").bind(layer.key.0);
            out.sql(", count(*) from (select from syncline.txn t join ").ident(&change_table(layer.key));
            out.sql(" c on c.syncline_txn = t.txn_id where t.service_id = ").bind(service.key.0);
            out.sql(" and t.generation > ").bind(after.get()).sql(" and t.generation <= ").bind(upto.get());
            out.sql(" limit ").bind(MOST_COUNTED).sql(") b");
        }
        out.sql(") n left join pg_class c on c.oid = to_regclass('syncline.change_' || n.layer_key)");
        let row = out.query()?.fetch_one(self.connection()).await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }
}

/// The statement of the lives of all replicas of a service; [`life`] reads its rows.
fn lives(service: &Service) -> Fragment {
    let mut out = Fragment::new(
        "-- life_list
             with recent as materialized (
               select t.txn_id, t.generation from syncline.txn t where t.service_id = ",
    );
    out.bind(service.key.0).sql(" and t.generation is not null order by t.generation desc limit ");
    out.bind(MOST_COUNTED);
    out.sql(
        "), held as (
               select l.replica_id, l.layer_key, l.given, syncline.acknowledged(l, ",
    );
    out.bind(RESTORE_GRACE);
    out.sql(
        ") as generation, greatest(y.history_from, s.history_from) as history_from
               from syncline.replica r join syncline.replica_layer l using (replica_id) join syncline.layer y using (layer_key)
                 join syncline.service s on s.service_id = r.service_id
               where r.service_id = ",
    );
    out.bind(service.key.0);
    out.sql(" and r.unregistered_at is null and r.direction <> 'upload'), mark as (\n select replica_id, layer_key, given as generation, 0::int8 as n, generation as acknowledged, history_from from held");
    for layer in service.tracked() {
        let changes = change_table(layer.key);
        // A replica that holds features holds their attachments.
        out.sql("\n union all (select null, ")
            .bind(layer.attached_to.unwrap_or(layer.key).0)
            .sql(", r.generation, 1, null, null from recent r join ");
        out.ident(&changes).sql(" c on c.syncline_txn = r.txn_id order by r.generation desc limit ");
        out.bind(MOST_COUNTED).sql(")");
    }
    out.sql(
        "), width as materialized (
               -- What a change takes up, on average; a guess where nobody has counted yet.
               select y.layer_key, coalesce(pg_relation_size(c.oid) / nullif(greatest(c.reltuples, 0), 0), 250) as row_bytes
               from syncline.layer y left join pg_class c on c.oid = to_regclass('syncline.change_' || y.layer_key)
             ), counted as (
               -- Without a join of their own: it would be planned for few rows.
               select replica_id, layer_key, generation as given, acknowledged, history_from, sum(n) over (partition by layer_key order by generation desc, n rows unbounded preceding) as n_behind
               from mark
             ), lag as (
               select c.replica_id, min(c.given) as given, min(c.acknowledged) as acknowledged, bool_and(c.acknowledged >= c.history_from) as can_go_on,
                 sum(c.n_behind)::int8 as n_behind, sum(c.n_behind * w.row_bytes)::int8 as bytes_behind,
                 bool_or(c.n_behind >= ",
    );
    out.bind(MOST_COUNTED);
    out.sql(" or (c.given < (select min(generation) from recent) and (select count(*) from recent) >= ");
    out.bind(MOST_COUNTED);
    out.sql(
        ")) as has_more
               from counted c join width w using (layer_key) where c.replica_id is not null group by c.replica_id
             )
             select r.replica_id, r.name, r.owner, r.target_type = 'server', (extract(epoch from r.created_at) * 1000)::int8,
               (extract(epoch from r.last_sync_at) * 1000)::int8, (extract(epoch from r.expired_at) * 1000)::int8,
               (extract(epoch from now()) * 1000)::int8, l.acknowledged, l.can_go_on, l.n_behind, l.has_more,
               r.instance_id <> syncline.instance(), l.bytes_behind, coalesce(r.expire_days, s.expire_days),
               (select (extract(epoch from t.committed_at) * 1000)::int8 from syncline.txn t
                 where t.service_id = r.service_id and t.generation <= l.given order by t.generation desc limit 1), l.given
             from syncline.replica r join syncline.service s using (service_id) left join lag l using (replica_id) where r.service_id = ",
    );
    out.bind(service.key.0).sql(" and r.unregistered_at is null order by r.created_at, r.replica_id");
    out
}

fn life(row: &PgRow) -> Result<Life> {
    let generation = |column: usize| match row.try_get::<Option<i64>, _>(column)? {
        None => Ok(None),
        Some(_) => generation_of(row, column).map(Some),
    };
    Ok(Life {
        id: ReplicaId(row.try_get(0)?),
        name: row.try_get(1)?,
        owner: row.try_get(2)?,
        is_foreign: row.try_get(12)?,
        is_server: row.try_get(3)?,
        created_ms: row.try_get(4)?,
        last_sync_ms: row.try_get(5)?,
        expired_ms: row.try_get(6)?,
        now_ms: row.try_get(7)?,
        acknowledged: generation(8)?,
        can_go_on: row.try_get::<Option<bool>, _>(9)?.unwrap_or(true),
        n_behind: row.try_get::<Option<i64>, _>(10)?.unwrap_or(0),
        has_more: row.try_get::<Option<bool>, _>(11)?.unwrap_or(false),
        bytes_behind: row.try_get::<Option<i64>, _>(13)?.unwrap_or(0),
        given: generation(16)?,
        given_ms: row.try_get(15)?,
        expire_days: row.try_get(14)?,
    })
}
