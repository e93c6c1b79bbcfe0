//! The offline client: sending a thousand edits of a file with 100,000 rows to the server, against geodiff, which finds and applies the same
//! change from file to file.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use rusqlite::Connection;

use super::{
    Result,
    bed::{Bed, Server},
    data::TENTH,
    report::{Comparison, Series, Unit, progress},
};

const N_EDITS: u32 = 1000;

/// Measures `syncline sync`, and `syncline clone` beside it. Without a Python that has pygeodiff there is nothing to compare with.
pub fn measure(bed: &Bed, rows: u32, rounds: u32, python: Option<&Path>) -> Result<Vec<Comparison>> {
    let Some(python) = python else {
        progress("clone: left out; name a Python that has pygeodiff with --peers");
        return Ok(Vec::new());
    };
    let server = Server::start(bed)?;
    let directory = bed.directory.join("clone");
    std::fs::create_dir_all(&directory)?;
    let url = format!("http://{}/arcgis/rest/services/{TENTH}/FeatureServer", server.address());
    let file = directory.join("field.gpkg");
    let began = Instant::now();
    syncline(&["clone", &url, &file.to_string_lossy(), "--no-spatial-index"])?;
    progress(&format!("clone: {} rows in {:.2} s", rows / 10, began.elapsed().as_secs_f64()));
    let (mut ours, mut theirs) = (Series::default(), Series::default());
    for round in 0..=rounds {
        progress(&match round {
            0 => "clone: a first time, which does not count".to_owned(),
            _ => format!("clone: round {round} of {rounds}"),
        });
        let [base, target, modified, changes] =
            ["base.gpkg", "target.gpkg", "modified.gpkg", "changes.diff"].map(|name| directory.join(name));
        plain(&file, &base)?;
        std::fs::copy(&base, &target)?;
        edit(&file, rows / 10, round)?;
        plain(&file, &modified)?;
        let geodiff = geodiff(python, [&base, &modified, &target, &changes]);
        let began = Instant::now();
        let said = syncline(&["sync", &file.to_string_lossy(), "--json"])?;
        let taken = began.elapsed().as_secs_f64();
        if !said.contains(&format!("\"sent\":{N_EDITS},")) {
            return Err(format!("syncline sync said {said}").into());
        }
        if round > 0 {
            ours.one(taken);
            theirs.one(geodiff?);
        } else {
            geodiff?;
        }
    }
    Ok(vec![Comparison {
        name: "clone, sync of 1,000 edits on 100,000 rows",
        against: "geodiff: finding and applying them from file to file",
        unit: Unit::Seconds,
        measured: ours,
        reference: theirs,
        goal: None,
    }])
}

fn syncline(arguments: &[&str]) -> Result<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_syncline")).args(arguments).stdin(Stdio::null()).output()?;
    if !output.status.success() {
        return Err(format!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Copies a file without what it is synchronized by, so that geodiff compares the rows alone.
fn plain(from: &Path, into: &Path) -> Result<()> {
    if into.exists() {
        std::fs::remove_file(into)?;
    }
    Connection::open(from)?.execute("VACUUM INTO ?1", [into.to_string_lossy()])?;
    let db = Connection::open(into)?;
    let drops = {
        let mut listed = db.prepare(
            "SELECT 'DROP ' || type || ' \"' || name || '\"' FROM sqlite_schema WHERE type = 'trigger' OR (type = 'table' AND name LIKE 'sync!_%' ESCAPE '!')
             ORDER BY type DESC",
        )?;
        let rows = listed.query_map([], |row| row.get(0))?;
        rows.collect::<std::result::Result<Vec<String>, _>>()?
    };
    for drop in drops {
        db.execute_batch(&drop)?;
    }
    db.execute_batch("DELETE FROM gpkg_extensions WHERE table_name LIKE 'sync!_%' ESCAPE '!'")?;
    Ok(())
}

fn edit(file: &Path, n_rows: u32, round: u32) -> Result<()> {
    let n = Connection::open(file)?.execute(
        &format!("UPDATE {TENTH} SET age = coalesce(age, 0) + 1, remark = 'round {round}' WHERE objectid % ?1 = ?2"),
        [n_rows / N_EDITS, 1 + round],
    )?;
    if n != usize::try_from(N_EDITS)? {
        return Err(format!("{n} rows were edited").into());
    }
    Ok(())
}

fn geodiff(python: &Path, files: [&PathBuf; 4]) -> Result<f64> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/perf/peers/geodiff.py");
    let output = Command::new(python).arg(script).args(files).stdin(Stdio::null()).output()?;
    let said = String::from_utf8(output.stdout)?;
    match said.split_whitespace().collect::<Vec<_>>().as_slice() {
        [_, seconds] if output.status.success() => Ok(seconds.parse()?),
        _ => Err(format!("geodiff: {said}{}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}
