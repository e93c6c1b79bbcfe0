//! Clients that others wrote sign in to the real program.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::{
    clients::is_here,
    support::{Program, TestDatabase},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn in_tree(path: &str) -> PathBuf {
    Path::new(ROOT).join(path)
}

/// Runs a script of `tests/clients` as an editor, on a server where nobody may do anything unknown.
async fn run(interpreter: &Path, script: &str) {
    let database = TestDatabase::new().await;
    let program = Program::on(&database).with_text("SYNCLINE_ANONYMOUS", "none");
    let cities = format!("{ROOT}/tests/fixtures/natural-earth/cities.gpkg");
    program.done(&["import", &cities, "--service", "natural-earth", "--layer-name", "Cities"]);
    let made = program.done(&["user", "add", "ann", "--role", "editor", "--json"]);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let server = program.serve();
    let output = Command::new(interpreter)
        .arg(script)
        .arg(format!("{}/natural-earth/FeatureServer", server.url))
        .current_dir(in_tree("tests/clients"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SYNCLINE_USER", "ann")
        .env("SYNCLINE_PASSWORD", made["password"].as_str().unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script} is not content:\n{said}\n{complaint}");
    server.stop();
}

#[tokio::test]
async fn esris_package_for_python_and_gdal_sign_in() {
    let python = in_tree(".venv/bin/python");
    if is_here("the arcgis package for Python", python.exists()) {
        run(&python, "sign_in_client.py").await;
    }
}

#[tokio::test]
async fn esris_rest_js_signs_in() {
    if is_here("ArcGIS REST JS", in_tree("tests/clients/node_modules").exists()) {
        run(Path::new("node"), "sign_in_client.mjs").await;
    }
}
