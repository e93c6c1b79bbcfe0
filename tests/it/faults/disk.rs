//! F41, T-K3: disks that are full, at each write.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value as Json, json};
use syncline::{files::Files, model::id::LayerId};

use crate::support::{Program, TestDatabase, TestServer, at_length, program::Server, server::error};

const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");
const URL: (&str, &str) = ("transportType", "esriTransportTypeUrl");

/// The files below a directory, with their sizes.
fn files(directory: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push((entry.path(), entry.metadata().unwrap().len())),
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn f41_a_result_for_which_there_is_no_room_is_refused_before_it_is_begun() {
    let server = TestServer::with_trees().await;
    server.database.sql("alter table oak set (autovacuum_enabled = false); insert into oak (species) select 'elm' from generate_series(1, 2000); analyze oak").await;
    let created = server.post("createReplica", &[("layers", "0"), EMBEDDED]).await;
    let replica = created["replicaID"].as_str().unwrap_or_else(|| panic!("{created}"));
    // As many as no disk takes.
    server.database.sql("update pg_class set reltuples = 1e14 where oid = 'oak'::regclass").await;
    let before = files(&server.app.config.data);
    let snapshot = [("replicaID", replica), ("syncDirection", "snapshot"), EMBEDDED];
    for (operation, parameters) in [
        ("createReplica", &[("layers", "0,1"), URL][..]),
        ("createReplica", &[("layers", "0"), EMBEDDED]),
        ("createReplica", &[("layers", "0"), ("syncModel", "none"), URL]),
        ("createReplica", &[("layers", "0"), ("dataFormat", "geoPackage")]),
        ("createReplica", &[("layers", "0"), ("dataFormat", "sqlite")]),
        ("synchronizeReplica", &snapshot),
    ] {
        let (code, text) = error(&server.post(operation, parameters).await);
        assert_eq!(code, 503, "{text}");
        assert!(text.contains("would take about") && text.contains("nothing was kept"), "{text}");
    }
    assert_eq!(files(&server.app.config.data), before);
    let listed = server.get("replicas", &[]).await;
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    // What is small goes on: some rows of it, and a delta.
    let some = [("layers", "0"), ("layerQueries", r#"{"0":{"where":"objectid = 1"}}"#), EMBEDDED];
    assert_eq!(server.post("createReplica", &some).await["layers"][0]["features"].as_array().map(Vec::len), Some(1));
    let generation = created["replicaServerGen"].to_string();
    let delta =
        server.post("synchronizeReplica", &[("replicaID", replica), ("replicaServerGen", &generation), EMBEDDED]).await;
    assert_eq!(delta["responseType"], "esriReplicaResponseTypeNoEdits", "{delta}");
}

#[tokio::test]
async fn f41_of_what_is_to_be_left_free_nothing_is_taken_and_edits_go_on() {
    let mut server = TestServer::with_trees().await;
    server.app.store.enable_attachments("trees", LayerId(0)).await.unwrap();
    server.database.sql("insert into oak (species) values ('elm')").await;
    let created = server.post("createReplica", &[("layers", "0"), EMBEDDED]).await;
    server.app.files = Files::open(&server.app.config.data, u64::MAX).await.unwrap();
    server.configure(|_| {});
    let before = files(&server.app.config.data);
    let (code, text) = error(&server.post("createReplica", &[("layers", "0"), URL]).await);
    assert_eq!((code, text.contains("disk is full")), (503, true), "{text}");
    let form = "--b\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"a.jpg\"\r\nContent-Type: image/jpeg\r\n\r\nbytes\r\n--b--\r\n";
    for path in ["0/1/addAttachment?f=json", "uploads/upload?f=json"] {
        let refused = server
            .post_body(
                path,
                "multipart/form-data; boundary=b",
                form.replace("attachment", if path.starts_with('0') { "attachment" } else { "file" }),
            )
            .await;
        let refused: Json = crate::support::server::json(refused).await;
        assert!(refused.to_string().contains("disk is full"), "{refused}");
    }
    assert_eq!(files(&server.app.config.data), before);
    assert_eq!(server.get("replicas", &[]).await.as_array().map(Vec::len), Some(1));
    // Edits are taken and given all the same: they are in the database.
    let edits = json!([{"id": 0, "features": {"adds": [{"attributes": {"globalid": "{AAAAAAAA-0000-4000-8000-000000000001}", "species": "fir"}}]}}]).to_string();
    let generation = created["replicaServerGen"].to_string();
    let parameters = [
        ("replicaID", created["replicaID"].as_str().unwrap()),
        ("replicaServerGen", &generation),
        ("edits", &edits),
        EMBEDDED,
    ];
    let answer = server.post("synchronizeReplica", &parameters).await;
    assert!(answer.get("error").is_none(), "{answer}");
    assert_eq!(server.database.value::<i64>("select count(*) from oak").await, 2);
}

/// All rows of a table, of which a replica holds only related ones if nothing is said.
const ALL: (&str, &str) = ("layerQueries", r#"{"0":{"queryOption":"all"}}"#);

/// A service with attachments and a replica, in a database of its own.
struct Bed {
    program: Program,
    database: TestDatabase,
}

impl Bed {
    async fn new(reserve_bytes: u64) -> Bed {
        let database = TestDatabase::new().await;
        database
            .sql(
                "create table oak (objectid integer generated by default as identity primary key, globalid uuid not null default gen_random_uuid() unique, species text);
                 insert into oak (species) select repeat('elm ', 50) || n from generate_series(1, 6000) n; analyze oak",
            )
            .await;
        let program = Program::on(&database).with("SYNCLINE_DISK_RESERVE_BYTES", reserve_bytes);
        program.done(&["publish", "--service", "trees", "--table", "oak", "--attachments"]);
        Bed { program, database }
    }

    /// What must be as it was when a request has failed: the files, and the number of rows of each kind.
    async fn state(&self) -> (Vec<(PathBuf, u64)>, String) {
        let counts = "select concat_ws(' ', (select count(*) from syncline.replica), (select count(*) from syncline.batch), (select count(*) from syncline.export),
             (select count(*) from syncline.upload_item), (select count(*) from syncline.txn))";
        let kept = ["spool", "exports", "uploads", "contents"];
        let kept = kept.iter().flat_map(|name| files(&self.program.data().join(name))).collect();
        (kept, self.database.value(counts).await)
    }
}

/// Requests that write files, each by a name.
const REQUESTS: [&str; 5] = ["replica by URL", "replica embedded", "upload", "attachment", "synchronized attachment"];

fn request(server: &Server, name: &str, replica: &str, round: usize) -> Json {
    let bytes: Vec<u8> = (0..1_600_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()[2]).collect();
    match name {
        "replica by URL" => server.post("trees/FeatureServer/createReplica", &[("layers", "0"), ALL, URL]),
        "replica embedded" => server.post("trees/FeatureServer/createReplica", &[("layers", "0"), ALL, EMBEDDED]),
        "upload" => or_closed(server.send_file("trees/FeatureServer/uploads/upload", "file", "a.jpg", &bytes)),
        "attachment" => {
            or_closed(server.send_file("trees/FeatureServer/0/1/addAttachment", "attachment", "a.jpg", &bytes))
        }
        _ => {
            let feature: Json = server.post("trees/FeatureServer/0/query", &[("objectIds", "2"), ("outFields", "*")]);
            let parent = &feature["features"][0]["attributes"]["globalid"];
            // Each its own content, since what is there already is not written again.
            let data = STANDARD.encode([&bytes[..], &round.to_le_bytes()].concat());
            let edits = json!([{"id": 0, "attachments": {"adds": [{"globalId": format!("{{BBBBBBBB-0000-4000-8000-{round:012}}}"),
                "parentGlobalId": parent, "name": "a.jpg", "contentType": "image/jpeg", "data": data}]}}]);
            server.post(
                "trees/FeatureServer/synchronizeReplica",
                &[("replicaID", replica), ("syncDirection", "upload"), ("edits", &edits.to_string()), EMBEDDED],
            )
        }
    }
}

/// A line that the server closed while it was still sent to may take the answer along.
fn or_closed(answer: std::io::Result<Json>) -> Json {
    answer.unwrap_or_else(|error| json!({"error": format!("the disk is full, or the line was closed: {error}")}))
}

fn failed_for_room(answer: &Json) -> bool {
    let text = answer.to_string();
    text.contains("disk takes no file of this size")
        || text.contains("disk is full")
        || text.contains("would take about")
}

#[tokio::test]
async fn t_k3_a_write_that_fails_fails_one_request_which_leaves_nothing_and_can_be_repeated() {
    let bed = Bed::new(1 << 20).await;
    let server = bed.program.serve();
    let parameters = [("layers", "0"), ("returnAttachments", "true"), ALL, EMBEDDED];
    let replica =
        server.post("trees/FeatureServer/createReplica", &parameters)["replicaID"].as_str().unwrap().to_owned();
    for name in REQUESTS {
        // Files are written in pieces of 256 KiB, after a first one of 1 MiB for results.
        for n in 0..at_length(3, 6) {
            let before = bed.state().await;
            server.limit_files(Some(n * (256 << 10) + 1));
            let answer = request(&server, name, &replica, usize::try_from(n).unwrap());
            assert!(failed_for_room(&answer), "{name}, write {n}: {answer}");
            assert_eq!(bed.state().await, before, "{name}, write {n}");
        }
        server.limit_files(None);
        let answer = request(&server, name, &replica, 100);
        assert!(answer.get("error").is_none() && !failed_for_room(&answer), "{name}: {answer}");
    }
    server.stop();
}

/// A small disk of its own, which goes when this is dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this user may mount nothing.
    pub fn mount(at: &Path, size: &str) -> Option<SmallDisk> {
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at).output();
        done.is_ok_and(|done| done.status.success()).then(|| SmallDisk(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "what a machine does not allow is skipped aloud")]
async fn t_k3_a_full_disk_fails_one_request_and_serves_again_when_there_is_room() {
    let bed = Bed::new(0).await;
    let Some(_disk) = SmallDisk::mount(bed.program.data(), "12m") else {
        println!("SKIPPED: only root may mount a small disk; t_k3_a_write_that_fails has the same by a limit of sizes");
        return;
    };
    let server = bed.program.serve();
    let replica =
        server.post("trees/FeatureServer/createReplica", &[("layers", "0"), ("returnAttachments", "true"), EMBEDDED]);
    let replica = replica["replicaID"].as_str().unwrap_or_else(|| panic!("{replica}")).to_owned();
    let filler = bed.program.data().join("filler");
    for name in REQUESTS {
        for n in 0..at_length(2, 5) {
            let before = bed.state().await;
            let disk = rustix::fs::statvfs(bed.program.data()).unwrap();
            let free = disk.f_bavail * disk.f_frsize;
            let left = n * (256 << 10) + 4096;
            std::fs::write(&filler, vec![1; usize::try_from(free.saturating_sub(left)).unwrap()]).unwrap();
            let answer = request(&server, name, &replica, usize::try_from(n).unwrap());
            assert!(failed_for_room(&answer), "{name}, {n}: {answer}");
            assert_eq!(bed.state().await, before, "{name}, {n}");
            std::fs::remove_file(&filler).unwrap();
        }
        let answer = request(&server, name, &replica, 100);
        assert!(answer.get("error").is_none() && !failed_for_room(&answer), "{name}: {answer}");
    }
    server.stop();
}
