//! Queries for attachments.

use serde_json::{Value as Json, json};

use super::refusal;
use crate::support::{TestServer, server};

/// Three trees with girths 1, 2 and 3: the first has a picture of 10 bytes and a plan of 2000, the second a film of 500.
async fn with_attachments() -> TestServer {
    let server = TestServer::with_trees().await;
    server.database.sql("insert into oak (girth) values (1), (2), (3)").await;
    server.app.store.enable_attachments("trees", syncline::model::id::LayerId(0)).await.unwrap();
    server
        .database
        .sql(
            "do $$ begin execute format('insert into syncline.attachment_%s (parent_globalid, name, content_type, size_bytes, sha256, keywords)
               select o.globalid, a.name, a.content_type, a.size, repeat(''0'', 64), a.keywords
               from (values (1, ''bark.jpg'', ''image/jpeg'', 10, ''Bark, winter''), (1, ''plan.pdf'', ''application/pdf'', 2000, null),
                 (2, ''film.mp4'', ''video/mp4'', 500, ''summer'')) as a (girth, name, content_type, size, keywords) join oak o using (girth)
               order by a.girth, a.name', (select layer_key from syncline.layer where table_name = 'oak')); end $$",
        )
        .await;
    server
}

/// For each feature, its object id and the names of its attachments.
fn names(answer: &Json) -> Json {
    let groups = answer["attachmentGroups"].as_array().unwrap_or_else(|| panic!("no groups in {answer}"));
    let names = |group: &Json| -> Json {
        group["attachmentInfos"].as_array().unwrap().iter().map(|info| info["name"].clone()).collect()
    };
    groups.iter().map(|group| json!([group["parentObjectId"], names(group)])).collect()
}

#[tokio::test]
async fn attachments_are_found_by_their_features_and_by_what_they_are() {
    let server = with_attachments().await;
    let all = json!([[1, ["bark.jpg", "plan.pdf"]], [2, ["film.mp4"]]]);
    let second = server.database.value::<uuid::Uuid>("select globalid from oak where girth = 2").await.to_string();
    for (parameters, expected) in [
        (
            vec![
                ("definitionExpression", "1=1"),
                ("keywords", ""),
                ("returnMetadata", "false"),
                ("returnUrl", "false"),
            ],
            all.clone(),
        ),
        (vec![("objectIds", "1,3")], json!([[1, ["bark.jpg", "plan.pdf"]]])),
        (vec![("globalIds", &second)], json!([[2, ["film.mp4"]]])),
        (vec![("definitionExpression", "girth > 1")], json!([[2, ["film.mp4"]]])),
        (
            vec![("objectIds", "1,2"), ("attachmentTypes", "image/*, VIDEO/mp4")],
            json!([[1, ["bark.jpg"]], [2, ["film.mp4"]]]),
        ),
        (vec![("objectIds", "1,2"), ("attachmentTypes", "image/_peg")], json!([])),
        (vec![("objectIds", "1,2"), ("size", "100,1000")], json!([[2, ["film.mp4"]]])),
        (vec![("objectIds", "1,2"), ("size", "500,")], json!([[1, ["plan.pdf"]], [2, ["film.mp4"]]])),
        (vec![("objectIds", "1,2"), ("size", ",10")], json!([[1, ["bark.jpg"]]])),
        (vec![("objectIds", "1,2"), ("keywords", "Winter,spring")], json!([[1, ["bark.jpg"]]])),
        (
            vec![("objectIds", "1,2"), ("attachmentsDefinitionExpression", "ATT_NAME LIKE '%.pdf' OR data_size = 500")],
            json!([[1, ["plan.pdf"]], [2, ["film.mp4"]]]),
        ),
        (vec![("objectIds", "1"), ("orderByFields", "data_size DESC")], json!([[1, ["plan.pdf", "bark.jpg"]]])),
        (vec![("objectIds", "1,2"), ("resultOffset", "1"), ("resultRecordCount", "1")], json!([[1, ["plan.pdf"]]])),
        (vec![("objectIds", "3")], json!([])),
    ] {
        let answer = server.get("0/queryAttachments", &parameters).await;
        assert_eq!(names(&answer), expected, "{parameters:?}");
        assert_eq!(answer, server.post("0/queryAttachments", &parameters).await);
    }
    let answer = server.get("0/queryAttachments", &[("objectIds", "2"), ("returnUrl", "true")]).await;
    let info = &answer["attachmentGroups"][0]["attachmentInfos"][0];
    assert_eq!(info["url"], "http://test:80/arcgis/rest/services/trees/FeatureServer/0/2/attachments/3");
    assert_eq!((&info["id"], &info["size"], &info["contentType"]), (&json!(3), &json!(500), &json!("video/mp4")));
    let fields: Vec<&Json> = answer["fields"].as_array().unwrap().iter().map(|field| &field["name"]).collect();
    assert_eq!(
        fields,
        ["attachmentid", "globalid", "rel_globalid", "att_name", "content_type", "data_size", "keywords"]
    );
    let answer =
        server.get("0/queryAttachments", &[("definitionExpression", "1=1"), ("returnCountOnly", "true")]).await;
    let counts: Vec<(&Json, &Json)> = answer["attachmentGroups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| (&group["parentObjectId"], &group["count"]))
        .collect();
    assert_eq!(counts, [(&json!(1), &json!(2)), (&json!(2), &json!(1))]);
    let cut = server.get("0/queryAttachments", &[("objectIds", "1,2"), ("resultRecordCount", "2")]).await;
    assert_eq!((names(&cut), &cut["exceededTransferLimit"]), (json!([[1, ["bark.jpg", "plan.pdf"]]]), &json!(true)));

    let before =
        server.database.value::<i64>("select (extract(epoch from clock_timestamp()) * 1000)::int8").await.to_string();
    server.database.sql("select pg_sleep(0.002); delete from oak where girth = 1").await;
    assert_eq!(names(&server.get("0/queryAttachments", &[("objectIds", "1,2")]).await), json!([[2, ["film.mp4"]]]));
    let past = [("objectIds", "1,2"), ("historicMoment", before.as_str())];
    assert_eq!(names(&server.get("0/queryAttachments", &past).await), all);
}

#[tokio::test]
async fn mistakes_about_attachments_are_named() {
    let server = with_attachments().await;
    for (parameters, said) in [
        (vec![], "'objectIds'"),
        (vec![("objectIds", "1"), ("attachmentsDefinitionExpression", "name = 'x'")], "unknown field 'name'"),
        (vec![("objectIds", "1"), ("size", "5,1")], "'size'"),
        (vec![("objectIds", "1"), ("size", "large")], "min,max"),
        (vec![("objectIds", "1"), ("orderByFields", "name")], "the fields are attachmentid"),
        (vec![("objectIds", "1"), ("returnDistinctKeywords", "true")], "returnDistinctKeywords"),
    ] {
        let words = refusal(&server, "0/queryAttachments", &parameters).await;
        assert!(words.contains(said), "{words}");
    }
    let words = refusal(&server, "1/queryAttachments", &[("objectIds", "1")]).await;
    assert!(words.contains("have no attachments"), "{words}");
    for (layer, has) in [("0", true), ("1", false)] {
        let capabilities = &server.get(layer, &[]).await["advancedQueryCapabilities"];
        assert_eq!(capabilities["supportsQueryAttachments"], has);
    }
    let page = server::text(server.fetch("0/queryAttachments", &[]).await).await;
    assert!(page.contains("name=\"attachmentTypes\""), "{page}");
}
