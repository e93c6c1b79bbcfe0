//! G4: an upload that is rolled back leaves no trace in any table, except among the refused edits, which are kept (G6).

use serde_json::{Value as Json, json};
use syncline::model::id::LayerId;

use crate::support::{TestServer, server::error};

fn id(n: u32) -> String {
    format!("{{AAAAAAAA-0000-4000-8000-{n:012}}}")
}

/// Everything that an upload may touch, as text; but for what says that it was refused: its edits, and the replica's timeline.
async fn everything(server: &TestServer) -> Vec<String> {
    let mut connection = server.database.connect().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', schemaname, tablename) from pg_tables
         where schemaname in ('public', 'syncline') and tablename not in ('spatial_ref_sys', 'migration', 'rejected_edit', 'synchronization')
         order by 1",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(tables.contains(&"syncline.receipt".to_owned()), "{tables:?}");
    let mut contents = Vec::new();
    for table in tables {
        let query = format!(
            "select '{table}: ' || coalesce(jsonb_agg(to_jsonb(t) - 'n_syncs' order by t::text)::text, '') from {table} t"
        );
        contents.push(server.database.value::<String>(&query).await);
    }
    contents
}

#[tokio::test]
async fn an_upload_that_is_rolled_back_leaves_no_trace() {
    let server = TestServer::with_trees().await;
    server.app.store.enable_attachments("trees", LayerId(0)).await.unwrap();
    for n in [1, 2] {
        server.database.sql(&format!("insert into oak (globalid, species) values ('{}', 'elm')", id(n))).await;
    }
    let parameters = [
        ("layers", "0,1"),
        ("layerQueries", r#"{"1":{"queryOption":"all"}}"#),
        ("returnAttachments", "true"),
        ("transportType", "esriTransportTypeEmbedded"),
    ];
    let replica = server.post("createReplica", &parameters).await;
    let synchronize = async |rollback: &str, edits: &Json| {
        let (generation, edits) = (replica["replicaServerGen"].to_string(), edits.to_string());
        let parameters = [
            ("replicaID", replica["replicaID"].as_str().unwrap_or_else(|| panic!("{replica}"))),
            ("replicaServerGen", &generation),
            ("rollbackOnFailure", rollback),
            ("edits", &edits),
            ("transportType", "esriTransportTypeEmbedded"),
        ];
        server.post("synchronizeReplica", &parameters).await
    };
    let good = json!([
        {"id": 0, "features": {
            "adds": [{"attributes": {"globalid": id(3), "species": "fir"}}],
            "updates": [{"attributes": {"globalid": id(1), "species": "ash"}}],
            "deleteIds": [id(2)],
         }, "attachments": {"adds": [
            {"globalId": id(8), "parentGlobalId": id(1), "name": "a.jpg", "contentType": "image/jpeg", "data": "aGk="},
         ]}},
        {"id": 1, "features": {"adds": [{"attributes": {"globalid": id(4), "note": "new"}}]}},
    ]);
    let mut bad = good.clone();
    // In the last place, so that everything else has been applied before it.
    bad[1]["features"]["adds"].as_array_mut().unwrap().push(json!({"attributes": {"globalid": id(5), "note": null}}));
    let before = everything(&server).await;
    let answer = synchronize("true", &bad).await;
    assert!(error(&answer).1.contains("note"), "{answer}");
    assert_eq!(everything(&server).await, before);
    let outcomes = "select string_agg(outcome || ', ' || n_refused, '; ') from syncline.synchronization";
    assert_eq!(server.database.value::<String>(outcomes).await, "refused, 6");
    assert!(server.database.value::<i64>("select count(*) from syncline.rejected_edit").await > 0);
    let answer = synchronize("true", &good).await;
    assert!(answer.get("error").is_none(), "{answer}");
    assert_ne!(everything(&server).await, before, "the same without the bad one leaves a trace");
}
