//! Rows into bytes.
//!
//! [`json`] writes Esri JSON straight from the binary form in which the database sends rows, without building features
//! in between: on bulk exports that is what keeps the server waiting for the database and not the other way round.
//! [`edit`] writes edits in the same form; [`checksum`] sums up what clients hold.

pub(crate) mod attachments;
pub(crate) mod checksum;
pub(crate) mod edit;
pub(crate) mod json;
