//! What a replica should hold: counts and checksums that its client can compare with its own.

use std::{pin::pin, sync::Arc};

use futures_util::TryStreamExt as _;
use sqlx::Row as _;
use uuid::Uuid;

use crate::{
    app::App,
    error::Result,
    format::{checksum::Checksum, json::FeatureWriter},
    model::{
        filter::Filter,
        id::{Generation, ReplicaId},
        layer::{Layer, Service},
        query::Columns,
        replica::{ReplicaLayer, SyncDirection},
    },
    sql::{
        changes::{self, Between},
        history, select,
    },
    store::ReadTx,
};

use super::{Known, batches::cut, known};

/// The most global ids of differing features that are listed for a layer.
const MAX_DIFFERING: i64 = 1_000;

/// What a replica should hold at a generation.
pub(crate) struct Verified {
    /// The replica.
    pub(crate) known: Known,
    /// The generation.
    pub(crate) generation: Generation,
    /// A layer, or its attachments if the replica has them, and the checksum.
    pub(crate) layers: Vec<(Arc<Layer>, Checksum)>,
    /// What differs from another generation, if one was named.
    pub(crate) differing: Option<(Generation, Vec<Differing>)>,
}

/// The features of a layer, or its attachments, that differ between two generations for a replica.
pub(crate) struct Differing {
    /// The layer.
    pub(crate) layer: Arc<Layer>,
    /// Global id, whether the replica held it at the first generation, whether at the second.
    pub(crate) features: Vec<(Uuid, bool, bool)>,
    /// Whether there are more.
    pub(crate) more: bool,
}

/// Counts and checksums at the newest generation, or at `generations.0`; and what differs between that and
/// `generations.1`, which is the later one.
pub(crate) async fn verify(
    app: &App,
    service: &Service,
    replica: ReplicaId,
    generations: (Option<Generation>, Option<Generation>),
) -> Result<Verified> {
    let mut known = known(app, service, replica).await?;
    let mut session = app.store.session().await?;
    let mut tx = session.read(service).await?;
    let newest = tx.generation;
    for held in &known.replica.layers {
        tx.history.check(&held.layer, SyncDirection::Download, generations.0)?;
        tx.history.check(&held.layer, SyncDirection::Download, generations.1)?;
    }
    let generation = generations.0.unwrap_or(newest);
    // What it holds is what its holder might see when it was given.
    let policies = known.replica.policies_at(generation);
    known.replica.see(service, policies);
    let holdings = holdings(&known);
    let mut layers = Vec::with_capacity(holdings.len());
    for (layer, filter) in &holdings {
        let checksum = checksum(&mut tx, service, (layer, filter), known.replica.srid, generation).await?;
        layers.push((layer.clone(), checksum));
    }
    let mut differing = None;
    if let Some(upto) = generations.1 {
        let mut all = Vec::with_capacity(holdings.len());
        for (layer, filter) in &holdings {
            let (first, second) = (generation.min(upto), generation.max(upto));
            let window = Between {
                service: service.key.0,
                filter,
                after: first.get(),
                upto: second.get(),
                is_past: second < newest,
            };
            all.push(differs(&mut tx, layer, &window).await?);
        }
        differing = Some((upto, all));
    }
    tx.end().await?;
    Ok(Verified { known, generation, layers, differing })
}

/// The layers of a replica, each followed by its attachments if the replica has them, and what it holds of them.
fn holdings(known: &Known) -> Vec<(Arc<Layer>, Filter)> {
    let mut holdings = Vec::new();
    for ReplicaLayer { layer, filter, .. } in &known.replica.layers {
        holdings.push((layer.clone(), filter.clone()));
        if let (Some(attachments), true) = (&layer.attachments, known.replica.return_attachments) {
            holdings.push((attachments.clone(), Filter::of_attachments(layer, filter.clone())));
        }
    }
    holdings
}

async fn checksum(
    tx: &mut ReadTx<'_>,
    service: &Service,
    (layer, filter): (&Layer, &Filter),
    srid: i32,
    generation: Generation,
) -> Result<Checksum> {
    let columns = Columns::visible(layer, srid);
    let statement = match filter {
        Filter::None => return Ok(Checksum::default()),
        filter if generation == tx.generation => select::snapshot(layer, filter, &columns),
        filter => history::snapshot_at(layer, filter, &columns, service.key.0, generation.get()),
    };
    let writer = FeatureWriter::new(layer, &columns);
    let mut rows = pin!(tx.stream(statement)?);
    let (mut checksum, mut feature) = (Checksum::default(), Vec::new());
    while let Some(row) = rows.try_next().await? {
        feature.clear();
        writer.write(&row, 0, &mut feature)?;
        checksum.add(layer, &feature)?;
    }
    Ok(checksum)
}

async fn differs(tx: &mut ReadTx<'_>, layer: &Arc<Layer>, window: &Between<'_>) -> Result<Differing> {
    let mut rows = pin!(tx.stream(changes::differing(layer, window, MAX_DIFFERING + 1))?);
    let mut features = Vec::new();
    while let Some(row) = rows.try_next().await? {
        features.push((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
    }
    let more = cut(&mut features, MAX_DIFFERING);
    Ok(Differing { layer: layer.clone(), features, more })
}
