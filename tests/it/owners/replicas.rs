//! Whose replicas are, and what becomes of them when rights change.

use serde_json::{Value as Json, json};

use super::{EMBEDDED, add, closed, code, create, get_as, id, post_as, species, synchronize, token};
use crate::support::program::Program;

#[tokio::test]
async fn a_replica_is_for_its_owner_and_for_who_manages_the_service() {
    let server = closed().await;
    let replica = create(&server, "ann", &[]).await;
    let id = replica["replicaID"].as_str().unwrap();
    let shown = get_as(&server, &token("ann"), &format!("replicas/{id}"), &[]).await;
    assert_eq!(shown["replicaOwner"], "ann");
    let listed = async |user: &str| get_as(&server, &token(user), "replicas", &[]).await.as_array().unwrap().len();
    assert_eq!((listed("ann").await, listed("bob").await, listed("vera").await, listed("boss").await), (1, 0, 0, 1));
    for user in ["bob", "vera"] {
        assert_eq!(code(&synchronize(&server, user, &replica, None).await), 400);
        let refused = post_as(&server, &token(user), "unRegisterReplica", &[("replicaID", id)]).await;
        assert_eq!(refused["success"], false, "{refused}");
        // All that they may: none.
        let all = post_as(&server, &token(user), "unRegisterReplica", &[("replicaID", "*")]).await;
        assert_eq!(all["success"], true, "{all}");
    }
    assert_eq!(listed("ann").await, 1);
    assert_eq!(code(&synchronize(&server, "boss", &replica, None).await), 200);
    assert_eq!(code(&synchronize(&server, "ann", &replica, None).await), 200);
    let gone = post_as(&server, &token("ann"), "unRegisterReplica", &[("replicaID", id)]).await;
    assert_eq!(gone["success"], true, "{gone}");
}

#[tokio::test]
async fn edits_of_a_device_whose_owner_may_no_longer_edit_are_kept_whole() {
    let server = closed().await;
    let replica = create(&server, "ann", &[]).await;
    server
        .database
        .sql(
            "insert into syncline.service_grant (service_id, account_id, access)
             select service_id, account_id, 'view' from syncline.service, syncline.account a where a.name = 'ann'",
        )
        .await;
    server.app.store.reload().await.unwrap();
    let edits = json!({"adds": [{"attributes": {"globalid": id(1), "species": "oak", "girth": 7}}]});
    let mut answer = synchronize(&server, "ann", &replica, Some(edits.clone())).await;
    assert_eq!(code(&answer), 200, "{answer}");
    let result = answer["edits"][0]["features"]["addResults"][0].take();
    assert_eq!(result["error"]["code"], 1013, "{answer} {result}");
    assert!(result["error"]["description"].as_str().unwrap().contains("'edit'"), "{result}");
    assert_eq!(species(&server, "boss").await, Vec::<String>::new());
    let open = get_as(&server, &token("boss"), "rejectedEdits", &[("state", "open")]).await;
    let open = &open["rejectedEdits"][0];
    assert_eq!((&open["userName"], &open["feature"]["attributes"]["girth"]), (&json!("ann"), &json!(7)), "{open}");
    let path = format!("rejectedEdits/{}/apply", open["rejectedEditId"]);
    assert_eq!(post_as(&server, &token("boss"), &path, &[]).await["success"], true);
    assert_eq!(species(&server, "boss").await, ["oak"]);
    // The books say who decided.
    let closed = get_as(&server, &token("boss"), "rejectedEdits", &[("state", "applied")]).await;
    assert_eq!(closed["rejectedEdits"][0]["closedBy"], "boss", "{closed}");
}

#[tokio::test]
async fn what_nobody_owns_is_for_everybody_who_may_use_the_service() {
    let mut server = closed().await;
    server.configure(|config| config.anonymous = syncline::model::principal::Access::Edit);
    let made = server.post("createReplica", &[("layers", "0"), EMBEDDED]).await;
    for user in ["ann", "bob", "boss"] {
        let listed = get_as(&server, &token(user), "replicas", &[]).await;
        assert_eq!(listed[0]["replicaOwner"], "", "{listed}");
        assert_eq!(code(&synchronize(&server, user, &made, None).await), 200);
    }
    let own = create(&server, "ann", &[]).await;
    let refused = server
        .post(
            "synchronizeReplica",
            &[
                ("replicaID", own["replicaID"].as_str().unwrap()),
                ("replicaServerGen", &own["replicaServerGen"].to_string()),
            ],
        )
        .await;
    assert_eq!(code(&refused), 400, "{refused}");
}

#[tokio::test]
async fn a_replica_can_be_given_to_somebody_else() {
    let server = closed().await;
    add(&server, "ann", 1, &["ash"]).await;
    let replica = create(&server, "ann", &[]).await;
    let id = replica["replicaID"].as_str().unwrap();
    let program = Program::on(&server.database);
    let failed = program.failed(&["replicas", "give", id, "--to", "nobody-known"]);
    assert!(failed.contains("nobody-known"), "{failed}");
    program.done(&["replicas", "give", id, "--to", "bob"]);
    assert_eq!(code(&synchronize(&server, "ann", &replica, None).await), 400);
    assert_eq!(code(&synchronize(&server, "bob", &replica, None).await), 200);
    let listed = program.done(&["replicas", "list"]);
    assert!(listed.contains("bob"), "{listed}");
    // One who has left.
    server.database.sql("delete from syncline.account where name = 'bob'").await;
    let given = program.done(&["replicas", "give", "--from", "BOB", "--to", "ann", "--json"]);
    assert!(given.contains(id), "{given}");
    assert_eq!(code(&synchronize(&server, "ann", &replica, None).await), 200);
    program.done(&["replicas", "give", id, "--to-anybody"]);
    assert_eq!(code(&synchronize(&server, "boss", &replica, None).await), 200);
}

#[tokio::test]
async fn a_job_does_what_its_owner_may_when_it_runs() {
    let server = closed().await;
    let submitted = post_as(
        &server,
        &token("ann"),
        "createReplica",
        &[("layers", "0"), ("async", "true"), ("replicaName", "later")],
    )
    .await;
    let status = submitted["statusUrl"].as_str().unwrap().split("/FeatureServer/").nth(1).unwrap().to_owned();
    let running = server.run_jobs();
    server.database.until("select not exists (select from syncline.job where ended_at is null)").await;
    running.stop().await;
    let ended = get_as(&server, &token("ann"), &status, &[]).await;
    assert_eq!(ended["status"], "Completed", "{ended}");
    let shown =
        get_as(&server, &token("ann"), &format!("replicas/{}", ended["replicaID"].as_str().unwrap()), &[]).await;
    assert_eq!(shown["replicaOwner"], "ann");
    let file = ended["resultUrl"].as_str().unwrap().split("/FeatureServer/").nth(1).unwrap().to_owned();
    assert!(get_as(&server, &token("ann"), &file, &[]).await["layers"].is_array());
    assert_eq!(code(&get_as(&server, &token("bob"), &file, &[]).await), 404);
    let submitted = post_as(&server, &token("bob"), "createReplica", &[("layers", "0"), ("async", "true")]).await;
    let status = submitted["statusUrl"].as_str().unwrap().split("/FeatureServer/").nth(1).unwrap().to_owned();
    server.database.sql("delete from syncline.account where name = 'bob'").await;
    let running = server.run_jobs();
    server.database.until("select not exists (select from syncline.job where ended_at is null)").await;
    running.stop().await;
    let ended = get_as(&server, &token("boss"), &status, &[]).await;
    assert_eq!(ended["status"], "Failed", "{ended}");
    assert_eq!(ended["error"]["code"], 403, "{ended}");
}

#[tokio::test]
async fn a_service_that_is_only_read_is_kept_up_to_date_by_replicas_of_who_manages_it() {
    let server = closed().await;
    add(&server, "boss", 1, &["oak"]).await;
    let path = "/arcgis/rest/admin/services/trees/FeatureServer/updateDefinition";
    let given = json!({"capabilities": "Query,Sync"}).to_string();
    assert_eq!(post_as(&server, &token("boss"), path, &[("updateDefinition", &given)]).await["success"], true);
    let direction = async |user: &str, replica: &Json| {
        let path = format!("replicas/{}", replica["replicaID"].as_str().unwrap());
        get_as(&server, &token(user), &path, &[]).await["syncDirection"].clone()
    };
    let update = |girth: i32| json!({"updates": [{"attributes": {"globalid": id(1), "girth": girth}}]});
    let girth = async || server.database.value::<Option<i32>>("select girth from oak").await;
    let (anns, boss) = (create(&server, "ann", &[]).await, create(&server, "boss", &[]).await);
    assert_eq!(
        (direction("ann", &anns).await, direction("boss", &boss).await),
        (json!("download"), json!("bidirectional"))
    );
    assert!(code(&synchronize(&server, "ann", &anns, Some(update(2))).await) >= 400);
    let asked = create(&server, "ann", &[("syncDirection", "bidirectional")]).await;
    let refused = synchronize(&server, "ann", &asked, Some(update(3))).await;
    assert_eq!(refused["edits"][0]["features"]["updateResults"][0]["success"], false, "{refused}");
    assert_eq!(girth().await, None);
    let answer = synchronize(&server, "boss", &boss, Some(update(4))).await;
    assert_eq!((code(&answer), girth().await), (200, Some(4)), "{answer}");
    let changes = synchronize(&server, "ann", &anns, None).await;
    assert_eq!(changes["edits"][0]["features"]["updates"][0]["attributes"]["girth"], 4, "{changes}");
    // It is for replicas alone.
    let edit = json!([{"attributes": {"globalid": id(1), "girth": 5}}]).to_string();
    let refused =
        post_as(&server, &token("boss"), "0/applyEdits", &[("updates", &edit), ("useGlobalIds", "true")]).await;
    assert!(code(&refused) >= 400 && girth().await == Some(4), "{refused}");
    assert_eq!(code(&post_as(&server, &token("boss"), "uploads/register", &[("itemName", "a.json")]).await), 200);
    assert!(code(&post_as(&server, &token("ann"), "uploads/register", &[("itemName", "a.json")]).await) >= 400);
}
