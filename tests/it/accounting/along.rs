//! What goes with a feature that a device deletes, and that the device had not seen.

use serde_json::{Value as Json, json};
use syncline::model::id::LayerId;

use crate::support::{TestServer, server::text};

const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");
const TREE: &str = "{AAAAAAAA-0000-4000-8000-000000000001}";
const FILE: &str = "{BBBBBBBB-0000-4000-8000-000000000001}";

async fn device(server: &TestServer) -> (String, String) {
    let made = server.post("createReplica", &[("layers", "0"), ("returnAttachments", "true"), EMBEDDED]).await;
    (made["replicaID"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned(), made["replicaServerGen"].to_string())
}

async fn sync(server: &TestServer, (replica, generation): &(String, String), edits: &Json) -> Json {
    let edits = edits.to_string();
    let parameters = [("replicaID", replica.as_str()), ("replicaServerGen", generation), ("edits", &edits), EMBEDDED];
    let answer = server.post("synchronizeReplica", &parameters).await;
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}

#[tokio::test]
async fn g6_an_attachment_that_a_deleted_feature_takes_along_is_a_conflict_if_the_device_had_not_seen_it() {
    let server = TestServer::with_trees().await;
    server.app.store.enable_attachments("trees", LayerId(0)).await.unwrap();
    server.database.sql(&format!("insert into oak (globalid, species) values ('{TREE}', 'elm')")).await;
    let (one, other) = (device(&server).await, device(&server).await);
    let attachment =
        json!({"globalId": FILE, "parentGlobalId": TREE, "name": "a.txt", "contentType": "text/plain", "data": "b25l"});
    sync(&server, &one, &json!([{"id": 0, "attachments": {"adds": [attachment]}}])).await;
    sync(&server, &other, &json!([{"id": 0, "features": {"deleteIds": [TREE]}}])).await;

    let listed = server.get("conflicts", &[("replicaID", &other.0)]).await;
    let conflicts = listed["conflicts"].as_array().unwrap_or_else(|| panic!("{listed}"));
    // The feature itself nobody else had touched.
    assert_eq!(conflicts.len(), 1, "{listed}");
    assert_eq!((&conflicts[0]["globalId"], &conflicts[0]["operation"]), (&json!(FILE), &json!("delete")), "{listed}");

    // The upload put back, the attachment is there again, with its bytes.
    let batches = server.get(&format!("replicas/{}/batches", other.0), &[]).await;
    let undo = format!("replicas/{}/batches/{}/undo", other.0, batches["batches"][0]["batchId"]);
    let undone = server.post(&undo, &[]).await;
    assert!(undone.get("error").is_none(), "{undone}");
    assert_eq!(server.database.value::<i64>("select count(*) from oak").await, 1, "{undone}");
    let conflict = &conflicts[0]["conflictId"];
    let restored = server.post(&format!("conflicts/{conflict}/restore"), &[]).await;
    let infos = server.get("0/1/attachments", &[]).await;
    let id = &infos["attachmentInfos"][0]["id"];
    assert!(id.is_i64(), "{infos}, {restored}, {undone}");
    assert_eq!(text(server.fetch(&format!("0/1/attachments/{id}"), &[]).await).await, "one");

    // Nobody's loss: who deletes what it has seen, or added itself.
    let seen = device(&server).await;
    sync(&server, &seen, &json!([{"id": 0, "features": {"deleteIds": [TREE]}}])).await;
    let listed = server.get("conflicts", &[("replicaID", &seen.0)]).await;
    assert_eq!(listed["conflicts"], json!([]), "{listed}");
}
