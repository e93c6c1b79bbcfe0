//! Somebody alters a published table while replicas hold its rows.

use serde_json::json;
use syncline::model::id::LayerId;

use super::{Client, EMBEDDED, everything, one_add};
use crate::support::{TestServer, server::error};

async fn start() -> (TestServer, Client) {
    let server = TestServer::with_trees().await;
    server.database.sql("insert into oak (species, girth) values ('elm', 1), ('fir', 2)").await;
    let client = Client::create(&server).await;
    (server, client)
}

#[tokio::test]
async fn f34_a_column_that_is_gone_or_another_never_stops_other_programs_and_always_stops_sync() {
    for (change, news) in [
        ("alter table oak drop column species", "column species was dropped or renamed"),
        ("alter table oak rename column species to kind", "column species was dropped or renamed"),
        (
            "alter table oak alter column species type integer using 5",
            "column species was character varying(20) and is integer",
        ),
        ("alter table oak drop column shape", "geometry column shape was dropped"),
    ] {
        let (server, mut client) = start().await;
        server.database.sql(change).await;
        // Before anybody has looked, edits of other programs succeed, and are not passed over in a delta.
        server
            .database
            .sql("update oak set girth = 9 where girth = 1; delete from oak where girth = 2; insert into oak (girth) values (3)")
            .await;
        let edits = one_add(7);
        let answer = client.ask(&server, client.generation, &[("edits", &edits)]).await;
        let (code, words) = error(&answer);
        assert!(code == 503 && words.contains("columns were dropped"), "{change}: {answer}");
        let found = server.app.store.watch().await.unwrap().problems;
        assert_eq!(found.len(), 1, "{found:?}");
        let plan = server.app.store.repair("trees", LayerId(0), true).await.unwrap();
        assert!(plan.history_from.is_none() && !plan.statements.is_empty());
        let repaired = server.app.store.repair("trees", LayerId(0), false).await.unwrap();
        assert!(repaired.history_from.is_some(), "{repaired:?}");
        let refused = client.ask(&server, client.generation, &[("edits", &edits)]).await;
        assert!(error(&refused).1.contains("no longer kept"), "{refused}");
        let uploaded = client.ask(&server, client.generation, &[("edits", &edits), ("syncDirection", "upload")]).await;
        assert!(uploaded.get("error").is_none(), "an upload of the old shape is taken: {uploaded}");
        client.snapshot(&server).await;
        server.database.sql("update oak set girth = girth + 1 where girth < 9; delete from oak where girth = 9").await;
        client.sync(&server).await;
        assert_eq!(client.rows, everything(&server).await, "{change}");
        assert!(server.app.store.watch().await.unwrap().problems.is_empty(), "{change}");
        let (server, _) = start().await;
        server.database.sql(change).await;
        let found = server.app.store.watch().await.unwrap().problems;
        assert!(found[0].contains(news), "the watchdog sees it before anybody edits: {found:?}");
    }
}

#[tokio::test]
async fn f34_a_new_column_appears_after_a_repair_and_deltas_go_on() {
    let (server, mut client) = start().await;
    server.database.sql("alter table oak add column note varchar(5), alter column species type varchar(50)").await;
    server.database.sql("update oak set note = 'a', girth = 5 where girth = 1; delete from oak where girth = 2").await;
    let found = server.app.store.watch().await.unwrap();
    assert!(found.problems.is_empty(), "{found:?}");
    let notices = found.notices.join("\n");
    for words in [
        "public.oak (layer 0 of trees): column note is not published",
        "column species was character varying(20) and is character varying(50)",
    ] {
        assert!(notices.contains(words), "{notices}");
    }
    let repaired = server.app.store.repair("trees", LayerId(0), false).await.unwrap();
    assert!(repaired.history_from.is_none(), "{repaired:?}");
    assert!(server.app.store.watch().await.unwrap().notices.is_empty());
    let layer = server.get("0", &[]).await;
    let names: Vec<&str> =
        layer["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"note"), "{names:?}");
    let long = "x".repeat(40);
    let edits = json!([{"id": 0, "features": {"adds": [{"attributes": {"globalid": "{AAAAAAAA-0000-4000-8000-000000000001}", "girth": 6, "species": long}}]}}]).to_string();
    let answer = client.ask(&server, client.generation, &[("edits", &edits)]).await;
    let updates = &answer["edits"][0]["features"]["updates"];
    assert_eq!(
        (updates[0]["attributes"]["note"].as_str(), updates.as_array().unwrap().len()),
        (Some("a"), 1),
        "{answer}"
    );
    client.rows.insert("{AAAAAAAA-0000-4000-8000-000000000001}".to_owned(), 6);
    client.apply(&answer);
    server.database.sql("update oak set note = 'b' where girth = 6").await;
    client.sync(&server).await;
    assert_eq!(client.rows, everything(&server).await);
}

#[tokio::test]
async fn a_replica_that_filters_by_a_column_that_is_gone_is_named_and_told() {
    let (server, _) = start().await;
    let parameters = [
        ("layers", "0"),
        ("layerQueries", r#"{"0":{"where":"species = 'elm'"}}"#),
        ("replicaName", "Crew 7"),
        EMBEDDED,
    ];
    let replica = server.post("createReplica", &parameters).await;
    let id = replica["replicaID"].as_str().unwrap();
    server.database.sql("alter table oak drop column species").await;
    let repaired = server.app.store.repair("trees", LayerId(0), false).await.unwrap();
    let notices = repaired.notices.join("\n");
    assert!(notices.contains(id) && notices.contains("Crew 7") && notices.contains("species"), "{notices}");
    let answer = server.post("synchronizeReplica", &[("replicaID", id), ("syncDirection", "snapshot"), EMBEDDED]).await;
    let (code, words) = error(&answer);
    assert!(
        code == 400 && words.contains("filter no longer fits") && words.contains("create the replica again"),
        "{answer}"
    );
    let answer = server.post("unRegisterReplica", &[("replicaID", id)]).await;
    assert_eq!(answer["success"], true, "{answer}");
}

#[tokio::test]
async fn a_query_of_a_table_that_lost_a_column_says_what_to_do() {
    let (server, _) = start().await;
    server.database.sql("alter table oak drop column species").await;
    let answer = server.get("0/query", &[("where", "1=1"), ("outFields", "*")]).await;
    let (code, words) = error(&answer);
    assert!(code == 503 && words.contains("syncline repair"), "{answer}");
    server.app.store.repair("trees", LayerId(0), false).await.unwrap();
    assert_eq!(server.features(0).await.len(), 2);
}

#[tokio::test]
async fn a_column_of_another_type_can_be_queried_at_once_on_every_connection() {
    let (server, _) = start().await;
    for _ in 0..8 {
        server.features(0).await;
        server.get("0/query", &[("where", "girth > 0"), ("returnCountOnly", "true")]).await;
    }
    server.database.sql("alter table oak alter column girth type double precision").await;
    server.app.store.repair("trees", LayerId(0), false).await.unwrap();
    for _ in 0..8 {
        assert_eq!(server.features(0).await[0]["attributes"]["girth"], 1.0);
        let count = server.get("0/query", &[("where", "girth > 0"), ("returnCountOnly", "true")]).await;
        assert_eq!(count, json!({"count": 2}));
    }
}
