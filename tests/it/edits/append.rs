//! append: features out of files, and what is there already.

use serde_json::{Value as Json, json};

use super::{ended, oak, species, with_oaks};
use crate::support::{
    TestServer,
    server::{error, json},
};

pub async fn upload(server: &TestServer, name: &str, text: &str) -> String {
    let body = format!(
        "--x\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\njson\r\n--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{text}\r\n--x--\r\n"
    );
    let answer = json(server.post_body("uploads/upload", "multipart/form-data; boundary=x", body).await).await;
    answer["item"]["itemID"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

async fn append(server: &TestServer, name: &str, text: &str, parameters: &[(&str, &str)]) -> Json {
    let id = upload(server, name, text).await;
    let mut all = vec![("appendUploadId", id.as_str()), ("async", "false")];
    all.extend(parameters);
    server.post("0/append", &all).await
}

#[tokio::test]
async fn csv_becomes_points_and_is_known_by_a_field() {
    let server = with_oaks().await;
    let csv = "\u{feff}species,girth,Longitude,Latitude,unknown\r\n\"yew, old\",7,0,0,x\r\nelm,9,,,\r\n";
    let format = ("appendUploadFormat", "csv");
    let answer = append(&server, "trees.csv", csv, &[format]).await;
    assert_eq!((&answer["success"], &answer["recordCount"]), (&json!(true), &json!(2)), "{answer}");
    let rows = server.features(0).await;
    assert_eq!(rows.len(), 5);
    let yew = rows.iter().find(|row| row["attributes"]["species"] == "yew, old").unwrap();
    assert!(yew["geometry"]["x"].as_f64().unwrap().abs() < 1e-6, "{yew}");
    let elm = rows.iter().find(|row| row["attributes"]["girth"] == 9).unwrap();
    assert!(elm.get("geometry").is_none(), "{elm}");

    // elm is there twice now, so that it cannot be known by its name.
    let upsert = [format, ("upsert", "true"), ("upsertMatchingField", "species")];
    let csv = "species,girth,lon,lat\nfir,20,1,1\nnew,21,1,1\nnew,22,1,1\n";
    let answer = append(&server, "trees.csv", csv, &upsert).await;
    assert_eq!((&answer["insertCount"], &answer["updateCount"]), (&json!(1), &json!(2)), "{answer}");
    let mut girths: Vec<i64> =
        server.features(0).await.iter().map(|row| row["attributes"]["girth"].as_i64().unwrap()).collect();
    girths.sort_unstable();
    assert_eq!(girths, [1, 3, 7, 9, 20, 22]);
    let (_, said) = error(&append(&server, "trees.csv", "species,girth,lon,lat\nelm,1,1,1\n", &upsert).await);
    assert!(said.contains("several features have 'elm'"), "{said}");
}

#[tokio::test]
async fn upserts_can_leave_alone_what_is_there_or_what_is_not() {
    let server = with_oaks().await;
    let set = json!({"features": [
        {"attributes": {"globalid": oak(1), "species": "changed"}, "geometry": {"x": 50, "y": 50}},
        {"attributes": {"globalid": oak(9), "species": "new"}, "geometry": {"x": 51, "y": 51}},
    ]})
    .to_string();
    let base = [("upsert", "true"), ("useGlobalIds", "true"), ("updateGeometry", "false")];
    let skip = |name| [base.as_slice(), &[(name, "true")]].concat();
    let answer = append(&server, "a.json", &set, &skip("skipUpdates")).await;
    assert_eq!((&answer["insertCount"], &answer["skippedCount"]), (&json!(1), &json!(1)), "{answer}");
    assert_eq!(species(&server).await, ["elm", "fir", "ash", "new"]);
    let answer = append(&server, "a.json", &set.replace(&oak(9), &oak(10)), &skip("skipInserts")).await;
    assert_eq!((&answer["updateCount"], &answer["skippedCount"]), (&json!(1), &json!(1)), "{answer}");
    assert_eq!(species(&server).await, ["changed", "fir", "ash", "new"]);
    let rows = server.features(0).await;
    assert_eq!(rows[0]["geometry"], json!({"x": 1.0, "y": 1.0}), "updateGeometry=false");
    assert_eq!(rows[3]["attributes"]["globalid"], oak(9).as_str(), "the new one keeps its id");
}

#[tokio::test]
async fn only_the_fields_that_are_named_are_taken() {
    let server = with_oaks().await;
    let set = r#"[{"attributes":{"species":"yew","girth":7,"height":3}}]"#;
    let fields = [("edits", set), ("async", "false"), ("appendFields", r#"["species","HEIGHT"]"#)];
    assert_eq!(server.post("0/append", &fields).await["recordCount"], 1);
    let row = &server.features(0).await[3]["attributes"];
    assert_eq!((&row["species"], &row["girth"], &row["height"]), (&json!("yew"), &Json::Null, &json!(3.0)));
    let (_, said) = error(&server.post("0/append", &[("edits", set), ("appendFields", "trunk")]).await);
    assert!(said.contains("'trunk'"), "{said}");
}

#[tokio::test]
async fn geojson_is_read_whatever_its_geometries() {
    let server = TestServer::new().await;
    server
        .database
        .sql("create table area (id serial primary key, name text, shape geometry(MultiPolygon, 4326))")
        .await;
    server.publish("area").await;
    let square = |x: i32| json!([[[x, 0], [x, 1], [x + 1, 1], [x + 1, 0], [x, 0]]]);
    let set = json!({"type": "FeatureCollection", "features": [
        {"type": "Feature", "properties": {"title": "one"}, "geometry": {"type": "Polygon", "coordinates": square(0)}},
        {"type": "Feature", "properties": {"title": "two"},
         "geometry": {"type": "MultiPolygon", "coordinates": [square(5), square(8)]}},
        {"type": "Feature", "properties": {"title": "none"}, "geometry": null},
    ]});
    let id = upload(&server, "a.geojson", &set.to_string()).await;
    let answer = server
        .post(
            "0/append",
            &[
                ("appendUploadId", &id),
                ("appendUploadFormat", "geojson"),
                ("async", "false"),
                ("fieldMappings", r#"[{"name":"name","sourceName":"title"}]"#),
            ],
        )
        .await;
    assert_eq!(answer["recordCount"], 3, "{answer}");
    let rows = server.features(0).await;
    let named =
        |name: &str| rows.iter().find(|row| row["attributes"]["name"] == name).unwrap_or_else(|| panic!("{rows:?}"));
    assert_eq!(named("one")["geometry"]["rings"].as_array().unwrap().len(), 1);
    assert_eq!(named("two")["geometry"]["rings"].as_array().unwrap().len(), 2);
    assert!(named("none").get("geometry").is_none(), "{rows:?}");
    let wrong = json!({"features": [{"geometry": {"type": "Blob", "coordinates": []}}]}).to_string();
    let id = upload(&server, "a.geojson", &wrong).await;
    let (_, said) = error(
        &server
            .post("0/append", &[("appendUploadId", &id), ("appendUploadFormat", "geojson"), ("async", "false")])
            .await,
    );
    assert!(said.contains("feature 1") && said.contains("'Blob'"), "{said}");
}

#[tokio::test]
async fn it_is_a_job_unless_the_client_wants_the_answer_at_once() {
    let server = with_oaks().await;
    let runner = server.run_jobs();
    let set = r#"{"layers":[{"layerDefinition":{},"featureSet":{"features":[{"attributes":{"species":"yew"}}]}}]}"#;
    let status = ended(&server, &server.post("0/append", &[("edits", set)]).await).await;
    assert_eq!((&status["status"], &status["recordCount"]), (&json!("Completed"), &json!(1)), "{status}");
    assert_eq!(status["layerName"], "oak");
    let bad = r#"[{"attributes":{"species":"box"}},{"attributes":{"girth":"many"}}]"#;
    let status = ended(&server, &server.post("0/append", &[("edits", bad)]).await).await;
    assert_eq!(status["status"], "Failed", "{status}");
    assert!(status["error"]["details"].to_string().contains("many"), "{status}");
    let parameters = [("edits", bad), ("rollbackOnFailure", "false")];
    let status = ended(&server, &server.post("0/append", &parameters).await).await;
    assert_eq!((&status["status"], &status["refusedCount"]), (&json!("CompletedWithErrors"), &json!(1)), "{status}");
    assert_eq!(species(&server).await, ["elm", "fir", "ash", "yew", "box"]);
    runner.stop().await;
}

#[tokio::test]
async fn what_is_not_read_is_refused_by_name() {
    let server = with_oaks().await;
    let edits = ("edits", r#"[{"attributes":{"species":"yew"}}]"#);
    for (parameters, words) in [
        (vec![], "appendUploadId"),
        (vec![edits, ("appendUploadFormat", "shapefile")], "'shapefile'"),
        (vec![edits, ("appendItemId", "x")], "appendItemId"),
        (vec![edits, ("upsert", "true"), ("upsertMatchingField", "height")], "'height'"),
        (vec![edits, ("upsert", "true"), ("upsertMatchingField", "trunk")], "'trunk'"),
        (vec![edits, ("fieldMappings", r#"[{"name":"trunk","sourceName":"x"}]"#)], "'trunk'"),
        (vec![("edits", "species\nyew"), ("appendUploadFormat", "csv"), ("async", "false")], "longitude"),
        (vec![("edits", "lon,lat\nhere,there"), ("appendUploadFormat", "csv"), ("async", "false")], "row 2"),
        (vec![("edits", "lon,lat\n1"), ("appendUploadFormat", "csv"), ("async", "false")], "not CSV"),
        (vec![("edits", "{"), ("async", "false")], "edits"),
    ] {
        let (code, said) = error(&server.post("0/append", &parameters).await);
        assert!(code == 400 && said.contains(words), "{parameters:?}: {said}");
    }
    assert_eq!(species(&server).await, ["elm", "fir", "ash"]);
}
