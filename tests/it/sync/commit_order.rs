//! T-C1, for G1 and G7: whoever has seen a generation never finds a change below it later.
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

use crate::support::{Dice, TestDatabase, TestServer, at_length, seed};

/// The storm is the same in each run with a seed, as far as a scheduler lets it.
#[derive(Clone, Copy)]
struct Storm {
    seed: u64,
    /// How the writers begin, in turn.
    begin: &'static [&'static str],
    n_writers: u32,
    n_transactions: u32,
}

impl Storm {
    fn new(seed: u64, begin: &'static [&'static str]) -> Storm {
        Storm { seed, begin, n_writers: at_length(8, 16), n_transactions: at_length(60, 1500) }
    }

    /// What a writer does: each transaction inserts some rows, may hold them for a moment, uses a savepoint, and may be rolled
    /// back. Returns the keys that were committed.
    async fn write(self, mut connection: PgConnection, writer: u32) -> BTreeSet<i64> {
        let mut dice = Dice::new(self.seed * 1000 + u64::from(writer));
        let begin = self.begin[usize::try_from(writer).unwrap() % self.begin.len()];
        let mut committed = BTreeSet::new();
        for number in 0..self.n_transactions {
            let first_key = i64::from(writer) * 1_000_000_000 + i64::from(number) * 1000;
            match transact(&mut connection, begin, first_key, &mut dice).await {
                Ok(keys) => committed.extend(keys),
                // Under strict isolation the database refuses some. They have not happened.
                Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("40001") => {}
                Err(error) => panic!("{error}"),
            }
        }
        committed
    }
}

/// One transaction of the storm. Returns its keys, or none if it was rolled back.
async fn transact(
    connection: &mut PgConnection,
    begin: &'static str,
    first_key: i64,
    dice: &mut Dice,
) -> sqlx::Result<Vec<i64>> {
    let insert = "insert into storm (key) values ($1)";
    let mut tx = connection.begin_with(begin).await?;
    let mut mine = Vec::new();
    for key in first_key..=first_key + i64::try_from(dice.roll(3)).unwrap() {
        if dice.roll(5) == 0 {
            // A savepoint that is rolled back takes its rows, and its mark if it made it, with it.
            let mut savepoint = tx.begin().await?;
            sqlx::query(insert).bind(-key).execute(&mut *savepoint).await?;
            savepoint.rollback().await?;
        }
        sqlx::query(insert).bind(key).execute(&mut *tx).await?;
        mine.push(key);
    }
    // The database itself waits, as a slow client would make it.
    sqlx::query("select pg_sleep($1)").bind(dice.pick(&[0.0, 0.0, 0.001, 0.02])).execute(&mut *tx).await?;
    if dice.roll(10) == 0 {
        tx.rollback().await?;
        return Ok(Vec::new());
    }
    tx.commit().await?;
    Ok(mine)
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

/// Returns what a reader saw, and what was committed.
async fn blow(reader: &'static str, storm: Storm) -> (BTreeSet<i64>, BTreeSet<i64>) {
    let server = TestServer::new().await;
    // `naive` is what everybody does first: a number drawn when the row is written.
    server.database.sql("create table storm (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique, key bigint, naive bigserial)").await;
    server.publish("storm").await;
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 1..=storm.n_writers {
        writers.push(tokio::spawn(storm.write(server.database.connect().await, writer)));
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
    tokio::join!(following, writing)
}

/// Storms, of which no change may be missed.
async fn weather(begin: &'static [&'static str]) {
    for seed in seed()..seed() + at_length(1, 3) {
        let (seen, committed) = blow(BY_GENERATION, Storm::new(seed, begin)).await;
        let missed: Vec<&i64> = committed.difference(&seen).collect();
        assert!(missed.is_empty(), "seed {seed}: of {} changes, these were missed: {missed:?}", committed.len());
        assert_eq!(seen, committed, "seed {seed}");
    }
}

const BY_GENERATION: &str = "select t.generation, s.key from syncline.txn t
    join syncline.change_1 c on c.syncline_txn = t.txn_id join storm s using (globalid)
    where t.generation > $1 order by t.generation";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_no_change_is_missed_by_generation() {
    weather(&["begin"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn g1_no_change_is_missed_under_stricter_isolation() {
    const REPEATABLE: &str = "begin isolation level repeatable read";
    weather(&[REPEATABLE, "begin", REPEATABLE, "begin isolation level serializable"]).await;
}

/// The test of the test: the storm is one in which a plain sequence loses changes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sequence_drawn_when_a_row_is_written_misses_changes() {
    let (seen, committed) =
        blow("select naive, key from storm where naive > $1 order by naive", Storm::new(1, &["begin"])).await;
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
