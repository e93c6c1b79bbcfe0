//! All replicas of all services: how each is doing, selected and ordered.

use std::{cmp::Ordering, collections::HashMap, sync::Arc};

use crate::{
    app::App,
    error::{Error, Result},
    model::{
        id::{Generation, LayerKey, ReplicaId},
        layer::Service,
        life::{Life, Policy, State},
        standing::{Column, Order, Wanted, WantedState},
    },
    replica::life::{self, KeptAlone},
    store::{
        console::{Booked, Held, Span, lock_key},
        synchronizations::Synchronization,
    },
};

/// How a replica is doing.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// Whose it is.
    pub(crate) service: Arc<Service>,
    /// The history of that service.
    pub(crate) span: Span,
    /// Its life.
    pub(crate) life: Life,
    /// What the books have about it.
    pub(crate) booked: Booked,
    /// Whether it is synchronizing now.
    pub(crate) is_busy: bool,
    /// The history that is kept for its sake alone.
    pub(crate) kept_alone: Option<KeptAlone>,
}

impl Standing {
    /// Whether it has never synchronized since it was made.
    pub(crate) fn never_synchronized(&self) -> bool {
        self.life.last_sync_ms == self.life.created_ms
    }

    /// Whether its last synchronization was answered with an error.
    pub(crate) fn is_failing(&self) -> bool {
        self.booked.last.as_ref().is_some_and(|last| last.message.is_some())
    }

    fn is(&self, state: WantedState, policy: Policy) -> bool {
        match state {
            WantedState::Live => self.life.state(policy) == State::Live,
            WantedState::Idle => self.life.state(policy) == State::Idle,
            WantedState::Expired => self.life.state(policy) == State::Expired,
            WantedState::Foreign => self.life.state(policy) == State::Foreign,
            WantedState::Busy => self.is_busy,
            WantedState::NeverSynchronized => self.never_synchronized(),
            WantedState::NeedsSnapshot => !self.life.can_go_on,
            WantedState::Failing => self.is_failing(),
            WantedState::OwnExpiry => self.booked.expire_days.is_some(),
            WantedState::OpenEntries => self.booked.n_rejected > 0 || self.booked.n_conflicts > 0,
        }
    }

    fn is_wanted(&self, wanted: &Wanted, policy: Policy) -> bool {
        let has_text = |text: &String| {
            let last = self.booked.last.as_ref().map_or("", |last| &last.client);
            let id = self.life.id.to_string();
            [&self.life.name, &self.life.owner, &self.booked.client, last, &self.service.name, &id]
                .iter()
                .any(|place| place.to_lowercase().contains(text.as_str()))
        };
        wanted.owner.as_ref().is_none_or(|owner| self.life.owner.eq_ignore_ascii_case(owner))
            && wanted.state.is_none_or(|state| self.is(state, policy))
            && wanted.idle_days.is_none_or(|days| self.life.idle_days() >= days)
            && wanted.text.as_ref().is_none_or(has_text)
    }

    fn compare(&self, other: &Standing, column: Column, policy: Policy) -> Ordering {
        let text = |of: fn(&Standing) -> &str| of(self).to_lowercase().cmp(&of(other).to_lowercase());
        let number = |of: fn(&Standing) -> i64| of(self).cmp(&of(other));
        // Who never ends comes after all who do.
        let ends = |one: &Standing| one.life.ends_ms(policy).unwrap_or(i64::MAX);
        match column {
            Column::Service => text(|one| &one.service.name),
            Column::Name => text(|one| &one.life.name),
            Column::Owner => text(|one| &one.life.owner),
            Column::Client => text(|one| one.booked.last.as_ref().map_or(&one.booked.client, |last| &last.client)),
            Column::State => self.life.state(policy).name().cmp(other.life.state(policy).name()),
            Column::Created => number(|one| one.life.created_ms),
            Column::LastSync => number(|one| one.life.last_sync_ms),
            Column::Generation => number(|one| one.life.given.map_or(i64::MAX, Generation::get)),
            Column::Changes => number(|one| one.life.n_behind),
            Column::Bytes => number(|one| one.life.bytes_behind),
            Column::KeptAlone => number(|one| one.kept_alone.map_or(0, |kept| kept.n_bytes)),
            Column::Expiry => ends(self).cmp(&ends(other)),
            Column::Rejected => number(|one| one.booked.n_rejected),
            Column::Conflicts => number(|one| one.booked.n_conflicts),
            Column::Outcome => text(|one| one.booked.last.as_ref().map_or("", |last| last.outcome.name())),
        }
    }
}

/// A page of replicas.
pub(crate) struct List {
    /// Those of the page, with their shapes.
    pub(crate) page: Vec<(Standing, Held, Option<[f64; 4]>)>,
    /// How many are wanted in all.
    pub(crate) n_wanted: usize,
    /// How many there are, wanted or not.
    pub(crate) n_all: usize,
}

/// The replicas that are wanted: a page of them.
pub(crate) async fn list(app: &App, wanted: &Wanted, (offset, limit): (i64, i64)) -> Result<List> {
    let policy = app.config.policy();
    let all = standings(app, wanted.service.as_deref()).await?;
    let n_all = all.len();
    let mut chosen: Vec<Standing> = all.into_iter().filter(|one| one.is_wanted(wanted, policy)).collect();
    sort(&mut chosen, wanted.order, policy);
    let n_wanted = chosen.len();
    let (offset, limit) = (index(offset), index(limit));
    let page: Vec<Standing> = chosen.into_iter().skip(offset).take(limit).collect();
    Ok(List { page: with_shapes(app, page).await?, n_wanted, n_all })
}

/// One replica, whatever its service.
pub(crate) async fn find(app: &App, id: ReplicaId) -> Result<(Standing, Held, Option<[f64; 4]>)> {
    let found = standings(app, None).await?.into_iter().find(|one| one.life.id == id);
    let found = found.ok_or_else(|| Error::ReplicaNotFound { id: id.to_string() })?;
    let mut shaped = with_shapes(app, vec![found]).await?;
    shaped.pop().ok_or_else(|| Error::ReplicaNotFound { id: id.to_string() })
}

/// A page of the synchronizations of a replica, the newest first, and whether there are more. Also of one that is no longer
/// registered.
pub(crate) async fn timeline(
    app: &App,
    id: ReplicaId,
    (offset, limit): (i64, i64),
) -> Result<(Vec<Synchronization>, bool)> {
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    if !tx.replica_exists(id).await? {
        return Err(Error::ReplicaNotFound { id: id.to_string() });
    }
    let mut page = tx.sync_page(id, (offset, limit)).await?;
    let more = page.len() > index(limit);
    page.truncate(index(limit));
    Ok((page, more))
}

/// How far the replicas of a service lag, those that are furthest behind first.
pub(crate) struct Lags {
    /// The service.
    pub(crate) service: Arc<Service>,
    /// Its history.
    pub(crate) span: Span,
    /// Its replicas, not all if there are many.
    pub(crate) replicas: Vec<Standing>,
    /// How many there are.
    pub(crate) n_all: usize,
    /// The one that needs the oldest history; it comes first.
    pub(crate) holder: Option<ReplicaId>,
}

/// The most replicas of a service whose lags are shown together.
const MOST_LAGS: usize = 1000;

/// How far all replicas lag, by service.
pub(crate) async fn lags(app: &App, service: Option<&str>) -> Result<Vec<Lags>> {
    let mut found = Vec::new();
    let mut standings = standings(app, service).await?;
    let mut spans = Vec::new();
    for service in services(app, service).await? {
        let mut session = app.store.session().await?;
        spans.push((service.clone(), session.own().await?.history_span(&service, app.config.keep_history_days).await?));
    }
    for (service, span) in spans {
        let (of_service, rest): (Vec<Standing>, Vec<Standing>) =
            standings.into_iter().partition(|one| one.service.key == service.key);
        standings = rest;
        let mut replicas = of_service;
        let n_all = replicas.len();
        let order = Order { column: Column::Generation, descending: false };
        sort(&mut replicas, order, app.config.policy());
        let needs = |one: &&Standing| one.life.can_go_on && one.life.acknowledged.is_some();
        let holder = replicas
            .iter()
            .filter(needs)
            .min_by_key(|one| (one.life.acknowledged, one.life.id.0))
            .map(|one| one.life.id);
        replicas.sort_by_key(|one| Some(one.life.id) != holder);
        replicas.truncate(MOST_LAGS);
        found.push(Lags { service, span, replicas, n_all, holder });
    }
    Ok(found)
}

/// All services, or one.
async fn services(app: &App, service: Option<&str>) -> Result<Vec<Arc<Service>>> {
    Ok(match service {
        Some(name) => vec![app.store.service(name).await?],
        None => app.store.catalogue().services.clone(),
    })
}

/// How all replicas are doing, of all services or of one.
pub(super) async fn standings(app: &App, service: Option<&str>) -> Result<Vec<Standing>> {
    let mut all = Vec::new();
    for service in services(app, service).await? {
        let (lives, alone) = life::lives(app, &service).await?;
        let mut session = app.store.session().await?;
        let mut tx = session.own().await?;
        let span = tx.history_span(&service, app.config.keep_history_days).await?;
        if lives.is_empty() {
            continue;
        }
        let mut booked = tx.booked_list(service.key).await?;
        let locks = tx.replica_locks().await?;
        all.extend(lives.into_iter().map(|life| Standing {
            service: service.clone(),
            span,
            booked: booked.remove(&life.id).unwrap_or_default(),
            is_busy: locks.contains(&lock_key(life.id)),
            kept_alone: alone.filter(|alone| alone.replica == life.id),
            life,
        }));
    }
    Ok(all)
}

fn sort(standings: &mut [Standing], order: Order, policy: Policy) {
    standings.sort_by(|one, other| {
        let by_column = one.compare(other, order.column, policy);
        let by_column = if order.descending { by_column.reverse() } else { by_column };
        // One order each time, so that pages fit together.
        by_column.then_with(|| one.life.id.0.cmp(&other.life.id.0))
    });
}

/// Adds layers, filters and boxes in degrees: of what restricts a replica, or of its layers if nothing does.
async fn with_shapes(app: &App, page: Vec<Standing>) -> Result<Vec<(Standing, Held, Option<[f64; 4]>)>> {
    let ids: Vec<ReplicaId> = page.iter().map(|one| one.life.id).collect();
    let mut held = {
        let mut session = app.store.session().await?;
        session.own().await?.held_list(&ids).await?
    };
    let mut boxes: HashMap<LayerKey, Option<[f64; 4]>> = HashMap::new();
    let mut shaped = Vec::with_capacity(page.len());
    for standing in page {
        let held = held.remove(&standing.life.id).unwrap_or_default();
        let mut extent = around(held.layers.iter().filter_map(|layer| layer.extent));
        if extent.is_none() {
            if !held.layers.iter().all(|layer| boxes.contains_key(&layer.layer)) {
                boxes.extend(layer_boxes(app, &standing.service).await?);
            }
            let wanted = held.layers.iter().filter(|layer| layer.option != "none");
            extent = around(wanted.filter_map(|layer| boxes.get(&layer.layer).copied().flatten()));
        }
        shaped.push((standing, held, extent));
    }
    Ok(shaped)
}

/// The boxes of the layers of a service, in degrees.
async fn layer_boxes(app: &App, service: &Service) -> Result<Vec<(LayerKey, Option<[f64; 4]>)>> {
    let facts = app.store.facts(service).await?;
    let mut known = Vec::new();
    let mut found = Vec::new();
    for (layer, facts) in service.layers.iter().zip(facts) {
        match (&layer.shape, facts.extent) {
            (Some(shape), Some(extent)) => known.push((layer.key, (shape.srid, extent))),
            _ => found.push((layer.key, None)),
        }
    }
    let boxes: Vec<(i32, [f64; 4])> = known.iter().map(|(_, one)| *one).collect();
    let mut session = app.store.session().await?;
    let in_degrees = session.own().await?.boxes_in_degrees(&boxes).await?;
    found.extend(known.iter().map(|(key, _)| *key).zip(in_degrees));
    Ok(found)
}

/// The box around boxes.
fn around(boxes: impl Iterator<Item = [f64; 4]>) -> Option<[f64; 4]> {
    boxes.reduce(|one, other| {
        let [west, south, east, north] = one;
        [west.min(other[0]), south.min(other[1]), east.max(other[2]), north.max(other[3])]
    })
}

/// A count that was checked to be one.
fn index(number: i64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
