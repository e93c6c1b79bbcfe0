//! Counts and checksums, computed a second time as a client would.

use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::{Field, adds, good, id, tree};
use crate::support::{TestServer, server::error};

/// The canonical form of a feature of `oak`, written down by hand: attributes in the order of their names.
fn canonical(feature: &Json) -> String {
    let attributes = &feature["attributes"];
    let id = attributes["globalid"].as_str().unwrap().trim_matches(['{', '}']).to_lowercase();
    let mut lines = vec![id];
    let number = |value: &Json| format!("n{:016x}", value.as_f64().unwrap().to_bits());
    for name in ["girth", "height", "planted", "species"] {
        match &attributes[name] {
            Json::Null => {}
            Json::String(value) => lines.push(format!("{name}=t{}:{value}", value.len())),
            value => lines.push(format!("{name}={}", number(value))),
        }
    }
    if let Some(point) = feature.get("geometry") {
        lines.push(format!("geometry=({},{},)", number(&point["x"]), number(&point["y"])));
    }
    lines.join("\n") + "\n"
}

fn sum(texts: impl Iterator<Item = String>) -> String {
    let one = |text: String| u128::from_be_bytes(Sha256::digest(text.as_bytes())[..16].try_into().unwrap());
    format!("{:032x}", texts.map(one).fold(0, u128::wrapping_add))
}

/// What a client that holds these features computes: count, `rows`, `content`.
fn computed(features: &[Json]) -> (u64, String, String) {
    let id = |feature: &Json| canonical(feature).lines().next().unwrap().to_owned();
    (features.len() as u64, sum(features.iter().map(id)), sum(features.iter().map(canonical)))
}

fn said(answer: &Json) -> (u64, String, String) {
    let layer = &answer["layers"][0];
    let text = |name: &str| layer[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    (layer["count"].as_u64().unwrap(), text("rows"), text("content"))
}

async fn snapshot(field: &mut Field<'_>) -> Vec<Json> {
    let answer = good(field.synchronize(&json!([]), &[("syncDirection", "snapshot")]).await);
    answer["layers"][0]["features"].as_array().unwrap().clone()
}

#[tokio::test]
async fn g11_a_client_can_compute_the_checksum_of_what_it_holds_now_and_then() {
    let server = TestServer::with_trees().await;
    server
        .database
        .sql(
            "insert into oak (species, girth, height, planted, shape) select 'Ä ' || n, n, n / 3.0, to_timestamp(n), ST_Point(n / 7.0, -n, 3857)
             from generate_series(0, 20) n; insert into oak (girth) values (null)",
        )
        .await;
    let mut field = Field::new(
        &server,
        &[("layerQueries", r#"{"0":{"where":"girth < 10 or girth is null","useGeometry":false}}"#)],
    )
    .await;
    let verify = format!("replicas/{}/verify", field.replica);
    let first = snapshot(&mut field).await;
    assert_eq!(first.len(), 11);
    let earlier = field.generation.to_string();
    assert_eq!(said(&good(server.get(&verify, &[]).await)), computed(&first));

    server
        .database
        .sql("update oak set girth = 5 where girth = 15; update oak set girth = 50 where girth = 3; update oak set height = 0.1 where girth = 4;
              delete from oak where girth = 6; insert into oak (species, girth) values ('new', 1); update oak set species = 'far' where girth = 20")
        .await;
    let now = good(server.post(&verify, &[]).await);
    let second = snapshot(&mut field).await;
    assert_eq!(said(&now), computed(&second));
    assert_eq!(now["serverGen"], field.generation);
    assert_ne!(computed(&first), computed(&second));
    let then = good(server.get(&verify, &[("serverGens", &earlier)]).await);
    assert_eq!(said(&then), computed(&first), "at a stated generation");

    let both = format!("[{earlier},{}]", field.generation);
    let compared = good(server.get(&verify, &[("serverGens", &both)]).await);
    let mut differences: Vec<&str> = compared["differing"][0]["features"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["difference"].as_str().unwrap())
        .collect();
    differences.sort_unstable();
    assert_eq!(differences, ["changed", "entered", "entered", "left", "left"], "{compared}");
    let same = format!("{0},{0}", field.generation);
    assert_eq!(good(server.get(&verify, &[("serverGens", &same)]).await)["differing"][0]["features"], json!([]));

    let future = (field.generation + 1000).to_string();
    assert_eq!(error(&server.get(&verify, &[("serverGens", &future)]).await).0, 400);
    let (_, words) = error(&server.get(&verify, &[("serverGens", "0")]).await);
    assert!(words.contains("no longer kept"), "{words}");
    assert_eq!(error(&server.get(&verify, &[("serverGens", "1,2,3")]).await).0, 400);
}

#[tokio::test]
async fn what_a_device_added_itself_is_in_the_checksum_without_its_object_id() {
    let server = TestServer::with_trees().await;
    let mut field = Field::new(&server, &[]).await;
    let mine = tree(1, &json!({"species": "elm", "girth": 7}));
    good(field.synchronize(&adds(&json!([mine])), &[]).await);
    let answer = good(server.get(&format!("replicas/{}/verify", field.replica), &[]).await);
    assert_eq!(said(&answer), computed(&[mine]), "the device was never told {}'s object id", id(1));
}
