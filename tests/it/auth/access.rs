//! What each may do and see, and where tokens may stand.

use axum::{
    body::Body,
    http::{Request, header},
};
use serde_json::{Value as Json, json};

use super::{closed, enter_key, get_as, key, post_as, signing_in::with_users};
use crate::support::{
    TestServer,
    server::{self, error},
};

/// The code of an answer; 200 if it is no error.
fn code(answer: &Json) -> i64 {
    answer.get("error").map_or(200, |_| error(answer).0)
}

const ONE: [(&str, &str); 1] = [("features", r#"[{"attributes":{"species":"x"}}]"#)];

#[tokio::test]
async fn what_is_protected_says_so_and_whoever_has_the_right_may() {
    let server = closed().await;
    let truncate = "/arcgis/rest/admin/services/trees/FeatureServer/0/truncate";
    for (who, view, edit, manage) in [
        ("", 499, 499, 499),
        ("slk_nobody_has_this_key", 498, 498, 498),
        ("not a token", 498, 498, 498),
        (&*key("viewer"), 200, 403, 403),
        (&*key("editor"), 200, 200, 403),
        (&*key("publisher"), 200, 200, 403),
        (&*key("admin"), 200, 200, 200),
    ] {
        for document in ["", "0", "layers", "0/query", "replicas", "jobs"] {
            assert_eq!(code(&get_as(&server, who, document, &[("where", "1=1")]).await), view, "{who} {document}");
        }
        assert_eq!(code(&post_as(&server, who, "0/addFeatures", &ONE).await), edit, "{who}");
        assert_eq!(code(&post_as(&server, who, truncate, &[]).await), manage, "{who}");
    }
    let refused = post_as(&server, &key("viewer"), "0/addFeatures", &ONE).await;
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("User does not have permissions to access 'trees.FeatureServer'."), "{message}");
    assert!(message.contains("'edit'") && message.contains("'view'"), "{message}");
    assert_eq!(refused["error"].get("subcode"), None);
}

#[tokio::test]
async fn an_invalid_token_is_refused_also_where_none_is_needed() {
    let server = TestServer::with_trees().await;
    for path in ["", "0/query", "/arcgis/rest/services"] {
        assert_eq!(code(&get_as(&server, "", path, &[]).await), 200, "{path}");
        assert_eq!(code(&get_as(&server, "slt_old", path, &[]).await), 498, "{path}");
    }
}

#[tokio::test]
async fn who_may_not_see_a_service_does_not_find_it() {
    let server = closed().await;
    enter_key(&server, "elsewhere", "editor", "'{77}'").await;
    let listed = async |who: &str| get_as(&server, who, "/arcgis/rest/services", &[]).await["services"].clone();
    assert_eq!(listed("").await, json!([]));
    assert_eq!(listed(&key("elsewhere")).await, json!([]));
    assert_eq!(listed(&key("viewer")).await, json!([{"name": "trees", "type": "FeatureServer"}]));
    // Nobody learns by asking which services there are.
    let there = server.get("/arcgis/rest/services/trees/FeatureServer", &[]).await;
    assert_eq!(there, server.get("/arcgis/rest/services/nothing/FeatureServer", &[]).await);
    let refused = get_as(&server, &key("elsewhere"), "", &[]).await;
    assert_eq!(refused["error"]["code"], 403);
    assert_eq!(refused["error"]["message"], "User does not have permissions to access 'trees.FeatureServer'.");
}

#[tokio::test]
async fn documents_list_what_whoever_asks_may_do() {
    let server = closed().await;
    for (who, capabilities, appends, truncates) in [
        ("viewer", "Query,Sync,Extract,ChangeTracking", false, false),
        ("editor", "Create,Delete,Query,Update,Uploads,Editing,Sync,Extract,ChangeTracking", true, false),
        ("admin", "Create,Delete,Query,Update,Uploads,Editing,Sync,Extract,ChangeTracking", true, true),
    ] {
        let who = key(who);
        let service = get_as(&server, &who, "", &[]).await;
        let layer = get_as(&server, &who, "0", &[]).await;
        let all = get_as(&server, &who, "layers", &[]).await;
        assert_eq!(service["capabilities"], capabilities);
        assert_eq!(service["supportsAppend"], appends);
        for layer in [&layer, &all["layers"][0], &all["tables"][0]] {
            let listed = layer["capabilities"].as_str().unwrap();
            assert_eq!(listed.contains("Editing"), appends, "{listed}");
            assert!(listed.contains("Query"), "{listed}");
            assert_eq!(layer["supportsAppend"], appends);
            assert_eq!(layer["supportsTruncate"], truncates);
        }
    }
}

#[tokio::test]
async fn a_viewer_takes_replicas_that_download_and_uploads_nothing() {
    let server = closed().await;
    let viewer = key("viewer");
    let wanted = [("layers", "0"), ("transportType", "esriTransportTypeEmbedded"), ("replicaName", "r")];
    let made = post_as(&server, &viewer, "createReplica", &wanted).await;
    assert_eq!(code(&made), 200, "{made}");
    let id = made["replicaID"].as_str().unwrap();
    let known = get_as(&server, &viewer, &format!("replicas/{id}"), &[]).await;
    assert_eq!(known["syncDirection"], "download", "{known}");
    for direction in ["upload", "bidirectional"] {
        let both = [&wanted[..], &[("syncDirection", direction)]].concat();
        let (code, text) = error(&post_as(&server, &viewer, "createReplica", &both).await);
        assert_eq!(code, 403);
        assert!(text.contains("syncDirection=download"), "{text}");
    }
    let generation = made["replicaServerGen"].to_string();
    let sync = [("replicaID", id), ("replicaServerGen", &generation)];
    for (edits, expected) in [
        ("", 200),
        ("[]", 200),
        (r#"[{"id":0,"features":{"adds":[],"updates":[]}}]"#, 200),
        (r#"[{"id":0,"features":{"adds":[{"attributes":{"species":"x"}}]}}]"#, 403),
        ("[{", 403),
    ] {
        let answer = post_as(&server, &viewer, "synchronizeReplica", &[&sync[..], &[("edits", edits)]].concat()).await;
        assert_eq!(code(&answer), expected, "{edits}: {answer}");
    }
    let both = post_as(&server, &key("editor"), "createReplica", &wanted).await;
    let id = both["replicaID"].as_str().unwrap();
    let known = get_as(&server, &key("editor"), &format!("replicas/{id}"), &[]).await;
    assert_eq!(known["syncDirection"], "bidirectional");
}

#[tokio::test]
async fn grants_are_followed_at_once_and_end_with_their_service() {
    let server = closed().await;
    let grant = async |who: &str, access: &str| {
        server
            .database
            .sql(&format!(
                "delete from syncline.service_grant;
                 insert into syncline.service_grant (service_id, role, access) select service_id, {who}, '{access}' from syncline.service"
            ))
            .await;
        server.app.store.reload().await.unwrap();
    };
    grant("'viewer'", "edit").await;
    assert_eq!(code(&post_as(&server, &key("viewer"), "0/addFeatures", &ONE).await), 200);
    grant("'publisher'", "manage").await;
    let admin = "/arcgis/rest/admin/services/trees/FeatureServer";
    assert_eq!(code(&get_as(&server, &key("publisher"), admin, &[]).await), 200);
    assert_eq!(code(&get_as(&server, &key("editor"), admin, &[]).await), 403);
    grant("'editor'", "none").await;
    assert_eq!(code(&get_as(&server, &key("editor"), "", &[]).await), 403);
    grant("null", "view").await;
    assert_eq!(code(&server.get("", &[]).await), 200);
    assert_eq!(code(&server.post("0/addFeatures", &ONE).await), 499);
    assert_eq!(code(&get_as(&server, &key("editor"), "", &[]).await), 200);
}

#[tokio::test]
async fn a_token_counts_wherever_clients_put_it_and_the_first_that_is_not_empty_counts() {
    let server = closed().await;
    let good = key("viewer");
    let url = "/arcgis/rest/services/trees/FeatureServer/0";
    let ask = async |headers: &[(&str, &str)], query: &str, form: &str| {
        let mut request = Request::post(format!("{url}?f=json&{query}")).header(header::HOST, "test:80");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        code(&server::json(server.send(request.body(Body::from(form.to_owned())).unwrap()).await).await)
    };
    let bearer = format!("Bearer {good}");
    let blank = format!("bearer  {good} ");
    let parameter = format!("token={good}");
    let cookie = format!("a=b; agstoken={good}");
    assert_eq!(ask(&[("X-Esri-Authorization", &bearer)], "", "").await, 200);
    assert_eq!(ask(&[("X-Esri-Authorization", &blank)], "", "").await, 200);
    assert_eq!(ask(&[("Authorization", &bearer)], "", "").await, 200);
    assert_eq!(ask(&[], &parameter, "").await, 200);
    assert_eq!(ask(&[], "", &parameter).await, 200);
    assert_eq!(ask(&[], "", "token=").await, 499);
    assert_eq!(ask(&[], &parameter, "token=").await, 200);
    assert_eq!(ask(&[("X-Esri-Authorization", "Bearer "), ("Authorization", &bearer)], "token=x", "").await, 200);
    assert_eq!(ask(&[("X-Esri-Authorization", "Bearer x"), ("Authorization", &bearer)], &parameter, "").await, 498);
    assert_eq!(ask(&[("Authorization", "Basic abc")], &parameter, "").await, 200);
    assert_eq!(ask(&[], &parameter, "token=x").await, 498);
    // A page of another site could ask with it.
    assert_eq!(ask(&[("Cookie", &cookie)], "", "").await, 499);
    let boundary = format!("--b\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n{good}\r\n--b--\r\n");
    let answer = server.post_body(&format!("{url}?f=json"), "multipart/form-data; boundary=b", boundary).await;
    assert_eq!(code(&server::json(answer).await), 200);
}

#[tokio::test]
async fn a_user_is_linked_to_an_identity_by_request() {
    let server = with_users().await;
    let users = "/arcgis/rest/admin/accounts/users";
    let admin = key("admin");
    let change = async |parameters: &[(&str, &str)]| post_as(&server, &admin, users, parameters).await;
    let identities = async |name: &str| {
        let all = get_as(&server, &admin, users, &[]).await;
        all["users"].as_array().unwrap().iter().find(|user| user["name"] == name).unwrap()["identities"].clone()
    };
    assert_eq!(identities("ann").await, json!([]));
    let link = [("operation", "link"), ("name", "ann"), ("subject", "4711"), ("issuer", "https://id.example.org")];
    assert_eq!(change(&link).await["success"], true);
    assert_eq!(
        identities("ann").await,
        json!([{"issuer": "https://id.example.org", "subject": "4711", "lastUsed": null}])
    );
    let of_bob =
        change(&[("operation", "link"), ("name", "bob"), ("subject", "4711"), ("issuer", "https://id.example.org")])
            .await;
    assert!(error(&of_bob).1.contains("it is the user ann already"), "{of_bob}");
    assert!(error(&change(&link[..2]).await).1.contains("'subject' parameter is invalid"));
    assert!(error(&change(&link[..3]).await).1.contains("no identity provider is configured"));
    assert_eq!(change(&[("operation", "unlink"), ("name", "ann")]).await["success"], true);
    assert_eq!(identities("ann").await, json!([]));
}
