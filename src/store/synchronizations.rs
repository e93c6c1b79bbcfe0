//! The last synchronizations of each replica: what administrators see of them, whatever they ended with.

use std::time::Duration;

use sqlx::{Row as _, postgres::PgRow};

use crate::{
    error::{Error, Result},
    metrics::SyncOutcome,
    model::{id::ReplicaId, layer::Service},
};

use super::{OwnTx, books::KEPT_DAYS};

/// How many are kept of a replica. The newest takes the place of the oldest.
pub(crate) const MOST_KEPT: i32 = 500;

/// What is noted of a synchronization.
#[derive(Clone, Debug)]
pub(crate) struct SyncNote {
    /// How it ended.
    pub(crate) outcome: SyncOutcome,
    /// How long it took the server.
    pub(crate) duration: Duration,
    /// What the client calls itself.
    pub(crate) client: String,
    /// The id under which the log has the request, or that of the job.
    pub(crate) request_id: String,
    /// Which way it went; `None` if that was never known.
    pub(crate) direction: Option<String>,
    /// The upload that it carried.
    pub(crate) batch: Option<i64>,
    /// How many of its edits were applied.
    pub(crate) n_applied: i64,
    /// How many were refused.
    pub(crate) n_refused: i64,
    /// How many rows and deletions the client was sent.
    pub(crate) n_sent: i64,
    /// How many bytes of edits came.
    pub(crate) bytes_up: i64,
    /// How many bytes the answer has.
    pub(crate) bytes_down: i64,
    /// The number and the words of the error that was the answer.
    pub(crate) failure: Option<(i64, String)>,
}

/// A synchronization as it was noted.
#[derive(Clone, Debug)]
pub(crate) struct Synchronization {
    /// Its number among those of the replica.
    pub(crate) number: i64,
    /// When it ended, in milliseconds since 1970.
    pub(crate) ended_ms: i64,
    /// Who synchronized; empty if nobody was signed in.
    pub(crate) user: String,
    /// How many conflicts its upload made.
    pub(crate) n_conflicts: i64,
    /// The rest.
    pub(crate) note: SyncNote,
}

impl OwnTx<'_> {
    /// Notes a synchronization of a replica that is registered, or was once; with `only_if_gone`, of one that is no longer. One
    /// that succeeded is its last, and revives it if it had expired.
    pub(crate) async fn sync_note(
        &mut self,
        service: &Service,
        id: ReplicaId,
        note: &SyncNote,
        only_if_gone: bool,
    ) -> Result<()> {
        let (code, message) = note.failure.clone().unzip();
        sqlx::query(
            "-- sync_note
             with head as (
               update syncline.replica set n_syncs = n_syncs + 1, last_sync_at = case when $16 then now() else last_sync_at end,
                 expired_at = case when $16 then null else expired_at end
               where replica_id = $1 and service_id = $17 and (not $18 or unregistered_at is not null) returning replica_id, n_syncs
             )
             insert into syncline.synchronization as k (replica_id, slot, number, duration_ms, client, user_name, request_id, direction, outcome, batch_id,
               n_applied, n_refused, n_sent, bytes_up, bytes_down, code, message)
             select replica_id, n_syncs % $15, n_syncs, $2, $3, $19, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14 from head
             on conflict (replica_id, slot) do update set number = excluded.number, ended_at = now(), duration_ms = excluded.duration_ms,
               client = excluded.client, user_name = excluded.user_name, request_id = excluded.request_id, direction = excluded.direction,
               outcome = excluded.outcome, batch_id = excluded.batch_id, n_applied = excluded.n_applied, n_refused = excluded.n_refused,
               n_sent = excluded.n_sent, bytes_up = excluded.bytes_up, bytes_down = excluded.bytes_down, code = excluded.code,
               message = excluded.message",
        )
        .bind(id.0)
        .bind(i64::try_from(note.duration.as_millis()).unwrap_or(i64::MAX))
        .bind(&note.client)
        .bind(&note.request_id)
        .bind(&note.direction)
        .bind(note.outcome.name())
        .bind(note.batch)
        .bind(note.n_applied)
        .bind(note.n_refused)
        .bind(note.n_sent)
        .bind(note.bytes_up)
        .bind(note.bytes_down)
        .bind(code.and_then(|code| i32::try_from(code).ok()))
        .bind(message)
        .bind(MOST_KEPT)
        .bind(note.failure.is_none())
        .bind(service.key.0)
        .bind(only_if_gone)
        .bind(service.caller.name())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// A page of the synchronizations of a replica, the newest first; one more than the limit if there are more.
    pub(crate) async fn sync_page(
        &mut self,
        id: ReplicaId,
        (offset, limit): (i64, i64),
    ) -> Result<Vec<Synchronization>> {
        sqlx::query(
            "-- sync_page
             select k.number, (extract(epoch from k.ended_at) * 1000)::int8, k.user_name, k.duration_ms, k.client, k.request_id, k.direction, k.outcome,
               k.batch_id, k.n_applied, k.n_refused, k.n_sent, k.bytes_up, k.bytes_down, k.code, k.message,
               (select count(*) from syncline.conflict c where c.replica_id = k.replica_id and c.batch_id = k.batch_id)
             from syncline.synchronization k where k.replica_id = $1 order by k.number desc limit $2 offset $3",
        )
        .bind(id.0)
        .bind(limit.saturating_add(1))
        .bind(offset)
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(synchronization)
        .collect()
    }

    /// Forgets synchronizations that are as old as what is settled in the books may be.
    pub(crate) async fn sync_forget(&mut self) -> Result<()> {
        sqlx::query(
            "-- sync_forget\ndelete from syncline.synchronization where ended_at < now() - make_interval(days => $1)",
        )
        .bind(KEPT_DAYS)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Notes what the client calls itself that made a replica.
    pub(crate) async fn replica_note_client(&mut self, id: ReplicaId, client: &str) -> Result<()> {
        sqlx::query("-- replica_note_client\nupdate syncline.replica set client = $2 where replica_id = $1")
            .bind(id.0)
            .bind(client)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

fn synchronization(row: &PgRow) -> Result<Synchronization> {
    let outcome: String = row.try_get(7)?;
    let duration: i64 = row.try_get(3)?;
    let code: Option<i32> = row.try_get(14)?;
    Ok(Synchronization {
        number: row.try_get(0)?,
        ended_ms: row.try_get(1)?,
        user: row.try_get(2)?,
        n_conflicts: row.try_get(16)?,
        note: SyncNote {
            outcome: SyncOutcome::from_name(&outcome)
                .ok_or_else(|| Error::internal("reading a synchronization", format!("unknown outcome '{outcome}'")))?,
            duration: Duration::from_millis(u64::try_from(duration).unwrap_or_default()),
            client: row.try_get(4)?,
            request_id: row.try_get(5)?,
            direction: row.try_get(6)?,
            batch: row.try_get(8)?,
            n_applied: row.try_get(9)?,
            n_refused: row.try_get(10)?,
            n_sent: row.try_get(11)?,
            bytes_up: row.try_get(12)?,
            bytes_down: row.try_get(13)?,
            failure: code.map(i64::from).zip(row.try_get::<Option<String>, _>(15)?),
        },
    })
}
