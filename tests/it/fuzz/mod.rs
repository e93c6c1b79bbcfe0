//! Whatever a client sends, the server answers: soon, without failing, with what the description promises or with an error that
//! says something. Driven by the description, see [`nasty`] for what is sent, and [`by_hand`] for inputs that somebody thought of.
//!
//! `SYNCLINE_SEED` and `SYNCLINE_FUZZ` (a number of requests) set where chance begins and how far it goes.

mod by_hand;
mod nasty;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{body::Body, http::Request};
use serde_json::Value as Json;
use tracing::{Event, Subscriber, field::Visit};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

use crate::{
    openapi::description,
    support::{Dice, TestServer, at_length, seed, setting, watch},
};

use nasty::{Known, Sent};

/// No answer may take longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The whole test takes no longer than this, however slow the machine.
const BOUND: Duration = Duration::from_secs(45);

/// Collects the parameters that requests look at; jobs have spans of their own and are left out.
#[derive(Clone, Default)]
struct LookedAt(Arc<Mutex<BTreeSet<String>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LookedAt {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        struct Name(Option<String>);
        impl Visit for Name {
            fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn std::fmt::Debug) {}

            fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
                if field.name() == "parameter" {
                    self.0 = Some(value.to_ascii_lowercase());
                }
            }
        }
        let mut name = Name(None);
        event.record(&mut name);
        let in_request = context.event_scope(event).is_some_and(|mut spans| spans.any(|span| span.name() == "request"));
        if let (Some(name), true) = (name.0, in_request) {
            self.0.lock().unwrap().insert(name);
        }
    }
}

/// A server with features, attachments, replicas, an upload, a job, a refused edit.
async fn with_everything() -> (TestServer, Known) {
    let mut server = TestServer::with_trees().await;
    server.configure(|config| config.admin_token = Some(nasty::TOKEN.to_owned()));
    server.app.store.enable_attachments("trees", syncline::model::id::LayerId(0)).await.unwrap();
    server
        .database
        .sql(
            "alter table visit add check (note <> 'refused');
             insert into oak (species, height, girth, planted, shape)
               select 'oak ' || n, n / 2.0, n, timestamptz 'epoch' + n * interval '1 day', ST_Point(n * 10, n * 10, 3857) from generate_series(1, 50) n;
             insert into visit (note) select 'visit ' || n from generate_series(1, 20) n;",
        )
        .await;
    let mut known = Known::default();
    for model in ["perReplica", "perLayer"] {
        let parameters = [("layers", "0,1"), ("syncModel", model), ("transportType", "esriTransportTypeEmbedded")];
        let made = server.post("createReplica", &parameters).await;
        known.learn(&made);
        let edits = r#"[{"id":1,"features":{"adds":[{"attributes":{"globalid":"{6F9619FF-8B86-D011-B42D-00CF4FC964FF}","note":"refused"}}]}}]"#;
        let id = made["replicaID"].as_str().unwrap();
        let generation = made["replicaServerGen"].to_string();
        let parameters =
            [("replicaID", id), ("replicaServerGen", &generation), ("edits", edits), ("rollbackOnFailure", "false")];
        server.post("synchronizeReplica", &parameters).await;
    }
    known.learn(&server.post("createReplica", &[("layers", "0"), ("async", "true")]).await);
    known.learn(&server.post("uploads/register", &[("itemName", "a.json")]).await);
    (server, known)
}

/// What is wrong with an answer. `operation` is its description.
fn fault(operation: &Json, sent: &Sent, status: u16, content_type: &str, body: &[u8]) -> Option<String> {
    if status >= 500 && !(status == 503 && sent.path == "/readyz") {
        return Some(format!("HTTP status {status}"));
    }
    if content_type.starts_with("text/html") {
        let page = String::from_utf8_lossy(body);
        return page.contains("<strong>Code: 5").then(|| "a page that tells of a failure".to_owned());
    }
    if !content_type.starts_with("application/json") {
        return None;
    }
    let Ok(answer) = serde_json::from_slice::<Json>(body) else {
        // A file is what somebody sent, whatever it was called.
        let is_file = operation["responses"]["200"]["content"].get("application/octet-stream").is_some();
        return (!is_file).then(|| "it is no JSON".to_owned());
    };
    let Some(error) = answer.get("error").filter(|_| answer.get("status").is_none()) else {
        let promised = &operation["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"][0];
        // A job was accepted.
        if answer["statusUrl"].is_string() && operation.to_string().contains("/Accepted") {
            return None;
        }
        if promised["type"] == "array" && !answer.is_array() {
            return Some("it is no array".to_owned());
        }
        let missing = promised["required"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|name| answer.get(name.as_str().unwrap()).is_none());
        return missing.map(|name| format!("it has no {name}"));
    };
    let well_formed = error["code"].is_i64()
        && error["message"].as_str().is_some_and(|text| !text.trim().is_empty())
        && error["details"].as_array().is_some_and(|list| list.iter().all(Json::is_string));
    if !well_formed {
        return Some("its error is not well formed".to_owned());
    }
    (error["code"].as_i64() >= Some(500)).then(|| "the server failed".to_owned())
}

async fn send(server: &TestServer, sent: &Sent) -> (u16, String, Vec<u8>) {
    let mut request = Request::builder().method(sent.verb).uri(&sent.uri).header("host", "test:80");
    if let Some(content_type) = &sent.content_type {
        request = request.header("content-type", content_type);
    }
    let response = server.send(request.body(Body::from(sent.body.clone())).unwrap()).await;
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, content_type.unwrap_or_default(), body.to_vec())
}

#[tokio::test]
async fn whatever_is_sent_is_answered() {
    let looked_at = LookedAt::default();
    // As long as there is only one, what other tests' threads do decides whether it is told of anything.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let _guard =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(looked_at.clone()).with(watch::layer()));
    let (server, mut known) = with_everything().await;
    let jobs = server.run_jobs();
    let document = description(&server).await;
    let seed = seed();
    let mut dice = Dice::new(seed);
    let n_requests = setting("SYNCLINE_FUZZ", at_length(4_000, 200_000));
    let started = Instant::now();
    let mut n_answers = 0;
    let mut succeeded: BTreeSet<String> = BTreeSet::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut undescribed: BTreeSet<String> = BTreeSet::new();
    let mut faults: Vec<String> = Vec::new();
    for n in 0..n_requests {
        if started.elapsed() > at_length(BOUND, Duration::from_secs(3600)) || faults.len() >= 20 {
            break;
        }
        let (template, operation, sent) = nasty::request(&document, &known, &mut dice);
        looked_at.0.lock().unwrap().clear();
        let asked = Instant::now();
        let answered = tokio::time::timeout(PATIENCE * 3, send(&server, &sent)).await;
        let (status, content_type, body) = match answered {
            Ok(answer) if asked.elapsed() < PATIENCE => answer,
            _ => {
                faults.push(format!("{n}: {sent}: no answer within {PATIENCE:?}"));
                continue;
            }
        };
        n_answers += 1;
        if let Some(what) = fault(&operation, &sent, status, &content_type, &body) {
            let body = String::from_utf8_lossy(&body).chars().take(500).collect::<String>();
            faults.push(format!("{n}: {sent}: {what}: {body}"));
        }
        if let Ok(answer) = serde_json::from_slice::<Json>(&body) {
            known.learn(&answer);
            if answer.get("error").is_none() {
                succeeded.insert(template.clone());
            }
        }
        let described = nasty::names(&operation);
        for name in looked_at.0.lock().unwrap().iter() {
            if !described.contains(name) && !["f", "callback", "token"].contains(&name.as_str()) {
                undescribed.insert(format!("{name} of {template}"));
            }
            seen.insert(name.clone());
        }
    }
    jobs.stop().await;
    let repeat = format!("SYNCLINE_SEED={seed} cargo test --test it fuzz::whatever");
    assert!(faults.is_empty(), "repeat with {repeat}\n{}", faults.join("\n"));
    assert!(
        undescribed.is_empty(),
        "src/http/openapi does not have these parameters, which are looked at: {undescribed:#?}"
    );
    // Otherwise the test would say nothing.
    assert!(n_answers > 200, "only {n_answers} requests in {BOUND:?}");
    let n_paths = document["paths"].as_object().unwrap().len();
    assert!(succeeded.len() * 10 > n_paths * 7, "only these of {n_paths} succeeded: {succeeded:#?}");
    assert!(seen.len() > 60, "only these parameters were looked at: {seen:?}");
}
