//! The audit log: what was done, by whom, and its place in the chain.

use super::digest::{hex, parse_sha256};

/// Something that was done.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its number; grows, with gaps.
    pub id: i64,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// Who did it.
    pub actor: String,
    /// The address of the network that it came from.
    pub origin: String,
    /// The request or job.
    pub request_id: String,
    /// What was done, such as `replica.created`.
    pub action: String,
    /// In which service.
    pub service: String,
    /// To what.
    pub subject: String,
    /// What else there is to say: a JSON object, as text.
    pub detail: String,
    /// Its place in the chain and its digest, if it is sealed.
    pub seal: Option<Seal>,
}

/// A place in the chain, and the digest there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Counted from 1.
    pub position: i64,
    /// SHA-256 of the digest before and of the entry.
    pub digest: Vec<u8>,
}

impl std::fmt::Display for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.position, hex(&self.digest))
    }
}

/// Which entries are wanted. Texts are compared without case.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// From this moment on, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    /// Before this one.
    pub until_ms: Option<i64>,
    /// Done by whom.
    pub actor: Option<String>,
    /// An action, or its first word.
    pub action: Option<String>,
    /// In which service.
    pub service: Option<String>,
    /// How many to pass over.
    pub offset: i64,
    /// At most so many.
    pub limit: i64,
}

impl Seal {
    /// Reads a place in the chain as it is told: its position, a colon, and the digest.
    pub fn parse(text: &str) -> Option<Seal> {
        let (position, digest) = text.trim().split_once(':')?;
        Some(Seal { position: position.parse().ok()?, digest: parse_sha256(digest)? })
    }
}
