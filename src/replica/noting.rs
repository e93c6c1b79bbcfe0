//! What is noted of each synchronization for administrators: how it ended, and how much went which way.

use std::time::{Duration, Instant};

use crate::{
    app::App,
    error::{Error, Result, chain},
    metrics::{Metrics, SyncOutcome},
    model::{id::ReplicaId, layer::Service, replica::SyncDirection},
    store::synchronizations::SyncNote,
    wire::{error::parts, synchronize::SyncPlan},
};

use super::{
    Run,
    answer::{Answer, Body},
    synchronize::Synchronization,
    upload::Uploaded,
};

/// How long a client that is told of an error waits for it to be noted.
const PATIENCE: Duration = Duration::from_secs(2);

/// How much of what a client was told is kept.
const MAX_MESSAGE_CHARS: usize = 1000;

/// What became of the edits of a synchronization that came to its end.
struct Edits {
    n_applied: usize,
    n_refused: usize,
}

impl Edits {
    fn of(uploaded: &Uploaded) -> Edits {
        let results = || uploaded.results.iter().flat_map(|(_, results)| results);
        let n_refused = results().filter(|result| result.error.is_some()).count();
        Edits { n_applied: results().count() - n_refused, n_refused }
    }

    fn outcome(&self) -> SyncOutcome {
        if self.n_refused == 0 { SyncOutcome::Completed } else { SyncOutcome::CompletedWithErrors }
    }
}

/// Counts a synchronization that came to its end, and its edits.
pub(super) fn count(metrics: &Metrics, uploaded: &Uploaded) {
    let edits = Edits::of(uploaded);
    metrics.count_edits(edits.n_applied, edits.n_refused);
    metrics.count_sync(edits.outcome());
}

/// What is noted of a synchronization that came to its end. Its answer has `n_changes` entries, rows and results together.
pub(super) fn note(
    done: &Synchronization<'_>,
    plan: &SyncPlan,
    (answer, n_changes): (&Answer, u64),
    (run, started): (&Run, Instant),
) -> SyncNote {
    let edits = Edits::of(done.uploaded);
    let mut directions: Vec<&str> = Vec::new();
    let mut n_told = 0;
    for planned in &plan.layers {
        if !directions.contains(&planned.direction.name()) {
            directions.push(planned.direction.name());
        }
        // Whoever takes all rows anew is told of no edits.
        if planned.direction != SyncDirection::Snapshot {
            let layer = &done.replica.layers[planned.index].layer;
            let keys = [Some(layer.key), layer.attachments.as_ref().map(|attachments| attachments.key)];
            let results = keys.into_iter().flatten().flat_map(|key| done.results(key));
            n_told += results.filter(|result| done.is_told(result)).count() as u64;
        }
    }
    let bytes_down = match &answer.body {
        Body::Nothing => 0,
        Body::Document(finished) => finished.size_bytes(),
        Body::File(export) => export.size_bytes,
    };
    SyncNote {
        outcome: edits.outcome(),
        duration: started.elapsed(),
        client: run.client.clone(),
        request_id: run.request_id.clone(),
        direction: Some(directions.join(",")),
        batch: done.uploaded.batch,
        n_applied: signed(edits.n_applied as u64),
        n_refused: signed(edits.n_refused as u64),
        n_sent: signed(n_changes.saturating_sub(n_told)),
        bytes_up: signed(done.bytes_up),
        bytes_down: signed(bytes_down),
        failure: None,
    }
}

/// How a synchronization is counted that was answered with an error.
pub(super) fn outcome(error: &Error) -> SyncOutcome {
    match error {
        Error::HistoryGone { .. }
        | Error::LostGeneration { .. }
        | Error::FutureGeneration { .. }
        | Error::RebaseNeeded { .. } => SyncOutcome::NeedsSnapshot,
        Error::Unavailable(_) | Error::Internal { .. } | Error::ReplicaBusy => SyncOutcome::Failed,
        _ => SyncOutcome::Refused,
    }
}

/// Notes a synchronization that is answered with an error, for whoever looks for the reason later. That it cannot be noted
/// is no reason to keep the client waiting, who is told anyway.
pub(crate) async fn note_failure(
    app: &App,
    service: &Service,
    replica: ReplicaId,
    (run, duration): (&Run, Duration),
    error: &Error,
) {
    // A job waits for the other one, and tries again every other moment.
    if run.lease.is_some() && matches!(error, Error::ReplicaBusy) {
        return;
    }
    let (code, message, details) = parts(error, &run.request_id);
    let told = details.last().unwrap_or(&message);
    let rolled_back = match error {
        Error::RolledBack { results, .. } => results.iter().flat_map(|(_, results)| results).count() as u64,
        _ => 0,
    };
    let note = SyncNote {
        outcome: outcome(error),
        duration,
        client: run.client.clone(),
        request_id: run.request_id.clone(),
        direction: None,
        batch: None,
        n_applied: 0,
        n_refused: signed(rolled_back),
        n_sent: 0,
        bytes_up: 0,
        bytes_down: 0,
        failure: Some((code, told.chars().take(MAX_MESSAGE_CHARS).collect())),
    };
    // To whoever may not know of a replica it is not there; that is nothing about the replica.
    let only_if_gone = matches!(error, Error::ReplicaNotFound { .. });
    let noting = async {
        let mut session = app.store.session().await?;
        let mut tx = session.own().await?;
        tx.do_not_wait_for_disk().await?;
        tx.sync_note(service, replica, &note, only_if_gone).await?;
        tx.commit().await
    };
    let noted: Result<()> = match tokio::time::timeout(PATIENCE, noting).await {
        Ok(noted) => noted,
        Err(_) => Err(Error::Unavailable("the database was busy".to_owned())),
    };
    if let Err(failure) = noted {
        tracing::warn!(error = chain(&failure), %replica, "a synchronization that failed could not be noted");
    }
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
