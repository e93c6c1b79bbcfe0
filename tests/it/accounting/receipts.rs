//! Uploads and their receipts, also after the replica is gone.

use serde_json::{Value as Json, json};

use super::{Field, adds, edits, good, id, tree};
use crate::support::{TestServer, server::error};

#[tokio::test]
async fn g10_every_edit_of_every_upload_has_a_receipt_that_can_be_read() {
    let server = TestServer::with_trees().await;
    let mut field = Field::new(&server, &[("replicaName", "Ada")]).await;
    let path = format!("replicas/{}/batches", field.replica);
    assert_eq!(good(server.get(&path, &[]).await)["batches"], json!([]));
    let known = field.generation;
    let mixed = edits(
        &json!([
            tree(1, &json!({"species": "elm"})),
            tree(2, &json!({"girth": "wide"})),
            tree(3, &json!({"girth": 1}))
        ]),
        &json!([tree(9, &json!({"girth": 1}))]),
        &json!([id(8)]),
    );
    good(field.synchronize(&mixed, &[]).await);
    good(field.synchronize(&adds(&json!([tree(4, &json!({}))])), &[("syncDirection", "upload")]).await);

    let listed = good(server.get(&path, &[]).await);
    assert_eq!((&listed["replicaName"], &listed["registered"]), (&json!("Ada"), &json!(true)));
    let batches = listed["batches"].as_array().unwrap();
    assert_eq!(batches.len(), 2);
    assert_eq!(
        (&batches[0]["syncDirection"], &batches[1]["syncDirection"]),
        (&json!("upload"), &json!("bidirectional"))
    );
    let first = &batches[1];
    assert_eq!((&first["applied"], &first["appliedAdds"], &first["appliedDeletes"]), (&json!(3), &json!(2), &json!(1)));
    assert_eq!((&first["refused"], &first["refusedByCode"]), (&json!(2), &json!({"1011": 1, "1016": 1})));
    assert_eq!(first["presentedServerGens"], json!([{"id": 0, "serverGen": known}]));
    assert!(first["serverGen"].as_i64().unwrap() > known, "{first}");

    let one = format!("{path}/{}", first["batchId"]);
    let receipts = good(server.get(&one, &[]).await)["receipts"].clone();
    let said: Vec<(i64, &str, bool)> = receipts
        .as_array()
        .unwrap()
        .iter()
        .map(|receipt| {
            (
                receipt["position"].as_i64().unwrap(),
                receipt["operation"].as_str().unwrap(),
                receipt["success"].as_bool().unwrap(),
            )
        })
        .collect();
    let expected = [(1, "add", true), (2, "add", false), (3, "add", true), (4, "update", false), (5, "delete", true)];
    assert_eq!(said, expected);
    assert_eq!(receipts[1]["error"]["code"], 1016);

    let page = good(server.get(&one, &[("resultOffset", "1"), ("resultRecordCount", "2")]).await);
    assert_eq!(page["receipts"], json!([receipts[1], receipts[2]]));
    assert_eq!(page["exceededTransferLimit"], true);
    let refused = good(server.get(&one, &[("outcome", "refused")]).await);
    assert_eq!(refused["receipts"], json!([receipts[1], receipts[3]]));
    assert_eq!(refused["exceededTransferLimit"], false);
    let of_feature = good(server.get(&one, &[("globalId", &id(3)), ("layer", "0")]).await);
    assert_eq!(of_feature["receipts"], json!([receipts[2]]));
    let newest = good(server.get(&path, &[("resultRecordCount", "1")]).await);
    assert_eq!((&newest["batches"], &newest["exceededTransferLimit"]), (&json!([batches[0]]), &json!(true)));
}

#[tokio::test]
async fn the_books_of_a_replica_survive_it_and_its_name_is_free_again() {
    let server = TestServer::with_trees().await;
    let mut field = Field::new(&server, &[("replicaName", "Ada")]).await;
    good(field.synchronize(&adds(&json!([tree(1, &json!({}))])), &[]).await);
    good(server.post("unRegisterReplica", &[("replicaID", &field.replica)]).await);
    let (_, words) = error(&server.get(&format!("replicas/{}", field.replica), &[]).await);
    assert!(words.contains("Replica not found."), "{words}");
    assert_eq!(good(server.get("replicas", &[]).await), json!([]));
    let (code, _) = error(&server.post("unRegisterReplica", &[("replicaID", &field.replica)]).await);
    assert_eq!(code, 400, "it cannot be unregistered twice");

    let listed = good(server.get(&format!("replicas/{}/batches", field.replica), &[]).await);
    assert_eq!((&listed["replicaName"], &listed["registered"]), (&json!("Ada"), &json!(false)));
    assert_eq!(listed["batches"][0]["applied"], 1);
    let again = Field::new(&server, &[("replicaName", "Ada")]).await;
    assert_ne!(again.replica, field.replica);
    assert_eq!(good(server.get("replicas", &[]).await)[0]["replicaName"], "Ada", "the name is not made unique");

    server.database.sql("update syncline.replica set unregistered_at = now() - interval '399 days' where unregistered_at is not null").await;
    assert_eq!(server.app.store.forget_old_books().await.unwrap(), 0);
    server.database.sql("update syncline.replica set unregistered_at = now() - interval '401 days' where unregistered_at is not null").await;
    assert_eq!(server.app.store.forget_old_books().await.unwrap(), 1);
    assert_eq!(error(&server.get(&format!("replicas/{}/batches", field.replica), &[]).await).0, 400);
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.receipt").await, 0);
}

#[tokio::test]
async fn what_the_books_do_not_have_is_said_by_name() {
    let server = TestServer::with_trees().await;
    let field = Field::new(&server, &[]).await;
    let path = format!("replicas/{}/batches", field.replica);
    for (path, parameters, words) in [
        (format!("{path}/7"), vec![], "Upload 7 not found"),
        (format!("{path}/x"), vec![], "Upload x not found"),
        (path.clone(), vec![("resultOffset", "-1")], "'resultOffset' parameter"),
        (path.clone(), vec![("resultRecordCount", "0")], "not within 1 to 1000"),
        (format!("{path}/1"), vec![("outcome", "lost")], "applied, refused"),
        (format!("{path}/1"), vec![("globalId", "x")], "'globalId' parameter"),
        (format!("{path}/1"), vec![("layer", "9")], "no layer or table 9"),
        ("replicas/none/batches".to_owned(), vec![], "Replica not found."),
        ("rejectedEdits/4".to_owned(), vec![], "Refused edit 4 not found"),
        ("rejectedEdits".to_owned(), vec![("state", "lost")], "open, applied, dismissed"),
        ("conflicts/4".to_owned(), vec![], "Conflict 4 not found"),
        ("conflicts".to_owned(), vec![("replicaID", "x")], "'replicaID' parameter"),
    ] {
        let (_, said) = error(&server.get(&path, &parameters).await);
        assert!(said.contains(words), "{path}: {said}");
    }
    for path in [format!("{path}/1/undo"), "rejectedEdits/1/apply".to_owned(), "conflicts/1/restore".to_owned()] {
        assert_eq!(error(&server.get(&path, &[]).await).0, 405, "{path}");
    }
}

#[tokio::test]
async fn an_upload_that_comes_again_and_again_has_the_receipts_of_one() {
    let server = TestServer::with_trees().await;
    let mut field = Field::new(&server, &[]).await;
    let mixed = edits(
        &json!([tree(1, &json!({"species": "elm"})), tree(2, &json!({"girth": "wide"}))]),
        &json!([tree(9, &json!({"girth": 1}))]),
        &json!([]),
    );
    let known = field.generation;
    let first = good(field.synchronize(&mixed, &[("returnIdsForAdds", "true")]).await);
    let path = format!("replicas/{}/batches", field.replica);
    let books = good(server.get(&path, &[]).await);
    let reworded: Json = serde_json::from_str(&mixed.to_string().replace(&id(1), &id(1).to_lowercase())).unwrap();
    for edits in [&mixed, &reworded, &mixed] {
        field.generation = known;
        let again = good(field.synchronize(edits, &[("returnIdsForAdds", "true")]).await);
        for list in ["addResults", "updateResults", "deleteResults"] {
            assert_eq!(again["edits"][0]["features"][list], first["edits"][0]["features"][list]);
        }
    }
    assert_eq!(good(server.get(&path, &[]).await), books);
    let rejected = good(server.get("rejectedEdits", &[]).await);
    assert_eq!(rejected["rejectedEdits"].as_array().unwrap().len(), 2, "repetition does not multiply them: {rejected}");
}
