//! Ending the publication of a layer: what would be lost, and doing it.

use std::cmp::Reverse;

use serde_json::{Value as Json, json};

use crate::{
    app::App,
    error::{Error, Result},
    model::layer::{Layer, Service},
    store::unpublish::Loss,
    wire::console::Unpublish,
};

use super::{
    documents,
    replicas::{Standing, standings},
};

/// How many replicas a preview shows: those that are furthest behind.
const MOST_SHOWN: usize = 100;

/// What would be lost if a layer was not published any more, with the replicas that hold it.
pub(crate) async fn unpublish_preview(app: &App, wanted: &Unpublish) -> Result<Json> {
    let service = app.store.service(&wanted.service).await?;
    let layer = service
        .layer(wanted.layer)
        .ok_or_else(|| Error::NotFound(format!("service {} has no layer or table {}", service.name, wanted.layer)))?;
    let loss = app.store.unpublish_preview(&service, layer).await?;
    let mut held: Vec<Standing> = standings(app, Some(&service.name)).await?;
    held.retain(|one| loss.replicas.contains(&one.life.id));
    held.sort_by_key(|one| (Reverse(one.life.n_behind), one.life.id.0));
    held.truncate(MOST_SHOWN);
    let ids: Vec<_> = held.iter().map(|one| one.life.id).collect();
    let layers = app.store.session().await?.own().await?.held_list(&ids).await?;
    let replicas: Json = held
        .iter()
        .map(|one| {
            let mut shown = documents::standing(one, app.config.policy());
            let others = layers.get(&one.life.id).into_iter().flat_map(|held| &held.layers);
            let others = others.filter(|held| held.layer != layer.key && held.option != "none");
            let others: Json =
                others.filter_map(|held| Some(service.layer_by_key(held.layer)?.name.as_str())).collect();
            shown.insert("otherLayers".to_owned(), others);
            Json::Object(shown)
        })
        .collect();
    let mut answer = document(&service, layer, &loss);
    answer["preview"] = true.into();
    answer["needsForce"] = (!loss.told().is_empty()).into();
    answer["replicas"] = replicas;
    answer["exceededTransferLimit"] = (loss.replicas.len() > MOST_SHOWN).into();
    Ok(answer)
}

/// Ends the publication of a layer, and says what was lost.
pub(crate) async fn unpublish(app: &App, wanted: &Unpublish) -> Result<Json> {
    let service = app.store.service(&wanted.service).await?;
    let loss = app.store.unpublish(&service.name, wanted.layer, wanted.force).await?;
    tracing::info!(
        service.name = service.name,
        layer = wanted.layer.0,
        n_replicas = loss.replicas.len(),
        "a layer was unpublished by request"
    );
    let layer =
        service.layer(wanted.layer).ok_or_else(|| Error::internal("unpublishing", "the layer was not there"))?;
    let mut answer = document(&service, layer, &loss);
    answer["success"] = true.into();
    Ok(answer)
}

fn document(service: &Service, layer: &Layer, loss: &Loss) -> Json {
    json!({
        "service": service.name,
        "layerId": layer.id.0,
        "layerName": layer.name,
        "table": format!("{}.{}", layer.table_schema, layer.table_name),
        "replicaCount": loss.replicas.len(),
        "attachments": {"count": loss.attachments.0, "bytes": loss.attachments.1},
        "openRejectedEdits": loss.n_rejected,
        "openConflicts": loss.n_conflicts,
        "history": {"changes": loss.changes.0, "bytes": loss.changes.1},
        "relationships": loss.relationships,
        "hasDefinition": loss.definition,
        "lost": lost(layer, loss),
        "kept": [
            format!("The table {}.{} and its rows, with the columns and indexes that publishing added.", layer.table_schema, layer.table_name),
            format!("The service {}, what was granted of it, and its other layers.", service.name),
            "What the books and the audit log have; entries about this layer can be read, and no longer applied, put back or undone.",
        ],
    })
}

/// What goes, in sentences: what people miss first.
fn lost(layer: &Layer, loss: &Loss) -> Vec<String> {
    let mut said = Vec::new();
    if !loss.replicas.is_empty() {
        let n = loss.replicas.len();
        said.push(format!(
            "{n} {} unregistered: {} cannot synchronize any more. Edits that are still sent are kept as refused edits.",
            if n == 1 { "replica is" } else { "replicas are" },
            if n == 1 { "its device" } else { "their devices" },
        ));
    }
    if loss.attachments.0 > 0 {
        said.push(format!(
            "Its attachments ({}) are deleted; export them first if they are needed.",
            loss.attachments.0
        ));
    }
    if loss.n_rejected > 0 {
        said.push(format!("Its open refused edits ({}) can no longer be applied.", loss.n_rejected));
    }
    if loss.n_conflicts > 0 {
        said.push(format!("Its open conflicts ({}) can no longer be put back.", loss.n_conflicts));
    }
    if loss.changes.0 > 0 {
        said.push(format!(
            "Its history ({} changes) is forgotten: no queries of the past, and nothing of it to undo.",
            loss.changes.0
        ));
    }
    if loss.definition {
        said.push("Its definition goes: aliases, domains, symbols, and rules that keep rows or fields from others. `syncline definition show` prints it.".to_owned());
    }
    if !loss.relationships.is_empty() {
        said.push(format!("Its relationships go: {}.", loss.relationships.join(", ")));
    }
    said.push(format!("Its address goes: clients that have it open get errors. If the table is published again, its id is not {} any more.", layer.id));
    said
}
