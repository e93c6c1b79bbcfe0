//! Why a replica holds a feature, or does not.

use serde_json::{Value as Json, json};

use super::{Field, edits, good, id, tree, updates};
use crate::support::{TestServer, server::error};

async fn explain(field: &Field<'_>, n: usize) -> Json {
    let path = format!("replicas/{}/explain", field.replica);
    good(field.server.get(&path, &[("layer", "0"), ("globalId", &id(n))]).await)
}

fn reasons(answer: &Json) -> String {
    answer["reasons"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn each_reason_is_a_sentence() {
    let server = TestServer::with_trees().await;
    for (n, girth, x) in [(1, 5, 1), (2, 50, 1), (3, 5, 999), (4, 5, 1)] {
        let row = format!("('{}', {girth}, ST_Point({x}, 1, 3857))", id(n));
        server.database.sql(&format!("insert into oak (globalid, girth, shape) values {row}")).await;
    }
    let parameters = [("layerQueries", r#"{"0":{"where":"girth < 10"}}"#), ("geometry", "0,0,10,10"), ("inSR", "3857")];
    let mut field = Field::new(&server, &parameters).await;
    for (n, held, words) in [
        (1, true, "it exists and passes the replica's filter. It has not changed since"),
        (2, false, "the where clause \"girth < 10\" is not true for it."),
        (3, false, "it lies outside of the replica's area"),
        (9, false, "it does not exist in layer 0"),
    ] {
        let answer = explain(&field, n).await;
        assert_eq!(answer["now"]["inReplica"], held, "{n}");
        assert!(reasons(&answer).contains(words), "{n}: {answer}");
        assert!(reasons(&answer).contains("never uploaded an edit of it"), "{n}: {answer}");
    }
    server
        .database
        .sql(&format!(
            "update oak set girth = 11 where globalid = '{}'; delete from oak where globalid = '{}'",
            id(1),
            id(4)
        ))
        .await;
    let answer = explain(&field, 1).await;
    assert_eq!((&answer["then"]["inReplica"], &answer["now"]["inReplica"]), (&json!(true), &json!(false)));
    assert_eq!(
        (&answer["then"]["feature"]["attributes"]["girth"], &answer["now"]["feature"]["attributes"]["girth"]),
        (&json!(5), &json!(11))
    );
    for words in ["by another program, with SQL, or by an administrator", "The next download deletes it."] {
        assert!(reasons(&answer).contains(words), "{words}: {answer}");
    }
    assert!(reasons(&explain(&field, 4).await).contains("it does not exist in layer 0"));

    let all = edits(&json!([tree(5, &json!({"girth": "wide"}))]), &json!([tree(2, &json!({"girth": 1}))]), &json!([]));
    server.database.sql(&format!("update oak set girth = 60 where globalid = '{}'", id(2))).await;
    good(field.synchronize(&all, &[("syncDirection", "upload")]).await);
    let answer = explain(&field, 2).await;
    assert_eq!(answer["receipts"][0]["success"], true);
    assert_eq!(answer["conflicts"].as_array().unwrap().len(), 1);
    for words in ["The next download adds it", "the update in upload", "was applied", "last in conflict"] {
        assert!(reasons(&answer).contains(words), "{words}: {answer}");
    }
    let answer = explain(&field, 5).await;
    assert_eq!(answer["rejectedEdits"].as_array().unwrap().len(), 1);
    for words in ["was refused: Setting of Value for girth failed", "1 refused edits of it are open"] {
        assert!(reasons(&answer).contains(words), "{words}: {answer}");
    }
    good(server.post("unRegisterReplica", &[("replicaID", &field.replica)]).await);
    assert!(reasons(&explain(&field, 2).await).contains("The replica is unregistered"));
}

#[tokio::test]
async fn what_is_not_asked_rightly_is_said_by_name() {
    let server = TestServer::with_trees().await;
    let mut field = Field::new(&server, &[]).await;
    good(field.synchronize(&updates(&json!([])), &[]).await);
    let path = format!("replicas/{}/explain", field.replica);
    for (parameters, words) in [
        (vec![("globalId", id(1))], "'layer' parameter"),
        (vec![("layer", "0".to_owned())], "'globalId' parameter"),
        (vec![("layer", "1".to_owned()), ("globalId", id(1))], "is not in the replica"),
        (vec![("layer", "0".to_owned()), ("globalId", "x".to_owned())], "is not a global id"),
    ] {
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (_, said) = error(&server.get(&path, &parameters).await);
        assert!(said.contains(words), "{said}");
    }
}
