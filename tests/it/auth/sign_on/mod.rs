//! Signing in with an identity provider: one that others wrote, and one of our own that lies.

mod bearer;
mod provider;

use std::{
    collections::BTreeMap,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{Request, Response, header},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value as Json, json};

use self::provider::{Answer, CLIENT, Provider, SECRET};
use super::signing_in::{PASSWORD, with_users};
use crate::{
    clients,
    support::{TestServer, server},
};

const TREES: &str = "/arcgis/rest/services/trees/FeatureServer?f=html";

/// A closed server with the users `ann` (editor), `bob` (viewer) and `root` (admin), at which people of `issuer` can sign in.
pub async fn with_issuer(issuer: &str) -> TestServer {
    let mut server = with_users().await;
    server.configure(|config| {
        config.public_url = Some("https://gis.example/".to_owned());
        config.oidc_issuer = Some(issuer.to_owned());
        config.oidc_client_id = Some(CLIENT.to_owned());
        config.oidc_client_secret = Some(SECRET.to_owned());
        config.oidc_name = "Town <Hall>".to_owned();
        config.oidc_roles = vec!["gis=editor".to_owned(), "bosses=admin".to_owned()];
    });
    server
}

async fn with_provider() -> (TestServer, Provider) {
    let provider = Provider::start().await;
    (with_issuer(&provider.issuer()).await, provider)
}

/// Somebody in front of a browser.
struct Browser<'s> {
    server: &'s TestServer,
    cookies: BTreeMap<String, String>,
}

impl<'s> Browser<'s> {
    fn new(server: &'s TestServer) -> Browser<'s> {
        Browser { server, cookies: BTreeMap::new() }
    }

    async fn get(&mut self, address: &str) -> Response<Body> {
        self.send("GET", address, &[]).await
    }

    async fn send(&mut self, verb: &str, address: &str, form: &[(&str, &str)]) -> Response<Body> {
        let path = address.strip_prefix("https://gis.example").unwrap_or(address);
        let sent: Vec<String> = self
            .cookies
            .iter()
            .filter(|(name, _)| *name == "agstoken" || path.starts_with("/arcgis/login/oidc"))
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut request = Request::builder().method(verb).uri(path).header(header::HOST, "test:80");
        if verb == "POST" {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if !sent.is_empty() {
            request = request.header(header::COOKIE, sent.join("; "));
        }
        let response = self.server.send(request.body(Body::from(encode(form))).unwrap()).await;
        for set in response.headers().get_all(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            assert!(set.contains("; HttpOnly") && set.contains("; SameSite=Lax") && set.contains("; Secure"), "{set}");
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            assert!(set.contains(if name == "agstoken" { "; Path=/;" } else { "; Path=/arcgis/login/oidc;" }), "{set}");
            match value {
                "" => self.cookies.remove(name),
                _ => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        response
    }

    /// The page that an address leads to, within the server.
    async fn page(&mut self, address: &str) -> String {
        let response = self.get(address).await;
        assert_eq!(response.status(), 200, "{address} leads to {}", location(&response));
        server::text(response).await
    }

    /// Begins to sign in, and returns the provider's address.
    async fn begin(&mut self, next: &str) -> String {
        let query = encode(&[("next", next)]);
        let response = self.get(&format!("/arcgis/login/oidc?{query}")).await;
        assert_eq!(response.status(), 303);
        location(&response)
    }

    /// Comes back from the provider, and returns where to.
    async fn come_back(&mut self, parameters: &[(&str, &str)]) -> String {
        let response = self.get(&format!("/arcgis/login/oidc/return?{}", encode(parameters))).await;
        assert_eq!(response.status(), 303, "{}", server::text(response).await);
        assert!(response.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("no-store"));
        location(&response)
    }

    /// Signs in with our own provider, which answers so; returns where that leads.
    async fn sign_in(&mut self, provider: &Provider, answer: Answer) -> String {
        let address = self.begin(TREES).await;
        let (code, state) = provider.let_in(&address, answer);
        self.come_back(&[("code", &code), ("state", &state), ("iss", &provider.issuer())]).await
    }

    /// Who is signed in.
    async fn name(&mut self) -> Option<String> {
        let page = self.page("/arcgis/rest/services").await;
        let (_, rest) = page.split_once("<bdi>")?;
        rest.split_once("</bdi>").map(|(name, _)| name.to_owned())
    }
}

fn encode(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

fn location(response: &Response<Body>) -> String {
    response.headers().get(header::LOCATION).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
}

/// Where somebody is led who could not sign in.
fn failed(word: &str) -> String {
    format!("/arcgis/login?{}", encode(&[("failed", word), ("next", TREES)]))
}

fn claims(claims: Json) -> Answer {
    Answer { claims, ..Answer::default() }
}

async fn roles(server: &TestServer, name: &str) -> String {
    let asked = format!(
        "select coalesce(string_agg(role, ' ' order by role), '') from syncline.account join syncline.account_role using (account_id) where name = '{name}'"
    );
    server.database.value::<String>(&asked).await
}

/// The package oidc-provider-mock, as a program.
pub struct Mock {
    child: Child,
    /// Its address, by which it names itself.
    pub issuer: String,
}

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A request to the provider that others wrote: its status (0: none), and where it leads.
async fn ask(verb: &'static str, address: String, kind: &'static str, body: String) -> (u16, String) {
    tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).proxy(None).build().into();
        let request = Request::builder().method(verb).uri(address).header("content-type", kind);
        let answer = match verb {
            "GET" => agent.run(request.body(()).unwrap()),
            _ => agent.run(request.body(body).unwrap()),
        };
        match answer {
            Ok(response) => {
                let to = response.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
                (response.status().as_u16(), to.unwrap_or_default())
            }
            Err(_) => (0, String::new()),
        }
    })
    .await
    .unwrap()
}

impl Mock {
    /// Starts it, if it is installed.
    pub async fn start() -> Option<Mock> {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/oidc-provider-mock");
        if !clients::is_here("oidc-provider-mock", program.exists()) {
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .args(["--port", &port.to_string(), "--require-nonce", "true"])
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mock = Mock { child, issuer: format!("http://127.0.0.1:{port}") };
        let since = Instant::now();
        while ask("GET", format!("{}/jwks", mock.issuer), "text/plain", String::new()).await.0 != 200 {
            assert!(since.elapsed() < Duration::from_secs(60), "the provider does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(mock)
    }

    pub async fn knows(&self, subject: &str, claims: &Json) {
        let address = format!("{}/users/{subject}", self.issuer);
        assert_eq!(ask("PUT", address, "application/json", claims.to_string()).await.0, 204);
    }

    /// Fills in the provider's form, and returns where it leads.
    async fn fill_in(&self, address: &str, form: &[(&str, &str)]) -> String {
        let (status, to) = ask("POST", address.to_owned(), "application/x-www-form-urlencoded", encode(form)).await;
        assert_eq!(status, 302, "{address}");
        to
    }
}

#[tokio::test]
async fn people_sign_in_with_a_provider_that_others_wrote() {
    let Some(mock) = Mock::start().await else { return };
    let server = with_issuer(&mock.issuer).await;
    mock.knows("u-1", &json!({"preferred_username": "carla", "groups": ["gis"]})).await;
    let mut browser = Browser::new(&server);
    let led = browser.get(TREES).await;
    assert_eq!(led.status(), 302);
    let page = browser.page(&location(&led)).await;
    assert!(page.contains("Sign in with Town &lt;Hall&gt;</a>"), "{page}");
    let (_, button) = page.split_once("href=\"/arcgis/login/oidc?").unwrap();
    let address = format!("/arcgis/login/oidc?{}", button.split('"').next().unwrap().replace("&amp;", "&"));
    let to_provider = location(&browser.get(&address).await);
    let back = mock.fill_in(&to_provider, &[("sub", "u-1")]).await;
    assert!(back.starts_with("https://gis.example/arcgis/login/oidc/return?"), "{back}");
    let led = browser.get(&back).await;
    assert_eq!((led.status().as_u16(), location(&led)), (303, TREES.to_owned()));
    let page = browser.page(TREES).await;
    assert!(page.contains("<bdi>carla</bdi>"), "{page}");
    assert_eq!(roles(&server, "carla").await, "editor");
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), ["agstoken"]);
    // The code is worth nothing any more, with what the browser has or had.
    let led = location(&browser.get(&back).await);
    assert!(led.starts_with("/arcgis/login?failed=lost"), "{led}");
    assert_eq!(browser.name().await.as_deref(), Some("carla"));
    // Whoever is known comes in under the same name, whatever they are called by now.
    mock.knows("u-1", &json!({"preferred_username": "carla.married", "groups": ["bosses"]})).await;
    let mut other = Browser::new(&server);
    let back = mock.fill_in(&other.begin("").await, &[("sub", "u-1")]).await;
    assert_eq!(location(&other.get(&back).await), "/arcgis/rest/services");
    assert_eq!(other.name().await.as_deref(), Some("carla"));
    assert_eq!(roles(&server, "carla").await, "admin");
    // Somebody says no.
    let back = mock.fill_in(&other.begin(TREES).await, &[("action", "deny")]).await;
    let led = other.get(&back).await;
    assert!(location(&led).starts_with("/arcgis/login?failed=refused&next="), "{}", location(&led));
    // The provider goes while somebody is there.
    let back = mock.fill_in(&other.begin(TREES).await, &[("sub", "u-1")]).await;
    drop(mock);
    assert_eq!(location(&other.get(&back).await), failed("unreachable"));
    let page = other.page(&failed("unreachable")).await;
    assert!(page.contains("Town &lt;Hall&gt; does not answer"), "{page}");
}

#[tokio::test]
async fn what_is_not_genuine_lets_nobody_in() {
    let (server, provider) = with_provider().await;
    let good = || json!({"preferred_username": "carla", "groups": ["gis"]});
    let with = |name: &str, value: Json| {
        let mut all = good();
        all[name] = value;
        claims(all)
    };
    let wrong = [
        ("the nonce of another sign-in", with("nonce", json!("guess"))),
        ("no nonce", with("nonce", Json::Null)),
        ("another audience", with("aud", json!("another server"))),
        ("one more audience that is not trusted", with("aud", json!([CLIENT, "another server"]))),
        ("another issuer", with("iss", json!("https://id.example"))),
        ("expired", with("exp", json!(-120))),
        ("no signature", Answer { algorithm: "none", ..claims(good()) }),
        ("a key that nobody publishes", Answer { key: (1, "1"), ..claims(good()) }),
        ("a key under the name of another", Answer { key: (1, "0"), ..claims(good()) }),
        ("an algorithm that the key is not for", Answer { algorithm: "RS256", ..claims(good()) }),
        ("an algorithm of the secret", Answer { algorithm: "HS256", ..claims(good()) }),
        ("the access token of somebody else", with("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))),
        (
            "somebody else's claims",
            Answer { user_info: json!({"sub": "4712", "preferred_username": "root"}), ..claims(json!({})) },
        ),
    ];
    for (what, answer) in wrong {
        let mut browser = Browser::new(&server);
        assert_eq!(browser.sign_in(&provider, answer).await, failed("untrusted"), "{what}");
        assert_eq!(browser.cookies, BTreeMap::new(), "{what}");
    }
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.account").await, 3);
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.token").await, 0);
    // Clocks differ a little; and a key may be new.
    let mut browser = Browser::new(&server);
    assert_eq!(browser.sign_in(&provider, with("exp", json!(-20))).await, TREES);
    provider.publish(&[1]);
    assert_eq!(browser.sign_in(&provider, Answer { key: (1, "1"), ..claims(good()) }).await, TREES);
    assert_eq!(browser.name().await.as_deref(), Some("carla"));
    assert_eq!(browser.sign_in(&provider, claims(good())).await, failed("untrusted"));
}

#[tokio::test]
async fn a_sign_in_ends_in_the_browser_that_began_it_and_once() {
    let (server, provider) = with_provider().await;
    let answer = || claims(json!({"preferred_username": "carla", "groups": ["gis"]}));
    let mut browser = Browser::new(&server);
    let address = browser.begin(TREES).await;
    let (code, state) = provider.let_in(&address, answer());
    let lost = format!("/arcgis/login?{}", encode(&[("failed", "lost"), ("next", "/arcgis/rest/services")]));
    // Somebody else's browser, or one that has forgotten.
    let mut other = Browser::new(&server);
    assert_eq!(other.come_back(&[("code", &code), ("state", &state)]).await, lost);
    // One that began another sign-in.
    other.begin(TREES).await;
    assert_eq!(other.come_back(&[("code", &code), ("state", &state)]).await, lost);
    assert_eq!(other.name().await, None);
    let page = other.page(&lost).await;
    assert!(page.contains("took too long") && page.contains("role=\"alert\""), "{page}");
    // Another provider's answer, mixed in; or one that says no.
    let kept = browser.cookies.clone();
    for (parameters, word) in [
        (&[("code", code.as_str()), ("state", &state), ("iss", "https://id.example")][..], "untrusted"),
        (&[("error", "access_denied"), ("error_description", "<b>no"), ("state", &state)], "refused"),
        (&[("state", &state)], "refused"),
    ] {
        browser.cookies.clone_from(&kept);
        let led = browser.come_back(parameters).await;
        assert_eq!(led, failed(word));
        assert!(browser.page(&led).await.contains("role=\"alert\""));
    }
    browser.cookies.clone_from(&kept);
    assert_eq!(browser.come_back(&[("code", &code), ("state", &state)]).await, TREES);
    assert_eq!(browser.name().await.as_deref(), Some("carla"));
    // Whoever has all of it cannot use it again.
    let mut thief = Browser::new(&server);
    thief.cookies.clone_from(&kept);
    assert_eq!(thief.come_back(&[("code", &code), ("state", &state)]).await, failed("untrusted"));
    assert_eq!(thief.name().await, None);
    // A code of one sign-in is worth nothing in another.
    let (stolen, _) = provider.let_in(&Browser::new(&server).begin(TREES).await, answer());
    let (_, state) = provider.let_in(&thief.begin(TREES).await, answer());
    assert_eq!(thief.come_back(&[("code", &stolen), ("state", &state)]).await, failed("untrusted"));
    // Words that nobody wrote here are not shown.
    let page = thief.page("/arcgis/login?failed=%3Cb%3ECall+0900").await;
    assert!(!page.contains("0900") && !page.contains("role=\"alert\""), "{page}");
}

#[tokio::test]
async fn nobody_is_led_away() {
    let (server, provider) = with_provider().await;
    for next in ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:x", "/arcgis/\u{9}x"] {
        let mut browser = Browser::new(&server);
        let (code, state) = provider
            .let_in(&browser.begin(next).await, claims(json!({"preferred_username": "carla", "groups": "gis"})));
        assert_eq!(browser.come_back(&[("code", &code), ("state", &state)]).await, "/arcgis/rest/services", "{next}");
    }
}

#[tokio::test]
async fn a_person_is_known_by_the_provider_and_never_by_a_name() {
    let (mut server, provider) = with_provider().await;
    let as_root = || claims(json!({"preferred_username": "ROOT", "groups": ["gis"]}));
    let mut browser = Browser::new(&server);
    assert_eq!(browser.sign_in(&provider, as_root()).await, failed("taken"));
    assert!(browser.page(&failed("taken")).await.contains("link you"));
    let link = format!(
        "insert into syncline.identity (issuer, subject, account_id) select '{}', '4711', account_id from syncline.account where name = ",
        provider.issuer()
    );
    server.database.sql(&format!("{link} 'bob'")).await;
    // Now it is bob, with what an administrator gave him and what his group has.
    assert_eq!(browser.sign_in(&provider, as_root()).await, TREES);
    assert_eq!(browser.name().await.as_deref(), Some("bob"));
    assert_eq!(roles(&server, "bob").await, "editor viewer");
    let form = [("username", "bob"), ("password", PASSWORD)];
    assert!(server.post("/arcgis/tokens/generateToken", &form).await["token"].is_string());
    server.database.sql("update syncline.account set enabled = false where name = 'bob'").await;
    assert_eq!(browser.sign_in(&provider, as_root()).await, failed("disabled"));
    // Others: without a role, without a name, by a verified address.
    let mut other = Browser::new(&server);
    let person = |claims: Json| {
        let mut all = json!({"sub": "4712", "groups": ["gis"]});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        Answer { claims: all, ..Answer::default() }
    };
    assert_eq!(other.sign_in(&provider, person(json!({"groups": ["x"]}))).await, failed("role"));
    assert_eq!(other.sign_in(&provider, person(json!({"sub": "a b"}))).await, failed("name"));
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.account").await, 3);
    let verified = person(json!({"email": "dora@example.org", "email_verified": true}));
    assert_eq!(other.sign_in(&provider, verified).await, TREES);
    assert_eq!(other.name().await.as_deref(), Some("dora@example.org"));
    // Who is in no group any more has no role, and is out.
    assert_eq!(other.sign_in(&provider, person(json!({"groups": []}))).await, failed("role"));
    assert_eq!(other.name().await, None);
    assert_eq!(roles(&server, "dora@example.org").await, "");
    server.configure(|config| config.oidc_default_role = Some("viewer".to_owned()));
    let mut other = Browser::new(&server);
    assert_eq!(other.sign_in(&provider, person(json!({"groups": []}))).await, TREES);
    assert_eq!(roles(&server, "dora@example.org").await, "viewer");
    // What the token does not say, the provider is asked for.
    let new = Answer {
        claims: json!({"sub": "4713"}),
        user_info: json!({"sub": "4713", "preferred_username": "emil", "groups": ["gis"]}),
        ..Answer::default()
    };
    assert_eq!(Browser::new(&server).sign_in(&provider, new).await, TREES);
    assert_eq!(roles(&server, "emil").await, "editor");
    let linked = "select string_agg(subject, ' ' order by audit_id) from syncline.audit where action = 'user.linked'";
    assert_eq!(server.database.value::<String>(linked).await, "bob dora@example.org emil");
}

#[tokio::test]
async fn without_a_provider_that_answers_people_are_told_so() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = with_issuer(&format!("http://127.0.0.1:{port}")).await;
    let mut browser = Browser::new(&server);
    assert_eq!(browser.begin(TREES).await, failed("unreachable"));
    // One that says that it is another counts no more than none.
    let provider = Provider::start().await;
    let server = with_issuer(&provider.issuer().replace("127.0.0.1", "localhost")).await;
    assert_eq!(Browser::new(&server).begin(TREES).await, failed("unreachable"));
    let server = with_users().await;
    let mut browser = Browser::new(&server);
    assert!(!browser.page("/arcgis/login").await.contains("/arcgis/login/oidc"));
    assert!(browser.page("/arcgis/login/oidc").await.contains("has no identity provider"));
}

#[tokio::test]
async fn who_signs_out_here_is_led_to_where_they_sign_out_of_the_provider() {
    let (server, provider) = with_provider().await;
    let mut browser = Browser::new(&server);
    browser.sign_in(&provider, claims(json!({"preferred_username": "carla", "groups": ["gis"]}))).await;
    let page = browser.page("/arcgis/rest/services").await;
    let (_, rest) = page.split_once("name=\"csrf\" value=\"").unwrap();
    let csrf = rest.split('"').next().unwrap();
    let led = browser.send("POST", "/arcgis/logout", &[("csrf", csrf)]).await;
    assert_eq!((led.status().as_u16(), location(&led)), (303, "/arcgis/login?left=true".to_owned()));
    assert_eq!(
        browser.cookies.keys().collect::<Vec<_>>(),
        ["syncline_sign_off"],
        "the session is over, and the way out of the provider is open"
    );
    let page = browser.page(&location(&led)).await;
    assert!(page.contains("You are signed out of this server."), "{page}");
    assert!(page.contains("href=\"/arcgis/login/oidc/leave\""), "{page}");
    let said = browser.cookies["syncline_sign_off"].clone();
    assert!(!page.contains(&said), "what the provider said is not shown");
    let led = browser.send("GET", "/arcgis/login/oidc/leave", &[]).await;
    let there = location(&led);
    let query = there.strip_prefix(&format!("{}/end?", provider.issuer())).unwrap_or_else(|| panic!("{there}"));
    let sent: BTreeMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    assert_eq!(sent["client_id"], CLIENT);
    assert_eq!(sent["post_logout_redirect_uri"], "https://gis.example/arcgis/login");
    assert_eq!(sent["id_token_hint"], said);
    assert_eq!(claims_of(&said)["preferred_username"], "carla");
    assert_eq!(browser.cookies, BTreeMap::new(), "it is handed on once");
    assert_eq!(kept_id_tokens(&server).await, 0, "and kept no longer than the session");
    let again = browser.send("GET", "/arcgis/login/oidc/leave", &[]).await;
    assert!(location(&again).contains("/end?") && !location(&again).contains("id_token_hint"), "{}", location(&again));
    // Whoever is nobody of the provider stays here.
    let mut ann = super::signing_in::Browser::new(&server);
    let csrf = ann.sign_in("ann").await;
    let led = ann.send("POST", "/arcgis/logout", &[("csrf", &csrf)]).await;
    assert_eq!(location(&led), "/arcgis/rest/services");
}

#[tokio::test]
async fn what_the_provider_said_is_kept_as_long_as_the_session_and_shown_nowhere() {
    let (server, provider) = with_provider().await;
    let mut browser = Browser::new(&server);
    browser.sign_in(&provider, claims(json!({"preferred_username": "carla", "groups": ["gis"]}))).await;
    assert_eq!(kept_id_tokens(&server).await, 1);
    let said = server.database.value::<String>("select id_token from syncline.token where id_token is not null").await;
    for path in ["/arcgis/rest/admin/accounts/tokens", "/arcgis/rest/admin/accounts/users", "/arcgis/rest/admin/audit"]
    {
        let shown = crate::auth::get_as(&server, &crate::auth::key("admin"), path, &[]).await.to_string();
        assert!(!shown.contains(&said) && shown.contains("carla"), "{path}: {shown}");
    }
    // An administrator ends the session.
    crate::auth::post_as(
        &server,
        &crate::auth::key("admin"),
        "/arcgis/rest/admin/accounts/tokens",
        &[("operation", "revoke"), ("user", "carla")],
    )
    .await;
    assert_eq!(kept_id_tokens(&server).await, 0);
    // What is too long for a cookie is not kept at all, and one signs out as without it.
    let much = json!({"preferred_username": "carla", "groups": ["gis"], "more": "x".repeat(4000)});
    browser.sign_in(&provider, claims(much)).await;
    assert_eq!(kept_id_tokens(&server).await, 0);
}

async fn kept_id_tokens(server: &TestServer) -> i64 {
    server.database.value("select count(*) from syncline.token where id_token is not null").await
}

/// What an ID token says.
fn claims_of(token: &str) -> Json {
    let body = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).unwrap()).unwrap()
}
