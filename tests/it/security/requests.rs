//! Addresses in requests, which the server must not go to (S14).

use std::{
    io::ErrorKind,
    net::{TcpListener, TcpStream},
};

use serde_json::{Value as Json, json};

use super::with_oaks;
use crate::{
    openapi::description,
    support::server::{encode, text},
};

#[tokio::test]
async fn s14_the_server_goes_to_no_address_that_a_request_names() {
    let server = with_oaks().await;
    server.app.store.enable_attachments("trees", syncline::model::id::LayerId(0)).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut n_sent = 0;
    let document = description(&server).await;
    for address in [
        format!("http://127.0.0.1:{port}/a"),
        format!("http://2130706433:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        format!("http://localhost:{port}/arcgis/rest/services/trees/FeatureServer"),
    ] {
        for (path, item) in document["paths"].as_object().unwrap() {
            for verb in ["get", "post"] {
                let Some(operation) = item.get(verb) else { continue };
                let path = path.replace("{service}", "trees").replace("{layer}", "0").replace("{objectId}", "1");
                if path.contains('{') {
                    continue;
                }
                // Everywhere at once, as itself and as a member of documents.
                let names: Vec<&str> = parameters(operation);
                let document = json!({"url": address, "URL": address, "data": address, "uploadId": address, "connection": address, "serviceUrl": address}).to_string();
                for given in [&address, &document, &format!("[{document}]")] {
                    let all: Vec<(&str, &str)> =
                        names.iter().filter(|name| **name != "f").map(|name| (*name, given.as_str())).collect();
                    let form = encode(&all);
                    let _ = match verb {
                        "get" => text(server.fetch(&format!("{path}?{form}"), &[]).await).await,
                        _ => text(server.post_body(&path, "application/x-www-form-urlencoded", form).await).await,
                    };
                    n_sent += 1;
                }
            }
        }
        let attachments = json!({"adds": [{"parentGlobalId": "{6F9619FF-8B86-D011-B42D-00CF4FC964FF}", "globalId": "{6F9619FF-8B86-D011-B42D-00CF4FC964FE}", "name": "a.jpg", "contentType": "image/jpeg", "url": address}]});
        let edits = json!([{"id": 0, "attachments": attachments}]).to_string();
        let refused = server.post("applyEdits", &[("edits", &edits), ("useGlobalIds", "true")]).await;
        assert!(!refused.to_string().contains("\"success\":true"), "{refused}");
    }
    assert!(n_sent > 200, "{n_sent}");
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "somebody came");
    // The listener would have noticed.
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    listener.set_nonblocking(false).unwrap();
    listener.accept().unwrap();
}

/// The names of an operation's parameters, in the query string and in its form.
pub fn parameters(operation: &Json) -> Vec<&str> {
    let mut names: Vec<&str> =
        operation["parameters"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str()).collect();
    for form in operation["requestBody"]["content"].as_object().into_iter().flat_map(|content| content.values()) {
        names.extend(form["schema"]["properties"].as_object().into_iter().flatten().map(|(name, _)| name.as_str()));
    }
    names.sort_unstable();
    names.dedup();
    names
}
