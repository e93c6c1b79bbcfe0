//! Whatever interrupts the client, the same command goes on: nothing is lost, nothing doubled, nothing left behind.

use std::{path::Path, process::Child};

use rusqlite::Connection;
use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{Field, open, trees_in};
use crate::support::{
    at_length,
    proxy::{Fault, Part, Proxy},
};

fn faults() -> Vec<Fault> {
    let parts = at_length(vec![Part::Nothing, Part::Half], Part::BROKEN.to_vec());
    let broken = parts.into_iter().flat_map(|part| {
        [Fault::Request { part, reset: part == Part::Half }, Fault::Answer { part, reset: part == Part::Half }]
    });
    broken.chain([Fault::Impatience, Fault::Twice]).collect()
}

/// Arms the line with a fault at the exchange after `n` others.
fn arm(proxy: &Proxy, n: usize, fault: Fault) {
    for _ in 0..n {
        proxy.arm(Fault::Pass);
    }
    proxy.arm(fault);
}

#[tokio::test]
async fn a_clone_over_a_line_that_breaks_anywhere_is_whole_and_leaves_no_other_replica() {
    let field = Field::new().await;
    // Three documents, createReplica, its job, the data.
    for n in 0..at_length(6, 9) {
        for fault in faults() {
            let case = format!("{fault:?} at exchange {n}");
            let proxy = Proxy::to(field.server.address());
            arm(&proxy, n, fault);
            let path = field.path("broken.gpkg");
            let url = field.url_by(&proxy.address.to_string());
            let arguments = ["clone", &url, path.to_str().unwrap(), "--no-spatial-index"];
            let mut codes = Vec::new();
            while codes.last() != Some(&0) {
                assert!(codes.len() < 5, "{case}: {codes:?}");
                let output = field.program.run(&arguments);
                codes.push(output.status.code().unwrap());
                assert!([0, 4].contains(codes.last().unwrap()), "{case}: {}", String::from_utf8_lossy(&output.stderr));
            }
            assert_eq!(trees_in(&path), field.trees().await, "{case}");
            field.database.until("select not exists (select from syncline.job where ended_at is null)").await;
            field.synced(&path);
            assert_eq!(
                field.count("syncline.replica where unregistered_at is null").await,
                1,
                "{case}: only the file's own"
            );
            assert_eq!(std::fs::read_dir(field.directory.path()).unwrap().count(), 1, "{case}: only the file");
            std::fs::remove_file(&path).unwrap();
            field.database.sql("delete from syncline.replica").await;
        }
    }
}

#[tokio::test]
async fn every_edit_has_one_effect_over_a_line_that_breaks_anywhere() {
    let field = Field::new().await;
    let proxy = Proxy::to(field.server.address());
    let path = field.path("field.gpkg");
    let url = field.url_by(&proxy.address.to_string());
    field.program.done(&["clone", &url, path.to_str().unwrap(), "--no-spatial-index"]);
    let mut expected = 5;
    for n in 0..at_length(3, 5) {
        for fault in faults() {
            let case = format!("{fault:?} at exchange {n}");
            expected += 1;
            open(&path).execute("insert into tree (species, girth) values ('elm', ?1)", [expected]).unwrap();
            open(&path).execute("update tree set girth = girth + 100 where girth > 100 or girth = 1", []).unwrap();
            field.database.sql("update note set words = words || '.'").await;
            arm(&proxy, n, fault);
            let mut codes = Vec::new();
            while codes.last() != Some(&0) {
                assert!(codes.len() < 5, "{case}: {codes:?}");
                let (said, code) = field.sync(&path, &[]);
                codes.push(code);
                assert!([0, 4].contains(&code), "{case}: {said}");
                if code != 0 {
                    // While it is not known what became of the first, there is a second edit of the row.
                    open(&path).execute("update tree set girth = girth + 1 where girth > 100", []).unwrap();
                }
            }
            let trees = field.trees().await;
            assert_eq!(trees.len(), usize::try_from(expected).unwrap(), "{case}: one effect");
            assert_eq!(trees_in(&path), trees, "{case}");
        }
    }
    assert_eq!(field.status(&path)["conflicts"], Json::Array(Vec::new()));
}

/// What the client waits for when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// The answer to a request that the server has not taken yet.
    Asked,
    /// A job that waits for this table.
    Working(&'static str),
    /// The file, to note where to ask for the job, which ends meanwhile.
    Noting,
    /// The file, to note that the job has ended.
    NotingEnd,
}

const AT_GATE: &str = "select exists (select from pg_stat_activity
    where datname = current_database() and application_name = 'syncline' and wait_event_type = 'Lock')";
const ALL_ENDED: &str = "select not exists (select from syncline.job where ended_at is null)";

async fn run(connection: &mut PgConnection, statements: &str) {
    sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(connection).await.unwrap();
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Waits until something is true of a file that others write.
async fn until(path: &Path, condition: &str) {
    let is_true = |path: &Path| -> bool {
        let Ok(db) = Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY) else {
            return false;
        };
        db.query_row(condition, [], |row| row.get(0)).unwrap_or(false)
    };
    while !is_true(path) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_client_killed_at_any_step_of_a_synchronization_goes_on_with_it() {
    let field = Field::new().await;
    let path = field.clone("field.gpkg");
    let mut keeper = field.database.connect().await;
    let gates = [Gate::Asked, Gate::Working("tree"), Gate::Working("syncline.receipt"), Gate::Noting, Gate::NotingEnd];
    for (number, gate) in (1..).zip(gates) {
        open(&path).execute("insert into tree (species, girth) values ('elm', ?1)", [100 + number]).unwrap();
        open(&path).execute("update tree set girth = girth + 1000 where girth % 1000 = 1", []).unwrap();
        open(&path).execute("delete from tree where girth = ?1", [if number < 5 { 1 + number } else { 101 }]).unwrap();
        let table = match gate {
            Gate::Asked => Some("syncline.job"),
            Gate::Working(table) => Some(table),
            Gate::NotingEnd => Some("tree"),
            Gate::Noting => None,
        };
        if let Some(table) = table {
            run(&mut keeper, &format!("begin; lock table {table} in share mode")).await;
        }
        let child = field.program.start(&["sync", path.to_str().unwrap()]);
        let blocker = open(&path);
        match gate {
            Gate::Asked | Gate::Working(_) => field.database.until(AT_GATE).await,
            Gate::Noting => {
                until(&path, "select request is not null from sync_outbox").await;
                blocker.execute_batch("begin immediate").unwrap();
                field.database.until(&format!("select exists (select from tree where girth = {})", 100 + number)).await;
            }
            Gate::NotingEnd => {
                until(&path, "select status_url is not null from sync_outbox").await;
                blocker.execute_batch("begin immediate").unwrap();
                run(&mut keeper, "rollback").await;
                field.database.until(ALL_ENDED).await;
            }
        }
        kill(child);
        run(&mut keeper, "rollback").await;
        drop(blocker);
        field.synced(&path);
        let trees = field.trees().await;
        assert_eq!(trees.len(), 5, "{gate:?}: one effect");
        assert_eq!(trees_in(&path), trees, "{gate:?}");
        let n_changes = field
            .count(&format!("syncline.change_1 c join tree t using (globalid) where t.girth = {}", 100 + number))
            .await;
        assert!(n_changes <= 1, "{gate:?}: a row is added once");
    }
}

#[tokio::test]
async fn a_client_killed_at_any_step_of_a_clone_goes_on_and_takes_back_what_it_asked_for() {
    let field = Field::new().await;
    let mut keeper = field.database.connect().await;
    for gate in [Gate::Asked, Gate::Working("syncline.replica_layer"), Gate::Noting, Gate::NotingEnd] {
        let path = field.path(&format!("{gate:?}.gpkg").replace(['"', '(', ')'], ""));
        let part = path.with_extension("gpkg.part");
        let url = field.url();
        let arguments = ["clone", &url, path.to_str().unwrap(), "--no-spatial-index"];
        // Documents only read, and are answered meanwhile.
        let table = match gate {
            Gate::Asked => Some("syncline.job"),
            Gate::Working(table) => Some(table),
            Gate::NotingEnd => Some("syncline.replica_layer"),
            Gate::Noting => None,
        };
        if let Some(table) = table {
            run(&mut keeper, &format!("begin; lock table {table} in share mode")).await;
        }
        let child = field.program.start(&arguments);
        match gate {
            Gate::Asked | Gate::Working(_) => field.database.until(AT_GATE).await,
            Gate::Noting => {
                until(&part, "select sent = 1 from sync_clone").await;
                let blocker = open(&part);
                blocker.execute_batch("begin immediate").unwrap();
                field
                    .database
                    .until("select exists (select from syncline.replica where unregistered_at is null)")
                    .await;
                kill(child);
                drop(blocker);
                field.program.done(&arguments);
                check_clone(&field, &path).await;
                continue;
            }
            Gate::NotingEnd => {
                until(&part, "select status_url is not null from sync_clone").await;
                let blocker = open(&part);
                blocker.execute_batch("begin immediate").unwrap();
                run(&mut keeper, "rollback").await;
                field.database.until(ALL_ENDED).await;
                kill(child);
                drop(blocker);
                field.program.done(&arguments);
                check_clone(&field, &path).await;
                continue;
            }
        }
        kill(child);
        assert!(!path.exists(), "{gate:?}: it has its name when it is whole");
        run(&mut keeper, "rollback").await;
        field.program.done(&arguments);
        check_clone(&field, &path).await;
    }
    // Something else is wanted under the same name: what was made for the first goes.
    let path = field.path("changed.gpkg");
    run(&mut keeper, "begin; lock table syncline.replica_layer in share mode").await;
    let child = field.program.start(&["clone", &field.url(), path.to_str().unwrap()]);
    field.database.until(AT_GATE).await;
    kill(child);
    run(&mut keeper, "rollback").await;
    field.database.until(ALL_ENDED).await;
    field.program.done(&["clone", &field.url(), path.to_str().unwrap(), "--no-spatial-index", "--layers", "0"]);
    check_clone(&field, &path).await;
}

/// The file is right, and after its first synchronization its replica is the only one.
async fn check_clone(field: &Field, path: &Path) {
    field.database.until(ALL_ENDED).await;
    assert_eq!(trees_in(path), field.trees().await, "{path:?}");
    field.synced(path);
    assert_eq!(field.count("syncline.replica where unregistered_at is null").await, 1, "{path:?}: only the file's own");
    field.database.sql("delete from syncline.replica").await;
}

#[tokio::test]
async fn only_one_client_works_on_a_file_and_editors_are_waited_for() {
    let field = Field::new().await;
    let path = field.clone("field.gpkg");
    open(&path).execute("update tree set girth = 11 where girth = 1", []).unwrap();
    let mut keeper = field.database.connect().await;
    run(&mut keeper, "begin; lock table tree in share mode").await;
    let mut child = field.program.start(&["sync", path.to_str().unwrap()]);
    field.database.until(AT_GATE).await;
    let complaint = field.program.failed(&["sync", path.to_str().unwrap()]);
    assert!(complaint.contains("another syncline works on"), "{complaint}");
    // Programs that edit the file are not kept out, and what they do now goes next time.
    open(&path).execute("update tree set girth = 12 where girth = 11", []).unwrap();
    run(&mut keeper, "rollback").await;
    assert!(child.wait().unwrap().success());
    assert_eq!(field.count("tree where girth in (11, 12)").await, 1);
    field.synced(&path);
    assert_eq!(field.count("tree where girth = 12").await, 1);
    assert_eq!(trees_in(&path), field.trees().await);
}

#[tokio::test]
async fn an_edit_made_while_a_request_is_under_way_stands_over_what_comes() {
    let field = Field::new().await;
    let path = field.clone("field.gpkg");
    field
        .database
        .sql("update tree set girth = 51, species = 'theirs' where girth = 1; delete from tree where girth = 2")
        .await;
    open(&path).execute("update note set words = 'mine'", []).unwrap();
    let mut keeper = field.database.connect().await;
    run(&mut keeper, "begin; lock table note in share mode").await;
    let mut child = field.program.start(&["sync", path.to_str().unwrap()]);
    field.database.until(AT_GATE).await;
    open(&path).execute("update tree set girth = 61 where girth in (1, 2)", []).unwrap();
    run(&mut keeper, "rollback").await;
    assert_eq!(child.wait().unwrap().code(), Some(3), "there is something to look at");
    let conflicts = field.status(&path)["conflicts"].clone();
    assert_eq!(conflicts.as_array().unwrap().len(), 2, "{conflicts}");
    assert!(conflicts.to_string().contains("\"girth\":51"), "{conflicts}");
    let (said, code) = field.sync(&path, &[]);
    assert_eq!(code, 3, "an edit of a row that others deleted is refused: {said}");
    assert_eq!(
        field.count("tree where girth = 61 and species = 'theirs'").await,
        1,
        "what was edited here stands, the rest is theirs"
    );
    assert_eq!(trees_in(&path), field.trees().await);
}
