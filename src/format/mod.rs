//! Rows into bytes.
//!
//! [`json`] writes Esri JSON straight from the binary form in which the database sends rows, without building features
//! in between: on bulk exports that is what keeps the server waiting for the database and not the other way round.
//! [`feature_set`] writes the answers to queries, in whichever encoding: [`esri_json`], [`geojson`] or [`pbf`]; what is done to
//! geometries for them (grids, decimals, centroids) is in [`vertices`]. [`answer`] writes what has no features. [`edit`] writes edits as Esri JSON; [`checksum`] sums up
//! what clients hold.

pub(crate) mod answer;
pub(crate) mod attachments;
pub(crate) mod checksum;
pub(crate) mod edit;
mod esri_json;
mod ewkb;
pub(crate) mod feature_set;
mod geojson;
pub(crate) mod json;
mod pbf;
pub(crate) mod vertices;

use crate::error::{Error, Result};

/// The bytes of a value whose length its type tells.
pub(crate) fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N]> {
    bytes
        .try_into()
        .map_err(|error| Error::internal(format!("reading a value of {} bytes where {N} belong", bytes.len()), error))
}
