//! F54: a server that was away for long is sent more than a request can bring.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};

use crate::{
    exchange::{Lost, pair, rows, transfer},
    support::{
        Program, TestDatabase, TestServer, at_length,
        server::{error, json},
    },
};

const EMBEDDED: (&str, &str) = ("transportType", "esriTransportTypeEmbedded");

/// Sends a file and returns the id of the upload.
async fn send(server: &TestServer, text: &str) -> String {
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"edits.json\"\r\n\r\n{text}\r\n--b--\r\n"
    );
    let sent = server.post_body("uploads/upload?f=json", "multipart/form-data; boundary=b", form).await;
    let sent: Json = json(sent).await;
    sent["item"]["itemID"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned()
}

async fn take(server: &TestServer, replica: &str, generation: &str, item: &str, more: &[(&str, &str)]) -> Json {
    let mut parameters = vec![
        ("replicaID", replica),
        ("syncDirection", "upload"),
        ("replicaServerSibGen", generation),
        ("editsUploadId", item),
        EMBEDDED,
    ];
    parameters.extend(more);
    server.post("synchronizeReplica", &parameters).await
}

/// A pair whose one side edited much while the other was away; the delta as a document, and its generation.
async fn backlog() -> (TestServer, TestServer, String, Json) {
    let (one, mut other, replica) = pair("bidirectional", "perReplica").await;
    // Here, a visit belongs to its oak.
    other
        .database
        .sql("alter table visit add constraint of_oak foreign key (oak_id) references oak (globalid) on delete cascade deferrable")
        .await;
    one.database
        .sql(
            "insert into oak (species, girth) select 'oak ' || n, n from generate_series(1, 1500) n;
             insert into visit (oak_id, note) select globalid, 'seen ' || girth from oak where girth between 1 and 400;
             update oak set girth = 7 where species = 'fir'; delete from visit where note like '%tall%'; delete from oak where species = 'elm'",
        )
        .await;
    let info = other.get(&format!("replicas/{replica}"), &[]).await;
    let sibling = info["replicaServerSibGen"].to_string();
    let download =
        [("replicaID", replica.as_str()), ("syncDirection", "download"), ("replicaServerGen", &sibling), EMBEDDED];
    let delta = one.post("synchronizeReplica", &download).await;
    other.limit_bodies(1 << 16);
    (one, other, replica, delta)
}

/// How many batches, how many edits in all of them, and how many edits in the largest.
async fn booked(server: &TestServer) -> String {
    let counts = "select concat_ws(' ', count(distinct batch_id), count(*), (select max(n) from (select count(*) n from syncline.receipt group by batch_id) s)) from syncline.receipt";
    server.database.value(counts).await
}

#[tokio::test]
async fn f54_a_backlog_is_taken_in_batches_each_with_its_receipts_and_goes_on_where_it_broke_off() {
    let (one, other, replica, delta) = backlog().await;
    let generation = delta["replicaServerGen"].to_string();
    let text = delta.to_string();
    assert!(text.len() > 4 << 16, "more than a request may bring: {}", text.len());
    let skip = [("rollbackOnFailure", "false")];
    let before = rows(&other).await;

    let broken = send(&other, &text[..text.len() - 20]).await;
    let refused = take(&other, &replica, &generation, &broken, &skip).await;
    assert!(error(&refused).1.contains("neither an array of edits"), "{refused}");
    let item = send(&other, &text).await;
    for (more, expected) in [
        (&[][..], "rollbackOnFailure=false"),
        (&[("rollbackOnFailure", "false"), ("returnIdsForAdds", "true")], "returnIdsForAdds=false"),
        (
            &[("rollbackOnFailure", "false"), ("syncDirection", "bidirectional"), ("replicaServerGen", "1")],
            "syncDirection=upload",
        ),
    ] {
        let refused = take(&other, &replica, &generation, &item, more).await;
        assert!(error(&refused).1.contains(expected), "{expected}: {refused}");
    }
    let client = other.post("createReplica", &[("layers", "0"), EMBEDDED]).await;
    let refused = take(&other, client["replicaID"].as_str().unwrap(), "1", &item, &skip).await;
    assert!(error(&refused).1.contains("targetType=server"), "{refused}");
    assert_eq!(rows(&other).await, before, "nothing was applied");

    // It breaks off in the middle: the oaks are there, the visits are not.
    other.database.sql("alter table visit rename to elsewhere").await;
    let failed = take(&other, &replica, &generation, &item, &skip).await;
    assert_eq!(error(&failed).0, 503, "{failed}");
    assert!(other.database.value::<i64>("select count(*) from oak").await > 1500);
    let info = other.get(&format!("replicas/{replica}"), &[]).await;
    assert_ne!(info["replicaServerSibGen"], delta["replicaServerGen"], "not all of it has been received");
    other.database.sql("alter table elsewhere rename to visit").await;

    for _ in 0..2 {
        let taken = take(&other, &replica, &generation, &item, &skip).await;
        assert!(taken.get("error").is_none(), "{taken}");
        assert_eq!(rows(&one).await, rows(&other).await);
        let info = other.get(&format!("replicas/{replica}"), &[]).await;
        assert_eq!(info["replicaServerSibGen"], delta["replicaServerGen"]);
    }
    let n_edits: usize = delta["edits"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|layer| {
            ["adds", "updates", "deleteIds"].map(|list| layer["features"][list].as_array().unwrap().len())
        })
        .sum();
    let booked = booked(&other).await;
    let counts: Vec<usize> = booked.split(' ').map(|count| count.parse().unwrap()).collect();
    assert_eq!(counts[1], n_edits, "each edit has one receipt, also after repetitions");
    assert!(counts[0] >= 6 && counts[2] < 500, "in batches: {booked}");
    assert_eq!(transfer(&one, &other, &replica, Lost::Nothing).await, 0);
    assert_eq!(transfer(&other, &one, &replica, Lost::Nothing).await, 0, "and nothing of it is sent back");
}

#[tokio::test]
async fn refused_edits_of_a_backlog_are_named_and_kept_and_the_others_are_applied() {
    let (_one, other, replica, delta) = backlog().await;
    other.database.sql("alter table oak add check (girth <> 13)").await;
    let item = send(&other, &delta.to_string()).await;
    let taken =
        take(&other, &replica, &delta["replicaServerGen"].to_string(), &item, &[("rollbackOnFailure", "false")]).await;
    let results = &taken["edits"][0]["features"]["addResults"];
    assert_eq!((results.as_array().map(Vec::len), &results[0]["success"]), (Some(1), &json!(false)), "{taken}");
    // Its visit could not stand without it.
    let visits = &taken["edits"][1]["features"]["addResults"];
    assert_eq!(visits.as_array().map(Vec::len), Some(1), "{taken}");
    let rejected = other.get("rejectedEdits", &[("replicaID", &replica)]).await;
    assert!(rejected.to_string().contains(results[0]["globalId"].as_str().unwrap()), "{rejected}");
    assert_eq!(other.database.value::<i64>("select count(*) from oak where species like 'oak %'").await, 1499);
}

#[tokio::test]
async fn f54_a_backlog_does_not_fill_the_memory() {
    let n_adds = at_length(30_000, 1_000_000);
    let database = TestDatabase::new().await;
    database
        .sql("create table oak (objectid integer generated by default as identity primary key, globalid uuid not null default gen_random_uuid() unique, species text)")
        .await;
    let program = Program::on(&database).with("SYNCLINE_MAX_BODY_BYTES", 1 << 20);
    program.done(&["publish", "--service", "trees", "--table", "oak"]);
    let server = program.serve();
    let replica = "B7B70C50-0000-4000-8000-000000000001";
    let imported = server.post(
        "trees/FeatureServer/importReplica",
        &[
            ("replicaID", replica),
            ("replicaName", "much"),
            ("replicaServerGen", "1"),
            ("targetType", "server"),
            ("syncDirection", "bidirectional"),
            ("layers", r#"[{"id":0,"features":[]}]"#),
        ],
    );
    assert_eq!(imported["success"], true, "{imported}");
    let mut text = String::from(r#"{"edits":[{"id":0,"features":{"adds":["#);
    for n in 0..n_adds {
        if n > 0 {
            text.push(',');
        }
        write!(
            text,
            r#"{{"attributes":{{"globalid":"{{AAAAAAAA-0000-4000-8000-{n:012}}}","species":"one of very many oaks that were planted meanwhile"}}}}"#
        )
        .unwrap();
    }
    text.push_str(r#"],"updates":[],"deleteIds":[]}}]}"#);
    let before = server.peak_memory_kib();
    let sent = server.send_file("trees/FeatureServer/uploads/upload", "file", "edits.json", text.as_bytes()).unwrap();
    let item = sent["item"]["itemID"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned();
    let parameters = [
        ("replicaID", replica),
        ("syncDirection", "upload"),
        ("replicaServerSibGen", "2"),
        ("rollbackOnFailure", "false"),
        ("editsUploadId", &item),
        EMBEDDED,
    ];
    let submitted =
        server.post("trees/FeatureServer/synchronizeReplica", &[&parameters[..], &[("async", "true")]].concat());
    let status = submitted["statusUrl"].as_str().unwrap_or_else(|| panic!("{submitted}"));
    assert!(status.contains("/jobs/"), "{status}");
    let started = std::time::Instant::now();
    let ended = "select state in ('Completed', 'CompletedWithErrors', 'Failed') from syncline.job";
    while !database.value::<bool>(ended).await {
        assert!(started.elapsed() < std::time::Duration::from_secs(1800), "the job does not end");
    }
    assert_eq!(database.value::<i64>("select count(*) from oak").await, n_adds);
    assert_eq!(database.value::<i64>("select count(*) from syncline.receipt where code is null").await, n_adds);
    let grown = server.peak_memory_kib() - before;
    assert!(grown < 96 << 10, "{grown} KiB more for {} MiB of edits", text.len() >> 20);
    server.stop();
}
