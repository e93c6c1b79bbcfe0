//! Everybody, at every route there is. The routes are those of the description, which has them all (`tests/it/openapi.rs`): one that has no entry here
//! fails.

use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{Request, header},
};
use serde_json::Value as Json;

use super::{key, signing_in::with_users};
use crate::{openapi::description, support::TestServer};

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    Nothing,
    View,
    Edit,
    Manage,
    Admin,
}

const NEEDS: &[(Need, &str)] = &[
    (
        Need::Nothing,
        "health ready description static info portal portalInfo portalSelf services login signOn signOnReturn signOff logout \
         generateToken generateTokenBrief generateTokenOfPortal generateTokenOfOldPortal generateTokenOfAdmin \
         sessionToken",
    ),
    (
        Need::View,
        "service layers layer query feature queryService queryRelatedRecords queryAttachments relationships queryDomains attachments \
         attachment attachmentOfLayer validateSQL createReplica synchronizeReplica unRegisterReplica extractChanges replicas replica \
         replicaStatus replicaFile jobs job jobStatus verify explain",
    ),
    (
        Need::Edit,
        "applyEdits applyEditsOfLayer addFeatures updateFeatures deleteFeatures calculate append addAttachment updateAttachment \
         deleteAttachments importReplica uploads upload registerUpload uploadItem uploadPart uploadParts commitUpload deleteUpload \
         batches batch undoBatch uploadsOfReplica uploadOfReplica undoUpload rejectedEdits rejectedEdit applyRejectedEdit \
         dismissRejectedEdit conflicts conflict restoreConflict",
    ),
    (
        Need::Manage,
        "admin addToDefinition updateDefinition deleteFromDefinition refresh adminOfLayer addToDefinitionOfLayer \
         updateDefinitionOfLayer deleteFromDefinitionOfLayer refreshOfLayer truncate cleanupChangeTracking",
    ),
    (
        Need::Admin,
        "metrics audit verifyAudit users roles keys tokens grants adminReplicas adminReplica adminLag adminTimeline adminUnregister adminExpire \
         adminHealth adminPulse adminSettings adminTables adminPublish adminUnpublish",
    ),
];

/// Somebody, what they present, and up to what they may.
const PEOPLE: &[(&str, Need)] = &[
    ("viewer", Need::View),
    ("editor", Need::Edit),
    ("publisher", Need::Edit),
    ("publisher with a grant", Need::Manage),
    ("admin", Need::Admin),
];

/// A request with as little in it as can be; an answer that is an error of it is as good as any.
async fn ask(server: &TestServer, verb: &str, path: &str, token: &str) -> (u16, Option<(i64, String)>) {
    let mut request = Request::builder().method(verb).uri(format!("{path}?f=json"));
    if !token.is_empty() {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let (kind, body) = match path.ends_with("upload") || path.ends_with("Attachment") || path.ends_with("uploadPart") {
        true => (
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.json\"\r\n\r\n{}\r\n--b--\r\n",
        ),
        false => ("application/x-www-form-urlencoded", "f=json"),
    };
    let body = match verb {
        "GET" => Body::empty(),
        _ => Body::from(body),
    };
    let request = request.header(header::CONTENT_TYPE, kind).header(header::CONTENT_LENGTH, 100);
    let response = server.send(request.body(body).unwrap()).await;
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let error = serde_json::from_slice::<Json>(&bytes).ok().and_then(|answer| {
        let error = answer.get("error").filter(|error| error.is_object())?;
        Some((error["code"].as_i64()?, error["message"].as_str()?.to_owned()))
    });
    (status, error)
}

#[tokio::test]
async fn s16_everybody_may_what_they_may_and_nothing_else() {
    let mut server = with_users().await;
    server.configure(|config| config.metrics_open = false);
    server
        .database
        .sql(
            "insert into syncline.api_key (name, digest, role) values ('granted', sha256('slk_granted_0123456789abcdef'), 'publisher');
             insert into syncline.role (name, level) values ('keepers', 'publisher');
             update syncline.api_key set role = 'keepers' where name = 'granted';
             insert into syncline.service_grant (service_id, role, access) select service_id, 'keepers', 'manage' from syncline.service;
             insert into syncline.token (digest, account_id, expires_at) select sha256('slt_of_bob'), account_id, now() + interval '1 day'
               from syncline.account where name = 'bob';
             update syncline.account set enabled = false where name = 'bob';
             insert into syncline.api_key (name, digest, role, expires_at) values ('old', sha256('slk_old_0123456789abcdef'), 'admin', now());",
        )
        .await;
    server.app.store.reload().await.unwrap();
    let mut needs: BTreeMap<&str, Need> = BTreeMap::new();
    for (need, ids) in NEEDS {
        needs.extend(ids.split_whitespace().map(|id| (id, *need)));
    }
    let document = description(&server).await;
    let mut wrong = Vec::new();
    let mut n_routes = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (verb, operation) in [("GET", "get"), ("POST", "post")].map(|(verb, member)| (verb, &item[member])) {
            let Some(id) = operation["operationId"].as_str() else { continue };
            let plain = id.strip_suffix("ByPost").unwrap_or(id);
            let plain = plain.strip_suffix("Alias").unwrap_or(plain);
            let Some(need) = needs.get(plain).copied() else {
                wrong.push(format!("{plain} has no entry in the matrix: {path}"));
                continue;
            };
            n_routes += 1;
            let address: Vec<&str> = path
                .split('/')
                .map(|part| match part {
                    "{service}" => "trees",
                    "{layer}" | "{objectId}" | "{attachmentId}" | "{number}" => "0",
                    part if part.starts_with('{') => "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
                    part => part,
                })
                .collect();
            let address = address.join("/");
            let mut expect = async |who: &str, token: &str, refusal: Option<i64>| {
                let (status, error) = ask(&server, verb, &address, token).await;
                let code = error.as_ref().map(|(code, _)| *code);
                let is_refused = match &error {
                    Some((403, message)) => message.contains("permissions") || message.contains("administrators only"),
                    Some((code, _)) => matches!(code, 498 | 499),
                    None => false,
                };
                let fits = match refusal {
                    Some(refusal) => code == Some(refusal) && is_refused,
                    None => !is_refused && status < 500 && code.is_none_or(|code| code < 500 || code == 503),
                };
                if !fits {
                    wrong.push(format!("{who} at {verb} {path}: {status} {error:?}, expected {refusal:?}"));
                }
            };
            // Whoever signs in may hold whatever is old; sessions have tests of their own.
            let signs_in = address.ends_with("/login") || plain.starts_with("generateToken");
            // Only a session gets one; whoever presents a token has one.
            let of_session = plain == "sessionToken";
            let nobody = (need > Need::Nothing || of_session).then_some(499);
            expect("nobody", "", nobody).await;
            for old in ["slt_of_bob", "slk_old_0123456789abcdef", "nonsense"] {
                expect(old, old, (!signs_in).then_some(498)).await;
            }
            for (who, may) in PEOPLE {
                let token = key(if *who == "publisher with a grant" { "granted" } else { who });
                let refusal = (need > *may).then_some(403).or(of_session.then_some(499));
                expect(who, &token, refusal).await;
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {n_routes} routes:\n{}", wrong.len(), wrong.join("\n"));
    assert!(n_routes > 120, "{n_routes}");
}

#[tokio::test]
async fn who_may_not_edit_sends_no_large_file_for_nothing() {
    let mut server = with_users().await;
    server.configure(|config| config.max_body_bytes = 1 << 16);
    let send = async |token: &str, service: &str, length: &str| {
        let request =
            Request::post(format!("/arcgis/rest/services/{service}/FeatureServer/uploads/upload?f=json&token={token}"))
                .header(header::CONTENT_TYPE, "multipart/form-data; boundary=b")
                .header(header::CONTENT_LENGTH, length)
                // A client that waits for an answer before it sends more.
                .body(Body::from("--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.json\"\r\n\r\n{"))
                .unwrap();
        crate::support::server::error(&crate::support::server::json(server.send(request).await).await)
    };
    for service in ["trees", "nothing"] {
        assert_eq!(send("", service, "1000000").await.0, 499, "{service}");
    }
    assert_eq!(send(&key("viewer"), "trees", "1000000").await.0, 403);
    assert_eq!(send("nonsense", "trees", "1000000").await.0, 498);
    // The token may come after the file.
    assert_eq!(send("", "nothing", "1000").await.0, 499);
    assert_eq!(send("", "trees", "1000").await.0, 400);
    assert_eq!(send(&key("editor"), "trees", "1000000").await.0, 400);
}
