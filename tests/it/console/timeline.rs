//! The synchronizations of a replica, one by one.

use axum::{body::Body, http::Request};
use serde_json::{Value as Json, json};

use super::{get, server};
use crate::{
    accounting::{Field, edits, tree},
    support::server::{encode, error, json},
};

async fn timeline(field: &Field<'_>, parameters: &[(&str, &str)]) -> Vec<Json> {
    let answer = get(field.server, &format!("replicas/{}/timeline", field.replica), parameters).await;
    answer["synchronizations"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
}

#[tokio::test]
async fn each_synchronization_is_there_also_those_that_only_downloaded_and_those_that_failed() {
    let server = server().await;
    let mut field = Field::new(&server, &[]).await;
    server.database.sql("insert into oak (girth) values (1), (2), (3)").await;
    field.synchronize(&json!([]), &[("syncDirection", "download")]).await;
    let both =
        edits(&json!([tree(1, &json!({"girth": 5})), tree(2, &json!({"girth": "many"}))]), &json!([]), &json!([]));
    field.synchronize(&both, &[]).await;
    let future = (1_i64 << 50).to_string();
    field.synchronize(&json!([]), &[("replicaServerGen", &future)]).await;
    field.synchronize(&json!([]), &[("syncDirection", "sideways")]).await;
    let all = timeline(&field, &[]).await;
    let outcomes: Vec<&Json> = all.iter().map(|one| &one["outcome"]).collect();
    assert_eq!(outcomes, ["refused", "needs_snapshot", "completed_with_errors", "completed"], "{all:?}");
    assert!(all[0]["error"]["message"].as_str().unwrap().contains("sideways"), "{:?}", all[0]);
    assert_eq!(all[1]["error"]["code"], 400);
    let uploaded = &all[2];
    assert_eq!(
        (&uploaded["applied"], &uploaded["refused"], &uploaded["sent"]),
        (&json!(1), &json!(1), &json!(0)),
        "{uploaded}"
    );
    assert!(uploaded["batchId"].is_i64() && uploaded["bytesUp"].as_i64().unwrap() > 50, "{uploaded}");
    let downloaded = &all[3];
    assert_eq!((&downloaded["syncDirection"], &downloaded["sent"]), (&json!("download"), &json!(3)), "{downloaded}");
    assert!(downloaded["bytesDown"].as_i64().unwrap() > 50 && downloaded["error"].is_null(), "{downloaded}");
    assert_eq!(timeline(&field, &[("resultOffset", "1"), ("resultRecordCount", "1")]).await, [all[1].clone()]);
    // A failed one is no sign of life.
    let failing = get(&server, "replicas", &[("state", "failing")]).await;
    assert_eq!(failing["replicas"][0]["lastOutcome"], "refused", "{failing}");
}

#[tokio::test]
async fn what_the_client_calls_itself_is_known_of_requests_and_of_jobs() {
    let server = server().await;
    let jobs = server.run_jobs();
    let ask = |path: &str, agent: &str, parameters: &[(&str, &str)]| {
        Request::post(format!("/arcgis/rest/services/trees/FeatureServer/{path}"))
            .header("host", "test:80")
            .header("user-agent", agent)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(encode(parameters)))
            .unwrap()
    };
    let made = json(server.send(ask("createReplica", "Crew App <1.0>", &[("layers", "0")])).await).await;
    let id = made["replicaID"].as_str().unwrap().to_owned();
    let list = get(&server, "replicas", &[("text", "crew app")]).await;
    assert_eq!(list["replicas"][0]["client"], "Crew App <1.0>", "{list}");
    let generation = made["replicaServerGen"].to_string();
    let long = "x".repeat(5000);
    let parameters = [("replicaID", id.as_str()), ("replicaServerGen", &generation), ("async", "true")];
    let submitted = json(server.send(ask("synchronizeReplica", &long, &parameters)).await).await;
    assert!(submitted["statusUrl"].is_string(), "{submitted}");
    server.database.until("select exists (select from syncline.synchronization)").await;
    let list = get(&server, "replicas", &[]).await;
    assert_eq!(list["replicas"][0]["client"].as_str().unwrap(), "x".repeat(200), "{list}");
    jobs.stop().await;
}

#[tokio::test]
async fn no_more_than_five_hundred_synchronizations_are_kept_of_a_replica() {
    let server = server().await;
    let mut field = Field::new(&server, &[]).await;
    field.synchronize(&json!([]), &[]).await;
    server
        .database
        .sql("update syncline.replica set n_syncs = 700; update syncline.synchronization set number = 700, slot = 200")
        .await;
    server
        .database
        .sql(
            "insert into syncline.synchronization (replica_id, slot, number, duration_ms, client, request_id, outcome, n_applied, n_refused, n_sent, bytes_up, bytes_down)
             select replica_id, n % 500, n, 5, '', '', 'completed', 0, 0, 0, 0, 0 from syncline.replica, generate_series(201, 699) n",
        )
        .await;
    field.synchronize(&json!([]), &[]).await;
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.synchronization").await, 500);
    let newest = timeline(&field, &[("resultRecordCount", "1")]).await;
    assert_eq!(newest[0]["number"], 701, "{newest:?}");
    let oldest = timeline(&field, &[("resultOffset", "499")]).await;
    assert_eq!(oldest[0]["number"], 202, "{oldest:?}");
}

#[tokio::test]
async fn a_replica_that_is_gone_keeps_its_timeline_and_late_attempts_are_in_it() {
    let server = server().await;
    let mut field = Field::new(&server, &[]).await;
    field.synchronize(&json!([]), &[]).await;
    server.post("unRegisterReplica", &[("replicaID", &field.replica)]).await;
    field.synchronize(&json!([]), &[]).await;
    let late = edits(&json!([tree(1, &json!({"girth": 5}))]), &json!([]), &json!([]));
    field.synchronize(&late, &[]).await;
    let all = timeline(&field, &[]).await;
    let messages: Vec<&str> = all.iter().filter_map(|one| one["error"]["message"].as_str()).collect();
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(messages[0].contains("are kept") && messages[1].contains("not registered"), "{messages:?}");
    let unknown = get(&server, "replicas/6f9619ff-8b86-d011-b42d-00cf4fc964ff/timeline", &[]).await;
    assert!(error(&unknown).1.contains("not registered"), "{unknown}");
}
