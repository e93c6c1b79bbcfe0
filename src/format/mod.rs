//! Rows into bytes.
//!
//! [`json`] writes Esri JSON straight from the binary form in which the database sends rows, without building features
//! in between: on bulk exports that is what keeps the server waiting for the database and not the other way round.

pub(crate) mod attachments;
pub(crate) mod json;
