//! What is large, and what does not fit: many rows, lines that break in the middle of a file, disks that are full.

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{Field, access::Gate, open, trees_in};
use crate::faults::disk::SmallDisk;

/// Adds many trees.
async fn grow(field: &Field, n: u32) {
    let text = format!(
        "insert into tree (species, girth, seen, shape) select repeat('a tree of some length ', 10), n, '2024-03-01 10:00:00Z', st_setsrid(st_makepoint(n, n), 3857)
         from generate_series(6, {n}) n"
    );
    field.database.sql(&text).await;
}

#[tokio::test]
async fn many_rows_take_no_more_memory_than_few() {
    let field = Field::new().await;
    grow(&field, 150_000).await;
    let path = field.path("large.gpkg");
    let (file, url) = (path.to_str().unwrap(), field.url());
    // All rows together would take more.
    let most = Rlimit { current: Some(120 << 20), maximum: Some(120 << 20) };
    for arguments in [vec!["clone", &url, file], vec!["sync", file, "--snapshot"]] {
        let mut child = field.program.start(&arguments);
        prlimit(Some(Pid::from_child(&child)), Resource::Data, most).unwrap();
        assert!(child.wait().unwrap().success(), "{arguments:?}");
    }
    let n: i64 = open(&path).query_row("select count(*) from tree", [], |row| row.get(0)).unwrap();
    assert_eq!(n, 150_000);
    let index: String = open(&path).query_row("select rtreecheck('rtree_tree_shape')", [], |row| row.get(0)).unwrap();
    assert_eq!(index, "ok");
}

#[tokio::test]
async fn a_file_of_which_a_part_has_come_is_gone_on_with() {
    let field = Field::new().await;
    grow(&field, 2_000).await;
    let gate = Gate::before(field.server.address(), None, false);
    *gate.n_cuts.lock().unwrap() = 2;
    let path = field.path("resumed.gpkg");
    field.program.done(&["clone", &gate.url(), path.to_str().unwrap(), "--no-spatial-index"]);
    assert!(trees_in(&path) == field.trees().await, "all rows are there");
    let ranges = gate.ranges.lock().unwrap().clone();
    assert_eq!(ranges.len(), 2, "{ranges:?}");
    assert!(
        ranges.iter().all(|range| range.starts_with("bytes=") && range.ends_with('-') && *range != "bytes=0-"),
        "{ranges:?}"
    );
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "what a machine does not allow is skipped aloud")]
async fn a_full_disk_loses_nothing_and_the_same_command_goes_on() {
    let field = Field::new().await;
    grow(&field, 5_000).await;
    let place = field.path("small");
    std::fs::create_dir(&place).unwrap();
    let Some(_disk) = SmallDisk::mount(&place, "4m") else {
        println!("SKIPPED: only root may mount a small disk");
        return;
    };
    let (path, filler) = (place.join("field.gpkg"), place.join("filler"));
    let (file, url) = (path.to_str().unwrap(), field.url());
    std::fs::write(&filler, vec![0; 3 << 20]).unwrap();
    let said = field.program.failed(&["clone", &url, file, "--no-spatial-index"]);
    assert!(said.contains("full") && said.contains("nothing is lost"), "{said}");
    std::fs::remove_file(&filler).unwrap();
    resize(&place, "24m");
    field.program.done(&["clone", &url, file, "--no-spatial-index"]);
    assert!(trees_in(&path) == field.trees().await, "all rows are there");

    open(&path).execute("update tree set species = 'edited' where girth <= 3", []).unwrap();
    field
        .database
        .sql("update tree set species = repeat('theirs, and longer than it was before ', 40) where girth > 3")
        .await;
    // There is room for a part of what comes.
    let free = rustix::fs::statvfs(&place).unwrap();
    std::fs::write(&filler, vec![0; usize::try_from(free.f_bavail * free.f_frsize).unwrap() - (1 << 20)]).unwrap();
    let said = field.program.failed(&["sync", file]);
    assert!(said.contains("full") && said.contains("nothing is lost"), "{said}");
    std::fs::remove_file(&filler).unwrap();
    resize(&place, "64m");
    field.synced(&path);
    assert_eq!(field.count("tree where species = 'edited'").await, 3);
    assert!(trees_in(&path) == field.trees().await, "all rows are there");
}

fn resize(place: &std::path::Path, size: &str) {
    let option = format!("remount,size={size}");
    assert!(std::process::Command::new("mount").args(["-o", &option]).arg(place).status().unwrap().success());
}
