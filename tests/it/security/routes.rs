//! Which routes there are, and what each says to a stranger (S19): nothing is forgotten, and what is not said to be open is closed.

use std::path::Path;

use axum::{body::Body, http::Request};
use serde_json::Value as Json;

use crate::{auth::closed, openapi::description, support::server::text};

/// The list as it was looked through, one route a line: the verb, the path, and what somebody gets who does not say who they are, at a server that
/// is not open to everybody.
const LIST: &str = include_str!("routes.txt");

#[tokio::test]
async fn s19_every_route_is_known_and_closed_to_strangers_unless_the_list_says_otherwise() {
    let mut server = closed().await;
    server.configure(|config| config.metrics_open = false);
    let mut found = Vec::new();
    for (path, item) in description(&server).await["paths"].as_object().unwrap() {
        for verb in ["get", "post"] {
            if item.get(verb).is_none() {
                continue;
            }
            let mut filled = path.clone();
            for (placeholder, value) in [
                ("{service}", "trees"),
                ("{layer}", "0"),
                ("{objectId}", "1"),
                ("{attachmentId}", "1"),
                ("{number}", "1"),
            ] {
                filled = filled.replace(placeholder, value);
            }
            let filled = filled.replace(['{', '}'], "");
            let request = Request::builder()
                .method(verb.to_uppercase().as_str())
                .uri(format!("{filled}?f=json"))
                .header("host", "test:80");
            let response = server.send(request.body(Body::empty()).unwrap()).await;
            let status = response.status().as_u16();
            let answer: Json = serde_json::from_str(&text(response).await).unwrap_or_default();
            let code = answer["error"]["code"].as_i64().unwrap_or(status.into());
            found.push(format!("{} {path} {code}", verb.to_uppercase()));
        }
    }
    found.sort();
    let found = found.join("\n") + "\n";
    if found != LIST {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("routes.txt");
        std::fs::write(&place, &found).unwrap();
        let mut lines: Vec<String> =
            LIST.lines().filter(|line| !found.contains(*line)).map(|line| format!("- {line}")).collect();
        lines.extend(found.lines().filter(|line| !LIST.contains(*line)).map(|line| format!("+ {line}")));
        panic!("routes have changed; if that is meant, copy {} over the list:\n{}", place.display(), lines.join("\n"));
    }
}

#[test]
fn s19_the_program_has_no_switches_for_tests() {
    let mut sources = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(place) = sources.pop() {
        if place.is_dir() {
            sources.extend(std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let source = std::fs::read_to_string(&place).unwrap_or_default();
        for switch in ["fail_point", "failpoint", "cfg!(test)", "debug_assertions", "cfg(feature"] {
            assert!(!source.contains(switch), "{} has {switch}", place.display());
        }
    }
}
