//! T-M3: every order in which a few writers can take their steps, with a reader at every position.
//!
//! Chance finds the large storms; the small ones that it misses are all here. The writers use the table with SQL, the
//! reader is a replica that synchronizes after each step: what it holds must be what is committed, each time.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::{TestDatabase, TestServer};

const SHARED: Uuid = Uuid::from_u128(0x5117_0000_0000_4000_8000_0000_0000_0000);

/// A connection that takes one step after the other, and may have to wait in one of them.
struct Writer {
    pid: i32,
    todo: VecDeque<String>,
    /// Whether the database refused the transaction that its steps belong to.
    is_refused: bool,
    state: State,
}

enum State {
    Idle(PgConnection),
    Busy(JoinHandle<(PgConnection, sqlx::Result<()>)>),
    /// Only while the state changes.
    Between,
}

impl Writer {
    async fn new(database: &TestDatabase) -> Writer {
        let mut connection = database.connect().await;
        sqlx::raw_sql(AS_WRITER).execute(&mut connection).await.unwrap();
        let pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut connection).await.unwrap();
        Writer { pid, todo: VecDeque::new(), is_refused: false, state: State::Idle(connection) }
    }

    fn has_ended(&self) -> bool {
        matches!(self.state, State::Idle(_)) && self.todo.is_empty()
    }

    /// Takes steps until there is none left, or one waits for another transaction. Returns whether it waits.
    async fn advance(&mut self, monitor: &mut PgConnection) -> bool {
        loop {
            self.state = match std::mem::replace(&mut self.state, State::Between) {
                State::Idle(mut connection) => match self.todo.pop_front() {
                    None => {
                        self.state = State::Idle(connection);
                        return false;
                    }
                    Some(step) => State::Busy(tokio::spawn(async move {
                        let done = sqlx::raw_sql(AssertSqlSafe(step)).execute(&mut connection).await;
                        (connection, done.map(drop))
                    })),
                },
                State::Busy(step) => {
                    while !step.is_finished() {
                        if waits(self.pid, monitor).await {
                            self.state = State::Busy(step);
                            return true;
                        }
                    }
                    let (connection, done) = step.await.unwrap();
                    if let Err(error) = done {
                        // Under strict isolation the database may refuse a transaction. Then it has not happened.
                        let code =
                            error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
                        assert_eq!(code, "40001", "{error}");
                        self.todo = VecDeque::from(["rollback".to_owned()]);
                        self.is_refused = true;
                    }
                    State::Idle(connection)
                }
                State::Between => unreachable!("a state was lost"),
            };
        }
    }
}

/// Makes a connection known as one of those that others may have to wait for.
const AS_WRITER: &str = "set application_name = 'writer'";

/// Whether a backend waits for a writer. For others, such as the vacuum, it does not wait long.
async fn waits(pid: i32, monitor: &mut PgConnection) -> bool {
    sqlx::query_scalar(
        "select exists (select from unnest(pg_blocking_pids($1)) b join pg_stat_activity a on a.pid = b where a.application_name = 'writer')",
    )
    .bind(pid)
    .fetch_one(monitor)
    .await
    .unwrap()
}

/// A replica of the whole table that synchronizes whenever it is asked to.
struct Reader {
    replica: String,
    generation: i64,
    rows: BTreeMap<Uuid, String>,
}

impl Reader {
    async fn new(server: &TestServer) -> Reader {
        let parameters = [
            ("layers", "0"),
            ("layerQueries", r#"{"0":{"queryOption":"all"}}"#),
            ("transportType", "esriTransportTypeEmbedded"),
        ];
        let answer = server.post("createReplica", &parameters).await;
        let mut reader = Reader {
            replica: answer["replicaID"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned(),
            generation: answer["replicaServerGen"].as_i64().unwrap(),
            rows: BTreeMap::new(),
        };
        reader.put(&answer["layers"][0]["features"]);
        reader
    }

    async fn synchronize(&mut self, server: &TestServer) {
        let generation = self.generation.to_string();
        let parameters = [
            ("replicaID", self.replica.as_str()),
            ("replicaServerGen", &generation),
            ("syncDirection", "download"),
            ("transportType", "esriTransportTypeEmbedded"),
        ];
        let answer = server.post("synchronizeReplica", &parameters).await;
        let generation = answer["replicaServerGen"].as_i64().unwrap_or_else(|| panic!("{answer}"));
        assert!(generation >= self.generation, "a generation went back: {answer}");
        self.generation = generation;
        let features = &answer["edits"][0]["features"];
        for id in features["deleteIds"].as_array().into_iter().flatten() {
            assert!(self.rows.remove(&read_id(id)).is_some(), "a delete came twice: {answer}");
        }
        self.put(&features["adds"]);
        self.put(&features["updates"]);
    }

    fn put(&mut self, features: &Json) {
        for feature in features.as_array().into_iter().flatten() {
            let (id, note) =
                (read_id(&feature["attributes"]["globalid"]), feature["attributes"]["note"].as_str().unwrap());
            let before = self.rows.insert(id, note.to_owned());
            assert_ne!(before.as_deref(), Some(note), "a row came twice");
        }
    }
}

fn read_id(json: &Json) -> Uuid {
    Uuid::try_parse(json.as_str().unwrap()).unwrap()
}

/// All orders of the steps of some writers: each writer stands in an order as often as it has steps.
fn orders(n_writers: usize, n_steps: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![(Vec::new(), vec![n_steps; n_writers])];
    for _ in 0..n_writers * n_steps {
        let mut longer = Vec::new();
        for (order, left) in orders {
            for writer in (0..n_writers).filter(|&writer| left[writer] > 0) {
                let (mut order, mut left) = (order.clone(), left.clone());
                order.push(writer);
                left[writer] -= 1;
                longer.push((order, left));
            }
        }
        orders = longer;
    }
    orders.into_iter().map(|(order, _)| order).collect()
}

/// What a writer does, in four steps or in three.
struct Script {
    isolation: &'static str,
    /// Whether all of them also change one row.
    shares: bool,
    n_steps: usize,
}

impl Script {
    fn steps(&self, order: usize, writer: usize) -> Vec<String> {
        let id = Uuid::from_u128(SHARED.as_u128() + (order as u128 + 1) * 16 + writer as u128);
        // With its number, so that the order of beginning is not that of writing.
        let begin = format!("begin isolation level {}; select pg_current_xact_id()", self.isolation);
        let mut edit = format!("insert into tree (globalid, note) values ('{id}', '{order}')");
        if self.shares {
            edit = format!("{edit}; update tree set note = '{order} {writer}' where globalid = '{SHARED}'");
        }
        let (stamp, commit) = ("set constraints all immediate".to_owned(), "commit".to_owned());
        match self.n_steps {
            3 => vec![format!("{begin}; {edit}"), stamp, commit],
            _ => vec![begin, edit, stamp, commit],
        }
    }
}

/// Plays every order, and compares at every position what the reader holds with what is committed.
async fn play(n_writers: usize, script: Script) {
    let server = TestServer::new().await;
    server
        .database
        .sql("create table tree (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique, note text not null)")
        .await;
    server.database.sql(&format!("insert into tree (globalid, note) values ('{SHARED}', '-')")).await;
    server.publish("tree").await;
    let mut monitor = server.database.connect().await;
    let mut writers = Vec::new();
    for _ in 0..n_writers {
        writers.push(Writer::new(&server.database).await);
    }
    let mut reader = Reader::new(&server).await;
    let mut n_waits = 0;
    for (number, order) in orders(n_writers, script.n_steps).into_iter().enumerate() {
        let mut steps: Vec<VecDeque<String>> =
            (0..n_writers).map(|writer| script.steps(number, writer).into()).collect();
        for (position, &writer) in order.iter().enumerate() {
            let step = steps[writer].pop_front();
            let taking = &mut writers[writer];
            taking.todo.extend(step.filter(|_| !taking.is_refused));
            // Who waited for this one may go on, and others after them.
            let (mut waiting, mut n_left) = (BTreeSet::new(), usize::MAX);
            loop {
                waiting.clear();
                for (number, writer) in writers.iter_mut().enumerate() {
                    if writer.advance(&mut monitor).await {
                        waiting.insert(number);
                    }
                }
                let left = waiting.len() + writers.iter().map(|writer| writer.todo.len()).sum::<usize>();
                if left == n_left {
                    break;
                }
                n_left = left;
            }
            n_waits += waiting.len();
            reader.synchronize(&server).await;
            let committed: Vec<(Uuid, String)> =
                sqlx::query_as("select globalid, note from tree").fetch_all(&mut monitor).await.unwrap();
            let committed: BTreeMap<Uuid, String> = committed.into_iter().collect();
            assert_eq!(reader.rows, committed, "order {number} {order:?}, after step {position}; {waiting:?} wait");
        }
        // Now that all have all of their steps, nobody waits for ever. Writers that queue for two locks in different orders are sorted out
        // by the database, but only after a while.
        let all_given = Instant::now();
        while writers.iter().any(|writer| !writer.has_ended()) {
            assert!(all_given.elapsed() < Duration::from_secs(30), "order {number} {order:?} did not end");
            for writer in &mut writers {
                writer.advance(&mut monitor).await;
            }
        }
        for writer in &mut writers {
            writer.is_refused = false;
        }
        sqlx::raw_sql(AssertSqlSafe(format!("delete from tree where globalid <> '{SHARED}'")))
            .execute(&mut monitor)
            .await
            .unwrap();
    }
    assert!(n_waits > 0, "nobody ever waited, so that there was only one order");
}

#[tokio::test]
async fn two_writers_in_every_order() {
    play(2, Script { isolation: "repeatable read", shares: false, n_steps: 4 }).await;
    play(2, Script { isolation: "read committed", shares: true, n_steps: 4 }).await;
}

#[tokio::test]
#[ignore = "for scripts/test-long"]
async fn two_writers_in_every_order_under_every_isolation() {
    for isolation in ["read committed", "repeatable read", "serializable"] {
        for shares in [false, true] {
            play(2, Script { isolation, shares, n_steps: 4 }).await;
        }
    }
}

#[tokio::test]
#[ignore = "for scripts/test-long"]
async fn three_writers_in_every_order() {
    play(3, Script { isolation: "repeatable read", shares: false, n_steps: 3 }).await;
    play(3, Script { isolation: "read committed", shares: true, n_steps: 3 }).await;
}

/// The one step that no statement ends: a number is drawn and the commit goes on. A trigger stops a writer there.
#[tokio::test]
async fn a_writer_between_its_number_and_its_commit_holds_the_others_back() {
    let server = TestServer::new().await;
    server
        .database
        .sql(
            "create table tree (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique, note text not null);
             create function gate() returns trigger language plpgsql as $$ begin
               if current_setting('test.gate', true) = 'closed' then perform pg_advisory_xact_lock(77); end if;
               return new; end $$;
             create trigger gate before update on syncline.txn for each row execute function gate()",
        )
        .await;
    server.publish("tree").await;
    let mut reader = Reader::new(&server).await;
    let mut monitor = server.database.connect().await;
    let mut keeper = server.database.connect().await;
    sqlx::raw_sql(AS_WRITER).execute(&mut keeper).await.unwrap();
    sqlx::raw_sql("select pg_advisory_lock(77)").execute(&mut keeper).await.unwrap();
    let (mut first, mut second) = (Writer::new(&server.database).await, Writer::new(&server.database).await);
    first.todo.extend(["set test.gate = 'closed'", "insert into tree (note) values ('first')"].map(str::to_owned));
    assert!(first.advance(&mut monitor).await, "the gate is open");
    second.todo.push_back("insert into tree (note) values ('second')".to_owned());
    second.advance(&mut monitor).await;
    reader.synchronize(&server).await;
    sqlx::raw_sql("select pg_advisory_unlock(77)").execute(&mut keeper).await.unwrap();
    for writer in [&mut first, &mut second] {
        assert!(!writer.advance(&mut monitor).await, "the gate is closed");
    }
    reader.synchronize(&server).await;
    let notes: BTreeSet<&str> = reader.rows.values().map(String::as_str).collect();
    assert_eq!(notes, BTreeSet::from(["first", "second"]));
}
