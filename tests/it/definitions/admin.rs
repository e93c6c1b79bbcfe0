//! Who may change definitions, how a change reaches other servers, and the command line.

use std::time::{Duration, Instant};

use axum::{
    body::Body,
    http::{Request, header},
};
use serde_json::json;
use syncline::model::{
    definition::{Definition, LayerChange},
    id::LayerId,
};

use super::{TOKEN, admin, apply, attempt, change, with_admin};
use crate::support::{
    Program, TestDatabase, TestServer,
    server::{self, error},
};

#[tokio::test]
async fn nobody_changes_definitions_unless_the_settings_name_a_token_and_the_request_has_it() {
    let server = TestServer::with_trees().await;
    let update = ("updateDefinition", r#"{"description":"mine"}"#);
    let operations = [
        "",
        "0",
        "updateDefinition",
        "0/updateDefinition",
        "0/addToDefinition",
        "0/deleteFromDefinition",
        "refresh",
        "0/refresh",
        "0/truncate",
        "cleanupChangeTracking",
    ];
    for operation in operations {
        let answer = server.post(&admin(operation), &[update, ("token", TOKEN)]).await;
        assert_eq!(error(&answer).0, 498, "{operation}: {answer}");
    }
    let server = with_admin().await;
    for operation in operations {
        assert_eq!(error(&server.post(&admin(operation), &[update]).await).0, 499, "{operation}");
        assert_eq!(error(&server.post(&admin(operation), &[update, ("token", "a-token")]).await).0, 498, "{operation}");
    }
    assert_eq!(server.get("0", &[]).await["description"], "");
    assert_eq!(error(&server.get(&admin("0/updateDefinition"), &[update, ("token", TOKEN)]).await).0, 405);
    for name in ["Authorization", "X-Esri-Authorization"] {
        let request = Request::post(admin("0/updateDefinition"))
            .header(name, format!("Bearer {TOKEN}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let body = server::encode(&[("updateDefinition", &json!({"description": name}).to_string())]);
        let answer = server::json(server.send(request.body(Body::from(body)).unwrap()).await).await;
        assert_eq!(answer, json!({"success": true}));
        assert_eq!(server.get("0", &[]).await["description"], name);
    }
}

#[tokio::test]
async fn both_spellings_of_the_address_lead_to_the_same_documents() {
    let server = with_admin().await;
    change(&server, "0/updateDefinition", json!({"description": "d"})).await;
    let token = [("token", TOKEN)];
    for root in ["/arcgis/rest/admin", "/arcgis/admin"] {
        let layer = server.get(&format!("{root}/services/trees/FeatureServer/0"), &token).await;
        assert_eq!(layer["description"], "d");
        assert_eq!(layer["adminLayerInfo"]["tableName"], "public.oak");
        assert_eq!(layer["adminLayerInfo"]["definition"], json!({"description": "d"}));
        let service = server.get(&format!("{root}/services/trees/FeatureServer"), &token).await;
        assert_eq!(service["layers"][0]["id"], 0);
        assert_eq!(service["adminServiceInfo"]["name"], "trees");
        let done = server.post(&format!("{root}/services/trees/FeatureServer/0/refresh"), &token).await;
        assert_eq!(done, json!({"success": true}));
    }
    assert_eq!(error(&server.get(&admin("9"), &token).await).0, 404);
}

#[tokio::test]
async fn another_server_on_the_same_database_follows_a_change() {
    let server = with_admin().await;
    let other = TestServer::on(TestDatabase::at(&server.database.url)).await;
    let _listening = other.run_jobs();
    change(&server, "0/updateDefinition", json!({"description": "changed", "capabilities": "Query"})).await;
    let started = Instant::now();
    while other.get("0", &[]).await["description"] != "changed" {
        assert!(started.elapsed() < Duration::from_secs(10), "the other server never heard of it");
    }
    let answer = other.post("0/addFeatures", &[("features", "[]")]).await;
    assert!(error(&answer).1.contains("capability Editing"));
}

#[tokio::test]
async fn of_two_administrators_the_second_does_not_undo_what_the_first_did() {
    let server = with_admin().await;
    let service = server.app.store.service("trees").await.unwrap();
    let stale = service.layer(LayerId(0)).unwrap();
    change(&server, "0/updateDefinition", json!({"description": "first"})).await;
    let second = Definition { copyright_text: Some("second".to_owned()), ..Definition::default() };
    let refused =
        server.app.store.define(&service, stale, &LayerChange { definition: second, ..LayerChange::default() }).await;
    assert!(refused.unwrap_err().to_string().contains("changed the definition meanwhile"));
    assert_eq!(server.get("0", &[]).await["description"], "first");
}

#[tokio::test]
async fn a_definition_that_no_longer_fits_its_table_is_reported_and_the_rest_of_it_holds() {
    let server = with_admin().await;
    let girth = json!({"name": "girth", "domain": {"type": "range", "name": "Girth", "range": [1, 5]}});
    let height = json!({"name": "height", "domain": {"type": "range", "name": "Height", "range": [1, 5]}});
    change(&server, "0/updateDefinition", json!({"displayField": "height", "fields": [girth, height]})).await;
    server.database.sql("alter table oak drop column height").await;
    server.app.store.repair("trees", LayerId(0), false).await.unwrap();
    let found = server.app.store.watch().await.unwrap();
    assert!(
        found.notices.iter().any(|notice| notice.contains("definition") && notice.contains("no field 'height'")),
        "{found:?}"
    );
    assert_eq!(server.get("0", &[]).await["displayField"], "species");
    assert!(apply(&server, "adds", &json!([{"attributes": {"girth": 9}}])).await[0].contains("domain 'Girth'"));
    let again = server.app.store.repair("trees", LayerId(0), false).await.unwrap();
    assert!(again.statements.is_empty(), "nothing is left to repair: {again:?}");
    assert!(
        attempt(
            &server,
            "0/updateDefinition",
            &json!({"displayField": null, "fields": [{"name": "height", "domain": null}]})
        )
        .await["success"]
            == true
    );
    assert!(server.app.store.watch().await.unwrap().notices.is_empty());
}

#[tokio::test]
async fn definitions_are_files_on_the_command_line() {
    let database = TestDatabase::new().await;
    database.sql("create table oak (objectid serial primary key, species text, girth integer)").await;
    let program = Program::on(&database);
    let directory = tempfile::TempDir::new().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let wrong = file("wrong.json", r#"{"displayField":"leaves"}"#);
    let refused = program.failed(&["publish", "--service", "trees", "--table", "oak", "--definition", &wrong]);
    assert!(refused.contains("no field 'leaves'"), "{refused}");
    let published: i64 = database.value("select count(*) from syncline.layer").await;
    assert_eq!(published, 0, "nothing is published with a definition that does not fit");
    let toml = file(
        "oak.toml",
        "displayField = 'species'\n[[fields]]\nname = 'girth'\nalias = 'Girth (cm)'\ndomain = {type = 'range', name = 'Girth', range = [1, 500]}\n",
    );
    program.done(&["publish", "--service", "trees", "--table", "oak", "--definition", &toml]);
    let shown = program.done(&["definition", "show", "--service", "trees", "--layer", "oak"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["fields"][0]["alias"], "Girth (cm)");
    let same = file("same.json", &shown.to_string());
    program.done(&["definition", "set", "--service", "trees", "--layer", "0", &same]);
    let more = file("more.json", r#"{"capabilities":"Query"}"#);
    program.done(&["definition", "set", "--merge", "--service", "trees", "--layer", "0", &more]);
    let shown = program.done(&["definition", "show", "--service", "trees", "--layer", "0"]);
    assert!(shown.contains("Girth (cm)") && shown.contains("\"capabilities\": \"Query\""), "{shown}");
    let service = file("service.toml", "description = 'All trees'\ncapabilities = 'Query,Sync'\n");
    program.done(&["definition", "set", "--service", "trees", &service]);
    let shown = program.done(&["definition", "show", "--service", "trees"]);
    assert!(shown.contains("All trees"), "{shown}");
    let unknown = file("unknown.toml", "color = 'blue'\n");
    let refused = program.failed(&["definition", "set", "--service", "trees", "--layer", "0", &unknown]);
    assert!(refused.contains("'color' cannot be set"), "{refused}");
}
