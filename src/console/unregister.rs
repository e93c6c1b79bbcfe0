//! Unregistering several replicas at once, and what would become of what depends on them.

use std::sync::Arc;

use crate::{
    app::App,
    error::{Error, Result},
    model::{
        id::{Generation, ReplicaId},
        layer::Service,
    },
    replica,
    wire::replica::Unregister,
};

use super::replicas::{Standing, standings};

/// What becomes of a replica that is unregistered.
pub(crate) struct Previewed {
    /// How it is doing.
    pub(crate) standing: Standing,
    /// How many of its jobs have not ended; those that wait will be refused.
    pub(crate) n_jobs: i64,
}

/// What becomes of the history of a service if replicas are unregistered.
pub(crate) struct Freed {
    /// The service.
    pub(crate) service: Arc<Service>,
    /// Changes that nobody needs any more, and about how many bytes they take up.
    pub(crate) unneeded: (i64, i64),
    /// Those of them that are not kept for their age either: the next pruning forgets them.
    pub(crate) forgotten: (i64, i64),
    /// The replica that holds the history then: id and name.
    pub(crate) held_by: Option<(ReplicaId, String)>,
}

/// What unregistering several replicas would do.
pub(crate) struct Preview {
    /// Each replica that there is.
    pub(crate) replicas: Vec<Previewed>,
    /// Those that there are not.
    pub(crate) unknown: Vec<ReplicaId>,
    /// The histories of their services.
    pub(crate) histories: Vec<Freed>,
}

/// What unregistering these replicas would do.
pub(crate) async fn preview(app: &App, ids: &[ReplicaId]) -> Result<Preview> {
    let all = standings(app, None).await?;
    let mut histories = Vec::new();
    for service in &app.store.catalogue().services {
        let of_service: Vec<&Standing> = all.iter().filter(|one| one.service.key == service.key).collect();
        if of_service.iter().any(|one| ids.contains(&one.life.id)) {
            histories.push(freed(app, service, &of_service, ids).await?);
        }
    }
    let mut session = app.store.session().await?;
    let jobs = session.own().await?.jobs_of_replicas(ids).await?;
    let mut replicas = Vec::new();
    for standing in all.into_iter().filter(|one| ids.contains(&one.life.id)) {
        let n_jobs = jobs.get(&standing.life.id).copied().unwrap_or(0);
        replicas.push(Previewed { standing, n_jobs });
    }
    let unknown = ids.iter().filter(|id| !replicas.iter().any(|one| one.standing.life.id == **id)).copied().collect();
    Ok(Preview { replicas, unknown, histories })
}

/// What becomes of the history of a service whose replicas these are.
async fn freed(app: &App, service: &Arc<Service>, all: &[&Standing], going: &[ReplicaId]) -> Result<Freed> {
    let needs = |standing: &&&Standing| standing.life.can_go_on && standing.life.acknowledged.is_some();
    let lowest = |standings: &mut dyn Iterator<Item = &&Standing>| {
        standings
            .filter(needs)
            .filter_map(|one| Some((one.life.acknowledged?, one.life.id, one.life.name.clone())))
            .min_by_key(|(generation, id, _)| (*generation, id.0))
    };
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let span = tx.history_span(service, app.config.keep_history_days).await?;
    let before = lowest(&mut all.iter()).map_or(span.to, |(generation, ..)| generation);
    let holder = lowest(&mut all.iter().filter(|one| !going.contains(&one.life.id)));
    let after = holder.as_ref().map_or(span.to, |(generation, ..)| *generation);
    let mut count = async |upto: Generation| match before < upto {
        true => tx.changes_count(service, before, upto).await,
        false => Ok((0, 0)),
    };
    Ok(Freed {
        service: service.clone(),
        unneeded: count(after).await?,
        forgotten: count(after.min(span.horizon)).await?,
        held_by: holder.map(|(_, id, name)| (id, name)),
    })
}

/// What became of unregistering a replica: its id, and why not.
pub(crate) type Outcome = (ReplicaId, Result<()>);

/// Unregisters replicas, one after the other. Each is answered for by itself.
pub(crate) async fn unregister(app: &App, ids: &[ReplicaId]) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(ids.len());
    for &id in ids {
        let outcome = match service_of(app, id).await? {
            None => Err(Error::ReplicaNotFound { id: id.to_string() }),
            Some(service) => replica::unregister(app, &service, Unregister::One(id)).await.map(drop),
        };
        if let Err(error @ (Error::Unavailable(_) | Error::Internal { .. })) = outcome {
            // The next one would fare no better. What was done so far stands, and is known by looking.
            return Err(error);
        }
        outcomes.push((id, outcome));
    }
    tracing::info!(
        n_replicas = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).count(),
        "replicas were unregistered by request"
    );
    Ok(outcomes)
}

/// The service that a replica is registered with.
pub(super) async fn service_of(app: &App, id: ReplicaId) -> Result<Option<Arc<Service>>> {
    let mut session = app.store.session().await?;
    let key = session.own().await?.replica_service(id).await?;
    Ok(key.and_then(|key| app.store.catalogue().services.iter().find(|service| service.key == key).cloned()))
}
