//! Queries of connected clients: a page of a thousand features in a box, against what the stack allows and against other
//! servers on the same table.

use std::{net::SocketAddr, path::Path, time::Instant};

use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, Row as _};

use super::{
    Result,
    bed::{Bed, Server},
    ceiling,
    data::{LARGE, Random},
    http::{Client, Request},
    peers::Peer,
    report::{Comparison, Goal, Series, Unit, progress},
};

/// Features in a page.
const PAGE: u32 = 1_000;
/// Features that a box has on average; enough that hardly a page is not full.
const IN_BOX: u32 = 1_200;
/// Polygons, and how many there are.
const ZONES: &str = "zones";
const N_ZONES: u32 = 24_000;
/// How many pages a round asks for.
const N_PAGES: usize = 320;
/// How many for another server, which is slower.
const N_PEER_PAGES: usize = 24;
/// How many numbers a round asks for.
const N_NUMBERS: usize = 20;

/// A number about rows: how a client asks for it, and the SQL that gives it.
struct Asked {
    name: &'static str,
    parameters: &'static [(&'static str, &'static str)],
    selected: &'static str,
    grouped: &'static str,
}

const NUMBERS: [Asked; 2] = [
    Asked {
        name: "the number of 50,000 rows in a box",
        parameters: &[("returnCountOnly", "true")],
        selected: "count(*)",
        grouped: "",
    },
    Asked {
        name: "statistics of 50,000 rows in a box",
        parameters: &[
            ("groupByFieldsForStatistics", "species"),
            (
                "outStatistics",
                r#"[{"statisticType":"count","onStatisticField":"objectid","outStatisticFieldName":"n"},
                    {"statisticType":"avg","onStatisticField":"girth","outStatisticFieldName":"girth"},
                    {"statisticType":"max","onStatisticField":"height","outStatisticFieldName":"height"}]"#,
            ),
        ],
        selected: "count(objectid), avg(girth), max(height), species",
        grouped: "group by species",
    },
];

/// Measures pages and numbers.
pub fn measure(bed: &Bed, rows: u32, rounds: u32, peers: Option<&Path>) -> Result<Vec<Comparison>> {
    let server = Server::start(bed)?;
    let boxes = boxes(rows, IN_BOX, N_PAGES);
    let mut comparisons = Vec::new();
    let bare = ceiling::start(bed, PAGE + 1)?;
    let bare_pages: Vec<Request> =
        boxes.iter().map(|corners| Request::plain("/page", &[("geometry", &listed(corners))])).collect();
    let json: Vec<Request> = boxes.iter().map(|corners| page(LARGE, corners, "json")).collect();
    check(&server, &json[0])?;
    for (name, n_connections) in
        [("query, pages of 1,000, one connection", 1), ("query, pages of 1,000, eight connections", 8)]
    {
        let figures = compare(name, rounds, || {
            let of_server = ask(server.address(), &json, n_connections)?.0;
            Ok((of_server, ask(bare, &bare_pages, n_connections)?.0))
        })?;
        comparisons.push(figures.against("bare axum, one statement", Unit::PerSecond, Some(Goal::AtLeast(0.75))));
    }
    comparisons.extend(forms(
        &server,
        rounds,
        LARGE,
        &boxes,
        ["pages of points as protocol buffers, eight connections", "such a page"],
    )?);
    zones(bed)?;
    let boxes_of_zones = self::boxes(N_ZONES, IN_BOX, N_PAGES);
    let names = ["pages of polygons as protocol buffers, eight connections", "such a page"];
    comparisons.extend(forms(&server, rounds, ZONES, &boxes_of_zones, names)?);
    for asked in &NUMBERS {
        comparisons.push(number(bed, &server, rows, rounds, asked)?);
    }
    for peer in peers.map(|python| Peer::start_all(bed, python)).unwrap_or_default() {
        let few = &boxes[..N_PEER_PAGES];
        let theirs: Vec<Request> = few.iter().map(|corners| peer.page(corners, PAGE)).collect();
        let figures = compare(peer.name, rounds, || {
            Ok((ask(server.address(), &json[..N_PEER_PAGES], 1)?.0, ask(peer.address, &theirs, 1)?.0))
        })?;
        comparisons.push(figures.against(
            "the same page of it, one connection",
            Unit::PerSecond,
            Some(Goal::AtLeast(5.0)),
        ));
    }
    Ok(comparisons)
}

/// Figures of two sides, round by round.
struct Figures {
    name: &'static str,
    measured: Series,
    reference: Series,
}

impl Figures {
    fn against(self, against: &'static str, unit: Unit, goal: Option<Goal>) -> Comparison {
        Comparison { name: self.name, against, unit, measured: self.measured, reference: self.reference, goal }
    }
}

/// Takes figures of both sides in turn. The first round does not count.
fn compare(name: &'static str, rounds: u32, mut both: impl FnMut() -> Result<(f64, f64)>) -> Result<Figures> {
    let mut figures = Figures { name, measured: Series::default(), reference: Series::default() };
    for round in 0..=rounds {
        progress(&match round {
            0 => format!("{name}: a first time, which does not count"),
            _ => format!("{name}: round {round} of {rounds}"),
        });
        let (measured, reference) = both()?;
        if round > 0 {
            figures.measured.one(measured);
            figures.reference.one(reference);
        }
    }
    Ok(figures)
}

/// Boxes that each have so many trees.
fn boxes(rows: u32, in_box: u32, n_boxes: usize) -> Vec<[f64; 4]> {
    let mut random = Random::new(3);
    let side = (f64::from(in_box) / f64::from(rows)).sqrt();
    let mut make = || {
        let (x, y) = (random.share() * (1.0 - side), random.share() * (1.0 - side));
        [x * 360.0 - 180.0, y * 170.0 - 85.0, (x + side) * 360.0 - 180.0, (y + side) * 170.0 - 85.0]
    };
    (0..n_boxes).map(|_| make()).collect()
}

fn listed(corners: &[f64; 4]) -> String {
    corners.map(|corner| corner.to_string()).join(",")
}

/// Asks for answers over some connections at once. Returns how many there were in a second, and how large they are on average.
fn ask(address: SocketAddr, requests: &[Request], n_connections: usize) -> Result<(f64, usize)> {
    let mut work = Vec::new();
    for share in requests.chunks(requests.len() / n_connections) {
        work.push((Client::connect(address)?, share));
    }
    let started = Instant::now();
    let sizes: Vec<Result<usize>> = std::thread::scope(|scope| {
        let asking: Vec<_> = work
            .iter_mut()
            .map(|(client, requests)| {
                scope.spawn(move || {
                    let mut size = 0;
                    for request in *requests {
                        size += client.send(request)?.0.len();
                    }
                    Ok(size)
                })
            })
            .collect();
        asking.into_iter().map(|asking| asking.join().map_err(|_| "a client panicked")?).collect()
    });
    let rate = per_second(requests.len(), started);
    let total: usize = sizes.into_iter().sum::<Result<usize>>()?;
    Ok((rate, total / requests.len()))
}

/// Pages as protocol buffers against the same as JSON: how many a second, and how large.
fn forms(
    server: &Server,
    rounds: u32,
    table: &str,
    boxes: &[[f64; 4]],
    names: [&'static str; 2],
) -> Result<[Comparison; 2]> {
    let json: Vec<Request> = boxes.iter().map(|corners| page(table, corners, "json")).collect();
    let pbf: Vec<Request> = boxes.iter().map(|corners| page(table, corners, "pbf")).collect();
    check(server, &json[0])?;
    let mut sizes = (Series::default(), Series::default());
    let figures = compare(names[0], rounds, || {
        let (of_pbf, bytes) = ask(server.address(), &pbf, 8)?;
        let (of_json, bytes_of_json) = ask(server.address(), &json, 8)?;
        sizes.0.one(kibibytes(bytes));
        sizes.1.one(kibibytes(bytes_of_json));
        Ok((of_pbf, of_json))
    })?;
    let size = Comparison {
        name: names[1],
        against: "as JSON",
        unit: Unit::Kibibytes,
        measured: sizes.0,
        reference: sizes.1,
        goal: Some(Goal::AtMost(1.0)),
    };
    Ok([figures.against("as JSON", Unit::PerSecond, Some(Goal::AtLeast(1.0))), size])
}

/// Makes and publishes polygons of 33 positions.
fn zones(bed: &Bed) -> Result<()> {
    progress(&format!("table {ZONES}"));
    bed.sql(format!(
        "create table {ZONES} (objectid integer primary key, globalid uuid not null default gen_random_uuid() unique, kind text,
           shape geometry(Polygon, 4326));
         select setseed(0.5);
         insert into {ZONES} (objectid, kind, shape) select i, 'zone ' || i % 50,
           ST_Buffer(ST_SetSRID(ST_Point(random() * 360 - 180, random() * 170 - 85), 4326), 0.4) from generate_series(1, {N_ZONES}) i;
         create index on {ZONES} using gist (shape)"
    ))?;
    bed.sql(format!("vacuum analyze {ZONES}"))?;
    bed.publish(&[ZONES])
}

/// Makes sure that pages are full.
fn check(server: &Server, request: &Request) -> Result<()> {
    let page: Json = serde_json::from_slice(&server.connect()?.send(request)?.0)?;
    let n_features = page["features"].as_array().map_or(0, Vec::len);
    match n_features < usize::try_from(PAGE / 2)? {
        true => Err(format!("a page had only {n_features} features").into()),
        false => Ok(()),
    }
}

fn page(table: &str, corners: &[f64; 4], format: &str) -> Request {
    Request::get(
        &format!("{table}/FeatureServer/0/query"),
        &[
            ("f", format),
            ("geometry", &listed(corners)),
            ("geometryType", "esriGeometryEnvelope"),
            ("inSR", "4326"),
            ("outFields", "*"),
            ("resultRecordCount", &PAGE.to_string()),
        ],
    )
}

/// How long it takes to ask for a number about the trees in boxes that have a twentieth of them, against the statement alone.
fn number(bed: &Bed, server: &Server, rows: u32, rounds: u32, asked: &Asked) -> Result<Comparison> {
    let boxes = boxes(rows, rows / 20, N_NUMBERS);
    let requests: Vec<Request> = boxes
        .iter()
        .map(|corners| {
            let area = listed(corners);
            let parameters: Vec<(&str, &str)> = [("geometry", area.as_str()), ("inSR", "4326")]
                .into_iter()
                .chain(asked.parameters.iter().copied())
                .collect();
            Request::get(&format!("{LARGE}/FeatureServer/0/query"), &parameters)
        })
        .collect();
    let mut client = server.connect()?;
    let mut connection = bed.connect()?;
    let statement = format!(
        "select {} from {LARGE} where ST_Intersects(shape, ST_MakeEnvelope($1, $2, $3, $4, 4326)) {}",
        asked.selected, asked.grouped
    );
    bed.wait(
        sqlx::raw_sql(
            "set max_parallel_workers_per_gather = 0; set plan_cache_mode = force_custom_plan; set jit = off",
        )
        .execute(&mut connection),
    )?;
    let figures = compare(asked.name, rounds, || {
        let (mut of_server, mut of_database) = (0.0, 0.0);
        for (request, corners) in requests.iter().zip(&boxes) {
            of_server += client.send(request)?.1.as_secs_f64();
            let mut query = sqlx::query(AssertSqlSafe(statement.clone()));
            for corner in corners {
                query = query.bind(corner);
            }
            let started = Instant::now();
            let found = bed.wait(query.fetch_all(&mut connection))?;
            of_database += started.elapsed().as_secs_f64();
            let counted: i64 = found.first().ok_or("no row")?.try_get(0)?;
            if counted == 0 {
                return Err("a box is empty".into());
            }
        }
        Ok((of_server * 1000.0 / mean(requests.len()), of_database * 1000.0 / mean(requests.len())))
    })?;
    Ok(figures.against("SQL", Unit::Milliseconds, Some(Goal::AtMost(1.1))))
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred")]
fn mean(n: usize) -> f64 {
    n as f64
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn kibibytes(bytes: usize) -> f64 {
    bytes as f64 / 1024.0
}

#[expect(clippy::cast_precision_loss, reason = "a few hundred")]
fn per_second(n_pages: usize, started: Instant) -> f64 {
    n_pages as f64 / started.elapsed().as_secs_f64()
}
