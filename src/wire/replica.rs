//! The parameters of createReplica, synchronizeReplica and unRegisterReplica, and the documents about replicas.
//!
//! API reference: *Create Replica*, *Synchronize Replica*, *Unregister Replica*, *Replicas*, *Replica Info*. Not supported yet, and
//! refused by name: formats other than JSON.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use crate::{
    error::{Error, Result},
    model::{
        edit::{AttachmentEdits, FailurePolicy, LayerEdits},
        filter::{Area, LayerQuery},
        id::{Generation, LayerId, LayerKey, ReplicaId},
        layer::{Layer, Service},
        replica::{AttachmentsDirection, NewReplica, Replica, ReplicaLayer, SyncDirection, SyncModel, TargetType},
        value::brief,
    },
};

use super::{
    edits::{SyncEdits, Writes, layer_of, parse_sync_edits},
    geometry::{area_json, parse_area, parse_spatial_reference, spatial_reference},
    job::asynchronous,
    layer_queries::layer_queries,
    options::{Purpose, Reference, target_and_direction},
    params::{Params, json as parse_json},
};

/// How an answer reaches the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// In the response.
    Embedded,
    /// As a file behind a URL.
    Url,
}

impl Transport {
    /// Reads `transportType`. A job delivers by URL, whatever it says.
    pub(super) fn parse(params: &Params) -> Result<Transport> {
        let asynchronous = asynchronous(params)?;
        let read = |text: &str| match text.to_ascii_lowercase().as_str() {
            "esritransporttypeurl" => Some(Transport::Url),
            "esritransporttypeembedded" => Some(Transport::Embedded),
            _ => None,
        };
        let given = params.word("transportType", "esriTransportTypeUrl, esriTransportTypeEmbedded", read)?;
        Ok(given.filter(|_| !asynchronous).unwrap_or(Transport::Url))
    }

    /// The API's spelling.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Transport::Embedded => "esriTransportTypeEmbedded",
            Transport::Url => "esriTransportTypeUrl",
        }
    }
}

/// What createReplica asks for.
#[derive(Debug)]
pub(crate) struct CreateReplicaRequest {
    /// What is to be made.
    pub(crate) purpose: Purpose,
    /// The replica, or what an export has in common with one. Without layers if they are those of a reference.
    pub(crate) replica: NewReplica,
    /// How the data is wanted.
    pub(crate) transport: Transport,
    /// Whether the contents of attachments are given as addresses instead of in the document.
    pub(crate) attachments_by_url: bool,
    /// Of an export: the fields of each layer that are wanted; `None`: all.
    pub(crate) fields: Vec<Option<Vec<usize>>>,
}

impl CreateReplicaRequest {
    /// Reads the parameters in the light of the service.
    pub(crate) fn parse(params: &Params, service: &Service) -> Result<CreateReplicaRequest> {
        refuse_what_is_missing(params)?;
        check_what_has_no_effect(params)?;
        let (purpose, sync_model) = Purpose::parse(params)?;
        let (target, direction) = target_and_direction(params)?;
        let ids = match (params.ids("layers")?, &purpose) {
            (Some(ids), _) => ids,
            // The layers are those of the replica that the client has a copy of.
            (None, Purpose::Existing(Reference { id: Some(_), .. })) => Vec::new(),
            (None, _) => {
                return Err(Error::invalid(
                    "layers",
                    "it is missing; name the layers and tables of the replica, for instance layers=0,1",
                ));
            }
        };
        let mut queries = layer_queries(params)?;
        let mut layers: Vec<(Arc<Layer>, LayerQuery)> = Vec::with_capacity(ids.len());
        let mut fields = Vec::with_capacity(ids.len());
        for id in ids {
            let id = i32::try_from(id)
                .map(LayerId)
                .map_err(|_| Error::invalid("layers", format!("{id} is not the id of a layer")))?;
            let layer = layer_of(service, "layers", id)?;
            if layers.iter().any(|(known, _)| known.key == layer.key) {
                return Err(Error::invalid("layers", format!("layer {id} is named twice")));
            }
            let given = queries.remove(&id.0);
            // Who synchronizes gets whole rows later, so that the first ones are whole, too.
            fields.push(match (&given, &purpose) {
                (Some(given), Purpose::Export) => given.fields(&layer)?,
                _ => None,
            });
            let query =
                given.map_or_else(|| LayerQuery::default_for(layer.shape.is_some()), |given| given.resolve(&layer));
            layers.push((layer, query));
        }
        if let Some((id, _)) = queries.pop_first() {
            return Err(Error::invalid("layerQueries", format!("layer {id} is not among the layers of the replica")));
        }
        let reference =
            |name: &'static str| params.text(name).map_or(Ok(None), |text| parse_spatial_reference(name, text));
        let area = area(params, service)?;
        let name = params.text("replicaName").map(str::to_owned);
        if let Some(name) = &name {
            if name.chars().count() > 250 {
                return Err(Error::invalid("replicaName", "it is longer than 250 characters"));
            }
            if name.contains('\0') {
                return Err(Error::invalid("replicaName", "it has a NUL character (U+0000), which cannot be stored"));
            }
        }
        let (return_attachments, attachments_direction) = match purpose {
            // What is never synchronized has no direction.
            Purpose::Export => (params.flag(&["returnAttachments"], false)?, AttachmentsDirection::None),
            _ => attachments(params)?,
        };
        Ok(CreateReplicaRequest {
            replica: NewReplica {
                name,
                sync_model,
                target,
                direction,
                srid: reference("replicaSR")?.unwrap_or_else(|| service.srid()),
                area,
                return_attachments,
                attachments_direction,
                layers,
            },
            purpose,
            transport: Transport::parse(params)?,
            attachments_by_url: attachments_by_url(params)?,
            fields,
        })
    }
}

/// Reads `geometry` and `inSR`.
pub(super) fn area(params: &Params, service: &Service) -> Result<Option<Area>> {
    let in_srid = params.text("inSR").map_or(Ok(None), |text| parse_spatial_reference("inSR", text))?;
    Ok(match params.text("geometry").filter(|text| !matches!(*text, "{}" | "null")) {
        None => None,
        Some(text) => parse_area("geometry", text, in_srid.unwrap_or_else(|| service.srid()))?
            .map(|geometry| Area { json: area_json(&geometry, text), geometry }),
    })
}

/// How attachments take part in a new replica: whether they come with it, and which way they go afterwards.
fn attachments(params: &Params) -> Result<(bool, AttachmentsDirection)> {
    let wanted = params.flag(&["returnAttachments"], false)?;
    let direction = match params.get(&["attachmentsSyncDirection", "attachmentSyncDirection"]) {
        None => None,
        Some(word) => Some(AttachmentsDirection::from_name(word.trim_matches('"')).ok_or_else(|| {
            Error::invalid(
                "attachmentsSyncDirection",
                format!("'{}' is not known; it is one of bidirectional, upload, none", brief(word)),
            )
        })?),
    };
    match (wanted, direction) {
        (false, Some(AttachmentsDirection::Bidirectional)) => Err(Error::invalid(
            "attachmentsSyncDirection",
            "bidirectional needs returnAttachments=true: a client that has no attachments cannot be sent changes of them; \
             set returnAttachments=true, or use upload or none",
        )),
        // The documents call true with none invalid, yet published clients send it by default.
        (wanted, Some(direction)) => Ok((wanted, direction)),
        (true, None) => Ok((true, AttachmentsDirection::Bidirectional)),
        (false, None) => Ok((false, AttachmentsDirection::None)),
    }
}

/// Reads `returnAttachmentsDataByUrl`.
pub(super) fn attachments_by_url(params: &Params) -> Result<bool> {
    params.flag(&["returnAttachmentsDataByUrl", "returnAttachmentDataByUrl"], true)
}

/// Refuses by name what would otherwise be passed over in silence.
pub(super) fn refuse_what_is_missing(params: &Params) -> Result<()> {
    let refuse = |what: &str| Err(Error::NotSupported(format!("{what} is not supported yet; leave it out")));
    if let Some(format) = params.text("dataFormat").filter(|format| !format.eq_ignore_ascii_case("json")) {
        return Err(Error::NotSupported(format!("dataFormat={} is not supported yet; use json", brief(format))));
    }
    // Not advertised. PostGIS chooses the transformation, and to pass over a wish for another one would shift features.
    for name in ["datumTransformations", "datumTransformation"] {
        if params.get(&[name]).is_some_and(|value| !matches!(value, "null" | "{}" | "[]")) {
            return refuse(name);
        }
    }
    Ok(())
}

/// Checks what has no effect here: a JSON geometry says its own type, no layer has dates in an unknown time zone, and no
/// layer has branch versions.
pub(super) fn check_what_has_no_effect(params: &Params) -> Result<()> {
    const TYPES: &str = "esriGeometryPoint, Multipoint, Polyline, Polygon, Envelope";
    params.word("geometryType", TYPES, |text| {
        let bare = text.to_ascii_lowercase();
        let known = ["point", "multipoint", "polyline", "polygon", "envelope"];
        known.contains(&bare.strip_prefix("esrigeometry").unwrap_or(&bare)).then_some(())
    })?;
    params.flag(&["timeReferenceUnknownClient"], false)?;
    params.flag(&["reconcileBranchVersion"], false)?;
    Ok(())
}

/// What synchronizeReplica asks for, before the replica is known.
#[derive(Debug)]
pub(crate) struct SynchronizeReplicaRequest<'a> {
    params: &'a Params,
    /// Which replica.
    pub(crate) replica: ReplicaId,
    /// How the answer is wanted.
    pub(crate) transport: Transport,
    /// Whether the replica is to be unregistered afterwards.
    pub(crate) close: bool,
    /// Whether the ids of added features are wanted.
    pub(crate) return_ids_for_adds: bool,
    /// Whether the contents of attachments are given as addresses instead of in the document.
    pub(crate) attachments_by_url: bool,
    /// The upload that has the edits, if they do not come with the request.
    pub(crate) edits_upload: Option<&'a str>,
}

/// What a synchronization will do.
#[derive(Debug)]
pub(crate) struct SyncPlan {
    /// The layers that take part.
    pub(crate) layers: Vec<PlannedLayer>,
    /// The edits to apply to features.
    pub(crate) edits: Vec<LayerEdits>,
    /// The edits to apply to attachments.
    pub(crate) attachments: Vec<AttachmentEdits>,
    /// What a refused edit does to the others.
    pub(crate) policy: FailurePolicy,
}

/// A layer that takes part in a synchronization.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlannedLayer {
    /// Its position among the replica's layers.
    pub(crate) index: usize,
    /// Which way.
    pub(crate) direction: SyncDirection,
    /// The generation that the client has; always there for a delta.
    pub(crate) presented: Option<Generation>,
    /// For a server's upload: the generation of that server that the layer reaches with it.
    pub(crate) sibling: Option<Generation>,
}

impl<'a> SynchronizeReplicaRequest<'a> {
    /// Reads what can be read without the replica.
    pub(crate) fn parse(params: &'a Params) -> Result<SynchronizeReplicaRequest<'a>> {
        refuse_what_is_missing(params)?;
        check_what_has_no_effect(params)?;
        let id = params
            .text("replicaID")
            .ok_or_else(|| Error::invalid("replicaID", "it is missing; it names the replica to synchronize"))?;
        Ok(SynchronizeReplicaRequest {
            params,
            replica: ReplicaId::parse(id).ok_or_else(|| Error::ReplicaNotFound { id: id.to_owned() })?,
            transport: Transport::parse(params)?,
            close: params.flag(&["closeReplica"], false)?,
            return_ids_for_adds: params.flag(&["returnIdsForAdds"], false)?,
            attachments_by_url: attachments_by_url(params)?,
            edits_upload: edits_upload(params)?,
        })
    }

    /// Reads the rest in the light of the replica. `uploaded` is the text of the upload that has the edits.
    pub(crate) fn resolve(&self, replica: &Replica, uploaded: Option<&str>) -> Result<SyncPlan> {
        let direction =
            self.params.word("syncDirection", "bidirectional, upload, download, snapshot", SyncDirection::from_name)?;
        let mut layers = match replica.sync_model {
            SyncModel::PerReplica => {
                let direction = direction.unwrap_or(replica.direction);
                // A snapshot begins anew, whatever the client has.
                let presented = match direction {
                    SyncDirection::Snapshot => None,
                    _ => self.generation("replicaServerGen")?,
                };
                require_generation(
                    "replicaServerGen",
                    direction,
                    presented,
                    "synchronizing a perReplica replica in this direction",
                )?;
                let sibling = self.sibling(replica, self.params.integer("replicaServerSibGen")?)?;
                (0..replica.layers.len()).map(|index| PlannedLayer { index, direction, presented, sibling }).collect()
            }
            SyncModel::PerLayer => self.sync_layers(replica, direction)?,
        };
        for planned in &mut layers {
            if replica.target == TargetType::Server {
                // Before the first exchange the other server knows no generation of this one, but has what the replica was made of.
                let base = replica.layers[planned.index].base;
                planned.presented = planned.presented.map(|presented| presented.max(base));
            }
            if !replica.direction.allows(planned.direction) {
                return Err(Error::invalid(
                    "syncDirection",
                    format!(
                        "the replica was created with syncDirection={}, which does not allow {}",
                        replica.direction.name(),
                        planned.direction.name()
                    ),
                ));
            }
        }
        let edits = match uploaded.map(edits_of_file).transpose()?.or(given_edits(self.params)) {
            Some(text) if layers.iter().any(|planned| planned.direction.uploads()) => {
                self.edits(text, replica, &layers)?
            }
            _ => SyncEdits::default(),
        };
        let SyncEdits { features: edits, attachments } = edits;
        let roll_back = self.params.flag(&["rollbackOnFailure"], replica.sync_model == SyncModel::PerReplica)?;
        Ok(SyncPlan {
            layers,
            edits,
            attachments,
            policy: if roll_back { FailurePolicy::RollBack } else { FailurePolicy::Skip },
        })
    }

    /// The edits of a request of a replica that is no longer registered.
    pub(crate) fn rescued(&self, replica: &Replica, uploaded: Option<&str>) -> Result<SyncEdits> {
        let Some(text) = uploaded.map(edits_of_file).transpose()?.or(given_edits(self.params)) else {
            return Ok(SyncEdits::default());
        };
        let all: Vec<PlannedLayer> = (0..replica.layers.len())
            .map(|index| PlannedLayer { index, direction: SyncDirection::Upload, presented: None, sibling: None })
            .collect();
        self.edits(text, replica, &all)
    }

    fn generation(&self, name: &'static str) -> Result<Option<Generation>> {
        self.params.integer(name)?.map_or(Ok(None), |number| generation(name, number).map(Some))
    }

    /// The generation of the other server, if there is one: clients send back what replica info shows them.
    fn sibling(&self, replica: &Replica, given: Option<i64>) -> Result<Option<Generation>> {
        match given {
            Some(number) if replica.target == TargetType::Server && number >= 0 => {
                generation("replicaServerSibGen", number).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn sync_layers(&self, replica: &Replica, default: Option<SyncDirection>) -> Result<Vec<PlannedLayer>> {
        const NAME: &str = "syncLayers";
        let items = self.params.json::<Vec<Map<String, Json>>>(NAME)?.ok_or_else(|| {
            Error::invalid(NAME, "it is missing; a perLayer replica is synchronized with [{\"id\":0,\"serverGen\":…,\"syncDirection\":\"bidirectional\"}]")
        })?;
        let mut layers: Vec<PlannedLayer> = Vec::with_capacity(items.len());
        for item in &items {
            let member =
                |wanted: &str| item.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value);
            let number = |wanted: &str| match member(wanted) {
                None | Some(Json::Null) => Ok(None),
                Some(Json::Number(number)) if number.is_i64() => Ok(number.as_i64()),
                Some(Json::String(text)) if text.trim().parse::<i64>().is_ok() => Ok(text.trim().parse().ok()),
                Some(other) => Err(Error::invalid(NAME, format!("{wanted} is {other}; a whole number belongs there"))),
            };
            let id = number("id")?.ok_or_else(|| Error::invalid(NAME, "an element has no id"))?;
            let index = replica.layers.iter().position(|layer| i64::from(layer.layer.id.0) == id).ok_or_else(|| {
                Error::invalid(NAME, format!("layer {id} is not in the replica, which has {}", layer_ids(replica)))
            })?;
            if layers.iter().any(|known| known.index == index) {
                return Err(Error::invalid(NAME, format!("layer {id} is named twice")));
            }
            let direction = match member("syncDirection") {
                None | Some(Json::Null) => default.unwrap_or(replica.direction),
                Some(Json::String(text)) => SyncDirection::from_name(text.trim()).ok_or_else(|| {
                    Error::invalid(NAME, format!("layer {id}: syncDirection '{}' is not known; it is one of bidirectional, upload, download, snapshot", brief(text)))
                })?,
                Some(other) => return Err(Error::invalid(NAME, format!("layer {id}: syncDirection is {other}"))),
            };
            let presented = match direction {
                SyncDirection::Snapshot => None,
                _ => number("serverGen")?.map(|number| generation(NAME, number)).transpose()?,
            };
            require_generation(
                NAME,
                direction,
                presented,
                &format!("serverGen is missing for layer {id}: synchronizing it in this direction"),
            )?;
            let sibling = self.sibling(replica, number("serverSibGen")?)?;
            layers.push(PlannedLayer { index, direction, presented, sibling });
        }
        Ok(layers)
    }

    fn edits(&self, text: &str, replica: &Replica, layers: &[PlannedLayer]) -> Result<SyncEdits> {
        let sender = match replica.target {
            TargetType::Server => Writes::AllFields,
            TargetType::Client => Writes::EditableFields,
        };
        let mut edits = parse_sync_edits(text, replica.srid, replica.attachments_direction.uploads(), sender, |id| {
            let planned = layers.iter().find(|planned| replica.layers[planned.index].layer.id == id);
            planned.map(|planned| replica.layers[planned.index].layer.clone()).ok_or_else(|| {
                Error::invalid(
                    "edits",
                    format!(
                        "layer {id} does not take part in this synchronization; the replica has {}",
                        layer_ids(replica)
                    ),
                )
            })
        })?;
        let uploads = |key: LayerKey| {
            layers.iter().any(|planned| planned.direction.uploads() && replica.layers[planned.index].layer.key == key)
        };
        edits.features.retain(|edits| !edits.edits.is_empty() && uploads(edits.layer.key));
        edits.attachments.retain(|edits| edits.layer.attached_to.is_some_and(uploads));
        Ok(edits)
    }
}

fn given_edits(params: &Params) -> Option<&str> {
    params.text("edits").filter(|text| *text != "null")
}

/// The upload that has the edits. Edits in two places would be a riddle.
fn edits_upload(params: &Params) -> Result<Option<&str>> {
    const NAME: &str = "editsUploadId";
    let Some(id) = params.text(NAME) else { return Ok(None) };
    if given_edits(params).is_some() {
        return Err(Error::invalid(NAME, "it and 'edits' are both there; send the edits in one of the two ways"));
    }
    match params.text("editsUploadFormat") {
        Some(format) if !format.eq_ignore_ascii_case("json") => Err(Error::NotSupported(format!(
            "editsUploadFormat={} is not supported yet; upload the edits as JSON and use json",
            brief(format)
        ))),
        _ => Ok(Some(id)),
    }
}

/// The edits in an uploaded file: the array itself, or an object that has it under `edits`.
fn edits_of_file(text: &str) -> Result<&str> {
    #[derive(serde::Deserialize)]
    struct Wrapped<'a> {
        #[serde(borrow)]
        edits: &'a serde_json::value::RawValue,
    }
    let text = text.trim_start_matches('\u{feff}').trim();
    if !text.starts_with('{') {
        return Ok(text);
    }
    let wrapped: Wrapped<'_> = serde_json::from_str(text).map_err(|error| {
        Error::invalid(
            "editsUploadId",
            format!("the file is neither an array of edits nor an object with such an array under 'edits': {error}"),
        )
    })?;
    Ok(wrapped.edits.get())
}

fn layer_ids(replica: &Replica) -> String {
    replica.layers.iter().map(|layer| layer.layer.id.to_string()).collect::<Vec<_>>().join(", ")
}

fn generation(name: &'static str, number: i64) -> Result<Generation> {
    Generation::new(number)
        .ok_or_else(|| Error::invalid(name, format!("{number} is not a generation that this server gave out")))
}

fn require_generation(
    name: &'static str,
    direction: SyncDirection,
    presented: Option<Generation>,
    what: &str,
) -> Result<()> {
    if matches!(direction, SyncDirection::Download | SyncDirection::Bidirectional) && presented.is_none() {
        return Err(Error::invalid(
            name,
            format!(
                "{what} needs the generation that the client has, as the last answer gave it; syncDirection=snapshot needs none"
            ),
        ));
    }
    Ok(())
}

/// Which replica unRegisterReplica means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unregister {
    /// None: an old client sends an empty id and expects success.
    Nothing,
    /// All that the caller may touch.
    All,
    /// This one.
    One(ReplicaId),
}

impl Unregister {
    /// Reads the parameters.
    pub(crate) fn parse(params: &Params) -> Result<Unregister> {
        match params.text("replicaID") {
            None => Ok(Unregister::Nothing),
            Some("*") => Ok(Unregister::All),
            Some(id) => {
                ReplicaId::parse(id).map(Unregister::One).ok_or_else(|| Error::ReplicaNotFound { id: id.to_owned() })
            }
        }
    }
}

/// The generations of an answer, under the key that the sync model has for them.
pub(crate) fn generations(model: SyncModel, layers: &[(LayerId, Generation)], into: &mut Map<String, Json>) {
    match model {
        SyncModel::PerReplica => {
            let oldest = layers.iter().map(|(_, generation)| generation.get()).min().unwrap_or(0);
            into.insert("replicaServerGen".to_owned(), oldest.into());
        }
        SyncModel::PerLayer => {
            // In the order of their ids: a published client pairs the lists of two servers by position.
            let mut layers = layers.to_vec();
            layers.sort_by_key(|(id, _)| *id);
            let list: Json =
                layers.iter().map(|(id, generation)| json!({"id": id.0, "serverGen": generation.get()})).collect();
            into.insert("layerServerGens".to_owned(), list);
        }
    }
}

/// Adds what was received from the other server, where that stands in replica info; 0 if it is nothing yet.
fn sibling_generations(replica: &Replica, into: &mut Map<String, Json>) {
    let shown = |sibling: Option<Generation>| sibling.map_or(0, Generation::get);
    match into.get_mut("layerServerGens").and_then(Json::as_array_mut) {
        None => {
            let oldest = replica.layers.iter().map(|layer| shown(layer.sibling)).min().unwrap_or(0);
            into.insert("replicaServerSibGen".to_owned(), oldest.into());
        }
        Some(list) => {
            for item in list {
                let of = |layer: &&ReplicaLayer| item["id"] == layer.layer.id.0;
                let sibling = replica.layers.iter().find(of).and_then(|layer| layer.sibling);
                item["serverSibGen"] = shown(sibling).into();
            }
        }
    }
}

/// An element of the replicas resource.
pub(crate) fn list_item(replica: &Replica, with_last_sync: bool, with_version: bool) -> Json {
    let mut item = json!({"replicaName": replica.name, "replicaID": replica.id.to_string()});
    if let Some(members) = item.as_object_mut() {
        if with_version {
            members.insert("replicaVersion".to_owned(), "sde.DEFAULT".into());
        }
        if with_last_sync {
            members.insert("lastSyncDate".to_owned(), replica.last_sync_ms.into());
        }
    }
    item
}

/// The replica info resource.
pub(crate) fn info(replica: &Replica) -> Json {
    let mut shown = Map::new();
    shown.insert("replicaName".to_owned(), replica.name.clone().into());
    shown.insert("replicaID".to_owned(), replica.id.to_string().into());
    shown.insert("replicaOwner".to_owned(), replica.owner.clone().into());
    shown.insert("spatialReference".to_owned(), spatial_reference(replica.srid));
    let given: Vec<(LayerId, Generation)> = replica.layers.iter().map(|layer| (layer.layer.id, layer.given)).collect();
    generations(replica.sync_model, &given, &mut shown);
    if replica.target == TargetType::Server {
        sibling_generations(replica, &mut shown);
    }
    let rest = json!({
        "creationDate": replica.created_ms,
        "lastSyncDate": replica.last_sync_ms,
        "syncModel": replica.sync_model.name(),
        "targetType": replica.target.name(),
        "syncDirection": replica.direction.name(),
        "returnsAttachments": replica.return_attachments,
        "returnAttachments": replica.return_attachments,
        "attachmentsSyncDirection": replica.attachments_direction.name(),
        "spatialRel": "esriSpatialRelIntersects",
    });
    if let Json::Object(rest) = rest {
        shown.extend(rest);
    }
    if let Some(geometry) = replica.area_json.as_deref().and_then(|text| parse_json::<Json>("geometry", text).ok()) {
        shown.insert("geometry".to_owned(), geometry);
    }
    let layers: Json = replica
        .layers
        .iter()
        .map(|layer| {
            json!({
                "id": layer.layer.id.0,
                "queryOption": layer.query.option.name(),
                "useGeometry": layer.query.use_geometry,
                "includeRelated": layer.query.include_related,
                "where": layer.query.where_clause.as_deref().unwrap_or(""),
            })
        })
        .collect();
    shown.insert("layers".to_owned(), layers);
    Json::Object(shown)
}
