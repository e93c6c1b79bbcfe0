//! Desktop programs at the files of the client: how QGIS draws and edits them, and what else programs do that write through GDAL.

use std::{path::Path, process::Command};

use serde_json::{Value as Json, json};

use super::{Field, open, served::served, trees_in};
use crate::geopackage::qgis::qgis;

/// Draws trees as diamonds.
fn draw(field: &Field) {
    let marker = json!({"type": "esriSMS", "style": "esriSMSDiamond", "color": [1, 2, 3, 255], "size": 9});
    let definition = json!({"drawingInfo": {"renderer": {"type": "simple", "symbol": marker}}});
    let file = field.path("definition.json");
    std::fs::write(&file, definition.to_string()).unwrap();
    field.program.done(&["definition", "set", "--service", "trees", "--layer", "tree", file.to_str().unwrap()]);
}

/// Clones the service with everything that desktop programs can use.
fn clone(field: &Field) -> std::path::PathBuf {
    let path = field.path("desktop.gpkg");
    field.program.done(&["clone", &field.url(), path.to_str().unwrap()]);
    path
}

#[tokio::test]
async fn qgis_draws_a_clone_as_the_service_does_and_its_edits_arrive() {
    let mut field = Field::new().await;
    draw(&field);
    field.server = field.program.serve();
    let path = clone(&field);
    assert_eq!(
        open(&path)
            .query_row("select f_table_name || useAsDefault from layer_styles", [], |row| row.get::<_, String>(0)),
        Ok("tree1".to_owned())
    );
    let Some(text) = qgis(&path, "styles", "tree") else { return };
    let drawn: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(drawn["qml"]["symbols"][0][3]["name"], "diamond", "{drawn}");
    for form in ["qml", "sld"] {
        assert_eq!(drawn[form]["symbols"][0][3]["color"], "1,2,3,255", "{drawn}");
    }
    qgis(&path, "edit", "tree").unwrap();
    field.database.sql("update tree set girth = 4711 where objectid = 1").await;
    let said = field.synced(&path);
    assert_eq!(said["sent"], 4, "{said}");
    let trees = field.trees().await;
    assert_eq!(trees_in(&path), trees);
    let tree = |species: &str, girth: i64, x: f64, y: f64| {
        trees
            .iter()
            .any(|tree| (tree.2.as_deref(), tree.3, tree.5, tree.6) == (Some(species), Some(girth), Some(x), Some(y)))
    };
    assert!(tree("beech", 4711, 1.0, 1.0) && tree("oak", 2, 40.0, 4.0) && tree("new", 12, 5.5, 6.5), "{trees:?}");
    assert_eq!(trees.len(), 5, "one was added and one deleted: {trees:?}");
}

/// Edits trees; false where Debian's GDAL has no Python.
fn edit_with_gdal(path: &Path) -> bool {
    let python = "/usr/bin/python3";
    let found = Command::new(python).args(["-c", "import osgeo.gdal"]).stderr(std::process::Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        return false;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/gdal_edits.py");
    let output = Command::new(python).arg(script).arg(path).arg("tree").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

#[tokio::test]
async fn whatever_way_a_desktop_program_writes_each_feature_is_edited_once() {
    // In a file of the client's making, and in one of the server's.
    for is_served in [false, true] {
        let field = Field::new().await;
        let path = if is_served { served(&field, "served.gpkg", &[("layers", "0")]) } else { clone(&field) };
        if !edit_with_gdal(&path) {
            return;
        }
        let said = field.synced(&path);
        assert_eq!((&said["sent"], &said["refused"]), (&json!(6), &json!([])), "{said}");
        let trees = field.trees().await;
        assert_eq!(trees_in(&path), trees, "{is_served}");
        let mut shown: Vec<String> = trees
            .iter()
            .map(|tree| format!("{} {} at {}", tree.2.as_deref().unwrap(), tree.3.unwrap(), tree.5.unwrap()))
            .collect();
        shown.sort();
        assert_eq!(
            shown,
            [
                "numbered by the file 2 at 2",
                "numbered by the program 1 at 1",
                "oak 1 at 1",
                "oak 2 at 22",
                "put 55 at 55",
                "replaced 4 at 4",
            ]
        );
        // Those that were there are the same features still, with the ids that the server knows.
        for girth in [1, 2, 4, 55] {
            let is_new =
                |species: &Option<String>| species.as_ref().is_some_and(|species| species.starts_with("numbered"));
            let tree = trees.iter().find(|tree| tree.3 == Some(girth) && !is_new(&tree.2)).unwrap();
            let object_id = if girth == 55 { 5 } else { girth };
            assert_eq!(
                (tree.0.as_str(), tree.1),
                (format!("{{51170000-0000-4000-8000-{object_id:012}}}").as_str(), object_id)
            );
        }
        assert_eq!(field.synced(&path)["sent"], 0, "nothing is left to be sent");
    }
}
