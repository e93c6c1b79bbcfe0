//! Text that wants to be SQL (S1), and questions about what is hidden (S2).

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::{refusal, tap::tap};
use crate::support::{TestDatabase, TestServer};

/// Stands in every payload, and must never stand in a text of SQL.
const MARK: &str = "zq7xmark";

/// What is tried; `#` is the mark.
const PAYLOADS: &[&str] = &[
    "'#",
    "''#",
    "#'",
    "\"#\"",
    "#\"",
    "#;",
    "#--",
    "/*#*/",
    "#/*",
    "1=1;#",
    "1=1--#",
    "1=1/*#",
    "' or '1'='1#",
    "') or ('#'='#",
    "\\'#",
    "\\#\\",
    "1; drop table oak;--#",
    "1=1; select pg_sleep(9)--#",
    "species = '#'; delete from oak",
    "species = '#' union select version()",
    "species = '#' or pg_sleep(9) is null",
    "girth in (select 1 /*#*/)",
    "girth = (select count(*) from pg_shadow where '#'='#')",
    "exists (select 1 from visit where note = '#')",
    "species like '%#%' escape '\\'",
    "species = E'\\047#'",
    "species = $$#$$",
    "species = $q$#$q$",
    "species = U&'\\0027#'",
    "species = x'27' || '#'",
    "species = chr(39) || '#'",
    "cast('#' as regclass) is null",
    "'#'::regclass is null",
    "pg_read_file('#') is null",
    "lo_import('#') > 0",
    "dblink('#', 'x') is null",
    "query_to_xml('#', true, true, '') is null",
    "current_setting('#') is null",
    "set_config('#', 'x', false) is null",
    "girth = 1 limit 1 offset 0 --#",
    "girth = 1 order by (select '#')",
    "girth = 1) ; copy oak to program '#'; --",
    "#\u{0}'",
    "\u{2019} or 1=1 #",
    "\u{ff07}#",
    "%27%20or%201=1#",
    "species = '#\n' or 1=1",
    "species\t=\t'#'",
    "species = '#' and girth > 0",
    "species = 'a''#' or species = '''#'''",
    "\"species\" = '#'",
    "\"species\"\" or 1=1 #\" = '1'",
    "species; #",
    "species asc, (select '#')",
    "girth desc nulls last; #",
    "count(*) #",
    "sum(girth) filter (where '#'='#')",
    "$1#",
    ":p#",
    "{fn #}",
    "date '#'",
    "timestamp '2020-01-01 #'",
    "interval '#' day",
];

/// The operation, what else it needs, the parameter, and how a text stands in it.
type Place = (&'static str, Vec<(&'static str, &'static str)>, &'static str, fn(&str) -> String);

/// Where text of a request goes.
fn places() -> Vec<Place> {
    let plain: fn(&str) -> String = str::to_owned;
    let statistics: fn(&str) -> String =
        |text| json!([{"statisticType": "sum", "onStatisticField": text, "outStatisticFieldName": "n"}]).to_string();
    let named: fn(&str) -> String = |text| {
        json!([{"statisticType": "sum", "onStatisticField": "girth", "outStatisticFieldName": text}]).to_string()
    };
    let layer_queries: fn(&str) -> String =
        |text| json!({"0": {"queryOption": "useFilter", "where": text}}).to_string();
    let definitions: fn(&str) -> String = |text| json!({"0": text}).to_string();
    let add: fn(&str) -> String = |text| json!([{"attributes": {"species": text}}]).to_string();
    let named_add: fn(&str) -> String = |text| json!([{"attributes": {text: 1}}]).to_string();
    let calculation: fn(&str) -> String = |text| json!([{"field": "species", "sqlExpression": text}]).to_string();
    let value: fn(&str) -> String = |text| json!([{"field": "species", "value": text}]).to_string();
    let sum = r#"[{"statisticType": "sum", "onStatisticField": "girth", "outStatisticFieldName": "n"}]"#;
    vec![
        ("0/query", vec![], "where", plain),
        ("0/query", vec![("where", "1=1")], "orderByFields", plain),
        ("0/query", vec![("where", "1=1")], "outFields", plain),
        ("0/query", vec![("where", "1=1")], "objectIds", plain),
        ("0/query", vec![("where", "1=1")], "time", plain),
        ("0/query", vec![("where", "1=1")], "geometry", plain),
        ("0/query", vec![("where", "1=1")], "outSR", plain),
        ("0/query", vec![("where", "1=1")], "gdbVersion", plain),
        ("0/query", vec![("where", "1=1")], "historicMoment", plain),
        ("0/query", vec![("where", "1=1"), ("outStatistics", sum)], "groupByFieldsForStatistics", plain),
        (
            "0/query",
            vec![("where", "1=1"), ("outStatistics", sum), ("groupByFieldsForStatistics", "species")],
            "having",
            plain,
        ),
        ("0/query", vec![("where", "1=1")], "outStatistics", statistics),
        ("0/query", vec![("where", "1=1")], "outStatistics", named),
        (
            "0/query",
            vec![("where", "1=1"), ("returnDistinctValues", "true"), ("returnGeometry", "false")],
            "outFields",
            plain,
        ),
        ("query", vec![], "layerDefs", definitions),
        ("query", vec![], "layerDefs", plain),
        ("0/queryAttachments", vec![], "definitionExpression", plain),
        ("0/queryRelatedRecords", vec![("objectIds", "1")], "definitionExpression", plain),
        ("0/validateSQL", vec![], "sql", plain),
        ("createReplica", vec![("layers", "0")], "layerQueries", layer_queries),
        ("createReplica", vec![("layers", "0")], "replicaName", plain),
        ("createReplica", vec![], "layers", plain),
        ("extractChanges", vec![("layers", "0")], "layerServerGens", plain),
        (
            "extractChanges",
            vec![("layers", "0"), ("layerServerGens", r#"[{"id": 0, "serverGen": 1}]"#)],
            "layerQueries",
            layer_queries,
        ),
        ("0/addFeatures", vec![], "features", add),
        ("0/addFeatures", vec![], "features", named_add),
        ("0/deleteFeatures", vec![("objectIds", "999999")], "where", plain),
        ("0/calculate", vec![("where", "girth = -1")], "calcExpression", calculation),
        ("0/calculate", vec![("where", "girth = -1")], "calcExpression", value),
        ("synchronizeReplica", vec![("replicaServerGen", "1")], "replicaID", plain),
        ("batches", vec![], "operation", plain),
        ("rejectedEdits", vec![], "globalId", plain),
    ]
}

#[tokio::test]
async fn s1_no_text_of_a_request_is_ever_in_a_text_of_sql() {
    let database = TestDatabase::new().await;
    let (through, texts) = tap(&database.url);
    let mut server = TestServer::at(TestDatabase::at(through), TempDir::new().unwrap()).await;
    server
        .database
        .sql(
            "create table oak (objectid integer generated by default as identity primary key, globalid uuid not null default gen_random_uuid() unique,
               species varchar(2000), girth integer, planted timestamptz, shape geometry(Point, 3857));
             insert into oak (species, girth) select 'oak', n from generate_series(1, 5) n;
             create table visit (objectid integer generated by default as identity primary key, globalid uuid not null default gen_random_uuid() unique, note text)",
        )
        .await;
    server.publish("oak").await;
    server.publish("visit").await;
    server.configure(|config| config.max_query_seconds = 5);
    texts.lock().unwrap().clear();
    let mut n_answered = 0;
    let mut n_sent = 0;
    for (operation, others, parameter, write) in places() {
        for payload in PAYLOADS {
            let given = write(&payload.replace('#', MARK));
            let mut parameters = others.clone();
            parameters.push((parameter, &given));
            let answer = server.post(operation, &parameters).await;
            n_sent += 1;
            match refusal(&answer) {
                None => n_answered += 1,
                Some((code, said)) => {
                    assert!(code < 500, "{operation} {parameter}={given}: {answer}");
                    for inside in ["SQLSTATE", "syntax error at or near", "pg_catalog", "sqlx", "relation \""] {
                        assert!(!said.contains(inside), "{operation} {parameter}={given}: {said}");
                    }
                }
            }
        }
    }
    assert!(n_sent > 1_900 && n_answered > 100, "{n_answered} of {n_sent} were answered");
    let texts = texts.lock().unwrap().clone();
    assert!(texts.len() > 20, "the tap saw {} texts", texts.len());
    for text in &texts {
        let lower = text.to_lowercase();
        assert!(!lower.contains(MARK), "{text}");
        for never in
            ["pg_sleep", "drop table", "pg_shadow", "pg_read_file", "lo_import", "dblink", "to program", "query_to_xml"]
        {
            assert!(!lower.contains(never), "{text}");
        }
    }
    // Texts are few: what differs between requests is bound, but for fields, their number and the functions of conditions. Of many, the
    // database is asked first what they cost.
    assert!(texts.len() < 500, "{} texts", texts.len());
    assert!(server.database.value::<i64>("select count(*) from oak where species = 'oak'").await == 5);
    assert!(server.database.value::<bool>("select to_regclass('visit') is not null").await);
}

#[tokio::test]
async fn s2_a_hidden_field_is_as_if_it_were_not_there() {
    const TOKEN: &str = "0123456789abcdef-admin";
    let mut server = super::with_oaks().await;
    server.configure(|config| config.admin_token = Some(TOKEN.to_owned()));
    let definition = json!({"fields": [{"name": "girth", "visible": false}]}).to_string();
    let path = "/arcgis/rest/admin/services/trees/FeatureServer/0/updateDefinition";
    let answer = server.post(path, &[("updateDefinition", &definition), ("token", TOKEN)]).await;
    assert_eq!(answer["success"], true, "{answer}");
    let count = r#"[{"statisticType": "max", "onStatisticField": "NAME", "outStatisticFieldName": "n"}]"#;
    let sum = r#"[{"statisticType": "count", "onStatisticField": "objectid", "outStatisticFieldName": "n"}]"#;
    for parameters in [
        vec![("where", "NAME > 0")],
        vec![("where", "NAME = 25")],
        vec![("where", "objectid > 0 and (NAME between 1 and 2 or species is null)")],
        vec![("where", "abs(NAME) > 1")],
        vec![("where", "1=1"), ("orderByFields", "NAME desc")],
        vec![("where", "1=1"), ("outFields", "NAME")],
        vec![("where", "1=1"), ("outStatistics", count)],
        vec![("where", "1=1"), ("outStatistics", sum), ("groupByFieldsForStatistics", "NAME")],
        vec![
            ("where", "1=1"),
            ("outStatistics", sum),
            ("groupByFieldsForStatistics", "species"),
            ("having", "max(NAME) > 1"),
        ],
        vec![("where", "1=1"), ("returnDistinctValues", "true"), ("returnGeometry", "false"), ("outFields", "NAME")],
    ] {
        let asked = async |name: &str| -> Json {
            let given: Vec<(&str, String)> =
                parameters.iter().map(|(parameter, text)| (*parameter, text.replace("NAME", name))).collect();
            let given: Vec<(&str, &str)> = given.iter().map(|(parameter, text)| (*parameter, text.as_str())).collect();
            server.get("0/query", &given).await
        };
        let (hidden, absent) = (asked("girth").await, asked("nosuc").await);
        let (hidden, absent) = (refusal(&hidden).unwrap_or_default(), refusal(&absent).unwrap_or_default());
        assert_eq!((hidden.0, hidden.1.replace("girth", "nosuc")), absent, "{parameters:?}");
        assert!(hidden.0 == 400 && !hidden.1.contains("visible"), "{parameters:?}: {hidden:?}");
    }
}
