//! Edits of other programs go up, those of others come down, and what is refused or in conflict is told.

use std::process::Command;

use rusqlite::params;
use serde_json::Value as Json;

use super::{Field, open, point, trees_in};

fn tree(n: u32) -> String {
    format!("{{51170000-0000-4000-8000-{n:012}}}")
}

#[tokio::test]
async fn edits_made_with_sql_go_up_and_those_of_others_come_down() {
    let field = Field::new().await;
    let (one, two) = (field.clone("one.gpkg"), field.clone("two.gpkg"));
    assert_eq!(trees_in(&one), field.trees().await);
    let db = open(&one);
    db.execute(
        "insert into tree (species, girth, seen, shape) values ('elm', 9, '2024-05-06T07:08:09.123Z', ?1)",
        [point(7.5, 8.25)],
    )
    .unwrap();
    db.execute("update tree set girth = 20 where girth = 2", []).unwrap();
    db.execute("update tree set shape = null where girth = 4", []).unwrap();
    db.execute("delete from tree where girth = 3", []).unwrap();
    db.execute("update note set words = 'naïve ''words'''", []).unwrap();
    field
        .database
        .sql("update tree set species = 'ash' where girth = 5; insert into note (words) values ('theirs')")
        .await;
    let pending = &field.status(&one)["layers"][0]["pending"];
    assert_eq!((&pending["adds"], &pending["updates"], &pending["deletes"]), (&1.into(), &2.into(), &1.into()));
    let said = field.synced(&one);
    assert_eq!((&said["sent"], &said["received"]), (&5.into(), &2.into()), "{said}");
    field.synced(&two);
    let trees = field.trees().await;
    assert_eq!(trees.len(), 5);
    assert_eq!(trees_in(&one), trees, "rows have the server's object ids");
    assert_eq!(trees_in(&two), trees);
    let words: String = field.database.value("select string_agg(words, '|' order by words) from note").await;
    assert_eq!(words, "naïve 'words'|theirs");
    let said = field.synced(&one);
    assert_eq!(
        (&said["sent"], &said["received"], &said["deleted"]),
        (&0.into(), &0.into(), &0.into()),
        "nothing is sent twice"
    );
}

#[tokio::test]
async fn edits_made_with_gdal_keep_the_spatial_index_true() {
    let field = Field::new().await;
    let path = field.path("gdal.gpkg");
    field.program.done(&["clone", &field.url(), path.to_str().unwrap(), "--bbox-sr", "3857", "--bbox", "0,0,100,100"]);
    let file = path.to_str().unwrap();
    let csv = field.path("new.csv");
    std::fs::write(&csv, "species,girth,WKT\nlime,77,POINT (50 60)\n").unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
    };
    let append = [
        "-append",
        "-a_srs",
        "EPSG:3857",
        "-oo",
        "GEOM_POSSIBLE_NAMES=WKT",
        "-oo",
        "AUTODETECT_TYPE=YES",
        "-nln",
        "tree",
    ];
    run("ogr2ogr", &[&append, &[file, csv.to_str().unwrap()][..]].concat());
    run(
        "ogrinfo",
        &[file, "-sql", "UPDATE tree SET shape = ST_Transform(shape, 3857), species = 'yew' WHERE girth = 1"],
    );
    run("ogrinfo", &[file, "-sql", "DELETE FROM tree WHERE girth = 2"]);
    field.database.sql("update tree set shape = st_setsrid(st_makepoint(90, 91), 3857) where girth = 5").await;
    let said = field.synced(&path);
    assert_eq!(said["sent"], 3, "{said}");
    let trees = field.trees().await;
    assert_eq!(trees_in(&path), trees);
    assert!(trees.iter().any(|tree| tree.2.as_deref() == Some("lime") && tree.5 == Some(50.0)));
    assert!(trees.iter().any(|tree| tree.2.as_deref() == Some("yew")));
    let found = run("ogrinfo", &["-ro", "-so", "-spat", "89", "90", "91", "92", file, "tree"]);
    assert!(found.contains("Feature Count: 1"), "{found}");
    assert!(found.contains("EPSG\",3857"), "{found}");
    let rtree: String = open(&path).query_row("select rtreecheck('rtree_tree_shape')", [], |row| row.get(0)).unwrap();
    assert_eq!(rtree, "ok");
}

#[tokio::test]
async fn attachments_go_both_ways_small_and_large() {
    let field = Field::with(true).await;
    let (one, two) = (field.clone("one.gpkg"), field.clone("two.gpkg"));
    let large = vec![7_u8; 300_000];
    {
        let db = open(&one);
        for (name, data) in [("a.txt", b"hello".as_slice()), ("b.bin", &large)] {
            let text = "insert into tree__ATTACH (REL_GLOBALID, CONTENT_TYPE, ATT_NAME, DATA) values (?1, 'text/plain', ?2, ?3)";
            db.execute(text, params![tree(1), name, data]).unwrap();
        }
    }
    assert_eq!(field.synced(&one)["sent"], 2);
    field.synced(&two);
    let three = field.clone("three.gpkg");
    let attachments = |path: &std::path::Path| -> Vec<(i64, String, String, Vec<u8>)> {
        let db = open(path);
        let mut read = db
            .prepare("select ATTACHMENTID, REL_GLOBALID, ATT_NAME, DATA from tree__ATTACH order by ATT_NAME")
            .unwrap();
        let rows = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let at_one = attachments(&one);
    assert_eq!(at_one.iter().map(|row| row.3.len()).collect::<Vec<_>>(), [5, 300_000]);
    assert_eq!(attachments(&two), at_one);
    assert_eq!(attachments(&three), at_one);
    open(&two).execute("update tree__ATTACH set DATA = x'0102' where ATT_NAME = 'b.bin'", []).unwrap();
    open(&one).execute("delete from tree where globalid = ?1", [tree(2)]).unwrap();
    open(&one).execute("delete from tree__ATTACH where ATT_NAME = 'a.txt'", []).unwrap();
    for path in [&two, &one, &two, &three] {
        field.synced(path);
    }
    let at_one = attachments(&one);
    assert_eq!(at_one.iter().map(|row| row.3.clone()).collect::<Vec<_>>(), [vec![1_u8, 2]]);
    assert_eq!(attachments(&two), at_one);
    assert_eq!(attachments(&three), at_one);
    // A feature takes its attachments with it, on both sides.
    open(&three).execute("delete from tree where globalid = ?1", [tree(1)]).unwrap();
    for path in [&three, &one] {
        field.synced(path);
        assert_eq!(attachments(path), []);
    }
}

#[tokio::test]
async fn a_refused_edit_stays_with_the_words_of_the_server_until_it_is_corrected() {
    let field = Field::new().await;
    let path = field.clone("field.gpkg");
    let db = open(&path);
    db.execute("insert into tree (species, girth) values ('forbidden', 100)", []).unwrap();
    db.execute("update tree set species = 'forbidden' where girth = 1", []).unwrap();
    db.execute("update tree set girth = 22 where girth = 2", []).unwrap();
    db.execute("update tree set seen = 'tomorrow' where girth = 3", []).unwrap();
    let (said, code) = field.sync(&path, &[]);
    assert_eq!(code, 3, "{said}");
    assert_eq!(said["sent"], 1, "{said}");
    let status = field.status(&path);
    let refused = status["refused"].as_array().unwrap();
    assert_eq!(refused.len(), 3, "{status}");
    let of = |edit: &str, part: &str| {
        refused.iter().any(|entry| entry["edit"] == edit && entry["description"].as_str().unwrap().contains(part))
    };
    assert!(of("add", "check") && of("update", "check") && of("update", "tomorrow"), "{status}");
    let species: Vec<String> = db
        .prepare("select species from tree where species = 'forbidden'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(species.len(), 2, "rows stay as their user left them");
    let (said, code) = field.sync(&path, &["--retry"]);
    assert_eq!((said["sent"].as_i64(), code), (Some(0), 3), "as they are they are refused again: {said}");
    // A correction of another field does not forget the first one.
    db.execute("update tree set girth = 101 where girth = 100", []).unwrap();
    db.execute("update tree set species = 'fir' where species = 'forbidden'", []).unwrap();
    db.execute("update tree set girth = 33 where girth = 3", []).unwrap();
    let (said, code) = field.sync(&path, &[]);
    assert_eq!((said["sent"].as_i64(), code), (Some(2), 3), "{said}");
    db.execute("update tree set seen = '2025-01-01' where girth = 33", []).unwrap();
    field.synced(&path);
    assert_eq!(field.status(&path)["refused"], Json::Array(Vec::new()));
    assert_eq!(trees_in(&path), field.trees().await);
    assert_eq!(field.count("tree where species = 'fir'").await, 2);
}

#[tokio::test]
async fn a_refused_deletion_brings_the_row_back_and_can_be_tried_again() {
    let field = Field::new().await;
    field.database.sql("create function keep() returns trigger language plpgsql as $$ begin raise exception 'tree % is protected', old.girth; end $$;
        create trigger keep before delete on tree for each row when (old.girth = 4) execute function keep()").await;
    let path = field.clone("field.gpkg");
    open(&path).execute("delete from tree where girth >= 4", []).unwrap();
    let (said, code) = field.sync(&path, &[]);
    assert_eq!(code, 3, "{said}");
    assert!(said["refused"][0]["description"].as_str().unwrap().contains("protected"), "{said}");
    assert_eq!(trees_in(&path), field.trees().await);
    field.database.sql("drop trigger keep on tree").await;
    let (said, code) = field.sync(&path, &["--retry"]);
    assert_eq!((said["sent"].as_i64(), code), (Some(1), 0), "{said}");
    assert_eq!(field.count("tree").await, 3);
    assert_eq!(trees_in(&path), field.trees().await);
}

#[tokio::test]
async fn others_edits_of_a_row_meet_in_it_field_by_field() {
    let field = Field::new().await;
    let path = field.clone("field.gpkg");
    open(&path).execute("update tree set girth = 11 where girth = 1", []).unwrap();
    field.database.sql("update tree set species = 'ash' where girth = 1").await;
    field.synced(&path);
    assert_eq!(
        field.count("tree where girth = 11 and species = 'ash'").await,
        1,
        "an edit says nothing about fields that it left alone"
    );
    assert_eq!(trees_in(&path), field.trees().await);
}

#[tokio::test]
async fn a_local_row_makes_way_for_a_row_with_its_object_id() {
    let field = Field::new().await;
    let path = field.clone("field.gpkg");
    // As a program does that numbers rows itself; on the server, somebody else gets the number.
    open(&path).execute("insert into tree (objectid, species, girth) values (6, 'mine', 60)", []).unwrap();
    field.database.sql("insert into tree (species, girth) values ('theirs', 61), ('theirs', 62)").await;
    field.synced(&path);
    assert_eq!(trees_in(&path), field.trees().await);
    assert_eq!(field.count("tree").await, 8);
}

#[tokio::test]
async fn a_row_that_is_replaced_or_comes_and_goes_is_understood() {
    let field = Field::new().await;
    let path = field.clone("field.gpkg");
    let db = open(&path);
    db.execute(
        "insert into tree (globalid, species, girth) values ('d00d0000-0000-4000-8000-00000000000a', 'brief', 1)",
        [],
    )
    .unwrap();
    db.execute("delete from tree where species = 'brief'", []).unwrap();
    db.execute("insert or replace into tree (objectid, globalid, species, girth) select objectid, globalid, 'again', 1 from tree where girth = 1", []).unwrap();
    db.execute("delete from tree where girth = 2", []).unwrap();
    db.execute("insert into tree (globalid, species) values (?1, 'back')", [tree(2)]).unwrap();
    // Replaced by its global id alone, then deleted: the server's row goes, too.
    db.execute("insert or replace into tree (globalid, species) values (?1, 'by its id')", [tree(4)]).unwrap();
    db.execute("delete from tree where species = 'by its id'", []).unwrap();
    db.execute("insert or replace into tree (globalid, species) values (?1, 'replaced')", [tree(5)]).unwrap();
    // A program's own spelling of a new id.
    db.execute("insert into tree (globalid, species) values ('d00d0000-0000-4000-8000-00000000000b', 'spelled')", [])
        .unwrap();
    let said = field.synced(&path);
    assert_eq!(said["sent"], 5, "{said}");
    assert_eq!(trees_in(&path), field.trees().await);
    assert_eq!(field.count("tree where species in ('again', 'back', 'replaced', 'spelled')").await, 4);
    assert_eq!(field.count("tree where objectid <= 5").await, 4, "rows keep their identity");
    assert_eq!(field.count("tree").await, 5);
}

#[tokio::test]
async fn all_rows_come_anew_where_that_is_wished_and_what_was_edited_is_sent_before() {
    let field = Field::new().await;
    let path = field.clone("field.gpkg");
    let db = open(&path);
    db.execute("update tree set girth = 10 where girth = 1", []).unwrap();
    // What no trigger sees.
    db.execute_batch("update sync_replica set tracking = 0; update tree set species = 'wrong' where girth = 2; delete from tree where girth = 3;
        insert into tree (globalid, species) values ('{D00D0000-0000-4000-8000-00000000000C}', 'nowhere'); update sync_replica set tracking = 1").unwrap();
    let (said, code) = field.sync(&path, &["--snapshot"]);
    assert_eq!((said["sent"].as_i64(), code), (Some(1), 0), "{said}");
    assert_eq!(trees_in(&path), field.trees().await);
    assert_eq!(field.count("tree where girth = 10").await, 1);
}

#[tokio::test]
async fn part_of_a_service_is_cloned_and_rows_that_leave_it_go() {
    let field = Field::new().await;
    let path = field.path("part.gpkg");
    field.program.done(&[
        "clone",
        &field.url(),
        path.to_str().unwrap(),
        "--no-spatial-index",
        "--layers",
        "tree",
        "--where",
        "tree:girth < 4",
        "--name",
        "thin",
    ]);
    assert_eq!(trees_in(&path).len(), 3);
    assert!(field.status(&path)["replicaName"].as_str().unwrap().starts_with("thin-"));
    field.database.sql("update tree set girth = 40 where girth = 2; update tree set girth = 0 where girth = 5").await;
    field.synced(&path);
    let girths: Vec<Option<i64>> = trees_in(&path).into_iter().map(|tree| tree.3).collect();
    assert_eq!(girths, [Some(1), Some(3), Some(0)]);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_leaves_nothing() {
    let field = Field::new().await;
    let path = field.path("field.gpkg");
    let file = path.to_str().unwrap();
    let url = field.url();
    for (arguments, words) in [
        (vec!["clone", &url, file, "--layers", "shrub"], "no layer 'shrub'"),
        (vec!["clone", &url, file, "--where", "shrub:a = 1"], "no layer 'shrub'"),
        (vec!["clone", &url, file, "--where", "tree:nonsense = 1"], "nonsense"),
        (vec!["clone", url.trim_end_matches("/FeatureServer"), file], "syncline:"),
        (vec!["clone", "not a url", file], "not a URL"),
        (vec!["sync", file], "no file"),
    ] {
        let complaint = field.program.failed(&arguments);
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
        assert!(!path.exists());
    }
    assert_eq!(field.count("syncline.replica").await, 0);
    std::fs::write(&path, "no database").unwrap();
    assert!(field.program.failed(&["sync", file]).contains("not a GeoPackage"));
    assert!(field.program.failed(&["clone", &url, file]).contains("there already"));
    let other = field.path("other.gpkg");
    open(&other).execute_batch("create table a (b)").unwrap();
    assert!(field.program.failed(&["sync", other.to_str().unwrap()]).contains("not a replica"));
}

#[tokio::test]
async fn a_table_that_was_rebuilt_is_noticed_before_edits_are_lost() {
    let field = Field::new().await;
    let path = field.clone("field.gpkg");
    open(&path)
        .execute_batch("create table copy as select * from tree; drop table tree; alter table copy rename to tree")
        .unwrap();
    let complaint = field.program.failed(&["sync", path.to_str().unwrap()]);
    assert!(complaint.contains("'tree' are no longer recorded"), "{complaint}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_from_a_failure() {
    let field = Field::new().await;
    let path = field.clone("field.gpkg");
    field.synced(&path);
    open(&path).execute("update tree set girth = 11 where girth = 1", []).unwrap();
    let address = field.server.address().to_owned();
    let Field { server, program, database, directory } = field;
    server.stop();
    let output = program.run(&["sync", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    let described = program.done(&["status", path.to_str().unwrap()]);
    assert!(described.contains("goes on with it"), "{described}");
    // Elsewhere, the same server: the file knows where it was.
    let server = program.serve();
    let field = Field { server, program, database, directory };
    let moved = format!(
        "update sync_replica set service_url = replace(service_url, '{address}', '{}')",
        field.server.address()
    );
    open(&path).execute(&moved, []).unwrap();
    field.synced(&path);
    assert_eq!(field.count("tree where girth = 11").await, 1);
}
