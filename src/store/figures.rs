//! What the database can tell about the health of replicas, history and tracking.

use sqlx::Row as _;

use crate::{error::Result, metrics::Page, model::life::Policy};

use super::Store;

impl Store {
    /// Writes what the database knows, in one page of metrics. Nothing here reads a table whose size grows with its use but
    /// through an index.
    pub async fn write_figures(&self, policy: Policy, page: &mut Page) -> Result<()> {
        self.write_service_figures(policy, page).await?;
        self.write_open_figures(page).await?;
        self.write_audit_figures(page).await?;
        let row = sqlx::query(
            "-- figures
             select (select max(epoch_id) from syncline.epoch),
               (select count(*) from syncline.gap join syncline.layer using (layer_key) where mended_at is null),
               (select count(*) from syncline.txn where generation is null),
               -- Of other roles' transactions only privileged roles see the beginning.
               coalesce((select extract(epoch from max(clock_timestamp() - a.xact_start)) from pg_stat_activity a
                 where a.datname = current_database() and a.pid <> pg_backend_pid()), 0)::float8,
               (select count(*) from pg_prepared_xacts where database = current_database())",
        )
        .fetch_one(self.pool())
        .await?;
        for (index, name, help) in [
            (1, "syncline_tracking_gaps", "Gaps in the tracking of layers that nobody has repaired yet"),
            (2, "syncline_unstamped_transactions", "Committed transactions without a generation; must be 0"),
            (4, "syncline_prepared_transactions", "Prepared transactions that are open"),
        ] {
            page.metric(name, "gauge", help);
            page.value(name, &[], row.try_get::<i64, _>(index)?);
        }
        page.metric(
            "syncline_epoch",
            "gauge",
            "The number of the epoch; grows when the database was restored or moved",
        );
        page.value("syncline_epoch", &[], row.try_get::<Option<i32>, _>(0)?.unwrap_or(0));
        let name = "syncline_oldest_transaction_seconds";
        page.metric(
            name,
            "gauge",
            "The age of the oldest open transaction of the database, as far as the server may see it",
        );
        page.value(name, &[], row.try_get::<f64, _>(3)?);
        let name = "syncline_commit_seconds";
        page.metric(
            name,
            "histogram",
            "How long commits of edits took, in which they wait for their generation and for the disk",
        );
        self.commits.write(name, &[], page);
        let n_idle = u32::try_from(self.pool().num_idle()).unwrap_or(u32::MAX);
        let name = "syncline_database_connections";
        page.metric(
            name,
            "gauge",
            "Connections to the database by state; more than are open are made as needed, up to max",
        );
        for (state, n) in [
            ("used", self.pool().size().saturating_sub(n_idle)),
            ("idle", n_idle),
            ("max", self.pool().options().get_max_connections()),
        ] {
            page.value(name, &[("state", state)], n);
        }
        Ok(())
    }

    /// What waits: jobs, transactions for their number, and what somebody should look at.
    async fn write_open_figures(&self, page: &mut Page) -> Result<()> {
        let row = sqlx::query(
            "-- figures_open
             select j.n_waiting, j.n_running, j.oldest, w.n, w.oldest
             from (select count(*) filter (where state = 'Pending') as n_waiting, count(*) filter (where state = 'InProgress') as n_running,
                 coalesce(extract(epoch from clock_timestamp() - min(submitted_at)), 0)::float8 as oldest
               from syncline.job where ended_at is null) j,
               -- The lock under which transactions get their generation.
               (select count(*) as n, coalesce(extract(epoch from clock_timestamp() - min(l.waitstart)), 0)::float8 as oldest
               from pg_locks l where l.locktype = 'advisory' and l.classid = 1398361667 and not l.granted
                 and l.database = (select d.oid from pg_database d where d.datname = current_database())) w",
        )
        .fetch_one(self.pool())
        .await?;
        page.metric("syncline_jobs", "gauge", "Jobs that have not ended, by state");
        page.value("syncline_jobs", &[("state", "waiting")], row.try_get::<i64, _>(0)?);
        page.value("syncline_jobs", &[("state", "running")], row.try_get::<i64, _>(1)?);
        for (index, name, help) in [
            (2, "syncline_oldest_job_seconds", "How long ago the oldest job that has not ended was submitted"),
            (
                4,
                "syncline_commit_wait_seconds",
                "How long the transaction has waited that waits longest for its generation",
            ),
        ] {
            page.metric(name, "gauge", help);
            page.value(name, &[], row.try_get::<f64, _>(index)?);
        }
        page.metric(
            "syncline_commits_waiting",
            "gauge",
            "Transactions that wait for others to commit, to get their generation",
        );
        page.value("syncline_commits_waiting", &[], row.try_get::<i64, _>(3)?);
        let rows = sqlx::query(
            "-- figures_books
             select s.name, e.n, c.n, e.oldest
             from syncline.service s cross join lateral (
               select count(*) as n, coalesce(extract(epoch from clock_timestamp() - min(received_at)), 0)::float8 as oldest
               from syncline.rejected_edit where service_id = s.service_id and state = 'open') e cross join lateral (
               select count(*) as n from syncline.conflict where service_id = s.service_id and restored_at is null) c
             order by s.name",
        )
        .fetch_all(self.pool())
        .await?;
        for (index, name, help) in [
            (1, "syncline_rejected_edits_open", "Refused edits that nobody has applied or dismissed yet"),
            (2, "syncline_conflicts", "Versions that were overwritten unseen, and that nobody has put back"),
        ] {
            page.metric(name, "gauge", help);
            for row in &rows {
                page.value(name, &[("service", row.try_get::<&str, _>(0)?)], row.try_get::<i64, _>(index)?);
            }
        }
        let name = "syncline_oldest_rejected_edit_seconds";
        page.metric(
            name,
            "gauge",
            "How long ago the refused edit came that has waited longest to be applied or dismissed",
        );
        for row in &rows {
            page.value(name, &[("service", row.try_get::<&str, _>(0)?)], row.try_get::<f64, _>(3)?);
        }
        Ok(())
    }

    async fn write_service_figures(&self, policy: Policy, page: &mut Page) -> Result<()> {
        let rows = sqlx::query(
            "-- figures_by_service
             select s.name, s.history_from, greatest(s.history_from, (select max(t.generation) from syncline.txn t where t.service_id = s.service_id)),
               coalesce((select sum(greatest(c.reltuples, 0)) from syncline.layer l join pg_class c on c.oid = to_regclass('syncline.change_' || l.layer_key)
                 where l.service_id = s.service_id), 0)::float8,
               r.n_live, r.n_idle, r.n_expired, r.oldest, r.n_foreign
             from syncline.service s cross join lateral (
               select count(*) filter (where not is_foreign and expired_at is null and not is_idle) as n_live,
                 count(*) filter (where not is_foreign and expired_at is null and is_idle) as n_idle,
                 count(*) filter (where not is_foreign and expired_at is not null) as n_expired, count(*) filter (where is_foreign) as n_foreign,
                 coalesce(extract(epoch from now() - min(last_sync_at)), 0)::float8 as oldest
               from (select expired_at, last_sync_at, coalesce(last_sync_at < now() - make_interval(days => $1), false) as is_idle,
                   instance_id <> syncline.instance() as is_foreign
                 from syncline.replica where service_id = s.service_id and unregistered_at is null) k) r
             order by s.name",
        )
        .bind(policy.warn_days.or(policy.expire_days))
        .fetch_all(self.pool())
        .await?;
        page.metric("syncline_replicas", "gauge", "Replicas by state");
        for row in &rows {
            let service: String = row.try_get(0)?;
            for (index, state) in [(4, "live"), (5, "idle"), (6, "expired"), (8, "foreign")] {
                let labels = [("service", service.as_str()), ("state", state)];
                page.value("syncline_replicas", &labels, row.try_get::<i64, _>(index)?);
            }
        }
        for (index, name, help) in [
            (1, "syncline_history_from", "The oldest generation from which a delta can be made"),
            (2, "syncline_generation", "The newest generation"),
        ] {
            page.metric(name, "gauge", help);
            for row in &rows {
                page.value(name, &[("service", row.try_get::<&str, _>(0)?)], row.try_get::<i64, _>(index)?);
            }
        }
        for (index, name, help) in [
            (3, "syncline_change_rows", "Changes that are kept, as the statistics of the database have it"),
            (7, "syncline_oldest_sync_seconds", "How long the replica that has waited longest has not synchronized"),
        ] {
            page.metric(name, "gauge", help);
            for row in &rows {
                page.value(name, &[("service", row.try_get::<&str, _>(0)?)], row.try_get::<f64, _>(index)?);
            }
        }
        Ok(())
    }
}
