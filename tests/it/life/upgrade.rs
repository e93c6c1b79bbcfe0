//! T-U1: databases that earlier versions have left, with replicas in all states. `tests/fixtures/upgrade/make.py` makes them.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::{Value as Json, json};

use super::{Client, EMBEDDED, everything};
use crate::support::{TestDatabase, TestServer, server::error};

fn tree(n: i64) -> String {
    format!("{{AAAAAAAA-0000-4000-8000-{n:012}}}")
}

/// Oaks by their numbers, with a girth of their own where it is not the number.
fn oaks(numbers: &[i64], others: &[(i64, i64)]) -> BTreeMap<String, i64> {
    let own = numbers.iter().map(|n| (tree(*n), *n));
    own.chain(others.iter().map(|(n, girth)| (tree(*n), *girth))).collect()
}

async fn restore(dump: &Path) -> TestServer {
    let database = TestDatabase::new().await;
    database.sql("drop schema syncline cascade; drop extension postgis cascade").await;
    let restored = Command::new("psql")
        .args(["-q", "-v", "ON_ERROR_STOP=1", "-d", &database.url, "-f"])
        .arg(dump)
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let server = TestServer::on(database).await;
    server.app.store.adopt(None).await.unwrap();
    server
}

/// A client of the dump, at a generation that is noted of its replica.
async fn client(server: &TestServer, name: &str, at: &str, rows: BTreeMap<String, i64>) -> Client {
    let of =
        format!("from syncline.replica r join syncline.replica_layer l using (replica_id) where r.name = '{name}'");
    let id: String = server.database.value(&format!("select distinct replica_id::text {of}")).await;
    let generation = server.database.value(&format!("select min(l.{at}) {of}")).await;
    Client { id, generation, rows }
}

#[tokio::test]
async fn t_u1_replicas_of_earlier_versions_go_on_whatever_they_were_at() {
    let mut dumps: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/upgrade"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    dumps.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    assert!(!dumps.is_empty());
    for dump in dumps {
        let server = restore(&dump).await;
        let name = dump.file_name().unwrap().to_string_lossy().into_owned();
        let problems = server.app.store.watch().await.unwrap().problems;
        assert!(problems.is_empty(), "{name}: {problems:?}");
        clients_go_on(&server, &name).await;
        the_books_are_there(&server, &name).await;
        the_job_ends(&server, &name).await;
    }
}

async fn clients_go_on(server: &TestServer, name: &str) {
    let first: Vec<i64> = (1..=9).collect();
    let seen = oaks(&[1, 4, 5, 6, 7, 8, 9, 11], &[(2, 2002)]);
    let mut clients = [
        client(server, "fresh", "base", oaks(&first, &[])).await,
        client(server, "steady", "given", oaks(&[&first[..], &[11]].concat(), &[])).await,
        client(server, "late", "given", seen.clone()).await,
        client(server, "undone", "base", seen.clone()).await,
        client(server, "expired", "base", oaks(&[1, 4, 7, 8, 9, 11, 31], &[(2, 2002), (5, 55)])).await,
    ];
    // The upload whose answer was lost comes again, and has been applied already.
    let mut unanswered = client(server, "unanswered", "base", seen).await;
    let count = "select count(*) from syncline.batch";
    let n_batches: i64 = server.database.value(count).await;
    let edits = json!([{"id": 0,
        "features": {"adds": [{"attributes": {"globalid": tree(31), "girth": 31}}], "updates": [{"attributes": {"globalid": tree(5), "girth": 55}}], "deleteIds": [tree(6)]},
        "attachments": {"adds": [{"globalId": "{BBBBBBBB-0000-4000-8000-000000000001}", "parentGlobalId": tree(5), "name": "a.txt", "contentType": "text/plain", "data": "YQ=="}]}}]);
    let answer = unanswered.ask(server, unanswered.generation, &[("edits", &edits.to_string())]).await;
    assert!(answer.get("error").is_none(), "{name}: {answer}");
    assert_eq!(server.database.value::<i64>(count).await, n_batches, "{name}: the upload is recognised");
    unanswered.rows.extend([(tree(31), 31), (tree(5), 55)]);
    unanswered.rows.remove(&tree(6));
    unanswered.apply(&answer);
    assert_eq!(unanswered.rows, everything(server).await, "{name}");

    for round in 0..2 {
        for client in &mut clients {
            client.sync(server).await;
            assert_eq!(client.rows, everything(server).await, "{name}: {}, round {round}", client.id);
        }
        server.database.sql("delete from oak where girth = 9; insert into oak (girth) values (99)").await;
    }
    let info = server.get(&format!("replicas/{}/status", clients[4].id), &[]).await;
    assert_eq!(info["state"], "live", "{name}: synchronizing has revived it: {info}");

    // A generation for each layer, and the side of a pair.
    let layered = client(server, "layered", "base", BTreeMap::new()).await;
    let layers = format!(r#"[{{"id":0,"serverGen":{0}}},{{"id":1,"serverGen":{0}}}]"#, layered.generation);
    let answer =
        server.post("synchronizeReplica", &[("replicaID", &layered.id), ("syncLayers", &layers), EMBEDDED]).await;
    assert_eq!(answer["edits"][1]["features"]["adds"][0]["attributes"]["note"], "second", "{name}: {answer}");
    let pair = client(server, "pair", "base", BTreeMap::new()).await;
    let answer = pair.ask(server, 0, &[("syncDirection", "download")]).await;
    assert!(
        answer["edits"][0]["features"]["updates"].as_array().is_some_and(|list| !list.is_empty()),
        "{name}: {answer}"
    );
    let gone: String = server.database.value("select replica_id::text from syncline.replica where name = 'gone'").await;
    let edits =
        json!([{"id": 0, "features": {"adds": [{"attributes": {"globalid": tree(77), "girth": 77}}]}}]).to_string();
    let parameters = [("replicaID", gone.as_str()), ("syncDirection", "upload"), ("edits", &edits), EMBEDDED];
    let (_, text) = error(&server.post("synchronizeReplica", &parameters).await);
    assert!(text.contains("1 edits are kept"), "{name}: {text}");
}

async fn the_books_are_there(server: &TestServer, name: &str) {
    let n_open = "select count(*) from syncline.rejected_edit where state = 'open'";
    // Two of one upload, two of another that was undone, and the one that was just rescued.
    assert_eq!(server.database.value::<i64>(n_open).await, 5, "{name}");
    let list = |answer: &Json, of: &str| answer[of].as_array().map_or(0, Vec::len);
    let rejected = server.get("rejectedEdits", &[]).await;
    assert_eq!(list(&rejected, "rejectedEdits"), 5, "{name}: {rejected}");
    let conflicts = server.get("conflicts", &[]).await;
    assert_eq!(list(&conflicts, "conflicts"), 1, "{name}: {conflicts}");
    let conflict = &conflicts["conflicts"][0];
    let restored = server.post(&format!("conflicts/{}/restore", conflict["conflictId"]), &[]).await;
    assert!(restored.get("error").is_none(), "{name}: {restored}");
    let girth = format!("select girth from oak where globalid = '{}'", tree(2));
    assert_eq!(server.database.value::<i32>(&girth).await, 1002, "{name}: the overwritten value is back");
}

async fn the_job_ends(server: &TestServer, name: &str) {
    server
        .database
        .sql("update syncline.job set lease_until = now() - interval '1 second' where state = 'InProgress'")
        .await;
    let jobs = server.run_jobs();
    server.database.until("select count(*) = 1 from syncline.job where state = 'Completed'").await;
    drop(jobs);
    let made = "select count(*) from syncline.replica where name = 'job' and unregistered_at is null";
    assert_eq!(server.database.value::<i64>(made).await, 1, "{name}");
}
