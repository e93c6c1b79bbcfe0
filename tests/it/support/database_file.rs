//! Databases that a server has made as files.

use std::path::PathBuf;

use axum::http::header;
use rusqlite::Connection;
use serde_json::Value as Json;

use super::TestServer;

/// A file in a directory of its own.
pub struct DatabaseFile {
    directory: tempfile::TempDir,
    name: &'static str,
    /// The answer that led to it.
    pub answer: Json,
}

impl DatabaseFile {
    /// Fetches the file of an answer: a GeoPackage or a mobile geodatabase, as its address says.
    pub async fn fetch(server: &TestServer, answer: Json) -> DatabaseFile {
        let url = answer["URL"].as_str().or(answer["resultUrl"].as_str()).unwrap_or_else(|| panic!("{answer}"));
        let (name, media_type) = match url.rsplit_once('.') {
            Some((_, "gpkg")) => ("it.gpkg", "application/geopackage+sqlite3"),
            Some((_, "geodatabase")) => ("it.geodatabase", "application/vnd.sqlite3"),
            _ => panic!("{url} is no database"),
        };
        let response = server.fetch(url.strip_prefix("http://test:80").unwrap(), &[]).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], media_type);
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(name), bytes).unwrap();
        DatabaseFile { directory, name, answer }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join(self.name)
    }

    pub fn open(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    /// The first column of the rows of a query, as text, with commas.
    pub fn list(&self, query: &str) -> String {
        list(&self.open(), query).join(",")
    }
}

/// The first column of the rows of a query, as text.
pub fn list(connection: &Connection, query: &str) -> Vec<String> {
    let mut statement = connection.prepare(query).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, rusqlite::types::Value>(0)).unwrap();
    let shown = rows.map(|value| match value.unwrap() {
        rusqlite::types::Value::Null => "null".to_owned(),
        rusqlite::types::Value::Integer(value) => value.to_string(),
        rusqlite::types::Value::Real(value) => value.to_string(),
        rusqlite::types::Value::Text(value) => value,
        rusqlite::types::Value::Blob(value) => format!("{} bytes", value.len()),
    });
    shown.collect()
}
