//! SQL text that cannot be known at compile time: statements over published tables.
//!
//! Nothing else builds SQL text. Text is static, a quoted name out of the catalogue, or a bound value; see
//! [`fragment::Fragment`]. Nothing here executes anything.

pub(crate) mod changes;
pub(crate) mod definition;
pub(crate) mod delta;
pub(crate) mod fragment;
pub(crate) mod history;
pub(crate) mod modify;
pub(crate) mod odd;
mod past;
pub(crate) mod predicate;
pub(crate) mod publish;
pub(crate) mod rebase;
pub(crate) mod related;
pub(crate) mod select;
pub(crate) mod selection;
mod shape;
pub(crate) mod statistics;
