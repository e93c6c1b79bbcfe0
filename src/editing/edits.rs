//! applyEdits, addFeatures, updateFeatures, and deleteFeatures by object ids.

use crate::{
    app::App,
    error::{Error, Result},
    model::{
        edit::{EditResult, FailurePolicy, LayerEdits, Op, Sequence},
        layer::{Layer, Service},
    },
    replica::{Run, answer::Answer},
    store::Session,
    sync::{
        apply::look_up_object_ids,
        connected::{Sent, keep_all, keep_undone},
        digest::digest,
        direct::{self, Images},
        failure::Failure,
    },
    uploads::payloads::store_payloads,
    wire::{
        apply_edits::{ApplyEdits, LayerOutcome, Wanted, write_answer},
        geometry::spatial_reference,
    },
};

use super::{Outcome, Undone, commit, sent, undo};

use serde_json::Map;

/// Edits whose features are known, and whose attachments' bytes are kept.
pub(super) struct Prepared {
    /// Of features and of attachments, in the order of the request.
    edits: Vec<LayerEdits>,
    /// For each layer of the request, where its edits are, and those of its attachments.
    places: Vec<(usize, Option<usize>)>,
    policy: FailurePolicy,
    sequence: Sequence,
    answer: Wanted,
    /// What the books need to know of it.
    sent: Sent,
}

impl Prepared {
    /// Looks up what the edits name, and keeps what they bring.
    pub(super) async fn of(
        app: &App,
        session: &mut Session,
        service: &Service,
        request: ApplyEdits,
        run: &Run,
    ) -> Result<Prepared> {
        let ApplyEdits { layers, policy, sequence, use_global_ids, answer } = request;
        let (mut edits, mut places) = (Vec::new(), Vec::with_capacity(layers.len()));
        for given in layers {
            let features = edits.len();
            edits.push(look_up_object_ids(session, given.layer, given.features).await?);
            let mut attachments = None;
            if let Some(given) = given.attachments {
                attachments = Some(edits.len());
                edits.push(store_payloads(app, Some((&mut *session, service)), given).await?);
            }
            places.push((features, attachments));
        }
        let mut sent = sent(app, service, run, answer.form.operation(), !use_global_ids);
        // An answer with the features as they were cannot be given twice; and a job is never begun again when it has ended.
        let can_repeat = use_global_ids && !answer.features && run.lease.is_none() && is_whole(&edits);
        sent.digest = can_repeat.then(|| digest(&edits));
        Ok(Prepared { edits, places, policy, sequence, answer, sent })
    }

    /// Applies them.
    pub(super) async fn apply(&self, app: &App, session: &mut Session, service: &Service, run: &Run) -> Result<Answer> {
        let mut tx = session.write(service.key, None).await?;
        let mut moment = match self.answer.moment {
            true => Some(tx.moment().await?),
            false => None,
        };
        let mut before = Vec::new();
        if self.answer.features {
            for (features, _) in &self.places {
                before.push(direct::before(&mut tx, &self.edits[*features]).await?);
            }
        }
        let applied = direct::apply(&mut tx, service, &self.edits, self.policy, self.sequence, &self.sent).await?;
        moment = moment.map(|now| applied.first_made.unwrap_or(now));
        if applied.undone && !self.answer.results {
            tx.roll_back().await?;
            let mut tx = session.write(service.key, None).await?;
            keep_undone(&mut tx, service, &self.edits, &applied.results, &self.sent).await?;
            tx.commit().await?;
            let layers = self.edits.iter().map(|edits| edits.layer.id);
            return Err(Error::RolledBack { n_before: 0, results: layers.zip(applied.results).collect() });
        }
        let mut layers = Vec::with_capacity(self.places.len());
        for (place, (features, attachments)) in self.places.iter().enumerate() {
            let layer = &self.edits[*features].layer;
            let results = &applied.results[*features];
            let edited = match before.get(place) {
                Some(before) => {
                    let after = direct::after(&mut tx, layer, results).await?;
                    Some(edited_features(layer, results, before, &after))
                }
                None => None,
            };
            let attachments = attachments.map(|place| applied.results[place].as_slice());
            layers.push(LayerOutcome { id: layer.id, features: results, attachments, edited });
        }
        let mut document = app.files.spool(&run.progress);
        write_answer(self.answer, &layers, moment, document.buffer());
        let all = || applied.results.iter().flatten();
        let n_refused = all().filter(|result| result.error.is_some()).count();
        let outcome = Outcome { document, head: Map::new(), n_applied: all().count() - n_refused, n_refused };
        match applied.undone {
            true => {
                tx.roll_back().await?;
                let undone = Undone { edits: &self.edits, results: &applied.results, sent: &self.sent };
                undo(app, session, service, undone, outcome, run).await
            }
            false => {
                let done = commit(app, tx, service, outcome, run).await;
                if done.as_ref().is_err_and(Failure::is_at_the_end) {
                    keep_all(session, service, &self.edits, &self.sent).await?;
                }
                done
            }
        }
    }
}

/// Whether there are edits, and each could be read.
fn is_whole(edits: &[LayerEdits]) -> bool {
    let mut all = edits.iter().flat_map(|edits| &edits.edits).peekable();
    all.peek().is_some() && all.all(std::result::Result::is_ok)
}

/// `editedFeatures`: what the applied edits made of the features.
fn edited_features(layer: &Layer, results: &[EditResult], before: &Images, after: &Images) -> String {
    let mut lists = [Vec::new(), Vec::new(), Vec::new()];
    for result in results.iter().filter(|result| result.error.is_none()) {
        let Some(id) = result.global_id else { continue };
        let [adds, updates, deletes] = &mut lists;
        match (result.op, before.get(id), after.get(id)) {
            (Op::Delete, Some(before), _) => deletes.push(before.to_owned()),
            // An add of a feature that was there already has changed it.
            (Op::Add | Op::Update, Some(before), Some(after)) => updates.push(format!("[{before},{after}]")),
            (Op::Add | Op::Update, None, Some(after)) => adds.push(after.to_owned()),
            _ => {}
        }
    }
    let [adds, updates, deletes] = lists.map(|list| list.join(","));
    let reference = match &layer.shape {
        Some(shape) => format!(",\"spatialReference\":{}", spatial_reference(shape.srid)),
        None => String::new(),
    };
    format!("{{\"adds\":[{adds}],\"updates\":[{updates}],\"deletes\":[{deletes}]{reference}}}")
}
