//! F43: clients that hang up in the middle of a request, at every step of it.

use std::{future::Future, pin::pin, task::Poll, time::Duration};

use futures_util::future::join_all;
use serde_json::Value as Json;

use crate::support::TestServer;

const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");
const WHOLE: (&str, &str) = ("layerQueries", r#"{"1":{"queryOption":"all"}}"#);

/// Lets a request take so many steps, and drops it. Returns whether it was answered before.
async fn drop_after(n_steps: usize, request: impl Future<Output = Json>) -> bool {
    let mut request = pin!(request);
    let mut n_taken = 0;
    std::future::poll_fn(|context| {
        n_taken += 1;
        match request.as_mut().poll(context) {
            Poll::Ready(answer) => {
                assert!(answer.get("error").is_none(), "{answer}");
                Poll::Ready(true)
            }
            Poll::Pending if n_taken == n_steps => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[tokio::test]
async fn clients_that_hang_up_use_up_no_connections() {
    let server = TestServer::with_trees().await;
    let replica = server.post("createReplica", &[("layers", "0,1"), WHOLE, EMBEDDED]).await;
    let (id, generation) = (replica["replicaID"].as_str().unwrap(), replica["replicaServerGen"].to_string());
    let synchronize = |n: usize| {
        let edits = format!(
            r#"[{{"id":0,"features":{{"adds":[{{"attributes":{{"globalid":"AAAAAAAA-0000-4000-8000-{n:012}","species":"x"}}}}]}}}}]"#
        );
        let (server, generation) = (&server, &generation);
        async move {
            let parameters = [("replicaID", id), ("replicaServerGen", generation), ("edits", edits.as_str()), EMBEDDED];
            server.post("synchronizeReplica", &parameters).await
        }
    };
    // Connections that have a statement ready behave otherwise than those that never saw it, hence several rounds.
    let mut n_dropped = 0;
    for round in 0..10 {
        for n_steps in 1..20 {
            let answered = drop_after(n_steps, synchronize(round * 1000 + n_steps)).await;
            n_dropped += usize::from(!answered);
        }
    }
    assert!(n_dropped > 20, "only {n_dropped} requests were dropped, so that this shows nothing");
    let all = join_all((0..16).map(|_| server.post("createReplica", &[("layers", "0,1"), WHOLE, EMBEDDED])));
    let answers = tokio::time::timeout(Duration::from_secs(20), all).await.expect("the server still answers");
    for answer in answers {
        assert!(answer["replicaID"].is_string(), "{answer}");
    }
    // What was applied is in the books, and the other way round.
    let rows: i64 = server.database.value("select count(*) from oak").await;
    let receipts: i64 =
        server.database.value("select count(distinct global_id) from syncline.receipt where code is null").await;
    assert_eq!(rows, receipts);
}
