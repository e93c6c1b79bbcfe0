//! applyEdits on layers and services, with its options.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value as Json, json};

use super::{behind, ended, oak, species, with_oaks};
use crate::support::{TestServer, server::error};

fn file(n: u32) -> String {
    format!("{{BBBBBBBB-0001-4000-8000-{n:012}}}")
}

fn attachment(n: u32, of: u32, bytes: &[u8]) -> Json {
    json!({"globalId": file(n), "parentGlobalId": oak(of), "name": format!("{n}.jpg"), "contentType": "image/jpeg", "data": STANDARD.encode(bytes)})
}

async fn attachments_of(server: &TestServer, object_id: i64) -> Vec<Json> {
    let answer = server.get(&format!("0/{object_id}/attachments"), &[]).await;
    answer["attachmentInfos"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
}

#[tokio::test]
async fn a_feature_and_its_attachments_come_changed_and_gone_in_one_request() {
    let server = with_oaks().await;
    let adds = json!([{"attributes": {"globalid": oak(9), "species": "yew"}, "geometry": {"x": 9, "y": 9}}]);
    let attachments = json!({"adds": [attachment(1, 9, b"one"), attachment(2, 1, b"two")]});
    let answer = server
        .post(
            "0/applyEdits",
            &[("adds", &adds.to_string()), ("attachments", &attachments.to_string()), ("useGlobalIds", "true")],
        )
        .await;
    assert_eq!(answer["addResults"][0]["globalId"], oak(9).as_str(), "{answer}");
    let results = &answer["attachments"];
    assert_eq!(results["addResults"][0]["success"], true, "{answer}");
    assert_eq!(results["addResults"][0]["globalId"], file(1).as_str());
    assert_eq!((&results["updateResults"], &results["deleteResults"]), (&json!([]), &json!([])));
    let yew = answer["addResults"][0]["objectId"].as_i64().unwrap();
    let listed = attachments_of(&server, yew).await;
    assert_eq!((listed[0]["name"].as_str(), listed[0]["size"].as_i64()), (Some("1.jpg"), Some(3)));
    assert_eq!(listed[0]["id"], results["addResults"][0]["objectId"], "the object id is that of the attachment");

    // A data URL is understood; a delete is by global id.
    let url = format!("data:image/png;base64,{}", STANDARD.encode("changed"));
    let update = json!({"globalId": file(1), "parentGlobalId": oak(9), "contentType": "image/png", "data": url});
    let attachments = json!({"updates": [update], "deletes": [file(2)]});
    let parameters = [("attachments", attachments.to_string()), ("useGlobalIds", "true".to_owned())];
    let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = server.post("0/applyEdits", &parameters).await;
    assert_eq!(answer["attachments"]["updateResults"][0]["success"], true, "{answer}");
    assert_eq!(answer["attachments"]["deleteResults"][0]["success"], true, "{answer}");
    let listed = attachments_of(&server, yew).await;
    assert_eq!((listed[0]["contentType"].as_str(), listed[0]["size"].as_i64()), (Some("image/png"), Some(7)));
    assert!(attachments_of(&server, 1).await.is_empty());
}

#[tokio::test]
async fn a_refused_attachment_undoes_its_feature_and_the_other_way_round() {
    let server = with_oaks().await;
    let adds = json!([{"attributes": {"globalid": oak(9), "species": "yew"}}]);
    let orphan = json!({"adds": [attachment(1, 9, b"one"), attachment(2, 77, b"two")]});
    let base = [("adds", adds.to_string()), ("attachments", orphan.to_string()), ("useGlobalIds", "true".to_owned())];
    let mut parameters: Vec<(&str, &str)> = base.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = server.post("0/applyEdits", &parameters).await;
    assert_eq!(answer["addResults"][0]["error"]["code"], 1003, "{answer}");
    assert_eq!(answer["attachments"]["addResults"][0]["error"]["code"], 1003, "{answer}");
    assert_eq!(answer["attachments"]["addResults"][1]["error"]["code"], 1008, "{answer}");
    assert_eq!(species(&server).await, ["elm", "fir", "ash"]);

    parameters.push(("rollbackOnFailure", "false"));
    let answer = server.post("0/applyEdits", &parameters).await;
    assert_eq!(answer["addResults"][0]["success"], true, "{answer}");
    assert_eq!(answer["attachments"]["addResults"][0]["success"], true, "{answer}");
    assert_eq!(species(&server).await, ["elm", "fir", "ash", "yew"]);
}

#[tokio::test]
async fn attachments_without_global_ids_are_refused_by_name() {
    let server = with_oaks().await;
    let attachments = json!({"adds": [attachment(1, 1, b"one")]}).to_string();
    let answer = server.post("0/applyEdits", &[("attachments", &attachments)]).await;
    let (code, said) = error(&answer);
    assert!(code == 400 && said.contains("useGlobalIds=true"), "{said}");
    // Empty lists are how some clients say nothing.
    let nothing = json!({"adds": [], "updates": [], "deletes": []}).to_string();
    let answer = server.post("0/applyEdits", &[("attachments", &nothing), ("deletes", "3")]).await;
    assert_eq!(answer["deleteResults"][0]["success"], true, "{answer}");
}

#[tokio::test]
async fn a_service_is_edited_layer_by_layer_with_attachments_moment_and_images() {
    let server = with_oaks().await;
    let edits = json!([
        {"id": 1, "adds": [{"attributes": {"note": "seen", "oak_id": oak(1)}}]},
        {"id": 0, "adds": [{"attributes": {"globalid": oak(9), "species": "yew"}, "geometry": {"x": 9, "y": 9}}],
         "updates": [{"attributes": {"globalid": oak(1), "girth": 7}}], "deletes": [oak(3)],
         "attachments": {"adds": [attachment(1, 9, b"one")]}},
    ]);
    let edits = json!(
        edits
            .as_array()
            .unwrap()
            .iter()
            .map(|element| {
                let mut element = element.clone();
                if element["id"] == 1 {
                    element["adds"][0]["attributes"]["globalid"] = "{CCCCCCCC-0001-4000-8000-000000000001}".into();
                }
                element
            })
            .collect::<Vec<Json>>()
    );
    let answer = server
        .post(
            "applyEdits",
            &[
                ("edits", &edits.to_string()),
                ("useGlobalIds", "true"),
                ("returnEditMoment", "true"),
                ("returnServiceEditsOption", "originalAndCurrentFeatures"),
            ],
        )
        .await;
    let layers = answer.as_array().unwrap_or_else(|| panic!("{answer}"));
    assert_eq!((&layers[0]["id"], &layers[1]["id"]), (&json!(1), &json!(0)), "as the client listed them");
    assert!(layers[1]["editMoment"].as_i64().unwrap() > 1_600_000_000_000, "{answer}");
    assert_eq!(layers[1]["attachments"]["addResults"][0]["success"], true);
    let edited = &layers[1]["editedFeatures"];
    assert_eq!(edited["adds"][0]["attributes"]["species"], "yew", "{answer}");
    assert_eq!(edited["updates"][0][0]["attributes"]["girth"], 1);
    assert_eq!(edited["updates"][0][1]["attributes"]["girth"], 7);
    assert_eq!(edited["deletes"][0]["attributes"]["species"], "ash");
    assert_eq!(edited["deletes"][0]["geometry"], json!({"x": 3.0, "y": 3.0}));
    assert_eq!(edited["spatialReference"]["latestWkid"], 3857);
    assert!(layers[0]["editedFeatures"].get("spatialReference").is_none(), "a table has none");
}

#[tokio::test]
async fn the_sequence_of_layers_is_the_clients_if_it_says_so() {
    let server = TestServer::new().await;
    server
        .database
        .sql(
            "create table plot (id serial primary key, globalid uuid not null default gen_random_uuid() unique, name text unique);
             create table bed (id serial primary key, globalid uuid not null default gen_random_uuid() unique, name text unique,
               plot_id uuid references plot (globalid))",
        )
        .await;
    server.publish("plot").await;
    server.publish("bed").await;
    let id = "{AAAAAAAA-0001-4000-8000-000000000001}";
    let add = json!([{"id": 0, "adds": [{"attributes": {"globalid": id, "name": "a"}}]},
                     {"id": 1, "adds": [{"attributes": {"globalid": id, "name": "b", "plot_id": id}}]}]);
    let answer = server.post("applyEdits", &[("edits", &add.to_string()), ("useGlobalIds", "true")]).await;
    assert_eq!(answer[1]["addResults"][0]["success"], true, "{answer}");
    // Layer 0 listed first, and its row deleted before the row that refers to it.
    let delete = json!([{"id": 0, "deletes": [id]}, {"id": 1, "deletes": [id]}]);
    let parameters = [
        ("edits", delete.to_string()),
        ("useGlobalIds", "true".to_owned()),
        ("honorSequenceOfEdits", "true".to_owned()),
    ];
    let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = server.post("applyEdits", &parameters).await;
    assert_eq!(answer[1]["deleteResults"][0]["success"], true, "what was in the way is gone by then: {answer}");
    // A name that is freed by a delete of the layer before can be taken by an add of the next.
    let two = json!([{"id": 0, "adds": [{"attributes": {"globalid": id, "name": "a"}}]}]);
    server.post("applyEdits", &[("edits", &two.to_string()), ("useGlobalIds", "true")]).await;
    let swap = json!([{"id": 0, "deletes": [id]},
                      {"id": 0, "adds": [{"attributes": {"globalid": "{AAAAAAAA-0001-4000-8000-000000000002}", "name": "a"}}]}]);
    for (honored, taken) in [("false", false), ("true", true)] {
        let parameters = [
            ("edits", swap.to_string()),
            ("useGlobalIds", "true".to_owned()),
            ("honorSequenceOfEdits", honored.to_owned()),
        ];
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = server.post("applyEdits", &parameters).await;
        assert_eq!(answer[1]["addResults"][0]["success"], taken, "{honored}: {answer}");
    }
}

#[tokio::test]
async fn without_results_the_answer_is_that_all_went_well_or_an_error() {
    let server = with_oaks().await;
    let good = [("deletes", "1"), ("returnEditResults", "false")];
    assert_eq!(server.post("0/applyEdits", &good).await, json!({"success": true}));
    let bad = [("adds", r#"[{"attributes":{"girth":"many"}}]"#), ("deletes", "2"), ("returnEditResults", "false")];
    let (code, said) = error(&server.post("0/applyEdits", &bad).await);
    assert!(code == 400 && said.contains("many"), "{said}");
    assert_eq!(species(&server).await, ["fir", "ash"]);
    let (_, said) = error(
        &server
            .post("0/applyEdits", &[("deletes", "2"), ("returnEditResults", "false"), ("rollbackOnFailure", "false")])
            .await,
    );
    assert!(said.contains("rollbackOnFailure=true"), "{said}");
}

#[tokio::test]
async fn what_has_no_meaning_here_is_accepted_or_refused_by_name() {
    let server = with_oaks().await;
    let harmless = [
        ("updates", r#"[{"attributes":{"objectid":1,"girth":5}}]"#),
        ("sessionID", "{F81C1A4A-0E5B-4C5D-9E1A-7B7A1B1E2D3C}"),
        ("gdbVersion", "sde.DEFAULT"),
        ("trueCurveClient", "true"),
        ("timeReferenceUnknownClient", "false"),
        ("usePreviousEditMoment", "false"),
        ("datumTransformation", "null"),
        ("adds", "null"),
        ("deletes", ""),
        ("attachments", "null"),
    ];
    let answer = server.post("0/applyEdits", &harmless).await;
    assert_eq!(answer["updateResults"][0]["success"], true, "{answer}");
    for (name, value) in
        [("gdbVersion", "editor.v1"), ("usePreviousEditMoment", "true"), ("datumTransformation", "1623")]
    {
        let (code, said) = error(&server.post("0/applyEdits", &[("deletes", "1"), (name, value)]).await);
        assert!(code == 400 && said.contains(name), "{said}");
    }
    assert_eq!(species(&server).await, ["elm", "fir", "ash"]);
}

#[tokio::test]
async fn edits_as_a_job_are_made_once_and_their_results_can_be_fetched() {
    let server = with_oaks().await;
    let runner = server.run_jobs();
    let adds = r#"[{"attributes":{"species":"yew"}},{"attributes":{"girth":"many"}}]"#;
    let submitted =
        server.post("0/applyEdits", &[("adds", adds), ("async", "true"), ("rollbackOnFailure", "false")]).await;
    let status = ended(&server, &submitted).await;
    assert_eq!((&status["status"], &status["operation"]), (&json!("CompletedWithErrors"), &json!("applyEdits")));
    let answer = behind(&server, &status["resultUrl"]).await;
    assert_eq!(answer["addResults"][0]["success"], true, "{answer}");
    assert_eq!(answer["addResults"][1]["error"]["code"], 1016);
    assert_eq!(species(&server).await, ["elm", "fir", "ash", "yew"]);

    let edits = json!([{"id": 0, "deletes": [1]}, {"id": 1, "adds": [{"attributes": {"note": "x"}}]}]).to_string();
    let status = ended(&server, &server.post("applyEdits", &[("edits", &edits), ("async", "true")]).await).await;
    assert_eq!(status["status"], "Completed", "{status}");
    let answer = behind(&server, &status["resultUrl"]).await;
    assert_eq!(answer[0]["deleteResults"][0]["objectId"], 1, "{answer}");
    // What cannot be read is refused at once.
    let (code, _) = error(&server.post("0/applyEdits", &[("adds", "[{"), ("async", "true")]).await);
    assert_eq!(code, 400);
    runner.stop().await;
}

#[tokio::test]
async fn edits_can_be_uploaded_before() {
    let server = with_oaks().await;
    let upload = |text: &'static str| {
        let server = &server;
        async move {
            let body = format!(
                "--x\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\njson\r\n--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"edits.json\"\r\n\r\n{text}\r\n--x--\r\n"
            );
            let response = server.post_body("uploads/upload", "multipart/form-data; boundary=x", body).await;
            let answer = crate::support::server::json(response).await;
            answer["item"]["itemID"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
        }
    };
    let of_layer = upload(r#"{"adds":[{"attributes":{"species":"yew"}}],"deletes":[1]}"#).await;
    let answer = server.post("0/applyEdits", &[("editsUploadId", &of_layer), ("editsUploadFormat", "json")]).await;
    assert_eq!(answer["addResults"][0]["success"], true, "{answer}");
    let of_service = upload(r#"[{"id":0,"deletes":"2,3"}]"#).await;
    let answer = server.post("applyEdits", &[("editsUploadId", &of_service)]).await;
    assert_eq!(answer[0]["deleteResults"][1]["success"], true, "{answer}");
    assert_eq!(species(&server).await, ["yew"]);
    let (_, said) = error(&server.post("applyEdits", &[("editsUploadId", &of_service), ("edits", "[]x")]).await);
    assert!(said.contains("exclude each other"), "{said}");
}

#[tokio::test]
async fn a_connected_edit_reaches_replicas_like_any_other() {
    let server = with_oaks().await;
    let embedded = ("transportType", "esriTransportTypeEmbedded");
    let replica = server.post("createReplica", &[("layers", "0"), ("returnAttachments", "true"), embedded]).await;
    let attachments = json!({"adds": [attachment(1, 2, b"one")]}).to_string();
    server.post("0/applyEdits", &[("attachments", &attachments), ("useGlobalIds", "true"), ("deletes", &oak(1))]).await;
    server.post("0/calculate", &[("where", "girth = 3"), ("calcExpression", r#"[{"field":"girth","value":4}]"#)]).await;
    let answer = server
        .post(
            "synchronizeReplica",
            &[
                ("replicaID", replica["replicaID"].as_str().unwrap()),
                ("replicaServerGen", &replica["replicaServerGen"].to_string()),
                embedded,
            ],
        )
        .await;
    let edits = &answer["edits"][0];
    assert_eq!(edits["features"]["deleteIds"], json!([oak(1)]), "{answer}");
    assert_eq!(edits["features"]["updates"][0]["attributes"]["girth"], 4, "{answer}");
    assert_eq!(edits["attachments"]["adds"][0]["globalId"], file(1).as_str(), "{answer}");
}
