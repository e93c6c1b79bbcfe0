//! The resources of the books: parameters and documents. They are Syncline's own, beside those of the API.

use serde_json::{Map, Value as Json, json};

use crate::{
    error::{Error, Result},
    model::{
        edit::EditResult,
        id::{Generation, GlobalId, LayerKey, ReplicaId},
        layer::{Layer, Service},
        provenance::EditOperation,
        value::brief,
    },
};

use super::{
    edits::{layer_of, result_json},
    params::Params,
};

/// How many entries a page has if nobody says.
const DEFAULT_PAGE: i64 = 100;
/// The most entries of a page.
const MAX_PAGE: i64 = 1_000;

/// Reads `resultOffset` and `resultRecordCount`.
pub(crate) fn page(params: &Params) -> Result<(i64, i64)> {
    let offset = params.integer("resultOffset")?.unwrap_or(0);
    let limit = params.integer("resultRecordCount")?.unwrap_or(DEFAULT_PAGE);
    if offset < 0 {
        return Err(Error::invalid("resultOffset", format!("{offset} is negative; it says how many to pass over")));
    }
    if !(1..=MAX_PAGE).contains(&limit) {
        return Err(Error::invalid("resultRecordCount", format!("{limit} is not within 1 to {MAX_PAGE}")));
    }
    Ok((offset, limit))
}

/// Reads `layer`, the id of a layer or table.
pub(crate) fn layer(params: &Params, service: &Service) -> Result<Option<std::sync::Arc<Layer>>> {
    let Some(id) = params.integer("layer")? else { return Ok(None) };
    let id = i32::try_from(id).map_err(|_| Error::invalid("layer", format!("{id} is not the id of a layer")))?;
    layer_of(service, "layer", crate::model::id::LayerId(id)).map(Some)
}

/// Reads `replicaID`.
pub(crate) fn replica(params: &Params) -> Result<Option<ReplicaId>> {
    let Some(text) = params.text("replicaID") else { return Ok(None) };
    let read = ReplicaId::parse(text);
    read.map(Some).ok_or_else(|| Error::invalid("replicaID", format!("'{}' is not the id of a replica", brief(text))))
}

/// Reads `connected`: whether what connected clients sent is wanted, or what replicas uploaded.
pub(crate) fn connected(params: &Params) -> Result<Option<bool>> {
    match params.text("connected") {
        None => Ok(None),
        Some(_) => params.flag(&["connected"], false).map(Some),
    }
}

/// Reads `operation`: the name of one that brings edits.
pub(crate) fn operation(params: &Params) -> Result<Option<EditOperation>> {
    const KNOWN: &str = "synchronizeReplica, applyEdits, addFeatures, updateFeatures, deleteFeatures, calculate, truncate, append, \
         addAttachment, updateAttachment, deleteAttachments";
    params.word("operation", KNOWN, EditOperation::from_name)
}

/// Reads `globalId`.
pub(crate) fn global_id(params: &Params) -> Result<Option<GlobalId>> {
    let Some(text) = params.text("globalId") else { return Ok(None) };
    let read = GlobalId::parse(text);
    read.map(Some).ok_or_else(|| Error::invalid("globalId", format!("'{}' is not a global id", brief(text))))
}

/// Reads `outcome`: whether refused edits are wanted, or applied ones.
pub(crate) fn refused(params: &Params) -> Result<Option<bool>> {
    params.word("outcome", "applied, refused", |word| match word.to_ascii_lowercase().as_str() {
        "applied" => Some(false),
        "refused" => Some(true),
        _ => None,
    })
}

/// Reads `serverGens`: none, one, or two generations.
pub(crate) fn generations(params: &Params) -> Result<(Option<Generation>, Option<Generation>)> {
    const NAME: &str = "serverGens";
    let read = |number: i64| {
        Generation::new(number)
            .ok_or_else(|| Error::invalid(NAME, format!("{number} is not a generation that this server gave out")))
    };
    match params.ids(NAME)?.as_deref() {
        None => Ok((None, None)),
        Some([one]) => Ok((Some(read(*one)?), None)),
        Some([one, other]) => Ok((Some(read(*one)?), Some(read(*other)?))),
        Some(more) => Err(Error::invalid(NAME, format!("{} generations; one or two belong there", more.len()))),
    }
}

/// The number of an entry, out of an address.
pub(crate) fn number(what: &str, text: &str) -> Result<i64> {
    text.parse().map_err(|_| Error::NotFound(format!("{what} {} not found: its number is a whole number", brief(text))))
}

/// A list and whether there is more of it.
pub(crate) fn list(name: &str, items: Vec<Json>, more: bool) -> Map<String, Json> {
    let mut shown = Map::new();
    shown.insert(name.to_owned(), items.into());
    shown.insert("exceededTransferLimit".to_owned(), more.into());
    shown
}

/// The id of a layer, and whether its attachments are meant; null if it is no longer published.
pub(crate) fn layer_json(service: &Service, key: LayerKey) -> Json {
    match service.tracked().find(|layer| layer.key == key) {
        None => Json::Null,
        Some(layer) => layer.id.0.into(),
    }
}

/// What became of an edit: the API's result, and which edit it was.
pub(crate) fn receipt(service: &Service, layer: LayerKey, result: &EditResult) -> Map<String, Json> {
    let mut shown = Map::new();
    shown.insert("layer".to_owned(), layer_json(service, layer));
    shown.insert("operation".to_owned(), result.op.name().into());
    if let Json::Object(result) = result_json(result) {
        shown.extend(result);
    }
    if let Some(attributes) = &result.passed_over {
        shown.insert("passedOver".to_owned(), embedded(Some(attributes)));
    }
    shown
}

/// A text that holds JSON, as JSON; as text if it holds none.
pub(crate) fn embedded(text: Option<&str>) -> Json {
    match text {
        None => Json::Null,
        Some(text) => serde_json::from_str(text).unwrap_or_else(|_| json!(text)),
    }
}
