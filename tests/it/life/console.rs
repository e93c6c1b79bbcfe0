//! What administrators see and do: states, lags, expiry, figures, cleaning up.

use std::time::Instant;

use serde_json::{Value as Json, json};
use syncline::model::life::Policy;

use super::{Client, everything, generation, history_from, pass_days};
use crate::support::{
    Program, TestServer,
    server::{error, text},
};

async fn status(server: &TestServer, client: &Client) -> Json {
    server.get(&format!("replicas/{}/status", client.id), &[]).await
}

#[tokio::test]
async fn a_status_tells_how_far_a_replica_lags_and_what_is_kept_for_it_alone() {
    let server = TestServer::with_trees().await;
    let mut slow = Client::create(&server).await;
    server
        .database
        .sql("insert into oak (girth) select n from generate_series(1, 10) n; insert into visit (note) values ('x')")
        .await;
    let quick = Client::create(&server).await;
    server.database.sql("update oak set girth = 0 where girth < 4").await;
    let shown = status(&server, &slow).await;
    assert_eq!(
        (&shown["state"], &shown["changesBehind"], &shown["moreChangesBehind"], &shown["needsSnapshot"]),
        (&json!("live"), &json!(13), &json!(false), &json!(false)),
        "{shown}"
    );
    assert_eq!(shown["historyKeptAlone"], json!({"generations": quick.generation - slow.generation, "changes": 11}));
    assert_eq!(shown["acknowledgedServerGen"], slow.generation);
    let shown = status(&server, &quick).await;
    assert_eq!((&shown["changesBehind"], &shown["historyKeptAlone"]["changes"]), (&json!(3), &json!(0)), "{shown}");
    for _ in 0..2 {
        slow.sync(&server).await;
        pass_days(&server, 8).await;
    }
    slow.sync(&server).await;
    pass_days(&server, 8).await;
    assert_eq!(status(&server, &slow).await["changesBehind"], 0);
    let unknown = server.get("replicas/7/status", &[]).await;
    assert!(error(&unknown).1.contains("not registered"), "{unknown}");
}

#[tokio::test]
async fn replicas_are_idle_then_expired_then_gone_and_a_synchronization_revives_them() {
    let server = TestServer::with_trees().await;
    let program = Program::on(&server.database);
    let mut client = Client::create(&server).await;
    let mut other = Client::create(&server).await;
    pass_days(&server, 31).await;
    let shown = status(&server, &client).await;
    assert_eq!((&shown["state"], &shown["idleDays"]), (&json!("idle"), &json!(31)), "{shown}");
    let days = (shown["expiryDate"].as_i64().unwrap() - shown["lastSyncDate"].as_i64().unwrap()) / 86_400_000;
    assert_eq!(days, 90);
    other.sync(&server).await;
    assert_eq!(status(&server, &other).await["state"], "live");

    pass_days(&server, 60).await;
    // The server looks after them as it starts.
    let running = program.serve();
    wait_for(&server, "select count(*) from syncline.replica where expired_at is not null", 1).await;
    drop(running);
    let shown = status(&server, &client).await;
    assert_eq!((&shown["state"], &shown["expiryDate"]), (&json!("expired"), &Json::Null), "{shown}");
    assert!(shown["unregisterDate"].as_i64() > shown["expiredDate"].as_i64(), "{shown}");
    pass_days(&server, 10).await;
    server.database.sql("insert into oak (girth) values (1)").await;
    client.sync(&server).await;
    assert_eq!(client.rows, everything(&server).await, "its history was kept");
    assert_eq!(status(&server, &client).await["state"], "live");

    pass_days(&server, 91).await;
    let running = program.serve();
    wait_for(&server, "select count(*) from syncline.replica where expired_at is not null", 2).await;
    drop(running);
    pass_days(&server, 15).await;
    let running = program.serve();
    wait_for(&server, "select count(*) from syncline.replica where unregistered_at is null", 0).await;
    drop(running);
    let gone = client.ask(&server, client.generation, &[]).await;
    assert!(error(&gone).1.contains("Replica not found"), "{gone}");
}

/// Another process does it in its own time.
async fn wait_for(server: &TestServer, query: &str, wanted: i64) {
    let started = Instant::now();
    while server.database.value::<i64>(query).await != wanted {
        assert!(started.elapsed().as_secs() < 20, "{query} is not {wanted}");
    }
}

#[tokio::test]
async fn idle_replicas_are_listed_and_unregistered_from_the_command_line() {
    let server = TestServer::with_trees().await;
    let program = Program::on(&server.database);
    let old = Client::create(&server).await;
    pass_days(&server, 61).await;
    let young = Client::create(&server).await;
    server.database.sql("insert into oak (girth) values (1)").await;
    let list = program.done(&["replicas", "list"]);
    for words in [&old.id, &young.id, "idle", "live", "Behind"] {
        assert!(list.contains(words), "{list}");
    }
    let list: Json = serde_json::from_str(&program.done(&["replicas", "list", "--json"])).unwrap();
    assert_eq!(
        (&list[0]["state"], &list[0]["changesBehind"], &list[0]["service"]),
        (&json!("idle"), &json!(1), &json!("trees"))
    );
    let shown = program.done(&["replicas", "show", &old.id]);
    assert!(
        shown.contains("State:       idle") && shown.contains("Behind:      1 change\n") && shown.contains("Expires:"),
        "{shown}"
    );
    let unregister = ["replicas", "unregister", "--idle-days", "60"];
    let preview = program.done(&[&unregister[..], &["--dry-run"]].concat());
    assert!(
        preview.contains(&old.id)
            && !preview.contains(&young.id)
            && preview.ends_with("1 replica would be unregistered.\n"),
        "{preview}"
    );
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.replica").await, 2);
    assert!(program.done(&unregister).ends_with("1 replica was unregistered.\n"));
    assert_eq!(server.get("replicas", &[]).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn t_p5_five_thousand_replicas_are_listed_within_a_second() {
    let server = TestServer::with_trees().await;
    let client = Client::create(&server).await;
    server
        .database
        .sql(
            "insert into syncline.replica (replica_id, service_id, name, sync_model, direction, srid)
               select gen_random_uuid(), service_id, 'Crew ' || n, 'perReplica', 'bidirectional', 3857 from syncline.service, generate_series(1, 4999) n;
             insert into syncline.txn (service_id, generation) select service_id, nextval('syncline.generation') from syncline.service, generate_series(1, 20000);
             insert into syncline.replica_layer (replica_id, layer_key, position, query_option, use_geometry, include_related, given, presented)
               select r.replica_id, l.layer_key, 0, 'all', false, false, (random() * 20000)::int + 2, 0 from syncline.replica r, syncline.layer l
               where r.name like 'Crew %';
             insert into syncline.change_1 (syncline_txn, syncline_statement, syncline_existed, globalid)
               select txn_id, 1, false, gen_random_uuid() from syncline.txn;
             analyze syncline.txn; analyze syncline.change_1; analyze syncline.replica; analyze syncline.replica_layer",
        )
        .await;
    let started = Instant::now();
    let shown = status(&server, &client).await;
    let taken = started.elapsed();
    assert_eq!((&shown["moreChangesBehind"], &shown["changesBehind"]), (&json!(true), &json!(10_000)), "{shown}");
    assert!(taken.as_secs_f64() < 1.0, "{taken:?}");
}

#[tokio::test]
async fn clean_up_goes_as_far_as_asked_but_never_past_a_live_replica() {
    const PATH: &str = "/arcgis/rest/admin/services/trees/FeatureServer/cleanupChangeTracking";
    const TOKEN: (&str, &str) = ("token", "a-token-of-an-administrator");
    let mut server = TestServer::with_trees().await;
    server.configure(|config| config.admin_token = Some(TOKEN.1.to_owned()));
    server.database.sql("insert into oak (girth) values (1)").await;
    let first = generation(&server).await;
    server.database.sql("insert into oak (girth) values (2)").await;
    let mut client = Client::create(&server).await;
    server.database.sql("insert into oak (girth) values (3)").await;
    server.database.sql("delete from oak where girth = 1").await;
    let newest = generation(&server).await;
    for (parameters, from, limited) in [
        (vec![("minServerGen", first.to_string())], first, false),
        (vec![("minServerGen", newest.to_string())], client.generation, true),
        (
            vec![("retentionPeriod", "0".to_owned()), ("retentionPeriodUnits", "seconds".to_owned())],
            client.generation,
            true,
        ),
        (vec![("retentionPeriod", "5".to_owned())], client.generation, false),
        (vec![("replicaId", client.id.clone())], client.generation, false),
        // The table is nobody's.
        (vec![("layers", "1".to_owned()), ("minServerGen", newest.to_string())], newest, false),
    ] {
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = server.post(PATH, &[&[TOKEN], parameters.as_slice()].concat()).await;
        assert_eq!(
            (&answer["success"], &answer["minServerGen"]),
            (&json!(true), &json!(from)),
            "{parameters:?} {answer}"
        );
        assert_eq!(answer.get("limitedByReplica").is_some(), limited, "{parameters:?} {answer}");
    }
    assert_eq!(history_from(&server).await, client.generation);
    client.sync(&server).await;
    assert_eq!(client.rows, everything(&server).await);
    for (parameters, words) in [
        (vec![], "retentionPeriod"),
        (vec![("retentionPeriod", "1"), ("minServerGen", "1")], "only one of"),
        (vec![("retentionPeriod", "-1")], "out of range"),
        (vec![("retentionPeriod", "1"), ("retentionPeriodUnits", "moons")], "days, hours, minutes, seconds"),
        (vec![("minServerGen", "-5")], "-5"),
        (vec![("layers", "9"), ("minServerGen", "1")], "no layer or table 9"),
        (vec![("replicaId", "aaaaaaaa-0000-4000-8000-000000000000")], "not registered"),
    ] {
        let answer = server.post(PATH, &[&[TOKEN], parameters.as_slice()].concat()).await;
        assert!(error(&answer).1.contains(words), "{parameters:?} {answer}");
    }
    assert_eq!(error(&server.get(PATH, &[("minServerGen", "1")]).await).0, 405);
}

#[tokio::test]
async fn figures_are_there_for_a_monitoring_system() {
    let server = TestServer::with_trees().await;
    let mut client = Client::create(&server).await;
    server.database.sql("insert into oak (girth) values (1)").await;
    client.sync(&server).await;
    let edits = json!([{"id": 0, "features": {"adds": [{"attributes": {"globalid": "{AAAAAAAA-0000-4000-8000-000000000001}", "girth": "many"}}]}}]).to_string();
    client.ask(&server, client.generation, &[("edits", &edits), ("rollbackOnFailure", "false")]).await;
    client.ask(&server, 1 << 50, &[]).await;
    server.add(0, r#"[{"attributes":{"girth":5}},{"attributes":{"girth":6}}]"#).await;
    let submitted = server.post("createReplica", &[("layers", "0"), ("async", "true")]).await;
    assert!(submitted["statusUrl"].is_string(), "{submitted}");
    server.database.sql("drop trigger zz_syncline_update on oak").await;
    server.app.store.watch().await.unwrap();
    let response = server.fetch("/metrics", &[]).await;
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    let page = text(response).await;
    for line in [
        "syncline_syncs_total{outcome=\"completed\"} 1",
        "syncline_syncs_total{outcome=\"completed_with_errors\"} 1",
        "syncline_syncs_total{outcome=\"needs_snapshot\"} 1",
        "syncline_edits_total{outcome=\"applied\"} 2",
        "syncline_edits_total{outcome=\"refused\"} 1",
        "syncline_replicas{service=\"trees\",state=\"live\"} 1",
        "syncline_replicas{service=\"trees\",state=\"expired\"} 0",
        &format!("syncline_generation{{service=\"trees\"}} {}", generation(&server).await),
        "syncline_replicas{service=\"trees\",state=\"foreign\"} 0",
        "syncline_jobs{state=\"waiting\"} 1",
        "syncline_jobs{state=\"running\"} 0",
        "syncline_commits_waiting 0",
        "syncline_rejected_edits_open{service=\"trees\"} 1",
        "syncline_conflicts{service=\"trees\"} 0",
        "syncline_tracking_gaps 1",
        "syncline_unstamped_transactions 0",
    ] {
        assert!(page.lines().any(|known| known == line), "{line} is not in {page}");
    }
    for name in [
        "syncline_change_rows",
        "syncline_history_from",
        "syncline_oldest_sync_seconds",
        "syncline_oldest_transaction_seconds",
        "syncline_oldest_job_seconds",
        "syncline_commit_wait_seconds",
    ] {
        assert!(page.contains(&format!("# TYPE {name} gauge")), "{page}");
    }
}

#[tokio::test]
async fn a_policy_without_days_lets_nobody_expire() {
    let server = TestServer::with_trees().await;
    let client = Client::create(&server).await;
    pass_days(&server, 4000).await;
    let policy = Policy { warn_days: None, expire_days: None, grace_days: 14 };
    let config = syncline::config::Config { warn_replicas_days: 0, expire_replicas_days: 0, ..Default::default() };
    assert_eq!(format!("{:?}", config.policy()), format!("{policy:?}"));
    assert_eq!(status(&server, &client).await["idleDays"], 4000);
}

#[tokio::test]
async fn transactions_that_wait_for_their_generation_are_counted() {
    let server = TestServer::with_trees().await;
    let mut keeper = server.database.connect().await;
    let hold = "begin; select pg_advisory_xact_lock(1398361667, service_id) from syncline.service";
    sqlx::raw_sql(hold).execute(&mut keeper).await.unwrap();
    let mut writer = server.database.connect().await;
    let writing =
        tokio::spawn(async move { sqlx::raw_sql("insert into oak (girth) values (1)").execute(&mut writer).await });
    server.database.until("select exists (select from pg_locks where locktype = 'advisory' and not granted)").await;
    let page = text(server.fetch("/metrics", &[]).await).await;
    assert!(page.contains("syncline_commits_waiting 1\n"), "{page}");
    let waited = page.lines().find_map(|line| line.strip_prefix("syncline_commit_wait_seconds ")).unwrap();
    assert!(waited.parse::<f64>().unwrap() > 0.0);
    sqlx::raw_sql("rollback").execute(&mut keeper).await.unwrap();
    writing.await.unwrap().unwrap();
}
