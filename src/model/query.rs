//! What a feature query asks for.

use std::sync::Arc;

use uuid::Uuid;

use super::{
    geometry::{Dimensions, Geometry},
    layer::Layer,
    output::{Form, GeometryForm},
    predicate::Predicate,
    statistics::{Operand, Table},
};

/// A query on one layer.
#[derive(Clone, Debug)]
pub struct Query {
    /// Which rows.
    pub choice: Choice,
    /// What comes out.
    pub output: Output,
    /// How it is written.
    pub form: Form,
}

/// Which rows of a layer are wanted: those for which everything that is given holds.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// Where clauses.
    pub clauses: Vec<Predicate>,
    /// Object ids to choose from.
    pub object_ids: Option<Vec<i64>>,
    /// Global ids to choose from.
    pub global_ids: Option<Vec<Uuid>>,
    /// A shape that features must stand in a relation to.
    pub area: Option<Area>,
    /// A time in which, or during which, features must be.
    pub period: Option<Period>,
    /// The moment whose rows are asked for, in microseconds since 1970; `None`: now.
    pub moment: Option<i64>,
    /// The datum transformation that the client names.
    pub transformation: Option<String>,
}

/// A shape with which features are compared.
#[derive(Clone, Debug)]
pub struct Area {
    /// The shape, in any spatial reference.
    pub geometry: Geometry,
    /// How it must stand to a feature.
    pub relation: SpatialRelation,
    /// How far round the shape counts as the shape, in metres along the ground.
    pub distance_m: Option<f64>,
}

/// A stretch of time with both of its ends, in milliseconds since 1970. An end that is missing is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// From here.
    pub from_ms: Option<i64>,
    /// To here.
    pub to_ms: Option<i64>,
}

/// Which columns of a layer are read, and how geometry comes out.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Positions of the fields, in the order in which they are written.
    pub fields: Vec<usize>,
    /// Those of them that come out empty, whatever is stored: who gets them had them once, and is not to have them any more.
    pub emptied: Vec<usize>,
    /// The spatial reference in which geometry is wanted; `None`: no geometry.
    pub srid: Option<i32>,
    /// By how much lines may be simplified, in units of that reference.
    pub max_offset: Option<f64>,
    /// The heights and measures that are written.
    pub dimensions: Dimensions,
}

impl Columns {
    /// All fields, and the geometry in `srid` if the layer has one: for the server itself, and for another one.
    pub fn all(layer: &Layer, srid: i32) -> Columns {
        Columns { fields: (0..layer.fields.len()).collect(), ..Columns::visible(layer, srid) }
    }

    /// The fields that clients see, and the geometry in `srid` if the layer has one.
    pub fn visible(layer: &Layer, srid: i32) -> Columns {
        Columns {
            fields: layer.visible_fields().collect(),
            emptied: Vec::new(),
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
    /// They share no point.
    Disjoint,
    /// Their intersection matrix matches.
    Relate(Matrix),
}

/// A pattern for the nine intersections of the interiors, boundaries and exteriors of two geometries (DE-9IM).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matrix([u8; 9]);

impl Matrix {
    /// Reads nine of `T`, `F`, `*`, `0`, `1`, `2`.
    pub fn parse(text: &str) -> Option<Matrix> {
        let cells: [u8; 9] = text.to_ascii_uppercase().into_bytes().try_into().ok()?;
        cells.iter().all(|cell| b"TF*012".contains(cell)).then_some(Matrix(cells))
    }

    /// The nine characters.
    pub fn text(self) -> String {
        self.0.iter().map(|&cell| char::from(cell)).collect()
    }

    /// Whether only geometries that share a point can match, so that an index can find them.
    pub fn needs_contact(self) -> bool {
        [0, 1, 3, 4].iter().any(|&cell| b"T012".contains(&self.0[cell]))
    }
}

/// What a query gives back.
#[derive(Clone, Debug)]
pub enum Output {
    /// Features, page by page.
    Features(Page),
    /// Rows that are no features: statistics, or different values.
    Table(Table),
    /// How many rows such a table has.
    TableCount(Table),
    /// All object ids.
    Ids {
        /// What to sort by, and whether descending. The object id is always the last.
        order: Vec<(Operand, bool)>,
        /// Whether they are wanted as unique ids.
        unique: bool,
    },
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
    /// What to sort by, and whether descending. The object id is always the last.
    pub order: Vec<(Operand, bool)>,
    /// How many to pass over.
    pub offset: i64,
    /// The most to give.
    pub limit: i64,
    /// Whether none is to be given if there are more than that.
    pub all_or_none: bool,
}

/// A query for the records that are related to features.
#[derive(Clone, Debug)]
pub struct RelatedQuery {
    /// The layer of the features.
    pub layer: Arc<Layer>,
    /// Their field that is in the relationship.
    pub layer_field: usize,
    /// The features, by their object ids.
    pub object_ids: Vec<i64>,
    /// The layer of the records.
    pub related: Arc<Layer>,
    /// Their field that is in the relationship.
    pub related_field: usize,
    /// Which of the records.
    pub choice: Choice,
    /// What comes out.
    pub output: RelatedOutput,
}

/// What a query for related records gives back, for each feature.
#[derive(Clone, Debug)]
pub enum RelatedOutput {
    /// The records, and how their geometries are written.
    Records(Page, GeometryForm),
    /// How many there are.
    Counts,
}

/// A query for the attachments of features.
#[derive(Clone, Debug)]
pub struct AttachmentQuery {
    /// Which features.
    pub features: Choice,
    /// A condition on attachments.
    pub clause: Option<Predicate>,
    /// Media types, in small letters; those that end in `*` stand for all that begin so. None: any.
    pub types: Vec<String>,
    /// The least and the greatest size in bytes.
    pub size_bytes: (Option<i64>, Option<i64>),
    /// Words of which an attachment has one, in small letters. None: any.
    pub keywords: Vec<String>,
    /// Fields of the attachments to sort by, and whether descending, after their features.
    pub order: Vec<(Operand, bool)>,
    /// How many to pass over.
    pub offset: i64,
    /// The most to give.
    pub limit: i64,
    /// Whether only the numbers are wanted.
    pub count: bool,
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
