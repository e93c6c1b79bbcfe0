//! Domains, needed values, types: shown to clients, and kept by every way in.

use serde_json::{Value as Json, json};

use super::{apply, attempt, change, create, field, id, synchronize, with_admin};
use crate::support::{TestServer, server::error};

fn species() -> Json {
    json!({"type": "codedValue", "name": "Species", "codedValues": [{"name": "Oak", "code": "oak"}, {"name": "Elm", "code": "elm"}]})
}

async fn with_domains() -> TestServer {
    let server = with_admin().await;
    let fields = json!([
        {"name": "species", "domain": species(), "alias": "Kind of tree", "nullable": false},
        {"name": "girth", "domain": {"type": "range", "name": "Girth", "range": [1, 500]}},
        {"name": "height", "domain": {"type": "range", "name": "Height", "range": [0.5, 60]}},
        {"name": "planted", "domain": {"type": "range", "name": "Planted", "range": [0, 1_000_000_000_000_i64]}},
    ]);
    change(&server, "0/updateDefinition", json!({"fields": fields})).await;
    server
}

#[tokio::test]
async fn a_domain_is_shown_whole_with_the_alias_and_whether_a_value_is_needed() {
    let server = with_domains().await;
    let shown = field(&server, "species").await;
    assert_eq!(shown["alias"], "Kind of tree");
    assert_eq!(shown["nullable"], false);
    assert_eq!(shown["domain"]["type"], "codedValue");
    assert_eq!(shown["domain"]["codedValues"], species()["codedValues"]);
    assert_eq!(shown["domain"]["mergePolicy"], "esriMPTDefaultValue");
    assert_eq!(field(&server, "girth").await["domain"]["range"], json!([1, 500]));
    assert_eq!(field(&server, "objectid").await["domain"], Json::Null);
    let answer = server.get("0/query", &[("where", "1=1"), ("outFields", "species")]).await;
    assert_eq!(answer["fields"][1]["domain"]["name"], "Species", "feature sets say it as well");
    let all = server.get("queryDomains", &[]).await;
    let names: Vec<&str> =
        all["domains"].as_array().unwrap().iter().map(|domain| domain["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Species", "Height", "Girth", "Planted"]);
    assert_eq!(server.get("queryDomains", &[("layers", "[1]")]).await, json!({"domains": []}));
    assert!(error(&server.get("queryDomains", &[("layers", "7")]).await).1.contains("no layer or table 7"));
}

#[tokio::test]
async fn values_outside_of_their_domain_are_refused_by_name_and_store_nothing() {
    let server = with_domains().await;
    let adds = json!([
        {"attributes": {"species": "oak", "girth": 500, "height": 0.5, "planted": 0}},
        {"attributes": {"species": "palm"}},
        {"attributes": {"species": "elm", "girth": 501}},
        {"attributes": {"species": "elm", "height": 60.01}},
        {"attributes": {"species": "elm", "planted": -1}},
        {"attributes": {"species": null}},
        {"attributes": {"girth": 3}},
        {"attributes": {"species": "elm", "girth": null}},
    ]);
    let refused = apply(&server, "adds", &adds).await;
    assert_eq!(refused[0], "");
    assert_eq!(
        refused[1],
        "field 'species': 'palm' is not one of the values of domain 'Species', which are 'elm', 'oak'"
    );
    assert_eq!(refused[2], "field 'girth': 501 is not one of the values of domain 'Girth', which are 1 to 500");
    assert!(refused[3].contains("60.01") && refused[3].contains("0.5 to 60"), "{}", refused[3]);
    assert!(refused[4].contains("-1 is not one of the values of domain 'Planted'"), "{}", refused[4]);
    assert_eq!(
        (refused[5].as_str(), refused[6].as_str()),
        ("field 'species' needs a value", "field 'species' needs a value")
    );
    assert_eq!(refused[7], "", "a domain says nothing about null");
    let rows = server.features(0).await;
    assert_eq!(rows.len(), 2);
    let update = json!([{"attributes": {"objectid": rows[0]["attributes"]["objectid"], "girth": 0}}]);
    assert!(apply(&server, "updates", &update).await[0].contains("domain 'Girth'"));
    assert_eq!(server.database.value::<i64>("select count(*) from oak where girth = 0 or species = 'palm'").await, 0);
}

#[tokio::test]
async fn an_upload_of_a_replica_is_held_to_domains_too_and_what_is_refused_is_kept() {
    let server = with_domains().await;
    let replica = create(&server).await;
    let adds = json!([{"attributes": {"globalid": id(1), "species": "palm"}}, {"attributes": {"globalid": id(2), "species": "elm"}}]);
    let answer = synchronize(&server, &replica, &json!({"adds": adds})).await;
    assert!(answer.get("error").is_none(), "{answer}");
    let results = &answer["edits"][0]["features"]["addResults"];
    assert_eq!(results[0]["error"]["code"], 1016, "{answer}");
    assert!(results[0]["error"]["description"].as_str().unwrap().contains("domain 'Species'"));
    assert_eq!(server.features(0).await.len(), 1);
    let kept = server.get("rejectedEdits", &[]).await;
    assert!(kept.to_string().contains("palm"), "{kept}");
}

#[tokio::test]
async fn a_definition_that_does_not_fit_the_table_is_refused_with_every_problem_and_changes_nothing() {
    let server = with_admin().await;
    let before = server.get("0", &[]).await;
    let wrong = [
        (json!({"fields": [{"name": "leaves", "alias": "x"}]}), "no field 'leaves'"),
        (json!({"fields": [{"name": "girth", "domain": species()}]}), "'oak' is not a whole number"),
        (
            json!({"fields": [{"name": "girth", "domain": {"type": "range", "name": "R", "range": [5, 1]}}]}),
            "ends before it begins",
        ),
        (
            json!({"fields": [{"name": "species", "domain": {"type": "range", "name": "R", "range": ["a", "b"]}}]}),
            "a least and a greatest",
        ),
        (
            json!({"fields": [{"name": "species", "domain": {"type": "codedValue", "name": "S", "codedValues": []}}]}),
            "has 0 values",
        ),
        (json!({"fields": [{"name": "objectid", "nullable": true}]}), "declared not null"),
        (json!({"fields": [{"name": "globalid", "editable": true}]}), "only the database writes it"),
        (json!({"fields": [{"name": "girth", "defaultValue": "thick"}]}), "'thick' is not a whole number"),
        (json!({"displayField": "leaves"}), "no field 'leaves'"),
        (json!({"editFieldsInfo": {"editorField": "girth"}}), "not text"),
        (json!({"editFieldsInfo": {"editDateField": "species"}}), "not a date"),
        (json!({"timeInfo": {"startTimeField": "girth"}}), "holds no dates"),
        (json!({"capabilities": "Query,Fly"}), "'Fly'"),
        (json!({"maxRecordCount": 0}), "from 1 to"),
        (json!({"drawingInfo": {"renderer": "blue"}}), "no renderer with a type"),
        (json!({"types": [{"id": "oak", "name": "Oak"}]}), "typeIdField"),
        (json!({"templates": [{"name": "t", "prototype": {"attributes": {"leaves": 1}}}]}), "no field 'leaves'"),
        (json!({"objectIdField": "girth"}), "'objectIdField' cannot be set"),
        (json!({"ownershipBasedAccessControlForFeatures": {"allowOthersToUpdate": false}}), "creatorField"),
    ];
    for (given, problem) in &wrong {
        let (code, text) = error(&attempt(&server, "0/updateDefinition", given).await);
        assert_eq!(code, 400, "{text}");
        assert!(text.contains(problem), "{given}: {text}");
    }
    let several = json!({"displayField": "leaves", "maxRecordCount": -1});
    let (_, text) = error(&attempt(&server, "0/updateDefinition", &several).await);
    assert!(text.contains("displayField") && text.contains("maxRecordCount"), "{text}");
    assert_eq!(server.get("0", &[]).await, before);
}

#[tokio::test]
async fn types_have_domains_of_their_own_and_templates_to_begin_with() {
    let server = with_admin().await;
    let tall = json!({"type": "range", "name": "Tall", "range": [10, 60]});
    let types = json!([
        {"id": "oak", "name": "Oaks", "domains": {"height": tall, "girth": {"type": "inherited"}}},
        {"id": "yew", "name": "Yews", "templates": [{"name": "A yew", "prototype": {"attributes": {"species": "yew", "height": 2}}}]},
    ]);
    change(&server, "0/updateDefinition", json!({"typeIdField": "SPECIES", "types": types})).await;
    let layer = server.get("0", &[]).await;
    assert_eq!(layer["typeIdField"], "species", "as the table spells it");
    assert_eq!(layer["types"][0]["domains"]["height"]["range"], json!([10, 60]));
    let template = &layer["types"][0]["templates"][0];
    assert_eq!(template["prototype"]["attributes"]["species"], "oak");
    assert_eq!(template["drawingTool"], "esriFeatureEditToolPoint");
    assert_eq!(layer["types"][1]["templates"][0]["prototype"]["attributes"]["height"], 2);
    assert_eq!(layer["templates"], json!([]));
    assert!(layer.get("subtypes").is_none());

    let adds = json!([
        {"attributes": {"species": "oak", "height": 5}},
        {"attributes": {"species": "oak", "height": 12}},
        {"attributes": {"species": "yew", "height": 5}},
        {"attributes": {"species": "elm", "height": 5}},
    ]);
    let refused = apply(&server, "adds", &adds).await;
    assert!(refused[0].contains("domain 'Tall'"), "{}", refused[0]);
    assert_eq!(refused[1..], ["", "", ""], "other types take anything, and so does a feature of no type");
}

#[tokio::test]
async fn a_row_must_be_of_a_subtype_if_there_are_subtypes() {
    let server = with_admin().await;
    let given = json!({
        "subtypeField": "girth", "defaultSubtypeCode": 1,
        "subtypes": [
            {"code": 1, "name": "Thin", "defaultValues": {"species": "birch"}},
            {"code": 2, "name": "Thick", "domains": {"height": {"type": "range", "name": "High", "range": [10, 60]}}},
        ],
    });
    change(&server, "0/updateDefinition", given).await;
    let layer = server.get("0", &[]).await;
    assert_eq!((&layer["subtypeField"], &layer["typeIdField"]), (&json!("girth"), &json!("girth")));
    assert_eq!(layer["subtypes"][0]["code"], 1);
    assert_eq!(layer["types"][0]["templates"][0]["prototype"]["attributes"]["species"], "birch");
    let adds = json!([
        {"attributes": {"girth": 1, "height": 1}},
        {"attributes": {"girth": 2, "height": 1}},
        {"attributes": {"girth": 3}},
        {"attributes": {"height": 1}},
    ]);
    let refused = apply(&server, "adds", &adds).await;
    assert_eq!((refused[0].as_str(), refused[3].as_str()), ("", ""));
    assert!(refused[1].contains("domain 'High'"), "{}", refused[1]);
    assert_eq!(refused[2], "field 'girth': 3 is not one of the subtypes, which are 1, 2");
}

#[tokio::test]
async fn a_calculation_keeps_to_domains_and_to_what_is_allowed() {
    let server = with_domains().await;
    apply(&server, "adds", &json!([{"attributes": {"species": "oak", "girth": 5}}])).await;
    let calculate = async |expression: &str| {
        let answer = server.post("0/calculate", &[("where", "1=1"), ("calcExpression", expression)]).await;
        answer.get("error").map_or_else(String::new, |_| error(&answer).1)
    };
    assert!(calculate(r#"[{"field":"girth","value":501}]"#).await.contains("domain 'Girth'"));
    assert!(calculate(r#"[{"field":"species","value":null}]"#).await.contains("needs a value"));
    assert!(calculate(r#"[{"field":"girth","sqlExpression":"girth * 200"}]"#).await.contains("has a domain"));
    assert_eq!(calculate(r#"[{"field":"girth","value":500}]"#).await, "");
    assert_eq!(server.features(0).await[0]["attributes"]["girth"], 500);
    change(&server, "0/updateDefinition", json!({"capabilities": "Query,Create,Delete"})).await;
    assert!(calculate(r#"[{"field":"girth","value":6}]"#).await.contains("capability Update"));
    change(&server, "0/updateDefinition", json!({"capabilities": "Query,Create,Update"})).await;
    let truncate =
        server.post("/arcgis/rest/admin/services/trees/FeatureServer/0/truncate", &[("token", super::TOKEN)]).await;
    assert!(error(&truncate).1.contains("capability Delete"));
    let delete = server.post("0/deleteFeatures", &[("where", "1=1")]).await;
    assert!(error(&delete).1.contains("capability Delete"), "{delete}");
    assert_eq!(server.features(0).await.len(), 1);
}

#[tokio::test]
async fn a_calculation_is_held_to_the_domains_of_the_types_that_its_rows_have() {
    let server = with_admin().await;
    let tall = json!({"type": "range", "name": "Tall", "range": [10, 60]});
    let types = json!([{"id": "oak", "name": "Oaks", "domains": {"height": tall}}, {"id": "yew", "name": "Yews"}]);
    change(&server, "0/updateDefinition", json!({"typeIdField": "species", "types": types})).await;
    apply(
        &server,
        "adds",
        &json!([{"attributes": {"species": "oak", "height": 12}}, {"attributes": {"species": "yew", "height": 12}}]),
    )
    .await;
    let calculate = async |clause: &str, expression: &str| {
        let answer = server.post("0/calculate", &[("where", clause), ("calcExpression", expression)]).await;
        answer.get("error").map_or_else(String::new, |_| error(&answer).1)
    };
    let refused = calculate("1=1", r#"[{"field":"height","value":5}]"#).await;
    assert!(refused.contains("domain 'Tall'") && refused.contains("nothing was changed"), "{refused}");
    assert_eq!(calculate("species = 'yew'", r#"[{"field":"height","value":5}]"#).await, "");
    assert_eq!(calculate("1=1", r#"[{"field":"height","value":15}]"#).await, "");
    let both = r#"[{"field":"height","value":5},{"field":"species","value":"oak"}]"#;
    assert!(calculate("1=1", both).await.contains("domain 'Tall'"));
    assert_eq!(calculate("1=1", &both.replace("oak", "yew")).await, "");
    let computed = r#"[{"field":"height","value":15},{"field":"species","sqlExpression":"species"}]"#;
    assert!(calculate("1=1", computed).await.contains("set both to values"));
}

#[tokio::test]
async fn an_update_that_names_no_type_is_held_to_the_domains_of_the_type_that_its_row_has() {
    let server = with_admin().await;
    let tall = json!({"type": "range", "name": "Tall", "range": [10, 60]});
    let types = json!([{"id": "oak", "name": "Oaks", "domains": {"height": tall}}, {"id": "yew", "name": "Yews"}]);
    change(&server, "0/updateDefinition", json!({"typeIdField": "species", "types": types})).await;
    let adds = json!([
        {"attributes": {"globalid": id(1), "species": "oak", "height": 12}},
        {"attributes": {"globalid": id(2), "species": "yew", "height": 5}},
        {"attributes": {"globalid": id(3), "height": 5}},
    ]);
    let with_ids = ("useGlobalIds", "true");
    server.post("0/applyEdits", &[("adds", &adds.to_string()), with_ids]).await;
    let update = |n: u32, more: Json| {
        let mut attributes = json!({"globalid": id(n)});
        attributes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"attributes": attributes})
    };
    let updates = json!([
        update(1, json!({"height": 5})),
        update(1, json!({"height": 15})),
        update(1, json!({"girth": 5})),
        update(2, json!({"height": 4})),
        update(3, json!({"height": 4})),
        update(2, json!({"species": "oak", "height": 11})),
        update(2, json!({"height": 3})),
    ]);
    let answer = server
        .post("0/applyEdits", &[("updates", &updates.to_string()), with_ids, ("rollbackOnFailure", "false")])
        .await;
    let results = answer["updateResults"].as_array().unwrap();
    let errors: Vec<&Json> = results.iter().map(|result| &result["error"]["description"]).collect();
    let reason = "field 'height': 5 is not one of the values of domain 'Tall', which are 10 to 60";
    assert_eq!((errors[0], &results[0]["error"]["code"]), (&json!(reason), &json!(1016)));
    assert!(errors[1..6].iter().all(|error| error.is_null()), "{answer}");
    assert!(errors[6].as_str().unwrap().contains("3 is not one of the values"), "a yew that became an oak: {answer}");

    let replica = create(&server).await;
    let features = json!({"updates": [update(1, json!({"height": 7})), update(3, json!({"height": 7}))]});
    let answer = synchronize(&server, &replica, &features).await;
    let refused = answer["edits"][0]["features"]["updateResults"].as_array().unwrap();
    assert_eq!((refused.len(), &refused[0]["globalId"]), (1, &json!(id(1))), "{answer}");
    let heights: String =
        server.database.value("select string_agg(height::text, ' ' order by globalid) from oak").await;
    assert_eq!(heights, "15 11 7", "a device is held to it, too");
}
