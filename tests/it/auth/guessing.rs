//! Whoever guesses, waits; whoever was let in can be shown the door.

use std::{net::SocketAddr, time::Duration};

use axum::{
    body::Body,
    extract::ConnectInfo,
    http::{Request, header},
};
use serde_json::Value as Json;

use super::{
    get_as, key, post_as,
    signing_in::{PASSWORD, token_of, with_users},
};
use crate::support::{
    Program, TestDatabase, TestServer,
    server::{self, encode, error},
};

/// What is answered to somebody who signs in, from an address.
pub async fn sign_in(server: &TestServer, user: &str, password: &str, address: &str, headers: &[(&str, &str)]) -> Json {
    let mut request =
        Request::post("/arcgis/tokens/generateToken").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let form = encode(&[("username", user), ("password", password)]);
    let mut request = request.body(Body::from(form)).unwrap();
    let address: SocketAddr = format!("{address}:4000").parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(address));
    server::json(server.send(request).await).await
}

pub fn is_looked_at(answer: &Json) -> bool {
    !error(answer).1.contains("Too many")
}

#[tokio::test]
async fn of_many_guesses_few_are_looked_at_and_the_right_one_helps_no_more() {
    let mut server = with_users().await;
    server.configure(|config| config.trusted_proxies = vec!["10.0.0.0/8".parse().unwrap()]);
    let mut n_looked_at = 0;
    for n in 0..500 {
        n_looked_at +=
            u32::from(is_looked_at(&sign_in(&server, "ann", &format!("guess {n}"), "203.0.113.1", &[]).await));
    }
    assert!((5..40).contains(&n_looked_at), "{n_looked_at}");
    let (code, text) = error(&sign_in(&server, "ANN", PASSWORD, "198.51.100.1", &[]).await);
    assert!(code == 400 && text.contains("Too many failed attempts; try again in"), "{text}");
    // Others can sign in, also where somebody guesses, until there are too many guesses.
    assert!(sign_in(&server, "root", PASSWORD, "203.0.113.1", &[]).await["token"].is_string());
    let mut n_looked_at = 0;
    for n in 0..500 {
        n_looked_at += u32::from(is_looked_at(&sign_in(&server, &format!("user{n}"), "x", "203.0.113.2", &[]).await));
    }
    assert!((15..60).contains(&n_looked_at), "{n_looked_at}");
    assert!(!is_looked_at(&sign_in(&server, "root", PASSWORD, "203.0.113.2", &[]).await));
    // Behind a proxy everybody has an address of their own, and nobody can choose one.
    for n in 0..30 {
        let chain = format!("198.51.100.{n}, 203.0.113.3");
        sign_in(&server, &format!("other{n}"), "x", "10.0.0.1", &[("X-Forwarded-For", &chain)]).await;
    }
    let from = [("X-Forwarded-For", "203.0.113.3")];
    assert!(!is_looked_at(&sign_in(&server, "root", PASSWORD, "10.0.0.1", &from).await));
    let from = [("X-Forwarded-For", "203.0.113.4")];
    assert!(sign_in(&server, "root", PASSWORD, "10.0.0.1", &from).await["token"].is_string());
}

#[tokio::test]
async fn what_is_revoked_ends_at_once() {
    let server = with_users().await;
    let root = token_of(&server, "root").await;
    let code = async |token: &str| {
        let answer = get_as(&server, token, "", &[]).await;
        answer.get("error").map_or(200, |_| error(&answer).0)
    };
    let change = async |what: &str, form: &[(&str, &str)]| {
        let answer = post_as(&server, &root, &format!("/arcgis/rest/admin/accounts/{what}"), form).await;
        assert_eq!(answer["success"], true, "{answer}");
        answer
    };
    for operation in [
        &[("operation", "revokeTokens")][..],
        &[("operation", "setPassword"), ("password", PASSWORD)],
        &[("operation", "disable")],
    ] {
        let token = token_of(&server, "ann").await;
        assert_eq!(code(&token).await, 200);
        change("users", &[&[("name", "ann")], operation].concat()).await;
        assert_eq!(code(&token).await, 498, "{operation:?}");
    }
    change("users", &[("name", "ann"), ("operation", "enable")]).await;
    let token = token_of(&server, "ann").await;
    change("users", &[("name", "ann"), ("operation", "setRoles"), ("roles", "viewer")]).await;
    let add = [("features", r#"[{"attributes":{"species":"x"}}]"#)];
    assert_eq!(error(&post_as(&server, &token, "0/addFeatures", &add).await).0, 403);
    let listed = get_as(&server, &root, "/arcgis/rest/admin/accounts/tokens", &[("user", "ann")]).await;
    let id = listed["tokens"][0]["id"].to_string();
    assert!(!listed.to_string().contains(&token));
    change("tokens", &[("operation", "revoke"), ("id", &id)]).await;
    assert_eq!(code(&token).await, 498);
    let token = token_of(&server, "ann").await;
    assert_eq!(code(&token).await, 200);
    change("users", &[("name", "ann"), ("operation", "remove")]).await;
    assert_eq!(code(&token).await, 498);
    let made =
        change("keys", &[("operation", "add"), ("name", "nightly"), ("role", "viewer"), ("services", "trees")]).await;
    let nightly = made["key"].as_str().unwrap();
    assert_eq!(code(nightly).await, 200);
    let keys = get_as(&server, &root, "/arcgis/rest/admin/accounts/keys", &[]).await;
    let known = keys["keys"].as_array().unwrap().iter().find(|key| key["name"] == "nightly").unwrap();
    assert!(
        known["lastUsed"].is_number() && known["services"][0] == "trees" && !keys.to_string().contains(nightly),
        "{known}"
    );
    change("keys", &[("operation", "revoke"), ("name", "Nightly")]).await;
    assert_eq!(code(nightly).await, 498);
}

#[tokio::test]
async fn another_process_hears_of_it_within_a_moment() {
    let server = with_users().await;
    let other = server.beside().await;
    let _hears = other.run_jobs();
    let token = token_of(&server, "ann").await;
    let code = async |answer: Json| answer.get("error").map_or(200, |_| error(&answer).0);
    // It listens when it has heard of a first change.
    let root = token_of(&server, "root").await;
    let form = [("operation", "setRoles"), ("name", "ann"), ("roles", "viewer")];
    let add = [("features", r#"[{"attributes":{"species":"x"}}]"#)];
    assert_eq!(code(post_as(&other, &token, "0/addFeatures", &add).await).await, 200);
    post_as(&server, &root, "/arcgis/rest/admin/accounts/users", &form).await;
    let until = async |expected: i64| {
        let started = std::time::Instant::now();
        while code(post_as(&other, &token, "0/addFeatures", &add).await).await != expected {
            assert!(started.elapsed() < Duration::from_secs(8), "{expected} never came");
            tokio::task::yield_now().await;
        }
    };
    until(403).await;
    let form = [("operation", "revokeTokens"), ("name", "ann")];
    assert_eq!(post_as(&server, &root, "/arcgis/rest/admin/accounts/users", &form).await["success"], true);
    until(498).await;
}

#[tokio::test]
async fn administrators_say_who_may_what_and_one_always_remains() {
    let server = with_users().await;
    let root = token_of(&server, "root").await;
    let at = async |what: &str, form: &[(&str, &str)]| {
        post_as(&server, &root, &format!("/arcgis/rest/admin/accounts/{what}"), form).await
    };
    for operation in
        [&[("operation", "remove")][..], &[("operation", "disable")], &[("operation", "setRoles"), ("roles", "editor")]]
    {
        let (code, text) = error(&at("users", &[&[("name", "root")], operation].concat()).await);
        assert!(code == 403 && text.contains("last administrator"), "{text}");
    }
    assert_eq!(at("roles", &[("operation", "add"), ("name", "Crew"), ("level", "viewer")]).await["success"], true);
    let made = at("users", &[("operation", "add"), ("name", "Zoë"), ("roles", "crew,viewer")]).await;
    let password = made["password"].as_str().unwrap();
    let token = server.post("/arcgis/tokens/generateToken", &[("username", "ZOË"), ("password", password)]).await;
    let zoe = token["token"].as_str().unwrap_or_else(|| panic!("{token}"));
    let add = [("features", r#"[{"attributes":{"species":"x"}}]"#)];
    let may = async || post_as(&server, zoe, "0/addFeatures", &add).await.get("error").is_none();
    assert!(!may().await);
    let grant = async |form: &[(&str, &str)]| {
        let answer = at("grants", &[&[("operation", "set"), ("service", "trees")], form].concat()).await;
        assert_eq!(answer["success"], true, "{answer}");
    };
    grant(&[("role", "crew"), ("access", "edit")]).await;
    assert!(may().await);
    grant(&[("user", "zoë"), ("access", "view")]).await;
    assert!(!may().await);
    grant(&[("user", "zoë"), ("access", "default")]).await;
    assert!(may().await);
    grant(&[("anonymous", "true"), ("access", "view")]).await;
    assert_eq!(server.get("", &[]).await.get("error"), None);
    let grants = get_as(&server, &root, "/arcgis/rest/admin/accounts/grants", &[("service", "trees")]).await;
    assert_eq!(grants["grants"].as_array().unwrap().len(), 2, "{grants}");
    for (what, form, words) in [
        ("users", &[("operation", "add"), ("name", "ANN"), ("roles", "viewer")][..], "already"),
        ("users", &[("operation", "add"), ("name", "x"), ("roles", "nonsense")], "no role"),
        ("users", &[("operation", "add"), ("name", "x y"), ("roles", "viewer")], "letters"),
        ("users", &[("operation", "add"), ("name", "x"), ("roles", "viewer"), ("password", "short")], "too short"),
        ("users", &[("operation", "x"), ("name", "ann")], "setPassword"),
        ("users", &[("operation", "enable"), ("name", "x")], "not found"),
        ("roles", &[("operation", "remove"), ("name", "crew")], "1 users"),
        ("roles", &[("operation", "remove"), ("name", "viewer")], "always"),
        ("keys", &[("operation", "add"), ("name", "x"), ("role", "viewer"), ("services", "none")], "not found"),
        ("keys", &[("operation", "revoke"), ("name", "x")], "not found"),
        (
            "grants",
            &[("operation", "set"), ("service", "trees"), ("anonymous", "true"), ("access", "manage")],
            "manage",
        ),
        ("grants", &[("operation", "set"), ("service", "trees"), ("access", "view")], "anonymous"),
        ("tokens", &[("operation", "revoke"), ("id", "999999")], "not found"),
        ("tokens", &[("user", "a\0b")], "letters"),
        ("users", &[("operation", "add"), ("name", "x"), ("roles", "a\0b")], "no role"),
        ("roles", &[("operation", "remove"), ("name", "a\0b")], "letters"),
        ("keys", &[("operation", "revoke"), ("name", "a\0b")], "letters"),
        ("grants", &[("operation", "set"), ("service", "trees"), ("role", "a\0b"), ("access", "view")], "no role"),
    ] {
        let answer = at(what, form).await;
        assert!(error(&answer).1.contains(words), "{form:?}: {answer}");
    }
    let get =
        get_as(&server, &root, "/arcgis/rest/admin/accounts/users", &[("operation", "remove"), ("name", "ann")]).await;
    assert_eq!(error(&get).0, 405);
    // Whose name was refused above is not there.
    let users = get_as(&server, &root, "/arcgis/rest/admin/accounts/users", &[]).await;
    let names: Vec<&str> =
        users["users"].as_array().unwrap().iter().map(|user| user["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ann", "bob", "root", "Zoë"]);
    assert!(!users.to_string().contains("argon2"));
}

#[tokio::test]
async fn s11_tokens_in_addresses_can_be_forbidden() {
    let mut server = with_users().await;
    server.configure(|config| config.tokens_in_urls = false);
    let viewer = key("viewer");
    let (code, text) = error(&server.get("", &[("token", &viewer)]).await);
    assert!(code == 400 && text.contains("address") && !text.contains(&viewer), "{text}");
    assert_eq!(server.post("", &[("token", &viewer)]).await.get("error"), None);
    assert_eq!(get_as(&server, &viewer, "", &[]).await.get("error"), None);
    let answer = server.fetch("?f=json", &[("Authorization", &format!("Bearer {viewer}"))]).await;
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "private, no-store");
    assert_eq!(answer.headers()[header::REFERRER_POLICY], "same-origin");
    assert!(answer.headers().get(header::ACCESS_CONTROL_ALLOW_CREDENTIALS).is_none());
}

#[tokio::test]
async fn s11_s15_processes_that_start_at_once_make_one_administrator_whose_password_is_said_once_and_not_logged() {
    let database = TestDatabase::new().await;
    let programs: Vec<Program> =
        (0..3).map(|_| Program::on(&database).with_text("SYNCLINE_ANONYMOUS", "none").keep_log()).collect();
    let servers: Vec<_> = std::thread::scope(|scope| {
        let starting: Vec<_> = programs.iter().map(|program| scope.spawn(|| program.serve())).collect();
        starting.into_iter().map(|starting| starting.join().unwrap()).collect()
    });
    assert_eq!(database.value::<i64>("select count(*) from syncline.account").await, 1);
    let told: Vec<String> =
        servers.iter().map(crate::support::program::Server::log).filter(|log| log.contains("password   ")).collect();
    assert_eq!(told.len(), 1);
    let (_, rest) = told[0].split_once("password   ").unwrap();
    let password = rest.lines().next().unwrap().trim();
    let ask = |path: &str, form: &[(&str, &str)]| servers[0].post(path, form);
    let token = ask("/arcgis/tokens/generateToken", &[("username", "admin"), ("password", password)]);
    let token = token["token"].as_str().unwrap_or_else(|| panic!("{token}")).to_owned();
    // A busy while: what is asked, refused and mistaken, with secrets wherever clients put them.
    let made = ask(
        "/arcgis/rest/admin/accounts/users",
        &[("token", &token), ("operation", "add"), ("name", "ann"), ("roles", "editor"), ("password", PASSWORD)],
    );
    assert_eq!(made["success"], true, "{made}");
    let key = ask(
        "/arcgis/rest/admin/accounts/keys",
        &[("token", &token), ("operation", "add"), ("name", "k"), ("role", "viewer")],
    );
    let key = key["key"].as_str().unwrap().to_owned();
    let mut answers = String::new();
    for secret in [token.as_str(), &key, "slt_mistaken_secret"] {
        for path in [
            "/arcgis/rest/services",
            "/arcgis/rest/services/none/FeatureServer/0/query",
            "/arcgis/rest/info",
            "/nowhere",
        ] {
            answers.push_str(&ask(path, &[("token", secret), ("where", secret)]).to_string());
            answers.push_str(&ask(&format!("{path}?token={secret}"), &[]).to_string());
        }
    }
    for wrong in [PASSWORD, "mistaken password"] {
        answers
            .push_str(&ask("/arcgis/tokens/generateToken", &[("username", "nobody"), ("password", wrong)]).to_string());
        answers.push_str(
            &ask(&format!("/arcgis/tokens/generateToken?password={}", wrong.replace(' ', "+")), &[("username", "ann")])
                .to_string(),
        );
    }
    let log: String = servers.iter().map(crate::support::program::Server::log).collect();
    let log = log.replacen(&format!("password   {password}"), "", 1);
    for secret in [password, &token, &key, PASSWORD, "slt_mistaken_secret", "mistaken password", "mistaken+password"] {
        assert!(!log.contains(secret), "{secret} is in the log: {log}");
        assert!(!answers.contains(secret), "{secret} is in an answer: {answers}");
    }
    servers.into_iter().for_each(crate::support::program::Server::stop);
}

#[tokio::test]
async fn the_commands_do_what_administrators_do() {
    let database = TestDatabase::new().await;
    let program = Program::on(&database).with_text("SYNCLINE_ANONYMOUS", "none");
    database
        .sql("create table oak (objectid integer generated by default as identity primary key, globalid uuid not null default gen_random_uuid() unique, species text)")
        .await;
    program.done(&["publish", "--service", "trees", "--table", "public.oak", "--anonymous", "view"]);
    assert!(
        program
            .failed(&["publish", "--service", "trees", "--table", "public.oak", "--anonymous", "manage"])
            .contains("none, view, edit")
    );
    program.done(&["role", "add", "crew", "--level", "viewer"]);
    let made: Json = serde_json::from_str(&program.done(&["user", "add", "ann", "--role", "crew", "--json"])).unwrap();
    program.done(&["user", "add", "root", "--role", "admin"]);
    program.done(&["grant", "trees", "edit", "--role", "crew"]);
    let key: Json = serde_json::from_str(&program.done(&[
        "key",
        "add",
        "nightly",
        "--role",
        "viewer",
        "--service",
        "trees",
        "--expires",
        "7",
        "--json",
    ]))
    .unwrap();
    let server = program.serve();
    let token = server
        .post("/arcgis/tokens/generateToken", &[("username", "ann"), ("password", made["password"].as_str().unwrap())]);
    let token = token["token"].as_str().unwrap();
    let add = |token: &str| {
        let form = [("features", r#"[{"attributes":{"species":"x"}}]"#), ("token", token)];
        server.post("/arcgis/rest/services/trees/FeatureServer/0/addFeatures", &form)
    };
    assert_eq!(add(token)["addResults"][0]["success"], true);
    assert_eq!(add(key["key"].as_str().unwrap())["error"]["code"], 403);
    assert_eq!(add("")["error"]["code"], 499);
    let listed: Json = serde_json::from_str(&program.done(&["grants", "trees", "--json"])).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    assert!(program.done(&["user", "list"]).contains("ann") && program.done(&["role", "list"]).contains("crew"));
    assert!(program.done(&["token", "list", "--user", "ann"]).contains("token"));
    assert!(program.done(&["key", "list"]).contains("nightly"));
    assert!(program.failed(&["user", "remove", "root"]).contains("last administrator"));
    program.done(&["token", "revoke", "--user", "ann"]);
    // The server hears of it.
    let started = std::time::Instant::now();
    while add(token)["error"]["code"] != 498 {
        assert!(started.elapsed() < Duration::from_secs(20), "the token still counts");
    }
    server.stop();
}
