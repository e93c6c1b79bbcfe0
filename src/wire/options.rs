//! What createReplica is to make: a replica with its data, data alone, or a replica of data that the client has already.
//!
//! API reference: *Create Replica*, `syncModel`, `replicaOptions`, `targetType`, `syncDirection`.

use serde_json::{Map, Value as Json};

use crate::{
    error::{Error, Result},
    model::{
        id::{Generation, LayerId, ReplicaId},
        replica::{SyncDirection, SyncModel, TargetType},
        value::brief,
    },
};

use super::{members::Members, params::Params};

/// What createReplica is to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A replica, and its data.
    Replica,
    /// Data alone: nothing is registered.
    Export,
    /// A replica alone: the client has the data, as a copy of another replica's.
    Existing(Reference),
}

/// The replica of which a client has a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// It, as the client names it.
    pub(crate) id: Option<String>,
    /// How recent the copy is.
    pub(crate) held: Held,
}

/// The generations of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Nothing was said: the newest there is.
    Current,
    /// One for all layers.
    All(Generation),
    /// One for each layer.
    Layers(Vec<(LayerId, Generation)>),
}

/// What we have of `syncDataOptions`. Contingent values (4) may be asked for: a service without any has none to give.
const KNOWN_DATA_OPTIONS: i64 = 4;

impl Purpose {
    /// Reads `syncModel` and `replicaOptions`.
    pub(crate) fn parse(params: &Params) -> Result<(Purpose, SyncModel)> {
        let existing = replica_options(params)?;
        let is_none = |text: &str| text.trim_matches('"').eq_ignore_ascii_case("none");
        let export = params.text("syncModel").is_some_and(is_none);
        let model = match export {
            true => SyncModel::PerReplica,
            false => params
                .word("syncModel", "perReplica, perLayer, none", SyncModel::from_name)?
                .unwrap_or(SyncModel::PerReplica),
        };
        Ok(match (existing, export) {
            // That of the copy counts.
            (Some(reference), _) => (Purpose::Existing(reference), model),
            (None, true) => (Purpose::Export, model),
            (None, false) => (Purpose::Replica, model),
        })
    }
}

/// Reads `targetType` and `syncDirection`. What another server is sent goes one way unless it says otherwise.
pub(crate) fn target_and_direction(params: &Params) -> Result<(TargetType, SyncDirection)> {
    let target = params.word("targetType", "client, server", TargetType::from_name)?.unwrap_or(TargetType::Client);
    let direction = params
        .word("syncDirection", "bidirectional, upload, download", SyncDirection::from_name)?
        .unwrap_or(match target {
            TargetType::Client => SyncDirection::Bidirectional,
            TargetType::Server => SyncDirection::Download,
        });
    if direction == SyncDirection::Snapshot {
        return Err(Error::invalid(
            "syncDirection",
            "'snapshot' is a way to synchronize a replica, not to create one; it is one of bidirectional, upload, download",
        ));
    }
    Ok((target, direction))
}

fn replica_options(params: &Params) -> Result<Option<Reference>> {
    const NAME: &str = "replicaOptions";
    let Some(given) = params.json::<Map<String, Json>>(NAME)? else { return Ok(None) };
    let members = Members::new(NAME, &given);
    let data_options = members.integer("syncDataOptions")?.unwrap_or(0);
    let unknown = data_options & !KNOWN_DATA_OPTIONS;
    if data_options < 0 || unknown != 0 {
        let bits: Vec<String> =
            (0..63).map(|bit| 1_i64 << bit).filter(|bit| unknown & bit != 0).map(|bit| bit.to_string()).collect();
        return Err(Error::invalid(
            NAME,
            format!(
                "syncDataOptions asks for {}, of which this service has nothing; leave it out, or send 0 or 4",
                if data_options < 0 { data_options.to_string() } else { bits.join(" and ") }
            ),
        ));
    }
    if !members.flag("registerExistingData", false)? {
        return Ok(None);
    }
    if data_options != 0 {
        return Err(Error::invalid(
            NAME,
            "registerExistingData and syncDataOptions exclude each other; send one of them",
        ));
    }
    let all = members.generation("refReplicaServerGen")?;
    let layers = members.get("refLayerServerGens");
    let held = match (all, layers) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid(
                NAME,
                "refReplicaServerGen and refLayerServerGens exclude each other; send the first for a perReplica reference, the second for a perLayer one",
            ));
        }
        (Some(generation), None) => Held::All(generation),
        (None, Some(layers)) => Held::Layers(layer_generations(NAME, "refLayerServerGens", layers)?),
        (None, None) => Held::Current,
    };
    Ok(Some(Reference { id: members.text("refReplicaId")?.map(str::to_owned), held }))
}

/// Reads `[{"id":0,"serverGen":8411}]`, which also may be such a text in quotes.
pub(crate) fn layer_generations(name: &'static str, member: &str, given: &Json) -> Result<Vec<(LayerId, Generation)>> {
    let wrong = || {
        Error::invalid(
            name,
            format!("{member} is {}; [{{\"id\":0,\"serverGen\":8411}}] belongs there", brief(&given.to_string())),
        )
    };
    let parsed: Json;
    let given = match given {
        Json::String(text) => {
            parsed = super::params::json(name, text)?;
            &parsed
        }
        other => other,
    };
    let items = given.as_array().ok_or_else(wrong)?;
    let mut found: Vec<(LayerId, Generation)> = Vec::with_capacity(items.len());
    for item in items {
        let members = Members::new(name, item.as_object().ok_or_else(wrong)?);
        let id = members.integer("id")?.and_then(|id| i32::try_from(id).ok()).map(LayerId).ok_or_else(wrong)?;
        let generation = members.generation("serverGen")?.ok_or_else(wrong)?;
        if found.iter().any(|(known, _)| *known == id) {
            return Err(Error::invalid(name, format!("{member} names layer {id} twice")));
        }
        found.push((id, generation));
    }
    Ok(found)
}

impl Reference {
    /// The id of the replica, if it can be one.
    pub(crate) fn replica(&self) -> Option<ReplicaId> {
        self.id.as_deref().and_then(ReplicaId::parse)
    }
}
