//! What is too much: of conditions (S3), of JSON (S4), of vertices (S5), of what is packed (S6).

use std::time::{Duration, Instant};

use super::{refusal, with_oaks};
use crate::{
    auth::{closed, get_as, key},
    support::server::json,
};

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn s3_expensive_queries_are_refused_soon_or_ended() {
    let mut server = with_oaks().await;
    server.configure(|config| config.max_query_seconds = 1);
    for (given, expected) in [
        (format!("species = '{}'", "x".repeat(17_000)), "bytes"),
        (format!("{}1=1{}", "(".repeat(65), ")".repeat(65)), "nested too deeply"),
        (format!("girth in ({}1)", "1,".repeat(10_000)), "too many values"),
        (format!("girth = 1{}", "+1".repeat(129)), "too many arithmetic operators"),
    ] {
        let begun = Instant::now();
        let answer = server.post("0/query", &[("where", &given)]).await;
        let (code, said) = refusal(&answer).unwrap();
        assert!(code == 400 && said.contains(expected), "{said}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
    // What the database takes too long for is ended, and says how to ask for less.
    server
        .database
        .sql("insert into oak (species, girth) select repeat('ab', 10), n from generate_series(1, 100000) n")
        .await;
    let slow = vec!["species like '%a%b%a%b%a%b%a%b%a%b%a%b%ac'"; 40].join(" or ");
    let begun = Instant::now();
    let answer = server.post("0/query", &[("where", &slow), ("returnCountOnly", "true")]).await;
    if let Some((_, said)) = refusal(&answer) {
        assert!(said.contains("max_query_seconds"), "{said}");
    }
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    assert_eq!(server.get("0/query", &[("where", "girth = 7"), ("returnCountOnly", "true")]).await.get("error"), None);
}

#[tokio::test]
async fn s3_what_the_planner_finds_absurd_is_not_begun() {
    let mut server = with_oaks().await;
    server.configure(|config| config.max_query_cost = 50);
    server
        .database
        .sql("insert into oak (species, girth) select 'ab', n from generate_series(1, 20000) n; analyze oak")
        .await;
    let long = vec!["girth <> 1"; 30].join(" and ");
    for weighty in ["species like '%a%b%'", &long] {
        for more in [("returnCountOnly", "true"), ("returnIdsOnly", "true"), ("outFields", "*")] {
            let (code, said) = refusal(&server.post("0/query", &[("where", weighty), more]).await).unwrap();
            assert!(code == 400 && said.contains("max_query_cost") && said.contains("'where'"), "{code} {said}");
        }
    }
    let (_, said) =
        refusal(&server.post("0/query", &[("where", "girth = 7"), ("returnCountOnly", "true")]).await).unwrap();
    assert!(said.contains("max_query_cost"), "all rows are read for it: {said}");
    // A page is no matter; nor is what finds its rows by an index.
    let page = server.post("0/query", &[("where", "1=1"), ("outFields", "*")]).await;
    assert_eq!(page["exceededTransferLimit"], true, "{page}");
    let few = [("where", "species like '%a%b%'"), ("objectIds", "60,61"), ("returnCountOnly", "true")];
    assert_eq!(server.post("0/query", &few).await["count"], 2);
    server.configure(|config| config.max_query_cost = 0);
    let answer = server.post("0/query", &[("where", &long), ("returnCountOnly", "true")]).await;
    assert!(answer["count"].is_number(), "{answer}");
}

/// Queries of one caller hang, far more than there are connections; another's are answered all the same.
#[tokio::test]
async fn s3_one_caller_with_endless_queries_does_not_keep_others_waiting() {
    let mut server = closed().await;
    server.configure(|config| config.max_caller_requests = 3);
    let mut holder = server.database.connect().await;
    sqlx::raw_sql("begin; lock table oak in access exclusive mode").execute(&mut holder).await.unwrap();
    let (abuser, other) = (key("viewer"), key("editor"));
    let hanging = futures_util::future::join_all((0..20).map(|n| {
        let (server, abuser) = (&server, &abuser);
        async move { get_as(server, abuser, "0/query", &[("where", &format!("girth = {n}"))]).await }
    }));
    let others = async {
        let waiting = "select count(*) = 3 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%oak%'";
        server.database.until(waiting).await;
        for _ in 0..50 {
            let begun = Instant::now();
            let answer = get_as(&server, &other, "1/query", &[("where", "1=1")]).await;
            assert!(answer["features"].is_array(), "{answer}");
            assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        }
        // Also who did not sign in is answered, if only that they must.
        assert_eq!(server.get("1/query", &[("where", "1=1")]).await["error"]["code"], 499);
        assert!(server.database.value::<bool>(waiting).await, "the queries still hang");
        sqlx::raw_sql("commit").execute(&mut holder).await.unwrap();
    };
    let (answers, ()) = tokio::join!(hanging, others);
    assert_eq!(answers.len(), 20);
    assert!(answers.iter().all(|answer| answer["features"].is_array()), "{answers:?}");
}

/// Of what takes long, one caller has little at a time; what is quick goes on meanwhile, theirs and that of others.
#[tokio::test]
async fn s3_who_asks_for_much_waits_for_that_alone() {
    let mut server = closed().await;
    server.configure(|config| {
        config.max_caller_requests = 6;
        config.max_caller_heavy_queries = 2;
    });
    let many =
        "insert into oak (species, girth) select repeat('ab', 10), n from generate_series(1, 300000) n; analyze oak";
    server.database.sql(many).await;
    let (abuser, other) = (key("viewer"), key("editor"));
    let heavy = [("where", "species like '%a%b%a%c%'"), ("returnCountOnly", "true")];
    let several = [("layerDefs", r#"{"1": "1=1", "0": "species like '%a%c%b%'"}"#), ("returnCountOnly", "true")];
    let abuse = futures_util::future::join_all((0..20).map(|n| {
        let (server, abuser) = (&server, &abuser);
        async move {
            match n % 2 {
                0 => get_as(server, abuser, "0/query", &heavy).await["count"].clone(),
                _ => get_as(server, abuser, "query", &several).await["layers"][1]["count"].clone(),
            }
        }
    }));
    let others = async {
        let running = "select count(*) from pg_stat_activity where datname = current_database() and state = 'active' and query like '-- count%oak%'";
        let mut most = 0;
        for _ in 0..20 {
            for who in [&abuser, &other] {
                let answer = get_as(&server, who, "1/query", &[("where", "1=1"), ("returnCountOnly", "true")]).await;
                assert!(answer["count"].is_number(), "{answer}");
                most = most.max(server.database.value::<i64>(running).await);
            }
        }
        most
    };
    let (answers, most) = tokio::join!(abuse, others);
    assert!(answers.iter().all(|count| *count == 0), "{answers:?}");
    assert!((1..=2).contains(&most), "{most} at the same time");
}

#[tokio::test]
async fn s4_json_has_a_depth_numbers_a_range_and_a_repeated_name_one_meaning() {
    let server = with_oaks().await;
    for given in [
        format!(r#"[{{"attributes": {{"species": {}1{}}}}}]"#, "[".repeat(200), "]".repeat(200)),
        r#"[{"attributes": {"girth": 1e400}}]"#.to_owned(),
        r#"[{"attributes": {"girth": 99999999999999999999999999}}]"#.to_owned(),
        r#"[{"attributes": {"height": NaN}}]"#.to_owned(),
    ] {
        let answer = server.post("0/addFeatures", &[("features", &given)]).await;
        assert!(refusal(&answer).is_some() || answer["addResults"][0]["success"] == false, "{given}: {answer}");
    }
    assert_eq!(server.features(0).await.len(), 50, "nothing was stored");
    let added = server.add(0, r#"[{"attributes": {"girth": 1, "girth": 77}}]"#).await;
    assert_eq!(added["addResults"][0]["success"], true, "{added}");
    assert_eq!(
        server.database.value::<i32>("select girth from oak order by objectid desc limit 1").await,
        77,
        "the last wins"
    );
}

#[tokio::test]
async fn s5_a_geometry_has_so_many_vertices_and_they_are_finite() {
    let server = with_oaks().await;
    let ring = format!("[[0,0],{}[0,0]]", "[1,1],".repeat(1_000_001));
    let polygon = format!(r#"{{"rings": [{ring}], "spatialReference": {{"wkid": 3857}}}}"#);
    let begun = Instant::now();
    let answer = server
        .post(
            "0/query",
            &[
                ("geometry", &polygon),
                ("geometryType", "esriGeometryPolygon"),
                ("spatialRel", "esriSpatialRelIntersects"),
            ],
        )
        .await;
    let (code, said) = refusal(&answer).unwrap();
    assert!(code == 400 && said.contains("the limit is 1000000"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    for point in [
        r#"{"x": 1e999, "y": 1}"#,
        r#"{"x": "Infinity", "y": 1}"#,
        r#"{"x": [1], "y": 1}"#,
        r#"{"x": Infinity, "y": 1}"#,
    ] {
        let features = format!(r#"[{{"attributes": {{"girth": 1}}, "geometry": {point}}}]"#);
        let answer = server.add(0, &features).await;
        assert!(refusal(&answer).is_some() || answer["addResults"][0]["success"] == false, "{point}: {answer}");
    }
    assert_eq!(server.features(0).await.len(), 50);
    assert_eq!(server.database.value::<i64>("select count(*) from oak where ST_X(shape) = 'Infinity'").await, 0);
}

#[tokio::test]
async fn s5_a_request_has_so_many_vertices_in_all_its_geometries() {
    let server = with_oaks().await;
    // Each of them is small enough, and so is the body.
    let ring = format!("{{\"rings\":[[{}[1,1]]]}}", "[1,1],".repeat(899_999));
    let features = format!("[{}]", vec![format!("{{\"geometry\":{ring}}}"); 12].join(","));
    assert!(features.len() < server.app.config.max_body_bytes);
    let begun = Instant::now();
    let edits = format!("[{{\"id\":0,\"adds\":{features}}}]");
    for (operation, name, value) in [("0/addFeatures", "features", &features), ("applyEdits", "edits", &edits)] {
        // As a part of a form, which has no signs to write in another way.
        let body = format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--b--\r\n");
        let operation = format!("{operation}?f=json");
        let answer = json(server.post_body(&operation, "multipart/form-data; boundary=b", body).await).await;
        let (code, said) = refusal(&answer).unwrap();
        assert!(code == 413 && said.contains("10000000"), "{code} {said}");
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(server.features(0).await.len(), 50, "nothing was stored");
}

#[tokio::test]
async fn s6_a_body_that_is_packed_is_not_unpacked() {
    let server = with_oaks().await;
    for encoding in ["gzip", "deflate", "br", "zstd", "gzip, gzip"] {
        let request = axum::http::Request::post("/arcgis/rest/services/trees/FeatureServer/0/query?f=json")
            .header("host", "test:80")
            .header("content-type", FORM)
            .header("content-encoding", encoding)
            .body(axum::body::Body::from(vec![0x1f, 0x8b, 8, 0]))
            .unwrap();
        let (code, said) = refusal(&json(server.send(request).await).await).unwrap();
        assert!(code == 400 && said.contains("without compression"), "{encoding}: {code} {said}");
    }
}

#[tokio::test]
async fn s6_an_archive_that_would_fill_the_disk_is_a_file_like_any_other() {
    let server = with_oaks().await;
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let packed = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
    archive.start_file("edits.json", packed).unwrap();
    for _ in 0..256 {
        std::io::Write::write_all(&mut archive, &vec![0; 1 << 20]).unwrap();
    }
    let bomb = archive.finish().unwrap().into_inner();
    assert!(bomb.len() < 1 << 20, "256 MiB in {} bytes", bomb.len());
    let mut body = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"edits.zip\"\r\n\r\n".to_vec();
    body.extend_from_slice(&bomb);
    body.extend_from_slice(b"\r\n--b--\r\n");
    let answer = json(server.post_body("uploads/upload?f=json", "multipart/form-data; boundary=b", body).await).await;
    let id = answer["item"]["itemID"].as_str().unwrap_or_else(|| panic!("{answer}"));
    for (operation, parameters) in [
        ("applyEdits", &[("editsUploadId", id)][..]),
        ("0/append", &[("appendUploadId", id), ("async", "false"), ("appendUploadFormat", "geojson")]),
    ] {
        let (code, said) = refusal(&server.post(operation, parameters).await).unwrap();
        assert!(code == 400 && said.len() < 500, "{operation}: {code} {said}");
    }
    let mut written = 0;
    let mut places = vec![server.app.config.data.clone()];
    while let Some(place) = places.pop() {
        for entry in std::fs::read_dir(place).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => places.push(entry.path()),
                false => written += entry.metadata().unwrap().len(),
            }
        }
    }
    assert!(written < 2 << 20, "{written} bytes were written of an archive of {}", bomb.len());
    assert_eq!(server.features(0).await.len(), 50, "nothing was stored");
}
