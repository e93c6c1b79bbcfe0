//! T-R2, T-K2: lines that break, before the server and behind it. Devices repeat themselves until they are answered; each
//! of their edits has one effect.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::{
    support::{
        Program, TestDatabase, at_length,
        program::{Server, post},
        proxy::{Cut, DatabaseProxy, Fault, Part, Proxy},
    },
    sync::{
        device::{Device, Line, rows_of},
        model::{Change, Fate, Fields, TREES, TestFilter, Way},
    },
};

/// The real program with the layers `tree` and `note`, on a database or on a line to it.
async fn serve(database: &TestDatabase, url: &str) -> (Program, Server) {
    database.sql(TREES).await;
    let program = Program::on(&TestDatabase::at(url));
    for table in ["tree", "note"] {
        program.done(&["publish", "--service", "trees", "--table", table]);
    }
    let server = program.serve();
    (program, server)
}

fn id_of(n: usize) -> Uuid {
    Uuid::from_u128(0x5117_0000_0000_4000_8000_0000_0000_0000 + n as u128)
}

fn put(girth: i32) -> Change {
    Change::Put(Fields { species: None, girth: Some(Some(girth)), x: None })
}

/// Batches, receipts, and changes.
async fn books(database: &TestDatabase) -> [i64; 3] {
    let mut counts = [0; 3];
    for (count, query) in counts.iter_mut().zip([
        "select count(*) from syncline.batch",
        "select count(*) from syncline.receipt where code is null",
        "select (select count(*) from syncline.change_1) + (select count(*) from syncline.change_2)",
    ]) {
        *count = database.value(query).await;
    }
    counts
}

/// Every way in which a line breaks, and some in which it only bends.
fn faults() -> Vec<Fault> {
    let broken = Part::BROKEN.into_iter().flat_map(|part| {
        [false, true].into_iter().flat_map(move |reset| [Fault::Request { part, reset }, Fault::Answer { part, reset }])
    });
    broken.chain([Fault::Impatience, Fault::Twice, Fault::Trickle]).collect()
}

#[tokio::test]
async fn every_edit_has_one_effect_over_a_line_that_breaks_anywhere() {
    let database = TestDatabase::new().await;
    let (_program, server) = serve(&database, &database.url).await;
    let proxy = Proxy::to(server.address());
    let line = Line::Far(proxy.address);
    let mut connection = database.connect().await;
    // Large answers and uploads are cut in other places than small ones.
    for n_rows in at_length(vec![1], vec![1, 10, 100, 1000]) {
        let mut next = 0;
        for per_layer in [false, true] {
            proxy.arm(Fault::Answer { part: Part::Half, reset: false });
            let mut device = Device::create(line, TestFilter::All, per_layer).await;
            for fault in faults() {
                let case = format!("{fault:?}, {n_rows} rows, perLayer {per_layer}");
                let before = books(&database).await;
                let new: Vec<usize> = (next..next + n_rows).collect();
                next += n_rows;
                for &n in &new {
                    device.edit(n % 2, id_of(n), &put(1));
                }
                // A few edits of what is there.
                let old = new[0].saturating_sub(1);
                let mut n_edits = new.len();
                if old < new[0] && device.rows[old % 2].contains_key(&id_of(old)) {
                    device.edit(old % 2, id_of(old), &put(2));
                    n_edits += 1;
                }
                proxy.arm(fault);
                let mut n_tries = 1;
                while !device.sync(line, Way::Bidirectional, Fate::Arrives, 3, false).await {
                    n_tries += 1;
                }
                let mends = matches!(fault, Fault::Twice | Fault::Trickle);
                assert_eq!(n_tries, if mends { 1 } else { 2 }, "{case}");
                let after = books(&database).await;
                let n = i64::try_from(n_edits).unwrap();
                assert_eq!([after[0] - before[0], after[1] - before[1], after[2] - before[2]], [1, n, n], "{case}");
                assert_eq!(device.rows, rows_of(&mut connection).await, "{case}");
            }
        }
        database.sql("delete from tree; delete from note").await;
    }
    let strays = "select count(*) from syncline.txn where origin is not null and not exists (select from syncline.batch b where b.txn_id = txn.txn_id)";
    assert_eq!(database.value::<i64>(strays).await, 0);
    server.stop();
}

#[tokio::test]
async fn every_edit_has_one_effect_when_the_database_is_lost_at_a_commit() {
    let database = TestDatabase::new().await;
    let proxy = DatabaseProxy::to(&database.url);
    let (_program, server) = serve(&database, &proxy.url).await;
    let ask = |operation: &str, parameters: &[(&str, &str)]| {
        post(server.address(), &format!("trees/FeatureServer/{operation}"), parameters).unwrap()
    };
    let create = || {
        ask(
            "createReplica",
            &[
                ("layers", "0,1"),
                ("layerQueries", TestFilter::All.layer_queries()),
                ("transportType", "esriTransportTypeEmbedded"),
            ],
        )
    };
    let (mut n_edits, mut n_cut) = (0, 0);
    for round in 0..at_length(1, 20) {
        for cut in [Cut::BeforeCommit, Cut::AfterCommit] {
            let case = format!("{cut:?}, round {round}");
            loop {
                let n_before: i64 = database.value("select count(*) from syncline.replica").await;
                proxy.cut(cut, 0);
                let answer = create();
                assert!(proxy.disarm(), "{case}: {answer}");
                // The server keeps house now and then, and commits that, too.
                if answer.get("error").is_some() {
                    let n_after: i64 = database.value("select count(*) from syncline.replica").await;
                    assert_eq!(n_after - n_before, i64::from(cut == Cut::AfterCommit), "{case}");
                    break;
                }
            }
            let replica = create();
            // The commit of the edits, and that of the notes about the synchronization.
            for n_passed in [0, 1] {
                let case = format!("{case}, after {n_passed} commits");
                let before = books(&database).await;
                n_edits += 1;
                let edits = json!([{"id": 1, "features": {"adds": [{"attributes": {"globalid": id_of(n_edits).to_string(), "girth": 1}}]}}]);
                let (edits, generation) = (edits.to_string(), replica["replicaServerGen"].to_string());
                let parameters = [
                    ("replicaID", replica["replicaID"].as_str().unwrap_or_else(|| panic!("{case}: {replica}"))),
                    ("replicaServerGen", &generation),
                    ("edits", &edits),
                    ("returnIdsForAdds", "true"),
                    ("transportType", "esriTransportTypeEmbedded"),
                ];
                proxy.cut(cut, n_passed);
                let first = ask("synchronizeReplica", &parameters);
                n_cut += usize::from(proxy.disarm() && first.get("error").is_some());
                let results = |answer: &Json| answer["edits"][1]["features"]["addResults"].clone();
                let second = ask("synchronizeReplica", &parameters);
                assert_eq!(results(&second)[0]["success"], true, "{case}: {second}");
                assert_eq!(results(&ask("synchronizeReplica", &parameters)), results(&second), "{case}");
                let after = books(&database).await;
                assert_eq!([after[0] - before[0], after[1] - before[1], after[2] - before[2]], [1, 1, 1], "{case}");
            }
        }
    }
    // One may have met the housekeeping instead.
    assert!(n_cut + 1 >= n_edits, "only {n_cut} of {n_edits} synchronizations were cut");
    server.stop();
}
