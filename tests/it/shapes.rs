//! Our answers beside those of public services, and the requests of published clients: see `tests/fixtures/api`.

use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};

use axum::{body::Body, http::Request};

use crate::support::{
    TestServer,
    server::{self, encode},
};

const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");

/// Where our answers are meant to differ: fixture, difference, reason.
const INTENDED: &[(&str, &str, &str)] = &[
    ("service hosted", "- hasSyncEnabledViews", "views are not published"),
    ("service hosted", "- supportedAppendFormats", "there is no append"),
    (
        "service documentation",
        "- syncCapabilities.supportsQueryWithDatumTransformation",
        "PostGIS chooses transformations",
    ),
    ("replicas", "+ [].replicaOwner", "whose replica it is; owners see their own, administrators all"),
    ("replica-info", "- syncDataOptions", "no layer has anything of them"),
    ("replica-info", "- supportsReplicaTracking", "nobody reads it; isDataReplicaTracked of the layers says it"),
    (
        "replica-info-hosted",
        "- layerServerGens[].serverSibGen",
        "a client has no sibling; Enterprise leaves it out, too",
    ),
    ("replica-info-hosted", "+ returnsAttachments", "Enterprise has both spellings"),
    ("replica-info-hosted", "+ syncDirection", "Enterprise and the documents have it"),
    ("extract-changes", "- edits[].features.adds[].attributes.OBJECTID", "names of fields are those of the table"),
    ("extract-changes", "- edits[].features.adds[].attributes.GlobalID", "names of fields are those of the table"),
    ("extract-changes", "- edits[].features.updates[].attributes.OBJECTID", "names of fields are those of the table"),
    ("extract-changes", "- edits[].features.updates[].attributes.GlobalID", "names of fields are those of the table"),
    ("extract-changes", "+ edits[].attachments", "as documented: clients ask for the length of its lists"),
    ("job documented", "+ attempts", "ours: how often it was begun"),
    ("job documented", "+ jobId", "ours: for whoever looks for it in the log"),
    ("job documented", "+ operation", "ours: which request it was"),
    ("job documented", "+ resultSha256", "ours: proves that the file came whole"),
    ("job documented", "+ resultSize", "ours: tells how far a broken download was"),
    ("edit-results", "+ addResults[].globalId", "as newer servers do"),
    ("edit-results", "+ updateResults[].objectId", "says which of the edits it was"),
];

/// Requests that only a server beside which GDAL is installed answers as they stand, and the format that they ask for.
const BY_GDAL: &[(&str, &str)] =
    &[("an open-data site, export as CSV", "csv"), ("a script that exports without a geometry", "filegdb")];

/// What a comparison looks at.
#[derive(Clone, Copy, PartialEq)]
enum Extent {
    /// All members.
    Whole,
    /// Those that the fixture has.
    Part,
}

/// The type of a JSON value, as a word.
fn kind(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// Collects the members that only one of two values has, and those whose types differ. Of arrays, the first elements count.
fn compare(path: &str, model: &Json, ours: &Json, extent: Extent, found: &mut Vec<String>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (model, ours) {
        (Json::Object(model), Json::Object(ours)) => {
            for (name, value) in model {
                match ours.get(name) {
                    Some(own) => compare(&below(name), value, own, extent, found),
                    None => found.push(format!("- {}", below(name))),
                }
            }
            if extent == Extent::Whole && !path.ends_with("attributes") {
                let more = ours.keys().filter(|name| !model.contains_key(*name));
                found.extend(more.map(|name| format!("+ {}", below(name))));
            }
        }
        (Json::Array(model), Json::Array(ours)) => {
            if let (Some(model), Some(ours)) = (model.first(), ours.first()) {
                compare(&format!("{path}[]"), model, ours, extent, found);
            }
        }
        (Json::Null, _) | (_, Json::Null) => {}
        _ if kind(model) == kind(ours) => {}
        _ => found.push(format!("{path} is {} and not {}", kind(ours), kind(model))),
    }
}

/// Compares an answer with a fixture, and the differences with the table.
fn check(name: &str, model: &Json, ours: &Json, extent: Extent) {
    let mut found = Vec::new();
    compare("", model, ours, extent, &mut found);
    found.sort();
    let mut intended: Vec<&str> =
        INTENDED.iter().filter(|(fixture, ..)| *fixture == name).map(|(_, difference, _)| *difference).collect();
    intended.sort_unstable();
    assert_eq!(found, intended, "{name}: {ours}");
}

fn fixture(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

async fn with_rows() -> TestServer {
    let server = TestServer::with_trees().await;
    server
        .database
        .sql("insert into oak (species, girth, shape) select name, n, ST_Point(n, n, 3857) from unnest(array['elm', 'fir', 'ash'], array[0, 1, 2]) as t (name, n)")
        .await;
    server
}

async fn create(server: &TestServer, parameters: &[(&str, &str)]) -> Json {
    let mut all = vec![("layers", "0")];
    all.extend(parameters);
    let answer = server.post("createReplica", &all).await;
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}

#[tokio::test]
async fn the_service_says_about_sync_what_others_say() {
    let server = with_rows().await;
    let model = fixture(include_str!("../fixtures/api/service.json"));
    let ours = server.get("", &[]).await;
    for part in ["hosted", "documentation"] {
        check(&format!("service {part}"), &model[part], &ours, Extent::Part);
    }
    let layer = server.get("0", &[]).await;
    assert_eq!((&layer["isDataReplicaTracked"], &layer["syncCanReturnChanges"]), (&json!(true), &json!(true)));
    for resource in [&ours, &layer] {
        // Others depend on the GDAL that is installed.
        let formats = resource["supportedExportFormats"].as_str().unwrap();
        assert!(formats.starts_with("json,sqlite,geoPackage,featureCollection"), "{formats}");
        let capabilities = resource["capabilities"].as_str().unwrap();
        for capability in ["Sync", "Extract", "ChangeTracking"] {
            assert!(capabilities.split(',').any(|known| known == capability), "{capabilities}");
        }
    }
}

#[tokio::test]
async fn replicas_look_like_those_of_others() {
    let server = with_rows().await;
    let by_url = create(&server, &[("syncModel", "perLayer"), ("geometry", "-1,-1,5.5,5.5")]).await;
    check("create-by-url", &fixture(include_str!("../fixtures/api/create-by-url.json")), &by_url, Extent::Part);
    let export = create(&server, &[("syncModel", "none")]).await;
    check("create-export", &fixture(include_str!("../fixtures/api/create-export.json")), &export, Extent::Part);
    let list = server.get("replicas", &[]).await;
    check("replicas", &fixture(include_str!("../fixtures/api/replicas.json")), &list, Extent::Whole);
    let id = by_url["replicaID"].as_str().unwrap();
    let info = server.get(&format!("replicas/{id}"), &[]).await;
    let enterprise = fixture(include_str!("../fixtures/api/replica-info.json"));
    check("replica-info", &enterprise["body"], &info, Extent::Whole);
    let hosted = fixture(include_str!("../fixtures/api/replica-info-hosted.json"));
    check("replica-info-hosted", &hosted, &info, Extent::Whole);
    let unregistered = server.post("unRegisterReplica", &[("replicaID", id)]).await;
    check("unregister", &fixture(include_str!("../fixtures/api/unregister.json")), &unregistered, Extent::Whole);
}

#[tokio::test]
async fn queries_are_answered_in_the_shapes_of_others() {
    let server = with_rows().await;
    server
        .database
        .sql(
            "insert into visit (oak_id, note) select globalid, 'seen' from oak;
             update oak set planted = '2024-01-31'",
        )
        .await;
    let end = |layer, field: &str| (syncline::model::id::LayerId(layer), field.to_owned());
    let declared = syncline::model::definition::Declaration {
        name: None,
        origin: end(0, "globalid"),
        destination: end(1, "oak_id"),
    };
    server.app.store.relate("trees", &declared).await.unwrap();
    server.app.store.enable_attachments("trees", syncline::model::id::LayerId(0)).await.unwrap();
    server
        .database
        .sql(
            "do $$ begin execute format('insert into syncline.attachment_%s (parent_globalid, name, content_type, size_bytes, sha256)
               select globalid, ''cat.jpg'', ''image/jpeg'', 5, repeat(''0'', 64) from oak',
               (select layer_key from syncline.layer where table_name = 'oak')); end $$",
        )
        .await;
    let models = fixture(include_str!("../fixtures/api/query.json"));
    let statistics = r#"[{"statisticType":"count","onStatisticField":"objectid","outStatisticFieldName":"n"},{"statisticType":"max","onStatisticField":"planted","outStatisticFieldName":"last"}]"#;
    let (all, none) = (("where", "1=1"), ("where", "1=0"));
    for (name, path, parameters) in [
        ("features", "0/query", vec![all, ("outFields", "species")]),
        ("statistics", "0/query", vec![all, ("outStatistics", statistics), ("groupByFieldsForStatistics", "species")]),
        ("distinct", "0/query", vec![all, ("returnDistinctValues", "true"), ("outFields", "species")]),
        ("ids", "0/query", vec![all, ("returnIdsOnly", "true")]),
        ("idsOfNone", "0/query", vec![none, ("returnIdsOnly", "true")]),
        ("count", "0/query", vec![all, ("returnCountOnly", "true")]),
        ("extent", "0/query", vec![all, ("returnExtentOnly", "true"), ("returnCountOnly", "true")]),
        ("extentOfNone", "0/query", vec![none, ("returnExtentOnly", "true"), ("returnCountOnly", "true")]),
        (
            "related",
            "1/queryRelatedRecords",
            vec![("objectIds", "1"), ("relationshipId", "0"), ("outFields", "species")],
        ),
        (
            "relatedCounts",
            "0/queryRelatedRecords",
            vec![("objectIds", "1,2"), ("relationshipId", "0"), ("returnCountOnly", "true")],
        ),
        ("attachments", "0/queryAttachments", vec![("objectIds", "1"), ("returnUrl", "true")]),
        ("attachmentCounts", "0/queryAttachments", vec![("objectIds", "1"), ("returnCountOnly", "true")]),
        ("service", "query", vec![("layerDefs", "0:1=1;1:1=0")]),
        ("feature", "0/1", vec![("outFields", "objectid")]),
    ] {
        let ours = server.get(path, &parameters).await;
        check(&format!("query {name}"), &models[name], &ours, Extent::Part);
    }
}

/// The status of a job once it has ended, for which it has 20 seconds.
async fn ended(server: &TestServer, answer: &Json) -> Json {
    let url = answer["statusUrl"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let path = url.strip_prefix("http://test:80").unwrap_or_else(|| panic!("{url}"));
    let started = Instant::now();
    loop {
        let status = server.get(path, &[]).await;
        match status["status"].as_str() {
            Some("Pending" | "InProgress") => assert!(started.elapsed() < Duration::from_secs(20), "{status}"),
            Some(_) => return status,
            None => panic!("no status in {status}"),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn jobs_look_like_those_of_others() {
    let server = with_rows().await;
    let _runner = server.run_jobs();
    let models = fixture(include_str!("../fixtures/api/job-status.json"));
    let created = create(&server, &[("syncModel", "perLayer"), ("async", "true")]).await;
    let created = ended(&server, &created).await;
    check("job created", &models["created"], &created, Extent::Part);
    check("job documented", &models["documented"], &created, Extent::Whole);
    let layers =
        format!(r#"[{{"id":0,"serverGen":{},"syncDirection":"upload"}}]"#, created["layerServerGens"][0]["serverGen"]);
    let parameters =
        [("replicaID", created["replicaID"].as_str().unwrap()), ("syncLayers", &layers), ("async", "true")];
    let uploaded = ended(&server, &server.post("synchronizeReplica", &parameters).await).await;
    check("job uploaded", &models["uploaded"], &uploaded, Extent::Part);
    assert_eq!(uploaded["resultUrl"], "", "{uploaded}");
}

#[tokio::test]
async fn changes_look_like_those_of_others() {
    let server = with_rows().await;
    let generation = create(&server, &[EMBEDDED]).await["replicaServerGen"].to_string();
    server.database.sql("update oak set girth = 9 where species = 'elm'; insert into oak (species, shape) values ('yew', ST_Point(1, 1, 3857))").await;
    let parameters = [("serverGens", generation.as_str()), ("layers", "0"), ("transportType", "esriTransportTypeUrl")];
    let by_url = server.post("extractChanges", &parameters).await;
    let file = server.get(by_url["URL"].as_str().unwrap().strip_prefix("http://test:80").unwrap(), &[]).await;
    check("extract-changes", &fixture(include_str!("../fixtures/api/extract-changes.json")), &file, Extent::Whole);
}

#[tokio::test]
async fn results_and_errors_look_like_those_of_others() {
    let server = with_rows().await;
    let parameters = [
        ("adds", r#"[{"attributes":{"species":"yew"}}]"#),
        ("updates", r#"[{"attributes":{"objectid":99,"species":"box"}}]"#),
        ("rollbackOnFailure", "false"),
    ];
    let mut results = server.post("0/applyEdits", &parameters).await;
    results.as_object_mut().unwrap().remove("deleteResults");
    check("edit-results", &fixture(include_str!("../fixtures/api/edit-results.json")), &results, Extent::Whole);
    let models = fixture(include_str!("../fixtures/api/errors.json"));
    for (name, answer) in [
        ("unknown service", server.get("/arcgis/rest/services/NOPE/FeatureServer", &[]).await),
        ("broken where", server.get("0/query", &[("where", "species = = 1")]).await),
        ("unknown replica", server.get("replicas/8d8b7c2e-0000-4000-8000-00000000000a", &[]).await),
    ] {
        check(name, &models[name], &answer, Extent::Whole);
    }
}

#[tokio::test]
async fn what_clients_send_is_understood() {
    let server = with_rows().await;
    let _runner = server.run_jobs();
    let replica = |answer: &Json| answer["replicaID"].as_str().unwrap().to_owned();
    let per_replica = create(&server, &[EMBEDDED]).await;
    let per_layer = replica(&create(&server, &[("syncModel", "perLayer"), EMBEDDED]).await);
    let of_server = [("syncModel", "perLayer"), ("targetType", "server"), ("syncDirection", "bidirectional"), EMBEDDED];
    let of_server = replica(&create(&server, &of_server).await);
    let generation = per_replica["replicaServerGen"].to_string();
    let per_replica = replica(&per_replica);
    let requests = fixture(include_str!("../fixtures/api/requests.json"));
    let service = server.get("", &[]).await;
    let formats: Vec<&str> = service["supportedExportFormats"].as_str().unwrap().split(',').collect();
    for request in requests.as_array().unwrap() {
        let client = request["client"].as_str().unwrap();
        let parameters: Vec<(&str, String)> = request["parameters"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| {
                let value = value.as_str().unwrap();
                let value = value.replace("«perReplica»", &per_replica).replace("«perLayer»", &per_layer);
                (name.as_str(), value.replace("«server»", &of_server).replace("«generation»", &generation))
            })
            .collect();
        let parameters: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let operation = request["operation"].as_str().unwrap();
        let answer = match request.get("method").and_then(Json::as_str) {
            None => server.post(operation, &parameters).await,
            Some("GET") => server.get(operation, &parameters).await,
            Some(_) => {
                let uri = format!("/arcgis/rest/services/trees/FeatureServer/{operation}?{}", encode(&parameters));
                let request = Request::post(uri).header("host", "test:80").body(Body::empty()).unwrap();
                server::json(server.send(request).await).await
            }
        };
        match BY_GDAL.iter().find(|(who, format)| *who == client && !formats.contains(format)) {
            None => {
                assert!(answer.get("error").is_none(), "{client}: {answer}");
                if request["parameters"]["async"].as_str().is_some_and(|flag| flag.eq_ignore_ascii_case("true")) {
                    let status = ended(&server, &answer).await;
                    assert_eq!(status["status"], "Completed", "{client}: {status}");
                }
            }
            Some((_, format)) => {
                let (code, text) = server::error(&answer);
                assert_eq!(code, 400, "{client}");
                assert!(text.contains(&format!("dataFormat={format} is not supported")), "{client}: {text}");
            }
        }
    }
    for (refused, _) in BY_GDAL {
        assert!(requests.as_array().unwrap().iter().any(|request| request["client"] == *refused), "{refused}");
    }
}
