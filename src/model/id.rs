//! Names of things: small types that can only hold valid values.

use std::fmt;

use uuid::Uuid;

/// The id of a layer or table within its service, as it stands in the URL. Stable for ever, never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerId(pub i32);

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The key of a layer in the whole database; names its change table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerKey(pub i32);

/// The key of a service in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey(pub i32);

/// The identity of a feature, the same on the server and on every device.
///
/// Accepted with or without braces, in any case; written `{UPPERCASE}`, the spelling that every known client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GlobalId(pub Uuid);

impl GlobalId {
    /// Reads any spelling of a GUID. `None` if it is not one.
    pub fn parse(text: &str) -> Option<GlobalId> {
        let bare = text.trim().trim_start_matches('{').trim_end_matches('}');
        Uuid::try_parse(bare).ok().map(GlobalId)
    }
}

impl fmt::Display for GlobalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{:X}}}", self.0.hyphenated())
    }
}

/// The identity of a replica. Written in lower case without braces; accepted in any spelling, even braced twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(pub Uuid);

impl ReplicaId {
    /// Reads any spelling of a replica id. `None` if it is not a GUID.
    pub fn parse(text: &str) -> Option<ReplicaId> {
        GlobalId::parse(text).map(|id| ReplicaId(id.0))
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// A position in the history of a service: everything committed up to it. It grows with gaps and knows no clock.
///
/// Below 2^53, since clients read JSON numbers as doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(i64);

impl Generation {
    const MAX: i64 = 1 << 53;
    /// Before everything.
    pub const ZERO: Generation = Generation(0);
    /// After everything.
    pub const LAST: Generation = Generation(Generation::MAX);

    /// `None` outside of 0 to 2^53.
    pub fn new(value: i64) -> Option<Generation> {
        (0..=Generation::MAX).contains(&value).then_some(Generation(value))
    }

    /// The number itself.
    pub fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The generations that a delta covers: everything after `after`, up to and including `upto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// What the client has.
    pub after: Generation,
    /// What it will have.
    pub upto: Generation,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_is_read_in_every_spelling_and_written_in_one() {
        let one = GlobalId::parse("{8D8B7C2E-0000-4000-8000-00000000000A}").unwrap();
        assert_eq!(GlobalId::parse("8d8b7c2e-0000-4000-8000-00000000000a"), Some(one));
        assert_eq!(GlobalId::parse(" {{8d8b7c2e-0000-4000-8000-00000000000a}} "), Some(one));
        assert_eq!(one.to_string(), "{8D8B7C2E-0000-4000-8000-00000000000A}");
        assert_eq!(ReplicaId(one.0).to_string(), "8d8b7c2e-0000-4000-8000-00000000000a");
        assert_eq!(GlobalId::parse("8d8b7c2e"), None);
        assert_eq!(GlobalId::parse(""), None);
    }

    #[test]
    fn a_generation_is_what_a_client_can_hold_in_a_double() {
        assert!(Generation::new(-1).is_none());
        assert!(Generation::new(0).is_some());
        assert!(Generation::new((1 << 53) + 1).is_none());
    }
}
