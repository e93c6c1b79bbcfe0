//! T-A1: attachments in great numbers, and a great one.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use syncline::model::id::LayerId;

use crate::support::{Dice, Program, TestDatabase, TestServer, at_length, program::body, seed, server::text};

const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");
/// How many attachments one synchronization carries.
const AT_ONCE: usize = 500;

fn file(n: usize) -> String {
    format!("{{BBBBBBBB-0000-4000-8000-{n:012}}}")
}

fn tree(n: usize) -> String {
    format!("{{AAAAAAAA-0000-4000-8000-{n:012}}}")
}

/// What an attachment holds. One in ten is the same as another.
fn content(n: usize) -> String {
    format!("content of {}", if n % 10 == 9 { 0 } else { n })
}

/// A device that keeps what it was told of attachments: their names by their ids.
struct Device {
    replica: String,
    generation: String,
    files: BTreeMap<String, (String, String)>,
}

impl Device {
    async fn create(server: &TestServer) -> Device {
        let answer = server.post("createReplica", &[("layers", "0"), ("returnAttachments", "true"), EMBEDDED]).await;
        let mut device = Device {
            replica: answer["replicaID"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned(),
            generation: answer["replicaServerGen"].to_string(),
            files: BTreeMap::new(),
        };
        device.put(&answer["layers"][0]["attachments"]);
        device
    }

    fn put(&mut self, files: &Json) {
        for file in files.as_array().unwrap_or_else(|| panic!("{files}")) {
            let text = |name: &str| file[name].as_str().unwrap().to_owned();
            self.files.insert(text("globalId"), (text("name"), text("url")));
        }
    }

    async fn sync(&mut self, server: &TestServer, edits: &Json) {
        let edits = edits.to_string();
        let parameters =
            [("replicaID", self.replica.as_str()), ("replicaServerGen", &self.generation), ("edits", &edits), EMBEDDED];
        let answer = server.post("synchronizeReplica", &parameters).await;
        assert!(answer.get("error").is_none(), "{answer}");
        for layer in answer["edits"].as_array().into_iter().flatten() {
            let lists = &layer["attachments"];
            assert_eq!(lists["addResults"], json!([]), "nothing is refused");
            self.put(&lists["adds"]);
            self.put(&lists["updates"]);
            for id in lists["deleteIds"].as_array().unwrap() {
                self.files.remove(id.as_str().unwrap());
            }
        }
        self.generation = answer["replicaServerGen"].to_string();
    }
}

#[tokio::test]
async fn ten_thousand_attachments_come_and_go_like_one() {
    let n_files = at_length(1_000, 10_000);
    let server = TestServer::with_trees().await;
    server.app.store.enable_attachments("trees", LayerId(0)).await.unwrap();
    let trees: String = (0..n_files / 10).map(|n| format!("('{}'),", tree(n))).collect();
    server.database.sql(&format!("insert into oak (globalid) values {}", trees.trim_end_matches(','))).await;
    let (mut sender, mut receiver) = (Device::create(&server).await, Device::create(&server).await);
    let all: Vec<usize> = (0..n_files).collect();
    for some in all.chunks(AT_ONCE) {
        let adds: Json = some
            .iter()
            .map(|&n| {
                json!({"globalId": file(n), "parentGlobalId": tree(n / 10), "name": n.to_string(), "contentType": "text/plain", "data": STANDARD.encode(content(n))})
            })
            .collect();
        let edits = json!([{"id": 0, "attachments": {"adds": adds}}]);
        sender.sync(&server, &edits).await;
        if some[0] == 0 {
            // As if the answer had not arrived.
            sender.sync(&server, &edits).await;
        }
    }
    receiver.sync(&server, &json!([])).await;
    assert_eq!(receiver.files.len(), n_files);
    let mut dice = Dice::new(seed());
    for _ in 0..50 {
        let n = usize::try_from(dice.roll(n_files as u64)).unwrap();
        let (name, url) = &receiver.files[&file(n)];
        assert_eq!(*name, n.to_string());
        let path = url.strip_prefix("http://test:80").unwrap();
        assert_eq!(text(server.fetch(path, &[]).await).await, content(n));
    }
    let kept = std::fs::read_dir(server.app.config.data.join("contents")).unwrap();
    let kept = kept.flat_map(|directory| std::fs::read_dir(directory.unwrap().path()).unwrap()).count();
    assert_eq!(kept, n_files - n_files / 10, "what is the same is kept once");

    // Half of the trees go, and their attachments with them; of the others, some are deleted and some are others.
    server.database.sql(&format!("delete from oak where globalid >= '{}'", tree(n_files / 20))).await;
    let (deleted, replaced): (Vec<usize>, Vec<usize>) = (0..n_files / 2).step_by(7).partition(|n| n % 2 == 0);
    let updates: Json = replaced
        .iter()
        .map(|&n| json!({"globalId": file(n), "parentGlobalId": tree(n / 10), "name": "new", "contentType": "text/plain", "data": STANDARD.encode("new")}))
        .collect();
    let delete_ids: Json = deleted.iter().map(|&n| file(n)).collect();
    sender.sync(&server, &json!([{"id": 0, "attachments": {"updates": updates, "deleteIds": delete_ids}}])).await;
    for n in &deleted {
        sender.files.remove(&file(*n));
    }
    receiver.sync(&server, &json!([])).await;
    assert_eq!(receiver.files.len(), n_files / 2 - deleted.len());
    assert!(replaced.iter().all(|n| receiver.files[&file(*n)].0 == "new"));
    let sum = async |device: &Device| {
        let path = format!("replicas/{}/verify", device.replica);
        server.get(&path, &[("serverGens", device.generation.as_str())]).await["layers"][1].clone()
    };
    assert_eq!(sum(&receiver).await["count"], receiver.files.len());
    assert_eq!(Device::create(&server).await.files.len(), receiver.files.len());
}

/// Bytes that do not repeat, in pieces.
fn pieces(n_bytes: usize) -> impl Iterator<Item = Vec<u8>> {
    const PIECE: usize = 1 << 20;
    let mut dice = Dice::new(n_bytes as u64);
    (0..n_bytes.div_ceil(PIECE)).map(move |number| {
        let mut piece = vec![0; PIECE.min(n_bytes - number * PIECE)];
        for chunk in piece.chunks_mut(8) {
            let random = (dice.roll(1 << 31) << 31 | dice.roll(1 << 31)).to_le_bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
        piece
    })
}

#[tokio::test]
async fn one_great_attachment_comes_and_goes_without_filling_the_memory() {
    let n_bytes: usize = at_length(48 << 20, (1 << 30) + 12_345);
    let database = TestDatabase::new().await;
    database
        .sql(&format!(
            "create table oak (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique);
             insert into oak (globalid) values ('{}')",
            tree(1)
        ))
        .await;
    let program = Program::on(&database);
    program.done(&["publish", "--service", "trees", "--table", "oak", "--attachments"]);
    let server = program.serve();
    let head = "--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"great.mp4\"\r\n\r\n";
    let tail = "\r\n--cut--\r\n";
    let mut stream = server.connect();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(600))).unwrap();
    write!(
        stream,
        "POST /arcgis/rest/services/trees/FeatureServer/uploads/upload?f=json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: multipart/form-data; boundary=cut\r\nContent-Length: {}\r\n\r\n{head}",
        head.len() + n_bytes + tail.len()
    )
    .unwrap();
    let mut sent = Sha256::new();
    for piece in pieces(n_bytes) {
        sent.update(&piece);
        stream.write_all(&piece).unwrap();
    }
    stream.write_all(tail.as_bytes()).unwrap();
    let uploaded = body(stream);
    let item = uploaded["item"]["itemID"].as_str().unwrap_or_else(|| panic!("{uploaded}"));
    let post = |operation: &str, parameters: &[(&str, &str)]| {
        server.post(&format!("trees/FeatureServer/{operation}"), parameters)
    };
    let replica = post(
        "createReplica",
        &[("layers", "0"), ("layerQueries", r#"{"0":{"queryOption":"all"}}"#), ("returnAttachments", "true"), EMBEDDED],
    );
    let edits = json!([{"id": 0, "attachments": {"adds": [
        {"globalId": file(1), "parentGlobalId": tree(1), "name": "great.mp4", "contentType": "a/b", "uploadId": item}]}}])
    .to_string();
    let synced = post(
        "synchronizeReplica",
        &[
            ("replicaID", replica["replicaID"].as_str().unwrap()),
            ("replicaServerGen", &replica["replicaServerGen"].to_string()),
            ("edits", &edits),
            EMBEDDED,
        ],
    );
    assert!(synced.get("error").is_none(), "{synced}");
    let fresh = post(
        "createReplica",
        &[("layers", "0"), ("layerQueries", r#"{"0":{"queryOption":"all"}}"#), ("returnAttachments", "true"), EMBEDDED],
    );
    let attachment = &fresh["layers"][0]["attachments"][0];
    assert_eq!(attachment["size"], n_bytes, "{fresh}");
    let url = attachment["url"].as_str().unwrap();
    let (_, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = server.connect();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let (mut received, mut n_received, mut begun) = (Sha256::new(), 0, Vec::new());
    let mut buffer = vec![0; 1 << 18];
    loop {
        let n = stream.read(&mut buffer).unwrap();
        if n == 0 {
            break;
        }
        let mut bytes = &buffer[..n];
        if n_received == 0 {
            // The head may come in pieces.
            begun.extend_from_slice(bytes);
            let Some(end) = begun.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            bytes = &begun[end + 4..];
        }
        n_received += bytes.len();
        received.update(bytes);
    }
    assert_eq!((n_received, received.finalize()), (n_bytes, sent.finalize()));
    let peak = server.peak_memory_kib();
    assert!(peak < 160 << 10, "{peak} KiB");
    server.stop();
}
