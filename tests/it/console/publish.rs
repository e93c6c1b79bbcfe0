//! The tables of the database, and publishing them by request.

use serde_json::{Value as Json, json};

use super::{each, get, post, server};
use crate::{
    accounting::{Field, edits, tree},
    support::{TestServer, server::error},
};

async fn with_tables() -> TestServer {
    let server = server().await;
    server
        .database
        .sql(
            "create schema gis;
             create table gis.valve (name text, shape geometry(Point, 3857));
             insert into gis.valve values ('a', st_setsrid(st_makepoint(1, 2), 3857));
             create table gis.\"Odd \"\"name\" (id integer generated always as identity primary key, globalid uuid not null default gen_random_uuid() unique);
             create view gis.valves as select * from gis.valve;
             create table gis.year (y integer) partition by list (y);
             create table gis.year_1 partition of gis.year for values in (1);
             create table gis.twice (id integer unique not null, globalid uuid);
             analyze gis.valve",
        )
        .await;
    server
}

fn named<'a>(list: &'a Json, table: &str) -> &'a Json {
    let all = list["tables"].as_array().unwrap_or_else(|| panic!("{list}"));
    all.iter().find(|one| one["table"] == table).unwrap_or_else(|| panic!("no {table} in {list}"))
}

#[tokio::test]
async fn tables_are_listed_with_what_each_lacks() {
    let server = with_tables().await;
    let all = get(&server, "tables", &[]).await;
    let valve = named(&all, "valve");
    assert_eq!(
        *valve,
        json!({"schema": "gis", "table": "valve", "kind": "table", "rows": 1, "geometry": "geometry(Point,3857)", "publishable": true,
               "adds": ["an integer key", "global ids", "a spatial index"], "problem": null, "service": null, "layerId": null})
    );
    assert_eq!(named(&all, "Odd \"name")["adds"], json!([]));
    assert_eq!(named(&all, "twice")["adds"], json!([]), "what it lacks is told by the preview");
    for (table, kind, why) in [
        ("valves", "view", "Only ordinary tables"),
        ("year", "partitioned table", "Only ordinary tables"),
        ("year_1", "table", "inherits"),
    ] {
        let one = named(&all, table);
        assert_eq!((&one["publishable"], &one["kind"]), (&json!(false), &json!(kind)), "{one}");
        assert!(one["problem"].as_str().unwrap().contains(why), "{one}");
    }
    let oak = named(&all, "oak");
    assert_eq!((&oak["service"], &oak["layerId"], &oak["publishable"]), (&json!("trees"), &json!(0), &json!(false)));
    let schemas: Vec<&str> =
        all["tables"].as_array().unwrap().iter().map(|one| one["schema"].as_str().unwrap()).collect();
    assert!(schemas.iter().all(|schema| ["gis", "public"].contains(schema)), "{schemas:?}");
    assert!(!all.to_string().contains("spatial_ref_sys"));

    let open = get(&server, "tables", &[("published", "false"), ("text", "GIS.V")]).await;
    assert_eq!(open["tables"].as_array().unwrap().len(), 2, "{open}");
    let page =
        get(&server, "tables", &[("published", "false"), ("resultOffset", "1"), ("resultRecordCount", "2")]).await;
    assert_eq!((page["tables"].as_array().unwrap().len(), &page["exceededTransferLimit"]), (2, &json!(true)));
    assert_eq!(error(&get(&server, "tables", &[("published", "perhaps")]).await).0, 400);
}

#[tokio::test]
async fn a_table_is_published_as_the_preview_said() {
    let server = with_tables().await;
    let wanted = [
        ("schema", "gis"),
        ("table", "valve"),
        ("service", "water"),
        ("layerName", "Valves"),
        ("attachments", "true"),
        ("anonymous", "view"),
    ];
    let told = post(&server, "tables/publish", &[&wanted[..], &[("preview", "true")]].concat()).await;
    assert_eq!(told["success"], true, "{told}");
    assert!(
        told["statements"].as_array().unwrap().iter().any(|one| one.as_str().unwrap().contains("trigger")),
        "{told}"
    );
    assert!(told["notices"].to_string().contains("no integer key"), "{told}");
    assert_eq!(named(&get(&server, "tables", &[]).await, "valve")["publishable"], true, "a preview changes nothing");
    assert_eq!(error(&server.get("/arcgis/rest/services/water/FeatureServer", &[]).await).0, 404);

    let done = post(&server, "tables/publish", &wanted).await;
    assert_eq!(
        (&done["success"], &done["service"], &done["layerId"]),
        (&json!(true), &json!("water"), &json!(0)),
        "{done}"
    );
    assert!(done["url"].as_str().unwrap().ends_with("/arcgis/rest/services/water/FeatureServer/0"), "{done}");
    assert!(done["statements"].is_null());
    let layer = server.get("/arcgis/rest/services/water/FeatureServer/0", &[]).await;
    assert_eq!((&layer["name"], &layer["hasAttachments"]), (&json!("Valves"), &json!(true)), "{layer}");
    let grants = get(&server, "accounts/grants", &[("service", "water")]).await;
    assert_eq!(grants["grants"], json!([{"service": "water", "to": "anonymous", "name": "", "access": "view"}]));
    let found = server
        .get("/arcgis/rest/services/water/FeatureServer/0/query", &[("where", "1=1"), ("returnCountOnly", "true")])
        .await;
    assert_eq!(found["count"], 1);
    let log = get(&server, "audit", &[("action", "layer.published"), ("service", "water")]).await;
    let published: Vec<&Json> = log["entries"].as_array().unwrap().iter().map(|entry| &entry["subject"]).collect();
    assert_eq!(published, ["attachments of Valves", "Valves"], "{log}");
    let again = post(&server, "tables/publish", &wanted).await;
    assert!(error(&again).1.contains("published already"), "{again}");

    let odd =
        post(&server, "tables/publish", &[("schema", "gis"), ("table", "Odd \"name"), ("service", "water")]).await;
    assert_eq!((&odd["layerId"], &odd["notices"]), (&json!(1), &json!([])), "{odd}");
}

#[tokio::test]
async fn what_cannot_be_published_is_refused_and_nothing_is_done() {
    let server = with_tables().await;
    let before = get(&server, "tables", &[]).await;
    for (parameters, why) in [
        (vec![("table", "oak")], "'service' parameter is invalid"),
        (vec![("service", "water")], "'table' parameter is invalid"),
        (vec![("service", "a/b"), ("table", "valve"), ("schema", "gis")], "cannot be the name of a service"),
        (vec![("service", "water"), ("table", "nothing")], "there is no table public.nothing"),
        (vec![("service", "water"), ("table", "valves"), ("schema", "gis")], "is a view"),
        (
            vec![("service", "water"), ("table", "account"), ("schema", "syncline")],
            "Syncline or the database is made of",
        ),
        (
            vec![("service", "water"), ("table", "pg_authid"), ("schema", "pg_catalog")],
            "Syncline or the database is made of",
        ),
        (
            vec![("service", "water"), ("table", "valve"), ("schema", "gis"), ("anonymous", "manage")],
            "'anonymous' parameter",
        ),
        (vec![("service", "water"), ("table", "valve; drop table oak"), ("schema", "gis")], "there is no table"),
    ] {
        let (code, said) = error(&post(&server, "tables/publish", &parameters).await);
        assert!([400, 404].contains(&code) && said.contains(why), "{parameters:?}: {code} {said}");
    }
    let get_it = get(&server, "tables/publish", &[("service", "water"), ("table", "valve")]).await;
    assert_eq!(error(&get_it).0, 405, "{get_it}");
    assert_eq!(get(&server, "tables", &[]).await, before);
    assert_eq!(server.get("/arcgis/rest/services", &[]).await["services"].as_array().unwrap().len(), 1);
}

const UNPUBLISHED: [(&str, &str); 2] = [("service", "trees"), ("layerId", "0")];

#[tokio::test]
async fn a_layer_is_unpublished_after_it_was_told_what_is_lost() {
    let server = server().await;
    let mut field = Field::new(&server, &[("replicaName", "Crew North")]).await;
    field.synchronize(&edits(&json!([tree(1, &json!({"girth": "many"}))]), &json!([]), &json!([])), &[]).await;
    server.database.sql("insert into oak (girth) select generate_series(1, 3)").await;

    let told = post(&server, "tables/unpublish", &[&UNPUBLISHED[..], &[("preview", "true")]].concat()).await;
    assert_eq!(
        (&told["preview"], &told["needsForce"], &told["table"]),
        (&json!(true), &json!(true), &json!("public.oak"))
    );
    assert_eq!((&told["replicaCount"], &told["openRejectedEdits"]), (&json!(1), &json!(1)), "{told}");
    assert_eq!(told["history"]["changes"], 3, "{told}");
    assert!(told["history"]["bytes"].as_i64().unwrap() > 0, "{told}");
    let replica = &told["replicas"][0];
    assert_eq!((&replica["replicaName"], &replica["changesBehind"]), (&json!("Crew North"), &json!(3)), "{told}");
    assert_eq!(replica["otherLayers"], json!([]));
    let lost = told["lost"].to_string();
    for words in
        ["1 replica is unregistered", "open refused edits (1)", "history (3 changes)", "clients that have it open"]
    {
        assert!(lost.contains(words), "{words} is not in {lost}");
    }
    assert!(told["kept"].to_string().contains("The table public.oak and its rows"), "{told}");
    assert_eq!(each(&get(&server, "replicas", &[]).await, "replicaName"), ["Crew North"], "a preview changes nothing");

    let refused = post(&server, "tables/unpublish", &UNPUBLISHED).await;
    let (code, why) = error(&refused);
    assert_eq!(code, 400, "{refused}");
    for words in ["1 replica that holds it", "1 refused edit that is open", "force=true"] {
        assert!(why.contains(words), "{words} is not in {why}");
    }
    assert_eq!(server.get("0", &[]).await["name"], "oak", "nothing was done");

    let done = post(&server, "tables/unpublish", &[&UNPUBLISHED[..], &[("force", "true")]].concat()).await;
    assert_eq!((&done["success"], &done["replicaCount"]), (&json!(true), &json!(1)), "{done}");
    assert_eq!(get(&server, "replicas", &[]).await["count"], 0);
    assert_eq!(error(&server.get("0", &[]).await).0, 404);
    assert_eq!(server.database.value::<i64>("select count(*) from oak").await, 3, "the rows stay");
    let kept = server.get("rejectedEdits", &[]).await;
    assert_eq!(kept["rejectedEdits"][0]["state"], "open", "the books stay: {kept}");
    let log = get(&server, "audit", &[("action", "layer.unpublished")]).await;
    assert_eq!(log["entries"][0]["subject"], "oak", "{log}");
    let oak = get(&server, "tables", &[("text", "oak")]).await;
    assert_eq!(named(&oak, "oak")["publishable"], true, "it can be published again");

    let again = post(&server, "tables/unpublish", &UNPUBLISHED).await;
    assert_eq!(error(&again).0, 404, "{again}");
}

#[tokio::test]
async fn what_loses_nothing_is_unpublished_without_force() {
    let server = server().await;
    server.database.sql("insert into oak (girth) values (1)").await;
    let told = post(&server, "tables/unpublish", &[&UNPUBLISHED[..], &[("preview", "true")]].concat()).await;
    assert_eq!((&told["needsForce"], &told["replicas"]), (&json!(false), &json!([])), "{told}");
    for (parameters, why) in [
        (vec![("service", "trees")], "'layerId' parameter"),
        (vec![("layerId", "0")], "'service' parameter"),
        (vec![("service", "trees"), ("layerId", "9999999999")], "cannot be the id of a layer"),
        (vec![("service", "trees"), ("layerId", "7")], "no layer or table 7"),
        (vec![("service", "nothing"), ("layerId", "0")], "not found"),
    ] {
        let (code, said) = error(&post(&server, "tables/unpublish", &parameters).await);
        assert!([400, 404].contains(&code) && said.contains(why), "{parameters:?}: {code} {said}");
    }
    let done = post(&server, "tables/unpublish", &UNPUBLISHED).await;
    assert_eq!(done["success"], true, "{done}");
    assert_eq!(server.get("", &[]).await["layers"], json!([]));
}
