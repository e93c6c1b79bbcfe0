//! Many devices: fifty that come back at the same time, and one that comes back where five thousand replicas are registered.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value as Json, json};

use super::{
    Result,
    bed::{self, Bed, Server},
    data::{LARGE, Random, Tree},
    http::{Client, Request},
    report::{Comparison, Goal, Series, Unit, progress},
};

/// How many devices come at once, and with how many edits each.
const N_DEVICES: usize = 50;
const N_EDITS: usize = 100;
/// How many replicas are registered.
const N_REPLICAS: u32 = 5_000;
/// How many downloads without changes a round has.
const N_EMPTY: u32 = 200;
/// How often the list of all replicas is asked for in a round.
const N_LISTS: u32 = 10;

/// Measures both.
pub fn measure(bed: &Bed, rounds: u32) -> Result<Vec<Comparison>> {
    let server = Server::start(bed)?;
    let mut random = Random::new(3);
    let mut devices = (0..N_DEVICES).map(|_| Device::new(&server)).collect::<Result<Vec<_>>>()?;
    let (mut at_once, mut in_turn, mut each) = (Series::default(), Series::default(), Series::default());
    for round in 0..=rounds {
        progress(&format!("crowd: {N_DEVICES} devices, round {round} of {rounds} (the first does not count)"));
        let uploads: Vec<Request> = devices.iter().map(|device| device.upload(&mut random)).collect();
        let (together, single) = all_at_once(&mut devices, &uploads)?;
        let uploads: Vec<Request> = devices.iter().map(|device| device.upload(&mut random)).collect();
        let alone = one_after_another(&mut devices, &uploads)?;
        if round > 0 {
            at_once.one(together.as_secs_f64());
            each.many(&single);
            in_turn.one(alone.as_secs_f64());
        }
    }
    let mut one = devices.swap_remove(0);
    let (mut few, mut many) = (Series::default(), Series::default());
    let (mut listed, mut second) = (Series::default(), Series::default());
    for round in 0..=rounds {
        progress(&format!("crowd: {N_REPLICAS} replicas, round {round} of {rounds} (the first does not count)"));
        let with_few = one.downloads()?;
        register(bed, &one.replica)?;
        let with_many = one.downloads()?;
        let pages = one.lists()?;
        forget(bed)?;
        if round > 0 {
            few.many(&with_few);
            many.many(&with_many);
            listed.many(&pages);
            second.one(1000.0);
        }
    }
    let line =
        |name, against, unit, measured, reference, goal| Comparison { name, against, unit, measured, reference, goal };
    Ok(vec![
        line(
            "50 devices with 100 edits each, at once",
            "one after another",
            Unit::Seconds,
            at_once,
            in_turn.clone(),
            Some(Goal::AtMost(1.0)),
        ),
        line("one of the 50, from request to answer", "all, one after another", Unit::Seconds, each, in_turn, None),
        line("delta, empty, 5,000 replicas", "50 replicas", Unit::Milliseconds, many, few, Some(Goal::AtMost(1.2))),
        line(
            "the console's list of 5,000 replicas",
            "a second",
            Unit::Milliseconds,
            listed,
            second,
            Some(Goal::AtMost(1.0)),
        ),
    ])
}

/// Registers replicas like an existing one, which is what a large site has: that they are copies matters to nothing here.
fn register(bed: &Bed, like: &str) -> Result<()> {
    bed.sql(format!(
        "do $$ declare columns text; begin
           select string_agg(quote_ident(attname), ', ') into columns from pg_attribute
             where attrelid = 'syncline.replica'::regclass and attnum > 0 and not attisdropped and attgenerated = '' and attname not in ('replica_id', 'name');
           execute format('insert into syncline.replica (replica_id, name, %1$s) select gen_random_uuid(), ''many_'' || i, %1$s
             from syncline.replica, generate_series(1, {N_REPLICAS}) i where replica_id = %2$L', columns, '{like}');
           select string_agg(quote_ident(attname), ', ') into columns from pg_attribute
             where attrelid = 'syncline.replica_layer'::regclass and attnum > 0 and not attisdropped and attgenerated = '' and attname <> 'replica_id';
           execute format('insert into syncline.replica_layer (replica_id, %1$s) select r.replica_id, l.* from syncline.replica r,
             (select %1$s from syncline.replica_layer where replica_id = %2$L) l where r.name like ''many\\_%%''', columns, '{like}');
         end $$; analyze syncline.replica, syncline.replica_layer"
    ))
}

fn forget(bed: &Bed) -> Result<()> {
    bed.sql("delete from syncline.replica where name like 'many\\_%'; analyze syncline.replica, syncline.replica_layer")
}

fn all_at_once(devices: &mut [Device], uploads: &[Request]) -> Result<(Duration, Vec<f64>)> {
    let started = Instant::now();
    let took = thread::scope(|scope| {
        let running: Vec<_> = devices
            .iter_mut()
            .zip(uploads)
            .map(|(device, upload)| scope.spawn(move || device.synchronize(upload).map(|took| took.as_secs_f64())))
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a device's thread panicked")?)
            .collect::<Result<Vec<f64>>>()
    })?;
    Ok((started.elapsed(), took))
}

fn one_after_another(devices: &mut [Device], uploads: &[Request]) -> Result<Duration> {
    let started = Instant::now();
    for (device, upload) in devices.iter_mut().zip(uploads) {
        device.synchronize(upload)?;
    }
    Ok(started.elapsed())
}

/// Somebody who holds a corner of the large table, hands in edits and takes what is new.
struct Device {
    replica: String,
    generation: i64,
    client: Client,
}

impl Device {
    fn new(server: &Server) -> Result<Device> {
        let mut client = server.connect()?;
        let request = Request::post(
            &format!("{LARGE}/FeatureServer/createReplica"),
            &[
                ("layers", "0"),
                ("layerQueries", r#"{"0":{"queryOption":"useFilter","where":"objectid < 100"}}"#),
                ("syncModel", "perReplica"),
                ("transportType", "esriTransportTypeEmbedded"),
            ],
        );
        let answer: Json = serde_json::from_slice(&client.send(&request)?.0)?;
        let replica = answer["replicaID"].as_str().ok_or("the answer has no replicaID")?.to_owned();
        let generation = answer["replicaServerGen"].as_i64().ok_or("the answer has no replicaServerGen")?;
        Ok(Device { replica, generation, client })
    }

    fn request(&self, edits: &str) -> Request {
        Request::post(
            &format!("{LARGE}/FeatureServer/synchronizeReplica"),
            &[
                ("replicaID", &self.replica),
                ("replicaServerGen", &self.generation.to_string()),
                ("transportType", "esriTransportTypeEmbedded"),
                ("rollbackOnFailure", "true"),
                ("edits", edits),
            ],
        )
    }

    /// An upload of new trees.
    fn upload(&self, random: &mut Random) -> Request {
        let adds: Vec<Json> = (0..N_EDITS).map(|_| Tree::fresh(random).json()).collect();
        self.request(&json!([{"id": 0, "features": {"adds": adds}}]).to_string())
    }

    fn synchronize(&mut self, request: &Request) -> Result<Duration> {
        let (answer, took) = self.client.send(request)?;
        let answer: Json = serde_json::from_slice(&answer)?;
        self.generation = answer["replicaServerGen"].as_i64().ok_or("the answer has no replicaServerGen")?;
        Ok(took)
    }

    /// Asks for the page of those furthest behind, as the console does. Returns the milliseconds of each.
    fn lists(&mut self) -> Result<Vec<f64>> {
        let parameters =
            [("orderByFields", "changesBehind DESC"), ("resultRecordCount", "100"), ("token", bed::ADMIN_TOKEN)];
        (0..N_LISTS)
            .map(|_| {
                let (answer, took) = self.client.send(&Request::plain("/arcgis/rest/admin/replicas", &parameters))?;
                let answer: Json = serde_json::from_slice(&answer)?;
                match answer["count"].as_u64() {
                    Some(count) if count > u64::from(N_REPLICAS) => Ok(took.as_secs_f64() * 1000.0),
                    _ => Err(format!("{} replicas are listed", answer["count"]).into()),
                }
            })
            .collect()
    }

    /// Downloads nothing, again and again. Returns the milliseconds of each.
    fn downloads(&mut self) -> Result<Vec<f64>> {
        let first = self.request("");
        self.synchronize(&first)?;
        (0..N_EMPTY)
            .map(|_| {
                let request = self.request("");
                Ok(self.synchronize(&request)?.as_secs_f64() * 1000.0)
            })
            .collect()
    }
}
