//! G1 and G7: whoever has seen a generation never finds a change below it later.
//!
//! Writers commit in another order than they wrote, hold their transactions open, and roll some back; a reader follows
//! them by generation. The same reader that follows a plain sequence loses changes, which shows that the storm is one.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use sqlx::{Connection as _, PgConnection};

use crate::support::{Dice, TestDatabase, TestServer};

const N_WRITERS: i64 = 8;
const N_TRANSACTIONS: i64 = 60;

/// What the writers do: each transaction inserts some rows, may hold them for some turns of the scheduler, uses a savepoint, and may
/// be rolled back. Returns the keys that were committed.
async fn write(mut connection: PgConnection, writer: i64, isolation: &'static str) -> BTreeSet<i64> {
    let mut dice = Dice::new(writer.cast_unsigned() + 17);
    let mut committed = BTreeSet::new();
    for number in 0..N_TRANSACTIONS {
        let mut tx = connection.begin_with(isolation).await.unwrap();
        let mut mine = Vec::new();
        for part in 0..1 + i64::try_from(dice.roll(3)).unwrap() {
            let key = writer * 1_000_000 + number * 1000 + part;
            if dice.roll(5) == 0 {
                // A savepoint that is rolled back takes its rows, and its mark if it made it, with it.
                let mut savepoint = tx.begin().await.unwrap();
                sqlx::query("insert into storm (key) values ($1)").bind(-key).execute(&mut *savepoint).await.unwrap();
                savepoint.rollback().await.unwrap();
            }
            sqlx::query("insert into storm (key) values ($1)").bind(key).execute(&mut *tx).await.unwrap();
            mine.push(key);
        }
        // The database itself waits, as a slow client would make it.
        let hold = [0.0, 0.0, 0.001, 0.02][usize::try_from(dice.roll(4)).unwrap()];
        sqlx::query("select pg_sleep($1)").bind(hold).execute(&mut *tx).await.unwrap();
        if dice.roll(10) == 0 {
            tx.rollback().await.unwrap();
        } else {
            tx.commit().await.unwrap();
            committed.extend(mine);
        }
    }
    committed
}

/// Follows the storm with a cursor: what is new, and the new cursor, from one snapshot.
async fn follow(database: &TestDatabase, statement: &'static str, done: Arc<AtomicBool>) -> BTreeSet<i64> {
    let mut connection = database.connect().await;
    let mut seen = BTreeSet::new();
    let mut cursor = 0;
    loop {
        let last_round = done.load(Ordering::SeqCst);
        let rows: Vec<(i64, i64)> = sqlx::query_as(statement).bind(cursor).fetch_all(&mut connection).await.unwrap();
        for (position, key) in rows {
            cursor = cursor.max(position);
            assert!(seen.insert(key), "row {key} came twice");
        }
        if last_round {
            return seen;
        }
    }
}

async fn storm(reader: &'static str, isolation: &'static str) -> (BTreeSet<i64>, BTreeSet<i64>) {
    let server = TestServer::new().await;
    // `naive` is what everybody does first: a number drawn when the row is written.
    server.database.sql("create table storm (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique, key bigint, naive bigserial)").await;
    server.publish("storm").await;
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 1..=N_WRITERS {
        writers.push(tokio::spawn(write(server.database.connect().await, writer, isolation)));
    }
    let following = follow(&server.database, reader, done.clone());
    let writing = async {
        let mut committed = BTreeSet::new();
        for writer in writers {
            committed.extend(writer.await.unwrap());
        }
        done.store(true, Ordering::SeqCst);
        committed
    };
    let (seen, committed) = tokio::join!(following, writing);
    (seen, committed)
}

const BY_GENERATION: &str = "select t.generation, s.key from syncline.txn t
    join syncline.change_1 c on c.syncline_txn = t.txn_id join storm s using (globalid)
    where t.generation > $1 order by t.generation";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_no_change_is_missed_by_generation() {
    let (seen, committed) = storm(BY_GENERATION, "begin").await;
    assert_eq!(seen, committed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_no_change_is_missed_under_stricter_isolation() {
    let (seen, committed) = storm(BY_GENERATION, "begin isolation level repeatable read").await;
    assert_eq!(seen, committed);
}

/// The test of the test: the storm is one in which a plain sequence loses changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sequence_drawn_when_a_row_is_written_misses_changes() {
    let (seen, committed) = storm("select naive, key from storm where naive > $1 order by naive", "begin").await;
    let n_missed = committed.difference(&seen).count();
    assert!(n_missed > 0, "{} changes were committed and all seen: the storm was too gentle", committed.len());
}

#[tokio::test]
async fn a_transaction_over_two_services_is_stamped_in_both_and_blocks_nobody_for_ever() {
    let server = TestServer::new().await;
    server.database.sql("create table storm (key int); create table calm (key int)").await;
    server.publish("storm").await;
    let other = syncline::store::publish::Publication {
        service: "other".to_owned(),
        table_schema: "public".to_owned(),
        table_name: "calm".to_owned(),
        layer_name: None,
    };
    server.app.store.publish(&other, false).await.unwrap();
    let mut writers = Vec::new();
    for order in [["storm", "calm"], ["calm", "storm"]] {
        let mut connection = server.database.connect().await;
        writers.push(tokio::spawn(async move {
            for _ in 0..50 {
                let mut tx = connection.begin().await.unwrap();
                for table in order {
                    let statement = if table == "storm" {
                        "insert into storm (key) values (1)"
                    } else {
                        "insert into calm (key) values (1)"
                    };
                    sqlx::query(statement).execute(&mut *tx).await.unwrap();
                }
                tx.commit().await.unwrap();
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let n_stamped: i64 = server.database.value("select count(*) from syncline.txn where generation is not null").await;
    let n_open: i64 = server.database.value("select count(*) from syncline.txn where generation is null").await;
    assert_eq!((n_stamped, n_open), (200, 0));
}

#[tokio::test]
async fn a_stamp_that_is_forced_early_still_holds() {
    let server = TestServer::new().await;
    server.database.sql("create table storm (key int)").await;
    server.publish("storm").await;
    server
        .database
        .sql(
            "begin; insert into storm (key) values (1); set constraints all immediate; insert into storm (key) values (2);
             set constraints all deferred; insert into storm (key) values (3); commit",
        )
        .await;
    let n_changes: i64 = server
        .database
        .value("select count(*) from syncline.change_1 c join syncline.txn t on t.txn_id = c.syncline_txn where t.generation is not null")
        .await;
    assert_eq!(n_changes, 3);
}

/// Anybody may make any setting of their session. Where our functions read one, it must not decide which transaction an
/// edit belongs to: whoever guesses the key of an old one would hide their edits from everybody.
#[tokio::test]
async fn no_setting_of_a_session_diverts_its_edits() {
    let server = TestServer::new().await;
    server.database.sql("create table storm (key int)").await;
    server.publish("storm").await;
    server.database.sql("insert into storm (key) values (1)").await;
    let names: Vec<String> = sqlx::query_scalar(
        r"select distinct m[1] from pg_proc p join pg_namespace n on n.oid = p.pronamespace,
            regexp_matches(p.prosrc, $r$'(syncline\.[a-z_.]+)'$r$, 'g') m where n.nspname = 'syncline'",
    )
    .fetch_all(&mut server.database.connect().await)
    .await
    .unwrap();
    assert!(names.contains(&"syncline.statement".to_owned()), "{names:?}");
    let newest = "select max(generation) from syncline.txn";
    for name in names {
        let before: i64 = server.database.value(newest).await;
        // The key of the first transaction.
        server.database.sql(&format!("set {name} = '1'; insert into storm (key) values (2)")).await;
        let after: i64 = server.database.value(newest).await;
        assert!(after > before, "with {name} set, an edit got no generation of its own");
    }
    let n_changes: i64 = server
        .database
        .value("select count(*) from syncline.change_1 c join storm s using (globalid) join syncline.txn t on t.txn_id = c.syncline_txn")
        .await;
    let n_rows: i64 = server.database.value("select count(*) from storm").await;
    assert_eq!(n_changes, n_rows);
}
