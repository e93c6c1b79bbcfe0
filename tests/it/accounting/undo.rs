//! Undoing an upload.

use serde_json::{Value as Json, json};

use super::{Field, edits, good, id, stored, tree, updates};
use crate::support::TestServer;

/// A device that added 1, changed 2 and 4, and deleted 3; and the address of the upload.
async fn with_upload(server: &TestServer) -> (Field<'_>, String) {
    for n in 2..5 {
        let row = format!("('{}', 'elm', {n}, '2020-01-01 12:00:00.123456+00', ST_Point({n}, {n}, 3857))", id(n));
        server.database.sql(&format!("insert into oak (globalid, species, girth, planted, shape) values {row}")).await;
    }
    let mut field = Field::new(server, &[]).await;
    let all = edits(
        &json!([tree(1, &json!({"species": "new"}))]),
        &json!([tree(2, &json!({"species": "changed", "planted": 0})), tree(4, &json!({"girth": 40}))]),
        &json!([id(3)]),
    );
    good(field.synchronize(&all, &[]).await);
    let path = format!("replicas/{}/batches", field.replica);
    let batches = good(server.get(&path, &[]).await);
    let path = format!("{path}/{}", batches["batches"][0]["batchId"]);
    (field, path)
}

fn ids(list: &Json) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["globalId"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_upload_is_taken_back_as_a_change_that_reaches_everybody() {
    let server = TestServer::with_trees().await;
    let (mut field, path) = with_upload(&server).await;
    let preview = good(server.post(&format!("{path}/undo"), &[("preview", "true")]).await);
    assert_eq!(ids(&preview["undone"]), [id(1), id(2), id(3), id(4)]);
    let actions: Vec<&Json> = preview["undone"].as_array().unwrap().iter().map(|one| &one["action"]).collect();
    assert_eq!(actions, ["deleted", "reverted", "restored", "reverted"]);
    assert_eq!(stored(&server, 1, "species").await, "new", "a preview does nothing");
    assert_eq!(good(server.get(&path, &[]).await)["undoneDate"], Json::Null);

    let undone = good(server.post(&format!("{path}/undo"), &[]).await);
    assert_eq!((&undone["success"], &undone["undoneCount"]), (&json!(true), &json!(4)));
    for (n, attribute, value) in [
        (1, "species", "none"),
        (2, "species", "elm"),
        (2, "extract(microseconds from planted)::int", "123456"),
        (3, "girth", "3"),
        (3, "ST_AsText(shape)", "POINT(3 3)"),
        (4, "girth", "4"),
    ] {
        assert_eq!(stored(&server, n, attribute).await, value, "{n} {attribute}");
    }
    assert!(good(server.get(&path, &[]).await)["undoneDate"].is_i64());
    let answer = good(field.synchronize(&json!([]), &[]).await);
    let features = &answer["edits"][0]["features"];
    assert_eq!(features["deleteIds"], json!([id(1)]), "its own device learns of it: {answer}");
    assert_eq!(features["adds"].as_array().unwrap().len() + features["updates"].as_array().unwrap().len(), 3);

    let again = good(server.post(&format!("{path}/undo"), &[]).await);
    assert_eq!(
        (&again["undoneCount"], &again["skippedCount"]),
        (&json!(0), &json!(4)),
        "the undoing is a later change itself"
    );
}

#[tokio::test]
async fn what_others_changed_since_is_left_alone_unless_it_must() {
    let server = TestServer::with_trees().await;
    let (_, path) = with_upload(&server).await;
    let mut other = Field::new(&server, &[("replicaName", "Other")]).await;
    good(other.synchronize(&updates(&json!([tree(2, &json!({"girth": 22}))])), &[]).await);
    let undone = good(server.post(&format!("{path}/undo"), &[]).await);
    assert_eq!((&undone["success"], ids(&undone["undone"])), (&json!(false), vec![&*id(1), &*id(3), &*id(4)]));
    assert_eq!(ids(&undone["skipped"]), [id(2)]);
    assert_eq!(undone["skipped"][0]["changedSince"]["replicaName"], "Other");
    assert_eq!(
        (stored(&server, 2, "species").await, stored(&server, 2, "girth").await),
        ("changed".to_owned(), "22".to_owned())
    );
    let forced = good(server.post(&format!("{path}/undo"), &[("force", "true")]).await);
    assert_eq!(forced["skipped"], json!([]));
    assert_eq!(
        (stored(&server, 2, "species").await, stored(&server, 2, "girth").await),
        ("elm".to_owned(), "2".to_owned())
    );
    assert_eq!(stored(&server, 1, "species").await, "none");
}

#[tokio::test]
async fn what_the_database_does_not_let_go_back_is_named() {
    let server = TestServer::with_trees().await;
    let (_, path) = with_upload(&server).await;
    server.database.sql("alter table oak add constraint stout check (girth > 2 or girth is null) not valid").await;
    let undone = good(server.post(&format!("{path}/undo"), &[]).await);
    assert_eq!(undone["success"], false);
    assert_eq!((ids(&undone["failed"]), ids(&undone["undone"])), (vec![&*id(2)], vec![&*id(1), &*id(3), &*id(4)]));
    assert!(undone["failed"][0]["error"]["description"].as_str().unwrap().contains("'stout'"), "{undone}");
}
