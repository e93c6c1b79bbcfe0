//! The parameter `layerQueries` of createReplica and extractChanges.
//!
//! API reference: *Create Replica*, `layerQueries`. `fields` is for exports.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use crate::{
    error::{Error, Result},
    model::{
        filter::{LayerQuery, QueryOption},
        layer::Layer,
        value::brief,
    },
};

use super::params::Params;

const NAME: &str = "layerQueries";

/// A layer query with what was said, before the layer's defaults fill it up.
pub(super) struct GivenQuery {
    option: Option<QueryOption>,
    use_geometry: bool,
    include_related: bool,
    where_clause: Option<String>,
    fields: Option<Vec<String>>,
}

impl GivenQuery {
    /// The positions of the fields that are wanted, in the order of the layer; `None`: all. What identifies a feature is
    /// always among them.
    pub(super) fn fields(&self, layer: &Layer) -> Result<Option<Vec<usize>>> {
        let Some(names) = &self.fields else { return Ok(None) };
        if names.iter().any(|name| name == "*") {
            return Ok(None);
        }
        let mut wanted = vec![layer.object_id, layer.global_id];
        for name in names {
            wanted.push(super::query::field(name, NAME, layer)?);
        }
        wanted.sort_unstable();
        wanted.dedup();
        Ok(Some(wanted))
    }

    /// With the layer's defaults where nothing was said.
    pub(super) fn resolve(self, layer: &Layer) -> LayerQuery {
        self.or(&LayerQuery::default_for(layer.shape.is_some()))
    }

    /// With what applies where nothing was said.
    pub(super) fn or(self, fallback: &LayerQuery) -> LayerQuery {
        LayerQuery {
            option: self.option.unwrap_or(if self.where_clause.is_some() {
                QueryOption::UseFilter
            } else {
                fallback.option
            }),
            use_geometry: self.use_geometry,
            include_related: self.include_related,
            where_clause: self.where_clause,
        }
    }
}

/// Reads `layerQueries`, by the ids of the layers.
pub(super) fn layer_queries(params: &Params) -> Result<BTreeMap<i32, GivenQuery>> {
    let mut queries = BTreeMap::new();
    for (id, given) in params.json::<Map<String, Json>>(NAME)?.into_iter().flatten() {
        let id: i32 = id
            .trim()
            .parse()
            .map_err(|_| Error::invalid(NAME, format!("'{}' is not the id of a layer", brief(&id))))?;
        let Json::Object(members) = given else {
            return Err(Error::invalid(
                NAME,
                format!(
                    "layer {id}: an object such as {{\"queryOption\":\"useFilter\",\"where\":\"…\"}} belongs there"
                ),
            ));
        };
        queries.insert(id, Given { layer: id, members }.query()?);
    }
    Ok(queries)
}

/// What is said of one layer.
struct Given {
    layer: i32,
    members: Map<String, Json>,
}

impl Given {
    fn query(&self) -> Result<GivenQuery> {
        Ok(GivenQuery {
            option: self.option()?,
            use_geometry: self.flag("useGeometry", true)?,
            include_related: self.flag("includeRelated", true)?,
            where_clause: self.where_clause()?,
            fields: self.fields()?.filter(|names| names.iter().any(|name| !name.is_empty())),
        })
    }

    fn wrong(&self, problem: &str) -> Error {
        Error::invalid(NAME, format!("layer {}: {problem}", self.layer))
    }

    /// A member by its name in any case; null is as good as missing.
    fn member(&self, wanted: &str) -> Option<&Json> {
        let named = self.members.iter().find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted));
        named.map(|(_, value)| value).filter(|value| !value.is_null())
    }

    fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.member(name) {
            None => Ok(default),
            Some(Json::Bool(value)) => Ok(*value),
            Some(Json::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(Json::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(other) => Err(self.wrong(&format!("{name} is {other}; it is true or false"))),
        }
    }

    fn option(&self) -> Result<Option<QueryOption>> {
        const KNOWN: &str = "it is one of none, useFilter, all";
        match self.member("queryOption") {
            None => Ok(None),
            Some(Json::String(text)) if text.is_empty() => Ok(None),
            Some(Json::String(text)) => QueryOption::from_name(text.trim())
                .map(Some)
                .ok_or_else(|| self.wrong(&format!("queryOption '{}' is not known; {KNOWN}", brief(text)))),
            Some(other) => Err(self.wrong(&format!("queryOption is {other}; {KNOWN}"))),
        }
    }

    fn where_clause(&self) -> Result<Option<String>> {
        match self.member("where") {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
            Some(other) => Err(self.wrong(&format!("where is {other}; text belongs there"))),
        }
    }

    fn fields(&self) -> Result<Option<Vec<String>>> {
        match self.member("fields") {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.split(',').map(|name| name.trim().to_owned()).collect())),
            Some(Json::Array(names)) => {
                let names: Option<Vec<String>> = names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
                names.map(Some).ok_or_else(|| self.wrong("fields is a list of names, [\"A\",\"B\"]"))
            }
            Some(other) => Err(self.wrong(&format!("fields is {other}; a list of names belongs there, [\"A\",\"B\"]"))),
        }
    }
}
