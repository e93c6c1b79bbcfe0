//! Documents about the service, and what every request has in common: methods, encodings, formats, headers.

use std::fmt::Write as _;

use axum::http::StatusCode;
use serde_json::{Value as Json, json};
use syncline::store::publish::Publication;

use crate::support::{
    TestServer,
    server::{self, error, text},
};

const FORM: &str = "application/x-www-form-urlencoded";
const ROOT: &str = "/arcgis/rest/services/trees/FeatureServer";

fn header<'a>(response: &'a axum::response::Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_service_shows_its_layers_and_tables() {
    let server = TestServer::with_trees().await;
    let service = server.get("", &[]).await;
    assert_eq!(service["layers"][0]["name"], "oak");
    assert_eq!(service["tables"][0]["name"], "visit");
    assert_eq!(service["syncEnabled"], true);
    assert_eq!(service["syncCapabilities"]["supportsPerLayerSync"], true);
    assert_eq!(service["syncCapabilities"]["supportsRollbackOnFailure"], true);
    assert_eq!(service["fullExtent"]["spatialReference"]["wkid"], 102_100);
    for corner in ["xmin", "ymin", "xmax", "ymax"] {
        assert!(service["fullExtent"][corner].is_f64(), "an empty layer has a finite extent, too: {service}");
    }
    let all = server.get("layers", &[]).await;
    assert_eq!(all["layers"][0]["name"], "oak");
    assert_eq!(all["tables"][0]["name"], "visit");
    assert_eq!(all["layers"][0], server.get("0", &[]).await, "/layers holds each layer's own document");
}

#[tokio::test]
async fn a_layer_describes_its_fields_and_a_table_has_no_geometry() {
    let server = TestServer::with_trees().await;
    let layer = server.get("0", &[]).await;
    assert_eq!(layer["type"], "Feature Layer");
    assert_eq!(layer["geometryType"], "esriGeometryPoint");
    assert_eq!(layer["objectIdField"], "objectid");
    assert_eq!(layer["globalIdField"], "globalid");
    assert_eq!(layer["extent"]["spatialReference"], json!({"wkid": 102_100, "latestWkid": 3857}));
    assert_eq!(layer["advancedQueryCapabilities"]["supportsPagination"], true);
    let fields: Vec<(&str, &str, bool)> = layer["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| {
            (
                field["name"].as_str().unwrap(),
                field["type"].as_str().unwrap().trim_start_matches("esriFieldType"),
                field["editable"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        fields,
        [
            ("objectid", "OID", false),
            ("globalid", "GlobalID", false),
            ("species", "String", true),
            ("height", "Double", true),
            ("girth", "Integer", true),
            ("planted", "Date", true),
        ]
    );
    assert_eq!(layer["fields"][2]["length"], 20);
    let table = server.get("1", &[]).await;
    assert_eq!(table["type"], "Table");
    for absent in ["geometryType", "extent", "hasZ"] {
        assert!(table.get(absent).is_none(), "a table has no {absent}");
    }
}

#[tokio::test]
async fn a_client_finds_its_way_from_the_root() {
    let server = TestServer::with_trees().await;
    let catalogue = server.get("/arcgis/rest/services", &[]).await;
    assert_eq!(catalogue["folders"], json!([]));
    assert_eq!(catalogue["services"], json!([{"name": "trees", "type": "FeatureServer"}]));
    let info = server.get("/arcgis/rest/info", &[]).await;
    assert_eq!(info["authInfo"]["isTokenBasedSecurity"], false);
    assert_eq!(info["currentVersion"], catalogue["currentVersion"]);
    assert_eq!(server.get("/arcgis/sharing/rest/portals/self", &[]).await["isPortal"], true);
    assert_eq!(server.get("/arcgis/sharing/rest/info", &[]).await["authInfo"]["isTokenBasedSecurity"], false);
    assert!(server.get("/arcgis/sharing/rest", &[]).await["currentVersion"].is_string());
    let root = server.fetch("/", &[]).await;
    assert_eq!((root.status(), header(&root, "location")), (StatusCode::FOUND, "/arcgis/rest/services"));
}

#[tokio::test]
async fn every_document_is_the_same_by_get_and_post_with_a_slash_and_in_any_case() {
    let server = TestServer::with_trees().await;
    for path in ["", "/layers", "/0", "/1", "/replicas", "/0/query"] {
        let path = format!("{ROOT}{path}");
        let where_all = [("where", "1=1")];
        let shown = server.get(&path, &where_all).await;
        assert!(shown.get("error").is_none(), "{path}: {shown}");
        assert_eq!(server.post(&path, &where_all).await, shown, "POST {path}");
        assert_eq!(server.get(&format!("{path}/"), &where_all).await, shown, "{path}/");
        let upper = path.to_uppercase();
        assert_eq!(server.get(&upper, &where_all).await, shown, "{upper}");
    }
}

#[tokio::test]
async fn parameters_come_in_the_query_string_the_body_or_both() {
    let server = TestServer::with_trees().await;
    server.add(0, r#"[{"attributes":{"species":"Fagus & co"}},{"attributes":{"species":"Quercus"}}]"#).await;
    let path = "0/query?f=json&where=1%3D0&returnCountOnly=true";
    let split = server.post_body(path, FORM, "where=species+like+%27F%25%27").await;
    assert_eq!(server::json(split).await["count"], 1, "what the body says wins");
    let empty = server.post_body("0/query?f=json&where=1%3D1&returnCountOnly=true", FORM, "where=&f=").await;
    assert_eq!(server::json(empty).await["count"], 2, "empty is absent");
    let body = r#"{"f":"json","where":"species = 'Fagus & co'","returnCountOnly":true,"objectIds":null}"#;
    let as_json = server.post_body("0/query", "application/json", body).await;
    assert_eq!(server::json(as_json).await["count"], 1, "a JSON body");
    let raw = "f=json&features=[{\"attributes\": {\"species\":\"J\u{fc}ng\", \n \"girth\":5}}]";
    let raw = server::json(server.post_body("0/addFeatures", FORM, raw).await).await;
    assert_eq!(raw["addResults"][0]["success"], true, "a form that is not percent-encoded: {raw}");
    let found = server
        .fetch("0/query?F=json&WHERE=species%3D%27J%C3%BCng%27&ReturnCountOnly=True", &[("content-type", FORM)])
        .await;
    assert_eq!(server::json(found).await["count"], 1, "a GET that calls itself a form, and names in any case");
}

fn multipart(parts: &[(&str, &str)]) -> (&'static str, String) {
    let mut body = String::new();
    for (disposition, value) in parts {
        let _ = write!(body, "--cut\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{value}\r\n");
    }
    ("multipart/form-data; boundary=cut", body + "--cut--\r\n")
}

#[tokio::test]
async fn a_multipart_form_is_a_form_as_long_as_it_has_no_file() {
    let server = TestServer::with_trees().await;
    let adds = r#"[{"attributes":{"species":"Quercus"}}]"#;
    let (content_type, body) = multipart(&[("name=\"f\"", "json"), ("name=\"adds\"", adds)]);
    let answer = server::json(server.post_body("0/applyEdits", content_type, body).await).await;
    assert_eq!(answer["addResults"][0]["success"], true, "{answer}");
    let (content_type, body) = multipart(&[("name=\"adds\"", adds), ("name=\"photo\"; filename=\"a.jpg\"", "x")]);
    let (code, words) = error(&server::json(server.post_body("0/applyEdits?f=json", content_type, body).await).await);
    assert_eq!(code, 400);
    assert!(words.contains("'photo' is a file"), "{words}");
    assert_eq!(server.features(0).await.len(), 1, "nothing of a refused form is applied");
}

#[tokio::test]
async fn a_multipart_form_may_be_as_large_as_any_other_body() {
    let server = TestServer::with_trees().await;
    let padded = json!({"attributes": {"species": "Quercus robur", "unknown": "x".repeat(2000)}});
    let adds = Json::Array(vec![padded; 1500]).to_string();
    assert!(adds.len() > 2 << 20, "the subject is a form of more than 2 MiB, not of {}", adds.len());
    let (content_type, body) = multipart(&[("name=\"f\"", "json"), ("name=\"adds\"", &adds)]);
    let answer = server::json(server.post_body("0/applyEdits", content_type, body).await).await;
    assert_eq!(answer["addResults"].as_array().map(Vec::len), Some(1500), "{}", &answer.to_string()[..200]);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_as_json_in_any_encoding() {
    let mut server = TestServer::with_trees().await;
    server.limit_bodies(100_000);
    let adds = format!(r#"[{{"attributes":{{"species":"{}"}}}}]"#, "x".repeat(200_000));
    let (content_type, body) = multipart(&[("name=\"f\"", "json"), ("name=\"adds\"", &adds)]);
    for response in [
        server.post_body("0/applyEdits", FORM, format!("f=json&adds={adds}")).await,
        server.post_body("0/applyEdits", content_type, body).await,
    ] {
        let (code, words) = error(&server::json(response).await);
        assert_eq!(code, 413);
        assert!(words.contains("100000 bytes"), "{words}");
    }
    assert_eq!(server.features(0).await.len(), 0);
}

#[tokio::test]
async fn pjson_is_the_same_document_indented() {
    let server = TestServer::with_trees().await;
    let pretty = server.fetch("0?f=PJSON", &[]).await;
    assert_eq!(header(&pretty, "content-type"), "application/json; charset=utf-8");
    let pretty = text(pretty).await;
    assert!(pretty.starts_with("{\n  \""), "{pretty}");
    assert_eq!(serde_json::from_str::<Json>(&pretty).unwrap(), server.get("0", &[]).await);
}

#[tokio::test]
async fn an_unknown_format_is_an_error_that_lists_the_known_ones() {
    let server = TestServer::with_trees().await;
    let (code, words) = error(&server.get("0/query", &[("f", "kmz"), ("where", "1=1")]).await);
    assert_eq!(code, 400);
    for word in ["'f' parameter", "'kmz'", "html, json, pjson", "geojson and pbf"] {
        assert!(words.contains(word), "{words}");
    }
}

#[tokio::test]
async fn without_f_people_get_pages_and_a_hostile_name_is_only_text_in_them() {
    let server = TestServer::with_trees().await;
    let hostile = "<script>alert('x')</script>\" onload=\"x";
    server.database.sql("create table bad (id serial primary key)").await;
    let publication = Publication {
        service: "trees".to_owned(),
        table_schema: "public".to_owned(),
        table_name: "bad".to_owned(),
        layer_name: Some(hostile.to_owned()),
    };
    server.app.store.publish(&publication, false).await.unwrap();
    for path in ["/arcgis/rest/services", "", "layers", "0", "2", "2/query", "2/query?where=1%3D1", "replicas"] {
        let response = server.fetch(path, &[]).await;
        assert_eq!(header(&response, "content-type"), "text/html; charset=utf-8", "{path}");
        assert!(header(&response, "content-security-policy").contains("default-src 'none'"), "{path}");
        let page = text(response).await;
        assert!(page.starts_with("<!DOCTYPE html>"), "{path}");
        assert!(page.contains("trees"), "{path} names the service");
        assert!(!page.contains("<script>"), "{path}: {page}");
        assert!(!page.contains("onload=\"x"), "{path}: {page}");
    }
    let page = text(server.fetch("", &[]).await).await;
    assert!(page.contains("oak") && page.contains("visit") && page.contains("&lt;script&gt;"), "{page}");
}

#[tokio::test]
async fn an_error_page_says_error_and_code_and_a_changing_operation_shows_its_form() {
    let server = TestServer::with_trees().await;
    let page = text(server.fetch("0/query?where=statse%3D1", &[]).await).await;
    assert!(page.contains("Error: ") && page.contains("Code: 400") && page.contains("statse"), "{page}");
    for path in ["createReplica", "synchronizeReplica", "unRegisterReplica", "applyEdits", "0/applyEdits"] {
        let page = text(server.fetch(path, &[]).await).await;
        assert!(page.contains("<form") && !page.contains("Error:"), "{path}: {page}");
        let (code, words) = error(&server.get(path, &[]).await);
        assert_eq!(code, 405, "{path}");
        assert!(words.contains("POST"), "{words}");
    }
}

#[tokio::test]
async fn a_callback_gets_the_document_as_a_script_unless_its_name_is_no_name() {
    let server = TestServer::with_trees().await;
    let response = server.fetch("0?f=json&callback=dojo.request_script0", &[]).await;
    assert_eq!(header(&response, "content-type"), "application/javascript; charset=utf-8");
    let script = text(response).await;
    let inner = script.strip_prefix("dojo.request_script0(").and_then(|rest| rest.strip_suffix(");")).unwrap();
    assert_eq!(serde_json::from_str::<Json>(inner).unwrap()["name"], "oak");
    let failure = text(server.fetch("9?f=json&callback=cb", &[]).await).await;
    assert!(failure.starts_with("cb({\"error\":"), "{failure}");
    let hostile = server.fetch("0?f=json&callback=alert(1)%2F%2F", &[]).await;
    assert_eq!(header(&hostile, "content-type"), "application/json; charset=utf-8");
    assert!(text(hostile).await.starts_with('{'));
}

#[tokio::test]
async fn browsers_of_other_sites_may_read_answers_and_errors() {
    let server = TestServer::with_trees().await;
    let preflight = axum::http::Request::options(format!("{ROOT}/0/applyEdits"))
        .header("origin", "https://app.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,x-esri-authorization")
        .body(axum::body::Body::empty())
        .unwrap();
    let preflight = server.send(preflight).await;
    assert_eq!(preflight.status(), StatusCode::OK);
    assert_eq!(header(&preflight, "access-control-allow-origin"), "*");
    assert!(header(&preflight, "access-control-allow-methods").contains("POST"));
    assert!(header(&preflight, "access-control-allow-headers").contains("x-esri-authorization"));
    let failure = server.fetch("99?f=json", &[("origin", "https://app.example")]).await;
    assert_eq!(header(&failure, "access-control-allow-origin"), "*");
    assert!(header(&failure, "access-control-expose-headers").contains("x-request-id"));
}

#[tokio::test]
async fn answers_are_compressed_if_the_client_can_read_that() {
    let server = TestServer::with_trees().await;
    for (accepted, magic) in [("gzip", [0x1f, 0x8b]), ("zstd", [0x28, 0xb5])] {
        let response = server.fetch("0?f=json", &[("accept-encoding", accepted)]).await;
        assert_eq!(header(&response, "content-encoding"), accepted);
        assert!(header(&response, "vary").to_lowercase().contains("accept-encoding"), "{accepted}");
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        assert_eq!(bytes[..2], magic, "{accepted}");
    }
    assert_eq!(header(&server.fetch("0?f=json", &[]).await, "content-encoding"), "");
}

#[tokio::test]
async fn every_answer_has_an_id_and_is_kept_by_no_cache() {
    let server = TestServer::with_trees().await;
    let mut ids = std::collections::HashSet::new();
    for path in ["?f=json", "0/query?f=json&where=1%3D1", "99?f=json", "", "/nowhere"] {
        let response = server.fetch(path, &[]).await;
        assert_eq!(header(&response, "cache-control"), "no-store", "{path}");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff", "{path}");
        assert!(ids.insert(header(&response, "x-request-id").to_owned()), "an id of its own for {path}");
    }
    assert!(!ids.contains(""));
}

#[tokio::test]
async fn probes_tell_whether_the_process_lives_and_the_database_answers() {
    let server = TestServer::with_trees().await;
    for (path, word) in [("/healthz", "ok"), ("/readyz", "ready")] {
        let response = server.fetch(path, &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(text(response).await, word);
    }
    server.app.store.close().await;
    assert_eq!(server.fetch("/healthz", &[]).await.status(), StatusCode::OK);
    let ready = server.fetch("/readyz", &[]).await;
    assert_eq!(ready.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(text(ready).await, "not ready");
}

#[tokio::test]
async fn what_is_not_there_is_a_json_error_with_status_200() {
    let server = TestServer::with_trees().await;
    for (path, words) in [
        ("/arcgis/rest/services/bushes/FeatureServer", "Service bushes/FeatureServer not found"),
        ("7", "Layer 7 not found"),
        ("0/fly", "Invalid URL"),
        ("fly", "Invalid URL"),
        ("/arcgis/rest/services/trees/MapServer", "Invalid URL"),
        ("replicafiles/x.json", "Result file not found"),
    ] {
        let response = server.fetch(&format!("{path}?f=json"), &[]).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let (code, said) = error(&server::json(response).await);
        assert_eq!(code, 404, "{path}");
        assert!(said.contains(words), "{path}: {said}");
    }
}
