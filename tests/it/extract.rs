//! extractChanges: what changed between two generations, for clients without a replica.

use serde_json::{Value as Json, json};

use crate::support::{TestServer, server::error};

/// A server with the trees elm, fir and ash, at 0, 1 and 2 metres, with girths 0, 10 and 20; and one visit.
async fn with_rows() -> TestServer {
    let server = TestServer::with_trees().await;
    server
        .database
        .sql(
            "insert into oak (species, girth, shape) select name, n * 10, ST_Point(n, n, 3857) from unnest(array['elm', 'fir', 'ash'], array[0, 1, 2]) as t (name, n);
             insert into visit (note) values ('first')",
        )
        .await;
    server
}

/// The newest generation, as the service resource names it.
async fn generation(server: &TestServer) -> String {
    server.get("", &[]).await["changeTrackingInfo"]["layerServerGens"][0]["serverGen"].to_string()
}

async fn extract(server: &TestServer, after: &str, parameters: &[(&str, &str)]) -> Json {
    let mut all = vec![("serverGens", after)];
    all.extend(parameters);
    let answer = server.post("extractChanges", &all).await;
    assert!(answer.get("error").is_none(), "{parameters:?}: {answer}");
    answer
}

/// One attribute of the features of a list.
fn names(list: &Json) -> Vec<&str> {
    let list = list.as_array().unwrap_or_else(|| panic!("{list}"));
    let mut names: Vec<&str> = list.iter().map(|row| row["attributes"]["species"].as_str().unwrap_or("-")).collect();
    names.sort_unstable();
    names
}

async fn edit(server: &TestServer, sql: &str) -> String {
    server.database.sql(sql).await;
    generation(server).await
}

#[tokio::test]
async fn the_difference_between_two_states_is_told() {
    let server = with_rows().await;
    let start = generation(&server).await;
    let gone: String =
        server.database.value("select '{' || upper(globalid::text) || '}' from oak where species = 'elm'").await;
    let middle = edit(
        &server,
        "insert into oak (species) values ('yew'); update oak set girth = 5 where species = 'fir'; delete from oak where species = 'elm'",
    )
    .await;
    edit(&server, "insert into oak (species) values ('box')").await;
    let end = edit(&server, "delete from oak where species = 'box'").await;

    let answer = extract(&server, &start, &[]).await;
    assert_eq!(answer["responseType"], "esriDataChangesResponseTypeEdits");
    assert_eq!(answer["transportType"], "esriTransportTypeEmbedded");
    let gens = json!([{"id": 0, "serverGen": end.parse::<i64>().unwrap()}, {"id": 1, "serverGen": end.parse::<i64>().unwrap()}]);
    assert_eq!(answer["layerServerGens"], gens, "from where to go on");
    let features = &answer["edits"][0]["features"];
    assert_eq!(
        (names(&features["adds"]), names(&features["updates"])),
        (vec!["yew"], vec!["fir"]),
        "what came and went is not told"
    );
    assert_eq!(features["deleteIds"], json!([gone]));
    assert_eq!(answer["edits"][0]["attachments"], json!({"adds": [], "updates": [], "deleteIds": []}));
    assert_eq!(answer["edits"][1]["features"], json!({"adds": [], "updates": [], "deleteIds": []}));

    let got = server.get("extractChanges", &[("serverGens", &start), ("layers", "0")]).await;
    assert_eq!(got["edits"][0], answer["edits"][0], "GET answers, too");
    let nothing = extract(&server, &end, &[]).await;
    assert_eq!(nothing["responseType"], "esriDataChangesResponseTypeNoEdits");
    assert_eq!(nothing["layerServerGens"], gens);
    assert!(nothing.get("edits").is_none(), "{nothing}");
    let last = extract(&server, &middle, &[]).await;
    assert_eq!(last["responseType"], "esriDataChangesResponseTypeNoEdits", "{last}");
}

#[tokio::test]
async fn a_window_may_end_before_now_and_shows_the_rows_of_its_end() {
    let server = with_rows().await;
    let start = generation(&server).await;
    let middle = edit(&server, "update oak set girth = 11 where species = 'fir'; insert into oak (species, girth) values ('yew', 1); delete from oak where species = 'ash'").await;
    edit(&server, "update oak set girth = 12 where species = 'fir'; delete from oak where species = 'yew'; insert into oak (species) values ('box'); update oak set girth = 99 where species = 'elm'").await;
    let window = format!("[{start},{middle}]");
    let answer = extract(&server, &window, &[("layers", "0"), ("returnDeletedFeatures", "true")]).await;
    assert_eq!(answer["layerServerGens"][0]["serverGen"].to_string(), middle, "from where to go on");
    let features = &answer["edits"][0]["features"];
    assert_eq!((names(&features["adds"]), names(&features["updates"])), (vec!["yew"], vec!["fir"]), "{answer}");
    assert_eq!(features["updates"][0]["attributes"]["girth"], 11, "as it was at the end of the window");
    assert_eq!(names(&features["deletes"]), ["ash"]);
    assert_eq!(features["deletes"][0]["attributes"]["girth"], 20);
    assert_eq!(features["deletes"][0]["geometry"]["x"], 2.0);
    assert!(features.get("deleteIds").is_none(), "{features}");
    // Windows that meet tell together what one over both tells.
    let rest = extract(&server, &middle, &[("layers", "0")]).await;
    let rest = &rest["edits"][0]["features"];
    assert_eq!((names(&rest["adds"]), names(&rest["updates"])), (vec!["box"], vec!["elm", "fir"]));
    assert_eq!(rest["deleteIds"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn rows_come_and_go_as_they_pass_what_is_asked_for() {
    let server = with_rows().await;
    let start = generation(&server).await;
    edit(
        &server,
        "update oak set girth = girth + 11; update oak set shape = ST_Point(50, 50, 3857) where species = 'ash'; update visit set note = 'x'",
    )
    .await;
    let where_girth = r#"{"0":{"where":"girth < 15"}}"#;
    let answer = extract(&server, &start, &[("layers", "0"), ("layerQueries", where_girth)]).await;
    let features = &answer["edits"][0]["features"];
    assert_eq!(
        (names(&features["updates"]), features["deleteIds"].as_array().unwrap().len()),
        (vec!["elm"], 1),
        "fir left"
    );
    let area = [("geometry", "-1,-1,3,3"), ("layerQueries", r#"{"1":{"where":"note = 'x'"}}"#)];
    let answer = extract(&server, &start, &area).await;
    let features = &answer["edits"][0]["features"];
    assert_eq!(
        (names(&features["updates"]), features["deleteIds"].as_array().unwrap().len()),
        (vec!["elm", "fir"], 1),
        "ash left"
    );
    assert_eq!(answer["edits"][1]["features"]["adds"].as_array().unwrap().len(), 1, "a row of a table entered");
    let everywhere = [("geometry", "-1,-1,3,3"), ("layers", "0"), ("layerQueries", r#"{"0":{"useGeometry":"false"}}"#)];
    assert_eq!(names(&extract(&server, &start, &everywhere).await["edits"][0]["features"]["updates"]).len(), 3);
}

#[tokio::test]
async fn only_what_is_asked_for_is_told() {
    let server = with_rows().await;
    let start = generation(&server).await;
    edit(
        &server,
        "insert into oak (species) values ('yew'); delete from oak where species = 'elm';
         update oak set girth = 5 where species = 'fir'; update oak set shape = ST_Point(9, 9, 3857), girth = girth where species = 'ash'",
    )
    .await;
    let id_of = async |species: &str| -> i64 {
        server.database.value(&format!("select objectid::int8 from oak where species = '{species}'")).await
    };
    let (yew, fir, ash) = (id_of("yew").await, id_of("fir").await, id_of("ash").await);
    let told = async |parameters: &[(&str, &str)]| {
        let mut all = vec![("layers", "0")];
        all.extend(parameters);
        extract(&server, &start, &all).await["edits"][0].clone()
    };
    let ids = told(&[("returnIdsOnly", "true")]).await;
    assert_eq!(
        ids,
        json!({"id": 0, "objectIds": {"adds": [yew], "updates": ids["objectIds"]["updates"], "deletes": [1]}})
    );
    let mut updates: Vec<i64> =
        ids["objectIds"]["updates"].as_array().unwrap().iter().filter_map(Json::as_i64).collect();
    updates.sort_unstable();
    assert_eq!(updates, [fir, ash]);
    let lists = |edits: &Json| {
        let features = &edits["features"];
        ["adds", "updates", "deleteIds"].map(|list| features[list].as_array().unwrap().len())
    };
    assert_eq!(lists(&told(&[("returnInserts", "true")]).await), [1, 0, 0]);
    assert_eq!(lists(&told(&[("returnUpdates", "true")]).await), [0, 2, 0]);
    assert_eq!(lists(&told(&[("returnDeletes", "true"), ("returnUpdates", "false")]).await), [0, 0, 1]);
    // As addresses for web hooks are written: they name what is not wanted.
    assert_eq!(lists(&told(&[("returnDeletes", "false")]).await), [1, 2, 0]);

    let compared =
        told(&[("fieldsToCompare", r#"{"fields":["GIRTH","planted"]}"#), ("returnHasGeometryUpdates", "true")]).await;
    assert_eq!((&compared["fieldUpdates"], &compared["hasGeometryUpdates"]), (&json!([fir]), &json!(true)));
    let without_updates = told(&[
        ("returnInserts", "true"),
        ("returnHasGeometryUpdates", "true"),
        ("layerQueries", r#"{"0":{"where":"species <> 'ash'"}}"#),
    ])
    .await;
    assert_eq!((lists(&without_updates), &without_updates["hasGeometryUpdates"]), ([1, 0, 0], &json!(false)));

    let in_degrees = told(&[("outSR", "4326"), ("returnUpdates", "true")]).await;
    assert!(in_degrees["features"]["updates"][0]["geometry"]["x"].as_f64().unwrap() < 0.001, "{in_degrees}");
}

#[tokio::test]
async fn the_extent_of_changes_has_where_rows_were_and_where_they_are() {
    let server = with_rows().await;
    let start = generation(&server).await;
    let end = edit(
        &server,
        "update oak set shape = ST_Point(8, 4, 3857) where species = 'elm'; insert into visit (note) values ('x')",
    )
    .await;
    let mercator = json!({"wkid": 102_100, "latestWkid": 3857});
    let whole = json!({"xmin": 0.0, "ymin": 0.0, "xmax": 8.0, "ymax": 4.0, "spatialReference": mercator});
    let answer = extract(&server, &start, &[("returnExtentOnly", "true")]).await;
    assert_eq!((&answer["extent"], answer.get("edits")), (&whole, None), "{answer}");
    let answer = extract(&server, &start, &[("returnExtentOnly", "true"), ("changesExtentGridCell", "Medium")]).await;
    assert_eq!(
        answer["extents"],
        json!([
            {"xmin": 0.0, "ymin": 0.0, "xmax": 1.0, "ymax": 0.5, "spatialReference": mercator},
            {"xmin": 7.0, "ymin": 3.5, "xmax": 8.0, "ymax": 4.0, "spatialReference": mercator},
        ])
    );
    let nothing = extract(&server, &end, &[("returnExtentOnly", "true")]).await;
    assert_eq!(nothing["responseType"], "esriDataChangesResponseTypeNoEdits");
    let only_deletes = extract(&server, &start, &[("returnExtentOnly", "true"), ("returnDeletes", "true")]).await;
    assert!(only_deletes.get("extent").is_none(), "{only_deletes}");
}

#[tokio::test]
async fn a_file_behind_a_url_is_made_if_it_is_asked_for() {
    let server = with_rows().await;
    let start = generation(&server).await;
    edit(&server, "insert into oak (species) values ('yew')").await;
    let inline = extract(&server, &start, &[]).await;
    let by_url = extract(&server, &start, &[("transportType", "esriTransportTypeUrl")]).await;
    assert!(by_url.get("edits").is_none());
    let path = by_url["responseUrl"].as_str().unwrap().strip_prefix("http://test:80").unwrap();
    let file = server.get(path, &[]).await;
    assert_eq!(file["edits"], inline["edits"]);
    assert_eq!(
        (&file["transportType"], &file["layerServerGens"]),
        (&json!("esriTransportTypeUrl"), &inline["layerServerGens"])
    );
}

#[tokio::test]
async fn each_layer_has_its_own_generation_if_that_is_wanted() {
    let server = with_rows().await;
    let start = generation(&server).await;
    let middle =
        edit(&server, "insert into oak (species) values ('yew'); insert into visit (note) values ('second')").await;
    edit(&server, "insert into oak (species) values ('box')").await;
    let gens = format!(r#"[{{"id":0,"serverGen":{middle},"minServerGen":"1"}},{{"id":"1","serverGen":"{start}"}}]"#);
    let answer = server.post("extractChanges", &[("layers", "[0, 1]"), ("layerServerGens", &gens)]).await;
    assert_eq!(names(&answer["edits"][0]["features"]["adds"]), ["box"], "{answer}");
    assert_eq!(answer["edits"][1]["features"]["adds"][0]["attributes"]["note"], "second");
    let one = server.post("extractChanges", &[("layers", "[1]"), ("layerServerGens", &gens)]).await;
    assert_eq!((one["edits"].as_array().unwrap().len(), &one["edits"][0]["id"]), (1, &json!(1)));
}

#[tokio::test]
async fn what_cannot_be_told_is_refused_by_name() {
    let server = with_rows().await;
    let start = generation(&server).await;
    for (parameters, said) in [
        (vec![], "'serverGens' parameter is invalid: it is missing"),
        (
            vec![("serverGens", start.as_str()), ("layerServerGens", r#"[{"id":0,"serverGen":1}]"#)],
            "exclude each other",
        ),
        (vec![("serverGens", "0")], "no longer kept (minServerGen is "),
        (vec![("serverGens", "9007199254740991")], "lies in the future"),
        (vec![("serverGens", "-5")], "-5 is not a generation"),
        (vec![("serverGens", "[5,4]")], "5 is after 4"),
        (vec![("serverGens", "[1,2,3]")], "it has 3 numbers"),
        (vec![("serverGens", &start), ("layers", "7")], "no layer or table 7"),
        (vec![("serverGens", &start), ("layers", "0,0")], "named twice"),
        (
            vec![
                ("serverGens", &start),
                ("returnInserts", "false"),
                ("returnUpdates", "false"),
                ("returnDeletes", "false"),
            ],
            "set at least one to true",
        ),
        (vec![("serverGens", &start), ("returnIdsOnly", "true"), ("returnExtentOnly", "true")], "exclude each other"),
        (vec![("serverGens", &start), ("changesExtentGridCell", "medium")], "send returnExtentOnly=true"),
        (
            vec![("serverGens", &start), ("fieldsToCompare", r#"{"fields":["colour"]}"#)],
            "none of the layers has a field 'colour'",
        ),
        (vec![("serverGens", &start), ("layerQueries", r#"{"0":{"where":"colour = 1"}}"#)], "colour"),
        (
            vec![("serverGens", &start), ("layers", "0"), ("layerQueries", r#"{"1":{"where":"note = 'x'"}}"#)],
            "layer 1 is not among",
        ),
        (vec![("serverGens", &start), ("dataFormat", "sqlite")], "dataFormat=sqlite is not supported here"),
        (vec![("serverGens", &start), ("gdbVersion", "user.edits")], "this service has no versions"),
        (vec![("layerServerGens", r#"[{"id":0}]"#)], "[{\"id\":0,\"serverGen\":8411}] belongs there"),
        (
            vec![("layers", "1"), ("layerServerGens", r#"[{"id":0,"serverGen":1}]"#)],
            "no generation of any of the layers",
        ),
    ] {
        let (code, text) = error(&server.post("extractChanges", &parameters).await);
        assert_eq!(code, 400, "{parameters:?}: {text}");
        assert!(text.contains(said), "{parameters:?}: {text}");
    }
}

#[tokio::test]
async fn attachments_that_changed_are_told_if_they_are_asked_for() {
    let server = with_rows().await;
    server.app.store.enable_attachments("trees", syncline::model::id::LayerId(0)).await.unwrap();
    let device = server
        .post(
            "createReplica",
            &[("layers", "0"), ("returnAttachments", "true"), ("transportType", "esriTransportTypeEmbedded")],
        )
        .await;
    let start = generation(&server).await;
    let attach = async |lists: Json| {
        let edits = json!([{"id": 0, "attachments": lists}]).to_string();
        let parameters =
            [("replicaID", device["replicaID"].as_str().unwrap()), ("syncDirection", "upload"), ("edits", &edits)];
        let answer = server.post("synchronizeReplica", &parameters).await;
        assert_eq!(answer["responseType"], "esriReplicaResponseTypeNoEdits", "{answer}");
    };
    let parent: String = server.database.value("select globalid::text from oak where species = 'fir'").await;
    let id = "{BBBBBBBB-0001-4000-8000-000000000001}";
    attach(json!({"adds": [{"globalId": id, "parentGlobalId": parent, "name": "a.txt", "contentType": "text/plain", "data": "aGk="}]})).await;
    let middle = generation(&server).await;
    let lists = async |after: &str, more: &[(&str, &str)]| {
        let mut all = vec![("layers", "0"), ("returnAttachments", "true")];
        all.extend(more);
        extract(&server, after, &all).await["edits"][0]["attachments"].clone()
    };
    let added = lists(&start, &[("returnAttachmentsDataByUrl", "false")]).await;
    assert_eq!((&added["adds"][0]["globalId"], &added["adds"][0]["data"]), (&json!(id), &json!("aGk=")));
    assert!(lists(&start, &[]).await["adds"][0]["url"].as_str().unwrap().contains("/0/attachments/"));
    assert_eq!(
        lists(&start, &[("returnAttachments", "false")]).await,
        Json::Null,
        "only attachments changed, and they are not wanted"
    );
    attach(json!({"deleteIds": [id]})).await;
    assert_eq!(lists(&middle, &[]).await, json!({"adds": [], "updates": [], "deleteIds": [id]}));
}

#[tokio::test]
async fn attachments_come_and_go_with_the_features_that_are_asked_for() {
    let server = with_rows().await;
    server.app.store.enable_attachments("trees", syncline::model::id::LayerId(0)).await.unwrap();
    let table: String =
        server.database.value("select table_name from syncline.layer where attached_to is not null").await;
    server
        .database
        .sql(&format!(
            "insert into syncline.{table} (parent_globalid, name, content_type, size_bytes, sha256)
             select globalid, species, 'a/b', 1, repeat('a', 64) from oak"
        ))
        .await;
    let start = generation(&server).await;
    // Fir comes into what is asked for, ash leaves, elm stays; none of their attachments changed.
    edit(
        &server,
        "update oak set girth = 1, shape = ST_Point(1, 1, 3857) where species = 'fir'; update oak set shape = ST_Point(99, 99, 3857) where species = 'ash'",
    )
    .await;
    let ask = async |more: &[(&str, &str)]| {
        let mut all = vec![("layers", "0"), ("returnAttachments", "true")];
        all.extend(more);
        extract(&server, &start, &all).await["edits"][0]["attachments"].clone()
    };
    let told = |lists: &Json| {
        let names =
            |list: &str| lists[list].as_array().unwrap().iter().map(|one| one["name"].clone()).collect::<Json>();
        (names("adds"), names("updates"), lists["deleteIds"].as_array().unwrap().len())
    };
    let by_value = ask(&[("layerQueries", r#"{"0":{"where":"girth < 5"}}"#)]).await;
    assert_eq!(told(&by_value), (json!(["fir"]), json!([]), 0), "{by_value}");
    let by_place = ask(&[("geometry", "0,0,10,10")]).await;
    assert_eq!(told(&by_place), (json!([]), json!([]), 1), "{by_place}");
    assert_eq!(ask(&[]).await, json!({"adds": [], "updates": [], "deleteIds": []}), "of all features none changed");
}

#[tokio::test]
async fn whoever_applies_the_changes_of_windows_in_turn_holds_what_is_stored() {
    use std::collections::BTreeMap;
    let server = with_rows().await;
    let filter =
        [("layers", "0"), ("geometry", "-0.5,-0.5,10.5,1.5"), ("layerQueries", r#"{"0":{"where":"girth <> 3"}}"#)];
    let mut generations = vec![generation(&server).await];
    let mut stored: Vec<BTreeMap<String, (i64, i64)>> = Vec::new();
    let state = async || -> BTreeMap<String, (i64, i64)> {
        let text: String = server
            .database
            .value(
                "select coalesce(json_object_agg('{' || upper(globalid::text) || '}', json_build_array(girth, ST_X(shape)::int)), '{}')::text
                 from oak where girth <> 3 and ST_Intersects(shape, ST_MakeEnvelope(-0.5, -0.5, 10.5, 1.5, 3857))",
            )
            .await;
        serde_json::from_str(&text).unwrap()
    };
    stored.push(state().await);
    for step in 0..24 {
        // Each row comes, changes, leaves the filter by value or by place, comes back, and goes.
        let row = format!("aaaaaaaa-0000-4000-8000-{:012}", step % 5);
        let sql = match step % 7 {
            0 | 5 => format!(
                "insert into oak (globalid, girth, shape) values ('{row}', {step}, ST_Point({step} % 10, 0, 3857)) on conflict (globalid) do update set girth = 3"
            ),
            1 => "update oak set girth = 3 where girth % 2 = 0".to_owned(),
            2 => format!("update oak set girth = {step} where globalid = '{row}' or girth = 3"),
            3 => format!("update oak set shape = ST_Point({step}, 1, 3857) where girth > {step} / 2"),
            4 => format!("delete from oak where globalid = '{row}'"),
            _ => format!(
                "truncate oak; insert into oak (globalid, girth, shape) values ('{row}', {step}, ST_Point(1, 1, 3857))"
            ),
        };
        generations.push(edit(&server, &sql).await);
        stored.push(state().await);
    }
    for stride in [1, 2, 5, 24] {
        let mut held = stored[0].clone();
        for from in (0..24).step_by(stride) {
            let to = (from + stride).min(24);
            let window = format!("[{},{}]", generations[from], generations[to]);
            let answer = extract(&server, &window, &filter).await;
            let features = &answer["edits"][0]["features"];
            for (list, known) in [("adds", false), ("updates", true)] {
                for feature in features[list].as_array().into_iter().flatten() {
                    let (attributes, x) = (&feature["attributes"], &feature["geometry"]["x"]);
                    #[expect(clippy::cast_possible_truncation, reason = "they are small whole numbers")]
                    let value = (attributes["girth"].as_i64().unwrap(), x.as_f64().unwrap() as i64);
                    let before = held.insert(attributes["globalid"].as_str().unwrap().to_owned(), value);
                    assert_eq!(before.is_some(), known, "{window} {list}: {feature}");
                }
            }
            for id in features["deleteIds"].as_array().into_iter().flatten() {
                assert!(held.remove(id.as_str().unwrap()).is_some(), "{window}: {id} was not held");
            }
            assert_eq!(held, stored[to], "stride {stride}, {window}");
        }
    }
}
