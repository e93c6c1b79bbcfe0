//! Unregistering several replicas at once, with a preview.

use serde_json::json;

use super::{get, post, server};
use crate::{
    accounting::{Field, edits, tree},
    support::server::error,
};

#[tokio::test]
async fn a_preview_says_what_becomes_of_history_edits_and_jobs_and_changes_nothing() {
    let server = server().await;
    let mut slow = Field::new(&server, &[("replicaName", "Slow")]).await;
    slow.synchronize(&edits(&json!([tree(1, &json!({"girth": "many"}))]), &json!([]), &json!([])), &[]).await;
    server.database.sql("insert into oak (girth) select n from generate_series(1, 10) n").await;
    let middle = Field::new(&server, &[("replicaName", "Middle")]).await;
    server.database.sql("update oak set girth = 0 where girth < 5").await;
    let quick = Field::new(&server, &[("replicaName", "Quick")]).await;
    let generation = slow.generation.to_string();
    let asked = [("replicaID", slow.replica.as_str()), ("replicaServerGen", &generation), ("async", "true")];
    server.post("synchronizeReplica", &asked).await;

    let one = post(&server, "replicas/unregister", &[("replicaIDs", &slow.replica), ("preview", "true")]).await;
    let history = &one["histories"][0];
    assert_eq!((&history["noLongerNeeded"]["changes"], &history["service"]), (&json!(10), &json!("trees")), "{one}");
    assert!(history["noLongerNeeded"]["bytes"].as_i64().unwrap() > 0, "{one}");
    assert_eq!(history["forgottenByNextPruning"]["changes"], 0, "all of it is young: {one}");
    assert_eq!(history["thenHeldBy"]["replicaName"], "Middle", "{one}");
    let of_slow = &one["replicas"][0];
    assert_eq!((&of_slow["openRejectedEdits"], &of_slow["openJobs"]), (&json!(1), &json!(1)), "{one}");
    let said = of_slow["consequences"].to_string();
    for words in ["new replica", "1 open refused edits stay", "1 of its jobs"] {
        assert!(said.contains(words), "{words} is not in {said}");
    }

    let several = [slow.replica.as_str(), middle.replica.as_str(), "6f9619ff-8b86-d011-b42d-00cf4fc964ff"].join(", ");
    let both = post(&server, "replicas/unregister", &[("replicaIDs", &several), ("preview", "true")]).await;
    let history = &both["histories"][0];
    assert_eq!(
        (&history["noLongerNeeded"]["changes"], &history["thenHeldBy"]["replicaName"]),
        (&json!(14), &json!("Quick"))
    );
    assert_eq!(both["unknown"], json!(["6f9619ff-8b86-d011-b42d-00cf4fc964ff"]), "{both}");
    assert_eq!(get(&server, "replicas", &[]).await["count"], 3);

    // What is old enough goes with the next pruning.
    server.database.sql("update syncline.txn set committed_at = committed_at - interval '100 days'").await;
    let one = post(&server, "replicas/unregister", &[("replicaIDs", &slow.replica), ("preview", "true")]).await;
    assert_eq!(one["histories"][0]["forgottenByNextPruning"]["changes"], 10, "{one}");
    drop(quick);
}

#[tokio::test]
async fn several_replicas_are_unregistered_and_each_is_answered_for() {
    let server = server().await;
    let [one, two, three] =
        [Field::new(&server, &[]).await, Field::new(&server, &[]).await, Field::new(&server, &[]).await];
    let ids = [one.replica.as_str(), "{6F9619FF-8B86-D011-B42D-00CF4FC964FF}", two.replica.as_str()].join(",");
    let done = post(&server, "replicas/unregister", &[("replicaIDs", &ids)]).await;
    let successes: Vec<&serde_json::Value> =
        done["results"].as_array().unwrap().iter().map(|result| &result["success"]).collect();
    assert_eq!(
        (&done["success"], successes),
        (&json!(false), vec![&json!(true), &json!(false), &json!(true)]),
        "{done}"
    );
    assert!(done["results"][1]["error"]["details"][1].as_str().unwrap().contains("not registered"), "{done}");
    let left = get(&server, "replicas", &[]).await;
    assert_eq!(
        (&left["count"], left["replicas"][0]["replicaID"].as_str().unwrap().to_lowercase()),
        (&json!(1), three.replica.to_lowercase())
    );
    for (ids, words) in [("", "it is missing"), ("x", "'x' is not the id")] {
        let answer = post(&server, "replicas/unregister", &[("replicaIDs", ids)]).await;
        assert!(error(&answer).1.contains(words), "{answer}");
    }
}
