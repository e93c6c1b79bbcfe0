//! Uploads that meet the transactions of others on the same rows.

use serde_json::{Value as Json, json};
use sqlx::AssertSqlSafe;

use crate::support::TestServer;

const ID: &str = "{AAAAAAAA-0000-4000-8000-000000000001}";

/// Uploads `edits` of oak 1 while a transaction that does `statements` is open, and ends it when the upload waits for it.
async fn meet(server: &TestServer, statements: &str, edits: &Json) -> Json {
    server
        .database
        .sql(&format!("truncate oak; insert into oak (globalid, species, girth) values ('{ID}', 'elm', 1)"))
        .await;
    let replica =
        server.post("createReplica", &[("layers", "0"), ("transportType", "esriTransportTypeEmbedded")]).await;
    let mut other = server.database.connect().await;
    sqlx::raw_sql(AssertSqlSafe(format!("begin; {statements}"))).execute(&mut other).await.unwrap();
    let edits = json!([{"id": 0, "features": edits}]).to_string();
    let generation = replica["replicaServerGen"].to_string();
    let parameters = [
        ("replicaID", replica["replicaID"].as_str().unwrap_or_else(|| panic!("{replica}"))),
        ("replicaServerGen", &generation),
        ("rollbackOnFailure", "false"),
        ("edits", &edits),
        ("transportType", "esriTransportTypeEmbedded"),
    ];
    let end = async {
        server
            .database
            .until(
                "select exists (select from pg_stat_activity where datname = current_database()
                   and application_name = 'syncline' and wait_event_type = 'Lock')",
            )
            .await;
        sqlx::raw_sql("commit").execute(&mut other).await.unwrap();
    };
    tokio::join!(server.post("synchronizeReplica", &parameters), end).0
}

fn results<'a>(answer: &'a Json, list: &str) -> &'a Json {
    &answer["edits"][0]["features"][list]
}

/// The row that the upload waits for goes away, and another one comes under the same global id, which the waiting
/// statement cannot see.
#[tokio::test]
async fn a_row_that_somebody_makes_again_meanwhile_is_edited() {
    let server = TestServer::with_trees().await;
    let again =
        format!("delete from oak where globalid = '{ID}'; insert into oak (globalid, species) values ('{ID}', 'fir')");
    let answer = meet(&server, &again, &json!({"updates": [{"attributes": {"globalid": ID, "girth": 7}}]})).await;
    assert_eq!(results(&answer, "updateResults"), &json!([]), "{answer}");
    let stored: String = server.database.value("select species || ' ' || girth from oak").await;
    assert_eq!(stored, "fir 7", "last in wins, and only what it names");

    let answer = meet(&server, &again, &json!({"deleteIds": [ID]})).await;
    let refused = answer["edits"].get(0).map(|_| results(&answer, "deleteResults").clone());
    assert!(refused.is_none_or(|results| results == json!([])), "{answer}");
    assert_eq!(server.database.value::<i64>("select count(*) from oak").await, 0);
}

#[tokio::test]
async fn a_row_that_somebody_deletes_meanwhile_is_gone() {
    let server = TestServer::with_trees().await;
    let gone = format!("delete from oak where globalid = '{ID}'");
    let answer = meet(&server, &gone, &json!({"updates": [{"attributes": {"globalid": ID, "girth": 7}}]})).await;
    assert_eq!(results(&answer, "updateResults")[0]["error"]["code"], 1011, "{answer}");
    assert_eq!(results(&answer, "deleteIds"), &json!([ID]), "{answer}");

    let answer = meet(&server, &gone, &json!({"adds": [{"attributes": {"globalid": ID, "girth": 7}}]})).await;
    assert!(answer.get("error").is_none(), "{answer}");
    assert_eq!(server.database.value::<i32>("select girth from oak").await, 7, "last in wins");
}
