//! What stands in the files, as SQLite and GDAL read it.

use super::{Geodatabase, create};
use crate::geopackage::{contents::with_everything, gdal};

#[tokio::test]
async fn sqlite_finds_no_fault_in_a_file() {
    let server = with_everything().await;
    let file = create(&server, &[("layers", "0,1,2"), ("returnAttachments", "true"), ("syncModel", "perLayer")]).await;
    assert_eq!(file.list("PRAGMA integrity_check"), "ok");
    assert_eq!(file.list("PRAGMA application_id"), "1165193833");
    assert_eq!(file.list("PRAGMA journal_mode"), "delete");
    assert_eq!(file.list("SELECT rtreecheck('st_spindex__oak_shape')"), "ok");
    assert_eq!(file.list("SELECT count(*) FROM oak"), "700");
    assert_eq!(
        file.list("SELECT pkid FROM st_spindex__oak_shape WHERE minx >= 25 AND maxx <= 45 ORDER BY pkid"),
        "3,4"
    );
}

#[tokio::test]
async fn gdal_reads_the_mirror_with_geometries_and_lists_nothing_else() {
    let server = with_everything().await;
    let file = create(&server, &[("layers", "0,2"), ("replicaSR", "4326")]).await;
    let Some(text) = gdal("ogrinfo", &["-ro", "-so", "-al"], &file.path()) else { return };
    for wanted in [
        "Layer name: oak_open",
        "Geometry: Point",
        "Feature Count: 700",
        "Layer name: kinds_open",
        "Geometry: 3D Multi Polygon",
        "WGS 84",
        "moment: DateTime",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert_eq!(text.matches("Layer name:").count(), 2, "{text}");
    let rows =
        gdal("ogrinfo", &["-ro", "-q", "-sql", "SELECT * FROM kinds_open WHERE objectid = 1"], &file.path()).unwrap();
    for wanted in [
        "word (String) = it's \"é\"",
        "moment (DateTime) = 2024/02/29 12:34:56.789+00",
        "MULTIPOLYGON Z (((0 0 1,4 0 2,4 4 3,0 4 4,0 0 1),(1 1 0,1 2 0,2 2 0,1 1 0)))",
    ] {
        assert!(rows.contains(wanted), "{wanted}: {rows}");
    }
}

#[tokio::test]
async fn values_are_kept_as_the_format_has_them() {
    let server = with_everything().await;
    let file = create(&server, &[("layers", "2")]).await;
    let row = "SELECT small || '|' || whole || '|' || big || '|' || single || '|' || double || '|' || word || '|' || yes || '|' || moment || '|' || day
      || '|' || clock || '|' || ref || '|' || globalid FROM kinds WHERE objectid = 1";
    assert_eq!(
        file.list(row),
        "-3|70000|5000000000.0|0.5|0.1|it's \"é\"|1|2460370.02426839|1969-07-20|23:59:58|{DDDDDDDD-0001-4000-8000-000000000001}|{CCCCCCCC-0001-4000-8000-000000000001}"
    );
    assert_eq!(file.list("SELECT coalesce(small, word, moment, day, shape) FROM kinds WHERE objectid = 2"), "null");
    assert_eq!(file.list("SELECT coalesce(single, double, moment) FROM kinds WHERE objectid = 3"), "null");
}

#[tokio::test]
async fn the_mirror_is_left_out_where_it_is_not_wanted() {
    let server = with_everything().await;
    let file = create(&server, &[("layers", "0"), ("openMirror", "false")]).await;
    assert_eq!(file.list("SELECT name FROM sqlite_master WHERE name LIKE '%_open' OR name = 'geometry_columns'"), "");
}

#[tokio::test]
async fn an_export_has_rows_and_nothing_to_synchronize() {
    let server = with_everything().await;
    let file = create(&server, &[("layers", "0"), ("syncModel", "none")]).await;
    assert_eq!(file.list("PRAGMA integrity_check"), "ok");
    assert_eq!(file.list("SELECT count(*) FROM oak"), "700");
    assert_eq!(file.list("SELECT name FROM pragma_table_info('oak') WHERE name LIKE 'gdb_%'"), "");
    assert_eq!(file.list("SELECT object_flags FROM GDB_TableRegistry WHERE table_name = 'oak'"), "16391");
    assert_eq!(file.list("SELECT count(*) FROM GDB_Items WHERE Type = '{5B966567-FB87-4DDE-938B-B4B37423539D}'"), "0");
}

#[tokio::test]
async fn a_job_gives_a_file_as_well() {
    let server = with_everything().await;
    let jobs = server.run_jobs();
    let answer = server.post("createReplica", &[("layers", "0"), ("dataFormat", "sqlite"), ("async", "true")]).await;
    let status = answer["statusUrl"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    server.database.until("select state = 'Completed' from syncline.job").await;
    let done = server.get(&format!("jobs/{status}"), &[]).await;
    let file = Geodatabase::fetch(&server, done).await;
    assert_eq!(file.list("SELECT count(*) FROM oak"), "700");
    drop(jobs);
}

#[tokio::test]
async fn clients_of_esris_get_no_mirror_unless_they_ask() {
    let server = with_everything().await;
    for (agent, parameters, mirrors) in [
        ("ArcGISRuntime-iOS/100.15", "", ""),
        ("ArcGISRuntime-iOS/100.15", "&openMirror=true", "oak_open"),
        ("curl/8.5", "", "oak_open"),
    ] {
        let request = axum::http::Request::post("/arcgis/rest/services/trees/FeatureServer/createReplica")
            .header(axum::http::header::HOST, "test:80")
            .header(axum::http::header::USER_AGENT, agent)
            .header(axum::http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(axum::body::Body::from(format!("f=json&layers=0&dataFormat=sqlite{parameters}")))
            .unwrap();
        let answer = crate::support::server::json(server.send(request).await).await;
        let file = Geodatabase::fetch(&server, answer).await;
        assert_eq!(
            file.list("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '%_open'"),
            mirrors,
            "{agent}"
        );
    }
}

#[tokio::test]
async fn relationships_have_their_cardinality_and_an_area_comes_in_the_reference_of_the_file() {
    let server = with_everything().await;
    server
        .database
        .sql(
            "create table holder (objectid serial primary key, globalid uuid not null unique default gen_random_uuid(), code integer unique,
               shape geometry(Point, 3857));
             create table licence (objectid serial primary key, globalid uuid not null unique default gen_random_uuid(), holder integer unique references holder (code));
             create table fine (objectid serial primary key, globalid uuid not null unique default gen_random_uuid(), holder integer references holder (code))",
        )
        .await;
    for table in ["holder", "licence", "fine"] {
        server.publish(table).await;
    }
    let degrees =
        [("geometry", "1,2,3,4"), ("geometryType", "esriGeometryEnvelope"), ("inSR", "4326"), ("replicaSR", "3857")];
    let file = create(&server, &[&[("layers", "3,4,5"), ("syncModel", "perLayer")], &degrees[..]].concat()).await;
    let of = |table: &str, what: &str| {
        file.list(&format!("SELECT {what} FROM GDB_Items WHERE Definition LIKE '<DERelationshipClassInfo%<DestinationClassNames%main.{table}<%'"))
    };
    assert_eq!((of("licence", "DatasetSubtype1"), of("fine", "DatasetSubtype1")), ("1".to_owned(), "2".to_owned()));
    assert!(of("licence", "Definition").contains("<Cardinality>esriRelCardinalityOneToOne<"));
    assert!(of("fine", "Definition").contains("<Cardinality>esriRelCardinalityOneToMany<"));
    let replica = file.list("SELECT Definition FROM GDB_Items WHERE Definition LIKE '<GPSyncReplica%'");
    assert!(replica.contains("<QueryGeometry") && replica.contains("<XMin>111319.49"), "{replica}");
}
