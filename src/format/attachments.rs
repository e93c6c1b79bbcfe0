//! Attachments as the API describes them, from rows as the database sends them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{
    error::Result,
    model::{attachment::AttachmentInfo, id::GlobalId, layer::attachment},
};

use super::json::{global_id, integer, string};

/// Reads a row of all columns of a table of attachments, the first of them at `first`.
pub(crate) fn read_info(row: &PgRow, first: usize) -> Result<AttachmentInfo> {
    Ok(AttachmentInfo {
        id: row.try_get::<i32, _>(first + attachment::ID)?.into(),
        global_id: GlobalId(row.try_get::<Uuid, _>(first + attachment::GLOBAL_ID)?),
        parent: GlobalId(row.try_get::<Uuid, _>(first + attachment::PARENT)?),
        name: row.try_get(first + attachment::NAME)?,
        content_type: row.try_get(first + attachment::CONTENT_TYPE)?,
        size_bytes: row.try_get(first + attachment::SIZE)?,
        sha256: row.try_get(first + attachment::SHA256)?,
        keywords: row.try_get(first + attachment::KEYWORDS)?,
    })
}

/// Appends `{"attachmentId":…,"globalId":…,…` without the end: where the bytes are comes next.
pub(crate) fn open_info(info: &AttachmentInfo, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"attachmentId\":");
    integer(info.id, out);
    out.extend_from_slice(b",\"globalId\":");
    global_id(info.global_id, out);
    out.extend_from_slice(b",\"parentGlobalId\":");
    global_id(info.parent, out);
    for (name, value) in [
        ("contentType", info.content_type.as_str()),
        ("name", info.name.as_str()),
        ("keywords", info.keywords.as_deref().unwrap_or_default()),
    ] {
        out.push(b',');
        string(name, out);
        out.push(b':');
        string(value, out);
    }
    out.extend_from_slice(b",\"size\":");
    integer(info.size_bytes, out);
}

/// Appends bytes as base64. Parts of a whole must have a length that three divides, but for the last.
pub(crate) fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
}
