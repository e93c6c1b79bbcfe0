//! The parameters of createReplica and unRegisterReplica, what synchronizeReplica shares with them, and the documents about
//! replicas.
//!
//! API reference: *Create Replica*, *Unregister Replica*, *Replicas*, *Replica Info*.

use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use crate::{
    error::{Error, Result},
    model::{
        data_format::DataFormat,
        filter::{Area, LayerQuery},
        id::{Generation, LayerId, ReplicaId},
        layer::{Layer, Service},
        replica::{AttachmentsDirection, NewReplica, Replica, ReplicaLayer, SyncModel, TargetType},
        value::brief,
    },
};

use super::{
    edits::layer_of,
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

    /// How a result of this format reaches the client: a file is always fetched.
    pub(super) fn of(self, format: DataFormat) -> Transport {
        if format == DataFormat::Json { self } else { Transport::Url }
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
    /// In which form.
    pub(crate) format: DataFormat,
    /// Whether a mobile geodatabase has a copy that open programs understand.
    pub(crate) open_mirror: bool,
    /// Whether the contents of attachments are given as addresses instead of in the document.
    pub(crate) attachments_by_url: bool,
    /// Of an export: the fields of each layer that are wanted; `None`: all.
    pub(crate) fields: Vec<Option<Vec<usize>>>,
    /// The datum transformations that the client names.
    pub(crate) transformations: Option<String>,
}

impl CreateReplicaRequest {
    /// Reads the parameters in the light of the service.
    pub(crate) fn parse(params: &Params, service: &Service) -> Result<CreateReplicaRequest> {
        let format = data_format(params)?;
        check_what_has_no_effect(params)?;
        let (purpose, sync_model) = Purpose::parse(params)?;
        if !matches!(purpose, Purpose::Export) {
            require_format_of_replicas(format)?;
        }
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
                // Checked also where the format prescribes another one.
                srid: {
                    let asked = reference("replicaSR")?;
                    format.srid().or(asked).unwrap_or_else(|| service.srid())
                },
                area,
                return_attachments,
                attachments_direction,
                layers,
            },
            purpose,
            transport: Transport::parse(params)?.of(format),
            format,
            open_mirror: params.flag(&["openMirror"], true)?,
            attachments_by_url: attachments_by_url(params)?,
            fields,
            transformations: transformations(params).map(|(_, text)| brief(text)),
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

/// Reads `dataFormat`.
pub(super) fn data_format(params: &Params) -> Result<DataFormat> {
    match params.text("dataFormat") {
        None => Ok(DataFormat::Json),
        Some(name) => DataFormat::from_name(name.trim_matches('"')).ok_or_else(|| {
            Error::NotSupported(format!(
                "dataFormat={} is not supported; use json, sqlite for a mobile geodatabase, or geoPackage",
                brief(name)
            ))
        }),
    }
}

/// Refuses formats that nobody can synchronize.
pub(super) fn require_format_of_replicas(format: DataFormat) -> Result<()> {
    if format.is_for_replicas() {
        return Ok(());
    }
    Err(Error::invalid(
        "dataFormat",
        format!(
            "{} is a format for exports, which nobody can synchronize; set syncModel=none in createReplica, or use json, sqlite or geoPackage",
            format.name()
        ),
    ))
}

/// Refuses by name what would otherwise be passed over in silence, where there is only JSON.
pub(super) fn refuse_what_is_missing(params: &Params) -> Result<()> {
    if let Some(format) = params.text("dataFormat").filter(|format| !format.eq_ignore_ascii_case("json")) {
        return Err(Error::NotSupported(format!("dataFormat={} is not supported here; use json", brief(format))));
    }
    refuse_transformations(params)
}

/// Refuses datum transformations: PostGIS chooses them, and to pass over a wish for another one would shift features.
pub(super) fn refuse_transformations(params: &Params) -> Result<()> {
    match transformations(params) {
        None => Ok(()),
        Some((name, _)) => Err(Error::invalid(name, "it cannot be chosen here: PostGIS itself does; leave it out")),
    }
}

/// The datum transformations that a client names, and the parameter in which it does. They are not advertised.
fn transformations(params: &Params) -> Option<(&'static str, &str)> {
    ["datumTransformations", "datumTransformation"].into_iter().find_map(|name| {
        let text = params.text(name).filter(|text| !matches!(*text, "null" | "{}" | "[]"))?;
        Some((name, text))
    })
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
pub(crate) fn sibling_generations(replica: &Replica, into: &mut Map<String, Json>) {
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
    // Without an owner it is for anybody who may use the service.
    let mut item = json!({
        "replicaName": replica.name, "replicaID": replica.id.to_string(), "replicaOwner": replica.owner,
    });
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
