//! importReplica with `rebase=true`: one side of a replica between servers takes a snapshot of the other, when the two cannot go on from
//! what they know of each other, since one was restored or has forgotten its history.
//!
//! In one transaction: what the snapshot has otherwise is taken from it, what it lacks is deleted, and what was edited here and
//! not sent yet stays as it is, for the next transfer. All of it is in the books as one upload of the replica, which can be undone.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};

use crate::{
    app::App,
    error::{Error, Result},
    model::{
        edit::{Edit, EditResult, GeometryEdit, LayerEdits, Op},
        id::{GlobalId, LayerKey},
        layer::{Layer, Service},
        replica::{Replica, SyncDirection, TargetType},
    },
    store::{
        Session, WriteTx,
        rebase::Rebased,
        uploads::{Partner, Upload},
    },
    sync::apply::{Sender, apply_all},
    uploads::payloads::store_payloads,
    wire::{
        attachments::parse_stored_attachments,
        edits::parse_stored,
        import::{Piece, RebasedLayer, Source, rebased_layers, replica_of},
        params::Params,
    },
};

use super::{
    import::{outline, parents_first, pieces},
    owner::require_unlimited,
};

/// Brings this side of a replica to a snapshot of the other.
pub(crate) async fn rebase(app: &App, service: &Service, mut params: Params, source: Source) -> Result<Json> {
    let (ids, members) = outline(source.clone()).await?;
    for (name, value) in members {
        params.push(name, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    let id = replica_of(&params)?;
    require_unlimited(service, true)?;
    let mut session = app.store.session_for_replica(id).await?;
    let replica = session.own().await?.replica_find(service, id).await?;
    let replica = replica.ok_or_else(|| Error::ReplicaNotFound { id: id.to_string() })?;
    require_receiver(&replica)?;
    let layers = rebased_layers(&params, &ids, &replica)?;
    require_history(&mut session, service, &layers).await?;

    let mut tx = session.write(service.key, Some(replica.id)).await?;
    let all: Vec<Arc<Layer>> = layers.iter().flat_map(|rebased| tables(&rebased.layer)).collect();
    tx.close_layers(&all).await?;
    tx.rebase_begin().await?;
    for rebased in &layers {
        // Attachments first: where one stays, its feature does.
        for table in tables(&rebased.layer).rev() {
            tx.rebase_keep(&table, service.key, replica.id, rebased.received).await?;
        }
    }
    let snapshot = Snapshot { app, service, replica: &replica, layers: &layers };
    let order = parents_first(service, layers.iter().map(|rebased| &rebased.layer));
    for &index in &order {
        snapshot.take(&mut tx, &layers[index].layer, source.clone()).await?;
    }
    for &index in order.iter().rev() {
        for table in tables(&layers[index].layer).rev() {
            snapshot.delete_rest(&mut tx, &table).await?;
        }
    }
    let shown = snapshot.book(&mut tx).await?;
    tx.commit().await?;
    tracing::warn!(service.name = service.name, replica.id = %replica.id, layers = %shown, "a replica was re-based on a snapshot of its other side");
    Ok(
        json!({"success": true, "rebased": true, "replicaName": replica.name, "replicaID": replica.id.to_string(), "layers": shown}),
    )
}

/// A layer, and its attachments.
fn tables(layer: &Arc<Layer>) -> impl DoubleEndedIterator<Item = Arc<Layer>> + use<> {
    [Some(layer.clone()), layer.attachments.clone()].into_iter().flatten()
}

fn require_receiver(replica: &Replica) -> Result<()> {
    if replica.target != TargetType::Server {
        return Err(Error::invalid(
            "rebase",
            format!(
                "replica {} is a client's, who takes the snapshot itself; two servers re-base what they keep of each other",
                replica.id
            ),
        ));
    }
    if !replica.direction.uploads() {
        return Err(Error::invalid(
            "rebase",
            format!(
                "replica {} has syncDirection={} here, so that this side takes nothing from the other; re-base the other side",
                replica.id,
                replica.direction.name()
            ),
        ));
    }
    Ok(())
}

/// What was edited here and not sent yet is known only as far as changes are kept.
async fn require_history(session: &mut Session, service: &Service, layers: &[RebasedLayer]) -> Result<()> {
    let tx = session.read(service).await?;
    for RebasedLayer { layer, received, .. } in layers {
        tx.history.check_reach(layer, SyncDirection::Download, *received)?;
    }
    tx.end().await
}

struct Snapshot<'a> {
    app: &'a App,
    service: &'a Service,
    replica: &'a Replica,
    layers: &'a [RebasedLayer],
}

impl Snapshot<'_> {
    /// Takes what a layer has otherwise, with its attachments.
    async fn take(&self, tx: &mut WriteTx<'_>, layer: &Arc<Layer>, source: Source) -> Result<()> {
        let mut pieces = pieces(source);
        while let Some(piece) = pieces.parts.recv().await {
            let edits = match &piece {
                Piece::Features(id, features) if *id == layer.id => {
                    LayerEdits { layer: layer.clone(), edits: parse_stored(features, layer, self.replica.srid) }
                }
                Piece::Attachments(id, attachments) if *id == layer.id && layer.attachments.is_some() => {
                    store_payloads(self.app, None, parse_stored_attachments(attachments, layer)?).await?
                }
                _ => continue,
            };
            self.apply(tx, edits).await?;
        }
        pieces.done.await.map_err(|error| Error::internal("reading a document", error))?
    }

    async fn apply(&self, tx: &mut WriteTx<'_>, mut edits: LayerEdits) -> Result<()> {
        let ids: Vec<_> = edits.edits.iter().filter_map(|edit| Some(edit.as_ref().ok()?.global_id.0)).collect();
        let kept = tx.rebase_held(edits.layer.key, &ids).await?;
        edits.edits.retain(|edit| edit.as_ref().map_or(true, |edit| !kept.contains(&edit.global_id.0)));
        for (layer, results) in apply_all(tx, self.service, &[edits], Sender::Server).await? {
            // An attachment of a feature that was deleted here goes with it, when the other side hears of that.
            if layer.attached_to.is_none() && results.iter().any(|result| result.error.is_some()) {
                return Err(Error::RolledBack { n_before: 0, results: vec![(layer.id, results)] });
            }
        }
        Ok(())
    }

    /// Deletes what the snapshot does not have. What others refer to that stays, stays as well.
    async fn delete_rest(&self, tx: &mut WriteTx<'_>, table: &Arc<Layer>) -> Result<()> {
        let mut after = None;
        loop {
            let ids = tx.rebase_rest(table, after).await?;
            let Some(last) = ids.last() else { return Ok(()) };
            after = Some(*last);
            let delete = |id| Edit {
                op: Op::Delete,
                global_id: GlobalId(id),
                values: Vec::new(),
                geometry: GeometryEdit::Keep,
                passed_over: None,
            };
            let edits = LayerEdits { layer: table.clone(), edits: ids.iter().map(|id| Ok(delete(*id))).collect() };
            for (layer, results) in apply_all(tx, self.service, &[edits], Sender::Server).await? {
                let stays: Vec<&EditResult> = results.iter().filter(|result| result.error.is_some()).collect();
                if !stays.is_empty() {
                    tracing::warn!(
                        layer = layer.id.0,
                        n_rows = stays.len(),
                        "rows that the other side does not have stay: others refer to them"
                    );
                }
            }
        }
    }

    /// Enters what was done into the books, and what each side has of the other from now on. Says what was done.
    async fn book(&self, tx: &mut WriteTx<'_>) -> Result<Json> {
        let siblings: Vec<_> = self.layers.iter().map(|rebased| (rebased.layer.key, rebased.sibling)).collect();
        let upload = Upload {
            user: self.service.caller.name().to_owned(),
            replica: self.replica.id,
            digest: Sha256::digest(format!("rebase {siblings:?}")).to_vec(),
            presented: "rebase".to_owned(),
            direction: SyncDirection::Upload,
            known: Vec::new(),
            partner: Some(Partner { siblings: Vec::new() }),
            lease: None,
        };
        // Which tables; their receipts come out of the change tables.
        let edited: Vec<(LayerKey, Vec<EditResult>)> = self
            .layers
            .iter()
            .flat_map(|rebased| tables(&rebased.layer))
            .map(|table| (table.key, Vec::new()))
            .collect();
        let batch = tx.batch_insert(self.service.key, &upload, &edited).await?;
        let mut shown = Vec::with_capacity(self.layers.len());
        for RebasedLayer { layer, received, sibling } in self.layers {
            let mut item = Map::new();
            item.insert("id".to_owned(), layer.id.0.into());
            for table in tables(layer) {
                let done = tx.rebase_book(&table, batch).await?;
                let done = figures(done);
                match table.attached_to {
                    None => item.extend(done),
                    Some(_) => drop(item.insert("attachments".to_owned(), Json::Object(done))),
                }
            }
            tx.rebase_reach(self.replica.id, layer.key, *sibling).await?;
            tx.rebase_forgive(self.replica.id, layer.key, *received).await?;
            shown.push(Json::Object(item));
        }
        Ok(Json::Array(shown))
    }
}

fn figures(done: Rebased) -> Map<String, Json> {
    let Rebased { n_added, n_updated, n_deleted, n_kept } = done;
    [("addCount", n_added), ("updateCount", n_updated), ("deleteCount", n_deleted), ("keptCount", n_kept)]
        .into_iter()
        .map(|(name, number)| (name.to_owned(), number.into()))
        .collect()
}
