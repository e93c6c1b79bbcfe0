//! What comes with edits of attachments: bytes that are kept before the edits are applied.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value as Json;

use crate::{
    app::App,
    error::{Error, Result},
    files::Content,
    model::{
        edit::{AttachmentEdit, AttachmentEdits, Edit, EditError, EditErrorCode, LayerEdits, Payload, Refusal},
        layer::{Layer, Service, attachment},
        upload_item::{UploadItem, UploadedFile},
        value::Value,
    },
    store::Session,
};

use super::committed;

/// How many files are put on the disk at once. It takes several together in hardly more time than one.
const MAX_AT_ONCE: usize = 8;

/// Keeps the bytes that came with edits of attachments, so that the edits are like any other: from then on they name what
/// is kept. What an edit brought that is then refused is swept away. Uploads are looked for in a service, if any may be named.
pub(crate) async fn store_payloads(
    app: &App,
    mut uploads: Option<(&mut Session, &Service)>,
    edits: AttachmentEdits,
) -> Result<LayerEdits> {
    let AttachmentEdits { layer, edits } = edits;
    let mut found = Vec::with_capacity(edits.len());
    for AttachmentEdit { edit, payload, sent } in edits {
        found.push(match find(uploads.as_mut(), payload).await {
            Ok(source) => (edit, source, sent),
            Err(error) => (Err(refused(&layer, edit, error)?), Source::Keep, sent),
        });
    }
    let stored = stream::iter(found).map(async |(edit, source, sent)| match store(app, source).await {
        Ok(content) => Ok::<_, Error>(match edit {
            Ok(edit) => Ok(holding(edit, content)),
            Err(refusal) => Err(Refusal { sent: Some(with_content(&layer, sent, content)), ..refusal }),
        }),
        Err(error) => Ok(Err(Refusal { sent: Some(sent), ..refused(&layer, edit, error)? })),
    });
    let edits = stored.buffered(MAX_AT_ONCE).try_collect().await?;
    Ok(LayerEdits { layer, edits })
}

/// What was said of an attachment, with the bytes that came with it.
fn with_content(layer: &Layer, sent: String, content: Option<Content>) -> String {
    let (Some(content), Ok(mut feature)) = (content, serde_json::from_str::<Json>(&sent)) else { return sent };
    feature["attributes"][layer.fields[attachment::SIZE].name.as_str()] = content.size_bytes.into();
    feature["attributes"][layer.fields[attachment::SHA256].name.as_str()] = content.sha256.into();
    feature.to_string()
}

/// Where the bytes of an attachment come from.
enum Source {
    Keep,
    Kept(Content),
    Data(Vec<u8>),
    Upload(UploadItem, UploadedFile),
}

async fn find(uploads: Option<&mut (&mut Session, &Service)>, payload: Payload) -> Result<Source> {
    match payload {
        Payload::Keep => Ok(Source::Keep),
        Payload::Data(bytes) => Ok(Source::Data(bytes)),
        Payload::Kept { sha256, size_bytes } => Ok(Source::Kept(Content { sha256, size_bytes })),
        Payload::Upload(id) => {
            let Some((session, service)) = uploads else {
                return Err(Error::invalid(
                    "uploadId",
                    "uploads cannot be named here; the bytes belong into the document",
                ));
            };
            let (item, uploaded) = committed(session, service, "uploadId", &id).await?;
            Ok(Source::Upload(item, uploaded))
        }
    }
}

async fn store(app: &App, source: Source) -> Result<Option<Content>> {
    match source {
        Source::Keep => Ok(None),
        Source::Kept(content) => Ok(Some(content)),
        Source::Data(bytes) => Ok(Some(app.files.content_put(bytes.as_slice()).await?)),
        Source::Upload(item, uploaded) => {
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

/// What becomes of one edit whose bytes cannot be had. The others go on: this one says which upload it wants, unless it is
/// refused already.
fn refused(layer: &Layer, edit: std::result::Result<Edit, Refusal>, error: Error) -> Result<Refusal> {
    match (edit, error) {
        (Err(refusal), Error::InvalidParameter { .. }) => Ok(refusal),
        (Ok(edit), Error::InvalidParameter { problem, .. }) => Ok(Refusal {
            op: edit.op,
            global_id: Some(edit.global_id),
            object_id: None,
            error: EditError { code: EditErrorCode::failed(layer, edit.op), description: problem },
            sent: None,
        }),
        (_, error) => Err(error),
    }
}

fn holding(mut edit: Edit, content: Option<Content>) -> Edit {
    let Some(content) = content else { return edit };
    let size = i64::try_from(content.size_bytes).unwrap_or(i64::MAX);
    edit.values.push((attachment::SIZE, Value::Integer(size)));
    edit.values.push((attachment::SHA256, Value::Text(content.sha256)));
    edit.values.sort_by_key(|(field, _)| *field);
    edit
}
