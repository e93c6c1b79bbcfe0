//! The parameters of extractChanges.
//!
//! API reference: *Extract Changes (Feature Service)*. Needs no replica: whoever asks keeps the generations that the answer
//! names, and asks for what comes after them.

use std::sync::Arc;

use serde_json::{Map, Value as Json};

use crate::{
    error::{Error, Result},
    model::{
        filter::{Area, LayerQuery, QueryOption},
        id::{Generation, LayerId},
        layer::{Layer, Service},
        query::ChangeKinds,
        value::brief,
    },
};

use super::{
    edits::layer_of,
    geometry::parse_spatial_reference,
    job::asynchronous,
    layer_queries::layer_queries,
    options::layer_generations,
    params::{Params, json as parse_json},
    replica::{Transport, area, attachments_by_url, check_what_has_no_effect, refuse_what_is_missing},
};

/// What extractChanges asks for.
#[derive(Debug)]
pub(crate) struct ExtractChangesRequest {
    /// The layers, each with its window.
    pub(crate) layers: Vec<ExtractedLayer>,
    /// The area that `layerQueries` refer to.
    pub(crate) area: Option<Area>,
    /// The spatial reference of what comes out.
    pub(crate) srid: i32,
    /// Which changes.
    pub(crate) kinds: ChangeKinds,
    /// In which form.
    pub(crate) output: Output,
    /// Whether it is to be said that geometries were updated.
    pub(crate) has_geometry_updates: bool,
    /// Whether changes of attachments are told, too, and where their bytes are.
    pub(crate) attachments: Option<Attachments>,
    /// How the answer is wanted.
    pub(crate) transport: Transport,
}

/// Where the bytes of attachments are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attachments {
    /// Behind addresses.
    ByUrl,
    /// In the answer.
    Embedded,
}

/// A layer and the part of its history that is wanted.
#[derive(Debug)]
pub(crate) struct ExtractedLayer {
    /// The layer.
    pub(crate) layer: Arc<Layer>,
    /// Which rows.
    pub(crate) query: LayerQuery,
    /// Changes after this generation …
    pub(crate) after: Generation,
    /// … up to this one; `None`: the newest.
    pub(crate) upto: Option<Generation>,
    /// The fields of which it is to be said whether they changed.
    pub(crate) compared: Vec<usize>,
}

/// What is told of changed rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// The rows.
    Features {
        /// Whether rows that went are told as they were, and not by their global ids alone.
        deleted: bool,
    },
    /// Their object ids.
    Ids,
    /// The box round them, divided into so many columns and rows of which those with changes are told.
    Extent {
        /// How many, each way.
        cells: Option<i32>,
    },
}

impl ExtractChangesRequest {
    /// Reads the parameters in the light of the service.
    pub(crate) fn parse(params: &Params, service: &Service) -> Result<ExtractChangesRequest> {
        refuse_what_is_missing(params)?;
        check_what_has_no_effect(params)?;
        if let Some(version) = params.text("gdbVersion").filter(|version| !version.eq_ignore_ascii_case("sde.DEFAULT"))
        {
            return Err(Error::NotSupported(format!(
                "gdbVersion={} is not there: this service has no versions; leave it out",
                brief(version)
            )));
        }
        let by_url = attachments_by_url(params)?;
        let attachments = params.flag(&["returnAttachments"], false)?.then_some(if by_url {
            Attachments::ByUrl
        } else {
            Attachments::Embedded
        });
        let output = output(params)?;
        let kinds = kinds(params)?;
        let mut layers = windows(params, service)?;
        select_rows(params, &mut layers)?;
        compare_fields(params, &mut layers)?;
        let area = area(params, service)?;
        let out_sr = params.text("outSR").map_or(Ok(None), |text| parse_spatial_reference("outSR", text))?;
        // Without a wish, the answer comes in the response, as clients expect of a call that is not asynchronous.
        let transport = match params.text("transportType") {
            None if !asynchronous(params)? => Transport::Embedded,
            _ => Transport::parse(params)?,
        };
        Ok(ExtractChangesRequest {
            layers,
            area,
            srid: out_sr.unwrap_or_else(|| service.srid()),
            kinds,
            output,
            has_geometry_updates: params.flag(&["returnHasGeometryUpdates"], false)?,
            attachments,
            transport,
        })
    }
}

fn output(params: &Params) -> Result<Output> {
    let deleted = params.flag(&["returnDeletedFeatures"], false)?;
    let (ids, extent) = (params.flag(&["returnIdsOnly"], false)?, params.flag(&["returnExtentOnly"], false)?);
    let cells = params
        .word("changesExtentGridCell", "none, large, medium, small", |text| {
            Some(match text.to_ascii_lowercase().as_str() {
                "none" => None,
                "large" => Some(4),
                "medium" => Some(8),
                "small" => Some(16),
                _ => return None,
            })
        })?
        .flatten();
    if ids && extent {
        return Err(Error::invalid(
            "returnExtentOnly",
            "returnIdsOnly and returnExtentOnly exclude each other; send one of them",
        ));
    }
    if cells.is_some() && !extent {
        return Err(Error::invalid(
            "changesExtentGridCell",
            "it divides an extent; send returnExtentOnly=true with it",
        ));
    }
    Ok(match (ids, extent) {
        (true, _) => Output::Ids,
        (_, true) => Output::Extent { cells },
        _ => Output::Features { deleted },
    })
}

/// Which changes are wanted. Addresses that other servers hand to web hooks name only what is not wanted, so what is not
/// named is wanted if nothing else is.
fn kinds(params: &Params) -> Result<ChangeKinds> {
    let wanted = |name: &'static str, unsaid: bool| match params.get(&[name]) {
        None => Ok(unsaid),
        Some(_) => params.flag(&[name], false),
    };
    let all = |unsaid: bool| -> Result<ChangeKinds> {
        Ok(ChangeKinds {
            inserts: wanted("returnInserts", unsaid)?,
            updates: wanted("returnUpdates", unsaid)?,
            deletes: wanted("returnDeletes", unsaid)?,
        })
    };
    let nothing = ChangeKinds { inserts: false, updates: false, deletes: false };
    let named = all(false)?;
    let kinds = if named == nothing { all(true)? } else { named };
    if kinds == nothing {
        return Err(Error::invalid(
            "returnInserts",
            "returnInserts, returnUpdates and returnDeletes are all false, so nothing is asked for; set at least one to true",
        ));
    }
    Ok(kinds)
}

/// The layers that take part, each with its window.
fn windows(params: &Params, service: &Service) -> Result<Vec<ExtractedLayer>> {
    let ids = params.ids("layers")?.map(|ids| layer_ids(&ids)).transpose()?;
    let all = params.ids("serverGens")?;
    let each = params.json::<Json>("layerServerGens")?;
    let layer = |name: &'static str, id: LayerId, after: Generation, upto: Option<Generation>| {
        Ok(ExtractedLayer {
            layer: layer_of(service, name, id)?,
            query: everything(),
            after,
            upto,
            compared: Vec::new(),
        })
    };
    match (all, each) {
        (Some(_), Some(_)) => {
            Err(Error::invalid("serverGens", "serverGens and layerServerGens exclude each other; send one of them"))
        }
        (None, None) => Err(Error::invalid(
            "serverGens",
            "it is missing; send serverGens or layerServerGens with the generation after which changes are wanted, as \
             changeTrackingInfo of the service or the last answer named it",
        )),
        (Some(numbers), None) => {
            let (after, upto) = window(&numbers)?;
            let ids = ids.unwrap_or_else(|| service.layers.iter().map(|layer| layer.id).collect());
            ids.into_iter().map(|id| layer("layers", id, after, upto)).collect()
        }
        (None, Some(each)) => {
            const NAME: &str = "layerServerGens";
            let mut known = layer_generations(NAME, NAME, &each)?;
            if let Some(ids) = &ids {
                // Clients name more layers than they have generations of; the answer names those that took part.
                for id in ids {
                    layer_of(service, "layers", *id)?;
                }
                known.retain(|(id, _)| ids.contains(id));
            }
            if known.is_empty() {
                return Err(Error::invalid(NAME, "it has no generation of any of the layers"));
            }
            known.into_iter().map(|(id, after)| layer(NAME, id, after, None)).collect()
        }
    }
}

fn layer_ids(numbers: &[i64]) -> Result<Vec<LayerId>> {
    let mut ids: Vec<LayerId> = Vec::with_capacity(numbers.len());
    for number in numbers {
        let id = i32::try_from(*number)
            .map(LayerId)
            .map_err(|_| Error::invalid("layers", format!("{number} is not the id of a layer")))?;
        if ids.contains(&id) {
            return Err(Error::invalid("layers", format!("layer {id} is named twice")));
        }
        ids.push(id);
    }
    Ok(ids)
}

/// `g`, or `[min,max]`.
fn window(numbers: &[i64]) -> Result<(Generation, Option<Generation>)> {
    const NAME: &str = "serverGens";
    let generation = |number: i64| {
        Generation::new(number)
            .ok_or_else(|| Error::invalid(NAME, format!("{number} is not a generation that this server gives out")))
    };
    match *numbers {
        [after] => Ok((generation(after)?, None)),
        [after, upto] if after <= upto => Ok((generation(after)?, Some(generation(upto)?))),
        [after, upto] => {
            Err(Error::invalid(NAME, format!("{after} is after {upto}; the older generation comes first")))
        }
        _ => {
            Err(Error::invalid(NAME, format!("it has {} numbers; one belongs there, or two: [min,max]", numbers.len())))
        }
    }
}

/// Rows are not restricted unless somebody says so, also those of tables.
fn everything() -> LayerQuery {
    LayerQuery { option: QueryOption::UseFilter, use_geometry: true, include_related: false, where_clause: None }
}

fn select_rows(params: &Params, layers: &mut [ExtractedLayer]) -> Result<()> {
    for (id, given) in layer_queries(params)? {
        let Some(layer) = layers.iter_mut().find(|layer| layer.layer.id.0 == id) else {
            return Err(Error::invalid("layerQueries", format!("layer {id} is not among the layers of the request")));
        };
        layer.query = given.or(&everything());
    }
    Ok(())
}

/// Reads `{"fields":["A","B"]}`.
fn compare_fields(params: &Params, layers: &mut [ExtractedLayer]) -> Result<()> {
    const NAME: &str = "fieldsToCompare";
    let Some(text) = params.text(NAME).filter(|text| !matches!(*text, "null" | "{}" | "[]")) else { return Ok(()) };
    let wrong = || Error::invalid(NAME, format!("it is {}; {{\"fields\":[\"A\",\"B\"]}} belongs there", brief(text)));
    let given: Json = parse_json(NAME, text)?;
    let list = match &given {
        Json::Object(members) => member(members, "fields").ok_or_else(wrong)?,
        other => other,
    };
    for name in list.as_array().ok_or_else(wrong)? {
        let name = name.as_str().ok_or_else(wrong)?;
        let mut known = false;
        for layer in layers.iter_mut() {
            if let Some(index) = layer.layer.visible_field(name) {
                known = true;
                layer.compared.push(index);
            }
        }
        if !known {
            return Err(Error::invalid(NAME, format!("none of the layers has a field '{}'", brief(name))));
        }
    }
    Ok(())
}

fn member<'a>(members: &'a Map<String, Json>, wanted: &str) -> Option<&'a Json> {
    members.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
}
