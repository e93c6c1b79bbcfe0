//! GeoPackages that the server made, as a browser downloads them: the offline client goes on with them.

use std::path::{Path, PathBuf};

use rusqlite::params;

use super::{Field, open, point, trees_in};

/// Lets the server make a file, and downloads it.
pub fn served(field: &Field, name: &str, parameters: &[(&str, &str)]) -> PathBuf {
    let all = [&[("dataFormat", "geopackage")], parameters].concat();
    let answer = field.server.post("trees/FeatureServer/createReplica", &all);
    let url = answer["URL"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let path = field.path(name);
    let mut file = std::fs::File::create(&path).unwrap();
    std::io::copy(&mut ureq::get(url).call().unwrap().body_mut().as_reader(), &mut file).unwrap();
    path
}

/// Waits until the server has heard of a layer that was published beside it.
fn await_layer(field: &Field, id: i32) {
    let path = format!("trees/FeatureServer/{id}");
    while field.server.post(&path, &[("f", "json")]).get("error").is_some() {
        std::thread::yield_now();
    }
}

fn tree(n: u32) -> String {
    format!("{{51170000-0000-4000-8000-{n:012}}}")
}

/// Adds, changes and deletes trees in a file, with an attachment of one.
fn edit(path: &Path) {
    let db = open(path);
    // Programs without spatial functions cannot keep a spatial index.
    for event in ["insert", "update2", "update4", "update5", "update6", "update7", "delete"] {
        db.execute_batch(&format!("drop trigger rtree_tree_shape_{event}")).unwrap();
    }
    db.execute("insert into tree (species, girth, shape) values ('elm', 9, ?1)", [point(7.5, 8.25)]).unwrap();
    db.execute("update tree set girth = 20 where girth = 2", []).unwrap();
    db.execute("delete from tree where girth = 3", []).unwrap();
    db.execute(
        "insert into tree__ATTACH (REL_GLOBALID, CONTENT_TYPE, ATT_NAME, DATA) values (?1, 'text/plain', 'a.txt', ?2)",
        params![tree(1), b"hello"],
    )
    .unwrap();
}

#[tokio::test]
async fn a_file_of_the_server_is_synchronized_like_a_clone() {
    let field = Field::with(true).await;
    for (name, model) in [("replica.gpkg", "perReplica"), ("layer.gpkg", "perLayer")] {
        let attachments = [("returnAttachments", "true"), ("attachmentsSyncDirection", "bidirectional")];
        let layers = [("layers", "0,1"), ("layerQueries", r#"{"1":{"queryOption":"all"}}"#), ("syncModel", model)];
        let path = served(&field, name, &[&layers[..], &attachments].concat());
        let before = field.trees().await;
        assert_eq!(trees_in(&path), before);
        let status = field.program.done(&["status", path.to_str().unwrap(), "--offline"]);
        assert!(status.contains("to be sent: 0 edits") && !status.contains("null"), "{status}");
        field.database.sql("insert into tree (species) values ('theirs')").await;
        if model == "perReplica" {
            edit(&path);
        }
        let said = field.synced(&path);
        let (sent, received) = if model == "perReplica" { (4, 1) } else { (0, 1) };
        assert_eq!((said["sent"].as_i64(), said["received"].as_i64()), (Some(sent), Some(received)), "{said}");
        assert_eq!(trees_in(&path), field.trees().await, "rows have the server's object ids");
        let said = field.synced(&path);
        assert_eq!((&said["sent"], &said["received"]), (&0.into(), &0.into()), "nothing is sent twice");
        let unentered: i64 = open(&path)
            .query_row(
                "select count(*) from sqlite_schema where type = 'table' and name like 'sync!_%' escape '!'
                and name not in (select table_name from gpkg_extensions)",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(unentered, 0, "other programs do not take the client's tables for layers");
    }
    assert_eq!(field.count("syncline.replica where unregistered_at is null").await, 2);
    assert_eq!(
        field.server.post("trees/FeatureServer/0/queryAttachments", &[("definitionExpression", "1=1")])["attachmentGroups"]
            [0]["attachmentInfos"][0]["name"],
        "a.txt"
    );
}

#[tokio::test]
async fn geometries_keep_the_form_of_the_file_and_hidden_fields_stay_on_the_server() {
    let field = Field::new().await;
    field
        .database
        .sql(
            "create table plot (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique, owner text, secret text,
               shape geometry(Polygon, 4326));
             insert into plot (owner, secret, shape) values ('A', 'a', 'SRID=4326;POLYGON((0 0, 0 1, 1 1, 0 0))')",
        )
        .await;
    field.program.done(&["publish", "--service", "trees", "--table", "plot"]);
    let definition = field.path("plot.json");
    std::fs::write(&definition, r#"{"fields": [{"name": "secret", "visible": false}]}"#).unwrap();
    field.program.done(&["definition", "set", "--service", "trees", "--layer", "plot", definition.to_str().unwrap()]);
    await_layer(&field, 2);
    let path = served(&field, "plots.gpkg", &[("layers", "2")]);
    field
        .database
        .sql("update plot set owner = 'B', secret = 'b', shape = 'SRID=4326;POLYGON((0 0, 0 2, 2 2, 0 0))'")
        .await;
    field.synced(&path);
    let seen = |what: &str| -> String {
        open(&path).query_row(&format!("select {what} from plot"), [], |row| row.get(0)).unwrap()
    };
    assert_eq!(seen("owner"), "B");
    assert!(open(&path).prepare("select secret from plot").is_err(), "a hidden field is not in the file");
    // Behind the head with its box, the type: a polygon, not a collection of one.
    assert_eq!(seen("hex(substr(shape, 41, 5))"), "0103000000");
    let db = open(&path);
    for event in ["update2", "update4", "update5", "update6", "update7"] {
        db.execute_batch(&format!("drop trigger rtree_plot_shape_{event}")).unwrap();
    }
    db.execute("update plot set owner = 'C'", []).unwrap();
    assert_eq!(field.synced(&path)["sent"], 1);
    assert_eq!(field.database.value::<String>("select owner || secret from plot").await, "Cb");
}

#[tokio::test]
async fn columns_that_a_file_cannot_tell_apart_are_refused_by_name() {
    let field = Field::new().await;
    field
        .database
        .sql("create table twins (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique, \"Name\" text, name text)")
        .await;
    field.program.done(&["publish", "--service", "trees", "--table", "twins"]);
    await_layer(&field, 2);
    for format in ["geopackage", "sqlite"] {
        let parameters = [("layers", "2"), ("layerQueries", r#"{"2":{"queryOption":"all"}}"#), ("dataFormat", format)];
        let answer = field.server.post("trees/FeatureServer/createReplica", &parameters);
        let said = answer["error"].to_string();
        assert!(said.contains("layer 2 (twins) has the columns 'Name' and 'name'"), "{said}");
    }
    let file = field.path("twins.gpkg");
    let said = field.program.failed(&["clone", &field.url(), file.to_str().unwrap()]);
    assert!(said.contains("layer 2 (twins) has the fields 'Name' and 'name'"), "{said}");
    assert_eq!(field.count("syncline.replica").await, 0, "nothing was begun");
}
