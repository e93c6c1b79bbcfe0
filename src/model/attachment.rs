//! Attachments: files that belong to features.

use super::id::GlobalId;

/// What is known of an attachment beside its bytes.
#[derive(Clone, Debug)]
pub struct AttachmentInfo {
    /// The id within the layer.
    pub id: i64,
    /// The identity.
    pub global_id: GlobalId,
    /// The feature that it belongs to.
    pub parent: GlobalId,
    /// The name of the file.
    pub name: String,
    /// The media type.
    pub content_type: String,
    /// How many bytes it has.
    pub size_bytes: i64,
    /// The SHA-256 of the bytes, hexadecimal.
    pub sha256: String,
    /// Words that somebody gave it.
    pub keywords: Option<String>,
}
