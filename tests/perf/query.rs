//! Queries of connected clients: a page of a thousand features in a box, against the same statement read raw.

use std::time::Instant;

use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{
    Result,
    bed::{Bed, Server},
    data::{COLUMNS, LARGE, Random},
    http::Request,
    report::{Comparison, Series, Unit, progress},
};

/// Features in a page.
const PAGE: u32 = 1_000;
/// Features that a box has on average; enough that hardly a page is not full.
const IN_BOX: u32 = 1_200;
/// How many pages a round asks for.
const N_PAGES: usize = 320;

/// Measures pages with one connection and with eight.
pub fn measure(bed: &Bed, rows: u32, rounds: u32) -> Result<Vec<Comparison>> {
    let server = Server::start(bed)?;
    let boxes = boxes(rows);
    let mut comparisons = Vec::new();
    for (name, n_connections) in
        [("query, pages of 1,000, one connection", 1), ("query, pages of 1,000, eight connections", 8)]
    {
        let (mut measured, mut reference) = (Series::default(), Series::default());
        for round in 0..=rounds {
            progress(&match round {
                0 => format!("{name}: a first time, which does not count"),
                _ => format!("{name}: round {round} of {rounds}"),
            });
            let figures = (ask_server(&server, &boxes, n_connections)?, ask_database(bed, &boxes, n_connections)?);
            if round > 0 {
                measured.one(figures.0);
                reference.one(figures.1);
            }
        }
        let (against, unit) = ("SQL, rows unread", Unit::PerSecond);
        comparisons.push(Comparison { name, against, unit, measured, reference, goal: None });
    }
    Ok(comparisons)
}

/// Boxes that each have a page of trees.
fn boxes(rows: u32) -> Vec<[f64; 4]> {
    let mut random = Random::new(3);
    let side = (f64::from(IN_BOX) / f64::from(rows)).sqrt();
    let mut make = || {
        let (x, y) = (random.share() * (1.0 - side), random.share() * (1.0 - side));
        [x * 360.0 - 180.0, y * 170.0 - 85.0, (x + side) * 360.0 - 180.0, (y + side) * 170.0 - 85.0]
    };
    (0..N_PAGES).map(|_| make()).collect()
}

fn listed(corners: &[f64; 4]) -> String {
    corners.map(|corner| corner.to_string()).join(",")
}

/// Asks for the pages over some connections at once. Returns pages in a second.
fn ask_server(server: &Server, boxes: &[[f64; 4]], n_connections: usize) -> Result<f64> {
    let mut work = Vec::new();
    for share in boxes.chunks(boxes.len() / n_connections) {
        let requests: Vec<Request> = share.iter().map(page).collect();
        work.push((server.connect()?, requests));
    }
    let started = Instant::now();
    let bytes: Vec<Result<Vec<u8>>> = std::thread::scope(|scope| {
        let asking: Vec<_> = work
            .iter_mut()
            .map(|(client, requests)| {
                scope.spawn(move || {
                    let mut last = Vec::new();
                    for request in requests {
                        last = client.send(request)?.0;
                    }
                    Ok(last)
                })
            })
            .collect();
        asking.into_iter().map(|asking| asking.join().map_err(|_| "a client panicked")?).collect()
    });
    let rate = per_second(boxes.len(), started);
    for page in bytes {
        let page: Json = serde_json::from_slice(&page?)?;
        let n_features = page["features"].as_array().map_or(0, Vec::len);
        if n_features < usize::try_from(PAGE / 2)? {
            return Err(format!("a page had only {n_features} features").into());
        }
    }
    Ok(rate)
}

fn page(corners: &[f64; 4]) -> Request {
    Request::get(
        &format!("{LARGE}/FeatureServer/0/query"),
        &[
            ("geometry", &listed(corners)),
            ("geometryType", "esriGeometryEnvelope"),
            ("inSR", "4326"),
            ("outFields", "*"),
            ("resultRecordCount", &PAGE.to_string()),
        ],
    )
}

/// Runs the statements of the pages over some connections at once, and reads nothing of the rows.
fn ask_database(bed: &Bed, boxes: &[[f64; 4]], n_connections: usize) -> Result<f64> {
    let mut work = Vec::new();
    for share in boxes.chunks(boxes.len() / n_connections) {
        work.push((bed.connect()?, share.to_vec()));
    }
    bed.wait(async {
        let started = Instant::now();
        let mut asking = tokio::task::JoinSet::new();
        for (connection, share) in work {
            asking.spawn(fetch(connection, share));
        }
        while let Some(done) = asking.join_next().await {
            done??;
        }
        Ok(per_second(boxes.len(), started))
    })
}

async fn fetch(mut connection: PgConnection, boxes: Vec<[f64; 4]>) -> Result<()> {
    let statement = format!(
        "select {COLUMNS} from {LARGE} where ST_Intersects(shape, ST_MakeEnvelope($1, $2, $3, $4, 4326)) order by objectid limit {}",
        PAGE + 1
    );
    for corners in boxes {
        let mut query = sqlx::query(AssertSqlSafe(statement.clone()));
        for corner in corners {
            query = query.bind(corner);
        }
        query.fetch_all(&mut connection).await?;
    }
    Ok(connection.close().await?)
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred")]
fn per_second(n_pages: usize, started: Instant) -> f64 {
    n_pages as f64 / started.elapsed().as_secs_f64()
}
