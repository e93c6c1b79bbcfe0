//! F53: two servers that keep a replica of each other, of which one was restored from a back-up.

use serde_json::{Value as Json, json};

use crate::{
    exchange::{Lost, create, import, pair, rows, transfer},
    life::epochs::copy,
    support::{
        TestServer,
        server::{error, json},
    },
};

const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");

/// All rows of one side, for the other.
pub async fn snapshot(server: &TestServer, replica: &str, model: &str) -> Json {
    let layers = r#"[{"id":0,"syncDirection":"snapshot"},{"id":1,"syncDirection":"snapshot"}]"#;
    let parameters =
        [("replicaID", replica), ("syncDirection", "snapshot"), ("returnAttachmentsDataByUrl", "false"), EMBEDDED];
    let per_layer = [("syncLayers", layers)];
    let document = match model {
        "perLayer" => server.post("synchronizeReplica", &[&parameters[..], &per_layer].concat()).await,
        _ => server.post("synchronizeReplica", &parameters).await,
    };
    assert!(document.get("error").is_none(), "{document}");
    document
}

pub async fn rebase(server: &TestServer, document: &Json) -> Json {
    json(server.post_body("importReplica?f=json&rebase=true", "application/json", document.to_string()).await).await
}

/// What a download from a side says that asks for what the other has received.
async fn download(from: &TestServer, to: &TestServer, replica: &str) -> Json {
    let info = to.get(&format!("replicas/{replica}"), &[]).await;
    let sibling = info["replicaServerSibGen"].to_string();
    let layers: Json = info["layerServerGens"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|layer| json!({"id": layer["id"], "serverGen": layer["serverSibGen"]}))
        .collect();
    let layers = layers.to_string();
    let parameters = [
        ("replicaID", replica),
        ("syncDirection", "download"),
        ("replicaServerGen", &sibling),
        ("syncLayers", &layers),
        EMBEDDED,
    ];
    from.post("synchronizeReplica", &parameters).await
}

/// A pair, one side of which was restored. Between the back-up and the loss, edits went both ways; afterwards, both sides edited.
/// Returns the restored side, the other, and the replica.
async fn half_restored(model: &str, fresh: bool) -> (TestServer, TestServer, String) {
    let (one, other, replica) = pair("bidirectional", model).await;
    other.database.sql("insert into oak (species) values ('early')").await;
    transfer(&one, &other, &replica, Lost::Nothing).await;
    transfer(&other, &one, &replica, Lost::Nothing).await;
    let backup = copy(&one.database).await;
    // Lost on one side, known to the other.
    one.database.sql("update oak set girth = 1001 where species = 'elm'; insert into oak (species) values ('lost'); delete from visit").await;
    other.database.sql("insert into oak (species) values ('returned')").await;
    transfer(&one, &other, &replica, Lost::Nothing).await;
    transfer(&other, &one, &replica, Lost::Nothing).await;
    // Sent after the other side received last.
    one.database.sql("insert into oak (species) values ('lost late')").await;
    transfer(&one, &other, &replica, Lost::Nothing).await;
    // Not sent yet.
    other
        .database
        .sql("update oak set girth = 2002 where species = 'fir'; insert into oak (species) values ('unsent')")
        .await;
    drop(one);
    let restored = TestServer::on(backup).await;
    restored.app.store.adopt(None).await.unwrap();
    if fresh {
        restored
            .database
            .sql("insert into oak (species) values ('fresh'); update oak set girth = 3003 where species = 'ash'")
            .await;
    }
    (restored, other, replica)
}

async fn species(server: &TestServer) -> String {
    server.database.value("select string_agg(species, ' ' order by species) from oak").await
}

async fn agree_and_fall_quiet(one: &TestServer, other: &TestServer, replica: &str) {
    for _ in 0..2 {
        transfer(one, other, replica, Lost::Nothing).await;
        transfer(other, one, replica, Lost::Nothing).await;
    }
    assert_eq!(rows(one).await, rows(other).await);
    assert_eq!(transfer(one, other, replica, Lost::Nothing).await, 0);
    assert_eq!(transfer(other, one, replica, Lost::Nothing).await, 0);
}

#[tokio::test]
async fn f53_a_restored_side_that_takes_a_snapshot_of_the_other_loses_nothing() {
    for model in ["perReplica", "perLayer"] {
        let (restored, other, replica) = half_restored(model, true).await;
        let refused = download(&restored, &other, &replica).await;
        let (code, text) = error(&refused);
        assert!(code == 400 && text.contains("need to be re-based") && text.contains("rebase=true"), "{refused}");

        let document = snapshot(&other, &replica, model).await;
        let done = rebase(&restored, &document).await;
        let layers = json!([
            {"id": 0, "addCount": 4, "updateCount": 2, "deleteCount": 0, "keptCount": 2},
            {"id": 1, "addCount": 0, "updateCount": 0, "deleteCount": 1, "keptCount": 0}
        ]);
        assert_eq!((&done["rebased"], &done["layers"]), (&json!(true), &layers), "{done}");
        assert_eq!(species(&restored).await, "ash early elm fir fresh lost lost late returned unsent", "{model}");
        agree_and_fall_quiet(&restored, &other, &replica).await;
        assert_eq!(species(&other).await, "ash early elm fir fresh lost lost late returned unsent", "{model}");
        let girths =
            "select string_agg(girth::text, ' ' order by species) from oak where girth is not null and girth > 1000";
        assert_eq!(
            other.database.value::<String>(girths).await,
            "3003 1001 2002",
            "{model}: everybody's edits are there"
        );
    }
}

#[tokio::test]
async fn f53_a_side_that_takes_a_snapshot_of_a_restored_one_keeps_what_it_has_not_sent_and_can_undo_it() {
    for model in ["perReplica", "perLayer"] {
        let (restored, other, replica) = half_restored(model, true).await;
        let before = rows(&other).await;
        let document = snapshot(&restored, &replica, model).await;
        let done = rebase(&other, &document).await;
        assert_eq!(done["success"], true, "{done}");
        // What came to this side by itself is kept, as far as the restored one does not have it.
        assert_eq!(species(&other).await, "ash early elm fir fresh returned unsent", "{model}");
        let again = rebase(&other, &document).await;
        let counts = ["addCount", "updateCount", "deleteCount"].map(|count| again["layers"][0][count].clone());
        assert_eq!(counts, [json!(0), json!(0), json!(0)], "a repetition does nothing: {again}");
        agree_and_fall_quiet(&restored, &other, &replica).await;
        assert_eq!(species(&restored).await, "ash early elm fir fresh returned unsent", "{model}");
        let girth = "select girth from oak where species = 'fir'";
        assert_eq!(restored.database.value::<i32>(girth).await, 2002, "what was not sent yet is sent");

        // Each row that the snapshot took away has its receipt, and all of them can be put back.
        let batches = other.get(&format!("replicas/{replica}/batches"), &[]).await;
        let batch: i64 =
            other.database.value("select min(batch_id) from syncline.batch where presented = 'rebase'").await;
        assert!(batches.to_string().contains(&format!("\"batchId\":{batch}")), "{batches}");
        let undone = other.post(&format!("replicas/{replica}/batches/{batch}/undo"), &[("force", "true")]).await;
        assert!(undone.get("error").is_none(), "{undone}");
        assert!(species(&other).await.contains("lost lost late"), "{undone}");
        assert_ne!(before, json!([]));
    }
}

#[tokio::test]
async fn what_cannot_be_rebased_is_refused_by_name_and_changes_nothing() {
    let (one, other, replica) = pair("bidirectional", "perReplica").await;
    let before = rows(&other).await;
    let document = snapshot(&one, &replica, "perReplica").await;
    let without = |names: &[&str]| {
        let mut document = document.clone();
        names.iter().for_each(|name| drop(document.as_object_mut().unwrap().remove(*name)));
        document
    };
    let mut elsewhere = document.clone();
    elsewhere["layers"][0]["id"] = 7.into();
    for (document, expected) in [
        (without(&["replicaServerSibGen"]), "'replicaServerSibGen' parameter"),
        (without(&["hasAllRows"]), "gives all rows of its layers"),
        (without(&["replicaServerGen"]), "'replicaServerGen' parameter"),
        (without(&["replicaID"]), "'replicaID' parameter"),
        (elsewhere, "layer 7 is not in replica"),
    ] {
        let refused = rebase(&other, &document).await;
        assert!(error(&refused).1.contains(expected), "{expected}: {refused}");
    }
    let filtered = create(&one, &[("layerQueries", r#"{"0":{"where":"girth > 1"}}"#), ("replicaName", "some")]).await;
    let some = snapshot(&one, filtered["replicaID"].as_str().unwrap(), "perReplica").await;
    assert_eq!(some["hasAllRows"], false, "{some}");
    let refused = rebase(&one, &some).await;
    assert!(error(&refused).1.contains("re-base the other side"), "{refused}");
    let client = one.post("createReplica", &[("layers", "0"), EMBEDDED]).await;
    let refused = rebase(&one, &json!({"replicaID": client["replicaID"], "layers": []})).await;
    assert!(error(&refused).1.contains("is a client's"), "{refused}");
    let refused = rebase(&other, &json!({"replicaID": client["replicaID"], "layers": []})).await;
    assert!(error(&refused).1.contains("not registered"), "{refused}");
    assert!(import(&other, &document).await.to_string().contains("registered in this database already"));
    assert_eq!(rows(&other).await, before);
}

#[tokio::test]
async fn f53_a_snapshot_of_a_restored_side_that_nobody_has_edited_since_leads_back_to_its_generation() {
    for model in ["perReplica", "perLayer"] {
        let (restored, other, replica) = half_restored(model, false).await;
        let done = rebase(&other, &snapshot(&restored, &replica, model).await).await;
        assert_eq!(done["success"], true, "{done}");
        agree_and_fall_quiet(&restored, &other, &replica).await;
    }
}
