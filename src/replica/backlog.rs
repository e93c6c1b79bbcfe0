//! A backlog: more edits of another server than a request can bring, in a file.
//!
//! They are applied in batches, each in a transaction of its own with receipts of its own, so that memory stays flat and
//! nobody waits for all of it. What broke off is repeated whole: batches that were applied are recognised. What this side has
//! received is noted when all of it is there. The file is read once for each kind of edits of each layer, since its order is not
//! that in which they can be applied: rows before what belongs to them, attachments after their features, deletes the other way round.

use std::{collections::BTreeMap, path::Path};

use serde_json::value::RawValue;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    app::App,
    error::{Error, Result},
    model::{
        edit::{EditResult, FailurePolicy, LayerEdits},
        id::LayerKey,
        layer::Service,
        replica::{Replica, SyncDirection, TargetType},
    },
    store::Session,
    uploads::payloads::store_payloads,
    wire::{
        backlog::{self, List},
        synchronize::{PlannedLayer, SyncPlan, SynchronizeReplicaRequest},
    },
};

use super::{
    Run,
    import::parents_first,
    upload::{Part, Uploaded, upload},
};

/// The most edits of a batch …
const MAX_EDITS: usize = 10_000;
/// … and the most text; no more than a request may bring in any case.
const MAX_TEXT: usize = 8 << 20;
/// How many refused edits are named in the answer. All of them are in the books.
const MAX_NAMED: usize = 10_000;

/// What an upload of a backlog needs.
pub(super) struct Backlog<'a> {
    pub(super) app: &'a App,
    pub(super) service: &'a Service,
    pub(super) replica: &'a Replica,
    pub(super) request: &'a SynchronizeReplicaRequest<'a>,
    pub(super) plan: &'a SyncPlan,
    pub(super) run: &'a Run,
}

impl Backlog<'_> {
    /// Applies all edits of a file, and says which of them were refused.
    pub(super) async fn upload(&self, session: &mut Session, file: &Path) -> Result<Uploaded> {
        self.require_server()?;
        let counts = count(file).await?;
        let order = self.order();
        if let Some(unknown) = counts.keys().find(|list| !order.contains(list)) {
            // Says which layers there are.
            self.request.edits(&backlog::text(*unknown, &[]), self.replica, &self.plan.layers)?;
        }
        let mut refused = Refused::default();
        for wanted in order {
            if counts.contains_key(&wanted) {
                self.upload_list(session, file, wanted, &mut refused).await?;
            }
        }
        // Rows of a table may belong to rows of the same table that came in a later batch.
        if !refused.again.is_empty() {
            let again = std::mem::take(&mut refused.again);
            self.upload_batch(session, again, None, &mut refused).await?;
            refused.again.clear();
        }
        tracing::info!(replica.id = %self.replica.id, n_edits = counts.values().sum::<u64>(), "a backlog was taken in");
        Ok(Uploaded { results: refused.named.into_iter().collect(), batch: None })
    }

    /// Batches cannot be undone together, and what the client is given meanwhile would be of none of them.
    fn require_server(&self) -> Result<()> {
        let limit = self.app.config.max_body_bytes;
        let wrong = |problem: &str| {
            Err(Error::invalid(
                "editsUploadId",
                format!(
                    "the upload has more than {limit} bytes, and edits are taken up to {limit} at a time; more are taken only {problem}: \
                     send them so, or in several synchronizations"
                ),
            ))
        };
        if self.replica.target != TargetType::Server {
            return wrong("from another server (targetType=server)");
        }
        if self.plan.layers.iter().any(|planned| planned.direction != SyncDirection::Upload) {
            return wrong("with syncDirection=upload");
        }
        if self.plan.policy != FailurePolicy::Skip {
            return wrong("with rollbackOnFailure=false, in batches");
        }
        if self.request.return_ids_for_adds {
            return wrong("with returnIdsForAdds=false");
        }
        Ok(())
    }

    /// The lists in the order in which they can be applied.
    fn order(&self) -> Vec<List> {
        let layers: Vec<_> = self.plan.layers.iter().map(|planned| &self.replica.layers[planned.index].layer).collect();
        let order = parents_first(self.service, layers.iter().copied());
        let list = |index: &usize, of, name| List { layer: layers[*index].id, of, name };
        let mut lists = Vec::new();
        for index in &order {
            for (of, name) in
                [("features", "adds"), ("features", "updates"), ("attachments", "adds"), ("attachments", "updates")]
            {
                lists.push(list(index, of, name));
            }
        }
        for index in order.iter().rev() {
            lists.push(list(index, "attachments", "deleteIds"));
            lists.push(list(index, "features", "deleteIds"));
        }
        lists
    }

    async fn upload_list(&self, session: &mut Session, file: &Path, wanted: List, refused: &mut Refused) -> Result<()> {
        let max_text = MAX_TEXT.min(self.app.config.max_body_bytes);
        let (mut batches, reading) = batches(file, wanted, max_text);
        while let Some(items) = batches.recv().await {
            let text = backlog::text(wanted, &items);
            drop(items);
            let edits = self.request.edits(&text, self.replica, &self.plan.layers)?;
            let mut all = edits.features;
            for edits in edits.attachments {
                all.push(store_payloads(self.app, Some((&mut *session, self.service)), edits).await?);
            }
            self.upload_batch(session, all, Some(wanted), refused).await?;
        }
        reading.await.map_err(|error| Error::internal("reading a backlog", error))?
    }

    /// Applies a batch, unless it came before. Of a list, what was refused may succeed when the rest is there.
    async fn upload_batch(
        &self,
        session: &mut Session,
        edits: Vec<LayerEdits>,
        of: Option<List>,
        refused: &mut Refused,
    ) -> Result<()> {
        // What this side has received is noted with the end of the synchronization, when all of it is there.
        let layers = self.plan.layers.iter().map(|planned| PlannedLayer { sibling: None, ..*planned }).collect();
        let plan = SyncPlan { layers, edits, attachments: Vec::new(), policy: FailurePolicy::Skip };
        let done = upload(session, self.service, self.replica, &plan, Part::OfSeveral, self.run).await?;
        let mut n_applied = 0;
        for (edits, (key, results)) in plan.edits.into_iter().zip(done.results) {
            let belongs = self.service.relationships.iter().any(|known| known.destination == key);
            let mut again = Vec::new();
            for (edit, result) in edits.edits.into_iter().zip(results) {
                match (&result.error, edit) {
                    (None, _) => n_applied += 1,
                    (Some(_), Ok(edit)) if of.is_some() && belongs && refused.n_again < MAX_NAMED => {
                        refused.n_again += 1;
                        again.push(Ok(edit));
                    }
                    (Some(_), _) => refused.name(&self.app.metrics, key, result),
                }
            }
            if !again.is_empty() {
                refused.again.push(LayerEdits { layer: edits.layer, edits: again });
            }
        }
        self.app.metrics.count_edits(n_applied, 0);
        Ok(())
    }
}

/// Edits of a backlog that were not applied.
#[derive(Default)]
struct Refused {
    /// As many as the answer names.
    named: BTreeMap<LayerKey, Vec<EditResult>>,
    n_named: usize,
    /// Those that are tried again when all others were.
    again: Vec<LayerEdits>,
    n_again: usize,
}

impl Refused {
    fn name(&mut self, metrics: &crate::metrics::Metrics, layer: LayerKey, result: EditResult) {
        if self.n_named < MAX_NAMED {
            self.n_named += 1;
            self.named.entry(layer).or_default().push(result);
        } else {
            // Counted here, since the answer does not have it.
            metrics.count_edits(0, 1);
        }
    }
}

/// How many edits each list has. The whole file is read, so that one that is broken has no effect.
async fn count(file: &Path) -> Result<BTreeMap<List, u64>> {
    let file = file.to_owned();
    let counted = tokio::task::spawn_blocking(move || {
        let mut counts = BTreeMap::new();
        backlog::read(&file, &mut |list, _| {
            *counts.entry(list).or_default() += 1;
            true
        })?;
        Ok(counts)
    });
    counted.await.map_err(|error| Error::internal("reading a backlog", error))?
}

/// The items of one list, as many at a time as a batch has.
fn batches(file: &Path, wanted: List, max_text: usize) -> (mpsc::Receiver<Vec<Box<RawValue>>>, JoinHandle<Result<()>>) {
    // The reader is never far ahead of the database.
    let (sender, receiver) = mpsc::channel(1);
    let file = file.to_owned();
    let reading = tokio::task::spawn_blocking(move || {
        let (mut batch, mut n_bytes) = (Vec::new(), 0);
        backlog::read(&file, &mut |list, item| {
            if list != wanted {
                return true;
            }
            let n_more = item.get().len();
            let is_full = batch.len() == MAX_EDITS || (n_bytes + n_more > max_text && !batch.is_empty());
            if is_full {
                n_bytes = 0;
                if sender.blocking_send(std::mem::take(&mut batch)).is_err() {
                    return false;
                }
            }
            n_bytes += n_more;
            batch.push(item);
            true
        })?;
        if !batch.is_empty() {
            // Whoever does not listen any more has failed and says so.
            let _ = sender.blocking_send(batch);
        }
        Ok(())
    });
    (receiver, reading)
}
