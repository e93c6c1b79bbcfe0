//! Statistics, groups, and values that differ.

use serde_json::{Value as Json, json};

use super::{column, refusal};
use crate::support::{TestServer, server::encode};

/// Three elms with girths 1, 2 and 6, a fir with 4, one without girth, and a tree without species.
async fn forest() -> TestServer {
    let server = TestServer::with_trees().await;
    server
        .database
        .sql(
            "insert into oak (species, girth, height, planted, shape) values
               ('elm', 1, 1.5, '1970-01-02', ST_Point(0, 0, 3857)), ('elm', 2, 2.5, '1970-01-03', ST_Point(1, 1, 3857)),
               ('elm', 6, 0.5, null, ST_Point(2, 2, 3857)), ('fir', 4, 'NaN', '1969-12-31', null),
               ('fir', null, null, null, null), (null, 9, 9, '1970-01-01', null)",
        )
        .await;
    server
}

fn wanted(statistics: &[(&str, &str, &str)]) -> String {
    let one = |(kind, field, name): &(&str, &str, &str)| json!({"statisticType": kind, "onStatisticField": field, "outStatisticFieldName": name});
    statistics.iter().map(one).collect::<Json>().to_string()
}

/// The rows of an answer, each as the list of its values.
fn rows(answer: &Json) -> Json {
    let features = answer["features"].as_array().unwrap_or_else(|| panic!("no features in {answer}"));
    let values = |feature: &Json| feature["attributes"].as_object().unwrap().values().cloned().collect::<Json>();
    features.iter().map(values).collect()
}

#[tokio::test]
async fn statistics_of_all_rows_are_one_row() {
    let server = forest().await;
    let statistics = wanted(&[
        ("count", "girth", "n"),
        ("SUM", "girth", "Sum of girth"),
        ("min", "girth", "least"),
        ("max", "planted", "last"),
        ("avg", "girth", "mean"),
        ("stddev", "girth", "s"),
        ("var", "girth", "v"),
        ("max", "species", "word"),
    ]);
    let answer = server.get("0/query", &[("outStatistics", &statistics), ("returnGeometry", "true")]).await;
    let row = &answer["features"][0]["attributes"];
    assert_eq!(answer["features"].as_array().unwrap().len(), 1);
    assert_eq!((&row["n"], &row["least"], &row["word"]), (&json!(5), &json!(1), &json!("fir")));
    assert_eq!((&row["Sum of girth"], &row["mean"]), (&json!(22.0), &json!(4.4)));
    assert_eq!(row["last"], 2 * 86_400_000);
    // Of a sample: the squares of the differences from 4.4 add up to 41.2.
    assert!((row["v"].as_f64().unwrap() - 41.2 / 4.0).abs() < 1e-9, "{row}");
    assert!((row["s"].as_f64().unwrap() - (41.2_f64 / 4.0).sqrt()).abs() < 1e-9, "{row}");
    let types: Vec<&str> =
        answer["fields"].as_array().unwrap().iter().map(|field| field["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        [
            "esriFieldTypeInteger",
            "esriFieldTypeDouble",
            "esriFieldTypeInteger",
            "esriFieldTypeDate",
            "esriFieldTypeDouble",
            "esriFieldTypeDouble",
            "esriFieldTypeDouble",
            "esriFieldTypeString"
        ]
    );
    assert!(answer["features"][0].get("geometry").is_none() && answer.get("geometryType").is_none());

    let none = [("where", "1=0"), ("outStatistics", statistics.as_str())];
    let row = rows(&server.get("0/query", &none).await);
    assert_eq!(row, json!([[0, null, null, null, null, null, null, null]]), "nothing selected is one row");
    let grouped = [none[0], none[1], ("groupByFieldsForStatistics", "species")];
    assert_eq!(rows(&server.get("0/query", &grouped).await), json!([]), "and no group");
}

#[tokio::test]
async fn groups_have_a_row_each_in_the_order_asked_for_also_by_post() {
    let server = forest().await;
    let statistics = wanted(&[("count", "objectid", "n"), ("max", "girth", "Widest")]);
    let by = ("groupByFieldsForStatistics", "Species");
    for (order, expected) in [
        ("", json!([["elm", 3, 6], ["fir", 2, 4], [null, 1, 9]])),
        (" widest DESC", json!([[null, 1, 9], ["elm", 3, 6], ["fir", 2, 4]])),
        ("n, SPECIES", json!([[null, 1, 9], ["fir", 2, 4], ["elm", 3, 6]])),
    ] {
        let parameters = [("outStatistics", statistics.as_str()), by, ("orderByFields", order)];
        let answer = server.get("0/query", &parameters).await;
        assert_eq!(rows(&answer), expected, "{order}");
        assert_eq!(answer, server.post("0/query", &parameters).await);
        assert_eq!(answer["fieldAliases"], json!({"species": "species", "n": "n", "Widest": "Widest"}));
    }
    let shown = server
        .fetch(
            &format!("0/query?f=html&groupByFieldsForStatistics=species&outStatistics={}", urlencode(&statistics)),
            &[],
        )
        .await;
    let page = crate::support::server::text(shown).await;
    assert!(page.contains("Widest") && page.contains("elm"), "{page}");
}

fn urlencode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn having_chooses_among_groups_by_names_and_by_statistics_written_out() {
    let server = forest().await;
    let statistics = wanted(&[("count", "objectid", "n")]);
    for (having, expected) in [
        ("n > 1", json!(["elm", "fir"])),
        ("COUNT(objectid) > 1 AND species <> 'fir'", json!(["elm"])),
        ("max(girth) >= 6", json!(["elm", null])),
        ("count(*) = 2 or MIN(\"girth\") = 9", json!(["fir", null])),
        ("species IS NULL", json!([null])),
        ("AVG(girth) between 3 and 4 and MIN(planted) > DATE '1970-01-01'", json!(["elm"])),
    ] {
        for name in ["having", "havingClause"] {
            let parameters =
                [("outStatistics", statistics.as_str()), ("groupByFieldsForStatistics", "species"), (name, having)];
            let answer = server.get("0/query", &parameters).await;
            assert_eq!(column(&answer, "species"), expected, "{having}: {answer}");
            assert_eq!(answer["fields"].as_array().unwrap().len(), 2, "what having needs is not shown");
        }
    }
    let base = ("outStatistics", statistics.as_str());
    for (having, said) in [
        ("sum(species) > 1", "sum needs numbers, and species has none"),
        ("max(girht) > 1", "unknown field 'girht'"),
        ("girth > 1", "unknown field 'girth'"),
        ("max(girth + 1) > 1", "write one field in it"),
        ("n", "is not a condition"),
        ("pg_sleep(1) > 1", "unknown function"),
    ] {
        let words = refusal(&server, "0/query", &[base, ("having", having)]).await;
        assert!(words.contains("'having'") && words.contains(said), "{having}: {words}");
    }
}

#[tokio::test]
async fn percentiles_are_of_values_in_either_order() {
    let server = forest().await;
    let of = |kind: &str, share: f64, order: &str, field: &str| {
        json!([{"statisticType": kind, "onStatisticField": field, "outStatisticFieldName": "p",
            "statisticParameters": {"value": share, "orderBy": order}}])
        .to_string()
    };
    for (statistics, expected) in [
        (of("PERCENTILE_CONT", 0.5, "ASC", "girth"), json!(4.0)),
        (of("percentile_cont", 0.125, "", "girth"), json!(1.5)),
        (of("percentile_cont", 0.125, "DESC", "girth"), json!(7.5)),
        (of("PERCENTILE_DISC", 0.3, "asc", "girth"), json!(2)),
        (of("percentile_disc", 0.5, "ASC", "species"), json!("elm")),
        (of("percentile_disc", 1.0, "ASC", "planted"), json!(2 * 86_400_000)),
    ] {
        let answer = server.get("0/query", &[("outStatistics", &statistics)]).await;
        assert_eq!(column(&answer, "p"), json!([expected]), "{statistics}: {answer}");
    }
    for (statistics, said) in [
        (of("percentile_cont", 1.5, "ASC", "girth"), "1.5"),
        (of("percentile_cont", 0.5, "up", "girth"), "'up'"),
        (of("percentile_cont", 0.5, "ASC", "species"), "percentile_cont needs numbers"),
        (wanted(&[("percentile_disc", "girth", "p")]), "statisticParameters"),
    ] {
        let words = refusal(&server, "0/query", &[("outStatistics", &statistics)]).await;
        assert!(words.contains("'outStatistics'") && words.contains(said), "{words}");
    }
}

#[tokio::test]
async fn every_type_of_field_has_statistics_and_groups() {
    let server = TestServer::new().await;
    server
        .database
        .sql(
            "create table everything (id serial primary key, yes boolean, guid uuid, day date, hour time, single real, num numeric(10, 2),
               big bigint, fixed char(4), at timestamp);
             insert into everything (yes, guid, day, hour, single, num, big, fixed, at) values
               (true, '00000000-0000-0000-0000-00000000000a', '2024-01-31', '10:00', 0.1, 1.25, 9007199254740991, 'ab', '1970-01-01'),
               (false, '00000000-0000-0000-0000-00000000000b', '2023-01-31', '11:00', 0.2, 2.25, 1, 'b', '1970-01-02')",
        )
        .await;
    server.publish("everything").await;
    for (field, least, greatest) in [
        ("yes", json!(0), json!(1)),
        ("guid", json!("{00000000-0000-0000-0000-00000000000A}"), json!("{00000000-0000-0000-0000-00000000000B}")),
        ("day", json!("2023-01-31"), json!("2024-01-31")),
        ("hour", json!("10:00:00"), json!("11:00:00")),
        ("single", json!(0.1), json!(0.2)),
        ("num", json!(1.25), json!(2.25)),
        ("big", json!(1), json!(9_007_199_254_740_991_i64)),
        ("at", json!(0), json!(86_400_000)),
        ("id", json!(1), json!(2)),
    ] {
        let statistics = wanted(&[("min", field, "a"), ("max", field, "b"), ("count", field, "n")]);
        let answer = server.get("0/query", &[("outStatistics", &statistics)]).await;
        assert_eq!(rows(&answer), json!([[least, greatest, 2]]), "{field}");
        let answer = server.get("0/query", &[("returnDistinctValues", "true"), ("outFields", field)]).await;
        assert_eq!(column(&answer, field), json!([least, greatest]), "{field}");
    }
    let statistics = wanted(&[("sum", "single", "s"), ("avg", "yes", "y"), ("sum", "num", "n"), ("sum", "big", "b")]);
    let answer = server.get("0/query", &[("outStatistics", &statistics)]).await;
    let sums = rows(&answer);
    assert!((sums[0][0].as_f64().unwrap() - 0.3).abs() < 1e-7, "{sums}");
    assert_eq!((&sums[0][1], &sums[0][2], &sums[0][3]), (&json!(0.5), &json!(3.5), &json!(9_007_199_254_740_992.0)));
}

#[tokio::test]
async fn different_values_come_once_and_can_be_counted_and_paged() {
    let server = forest().await;
    let distinct = ("returnDistinctValues", "true");
    let answer = server.get("0/query", &[distinct, ("outFields", "species"), ("returnGeometry", "true")]).await;
    assert_eq!(column(&answer, "species"), json!(["elm", "fir", null]));
    assert!(answer["features"][0].get("geometry").is_none() && answer.get("geometryType").is_none(), "{answer}");
    assert_eq!(answer["features"][0]["attributes"].as_object().unwrap().len(), 1, "the object id is not added");
    let parameters = [distinct, ("outFields", "species,girth"), ("returnCountOnly", "true")];
    assert_eq!(server.get("0/query", &parameters).await, json!({"count": 6}));
    let page = async |offset: &str, more: &[(&str, &str)]| {
        let mut parameters = vec![
            distinct,
            ("outFields", "species"),
            ("orderByFields", "species DESC"),
            ("resultRecordCount", "2"),
            ("resultOffset", offset),
        ];
        parameters.extend(more);
        let answer = server.get("0/query", &parameters).await;
        (column(&answer, "species"), answer.get("exceededTransferLimit").cloned())
    };
    assert_eq!(page("0", &[]).await, (json!([null, "fir"]), Some(json!(true))));
    assert_eq!(page("2", &[]).await, (json!(["elm"]), None));
    assert_eq!(page("0", &[("returnExceededLimitFeatures", "false")]).await, (json!([]), Some(json!(true))));
    let words = refusal(&server, "0/query", &[distinct]).await;
    assert!(words.contains("'outFields'"), "{words}");
}

#[tokio::test]
async fn groups_can_be_counted_and_paged() {
    let server = forest().await;
    let statistics = wanted(&[("count", "objectid", "n")]);
    let base = [("outStatistics", statistics.as_str()), ("groupByFieldsForStatistics", "species")];
    let count = [base[0], base[1], ("returnCountOnly", "true"), ("having", "n > 1")];
    assert_eq!(server.get("0/query", &count).await, json!({"count": 2}));
    let first = [base[0], base[1], ("resultRecordCount", "2")];
    let answer = server.get("0/query", &first).await;
    assert_eq!((rows(&answer), &answer["exceededTransferLimit"]), (json!([["elm", 3], ["fir", 2]]), &json!(true)));
    let rest = [base[0], base[1], ("resultRecordCount", "2"), ("resultOffset", "2")];
    assert_eq!(rows(&server.get("0/query", &rest).await), json!([[null, 1]]));
}

#[tokio::test]
async fn mistakes_about_statistics_are_named() {
    let server = forest().await;
    let n = wanted(&[("count", "objectid", "n")]);
    let two = wanted(&[("count", "objectid", "n"), ("max", "girth", "n")]);
    let many = wanted(&[("count", "girth", "n"); 65]);
    for (parameters, said) in [
        (vec![("outStatistics", wanted(&[("mode", "girth", "m")]))], "'mode' is not known; it is one of count, sum"),
        (vec![("outStatistics", wanted(&[("sum", "species", "m")]))], "sum needs numbers"),
        (vec![("outStatistics", wanted(&[("max", "girht", "m")]))], "no field 'girht'"),
        (vec![("outStatistics", "[{\"onStatisticField\":\"girth\"}]".to_owned())], "statisticType"),
        (vec![("outStatistics", two)], "two columns are called 'n'"),
        (vec![("outStatistics", many)], "the most is 64"),
        (
            vec![("outStatistics", n.clone()), ("groupByFieldsForStatistics", "spezies".to_owned())],
            "no field 'spezies'",
        ),
        (vec![("outStatistics", n.clone()), ("orderByFields", "girth".to_owned())], "the columns are n"),
        (vec![("groupByFieldsForStatistics", "species".to_owned())], "give outStatistics, too"),
        (vec![("having", "n > 1".to_owned())], "give outStatistics, too"),
    ] {
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let words = refusal(&server, "0/query", &parameters).await;
        assert!(words.contains(said), "{parameters:?}: {words}");
    }
}

#[tokio::test]
async fn a_statistic_beyond_the_range_of_numbers_is_null() {
    let server = forest().await;
    server.database.sql("update oak set height = 1.7e308").await;
    let statistics = wanted(&[("sum", "height", "s"), ("avg", "height", "a"), ("count", "height", "n")]);
    let answer = server.get("0/query", &[("outStatistics", &statistics)]).await;
    assert_eq!((column(&answer, "s"), column(&answer, "a")), (json!([null]), json!([null])), "{answer}");
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_refused_with_the_limit() {
    let mut server = forest().await;
    server.configure(|config| config.max_query_seconds = 1);
    let mut other = server.database.connect().await;
    sqlx::raw_sql("begin; lock table oak in access exclusive mode").execute(&mut other).await.unwrap();
    let answer = server.get("0/query", &[("where", "girth > 1")]).await;
    let (code, words) = crate::support::server::error(&answer);
    assert_eq!(code, 503);
    assert!(words.contains("the limit of 1 s (max_query_seconds)") && words.contains("narrow it by where"), "{words}");
    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
    assert_eq!(
        server.get("0/query", &[("returnCountOnly", "true"), ("where", "girth > 1")]).await,
        json!({"count": 4})
    );
}

#[tokio::test]
async fn tables_come_in_every_form() {
    let server = forest().await;
    let statistics = wanted(&[
        ("count", "objectid", "n"),
        ("max", "planted", "last"),
        ("avg", "girth", "mean"),
        ("min", "globalid", "id"),
    ]);
    let by = ("groupByFieldsForStatistics", "species");
    for parameters in [
        vec![("outStatistics", statistics.as_str()), by],
        vec![("returnDistinctValues", "true"), ("outFields", "species,height")],
    ] {
        let json = server.get("0/query", &parameters).await;
        let fetch = async |form: &str| {
            let all: Vec<(&str, &str)> = parameters.iter().copied().chain([("f", form)]).collect();
            let response = server.fetch(&format!("0/query?{}", encode(&all)), &[]).await;
            axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap()
        };
        let read = crate::support::pbf::feature_set(&fetch("pbf").await);
        let attributes = |answer: &Json| -> Json {
            answer["features"].as_array().unwrap().iter().map(|feature| feature["attributes"].clone()).collect()
        };
        assert_eq!(attributes(&read), attributes(&json), "{parameters:?}");
        let names = |answer: &Json| -> Json {
            answer["fields"].as_array().unwrap().iter().map(|field| field["name"].clone()).collect()
        };
        assert_eq!(names(&read), names(&json));
        let read: Json = serde_json::from_slice(&fetch("geojson").await).unwrap();
        let features = read["features"].as_array().unwrap();
        let properties: Json = features.iter().map(|feature| feature["properties"].clone()).collect();
        assert_eq!(properties, attributes(&json));
        assert!(features[0]["geometry"].is_null() && features[0].get("id").is_none(), "{}", features[0]);
        let pretty: Json = serde_json::from_slice(&fetch("pjson").await).unwrap();
        assert_eq!(pretty, json);
        let count = [("returnCountOnly", "true"), ("f", "geojson")];
        let all: Vec<(&str, &str)> = parameters.iter().copied().chain(count).collect();
        let counted = server.get("0/query", &all).await;
        assert_eq!(counted["count"], json["features"].as_array().unwrap().len());
    }
}

#[tokio::test]
async fn expressions_are_measured_grouped_and_sorted_by() {
    let server = forest().await;
    let base = [("where", "girth IS NOT NULL"), ("f", "json")];
    let query = async |more: &[(&str, &str)]| {
        let parameters = [&base[..], more].concat();
        let answer = server.get("0/query", &parameters).await;
        assert_eq!(answer, server.post("0/query", &parameters).await);
        answer
    };
    let statistics = wanted(&[
        ("sum", "girth * 2", "twice"),
        ("max", "girth / 2.0", "half"),
        ("count", "CASE species WHEN 'elm' THEN 1 END", "elms"),
        ("min", "UPPER(species)", "word"),
        ("max", "EXTRACT(YEAR FROM planted)", "year"),
        ("percentile_cont", "girth + 1", "middle"),
    ])
    .replace(
        r#""onStatisticField":"girth + 1""#,
        r#""onStatisticField":"girth + 1","statisticParameters":{"value":0.5}"#,
    );
    let answer = query(&[("outStatistics", &statistics)]).await;
    assert_eq!(rows(&answer), json!([[44.0, 4.5, 3, "ELM", 1970, 5.0]]));
    let types: Vec<&str> =
        answer["fields"].as_array().unwrap().iter().map(|field| field["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        [
            "esriFieldTypeDouble",
            "esriFieldTypeDouble",
            "esriFieldTypeInteger",
            "esriFieldTypeString",
            "esriFieldTypeInteger",
            "esriFieldTypeDouble"
        ]
    );
    let of_months = [
        ("outStatistics", wanted(&[("count", "objectid", "n")])),
        ("groupByFieldsForStatistics", "EXTRACT(YEAR FROM planted), COALESCE(species, 'a, b')".to_owned()),
    ];
    let of_months: Vec<(&str, &str)> = of_months.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let by_name = query(&[&of_months[..], &[("orderByFields", "EXPR_2 DESC, EXPR_1")]].concat()).await;
    assert_eq!(rows(&by_name), json!([[1969, "fir", 1], [1970, "elm", 2], [null, "elm", 1], [1970, "a, b", 1]]));
    assert_eq!(
        by_name["fields"].as_array().unwrap().iter().map(|field| &field["name"]).collect::<Vec<_>>(),
        ["EXPR_1", "EXPR_2", "n"]
    );
    let repeated = [("orderByFields", "coalesce(species,'a, b') DESC, EXTRACT(YEAR FROM planted)")];
    assert_eq!(query(&[&of_months[..], &repeated].concat()).await, by_name);
    let few = query(&[&of_months[..], &[("having", "EXPR_1 = 1970 AND COUNT(objectid) > 1")]].concat()).await;
    assert_eq!(rows(&few), json!([[1970, "elm", 2]]));

    let sorted = query(&[("orderByFields", "MOD(girth, 3) DESC, ROUND(girth / 2.0, 0)"), ("outFields", "girth")]).await;
    assert_eq!(column(&sorted, "girth"), json!([2, 1, 4, 6, 9]));
    let page =
        [("orderByFields", "girth * -1"), ("resultOffset", "1"), ("resultRecordCount", "2"), ("outFields", "girth")];
    assert_eq!(column(&query(&page).await, "girth"), json!([6, 4]));
    assert_eq!(
        query(&[("orderByFields", "girth * -1"), ("returnIdsOnly", "true")]).await["objectIds"],
        json!([6, 3, 4, 2, 1])
    );
    let layer = server.get("0", &[]).await;
    assert_eq!(layer["advancedQueryCapabilities"]["supportsSqlExpression"], true);

    for (parameters, said) in [
        (vec![("outStatistics", wanted(&[("sum", "girth +", "n")]))], "'outStatistics'"),
        (vec![("outStatistics", wanted(&[("sum", "girth; drop", "n")]))], "';'"),
        (vec![("outStatistics", wanted(&[("sum", "UPPER(species)", "n")]))], "sum needs numbers"),
        (vec![("outStatistics", wanted(&[("sum", "pg_sleep(9)", "n")]))], "unknown function 'PG_SLEEP'"),
        (vec![("orderByFields", "girth + wood".to_owned())], "unknown field 'wood'"),
        (vec![("orderByFields", "(NULL)".to_owned())], "nothing but NULL"),
        (vec![("orderByFields", "wood".to_owned())], "no field 'wood'"),
    ] {
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let words = refusal(&server, "0/query", &parameters).await;
        assert!(words.contains(said), "{said}: {words}");
    }
}

#[tokio::test]
async fn nobody_is_the_current_user() {
    let server = forest().await;
    for (clause, n) in [
        ("species = CURRENT_USER", 0),
        ("species <> current_user", 0),
        ("CURRENT_USER IS NULL", 6),
        ("species = COALESCE(CURRENT_USER, 'elm')", 3),
    ] {
        let answer = server.get("0/query", &[("where", clause), ("returnCountOnly", "true")]).await;
        assert_eq!(answer["count"], n, "{clause}");
    }
}
