//! The parameters of synchronizeReplica.
//!
//! API reference: *Synchronize Replica*.

use serde_json::{Map, Value as Json};

use crate::{
    error::{Error, Result},
    model::{
        data_format::DataFormat,
        edit::{AttachmentEdits, FailurePolicy, LayerEdits},
        id::{Generation, LayerKey, ReplicaId},
        replica::{Replica, SyncDirection, SyncModel, TargetType},
        value::brief,
    },
};

use super::{
    edits::{SyncEdits, Writes, parse_sync_edits},
    params::{Params, json},
    replica::{
        Transport, attachments_by_url, check_what_has_no_effect, data_format, refuse_transformations,
        require_format_of_replicas,
    },
};

/// What synchronizeReplica asks for, before the replica is known.
#[derive(Debug)]
pub(crate) struct SynchronizeReplicaRequest<'a> {
    params: &'a Params,
    /// Which replica.
    pub(crate) replica: ReplicaId,
    /// How the answer is wanted.
    pub(crate) transport: Transport,
    /// In which form.
    pub(crate) format: DataFormat,
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
        refuse_transformations(params)?;
        let format = data_format(params)?;
        require_format_of_replicas(format)?;
        check_what_has_no_effect(params)?;
        let id = params
            .text("replicaID")
            .ok_or_else(|| Error::invalid("replicaID", "it is missing; it names the replica to synchronize"))?;
        Ok(SynchronizeReplicaRequest {
            params,
            replica: ReplicaId::parse(id).ok_or_else(|| Error::ReplicaNotFound { id: id.to_owned() })?,
            transport: Transport::parse(params)?.of(format),
            format,
            close: params.flag(&["closeReplica"], false)?,
            return_ids_for_adds: params.flag(&["returnIdsForAdds"], false)?,
            attachments_by_url: attachments_by_url(params)?,
            edits_upload: edits_upload(params)?,
        })
    }

    /// Whether it may bring edits: what cannot be read may.
    pub(crate) fn brings_edits(&self) -> bool {
        fn holds_any(value: &Json) -> bool {
            match value {
                Json::Array(list) => !list.is_empty(),
                Json::Object(members) => members.values().any(holds_any),
                _ => false,
            }
        }
        self.edits_upload.is_some()
            || given_edits(self.params).is_some_and(|text| match json::<Vec<Json>>("edits", text) {
                Ok(layers) => layers.iter().any(holds_any),
                Err(_) => true,
            })
    }

    /// How many bytes of edits came with the request itself.
    pub(crate) fn edits_bytes(&self) -> usize {
        given_edits(self.params).map_or(0, str::len)
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
        let n_replaced = layers.iter().filter(|planned| planned.direction == SyncDirection::Snapshot).count();
        if self.format == DataFormat::MobileGeodatabase && n_replaced > 0 && n_replaced < layers.len() {
            return Err(Error::NotSupported(
                "a mobile geodatabase holds either changes or whole layers: synchronize the layers with syncDirection=snapshot in a request of \
                 their own, or use dataFormat=json or geoPackage"
                    .to_owned(),
            ));
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

    /// Edits of a replica, as text, for layers of which some take them.
    pub(crate) fn edits(&self, text: &str, replica: &Replica, layers: &[PlannedLayer]) -> Result<SyncEdits> {
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
        // What it is, its content says.
        Some(format)
            if !["json", "sqlite", "geopackage", "gpkg"].iter().any(|known| format.eq_ignore_ascii_case(known)) =>
        {
            Err(Error::NotSupported(format!(
                "editsUploadFormat={} is not supported; upload the edits as JSON (json) or the database file of the replica (sqlite)",
                brief(format)
            )))
        }
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
