//! Changes of all rows that a condition selects: deleteFeatures, calculate, truncate; and validateSQL.

use serde_json::{Value as Json, json};

use super::{ended, ended_for, species, with_oaks};
use crate::support::{TestServer, server::error};

const TRUNCATE: &str = "/arcgis/rest/admin/services/trees/FeatureServer/0/truncate";
const TOKEN: (&str, &str) = ("token", "a-token-of-an-administrator");

async fn calculate(server: &TestServer, rows: &str, expression: &Json) -> Json {
    server.post("0/calculate", &[("where", rows), ("calcExpression", &expression.to_string())]).await
}

async fn values(server: &TestServer, field: &str) -> Vec<Json> {
    server.features(0).await.iter().map(|row| row["attributes"][field].clone()).collect()
}

#[tokio::test]
async fn features_are_deleted_by_condition_and_by_place() {
    let server = with_oaks().await;
    let answer = server.post("0/deleteFeatures", &[("where", "girth = 1")]).await;
    assert_eq!(answer, json!({"success": true}));
    assert_eq!(species(&server).await, ["fir", "ash"]);
    let here = [
        ("geometry", "2.5,2.5,9,9"),
        ("geometryType", "esriGeometryEnvelope"),
        ("where", "1=1"),
        ("returnDeleteResults", "true"),
        ("returnEditMoment", "true"),
    ];
    let answer = server.post("0/deleteFeatures", &here).await;
    let results = answer["deleteResults"].as_array().unwrap_or_else(|| panic!("{answer}"));
    assert_eq!((results.len(), &results[0]["objectId"], &results[0]["success"]), (1, &json!(3), &json!(true)));
    assert!(answer["editMoment"].is_i64(), "{answer}");
    assert_eq!(species(&server).await, ["fir"]);
    // Both conditions have to be true.
    let answer = server.post("0/deleteFeatures", &[("where", "girth = 2"), ("objectIds", "3")]).await;
    assert_eq!((answer, species(&server).await), (json!({"success": true}), vec!["fir".to_owned()]));
    let answer = server.post("0/deleteFeatures", &[("where", "girth = 2"), ("objectIds", "2,3")]).await;
    assert_eq!((answer, species(&server).await.len()), (json!({"success": true}), 0));
}

#[tokio::test]
async fn a_delete_says_what_is_missing_and_never_takes_more_than_was_meant() {
    let server = with_oaks().await;
    for (parameters, words) in [
        (vec![], "one of them has to say"),
        (vec![("where", "girth = ")], "'where'"),
        (vec![("where", "girth = 1; drop table oak")], "';'"),
        (vec![("geometry", "here")], "'geometry'"),
        (vec![("objectIds", "one")], "'objectIds'"),
    ] {
        let (code, said) = error(&server.post("0/deleteFeatures", &parameters).await);
        assert!(code == 400 && said.contains(words), "{parameters:?}: {said}");
    }
    // A geometry means nothing to a table; passed over, it would delete all rows.
    server.add(1, r#"[{"attributes":{"note":"x"}}]"#).await;
    let (_, said) = error(&server.post("1/deleteFeatures", &[("geometry", "0,0,1,1"), ("where", "1=1")]).await);
    assert!(said.contains("layer 1 is a table"), "{said}");
    assert_eq!((species(&server).await.len(), server.features(1).await.len()), (3, 1));
}

#[tokio::test]
async fn thousands_of_rows_go_in_one_transaction_or_not_at_all() {
    let server = with_oaks().await;
    server.database.sql("insert into oak (species, girth) select 'beech', n from generate_series(1, 12000) n").await;
    server
        .database
        .sql(
            "create function keep() returns trigger language plpgsql as $$ begin
               if old.girth = 11999 then raise exception 'beech 11999 is protected'; end if; return old; end $$;
             create trigger keep before delete on oak for each row execute function keep()",
        )
        .await;
    let (_, said) = error(&server.post("0/deleteFeatures", &[("where", "species = 'beech'")]).await);
    assert!(
        said.contains("rolled back") && said.contains("1 of 12000") && said.contains("11999 is protected"),
        "{said}"
    );
    let answer = server
        .post(
            "0/deleteFeatures",
            &[("where", "species = 'beech'"), ("rollbackOnFailure", "false"), ("returnDeleteResults", "true")],
        )
        .await;
    let results = answer["deleteResults"].as_array().unwrap();
    assert_eq!(results.len(), 12000);
    assert_eq!(results.iter().filter(|result| result["success"] == false).count(), 1);
    assert_eq!(species(&server).await, ["elm", "fir", "ash", "beech"]);
    let generations: i64 = server.database.value("select count(*) from syncline.txn").await;
    assert_eq!(generations, 3, "the rows, the beeches, and their end");
}

#[tokio::test]
async fn fields_are_set_to_values_and_to_what_comes_out_for_each_row() {
    let server = with_oaks().await;
    let answer = calculate(
        &server,
        "girth > 1",
        &json!([{"field": "HEIGHT", "sqlExpression": "girth / 2.0"}, {"field": "species", "sqlExpression": "UPPER(species) || '!'"},
                {"field": "planted", "value": 86_400_000}]),
    )
    .await;
    assert_eq!(answer, json!({"success": true, "updatedFeatureCount": 2}));
    assert_eq!(values(&server, "height").await, [Json::Null, json!(1.0), json!(1.5)]);
    assert_eq!(values(&server, "species").await, [json!("elm"), json!("FIR!"), json!("ASH!")]);
    assert_eq!(values(&server, "planted").await, [Json::Null, json!(86_400_000), json!(86_400_000)]);
    // Each expression sees the row as it was, and an integer divides to an integer.
    calculate(
        &server,
        "1=1",
        &json!([{"field": "girth", "sqlExpression": "girth * 10 / 4"}, {"field": "height", "sqlExpression": "girth"}]),
    )
    .await;
    assert_eq!(values(&server, "girth").await, [json!(2), json!(5), json!(7)]);
    assert_eq!(values(&server, "height").await, [json!(1.0), json!(2.0), json!(3.0)]);
    let answer = calculate(&server, "girth = 99", &json!([{"field": "girth", "value": 1}])).await;
    assert_eq!(answer["updatedFeatureCount"], 0);
    let answer = calculate(
        &server,
        "1=1",
        &json!([{"field": "species", "sqlExpression": "NULL"}, {"field": "planted", "value": ""}]),
    )
    .await;
    assert_eq!(
        (answer["updatedFeatureCount"].as_i64(), values(&server, "species").await[0].clone()),
        (Some(3), Json::Null)
    );
}

#[tokio::test]
async fn a_calculation_that_cannot_be_is_refused_and_changes_nothing() {
    let server = with_oaks().await;
    let set = |field: &str, expression: &str| json!([{"field": field, "sqlExpression": expression}]);
    for (expression, words) in [
        (set("girth", "girth / 2.0"), "use CAST"),
        (set("girth", "species"), "not integer"),
        (set("species", "girth"), "CAST"),
        (set("species", "pg_sleep(10)"), "unknown function 'PG_SLEEP'"),
        (set("species", "(select 1)"), "unexpected"),
        (set("girth", "trunk"), "unknown field 'trunk'"),
        (set("objectid", "5"), "cannot be set"),
        (set("globalid", "'x'"), "cannot be set"),
        (set("trunk", "5"), "no field 'trunk'"),
        (json!([{"field": "girth", "value": "many"}]), "'many' is not a whole number"),
        (json!([{"field": "species", "value": "x".repeat(21)}]), "the field holds 20"),
        (json!([{"field": "girth"}]), "either a value, or"),
        (json!([{"field": "girth", "value": 1, "sqlExpression": "2"}]), "either a value, or"),
        (json!([{"field": "girth", "value": 1}, {"field": "GIRTH", "value": 2}]), "set twice"),
        (set("species", "species || ' of more than twenty'"), "does not fit"),
        (set("girth", "girth * 1000000000"), "does not fit"),
    ] {
        let answer = calculate(&server, "girth > 0", &expression).await;
        let (code, said) = error(&answer);
        assert!(code == 400 && said.contains("calcExpression") && said.contains(words), "{expression}: {said}");
    }
    let (_, said) = error(&server.post("0/calculate", &[("calcExpression", r#"[{"field":"girth","value":1}]"#)]).await);
    assert!(said.contains("'where'"), "{said}");
    assert_eq!(values(&server, "girth").await, [json!(1), json!(2), json!(3)]);
    assert_eq!(species(&server).await, ["elm", "fir", "ash"]);
}

#[tokio::test]
async fn calculations_and_deletes_run_as_jobs() {
    let mut server = with_oaks().await;
    server.configure(|config| config.admin_token = Some(TOKEN.1.to_owned()));
    let runner = server.run_jobs();
    let expression = r#"[{"field":"girth","sqlExpression":"girth + 1"}]"#;
    let submitted =
        server.post("0/calculate", &[("where", "1=1"), ("calcExpression", expression), ("async", "true")]).await;
    let status = ended(&server, &submitted).await;
    assert_eq!((&status["status"], &status["updatedFeatureCount"]), (&json!("Completed"), &json!(3)), "{status}");
    assert_eq!(values(&server, "girth").await, [json!(2), json!(3), json!(4)]);
    let submitted = server.post("0/deleteFeatures", &[("where", "girth > 2"), ("async", "true")]).await;
    assert_eq!(ended(&server, &submitted).await["status"], "Completed");
    let submitted = server.post(TRUNCATE, &[TOKEN, ("async", "true")]).await;
    assert_eq!(ended_for(&server, &submitted, &[TOKEN]).await["status"], "Completed");
    assert!(species(&server).await.is_empty());
    runner.stop().await;
}

#[tokio::test]
async fn truncate_takes_all_rows_or_all_attachments_and_replicas_learn_of_it() {
    let mut server = with_oaks().await;
    server.configure(|config| config.admin_token = Some(TOKEN.1.to_owned()));
    let replica =
        server.post("createReplica", &[("layers", "0"), ("transportType", "esriTransportTypeEmbedded")]).await;
    let attachment = json!({"adds": [{"globalId": "{BBBBBBBB-0001-4000-8000-000000000001}", "parentGlobalId": super::oak(1),
        "name": "a.txt", "contentType": "text/plain", "data": "aGk="}]});
    server.post("0/applyEdits", &[("attachments", &attachment.to_string()), ("useGlobalIds", "true")]).await;
    assert_eq!(server.post(TRUNCATE, &[TOKEN, ("attachmentOnly", "true")]).await, json!({"success": true}));
    let left = server.get("0/1/attachments", &[]).await;
    assert_eq!((left["attachmentInfos"].as_array().unwrap().len(), species(&server).await.len()), (0, 3));
    assert_eq!(server.post(TRUNCATE, &[TOKEN]).await, json!({"success": true}));
    assert!(species(&server).await.is_empty());
    let answer = server
        .post(
            "synchronizeReplica",
            &[
                ("replicaID", replica["replicaID"].as_str().unwrap()),
                ("replicaServerGen", &replica["replicaServerGen"].to_string()),
                ("transportType", "esriTransportTypeEmbedded"),
            ],
        )
        .await;
    assert_eq!(answer["edits"][0]["features"]["deleteIds"].as_array().unwrap().len(), 3, "{answer}");
    let (_, said) = error(
        &server
            .post("/arcgis/rest/admin/services/trees/FeatureServer/1/truncate", &[TOKEN, ("attachmentOnly", "true")])
            .await,
    );
    assert!(said.contains("attachmentOnly"), "{said}");
    assert_eq!(error(&server.get(TRUNCATE, &[]).await).0, 405);
}

#[tokio::test]
async fn sql_is_validated_as_it_would_be_read() {
    let mut server = with_oaks().await;
    server.configure(|config| config.admin_token = Some(TOKEN.1.to_owned()));
    for (who, truncates) in [(("token", ""), false), (TOKEN, true)] {
        let layer = server.get("0", &[who]).await;
        for key in ["supportsValidateSql", "supportsCalculate", "supportsAppend"] {
            assert_eq!(layer[key], true, "{key}");
        }
        assert_eq!(layer["supportsTruncate"], truncates);
    }
    for (kind, sql, code) in [
        ("where", "girth > 5 AND species LIKE 'a%'", None),
        ("expression", "girth / 2 + 1", None),
        ("where", "girth >", Some(3002)),
        ("where", "girth + 1", Some(3004)),
        ("where", "girth = 'many'", Some(3004)),
        ("where", "trunk = 1", Some(3008)),
        ("expression", "pg_sleep(1)", Some(3001)),
        ("statement", "select * from oak", Some(3001)),
    ] {
        let answer = server.get("0/validateSQL", &[("sql", sql), ("sqlType", kind)]).await;
        assert_eq!(answer["isValidSQL"], code.is_none(), "{sql}: {answer}");
        assert_eq!(answer["validationErrors"][0]["errorCode"].as_i64(), code, "{sql}: {answer}");
    }
    assert!(error(&server.get("0/validateSQL", &[]).await).1.contains("'sql'"));
}
