//! What stands in the files, as other programs read it.

use super::{create, gdal};
use crate::support::TestServer;

/// A server with every type of field, areas with heights, trees with attachments, and beetles that belong to trees.
pub async fn with_everything() -> TestServer {
    let server = TestServer::with_trees().await;
    server.app.store.enable_attachments("trees", syncline::model::id::LayerId(0)).await.unwrap();
    server
        .database
        .sql(
            "insert into oak (globalid, species, girth, shape)
             select ('aaaaaaaa-0001-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'elm', n, ST_Point(n * 10, n, 3857)
             from generate_series(1, 700) n;
             create table kinds (objectid serial primary key, globalid uuid not null unique default gen_random_uuid(), small smallint, whole integer,
               big bigint, single real, double double precision, word varchar(20), yes boolean, moment timestamptz, day date, clock time, ref uuid,
               shape geometry(MultiPolygonZ, 4326));
             insert into kinds (globalid, small, whole, big, single, double, word, yes, moment, day, clock, ref, shape) values
               ('cccccccc-0001-4000-8000-000000000001', -3, 70000, 5000000000, 0.5, 0.1, 'it''s \"é\"', true, '2024-02-29T12:34:56.789Z', '1969-07-20',
                '23:59:58', 'dddddddd-0001-4000-8000-000000000001', ST_GeomFromText('MULTIPOLYGON Z (((0 0 1,4 0 2,4 4 3,0 4 4,0 0 1),(1 1 0,1 2 0,2 2 0,1 1 0)))', 4326)),
               ('cccccccc-0001-4000-8000-000000000002', null, null, null, null, null, null, null, null, null, null, null, null),
               ('cccccccc-0001-4000-8000-000000000003', 0, 0, 0, 'NaN', 'Infinity', '', false, 'infinity', '2026-11-22', '00:00:00.25', null, 'SRID=4326;MULTIPOLYGON Z EMPTY')",
        )
        .await;
    server.publish("kinds").await;
    server
}

#[tokio::test]
async fn gdal_reads_every_layer_with_its_geometry_and_types() {
    let server = with_everything().await;
    let package = create(&server, &[("layers", "0,2"), ("replicaSR", "4326")]).await;
    let Some(text) = gdal("ogrinfo", &["-ro", "-so", "-al"], &package.path()) else { return };
    for wanted in [
        "Layer name: oak",
        "Geometry: Point",
        "Feature Count: 700",
        "Layer name: kinds",
        "Geometry: 3D Multi Polygon",
        "Feature Count: 3",
        "Extent: (0.000000, 0.000000) - (4.000000, 4.000000)",
        "WGS 84",
        "small: Integer(Int16)",
        "whole: Integer (0.0)",
        "big: Integer64",
        "single: Real(Float32)",
        "double: Real (0.0)",
        "word: String (20.0)",
        "yes: Integer(Boolean)",
        "moment: DateTime",
        "day: Date",
        "FID Column = objectid",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(!text.contains("sync_"), "{text}");
    let rows =
        gdal("ogrinfo", &["-ro", "-q", "-sql", "SELECT * FROM kinds WHERE objectid = 1"], &package.path()).unwrap();
    for wanted in [
        "small (Integer(Int16)) = -3",
        "big (Integer64) = 5000000000",
        "word (String) = it's \"é\"",
        "yes (Integer(Boolean)) = 1",
        "moment (DateTime) = 2024/02/29 12:34:56.789+00",
        "day (Date) = 1969/07/20",
        "clock (String) = 23:59:58",
        "ref (String) = {DDDDDDDD-0001-4000-8000-000000000001}",
        "MULTIPOLYGON Z (((0 0 1,4 0 2,4 4 3,0 4 4,0 0 1),(1 1 0,1 2 0,2 2 0,1 1 0)))",
    ] {
        assert!(rows.contains(wanted), "{wanted}: {rows}");
    }
}

#[tokio::test]
async fn sqlite_finds_no_fault_and_the_index_finds_what_is_in_a_box() {
    let server = with_everything().await;
    let package = create(&server, &[("layers", "0,2")]).await;
    assert_eq!(package.list("PRAGMA integrity_check"), "ok");
    assert_eq!(package.list("PRAGMA foreign_key_check"), "");
    assert_eq!(package.list("SELECT rtreecheck('rtree_oak_shape')"), "ok");
    assert_eq!(package.list("SELECT count(*) FROM rtree_oak_shape"), "700");
    assert_eq!(package.list("SELECT id FROM rtree_oak_shape WHERE minx >= 25 AND maxx <= 45 ORDER BY id"), "3,4");
    assert_eq!(package.list("SELECT id FROM rtree_kinds_shape"), "1", "what is empty has no box");
    assert_eq!(package.list("PRAGMA application_id"), "1196444487");
    // What is not a number is null, as in JSON; an empty geometry says so.
    assert_eq!(package.list("SELECT coalesce(single, double, moment) FROM kinds WHERE objectid = 3"), "null");
    assert_eq!(package.list("SELECT hex(substr(shape, 1, 4)) FROM kinds WHERE objectid = 3"), "47500011");
    assert_eq!(package.list("SELECT shape FROM kinds WHERE objectid = 2"), "null");
    let next = package.list("SELECT seq FROM sqlite_sequence WHERE name = 'oak'");
    assert_eq!(next, "1000000000", "new rows keep out of the way of those of the server");
    assert_eq!(package.list("SELECT min_x || ' ' || max_x FROM gpkg_contents WHERE table_name = 'oak'"), "10.0 7000.0");
}

#[tokio::test]
async fn the_file_says_whose_it_is_and_what_it_holds() {
    let server = with_everything().await;
    let queries = r#"{"2": {"where": "small = -3"}}"#;
    let package = create(
        &server,
        &[("layers", "0,2"), ("layerQueries", queries), ("syncModel", "perLayer"), ("replicaName", "walk")],
    )
    .await;
    let id = package.answer["replicaID"].as_str().unwrap();
    assert_eq!(package.answer["transportType"], "esriTransportTypeUrl");
    assert_eq!(
        package.list("SELECT replica_id || replica_name || sync_model || tracking FROM sync_replica"),
        format!("{id}walkperLayer1")
    );
    let generation = package.answer["layerServerGens"][1]["serverGen"].to_string();
    assert_eq!(package.list("SELECT server_gen FROM sync_layers WHERE layer_id = 2"), generation);
    assert_eq!(package.list("SELECT where_clause FROM sync_layers WHERE layer_id = 2"), "small = -3");
    assert_eq!(package.list("SELECT globalid FROM kinds"), "{CCCCCCCC-0001-4000-8000-000000000001}");
    assert_eq!(package.list("SELECT count(*) FROM sync_changes"), "0");
    let fields = package.list("SELECT json_array_length(layer_json, '$.fields') FROM sync_layers WHERE layer_id = 2");
    assert_eq!(fields, "13", "the layer is described");
    let offers =
        package.list("SELECT json_extract(service_json, '$.syncCapabilities.supportsPerLayerSync') FROM sync_replica");
    assert_eq!(offers, "1", "the service is described");
    // A second one of the same name is called otherwise, in the file as in the answer.
    let second = create(&server, &[("layers", "0"), ("replicaName", "walk")]).await;
    assert_ne!(second.answer["replicaName"], "walk");
    assert_eq!(second.list("SELECT replica_name FROM sync_replica"), second.answer["replicaName"].as_str().unwrap());
}
