//! Inputs that somebody thought of: huge, deep, broken, cut off; over a real connection where it matters.

use std::io::{Read as _, Write as _};

use axum::body::Body;
use serde_json::Value as Json;

use crate::support::{Program, TestDatabase, TestServer, server::error};

/// Sends a POST, and expects a refusal that is not the server's failure.
async fn refused(server: &TestServer, path: &str, content_type: &str, body: impl Into<Body>) -> String {
    let response = server.post_body(path, content_type, body).await;
    assert_eq!(response.status(), 200, "{path}");
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let answer: Json = serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{path}: {error}"));
    let (code, said) = error(&answer);
    assert!((400..500).contains(&code), "{path}: {code} {said}");
    said
}

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn deep_and_huge_parameters_are_refused() {
    let server = TestServer::with_trees().await;
    let deep_where = format!("f=json&where={}1=1{}", "(".repeat(50_000), ")".repeat(50_000));
    refused(&server, "0/query", FORM, deep_where).await;
    let long_where = format!("f=json&where=girth in ({}1)", "1,".repeat(200_000));
    server.post_body("0/query", FORM, long_where).await;
    let many_nots = format!("f=json&where={}1=1", "not ".repeat(50_000));
    refused(&server, "0/query", FORM, many_nots).await;
    let long_sum = format!("f=json&where=girth = {}1", "1%2B".repeat(50_000));
    refused(&server, "0/query", FORM, long_sum).await;
    let minus = format!("f=json&where=girth = {}1", "-".repeat(50_001));
    refused(&server, "0/query", FORM, minus).await;
    for deep in ["[", "{\"a\":"] {
        let deep = deep.repeat(100_000);
        refused(&server, "0/applyEdits", FORM, format!("f=json&adds={deep}")).await;
        refused(&server, "applyEdits", FORM, format!("f=json&edits={deep}")).await;
        refused(&server, "0/query", FORM, format!("f=json&geometry={deep}")).await;
        refused(&server, "0/query", "application/json", deep).await;
    }
    let ids = format!("f=json&objectIds={}", "9".repeat(1_000_000));
    let said = refused(&server, "0/query", FORM, ids).await;
    assert!(said.len() < 2_000, "an error does not repeat a megabyte: {} bytes", said.len());
    let id = "a".repeat(1_000_000);
    let said = refused(&server, "synchronizeReplica", FORM, format!("f=json&replicaID={id}")).await;
    assert!(said.len() < 2_000, "nor does this: {} bytes", said.len());
    let vertices = "[0,0],".repeat(300_000);
    let adds = format!("f=json&adds=[{{\"attributes\":{{}},\"geometry\":{{\"rings\":[[{vertices}[0,0]]]}}}}]");
    server.post_body("0/applyEdits", FORM, adds).await;
    let rows: i64 = server.database.value("select count(*) from oak").await;
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn broken_bytes_are_refused_or_passed_over() {
    let server = TestServer::with_trees().await;
    let answered = |path: &'static str, content_type: &'static str, body: Vec<u8>| {
        let server = &server;
        async move {
            let response = server.post_body(path, content_type, body).await;
            let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
            let answer: Json = serde_json::from_slice(&bytes).unwrap();
            assert!(answer["error"]["code"].as_i64().is_none_or(|code| code < 500), "{answer}");
        }
    };
    answered("0/query", FORM, b"f=json&where=species = '\xff\xfe'".to_vec()).await;
    answered("0/query", FORM, b"f=json&where=species = '\0'".to_vec()).await;
    answered("0/query", FORM, b"f=json&where=species%20%3D%20'%00'".to_vec()).await;
    answered("0/addFeatures", FORM, b"f=json&features=[{\"attributes\":{\"species\":\"a\\u0000b\"}}]".to_vec()).await;
    answered("0/addFeatures", FORM, b"f=json&features=[{\"attributes\":{\"species\":\"\\ud800\"}}]".to_vec()).await;
    answered("0/query", "application/json", b"{\"f\":\"json\",\"where\":[\"\xff\"]}".to_vec()).await;
    answered("0/query", "application/json", b"[1,2".to_vec()).await;
    answered("0/query", "multipart/form-data", b"f=json".to_vec()).await;
    answered(
        "0/query",
        "multipart/form-data; boundary=B",
        b"--B\r\nContent-Disposition: form-data; name=\"where\"\r\n\r\n1=1".to_vec(),
    )
    .await;
    answered("0/query", "multipart/form-data; boundary=B", b"--B\r\n\r\n\r\n--B--".to_vec()).await;
    answered(
        "uploads/upload",
        "multipart/form-data; boundary=B",
        b"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.json\"\r\n\r\nabc".to_vec(),
    )
    .await;
    answered("uploads/upload", FORM, b"f=json&file=abc".to_vec()).await;
    let items: i64 = server.database.value("select count(*) from syncline.upload_item").await;
    assert_eq!(items, 0, "nothing is kept of a file that was cut off");
    let path = "0/query?f=json&where=%zz%ff&objectIds=%";
    let response = server.fetch(path, &[]).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_connection_that_speaks_something_else_does_no_harm() {
    let database = TestDatabase::new().await;
    let program = Program::on(&database);
    let server = program.serve();
    let address = server.address().to_owned();
    let long = format!("GET /arcgis/rest/services?where={} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1_000_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(20_000));
    let cut = format!(
        "POST /arcgis/rest/services/none/FeatureServer/uploads/upload HTTP/1.1\r\nHost: {address}\r\nContent-Type: multipart/form-data; boundary=B\r\n\
         Content-Length: 100000\r\n\r\n--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nabc"
    );
    let texts: [&[u8]; 8] = [
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /%zz%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET //../../etc/passwd HTTP/1.1\r\nHost: \xff\r\n\r\n",
        b"POST /arcgis/rest/services HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        long.as_bytes(),
        many.as_bytes(),
        cut.as_bytes(),
    ];
    for text in texts {
        let mut stream = server.connect();
        // It may hang up before all is said.
        let _ = stream.write_all(text);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(!answer.starts_with("HTTP/1.1 5") && !answer.contains("\"code\":5"), "{answer}");
    }
    let mut stream = server.connect();
    stream
        .write_all(format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("ok"), "{answer}");
    server.stop();
}
