//! Replicas: what a client holds, and how it is kept up to date.

use std::sync::Arc;

use super::{
    filter::{Area, Filter, LayerQuery},
    guard::RowPolicy,
    id::{Generation, LayerKey, ReplicaId},
    layer::{Layer, Service},
    query::Columns,
};

/// Whether a replica has one generation or one for each layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncModel {
    /// One generation, all layers together.
    PerReplica,
    /// A generation and a direction for each layer.
    PerLayer,
}

impl SyncModel {
    /// The API's spelling.
    pub fn name(self) -> &'static str {
        match self {
            SyncModel::PerReplica => "perReplica",
            SyncModel::PerLayer => "perLayer",
        }
    }

    /// The model with this name, in any case.
    pub fn from_name(name: &str) -> Option<SyncModel> {
        [SyncModel::PerReplica, SyncModel::PerLayer].into_iter().find(|model| model.name().eq_ignore_ascii_case(name))
    }
}

/// Which way edits go, always seen from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncDirection {
    /// Client to server.
    Upload,
    /// Server to client.
    Download,
    /// Both.
    Bidirectional,
    /// Server to client, all rows anew.
    Snapshot,
}

impl SyncDirection {
    /// The API's spelling.
    pub fn name(self) -> &'static str {
        match self {
            SyncDirection::Upload => "upload",
            SyncDirection::Download => "download",
            SyncDirection::Bidirectional => "bidirectional",
            SyncDirection::Snapshot => "snapshot",
        }
    }

    /// The direction with this name, in any case.
    pub fn from_name(name: &str) -> Option<SyncDirection> {
        [SyncDirection::Upload, SyncDirection::Download, SyncDirection::Bidirectional, SyncDirection::Snapshot]
            .into_iter()
            .find(|direction| direction.name().eq_ignore_ascii_case(name))
    }

    /// Whether edits of the client are taken.
    pub fn uploads(self) -> bool {
        matches!(self, SyncDirection::Upload | SyncDirection::Bidirectional)
    }

    /// Whether the client gets rows.
    pub fn downloads(self) -> bool {
        !matches!(self, SyncDirection::Upload)
    }

    /// Whether a replica made for this direction takes part in a sync that goes `wanted`.
    pub fn allows(self, wanted: SyncDirection) -> bool {
        (self.uploads() || !wanted.uploads()) && (self.downloads() || !wanted.downloads())
    }
}

/// Which way attachments go after a replica was made, always seen from the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachmentsDirection {
    /// Never.
    None,
    /// Client to server.
    Upload,
    /// Both.
    Bidirectional,
}

impl AttachmentsDirection {
    /// The API's spelling.
    pub fn name(self) -> &'static str {
        match self {
            AttachmentsDirection::None => "none",
            AttachmentsDirection::Upload => "upload",
            AttachmentsDirection::Bidirectional => "bidirectional",
        }
    }

    /// The direction with this name, in any case.
    pub fn from_name(name: &str) -> Option<AttachmentsDirection> {
        [AttachmentsDirection::None, AttachmentsDirection::Upload, AttachmentsDirection::Bidirectional]
            .into_iter()
            .find(|direction| direction.name().eq_ignore_ascii_case(name))
    }

    /// Whether attachments that the client sends are taken.
    pub fn uploads(self) -> bool {
        !matches!(self, AttachmentsDirection::None)
    }

    /// Whether deltas have attachments.
    pub fn downloads(self) -> bool {
        matches!(self, AttachmentsDirection::Bidirectional)
    }
}

/// Who holds a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetType {
    /// A device or a program.
    Client,
    /// Another server, which has a replica of the same id.
    Server,
}

impl TargetType {
    /// The API's spelling.
    pub fn name(self) -> &'static str {
        match self {
            TargetType::Client => "client",
            TargetType::Server => "server",
        }
    }

    /// The type with this name, in any case.
    pub fn from_name(name: &str) -> Option<TargetType> {
        [TargetType::Client, TargetType::Server].into_iter().find(|target| target.name().eq_ignore_ascii_case(name))
    }
}

/// A registered replica.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Its identity.
    pub id: ReplicaId,
    /// Its name, unique in the service.
    pub name: String,
    /// Who made it; empty if nobody was signed in.
    pub owner: String,
    /// One generation or one for each layer.
    pub sync_model: SyncModel,
    /// Who holds it.
    pub target: TargetType,
    /// The directions it was made for.
    pub direction: SyncDirection,
    /// The spatial reference of what it is sent, and of what it sends without saying.
    pub srid: i32,
    /// Its geometry, as Esri JSON.
    pub area_json: Option<String>,
    /// Whether it came with attachments when it was made.
    pub return_attachments: bool,
    /// Which way attachments go since.
    pub attachments_direction: AttachmentsDirection,
    /// Milliseconds since 1970.
    pub created_ms: i64,
    /// Milliseconds since 1970; when it was created if it has not synchronized.
    pub last_sync_ms: i64,
    /// Whether the original of the database made it, of which this one is a copy.
    pub is_foreign: bool,
    /// Its layers in the order of the request that made it.
    pub layers: Vec<ReplicaLayer>,
    /// Which rows of each layer its holder may see, in the order of the layers; `None`: all.
    pub policies: Vec<Option<RowPolicy>>,
    /// What of layers its holder might see in what it was given, the oldest first. A layer that is not there: all rows and fields.
    pub given_policies: Vec<GivenPolicy>,
}

/// What of a layer the holder of a replica might see in what it was given.
#[derive(Clone, Debug)]
pub struct GivenPolicy {
    /// From this generation on.
    pub since: Generation,
    /// The layer.
    pub layer: LayerKey,
    /// The rows; `None`: all.
    pub policy: Option<RowPolicy>,
    /// The names of the fields that it might not see, in the order of the layer.
    pub hidden: Vec<String>,
}

impl Replica {
    /// Which rows of each layer the holder of a generation might see when it was given.
    pub fn policies_at(&self, generation: Generation) -> Vec<Option<RowPolicy>> {
        self.layers.iter().map(|known| self.policy_of(known.layer.key, generation)).collect()
    }

    /// Which rows of a layer the holder of a generation might see when it was given.
    pub fn policy_of(&self, layer: LayerKey, generation: Generation) -> Option<RowPolicy> {
        self.given(layer, generation).and_then(|entry| entry.policy.clone())
    }

    /// Which fields of a layer the holder of a generation might not see when it was given.
    pub fn hidden_of(&self, layer: LayerKey, generation: Generation) -> &[String] {
        self.given(layer, generation).map(|entry| entry.hidden.as_slice()).unwrap_or_default()
    }

    fn given(&self, layer: LayerKey, generation: Generation) -> Option<&GivenPolicy> {
        self.given_policies.iter().rev().find(|entry| entry.layer == layer && entry.since <= generation)
    }

    /// Which fields of a layer its holder may not see. Servers exchange all.
    pub fn hidden(&self, layer: &Layer) -> Vec<String> {
        match self.target {
            TargetType::Server => Vec::new(),
            TargetType::Client => layer.hidden_fields().map(str::to_owned).collect(),
        }
    }

    /// What of a layer, or of its attachments, its holder is sent: the fields that it may see, and, without their values, those that it may see
    /// no more. So it is rid of the values, and finds each column that it has.
    pub fn columns(&self, layer: &Layer) -> Columns {
        if self.target == TargetType::Server {
            return Columns::all(layer, self.srid);
        }
        let mut columns = Columns::visible(layer, self.srid);
        if layer.attached_to.is_some() || columns.fields.len() == layer.fields.len() {
            return columns;
        }
        let hid_always = |name: &str| {
            let mut entries = self.given_policies.iter().filter(|entry| entry.layer == layer.key).peekable();
            entries.peek().is_some_and(|first| first.since == Generation::ZERO)
                && entries.all(|entry| entry.hidden.iter().any(|hidden| hidden == name))
        };
        let had = |index: &usize| !layer.is_visible(*index) && !hid_always(&layer.fields[*index].name);
        columns.emptied = (0..layer.fields.len()).filter(had).collect();
        columns.fields.extend(&columns.emptied);
        columns.fields.sort_unstable();
        columns
    }

    /// Which rows of each layer its holder might see when it was last given something.
    pub fn last_policies(&self) -> Vec<Option<RowPolicy>> {
        self.policies_at(Generation::LAST)
    }

    /// The generations after one, up to another, from which on the holder might see other rows or fields.
    pub fn policy_changes(&self, after: Generation, upto: Generation) -> impl Iterator<Item = Generation> + '_ {
        let mut last = None;
        self.given_policies.iter().map(|entry| entry.since).filter(move |since| {
            let is_new = last.replace(*since) != Some(*since);
            is_new && *since > after && *since <= upto
        })
    }

    /// The rows of each layer, as far as policies let them be seen.
    pub fn filters(&self, service: &Service, policies: &[Option<RowPolicy>]) -> Vec<Filter> {
        let layers: Vec<(Arc<Layer>, LayerQuery)> =
            self.layers.iter().map(|known| (known.layer.clone(), known.query.clone())).collect();
        let own: Vec<Filter> = self.layers.iter().map(|known| known.own.clone()).collect();
        Filter::with_relationships(service, &layers, &own, policies)
    }

    /// Says which rows of each layer its holder may see.
    pub fn see(&mut self, service: &Service, policies: Vec<Option<RowPolicy>>) {
        let filters = self.filters(service, &policies);
        for (known, filter) in self.layers.iter_mut().zip(filters) {
            known.filter = filter;
        }
        self.policies = policies;
    }
}

/// A layer of a replica.
#[derive(Clone, Debug)]
pub struct ReplicaLayer {
    /// The layer.
    pub layer: Arc<Layer>,
    /// What the client asked for.
    pub query: LayerQuery,
    /// Which rows that is by itself.
    pub own: Filter,
    /// Which rows that is, once relationships are followed, and as far as its holder may see them.
    pub filter: Filter,
    /// The newest generation that the server has given.
    pub given: Generation,
    /// The newest generation that the client has ever presented, which proves that it had it.
    pub presented: Generation,
    /// The generation at which the replica was registered: its holder has everything up to it by what it was made of.
    pub base: Generation,
    /// What was received from the other server, in that server's generations.
    pub sibling: Option<Generation>,
}

/// What a replica is to be, before it has an identity.
#[derive(Clone, Debug)]
pub struct NewReplica {
    /// The name asked for; made unique if taken. `None`: one is made up.
    pub name: Option<String>,
    /// One generation or one for each layer.
    pub sync_model: SyncModel,
    /// Who will hold it.
    pub target: TargetType,
    /// The directions that it will synchronize in.
    pub direction: SyncDirection,
    /// The spatial reference of what it is sent.
    pub srid: i32,
    /// Its geometry.
    pub area: Option<Area>,
    /// Whether it comes with attachments.
    pub return_attachments: bool,
    /// Which way attachments will go afterwards.
    pub attachments_direction: AttachmentsDirection,
    /// The layers and what of them.
    pub layers: Vec<(Arc<Layer>, LayerQuery)>,
}

impl NewReplica {
    /// Which fields of a layer its holder may not see. Servers exchange all.
    pub fn hidden(&self, layer: &Layer) -> Vec<String> {
        match self.target {
            TargetType::Server => Vec::new(),
            TargetType::Client => layer.hidden_fields().map(str::to_owned).collect(),
        }
    }

    /// What of a layer its holder is given.
    pub fn columns(&self, layer: &Layer) -> Columns {
        match self.target {
            TargetType::Server => Columns::all(layer, self.srid),
            TargetType::Client => Columns::visible(layer, self.srid),
        }
    }
}
