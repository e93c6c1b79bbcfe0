//! What comes with edits of attachments: bytes that are kept before the edits are applied.

use crate::{
    app::App,
    error::{Error, Result},
    files::Content,
    model::{
        edit::{AttachmentEdits, Edit, EditError, EditErrorCode, LayerEdits, Payload, Refusal},
        layer::{Service, attachment},
        value::Value,
    },
    store::Session,
    uploads,
};

/// Keeps the bytes that came with edits of attachments, so that the edits are like any other: from then on they name what
/// is kept. What an edit brought that is then refused is swept away. Uploads are looked for in a service, if any may be named.
pub(super) async fn store_payloads(
    app: &App,
    mut uploads: Option<(&mut Session, &Service)>,
    edits: AttachmentEdits,
) -> Result<LayerEdits> {
    let AttachmentEdits { layer, edits } = edits;
    let mut stored = Vec::with_capacity(edits.len());
    for edit in edits {
        stored.push(match edit {
            Ok((edit, payload)) => match store(app, uploads.as_mut(), payload).await {
                Ok(None) => Ok(edit),
                Ok(Some(content)) => Ok(holding(edit, content)),
                // The others go on: this one says which upload it wants.
                Err(Error::InvalidParameter { problem, .. }) => Err(Refusal {
                    op: edit.op,
                    global_id: Some(edit.global_id),
                    object_id: None,
                    error: EditError { code: EditErrorCode::failed(&layer, edit.op), description: problem },
                    sent: None,
                }),
                Err(error) => return Err(error),
            },
            Err(refusal) => Err(refusal),
        });
    }
    Ok(LayerEdits { layer, edits: stored })
}

async fn store(app: &App, uploads: Option<&mut (&mut Session, &Service)>, payload: Payload) -> Result<Option<Content>> {
    match payload {
        Payload::Keep => Ok(None),
        Payload::Data(bytes) => Ok(Some(app.files.content_put(bytes.as_slice()).await?)),
        Payload::Upload(id) => {
            let Some((session, service)) = uploads else {
                return Err(Error::invalid(
                    "uploadId",
                    "uploads cannot be named here; the bytes belong into the document",
                ));
            };
            let (item, uploaded) = uploads::committed(session, service, "uploadId", &id).await?;
            let content = app.files.content_of_upload(&uploaded).await?;
            content.map(Some).ok_or_else(|| {
                Error::invalid(
                    "uploadId",
                    format!("the file of upload {} is gone from the server's disk; upload it again", item.id),
                )
            })
        }
    }
}

fn holding(mut edit: Edit, content: Content) -> Edit {
    let size = i64::try_from(content.size_bytes).unwrap_or(i64::MAX);
    edit.values.push((attachment::SIZE, Value::Integer(size)));
    edit.values.push((attachment::SHA256, Value::Text(content.sha256)));
    edit.values.sort_by_key(|(field, _)| *field);
    edit
}
