//! The books: what became of every edit, which were refused, what was overwritten, and what can be done about it.

mod refusals;

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
