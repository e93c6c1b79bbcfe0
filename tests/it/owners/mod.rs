//! Whose things are: replicas, jobs, uploads and results; and whose rows of a layer, which somebody else may not see or change.

mod becoming;
mod documents;
mod histories;
mod limits;
mod replicas;
mod rows;
mod strangers;
mod withdrawn;

use serde_json::{Value as Json, json};
use syncline::model::principal::Access;

pub use crate::auth::{get_as, post_as};
use crate::support::{TestServer, server::error};

const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");

/// The token of a user.
pub fn token(name: &str) -> String {
    format!("slt_{name}_0123456789abcdef")
}

/// Enters a user with a token and these roles, which are made as needed on the level of editors.
pub async fn enter_user(server: &TestServer, name: &str, roles: &[&str]) {
    let token = token(name);
    let entered = format!(
        "insert into syncline.account (name) values ('{name}');
         insert into syncline.token (digest, account_id, expires_at)
           select sha256('{token}'), account_id, now() + interval '1 day' from syncline.account where name = '{name}'"
    );
    server.database.sql(&entered).await;
    for role in roles {
        let given = format!(
            "insert into syncline.role (name, level) values ('{role}', 'editor') on conflict do nothing;
             insert into syncline.account_role (account_id, role) select account_id, '{role}' from syncline.account where name = '{name}'"
        );
        server.database.sql(&given).await;
    }
}

/// The trees, with the fields `maker`, `made`, `changer` and `changed` that the server fills in; users `ann` and `bob` who edit, `vera` who
/// reads, and `boss`, an administrator; nobody else may do anything.
pub async fn closed() -> TestServer {
    let mut server = TestServer::with_trees().await;
    server
        .database
        .sql("alter table oak add made timestamptz, add maker text, add changed timestamptz, add changer text")
        .await;
    server.app.store.repair("trees", syncline::model::id::LayerId(0), false).await.unwrap();
    server.configure(|config| config.anonymous = Access::None);
    for (name, role) in [("ann", "editor"), ("bob", "editor"), ("vera", "viewer"), ("boss", "admin")] {
        enter_user(&server, name, &[role]).await;
    }
    define(
        &server,
        json!({"editFieldsInfo": {
            "creationDateField": "made", "creatorField": "maker", "editDateField": "changed", "editorField": "changer",
        }}),
    )
    .await;
    server
}

/// Changes the definition of layer 0.
pub async fn define(server: &TestServer, given: Json) {
    let path = "/arcgis/rest/admin/services/trees/FeatureServer/0/updateDefinition";
    let answer = post_as(server, &token("boss"), path, &[("updateDefinition", &given.to_string())]).await;
    assert_eq!(answer["success"], true, "{answer}");
}

/// What is said of the access to rows of others.
pub fn ownership(query: bool, update: bool, delete: bool) -> Json {
    json!({"ownershipBasedAccessControlForFeatures": {
        "allowOthersToQuery": query, "allowOthersToUpdate": update, "allowOthersToDelete": delete,
    }})
}

/// A global id.
pub fn id(number: u32) -> String {
    format!("{{00000000-0000-4000-8000-{number:012}}}")
}

/// Adds features of these species under ids from a number on, as a user.
pub async fn add(server: &TestServer, user: &str, from: u32, species: &[&str]) {
    let features: Vec<Json> = species
        .iter()
        .zip(from..)
        .map(|(species, number)| {
            json!({"attributes": {"globalid": id(number), "species": species}, "geometry": {"x": number, "y": 1}})
        })
        .collect();
    let answer = post_as(
        server,
        &token(user),
        "0/applyEdits",
        &[("adds", &Json::from(features).to_string()), ("useGlobalIds", "true")],
    )
    .await;
    let results = answer["addResults"].as_array().unwrap_or_else(|| panic!("{answer}"));
    assert!(results.iter().all(|result| result["success"] == true), "{answer}");
}

/// The species that a user is told by a query, in order.
pub async fn species(server: &TestServer, user: &str) -> Vec<String> {
    let asked = [("where", "1=1"), ("outFields", "species"), ("orderByFields", "species")];
    let answer = get_as(server, &token(user), "0/query", &asked).await;
    let features = answer["features"].as_array().unwrap_or_else(|| panic!("{answer}"));
    features.iter().map(|feature| feature["attributes"]["species"].as_str().unwrap().to_owned()).collect()
}

/// The code of an answer; 200 if it is no error.
pub fn code(answer: &Json) -> i64 {
    answer.get("error").map_or(200, |_| error(answer).0)
}

/// Creates a replica of the layers as a user.
pub async fn create(server: &TestServer, user: &str, more: &[(&str, &str)]) -> Json {
    let answer = post_as(server, &token(user), "createReplica", &[&[("layers", "0"), EMBEDDED], more].concat()).await;
    assert_eq!(code(&answer), 200, "{answer}");
    answer
}

/// Synchronizes a replica as a user; `held` is an earlier answer.
pub async fn synchronize(server: &TestServer, user: &str, held: &Json, edits: Option<Json>) -> Json {
    let generation = held["replicaServerGen"].to_string();
    let edits = edits.map(|features| json!([{"id": 0, "features": features}]).to_string()).unwrap_or_default();
    let given = [
        ("replicaID", held["replicaID"].as_str().unwrap()),
        ("replicaServerGen", &*generation),
        ("edits", &*edits),
        ("rollbackOnFailure", "false"),
        EMBEDDED,
    ];
    post_as(server, &token(user), "synchronizeReplica", &given).await
}
