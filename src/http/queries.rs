//! The operations that read rows, beside a layer's own query.

use serde_json::{Value as Json, json};

use crate::{
    error::{Error, Result},
    model::{
        capability::Capability,
        layer::{Layer, Service},
    },
    query,
    wire::{related, url},
};

use super::{Call, respond::Format, respond::Reply};

/// Whether a person asks for the form: nothing that the operation needs is there.
fn wants_form(call: &Call, needed: &[&str]) -> bool {
    call.format == Format::Html && call.params.get(needed).is_none()
}

/// `query` of a service.
pub(super) async fn of_service(call: &Call, service: &Service) -> Result<Reply> {
    if wants_form(call, &["layerDefs", "geometry", "time", "where"]) {
        return Ok(Reply::Form);
    }
    let queries = related::parse_service(&call.params, service)?;
    for (layer, _) in &queries {
        layer.require(Capability::Query).map_err(Error::NotSupported)?;
    }
    Ok(query::run_all(&call.app, service, &queries).await?.into())
}

/// `queryRelatedRecords` of a layer.
pub(super) async fn related(call: &Call, service: &Service, layer: &Layer) -> Result<Reply> {
    if wants_form(call, &["objectIds"]) {
        return Ok(Reply::Form);
    }
    let wanted = related::parse_related(&call.params, service, layer)?;
    wanted.related.require(Capability::Query).map_err(Error::NotSupported)?;
    Ok(Reply::Bytes(query::related::run(&call.app, service, &wanted).await?))
}

/// `queryAttachments` of a layer.
pub(super) async fn attachments(call: &Call, service: &Service, layer: &Layer) -> Result<Reply> {
    if wants_form(call, &["objectIds", "globalIds", "definitionExpression", "where"]) {
        return Ok(Reply::Form);
    }
    let wanted = related::parse_attachments(&call.params, layer, query::attachments::table(layer)?)?;
    let with_url = call.params.flag(&["returnUrl"], false)?;
    let base = url::service(&call.base, &service.name);
    let url = |feature: i64, id: i64| with_url.then(|| format!("{base}/{}/{feature}/attachments/{id}", layer.id));
    Ok(Reply::Json(query::attachments::query(&call.app, service, layer, &wanted, url).await?))
}

/// A feature by its object id.
pub(super) async fn feature(call: &Call, service: &Service, layer: &Layer, id: i64) -> Result<Reply> {
    let wanted = crate::wire::query::feature(&call.params, layer, id)?;
    let answer = query::run(&call.app, service, layer, &wanted).await?.read().await?;
    let answer: Json =
        serde_json::from_slice(&answer).map_err(|error| Error::internal("reading an answer back", error))?;
    match answer["features"].get(0) {
        Some(feature) => Ok(Reply::Json(json!({"feature": feature}))),
        None => {
            Err(Error::NotFound(format!("Feature not found: layer {} has no feature with object id {id}", layer.id)))
        }
    }
}
