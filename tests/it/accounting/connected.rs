//! The books of connected clients: receipts of every operation, what was refused, undoing, repetitions.

use axum::{
    body::Body,
    http::{Request, header},
};
use serde_json::{Value as Json, json};
use syncline::store::prune::Retention;

use super::{Field, good, id, stored, tree};
use crate::support::{
    TestServer,
    server::{encode, error, json as read_json},
};

const TRUNCATE: &str = "/arcgis/rest/admin/services/trees/FeatureServer/0/truncate";
const TOKEN: (&str, &str) = ("token", "a-token-of-an-administrator");
const SKIP: (&str, &str) = ("rollbackOnFailure", "false");
const BY_GLOBAL_ID: (&str, &str) = ("useGlobalIds", "true");

/// A server whose oaks must have a positive girth, with the oaks 1 to `n`.
async fn with_oaks(n: usize) -> TestServer {
    let mut server = TestServer::with_trees().await;
    server.configure(|config| config.admin_token = Some(TOKEN.1.to_owned()));
    server.app.store.enable_attachments("trees", syncline::model::id::LayerId(0)).await.unwrap();
    server
        .database
        .sql(&format!(
            "alter table oak add constraint stout check (girth > 0);
             insert into oak (globalid, species, girth) select ('aaaaaaaa-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'elm', n
             from generate_series(1, {n}) n"
        ))
        .await;
    server
}

/// The batches, the newest first.
async fn batches(server: &TestServer, parameters: &[(&str, &str)]) -> Vec<Json> {
    // Some are an administrator's.
    good(server.get("batches", &[parameters, &[TOKEN]].concat()).await)["batches"].as_array().unwrap().clone()
}

async fn newest(server: &TestServer) -> Json {
    let newest = batches(server, &[("resultRecordCount", "1")]).await.remove(0);
    good(server.get(&format!("batches/{}", newest["batchId"]), &[TOKEN]).await)
}

async fn rejected(server: &TestServer, parameters: &[(&str, &str)]) -> Vec<Json> {
    good(server.get("rejectedEdits", parameters).await)["rejectedEdits"].as_array().unwrap().clone()
}

/// What the receipts of a batch say: operation, whether it was applied.
fn outcomes(batch: &Json) -> Vec<(&str, bool)> {
    let receipts = batch["receipts"].as_array().unwrap_or_else(|| panic!("{batch}"));
    receipts.iter().map(|one| (one["operation"].as_str().unwrap(), one["success"] == true)).collect()
}

fn text(json: &Json) -> String {
    json.to_string()
}

#[tokio::test]
async fn g10_every_operation_of_a_connected_client_has_a_batch_and_every_edit_a_receipt() {
    let server = with_oaks(3).await;
    let replica = Field::new(&server, &[("replicaName", "Ada")]).await;
    let form = [
        ("f", "json"),
        ("adds", r#"[{"attributes":{"girth":7}},{"attributes":{"girth":-7}}]"#),
        ("updates", r#"[{"attributes":{"objectid":1,"girth":"wide"}},{"attributes":{"objectid":2,"girth":22}}]"#),
        ("deletes", "3,99"),
        SKIP,
    ];
    let request = Request::post("/arcgis/rest/services/trees/FeatureServer/0/applyEdits")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Body::from(encode(&form)))
        .unwrap();
    let response = server.send(request).await;
    let request_id = response.headers()["x-request-id"].to_str().unwrap().to_owned();
    let answer = good(read_json(response).await);
    let batch = newest(&server).await;
    assert_eq!((&batch["operation"], &batch["requestId"]), (&json!("applyEdits"), &json!(request_id)));
    assert_eq!((&batch["replicaID"], &batch["userName"], &batch["layers"]), (&Json::Null, &json!(""), &json!([0])));
    assert_eq!((&batch["applied"], &batch["refused"], &batch["byCondition"]), (&json!(3), &json!(3), &Json::Null));
    assert_eq!(batch["refusedByCode"], json!({"1011": 1, "1016": 2}));
    assert!(batch["serverGen"].as_i64().unwrap() > replica.generation && batch["receivedDate"].is_i64(), "{batch}");
    assert_eq!(
        outcomes(&batch),
        [("add", true), ("add", false), ("update", false), ("update", true), ("delete", true), ("delete", false)]
    );
    assert_eq!(batch["receipts"][0]["objectId"], answer["addResults"][0]["objectId"]);
    assert_eq!(batches(&server, &[("requestId", &request_id)]).await.len(), 1);

    let two = text(&json!([
        {"id": 0, "updates": [tree(1, &json!({"girth": 5}))], "deletes": [id(2)]},
        {"id": 1, "adds": [{"attributes": {"globalid": id(50), "note": "n"}}]}
    ]));
    good(server.post("applyEdits", &[("edits", &two), BY_GLOBAL_ID]).await);
    let batch = newest(&server).await;
    assert_eq!((&batch["layers"], &batch["appliedAdds"]), (&json!([0, 1]), &json!(1)));
    assert_eq!(outcomes(&batch), [("update", true), ("delete", true), ("add", true)]);
    for (path, parameters, operation) in [
        ("0/addFeatures", vec![("features", r#"[{"attributes":{"girth":1}}]"#)], "addFeatures"),
        ("0/updateFeatures", vec![("features", r#"[{"attributes":{"objectid":1,"girth":2}}]"#)], "updateFeatures"),
        ("0/deleteFeatures", vec![("objectIds", "1")], "deleteFeatures"),
        (
            "0/append",
            vec![
                ("edits", r#"{"layers":[{"featureSet":{"features":[{"attributes":{"girth":3}}]}}]}"#),
                ("appendUploadFormat", "featureCollection"),
                ("async", "false"),
            ],
            "append",
        ),
    ] {
        good(server.post(path, &parameters).await);
        let batch = newest(&server).await;
        assert_eq!((&batch["operation"], outcomes(&batch).len()), (&json!(operation), 1), "{batch}");
        let filtered = batches(&server, &[("operation", operation), ("connected", "true"), ("layer", "0")]).await;
        assert_eq!(filtered[0]["batchId"], batch["batchId"]);
    }
    assert_eq!(batches(&server, &[("connected", "false")]).await, Vec::<Json>::new());
    assert_eq!(batches(&server, &[("replicaID", &replica.replica)]).await, Vec::<Json>::new());
    // Of every change of the service, somebody is accountable.
    let strays = "select count(*) from syncline.txn t where t.generation > (select min(generation) from syncline.txn)
        and not exists (select from syncline.batch b where b.txn_id = t.txn_id)";
    assert_eq!(server.database.value::<i64>(strays).await, 0);

    // What asks for nothing, or cannot be read, is no edit.
    let n_batches = batches(&server, &[]).await.len();
    good(server.post("0/applyEdits", &[("adds", "[]")]).await);
    good(server.post("0/calculate", &[("where", "1=2"), ("calcExpression", r#"[{"field":"girth","value":1}]"#)]).await);
    error(&server.post("0/applyEdits", &[("adds", "{")]).await);
    assert_eq!(batches(&server, &[]).await.len(), n_batches);
}

#[tokio::test]
async fn changes_by_a_condition_are_accounted_for_row_by_row_as_long_as_the_history_is_kept() {
    let server = with_oaks(30).await;
    let set = [("where", "girth <= 20"), ("calcExpression", r#"[{"field":"species","value":"oak"}]"#)];
    good(server.post("0/calculate", &set).await);
    let batch = newest(&server).await;
    assert_eq!(
        (&batch["operation"], &batch["byCondition"], &batch["appliedUpdates"]),
        (&json!("calculate"), &json!({"operation": "update", "count": 20, "rowsKnown": true}), &json!(20))
    );
    assert_eq!(outcomes(&batch), vec![("update", true); 20]);
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.receipt").await, 0);
    let path = format!("batches/{}", batch["batchId"]);
    let page = good(server.get(&path, &[("resultOffset", "15"), ("resultRecordCount", "4")]).await);
    let of = |page: &Json| -> Vec<i64> {
        page["receipts"].as_array().unwrap().iter().map(|one| one["position"].as_i64().unwrap()).collect()
    };
    assert_eq!((of(&page), &page["exceededTransferLimit"]), (vec![16, 17, 18, 19], &json!(true)));
    assert_eq!(page["receipts"][0]["globalId"], id(16));
    let one = good(server.get(&path, &[("globalId", &id(3))]).await);
    assert_eq!((of(&one).len(), &one["receipts"][0]["globalId"]), (1, &json!(id(3))));
    assert_eq!(of(&good(server.get(&path, &[("outcome", "refused")]).await)), Vec::<i64>::new());

    // Of rows that cannot be deleted, each has a receipt and is kept.
    server
        .database
        .sql("create table nest (oak uuid references oak (globalid)); insert into nest select globalid from oak where girth in (4, 6)")
        .await;
    let answer = server.post("0/deleteFeatures", &[("where", "girth < 10"), SKIP]).await;
    assert_eq!(answer["success"], false, "{answer}");
    let batch = newest(&server).await;
    assert_eq!((&batch["byCondition"]["count"], &batch["refused"]), (&json!(7), &json!(2)), "{batch}");
    assert_eq!(of(&batch), (1..=9).collect::<Vec<_>>());
    assert_eq!(outcomes(&batch)[..3], [("delete", false), ("delete", false), ("delete", true)]);
    let kept = rejected(&server, &[("connected", "true")]).await;
    assert_eq!(kept.iter().map(|one| one["globalId"].as_str().unwrap()).collect::<Vec<_>>(), [id(4), id(6)]);
    server.database.sql("drop table nest").await;
    good(server.post(&format!("rejectedEdits/{}/apply", kept[0]["rejectedEditId"]), &[]).await);
    assert_eq!(stored(&server, 4, "girth").await, "none");

    good(server.post(TRUNCATE, &[TOKEN]).await);
    let batch = newest(&server).await;
    assert_eq!((&batch["operation"], &batch["byCondition"]["count"]), (&json!("truncate"), &json!(22)));
    server.database.sql("update syncline.txn set committed_at = committed_at - interval '100 days'").await;
    let keep = Retention { history_days: 90, receipts_days: 365, refused_days: 90 };
    server.app.store.prune(keep, false).await.unwrap();
    let batch = newest(&server).await;
    assert_eq!(batch["byCondition"], json!({"operation": "delete", "count": 22, "rowsKnown": false}));
    let (_, words) = error(&server.post(&format!("batches/{}/undo", batch["batchId"]), &[TOKEN]).await);
    assert!(words.contains("no longer kept"), "{words}");
}

#[tokio::test]
async fn g6_what_a_connected_client_was_refused_is_kept_whole_and_can_be_applied_corrected_or_dismissed() {
    let server = with_oaks(2).await;
    let bad =
        json!({"attributes": {"species": "yew \"é\"", "girth": -1, "globalid": ""}, "geometry": {"x": 1.0, "y": 2.0}});
    let unreadable = json!({"attributes": {"girth": "wide", "stranger": 5}});
    let update = json!({"attributes": {"objectid": 99, "species": "ash"}});
    let wrong = json!({"attributes": {"OBJECTID": 2, "girth": [1]}});
    let edits = [
        ("adds", text(&json!([bad, unreadable]))),
        ("updates", text(&json!([update, wrong]))),
        ("deletes", "98".to_owned()),
        ("rollbackOnFailure", "false".to_owned()),
    ];
    let edits: Vec<(&str, &str)> = edits.iter().map(|(name, value)| (*name, value.as_str())).collect();
    good(server.post("0/applyEdits", &edits).await);
    let kept = rejected(&server, &[("connected", "true"), ("state", "open")]).await;
    assert_eq!(kept.len(), 5);
    assert_eq!((&kept[0]["replicaID"], &kept[0]["sentBy"]), (&Json::Null, &json!("applyEdits")));
    let batch = newest(&server).await;
    assert_eq!((&kept[0]["batchId"], &kept[0]["requestId"]), (&batch["batchId"], &batch["requestId"]));
    let of = |code: i64, op: &str| {
        kept.iter()
            .find(|one| one["reason"]["code"] == code && one["operation"] == op)
            .unwrap_or_else(|| panic!("{kept:?}"))
    };
    let first = kept.iter().find(|one| one["feature"]["attributes"]["girth"] == -1).unwrap();
    assert_eq!(first["feature"]["attributes"]["species"], bad["attributes"]["species"]);
    assert_eq!(first["feature"]["geometry"]["x"], 1.0);
    assert!(kept.iter().any(|one| one["feature"] == unreadable), "as it was sent: {kept:?}");
    assert_eq!(of(1011, "update")["feature"], update);
    assert_eq!(of(1016, "update")["feature"], wrong);
    assert_eq!(of(1016, "update")["globalId"], id(2), "it was found by its object id");
    assert_eq!(of(1011, "delete")["feature"]["attributes"]["objectid"], 98);

    // Corrected without a global id, which its client never knew.
    let path = |one: &Json, what: &str| format!("rejectedEdits/{}/{what}", one["rejectedEditId"]);
    let (again, fixed) = (text(&bad), text(&json!({"attributes": {"species": "yew", "girth": 9}})));
    let refused = good(server.post(&path(first, "apply"), &[("feature", &again)]).await);
    assert_eq!((&refused["success"], &refused["state"]), (&json!(false), &json!("open")));
    let applied = good(server.post(&path(first, "apply"), &[("feature", &fixed)]).await);
    assert_eq!(applied["success"], true, "{applied}");
    assert_eq!(server.features(0).await.len(), 3);
    let fixed = r#"{"attributes":{"girth":77}}"#;
    good(server.post(&path(of(1016, "update"), "apply"), &[("feature", fixed)]).await);
    assert_eq!(stored(&server, 2, "girth").await, "77");
    good(server.post(&path(of(1011, "delete"), "dismiss"), &[]).await);
    let states: Vec<Json> = rejected(&server, &[]).await.iter().map(|one| one["state"].clone()).collect();
    assert_eq!(states.iter().filter(|state| *state == "open").count(), 2, "{states:?}");
    let map = read_json(server.fetch("rejectedEdits?f=geojson", &[]).await).await;
    assert_eq!(map["features"][0]["properties"]["rejected_replica"], Json::Null);
}

#[tokio::test]
async fn the_bytes_of_refused_attachments_are_kept() {
    let server = with_oaks(1).await;
    let file = |n: usize, parent: usize, kind: &str, data: &str| json!({"globalId": id(n), "parentGlobalId": id(parent), "name": "a.jpg", "contentType": kind, "data": data});
    let (orphan, odd) = (file(31, 2, "image/jpeg", "b3JwaGFu"), file(32, 1, "no type", "b2Rk"));
    let (broken, nowhere) =
        (file(33, 1, "image/jpeg", "%%"), json!({"globalId": id(34), "parentGlobalId": id(1), "uploadId": "i7"}));
    let edits = text(&json!({"adds": [orphan, odd, broken, nowhere]}));
    let answer = good(server.post("0/applyEdits", &[("attachments", &edits), BY_GLOBAL_ID, SKIP]).await);
    let results = answer["attachments"]["addResults"].as_array().unwrap_or_else(|| panic!("{answer}"));
    assert!(results.iter().all(|result| result["success"] == false), "{answer}");
    let kept = rejected(&server, &[]).await;
    assert_eq!(kept.len(), 4);
    let of = |n: usize| {
        &kept.iter().find(|one| one["globalId"] == id(n)).unwrap_or_else(|| panic!("{n}: {kept:?}"))["feature"]["attributes"]
    };
    assert_eq!((&of(32)["content_type"], &of(32)["parent_globalid"]), (&json!("no type"), &json!(id(1))));
    assert_eq!((&of(33)["data"], &of(34)["uploadId"]), (&json!("%%"), &json!("i7")));
    // Its feature comes, and it can be applied; the other is corrected, and names the file by what is kept.
    let number = |n: usize| kept.iter().find(|one| one["globalId"] == id(n)).unwrap()["rejectedEditId"].to_string();
    server.database.sql(&format!("insert into oak (globalid) values ('{}')", id(2))).await;
    let applied = good(server.post(&format!("rejectedEdits/{}/apply", number(31)), &[]).await);
    assert_eq!(applied["success"], true, "{applied}");
    let mut corrected = of(32).clone();
    corrected["content_type"] = json!("text/plain");
    let corrected = text(&json!({"attributes": corrected}));
    let applied = good(server.post(&format!("rejectedEdits/{}/apply", number(32)), &[("feature", &corrected)]).await);
    assert_eq!(applied["success"], true, "{applied}");
    for (feature, bytes) in [(1, "odd"), (2, "orphan")] {
        let listed = server.get(&format!("0/{feature}/attachments"), &[]).await;
        let path = format!("0/{feature}/attachments/{}", listed["attachmentInfos"][0]["id"]);
        assert_eq!(crate::support::server::text(server.fetch(&path, &[]).await).await, bytes, "{listed}");
    }

    // A form with a file for an attachment that is not there.
    let form = "--x\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\njson\r\n--x\r\nContent-Disposition: form-data; name=\"attachmentId\"\r\n\r\n99\r\n\
                --x\r\nContent-Disposition: form-data; name=\"attachment\"; filename=\"b.jpg\"\r\nContent-Type: image/jpeg\r\n\r\nmeow\r\n--x--\r\n";
    let response = server.post_body("0/1/updateAttachment", "multipart/form-data; boundary=x", form).await;
    assert_eq!(read_json(response).await["updateAttachmentResult"]["error"]["code"], 1009);
    let last = rejected(&server, &[]).await.pop().unwrap();
    assert_eq!((&last["sentBy"], &last["operation"]), (&json!("updateAttachment"), &json!("update")));
    let sha256 = "404cdd7bc109c432f8cc2443b45bcfe95980f5107215c645236e577929ac3e52";
    assert_eq!(
        (&last["feature"]["attributes"]["sha256"], &last["feature"]["attributes"]["size_bytes"]),
        (&json!(sha256), &json!(4)),
        "{last}"
    );
}

#[tokio::test]
async fn a_refused_feature_without_a_global_id_is_known_again_by_what_it_is() {
    let server = with_oaks(0).await;
    let twins = r#"[{"attributes":{"species":"a","girth":-1}},{"attributes":{"species":"a","girth":-1}},{"attributes":{"girth":3}}]"#;
    for times in 1..4 {
        let answer = good(server.post("0/addFeatures", &[("features", twins)]).await);
        assert_eq!(answer["addResults"][2]["error"]["code"], 1003, "{answer}");
        let kept = rejected(&server, &[]).await;
        assert_eq!(kept.len(), 3, "the twins are two features");
        assert!(kept.iter().all(|one| one["timesReceived"] == times && one["batchId"] == Json::Null), "{kept:?}");
    }
    assert_eq!(batches(&server, &[]).await, Vec::<Json>::new(), "nothing was applied");
    assert_eq!(server.features(0).await.len(), 0);
    // The rule goes, and the client tries again.
    server.database.sql("alter table oak drop constraint stout").await;
    good(server.post("0/addFeatures", &[("features", twins)]).await);
    let kept = rejected(&server, &[]).await;
    assert!(kept.iter().all(|one| one["state"] == "applied" && one["closedBy"] == "client"), "{kept:?}");

    // Who sends another edit of the same fields makes up for a refused one, whoever that was.
    server.database.sql("alter table oak add constraint stout check (girth > 0) not valid").await;
    let object_id = server.features(0).await[0]["attributes"]["objectid"].clone();
    let update = |girth: i64| text(&json!([{"attributes": {"objectid": object_id, "girth": girth}}]));
    good(server.post("0/updateFeatures", &[("features", &update(-5))]).await);
    assert_eq!(rejected(&server, &[("state", "open")]).await.len(), 1);
    good(server.post("0/updateFeatures", &[("features", &update(5))]).await);
    assert_eq!(rejected(&server, &[("state", "open")]).await.len(), 0);
}

#[tokio::test]
async fn a_request_that_violates_a_rule_at_its_end_is_kept() {
    let server = with_oaks(0).await;
    server.database.sql("alter table oak add constraint apart unique (species) deferrable initially deferred").await;
    let same = r#"[{"attributes":{"species":"a"}},{"attributes":{"species":"a"}}]"#;
    let (_, words) = error(&server.post("0/applyEdits", &[("adds", same), SKIP]).await);
    assert!(words.contains("checked at the end of a transaction"), "{words}");
    let kept = rejected(&server, &[]).await;
    assert_eq!((kept.len(), batches(&server, &[]).await.len()), (2, 0), "{kept:?}");
    let collection = format!(r#"{{"layers":[{{"featureSet":{{"features":{same}}}}}]}}"#);
    let parameters = [("edits", collection.as_str()), ("appendUploadFormat", "featureCollection"), ("async", "false")];
    error(&server.post("0/append", &parameters).await);
    assert!(rejected(&server, &[]).await.iter().all(|one| one["timesReceived"] == 2 && one["sentBy"] == "append"));
}

#[tokio::test]
async fn no_script_can_fill_the_disk_with_refused_edits() {
    let mut server = with_oaks(1).await;
    server.configure(|config| config.max_refused_edits = 3);
    let bad = |n: i64| text(&json!([{"attributes": {"girth": -n}}, {"attributes": {"girth": n}}]));
    for n in 1..=5 {
        let answer = good(server.post("0/applyEdits", &[("adds", &bad(n)), SKIP]).await);
        assert_eq!(answer["addResults"][0]["error"]["code"], 1016, "its client is told all the same: {answer}");
    }
    assert_eq!(rejected(&server, &[]).await.len(), 3);
    let listed = batches(&server, &[]).await;
    let n_not_kept: Vec<&Json> = listed.iter().map(|one| &one["refusedNotKept"]).collect();
    assert_eq!(n_not_kept, [1, 1, 0, 0, 0]);
    assert!(listed.iter().all(|one| one["refused"] == 1 && one["applied"] == 1), "{listed:?}");
    good(server.post("0/applyEdits", &[("adds", &bad(2)), SKIP]).await);
    assert_eq!(newest(&server).await["refusedNotKept"], 0, "one that is known needs no room");
    server.configure(|config| (config.max_refused_edits, config.max_refused_bytes) = (100, 400));
    let long = text(&json!([{"attributes": {"girth": -9, "stranger": "x".repeat(500), "species": ["x".repeat(500)]}}]));
    good(server.post("0/applyEdits", &[("adds", &long), SKIP]).await);
    assert_eq!(newest(&server).await["refusedNotKept"], 1);

    let prune = async |days: i32| {
        let keep = Retention { history_days: 90, receipts_days: 365, refused_days: 90 };
        let past = format!("interval '{days} days'");
        server
            .database
            .sql(&format!(
                "update syncline.rejected_edit set last_received_at = last_received_at - {past};
                 update syncline.batch set received_at = received_at - {past};
                 update syncline.txn set committed_at = committed_at - {past}"
            ))
            .await;
        server.app.store.prune(keep, false).await.unwrap()
    };
    assert_eq!(prune(80).await.unwrap()[0].n_refused, 0);
    assert_eq!(prune(20).await.unwrap()[0].n_refused, 3);
    assert_eq!(rejected(&server, &[]).await, Vec::<Json>::new());
    assert_eq!(batches(&server, &[]).await.len(), 7, "receipts are kept for longer");
    prune(300).await;
    // The youngest transaction is where the history begins.
    assert!(batches(&server, &[]).await.len() <= 1);
    assert!(server.database.value::<i64>("select count(*) from syncline.receipt").await <= 2);
}

#[tokio::test]
async fn what_a_connected_client_did_is_taken_back_as_a_change_that_reaches_everybody() {
    let server = with_oaks(6).await;
    let mut replica = Field::new(&server, &[]).await;
    let parameters = [
        ("adds", text(&json!([tree(7, &json!({"girth": 7}))]))),
        ("updates", text(&json!([tree(1, &json!({"girth": 11})), tree(2, &json!({"girth": 12}))]))),
        ("deletes", id(3)),
        ("useGlobalIds", "true".to_owned()),
    ];
    let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    good(server.post("0/applyEdits", &parameters).await);
    let path = format!("batches/{}/undo", newest(&server).await["batchId"]);
    good(
        server
            .post("0/calculate", &[("where", "girth = 12"), ("calcExpression", r#"[{"field":"girth","value":13}]"#)])
            .await,
    );
    let calculated = newest(&server).await;
    let preview = good(server.post(&path, &[("preview", "true")]).await);
    assert_eq!((&preview["undoneCount"], &preview["skippedCount"]), (&json!(3), &json!(1)), "{preview}");
    let undone = good(server.post(&path, &[]).await);
    assert_eq!(undone["undone"], preview["undone"]);
    let changed = &undone["skipped"][0]["changedSince"];
    assert_eq!((&changed["batchId"], &changed["operation"]), (&calculated["batchId"], &json!("calculate")));
    for (n, girth) in [(1, "1"), (2, "13"), (3, "3"), (7, "none")] {
        assert_eq!(stored(&server, n, "girth").await, girth, "{n}");
    }
    good(replica.synchronize(&json!([]), &[]).await);

    good(server.post(TRUNCATE, &[TOKEN]).await);
    let path = format!("batches/{}/undo", newest(&server).await["batchId"]);
    let undone = good(server.post(&path, &[TOKEN]).await);
    assert_eq!((&undone["success"], &undone["undoneCount"]), (&json!(true), &json!(6)));
    assert_eq!((server.features(0).await.len(), stored(&server, 5, "girth").await), (6, "5".to_owned()));
    let listed = batches(&server, &[]).await;
    assert!(listed[0]["undoneDate"].is_i64(), "{listed:?}");
    let answer = good(replica.synchronize(&json!([]), &[]).await);
    assert_eq!(answer["edits"][0]["features"]["deleteIds"], json!([]), "{answer}");
    let (_, words) = error(&server.post(&format!("replicas/{}/batches/1/undo", replica.replica), &[]).await);
    assert!(words.contains("Upload 1 not found"), "it is not the replica's: {words}");
}

#[tokio::test]
async fn why_a_feature_did_not_arrive_is_also_explained_by_connected_edits() {
    let server = with_oaks(2).await;
    let replica = Field::new(&server, &[("layerQueries", r#"{"0":{"where":"girth < 10"}}"#)]).await;
    let update = |n: usize, girth: i64| text(&json!([tree(n, &json!({"girth": girth}))]));
    good(server.post("0/updateFeatures", &[("features", &update(1, 11)), BY_GLOBAL_ID]).await);
    let batch = newest(&server).await["batchId"].clone();
    good(server.post("0/updateFeatures", &[("features", &update(2, -1)), BY_GLOBAL_ID]).await);
    let explain = async |n: usize| {
        let path = format!("replicas/{}/explain", replica.replica);
        good(server.get(&path, &[("layer", "0"), ("globalId", &id(n))]).await)
    };
    let answer = explain(1).await;
    assert_eq!(answer["connectedEdits"][0]["batchId"], batch);
    assert_eq!(
        (&answer["firstChangeSince"]["batchId"], &answer["connectedEdits"][0]["operation"]),
        (&batch, &json!("update"))
    );
    let reasons = answer["reasons"].to_string();
    for words in [
        format!("by a connected client (updateFeatures, batch {batch})"),
        format!("The last edit of it by a connected client was the update in batch {batch} (updateFeatures)."),
    ] {
        assert!(reasons.contains(&words), "{words}: {reasons}");
    }
    let answer = explain(2).await;
    assert_eq!(answer["rejectedEdits"][0]["sentBy"], "updateFeatures");
    assert!(answer["reasons"].to_string().contains("1 refused edits of it are open"), "{answer}");
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_answer_and_leaves_nothing() {
    let server = with_oaks(3).await;
    let (adds, updates) =
        (text(&json!([tree(7, &json!({"girth": 7}))])), text(&json!([tree(1, &json!({"girth": 9}))])));
    let (deletes, open) = (id(2), text(&json!([tree(3, &json!({"species": "open"}))])));
    let whole = [
        ("adds", adds.as_str()),
        ("updates", &updates),
        ("deletes", &deletes),
        BY_GLOBAL_ID,
        ("returnEditMoment", "true"),
    ];
    let first = good(server.post("0/applyEdits", &whole).await);
    assert!(first["deleteResults"][0]["objectId"].is_i64(), "{first}");
    let generations = "select count(*) from syncline.txn";
    let n_generations: i64 = server.database.value(generations).await;
    for _ in 0..3 {
        assert_eq!(good(server.post("0/applyEdits", &whole).await), first);
    }
    assert_eq!(batches(&server, &[]).await.len(), 1);
    assert_eq!(server.database.value::<i64>(generations).await, n_generations, "nothing goes to replicas again");

    // Open, closed, and open again are three edits.
    let closed = text(&json!([tree(3, &json!({"species": "closed"}))]));
    for features in [&open, &closed, &open] {
        good(server.post("0/updateFeatures", &[("features", features), BY_GLOBAL_ID]).await);
    }
    assert_eq!(stored(&server, 3, "species").await, "open");
    assert_eq!(batches(&server, &[]).await.len(), 4);
    // So they are if somebody else closed it.
    server.database.sql(&format!("update oak set species = 'closed' where globalid = '{}'", id(3))).await;
    good(server.post("0/updateFeatures", &[("features", &open), BY_GLOBAL_ID]).await);
    assert_eq!(stored(&server, 3, "species").await, "open");
    // What was undone is meant anew.
    let path = format!("batches/{}/undo", newest(&server).await["batchId"]);
    good(server.post(&path, &[]).await);
    good(server.post("0/updateFeatures", &[("features", &open), BY_GLOBAL_ID]).await);
    assert_eq!(stored(&server, 3, "species").await, "open");
    // What was refused in part is tried again.
    let partly = text(&json!([tree(8, &json!({"girth": 8})), tree(9, &json!({"girth": -9}))]));
    for success in [false, true] {
        let answer = good(server.post("0/applyEdits", &[("adds", &partly), BY_GLOBAL_ID, SKIP]).await);
        assert_eq!(answer["addResults"][1]["success"], success, "{answer}");
        server.database.sql("alter table oak drop constraint if exists stout").await;
    }
    // Nobody guesses where features came without global ids.
    for n in 1..=2 {
        good(server.post("0/addFeatures", &[("features", r#"[{"attributes":{"species":"same"}}]"#)]).await);
        let same = "select count(*) from oak where species = 'same'";
        assert_eq!(server.database.value::<i64>(same).await, n);
    }
}

#[tokio::test]
async fn edits_and_their_receipts_are_there_together_or_not_at_all() {
    let server = with_oaks(2).await;
    server
        .database
        .sql(
            "create function no_receipts() returns trigger language plpgsql as $$ begin raise exception 'the disk is full'; end $$;
             create trigger no_receipts before insert on syncline.receipt for each statement execute function no_receipts();
             create trigger no_receipts before update on syncline.batch for each statement execute function no_receipts()",
        )
        .await;
    let state =
        "select (select json_agg(o order by objectid) from oak o)::text || (select count(*) from syncline.batch)
        || (select count(*) from syncline.rejected_edit) || (select max(generation) from syncline.txn)";
    let before: String = server.database.value(state).await;
    for (path, parameters) in [
        ("0/applyEdits", vec![("adds", r#"[{"attributes":{"girth":1}},{"attributes":{"girth":-1}}]"#), SKIP]),
        ("0/deleteFeatures", vec![("objectIds", "1")]),
        ("0/deleteFeatures", vec![("where", "1=1")]),
        ("0/calculate", vec![("where", "1=1"), ("calcExpression", r#"[{"field":"girth","value":5}]"#)]),
        (TRUNCATE, vec![TOKEN]),
    ] {
        assert_eq!(error(&server.post(path, &parameters).await).0, 500, "{path}");
        assert_eq!(server.database.value::<String>(state).await, before, "{path}");
    }
}

#[tokio::test]
async fn a_connection_that_ends_between_edits_and_receipts_leaves_neither() {
    let server = with_oaks(1).await;
    let mut other = server.database.connect().await;
    sqlx::raw_sql("begin; lock table syncline.receipt in share mode").execute(&mut other).await.unwrap();
    let editing = server.post("0/applyEdits", &[("adds", r#"[{"attributes":{"girth":5}}]"#)]);
    let ending = async {
        let waits = "pid in (select a.pid from pg_stat_activity a where a.datname = current_database() and a.wait_event_type = 'Lock'
            and a.query like '%connected_insert%')";
        server.database.until(&format!("select exists (select from pg_stat_activity where {waits})")).await;
        server.database.sql(&format!("select pg_terminate_backend(pid) from pg_stat_activity where {waits}")).await;
    };
    let (answer, ()) = tokio::join!(editing, ending);
    error(&answer);
    sqlx::raw_sql("rollback").execute(&mut other).await.unwrap();
    assert_eq!(server.features(0).await.len(), 1);
    assert_eq!(batches(&server, &[]).await, Vec::<Json>::new());
    good(server.post("0/applyEdits", &[("adds", r#"[{"attributes":{"girth":5}}]"#)]).await);
    assert_eq!(outcomes(&newest(&server).await), [("add", true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_connected_clients_are_in_the_books_under_their_own_ids() {
    let server = with_oaks(2).await;
    let jobs = server.run_jobs();
    let edits = [("adds", r#"[{"attributes":{"girth":5}},{"attributes":{"girth":-5}}]"#), ("async", "true")];
    let ended = async |submitted: Json| {
        let url = submitted["statusUrl"].as_str().unwrap_or_else(|| panic!("{submitted}")).to_owned();
        let path = url.strip_prefix("http://test:80").unwrap().to_owned();
        loop {
            let status = server.get(&path, &[]).await;
            if !["Pending", "InProgress"].contains(&status["status"].as_str().unwrap_or_default()) {
                return (path.rsplit('/').next().unwrap().to_owned(), status);
            }
            tokio::task::yield_now().await;
        }
    };
    let (job, status) = ended(server.post("0/applyEdits", &[&edits[..], &[SKIP]].concat()).await).await;
    assert_eq!(status["status"], "CompletedWithErrors", "{status}");
    let batch = newest(&server).await;
    assert_eq!((&batch["requestId"], outcomes(&batch)), (&json!(job), vec![("add", true), ("add", false)]));
    assert_eq!(rejected(&server, &[]).await[0]["requestId"], json!(job));
    let (job, status) = ended(server.post("0/applyEdits", &edits).await).await;
    assert_eq!(status["status"], "CompletedWithErrors", "{status}");
    let kept = rejected(&server, &[]).await;
    assert_eq!((kept.len(), &kept[1]["requestId"]), (2, &json!(job)), "{kept:?}");
    assert_eq!(batches(&server, &[]).await.len(), 1, "the second was undone as a whole");
    let collection = r#"{"layers":[{"featureSet":{"features":[{"attributes":{"girth":3}}]}}]}"#;
    let (job, status) =
        ended(server.post("0/append", &[("edits", collection), ("appendUploadFormat", "featureCollection")]).await)
            .await;
    assert_eq!(status["status"], "Completed", "{status}");
    let batch = newest(&server).await;
    assert_eq!((&batch["operation"], &batch["requestId"]), (&json!("append"), &json!(job)));
    drop(jobs);
}
