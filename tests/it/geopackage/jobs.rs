//! Files as the results of jobs.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use super::{Package, contents::with_everything, round_trip::attempt};
use crate::support::TestServer;

/// Follows a job to its end.
async fn ended(server: &TestServer, submitted: &Json) -> Json {
    let url = submitted["statusUrl"].as_str().unwrap_or_else(|| panic!("{submitted}"));
    let path = url.split_once("/FeatureServer/").unwrap().1;
    let started = Instant::now();
    loop {
        let status = server.get(path, &[]).await;
        if !["Pending", "InProgress"].contains(&status["status"].as_str().unwrap()) {
            return status;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{status}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn replicas_and_synchronizations_as_jobs_give_files() {
    let server = with_everything().await;
    let jobs = server.run_jobs();
    let asked = [("layers", "0,1"), ("dataFormat", "geoPackage"), ("async", "true"), ("replicaName", "walk")];
    let status = ended(&server, &server.post("createReplica", &asked).await).await;
    assert_eq!(
        (&status["status"], &status["responseType"]),
        (&json!("Completed"), &json!("esriReplicaResponseTypeData"))
    );
    assert_eq!(status["resultSha256"].as_str().map(str::len), Some(64), "{status}");
    let package = Package::fetch(&server, status).await;
    assert_eq!(package.list("SELECT count(*) FROM oak"), "700");
    assert_eq!(
        package.list("SELECT replica_id || replica_name FROM sync_replica"),
        format!("{}walk", package.answer["replicaID"].as_str().unwrap())
    );

    package.open().execute_batch("INSERT INTO visit (oak_id, note) VALUES (NULL, 'good'), ('no guid', 'bad')").unwrap();
    server.database.sql("update oak set species = 'fir' where objectid = 5").await;
    let bytes = std::fs::read(package.path()).unwrap();
    let submitted = attempt(&server, &package, bytes.clone(), &[("async", "true"), ("dataFormat", "geoPackage")]).await;
    let status = ended(&server, &submitted).await;
    assert_eq!(status["status"], "CompletedWithErrors", "{status}");
    let changes = Package::fetch(&server, status).await;
    assert_eq!(changes.list("SELECT op || ' ' || species FROM sync_changes JOIN oak USING (globalid)"), "U fir");
    assert!(changes.list("SELECT description FROM sync_results WHERE NOT success").contains("'no guid' is not a GUID"));
    assert_eq!(server.database.value::<String>("select string_agg(note, ',') from visit").await, "good");

    // A file that is not one fails the job, with words.
    let submitted = attempt(&server, &package, bytes[..bytes.len() / 2].to_vec(), &[("async", "true")]).await;
    let status = ended(&server, &submitted).await;
    assert_eq!(status["status"], "Failed", "{status}");
    assert!(status["error"]["details"][0].as_str().is_some_and(|text| text.contains("is incomplete")), "{status}");
    drop(jobs);
}
