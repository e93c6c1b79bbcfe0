//! Who did what: what is written down, and that nobody changes it unseen.

use serde_json::{Value as Json, json};
use sqlx::AssertSqlSafe;

use crate::{
    auth::{ask, closed, get_as, key, post_as},
    support::{
        TestDatabase, TestServer,
        program::Program,
        server::{error, json as read},
    },
};

const LOG: &str = "/arcgis/rest/admin/audit";

async fn refused(database: &TestDatabase, statement: &str) -> String {
    let mut connection = database.connect().await;
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap_err().to_string()
}

async fn problems(server: &TestServer) -> Vec<String> {
    server.app.store.verify_audit(None).await.unwrap().problems
}

/// A server whose log has some sealed entries.
async fn sealed() -> TestServer {
    let server = TestServer::with_trees().await;
    for name in ["a", "b", "c"] {
        let made =
            server.post("createReplica", &[("replicaName", name), ("layers", "0"), ("dataFormat", "json")]).await;
        assert!(made["replicaID"].is_string(), "{made}");
    }
    assert!(server.app.store.seal_audit().await.unwrap() >= 6);
    assert_eq!(problems(&server).await, [""; 0]);
    server
}

/// As the owner of the table can, who switches off what guards it.
async fn tamper(server: &TestServer, statement: &str) {
    server
        .database
        .sql(&format!("alter table syncline.audit disable trigger user; {statement}; alter table syncline.audit enable trigger user"))
        .await;
}

#[tokio::test]
async fn s21_a_changed_entry_is_found() {
    for (statement, expected) in [
        (
            "update syncline.audit set actor = 'somebody else' where position = 4",
            "at position 4 is not what was sealed",
        ),
        (
            "update syncline.audit set detail = '{}' where action = 'replica.created' and position = (select max(position) from syncline.audit)",
            "is not what was sealed",
        ),
        (
            "update syncline.audit set at = at - interval '1 microsecond' where position = 1",
            "at position 1 is not what was sealed",
        ),
        ("delete from syncline.audit where position = 3", "entries are missing: 4 follows 2"),
        ("delete from syncline.audit where position < 3", "the chain begins at position 3"),
        // Also by somebody who seals again what they changed.
        (
            "update syncline.audit set actor = 'x', digest = sha256(digest) where position = 2",
            "at position 2 is not what was sealed",
        ),
    ] {
        let server = sealed().await;
        tamper(&server, statement).await;
        let found = problems(&server).await;
        assert!(found.iter().any(|problem| problem.contains(expected)), "{statement}: {found:?}");
    }
}

#[tokio::test]
async fn s21_a_cut_or_rewritten_end_is_found_by_the_head_that_was_noted() {
    let server = sealed().await;
    let page = read_text(&server).await;
    let line = page.lines().find(|line| line.starts_with("syncline_audit_head{")).unwrap().to_owned();
    let digest = line.split('"').nth(1).unwrap();
    let position: i64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    let noted = syncline::model::audit::Seal::parse(&format!("{position}:{digest}")).unwrap();
    assert_eq!(server.app.store.verify_audit(Some(&noted)).await.unwrap().problems, [""; 0]);
    tamper(&server, &format!("delete from syncline.audit where position = {position}")).await;
    assert_eq!(problems(&server).await, [""; 0], "what is left is a chain");
    let found = server.app.store.verify_audit(Some(&noted)).await.unwrap().problems;
    assert_eq!(found, [format!("position {position}, which was noted once, is not there")]);
    // Something else in its place.
    let _ = server.post("createReplica", &[("replicaName", "d"), ("layers", "0"), ("dataFormat", "json")]).await;
    server.app.store.seal_audit().await.unwrap();
    let found = server.app.store.verify_audit(Some(&noted)).await.unwrap().problems;
    assert_eq!(found, [format!("position {position} had another digest when it was noted")]);
}

#[tokio::test]
async fn s21_the_chain_is_verified_by_request() {
    let mut server = sealed().await;
    server.configure(|config| config.admin_token = Some("an-administrator".to_owned()));
    let verify =
        async |expect: &str| get_as(&server, "an-administrator", &format!("{LOG}/verify"), &[("expect", expect)]).await;
    let found = verify("").await;
    assert_eq!((&found["intact"], &found["problems"]), (&json!(true), &json!([])), "{found}");
    let head = found["head"].as_str().unwrap().to_owned();
    assert_eq!(verify(&head).await["intact"], true);
    let (code, said) = error(&verify("1:abc").await);
    assert!(code == 400 && said.contains("'expect' parameter is invalid"), "{code} {said}");
    tamper(&server, "update syncline.audit set actor = 'somebody else' where position = 4").await;
    let found = verify(&head).await;
    assert_eq!(found["intact"], false, "{found}");
    assert!(found["problems"].to_string().contains("at position 4 is not what was sealed"), "{found}");
    assert_eq!(error(&get_as(&server, "", &format!("{LOG}/verify"), &[]).await).0, 499);
}

async fn read_text(server: &TestServer) -> String {
    crate::support::server::text(server.fetch("/metrics", &[]).await).await
}

#[tokio::test]
async fn s21_neither_the_log_nor_receipts_can_be_changed_in_passing() {
    let server = sealed().await;
    server.add(0, r#"[{"attributes": {"species": "oak"}}]"#).await;
    for statement in [
        "update syncline.audit set actor = 'x'",
        "update syncline.audit set digest = sha256('') where position = 1",
        "delete from syncline.audit",
        "truncate syncline.audit",
    ] {
        let message = refused(&server.database, statement).await;
        assert!(message.contains("the audit log is only ever added to"), "{statement}: {message}");
    }
    let message = refused(&server.database, "update syncline.receipt set code = null, message = null").await;
    assert!(message.contains("receipts are never changed"), "{message}");
}

#[tokio::test]
async fn what_a_request_does_is_written_down_with_who_asked_and_under_its_id() {
    let server = closed().await;
    let made = ask(
        &server,
        "POST",
        &key("editor"),
        "createReplica",
        &[("replicaName", "crew"), ("layers", "0"), ("dataFormat", "json")],
    )
    .await;
    let request_id = made.headers()["x-request-id"].to_str().unwrap().to_owned();
    let replica = read(made).await["replicaID"].as_str().unwrap().to_owned();
    let definition = r#"{"description": "Old trees"}"#;
    let changed = post_as(
        &server,
        &key("admin"),
        "/arcgis/rest/admin/services/trees/FeatureServer/updateDefinition",
        &[("updateDefinition", definition)],
    )
    .await;
    assert_eq!(changed["success"], true, "{changed}");
    let gone = post_as(&server, &key("admin"), "unRegisterReplica", &[("replicaID", &replica)]).await;
    assert_eq!(gone["success"], true, "{gone}");
    // What did not happen is not there.
    let _ = post_as(&server, &key("viewer"), "unRegisterReplica", &[("replicaID", &replica)]).await;

    let log = get_as(&server, &key("admin"), LOG, &[("service", "TREES"), ("resultRecordCount", "3")]).await;
    let shown: Vec<Json> =
        log["entries"].as_array().unwrap().iter().map(|e| json!([e["action"], e["actor"], e["subject"]])).collect();
    assert_eq!(
        shown,
        [
            json!(["replica.unregistered", "key:admin", replica.trim_matches(['{', '}']).to_lowercase()]),
            json!(["service.defined", "key:admin", "trees"]),
            json!(["replica.created", "key:editor", replica.trim_matches(['{', '}']).to_lowercase()]),
        ],
        "{log}"
    );
    assert_eq!(log["exceededTransferLimit"], true);
    assert_eq!(log["entries"][2]["requestId"], request_id.as_str());
    assert_eq!(log["entries"][2]["detail"]["name"], "crew");
    assert_eq!(log["entries"][1]["detail"]["members"], json!(["description"]));
    let keys = get_as(&server, &key("admin"), LOG, &[("action", "key")]).await;
    let keys = keys["entries"].as_array().unwrap();
    assert_eq!(keys.len(), 4);
    // Who came by SQL is known by the role of the database.
    assert!(keys.iter().all(|entry| entry["actor"].as_str().unwrap().starts_with("database:")), "{keys:?}");
    let text = json!(keys).to_string();
    assert!(!text.contains("slk_"), "{text}");
    let none = get_as(&server, &key("admin"), LOG, &[("until", "2020-01-01")]).await;
    assert_eq!(none["entries"], json!([]));
}

#[tokio::test]
async fn only_administrators_read_the_log() {
    let server = closed().await;
    assert_eq!(error(&get_as(&server, "", LOG, &[]).await).0, 499);
    for who in ["viewer", "editor", "publisher"] {
        assert_eq!(error(&get_as(&server, &key(who), LOG, &[]).await).0, 403, "{who}");
    }
    for (name, value) in
        [("since", "yesterday"), ("until", "2026-02-30"), ("since", "1e99"), ("resultRecordCount", "0")]
    {
        let (code, message) = error(&get_as(&server, &key("admin"), LOG, &[(name, value)]).await);
        assert!(code == 400 && message.contains(name), "{name}={value}: {code} {message}");
    }
}

#[tokio::test]
async fn retention_leaves_a_chain_that_can_be_verified() {
    let server = sealed().await;
    assert_eq!(server.app.store.forget_audit(30).await.unwrap(), 0, "nothing is that old");
    // As if these were of another year, and sealed then.
    tamper(
        &server,
        "update syncline.audit set position = null, digest = null;
         update syncline.audit set at = at - interval '1 year' where audit_id <= (select min(audit_id) + 3 from syncline.audit)",
    )
    .await;
    server.app.store.seal_audit().await.unwrap();
    for _ in 0..2 {
        let n: i64 =
            server.database.value("select count(*) from syncline.audit where at < now() - interval '30 days'").await;
        assert_eq!(server.app.store.forget_audit(30).await.unwrap(), n);
        server.app.store.seal_audit().await.unwrap();
        assert_eq!(problems(&server).await, [""; 0]);
    }
    let said: String =
        server.database.value("select detail::text from syncline.audit where action = 'audit.forgotten'").await;
    assert!(said.contains(r#""rows": 4"#), "{said}");
    tamper(&server, "delete from syncline.audit where action = 'audit.forgotten'").await;
    let found = problems(&server).await;
    assert!(found[0].contains("no entry says that those before it were forgotten"), "{found:?}");
}

#[tokio::test]
async fn commands_are_written_down_and_the_log_can_be_read_and_verified_by_commands() {
    let server = TestServer::with_trees().await;
    let program = Program::on(&server.database);
    program.done(&["unpublish", "--service", "trees", "--layer", "1"]);
    let list = program.done(&["audit", "list", "--action", "layer.unpublished", "--json"]);
    let entry: Json = serde_json::from_str(list.trim()).unwrap();
    assert!(entry["actor"].as_str().unwrap().starts_with("command:"), "{entry}");
    assert_eq!((&entry["service"], &entry["subject"]), (&json!("trees"), &json!("visit")));
    assert!(program.done(&["audit", "list", "--since", "2020-01-01"]).contains("layer.published"));
    assert_eq!(program.done(&["audit", "list", "--actor", "nobody"]), "No entries.\n");
    let verified: Json = serde_json::from_str(&program.done(&["audit", "verify", "--json"])).unwrap();
    assert_eq!((&verified["problems"], &verified["unsealed"]), (&json!([]), &json!(0)), "{verified}");
    let head = verified["head"].as_str().unwrap();
    program.done(&["audit", "verify", "--expect", head]);
    tamper(&server, "update syncline.audit set subject = 'oak' where action = 'layer.unpublished'").await;
    let complaint = program.failed(&["audit", "verify"]);
    assert!(complaint.contains("the audit log was tampered with: 1 problem"), "{complaint}");
}

#[tokio::test]
async fn failures_to_sign_in_are_summed_and_tell_no_secret() {
    let database = TestDatabase::new().await;
    let program = Program::on(&database);
    let server = program.serve();
    for _ in 0..2 {
        let form = "username=my-p4ssword&password=s3cret&client=referer&referer=x&f=json";
        let mut stream = server.connect();
        let head = format!(
            "POST /arcgis/tokens/generateToken HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        assert!(crate::support::program::body(stream).get("error").is_some());
    }
    // They are written by the server itself, which looks every two seconds.
    database
        .until("select (select coalesce(sum((detail->>'times')::int), 0) = 2 from syncline.audit where action = 'sign_in.failed' and subject = 'unknown user' and origin = '127.0.0.1')")
        .await;
    database.until("select not exists (select from syncline.audit where position is null)").await;
    let list = program.done(&["audit", "list", "--json"]);
    assert!(!list.contains("p4ssword") && !list.contains("s3cret"), "{list}");
    assert!(list.contains("user.added"), "the first administrator is there: {list}");
    server.stop();
}

#[tokio::test]
async fn the_first_epoch_is_a_beginning_and_later_ones_say_what_they_are() {
    let server = TestServer::on(TestDatabase::bare().await).await;
    let told = "select string_agg(action, ' ' order by audit_id) from syncline.audit where action in ('epoch.begun', 'database.first_served')";
    assert_eq!(server.database.value::<String>(told).await, "database.first_served");
    let reason: String = server.database.value("select reason from syncline.epoch").await;
    assert_eq!(reason, "the database is served for the first time");
    server.database.sql("select syncline.begin_epoch('by hand')").await;
    assert_eq!(server.database.value::<String>(told).await, "database.first_served epoch.begun");
}

#[tokio::test]
async fn rules_of_expiry_and_settings_are_written_down() {
    let server = closed().await;
    let made = post_as(&server, &key("editor"), "createReplica", &[("replicaName", "crew"), ("layers", "0")]).await;
    let replica = made["replicaID"].as_str().unwrap();
    for form in [
        &[("replicaIDs", replica), ("days", "never")][..],
        &[("service", "trees"), ("days", "7")],
        &[("service", "trees"), ("days", "7")],
    ] {
        let done = post_as(&server, &key("admin"), "/arcgis/rest/admin/replicas/expire", form).await;
        assert_eq!(done["success"], true, "{done}");
    }
    let told: Json = server
        .database
        .value("select jsonb_agg(jsonb_build_array(actor, action, service, subject, detail) order by audit_id) from syncline.audit where action like '%.expiry_changed'")
        .await;
    let expected = json!([
        ["key:admin", "replica.expiry_changed", "trees", replica, {"name": "crew", "days": 0, "before": null}],
        ["key:admin", "service.expiry_changed", "trees", "trees", {"days": 7, "before": null}],
    ]);
    assert_eq!(told, expected, "and what changes nothing is not");
    let database = TestDatabase::new().await;
    let program =
        Program::on(&database).with_text("SYNCLINE_ADMIN_TOKEN", "SECRET-admin-token").with("SYNCLINE_GRACE_DAYS", 3);
    let serving = program.serve();
    let started: Json =
        database.value("select detail->'settings' from syncline.audit where action = 'server.started'").await;
    assert_eq!(started["grace_days"], "3", "{started}");
    assert!(started["admin_token"].is_string() && !started.to_string().contains("SECRET"), "{started}");
    serving.stop();
}

#[tokio::test]
async fn who_was_removed_keeps_their_name_in_what_was_done_to_them() {
    let server = crate::auth::signing_in::with_users().await;
    let mut browser = crate::auth::signing_in::Browser::new(&server);
    browser.sign_in("ann").await;
    server
        .database
        .sql(
            "insert into syncline.service_grant (service_id, account_id, access)
               select service_id, account_id, 'edit' from syncline.service, syncline.account a where a.name = 'ann';
             insert into syncline.identity (issuer, subject, account_id) select 'https://id.example', '17', account_id from syncline.account where name = 'ann';
             insert into syncline.role (name, level) values ('crew', 'editor');
             insert into syncline.service_grant (service_id, role, access) select service_id, 'crew', 'edit' from syncline.service",
        )
        .await;
    let root = key("admin");
    for (what, operation) in
        [("users", [("operation", "remove"), ("name", "ann")]), ("roles", [("operation", "remove"), ("name", "crew")])]
    {
        let done = post_as(&server, &root, &format!("/arcgis/rest/admin/accounts/{what}"), &operation).await;
        assert_eq!(done["success"], true, "{done}");
    }
    let log = get_as(&server, &root, LOG, &[("resultRecordCount", "8")]).await;
    let entries: Vec<(&str, &str)> = log["entries"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|entry| (entry["action"].as_str().unwrap(), entry["subject"].as_str().unwrap()))
        .collect();
    for taken in ["session.ended", "grant.removed", "user.unlinked", "user.role_taken", "user.removed"] {
        assert!(entries.contains(&(taken, "ann")), "{taken} is not in {entries:?}");
    }
    assert!(entries.contains(&("grant.removed", "role crew")), "{entries:?}");
    assert!(entries.contains(&("role.removed", "crew")), "{entries:?}");
    assert!(!log.to_string().contains("account "), "{log}");
    server.app.store.seal_audit().await.unwrap();
    assert_eq!(problems(&server).await, [""; 0]);
}
