//! The open mirror in QGIS: layers with geometries, for programs that do not know the form of those of the geodatabase.

use serde_json::{Value as Json, json};

use super::create;
use crate::geopackage::{contents::with_everything, qgis::qgis};

#[tokio::test]
async fn qgis_opens_the_mirror_with_geometries_types_and_ids() {
    let server = with_everything().await;
    let file = create(&server, &[("layers", "0,1,2"), ("replicaSR", "3857"), ("returnAttachments", "true")]).await;
    let Some(text) = qgis(&file.path(), "read", "oak_open") else { return };
    let oak: Json = serde_json::from_str(&text).unwrap();
    let layers = oak["layers"].as_array().unwrap();
    assert!(["kinds_open", "oak_open", "visit_open"].iter().all(|name| layers.contains(&json!(name))), "{oak}");
    assert_eq!((&oak["crs"], &oak["type"], &oak["count"]), (&json!("EPSG:3857"), &json!("Point"), &json!(700)));
    assert_eq!(oak["extent"], json!([10.0, 1.0, 7000.0, 700.0]));
    let third = &oak["features"]["3"];
    assert_eq!(third["geometry"], "Point (30 3)", "{third}");
    assert_eq!(
        (&third["values"]["species"], &third["values"]["girth"], &third["values"]["globalid"]),
        (&json!("elm"), &json!("3"), &json!("{AAAAAAAA-0001-4000-8000-000000000003}"))
    );

    let kinds: Json = serde_json::from_str(&qgis(&file.path(), "read", "kinds_open").unwrap()).unwrap();
    assert_eq!((&kinds["type"], &kinds["count"]), (&json!("MultiPolygonZ"), &json!(3)));
    assert_eq!((&kinds["fields"]["moment"], &kinds["fields"]["day"]), (&json!("DateTime"), &json!("Date")));
    let area = kinds["features"]["1"]["geometry"].as_str().unwrap();
    assert!(area.starts_with("MultiPolygonZ (((") && area.contains("445277.96"), "{area}");
    assert_eq!(kinds["features"]["2"]["geometry"], "", "a row without a geometry has none");
    let visit: Json = serde_json::from_str(&qgis(&file.path(), "read", "visit_open").unwrap()).unwrap();
    assert_eq!(visit["type"], "NoGeometry");
}
