//! Whether all is well, with verdicts and advice.

use serde_json::{Value as Json, json};

use super::{get, server};
use crate::accounting::{Field, edits, tree};

fn check<'a>(health: &'a Json, name: &str) -> &'a Json {
    health["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["name"] == name)
        .unwrap_or_else(|| panic!("{name}: {health}"))
}

#[tokio::test]
async fn a_server_that_is_well_says_so() {
    let server = server().await;
    let health = get(&server, "health", &[]).await;
    for name in ["tracking", "history", "books", "jobs", "disk", "database"] {
        let one = check(&health, name);
        assert_eq!((&one["verdict"], &one["advice"]), (&json!("ok"), &json!("")), "{one}");
    }
    assert_eq!(health["verdict"], "ok");
    assert!(check(&health, "database")["facts"]["version"].as_str().unwrap().contains("PostGIS"), "{health}");
    assert!(check(&health, "disk")["facts"]["freeBytes"].as_u64().unwrap() > 0);
    assert_eq!(check(&health, "disk")["facts"]["reserveBytes"], 256 << 20);
    let service = &health["services"][0];
    assert_eq!((&service["name"], &service["replicas"], &service["heldBy"]), (&json!("trees"), &json!(0), &Json::Null));
}

#[tokio::test]
async fn what_is_wrong_is_told_with_what_to_do() {
    let server = server().await;
    let mut field = Field::new(&server, &[("replicaName", "Old phone")]).await;
    field.synchronize(&edits(&json!([tree(1, &json!({"girth": "many"}))]), &json!([]), &json!([])), &[]).await;
    server.database.sql("insert into oak (girth) values (1)").await;
    server
        .database
        .sql(
            "update syncline.txn set committed_at = committed_at - interval '120 days';
             update syncline.replica set last_sync_at = now() - interval '121 days', expired_at = now();
             insert into syncline.job (job_id, service_id, operation, parameters, base_url, state, ended_at, error)
               select gen_random_uuid(), service_id, 'createReplica', '[]', 'http://x', 'Failed', now(), '{}' from syncline.service;
             drop trigger zz_syncline_update on oak",
        )
        .await;
    server.app.store.watch().await.unwrap();
    let health = get(&server, "health", &[]).await;
    assert_eq!(health["verdict"], "problem", "{health}");
    let tracking = check(&health, "tracking");
    assert_eq!(tracking["verdict"], "problem");
    assert!(tracking["advice"].as_str().unwrap().contains("syncline repair --service 'trees' --layer 0"), "{tracking}");
    let history = check(&health, "history");
    assert!(
        history["summary"]
            .as_str()
            .unwrap()
            .contains("kept for the replica Old phone, which last synchronized 121 days ago"),
        "{history}"
    );
    assert_eq!(check(&health, "books")["facts"]["openRejectedEdits"], 1);
    assert_eq!(
        (&check(&health, "jobs")["verdict"], &check(&health, "jobs")["facts"]["failed"]),
        (&json!("warning"), &json!(1))
    );
    assert_eq!(health["services"][0]["heldBy"]["replicaName"], "Old phone", "{health}");
}

#[tokio::test]
async fn a_disk_without_room_is_a_problem() {
    let mut server = server().await;
    let data = server.data().to_owned();
    server.app.files = syncline::files::Files::open(&data, u64::MAX / 2).await.unwrap();
    server.configure(|_| {});
    let health = get(&server, "health", &[]).await;
    assert_eq!(check(&health, "disk")["verdict"], "problem", "{health}");
}

#[tokio::test]
async fn settings_are_shown_without_secrets() {
    let server = server().await;
    let answer = get(&server, "settings", &[]).await;
    let text = answer.to_string();
    assert!(!text.contains(super::TOKEN.1), "{text}");
    let setting = |name: &str| {
        answer["settings"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["name"] == name)
            .unwrap_or_else(|| panic!("{name}: {text}"))
    };
    assert_eq!(
        (&setting("max_connections")["value"], &setting("max_connections")["default"]),
        (&json!("8"), &json!(false))
    );
    assert_eq!((&setting("grace_days")["value"], &setting("grace_days")["default"]), (&json!("14"), &json!(true)));
    assert_eq!(setting("admin_token")["value"], "\"***\"");
}
