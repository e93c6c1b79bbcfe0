//! Publishing tables as they are found in the wild, and ending it again.

use futures_util::future::join;
use serde_json::{Value as Json, json};
use syncline::{
    model::id::LayerId,
    store::{
        Store,
        publish::{Publication, Published},
    },
};

use crate::support::TestServer;

fn publication(table: &str) -> Publication {
    Publication {
        service: "trees".to_owned(),
        table_schema: "public".to_owned(),
        table_name: table.to_owned(),
        layer_name: None,
    }
}

/// Why a table cannot be published.
async fn refusal(server: &TestServer, table: &str) -> String {
    server.app.store.publish(&publication(table), false).await.unwrap_err().to_string()
}

/// Everything about a table that publishing might touch.
async fn description(server: &TestServer, table: &str) -> Json {
    let text: String = server
        .database
        .value(&format!(
            "select json_build_object(
               'columns', (select json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid)) order by attnum)
                 from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum where a.attrelid = '{table}'::regclass and a.attnum > 0),
               'indexes', (select json_agg(pg_get_indexdef(indexrelid) order by 1) from (select indexrelid from pg_index where indrelid = '{table}'::regclass order by pg_get_indexdef(indexrelid)) i),
               'triggers', (select json_agg(json_build_array(tgname, tgenabled) order by tgname) from pg_trigger where tgrelid = '{table}'::regclass),
               'own', (select json_agg(relname order by relname) from pg_class where relnamespace = 'syncline'::regnamespace and relkind = 'r'))::text"
        ))
        .await;
    serde_json::from_str(&text).unwrap()
}

/// A feature is added, changed and deleted, and a replica that was there before hears of it.
async fn works(server: &TestServer, published: &Published) {
    let layer = published.layer_id.to_string();
    let queries = format!("{{\"{layer}\":{{\"queryOption\":\"all\"}}}}");
    let embedded = ("transportType", "esriTransportTypeEmbedded");
    let replica = server.post("createReplica", &[("layers", &layer), ("layerQueries", &queries), embedded]).await;
    let document = server.get(&layer, &[]).await;
    let key = document["objectIdField"].as_str().unwrap_or_else(|| panic!("{document}"));
    let added = server.add(layer.parse().unwrap(), "[{},{}]").await;
    let id = added["addResults"][0]["objectId"].as_i64().unwrap_or_else(|| panic!("{added}"));
    let update = json!([{"attributes": {key: id}}]).to_string();
    let updated = server.post(&format!("{layer}/updateFeatures"), &[("features", &update)]).await;
    assert_eq!(updated["updateResults"][0]["success"], true, "{updated}");
    let deleted = server.post(&format!("{layer}/deleteFeatures"), &[("objectIds", &id.to_string())]).await;
    assert_eq!(deleted["deleteResults"][0]["success"], true, "{deleted}");
    let generation = replica["replicaServerGen"].to_string();
    let parameters =
        [("replicaID", replica["replicaID"].as_str().unwrap()), ("replicaServerGen", &generation), embedded];
    let delta = server.post("synchronizeReplica", &parameters).await;
    assert_eq!(delta["edits"][0]["features"]["adds"].as_array().map(Vec::len), Some(1), "{delta}");
}

#[tokio::test]
async fn tables_without_keys_get_them() {
    let server = TestServer::new().await;
    server
        .database
        .sql(
            "create table bare (name text); insert into bare values ('a'), ('b');
             create table big (id bigint primary key); insert into big values (5000000000);
             create table half (id serial primary key, globalid uuid); insert into half (globalid) values (null), (gen_random_uuid());
             create table taken (objectid text, globalid text);
             create table pair (a integer, b integer, primary key (a, b))",
        )
        .await;
    for (table, notices) in [
        ("bare", vec!["no integer key: column objectid was added", "no global id: column globalid was added"]),
        ("big", vec!["key id had no default: a sequence was added", "no global id"]),
        ("half", vec![]),
        ("taken", vec!["column objectid_1 was added", "column globalid_1 was added"]),
    ] {
        let published = server.publish(table).await;
        for (notice, expected) in published.notices.iter().zip(&notices) {
            assert!(notice.contains(expected), "{table}: {notice}");
        }
        assert_eq!(published.notices.len(), notices.len(), "{table}: {:?}", published.notices);
        works(&server, &published).await;
    }
    let newest: i64 = server.database.value("select max(id) from big").await;
    assert!(newest > 5_000_000_000, "new keys follow those that are there: {newest}");
    assert_eq!(server.database.value::<i64>("select count(globalid) from half").await, 3);
}

#[tokio::test]
async fn names_may_be_anything_that_the_database_allows() {
    let server = TestServer::new().await;
    server
        .database
        .sql(
            r#"create table "My ""Trees"" '24" ("ID" serial primary key, "Globalid" uuid, "Höhe (m)" real, "select" text, "a'b""c" text, "SHAPE" geometry(Point, 4326));
               create table "order" ("user" integer generated always as identity primary key, "table" text)"#,
        )
        .await;
    for table in [r#"My "Trees" '24"#, "order"] {
        let published = server.publish(table).await;
        works(&server, &published).await;
    }
    let row = json!([{"attributes": {"höhe (m)": 2.5, "SELECT": "x", "a'b\"c": "y"}, "geometry": {"x": 1, "y": 2}}]);
    server.add(0, &row.to_string()).await;
    let found = server.get("0/query", &[("where", "\"Höhe (m)\" > 2 AND \"select\" = 'x'"), ("outFields", "*")]).await;
    assert_eq!(found["features"][0]["attributes"]["a'b\"c"], "y", "{found}");
    assert!(server.app.store.watch().await.unwrap().problems.is_empty());
    server.app.store.unpublish("trees", LayerId(0), true).await.unwrap();
    assert_eq!(server.database.value::<i64>(r#"select count(*) from "My ""Trees"" '24""#).await, 2);
}

#[tokio::test]
async fn what_is_no_table_is_refused_with_its_kind() {
    let server = TestServer::with_trees().await;
    server
        .database
        .sql(
            "create view seen as select * from oak; create materialized view kept as select * from oak;
             create table parted (id integer) partition by range (id);
             create extension postgres_fdw; create server far foreign data wrapper postgres_fdw; create foreign table away (id integer) server far;
             create table mine (id serial primary key, syncline_x text)",
        )
        .await;
    for (table, words) in [
        ("seen", "a view"),
        ("kept", "a view"),
        ("parted", "a partitioned table"),
        ("away", "a foreign table"),
        ("nowhere", "there is no table public.nowhere"),
        ("mine", "column syncline_x of public.mine has a reserved name"),
        ("oak", "published already, as layer 0 of service trees"),
    ] {
        let said = refusal(&server, table).await;
        assert!(said.contains(words), "{table}: {said}");
    }
    let hostile = Publication { service: "a/b?c".to_owned(), ..publication("oak") };
    let said = server.app.store.publish(&hostile, false).await.unwrap_err().to_string();
    assert!(said.contains("'a/b?c' cannot be the name of a service"), "{said}");
    assert_eq!(server.get("", &[]).await["layers"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_geometry_column_must_say_what_it_holds_or_have_rows_that_do() {
    let server = TestServer::new().await;
    server
        .database
        .sql(
            "create table lost (id serial primary key, g geometry(Point));
             create table empty (id serial primary key, g geometry);
             create table generic (id serial primary key, g geometry); insert into generic (g) values (null), ('SRID=4326;POINT Z (1 2 3)');
             create table typed (id serial primary key, g geometry(Geometry, 3857)); insert into typed (g) values ('SRID=3857;LINESTRING(0 0, 1 1)'), ('SRID=3857;MULTILINESTRING((0 0, 1 1))');
             create table mixed (id serial primary key, g geometry); insert into mixed (g) values ('SRID=4326;POINT(1 2)'), ('SRID=4326;LINESTRING(0 0, 1 1)');
             create table references_mixed (id serial primary key, g geometry); insert into references_mixed (g) values ('SRID=4326;POINT(1 2)'), ('SRID=3857;POINT(1 2)');
             create table bag (id serial primary key, g geometry(GeometryCollection, 4326));
             create table two (id serial primary key, g geometry(Point, 4326), h geometry(Polygon, 4326))",
        )
        .await;
    for (table, words) in [
        ("lost", "geometry column g has no spatial reference"),
        ("empty", "declares no type, and has no rows"),
        ("mixed", "mixes points, lines or polygons"),
        ("references_mixed", "mixes spatial references or dimensions"),
        ("bag", "GEOMETRYCOLLECTION"),
    ] {
        let said = refusal(&server, table).await;
        assert!(said.contains(words) && said.contains("alter column g type geometry(Point, 4326)"), "{table}: {said}");
    }
    for (table, geometry_type, has_z, wkid) in [
        ("generic", "esriGeometryPoint", true, 4326),
        ("typed", "esriGeometryPolyline", false, 102_100),
        ("two", "esriGeometryPoint", false, 4326),
    ] {
        let published = server.publish(table).await;
        let layer = server.get(&published.layer_id.to_string(), &[]).await;
        assert_eq!((&layer["geometryType"], &layer["hasZ"]), (&json!(geometry_type), &json!(has_z)), "{table}");
        assert_eq!(layer["extent"]["spatialReference"]["wkid"], wkid, "{table}");
        assert_eq!(table == "two", published.notices.iter().any(|notice| notice.contains("column h is not published")));
    }
}

#[tokio::test]
async fn columns_without_counterpart_are_named_and_left_alone() {
    let server = TestServer::new().await;
    server
        .database
        .sql("create table odd (id serial primary key, tags text[], extra jsonb, raw bytea, price numeric(10, 2), twice integer generated always as (id * 2) stored)")
        .await;
    let published = server.publish("odd").await;
    for column in ["tags (text[]", "extra", "raw"] {
        let name = column.split(' ').next().unwrap();
        let notice =
            published.notices.iter().find(|notice| notice.starts_with(&format!("column {name} is not published")));
        assert!(notice.is_some_and(|notice| notice.contains("has no counterpart")), "{:?}", published.notices);
    }
    assert!(published.notices.iter().any(|notice| notice.contains("price (numeric(10,2)) is shown as a double")));
    works(&server, &published).await;
    server.add(0, r#"[{"attributes":{"twice":99,"price":1.25}}]"#).await;
    server.database.sql("update odd set tags = '{a}', extra = '{\"b\": 1}', raw = '\\x00'").await;
    let row = server.features(0).await.pop().unwrap();
    assert_eq!(row["attributes"]["price"], 1.25);
    assert_eq!(
        row["attributes"]["twice"].as_i64(),
        row["attributes"]["id"].as_i64().map(|id| id * 2),
        "computed, not sent"
    );
    assert!(row["attributes"].get("tags").is_none());
}

#[tokio::test]
async fn a_dry_run_changes_nothing_and_its_sql_prepares_a_table_in_the_same_way() {
    let (planned, published) = (TestServer::new().await, TestServer::new().await);
    let made = "create table tree (name text, globalid uuid, shape geometry(Point, 4326)); insert into tree (name) values ('a')";
    planned.database.sql(made).await;
    published.database.sql(made).await;
    let before = description(&planned, "tree").await;
    let plan = planned.app.store.publish(&publication("tree"), true).await.unwrap();
    assert_eq!(description(&planned, "tree").await, before);
    assert_eq!(planned.get("/arcgis/rest/services", &[]).await["services"], json!([]));
    let by_hand: Vec<String> = plan.statements.iter().map(|statement| format!("{};\n", statement.text())).collect();
    planned.database.sql(&format!("begin;\n{}commit;", by_hand.concat())).await;
    published.publish("tree").await;
    assert_eq!(description(&planned, "tree").await, description(&published, "tree").await);
}

#[tokio::test]
async fn unpublishing_leaves_the_table_and_asks_before_it_takes_replicas_along() {
    let server = TestServer::with_trees().await;
    server.add(0, "[{},{}]").await;
    let replica = server.post("createReplica", &[("layers", "0")]).await;
    assert!(replica.get("error").is_none(), "{replica}");
    let said = server.app.store.unpublish("trees", LayerId(0), false).await.unwrap_err().to_string();
    assert!(
        said.contains("layer 0 of trees is published with 1 replica that holds it") && said.contains("--force"),
        "{said}"
    );
    server.app.store.unpublish("trees", LayerId(0), true).await.unwrap();
    assert_eq!(server.get("replicas", &[]).await, json!([]));
    assert_eq!(server.get("", &[]).await["layers"], json!([]));
    assert_eq!(server.database.value::<i64>("select count(*) from oak").await, 2);
    server.database.sql("insert into oak (girth) values (1); truncate oak").await;
    let left = "select count(*) from pg_trigger where tgrelid = 'oak'::regclass and not tgisinternal";
    assert_eq!(server.database.value::<i64>(left).await, 0);
    let left =
        "select count(*) from pg_proc where pronamespace = 'syncline'::regnamespace and proname like 'track_1_%'";
    assert_eq!(server.database.value::<i64>(left).await, 0);
    let again = server.publish("oak").await;
    assert_eq!(again.layer_id, LayerId(2), "ids of layers are never given twice");
    assert_eq!(again.notices, Vec::<String>::new());
    works(&server, &again).await;
    let said = server.app.store.unpublish("trees", LayerId(9), false).await.unwrap_err().to_string();
    assert!(said.contains("no layer or table 9"), "{said}");
}

#[tokio::test]
async fn a_check_finds_triggers_that_are_gone_or_switched_off() {
    let server = TestServer::with_trees().await;
    let check = async || server.app.store.watch().await.unwrap().problems;
    assert_eq!(check().await, Vec::<String>::new());
    server.database.sql("alter table oak disable trigger zz_syncline_delete").await;
    let problems = check().await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    for word in ["public.oak", "layer 0 of trees", "by delete", "zz_syncline_delete is switched off"] {
        assert!(problems[0].contains(word), "{problems:?}");
    }
    server
        .database
        .sql("alter table oak enable trigger zz_syncline_delete; drop trigger zz_syncline_truncate on visit")
        .await;
    let problems = check().await;
    assert_eq!(problems.len(), 2, "a trigger that replication slips past is switched off, too: {problems:?}");
    assert!(problems[1].contains("zz_syncline_truncate is gone"), "{problems:?}");
}

#[tokio::test]
async fn migrating_twice_and_at_the_same_time_is_migrating_once() {
    let server = TestServer::new().await;
    let migrations = "select count(*) from syncline.migration";
    let n_migrations: i64 = server.database.value(migrations).await;
    server.app.store.migrate().await.unwrap();
    server.database.sql("drop schema syncline cascade").await;
    let (one, two) = join(Store::open(&server.database.url, 2), Store::open(&server.database.url, 2)).await;
    for store in [one.unwrap(), two.unwrap()] {
        assert_eq!(store.catalogue().services.len(), 0);
        store.close().await;
    }
    assert_eq!(server.database.value::<i64>(migrations).await, n_migrations);
}
