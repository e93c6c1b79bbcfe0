//! Somebody who asks for all that they can, beside somebody else who works.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::{
    Result,
    bed::{self, Bed, Server},
    data::LARGE,
    http::{Client, Request},
    report::{Comparison, Goal, Series, Unit, progress, quantile},
};

/// How many connections the one has, on each of which one query follows another that reads the whole table.
const N_ABUSERS: usize = 20;
/// How many features the other asks for in a round.
const N_QUERIES: u32 = 500;

/// Measures how long the slowest hundredth of the other's queries takes.
pub fn measure(bed: &Bed, rounds: u32) -> Result<Vec<Comparison>> {
    let server = Server::start(bed)?;
    let mut client = server.connect()?;
    let (mut alone, mut beside) = (Series::default(), Series::default());
    for round in 0..=rounds {
        progress(&format!("crowd: somebody who asks for all, round {round} of {rounds} (the first does not count)"));
        let undisturbed = queries(&mut client)?;
        let abusers = (0..N_ABUSERS).map(|_| server.connect()).collect::<Result<Vec<_>>>()?;
        let is_over = AtomicBool::new(false);
        let disturbed = thread::scope(|scope| {
            let running: Vec<_> = abusers.into_iter().map(|client| scope.spawn(|| abuse(client, &is_over))).collect();
            let disturbed = queries(&mut client);
            is_over.store(true, Ordering::Relaxed);
            for thread in running {
                thread.join().map_err(|_| "an abuser's thread panicked")??;
            }
            disturbed
        })?;
        if round > 0 {
            alone.one(quantile(&undisturbed, 99));
            beside.one(quantile(&disturbed, 99));
        }
    }
    Ok(vec![Comparison {
        name: "a feature's query (p99) while another asks for all",
        against: "the same alone",
        unit: Unit::Milliseconds,
        measured: beside,
        reference: alone,
        goal: Some(Goal::AtMost(2.0)),
    }])
}

/// Asks what reads every row, until it is over.
fn abuse(mut client: Client, is_over: &AtomicBool) -> Result<()> {
    let parameters = [("where", "species LIKE '%a%e%o%'"), ("returnCountOnly", "true"), ("f", "json")];
    let request = Request::post(&format!("{LARGE}/FeatureServer/0/query"), &parameters);
    while !is_over.load(Ordering::Relaxed) {
        client.send(&request)?;
    }
    Ok(())
}

/// Asks for one feature after another. Returns the milliseconds of each.
fn queries(client: &mut Client) -> Result<Vec<f64>> {
    (1..=N_QUERIES)
        .map(|id| {
            let (id, token) = (id.to_string(), bed::ADMIN_TOKEN);
            let parameters = [("objectIds", id.as_str()), ("outFields", "*"), ("f", "json"), ("token", token)];
            let request = Request::post(&format!("{LARGE}/FeatureServer/0/query"), &parameters);
            Ok(client.send(&request)?.1.as_secs_f64() * 1000.0)
        })
        .collect()
}
