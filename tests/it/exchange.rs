//! Replicas that servers keep of each other: set up, brought to agree, and quiet afterwards.

use serde_json::{Value as Json, json};

use crate::support::{
    TestServer,
    server::{error, json},
};

const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");

/// A server with the trees elm, fir and ash, and a visit of the elm.
pub async fn with_rows() -> TestServer {
    let server = TestServer::with_trees().await;
    server
        .database
        .sql(
            "insert into oak (species, height, girth, planted, shape) select name, n / 3.0, n * 10, timestamptz '2001-02-03 04:05:06.789Z', ST_Point(n / 7.0, n, 3857)
               from unnest(array['elm', 'fir', 'ash'], array[0, 1, 2]) as t (name, n);
             insert into visit (oak_id, note) select globalid, 'it''s \"tall\" é' from oak where species = 'elm'",
        )
        .await;
    server
}

/// Takes a replica for another server.
pub async fn create(server: &TestServer, parameters: &[(&str, &str)]) -> Json {
    let mut all =
        vec![("layers", "0,1"), ("layerQueries", r#"{"1":{"queryOption":"all"}}"#), ("targetType", "server"), EMBEDDED];
    all.extend(parameters);
    let answer = server.post("createReplica", &all).await;
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}

pub async fn import(server: &TestServer, document: &Json) -> Json {
    json(server.post_body("importReplica?f=json", "application/json", document.to_string()).await).await
}

/// Two servers that keep a replica of each other.
pub async fn pair(direction: &str, model: &str) -> (TestServer, TestServer, String) {
    let (one, other) = (with_rows().await, TestServer::with_trees().await);
    let document = create(&one, &[("syncDirection", direction), ("syncModel", model), ("replicaName", "pair")]).await;
    let imported = import(&other, &document).await;
    assert_eq!(imported["success"], true, "{imported}");
    (one, other, document["replicaID"].as_str().unwrap().to_owned())
}

/// What is lost on the way of a transfer.
#[derive(Clone, Copy, PartialEq)]
pub enum Lost {
    Nothing,
    /// The download never arrives.
    Download,
    /// The answer to the upload never arrives, so that it is sent again.
    Answer,
}

/// Brings what is new on one server to another, as administrators' scripts do. Returns how many changes were carried.
pub async fn transfer(from: &TestServer, to: &TestServer, replica: &str, lost: Lost) -> usize {
    let info = to.get(&format!("replicas/{replica}"), &[]).await;
    let sibling = info["replicaServerSibGen"].to_string();
    let layers: Json = info["layerServerGens"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|layer| json!({"id": layer["id"], "serverGen": layer["serverSibGen"], "syncDirection": "download"}))
        .collect();
    let layers = layers.to_string();
    let download = [
        ("replicaID", replica),
        ("syncDirection", "download"),
        ("replicaServerGen", &sibling),
        ("syncLayers", &layers),
        ("returnAttachmentsDataByUrl", "false"),
        EMBEDDED,
    ];
    let delta = from.post("synchronizeReplica", &download).await;
    assert!(delta.get("error").is_none(), "{delta}");
    if lost == Lost::Download {
        return 0;
    }
    let edits = delta.get("edits").map(Json::to_string).unwrap_or_default();
    let generation = delta["replicaServerGen"].to_string();
    let layers: Json = delta["layerServerGens"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|layer| json!({"id": layer["id"], "serverSibGen": layer["serverGen"], "syncDirection": "upload"}))
        .collect();
    let layers = layers.to_string();
    let upload = [
        ("replicaID", replica),
        ("syncDirection", "upload"),
        ("replicaServerSibGen", &generation),
        ("syncLayers", &layers),
        ("edits", &edits),
        EMBEDDED,
    ];
    for _ in 0..if lost == Lost::Answer { 3 } else { 1 } {
        let answer = to.post("synchronizeReplica", &upload).await;
        assert!(answer.get("error").is_none(), "{answer}");
        for layer in answer["edits"].as_array().into_iter().flatten() {
            let features = &layer["features"];
            assert_eq!((&features["addResults"], &features["deleteResults"]), (&json!([]), &json!([])), "{answer}");
            // An update of what is deleted here loses; the deletion travels back.
            let lost = features["updateResults"].as_array().unwrap();
            assert!(lost.iter().all(|result| result["error"]["code"] == 1011), "{answer}");
        }
    }
    let n_changes = |list: &str| {
        let layers = delta["edits"].as_array().into_iter().flatten();
        layers
            .flat_map(|layer| [&layer["features"][list], &layer["attachments"][list]])
            .map(|list| list.as_array().unwrap().len())
            .sum::<usize>()
    };
    n_changes("adds") + n_changes("updates") + n_changes("deleteIds")
}

/// All rows without their object ids, which are each server's own.
pub async fn rows(server: &TestServer) -> Json {
    let text: String = server
        .database
        .value(
            "select coalesce((select jsonb_agg(to_jsonb(o) - 'objectid' order by globalid) from oak o), '[]')::text
               || coalesce((select jsonb_agg(to_jsonb(v) - 'objectid' order by globalid) from visit v), '[]')::text",
        )
        .await;
    text.into()
}

#[tokio::test]
async fn an_imported_replica_is_the_other_side_of_what_it_was_made_of() {
    for model in ["perReplica", "perLayer"] {
        let (one, other) = (with_rows().await, TestServer::with_trees().await);
        let document = create(&one, &[("syncModel", model), ("replicaName", "mirror")]).await;
        assert_eq!((&document["targetType"], &document["syncDirection"]), (&json!("server"), &json!("download")));
        let imported = import(&other, &document).await;
        assert_eq!(
            imported["layers"],
            json!([{"id": 0, "count": 3, "attachmentCount": 0}, {"id": 1, "count": 1, "attachmentCount": 0}]),
            "{imported}"
        );
        assert_eq!(rows(&one).await, rows(&other).await, "{model}");

        let path = format!("replicas/{}", document["replicaID"].as_str().unwrap());
        let (here, there) = (one.get(&path, &[]).await, other.get(&path, &[]).await);
        assert_eq!((&here["syncDirection"], &there["syncDirection"]), (&json!("download"), &json!("upload")));
        for same in ["replicaID", "replicaName", "targetType", "syncModel", "spatialReference"] {
            assert_eq!(here[same], there[same], "{same}");
        }
        if model == "perReplica" {
            assert_eq!(there["replicaServerSibGen"], document["replicaServerGen"]);
            assert_eq!(there["replicaServerGen"], imported["replicaServerGen"]);
            assert_eq!(here["replicaServerSibGen"], 0);
        } else {
            for (layer, of_document) in
                there["layerServerGens"].as_array().unwrap().iter().zip(document["layerServerGens"].as_array().unwrap())
            {
                assert_eq!(layer["serverSibGen"], of_document["serverGen"]);
            }
        }
    }
}

#[tokio::test]
async fn f51_a_pair_agrees_and_falls_quiet() {
    for model in ["perReplica", "perLayer"] {
        let (one, other, replica) = pair("bidirectional", model).await;
        one.database
            .sql("update oak set girth = 1 where species = 'elm'; insert into oak (species) values ('yew'); delete from visit")
            .await;
        other
            .database
            .sql("update oak set girth = 2 where species = 'fir'; insert into visit (note) values ('there'); delete from oak where species = 'ash'")
            .await;
        assert_eq!(transfer(&one, &other, &replica, Lost::Nothing).await, 3, "{model}");
        assert_eq!(transfer(&other, &one, &replica, Lost::Nothing).await, 3, "{model}: nothing is sent back");
        assert_eq!(rows(&one).await, rows(&other).await, "{model}");
        for _ in 0..2 {
            assert_eq!(transfer(&one, &other, &replica, Lost::Nothing).await, 0, "{model}");
            assert_eq!(transfer(&other, &one, &replica, Lost::Nothing).await, 0, "{model}");
        }
    }
}

#[tokio::test]
async fn both_sides_edit_the_same_rows_and_agree() {
    let (one, other, replica) = pair("bidirectional", "perReplica").await;
    for round in 0..3 {
        one.database
            .sql(&format!("update oak set girth = {round}; delete from oak where species = 'fir' and {round} = 1"))
            .await;
        other
            .database
            .sql(&format!("update oak set height = {round}, girth = 100 + {round}; delete from oak where species = 'ash' and {round} = 1"))
            .await;
        // Receive first, then send.
        transfer(&one, &other, &replica, Lost::Nothing).await;
        transfer(&other, &one, &replica, Lost::Nothing).await;
        assert_eq!(rows(&one).await, rows(&other).await, "round {round}");
        assert_eq!(transfer(&one, &other, &replica, Lost::Nothing).await, 0, "round {round}");
        assert_eq!(transfer(&other, &one, &replica, Lost::Nothing).await, 0, "round {round}");
    }
    assert_eq!(
        one.database.value::<i64>("select count(*) from oak").await,
        1,
        "what was deleted on either side is gone"
    );
}

#[tokio::test]
async fn what_is_lost_on_the_way_is_carried_again_and_has_one_effect() {
    let (one, other, replica) = pair("bidirectional", "perLayer").await;
    let mut n_rows = 3;
    for lost in [Lost::Download, Lost::Answer, Lost::Nothing] {
        for server in [&one, &other] {
            server.database.sql("insert into oak (species, girth) values ('yew', 1); update oak set girth = girth + 1 where species = 'elm'").await;
            n_rows += 1;
        }
        transfer(&one, &other, &replica, lost).await;
        transfer(&other, &one, &replica, lost).await;
    }
    transfer(&one, &other, &replica, Lost::Nothing).await;
    transfer(&other, &one, &replica, Lost::Nothing).await;
    assert_eq!(rows(&one).await, rows(&other).await);
    assert_eq!(one.database.value::<i64>("select count(*) from oak").await, n_rows);
    assert_eq!(transfer(&one, &other, &replica, Lost::Nothing).await, 0);
    assert_eq!(transfer(&other, &one, &replica, Lost::Nothing).await, 0);
}

#[tokio::test]
async fn a_pair_whose_tables_stamp_their_rows_still_falls_quiet() {
    let (one, other, replica) = pair("bidirectional", "perReplica").await;
    for server in [&one, &other] {
        server
            .database
            .sql(
                "create function stamp_row() returns trigger language plpgsql as $$ begin new.planted := clock_timestamp(); return new; end $$;
                 create trigger stamp_row before insert or update on oak for each row execute function stamp_row();",
            )
            .await;
    }
    one.database.sql("update oak set girth = 77 where species = 'elm'").await;
    assert_eq!(transfer(&one, &other, &replica, Lost::Nothing).await, 1);
    for _ in 0..3 {
        assert_eq!(transfer(&other, &one, &replica, Lost::Nothing).await, 0);
        assert_eq!(transfer(&one, &other, &replica, Lost::Nothing).await, 0);
    }
    assert_eq!(other.database.value::<i32>("select girth from oak where species = 'elm'").await, 77);
}

#[tokio::test]
async fn attachments_come_along_both_ways() {
    let (one, other) = (with_rows().await, TestServer::with_trees().await);
    for server in [&one, &other] {
        server.app.store.enable_attachments("trees", syncline::model::id::LayerId(0)).await.unwrap();
    }
    let attach = async |server: &TestServer, n: u32, species: &str, data: &str| {
        let device = server.post("createReplica", &[("layers", "0"), ("returnAttachments", "true"), EMBEDDED]).await;
        let parent: String =
            server.database.value(&format!("select globalid::text from oak where species = '{species}'")).await;
        let edits = json!([{"id": 0, "attachments": {"adds": [{"globalId": format!("{{BBBBBBBB-0001-4000-8000-{n:012}}}"),
            "parentGlobalId": parent, "name": "a.jpg", "contentType": "image/jpeg", "data": data}]}}]);
        let id = device["replicaID"].as_str().unwrap();
        let upload = [("replicaID", id), ("syncDirection", "upload"), ("edits", &edits.to_string()), EMBEDDED];
        let answer = server.post("synchronizeReplica", &upload).await;
        assert_eq!(answer["responseType"], "esriReplicaResponseTypeNoEdits", "{answer}");
        server.post("unRegisterReplica", &[("replicaID", id)]).await;
    };
    attach(&one, 1, "elm", "b25l").await;
    let wanted = [
        ("syncDirection", "bidirectional"),
        ("returnAttachments", "true"),
        ("attachmentsSyncDirection", "bidirectional"),
        ("returnAttachmentsDataByUrl", "false"),
    ];
    let document = create(&one, &wanted).await;
    let imported = import(&other, &document).await;
    assert_eq!(imported["layers"][0], json!({"id": 0, "count": 3, "attachmentCount": 1}), "{imported}");
    let replica = document["replicaID"].as_str().unwrap().to_owned();
    attach(&one, 2, "fir", "dHdv").await;
    attach(&other, 3, "ash", "dGhyZWU=").await;
    one.database.sql("delete from oak where species = 'elm'").await;
    transfer(&one, &other, &replica, Lost::Answer).await;
    transfer(&other, &one, &replica, Lost::Download).await;
    transfer(&other, &one, &replica, Lost::Nothing).await;
    for server in [&one, &other] {
        let held = server
            .post("createReplica", &[wanted.as_slice(), &[("layers", "0"), ("syncModel", "none"), EMBEDDED]].concat())
            .await;
        let mut data: Vec<&str> = held["layers"][0]["attachments"]
            .as_array()
            .unwrap()
            .iter()
            .map(|attachment| attachment["data"].as_str().unwrap())
            .collect();
        data.sort_unstable();
        assert_eq!(data, ["dGhyZWU=", "dHdv"], "{held}");
    }
    for _ in 0..2 {
        assert_eq!(transfer(&one, &other, &replica, Lost::Nothing).await, 0);
        assert_eq!(transfer(&other, &one, &replica, Lost::Nothing).await, 0);
    }
}

#[tokio::test]
async fn f51_f55_a_ring_of_three_agrees_and_falls_quiet() {
    let servers = [with_rows().await, TestServer::with_trees().await, TestServer::with_trees().await];
    let mut replicas = Vec::new();
    for (from, to) in [(0, 1), (1, 2), (2, 0)] {
        let name = format!("ring{from}");
        let document = create(&servers[from], &[("syncDirection", "bidirectional"), ("replicaName", &name)]).await;
        let imported = import(&servers[to], &document).await;
        assert_eq!(imported["success"], true, "the last one holds the same rows already: {imported}");
        replicas.push((from, to, document["replicaID"].as_str().unwrap().to_owned()));
    }
    let round = async || {
        let mut n_changes = 0;
        for (from, to, replica) in &replicas {
            n_changes += transfer(&servers[*from], &servers[*to], replica, Lost::Nothing).await;
            n_changes += transfer(&servers[*to], &servers[*from], replica, Lost::Nothing).await;
        }
        n_changes
    };
    assert_eq!(round().await, 0, "nothing to tell at the beginning");
    // One edits, then all edit the same feature.
    servers[0].database.sql("update oak set girth = 5, shape = ST_Point(0.1, 1e7 / 3, 3857) where species = 'fir'; insert into oak (species) values ('yew')").await;
    assert!(round().await > 0);
    for (index, server) in servers.iter().enumerate() {
        server
            .database
            .sql(&format!("update oak set girth = {index} where species = 'elm'; delete from visit where {index} = 1"))
            .await;
    }
    let n_changes = [round().await, round().await, round().await, round().await];
    assert!(n_changes[0] > 0);
    assert_eq!(n_changes[2..], [0, 0], "{n_changes:?}");
    assert_eq!(rows(&servers[0]).await, rows(&servers[1]).await);
    assert_eq!(rows(&servers[1]).await, rows(&servers[2]).await);
}

#[tokio::test]
async fn f52_the_sibling_generation_is_stored_with_the_import_and_never_goes_back() {
    let (_one, other, replica) = pair("download", "perReplica").await;
    let path = format!("replicas/{replica}");
    let sibling = async || other.get(&path, &[]).await["replicaServerSibGen"].as_i64().unwrap();
    let start = sibling().await;
    let put = |girth: &str| {
        json!([{"id": 0, "features": {"adds": [{"attributes": {"globalid": "{AAAAAAAA-0000-4000-8000-000000000001}", "girth": girth}}]}}]).to_string()
    };
    let upload = async |edits: &str, generation: i64| {
        let generation = generation.to_string();
        let parameters = [
            ("replicaID", replica.as_str()),
            ("syncDirection", "upload"),
            ("edits", edits),
            ("replicaServerSibGen", &generation),
            ("rollbackOnFailure", "true"),
        ];
        other.post("synchronizeReplica", &parameters).await
    };
    error(&upload(&put("wide"), start + 10).await);
    assert_eq!(sibling().await, start, "an import that was undone reaches nothing");
    assert!(upload(&put("5"), start + 10).await.get("error").is_none());
    assert_eq!(sibling().await, start + 10);
    assert!(upload(&put("5"), start + 5).await.get("error").is_none(), "an older one is accepted");
    assert_eq!(sibling().await, start + 10, "and does not take the newer one back");
    assert!(upload("", start + 20).await.get("error").is_none());
    assert_eq!(sibling().await, start + 20, "nothing to import is an import, too");
    assert!(upload("", -1).await.get("error").is_none());
    assert_eq!(sibling().await, start + 20);

    let client = other.post("createReplica", &[("layers", "0"), EMBEDDED]).await;
    let id = client["replicaID"].as_str().unwrap();
    let parameters = [("replicaID", id), ("syncDirection", "upload"), ("replicaServerSibGen", "99")];
    assert!(other.post("synchronizeReplica", &parameters).await.get("error").is_none());
    assert!(other.get(&format!("replicas/{id}"), &[]).await.get("replicaServerSibGen").is_none(), "clients have none");
}

#[tokio::test]
async fn a_one_way_replica_goes_one_way() {
    let (one, other, replica) = pair("download", "perReplica").await;
    let generation = one.get(&format!("replicas/{replica}"), &[]).await["replicaServerGen"].to_string();
    for (server, direction) in
        [(&one, "upload"), (&one, "bidirectional"), (&other, "download"), (&other, "bidirectional")]
    {
        let parameters =
            [("replicaID", replica.as_str()), ("syncDirection", direction), ("replicaServerGen", &generation)];
        let (code, text) = error(&server.post("synchronizeReplica", &parameters).await);
        assert_eq!(code, 400);
        assert!(text.contains(&format!("does not allow {direction}")), "{text}");
    }
    one.database.sql("delete from oak where species = 'elm'").await;
    assert_eq!(transfer(&one, &other, &replica, Lost::Nothing).await, 1);
    assert_eq!(rows(&one).await, rows(&other).await);
}

#[tokio::test]
async fn what_cannot_be_imported_leaves_nothing_behind() {
    let (one, other) = (with_rows().await, TestServer::with_trees().await);
    let document = create(&one, &[("replicaName", "mirror")]).await;
    let with = |change: fn(&mut Json)| {
        let mut changed = document.clone();
        change(&mut changed);
        changed
    };
    for (broken, said) in [
        (with(|d| d["replicaID"] = Json::Null), "replicaID"),
        (with(|d| d["replicaID"] = "x".into()), "'x' is not the id of a replica"),
        (with(|d| d["targetType"] = "client".into()), "create it with targetType=server"),
        (with(|d| d["replicaServerGen"] = Json::Null), "which generation it is of"),
        (with(|d| d["layers"] = json!([])), "at least one"),
        (with(|d| d["layers"] = json!([{"features": []}])), "the id of a layer must come before"),
        (with(|d| d["layers"][1]["id"] = 7.into()), "no layer or table 7"),
        (with(|d| d["layers"][1]["id"] = 0.into()), "layer 0 is there twice"),
        (with(|d| d["layers"][1]["attachments"] = json!([{"name": "a.jpg"}])), "layer 1 has no attachments"),
        (with(|d| d["layers"][1]["features"][0]["attributes"]["note"] = Json::Null), "note"),
        (with(|d| d["layers"][0]["features"][2] = json!({"attributes": {"species": "no id"}})), "globalid"),
    ] {
        let answer = import(&other, &broken).await;
        let (code, text) = error(&answer);
        assert_eq!(code, 400, "{text}");
        assert!(text.contains(said), "{said}: {text}");
    }
    assert_eq!(other.database.value::<i64>("select count(*) from oak").await, 0);
    assert_eq!(other.get("replicas", &[]).await, json!([]));

    other.database.sql("insert into oak (species) values ('mine')").await;
    let (_, text) = error(&import(&other, &document).await);
    assert!(text.contains("it would have 4 rows, 0 of them changed"), "{text}");
    other.database.sql("delete from oak").await;
    other.post("createReplica", &[("layers", "0"), ("replicaName", "mirror"), EMBEDDED]).await;
    let (_, text) = error(&import(&other, &document).await);
    assert!(text.contains("another replica named 'mirror'"), "{text}");
    other.post("unRegisterReplica", &[("replicaID", "*")]).await;
    assert_eq!(import(&other, &document).await["success"], true);
    let (_, text) = error(&import(&other, &document).await);
    assert!(text.contains("is registered in this database already"), "{text}");
    assert_eq!(rows(&one).await, rows(&other).await);
}

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[tokio::test]
async fn whatever_happens_on_either_side_and_on_the_way_a_pair_agrees_in_the_end() {
    for (seed, model) in [(0x5EED_0001, "perReplica"), (0x5EED_0002, "perLayer"), (0x5EED_0003, "perReplica")] {
        let (one, other, replica) = pair("bidirectional", model).await;
        let (servers, mut dice) = ([&one, &other], Dice(seed));
        for step in 0..60 {
            let here = dice.roll(2);
            let (from, to) = if here == 0 { (&one, &other) } else { (&other, &one) };
            let row = format!("{{AAAAAAAA-0000-4000-8000-{:012}}}", dice.roll(6));
            match dice.roll(9) {
                0 | 1 => {
                    let lost = [Lost::Nothing, Lost::Nothing, Lost::Download, Lost::Answer]
                        [usize::try_from(dice.roll(4)).unwrap()];
                    transfer(from, to, &replica, lost).await;
                }
                2..=4 => {
                    // The same feature may come into being on both sides.
                    let feature = json!([{"attributes": {"globalid": row, "girth": step, "species": here.to_string()}, "geometry": {"x": step, "y": here}}]);
                    servers[usize::try_from(here).unwrap()]
                        .post("0/applyEdits", &[("adds", &feature.to_string()), ("useGlobalIds", "true")])
                        .await;
                }
                5 | 6 => {
                    let feature = json!([{"attributes": {"globalid": row, "girth": 1000 + step}}]);
                    from.post("0/applyEdits", &[("updates", &feature.to_string()), ("useGlobalIds", "true")]).await;
                }
                7 => {
                    from.post("0/applyEdits", &[("deletes", &row), ("useGlobalIds", "true")]).await;
                }
                _ => {
                    from.database
                        .sql(&format!(
                            "update visit set note = '{step}'; update oak set height = {step} where girth % 2 = {here}"
                        ))
                        .await;
                }
            }
        }
        // Receive first, then send.
        transfer(&one, &other, &replica, Lost::Nothing).await;
        transfer(&other, &one, &replica, Lost::Nothing).await;
        assert_eq!(rows(&one).await, rows(&other).await, "seed {seed:x}");
        assert_eq!(transfer(&one, &other, &replica, Lost::Nothing).await, 0, "seed {seed:x}");
        assert_eq!(transfer(&other, &one, &replica, Lost::Nothing).await, 0, "seed {seed:x}");
    }
}

#[tokio::test]
async fn f14_rows_of_a_document_may_come_before_those_that_they_belong_to() {
    const TABLES: &str = "create table oak (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique, species text);
        create table visit (objectid serial primary key, globalid uuid not null default gen_random_uuid() unique, oak_id uuid references oak (globalid), note text)";
    let mut servers = Vec::new();
    for _ in 0..2 {
        let server = TestServer::new().await;
        server.database.sql(TABLES).await;
        // What belongs has the lower id.
        server.publish("visit").await;
        server.publish("oak").await;
        servers.push(server);
    }
    servers[0].database.sql("insert into oak (species) values ('elm'); insert into visit (oak_id, note) select globalid, 'tall' from oak").await;
    let all = ("layerQueries", r#"{"0":{"queryOption":"all"},"1":{"queryOption":"all"}}"#);
    let parameters = [("layers", "0,1"), all, ("targetType", "server"), ("syncDirection", "bidirectional"), EMBEDDED];
    let document = servers[0].post("createReplica", &parameters).await;
    let imported = import(&servers[1], &document).await;
    assert_eq!(imported["success"], true, "{imported}");
    assert_eq!(rows(&servers[0]).await, rows(&servers[1]).await);
}

#[tokio::test]
async fn a_geometry_that_is_gone_on_one_side_goes_on_the_other() {
    let (one, other, replica) = pair("bidirectional", "perReplica").await;
    one.database.sql("update oak set shape = null where species = 'fir'").await;
    assert_eq!(transfer(&one, &other, &replica, Lost::Nothing).await, 1);
    assert_eq!(rows(&one).await, rows(&other).await);
    assert_eq!(transfer(&other, &one, &replica, Lost::Nothing).await, 0);
    // Also over one that is set there meanwhile, which is a conflict.
    other.database.sql("update oak set shape = ST_Point(1, 2, 3857) where species = 'ash'").await;
    one.database.sql("update oak set shape = null where species = 'ash'").await;
    assert_eq!(transfer(&one, &other, &replica, Lost::Nothing).await, 1);
    assert_eq!(rows(&one).await, rows(&other).await);
    let lost = "select array_to_string(fields, ' ') from syncline.conflict";
    assert_eq!(other.database.value::<String>(lost).await, "geometry");
}
