//! The tables of the database, and publishing them by request.

use serde_json::{Value as Json, json};

use super::{get, post, server};
use crate::support::{TestServer, server::error};

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
