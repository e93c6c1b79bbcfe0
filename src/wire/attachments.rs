//! Edits of attachments, as synchronizeReplica and applyEdits bring them.
//!
//! API reference: *Synchronize Replica*, `edits`; *Sync and attachments*. The bytes come in the edit (`data`, base64) or were
//! uploaded before (`uploadId`, or `url` with the address of such an upload; no other address is ever fetched).

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json, value::RawValue};

use crate::{
    error::{Error, Result},
    model::{
        edit::{AttachmentEdit, AttachmentEdits, Edit, EditErrorCode, GeometryEdit, Op, Payload, Refusal},
        id::GlobalId,
        layer::{Layer, attachment},
        value::{Value, brief},
    },
};

use super::edits::{delete, global_ids, refusal};

/// The `attachments` of one layer's edits.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
pub(super) struct AttachmentEditsJson<'a> {
    #[serde(borrow, default)]
    adds: Option<Vec<AttachmentJson<'a>>>,
    #[serde(borrow, default)]
    updates: Option<Vec<AttachmentJson<'a>>>,
    #[serde(default, alias = "deletes")]
    delete_ids: Option<Json>,
}

#[derive(Deserialize)]
struct AttachmentJson<'a> {
    #[serde(borrow, default, alias = "globalid", alias = "globalID", alias = "GlobalID", rename = "globalId")]
    global_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "parentGlobalID", rename = "parentGlobalId")]
    parent_global_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "contenttype", rename = "contentType")]
    content_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    keywords: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "URL")]
    url: Option<Cow<'a, str>>,
    #[serde(borrow, default, alias = "uploadID", rename = "uploadId")]
    upload_id: Option<Cow<'a, str>>,
}

impl AttachmentEditsJson<'_> {
    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.adds.as_ref().is_none_or(Vec::is_empty)
            && self.updates.as_ref().is_none_or(Vec::is_empty)
            && match &self.delete_ids {
                None | Some(Json::Null) => true,
                Some(Json::Array(ids)) => ids.is_empty(),
                Some(Json::String(ids)) => ids.trim().is_empty(),
                Some(_) => false,
            }
    }
}

/// Reads the attachments of one layer's edits.
pub(super) fn parse_attachment_edits(
    given: AttachmentEditsJson<'_>,
    features: &Layer,
    taken: bool,
) -> Result<AttachmentEdits> {
    let Some(layer) = &features.attachments else {
        return Err(Error::invalid(
            "edits",
            format!(
                "layer {} has no attachments, nothing was applied; send the edits without them, or let the layer have attachments (syncline attachments)",
                features.id
            ),
        ));
    };
    let mut edits = Vec::new();
    edits.extend(given.adds.into_iter().flatten().map(|attachment| read(Op::Add, &attachment, layer)));
    edits.extend(given.updates.into_iter().flatten().map(|attachment| read(Op::Update, &attachment, layer)));
    edits.extend(global_ids(given.delete_ids.as_ref())?.iter().map(|id| AttachmentEdit {
        edit: delete(id),
        payload: Payload::Keep,
        sent: json!(id).to_string(),
    }));
    if !taken {
        edits = edits.into_iter().map(not_taken).collect();
    }
    Ok(AttachmentEdits { layer: layer.clone(), edits })
}

/// Reads attachments of a layer as another server has them, to be put here as they are.
pub(crate) fn parse_stored_attachments(given: &[Box<RawValue>], features: &Layer) -> Result<AttachmentEdits> {
    let mut adds = Vec::with_capacity(given.len());
    for item in given {
        adds.push(serde_json::from_str(item.get()).map_err(|error| {
            Error::invalid("layers", format!("layer {}: an attachment cannot be read: {error}", features.id))
        })?);
    }
    parse_attachment_edits(AttachmentEditsJson { adds: Some(adds), ..AttachmentEditsJson::default() }, features, true)
}

fn not_taken(given: AttachmentEdit) -> AttachmentEdit {
    let (op, global_id) = match &given.edit {
        Ok(edit) => (edit.op, Some(edit.global_id)),
        Err(refusal) => (refusal.op, refusal.global_id),
    };
    let why = "the replica was created with attachmentsSyncDirection=none, so that no attachments are taken from it; create it with upload or bidirectional";
    AttachmentEdit { edit: Err(refusal(op, global_id, code(op), why.to_owned())), ..given }
}

fn code(op: Op) -> EditErrorCode {
    match op {
        Op::Add => EditErrorCode::AttachmentAdd,
        Op::Update => EditErrorCode::AttachmentUpdate,
        Op::Delete => EditErrorCode::AttachmentDelete,
    }
}

fn read(op: Op, given: &AttachmentJson<'_>, table: &Layer) -> AttachmentEdit {
    match payload(given) {
        Ok(payload) => {
            let edit = read_description(op, given, matches!(payload, Payload::Keep));
            AttachmentEdit { edit, payload, sent: sent(given, table, false) }
        }
        Err(description) => {
            let global_id = given.global_id.as_deref().and_then(GlobalId::parse);
            let edit = Err(refusal(op, global_id, code(op), description));
            // Nobody knows which bytes are meant.
            AttachmentEdit { edit, payload: Payload::Keep, sent: sent(given, table, true) }
        }
    }
}

/// What is said of an attachment, as it was sent; with the bytes, too, if they have no other place.
fn sent(given: &AttachmentJson<'_>, table: &Layer, with_bytes: bool) -> String {
    let named = [
        (attachment::GLOBAL_ID, &given.global_id),
        (attachment::PARENT, &given.parent_global_id),
        (attachment::NAME, &given.name),
        (attachment::CONTENT_TYPE, &given.content_type),
        (attachment::KEYWORDS, &given.keywords),
    ];
    let named = named.into_iter().map(|(field, text)| (table.fields[field].name.as_str(), text));
    let sources = [("url", &given.url), ("uploadId", &given.upload_id)];
    let bytes = [("data", &given.data)].into_iter().filter(|_| with_bytes);
    kept(named.chain(sources).chain(bytes).filter_map(|(name, text)| Some((name, text.as_deref()?))))
}

/// A feature with these attributes.
pub(super) fn kept<'a>(attributes: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let attributes: Map<String, Json> = attributes.map(|(name, text)| (name.to_owned(), text.into())).collect();
    json!({"attributes": attributes}).to_string()
}

fn read_description(op: Op, given: &AttachmentJson<'_>, keeps_bytes: bool) -> std::result::Result<Edit, Refusal> {
    let id = given.global_id.as_deref().unwrap_or_default();
    let global_id = GlobalId::parse(id).ok_or_else(|| match id.trim() {
        "" => refusal(op, None, EditErrorCode::GlobalIdMissing, "the attachment has no globalId".to_owned()),
        id => refusal(op, None, EditErrorCode::GlobalIdEmpty, format!("globalId '{}' is not a global id", brief(id))),
    })?;
    let refused = |description: String| refusal(op, Some(global_id), code(op), description);
    let parent = match given.parent_global_id.as_deref().map(str::trim).filter(|id| !id.is_empty()) {
        Some(parent) => Some(
            GlobalId::parse(parent)
                .ok_or_else(|| refused(format!("parentGlobalId '{}' is not a global id", brief(parent))))?,
        ),
        None if op == Op::Add => {
            return Err(refused(
                "parentGlobalId is missing; it names the feature that the attachment belongs to".to_owned(),
            ));
        }
        None => None,
    };
    if op == Op::Add && keeps_bytes {
        return Err(refused("the attachment has no bytes: give data, uploadId or url".to_owned()));
    }
    let description = Description {
        parent,
        name: given.name.as_deref(),
        content_type: given.content_type.as_deref(),
        keywords: given.keywords.as_deref(),
    };
    describe(op, global_id, &description)
}

/// A correction of a refused edit of an attachment, with the bytes that came with the edit, whatever it says of them: what bytes are kept under is
/// nothing that anybody may name. What is no feature stays as it is.
pub(crate) fn with_kept_bytes(correction: &str, kept: &str, table: &Layer) -> String {
    let (Ok(mut corrected), Ok(kept)) = (serde_json::from_str::<Json>(correction), serde_json::from_str::<Json>(kept))
    else {
        return correction.to_owned();
    };
    let Some(attributes) = corrected.get_mut("attributes").and_then(Json::as_object_mut) else {
        return correction.to_owned();
    };
    for field in [attachment::SIZE, attachment::SHA256].map(|index| &table.fields[index].name) {
        attributes.retain(|name, _| table.field_index(name) != table.field_index(field));
        let known = kept["attributes"].as_object().and_then(|known| known.get(field));
        attributes.extend(known.map(|value| (field.clone(), value.clone())));
    }
    corrected.to_string()
}

/// Holds a correction of an attachment against what one may be called.
pub(crate) fn checked(edit: Edit) -> std::result::Result<Edit, Refusal> {
    let text = |field: usize| match edit.value(field) {
        Some(Value::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    let parent = match edit.value(attachment::PARENT) {
        Some(Value::Guid(parent)) => Some(GlobalId(*parent)),
        _ => None,
    };
    let described = Description {
        parent,
        name: text(attachment::NAME),
        content_type: text(attachment::CONTENT_TYPE),
        keywords: text(attachment::KEYWORDS),
    };
    let described = describe(edit.op, edit.global_id, &described)?;
    let bytes = edit.values.into_iter().filter(|(field, _)| [attachment::SIZE, attachment::SHA256].contains(field));
    let mut values: Vec<(usize, Value)> = described.values.into_iter().chain(bytes).collect();
    values.sort_by_key(|(field, _)| *field);
    Ok(Edit { values, ..described })
}

/// What is said of an attachment beside its bytes.
pub(super) struct Description<'a> {
    /// The feature that it belongs to.
    pub(super) parent: Option<GlobalId>,
    /// What it is called.
    pub(super) name: Option<&'a str>,
    /// Its media type.
    pub(super) content_type: Option<&'a str>,
    /// Words that it is given.
    pub(super) keywords: Option<&'a str>,
}

/// The edit of what is said of an attachment. A new one has a name and a media type, whatever is said.
pub(super) fn describe(op: Op, global_id: GlobalId, given: &Description<'_>) -> std::result::Result<Edit, Refusal> {
    let refused = |description: String| refusal(op, Some(global_id), code(op), description);
    let mut values: Vec<(usize, Value)> =
        given.parent.map(|parent| (attachment::PARENT, Value::Guid(parent.0))).into_iter().collect();
    let name = match given.name.map(file_name) {
        Some(name) if !name.is_empty() => Some(name),
        _ => (op == Op::Add).then_some("attachment"),
    };
    let content_type = match given.content_type.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) if is_media_type(text) => Some(text),
        Some(text) => {
            return Err(refused(format!("contentType '{}' is not a media type, such as image/jpeg", brief(text))));
        }
        None => (op == Op::Add).then_some("application/octet-stream"),
    };
    for (field, text, longest) in [
        (attachment::NAME, name, 250),
        (attachment::CONTENT_TYPE, content_type, 150),
        (attachment::KEYWORDS, given.keywords, 4_000),
    ] {
        let Some(text) = text else { continue };
        if text.chars().count() > longest || text.contains('\0') {
            return Err(refused(format!("'{}' is longer than {longest} characters, or has a NUL in it", brief(text))));
        }
        values.push((field, Value::Text(text.to_owned())));
    }
    Ok(Edit { op, global_id, values, geometry: GeometryEdit::Keep, passed_over: None })
}

fn payload(given: &AttachmentJson<'_>) -> std::result::Result<Payload, String> {
    let present =
        |text: &Option<Cow<'_, str>>| text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let (data, url, upload) = (given.data.as_deref(), present(&given.url), present(&given.upload_id));
    match (data, url, upload) {
        (None, None, None) => Ok(Payload::Keep),
        (Some(data), None, None) => {
            let bare = data.trim();
            // Some clients send what a browser calls a data URL.
            let bare = match bare.strip_prefix("data:") {
                Some(url) => url.split_once(";base64,").map_or(bare, |(_, data)| data),
                None => bare,
            };
            STANDARD.decode(bare).map(Payload::Data).map_err(|error| format!("data is not base64: {error}"))
        }
        (None, None, Some(id)) => Ok(Payload::Upload(id)),
        (None, Some(url), None) => {
            let bare = url.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
            match bare.rsplit_once("/uploads/") {
                Some((_, id)) if !id.is_empty() && !id.contains('/') => Ok(Payload::Upload(id.to_owned())),
                _ => Err(format!(
                    "url '{}' is not the address of an upload of this service; nothing else is fetched",
                    brief(&url)
                )),
            }
        }
        _ => Err("more than one of data, url and uploadId is given; exactly one says where the bytes are".to_owned()),
    }
}

/// The last part of a path, whichever system wrote it.
pub(crate) fn file_name(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name).trim()
}

/// `type/subtype`, perhaps with parameters, of characters that may stand in a header.
fn is_media_type(text: &str) -> bool {
    let token =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "!#$&-^_.+*".contains(c));
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
        && text.chars().all(|c| c == ' ' || c.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(text: &str) -> std::result::Result<(Edit, Payload), Refusal> {
        let given: AttachmentJson<'_> = serde_json::from_str(text).unwrap();
        let payload = payload(&given).map_err(|problem| refusal(Op::Add, None, code(Op::Add), problem))?;
        Ok((read_description(Op::Add, &given, matches!(payload, Payload::Keep))?, payload))
    }

    const IDS: &str = r#""globalId":"{AD5C0000-0000-4000-8000-000000000001}","parentGlobalId":"a6990000-0000-4000-8000-000000000002""#;

    #[test]
    fn bytes_come_from_exactly_one_place() {
        let with = |more: &str| read_one(&format!("{{{IDS},\"contentType\":\"image/jpeg\",\"name\":\"a.jpg\"{more}}}"));
        assert!(matches!(with(r#","data":"aGk=""#).unwrap().1, Payload::Data(bytes) if bytes == b"hi"));
        assert!(matches!(with(r#","uploadId":"{C521}""#).unwrap().1, Payload::Upload(id) if id == "{C521}"));
        assert!(
            matches!(with(r#","url":"https://x/FeatureServer/uploads/ib7?token=1""#).unwrap().1, Payload::Upload(id) if id == "ib7")
        );
        assert!(with("").unwrap_err().error.description.contains("no bytes"));
        assert!(
            with(r#","url":"http://169.254.169.254/latest""#)
                .unwrap_err()
                .error
                .description
                .contains("not the address of an upload")
        );
        assert!(with(r#","data":"aGk=","uploadId":"x""#).unwrap_err().error.description.contains("exactly one"));
        assert!(with(r#","data":"%%%""#).unwrap_err().error.description.contains("base64"));
    }

    #[test]
    fn names_lose_their_directories_and_types_their_tricks() {
        let (edit, _) = read_one(&format!(r#"{{{IDS},"name":"..\\..\\etc/pass wd.jpg","data":"aGk="}}"#)).unwrap();
        assert_eq!(edit.value(attachment::NAME), Some(&Value::Text("pass wd.jpg".to_owned())));
        assert_eq!(edit.value(attachment::CONTENT_TYPE), Some(&Value::Text("application/octet-stream".to_owned())));
        let bad = read_one(&format!(r#"{{{IDS},"contentType":"a/b\r\nX: y","data":"aGk="}}"#)).unwrap_err();
        assert_eq!(bad.error.code, EditErrorCode::AttachmentAdd);
    }
}
