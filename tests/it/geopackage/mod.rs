//! GeoPackages: replicas and exports as files that other programs read and edit, and what those edit come back.

pub mod contents;
mod export_attachments;
mod exports;
mod jobs;
pub mod qgis;
pub mod round_trip;

use std::{path::Path, process::Command};

pub use crate::support::database_file::DatabaseFile as Package;

use crate::support::TestServer;

/// Asks for a file.
pub async fn create(server: &TestServer, parameters: &[(&str, &str)]) -> Package {
    let mut all = vec![("dataFormat", "geopackage")];
    all.extend(parameters);
    let answer = server.post("createReplica", &all).await;
    assert!(answer.get("error").is_none(), "{answer}");
    let file = Package::fetch(server, answer).await;
    assert_eq!(file.path().extension(), Some("gpkg".as_ref()));
    file
}

/// Runs one of GDAL's programs; `None` if there is none.
pub fn gdal(program: &str, arguments: &[&str], file: &Path) -> Option<String> {
    let output = match Command::new(program).args(arguments).arg(file).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        output => output.unwrap(),
    };
    let (text, problems) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {problems}{text}");
    assert_eq!(problems, "", "{program} {arguments:?}");
    Some(text.into_owned())
}
