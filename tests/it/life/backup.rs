//! Backups that are taken while clients edit, and what becomes of clients when one is restored.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value as Json;
use tempfile::TempDir;

use super::{Client, everything, generation, one_add};
use crate::support::{
    TestDatabase, TestServer,
    server::{error, json},
};

/// Runs a command on a database and a data directory.
fn syncline(url: &str, data: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.args(arguments).arg("--data").arg(data).env("DATABASE_URL", url).env_remove("SYNCLINE_DATABASE_URL");
    command.stdin(Stdio::null()).output().unwrap()
}

fn done(output: &Output) -> Json {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn attach(server: &TestServer, object_id: i64, text: &str) -> i64 {
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\n{text}\r\n--b--\r\n"
    );
    let path = format!("0/{object_id}/addAttachment?f=json");
    let answer = json(server.post_body(&path, "multipart/form-data; boundary=b", body).await).await;
    answer["addAttachmentResult"]["objectId"].as_i64().unwrap_or_else(|| panic!("{answer}"))
}

async fn with_attachments() -> TestServer {
    let server = TestServer::with_trees().await;
    server.app.store.enable_attachments("trees", syncline::model::id::LayerId(0)).await.unwrap();
    server.add(0, r#"[{"attributes": {"girth": 1}}]"#).await;
    attach(&server, 1, "bark 1").await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn f46_a_backup_taken_while_edits_go_on_is_restored_and_nothing_is_lost_or_doubled() {
    let server = with_attachments().await;
    let mut old = Client::create(&server).await;
    let mut ahead = Client::create(&server).await;
    let place = TempDir::new().unwrap();
    let backup = place.path().join("backup");

    let (url, data, to) = (server.database.url.clone(), server.data().to_owned(), backup.clone());
    let before = server.features(0).await.len();
    let taking =
        tokio::task::spawn_blocking(move || syncline(&url, &data, &["backup", to.to_str().unwrap(), "--json"]));
    let mut n = 2;
    while !taking.is_finished() {
        server.add(0, &format!(r#"[{{"attributes": {{"girth": {n}}}}}]"#)).await;
        attach(&server, n, &format!("bark {n}")).await;
        n += 1;
    }
    let taken = done(&taking.await.unwrap());
    assert!(taken["files"].as_i64() >= Some(1) && taken["damaged"].as_array().unwrap().is_empty(), "{taken}");
    // What comes after it is lost when it is restored; this device has seen it.
    for _ in 0..3 {
        server.add(0, r#"[{"attributes": {"girth": 1000000}}]"#).await;
    }
    let after = server.features(0).await.len();
    ahead.sync(&server).await;
    let lost = generation(&server).await;
    drop(server);

    let database = TestDatabase::bare().await;
    let data = TempDir::new().unwrap();
    let restored = done(&syncline(&database.url, data.path(), &["restore", backup.to_str().unwrap(), "--json"]));
    assert_eq!(restored["files"], taken["files"]);
    let server = TestServer::at(database, data).await;
    let rows = everything(&server).await;
    assert!((before..after).contains(&rows.len()), "{} of {before} to {after}", rows.len());
    // Each attachment that is there has its bytes.
    let owners: String =
        server.database.value("select coalesce(string_agg(girth::text, ',' order by girth), '') from oak").await;
    for girth in owners.split(',') {
        let infos = server.get(&format!("0/{girth}/attachments"), &[]).await;
        for info in infos["attachmentInfos"].as_array().unwrap() {
            let fetched = server.fetch(&format!("0/{girth}/attachments/{}", info["id"]), &[]).await;
            assert_eq!(crate::support::server::text(fetched).await, format!("bark {girth}"));
        }
    }

    // Who has not synchronized since goes on, and what it brings is applied once.
    let answer = old.ask(&server, old.generation, &[("edits", &one_add(7))]).await;
    old.apply(&answer);
    assert!(generation(&server).await > lost, "no number of the lost past is given again");
    let again = old.ask(&server, old.generation, &[("edits", &one_add(7))]).await;
    assert!(again.get("error").is_none(), "{again}");
    old.sync(&server).await;
    let mut expected = everything(&server).await;
    assert_eq!(expected.len(), rows.len() + 1);
    old.rows.retain(|id, _| !id.contains("AAAAAAAA"));
    expected.retain(|id, _| !id.contains("AAAAAAAA"));
    assert_eq!(old.rows, expected);
    // Who has is told, may bring what it has, and takes all rows anew.
    let refused = ahead.ask(&server, ahead.generation, &[]).await;
    assert!(error(&refused).1.contains("restored"), "{refused}");
    let brought = ahead.ask(&server, ahead.generation, &[("edits", &one_add(8)), ("syncDirection", "upload")]).await;
    assert!(brought.get("error").is_none(), "{brought}");
    ahead.snapshot(&server).await;
    assert_eq!(ahead.rows, everything(&server).await);

    server.app.store.seal_audit().await.unwrap();
    assert_eq!(server.app.store.verify_audit(None).await.unwrap().problems, [""; 0]);
    let said: String = server.database.value("select actor from syncline.audit where action = 'backup.restored'").await;
    assert!(said.starts_with("command:"), "{said}");
    assert!(server.app.store.watch().await.unwrap().problems.is_empty(), "changes are tracked as before");
}

#[tokio::test]
async fn what_is_no_whole_backup_is_not_restored_and_nothing_is_restored_over_something() {
    let server = with_attachments().await;
    let place = TempDir::new().unwrap();
    let backup = place.path().join("backup");
    let directory = backup.to_str().unwrap();
    let from = |arguments: &[&str]| syncline(&server.database.url, server.data(), arguments);
    done(&from(&["backup", directory, "--json"]));
    assert!(complaint(&from(&["backup", directory])).contains("is not empty; give a directory of its own"));
    let bare = TestDatabase::bare().await;
    let data = TempDir::new().unwrap();
    let into = |arguments: &[&str]| syncline(&bare.url, data.path(), arguments);
    let empty = TempDir::new().unwrap();
    let said = complaint(&into(&["restore", empty.path().to_str().unwrap()]));
    assert!(said.contains("is no backup, or one that did not come to its end"), "{said}");
    let said = complaint(&syncline(&server.database.url, empty.path(), &["restore", directory]));
    assert!(said.contains("has Syncline's tables already"), "{said}");
    let said = complaint(&syncline(&bare.url, server.data(), &["restore", directory]));
    assert!(said.contains("has served a database already"), "{said}");
    assert!(!bare.value::<bool>("select to_regnamespace('syncline') is not null").await);

    // A copy beside the original: devices of the original do not leave their edits in it. A damaged attachment is named.
    let mut client = Client::create(&server).await;
    client.sync(&server).await;
    let second = place.path().join("second");
    done(&from(&["backup", second.to_str().unwrap(), "--json"]));
    let folder = std::fs::read_dir(second.join("contents")).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, "something else").unwrap();
    let said = complaint(&into(&["restore", second.to_str().unwrap(), "--as-copy"]));
    assert!(said.contains("1 files are not what their names say") && said.contains(file.to_str().unwrap()), "{said}");
    let copy = TestServer::at(bare, data).await;
    let refused = client.ask(&copy, client.generation, &[]).await;
    assert!(refused.get("error").is_some(), "{refused}");

    let dump = backup.join("database.dump");
    let mut bytes = std::fs::read(&dump).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&dump, bytes).unwrap();
    let bare = TestDatabase::bare().await;
    let said = complaint(&syncline(&bare.url, empty.path(), &["restore", directory]));
    assert!(said.contains("is damaged: its SHA-256 is not the one in backup.json"), "{said}");
}
