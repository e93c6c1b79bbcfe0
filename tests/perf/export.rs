//! Exports: a replica of the whole table as a file, against the floor, which is the same rows by COPY thrown away, and
//! against what people use today.

use std::{
    fs::File,
    io::Read as _,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use futures_util::TryStreamExt as _;
use sqlx::PgConnection;

use super::{
    Result,
    bed::{Bed, Server},
    data::{COLUMNS, LARGE, THOUSAND},
    http::{Client, Request},
    report::{Comparison, Goal, Series, Unit, progress},
};

/// GDAL takes most of the run's time and hardly varies.
const MAX_GDAL_ROUNDS: u32 = 3;

const JSON: &[(&str, &str)] = &[("dataFormat", "json")];

/// Measures time and memory.
pub fn measure(bed: &Bed, rounds: u32) -> Result<Vec<Comparison>> {
    let server = Server::start(bed)?;
    let mut client = server.connect()?;
    let mut connection = bed.connect()?;
    let n_rows = bed.wait(sqlx::query_scalar::<_, i64>("select count(*) from trees").fetch_one(&mut connection))?;
    progress("export: a first time, to see that the file has all rows");
    export(&server, &mut client, (LARGE, JSON), |file| match count_features(file)? {
        n_features if n_features == n_rows => Ok(()),
        n_features => Err(format!("the file has {n_features} features, the table {n_rows} rows").into()),
    })?;
    bed.wait(copy(&mut connection))?;

    let (mut ours, mut floor, mut ours_with_gdal, mut gdal) =
        (Series::default(), Series::default(), Series::default(), Series::default());
    for round in 1..=rounds {
        progress(&format!("export: round {round} of {rounds}"));
        let took = export(&server, &mut client, (LARGE, JSON), |_| Ok(()))?.as_secs_f64();
        ours.one(took);
        floor.one(bed.wait(copy(&mut connection))?.as_secs_f64());
        if round <= MAX_GDAL_ROUNDS {
            ours_with_gdal.one(took);
            gdal.one(ogr2ogr(bed)?.as_secs_f64());
        }
    }
    drop(server);
    let (mut large, mut small) = (Series::default(), Series::default());
    for (table, series) in [(LARGE, &mut large), (THOUSAND, &mut small)] {
        let server = Server::start(bed)?;
        export(&server, &mut server.connect()?, (table, JSON), |_| Ok(()))?;
        series.one(server.peak_memory()?);
    }
    let comparison = |name, against, unit, measured, reference, goal| Comparison {
        name,
        against,
        unit,
        measured,
        reference,
        goal: Some(goal),
    };
    Ok(vec![
        comparison("export", "COPY", Unit::Seconds, ours, floor, Goal::AtMost(1.25)),
        comparison("export", "ogr2ogr", Unit::Seconds, ours_with_gdal, gdal, Goal::TimesFaster(12.0)),
        comparison("export, server's peak memory", "1,000 rows", Unit::Mebibytes, large, small, Goal::AtMost(1.5)),
    ])
}

/// Creates a replica of all rows, as `form` says it is to come, up to the answer that names the finished file, and takes it back after a look at
/// the file.
pub fn export(
    server: &Server,
    client: &mut Client,
    (service, form): (&str, &[(&str, &str)]),
    look: impl FnOnce(&Path) -> Result<()>,
) -> Result<Duration> {
    let all = [
        ("layers", "0"),
        ("layerQueries", r#"{"0":{"queryOption":"all"}}"#),
        ("syncModel", "perReplica"),
        ("transportType", "esriTransportTypeUrl"),
    ];
    let request = Request::post(&format!("{service}/FeatureServer/createReplica"), &[&all, form].concat());
    let (answer, took) = client.send(&request)?;
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    let name = answer["URL"].as_str().and_then(|url| url.rsplit('/').next()).ok_or("the answer has no URL")?;
    // On the disk, files have one extension, whatever is in them.
    look(&server.exports().join(name).with_extension("json"))?;
    server.unregister(service, answer["replicaID"].as_str().unwrap_or_default())?;
    server.delete_exports()?;
    Ok(took)
}

fn count_features(file: &Path) -> Result<i64> {
    let mut text = Vec::new();
    File::open(file)?.read_to_end(&mut text)?;
    let document: Document<'_> = serde_json::from_slice(&text)?;
    let n_features: usize = document.layers.iter().map(|layer| layer.features.len()).sum();
    Ok(n_features.try_into()?)
}

#[derive(serde::Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    layers: Vec<DocumentLayer<'a>>,
}

#[derive(serde::Deserialize)]
struct DocumentLayer<'a> {
    #[serde(borrow)]
    features: Vec<&'a serde_json::value::RawValue>,
}

/// Reads the rows as PostgreSQL sends them, and throws them away.
async fn copy(connection: &mut PgConnection) -> Result<Duration> {
    let statement = format!("copy (select {COLUMNS} from {LARGE}) to stdout (format binary)");
    let started = Instant::now();
    let mut pieces = connection.copy_out_raw(&statement).await?;
    while pieces.try_next().await?.is_some() {}
    Ok(started.elapsed())
}

fn ogr2ogr(bed: &Bed) -> Result<Duration> {
    let file = bed.directory.join("trees.geojson");
    let started = Instant::now();
    let status = Command::new("ogr2ogr")
        .args(["-f", "GeoJSON"])
        .arg(&file)
        .arg(bed.url.replacen("postgres://", "postgresql://", 1))
        .arg(LARGE)
        .status()?;
    let took = started.elapsed();
    if !status.success() {
        return Err(format!("ogr2ogr failed ({status})").into());
    }
    std::fs::remove_file(file)?;
    Ok(took)
}
