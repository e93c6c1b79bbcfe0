//! Corners of tracking, delivery and input that are easy to get wrong.

use serde_json::Value as Json;

use crate::support::TestServer;

const A: &str = "{AAAAAAAA-0000-4000-8000-000000000001}";
const B: &str = "{BBBBBBBB-0000-4000-8000-000000000001}";
const ALL: &str = r#"{"0":{"queryOption":"all"},"1":{"queryOption":"all"}}"#;

/// A replica of the layers, all rows: its id and its generation.
async fn replica(server: &TestServer, layers: &str, queries: &str) -> (String, i64) {
    let answer = server
        .post(
            "createReplica",
            &[("layers", layers), ("layerQueries", queries), ("transportType", "esriTransportTypeEmbedded")],
        )
        .await;
    (
        answer["replicaID"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned(),
        answer["replicaServerGen"].as_i64().unwrap(),
    )
}

async fn synchronize(server: &TestServer, id: &str, generation: i64, edits: &str) -> Json {
    server
        .post(
            "synchronizeReplica",
            &[
                ("replicaID", id),
                ("replicaServerGen", &generation.to_string()),
                ("transportType", "esriTransportTypeEmbedded"),
                ("rollbackOnFailure", "false"),
                ("edits", edits),
            ],
        )
        .await
}

/// The changes of a layer in an answer.
fn changes(answer: &Json, layer: i64) -> Json {
    let Some(edits) = answer["edits"].as_array() else { return Json::Null };
    edits.iter().find(|edits| edits["id"] == layer).map_or(Json::Null, |edits| edits["features"].clone())
}

#[tokio::test]
async fn rows_that_the_database_changed_because_of_an_upload_come_back() {
    let server = TestServer::with_trees().await;
    server
        .database
        .sql(&format!(
            "alter table visit add foreign key (oak_id) references oak (globalid) on delete set null;
             insert into oak (globalid, species) values ('{A}', 'robur');
             insert into visit (globalid, oak_id) values ('{B}', '{A}')"
        ))
        .await;
    let (id, generation) = replica(&server, "0,1", ALL).await;
    let answer =
        synchronize(&server, &id, generation, &format!(r#"[{{"id":0,"features":{{"deleteIds":["{A}"]}}}}]"#)).await;
    let updates = changes(&answer, 1)["updates"].clone();
    assert_eq!(updates[0]["attributes"]["globalid"], B, "the visit lost its oak on the server only: {answer}");
    assert_eq!(updates[0]["attributes"]["oak_id"], Json::Null);
}
