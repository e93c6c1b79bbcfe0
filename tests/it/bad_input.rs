//! What cannot be done is refused with the name of the parameter, its value and what is accepted; and nothing is stored.

use serde_json::{Value as Json, json};

use crate::support::{TestServer, server::error};

/// Parameters that are refused, the code, and words that must be in the error.
type Case<'a> = (&'a [(&'a str, &'a str)], i64, &'a [&'a str]);

/// Everything that a refused request must leave alone. That it was refused is noted in the replica's timeline, which counts.
async fn state(server: &TestServer) -> (String, usize) {
    let rows: String = server
        .database
        .value(
            "select json_build_object('replicas', (select json_agg(to_jsonb(r) - 'n_syncs' order by replica_id) from syncline.replica r),
               'layers', (select json_agg(l order by replica_id, layer_key) from syncline.replica_layer l),
               'exports', (select count(*) from syncline.export), 'batches', (select count(*) from syncline.batch),
               'transactions', (select count(*) from syncline.txn), 'jobs', (select count(*) from syncline.job),
               'uploads', (select count(*) from syncline.upload_item), 'oak', (select json_agg(o order by objectid) from oak o),
               'visit', (select json_agg(v order by objectid) from visit v))::text",
        )
        .await;
    let data = &server.app.config.data;
    let n_files =
        ["exports", "spool", "uploads"].map(|name| std::fs::read_dir(data.join(name)).unwrap().count()).iter().sum();
    (rows, n_files)
}

/// Sends each request and checks its refusal. `base` are parameters that all have, and that a case may replace.
async fn refused(server: &TestServer, operation: &str, base: &[(&str, &str)], cases: &[Case<'_>]) {
    let before = state(server).await;
    for (parameters, code, words) in cases {
        let answer = server.post(operation, &[base, parameters].concat()).await;
        assert!(answer.get("error").is_some(), "{operation} {parameters:?} is not refused: {answer}");
        let (found, said) = error(&answer);
        assert_eq!(found, *code, "{operation} {parameters:?}: {said}");
        for word in *words {
            assert!(said.contains(word), "{operation} {parameters:?} must say {word:?}: {said}");
        }
    }
    assert_eq!(state(server).await, before, "{operation} stored something");
}

async fn with_rows() -> TestServer {
    let server = TestServer::with_trees().await;
    server.add(0, r#"[{"attributes":{"species":"elm"},"geometry":{"x":0,"y":0}}]"#).await;
    server
}

async fn create(server: &TestServer, model: &str) -> Json {
    let parameters = [("layers", "0,1"), ("syncModel", model), ("transportType", "esriTransportTypeEmbedded")];
    server.post("createReplica", &parameters).await
}

#[tokio::test]
async fn create_replica_refuses_what_it_cannot_read() {
    let server = with_rows().await;
    let long = "x".repeat(251);
    let deep = "[".repeat(100_000);
    refused(
        &server,
        "createReplica",
        &[("layers", "0")],
        &[
            (&[("layers", "0,9")], 400, &["'layers' parameter", "no layer or table 9", "0, 1"]),
            (&[("layers", "0,0")], 400, &["'layers' parameter", "layer 0 is named twice"]),
            (&[("layers", "0;1")], 400, &["'layers' parameter", "'0;1'", "0,1,2"]),
            (&[("layers", "99999999999")], 400, &["'layers' parameter", "99999999999"]),
            (
                &[("layerQueries", r#"{"0":{"where":"statse = 1"}}"#)],
                400,
                &["'layerQueries'", "layer 0", "'statse'", "species"],
            ),
            (
                &[("layerQueries", r#"{"0":{"where":"species = 5"}}"#)],
                400,
                &["'layerQueries'", "layer 0", "single quotes"],
            ),
            (
                &[("layerQueries", r#"{"0":{"where":"planted < CURRENT_TIMESTAMP"}}"#)],
                400,
                &["'layerQueries'", "layer 0", "current time", "fixed date"],
            ),
            (&[("layerQueries", r#"{"0":{"where":"species = 'a\u0000'"}}"#)], 400, &["'layerQueries'", "layer 0"]),
            (&[("layerQueries", r#"{"0":{"where":5}}"#)], 400, &["'layerQueries'", "where is 5", "text belongs there"]),
            (&[("layerQueries", r#"{"1":{}}"#)], 400, &["'layerQueries'", "layer 1 is not among"]),
            (&[("layerQueries", r#"{"oak":{}}"#)], 400, &["'layerQueries'", "'oak' is not the id"]),
            (&[("layerQueries", r#"{"0":"all"}"#)], 400, &["'layerQueries'", "layer 0", "queryOption"]),
            (&[("layerQueries", r#"{"0":{"queryOption":"some"}}"#)], 400, &["'some'", "none, useFilter, all"]),
            (&[("layerQueries", r#"{"0":{"queryOption":1}}"#)], 400, &["queryOption is 1", "none, useFilter, all"]),
            (
                &[("layerQueries", r#"{"0":{"useGeometry":"maybe"}}"#)],
                400,
                &["useGeometry is \"maybe\"", "true or false"],
            ),
            (&[("layerQueries", r#"{"0":{"#)], 400, &["'layerQueries'", "not the JSON"]),
            (&[("layerQueries", &deep)], 400, &["'layerQueries'", "not the JSON"]),
            (&[("geometry", "1,2,3")], 400, &["'geometry'", "3 numbers", "an envelope four"]),
            (&[("geometry", "here")], 400, &["'geometry'", "xmin,ymin,xmax,ymax"]),
            (&[("geometry", "NaN,0,1,1")], 400, &["'geometry'", "finite"]),
            (&[("geometry", "5,0,1,1")], 400, &["'geometry'", "inside out", "xmin 5"]),
            (&[("geometry", r#"{"rings":[[[0,0],[1,"#)], 400, &["'geometry'"]),
            (&[("geometry", r#"{"rings":[]}"#)], 400, &["'geometry'", "it is empty"]),
            (&[("geometry", r#"{"curveRings":[]}"#)], 400, &["'geometry'", "curves", "densified"]),
            (&[("geometry", "0,0,1e30,1e30"), ("inSR", "32632")], 400, &["'geometry'", "inSR"]),
            (&[("geometry", "0,0,1,1"), ("inSR", "here")], 400, &["'inSR'", "\"here\"", "4326"]),
            (&[("geometry", "0,0,1,1"), ("inSR", "-3")], 400, &["'inSR'", "-3"]),
            (&[("geometry", "0,0,1,1"), ("inSR", "999")], 400, &["'inSR'", "999"]),
            (&[("replicaSR", "999")], 400, &["'replicaSR'", "no spatial reference 999"]),
            (&[("replicaSR", r#"{"wkt":"LOCAL_CS[\"x\"]"}"#)], 400, &["'replicaSR'", "EPSG"]),
            (&[("transportType", "pigeon")], 400, &["'transportType'", "'pigeon'", "esriTransportTypeEmbedded"]),
            (&[("syncModel", "perPerson")], 400, &["'syncModel'", "'perPerson'", "perReplica, perLayer"]),
            (
                &[("syncDirection", "sideways")],
                400,
                &["'syncDirection'", "'sideways'", "bidirectional, upload, download"],
            ),
            (
                &[("syncDirection", "snapshot")],
                400,
                &["'syncDirection'", "'snapshot'", "bidirectional, upload, download"],
            ),
            (&[("replicaName", &long)], 400, &["'replicaName'", "250 characters"]),
            (&[("replicaName", "a\0b")], 400, &["'replicaName'", "NUL"]),
            (&[("async", "maybe")], 400, &["'async'", "'maybe'"]),
        ],
    )
    .await;
    refused(&server, "createReplica", &[], &[(&[], 400, &["'layers' parameter", "missing", "layers=0,1"])]).await;
}

#[tokio::test]
async fn what_is_not_supported_yet_is_refused_by_name() {
    let server = with_rows().await;
    let replica = create(&server, "perReplica").await;
    let generation = replica["replicaServerGen"].to_string();
    let of_sync = [("replicaID", replica["replicaID"].as_str().unwrap()), ("replicaServerGen", &generation)];
    let missing: [Case<'_>; 1] =
        [(&[("dataFormat", "dwg")], 400, &["dataFormat=dwg is not supported; use json, sqlite", "geoPackage"])];
    refused(&server, "createReplica", &[("layers", "0")], &missing).await;
    refused(&server, "synchronizeReplica", &of_sync, &missing).await;
    let attachments = r#"[{"id":0,"features":{"adds":[{"attributes":{"globalid":"{AAAAAAAA-0000-4000-8000-000000000001}"}}]},"attachments":{"adds":[{"name":"a"}]}}]"#;
    refused(
        &server,
        "synchronizeReplica",
        &of_sync,
        &[(&[("edits", attachments)], 400, &["layer 0 has no attachments, nothing was applied"])],
    )
    .await;
    let formats: Case<'_> = (
        &[("syncModel", "perReplica"), ("dataFormat", "featureCollection")],
        400,
        &["featureCollection", "nobody can synchronize", "syncModel=none", "json, sqlite or geoPackage"],
    );
    refused(&server, "createReplica", &[("layers", "0")], &[formats]).await;
}

#[tokio::test]
async fn synchronize_replica_refuses_what_it_cannot_read() {
    let server = with_rows().await;
    let replica = create(&server, "perReplica").await;
    let generation = replica["replicaServerGen"].to_string();
    let good =
        r#"[{"id":0,"features":{"adds":[{"attributes":{"globalid":"{AAAAAAAA-0000-4000-8000-000000000001}"}}]}}]"#;
    let deep = "[".repeat(100_000);
    let base =
        [("replicaID", replica["replicaID"].as_str().unwrap()), ("replicaServerGen", &generation), ("edits", good)];
    refused(
        &server,
        "synchronizeReplica",
        &base,
        &[
            (&[("replicaID", "x")], 400, &["Replica not found.", "'x'", "create a new one"]),
            (&[("replicaID", "8D8B7C2E-0000-4000-8000-00000000000A")], 400, &["Replica not found.", "8d8b7c2e"]),
            (&[("replicaServerGen", "null")], 400, &["'replicaServerGen'", "the last answer", "snapshot"]),
            (&[("replicaServerGen", "abc")], 400, &["'replicaServerGen'", "'abc' is not a whole number"]),
            (&[("replicaServerGen", "1.5")], 400, &["'replicaServerGen'", "'1.5' is not a whole number"]),
            (&[("replicaServerGen", "-1")], 400, &["'replicaServerGen'", "-1 is not a generation"]),
            (
                &[("replicaServerGen", "9007199254740993")],
                400,
                &["'replicaServerGen'", "9007199254740993 is not a generation"],
            ),
            (
                &[("replicaServerGen", "9007199254740991")],
                400,
                &["9007199254740991 lies in the future", &generation, "snapshot"],
            ),
            (&[("syncDirection", "sideways")], 400, &["'syncDirection'", "'sideways'", "snapshot"]),
            (&[("transportType", "pigeon")], 400, &["'transportType'", "'pigeon'"]),
            (&[("rollbackOnFailure", "maybe")], 400, &["'rollbackOnFailure'", "'maybe' is neither true nor false"]),
            (&[("closeReplica", "maybe")], 400, &["'closeReplica'", "'maybe'"]),
            (&[("returnIdsForAdds", "maybe")], 400, &["'returnIdsForAdds'", "'maybe'"]),
            (&[("edits", "[{")], 400, &["'edits'", "deleteIds"]),
            (&[("edits", "{}")], 400, &["'edits'", "deleteIds"]),
            (&[("edits", &deep)], 400, &["'edits'"]),
            (&[("edits", r#"[{"id":"oak"}]"#)], 400, &["'edits'", "not the id of a layer"]),
            (&[("edits", r#"[{"id":9,"features":{}}]"#)], 400, &["'edits'", "layer 9", "0, 1"]),
            (
                &[("edits", r#"[{"id":0,"features":{"deleteIds":[5]}}]"#)],
                400,
                &["'edits'", "5 is not a global id in quotes"],
            ),
            (&[("edits", r#"[{"id":0,"features":{"deleteIds":5}}]"#)], 400, &["'edits'", "deleteIds is 5"]),
            (&[("edits", r#"[{"id":0,"features":{"adds":{}}}]"#)], 400, &["'edits'"]),
        ],
    )
    .await;
    let no_id: Case<'_> = (&[], 400, &["'replicaID' parameter", "missing"]);
    refused(&server, "synchronizeReplica", &base[1..], &[no_id]).await;
    refused(&server, "unRegisterReplica", &[], &[(&[("replicaID", "x")], 400, &["Replica not found.", "'x'"])]).await;
}

#[tokio::test]
async fn sync_layers_are_checked_one_by_one() {
    let server = with_rows().await;
    let replica = create(&server, "perLayer").await;
    refused(
        &server,
        "synchronizeReplica",
        &[("replicaID", replica["replicaID"].as_str().unwrap())],
        &[
            (&[], 400, &["'syncLayers'", "missing", "serverGen"]),
            (&[("syncLayers", "[]")], 400, &["'syncLayers'", "missing"]),
            (&[("syncLayers", "perReplica")], 400, &["'syncLayers'", "not the JSON"]),
            (&[("syncLayers", r#"[{"serverGen":1}]"#)], 400, &["'syncLayers'", "no id"]),
            (
                &[("syncLayers", r#"[{"id":9,"serverGen":1}]"#)],
                400,
                &["'syncLayers'", "layer 9 is not in the replica", "0, 1"],
            ),
            (
                &[("syncLayers", r#"[{"id":0,"syncDirection":"snapshot"},{"id":0,"syncDirection":"snapshot"}]"#)],
                400,
                &["layer 0 is named twice"],
            ),
            (&[("syncLayers", r#"[{"id":0}]"#)], 400, &["'syncLayers'", "serverGen is missing for layer 0"]),
            (&[("syncLayers", r#"[{"id":0,"serverGen":"x"}]"#)], 400, &["serverGen is \"x\"", "whole number"]),
            (&[("syncLayers", r#"[{"id":0,"serverGen":-1}]"#)], 400, &["'syncLayers'", "-1 is not a generation"]),
            (&[("syncLayers", r#"[{"id":0,"serverGen":9007199254740991}]"#)], 400, &["lies in the future"]),
            (
                &[("syncLayers", r#"[{"id":0,"syncDirection":"sideways"}]"#)],
                400,
                &["layer 0", "'sideways'", "snapshot"],
            ),
            (
                &[
                    ("syncLayers", r#"[{"id":0,"syncDirection":"upload"}]"#),
                    ("edits", r#"[{"id":1,"features":{"adds":[]}}]"#),
                ],
                400,
                &["'edits'", "layer 1 does not take part"],
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_generation_from_before_the_kept_history_is_refused_but_an_upload_is_not() {
    let server = with_rows().await;
    let replica = create(&server, "perReplica").await;
    let id = replica["replicaID"].as_str().unwrap();
    let generation = replica["replicaServerGen"].to_string();
    server.add(0, "[{}]").await;
    server.database.sql("update syncline.service set history_from = (select max(generation) from syncline.txn)").await;
    let edits =
        r#"[{"id":0,"features":{"adds":[{"attributes":{"globalid":"{AAAAAAAA-0000-4000-8000-000000000001}"}}]}}]"#;
    let base = [("replicaID", id), ("replicaServerGen", generation.as_str()), ("edits", edits)];
    let words: &[&str] = &["since generation", &generation, "no longer kept", "snapshot", "create the replica again"];
    refused(&server, "synchronizeReplica", &base, &[(&[], 400, words), (&[("syncDirection", "download")], 400, words)])
        .await;
    let answer = server.post("synchronizeReplica", &[&base[..], &[("syncDirection", "upload")]].concat()).await;
    assert!(answer.get("error").is_none(), "{answer}");
    assert_eq!(server.features(0).await.len(), 3, "the work of the field is not lost");
}

#[tokio::test]
async fn queries_and_edits_refuse_what_they_cannot_read() {
    let server = with_rows().await;
    refused(
        &server,
        "0/query",
        &[],
        &[
            (&[("where", "statse = 1")], 400, &["'where'", "'statse'", "column 1", "species"]),
            (&[("where", "species = 'a")], 400, &["'where'"]),
            (&[("where", "1=1; drop table oak")], 400, &["'where'", "column 4"]),
            (&[("where", "species = 'a\0'")], 400, &["'where'"]),
            (&[("objectIds", "1,x")], 400, &["'objectIds'", "'x' is not a whole number"]),
            (&[("geometry", "1")], 400, &["'geometry'", "1 numbers"]),
            (&[("geometry", "0,0,1,1"), ("inSR", "999")], 400, &["'inSR'", "999"]),
            (&[("geometry", "0,0,1,1"), ("spatialRel", "near")], 400, &["'spatialRel'", "'near'", "Intersects"]),
            (&[("outSR", "999")], 400, &["'outSR'", "999"]),
            (&[("outFields", "species,nothing")], 400, &["'outFields'", "'nothing'", "layer 0", "girth"]),
            (&[("orderByFields", "nothing DESC")], 400, &["'orderByFields'", "'nothing'"]),
            (&[("resultOffset", "-1")], 400, &["'resultOffset'", "-1 is negative"]),
            (&[("resultRecordCount", "ten")], 400, &["'resultRecordCount'", "'ten'"]),
            (&[("returnCountOnly", "maybe")], 400, &["'returnCountOnly'", "'maybe'"]),
        ],
    )
    .await;
    let long = "[".repeat(100_000);
    refused(
        &server,
        "0/applyEdits",
        &[("adds", r#"[{"attributes":{"species":"new"}}]"#)],
        &[
            (&[("adds", "[{")], 400, &["'adds'", "attributes"]),
            (&[("adds", &long)], 400, &["'adds'"]),
            (&[("adds", "5")], 400, &["'adds'", "attributes"]),
            (&[("updates", r#"[{"attributes":[]}]"#)], 400, &["'updates'", "attributes"]),
            (&[("deletes", "1,x")], 400, &["'deletes'", "'x' is not an object id"]),
            (&[("rollbackOnFailure", "maybe")], 400, &["'rollbackOnFailure'", "'maybe'"]),
            (&[("useGlobalIds", "maybe")], 400, &["'useGlobalIds'", "'maybe'"]),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_upload_that_is_too_large_is_refused_whole() {
    let mut server = with_rows().await;
    let replica = create(&server, "perReplica").await;
    server.limit_bodies(70_000);
    let many: Vec<Json> = (0..1000)
        .map(|n| json!({"attributes": {"globalid": format!("{{AAAAAAAA-0000-4000-8000-{n:012}}}"), "girth": n}}))
        .collect();
    let edits = json!([{"id": 0, "features": {"adds": many}}]).to_string();
    let generation = replica["replicaServerGen"].to_string();
    let base = [("replicaID", replica["replicaID"].as_str().unwrap()), ("replicaServerGen", &generation)];
    refused(
        &server,
        "synchronizeReplica",
        &base,
        &[(&[("edits", &edits)], 413, &["too large", "70000 bytes", "in several parts"])],
    )
    .await;
}
