//! The documents about uploads.
//!
//! API reference: *Uploads*.

use serde_json::{Value as Json, json};

use crate::{
    error::{Error, Result},
    model::{
        digest::{hex, parse_sha256},
        upload_item::{UploadItem, UploadPart},
        value::brief,
    },
};

use super::params::Params;

/// An item.
pub(crate) fn item(item: &UploadItem) -> Json {
    let mut shown = json!({
        "itemID": item.id.to_string(),
        "itemName": item.name,
        "description": item.description,
        "date": item.created_ms,
        "committed": item.content.is_some(),
    });
    if let Some(content) = &item.content {
        shown["size"] = content.size_bytes.into();
        shown["sha256"] = hex(&content.sha256).into();
    }
    shown
}

/// The answer of an operation that made or changed an item.
pub(crate) fn success(changed: &UploadItem) -> Json {
    json!({"success": true, "item": item(changed)})
}

/// The answer to a part. Numbers are texts, since clients join them.
pub(crate) fn part(part: &UploadPart) -> Json {
    json!({
        "success": true,
        "partId": part.number.to_string(),
        "size": part.content.size_bytes,
        "sha256": hex(&part.content.sha256),
    })
}

/// The parts of an item: their numbers, and what proves that each is whole.
pub(crate) fn parts(parts: &[UploadPart]) -> Json {
    let infos: Json = parts
        .iter()
        .map(|part| {
            json!({"partId": part.number.to_string(), "size": part.content.size_bytes, "sha256": hex(&part.content.sha256)})
        })
        .collect();
    json!({"parts": parts.iter().map(|part| part.number.to_string()).collect::<Json>(), "partInfos": infos})
}

/// The digest that the client says a file or part has.
pub(crate) fn claimed_digest(params: &Params) -> Result<Option<Vec<u8>>> {
    let Some(text) = params.get(&["checksum", "sha256"]) else { return Ok(None) };
    parse_sha256(text).map(Some).ok_or_else(|| {
        Error::invalid(
            "checksum",
            format!(
                "'{}' is not a SHA-256, which has 64 hexadecimal digits; leave it out if you have another",
                brief(text)
            ),
        )
    })
}
