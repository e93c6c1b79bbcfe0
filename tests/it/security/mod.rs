//! Attacks, by the names that the list of them has: each is tried, and must come to nothing.
//!
//! Some are tried where what they attack is tested, and have their names there: attachments and markup in a real browser (S8, S13) in `browser`, secrets in
//! logs (S11) and changed evidence (S21) in `operations`, every route for everybody (S16), forms (S12) and guesses (S15) in `auth`, what is somebody
//! else's (S10, S16) and what was withdrawn (S18) in `owners`, files of strangers (S7) in `geopackage` and `geodatabase`.

mod abuser;
mod answers;
mod bodies;
mod databases;
mod forms;
mod guesses;
mod hidden;
mod injection;
mod limits;
mod others;
mod paths;
mod requests;
mod routes;
mod slow;
mod supply;
mod tap;

use serde_json::Value as Json;

use crate::support::TestServer;

/// A server with fifty oaks.
async fn with_oaks() -> TestServer {
    let server = TestServer::with_trees().await;
    server
        .database
        .sql(
            "insert into oak (species, height, girth, planted, shape)
             select 'oak ' || n, n / 2.0, n, timestamptz 'epoch' + n * interval '1 day', ST_Point(n * 10, n * 10, 3857) from generate_series(1, 50) n",
        )
        .await;
    server
}

/// The code and the text of an error; none for an answer that is none.
fn refusal(answer: &Json) -> Option<(i64, String)> {
    answer.get("error").map(|error| {
        let details = error["details"].as_array().into_iter().flatten().filter_map(Json::as_str);
        (
            error["code"].as_i64().unwrap(),
            details.collect::<Vec<_>>().join(" ") + error["message"].as_str().unwrap_or_default(),
        )
    })
}
