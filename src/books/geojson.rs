//! Refused edits as GeoJSON (RFC 7946), for programs that show maps.

use serde_json::{Map, Value as Json, json};

use crate::{
    app::App,
    error::Result,
    model::layer::Service,
    store::rejected::Rejected,
    wire::{
        books::{embedded, layer_json},
        geometry::{Parsed, parse},
    },
};

use super::rejected::reference;

/// A collection of refused edits: their attributes as they were sent, and what is known of each under names that begin with
/// `rejected_`. Geometries are longitudes and latitudes without heights; what cannot be read or brought there is null, and is
/// whole in the JSON.
pub(crate) async fn rejected_edits(app: &App, service: &Service, edits: &[Rejected], more: bool) -> Result<Json> {
    let mut places = Vec::with_capacity(edits.len());
    for edit in edits {
        places.push(place(app, service, edit).await?);
    }
    let geometries = app.store.as_geojson(&places).await?;
    let features: Vec<Json> =
        edits.iter().zip(&geometries).map(|(edit, geometry)| feature(service, edit, geometry)).collect();
    let mut collection = json!({"type": "FeatureCollection", "features": features});
    if more {
        collection["exceededTransferLimit"] = true.into();
    }
    Ok(collection)
}

fn feature(service: &Service, edit: &Rejected, geometry: &Json) -> Json {
    let sent = embedded(Some(&edit.feature));
    let mut properties = match sent.get("attributes").or(Some(&sent)) {
        Some(Json::Object(attributes)) => attributes.clone(),
        _ => Map::new(),
    };
    let known = json!({
        "rejected_edit": edit.id,
        "rejected_state": edit.state.name(),
        "rejected_operation": edit.op.name(),
        "rejected_layer": layer_json(service, edit.layer),
        "rejected_global_id": edit.global_id.map(|id| id.to_string()),
        "rejected_replica": edit.replica.map(|id| id.to_string()),
        "rejected_code": edit.error.code.number(),
        "rejected_reason": edit.error.description,
        "rejected_received": edit.received_ms,
    });
    if let Json::Object(known) = known {
        properties.extend(known);
    }
    json!({"type": "Feature", "id": edit.id, "geometry": geometry, "properties": properties})
}

/// The geometry of an edit as EWKB, if it has one that can be read.
async fn place(app: &App, service: &Service, edit: &Rejected) -> Result<Option<Vec<u8>>> {
    let sent = embedded(Some(&edit.feature));
    let (Some(layer), Some(given @ Json::Object(_))) = (service.layer_by_key(edit.layer), sent.get("geometry")) else {
        return Ok(None);
    };
    let srid = reference(app, service, edit.replica, layer).await?;
    Ok(match parse(&given.to_string(), srid) {
        Ok(Parsed::Geometry(geometry)) => geometry.to_area(geometry.srid).ok(),
        Ok(Parsed::Empty) | Err(_) => None,
    })
}
