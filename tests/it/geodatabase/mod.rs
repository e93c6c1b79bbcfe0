//! Mobile geodatabases: replicas as the files that clients of Esri's libraries work with, held against genuine ones; and what is edited in them.

mod contents;
mod qgis;
mod round_trip;
mod structure;

use rusqlite::{Connection, OpenFlags};

pub use crate::support::database_file::{DatabaseFile as Geodatabase, list};

use crate::support::TestServer;

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
    let file = Geodatabase::fetch(server, answer).await;
    assert_eq!(file.path().extension(), Some("geodatabase".as_ref()));
    file
}
