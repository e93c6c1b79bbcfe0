//! Rows of others: who sees them, and who may change them, by every way there is.

use serde_json::{Value as Json, json};

use super::{EMBEDDED, add, closed, code, create, define, get_as, id, ownership, post_as, species, synchronize, token};
use crate::support::TestServer;

/// The codes of refused edits in an answer of applyEdits, 0 for applied ones.
fn codes(answer: &Json) -> Vec<i64> {
    let results = ["addResults", "updateResults", "deleteResults"].map(|name| answer[name].as_array().cloned());
    let of = |result: &Json| match result["success"] == true {
        true => 0,
        false => result["error"]["code"].as_i64().unwrap(),
    };
    results.into_iter().flatten().flatten().map(|result| of(&result)).collect()
}

async fn apply(server: &TestServer, user: &str, list: &str, edits: Json) -> Vec<i64> {
    let given = [(list, &*edits.to_string()), ("useGlobalIds", "true"), ("rollbackOnFailure", "false")];
    let answer = post_as(server, &token(user), "0/applyEdits", &given).await;
    assert_eq!(code(&answer), 200, "{answer}");
    codes(&answer)
}

#[tokio::test]
async fn who_edits_is_entered_by_the_server_whatever_the_way() {
    let server = closed().await;
    add(&server, "ann", 1, &["oak"]).await;
    let row = async || -> (String, String) {
        (
            server.database.value("select maker from oak where globalid::text like '%1'").await,
            server.database.value("select changer from oak where globalid::text like '%1'").await,
        )
    };
    assert_eq!(row().await, ("ann".to_owned(), "ann".to_owned()));
    assert_eq!(
        apply(&server, "bob", "updates", json!([{"attributes": {"globalid": id(1), "girth": 3, "maker": "bob"}}]))
            .await,
        [0]
    );
    assert_eq!(row().await, ("ann".to_owned(), "bob".to_owned()), "nobody says themselves who made it");
    let replica = create(&server, "ann", &[]).await;
    let update = json!({"updates": [{"attributes": {"globalid": id(1), "girth": 4}}]});
    assert_eq!(code(&synchronize(&server, "ann", &replica, Some(update)).await), 200);
    assert_eq!(row().await, ("ann".to_owned(), "ann".to_owned()));
    let set = [("where", "1=1"), ("calcExpression", r#"[{"field":"girth","value":5}]"#)];
    assert_eq!(post_as(&server, &token("bob"), "0/calculate", &set).await["updatedFeatureCount"], 1);
    assert_eq!(row().await, ("ann".to_owned(), "bob".to_owned()));
    let batches = get_as(&server, &token("boss"), "batches", &[]).await;
    let users: Vec<&str> =
        batches["batches"].as_array().unwrap().iter().map(|batch| batch["userName"].as_str().unwrap()).collect();
    assert_eq!(users, ["bob", "ann", "bob", "ann"], "the books know it, too: {batches}");
}

#[tokio::test]
async fn s18_nobody_says_who_made_a_row_by_calling_themselves_a_server() {
    let server = closed().await;
    add(&server, "boss", 1, &["oak"]).await;
    let between = [("layers", "0"), EMBEDDED, ("targetType", "server"), ("syncDirection", "bidirectional")];
    let refused = post_as(&server, &token("ann"), "createReplica", &between).await;
    assert_eq!(code(&refused), 403, "{refused}");
    assert!(refused["error"]["message"].as_str().unwrap().contains("who edited a row"), "{refused}");
    // What one takes away alone is no danger; nor is what somebody brings who manages the service.
    let taken = [("layers", "0"), EMBEDDED, ("targetType", "server"), ("syncDirection", "download")];
    assert_eq!(code(&post_as(&server, &token("ann"), "createReplica", &taken).await), 200);
    let replica = post_as(&server, &token("boss"), "createReplica", &between).await;
    server.database.sql("update syncline.replica set owner = 'ann'").await;
    let forged = json!({"adds": [{"attributes": {"globalid": id(5), "species": "fir", "maker": "boss"}}]});
    let refused = synchronize(&server, "ann", &replica, Some(forged)).await;
    assert_eq!(code(&refused), 403, "{refused}");
    assert_eq!(server.database.value::<i64>("select count(*) from oak where species = 'fir'").await, 0);
    assert_eq!(code(&synchronize(&server, "ann", &replica, None).await), 200);
}

#[tokio::test]
async fn documents_say_what_depends_on_who_owns_a_row() {
    let server = closed().await;
    let layer = async || get_as(&server, &token("ann"), "0", &[]).await;
    assert_eq!(layer().await["ownershipBasedAccessControlForFeatures"], Json::Null);
    define(&server, ownership(true, false, false)).await;
    let told = layer().await["ownershipBasedAccessControlForFeatures"].clone();
    assert_eq!(told["allowOthersToQuery"], true);
    assert_eq!(told["allowOthersToUpdate"], false);
    assert_eq!(told["allowAnonymousToDelete"], false);
    let service = get_as(&server, &token("ann"), "", &[]).await;
    assert_eq!(service["editorTrackingInfo"]["enableOwnershipAccessControl"], true);
    assert_eq!(service["editorTrackingInfo"]["allowOthersToDelete"], false);
    assert_eq!(layer().await.get("rowAccess"), None, "who sees which rows is the administrators' business");
}

#[tokio::test]
async fn rules_that_cannot_be_followed_are_refused_by_name() {
    let server = closed().await;
    let path = "/arcgis/rest/admin/services/trees/FeatureServer/0/updateDefinition";
    for (given, expected) in [
        (json!({"editFieldsInfo": null, "ownershipBasedAccessControlForFeatures": {}}), "creatorField"),
        (json!({"rowAccess": [{"role": "crew", "where": "distrikt = 'N'"}]}), "distrikt"),
        (json!({"rowAccess": [{"where": "species = 'oak'"}]}), "exactly one"),
        (json!({"rowAccess": [{"role": "crew", "user": "ann"}]}), "exactly one"),
        (json!({"rowAccess": [{"role": "crew", "where": "planted > CURRENT_TIMESTAMP"}]}), "fixed date"),
        (json!({"rowAccess": [{"rolle": "crew"}]}), "rolle"),
        (json!({"ownershipBasedAccessControlForFeatures": {"allowOthersToFly": false}}), "allowOthersToFly"),
    ] {
        let answer = post_as(&server, &token("boss"), path, &[("updateDefinition", &given.to_string())]).await;
        assert_eq!(code(&answer), 400, "{given}: {answer}");
        assert!(answer["error"].to_string().contains(expected), "{given}: {answer}");
    }
}

#[tokio::test]
async fn rows_that_one_may_not_see_are_in_no_answer() {
    let server = closed().await;
    add(&server, "ann", 1, &["ash", "elm"]).await;
    add(&server, "bob", 11, &["fir"]).await;
    let before =
        post_as(&server, &token("bob"), "createReplica", &[("layers", "0"), EMBEDDED, ("syncModel", "none")]).await;
    assert_eq!(before["layers"][0]["features"].as_array().unwrap().len(), 3);
    define(&server, ownership(false, false, false)).await;
    assert_eq!(species(&server, "ann").await, ["ash", "elm"]);
    assert_eq!(species(&server, "bob").await, ["fir"]);
    assert_eq!(species(&server, "vera").await, Vec::<String>::new());
    assert_eq!(species(&server, "boss").await, ["ash", "elm", "fir"]);

    let bob = token("bob");
    let ask = async |path: &str, given: &[(&str, &str)]| {
        get_as(&server, &bob, path, &[&[("where", "1=1")], given].concat()).await
    };
    assert_eq!(ask("0/query", &[("returnCountOnly", "true")]).await["count"], 1);
    assert_eq!(ask("0/query", &[("returnIdsOnly", "true")]).await["objectIds"].as_array().unwrap().len(), 1);
    assert_eq!(ask("0/query", &[("returnExtentOnly", "true")]).await["extent"]["xmin"], 11.0);
    let statistics = r#"[{"statisticType":"count","onStatisticField":"species","outStatisticFieldName":"n"}]"#;
    assert_eq!(ask("0/query", &[("outStatistics", statistics)]).await["features"][0]["attributes"]["n"], 1);
    let distinct =
        ask("0/query", &[("returnDistinctValues", "true"), ("outFields", "species"), ("returnGeometry", "false")])
            .await;
    assert_eq!(distinct["features"].as_array().unwrap().len(), 1, "{distinct}");
    assert_eq!(ask("0/query", &[("globalIds", &id(1)), ("returnCountOnly", "true")]).await["count"], 0);
    let all = ask("query", &[("layerDefs", r#"{"0":"1=1"}"#)]).await;
    assert_eq!(all["layers"][0]["features"].as_array().unwrap().len(), 1, "{all}");
    let object_id: i32 =
        server.database.value("select objectid from oak where globalid::text like '%1' and species = 'ash'").await;
    let hidden = ask(&format!("0/{object_id}"), &[]).await;
    let nothing = ask("0/987654", &[]).await;
    assert_eq!(
        hidden.to_string().replace(&object_id.to_string(), "N"),
        nothing.to_string().replace("987654", "N"),
        "as if it were not there"
    );
    let moment: i64 = server
        .database
        .value("select (extract(epoch from max(committed_at)) * 1000)::int8 + 5 from syncline.txn")
        .await;
    assert_eq!(
        ask("0/query", &[("historicMoment", &moment.to_string()), ("returnCountOnly", "true")]).await["count"],
        1
    );
    let service = get_as(&server, &bob, "", &[]).await;
    let oldest = service["changeTrackingInfo"]["layerServerGens"][0]["minServerGen"].to_string();
    let changes = post_as(
        &server,
        &bob,
        "extractChanges",
        &[
            ("layers", "0"),
            ("serverGens", &*oldest),
            ("returnInserts", "true"),
            ("returnUpdates", "true"),
            ("returnDeletes", "true"),
            EMBEDDED,
        ],
    )
    .await;
    assert_eq!(changes["edits"][0]["features"]["adds"].as_array().map(Vec::len), Some(1), "{changes}");
    for model in ["none", "perReplica"] {
        let made = create(&server, "bob", &[("syncModel", model)]).await;
        assert_eq!(made["layers"][0]["features"].as_array().unwrap().len(), 1, "{made}");
    }
    let file = create(&server, "bob", &[("syncModel", "none"), ("dataFormat", "geoPackage")]).await;
    assert!(file["URL"].is_string(), "{file}");
}

#[tokio::test]
async fn rows_of_others_are_changed_by_nobody_else_in_any_way() {
    let server = closed().await;
    add(&server, "ann", 1, &["ash", "elm"]).await;
    add(&server, "bob", 11, &["fir"]).await;
    define(&server, ownership(true, false, false)).await;
    let update = |number: u32| json!([{"attributes": {"globalid": id(number), "girth": 9}}]);
    assert_eq!(apply(&server, "bob", "updates", update(1)).await, [1007]);
    assert_eq!(apply(&server, "bob", "updates", update(11)).await, [0]);
    assert_eq!(apply(&server, "bob", "adds", update(1)).await, [1007], "an add of what is there changes it");
    assert_eq!(apply(&server, "bob", "deletes", json!([id(2)])).await, [1007]);
    assert_eq!(apply(&server, "boss", "updates", update(2)).await, [0], "who manages the service may");
    let deleted = post_as(&server, &token("bob"), "0/deleteFeatures", &[("where", "species <> 'fir'")]).await;
    assert!(deleted["error"]["message"].as_str().unwrap().contains("rolled back"), "{deleted}");
    let set = [("where", "1=1"), ("calcExpression", r#"[{"field":"girth","value":5}]"#)];
    let set = post_as(&server, &token("bob"), "0/calculate", &set).await;
    assert_eq!(code(&set), 403, "{set}");
    let replica = create(&server, "bob", &[]).await;
    let edits = json!({"updates": update(1), "deleteIds": [id(2)], "adds": [{"attributes": {"globalid": id(12), "species": "yew"}}]});
    let answer = synchronize(&server, "bob", &replica, Some(edits)).await;
    let features = &answer["edits"][0]["features"];
    assert_eq!(features["updateResults"][0]["error"]["code"], 1007, "{answer}");
    assert_eq!(features["deleteResults"][0]["error"]["code"], 1007, "{answer}");
    assert_eq!(species(&server, "boss").await, ["ash", "elm", "fir", "yew"]);
    let open = get_as(
        &server,
        &token("bob"),
        "rejectedEdits",
        &[("state", "open"), ("replicaID", replica["replicaID"].as_str().unwrap())],
    )
    .await;
    let open = open["rejectedEdits"].as_array().unwrap_or_else(|| panic!("{open}")).clone();
    assert_eq!(open.len(), 2, "kept for somebody who may apply them");
    let number = &open[0]["rejectedEditId"];
    let apply_as =
        async |user: &str| post_as(&server, &token(user), &format!("rejectedEdits/{number}/apply"), &[]).await;
    let refused = apply_as("bob").await;
    assert!(refused.to_string().contains("1007"), "{refused}");
    assert_eq!(apply_as("boss").await["success"], true);
    // Undoing is editing.
    let batches = get_as(&server, &token("boss"), "batches", &[]).await["batches"].clone();
    let of_bob = batches.as_array().unwrap().iter().find(|batch| batch["userName"] == "bob").unwrap().clone();
    let undo = post_as(&server, &token("ann"), &format!("batches/{}/undo", of_bob["batchId"]), &[]).await;
    assert_eq!(code(&undo), 404, "somebody else's batch is not there: {undo}");
}

#[tokio::test]
async fn what_one_may_not_see_cannot_be_told_from_what_is_not_there() {
    let server = closed().await;
    add(&server, "ann", 1, &["ash"]).await;
    define(&server, ownership(false, false, false)).await;
    let object_id: i32 = server.database.value("select objectid from oak").await;
    let update = async |object_id: i32| {
        let features = json!([{"attributes": {"objectid": object_id, "girth": 1}}]).to_string();
        let answer = post_as(
            &server,
            &token("bob"),
            "0/updateFeatures",
            &[("features", &features), ("rollbackOnFailure", "false")],
        )
        .await;
        answer.to_string().replace(&format!("\"objectId\":{object_id},"), "").replace(&format!("id {object_id} "), "")
    };
    assert_eq!(update(object_id).await, update(98_765).await);
    assert_eq!(
        apply(&server, "bob", "updates", json!([{"attributes": {"globalid": id(1), "girth": 9}}])).await,
        [1011]
    );
    assert_eq!(apply(&server, "bob", "deletes", json!([id(1)])).await, [1011], "and it is not said to be deleted");
    assert_eq!(species(&server, "ann").await, ["ash"]);
}

#[tokio::test]
async fn attachments_are_their_features_owners() {
    let server = closed().await;
    server.app.store.enable_attachments("trees", syncline::model::id::LayerId(0)).await.unwrap();
    add(&server, "ann", 1, &["ash"]).await;
    let attachment = json!({"adds": [{
        "globalId": id(50), "parentGlobalId": id(1), "contentType": "text/plain", "name": "a.txt", "data": "YQ==",
    }]});
    let attach = async |user: &str, attachments: &Json| {
        let given =
            [("attachments", &*attachments.to_string()), ("useGlobalIds", "true"), ("rollbackOnFailure", "false")];
        post_as(&server, &token(user), "0/applyEdits", &given).await
    };
    let done = attach("ann", &attachment).await;
    assert_eq!(done["attachments"]["addResults"][0]["success"], true, "{done}");
    let object_id: i32 = server.database.value("select objectid from oak").await;
    let listed = async |user: &str| get_as(&server, &token(user), &format!("0/{object_id}/attachments"), &[]).await;
    let queried = async |user: &str| {
        get_as(&server, &token(user), "0/queryAttachments", &[("definitionExpression", "1=1")]).await["attachmentGroups"].clone()
    };
    define(&server, ownership(true, false, false)).await;
    assert_eq!(listed("bob").await["attachmentInfos"].as_array().unwrap().len(), 1);
    let number = listed("bob").await["attachmentInfos"][0]["id"].clone();
    let another = json!({"adds": [{
        "globalId": id(51), "parentGlobalId": id(1), "contentType": "text/plain", "name": "b.txt", "data": "Yg==",
    }], "deletes": [id(50)]});
    let refused = attach("bob", &another).await;
    assert_eq!(refused["attachments"]["addResults"][0]["error"]["code"], 1007, "{refused}");
    assert_eq!(refused["attachments"]["deleteResults"][0]["error"]["code"], 1007, "{refused}");
    define(&server, ownership(false, false, false)).await;
    assert_eq!(code(&listed("bob").await), 404);
    assert_eq!(queried("bob").await, json!([]));
    assert_eq!(queried("ann").await.as_array().unwrap().len(), 1);
    for path in [format!("0/{object_id}/attachments/{number}"), format!("0/attachments/{number}")] {
        assert_eq!(code(&get_as(&server, &token("bob"), &path, &[]).await), 404, "{path}");
    }
}

#[tokio::test]
async fn crews_see_their_districts() {
    let server = closed().await;
    super::enter_user(&server, "nora", &["north"]).await;
    super::enter_user(&server, "nils", &["north", "south"]).await;
    add(&server, "boss", 1, &["n ash", "s elm", "w fir"]).await;
    define(
        &server,
        json!({"rowAccess": [
            {"role": "north", "where": "species LIKE 'n%'"},
            {"role": "south", "where": "species LIKE 's%'"},
            {"user": "Bob"},
            {"user": "ann", "where": "maker = CURRENT_USER"},
        ]}),
    )
    .await;
    add(&server, "ann", 10, &["own"]).await;
    assert_eq!(species(&server, "nora").await, ["n ash"]);
    assert_eq!(species(&server, "nils").await, ["n ash", "s elm"]);
    assert_eq!(species(&server, "bob").await, ["n ash", "own", "s elm", "w fir"]);
    assert_eq!(species(&server, "ann").await, ["own"]);
    assert_eq!(species(&server, "vera").await, Vec::<String>::new(), "of whom no rule speaks sees nothing");
    assert_eq!(
        apply(&server, "nora", "updates", json!([{"attributes": {"globalid": id(2), "girth": 9}}])).await,
        [1011]
    );
    assert_eq!(apply(&server, "nora", "updates", json!([{"attributes": {"globalid": id(1), "girth": 9}}])).await, [0]);
}
