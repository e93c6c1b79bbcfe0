//! What is somebody else's: results by their addresses (S10), and rows by way of a replica (S18). That nobody reaches anything by its id, at any end
//! point that takes one, is in `owners::strangers`; that what was withdrawn goes, in `owners::withdrawn`.

use std::collections::BTreeSet;

use axum::{body::Body, http::Request};
use serde_json::{Value as Json, json};
use syncline::model::principal::Access;

use crate::{
    owners::{add, closed, code, create, define, get_as, id, ownership, post_as, species, synchronize, token},
    support::TestServer,
};

async fn status_of(server: &TestServer, token: &str, path: &str) -> (u16, i64, String) {
    let mut request = Request::get(format!("{path}?f=json")).header("host", "test:80");
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = server.send(request.body(Body::empty()).unwrap()).await;
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let body = String::from_utf8_lossy(&bytes).into_owned();
    let answer: Json = serde_json::from_str(&body).unwrap_or_default();
    (status, answer["error"]["code"].as_i64().unwrap_or(200), body)
}

#[tokio::test]
async fn s10_a_result_is_for_whoever_it_was_made_for_and_for_others_it_is_not_there() {
    let mut server = closed().await;
    add(&server, "ann", 1, &["ash"]).await;
    let mut results = Vec::new();
    for more in [
        &[("syncModel", "none")][..],
        &[("dataFormat", "geopackage")],
        &[("transportType", "esriTransportTypeUrl")],
        &[("dataFormat", "sqlite"), ("returnAttachments", "true")],
    ] {
        let made = post_as(&server, &token("ann"), "createReplica", &[&[("layers", "0")], more].concat()).await;
        let url = made["URL"].as_str().or(made["resultUrl"].as_str()).unwrap_or_else(|| panic!("{made}"));
        results.push(url.strip_prefix("http://test:80").unwrap().to_owned());
    }
    let changes = post_as(
        &server,
        &token("ann"),
        "extractChanges",
        &[
            ("layers", "0"),
            ("layerServerGens", r#"[{"id":0,"serverGen":0}]"#),
            ("dataFormat", "json"),
            ("transportType", "esriTransportTypeUrl"),
        ],
    )
    .await;
    results.extend(changes["URL"].as_str().map(|url| url.strip_prefix("http://test:80").unwrap().to_owned()));
    let mut seen = BTreeSet::new();
    for result in &results {
        let name = result.rsplit('/').next().unwrap();
        let id = name.split('.').next().unwrap().replace('-', "");
        assert!(id.len() >= 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{name} has 128 bits");
        assert!(seen.insert(id.clone()), "{name} twice");
        assert_eq!(status_of(&server, &token("ann"), result).await.1, 200, "{result}");
        let nothing = result.replace(name, &name.replace(&id[..4], "0f0f"));
        for other in ["bob", "vera"] {
            let (asked, no) =
                (status_of(&server, &token(other), result).await, status_of(&server, &token(other), &nothing).await);
            assert_eq!((asked.0, asked.1), (no.0, no.1), "{other} {result}");
            assert!(asked.1 == 404 && !asked.2.contains("ash"), "{other}: {asked:?}");
        }
        assert_eq!(status_of(&server, "", result).await.1, 499, "{result}");
    }
    // What nobody in particular made is for whoever has its address, which nobody guesses.
    server.configure(|config| config.anonymous = Access::View);
    let made = server.post("createReplica", &[("layers", "0"), ("syncModel", "none")]).await;
    let url =
        made["URL"].as_str().unwrap_or_else(|| panic!("{made}")).strip_prefix("http://test:80").unwrap().to_owned();
    for who in ["", &token("vera")] {
        assert_eq!(status_of(&server, who, &url).await.1, 200, "{who}");
    }
    // But somebody's own stays theirs there, too.
    assert_eq!(status_of(&server, "", &results[0]).await.1, 404);
}

/// The species that a document of a replica or of changes has.
fn species_in(answer: &Json) -> BTreeSet<String> {
    fn walk(value: &Json, found: &mut BTreeSet<String>) {
        match value {
            Json::Object(members) => {
                found.extend(members.get("species").and_then(Json::as_str).map(str::to_owned));
                members.values().for_each(|value| walk(value, found));
            }
            Json::Array(values) => values.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    walk(answer, &mut found);
    found
}

#[tokio::test]
async fn s18_nothing_comes_by_a_replica_or_as_a_change_that_a_query_does_not_tell() {
    let server = closed().await;
    add(&server, "ann", 1, &["ann 1", "ann 2"]).await;
    add(&server, "bob", 11, &["bob 1", "bob 2"]).await;
    define(&server, ownership(false, true, true)).await;
    // Filters that try to reach what is not theirs; whatever they ask for, at most what a query tells comes.
    let filters = [
        "1=1",
        "maker <> 'bob' or maker = 'bob'",
        "maker = 'ann'",
        "species like '%1'",
        "1=1) or (1=1",
        "maker is null or maker is not null",
        "not (maker = CURRENT_USER)",
    ];
    for user in ["ann", "bob", "vera"] {
        let visible: BTreeSet<String> = species(&server, user).await.into_iter().collect();
        for filter in filters {
            let queries = json!({"0": {"queryOption": "useFilter", "where": filter, "useGeometry": false}}).to_string();
            for more in [&[("syncModel", "none")][..], &[("syncDirection", "download")]] {
                let asked = [
                    &[
                        ("layers", "0"),
                        ("layerQueries", queries.as_str()),
                        ("transportType", "esriTransportTypeEmbedded"),
                    ],
                    more,
                ]
                .concat();
                let answer = post_as(&server, &token(user), "createReplica", &asked).await;
                let found = species_in(&answer);
                assert!(found.is_subset(&visible), "{user} {filter}: {found:?} of {visible:?}");
            }
        }
        let asked = [
            ("layers", "0"),
            ("layerServerGens", r#"[{"id":0,"serverGen":0}]"#),
            ("dataFormat", "json"),
            ("returnInserts", "true"),
            ("returnUpdates", "true"),
            ("returnDeletes", "true"),
            ("transportType", "esriTransportTypeEmbedded"),
        ];
        let found = species_in(&post_as(&server, &token(user), "extractChanges", &asked).await);
        assert!(found.is_subset(&visible), "{user}: {found:?} of {visible:?}");
    }
    // An upload reaches no row that its sender does not see, and what others do later does not come either.
    let held = create(&server, "bob", &[]).await;
    let upload =
        json!({"updates": [{"attributes": {"globalid": id(1), "species": "bob was here"}}], "deleteIds": [id(2)]});
    let answer = synchronize(&server, "bob", &held, Some(upload)).await;
    assert_eq!(code(&answer), 200, "{answer}");
    assert_eq!(species(&server, "ann").await, ["ann 1", "ann 2"]);
    add(&server, "ann", 3, &["ann 3"]).await;
    let later = synchronize(&server, "bob", &answer, None).await;
    assert!(!later.to_string().contains("ann 3"), "{later}");
    let told = get_as(&server, &token("bob"), "0/query", &[("where", "1=1"), ("returnCountOnly", "true")]).await;
    assert_eq!(told["count"], 2, "{told}");
}
