//! The parameters of createReplica and synchronizeReplica, one by one: how they are spelled, what applies without them, and
//! what of them the replica resource shows.

use serde_json::{Value as Json, json};

use crate::support::{TestServer, server::error};

const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");

async fn create(server: &TestServer, parameters: &[(&str, &str)]) -> Json {
    let mut all = vec![("layers", "0,1"), EMBEDDED];
    all.extend(parameters);
    let answer = server.post("createReplica", &all).await;
    assert!(answer.get("error").is_none(), "{parameters:?}: {answer}");
    answer
}

/// What the replica resource says.
async fn info(server: &TestServer, replica: &Json) -> Json {
    server.get(&format!("replicas/{}", replica["replicaID"].as_str().unwrap()), &[]).await
}

#[tokio::test]
async fn how_attachments_take_part_is_kept_and_shown() {
    let server = TestServer::with_trees().await;
    for (parameters, wanted, direction) in [
        (vec![], false, "none"),
        (vec![("returnAttachments", "")], false, "none"),
        (vec![("returnAttachments", "True")], true, "bidirectional"),
        (vec![("returnAttachments", "true"), ("attachmentsSyncDirection", "upload")], true, "upload"),
        (vec![("returnAttachments", "true"), ("attachmentsSyncDirection", "none")], true, "none"),
        (vec![("returnAttachments", "false"), ("attachmentsSyncDirection", "UPLOAD")], false, "upload"),
        (vec![("attachmentSyncDirection", "none")], false, "none"),
    ] {
        let replica = create(&server, &parameters).await;
        let shown = info(&server, &replica).await;
        let attachments =
            (&shown["returnAttachments"], &shown["returnsAttachments"], &shown["attachmentsSyncDirection"]);
        assert_eq!(attachments, (&json!(wanted), &json!(wanted), &json!(direction)), "{parameters:?}");
    }
}

#[tokio::test]
async fn attachments_cannot_be_synchronized_both_ways_without_having_them() {
    let server = TestServer::with_trees().await;
    for (parameters, said) in [
        (vec![("attachmentsSyncDirection", "bidirectional")], "needs returnAttachments=true"),
        (
            vec![("returnAttachments", "false"), ("attachmentSyncDirection", "bidirectional")],
            "needs returnAttachments=true",
        ),
        (
            vec![("attachmentsSyncDirection", "download")],
            "'download' is not known; it is one of bidirectional, upload, none",
        ),
        (vec![("returnAttachments", "maybe")], "'maybe' is neither true nor false"),
        (vec![("returnAttachmentsDatabyURL", "maybe")], "'maybe' is neither true nor false"),
        (vec![("returnAttachmentDatabyURL", "maybe")], "'maybe' is neither true nor false"),
    ] {
        let mut all = vec![("layers", "0,1"), EMBEDDED];
        all.extend(&parameters);
        let (code, text) = error(&server.post("createReplica", &all).await);
        assert_eq!(code, 400);
        assert!(text.contains(said), "{parameters:?}: {text}");
    }
    assert_eq!(server.get("replicas", &[]).await, json!([]), "nothing remains of what was refused");
}
