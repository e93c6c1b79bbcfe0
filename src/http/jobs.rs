//! Jobs: how they are submitted, and what became of them.

use serde_json::{Value as Json, json};

use crate::{
    error::{Error, Result},
    jobs,
    model::{
        id::LayerId,
        job::{JobId, Operation},
        layer::Service,
        value::brief,
    },
    wire::{job, url},
};

use super::{Call, respond::Reply};

/// Lets the request run as a job, and says where to ask for it.
pub(super) async fn submit(
    call: &Call,
    service: &Service,
    layer: Option<LayerId>,
    operation: Operation,
) -> Result<Reply> {
    let id = jobs::submit(&call.app, service, layer, operation, &call.params, (&call.base, &call.client)).await?;
    Ok(Reply::Json(json!({"statusUrl": format!("{}/jobs/{id}", url::service(&call.base, &service.name))})))
}

/// How far a job is.
pub(super) async fn status(call: &Call, service: &Service, id: &str) -> Result<Reply> {
    let unknown = || {
        Error::NotFound(format!(
            "Job not found: service {} has no job '{}'; it was never submitted, or ended more than a day ago",
            service.name,
            brief(id)
        ))
    };
    let known = jobs::find(&call.app, service, JobId::parse(id).ok_or_else(unknown)?).await?.ok_or_else(unknown)?;
    Ok(Reply::Json(job::status(&known, &service.name)?))
}

/// The jobs of a service, the newest first.
pub(super) async fn list(call: &Call, service: &Service) -> Result<Reply> {
    let list: Json = jobs::list(&call.app, service).await?.iter().map(job::list_item).collect();
    Ok(Reply::Json(json!({"jobs": list})))
}
