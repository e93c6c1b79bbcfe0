//! The engine of sync: edits go in through [`apply::submit`], rows come out through [`download`].
//!
//! It knows windows, filters and batches, but neither parameters nor HTTP. What a client is sent about a row is decided
//! by `model::verdict`, on facts that the database reports.

mod allowed;
pub(crate) mod apply;
mod attached;
pub(crate) mod books;
pub(crate) mod connected;
pub(crate) mod database;
pub(crate) mod digest;
pub(crate) mod direct;
pub(crate) mod download;
pub(crate) mod extract;
pub(crate) mod failure;
mod guarded;
pub(crate) mod order;
pub(crate) mod put_back;
mod row_types;
mod search;
pub(crate) mod selected;
mod wave;
