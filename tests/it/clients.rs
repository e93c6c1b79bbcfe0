//! Clients that others wrote, against the real program. Each test runs one of the scripts in `tests/clients`.
//!
//! What is not installed is skipped, loudly: with a line on the terminal, and in the file that `SYNCLINE_SKIPPED` names.
//! `SYNCLINE_REQUIRE_CLIENTS=1`, which `scripts/test` sets, and `CI=true` make it a failure, since `scripts/setup test` installs it.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::support::{Program, TestDatabase, program::Server};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A server with the cities and countries of the world, and a survey of 4500 points that have attachments, and notes on some of
/// them.
pub async fn with_natural_earth() -> (Program, Server) {
    let database = TestDatabase::new().await;
    let program = Program::on(&database);
    for (file, layer) in [("cities.gpkg", "Cities"), ("countries.geojson", "Countries")] {
        let file = format!("{ROOT}/tests/fixtures/natural-earth/{file}");
        program.done(&["import", &file, "--service", "natural-earth", "--layer-name", layer]);
    }
    database.sql(include_str!("../fixtures/survey.sql")).await;
    let survey = ["--service", "natural-earth", "--table", "survey", "--layer-name", "Survey", "--attachments"];
    program.done(&[&["publish"], survey.as_slice()].concat());
    program.done(&["publish", "--service", "natural-earth", "--table", "note", "--layer-name", "Notes"]);
    let server = program.serve();
    (program, server)
}

/// A setting of the tests, not of the program.
#[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the program")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Says that something was not tested, where it is seen.
fn skipped(what: &str) {
    // Not captured, unlike what a test prints.
    let _ = writeln!(std::io::stderr(), "\nSKIPPED: {what}\n");
    if let Some(path) = setting("SYNCLINE_SKIPPED") {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{what}").unwrap();
    }
}

/// Tells whether a program can run; if it cannot, the test is skipped, or fails where everything has to be there.
pub fn is_here(client: &str, there: bool) -> bool {
    if !there {
        let required = setting("SYNCLINE_REQUIRE_CLIENTS").is_some_and(|value| value == "1")
            || setting("CI").is_some_and(|value| value == "true");
        assert!(!required, "{client} is not installed; scripts/setup test installs it");
        skipped(&format!("the test with {client}, which is not installed; scripts/setup test installs it"));
    }
    there
}

fn in_tree(path: &str) -> PathBuf {
    Path::new(ROOT).join(path)
}

/// Runs a script of `tests/clients` on the service; `arguments` stand before the service's address.
fn run(interpreter: &Path, arguments: &[&str], server: &Server) {
    let output = Command::new(interpreter)
        .args(arguments)
        .arg(format!("{}/natural-earth/FeatureServer", server.url))
        .current_dir(in_tree("tests/clients"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("QT_QPA_PLATFORM", "offscreen")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?} is not content:\n{said}\n{complaint}");
    for what in said.lines().filter_map(|line| line.strip_prefix("SKIPPED: ")) {
        skipped(what);
    }
}

async fn python(client: &str, script: &str) {
    let python = in_tree(".venv/bin/python");
    if is_here(client, python.exists()) {
        let (_program, server) = with_natural_earth().await;
        run(&python, &[script], &server);
        server.stop();
    }
}

async fn node(client: &str, arguments: &[&str], needs: &Path) {
    if is_here(client, in_tree("tests/clients/node_modules").exists() && needs.exists()) {
        let (_program, server) = with_natural_earth().await;
        run(Path::new("node"), arguments, &server);
        server.stop();
    }
}

const CHROMIUM: &str = "/usr/bin/chromium";

#[tokio::test]
async fn gdal_reads_every_layer_as_it_is() {
    let (_program, server) = with_natural_earth().await;
    run(Path::new("python3"), &["gdal_client.py"], &server);
    server.stop();
}

#[tokio::test]
async fn qgis_reads_filters_and_edits() {
    // Debian's QGIS belongs to Debian's Python.
    let python = Path::new("/usr/bin/python3");
    let found = Command::new(python).args(["-c", "import qgis.core"]).stderr(Stdio::null()).status();
    if is_here("QGIS", found.is_ok_and(|status| status.success())) {
        let (_program, server) = with_natural_earth().await;
        run(python, &["qgis_client.py"], &server);
        server.stop();
    }
}

#[tokio::test]
async fn esris_package_for_python_reads_edits_and_synchronizes() {
    python("the arcgis package for Python", "arcgis_client.py").await;
}

#[tokio::test]
async fn esridump_and_restapi_copy_layers() {
    python("esridump and restapi", "readers_client.py").await;
}

#[tokio::test]
async fn pyogrio_reads_files_of_every_format() {
    let python = in_tree(".venv/bin/python");
    let found = Command::new(&python).args(["-c", "import pyogrio"]).stderr(Stdio::null()).status();
    if is_here("pyogrio", found.is_ok_and(|status| status.success())) {
        let (_program, server) = with_natural_earth().await;
        run(&python, &["files_client.py"], &server);
        server.stop();
    }
}

#[tokio::test]
async fn esris_rest_js_reads_edits_and_synchronizes() {
    node("ArcGIS REST JS", &["node_client.mjs"], &in_tree("tests/clients/node_modules")).await;
}

#[tokio::test]
async fn esris_decoders_read_protocol_buffers_as_they_read_json() {
    node("ArcGIS REST JS", &["forms_client.mjs"], &in_tree("tests/clients/node_modules")).await;
}

#[tokio::test]
async fn the_description_is_valid_for_others() {
    python("openapi-spec-validator", "openapi_client.py").await;
}

#[tokio::test]
async fn esri_leaflet_shows_and_edits_layers_in_a_browser() {
    node("esri-leaflet in Chromium", &["browser_client.mjs", "leaflet"], Path::new(CHROMIUM)).await;
}

#[tokio::test]
async fn the_maps_sdk_for_javascript_shows_and_edits_layers_in_a_browser() {
    node("the ArcGIS Maps SDK for JavaScript in Chromium", &["browser_client.mjs", "sdk"], Path::new(CHROMIUM)).await;
}
