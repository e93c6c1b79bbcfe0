//! What is edited in a file comes back, from a whole replica and from a file of changes; and what others did goes into one.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use rusqlite::{Connection, functions::FunctionFlags};
use serde_json::Value as Json;

use super::{Geodatabase, create, genuine, structure::with_layers};
use crate::{
    geopackage::contents::with_everything,
    support::{TestServer, server::error},
};

/// Sends a file to the server, and synchronizes with it.
async fn attempt(server: &TestServer, file: &Geodatabase, bytes: Vec<u8>, parameters: &[(&str, &str)]) -> Json {
    let head = b"--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"it.geodatabase\"\r\n\r\n".to_vec();
    let body = [head, bytes, b"\r\n--cut--\r\n".to_vec()].concat();
    let sent = server.post_body("uploads/upload?f=json", "multipart/form-data; boundary=cut", body).await;
    let sent = crate::support::server::json(sent).await;
    let item = sent["item"]["itemID"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned();
    let generation = file.answer["replicaServerGen"].to_string();
    let mut all = vec![
        ("replicaID", file.answer["replicaID"].as_str().unwrap()),
        ("replicaServerGen", &generation),
        ("editsUploadId", &item),
        ("editsUploadFormat", "sqlite"),
        ("rollbackOnFailure", "false"),
    ];
    all.extend(parameters);
    server.post("synchronizeReplica", &all).await
}

async fn synchronize(server: &TestServer, file: &Geodatabase, bytes: Vec<u8>, parameters: &[(&str, &str)]) -> Json {
    let answer = attempt(server, file, bytes, parameters).await;
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}

/// Opens a file as an offline client does: with the functions that only its library has. Each call of the clock is a second later.
fn client(file: &Geodatabase) -> Connection {
    let connection = file.open();
    let seconds = Arc::new(AtomicI64::new(0));
    let flags = FunctionFlags::SQLITE_UTF8;
    let clock = Arc::clone(&seconds);
    connection
        .create_scalar_function("gdb_transaction_time", 0, flags, move |_| {
            let seconds = clock.load(Ordering::Relaxed);
            Ok(2_461_000.5 + f64::from(i32::try_from(seconds).unwrap()) / 86400.0)
        })
        .unwrap();
    connection.create_scalar_function("tick", 0, flags, move |_| Ok(seconds.fetch_add(1, Ordering::Relaxed))).unwrap();
    connection.create_scalar_function("Next_RowID", 2, flags, |_| Ok(9001)).unwrap();
    for name in ["InsertIndexEntry", "UpdateIndexEntry"] {
        connection.create_scalar_function(name, 4, flags, |_| Ok(0)).unwrap();
    }
    connection
}

/// Edits through the view of a layer, one second after the other.
fn edit(client: &Connection, statements: &[&str]) {
    for statement in statements {
        client.query_row("SELECT tick()", [], |_| Ok(())).unwrap();
        client.execute_batch(statement).unwrap();
    }
}

const NEW: &str = "{AAAAAAAA-0002-4000-8000-000000000001}";

#[tokio::test]
async fn what_a_client_edits_through_its_view_arrives_field_by_field() {
    let server = with_everything().await;
    let file = create(&server, &[("layers", "0")]).await;
    let client = client(&file);
    edit(
        &client,
        &[
            &format!(
                "INSERT INTO oak_evw (globalid, species, girth, shape) SELECT '{NEW}', 'new', 12, shape FROM oak WHERE objectid = 7"
            ),
            "UPDATE oak_evw SET species = 'beech' WHERE objectid = 1",
            "UPDATE oak_evw SET species = 'ash' WHERE objectid = 1",
            "UPDATE oak_evw SET shape = (SELECT shape FROM oak WHERE objectid = 4) WHERE objectid = 2",
            "DELETE FROM oak_evw WHERE objectid = 3",
            // What nobody else ever saw, and what comes to nothing.
            "INSERT INTO oak_evw (objectid, globalid, species) VALUES (9002, '{AAAAAAAA-0002-4000-8000-000000000002}', 'gone')",
            "DELETE FROM oak_evw WHERE objectid = 9002",
        ],
    );
    drop(client);
    // Somebody else measured the tree meanwhile.
    server.database.sql("update oak set girth = 4711 where objectid = 1").await;
    let answer = synchronize(
        &server,
        &file,
        std::fs::read(file.path()).unwrap(),
        &[("transportType", "esriTransportTypeEmbedded")],
    )
    .await;
    assert_eq!(answer["edits"][0]["features"]["updateResults"], serde_json::json!([]), "{answer}");
    let rows: String = server
        .database
        .value("select string_agg(species || ' ' || girth || ' ' || ST_AsText(shape), ',' order by objectid) from oak where objectid in (1, 2, 3) or objectid > 700")
        .await;
    assert_eq!(rows, "ash 4711 POINT(10 1),elm 2 POINT(40 4),new 12 POINT(70 7)");
    assert_eq!(
        server.database.value::<String>("select globalid::text from oak where objectid > 700").await.to_uppercase(),
        NEW.trim_matches(['{', '}'])
    );
}

#[tokio::test]
async fn the_same_file_again_changes_nothing_twice() {
    let server = with_everything().await;
    let file = create(&server, &[("layers", "0")]).await;
    edit(&client(&file), &[&format!("INSERT INTO oak_evw (globalid, species) VALUES ('{NEW}', 'new')")]);
    let bytes = std::fs::read(file.path()).unwrap();
    synchronize(&server, &file, bytes.clone(), &[]).await;
    synchronize(&server, &file, bytes, &[]).await;
    assert_eq!(server.database.value::<i64>("select count(*) from oak where species = 'new'").await, 1);
}

#[tokio::test]
async fn attachments_in_a_file_arrive() {
    let server = with_everything().await;
    let file = create(&server, &[("layers", "0"), ("returnAttachments", "true")]).await;
    let client = client(&file);
    edit(
        &client,
        &["INSERT INTO oak__ATTACH_evw (GLOBALID, REL_GLOBALID, CONTENT_TYPE, ATT_NAME, DATA_SIZE, DATA)
           VALUES ('{AAAAAAAA-0003-4000-8000-000000000001}', '{AAAAAAAA-0001-4000-8000-000000000007}', 'image/png', 'a.png', 3, x'010203')"],
    );
    drop(client);
    synchronize(&server, &file, std::fs::read(file.path()).unwrap(), &[]).await;
    let again = create(&server, &[("layers", "0"), ("returnAttachments", "true")]).await;
    assert_eq!(
        again.list("SELECT REL_GLOBALID || ATT_NAME || CONTENT_TYPE || DATA_SIZE || hex(DATA) FROM oak__ATTACH"),
        "{AAAAAAAA-0001-4000-8000-000000000007}a.pngimage/png3010203"
    );
    assert_eq!(again.list("PRAGMA integrity_check"), "ok");
}

/// A file of changes as clients send them, with these rows in its tables.
fn changes(replica: &str, statements: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("delta.geodatabase");
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(&format!(
            "CREATE TABLE GDB_Items (ObjectID integer primary key autoincrement, Name text, Type text, Definition text);
             CREATE TABLE GDB_ColumnRegistry (table_name TEXT, column_name TEXT, object_flags INT32);
             CREATE TABLE st_aux_spatial_reference_systems (srid INTEGER PRIMARY KEY, auth_name TEXT, auth_srid INT32, srtext TEXT, falsex FLOAT64,
               falsey FLOAT64, xyunits FLOAT64, falsez FLOAT64, zunits FLOAT64, falsem FLOAT64, munits FLOAT64);
             INSERT INTO st_aux_spatial_reference_systems VALUES (300001, 'EPSG', 3857, '', -1000, -1000, 100, 0, 1, 0, 1);
             CREATE TABLE GDB_DataChanges (ID INTEGER PRIMARY KEY AUTOINCREMENT, ReplicaGUID uuidtext, ServerGen TEXT(20));
             CREATE TABLE GDB_DataChangesDatasets (ID INTEGER PRIMARY KEY AUTOINCREMENT, Name TEXT(255), Type int16, LayerID int32, ServerGen TEXT(20));
             CREATE TABLE GDB_DataChangesDeltas (ID INTEGER PRIMARY KEY AUTOINCREMENT, RecordsetClassID int32, ChangeType int16, ChangedDatasetID int32);
             INSERT INTO GDB_DataChanges (ReplicaGUID, ServerGen) VALUES ('{{{replica}}}', '0');
             INSERT INTO GDB_DataChangesDatasets (Name, Type, LayerID, ServerGen) VALUES ('oak', 2, 0, '1');
             CREATE TABLE T_1_inserts (\"OBJECTID\" integer primary key autoincrement, species text, girth int32, \"GlobalID\" uuidtext unique not null, \"Shape\" geometryblob);
             CREATE TABLE T_1_updates AS SELECT species, GlobalID FROM T_1_inserts;
             CREATE TABLE T_1_deletes (OBJECTID integer primary key, GlobalID uuidtext);
             INSERT INTO GDB_Items (ObjectID, Name) VALUES (4, 'main.T_1_inserts');
             INSERT INTO GDB_DataChangesDeltas (RecordsetClassID, ChangeType, ChangedDatasetID) VALUES (4, 1, 1);
             {statements}"
        ))
        .unwrap();
    drop(connection);
    std::fs::read(path).unwrap()
}

#[tokio::test]
async fn a_file_of_changes_is_recognised_and_applied() {
    let server = with_everything().await;
    let file = create(&server, &[("layers", "0")]).await;
    let id = file.answer["replicaID"].as_str().unwrap().to_uppercase();
    // A point at (5.5, 6.5) on the file's own grid: 100550, 100650.
    let bytes = changes(
        &id,
        &format!(
            "INSERT INTO T_1_inserts (species, girth, GlobalID, Shape) VALUES ('new', 12, '{NEW}', x'64E19304010000000401060000000100000086A30CAAA40C');
             INSERT INTO T_1_updates VALUES ('ash', '{{AAAAAAAA-0001-4000-8000-000000000001}}');
             INSERT INTO T_1_deletes VALUES (1, '{{AAAAAAAA-0001-4000-8000-000000000003}}')"
        ),
    );
    synchronize(&server, &file, bytes, &[]).await;
    let rows: String = server
        .database
        .value("select string_agg(species || ' ' || girth || ' ' || ST_AsText(shape), ',' order by objectid) from oak where objectid in (1, 3) or objectid > 700")
        .await;
    assert_eq!(rows, "ash 1 POINT(10 1),new 12 POINT(5.5 6.5)");
}

#[tokio::test]
async fn a_geometry_that_cannot_be_read_is_refused_in_its_place() {
    let server = with_everything().await;
    let file = create(&server, &[("layers", "0")]).await;
    let id = file.answer["replicaID"].as_str().unwrap();
    let bytes = changes(
        id,
        &format!(
            "INSERT INTO T_1_inserts (species, GlobalID, Shape) VALUES ('giant', '{NEW}', x'64E19304FFFFFFFF0401060000000100000086A30CAAA40C');
             INSERT INTO T_1_inserts (species, GlobalID, Shape) VALUES ('sound', '{{AAAAAAAA-0002-4000-8000-000000000002}}', NULL)"
        ),
    );
    let answer = synchronize(&server, &file, bytes, &[("transportType", "esriTransportTypeEmbedded")]).await;
    let refused = &answer["edits"][0]["features"]["addResults"];
    assert_eq!(refused[0]["error"]["code"], 1015, "{answer}");
    assert_eq!(
        server.database.value::<String>("select string_agg(species, ',') from oak where objectid > 700").await,
        "sound"
    );
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.rejected_edit").await, 1);
}

#[tokio::test]
async fn hostile_files_change_nothing() {
    let server = with_everything().await;
    let file = create(&server, &[("layers", "0")]).await;
    let id = file.answer["replicaID"].as_str().unwrap();
    let whole = std::fs::read(file.path()).unwrap();
    let other = create(&server, &[("layers", "0")]).await;
    let insert = format!("INSERT INTO T_1_inserts (species, GlobalID) VALUES ('bad', '{NEW}')");
    for (bytes, wanted) in [
        (whole[..whole.len() / 2].to_vec(), "nothing was applied"),
        (std::fs::read(other.path()).unwrap(), "send the file of the replica that you name"),
        (changes("00000000-0000-4000-8000-000000000000", &insert), "send the file of the replica that you name"),
        (changes(id, "DROP TABLE GDB_DataChanges"), "GDB_DataChanges"),
        (
            changes(
                id,
                "UPDATE GDB_DataChangesDatasets SET LayerID = 77; INSERT INTO T_1_inserts (GlobalID) VALUES ('x')",
            ),
            "the service has no such layer",
        ),
        (
            changes(
                id,
                "DROP TABLE T_1_inserts; CREATE VIEW T_1_inserts AS SELECT 'bad' AS species, '{AAAAAAAA-0002-4000-8000-000000000001}' AS GlobalID",
            ),
            "not an ordinary table",
        ),
        (
            changes(id, "DROP TABLE T_1_inserts; CREATE VIRTUAL TABLE T_1_inserts USING rtree(id, a, b)"),
            "not an ordinary table",
        ),
        (changes(id, "UPDATE GDB_DataChangesDatasets SET ID = 5"), "does not say of which layer"),
        ([b"SQLite format 3\0".to_vec(), vec![7; 5000]].concat(), "nothing was applied"),
    ] {
        let answer = attempt(&server, &file, bytes, &[]).await;
        let said = error(&answer);
        assert!(said.1.contains(wanted), "{wanted}: {answer}");
    }
    assert_eq!(server.database.value::<i64>("select count(*) from oak").await, 700);
}

#[tokio::test]
async fn changes_of_others_come_as_a_file_of_changes() {
    let server = with_everything().await;
    let file = create(&server, &[("layers", "0,2"), ("returnAttachments", "true")]).await;
    server
        .database
        .sql(
            "insert into oak (globalid, species, shape) values ('aaaaaaaa-0002-4000-8000-000000000001', 'new', ST_Point(5.5, 6.5, 3857));
             update oak set girth = 4711 where objectid = 1;
             delete from oak where objectid = 3",
        )
        .await;
    let generation = file.answer["replicaServerGen"].to_string();
    let answer = server
        .post(
            "synchronizeReplica",
            &[
                ("replicaID", file.answer["replicaID"].as_str().unwrap()),
                ("replicaServerGen", &generation),
                ("dataFormat", "sqlite"),
                ("syncDirection", "download"),
            ],
        )
        .await;
    assert_eq!(answer["responseType"], "esriReplicaResponseTypeEdits", "{answer}");
    let changes = Geodatabase::fetch(&server, answer).await;
    assert_eq!(changes.list("PRAGMA integrity_check"), "ok");
    assert_eq!(
        changes.list("SELECT Name || '|' || Type || '|' || LayerID FROM GDB_DataChangesDatasets"),
        "oak|2|0,oak__ATTACH|1|0,kinds|2|2"
    );
    assert_eq!(
        changes.list("SELECT DISTINCT ServerGen FROM GDB_DataChangesDatasets"),
        changes.answer["replicaServerGen"].to_string()
    );
    assert_eq!(
        changes.list(
            "SELECT d.ChangeType || i.Name || c.Name FROM GDB_DataChangesDeltas d JOIN GDB_Items i ON i.ObjectID = d.RecordsetClassID
             JOIN GDB_DataChangesDatasets c ON c.ID = d.ChangedDatasetID ORDER BY d.ChangeType"
        ),
        "1main.T_1_insertsoak,2main.T_1_updatesoak,3main.T_1_deletesoak"
    );
    assert_eq!(changes.list("SELECT species || globalid || length(shape) FROM T_1_inserts"), format!("new{NEW}30"));
    assert_eq!(changes.list("SELECT species || girth FROM T_1_updates"), "elm4711");
    assert_eq!(changes.list("SELECT globalid FROM T_1_deletes"), "{AAAAAAAA-0001-4000-8000-000000000003}");
    // The server reads its own files as it reads a client's.
    let bytes = std::fs::read(changes.path()).unwrap();
    synchronize(&server, &file, bytes, &[]).await;
}

#[tokio::test]
async fn results_come_with_the_changes_and_a_snapshot_is_a_whole_file() {
    let server = with_everything().await;
    let file = create(&server, &[("layers", "0")]).await;
    let id = file.answer["replicaID"].as_str().unwrap();
    let bytes = changes(id, "INSERT INTO T_1_updates VALUES ('lost', '{AAAAAAAA-0009-4000-8000-000000000001}')");
    let answer = synchronize(&server, &file, bytes, &[("dataFormat", "sqlite")]).await;
    let given = Geodatabase::fetch(&server, answer).await;
    assert_eq!(
        given.list(
            "SELECT ObjectGuid || Success || Code || ChangeType || SyncedLayerId FROM GDB_DataChangesEditResults"
        ),
        "{AAAAAAAA-0009-4000-8000-000000000001}0101120"
    );
    let parameters = [("replicaID", id), ("syncDirection", "snapshot"), ("dataFormat", "sqlite")];
    let whole = Geodatabase::fetch(&server, server.post("synchronizeReplica", &parameters).await).await;
    assert_eq!(whole.list("SELECT count(*) FROM oak_evw"), "700");
    assert_eq!(whole.list("PRAGMA integrity_check"), "ok");
}

#[tokio::test]
async fn every_type_of_value_comes_back_as_it_went() {
    let server = with_everything().await;
    let file = create(&server, &[("layers", "2"), ("replicaSR", "4326")]).await;
    let columns =
        ["small", "whole", "big", "single", "double", "word", "yes", "moment", "day", "clock", "ref", "shape"];
    let set: Vec<String> =
        columns.iter().map(|name| format!("{name} = (SELECT {name} FROM kinds WHERE objectid = 1)")).collect();
    edit(&client(&file), &[&format!("UPDATE kinds_evw SET {} WHERE objectid = 2", set.join(", "))]);
    synchronize(&server, &file, std::fs::read(file.path()).unwrap(), &[]).await;
    let row = async |id: i32| -> String {
        let columns = "to_jsonb(k) - 'objectid' - 'globalid' - 'shape'";
        let shape = "ST_AsText(shape), ST_NPoints(shape)";
        server.database.value(&format!("select concat({columns}, {shape}) from kinds k where objectid = {id}")).await
    };
    assert_eq!(row(2).await, row(1).await);
}

#[tokio::test]
async fn the_one_open_edit_of_a_genuine_replica_is_found() {
    let sample = genuine("offlineSample.geodatabase");
    let server = with_layers(&sample, &["Commercial_Buildings", "Residential_Buildings", "Public_Facilities"]).await;
    server
        .database
        .sql("insert into \"Commercial_Buildings\" (\"GlobalID\", \"Creator\") values ('B293A526-C16C-4F46-BE12-70296F28CB96', 'kept')")
        .await;
    let file = create(&server, &[("layers", "0,1,2")]).await;
    // The genuine file, as if it were of this replica.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/geodatabase/offlineSample.geodatabase");
    std::fs::write(file.path(), std::fs::read(path).unwrap()).unwrap();
    let id = file.answer["replicaID"].as_str().unwrap();
    file.open()
        .execute(
            "UPDATE GDB_Items NOT INDEXED SET Definition = replace(Definition, '0F94E812-7D78-45CE-ADAB-266A62E3EDFF', ?1)
             WHERE Definition LIKE '%GPSyncReplica%'",
            [id],
        )
        .unwrap();
    synchronize(&server, &file, std::fs::read(file.path()).unwrap(), &[]).await;
    let query = "select string_agg(concat_ws('|', \"Creator\", \"Editor\", \"TYPDAMAGE\", \"EditDate\" at time zone 'UTC', ST_AsText(\"SHAPE\")), ',')
        from \"Commercial_Buildings\"";
    assert_eq!(
        server.database.value::<String>(query).await,
        "kept|2016-03-04 20:44:06.124|POINT(-13639564.3454 4544493.7917)",
        "the moment and the place were changed, and nothing else"
    );
    for table in ["Residential_Buildings", "Public_Facilities"] {
        assert_eq!(server.database.value::<i64>(&format!("select count(*) from \"{table}\"")).await, 0);
    }
}
