//! GeoPackages in QGIS: how it draws what the service draws, and what is edited with it.

use std::{path::Path, process::Command};

use serde_json::{Value as Json, json};

use super::{contents::with_everything, create, round_trip::synchronize};
use crate::support::TestServer;

/// What the script answers about a file; `None` where there is no QGIS.
pub fn qgis(file: &Path, what: &str, layer: &str) -> Option<String> {
    // Debian's QGIS belongs to Debian's Python.
    let python = "/usr/bin/python3";
    let found = Command::new(python).args(["-c", "import qgis.core"]).stderr(std::process::Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        return None;
    }
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/qgis_geopackage.py"))
        .arg(file)
        .args([what, layer])
        .env("QT_QPA_PLATFORM", "offscreen")
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Draws layers of the service as it is said.
async fn draw(server: &mut TestServer, layer: i32, renderer: Json) {
    const TOKEN: &str = "0123456789abcdef";
    server.configure(|config| config.admin_token = Some(TOKEN.to_owned()));
    let path = format!("/arcgis/rest/admin/services/trees/FeatureServer/{layer}/updateDefinition");
    let definition = json!({"drawingInfo": {"renderer": renderer}}).to_string();
    let answer = server.post(&path, &[("token", TOKEN), ("updateDefinition", &definition)]).await;
    assert_eq!(answer["success"], true, "{answer}");
}

#[tokio::test]
async fn qgis_draws_layers_as_the_service_does() {
    let mut server = with_everything().await;
    let outline = json!({"type": "esriSLS", "style": "esriSLSDash", "color": [0, 0, 255, 128], "width": 1.5});
    let marker = |style: &str, color: [u8; 4]| json!({"type": "esriSMS", "style": style, "color": color, "size": 9, "outline": outline});
    let renderer = json!({"type": "uniqueValue", "field1": "SPECIES", "defaultLabel": "<other>", "defaultSymbol": marker("esriSMSX", [9, 9, 9, 255]),
        "uniqueValueInfos": [{"value": "elm", "label": "Elms & co", "symbol": marker("esriSMSDiamond", [1, 2, 3, 255])}]});
    draw(&mut server, 0, renderer).await;
    let area =
        json!({"type": "esriSFS", "style": "esriSFSBackwardDiagonal", "color": [255, 0, 0, 255], "outline": outline});
    draw(&mut server, 2, json!({"type": "simple", "symbol": area})).await;
    let package = create(&server, &[("layers", "0,1,2")]).await;
    assert_eq!(
        package.list("SELECT f_table_name || f_geometry_column || useAsDefault FROM layer_styles"),
        "oakshape1,kindsshape1"
    );
    let Some(text) = qgis(&package.path(), "styles", "oak") else { return };
    let oak: Json = serde_json::from_str(&text).unwrap();
    assert_eq!((&oak["qml"]["type"], &oak["qml"]["field"]), (&json!("categorizedSymbol"), &json!("species")));
    let symbols = &oak["qml"]["symbols"];
    assert_eq!(
        (&symbols[0][0], &symbols[0][1], &symbols[0][2]),
        (&json!("elm"), &json!("Elms & co"), &json!("SimpleMarker"))
    );
    assert_eq!((&symbols[0][3]["name"], &symbols[0][3]["color"]), (&json!("diamond"), &json!("1,2,3,255")));
    assert_eq!((&symbols[0][3]["size"], &symbols[0][3]["outline_style"]), (&json!("9"), &json!("dash")));
    assert_eq!(symbols[0][3]["outline_color"], "0,0,255,128");
    assert_eq!((&symbols[1][1], &symbols[1][3]["name"]), (&json!("<other>"), &json!("cross2")));
    let described = &oak["sld"]["symbols"];
    assert_eq!((&described[0][0], &described[1][1]), (&json!("species = 'elm'"), &json!("<other>")), "{oak}");
    assert_eq!(described[0][3]["color"], "1,2,3,255");

    let kinds: Json = serde_json::from_str(&qgis(&package.path(), "styles", "kinds").unwrap()).unwrap();
    let symbol = &kinds["qml"]["symbols"][0];
    assert_eq!((&kinds["qml"]["type"], &symbol[2]), (&json!("singleSymbol"), &json!("SimpleFill")));
    assert_eq!((&symbol[3]["style"], &symbol[3]["color"]), (&json!("b_diagonal"), &json!("255,0,0,255")));
    assert_eq!(symbol[3]["outline_width"], "1.5");
}

#[tokio::test]
async fn lines_are_drawn_and_what_cannot_be_said_is_left_to_the_program() {
    let mut server = TestServer::with_trees().await;
    server
        .database
        .sql("create table way (objectid serial primary key, globalid uuid not null unique default gen_random_uuid(), shape geometry(LineString, 3857))")
        .await;
    server.publish("way").await;
    draw(&mut server, 2, json!({"type": "simple", "symbol": {"type": "esriSLS", "style": "esriSLSDashDot", "color": [1, 2, 3, 255], "width": 3}})).await;
    draw(&mut server, 0, json!({"type": "simple", "symbol": {"type": "esriPMS", "url": "tree.png"}})).await;
    let package = create(&server, &[("layers", "0,2")]).await;
    assert_eq!(package.list("SELECT f_table_name FROM layer_styles"), "way");
    let sld = package.list("SELECT styleSLD FROM layer_styles");
    assert!(sld.contains("<CssParameter name=\"stroke-width\">4</CssParameter>") && sld.contains("4 2 1 2"), "{sld}");
    let Some(text) = qgis(&package.path(), "styles", "way") else { return };
    let symbol = &serde_json::from_str::<Json>(&text).unwrap()["qml"]["symbols"][0];
    assert_eq!((&symbol[2], &symbol[3]["line_style"]), (&json!("SimpleLine"), &json!("dash dot")));
    assert_eq!((&symbol[3]["line_color"], &symbol[3]["line_width"]), (&json!("1,2,3,255"), &json!("3")));
}

#[tokio::test]
async fn edits_made_with_qgis_are_logged_and_arrive() {
    let server = with_everything().await;
    let package = create(&server, &[("layers", "0,1")]).await;
    if qgis(&package.path(), "edit", "oak").is_none() {
        return;
    }
    assert_eq!(
        package.list("SELECT op || ifnull(fields, '') FROM sync_changes ORDER BY op, fields"),
        "D,I,U\"shape\",,U\"species\","
    );
    server.database.sql("update oak set girth = 4711 where objectid = 1").await;
    synchronize(&server, &package, &[]).await;
    let rows: String = server
        .database
        .value("select string_agg(species || ' ' || girth || ' ' || ST_AsText(shape), ',' order by objectid) from oak where objectid in (1, 2, 3, 701)")
        .await;
    assert_eq!(rows, "beech 4711 POINT(10 1),elm 2 POINT(40 4),new 12 POINT(5.5 6.5)");
}
