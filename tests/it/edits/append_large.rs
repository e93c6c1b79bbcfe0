//! append of more than a request may bring: in batches, one transaction and one entry in the books.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use super::{append::upload, with_oaks};
use crate::support::{TestServer, server::error};

/// A server that takes no larger requests, with three oaks.
async fn with_small_bodies() -> TestServer {
    let mut server = with_oaks().await;
    server.configure(|config| {
        config.max_body_bytes = 1 << 16;
        config.max_refused_edits = 30_000;
    });
    server
}

/// 25,000 trees, which are more than a batch or two, the last 5,000 with the names of the first. `girth` says what stands there.
fn trees(girth: impl Fn(u32) -> String) -> String {
    let mut text = "species,girth,lon,lat\n".to_owned();
    for n in 1..=25_000 {
        let _ = writeln!(text, "tree {},{},0,{}", (n - 1) % 20_000, girth(n), f64::from(n) / 1000.0);
    }
    text
}

async fn append(server: &TestServer, text: &str, parameters: &[(&str, &str)]) -> Json {
    let id = upload(server, "trees.txt", text).await;
    server.post("0/append", &[&[("appendUploadId", id.as_str()), ("async", "false")], parameters].concat()).await
}

const CSV: (&str, &str) = ("appendUploadFormat", "csv");

#[tokio::test]
async fn a_file_larger_than_a_request_is_appended_as_one_request() {
    let server = with_small_bodies().await;
    let upsert = [CSV, ("upsert", "true"), ("upsertMatchingField", "species")];
    let answer = append(&server, &trees(|n| n.to_string()), &upsert).await;
    assert_eq!((&answer["insertCount"], &answer["updateCount"]), (&json!(20_000), &json!(5_000)), "{answer}");
    let sums =
        "select count(*) || ' ' || count(distinct species) || ' ' || sum(girth) from oak where species like 'tree %'";
    // Those that came again have what came last.
    let expected: u64 = (5_001..=25_000).sum();
    assert_eq!(server.database.value::<String>(sums).await, format!("20000 20000 {expected}"));
    let books = "select count(distinct batch_id) || ' ' || count(*) || ' ' || min(position) || ' ' || max(position) from syncline.receipt";
    assert_eq!(server.database.value::<String>(books).await, "1 25000 1 25000");
    let generations = "select count(distinct t.generation) from syncline.txn t where exists (select from syncline.batch b where b.txn_id = t.txn_id)";
    assert_eq!(server.database.value::<i64>(generations).await, 1, "all of it in one transaction");
}

#[tokio::test]
async fn one_that_is_refused_late_undoes_all_which_are_kept() {
    let server = with_small_bodies().await;
    let text = trees(|n| if n == 24_000 { "many".to_owned() } else { n.to_string() });
    let said = append(&server, &text, &[CSV]).await;
    let words = said["error"]["details"].to_string();
    assert!(words.contains("many") && words.contains("1 of 25000 edits failed"), "{said}");
    assert_eq!(server.features(0).await.len(), 3, "nothing is there");
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.rejected_edit").await, 25_000);
    let causes =
        "select count(*) from syncline.rejected_edit where message like '%many%' and message not like '%rolled back%'";
    assert_eq!(server.database.value::<i64>(causes).await, 1);
    let others = "select count(*) from syncline.rejected_edit where message like '%because of edit 24000 of layer 0%'";
    assert_eq!(server.database.value::<i64>(others).await, 24_999);

    // Without rolling back, the others are there, and make up for those that were kept.
    let answer = append(&server, &text, &[CSV, ("rollbackOnFailure", "false")]).await;
    assert_eq!((&answer["insertCount"], &answer["refusedCount"]), (&json!(24_999), &json!(1)), "{answer}");
    let open = "select count(*) from syncline.rejected_edit where state = 'open'";
    assert_eq!(server.database.value::<i64>(open).await, 1);
}

#[tokio::test]
async fn a_file_that_breaks_off_or_has_a_monstrous_feature_does_nothing() {
    let server = with_small_bodies().await;
    let whole = trees(|n| n.to_string());
    let features: Vec<Json> = (0..25_000)
        .map(|n| json!({"attributes": {"species": format!("tree {n}")}, "geometry": {"x": 0, "y": 0}}))
        .collect();
    let set = json!({"features": features, "spatialReference": {"wkid": 4326}}).to_string();
    let monstrous = format!("species,lon,lat\n\"{}\n", "x".repeat(1 << 20));
    let deep = format!(r#"{{"features":[{{"attributes":{{"species":"{}"}}}}]}}"#, "x".repeat(1 << 20));
    for (text, format, words) in [
        (&whole[..whole.len() - 8], "csv", "not CSV"),
        (&set[..set.len() - 40], "json", "no document"),
        (monstrous.as_str(), "csv", "one feature has more than 65536 bytes"),
        (deep.as_str(), "json", "one feature has more than 65536 bytes"),
    ] {
        let (code, said) = error(&append(&server, text, &[("appendUploadFormat", format)]).await);
        assert!(code == 400 && said.contains(words) && said.contains("appendUploadId"), "{format}: {said}");
    }
    assert_eq!(server.features(0).await.len(), 3);
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.batch").await, 0);

    // The reference of the geometries may stand behind them.
    let set = set.replacen("\"x\":0,\"y\":0", "\"x\":180,\"y\":0", 1);
    assert_eq!(append(&server, &set, &[]).await["recordCount"], 25_000);
    let furthest = server.database.value::<f64>("select max(st_x(shape)) from oak").await;
    assert!((furthest - 20_037_508.34).abs() < 0.01, "{furthest}");
}
