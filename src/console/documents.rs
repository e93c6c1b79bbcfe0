//! The documents about replicas, for administrators.

use serde_json::{Map, Value as Json, json};

use crate::{
    model::{
        id::{Generation, LayerKey},
        layer::Service,
        life::Policy,
    },
    store::{
        console::{Held, HeldLayer, Span},
        synchronizations::Synchronization,
    },
    wire::{books::embedded, error::parts, life::status},
};

use super::{Lags, List, Outcome, Preview, Standing};

/// A page of replicas.
pub(crate) fn list(list: &List, offset: i64, policy: Policy) -> Json {
    let shown: Vec<Json> = list.page.iter().map(|(one, held, extent)| replica(one, held, *extent, policy)).collect();
    let seen = usize::try_from(offset).unwrap_or(usize::MAX).saturating_add(shown.len());
    json!({
        "replicas": shown,
        "count": list.n_wanted,
        "countAll": list.n_all,
        "exceededTransferLimit": seen < list.n_wanted,
    })
}

/// A replica.
pub(crate) fn replica(one: &Standing, held: &Held, extent: Option<[f64; 4]>, policy: Policy) -> Json {
    let mut shown = standing(one, policy);
    let layers: Json = held.layers.iter().map(|layer| held_layer(&one.service, layer)).collect();
    let is_filtered = held.layers.iter().any(|layer| layer.extent.is_some());
    let rest = json!({
        "syncModel": held.sync_model,
        "syncDirection": held.direction,
        "layers": layers,
        "geometry": embedded(held.area_json.as_deref()),
        "extent": extent.map(box_json),
        "extentOf": extent.map(|_| if is_filtered { "geometry" } else { "layers" }),
    });
    if let Json::Object(rest) = rest {
        shown.extend(rest);
    }
    Json::Object(shown)
}

/// How a replica is doing, without its shape.
pub(super) fn standing(one: &Standing, policy: Policy) -> Map<String, Json> {
    let alone = one.kept_alone;
    let mut shown = match status(&one.life, policy, alone.map(|alone| (alone.n_generations, alone.n_changes))) {
        Json::Object(shown) => shown,
        _ => Map::new(),
    };
    let last = one.booked.last.as_ref();
    let behind = one.life.given.map(|given| (one.span.to.get() - given.get()).max(0));
    let rest = json!({
        "service": one.service.name,
        "client": last.map_or(&one.booked.client, |last| &last.client),
        "targetType": if one.life.is_server { "server" } else { "client" },
        "busy": one.is_busy,
        "neverSynchronized": one.never_synchronized(),
        "givenDate": one.life.given_ms,
        "generationsBehind": behind,
        "bytesBehind": one.life.bytes_behind,
        "expireDays": one.life.expire_days,
        "ownExpireDays": one.booked.expire_days,
        "openRejectedEdits": one.booked.n_rejected,
        "openConflicts": one.booked.n_conflicts,
        "synchronizations": one.booked.n_syncs,
        "lastOutcome": last.map(|last| last.outcome.name()),
        "lastOutcomeDate": last.map(|last| last.ended_ms),
        "lastMessage": last.and_then(|last| last.message.as_ref()),
    });
    if let Json::Object(rest) = rest {
        shown.extend(rest);
    }
    shown["historyKeptAlone"]["bytes"] = alone.map_or(0, |alone| alone.n_bytes).into();
    shown
}

fn held_layer(service: &Service, layer: &HeldLayer) -> Json {
    let known = layer_of(service, layer.layer);
    json!({
        "id": known.map(|(id, _)| id),
        "name": known.map(|(_, name)| name),
        "queryOption": layer.option,
        "where": layer.where_clause,
        "useGeometry": layer.use_geometry,
        "includeRelated": layer.include_related,
        "serverGen": layer.given,
        "presentedServerGen": layer.presented,
        "extent": layer.extent.map(box_json),
    })
}

fn layer_of(service: &Service, key: LayerKey) -> Option<(i32, &str)> {
    service.layer_by_key(key).map(|layer| (layer.id.0, layer.name.as_str()))
}

fn box_json([xmin, ymin, xmax, ymax]: [f64; 4]) -> Json {
    json!({"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax, "spatialReference": {"wkid": 4326, "latestWkid": 4326}})
}

/// How far replicas lag, by service.
pub(crate) fn lags(lags: &[Lags], policy: Policy) -> Json {
    let one = |of: &Lags| {
        json!({
            "name": of.service.name,
            "history": span(of.span),
            "replicas": of.replicas.iter().map(|one| json!({
                "replicaID": one.life.id.to_string(),
                "replicaName": one.life.name,
                "replicaOwner": one.life.owner,
                "state": one.life.state(policy).name(),
                "busy": one.is_busy,
                "needsSnapshot": !one.life.can_go_on,
                "givenServerGen": one.life.given.map(Generation::get),
                "givenDate": one.life.given_ms,
                "acknowledgedServerGen": one.life.acknowledged.map(Generation::get),
                "lastSyncDate": one.life.last_sync_ms,
                "changesBehind": one.life.n_behind,
                "moreChangesBehind": one.life.has_more,
                "holdsHistory": of.holder == Some(one.life.id),
            })).collect::<Json>(),
            "count": of.n_all,
            "exceededTransferLimit": of.replicas.len() < of.n_all,
        })
    };
    json!({"services": lags.iter().map(one).collect::<Json>()})
}

fn span(span: Span) -> Json {
    json!({
        "minServerGen": span.from.get(),
        "minServerGenDate": span.from_ms,
        "serverGen": span.to.get(),
        "serverGenDate": span.to_ms,
        "keptForAgeFrom": span.horizon.get(),
    })
}

/// A page of synchronizations.
pub(crate) fn timeline(page: &[Synchronization], more: bool) -> Json {
    let one = |of: &Synchronization| {
        let note = &of.note;
        json!({
            "number": of.number,
            "date": of.ended_ms,
            "durationMilliseconds": u64::try_from(note.duration.as_millis()).unwrap_or(u64::MAX),
            "outcome": note.outcome.name(),
            "syncDirection": note.direction,
            "userName": of.user,
            "client": note.client,
            "requestId": note.request_id,
            "batchId": note.batch,
            "applied": note.n_applied,
            "refused": note.n_refused,
            "conflicts": of.n_conflicts,
            "sent": note.n_sent,
            "bytesUp": note.bytes_up,
            "bytesDown": note.bytes_down,
            "error": note.failure.as_ref().map(|(code, message)| json!({"code": code, "message": message})),
        })
    };
    json!({"synchronizations": page.iter().map(one).collect::<Json>(), "exceededTransferLimit": more})
}

/// What unregistering replicas would do.
pub(crate) fn preview(preview: &Preview, policy: Policy) -> Json {
    let size = |(n_changes, n_bytes): (i64, i64)| json!({"changes": n_changes, "bytes": n_bytes});
    let replicas: Json = preview
        .replicas
        .iter()
        .map(|one| {
            let mut shown = standing(&one.standing, policy);
            shown.insert("openJobs".to_owned(), one.n_jobs.into());
            shown.insert("consequences".to_owned(), consequences(&one.standing, one.n_jobs).into());
            Json::Object(shown)
        })
        .collect();
    let histories: Json = preview
        .histories
        .iter()
        .map(|one| {
            json!({
                "service": one.service.name,
                "noLongerNeeded": size(one.unneeded),
                "forgottenByNextPruning": size(one.forgotten),
                "thenHeldBy": one.held_by.as_ref().map(|(id, name)| json!({"replicaID": id.to_string(), "replicaName": name})),
            })
        })
        .collect();
    json!({
        "preview": true,
        "replicas": replicas,
        "unknown": preview.unknown.iter().map(ToString::to_string).collect::<Json>(),
        "histories": histories,
    })
}

/// What becomes of a replica that is unregistered, in sentences.
fn consequences(one: &Standing, n_jobs: i64) -> Vec<String> {
    let mut said = vec![
        "Its device cannot synchronize any more and has to take a new replica. Edits that it still holds and sends are kept as refused edits."
            .to_owned(),
    ];
    if one.is_busy {
        said.push("It is synchronizing now; that ends first.".to_owned());
    }
    if one.booked.n_rejected > 0 {
        said.push(format!("Its {} open refused edits stay, and can still be applied.", one.booked.n_rejected));
    }
    if one.booked.n_conflicts > 0 {
        said.push(format!("Its {} open conflicts stay, and can still be settled.", one.booked.n_conflicts));
    }
    if n_jobs > 0 {
        said.push(format!("{n_jobs} of its jobs have not ended; those that still wait will be refused."));
    }
    if one.life.is_server {
        said.push("Another server has the other side of it: the two no longer exchange edits.".to_owned());
    }
    said
}

/// What became of unregistering replicas.
pub(crate) fn unregistered(outcomes: &[Outcome], request_id: &str) -> Json {
    let results: Json = outcomes
        .iter()
        .map(|(id, outcome)| match outcome {
            Ok(()) => json!({"replicaID": id.to_string(), "success": true}),
            Err(error) => {
                let (code, message, details) = parts(error, request_id);
                json!({"replicaID": id.to_string(), "success": false, "error": {"code": code, "message": message, "details": details}})
            }
        })
        .collect();
    json!({"success": outcomes.iter().all(|(_, outcome)| outcome.is_ok()), "results": results})
}
