//! The life of a replica: created, synchronized, unregistered.
//!
//! One function for each operation of the API. They see values, not parameters, and answer with values, not responses;
//! the answer documents themselves are written piece by piece, since rows stream (see [`answer`]).

pub(crate) mod answer;
mod backlog;
mod create;
mod database;
mod export;
mod extract;
mod import;
pub(crate) mod life;
mod noting;
mod owner;
mod rebase;
mod room;
mod synchronize;
mod upload;

pub(crate) use create::create;
pub(crate) use extract::extract;
pub(crate) use import::import;
pub(crate) use noting::note_failure;
pub(crate) use owner::require_right;
pub(crate) use rebase::rebase;
pub(crate) use synchronize::synchronize;

use std::sync::Arc;

use crate::{
    app::App,
    error::{Error, Result},
    files::Progress,
    model::{id::ReplicaId, layer::Service, replica::Replica},
    store::jobs::Lease,
    wire::replica::Unregister,
};

/// On whose behalf an operation runs; by default, a request that waits for it.
#[derive(Debug, Default)]
pub(crate) struct Run {
    /// The job that it is an attempt at. What is written is then written only while the lease is the job's, and its end is
    /// entered in the same transaction as its result, so that no job has effect twice.
    pub(crate) lease: Option<Lease>,
    /// The id under which the log has the request, or that of the job.
    pub(crate) request_id: String,
    /// What the client calls itself.
    pub(crate) client: String,
    /// Where it tells how far it is.
    pub(crate) progress: Arc<Progress>,
}

/// All replicas of a service.
pub(crate) async fn list(app: &App, service: &Service) -> Result<Vec<Replica>> {
    let mut session = app.store.session().await?;
    session.own().await?.replica_list(service).await
}

/// One replica.
pub(crate) async fn find(app: &App, service: &Service, id: ReplicaId) -> Result<Replica> {
    let mut session = app.store.session().await?;
    let found = session.own().await?.replica_find(service, id).await?;
    found.ok_or_else(|| Error::ReplicaNotFound { id: id.to_string() })
}

/// Forgets replicas. Returns how many.
pub(crate) async fn unregister(app: &App, service: &Service, which: Unregister) -> Result<u64> {
    let ids = match which {
        Unregister::Nothing => Vec::new(),
        Unregister::One(id) => vec![id],
        Unregister::All => list(app, service).await?.into_iter().map(|replica| replica.id).collect(),
    };
    let mut n_unregistered = 0;
    for id in ids {
        // A synchronization that is under way ends first.
        let mut session = app.store.session_for_replica(id).await?;
        let mut tx = session.own().await?;
        if tx.replica_unregister(service, id).await? {
            n_unregistered += 1;
        } else if matches!(which, Unregister::One(_)) {
            return Err(Error::ReplicaNotFound { id: id.to_string() });
        }
        tx.commit().await?;
    }
    Ok(n_unregistered)
}
