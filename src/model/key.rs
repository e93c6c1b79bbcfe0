//! Values by which rows are known.

use uuid::Uuid;

use super::{
    id::GlobalId,
    value::{Value, brief},
};

/// A value by which a row is known to others, or to the source that it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    /// Of any integer field.
    Integer(i64),
    /// Of a text field.
    Text(String),
    /// Of a GUID field.
    Guid(Uuid),
}

impl Key {
    /// The key that a value is. `None` for null, and for what no row is known by: numbers with fractions, times.
    pub fn of(value: &Value) -> Option<Key> {
        match value {
            Value::Integer(number) => Some(Key::Integer(*number)),
            Value::Text(text) => Some(Key::Text(text.clone())),
            Value::Guid(guid) => Some(Key::Guid(*guid)),
            _ => None,
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Key::Integer(number) => write!(f, "{number}"),
            Key::Text(text) => write!(f, "'{}'", brief(text)),
            Key::Guid(guid) => write!(f, "{}", GlobalId(*guid)),
        }
    }
}
