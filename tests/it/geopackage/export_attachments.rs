//! Attachments in exports in formats that have no place for them, and in one that has.

use std::io::Read as _;

use serde_json::json;

use super::{
    contents::with_everything,
    exports::{Export, holds},
    gdal,
};
use crate::support::TestServer;

const TREE: &str = "{AAAAAAAA-0001-4000-8000-000000000007}";

/// Trees, one of which has two attachments: `\x00\x01\x02\x03` and `two`, whose name is none for a file everywhere.
async fn with_attachments() -> TestServer {
    let server = with_everything().await;
    let attachment = |last: u8, name: &str, data: &str| json!({"globalId": format!("{{BBBBBBBB-0001-4000-8000-00000000000{last}}}"), "parentGlobalId": TREE, "contentType": "image/png", "name": name, "data": data});
    let adds = json!([attachment(1, "Höhe 1.png", "AAECAw=="), attachment(2, "two, \"too\".png", "dHdv")]);
    let edits = json!([{"id": 0, "attachments": {"adds": adds}}]).to_string();
    let answer = server.post("applyEdits", &[("useGlobalIds", "true"), ("edits", &edits)]).await;
    assert_eq!(answer[0]["attachments"]["addResults"][1]["success"], true, "{answer}");
    server
}

fn bytes(export: &Export, name: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(export.path()).unwrap()).unwrap();
    let mut bytes = Vec::new();
    let mut file = archive.by_name(name).unwrap_or_else(|_| panic!("{name}: {}", export.names()));
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

#[tokio::test]
async fn attachments_are_files_beside_where_the_format_has_no_place_for_them() {
    let server = with_attachments().await;
    for format in ["csv", "geojson", "shapefile", "kml"] {
        let more = [("layers", "0,1"), ("returnAttachments", "true")];
        let Some(export) = Export::of(&server, format, &more).await else { return };
        let folder = "attachments/oak/AAAAAAAA-0001-4000-8000-000000000007";
        assert_eq!(bytes(&export, &format!("{folder}/1-Höhe 1.png")), [0, 1, 2, 3], "{format}");
        assert_eq!(bytes(&export, &format!("{folder}/2-two_ _too_.png")), *b"two", "{format}");
        // As another program reads it.
        let index = gdal("ogrinfo", &["-ro", "-al"], &export.inside("attachments/index.csv")).unwrap();
        holds(
            &index,
            &[
                "Feature Count: 2",
                "layer (String) = 0",
                "feature (String) = {AAAAAAAA-0001-4000-8000-000000000007}",
                "global_id (String) = {BBBBBBBB-0001-4000-8000-000000000002}",
                "name (String) = two, \"too\".png",
                "content_type (String) = image/png",
                "size (String) = 4",
                "path (String) = attachments/oak/AAAAAAAA-0001-4000-8000-000000000007/2-two_ _too_.png",
            ],
        );
        holds(&export.text("README.txt"), &["oak: layer 0, oak; 700 rows, 2 attachments\r\n"]);
        holds(&export.warnings, &["attachments/index.csv says whose"]);
    }
}

#[tokio::test]
async fn a_file_geodatabase_has_them_in_tables_of_its_own() {
    let server = with_attachments().await;
    let more = [("layers", "0,1"), ("returnAttachments", "true")];
    let Some(export) = Export::of(&server, "filegdb", &more).await else { return };
    let text = gdal("ogrinfo", &["-ro", "-al"], &export.path()).unwrap();
    let (_, attachments) = text.split_once("Layer name: oak__ATTACH").unwrap();
    holds(
        attachments,
        &[
            "Feature Count: 2",
            "FID Column = ATTACHMENTID",
            "REL_GLOBALID (String) = {AAAAAAAA-0001-4000-8000-000000000007}",
            "ATT_NAME (String) = Höhe 1.png",
            "DATA (Binary) = 00010203",
        ],
    );
    holds(&export.warnings, &["no relationship class"]);
    assert!(!export.names().contains("attachments/"), "{}", export.names());
}

#[tokio::test]
async fn only_those_that_are_asked_for_and_of_rows_that_are_there_come_along() {
    let server = with_attachments().await;
    for more in [
        &[("layers", "0")][..],
        &[
            ("layers", "0"),
            ("returnAttachments", "true"),
            ("layerQueries", r#"{"0": {"where": "girth <> 7", "queryOption": "useFilter"}}"#),
        ],
    ] {
        let Some(export) = Export::of(&server, "csv", more).await else { return };
        assert_eq!(export.names(), "README.txt oak.csv");
    }
    let Some(export) = Export::of(&server, "excel", &[("layers", "0"), ("returnAttachments", "true")]).await else {
        return;
    };
    assert_eq!(export.name, "it.xlsx");
    holds(&export.warnings, &["attachments are not in workbooks", "dataFormat=csv"]);
}
