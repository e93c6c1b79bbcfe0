//! The life of a replica: what it holds at first, how its data comes, how it is listed, and its end.

use futures_util::future::join_all;
use serde_json::{Value as Json, json};
use syncline::store::publish::Publication;

use crate::support::{
    TestServer,
    server::{self, error},
};

const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");

/// Three trees one degree apart from 0°, 0° to the north-east, and two visits.
async fn with_rows() -> TestServer {
    let server = TestServer::with_trees().await;
    server
        .database
        .sql(
            "insert into oak (species, girth, shape) select name, n * 10, ST_Transform(ST_Point(n, n, 4326), 3857)
               from unnest(array['elm', 'fir', 'ash'], array[0, 1, 2]) as t (name, n);
             insert into visit (note) values ('a'), ('b')",
        )
        .await;
    server
}

async fn create(server: &TestServer, parameters: &[(&str, &str)]) -> Json {
    let mut all = vec![("layers", "0,1"), EMBEDDED];
    all.extend(parameters);
    let answer = server.post("createReplica", &all).await;
    assert!(answer.get("error").is_none(), "{parameters:?}: {answer}");
    answer
}

/// One attribute of the features of one layer, sorted.
fn held(answer: &Json, layer: usize, attribute: &str) -> Vec<String> {
    let features = answer["layers"][layer]["features"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let mut names: Vec<String> =
        features.iter().map(|row| row["attributes"][attribute].as_str().unwrap_or("-").to_owned()).collect();
    names.sort();
    names
}

fn keys(value: &Json) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn layer_queries_say_which_rows_a_replica_holds() {
    let server = with_rows().await;
    let (north, none, all) = ("0.5,0.5,3,3", vec![], vec!["ash", "elm", "fir"]);
    for (queries, geometry, trees, visits) in [
        ("", "", all.clone(), none.clone()),
        ("null", "", all.clone(), none.clone()),
        ("{}", north, vec!["ash", "fir"], none.clone()),
        (r#"{"0":{"where":"girth = 0"}}"#, "", vec!["elm"], none.clone()),
        (r#"{"0":{"where":"girth < 20"}}"#, north, vec!["fir"], none.clone()),
        (r#"{"0":{"queryOption":"useFilter","where":""}}"#, north, vec!["ash", "fir"], none.clone()),
        (r#"{"0":{"queryOption":"useFilter","useGeometry":false}}"#, north, all.clone(), none.clone()),
        (r#"{"0":{"useGeometry ":"false","where":"girth < 20"}}"#, north, vec!["elm", "fir"], none.clone()),
        (r#"{"0":{"queryOption":"none"}}"#, "", none.clone(), none.clone()),
        (r#"{"0":{"queryOption":"all","where":"girth = 0"}}"#, north, all.clone(), none.clone()),
        (r#"{"1":{"queryOption":"all"}}"#, north, vec!["ash", "fir"], vec!["a", "b"]),
        (r#"{"1":{"queryOption":"useFilter"}}"#, north, vec!["ash", "fir"], vec!["a", "b"]),
        (r#"{"1":{"where":"note = 'a'"}}"#, north, vec!["ash", "fir"], vec!["a"]),
        (r#"{"1":{}}"#, "", all.clone(), none.clone()),
        (r#"{"1":{"queryOption":"none","includeRelated":true}}"#, "", all.clone(), none.clone()),
        ("{'0':{'where':\"species = 'elm'\"},'1':{'queryOption':'all'}}", "", vec!["elm"], vec!["a", "b"]),
    ] {
        let parameters = [("layerQueries", queries), ("geometry", geometry), ("inSR", "4326")];
        let replica = create(&server, &parameters).await;
        assert_eq!(held(&replica, 0, "species"), trees, "{queries} {geometry}");
        assert_eq!(held(&replica, 1, "note"), visits, "{queries} {geometry}");
    }
}

#[tokio::test]
async fn the_geometry_comes_in_any_reference_and_syntax() {
    let server = with_rows().await;
    for (geometry, in_sr) in [
        ("  0.500,   0.5, 1.5, 1.5", "4326"),
        ("0.5,0.5,1.5,1.5", r#"{"wkid":4326}"#),
        ("55659.7,55660.3,166979.2,166998.3", ""),
        ("55659.7,55660.3,166979.2,166998.3", "102100"),
        (r#"{"xmin":0.5,"ymin":0.5,"xmax":1.5,"ymax":1.5,"spatialReference":{"wkid":4326}}"#, "3857"),
        (r#"{'xmin':0.5,'ymin':0.5,'xmax':1.5,'ymax':1.5,'spatialReference':{'wkid':'4326'}}"#, ""),
        (r#"{"rings":[[[0.5,0.5],[0.5,1.5],[1.5,1.5],[1.5,0.5],[0.5,0.5]]]}"#, "4326"),
        (r#"{"rings":[[[0.8,0.5],[2.8,1.5],[2.8,0.5],[0.8,1.5],[0.8,0.5]]],"spatialReference":{"wkid":4326}}"#, ""),
    ] {
        let replica = create(&server, &[("geometry", geometry), ("inSR", in_sr)]).await;
        assert_eq!(held(&replica, 0, "species"), ["fir"], "{geometry} {in_sr}");
    }
    for everything in ["", "{}", "null", "-180,-90,180,90"] {
        let replica = create(&server, &[("geometry", everything), ("inSR", "4326")]).await;
        assert_eq!(held(&replica, 0, "species").len(), 3, "{everything}");
    }
}

#[tokio::test]
async fn layers_are_named_in_every_syntax() {
    let server = with_rows().await;
    for layers in ["0,1", "0, 1", "[0,1]", r#"["0","1"]"#] {
        let answer = server.post("createReplica", &[("layers", layers), EMBEDDED]).await;
        assert_eq!((&answer["layers"][0]["id"], &answer["layers"][1]["id"]), (&json!(0), &json!(1)), "{layers}");
    }
    let answer = server.post("createReplica", &[("layers", "1"), EMBEDDED]).await;
    assert_eq!(answer["layers"], json!([{"id": 1, "features": []}]), "a layer without rows appears, too");
}

#[tokio::test]
async fn geometries_are_in_the_replicas_reference_both_ways() {
    let server = with_rows().await;
    let replica = create(&server, &[("replicaSR", "4326"), ("layerQueries", r#"{"0":{"where":"girth = 20"}}"#)]).await;
    let geometry = &replica["layers"][0]["features"][0]["geometry"];
    assert!((geometry["x"].as_f64().unwrap() - 2.0).abs() < 1e-9, "{geometry}");
    let id = replica["replicaID"].as_str().unwrap();
    let edits = r#"[{"id":0,"features":{"adds":[{"attributes":{"globalid":"{AAAAAAAA-0000-4000-8000-000000000001}","girth":1},"geometry":{"x":10,"y":50}}]}}]"#;
    let generation = replica["replicaServerGen"].to_string();
    let parameters = [("replicaID", id), ("replicaServerGen", &generation), ("edits", edits), EMBEDDED];
    let answer = server.post("synchronizeReplica", &parameters).await;
    assert!(answer.get("error").is_none(), "{answer}");
    let near = "select ST_Distance(shape, ST_Transform('SRID=4326;POINT(10 50)'::geometry, 3857)) < 0.001 from oak where girth = 1";
    assert!(server.database.value::<bool>(near).await);
    assert_eq!(server.get(&format!("replicas/{id}"), &[]).await["spatialReference"]["wkid"], 4326);
}

#[tokio::test]
async fn an_answer_has_exactly_the_members_of_its_transport_and_sync_model() {
    let server = with_rows().await;
    let common = ["replicaID", "replicaName", "responseType", "syncModel", "targetType", "transportType"];
    for (model, generation) in [("perReplica", "replicaServerGen"), ("perLayer", "layerServerGens")] {
        let with = |more: &[&'static str]| {
            let mut keys = [&common[..], &[generation], more].concat();
            keys.sort_unstable();
            keys
        };
        let embedded = create(&server, &[("syncModel", model)]).await;
        assert_eq!(keys(&embedded), with(&["layers"]));
        assert_eq!(embedded["responseType"], "esriReplicaResponseTypeData");
        assert_eq!(embedded["syncModel"], model);
        assert_eq!(keys(&embedded["layers"][0]), ["features", "id"]);
        assert_eq!(keys(&embedded["layers"][0]["features"][0]), ["attributes", "geometry"]);
        assert_eq!(keys(&embedded["layers"][0]["features"][0]["attributes"]).len(), 6, "all fields");
        let by_url = create(&server, &[("syncModel", model), ("transportType", "esritransporttypeURL")]).await;
        assert_eq!(keys(&by_url), with(&["URL", "responseUrl"]));
        assert_eq!(by_url["transportType"], "esriTransportTypeUrl");
        if model == "perLayer" {
            let generations = embedded["layerServerGens"].as_array().unwrap();
            assert_eq!(generations.len(), 2);
            assert_eq!(keys(&generations[0]), ["id", "serverGen"]);
        } else {
            assert!(embedded["replicaServerGen"].as_i64().unwrap() > 0);
        }
    }
}

#[tokio::test]
async fn the_file_behind_the_url_is_what_would_have_been_embedded() {
    let server = with_rows().await;
    let embedded = create(&server, &[]).await;
    let by_url = create(&server, &[("transportType", "esriTransportTypeUrl")]).await;
    let url = by_url["URL"].as_str().unwrap();
    assert_eq!(by_url["URL"], by_url["responseUrl"]);
    assert!(url.ends_with(".json"), "{url}");
    let path = url.strip_prefix("http://test:80").unwrap_or_else(|| panic!("not absolute: {url}"));
    for path in [path.to_owned(), format!("{path}?f=json&token=")] {
        let response = server.fetch(&path, &[]).await;

        let length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
        let text = server::text(response).await;
        assert_eq!(text.len(), length);
        let file: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(keys(&file), keys(&embedded));
        assert_eq!(file["layers"], embedded["layers"]);
        assert_eq!(file["replicaID"], by_url["replicaID"]);
    }
    server.database.sql("create table other (id serial primary key)").await;
    let publication = Publication {
        service: "bushes".to_owned(),
        table_schema: "public".to_owned(),
        table_name: "other".to_owned(),
        layer_name: None,
    };
    server.app.store.publish(&publication, false).await.unwrap();
    for missing in [
        path.replace("/trees/", "/bushes/"),
        path.replace(".json", ".geodatabase"),
        path.replace("replicafiles/", "replicafiles/0"),
        "/arcgis/rest/services/trees/FeatureServer/replicafiles/..%2f..%2fConfig.json".to_owned(),
    ] {
        let (code, words) = error(&server.get(&missing, &[]).await);
        assert_eq!(code, 404, "{missing}");
        assert!(words.contains("Result file not found"), "{words}");
    }
}

#[tokio::test]
async fn a_name_that_is_taken_gets_a_number() {
    let server = with_rows().await;
    for expected in ["Field", "Field_0", "Field_1"] {
        assert_eq!(create(&server, &[("replicaName", "Field")]).await["replicaName"], expected);
    }
    let (one, two) = (create(&server, &[]).await, create(&server, &[]).await);
    assert_ne!(one["replicaName"], two["replicaName"]);
    let at_once = join_all((0..6).map(|_| create(&server, &[("replicaName", "Crew")]))).await;
    let mut names: Vec<&str> = at_once.iter().map(|replica| replica["replicaName"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Crew", "Crew_0", "Crew_1", "Crew_2", "Crew_3", "Crew_4"]);
}

#[tokio::test]
async fn replicas_are_listed_with_what_is_asked_for() {
    let server = with_rows().await;
    assert_eq!(server.get("replicas", &[]).await, json!([]));
    let replica = create(&server, &[("replicaName", "Field")]).await;
    let id = &replica["replicaID"];
    assert_eq!(
        server.get("replicas", &[]).await,
        json!([{"replicaName": "Field", "replicaID": id, "replicaOwner": ""}])
    );
    let dated = server.get("replicas", &[("returnLastSyncDate", "true")]).await;
    assert!(dated[0]["lastSyncDate"].as_i64().unwrap() > 1_600_000_000_000, "{dated}");
}

/// The JSON type of each member, all the way down.
fn shape(value: &Json) -> Json {
    match value {
        Json::Null => "null".into(),
        Json::Bool(_) => "boolean".into(),
        Json::Number(_) => "number".into(),
        Json::String(_) => "string".into(),
        Json::Array(items) => json!([items.first().map(shape)]),
        Json::Object(members) => members.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
    }
}

#[tokio::test]
async fn replica_info_looks_like_that_of_other_servers() {
    let server = with_rows().await;
    let text = include_str!("../fixtures/api/replica-info.json");
    let model = serde_json::from_str::<Json>(text).unwrap()["body"].clone();
    let parameters = [
        ("syncModel", "perLayer"),
        ("geometry", r#"{"xmin":0.5,"ymin":0,"xmax":300000.5,"ymax":300000}"#),
        ("layerQueries", r#"{"0":{"where":"girth > 0"}}"#),
        ("syncDirection", "download"),
    ];
    let replica = create(&server, &parameters).await;
    let id = replica["replicaID"].as_str().unwrap();
    let info = server.get(&format!("replicas/{id}"), &[]).await;
    let mut expected = shape(&model);
    for absent in ["syncDataOptions", "supportsReplicaTracking"] {
        expected.as_object_mut().unwrap().remove(absent);
    }
    assert_eq!(shape(&info), expected);
    assert_eq!(info["layerServerGens"], replica["layerServerGens"]);
    assert_eq!(info["creationDate"], info["lastSyncDate"], "it has not synchronized yet");
    assert_eq!(info["layers"][0]["where"], "girth > 0");
    assert_eq!(info["geometry"]["xmin"], 0.5);
    for member in ["syncModel", "targetType", "syncDirection", "replicaOwner", "spatialRel", "spatialReference"] {
        assert_eq!(info[member], model[member], "{member}");
    }
    let per_replica = create(&server, &[("replicaName", "one")]).await;
    let info = server.get(&format!("replicas/{}", per_replica["replicaID"].as_str().unwrap()), &[]).await;
    assert_eq!(info["replicaServerGen"], per_replica["replicaServerGen"]);
    assert!(info.get("layerServerGens").is_none() && info.get("geometry").is_none(), "{info}");
    assert_eq!((&info["layers"][0]["where"], &info["layers"][1]["queryOption"]), (&json!(""), &json!("none")));
}

#[tokio::test]
async fn a_replica_is_found_by_its_id_in_any_spelling() {
    let server = with_rows().await;
    let replica = create(&server, &[]).await;
    let id = replica["replicaID"].as_str().unwrap();
    for spelling in [id.to_lowercase(), id.to_uppercase(), format!("{{{id}}}"), format!("%7B{id}%7D")] {
        let info = server.get(&format!("replicas/{spelling}"), &[]).await;
        assert_eq!(info["replicaID"], id, "{spelling}");
    }
    for unknown in ["8D8B7C2E-0000-4000-8000-00000000000A", "x", "-1"] {
        let (code, words) = error(&server.get(&format!("replicas/{unknown}"), &[]).await);
        assert_eq!(code, 400);
        assert!(
            words.contains("Replica not found.") && words.to_uppercase().contains(&unknown.to_uppercase()),
            "{words}"
        );
    }
}

#[tokio::test]
async fn unregistering_forgets_the_one_that_is_named_or_all() {
    let server = with_rows().await;
    let n_replicas = async || server.get("replicas", &[]).await.as_array().unwrap().len();
    let replica = create(&server, &[]).await;
    let id = format!("{{{}}}", replica["replicaID"].as_str().unwrap().to_lowercase());
    create(&server, &[]).await;
    create(&server, &[]).await;
    assert_eq!(server.post("unRegisterReplica", &[("replicaID", "")]).await, json!({"success": true}));
    assert_eq!(n_replicas().await, 3, "an empty id means none, never all");
    assert_eq!(server.post("unregisterreplica", &[("replicaID", &id)]).await, json!({"success": true}));
    assert_eq!(n_replicas().await, 2);
    for operation in ["unRegisterReplica", "synchronizeReplica"] {
        let parameters = [("replicaID", id.as_str()), ("replicaServerGen", "1")];
        let (code, words) = error(&server.post(operation, &parameters).await);
        assert_eq!(code, 400, "{operation}");
        assert!(words.contains("Replica not found."), "{operation}: {words}");
    }
    assert_eq!(server.post("unRegisterReplica", &[("replicaID", &id)]).await["success"], false);
    assert_eq!(server.post("unRegisterReplica", &[("replicaID", "*")]).await, json!({"success": true}));
    assert_eq!(n_replicas().await, 0);
    assert_eq!(server.features(0).await.len(), 3, "the rows stay");
}

#[tokio::test]
async fn closing_a_replica_ends_it_with_its_last_synchronization() {
    let server = with_rows().await;
    let replica = create(&server, &[]).await;
    let id = replica["replicaID"].as_str().unwrap();
    let future = [("replicaID", id), ("replicaServerGen", "9007199254740991"), ("closeReplica", "true")];
    error(&server.post("synchronizeReplica", &future).await);
    assert_eq!(server.get("replicas", &[]).await.as_array().unwrap().len(), 1, "a failure closes nothing");
    server.database.sql("update oak set girth = 5 where species = 'elm'").await;
    let generation = replica["replicaServerGen"].to_string();
    let last = [("replicaID", id), ("replicaServerGen", generation.as_str()), ("closeReplica", "true")];
    let answer = server.post("synchronizeReplica", &last).await;
    assert_eq!(server.get("replicas", &[]).await, json!([]));
    let path = answer["URL"].as_str().unwrap().strip_prefix("http://test:80").unwrap();
    let file = server.get(path, &[]).await;
    assert_eq!(file["edits"][0]["features"]["updates"].as_array().unwrap().len(), 1, "its last file can be fetched");
}
