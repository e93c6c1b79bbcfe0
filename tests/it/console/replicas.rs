//! The list of all replicas.

use std::time::Instant;

use serde_json::{Value as Json, json};

use super::{each, get, pass_days, post, server};
use crate::{
    accounting::{Field, edits, tree},
    support::{Program, server::error},
};

#[tokio::test]
async fn only_administrators_see_the_console_and_nothing_changes_by_get() {
    let server = server().await;
    for resource in ["replicas", "replicas/lag", "health", "settings", "pulse"] {
        let path = format!("/arcgis/rest/admin/{resource}");
        assert_eq!(error(&server.get(&path, &[]).await).0, 499, "{resource}");
        assert_eq!(error(&server.get(&path, &[("token", "somebody-else-altogether")]).await).0, 498, "{resource}");
        assert!(get(&server, resource, &[]).await.get("error").is_none(), "{resource}");
    }
    let field = Field::new(&server, &[]).await;
    let named = [("replicaIDs", field.replica.as_str()), ("days", "never")];
    for operation in ["replicas/unregister", "replicas/expire"] {
        assert_eq!(error(&get(&server, operation, &named).await).0, 405, "{operation}");
    }
    assert_eq!(get(&server, "replicas", &[]).await["count"], 1);
}

#[tokio::test]
async fn a_replica_is_listed_with_who_has_what_and_how_far_it_is_behind() {
    let server = server().await;
    server
        .database
        .sql("insert into oak (girth, shape) select n, ST_Point(n, n, 3857) from generate_series(1, 10) n; analyze")
        .await;
    let area =
        r#"{"xmin":0,"ymin":0,"xmax":111319.49079327358,"ymax":111325.14286638486,"spatialReference":{"wkid":3857}}"#;
    let mut slow = Field::new(
        &server,
        &[
            ("replicaName", "Crew <b>North</b>"),
            ("layers", "0,1"),
            ("geometry", area),
            ("geometryType", "esriGeometryEnvelope"),
            ("layerQueries", r#"{"0":{"queryOption":"useFilter","where":"girth < 5","useGeometry":true}}"#),
        ],
    )
    .await;
    slow.synchronize(&edits(&json!([tree(1, &json!({"girth": "many"}))]), &json!([]), &json!([])), &[]).await;
    let _quick = Field::new(&server, &[("replicaName", "Quick")]).await;
    server.database.sql("update oak set girth = 0 where girth < 4").await;
    let list = get(&server, "replicas", &[("orderByFields", "creationDate")]).await;
    let one = &list["replicas"][0];
    assert_eq!((&list["count"], &list["exceededTransferLimit"]), (&json!(2), &json!(false)), "{list}");
    for (member, value) in [
        ("service", json!("trees")),
        ("replicaName", json!("Crew <b>North</b>")),
        ("state", json!("live")),
        ("changesBehind", json!(3)),
        ("moreChangesBehind", json!(false)),
        ("openRejectedEdits", json!(1)),
        ("openConflicts", json!(0)),
        ("lastOutcome", json!("completed_with_errors")),
        ("neverSynchronized", json!(false)),
        ("busy", json!(false)),
        ("synchronizations", json!(1)),
    ] {
        assert_eq!(one[member], value, "{member} in {one}");
    }
    assert!(one["bytesBehind"].as_i64().unwrap() > 0, "{one}");
    assert!(one["givenDate"].as_i64().unwrap() > 1_600_000_000_000, "{one}");
    let layer = &one["layers"][0];
    assert_eq!(
        (&layer["id"], &layer["name"], &layer["where"], &layer["useGeometry"]),
        (&json!(0), &json!("oak"), &json!("girth < 5"), &json!(true))
    );
    let extent = &one["extent"];
    assert_eq!((&one["extentOf"], &extent["spatialReference"]["wkid"]), (&json!("geometry"), &json!(4326)), "{one}");
    assert!(
        (extent["xmax"].as_f64().unwrap() - 1.0).abs() < 1e-6 && extent["xmin"].as_f64().unwrap().abs() < 1e-6,
        "{extent}"
    );
    let other = &list["replicas"][1];
    assert_eq!((&other["extentOf"], &other["neverSynchronized"]), (&json!("layers"), &json!(true)), "{other}");
    assert!(other["extent"]["xmax"].as_f64().unwrap() < 0.001, "{other}");
    let id = slow.replica.as_str();
    let found = get(&server, &format!("replicas/{id}"), &[]).await;
    assert_eq!((&found["replicaID"], &found["geometry"]["xmin"]), (&one["replicaID"], &json!(0.0)), "{found}");
    let unknown = get(&server, "replicas/6f9619ff-8b86-d011-b42d-00cf4fc964ff", &[]).await;
    assert!(error(&unknown).1.contains("not registered"), "{unknown}");
}

#[tokio::test]
async fn the_list_is_filtered_ordered_and_paged() {
    let server = server().await;
    for name in ["Anna", "Berta", "Carla", "Dora"] {
        Field::new(&server, &[("replicaName", name)]).await;
    }
    server
        .database
        .sql(
            "update syncline.replica set owner = 'foreman' where name in ('Anna', 'Dora');
             update syncline.replica set last_sync_at = now() - interval '40 days' where name = 'Berta';
             update syncline.replica set last_sync_at = now() - interval '100 days', expired_at = now() where name = 'Carla'",
        )
        .await;
    for (parameters, names) in [
        (vec![("orderByFields", "replicaName DESC")], vec!["Dora", "Carla", "Berta", "Anna"]),
        (vec![], vec!["Carla", "Berta", "Anna", "Dora"]),
        (
            vec![("orderByFields", "replicaName"), ("resultOffset", "1"), ("resultRecordCount", "2")],
            vec!["Berta", "Carla"],
        ),
        (vec![("state", "idle")], vec!["Berta"]),
        (vec![("state", "expired")], vec!["Carla"]),
        (vec![("idleDays", "40")], vec!["Carla", "Berta"]),
        (vec![("owner", "FOREMAN"), ("orderByFields", "replicaName")], vec!["Anna", "Dora"]),
        (vec![("text", "DOR")], vec!["Dora"]),
        (
            vec![("service", "TREES"), ("text", "trees"), ("orderByFields", "expiryDate")],
            vec!["Berta", "Carla", "Anna", "Dora"],
        ),
        (vec![("state", "failing")], vec![]),
    ] {
        let mut list = get(&server, "replicas", &parameters).await;
        if parameters.first() == Some(&("service", "TREES")) {
            // Who expires when depends on the moment; only who is there matters.
            list["replicas"].as_array_mut().unwrap().sort_by_key(|one| one["replicaName"].to_string());
            assert_eq!(each(&list, "replicaName").len(), names.len(), "{parameters:?}");
            continue;
        }
        let mut shown = each(&list, "replicaName");
        if parameters.is_empty() {
            // Two were made in the same moment.
            shown[2..].sort_by_key(ToString::to_string);
        }
        assert_eq!(shown, names, "{parameters:?}");
    }
    let page = get(&server, "replicas", &[("resultRecordCount", "3")]).await;
    assert_eq!(
        (&page["count"], &page["countAll"], &page["exceededTransferLimit"]),
        (&json!(4), &json!(4), &json!(true))
    );
    for (name, value, words) in [
        ("state", "tired", "neverSynchronized"),
        ("orderByFields", "shoeSize", "changesBehind"),
        ("orderByFields", "replicaName SIDEWAYS", "neither ASC nor DESC"),
        ("idleDays", "-1", "not within"),
        ("resultRecordCount", "5000", "1 to 1000"),
        ("service", "bushes", "not found"),
    ] {
        let answer = get(&server, "replicas", &[(name, value)]).await;
        assert!(error(&answer).1.contains(words), "{name}={value}: {answer}");
    }
}

#[tokio::test]
async fn replicas_expire_as_their_own_rule_says_or_their_service_s() {
    let server = server().await;
    let program = Program::on(&server.database);
    let [pinned, short, plain] =
        [Field::new(&server, &[]).await, Field::new(&server, &[]).await, Field::new(&server, &[]).await];
    for field in [&pinned, &short, &plain] {
        pass_days(field, 100).await;
    }
    server.database.sql("update syncline.replica set expired_at = now() - interval '20 days'").await;
    let done = post(&server, "replicas/expire", &[("replicaIDs", &pinned.replica), ("days", "never")]).await;
    assert_eq!(done, json!({"success": true}));
    let said = program.done(&["replicas", "expire", &short.replica, "--days", "200"]);
    assert!(said.contains("200 days"), "{said}");
    let shown = |field: &Field<'_>| {
        let path = format!("replicas/{}", field.replica);
        let server = &server;
        async move { get(server, &path, &[]).await }
    };
    let one = shown(&pinned).await;
    assert_eq!(
        (&one["state"], &one["ownExpireDays"], &one["expiryDate"]),
        (&json!("idle"), &json!(0), &Json::Null),
        "{one}"
    );
    let one = shown(&short).await;
    let days = (one["expiryDate"].as_i64().unwrap() - one["lastSyncDate"].as_i64().unwrap()) / 86_400_000;
    assert_eq!((&one["state"], days), (&json!("idle"), 200), "{one}");
    assert_eq!(shown(&plain).await["state"], "expired");
    // The server looks after them as it starts: who has no rule is overdue, and goes.
    let running = program.serve();
    server.database.until("select count(*) = 2 from syncline.replica where unregistered_at is null").await;
    drop(running);
    let rule = post(&server, "replicas/expire", &[("service", "trees"), ("days", "7")]).await;
    assert_eq!(rule["success"], true, "{rule}");
    let said = program.done(&["replicas", "expire", &short.replica, "--default"]);
    assert!(said.contains("as its service"), "{said}");
    let one = shown(&short).await;
    assert_eq!((&one["expireDays"], &one["ownExpireDays"]), (&json!(7), &Json::Null), "{one}");
    let policy = get(&server, "health", &[]).await["expiryPolicy"].clone();
    assert_eq!(
        (&policy["expireDays"], &policy["services"]),
        (&json!(90), &json!([{"service": "trees", "expireDays": 7}])),
        "{policy}"
    );
    for (parameters, words) in [
        (vec![("replicaIDs", pinned.replica.as_str())], "'days' parameter"),
        (vec![("replicaIDs", pinned.replica.as_str()), ("days", "0")], "never, or default"),
        (vec![("replicaIDs", "7"), ("days", "7")], "'7' is not the id"),
        (vec![("replicaIDs", plain.replica.as_str()), ("days", "7")], "not registered"),
        (vec![("replicaIDs", pinned.replica.as_str()), ("service", "trees"), ("days", "7")], "one or the other"),
        (vec![("days", "7")], "'replicaIDs' parameter"),
    ] {
        let answer = post(&server, "replicas/expire", &parameters).await;
        assert!(error(&answer).1.contains(words), "{parameters:?} {answer}");
    }
}

#[tokio::test]
async fn five_thousand_replicas_are_listed_within_a_second() {
    let server = server().await;
    server
        .database
        .sql(
            "insert into syncline.replica (replica_id, service_id, name, sync_model, direction, srid, owner)
               select gen_random_uuid(), service_id, 'Crew ' || n, 'perReplica', 'bidirectional', 3857, 'user ' || n % 50 from syncline.service, generate_series(1, 5000) n;
             insert into syncline.txn (service_id, generation) select service_id, nextval('syncline.generation') from syncline.service, generate_series(1, 20000);
             insert into syncline.replica_layer (replica_id, layer_key, position, query_option, use_geometry, include_related, where_clause, area, given, presented)
               select r.replica_id, l.layer_key, 0, 'useFilter', true, false, 'girth > 3',
                 ST_AsEWKB(ST_MakeEnvelope(random() * 1000, 0, 2000, 1000, 3857)), (random() * 20000)::int + 2, 0 from syncline.replica r, syncline.layer l;
             insert into syncline.change_1 (syncline_txn, syncline_statement, syncline_existed, globalid)
               select txn_id, 1, false, gen_random_uuid() from syncline.txn;
             insert into syncline.synchronization (replica_id, slot, number, duration_ms, client, request_id, outcome, n_applied, n_refused, n_sent, bytes_up, bytes_down)
               select replica_id, 0, 500, 5, 'QField', 'x', 'completed', 1, 0, 1, 1, 1 from syncline.replica;
             analyze syncline.txn; analyze syncline.change_1; analyze syncline.replica; analyze syncline.replica_layer; analyze syncline.synchronization",
        )
        .await;
    for parameters in [
        vec![("orderByFields", "changesBehind DESC")],
        vec![("text", "crew 49"), ("orderByFields", "historyKeptAlone DESC")],
    ] {
        let started = Instant::now();
        let list = get(&server, "replicas", &parameters).await;
        let taken = started.elapsed();
        assert_eq!(list["countAll"], 5000, "{list}");
        // A second on a machine that does nothing else, which tests/perf measures.
        assert!(taken.as_secs_f64() < 3.0, "{parameters:?}: {taken:?}");
    }
    let started = Instant::now();
    let lags = get(&server, "replicas/lag", &[]).await;
    assert_eq!(
        (&lags["services"][0]["count"], lags["services"][0]["replicas"].as_array().unwrap().len()),
        (&json!(5000), 1000)
    );
    assert!(started.elapsed().as_secs_f64() < 3.0);
}

#[tokio::test]
async fn who_holds_the_history_is_marked_on_the_line_of_lags() {
    let server = server().await;
    let slow = Field::new(&server, &[]).await;
    server.database.sql("insert into oak (girth) values (1); insert into oak (girth) values (2)").await;
    let mut quick = Field::new(&server, &[]).await;
    quick.synchronize(&json!([]), &[]).await;
    let lags = get(&server, "replicas/lag", &[("service", "trees")]).await;
    let of_service = &lags["services"][0];
    assert_eq!(of_service["name"], "trees");
    let [first, second] = [&of_service["replicas"][0], &of_service["replicas"][1]];
    assert_eq!(
        first["replicaID"].as_str().unwrap().trim_matches(['{', '}']).to_lowercase(),
        slow.replica.trim_matches(['{', '}']).to_lowercase()
    );
    assert_eq!((&first["holdsHistory"], &second["holdsHistory"]), (&json!(true), &json!(false)), "{lags}");
    let history = &of_service["history"];
    assert!(history["minServerGen"].as_i64() <= first["acknowledgedServerGen"].as_i64(), "{lags}");
    assert!(first["acknowledgedServerGen"].as_i64() < history["serverGen"].as_i64(), "{lags}");
}

#[tokio::test]
async fn the_pulse_changes_when_something_happens_and_only_then() {
    let server = server().await;
    let mut field = Field::new(&server, &[]).await;
    let before = get(&server, "pulse", &[]).await;
    assert_eq!(get(&server, "pulse", &[]).await, before);
    field.synchronize(&json!([]), &[]).await;
    let after = get(&server, "pulse", &[]).await;
    assert_ne!(after, before);
    server.database.sql("insert into oak (girth) values (1)").await;
    assert_ne!(get(&server, "pulse", &[]).await, after);
}
