//! Answers to queries in their forms: protocol buffers, GeoJSON, coordinates on a grid, fewer decimals and vertices.

use axum::{body::Body, http::Request};
use serde_json::{Value as Json, json};

use crate::support::{
    Dice, TestServer,
    pbf::{Message, feature_set},
    server::{encode, error},
};

const ALL: [(&str, &str); 2] = [("where", "1=1"), ("outFields", "*")];

/// The body of an answer and its content type.
async fn fetch(server: &TestServer, layer: u32, parameters: &[(&str, &str)]) -> (String, Vec<u8>) {
    let path = format!("/arcgis/rest/services/trees/FeatureServer/{layer}/query?{}", encode(parameters));
    let response = server.send(Request::get(path).body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), 200);
    let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (content_type, body.to_vec())
}

async fn pbf(server: &TestServer, layer: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let all: Vec<(&str, &str)> = parameters.iter().copied().chain([("f", "pbf")]).collect();
    let (content_type, body) = fetch(server, layer, &all).await;
    assert_eq!(content_type, "application/x-protobuf", "{}", String::from_utf8_lossy(&body));
    body
}

async fn geojson(server: &TestServer, layer: u32, parameters: &[(&str, &str)]) -> Json {
    let all: Vec<(&str, &str)> = parameters.iter().copied().chain([("f", "geojson")]).collect();
    let (content_type, body) = fetch(server, layer, &all).await;
    assert_eq!(content_type, "application/geo+json; charset=utf-8", "{}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

/// Holds two values against each other; numbers may differ by `tolerance`.
fn assert_close(left: &Json, right: &Json, tolerance: f64, place: &str) {
    match (left, right) {
        (Json::Number(a), Json::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            assert!((a - b).abs() <= tolerance, "{place}: {a} and {b}");
        }
        (Json::Array(a), Json::Array(b)) => {
            assert_eq!(a.len(), b.len(), "{place}: {left} and {right}");
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                assert_close(a, b, tolerance, &format!("{place}[{index}]"));
            }
        }
        _ => assert_eq!(left, right, "{place}"),
    }
}

/// The geometry of a feature in Esri JSON as the reader of protocol buffers gives it: a point as a tuple, and parts bare.
fn bare(feature: &Json) -> Option<Json> {
    let geometry = feature.get("geometry")?;
    if geometry.get("x").is_some() {
        let ordinates = ["x", "y", "z", "m"].iter().filter_map(|name| geometry.get(*name).cloned());
        return Some(ordinates.collect());
    }
    let name = ["points", "paths", "rings"].into_iter().find(|name| geometry.get(*name).is_some()).unwrap();
    let parts = &geometry[name];
    match parts.as_array().unwrap().is_empty() {
        true => None,
        false => Some(json!({name: parts})),
    }
}

/// Asks for the same in JSON and in protocol buffers, and expects the same.
async fn assert_same(server: &TestServer, layer: u32, parameters: &[(&str, &str)], tolerance: f64) -> Json {
    let json = server.get(&format!("{layer}/query"), parameters).await;
    let read = feature_set(&pbf(server, layer, parameters).await);
    let place = format!("{parameters:?}");
    assert_eq!(read["objectIdFieldName"], json["objectIdFieldName"], "{place}");
    assert_eq!(read["globalIdFieldName"], json["globalIdFieldName"], "{place}");
    assert_eq!(read["exceededTransferLimit"], json.get("exceededTransferLimit").is_some(), "{place}");
    for name in ["hasZ", "hasM"] {
        assert_eq!(read[name], json.get(name).is_some(), "{place} {name}");
    }
    let names = |answer: &Json| {
        answer["fields"].as_array().unwrap().iter().map(|field| field["name"].clone()).collect::<Json>()
    };
    assert_eq!(names(&read), names(&json), "{place}");
    let (mine, theirs) = (read["features"].as_array().unwrap(), json["features"].as_array().unwrap());
    assert_eq!(mine.len(), theirs.len(), "{place}");
    for (mine, theirs) in mine.iter().zip(theirs) {
        assert_eq!(mine["attributes"], theirs["attributes"], "{place}");
        match (mine.get("geometry"), bare(theirs)) {
            (Some(mine), Some(theirs)) => {
                let parts = |geometry: &Json| match geometry {
                    Json::Object(members) => members.values().next().unwrap().clone(),
                    other => other.clone(),
                };
                assert_close(&parts(mine), &parts(&theirs), tolerance, &place);
            }
            (mine, theirs) => assert_eq!(mine, theirs.as_ref(), "{place}"),
        }
        if let (Some(mine), Some(theirs)) = (mine.get("centroid"), theirs.get("centroid")) {
            for name in ["x", "y"] {
                assert_close(&mine[name], &theirs[name], tolerance, &place);
            }
        }
    }
    read
}

/// Layer 0: points with a value of every type; 1: polygons; 2: lines with z and m; 3: multipoints; 4: a table.
async fn with_everything() -> TestServer {
    let server = TestServer::new().await;
    server
        .database
        .sql(
            "create table site (id serial primary key, name text, small smallint, whole integer, big bigint, single real, double float8,
               yes boolean, at timestamptz, day date, hour time, other uuid, shape geometry(PointZM, 4326));
             insert into site (name, small, whole, big, single, double, yes, at, day, hour, other, shape) values
               ('Grün \"x\"', -5, 2147483647, 9007199254740991, 0.1, 1e-300, true, '2024-02-29 12:00:00.123+00', '1969-12-31', '23:59:59', '11111111-2222-3333-4444-555555555555', 'SRID=4326;POINT ZM (13.123456789 52.5 -7.25 0)'),
               ('', -32768, -2147483648, -9007199254740991, -1.5, -0.0, false, '1901-01-01', '2024-01-01', '00:00:00.5', null, 'SRID=4326;POINT ZM (-180 -90 0 12.5)'),
               (null, null, null, null, null, null, null, null, null, null, null, null),
               ('empty', 0, 0, 0, 'NaN', 'Infinity', null, 'infinity', null, null, null, 'SRID=4326;POINT ZM EMPTY');
             create table plot (id serial primary key, shape geometry(MultiPolygon, 3857));
             insert into plot (shape) values
               ('SRID=3857;MULTIPOLYGON(((0 0, 100 0, 100 100, 0 100, 0 0), (10 10, 10 20, 20 20, 20 10, 10 10)), ((500.5 0, 600.25 0, 550 80, 500.5 0)))'),
               (null), ('SRID=3857;MULTIPOLYGON EMPTY'), ('SRID=3857;MULTIPOLYGON(((1 1, 1 2, 2 2, 2 1, 1 1)))');
             create table trail (id serial primary key, shape geometry(MultiLineStringZM, 3857));
             insert into trail (shape) values ('SRID=3857;MULTILINESTRING ZM ((0 0 1 2, 5 5 1.5 NaN, 9 9 -3 0), (-1000 7 0 1, -1001 7 0 2))');
             create table herd (id serial primary key, shape geometry(MultiPoint, 3857));
             insert into herd (shape) values ('SRID=3857;MULTIPOINT((0 0), (10 10), (-5 3))');
             create table note (id serial primary key, words varchar(9));
             insert into note (words) values ('one'), (null);",
        )
        .await;
    for table in ["site", "plot", "trail", "herd", "note"] {
        server.publish(table).await;
    }
    server
}

#[tokio::test]
async fn protocol_buffers_say_what_json_says() {
    let server = with_everything().await;
    for layer in 0..5 {
        assert_same(&server, layer, &ALL, 1e-4).await;
        for (name, value) in [
            ("returnZ", "true"),
            ("returnM", "true"),
            ("returnGeometry", "false"),
            ("outSR", "3857"),
            ("resultRecordCount", "1"),
            ("resultRecordCount", "0"),
            ("outFields", ""),
        ] {
            // The second of two values under a name wins.
            let parameters = [ALL[0], ALL[1], ("objectIds", "1,3,4"), (name, value)];
            assert_same(&server, layer, &parameters, 1e-4).await;
        }
        assert_same(&server, layer, &[ALL[0], ("returnZ", "true"), ("returnM", "true")], 1e-4).await;
    }
    let read = assert_same(&server, 0, &ALL, 1e-9).await;
    assert_eq!((&read["geometryType"], &read["wkid"]), (&json!(0), &json!(4326)));
    let types: Vec<u64> =
        read["fields"].as_array().unwrap().iter().map(|field| field["type"].as_u64().unwrap()).collect();
    assert_eq!(types, [6, 4, 0, 1, 13, 2, 3, 0, 5, 14, 15, 10, 11], "as the schema numbers them");
    let bare = assert_same(&server, 1, &[ALL[0], ("returnGeometry", "false")], 0.0).await;
    assert_eq!(bare["geometryType"], 3, "also where no geometries come");
    assert_eq!(assert_same(&server, 4, &ALL, 0.0).await["geometryType"], 127, "a table has none");
}

#[tokio::test]
async fn numbers_ids_and_boxes_have_messages_of_their_own() {
    let server = with_everything().await;
    let result = async |parameters: &[(&str, &str)]| {
        Message::read(&pbf(&server, 1, parameters).await).message(2).expect("a result")
    };
    let count = result(&[ALL[0], ("returnCountOnly", "true")]).await;
    assert_eq!(count.message(2).unwrap().number(1), 4);
    let ids = result(&[ALL[0], ("returnIdsOnly", "true")]).await.message(3).unwrap();
    assert_eq!((ids.text(1).as_str(), ids.packed(3)), ("id", vec![1, 2, 3, 4]));
    let none = result(&[("where", "1=0"), ("returnIdsOnly", "true")]).await.message(3).unwrap();
    assert_eq!(none.packed(3), [0; 0]);
    let both = result(&[ALL[0], ("returnExtentOnly", "true"), ("returnCountOnly", "true")]).await.message(4).unwrap();
    let extent = both.message(1).unwrap();
    assert_eq!((1..5).map(|number| extent.double(number)).collect::<Vec<_>>(), [0.0, 0.0, 600.25, 100.0]);
    assert_eq!((extent.message(5).unwrap().number(1), both.number(2)), (102_100, 4));
    let empty = result(&[("where", "1=0"), ("returnExtentOnly", "true")]).await.message(4).unwrap();
    assert!(empty.message(1).unwrap().double(1).is_nan());
}

#[tokio::test]
async fn an_error_is_json_that_readers_of_protocol_buffers_find() {
    let server = with_everything().await;
    let long = format!("{} = 1", "ä".repeat(600));
    for clause in ["nonsense = 1", long.as_str()] {
        let (content_type, body) = fetch(&server, 0, &[("where", clause), ("f", "pbf")]).await;
        assert!(content_type.starts_with("application/json"), "{content_type}");
        assert!(body.len() <= 750, "{} bytes", body.len());
        let (code, words) = error(&serde_json::from_slice(&body).unwrap());
        assert!(code == 400 && words.contains("'where'"), "{words}");
    }
    for format in ["pbf", "geojson"] {
        let answer = server.get("0", &[("f", format)]).await;
        assert!(error(&answer).1.contains("f=json"), "{answer}");
    }
}

/// What a grid makes of a ring or path, as it is told to clients: vertices in whole cells from the upper left corner.
fn on_grid(part: &Json, tolerance: f64, corner: [f64; 2], drop: bool) -> Vec<[i64; 2]> {
    let mut cells: Vec<[i64; 2]> = Vec::new();
    for vertex in part.as_array().unwrap() {
        let cell = |value: f64| {
            let rounded = (value / tolerance + 0.5).floor();
            format!("{rounded:.0}").parse().unwrap()
        };
        let next = [cell(vertex[0].as_f64().unwrap() - corner[0]), cell(corner[1] - vertex[1].as_f64().unwrap())];
        if !drop || cells.last() != Some(&next) {
            cells.push(next);
        }
    }
    cells
}

/// Cells by their distances from each other, as they were before.
fn undone(part: &Json) -> Vec<[i64; 2]> {
    let mut at = [0, 0];
    let each = part.as_array().unwrap().iter().map(|step| {
        at = [at[0] + step[0].as_i64().unwrap(), at[1] + step[1].as_i64().unwrap()];
        at
    });
    each.collect()
}

#[tokio::test]
async fn coordinates_on_a_grid_are_those_of_a_plain_calculation() {
    let server = TestServer::new().await;
    let mut dice = Dice::new(7);
    let mut rows = Vec::new();
    for _ in 0..60 {
        // Stars of all sizes: some are smaller than a cell, and some are cut by the border of the extent.
        let (x, y) =
            (f64::from(u32::try_from(dice.roll(1000)).unwrap()), f64::from(u32::try_from(dice.roll(1000)).unwrap()));
        let size = 0.3 * 1.17_f64.powi(i32::try_from(dice.roll(40)).unwrap());
        let n = 3 + u32::try_from(dice.roll(30)).unwrap();
        let mut ring: Vec<String> = (0..n)
            .map(|step| {
                let angle = f64::from(step) / f64::from(n) * std::f64::consts::TAU;
                let radius = size * (0.5 + 0.01 * f64::from(u32::try_from(dice.roll(50)).unwrap()));
                format!("{} {}", x + radius * angle.cos(), y + radius * angle.sin())
            })
            .collect();
        ring.push(ring[0].clone());
        rows.push(format!("('SRID=3857;POLYGON(({}))')", ring.join(",")));
    }
    server
        .database
        .sql(&format!("create table star (id serial primary key, shape geometry(Polygon, 3857)); insert into star (shape) values {}", rows.join(",")))
        .await;
    server.publish("star").await;
    let exact = server.get("0/query", &ALL).await;
    for (tolerance, mode) in [(10.0, "view"), (1.0, "view"), (0.7, "edit"), (50.0, "edit")] {
        let grid = json!({"mode": mode, "originPosition": "upperLeft", "tolerance": tolerance,
            "extent": {"xmin": 3.5, "ymin": 0, "xmax": 1003.5, "ymax": 1000, "spatialReference": {"wkid": 102_100}}})
        .to_string();
        let parameters = [ALL[0], ALL[1], ("quantizationParameters", grid.as_str())];
        let answer = server.get("0/query", &parameters).await;
        assert_eq!(
            answer["transform"],
            json!({"originPosition": "upperLeft", "scale": [tolerance, tolerance], "translate": [3.5, 1000.0]})
        );
        let (mut n_dropped, mut n_kept) = (0, 0);
        for (exact, answered) in
            exact["features"].as_array().unwrap().iter().zip(answer["features"].as_array().unwrap())
        {
            assert_eq!(exact["attributes"], answered["attributes"]);
            let expected = on_grid(&exact["geometry"]["rings"][0], tolerance, [3.5, 1000.0], mode == "view");
            if mode == "view" && expected.len() < 4 {
                assert!(answered.get("geometry").is_none(), "nothing is left of it: {answered}");
                n_dropped += 1;
                continue;
            }
            n_kept += 1;
            let mut found = undone(&answered["geometry"]["rings"][0]);
            let area = |ring: &[[i64; 2]]| ring.windows(2).map(|p| p[0][0] * p[1][1] - p[1][0] * p[0][1]).sum::<i64>();
            assert!(area(&found) >= 0, "clockwise, where rows are counted downwards");
            if found != expected {
                // Rounding may turn a narrow ring round.
                assert!(area(&expected) < 0);
                found.reverse();
            }
            assert_eq!(found, expected);
        }
        assert_eq!(mode == "view", n_dropped > 0, "{tolerance} {mode}: {n_dropped} of {n_kept}");
        assert!(n_kept > 5);
        let read = feature_set(&pbf(&server, 0, &parameters).await);
        for (read, answered) in read["features"].as_array().unwrap().iter().zip(answer["features"].as_array().unwrap())
        {
            assert_eq!(read.get("geometry").is_some(), answered.get("geometry").is_some());
            if let Some(geometry) = read.get("geometry") {
                let cells: Vec<Json> = undone(&answered["geometry"]["rings"][0])
                    .iter()
                    .map(|&[x, y]| {
                        json!([
                            f64::from(i32::try_from(x).unwrap()) * tolerance + 3.5,
                            1000.0 - f64::from(i32::try_from(y).unwrap()) * tolerance
                        ])
                    })
                    .collect();
                assert_close(&geometry["rings"][0], &Json::Array(cells), 1e-9, "both forms have the same cells");
            }
        }
    }
}

#[tokio::test]
async fn what_collapses_on_a_grid_goes_with_its_holes_and_only_to_be_looked_at() {
    let server = TestServer::new().await;
    server
        .database
        .sql(
            "create table shape (id serial primary key, shape geometry(MultiPolygon, 3857));
             insert into shape (shape) values
               ('SRID=3857;MULTIPOLYGON(((0 0, 100 0, 100 100, 0 100, 0 0), (50 50, 50 51, 51 51, 51 50, 50 50)))'),
               ('SRID=3857;MULTIPOLYGON(((0 0, 4 0, 4 4, 0 4, 0 0), (1 1, 1 2, 2 2, 2 1, 1 1)), ((20 20, 50 20, 50 50, 20 50, 20 20)))');
             create table line (id serial primary key, shape geometry(MultiLineString, 3857));
             insert into line (shape) values ('SRID=3857;MULTILINESTRING((0 0, 1 1, 20 0, 21 1), (6 6, 7 7))');
             create table dots (id serial primary key, shape geometry(MultiPoint, 3857));
             insert into dots (shape) values ('SRID=3857;MULTIPOINT((0 0), (1 1), (20 0))');",
        )
        .await;
    for table in ["shape", "line", "dots"] {
        server.publish(table).await;
    }
    let ask = async |layer: u32, mode: &str, origin: &str| {
        let grid = json!({"mode": mode, "originPosition": origin, "tolerance": 10, "extent": {"xmin": 0, "ymin": 0, "xmax": 100, "ymax": 100}});
        let parameters = [("where", "1=1"), ("quantizationParameters", &grid.to_string())];
        let answer = server.get(&format!("{layer}/query"), &parameters).await;
        answer["features"].as_array().unwrap().iter().map(|feature| feature["geometry"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        ask(0, "view", "upperLeft").await,
        [
            json!({"rings": [[[0, 10], [0, -10], [10, 0], [0, 10], [-10, 0]]]}),
            json!({"rings": [[[2, 8], [0, -3], [3, 0], [0, 3], [-3, 0]]]}),
        ]
    );
    assert_eq!(ask(0, "view", "lowerLeft").await[1], json!({"rings": [[[2, 2], [0, 3], [3, 0], [0, -3], [-3, 0]]]}),);
    let edited = ask(0, "edit", "upperLeft").await;
    assert_eq!(edited[1]["rings"].as_array().unwrap().len(), 3, "whoever edits gets all rings: {}", edited[1]);
    assert_eq!(ask(1, "view", "upperLeft").await, [json!({"paths": [[[0, 10], [2, 0]]]})]);
    assert_eq!(ask(1, "edit", "upperLeft").await[0]["paths"][0].as_array().unwrap().len(), 4);
    assert_eq!(ask(2, "view", "lowerLeft").await, [json!({"points": [[0, 0], [2, 0]]})]);
}

#[tokio::test]
async fn a_grid_that_cannot_be_is_refused_by_name() {
    let server = with_everything().await;
    for (parameters, grid) in [
        (vec![], json!({"mode": "print"})),
        (vec![], json!({"tolerance": -1})),
        (vec![], json!({"extent": {"xmin": 0, "ymin": 0, "xmax": 1, "ymax": 1, "spatialReference": {"wkid": 4326}}})),
        (vec![("objectIds", "1")], json!({"tolerance": 1e-14})),
        (vec![("f", "geojson")], json!({"tolerance": 1})),
    ] {
        let grid = grid.to_string();
        let parameters: Vec<_> =
            parameters.into_iter().chain([("where", "1=1"), ("quantizationParameters", grid.as_str())]).collect();
        let (code, words) = error(&server.get("1/query", &parameters).await);
        assert!(code == 400 && words.contains("'quantizationParameters'"), "{words}");
    }
}

#[tokio::test]
async fn geojson_is_as_its_standard_and_its_readers_want_it() {
    let server = with_everything().await;
    let plots = geojson(&server, 1, &[ALL[0], ALL[1], ("outSR", "3857")]).await;
    assert_eq!(plots["crs"]["properties"]["name"], "EPSG:3857");
    assert_eq!(plots["features"][0]["id"], 1);
    assert_eq!(
        plots["features"][0]["geometry"],
        json!({"type": "MultiPolygon", "coordinates": [
            [[[0.0, 0.0], [100.0, 0.0], [100.0, 100.0], [0.0, 100.0], [0.0, 0.0]], [[10.0, 10.0], [10.0, 20.0], [20.0, 20.0], [20.0, 10.0], [10.0, 10.0]]],
            [[[500.5, 0.0], [600.25, 0.0], [550.0, 80.0], [500.5, 0.0]]],
        ]}),
        "outer rings counter-clockwise, holes clockwise"
    );
    assert_eq!((&plots["features"][1]["geometry"], &plots["features"][2]["geometry"]), (&Json::Null, &Json::Null));
    let single = &plots["features"][3]["geometry"];
    assert_eq!((&single["type"], single["coordinates"].as_array().unwrap().len()), (&json!("Polygon"), 1));
    assert!(plots.get("exceededTransferLimit").is_none() && plots.get("properties").is_none());

    let degrees = geojson(&server, 1, &[("objectIds", "1"), ("geometryPrecision", "6")]).await;
    assert!(degrees.get("crs").is_none());
    assert_close(
        &degrees["features"][0]["geometry"]["coordinates"][1][0][1],
        &json!([0.005392, 0.0]),
        1e-12,
        "in degrees",
    );

    let sites =
        geojson(&server, 0, &[ALL[0], ALL[1], ("returnZ", "true"), ("returnM", "true"), ("resultRecordCount", "2")])
            .await;
    assert_eq!(
        sites["features"][0]["geometry"],
        json!({"type": "Point", "coordinates": [13.123_456_789, 52.5, -7.25]})
    );
    let properties = sites["features"][0]["properties"].as_object().unwrap();
    assert_eq!((&properties["name"], &properties["at"]), (&json!("Grün \"x\""), &json!(1_709_208_000_123_i64)));
    assert_eq!(
        (&sites["exceededTransferLimit"], &sites["properties"]["exceededTransferLimit"]),
        (&json!(true), &json!(true))
    );

    let trails = geojson(&server, 2, &[ALL[0], ("outSR", "3857")]).await;
    assert_eq!(
        trails["features"][0]["geometry"],
        json!({"type": "MultiLineString", "coordinates": [[[0.0, 0.0], [5.0, 5.0], [9.0, 9.0]], [[-1000.0, 7.0], [-1001.0, 7.0]]]})
    );
    let herds = geojson(&server, 3, &[ALL[0], ("outSR", "3857")]).await;
    assert_eq!(
        herds["features"][0]["geometry"],
        json!({"type": "MultiPoint", "coordinates": [[0.0, 0.0], [10.0, 10.0], [-5.0, 3.0]]})
    );
    let notes = geojson(&server, 4, &ALL).await;
    assert_eq!((&notes["features"][0]["id"], &notes["features"][0]["geometry"]), (&json!(1), &Json::Null));
}

#[tokio::test]
async fn readers_of_geojson_find_numbers_ids_and_boxes() {
    let server = with_everything().await;
    let text = async |parameters: &[(&str, &str)]| {
        let all: Vec<_> = parameters.iter().copied().chain([("f", "geojson"), ("where", "1=1")]).collect();
        String::from_utf8(fetch(&server, 1, &all).await.1).unwrap()
    };
    assert!(text(&[("returnCountOnly", "true")]).await.contains("\"count\":4"));
    let extent = text(&[("returnExtentOnly", "true"), ("outSR", "3857")]).await;
    assert!(extent.contains("\"bbox\":[0.0,0.0,600.25,100.0]"), "without a blank, for GDAL: {extent}");
    let ids: Json = serde_json::from_str(&text(&[("returnIdsOnly", "true")]).await).unwrap();
    assert_eq!(ids["objectIds"], json!([1, 2, 3, 4]));
}

#[tokio::test]
async fn decimals_and_vertices_are_as_few_as_a_client_wants() {
    let server = with_everything().await;
    let answer = server.get("0/query", &[("objectIds", "1"), ("geometryPrecision", "3")]).await;
    assert_eq!(answer["features"][0]["geometry"], json!({"x": 13.123, "y": 52.5}));
    let answer = server.get("0/query", &[("objectIds", "1"), ("geometryPrecision", "0"), ("returnZ", "true")]).await;
    assert_eq!(
        answer["features"][0]["geometry"],
        json!({"x": 13.0, "y": 53.0, "z": -7.25}),
        "heights stay as they are"
    );
    server
        .database
        .sql("insert into plot (shape) select ST_Multi(ST_Transform(ST_Buffer('SRID=3857;POINT(0 0)'::geometry, 1000, 100), 3857))")
        .await;
    let n_vertices = async |offset: &str, out_sr: &str| {
        let parameters = [("objectIds", "5"), ("maxAllowableOffset", offset), ("outSR", out_sr)];
        server.get("1/query", &parameters).await["features"][0]["geometry"]["rings"][0].as_array().unwrap().len()
    };
    assert_eq!(n_vertices("0", "").await, 401);
    assert!((9..100).contains(&n_vertices("10", "").await));
    assert!((9..100).contains(&n_vertices("0.0001", "4326").await), "in units of outSR");
    assert!((4..6).contains(&n_vertices("100000", "").await), "a shape stays a shape");
    for (name, value) in [("geometryPrecision", "-1"), ("maxAllowableOffset", "far"), ("maxAllowableOffset", "-2")] {
        let (code, words) = error(&server.get("1/query", &[("where", "1=1"), (name, value)]).await);
        assert!(code == 400 && words.contains(name), "{words}");
    }
}

#[tokio::test]
async fn polygons_have_centroids_and_everything_a_box_if_that_is_asked() {
    let server = with_everything().await;
    let parameters =
        [("where", "1=1"), ("returnCentroid", "true"), ("returnEnvelope", "true"), ("returnGeometry", "false")];
    let answer = server.get("1/query", &parameters).await;
    let of_database = server
        .database
        .value::<String>(
            "select ST_X(c) || ' ' || ST_Y(c) from (select ST_Centroid(shape) as c from plot where id = 1) c",
        )
        .await;
    let expected: Vec<f64> = of_database.split(' ').map(|text| text.parse().unwrap()).collect();
    let first = &answer["features"][0];
    assert_close(&first["centroid"]["x"], &json!(expected[0]), 1e-9, "x");
    assert_close(&first["centroid"]["y"], &json!(expected[1]), 1e-9, "y");
    assert_eq!(first["envelope"], json!({"xmin": 0.0, "ymin": 0.0, "xmax": 600.25, "ymax": 100.0}));
    assert!(first.get("geometry").is_none());
    for empty in [1, 2] {
        assert_eq!(answer["features"][empty].as_object().unwrap().len(), 1, "{}", answer["features"][empty]);
    }
    assert_same(&server, 1, &parameters, 1e-4).await;
    let points = server.get("0/query", &[("where", "1=1"), ("returnCentroid", "true")]).await;
    assert!(points["features"][0].get("centroid").is_none() && points["features"][0].get("geometry").is_some());
}

#[tokio::test]
async fn layers_name_the_forms_that_there_are() {
    let server = with_everything().await;
    let polygons = server.get("1", &[]).await;
    assert_eq!(polygons["supportedQueryFormats"], "JSON, geoJSON, PBF");
    assert_eq!(polygons["supportsCoordinatesQuantization"], true);
    assert_eq!(polygons["supportsQuantizationEditMode"], true);
    assert_eq!(polygons["advancedQueryCapabilities"]["supportsReturningGeometryCentroid"], true);
    let table = server.get("4", &[]).await;
    assert_eq!(table["supportsCoordinatesQuantization"], false);
    assert_eq!(table["advancedQueryCapabilities"]["supportsReturningGeometryCentroid"], false);
    assert_eq!(server.get("0", &[]).await["advancedQueryCapabilities"]["supportsReturningGeometryCentroid"], false);
}
