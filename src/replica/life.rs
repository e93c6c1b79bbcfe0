//! How replicas live and end: their states, and what becomes of those that nobody synchronizes.

use crate::{
    app::App,
    error::{Error, Result},
    model::{
        id::ReplicaId,
        layer::Service,
        life::{Life, Policy, Wish, keeps_alone},
    },
    store::prune::Pruned,
    wire::{life::CleanUpRequest, replica::Unregister},
};

/// The part of the history that is kept for one replica alone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeptAlone {
    /// The replica.
    pub(crate) replica: ReplicaId,
    /// How many generations that is: numbers, of which there are gaps.
    pub(crate) n_generations: i64,
    /// How many changes, as far as they were counted.
    pub(crate) n_changes: i64,
    /// About how many bytes they take up.
    pub(crate) n_bytes: i64,
}

/// The lives of the replicas of a service that who asks may touch, oldest first, and which of them keeps history alone.
pub(crate) async fn lives(app: &App, service: &Service) -> Result<(Vec<Life>, Option<KeptAlone>)> {
    let mut session = app.store.session().await?;
    let tx = session.read(service).await?;
    let current = tx.generation;
    tx.end().await?;
    let mut tx = session.own().await?;
    let mut lives = tx.life_list(service).await?;
    let alone = match keeps_alone(&lives, current) {
        None => None,
        Some((replica, after, upto)) => {
            let (n_changes, n_bytes) = tx.changes_count(service, after, upto).await?;
            Some(KeptAlone { replica, n_generations: upto.get() - after.get(), n_changes, n_bytes })
        }
    };
    lives.retain(|life| service.caller.may_touch(&life.owner));
    Ok((lives, alone))
}

/// The life of one replica.
pub(crate) async fn life(app: &App, service: &Service, id: ReplicaId) -> Result<(Life, Option<KeptAlone>)> {
    let (lives, alone) = lives(app, service).await?;
    let life =
        lives.into_iter().find(|life| life.id == id).ok_or_else(|| Error::ReplicaNotFound { id: id.to_string() })?;
    Ok((life, alone.filter(|alone| alone.replica == id)))
}

/// Lets replicas expire that have not synchronized for long, and unregisters those whose grace is over.
pub(crate) async fn expire(app: &App, policy: Policy) -> Result<()> {
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let expired = tx.replica_expire(policy).await?;
    let overdue = tx.replica_list_overdue(policy).await?;
    tx.commit().await?;
    drop(session);
    for (service, id, name) in &expired {
        tracing::warn!(
            service.name = service, replica.id = %id, replica.name = name, grace_days = policy.grace_days,
            "a replica expired, since it has not synchronized for long; unless it does, it will be unregistered"
        );
    }
    let catalogue = app.store.catalogue();
    for (key, id) in overdue {
        let Some(service) = catalogue.services.iter().find(|service| service.key.0 == key) else { continue };
        // A synchronization that is under way ends first, and may have revived the replica.
        let mut session = match app.store.session_for_replica(id).await {
            Ok(session) => session,
            Err(Error::ReplicaBusy) => continue,
            Err(error) => return Err(error),
        };
        let mut tx = session.own().await?;
        if tx.replica_is_overdue(id, policy).await? && tx.replica_unregister(service, id).await? {
            tx.commit().await?;
            tracing::warn!(service.name = service.name, replica.id = %id, "an expired replica was unregistered");
        }
    }
    Ok(())
}

/// Unregisters replicas of a service that have not synchronized for so many days. With `dry_run` none. Returns which.
pub(crate) async fn unregister_idle(app: &App, service: &Service, idle_days: i64, dry_run: bool) -> Result<Vec<Life>> {
    let (lives, _) = lives(app, service).await?;
    let mut idle: Vec<Life> = lives.into_iter().filter(|life| life.idle_days() >= idle_days).collect();
    if !dry_run {
        let mut done = Vec::with_capacity(idle.len());
        for life in idle {
            match super::unregister(app, service, Unregister::One(life.id)).await {
                Ok(_) => done.push(life),
                // Somebody else was faster.
                Err(Error::ReplicaNotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        idle = done;
    }
    Ok(idle)
}

/// Moves the beginning of a service's history as somebody wishes, but not past what a live replica needs.
pub(crate) async fn clean_up(app: &App, service: &Service, request: &CleanUpRequest) -> Result<Pruned> {
    if let Wish::HeldBy(replica) = request.wish {
        // It must be one of this service's.
        super::find(app, service, replica).await?;
    }
    app.store.clean_up(service, &request.layers, request.wish).await
}
