//! Edits by connected clients: results, refusals, all or nothing, identities, geometries.

use serde_json::{Value as Json, json};

use crate::support::{TestServer, server::error};

/// A server whose layer 0 `site` holds multipolygons in degrees and has rules, and whose layer 1 `lot` holds single polygons.
async fn with_sites() -> TestServer {
    let server = TestServer::new().await;
    server
        .database
        .sql(
            "create table site (id serial primary key, globalid uuid not null default gen_random_uuid() unique, name varchar(10) not null,
               code text unique, size integer check (size < 100), kind text default 'house', shape geometry(MultiPolygon, 4326));
             create function guard() returns trigger language plpgsql as $$ begin
               if new.name = 'raise' then raise exception 'no site is called %', new.name; end if;
               if new.name = 'drop' then return null; end if;
               return new; end $$;
             create trigger guard before insert or update on site for each row execute function guard();
             create table lot (id serial primary key, shape geometry(Polygon, 4326))",
        )
        .await;
    server.publish("site").await;
    server.publish("lot").await;
    server
}

/// Whether each result is a success, and the code of each that is not.
fn codes(results: &Json) -> Vec<i64> {
    let results = results.as_array().unwrap_or_else(|| panic!("no results: {results}"));
    let code = |result: &Json| match result["success"].as_bool().unwrap() {
        true => 0,
        false => result["error"]["code"].as_i64().unwrap(),
    };
    results.iter().map(code).collect()
}

fn site(attributes: &Json) -> Json {
    json!([{"attributes": attributes}])
}

async fn names(server: &TestServer) -> Vec<String> {
    let mut names: Vec<String> =
        server.features(0).await.iter().map(|row| row["attributes"]["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn results_come_in_the_order_of_the_request_and_name_the_rows() {
    let server = with_sites().await;
    let adds = json!([{"attributes": {"name": "a"}}, {"attributes": {"name": null}}, {"attributes": {"name": "c"}}]);
    let answer = server.post("0/applyEdits", &[("adds", &adds.to_string()), ("rollbackOnFailure", "false")]).await;
    assert_eq!(codes(&answer["addResults"]), [0, 1001, 0]);
    assert_eq!((&answer["updateResults"], &answer["deleteResults"]), (&json!([]), &json!([])));
    for (index, name) in [(0, "a"), (2, "c")] {
        let result = &answer["addResults"][index];
        let found = server.get("0/query", &[("objectIds", &result["objectId"].to_string()), ("outFields", "*")]).await;
        assert_eq!(found["features"][0]["attributes"]["name"], name);
        assert_eq!(found["features"][0]["attributes"]["globalid"], result["globalId"]);
    }
    assert!(answer["addResults"][1].get("objectId").is_none(), "a row that is not there has no id: {answer}");
}

#[tokio::test]
async fn each_refused_edit_says_why() {
    let server = with_sites().await;
    server.add(0, r#"[{"attributes":{"name":"first","code":"A"}}]"#).await;
    let polygon = |rings: Json| json!([{"attributes": {"name": "x"}, "geometry": {"rings": rings}}]);
    let shaped = |geometry: Json| json!([{"attributes": {"name": "x"}, "geometry": geometry}]);
    for (adds, code, words) in [
        (site(&json!({"name": null})), 1001, "field 'name' needs a value"),
        (site(&json!({"code": "B"})), 1001, "field 'name' needs a value"),
        (site(&json!({"name": "eleven char"})), 1016, "text of 11 characters, and the field holds 10"),
        (site(&json!({"name": "x", "size": "many"})), 1016, "'many' is not a whole number"),
        (site(&json!({"name": "x", "size": 3_000_000_000_u32})), 1016, "3000000000 is outside of"),
        (site(&json!({"name": "x", "size": [1]})), 1016, "an array or object"),
        (site(&json!({"name": "x\u{0}"})), 1016, "NUL"),
        (site(&json!({"name": "x", "size": 100})), 1016, "'site_size_check'"),
        (site(&json!({"name": "x", "code": "A"})), 1022, "'site_code_key'"),
        (site(&json!({"name": "raise"})), 1000, "no site is called raise"),
        (site(&json!({"name": "drop"})), 1017, "a trigger of table site dropped the edit"),
        (shaped(json!({"x": 1, "y": 2})), 1015, "the geometry is a point, and layer 'site' holds polygons"),
        (shaped(json!({"curveRings": [[[0, 0], {"c": [[3, 3], [1, 4]]}]]})), 1005, "send it densified"),
        (shaped(json!({"rings": "round"})), 1015, "cannot be read"),
        (polygon(json!([[[0, 0], [1, 1]]])), 1015, "fewer than three"),
        (polygon(json!([[[0, 0], [0, null], [1, 1]]])), 1015, "not a finite number"),
        (
            shaped(json!({"rings": [[[0, 0], [0, 1], [1, 1]]], "spatialReference": {"wkid": 999}})),
            1015,
            "spatial reference",
        ),
    ] {
        let answer =
            server.post("0/addFeatures", &[("features", &adds.to_string()), ("rollbackOnFailure", "false")]).await;
        assert_eq!(codes(&answer["addResults"]), [code], "{adds}: {answer}");
        let description = answer["addResults"][0]["error"]["description"].as_str().unwrap();
        assert!(description.contains(words), "{adds}: {description}");
    }
    assert_eq!(names(&server).await, ["first"]);
}

#[tokio::test]
async fn an_edit_of_a_feature_that_is_not_there_is_refused() {
    let server = with_sites().await;
    let updates =
        json!([{"attributes": {"id": 77, "size": 1}}, {"attributes": {"size": 1}}, {"attributes": {"id": "x"}}]);
    let answer = server.post("0/updateFeatures", &[("features", &updates.to_string())]).await;
    assert_eq!(codes(&answer["updateResults"]), [1011, 1011, 1011]);
    assert_eq!(answer["updateResults"][0]["objectId"], 77);
    assert!(answer["updateResults"][0]["error"]["description"].as_str().unwrap().contains("object id 77"));
    assert!(answer["updateResults"][1]["error"]["description"].as_str().unwrap().contains("attribute 'id'"));
    let answer = server.post("0/deleteFeatures", &[("objectIds", "77")]).await;
    assert_eq!(codes(&answer["deleteResults"]), [1011]);
}

#[tokio::test]
async fn one_refused_edit_undoes_all_unless_the_client_says_otherwise() {
    let server = with_sites().await;
    server.add(0, r#"[{"attributes":{"name":"old"}}]"#).await;
    let adds = r#"[{"attributes":{"name":"new"}},{"attributes":{"name":"far too long"}}]"#;
    let updates = r#"[{"attributes":{"id":1,"name":"changed"}}]"#;
    for policy in ["", "true"] {
        let parameters = [("adds", adds), ("updates", updates), ("rollbackOnFailure", policy)];
        let answer = server.post("0/applyEdits", &parameters).await;
        assert_eq!(codes(&answer["addResults"]), [1003, 1016], "{answer}");
        assert_eq!(codes(&answer["updateResults"]), [1003]);
        assert!(answer["addResults"][0].get("objectId").is_none(), "{answer}");
        assert_eq!(names(&server).await, ["old"]);
    }
    let parameters = [("adds", adds), ("updates", updates), ("rollbackOnFailure", "false")];
    let answer = server.post("0/applyEdits", &parameters).await;
    assert_eq!((codes(&answer["addResults"]), codes(&answer["updateResults"])), (vec![0, 1016], vec![0]));
    assert_eq!(names(&server).await, ["changed", "new"]);
}

#[tokio::test]
async fn an_edit_of_a_missing_feature_undoes_the_others_too() {
    let server = with_sites().await;
    let parameters =
        [("adds", r#"[{"attributes":{"name":"new"}}]"#), ("updates", r#"[{"attributes":{"id":77,"name":"x"}}]"#)];
    let answer = server.post("0/applyEdits", &parameters).await;
    assert_eq!((codes(&answer["addResults"]), codes(&answer["updateResults"])), (vec![1003], vec![1011]));
    assert_eq!(names(&server).await, Vec::<String>::new());
}

#[tokio::test]
async fn one_bad_edit_among_many_is_found_and_the_others_are_applied() {
    let server = with_sites().await;
    let adds: Vec<Json> = (0..300)
        .map(|n| json!({"attributes": {"name": n.to_string(), "size": if n == 123 || n == 200 { 100 } else { 1 }}}))
        .collect();
    let adds = Json::Array(adds).to_string();
    let answer = server.post("0/applyEdits", &[("adds", &adds), ("rollbackOnFailure", "false")]).await;
    let expected: Vec<i64> = (0..300).map(|n| if n == 123 || n == 200 { 1016 } else { 0 }).collect();
    assert_eq!(codes(&answer["addResults"]), expected);
    assert_eq!(names(&server).await.len(), 298);
}

#[tokio::test]
async fn features_go_by_their_global_ids_if_the_client_says_so() {
    let server = with_sites().await;
    let (one, two) = ("{AAAAAAAA-0000-4000-8000-000000000001}", "bbbbbbbb-0000-4000-8000-000000000002");
    let adds = json!([
        {"attributes": {"name": "one", "globalid": one}}, {"attributes": {"name": "two", "GlobalID": two}},
        {"attributes": {"name": "none"}}, {"attributes": {"name": "empty", "globalid": ""}}, {"attributes": {"name": "odd", "globalid": "x"}},
    ]);
    let by_id = [("useGlobalIds", "true"), ("rollbackOnFailure", "false")];
    let answer = server.post("0/applyEdits", &[&by_id[..], &[("adds", &adds.to_string())]].concat()).await;
    assert_eq!(codes(&answer["addResults"]), [0, 0, 1020, 1021, 1021]);
    assert_eq!(answer["addResults"][0]["globalId"], one);
    assert_eq!(answer["addResults"][1]["globalId"], format!("{{{}}}", two.to_uppercase()));
    let updates = json!([
        {"attributes": {"globalid": one.to_lowercase(), "name": "uno"}},
        {"attributes": {"globalid": "{AAAAAAAA-0000-4000-8000-00000000000F}", "name": "gone"}},
    ]);
    let deletes = format!("[\"{two}\",\"{{AAAAAAAA-0000-4000-8000-00000000000F}}\"]");
    let answer = server
        .post("0/applyEdits", &[&by_id[..], &[("updates", &updates.to_string()), ("deletes", &deletes)]].concat())
        .await;
    assert_eq!(codes(&answer["updateResults"]), [0, 1011]);
    assert_eq!(codes(&answer["deleteResults"]), [0, 0], "what is gone already is deleted");
    assert_eq!(names(&server).await, ["uno"]);
    let ignored = json!([{"attributes": {"name": "own", "globalid": one, "id": 1, "nonsense": 5}}]);
    let answer = server.add(0, &ignored.to_string()).await;
    assert_eq!(codes(&answer["addResults"]), [0]);
    assert_ne!(answer["addResults"][0]["globalId"], one, "without useGlobalIds the server makes the ids");
    assert_ne!(answer["addResults"][0]["objectId"], 1);
}

#[tokio::test]
async fn an_update_changes_only_what_it_names() {
    let server = with_sites().await;
    let square = json!({"rings": [[[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]]]});
    let add = json!([{"attributes": {"name": "a", "code": "C", "size": 5}, "geometry": square}]);
    server.add(0, &add.to_string()).await;
    let before = server.features(0).await[0].clone();
    assert_eq!(before["attributes"]["kind"], "house", "a default fills in what is not named");
    for geometry in [None, Some(Json::Null)] {
        let mut update = json!({"attributes": {"ID": 1, "size": null}});
        if let Some(geometry) = geometry {
            update["geometry"] = geometry;
        }
        let answer = server.post("0/updateFeatures", &[("features", &update.to_string())]).await;
        assert_eq!(codes(&answer["updateResults"]), [0]);
        let mut expected = before.clone();
        expected["attributes"]["size"] = Json::Null;
        assert_eq!(server.features(0).await, [expected]);
    }
    let cleared = r#"[{"attributes":{"id":1},"geometry":{"rings":[]}}]"#;
    server.post("0/updateFeatures", &[("features", cleared)]).await;
    let after = server.features(0).await[0].clone();
    assert!(after.get("geometry").is_none(), "an empty geometry clears: {after}");
    assert_eq!(after["attributes"]["name"], "a");
}

#[tokio::test]
async fn a_geometry_in_another_reference_is_brought_into_the_layers() {
    let server = TestServer::with_trees().await;
    let mixed = r#"[{"attributes":{"species":"a"},"geometry":{"x":10,"y":50,"spatialReference":{"wkid":4326}}},
        {"attributes":{"species":"b"},"geometry":{"x":600000,"y":200000,"spatialReference":{"wkid":2056,"latestWkid":21781}}},
        {"attributes":{"species":"c"},"geometry":{"x":5,"y":6}}]"#;
    let answer = server.add(0, mixed).await;
    assert_eq!(codes(&answer["addResults"]), [0, 0, 0]);
    let near = "select bool_and(case species
        when 'a' then ST_Distance(shape, ST_Transform('SRID=4326;POINT(10 50)'::geometry, 3857)) < 0.001
        when 'b' then ST_Distance(shape, ST_Transform('SRID=21781;POINT(600000 200000)'::geometry, 3857)) < 0.001
        else ST_Equals(shape, 'SRID=3857;POINT(5 6)'::geometry) end) from oak";
    assert!(server.database.value::<bool>(near).await);
}

#[tokio::test]
async fn polygons_fit_single_and_multi_columns() {
    let server = with_sites().await;
    let one =
        r#"[{"attributes":{"name":"one"},"geometry":{"rings":[[[0,0],[0,9],[9,9],[9,0]],[[1,1],[2,1],[2,2],[1,1]]]}}]"#;
    let two =
        r#"[{"attributes":{"name":"two"},"geometry":{"rings":[[[0,0],[0,1],[1,1],[0,0]],[[5,5],[5,6],[6,6],[5,5]]]}}]"#;
    for (layer, features, expected) in [(0, one, 0), (0, two, 0), (1, one, 0), (1, two, 1015)] {
        let answer = server.add(layer, features).await;
        assert_eq!(codes(&answer["addResults"]), [expected], "{layer}: {answer}");
    }
    let parts = "select string_agg(ST_NumGeometries(shape) || GeometryType(shape) || ST_NRings(shape), ' ' order by name) from site";
    assert_eq!(server.database.value::<String>(parts).await, "1MULTIPOLYGON2 2MULTIPOLYGON2");
    let two = server.add(1, two).await;
    let words = two["addResults"][0]["error"]["description"].as_str().unwrap();
    assert!(words.contains("2 outer rings"), "{words}");
}

#[tokio::test]
async fn deletes_come_in_every_syntax() {
    let server = with_sites().await;
    server.database.sql("insert into site (name) select generate_series(1, 8)::text").await;
    for (operation, name, ids) in [
        ("0/applyEdits", "deletes", "1,2"),
        ("0/applyEdits", "deletes", "[3, 4]"),
        ("0/deleteFeatures", "objectIds", " 5 , 6"),
        ("0/deleteFeatures", "objectIds", "[\"7\"]"),
    ] {
        let answer = server.post(operation, &[(name, ids)]).await;
        assert!(codes(&answer["deleteResults"]).iter().all(|code| *code == 0), "{ids}: {answer}");
    }
    assert_eq!(names(&server).await, ["8"]);
    let (_, words) = error(&server.post("0/deleteFeatures", &[]).await);
    assert!(words.contains("'objectIds' parameter"), "{words}");
    assert_eq!(names(&server).await, ["8"]);
}

#[tokio::test]
async fn nothing_to_do_is_done_successfully() {
    let server = with_sites().await;
    for nothing in ["", "null", "[]"] {
        let parameters = [("adds", nothing), ("updates", nothing), ("deletes", nothing)];
        let answer = server.post("0/applyEdits", &parameters).await;
        assert_eq!(answer, json!({"addResults": [], "updateResults": [], "deleteResults": []}), "{nothing:?}");
    }
}

#[tokio::test]
async fn attachments_of_a_layer_without_are_refused_by_name_and_nothing_is_applied() {
    let server = with_sites().await;
    let attachments = r#"{"adds":[{"parentGlobalId":"x","data":""}]}"#;
    let adds = r#"[{"attributes":{"name":"a"}}]"#;
    let of_service = format!(r#"[{{"id":0,"adds":{adds},"attachments":{attachments}}}]"#);
    for (operation, parameters) in [
        ("0/applyEdits", vec![("adds", adds), ("attachments", attachments), ("useGlobalIds", "true")]),
        ("applyEdits", vec![("edits", of_service.as_str()), ("useGlobalIds", "true")]),
    ] {
        let (code, words) = error(&server.post(operation, &parameters).await);
        assert_eq!(code, 400);
        assert!(words.contains("layer 0 has no attachments, nothing was applied"), "{words}");
    }
    let empty = [("adds", adds), ("attachments", r#"{"adds":[],"updates":[],"deletes":[]}"#)];
    assert_eq!(codes(&server.post("0/applyEdits", &empty).await["addResults"]), [0]);
    assert_eq!(names(&server).await, ["a"]);
}

#[tokio::test]
async fn the_edits_of_a_service_are_answered_layer_by_layer_and_stand_or_fall_together() {
    let server = TestServer::with_trees().await;
    let edits = r#"[{"id":0,"adds":[{"attributes":{"species":"elm"}}]},{"id":"1","adds":[{"attributes":{"note":"n"}}],"deletes":[]}]"#;
    let answer = server.post("applyEdits", &[("edits", edits)]).await;
    assert_eq!(answer.as_array().unwrap().len(), 2);
    for (index, id) in [(0, 0), (1, 1)] {
        assert_eq!(answer[index]["id"], id);
        assert_eq!(codes(&answer[index]["addResults"]), [0]);
        assert_eq!(answer[index]["updateResults"], json!([]));
    }
    let edits =
        r#"[{"id":0,"deletes":"1"},{"id":1,"deletes":[1],"updates":[{"attributes":{"objectid":1,"note":null}}]}]"#;
    let answer = server.post("applyEdits", &[("edits", edits)]).await;
    assert_eq!(codes(&answer[0]["deleteResults"]), [1003], "{answer}");
    assert_eq!(codes(&answer[1]["updateResults"]), [1001]);
    assert_eq!((server.features(0).await.len(), server.features(1).await.len()), (1, 1));
    let answer = server.post("applyEdits", &[("edits", edits), ("rollbackOnFailure", "false")]).await;
    assert_eq!((codes(&answer[0]["deleteResults"]), codes(&answer[1]["deleteResults"])), (vec![0], vec![0]));
    assert_eq!((server.features(0).await.len(), server.features(1).await.len()), (0, 0));
    for (edits, words) in [
        (r#"[{"id":0,"adds":[{}]},{"id":9}]"#, "no layer or table 9"),
        (r#"[{"adds":[{}]}]"#, "no id of a layer"),
        ("", "'edits' parameter"),
        (r#"{"id":0"#, "'edits' parameter"),
    ] {
        let (code, said) = error(&server.post("applyEdits", &[("edits", edits)]).await);
        assert_eq!(code, 400);
        assert!(said.contains(words), "{edits}: {said}");
    }
    assert_eq!(server.features(0).await.len(), 0, "an unreadable request applies nothing");
}
