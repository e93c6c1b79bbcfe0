//! What is not allowed is refused by name, whichever way it comes.

use serde_json::{Value as Json, json};

use super::{EMBEDDED, apply, attempt, change, create, id, synchronize, with_admin};
use crate::support::{TestServer, server::error};

async fn allow(server: &TestServer, capabilities: &str) {
    change(server, "0/updateDefinition", json!({"capabilities": capabilities})).await;
}

/// Why each edit of layer 0 in the answer to a synchronization was refused.
fn refusals(answer: &Json) -> Vec<String> {
    let features = &answer["edits"][0]["features"];
    ["addResults", "updateResults", "deleteResults"]
        .iter()
        .flat_map(|list| features[*list].as_array().into_iter().flatten())
        .filter_map(|result| result["error"]["description"].as_str().map(str::to_owned))
        .collect()
}

#[tokio::test]
async fn a_layer_that_may_only_be_added_to_is_only_added_to() {
    let server = with_admin().await;
    apply(&server, "adds", &json!([{"attributes": {"species": "oak"}}])).await;
    let oak = server.features(0).await[0]["attributes"].clone();
    let replica = create(&server).await;
    allow(&server, "Create,Query,Sync").await;
    assert_eq!(server.get("0", &[]).await["capabilities"], "Create,Query,Editing,Sync");

    let updates = json!([{"attributes": {"objectid": oak["objectid"], "species": "elm"}}]);
    let refused = apply(&server, "updates", &updates).await;
    assert!(
        refused[0].contains("must not be changed: its capabilities are 'Create,Query,Editing,Sync'"),
        "{}",
        refused[0]
    );
    assert!(apply(&server, "deletes", &oak["objectid"]).await[0].contains("must not be deleted"));
    assert_eq!(apply(&server, "adds", &json!([{"attributes": {"species": "ash"}}])).await, [""]);

    let features = json!({
        "adds": [{"attributes": {"globalid": id(1), "species": "yew"}}, {"attributes": {"globalid": oak["globalid"], "species": "elm"}}],
        "updates": [{"attributes": {"globalid": oak["globalid"], "girth": 3}}],
        "deleteIds": [oak["globalid"]],
    });
    let answer = synchronize(&server, &replica, &features).await;
    let refused = refusals(&answer);
    assert_eq!(refused.len(), 3, "{answer}");
    assert!(refused[0].contains("exists already"), "an add of what exists is a change: {}", refused[0]);
    assert_eq!(server.database.value::<i64>("select count(*) from oak").await, 3);
    assert_eq!(
        server.database.value::<i64>("select count(*) from oak where species = 'oak' and girth is null").await,
        1
    );
}

#[tokio::test]
async fn a_layer_that_is_not_edited_refuses_every_edit_and_still_synchronizes() {
    let server = with_admin().await;
    let replica = create(&server).await;
    change(&server, "updateDefinition", json!({"capabilities": "Query,Sync"})).await;
    assert_eq!(server.get("", &[]).await["capabilities"], "Query,Sync");
    assert_eq!(server.get("0", &[]).await["capabilities"], "Query,Sync", "a layer has no more than its service");
    for operation in ["applyEdits", "addFeatures", "updateFeatures", "deleteFeatures"] {
        let answer =
            server.post(&format!("0/{operation}"), &[("adds", "[]"), ("features", "[]"), ("objectIds", "1")]).await;
        let (code, text) = error(&answer);
        assert_eq!(code, 400);
        assert!(text.contains("layer 0 (oak) does not have the capability Editing; it has 'Query,Sync'"), "{text}");
    }
    assert!(error(&server.post("applyEdits", &[("edits", "[]")]).await).1.contains("capability Editing"));
    let features = json!({"adds": [{"attributes": {"globalid": id(1), "species": "yew"}}]});
    let answer = synchronize(&server, &replica, &features).await;
    assert!(refusals(&answer)[0].contains("must not be added"), "{answer}");
    assert_eq!(server.database.value::<i64>("select count(*) from oak").await, 0);
    assert!(error(&server.post("uploads/register", &[("itemName", "a.json")]).await).1.contains("capability Uploads"));
}

#[tokio::test]
async fn reading_replicas_exports_and_changes_are_allowed_each_by_itself() {
    let server = with_admin().await;
    let replica = create(&server).await;
    allow(&server, "Create,Update,Delete").await;
    let (code, text) = error(&server.get("0/query", &[("where", "1=1")]).await);
    assert_eq!(code, 400);
    assert!(text.contains("layer 0 (oak) does not have the capability Query"), "{text}");
    assert_eq!(server.get("1/query", &[("where", "1=1")]).await["features"], json!([]));
    let of_service = server.get("query", &[("layerDefs", r#"{"0":"1=1","1":"1=1"}"#)]).await;
    assert!(error(&of_service).1.contains("layer 0 (oak) does not have the capability Query"));
    assert!(error(&server.get("0/queryRelatedRecords", &[("objectIds", "1")]).await).1.contains("capability Query"));
    let again = server.post("createReplica", &[("layers", "0"), EMBEDDED]).await;
    assert!(error(&again).1.contains("capability Sync"));
    let export = server.post("createReplica", &[("layers", "0"), EMBEDDED, ("syncModel", "none")]).await;
    assert!(error(&export).1.contains("capability Extract"));
    let changes = server.get("extractChanges", &[("layers", "0"), ("serverGens", "[1]")]).await;
    assert!(error(&changes).1.contains("capability ChangeTracking"));
    assert!(error(&synchronize(&server, &replica, &json!({})).await).1.contains("capability Sync"));
    allow(&server, "Query,Sync").await;
    assert!(
        synchronize(&server, &replica, &json!({})).await.get("error").is_none(),
        "and it goes on when allowed again"
    );
}

#[tokio::test]
async fn where_geometries_must_not_change_an_update_may_send_the_one_that_is_there() {
    let server = with_admin().await;
    apply(&server, "adds", &json!([{"attributes": {"species": "oak"}, "geometry": {"x": 1, "y": 2}}])).await;
    let oak = server.features(0).await[0]["attributes"].clone();
    let replica = create(&server).await;
    change(&server, "0/updateDefinition", json!({"allowGeometryUpdates": false})).await;
    assert_eq!(server.get("0", &[]).await["allowGeometryUpdates"], false);
    let update = |girth: i32, x: i32| json!([{"attributes": {"objectid": oak["objectid"], "globalid": oak["globalid"], "girth": girth}, "geometry": {"x": x, "y": 2}}]);
    assert!(apply(&server, "updates", &update(1, 9)).await[0].contains("allowGeometryUpdates is false"));
    assert_eq!(apply(&server, "updates", &update(2, 1)).await, [""]);
    let answer = synchronize(&server, &replica, &json!({"updates": update(3, 9)})).await;
    assert!(refusals(&answer)[0].contains("must not be changed"), "{answer}");
    let answer = synchronize(&server, &replica, &json!({"updates": update(4, 1)})).await;
    assert_eq!(refusals(&answer), Vec::<String>::new(), "{answer}");
    assert_eq!(server.database.value::<i64>("select count(*) from oak where girth = 4 and ST_X(shape) = 1").await, 1);
    let add = json!([{"attributes": {"species": "new"}, "geometry": {"x": 5, "y": 5}}]);
    assert_eq!(apply(&server, "adds", &add).await, [""], "a new feature may be anywhere");
}

#[tokio::test]
async fn attachments_go_with_the_right_to_change_features() {
    let server = with_admin().await;
    server.app.store.enable_attachments("trees", syncline::model::id::LayerId(0)).await.unwrap();
    apply(&server, "adds", &json!([{"attributes": {"species": "oak"}}])).await;
    let oak = server.features(0).await[0]["attributes"].clone();
    let created = server
        .post(
            "createReplica",
            &[("layers", "0"), EMBEDDED, ("returnAttachments", "true"), ("attachmentsSyncDirection", "bidirectional")],
        )
        .await;
    allow(&server, "Query,Sync").await;
    let attachment = json!({"globalId": id(9), "parentGlobalId": oak["globalid"], "name": "a.txt", "contentType": "text/plain", "data": "aGVsbG8="});
    let edits = json!([{"id": 0, "attachments": {"adds": [attachment]}}]).to_string();
    let generation = created["replicaServerGen"].to_string();
    let request = [
        ("replicaID", created["replicaID"].as_str().unwrap()),
        ("replicaServerGen", &generation),
        ("edits", &edits),
        ("rollbackOnFailure", "false"),
        EMBEDDED,
    ];
    let answer = server.post("synchronizeReplica", &request).await;
    assert!(answer.to_string().contains("must not be added"), "{answer}");
    allow(&server, "Query,Sync,Update").await;
    let answer = server.post("synchronizeReplica", &request).await;
    assert!(answer.get("error").is_none() && !answer.to_string().contains("must not be"), "{answer}");
    let listed = server.get(&format!("0/{}/attachments", oak["objectid"]), &[]).await;
    assert_eq!(listed["attachmentInfos"][0]["name"], "a.txt", "{listed}");
}

#[tokio::test]
async fn a_page_is_as_long_as_the_definition_says() {
    let server = with_admin().await;
    server.database.sql("insert into oak (girth) select n from generate_series(1, 5) n").await;
    change(&server, "0/updateDefinition", json!({"maxRecordCount": 2})).await;
    assert_eq!(server.get("0", &[]).await["maxRecordCount"], 2);
    let answer = server.get("0/query", &[("where", "1=1")]).await;
    assert_eq!(answer["features"].as_array().unwrap().len(), 2);
    assert_eq!(answer["exceededTransferLimit"], true);
    let wrong = attempt(&server, "updateDefinition", &json!({"capabilities": "Query,Nothing"})).await;
    assert!(error(&wrong).1.contains("'Nothing' is no capability"));
}
