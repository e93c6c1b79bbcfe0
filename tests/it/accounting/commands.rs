//! The commands of the books, by the real program; and their pages.

use serde_json::{Value as Json, json};

use super::{Field, adds, good, id, stored, tree, updates};
use crate::support::{Program, TestServer, server::text};

#[tokio::test(flavor = "multi_thread")]
async fn the_books_are_read_and_acted_on_by_commands() {
    let server = TestServer::with_trees().await;
    let mut ada = Field::new(&server, &[("replicaName", "Ada")]).await;
    good(
        ada.synchronize(&adds(&json!([tree(1, &json!({"girth": 1})), tree(2, &json!({"girth": "wide"}))])), &[]).await,
    );
    let mut ben = Field::new(&server, &[("replicaName", "Ben")]).await;
    good(ada.synchronize(&updates(&json!([tree(1, &json!({"girth": 2}))])), &[]).await);
    good(ben.synchronize(&updates(&json!([tree(1, &json!({"girth": 3}))])), &[]).await);
    let program = Program::on(&server.database);
    let read = |arguments: &[&str]| -> Json { serde_json::from_str(&program.done(arguments)).unwrap() };

    let batches = read(&["batches", "list", &ada.replica, "--json"]);
    assert_eq!(batches.as_array().unwrap().len(), 2);
    let number = batches[1]["batchId"].to_string();
    let listed = program.done(&["batches", "list", &ada.replica]);
    assert!(listed.contains("Received (UTC)") && listed.contains("bidirectional"), "{listed}");
    let shown = program.done(&["batches", "show", &number]);
    assert!(shown.contains(&id(2)) && shown.contains("Setting of Value for girth failed"), "{shown}");

    let rejected = program.done(&["rejected", "list", "--state", "open", "--replica", &ada.replica]);
    assert!(rejected.contains("Ada") && rejected.contains(&id(2)), "{rejected}");
    let number = read(&["rejected", "list", "--json"])[0]["rejectedEditId"].to_string();
    let complaint = program.failed(&["rejected", "apply", &number]);
    assert!(complaint.contains("was refused again"), "{complaint}");
    let file = program.data().join("feature.json");
    std::fs::write(&file, tree(2, &json!({"girth": 9})).to_string()).unwrap();
    program.done(&["rejected", "apply", &number, "--feature", file.to_str().unwrap()]);
    assert_eq!(stored(&server, 2, "girth").await, "9");
    assert!(program.failed(&["rejected", "dismiss", &number]).contains("is applied"));
    assert!(program.done(&["rejected", "show", &number]).contains("administrator"));

    let conflict = read(&["conflicts", "list", "--json"])[0].clone();
    assert_eq!((&conflict["service"], &conflict["otherReplicaName"]), (&json!("trees"), &json!("Ada")));
    let number = conflict["conflictId"].to_string();
    assert!(program.done(&["conflicts", "list"]).contains("girth"));
    assert!(program.done(&["conflicts", "show", &number]).contains("\"girth\":2"));
    program.done(&["conflicts", "restore", &number]);
    assert_eq!(stored(&server, 1, "girth").await, "2");
    assert!(program.failed(&["conflicts", "restore", "77"]).contains("there is no conflict 77"));

    let explained = program.done(&["explain", &ben.replica, "--layer", "0", "--global-id", &id(1)]);
    assert!(explained.contains("passes") || explained.contains("takes all rows"), "{explained}");
    let verified = program.done(&["verify", &ada.replica]);
    assert!(verified.contains("Generation:") && verified.contains("Content"), "{verified}");

    let number = batches[0]["batchId"].to_string();
    let preview = program.done(&["batches", "undo", &number, "--preview"]);
    assert!(preview.contains("To be taken back: 0 features") && preview.contains(&id(1)), "{preview}");
    program.done(&["batches", "undo", &number, "--force"]);
    assert_eq!(stored(&server, 1, "girth").await, "1");
}

#[tokio::test]
async fn the_books_have_pages_with_links_and_forms() {
    let server = TestServer::with_trees().await;
    let mut field = Field::new(&server, &[("replicaName", "<Ada>")]).await;
    good(field.synchronize(&adds(&json!([tree(1, &json!({"girth": "<b>"}))])), &[]).await);
    let page = async |path: &str| text(server.fetch(path, &[]).await).await;
    let replica = page(&format!("replicas/{}", field.replica)).await;
    let root = "/arcgis/rest/services/trees/FeatureServer";
    for link in [
        format!("{root}/replicas/{}/batches", field.replica),
        format!("{root}/rejectedEdits?replicaID={}", field.replica),
        format!("{root}/conflicts?replicaID={}", field.replica),
        format!("{root}/replicas/{}/verify", field.replica),
    ] {
        assert!(replica.contains(&link), "{link}: {replica}");
    }
    for path in
        [format!("replicas/{}/batches", field.replica), "rejectedEdits".to_owned(), "rejectedEdits/1".to_owned()]
    {
        let shown = page(&path).await;
        assert!(shown.contains("&lt;") && !shown.contains("<b>") && !shown.contains("<Ada>"), "{path}: {shown}");
    }
    for (path, parameter) in [
        (format!("replicas/{}/batches/1/undo", field.replica), "preview"),
        ("rejectedEdits/1/apply".to_owned(), "feature"),
        ("conflicts/1/restore".to_owned(), "force"),
    ] {
        let form = page(&path).await;
        assert!(form.contains("method=\"post\"") && form.contains(&format!("name=\"{parameter}\"")), "{path}: {form}");
    }
    assert!(page("rejectedEdits/1/dismiss").await.contains("Dismiss"));
}
