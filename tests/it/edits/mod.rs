//! What connected clients change: applyEdits with all its options, attachments, all rows that a condition selects, append,
//! and values of every type.

mod append;
mod append_large;
mod apply_edits;
mod attachments;
mod rows;
mod values;

use serde_json::Value as Json;

use crate::support::TestServer;

/// Three oaks: elm, fir and ash, at (1,1), (2,2), (3,3), with girths 1, 2 and 3; they may have attachments.
async fn with_oaks() -> TestServer {
    let server = TestServer::with_trees().await;
    server.app.store.enable_attachments("trees", syncline::model::id::LayerId(0)).await.unwrap();
    server
        .database
        .sql(
            "insert into oak (globalid, species, girth, shape)
             select ('aaaaaaaa-0001-4000-8000-' || lpad(n::text, 12, '0'))::uuid, name, n, ST_Point(n, n, 3857)
             from unnest(array['elm', 'fir', 'ash'], array[1, 2, 3]) as t (name, n)",
        )
        .await;
    server
}

fn oak(n: u32) -> String {
    format!("{{AAAAAAAA-0001-4000-8000-{n:012}}}")
}

/// The species of all oaks, in order of their object ids.
async fn species(server: &TestServer) -> Vec<String> {
    let text = |row: &Json| row["attributes"]["species"].as_str().unwrap_or("-").to_owned();
    server.features(0).await.iter().map(text).collect()
}

/// Asks for a job until it has ended.
async fn ended(server: &TestServer, submitted: &Json) -> Json {
    ended_for(server, submitted, &[]).await
}

/// The same for somebody who says who they are.
async fn ended_for(server: &TestServer, submitted: &Json, who: &[(&str, &str)]) -> Json {
    let url = submitted["statusUrl"].as_str().unwrap_or_else(|| panic!("no job: {submitted}"));
    let path = url.strip_prefix("http://test:80").unwrap();
    loop {
        let status = server.get(path, who).await;
        match status["status"].as_str().unwrap_or_else(|| panic!("no status: {status}")) {
            "Pending" | "InProgress" => tokio::task::yield_now().await,
            _ => return status,
        }
    }
}

/// The document behind an address.
async fn behind(server: &TestServer, url: &Json) -> Json {
    let path = url.as_str().unwrap().strip_prefix("http://test:80").unwrap();
    crate::support::server::json(server.fetch(path, &[]).await).await
}
