//! Jobs: their life, and that they end once whatever happens to the servers that run them.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use sqlx::Executor as _;

use crate::support::{
    Program, TestDatabase, TestServer,
    server::{error, text},
};

const ASYNC: (&str, &str) = ("async", "true");
const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");

async fn with_elm() -> TestServer {
    let server = TestServer::with_trees().await;
    server
        .database
        .sql("insert into oak (globalid, species, girth) values ('aaaaaaaa-0000-4000-8000-000000000001', 'elm', 1)")
        .await;
    server
}

/// Submits a request as a job; the path of its status.
async fn submit(server: &TestServer, operation: &str, parameters: &[(&str, &str)]) -> String {
    let mut all = vec![ASYNC];
    all.extend(parameters);
    let answer = server.post(operation, &all).await;
    let url = answer["statusUrl"].as_str().unwrap_or_else(|| panic!("{answer}"));
    url.strip_prefix("http://test:80").unwrap_or_else(|| panic!("{url}")).to_owned()
}

/// The status once it is as wanted, for which it has 20 seconds.
async fn status_when(server: &TestServer, path: &str, wanted: impl Fn(&str) -> bool) -> Json {
    let started = Instant::now();
    loop {
        let status = server.get(path, &[]).await;
        if wanted(status["status"].as_str().unwrap_or_else(|| panic!("no status in {status}"))) {
            return status;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{path} is still {status}");
        tokio::task::yield_now().await;
    }
}

async fn ended(server: &TestServer, path: &str) -> Json {
    status_when(server, path, |status| !["Pending", "InProgress"].contains(&status)).await
}

/// The document behind a job's URL, as it is.
async fn result_text(server: &TestServer, status: &Json) -> String {
    let url = status["resultUrl"].as_str().unwrap();
    let path = url.strip_prefix("http://test:80").unwrap_or_else(|| panic!("no result in {status}"));
    text(server.fetch(path, &[]).await).await
}

async fn result(server: &TestServer, status: &Json) -> Json {
    serde_json::from_str(&result_text(server, status).await).unwrap()
}

/// Waits until so many statements wait for a lock on a table.
async fn blocked(database: &TestDatabase, table: &str, n_wanted: i64) {
    let started = Instant::now();
    let query = format!("select count(*) from pg_locks where not granted and relation = '{table}'::regclass");
    while database.value::<i64>(&query).await != n_wanted {
        assert!(started.elapsed() < Duration::from_secs(20), "there are not {n_wanted} that wait for {table}");
    }
}

/// A replica of layer 0 that has everything; its id and generation.
async fn replica(server: &TestServer) -> (String, String) {
    let replica = server.post("createReplica", &[("layers", "0"), EMBEDDED]).await;
    (replica["replicaID"].as_str().unwrap().to_owned(), replica["replicaServerGen"].to_string())
}

/// Makes a job look as one whose server died in the middle of it some time ago.
const ORPHAN: &str =
    "update syncline.job set state = 'InProgress', attempts = greatest(attempts, 1), lease_id = gen_random_uuid(),
    lease_until = now() - interval '1 second', ended_at = null, head = null, export_id = null";

#[tokio::test]
async fn a_job_waits_runs_and_leads_to_what_the_request_would_have_answered() {
    let server = with_elm().await;
    let parameters = [("layers", "0,1"), ("replicaName", "Crew 7"), EMBEDDED];
    let path = submit(&server, "createReplica", &parameters).await;
    assert!(path.contains("/FeatureServer/jobs/j"), "{path}");
    let waiting = server.get(&path, &[]).await;
    assert_eq!((&waiting["status"], &waiting["resultUrl"]), (&json!("Pending"), &json!("")), "{waiting}");
    assert!(waiting["submissionTime"].as_i64().unwrap() > 1_700_000_000_000, "{waiting}");
    assert_eq!(server.get("replicas", &[]).await, json!([]), "nothing is done in the request");

    let _runner = server.run_jobs();
    let done = ended(&server, &path).await;
    for (member, value) in [
        ("status", "Completed"),
        ("replicaName", "Crew 7"),
        ("transportType", "esriTransportTypeUrl"),
        ("responseType", "esriReplicaResponseTypeData"),
        ("syncModel", "perReplica"),
        ("targetType", "client"),
    ] {
        assert_eq!(done[member], value, "{member} of {done}");
    }
    assert!(done["lastUpdatedTime"].as_i64() >= done["submissionTime"].as_i64(), "{done}");
    assert!(done.get("error").is_none() && done.get("progress").is_none(), "{done}");
    let bytes = result_text(&server, &done).await;
    assert_eq!(done["resultSize"], bytes.len());
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(done["resultSha256"], digest);
    let document: Json = serde_json::from_str(&bytes).unwrap();
    assert_eq!(document["layers"][0]["features"][0]["attributes"]["species"], "elm");
    for member in ["replicaID", "replicaServerGen", "replicaName"] {
        assert_eq!(document[member], done[member], "{member}");
    }
    let replicas = server.get("replicas", &[]).await;
    assert_eq!(replicas[0]["replicaID"], done["replicaID"]);

    assert_eq!(server.get(&format!("{path}/status"), &[]).await, done, "old clients append a word");
    let list = server.get("jobs", &[]).await;
    assert_eq!((&list["jobs"][0]["jobId"], &list["jobs"][0]["status"]), (&done["jobId"], &json!("Completed")));
}

#[tokio::test]
async fn a_job_keeps_the_parameters_of_its_request_but_no_token() {
    let mut server = with_elm().await;
    server.configure(|config| config.admin_token = Some("secret-token-of-a-client".to_owned()));
    let token = ("token", "secret-token-of-a-client");
    let path = submit(&server, "createReplica", &[("layers", "0,1"), ("replicaName", "Crew 7"), token]).await;
    assert_eq!(server.get(&path, &[token]).await["status"], "Pending");
    let kept: String = server.database.value("select parameters from syncline.job").await;
    assert!(kept.contains("Crew 7") && !kept.contains("secret-token"), "{kept}");
}

#[tokio::test]
async fn a_job_is_a_page_for_people_too() {
    let server = with_elm().await;
    assert!(text(server.fetch("jobs", &[]).await).await.contains("<p>None</p>"));
    let path = submit(&server, "createReplica", &[("layers", "0")]).await;
    let id = path.rsplit('/').next().unwrap();
    assert!(text(server.fetch("jobs", &[]).await).await.contains(&format!("/FeatureServer/jobs/{id}\">{id}</a>")));
    let _runner = server.run_jobs();
    let done = ended(&server, &path).await;
    let page = text(server.fetch(&path, &[]).await).await;
    let link = format!("<a href=\"{}\"", done["resultUrl"].as_str().unwrap());
    assert!(page.contains("Completed") && page.contains(&link), "{page}");
}

#[tokio::test]
async fn what_is_not_there_or_makes_no_sense_is_said_at_once_and_stores_nothing() {
    let mut server = with_elm().await;
    for path in ["jobs/j0123456789abcdef0123456789abcdef", "jobs/nonsense", "jobs/nonsense/status"] {
        let answer = server.get(path, &[]).await;
        assert!(answer.get("status").is_none(), "{answer}");
        assert!(error(&answer).1.contains("Job not found"), "{answer}");
    }
    for (operation, parameters, words) in [
        ("createReplica", vec![("layers", "9")], "'layers'"),
        ("createReplica", vec![("layers", "0"), ("async", "perhaps")], "'async'"),
        ("synchronizeReplica", vec![("replicaID", "aaaaaaaa-0000-4000-8000-00000000000f")], "not registered"),
    ] {
        let mut all = vec![ASYNC];
        all.extend(parameters);
        let answer = server.post(operation, &all).await;
        assert!(error(&answer).1.contains(words), "{answer}");
    }
    server.configure(|config| config.max_waiting_jobs = 1);
    submit(&server, "createReplica", &[("layers", "0")]).await;
    let answer = server.post("createReplica", &[("layers", "0"), ASYNC]).await;
    let (code, words) = error(&answer);
    assert!(code == 503 && words.contains("1 jobs wait") && words.contains("try again"), "{words}");
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.job").await, 1);
}

#[tokio::test]
async fn a_synchronization_as_a_job_says_what_became_of_its_edits() {
    let server = with_elm().await;
    let (id, generation) = replica(&server).await;
    let _runner = server.run_jobs();
    let known = [("replicaID", id.as_str()), ("replicaServerGen", generation.as_str())];
    let synchronize = async |more: &[(&'static str, &str)]| {
        let path = submit(&server, "synchronizeReplica", &[&known[..], more].concat()).await;
        ended(&server, &path).await
    };

    let done = synchronize(&[]).await;
    assert_eq!((&done["status"], &done["resultUrl"]), (&json!("Completed"), &json!("")), "{done}");
    assert_eq!(done["responseType"], "esriReplicaResponseTypeNoEdits");
    assert_eq!((&done["replicaID"], done["replicaServerGen"].to_string()), (&json!(id), generation.clone()));

    let good = r#"{"attributes":{"globalid":"{BBBBBBBB-0000-4000-8000-000000000001}","species":"fir"}}"#;
    let bad = r#"{"attributes":{"globalid":"{BBBBBBBB-0000-4000-8000-000000000002}","girth":"wide"}}"#;
    let edits = |features: &str| format!(r#"[{{"id":0,"features":{{"adds":[{features}]}}}}]"#);
    let both = edits(&format!("{good},{bad}"));

    let failed = synchronize(&[("edits", &both), ("rollbackOnFailure", "true")]).await;
    assert_eq!((&failed["status"], &failed["resultUrl"]), (&json!("Failed"), &json!("")), "{failed}");
    let at_once = server.post("synchronizeReplica", &[&known[..], &[("edits", &both)]].concat()).await;
    assert_eq!(failed["error"], at_once["error"], "the job fails as the request does");
    assert!(error(&failed).1.contains("BBBBBBBB-0000-4000-8000-000000000002"), "{failed}");
    assert_eq!(server.features(0).await.len(), 1);

    let partly = synchronize(&[("edits", &both), ("rollbackOnFailure", "false")]).await;
    assert_eq!(partly["status"], "CompletedWithErrors", "{partly}");
    let results = &result(&server, &partly).await["edits"][0]["features"]["addResults"];
    assert_eq!(results[0]["globalId"], "{BBBBBBBB-0000-4000-8000-000000000002}", "{results}");
    assert_eq!(server.features(0).await.len(), 2);

    let done = synchronize(&[("edits", &edits(good)), ("returnIdsForAdds", "true"), ("closeReplica", "true")]).await;
    assert_eq!(done["status"], "Completed", "{done}");
    let results = &result(&server, &done).await["edits"][0]["features"]["addResults"];
    assert_eq!(results[0]["success"], true, "{results}");
    assert_eq!(server.get("replicas", &[]).await, json!([]), "closed");
}

#[tokio::test]
async fn a_synchronization_that_is_asked_for_again_while_it_waits_is_the_same_job() {
    let server = with_elm().await;
    let (id, generation) = replica(&server).await;
    let edits = r#"[{"id":0,"features":{"deleteIds":["{AAAAAAAA-0000-4000-8000-000000000001}"]}}]"#;
    let parameters = [("replicaID", id.as_str()), ("replicaServerGen", &generation), ("edits", edits)];
    let first = submit(&server, "synchronizeReplica", &parameters).await;
    assert_eq!(submit(&server, "synchronizeReplica", &parameters).await, first);
    let other = [("replicaID", id.as_str()), ("replicaServerGen", &generation)];
    assert_ne!(submit(&server, "synchronizeReplica", &other).await, first);
    let create = [("layers", "0")];
    let one = submit(&server, "createReplica", &create).await;
    assert_ne!(submit(&server, "createReplica", &create).await, one, "two devices may ask for the same");
    let _runner = server.run_jobs();
    ended(&server, &first).await;
    let later = submit(&server, "synchronizeReplica", &parameters).await;
    assert_ne!(later, first, "one that has ended is not run again, but its edits are recognised");
    assert_eq!(ended(&server, &later).await["status"], "Completed");
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.batch").await, 1);
}

#[tokio::test]
async fn f37_a_job_whose_server_died_is_taken_over_and_one_that_died_too_often_has_failed() {
    let server = with_elm().await;
    let path = submit(&server, "createReplica", &[("layers", "0")]).await;
    server.database.sql(ORPHAN).await;
    assert_eq!(server.get(&path, &[]).await["status"], "InProgress");
    let runner = server.run_jobs();
    let done = ended(&server, &path).await;
    assert_eq!((&done["status"], &done["attempts"]), (&json!("Completed"), &json!(2)), "{done}");
    runner.stop().await;

    let path = submit(&server, "createReplica", &[("layers", "0")]).await;
    server
        .database
        .sql(&format!(
            "{ORPHAN} where state = 'Pending'; update syncline.job set attempts = 3 where state = 'InProgress'"
        ))
        .await;
    let _runner = server.run_jobs();
    let failed = ended(&server, &path).await;
    assert_eq!(failed["status"], "Failed");
    let (code, words) = error(&failed);
    assert!(code == 503 && words.contains("begun 3 times"), "{words}");
}

#[tokio::test]
async fn a_lease_that_is_not_over_is_left_alone() {
    let server = with_elm().await;
    let held = submit(&server, "createReplica", &[("layers", "0")]).await;
    server
        .database
        .sql(&format!("{ORPHAN}; update syncline.job set lease_until = now() + interval '1 hour', attempts = 3"))
        .await;
    let other = submit(&server, "createReplica", &[("layers", "0")]).await;
    let _runner = server.run_jobs();
    ended(&server, &other).await;
    assert_eq!(server.get(&held, &[]).await["status"], "InProgress");
}

/// Takes as long as a heart takes to beat, which is ten seconds.
#[tokio::test]
async fn a_job_that_takes_long_keeps_its_lease_and_tells_how_far_it_is() {
    let server = with_elm().await;
    let mut holder = server.database.connect().await;
    holder.execute("begin; lock table visit in access exclusive mode").await.unwrap();
    let queries = r#"{"1":{"queryOption":"all"}}"#;
    let path = submit(&server, "createReplica", &[("layers", "0,1"), ("layerQueries", queries)]).await;
    let _runner = server.run_jobs();
    blocked(&server.database, "visit", 1).await;
    server.database.sql("update syncline.job set lease_until = now() + interval '20 seconds'").await;
    let started = Instant::now();
    while server.database.value::<bool>("select lease_until < now() + interval '30 seconds' from syncline.job").await {
        assert!(started.elapsed() < Duration::from_secs(20), "the lease is not prolonged");
    }
    let status = server.get(&path, &[]).await;
    assert_eq!((&status["status"], &status["progress"]), (&json!("InProgress"), &json!({"layer": 0, "rows": 1})));
    holder.execute("commit").await.unwrap();
    let done = ended(&server, &path).await;
    assert_eq!((&done["status"], &done["attempts"]), (&json!("Completed"), &json!(1)), "{done}");
}

#[tokio::test]
async fn of_two_servers_that_both_think_a_replica_is_theirs_to_make_one_makes_it() {
    let server = with_elm().await;
    let mut holder = server.database.connect().await;
    holder.execute("begin; lock table oak in access exclusive mode").await.unwrap();
    let path = submit(&server, "createReplica", &[("layers", "0")]).await;
    let _first = server.run_jobs();
    blocked(&server.database, "oak", 1).await;
    // The first one's heart stood still for a minute.
    server.database.sql("update syncline.job set lease_until = now() - interval '1 second'").await;
    let _second = server.run_jobs();
    blocked(&server.database, "oak", 2).await;
    holder.execute("commit").await.unwrap();
    let done = ended(&server, &path).await;
    assert_eq!((&done["status"], &done["attempts"]), (&json!("Completed"), &json!(2)), "{done}");
    // The one that lost may come to its end later; it leaves nothing.
    let idle = "select count(*) from pg_stat_activity where datname = current_database() and state like '%active%'
        and pid <> pg_backend_pid() or wait_event_type = 'Lock'";
    let started = Instant::now();
    while server.database.value::<i64>(idle).await > 0 {
        assert!(started.elapsed() < Duration::from_secs(20));
    }
    let replicas = server.get("replicas", &[]).await;
    assert_eq!(replicas.as_array().unwrap().len(), 1, "{replicas}");
    assert_eq!(replicas[0]["replicaID"], done["replicaID"]);
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.export").await, 1);
}

#[tokio::test]
async fn of_two_attempts_at_connected_edits_one_has_effect() {
    let server = with_elm().await;
    let mut holder = server.database.connect().await;
    holder.execute("begin; lock table oak in share row exclusive mode").await.unwrap();
    // Without global ids, nothing about the edit itself tells that it was made before.
    let path = submit(&server, "0/applyEdits", &[("adds", r#"[{"attributes":{"species":"fir"}}]"#)]).await;
    let _first = server.run_jobs();
    blocked(&server.database, "oak", 1).await;
    server.database.sql("update syncline.job set lease_until = now() - interval '1 second'").await;
    let _second = server.run_jobs();
    blocked(&server.database, "oak", 2).await;
    holder.execute("commit").await.unwrap();
    let done = ended(&server, &path).await;
    assert_eq!((&done["status"], &done["attempts"]), (&json!("Completed"), &json!(2)), "{done}");
    let idle = "select count(*) from pg_stat_activity where datname = current_database() and state like '%active%'
        and pid <> pg_backend_pid() or wait_event_type = 'Lock'";
    let started = Instant::now();
    while server.database.value::<i64>(idle).await > 0 {
        assert!(started.elapsed() < Duration::from_secs(20));
    }
    assert_eq!(server.features(0).await.len(), 2);
    let answer = result(&server, &done).await;
    assert_eq!(answer["addResults"][0]["success"], true, "{answer}");
}

#[tokio::test]
async fn edits_of_an_attempt_that_lost_its_lease_are_not_applied_beside_those_of_the_next() {
    let server = with_elm().await;
    let (id, generation) = replica(&server).await;
    let edits = r#"[{"id":0,"features":{"adds":[{"attributes":{"globalid":"{BBBBBBBB-0000-4000-8000-000000000001}","species":"fir"}}]}}]"#;
    let mut holder = server.database.connect().await;
    // Lets everybody read, and nobody edit.
    holder.execute("begin; lock table oak in share row exclusive mode").await.unwrap();
    let parameters = [("replicaID", id.as_str()), ("replicaServerGen", &generation), ("edits", edits)];
    let path = submit(&server, "synchronizeReplica", &parameters).await;
    let _first = server.run_jobs();
    blocked(&server.database, "oak", 1).await;
    server.database.sql("update syncline.job set lease_until = now() - interval '1 second'").await;
    let _second = server.run_jobs();
    let started = Instant::now();
    while server.database.value::<i32>("select attempts from syncline.job").await != 2 {
        assert!(started.elapsed() < Duration::from_secs(20));
    }
    holder.execute("commit").await.unwrap();
    let done = ended(&server, &path).await;
    assert_eq!(done["status"], "Completed", "{done}");
    assert_eq!(server.features(0).await.len(), 2);
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.batch").await, 1);
    assert_eq!(
        server
            .database
            .value::<i64>("select count(*) from syncline.txn where origin is not null and generation is not null")
            .await,
        1,
        "the edits were committed once"
    );
}

#[tokio::test]
async fn edits_that_a_dead_attempt_had_applied_are_not_applied_over_newer_ones() {
    let server = with_elm().await;
    let (id, generation) = replica(&server).await;
    let girth = |girth: u32| {
        format!(
            r#"[{{"id":0,"features":{{"updates":[{{"attributes":{{"globalid":"{{AAAAAAAA-0000-4000-8000-000000000001}}","girth":{girth}}}}}]}}}}]"#
        )
    };
    let (two, three) = (girth(2), girth(3));
    let known = [("replicaID", id.as_str()), ("replicaServerGen", generation.as_str())];
    let path = submit(&server, "synchronizeReplica", &[&known[..], &[("edits", &two)]].concat()).await;
    let runner = server.run_jobs();
    ended(&server, &path).await;
    runner.stop().await;
    // As if the server had died between the edits and the end of the job, and the client had synchronized again meanwhile.
    server.database.sql(ORPHAN).await;
    server.post("synchronizeReplica", &[&known[..], &[("edits", &three), EMBEDDED]].concat()).await;
    let _runner = server.run_jobs();
    assert_eq!(ended(&server, &path).await["status"], "Completed");
    assert_eq!(server.features(0).await[0]["attributes"]["girth"], 3);
}

#[tokio::test]
async fn a_server_that_is_asked_to_end_gives_its_jobs_back() {
    let server = with_elm().await;
    let mut holder = server.database.connect().await;
    holder.execute("begin; lock table oak in access exclusive mode").await.unwrap();
    let path = submit(&server, "createReplica", &[("layers", "0")]).await;
    let runner = server.run_jobs();
    blocked(&server.database, "oak", 1).await;
    runner.stop().await;
    let given_back = server.get(&path, &[]).await;
    assert_eq!((&given_back["status"], &given_back["attempts"]), (&json!("Pending"), &json!(0)), "{given_back}");
    holder.execute("commit").await.unwrap();
    let _runner = server.run_jobs();
    assert_eq!(ended(&server, &path).await["status"], "Completed");
    assert_eq!(server.get("replicas", &[]).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_attempt_that_fails_for_a_passing_reason_is_repeated_and_one_that_cannot_succeed_is_not() {
    let server = with_elm().await;
    let path = submit(&server, "createReplica", &[("layers", "0")]).await;
    // Whoever reads the table meets an error of the database.
    server.database.sql("alter table oak rename column species to kind").await;
    let runner = server.run_jobs();
    let started = Instant::now();
    let waits_again = "select state = 'Pending' and attempts = 1 and run_after > now() from syncline.job";
    while !server.database.value::<bool>(waits_again).await {
        assert!(started.elapsed() < Duration::from_secs(20));
    }
    server
        .database
        .sql("alter table oak rename column kind to species; update syncline.job set run_after = now()")
        .await;
    let done = ended(&server, &path).await;
    assert_eq!((&done["status"], &done["attempts"]), (&json!("Completed"), &json!(2)), "{done}");
    runner.stop().await;
    let (id, _) = replica(&server).await;
    let parameters = [("replicaID", id.as_str()), ("replicaServerGen", "9007199254740000")];
    let path = submit(&server, "synchronizeReplica", &parameters).await;
    let _runner = server.run_jobs();
    let failed = ended(&server, &path).await;
    assert_eq!((&failed["status"], &failed["attempts"]), (&json!("Failed"), &json!(1)));
    assert!(error(&failed).1.contains("lies in the future"), "{failed}");
}

#[tokio::test]
async fn changes_exports_and_copies_are_made_by_jobs_too() {
    let server = with_elm().await;
    let (id, generation) = replica(&server).await;
    server.database.sql("update oak set girth = 2").await;
    let _runner = server.run_jobs();

    let since = [("layers", "0"), ("serverGens", generation.as_str()), ("returnUpdates", "true"), EMBEDDED];
    let path = submit(&server, "extractChanges", &since).await;
    let done = ended(&server, &path).await;
    assert_eq!((&done["status"], &done["operation"]), (&json!("Completed"), &json!("extractChanges")), "{done}");
    assert_eq!(done["responseType"], "esriDataChangesResponseTypeEdits");
    let changes = result(&server, &done).await;
    assert_eq!(changes["edits"][0]["features"]["updates"][0]["attributes"]["girth"], 2, "{changes}");
    assert_eq!(changes["layerServerGens"], done["layerServerGens"]);
    let newest = done["layerServerGens"][0]["serverGen"].to_string();
    let since = [("layers", "0"), ("serverGens", newest.as_str()), ("returnUpdates", "true")];
    let path = submit(&server, "extractChanges", &since).await;
    let done = ended(&server, &path).await;
    assert_eq!((&done["status"], &done["resultUrl"]), (&json!("Completed"), &json!("")), "{done}");

    let path = submit(&server, "createReplica", &[("layers", "0"), ("syncModel", "none")]).await;
    let done = ended(&server, &path).await;
    assert_eq!((&done["status"], &done["replicaID"]), (&json!("Completed"), &json!("")), "{done}");
    assert_eq!(result(&server, &done).await["layers"][0]["features"].as_array().unwrap().len(), 1);

    let options =
        format!(r#"{{"registerExistingData":true,"refReplicaId":"{id}","refReplicaServerGen":{generation}}}"#);
    let path = submit(&server, "createReplica", &[("replicaOptions", &options)]).await;
    let done = ended(&server, &path).await;
    assert_eq!((&done["status"], &done["resultUrl"]), (&json!("Completed"), &json!("")), "{done}");
    assert_eq!(done["responseType"], "esriReplicaResponseTypeInfo");
    assert_eq!(server.get("replicas", &[]).await.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn jobs_are_kept_for_a_day_after_they_ended() {
    let server = with_elm().await;
    let path = submit(&server, "createReplica", &[("layers", "0")]).await;
    let _runner = server.run_jobs();
    ended(&server, &path).await;
    let still = submit(&server, "createReplica", &[("layers", "0")]).await;
    ended(&server, &still).await;
    server.database.sql("update syncline.job set ended_at = now() - interval '23 hours'").await;
    server.app.sweep_files().await.unwrap();
    assert_eq!(server.get(&path, &[]).await["status"], "Completed");
    let id = path.rsplit_once("/j").unwrap().1;
    server
        .database
        .sql(&format!("update syncline.job set ended_at = now() - interval '25 hours' where job_id = '{id}'"))
        .await;
    server.app.sweep_files().await.unwrap();
    assert!(server.get(&path, &[]).await.get("status").is_none());
    assert_eq!(server.get(&still, &[]).await["status"], "Completed");
}

#[tokio::test]
async fn f35_a_program_that_is_killed_in_the_middle_of_a_job_finishes_it_when_it_is_started_again() {
    let database = TestDatabase::new().await;
    database.sql("create table oak (objectid serial primary key, species text); insert into oak (species) select 'elm' from generate_series(1, 1000)").await;
    let program = Program::on(&database);
    program.done(&["publish", "--service", "trees", "--table", "public.oak"]);
    let mut holder = database.connect().await;
    holder.execute("begin; lock table oak in access exclusive mode").await.unwrap();
    let server = program.serve();
    let submitted = server.post(
        "trees/FeatureServer/createReplica",
        &[("layers", "0"), ("layerQueries", r#"{"0":{"queryOption":"all"}}"#), ASYNC],
    );
    let path = submitted["statusUrl"].as_str().unwrap_or_else(|| panic!("{submitted}"));
    let id = path.rsplit('/').next().unwrap().to_owned();
    blocked(&database, "oak", 1).await;
    assert!(program.done(&["jobs", "list"]).contains("InProgress"));
    server.signal(Signal::KILL);
    server.wait();
    holder.execute("commit").await.unwrap();
    let shown: Json = serde_json::from_str(&program.done(&["jobs", "show", &id, "--json"])).unwrap();
    assert_eq!(shown["status"], "InProgress", "nobody knows yet: {shown}");
    // A minute passes.
    database.sql("update syncline.job set lease_until = now() - interval '1 second'").await;
    let server = program.serve();
    let started = Instant::now();
    let done = loop {
        let status = server.post(&format!("trees/FeatureServer/jobs/{id}"), &[]);
        if status["status"] == "Completed" {
            break status;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{status}");
    };
    assert_eq!(done["attempts"], 2);
    let (_, file) = done["resultUrl"].as_str().unwrap().split_once("/rest/services/").unwrap();
    assert_eq!(server.post(file, &[])["layers"][0]["features"].as_array().unwrap().len(), 1000);
    assert_eq!(server.post("trees/FeatureServer/replicas", &[]).as_array().unwrap().len(), 1);
    let list = program.done(&["jobs", "list"]);
    assert!(list.contains(&id) && list.contains("createReplica") && list.contains("Completed"), "{list}");
    let list: Json = serde_json::from_str(&program.done(&["jobs", "list", "--service", "trees", "--json"])).unwrap();
    assert_eq!((&list[0]["jobId"], &list[0]["service"]), (&json!(id), &json!("trees")));
    let shown = program.done(&["jobs", "show", &id]);
    for word in ["Completed", "createReplica", "trees", "Begun:       2 times", "Result:"] {
        assert!(shown.contains(word), "{shown}");
    }
    assert!(program.failed(&["jobs", "show", "j1"]).contains("no job 'j1'"));
    server.stop();
}
