//! Jobs: operations that run on their own.
//!
//! Who works on a job holds a lease of it, made anew by each attempt. What an attempt writes (its edits, its replica, its
//! result) is written in transactions that fail if the lease is no longer the job's, so that an attempt that was given up
//! for dead and one that took over can never both have effect.

use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    model::{
        data_format::DataFormat,
        id::{LayerId, ServiceKey},
        job::{Job, JobId, JobResult, JobState, Operation},
        layer::Service,
    },
};

use super::{OwnTx, WriteTx, exports::format_of};

/// The right to write the results of a job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    /// The job.
    pub(crate) job: JobId,
    /// The attempt.
    id: Uuid,
}

/// A job to be worked on.
#[derive(Debug)]
pub(crate) struct Claimed {
    /// The right to do so.
    pub(crate) lease: Lease,
    /// Of which service.
    pub(crate) service: ServiceKey,
    /// Who asked for it; empty if nobody knows.
    pub(crate) owner: String,
    /// What to do.
    pub(crate) operation: Operation,
    /// The layer that was asked; the service itself if `None`.
    pub(crate) layer: Option<LayerId>,
    /// The parameters of the request, as they are kept.
    pub(crate) parameters: String,
    /// How the addresses began under which the client reached the server.
    pub(crate) base_url: String,
    /// What the client calls itself.
    pub(crate) client: String,
    /// How often it was begun, this time included.
    pub(crate) attempts: i32,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) struct NewJob<'a> {
    /// What to do.
    pub(crate) operation: Operation,
    /// The layer that is asked; the service itself if `None`.
    pub(crate) layer: Option<LayerId>,
    /// The parameters of the request, as they are kept.
    pub(crate) parameters: &'a str,
    /// How the addresses began under which the client reached the server.
    pub(crate) base_url: &'a str,
    /// What the client calls itself.
    pub(crate) client: &'a str,
}

/// How an attempt that came to nothing is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GiveBack {
    /// Whether it counts as a failed one.
    pub(crate) counts: bool,
    /// When the next one may begin, in seconds.
    pub(crate) pause_s: i32,
}

/// The most jobs of a service that are listed.
const MAX_LISTED: i64 = 1000;

/// How long a lease lasts unless it is prolonged.
pub(crate) const LEASE_SECONDS: i32 = 60;

impl OwnTx<'_> {
    /// Enters a job. Refused if `max_waiting` of them wait already.
    pub(crate) async fn job_insert(&mut self, service: &Service, new: &NewJob<'_>, max_waiting: u32) -> Result<JobId> {
        let n_waiting: i64 =
            sqlx::query("-- job_count_waiting\nselect count(*) from syncline.job where state = 'Pending'")
                .fetch_one(self.connection())
                .await?
                .try_get(0)?;
        if n_waiting >= i64::from(max_waiting) {
            return Err(Error::Unavailable(format!(
                "{n_waiting} jobs wait to be begun, and no more are taken; try again in some minutes, or without async"
            )));
        }
        let id = JobId(Uuid::new_v4());
        sqlx::query(
            "-- job_insert
             insert into syncline.job (job_id, service_id, operation, parameters, base_url, layer_id, owner, client) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(id.0)
        .bind(service.key.0)
        .bind(new.operation.name())
        .bind(new.parameters)
        .bind(new.base_url)
        .bind(new.layer.map(|layer| layer.0))
        .bind(service.caller.name())
        .bind(new.client)
        .execute(self.connection())
        .await?;
        Ok(id)
    }

    /// The job that asks for the same and has not ended.
    pub(crate) async fn job_find_same(&mut self, service: &Service, new: &NewJob<'_>) -> Result<Option<JobId>> {
        let row = sqlx::query(
            "-- job_find_same
             select job_id from syncline.job
             where service_id = $1 and operation = $2 and parameters = $3 and owner = $4 and ended_at is null order by submitted_at limit 1",
        )
        .bind(service.key.0)
        .bind(new.operation.name())
        .bind(new.parameters)
        .bind(service.caller.name())
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| Ok(JobId(row.try_get(0)?))).transpose()
    }

    /// The leases of jobs that were begun `max_attempts` times and came to nothing each time. They are for the caller to end.
    pub(crate) async fn job_claim_exhausted(&mut self, max_attempts: i32) -> Result<Vec<Lease>> {
        sqlx::query(
            "-- job_claim_exhausted
             update syncline.job set lease_id = gen_random_uuid(), lease_until = now() + make_interval(secs => $2)
             where job_id in (select job_id from syncline.job
               where state = 'InProgress' and lease_until < now() and attempts >= $1 for update skip locked)
             returning job_id, lease_id",
        )
        .bind(max_attempts)
        .bind(f64::from(LEASE_SECONDS))
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(lease)
        .collect()
    }

    /// Takes the oldest job that waits, or whose lease is over; none of a user of whom `most` run already, if there is a most.
    pub(crate) async fn job_claim(&mut self, most: u32) -> Result<Option<Claimed>> {
        let row = sqlx::query(
            "-- job_claim
             update syncline.job set state = 'InProgress', attempts = attempts + 1, lease_id = gen_random_uuid(),
               lease_until = now() + make_interval(secs => $1), progress = null, updated_at = now()
             where job_id = (select job_id from syncline.job
               where ended_at is null and (state = 'Pending' and run_after <= now() or state = 'InProgress' and lease_until < now())
                 and operation = any($2)
                 and ($3 = 0 or owner = '' or state = 'InProgress' or $3 > (select count(*) from syncline.job r
                   where r.state = 'InProgress' and r.ended_at is null and lower(r.owner) = lower(job.owner)))
               order by submitted_at limit 1 for update skip locked)
             returning job_id, lease_id, service_id, operation, parameters, base_url, attempts, layer_id, owner, client",
        )
        .bind(f64::from(LEASE_SECONDS))
        // A newer version on the same database may know more.
        .bind(Operation::ALL.iter().map(|operation| operation.name()).collect::<Vec<_>>())
        .bind(i64::from(most))
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Claimed {
            lease: lease(&row)?,
            service: ServiceKey(row.try_get(2)?),
            operation: operation(row.try_get(3)?)?,
            parameters: row.try_get(4)?,
            base_url: row.try_get(5)?,
            attempts: row.try_get(6)?,
            layer: row.try_get::<Option<i32>, _>(7)?.map(LayerId),
            owner: row.try_get(8)?,
            client: row.try_get(9)?,
        }))
    }

    /// Prolongs a lease. False if it is no longer the job's.
    pub(crate) async fn job_renew(&mut self, lease: Lease, progress: Option<&str>) -> Result<bool> {
        let done = sqlx::query(
            "-- job_renew
             update syncline.job set lease_until = now() + make_interval(secs => $3), updated_at = now(), progress = $4
             where job_id = $1 and lease_id = $2",
        )
        .bind(lease.job.0)
        .bind(lease.id)
        .bind(f64::from(LEASE_SECONDS))
        .bind(progress)
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Enters the result of a job, in the transaction that makes the result. Fails, and that transaction with it, if the
    /// lease is no longer the job's.
    pub(crate) async fn job_finish(
        &mut self,
        lease: Lease,
        state: JobState,
        head: &str,
        export: Option<Uuid>,
    ) -> Result<()> {
        let done = sqlx::query(
            "-- job_finish
             update syncline.job set state = $3, head = $4, export_id = $5, lease_id = null, lease_until = null, progress = null,
               ended_at = now(), updated_at = now()
             where job_id = $1 and lease_id = $2",
        )
        .bind(lease.job.0)
        .bind(lease.id)
        .bind(state.name())
        .bind(head)
        .bind(export)
        .execute(self.connection())
        .await?;
        held(lease, done.rows_affected())
    }

    /// Ends a job as failed; `error` is the API's error object in JSON. False if the lease is no longer the job's.
    pub(crate) async fn job_fail(&mut self, lease: Lease, error: &str) -> Result<bool> {
        let done = sqlx::query(
            "-- job_fail
             update syncline.job set state = 'Failed', error = $3, lease_id = null, lease_until = null, progress = null,
               ended_at = now(), updated_at = now()
             where job_id = $1 and lease_id = $2",
        )
        .bind(lease.job.0)
        .bind(lease.id)
        .bind(error)
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Lets a job wait to be begun again. False if the lease is no longer the job's.
    pub(crate) async fn job_give_back(&mut self, lease: Lease, how: GiveBack) -> Result<bool> {
        let done = sqlx::query(
            "-- job_give_back
             update syncline.job set state = 'Pending', lease_id = null, lease_until = null, progress = null, updated_at = now(),
               attempts = attempts - case when $3 then 0 else 1 end, run_after = now() + make_interval(secs => $4)
             where job_id = $1 and lease_id = $2",
        )
        .bind(lease.job.0)
        .bind(lease.id)
        .bind(how.counts)
        .bind(f64::from(how.pause_s))
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// The upload that an attempt at this job has applied already.
    pub(crate) async fn job_batch(&mut self, lease: Lease) -> Result<Option<i64>> {
        let row = sqlx::query("-- job_batch\nselect batch_id from syncline.job where job_id = $1 and lease_id = $2")
            .bind(lease.job.0)
            .bind(lease.id)
            .fetch_optional(self.connection())
            .await?;
        held(lease, row.iter().len() as u64)?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
    }

    /// A job of a service, if who asks may touch it.
    pub(crate) async fn job_find(&mut self, service: &Service, id: JobId) -> Result<Option<Job>> {
        let row = sqlx::query(
            "-- job_find
             select job_id, operation, state, attempts, base_url, (extract(epoch from submitted_at) * 1000)::int8,
               (extract(epoch from updated_at) * 1000)::int8, progress, head, error, j.export_id, e.size_bytes, e.sha256, e.format, j.owner
             from syncline.job j left join syncline.export e using (export_id) where j.service_id = $1 and j.job_id = $2
               and ($3::text is null or lower(j.owner) in ('', lower($3)))",
        )
        .bind(service.key.0)
        .bind(id.0)
        .bind(service.caller.only())
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(job).transpose()
    }

    /// The jobs of a service that who asks may touch, the newest first, and no more than can be listed.
    pub(crate) async fn job_list(&mut self, service: &Service) -> Result<Vec<Job>> {
        sqlx::query(
            "-- job_list
             select job_id, operation, state, attempts, base_url, (extract(epoch from submitted_at) * 1000)::int8,
               (extract(epoch from updated_at) * 1000)::int8, progress, head, error, j.export_id, e.size_bytes, e.sha256, e.format, j.owner
             from syncline.job j left join syncline.export e using (export_id) where j.service_id = $1
               and ($3::text is null or lower(j.owner) in ('', lower($3)))
             order by submitted_at desc, job_id limit $2",
        )
        .bind(service.key.0)
        .bind(MAX_LISTED)
        .bind(service.caller.only())
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(job)
        .collect()
    }

    /// Forgets the jobs that ended this long ago. Returns how many.
    pub(crate) async fn job_expire(&mut self, hours: i32) -> Result<u64> {
        let done =
            sqlx::query("-- job_expire\ndelete from syncline.job where ended_at < now() - make_interval(hours => $1)")
                .bind(hours)
                .execute(self.connection())
                .await?;
        Ok(done.rows_affected())
    }
}

impl WriteTx<'_> {
    /// Notes that a job's edits have been applied, in their transaction. Fails, and that transaction with it, if the lease is
    /// no longer the job's.
    pub(crate) async fn job_note_batch(&mut self, lease: Lease, batch: i64) -> Result<()> {
        let done =
            sqlx::query("-- job_note_batch\nupdate syncline.job set batch_id = $3 where job_id = $1 and lease_id = $2")
                .bind(lease.job.0)
                .bind(lease.id)
                .bind(batch)
                .execute(self.connection())
                .await?;
        held(lease, done.rows_affected())
    }
}

fn held(lease: Lease, n_rows: u64) -> Result<()> {
    match n_rows {
        0 => Err(Error::Unavailable(format!(
            "job {} is no longer in the hands of this attempt, since its lease was over; another one goes on",
            lease.job
        ))),
        _ => Ok(()),
    }
}

fn lease(row: &PgRow) -> Result<Lease> {
    Ok(Lease { job: JobId(row.try_get(0)?), id: row.try_get(1)? })
}

fn operation(name: &str) -> Result<Operation> {
    Operation::from_name(name)
        .ok_or_else(|| Error::internal("reading a job", format!("this version knows no operation '{name}'")))
}

fn job(row: &PgRow) -> Result<Job> {
    let state: &str = row.try_get(2)?;
    let export: Option<Uuid> = row.try_get(10)?;
    let result = match export {
        None => None,
        Some(export) => Some(JobResult {
            export,
            size_bytes: row.try_get::<Option<i64>, _>(11)?.map(i64::cast_unsigned),
            sha256: row.try_get(12)?,
            format: row.try_get::<Option<&str>, _>(13)?.map_or(Ok(DataFormat::Json), format_of)?,
        }),
    };
    Ok(Job {
        id: JobId(row.try_get(0)?),
        operation: operation(row.try_get(1)?)?,
        state: JobState::from_name(state)
            .ok_or_else(|| Error::internal("reading a job", format!("unknown state '{state}'")))?,
        attempts: row.try_get(3)?,
        base_url: row.try_get(4)?,
        submitted_ms: row.try_get(5)?,
        updated_ms: row.try_get(6)?,
        progress: row.try_get(7)?,
        owner: row.try_get(14)?,
        head: row.try_get(8)?,
        error: row.try_get(9)?,
        result,
    })
}
