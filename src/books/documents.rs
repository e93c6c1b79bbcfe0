//! The documents of the books, as JSON.

use serde_json::{Map, Value as Json, json};

use crate::{
    model::{
        id::GlobalId,
        layer::{Layer, Service},
    },
    store::{
        books::{BookedBatch, Receipt},
        conflicts::Conflict,
        rejected::{Rejected, RejectedState},
    },
    wire::{
        books::{embedded, layer_json, list, receipt},
        edits::result_json,
    },
};

use super::{
    Known, Later,
    batches::{MAX_LISTED, Receipts, Reversal, Undone},
    conflicts::Restored,
    explain::{Explanation, Standing},
    verify::Verified,
};

/// The batches of a service.
pub(crate) fn batches(service: &Service, batches: &[BookedBatch], more: bool) -> Json {
    Json::Object(list("batches", batches.iter().map(|one| Json::Object(batch(service, one))).collect(), more))
}

/// The uploads of a replica.
pub(crate) fn uploads(service: &Service, known: &Known, uploads: &[BookedBatch], more: bool) -> Json {
    let mut shown = replica(known);
    shown.extend(list("batches", uploads.iter().map(|one| Json::Object(batch(service, one))).collect(), more));
    Json::Object(shown)
}

/// A batch with its receipts, and the replica that uploaded it if it was asked for as one's.
pub(crate) fn receipts(service: &Service, known: Option<&Known>, booked: &BookedBatch, receipts: &Receipts) -> Json {
    let mut shown = batch(service, booked);
    shown.extend(known.map(replica).unwrap_or_default());
    if let (Some(known), Some(Json::Object(condition))) = (receipts.rows_known, shown.get_mut("byCondition")) {
        condition.insert("rowsKnown".to_owned(), known.into());
    }
    let each = |(layer, position, result): &Receipt| {
        let mut one = Map::new();
        one.insert("position".to_owned(), (*position).into());
        one.extend(receipt(service, *layer, result));
        Json::Object(one)
    };
    shown.extend(list("receipts", receipts.page.iter().map(each).collect(), receipts.more));
    Json::Object(shown)
}

fn replica(known: &Known) -> Map<String, Json> {
    let mut shown = Map::new();
    shown.insert("replicaID".to_owned(), known.replica.id.to_string().into());
    shown.insert("replicaName".to_owned(), known.replica.name.clone().into());
    shown.insert("replicaOwner".to_owned(), known.replica.owner.clone().into());
    shown.insert("registered".to_owned(), known.registered.into());
    shown
}

fn batch(service: &Service, batch: &BookedBatch) -> Map<String, Json> {
    let [adds, updates, deletes] = batch.applied;
    let presented: Json = batch
        .presented
        .iter()
        .map(|(layer, generation)| json!({"id": layer_json(service, *layer), "serverGen": generation}))
        .collect();
    let codes: Map<String, Json> = batch.refused.iter().map(|(code, n)| (code.to_string(), (*n).into())).collect();
    let shown = json!({
        "batchId": batch.id,
        "operation": batch.operation,
        "replicaID": batch.replica.map(|id| id.to_string()),
        "replicaName": batch.replica_name,
        "userName": batch.user,
        "requestId": batch.request_id,
        "receivedDate": batch.received_ms,
        "layers": batch.layers.iter().map(|key| layer_json(service, *key)).collect::<Json>(),
        "syncDirection": batch.direction,
        "presentedServerGens": presented,
        "serverGen": batch.generation,
        "applied": adds + updates + deletes,
        "appliedAdds": adds,
        "appliedUpdates": updates,
        "appliedDeletes": deletes,
        "byCondition": batch.by_condition.map(|(op, n_rows)| json!({"operation": op.name(), "count": n_rows})),
        "refused": batch.refused.iter().map(|(_, n)| n).sum::<i64>(),
        "refusedByCode": codes,
        "refusedNotKept": batch.n_not_kept,
        "conflicts": batch.n_conflicts,
        "undoneDate": batch.undone_ms,
    });
    match shown {
        Json::Object(shown) => shown,
        _ => Map::new(),
    }
}

/// Refused edits.
pub(crate) fn rejected_list(service: &Service, edits: &[Rejected], more: bool) -> Json {
    Json::Object(list("rejectedEdits", edits.iter().map(|one| rejected(service, one)).collect(), more))
}

/// A refused edit.
pub(crate) fn rejected(service: &Service, edit: &Rejected) -> Json {
    json!({
        "rejectedEditId": edit.id,
        "state": edit.state.name(),
        "replicaID": edit.replica.map(|id| id.to_string()),
        "replicaName": edit.replica_name,
        "userName": edit.user,
        "sentBy": edit.operation,
        "requestId": edit.request_id,
        "batchId": edit.batch,
        "layer": layer_json(service, edit.layer),
        "operation": edit.op.name(),
        "globalId": edit.global_id.map(|id| id.to_string()),
        "reason": {"code": edit.error.code.number(), "description": edit.error.description},
        "receivedDate": edit.received_ms,
        "lastReceivedDate": edit.last_received_ms,
        "timesReceived": edit.times_received,
        "closedDate": edit.closed.as_ref().map(|(ms, _)| ms),
        "closedBy": edit.closed.as_ref().map(|(_, by)| by),
        "feature": embedded(Some(&edit.feature)),
    })
}

/// What became of applying a refused edit.
pub(crate) fn applied(number: i64, result: &crate::model::edit::EditResult) -> Json {
    let state = if result.error.is_none() { RejectedState::Applied } else { RejectedState::Open };
    json!({"rejectedEditId": number, "state": state.name(), "success": result.error.is_none(), "result": result_json(result)})
}

/// What became of dismissing a refused edit.
pub(crate) fn dismissed(number: i64) -> Json {
    json!({"rejectedEditId": number, "state": RejectedState::Dismissed.name(), "success": true})
}

/// Conflicts.
pub(crate) fn conflict_list(service: &Service, conflicts: &[Conflict], more: bool) -> Json {
    Json::Object(list("conflicts", conflicts.iter().map(|one| conflict(service, one)).collect(), more))
}

/// A conflict.
pub(crate) fn conflict(service: &Service, conflict: &Conflict) -> Json {
    let lost = &conflict.overwrite;
    // As it was kept, without fields that clients see no more.
    let kept = |image: Option<&str>| {
        let mut shown = embedded(image);
        let layer = service.layer_by_key(lost.layer);
        let attributes = shown.get_mut("attributes").and_then(Json::as_object_mut);
        if let (Some(layer), Some(attributes)) = (layer, attributes) {
            layer.hidden_fields().for_each(|name| drop(attributes.remove(name)));
        }
        shown
    };
    json!({
        "conflictId": conflict.id,
        "foundDate": conflict.found_ms,
        "replicaID": conflict.replica.to_string(),
        "replicaName": conflict.replica_name,
        "batchId": conflict.batch,
        "serverGen": conflict.generation,
        "layer": layer_json(service, lost.layer),
        "globalId": lost.global_id.to_string(),
        "operation": lost.op.name(),
        "fields": lost.fields,
        "knownServerGen": lost.known.get(),
        "otherServerGen": lost.other_generation.get(),
        "otherReplicaID": lost.other_origin.map(|id| id.to_string()),
        "otherReplicaName": conflict.other_name,
        "otherBatchId": conflict.other_connected.as_ref().map(|(batch, _)| batch),
        "otherOperation": conflict.other_connected.as_ref().map(|(_, operation)| operation),
        "restoredDate": conflict.restored_ms,
        "base": kept(lost.base.as_deref()),
        "server": kept(lost.server.as_deref()),
        "client": kept(lost.client.as_deref()),
    })
}

/// What became of putting back what was overwritten.
pub(crate) fn restored(number: i64, restored: &Restored) -> Json {
    match restored {
        Restored::Tried(result) => {
            json!({"conflictId": number, "success": result.error.is_none(), "result": result_json(result)})
        }
        Restored::ChangedSince(changed) => json!({
            "conflictId": number,
            "success": false,
            "changedSince": later(changed),
            "description": "the feature was changed since; nothing was done. Look at it, and use force=true to write it back nevertheless",
        }),
    }
}

fn later(later: &Later) -> Json {
    json!({
        "serverGen": later.generation,
        "replicaID": later.origin.as_ref().map(|(id, _)| id.to_string()),
        "replicaName": later.origin.as_ref().and_then(|(_, name)| name.clone()),
        "batchId": later.connected.as_ref().map(|(batch, _)| batch),
        "operation": later.connected.as_ref().map(|(_, operation)| operation),
    })
}

/// What undoing a batch did, or would do.
pub(crate) fn undone(number: i64, undone: &Undone, preview: bool) -> Json {
    let how = |how: Reversal| match how {
        Reversal::Deleted => "deleted",
        Reversal::Reverted => "reverted",
        Reversal::Restored => "restored",
    };
    let Undone { restored, skipped, failed } = undone;
    let listed = restored.first.iter().map(
        |(layer, id, done)| json!({"layer": layer.id.0, "globalId": GlobalId(*id).to_string(), "action": how(*done)}),
    );
    let left_alone = skipped.first.iter().map(|(layer, changed)| {
        json!({"layer": layer.id.0, "globalId": GlobalId(changed.global_id).to_string(), "changedSince": later(changed)})
    });
    let refused = failed.first.iter().map(|(layer, result)| {
        let mut shown = json!({"layer": layer.id.0});
        if let (Some(shown), Json::Object(result)) = (shown.as_object_mut(), result_json(result)) {
            shown.extend(result);
        }
        shown
    });
    let exceeded = [restored.n, skipped.n, failed.n].into_iter().any(|n| n > MAX_LISTED);
    json!({
        "batchId": number,
        "preview": preview,
        "success": failed.n == 0 && skipped.n == 0,
        "undoneCount": restored.n,
        "skippedCount": skipped.n,
        "failedCount": failed.n,
        "undone": listed.collect::<Json>(),
        "skipped": left_alone.collect::<Json>(),
        "failed": refused.collect::<Json>(),
        "exceededTransferLimit": exceeded,
    })
}

fn kind(layer: &Layer) -> &'static str {
    if layer.attached_to.is_some() { "attachments" } else { "features" }
}

/// What a replica should hold.
pub(crate) fn verified(verified: &Verified) -> Json {
    let mut shown = replica(&verified.known);
    shown.insert("serverGen".to_owned(), verified.generation.get().into());
    let layers: Json = verified
        .layers
        .iter()
        .map(|(layer, checksum)| {
            json!({"id": layer.id.0, "of": kind(layer), "count": checksum.n_features, "rows": checksum.rows(), "content": checksum.content()})
        })
        .collect();
    shown.insert("layers".to_owned(), layers);
    if let Some((upto, differing)) = &verified.differing {
        shown.insert("comparedWith".to_owned(), upto.get().into());
        let layers: Json = differing
            .iter()
            .map(|one| {
                let features: Json = one
                    .features
                    .iter()
                    .map(|(id, was, is)| {
                        let how = match (was, is) {
                            (false, _) => "entered",
                            (true, false) => "left",
                            (true, true) => "changed",
                        };
                        json!({"globalId": GlobalId(*id).to_string(), "difference": how})
                    })
                    .collect();
                json!({"id": one.layer.id.0, "of": kind(&one.layer), "features": features, "exceededTransferLimit": one.more})
            })
            .collect();
        shown.insert("differing".to_owned(), layers);
    }
    Json::Object(shown)
}

/// Why a replica holds a feature, or does not.
pub(crate) fn explanation(service: &Service, explained: &Explanation) -> Json {
    let standing = |standing: &Standing| json!({"exists": standing.exists, "inReplica": standing.passes, "feature": embedded(standing.image.as_deref())});
    let mut shown = replica(&explained.known);
    let rest = json!({
        "layer": explained.layer.id.0,
        "globalId": explained.global_id.to_string(),
        "serverGen": explained.generation.get(),
        "givenServerGen": explained.given.get(),
        "lastSyncDate": explained.known.replica.last_sync_ms,
        "reasons": explained.reasons,
        "now": standing(&explained.now),
        "then": explained.then.as_ref().map(|(then, _)| standing(then)),
        "firstChangeSince": explained.then.as_ref().and_then(|(_, change)| change.as_ref()).map(|change| {
            json!({
                "serverGen": change.generation,
                "replicaID": change.origin.map(|id| id.to_string()),
                "batchId": change.connected.as_ref().map(|(batch, _)| batch),
                "operation": change.connected.as_ref().map(|(_, operation)| operation),
            })
        }),
        "connectedEdits": explained.connected.iter().map(|edit| {
            json!({"batchId": edit.batch, "sentBy": edit.operation, "serverGen": edit.generation, "operation": edit.op.name()})
        }).collect::<Json>(),
        "receipts": explained.receipts.iter().map(|(batch, generation, result)| {
            let mut one = Map::new();
            one.insert("batchId".to_owned(), (*batch).into());
            one.insert("serverGen".to_owned(), (*generation).into());
            one.extend(receipt(service, explained.layer.key, result));
            Json::Object(one)
        }).collect::<Json>(),
        "rejectedEdits": explained.rejected.iter().map(|one| rejected(service, one)).collect::<Json>(),
        "conflicts": explained.conflicts.iter().map(|one| conflict(service, one)).collect::<Json>(),
    });
    if let Json::Object(rest) = rest {
        shown.extend(rest);
    }
    Json::Object(shown)
}
