//! GeoPackages: replicas and exports as files that other programs read and edit, and what those edit come back.

pub mod contents;
mod export_attachments;
mod exports;
mod jobs;
pub mod qgis;
pub mod round_trip;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use axum::http::header;
use rusqlite::Connection;
use serde_json::Value as Json;

use crate::support::TestServer;

/// A file in a directory of its own.
pub struct Package {
    directory: tempfile::TempDir,
    /// The answer that led to it.
    pub answer: Json,
}

impl Package {
    /// Fetches the file of an answer.
    pub async fn fetch(server: &TestServer, answer: Json) -> Package {
        let url = answer["URL"].as_str().or(answer["resultUrl"].as_str()).unwrap_or_else(|| panic!("{answer}"));
        assert!(url.ends_with(".gpkg"), "{url}");
        let response = server.fetch(url.strip_prefix("http://test:80").unwrap(), &[]).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/geopackage+sqlite3");
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("it.gpkg"), bytes).unwrap();
        Package { directory, answer }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("it.gpkg")
    }

    pub fn open(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    /// The first column of the rows of a query, as text, with commas.
    pub fn list(&self, query: &str) -> String {
        let connection = self.open();
        let mut statement = connection.prepare(query).unwrap();
        let rows = statement.query_map([], |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
        let shown = rows.map(|value| match value.unwrap() {
            rusqlite::types::Value::Null => "null".to_owned(),
            rusqlite::types::Value::Integer(value) => value.to_string(),
            rusqlite::types::Value::Real(value) => value.to_string(),
            rusqlite::types::Value::Text(value) => value,
            rusqlite::types::Value::Blob(value) => format!("{} bytes", value.len()),
        });
        shown.collect::<Vec<_>>().join(",")
    }
}

/// Asks for a file.
pub async fn create(server: &TestServer, parameters: &[(&str, &str)]) -> Package {
    let mut all = vec![("dataFormat", "geopackage")];
    all.extend(parameters);
    let answer = server.post("createReplica", &all).await;
    assert!(answer.get("error").is_none(), "{answer}");
    Package::fetch(server, answer).await
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
