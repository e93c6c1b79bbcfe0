//! Edits of clients that are connected: whoever sent them learns at once what became of each.

use std::collections::{BTreeSet, HashMap};

use sqlx::Row as _;
use uuid::Uuid;

use crate::{
    error::Result,
    format::json::FeatureWriter,
    model::{
        edit::{EditResult, FailurePolicy, LayerEdits, Op, Sequence},
        id::GlobalId,
        layer::{Layer, Service},
        query::Columns,
    },
    sql::select,
    store::WriteTx,
};

use super::{
    apply::{Sender, apply_in, rolled_back},
    connected::{self, Entered, Repeated, Sent},
};

/// How many features are read at a time.
const FEATURES_AT_ONCE: usize = 1_000;

/// What edits did.
pub(crate) struct Applied {
    /// What became of each, in their order, by layer.
    pub(crate) results: Vec<Vec<EditResult>>,
    /// Whether a refused edit undoes them all: then the caller has to roll the transaction back, and to keep them
    /// ([`connected::keep_undone`]).
    pub(crate) undone: bool,
    /// When they were made, in milliseconds since 1970, if the request is a repetition.
    pub(crate) first_made: Option<i64>,
}

/// Applies edits in a transaction that the caller ends, and enters them into the books. An edit of a feature that is not there
/// is a failure like any other: a connected client has no delta to learn of it from.
pub(crate) async fn apply(
    tx: &mut WriteTx<'_>,
    service: &Service,
    edits: &[LayerEdits],
    policy: FailurePolicy,
    sequence: Sequence,
    sent: &Sent,
) -> Result<Applied> {
    if let Some(Repeated { results, moment }) = connected::repetition(tx, service, edits, sent).await? {
        return Ok(Applied { results, undone: false, first_made: Some(moment) });
    }
    apply_part(tx, service, edits, (policy, sequence), (sent, &mut Entered::default())).await
}

/// Applies a part of a request's edits, all parts of which are of one transaction and of the same layers.
pub(crate) async fn apply_part(
    tx: &mut WriteTx<'_>,
    service: &Service,
    edits: &[LayerEdits],
    (policy, sequence): (FailurePolicy, Sequence),
    (sent, entered): (&Sent, &mut Entered),
) -> Result<Applied> {
    let results = apply_in(tx, service, edits, Sender::Client, sequence).await?;
    let refused = |result: &EditResult| result.error.is_some();
    let undone = policy == FailurePolicy::RollBack && results.iter().flat_map(|(_, results)| results).any(refused);
    if undone {
        let results = rolled_back(results, refused, |layer| entered.n_before(layer));
        return Ok(Applied { results, undone, first_made: None });
    }
    let results: Vec<Vec<EditResult>> = results.into_iter().map(|(_, results)| results).collect();
    connected::enter(tx, service, edits, &results, (sent, entered)).await?;
    Ok(Applied { results, undone, first_made: None })
}

/// Features as Esri JSON, by their global ids.
#[derive(Default)]
pub(crate) struct Images(HashMap<Uuid, String>);

impl Images {
    /// A feature, if it was there.
    pub(crate) fn get(&self, id: GlobalId) -> Option<&str> {
        self.0.get(&id.0).map(String::as_str)
    }
}

/// The features that edits are about to change, as they are; nobody else changes them until the transaction ends. An add
/// may change a feature, too.
pub(crate) async fn before(tx: &mut WriteTx<'_>, edits: &LayerEdits) -> Result<Images> {
    let ids = edits.edits.iter().filter_map(|edit| Some(edit.as_ref().ok()?.global_id.0));
    images(tx, &edits.layer, ids.collect(), true).await
}

/// The features that edits have put or changed.
pub(crate) async fn after(tx: &mut WriteTx<'_>, layer: &Layer, results: &[EditResult]) -> Result<Images> {
    let applied = results.iter().filter(|result| result.error.is_none() && result.op != Op::Delete);
    let ids = applied.filter_map(|result| Some(result.global_id?.0));
    images(tx, layer, ids.collect(), false).await
}

async fn images(tx: &mut WriteTx<'_>, layer: &Layer, ids: BTreeSet<Uuid>, lock: bool) -> Result<Images> {
    let srid = layer.shape.as_ref().map_or(0, |shape| shape.srid);
    // As a query would answer them.
    let columns = Columns::visible(layer, srid);
    let writer = FeatureWriter::new(layer, &columns);
    let ids: Vec<Uuid> = ids.into_iter().collect();
    let mut images = HashMap::with_capacity(ids.len());
    for some in ids.chunks(FEATURES_AT_ONCE) {
        for row in tx.rows(select::features(layer, &columns, some.to_vec(), lock)).await? {
            let mut feature = Vec::new();
            writer.write(&row, 1, &mut feature)?;
            images.insert(row.try_get(0)?, String::from_utf8_lossy(&feature).into_owned());
        }
    }
    Ok(Images(images))
}
