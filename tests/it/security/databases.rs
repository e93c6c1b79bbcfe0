//! Databases that strangers made (S7): whatever stands in one, nothing of it runs, nothing of it is applied unless all of it is sound, and the
//! server goes on.

use std::{fs, path::Path};

use rusqlite::Connection;

use crate::{
    geopackage::{
        Package,
        contents::with_everything,
        create,
        round_trip::{VISITS, attempt},
    },
    support::{TestServer, server::error},
};

/// A replica's file with one new row, and its bytes.
async fn package(server: &TestServer) -> (Package, Vec<u8>) {
    let package = create(server, &[("layers", "1"), VISITS]).await;
    package.open().execute_batch("INSERT INTO visit (note) VALUES ('from the file')").unwrap();
    let whole = fs::read(package.path()).unwrap();
    (package, whole)
}

/// The file after these statements, as its owner can make them.
fn changed(whole: &[u8], directory: &Path, statements: &str) -> Vec<u8> {
    let path = directory.join("changed.gpkg");
    fs::write(&path, whole).unwrap();
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA writable_schema = ON").unwrap();
    connection.execute_batch(statements).unwrap_or_else(|error| panic!("{statements}: {error}"));
    let _ = connection.close();
    fs::read(&path).unwrap()
}

/// Sends a file that must be refused with a reason, and have no effect.
async fn refused(server: &TestServer, package: &Package, bytes: Vec<u8>, what: &str) {
    let answer = attempt(server, package, bytes, &[]).await;
    assert!(answer.get("error").is_some(), "{what} was taken");
    let (code, said) = error(&answer);
    assert!(code == 400 && said.contains("editsUploadId"), "{what}: {answer}");
    assert_eq!(server.database.value::<i64>("select count(*) from visit").await, 0, "{what}");
}

/// Sends a file that may be taken for what is sound in it; more than its one row is never applied, and nothing but that is left.
async fn harmless(server: &TestServer, package: &Package, bytes: Vec<u8>, what: &str) -> bool {
    let answer = attempt(server, package, bytes, &[]).await;
    if answer.get("error").is_some() {
        let (code, said) = error(&answer);
        assert!(code == 400 && !said.is_empty(), "{what}: {answer}");
    }
    let n_rows = server.database.value::<i64>("select count(*) from visit").await;
    assert!(n_rows <= i64::from(answer.get("error").is_none()), "{what}: {n_rows} rows, {answer}");
    server.database.sql("delete from visit").await;
    answer.get("error").is_none()
}

#[tokio::test]
async fn s7_a_crafted_schema_runs_nothing_and_changes_nothing() {
    let server = with_everything().await;
    let (package, whole) = package(&server).await;
    let directory = tempfile::tempdir().unwrap();
    let kept = "CREATE TABLE kept AS SELECT * FROM sync_changes; DROP TABLE sync_changes;";
    let deep = format!("{}1{}", "(".repeat(900), "+1)".repeat(900));
    for statements in [
        format!("{kept} CREATE VIEW sync_changes AS SELECT * FROM kept"),
        format!("{kept} CREATE VIEW sync_changes AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n AS change_id FROM c"),
        format!("{kept} CREATE VIRTUAL TABLE sync_changes USING rtree(change_id, a, b)"),
        "DROP TABLE sync_layers; CREATE VIEW sync_layers AS SELECT 1 AS layer_id, load_extension('/tmp/x.so') AS table_name".to_owned(),
        // Modules and functions that are not there, and definitions that are none.
        format!("{kept} INSERT INTO sqlite_schema VALUES ('table', 'sync_changes', 'sync_changes', 0, 'CREATE VIRTUAL TABLE sync_changes USING nothing(x)')"),
        "UPDATE sqlite_schema SET sql = 'CREATE TABLE sync_changes (change_id' WHERE name = 'sync_changes'".to_owned(),
        "UPDATE sqlite_schema SET sql = 'DELETE FROM visit' WHERE name = 'sync_changes'".to_owned(),
        "UPDATE sqlite_schema SET sql = NULL WHERE name = 'sync_changes'".to_owned(),
        "UPDATE sqlite_schema SET sql = zeroblob(3000000) WHERE name = 'sync_changes'".to_owned(),
        // A table that is another's, the schema's own, nobody's, or far beyond the end.
        "UPDATE sqlite_schema SET rootpage = 1 WHERE name = 'sync_changes'".to_owned(),
        "UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'visit') WHERE name = 'sync_changes'".to_owned(),
        "UPDATE sqlite_schema SET rootpage = 4000000000 WHERE name = 'sync_changes'".to_owned(),
        "UPDATE sqlite_schema SET rootpage = -7 WHERE name = 'visit'".to_owned(),
        // Expressions without end, and columns without number.
        format!("UPDATE sqlite_schema SET sql = 'CREATE TABLE sync_changes (change_id INTEGER PRIMARY KEY, x AS ({deep}))' WHERE name = 'sync_changes'"),
        format!(
            "UPDATE sqlite_schema SET sql = 'CREATE TABLE sync_changes (change_id INTEGER PRIMARY KEY{})' WHERE name = 'sync_changes'",
            (0..1500).map(|n| format!(", c{n}")).collect::<String>()
        ),
        "UPDATE sync_layers SET table_name = 'visit\" UNION SELECT 1 --'".to_owned(),
        "UPDATE sync_layers SET table_name = 'sqlite_schema'".to_owned(),
        "UPDATE sync_layers SET table_name = char(0)".to_owned(),
        "PRAGMA encoding = 'UTF-8'; UPDATE visit SET note = CAST(x'c0af' AS TEXT)".to_owned(),
    ] {
        let what: String = statements.chars().take(120).collect();
        refused(&server, &package, changed(&whole, directory.path(), &statements), &what).await;
    }
    // What is there and never asked has no effect either: the one row comes as it is.
    for statements in [
        "CREATE TRIGGER t BEFORE INSERT ON visit BEGIN DELETE FROM visit; END; CREATE TABLE t2 (a, b AS (a || a || a))",
        "CREATE VIEW v AS SELECT load_extension('x') FROM visit; CREATE VIRTUAL TABLE f USING rtree(id, a, b)",
    ] {
        assert!(
            harmless(&server, &package, changed(&whole, directory.path(), statements), statements).await,
            "{statements}"
        );
    }
}

#[tokio::test]
async fn s7_no_page_that_is_not_what_it_should_be_is_read_over() {
    let server = with_everything().await;
    let (package, _) = package(&server).await;
    // Small pages, so that there are many, and none that is free.
    package.open().execute_batch("PRAGMA page_size = 512; VACUUM").unwrap();
    let whole = fs::read(package.path()).unwrap();
    assert!(harmless(&server, &package, whole.clone(), "as it is").await);
    let n_pages = whole.len() / 512;
    assert!(n_pages > 60, "{n_pages}");
    for page in (1..n_pages).step_by(n_pages / 30) {
        for (how, bytes) in [("zeros", [0; 512]), ("noise", [0xa7; 512])] {
            let mut odd = whole.clone();
            odd[page * 512..(page + 1) * 512].copy_from_slice(&bytes);
            refused(&server, &package, odd, &format!("page {page} is {how}")).await;
        }
        // A page of another's, whose form is right, so that it may be what somebody stored there.
        let mut odd = whole.clone();
        odd.copy_within(1024..1536, page * 512);
        if odd != whole {
            harmless(&server, &package, odd, &format!("page {page} is page 2")).await;
        }
    }
    for n_bytes in [99, 100, 511, 512, 513, whole.len() / 2, whole.len() - 1] {
        if n_bytes >= 100 {
            refused(&server, &package, whole[..n_bytes].to_vec(), &format!("{n_bytes} bytes")).await;
        }
    }
    // What the head says: the pages' size, whether there is a log beside it, the form, what is free, the encoding.
    for (place, bytes) in [
        (16, &[0_u8, 3][..]),
        (16, &[255, 255]),
        (18, &[2]),
        (19, &[2]),
        (19, &[9]),
        (20, &[255]),
        (21, &[1, 1, 1]),
        (32, &[0, 0, 0, 2, 0, 0, 0, 1]),
        (32, &[255, 255, 255, 255, 0, 0, 0, 9]),
        (44, &[0, 0, 0, 77]),
        (56, &[0, 0, 0, 9]),
    ] {
        let mut odd = whole.clone();
        odd[place..place + bytes.len()].copy_from_slice(bytes);
        let is_taken = harmless(&server, &package, odd, &format!("{bytes:?} at {place}")).await;
        // Of some numbers in the head, SQLite looks at a few bits only, or at none when it reads.
        assert!(!is_taken || matches!(place, 19 | 20 | 21 | 44 | 56) && bytes != [2], "{bytes:?} at {place} was taken");
    }
}

#[tokio::test]
async fn s7_single_bytes_that_differ_never_bring_down_the_server() {
    let server = with_everything().await;
    let (package, _) = package(&server).await;
    package.open().execute_batch("PRAGMA page_size = 512; VACUUM").unwrap();
    let whole = fs::read(package.path()).unwrap();
    let mut state = 7_u64;
    let mut n_refused = 0;
    for _ in 0..150 {
        let mut odd = whole.clone();
        for _ in 0..3 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let place = usize::try_from(state >> 33).unwrap() % odd.len();
            odd[place] = state.to_le_bytes()[3];
        }
        if !odd.starts_with(b"SQLite format 3\0") {
            continue;
        }
        n_refused += u32::from(!harmless(&server, &package, odd, &format!("state {state}")).await);
    }
    assert!(n_refused > 5, "{n_refused}");
    assert!(harmless(&server, &package, whole, "as it is").await, "it goes on");
}
