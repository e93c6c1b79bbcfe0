//! `/metrics`: what is there, that monitoring systems can read it, and who may.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::support::{TestServer, server::text};

/// The figures by name and labels, as a strict reader of the text format 0.0.4 takes them.
fn read(page: &str) -> BTreeMap<String, f64> {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let (mut figures, mut families) = (BTreeMap::new(), BTreeSet::new());
    let (mut family, mut kind) = (String::new(), String::new());
    let mut lines = page.lines();
    assert!(page.ends_with('\n'));
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(is_name(name) && !help.trim().is_empty(), "{line}");
            assert!(families.insert(name.to_owned()), "{name} is there twice");
            let (typed, of) = lines.next().unwrap().strip_prefix("# TYPE ").unwrap().split_once(' ').unwrap();
            assert_eq!(typed, name);
            assert!(["counter", "gauge", "histogram"].contains(&of), "{line}");
            assert_eq!(of == "counter", name.ends_with("_total"), "{name} is a {of}");
            (family, kind) = (name.to_owned(), of.to_owned());
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').unwrap()),
            None => (series, ""),
        };
        let parts: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
        assert!(parts.iter().any(|part| name == format!("{family}{part}")), "{line} is not of {family}");
        for label in labels.split("\",").filter(|label| !label.is_empty()) {
            let (label, value) = label.split_once("=\"").unwrap();
            assert!(is_name(label) && !value.contains('\n'), "{line}");
        }
        let value: f64 = value.parse().unwrap();
        assert!(value.is_finite() && (kind == "gauge" || value >= 0.0), "{line}");
        assert!(figures.insert(series.to_owned(), value).is_none(), "{series} is there twice");
    }
    // Classes of a histogram hold those below them; the last has all.
    for (series, count) in figures.iter().filter(|(series, _)| series.contains("_count")) {
        let base = series.replacen("_count", "_bucket", 1);
        let last = match base.strip_suffix('}') {
            Some(base) => format!("{base},le=\"+Inf\"}}"),
            None => format!("{base}{{le=\"+Inf\"}}"),
        };
        assert_eq!(figures.get(&last), Some(count), "{last}");
    }
    figures
}

async fn scrape(server: &TestServer) -> BTreeMap<String, f64> {
    let response = server.fetch("/metrics", &[]).await;
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    read(&text(response).await)
}

#[tokio::test]
async fn figures_are_read_by_a_strict_reader_and_follow_what_happens() {
    let server = TestServer::with_trees().await;
    let before = scrape(&server).await;
    for name in [
        "syncline_syncs_total{outcome=\"completed\"}",
        "syncline_edits_total{outcome=\"refused\"}",
        "syncline_sync_wait_seconds_total",
        "syncline_delta_rows_count",
        "syncline_oldest_sync_seconds{service=\"trees\"}",
        "syncline_replicas{service=\"trees\",state=\"live\"}",
        "syncline_generation{service=\"trees\"}",
        "syncline_history_from{service=\"trees\"}",
        "syncline_change_rows{service=\"trees\"}",
        "syncline_commit_seconds_count",
        "syncline_commits_waiting",
        "syncline_commit_wait_seconds",
        "syncline_jobs{state=\"waiting\"}",
        "syncline_oldest_job_seconds",
        "syncline_rejected_edits_open{service=\"trees\"}",
        "syncline_oldest_rejected_edit_seconds{service=\"trees\"}",
        "syncline_conflicts{service=\"trees\"}",
        "syncline_epoch",
        "syncline_tracking_gaps",
        "syncline_unstamped_transactions",
        "syncline_prepared_transactions",
        "syncline_oldest_transaction_seconds",
        "syncline_last_pruning_timestamp_seconds",
        "syncline_forgotten_changes_total",
        "syncline_disk_free_bytes",
        "syncline_disk_reserve_bytes",
        "syncline_database_connections{state=\"max\"}",
        "syncline_open_requests",
        "syncline_sent_bytes_total",
        "syncline_build_info{version=\"0.1.0\"}",
        "process_start_time_seconds",
        "process_resident_memory_bytes",
        "process_open_fds",
    ] {
        assert!(before.contains_key(name), "{name} is not there");
    }
    server.add(0, r#"[{"attributes":{"species":"oak"}}]"#).await;
    server.add(0, r#"[{"attributes":{"height":"high"}}]"#).await;
    let made =
        server.post("createReplica", &[("layers", "0"), ("replicaName", "r"), ("syncModel", "perReplica")]).await;
    server
        .post(
            "synchronizeReplica",
            &[("replicaID", made["replicaID"].as_str().unwrap()), ("replicaServerGen", "999999")],
        )
        .await;
    server.get("9", &[]).await;
    let after = scrape(&server).await;
    let grown = |name: &str| after.get(name).copied().unwrap_or(0.0) - before.get(name).copied().unwrap_or(0.0);
    for (name, by) in [
        ("syncline_edits_total{outcome=\"applied\"}", 1.0),
        ("syncline_edits_total{outcome=\"refused\"}", 1.0),
        ("syncline_syncs_total{outcome=\"needs_snapshot\"}", 1.0),
        ("syncline_replicas{service=\"trees\",state=\"live\"}", 1.0),
        ("syncline_rejected_edits_open{service=\"trees\"}", 1.0),
        ("syncline_errors_total{code=\"400\"}", 1.0),
        ("syncline_errors_total{code=\"404\"}", 1.0),
        (
            "syncline_request_duration_seconds_count{route=\"/arcgis/rest/services/{service}/FeatureServer/createReplica\"}",
            1.0,
        ),
        ("syncline_request_duration_seconds_count{route=\"/metrics\"}", 1.0),
    ] {
        assert_eq!(grown(name), by, "{name}");
    }
    assert!(grown("syncline_sent_bytes_total") > 100.0 && grown("syncline_commit_seconds_count") >= 1.0);
    // Only the one that asks is open.
    assert_eq!(after["syncline_open_requests"], 1.0);
}

#[tokio::test]
async fn figures_are_for_administrators_unless_the_settings_open_them() {
    let mut server = TestServer::with_trees().await;
    server.configure(|config| config.metrics_open = false);
    // The status is what a monitoring system looks at.
    assert_eq!(server.fetch("/metrics", &[]).await.status(), 401);
    server.configure(|config| config.admin_token = Some("0123456789abcdef".to_owned()));
    assert_eq!(server.fetch("/metrics", &[]).await.status(), 401);
    assert_eq!(server.fetch("/metrics", &[("authorization", "Bearer 0123456789abcdeX")]).await.status(), 401);
    let response = server.fetch("/metrics", &[("authorization", "Bearer 0123456789abcdef")]).await;
    assert_eq!(response.status(), 200);
    read(&text(response).await);
}

#[tokio::test]
async fn a_scrape_does_not_grow_with_the_number_of_replicas() {
    let server = TestServer::with_trees().await;
    let made =
        server.post("createReplica", &[("layers", "0"), ("replicaName", "r"), ("syncModel", "perReplica")]).await;
    let first = made["replicaID"].as_str().unwrap();
    let n_figures = scrape(&server).await.len();
    server
        .database
        .sql(&format!(
            "insert into syncline.replica select (jsonb_populate_record(r, jsonb_build_object('replica_id', gen_random_uuid(), 'name', 'r' || n))).*
               from syncline.replica r, generate_series(1, 5000) n where replica_id = '{first}';
             insert into syncline.replica_layer select (jsonb_populate_record(l, jsonb_build_object('replica_id', r.replica_id))).*
               from syncline.replica_layer l, syncline.replica r where l.replica_id = '{first}' and r.replica_id <> '{first}'"
        ))
        .await;
    // The best of some, since others use the machine, too.
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let started = Instant::now();
        let figures = scrape(&server).await;
        best = best.min(started.elapsed());
        assert_eq!(figures["syncline_replicas{service=\"trees\",state=\"live\"}"], 5001.0);
        assert!(figures.len() <= n_figures + 20, "{} figures", figures.len());
    }
    assert!(best < Duration::from_millis(500), "{best:?}");
}
