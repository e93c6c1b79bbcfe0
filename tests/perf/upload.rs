//! Uploads of ten thousand edits, against one statement that puts the same rows into the same table untracked.

use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::{
    Result,
    bed::{Bed, Server},
    data::{LARGE, Random, Tree, UNTRACKED, upsert},
    http::{Client, Request},
    report::{Comparison, Goal, Series, Unit, progress},
};

const N_EDITS: u32 = 10_000;
/// One edit in this many is bad, if some are.
const BAD_EVERY: usize = 100;

/// Measures adds, updates, and adds of which some are bad.
pub fn measure(bed: &Bed, rows: u32, rounds: u32) -> Result<Vec<Comparison>> {
    let server = Server::start(bed)?;
    let mut device = Device::new(&server)?;
    let mut connection = bed.connect()?;
    let mut random = Random::new(2);
    let mut series: [Series; 6] = std::array::from_fn(|_| Series::default());
    for round in 0..=rounds {
        progress(&match round {
            0 => "upload: a first time, which does not count".to_owned(),
            _ => format!("upload: round {round} of {rounds}"),
        });
        let added = fresh(&mut random);
        let updated = existing(bed, &mut connection, rows, round, &mut random)?;
        let unreadable = fresh(&mut random);
        let refused = fresh(&mut random);
        let figures = [
            device.upload("adds", &features(&added, |_| {}), 0)?,
            bed.wait(upsert(&mut connection, UNTRACKED, &added))?.as_secs_f64(),
            device.upload("updates", &features(&updated, |_| {}), 0)?,
            bed.wait(upsert(&mut connection, UNTRACKED, &updated))?.as_secs_f64(),
            // The server sees that these cannot be stored …
            device.upload(
                "adds",
                &features(&unreadable, |bad| bad["age"] = "old".into()),
                unreadable.len() / BAD_EVERY,
            )?,
            // … and only the database that these break a rule of the table.
            device.upload("adds", &features(&refused, |bad| bad["girth"] = (-1).into()), refused.len() / BAD_EVERY)?,
        ];
        if round > 0 {
            series.iter_mut().zip(figures).for_each(|(series, figure)| series.one(figure));
        }
    }
    let [adds, adds_sql, updates, updates_sql, unreadable, refused] = series;
    let line = |name, against, measured: Series, reference, goal| Comparison {
        name,
        against,
        unit: Unit::Seconds,
        measured,
        reference,
        goal,
    };
    Ok(vec![
        line("upload, 10,000 adds", "SQL, untracked", adds.clone(), adds_sql, Some(Goal::AtMost(2.5))),
        line("upload, 10,000 updates", "SQL, untracked", updates, updates_sql, Some(Goal::AtMost(2.5))),
        line("upload, 1 % of adds unreadable", "all good", unreadable, adds.clone(), Some(Goal::AtMost(2.0))),
        line("upload, 1 % of adds refused by a constraint", "all good", refused, adds, Some(Goal::AtMost(2.0))),
    ])
}

fn fresh(random: &mut Random) -> Vec<Tree> {
    (0..N_EDITS).map(|_| Tree::fresh(random)).collect()
}

/// Changes of trees that are there, all over the table; other ones in each round as long as there are enough.
fn existing(
    bed: &Bed,
    connection: &mut sqlx::PgConnection,
    rows: u32,
    round: u32,
    random: &mut Random,
) -> Result<Vec<Tree>> {
    let step = rows / N_EDITS;
    let ids: Vec<Uuid> = bed.wait(
        sqlx::query_scalar(
            "select globalid from trees where objectid = any(select $1 + 1 + i * $2 from generate_series(0, $3 - 1) i)",
        )
        .bind(i32::try_from(round % step)?)
        .bind(i32::try_from(step)?)
        .bind(i32::try_from(N_EDITS)?)
        .fetch_all(connection),
    )?;
    Ok(ids.into_iter().map(|id| Tree::new(id, random)).collect())
}

/// The features of an upload; one in a hundred is spoilt.
fn features(trees: &[Tree], spoil: impl Fn(&mut Json)) -> Json {
    let mut features: Vec<Json> = trees.iter().map(Tree::json).collect();
    features.iter_mut().step_by(BAD_EVERY).for_each(|feature| spoil(&mut feature["attributes"]));
    features.into()
}

/// Somebody who comes back from the field and wants nothing but to hand in.
struct Device {
    replica: String,
    client: Client,
}

impl Device {
    fn new(server: &Server) -> Result<Device> {
        let mut client = server.connect()?;
        let request = Request::post(
            &format!("{LARGE}/FeatureServer/createReplica"),
            &[
                ("layers", "0"),
                ("layerQueries", r#"{"0":{"queryOption":"none"}}"#),
                ("syncModel", "perReplica"),
                ("transportType", "esriTransportTypeEmbedded"),
            ],
        );
        let answer: Json = serde_json::from_slice(&client.send(&request)?.0)?;
        let replica = answer["replicaID"].as_str().ok_or("the answer has no replicaID")?.to_owned();
        Ok(Device { replica, client })
    }

    /// Uploads features, and sees that this many are refused. Returns the seconds.
    fn upload(&mut self, list: &str, features: &Json, n_bad: usize) -> Result<f64> {
        let mut changes = json!({"adds": [], "updates": [], "deleteIds": []});
        changes[list] = features.clone();
        let request = Request::post(
            &format!("{LARGE}/FeatureServer/synchronizeReplica"),
            &[
                ("replicaID", &self.replica),
                ("syncDirection", "upload"),
                ("transportType", "esriTransportTypeEmbedded"),
                ("rollbackOnFailure", "false"),
                ("edits", &json!([{"id": 0, "features": changes}]).to_string()),
            ],
        );
        let (answer, took) = self.client.send(&request)?;
        let answer: Json = serde_json::from_slice(&answer)?;
        let results = &answer["edits"][0]["features"];
        let count = |name: &str| results[name].as_array().map_or(0, Vec::len);
        let n_refused = count("addResults") + count("updateResults");
        if n_refused != n_bad {
            return Err(format!("{n_refused} edits were refused, not {n_bad}: {results}").into());
        }
        Ok(took.as_secs_f64())
    }
}
