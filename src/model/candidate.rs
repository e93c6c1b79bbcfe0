//! A table of the database, as somebody sees it who wants to publish one.

use super::id::LayerId;

/// A table, published or not.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The schema.
    pub schema: String,
    /// The table.
    pub table: String,
    /// What it is, such as `table` or `view`.
    pub kind: &'static str,
    /// About how many rows it has, as the planner knows; `None`: it was never analyzed.
    pub n_rows: Option<i64>,
    /// The type of its first geometry column, such as `geometry(Point,4326)`; `None`: it has none.
    pub geometry: Option<String>,
    /// What publishing adds to it.
    pub adds: Vec<&'static str>,
    /// Why it cannot be published, and what to do about that, as far as can be told without looking into it.
    pub problem: Option<String>,
    /// The service and layer that it is.
    pub layer: Option<(String, LayerId)>,
}

/// Which tables are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only those that have this in `schema.table`; compared without case.
    pub text: Option<String>,
    /// Only those that are published, or are not.
    pub is_published: Option<bool>,
    /// How many to pass over.
    pub offset: i64,
    /// At most so many.
    pub limit: i64,
}
