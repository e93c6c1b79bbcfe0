//! What goes up in a synchronization: edits that are applied once, however often they come.

use crate::{
    error::Result,
    model::{
        edit::EditResult,
        id::{Generation, LayerKey},
        layer::Service,
        replica::{Replica, SyncDirection, TargetType},
    },
    store::{
        Session,
        uploads::{Partner, Upload},
    },
    sync::{apply::submit, digest::digest},
    wire::synchronize::SyncPlan,
};

use super::Run;

/// How much of what a request brings is uploaded at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// One batch of several.
    OfSeveral,
}

/// What became of the edits that came with a request.
pub(super) struct Uploaded {
    /// By layer, in the order of the edits.
    pub(super) results: Vec<(LayerKey, Vec<EditResult>)>,
    /// The batch that the request carries, for the first time or again.
    pub(super) batch: Option<i64>,
}

/// Applies the edits, unless they are a repetition: then what became of them the first time is the answer again.
pub(super) async fn upload(
    session: &mut Session,
    service: &Service,
    replica: &Replica,
    plan: &SyncPlan,
    part: Part,
    run: &Run,
) -> Result<Uploaded> {
    if plan.edits.is_empty() {
        return Ok(Uploaded { results: Vec::new(), batch: None });
    }
    let downloads = plan.layers.iter().any(|planned| planned.direction.downloads());
    let upload = Upload {
        replica: replica.id,
        user: service.caller.name().to_owned(),
        digest: digest(&plan.edits),
        presented: presented_text(replica, plan),
        direction: if downloads { SyncDirection::Bidirectional } else { SyncDirection::Upload },
        partner: (replica.target == TargetType::Server).then(|| Partner { siblings: siblings(replica, plan) }),
        lease: run.lease,
        known: plan
            .layers
            .iter()
            .map(|planned| {
                let layer = &replica.layers[planned.index];
                (layer.layer.key, planned.presented.unwrap_or(layer.given))
            })
            .collect(),
    };
    let mut tx = session.own().await?;
    // What an earlier attempt at a job has applied is not applied again, whatever was uploaded meanwhile. Of an upload in
    // several batches, the job knows only the last.
    let applied = match run.lease {
        Some(lease) if part == Part::Whole => tx.job_batch(lease).await?,
        _ => None,
    };
    let known = match applied {
        Some(batch) => Some(batch),
        None => tx.batch_find(&upload).await?,
    };
    if let Some(batch) = known {
        let mut results = Vec::with_capacity(plan.edits.len());
        for edits in &plan.edits {
            results.push((edits.layer.key, tx.receipt_list(batch, edits.layer.key).await?));
        }
        tracing::info!(replica.id = %replica.id, batch, "an upload came again; its receipts are the answer");
        return Ok(Uploaded { results, batch: Some(batch) });
    }
    drop(tx);
    let submitted = submit(session, service, &plan.edits, plan.policy, &upload).await?;
    let results = submitted.results.into_iter().map(|(layer, results)| (layer.key, results)).collect();
    Ok(Uploaded { results, batch: Some(submitted.batch) })
}

/// The generations of the other server that layers reach with its upload.
pub(super) fn siblings(replica: &Replica, plan: &SyncPlan) -> Vec<(LayerKey, Generation)> {
    plan.layers
        .iter()
        .filter(|planned| planned.direction.uploads())
        .filter_map(|planned| Some((replica.layers[planned.index].layer.key, planned.sibling?)))
        .collect()
}

/// The generations that came with the edits. They are part of a batch's identity: without them, the same edit made again
/// after somebody else's would be taken for a repetition, and lost.
fn presented_text(replica: &Replica, plan: &SyncPlan) -> String {
    plan.layers
        .iter()
        .map(|planned| {
            let presented = planned.presented.map_or_else(|| "-".to_owned(), |generation| generation.to_string());
            format!("{}:{presented}", replica.layers[planned.index].layer.key.0)
        })
        .collect::<Vec<_>>()
        .join(",")
}
