//! What the database tells about the health of services, jobs and of itself, for people. Monitoring has [`super::figures`].

use sqlx::Row as _;

use crate::error::Result;

use super::{Store, life::RESTORE_GRACE};

/// How a service is doing.
#[derive(Clone, Debug)]
pub(crate) struct ServiceHealth {
    /// Its name.
    pub(crate) name: String,
    /// The oldest generation from which a delta can be made.
    pub(crate) from: i64,
    /// The newest generation.
    pub(crate) to: i64,
    /// When the oldest change was committed that is kept, in milliseconds since 1970; `None` if there is none.
    pub(crate) from_ms: Option<i64>,
    /// When the newest was.
    pub(crate) to_ms: Option<i64>,
    /// About how many changes are kept.
    pub(crate) n_changes: i64,
    /// How many bytes they take up, with their indexes.
    pub(crate) n_bytes: i64,
    /// How many replicas are registered.
    pub(crate) n_replicas: i64,
    /// How many of them have expired.
    pub(crate) n_expired: i64,
    /// How many refused edits are open.
    pub(crate) n_rejected: i64,
    /// How many conflicts nobody has settled.
    pub(crate) n_conflicts: i64,
    /// The replica that needs the oldest history: id, name, and when it last synchronized.
    pub(crate) held_by: Option<(String, String, i64)>,
}

/// A gap that nobody has mended.
#[derive(Clone, Debug)]
pub(crate) struct OpenGap {
    /// The service.
    pub(crate) service: String,
    /// The id of the layer.
    pub(crate) layer: i32,
    /// Its name.
    pub(crate) layer_name: String,
    /// Why changes may have been missed.
    pub(crate) reason: String,
    /// Since when, in milliseconds since 1970.
    pub(crate) noticed_ms: i64,
}

/// How jobs are doing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobsHealth {
    /// How many wait.
    pub(crate) n_waiting: i64,
    /// How many run.
    pub(crate) n_running: i64,
    /// How many failed within a day.
    pub(crate) n_failed: i64,
    /// How many ended well within a day.
    pub(crate) n_done: i64,
    /// How many seconds ago the oldest was submitted that has not ended.
    pub(crate) oldest_s: i64,
    /// How many run under a lease that is over.
    pub(crate) n_stuck: i64,
}

/// How the database is doing.
#[derive(Clone, Debug)]
pub(crate) struct DatabaseHealth {
    /// Of PostgreSQL and PostGIS.
    pub(crate) version: String,
    /// Its size.
    pub(crate) n_bytes: i64,
    /// How many connections there are, of all programs and databases.
    pub(crate) n_connections: i64,
    /// How many there may be.
    pub(crate) max_connections: i64,
    /// How many seconds the oldest transaction has been open, as far as the server may see it.
    pub(crate) oldest_transaction_s: i64,
    /// How many connections this process has, and how many of them are idle.
    pub(crate) own: (u32, usize),
    /// The time by its clock, in milliseconds since 1970.
    pub(crate) now_ms: i64,
}

impl Store {
    /// How each service is doing.
    pub(crate) async fn service_health(&self) -> Result<Vec<ServiceHealth>> {
        sqlx::query(
            "-- service_health
             select s.name, s.history_from, greatest(s.history_from, n.generation), (extract(epoch from o.committed_at) * 1000)::int8,
               (extract(epoch from n.committed_at) * 1000)::int8, c.n_changes, c.n_bytes, r.n, r.n_expired,
               (select count(*) from syncline.rejected_edit e where e.service_id = s.service_id and e.state = 'open'),
               (select count(*) from syncline.conflict k where k.service_id = s.service_id and k.restored_at is null),
               h.replica_id::text, h.name, (extract(epoch from h.last_sync_at) * 1000)::int8
             from syncline.service s
             left join lateral (select t.generation, t.committed_at from syncline.txn t
               where t.service_id = s.service_id and t.generation is not null order by t.generation desc limit 1) n on true
             left join lateral (select t.committed_at from syncline.txn t
               where t.service_id = s.service_id and t.generation > s.history_from order by t.generation limit 1) o on true
             cross join lateral (select coalesce(sum(greatest(p.reltuples, 0)), 0)::int8 as n_changes, coalesce(sum(pg_total_relation_size(p.oid)), 0)::int8 as n_bytes
               from syncline.layer l join pg_class p on p.oid = to_regclass('syncline.change_' || l.layer_key) where l.service_id = s.service_id) c
             cross join lateral (select count(*) as n, count(*) filter (where expired_at is not null) as n_expired from syncline.replica
               where service_id = s.service_id and unregistered_at is null) r
             left join lateral (select q.replica_id, q.name, q.last_sync_at from syncline.replica q join syncline.replica_layer l using (replica_id)
                 join syncline.layer y using (layer_key)
               where q.service_id = s.service_id and q.unregistered_at is null and q.direction <> 'upload'
                 and syncline.acknowledged(l, $1) >= greatest(s.history_from, y.history_from)
               order by syncline.acknowledged(l, $1), q.replica_id limit 1) h on true
             order by s.name",
        )
        .bind(RESTORE_GRACE)
        .fetch_all(self.pool())
        .await?
        .iter()
        .map(|row| {
            let holder: Option<String> = row.try_get(11)?;
            Ok(ServiceHealth {
                name: row.try_get(0)?,
                from: row.try_get(1)?,
                to: row.try_get::<Option<i64>, _>(2)?.unwrap_or_default(),
                from_ms: row.try_get(3)?,
                to_ms: row.try_get(4)?,
                n_changes: row.try_get(5)?,
                n_bytes: row.try_get(6)?,
                n_replicas: row.try_get(7)?,
                n_expired: row.try_get(8)?,
                n_rejected: row.try_get(9)?,
                n_conflicts: row.try_get(10)?,
                held_by: match holder {
                    None => None,
                    Some(id) => Some((id, row.try_get(12)?, row.try_get(13)?)),
                },
            })
        })
        .collect()
    }

    /// The gaps that nobody has mended.
    pub(crate) async fn open_gaps(&self) -> Result<Vec<OpenGap>> {
        sqlx::query(
            "-- gap_list_open
             select s.name, f.layer_id, l.name, g.reason, (extract(epoch from g.noticed_at) * 1000)::int8
             from syncline.gap g join syncline.layer l using (layer_key) join syncline.layer f on f.layer_key = coalesce(l.attached_to, l.layer_key)
               join syncline.service s on s.service_id = l.service_id
             where g.mended_at is null order by s.name, f.layer_id, g.gap_id limit 1000",
        )
        .fetch_all(self.pool())
        .await?
        .iter()
        .map(|row| {
            Ok(OpenGap {
                service: row.try_get(0)?,
                layer: row.try_get(1)?,
                layer_name: row.try_get(2)?,
                reason: row.try_get(3)?,
                noticed_ms: row.try_get(4)?,
            })
        })
        .collect()
    }

    /// How jobs are doing.
    pub(crate) async fn jobs_health(&self) -> Result<JobsHealth> {
        let row = sqlx::query(
            "-- job_health
             select count(*) filter (where state = 'Pending'), count(*) filter (where state = 'InProgress'),
               count(*) filter (where state = 'Failed' and ended_at > now() - interval '1 day'),
               count(*) filter (where state in ('Completed', 'CompletedWithErrors') and ended_at > now() - interval '1 day'),
               coalesce(extract(epoch from now() - min(submitted_at) filter (where ended_at is null)), 0)::int8,
               count(*) filter (where state = 'InProgress' and lease_until < now())
             from syncline.job",
        )
        .fetch_one(self.pool())
        .await?;
        Ok(JobsHealth {
            n_waiting: row.try_get(0)?,
            n_running: row.try_get(1)?,
            n_failed: row.try_get(2)?,
            n_done: row.try_get(3)?,
            oldest_s: row.try_get(4)?,
            n_stuck: row.try_get(5)?,
        })
    }

    /// How the database is doing.
    pub(crate) async fn database_health(&self) -> Result<DatabaseHealth> {
        let row = sqlx::query(
            "-- database_health
             select 'PostgreSQL ' || split_part(current_setting('server_version'), ' ', 1) || coalesce(', PostGIS ' || (select extversion from pg_extension where extname = 'postgis'), ''),
               pg_database_size(current_database()), (select count(*) from pg_stat_activity where backend_type = 'client backend'),
               current_setting('max_connections')::int8,
               coalesce((select extract(epoch from max(clock_timestamp() - a.xact_start)) from pg_stat_activity a
                 where a.datname = current_database() and a.pid <> pg_backend_pid()), 0)::int8,
               (extract(epoch from clock_timestamp()) * 1000)::int8",
        )
        .fetch_one(self.pool())
        .await?;
        Ok(DatabaseHealth {
            version: row.try_get(0)?,
            n_bytes: row.try_get(1)?,
            n_connections: row.try_get(2)?,
            max_connections: row.try_get(3)?,
            oldest_transaction_s: row.try_get(4)?,
            own: (self.pool().size(), self.pool().num_idle()),
            now_ms: row.try_get(5)?,
        })
    }
}
