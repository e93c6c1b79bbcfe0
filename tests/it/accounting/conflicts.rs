//! What uploads overwrite that their clients had not seen.

use serde_json::{Value as Json, json};

use super::{Field, adds, deletes, good, id, stored, tree, updates};
use crate::support::{TestServer, server::error};

async fn conflicts(server: &TestServer, parameters: &[(&str, &str)]) -> Vec<Json> {
    good(server.get("conflicts", parameters).await)["conflicts"].as_array().unwrap().clone()
}

async fn with_rows() -> TestServer {
    let server = TestServer::with_trees().await;
    for n in 1..4 {
        let row = format!("('{}', 'elm', {n}, ST_Point({n}, {n}, 3857))", id(n));
        server.database.sql(&format!("insert into oak (globalid, species, girth, shape) values {row}")).await;
    }
    server
}

#[tokio::test]
async fn f19_an_overwritten_version_that_the_client_had_not_seen_is_kept_and_can_be_put_back() {
    let server = with_rows().await;
    let (mut ada, mut ben) =
        (Field::new(&server, &[("replicaName", "Ada")]).await, Field::new(&server, &[("replicaName", "Ben")]).await);
    let known = ben.generation;
    good(ada.synchronize(&updates(&json!([tree(1, &json!({"girth": 50, "height": 5}))])), &[]).await);
    good(ben.synchronize(&updates(&json!([tree(1, &json!({"girth": 60, "species": "fir"}))])), &[]).await);
    assert_eq!(stored(&server, 1, "girth").await, "60", "last in wins");
    let found = conflicts(&server, &[]).await;
    assert_eq!(found.len(), 1, "{found:?}");
    let one = &found[0];
    assert_eq!((&one["replicaName"], &one["otherReplicaName"]), (&json!("Ben"), &json!("Ada")));
    assert_eq!(
        (&one["globalId"], &one["operation"], &one["fields"]),
        (&json!(id(1)), &json!("update"), &json!(["girth"]))
    );
    assert_eq!((&one["knownServerGen"], &one["layer"]), (&json!(known), &json!(0)));
    let girth = |image: &str| one[image]["attributes"]["girth"].clone();
    assert_eq!((girth("base"), girth("server"), girth("client")), (json!(1), json!(50), json!(60)));
    assert_eq!(one["base"]["geometry"], json!({"x": 1.0, "y": 1.0}));
    assert_eq!(one["client"]["attributes"].as_object().unwrap().len(), 3, "what was sent, and the global id: {one}");

    let restore = format!("conflicts/{}/restore", one["conflictId"]);
    server.database.sql("update oak set height = 7").await;
    let changed = good(server.post(&restore, &[]).await);
    assert_eq!(changed["success"], false, "{changed}");
    assert!(changed["changedSince"]["serverGen"].as_i64().unwrap() > one["serverGen"].as_i64().unwrap());
    assert_eq!(stored(&server, 1, "girth").await, "60");
    let restored = good(server.post(&restore, &[("force", "true")]).await);
    assert_eq!(restored["success"], true);
    for (attribute, value) in [("girth", "50"), ("species", "elm"), ("height", "5")] {
        assert_eq!(stored(&server, 1, attribute).await, value, "{attribute}");
    }
    assert!(conflicts(&server, &[]).await[0]["restoredDate"].is_i64());
    for device in [&mut ada, &mut ben] {
        let answer = good(device.synchronize(&json!([]), &[]).await);
        let sent = &answer["edits"][0]["features"]["updates"];
        let girths: Vec<(&Json, &Json)> = sent
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (&one["attributes"]["globalid"], &one["attributes"]["girth"]))
            .collect();
        assert!(girths.contains(&(&json!(id(1)), &json!(50))), "the restored version reaches everybody: {answer}");
    }
}

#[tokio::test]
async fn f20_only_values_that_were_lost_make_a_conflict() {
    let server = with_rows().await;
    let mut ben = Field::new(&server, &[]).await;
    server.database.sql("update oak set girth = 50").await;
    good(ben.synchronize(&updates(&json!([tree(1, &json!({"species": "fir"}))])), &[]).await);
    assert_eq!(conflicts(&server, &[]).await, Vec::<Json>::new(), "each touched a field of its own");

    let mut ben = Field::new(&server, &[]).await;
    server.database.sql("update oak set girth = 51").await;
    good(
        ben.synchronize(
            &updates(&json!([tree(1, &json!({"girth": 51})), tree(2, &json!({"girth": 51, "species": "ash"}))])),
            &[],
        )
        .await,
    );
    assert_eq!(conflicts(&server, &[]).await, Vec::<Json>::new(), "both wanted the same");

    let mut ben = Field::new(&server, &[]).await;
    good(ben.synchronize(&updates(&json!([tree(1, &json!({"girth": 7}))])), &[("syncDirection", "upload")]).await);
    good(ben.synchronize(&updates(&json!([tree(1, &json!({"girth": 8}))])), &[("syncDirection", "upload")]).await);
    assert_eq!(conflicts(&server, &[]).await, Vec::<Json>::new(), "nobody conflicts with oneself");

    server.database.sql("update oak set shape = ST_Point(9, 9, 3857), height = 1").await;
    let mut moved = tree(2, &json!({}));
    moved["geometry"] = json!({"x": 5.0, "y": 5.0});
    good(ben.synchronize(&updates(&json!([moved, tree(1, &json!({"girth": 9}))])), &[]).await);
    let found = conflicts(&server, &[]).await;
    assert_eq!(found.iter().map(|one| &one["fields"]).collect::<Vec<_>>(), [&json!(["geometry"])], "{found:?}");

    server.database.sql("update oak set girth = 70").await;
    good(
        ben.synchronize(&updates(&json!([tree(1, &json!({"species": "yew"}))])), &[("syncDirection", "upload")]).await,
    );
    good(ben.synchronize(&updates(&json!([tree(1, &json!({"girth": 71}))])), &[("syncDirection", "upload")]).await);
    let found = conflicts(&server, &[("globalId", &id(1))]).await;
    assert_eq!(
        found.iter().map(|one| &one["fields"]).collect::<Vec<_>>(),
        [&json!(["girth"])],
        "unseen still, after an own edit between"
    );
}

#[tokio::test]
async fn f10_deletes_and_adds_conflict_with_what_others_did_to_the_feature() {
    let server = with_rows().await;
    let mut ben = Field::new(&server, &[]).await;
    server
        .database
        .sql(&format!(
            "update oak set girth = 50 where globalid = '{}'; delete from oak where globalid in ('{}', '{}')",
            id(1),
            id(2),
            id(3)
        ))
        .await;
    let mut all = deletes(&json!([id(1), id(3)]));
    all[0]["features"]["adds"] = json!([tree(2, &json!({"species": "fir"}))]);
    good(ben.synchronize(&all, &[]).await);
    let found = conflicts(&server, &[]).await;
    let said: Vec<(&Json, &Json)> = found.iter().map(|one| (&one["globalId"], &one["operation"])).collect();
    assert_eq!(
        said,
        [(&json!(id(1)), &json!("delete")), (&json!(id(2)), &json!("add"))],
        "a delete of what is gone loses nothing"
    );
    assert_eq!(
        (&found[0]["server"]["attributes"]["girth"], &found[0]["client"], &found[0]["fields"]),
        (&json!(50), &Json::Null, &json!(["girth"]))
    );
    assert_eq!((&found[1]["server"], &found[1]["base"]["attributes"]["species"]), (&Json::Null, &json!("elm")));

    for one in &found {
        let restored = good(server.post(&format!("conflicts/{}/restore", one["conflictId"]), &[]).await);
        assert_eq!(restored["success"], true, "{restored}");
    }
    assert_eq!(stored(&server, 1, "girth").await, "50", "deleted by the client, there again");
    assert_eq!(stored(&server, 2, "species").await, "none", "deleted by somebody else, gone again");
    let of_ben = conflicts(&server, &[("replicaID", &ben.replica), ("layer", "0"), ("resultRecordCount", "1")]).await;
    assert_eq!(of_ben.len(), 1);
    assert_eq!(conflicts(&server, &[("since", "4102444800000")]).await, Vec::<Json>::new());
    let batch = found[0]["batchId"].to_string();
    assert_eq!(conflicts(&server, &[("batchId", &batch)]).await.len(), 2);
    let upload = good(server.get(&format!("replicas/{}/batches/{batch}", ben.replica), &[]).await);
    assert_eq!(upload["conflicts"], 2);
}

#[tokio::test]
async fn a_repeated_or_undone_upload_adds_no_conflicts() {
    let server = with_rows().await;
    let mut ben = Field::new(&server, &[]).await;
    server.database.sql("update oak set girth = 50").await;
    let known = ben.generation;
    let change = updates(&json!([tree(1, &json!({"girth": 60}))]));
    for _ in 0..3 {
        ben.generation = known;
        good(ben.synchronize(&change, &[]).await);
    }
    assert_eq!(conflicts(&server, &[]).await.len(), 1);
    ben.generation = known;
    let bad = updates(&json!([tree(2, &json!({"girth": 60})), tree(3, &json!({"girth": "wide"}))]));
    ben.synchronize(&bad, &[("rollbackOnFailure", "true")]).await;
    assert_eq!(conflicts(&server, &[]).await.len(), 1);
}

#[tokio::test]
async fn when_the_history_is_forgotten_a_conflict_still_has_its_versions_and_an_upload_stays_done() {
    let server = with_rows().await;
    let mut ben = Field::new(&server, &[]).await;
    server.database.sql("update oak set girth = 50").await;
    good(ben.synchronize(&updates(&json!([tree(1, &json!({"girth": 60}))])), &[]).await);
    server.database.sql("update syncline.service set history_from = (select max(generation) from syncline.txn)").await;
    let found = conflicts(&server, &[]).await;
    let restore = format!("conflicts/{}/restore", found[0]["conflictId"]);
    let (_, words) = error(&server.post(&restore, &[]).await);
    assert!(words.contains("no longer kept"), "{words}");
    let undo = format!("replicas/{}/batches/{}/undo", ben.replica, found[0]["batchId"]);
    let (_, words) = error(&server.post(&undo, &[("force", "true")]).await);
    assert!(words.contains("cannot be taken back"), "{words}");
    assert_eq!(stored(&server, 1, "girth").await, "60");
    good(server.post(&restore, &[("force", "true")]).await);
    assert_eq!(stored(&server, 1, "girth").await, "50");
    assert_eq!(stored(&server, 1, "ST_AsText(shape)").await, "POINT(1 1)");
}

#[tokio::test]
async fn many_conflicts_are_all_found() {
    let server = TestServer::with_trees().await;
    let trees: Vec<Json> = (0..1_200).map(|n| tree(n, &json!({"girth": 1}))).collect();
    let mut ada = Field::new(&server, &[]).await;
    good(ada.synchronize(&adds(&json!(trees)), &[]).await);
    let mut ben = Field::new(&server, &[]).await;
    server.database.sql("update oak set girth = 2 where objectid % 2 = 0").await;
    let trees: Vec<Json> = (0..1_200).map(|n| tree(n, &json!({"girth": 3}))).collect();
    good(ben.synchronize(&updates(&json!(trees)), &[("syncDirection", "upload")]).await);
    assert_eq!(server.database.value::<i64>("select count(distinct global_id) from syncline.conflict").await, 600);
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.conflict").await, 600);
}
