//! The books: what became of every edit, which were refused, what was overwritten, and what can be done about it.

mod along;
mod commands;
mod conflicts;
mod connected;
mod explain;
mod receipts;
mod refusals;
mod rejected;
mod undo;
mod verify;

use serde_json::{Value as Json, json};

use crate::support::TestServer;

/// A replica of a device that uploads to layer 0: its id and the generation that it has.
pub struct Field<'a> {
    pub server: &'a TestServer,
    pub replica: String,
    pub generation: i64,
}

impl<'a> Field<'a> {
    pub async fn new(server: &'a TestServer, parameters: &[(&str, &str)]) -> Field<'a> {
        let mut all = vec![
            ("layers", "0"),
            ("layerQueries", r#"{"0":{"queryOption":"all"}}"#),
            ("transportType", "esriTransportTypeEmbedded"),
        ];
        all.extend(parameters);
        let answer = server.post("createReplica", &all).await;
        Field {
            server,
            replica: answer["replicaID"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned(),
            generation: answer["replicaServerGen"].as_i64().unwrap(),
        }
    }

    /// Synchronizes as the parameters say, and notes the generation if there is one.
    pub async fn synchronize(&mut self, edits: &Json, parameters: &[(&str, &str)]) -> Json {
        let (generation, edits) = (self.generation.to_string(), edits.to_string());
        let mut all = vec![
            ("replicaID", self.replica.as_str()),
            ("replicaServerGen", generation.as_str()),
            ("transportType", "esriTransportTypeEmbedded"),
            ("rollbackOnFailure", "false"),
            ("edits", edits.as_str()),
        ];
        all.extend(parameters);
        let answer = self.server.post("synchronizeReplica", &all).await;
        if let Some(generation) = answer["replicaServerGen"].as_i64() {
            self.generation = generation;
        }
        answer
    }
}

/// The `edits` of layer 0.
pub fn edits(adds: &Json, updates: &Json, deletes: &Json) -> Json {
    json!([{"id": 0, "features": {"adds": adds, "updates": updates, "deleteIds": deletes}}])
}

/// The n-th global id.
pub fn id(n: usize) -> String {
    format!("{{AAAAAAAA-0000-4000-8000-{n:012}}}")
}

/// A feature of layer 0 with these attributes beside its global id.
pub fn tree(n: usize, attributes: &Json) -> Json {
    let mut all = json!({"globalid": id(n)});
    for (name, value) in attributes.as_object().unwrap() {
        all[name] = value.clone();
    }
    json!({"attributes": all})
}

/// The `edits` of layer 0 with updates alone.
pub fn updates(updates: &Json) -> Json {
    edits(&json!([]), updates, &json!([]))
}

/// The `edits` of layer 0 with adds alone.
pub fn adds(adds: &Json) -> Json {
    edits(adds, &json!([]), &json!([]))
}

/// The `edits` of layer 0 with deletes alone.
pub fn deletes(ids: &Json) -> Json {
    edits(&json!([]), &json!([]), ids)
}

/// An answer that must not be an error.
pub fn good(answer: Json) -> Json {
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}

/// The attribute of a feature in the table `oak`, by the number of its global id.
pub async fn stored(server: &TestServer, n: usize, attribute: &str) -> String {
    let statement =
        format!("select coalesce((select {attribute}::text from oak where globalid = '{}'), 'none')", id(n));
    server.database.value(&statement).await
}
