//! The console by people who sign in with name and password: accounts, the audit log, publishing.

use serde_json::json;

use super::run;
use crate::auth::signing_in::{PASSWORD, with_users};

const HOSTILE: &str = r#"</title></script><script>alert(1)</script>"><img src=x onerror=alert(2)>'<b>"#;

#[tokio::test]
async fn accounts_and_the_audit_log_are_looked_after() {
    let server = with_users().await;
    server
        .database
        .sql(
            "select syncline.record('note.made', 'trees', '<img src=x onerror=alert(1)> ' || n, jsonb_build_object('<b>name</b>', repeat('long ', 100)))
               from generate_series(1, 130) n",
        )
        .await;
    server.app.store.seal_audit().await.unwrap();
    let facts = json!({"password": PASSWORD, "hostile": HOSTILE}).to_string();
    run("accounts", &server.listen().await.address, &facts).await;
}

#[tokio::test]
async fn tables_are_published_and_used() {
    let server = with_users().await;
    let table = "<img src=x onerror=alert(1)><b>";
    server
        .database
        .sql(&format!(
            r#"create table parcel (number text, area double precision, shape geometry(Polygon, 25832));
               insert into parcel select n, n, st_makeenvelope(500000 + n * 10, 5500000, 500009 + n * 10, 5500010, 25832) from generate_series(1, 20) n;
               create view parcel_view as select * from parcel;
               create table parcel_year (year integer) ;
               create table parcel_2026 () inherits (parcel_year);
               create table vague (id integer primary key, shape geometry);
               create table "{table}" (id integer primary key, "<script>alert(2)</script>" text, shape geometry(Point, 4326));
               comment on column "{table}"."<script>alert(2)</script>" is '"><img src=x onerror=alert(3)>'"#
        ))
        .await;
    server
        .database
        .sql(
            "insert into oak (girth) values (1), (2);
             insert into syncline.replica (replica_id, service_id, name, sync_model, direction, srid)
               select gen_random_uuid(), service_id, '<b>Crew</b> ' || n, 'perReplica', 'bidirectional', 3857 from syncline.service, generate_series(1, 2) n;
             insert into syncline.replica_layer (replica_id, layer_key, position, query_option, use_geometry, include_related, given, presented)
               select r.replica_id, l.layer_key, 0, 'all', false, false, 0, 0 from syncline.replica r, syncline.layer l",
        )
        .await;
    let facts = json!({"password": PASSWORD, "hostile": HOSTILE, "table": table}).to_string();
    run("publishing", &server.listen().await.address, &facts).await;
}
