//! The offline client: `syncline clone`, `sync` and `status`, the real program on both sides of the line, and other programs at
//! the files.

mod access;
mod desktop;
mod histories;
mod interrupted;
mod limits;
mod round_trip;
mod served;
mod stranger;

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::Value as Json;

use crate::support::{Program, TestDatabase, program::Server};

/// A table with what can go wrong: a rule that the database keeps, and a row to begin with.
const TREES: &str = "create table tree (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique,
       species text check (species <> 'forbidden'), girth integer, seen timestamptz, shape geometry(Point, 3857));
     create table note (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique, words text);
     insert into tree (globalid, species, girth, seen, shape) select ('51170000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'oak', n,
       '2024-03-01 10:00:00Z', st_setsrid(st_makepoint(n, n), 3857) from generate_series(1, 5) n;
     insert into note (words) values ('first')";

/// A service on a database, and a directory for files.
struct Field {
    database: TestDatabase,
    program: Program,
    server: Server,
    directory: tempfile::TempDir,
}

impl Field {
    async fn new() -> Field {
        Field::with(false).await
    }

    /// With attachments of trees, if they are wanted.
    async fn with(attachments: bool) -> Field {
        let database = TestDatabase::new().await;
        database.sql(TREES).await;
        let program = Program::on(&database);
        for table in ["tree", "note"] {
            program.done(&["publish", "--service", "trees", "--table", table]);
        }
        if attachments {
            program.done(&["attachments", "--service", "trees", "--layer", "tree"]);
        }
        let server = program.serve();
        Field { database, program, server, directory: tempfile::tempdir().unwrap() }
    }

    /// The service's address by way of `address`.
    fn url_by(&self, address: &str) -> String {
        format!("http://{address}/arcgis/rest/services/trees/FeatureServer")
    }

    fn url(&self) -> String {
        self.url_by(self.server.address())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Clones the whole service for programs that have SQLite only.
    fn clone(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        self.program.done(&["clone", &self.url(), path.to_str().unwrap(), "--no-spatial-index"]);
        path
    }

    /// Synchronizes a file; returns what it said, and the exit code.
    fn sync(&self, path: &Path, more: &[&str]) -> (Json, i32) {
        let arguments = [&["sync", path.to_str().unwrap(), "--json"], more].concat();
        let output = self.program.run(&arguments);
        let code = output.status.code().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        (serde_json::from_str(&text).unwrap_or(Json::String(complaint)), code)
    }

    /// Synchronizes a file, which must go well.
    fn synced(&self, path: &Path) -> Json {
        let (said, code) = self.sync(path, &[]);
        assert_eq!(code, 0, "{said}");
        said
    }

    fn status(&self, path: &Path) -> Json {
        serde_json::from_str(&self.program.done(&["status", path.to_str().unwrap(), "--json"])).unwrap()
    }

    /// The trees in the database: global id, object id, species, girth, milliseconds, x and y.
    async fn trees(&self) -> Vec<Tree> {
        let text: Option<String> = self
            .database
            .value(
                "select json_agg(json_build_array('{' || upper(globalid::text) || '}', objectid, species, girth,
                   round(extract(epoch from seen) * 1000)::bigint, st_x(shape), st_y(shape)) order by globalid)::text from tree",
            )
            .await;
        serde_json::from_str(text.as_deref().unwrap_or("[]")).unwrap()
    }

    async fn count(&self, what: &str) -> i64 {
        self.database.value(&format!("select count(*) from {what}")).await
    }
}

/// Global id, object id, species, girth, milliseconds, x and y.
type Tree = (String, i64, Option<String>, Option<i64>, Option<i64>, Option<f64>, Option<f64>);

/// The trees in a file.
fn trees_in(path: &Path) -> Vec<Tree> {
    let db = open(path);
    let mut read = db
        .prepare(
            "select globalid, objectid, species, girth, cast(round((julianday(seen) - 2440587.5) * 86400000) as integer), shape from tree order by globalid",
        )
        .unwrap();
    let rows = read.query_map([], |row| {
        let blob: Option<Vec<u8>> = row.get(5)?;
        let ordinate = |at: usize| {
            blob.as_ref().map(|blob| f64::from_le_bytes(blob[blob.len() - 16 + at * 8..][..8].try_into().unwrap()))
        };
        Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, ordinate(0), ordinate(1)))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// Opens a file as any program with SQLite does.
fn open(path: &Path) -> Connection {
    let db = Connection::open(path).unwrap();
    db.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
    db
}

/// A point as a blob of GeoPackage.
fn point(x: f64, y: f64) -> Vec<u8> {
    let mut blob = b"GP\0\x01".to_vec();
    blob.extend(3857_i32.to_le_bytes());
    blob.push(1);
    blob.extend(1_u32.to_le_bytes());
    blob.extend(x.to_le_bytes());
    blob.extend(y.to_le_bytes());
    blob
}
