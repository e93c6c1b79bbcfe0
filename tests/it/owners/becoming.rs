//! What rows may become: an edit that would leave a row as none that its sender may have is refused by itself, whichever way it comes.

use serde_json::{Value as Json, json};

use super::{EMBEDDED, add, closed, code, create, define, get_as, id, post_as, species, synchronize, token};
use crate::support::{TestServer, server::error};

/// Edits of layer 0, each with the code of its refusal, or 0.
async fn apply(server: &TestServer, user: &str, list: &str, edits: Json) -> Vec<i64> {
    let given = [(list, &*edits.to_string()), ("useGlobalIds", "true"), ("rollbackOnFailure", "false")];
    let answer = post_as(server, &token(user), "0/applyEdits", &given).await;
    let results = answer[list.replace('s', "Results")].as_array().unwrap_or_else(|| panic!("{answer}"));
    results.iter().map(|result| result["error"]["code"].as_i64().unwrap_or(0)).collect()
}

fn row(number: u32, species: &str) -> Json {
    json!({"attributes": {"globalid": id(number), "species": species}})
}

/// Trees of the north and of the south; editors have the north.
async fn divided() -> TestServer {
    let server = closed().await;
    add(&server, "boss", 1, &["n1", "n2", "s3"]).await;
    define(&server, json!({"rowAccess": [{"role": "editor", "where": "species LIKE 'n%'"}]})).await;
    server
}

#[tokio::test]
async fn s18_edits_of_connected_clients_leave_no_row_outside_of_what_its_sender_may_have() {
    let server = divided().await;
    assert_eq!(apply(&server, "ann", "updates", json!([row(1, "n9"), row(2, "s9")])).await, [0, 1007]);
    assert_eq!(
        apply(&server, "ann", "adds", json!([row(11, "s"), row(12, "n12"), row(1, "s1")])).await,
        [1007, 0, 1007]
    );
    let nothing = json!([{"attributes": {"globalid": id(13)}}]);
    assert_eq!(
        apply(&server, "ann", "adds", nothing).await,
        [1007],
        "of what is null nobody can say that it is the north's"
    );
    assert_eq!(species(&server, "boss").await, ["n12", "n2", "n9", "s3"]);
    let edits = json!([row(1, "n1"), row(2, "s9")]).to_string();
    let whole = post_as(&server, &token("ann"), "0/applyEdits", &[("updates", &edits), ("useGlobalIds", "true")]).await;
    assert!(whole.to_string().contains("rowAccess"), "{whole}");
    assert_eq!(species(&server, "boss").await, ["n12", "n2", "n9", "s3"], "all or nothing");
    let set = [
        ("where", "1=1"),
        (
            "calcExpression",
            r#"[{"field":"species","sqlExpression":"CASE species WHEN 'n2' THEN 's2' ELSE species END"}]"#,
        ),
    ];
    let (code, words) = error(&post_as(&server, &token("ann"), "0/calculate", &set).await);
    assert!(code == 400 && words.contains("rowAccess") && words.contains("user ann"), "{words}");
    assert_eq!(species(&server, "boss").await, ["n12", "n2", "n9", "s3"]);
    assert_eq!(apply(&server, "boss", "updates", json!([row(2, "s2")])).await, [0], "who manages the service may");
}

#[tokio::test]
async fn s18_uploads_leave_no_row_outside_and_what_is_refused_is_kept() {
    let server = divided().await;
    let replica = create(&server, "ann", &[]).await;
    let edits = json!({"adds": [row(11, "s11"), row(12, "n12")], "updates": [row(1, "s1"), row(2, "n22")]});
    let answer = synchronize(&server, "ann", &replica, Some(edits)).await;
    let features = &answer["edits"][0]["features"];
    assert_eq!(features["addResults"][0]["error"]["code"], 1007, "{answer}");
    assert_eq!(features["updateResults"][0]["error"]["code"], 1007, "{answer}");
    assert_eq!(species(&server, "boss").await, ["n1", "n12", "n22", "s3"]);
    let asked = [("state", "open"), ("replicaID", replica["replicaID"].as_str().unwrap())];
    let open = get_as(&server, &token("ann"), "rejectedEdits", &asked).await["rejectedEdits"].clone();
    assert_eq!(open.as_array().unwrap().len(), 2, "{open}");
    let of_row = open.as_array().unwrap().iter().find(|one| one["operation"] == "update").unwrap();
    let path = format!("rejectedEdits/{}/apply", of_row["rejectedEditId"]);
    let again = post_as(&server, &token("ann"), &path, &[]).await;
    assert_eq!(again["result"]["error"]["code"], 1007, "{again}");
    assert_eq!(post_as(&server, &token("boss"), &path, &[]).await["success"], true);
    let gone = synchronize(&server, "ann", &answer, None).await;
    assert_eq!(gone["edits"][0]["features"]["deleteIds"], json!([id(1)]), "{gone}");
}

#[tokio::test]
async fn s18_undoing_leaves_no_row_outside() {
    let server = closed().await;
    add(&server, "boss", 1, &["s1", "s2"]).await;
    assert_eq!(apply(&server, "ann", "updates", json!([row(1, "n1")])).await, [0]);
    define(&server, json!({"rowAccess": [{"role": "editor", "check": "species LIKE 'n%'"}]})).await;
    let batches = get_as(&server, &token("ann"), "batches", &[]).await;
    let path = format!("batches/{}/undo", batches["batches"][0]["batchId"]);
    let undone = post_as(&server, &token("ann"), &path, &[]).await;
    assert_eq!(undone["failed"][0]["error"]["code"], 1007, "{undone}");
    assert_eq!(species(&server, "boss").await, ["n1", "s2"]);
    assert_eq!(species(&server, "ann").await, ["n1", "s2"], "a check keeps no rows from anybody");
    assert_eq!(post_as(&server, &token("boss"), &path, &[]).await["success"], true);
    assert_eq!(species(&server, "boss").await, ["s1", "s2"]);
}

#[tokio::test]
async fn work_can_be_handed_on_where_a_rule_says_so() {
    let server = divided().await;
    define(
        &server,
        json!({"rowAccess": [{"role": "editor", "where": "species LIKE 'n%'", "check": "species <> 'x'"}]}),
    )
    .await;
    let replica = create(&server, "ann", &[]).await;
    let edits = json!({"updates": [row(1, "s1"), row(2, "x")]});
    let answer = synchronize(&server, "ann", &replica, Some(edits)).await;
    let features = &answer["edits"][0]["features"];
    assert_eq!(features["updateResults"].as_array().map(Vec::len), Some(1), "{answer}");
    assert_eq!(features["deleteIds"], json!([id(1)]), "what was handed on is not theirs any more: {answer}");
    assert_eq!(species(&server, "boss").await, ["n2", "s1", "s3"]);
    let path = "/arcgis/rest/admin/services/trees/FeatureServer/0/updateDefinition";
    let wrong = json!({"rowAccess": [{"role": "editor", "check": "sort = 1"}]}).to_string();
    let (_, words) = error(&post_as(&server, &token("boss"), path, &[("updateDefinition", &wrong)]).await);
    assert!(words.contains("rowAccess: rule 1: check: "), "{words}");
}

#[tokio::test]
async fn what_the_table_itself_makes_of_a_row_counts_and_one_bad_row_stops_no_other() {
    let server = divided().await;
    let trigger = "create function pg_temp.north() returns trigger language plpgsql as \
         $$ begin if new.species = 'auto' then new.species := 'north'; end if; return new; end $$";
    server.database.sql(&trigger.replace("pg_temp.", "public.")).await;
    server.database.sql("create trigger north before insert on oak for each row execute function public.north()").await;
    let many: Vec<Json> =
        (100..7_100).map(|number| row(number, if number % 1_000 == 77 { "south" } else { "auto" })).collect();
    let codes = apply(&server, "ann", "adds", many.into()).await;
    let refused: Vec<usize> =
        codes.iter().enumerate().filter(|(_, code)| **code == 1007).map(|(at, _)| at + 100).collect();
    assert_eq!(refused, [1_077, 2_077, 3_077, 4_077, 5_077, 6_077, 7_077]);
    assert_eq!(server.database.value::<i64>("select count(*) from oak where species = 'north'").await, 6_993);
    let asked = [("where", "1=1"), ("returnCountOnly", "true")];
    assert_eq!(code(&get_as(&server, &token("ann"), "0/query", &asked).await), 200);
    let copy = create(&server, "ann", &[("syncModel", "none"), EMBEDDED]).await;
    assert_eq!(copy["layers"][0]["features"].as_array().unwrap().len(), 6_995);
}
