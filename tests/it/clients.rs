//! Clients that others wrote, against the real program: GDAL, and Esri's `arcgis` package for Python.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::{Program, TestDatabase, program::Server};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A server with the cities and countries of the world.
async fn with_natural_earth() -> (Program, Server) {
    let program = Program::on(&TestDatabase::new().await);
    for (file, layer) in [("cities.gpkg", "Cities"), ("countries.geojson", "Countries")] {
        let file = format!("{ROOT}/tests/fixtures/natural-earth/{file}");
        program.done(&["import", &file, "--service", "natural-earth", "--layer-name", layer]);
    }
    let server = program.serve();
    (program, server)
}

fn run(python: &Path, script: &str, server: &Server) {
    let output = Command::new(python)
        .arg(format!("{ROOT}/tests/clients/{script}"))
        .arg(format!("{}/natural-earth/FeatureServer", server.url))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script} is not content:\n{said}\n{complaint}");
}

#[tokio::test]
async fn gdal_reads_every_layer_as_it_is() {
    let (_program, server) = with_natural_earth().await;
    let own = Path::new(ROOT).join(".venv/bin/python");
    run(if own.exists() { &own } else { Path::new("python3") }, "gdal_client.py", &server);
    server.stop();
}

#[tokio::test]
async fn esris_package_for_python_reads_edits_and_synchronizes() {
    let python = Path::new(ROOT).join(".venv/bin/python");
    if !python.exists() {
        #[expect(clippy::disallowed_methods, reason = "a setting of the tests, not of the program")]
        let required = std::env::var("SYNCLINE_REQUIRE_CLIENTS").is_ok_and(|value| value == "1");
        assert!(!required, "there is no .venv with the arcgis package; scripts/setup test makes it");
        // Not captured, unlike what a test prints.
        let _ = writeln!(
            std::io::stderr(),
            "\nSKIPPED: the test with Esri's arcgis package, for want of .venv; scripts/setup test makes it\n"
        );
        return;
    }
    let (_program, server) = with_natural_earth().await;
    run(&python, "arcgis_client.py", &server);
    server.stop();
}
