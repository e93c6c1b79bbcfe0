//! Who may do what: users, tokens, keys, grants.

mod access;
mod clients;
pub mod guessing;
mod matrix;
pub mod sign_on;
pub mod signing_in;

use axum::{
    body::Body,
    http::{Request, Response, header},
};
use serde_json::Value as Json;
use syncline::model::principal::Access;

use crate::support::{
    TestServer,
    server::{encode, json},
};

/// The key `slk_` with the rest in a table of keys, as whoever has it presents it.
pub fn key(name: &str) -> String {
    format!("slk_{name}_0123456789abcdef")
}

/// A server with the service `trees` at which nobody may do anything without saying who they are, with the keys `viewer`, `editor`, `publisher`
/// and `admin`.
pub async fn closed() -> TestServer {
    let mut server = TestServer::with_trees().await;
    server.configure(|config| config.anonymous = Access::None);
    for role in ["viewer", "editor", "publisher", "admin"] {
        enter_key(&server, role, role, "null").await;
    }
    server
}

/// Enters a key; `services` is an array in SQL.
pub async fn enter_key(server: &TestServer, name: &str, role: &str, services: &str) {
    let key = key(name);
    server
        .database
        .sql(&format!(
            "insert into syncline.api_key (name, digest, role, services) values ('{name}', sha256('{key}'), '{role}', {services})"
        ))
        .await;
}

/// GET with `f=json` and the token in a header.
pub async fn get_as(server: &TestServer, token: &str, path: &str, parameters: &[(&str, &str)]) -> Json {
    json(ask(server, "GET", token, path, parameters).await).await
}

/// POST with `f=json` and the token in a header.
pub async fn post_as(server: &TestServer, token: &str, path: &str, parameters: &[(&str, &str)]) -> Json {
    json(ask(server, "POST", token, path, parameters).await).await
}

/// A request with the token in a header, unless that is empty.
pub async fn ask(
    server: &TestServer,
    method: &str,
    token: &str,
    path: &str,
    parameters: &[(&str, &str)],
) -> Response<Body> {
    let path = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/arcgis/rest/services/trees/FeatureServer/{path}"),
    };
    let form = encode(parameters);
    let (address, body) = match method {
        "GET" => (format!("{path}?{form}"), Body::empty()),
        _ => (path, Body::from(form)),
    };
    let mut request = Request::builder().method(method).uri(address).header(header::HOST, "test:80");
    if method != "GET" {
        request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    }
    if !token.is_empty() {
        request = request.header("X-Esri-Authorization", format!("Bearer {token} "));
    }
    server.send(request.body(body).unwrap()).await
}
