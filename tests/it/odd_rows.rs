//! Rows with values that clients cannot be given: geometries of another kind, or that lie nowhere; numbers and times beyond what can be said. None of them
//! takes the other rows down, on any way out, and none is overwritten by whoever was not given it.

use serde_json::{Value as Json, json};
use syncline::model::id::LayerId;

use crate::{geodatabase, geopackage, reading::column, support::TestServer};

const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");

/// What makes rows odd, by their names.
const ODD: &str = "insert into mixed (name, shape) values
       ('area', ST_MakeEnvelope(0, 0, 1, 1, 4326)), ('elsewhere', ST_Point(200000, 200000, 3857)), ('collection', 'SRID=4326;GEOMETRYCOLLECTION(POINT(1 1))'),
       ('curve', 'SRID=4326;CIRCULARSTRING(0 0, 1 1, 2 0)'), ('north', ST_Point(10, 95, 4326)), ('endless', ST_Point('Infinity', 0, 4326)),
       ('half', ST_Point('NaN', 0, 4326)), ('empty', 'SRID=4326;POINT EMPTY');
     insert into mixed (name, big) values ('too great', 1e400), ('tiny', 1e-400), ('endless number', '-Infinity'), ('no number', 'NaN');
     insert into mixed (name, ratio) values ('huge', 1e300), ('endless ratio', 'Infinity'), ('no ratio', 'NaN');
     insert into mixed (name, at, day) values ('for ever', 'infinity', 'infinity'), ('since ever', '-infinity', '-infinity'),
       ('ancient', '0044-03-15 BC', '0044-03-15 BC'), ('far', '12000-01-01', '12000-01-01');
     insert into mixed (name, valid) values ('valid for ever', 'infinity')";

const N_ROWS: usize = 22;

/// A server whose layer 0 has two usual rows and twenty odd ones.
async fn with_odd_rows() -> TestServer {
    let server = before_odd_rows().await;
    server.database.sql(ODD).await;
    server
}

/// The same, before there are odd ones.
async fn before_odd_rows() -> TestServer {
    let server = TestServer::new().await;
    server
        .database
        .sql(
            "create table mixed (id serial primary key, globalid uuid not null default gen_random_uuid() unique, name text, big numeric, ratio double precision,
               at timestamptz, day date, valid timestamptz not null, shape geometry);
             alter table mixed alter valid set default now();
             insert into mixed (name, big, ratio, at, day, shape) values
               ('one', 1.5, 1.5, '2020-01-01', '2020-01-01', ST_Point(1, 1, 4326)), ('two', 2.5, 2.5, '2021-01-01', '2021-01-01', ST_Point(2, 2, 4326))",
        )
        .await;
    server.publish("mixed").await;
    server
}

/// The feature of a name.
fn named<'a>(features: &'a Json, name: &str) -> &'a Json {
    let list = features.as_array().unwrap_or_else(|| panic!("no features in {features}"));
    list.iter()
        .find(|feature| feature["attributes"]["name"] == name || feature["properties"]["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {features}"))
}

#[tokio::test]
async fn a_query_answers_every_row_and_null_for_what_it_cannot_say() {
    let server = with_odd_rows().await;
    for (name, value) in
        [("outSR", "4326"), ("outSR", "3857"), ("outSR", "25832"), ("f", "geojson"), ("maxAllowableOffset", "0.1")]
    {
        let answer = server.get("0/query", &[("where", "1=1"), ("outFields", "*"), (name, value)]).await;
        let features = &answer["features"];
        assert_eq!(features.as_array().map(Vec::len), Some(N_ROWS), "{name}={value}: {answer}");
        for odd in ["area", "elsewhere", "collection", "curve", "endless", "half", "empty"] {
            assert_eq!(named(features, odd)["geometry"], Json::Null, "{name}={value}: {odd}");
        }
        assert_eq!(
            named(features, "north")["geometry"].is_null(),
            name == "outSR" && value != "4326",
            "{name}={value}"
        );
        assert!(named(features, "one")["geometry"].is_object(), "{name}={value}");
    }
    let quantized = [
        ("where", "1=1"),
        (
            "quantizationParameters",
            r#"{"tolerance":0.001,"originPosition":"upperLeft","extent":{"xmin":0,"ymin":0,"xmax":9,"ymax":9,"spatialReference":{"wkid":4326}}}"#,
        ),
    ];
    assert_eq!(server.get("0/query", &quantized).await["features"].as_array().map(Vec::len), Some(N_ROWS));
    let answer =
        server.get("0/query", &[("where", "1=1"), ("outFields", "*"), ("orderByFields", "big, ratio, at")]).await;
    for (odd, field, shown) in [
        ("too great", "big", json!(null)),
        ("tiny", "big", json!(0.0)),
        ("endless number", "big", json!(null)),
        ("no number", "big", json!(null)),
        ("huge", "ratio", json!(1e300)),
        ("endless ratio", "ratio", json!(null)),
        ("for ever", "at", json!(null)),
        ("for ever", "day", json!(null)),
        ("ancient", "at", json!(-63_517_824_000_000_i64)),
        ("ancient", "day", json!(null)),
        ("far", "day", json!(null)),
    ] {
        assert_eq!(named(&answer["features"], odd)["attributes"][field], shown, "{odd}");
    }
    let pbf = server
        .fetch("/arcgis/rest/services/trees/FeatureServer/0/query?f=pbf&where=1%3D1&outFields=*&outSR=3857", &[])
        .await;
    assert_eq!(pbf.headers()["content-type"], "application/x-protobuf");
}

#[tokio::test]
async fn conditions_extents_and_statistics_pass_odd_rows_by() {
    let server = with_odd_rows().await;
    let names = async |parameters: &[(&str, &str)]| {
        let mut all = vec![("outFields", "name"), ("returnGeometry", "false"), ("orderByFields", "id")];
        all.extend(parameters);
        column(&server.get("0/query", &all).await, "name")
    };
    let near = [("geometry", "0.5,0.5,2.5,2.5"), ("inSR", "4326")];
    for relation in ["Intersects", "Contains", "EnvelopeIntersects"] {
        let relation = format!("esriSpatialRel{relation}");
        let found = names(&[near[0], near[1], ("spatialRel", &relation)]).await;
        assert_eq!(found, json!(["one", "two"]), "{relation}");
    }
    assert_eq!(
        names(&[("geometry", "1,1"), ("geometryType", "esriGeometryPoint"), ("inSR", "4326"), ("distance", "1000")])
            .await,
        json!(["one"])
    );
    for (clause, found) in [
        ("big > 2", json!(["two", "too great", "no number"])),
        ("big > 2.25", json!(["two", "too great", "no number"])),
        ("big in (1.5, 2.5)", json!(["one", "two"])),
        ("big between 1 and 2", json!(["one"])),
        ("big * 2 = 5", json!(["two"])),
        ("ratio * 2 > 4 and ratio < 100", json!(["two"])),
        ("at > timestamp '2020-06-01 00:00:00' and at < timestamp '2030-01-01 00:00:00'", json!(["two"])),
    ] {
        assert_eq!(names(&[("where", clause)]).await, found, "{clause}");
    }
    for (srid, xmax) in [("4326", 10.0), ("3857", 222_638.981_586_547)] {
        let answer = server.get("0/query", &[("where", "1=1"), ("returnExtentOnly", "true"), ("outSR", srid)]).await;
        let found = answer["extent"]["xmax"].as_f64().unwrap_or_else(|| panic!("{answer}"));
        assert!((found - xmax).abs() < 1e-6, "{answer}");
    }
    let document = server.get("0", &[]).await;
    assert_eq!(
        (&document["extent"]["xmin"], &document["extent"]["xmax"]),
        (&json!(1.0), &json!(10.0)),
        "{}",
        document["extent"]
    );
    let wanted = json!(
        ["sum", "avg", "stddev", "var", "min", "max", "count"]
            .map(|kind| json!({"statisticType": kind, "onStatisticField": "ratio", "outStatisticFieldName": kind}))
    );
    let all = server.get("0/query", &[("where", "1=1"), ("outStatistics", &wanted.to_string())]).await;
    assert_eq!(all["features"][0]["attributes"]["sum"], Json::Null, "{all}");
    let usual = server.get("0/query", &[("where", "ratio < 100"), ("outStatistics", &wanted.to_string())]).await;
    assert_eq!(
        (&usual["features"][0]["attributes"]["sum"], &usual["features"][0]["attributes"]["var"]),
        (&json!(4.0), &json!(0.5)),
        "{usual}"
    );
    let big = wanted.to_string().replace("ratio", "big");
    let all = server.get("0/query", &[("where", "1=1"), ("outStatistics", &big)]).await;
    assert_eq!(all["features"][0]["attributes"]["count"], 6, "{all}");
}

#[tokio::test]
async fn replicas_files_and_changes_have_every_row() {
    let server = before_odd_rows().await;
    let replica = server.post("createReplica", &[("layers", "0"), EMBEDDED, ("replicaSR", "3857")]).await;
    assert_eq!(replica["layers"][0]["features"].as_array().map(Vec::len), Some(2), "{replica}");
    let first = replica["replicaServerGen"].to_string();
    server.database.sql(ODD).await;
    let id = replica["replicaID"].as_str().unwrap();
    let delta = server.post("synchronizeReplica", &[("replicaID", id), ("replicaServerGen", &first), EMBEDDED]).await;
    let adds = &delta["edits"][0]["features"]["adds"];
    assert_eq!(adds.as_array().map(Vec::len), Some(N_ROWS - 2), "{delta}");
    assert_eq!(named(adds, "area").get("geometry"), None, "{delta}");
    let extracted = server
        .post(
            "extractChanges",
            &[
                ("serverGens", &first),
                ("outSR", "3857"),
                EMBEDDED,
                ("returnExtentOnly", "true"),
                ("changesExtentGridCell", "large"),
            ],
        )
        .await;
    assert!(extracted.get("error").is_none(), "{extracted}");
    let area = r#"{"xmin":0.5,"ymin":0.5,"xmax":3,"ymax":3,"spatialReference":{"wkid":4326}}"#;
    let part =
        server.post("createReplica", &[("layers", "0"), EMBEDDED, ("geometry", area), ("replicaSR", "25832")]).await;
    assert_eq!(part["layers"][0]["features"].as_array().map(Vec::len), Some(2), "{part}");
    for reference in ["4326", "3857"] {
        let package = geopackage::create(&server, &[("layers", "0"), ("replicaSR", reference)]).await;
        assert_eq!(package.list("select count(*) from mixed"), N_ROWS.to_string());
        assert_eq!(package.list("select count(shape) from mixed where shape is not null and name in ('area', 'elsewhere', 'endless', 'half', 'curve')"), "0");
        assert_eq!(
            package.list("select at from mixed where name in ('one', 'for ever', 'ancient', 'far') order by id"),
            "2020-01-01T00:00:00.000Z,null,null,null"
        );
        let file = geodatabase::create(&server, &[("layers", "0"), ("replicaSR", reference)]).await;
        assert_eq!(file.list("select count(*) from mixed"), N_ROWS.to_string());
    }
}

#[tokio::test]
async fn the_time_extent_is_that_of_the_times_that_have_an_end() {
    let mut server = with_odd_rows().await;
    server.configure(|config| config.admin_token = Some("a-token-of-an-administrator".to_owned()));
    let path = "/arcgis/rest/admin/services/trees/FeatureServer/0/updateDefinition";
    let times = json!({"timeInfo": {"startTimeField": "at"}}).to_string();
    let answer = server.post(path, &[("token", "a-token-of-an-administrator"), ("updateDefinition", &times)]).await;
    assert_eq!(answer["success"], true, "{answer}");
    let extent = &server.get("0", &[]).await["timeInfo"]["timeExtent"];
    assert_eq!(*extent, json!([-63_517_824_000_000_i64, 316_516_204_800_000_i64]));
}

#[tokio::test]
async fn a_file_whose_column_takes_no_null_has_the_nearest_value() {
    const ALL: (&str, &str) = ("layerQueries", r#"{"0":{"queryOption":"all"}}"#);
    let mut server = TestServer::new().await;
    server
        .database
        .sql(
            "create table strict (id serial primary key, until timestamptz not null, day date not null, ratio double precision not null, usual text);
             insert into strict (until, day, ratio) values ('infinity', '-infinity', 'NaN'), ('-infinity', 'infinity', '-Infinity')",
        )
        .await;
    server.publish("strict").await;
    // Rows from before a definition required a value have none.
    server.configure(|config| config.admin_token = Some("a-token-of-an-administrator".to_owned()));
    let required = json!({"fields": [{"name": "usual", "nullable": false}]}).to_string();
    let path = "/arcgis/rest/admin/services/trees/FeatureServer/0/updateDefinition";
    let answer = server.post(path, &[("token", "a-token-of-an-administrator"), ("updateDefinition", &required)]).await;
    assert_eq!(answer["success"], true, "{answer}");
    let package = geopackage::create(&server, &[("layers", "0"), ALL]).await;
    assert_eq!(
        package.list("select until from strict order by id"),
        "9999-12-31T23:59:59.999Z,0001-01-01T00:00:00.000Z"
    );
    assert_eq!(package.list("select day from strict order by id"), "0001-01-01,9999-12-31");
    assert_eq!(package.list("select ratio > -1 from strict order by id"), "1,0");
    let file = geodatabase::create(&server, &[("layers", "0"), ALL]).await;
    assert_eq!(file.list("select day from strict order by id"), "0001-01-01,9999-12-31");
    assert_eq!(file.list("select strftime('%Y', until) from strict order by id"), "9999,-4713");
}

#[tokio::test]
async fn who_was_given_null_for_a_value_does_not_overwrite_it() {
    let server = with_odd_rows().await;
    let replica = server.post("createReplica", &[("layers", "0"), EMBEDDED]).await;
    let odd = server
        .database
        .value::<String>("select string_agg(concat_ws('|', globalid, ST_AsEWKT(shape), big, ratio, at, day), ';' order by id) from mixed")
        .await;
    let ids: String = server.database.value("select string_agg(globalid::text, ',') from mixed").await;
    let updates: Json = ids.split(',').map(|id| json!({"attributes": {"globalid": id, "name": "seen"}})).collect();
    let edits = json!([{"id": 0, "features": {"updates": updates}}]).to_string();
    let generation = replica["replicaServerGen"].to_string();
    let answer = server
        .post(
            "synchronizeReplica",
            &[
                ("replicaID", replica["replicaID"].as_str().unwrap()),
                ("replicaServerGen", &generation),
                EMBEDDED,
                ("syncDirection", "bidirectional"),
                ("edits", &edits),
            ],
        )
        .await;
    assert!(answer.get("error").is_none(), "{answer}");
    assert_eq!(server.database.value::<i64>("select count(*) from mixed where name = 'seen'").await, 22, "{answer}");
    let after = server
        .database
        .value::<String>("select string_agg(concat_ws('|', globalid, ST_AsEWKT(shape), big, ratio, at, day), ';' order by id) from mixed")
        .await;
    assert_eq!(after, odd);
    // One odd number is copied to another as it is.
    let calculated = [("where", "1=1"), ("calcExpression", r#"[{"field":"big","sqlExpression":"big"}]"#)];
    let answer = server.post("0/calculate", &calculated).await;
    assert_eq!(answer["success"], true, "{answer}");
    assert!(server.database.value::<bool>("select exists (select from mixed where big = 1e400)").await);
}

#[tokio::test]
async fn a_check_names_odd_rows_and_a_repair_does_not_stumble() {
    let server = with_odd_rows().await;
    let found = server.app.store.odd_rows().await.unwrap();
    for said in [
        "public.mixed (layer 0 of trees): 4 rows have a geometry of another type or spatial reference than the layer, which clients are not given; declare the type of the column; object id 3, 4, 5, 6",
        "3 rows have a geometry that lies where its spatial reference has no places, and that clients are not given in another one; object id 7, 8, 9",
        "3 rows have a number in big that is infinite, none, or too great for a double, and that clients get as null; object id 11, 13, 14",
        "1 row has a time in valid that is infinite",
    ] {
        assert!(found.iter().any(|sentence| sentence.contains(said)), "{said} is not in {found:#?}");
    }
    server.database.sql("alter table mixed add more text").await;
    server.app.store.repair("trees", LayerId(0), false).await.unwrap();
    let answer = server.get("0/query", &[("where", "1=1"), ("outFields", "more")]).await;
    assert_eq!(answer["features"].as_array().map(Vec::len), Some(N_ROWS), "{answer}");
    // A column that declares what it holds has nothing to be named.
    let usual = TestServer::with_trees().await;
    usual.add(0, r#"[{"attributes":{"species":"elm"},"geometry":{"x":1,"y":2}}]"#).await;
    assert_eq!(usual.app.store.odd_rows().await.unwrap(), Vec::<String>::new());
}
