//! What browsers could be made to do with answers: attachments that are scripts (S8), markup in parameters, names and errors (S13).

use axum::{body::Body, http::Request};
use serde_json::Value as Json;

use super::with_oaks;
use crate::{
    openapi::description,
    support::{
        TestServer,
        server::{encode, json, text},
    },
};

const SERVICE: &str = "/arcgis/rest/services/trees/FeatureServer";

async fn attach(server: &TestServer, name: &str, kind: &str, bytes: &[u8]) -> Json {
    let head = format!(
        "--cut\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n"
    );
    let body = [head.as_bytes(), bytes, b"\r\n--cut--\r\n"].concat();
    json(server.post_body("0/1/addAttachment?f=json", "multipart/form-data; boundary=cut", body).await).await
}

#[tokio::test]
async fn s8_an_attachment_is_shown_as_nothing_that_runs_whatever_it_calls_itself() {
    let server = with_oaks().await;
    server.app.store.enable_attachments("trees", syncline::model::id::LayerId(0)).await.unwrap();
    let script = b"<html><script>fetch('/arcgis/tokens/session')</script>";
    let mut n_kept = 0;
    for (name, kind) in [
        ("a.html", "text/html"),
        ("a.svg", "image/svg+xml"),
        ("a.xhtml", "application/xhtml+xml"),
        ("a.xml", "text/xml"),
        ("a.pdf", "application/pdf"),
        ("a.jpg", "image/jpeg"),
        ("a.jpg.html", "image/jpeg"),
        ("a.html\u{0}.jpg", "image/jpeg"),
        ("a.html;.jpg", "image/jpeg"),
        ("\u{202e}gpj.html", "image/jpeg"),
        ("../../a.html", "image/jpeg; x=y"),
        ("a.js", "text/javascript"),
        ("a.jpg", "image/jpeg\u{b}text/html"),
        ("a.jpg", "text/html,image/jpeg"),
        ("a\"; x=\"b.html", "image/png"),
    ] {
        let answer = attach(&server, name, kind, script).await;
        let Some(id) = answer["addAttachmentResult"]["objectId"].as_i64() else { continue };
        n_kept += 1;
        for query in ["", "?f=html", "?f=json", "?callback=alert"] {
            let response = server.fetch(&format!("0/1/attachments/{id}{query}"), &[]).await;
            let header = |name: &str| {
                response.headers().get(name).map_or(String::new(), |value| value.to_str().unwrap_or("?").to_owned())
            };
            let policy = header("content-security-policy");
            assert!(policy.contains("sandbox") && policy.contains("default-src 'none'"), "{name} {query}: {policy}");
            assert_eq!(header("x-content-type-options"), "nosniff", "{name}");
            let (kind, disposition) = (header("content-type"), header("content-disposition"));
            // What a browser shows by itself, it shows as what cannot have a script; all else it stores.
            let is_shown = disposition.starts_with("inline");
            let harmless = ["image/jpeg", "image/png", "image/gif", "image/webp", "application/pdf", "text/plain"];
            assert!(
                disposition.starts_with("attachment")
                    || is_shown && harmless.iter().any(|known| kind.starts_with(known)),
                "{name} as {kind}: {disposition}"
            );
            assert!(!disposition.contains(['\r', '\n', '\u{0}']) && !disposition.contains("../"), "{disposition}");
        }
    }
    assert!(n_kept >= 5, "{n_kept}");
}

/// Ways to write what runs.
const MARKUP: &[&str] = &[
    "<script>zq()</script>",
    "\"><img src=x onerror=zq()>",
    "'><svg/onload=zq()>",
    "</title><script>zq()</script>",
    "</script><script>zq()</script>",
    "javascript:zq()//",
    "<a href=\"javascript:zq()\">",
    "<!--><script>zq()</script>",
    "]]><script>zq()</script>",
    "\u{2028}zq()//",
    "{{zq()}}",
    "${zq()}",
    "<ſcript>zq()</ſcript>",
    "\\u003cscript>zq()",
];

fn is_markup(body: &str) -> bool {
    let lower = body.to_lowercase();
    ["<script>zq", "<img src=x", "<svg/onload", "href=\"javascript:", "<!--><script"]
        .iter()
        .any(|mark| lower.contains(mark))
}

#[tokio::test]
async fn s13_no_parameter_comes_back_as_markup_or_script() {
    let server = with_oaks().await;
    let mut n_asked = 0;
    for (path, item) in description(&server).await["paths"].as_object().unwrap() {
        let path = path
            .replace("{service}", "trees")
            .replace("{layer}", "0")
            .replace("{objectId}", "1")
            .replace(['{', '}'], "");
        for verb in ["get", "post"] {
            let Some(operation) = item.get(verb) else { continue };
            let names: Vec<&str> = super::requests::parameters(operation);
            for (n, markup) in MARKUP.iter().enumerate() {
                // All parameters have it, since what is wrong with the first is what is told: a different one is first each time.
                let mut given: Vec<(&str, &str)> =
                    names.iter().filter(|name| !["f", "token"].contains(name)).map(|name| (*name, *markup)).collect();
                if !given.is_empty() {
                    let first = n % given.len();
                    given.rotate_left(first);
                    given.truncate(3);
                }
                for format in ["html", "json", markup] {
                    let form = encode(&[&given[..], &[("f", format), ("nobody", markup)]].concat());
                    let response = match verb {
                        "get" => server.fetch(&format!("{path}?{form}"), &[]).await,
                        _ => server.post_body(&path, "application/x-www-form-urlencoded", form).await,
                    };
                    let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
                    let policy = response
                        .headers()
                        .get("content-security-policy")
                        .map(|value| value.to_str().unwrap().to_owned());
                    let body = text(response).await;
                    let kind = kind.unwrap_or_default();
                    if kind.starts_with("text/html") {
                        assert!(!is_markup(&body), "{verb} {path}: {body}");
                        let policy = policy.unwrap_or_default();
                        assert!(
                            policy.contains("default-src 'none'") && !policy.contains("unsafe-inline"),
                            "{path}: {policy}"
                        );
                        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
                    } else if body.contains("zq()") {
                        assert!(
                            ["application/json", "application/geo+json", "text/plain"]
                                .iter()
                                .any(|known| kind.starts_with(known)),
                            "{verb} {path}: {kind}"
                        );
                    }
                    n_asked += 1;
                }
            }
        }
    }
    assert!(n_asked > 1000, "{n_asked}");
}

#[tokio::test]
async fn s13_a_callback_is_a_name_and_nothing_else() {
    let server = with_oaks().await;
    let longest = "c".repeat(128);
    for good in ["cb", "dojo.io.script.jsonp_dojoIoScript1._jsonpCallback", "$.x_1", &longest] {
        let response = server.fetch(&format!("0?f=json&callback={good}"), &[]).await;
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        let body = text(response).await;
        assert!(kind.contains("javascript") && body.contains(&format!("{good}(")), "{kind} {body}");
    }
    let too_long = "c".repeat(129);
    for bad in
        ["alert(1)", "a;b", "a=b", "<script>", "a b", "a[0]", "\u{430}", "a-b", "a/*", &too_long, "a'", "a\\u0028"]
    {
        let form = encode(&[("f", "json"), ("callback", bad)]);
        let response = server.fetch(&format!("0?{form}"), &[]).await;
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        let body = text(response).await;
        assert!(!kind.contains("javascript") && !body.contains(bad), "{bad}: {kind} {body}");
        assert!(serde_json::from_str::<Json>(&body).is_ok(), "{bad}: {body}");
    }
    // Whoever asks in the name of somebody gets nothing that another site's script could run.
    let request = Request::get(format!("{SERVICE}/0?f=json&callback=cb"))
        .header("host", "test:80")
        .header("cookie", "agstoken=slt_of_nobody")
        .body(Body::empty())
        .unwrap();
    let answer = text(server.send(request).await).await;
    assert!(!answer.contains("slt_of_nobody"), "{answer}");
}
