//! Refused edits: kept, corrected, applied, dismissed, rescued.

use serde_json::{Value as Json, json};

use super::{Field, adds, deletes, edits, good, id, stored, tree, updates};
use crate::support::{TestServer, server::error};

async fn rejected(server: &TestServer, parameters: &[(&str, &str)]) -> Vec<Json> {
    good(server.get("rejectedEdits", parameters).await)["rejectedEdits"].as_array().unwrap().clone()
}

/// A server whose oaks must have a positive girth.
async fn with_rule() -> TestServer {
    let server = TestServer::with_trees().await;
    server.database.sql("alter table oak add constraint stout check (girth > 0)").await;
    server
}

#[tokio::test]
async fn g6_a_refused_edit_is_kept_whole() {
    let server = with_rule().await;
    let mut field = Field::new(&server, &[("replicaName", "Ada")]).await;
    let instant = 1_700_000_000_123_i64;
    let mut whole = tree(1, &json!({"species": "a \"b\" é", "height": 1.5, "girth": -1, "planted": instant}));
    whole["geometry"] = json!({"x": 1.25, "y": 2.5, "spatialReference": {"wkid": 4326}});
    let unreadable = json!({"attributes": {"globalid": id(2), "girth": {"deep": [1]}, "stranger": "kept"}});
    let nameless = json!({"attributes": {"species": "who?"}});
    good(field.synchronize(&edits(&json!([whole, unreadable, nameless]), &json!([]), &json!(["nonsense"])), &[]).await);
    let kept = rejected(&server, &[]).await;
    assert_eq!(kept.len(), 4);
    let first = &kept[0];
    assert_eq!(
        (&first["state"], &first["replicaName"], &first["operation"]),
        (&json!("open"), &json!("Ada"), &json!("add"))
    );
    assert_eq!(
        (&first["layer"], &first["globalId"], &first["reason"]["code"]),
        (&json!(0), &json!(id(1)), &json!(1016))
    );
    let attributes = &first["feature"]["attributes"];
    for (name, value) in whole["attributes"].as_object().unwrap() {
        assert_eq!(&attributes[name], value, "{name}");
    }
    assert_eq!(first["feature"]["geometry"], whole["geometry"]);
    assert_eq!(kept[1]["feature"], unreadable, "as it was sent");
    assert_eq!(kept[2]["feature"], nameless);
    assert_eq!(kept[3]["feature"], "nonsense");

    assert_eq!(rejected(&server, &[("globalId", &id(2))]).await, [kept[1].clone()]);
    assert_eq!(rejected(&server, &[("state", "dismissed")]).await, Vec::<Json>::new());
    assert_eq!(rejected(&server, &[("layer", "1")]).await, Vec::<Json>::new());
    assert_eq!(rejected(&server, &[("replicaID", &field.replica), ("state", "open")]).await.len(), 4);
    let page = good(server.get("rejectedEdits", &[("resultRecordCount", "1"), ("resultOffset", "2")]).await);
    assert_eq!((&page["rejectedEdits"], &page["exceededTransferLimit"]), (&json!([kept[2]]), &json!(true)));
    assert_eq!(good(server.get(&format!("rejectedEdits/{}", first["rejectedEditId"]), &[]).await), *first);
}

#[tokio::test]
async fn all_edits_of_an_upload_that_was_undone_are_kept_until_it_succeeds() {
    let server = with_rule().await;
    let mut field = Field::new(&server, &[]).await;
    let trees = |girth: i64| adds(&json!([tree(1, &json!({"girth": 5})), tree(2, &json!({"girth": girth}))]));
    for times in 1..4 {
        let (_, words) = error(&field.synchronize(&trees(-1), &[("rollbackOnFailure", "true")]).await);
        assert!(words.contains("1 of 2 edits failed"), "{words}");
        let kept = rejected(&server, &[]).await;
        let codes: Vec<&Json> = kept.iter().map(|one| &one["reason"]["code"]).collect();
        assert_eq!(codes, [1003, 1016]);
        assert_eq!(kept[0]["timesReceived"], times, "the same edit is kept once");
    }
    assert_eq!(stored(&server, 1, "girth").await, "none");
    good(field.synchronize(&trees(7), &[("rollbackOnFailure", "true")]).await);
    let kept = rejected(&server, &[]).await;
    assert!(kept.iter().all(|one| one["state"] == "applied" && one["closedBy"] == "client"), "{kept:?}");
}

#[tokio::test]
async fn a_later_edit_settles_a_refused_one_only_if_it_says_something_about_all_of_it() {
    let server = with_rule().await;
    let mut field = Field::new(&server, &[]).await;
    good(field.synchronize(&adds(&json!([tree(1, &json!({"girth": 1}))])), &[]).await);
    good(field.synchronize(&updates(&json!([tree(1, &json!({"girth": -1, "height": 2}))])), &[]).await);
    good(field.synchronize(&updates(&json!([tree(1, &json!({"species": "elm", "girth": 3}))])), &[]).await);
    assert_eq!(rejected(&server, &[("state", "open")]).await.len(), 1, "its height was never applied");
    good(field.synchronize(&updates(&json!([tree(1, &json!({"height": 4, "girth": 3}))])), &[]).await);
    assert_eq!(rejected(&server, &[("state", "open")]).await, Vec::<Json>::new());
    good(field.synchronize(&updates(&json!([tree(1, &json!({"girth": -1}))])), &[]).await);
    good(field.synchronize(&deletes(&json!([id(1)])), &[]).await);
    assert_eq!(
        rejected(&server, &[("state", "open")]).await,
        Vec::<Json>::new(),
        "the feature is gone by the client's own will"
    );
}

#[tokio::test]
async fn a_refused_edit_is_applied_as_it_was_or_corrected_and_reaches_its_device() {
    let server = with_rule().await;
    let mut field = Field::new(&server, &[]).await;
    let mut sent = tree(1, &json!({"species": "elm", "girth": -1}));
    sent["geometry"] = json!({"x": 1.0, "y": 2.0});
    good(field.synchronize(&adds(&json!([sent])), &[]).await);
    let number = rejected(&server, &[]).await[0]["rejectedEditId"].to_string();
    let apply = format!("rejectedEdits/{number}/apply");
    let refused = good(server.post(&apply, &[]).await);
    assert_eq!((&refused["success"], &refused["state"]), (&json!(false), &json!("open")));
    assert_eq!(refused["result"]["error"]["code"], 1016);
    let other = tree(2, &json!({"girth": 1})).to_string();
    let (_, words) = error(&server.post(&apply, &[("feature", &other)]).await);
    assert!(words.contains("the correction must be of the same feature"), "{words}");
    assert_eq!(error(&server.post(&apply, &[("feature", "{")]).await).0, 400);
    assert_eq!(stored(&server, 1, "girth").await, "none");

    sent["attributes"]["girth"] = json!(6);
    let applied = good(server.post(&apply, &[("feature", &sent.to_string())]).await);
    assert_eq!((&applied["success"], &applied["state"]), (&json!(true), &json!("applied")));
    assert_eq!(stored(&server, 1, "girth").await, "6");
    let one = good(server.get(&format!("rejectedEdits/{number}"), &[]).await);
    assert_eq!((&one["state"], &one["closedBy"]), (&json!("applied"), &json!("administrator")));
    let (_, words) = error(&server.post(&apply, &[]).await);
    assert!(words.contains("is applied; only open ones"), "{words}");
    let answer = good(field.synchronize(&json!([]), &[]).await);
    let features = &answer["edits"][0]["features"];
    let sent_down = features["adds"].as_array().unwrap().iter().chain(features["updates"].as_array().unwrap());
    assert_eq!(sent_down.map(|one| &one["attributes"]["girth"]).collect::<Vec<_>>(), [6], "{answer}");
}

#[tokio::test]
async fn f11_an_update_of_a_feature_that_is_gone_can_be_applied_by_putting_it_back() {
    let server = with_rule().await;
    server
        .database
        .sql(&format!(
            "insert into oak (globalid, species, girth, planted, shape) values
             ('{}', 'elm', 4, '2020-01-01 12:00:00.123456+00', ST_Point(1, 2, 3857))",
            id(1)
        ))
        .await;
    let object_id = stored(&server, 1, "objectid").await;
    let mut field = Field::new(&server, &[]).await;
    server.database.sql("delete from oak").await;
    let answer = good(field.synchronize(&updates(&json!([tree(1, &json!({"girth": 9}))])), &[]).await);
    assert_eq!(answer["edits"][0]["features"]["updateResults"][0]["error"]["code"], 1011);
    let kept = rejected(&server, &[]).await;
    assert_eq!(kept[0]["reason"]["code"], 1011);
    let applied = good(server.post(&format!("rejectedEdits/{}/apply", kept[0]["rejectedEditId"]), &[]).await);
    assert_eq!(applied["success"], true, "{applied}");
    for (attribute, value) in [
        ("species", "elm"),
        ("girth", "9"),
        ("objectid", &object_id),
        ("ST_AsText(shape)", "POINT(1 2)"),
        ("extract(microseconds from planted)::int", "123456"),
    ] {
        assert_eq!(stored(&server, 1, attribute).await, value, "{attribute}");
    }
    let answer = good(field.synchronize(&json!([]), &[]).await);
    assert_eq!(answer["edits"][0]["features"]["adds"][0]["attributes"]["girth"], 9, "{answer}");
}

#[tokio::test]
async fn a_dismissed_edit_is_kept_but_no_longer_open() {
    let server = with_rule().await;
    let mut field = Field::new(&server, &[]).await;
    let bad = adds(&json!([tree(1, &json!({"girth": -1}))]));
    good(field.synchronize(&bad, &[]).await);
    let number = rejected(&server, &[]).await[0]["rejectedEditId"].to_string();
    let dismissed = good(server.post(&format!("rejectedEdits/{number}/dismiss"), &[]).await);
    assert_eq!(dismissed["state"], "dismissed");
    assert_eq!(rejected(&server, &[("state", "open")]).await, Vec::<Json>::new());
    assert_eq!(rejected(&server, &[]).await.len(), 1);
    good(field.synchronize(&bad, &[]).await);
    assert_eq!(rejected(&server, &[("state", "open")]).await.len(), 1, "sent again it is a new one");
}

#[tokio::test]
async fn f40_edits_of_a_replica_that_is_gone_are_rescued() {
    let server = with_rule().await;
    let mut field = Field::new(&server, &[]).await;
    good(server.post("unRegisterReplica", &[("replicaID", &field.replica)]).await);
    let late = edits(
        &json!([tree(1, &json!({"species": "elm", "girth": 2})), json!({"attributes": {"x": 1}})]),
        &json!([]),
        &json!([id(7)]),
    );
    for _ in 0..2 {
        let answer = field.synchronize(&late, &[]).await;
        let (code, words) = error(&answer);
        assert_eq!((code, &answer["error"]["details"][0]), (400, &json!("Replica not found.")));
        for word in ["the 3 edits are kept", "create a new one", &format!("rejectedEdits?replicaID={}", field.replica)]
        {
            assert!(words.contains(word), "{word}: {words}");
        }
    }
    assert_eq!(server.features(0).await.len(), 0);
    let kept = rejected(&server, &[("replicaID", &field.replica)]).await;
    assert_eq!(kept.len(), 3);
    assert!(kept[0]["reason"]["description"].as_str().unwrap().contains("was unregistered"), "{kept:?}");
    let applied = good(server.post(&format!("rejectedEdits/{}/apply", kept[0]["rejectedEditId"]), &[]).await);
    assert_eq!(applied["success"], true);
    assert_eq!(stored(&server, 1, "species").await, "elm");

    let (_, words) = error(&field.synchronize(&json!([]), &[]).await);
    assert!(words.contains("Replica not found.") && !words.contains("kept"), "{words}");
    let (_, words) = error(&field.synchronize(&json!([{"id": 5, "features": {"adds": []}}]), &[]).await);
    assert!(words.contains("could not be read and are not kept"), "{words}");
    let stranger = "00000000-0000-4000-8000-000000000000".to_owned();
    let mut stranger = Field { server: &server, replica: stranger, generation: 1 };
    let (_, words) = error(&stranger.synchronize(&late, &[]).await);
    assert!(!words.contains("kept"), "a replica that never was has no books: {words}");
    assert_eq!(rejected(&server, &[]).await.len(), 3);
}

#[tokio::test]
async fn refused_edits_are_shown_to_maps() {
    let server = with_rule().await;
    let mut field = Field::new(&server, &[]).await;
    let mut here = tree(1, &json!({"species": "elm", "girth": -1}));
    here["geometry"] = json!({"x": 1_113_194.907_932_736, "y": 0, "spatialReference": {"wkid": 3857}});
    let mut nowhere = tree(2, &json!({"girth": -1}));
    nowhere["geometry"] = json!({"x": 1, "y": 1, "spatialReference": {"wkid": 998_877}});
    let ring = json!({"rings": [[[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]]], "spatialReference": {"wkid": 4326}});
    let polygon = json!({"attributes": {"globalid": id(3), "girth": -1}, "geometry": ring});
    good(field.synchronize(&edits(&json!([here, nowhere, polygon]), &json!([]), &json!(["nonsense"])), &[]).await);
    let answer = server.get("rejectedEdits", &[("f", "geojson")]).await;
    assert_eq!(answer["type"], "FeatureCollection", "{answer}");
    let kept = rejected(&server, &[]).await;
    let features = answer["features"].as_array().unwrap();
    assert_eq!(features.len(), kept.len());
    let of = |n: usize| {
        let place = kept.iter().position(|edit| edit["globalId"] == id(n).as_str()).unwrap();
        (&features[place], &kept[place])
    };
    let (first, known) = of(1);
    assert_eq!(first["geometry"], json!({"type": "Point", "coordinates": [10, 0]}));
    let properties = &first["properties"];
    assert_eq!((&properties["species"], &properties["girth"]), (&json!("elm"), &json!(-1)));
    assert_eq!(
        (&properties["rejected_edit"], &properties["rejected_state"]),
        (&known["rejectedEditId"], &json!("open"))
    );
    assert_eq!(properties["rejected_reason"], known["reason"]["description"]);
    assert_eq!(of(2).0["geometry"], Json::Null, "nobody knows where that is");
    assert_eq!(
        of(3).0["geometry"]["coordinates"],
        json!([[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]),
        "counter-clockwise"
    );
    let nonsense = features.iter().find(|feature| feature["properties"].get("girth").is_none()).unwrap();
    assert_eq!(nonsense["geometry"], Json::Null);
    let page = server.get("rejectedEdits", &[("f", "geojson"), ("resultRecordCount", "1")]).await;
    assert_eq!((page["features"].as_array().unwrap().len(), &page["exceededTransferLimit"]), (1, &json!(true)));
    let (_, words) = error(&server.get("conflicts", &[("f", "geojson")]).await);
    assert!(words.contains("f=json"), "{words}");
}
