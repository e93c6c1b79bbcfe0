//! The parameters of addAttachment, updateAttachment and deleteAttachments.
//!
//! API reference: *Add Attachment*, *Update Attachment*, *Delete Attachments*. The bytes are a file of a multipart form, or
//! were uploaded before (`uploadId`).

use crate::{
    error::{Error, Result},
    model::{
        edit::{AttachmentEdit, Edit, EditErrorCode, FailurePolicy, Op, Payload, Refusal},
        id::GlobalId,
        layer::{Layer, attachment},
    },
};

use super::{
    apply_edits::{policy, refuse_unsupported},
    attachments::{Description, describe, file_name, kept},
    edits::refusal,
    params::Params,
};

/// The most attachments that are deleted at once: more than a feature has.
const MAX_DELETED: usize = 10_000;

/// What a client says of an attachment beside its bytes.
#[derive(Debug)]
pub(crate) struct AttachmentForm {
    /// What it is called; `None` if nothing was said.
    pub(crate) name: Option<String>,
    /// The media type that the client gives it.
    content_type: Option<String>,
    keywords: Option<String>,
    /// The upload that has its bytes.
    pub(crate) upload: Option<String>,
    /// Whether the answer has the time of the edit.
    pub(crate) moment: bool,
}

impl AttachmentForm {
    /// Reads the parameters. `file` is what the client calls the file that came, and its media type.
    pub(crate) fn parse(params: &Params, file: Option<(Option<&str>, Option<&str>)>) -> Result<AttachmentForm> {
        refuse_unsupported(params)?;
        let upload = params.text("uploadId").map(str::to_owned);
        if file.is_some() && upload.is_some() {
            return Err(Error::invalid("uploadId", "it and a file exclude each other; send one of them"));
        }
        let (name, content_type) = file.unwrap_or_default();
        Ok(AttachmentForm {
            name: name.map(file_name).filter(|name| !name.is_empty()).map(str::to_owned),
            content_type: content_type.map(str::to_owned),
            // Empty keywords are what clients send that have none to say.
            keywords: params.text("keywords").map(str::to_owned),
            upload,
            moment: params.flag(&["returnEditMoment"], false)?,
        })
    }

    /// The edit of an attachment in a table that it asks for; `payload` is what came as a file.
    pub(crate) fn edit(
        &self,
        op: Op,
        (global_id, parent): (GlobalId, GlobalId),
        payload: Option<Payload>,
        table: &Layer,
    ) -> AttachmentEdit {
        let payload = payload.or_else(|| self.upload.clone().map(Payload::Upload)).unwrap_or(Payload::Keep);
        let parent_id = parent.to_string();
        let named = [
            (table.fields[attachment::PARENT].name.as_str(), Some(parent_id.as_str())),
            (table.fields[attachment::NAME].name.as_str(), self.name.as_deref()),
            (table.fields[attachment::CONTENT_TYPE].name.as_str(), self.content_type.as_deref()),
            (table.fields[attachment::KEYWORDS].name.as_str(), self.keywords.as_deref()),
            ("uploadId", self.upload.as_deref()),
        ];
        let sent = kept(named.into_iter().filter_map(|(name, text)| Some((name, text?))));
        AttachmentEdit { edit: self.description(op, global_id, parent, &payload), payload, sent }
    }

    fn description(
        &self,
        op: Op,
        global_id: GlobalId,
        parent: GlobalId,
        payload: &Payload,
    ) -> std::result::Result<Edit, Refusal> {
        let code = if op == Op::Add { EditErrorCode::AttachmentAdd } else { EditErrorCode::AttachmentUpdate };
        let refused = |text: &str| refusal(op, Some(global_id), code, text.to_owned());
        if matches!(payload, Payload::Keep) {
            if op == Op::Add {
                return Err(refused(
                    "no file came: send it as part 'attachment' of a multipart form, or give an uploadId",
                ));
            }
            if self.keywords.is_none() {
                return Err(refused("nothing is to be changed: send a file, an uploadId, or keywords"));
            }
        }
        let unspecific = |kind: &&str| !kind.trim().is_empty() && *kind != "application/octet-stream";
        let content_type = self.content_type.as_deref().filter(unspecific);
        let content_type = content_type.or_else(|| self.name.as_deref().map(media_type));
        describe(
            op,
            global_id,
            &Description {
                parent: Some(parent),
                name: self.name.as_deref(),
                content_type,
                keywords: self.keywords.as_deref(),
            },
        )
    }
}

/// Attachments to be deleted.
#[derive(Debug)]
pub(crate) struct DeleteForm {
    /// Their ids.
    pub(crate) ids: Vec<i64>,
    /// What happens to the others when one cannot be.
    pub(crate) policy: FailurePolicy,
    /// Whether the answer has the time of the edits.
    pub(crate) moment: bool,
}

impl DeleteForm {
    /// Reads the parameters.
    pub(crate) fn parse(params: &Params) -> Result<DeleteForm> {
        refuse_unsupported(params)?;
        let ids = params
            .ids("attachmentIds")?
            .ok_or_else(|| Error::invalid("attachmentIds", "it is missing; it names the attachments to delete"))?;
        if ids.len() > MAX_DELETED {
            return Err(Error::invalid("attachmentIds", format!("at most {MAX_DELETED} are deleted at a time")));
        }
        Ok(DeleteForm { ids, policy: policy(params)?, moment: params.flag(&["returnEditMoment"], false)? })
    }
}

/// The media type of a file by its name, as far as field work knows them.
fn media_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
    match extension.as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "bmp" => "image/bmp",
        "tif" | "tiff" => "image/tiff",
        "webp" => "image/webp",
        "heic" => "image/heic",
        "svg" => "image/svg+xml",
        "mp4" | "m4v" => "video/mp4",
        "mov" => "video/quicktime",
        "avi" => "video/x-msvideo",
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        "wav" => "audio/wav",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "json" => "application/json",
        "xml" => "application/xml",
        "csv" => "text/csv",
        "txt" => "text/plain",
        "htm" | "html" => "text/html",
        "doc" => "application/msword",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xls" => "application/vnd.ms-excel",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "ppt" => "application/vnd.ms-powerpoint",
        "pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        _ => "application/octet-stream",
    }
}
