//! Definitions: what administrators say about layers, how it is shown, and that it is enforced wherever edits come from.

mod additions;
mod admin;
mod capabilities;
mod documents;
mod domains;
mod fields;
mod hidden;
mod tracking;

use serde_json::{Value as Json, json};

use crate::support::TestServer;

const TOKEN: &str = "a-token-of-an-administrator";
const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");

/// The trees, on a server that knows the administrator's token.
async fn with_admin() -> TestServer {
    let mut server = TestServer::with_trees().await;
    server.configure(|config| config.admin_token = Some(TOKEN.to_owned()));
    server
}

fn admin(path: &str) -> String {
    format!("/arcgis/rest/admin/services/trees/FeatureServer/{path}")
}

/// What an operation on a definition answers; `path` is as `0/updateDefinition`.
async fn attempt(server: &TestServer, path: &str, given: &Json) -> Json {
    let operation = path.rsplit('/').next().unwrap();
    server.post(&admin(path), &[("token", TOKEN), (operation, &given.to_string())]).await
}

async fn change(server: &TestServer, path: &str, given: Json) {
    let answer = attempt(server, path, &given).await;
    assert_eq!(answer["success"], true, "{answer}");
}

/// Applies edits to layer 0. Each edit's description if it was refused, else nothing.
async fn apply(server: &TestServer, list: &str, features: &Json) -> Vec<String> {
    let answer = server.post("0/applyEdits", &[(list, &features.to_string()), ("rollbackOnFailure", "false")]).await;
    let results = [&answer["addResults"], &answer["updateResults"], &answer["deleteResults"]];
    let results = results.into_iter().flat_map(|results| results.as_array().unwrap_or_else(|| panic!("{answer}")));
    results.map(|result| result["error"]["description"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn create(server: &TestServer) -> Json {
    let answer = server.post("createReplica", &[("layers", "0"), EMBEDDED, ("replicaName", "field")]).await;
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}

/// Synchronizes with the generation of an earlier answer; `features` are the edits of layer 0, each for itself.
async fn synchronize(server: &TestServer, holding: &Json, features: &Json) -> Json {
    server
        .post(
            "synchronizeReplica",
            &[
                ("replicaID", holding["replicaID"].as_str().unwrap()),
                ("replicaServerGen", &holding["replicaServerGen"].to_string()),
                ("edits", &json!([{"id": 0, "features": features}]).to_string()),
                ("rollbackOnFailure", "false"),
                EMBEDDED,
            ],
        )
        .await
}

fn id(n: u32) -> String {
    format!("{{AAAAAAAA-0000-4000-8000-{n:012}}}")
}

/// A field of a layer's document.
async fn field(server: &TestServer, name: &str) -> Json {
    let layer = server.get("0", &[]).await;
    layer["fields"].as_array().unwrap().iter().find(|field| field["name"] == name).unwrap().clone()
}
