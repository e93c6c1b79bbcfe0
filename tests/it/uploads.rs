//! Files that clients send: whole and in parts, repeated, damaged, interrupted, and used by a synchronization.

use axum::{
    body::{Body, Bytes},
    http::{Request, header},
};
use futures_util::stream;
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use crate::support::{
    TestServer,
    server::{error, json as json_of, text},
};

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A multipart form with a file and other members.
fn form(name: &str, content: &[u8], members: &[(&str, &str)], headers: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (member, value) in members {
        body.extend(
            format!("--cut\r\nContent-Disposition: form-data; name=\"{member}\"\r\n\r\n{value}\r\n").into_bytes(),
        );
    }
    body.extend(
        format!("--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n{headers}\r\n")
            .into_bytes(),
    );
    body.extend_from_slice(content);
    body.extend_from_slice(b"\r\n--cut--\r\n");
    body
}

async fn post(server: &TestServer, path: &str, body: Vec<u8>) -> Json {
    json_of(server.post_body(&format!("{path}?f=json"), "multipart/form-data; boundary=cut", body).await).await
}

async fn upload(server: &TestServer, name: &str, content: &[u8]) -> Json {
    let answer = post(server, "uploads/upload", form(name, content, &[("description", "of today")], "")).await;
    assert_eq!(answer["success"], true, "{answer}");
    answer["item"].clone()
}

async fn part(server: &TestServer, item: &str, number: &str, content: &[u8]) -> Json {
    post(server, &format!("uploads/{item}/uploadPart"), form("blob", content, &[("partId", number)], "")).await
}

async fn register(server: &TestServer, name: &str) -> String {
    let answer = server.post("uploads/register", &[("itemName", name)]).await;
    assert_eq!((&answer["success"], &answer["item"]["committed"]), (&json!(true), &json!(false)), "{answer}");
    answer["item"]["itemID"].as_str().unwrap().to_owned()
}

/// How many files there are in a directory of the data directory.
fn n_files(server: &TestServer, directory: &str) -> usize {
    std::fs::read_dir(server.app.config.data.join(directory)).unwrap().count()
}

#[tokio::test]
async fn a_whole_file_is_a_committed_item_that_is_shown_listed_and_deleted() {
    let server = TestServer::with_trees().await;
    let item = upload(&server, "C:\\field\\delta.geodatabase", b"SQLite format 3").await;
    let id = item["itemID"].as_str().unwrap();
    assert!(id.starts_with('i') && id.len() == 37, "{id}");
    assert_eq!((&item["itemName"], &item["description"]), (&json!("delta.geodatabase"), &json!("of today")));
    assert_eq!((&item["committed"], &item["size"]), (&json!(true), &json!(15)));
    assert_eq!(item["sha256"], sha256(b"SQLite format 3"));
    assert!(item["date"].as_i64().unwrap() > 1_700_000_000_000, "{item}");
    for spelling in [id.to_owned(), format!("{{{}}}", id[1..].to_uppercase()), id[1..].replace('-', "")] {
        assert_eq!(server.get(&format!("uploads/{spelling}"), &[]).await, item, "{spelling}");
    }
    assert_eq!(server.get("uploads", &[]).await, json!({"items": [item]}));
    let page = text(server.fetch("uploads", &[]).await).await;
    assert!(page.contains(id) && page.contains("delta.geodatabase") && page.contains("uploads/upload\""), "{page}");
    let page = text(server.fetch("uploads/upload", &[]).await).await;
    assert!(page.contains("enctype=\"multipart/form-data\"") && page.contains("type=\"file\""), "{page}");
    assert_eq!(error(&server.get(&format!("uploads/{id}/delete"), &[]).await).0, 405);
    assert_eq!(server.post(&format!("uploads/{id}/delete"), &[]).await, json!({"success": true}));
    for path in [format!("uploads/{id}"), "uploads/..%2f..%2fetc%2fpasswd".to_owned()] {
        assert!(error(&server.get(&path, &[]).await).1.contains("Upload not found"), "{path}");
    }
    assert_eq!((n_files(&server, "uploads"), n_files(&server, "spool")), (0, 0));
}

#[tokio::test]
async fn f4_parts_come_in_any_order_and_again_and_are_put_together_in_theirs() {
    let server = TestServer::with_trees().await;
    let id = register(&server, "edits.json").await;
    assert_eq!(server.get(&format!("uploads/{id}/parts"), &[]).await["parts"], json!([]));
    for (number, content) in [("3", "ccc"), ("1", "broken"), ("2", ""), ("1", "aaaa")] {
        let answer = part(&server, &id, number, content.as_bytes()).await;
        assert_eq!((&answer["success"], &answer["partId"]), (&json!(true), &json!(number)), "{answer}");
        assert_eq!((&answer["size"], &answer["sha256"]), (&json!(content.len()), &json!(sha256(content.as_bytes()))));
    }
    let parts = server.get(&format!("uploads/{id}/parts"), &[]).await;
    assert_eq!(parts["parts"], json!(["1", "2", "3"]), "texts, which clients join");
    assert_eq!(parts["partInfos"][0]["sha256"], sha256(b"aaaa"));
    assert_eq!(server.get(&format!("uploads/{id}"), &[]).await["committed"], false);

    let commit = format!("uploads/{id}/commit");
    let wrong = server.post(&commit, &[("checksum", &sha256(b"aaaaccC"))]).await;
    assert!(error(&wrong).1.contains(&sha256(b"aaaaccc")), "{wrong}");
    for (parameters, words) in [
        ([("parts", "1,2,3,4")], "part 4 has not been uploaded; there are 1, 2, 3"),
        ([("parts", "1,2,2")], "part 2 is named twice"),
        ([("parts", "one")], "'one' is not a whole number"),
        ([("checksum", "d41d8cd98f00b204e9800998ecf8427e")], "is not a SHA-256"),
    ] {
        let answer = server.post(&commit, &parameters).await;
        assert!(error(&answer).1.contains(words), "{answer}");
    }
    let done = server.post(&commit, &[("parts", "3,1,2"), ("checksum", &sha256(b"cccaaaa"))]).await;
    assert_eq!((&done["success"], &done["item"]["committed"]), (&json!(true), &json!(true)), "{done}");
    assert_eq!((&done["item"]["size"], &done["item"]["sha256"]), (&json!(7), &json!(sha256(b"cccaaaa"))));
    assert_eq!(server.post(&commit, &[("parts", "3,1,2")]).await, done, "asked for again, the same answer");
    assert_eq!(n_files(&server, "uploads"), 1, "the parts are gone");
    let late = part(&server, &id, "4", b"d").await;
    assert!(error(&late).1.contains("is committed"), "{late}");
}

#[tokio::test]
async fn a_lost_part_is_noticed_when_no_order_is_given() {
    let server = TestServer::with_trees().await;
    let id = register(&server, "edits.json").await;
    let commit = format!("uploads/{id}/commit");
    assert!(error(&server.post(&commit, &[]).await).1.contains("part 1 has not been uploaded; there are none"));
    part(&server, &id, "1", b"[").await;
    part(&server, &id, "3", b"]").await;
    let answer = server.post(&commit, &[]).await;
    assert!(
        error(&answer).1.contains("part 2 has not been uploaded; there are 1, 3. Nothing was committed"),
        "{answer}"
    );
    part(&server, &id, "2", b" ").await;
    assert_eq!(server.post(&commit, &[]).await["item"]["sha256"], sha256(b"[ ]"));
    let one = register(&server, "edits.json").await;
    part(&server, &one, "1", b"[]").await;
    assert_eq!(server.post(&format!("uploads/{one}/commit"), &[]).await["item"]["sha256"], sha256(b"[]"));
    assert_eq!(n_files(&server, "uploads"), 2);
}

#[tokio::test]
async fn what_did_not_arrive_as_it_was_sent_is_refused_and_leaves_nothing() {
    let mut server = TestServer::with_trees().await;
    let good = sha256(b"[]");
    let base64 = "T1PNGEuz8VoeFuB09pr2Hgi26r0NXVe4jAEIB0k+bUU=";
    assert_eq!(good, "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945");
    let base64_good = "T1PNoYwrqgwDVLtfmj7L5e0Sq02OEbqHPC8RFhICuUU=";
    for (members, headers, sound) in [
        (vec![("checksum", good.as_str())], String::new(), true),
        (vec![("sha256", good.as_str())], String::new(), true),
        (vec![], format!("Content-Digest: sha-256=:{base64_good}:\r\n"), true),
        (vec![("checksum", &*sha256(b"[ ]").leak())], String::new(), false),
        (vec![], format!("Repr-Digest: sha-512=:AAAA:, sha-256=:{base64}:\r\n"), false),
        (vec![], "Repr-Digest: sha-256=:AAAA:\r\n".to_owned(), false),
    ] {
        let before = (n_files(&server, "uploads"), n_files(&server, "spool"));
        let answer = post(&server, "uploads/upload", form("edits.json", b"[]", &members, &headers)).await;
        assert_eq!(answer["success"] == true, sound, "{members:?} {headers}: {answer}");
        let after = (n_files(&server, "uploads"), n_files(&server, "spool"));
        assert_eq!(after, (before.0 + usize::from(sound), 0), "{members:?} {headers}");
    }
    let mut cut = form("edits.json", b"[{\"id\":0}]", &[], "");
    cut.truncate(cut.len() - 16);
    let no_file = b"--cut\r\nContent-Disposition: form-data; name=\"description\"\r\n\r\nx\r\n--cut--\r\n".to_vec();
    let mut two = form("a.json", b"1", &[], "");
    two.truncate(two.len() - 9);
    two.extend(form("b.json", b"2", &[], ""));
    for (name, body, words) in [
        ("cut", cut, "did not arrive to its end"),
        ("without file", no_file, "'file' parameter is invalid: it is missing"),
        ("two", two, "a second file"),
        ("program", form("virus.exe", b"MZ", &[], ""), "'virus.exe' are not taken"),
        ("no extension", form("README", b"x", &[], ""), "their names end in one of geodatabase,"),
        ("no name", form("", b"x", &[], ""), "the file has no name"),
        ("long", form(&format!("{}.json", "x".repeat(250)), b"x", &[], ""), "longer than 250"),
    ] {
        let answer = post(&server, "uploads/upload", body).await;
        assert!(error(&answer).1.contains(words), "{name}: {answer}");
    }
    let id = register(&server, "edits.json").await;
    for (number, words) in
        [("0", "numbered from 1"), ("10001", "to 10000"), ("x", "not a whole number"), ("", "is missing")]
    {
        assert!(error(&part(&server, &id, number, b"x").await).1.contains(words), "{number}");
    }
    assert!(
        error(&part(&server, "i00000000-0000-4000-8000-000000000000", "1", b"x").await).1.contains("Upload not found")
    );
    server.configure(|config| config.upload_extensions = vec!["*".to_owned()]);
    upload(&server, "README", b"x").await;
    assert_eq!((n_files(&server, "uploads"), n_files(&server, "spool")), (4, 0));
}

#[tokio::test]
async fn a_file_may_be_larger_than_any_other_body_but_not_than_its_own_limits() {
    let mut server = TestServer::with_trees().await;
    server.configure(|config| {
        config.max_body_bytes = 70_000;
        config.max_upload_bytes = 300_000;
        config.max_pending_upload_bytes = 600_000;
        config.max_upload_items = 3;
    });
    let content = vec![b'x'; 300_000];
    upload(&server, "a.json", &content).await;
    // A size that is announced is refused at once, one that is not as soon as it is passed.
    let more = form("b.json", &vec![b'x'; 300_001], &[], "");
    let answer = post(&server, "uploads/upload", more.clone()).await;
    assert_eq!(error(&answer).0, 413, "{answer}");
    let chunks =
        more.chunks(1000).map(|chunk| Ok::<_, std::io::Error>(Bytes::copy_from_slice(chunk))).collect::<Vec<_>>();
    let unannounced = Request::post("/arcgis/rest/services/trees/FeatureServer/uploads/upload?f=json")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=cut")
        .body(Body::from_stream(stream::iter(chunks)))
        .unwrap();
    let answer = json_of(server.send(unannounced).await).await;
    assert!(error(&answer).1.contains("the upload is larger than the limit of 300000 bytes"), "{answer}");
    let long = post(&server, "uploads/upload", form("c.json", b"x", &[("description", &"y".repeat(70_001))], "")).await;
    assert_eq!(error(&long).0, 413, "what is beside the file has the limit of other requests: {long}");

    let id = register(&server, "parts.json").await;
    part(&server, &id, "1", &content[..200_000]).await;
    let answer = part(&server, &id, "2", &content[..100_001]).await;
    assert_eq!(error(&answer).0, 413, "the parts have the limit together: {answer}");
    part(&server, &id, "2", &content[..100_000]).await;
    let third = register(&server, "third.json").await;
    let answer = part(&server, &third, "1", b"x").await;
    assert!(error(&answer).1.contains("have 600000 bytes already"), "{answer}");
    let answer = server.post("uploads/register", &[("itemName", "fourth.json")]).await;
    let (code, words) = error(&answer);
    assert!(code == 503 && words.contains("are 3 already") && words.contains("24 hours"), "{words}");
    server.post(&format!("uploads/{id}/delete"), &[]).await;
    assert_eq!(part(&server, &third, "1", b"x").await["success"], true);
    assert_eq!((n_files(&server, "uploads"), n_files(&server, "spool")), (2, 0));
}

#[tokio::test]
async fn a_part_that_the_disk_has_damaged_is_not_committed() {
    let server = TestServer::with_trees().await;
    let id = register(&server, "edits.json").await;
    part(&server, &id, "1", b"one").await;
    part(&server, &id, "2", b"two").await;
    for entry in std::fs::read_dir(server.app.config.data.join("uploads")).unwrap() {
        let path = entry.unwrap().path();
        if std::fs::read(&path).unwrap() == b"two" {
            std::fs::write(&path, b"tw0").unwrap();
        }
    }
    let answer = server.post(&format!("uploads/{id}/commit"), &[]).await;
    assert!(error(&answer).1.contains("part 2 was damaged"), "{answer}");
    part(&server, &id, "2", b"two").await;
    assert_eq!(server.post(&format!("uploads/{id}/commit"), &[]).await["item"]["sha256"], sha256(b"onetwo"));
    assert_eq!((n_files(&server, "uploads"), n_files(&server, "spool")), (1, 0));
}

#[tokio::test]
async fn what_nobody_uses_is_deleted_after_some_time_and_files_without_rows_too() {
    let server = TestServer::with_trees().await;
    let kept = upload(&server, "kept.json", b"[]").await;
    upload(&server, "old.json", b"[ ]").await;
    let id = register(&server, "old.json").await;
    part(&server, &id, "1", b"x").await;
    let uploads = server.app.config.data.join("uploads");
    let orphan = uploads.join("00000000000040008000000000000001");
    std::fs::write(&orphan, "left by a crash").unwrap();
    server.database.sql("update syncline.upload_item set used_at = now() - interval '23 hours'").await;
    syncline::uploads::sweep(&server.app).await.unwrap();
    assert_eq!(n_files(&server, "uploads"), 4, "a file that was written a moment ago may get its row yet");
    let hours_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(3);
    std::fs::File::options().append(true).open(&orphan).unwrap().set_modified(hours_ago).unwrap();
    // To look is to use.
    server.get(&format!("uploads/{}", kept["itemID"].as_str().unwrap()), &[]).await;
    server.database.sql("update syncline.upload_item set used_at = used_at - interval '2 hours'").await;
    assert_eq!(syncline::uploads::sweep(&server.app).await.unwrap(), 3);
    assert_eq!(server.get("uploads", &[]).await["items"], json!([kept]));
    assert_eq!(n_files(&server, "uploads"), 1);
}

const EDITS: &str = r#"[{"id":0,"features":{"adds":[{"attributes":{"globalid":"{BBBBBBBB-0000-4000-8000-000000000001}","species":"fir"}}]}}]"#;

#[tokio::test]
async fn edits_come_as_an_upload_and_are_recognised_whichever_way_they_come() {
    let server = TestServer::with_trees().await;
    let embedded = ("transportType", "esriTransportTypeEmbedded");
    let replica = server.post("createReplica", &[("layers", "0"), embedded]).await;
    let (id, generation) = (replica["replicaID"].as_str().unwrap(), replica["replicaServerGen"].to_string());
    let known = [("replicaID", id), ("replicaServerGen", generation.as_str()), ("returnIdsForAdds", "true"), embedded];
    let plain = upload(&server, "edits.json", EDITS.as_bytes()).await;
    let wrapped = upload(&server, "edits.json", format!("\u{feff}{{\"note\":1,\"edits\":{EDITS}}}").as_bytes()).await;
    let mut answers = Vec::new();
    for item in [&plain, &wrapped, &plain] {
        let braced = format!("{{{}}}", &item["itemID"].as_str().unwrap()[1..]);
        for (name, format) in [("editsUploadId", "json"), ("editsUploadID", "JSON"), ("editsUploadId", "")] {
            let parameters = [&known[..], &[(name, braced.as_str()), ("editsUploadFormat", format)]].concat();
            answers.push(
                server.post("synchronizeReplica", &parameters).await["edits"][0]["features"]["addResults"].clone(),
            );
        }
    }
    answers.push(
        server.post("synchronizeReplica", &[&known[..], &[("edits", EDITS)]].concat()).await["edits"][0]["features"]["addResults"]
            .clone(),
    );
    assert_eq!(answers[0][0]["success"], true, "{answers:?}");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(server.features(0).await.len(), 1);

    let open = register(&server, "edits.json").await;
    let of_another = upload(&server, "edits.json", b"[]").await["itemID"].as_str().unwrap().to_owned();
    server.database.sql("insert into syncline.service (name) values ('other'); update syncline.upload_item
        set service_id = (select service_id from syncline.service where name = 'other') where item_id = (select max(item_id::text)::uuid
          from syncline.upload_item where sha256 = sha256('[]'))").await;
    let garbage = upload(&server, "edits.json", b"{\"adds\":[]}").await["itemID"].as_str().unwrap().to_owned();
    let binary = upload(&server, "edits.json", b"\xff\xfe").await["itemID"].as_str().unwrap().to_owned();
    let plain = plain["itemID"].as_str().unwrap();
    for (more, words) in [
        (vec![("editsUploadId", plain), ("edits", EDITS)], "it and 'edits' are both there"),
        (vec![("editsUploadId", plain), ("editsUploadFormat", "xml")], "editsUploadFormat=xml is not supported"),
        (vec![("editsUploadId", open.as_str())], "is not committed yet"),
        (vec![("editsUploadId", of_another.as_str())], "service trees has no upload"),
        (vec![("editsUploadId", "x")], "service trees has no upload 'x'"),
        (vec![("editsUploadId", garbage.as_str())], "neither an array of edits nor an object"),
        (vec![("editsUploadId", binary.as_str())], "is not text in UTF-8"),
    ] {
        for asynchronous in ["false", "true"] {
            if asynchronous == "true" && ["neither", "UTF-8"].iter().any(|late| words.contains(late)) {
                continue;
            }
            let parameters = [&known[..], &more, &[("async", asynchronous)]].concat();
            let answer = server.post("synchronizeReplica", &parameters).await;
            let (code, said) = error(&answer);
            assert!(code == 400 && said.contains(words), "{more:?}: {said}");
        }
    }
    assert_eq!(server.features(0).await.len(), 1);
}

#[tokio::test]
async fn a_job_reads_its_edits_from_an_upload_that_has_a_limit() {
    let mut server = TestServer::with_trees().await;
    server.limit_bodies(70_000);
    let replica =
        server.post("createReplica", &[("layers", "0"), ("transportType", "esriTransportTypeEmbedded")]).await;
    let (id, generation) = (replica["replicaID"].as_str().unwrap(), replica["replicaServerGen"].to_string());
    let edits = upload(&server, "edits.json", EDITS.as_bytes()).await["itemID"].as_str().unwrap().to_owned();
    let large = format!("{EDITS}{}", " ".repeat(70_000));
    let large = upload(&server, "edits.json", large.as_bytes()).await["itemID"].as_str().unwrap().to_owned();
    let known = [("replicaID", id), ("replicaServerGen", generation.as_str())];
    let answer = server.post("synchronizeReplica", &[&known[..], &[("editsUploadId", &large)]].concat()).await;
    assert!(error(&answer).1.contains("are taken up to 70000 at a time"), "{answer}");
    let parameters = [&known[..], &[("editsUploadId", &edits), ("async", "true")]].concat();
    let submitted = server.post("synchronizeReplica", &parameters).await;
    let path = submitted["statusUrl"].as_str().unwrap().strip_prefix("http://test:80").unwrap().to_owned();
    let _runner = server.run_jobs();
    let started = std::time::Instant::now();
    loop {
        let status = server.get(&path, &[]).await;
        assert_ne!(status["status"], "Failed", "{status}");
        if status["status"] == "Completed" {
            break;
        }
        assert!(started.elapsed().as_secs() < 20, "{status}");
    }
    assert_eq!(server.features(0).await.len(), 1);
}

#[tokio::test]
async fn services_say_that_they_take_uploads_and_run_jobs() {
    let server = TestServer::with_trees().await;
    let service = server.get("", &[]).await;
    assert!(service["capabilities"].as_str().unwrap().split(',').any(|one| one == "Uploads"), "{service}");
    assert_eq!(service["syncCapabilities"]["supportsAsync"], true);
    let page = text(server.fetch("", &[]).await).await;
    assert!(page.contains("/FeatureServer/jobs\"") && page.contains("/FeatureServer/uploads\""), "{page}");
}
