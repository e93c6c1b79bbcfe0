//! Who edited a row and when, which the server fills in.

use serde_json::{Value as Json, json};

use super::{EMBEDDED, apply, change, create, id, synchronize, with_admin};
use crate::support::{TestServer, server};

async fn with_tracking() -> TestServer {
    let server = with_admin().await;
    server
        .database
        .sql("alter table oak add made timestamptz, add maker text, add changed timestamp, add changer varchar(100)")
        .await;
    server.app.store.repair("trees", syncline::model::id::LayerId(0), false).await.unwrap();
    let named = json!({"creationDateField": "made", "creatorField": "maker", "editDateField": "changed", "editorField": "changer"});
    change(&server, "0/updateDefinition", json!({"editFieldsInfo": named})).await;
    server
}

async fn row(server: &TestServer) -> Json {
    server.features(0).await[0]["attributes"].clone()
}

#[tokio::test]
async fn the_server_fills_in_who_edited_and_when_and_clients_cannot() {
    let server = with_tracking().await;
    let layer = server.get("0", &[]).await;
    assert_eq!(layer["editFieldsInfo"]["editorField"], "changer");
    let editable = |name: &str| {
        layer["fields"].as_array().unwrap().iter().find(|field| field["name"] == name).unwrap()["editable"].clone()
    };
    assert_eq!((editable("made"), editable("species")), (json!(false), json!(true)));
    assert_eq!(server.get("", &[]).await["editorTrackingInfo"]["enableEditorTracking"], true);

    let add = json!([{"attributes": {"species": "oak", "maker": "Somebody", "made": 5}}]);
    assert_eq!(apply(&server, "adds", &add).await, [""]);
    let added = row(&server).await;
    assert_eq!((&added["maker"], &added["changer"]), (&json!(""), &json!("")));
    let made = added["made"].as_i64().unwrap();
    assert!(made > 1_600_000_000_000, "a client cannot set it: {made}");
    assert_eq!(added["made"], added["changed"], "by one clock, whatever the columns' types");

    // Long ago, as a program would write it that is not asked.
    server.database.sql("update oak set made = 'epoch', maker = 'psql', changed = 'epoch', changer = 'psql'").await;
    let bypassed = row(&server).await;
    assert_eq!(
        (&bypassed["changer"], &bypassed["changed"]),
        (&json!("psql"), &json!(0)),
        "edits by SQL are not stamped"
    );
    let update = json!([{"attributes": {"objectid": added["objectid"], "girth": 3, "changer": "Me"}}]);
    assert_eq!(apply(&server, "updates", &update).await, [""]);
    let updated = row(&server).await;
    assert_eq!((&updated["maker"], &updated["made"]), (&json!("psql"), &json!(0)), "who added it stays");
    assert_eq!(updated["changer"], "");
    assert!(updated["changed"].as_i64().unwrap() >= made);

    server.database.sql("update oak set changed = 'epoch', changer = 'psql'").await;
    let calculation = r#"[{"field":"girth","value":4}]"#;
    let answer = server.post("0/calculate", &[("where", "1=1"), ("calcExpression", calculation)]).await;
    assert_eq!(answer["updatedFeatureCount"], 1, "{answer}");
    let calculated = row(&server).await;
    assert_eq!((&calculated["changer"], &calculated["maker"]), (&json!(""), &json!("psql")));
    assert!(calculated["changed"].as_i64().unwrap() >= made);
}

#[tokio::test]
async fn a_device_is_given_what_the_server_filled_in_and_an_add_that_comes_again_keeps_its_maker() {
    let server = with_tracking().await;
    let replica = create(&server).await;
    let adds = json!([{"attributes": {"globalid": id(1), "species": "oak", "maker": "Me"}}]);
    let answer = synchronize(&server, &replica, &json!({"adds": adds})).await;
    let features = &answer["edits"][0]["features"];
    let given = [&features["adds"], &features["updates"]]
        .into_iter()
        .flat_map(|list| list.as_array().into_iter().flatten())
        .find(|row| row["attributes"]["globalid"] == id(1).as_str())
        .unwrap_or_else(|| panic!("the row comes back: {answer}"));
    assert_eq!(given["attributes"]["maker"], "");
    server.database.sql("update oak set made = 'epoch', maker = 'first'").await;
    // The same feature again, by a device that forgot that it sent it.
    let adds = json!([{"attributes": {"globalid": id(1), "species": "elm"}}]);
    synchronize(&server, &answer, &json!({"adds": adds})).await;
    let stored = row(&server).await;
    assert_eq!((&stored["species"], &stored["maker"], &stored["made"]), (&json!("elm"), &json!("first"), &json!(0)));
    assert_eq!(stored["changer"], "");
}

#[tokio::test]
async fn another_server_says_itself_who_edited_its_rows() {
    let (one, other) = (with_tracking().await, with_tracking().await);
    one.database.sql("insert into oak (species, made, maker, changed, changer) values ('oak', 'epoch', 'first', 'epoch', 'first')").await;
    let document = one.post("createReplica", &[("layers", "0"), ("targetType", "server"), EMBEDDED]).await;
    let body = document.to_string();
    let imported = other.post_body("importReplica?f=json", "application/json", body).await;
    assert_eq!(server::json(imported).await["success"], true);
    assert_eq!(row(&other).await, row(&one).await);

    one.database.sql("update oak set girth = 7, changer = 'second', changed = '2001-02-03'").await;
    let replica = document["replicaID"].as_str().unwrap();
    let holds = document["replicaServerGen"].to_string();
    let download = [("replicaID", replica), ("syncDirection", "download"), ("replicaServerGen", &*holds), EMBEDDED];
    let delta = one.post("synchronizeReplica", &download).await;
    let (edits, generation) = (delta["edits"].to_string(), delta["replicaServerGen"].to_string());
    let upload = [
        ("replicaID", replica),
        ("syncDirection", "upload"),
        ("replicaServerSibGen", &*generation),
        ("edits", &*edits),
        EMBEDDED,
    ];
    let answer = other.post("synchronizeReplica", &upload).await;
    assert!(answer.get("error").is_none(), "{answer}");
    let there = row(&other).await;
    assert_eq!((&there["changer"], &there["girth"]), (&json!("second"), &json!(7)));
    assert_eq!(there, row(&one).await);
}

#[tokio::test]
async fn whoever_edits_attachments_edits_their_feature() {
    let server = with_tracking().await;
    server.app.store.enable_attachments("trees", syncline::model::id::LayerId(0)).await.unwrap();
    let adds = json!([{"attributes": {"globalid": id(1)}}, {"attributes": {"globalid": id(2)}}]);
    server.post("0/applyEdits", &[("adds", &adds.to_string()), ("useGlobalIds", "true")]).await;
    // Which of the two features are stamped since this was asked last.
    let stamped = async || -> String {
        let stamped = "coalesce(string_agg(right(globalid::text, 1) || changer, ' ' order by globalid) filter (where changed > '2000-01-01'), '')";
        let found = server.database.value(&format!("select {stamped} from oak")).await;
        server.database.sql("update oak set changed = 'epoch', changer = 'psql'").await;
        found
    };
    stamped().await;
    let attachments = |list: &str, edits: Json| json!({list: edits}).to_string();
    let add = attachments(
        "adds",
        json!([{"globalId": id(7), "parentGlobalId": id(1), "name": "a.txt", "contentType": "text/plain", "data": "YQ=="}]),
    );
    let edit = async |attachments: String| {
        let answer = server.post("0/applyEdits", &[("attachments", &attachments), ("useGlobalIds", "true")]).await;
        assert!(answer.get("error").is_none(), "{answer}");
    };
    edit(add).await;
    assert_eq!(stamped().await, "1");
    edit(attachments("updates", json!([{"globalId": id(7), "parentGlobalId": id(1), "name": "b.txt"}]))).await;
    assert_eq!(stamped().await, "1");
    let made: i64 = server.database.value("select count(*) from oak where maker = ''").await;
    assert_eq!(made, 2, "who added the feature stays");
    let replica = server
        .post(
            "createReplica",
            &[
                ("layers", "0"),
                EMBEDDED,
                ("replicaName", "field"),
                ("returnAttachments", "true"),
                ("attachmentsSyncDirection", "bidirectional"),
                ("returnAttachmentsDataByUrl", "true"),
            ],
        )
        .await;
    edit(attachments("deletes", json!([id(7)]))).await;
    assert_eq!(stamped().await, "1", "also who deletes one");

    let delta = synchronize(&server, &replica, &json!({})).await;
    let updates = delta["edits"][0]["features"]["updates"].as_array().unwrap();
    assert!(updates.iter().any(|update| update["attributes"]["globalid"] == id(1)), "devices hear of it: {delta}");
}
