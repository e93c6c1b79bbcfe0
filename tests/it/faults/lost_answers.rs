//! T-R1: answers that never arrive. The client repeats itself, and nothing happens twice.

use futures_util::{StreamExt as _, stream};
use serde_json::{Value as Json, json};

use crate::support::{TestServer, at_length};

const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");

fn id(n: u32) -> String {
    format!("{{AAAAAAAA-0000-4000-8000-{n:012}}}")
}

/// The trees 1 to 4 and the visit 5.
async fn with_rows() -> TestServer {
    let server = TestServer::with_trees().await;
    for n in 1..=4 {
        let statement = format!(
            "insert into oak (globalid, species, girth, shape) values ('{}', 'elm', {n}, ST_Point({n}, {n}, 3857))",
            id(n)
        );
        server.database.sql(&statement).await;
    }
    server.database.sql(&format!("insert into visit (globalid, note) values ('{}', 'first')", id(5))).await;
    server
}

async fn create(server: &TestServer, model: &str) -> Json {
    let queries = ("layerQueries", r#"{"1":{"queryOption":"all"}}"#);
    server.post("createReplica", &[("layers", "0,1"), ("syncModel", model), queries, EMBEDDED]).await
}

async fn synchronize(server: &TestServer, held: &Json, edits: &str) -> Json {
    let mut parameters = vec![
        ("replicaID", held["replicaID"].as_str().unwrap_or_else(|| panic!("{held}")).to_owned()),
        ("transportType", EMBEDDED.1.to_owned()),
        ("rollbackOnFailure", "false".to_owned()),
        ("returnIdsForAdds", "true".to_owned()),
        ("edits", edits.to_owned()),
    ];
    match held.get("layerServerGens") {
        Some(generations) => {
            let layers = generations.to_string().replace('}', r#","syncDirection":"bidirectional"}"#);
            parameters.push(("syncLayers", layers));
        }
        None => parameters.push(("replicaServerGen", held["replicaServerGen"].to_string())),
    }
    let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut answer = server.post("synchronizeReplica", &parameters).await;
    // Who repeats itself may hold more than it says, and is told again what is gone: here, what it deleted itself.
    if let Some(gone) = answer.pointer_mut("/edits/0/features/deleteIds").and_then(Json::as_array_mut) {
        gone.retain(|gone| ![id(2), id(3)].contains(&gone.as_str().unwrap().to_owned()));
    }
    answer
}

/// Adds, updates and deletes in both layers, of which some are refused, in spellings that mean the same. `first` is the
/// number of the first new feature.
fn spellings(first: u32) -> [String; 4] {
    let [one, two, three] = [first, first + 1, first + 2].map(id);
    let whole = json!([
        {"id": 0, "features": {
            "adds": [
                {"attributes": {"globalid": one, "species": "yew", "girth": 7}, "geometry": {"x": 1, "y": 2}},
                {"attributes": {"globalid": two, "girth": "many"}},
            ],
            "updates": [
                {"attributes": {"globalid": id(1), "species": "fir", "height": 2.5}},
                {"attributes": {"globalid": id(99), "species": "nowhere"}},
            ],
            "deleteIds": [id(2), id(3)],
        }},
        {"id": 1, "features": {
            "adds": [{"attributes": {"globalid": three, "note": "new"}}],
            "updates": [{"attributes": {"globalid": id(5), "note": "changed"}}],
            "deleteIds": [],
        }},
    ]);
    let compact = whole.to_string();
    let [bare_one, bare_two] = [&one, &two].map(|id| id.trim_matches(['{', '}']).to_lowercase());
    let other = format!(
        r#"[ {{"features": {{"deleteIds": ["{del2}", "{del3}"],
                "updates": [{{"attributes":{{"height":2.50,"species":"fir","globalid":"{upd}"}}}}, {{"attributes":{{"species":"nowhere","globalid":"{gone}"}}}}],
                "adds": [{{"geometry":{{"y":2.0,"x":1.0}},"attributes":{{"girth":7,"species":"yew","globalid":"{bare_one}"}}}}, {{"attributes":{{"girth":"many","globalid":"{bare_two}"}}}}]}}, "id": 0}},
             {{"features": {{"deletes": null, "updates": [{{"attributes":{{"note":"changed","GLOBALID":"{five}"}}}}], "adds": [{{"attributes":{{"note":"new","globalid":"{three}"}}}}]}}, "id": 1}} ]"#,
        five = id(5).to_lowercase(),
        del2 = id(2).to_lowercase(),
        del3 = id(3).trim_matches(['{', '}']),
        upd = id(1).to_lowercase(),
        gone = id(99),
    );
    [compact.clone(), serde_json::to_string_pretty(&whole).unwrap(), other, compact]
}

/// What an upload leaves in the tables, in the history and in the books.
async fn effects(server: &TestServer) -> String {
    server
        .database
        .value(
            "select jsonb_build_object(
               'rows', (select jsonb_agg(to_jsonb(o) order by o.globalid) from oak o),
               'visits', (select jsonb_agg(to_jsonb(v) order by v.globalid) from visit v),
               'changes', (select count(*) from syncline.change_1) + (select count(*) from syncline.change_2),
               'batches', (select count(*) from syncline.batch), 'receipts', (select count(*) from syncline.receipt))::text",
        )
        .await
}

#[tokio::test]
async fn a_batch_that_comes_again_and_again_has_one_effect_and_one_answer() {
    let server = with_rows().await;
    for (model, first) in [("perReplica", 10), ("perLayer", 20)] {
        let replica = create(&server, model).await;
        let spellings = spellings(first);
        let answer = synchronize(&server, &replica, &spellings[0]).await;
        let results = answer["edits"][0]["features"]["addResults"].as_array().unwrap_or_else(|| panic!("{answer}"));
        assert_eq!((&results[0]["success"], &results[1]["success"]), (&json!(true), &json!(false)), "{answer}");
        assert!(results[0]["objectId"].is_i64(), "{answer}");
        let once = effects(&server).await;
        for n in 0..at_length(20, 1000) {
            let again = synchronize(&server, &replica, &spellings[n % spellings.len()]).await;
            assert_eq!(again, answer, "{model}, repetition {n}");
        }
        assert_eq!(effects(&server).await, once, "{model}");
    }
}

#[tokio::test]
async fn many_callers_with_one_batch_have_one_effect_and_one_answer() {
    let server = with_rows().await;
    for (model, first) in [("perReplica", 10), ("perLayer", 20)] {
        let replica = create(&server, model).await;
        let spellings = spellings(first);
        let n_callers = at_length(8, 32);
        // Nobody was first before: they meet in the middle of it.
        let answers: Vec<Json> = stream::iter(0..n_callers)
            .map(|n| synchronize(&server, &replica, &spellings[n % spellings.len()]))
            .buffer_unordered(n_callers)
            .collect()
            .await;
        for answer in &answers {
            assert_eq!(answer, &answers[0], "{model}");
        }
        let once = effects(&server).await;
        assert_eq!(synchronize(&server, &replica, &spellings[0]).await, answers[0], "{model}");
        assert_eq!(effects(&server).await, once, "{model}");
        let counts = "select count(*) || ' ' || count(distinct batch_id) from syncline.receipt join syncline.batch using (batch_id)
            where replica_id = (select replica_id from syncline.replica order by created_at desc limit 1)";
        assert_eq!(server.database.value::<String>(counts).await, "8 1", "each edit of one batch has its receipt");
    }
}

/// The same edit made again after another one is no repetition.
#[tokio::test]
async fn an_edit_made_again_after_another_is_an_edit() {
    let server = with_rows().await;
    let replica = create(&server, "perReplica").await;
    let girth = |girth: u32| {
        json!([{"id": 0, "features": {"updates": [{"attributes": {"globalid": id(1), "girth": girth}}]}}]).to_string()
    };
    for n in [11, 12, 11, 12] {
        let answer = synchronize(&server, &replica, &girth(n)).await;
        assert!(answer.get("error").is_none(), "{answer}");
        let stored: i32 = server.database.value(&format!("select girth from oak where globalid = '{}'", id(1))).await;
        assert_eq!(stored, i32::try_from(n).unwrap());
    }
}

/// The global id is what a feature is known by, whoever makes it first.
#[tokio::test]
async fn a_feature_that_two_devices_add_is_one() {
    let server = with_rows().await;
    let add = |girth: u32| {
        json!([{"id": 0, "features": {"adds": [{"attributes": {"globalid": id(7), "girth": girth}}]}}]).to_string()
    };
    let mut results = Vec::new();
    for girth in [1, 2] {
        let replica = create(&server, "perReplica").await;
        let answer = synchronize(&server, &replica, &add(girth)).await;
        results.push(answer["edits"][0]["features"]["addResults"][0].clone());
    }
    assert_eq!(results[0]["success"], true, "{results:?}");
    assert_eq!(results[1], results[0], "the same feature, with the same object id");
    let query = "select string_agg(globalid || ' ' || girth, ',') from oak where objectid > 4";
    let expected = format!("{} 2", id(7).trim_matches(['{', '}']).to_lowercase());
    assert_eq!(server.database.value::<String>(query).await, expected);
}
