//! T-M1: random histories, played against the server and against the model.
//!
//! The number of histories is set by `SYNCLINE_HISTORIES`, that of their steps by `SYNCLINE_STEPS`, the seed by `SYNCLINE_SEED`;
//! after `SYNCLINE_MINUTES` no new one is begun. A
//! history that fails is shrunk, and kept here by name once it is understood.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures_util::FutureExt as _;
use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};
use syncline::model::id::{GlobalId, LayerId};
use uuid::Uuid;

use super::{
    device::{Device, Files, Line, Rows, feature, files_of, rows_of},
    model::{
        Change, Fate, Fields, Model, N_DEVICES, N_LAYERS, N_ROWS, Row, Step, TREES, TestFilter, Way, file_id,
        histories, histories_with_restores, id_of,
    },
    overwrites::{FILES, Log, Lost, Tables, of_fields, of_named_file, tables},
};
use crate::support::{TestServer, at_length, seed, setting};

/// What histories share: a server, and a connection for those who edit with SQL.
struct Stage {
    server: TestServer,
    connection: PgConnection,
    is_set: bool,
    /// The table of attachments.
    files: String,
}

impl Stage {
    async fn new() -> Stage {
        let server = TestServer::new().await;
        let connection = server.database.connect().await;
        Stage { server, connection, is_set: false, files: String::new() }
    }

    async fn sql(&mut self, statements: &str) {
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut self.connection).await.unwrap();
    }

    async fn value(&mut self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&mut self.connection).await.unwrap()
    }

    /// The conflicts of uploads after this one.
    async fn conflicts(&mut self, batch: i64) -> BTreeMap<(usize, Uuid), Lost> {
        let query = "select case when l.attached_to is null then l.layer_id else 2 end, k.global_id, k.op, k.fields
             from syncline.conflict k join syncline.layer l using (layer_key) where k.batch_id > $1";
        let rows: Vec<(i32, Uuid, String, Vec<String>)> =
            sqlx::query_as(query).bind(batch).fetch_all(&mut self.connection).await.unwrap();
        let mut found = BTreeMap::new();
        for (layer, id, op, fields) in rows {
            let lost = (op == "delete", fields.into_iter().collect());
            let known = found.insert((usize::try_from(layer).unwrap(), id), lost);
            assert!(known.is_none(), "two conflicts of one upload over {id}");
        }
        found
    }

    /// The attachments whose edits uploads after this one were refused.
    async fn refused_files(&mut self, batch: i64) -> BTreeSet<Uuid> {
        let query = "select r.global_id from syncline.receipt r join syncline.layer l using (layer_key)
             where r.batch_id > $1 and l.attached_to is not null and r.code is not null";
        let ids: Vec<Uuid> = sqlx::query_scalar(query).bind(batch).fetch_all(&mut self.connection).await.unwrap();
        ids.into_iter().collect()
    }

    /// Two empty tables, published, and no replicas. The history of the service goes on.
    async fn set(&mut self) {
        if self.is_set {
            return self.sql("truncate tree, note restart identity; delete from syncline.replica").await;
        }
        self.sql(TREES).await;
        for table in TABLES {
            self.server.publish(table).await;
        }
        self.server.app.store.enable_attachments("trees", LayerId(0)).await.unwrap();
        let name = "select 'syncline.' || table_name from syncline.layer where attached_to is not null";
        self.files = self.server.database.value(name).await;
        self.is_set = true;
    }
}

struct World<'a> {
    stage: &'a mut Stage,
    model: Model,
    devices: Vec<Device>,
    backups: Vec<Option<Device>>,
    log: Log,
    /// What the log was told last.
    tables: Tables,
    n_attached: usize,
}

const TABLES: [&str; N_LAYERS] = ["tree", "note"];

impl World<'_> {
    async fn new(stage: &mut Stage) -> World<'_> {
        stage.set().await;
        let mut world = World {
            stage,
            model: Model::default(),
            devices: Vec::new(),
            backups: vec![None; N_DEVICES],
            log: Log::default(),
            tables: Tables::default(),
            n_attached: 0,
        };
        for row in 0..3 {
            let whole =
                Change::Put(Fields::all_of(&Row { species: Some("oak".to_owned()), girth: Some(1), x: Some(5) }));
            world.rest(0, row, &whole).await;
        }
        world.tables = tables(&world.model.layers, &Files::new());
        for (filter, per_layer) in [
            (TestFilter::All, false),
            (TestFilter::Oaks, true),
            (TestFilter::Area, false),
            (TestFilter::OaksInArea, true),
        ] {
            world.devices.push(Device::create(Line::Near(&world.stage.server), filter, per_layer).await);
        }
        world
    }

    async fn play(&mut self, step: &Step) {
        let before = std::mem::take(&mut self.tables);
        self.take(step).await;
        self.tables = tables(&self.model.layers, &files_of(&mut self.stage.connection).await);
        let by = match step {
            Step::Sync { device, .. } => Some(*device),
            _ => None,
        };
        if before != self.tables {
            let generation = self.stage.value("select last_value from syncline.generation").await;
            self.log.note(generation, by, &before, &self.tables);
        }
    }

    /// Synchronizes a device. What the server overwrote must be what the judge finds.
    async fn sync(&mut self, device: usize, way: Way, fate: Fate, layers: u8, roll_back: bool) {
        const LAST: &str = "select coalesce(max(batch_id), 0) from syncline.batch";
        let last_batch = self.stage.value(LAST).await;
        let sends = self.devices[device].sends(way, layers);
        let known = self.devices[device].generations;
        let sends_files = self.devices[device].sends_files(way, layers);
        let stood = tables(&self.model.layers, &files_of(&mut self.stage.connection).await);
        self.devices[device].sync(Line::Near(&self.stage.server), way, fate, layers, roll_back).await;
        // An upload that came before has overwritten what it did then, and one that was undone nothing.
        let is_new = self.stage.value(LAST).await > last_batch;
        let mut expected: BTreeMap<(usize, Uuid), Lost> = BTreeMap::new();
        for (layer, id, fields, is_update) in sends.into_iter().filter(|_| is_new) {
            let row = stood[layer].get(&id);
            let is_gone = is_update && row.is_none();
            if is_gone || fields.as_ref().is_some_and(Fields::is_refused) {
                continue;
            }
            let sent = fields.as_ref().map(|fields| of_fields(layer, fields));
            if let Some(lost) = self.log.lost((device, known[layer]), (layer, id), row, sent.as_ref()) {
                expected.insert((layer, id), lost);
            }
        }
        if is_new {
            let refused = self.stage.refused_files(last_batch).await;
            let now = files_of(&mut self.stage.connection).await;
            let named = |id: &Uuid| sends_files.iter().any(|(sent, _)| sent == id);
            // Those that a deleted tree took along are not named.
            let along = stood[FILES].keys().filter(|id| !now.contains_key(id) && !named(id)).map(|id| (*id, None));
            let sent = sends_files.iter().filter(|(id, _)| !refused.contains(id)).cloned();
            for (id, file) in sent.chain(along) {
                let sent = file.as_ref().map(of_named_file);
                let lost = self.log.lost((device, known[0]), (FILES, id), stood[FILES].get(&id), sent.as_ref());
                if let Some(lost) = lost {
                    expected.insert((FILES, id), lost);
                }
            }
        }
        let found = if is_new { self.stage.conflicts(last_batch).await } else { BTreeMap::new() };
        assert_eq!(found, expected, "conflicts of device {device}, which had seen {known:?}");
    }

    async fn take(&mut self, step: &Step) {
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
            Step::Attach { device, file, row } => {
                self.n_attached += 1;
                let name = format!("{device} {}", self.n_attached);
                self.devices[*device].attach(file_id(*file), id_of(*row), &name);
            }
            Step::Detach { device, file } => self.devices[*device].detach(file_id(*file)),
            Step::SqlAttach { file, row } => {
                self.n_attached += 1;
                let (table, n) = (&self.stage.files, self.n_attached);
                let statement = format!(
                    "insert into {table} as a (globalid, parent_globalid, name, content_type, size_bytes, sha256)
                     select '{}', globalid, 'sql {n}', 'text/plain', length('sql {n}'), encode(sha256('sql {n}'), 'hex') from tree where globalid = '{}'
                     on conflict (globalid) do update set name = excluded.name, size_bytes = excluded.size_bytes, sha256 = excluded.sha256",
                    file_id(*file), id_of(*row)
                );
                self.stage.sql(&statement).await;
            }
            Step::Sync { device, way, fate, layers, roll_back } => {
                let uploads = matches!(way, Way::Bidirectional | Way::Upload);
                self.sync(*device, *way, *fate, *layers, *roll_back).await;
                let after = self.rows().await;
                assert!(uploads || after == self.model.layers, "a download changed the server");
                let strangers =
                    after.iter().flat_map(BTreeMap::keys).filter(|id| !(0..N_ROWS).any(|row| id_of(row) == **id));
                assert_eq!(strangers.count(), 0, "there are features that nobody made: {after:?}");
                // What the server made of an upload is taken from the server; the model judges what the devices get.
                self.model.layers = after;
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
    async fn rows(&mut self) -> Rows {
        rows_of(&mut self.stage.connection).await
    }

    /// Lets everybody synchronize until nothing is new, and compares.
    async fn settle(&mut self) {
        let rows = self.rows().await;
        assert_eq!(self.model.layers, rows, "the server's rows are not what its answers said");
        for _ in 0..2 {
            for device in &mut self.devices {
                device.sync(Line::Near(&self.stage.server), Way::Bidirectional, Fate::Arrives, 3, false).await;
            }
        }
        let rows = self.rows().await;
        let files = files_of(&mut self.stage.connection).await;
        for (number, device) in self.devices.iter().enumerate() {
            device.check(&rows, &format!("device {number}"));
            device.check_files(&rows, &files, &format!("device {number}"));
            device.check_quiet(Line::Near(&self.stage.server)).await;
        }
        assert_eq!(self.rows().await, rows, "devices without edits changed the server");
    }
}

/// Plays random histories. Long ones make many more of the rare meetings; short ones are easier to understand.
#[expect(clippy::print_stdout, reason = "a long run says how far it came")]
fn run(name: &str, strategy: impl Strategy<Value = Vec<Step>>, salt: u8) {
    let n_histories = setting("SYNCLINE_HISTORIES", at_length(100, 2000));
    let max_shrink_iters = u32::try_from(setting("SYNCLINE_SHRINKS", 400)).unwrap();
    let cases = u32::try_from(n_histories).unwrap();
    let config = Config { cases, failure_persistence: None, max_shrink_iters, ..Config::default() };
    let mut bytes = [salt; 32];
    bytes[..8].copy_from_slice(&seed().to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stage = RefCell::new(runtime.block_on(Stage::new()));
    let (begun, n_played) = (Instant::now(), Cell::new(0));
    let limit = Duration::from_secs(setting("SYNCLINE_MINUTES", 24 * 60) * 60);
    let played = runner.run(&strategy, |steps| {
        if begun.elapsed() > limit {
            return Ok(());
        }
        n_played.set(n_played.get() + 1);
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
        Ok(()) => println!("{name}: {} histories played", n_played.get()),
        Err(TestError::Fail(reason, steps)) => {
            let listing: Vec<String> = steps.iter().map(|step| format!("    {step:?},")).collect();
            panic!(
                "{reason}\nthe shortest history that shows it:\n{}\nSYNCLINE_SEED={} SYNCLINE_HISTORIES={n_histories} cargo test --test it {name}",
                listing.join("\n"),
                seed()
            );
        }
        Err(other) => panic!("{other}"),
    }
}

/// The most steps of a history.
fn n_steps() -> usize {
    usize::try_from(setting("SYNCLINE_STEPS", at_length(60, 200))).unwrap()
}

/// The device is sent what it has under the id of its own, and cannot take it; then its own is refused.
#[tokio::test]
async fn an_attachment_that_is_refused_hides_another_with_its_id() {
    let mut stage = Stage::new().await;
    let mut world = World::new(&mut stage).await;
    let sync = |device, way, fate, roll_back| Step::Sync { device, way, fate, layers: 3, roll_back };
    for step in [
        Step::Attach { device: 0, file: 4, row: 1 },
        Step::SqlAttach { file: 4, row: 2 },
        sync(0, Way::Download, Fate::Arrives, false),
        Step::Rest { layer: 0, row: 1, change: Change::Delete },
        sync(0, Way::Bidirectional, Fate::Arrives, false),
    ] {
        world.play(&step).await;
    }
    world.settle().await;
}

#[test]
fn every_device_ends_with_what_its_filter_selects() {
    run("every_device_ends_with_what_its_filter_selects", histories(n_steps()), 7);
}

#[test]
fn f29_devices_that_are_put_back_end_with_what_their_filter_selects() {
    run("f29_devices_that_are_put_back_end_with_what_their_filter_selects", histories_with_restores(n_steps()), 9);
}
