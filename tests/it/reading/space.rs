//! Where features are: relations by a matrix, distances on the ground, date lines, spellings; and when they were.

use serde_json::{Value as Json, json};

use super::{column, refusal};
use crate::support::TestServer;

/// Points of a layer in degrees, by their names.
async fn places(srid: i32, points: &[(&str, f64, f64)]) -> TestServer {
    let server = TestServer::new().await;
    let rows: Vec<String> = points
        .iter()
        .map(|(name, x, y)| format!("('{name}', ST_Transform(ST_Point({x}, {y}, 4326), {srid}))"))
        .collect();
    server
        .database
        .sql(&format!(
            "create table place (id serial primary key, name text, shape geometry(Point, {srid})); create index on place using gist (shape);
             insert into place (name, shape) values {}",
            rows.join(", ")
        ))
        .await;
    server.publish("place").await;
    server
}

async fn names(server: &TestServer, parameters: &[(&str, &str)]) -> Json {
    let mut all = vec![("outFields", "name"), ("inSR", "4326")];
    all.extend(parameters);
    column(&server.get("0/query", &all).await, "name")
}

#[tokio::test]
async fn a_distance_is_measured_along_the_ground_in_each_unit_and_reference() {
    // A degree of longitude has 55,800 m at 60° north, and 111,320 m at the equator.
    let points = [("here", 10.0, 60.0), ("near", 10.01, 60.0), ("far", 10.1, 60.0), ("south", 10.0, 59.99)];
    for srid in [4326, 3857, 32632] {
        let server = places(srid, &points).await;
        for (distance, units, expected) in [
            ("550", "", json!(["here"])),
            ("560", "", json!(["here", "near"])),
            ("1.2", "esriSRUnit_Kilometer", json!(["here", "near", "south"])),
            ("0.35", "esriSRUnit_StatuteMile", json!(["here", "near"])),
            ("1820", "esriSRUnit_Foot", json!(["here"])),
            ("0.305", "esriSRUnit_NauticalMile", json!(["here", "near"])),
            ("6000", "esriSRUnit_Meter", json!(["here", "near", "far", "south"])),
            ("0", "", json!(["here"])),
        ] {
            let parameters = [("geometry", "10,60"), ("distance", distance), ("units", units)];
            assert_eq!(names(&server, &parameters).await, expected, "{srid}: {distance} {units}");
        }
        let within = [("geometry", "10,60"), ("distance", "560"), ("spatialRel", "esriSpatialRelContains")];
        assert_eq!(names(&server, &within).await, json!(["here", "near"]), "{srid}");
        let line = r#"{"paths":[[[10.05,59.9],[10.05,60.1]]],"spatialReference":{"wkid":4326}}"#;
        assert_eq!(
            names(&server, &[("geometry", line), ("distance", "2900")]).await,
            json!(["here", "near", "far", "south"])
        );
        assert_eq!(names(&server, &[("geometry", line), ("distance", "2500")]).await, json!(["near"]), "{srid}");
    }
}

#[tokio::test]
async fn a_distance_reaches_across_the_date_line_and_the_pole() {
    let server =
        places(4326, &[("east", 179.99, 0.0), ("west", -179.99, 0.0), ("north", 0.0, 89.99), ("over", 180.0, 89.99)])
            .await;
    let at = |geometry| [("geometry", geometry), ("distance", "3"), ("units", "esriSRUnit_Kilometer")];
    assert_eq!(names(&server, &at("179.99,0")).await, json!(["east", "west"]));
    assert_eq!(names(&server, &at("0,89.99")).await, json!(["north", "over"]));
}

#[tokio::test]
async fn distances_that_cannot_be_are_refused() {
    let server = places(3857, &[("a", 1.0, 1.0)]).await;
    for (distance, units, said) in [
        ("-1", "", "'distance'"),
        ("far", "", "'far'"),
        ("30000", "esriSRUnit_Kilometer", "20037508 m"),
        ("1", "esriSRUnit_Furlong", "'units'"),
    ] {
        let parameters = [("geometry", "0,0"), ("distance", distance), ("units", units)];
        let words = refusal(&server, "0/query", &parameters).await;
        assert!(words.contains(said), "{words}");
    }
}

#[tokio::test]
async fn a_relation_is_any_matrix_and_disjoint_is_one() {
    let server = TestServer::new().await;
    server
        .database
        .sql(
            "create table plot (id serial primary key, name text, shape geometry(Polygon, 4326)); create index on plot using gist (shape);
             insert into plot (name, shape) values ('inside', ST_MakeEnvelope(0.5, 0.5, 1, 1, 4326)), ('across', ST_MakeEnvelope(1, 1, 3, 3, 4326)),
               ('beside', ST_MakeEnvelope(2, 0, 4, 2, 4326)), ('far', ST_MakeEnvelope(9, 9, 10, 10, 4326)), ('nowhere', null)",
        )
        .await;
    server.publish("plot").await;
    for (relation, matrix, expected) in [
        ("esriSpatialRelRelation", "T********", json!(["inside", "across"])),
        ("esriSpatialRelRelation", "FFFTTT***", json!([])),
        ("esriSpatialRelRelation", "F***1****", json!(["beside"])),
        ("esriSpatialRelRelation", "ff*ff****", json!(["far"])),
        ("esriSpatialRelRelation", "T*T***T**", json!(["across"])),
        ("esriSpatialRelDisjoint", "", json!(["far"])),
        ("esriSpatialRelIndexIntersects", "", json!(["inside", "across", "beside"])),
    ] {
        let parameters = [("geometry", "0,0,2,2"), ("spatialRel", relation), ("relationParam", matrix)];
        assert_eq!(names(&server, &parameters).await, expected, "{relation} {matrix}");
    }
    for matrix in ["", "T*", "TTTTTTTTX"] {
        let parameters = [("geometry", "0,0,2,2"), ("spatialRel", "esriSpatialRelRelation"), ("relationParam", matrix)];
        let words = refusal(&server, "0/query", &parameters).await;
        assert!(words.contains("'relationParam'") && words.contains("T********"), "{words}");
    }
}

#[tokio::test]
async fn every_geometry_type_and_spelling_finds_features() {
    let server = places(3857, &[("a", 1.0, 1.0), ("b", 2.0, 2.0), ("c", 179.5, 0.0), ("d", -179.5, 0.0)]).await;
    for (geometry, expected) in [
        ("1,1", json!(["a"])),
        ("0,0,1.5,1.5", json!(["a"])),
        (r#"{"x":2,"y":2}"#, json!(["b"])),
        (r#"{"points":[[1,1],[2,2]]}"#, json!(["a", "b"])),
        (r#"{"paths":[[[0,2],[3,2]]]}"#, json!(["b"])),
        (r#"{"rings":[[[0,0],[0,3],[3,3],[3,0],[0,0]]]}"#, json!(["a", "b"])),
        // A ring that crosses itself, as a hand draws it.
        (r#"{"rings":[[[0,0],[3,3],[3,0],[0,3],[0,0]]]}"#, json!([])),
        ("{xmin: 0, ymin: 0, xmax: 1.5, ymax: 1.5, spatialReference: {wkid: 4326}}", json!(["a"])),
        ("{'xmin':0,'ymin':0,'xmax':1.5,'ymax':1.5}", json!(["a"])),
        // Across the date line.
        ("179,-1,-179,1", json!(["c", "d"])),
        (r#"{"xmin":179,"ymin":-1,"xmax":-179,"ymax":1}"#, json!(["c", "d"])),
    ] {
        let found = names(&server, &[("geometry", geometry)]).await;
        match expected.as_array().unwrap().is_empty() {
            true => assert!(found.is_array(), "{geometry}"),
            false => assert_eq!(found, expected, "{geometry}"),
        }
    }
}

#[tokio::test]
async fn a_datum_transformation_is_refused_where_it_would_do_something() {
    let server = places(3857, &[("a", 1.0, 1.0)]).await;
    let base = [("datumTransformation", "1623"), ("outFields", "name")];
    let answer = server.get("0/query", &[base[0], base[1], ("outSR", "4326")]).await;
    assert_eq!(column(&answer, "name"), json!(["a"]), "there is nothing to transform");
    let words = refusal(&server, "0/query", &[base[0], base[1], ("outSR", "4267")]).await;
    assert!(words.contains("'datumTransformation'") && words.contains("1623"), "{words}");
}

#[tokio::test]
async fn a_default_reference_is_that_of_geometries_in_and_out() {
    let server = places(3857, &[("a", 1.0, 1.0), ("b", 2.0, 2.0)]).await;
    let answer =
        server.get("0/query", &[("geometry", "0,0,1.5,1.5"), ("defaultSR", "4326"), ("outFields", "name")]).await;
    assert_eq!((column(&answer, "name"), &answer["spatialReference"]["wkid"]), (json!(["a"]), &json!(4326)));
}

#[tokio::test]
async fn a_layer_without_times_refuses_one() {
    let server = places(3857, &[("a", 1.0, 1.0)]).await;
    let words = refusal(&server, "0/query", &[("time", "0,1")]).await;
    assert!(words.contains("'time'") && words.contains("has no time"), "{words}");
}

#[tokio::test]
async fn pages_may_be_larger_where_the_client_says_what_for() {
    let server = TestServer::with_trees().await;
    server.database.sql("insert into oak (girth) select generate_series(1, 10001)").await;
    for (parameters, n_rows) in [
        (vec![("resultType", "none")], 2000),
        (vec![("resultType", "standard")], 8000),
        (vec![("resultType", "tile"), ("returnGeometry", "false")], 8000),
        (vec![("maxRecordCountFactor", "3")], 6000),
        (vec![("maxRecordCountFactor", "9")], 10_000),
        (vec![("maxRecordCountFactor", "2"), ("resultRecordCount", "2500")], 2500),
    ] {
        let mut all = vec![("where", "1=1")];
        all.extend(&parameters);
        let answer = server.get("0/query", &all).await;
        let found = answer["features"].as_array().unwrap().len();
        assert_eq!((found, &answer["exceededTransferLimit"]), (n_rows, &json!(true)), "{parameters:?}");
    }
    let none = [("where", "1=1"), ("returnExceededLimitFeatures", "false")];
    let answer = server.get("0/query", &none).await;
    assert_eq!((&answer["features"], &answer["exceededTransferLimit"]), (&json!([]), &json!(true)));
    let some = [("where", "girth < 5"), ("returnExceededLimitFeatures", "false")];
    assert_eq!(server.get("0/query", &some).await["features"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn ids_come_in_an_order_and_under_each_name() {
    let server = TestServer::with_trees().await;
    server.database.sql("insert into oak (girth) values (3), (1), (2)").await;
    let ids = [("where", "1=1"), ("returnIdsOnly", "true"), ("orderByFields", "girth DESC")];
    assert_eq!(server.get("0/query", &ids).await["objectIds"], json!([1, 3, 2]));
    let unique = [("uniqueIds", "1,3"), ("returnUniqueIdsOnly", "true")];
    let answer = server.get("0/query", &unique).await;
    assert_eq!((&answer["uniqueIds"], &answer["uniqueIdField"]["name"]), (&json!([1, 3]), &json!("objectid")));
    let id = server.database.value::<uuid::Uuid>("select globalid from oak where girth = 2").await;
    let by_global_id = format!("{{{}}}", id.to_string().to_uppercase());
    let answer = server.get("0/query", &[("globalIds", &by_global_id), ("outFields", "girth")]).await;
    assert_eq!(column(&answer, "girth"), json!([2]));
    let words = refusal(&server, "0/query", &[("globalIds", "x")]).await;
    assert!(words.contains("'x' is not a GUID"), "{words}");
}

#[tokio::test]
async fn a_feature_has_an_address() {
    let server = TestServer::with_trees().await;
    server.database.sql("insert into oak (species, shape) values ('elm', ST_Point(1, 2, 3857))").await;
    let answer = server.get("0/1", &[]).await;
    assert_eq!(answer["feature"]["attributes"]["species"], "elm");
    assert_eq!(answer["feature"]["geometry"], json!({"x": 1.0, "y": 2.0}));
    let answer = server.post("0/1", &[("outFields", "girth"), ("returnGeometry", "false")]).await;
    assert_eq!(answer, json!({"feature": {"attributes": {"objectid": 1, "girth": null}}}));
    let (code, words) = crate::support::server::error(&server.get("0/2", &[]).await);
    assert!(code == 404 && words.contains("object id 2"), "{words}");
}
