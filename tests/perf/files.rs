//! Replicas that are databases: a GeoPackage of the whole table against the one that GDAL makes of it, and a mobile geodatabase
//! against the GeoPackage.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use rusqlite::{Connection, OpenFlags};

use super::{
    Result,
    bed::{Bed, Server},
    data::{LARGE, THOUSAND},
    export::export,
    http::Client,
    report::{Comparison, Goal, Series, Unit, progress},
};

/// GDAL takes most of the run's time and hardly varies.
const MAX_GDAL_ROUNDS: u32 = 3;

const PACKAGE: &[(&str, &str)] = &[("dataFormat", "geoPackage")];
const GEODATABASE: &[(&str, &str)] = &[("dataFormat", "sqlite")];
/// Without the copies that open programs read, which clients of Esri's libraries do not get.
const BARE_GEODATABASE: &[(&str, &str)] = &[("dataFormat", "sqlite"), ("openMirror", "false")];

/// Measures time and memory.
pub fn measure(bed: &Bed, rounds: u32) -> Result<Vec<Comparison>> {
    let server = Server::start(bed)?;
    let mut client = server.connect()?;
    let mut connection = bed.connect()?;
    let n_rows = bed.wait(sqlx::query_scalar::<_, i64>("select count(*) from trees").fetch_one(&mut connection))?;
    progress("files: a first time, to see that the files have all rows");
    export(&server, &mut client, (LARGE, PACKAGE), |file| check(file, "rtree_trees_shape", n_rows))?;
    ogr2ogr(bed, |file| check(file, "rtree_trees_shape", n_rows))?;
    let has_geodatabases = advertises(&mut client, "sqlite")?;
    if has_geodatabases {
        export(&server, &mut client, (LARGE, GEODATABASE), |file| check(file, LARGE, n_rows))?;
    }

    let (mut package, mut gdal) = (Series::default(), Series::default());
    let (mut geodatabase, mut bare, mut beside) = (Series::default(), Series::default(), Series::default());
    for round in 1..=rounds {
        progress(&format!("files: round {round} of {rounds}"));
        let took = export(&server, &mut client, (LARGE, PACKAGE), |_| Ok(()))?.as_secs_f64();
        if has_geodatabases {
            beside.one(took);
            bare.one(export(&server, &mut client, (LARGE, BARE_GEODATABASE), |_| Ok(()))?.as_secs_f64());
            geodatabase.one(export(&server, &mut client, (LARGE, GEODATABASE), |_| Ok(()))?.as_secs_f64());
        }
        if round <= MAX_GDAL_ROUNDS {
            package.one(took);
            gdal.one(ogr2ogr(bed, |_| Ok(()))?.as_secs_f64());
        }
    }
    drop(server);
    let (mut large, mut small) = (Series::default(), Series::default());
    for (table, series) in [(LARGE, &mut large), (THOUSAND, &mut small)] {
        let server = Server::start(bed)?;
        export(&server, &mut server.connect()?, (table, PACKAGE), |_| Ok(()))?;
        series.one(server.peak_memory()?);
    }
    let comparison =
        |name, against, unit, measured, reference, goal| Comparison { name, against, unit, measured, reference, goal };
    let faster = Some(Goal::TimesFaster(8.0));
    let mut comparisons = vec![
        comparison("GeoPackage", "ogr2ogr", Unit::Seconds, package, gdal, faster),
        comparison("GeoPackage, server's peak memory", "1,000 rows", Unit::Mebibytes, large, small, None),
    ];
    if has_geodatabases {
        let most = Some(Goal::AtMost(1.5));
        let with_copies = "mobile geodatabase with copies for open programs";
        comparisons.push(comparison("mobile geodatabase", "GeoPackage", Unit::Seconds, bare, beside.clone(), most));
        comparisons.push(comparison(with_copies, "GeoPackage", Unit::Seconds, geodatabase, beside, most));
    }
    Ok(comparisons)
}

/// Whether the server names a format; this build may be without it.
fn advertises(client: &mut Client, format: &str) -> Result<bool> {
    let request = super::http::Request::post(&format!("{LARGE}/FeatureServer"), &[]);
    let (answer, _) = client.send(&request)?;
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    let formats = answer["supportedExportFormats"].as_str().ok_or("the service names no formats")?;
    Ok(formats.split(',').any(|known| known == format))
}

/// Looks whether a table, or the index of one, has all rows.
fn check(file: &Path, table: &str, n_rows: i64) -> Result<()> {
    let connection = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let found: i64 = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
    if found == n_rows {
        Ok(())
    } else {
        Err(format!("{table} has {found} rows in the file, the table {n_rows}").into())
    }
}

fn ogr2ogr(bed: &Bed, look: impl FnOnce(&Path) -> Result<()>) -> Result<Duration> {
    let file = bed.directory.join("trees.gpkg");
    let started = Instant::now();
    let status = Command::new("ogr2ogr")
        .args(["-f", "GPKG", "-lco", "GEOMETRY_NAME=shape"])
        .arg(&file)
        .arg(bed.url.replacen("postgres://", "postgresql://", 1))
        .arg(LARGE)
        .status()?;
    let took = started.elapsed();
    if !status.success() {
        return Err(format!("ogr2ogr failed ({status})").into());
    }
    look(&file)?;
    std::fs::remove_file(file)?;
    Ok(took)
}
