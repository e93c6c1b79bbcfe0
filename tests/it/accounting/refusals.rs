//! Edits that the database refuses, among many that it takes.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{Field, edits, id};
use crate::support::{TestServer, server::error};

/// A table with a rule of each kind.
async fn with_rules() -> TestServer {
    let server = TestServer::new().await;
    server
        .database
        .sql(
            "create table kind (kind integer primary key); insert into kind values (1), (2);
             create table tree (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique,
               girth integer check (girth > 0), label text unique, kind integer references kind, mother uuid);
             create function no_ash() returns trigger language plpgsql as
               $$ begin if new.label = 'ash' then raise exception 'no ash here'; end if; return new; end $$;
             create trigger no_ash before insert or update on tree for each row execute function no_ash()",
        )
        .await;
    server.publish("tree").await;
    server
}

/// The codes of refused edits, by the number in their global ids.
fn refused(results: &Json) -> BTreeMap<usize, i64> {
    let number = |result: &Json| result["globalId"].as_str().unwrap()[25..37].parse().unwrap();
    results.as_array().unwrap().iter().map(|one| (number(one), one["error"]["code"].as_i64().unwrap())).collect()
}

#[tokio::test]
async fn each_bad_edit_among_many_is_refused_for_its_own_reason_and_the_others_are_applied() {
    let server = with_rules().await;
    let mut field = Field::new(&server, &[]).await;
    let trees: Vec<Json> = (0..700)
        .map(|n| {
            let mut tree = json!({"globalid": id(n), "girth": 1, "label": format!("tree {n}"), "kind": 1, "mother": id((n + 1) % 700)});
            match n {
                0 | 7 | 8 | 333 => tree["girth"] = (-1).into(),
                50..=52 => tree["label"] = "same".into(),
                100 | 699 => tree["kind"] = 9.into(),
                200 | 201 => tree["label"] = "ash".into(),
                _ => {}
            }
            json!({"attributes": tree})
        })
        .collect();
    let expected: BTreeMap<usize, i64> = [
        (0, 1016),
        (7, 1016),
        (8, 1016),
        (333, 1016),
        (51, 1022),
        (52, 1022),
        (100, 1016),
        (699, 1016),
        (200, 1000),
        (201, 1000),
    ]
    .into();
    let answer = field.synchronize(&edits(&json!(trees), &json!([]), &json!([])), &[]).await;
    let results = &answer["edits"][0]["features"]["addResults"];
    assert_eq!(refused(results), expected);
    let reason = |n: usize| {
        let found = results.as_array().unwrap().iter().find(|one| one["globalId"] == json!(id(n)));
        found.unwrap()["error"]["description"].as_str().unwrap().to_owned()
    };
    assert!(reason(333).contains("'tree_girth_check'"), "{}", reason(333));
    assert!(reason(52).contains("'tree_label_key'"), "{}", reason(52));
    assert!(reason(699).contains("'tree_kind_fkey'"), "{}", reason(699));
    assert!(reason(200).contains("no ash here"), "{}", reason(200));
    assert_eq!(server.database.value::<i64>("select count(*) from tree").await, 690);
    assert_eq!(
        server.database.value::<i64>("select count(*) from tree where label = 'same'").await,
        1,
        "of edits that exclude each other the first wins"
    );

    let updates: Vec<Json> = (0..700)
        .filter(|n| !expected.contains_key(n))
        .map(|n| json!({"attributes": {"globalid": id(n), "girth": if n % 90 == 5 { -1 } else { 2 }, "kind": 2}}))
        .collect();
    let answer = field.synchronize(&edits(&json!([]), &json!(updates), &json!([])), &[]).await;
    let codes = refused(&answer["edits"][0]["features"]["updateResults"]);
    assert_eq!(codes, (0..700).filter(|n| n % 90 == 5).map(|n| (n, 1016)).collect());
    assert_eq!(server.database.value::<i64>("select count(*) from tree where girth = 2 and kind = 2").await, 682);
}

#[tokio::test]
async fn f16_edits_that_were_undone_name_the_edit_that_undid_them() {
    let server = with_rules().await;
    let adds = json!([
        {"attributes": {"globalid": id(1), "girth": 1}}, {"attributes": {"globalid": id(2), "girth": -1}},
        {"attributes": {"globalid": id(3), "girth": -2}},
    ]);
    let answer = server.post("0/applyEdits", &[("adds", &adds.to_string()), ("useGlobalIds", "true")]).await;
    let said: Vec<(i64, String)> = answer["addResults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| {
            (result["error"]["code"].as_i64().unwrap(), result["error"]["description"].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(said[0].0, 1003);
    assert!(said[0].1.contains(&format!("because of edit 2 of layer 0, the add of {}", id(2))), "{}", said[0].1);
    assert_eq!((said[1].0, said[2].0), (1016, 1016));

    let mut field = Field::new(&server, &[]).await;
    let answer = field.synchronize(&edits(&adds, &json!([]), &json!([])), &[("rollbackOnFailure", "true")]).await;
    let (_, words) = error(&answer);
    assert!(words.contains("2 of 3 edits failed"), "{words}");
    let first = answer["error"]["details"][1].as_str().unwrap();
    assert!(first.starts_with("the first to fail: ") && first.contains(&id(2)), "{words}");
}
