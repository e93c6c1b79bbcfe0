//! The console for administrators, in a real browser.

use serde_json::json;

use super::run;
use crate::{
    accounting::{Field, edits, id, tree, updates},
    support::TestServer,
};

const AREA: &str = r#"{"xmin":1000000,"ymin":6000000,"xmax":1100000,"ymax":6100000,"spatialReference":{"wkid":3857}}"#;

async fn server() -> TestServer {
    let mut server = TestServer::with_trees().await;
    server.configure(|config| config.admin_token = Some("a-token-of-an-administrator".to_owned()));
    server
}

#[tokio::test]
async fn the_console_shows_and_puts_right() {
    let server = server().await;
    server
        .database
        .sql("insert into oak (girth, shape) select n, ST_Point(1050000 + n, 6050000, 3857) from generate_series(1, 5) n")
        .await;
    let mut north = Field::new(
        &server,
        &[("replicaName", "Crew North"), ("geometry", AREA), ("geometryType", "esriGeometryEnvelope")],
    )
    .await;
    for name in
        ["Crew East", "Spare 1", "Spare 2", "Spare 3", r#"<script>alert(1)</script><img src=x onerror=alert(2)><b>"#]
    {
        Field::new(&server, &[("replicaName", name)]).await;
    }
    let mut south = Field::new(&server, &[("replicaName", "Crew South")]).await;

    north
        .synchronize(
            &edits(&json!([tree(1, &json!({"girth": 77})), tree(2, &json!({"girth": 5}))]), &json!([]), &json!([])),
            &[],
        )
        .await;
    north.synchronize(&json!([]), &[("syncDirection", "sideways")]).await;
    north.synchronize(&updates(&json!([tree(1, &json!({"girth": 78}))])), &[]).await;
    north.synchronize(&updates(&json!([tree(1, &json!({"girth": 77}))])), &[]).await;

    // South overwrites what somebody else has changed meanwhile.
    south.synchronize(&json!([]), &[]).await;
    server.database.sql(&format!("update oak set girth = 500 where globalid = '{}'", id(2))).await;
    south.synchronize(&updates(&json!([tree(2, &json!({"girth": 6}))])), &[]).await;

    let hostile = "<img src=x onerror=alert(3)> is too long";
    let refused = json!([
        tree(11, &json!({"girth": "many", "species": "<b>oak</b>"})),
        tree(12, &json!({"species": hostile})),
        tree(13, &json!({"species": hostile, "girth": 1})),
    ]);
    south.synchronize(&edits(&refused, &json!([]), &json!([])), &[]).await;
    let facts = json!({"north": north.replica, "upload": 4, "feature": id(1)});
    run("console", &server.listen().await.address, &facts.to_string()).await;
}

#[tokio::test]
async fn the_console_is_quick_with_five_thousand_replicas() {
    let server = server().await;
    server
        .database
        .sql(
            "insert into syncline.replica (replica_id, service_id, name, sync_model, direction, srid)
               select gen_random_uuid(), service_id, 'Crew ' || n, 'perReplica', 'bidirectional', 3857 from syncline.service, generate_series(1, 5000) n;
             insert into syncline.txn (service_id, generation) select service_id, nextval('syncline.generation') from syncline.service, generate_series(1, 2000);
             insert into syncline.replica_layer (replica_id, layer_key, position, query_option, use_geometry, include_related, given, presented)
               select r.replica_id, l.layer_key, 0, 'all', false, false, (random() * 2000)::int + 2, 0 from syncline.replica r, syncline.layer l;
             insert into syncline.change_1 (syncline_txn, syncline_statement, syncline_existed, globalid)
               select txn_id, 1, false, gen_random_uuid() from syncline.txn;
             analyze",
        )
        .await;
    run("console-many", &server.listen().await.address, "{}").await;
}
