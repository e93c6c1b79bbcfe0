//! The parameters of createReplica and synchronizeReplica, one by one: how they are spelled, what applies without them, and
//! what of them the replica resource shows.

use serde_json::{Value as Json, json};

use crate::support::{TestServer, server::error};

const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");

async fn create(server: &TestServer, parameters: &[(&str, &str)]) -> Json {
    let mut all = vec![("layers", "0,1"), EMBEDDED];
    all.extend(parameters);
    let answer = server.post("createReplica", &all).await;
    assert!(answer.get("error").is_none(), "{parameters:?}: {answer}");
    answer
}

/// What the replica resource says.
async fn info(server: &TestServer, replica: &Json) -> Json {
    server.get(&format!("replicas/{}", replica["replicaID"].as_str().unwrap()), &[]).await
}

#[tokio::test]
async fn how_attachments_take_part_is_kept_and_shown() {
    let server = TestServer::with_trees().await;
    for (parameters, wanted, direction) in [
        (vec![], false, "none"),
        (vec![("returnAttachments", "")], false, "none"),
        (vec![("returnAttachments", "True")], true, "bidirectional"),
        (vec![("returnAttachments", "true"), ("attachmentsSyncDirection", "upload")], true, "upload"),
        (vec![("returnAttachments", "true"), ("attachmentsSyncDirection", "none")], true, "none"),
        (vec![("returnAttachments", "false"), ("attachmentsSyncDirection", "UPLOAD")], false, "upload"),
        (vec![("attachmentSyncDirection", "none")], false, "none"),
    ] {
        let replica = create(&server, &parameters).await;
        let shown = info(&server, &replica).await;
        let attachments =
            (&shown["returnAttachments"], &shown["returnsAttachments"], &shown["attachmentsSyncDirection"]);
        assert_eq!(attachments, (&json!(wanted), &json!(wanted), &json!(direction)), "{parameters:?}");
    }
}

#[tokio::test]
async fn attachments_cannot_be_synchronized_both_ways_without_having_them() {
    let server = TestServer::with_trees().await;
    for (parameters, said) in [
        (vec![("attachmentsSyncDirection", "bidirectional")], "needs returnAttachments=true"),
        (
            vec![("returnAttachments", "false"), ("attachmentSyncDirection", "bidirectional")],
            "needs returnAttachments=true",
        ),
        (
            vec![("attachmentsSyncDirection", "download")],
            "'download' is not known; it is one of bidirectional, upload, none",
        ),
        (vec![("returnAttachments", "maybe")], "'maybe' is neither true nor false"),
        (vec![("returnAttachmentsDatabyURL", "maybe")], "'maybe' is neither true nor false"),
        (vec![("returnAttachmentDatabyURL", "maybe")], "'maybe' is neither true nor false"),
    ] {
        let mut all = vec![("layers", "0,1"), EMBEDDED];
        all.extend(&parameters);
        let (code, text) = error(&server.post("createReplica", &all).await);
        assert_eq!(code, 400);
        assert!(text.contains(said), "{parameters:?}: {text}");
    }
    assert_eq!(server.get("replicas", &[]).await, json!([]), "nothing remains of what was refused");
}

/// One attribute of the features of a list, sorted.
fn names(features: &Json) -> Vec<String> {
    let features = features.as_array().unwrap_or_else(|| panic!("{features}"));
    let mut names: Vec<String> =
        features.iter().map(|row| row["attributes"]["species"].as_str().unwrap_or("-").to_owned()).collect();
    names.sort();
    names
}

/// A server with the trees elm, fir and ash, at 0, 1 and 2 metres, with girths 0, 10 and 20.
async fn with_rows() -> TestServer {
    let server = TestServer::with_trees().await;
    server
        .database
        .sql("insert into oak (species, girth, shape) select name, n * 10, ST_Point(n, n, 3857) from unnest(array['elm', 'fir', 'ash'], array[0, 1, 2]) as t (name, n)")
        .await;
    server
}

#[tokio::test]
async fn an_export_has_the_data_and_leaves_nothing_behind() {
    let server = with_rows().await;
    let parameters = [
        ("syncModel", "NONE"),
        ("replicaName", "export"),
        ("layerQueries", r#"{"0":{"where":"girth > 5 and planted is null"}}"#),
        ("geometry", "0.5,0.5,1.5,1.5"),
        // What has no meaning without a replica does not stand in the way.
        ("syncDirection", "download"),
        ("attachmentsSyncDirection", "bidirectional"),
    ];
    let embedded = create(&server, &parameters).await;
    assert_eq!(names(&embedded["layers"][0]["features"]), ["fir"]);
    assert_eq!(embedded["layers"][1], json!({"id": 1, "features": []}));
    assert_eq!((&embedded["replicaID"], &embedded["replicaName"]), (&json!(""), &json!("export")));
    assert_eq!(
        (&embedded["syncModel"], &embedded["responseType"]),
        (&json!("none"), &json!("esriReplicaResponseTypeData"))
    );
    assert!(embedded.get("replicaServerGen").is_none() && embedded.get("layerServerGens").is_none(), "{embedded}");

    let by_url = create(&server, &[("syncModel", "none"), ("transportType", "esriTransportTypeURL")]).await;
    let path = by_url["responseUrl"].as_str().unwrap().strip_prefix("http://test:80").unwrap();
    assert_eq!(names(&server.get(path, &[]).await["layers"][0]["features"]), ["ash", "elm", "fir"]);
    assert_eq!(server.get("replicas", &[]).await, json!([]));
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.replica").await, 0);

    let now = create(
        &server,
        &[("syncModel", "none"), ("layerQueries", r#"{"0":{"where":"planted < CURRENT_TIMESTAMP or girth = 0"}}"#)],
    )
    .await;
    assert_eq!(
        names(&now["layers"][0]["features"]),
        ["elm"],
        "an export is asked once, so it may ask for the current time"
    );
    for format in ["dwg", "scenelayer"] {
        let answer =
            server.post("createReplica", &[("layers", "0"), ("syncModel", "none"), ("dataFormat", format)]).await;
        let (code, text) = error(&answer);
        assert_eq!(code, 400);
        assert!(text.contains(&format!("dataFormat={format} is not supported")), "{text}");
    }
}

#[tokio::test]
async fn a_copy_of_a_replica_goes_on_from_where_the_copied_one_was() {
    let server = with_rows().await;
    let original = create(
        &server,
        &[
            ("syncModel", "perLayer"),
            ("layers", "0"),
            ("layerQueries", r#"{"0":{"where":"girth < 15"}}"#),
            ("geometry", "0.5,0.5,5,5"),
            ("replicaSR", "4326"),
        ],
    )
    .await;
    let generation = original["layerServerGens"][0]["serverGen"].as_i64().unwrap();
    server
        .database
        .sql("update oak set girth = 11 where species = 'fir'; update oak set girth = 1 where species = 'ash'")
        .await;
    let options = json!({"registerExistingData": true, "refReplicaId": original["replicaID"],
        "refLayerServerGens": [{"id": 0, "serverGen": generation}]});
    let copy = server
        .post(
            "createReplica",
            &[("replicaOptions", &options.to_string()), ("replicaName", "copy"), ("syncModel", "perReplica")],
        )
        .await;
    assert_eq!(copy["responseType"], "esriReplicaResponseTypeInfo", "{copy}");
    assert_eq!(
        copy["layerServerGens"],
        json!([{"id": 0, "serverGen": generation}]),
        "the model is that of the reference"
    );
    assert!(copy.get("layers").is_none() && copy.get("URL").is_none(), "{copy}");
    assert_ne!(copy["replicaID"], original["replicaID"]);

    let (of_original, of_copy) = (info(&server, &original).await, info(&server, &copy).await);
    for same in ["layers", "geometry", "spatialReference", "syncModel", "layerServerGens", "syncDirection"] {
        assert_eq!(of_copy[same], of_original[same], "{same}");
    }
    let layers = copy["layerServerGens"].to_string();
    let first = [("replicaID", copy["replicaID"].as_str().unwrap()), ("syncLayers", &layers), EMBEDDED];
    let delta = server.post("synchronizeReplica", &first).await;
    let features = &delta["edits"][0]["features"];
    assert_eq!(
        (names(&features["adds"]), names(&features["updates"])),
        (vec!["ash".to_owned()], vec!["fir".to_owned()]),
        "{delta}"
    );
    assert_eq!(features["deleteIds"], json!([]), "what it never had is not taken away");
}

#[tokio::test]
async fn a_copy_needs_a_reference_or_a_definition() {
    let server = with_rows().await;
    let original = create(&server, &[("layers", "0")]).await;
    let generation = original["replicaServerGen"].as_i64().unwrap();
    server.database.sql("delete from oak where species = 'elm'").await;
    let register = async |options: Json, more: &[(&str, &str)]| {
        let options = options.to_string();
        let mut all = vec![("replicaOptions", options.as_str())];
        all.extend(more);
        server.post("createReplica", &all).await
    };
    let gone = "8d8b7c2e-0000-4000-8000-00000000000a";
    let without =
        json!({"registerExistingData": "true", "refReplicaId": gone, "refReplicaServerGen": generation.to_string()});
    let (code, text) = error(&register(without.clone(), &[]).await);
    assert_eq!(code, 400);
    assert!(text.contains("reference replica not found") && text.contains(gone), "{text}");
    let defined = register(without, &[("layers", "0"), ("transportType", "esriTransportTypeUrl")]).await;
    assert_eq!(defined["replicaServerGen"], generation, "{defined}");
    let current = register(json!({"registerExistingData": true, "refReplicaId": original["replicaID"]}), &[]).await;
    assert!(
        current["replicaServerGen"].as_i64().unwrap() > generation,
        "without a generation, the newest there is: {current}"
    );

    let reference = &original["replicaID"];
    for (options, said) in [
        (
            json!({"registerExistingData": true, "refReplicaId": reference, "refReplicaServerGen": 1, "refLayerServerGens": [{"id": 0, "serverGen": 1}]}),
            "exclude each other",
        ),
        (
            json!({"registerExistingData": true, "refReplicaId": reference, "refReplicaServerGen": 9_007_199_254_740_991_i64}),
            "lies in the future",
        ),
        (
            json!({"registerExistingData": true, "refReplicaId": reference, "refReplicaServerGen": 0}),
            "are no longer kept",
        ),
        (
            json!({"registerExistingData": true, "refReplicaId": reference, "refLayerServerGens": [{"id": 1, "serverGen": 1}]}),
            "no generation of layer 0",
        ),
        (json!({"registerExistingData": true, "refReplicaId": reference, "syncDataOptions": 4}), "exclude each other"),
        (json!({"registerExistingData": true}), "name the layers"),
        (json!({"syncDataOptions": 33}), "syncDataOptions asks for 1 and 32"),
        (json!({"syncDataOptions": -1}), "syncDataOptions asks for -1"),
        (json!({"syncDataOptions": "all"}), "a whole number belongs there"),
    ] {
        let (code, text) = error(&register(options.clone(), &[]).await);
        assert_eq!(code, 400, "{options}");
        assert!(text.contains(said), "{options}: {text}");
    }
    for harmless in [json!({"syncDataOptions": 0}), json!({"syncDataOptions": "4"}), json!({})] {
        let answer = register(harmless.clone(), &[("layers", "0"), EMBEDDED]).await;
        assert_eq!(answer["responseType"], "esriReplicaResponseTypeData", "{harmless}: {answer}");
    }
}

#[tokio::test]
async fn what_has_no_effect_is_accepted_and_what_would_have_one_is_refused() {
    let server = with_rows().await;
    let replica = create(
        &server,
        &[
            ("timeReferenceUnknownClient", "true"),
            ("geometryType", "esriGeometryPolygon"),
            ("datumTransformations", "[]"),
            ("overwrite", "true"),
            ("token", " "),
        ],
    )
    .await;
    let generation = replica["replicaServerGen"].to_string();
    let mine = [
        ("replicaID", replica["replicaID"].as_str().unwrap()),
        ("replicaServerGen", generation.as_str()),
        ("reconcileBranchVersion", "true"),
        ("replicaServerSibGen", "-1"),
        ("syncModel", "perLayer"),
        ("syncLayers", "perReplica"),
        ("returnAttachmentsDataByUrl", "false"),
    ];
    let answer = server.post("synchronizeReplica", &mine).await;
    assert_eq!(answer["responseType"], "esriReplicaResponseTypeNoEdits", "{answer}");
    for (name, value, said) in [
        ("geometryType", "esriGeometryBlob", "'esriGeometryBlob' is not known"),
        ("timeReferenceUnknownClient", "perhaps", "'perhaps' is neither true nor false"),
        ("syncModel", "perFeature", "it is one of perReplica, perLayer, none"),
        ("targetType", "device", "it is one of client, server"),
    ] {
        let (code, text) = error(&server.post("createReplica", &[("layers", "0"), (name, value)]).await);
        assert_eq!(code, 400);
        assert!(text.contains(said), "{name}: {text}");
    }
}

#[tokio::test]
async fn a_datum_transformation_is_taken_where_there_is_nothing_to_transform() {
    let server = with_rows().await;
    // Web Mercator and longitude and latitude have the same datum, and PostGIS has no choice.
    for srid in ["3857", "4326"] {
        let same = [("datumTransformations", r#"[{"wkid":1623}]"#), ("replicaSR", srid), ("layers", "0"), EMBEDDED];
        let answer = server.post("createReplica", &same).await;
        assert!(answer["layers"].is_array(), "{srid}: {answer}");
    }
    for more in [("replicaSR", "4267"), ("inSR", "4267")] {
        let other = [("datumTransformations", "[1241]"), ("geometry", "-90,10,90,80"), ("layers", "0"), more];
        let (code, words) = error(&server.post("createReplica", &other).await);
        assert!(code == 400 && words.contains("'datumTransformations'") && words.contains("1241"), "{more:?}: {words}");
    }
}

#[tokio::test]
async fn replicas_are_those_of_the_only_version_there_is() {
    let server = with_rows().await;
    create(&server, &[]).await;
    let n_listed = async |version: &str| {
        let listed = server.get("replicas/", &[("returnVersion", "true"), ("replicaVersion", version)]).await;
        listed.as_array().unwrap_or_else(|| panic!("{listed}")).len()
    };
    assert_eq!((n_listed("").await, n_listed("sde.DEFAULT").await, n_listed("sde.Other").await), (1, 1, 0));
}

#[tokio::test]
async fn an_export_has_the_fields_that_its_layer_queries_name() {
    let server = TestServer::with_trees().await;
    server.database.sql("insert into oak (species, girth, shape) values ('elm', 1, ST_Point(1, 1, 3857))").await;
    let names = |answer: &Json| -> Vec<String> {
        let feature = &answer["layers"][0]["features"][0];
        feature["attributes"].as_object().unwrap_or_else(|| panic!("{answer}")).keys().cloned().collect()
    };
    let all = names(&create(&server, &[("syncModel", "none")]).await);
    for given in [r#"["GIRTH","species"]"#, r#""species, girth""#] {
        let queries = format!(r#"{{"0":{{"queryOption":"all","fields":{given}}}}}"#);
        let export = create(&server, &[("syncModel", "none"), ("layerQueries", &queries)]).await;
        let mut found = names(&export);
        found.sort_unstable();
        assert_eq!(found, ["girth", "globalid", "objectid", "species"], "with what identifies a feature");
        assert!(export["layers"][0]["features"][0].get("geometry").is_some(), "{export}");
        let replica = create(&server, &[("layerQueries", &queries)]).await;
        assert_eq!(names(&replica), all, "who synchronizes has whole rows");
    }
    let every = create(&server, &[("syncModel", "none"), ("layerQueries", r#"{"0":{"fields":["*"]}}"#)]).await;
    assert_eq!(names(&every), all);
    for (given, said) in [
        (r#"["colour"]"#, "there is no field 'colour' in layer 0; the fields are objectid"),
        ("5", "fields is 5"),
        ("[5]", "a list of names"),
    ] {
        let queries = format!(r#"{{"0":{{"fields":{given}}}}}"#);
        let answer =
            server.post("createReplica", &[("layers", "0"), ("syncModel", "none"), ("layerQueries", &queries)]).await;
        let (code, text) = error(&answer);
        assert!(code == 400 && text.contains(said), "{text}");
    }
}
