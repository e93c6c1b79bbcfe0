//! Rows that belong to rows share their history, and attachments are looked after like features.

use serde_json::Value as Json;
use syncline::{
    model::{definition::Declaration, id::LayerId},
    store::prune::Retention,
};

use super::{EMBEDDED, pass_days};
use crate::support::{TestServer, server::error};

/// A server on which visits belong to oaks.
async fn with_visits() -> TestServer {
    let server = TestServer::with_trees().await;
    let declared = Declaration {
        name: None,
        origin: (LayerId(0), "globalid".to_owned()),
        destination: (LayerId(1), "oak_id".to_owned()),
    };
    server.app.store.relate("trees", &declared).await.unwrap();
    server
        .database
        .sql("insert into oak (girth) values (1); insert into visit (oak_id, note) select globalid, 'x' from oak")
        .await;
    server
}

async fn sync_visits(server: &TestServer, replica: &Json, direction: &str) -> Json {
    let generation = replica["layerServerGens"][1]["serverGen"].as_i64().unwrap();
    let layers = format!(r#"[{{"id":1,"serverGen":{generation},"syncDirection":"{direction}"}}]"#);
    let id = replica["replicaID"].as_str().unwrap();
    server.post("synchronizeReplica", &[("replicaID", id), ("syncLayers", &layers), EMBEDDED]).await
}

#[tokio::test]
async fn a_gap_in_the_changes_of_parents_stops_the_children_too_and_their_history_begins_anew() {
    let server = with_visits().await;
    let parameters =
        [("layers", "0,1"), ("syncModel", "perLayer"), ("layerQueries", r#"{"0":{"where":"girth = 1"}}"#), EMBEDDED];
    let replica = server.post("createReplica", &parameters).await;
    assert_eq!(replica["layers"][1]["features"].as_array().map(Vec::len), Some(1), "{replica}");
    // A parent leaves the filter unseen, and with it a child.
    server.database.sql("drop trigger zz_syncline_update on oak; update oak set girth = 2").await;
    server.app.store.watch().await.unwrap();
    let refused = sync_visits(&server, &replica, "download").await;
    let (code, words) = error(&refused);
    assert!(code == 503 && words.contains("--layer 0"), "{refused}");
    server.app.store.repair("trees", LayerId(0), false).await.unwrap();
    let refused = sync_visits(&server, &replica, "download").await;
    assert!(error(&refused).1.contains("no longer kept"), "{refused}");
    let anew = sync_visits(&server, &replica, "snapshot").await;
    assert_eq!(anew["layers"][0]["features"].as_array().map(Vec::len), Some(0), "{anew}");
}

#[tokio::test]
async fn a_relationship_ends_with_its_column() {
    let server = with_visits().await;
    server.database.sql("alter table visit drop column oak_id").await;
    let repaired = server.app.store.repair("trees", LayerId(1), false).await.unwrap();
    assert!(repaired.notices.iter().any(|notice| notice.contains("oak_visit has ended")), "{repaired:?}");
    assert_eq!(server.app.store.catalogue().services[0].relationships.len(), 0);
    assert_eq!(server.features(1).await.len(), 1);
}

#[tokio::test]
async fn attachments_are_watched_repaired_and_forgotten_like_features() {
    let server = with_visits().await;
    server.app.store.enable_attachments("trees", LayerId(0)).await.unwrap();
    assert!(server.app.store.watch().await.unwrap().problems.is_empty());
    let key: i32 = server.database.value("select layer_key from syncline.layer where attached_to = 1").await;
    let attach = "insert into syncline.attachment_1 (parent_globalid, name, content_type, size_bytes, sha256)
      select globalid, 'a.txt', 'text/plain', 1, '\\x00' from oak";
    server.database.sql(attach).await;
    pass_days(&server, 100).await;
    let keep = Retention { history_days: 90, receipts_days: 365, refused_days: 90 };
    let pruned = server.app.store.prune(keep, false).await.unwrap().unwrap().remove(0);
    assert_eq!(pruned.n_changes, 3);
    let left: i64 = server.database.value(&format!("select count(*) from syncline.change_{key}")).await;
    assert_eq!(left, 0);
    server.database.sql("drop trigger zz_syncline_insert on syncline.attachment_1").await;
    let problems = server.app.store.watch().await.unwrap().problems;
    assert!(problems.len() == 1 && problems[0].contains("attachment_1 (layer 0 of trees)"), "{problems:?}");
    let refused = server.post("createReplica", &[("layers", "0"), EMBEDDED]).await;
    assert_eq!(error(&refused).0, 503, "{refused}");
    assert!(server.app.store.repair("trees", LayerId(0), false).await.unwrap().history_from.is_some());
    assert!(server.app.store.watch().await.unwrap().problems.is_empty());
    // A table that is another one for a moment takes no attachments along.
    server.database.sql("alter table oak rename to elm; create table oak (like elm including all)").await;
    server.app.sweep_files().await.unwrap();
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.attachment_1").await, 1);
}
