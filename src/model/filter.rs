//! Which rows belong to a replica.

use super::{geometry::Geometry, predicate::Predicate};

/// The rows of one layer that a replica holds.
#[derive(Clone, Debug)]
pub enum Filter {
    /// Every row.
    All,
    /// No row: the layer is there for uploads only.
    None,
    /// Rows for which everything that is given holds.
    Matching {
        /// The where clause.
        rows: Option<Predicate>,
        /// The area that a row's geometry must intersect, in the layer's spatial reference, as EWKB.
        area: Option<Vec<u8>>,
    },
}

/// How a layer takes part in a replica, as the client put it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerQuery {
    /// What selects rows.
    pub option: QueryOption,
    /// Whether the replica's geometry restricts the layer.
    pub use_geometry: bool,
    /// Whether rows related to selected ones come along; kept for the client, no effect without relationships.
    pub include_related: bool,
    /// The where clause, as text.
    pub where_clause: Option<String>,
}

/// What selects the rows of a layer in a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryOption {
    /// Nothing but relationships.
    None,
    /// Geometry and where clause.
    UseFilter,
    /// Everything.
    All,
}

impl QueryOption {
    /// The API's spelling.
    pub fn name(self) -> &'static str {
        match self {
            QueryOption::None => "none",
            QueryOption::UseFilter => "useFilter",
            QueryOption::All => "all",
        }
    }

    /// The option with this name, in any case.
    pub fn from_name(name: &str) -> Option<QueryOption> {
        [QueryOption::None, QueryOption::UseFilter, QueryOption::All]
            .into_iter()
            .find(|option| option.name().eq_ignore_ascii_case(name))
    }
}

impl LayerQuery {
    /// What applies to a layer of which the client said nothing: the area for layers with geometry, related rows only
    /// for tables. Source: API reference, *Create Replica*, `layerQueries`.
    pub fn default_for(has_geometry: bool) -> LayerQuery {
        LayerQuery {
            option: if has_geometry { QueryOption::UseFilter } else { QueryOption::None },
            use_geometry: true,
            include_related: true,
            where_clause: None,
        }
    }
}

/// The geometry of a replica, as the client gave it.
#[derive(Clone, Debug)]
pub struct Area {
    /// The geometry in the client's spatial reference.
    pub geometry: Geometry,
    /// The same as Esri JSON, to be shown again.
    pub json: String,
}
