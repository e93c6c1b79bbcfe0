//! Random histories, played against the server and against the model.
//!
//! The number of histories is set by `SYNCLINE_HISTORIES`, the seed by `SYNCLINE_SEED`; a history that fails is shrunk, and kept here by
//! name once it is understood.

use std::{cell::RefCell, panic::AssertUnwindSafe};

use futures_util::FutureExt as _;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};
use syncline::model::id::GlobalId;
use uuid::Uuid;

use super::{
    device::{Device, feature},
    model::{
        Change, Fate, Model, N_DEVICES, N_LAYERS, Row, Step, TestFilter, Way, histories, histories_with_restores, id_of,
    },
};
use crate::support::TestServer;

/// What histories share: a server, and a connection for those who edit with SQL.
struct Stage {
    server: TestServer,
    connection: PgConnection,
}

impl Stage {
    async fn new() -> Stage {
        let server = TestServer::new().await;
        let connection = server.database.connect().await;
        Stage { server, connection }
    }

    async fn sql(&mut self, statements: &str) {
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut self.connection).await.unwrap();
    }

    /// Two tables, published, with three oaks.
    async fn set(&mut self) {
        if let Ok(service) = self.server.app.store.service("trees").await {
            for layer in &service.layers {
                self.server.app.store.unpublish("trees", layer.id, true).await.unwrap();
            }
            self.sql("delete from syncline.service; drop table tree, note").await;
            self.server.app.store.reload().await.unwrap();
        }
        self.sql(
            "create table tree (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique,
               species text, girth integer check (girth <> 666), shape geometry(Point, 3857));
             create table note (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique,
               species text, girth integer check (girth <> 666));",
        )
        .await;
        for table in TABLES {
            self.server.publish(table).await;
        }
    }
}

struct World<'a> {
    stage: &'a mut Stage,
    model: Model,
    devices: Vec<Device>,
    backups: Vec<Option<Device>>,
}

/// Global id, species, girth, easting.
type TableRow = (Uuid, Option<String>, Option<i32>, Option<i32>);

const TABLES: [&str; N_LAYERS] = ["tree", "note"];

impl World<'_> {
    async fn new(stage: &mut Stage) -> World<'_> {
        stage.set().await;
        let mut world = World { stage, model: Model::default(), devices: Vec::new(), backups: vec![None; N_DEVICES] };
        for row in 0..3 {
            let whole = Change::Put(super::model::Fields::all_of(&Row {
                species: Some("oak".to_owned()),
                girth: Some(1),
                x: Some(5),
            }));
            world.rest(0, row, &whole).await;
        }
        for (filter, per_layer) in [
            (TestFilter::All, false),
            (TestFilter::Oaks, true),
            (TestFilter::Area, false),
            (TestFilter::OaksInArea, true),
        ] {
            world.devices.push(Device::create(&world.stage.server, filter, per_layer).await);
        }
        world
    }

    async fn play(&mut self, step: &Step) {
        match step {
            Step::Rest { layer, row, change } => self.rest(*layer, *row, change).await,
            Step::Sql { layer, row, change } => self.sql(*layer, *row, change).await,
            Step::SqlAll { layer, species } => {
                self.stage.sql(&format!("update {} set species = '{species}'", TABLES[*layer])).await;
                for row in self.model.layers[*layer].values_mut() {
                    row.species = Some((*species).to_owned());
                }
            }
            Step::SqlRolledBack { layer } => {
                let table = TABLES[*layer];
                let statements = format!(
                    "begin; delete from {table}; savepoint s; insert into {table} (girth) values (1); rollback to s; rollback"
                );
                self.stage.sql(&statements).await;
            }
            Step::Device { device, layer, row, change } => self.devices[*device].edit(*layer, id_of(*row), change),
            Step::Sync { device, way, fate, layers, roll_back } => {
                let before = self.rows().await;
                self.devices[*device].sync(&self.stage.server, *way, *fate, *layers, *roll_back).await;
                if matches!(way, Way::Download | Way::Snapshot) {
                    let after = self.rows().await;
                    assert_eq!(before, after, "a download changed the server");
                }
                // What the server made of an upload is taken from the server; the model judges what the devices get.
                self.model.layers = self.rows().await;
            }
            Step::BackUp { device } => self.backups[*device] = Some(self.devices[*device].clone()),
            Step::Restore { device } => {
                if let Some(earlier) = self.backups[*device].clone() {
                    self.devices[*device] = earlier;
                }
            }
        }
    }

    async fn rest(&mut self, layer: usize, row: u8, change: &Change) {
        let id = id_of(row);
        let known = self.model.layers[layer].contains_key(&id);
        let body = match change {
            Change::Put(fields) if known => json!({"updates": [feature(id, fields)]}),
            Change::Put(fields) => json!({"adds": [feature(id, fields)]}),
            Change::Delete => json!({"deletes": [GlobalId(id).to_string()]}),
        };
        let (name, edits) = body.as_object().unwrap().iter().next().unwrap();
        let answer = self
            .stage
            .server
            .post(&format!("{layer}/applyEdits"), &[("useGlobalIds", "true"), (name, &edits.to_string())])
            .await;
        let result = &answer[format!("{}Results", name.trim_end_matches('s'))][0];
        let refused = matches!(change, Change::Put(fields) if fields.is_refused());
        assert_eq!(result["success"], !refused, "{answer}");
        if !refused {
            self.model.change(layer, id, change);
        }
    }

    async fn sql(&mut self, layer: usize, row: u8, change: &Change) {
        let (id, table) = (id_of(row), TABLES[layer]);
        let statement = match change {
            Change::Delete => format!("delete from {table} where globalid = '{id}'"),
            Change::Put(fields) if fields.is_refused() => return,
            Change::Put(fields) => {
                let mut new = self.model.layers[layer].get(&id).cloned().unwrap_or_default();
                fields.apply(&mut new);
                let text =
                    |value: Option<String>| value.map_or_else(|| "null".to_owned(), |value| format!("'{value}'"));
                let (species, girth) = (text(new.species), text(new.girth.map(|girth| girth.to_string())));
                if layer == 0 {
                    let shape =
                        new.x.map_or_else(|| "null".to_owned(), |x| format!("ST_SetSRID(ST_Point({x}, 5), 3857)"));
                    format!(
                        "insert into {table} (globalid, species, girth, shape) values ('{id}', {species}, {girth}, {shape})
                         on conflict (globalid) do update set species = excluded.species, girth = excluded.girth, shape = excluded.shape"
                    )
                } else {
                    format!(
                        "insert into {table} (globalid, species, girth) values ('{id}', {species}, {girth})
                         on conflict (globalid) do update set species = excluded.species, girth = excluded.girth"
                    )
                }
            }
        };
        self.stage.sql(&statement).await;
        self.model.change(layer, id, change);
    }

    /// What the tables hold, without the server's help.
    async fn rows(&mut self) -> [std::collections::BTreeMap<Uuid, Row>; N_LAYERS] {
        let mut layers: [std::collections::BTreeMap<Uuid, Row>; N_LAYERS] = Default::default();
        for (layer, statement) in [
            "select globalid, species, girth, ST_X(shape)::int from tree",
            "select globalid, species, girth, null::int from note",
        ]
        .into_iter()
        .enumerate()
        {
            let rows: Vec<TableRow> = sqlx::query_as(statement).fetch_all(&mut self.stage.connection).await.unwrap();
            layers[layer] = rows.into_iter().map(|(id, species, girth, x)| (id, Row { species, girth, x })).collect();
        }
        layers
    }

    /// Lets everybody synchronize until nothing is new, and compares.
    async fn settle(&mut self) {
        let rows = self.rows().await;
        assert_eq!(self.model.layers, rows, "the server's rows are not what its answers said");
        for round in 0..3 {
            for device in &mut self.devices {
                device.sync(&self.stage.server, Way::Bidirectional, Fate::Arrives, 3, false).await;
            }
            if round == 1 {
                self.model.layers = self.rows().await;
            }
        }
        let rows = self.rows().await;
        assert_eq!(self.model.layers, rows, "devices without edits changed the server");
        for (number, device) in self.devices.iter().enumerate() {
            for layer in 0..N_LAYERS {
                self.compare(number, device, layer);
            }
        }
    }

    /// G2: a device holds the rows that pass its filter, its own rows outside of it, and its refused edits that are open.
    fn compare(&self, number: usize, device: &Device, layer: usize) {
        let rows = &self.model.layers[layer];
        for (id, row) in rows.iter().filter(|(_, row)| device.filter.passes(layer, row)) {
            if !device.refused[layer].contains_key(id) {
                assert_eq!(
                    device.rows[layer].get(id),
                    Some(row),
                    "device {number} ({:?}), layer {layer}, row {id}",
                    device.filter
                );
            }
        }
        for id in device.rows[layer].keys() {
            let passes = rows.get(id).is_some_and(|row| device.filter.passes(layer, row));
            // Later edits out there do not reach it, not even its end: the API's documentation says so.
            let own_outside = device.own[layer].contains(id);
            assert!(
                passes || own_outside || device.refused[layer].contains_key(id),
                "device {number} ({:?}), layer {layer} holds row {id}, which is {:?} on the server",
                device.filter,
                rows.get(id)
            );
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the size of the test is set from outside")]
fn run(strategy: impl proptest::strategy::Strategy<Value = Vec<Step>>, seed: u8) {
    let number =
        |name: &str, default: u64| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let cases = u32::try_from(number("SYNCLINE_HISTORIES", 60)).unwrap();
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
    let mut bytes = [seed; 32];
    bytes[..8].copy_from_slice(&number("SYNCLINE_SEED", 1).to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stage = RefCell::new(runtime.block_on(Stage::new()));
    let played = runner.run(&strategy, |steps| {
        let mut stage = stage.borrow_mut();
        let history = async {
            let mut world = World::new(&mut stage).await;
            for step in &steps {
                world.play(step).await;
            }
            world.settle().await;
        };
        runtime.block_on(AssertUnwindSafe(history).catch_unwind()).map_err(|panic| {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            TestCaseError::fail(text.unwrap_or_else(|| "a panic without text".to_owned()))
        })
    });
    match played {
        Ok(()) => {}
        Err(TestError::Fail(reason, steps)) => {
            let listing: Vec<String> = steps.iter().map(|step| format!("    {step:?},")).collect();
            panic!("{reason}\nthe shortest history that shows it:\n{}", listing.join("\n"));
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn every_device_ends_with_what_its_filter_selects() {
    run(histories(), 7);
}

#[test]
fn f29_devices_that_are_put_back_end_with_what_their_filter_selects() {
    run(histories_with_restores(), 9);
}
