//! Bodies of those who may not send them: refused by what comes before them (S17), also if they never end.

use std::time::{Duration, Instant};

use axum::{
    body::{Body, Bytes},
    http::{Request, header},
};
use futures_util::{StreamExt as _, stream};

use crate::{
    auth::{closed, key},
    support::{TestServer, server},
};

const SERVICE: &str = "/arcgis/rest/services/trees/FeatureServer";

/// What is answered to a request whose body begins so and never ends.
async fn refused(server: &TestServer, path: &str, kind: &str, token: &str, begins: &str) -> (i64, String) {
    let body = stream::iter([Ok::<_, std::io::Error>(Bytes::from(begins.to_owned()))]).chain(stream::pending());
    let mut request = Request::post(path).header(header::HOST, "test:80").header(header::CONTENT_TYPE, kind);
    if !token.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let begun = Instant::now();
    let answer = server::json(server.send(request.body(Body::from_stream(body)).unwrap()).await).await;
    // Less than the time for which a client may say nothing.
    assert!(begun.elapsed() < Duration::from_secs(30), "{path} {:?}", begun.elapsed());
    server::error(&answer)
}

#[tokio::test]
async fn s17_a_body_that_never_ends_is_refused_by_what_comes_before_it() {
    let server = closed().await;
    server.app.store.enable_attachments("trees", syncline::model::id::LayerId(0)).await.unwrap();
    let form = "multipart/form-data; boundary=b";
    let file = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.json\"\r\n\r\n{";
    let (viewer, editor) = (key("viewer"), key("editor"));
    for path in ["uploads/upload", "0/1/addAttachment", "0/1/updateAttachment"] {
        let path = format!("{SERVICE}/{path}?f=json");
        // In a header, in the address, in a part before the file.
        for (token, code) in [(viewer.as_str(), 403), ("nonsense", 498)] {
            assert_eq!(refused(&server, &path, form, token, file).await.0, code, "{path}");
            assert_eq!(refused(&server, &format!("{path}&token={token}"), form, "", file).await.0, code, "{path}");
            let parts = format!("--b\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n{token}\r\n{file}");
            let request = Request::post(&path)
                .header(header::HOST, "test:80")
                .header(header::CONTENT_TYPE, form)
                // Not known to be too large for somebody who is not known yet.
                .header(header::CONTENT_LENGTH, "5000")
                .body(Body::from_stream(
                    stream::iter([Ok::<_, std::io::Error>(Bytes::from(parts))]).chain(stream::pending()),
                ))
                .unwrap();
            let begun = Instant::now();
            let answer = server::json(server.send(request).await).await;
            assert_eq!(server::error(&answer).0, code, "{path}: {answer}");
            assert!(begun.elapsed() < Duration::from_secs(30), "{path} {:?}", begun.elapsed());
        }
        // Of nobody knows who, a file without an end is not taken at all.
        assert_eq!(refused(&server, &path, form, "", file).await.0, 499, "{path}");
    }
    let urlencoded = "application/x-www-form-urlencoded";
    for path in ["applyEdits", "0/addFeatures", "synchronizeReplica", "importReplica"] {
        let path = format!("{SERVICE}/{path}?f=json");
        assert_eq!(refused(&server, &path, urlencoded, "nonsense", "edits=%5B").await.0, 498, "{path}");
    }
    for path in ["applyEdits", "0/updateFeatures", "importReplica", "uploads/register"] {
        let path = format!("{SERVICE}/{path}?f=json");
        assert_eq!(refused(&server, &path, urlencoded, &viewer, "edits=%5B").await.0, 403, "{path}");
    }
    assert_eq!(refused(&server, "/arcgis/rest/admin/accounts/users?f=json", urlencoded, &editor, "x=").await.0, 403);
}

#[tokio::test]
async fn s17_what_is_beyond_a_quota_is_refused_before_it_is_sent() {
    let mut server = closed().await;
    server.configure(|config| config.max_user_upload_bytes = 1 << 20);
    let request = Request::post(format!("{SERVICE}/uploads/upload?f=json"))
        .header(header::HOST, "test:80")
        .header(header::AUTHORIZATION, format!("Bearer {}", key("editor")))
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
        .header(header::CONTENT_LENGTH, "3000000")
        .body(Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()))
        .unwrap();
    let begun = Instant::now();
    let response = server.send(request).await;
    assert_eq!(response.headers()[header::RETRY_AFTER], "30");
    let (code, said) = server::error(&server::json(response).await);
    assert!(code == 429 && said.contains("max_user_upload_bytes"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}
