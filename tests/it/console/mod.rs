//! What the console is made of: its resources, and what they tell.

mod health;
mod publish;
mod replicas;
mod timeline;
mod unregister;

use serde_json::Value as Json;

use crate::{accounting::Field, support::TestServer};

const TOKEN: (&str, &str) = ("token", "a-token-of-an-administrator");

/// A server with an administrator.
async fn server() -> TestServer {
    let mut server = TestServer::with_trees().await;
    server.configure(|config| config.admin_token = Some(TOKEN.1.to_owned()));
    server
}

/// GET of a resource, as the administrator.
async fn get(server: &TestServer, resource: &str, parameters: &[(&str, &str)]) -> Json {
    let path = format!("/arcgis/rest/admin/{resource}");
    server.get(&path, &[&[TOKEN], parameters].concat()).await
}

/// POST to an operation, as the administrator.
async fn post(server: &TestServer, operation: &str, parameters: &[(&str, &str)]) -> Json {
    let path = format!("/arcgis/rest/admin/{operation}");
    server.post(&path, &[&[TOKEN], parameters].concat()).await
}

/// The member of each replica of a list.
fn each<'a>(list: &'a Json, member: &str) -> Vec<&'a Json> {
    list["replicas"].as_array().unwrap_or_else(|| panic!("{list}")).iter().map(|one| &one[member]).collect()
}

/// Lets days pass for a replica, or for all that happened.
async fn pass_days(field: &Field<'_>, days: u32) {
    let id = field.replica.trim_matches(['{', '}']);
    field
        .server
        .database
        .sql(&format!(
            "update syncline.replica set created_at = created_at - interval '{days} days', last_sync_at = last_sync_at - interval '{days} days'
             where replica_id = '{id}'"
        ))
        .await;
}
