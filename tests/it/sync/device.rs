//! A device in the field, as the protocol expects it: it keeps what it was sent, notes what was edited on it, and
//! repeats what may not have arrived.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, PgConnection};
use syncline::model::id::GlobalId;
use uuid::Uuid;

use super::model::{Change, Fate, Fields, N_LAYERS, REFUSED_GIRTH, Row, TestFilter, Way};
use crate::support::{TestServer, program};

/// What the tables hold.
pub type Rows = [BTreeMap<Uuid, Row>; N_LAYERS];

/// Layer, global id, species, girth, easting.
type TableRow = (i32, Uuid, Option<String>, Option<i32>, Option<i32>);

/// The attachments of trees: the tree and the name of each. What one holds follows from its name.
pub type Files = BTreeMap<Uuid, (Uuid, String)>;

/// What the table of attachments holds.
pub async fn files_of(connection: &mut PgConnection) -> Files {
    let name = "select 'syncline.' || table_name from syncline.layer where attached_to is not null";
    let table: String = sqlx::query_scalar(name).fetch_one(&mut *connection).await.unwrap();
    let query = format!("select globalid, parent_globalid, name, sha256 from {table}");
    let found: Vec<(Uuid, Uuid, String, String)> =
        sqlx::query_as(AssertSqlSafe(query)).fetch_all(connection).await.unwrap();
    let mut files = Files::new();
    for (id, tree, name, sha256) in found {
        let expected: String = Sha256::digest(&name).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sha256, expected, "attachment {id} holds what another one should: {name}");
        files.insert(id, (tree, name));
    }
    files
}

/// What the tables hold, without the server's help.
pub async fn rows_of(connection: &mut PgConnection) -> Rows {
    let query = "select 0, globalid, species, girth, ST_X(shape)::int from tree union all select 1, globalid, species, girth, null from note";
    let found: Vec<TableRow> = sqlx::query_as(query).fetch_all(connection).await.unwrap();
    let mut rows = Rows::default();
    for (layer, id, species, girth, x) in found {
        rows[usize::try_from(layer).unwrap()].insert(id, Row { species, girth, x });
    }
    rows
}

/// How a device reaches the server.
#[derive(Clone, Copy)]
pub enum Line<'a> {
    /// In the same process.
    Near(&'a TestServer),
    /// At an address, over a line that may break. Blocks the thread.
    Far(SocketAddr),
}

impl Line<'_> {
    /// The answer, if it arrives.
    async fn post(self, operation: &str, parameters: &[(&str, &str)]) -> Option<Json> {
        match self {
            Line::Near(server) => Some(server.post(operation, parameters).await),
            Line::Far(address) => {
                let path = format!("trees/FeatureServer/{operation}");
                let answer = program::post(&address.to_string(), &path, parameters).ok()?;
                // "Try again" is as good as none.
                Some(answer).filter(|answer| ![409, 503].contains(&answer["error"]["code"].as_i64().unwrap_or(0)))
            }
        }
    }
}

/// What waits to be uploaded of an attachment.
#[derive(Clone, Copy, Debug, PartialEq)]
enum PendingFile {
    Add,
    Update,
    Delete,
}

/// An edit that waits to be uploaded.
#[derive(Clone, Debug, PartialEq)]
pub enum Pending {
    Add,
    Update(Fields),
    Delete,
}

#[derive(Clone, Debug)]
pub struct Device {
    pub filter: TestFilter,
    per_layer: bool,
    replica: String,
    pub generations: [i64; N_LAYERS],
    pub rows: [BTreeMap<Uuid, Row>; N_LAYERS],
    pending: [BTreeMap<Uuid, Pending>; N_LAYERS],
    /// Edits that the server refused, kept to be corrected and sent again.
    pub refused: [BTreeMap<Uuid, Pending>; N_LAYERS],
    /// Rows that were ever edited on this device.
    pub own: [BTreeSet<Uuid>; N_LAYERS],
    files: Files,
    pending_files: BTreeMap<Uuid, PendingFile>,
    /// Edits of attachments that the server refused. What there is under their ids on the server may never have come,
    /// since the device had an edit of its own on top.
    refused_files: BTreeMap<Uuid, PendingFile>,
    own_files: BTreeSet<Uuid>,
}

impl Device {
    pub async fn create(line: Line<'_>, filter: TestFilter, per_layer: bool) -> Device {
        let parameters = [
            ("layers", "0,1"),
            ("syncModel", if per_layer { "perLayer" } else { "perReplica" }),
            ("geometry", "0,0,100,100"),
            ("layerQueries", filter.layer_queries()),
            ("returnAttachments", "true"),
            ("transportType", "esriTransportTypeEmbedded"),
        ];
        let answer = loop {
            // A replica of which nobody heard harms nobody.
            if let Some(answer) = line.post("createReplica", &parameters).await {
                break answer;
            }
        };
        let mut device = Device {
            filter,
            per_layer,
            replica: answer["replicaID"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned(),
            generations: [0; N_LAYERS],
            rows: Default::default(),
            pending: Default::default(),
            refused: Default::default(),
            own: Default::default(),
            files: Files::new(),
            pending_files: BTreeMap::new(),
            refused_files: BTreeMap::new(),
            own_files: BTreeSet::new(),
        };
        device.note_generations(&answer);
        for layer in answer["layers"].as_array().unwrap() {
            device.replace(layer);
        }
        device
    }

    /// Somebody edits a row on the device.
    pub fn edit(&mut self, layer: usize, id: Uuid, change: &Change) {
        self.own[layer].insert(id);
        let refused = self.refused[layer].remove(&id);
        let before = self.pending[layer].remove(&id).or(refused);
        match change {
            Change::Delete => {
                self.rows[layer].remove(&id);
                self.pending[layer].insert(id, Pending::Delete);
                // It may be made again before anything is uploaded, and then without them.
                let files: Vec<Uuid> =
                    self.files.iter().filter(|(_, (tree, _))| *tree == id).map(|(file, _)| *file).collect();
                for file in files {
                    self.detach(file);
                }
            }
            Change::Put(fields) => {
                let known = self.rows[layer].contains_key(&id);
                let row = self.rows[layer]
                    .entry(id)
                    .or_insert_with(|| Row { x: (layer == 0).then_some(500), ..Row::default() });
                fields.apply(row);
                let pending = match (known, before) {
                    (true, None) => Pending::Update(fields.clone()),
                    (true, Some(Pending::Update(earlier))) => Pending::Update(earlier.and_then(fields)),
                    // A new feature is sent whole.
                    (false, _) | (true, Some(Pending::Add | Pending::Delete)) => Pending::Add,
                };
                self.pending[layer].insert(id, pending);
            }
        }
    }

    /// Somebody attaches something to a tree, or replaces an attachment that is there; if the device has the tree.
    pub fn attach(&mut self, file: Uuid, tree: Uuid, name: &str) {
        let refused = self.refused_files.remove(&file);
        if let Some((_, known)) = self.files.get_mut(&file) {
            name.clone_into(known);
            self.pending_files.entry(file).or_insert(refused.unwrap_or(PendingFile::Update));
        } else if self.rows[0].contains_key(&tree) {
            self.files.insert(file, (tree, name.to_owned()));
            self.pending_files.insert(file, PendingFile::Add);
        } else {
            return;
        }
        self.own_files.insert(file);
    }

    /// Somebody deletes an attachment.
    pub fn detach(&mut self, file: Uuid) {
        if self.files.remove(&file).is_some() {
            self.refused_files.remove(&file);
            self.pending_files.insert(file, PendingFile::Delete);
            self.own_files.insert(file);
        }
    }

    /// Whether edits wait to be uploaded.
    pub fn has_pending(&self) -> bool {
        self.pending.iter().any(|pending| !pending.is_empty()) || !self.pending_files.is_empty()
    }

    /// The layers that take part if these are asked for: a replica that is not perLayer synchronizes all.
    fn chosen(&self, layers: u8) -> Vec<usize> {
        (0..N_LAYERS).filter(|layer| !self.per_layer || layers & (1 << layer) != 0).collect()
    }

    /// What each edit that would go up says about its row; `None` for a delete, with whether it is an update.
    pub fn sends(&self, way: Way, layers: u8) -> Vec<(usize, Uuid, Option<Fields>, bool)> {
        if !matches!(way, Way::Bidirectional | Way::Upload) {
            return Vec::new();
        }
        let mut sends = Vec::new();
        for layer in self.chosen(layers) {
            for (id, pending) in &self.pending[layer] {
                let fields = match pending {
                    Pending::Add => Some(Fields::all_of(&self.rows[layer][id])),
                    Pending::Update(fields) => Some(fields.clone()),
                    Pending::Delete => None,
                };
                sends.push((layer, *id, fields, matches!(pending, Pending::Update(_))));
            }
        }
        sends
    }

    /// What each edit of an attachment that would go up says; `None` for a delete.
    pub fn sends_files(&self, way: Way, layers: u8) -> Vec<(Uuid, Option<(Uuid, String)>)> {
        if !matches!(way, Way::Bidirectional | Way::Upload) || !self.chosen(layers).contains(&0) {
            return Vec::new();
        }
        let said = |id: &Uuid, pending: &PendingFile| match pending {
            PendingFile::Add | PendingFile::Update => Some(self.files[id].clone()),
            PendingFile::Delete => None,
        };
        self.pending_files.iter().map(|(id, pending)| (*id, said(id, pending))).collect()
    }

    /// Synchronizes. Returns whether an answer arrived.
    pub async fn sync(&mut self, line: Line<'_>, way: Way, fate: Fate, layers: u8, roll_back: bool) -> bool {
        let chosen = self.chosen(layers);
        let uploads = matches!(way, Way::Bidirectional | Way::Upload);
        // A snapshot throws away what waits to be uploaded, so a sensible device uploads first.
        let waits = |&layer: &usize| !self.pending[layer].is_empty() || (layer == 0 && !self.pending_files.is_empty());
        let way = if way == Way::Snapshot && chosen.iter().any(waits) { Way::Download } else { way };
        let sent: Vec<(usize, BTreeMap<Uuid, Pending>)> = match uploads {
            true => chosen.iter().map(|&layer| (layer, self.pending[layer].clone())).collect(),
            false => Vec::new(),
        };
        let Some(mut answer) = self.request(line, way, &chosen, &sent, roll_back).await else { return false };
        if fate == Fate::Repeated {
            let again = self.request(line, way, &chosen, &sent, roll_back).await;
            let again = again.unwrap_or_else(|| panic!("no answer to a repetition of {answer}"));
            assert_eq!(results(&again), results(&answer), "the results of a repeated upload");
            answer = again;
        }
        if let Some(error) = answer.get("error") {
            assert!(roll_back && error["details"].to_string().contains("rollbackOnFailure"), "{answer}");
            self.correct_everything();
            return true;
        }
        match fate {
            Fate::Lost => {}
            Fate::Crash => self.apply_rows(&answer),
            Fate::Arrives | Fate::Repeated => {
                for (layer, pending) in &sent {
                    for id in pending.keys() {
                        self.pending[*layer].remove(id);
                    }
                }
                // The device knows what was refused before it takes the rows, which may replace it.
                self.apply_results(&answer, &sent);
                if sent.iter().any(|(layer, _)| *layer == 0) {
                    self.pending_files.clear();
                }
                self.apply_rows(&answer);
                let before = self.generations;
                self.note_generations(&answer);
                if way == Way::Upload {
                    assert_eq!(before, self.generations, "an upload must not move the generation: {answer}");
                }
                assert!(before.iter().zip(&self.generations).all(|(before, now)| before <= now), "{answer}");
            }
        }
        true
    }

    /// G2: holds the rows that pass the filter, its own rows outside of it, and its refused edits that are open.
    pub fn check(&self, rows: &Rows, name: &str) {
        for (layer, rows) in rows.iter().enumerate() {
            for (id, row) in rows.iter().filter(|(_, row)| self.filter.passes(layer, row)) {
                if !self.refused[layer].contains_key(id) {
                    let held = self.rows[layer].get(id);
                    assert_eq!(held, Some(row), "{name} ({:?}), layer {layer}, row {id}", self.filter);
                }
            }
            for id in self.rows[layer].keys() {
                let passes = rows.get(id).is_some_and(|row| self.filter.passes(layer, row));
                // Later edits out there do not reach it, not even its end: the API's documentation says so.
                let own_outside = self.own[layer].contains(id);
                assert!(
                    passes || own_outside || self.refused[layer].contains_key(id),
                    "{name} ({:?}), layer {layer} holds row {id}, which is {:?} on the server",
                    self.filter,
                    rows.get(id)
                );
            }
        }
    }

    /// The same for attachments: those of trees that pass the filter.
    pub fn check_files(&self, rows: &Rows, files: &Files, name: &str) {
        let passes = |tree: &Uuid| rows[0].get(tree).is_some_and(|row| self.filter.passes(0, row));
        let is_settled = |id: &Uuid| !self.refused_files.contains_key(id);
        for (id, file) in files.iter().filter(|(id, (tree, _))| passes(tree) && is_settled(id)) {
            assert_eq!(self.files.get(id), Some(file), "{name} ({:?}), attachment {id}", self.filter);
        }
        for (id, held) in &self.files {
            let is_there = files.get(id).is_some_and(|(tree, _)| passes(tree));
            assert!(
                is_there || self.own_files.contains(id) || !is_settled(id),
                "{name} ({:?}) holds attachment {id} {held:?}, which is {:?} on the server",
                self.filter,
                files.get(id)
            );
        }
    }

    /// There is nothing to send when nothing has happened.
    pub async fn check_quiet(&self, line: Line<'_>) {
        let all: Vec<usize> = (0..N_LAYERS).collect();
        let answer = self.request(line, Way::Download, &all, &[], false).await.unwrap();
        assert_eq!(answer["responseType"], "esriReplicaResponseTypeNoEdits", "{:?}: {answer}", self.filter);
    }

    async fn request(
        &self,
        line: Line<'_>,
        way: Way,
        chosen: &[usize],
        sent: &[(usize, BTreeMap<Uuid, Pending>)],
        roll_back: bool,
    ) -> Option<Json> {
        let direction = match way {
            Way::Bidirectional => "bidirectional",
            Way::Upload => "upload",
            Way::Download => "download",
            Way::Snapshot => "snapshot",
        };
        let edits: Json = sent.iter().map(|(layer, pending)| self.edits_json(*layer, pending)).collect();
        let edits = edits.to_string();
        let generation = self.generations[0].to_string();
        let sync_layers: Json = chosen
            .iter()
            .map(|&layer| json!({"id": layer, "serverGen": self.generations[layer], "syncDirection": direction}))
            .collect();
        let sync_layers = sync_layers.to_string();
        let mut parameters = vec![
            ("replicaID", self.replica.as_str()),
            ("transportType", "esriTransportTypeEmbedded"),
            ("edits", edits.as_str()),
            ("rollbackOnFailure", if roll_back { "true" } else { "false" }),
        ];
        if self.per_layer {
            parameters.push(("syncLayers", &sync_layers));
        } else {
            parameters.push(("syncDirection", direction));
            parameters.push(("replicaServerGen", &generation));
        }
        line.post("synchronizeReplica", &parameters).await
    }

    fn edits_json(&self, layer: usize, pending: &BTreeMap<Uuid, Pending>) -> Json {
        let (mut adds, mut updates, mut deletes) = (Vec::new(), Vec::new(), Vec::new());
        for (id, pending) in pending {
            match pending {
                Pending::Add => adds.push(feature(*id, &Fields::all_of(&self.rows[layer][id]))),
                Pending::Update(fields) => updates.push(feature(*id, fields)),
                Pending::Delete => deletes.push(json!(GlobalId(*id).to_string())),
            }
        }
        let mut edits = json!({"id": layer, "features": {"adds": adds, "updates": updates, "deleteIds": deletes}});
        if layer == 0 && !self.pending_files.is_empty() {
            edits["attachments"] = self.files_json();
        }
        edits
    }

    fn files_json(&self) -> Json {
        let (mut adds, mut updates, mut deletes) = (Vec::new(), Vec::new(), Vec::new());
        for (id, pending) in &self.pending_files {
            let whole = || {
                let (tree, name) = &self.files[id];
                json!({"globalId": GlobalId(*id).to_string(), "parentGlobalId": GlobalId(*tree).to_string(), "name": name,
                    "contentType": "text/plain", "data": STANDARD.encode(name)})
            };
            match pending {
                PendingFile::Add => adds.push(whole()),
                PendingFile::Update => updates.push(whole()),
                PendingFile::Delete => deletes.push(json!(GlobalId(*id).to_string())),
            }
        }
        json!({"adds": adds, "updates": updates, "deleteIds": deletes})
    }

    /// The user puts right what the server would refuse.
    fn correct_everything(&mut self) {
        for layer in 0..N_LAYERS {
            for (id, pending) in &mut self.pending[layer] {
                if let Some(row) = self.rows[layer].get_mut(id)
                    && row.girth == Some(REFUSED_GIRTH)
                {
                    row.girth = Some(1);
                }
                if let Pending::Update(fields) = pending
                    && fields.is_refused()
                {
                    fields.girth = Some(Some(1));
                }
            }
        }
    }

    fn apply_results(&mut self, answer: &Json, sent: &[(usize, BTreeMap<Uuid, Pending>)]) {
        for element in answer["edits"].as_array().into_iter().flatten() {
            let layer = layer_of(element);
            for result in file_results(element) {
                assert_eq!(result["success"], false, "only refused edits were asked for: {result}");
                // Its tree is gone, or was refused, or the attachment is gone.
                let id = GlobalId::parse(result["globalId"].as_str().unwrap()).unwrap().0;
                self.refused_files.insert(id, self.pending_files[&id]);
            }
            for list in ["addResults", "updateResults", "deleteResults"] {
                for result in element["features"][list].as_array().unwrap() {
                    assert_eq!(result["success"], false, "only refused edits were asked for: {result}");
                    let id = GlobalId::parse(result["globalId"].as_str().unwrap()).unwrap().0;
                    let (_, pending) = sent.iter().find(|(sent, _)| *sent == layer).unwrap();
                    let refused = match &pending[&id] {
                        Pending::Add => self.rows[layer].get(&id).and_then(|row| row.girth) == Some(REFUSED_GIRTH),
                        Pending::Update(fields) => fields.is_refused(),
                        Pending::Delete => false,
                    };
                    assert!(refused || result["error"]["code"] == 1011, "refused without reason: {result}");
                    // The feature is gone: the answer's deletes say so, too.
                    if result["error"]["code"] != 1011 {
                        self.refused[layer].insert(id, pending[&id].clone());
                    }
                }
            }
        }
    }

    fn apply_rows(&mut self, answer: &Json) {
        for element in answer["edits"].as_array().into_iter().flatten() {
            let layer = layer_of(element);
            for list in ["adds", "updates"] {
                for feature in element["features"][list].as_array().unwrap() {
                    let (id, row) = read_feature(feature);
                    self.put(layer, id, row);
                }
            }
            for id in element["features"]["deleteIds"].as_array().unwrap() {
                let id = GlobalId::parse(id.as_str().unwrap()).unwrap().0;
                // A feature that waits to be uploaded whole stays: the server has yet to hear of it.
                if self.pending[layer].get(&id) != Some(&Pending::Add) {
                    self.rows[layer].remove(&id);
                    self.refused[layer].remove(&id);
                }
            }
            let attachments = &element["attachments"];
            for list in ["adds", "updates"] {
                self.put_files(&attachments[list]);
            }
            for id in attachments["deleteIds"].as_array().into_iter().flatten() {
                let id = GlobalId::parse(id.as_str().unwrap()).unwrap().0;
                if self.pending_files.get(&id) != Some(&PendingFile::Add) {
                    self.files.remove(&id);
                    self.pending_files.remove(&id);
                    self.refused_files.remove(&id);
                }
            }
        }
        for element in answer["layers"].as_array().into_iter().flatten() {
            self.replace(element);
        }
    }

    /// Takes a row from the server; what waits to be uploaded stays on top of it.
    fn put(&mut self, layer: usize, id: Uuid, row: Row) {
        self.refused[layer].remove(&id);
        match self.pending[layer].get(&id) {
            None => {
                self.rows[layer].insert(id, row);
            }
            Some(Pending::Update(fields)) => {
                let mut row = row;
                fields.apply(&mut row);
                self.rows[layer].insert(id, row);
            }
            Some(Pending::Add | Pending::Delete) => {}
        }
    }

    /// Takes attachments from the server; what waits to be uploaded stays on top of them.
    fn put_files(&mut self, list: &Json) {
        for file in list.as_array().into_iter().flatten() {
            let id = |name: &str| GlobalId::parse(file[name].as_str().unwrap()).unwrap().0;
            if !self.pending_files.contains_key(&id("globalId")) {
                self.refused_files.remove(&id("globalId"));
                self.files.insert(id("globalId"), (id("parentGlobalId"), file["name"].as_str().unwrap().to_owned()));
            }
        }
    }

    fn replace(&mut self, element: &Json) {
        let layer = layer_of(element);
        if layer == 0 {
            self.files.clear();
            self.refused_files.clear();
            self.put_files(&element["attachments"]);
        }
        self.rows[layer].clear();
        self.refused[layer].clear();
        for feature in element["features"].as_array().unwrap() {
            let (id, row) = read_feature(feature);
            assert!(self.rows[layer].insert(id, row).is_none(), "a row came twice: {feature}");
        }
    }

    fn note_generations(&mut self, answer: &Json) {
        if self.per_layer {
            assert!(answer.get("replicaServerGen").is_none(), "{answer}");
            for element in answer["layerServerGens"].as_array().unwrap() {
                self.generations[layer_of(element)] = element["serverGen"].as_i64().unwrap();
            }
        } else {
            assert!(answer.get("layerServerGens").is_none(), "{answer}");
            self.generations = [answer["replicaServerGen"].as_i64().unwrap(); N_LAYERS];
        }
    }
}

/// What an answer says about the edits that were sent.
fn results(answer: &Json) -> Vec<&Json> {
    let edits = answer["edits"].as_array().into_iter().flatten();
    let lists = edits.flat_map(|layer| {
        ["addResults", "updateResults", "deleteResults"]
            .into_iter()
            .flat_map(|list| layer["features"][list].as_array())
            .flatten()
            .chain(file_results(layer))
    });
    lists.collect()
}

/// What the answer says about the attachments that were sent.
fn file_results(layer: &Json) -> impl Iterator<Item = &Json> {
    let lists = ["addResults", "updateResults", "deleteResults"].into_iter();
    lists.flat_map(|list| layer["attachments"][list].as_array()).flatten()
}

fn layer_of(element: &Json) -> usize {
    usize::try_from(element["id"].as_u64().unwrap()).unwrap()
}

/// A feature as clients write it: only what is named.
pub fn feature(id: Uuid, fields: &Fields) -> Json {
    let mut attributes = json!({"GlobalID": GlobalId(id).to_string()});
    if let Some(species) = &fields.species {
        attributes["species"] = json!(species);
    }
    if let Some(girth) = fields.girth {
        attributes["girth"] = json!(girth);
    }
    match fields.x {
        Some(x) => json!({"attributes": attributes, "geometry": {"x": x, "y": 5}}),
        None => json!({"attributes": attributes}),
    }
}

fn read_feature(feature: &Json) -> (Uuid, Row) {
    let attributes = &feature["attributes"];
    let row = Row {
        species: attributes["species"].as_str().map(str::to_owned),
        girth: attributes["girth"].as_i64().map(|girth| i32::try_from(girth).unwrap()),
        x: feature["geometry"]["x"].as_f64().map(|x| format!("{x}").parse().unwrap()),
    };
    (GlobalId::parse(attributes["globalid"].as_str().unwrap()).unwrap().0, row)
}
