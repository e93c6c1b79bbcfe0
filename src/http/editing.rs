//! Edits of connected clients: one function for each operation.

use std::sync::Arc;

use axum::http::{HeaderMap, header::CONTENT_LENGTH};

use crate::{
    app::App,
    editing::{self, Request, Single, attachments},
    error::{Error, Result},
    files::Incoming,
    model::{
        job::Operation,
        layer::{Layer, Service},
    },
    wire::{
        attachment_form::{AttachmentForm, DeleteForm},
        calculate::validate_sql,
        job::asynchronous,
    },
};

use super::{
    Call,
    handlers::{answer, run},
    html::Kind,
    jobs,
    respond::{Format, Reply},
    route::OfLayer,
};

/// Answers an operation on a layer.
pub(super) async fn of_layer(call: &Call, service: &Service, layer: &Arc<Layer>, what: OfLayer) -> Result<Reply> {
    match what {
        OfLayer::ApplyEdits => operation(call, service, Some(layer), Operation::ApplyEdits).await,
        OfLayer::DeleteFeatures => operation(call, service, Some(layer), Operation::DeleteFeatures).await,
        OfLayer::Calculate => operation(call, service, Some(layer), Operation::Calculate).await,
        OfLayer::Truncate => operation(call, service, Some(layer), Operation::Truncate).await,
        OfLayer::Append => operation(call, service, Some(layer), Operation::Append).await,
        OfLayer::AddFeatures => single(call, service, layer, Single::Add).await,
        OfLayer::UpdateFeatures => single(call, service, layer, Single::Update).await,
        // An empty form, which is how a person begins.
        OfLayer::ValidateSql if call.format == Format::Html && call.params.text("sql").is_none() => Ok(Reply::Form),
        OfLayer::ValidateSql => Ok(Reply::Json(validate_sql(&call.params, layer)?)),
        OfLayer::AddAttachment(feature) => {
            let form = form(call)?;
            let file = call.file.as_ref().map(|file| &file.received);
            attachments::add(&call.app, service, layer, feature, (form, file), &run(call)).await.map(Reply::Json)
        }
        OfLayer::UpdateAttachment(feature) => {
            let form = form(call)?;
            let id = call
                .params
                .integer("attachmentId")?
                .ok_or_else(|| Error::invalid("attachmentId", "it is missing; it names the attachment to change"))?;
            let file = call.file.as_ref().map(|file| &file.received);
            attachments::update(&call.app, service, layer, (feature, id), (form, file), &run(call))
                .await
                .map(Reply::Json)
        }
        OfLayer::DeleteAttachments(feature) => {
            let form = DeleteForm::parse(&call.params)?;
            attachments::delete(&call.app, service, layer, feature, form, &run(call)).await.map(Reply::Json)
        }
        OfLayer::Itself
        | OfLayer::Query
        | OfLayer::QueryRelatedRecords
        | OfLayer::QueryAttachments
        | OfLayer::Feature(_)
        | OfLayer::Attachments(_)
        | OfLayer::Attachment { .. } => Err(Error::internal("editing", "the operation edits nothing")),
    }
}

/// Answers an operation that may run as a job: of a layer, or of the service.
pub(super) async fn operation(
    call: &Call,
    service: &Service,
    layer: Option<&Arc<Layer>>,
    operation: Operation,
) -> Result<Reply> {
    let request = Request::read(&call.app, service, layer, operation, &call.params).await?;
    if asynchronous(&call.params)? || request.is_job_by_default() {
        return jobs::submit(call, service, layer.map(|layer| layer.id), operation).await;
    }
    Ok(answer(call, service, editing::run(&call.app, service, request, &run(call)).await?))
}

async fn single(call: &Call, service: &Service, layer: &Arc<Layer>, single: Single) -> Result<Reply> {
    let request = Request::read_single(layer, single, &call.params)?;
    Ok(answer(call, service, editing::run(&call.app, service, request, &run(call)).await?))
}

fn form(call: &Call) -> Result<AttachmentForm> {
    let file = call.file.as_ref().map(|file| (file.name.as_deref(), file.content_type.as_deref()));
    AttachmentForm::parse(&call.params, file)
}

/// Makes room for the file of an attachment, or refuses it before it is sent.
pub(super) async fn admit(app: &App, headers: &HeaderMap) -> Result<Incoming> {
    let limit = app.config.max_upload_bytes;
    let announced: Option<u64> = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    // The form around the file has a few bytes of its own.
    if announced.is_some_and(|announced| announced > limit.saturating_add(1 << 16)) {
        return Err(Error::TooLarge { what: "the attachment", limit: format!("{limit} bytes") });
    }
    Ok(app.files.incoming(limit))
}

/// The name of an operation of a layer, and what its page is about.
pub(super) fn page(what: OfLayer) -> (&'static str, Kind) {
    match what {
        OfLayer::ApplyEdits => ("applyEdits", Kind::LayerEdits),
        OfLayer::AddFeatures => ("addFeatures", Kind::Editing { operation: "addFeatures" }),
        OfLayer::UpdateFeatures => ("updateFeatures", Kind::Editing { operation: "updateFeatures" }),
        OfLayer::DeleteFeatures => ("deleteFeatures", Kind::Editing { operation: "deleteFeatures" }),
        OfLayer::Calculate => ("calculate", Kind::Editing { operation: "calculate" }),
        OfLayer::ValidateSql => ("validateSQL", Kind::Editing { operation: "validateSQL" }),
        OfLayer::Truncate => ("truncate", Kind::Editing { operation: "truncate" }),
        OfLayer::Append => ("append", Kind::Editing { operation: "append" }),
        OfLayer::AddAttachment(_) => ("addAttachment", Kind::Editing { operation: "addAttachment" }),
        OfLayer::UpdateAttachment(_) => ("updateAttachment", Kind::Editing { operation: "updateAttachment" }),
        OfLayer::DeleteAttachments(_) => ("deleteAttachments", Kind::Editing { operation: "deleteAttachments" }),
        OfLayer::Itself
        | OfLayer::Query
        | OfLayer::QueryRelatedRecords
        | OfLayer::QueryAttachments
        | OfLayer::Feature(_)
        | OfLayer::Attachments(_)
        | OfLayer::Attachment { .. } => ("attachments", Kind::Other),
    }
}
