//! What other sites' pages can make a browser send (S12), on behalf of somebody who is signed in.

use axum::{body::Body, http::Request};

use crate::{
    auth::signing_in::{Browser, PASSWORD, with_users},
    openapi::description,
    support::{
        TestServer,
        server::{encode, text},
    },
};

#[tokio::test]
async fn s12_nothing_changes_by_get_or_by_a_form_without_what_the_session_knows() {
    let server = with_users().await;
    let mut browser = Browser::new(&server);
    browser.sign_in("root").await;
    let cookie = browser.cookie.clone().unwrap();
    // Everything that anybody could have changed, but for what signing in itself writes.
    let state = "select (select count(*) from oak) || ' ' || (select count(*) from syncline.replica) || ' ' || (select count(*) from syncline.job)
        || ' ' || (select count(*) from syncline.account) || ' ' || (select count(*) from syncline.token) || ' ' || (select count(*) from syncline.api_key)
        || ' ' || (select count(*) from syncline.service_grant) || ' ' || (select count(*) from syncline.upload_item)
        || ' ' || (select count(*) from syncline.role) || ' ' || (select coalesce(string_agg(definition::text, ''), '') from syncline.layer)
        || ' ' || (select coalesce(string_agg(enabled::text, '' order by name), '') from syncline.account)";
    let before: String = server.database.value(state).await;
    let document = description(&server).await;
    let mut n_asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{service}", "trees")
            .replace("{layer}", "0")
            .replace("{objectId}", "1")
            .replace(['{', '}'], "");
        if path.ends_with("/login") || path.contains("/logout") {
            continue;
        }
        let given = [
            ("features", r#"[{"attributes":{"species":"x"}}]"#),
            ("adds", r#"[{"attributes":{"species":"x"}}]"#),
            ("edits", r#"[{"id":0,"adds":[{"attributes":{"species":"x"}}]}]"#),
            ("layers", "0"),
            ("operation", "add"),
            ("name", "evil"),
            ("roles", "admin"),
            ("role", "admin"),
            ("where", "1=1"),
            ("updateDefinition", r#"{"description":"evil"}"#),
            ("itemName", "evil.json"),
        ];
        for (verb, format, csrf) in [
            ("GET", "html", ""),
            ("GET", "json", ""),
            ("POST", "html", ""),
            ("POST", "html", "guess"),
            ("POST", "json", "guess"),
        ] {
            if item.get(verb.to_lowercase()).is_none() && verb == "POST" {
                continue;
            }
            let form = encode(&[&given[..], &[("f", format), ("csrf", csrf)]].concat());
            let request = match verb {
                "GET" => Request::get(format!("{path}?{form}")).body(Body::empty()),
                _ => Request::post(&path)
                    .header("content-type", "application/x-www-form-urlencoded")
                    .body(Body::from(form)),
            };
            let mut request = request.unwrap();
            for (name, value) in [
                ("host", "test:80"),
                ("cookie", &cookie),
                ("origin", "https://evil.example"),
                ("referer", "https://evil.example/"),
            ] {
                request.headers_mut().insert(name, value.parse().unwrap());
            }
            let response = server.send(request).await;
            let headers = response.headers().clone();
            assert!(headers.get("access-control-allow-credentials").is_none(), "{verb} {path}");
            if headers.get("content-type").is_some_and(|kind| kind.to_str().unwrap().starts_with("text/html")) {
                let policy = headers["content-security-policy"].to_str().unwrap();
                assert!(policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"), "{policy}");
            }
            let _ = text(response).await;
            n_asked += 1;
        }
    }
    assert!(n_asked > 300, "{n_asked}");
    assert_eq!(server.database.value::<String>(state).await, before);
    // A page of another site may not ask what it would like to, in the name of whoever is signed in.
    let request = Request::builder()
        .method("OPTIONS")
        .uri("/arcgis/rest/services")
        .header("host", "test:80")
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization")
        .body(Body::empty());
    let response = server.send(request.unwrap()).await;
    assert!(response.headers().get("access-control-allow-credentials").is_none());
    assert_eq!(response.headers()["access-control-allow-origin"], "*");
}

/// Signs in as `ann` by a form that a browser sends with these headers. Says whether that went.
async fn signs_in(server: &TestServer, headers: &[(&'static str, &str)]) -> bool {
    let mut request = Request::post("/arcgis/login")
        .header("host", "test:80")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(encode(&[("username", "ann"), ("password", PASSWORD)])))
        .unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let response = server.send(request).await;
    let has_cookie = response.headers().contains_key("set-cookie");
    assert_eq!(has_cookie, response.status() == 303);
    if !has_cookie {
        let page = text(response).await;
        assert!(page.contains("another site") && !page.contains(PASSWORD), "{page}");
    }
    has_cookie
}

#[tokio::test]
async fn s12_a_page_of_another_site_signs_nobody_in_as_somebody_else() {
    let mut server = with_users().await;
    for elsewhere in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "cross-site"), ("origin", "http://test:80")],
        &[("origin", "https://evil.example")],
        &[("origin", "http://test:8080")],
        &[("origin", "http://test:80.evil.example")],
        &[("origin", "null")],
    ] {
        assert!(!signs_in(&server, elsewhere).await, "{elsewhere:?}");
    }
    for here in [
        // Programs say nothing of the kind.
        &[][..],
        &[("sec-fetch-site", "same-origin"), ("origin", "https://behind.example")],
        &[("sec-fetch-site", "none")],
        &[("origin", "http://test:80")],
        &[("origin", "https://TEST:80")],
        &[("origin", "http://outside.example"), ("x-forwarded-host", "outside.example")],
    ] {
        assert!(signs_in(&server, here).await, "{here:?}");
    }
    server.configure(|config| config.public_url = Some("https://gis.example/".to_owned()));
    assert!(signs_in(&server, &[("origin", "https://gis.example")]).await);
}
