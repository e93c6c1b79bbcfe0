//! Fields and indexes that are added and dropped, under living replicas.

use serde_json::{Value as Json, json};

use super::{apply, attempt, change, create, field, id, synchronize, with_admin};
use crate::support::server::error;

#[tokio::test]
async fn a_field_that_is_added_reaches_the_table_its_changes_and_the_replicas_that_are_out() {
    let server = with_admin().await;
    apply(&server, "adds", &json!([{"attributes": {"species": "oak"}}])).await;
    let replica = create(&server).await;
    let new = json!({"fields": [
        {"name": "health", "type": "esriFieldTypeString", "length": 12, "alias": "State of health", "nullable": true, "editable": true,
         "domain": {"type": "codedValue", "name": "Health", "codedValues": [{"name": "Good", "code": "good"}, {"name": "Bad", "code": "bad"}]}},
        {"name": "checked", "type": "esriFieldTypeDate"},
        {"name": "told", "type": "esriFieldTypeTimestampOffset"},
        {"name": "score", "type": "esriFieldTypeInteger", "defaultValue": 7},
    ], "indexes": [{"name": "oak_by_health", "fields": "health,score", "isUnique": false}]});
    change(&server, "0/addToDefinition", new).await;
    let shown = field(&server, "health").await;
    assert_eq!(
        (&shown["type"], &shown["length"], &shown["alias"]),
        (&json!("esriFieldTypeString"), &json!(12), &json!("State of health"))
    );
    assert_eq!(field(&server, "score").await["defaultValue"], 7);
    let layer = server.get("0", &[]).await;
    let index = layer["indexes"].as_array().unwrap().iter().find(|index| index["name"] == "oak_by_health").unwrap();
    assert_eq!(index["fields"], "health,score");

    let oak = server.features(0).await[0]["attributes"].clone();
    assert_eq!(oak["score"], Json::Null, "rows that were there have no value");
    assert!(apply(&server, "adds", &json!([{"attributes": {"health": "soso"}}])).await[0].contains("domain 'Health'"));
    let features = json!({
        "adds": [{"attributes": {"globalid": id(1), "species": "elm", "health": "good"}}],
        "updates": [{"attributes": {"globalid": oak["globalid"], "health": "bad", "checked": 1000,
                     "told": "2003-01-25T17:00:00-05:00"}}],
    });
    let answer = synchronize(&server, &replica, &features).await;
    assert!(answer.get("error").is_none(), "the replica goes on: {answer}");
    let stored: String = server
        .database
        .value(
            "select string_agg(species || ' ' || health || ' ' || coalesce(score, 0), ', ' order by species) from oak",
        )
        .await;
    assert_eq!(stored, "elm good 7, oak bad 0", "the database fills in the default");
    assert_eq!(field(&server, "told").await["type"], "esriFieldTypeTimestampOffset");
    server.database.sql("update oak set health = 'good' where species = 'oak'").await;
    let answer = synchronize(&server, &answer, &json!({})).await;
    assert_eq!(
        answer["edits"][0]["features"]["updates"][0]["attributes"]["told"], "2003-01-25T17:00:00-05:00",
        "{answer}"
    );
    assert_eq!(
        answer["edits"][0]["features"]["updates"][0]["attributes"]["health"], "good",
        "a change of nothing but the new field: {answer}"
    );
    let gaps: i64 = server.database.value("select count(*) from syncline.gap").await;
    assert_eq!(gaps, 0);
    assert!(server.app.store.watch().await.unwrap().problems.is_empty());
}

#[tokio::test]
async fn a_default_can_be_set_and_taken_back() {
    let server = with_admin().await;
    change(
        &server,
        "0/updateDefinition",
        json!({"fields": [{"name": "species", "defaultValue": "o'ak"}, {"name": "planted", "defaultValue": 1000}]}),
    )
    .await;
    apply(&server, "adds", &json!([{"attributes": {"girth": 1}}])).await;
    let row = server.features(0).await[0]["attributes"].clone();
    assert_eq!((&row["species"], &row["planted"]), (&json!("o'ak"), &json!(1000)));
    assert_eq!(server.get("0", &[]).await["templates"][0]["prototype"]["attributes"]["species"], "o'ak");
    change(&server, "0/updateDefinition", json!({"fields": [{"name": "species", "defaultValue": null}]})).await;
    apply(&server, "adds", &json!([{"attributes": {"girth": 2}}])).await;
    assert_eq!(server.database.value::<i64>("select count(*) from oak where species is null").await, 1);
    assert_eq!(field(&server, "species").await["defaultValue"], Json::Null);
}

#[tokio::test]
async fn a_field_goes_only_if_nothing_needs_it() {
    let server = with_admin().await;
    server.database.sql("create view tall as select height from oak where height > 10").await;
    change(&server, "0/updateDefinition", json!({"displayField": "species"})).await;
    let drop = |name: &str| json!({"fields": [{"name": name}]});
    for (name, problem) in [
        ("objectid", "is a key of the layer"),
        ("globalid", "is a key of the layer"),
        ("leaves", "no field 'leaves'"),
        ("height", "cannot drop column"),
        ("species", "displayField"),
    ] {
        let (code, text) = error(&attempt(&server, "0/deleteFromDefinition", &drop(name)).await);
        assert_eq!(code, 400, "{text}");
        assert!(text.contains(problem), "{name}: {text}");
    }
    let replica = create(&server).await;
    let (_, text) = error(&attempt(&server, "0/deleteFromDefinition", &drop("girth")).await);
    assert!(text.contains("1 replicas hold oak") && text.contains("force=true"), "{text}");
    server.post("unRegisterReplica", &[("replicaID", replica["replicaID"].as_str().unwrap())]).await;
    change(&server, "0/deleteFromDefinition", drop("girth")).await;
    let layer = server.get("0", &[]).await;
    assert!(!layer["fields"].to_string().contains("girth"));
    let left: i64 = server.database.value("select count(*) from information_schema.columns where column_name = 'girth' and table_name in ('oak', 'change_1')").await;
    assert_eq!(left, 0);
    apply(&server, "adds", &json!([{"attributes": {"species": "oak"}}])).await;
    assert!(server.app.store.watch().await.unwrap().problems.is_empty());
    let replica = create(&server).await;
    assert!(synchronize(&server, &replica, &json!({})).await.get("error").is_none());
}

#[tokio::test]
async fn what_cannot_be_a_field_is_refused_and_adds_nothing() {
    let server = with_admin().await;
    for (new, problem) in [
        (json!({"name": "a b", "type": "esriFieldTypeString"}), "cannot be a name"),
        (json!({"name": "x\"; drop table oak; --", "type": "esriFieldTypeString"}), "cannot be a name"),
        (json!({"name": "syncline_x", "type": "esriFieldTypeString"}), "cannot be a name"),
        (json!({"name": "SPECIES", "type": "esriFieldTypeString"}), "has a field 'SPECIES' already"),
        (json!({"name": "shape", "type": "esriFieldTypeString"}), "has a field 'shape' already"),
        (json!({"name": "pic", "type": "esriFieldTypeBlob"}), "'esriFieldTypeBlob' is not the type"),
        (json!({"name": "pic", "type": "esriFieldTypeString", "length": 0}), "length 0"),
        (json!({"name": "n", "type": "esriFieldTypeInteger", "defaultValue": "many"}), "'many' is not a whole number"),
    ] {
        let (code, text) = error(
            &attempt(
                &server,
                "0/addToDefinition",
                &json!({"fields": [{"name": "fine", "type": "esriFieldTypeDouble"}, new]}),
            )
            .await,
        );
        assert_eq!(code, 400, "{text}");
        assert!(text.contains(problem), "{new}: {text}");
    }
    let n: i64 =
        server.database.value("select count(*) from information_schema.columns where table_name = 'oak'").await;
    assert_eq!(n, 7);
    for (path, given, said) in [
        ("0/addToDefinition", json!({"layers": [{"name": "x"}]}), "add it to the service"),
        ("deleteFromDefinition", json!({"layers": [{"id": 0}]}), "syncline unpublish"),
        ("0/deleteFromDefinition", json!({"layers": [{"id": 0}]}), "syncline unpublish"),
    ] {
        assert!(error(&attempt(&server, path, &given).await).1.contains(said));
    }
}
