//! Files that clients send before they say what for.

use std::fmt;

use uuid::Uuid;

use super::id::GlobalId;

/// The identity of an uploaded file: `i` and a GUID; also accepted without the letter, and in any spelling of the GUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ItemId(pub Uuid);

impl ItemId {
    /// Reads an id. `None` if it is not one.
    pub fn parse(text: &str) -> Option<ItemId> {
        let bare = text.trim().trim_start_matches('{').trim_start_matches(['i', 'I']);
        GlobalId::parse(bare).map(|id| ItemId(id.0))
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "i{}", self.0.hyphenated())
    }
}

/// An uploaded file, as it is in the books.
#[derive(Clone, Debug)]
pub struct UploadItem {
    /// Its id.
    pub id: ItemId,
    /// What the client calls it.
    pub name: String,
    /// What the client says about it.
    pub description: String,
    /// When it was begun, in milliseconds since 1970.
    pub created_ms: i64,
    /// The bytes, once the item is committed.
    pub content: Option<UploadedFile>,
}

/// The bytes of a committed item or of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadedFile {
    /// The file.
    pub file: Uuid,
    /// Its size.
    pub size_bytes: u64,
    /// The SHA-256 of its bytes.
    pub sha256: Vec<u8>,
}

/// A part of an item that is not committed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadPart {
    /// Its place among the parts; from 1.
    pub number: i32,
    /// Its bytes.
    pub content: UploadedFile,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_with_and_without_their_letter() {
        let id = ItemId::parse("ib740c7bb-e5d0-4156-9cea-12fa7d3a472c").unwrap();
        assert_eq!(id.to_string(), "ib740c7bb-e5d0-4156-9cea-12fa7d3a472c");
        for text in [
            "{B740C7BB-E5D0-4156-9CEA-12FA7D3A472C}",
            "b740c7bbe5d041569cea12fa7d3a472c",
            "{ib740c7bb-e5d0-4156-9cea-12fa7d3a472c}",
        ] {
            assert_eq!(ItemId::parse(text), Some(id), "{text}");
        }
        assert_eq!(ItemId::parse("../../etc/passwd"), None);
    }
}
