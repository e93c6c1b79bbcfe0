//! Forgetting: never what a live replica needs, always what nobody does.

use proptest::prelude::*;
use serde_json::json;
use syncline::store::prune::{Pruned, Retention};

use super::{Client, everything, generation, history_from, one_add, pass_days};
use crate::support::{TestServer, server::error};

const KEEP: Retention = Retention { history_days: 90, receipts_days: 365, refused_days: 90 };

async fn prune(server: &TestServer) -> Pruned {
    server.app.store.prune(KEEP, false).await.unwrap().unwrap().remove(0)
}

async fn n_changes(server: &TestServer) -> i64 {
    server.database.value("select count(*) from syncline.change_1").await
}

#[tokio::test]
async fn f31_what_the_slowest_replica_needs_is_kept_to_the_very_next_generation() {
    let server = TestServer::with_trees().await;
    for girth in 0..5 {
        server.database.sql(&format!("insert into oak (girth) values ({girth})")).await;
    }
    let mut slow = Client::create(&server).await;
    // The generation right after the one that it holds has a tombstone.
    server.database.sql("delete from oak where girth = 3").await;
    assert_eq!(generation(&server).await, slow.generation + 1);
    server.database.sql("update oak set girth = 40 where girth = 4").await;
    let mut quick = Client::create(&server).await;
    pass_days(&server, 100).await;
    quick.sync(&server).await;
    let dry = server.app.store.prune(KEEP, true).await.unwrap().unwrap().remove(0);
    assert_eq!((dry.to.get(), dry.n_changes), (slow.generation, 5));
    assert_eq!(n_changes(&server).await, 7, "a dry run deletes nothing");
    let pruned = prune(&server).await;
    assert_eq!((pruned.to.get(), pruned.n_changes, pruned.n_transactions), (slow.generation, 5, 5));
    assert_eq!(pruned.held_by.unwrap().to_string(), slow.id);
    assert_eq!((history_from(&server).await, n_changes(&server).await), (slow.generation, 2));
    slow.sync(&server).await;
    assert_eq!(slow.rows, everything(&server).await, "the deletion arrived");
    assert_eq!(prune(&server).await.n_changes, 0, "it may be restored to what it held a moment ago");
}

#[tokio::test]
async fn what_is_younger_than_the_retention_is_kept_for_those_whom_no_replica_speaks_for() {
    let server = TestServer::with_trees().await;
    server.database.sql("insert into oak (girth) values (1)").await;
    pass_days(&server, 91).await;
    server.database.sql("insert into oak (girth) values (2)").await;
    let old = generation(&server).await - 1;
    pass_days(&server, 89).await;
    let pruned = prune(&server).await;
    assert_eq!((pruned.to.get(), pruned.n_changes, pruned.held_by), (old, 1, None));
    assert_eq!(n_changes(&server).await, 1);
    pass_days(&server, 2).await;
    assert_eq!(prune(&server).await.n_changes, 1);
    let kept: i64 = server.database.value("select count(*) from syncline.txn").await;
    assert_eq!(kept, 0);
    // The number of the service does not go back with its history.
    let client = Client::create(&server).await;
    assert_eq!(client.generation, old + 1);
    assert_eq!(client.rows.len(), 2);
}

#[tokio::test]
async fn f29_a_device_restored_within_a_week_finds_its_history_and_a_later_one_is_told_what_to_do() {
    let server = TestServer::with_trees().await;
    server.database.sql("insert into oak (girth) values (1), (2)").await;
    let mut client = Client::create(&server).await;
    let (held, rows) = (client.generation, client.rows.clone());
    server.database.sql("delete from oak where girth = 1").await;
    pass_days(&server, 100).await;
    client.sync(&server).await;
    // It presents what it has now, again and again: the last number alone would let its past go.
    client.sync(&server).await;
    client.sync(&server).await;
    assert!(client.generation > held);
    pass_days(&server, 5).await;
    prune(&server).await;
    let newer = client.generation;
    let mut restored = Client { generation: held, rows: rows.clone(), ..client };
    restored.sync(&server).await;
    assert_eq!(restored.rows, everything(&server).await);
    // Weeks later, without presenting the old one again.
    for _ in 0..3 {
        pass_days(&server, 8).await;
        restored.sync(&server).await;
    }
    assert_eq!(prune(&server).await.to.get(), newer);
    let edits = one_add(7);
    let refused = restored.ask(&server, held, &[("edits", &edits)]).await;
    let (code, text) = error(&refused);
    assert!(code == 400 && text.contains("no longer kept") && text.contains("snapshot"), "{refused}");
    assert_eq!(server.features(0).await.len(), 1, "nothing was applied");
    let uploaded = restored.ask(&server, held, &[("edits", &edits), ("syncDirection", "upload")]).await;
    assert!(uploaded.get("error").is_none(), "{uploaded}");
    restored.snapshot(&server).await;
    assert_eq!(restored.rows, everything(&server).await);
    server.database.sql("delete from oak where girth = 7").await;
    pass_days(&server, 100).await;
    prune(&server).await;
    restored.sync(&server).await;
    assert_eq!(restored.rows, everything(&server).await, "from the snapshot on, its history is kept again");
}

#[tokio::test]
async fn a_reader_that_began_before_still_sees_all_that_it_was_promised() {
    let server = TestServer::with_trees().await;
    server.database.sql("insert into oak (girth) values (1)").await;
    server.database.sql("update oak set girth = 2").await;
    pass_days(&server, 100).await;
    let (from, generation) = (history_from(&server).await, generation(&server).await);
    let mut reader = server.database.connect().await;
    let look = "select s.history_from, (select count(*) from syncline.change_1 join syncline.txn on txn_id = syncline_txn) from syncline.service s";
    sqlx::raw_sql("begin isolation level repeatable read read only").execute(&mut reader).await.unwrap();
    let before: (i64, i64) = sqlx::query_as(look).fetch_one(&mut reader).await.unwrap();
    assert_eq!(prune(&server).await.n_changes, 2);
    let after: (i64, i64) = sqlx::query_as(look).fetch_one(&mut reader).await.unwrap();
    assert_eq!((before, after), ((from, 2), (from, 2)));
    sqlx::raw_sql("commit").execute(&mut reader).await.unwrap();
    let now: (i64, i64) = sqlx::query_as(look).fetch_one(&mut reader).await.unwrap();
    assert_eq!(now, (generation, 0));
}

#[tokio::test]
async fn history_that_goes_while_an_upload_runs_ends_in_an_error_and_not_in_a_delta_with_holes() {
    let server = TestServer::with_trees().await;
    server.database.sql("insert into oak (globalid, girth) values ('aaaaaaaa-0000-4000-8000-000000000001', 1)").await;
    let client = Client::create(&server).await;
    server.database.sql("insert into oak (girth) values (2)").await;
    // As if it had presented newer ones for long.
    server.database.sql("update syncline.replica_layer set low = 1000000").await;
    let mut editor = server.database.connect().await;
    sqlx::raw_sql("begin; update oak set girth = 3 where girth = 1").execute(&mut editor).await.unwrap();
    let edits = json!([{"id": 0, "features": {"updates": [{"attributes": {"globalid": "{AAAAAAAA-0000-4000-8000-000000000001}", "girth": 9}}]}}]);
    let edits = edits.to_string();
    let parameters = [("edits", edits.as_str())];
    let syncing = client.ask(&server, client.generation, &parameters);
    let meddling = async {
        let waiting = "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')";
        while !server.database.value::<bool>(waiting).await {}
        pass_days(&server, 100).await;
        prune(&server).await;
        sqlx::raw_sql("rollback").execute(&mut editor).await.unwrap();
    };
    let (answer, ()) = tokio::join!(syncing, meddling);
    assert!(error(&answer).1.contains("no longer kept"), "{answer}");
    assert_eq!(server.features(0).await[0]["attributes"]["girth"], 9, "the edits were applied by then");
    let again = [("edits", edits.as_str()), ("syncDirection", "upload")];
    let again = client.ask(&server, client.generation, &again).await;
    assert!(again.get("error").is_none(), "{again}");
    let n_batches: i64 = server.database.value("select count(*) from syncline.batch").await;
    assert_eq!(n_batches, 1, "and are recognised when they come again");
}

#[tokio::test]
async fn receipts_outlive_the_retention_until_the_client_has_moved_past_the_upload() {
    let server = TestServer::with_trees().await;
    let mut client = Client::create(&server).await;
    let edits = one_add(1);
    let upload = [("edits", edits.as_str()), ("syncDirection", "upload")];
    client.ask(&server, client.generation, &upload).await;
    server.database.sql("insert into oak (girth) values (5)").await;
    let count = "select (select count(*) from syncline.batch) + (select count(*) from syncline.receipt)";
    pass_days(&server, 400).await;
    prune(&server).await;
    assert_eq!(server.database.value::<i64>(count).await, 2, "the client still holds what it held before the upload");
    for _ in 0..3 {
        client.sync(&server).await;
        client.generation = generation(&server).await;
        pass_days(&server, 8).await;
    }
    prune(&server).await;
    assert_eq!(server.database.value::<i64>(count).await, 0);
}

#[tokio::test]
async fn an_upload_whose_changes_are_forgotten_is_not_said_to_be_undone() {
    let server = TestServer::with_trees().await;
    let mut client = Client::create(&server).await;
    let edits = one_add(1);
    client.ask(&server, client.generation, &[("edits", &edits), ("syncDirection", "upload")]).await;
    let number: i64 = server.database.value("select batch_id from syncline.batch").await;
    client.sync(&server).await;
    for _ in 0..3 {
        client.sync(&server).await;
        pass_days(&server, 80).await;
    }
    assert_eq!(prune(&server).await.n_changes, 1);
    let path = format!("replicas/{}/batches/{number}/undo", client.id);
    let refused = server.post(&path, &[("force", "true")]).await;
    assert!(error(&refused).1.contains("no longer kept"), "{refused}");
    assert_eq!(server.features(0).await.len(), 1);
    let undone: i64 = server.database.value("select count(undone_at) from syncline.batch").await;
    assert_eq!(undone, 0);
}

#[tokio::test]
async fn one_process_prunes_at_a_time() {
    let server = TestServer::with_trees().await;
    let mut other = server.database.connect().await;
    sqlx::raw_sql("select pg_advisory_lock(1398361671)").execute(&mut other).await.unwrap();
    assert!(server.app.store.prune(KEEP, false).await.unwrap().is_none());
}

#[derive(Clone, Debug)]
enum Step {
    Insert(i64),
    Update(i64),
    Delete(i64),
    Sync(usize),
    /// The answer is lost.
    Ask(usize),
    Days(u32),
    Prune,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..50_i64).prop_map(Step::Insert),
        2 => (0..50_i64).prop_map(Step::Update),
        2 => (0..50_i64).prop_map(Step::Delete),
        4 => (0..4_usize).prop_map(Step::Sync),
        1 => (0..4_usize).prop_map(Step::Ask),
        2 => (1..60_u32).prop_map(Step::Days),
        4 => Just(Step::Prune),
    ]
}

/// Live replicas at random generations, with pruning in between: each always finds what it needs, and ends with everything.
#[test]
fn no_live_replica_ever_misses_what_was_forgotten() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut config = ProptestConfig::with_cases(12);
    config.failure_persistence = None;
    proptest!(config, |(steps in proptest::collection::vec(step(), 60))| {
        runtime.block_on(async {
            let server = TestServer::with_trees().await;
            server.database.sql("insert into oak (girth) select n from generate_series(0, 9) n").await;
            let mut clients = Vec::new();
            for _ in 0..4 {
                clients.push(Client::create(&server).await);
            }
            for step in &steps {
                match step {
                    Step::Insert(n) => server.database.sql(&format!("insert into oak (girth) values ({n})")).await,
                    Step::Update(n) => server.database.sql(&format!("update oak set girth = girth + 1 where girth % 5 = {n} % 5")).await,
                    Step::Delete(n) => server.database.sql(&format!("delete from oak where girth % 9 = {n} % 9")).await,
                    Step::Sync(n) => clients[*n].sync(&server).await,
                    Step::Ask(n) => drop(clients[*n].ask(&server, clients[*n].generation, &[]).await),
                    Step::Days(n) => pass_days(&server, *n).await,
                    Step::Prune => {
                        prune(&server).await;
                        let stale: i64 = server.database.value(
                            "select count(*) from syncline.change_1 join syncline.txn on txn_id = syncline_txn where generation <= (select history_from from syncline.service)").await;
                        assert_eq!(stale, 0);
                    }
                }
            }
            let all = everything(&server).await;
            for client in &mut clients {
                client.sync(&server).await;
                assert_eq!(client.rows, all);
            }
        });
    });
}
