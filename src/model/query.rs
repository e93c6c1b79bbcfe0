//! What a feature query asks for.

use super::{
    geometry::{Dimensions, Geometry},
    layer::Layer,
    output::Form,
    predicate::Predicate,
};

/// A query on one layer.
#[derive(Clone, Debug)]
pub struct Query {
    /// The where clause.
    pub rows: Option<Predicate>,
    /// Object ids to choose from.
    pub object_ids: Option<Vec<i64>>,
    /// A shape that features must stand in a relation to.
    pub area: Option<(Geometry, SpatialRelation)>,
    /// What comes out.
    pub output: Output,
    /// How it is written.
    pub form: Form,
}

/// Which columns of a layer are read, and how geometry comes out.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Positions of the fields, in the order in which they are written.
    pub fields: Vec<usize>,
    /// The spatial reference in which geometry is wanted; `None`: no geometry.
    pub srid: Option<i32>,
    /// By how much lines may be simplified, in units of that reference.
    pub max_offset: Option<f64>,
    /// The heights and measures that are written.
    pub dimensions: Dimensions,
}

impl Columns {
    /// All fields, and the geometry in `srid` if the layer has one.
    pub fn all(layer: &Layer, srid: i32) -> Columns {
        Columns {
            fields: (0..layer.fields.len()).collect(),
            srid: layer.shape.as_ref().map(|_| srid),
            max_offset: None,
            dimensions: layer.dimensions(),
        }
    }
}

/// How a query's geometry relates to the features wanted: *geometry relation feature*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpatialRelation {
    /// They share a point.
    Intersects,
    /// The features lie within the geometry.
    Contains,
    /// The features enclose the geometry.
    Within,
    /// They cross.
    Crosses,
    /// Only their boundaries meet.
    Touches,
    /// They overlap without one holding the other.
    Overlaps,
    /// Their boxes meet.
    EnvelopeIntersects,
}

/// What a query gives back.
#[derive(Clone, Debug)]
pub enum Output {
    /// Features, page by page.
    Features(Page),
    /// All object ids, ascending.
    Ids,
    /// How many.
    Count,
    /// The box round them in a spatial reference, and how many if asked.
    Extent {
        /// The reference.
        srid: i32,
        /// Whether the number is wanted, too.
        with_count: bool,
    },
}

/// A page of features.
#[derive(Clone, Debug)]
pub struct Page {
    /// What of each feature.
    pub columns: Columns,
    /// Fields to sort by, and whether descending. The object id is always the last.
    pub order: Vec<(usize, bool)>,
    /// How many to pass over.
    pub offset: i64,
    /// The most to give.
    pub limit: i64,
}

/// Which changes of rows are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeKinds {
    /// Rows that came.
    pub inserts: bool,
    /// Rows that changed.
    pub updates: bool,
    /// Rows that went.
    pub deletes: bool,
}
