//! T-K1, T-K2: a server that is killed, or loses its connection to the database, at every step of what it does.
//!
//! Somebody locks what the next step needs, so that the server stands still at a step that we know; then it is killed. After
//! that nothing is half: a replica is there with all that belongs to it or not at all, an upload with its receipts or not at
//! all. The client, which heard nothing, repeats itself.

use std::{io::Write as _, net::TcpStream};

use rustix::process::Signal;
use serde_json::{Value as Json, json};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::support::{Program, TestDatabase, at_length, program::Server, server::encode};

/// What stops the server: a lock that it has to wait for.
#[derive(Clone, Copy, Debug)]
enum Gate {
    /// Reading a table.
    Read(&'static str),
    /// Writing to a table.
    Write(&'static str),
    /// The commit of edits.
    Commit,
    /// Reading a table after the commit of edits.
    ReadAfterCommit(&'static str),
}

use Gate::{Commit, Read, ReadAfterCommit, Write};

/// What happens to the server there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    Killed,
    /// The database ends the connection.
    Disconnected,
}

pub(super) struct Stage {
    pub(super) database: TestDatabase,
    pub(super) program: Program,
    server: Option<Server>,
    pub(super) keeper: PgConnection,
    second_keeper: PgConnection,
}

const AT_GATE: &str = "select exists (select from pg_stat_activity
    where datname = current_database() and application_name = 'syncline' and wait_event_type = 'Lock')";
const GONE: &str = "select not exists (select from pg_stat_activity where datname = current_database() and application_name = 'syncline')";

pub(super) async fn run(connection: &mut PgConnection, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(connection).await.unwrap();
}

impl Stage {
    pub(super) async fn new() -> Stage {
        let database = TestDatabase::new().await;
        database
            .sql(
                "create table oak (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique,
                   species text, shape geometry(Point, 3857));
                 create table visit (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique, note text);
                 insert into oak (species) values ('elm'); insert into visit (note) values ('a')",
            )
            .await;
        let program = Program::on(&database);
        for table in ["oak", "visit"] {
            program.done(&["publish", "--service", "trees", "--table", table]);
        }
        let server = Some(program.serve());
        let (keeper, second_keeper) = (database.connect().await, database.connect().await);
        Stage { database, program, server, keeper, second_keeper }
    }

    pub(super) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub(super) fn post(&self, operation: &str, parameters: &[(&str, &str)]) -> Json {
        self.server().post(&format!("trees/FeatureServer/{operation}"), parameters)
    }

    /// Sends a request whose answer nobody will read.
    fn send(&self, operation: &str, parameters: &[(&str, &str)]) -> TcpStream {
        let form = encode(parameters);
        let mut stream = self.server().connect();
        write!(
            stream,
            "POST /arcgis/rest/services/trees/FeatureServer/{operation} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        )
        .unwrap();
        stream
    }

    /// Sends a request, and strikes when it stands at the gate. Afterwards a server is there again.
    async fn strike(&mut self, gate: Gate, blow: Blow, operation: &str, parameters: &[(&str, &str)]) {
        let lock = |table: &str, mode: &str| format!("begin; lock table {table} in {mode} mode");
        let commits = "begin; select pg_advisory_xact_lock(1398361667, service_id) from syncline.service";
        match gate {
            Read(table) => run(&mut self.keeper, &lock(table, "access exclusive")).await,
            // A weaker lock than that for reading: a foreign key only reads what it refers to.
            Write(table) => run(&mut self.keeper, &lock(table, "share")).await,
            Commit | ReadAfterCommit(_) => run(&mut self.keeper, commits).await,
        }
        let client = self.send(operation, parameters);
        self.database.until(AT_GATE).await;
        if let ReadAfterCommit(table) = gate {
            // The lock is granted after the commit, and before the reading that comes after it.
            let lock = lock(table, "access exclusive");
            let waiting =
                format!("select exists (select from pg_locks where relation = '{table}'::regclass and not granted)");
            let let_go = async {
                self.database.until(&waiting).await;
                run(&mut self.keeper, "rollback").await;
            };
            tokio::join!(run(&mut self.second_keeper, &lock), let_go);
            self.database.until(AT_GATE).await;
        }
        match blow {
            Blow::Killed => return self.kill().await,
            Blow::Disconnected => {
                self.database
                    .sql(
                        "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()
                        and application_name = 'syncline' and wait_event_type = 'Lock'",
                    )
                    .await;
            }
        }
        run(&mut self.keeper, "rollback").await;
        run(&mut self.second_keeper, "rollback").await;
        let answer = crate::support::program::body(client);
        assert!(answer.get("error").is_some(), "{gate:?} {answer}");
    }

    /// Kills the server, lets go of all locks, and starts it again.
    pub(super) async fn kill(&mut self) {
        let server = self.server.take().unwrap();
        server.signal(Signal::KILL);
        server.wait();
        run(&mut self.keeper, "rollback").await;
        run(&mut self.second_keeper, "rollback").await;
        // What the dead server had begun ends by itself.
        self.database.until(GONE).await;
        // A minute passes.
        let over = "update syncline.job set lease_until = now() - interval '1 second' where ended_at is null";
        self.database.sql(over).await;
        self.server = Some(self.program.serve());
    }

    /// Lets the oaks have attachments.
    pub(super) async fn attach(&self) {
        self.program.done(&["attachments", "--service", "trees", "--layer", "oak"]);
        // The server hears of it by itself.
        while self.server().post("trees/FeatureServer/0", &[])["hasAttachments"] != true {
            tokio::task::yield_now().await;
        }
    }

    /// What must be true whatever happened.
    pub(super) async fn check_books(&self, case: &str) {
        for (rule, n_broken) in [
            (
                "a replica has its two layers",
                "select count(*) from syncline.replica r where (select count(*) from syncline.replica_layer l where l.replica_id = r.replica_id) <> 2",
            ),
            (
                "a row that a replica uploaded has a receipt",
                "select count(*) from syncline.txn t where t.origin is not null and not exists
                   (select from syncline.batch b join syncline.receipt r using (batch_id) where b.txn_id = t.txn_id)",
            ),
            (
                "a receipt of an applied add has its change",
                "select count(*) from syncline.receipt r join syncline.batch b using (batch_id) join syncline.layer l using (layer_key)
                 where r.code is null and r.op = 'add' and not exists (
                   select from syncline.change_1 c where c.globalid = r.global_id and c.syncline_txn = b.txn_id union all
                   select from syncline.change_2 c where c.globalid = r.global_id and c.syncline_txn = b.txn_id)",
            ),
            ("every transaction has its generation", "select count(*) from syncline.txn where generation is null"),
        ] {
            assert_eq!(self.database.value::<i64>(n_broken).await, 0, "{case}: {rule}");
        }
        // Rows point to files, and files are whole.
        let exports: Vec<String> = sqlx::query_scalar("select replace(export_id::text, '-', '') from syncline.export")
            .fetch_all(&mut self.database.connect().await)
            .await
            .unwrap();
        for id in exports {
            let text = std::fs::read_to_string(self.program.data().join("exports").join(format!("{id}.json"))).unwrap();
            assert!(serde_json::from_str::<Json>(&text).is_ok(), "{case}: {text}");
        }
    }

    /// How many changes there are, of both tables.
    async fn n_changes(&self) -> i64 {
        self.database
            .value("select (select count(*) from syncline.change_1) + (select count(*) from syncline.change_2)")
            .await
    }

    async fn n_replicas(&self) -> i64 {
        self.database.value("select count(*) from syncline.replica").await
    }
}

const QUERIES: (&str, &str) = ("layerQueries", r#"{"1":{"queryOption":"all"}}"#);
const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");
const BY_URL: (&str, &str) = ("transportType", "esriTransportTypeUrl");

const CREATE: [Gate; 6] = [
    Read("oak"),
    Read("visit"),
    Read("syncline.replica"),
    Write("syncline.replica"),
    Write("syncline.replica_layer"),
    Write("syncline.export"),
];

/// The steps of a synchronization up to the commit of its edits, and those after it.
const BEFORE_COMMIT: [Gate; 9] = [
    Read("syncline.replica"),
    Read("syncline.batch"),
    Write("syncline.txn"),
    Write("oak"),
    Write("syncline.change_1"),
    Write("visit"),
    Write("syncline.change_2"),
    Write("syncline.batch"),
    Write("syncline.receipt"),
];
const AFTER_COMMIT: [Gate; 6] = [
    ReadAfterCommit("syncline.batch"),
    ReadAfterCommit("oak"),
    ReadAfterCommit("visit"),
    Write("syncline.replica_layer"),
    Write("syncline.replica"),
    Write("syncline.export"),
];

async fn strike_at_creates(stage: &mut Stage, blow: Blow) {
    for gate in CREATE {
        let case = format!("createReplica, {gate:?}, {blow:?}");
        let n_before = stage.n_replicas().await;
        stage.strike(gate, blow, "createReplica", &[("layers", "0,1"), QUERIES, BY_URL]).await;
        stage.check_books(&case).await;
        assert_eq!(stage.n_replicas().await, n_before, "{case}: nobody heard of this replica");
        let answer = stage.post("createReplica", &[("layers", "0,1"), QUERIES, BY_URL]);
        assert!(answer["URL"].is_string(), "{case}: {answer}");
        assert_eq!(stage.n_replicas().await, n_before + 1, "{case}");
    }
}

async fn strike_at_synchronizations(stage: &mut Stage, blow: Blow) {
    let gates = BEFORE_COMMIT.into_iter().chain([Commit]).chain(AFTER_COMMIT);
    for (number, gate) in gates.enumerate() {
        let case = format!("synchronizeReplica, {gate:?}, {blow:?}");
        let replica = stage.post("createReplica", &[("layers", "0,1"), QUERIES, EMBEDDED]);
        let (id, generation) = (replica["replicaID"].as_str().unwrap(), replica["replicaServerGen"].to_string());
        let global_id = |n: usize| {
            format!(
                "{{{:08X}-0000-4000-8000-{:012}}}",
                0xAAAA_0000 + n,
                number + 100 * usize::from(blow == Blow::Killed)
            )
        };
        let add = |n: usize| json!({"attributes": {"globalid": global_id(n)}});
        let edits =
            json!([{"id": 0, "features": {"adds": [add(1), add(2)]}}, {"id": 1, "features": {"adds": [add(3)]}}])
                .to_string();
        let parameters = [
            ("replicaID", id),
            ("replicaServerGen", generation.as_str()),
            ("edits", edits.as_str()),
            // So that there is something to answer.
            ("returnIdsForAdds", "true"),
            BY_URL,
        ];
        let n_before = stage.n_changes().await;
        stage.strike(gate, blow, "synchronizeReplica", &parameters).await;
        stage.check_books(&case).await;
        let n_applied = stage.n_changes().await - n_before;
        match gate {
            // A killed server's commit is the database's alone.
            Commit => assert!([0, 3].contains(&n_applied), "{case}: {n_applied} edits of 3"),
            _ if number < BEFORE_COMMIT.len() => assert_eq!(n_applied, 0, "{case}"),
            _ => assert_eq!(n_applied, 3, "{case}"),
        }
        let embedded = [&parameters[..4], &[EMBEDDED]].concat();
        let answer = stage.post("synchronizeReplica", &embedded);
        let results = |answer: &Json| {
            let of = |layer: usize| answer["edits"][layer]["features"]["addResults"].clone();
            [of(0), of(1)]
        };
        for result in
            results(&answer).iter().flat_map(|results| results.as_array().unwrap_or_else(|| panic!("{case}: {answer}")))
        {
            assert_eq!(result["success"], true, "{case}: {answer}");
        }
        assert_eq!(stage.n_changes().await - n_before, 3, "{case}: one effect");
        let again = stage.post("synchronizeReplica", &embedded);
        assert_eq!(results(&again), results(&answer), "{case}");
        assert_eq!(stage.n_changes().await - n_before, 3, "{case}: one effect");
        let counts = format!(
            "select count(distinct batch_id) || ' ' || count(*) from syncline.batch join syncline.receipt using (batch_id) where replica_id = '{id}'"
        );
        assert_eq!(stage.database.value::<String>(&counts).await, "1 3", "{case}: a batch and its receipts");
        stage.check_books(&case).await;
    }
}

/// The same as jobs, of which another attempt is made when the lease of the dead one is over.
async fn strike_at_jobs(stage: &mut Stage) {
    let creates = [Read("oak"), Write("syncline.replica_layer"), Write("syncline.export")];
    let some = vec![Write("oak"), Write("syncline.receipt"), Commit, ReadAfterCommit("oak"), Write("syncline.export")];
    let every: Vec<Gate> = BEFORE_COMMIT.into_iter().skip(2).chain([Commit]).chain(AFTER_COMMIT).collect();
    let synchronizations = at_length(some, every);
    for (number, gate) in creates
        .into_iter()
        .map(|gate| (0, gate))
        .chain(synchronizations.into_iter().zip(1..).map(|(gate, n)| (n, gate)))
    {
        let case = format!("job {number}, {gate:?}");
        let replica = stage.post("createReplica", &[("layers", "0,1"), QUERIES, EMBEDDED]);
        let (id, generation) = (replica["replicaID"].as_str().unwrap(), replica["replicaServerGen"].to_string());
        let (n_replicas, n_changes) = (stage.n_replicas().await, stage.n_changes().await);
        let add = |layer: u32| json!({"id": layer, "features": {"adds": [{"attributes": {"globalid": format!("CCCCCCCC-000{layer}-4000-8000-{number:012}")}}]}});
        let edits = json!([add(0), add(1)]).to_string();
        let (operation, parameters) = match number {
            0 => ("createReplica", vec![("layers", "0,1"), QUERIES, BY_URL]),
            _ => (
                "synchronizeReplica",
                vec![
                    ("replicaID", id),
                    ("replicaServerGen", &generation),
                    ("edits", &edits),
                    ("returnIdsForAdds", "true"),
                    BY_URL,
                ],
            ),
        };
        let parameters = [parameters, vec![("async", "true")]].concat();
        stage.strike(gate, Blow::Killed, operation, &parameters).await;
        stage.check_books(&case).await;
        stage.database.until("select not exists (select from syncline.job where ended_at is null)").await;
        let ended = "select state || ' ' || attempts from syncline.job order by submitted_at desc limit 1";
        assert_eq!(stage.database.value::<String>(ended).await, "Completed 2", "{case}");
        let (replicas, changes) = (stage.n_replicas().await - n_replicas, stage.n_changes().await - n_changes);
        assert_eq!((replicas, changes), if number == 0 { (1, 0) } else { (0, 2) }, "{case}: one effect");
        stage.check_books(&case).await;
    }
}

#[tokio::test]
async fn a_server_killed_at_any_step_of_a_job_does_it_once() {
    let mut stage = Stage::new().await;
    strike_at_jobs(&mut stage).await;
}

/// A table is published with all that belongs to it, or not at all.
#[tokio::test]
async fn a_publication_killed_at_any_step_leaves_all_or_nothing() {
    let mut stage = Stage::new().await;
    for (number, table) in ["syncline.layer", "syncline.field"].into_iter().enumerate() {
        let name = format!("fir_{number}");
        stage.database.sql(&format!("create table {name} (species text); insert into {name} values ('fir')")).await;
        let publish = ["publish", "--service", "trees", "--table", &name];
        run(&mut stage.keeper, &format!("begin; lock table {table} in share mode")).await;
        let mut publication = stage.program.start(&publish);
        stage.database.until(AT_GATE).await;
        publication.kill().unwrap();
        publication.wait().unwrap();
        run(&mut stage.keeper, "rollback").await;
        stage
            .database
            .until(
                "select not exists (select from pg_stat_activity where datname = current_database()
                   and application_name = 'syncline' and state <> 'idle')",
            )
            .await;
        let traces = format!(
            "select (select count(*) from syncline.layer where table_name = '{name}')
               + (select count(*) from pg_trigger where tgrelid = '{name}'::regclass)
               + (select count(*) from pg_attribute where attrelid = '{name}'::regclass and attnum > 0) - 1"
        );
        assert_eq!(stage.database.value::<i64>(&traces).await, 0, "{table}");
        stage.program.done(&publish);
        assert!(stage.database.value::<i64>(&traces).await > 0, "{table}");
    }
}

#[tokio::test]
async fn a_server_killed_at_any_step_leaves_all_or_nothing() {
    let mut stage = Stage::new().await;
    strike_at_creates(&mut stage, Blow::Killed).await;
    strike_at_synchronizations(&mut stage, Blow::Killed).await;
}

#[tokio::test]
async fn a_server_disconnected_at_any_step_leaves_all_or_nothing_and_goes_on() {
    let mut stage = Stage::new().await;
    strike_at_creates(&mut stage, Blow::Disconnected).await;
    strike_at_synchronizations(&mut stage, Blow::Disconnected).await;
}
