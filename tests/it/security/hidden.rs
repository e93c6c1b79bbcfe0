//! What somebody learns of rows that are kept from them, other than by being shown them: by the reasons that are given, by errors, and in the books.

use serde_json::{Value as Json, json};

use crate::owners::{add, closed, code, create, define, get_as, id, ownership, post_as, synchronize, token};

#[tokio::test]
async fn s2_the_reasons_for_a_feature_that_one_may_not_see_are_those_for_one_that_never_was() {
    let server = closed().await;
    add(&server, "ann", 1, &["ash"]).await;
    let replica = create(&server, "bob", &[]).await;
    define(&server, ownership(false, false, false)).await;
    add(&server, "ann", 2, &["elm"]).await;
    let replica = synchronize(&server, "bob", &replica, None).await;
    let girth = json!([{"attributes": {"globalid": id(2), "girth": 7}}]).to_string();
    post_as(&server, &token("ann"), "0/applyEdits", &[("updates", &girth), ("useGlobalIds", "true")]).await;
    let path = format!("replicas/{}/explain", replica["replicaID"].as_str().unwrap());
    let explain = async |who: &str, number: u32| {
        let told = get_as(&server, &token(who), &path, &[("layer", "0"), ("globalId", &id(number))]).await;
        assert_eq!(code(&told), 200, "{told}");
        told
    };
    let nothing = explain("bob", 99).await.to_string().replace(&id(99), "ID");
    assert_eq!(explain("bob", 2).await.to_string().replace(&id(2), "ID"), nothing);
    // Who manages the service is told.
    let told = explain("boss", 2).await;
    assert_eq!((&told["now"]["exists"], &told["now"]["inReplica"]), (&json!(true), &json!(false)), "{told}");
    assert!(told["reasons"].to_string().contains("may not see it"), "{told}");
    // What is withdrawn is no longer told either, and one's own is.
    assert!(!explain("bob", 1).await.to_string().contains("ash"));
    add(&server, "bob", 11, &["fir"]).await;
    assert_eq!(explain("bob", 11).await["now"]["feature"]["attributes"]["species"], "fir");
}

#[tokio::test]
async fn s2_a_condition_that_cannot_be_computed_for_a_row_is_no_error() {
    let server = closed().await;
    add(&server, "ann", 1, &["ash"]).await;
    server.database.sql("update oak set girth = 5").await;
    let huge = format!("(CASE WHEN girth = 5 THEN 1 ELSE 0 END){}", " * 9223372036854775807".repeat(18));
    for clause in [
        format!("{huge} * 1.5 > 1"),
        format!("COALESCE({huge}, 1.5) > 1"),
        format!("CASE WHEN girth = 5 THEN {huge} ELSE 1.5 END > 1"),
        format!("NULLIF({huge}, 1.5) > 1"),
        format!("LN({huge}) > 1"),
        format!("SIN({huge}) > 1"),
        format!("POWER({huge}, 2) > 1"),
        format!("MOD({huge}, 1.5) > 1"),
        format!("CAST({huge} AS DOUBLE PRECISION) > 1"),
        format!("CAST({huge} AS REAL) > 1"),
        format!("CAST({huge} AS INTEGER) > 1"),
        format!("ROUND({huge} , 2) > 1"),
        format!("ROUND(1.5, {huge}) > 1"),
        format!("ATAN({huge}) > 1"),
        format!("CEILING({huge}) > 1"),
        format!("{huge} > 1.5"),
        format!("{huge} = height"),
        format!("height BETWEEN {huge} AND 2.5"),
        format!("{huge} IN (1.5, 2)"),
        format!("made + {huge} > DATE '2020-01-01'"),
        format!("-height > {huge}"),
        format!("SUBSTRING(species FROM {huge}) = 'a'"),
        format!("species || {huge} = 'a'"),
    ] {
        let told = post_as(&server, &token("bob"), "0/query", &[("where", &clause), ("returnCountOnly", "true")]).await;
        let is_refused_unread = told["error"]["details"][0].as_str().is_some_and(|text| text.contains("'where'"));
        assert!(told["count"].is_i64() || is_refused_unread, "{clause}: {told}");
    }
}

#[tokio::test]
async fn s21_nobody_takes_over_the_refused_edit_of_somebody_else_by_sending_the_same() {
    let server = closed().await;
    add(&server, "boss", 1, &["ash"]).await;
    define(&server, ownership(true, false, false)).await;
    let same = json!([{"attributes": {"globalid": id(1), "girth": 3}}]).to_string();
    for user in ["ann", "bob", "ann"] {
        let given = [("updates", same.as_str()), ("useGlobalIds", "true"), ("rollbackOnFailure", "false")];
        let answer = post_as(&server, &token(user), "0/applyEdits", &given).await;
        assert_eq!(answer["updateResults"][0]["error"]["code"], 1007, "{answer}");
    }
    let kept = async |user: &str| -> Vec<Json> {
        get_as(&server, &token(user), "rejectedEdits", &[]).await["rejectedEdits"].as_array().unwrap().clone()
    };
    for (user, times) in [("ann", 2), ("bob", 1)] {
        let own = kept(user).await;
        assert_eq!(own.len(), 1, "{user}: {own:?}");
        assert_eq!((&own[0]["userName"], &own[0]["timesReceived"]), (&json!(user), &json!(times)));
    }
    assert_eq!(kept("boss").await.len(), 2);
}
