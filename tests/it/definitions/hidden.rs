//! Fields that clients do not see: neither told nor asked for, and kept.

use serde_json::{Value as Json, json};

use super::{apply, attempt, change, create, field, id, synchronize, with_admin};
use crate::support::{TestServer, server::error};

/// The trees, of which nobody is to see the girth.
async fn with_secret() -> TestServer {
    let server = with_admin().await;
    server.database.sql("insert into oak (species, girth, height) values ('elm', 7, 2), ('fir', 8, 3)").await;
    change(&server, "0/updateDefinition", json!({"fields": [{"name": "girth", "visible": false}]})).await;
    server
}

fn names(document: &Json) -> Vec<&str> {
    document["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_hidden_field_is_in_no_document_and_no_answer() {
    let server = with_secret().await;
    for path in ["0", "layers"] {
        let document = server.get(path, &[]).await;
        let layer = if path == "0" { document } else { document["layers"][0].clone() };
        assert_eq!(names(&layer), ["objectid", "globalid", "species", "height", "planted"]);
        assert!(layer["templates"][0]["prototype"]["attributes"].get("girth").is_none());
    }
    let answer = server.get("0/query", &[("where", "1=1"), ("outFields", "*")]).await;
    assert_eq!(names(&answer), ["objectid", "globalid", "species", "height", "planted"]);
    assert!(answer["features"][0]["attributes"].get("girth").is_none());
    assert!(server.get("0/1", &[]).await["feature"]["attributes"].get("girth").is_none());
    let shown = server.get(&super::admin("0"), &[("token", super::TOKEN)]).await;
    assert_eq!(
        shown["adminLayerInfo"]["definition"]["fields"],
        json!([{"name": "girth", "visible": false}]),
        "administrators are told"
    );
    change(&server, "0/updateDefinition", json!({"fields": [{"name": "girth", "visible": true}]})).await;
    assert_eq!(field(&server, "girth").await["visible"], true);
}

#[tokio::test]
async fn a_hidden_field_cannot_be_asked_for_in_any_way() {
    let server = with_secret().await;
    let statistics = |field: &str| json!([{"statisticType": "max", "onStatisticField": field}]).to_string();
    let count = json!([{"statisticType": "count", "onStatisticField": "objectid"}]).to_string();
    let layer_defs = json!({"0": "girth > 1"}).to_string();
    for (path, parameters) in [
        ("0/query", vec![("outFields", "girth")]),
        ("0/query", vec![("where", "Girth > 7")]),
        ("0/query", vec![("where", "species = 'a' OR CASE girth WHEN 7 THEN 1 END = 1")]),
        ("0/query", vec![("orderByFields", "girth")]),
        ("0/query", vec![("orderByFields", "girth * 2 DESC")]),
        ("0/query", vec![("outStatistics", &statistics("girth"))]),
        ("0/query", vec![("outStatistics", &statistics("girth + 1"))]),
        ("0/query", vec![("outStatistics", &count), ("groupByFieldsForStatistics", "girth")]),
        ("0/query", vec![("outStatistics", &count), ("having", "MAX(girth) > 7")]),
        ("0/query", vec![("returnDistinctValues", "true"), ("outFields", "girth")]),
        ("query", vec![("layerDefs", &layer_defs)]),
        ("0/deleteFeatures", vec![("where", "girth = 7")]),
        ("0/calculate", vec![("where", "girth = 7"), ("calcExpression", r#"{"field":"species","value":"a"}"#)]),
        ("0/calculate", vec![("where", "1=1"), ("calcExpression", r#"{"field":"height","sqlExpression":"girth"}"#)]),
    ] {
        let (code, words) = error(&server.post(path, &parameters).await);
        // As if it were not there: neither is it among the fields that there are, nor is it told apart from them.
        let refused = words.to_lowercase();
        let listed = refused.split("the fields are").nth(1);
        let as_unknown = refused.contains("there is no field 'girth'") || refused.contains("unknown field 'girth'");
        assert!(
            code == 400
                && as_unknown
                && listed.is_some_and(|listed| listed.contains("objectid") && !listed.contains("girth")),
            "{path} {parameters:?}: {words}"
        );
    }
    let verdict = server.get("0/validateSQL", &[("sql", "girth > 7")]).await;
    assert_eq!(verdict["validationErrors"][0]["errorCode"], 3008, "{verdict}");
    assert_eq!(server.database.value::<i64>("select count(*) from oak where species in ('elm', 'fir')").await, 2);
}

#[tokio::test]
async fn a_hidden_field_is_kept_by_edits_and_stays_in_replicas() {
    let server = with_secret().await;
    apply(&server, "updates", &json!([{"attributes": {"objectid": 1, "species": "ash"}}])).await;
    assert_eq!(server.database.value::<i32>("select girth from oak where species = 'ash'").await, 7);
    let edits = json!([{"id": 0, "updates": [{"attributes": {"objectid": 1, "height": 4}}]}]).to_string();
    let images = ("returnServiceEditsOption", "originalAndCurrentFeatures");
    let answer = server.post("applyEdits", &[("edits", &edits), images]).await;
    let [before, after] = [0, 1].map(|index| answer[0]["editedFeatures"]["updates"][0][index]["attributes"].clone());
    assert_eq!((&before["height"], &after["height"]), (&json!(2.0), &json!(4.0)), "{answer}");
    assert!(before.get("girth").is_none() && after.get("girth").is_none(), "{answer}");
    let replica = create(&server).await;
    let held = replica["layers"][0]["features"].as_array().unwrap();
    let ash = held.iter().find(|feature| feature["attributes"]["species"] == "ash").unwrap();
    assert_eq!(ash["attributes"]["girth"], 7, "a device sends back what it holds, all of it: {replica}");
    let add = json!({"adds": [{"attributes": {"globalid": id(1), "species": "yew", "girth": 9}}]});
    synchronize(&server, &replica, &add).await;
    assert_eq!(server.database.value::<i32>("select girth from oak where species = 'yew'").await, 9);
}

#[tokio::test]
async fn what_clients_need_cannot_be_hidden() {
    let server = with_secret().await;
    for name in ["objectid", "globalid", "planted"] {
        let given = json!({"fields": [{"name": name, "visible": false}], "timeInfo": {"startTimeField": "planted"}});
        let (code, words) = error(&attempt(&server, "0/updateDefinition", &given).await);
        assert!(
            code == 400 && words.contains(&format!("field '{name}': visible is false, and clients need it")),
            "{words}"
        );
    }
}
