//! Synchronizing a replica: directions, edits and their results, repetitions, and what reaches a delta.

use futures_util::future::join_all;
use serde_json::{Value as Json, json};

use crate::support::{TestServer, server::error};

const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");
const LISTS: [&str; 6] = ["addResults", "adds", "deleteIds", "deleteResults", "updateResults", "updates"];

/// A server with the trees elm, fir and ash, whose girths are 0, 10, and 20.
async fn with_rows() -> TestServer {
    let server = TestServer::with_trees().await;
    server
        .database
        .sql("insert into oak (species, girth, shape) select name, n * 10, ST_Point(n, n, 3857) from unnest(array['elm', 'fir', 'ash'], array[0, 1, 2]) as t (name, n)")
        .await;
    server
}

async fn create(server: &TestServer, parameters: &[(&str, &str)]) -> Json {
    let mut all = vec![("layers", "0,1"), EMBEDDED, ("layerQueries", r#"{"1":{"queryOption":"all"}}"#)];
    all.extend(parameters);
    let answer = server.post("createReplica", &all).await;
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}

/// Synchronizes with the generation of an earlier answer.
async fn attempt(server: &TestServer, holding: &Json, parameters: &[(&str, &str)]) -> Json {
    let generation = holding["replicaServerGen"].to_string();
    let mut all =
        vec![("replicaID", holding["replicaID"].as_str().unwrap()), ("replicaServerGen", &generation), EMBEDDED];
    all.extend(parameters);
    server.post("synchronizeReplica", &all).await
}

async fn synchronize(server: &TestServer, holding: &Json, parameters: &[(&str, &str)]) -> Json {
    let answer = attempt(server, holding, parameters).await;
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}

fn keys(value: &Json) -> Vec<&str> {
    let mut keys: Vec<&str> =
        value.as_object().unwrap_or_else(|| panic!("{value}")).keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

/// The species that a delta of layer 0 adds and updates, and how many rows it deletes. `None` if there is none.
fn changes(answer: &Json) -> Option<(Vec<String>, Vec<String>, usize)> {
    let features = &answer.get("edits")?[0]["features"];
    let species = |list: &str| {
        let mut names: Vec<String> = features[list]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["attributes"]["species"].as_str().unwrap_or("-").to_owned())
            .collect();
        names.sort();
        names
    };
    Some((species("adds"), species("updates"), features["deleteIds"].as_array().unwrap().len()))
}

fn delta(adds: &[&str], updates: &[&str], n_deletes: usize) -> Option<(Vec<String>, Vec<String>, usize)> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Some((owned(adds), owned(updates), n_deletes))
}

fn id(n: u32) -> String {
    format!("{{AAAAAAAA-0000-4000-8000-{n:012}}}")
}

async fn id_of(server: &TestServer, species: &str) -> String {
    server.database.value(&format!("select globalid::text from oak where species = '{species}'")).await
}

/// The `edits` parameter for layer 0.
fn edits(adds: &Json, updates: &Json, deletes: &Json) -> String {
    json!([{"id": 0, "features": {"adds": adds, "updates": updates, "deleteIds": deletes}}]).to_string()
}

fn add(n: u32, species: &str) -> String {
    edits(&json!([{"attributes": {"globalid": id(n), "species": species}}]), &json!([]), &json!([]))
}

#[tokio::test]
async fn a_download_brings_what_changed_and_then_nothing() {
    let server = with_rows().await;
    let replica = create(&server, &[]).await;
    server
        .database
        .sql("insert into oak (species) values ('yew'); update oak set girth = 5 where species = 'fir'; delete from oak where species = 'elm'")
        .await;
    let answer = synchronize(&server, &replica, &[("syncDirection", "download")]).await;
    assert_eq!(changes(&answer), delta(&["yew"], &["fir"], 1));
    assert_eq!(answer["responseType"], "esriReplicaResponseTypeEdits");
    assert!(answer["replicaServerGen"].as_i64() > replica["replicaServerGen"].as_i64());
    let mut expected = [
        "edits",
        "replicaID",
        "replicaName",
        "replicaServerGen",
        "responseType",
        "syncModel",
        "targetType",
        "transportType",
    ];
    expected.sort_unstable();
    assert_eq!(keys(&answer), expected);
    for (index, layer) in answer["edits"].as_array().unwrap().iter().enumerate() {
        assert_eq!(layer["id"], index);
        assert_eq!((keys(&layer["features"]), keys(&layer["attachments"])), (LISTS.to_vec(), LISTS.to_vec()));
    }
    let again = synchronize(&server, &replica, &[]).await;
    assert_eq!(changes(&again), changes(&answer), "the generation of the request counts, not the one that was given");
    let nothing = synchronize(&server, &answer, &[("transportType", "esriTransportTypeUrl")]).await;
    assert_eq!(nothing["responseType"], "esriReplicaResponseTypeNoEdits");
    assert_eq!(nothing["replicaServerGen"], answer["replicaServerGen"]);
    for absent in ["URL", "responseUrl", "edits", "layers"] {
        assert!(nothing.get(absent).is_none(), "{absent}: {nothing}");
    }
}

#[tokio::test]
async fn a_delta_behind_a_url_is_the_same_document() {
    let server = with_rows().await;
    let replica = create(&server, &[]).await;
    server.database.sql("delete from oak where species = 'elm'").await;
    let embedded = synchronize(&server, &replica, &[]).await;
    let by_url = synchronize(&server, &replica, &[("transportType", "esriTransportTypeUrl")]).await;
    let path = by_url["URL"].as_str().unwrap().strip_prefix("http://test:80").unwrap();
    let file = server.get(path, &[]).await;
    assert_eq!((keys(&file), &file["edits"]), (keys(&embedded), &embedded["edits"]));
    assert!(by_url.get("edits").is_none());
}

#[tokio::test]
async fn a_snapshot_replaces_everything_and_needs_no_generation() {
    let server = with_rows().await;
    let replica = create(&server, &[]).await;
    server.database.sql("delete from oak where species = 'elm'").await;
    let parameters = [("syncDirection", "snapshot"), ("replicaServerGen", "null"), ("edits", "not even JSON")];
    let answer = synchronize(&server, &replica, &parameters).await;
    assert_eq!(answer["responseType"], "esriReplicaResponseTypeReplacementData");
    assert_eq!(answer["layers"][0]["features"].as_array().unwrap().len(), 2, "{answer}");
    assert!(answer.get("edits").is_none());
    assert_eq!(changes(&synchronize(&server, &answer, &[]).await), None);
}

#[tokio::test]
async fn layers_of_a_per_layer_replica_go_their_own_ways() {
    let server = with_rows().await;
    let replica = create(&server, &[("syncModel", "perLayer")]).await;
    let generation = &replica["layerServerGens"][0]["serverGen"];
    server.database.sql("insert into oak (species) values ('yew'); insert into visit (note) values ('n')").await;
    let both =
        json!([{"id": 0, "serverGen": generation.to_string()}, {"id": "1", "syncDirection": "snapshot"}]).to_string();
    let answer = synchronize(&server, &replica, &[("syncLayers", &both)]).await;
    assert_eq!(answer["responseType"], "esriReplicaResponseTypeEditsAndData");
    assert_eq!(changes(&answer), delta(&["yew"], &[], 0));
    assert_eq!((answer["edits"].as_array().unwrap().len(), &answer["layers"][0]["id"]), (1, &json!(1)));
    assert_eq!(answer["layers"][0]["features"][0]["attributes"]["note"], "n");
    assert!(answer.get("replicaServerGen").is_none());
    let one = json!([{"id": 1, "serverGen": generation, "syncDirection": "download"}]).to_string();
    let answer = synchronize(&server, &replica, &[("syncLayers", &one), ("syncDirection", "upload")]).await;
    assert_eq!(answer["layerServerGens"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(answer["edits"][0]["features"]["adds"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_upload_moves_nobody_forward() {
    let server = with_rows().await;
    let replica = create(&server, &[]).await;
    server.database.sql("insert into oak (species) values ('foreign')").await;
    let answer = synchronize(&server, &replica, &[("syncDirection", "upload"), ("edits", &add(1, "mine"))]).await;
    assert_eq!(answer["replicaServerGen"], replica["replicaServerGen"]);
    assert_eq!(changes(&answer), None, "nothing to say about an upload that went well: {answer}");
    let answer = synchronize(&server, &replica, &[("syncDirection", "download")]).await;
    assert_eq!(changes(&answer), delta(&["foreign"], &[], 0), "somebody else's row is not skipped, the own not echoed");
}

#[tokio::test]
async fn ids_of_added_rows_come_back_if_they_are_asked_for() {
    let server = with_rows().await;
    let replica = create(&server, &[]).await;
    let parameters = [("edits", &*add(1, "mine")), ("returnIdsForAdds", "True"), ("syncDirection", "upload")];
    let answer = synchronize(&server, &replica, &parameters).await;
    let results = &answer["edits"][0]["features"]["addResults"];
    let stored: i32 = server.database.value("select objectid from oak where species = 'mine'").await;
    assert_eq!(results, &json!([{"objectId": stored, "globalId": id(1), "success": true}]));
    let quiet = synchronize(&server, &replica, &[("edits", &add(2, "mine"))]).await;
    assert_eq!(quiet.get("edits"), None, "successes are not listed otherwise: {quiet}");
}

#[tokio::test]
async fn a_refused_edit_undoes_a_per_replica_upload_and_only_itself_in_a_per_layer_one() {
    let server = with_rows().await;
    let bad = json!([{"attributes": {"globalid": id(1), "species": "good"}}, {"attributes": {"globalid": id(2), "girth": "wide"}}]);
    let bad = edits(&bad, &json!([]), &json!([]));
    let n_good = "select count(*) from oak where species = 'good'";
    let replica = create(&server, &[]).await;
    for policy in ["", "true"] {
        let (code, words) = error(&attempt(&server, &replica, &[("edits", &bad), ("rollbackOnFailure", policy)]).await);
        assert_eq!(code, 400);
        for word in ["Operation rolled back", "1 of 2 edits failed", "layer 0", &id(2), "girth", "'wide'", "1016"] {
            assert!(words.contains(word), "{word}: {words}");
        }
        assert_eq!(server.database.value::<i64>(n_good).await, 0);
    }
    let nothing = synchronize(&server, &replica, &[]).await;
    assert_eq!(nothing["replicaServerGen"], replica["replicaServerGen"], "nothing happened");
    let answer = synchronize(&server, &replica, &[("edits", &bad), ("rollbackOnFailure", "false")]).await;
    let results = answer["edits"][0]["features"]["addResults"].as_array().unwrap();
    assert_eq!(results.len(), 1, "only failures are listed: {answer}");
    assert_eq!((&results[0]["globalId"], &results[0]["error"]["code"]), (&json!(id(2)), &json!(1016)));
    assert_eq!(server.database.value::<i64>(n_good).await, 1);

    let replica = create(&server, &[("syncModel", "perLayer")]).await;
    let layers = json!([{"id": 0, "serverGen": replica["layerServerGens"][0]["serverGen"]}]).to_string();
    let bad = bad.replace(&id(1), &id(3));
    let all = [("edits", bad.as_str()), ("syncLayers", &layers), ("rollbackOnFailure", "true")];
    assert_eq!(error(&attempt(&server, &replica, &all).await).0, 400);
    let answer = synchronize(&server, &replica, &all[..2]).await;
    assert_eq!(answer["edits"][0]["features"]["addResults"][0]["success"], false);
    assert_eq!(server.database.value::<i64>(n_good).await, 2);
}

#[tokio::test]
async fn an_update_of_a_row_that_is_gone_undoes_nothing_and_its_delete_comes_along() {
    let server = with_rows().await;
    let replica = create(&server, &[]).await;
    let elm = id_of(&server, "elm").await;
    server.database.sql("delete from oak where species = 'elm'").await;
    let mixed = edits(
        &json!([{"attributes": {"globalid": id(1), "species": "mine"}}]),
        &json!([{"attributes": {"globalid": elm, "girth": 1}}]),
        &json!([]),
    );
    let answer = synchronize(&server, &replica, &[("edits", &mixed), ("rollbackOnFailure", "true")]).await;
    let features = &answer["edits"][0]["features"];
    assert_eq!(features["updateResults"][0]["error"]["code"], 1011);
    assert_eq!(features["deleteIds"], json!([format!("{{{}}}", elm.to_uppercase())]));
    assert_eq!(server.database.value::<i64>("select count(*) from oak where species = 'mine'").await, 1);
}

#[tokio::test]
async fn edits_of_a_download_are_ignored_and_so_are_sync_layers_of_a_per_replica_one() {
    let server = with_rows().await;
    let replica = create(&server, &[]).await;
    for direction in ["download", "snapshot"] {
        synchronize(&server, &replica, &[("edits", &add(1, "mine")), ("syncDirection", direction)]).await;
    }
    assert_eq!(server.features(0).await.len(), 3);
    for layers in ["perReplica", "[{", r#"[{"id":99}]"#] {
        let answer = synchronize(&server, &replica, &[("syncLayers", layers)]).await;
        assert_eq!(answer["responseType"], "esriReplicaResponseTypeNoEdits", "{layers}");
    }
}

#[tokio::test]
async fn a_replica_goes_only_the_ways_it_was_made_for() {
    let server = with_rows().await;
    for (made_for, refused) in [("download", "upload"), ("download", "bidirectional"), ("upload", "download")] {
        let replica = create(&server, &[("syncDirection", made_for)]).await;
        let (code, words) = error(&attempt(&server, &replica, &[("syncDirection", refused)]).await);
        assert_eq!(code, 400);
        assert!(words.contains(&format!("syncDirection={made_for}")) && words.contains(refused), "{words}");
        synchronize(&server, &replica, &[]).await;
    }
}

#[tokio::test]
async fn a_request_that_comes_again_has_the_effect_and_the_answer_of_one() {
    let server = with_rows().await;
    let replica = create(&server, &[]).await;
    let mine = edits(
        &json!([{"attributes": {"globalid": id(1), "species": "mine"}}, {"attributes": {"globalid": id(2), "girth": "wide"}}]),
        &json!([{"attributes": {"globalid": id_of(&server, "elm").await, "girth": 7}}]),
        &json!([id_of(&server, "ash").await]),
    );
    let parameters = [("edits", mine.as_str()), ("returnIdsForAdds", "true"), ("rollbackOnFailure", "false")];
    let first = synchronize(&server, &replica, &parameters).await;
    assert_eq!(first["edits"][0]["features"]["addResults"].as_array().unwrap().len(), 2);
    let generation: i64 = server.database.value("select last_value from syncline.generation").await;
    for _ in 0..2 {
        let again = synchronize(&server, &replica, &parameters).await;
        for member in ["addResults", "updateResults", "deleteResults", "adds", "updates"] {
            assert_eq!(again["edits"][0]["features"][member], first["edits"][0]["features"][member], "{member}");
        }
        assert_eq!(again["replicaServerGen"], first["replicaServerGen"]);
    }
    assert_eq!(server.database.value::<i64>("select last_value from syncline.generation").await, generation);
    assert_eq!(server.features(0).await.len(), 3);
    server.database.sql("update oak set girth = 8 where species = 'elm'").await;
    let later = synchronize(&server, &replica, &parameters).await;
    assert_eq!(changes(&later), delta(&[], &["elm"], 1), "the repetition does not overwrite what came in between");
}

#[tokio::test]
async fn eight_of_the_same_request_at_once_have_the_effect_and_the_answer_of_one() {
    let server = with_rows().await;
    let replica = create(&server, &[]).await;
    let mine = add(1, "mine");
    let parameters = [("edits", mine.as_str()), ("returnIdsForAdds", "true")];
    let answers = join_all((0..8).map(|_| synchronize(&server, &replica, &parameters))).await;
    assert!(answers.iter().all(|answer| answer == &answers[0]), "{answers:?}");
    assert_eq!(server.features(0).await.len(), 4);
    let n_changes: i64 = server.database.value("select count(*) from syncline.change_1").await;
    assert_eq!(n_changes, 4, "three rows to begin with, and one upload");
}

#[tokio::test]
async fn own_edits_are_not_sent_back_unless_the_server_altered_the_row() {
    let server = TestServer::new().await;
    server
        .database
        .sql(
            "create table plain (id serial primary key, globalid uuid not null default gen_random_uuid() unique, species text);
             create table filled (id serial primary key, globalid uuid not null default gen_random_uuid() unique, species text, state text default 'new');
             create table changed (id serial primary key, globalid uuid not null default gen_random_uuid() unique, species text);
             create function shout() returns trigger language plpgsql as $$ begin new.species := upper(new.species); return new; end $$;
             create trigger shout before insert or update on changed for each row execute function shout()",
        )
        .await;
    for (layer, (table, expected)) in
        [("plain", None), ("filled", delta(&[], &["mine"], 0)), ("changed", delta(&[], &["MINE"], 0))]
            .into_iter()
            .enumerate()
    {
        server.publish(table).await;
        let all = format!(r#"{{"{layer}":{{"queryOption":"all"}}}}"#);
        let replica = create(&server, &[("layers", &layer.to_string()), ("layerQueries", &all)]).await;
        let mine = add(1, "mine").replace("\"id\":0", &format!("\"id\":{layer}"));
        let answer = synchronize(&server, &replica, &[("edits", &mine)]).await;
        assert_eq!(changes(&answer), expected, "{table}");
        assert_eq!(changes(&synchronize(&server, &answer, &[]).await), None, "{table}");
    }
}

#[tokio::test]
async fn rows_come_and_go_as_their_values_or_places_pass_the_filter() {
    let server = with_rows().await;
    let queries = r#"{"0":{"where":"girth < 15"}}"#;
    let replica = create(&server, &[("geometry", "-0.5,-0.5,10,10"), ("layerQueries", queries)]).await;
    assert_eq!(replica["layers"][0]["features"].as_array().unwrap().len(), 2);
    let mut holding = replica;
    for (statement, expected) in [
        ("update oak set girth = 15 where species = 'fir'", delta(&[], &[], 1)),
        ("update oak set girth = 14 where species = 'fir'", delta(&["fir"], &[], 0)),
        ("update oak set shape = ST_Point(50, 50, 3857) where species = 'fir'", delta(&[], &[], 1)),
        ("update oak set height = 1 where species = 'fir'", None),
        ("update oak set shape = ST_Point(5, 5, 3857) where species = 'fir'", delta(&["fir"], &[], 0)),
        ("update oak set girth = null where species = 'fir'", delta(&[], &[], 1)),
        ("update oak set girth = 1 where species = 'ash'", delta(&["ash"], &[], 0)),
        ("update oak set height = 1 where species = 'ash'", delta(&[], &["ash"], 0)),
        ("update oak set shape = null where species = 'ash'", delta(&[], &[], 1)),
        ("delete from oak where species = 'ash'", None),
    ] {
        server.database.sql(statement).await;
        holding = synchronize(&server, &holding, &[]).await;
        assert_eq!(changes(&holding), expected, "{statement}");
    }
    let outside = edits(
        &json!([{"attributes": {"globalid": id(1), "species": "mine", "girth": 99}}]),
        &json!([{"attributes": {"globalid": id_of(&server, "elm").await, "girth": 99}}]),
        &json!([]),
    );
    let answer = synchronize(&server, &holding, &[("edits", &outside)]).await;
    assert_eq!(
        changes(&answer),
        delta(&[], &[], 1),
        "an own edit that moves a row out takes it away; what was never in stays"
    );
    assert_eq!(server.database.value::<i64>("select count(*) from oak where girth = 99").await, 2, "both are applied");
}

#[tokio::test]
async fn whatever_changes_rows_by_sql_reaches_the_delta() {
    let server = with_rows().await;
    let mut holding = create(&server, &[]).await;
    for (statements, expected) in [
        ("begin; savepoint s; insert into oak (species) values ('undone'); rollback to s; commit", None),
        ("begin; update oak set girth = 1; rollback", None),
        (
            "begin; savepoint s; update oak set girth = 1; rollback to s; delete from oak where species = 'ash'; commit",
            delta(&[], &[], 1),
        ),
        (
            "with gone as (delete from oak where species = 'fir' returning *) insert into oak (species) select 'fig' from gone",
            delta(&["fig"], &[], 1),
        ),
        ("update oak set globalid = gen_random_uuid() where species = 'elm'", delta(&["elm"], &[], 1)),
        ("update oak set objectid = 99 where species = 'elm'", delta(&[], &["elm"], 0)),
        (
            "insert into oak (objectid, species) values (99, 'elder') on conflict (objectid) do update set species = excluded.species",
            delta(&[], &["elder"], 0),
        ),
        ("begin; insert into oak (species) values ('brief'); delete from oak where species = 'brief'; commit", None),
        ("truncate oak", delta(&[], &[], 2)),
    ] {
        server.database.sql(statements).await;
        holding = synchronize(&server, &holding, &[]).await;
        assert_eq!(changes(&holding), expected, "{statements}");
    }
    let mut connection = server.database.connect().await;
    let mut copy = connection.copy_in_raw("copy oak (species) from stdin").await.unwrap();
    copy.send(&b"yew\nelm\n"[..]).await.unwrap();
    assert_eq!(copy.finish().await.unwrap(), 2);
    holding = synchronize(&server, &holding, &[]).await;
    assert_eq!(changes(&holding), delta(&["elm", "yew"], &[], 0));
    server.add(0, r#"[{"attributes":{"species":"box"}}]"#).await;
    assert_eq!(
        changes(&synchronize(&server, &holding, &[]).await),
        delta(&["box"], &[], 0),
        "a connected client's edit"
    );
}

#[tokio::test]
async fn two_replicas_exchange_their_edits() {
    let server = with_rows().await;
    let (one, two) = (create(&server, &[]).await, create(&server, &[]).await);
    let elm = id_of(&server, "elm").await;
    let change =
        |girth: u32| edits(&json!([]), &json!([{"attributes": {"globalid": elm, "girth": girth}}]), &json!([]));
    let one = synchronize(&server, &one, &[("edits", &change(5))]).await;
    let two = synchronize(&server, &two, &[("edits", &change(6))]).await;
    assert_eq!(changes(&two), delta(&[], &["elm"], 0), "somebody else touched the row in between");
    assert_eq!(two["edits"][0]["features"]["updates"][0]["attributes"]["girth"], 6, "last in wins");
    let one = synchronize(&server, &one, &[]).await;
    assert_eq!(one["edits"][0]["features"]["updates"][0]["attributes"]["girth"], 6);
    assert_eq!(changes(&synchronize(&server, &two, &[]).await), None);
    let dates = server.get("replicas", &[("returnLastSyncDate", "true")]).await;
    assert!(dates[0]["lastSyncDate"].is_i64());
}

#[tokio::test]
async fn f3_the_same_edits_with_their_layers_in_another_order_are_a_repetition() {
    let server = with_rows().await;
    let holding = create(&server, &[]).await;
    let oak = json!({"id": 0, "features": {"adds": [{"attributes": {"globalid": id(1), "species": "yew"}}]}});
    let visit = json!({"id": 1, "features": {"adds": [{"attributes": {"globalid": id(2), "note": "seen"}}]}});
    for edits in [json!([oak, visit]), json!([visit, oak])] {
        let answer = synchronize(&server, &holding, &[("edits", &edits.to_string())]).await;
        assert_eq!(answer["responseType"], "esriReplicaResponseTypeNoEdits", "{answer}");
    }
    let n_batches: i64 = server.database.value("select count(*) from syncline.batch").await;
    assert_eq!(n_batches, 1);
}

#[tokio::test]
async fn f34_what_the_layer_does_not_have_is_in_the_receipt() {
    let server = with_rows().await;
    let holding = create(&server, &[]).await;
    let adds = json!([{"attributes": {"globalid": id(1), "species": "yew", "Colour": "green", "n": 7, "OBJECTID": 3, "Shape__Area": 1.5}}]);
    let edits = json!([{"id": 0, "features": {"adds": adds}}]).to_string();
    let answer = synchronize(&server, &holding, &[("edits", &edits)]).await;
    assert_eq!(answer["responseType"], "esriReplicaResponseTypeNoEdits", "{answer}");
    let replica = holding["replicaID"].as_str().unwrap();
    let batches = server.get(&format!("replicas/{replica}/batches"), &[]).await;
    let number = &batches["batches"][0]["batchId"];
    let batch = server.get(&format!("replicas/{replica}/batches/{number}"), &[]).await;
    let receipt = &batch["receipts"][0];
    assert_eq!(
        (&receipt["success"], &receipt["passedOver"]),
        (&json!(true), &json!({"Colour": "green", "n": 7})),
        "{batch}"
    );
}

#[tokio::test]
async fn f38_whoever_waits_too_long_for_another_synchronization_of_the_replica_is_told_when_to_come_again() {
    let server = TestServer::with_trees().await;
    let created = server.post("createReplica", &[("layers", "0"), EMBEDDED]).await;
    let replica = created["replicaID"].as_str().unwrap();
    // As a synchronization does that does not end.
    let (high, _) = uuid::Uuid::parse_str(replica).unwrap().as_u64_pair();
    let mut other = server.database.connect().await;
    sqlx::query("select pg_advisory_lock($1)").bind(high.cast_signed()).execute(&mut other).await.unwrap();
    let form = format!("replicaID={replica}&replicaServerGen={}&f=json", created["replicaServerGen"]);
    let refused = server.post_body("synchronizeReplica", "application/x-www-form-urlencoded", form.clone()).await;
    assert_eq!(refused.headers().get("retry-after").and_then(|value| value.to_str().ok()), Some("5"));
    let refused = crate::support::server::json(refused).await;
    assert_eq!(refused["error"]["code"], 409, "{refused}");
    drop(other);
    let answer = server.post_body("synchronizeReplica", "application/x-www-form-urlencoded", form).await;
    assert!(answer.headers().get("retry-after").is_none());
    assert_eq!(crate::support::server::json(answer).await["responseType"], "esriReplicaResponseTypeNoEdits");
}

#[tokio::test]
async fn f39_a_replica_that_is_unregistered_meanwhile_ends_its_synchronization_first() {
    let server = TestServer::with_trees().await;
    let created = server.post("createReplica", &[("layers", "0"), EMBEDDED]).await;
    let (replica, generation) = (created["replicaID"].as_str().unwrap(), created["replicaServerGen"].to_string());
    let add = json!([{"id": 0, "features": {"adds": [{"attributes": {"globalid": "{AAAAAAAA-0000-4000-8000-000000000001}", "girth": 1}}]}}]);
    let edits = add.to_string();
    // It stands still at its first edit.
    let mut other = server.database.connect().await;
    sqlx::raw_sql("begin; lock table oak in share mode").execute(&mut other).await.unwrap();
    let parameters = [("replicaID", replica), ("replicaServerGen", &generation), ("edits", &edits), EMBEDDED];
    let synchronizing = server.post("synchronizeReplica", &parameters);
    let unregistering = async {
        server
            .database
            .until("select exists (select from pg_locks where relation = 'oak'::regclass and not granted)")
            .await;
        server.post("unRegisterReplica", &[("replicaID", replica)]).await
    };
    let releasing = async {
        let waits = "select exists (select from pg_stat_activity where datname = current_database() and state = 'idle' and query like '-- replica_lock%')";
        server.database.until(waits).await;
        sqlx::raw_sql("commit").execute(&mut other).await.unwrap();
    };
    let (synchronized, unregistered, ()) = tokio::join!(synchronizing, unregistering, releasing);
    assert!(synchronized.get("error").is_none(), "{synchronized}");
    assert_eq!(unregistered["success"], true, "{unregistered}");
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.receipt where code is null").await, 1);
    let again = server.post("synchronizeReplica", &parameters).await;
    assert!(error(&again).1.contains("no longer registered"), "{again}");
}
