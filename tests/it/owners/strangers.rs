//! Nobody reaches what is somebody else's by its id, and nobody learns whether there is such a thing: every resource and operation that the
//! description of the interface names with an id of a replica, job, upload, result or entry of the books is asked for by others.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{EMBEDDED, add, closed, code, create, define, get_as, id, ownership, post_as, synchronize, token};
use crate::support::TestServer;

/// What one user has of each kind, by the name that the description has for its id.
async fn belongings(server: &TestServer) -> BTreeMap<&'static str, Vec<String>> {
    add(server, "boss", 1, &["ash"]).await;
    let replica = create(server, "ann", &[]).await;
    // A conflict, a refused edit, and batches of both kinds.
    let update = |girth: i32| json!({"updates": [{"attributes": {"globalid": id(1), "girth": girth}}]});
    let changed = json!([{"attributes": {"globalid": id(1), "girth": 1}}]).to_string();
    post_as(server, &token("boss"), "0/applyEdits", &[("updates", &changed), ("useGlobalIds", "true")]).await;
    let uploaded = synchronize(server, "ann", &replica, Some(update(2))).await;
    define(server, ownership(true, false, false)).await;
    synchronize(server, "ann", &uploaded, Some(update(3))).await;
    add(server, "ann", 5, &["elm"]).await;
    let job = post_as(server, &token("ann"), "createReplica", &[("layers", "0"), ("async", "true")]).await;
    let last = |url: &Json| url.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let export = post_as(server, &token("ann"), "createReplica", &[("layers", "0"), ("syncModel", "none")]).await;
    let item = post_as(server, &token("ann"), "uploads/register", &[("itemName", "a.json")]).await;
    let numbers = async |list: &str, member: &str, of: &str| -> Vec<String> {
        let listed = get_as(server, &token("ann"), list, &[]).await;
        let listed = listed[member].as_array().unwrap_or_else(|| panic!("{list}: {listed}")).clone();
        assert!(!listed.is_empty(), "{list}");
        listed.iter().map(|entry| entry[of].to_string()).collect()
    };
    BTreeMap::from([
        ("replicaId", vec![replica["replicaID"].as_str().unwrap().to_owned()]),
        ("jobId", vec![last(&job["statusUrl"])]),
        ("file", vec![last(&export["URL"])]),
        ("itemId", vec![item["item"]["itemID"].as_str().unwrap().to_owned()]),
        ("batches", numbers("batches", "batches", "batchId").await),
        ("rejectedEdits", numbers("rejectedEdits", "rejectedEdits", "rejectedEditId").await),
        ("conflicts", numbers("conflicts", "conflicts", "conflictId").await),
    ])
}

/// An id of the same kind that nothing has.
fn nothing(kind: &str) -> String {
    match kind {
        "replicaId" => "0f0f0f0f-0000-4000-8000-00000000000f".to_owned(),
        "jobId" => "j0f0f0f0f00004000800000000000000f".to_owned(),
        "file" => "0f0f0f0f-0000-4000-8000-00000000000f.json".to_owned(),
        "itemId" => "i0f0f0f0f-0000-4000-8000-00000000000f".to_owned(),
        _ => "987654321".to_owned(),
    }
}

/// The parameters without which an operation does not come to look at its id.
fn needed(path: &str) -> Vec<(&'static str, &'static str)> {
    match path {
        path if path.ends_with("/explain") => {
            vec![("layer", "0"), ("globalId", "{00000000-0000-4000-8000-000000000001}")]
        }
        path if path.ends_with("/uploadPart") => vec![("partId", "1")],
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn what_is_somebody_elses_is_not_there_for_anybody_else() {
    let server = closed().await;
    let belongings = belongings(&server).await;
    let openapi = server.get("/openapi.json", &[]).await;
    let mut n_asked = 0;
    for (path, operations) in openapi["paths"].as_object().unwrap() {
        let Some((_, below)) = path.split_once("/FeatureServer/") else { continue };
        let kind = match below.split(['{', '}']).nth(1) {
            Some("number") if below.starts_with("replicas/") => "batches",
            Some("number") => below.split('/').next().unwrap(),
            Some(kind @ ("replicaId" | "jobId" | "file" | "itemId")) => kind,
            // Features and layers are for all who may see them.
            Some("layer" | "objectId" | "feature" | "attachmentId") | None => continue,
            Some(other) => panic!("{path}: nobody has said yet whose a thing with the id {{{other}}} is"),
        };
        // The file comes before anything is looked at.
        if below.ends_with("/uploadPart") {
            continue;
        }
        for method in operations.as_object().unwrap().keys().filter(|method| ["get", "post"].contains(&method.as_str()))
        {
            for own in &belongings[kind] {
                for user in ["bob", "vera"] {
                    let ask = async |id: &str| {
                        let filled = below
                            .replace(&format!("{{{kind}}}"), id)
                            .replace("{replicaId}", &belongings["replicaId"][0]);
                        let filled = filled.replace("{number}", id);
                        let parameters = needed(below);
                        let answer = match method.as_str() {
                            "get" => get_as(&server, &token(user), &filled, &parameters).await,
                            _ => post_as(&server, &token(user), &filled, &parameters).await,
                        };
                        assert!(code(&answer) >= 400, "{user}: {method} {filled}: {answer}");
                        let text = answer.to_string().to_lowercase();
                        match id.chars().all(|c| c.is_ascii_digit()) {
                            true => text.replace(&format!(" {id} "), " ID "),
                            false => text
                                .replace(&id.to_lowercase(), "ID")
                                .replace(&id.trim_start_matches('i').to_lowercase(), "ID"),
                        }
                    };
                    assert_eq!(
                        ask(own).await,
                        ask(&nothing(kind)).await,
                        "{user}: {method} {path} tells what there is"
                    );
                    n_asked += 1;
                }
            }
        }
    }
    assert!(n_asked > 60, "{n_asked}");
    // And nothing of it has come to harm.
    for (path, kind) in
        [("replicas/", "replicaId"), ("jobs/", "jobId"), ("replicafiles/", "file"), ("uploads/", "itemId")]
    {
        let own = get_as(&server, &token("ann"), &format!("{path}{}", belongings[kind][0]), &[]).await;
        assert_eq!(code(&own), 200, "{own}");
    }
    let open = get_as(&server, &token("ann"), "rejectedEdits", &[("state", "open")]).await;
    assert_eq!(open["rejectedEdits"].as_array().unwrap().len(), 1, "{open}");
}

#[tokio::test]
async fn lists_have_what_is_ones_own_and_all_of_it_for_who_manages_the_service() {
    let server = closed().await;
    belongings(&server).await;
    for (list, member, least) in [
        ("replicas", "", 1),
        ("jobs", "jobs", 1),
        ("uploads", "items", 1),
        ("batches", "batches", 2),
        ("rejectedEdits", "rejectedEdits", 1),
        ("conflicts", "conflicts", 1),
    ] {
        let n_listed = async |user: &str| {
            let answer = get_as(&server, &token(user), list, &[]).await;
            let listed = if member.is_empty() { &answer } else { &answer[member] };
            listed.as_array().unwrap_or_else(|| panic!("{list}: {answer}")).len()
        };
        assert!(n_listed("ann").await >= least, "{list}");
        assert_eq!(n_listed("bob").await, 0, "{list}");
        assert!(n_listed("boss").await >= n_listed("ann").await, "{list}");
    }
    // Somebody else's edits are not applied as one's own, and a job or an upload of others is not used.
    let item = post_as(&server, &token("ann"), "uploads/register", &[("itemName", "b.json")]).await;
    let own = create(&server, "bob", &[]).await;
    let refused = post_as(
        &server,
        &token("bob"),
        "synchronizeReplica",
        &[
            ("replicaID", own["replicaID"].as_str().unwrap()),
            ("replicaServerGen", &own["replicaServerGen"].to_string()),
            ("editsUploadId", item["item"]["itemID"].as_str().unwrap()),
            EMBEDDED,
        ],
    )
    .await;
    assert_eq!(code(&refused), 400, "{refused}");
}
