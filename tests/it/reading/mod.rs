//! What queries mean: statistics, space, time, past moments, related records, attachments, several layers at once.

mod attachments;
mod moments;
mod related;
mod space;
mod statistics;
mod times;

use serde_json::Value as Json;

use crate::support::TestServer;

/// The values of one attribute.
pub fn column(answer: &Json, name: &str) -> Json {
    let features = answer["features"].as_array().unwrap_or_else(|| panic!("no features in {answer}"));
    features.iter().map(|feature| feature["attributes"][name].clone()).collect()
}

/// What a query says that fails.
async fn refusal(server: &TestServer, path: &str, parameters: &[(&str, &str)]) -> String {
    let (code, words) = crate::support::server::error(&server.get(path, parameters).await);
    assert_eq!(code, 400, "{words}");
    words
}
