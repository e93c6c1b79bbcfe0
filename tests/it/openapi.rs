//! The description of the interface: it is sound, it has every route, and every route that it has is there.

use std::{collections::BTreeSet, fs, path::Path};

use axum::{body::Body, http::Request};
use serde_json::Value as Json;

use crate::support::{TestServer, server::json};

/// The description as a client gets it.
pub async fn description(server: &TestServer) -> Json {
    json(server.fetch("/openapi.json", &[]).await).await
}

/// Visits every value of a document.
fn visit(value: &Json, see: &mut impl FnMut(&str, &Json)) {
    match value {
        Json::Object(members) => members.iter().for_each(|(name, value)| {
            see(name, value);
            visit(value, see);
        }),
        Json::Array(items) => items.iter().for_each(|item| visit(item, see)),
        _ => {}
    }
}

#[tokio::test]
async fn the_description_is_sound() {
    let server = TestServer::new().await;
    let document = description(&server).await;
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["servers"][0]["url"], "http://test:80");
    let mut ids = BTreeSet::new();
    let mut n_references = 0;
    visit(&document, &mut |name, value| match name {
        "$ref" => {
            let path = value.as_str().unwrap().strip_prefix('#').unwrap();
            assert!(document.pointer(path).is_some(), "{path} is not there");
            n_references += 1;
        }
        "operationId" => assert!(ids.insert(value.as_str().unwrap().to_owned()), "{value} is there twice"),
        _ => {}
    });
    assert!(n_references > 50 && ids.len() > 80, "{n_references} references, {} operations", ids.len());
    for (path, item) in document["paths"].as_object().unwrap() {
        for operation in ["get", "post"].iter().filter_map(|verb| item.get(verb)) {
            let mut names = BTreeSet::new();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap();
                assert!(names.insert(name.to_ascii_lowercase()), "{path}: {name} is there twice");
            }
        }
        let placeholders: Vec<&str> =
            path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
        let declared: Vec<&str> =
            item["parameters"].as_array().into_iter().flatten().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(placeholders, declared, "{path}");
    }
}

#[tokio::test]
async fn every_path_of_the_description_is_there() {
    let server = TestServer::with_trees().await;
    let document = description(&server).await;
    for (path, item) in document["paths"].as_object().unwrap() {
        let address: Vec<&str> = path
            .split('/')
            .map(|part| match part {
                "{service}" => "trees",
                "{layer}" | "{objectId}" | "{attachmentId}" | "{number}" => "0",
                part if part.starts_with('{') => "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
                part => part,
            })
            .collect();
        let verb = if item.get("get").is_some() { "GET" } else { "POST" };
        let request = Request::builder().method(verb).uri(format!("{}?f=json", address.join("/")));
        let response = server.send(request.body(Body::empty()).unwrap()).await;
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let text = String::from_utf8_lossy(&body);
        assert!(!text.contains("Invalid URL"), "{path} is not there: {text}");
    }
}

/// The patterns of paths in a source: lists such as `["jobs", _]`, with words in lower case and `{}` for what varies.
fn patterns(source: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (start, _) in source.match_indices('[') {
        let Some((inside, _)) = source[start + 1..].split_once(']') else { continue };
        // Only patterns: an arm, or one of several before an arm.
        let rest = source[start + inside.len() + 2..].trim_start();
        if !(rest.starts_with("=>") || rest.starts_with('|')) || inside.contains("..") || inside.trim().is_empty() {
            continue;
        }
        let words = inside.split(',').map(str::trim).map(|part| match part.strip_prefix('"') {
            Some(word) => word.trim_end_matches('"').to_owned(),
            None => "{}".to_owned(),
        });
        found.push(words.collect::<Vec<String>>());
    }
    found
}

#[tokio::test]
async fn every_route_is_in_the_description() {
    let server = TestServer::new().await;
    let document = description(&server).await;
    let mut paths: Vec<Vec<String>> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(|path| {
            let parts = path.split('/').filter(|part| !part.is_empty());
            parts.map(|part| if part.starts_with('{') { "{}".to_owned() } else { part.to_ascii_lowercase() }).collect()
        })
        .collect();
    // Longer patterns first: the end of a long path must not stand for a short one.
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    let routes = fs::read_to_string(source.join("route.rs")).unwrap();
    let routes = routes.split("mod tests").next().unwrap();
    let mut wanted = patterns(routes);
    for file in ["books.rs", "console.rs"] {
        wanted.extend(patterns(&fs::read_to_string(source.join(file)).unwrap()));
    }
    wanted.sort_by_key(|pattern| std::cmp::Reverse(pattern.len()));
    assert!(wanted.len() > 40, "the routes are written in a way that this test does not read: {wanted:?}");
    let mut missing = Vec::new();
    for pattern in wanted {
        // Addresses that only lead elsewhere, or are other spellings.
        let text = pattern.join("/");
        if ["arcgis", "arcgis/rest", "arcgis/sharing"].contains(&text.as_str()) {
            continue;
        }
        match paths.iter().position(|path| path.ends_with(&pattern)) {
            Some(index) => drop(paths.remove(index)),
            None => missing.push(text),
        }
    }
    assert!(missing.is_empty(), "src/http/openapi/operations.rs has no entry for {}", missing.join(", "));
}
