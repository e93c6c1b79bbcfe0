//! The document of createReplica, read by the server on the other side: a replica that two servers keep of each other.
//!
//! Documents may be large: features come out piece by piece, whether the document is a file or a text.

use std::{fs::File, io::BufReader, path::PathBuf, sync::Arc};

use serde::de::{DeserializeSeed as _, Error as _, IgnoredAny, MapAccess};
use serde_json::{Map, Value as Json, value::RawValue};

use crate::{
    error::{Error, Result},
    model::{
        filter::{LayerQuery, QueryOption},
        id::{Generation, LayerId, LayerKey, ReplicaId},
        layer::{Layer, Service},
        replica::{AttachmentsDirection, NewReplica, Replica, SyncDirection, SyncModel, TargetType},
    },
};

use super::{
    edits::layer_of,
    geometry::parse_spatial_reference,
    options::layer_generations,
    params::Params,
    stream::{Items, Members, Object, Objects},
};

/// The most features or attachments that are handed over at once …
const ITEMS_AT_ONCE: usize = 1_000;
/// … and how much text of them.
const TEXT_AT_ONCE: usize = 8 << 20;

/// Where a document is.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A file that has all of it.
    File(PathBuf),
    /// Its layers, as text; the rest is known already.
    Layers(Arc<str>),
}

/// A part of a document.
#[derive(Debug)]
pub(crate) enum Piece {
    /// A layer begins.
    Layer(LayerId),
    /// Features of it.
    Features(LayerId, Vec<Box<RawValue>>),
    /// Attachments of its features.
    Attachments(LayerId, Vec<Box<RawValue>>),
}

/// What takes the parts of a document. False if no more are wanted; the rest is read all the same.
pub(crate) type Sink<'a> = dyn FnMut(Piece) -> bool + 'a;

impl Source {
    /// Reads the document from its beginning, and gives back its members beside the layers. Blocks.
    pub(crate) fn read(&self, sink: &mut Sink<'_>) -> Result<Map<String, Json>> {
        let broken = |error: serde_json::Error| {
            Error::invalid("layers", format!("the document is not the JSON that createReplica answers: {error}"))
        };
        let mut layer = OneLayer { id: None, sink };
        match self {
            Source::Layers(text) => {
                let mut json = serde_json::Deserializer::from_str(text);
                Objects(&mut layer).deserialize(&mut json).map_err(broken)?;
                Ok(Map::new())
            }
            Source::File(path) => {
                let file = File::open(path)
                    .map_err(|error| Error::NotFound(format!("{} cannot be read: {error}", path.display())))?;
                let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 18, file));
                let mut document = Document { members: Map::new(), layer };
                Object(&mut document).deserialize(&mut json).map_err(broken)?;
                json.end().map_err(broken)?;
                Ok(document.members)
            }
        }
    }
}

/// The document.
struct Document<'a, 'b> {
    /// Its members beside the layers.
    members: Map<String, Json>,
    layer: OneLayer<'a, 'b>,
}

impl Members for Document<'_, '_> {
    const EXPECTED: &'static str = "an object with replicaID and layers";

    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> std::result::Result<(), A::Error> {
        if name == "layers" {
            return map.next_value_seed(Objects(&mut self.layer));
        }
        self.members.insert(name.to_owned(), map.next_value()?);
        Ok(())
    }
}

/// A layer with its features.
struct OneLayer<'a, 'b> {
    id: Option<LayerId>,
    sink: &'a mut Sink<'b>,
}

impl Members for OneLayer<'_, '_> {
    const EXPECTED: &'static str = "an object with id and features";

    fn begin(&mut self) {
        self.id = None;
    }

    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> std::result::Result<(), A::Error> {
        let piece = match name {
            "id" => {
                let known = LayerId(map.next_value()?);
                (self.sink)(Piece::Layer(known));
                self.id = Some(known);
                return Ok(());
            }
            "features" => Piece::Features,
            "attachments" => Piece::Attachments,
            _ => return map.next_value::<IgnoredAny>().map(drop),
        };
        // Nothing is held back until the layer is known.
        let id = self.id.ok_or_else(|| A::Error::custom("the id of a layer must come before its features"))?;
        let (mut gathered, mut text_bytes, mut wanted) = (Vec::new(), 0, true);
        map.next_value_seed(Items(|item: Box<RawValue>| {
            text_bytes += item.get().len();
            gathered.push(item);
            if gathered.len() == ITEMS_AT_ONCE || text_bytes > TEXT_AT_ONCE {
                wanted = wanted && (self.sink)(piece(id, std::mem::take(&mut gathered)));
                text_bytes = 0;
            }
            true
        }))?;
        if wanted && !gathered.is_empty() {
            (self.sink)(piece(id, gathered));
        }
        Ok(())
    }
}

/// What importReplica is to register.
#[derive(Debug)]
pub(crate) struct ImportReplicaRequest {
    /// The identity, the same on both sides.
    pub(crate) id: ReplicaId,
    /// The replica as it will be on this side.
    pub(crate) replica: NewReplica,
    /// The generations of the other server, by layer.
    pub(crate) siblings: Vec<(LayerKey, Generation)>,
}

impl ImportReplicaRequest {
    /// Reads the members of the document beside its layers, of which the ids are known.
    pub(crate) fn parse(params: &Params, layers: &[LayerId], service: &Service) -> Result<ImportReplicaRequest> {
        let id = replica_of(params)?;
        let target = params.word("targetType", "server", TargetType::from_name)?;
        if target == Some(TargetType::Client) {
            return Err(Error::invalid(
                "targetType",
                "the replica was made for a client; create it with targetType=server",
            ));
        }
        let there = params
            .word("syncDirection", "bidirectional, upload, download", SyncDirection::from_name)?
            .unwrap_or(SyncDirection::Download);
        let direction = match there {
            SyncDirection::Download | SyncDirection::Snapshot => SyncDirection::Upload,
            SyncDirection::Upload => SyncDirection::Download,
            SyncDirection::Bidirectional => SyncDirection::Bidirectional,
        };
        let sync_model =
            params.word("syncModel", "perReplica, perLayer", SyncModel::from_name)?.unwrap_or(SyncModel::PerReplica);
        if layers.is_empty() {
            return Err(Error::invalid("layers", "it has no layers; a document of createReplica has at least one"));
        }
        let mut held = Vec::with_capacity(layers.len());
        for (position, id) in layers.iter().enumerate() {
            if layers[..position].contains(id) {
                return Err(Error::invalid("layers", format!("layer {id} is there twice")));
            }
            let query = LayerQuery {
                option: QueryOption::All,
                use_geometry: false,
                include_related: false,
                where_clause: None,
            };
            held.push((layer_of(service, "layers", *id)?, query));
        }
        let reference =
            |name: &'static str| params.text(name).map_or(Ok(None), |text| parse_spatial_reference(name, text));
        // Where attachments only came from there, they only go there, which has no name of its own.
        let attachments_direction = match params.word(
            "attachmentsSyncDirection",
            "bidirectional, upload, none",
            AttachmentsDirection::from_name,
        )? {
            None | Some(AttachmentsDirection::None) => AttachmentsDirection::None,
            Some(_) => AttachmentsDirection::Bidirectional,
        };
        let generations = generations(params, sync_model, layers)?;
        let siblings = held.iter().map(|(layer, _)| layer.key).zip(generations).collect();
        Ok(ImportReplicaRequest {
            id,
            replica: NewReplica {
                name: params.text("replicaName").map(str::to_owned),
                sync_model,
                target: TargetType::Server,
                direction,
                srid: reference("spatialReference")?.or(reference("replicaSR")?).unwrap_or_else(|| service.srid()),
                area: None,
                return_attachments: params.flag(&["returnAttachments"], false)?,
                attachments_direction,
                layers: held,
            },
            siblings,
        })
    }
}

/// A layer of a snapshot that one side of a replica between servers takes of the other.
#[derive(Clone, Debug)]
pub(crate) struct RebasedLayer {
    /// The layer.
    pub(crate) layer: Arc<Layer>,
    /// The generation of the snapshot, in the numbers of the side that gave it.
    pub(crate) sibling: Generation,
    /// What that side had received of this one, in the numbers of this one.
    pub(crate) received: Generation,
}

/// The replica that a snapshot is of.
pub(crate) fn replica_of(params: &Params) -> Result<ReplicaId> {
    let id = params.text("replicaID").ok_or_else(|| {
        Error::invalid("replicaID", "it is missing; the document is the answer of createReplica, as JSON")
    })?;
    ReplicaId::parse(id).ok_or_else(|| Error::invalid("replicaID", format!("'{id}' is not the id of a replica")))
}

/// Reads what a snapshot says beside its layers, of which the ids are known.
pub(crate) fn rebased_layers(params: &Params, ids: &[LayerId], replica: &Replica) -> Result<Vec<RebasedLayer>> {
    if !params.flag(&["hasAllRows"], false)? {
        return Err(Error::invalid(
            "hasAllRows",
            "a replica is re-based on a snapshot (synchronizeReplica with syncDirection=snapshot) of a side that gives all rows of its layers: \
             where it gives only some, nobody can tell which of the others are gone. Unregister the replica on both sides, and make it again",
        ));
    }
    let siblings = generations(params, replica.sync_model, ids)?;
    let mut layers: Vec<RebasedLayer> = Vec::with_capacity(ids.len());
    for (id, sibling) in ids.iter().zip(siblings) {
        let known = replica
            .layers
            .iter()
            .find(|known| known.layer.id == *id)
            .ok_or_else(|| Error::invalid("layers", format!("layer {id} is not in replica {}", replica.id)))?;
        if layers.iter().any(|other| other.layer.id == *id) {
            return Err(Error::invalid("layers", format!("layer {id} is there twice")));
        }
        // Before the first exchange it had what the replica was made of.
        let received = received(params, replica.sync_model, *id)?.max(known.base);
        layers.push(RebasedLayer { layer: known.layer.clone(), sibling, received });
    }
    match layers.is_empty() {
        true => Err(Error::invalid("layers", "it has no layers; a snapshot has those that took part")),
        false => Ok(layers),
    }
}

/// What the side that gave the snapshot had received of this layer.
fn received(params: &Params, model: SyncModel, layer: LayerId) -> Result<Generation> {
    const NAME: &str = "layerServerGens";
    let (name, number) = match model {
        SyncModel::PerReplica => ("replicaServerSibGen", params.integer("replicaServerSibGen")?),
        SyncModel::PerLayer => {
            let given: Json = params.json(NAME)?.unwrap_or_default();
            let of_layer = given.as_array().into_iter().flatten().find(|item| item["id"] == layer.0);
            (NAME, of_layer.and_then(|item| item["serverSibGen"].as_i64()))
        }
    };
    number.and_then(Generation::new).ok_or_else(|| {
        Error::invalid(
            name,
            format!(
                "it does not say what the other side had received of layer {layer}; the document is a snapshot (synchronizeReplica with \
                 syncDirection=snapshot) of a replica with targetType=server"
            ),
        )
    })
}

/// The generations of the document, in the order of its layers.
fn generations(params: &Params, model: SyncModel, layers: &[LayerId]) -> Result<Vec<Generation>> {
    match model {
        SyncModel::PerReplica => {
            let number = params.integer("replicaServerGen")?.ok_or_else(|| {
                Error::invalid("replicaServerGen", "it is missing; the document says which generation it is of")
            })?;
            let generation = Generation::new(number).ok_or_else(|| {
                Error::invalid("replicaServerGen", format!("{number} is not a generation that a server gives out"))
            })?;
            Ok(vec![generation; layers.len()])
        }
        SyncModel::PerLayer => {
            const NAME: &str = "layerServerGens";
            let given: Json = params.json(NAME)?.unwrap_or_default();
            let known = layer_generations(NAME, NAME, &given)?;
            layers
                .iter()
                .map(|id| {
                    let found = known.iter().find(|(layer, _)| layer == id).map(|(_, generation)| *generation);
                    found.ok_or_else(|| Error::invalid(NAME, format!("it has no generation of layer {id}")))
                })
                .collect()
        }
    }
}
