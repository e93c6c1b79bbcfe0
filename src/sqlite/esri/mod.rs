//! Mobile geodatabases: the files with which clients of Esri's libraries work offline.
//!
//! [`write()`] makes one of the same [`Plan`](super::geopackage::Plan) and rows of which GeoPackages are made, [`delta`] a file of changes; [`read`] finds the edits in
//! one that a client sends. What is in a file: the system tables (`catalogue.sql`), a table for each layer, which keeps versions of rows, and for
//! each of attachments ([`table`], [`mod@column`]), geometries as blobs ([`geometry`]) in the grids of spatial references ([`mod@reference`]), items with definitions in
//! XML ([`items`], [`xml`]), and for open programs a copy that they understand ([`mirror`]).
//!
//! There is no public specification. What is written here equals what genuine files have, as far as there are any to compare; the tests do.

mod column;
pub(crate) mod delta;
mod domains;
mod geometry;
mod items;
mod mirror;
pub(crate) mod read;
mod reference;
mod registry;
mod simple;
mod table;
mod write;
mod xml;

use crate::model::replica::AttachmentsDirection;

pub(crate) use write::write;

/// Columns that tables have in a mobile geodatabase beside those of their layers.
pub(crate) const RESERVED_COLUMNS: [&str; 3] = ["gdb_archive_oid", "gdb_from_date", "gdb_to_date"];

/// What a mobile geodatabase holds beside what every file of a replica does.
#[derive(Clone, Debug, Default)]
pub(crate) struct Details {
    /// The name of the service.
    pub(crate) service: String,
    /// The replica's geometry, in the spatial reference of the file, as EWKB.
    pub(crate) area: Option<Vec<u8>>,
    /// Whether the replica came with attachments, and which way they go.
    pub(crate) attachments: Option<(bool, AttachmentsDirection)>,
    /// Whether open programs find a copy that they understand.
    pub(crate) mirror: bool,
}
