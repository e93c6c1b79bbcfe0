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
        let Json::Object(given) = given else {
            return Err(Error::invalid(
                NAME,
                format!(
                    "layer {id}: an object such as {{\"queryOption\":\"useFilter\",\"where\":\"…\"}} belongs there"
                ),
            ));
        };
        let member = |wanted: &str| {
            given
                .iter()
                .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value)
                .filter(|value| !value.is_null())
        };
        let flag = |wanted: &'static str, default: bool| match member(wanted) {
            None => Ok(default),
            Some(Json::Bool(value)) => Ok(*value),
            Some(Json::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(Json::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(other) => Err(Error::invalid(NAME, format!("layer {id}: {wanted} is {other}; it is true or false"))),
        };
        let option = match member("queryOption") {
            None => None,
            Some(Json::String(text)) if text.is_empty() => None,
            Some(Json::String(text)) => Some(QueryOption::from_name(text.trim()).ok_or_else(|| {
                Error::invalid(
                    NAME,
                    format!(
                        "layer {id}: queryOption '{}' is not known; it is one of none, useFilter, all",
                        brief(text)
                    ),
                )
            })?),
            Some(other) => {
                return Err(Error::invalid(
                    NAME,
                    format!("layer {id}: queryOption is {other}; it is one of none, useFilter, all"),
                ));
            }
        };
        let where_clause = match member("where") {
            None => None,
            Some(Json::String(text)) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Some(other) => {
                return Err(Error::invalid(NAME, format!("layer {id}: where is {other}; text belongs there")));
            }
        };
        let fields = match member("fields") {
            None => None,
            Some(Json::String(text)) => Some(text.split(',').map(|name| name.trim().to_owned()).collect()),
            Some(Json::Array(names)) => {
                let names: Option<Vec<String>> = names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
                Some(names.ok_or_else(|| {
                    Error::invalid(NAME, format!("layer {id}: fields is a list of names, [\"A\",\"B\"]"))
                })?)
            }
            Some(other) => {
                return Err(Error::invalid(
                    NAME,
                    format!("layer {id}: fields is {other}; a list of names belongs there, [\"A\",\"B\"]"),
                ));
            }
        };
        let query = GivenQuery {
            option,
            use_geometry: flag("useGeometry", true)?,
            include_related: flag("includeRelated", true)?,
            where_clause,
            fields: fields.filter(|names: &Vec<String>| names.iter().any(|name| !name.is_empty())),
        };
        queries.insert(id, query);
    }
    Ok(queries)
}
