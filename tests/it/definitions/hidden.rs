//! Fields that clients do not see: neither told nor asked for, and kept.

use serde_json::{Value as Json, json};

use super::{EMBEDDED, apply, attempt, change, create, field, id, synchronize, with_admin};
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
async fn a_hidden_field_is_kept_by_edits_and_in_no_replica() {
    let server = with_secret().await;
    apply(&server, "updates", &json!([{"attributes": {"objectid": 1, "species": "ash", "girth": 1}}])).await;
    assert_eq!(
        server.database.value::<i32>("select girth from oak where species = 'ash'").await,
        7,
        "not by naming it"
    );
    let edits = json!([{"id": 0, "updates": [{"attributes": {"objectid": 1, "height": 4}}]}]).to_string();
    let images = ("returnServiceEditsOption", "originalAndCurrentFeatures");
    let answer = server.post("applyEdits", &[("edits", &edits), images]).await;
    let [before, after] = [0, 1].map(|index| answer[0]["editedFeatures"]["updates"][0][index]["attributes"].clone());
    assert_eq!((&before["height"], &after["height"]), (&json!(2.0), &json!(4.0)), "{answer}");
    assert!(before.get("girth").is_none() && after.get("girth").is_none(), "{answer}");
    let replica = create(&server).await;
    assert!(!replica.to_string().contains("girth"), "{replica}");
    let add = json!({"adds": [{"attributes": {"globalid": id(1), "species": "yew", "girth": 9}}]});
    synchronize(&server, &replica, &add).await;
    assert_eq!(
        server.database.value::<i64>("select count(*) from oak where species = 'yew' and girth is null").await,
        1
    );
    let noted = server.database.value::<String>("select message from syncline.receipt order by batch_id desc limit 1");
    assert_eq!(noted.await, r#"{"girth":9}"#, "whoever sent it can be told");
    server.database.sql("update oak set girth = 8 where species in ('ash', 'fir')").await;
    let answer = synchronize(&server, &replica, &json!({})).await;
    assert_eq!(answer["edits"][0]["features"]["updates"].as_array().unwrap().len(), 2, "{answer}");
    assert!(!answer.to_string().contains("girth"), "{answer}");
    let changes = server
        .post("extractChanges", &[("layerServerGens", r#"[{"id":0,"serverGen":1}]"#), ("dataFormat", "json"), EMBEDDED])
        .await;
    assert!(changes["edits"][0]["features"].is_object() && !changes.to_string().contains("girth"), "{changes}");
}

#[tokio::test]
async fn a_hidden_field_is_none_to_choose_a_replica_or_changes_by() {
    let server = with_secret().await;
    let chosen = json!({"0": {"queryOption": "useFilter", "where": "girth > 7"}}).to_string();
    let fields = json!({"0": {"queryOption": "all", "fields": ["girth"]}}).to_string();
    let since = ("layerServerGens", r#"[{"id":0,"serverGen":1}]"#);
    for (path, parameters) in [
        ("createReplica", vec![("layers", "0"), ("layerQueries", &*chosen), EMBEDDED]),
        ("createReplica", vec![("layers", "0"), ("syncModel", "none"), ("layerQueries", &*fields), EMBEDDED]),
        ("extractChanges", vec![since, ("layerQueries", &*chosen), EMBEDDED]),
        ("extractChanges", vec![since, ("fieldsToCompare", r#"["girth"]"#), EMBEDDED]),
    ] {
        let (code, words) = error(&server.post(path, &parameters).await);
        let listed = words.split_once("girth").unwrap_or_else(|| panic!("{path}: {words}")).1;
        assert!(code == 400 && !listed.contains("girth"), "{path} {parameters:?}: {words}");
    }
}

/// The girths of a list of features, and whether each is named at all.
fn girths(list: &Json) -> Vec<Option<Json>> {
    list.as_array()
        .unwrap_or_else(|| panic!("{list}"))
        .iter()
        .map(|row| row["attributes"].get("girth").cloned())
        .collect()
}

#[tokio::test]
async fn a_field_that_becomes_hidden_is_taken_from_devices_and_comes_back_when_it_is_shown() {
    let server = with_admin().await;
    server.database.sql("insert into oak (species, girth) values ('elm', 7), ('fir', 8)").await;
    let first = create(&server).await;
    assert_eq!(girths(&first["layers"][0]["features"]), [Some(json!(7)), Some(json!(8))]);
    let show = async |visible: bool| {
        change(&server, "0/updateDefinition", json!({"fields": [{"name": "girth", "visible": visible}]})).await;
    };
    show(false).await;
    let hidden = synchronize(&server, &first, &json!({})).await;
    assert_eq!(girths(&hidden["edits"][0]["features"]["updates"]), [Some(Json::Null), Some(Json::Null)], "{hidden}");
    let again = synchronize(&server, &first, &json!({})).await;
    assert_eq!(again["edits"], hidden["edits"], "a repeated request gets the same answer");
    let nothing = synchronize(&server, &hidden, &json!({})).await;
    assert_eq!(nothing["responseType"], "esriReplicaResponseTypeNoEdits", "{nothing}");
    // It is a column of the device, which it sends back, empty.
    let row = &first["layers"][0]["features"][0]["attributes"]["globalid"];
    let update = json!({"updates": [{"attributes": {"globalid": row, "species": "ash", "girth": null}}]});
    let uploaded = synchronize(&server, &nothing, &update).await;
    assert_eq!(server.database.value::<i32>("select girth from oak where species = 'ash'").await, 7);
    server.database.sql("insert into oak (species, girth) values ('yew', 9)").await;
    let more = synchronize(&server, &uploaded, &json!({})).await;
    assert_eq!(girths(&more["edits"][0]["features"]["adds"]), [Some(Json::Null)], "{more}");
    show(true).await;
    let shown = synchronize(&server, &more, &json!({})).await;
    let values = girths(&shown["edits"][0]["features"]["updates"]);
    assert_eq!(values.len(), 3, "{shown}");
    assert!([7, 8, 9].iter().all(|girth| values.contains(&Some(json!(girth)))), "{shown}");
    // From before it was hidden, an answer without it may have been applied since.
    let old = synchronize(&server, &first, &json!({})).await;
    let features = &old["edits"][0]["features"];
    let told = [girths(&features["adds"]), girths(&features["updates"])].concat();
    assert!(told.len() == 3 && told.iter().all(|girth| matches!(girth, Some(Json::Number(_)))), "{old}");
    assert_eq!(synchronize(&server, &shown, &json!({})).await["responseType"], "esriReplicaResponseTypeNoEdits");
}

#[tokio::test]
async fn a_hidden_field_that_takes_no_null_is_emptied_on_devices_that_have_it() {
    let server = with_admin().await;
    let columns = "alter table oak add kind text not null default 'x', add seen timestamptz not null default now(), add nr smallint not null default 5, \
         add ref uuid not null default gen_random_uuid(), add share numeric(6,2) not null default 1.5, add done boolean not null default true, \
         add day date not null default now(), add hour time not null default '08:00'";
    server.database.sql(columns).await;
    server.app.store.repair("trees", syncline::model::id::LayerId(0), false).await.unwrap();
    server.database.sql("insert into oak (species) values ('elm')").await;
    let first = create(&server).await;
    let names = ["kind", "seen", "nr", "ref", "share", "done", "day", "hour"];
    let hidden: Vec<Json> = names.iter().map(|name| json!({"name": name, "visible": false})).collect();
    change(&server, "0/updateDefinition", json!({"fields": hidden})).await;
    let answer = synchronize(&server, &first, &json!({})).await;
    let row = &answer["edits"][0]["features"]["updates"][0]["attributes"];
    let empty = json!(["", 0, 0, "{00000000-0000-0000-0000-000000000000}", 0.0, 0, "1970-01-01", "00:00:00"]);
    assert_eq!(Json::from(names.map(|name| row[name].clone()).to_vec()), empty, "{answer}");
    let add = json!({"adds": [{"attributes": {"globalid": id(1), "species": "yew", "kind": "", "nr": 0}}]});
    synchronize(&server, &answer, &add).await;
    let stored = server.database.value::<String>("select kind || nr from oak where species = 'yew'").await;
    assert_eq!(stored, "x5", "the database's own defaults");
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

#[tokio::test]
async fn an_index_of_a_hidden_field_is_not_told() {
    let server = with_secret().await;
    server
        .database
        .sql("create index by_girth on oak (girth, species); create index by_species on oak (species)")
        .await;
    let indexes = server.get("0", &[]).await["indexes"].to_string();
    assert!(indexes.contains("by_species") && !indexes.contains("girth"), "{indexes}");
}

#[tokio::test]
async fn types_domains_and_symbols_tell_nothing_of_a_hidden_field() {
    let server = with_secret().await;
    let domain = json!({"type": "range", "name": "GirthRange", "range": [1, 4711]});
    let given = json!({
        "typeIdField": "height",
        "types": [{
            "id": 1.0, "name": "tall", "domains": {"girth": domain},
            "templates": [{"name": "t", "description": "", "prototype": {"attributes": {"girth": 4711, "species": "oak"}}}],
        }],
        "drawingInfo": {"renderer": {
            "type": "uniqueValue", "field1": "GIRTH", "uniqueValueInfos": [{"value": "4711", "label": "thick", "symbol": {}}],
        }},
    });
    change(&server, "0/updateDefinition", given).await;
    let ask = async |path: &str| server.get(path, &[]).await.to_string().to_lowercase();
    for path in ["0", "layers", "queryDomains", "relationships"] {
        let told = ask(path).await;
        assert!(!told.contains("girth") && !told.contains("4711"), "{path}: {told}");
    }
    assert!(ask("0").await.contains("\"drawinginfo\":{\"renderer\":{\"type\":\"simple\""));
    change(&server, "0/updateDefinition", json!({"typeIdField": "", "types": []})).await;
    let given = json!({
        "subtypeField": "height",
        "subtypes": [{"code": 1, "name": "tall", "defaultValues": {"girth": 4711, "species": "oak"}, "domains": {"girth": domain}}],
    });
    let answer = attempt(&server, "0/updateDefinition", &given).await;
    if answer["success"] == true {
        for path in ["0", "layers", "queryDomains"] {
            let told = ask(path).await;
            assert!(!told.contains("girth") && !told.contains("4711"), "{path}: {told}");
        }
    }
}

#[tokio::test]
async fn a_rule_of_the_table_about_a_hidden_field_is_refused_without_its_name() {
    let server = with_secret().await;
    server.database.sql("delete from oak; alter table oak alter girth set not null").await;
    server.app.store.repair("trees", syncline::model::id::LayerId(0), false).await.unwrap();
    let answer = server.post("0/addFeatures", &[("features", r#"[{"attributes": {"species": "oak"}}]"#)]).await;
    assert_eq!(answer["addResults"][0]["error"]["code"], 1001, "{answer}");
    assert!(!answer.to_string().contains("girth"), "{answer}");
}

#[tokio::test]
async fn conflicts_and_explanations_have_no_hidden_field() {
    let server = with_admin().await;
    server.database.sql("insert into oak (species, girth) values ('elm', 7)").await;
    let first = create(&server).await;
    server.database.sql("update oak set species = 'fir', girth = 8").await;
    let row = &first["layers"][0]["features"][0]["attributes"]["globalid"];
    let update = json!({"updates": [{"attributes": {"globalid": row, "species": "ash"}}]});
    synchronize(&server, &first, &update).await;
    let conflicts = async || server.get("conflicts", &[]).await;
    assert_eq!(conflicts().await["conflicts"][0]["server"]["attributes"]["girth"], 8);
    change(&server, "0/updateDefinition", json!({"fields": [{"name": "girth", "visible": false}]})).await;
    let shown = conflicts().await;
    assert!(shown["conflicts"][0]["server"].is_object() && !shown.to_string().contains("girth"), "{shown}");
    let path = format!("replicas/{}/explain", first["replicaID"].as_str().unwrap());
    let asked = [("layer", "0"), ("globalId", row.as_str().unwrap())];
    let explained = server.get(&path, &asked).await;
    assert!(explained.get("error").is_none() && !explained.to_string().contains("girth"), "{explained}");
}
