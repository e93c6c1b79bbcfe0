//! Jobs: operations that run on their own while their client asks now and then.
//!
//! A job is a row with the request's own parameters; running it is reading them again and making the same call that a
//! request makes. Any server on the database may run it, one at a time: who does holds a lease, prolonged by a heartbeat
//! and by the database's clock. A server that is killed loses its leases, and others begin again. That is safe since every
//! transaction of an attempt that has effect (edits, a replica, the result) fails if the lease is no longer the job's, and
//! since the last one enters the end of the job, too: there is no moment at which a replica is there and its job has not ended.
//! An upload that an attempt has applied is found by the next one.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{sync::watch, task::JoinSet};
use tracing::Instrument as _;

use crate::{
    app::App,
    auth::owner::seen_by_user,
    editing,
    error::{Error, Result, chain},
    model::{
        actor::Actor,
        id::LayerId,
        job::{Job, JobId, Operation},
        layer::Service,
        principal::Access,
    },
    replica::{self, Run},
    store::{
        acting,
        jobs::{Claimed, GiveBack, Lease, NewJob},
    },
    wire::{
        error::envelope, extract::ExtractChangesRequest, job, params::Params, replica::CreateReplicaRequest,
        synchronize::SynchronizeReplicaRequest, url,
    },
};

/// How often a job is begun before it is said to have failed.
const MAX_ATTEMPTS: i32 = 3;

/// How often a lease is prolonged; several times within its length.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// How often the books are looked through for jobs of which nobody told: those whose lease is over, or whose pause is.
const POLL: Duration = Duration::from_secs(5);

/// Enters a request as a job. The same synchronization asked for again while the first one has not ended is that one: its
/// client did not get the answer. `base_url` and `client` are how the client reached the server, and what it calls itself.
pub(crate) async fn submit(
    app: &App,
    service: &Service,
    layer: Option<LayerId>,
    operation: Operation,
    params: &Params,
    (base_url, client): (&str, &str),
) -> Result<JobId> {
    let parameters = job::kept_parameters(params)?;
    let new = NewJob { operation, layer, parameters: &parameters, base_url, client };
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    if operation == Operation::SynchronizeReplica
        && let Some(known) = tx.job_find_same(service, &new).await?
    {
        return Ok(known);
    }
    tx.quota_jobs(&app.config.quotas(), service).await?;
    let id = tx.job_insert(service, &new, app.config.max_waiting_jobs).await?;
    tx.commit().await?;
    tracing::info!(service.name = service.name, job.id = %id, operation = operation.name(), "job submitted");
    Ok(id)
}

/// A job of a service.
pub(crate) async fn find(app: &App, service: &Service, id: JobId) -> Result<Option<Job>> {
    let mut session = app.store.session().await?;
    session.own().await?.job_find(service, id).await
}

/// The jobs of a service, the newest first.
pub(crate) async fn list(app: &App, service: &Service) -> Result<Vec<Job>> {
    let mut session = app.store.session().await?;
    session.own().await?.job_list(service).await
}

/// Runs jobs until `ending` says so; then gives back those that are under way, for others to begin again.
pub async fn run(app: App, mut ending: watch::Receiver<bool>) {
    let mut running = JoinSet::new();
    loop {
        while running.len() < app.config.max_running_jobs {
            match claim(&app).await {
                Ok(Some(claimed)) => {
                    let span =
                        tracing::info_span!("job", job.id = %claimed.lease.job, operation = claimed.operation.name());
                    let (app, ending) = (app.clone(), ending.clone());
                    let actor = Actor::of_job(&claimed.owner, &claimed.lease.job.to_string());
                    running.spawn(async move { acting(&actor, work(app, claimed, ending)).await }.instrument(span));
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(error = chain(&error), "jobs cannot be begun at the moment");
                    break;
                }
            }
        }
        tokio::select! {
            () = app.store.job_waits() => {}
            () = tokio::time::sleep(POLL) => {}
            Some(_) = running.join_next() => {}
            () = ended(&mut ending) => break,
        }
    }
    while running.join_next().await.is_some() {}
}

/// Resolves when the server ends, also if there is nobody left to say so.
async fn ended(ending: &mut watch::Receiver<bool>) {
    let _ = ending.wait_for(|ending| *ending).await;
}

/// Takes a job that waits. Those that were begun too often are ended first.
async fn claim(app: &App) -> Result<Option<Claimed>> {
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let exhausted = tx.job_claim_exhausted(MAX_ATTEMPTS).await?;
    let any_exhausted = !exhausted.is_empty();
    for lease in exhausted {
        let error = Error::Unavailable(format!(
            "the job was begun {MAX_ATTEMPTS} times, and each time the server ended before it did; \
             what it has uploaded is in effect, and the request can be repeated"
        ));
        fail(&mut tx, lease, &error).await?;
    }
    let claimed = tx.job_claim(app.config.max_user_running_jobs).await?;
    // Mostly there is nothing to do, and nothing to commit.
    if any_exhausted || claimed.is_some() {
        tx.commit().await?;
    }
    Ok(claimed)
}

/// One attempt at a job, to its end or until the lease is lost or the server ends.
async fn work(app: App, claimed: Claimed, mut ending: watch::Receiver<bool>) {
    let lease = claimed.lease;
    let run =
        Run { lease: Some(lease), request_id: lease.job.to_string(), client: claimed.client.clone(), ..Run::default() };
    let progress = Arc::clone(&run.progress);
    let heart = async {
        loop {
            tokio::time::sleep(HEARTBEAT).await;
            let progress = progress.now().map(|now| job::progress(now, progress.converted()));
            match renew(&app, lease, progress.as_deref()).await {
                Ok(true) => {}
                Ok(false) => break,
                // The next beat may succeed; if none does, another attempt takes over, and this one cannot write.
                Err(error) => tracing::warn!(error = chain(&error), "the lease of a job could not be prolonged"),
            }
        }
    };
    // The attempt is dropped here if it did not end: what it holds is let go of before its job is given back.
    let ended = tokio::select! {
        done = AssertUnwindSafe(perform(&app, &claimed, &run)).catch_unwind() => {
            Some(done.unwrap_or_else(|_| Err(Error::internal("running a job", "it panicked"))))
        }
        () = heart => return tracing::warn!("the lease of a job was lost; another attempt goes on"),
        () = ended(&mut ending) => None,
    };
    let noted = match ended {
        Some(Ok(())) => {
            app.metrics.count_job(claimed.operation.name(), "completed");
            return tracing::info!("job ended");
        }
        Some(Err(error)) => failed(&app, &claimed, &error).await,
        None => give_back(&app, lease, GiveBack { counts: false, pause_s: 0 }).await,
    };
    match noted {
        Ok(true) => {}
        Ok(false) => tracing::warn!("the lease of a job was lost; another attempt goes on"),
        Err(error) => {
            tracing::warn!(error = chain(&error), "the end of a job could not be noted; it begins again later");
        }
    }
}

/// Makes the call that a request would make.
async fn perform(app: &App, claimed: &Claimed, run: &Run) -> Result<()> {
    let service = service(app, claimed).await?;
    let params = job::parameters(&claimed.parameters)?;
    let address = url::service(&claimed.base_url, &service.name);
    match claimed.operation {
        Operation::CreateReplica => {
            let request = CreateReplicaRequest::parse(&params, &service)?;
            replica::create(app, &service, &address, request, run).await?;
        }
        Operation::SynchronizeReplica => {
            let request = SynchronizeReplicaRequest::parse(&params)?;
            replica::synchronize(app, &service, &address, &request, run).await?;
        }
        Operation::ExtractChanges => {
            let request = ExtractChangesRequest::parse(&params, &service)?;
            replica::extract(app, &service, &address, &request, run).await?;
        }
        Operation::ApplyEdits
        | Operation::DeleteFeatures
        | Operation::Calculate
        | Operation::Truncate
        | Operation::Append => {
            let layer = match claimed.layer {
                None => None,
                Some(id) => Some(service.layer(id).ok_or_else(|| {
                    Error::NotFound(format!("layer {id} of service {} is no longer there", service.name))
                })?),
            };
            let request = editing::Request::read(app, &service, layer, claimed.operation, &params).await?;
            editing::run(app, &service, request, run).await?;
        }
    }
    Ok(())
}

/// The service of a job, as who asked for it may use it now, which may be less than when they asked.
async fn service(app: &App, claimed: &Claimed) -> Result<Service> {
    let known = || app.store.catalogue().services.iter().find(|service| service.key == claimed.service).cloned();
    let service = match known() {
        Some(service) => service,
        None => {
            app.store.reload().await?;
            known().ok_or_else(|| Error::NotFound("the service of the job is no longer there".to_owned()))?
        }
    };
    let mut session = app.store.session().await?;
    let service = seen_by_user(app, &mut session, &service, &claimed.owner).await?;
    let needed = if claimed.operation == Operation::Truncate { Access::Manage } else { Access::View };
    if service.caller.access < needed {
        return Err(Error::Forbidden(format!(
            "who asked for the job no longer has the right '{}' for service {}, and nothing was done",
            needed.name(),
            service.name
        )));
    }
    Ok(service)
}

/// Ends an attempt that failed: for good if trying again would not help, or was tried often enough.
async fn failed(app: &App, claimed: &Claimed, error: &Error) -> Result<bool> {
    let again = match error {
        // Another synchronization of the replica, which ends some time.
        Error::ReplicaBusy => Some(GiveBack { counts: false, pause_s: 2 }),
        Error::Unavailable(_) | Error::Internal { .. } if claimed.attempts < MAX_ATTEMPTS => {
            Some(GiveBack { counts: true, pause_s: 5 * claimed.attempts })
        }
        _ => None,
    };
    if let Some(how) = again {
        tracing::warn!(error = chain(error), claimed.attempts, "an attempt at a job failed; it is begun again");
        return give_back(app, claimed.lease, how).await;
    }
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let held = fail(&mut tx, claimed.lease, error).await?;
    tx.commit().await?;
    if held {
        app.metrics.count_job(claimed.operation.name(), "failed");
    }
    Ok(held)
}

async fn fail(tx: &mut crate::store::OwnTx<'_>, lease: Lease, error: &Error) -> Result<bool> {
    let envelope = envelope(error, &lease.job.to_string());
    let held = tx.job_fail(lease, &envelope["error"].to_string()).await?;
    if held {
        tracing::info!(job.id = %lease.job, error = %error, "job failed");
    }
    Ok(held)
}

async fn give_back(app: &App, lease: Lease, how: GiveBack) -> Result<bool> {
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let held = tx.job_give_back(lease, how).await?;
    tx.commit().await?;
    Ok(held)
}

async fn renew(app: &App, lease: Lease, progress: Option<&str>) -> Result<bool> {
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let held = tx.job_renew(lease, progress).await?;
    tx.commit().await?;
    Ok(held)
}
