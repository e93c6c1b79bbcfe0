//! addAttachment, updateAttachment, deleteAttachments, and what is fetched afterwards.

use std::fmt::Write as _;

use axum::http::header;
use serde_json::{Value as Json, json};

use super::{oak, with_oaks};
use crate::support::{
    TestServer,
    server::{error, json, text},
};

/// Sends a multipart form with a file and some fields.
async fn send(server: &TestServer, path: &str, file: Option<(&str, &str, &str)>, fields: &[(&str, &str)]) -> Json {
    let mut body = String::new();
    for (name, value) in fields.iter().chain(&[("f", "json")]) {
        write!(body, "--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").unwrap();
    }
    if let Some((part, name, bytes)) = file {
        let kind = if name.ends_with(".bin") { "" } else { "Content-Type: image/jpeg\r\n" };
        write!(
            body,
            "--x\r\nContent-Disposition: form-data; name=\"{part}\"; filename=\"{name}\"\r\n{kind}\r\n{bytes}\r\n"
        )
        .unwrap();
    }
    body.push_str("--x--\r\n");
    json(server.post_body(path, "multipart/form-data; boundary=x", body).await).await
}

async fn listed(server: &TestServer, oak: u32) -> Vec<Json> {
    let answer = server.get(&format!("0/{oak}/attachments"), &[]).await;
    answer["attachmentInfos"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
}

#[tokio::test]
async fn a_file_is_attached_fetched_changed_and_deleted() {
    let server = with_oaks().await;
    let before = server.get("", &[]).await["changeTrackingInfo"]["layerServerGens"][0]["serverGen"].clone();
    let file = Some(("attachment", "C:\\fake\\cat \u{fc}.jpg", "meow"));
    let answer = send(&server, "0/1/addAttachment", file, &[("keywords", "cat"), ("returnEditMoment", "True")]).await;
    let added = &answer["addAttachmentResult"];
    assert_eq!(added["success"], true, "{answer}");
    assert!(answer["editMoment"].is_i64(), "{answer}");
    let info = &listed(&server, 1).await[0];
    assert_eq!((&info["id"], &info["globalId"]), (&added["objectId"], &added["globalId"]));
    assert_eq!(info["name"], "cat \u{fc}.jpg", "without the directories");
    assert_eq!((&info["contentType"], &info["keywords"]), (&json!("image/jpeg"), &json!("cat")));
    assert_eq!(info["parentGlobalId"], oak(1).as_str());

    let path = format!("0/1/attachments/{}", added["objectId"]);
    let response = server.fetch(&path, &[]).await;
    let headers = response.headers().clone();
    assert_eq!(headers[header::CONTENT_TYPE], "image/jpeg");
    let disposition = headers[header::CONTENT_DISPOSITION].to_str().unwrap();
    assert!(disposition.starts_with("inline; filename=\"cat _.jpg\""), "{disposition}");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    assert_eq!(text(response).await, "meow");
    let etag = headers[header::ETAG].to_str().unwrap();
    assert_eq!(server.fetch(&path, &[("if-none-match", etag)]).await.status(), 304);
    assert_eq!(text(server.fetch(&path, &[("range", "bytes=1-2")]).await).await, "eo");

    let id = added["objectId"].to_string();
    let file = Some(("file", "dog.png", "woof!"));
    let answer = send(&server, "0/1/updateAttachment", file, &[("attachmentId", &id)]).await;
    assert_eq!(answer["updateAttachmentResult"]["success"], true, "{answer}");
    assert_eq!(answer["updateAttachmentResult"]["objectId"], added["objectId"]);
    let answer = send(&server, "0/1/updateAttachment", None, &[("attachmentId", &id), ("keywords", "dog")]).await;
    assert_eq!(answer["updateAttachmentResult"]["success"], true, "keywords alone can be changed: {answer}");
    let info = &listed(&server, 1).await[0];
    assert_eq!((&info["name"], &info["size"], &info["keywords"]), (&json!("dog.png"), &json!(5), &json!("dog")));

    // As a client of Python sends it: multipart without a file.
    let answer = send(&server, "0/1/deleteAttachments", None, &[("attachmentIds", &id), ("gbdVersion", "")]).await;
    assert_eq!(answer["deleteAttachmentResults"][0]["success"], true, "{answer}");
    assert!(listed(&server, 1).await.is_empty());
    let gone = server.fetch(&format!("{path}?f=json"), &[]).await;
    assert_eq!(error(&json(gone).await).0, 404);

    // All of it reaches whoever asks what changed.
    let changes = server
        .post(
            "extractChanges",
            &[
                ("serverGens", &before.to_string()),
                ("layers", "0"),
                ("returnInserts", "true"),
                ("returnAttachments", "true"),
            ],
        )
        .await;
    assert!(changes.get("error").is_none(), "{changes}");
}

#[tokio::test]
async fn the_type_comes_from_the_name_if_the_client_says_none() {
    let server = with_oaks().await;
    for (name, kind, shown) in
        [("page.html.bin", "application/octet-stream", "attachment"), ("plan.pdf", "image/jpeg", "inline")]
    {
        let answer = send(&server, "0/2/addAttachment", Some(("attachment", name, "x")), &[]).await;
        let id = &answer["addAttachmentResult"]["objectId"];
        let response = server.fetch(&format!("0/2/attachments/{id}"), &[]).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], kind, "{name}");
        assert!(response.headers()[header::CONTENT_DISPOSITION].to_str().unwrap().starts_with(shown), "{name}");
    }
}

#[tokio::test]
async fn an_upload_becomes_an_attachment_under_its_own_name() {
    let server = with_oaks().await;
    let item = send(&server, "uploads/upload", Some(("file", "plan.pdf", "%PDF")), &[]).await;
    let id = item["item"]["itemID"].as_str().unwrap_or_else(|| panic!("{item}")).to_owned();
    let answer = server.post("0/2/addAttachment", &[("uploadId", &id), ("keywords", "plan")]).await;
    assert_eq!(answer["addAttachmentResult"]["success"], true, "{answer}");
    let info = &listed(&server, 2).await[0];
    assert_eq!(
        (&info["name"], &info["contentType"], &info["size"]),
        (&json!("plan.pdf"), &json!("application/pdf"), &json!(4))
    );
    let attachment = answer["addAttachmentResult"]["objectId"].to_string();
    let answer = server.post("0/2/updateAttachment", &[("uploadId", &id), ("attachmentId", &attachment)]).await;
    assert_eq!(answer["updateAttachmentResult"]["success"], true, "{answer}");
}

#[tokio::test]
async fn what_cannot_be_done_with_attachments_is_said_in_its_place() {
    let server = with_oaks().await;
    let answer = server.post("0/1/addAttachment", &[("keywords", "x")]).await;
    assert_eq!(answer["addAttachmentResult"]["error"]["code"], 1008, "{answer}");
    assert!(
        answer["addAttachmentResult"]["error"]["description"].as_str().unwrap().contains("'attachment'"),
        "{answer}"
    );
    let answer = server.post("0/1/addAttachment", &[("uploadId", "i00000000-0000-4000-8000-000000000000")]).await;
    assert!(error(&answer).1.contains("uploadId"), "{answer}");
    let answer = server.post("0/1/updateAttachment", &[("attachmentId", "77"), ("keywords", "x")]).await;
    assert_eq!(answer["updateAttachmentResult"]["error"]["code"], 1009, "{answer}");
    let (code, _) = error(&server.post("0/77/addAttachment", &[("uploadId", "x")]).await);
    assert_eq!(code, 404);
    let (_, said) = error(&send(&server, "1/1/addAttachment", Some(("attachment", "a.jpg", "x")), &[]).await);
    assert!(said.contains("layer 1 have no attachments"), "{said}");
    let (code, _) = error(&server.get("0/1/addAttachment", &[]).await);
    assert_eq!(code, 405);

    let file = Some(("attachment", "a.jpg", "one"));
    let added = send(&server, "0/1/addAttachment", file, &[]).await;
    let id = added["addAttachmentResult"]["objectId"].to_string();
    // That of another feature is not this one's.
    let answer = server.post("0/2/deleteAttachments", &[("attachmentIds", &id)]).await;
    assert_eq!(answer["deleteAttachmentResults"][0]["error"]["code"], 1010, "{answer}");
    let both = format!("{id},77");
    let answer = server.post("0/1/deleteAttachments", &[("attachmentIds", &both)]).await;
    let codes = |answer: &Json| {
        let results = answer["deleteAttachmentResults"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
        results.iter().map(|result| result["error"]["code"].as_i64().unwrap_or(0)).collect::<Vec<_>>()
    };
    assert_eq!(codes(&answer), [1003, 1010]);
    assert_eq!(listed(&server, 1).await.len(), 1);
    let answer =
        server.post("0/1/deleteAttachments", &[("attachmentIds", &both), ("rollbackOnFailure", "false")]).await;
    assert_eq!(codes(&answer), [0, 1010]);
    assert_eq!(listed(&server, 1).await.len(), 0);
}

#[tokio::test]
async fn nothing_is_left_of_a_file_that_is_too_large_or_refused() {
    let mut server = with_oaks().await;
    server.configure(|config| config.max_upload_bytes = 1_000);
    let large = "x".repeat(2_000);
    let (code, said) = error(&send(&server, "0/1/addAttachment", Some(("attachment", "a.jpg", &large)), &[]).await);
    assert!(code == 413 && said.contains("1000 bytes"), "{said}");
    let file = Some(("attachment", "a.jpg", "x"));
    send(&server, "0/77/addAttachment", file, &[]).await;
    let left = |name: &str| std::fs::read_dir(server.app.config.data.join(name)).unwrap().count();
    assert_eq!((left("spool"), left("uploads")), (0, 0));
}
