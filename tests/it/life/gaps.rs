//! What slips past triggers: it is tracked all the same, or the layer is not synchronized until it is repaired.

use syncline::model::id::LayerId;

use super::{Client, EMBEDDED, everything, generation};
use crate::support::{
    Program, TestServer,
    server::{error, text},
};

/// A server with two oaks and a client that holds them.
async fn start() -> (TestServer, Client) {
    let server = TestServer::with_trees().await;
    server.database.sql("insert into oak (girth) values (1), (2)").await;
    let client = Client::create(&server).await;
    (server, client)
}

#[tokio::test]
async fn by_passes_that_are_tracked_all_the_same() {
    for edit in [
        "truncate oak",
        "copy oak (girth) from program 'seq 100 140'",
        "insert into oak (girth) select n from generate_series(1, 1500) n; delete from oak where girth % 3 = 0",
        "set session_replication_role = replica; update oak set girth = 9 where girth = 1; delete from oak where girth = 2",
        "begin; insert into oak (girth) values (5); set constraints all immediate; insert into oak (girth) values (6); commit",
        "alter table oak rename to elm; update elm set girth = 8; alter table elm rename to oak",
        "begin; alter table oak add column note text default 'x'; update oak set girth = 7 where girth = 1; commit",
    ] {
        let (server, mut client) = start().await;
        server.database.sql(edit).await;
        assert_eq!(server.app.store.watch().await.unwrap().problems, Vec::<String>::new(), "{edit}");
        client.sync(&server).await;
        assert_eq!(client.rows, everything(&server).await, "{edit}");
    }
}

#[tokio::test]
async fn by_passes_that_nobody_can_see_stop_the_layer_until_it_is_repaired() {
    let edits = "update oak set girth = 9 where girth = 1; delete from oak where girth = 2; insert into oak (girth) values (3);";
    for (broken, reason) in [
        ("alter table oak disable trigger zz_syncline_delete; {}", "zz_syncline_delete is switched off"),
        ("alter table oak disable trigger all; {} alter table oak enable trigger all", "is switched off or was so"),
        ("drop trigger zz_syncline_begin on oak; {}", "zz_syncline_begin is gone"),
        (
            "create table oak_2 (like oak including all); insert into oak_2 select * from oak; alter table oak rename to oak_1; alter table oak_2 rename to oak; alter table oak alter objectid restart with 1000; {}",
            "is gone",
        ),
        (
            "create table tree (like oak including all); alter table oak inherit tree; update tree set girth = 9 where girth = 1",
            "child of another table",
        ),
        (
            "create or replace function syncline.track_1_update() returns trigger language plpgsql as 'begin return null; end'; {}",
            "functions were altered",
        ),
        (
            "create or replace trigger zz_syncline_update after update of species on oak for each statement execute function syncline.track_1_update();
             alter table oak enable always trigger zz_syncline_update; {}",
            "was replaced",
        ),
    ] {
        let (server, mut client) = start().await;
        server.database.sql(&broken.replace("{}", edits)).await;
        let problems = server.app.store.watch().await.unwrap().problems;
        assert!(problems.len() == 1 && problems[0].contains(reason), "{broken}: {problems:?}");
        assert!(problems[0].contains("syncline repair --service 'trees' --layer 0"), "{problems:?}");
        let ready = text(server.fetch("/readyz", &[]).await).await;
        assert!(ready.starts_with("ready, but"), "{ready}");
        for direction in ["bidirectional", "download", "upload", "snapshot"] {
            let answer = client.ask(&server, client.generation, &[("syncDirection", direction)]).await;
            let (code, words) = error(&answer);
            assert!(code == 503 && words.contains(reason) && words.contains("syncline repair"), "{direction}: {answer}");
        }
        let answer = server.post("createReplica", &[("layers", "0"), EMBEDDED]).await;
        assert_eq!(error(&answer).0, 503, "{answer}");
        let other = server.post("createReplica", &[("layers", "1"), EMBEDDED]).await;
        assert!(other.get("error").is_none(), "the other layer is whole: {other}");

        if reason.contains("child") {
            server.database.sql("alter table oak no inherit tree").await;
        }
        server.app.store.watch().await.unwrap();
        let still = client.ask(&server, client.generation, &[]).await;
        assert_eq!(error(&still).0, 503, "what happened in between stays unknown: {still}");
        let repaired = server.app.store.repair("trees", LayerId(0), false).await.unwrap();
        assert!(repaired.history_from.is_some(), "{repaired:?}");
        assert!(server.app.store.watch().await.unwrap().problems.is_empty(), "{broken}");
        let refused = client.ask(&server, client.generation, &[]).await;
        assert!(error(&refused).1.contains("no longer kept"), "{refused}");
        client.snapshot(&server).await;
        server.database.sql("update oak set girth = girth + 1; delete from oak where girth = 4").await;
        client.sync(&server).await;
        assert_eq!(client.rows, everything(&server).await, "{broken}");
        let again = server.app.store.repair("trees", LayerId(0), false).await.unwrap();
        assert!(again.statements.is_empty() && again.history_from.is_none(), "{again:?}");
        let ready = text(server.fetch("/readyz", &[]).await).await;
        assert_eq!(ready, "ready");
    }
}

#[tokio::test]
async fn a_dropped_table_is_said_to_be_gone_and_can_be_unpublished() {
    let (server, client) = start().await;
    server.database.sql("drop table oak").await;
    let problems = server.app.store.watch().await.unwrap().problems;
    assert!(problems.len() == 1 && problems[0].contains("the table is gone"), "{problems:?}");
    assert_eq!(error(&client.ask(&server, client.generation, &[]).await).0, 503);
    let said = server.app.store.repair("trees", LayerId(0), false).await.unwrap_err().to_string();
    assert!(said.contains("syncline unpublish"), "{said}");
    server.app.store.unpublish("trees", LayerId(0), true).await.unwrap();
    assert!(server.app.store.watch().await.unwrap().problems.is_empty());
}

#[tokio::test]
async fn commits_without_a_number_and_a_broken_numbering_are_alarms() {
    let (server, _) = start().await;
    server
        .database
        .sql(
            "alter table syncline.txn disable trigger stamp; insert into oak (girth) values (5);
             alter sequence syncline.generation cache 10",
        )
        .await;
    let problems = server.app.store.watch().await.unwrap().problems.join("\n");
    for words in [
        "1 transactions were committed without a generation",
        "trigger stamp on syncline.txn is gone or switched off",
        "cache 1",
    ] {
        assert!(problems.contains(words), "{problems}");
    }
}

#[tokio::test]
async fn a_repair_waits_for_those_who_edit_the_table() {
    let (server, mut client) = start().await;
    let mut editor = server.database.connect().await;
    server.database.sql("drop trigger zz_syncline_update on oak").await;
    sqlx::raw_sql("begin; update oak set girth = 77 where girth = 1").execute(&mut editor).await.unwrap();
    let store = server.app.store.clone();
    let repairing = tokio::spawn(async move { store.repair("trees", LayerId(0), false).await });
    let waiting = "select exists (select from pg_locks where not granted and mode = 'ShareRowExclusiveLock')";
    while !server.database.value::<bool>(waiting).await {}
    sqlx::raw_sql("commit").execute(&mut editor).await.unwrap();
    let repaired = repairing.await.unwrap().unwrap();
    assert_eq!(repaired.history_from.map(syncline::model::id::Generation::get), Some(generation(&server).await));
    client.snapshot(&server).await;
    assert!(client.generation >= generation(&server).await);
    assert_eq!(client.rows, everything(&server).await);
}

#[tokio::test]
async fn a_layer_is_repaired_from_the_command_line() {
    let (server, _) = start().await;
    let program = Program::on(&server.database);
    let repair = ["repair", "--service", "trees", "--layer", "public.oak"];
    assert_eq!(program.done(&repair), "Layer 0 of service trees needs no repair.\n");
    server.database.sql("drop trigger zz_syncline_update on oak").await;
    let plan = program.done(&[&repair[..], &["--dry-run"]].concat());
    assert!(plan.contains("begin;\n") && plan.contains("create trigger zz_syncline_update"), "{plan}");
    assert_eq!(server.app.store.watch().await.unwrap().problems.len(), 1);
    let said = program.done(&repair);
    assert!(said.contains("zz_syncline_update is gone") && said.contains("syncDirection=snapshot"), "{said}");
    assert!(program.done(&["check"]).ends_with("No problems found.\n"));
}

#[tokio::test]
async fn triggers_of_an_earlier_version_are_told_of_and_made_anew_by_a_repair() {
    let server = TestServer::with_trees().await;
    server.database.sql("insert into oak (girth) values (1)").await;
    // As published before it was noted how triggers are made, and with what they did then.
    server
        .database
        .sql(
            "update syncline.layer set tracking = null where layer_id = 0;
             create or replace function syncline.track_1_insert() returns trigger language plpgsql as $$ begin return null; end $$",
        )
        .await;
    let found = server.app.store.watch().await.unwrap();
    assert!(found.problems.is_empty(), "{found:?}");
    let notice = found.notices.iter().find(|notice| notice.contains("those of an earlier version")).unwrap();
    assert!(notice.contains("syncline repair --service 'trees' --layer 0"), "{notice}");
    let before = generation(&server).await;
    let repaired = server.app.store.repair("trees", LayerId(0), false).await.unwrap();
    assert_eq!(repaired.history_from, None, "nothing was missed");
    server.database.sql("insert into oak (girth) values (1)").await;
    assert!(generation(&server).await > before, "the triggers are new");
    assert!(server.app.store.watch().await.unwrap().notices.is_empty());
}

#[tokio::test]
async fn a_table_that_a_subscription_writes_to_is_not_synchronized() {
    let (server, client) = start().await;
    server
        .database
        .sql(
            "create subscription follows connection 'dbname=nowhere' publication nothing with (connect = false, slot_name = none);
             insert into pg_subscription_rel (srsubid, srrelid, srsubstate)
               select oid, 'oak'::regclass, 'r' from pg_subscription where subname = 'follows'",
        )
        .await;
    let problems = server.app.store.watch().await.unwrap().problems;
    assert!(problems.len() == 1 && problems[0].contains("logical replication writes to the table"), "{problems:?}");
    let (code, text) = error(&client.ask(&server, client.generation, &[]).await);
    assert!(code == 503 && text.contains("logical replication"), "{text}");
    server.database.sql("drop subscription follows").await;
    server.app.store.repair("trees", LayerId(0), false).await.unwrap();
    assert!(server.app.store.watch().await.unwrap().problems.is_empty());
}
