//! The life of replicas and of the history: what is forgotten and when, expiry, epochs, gaps, changed tables.
//!
//! Time passes by moving what the database has noted into the past.

mod backup;
mod console;
pub mod epochs;
mod gaps;
mod prune;
mod related;
mod schema;
mod upgrade;

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use crate::support::TestServer;

const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");

/// A client that holds the oaks of a replica: their girths by global id.
struct Client {
    id: String,
    generation: i64,
    rows: BTreeMap<String, i64>,
}

impl Client {
    async fn create(server: &TestServer) -> Client {
        let answer = server.post("createReplica", &[("layers", "0"), EMBEDDED]).await;
        assert!(answer.get("error").is_none(), "{answer}");
        let mut client = Client {
            id: answer["replicaID"].as_str().unwrap().to_owned(),
            generation: answer["replicaServerGen"].as_i64().unwrap(),
            rows: BTreeMap::new(),
        };
        client.replace(&answer);
        client
    }

    fn replace(&mut self, answer: &Json) {
        self.rows = answer["layers"][0]["features"].as_array().unwrap().iter().map(row).collect();
    }

    /// What the server answers to a generation, of which nothing is applied.
    async fn ask(&self, server: &TestServer, generation: i64, parameters: &[(&str, &str)]) -> Json {
        let generation = generation.to_string();
        let mut all = vec![("replicaID", self.id.as_str()), ("replicaServerGen", &generation), EMBEDDED];
        all.extend(parameters);
        server.post("synchronizeReplica", &all).await
    }

    /// Synchronizes, and applies the answer.
    async fn sync(&mut self, server: &TestServer) {
        let answer = self.ask(server, self.generation, &[]).await;
        assert!(answer.get("error").is_none(), "{answer}");
        self.apply(&answer);
    }

    /// Takes all rows anew.
    async fn snapshot(&mut self, server: &TestServer) {
        let answer = self.ask(server, 0, &[("syncDirection", "snapshot")]).await;
        self.replace(&answer);
        self.generation = answer["replicaServerGen"].as_i64().unwrap();
    }

    fn apply(&mut self, answer: &Json) {
        for element in answer["edits"].as_array().into_iter().flatten() {
            for list in ["adds", "updates"] {
                self.rows.extend(element["features"][list].as_array().unwrap().iter().map(row));
            }
            for id in element["features"]["deleteIds"].as_array().unwrap() {
                // It may lack the row: the server cannot know whether an answer arrived.
                self.rows.remove(id.as_str().unwrap());
            }
        }
        self.generation = answer["replicaServerGen"].as_i64().unwrap();
    }
}

fn row(feature: &Json) -> (String, i64) {
    let attributes = &feature["attributes"];
    (attributes["globalid"].as_str().unwrap().to_owned(), attributes["girth"].as_i64().unwrap_or(-1))
}

/// What a client must hold that has everything.
async fn everything(server: &TestServer) -> BTreeMap<String, i64> {
    server.features(0).await.iter().map(row).collect()
}

/// Edits that add an oak, as a client uploads them.
fn one_add(n: u32) -> String {
    json!([{"id": 0, "features": {"adds": [{"attributes": {"globalid": format!("{{AAAAAAAA-0000-4000-8000-{n:012}}}"), "girth": n}}]}}])
        .to_string()
}

/// Lets days pass for everything that was committed and for what clients presented.
async fn pass_days(server: &TestServer, days: u32) {
    server
        .database
        .sql(&format!(
            "update syncline.txn set committed_at = committed_at - interval '{days} days';
             update syncline.batch set received_at = received_at - interval '{days} days';
             update syncline.replica set last_sync_at = last_sync_at - interval '{days} days', expired_at = expired_at - interval '{days} days';
             update syncline.replica_layer set low_since = low_since - interval '{days} days'"
        ))
        .await;
}

async fn generation(server: &TestServer) -> i64 {
    server.database.value("select max(generation) from syncline.txn").await
}

async fn history_from(server: &TestServer) -> i64 {
    server.database.value("select history_from from syncline.service").await
}
