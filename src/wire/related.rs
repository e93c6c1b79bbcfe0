//! The parameters of `queryRelatedRecords`, of `queryAttachments` and of the `query` of a service.
//!
//! API reference: *Query Related Records*, *Query Attachments*, *Query (Feature Service)*.

use std::{collections::HashSet, sync::Arc};

use serde_json::{Map, Value as Json, json};

use crate::{
    error::{Error, Result},
    model::{
        id::LayerId,
        layer::{Field, Layer, Service, attachment},
        predicate::Predicate,
        query::{AttachmentQuery, Choice, Page, Query, RelatedOutput, RelatedQuery},
        statistics::Operand,
        value::brief,
    },
};

use super::{
    describe,
    edits::layer_of,
    output,
    params::Params,
    query::{self, clause, columns, fields, global_ids, limits, moment, order, out_srid, sorted_names},
};

/// The most features whose related records are asked for at once.
const MAX_FEATURES: usize = 10_000;

/// Reads a query for records that are related to features of `layer`.
pub(crate) fn parse_related(params: &Params, service: &Service, layer: &Layer) -> Result<RelatedQuery> {
    let object_ids = params.ids("objectIds")?.ok_or_else(|| {
        Error::invalid("objectIds", "it is missing; name the features whose related records are wanted")
    })?;
    if object_ids.len() > MAX_FEATURES {
        return Err(Error::invalid("objectIds", format!("{} ids; the most is {MAX_FEATURES}", object_ids.len())));
    }
    let of_layer =
        || service.relationships.iter().filter(|known| known.origin == layer.key || known.destination == layer.key);
    let id = params
        .integer("relationshipId")?
        .ok_or_else(|| Error::invalid("relationshipId", "it is missing; the layer lists its relationships"))?;
    let relationship = of_layer().find(|known| i64::from(known.id) == id).ok_or_else(|| {
        let known: Vec<String> = of_layer().map(|known| format!("{} ({})", known.id, known.name)).collect();
        let known = if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
        Error::invalid("relationshipId", format!("layer {} takes part in no relationship {id}; {known}", layer.id))
    })?;
    // Of a table that is related to itself, the features are those that others belong to.
    let (layer_field, related, related_field) = match relationship.origin == layer.key {
        true => (relationship.origin_field, relationship.destination, relationship.destination_field),
        false => (relationship.destination_field, relationship.origin, relationship.origin_field),
    };
    let related = service
        .layer_by_key(related)
        .ok_or_else(|| Error::NotFound(format!("the layer at the other end of relationship {id} is gone")))?;
    let output = match params.flag(&["returnCountOnly"], false)? {
        true => RelatedOutput::Counts,
        false => {
            let mut fields = fields(params.text("outFields"), related)?;
            if !fields.contains(&related.object_id) {
                fields.insert(0, related.object_id);
            }
            let (offset, limit) = limits(params, related)?;
            let srid = out_srid(params, related)?;
            let form = output::parse(params, related, srid)?;
            let page = Page {
                columns: columns(params, fields, srid, &form)?,
                order: order(params.text("orderByFields"), related)?,
                offset,
                limit,
                all_or_none: false,
            };
            RelatedOutput::Records(page, form.geometry)
        }
    };
    Ok(RelatedQuery {
        layer: layer_of(service, "layer", layer.id)?,
        layer_field,
        object_ids,
        related: related.clone(),
        related_field,
        choice: Choice {
            clauses: Vec::from_iter(clause(params, "definitionExpression", related)?),
            moment: moment(params)?,
            ..Choice::default()
        },
        output,
    })
}

/// Reads a query on several layers of a service.
pub(crate) fn parse_service(params: &Params, service: &Service) -> Result<Vec<(Arc<Layer>, Query)>> {
    let defined = match params.text("layerDefs") {
        None => Vec::new(),
        Some(text) => layer_defs(text)?,
    };
    let mut seen = HashSet::new();
    if let Some(twice) = defined.iter().find(|def| !seen.insert(def.layer)) {
        return Err(Error::invalid(
            "layerDefs",
            format!("layer {} is there twice; join its conditions by OR", twice.layer),
        ));
    }
    // Without definitions, everything is asked of all layers.
    let defined = match defined.is_empty() {
        true => service.layers.iter().map(|layer| Def { layer: layer.id, clause: None, fields: None }).collect(),
        false => defined,
    };
    let mut queries = Vec::with_capacity(defined.len());
    for Def { layer, clause, fields } in defined {
        let layer = layer_of(service, "layerDefs", layer)?;
        let mut own = Params::new();
        for (name, value) in params.pairs() {
            // A layer without times is not restricted by one, as a table is not by an area.
            let passes = !["where", "outFields"].iter().any(|known| name.trim().eq_ignore_ascii_case(known))
                && (layer.rules.time.is_some() || !name.trim().eq_ignore_ascii_case("time"));
            if passes {
                own.push(name.as_str(), value.as_str());
            }
        }
        own.push("where", clause.as_deref().unwrap_or_default());
        own.push("outFields", fields.as_deref().or(params.text("outFields")).unwrap_or("*"));
        let query = query::parse(&own, &layer).map_err(|error| in_layer(error, layer.id))?;
        queries.push((layer, query));
    }
    Ok(queries)
}

/// Says which layer a mistake is about.
fn in_layer(error: Error, layer: LayerId) -> Error {
    match error {
        Error::InvalidParameter { name: "where", problem } => {
            Error::invalid("layerDefs", format!("the definition of layer {layer}: {problem}"))
        }
        Error::InvalidParameter { name, problem } => Error::invalid(name, format!("for layer {layer}: {problem}")),
        other => other,
    }
}

/// What a service's query wants of a layer.
#[derive(Debug, PartialEq)]
struct Def {
    layer: LayerId,
    clause: Option<String>,
    fields: Option<String>,
}

/// Reads `{"0":"a>1"}`, `0:a>1;5:b=2`, or `[{"layerId":0,"where":"a>1","outFields":"*"}]`.
fn layer_defs(text: &str) -> Result<Vec<Def>> {
    let invalid = |problem: String| Error::invalid("layerDefs", problem);
    let id = |text: &str| {
        let bare = text.trim().trim_matches(['"', '\'']);
        bare.parse().map(LayerId).map_err(|_| invalid(format!("'{}' is not the id of a layer", brief(text))))
    };
    let clause = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    if text.starts_with('{') {
        let members: Map<String, Json> = super::params::json("layerDefs", text)?;
        return members
            .iter()
            .map(|(name, value)| match value {
                Json::String(text) => Ok(Def { layer: id(name)?, clause: clause(text), fields: None }),
                Json::Null => Ok(Def { layer: id(name)?, clause: None, fields: None }),
                other => Err(invalid(format!(
                    "the definition of layer {} is {}, and a clause belongs there",
                    brief(name),
                    brief(&other.to_string())
                ))),
            })
            .collect();
    }
    if text.starts_with('[') {
        let elements: Vec<Map<String, Json>> = super::params::json("layerDefs", text)?;
        return elements
            .iter()
            .map(|element| {
                let member = |wanted: &str| {
                    element.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
                };
                let layer = match member("layerId").or_else(|| member("id")) {
                    Some(Json::String(text)) => id(text)?,
                    Some(other) => id(&other.to_string())?,
                    None => return Err(invalid("an element has no layerId".to_owned())),
                };
                let fields = match member("outFields") {
                    Some(Json::Array(names)) => {
                        Some(names.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(","))
                    }
                    Some(Json::String(names)) => clause(names),
                    _ => None,
                };
                Ok(Def { layer, clause: member("where").and_then(Json::as_str).and_then(clause), fields })
            })
            .collect();
    }
    // A clause may contain the marks that separate definitions, but not within a number and a colon.
    let mut defs: Vec<Def> = Vec::new();
    for part in parts(text) {
        let (layer, text) = part.split_once(':').ok_or_else(|| {
            invalid(format!(
                "'{}' is not written id:clause, {{\"id\":\"clause\"}} or [{{\"layerId\":id,\"where\":\"clause\"}}]",
                brief(part)
            ))
        })?;
        defs.push(Def { layer: id(layer)?, clause: clause(text), fields: None });
    }
    Ok(defs)
}

/// Splits at semicolons that are not in quotes.
fn parts(text: &str) -> Vec<&str> {
    let mut quoted = false;
    text.split(|c| {
        quoted ^= c == '\'';
        c == ';' && !quoted
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
    .collect()
}

/// Reads a query for attachments of features of `layer`.
pub(crate) fn parse_attachments(params: &Params, layer: &Layer, table_of: &Layer) -> Result<AttachmentQuery> {
    let asked = ["objectIds", "globalIds", "definitionExpression", "where"];
    if params.get(&asked).is_none() {
        return Err(Error::invalid(
            "objectIds",
            "it is missing; say whose attachments are wanted by objectIds, globalIds or definitionExpression, such as 1=1",
        ));
    }
    if params.flag(&["returnDistinctKeywords"], false)? {
        return Err(Error::NotSupported("returnDistinctKeywords=true is not supported; leave it out".to_owned()));
    }
    let known = attachment_fields(table_of);
    let words = |name: &'static str| -> Vec<String> {
        let list = params.text(name).unwrap_or_default();
        let marks: &[char] = &['[', ']', '"', '\'', ' '];
        let words = list.split(',').map(|word| word.trim_matches(marks).to_lowercase());
        words.filter(|word| !word.is_empty()).collect()
    };
    let clause = match params.text("attachmentsDefinitionExpression").or(params.text("attachmentsWhere")) {
        Some(text) if text.replace(' ', "") != "1=1" => Some(
            Predicate::parse(text, &known)
                .map_err(|error| Error::invalid("attachmentsDefinitionExpression", error.to_string()))?,
        ),
        _ => None,
    };
    let mut order = Vec::new();
    for (name, descending) in sorted_names(params.text("orderByFields")) {
        let found = known.iter().position(|field| field.name.eq_ignore_ascii_case(name));
        order.push((Operand::Field(found.ok_or_else(|| unknown_field(name, &known))?), descending));
    }
    let (offset, limit) = limits(params, layer)?;
    let offset = if offset == 0 { params.integer("offset")?.unwrap_or(0).max(0) } else { offset };
    let mut features = Choice {
        object_ids: params.ids("objectIds")?,
        global_ids: global_ids(params)?,
        moment: moment(params)?,
        ..Choice::default()
    };
    for name in ["definitionExpression", "where"] {
        features.clauses.extend(query::clause(params, name, layer)?);
    }
    Ok(AttachmentQuery {
        features,
        clause,
        types: words("attachmentTypes"),
        size_bytes: size(params)?,
        keywords: words("keywords"),
        order,
        offset,
        limit,
        count: params.flag(&["returnCountOnly"], false)?,
    })
}

fn unknown_field(name: &str, known: &[Field]) -> Error {
    let names: Vec<&str> = known.iter().map(|field| field.name.as_str()).collect();
    Error::invalid(
        "orderByFields",
        format!("attachments have no field '{}'; the fields are {}", brief(name), names.join(", ")),
    )
}

/// Reads `min,max`, either of which may be missing.
fn size(params: &Params) -> Result<(Option<i64>, Option<i64>)> {
    let Some(text) = params.text("size") else { return Ok((None, None)) };
    let wrong = || Error::invalid("size", format!("'{}' is not written min,max in bytes", brief(text)));
    let bound = |text: &str| match text.trim() {
        "" | "null" => Ok(None),
        number => number.parse::<i64>().map(Some).map_err(|_| wrong()),
    };
    let (least, most) = text.trim_matches(['[', ']']).split_once(',').unwrap_or((text, ""));
    match (bound(least)?, bound(most)?) {
        (Some(least), Some(most)) if least > most => {
            Err(Error::invalid("size", format!("the least, {least}, exceeds the most, {most}")))
        }
        bounds => Ok(bounds),
    }
}

/// The fields of attachments under the names that clients know, in the order of the columns.
fn attachment_fields(table_of: &Layer) -> Vec<Field> {
    let mut fields = table_of.fields.clone();
    for (index, name) in [
        (attachment::ID, "attachmentid"),
        (attachment::GLOBAL_ID, "globalid"),
        (attachment::PARENT, "rel_globalid"),
        (attachment::NAME, "att_name"),
        (attachment::CONTENT_TYPE, "content_type"),
        (attachment::SIZE, "data_size"),
        (attachment::KEYWORDS, "keywords"),
    ] {
        if let Some(field) = fields.get_mut(index) {
            name.clone_into(&mut field.name);
            name.clone_into(&mut field.alias);
        }
    }
    fields
}

/// The fields of attachments as an answer lists them.
pub(crate) fn attachment_field_list(table_of: &Layer) -> Json {
    attachment_fields(table_of)
        .iter()
        .enumerate()
        .filter(|(index, _)| *index != attachment::SHA256)
        .map(|(_, field)| {
            let mut shown = json!({"name": field.name, "type": describe::field_type_name(field), "alias": field.alias});
            if let Some(length) = describe::length(field) {
                shown["length"] = length.into();
            }
            shown
        })
        .collect()
}
