//! What is edited in a file comes back, and what others did goes into one.

use serde_json::{Value as Json, json};

use super::{Package, contents::with_everything, create, gdal};
use crate::support::{TestServer, server::error};

const ATTACHMENTS: (&str, &str) = ("returnAttachments", "true");
/// All visits: rows of tables come only with what they belong to, unless that is asked for.
pub const VISITS: (&str, &str) = ("layerQueries", r#"{"1": {"queryOption": "all"}}"#);

/// Sends a file to the server as it is, and synchronizes with it.
pub async fn attempt(server: &TestServer, package: &Package, bytes: Vec<u8>, parameters: &[(&str, &str)]) -> Json {
    let head = b"--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"it.gpkg\"\r\n\r\n".to_vec();
    let body = [head, bytes, b"\r\n--cut--\r\n".to_vec()].concat();
    let sent = server.post_body("uploads/upload?f=json", "multipart/form-data; boundary=cut", body).await;
    let sent = crate::support::server::json(sent).await;
    let item = sent["item"]["itemID"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned();
    let generation = package.answer["replicaServerGen"].to_string();
    let mut all = vec![
        ("replicaID", package.answer["replicaID"].as_str().unwrap()),
        ("replicaServerGen", &generation),
        ("editsUploadId", &item),
        ("editsUploadFormat", "sqlite"),
        ("rollbackOnFailure", "false"),
    ];
    all.extend(parameters);
    server.post("synchronizeReplica", &all).await
}

pub async fn synchronize(server: &TestServer, package: &Package, parameters: &[(&str, &str)]) -> Json {
    let answer = attempt(server, package, std::fs::read(package.path()).unwrap(), parameters).await;
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}

/// Edits that GDAL makes: a new tree from GeoJSON, a changed one, one that is moved, and one that is felled.
fn edit_with_gdal(package: &Package) -> bool {
    let path = package.path();
    let new = path.with_file_name("new.geojson");
    let feature = json!({"type": "FeatureCollection", "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}, "features": [
        {"type": "Feature", "properties": {"species": "new", "girth": 12}, "geometry": {"type": "Point", "coordinates": [5.5, 6.5]}}]});
    std::fs::write(&new, feature.to_string()).unwrap();
    let file = path.to_str().unwrap();
    if gdal("ogr2ogr", &["-f", "GPKG", "-update", "-append", "-nln", "oak", file], &new).is_none() {
        return false;
    }
    for statement in [
        "UPDATE oak SET species = 'beech' WHERE objectid = 1",
        // What is written again as it was is no edit.
        "UPDATE oak SET species = species, shape = shape WHERE objectid = 5",
        "UPDATE oak SET shape = (SELECT shape FROM oak WHERE objectid = 4) WHERE objectid = 2",
        "DELETE FROM oak WHERE objectid = 3",
    ] {
        gdal("ogrinfo", &["-sql", statement], &path);
    }
    true
}

#[tokio::test]
async fn edits_made_with_gdal_are_logged_and_arrive_field_by_field() {
    let server = with_everything().await;
    let package = create(&server, &[("layers", "0,1"), ATTACHMENTS]).await;
    if !edit_with_gdal(&package) {
        return;
    }
    assert_eq!(package.list("SELECT op || ifnull(fields, '') FROM sync_changes"), "I,U\"species\",,U\"shape\",,D");
    // Somebody else measured the tree meanwhile.
    server.database.sql("update oak set girth = 4711 where objectid = 1").await;
    let answer = synchronize(&server, &package, &[("returnIdsForAdds", "true"), ("dataFormat", "geopackage")]).await;
    let rows: String = server
        .database
        .value("select string_agg(species || ' ' || girth || ' ' || ST_AsText(shape), ',' order by objectid) from oak where objectid in (1, 2, 3, 5, 701)")
        .await;
    assert_eq!(rows, "beech 4711 POINT(10 1),elm 2 POINT(40 4),elm 5 POINT(50 5),new 12 POINT(5.5 6.5)");
    // The tree that was measured is in the answer, with both edits.
    let changes = Package::fetch(&server, answer).await;
    assert_eq!(changes.list("SELECT op || ' ' || oid FROM sync_changes"), "U 1");
    assert_eq!(changes.list("SELECT species || girth FROM oak"), "beech4711");
    assert_eq!(changes.list("SELECT op || success || oid FROM sync_results"), "I1701");
    assert_eq!(changes.list("SELECT server_gen FROM sync_replica"), changes.answer["replicaServerGen"].to_string());
    assert_eq!(
        changes.list("SELECT globalid FROM sync_results"),
        package.list("SELECT globalid FROM oak WHERE species = 'new'")
    );
}

#[tokio::test]
async fn the_same_file_again_changes_nothing_twice() {
    let server = with_everything().await;
    let package = create(&server, &[("layers", "0,1"), VISITS]).await;
    package.open().execute_batch("INSERT INTO visit (note) VALUES ('one'), ('two')").unwrap();
    synchronize(&server, &package, &[]).await;
    synchronize(&server, &package, &[]).await;
    assert_eq!(
        server.database.value::<String>("select string_agg(note, ',' order by note) from visit").await,
        "one,two"
    );
}

#[tokio::test]
async fn what_the_log_comes_to_is_what_is_done() {
    let server = with_everything().await;
    server.database.sql("insert into visit (note) select 'note ' || n from generate_series(1, 6) n").await;
    let package = create(&server, &[("layers", "1"), VISITS]).await;
    package
        .open()
        .execute_batch(
            "INSERT INTO visit (note) VALUES ('made and gone'), ('made and changed');
             DELETE FROM visit WHERE note = 'made and gone';
             UPDATE visit SET note = 'changed' WHERE note = 'made and changed';
             UPDATE visit SET note = 'a' WHERE note = 'note 1'; UPDATE visit SET note = 'b' WHERE note = 'a';
             UPDATE visit SET note = 'c' WHERE note = 'note 2'; DELETE FROM visit WHERE note = 'c';
             -- Replaced under its own id: the row that was there is gone, and this is another one.
             INSERT OR REPLACE INTO visit (objectid, note) VALUES (3, 'another');
             -- Replaced with its identity: it is the same.
             INSERT OR REPLACE INTO visit (objectid, globalid, note) SELECT 4, globalid, 'the same' FROM visit WHERE note = 'note 4';
             INSERT OR REPLACE INTO visit (globalid, note) SELECT globalid, 'doomed' FROM visit WHERE note = 'note 6';
             DELETE FROM visit WHERE note = 'doomed';
             -- A copy in a program that makes values unique by adding to them.
             INSERT INTO visit (globalid, note) SELECT globalid || '_1', 'copied' FROM visit WHERE note = 'note 5'",
        )
        .unwrap();
    assert!(package.open().execute_batch("UPDATE visit SET globalid = NULL WHERE note = 'note 5'").is_err());
    synchronize(&server, &package, &[]).await;
    let notes: String = server.database.value("select string_agg(note, ',' order by note) from visit").await;
    assert_eq!(notes, "another,b,changed,copied,note 5,the same");
    assert_eq!(
        server.database.value::<i64>("select count(*) from visit where objectid in (1, 4)").await,
        2,
        "rows keep their identity"
    );
}

#[tokio::test]
async fn attachments_go_both_ways() {
    let server = with_everything().await;
    let package = create(&server, &[("layers", "0"), ATTACHMENTS]).await;
    let tree = "{AAAAAAAA-0001-4000-8000-000000000007}";
    let bytes = vec![7_u8; 300_000];
    package
        .open()
        .execute(
            "INSERT INTO oak__ATTACH (REL_GLOBALID, CONTENT_TYPE, ATT_NAME, DATA) VALUES (?, 'image/png', 'a.png', ?)",
            (tree, &bytes),
        )
        .unwrap();
    synchronize(&server, &package, &[]).await;
    let again = create(&server, &[("layers", "0"), ATTACHMENTS]).await;
    assert_eq!(again.list("SELECT DATA FROM oak__ATTACH"), "300000 bytes");
    assert_eq!(again.list("SELECT ATT_NAME || CONTENT_TYPE || DATA_SIZE FROM oak__ATTACH"), "a.pngimage/png300000");
    assert_eq!(again.list("SELECT base_id FROM oak__ATTACH_map"), "7", "programs find the attachments of a feature");
    assert_eq!(again.list("SELECT GLOBALID FROM oak__ATTACH"), package.list("SELECT GLOBALID FROM oak__ATTACH"));
    // Renamed without its bytes; and gone with its feature in another file.
    again.open().execute_batch("UPDATE oak__ATTACH SET ATT_NAME = 'b.png'").unwrap();
    let renamed = synchronize(&server, &again, &[("dataFormat", "geopackage")]).await;
    assert_eq!(renamed["responseType"], "esriReplicaResponseTypeNoEdits", "{renamed}");
    let third = create(&server, &[("layers", "0"), ATTACHMENTS]).await;
    assert_eq!(third.list("SELECT ATT_NAME || DATA_SIZE FROM oak__ATTACH"), "b.png300000");
    let answer = attempt(
        &server,
        &package,
        std::fs::read(package.path()).unwrap(),
        &[("syncDirection", "download"), ("dataFormat", "gpkg")],
    )
    .await;
    let changes = Package::fetch(&server, answer).await;
    assert_eq!(
        changes.list("SELECT op || is_attachment FROM sync_changes"),
        "I1",
        "it was not there when the file was made"
    );
    assert_eq!(changes.list("SELECT ATT_NAME FROM oak__ATTACH"), "b.png");
}

#[tokio::test]
async fn an_edit_that_does_not_fit_is_refused_by_itself() {
    let server = with_everything().await;
    let package = create(&server, &[("layers", "1,2"), VISITS]).await;
    package
        .open()
        .execute_batch(
            "INSERT INTO visit (oak_id, note) VALUES ('no guid', 'bad'), (NULL, 'good');
             UPDATE sync_replica SET tracking = 0; DROP TRIGGER rtree_kinds_shape_update6; DROP TRIGGER rtree_kinds_shape_update7;
             DROP TRIGGER rtree_kinds_shape_update2; DROP TRIGGER rtree_kinds_shape_update4; DROP TRIGGER rtree_kinds_shape_update5;
             UPDATE sync_replica SET tracking = 1; UPDATE kinds SET shape = x'00010203', moment = 2459000.5 WHERE objectid = 1;
             UPDATE kinds SET moment = 2459000.5 WHERE objectid = 2",
        )
        .unwrap();
    let answer = synchronize(&server, &package, &[("dataFormat", "gpkg")]).await;
    let changes = Package::fetch(&server, answer).await;
    let told = changes
        .list("SELECT layer_id || op || code || ' ' || description FROM sync_results ORDER BY layer_id, op, globalid");
    assert!(told.contains("1I1016") && told.contains("'no guid' is not a GUID"), "{told}");
    assert!(told.contains("2U1016") && told.contains("'2459000.5 (a number)' is not a date"), "{told}");
    assert_eq!(server.database.value::<String>("select string_agg(note, ',') from visit").await, "good");
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.rejected_edit").await, 3, "they are kept");
}

#[tokio::test]
async fn a_snapshot_comes_as_a_file_and_nothing_new_as_no_file() {
    let server = with_everything().await;
    let package = create(&server, &[("layers", "0")]).await;
    let id = package.answer["replicaID"].as_str().unwrap().to_owned();
    let generation = package.answer["replicaServerGen"].to_string();
    let ask = [("replicaID", id.as_str()), ("replicaServerGen", &generation), ("dataFormat", "geopackage")];
    let nothing = server.post("synchronizeReplica", &ask).await;
    assert_eq!(
        (&nothing["responseType"], nothing.get("URL")),
        (&json!("esriReplicaResponseTypeNoEdits"), None),
        "{nothing}"
    );
    let snapshot = server
        .post(
            "synchronizeReplica",
            &[("replicaID", id.as_str()), ("syncDirection", "snapshot"), ("dataFormat", "geopackage")],
        )
        .await;
    assert_eq!(snapshot["responseType"], "esriReplicaResponseTypeReplacementData");
    let snapshot = Package::fetch(&server, snapshot).await;
    assert_eq!(snapshot.list("SELECT count(*) FROM oak"), "700");
    assert_eq!(snapshot.list("SELECT replaces FROM sync_layers"), "1");
}

#[tokio::test]
async fn f44_s7_files_of_strangers_are_refused_and_nothing_is_applied() {
    let server = with_everything().await;
    let package = create(&server, &[("layers", "1"), VISITS]).await;
    package.open().execute_batch("INSERT INTO visit (note) VALUES ('from the file')").unwrap();
    let whole = std::fs::read(package.path()).unwrap();
    let changed = |sql: &str| {
        let path = package.path().with_file_name("changed.gpkg");
        std::fs::write(&path, &whole).unwrap();
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch(sql).unwrap();
        connection.close().unwrap();
        std::fs::read(&path).unwrap()
    };
    let log_as = |definition: &str| {
        format!("CREATE TABLE kept AS SELECT * FROM sync_changes; DROP TABLE sync_changes; {definition}")
    };
    let cases = [
        (whole[..whole.len() / 2].to_vec(), "is incomplete"),
        (whole[..50].to_vec(), "not an SQLite database"),
        ([&whole[..100], &[0x5a; 8000]].concat(), "nothing was applied"),
        (changed("PRAGMA journal_mode = WAL"), "still open in another program"),
        (
            changed("UPDATE sync_replica SET replica_id = '0b2c4d6e-8f10-4a3b-9c5d-e7f901a2b3c4'"),
            "the file is of replica '0b2c4d6e",
        ),
        (changed("UPDATE sync_replica SET format_version = 2"), "the log in the file has version 2"),
        (changed("DELETE FROM sync_replica"), "does not say whose it is"),
        (changed(&log_as("CREATE VIEW sync_changes AS SELECT * FROM kept")), "not the file of a replica"),
        (
            changed(&log_as("CREATE VIRTUAL TABLE sync_changes USING rtree(layer_id, a, b)")),
            "not the file of a replica",
        ),
        (changed("UPDATE sync_layers SET table_name = 'no such \" table'"), "is not there or is not an ordinary table"),
        (changed("UPDATE sync_layers SET layer_id = 77"), "the file has a layer 77"),
        (changed("UPDATE sync_layers SET globalid_field = 'nothing'"), "has no column 'nothing'"),
        (changed("UPDATE sync_changes SET op = 'U', fields = 'no json'"), "names fields as 'no json'"),
        (changed("UPDATE visit SET note = CAST(x'ff' AS TEXT)"), "not UTF-8"),
    ];
    for (bytes, words) in cases {
        // What is not even the beginning of a database is taken for JSON.
        if !bytes.starts_with(b"SQLite format 3\0") || bytes.len() < 100 && words.contains("SQLite") {
            let answer = attempt(&server, &package, bytes, &[]).await;
            assert!(error(&answer).1.contains("editsUploadId"), "{answer}");
            continue;
        }
        let answer = attempt(&server, &package, bytes, &[]).await;
        let (code, message) = error(&answer);
        assert!(code == 400 && message.contains(words), "{words}: {answer}");
        assert_eq!(server.database.value::<i64>("select count(*) from visit").await, 0, "{words}");
    }
    // Only what the log names is read, by a column that has no function in it.
    let odd = changed(
        "DROP TABLE IF EXISTS oak; CREATE TABLE more (x); CREATE TRIGGER t AFTER INSERT ON more BEGIN DELETE FROM visit; END",
    );
    let answer = attempt(&server, &package, odd, &[]).await;
    assert!(answer.get("error").is_none(), "{answer}");
    assert_eq!(server.database.value::<String>("select note from visit").await, "from the file");
}
