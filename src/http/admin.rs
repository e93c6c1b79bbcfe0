//! Changing definitions over HTTP, for whoever may manage the service.

use serde_json::{Value as Json, json};

use crate::{
    error::{Error, Result},
    model::{
        id::LayerId,
        layer::{Layer, Service},
    },
    wire::{additions, definition, service},
};

use super::{Call, respond::Reply, route::OfAdmin};

/// Answers a request to the administration of a service, or of one of its layers.
pub(super) async fn handle(call: &Call, of: &Service, layer: Option<i32>, what: OfAdmin) -> Result<Reply> {
    let layer = match layer {
        None => None,
        Some(id) => Some(of.layer(LayerId(id)).ok_or_else(|| {
            Error::NotFound(format!("Layer {id} not found: service {} has no layer or table with this id", of.name))
        })?),
    };
    if call.params.flag(&["async"], false)? && what != OfAdmin::Itself {
        return Err(Error::NotSupported(
            "async=true is not supported for definitions, which change in moments; leave it out".to_owned(),
        ));
    }
    match (what, layer) {
        (OfAdmin::Itself, layer) => document(call, of, layer).await,
        (OfAdmin::Refresh, _) => {
            call.app.store.reload().await?;
            Ok(done(&[]))
        }
        (OfAdmin::Update, None) => {
            let wanted = definition::update_service(&call.params, of)?;
            call.app.store.define_service(of, &wanted).await?;
            tracing::info!(service.name = of.name, "the definition of a service was changed by request");
            Ok(done(&[]))
        }
        (OfAdmin::Add, None) => {
            let added = call.app.store.add_to_service(of, &additions::add(&call.params, of)?).await?;
            tracing::info!(service.name = of.name, notices = ?added.notices, "layers or relationships were added by request");
            let layers = |spatial: bool| -> Json {
                let of_kind = added.layers.iter().filter(|(_, _, has_geometry)| *has_geometry == spatial);
                of_kind.map(|(id, name, _)| json!({"id": id.0, "name": name})).collect()
            };
            let relationships: Json =
                added.relationships.iter().map(|(id, name)| json!({"id": id, "name": name})).collect();
            Ok(Reply::Json(json!({
                "success": true, "layers": layers(true), "tables": layers(false), "relationships": relationships,
                "notices": added.notices,
            })))
        }
        (OfAdmin::Delete, None) => {
            call.app.store.delete_from_service(of, &additions::delete(&call.params)?).await?;
            tracing::info!(service.name = of.name, "relationships of a service were deleted by request");
            Ok(done(&[]))
        }
        (what, Some(layer)) => {
            let change = match what {
                OfAdmin::Add => definition::add(&call.params, of, layer)?,
                OfAdmin::Delete => definition::delete(&call.params, layer)?,
                _ => definition::update(&call.params, of, layer)?,
            };
            let notices = call.app.store.define(of, layer, &change).await?;
            tracing::info!(
                service.name = of.name,
                layer = layer.id.0,
                "the definition of a layer was changed by request"
            );
            Ok(done(&notices))
        }
    }
}

fn done(notices: &[String]) -> Reply {
    let mut answer = json!({"success": true});
    if !notices.is_empty() {
        answer["notices"] = notices.into();
    }
    Reply::Json(answer)
}

/// The document that everybody sees, with what was set of it.
async fn document(call: &Call, of: &Service, layer: Option<&std::sync::Arc<Layer>>) -> Result<Reply> {
    let facts = call.app.store.facts(of).await?;
    let mut shown: Json;
    match layer {
        Some(layer) => {
            let index = of.layers.iter().position(|known| known.key == layer.key);
            let facts = index.and_then(|index| facts.get(index)).cloned().unwrap_or_default();
            shown = service::layer(of, layer, &facts);
            shown["adminLayerInfo"] = json!({
                "tableName": format!("{}.{}", layer.table_schema, layer.table_name),
                "definition": definition::document(layer)?,
                "problems": layer.rules.problems,
            });
        }
        None => {
            let (current, oldest) = crate::query::generations(&call.app, of).await?;
            shown = service::service(of, &facts, current, &oldest);
            shown["adminServiceInfo"] = json!({
                "name": of.name, "type": "FeatureServer", "definition": definition::service_document(of)?,
            });
        }
    }
    Ok(super::handlers::document(call, of, shown).await)
}
