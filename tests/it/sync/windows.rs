//! States at generations: whoever applies the changes of windows in turn, and whoever verifies at an earlier generation, is told
//! what was stored then, also of rows that belong to rows, and of attachments.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::related::{Chance, Rows, TABLES, World, generation};
use crate::support::{at_length, seed};

const FILTER: &str = "girth >= 1 and girth <= 3";
/// A filter over trees; surveys and findings come with what they belong to.
const QUERIES: &str = r#"{"0":{"where":"girth >= 1 and girth <= 3"},"1":{"queryOption":"none","includeRelated":true},"2":{"queryOption":"none","includeRelated":true}}"#;

/// What was stored at a generation.
struct State {
    generation: i64,
    rows: [Rows; TABLES],
}

async fn state(world: &World) -> State {
    let service = world.server.get("", &[]).await;
    let generation = service["changeTrackingInfo"]["layerServerGens"][0]["serverGen"].as_i64().unwrap();
    State { generation, rows: world.truth(FILTER).await }
}

/// The table of a layer's features, or of its attachments.
fn table(layer: &Json, of: &str) -> usize {
    let layer = usize::try_from(layer.as_u64().unwrap()).unwrap();
    if of == "attachments" { 3 + layer } else { layer }
}

/// Applies an answer of extractChanges to what somebody holds.
fn apply(held: &mut [Rows; TABLES], answer: &Json, window: &str) {
    for layer in answer["edits"].as_array().into_iter().flatten() {
        for of in ["features", "attachments"] {
            let table = table(&layer["id"], of);
            for (list, known) in [("adds", false), ("updates", true)] {
                for row in layer[of][list].as_array().unwrap_or_else(|| panic!("{layer}")) {
                    let text = |name: &str| row["attributes"][name].as_str().unwrap_or_default().to_owned();
                    let file = |name: &str| row[name].as_str().unwrap().to_owned();
                    let (id, content) = match table {
                        0 => (
                            text("globalid"),
                            (String::new(), format!("{}{}", row["attributes"]["girth"], text("note"))),
                        ),
                        1 => (text("globalid"), (text("tree"), text("note"))),
                        2 => (text("globalid"), (text("survey"), text("note"))),
                        _ => (file("globalId"), (file("parentGlobalId"), file("name"))),
                    };
                    let before = held[table].insert(id, content);
                    assert_eq!(before.is_some(), known, "{window} table {table} {list}: {row}");
                }
            }
            for id in layer[of]["deleteIds"].as_array().unwrap() {
                let id = id.as_str().unwrap();
                assert!(held[table].remove(id).is_some(), "{window} table {table}: {id} was not held");
            }
        }
    }
}

/// The sum that a client makes of the ids of what it holds.
fn rows_sum(rows: &Rows) -> String {
    let one = |id: &String| {
        let bare = id.trim_matches(['{', '}']).to_lowercase();
        u128::from_be_bytes(Sha256::digest(bare)[..16].try_into().unwrap())
    };
    format!("{:032x}", rows.keys().map(one).fold(0, u128::wrapping_add))
}

async fn verify(world: &World, replica: &str, generations: &str) -> Json {
    let answer = world.server.get(&format!("replicas/{replica}/verify"), &[("serverGens", generations)]).await;
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}

fn check_counts(verified: &Json, state: &State) {
    let layers = verified["layers"].as_array().unwrap();
    assert_eq!(layers.len(), TABLES, "three layers, and the attachments of two: {verified}");
    for said in layers {
        let rows = &state.rows[table(&said["id"], said["of"].as_str().unwrap())];
        let expected = (json!(rows.len()), json!(rows_sum(rows)));
        assert_eq!((said["count"].clone(), said["rows"].clone()), expected, "at {}: {said}", state.generation);
    }
}

fn check_differing(verified: &Json, before: &State, after: &State) {
    for said in verified["differing"].as_array().unwrap() {
        let table = table(&said["id"], said["of"].as_str().unwrap());
        let (was, is) = (&before.rows[table], &after.rows[table]);
        let listed = |how: &str| -> BTreeSet<String> {
            let all = said["features"].as_array().unwrap().iter();
            all.filter(|one| one["difference"] == how).map(|one| one["globalId"].as_str().unwrap().to_owned()).collect()
        };
        let missing = |from: &Rows, there: &Rows| -> BTreeSet<String> {
            from.keys().filter(|id| !there.contains_key(*id)).cloned().collect()
        };
        let window = format!("{} to {}, table {table}", before.generation, after.generation);
        assert_eq!(listed("entered"), missing(is, was), "{window}");
        assert_eq!(listed("left"), missing(was, is), "{window}");
        let changed = listed("changed");
        for (id, row) in was {
            let expected = is.get(id).is_some_and(|now| now != row);
            assert!(!expected || changed.contains(id), "{window}: {id}");
        }
        assert!(changed.iter().all(|id| was.contains_key(id) && is.contains_key(id)), "{window}: {changed:?}");
    }
}

#[tokio::test]
async fn g11_windows_and_verification_know_what_was_stored_at_every_generation() {
    let (n_histories, n_steps) = at_length((2, 40), (12, 80));
    for seed in seed()..seed() + n_histories {
        let mut chance = Chance::new(seed);
        let mut world = World::new().await;
        let created = world
            .server
            .post(
                "createReplica",
                &[
                    ("layers", "0,1,2"),
                    ("layerQueries", QUERIES),
                    ("returnAttachments", "true"),
                    ("transportType", "esriTransportTypeEmbedded"),
                ],
            )
            .await;
        let replica = created["replicaID"].as_str().unwrap_or_else(|| panic!("{created}")).to_owned();
        let mut states = vec![state(&world).await];
        assert_eq!(states[0].generation, generation(&created));
        for _ in 0..n_steps {
            world.disturb(&mut chance).await;
            states.push(state(&world).await);
        }
        for stride in [1, 3, 7, n_steps] {
            let mut held = states[0].rows.clone();
            for from in (0..n_steps).step_by(stride) {
                let (before, after) = (&states[from], &states[(from + stride).min(n_steps)]);
                let window = format!("[{},{}]", before.generation, after.generation);
                let wanted = [
                    ("serverGens", window.as_str()),
                    ("layers", "0,1,2"),
                    ("layerQueries", QUERIES),
                    ("returnAttachments", "true"),
                ];
                let answer = world.server.post("extractChanges", &wanted).await;
                assert!(answer.get("error").is_none(), "{answer}");
                apply(&mut held, &answer, &format!("seed {seed}, {window}"));
                assert_eq!(held, after.rows, "seed {seed}, {window}");
                if stride == 3 {
                    let verified = verify(&world, &replica, &window).await;
                    check_counts(&verified, before);
                    check_differing(&verified, before, after);
                }
            }
        }
    }
}
