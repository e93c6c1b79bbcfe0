//! Epochs: a database that was set back in time, moved, or copied.

use std::process::{Command, Stdio};

use super::{Client, everything, generation, one_add};
use crate::support::{TestDatabase, TestServer, server::error};

const JUMP: i64 = 1 << 32;

/// What the database was before another program restored it, as far as the record goes.
async fn move_away(server: &TestServer, column: &str, value: &str) {
    server.database.sql(&format!("update syncline.epoch set {column} = {value}")).await;
}

#[tokio::test]
async fn f46_after_a_restore_clients_of_the_lost_past_are_told_and_all_others_go_on() {
    for (column, value) in [("system_identifier", "'1'"), ("timeline", "'0000000F'"), ("database_id", "1")] {
        let server = TestServer::with_trees().await;
        server.database.sql("insert into oak (girth) values (1)").await;
        let mut old = Client::create(&server).await;
        let mut ahead = Client::create(&server).await;
        let restored_to = generation(&server).await;
        // It has seen commits that are gone now.
        ahead.generation = restored_to + 3;
        let before = server.app.store.epochs().await.unwrap().len();
        move_away(&server, column, value).await;
        // Another program is the first to edit.
        server.database.sql("insert into oak (girth) values (2)").await;
        assert!(generation(&server).await > restored_to + JUMP, "{column}: no number of the lost past is given again");
        assert!(generation(&server).await < 1 << 53);
        server.app.store.settle().await.unwrap();
        let epochs = server.app.store.epochs().await.unwrap();
        assert_eq!(epochs.len(), before + 1, "{column}: it began once");
        assert_eq!((epochs[before].lost_after, epochs[before].lost_upto), (restored_to, restored_to + JUMP));

        old.sync(&server).await;
        assert_eq!(old.rows, everything(&server).await, "{column}");
        let edits = one_add(7);
        let refused = ahead.ask(&server, ahead.generation, &[("edits", &edits)]).await;
        let (code, text) = error(&refused);
        assert!(code == 400 && text.contains("restored") && text.contains("snapshot"), "{refused}");
        assert_eq!(server.features(0).await.len(), 2, "nothing was applied");
        let uploaded = ahead.ask(&server, ahead.generation, &[("edits", &edits), ("syncDirection", "upload")]).await;
        assert!(uploaded.get("error").is_none(), "{uploaded}");
        ahead.snapshot(&server).await;
        server.database.sql("delete from oak where girth = 1").await;
        ahead.sync(&server).await;
        assert_eq!(ahead.rows, everything(&server).await, "{column}");
        let future = ahead.ask(&server, generation(&server).await + 1, &[]).await;
        assert!(error(&future).1.contains("future"), "{future}");
    }
}

#[tokio::test]
async fn an_epoch_begun_by_hand_costs_clients_nothing_if_nothing_was_lost() {
    let server = TestServer::with_trees().await;
    server.database.sql("insert into oak (girth) values (1)").await;
    let mut client = Client::create(&server).await;
    let epoch = server.app.store.begin_epoch("a copy of the files was put back").await.unwrap();
    assert_eq!(epoch.lost_after, client.generation);
    client.sync(&server).await;
    server.database.sql("update oak set girth = 2").await;
    client.sync(&server).await;
    assert_eq!(client.rows, everything(&server).await);
    assert!(client.generation > epoch.lost_upto);
}

#[tokio::test]
async fn a_sequence_below_what_was_given_is_noticed_when_the_server_starts() {
    let server = TestServer::with_trees().await;
    server.database.sql("insert into oak (girth) values (1)").await;
    let client = Client::create(&server).await;
    server.database.sql("select setval('syncline.generation', 1)").await;
    server.app.store.settle().await.unwrap();
    server.database.sql("insert into oak (girth) values (2)").await;
    assert!(generation(&server).await > client.generation);
}

#[tokio::test]
async fn a_database_without_services_begins_without_a_jump() {
    let database = TestDatabase::new().await;
    let server = TestServer::on(database).await;
    let last: i64 = server.database.value("select last_value from syncline.generation").await;
    assert_eq!(last, 1);
}

/// A copy of a database, as its back-up and restore by PostgreSQL's own tools makes it.
pub async fn copy(database: &TestDatabase) -> TestDatabase {
    let elsewhere = TestDatabase::new().await;
    elsewhere.sql("drop schema syncline cascade; drop extension postgis cascade").await;
    let dump = Command::new("pg_dump").arg(&database.url).output().unwrap();
    assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
    let mut restore = Command::new("psql")
        .args(["-q", "-v", "ON_ERROR_STOP=1", "-d", &elsewhere.url])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut restore.stdin.take().unwrap(), &dump.stdout).unwrap();
    assert!(restore.wait().unwrap().success());
    elsewhere
}

/// The back-up of one database, put into another one, with clients of before and after the back-up.
#[tokio::test]
async fn f45_a_dump_restored_elsewhere_goes_on_with_replicas_receipts_and_history() {
    let server = TestServer::with_trees().await;
    server.database.sql("insert into oak (girth) select n from generate_series(1, 5) n").await;
    let mut clients = Vec::new();
    for n in 0..4 {
        clients.push(Client::create(&server).await);
        server.database.sql(&format!("update oak set girth = girth + 10 where girth = {n}")).await;
    }
    let edits = one_add(7);
    let uploaded =
        clients[0].ask(&server, clients[0].generation, &[("edits", &edits), ("syncDirection", "upload")]).await;
    assert!(uploaded.get("error").is_none(), "{uploaded}");
    let elsewhere = copy(&server.database).await;
    let restored_to = generation(&server).await;
    // What is lost: a commit after the back-up, which one client has seen.
    server.database.sql("delete from oak where girth = 5").await;
    clients[3].sync(&server).await;

    let server = TestServer::on(elsewhere).await;
    // Its data directory is new, too, so that it might be a copy for tests.
    assert_eq!(server.app.store.adopt(None).await.unwrap().len(), clients.len());
    let epochs = server.app.store.epochs().await.unwrap();
    assert_eq!(epochs.last().map(|epoch| epoch.lost_after), Some(restored_to), "{epochs:?}");
    assert!(server.app.store.watch().await.unwrap().problems.is_empty());
    let again = clients[0].ask(&server, clients[0].generation, &[("edits", &edits), ("syncDirection", "upload")]).await;
    assert!(again.get("error").is_none(), "{again}");
    let n_batches: i64 = server.database.value("select count(*) from syncline.batch").await;
    assert_eq!(n_batches, 1, "an upload of before the back-up is recognised");
    server.database.sql("delete from oak where girth = 4").await;
    let lost = clients[3].ask(&server, clients[3].generation, &[]).await;
    assert!(error(&lost).1.contains("restored"), "{lost}");
    clients[3].snapshot(&server).await;
    // Its own add is not sent back to the one that made it.
    clients[0].rows.insert("{AAAAAAAA-0000-4000-8000-000000000007}".to_owned(), 7);
    for client in &mut clients {
        client.sync(&server).await;
        assert_eq!(client.rows, everything(&server).await);
    }
}

#[tokio::test]
async fn f47_a_copy_takes_no_edits_of_the_originals_devices_until_they_are_adopted() {
    let original = TestServer::with_trees().await;
    original.database.sql("insert into oak (girth) values (1)").await;
    let mut clients = [Client::create(&original).await, Client::create(&original).await];
    let elsewhere = copy(&original.database).await;
    let server = TestServer::on(elsewhere).await;
    let edits = one_add(7);
    let before = clients[0].generation;
    let refused = clients[0].ask(&server, before, &[("edits", &edits), ("syncDirection", "upload")]).await;
    let (code, text) = error(&refused);
    assert!(code == 503 && text.contains("this is a copy") && text.contains("replicas adopt"), "{refused}");
    assert_eq!(server.features(0).await.len(), 1, "nothing was applied");
    let stored = "select (select count(*) from syncline.batch) + (select count(*) from syncline.rejected_edit)";
    assert_eq!(server.database.value::<i64>(stored).await, 0, "nothing was kept");
    let status = server.get(&format!("replicas/{}/status", clients[0].id), &[]).await;
    assert_eq!(status["state"], "foreign");
    let notices = server.app.store.watch().await.unwrap().notices;
    assert!(notices.iter().any(|notice| notice.starts_with("2 replicas belong to the original")), "{notices:?}");
    let mut own = Client::create(&server).await;
    server.database.sql("insert into oak (girth) values (2)").await;
    own.sync(&server).await;
    assert_eq!(own.rows, everything(&server).await, "what the copy made itself works");
    clients[1].sync(&original).await;

    // It takes the place of the original after all.
    let id = syncline::model::id::ReplicaId::parse(&clients[0].id).unwrap();
    assert_eq!(server.app.store.adopt(Some(id)).await.unwrap(), [id]);
    let uploaded = clients[0].ask(&server, before, &[("edits", &edits), ("syncDirection", "upload")]).await;
    assert!(uploaded.get("error").is_none(), "{uploaded}");
    assert_eq!(server.features(0).await.len(), 3);
    assert_eq!(error(&clients[1].ask(&server, before, &[]).await).0, 503, "only the one that was named is adopted");
    assert_eq!(server.app.store.adopt(None).await.unwrap().len(), 1);
    clients[1].sync(&server).await;
    assert_eq!(clients[1].rows, everything(&server).await);
}

#[tokio::test]
async fn f47_a_server_that_finds_its_database_elsewhere_goes_on_with_it() {
    let server = TestServer::with_trees().await;
    let mut client = Client::create(&server).await;
    let known = server.database.value("select instance_id from syncline.instance").await;
    let store = &server.app.store;
    for (column, value) in [("system_identifier", "'1'"), ("timeline", "'0000000F'"), ("database_id", "1")] {
        server.database.sql(&format!("update syncline.instance set {column} = {value}")).await;
        assert_eq!(store.begin_serving(Some(known)).await.unwrap(), known, "{column}: restored, promoted or moved");
    }
    assert_eq!(store.begin_serving(None).await.unwrap(), known, "another server of the same database");
    client.sync(&server).await;
    server.database.sql("update syncline.instance set timeline = '0000000F'").await;
    let stranger = uuid::Uuid::from_u128(1);
    let new = store.begin_serving(Some(stranger)).await.unwrap();
    assert!(new != known && new != stranger, "copied");
    assert_eq!(store.begin_serving(None).await.unwrap(), new, "which is found once");
    assert_eq!(error(&client.ask(&server, client.generation, &[]).await).0, 503);
}
