//! Attachments in replicas: with the data, up and down, by address and embedded, and what becomes of them when their feature goes.

use axum::http::header;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use crate::support::{TestServer, server::error};

const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");
const BOTH_WAYS: (&str, &str) = ("returnAttachments", "true");

/// Trees that may have attachments: elm, fir and ash, whose girths are 1, 2 and 3.
async fn with_attachments() -> TestServer {
    let server = TestServer::with_trees().await;
    server.app.store.enable_attachments("trees", syncline::model::id::LayerId(0)).await.unwrap();
    server
        .database
        .sql(
            "insert into oak (globalid, species, girth, shape)
             select ('aaaaaaaa-0001-4000-8000-' || lpad(n::text, 12, '0'))::uuid, name, n, ST_Point(n, n, 3857)
             from unnest(array['elm', 'fir', 'ash'], array[1, 2, 3]) as t (name, n)",
        )
        .await;
    server
}

fn tree(n: u32) -> String {
    format!("{{AAAAAAAA-0001-4000-8000-{n:012}}}")
}

fn file(n: u32) -> String {
    format!("{{BBBBBBBB-0001-4000-8000-{n:012}}}")
}

fn attachment(n: u32, of: u32, bytes: &[u8]) -> Json {
    json!({"globalId": file(n), "parentGlobalId": tree(of), "name": format!("{n}.jpg"), "contentType": "image/jpeg", "data": STANDARD.encode(bytes)})
}

fn edits(attachments: &Json) -> String {
    json!([{"id": 0, "attachments": attachments}]).to_string()
}

async fn create(server: &TestServer, parameters: &[(&str, &str)]) -> Json {
    let mut all = vec![EMBEDDED, ("layers", "0")];
    all.extend(parameters);
    let answer = server.post("createReplica", &all).await;
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}

async fn attempt(server: &TestServer, holding: &Json, parameters: &[(&str, &str)]) -> Json {
    let generation = holding["replicaServerGen"].to_string();
    let mut all =
        vec![("replicaID", holding["replicaID"].as_str().unwrap()), ("replicaServerGen", &generation), EMBEDDED];
    all.extend(parameters);
    server.post("synchronizeReplica", &all).await
}

async fn synchronize(server: &TestServer, holding: &Json, parameters: &[(&str, &str)]) -> Json {
    let answer = attempt(server, holding, parameters).await;
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}

/// The global ids of attachments that an answer adds, updates and deletes.
fn changes(answer: &Json) -> [Vec<String>; 3] {
    let Some(edits) = answer.get("edits") else { return Default::default() };
    let lists = &edits[0]["attachments"];
    let ids = |list: &str| {
        let id = |item: &Json| item.as_str().or(item["globalId"].as_str()).unwrap().to_owned();
        let mut ids: Vec<String> = lists[list].as_array().unwrap().iter().map(id).collect();
        ids.sort();
        ids
    };
    [ids("adds"), ids("updates"), ids("deleteIds")]
}

async fn bytes_behind(server: &TestServer, url: &str) -> (String, Vec<u8>) {
    let path = url.strip_prefix("http://test:80").unwrap_or_else(|| panic!("{url}"));
    let response = server.fetch(path, &[]).await;
    let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
    (kind, axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec())
}

/// A device that uploads two files for elm and one for ash.
async fn with_files(server: &TestServer) -> Json {
    let device = create(server, &[BOTH_WAYS]).await;
    let adds = json!({"adds": [attachment(1, 1, b"one"), attachment(2, 1, b"two"), attachment(3, 3, b"three")]});
    let synced = synchronize(server, &device, &[("edits", &edits(&adds))]).await;
    assert_eq!(synced["responseType"], "esriReplicaResponseTypeNoEdits", "{synced}");
    synced
}

#[tokio::test]
async fn what_one_device_attaches_the_other_gets_by_address_or_in_the_document() {
    let server = with_attachments().await;
    let before = create(&server, &[BOTH_WAYS]).await;
    assert_eq!(before["layers"][0]["attachments"], json!([]));
    with_files(&server).await;

    let synced = synchronize(&server, &before, &[]).await;
    assert_eq!(changes(&synced), [vec![file(1), file(2), file(3)], vec![], vec![]]);
    let first = &synced["edits"][0]["attachments"]["adds"][0];
    assert_eq!(first["parentGlobalId"], tree(1).as_str());
    assert_eq!((first["name"].as_str(), first["size"].as_i64()), (Some("1.jpg"), Some(3)));
    let (kind, bytes) = bytes_behind(&server, first["url"].as_str().unwrap()).await;
    assert_eq!((kind.as_str(), bytes.as_slice()), ("image/jpeg", b"one".as_slice()));
    assert_eq!(synchronize(&server, &synced, &[]).await["responseType"], "esriReplicaResponseTypeNoEdits");

    for spelling in ["returnAttachmentsDataByUrl", "returnAttachmentsDatabyURL", "returnAttachmentDatabyURL"] {
        let made = create(&server, &[BOTH_WAYS, (spelling, "false")]).await;
        let files = made["layers"][0]["attachments"].as_array().unwrap();
        let mut data: Vec<&str> = files.iter().map(|file| file["data"].as_str().unwrap()).collect();
        data.sort_unstable();
        assert_eq!(data, [STANDARD.encode("one"), STANDARD.encode("three"), STANDARD.encode("two")], "{spelling}");
    }
}

#[tokio::test]
async fn attachments_follow_the_filter_of_their_features() {
    let server = with_attachments().await;
    with_files(&server).await;
    let small = ("layerQueries", r#"{"0":{"where":"girth <= 2"}}"#);
    let device = create(&server, &[BOTH_WAYS, small]).await;
    let ids = |answer: &Json| answer["layers"][0]["attachments"].as_array().unwrap().len();
    assert_eq!(ids(&device), 2);
    server.database.sql("update oak set girth = 4 - girth").await;
    let synced = synchronize(&server, &device, &[]).await;
    assert_eq!(changes(&synced), [vec![file(3)], vec![], vec![file(1), file(2)]]);
}

#[tokio::test]
async fn an_attachment_is_changed_deleted_and_its_name_alone_changed() {
    let server = with_attachments().await;
    let other = create(&server, &[BOTH_WAYS]).await;
    let device = with_files(&server).await;
    let other = synchronize(&server, &other, &[]).await;
    let renamed = json!({"globalId": file(2), "name": "new name.jpg"});
    let changed = json!({"updates": [attachment(1, 1, b"another one"), renamed], "deleteIds": [file(3)]});
    synchronize(&server, &device, &[("edits", &edits(&changed))]).await;
    let synced = synchronize(&server, &other, &[("returnAttachmentsDataByUrl", "false")]).await;
    assert_eq!(changes(&synced), [vec![], vec![file(1), file(2)], vec![file(3)]]);
    let updates = &synced["edits"][0]["attachments"]["updates"];
    assert_eq!(updates[0]["data"], STANDARD.encode("another one"));
    assert_eq!((updates[1]["name"].as_str(), updates[1]["data"].as_str()), (Some("new name.jpg"), Some("dHdv")));
}

#[tokio::test]
async fn a_feature_takes_its_attachments_along_whoever_deletes_it() {
    let server = with_attachments().await;
    let device = with_files(&server).await;
    server.database.sql("delete from oak where species = 'elm'").await;
    let synced = synchronize(&server, &device, &[]).await;
    assert_eq!(synced["edits"][0]["features"]["deleteIds"], json!([tree(1)]));
    assert_eq!(changes(&synced)[2], [file(1), file(2)]);
    server.database.sql("truncate oak").await;
    let synced = synchronize(&server, &synced, &[]).await;
    assert_eq!(changes(&synced)[2], [file(3)]);
    let table: String =
        server.database.value("select table_name from syncline.layer where attached_to is not null").await;
    let n_left: i64 = server.database.value(&format!("select count(*) from syncline.{table}")).await;
    assert_eq!(n_left, 0, "no orphans");
}

#[tokio::test]
async fn refused_attachments_are_named_and_the_others_stay() {
    let server = with_attachments().await;
    let device = create(&server, &[BOTH_WAYS]).await;
    let adds = json!({"adds": [attachment(1, 1, b"one"), attachment(2, 7, b"two"),
        {"globalId": file(3), "parentGlobalId": tree(1), "name": "x", "contentType": "image/png"}]});
    let parameters = [("edits", edits(&adds)), ("rollbackOnFailure", "false".to_owned())];
    let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let synced = synchronize(&server, &device, &parameters).await;
    let results = synced["edits"][0]["attachments"]["addResults"].as_array().unwrap();
    let of = |n: usize| {
        (results[n]["error"]["code"].as_i64().unwrap(), results[n]["error"]["description"].as_str().unwrap())
    };
    assert_eq!(results.len(), 2, "{synced}");
    assert!(of(0).0 == 1008 && of(0).1.contains(&tree(7)), "{:?}", of(0));
    assert!(of(1).0 == 1008 && of(1).1.contains("no bytes"), "{:?}", of(1));

    let rolled_back = attempt(&server, &synced, &[("edits", &edits(&adds)), ("rollbackOnFailure", "true")]).await;
    assert!(error(&rolled_back).1.contains("rolled back"), "{rolled_back}");
    let fresh = create(&server, &[BOTH_WAYS]).await;
    assert_eq!(fresh["layers"][0]["attachments"].as_array().unwrap().len(), 1, "the rollback left no trace");
}

#[tokio::test]
async fn a_new_feature_and_its_attachment_come_together_and_a_repetition_changes_nothing() {
    let server = with_attachments().await;
    let device = create(&server, &[BOTH_WAYS]).await;
    let both = json!([{"id": 0, "attachments": {"adds": [attachment(9, 9, b"nine")]},
        "features": {"adds": [{"attributes": {"globalid": tree(9), "species": "oak", "girth": 1}, "geometry": {"x": 1, "y": 1}}]}}])
    .to_string();
    let once = synchronize(&server, &device, &[("edits", &both), ("returnIdsForAdds", "true")]).await;
    let again = synchronize(&server, &device, &[("edits", &both), ("returnIdsForAdds", "true")]).await;
    assert_eq!(once["edits"], again["edits"]);
    assert_eq!(once["edits"][0]["attachments"]["addResults"][0]["globalId"], file(9).as_str());
    let fresh = create(&server, &[BOTH_WAYS]).await;
    assert_eq!(fresh["layers"][0]["attachments"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_direction_of_attachments_is_kept() {
    let server = with_attachments().await;
    let up = create(&server, &[("attachmentsSyncDirection", "upload")]).await;
    let none = create(&server, &[("returnAttachments", "true"), ("attachmentsSyncDirection", "none")]).await;
    assert_eq!(none["layers"][0]["attachments"], json!([]));
    with_files(&server).await;
    assert_eq!(changes(&synchronize(&server, &up, &[]).await), <[Vec<String>; 3]>::default());
    assert_eq!(changes(&synchronize(&server, &none, &[]).await), <[Vec<String>; 3]>::default());

    let more = edits(&json!({"adds": [attachment(4, 2, b"four")]}));
    synchronize(&server, &up, &[("edits", &more)]).await;
    let refused = synchronize(&server, &none, &[("edits", &more), ("rollbackOnFailure", "false")]).await;
    let result = &refused["edits"][0]["attachments"]["addResults"][0];
    assert!(result["error"]["description"].as_str().unwrap().contains("attachmentsSyncDirection=none"), "{refused}");
    let snapshot = synchronize(&server, &none, &[("syncDirection", "snapshot")]).await;
    assert_eq!(snapshot["layers"][0]["attachments"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn attachments_for_a_layer_that_has_none_are_not_lost_in_silence() {
    let server = TestServer::with_trees().await;
    let device = create(&server, &[]).await;
    let refused = attempt(&server, &device, &[("edits", &edits(&json!({"adds": [attachment(1, 1, b"x")]})))]).await;
    let (code, message) = error(&refused);
    assert!(code == 400 && message.contains("layer 0 has no attachments"), "{message}");
}

#[tokio::test]
async fn what_is_the_same_is_kept_once_and_what_nobody_holds_goes() {
    let server = with_attachments().await;
    let device = create(&server, &[BOTH_WAYS]).await;
    let adds = json!({"adds": [attachment(1, 1, b"same"), attachment(2, 2, b"same"), attachment(3, 3, b"other")]});
    synchronize(&server, &device, &[("edits", &edits(&adds))]).await;
    let contents = || {
        let root = server.app.config.data.join("contents");
        let directories = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
        directories.flat_map(|directory| std::fs::read_dir(directory).unwrap()).count()
    };
    assert_eq!(contents(), 2);
    server.app.sweep_files().await.unwrap();
    assert_eq!(contents(), 2, "what is held stays");
}

/// Uploads a file, and gives its id.
async fn upload(server: &TestServer, bytes: &[u8]) -> String {
    let mut body = b"--cut\r\nContent-Disposition: form-data; name=\"file\"; filename=\"big.jpg\"\r\n\r\n".to_vec();
    body.extend_from_slice(bytes);
    body.extend_from_slice(b"\r\n--cut--\r\n");
    let response = server.post_body("uploads/upload?f=json", "multipart/form-data; boundary=cut", body).await;
    crate::support::server::json(response).await["item"]["itemID"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn bytes_may_be_uploaded_before_and_fetched_in_parts() {
    let server = with_attachments().await;
    let device = create(&server, &[BOTH_WAYS]).await;
    let large: Vec<u8> = (0..300_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let (by_id, by_url) = (upload(&server, &large).await, upload(&server, b"small").await);
    let with = |n: u32, of: u32, more: (&str, &str)| json!({"globalId": file(n), "parentGlobalId": tree(of), "name": "a.jpg", "contentType": "image/jpeg", more.0: more.1});
    let url = format!("http://test:80/arcgis/rest/services/trees/FeatureServer/uploads/{by_url}");
    let adds =
        json!({"adds": [with(1, 1, ("uploadId", &by_id)), with(2, 2, ("url", &url)), with(3, 3, ("uploadId", "i0"))]});
    let synced = synchronize(&server, &device, &[("edits", &edits(&adds)), ("rollbackOnFailure", "false")]).await;
    let refused = &synced["edits"][0]["attachments"]["addResults"];
    assert_eq!((refused.as_array().unwrap().len(), &refused[0]["globalId"]), (1, &json!(file(3))));
    assert!(refused[0]["error"]["description"].as_str().unwrap().contains("no upload 'i0'"), "{refused}");

    let again = synchronize(&server, &device, &[("edits", &edits(&adds)), ("rollbackOnFailure", "false")]).await;
    assert_eq!(again["edits"][0]["attachments"]["addResults"], *refused);
    let fresh = create(&server, &[BOTH_WAYS]).await;
    let files = fresh["layers"][0]["attachments"].as_array().unwrap();
    let first = files.iter().find(|info| info["globalId"] == file(1).as_str()).unwrap();
    let url = first["url"].as_str().unwrap();
    assert_eq!(bytes_behind(&server, url).await.1, large);
    server.post(&format!("uploads/{by_id}/delete"), &[]).await;
    let rest = server.fetch(url.strip_prefix("http://test:80").unwrap(), &[("range", "bytes=299990-")]).await;
    assert_eq!(rest.status(), 206);
    let rest = axum::body::to_bytes(rest.into_body(), usize::MAX).await.unwrap();
    assert_eq!(rest, &large[299_990..], "it stays when the upload goes");
}

#[tokio::test]
async fn the_layer_says_what_it_has_and_a_feature_lists_its_attachments() {
    let server = with_attachments().await;
    with_files(&server).await;
    let layer = server.get("0", &[]).await;
    assert_eq!((&layer["hasAttachments"], &layer["supportsAttachmentsByUploadId"]), (&json!(true), &json!(true)));
    assert_eq!(server.get("1", &[]).await["hasAttachments"], false);
    assert_eq!(server.get("", &[]).await["syncCapabilities"]["supportsAttachmentsSyncDirection"], true);
    let elm: i32 = server.database.value("select objectid from oak where species = 'elm'").await;
    let listed = server.get(&format!("0/{elm}/attachments"), &[]).await;
    let names: Vec<&str> =
        listed["attachmentInfos"].as_array().unwrap().iter().map(|info| info["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["1.jpg", "2.jpg"]);
    let id = &listed["attachmentInfos"][0]["id"];
    let response = server.fetch(&format!("0/{elm}/attachments/{id}"), &[]).await;
    let header = |name: header::HeaderName| response.headers()[name].to_str().unwrap().to_owned();
    assert!(header(header::CONTENT_DISPOSITION).contains("filename=\"1.jpg\""));
    assert!(header(header::CONTENT_SECURITY_POLICY).contains("sandbox"));
    assert_eq!(header(header::CONTENT_LENGTH), "3");
    let (code, message) = error(&server.get("0/999/attachments", &[]).await);
    assert!(code == 404 && message.contains("object id 999"), "{message}");
}

#[tokio::test]
async fn an_attachment_that_came_while_its_feature_went_is_seen_by_nobody_and_swept() {
    let server = with_attachments().await;
    let device = create(&server, &[BOTH_WAYS]).await;
    let mut other = server.database.connect().await;
    let mut run = async |statements: &'static str| sqlx::raw_sql(statements).execute(&mut other).await.unwrap();
    run("begin isolation level repeatable read; select count(*) from oak").await;
    synchronize(&server, &device, &[("edits", &edits(&json!({"adds": [attachment(1, 1, b"late")]})))]).await;
    run("delete from oak where species = 'elm'; commit").await;
    let table: String = server
        .database
        .value("select 'syncline.' || table_name from syncline.layer where attached_to is not null")
        .await;
    let left = async || server.database.value::<i64>(&format!("select count(*) from {table}")).await;
    assert_eq!(left().await, 1, "otherwise this test tests nothing");
    assert_eq!(create(&server, &[BOTH_WAYS]).await["layers"][0]["attachments"], json!([]));
    server.app.sweep_files().await.unwrap();
    assert_eq!(left().await, 0);
}

#[tokio::test]
async fn g11_a_client_can_compute_the_checksum_of_its_attachments() {
    let server = with_attachments().await;
    let device = with_files(&server).await;
    let path = format!("replicas/{}/verify", device["replicaID"].as_str().unwrap());
    let verified = server.get(&path, &[]).await;
    let one = |text: String| u128::from_be_bytes(Sha256::digest(text)[..16].try_into().unwrap());
    let canonical = |n: u32, of: u32, bytes: &[u8]| {
        let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let (size, id) = (u32::try_from(bytes.len()).unwrap(), file(n).trim_matches(['{', '}']).to_lowercase());
        format!(
            "{id}\ncontent_type=t10:image/jpeg\nname=t5:{n}.jpg\nparent_globalid=t38:{}\nsha256=t64:{sha256}\nsize_bytes=n{:016x}\n",
            tree(of),
            f64::from(size).to_bits()
        )
    };
    let sum = [canonical(1, 1, b"one"), canonical(2, 1, b"two"), canonical(3, 3, b"three")]
        .into_iter()
        .map(one)
        .fold(0, u128::wrapping_add);
    let said = &verified["layers"][1];
    assert_eq!(
        (&said["of"], &said["count"], &said["content"]),
        (&json!("attachments"), &json!(3), &json!(format!("{sum:032x}")))
    );
}

#[tokio::test]
async fn a_corrected_attachment_holds_what_was_sent_and_nothing_that_somebody_names() {
    let server = with_attachments().await;
    let held = create(&server, &[BOTH_WAYS]).await;
    let lost = edits(&json!({"adds": [attachment(1, 9, b"own bytes")]}));
    let answer = attempt(&server, &held, &[("edits", &lost), ("rollbackOnFailure", "false")]).await;
    assert_eq!(answer["edits"][0]["attachments"]["addResults"][0]["success"], false, "{answer}");
    let kept = server.get("rejectedEdits", &[]).await["rejectedEdits"][0].clone();
    let apply = format!("rejectedEdits/{}/apply", kept["rejectedEditId"]);
    let hex = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut corrected = kept["feature"].clone();
    corrected["attributes"]["parent_globalid"] = tree(1).into();
    let mut unsafe_name = corrected.clone();
    unsafe_name["attributes"]["content_type"] = "text/html\r\nX-Evil: 1".into();
    let refused = server.post(&apply, &[("feature", &unsafe_name.to_string())]).await;
    assert_eq!((&refused["success"], &refused["result"]["error"]["code"]), (&json!(false), &json!(1008)), "{refused}");
    // Not even what is kept for somebody else.
    let sha256 = corrected["attributes"].as_object_mut().unwrap().remove("sha256").unwrap();
    assert_eq!(sha256, hex(b"own bytes"));
    corrected["attributes"]["SHA256"] = hex(b"somebody else's bytes").into();
    corrected["attributes"]["size_bytes"] = 21.into();
    let applied = server.post(&apply, &[("feature", &corrected.to_string())]).await;
    assert_eq!(applied["success"], true, "{applied}");
    let listed = server.get("0/1/attachments", &[]).await["attachmentInfos"][0].clone();
    assert_eq!(listed["size"], 9, "{listed}");
    let path = format!("/arcgis/rest/services/trees/FeatureServer/0/1/attachments/{}", listed["id"]);
    assert_eq!(crate::support::server::text(server.fetch(&path, &[]).await).await, "own bytes");
}
