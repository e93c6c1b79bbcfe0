//! What pages know of the service or layer that they are about, beside the document that they show. Whoever may see the page finds the
//! same in the documents of the service and its layers.

use serde_json::{Value as Json, json};

use crate::{
    model::{
        id::LayerId,
        layer::{Layer, Service},
        principal::Access,
    },
    wire::{describe, geometry::type_name, service},
};

use super::{
    Call,
    route::{OfService, Route},
};

/// What a page knows of where it stands: of the catalogue, `services`; below a service, `access`, `layers` and perhaps `layer`.
/// Null where whoever asks may see nothing of it.
pub(super) fn about(call: &Call, route: &Route) -> Json {
    let catalogue = call.app.store.catalogue();
    match route {
        Route::Catalogue => {
            let seen = catalogue.services.iter().filter(|service| call.access(service) >= Access::View);
            json!({"services": seen.map(|service| in_catalogue(service, call.access(service))).collect::<Json>()})
        }
        Route::Service(name, what) => {
            let Some(service) = catalogue.service(name) else { return Json::Null };
            let access = call.access(service);
            if access < Access::View {
                return Json::Null;
            }
            let layer = match what {
                OfService::Layer(id, _) | OfService::Admin(Some(id), _) => service.layer(LayerId(*id)),
                _ => None,
            };
            json!({
                "access": access.name(),
                "layers": service.layers.iter().map(|layer| brief(layer)).collect::<Json>(),
                "layer": layer.map(|layer| of_layer(service, layer)),
            })
        }
        _ => Json::Null,
    }
}

fn in_catalogue(service: &Service, access: Access) -> Json {
    let mut shown = json!({
        "name": service.name,
        "description": service.description,
        "capabilities": service.capabilities.to_string(),
        "layers": service.layers.iter().filter(|layer| layer.shape.is_some()).count(),
        "tables": service.layers.iter().filter(|layer| layer.shape.is_none()).count(),
    });
    service::limit(&mut shown, access);
    shown
}

fn brief(layer: &Layer) -> Json {
    json!({
        "id": layer.id.0,
        "name": layer.name,
        "geometryType": layer.shape.as_ref().map(|shape| type_name(shape.geometry_type)),
        "hasAttachments": layer.attachments.is_some(),
    })
}

fn of_layer(of: &Service, layer: &Layer) -> Json {
    let mut shown = brief(layer);
    shown["objectIdField"] = layer.object_id_field().name.as_str().into();
    shown["fields"] = layer.visible_fields().map(|index| describe::field(layer, index)).collect();
    shown["relationships"] = service::relationships_of(of, layer);
    shown
}
