//! Edits that were uploaded as a file: JSON, or the database of a replica.

use std::path::PathBuf;

use crate::{
    app::App,
    error::{Error, Result},
    files::Content,
    model::{
        edit::{AttachmentEdit, AttachmentEdits, Payload},
        id::ReplicaId,
        layer::Service,
    },
    sqlite::{geopackage::read::Reading, upload},
};

use super::{committed, head, text, whole};

/// What a file with edits is.
pub(crate) enum Uploaded {
    /// No more than a request may bring.
    Edits(UploadedEdits),
    /// More, as JSON; the file is whole.
    Backlog(PathBuf),
}

/// The edits in a file.
pub(crate) struct UploadedEdits {
    /// As the parameter `edits` has them.
    pub(crate) text: String,
    /// The bytes of attachments that came in the file, which edits name by their positions; `None` if they name uploads.
    contents: Option<Vec<Content>>,
}

/// Reads the edits of a replica out of the committed item that a parameter names.
pub(crate) async fn edits(
    app: &App,
    service: &Service,
    name: &'static str,
    id: &str,
    replica: ReplicaId,
) -> Result<Uploaded> {
    let (item, content) = committed(&mut app.store.session().await?, service, name, id).await?;
    let is_database = upload::is_database(&head(app, &item, &content).await?);
    if !is_database && content.size_bytes <= app.config.max_body_bytes as u64 {
        let text = text(app, service, name, id).await?;
        Error::check_vertices(&[&text])?;
        return Ok(Uploaded::Edits(UploadedEdits { text, contents: None }));
    }
    let path = whole(app, &item, &content).await?;
    if !is_database {
        return Ok(Uploaded::Backlog(path));
    }
    let (files, layers, max_bytes) = (app.files.clone(), service.layers.clone(), app.config.max_body_bytes);
    let runtime = tokio::runtime::Handle::current();
    let read = tokio::task::spawn_blocking(move || {
        let reading = Reading { name, layers: &layers, replica, max_bytes };
        upload::edits(&path, &reading, &mut |bytes| runtime.block_on(files.content_put(bytes)))
    });
    let (text, contents) = read.await.map_err(|error| Error::internal("reading an upload", error))??;
    Error::check_vertices(&[&text])?;
    Ok(Uploaded::Edits(UploadedEdits { text, contents: Some(contents) }))
}

impl UploadedEdits {
    /// Says of edits of attachments where the bytes are that came with them.
    pub(crate) fn settle(&self, edits: &mut [AttachmentEdits]) {
        let Some(contents) = &self.contents else { return };
        let edits = edits.iter_mut().flat_map(|edits| &mut edits.edits);
        for AttachmentEdit { payload, .. } in edits {
            if let Payload::Upload(position) = payload
                && let Some(content) = position.parse().ok().and_then(|position: usize| contents.get(position))
            {
                *payload = Payload::Kept { sha256: content.sha256.clone(), size_bytes: content.size_bytes };
            }
        }
    }
}
