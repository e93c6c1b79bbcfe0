//! Files are made, looked at by SQLite itself, and read back; files of strangers are refused.

use std::time::Duration;

use rusqlite::{Connection, types::ValueRef};

use super::{
    packed::Boxes,
    read::{Bounds, Reader},
    sorted::{Index, Sorter, distinct, id_key, number, ordered},
    write::Writing,
};
use crate::{error::Error, files::Files, model::data_format::DataFormat};

const BOUNDS: Bounds = Bounds { max_value_bytes: 1 << 20, time: Duration::from_secs(20) };

fn indexed(boxes: &[(i64, [f64; 4])]) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE VIRTUAL TABLE \"tree \"\"x\" USING rtree(id, minx, maxx, miny, maxy)").unwrap();
    let mut packed = Boxes::beside(&connection);
    for &(id, bounds) in boxes {
        packed.add(id, bounds).unwrap();
    }
    packed.write(&connection, "tree \"x").unwrap();
    connection
}

/// Boxes spread as if by chance.
fn scattered(n: i64) -> Vec<(i64, [f64; 4])> {
    let mut state: u64 = 7;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 33).unwrap()) / f64::from(u32::MAX) * 360.0 - 90.0
    };
    (0..n)
        .map(|id| {
            let (x, y) = (next(), next());
            (id * 3 - n, [x, y, x + next().abs() / 100.0, y + next().abs() / 100.0])
        })
        .collect()
}

#[test]
fn sqlite_finds_no_fault_in_a_packed_index_and_finds_what_is_in_it() {
    for n in [0, 1, 50, 51, 52, 53, 2601, 2602, 20_000] {
        let boxes = scattered(n);
        let connection = indexed(&boxes);
        let verdict: String = connection.query_row("SELECT rtreecheck('tree \"x')", [], |row| row.get(0)).unwrap();
        assert_eq!(verdict, "ok", "{n} boxes");
        let [min_x, min_y, max_x, max_y] = [-10.0, -20.0, 15.0, 12.5];
        let expected = boxes.iter().filter(|(_, b)| b[2] >= min_x && b[0] <= max_x && b[3] >= min_y && b[1] <= max_y);
        let found: i64 = connection
            .query_row(
                "SELECT count(*) FROM \"tree \"\"x\" WHERE maxx >= ? AND minx <= ? AND maxy >= ? AND miny <= ?",
                [min_x, max_x, min_y, max_y],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(found, i64::try_from(expected.count()).unwrap(), "{n} boxes");
    }
}

#[test]
fn a_packed_index_can_be_changed() {
    let boxes = scattered(5000);
    let connection = indexed(&boxes);
    for (id, bounds) in boxes.iter().step_by(2) {
        connection.execute("DELETE FROM \"tree \"\"x\" WHERE id = ?", [id]).unwrap();
        connection
            .execute(
                "INSERT INTO \"tree \"\"x\" VALUES (?, ?, ?, ?, ?)",
                (id + 1, bounds[1], bounds[3], bounds[0], bounds[2]),
            )
            .unwrap();
    }
    let verdict: String = connection.query_row("SELECT rtreecheck('tree \"x')", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    let count: i64 = connection.query_row("SELECT count(*) FROM \"tree \"\"x\"", [], |row| row.get(0)).unwrap();
    assert_eq!(count, 5000);
}

#[test]
fn boxes_without_a_place_are_left_out() {
    let connection = indexed(&[(1, [0.0, 0.0, f64::NAN, 1.0]), (2, [f64::INFINITY; 4]), (3, [1.0, 1.0, 1.0, 1.0])]);
    let ids: Vec<i64> = connection
        .prepare("SELECT id FROM \"tree \"\"x\"")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(ids, [3]);
}

#[test]
fn records_are_sorted_also_beyond_the_memory_and_leave_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let connection = Connection::open(directory.path().join("it.db")).unwrap();
    connection.execute_batch("CREATE TABLE t (n)").unwrap();
    for n in [0, 1, 1000, 300_000] {
        let mut sorter = Sorter::<16>::beside(&connection);
        let mut expected = Vec::new();
        for (id, [x, ..]) in scattered(n) {
            let mut record = [0; 16];
            record[..8].copy_from_slice(&x.to_bits().to_be_bytes());
            record[8..].copy_from_slice(&ordered(id));
            sorter.push(record).unwrap();
            expected.push(record);
        }
        expected.sort_unstable();
        let sorted = sorter.sorted().unwrap();
        for _ in 0..2 {
            let read: Vec<[u8; 16]> = sorted.iter().unwrap().map(Result::unwrap).collect();
            assert!(read == expected, "{n} records");
        }
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "only the database");
    let numbers = [i64::MIN, -1, 0, 1, i64::MAX];
    assert!(numbers.map(ordered).is_sorted() && numbers.map(ordered).map(number) == numbers);
}

#[test]
fn an_index_built_of_sorted_entries_is_like_one_of_sqlites() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("it.db");
    for n in [0, 1, 5000] {
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("DROP TABLE IF EXISTS t; BEGIN; CREATE TABLE t (k INTEGER PRIMARY KEY, a TEXT)")
            .unwrap();
        let mut entries = Vec::new();
        for k in 0..n {
            let a = format!("{:08}", k * 7919 % n);
            connection.execute("INSERT INTO t VALUES (?, ?)", (k, &a)).unwrap();
            entries.push(Ok((a, k)));
        }
        entries.sort_by(|a: &rusqlite::Result<_>, b| a.as_ref().unwrap().cmp(b.as_ref().unwrap()));
        let index =
            Index { name: "the_index", table: "t", sql: "CREATE UNIQUE INDEX the_index ON t (a)", n_columns: 1 };
        index
            .build(&connection, entries.into_iter(), |(a, k), slots| {
                slots.put(ValueRef::Text(a.as_bytes()))?;
                slots.put(ValueRef::Integer(*k))
            })
            .unwrap();
        connection.execute_batch("COMMIT").unwrap();
        drop(connection);
        let connection = Connection::open(&path).unwrap();
        let text = |query: &str| connection.query_row(query, [], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(text("PRAGMA integrity_check"), "ok", "{n} rows");
        assert_eq!(text("SELECT group_concat(type) FROM sqlite_schema"), "table,index");
        let plan =
            connection.query_row("EXPLAIN QUERY PLAN SELECT k FROM t WHERE a = 'x'", [], |row| row.get::<_, String>(3));
        assert!(plan.unwrap().contains("the_index"), "it is used");
        if n > 1 {
            assert!(connection.execute("INSERT INTO t VALUES (-1, '00000001')", []).is_err(), "it is unique");
            connection.execute_batch("DELETE FROM t WHERE k % 2 = 0; INSERT INTO t VALUES (-2, 'x')").unwrap();
            assert_eq!(text("PRAGMA integrity_check"), "ok");
        }
    }
    let twice = [id_key([1; 16], 1), id_key([2; 16], 2), id_key([2; 16], 3)];
    let results: Vec<_> = distinct(twice.into_iter().map(Ok)).collect();
    assert!(results[1].is_ok() && results[2].is_err());
}

#[tokio::test]
async fn a_file_is_written_from_messages_and_appears_when_it_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::open(directory.path(), 0).await.unwrap();
    let mut writing = Writing::begin(files.place(), |connection, coming| {
        connection.execute_batch("CREATE TABLE t (n)").map_err(super::cannot_write)?;
        while let Some(n) = coming.next()? {
            let _: i64 = n;
            connection.execute("INSERT INTO t VALUES (?)", [n]).map_err(super::cannot_write)?;
        }
        Ok(())
    });
    for n in 0..100 {
        writing.tell(n).await.unwrap();
    }
    let export = files.keep(writing.finish().await.unwrap(), DataFormat::GeoPackage).await.unwrap();
    let (file, size) = files.export(export.id).await.unwrap().unwrap();
    assert_eq!((size, file.metadata().await.unwrap().len()), (export.size_bytes, export.size_bytes));
    assert_eq!(std::fs::read_dir(directory.path().join("spool")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_whose_rows_fail_half_way_is_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let files = Files::open(directory.path(), 0).await.unwrap();
    let (told, failed) = tokio::sync::oneshot::channel();
    let mut writing = Writing::begin(files.place(), move |connection, coming| {
        connection.execute_batch("CREATE TABLE t (n)").map_err(super::cannot_write)?;
        let outcome = loop {
            match coming.next() {
                Ok(Some(n)) => {
                    let _: i64 = n;
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        told.send(outcome.is_err()).unwrap();
        outcome
    });
    writing.tell(1).await.unwrap();
    drop(writing);
    assert!(failed.await.unwrap(), "the end was not said");
}

fn refused(bytes: &[u8]) -> String {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("odd name?#%.db");
    std::fs::write(&path, bytes).unwrap();
    match Reader::open(&path, "editsUploadId", BOUNDS) {
        Err(Error::InvalidParameter { name: "editsUploadId", problem }) => problem,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was taken"),
    }
}

fn database(sql: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made.db");
    let connection = Connection::open(&path).unwrap();
    connection.execute_batch(sql).unwrap();
    connection.close().unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn what_is_no_database_is_refused() {
    assert!(refused(b"").contains("not an SQLite database"));
    assert!(refused(b"PK\x03\x04 and so on, a zip").contains("not an SQLite database"));
    let mut noise = b"SQLite format 3\0".to_vec();
    noise.extend((0u32..20_000).map(|n| u8::try_from(n.wrapping_mul(2_654_435_761) >> 24).unwrap()));
    assert!(refused(&noise).contains("nothing was applied"));
}

#[test]
fn only_ordinary_tables_are_seen_and_nothing_but_reading_is_possible() {
    let bytes = database(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, n TEXT, double_n GENERATED ALWAYS AS (n || n));
         CREATE VIEW v AS SELECT * FROM a; CREATE VIRTUAL TABLE r USING rtree(id, a, b);
         INSERT INTO a (n) VALUES ('x')",
    );
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("odd name?#%.db");
    std::fs::write(&path, bytes).unwrap();
    let reader = Reader::open(&path, "editsUploadId", BOUNDS).unwrap();
    assert!(reader.table("A").is_some() && reader.table("v").is_none() && reader.table("r").is_none());
    let columns: Vec<&str> = reader.table("a").unwrap().columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(columns, ["id", "n"]);
    let one: i64 = reader.connection().query_row("SELECT count(*) FROM a", [], |row| row.get(0)).unwrap();
    assert_eq!(one, 1);
    for statement in
        ["DELETE FROM a", "SELECT * FROM v", "PRAGMA query_only = OFF", "ATTACH 'x' AS y", "CREATE TEMP TABLE t (a)"]
    {
        assert!(reader.connection().execute_batch(statement).is_err(), "{statement}");
    }
}

#[test]
fn reading_without_end_is_stopped() {
    let bytes = database("CREATE TABLE a (n)");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.db");
    std::fs::write(&path, bytes).unwrap();
    let bounds = Bounds { time: Duration::ZERO, ..BOUNDS };
    let reader = Reader::open(&path, "editsUploadId", bounds).unwrap();
    let endless = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT count(*) FROM c";
    let error = reader.connection().query_row(endless, [], |row| row.get::<_, i64>(0)).unwrap_err();
    assert!(super::read::faulty("editsUploadId", &error).to_string().contains("longer than is allowed"), "{error}");
}
