//! Users, passwords, tokens for them, and sessions of pages.

use std::{
    net::SocketAddr,
    time::{SystemTime, UNIX_EPOCH},
};

use argon2::{Argon2, PasswordHasher as _};
use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{Request, Response, header},
};
use serde_json::{Value as Json, json};

use super::{closed, get_as, key, post_as};
use crate::support::{
    TestServer,
    server::{self, encode, error},
};

pub const PASSWORD: &str = "correct horse battery";

/// A closed server with the users `ann` (editor), `bob` (viewer) and `root` (admin), all with the same password.
pub async fn with_users() -> TestServer {
    let server = closed().await;
    for (name, role) in [("ann", "editor"), ("bob", "viewer"), ("root", "admin")] {
        add_user(&server, name, role).await;
    }
    server
}

/// Enters a user with [`PASSWORD`].
pub async fn add_user(server: &TestServer, name: &str, role: &str) {
    server
        .database
        .sql(&format!(
            "with made as (insert into syncline.account (name, password_hash) values ('{name}', '{}') returning account_id)
             insert into syncline.account_role (account_id, role) select account_id, '{role}' from made",
            hash()
        ))
        .await;
}

/// Of [`PASSWORD`], with little work, so that tests need not wait: what it takes to check one stands in it.
fn hash() -> String {
    let cheap = Argon2::from(argon2::Params::new(16, 1, 1, None).unwrap());
    cheap.hash_password_with_salt(PASSWORD.as_bytes(), b"always the same").unwrap().to_string()
}

/// A token of a user.
pub async fn token_of(server: &TestServer, user: &str) -> String {
    let answer = generate(server, &[("username", user), ("password", PASSWORD)]).await;
    answer["token"].as_str().unwrap_or_else(|| panic!("no token in {answer}")).to_owned()
}

async fn generate(server: &TestServer, parameters: &[(&str, &str)]) -> Json {
    server.post("/arcgis/tokens/generateToken", parameters).await
}

/// For how long a token counts, in minutes.
fn minutes_left(answer: &Json) -> i64 {
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    (answer["expires"].as_i64().unwrap() - now + 30_000) / 60_000
}

/// Somebody in front of a browser.
pub struct Browser<'s> {
    server: &'s TestServer,
    pub cookie: Option<String>,
}

impl<'s> Browser<'s> {
    pub fn new(server: &'s TestServer) -> Browser<'s> {
        Browser { server, cookie: None }
    }

    pub async fn send(&mut self, verb: &str, path: &str, form: &[(&str, &str)]) -> Response<Body> {
        let path = match path.starts_with('/') {
            true => path.to_owned(),
            false => format!("/arcgis/rest/services/trees/FeatureServer/{path}"),
        };
        let form: Vec<(&str, &str)> = [&[("f", "html")], form].concat();
        let (uri, body) = match verb {
            "GET" if path.contains('?') => (path, String::new()),
            "GET" => (format!("{path}?{}", encode(&form)), String::new()),
            _ => (path, encode(&form)),
        };
        let mut request = Request::builder().method(verb).uri(uri).header(header::HOST, "test:80");
        if verb != "GET" {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, format!("theme=dark; {cookie}"));
        }
        let response = self.server.send(request.body(Body::from(body)).unwrap()).await;
        if let Some(set) = response.headers().get(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            assert!(set.contains("; HttpOnly") && set.contains("; SameSite=Lax") && set.contains("; Path=/;"), "{set}");
            self.cookie = (!set.contains("Max-Age=0")).then(|| set.split(';').next().unwrap().to_owned());
        }
        response
    }

    /// The page, which must be one.
    pub async fn page(&mut self, path: &str) -> String {
        let response = self.send("GET", path, &[]).await;
        assert_eq!(response.status(), 200, "{path} leads to {:?}", location(&response));
        server::text(response).await
    }

    /// Signs in, and returns what its forms must carry.
    pub async fn sign_in(&mut self, user: &str) -> String {
        let response = self.send("POST", "/arcgis/login", &[("username", user), ("password", PASSWORD)]).await;
        assert_eq!(response.status(), 303);
        csrf(&self.page("/arcgis/rest/services").await)
    }
}

fn csrf(page: &str) -> String {
    let (_, rest) =
        page.split_once("<meta name=\"csrf\" content=\"").unwrap_or_else(|| panic!("nobody is signed in: {page}"));
    rest.split('"').next().unwrap().to_owned()
}

fn location(response: &Response<Body>) -> String {
    response.headers().get(header::LOCATION).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

#[tokio::test]
async fn a_password_gives_a_token_that_stands_for_its_user() {
    let server = with_users().await;
    let answer =
        generate(&server, &[("username", "ANN"), ("password", PASSWORD), ("request", "getToken"), ("expiration", "5")])
            .await;
    assert_eq!(answer["ssl"], false, "{answer}");
    assert_eq!(minutes_left(&answer), 5);
    let token = answer["token"].as_str().unwrap();
    assert!(get_as(&server, token, "", &[]).await["capabilities"].as_str().unwrap().contains("Editing"));
    let viewer = token_of(&server, "bob").await;
    assert_eq!(error(&post_as(&server, &viewer, "0/addFeatures", &[("features", "[]")]).await).0, 403);
    let myself = get_as(&server, token, "/arcgis/sharing/rest/portals/self", &[]).await;
    assert_eq!(myself["user"]["username"], "ann");
    // Neither the token nor the password is in the database.
    let kept = server.database.value::<String>("select string_agg(t::text, '') || (select string_agg(a::text, '') from syncline.account a) from syncline.token t").await;
    assert!(!kept.contains(token) && !kept.contains(PASSWORD), "{kept}");
}

#[tokio::test]
async fn every_name_of_the_token_service_is_the_same_and_takes_no_password_in_an_address() {
    let server = with_users().await;
    for path in [
        "tokens",
        "tokens/",
        "tokens/generateToken",
        "sharing/rest/generateToken",
        "sharing/generateToken",
        "admin/generateToken",
    ] {
        let path = format!("/arcgis/{path}");
        let form = [("username", "bob"), ("password", PASSWORD)];
        assert!(server.post(&path, &form).await["token"].is_string(), "{path}");
        assert_eq!(error(&server.get(&path, &form).await).0, 400, "{path}");
        assert_eq!(error(&server.get(&path, &[]).await).0, 405, "{path}");
        let (code, text) = error(&server.post(&format!("{path}?{}", encode(&form)), &form).await);
        assert!(code == 400 && text.contains("address"), "{path}: {text}");
        assert!(!text.contains(PASSWORD));
    }
    let page = server::text(server.fetch("/arcgis/tokens/generateToken", &[]).await).await;
    assert!(page.contains("type=\"password\"") && page.contains("method=\"post\""), "{page}");
    let info = server.get("/arcgis/rest/info", &[]).await;
    assert_eq!(
        info["authInfo"],
        json!({"isTokenBasedSecurity": true, "tokenServicesUrl": "http://test:80/arcgis/tokens/generateToken", "shortLivedTokenValidity": 60})
    );
    assert_eq!(info.get("owningSystemUrl"), None);
    assert_eq!(
        TestServer::new().await.get("/arcgis/rest/info", &[]).await["authInfo"],
        json!({"isTokenBasedSecurity": false})
    );
}

#[tokio::test]
async fn s15_whatever_is_wrong_with_a_sign_in_the_answer_is_the_same() {
    let server = with_users().await;
    server.database.sql("update syncline.account set enabled = false where name = 'bob'").await;
    let expected = json!({"error": {"code": 400, "message": "Unable to generate token.", "details": ["Invalid username or password."]}});
    for (user, password) in
        [("ann", "wrong"), ("nobody", PASSWORD), ("bob", PASSWORD), ("key:viewer", PASSWORD), ("' or 1=1 --", "x")]
    {
        assert_eq!(generate(&server, &[("username", user), ("password", password)]).await, expected, "{user}");
    }
    for form in [&[("username", "ann")][..], &[("password", PASSWORD)], &[]] {
        assert_eq!(error(&generate(&server, form).await).0, 400);
    }
}

#[tokio::test]
async fn a_token_counts_only_with_what_it_is_bound_to_and_as_long_as_it_was_asked_for() {
    let mut server = with_users().await;
    server.configure(|config| config.max_token_minutes = 100);
    let user = [("username", "ann"), ("password", PASSWORD)];
    let from = async |token: &str, address: Option<&str>, referer: Option<&str>| {
        let mut request = Request::get("/arcgis/rest/services/trees/FeatureServer?f=json")
            .header("X-Esri-Authorization", format!("Bearer {token}"));
        if let Some(referer) = referer {
            request = request.header(header::REFERER, referer);
        }
        let mut request = request.body(Body::empty()).unwrap();
        if let Some(address) = address {
            let address: SocketAddr = format!("{address}:5000").parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(address));
        }
        let answer = server::json(server.send(request).await).await;
        answer.get("error").map_or(200, |_| error(&answer).0)
    };
    let get = async |form: &[(&str, &str)]| {
        let answer = generate(&server, &[&user[..], form].concat()).await;
        answer["token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    let token = get(&[("client", "referer"), ("referer", "https://maps.example/app/")]).await;
    assert_eq!(from(&token, None, None).await, 200);
    assert_eq!(from(&token, None, Some("https://maps.example/app")).await, 200);
    assert_eq!(from(&token, None, Some("https://maps.example/")).await, 200);
    assert_eq!(from(&token, None, Some("https://evil.example/?https://maps.example/app")).await, 498);
    let token = get(&[("client", "referer"), ("referer", "http")]).await;
    assert_eq!(from(&token, None, Some("http")).await, 200);
    let token = get(&[("client", "ip"), ("ip", "203.0.113.7")]).await;
    assert_eq!(from(&token, Some("203.0.113.7"), None).await, 200);
    assert_eq!(from(&token, Some("203.0.113.8"), None).await, 498);
    assert_eq!(from(&token, None, None).await, 498);
    for wrong in [
        &[("client", "referer")][..],
        &[("client", "referer"), ("referer", "a\0b")],
        &[("client", "ip")],
        &[("client", "ip"), ("ip", "x")],
        &[("client", "x")],
    ] {
        assert_eq!(error(&generate(&server, &[&user[..], wrong].concat()).await).0, 400, "{wrong:?}");
    }
    let minutes = async |expiration: &str| {
        let answer = generate(&server, &[&user[..], &[("expiration", expiration)]].concat()).await;
        minutes_left(&answer)
    };
    assert_eq!(minutes("").await, 60);
    assert_eq!(minutes("0").await, 60);
    assert_eq!(minutes("7").await, 7);
    // Milliseconds, most likely.
    assert_eq!(minutes("3600000").await, 100);
    assert_eq!(minutes("9223372036854775807").await, 100);
    for (token, seconds, expected) in [("slt_new", 60, 200), ("slt_old", -1, 498)] {
        server
            .database
            .sql(&format!(
                "insert into syncline.token (digest, account_id, expires_at)
                 select sha256('{token}'), account_id, now() + {seconds} * interval '1 second' from syncline.account where name = 'ann'"
            ))
            .await;
        assert_eq!(from(token, None, None).await, expected, "{token}");
    }
}

#[tokio::test]
async fn people_without_a_right_are_led_to_the_sign_in_page_and_back() {
    let server = with_users().await;
    let mut browser = Browser::new(&server);
    let response = browser.send("GET", "0/query?f=html&where=1%3D1&token=", &[]).await;
    assert_eq!(response.status(), 302);
    let to = location(&response);
    assert_eq!(
        to,
        "/arcgis/login?next=%2Farcgis%2Frest%2Fservices%2Ftrees%2FFeatureServer%2F0%2Fquery%3Ff%3Dhtml%26where%3D1%253D1"
    );
    let page = browser.page(&to).await;
    let next = "/arcgis/rest/services/trees/FeatureServer/0/query?f=html&amp;where=1%3D1";
    assert!(page.contains(&format!("name=\"next\" value=\"{next}\"")), "{page}");
    assert!(page.contains("href=\"/arcgis/login\""), "{page}");
    let failed = browser.send("POST", "/arcgis/login", &[("username", "a<b"), ("password", "secret word")]).await;
    assert_eq!(failed.status(), 200);
    let failed = server::text(failed).await;
    assert!(
        failed.contains("Invalid username or password.")
            && failed.contains("value=\"a&lt;b\"")
            && !failed.contains("secret word"),
        "{failed}"
    );
    let next = next.replace("&amp;", "&");
    let response =
        browser.send("POST", "/arcgis/login", &[("username", "ann"), ("password", PASSWORD), ("next", &next)]).await;
    assert_eq!((response.status().as_u16(), location(&response)), (303, next.clone()));
    let page = browser.page(&next).await;
    assert!(page.contains("<bdi>ann</bdi>") && page.contains("action=\"/arcgis/logout\""), "{page}");
    let response = browser
        .send("POST", "/arcgis/login", &[("username", "ann"), ("password", PASSWORD), ("next", "https://evil.example")])
        .await;
    assert_eq!(location(&response), "/arcgis/rest/services");
    // Whoever is known and may not is told so.
    let refused = browser.page("/arcgis/rest/admin/services/trees/FeatureServer").await;
    assert!(refused.contains("Code: 403"), "{refused}");
}

#[tokio::test]
async fn s12_forms_count_only_with_what_their_session_knows() {
    let server = with_users().await;
    let mut browser = Browser::new(&server);
    let csrf = browser.sign_in("ann").await;
    let add = [("features", r#"[{"attributes":{"species":"x"}}]"#)];
    for wrong in ["", "guess"] {
        let answer = browser.send("POST", "0/addFeatures", &[&add[..], &[("csrf", wrong)]].concat()).await;
        assert!(server::text(answer).await.contains("Code: 403"), "{wrong}");
    }
    assert_eq!(get_as(&server, &key("viewer"), "0/query", &[("returnCountOnly", "true")]).await["count"], 0);
    let answer =
        server::text(browser.send("POST", "0/addFeatures", &[&add[..], &[("csrf", &csrf)]].concat()).await).await;
    assert!(!answer.contains("Code:"), "{answer}");
    assert_eq!(get_as(&server, &key("viewer"), "0/query", &[("returnCountOnly", "true")]).await["count"], 1);
    // It is in the forms, and only where they are posted.
    let form = browser.page("createReplica").await;
    assert!(form.contains(&format!("<input type=\"hidden\" name=\"csrf\" value=\"{csrf}\">")), "{form}");
    let form = browser.page("0/query").await;
    assert!(
        form.contains(&format!("formmethod=\"post\" name=\"csrf\" value=\"{csrf}\""))
            && !form.contains(&format!("value=\"{csrf}\">\n<fieldset")),
        "{form}"
    );
    // As a token, the cookie is worth nothing.
    let cookie = browser.cookie.clone().unwrap();
    let token = cookie.strip_prefix("agstoken=").unwrap();
    assert_eq!(error(&get_as(&server, token, "", &[]).await).0, 498);
    let answer = server.fetch("?f=json", &[("Cookie", &cookie)]).await;
    assert_eq!(error(&server::json(answer).await).0, 499);
    // But a link to JSON is followed by whoever signed in.
    let gone_to = [("Cookie", cookie.as_str()), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "document")];
    let answer = server::json(server.fetch("?f=pjson", &gone_to).await).await;
    assert_eq!(answer["layers"][0]["name"], "oak", "{answer}");
    let within = [("Cookie", cookie.as_str()), ("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe")];
    assert_eq!(error(&server::json(server.fetch("?f=pjson", &within).await).await).0, 499);
}

#[tokio::test]
async fn scripts_of_a_page_get_a_token_of_their_own() {
    let server = with_users().await;
    let mut browser = Browser::new(&server);
    let csrf = browser.sign_in("ann").await;
    let ask = async |cookie: &str, csrf: &str| {
        let request =
            Request::post("/arcgis/tokens/session").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = request.header(header::COOKIE, cookie).body(Body::from(encode(&[("csrf", csrf)]))).unwrap();
        server::json(server.send(request).await).await
    };
    let cookie = browser.cookie.clone().unwrap();
    let token = ask(&cookie, &csrf).await["token"].as_str().unwrap().to_owned();
    assert_eq!(get_as(&server, &token, "", &[]).await.get("error"), None);
    assert_eq!(error(&ask(&cookie, "guess").await).0, 403);
    assert_eq!(error(&ask("", "").await).0, 499);
    assert_eq!(error(&ask("agstoken=slt_x", "").await).0, 499);
    assert_eq!(error(&server.get("/arcgis/tokens/session", &[]).await).0, 405);
    let response = browser.send("POST", "/arcgis/logout", &[]).await;
    assert!(server::text(response).await.contains("Code: 403"));
    let response = browser.send("POST", "/arcgis/logout", &[("csrf", &csrf)]).await;
    assert_eq!((response.status().as_u16(), location(&response)), (303, "/arcgis/rest/services".to_owned()));
    // The cookie, whoever kept it, is nobody's any more, nor is the token.
    assert_eq!(error(&get_as(&server, &token, "", &[]).await).0, 498);
    let response = server.fetch("?f=html", &[("Cookie", &cookie)]).await;
    assert_eq!(response.status(), 302);
}

#[tokio::test]
async fn the_tokens_of_pages_belong_to_the_session_and_are_no_tokens_of_their_own() {
    let server = with_users().await;
    let root = key("admin");
    let page_token = async |browser: &Browser<'_>, csrf: &str| {
        let request = Request::post("/arcgis/tokens/session")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::COOKIE, browser.cookie.clone().unwrap());
        let answer =
            server::json(server.send(request.body(Body::from(encode(&[("csrf", csrf)]))).unwrap()).await).await;
        answer["token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    let counts = async |token: &str| get_as(&server, token, "", &[]).await.get("error").is_none();
    let change = async |name: &str, operation: &[(&str, &str)]| {
        let done = post_as(&server, &root, &format!("/arcgis/rest/admin/accounts/{name}"), operation).await;
        assert_eq!(done.get("error"), None, "{done}");
    };
    let mut browser = Browser::new(&server);
    let csrf = browser.sign_in("ann").await;
    let tokens = [page_token(&browser, &csrf).await, page_token(&browser, &csrf).await];
    let listed = get_as(&server, &root, "/arcgis/rest/admin/accounts/tokens", &[]).await;
    let listed = listed["tokens"].as_array().unwrap();
    assert_eq!((listed.len(), &listed[0]["type"]), (1, &json!("session")), "{listed:?}");
    let users = get_as(&server, &root, "/arcgis/rest/admin/accounts/users", &[]).await;
    let ann = users["users"].as_array().unwrap().iter().find(|user| user["name"] == "ann").unwrap();
    assert_eq!(ann["tokens"], 1, "{ann}");
    let log =
        "select string_agg(action, ' ' order by audit_id) from syncline.audit where action ~ '^(session|token)[.]'";
    assert_eq!(server.database.value::<String>(log).await, "session.begun");
    let by = "select actor from syncline.audit where action = 'session.begun'";
    assert_eq!(server.database.value::<String>(by).await, "ann", "whoever signs in does it, and not nobody");

    // They go with the session: when it is revoked, …
    assert!(counts(&tokens[0]).await && counts(&tokens[1]).await);
    let id = listed[0]["id"].to_string();
    change("tokens", &[("operation", "revoke"), ("id", &id)]).await;
    assert!(!counts(&tokens[0]).await && !counts(&tokens[1]).await);
    // … when another begins in the same browser, …
    let csrf = browser.sign_in("ann").await;
    let token = page_token(&browser, &csrf).await;
    assert!(counts(&token).await);
    let csrf = browser.sign_in("ann").await;
    assert!(!counts(&token).await);
    // … when the password is another, …
    let token = page_token(&browser, &csrf).await;
    change("users", &[("operation", "setPassword"), ("name", "ann"), ("password", PASSWORD)]).await;
    assert!(!counts(&token).await);
    // … when the user is disabled, and not before.
    let csrf = browser.sign_in("ann").await;
    let token = page_token(&browser, &csrf).await;
    assert!(counts(&token).await);
    change("users", &[("operation", "disable"), ("name", "ann")]).await;
    assert!(!counts(&token).await);
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.token").await, 0);
    assert_eq!(
        server.database.value::<String>(log).await,
        "session.begun session.ended session.begun session.ended session.begun session.ended session.begun session.ended"
    );
}
