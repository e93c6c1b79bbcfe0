//! Queries: which rows, in which order and reference, and how values and geometries look.

use serde_json::{Value as Json, json};

use crate::support::{
    TestServer,
    server::{error, text},
};

/// The trees `names` are planted one degree apart, from 0°, 0° to the north-east.
async fn with_rows(names: &[&str]) -> TestServer {
    let server = TestServer::with_trees().await;
    let rows: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(n, name)| {
            let name = name.replace('\'', "''");
            format!("('{name}', {n}.5, {n} * 10, 'epoch'::timestamptz + {n} * interval '1 day', ST_Transform(ST_Point({n}, {n}, 4326), 3857))")
        })
        .collect();
    server
        .database
        .sql(&format!("insert into oak (species, height, girth, planted, shape) values {}", rows.join(", ")))
        .await;
    server
}

/// The values of one attribute.
fn column<'a>(answer: &'a Json, name: &str) -> Vec<&'a Json> {
    let features = answer["features"].as_array().unwrap_or_else(|| panic!("no features in {answer}"));
    features.iter().map(|feature| &feature["attributes"][name]).collect()
}

#[tokio::test]
async fn a_where_clause_chooses_rows() {
    let server = with_rows(&["elm", "fir", "ash", "Oak's", "50% oak"]).await;
    server.database.sql("insert into oak (species) values (null)").await;
    let all = json!(["elm", "fir", "ash", "Oak's", "50% oak", null]);
    for (clause, expected) in [
        ("1=1", all.clone()),
        ("", all),
        ("1=0", json!([])),
        ("species = 'fir'", json!(["fir"])),
        ("SPECIES='Oak''s'", json!(["Oak's"])),
        ("species like '%50!%%' escape '!'", json!(["50% oak"])),
        ("UPPER(species) LIKE 'E%' OR girth BETWEEN 15 AND 25", json!(["elm", "ash"])),
        ("species IN ('elm','fir') AND NOT (girth = 0)", json!(["fir"])),
        ("species IS NULL", json!([null])),
        ("planted >= TIMESTAMP '1970-01-04 00:00:00'", json!(["Oak's", "50% oak"])),
        ("height + 1 > 5", json!(["50% oak"])),
        ("objectid = 3", json!(["ash"])),
        ("Shape IS NULL", json!([null])),
    ] {
        let answer = server.get("0/query", &[("where", clause), ("outFields", "species")]).await;
        assert_eq!(json!(column(&answer, "species")), expected, "{clause}");
    }
    let id = server.database.value::<uuid::Uuid>("select globalid from oak where species = 'ash'").await;
    for spelling in [format!("{{{}}}", id.to_string().to_uppercase()), id.simple().to_string()] {
        let clause = format!("GlobalID = '{spelling}'");
        let answer = server.get("0/query", &[("where", &clause), ("outFields", "species")]).await;
        assert_eq!(column(&answer, "species"), ["ash"], "{clause}");
    }
}

#[tokio::test]
async fn a_feature_is_a_resource_by_its_object_id() {
    let server = with_rows(&["elm", "ash"]).await;
    let answer = server.get("0/2", &[]).await;
    assert_eq!(answer["feature"]["attributes"]["species"], "ash", "{answer}");
    assert!(
        answer["feature"]["geometry"]["x"].as_f64().is_some_and(|x| x > 100_000.0),
        "in the layer's own reference: {answer}"
    );
    assert_eq!(server.post("0/2/", &[]).await, answer);
    let (code, said) = error(&server.get("0/3", &[]).await);
    assert!(code == 404 && said.contains("no feature with object id 3"), "{code} {said}");
    let page = server.fetch("0/2?f=html", &[]).await;
    assert_eq!(page.status(), 200);
}

#[tokio::test]
async fn object_ids_choose_rows_together_with_the_other_filters() {
    let server = with_rows(&["elm", "fir", "ash"]).await;
    for ids in ["3,1,99", "[1,3]", "[\"1\", \"3\"]"] {
        let answer = server.get("0/query", &[("objectIds", ids), ("outFields", "species")]).await;
        assert_eq!(column(&answer, "species"), ["elm", "ash"], "{ids}");
    }
    let answer = server.get("0/query", &[("objectIds", "1,3"), ("where", "girth > 0")]).await;
    assert_eq!(column(&answer, "objectid"), [3]);
}

#[tokio::test]
async fn a_shape_in_another_reference_chooses_rows_by_each_relation() {
    let server = TestServer::new().await;
    let square =
        |name: &str, corners: &str| format!("('{name}', ST_Transform(ST_MakeEnvelope({corners}, 4326), 3857))");
    let squares = [
        square("inside", "0.5, 0.5, 1.5, 1.5"),
        square("around", "-1, -1, 3, 3"),
        square("beside", "2, 0, 4, 2"),
        square("across", "1, 1, 3, 3"),
        square("far", "10, 10, 11, 11"),
    ];
    server
        .database
        .sql(&format!(
            "create table plot (id serial primary key, name text, shape geometry(Polygon, 3857));
             insert into plot (name, shape) values {};
             create table path (id serial primary key, name text, shape geometry(LineString, 3857));
             insert into path (name, shape) values
               ('through', ST_Transform('SRID=4326;LINESTRING(-1 1, 1 1.5)'::geometry, 3857)),
               ('within', ST_Transform('SRID=4326;LINESTRING(0.5 1, 1 1.5)'::geometry, 3857))",
            squares.join(", ")
        ))
        .await;
    server.publish("plot").await;
    server.publish("path").await;
    let polygon = r#"{"rings":[[[0,0],[0,2],[2,2],[2,0],[0,0]]],"spatialReference":{"wkid":4326}}"#;
    for (layer, relation, expected) in [
        (0, "", json!(["inside", "around", "beside", "across"])),
        (0, "esriSpatialRelIntersects", json!(["inside", "around", "beside", "across"])),
        (0, "esriSpatialRelEnvelopeIntersects", json!(["inside", "around", "beside", "across"])),
        (0, "esriSpatialRelContains", json!(["inside"])),
        (0, "esriSpatialRelWithin", json!(["around"])),
        (0, "esriSpatialRelTouches", json!(["beside"])),
        (0, "esriSpatialRelOverlaps", json!(["across"])),
        (0, "esriSpatialRelCrosses", json!([])),
        (1, "esriSpatialRelCrosses", json!(["through"])),
    ] {
        for (geometry, in_sr) in [("0,0,2,2", "4326"), (polygon, ""), (polygon, "102100")] {
            let parameters = [("geometry", geometry), ("inSR", in_sr), ("spatialRel", relation), ("outFields", "name")];
            let answer = server.get(&format!("{layer}/query"), &parameters).await;
            assert_eq!(json!(column(&answer, "name")), expected, "{relation} {geometry}");
        }
    }
}

#[tokio::test]
async fn the_whole_world_in_degrees_is_the_whole_layer_in_web_mercator() {
    let server = with_rows(&["elm", "fir", "ash"]).await;
    for world in
        ["-180,-90,180,90", r#"{"xmin":-180,"ymin":-90,"xmax":180,"ymax":90,"spatialReference":{"wkid":4326}}"#]
    {
        let parameters = [("geometry", world), ("inSR", "4326"), ("returnCountOnly", "true")];
        assert_eq!(server.get("0/query", &parameters).await, json!({"count": 3}), "{world}");
    }
    let at_a_tree = [("geometry", "1,1"), ("inSR", "4326"), ("geometryType", "esriGeometryPoint")];
    let answer = server.get("0/query", &at_a_tree).await;
    assert_eq!(column(&answer, "objectid"), [2], "the point at which a tree stands finds it");
}

#[tokio::test]
async fn out_fields_name_what_comes_back_and_the_object_id_always_does() {
    let server = with_rows(&["elm"]).await;
    for (wanted, expected) in [
        ("", vec!["objectid"]),
        ("SPECIES , girth", vec!["objectid", "species", "girth"]),
        ("*", vec!["objectid", "globalid", "species", "height", "girth", "planted"]),
        ("girth,*", vec!["objectid", "globalid", "species", "height", "girth", "planted"]),
    ] {
        let answer = server.get("0/query", &[("where", "1=1"), ("outFields", wanted)]).await;
        let named: Vec<&str> =
            answer["fields"].as_array().unwrap().iter().map(|field| field["name"].as_str().unwrap()).collect();
        let attributes = answer["features"][0]["attributes"].as_object().unwrap();
        assert_eq!(named, expected, "{wanted}");
        assert_eq!(attributes.keys().collect::<Vec<_>>(), expected, "{wanted}");
    }
    let (code, words) = error(&server.get("0/query", &[("outFields", "species,statse")]).await);
    assert_eq!(code, 400);
    assert!(words.contains("'outFields'") && words.contains("'statse'") && words.contains("species"), "{words}");
}

#[tokio::test]
async fn geometry_comes_in_the_reference_that_is_asked_for_or_not_at_all() {
    let server = with_rows(&["elm", "fir"]).await;
    let answer = server.get("0/query", &[("objectIds", "2"), ("outSR", r#"{"wkid":"4326"}"#)]).await;
    assert_eq!(answer["spatialReference"]["wkid"], 4326);
    let geometry = &answer["features"][0]["geometry"];
    for ordinate in ["x", "y"] {
        assert!((geometry[ordinate].as_f64().unwrap() - 1.0).abs() < 1e-9, "{geometry}");
    }
    let answer = server.get("0/query", &[("objectIds", "2")]).await;
    assert_eq!(answer["spatialReference"], json!({"wkid": 102_100, "latestWkid": 3857}));
    assert_eq!(answer["geometryType"], "esriGeometryPoint");
    assert!((answer["features"][0]["geometry"]["x"].as_f64().unwrap() - 111_319.490_793).abs() < 1e-3);
    let answer = server.get("0/query", &[("objectIds", "2"), ("returnGeometry", "False")]).await;
    assert!(answer["features"][0].get("geometry").is_none());
}

#[tokio::test]
async fn pages_are_stable_and_say_exactly_when_there_is_more() {
    let server = with_rows(&["elm"; 25]).await;
    let page = async |offset: &str| {
        let parameters = [
            ("where", "1=1"),
            ("orderByFields", " species DESC"),
            ("resultOffset", offset),
            ("resultRecordCount", "10"),
            ("outFields", "*"),
        ];
        server.get("0/query", &parameters).await
    };
    let mut ids = Vec::new();
    for (offset, n_rows, more) in
        [("0", 10, true), ("10", 10, true), ("20", 5, false), ("15", 10, false), ("30", 0, false)]
    {
        let answer = page(offset).await;
        assert_eq!(answer, page(offset).await, "the same page again");
        assert_eq!(answer["features"].as_array().unwrap().len(), n_rows, "{offset}");
        assert_eq!(answer.get("exceededTransferLimit"), more.then_some(&json!(true)), "{offset}");
        if ["0", "10", "20"].contains(&offset) {
            ids.extend(column(&answer, "objectid").into_iter().map(|id| id.as_i64().unwrap()));
        }
    }
    assert_eq!(ids, (1..=25).collect::<Vec<i64>>(), "rows that are equal in what they are sorted by come by object id");
    let answer = server.get("0/query", &[("orderByFields", "girth desc, height"), ("resultRecordCount", "2")]).await;
    assert_eq!(column(&answer, "objectid"), [25, 24]);
}

#[tokio::test]
async fn a_page_is_cut_at_the_record_limit_but_ids_and_counts_are_not() {
    let server = TestServer::with_trees().await;
    server.database.sql("insert into oak (girth) select generate_series(1, 2001)").await;
    for count in ["", "50000"] {
        let answer = server.get("0/query", &[("where", "1=1"), ("resultRecordCount", count)]).await;
        assert_eq!(answer["features"].as_array().unwrap().len(), 2000);
        assert_eq!(answer["exceededTransferLimit"], true);
    }
    let answer = server.get("0/query", &[("where", "girth > 1")]).await;
    assert_eq!(answer.get("exceededTransferLimit"), None, "2000 rows are all there are");
    let ids = server.get("0/query", &[("where", "1=1"), ("returnIdsOnly", "true")]).await;
    assert_eq!(ids["objectIdFieldName"], "objectid");
    assert_eq!(ids["objectIds"].as_array().unwrap().len(), 2001);
    let count =
        server.get("0/query", &[("where", "1=1"), ("returnCountOnly", "true"), ("returnIdsOnly", "true")]).await;
    assert_eq!(count, json!({"count": 2001}));
    let none = server.get("0/query", &[("where", "1=1"), ("resultRecordCount", "0"), ("outFields", "girth")]).await;
    assert_eq!((none["features"].clone(), none["fields"][1]["name"].clone()), (json!([]), json!("girth")));
}

#[tokio::test]
async fn an_extent_is_that_of_the_chosen_rows_and_of_none_is_not_a_number() {
    let server = with_rows(&["elm", "fir", "ash"]).await;
    let chosen = [("where", "girth > 0"), ("outSR", "4326"), ("returnExtentOnly", "true"), ("returnCountOnly", "true")];
    let answer = server.get("0/query", &chosen).await;
    assert_eq!(answer["count"], 2);
    for (corner, expected) in [("xmin", 1.0), ("ymin", 1.0), ("xmax", 2.0), ("ymax", 2.0)] {
        assert!((answer["extent"][corner].as_f64().unwrap() - expected).abs() < 1e-9, "{answer}");
    }
    assert_eq!(answer["extent"]["spatialReference"]["wkid"], 4326);
    let empty = server.get("0/query", &[("where", "1=0"), ("returnExtentOnly", "true")]).await;
    assert_eq!(empty["extent"]["xmin"], "NaN");
    let (_, words) = error(&server.get("1/query", &[("where", "1=1"), ("returnExtentOnly", "true")]).await);
    assert!(words.contains("has no geometry"), "{words}");
}

#[tokio::test]
async fn a_table_has_rows_without_geometry_and_no_area_restricts_them() {
    let server = TestServer::with_trees().await;
    server.add(1, r#"[{"attributes":{"note":"first"}},{"attributes":{"note":"second"},"geometry":null}]"#).await;
    let parameters = [("geometry", "0,0,1,1"), ("outFields", "note"), ("outSR", "4326"), ("orderByFields", "note")];
    let answer = server.get("1/query", &parameters).await;
    assert_eq!(column(&answer, "note"), ["first", "second"]);
    for absent in ["geometryType", "spatialReference"] {
        assert!(answer.get(absent).is_none(), "{absent}");
    }
    assert!(answer["features"][0].get("geometry").is_none());
}

#[tokio::test]
async fn a_feature_without_geometry_comes_without() {
    let server = TestServer::with_trees().await;
    server.add(0, r#"[{"attributes":{"species":"elm"}},{"geometry":{"x":"NaN","y":"NaN"}}]"#).await;
    for feature in server.features(0).await {
        assert!(feature.get("geometry").is_none(), "{feature}");
    }
}

#[tokio::test]
async fn heights_and_measures_come_when_they_are_asked_for() {
    let server = TestServer::new().await;
    server
        .database
        .sql(
            "create table spring (id serial primary key, shape geometry(PointZM, 4326));
             insert into spring (shape) values ('SRID=4326;POINT ZM (1 2 3 4)');
             create table road (id serial primary key, shape geometry(LineStringM, 4326));
             insert into road (shape) values ('SRID=4326;LINESTRING M (0 0 5, 1 1 6)');
             create table roof (id serial primary key, shape geometry(PolygonZ, 4326));
             insert into roof (shape) values ('SRID=4326;POLYGON Z ((0 0 9, 0 1 9, 1 1 9, 0 0 9))')",
        )
        .await;
    for table in ["spring", "road", "roof"] {
        server.publish(table).await;
    }
    assert_eq!(server.get("0", &[]).await["hasZ"], true);
    let with = [("where", "1=1"), ("returnZ", "true"), ("returnM", "true")];
    for (layer, bare, full) in [
        (0, json!({"x": 1, "y": 2}), json!({"x": 1, "y": 2, "z": 3, "m": 4})),
        (1, json!({"paths": [[[0, 0], [1, 1]]]}), json!({"hasM": true, "paths": [[[0, 0, 5], [1, 1, 6]]]})),
        (
            2,
            json!({"rings": [[[0, 0], [0, 1], [1, 1], [0, 0]]]}),
            json!({"hasZ": true, "rings": [[[0, 0, 9], [0, 1, 9], [1, 1, 9], [0, 0, 9]]]}),
        ),
    ] {
        let path = format!("{layer}/query");
        let as_floats = |value: &Json| serde_json::from_str::<Json>(&value.to_string().replace(".0", "")).unwrap();
        let plain = server.get(&path, &[("where", "1=1")]).await;
        assert_eq!(as_floats(&plain["features"][0]["geometry"]), bare, "{layer}");
        assert!(plain.get("hasZ").is_none() && plain.get("hasM").is_none(), "{plain}");
        let all = server.get(&path, &with).await;
        assert_eq!(as_floats(&all["features"][0]["geometry"]), full, "{layer}");
        assert_eq!(all.get("hasZ").is_some(), full.get("hasZ").is_some() || full.get("z").is_some(), "{layer}");
    }
}

/// Twice the area of a ring; negative if it runs clockwise.
fn twice_area(ring: &Json) -> f64 {
    let at = |vertex: &Json| (vertex[0].as_f64().unwrap(), vertex[1].as_f64().unwrap());
    let vertices: Vec<(f64, f64)> = ring.as_array().unwrap().iter().map(at).collect();
    vertices.windows(2).map(|pair| pair[0].0 * pair[1].1 - pair[1].0 * pair[0].1).sum()
}

#[tokio::test]
async fn outer_rings_run_clockwise_and_holes_the_other_way_however_they_are_stored() {
    let server = TestServer::new().await;
    server
        .database
        .sql(
            "create table lake (id serial primary key, shape geometry(MultiPolygon, 4326));
             insert into lake (shape) values
               ('SRID=4326;MULTIPOLYGON(((0 0, 9 0, 9 9, 0 9, 0 0), (1 1, 2 1, 2 2, 1 2, 1 1)), ((20 20, 20 21, 21 21, 20 20)))'),
               ('SRID=4326;MULTIPOLYGON(((0 0, 0 9, 9 9, 9 0, 0 0), (1 1, 1 2, 2 2, 2 1, 1 1)))')",
        )
        .await;
    server.publish("lake").await;
    let answer = server.get("0/query", &[("where", "1=1")]).await;
    for (feature, expected) in [(0, vec![-162.0, 2.0, -1.0]), (1, vec![-162.0, 2.0])] {
        let rings = answer["features"][feature]["geometry"]["rings"].as_array().unwrap();
        assert_eq!(rings.iter().map(twice_area).collect::<Vec<_>>(), expected, "{rings:?}");
        assert!(rings.iter().all(|ring| ring[0] == ring[ring.as_array().unwrap().len() - 1]), "rings are closed");
    }
}

#[tokio::test]
async fn values_of_every_type_come_back_as_they_went() {
    let server = TestServer::new().await;
    server
        .database
        .sql(
            "create table everything (id bigserial primary key, small smallint, whole integer, big bigint, single real, dbl double precision,
               num numeric(12, 3), words text, short varchar(10), fixed char(4), yes boolean, guid uuid, at timestamptz, local timestamp,
               day date, hour time, told syncline.timestamp_offset)",
        )
        .await;
    server.publish("everything").await;
    let full = json!({
        "small": -32768, "whole": 2_147_483_647, "big": 9_007_199_254_740_991_i64, "single": 12.3, "dbl": 0.1, "num": 1234.567,
        "words": "Ünïcode \"q\" \\ \n\t€𝄞</script>", "short": "0123456789", "fixed": "abcd", "yes": 1,
        "guid": "{8D8B7C2E-0000-4000-8000-00000000000A}", "at": -1, "local": 253_402_300_799_999_i64, "day": "1900-02-28",
        "hour": "23:59:59", "told": "2003-01-25T17:00:00.5-05:00",
    });
    let mut empty = full.clone();
    empty.as_object_mut().unwrap().values_mut().for_each(|value| *value = Json::Null);
    let loose = json!({
        "small": "7", "whole": 7.0, "big": true, "single": "1.5", "dbl": 3, "num": "", "words": 5, "short": "", "yes": "true",
        "guid": "8d8b7c2e00004000800000000000000a", "at": "2024-01-31T10:00:00+01:00", "day": null, "hour": "08:30",
        "told": " 2003-01-25T17:00:00Z ",
    });
    let adds = json!([{"attributes": full}, {"attributes": empty}, {"attributes": loose}]).to_string();
    let added = server.add(0, &adds).await;
    assert!(added["addResults"].as_array().unwrap().iter().all(|result| result["success"] == true), "{added}");
    let stored = server.features(0).await;
    // In the order of the request, which is that of the results.
    let rows: Vec<&Json> = added["addResults"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| stored.iter().find(|row| row["attributes"]["id"] == result["objectId"]).unwrap())
        .collect();
    for (row, sent) in rows.iter().zip([&full, &empty]) {
        for (name, value) in sent.as_object().unwrap() {
            assert_eq!(&row["attributes"][name], value, "{name}");
        }
    }
    let expected = json!({
        "small": 7, "whole": 7, "big": 1, "single": 1.5, "dbl": 3.0, "num": null, "words": "5", "short": "", "fixed": null, "yes": 1,
        "guid": "{8D8B7C2E-0000-4000-8000-00000000000A}", "at": 1_706_691_600_000_i64, "local": null, "day": null, "hour": "08:30:00",
        "told": "2003-01-25T17:00:00Z",
    });
    for (name, value) in expected.as_object().unwrap() {
        let stored = &rows[2]["attributes"][name];
        assert!(stored == value || (stored.is_number() && stored.as_f64() == value.as_f64()), "{name}: {stored}");
    }
    let stored: bool = server
        .database
        .value("select at = '1969-12-31T23:59:59.999Z' and local = '9999-12-31 23:59:59.999' and yes from everything where small < 0")
        .await;
    assert!(stored, "and the database has the instants that were meant");
}

#[tokio::test]
async fn instants_with_an_offset_are_ordered_and_compared_as_instants() {
    let server = TestServer::new().await;
    server.database.sql("create table call (id serial primary key, who text, told syncline.timestamp_offset)").await;
    server.publish("call").await;
    let layer = server.get("0", &[]).await;
    let field = layer["fields"].as_array().unwrap().iter().find(|field| field["name"] == "told").unwrap();
    assert_eq!(field["type"], "esriFieldTypeTimestampOffset");
    let told = ["2024-05-01T08:00:00+09:00", "2024-04-30T20:00:00-05:00", "2024-05-01T00:30:00Z"];
    let adds: Vec<Json> = told
        .iter()
        .map(|told| json!({"attributes": {"who": "x", "told": told}}))
        .chain([json!({"attributes": {}})])
        .collect();
    let added = server.add(0, &json!(adds).to_string()).await;
    assert!(added["addResults"].as_array().unwrap().iter().all(|result| result["success"] == true), "{added}");

    let values = |answer: &Json| -> Vec<String> {
        let features = answer["features"].as_array().unwrap_or_else(|| panic!("{answer}")).iter();
        features.filter_map(|feature| feature["attributes"]["told"].as_str().map(str::to_owned)).collect()
    };
    let in_order = server
        .get("0/query", &[("where", "told is not null"), ("orderByFields", "told desc"), ("outFields", "*")])
        .await;
    assert_eq!(values(&in_order), [told[1], told[2], told[0]]);
    for clause in ["told > timestamp '2024-05-01 00:00:00'", "told between date '2024-05-01' and date '2024-05-02'"] {
        let later = server.get("0/query", &[("where", clause), ("orderByFields", "told"), ("outFields", "told")]).await;
        assert_eq!(values(&later), [told[2], told[1]], "{clause}");
    }
    let differing = server
        .get(
            "0/query",
            &[
                ("where", "1=1"),
                ("outFields", "told"),
                ("returnDistinctValues", "true"),
                ("orderByFields", "told"),
                ("returnGeometry", "false"),
            ],
        )
        .await;
    assert_eq!(values(&differing), [told[0], told[2], told[1]]);
    let statistics = r#"[{"statisticType":"max","onStatisticField":"told","outStatisticFieldName":"told"}]"#;
    let last = server.get("0/query", &[("where", "1=1"), ("outStatistics", statistics)]).await;
    assert_eq!(values(&last), ["2024-05-01T01:00:00.000000+00:00"]);

    let (code, words) = error(
        &server
            .post(
                "0/calculate",
                &[("where", "1=1"), ("calcExpression", r#"[{"field":"told","sqlExpression":"current_timestamp"}]"#)],
            )
            .await,
    );
    assert!(code == 400 && words.contains("told") && words.contains("no offset"), "{words}");
    let wrong = server.add(0, r#"[{"attributes":{"told":"2024-05-01T00:30:00"}}]"#).await;
    let words = wrong["addResults"][0]["error"]["description"].as_str().unwrap();
    assert!(words.contains("told") && words.contains("offset from UTC"), "{words}");
}

#[tokio::test]
async fn what_a_query_cannot_do_is_refused_by_name() {
    let server = TestServer::with_trees().await;
    for (name, value) in [("fullText", r#"[{"onFields":["species"],"searchTerm":"elm"}]"#)] {
        let (code, words) = error(&server.get("0/query", &[("where", "1=1"), (name, value)]).await);
        assert_eq!(code, 400, "{name}");
        assert!(words.contains(name) && words.contains("not supported"), "{words}");
        let absent = server.get("0/query", &[("where", "1=1"), (name, "")]).await;
        assert!(absent.get("features").is_some(), "an empty {name} is none: {absent}");
    }
}

#[tokio::test]
async fn ids_that_are_too_many_for_memory_come_whole_in_every_form() {
    const N: i64 = 300_000;
    let server = TestServer::with_trees().await;
    server.database.sql(&format!("insert into oak (species) select 'elm' from generate_series(1, {N})")).await;
    let all: Vec<i64> = (1..=N).collect();
    let answer = server.get("0/query", &[("returnIdsOnly", "true")]).await;
    assert_eq!(answer, json!({"objectIdFieldName": "objectid", "objectIds": all}));
    let answer = server
        .get("0/query", &[("returnUniqueIdsOnly", "true"), ("orderByFields", "objectid DESC"), ("where", "1=1")])
        .await;
    let turned: Vec<i64> = (1..=N).rev().collect();
    assert_eq!(answer["uniqueIds"], json!(turned));
    let of_service = server.get("query", &[("layerDefs", "0:1=1;1:1=1"), ("returnIdsOnly", "true")]).await;
    assert_eq!(of_service["layers"][0], json!({"id": 0, "objectIdFieldName": "objectid", "objectIds": all}));
    assert_eq!(of_service["layers"][1], json!({"id": 1, "objectIdFieldName": "objectid", "objectIds": []}));
    let script = text(server.fetch("0/query?returnIdsOnly=true&f=json&callback=then", &[]).await).await;
    let called = script.strip_prefix("then(").and_then(|rest| rest.strip_suffix(");")).expect("a call");
    assert_eq!(serde_json::from_str::<Json>(called).unwrap()["objectIds"].as_array().unwrap().len(), all.len());
    assert_eq!(std::fs::read_dir(server.data().join("spool")).unwrap().count(), 0, "nothing is left behind");
}
