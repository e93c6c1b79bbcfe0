//! Random histories over rows that belong to rows: trees, their surveys, the surveys' findings, and attachments of the first
//! two. The judge is a naive query for what a filter selects.
//!
//! The seed and the number of histories are set as for the other histories.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};
use syncline::model::id::LayerId;

use crate::support::TestServer;

/// What is held of each table, in this order: trees, surveys, findings, attachments of trees, attachments of surveys.
pub const TABLES: usize = 5;

/// For each row what matters of it: what it belongs to, and a text.
pub type Rows = BTreeMap<String, (String, String)>;

/// A small generator, so that a seed is a history.
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let n = u64::try_from(of.len()).unwrap();
        (n > 0).then(|| &of[usize::try_from(self.below(n)).unwrap()])
    }
}

/// A row as a client names it.
fn id(table: usize, n: u64) -> String {
    format!("{{AAAAAAAA-{table:04}-4000-8000-{n:012}}}")
}

pub struct World {
    pub server: TestServer,
    /// The tables of the attachments of trees and of surveys.
    files: [String; 2],
    n_made: u64,
}

impl World {
    pub async fn new() -> World {
        let server = TestServer::new().await;
        server
            .database
            .sql(
                "create table tree (id serial primary key, globalid uuid not null default gen_random_uuid() unique, girth integer, note text);
                 create table survey (id serial primary key, globalid uuid not null default gen_random_uuid() unique,
                   tree uuid references tree (globalid) on delete cascade, note text);
                 create table finding (id serial primary key, globalid uuid not null default gen_random_uuid() unique,
                   survey uuid references survey (globalid) on delete set null, note text)",
            )
            .await;
        let mut files = [String::new(), String::new()];
        for (layer, table) in ["tree", "survey", "finding"].into_iter().enumerate() {
            server.publish(table).await;
            if let Some(file) = files.get_mut(layer) {
                let id = LayerId(i32::try_from(layer).unwrap());
                server.app.store.enable_attachments("trees", id).await.unwrap();
                let query = format!(
                    "select 'syncline.' || a.table_name from syncline.layer a join syncline.layer l on l.layer_key = a.attached_to where l.layer_id = {layer}"
                );
                *file = server.database.value(&query).await;
            }
        }
        let world = World { server, files, n_made: 5 };
        for n in 0..5 {
            world.sql(&format!("insert into tree (globalid, girth, note) values ('{}', {n}, 'tree')", id(0, n))).await;
            world
                .sql(&format!("insert into survey (globalid, tree, note) values ('{}', '{}', 's')", id(1, n), id(0, n)))
                .await;
            world
                .sql(&format!(
                    "insert into finding (globalid, survey, note) values ('{}', '{}', 'f')",
                    id(2, n),
                    id(1, n)
                ))
                .await;
        }
        world
    }

    async fn sql(&self, statement: &str) {
        self.server.database.sql(statement).await;
    }

    /// What a filter over trees selects of each table, asked naively.
    pub async fn truth(&self, filter: &str) -> [Rows; TABLES] {
        let trees = format!("select globalid from tree where {filter}");
        let surveys = format!("select globalid from survey where tree in ({trees})");
        let queries = [
            format!("select globalid, null::uuid, girth || note from tree where {filter}"),
            format!("select globalid, tree, note from survey where tree in ({trees})"),
            format!("select globalid, survey, note from finding where survey in ({surveys})"),
            format!("select globalid, parent_globalid, name from {} where parent_globalid in ({trees})", self.files[0]),
            format!(
                "select globalid, parent_globalid, name from {} where parent_globalid in ({surveys})",
                self.files[1]
            ),
        ];
        let mut truth: [Rows; TABLES] = Default::default();
        for (rows, query) in truth.iter_mut().zip(queries) {
            let listed: Json = self
                .server
                .database
                .value(&format!(
                    "select coalesce(json_agg(json_build_array('{{' || upper(q.a::text) || '}}', coalesce('{{' || upper(q.b::text) || '}}', ''), q.c)), '[]') from ({query}) q(a, b, c)"
                ))
                .await;
            for row in listed.as_array().unwrap() {
                let text = |n: usize| row[n].as_str().unwrap_or_default().to_owned();
                rows.insert(text(0), (text(1), text(2)));
            }
        }
        truth
    }

    /// What somebody does with SQL.
    pub async fn disturb(&mut self, chance: &mut Chance) {
        let some = chance.below(self.n_made);
        let other = chance.below(self.n_made);
        self.n_made += 1;
        let new = self.n_made;
        let file = &self.files[usize::try_from(chance.below(2)).unwrap()];
        let parents = if file == &self.files[0] { "tree" } else { "survey" };
        let statement = match chance.below(12) {
            0 | 1 => format!("update tree set girth = {} where globalid = '{}'", chance.below(5), id(0, some)),
            2 => format!("update survey set tree = (select globalid from tree where globalid = '{}') where globalid = '{}'", id(0, other), id(1, some)),
            3 => format!("update finding set survey = (select globalid from survey where globalid = '{}') where globalid = '{}'", id(1, other), id(2, some)),
            4 => format!("insert into tree (globalid, girth, note) values ('{}', {}, 'new')", id(0, new), chance.below(5)),
            5 => format!("insert into survey (globalid, tree, note) select '{}', globalid, 'new' from tree order by globalid limit 1 offset {}", id(1, new), chance.below(4)),
            6 => format!("insert into finding (globalid, survey, note) select '{}', globalid, 'new' from survey order by globalid limit 1 offset {}", id(2, new), chance.below(4)),
            7 => format!("delete from tree where globalid = '{}'", id(0, some)),
            8 => format!("delete from survey where globalid = '{}'", id(1, some)),
            9 => format!("update {} set note = note || '.' where globalid = '{}'", ["tree", "survey", "finding"][usize::try_from(some % 3).unwrap()], id(usize::try_from(some % 3).unwrap(), some)),
            10 => format!(
                "insert into {file} (globalid, parent_globalid, name, content_type, size_bytes, sha256)
                 select '{}', globalid, 'f{new}', 'a/b', 1, repeat('a', 64) from {parents} order by globalid limit 1 offset {}",
                id(3, new), chance.below(4)
            ),
            _ => format!("update {file} set name = name || '.' where attachment_id % 3 = {}", chance.below(3)),
        };
        self.sql(&statement).await;
    }
}

/// What a device does to its rows, and has not been told the end of.
#[derive(Clone)]
struct Pending {
    edits: Json,
}

struct Device {
    filter: &'static str,
    replica: String,
    per_layer: bool,
    generation: i64,
    rows: [Rows; TABLES],
    /// Rows that it edited itself: those it may keep outside its filter, where changes of others do not reach it.
    own: BTreeSet<String>,
    pending: Option<Pending>,
}

impl Device {
    async fn create(world: &World, filter: &'static str, per_layer: bool) -> Device {
        let queries = json!({"0": {"where": filter}}).to_string();
        let answer = world
            .server
            .post(
                "createReplica",
                &[
                    ("layers", "0,1,2"),
                    ("layerQueries", &queries),
                    ("returnAttachments", "true"),
                    ("syncModel", if per_layer { "perLayer" } else { "perReplica" }),
                    ("transportType", "esriTransportTypeEmbedded"),
                ],
            )
            .await;
        let mut device = Device {
            filter,
            replica: answer["replicaID"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned(),
            per_layer,
            generation: generation(&answer),
            rows: Default::default(),
            own: BTreeSet::new(),
            pending: None,
        };
        for layer in answer["layers"].as_array().unwrap() {
            device.put(layer["id"].as_u64().unwrap(), &layer["features"], layer.get("attachments"));
        }
        device
    }

    fn put(&mut self, layer: u64, features: &Json, attachments: Option<&Json>) {
        let layer = usize::try_from(layer).unwrap();
        for feature in features.as_array().unwrap() {
            let attributes = &feature["attributes"];
            let text = |name: &str| attributes[name].as_str().unwrap_or_default().to_owned();
            let row = match layer {
                0 => (String::new(), format!("{}{}", attributes["girth"], text("note"))),
                1 => (text("tree"), text("note")),
                _ => (text("survey"), text("note")),
            };
            self.rows[layer].insert(text("globalid"), row);
        }
        for file in attachments.into_iter().flat_map(|files| files.as_array().unwrap()) {
            let text = |name: &str| file[name].as_str().unwrap().to_owned();
            self.rows[3 + layer].insert(text("globalId"), (text("parentGlobalId"), text("name")));
        }
    }

    /// An edit of something that the device has.
    fn edit(&mut self, chance: &mut Chance, new: u64) {
        if self.pending.is_some() {
            return;
        }
        let surveys: Vec<String> = self.rows[1].keys().cloned().collect();
        let (Some(survey), Some(of)) = (chance.pick(&surveys).cloned(), chance.pick(&surveys).cloned()) else { return };
        let (finding, file) = (id(2, new), id(4, new));
        let note = format!("n{new}");
        self.own.extend([survey.clone(), finding.clone(), file.clone()]);
        self.rows[1].entry(survey.clone()).and_modify(|row| row.1.clone_from(&note));
        self.rows[2].insert(finding.clone(), (of.clone(), note.clone()));
        self.rows[4].insert(file.clone(), (survey.clone(), note.clone()));
        let deleted: Vec<String> = self.rows[4].keys().filter(|_| chance.below(6) == 0).take(1).cloned().collect();
        let edits = json!([
            {"id": 2, "features": {"adds": [{"attributes": {"globalid": finding, "survey": of, "note": note}}]}},
            {"id": 1, "features": {"updates": [{"attributes": {"globalid": survey, "note": note}}]},
             "attachments": {"adds": [{"globalId": file, "parentGlobalId": survey, "name": note, "contentType": "a/b", "data": "aGk="}],
                             "deleteIds": deleted}}
        ]);
        for file in &deleted {
            self.rows[4].remove(file);
        }
        self.pending = Some(Pending { edits });
    }

    async fn sync(&mut self, world: &World, lost: bool, forgets: bool) {
        let edits = self.pending.as_ref().map_or_else(String::new, |pending| pending.edits.to_string());
        let generation_text = self.generation.to_string();
        let layers: Json = (0..3).map(|id| json!({"id": id, "serverGen": self.generation})).collect();
        let layers = layers.to_string();
        let answer = world
            .server
            .post(
                "synchronizeReplica",
                &[
                    ("replicaID", &self.replica),
                    if self.per_layer { ("syncLayers", &layers) } else { ("replicaServerGen", &generation_text) },
                    ("edits", &edits),
                    ("rollbackOnFailure", "false"),
                    ("transportType", "esriTransportTypeEmbedded"),
                ],
            )
            .await;
        assert!(answer.get("error").is_none(), "{answer}");
        if lost {
            return;
        }
        for layer in answer.get("edits").into_iter().flat_map(|edits| edits.as_array().unwrap()) {
            let id = layer["id"].as_u64().unwrap();
            for (table, lists) in [(Some(id), &layer["features"]), (Some(id + 3), &layer["attachments"])] {
                let table = usize::try_from(table.unwrap()).unwrap();
                for list in ["adds", "updates"] {
                    match table < 3 {
                        true => self.put(id, &lists[list], None),
                        false => self.put(id, &json!([]), Some(&lists[list])),
                    }
                }
                for result in lists["addResults"].as_array().unwrap() {
                    // The user of the device gives up what was refused.
                    self.rows[table].remove(result["globalId"].as_str().unwrap());
                }
                for deleted in lists["deleteIds"].as_array().unwrap() {
                    self.rows[table].remove(deleted.as_str().unwrap());
                }
            }
        }
        if !forgets {
            self.generation = generation(&answer);
            self.pending = None;
        }
    }

    async fn check(&self, world: &World) {
        let truth = world.truth(self.filter).await;
        for (table, (truth, rows)) in truth.iter().zip(&self.rows).enumerate() {
            for (id, row) in truth {
                assert_eq!(rows.get(id), Some(row), "{id} of table {table} of the device with {}", self.filter);
            }
            for id in rows.keys().filter(|id| !truth.contains_key(*id)) {
                assert!(
                    self.own.contains(id),
                    "{id} of table {table} should have left the device with {}",
                    self.filter
                );
            }
        }
    }
}

pub fn generation(answer: &Json) -> i64 {
    answer["replicaServerGen"].as_i64().or(answer["layerServerGens"][0]["serverGen"].as_i64()).unwrap()
}

#[tokio::test]
async fn g2_devices_hold_what_belongs_to_what_they_hold() {
    #[expect(clippy::disallowed_methods, reason = "the tests' own settings")]
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, n_histories) =
        (setting("SYNCLINE_SEED").unwrap_or(1), setting("SYNCLINE_HISTORIES").unwrap_or(60) / 20);
    for seed in first..first + n_histories.max(1) {
        let mut chance = Chance::new(seed);
        let mut world = World::new().await;
        let mut devices = vec![
            Device::create(&world, "girth <= 2", false).await,
            Device::create(&world, "girth >= 2", true).await,
            Device::create(&world, "girth = 1 or girth = 3", false).await,
        ];
        for step in 0..60 {
            world.disturb(&mut chance).await;
            let n_devices = u64::try_from(devices.len()).unwrap();
            let device = usize::try_from(chance.below(n_devices)).unwrap();
            match chance.below(4) {
                0 => devices[device].edit(&mut chance, 10_000 + step),
                1 => devices[device].sync(&world, true, false).await,
                2 => devices[device].sync(&world, false, true).await,
                _ => devices[device].sync(&world, false, false).await,
            }
        }
        for device in &mut devices {
            // The first answer may be to edits that came before; the second says what became of everything.
            device.sync(&world, false, false).await;
        }
        for device in &mut devices {
            device.sync(&world, false, false).await;
            device.check(&world).await;
        }
    }
}
