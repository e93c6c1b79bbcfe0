//! G7: an answer is of one snapshot, and its generation is that of the snapshot.
//!
//! Somebody locks the second of two tables, so that the server stands still between them, edits both, and commits.

use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::support::TestServer;

/// A server with the layers `oak` and `visit`, both held whole by replicas.
async fn with_trees() -> (TestServer, PgConnection) {
    let server = TestServer::with_trees().await;
    server.database.sql("insert into oak (species) values ('elm'); insert into visit (note) values ('a')").await;
    let editor = server.database.connect().await;
    (server, editor)
}

const WHOLE: [(&str, &str); 3] = [
    ("layers", "0,1"),
    ("layerQueries", r#"{"1":{"queryOption":"all"}}"#),
    ("transportType", "esriTransportTypeEmbedded"),
];

async fn synchronize(server: &TestServer, held: &Json) -> Json {
    let generation = held["replicaServerGen"].to_string();
    let parameters = [
        ("replicaID", held["replicaID"].as_str().unwrap_or_else(|| panic!("{held}"))),
        ("replicaServerGen", &generation),
        ("transportType", "esriTransportTypeEmbedded"),
    ];
    server.post("synchronizeReplica", &parameters).await
}

/// Runs `statements` while the request stands between the two tables.
async fn between_the_tables(
    server: &TestServer,
    editor: &mut PgConnection,
    statements: &str,
    request: impl Future<Output = Json>,
) -> Json {
    let run = async |editor: &mut PgConnection, statements: &str| {
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(editor).await.unwrap();
    };
    run(editor, "begin; lock table visit in access exclusive mode").await;
    let edit = async {
        server
            .database
            .until("select exists (select from pg_locks where relation = 'visit'::regclass and not granted)")
            .await;
        run(editor, statements).await;
        run(editor, "commit").await;
    };
    tokio::join!(request, edit).0
}

/// How many rows of each layer a delta adds.
fn n_added(answer: &Json) -> [usize; 2] {
    [0, 1].map(|layer| answer["edits"][layer]["features"]["adds"].as_array().map_or(0, Vec::len))
}

const EDIT_BOTH: &str = "insert into oak (species) values ('fir'); insert into visit (note) values ('b')";

#[tokio::test]
async fn a_new_replica_holds_what_its_generation_says() {
    let (server, mut editor) = with_trees().await;
    let created = between_the_tables(&server, &mut editor, EDIT_BOTH, server.post("createReplica", &WHOLE)).await;
    let n_held = [0, 1].map(|layer| created["layers"][layer]["features"].as_array().unwrap().len());
    assert_eq!(n_held, [1, 1], "neither edit or both: {created}");
    let delta = synchronize(&server, &created).await;
    assert_eq!(n_added(&delta), [1, 1], "what was not in the first answer is in the second: {delta}");
}

#[tokio::test]
async fn a_delta_holds_what_its_generation_says() {
    let (server, mut editor) = with_trees().await;
    let created = server.post("createReplica", &WHOLE).await;
    // Something to send, so that both tables are read; of both, one row changes again meanwhile.
    server.database.sql("insert into oak (species) values ('ash'); insert into visit (note) values ('c')").await;
    let again = format!("{EDIT_BOTH}; delete from oak where species = 'ash'; delete from visit where note = 'c'");
    let delta = between_the_tables(&server, &mut editor, &again, synchronize(&server, &created)).await;
    assert_eq!(n_added(&delta), [1, 1], "{delta}");
    let (ash, c) = (&delta["edits"][0]["features"]["adds"][0], &delta["edits"][1]["features"]["adds"][0]);
    assert_eq!((&ash["attributes"]["species"], &c["attributes"]["note"]), (&"ash".into(), &"c".into()));
    let next = synchronize(&server, &delta).await;
    assert_eq!(n_added(&next), [1, 1], "{next}");
    for layer in [0, 1] {
        assert_eq!(next["edits"][layer]["features"]["deleteIds"].as_array().map(Vec::len), Some(1), "{next}");
    }
}

#[tokio::test]
async fn each_layer_is_given_the_changes_since_its_own_generation() {
    let (server, _) = with_trees().await;
    let replica = server.post("createReplica", &[&WHOLE[..], &[("syncModel", "perLayer")]].concat()).await;
    let first = replica["layerServerGens"][0]["serverGen"].as_i64().unwrap_or_else(|| panic!("{replica}"));
    let id = replica["replicaID"].as_str().unwrap();
    let synchronize = async |generations: &[i64]| {
        let layers: Vec<String> = generations
            .iter()
            .enumerate()
            .map(|(layer, generation)| {
                format!(r#"{{"id":{layer},"serverGen":{generation},"syncDirection":"download"}}"#)
            })
            .collect();
        let layers = format!("[{}]", layers.join(","));
        let parameters =
            [("replicaID", id), ("syncLayers", layers.as_str()), ("transportType", "esriTransportTypeEmbedded")];
        server.post("synchronizeReplica", &parameters).await
    };
    server.database.sql(EDIT_BOTH).await;
    let trees = synchronize(&[first]).await;
    assert_eq!(n_added(&trees), [1, 0], "{trees}");
    let second = trees["layerServerGens"][0]["serverGen"].as_i64().unwrap();
    let both = synchronize(&[second, first]).await;
    assert_eq!(n_added(&both), [0, 1], "the trees have come before, the visits have not: {both}");
}
