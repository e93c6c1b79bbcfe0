//! Downloads of changes: they should cost what the changes cost, whatever the size of the table.

use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, PgConnection};

use super::{
    Result,
    bed::{Bed, Server},
    data::{LARGE, Random, TENTH, THOUSAND},
    http::{Client, Request},
    report::{Comparison, Goal, Series, Unit, progress},
};

/// How many requests of each kind a round has.
const N_EMPTY: u32 = 200;
const N_FULL: u32 = 20;
/// The key of a device that says who it is.
const KEY: &str = "slk_bench_0123456789abcdef";
/// How many rows change between two downloads of changes.
const N_CHANGES: u32 = 1_000;

/// Measures downloads with and without changes.
pub fn measure(bed: &Bed, rows: u32, rounds: u32) -> Result<Vec<Comparison>> {
    let server = Server::start(bed)?;
    let mut connection = bed.connect()?;
    let mut random = Random::new(1);
    let mut large = Device::new(&server, LARGE, rows)?;
    let mut tenth = Device::new(&server, TENTH, rows / 10)?;
    let mut client = server.connect()?;
    bed.wait(sqlx::raw_sql(AssertSqlSafe(format!(
        "insert into syncline.api_key (name, digest, role) values ('bench', sha256('{KEY}'), 'admin') on conflict do nothing"
    ))).execute(&mut connection))?;
    let mut figures = Figures::default();
    for round in 0..=rounds {
        progress(&match round {
            0 => "delta: a first time, which does not count".to_owned(),
            _ => format!("delta: round {round} of {rounds}"),
        });
        let (mut in_large, mut in_tenth, mut exported) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..N_FULL {
            large.change(bed, &mut connection, &mut random)?;
            in_large.push(large.download(N_CHANGES)?);
            tenth.change(bed, &mut connection, &mut random)?;
            in_tenth.push(tenth.download(N_CHANGES)?);
            exported.push(export_thousand(&server, &mut client)?);
        }
        let (mut empty_large, mut empty_tenth, mut by_key) = (Vec::new(), Vec::new(), Vec::new());
        let mut empty_with_key = Vec::new();
        for _ in 0..N_EMPTY {
            empty_large.push(large.download(0)?);
            large.token = KEY;
            empty_with_key.push(large.download(0)?);
            large.token = "";
            empty_tenth.push(tenth.download(0)?);
            by_key.push(query_by_key(&mut client, random.below(rows) + 1)?);
        }
        if round > 0 {
            figures.full_large.many(&in_large);
            figures.full_tenth.many(&in_tenth);
            figures.exported.many(&exported);
            figures.empty_large.many(&empty_large);
            figures.empty_with_key.many(&empty_with_key);
            figures.empty_tenth.many(&empty_tenth);
            figures.by_key.many(&by_key);
        }
    }
    Ok(figures.comparisons())
}

#[derive(Default)]
struct Figures {
    full_large: Series,
    full_tenth: Series,
    exported: Series,
    empty_large: Series,
    empty_with_key: Series,
    empty_tenth: Series,
    by_key: Series,
}

impl Figures {
    fn comparisons(self) -> Vec<Comparison> {
        let line = |name, against, measured: &Series, reference: &Series, most| Comparison {
            name,
            against,
            unit: Unit::Milliseconds,
            measured: measured.clone(),
            reference: reference.clone(),
            goal: Some(Goal::AtMost(most)),
        };
        vec![
            line("delta, 1,000 changes", "table of a tenth", &self.full_large, &self.full_tenth, 1.2),
            line("delta, 1,000 changes", "export of 1,000 rows", &self.full_large, &self.exported, 2.0),
            line("delta, empty", "table of a tenth", &self.empty_large, &self.empty_tenth, 1.2),
            line("delta, empty, with a key", "without", &self.empty_with_key, &self.empty_large, 1.05),
            line("delta, empty", "query by object id", &self.empty_large, &self.by_key, 2.0),
        ]
    }
}

/// Somebody who holds all rows of a service and comes back for what has changed.
struct Device {
    service: &'static str,
    rows: u32,
    replica: String,
    generation: i64,
    client: Client,
    /// What it presents; empty: nothing.
    token: &'static str,
}

impl Device {
    fn new(server: &Server, service: &'static str, rows: u32) -> Result<Device> {
        let mut client = server.connect()?;
        let request = Request::post(
            &format!("{service}/FeatureServer/createReplica"),
            &[
                ("layers", "0"),
                ("layerQueries", r#"{"0":{"queryOption":"all"}}"#),
                ("syncModel", "perReplica"),
                ("transportType", "esriTransportTypeUrl"),
                ("dataFormat", "json"),
            ],
        );
        let answer: Json = serde_json::from_slice(&client.send(&request)?.0)?;
        server.delete_exports()?;
        let replica = answer["replicaID"].as_str().ok_or("the answer has no replicaID")?.to_owned();
        Ok(Device { service, rows, replica, generation: generation(&answer)?, client, token: "" })
    }

    /// Lets others change rows of the table.
    fn change(&self, bed: &Bed, connection: &mut PgConnection, random: &mut Random) -> Result<()> {
        let (step, first) = (self.rows / N_CHANGES, random.below(self.rows / N_CHANGES));
        let statement = format!(
            "update {} set girth = girth + 1, surveyed = now() where objectid = any(select {first} + 1 + i * {step} from generate_series(0, {N_CHANGES} - 1) i)",
            self.service
        );
        bed.wait(sqlx::query(AssertSqlSafe(statement)).execute(connection))?;
        Ok(())
    }

    /// Downloads what has changed, in the answer itself, and sees that it is this many rows. Returns the milliseconds.
    fn download(&mut self, n_expected: u32) -> Result<f64> {
        let request = Request::post(
            &format!("{}/FeatureServer/synchronizeReplica", self.service),
            &[
                ("replicaID", &self.replica),
                ("replicaServerGen", &self.generation.to_string()),
                ("syncDirection", "download"),
                ("transportType", "esriTransportTypeEmbedded"),
                ("token", self.token),
            ],
        );
        let (answer, took) = self.client.send(&request)?;
        let answer: Json = serde_json::from_slice(&answer)?;
        let n_updates = answer["edits"][0]["features"]["updates"].as_array().map_or(0, Vec::len);
        if n_updates != usize::try_from(n_expected)? {
            return Err(format!("{n_updates} updates came, {n_expected} were expected").into());
        }
        self.generation = generation(&answer)?;
        Ok(took.as_secs_f64() * 1000.0)
    }
}

fn generation(answer: &Json) -> Result<i64> {
    Ok(answer["replicaServerGen"].as_i64().ok_or("the answer has no replicaServerGen")?)
}

/// Creates a replica of a thousand rows, in the answer itself, and forgets it. Returns the milliseconds.
fn export_thousand(server: &Server, client: &mut Client) -> Result<f64> {
    let request = Request::post(
        &format!("{THOUSAND}/FeatureServer/createReplica"),
        &[
            ("layers", "0"),
            ("layerQueries", r#"{"0":{"queryOption":"all"}}"#),
            ("syncModel", "perReplica"),
            ("transportType", "esriTransportTypeEmbedded"),
            ("dataFormat", "json"),
        ],
    );
    let (answer, took) = client.send(&request)?;
    let answer: Json = serde_json::from_slice(&answer)?;
    server.unregister(THOUSAND, answer["replicaID"].as_str().unwrap_or_default())?;
    Ok(took.as_secs_f64() * 1000.0)
}

fn query_by_key(client: &mut Client, object_id: u32) -> Result<f64> {
    let request = Request::get(
        &format!("{LARGE}/FeatureServer/0/query"),
        &[("objectIds", &object_id.to_string()), ("outFields", "*")],
    );
    Ok(client.send(&request)?.1.as_secs_f64() * 1000.0)
}
