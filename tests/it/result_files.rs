//! Result files: whole, in ranges, and with what proves that they are whole.

use axum::{
    body::Body,
    http::{Request, Response, header},
};
use sha2::{Digest as _, Sha256};

use crate::support::{
    TestServer,
    server::{error, json, text},
};

/// A server with a result file; the path of the file, and its content.
async fn with_file(n_rows: u32) -> (TestServer, String, String) {
    let server = TestServer::with_trees().await;
    server
        .database
        .sql(&format!("insert into oak (species, girth) select 'elm', n from generate_series(1, {n_rows}) n"))
        .await;
    let answer = server.post("createReplica", &[("layers", "0")]).await;
    let url = answer["URL"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let path = url.strip_prefix("http://test:80").unwrap().to_owned();
    let content = text(server.fetch(&path, &[]).await).await;
    (server, path, content)
}

fn header<'r>(response: &'r Response<Body>, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_file_comes_with_its_length_its_digest_and_a_tag() {
    // Small ones are written from memory, large ones through a file.
    for n_rows in [1, 9000] {
        let (server, path, content) = with_file(n_rows).await;
        let response = server.fetch(&format!("{path}?token=&f=json"), &[]).await;
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "content-length"), content.len().to_string());
        assert_eq!(header(&response, "accept-ranges"), "bytes");
        assert_eq!(header(&response, "content-type"), "application/json; charset=utf-8");
        let digest: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(header(&response, "etag"), format!("\"{digest}\""));
        let repr_digest = header(&response, "repr-digest").to_owned();
        assert!(repr_digest.starts_with("sha-256=:") && repr_digest.len() == 54, "{repr_digest}");
        assert_eq!(text(response).await, content);
        let head = Request::head(&path).header(header::HOST, "test:80").body(Body::empty()).unwrap();
        let response = server.send(head).await;
        assert_eq!(header(&response, "content-length"), content.len().to_string());
        assert_eq!((header(&response, "repr-digest"), header(&response, "accept-ranges")), (&*repr_digest, "bytes"));
        assert_eq!(text(response).await, "");
    }
}

#[tokio::test]
async fn f5_a_download_that_broke_off_goes_on_where_it_did() {
    let (server, path, content) = with_file(9000).await;
    let n = content.len();
    assert!(n > 1 << 20, "the file is large enough to have gone through the disk: {n}");
    let tag = header(&server.fetch(&path, &[]).await, "etag").to_owned();
    for (range, first, last) in [
        ("bytes=0-99".to_owned(), 0, 99),
        (format!("bytes={}-", n * 9 / 10), n * 9 / 10, n - 1),
        ("bytes=-7".to_owned(), n - 7, n - 1),
        (format!("bytes=5-{}", n * 2), 5, n - 1),
    ] {
        for more in [vec![], vec![("if-range", tag.as_str())]] {
            let mut headers = vec![("range", range.as_str()), ("accept-encoding", "gzip")];
            headers.extend(more);
            let response = server.fetch(&path, &headers).await;
            assert_eq!(response.status(), 206, "{range}");
            assert_eq!(header(&response, "content-range"), format!("bytes {first}-{last}/{n}"));
            assert_eq!(header(&response, "content-length"), (last - first + 1).to_string());
            assert_eq!((header(&response, "content-encoding"), header(&response, "etag")), ("", &*tag));
            assert_eq!(text(response).await, content[first..=last], "{range}");
        }
    }
    let response = server.fetch(&path, &[("range", &format!("bytes={n}-"))]).await;
    assert_eq!((response.status().as_u16(), header(&response, "content-range")), (416, &*format!("bytes */{n}")));
    for (range, if_range) in [
        ("bytes=0-9", "\"another file\""),
        ("bytes=0-9", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ("bytes=0-9,20-29", tag.as_str()),
        ("nonsense", tag.as_str()),
    ] {
        let response = server.fetch(&path, &[("range", range), ("if-range", if_range)]).await;
        assert_eq!(response.status(), 200, "{range} {if_range}");
        assert_eq!(text(response).await.len(), n, "the whole file where a part would not fit");
    }
}

#[tokio::test]
async fn a_compressed_file_has_no_tag_that_fits_its_ranges() {
    let (server, path, content) = with_file(9000).await;
    let response = server.fetch(&path, &[("accept-encoding", "gzip")]).await;
    assert_eq!(header(&response, "content-encoding"), "gzip");
    let tag = header(&response, "etag").to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    assert_eq!((header(&response, "repr-digest"), header(&response, "accept-ranges")), ("", ""));
    let response = server.fetch(&path, &[("range", "bytes=10-"), ("if-range", &tag)]).await;
    assert_eq!((response.status().as_u16(), text(response).await == content), (200, true), "the whole file again");
}

#[tokio::test]
async fn a_file_that_is_not_whole_or_not_there_is_not_sent() {
    let (server, path, content) = with_file(1).await;
    let name = path.rsplit('/').next().unwrap();
    let file = server.app.config.data.join("exports").join(name);
    std::fs::write(&file, &content[..content.len() - 1]).unwrap();
    for wrong in [path.as_str(), "replicafiles/00000000000000000000000000000000.json", "replicafiles/..%2f..%2fx.json"]
    {
        let answer = json(server.fetch(&format!("{wrong}?f=json"), &[("range", "bytes=0-3")]).await).await;
        assert!(error(&answer).1.contains("Result file not found"), "{answer}");
    }
}
