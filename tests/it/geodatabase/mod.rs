//! Mobile geodatabases: replicas as the files that clients of Esri's libraries work with, held against genuine ones; and what is edited in them.

mod contents;
mod qgis;
mod round_trip;
mod structure;

use std::path::PathBuf;

use axum::http::header;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value as Json;

use crate::support::TestServer;

/// A file in a directory of its own.
pub struct Geodatabase {
    directory: tempfile::TempDir,
    /// The answer that led to it.
    pub answer: Json,
}

impl Geodatabase {
    /// Fetches the file of an answer.
    pub async fn fetch(server: &TestServer, answer: Json) -> Geodatabase {
        let url = answer["URL"].as_str().or(answer["resultUrl"].as_str()).unwrap_or_else(|| panic!("{answer}"));
        assert!(url.ends_with(".geodatabase"), "{url}");
        let response = server.fetch(url.strip_prefix("http://test:80").unwrap(), &[]).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/vnd.sqlite3");
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("it.geodatabase"), bytes).unwrap();
        Geodatabase { directory, answer }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("it.geodatabase")
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

/// A genuine file, as it is.
pub fn genuine(name: &str) -> Connection {
    let path = format!("file:{}/tests/fixtures/geodatabase/{name}?immutable=1", env!("CARGO_MANIFEST_DIR"));
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI).unwrap()
}

/// Asks for a file.
pub async fn create(server: &TestServer, parameters: &[(&str, &str)]) -> Geodatabase {
    let mut all = vec![("dataFormat", "sqlite")];
    all.extend(parameters);
    let answer = server.post("createReplica", &all).await;
    assert!(answer.get("error").is_none(), "{answer}");
    Geodatabase::fetch(server, answer).await
}
