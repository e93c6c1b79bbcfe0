//! What a replica's holder may see changes: the next synchronization takes away what they may not see any more and brings what they may see
//! now, all of that and nothing else, also if an answer was lost.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{EMBEDDED, add, closed, create, define, get_as, id, ownership, post_as, species, synchronize, token};
use crate::support::{Dice, TestServer, at_length, seed};

/// What a device holds: species by global id.
type Held = BTreeMap<String, String>;

/// What an answer of createReplica gives.
fn hold(answer: &Json) -> Held {
    rows(&answer["layers"][0]["features"]).collect()
}

fn rows(list: &Json) -> impl Iterator<Item = (String, String)> + '_ {
    list.as_array().unwrap_or_else(|| panic!("no list: {list}")).iter().map(|row| {
        let attributes = &row["attributes"];
        (
            attributes["globalid"].as_str().unwrap().to_owned(),
            attributes["species"].as_str().unwrap_or_default().to_owned(),
        )
    })
}

/// Applies an answer of synchronizeReplica; an add of what is there already is a fault unless the device may have it from an answer that it
/// never confirmed.
fn apply(held: &mut Held, answer: &Json, unsure: bool) {
    let features = &answer["edits"][0]["features"];
    if features.is_null() {
        assert_eq!(answer["responseType"], "esriReplicaResponseTypeNoEdits", "{answer}");
        return;
    }
    for (id, species) in rows(&features["adds"]) {
        let before = held.insert(id.clone(), species);
        assert!(before.is_none() || unsure, "{id} is doubled: {answer}");
    }
    for (id, species) in rows(&features["updates"]) {
        let before = held.insert(id.clone(), species);
        assert!(before.is_some() || unsure, "{id} was not there: {answer}");
    }
    for id in features["deleteIds"].as_array().unwrap() {
        let gone = held.remove(id.as_str().unwrap());
        assert!(gone.is_some() || unsure, "{id} was not there: {answer}");
    }
}

async fn visible(server: &TestServer, user: &str) -> Held {
    let asked = [("where", "1=1"), ("outFields", "globalid,species")];
    let answer = get_as(server, &token(user), "0/query", &asked).await;
    rows(&answer["features"]).collect()
}

#[tokio::test]
async fn a_withdrawn_right_takes_the_rows_and_a_wider_one_brings_them() {
    let server = closed().await;
    add(&server, "ann", 1, &["ash", "elm"]).await;
    add(&server, "bob", 11, &["fir"]).await;
    let first = create(&server, "bob", &[]).await;
    assert_eq!(hold(&first).len(), 3);
    define(&server, ownership(false, false, false)).await;
    let withdrawn = synchronize(&server, "bob", &first, None).await;
    let features = &withdrawn["edits"][0]["features"];
    assert_eq!(features["deleteIds"].as_array().unwrap().len(), 2, "{withdrawn}");
    assert_eq!((&features["adds"], &features["updates"]), (&json!([]), &json!([])));
    assert!(
        withdrawn["replicaServerGen"].as_i64() > first["replicaServerGen"].as_i64(),
        "who holds it is known to lack them"
    );
    let again = synchronize(&server, "bob", &first, None).await;
    assert_eq!(again["edits"], withdrawn["edits"], "a repeated request gets the same answer");
    let nothing = synchronize(&server, "bob", &withdrawn, None).await;
    assert_eq!(nothing["responseType"], "esriReplicaResponseTypeNoEdits", "{nothing}");
    define(&server, ownership(true, true, true)).await;
    let wider = synchronize(&server, "bob", &nothing, None).await;
    assert_eq!(wider["edits"][0]["features"]["adds"].as_array().unwrap().len(), 2, "{wider}");
    // From before all this: there is nothing to be told, but for what an answer may have taken away since.
    let mut held = hold(&first);
    apply(&mut held, &synchronize(&server, "bob", &first, None).await, true);
    assert_eq!(held, visible(&server, "bob").await);
    assert_eq!(synchronize(&server, "bob", &wider, None).await["responseType"], "esriReplicaResponseTypeNoEdits");
}

#[tokio::test]
async fn rows_that_belong_to_rows_and_attachments_go_and_come_with_them() {
    let server = closed().await;
    server.database.sql("alter table visit add constraint of_oak foreign key (oak_id) references oak (globalid)").await;
    let program = crate::support::program::Program::on(&server.database);
    program.done(&["relate", "--service", "trees", "--origin", "0.globalid", "--destination", "1.oak_id"]);
    server.app.store.reload().await.unwrap();
    add(&server, "ann", 1, &["ash"]).await;
    add(&server, "bob", 2, &["fir"]).await;
    server.database.sql("insert into visit (oak_id, note) select globalid, species from oak").await;
    let related = ("layerQueries", r#"{"1":{"queryOption":"none","includeRelated":true}}"#);
    let first = post_as(&server, &token("bob"), "createReplica", &[("layers", "0,1"), related, EMBEDDED]).await;
    assert_eq!(first["layers"][1]["features"].as_array().unwrap().len(), 2, "{first}");
    define(&server, ownership(false, false, false)).await;
    let withdrawn = synchronize(&server, "bob", &first, None).await;
    for layer in 0..2 {
        assert_eq!(withdrawn["edits"][layer]["features"]["deleteIds"].as_array().unwrap().len(), 1, "{withdrawn}");
    }
    define(&server, json!({"ownershipBasedAccessControlForFeatures": null})).await;
    let wider = synchronize(&server, "bob", &withdrawn, None).await;
    for layer in 0..2 {
        assert_eq!(wider["edits"][layer]["features"]["adds"].as_array().unwrap().len(), 1, "{wider}");
    }
}

#[tokio::test]
async fn a_replica_that_was_given_away_holds_what_its_new_owner_may_see() {
    let server = closed().await;
    define(&server, ownership(false, false, false)).await;
    add(&server, "ann", 1, &["ash"]).await;
    add(&server, "bob", 11, &["fir"]).await;
    let first = create(&server, "ann", &[]).await;
    let id = first["replicaID"].as_str().unwrap();
    // Who manages the service acts for its owner.
    let nothing = synchronize(&server, "boss", &first, None).await;
    assert_eq!(nothing["responseType"], "esriReplicaResponseTypeNoEdits", "{nothing}");
    server.database.sql(&format!("update syncline.replica set owner = 'bob' where replica_id = '{id}'")).await;
    let mut held = hold(&first);
    apply(&mut held, &synchronize(&server, "bob", &first, None).await, false);
    assert_eq!(held, visible(&server, "bob").await);
    // A copy of the administrator's file, registered by somebody who may see less.
    let whole = create(&server, "boss", &[]).await;
    let options = json!({
        "registerExistingData": true, "refReplicaId": whole["replicaID"], "refReplicaServerGen": whole["replicaServerGen"],
    });
    let copy = post_as(
        &server,
        &token("bob"),
        "createReplica",
        &[("replicaOptions", &options.to_string()), ("layers", "0"), EMBEDDED],
    )
    .await;
    let mut held = hold(&whole);
    apply(&mut held, &synchronize(&server, "bob", &copy, None).await, false);
    assert_eq!(held, visible(&server, "bob").await, "{copy}");
}

/// Random histories: users and SQL edit, rules change, answers get lost. After each synchronization that is answered, a device holds what its
/// owner is told by a query, and what it is told of was never more than a query would have told.
#[tokio::test]
async fn what_devices_hold_is_what_queries_tell_whatever_happens() {
    let server = closed().await;
    let mut dice = Dice::new(seed());
    let users = ["ann", "bob"];
    add(&server, "ann", 1, &["n1", "s1"]).await;
    add(&server, "bob", 11, &["n2", "s2"]).await;
    let mut devices = Vec::new();
    for user in users {
        let made = create(&server, user, &[]).await;
        devices.push((user, hold(&made), made, false));
    }
    let mut next = 100;
    for step in 0..at_length(40, 400) {
        match dice.roll(7) {
            0 => {
                let rules = match dice.roll(4) {
                    0 => json!({"rowAccess": [{"role": "editor", "where": "species LIKE 'n%'"}]}),
                    1 => json!({"rowAccess": [{"user": "ann", "where": "species LIKE 's%'"}, {"user": "bob"}]}),
                    _ => json!({"rowAccess": null}),
                };
                define(&server, rules).await;
            }
            1 => define(&server, ownership(dice.roll(2) == 0, true, true)).await,
            2 => {
                next += 1;
                let species = dice.pick(&["n", "s"]);
                let maker = dice.pick(&["ann", "bob", "psql"]);
                let statement = format!(
                    "insert into oak (globalid, species, maker) values ('{}', '{species}{next}', '{maker}')",
                    id(next)
                );
                server.database.sql(&statement).await;
            }
            3 => {
                let species = dice.pick(&["n", "s"]);
                let change = dice.pick(&[
                    "species = '$' || substr(species, 2)",
                    "girth = coalesce(girth, 0) + 1",
                    "maker = 'ann'",
                    "maker = 'bob'",
                ]);
                let change = change.replace('$', species);
                let statement = format!(
                    "update oak set {change} where objectid in (select objectid from oak order by md5(objectid || '{step}') limit 2)"
                );
                server.database.sql(&statement).await;
            }
            4 if dice.roll(3) == 0 => {
                server.database.sql(&format!("delete from oak where objectid in (select objectid from oak order by md5(objectid || '{step}') limit 1)")).await;
            }
            _ => {
                let which = usize::try_from(dice.roll(2)).unwrap();
                let (user, held, last, unsure) = &mut devices[which];
                let answer = synchronize(&server, user, last, None).await;
                let told = visible(&server, user).await;
                let features = &answer["edits"][0]["features"];
                if !features.is_null() {
                    for (id, species) in rows(&features["adds"]).chain(rows(&features["updates"])) {
                        assert_eq!(
                            told.get(&id),
                            Some(&species),
                            "step {step}: {user} is shown more by a synchronization: {answer}"
                        );
                    }
                }
                match dice.roll(4) {
                    // The answer is lost.
                    0 => *unsure = true,
                    // It is applied, and the device dies before it notes that.
                    1 => {
                        apply(held, &answer, *unsure);
                        *unsure = true;
                    }
                    _ => {
                        apply(held, &answer, *unsure);
                        assert_eq!(*held, told, "step {step}: {user}, {answer}");
                        *last = answer;
                        *unsure = false;
                    }
                }
            }
        }
    }
    for (user, mut held, last, unsure) in devices {
        let answer = synchronize(&server, user, &last, None).await;
        apply(&mut held, &answer, unsure);
        assert_eq!(held, visible(&server, user).await, "{user}");
    }
    assert!(!species(&server, "boss").await.is_empty());
}
