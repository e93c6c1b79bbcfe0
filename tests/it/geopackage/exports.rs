//! Exports in other formats: what GDAL makes of a GeoPackage, read back with other means, and documents for web maps.

use std::{
    io::{Read as _, Write as _},
    path::PathBuf,
    time::{Duration, Instant},
};

use serde_json::Value as Json;
use syncline::model::id::LayerId;

use super::{contents::with_everything, gdal};
use crate::support::{Program, TestDatabase, TestServer, server::error};

/// An export, in a directory of its own.
pub struct Export {
    directory: tempfile::TempDir,
    pub name: String,
    pub warnings: String,
}

impl Export {
    /// Asks for a file. `None` where GDAL cannot write it.
    pub async fn of(server: &TestServer, format: &str, more: &[(&str, &str)]) -> Option<Export> {
        let formats = server.get("", &[]).await["supportedExportFormats"].clone();
        if !formats.as_str().unwrap().split(',').any(|name| name == format) {
            assert!(std::env::var_os("CI").is_none(), "GDAL is missing, or does not write {format}");
            return None;
        }
        let mut parameters = vec![("dataFormat", format), ("syncModel", "none")];
        parameters.extend(more);
        let answer = server.post("createReplica", &parameters).await;
        assert_eq!(answer["transportType"], "esriTransportTypeUrl", "{answer}");
        Some(Export::fetch(server, &answer).await)
    }

    async fn fetch(server: &TestServer, answer: &Json) -> Export {
        let url = answer["URL"].as_str().or(answer["resultUrl"].as_str()).unwrap_or_else(|| panic!("{answer}"));
        let name = format!("it.{}", url.rsplit('/').next().unwrap().split_once('.').unwrap().1);
        let response = server.fetch(url.strip_prefix("http://test:80").unwrap(), &[]).await;
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(&name), bytes).unwrap();
        Export { directory, name, warnings: answer["warnings"].to_string() }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join(&self.name)
    }

    /// Where GDAL finds a file of the archive.
    pub fn inside(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/vsizip/{}/{name}", self.path().display()))
    }

    /// The text of a file of the archive.
    pub fn text(&self, name: &str) -> String {
        let mut archive = zip::ZipArchive::new(std::fs::File::open(self.path()).unwrap()).unwrap();
        let mut text = String::new();
        archive.by_name(name).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    pub fn names(&self) -> String {
        let archive = zip::ZipArchive::new(std::fs::File::open(self.path()).unwrap()).unwrap();
        let mut names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
        names.sort_unstable();
        names.join(" ")
    }
}

pub fn holds(text: &str, wanted: &[&str]) {
    for wanted in wanted {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}

#[tokio::test]
async fn csv_has_all_values_and_points_as_columns() {
    let server = with_everything().await;
    let Some(export) = Export::of(&server, "csv", &[("layers", "0,1,2")]).await else { return };
    assert_eq!(export.name, "it.zip");
    assert_eq!(export.names(), "README.txt kinds.csv oak.csv visit.csv");
    let oak = export.text("oak.csv");
    assert_eq!(oak.lines().count(), 701);
    let row = "10,1,1,{AAAAAAAA-0001-4000-8000-000000000001},elm,,1,";
    holds(&oak, &["X,Y,objectid,globalid,species,height,girth,planted", row]);
    let kinds = export.text("kinds.csv");
    holds(
        &kinds,
        &["MULTIPOLYGON Z (((0 0 1,", "5000000000", "\"it's \"\"é\"\"\"", "2024/02/29 12:34:56.789+00", "23:59:58"],
    );
    holds(&export.text("README.txt"), &["trees, as csv", "oak: layer 0, oak; 700 rows\r\n", "- there are no types"]);
    holds(&export.warnings, &["null is written like empty text"]);
}

#[tokio::test]
async fn geojson_is_in_degrees_and_has_every_digit() {
    let server = with_everything().await;
    let Some(export) = Export::of(&server, "geojson", &[("layers", "0,2"), ("replicaSR", "3857")]).await else {
        return;
    };
    let oak: Json = serde_json::from_str(&export.text("oak.geojson")).unwrap();
    assert_eq!(oak["features"].as_array().unwrap().len(), 700);
    let first = &oak["features"][0];
    assert_eq!(first["properties"]["objectid"], 1);
    let x = first["geometry"]["coordinates"][0].as_f64().unwrap();
    assert!((x - 10.0 / 111_319.490_793_273_57).abs() < 1e-13, "{x}");
    let kinds: Json = serde_json::from_str(&export.text("kinds.geojson")).unwrap();
    let of_first = &kinds["features"][0]["properties"];
    assert_eq!(of_first["big"], 5_000_000_000_i64);
    assert_eq!(of_first["word"], "it's \"é\"");
    assert_eq!(of_first["day"], "1969-07-20");
    assert!(kinds["features"][1]["properties"]["word"].is_null());
    holds(&export.warnings, &["WGS 84"]);
}

#[tokio::test]
async fn shapefiles_keep_the_time_of_day_and_tell_what_was_shortened() {
    let server = with_everything().await;
    server.database.sql("alter table kinds add the_long_name_of_a_field text; update kinds set the_long_name_of_a_field = repeat('x', 300) where objectid = 1").await;
    server.app.store.repair("trees", LayerId(2), false).await.unwrap();
    let Some(export) = Export::of(&server, "shapefile", &[("layers", "0,1,2")]).await else { return };
    holds(&export.names(), &["kinds.shp", "kinds.dbf", "kinds.prj", "oak.shp", "visit.dbf"]);
    let kinds = gdal("ogrinfo", &["-ro", "-al"], &export.inside("kinds.shp")).unwrap();
    holds(
        &kinds,
        &[
            "Feature Count: 3",
            "Geometry: 3D Polygon",
            "moment (String) = 2024/02/29 12:34:56.789+00",
            "day (Date) = 1969/07/20",
            "big (Integer64) = 5000000000",
            "word (String) = it's \"é\"",
            "globalid (String) = {CCCCCCCC-0001-4000-8000-000000000001}",
            "single (Real) = (null)",
        ],
    );
    holds(
        &export.warnings,
        &["'the_long_name_of_a_field' to 'the_long_n'", "truncated to 254", "time of day are text"],
    );
    holds(&export.text("README.txt"), &["truncated to 254"]);
}

#[tokio::test]
async fn file_geodatabases_keep_ids() {
    let server = with_everything().await;
    server.database.sql("delete from oak where objectid < 600").await;
    let Some(export) = Export::of(&server, "filegdb", &[("layers", "0,1,2")]).await else { return };
    assert_eq!(export.name, "it.gdb.zip");
    let text = gdal("ogrinfo", &["-ro", "-al"], &export.path()).unwrap();
    holds(
        &text,
        &[
            "Layer name: oak",
            "Feature Count: 101",
            "OGRFeature(oak):600",
            "globalid (String) = {AAAAAAAA-0001-4000-8000-000000000600}",
            "Layer name: visit",
            "Layer name: kinds",
            "Geometry: 3D Multi Polygon",
            "small (Integer(Int16)) = -3",
            "moment (DateTime) = 2024/02/29 12:34:5",
            "ref (String) = {DDDDDDDD-0001-4000-8000-000000000001}",
        ],
    );
    holds(&export.warnings, &["type GUID"]);
}

#[tokio::test]
async fn kml_has_a_folder_for_each_layer() {
    let server = with_everything().await;
    let Some(export) = Export::of(&server, "kml", &[("layers", "0,2")]).await else { return };
    assert_eq!((export.name.as_str(), export.names().as_str()), ("it.kmz", "README.txt doc.kml"));
    let text = export.text("doc.kml");
    holds(
        &text,
        &["<Folder><name>oak</name>", "<Folder><name>kinds</name>", "<SimpleData name=\"big\">5000000000</SimpleData>"],
    );
    holds(&text, &["<coordinates>0,0,1 4,0,2 4,4,3 0,4,4 0,0,1</coordinates>"]);
    let n_placemarks = text.matches("<Placemark").count();
    assert_eq!(n_placemarks, 703);
}

#[tokio::test]
async fn a_workbook_has_a_sheet_for_each_layer_and_points_as_columns() {
    let server = with_everything().await;
    server
        .database
        .sql("update oak set shape = null where objectid = 1; alter table oak rename column girth to x")
        .await;
    server.app.store.repair("trees", LayerId(0), false).await.unwrap();
    let Some(export) = Export::of(&server, "excel", &[("layers", "0,2")]).await else { return };
    assert_eq!(export.name, "it.xlsx");
    let text = gdal("ogrinfo", &["-ro", "-al"], &export.path()).unwrap();
    holds(
        &text,
        &[
            "Layer name: oak",
            "Feature Count: 700",
            "x (Integer) = 2",
            "x_ (Integer) = 20",
            "y (Integer) = 2",
            "Layer name: kinds",
        ],
    );
    holds(&text, &["word (String) = it's \"é\"", "moment (DateTime) = 2024/02/29 12:34:56"]);
    holds(&export.warnings, &["geometry of layer 2 is left out"]);
}

#[tokio::test]
async fn a_feature_collection_is_one_document_with_definitions() {
    let server = with_everything().await;
    let queries = r#"{"0": {"where": "girth < 3"}}"#;
    let more = [("layers", "0,1,2"), ("layerQueries", queries), ("replicaSR", "4326")];
    let export = Export::of(&server, "featureCollection", &more).await.unwrap();
    let document: Json = serde_json::from_slice(&std::fs::read(export.path()).unwrap()).unwrap();
    let layers = document["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 3);
    assert_eq!(layers[0]["layerDefinition"]["geometryType"], "esriGeometryPoint");
    let features = &layers[0]["featureSet"];
    assert_eq!(features["spatialReference"]["wkid"], 4326);
    assert_eq!(features["features"].as_array().unwrap().len(), 2);
    assert_eq!(features["features"][0]["attributes"]["species"], "elm");
    assert!(features["features"][0]["geometry"]["x"].as_f64().unwrap() < 0.001);
    assert_eq!(layers[1]["layerDefinition"]["type"], "Table");
    assert_eq!(layers[2]["featureSet"]["features"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn formats_for_exports_are_no_formats_for_replicas() {
    let server = TestServer::with_trees().await;
    let layer = server.get("0", &[]).await;
    assert_eq!(layer["supportedExportFormats"], server.get("", &[]).await["supportedExportFormats"]);
    assert_eq!(layer["supportedExportFormats"], server.get("layers", &[]).await["tables"][0]["supportedExportFormats"]);
    for (operation, parameters) in [
        ("createReplica", [("layers", "0"), ("dataFormat", "CSV")]),
        (
            "synchronizeReplica",
            [("replicaID", "6F9619FF-8B86-D011-B42D-00CF4FC964FF"), ("dataFormat", "featureCollection")],
        ),
    ] {
        let (code, message) = error(&server.post(operation, &parameters).await);
        assert!(code == 400 && message.contains("dataFormat") && message.contains("syncModel=none"), "{message}");
    }
    let answer = server.post("createReplica", &[("layers", "0"), ("syncModel", "none"), ("dataFormat", "dwg")]).await;
    assert!(error(&answer).1.contains("dwg"), "{answer}");
}

#[tokio::test]
async fn an_export_can_be_a_job_whose_result_tells_what_it_lacks() {
    let server = with_everything().await;
    if Export::of(&server, "csv", &[("layers", "1")]).await.is_none() {
        return;
    }
    let parameters = [("layers", "0"), ("syncModel", "none"), ("dataFormat", "csv"), ("async", "true")];
    let submitted = server.post("createReplica", &parameters).await;
    let path = submitted["statusUrl"].as_str().unwrap().split_once("/FeatureServer/").unwrap().1.to_owned();
    let jobs = server.run_jobs();
    let started = Instant::now();
    let status = loop {
        let status = server.get(&path, &[]).await;
        if !["Pending", "InProgress"].contains(&status["status"].as_str().unwrap()) {
            break status;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{status}");
        tokio::task::yield_now().await;
    };
    assert_eq!(status["status"], "Completed", "{status}");
    let export = Export::fetch(&server, &status).await;
    assert_eq!(export.text("oak.csv").lines().count(), 701);
    holds(&export.warnings, &["null is written like empty text"]);
    drop(jobs);
}

/// A program with an `ogr2ogr` that is a script.
async fn with_script(script: &str) -> (TestDatabase, Program, tempfile::TempDir) {
    let database = TestDatabase::new().await;
    database.sql("create table oak (objectid serial primary key, species text)").await;
    let directory = tempfile::tempdir().unwrap();
    if !script.is_empty() {
        let path = directory.path().join("ogr2ogr");
        let list = "if [ \"$1\" = --formats ]; then echo '  CSV -vector- (rw+v): Comma Separated Value'; exit; fi";
        let mut file = std::fs::File::create(&path).unwrap();
        writeln!(file, "#!/bin/sh\n{list}\ncd '{}'\n{script}", directory.path().display()).unwrap();
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let mut program = Program::on(&database);
    program.search(directory.path());
    program.done(&["publish", "--service", "trees", "--table", "public.oak"]);
    (database, program, directory)
}

const CSV: [(&str, &str); 3] = [("layers", "0"), ("syncModel", "none"), ("dataFormat", "csv")];

fn formats(server: &crate::support::program::Server) -> Json {
    server.post("trees/FeatureServer", &[])["supportedExportFormats"].clone()
}

#[tokio::test]
async fn what_is_not_installed_is_not_advertised_and_is_refused_by_name() {
    let (_database, program, _directory) = with_script("").await;
    let server = program.serve();
    assert_eq!(formats(&server), "json,sqlite,geoPackage,featureCollection");
    for more in [("async", "false"), ("async", "true")] {
        let answer = server.post("trees/FeatureServer/createReplica", &[&CSV[..], &[more]].concat());
        let (_, message) = error(&answer);
        assert!(message.contains("dataFormat=csv") && message.contains("GDAL"), "{message}");
    }
}

#[tokio::test]
async fn what_gdal_could_not_write_fails_the_export_and_leaves_nothing() {
    let (database, program, _directory) = with_script("echo 'ERROR 6: the moon is full' >&2").await;
    let server = program.serve();
    assert_eq!(formats(&server), "json,sqlite,geoPackage,featureCollection,csv");
    let (_, message) = error(&server.post("trees/FeatureServer/createReplica", &CSV));
    assert!(message.contains("the moon is full") && message.contains("dataFormat=geoPackage"), "{message}");
    assert_eq!(database.value::<i64>("select count(*) from syncline.export").await, 0);
    assert_eq!(std::fs::read_dir(program.data().join("spool")).unwrap().count(), 0);
}

#[tokio::test]
async fn the_program_sees_no_address_of_the_database_and_ends_with_its_client() {
    let (_database, program, directory) =
        with_script("env > seen\necho $$ > started\nmv started pid\nexec sleep 600").await;
    let server = program.serve();
    let mut client = server.connect();
    let form = "f=json&layers=0&syncModel=none&dataFormat=csv";
    write!(
        client,
        "POST /arcgis/rest/services/trees/FeatureServer/createReplica HTTP/1.1\r\nHost: x\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
    .unwrap();
    let started = Instant::now();
    let eventually = |what: &str, done: &dyn Fn() -> bool| {
        while !done() {
            assert!(started.elapsed() < Duration::from_secs(30), "{what}");
            std::thread::yield_now();
        }
    };
    eventually("it does not begin", &|| directory.path().join("pid").exists());
    let seen = std::fs::read_to_string(directory.path().join("seen")).unwrap();
    assert!(seen.contains("PATH=") && !seen.contains("DATABASE_URL"), "{seen}");
    let pid = std::fs::read_to_string(directory.path().join("pid")).unwrap();
    let process = PathBuf::from("/proc").join(pid.trim());
    assert!(process.exists());
    drop(client);
    // One that has ended may wait to be looked at.
    let is_gone = || std::fs::read_to_string(process.join("stat")).map_or(true, |stat| stat.contains(") Z "));
    eventually("it goes on", &is_gone);
    let spool = program.data().join("spool");
    eventually("something is left", &|| std::fs::read_dir(&spool).unwrap().count() == 0);
}
