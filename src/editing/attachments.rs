//! addAttachment, updateAttachment, deleteAttachments: edits of the attachments of one feature, named by object ids.

use serde_json::{Value as Json, json};

use crate::{
    app::App,
    error::{Error, Result},
    files::Received,
    format::{attachments::read_info, edit::feature_by_object_id},
    model::{
        attachment::AttachmentInfo,
        edit::{
            AttachmentEdits, Edit, EditError, EditErrorCode, EditResult, FailurePolicy, GeometryEdit, LayerEdits, Op,
            Payload, Refusal, Sequence,
        },
        id::GlobalId,
        layer::{Layer, Service},
        provenance::EditOperation,
    },
    replica::Run,
    sql::{modify, select},
    store::Session,
    sync::{
        apply::ATTEMPTS,
        connected::{Sent, keep_undone},
        direct,
        failure::Failure,
    },
    uploads::{self, payloads::store_payloads},
    wire::{
        attachment_form::{AttachmentForm, DeleteForm},
        edits::result_json,
    },
};

use super::{new_id, sent};

/// Attaches a file to a feature. `file` came with the request; otherwise the form names an upload.
pub(crate) async fn add(
    app: &App,
    service: &Service,
    layer: &Layer,
    feature: i64,
    (form, file): (AttachmentForm, Option<&Received>),
    run: &Run,
) -> Result<Json> {
    put(app, service, layer, (feature, None), (form, file), run).await
}

/// Changes an attachment of a feature: its bytes, its name or its keywords, or all of them.
pub(crate) async fn update(
    app: &App,
    service: &Service,
    layer: &Layer,
    (feature, id): (i64, i64),
    (form, file): (AttachmentForm, Option<&Received>),
    run: &Run,
) -> Result<Json> {
    put(app, service, layer, (feature, Some(id)), (form, file), run).await
}

async fn put(
    app: &App,
    service: &Service,
    layer: &Layer,
    (feature, id): (i64, Option<i64>),
    (mut form, file): (AttachmentForm, Option<&Received>),
    run: &Run,
) -> Result<Json> {
    let table = layer.attachments.clone().ok_or_else(|| none(layer))?;
    let mut session = app.store.session().await?;
    let (parent, found) = find(&mut session, service, layer, feature).await?;
    let moment = form.moment;
    let op = if id.is_some() { Op::Update } else { Op::Add };
    if let (Some(id), None) = (&form.upload, &form.name) {
        let (item, _) = uploads::committed(&mut session, service, "uploadId", id).await?;
        form.name = Some(item.name);
    }
    let known = id.and_then(|id| found.iter().find(|known| known.id == id)).map(|known| known.global_id);
    let payload = match file {
        None => None,
        Some(received) => {
            // Kept as an upload that nobody knows of, since that is how a file gets its lasting name.
            let uploaded = app.files.keep_upload(received).await?;
            let kept = app.files.content_of_upload(&uploaded).await;
            app.files.upload_remove(uploaded.file).await?;
            let content = kept?.ok_or_else(|| Error::internal("keeping an attachment", "its file is gone"))?;
            Some(Payload::Kept { sha256: content.sha256, size_bytes: content.size_bytes })
        }
    };
    let edit = form.edit(op, (known.unwrap_or_else(new_id), parent), payload, &table);
    let edits = AttachmentEdits { layer: table, edits: vec![edit] };
    let mut edits = store_payloads(app, Some((&mut session, service)), edits).await?;
    if let (Some(id), None) = (id, known) {
        edits.edits = edits.edits.into_iter().map(|edit| Err(not_there(&edits.layer, op, edit, feature, id))).collect();
    }
    let name = if op == Op::Add { "addAttachmentResult" } else { "updateAttachmentResult" };
    let operation = if op == Op::Add { EditOperation::AddAttachment } else { EditOperation::UpdateAttachment };
    let sent = sent(app, service, run, operation, true);
    let (results, at) = apply(app, &mut session, service, edits, FailurePolicy::RollBack, &sent, moment).await?;
    Ok(with_moment(json!({name: results.first().map(result_json)}), at))
}

/// Deletes attachments of a feature.
pub(crate) async fn delete(
    app: &App,
    service: &Service,
    layer: &Layer,
    feature: i64,
    form: DeleteForm,
    run: &Run,
) -> Result<Json> {
    let table = layer.attachments.clone().ok_or_else(|| none(layer))?;
    let mut session = app.store.session().await?;
    let (_, found) = find(&mut session, service, layer, feature).await?;
    let edit = |id: &i64| match found.iter().find(|known| known.id == *id) {
        Some(known) => Ok(Edit {
            op: Op::Delete,
            global_id: known.global_id,
            values: Vec::new(),
            geometry: GeometryEdit::Keep,
            passed_over: None,
        }),
        None => {
            let nameless = Edit {
                op: Op::Delete,
                global_id: new_id(),
                values: Vec::new(),
                geometry: GeometryEdit::Keep,
                passed_over: None,
            };
            Err(not_there(&table, Op::Delete, Ok(nameless), feature, *id))
        }
    };
    let edits = LayerEdits { edits: form.ids.iter().map(edit).collect(), layer: table.clone() };
    let sent = sent(app, service, run, EditOperation::DeleteAttachments, false);
    let (results, at) = apply(app, &mut session, service, edits, form.policy, &sent, form.moment).await?;
    Ok(with_moment(json!({"deleteAttachmentResults": results.iter().map(result_json).collect::<Json>()}), at))
}

fn none(layer: &Layer) -> Error {
    Error::NotSupported(format!(
        "the features of layer {} have no attachments; an administrator can let them have some (syncline attachments)",
        layer.id
    ))
}

/// The refusal of an edit of an attachment that is not there; it is kept with what it brought.
fn not_there(table: &Layer, op: Op, edit: std::result::Result<Edit, Refusal>, feature: i64, id: i64) -> Refusal {
    let code = if op == Op::Delete { EditErrorCode::AttachmentDelete } else { EditErrorCode::AttachmentUpdate };
    let description = format!("feature {feature} has no attachment {id}; it may have been deleted");
    let sent = match edit {
        Ok(edit) => Some(feature_by_object_id(table, &edit, Some(id))),
        Err(refusal) => refusal.sent,
    };
    Refusal { op, global_id: None, object_id: Some(id), error: EditError { code, description }, sent }
}

fn with_moment(mut answer: Json, moment: Option<i64>) -> Json {
    if let Some(moment) = moment {
        answer["editMoment"] = moment.into();
    }
    answer
}

/// The identity of a feature, and the attachments that it has.
async fn find(
    session: &mut Session,
    service: &Service,
    layer: &Layer,
    feature: i64,
) -> Result<(GlobalId, Vec<AttachmentInfo>)> {
    let table = layer.attachments.as_deref().ok_or_else(|| none(layer))?;
    let mut tx = session.read(service).await?;
    let rows = tx.all(modify::by_object_id(layer, vec![feature])).await?;
    let Some(row) = rows.first() else {
        return Err(Error::NotFound(format!("there is no feature with object id {feature} in layer {}", layer.id)));
    };
    let parent = GlobalId(sqlx::Row::try_get(row, 0)?);
    let rows = tx.all(select::attachments(layer, table, Some(feature), None)).await?;
    tx.end().await?;
    Ok((parent, rows.iter().map(|row| read_info(row, 0)).collect::<Result<_>>()?))
}

async fn apply(
    app: &App,
    session: &mut Session,
    service: &Service,
    edits: LayerEdits,
    policy: FailurePolicy,
    sent: &Sent,
    wants_moment: bool,
) -> Result<(Vec<EditResult>, Option<i64>)> {
    let edits = [edits];
    for _ in 0..ATTEMPTS {
        match apply_once(session, service, &edits, policy, sent, wants_moment).await.map_err(Failure::of) {
            Ok((results, moment)) => {
                let n_refused = results.iter().filter(|result| result.error.is_some()).count();
                app.metrics.count_edits(results.len() - n_refused, n_refused);
                return Ok((results, moment));
            }
            Err(Failure::Collided) => tracing::debug!("edits of attachments collided with others; applying them again"),
            Err(failure) => return Err(failure.into()),
        }
    }
    Err(Failure::Collided.into())
}

async fn apply_once(
    session: &mut Session,
    service: &Service,
    edits: &[LayerEdits],
    policy: FailurePolicy,
    sent: &Sent,
    wants_moment: bool,
) -> Result<(Vec<EditResult>, Option<i64>)> {
    let mut tx = session.write(service.key, None).await?;
    let moment = match wants_moment {
        true => Some(tx.moment().await?),
        false => None,
    };
    let applied = direct::apply(&mut tx, service, edits, policy, Sequence::ParentsFirst, sent).await?;
    if applied.undone {
        tx.roll_back().await?;
        let mut tx = session.write(service.key, None).await?;
        keep_undone(&mut tx, service, edits, &applied.results, sent).await?;
        tx.commit().await?;
    } else {
        tx.commit().await?;
    }
    Ok((applied.results.into_iter().next().unwrap_or_default(), moment))
}
