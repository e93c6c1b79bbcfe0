//! Which rows belong to a replica.

use std::sync::Arc;

use super::{
    geometry::Geometry,
    guard::RowPolicy,
    id::LayerKey,
    layer::{Layer, Service, attachment},
    predicate::Predicate,
};

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
    /// Rows that belong to a row of another layer, by any of these ways.
    Related(Vec<Related>),
    /// Those of the rows that somebody may see.
    Guarded(RowPolicy, Box<Filter>),
}

/// A way in which rows belong to rows of another layer.
#[derive(Clone, Debug)]
pub struct Related {
    /// The layer of the rows that others belong to.
    pub origin: Arc<Layer>,
    /// Their key.
    pub origin_field: usize,
    /// The field that holds the key.
    pub destination_field: usize,
    /// Which rows of the origin count.
    pub filter: Filter,
}

/// The longest chain of relationships that is followed: a table related to a table, and so on.
const MAX_DEPTH: usize = 6;

impl Filter {
    /// The ways in which its rows belong to others; `None` unless it goes over relationships.
    pub fn ways(&self) -> Option<&[Related]> {
        match self {
            Filter::Related(ways) => Some(ways),
            Filter::Guarded(_, rows) => rows.ways(),
            Filter::All | Filter::None | Filter::Matching { .. } => None,
        }
    }

    /// Those of the rows that a policy lets somebody see.
    #[must_use]
    pub fn guarded(self, policy: Option<&RowPolicy>) -> Filter {
        match (self, policy) {
            (Filter::None, _) => Filter::None,
            (rows, None) => rows,
            (rows, Some(policy)) => Filter::Guarded(policy.clone(), Box::new(rows)),
        }
    }

    /// The attachments of the features that pass a filter.
    pub fn of_attachments(features: &Arc<Layer>, filter: Filter) -> Filter {
        match filter {
            Filter::None => Filter::None,
            filter => Filter::Related(vec![Related {
                origin: features.clone(),
                origin_field: features.global_id,
                destination_field: attachment::PARENT,
                filter,
            }]),
        }
    }

    /// What the layers of a replica hold once relationships are followed. `own` has what each layer's query alone selects;
    /// for a layer of which related rows are wanted and nothing else, that is replaced by the rows that belong to rows of
    /// the replica's other layers. Relationships are followed from origin to destination, never back, and never in a circle.
    /// Of each layer, no more is in than its policy lets its holder see.
    /// Source: API reference, *Create Replica*, `layerQueries`.
    pub fn with_relationships(
        service: &Service,
        layers: &[(Arc<Layer>, LayerQuery)],
        own: &[Filter],
        policies: &[Option<RowPolicy>],
    ) -> Vec<Filter> {
        let resolver = Resolver { service, layers, own, policies };
        (0..layers.len()).map(|index| resolver.resolve(index, &mut Vec::new())).collect()
    }
}

struct Resolver<'a> {
    service: &'a Service,
    layers: &'a [(Arc<Layer>, LayerQuery)],
    own: &'a [Filter],
    policies: &'a [Option<RowPolicy>],
}

impl Resolver<'_> {
    fn resolve(&self, index: usize, path: &mut Vec<LayerKey>) -> Filter {
        self.followed(index, path).guarded(self.policies.get(index).and_then(Option::as_ref))
    }

    fn followed(&self, index: usize, path: &mut Vec<LayerKey>) -> Filter {
        let (layer, query) = &self.layers[index];
        if query.option != QueryOption::None || !query.include_related {
            return self.own[index].clone();
        }
        path.push(layer.key);
        let mut ways = Vec::new();
        for relationship in self.service.relationships.iter().filter(|known| known.destination == layer.key) {
            if path.contains(&relationship.origin) || path.len() > MAX_DEPTH {
                continue;
            }
            let Some(origin) = self.layers.iter().position(|(known, _)| known.key == relationship.origin) else {
                continue;
            };
            match self.resolve(origin, path) {
                Filter::None => {}
                filter => ways.push(Related {
                    origin: self.layers[origin].0.clone(),
                    origin_field: relationship.origin_field,
                    destination_field: relationship.destination_field,
                    filter,
                }),
            }
        }
        path.pop();
        if ways.is_empty() { Filter::None } else { Filter::Related(ways) }
    }
}

/// How a layer takes part in a replica, as the client put it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerQuery {
    /// What selects rows.
    pub option: QueryOption,
    /// Whether the replica's geometry restricts the layer.
    pub use_geometry: bool,
    /// Whether rows come that are related to rows of other layers of the replica. Only heeded with [`QueryOption::None`].
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
