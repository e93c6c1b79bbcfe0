//! T-X1: pairs and rings of servers, with edits on all sides, loss on the way, and a side that is restored from a back-up.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::{
    exchange::{Lost, create, import, pair, rows, transfer, with_rows},
    life::epochs::copy,
    rebase::{rebase, snapshot},
    support::{Dice, TestServer, at_length, seed, setting},
};

/// What is lost on the way of a transfer, if anything.
fn lost(dice: &mut Dice) -> Lost {
    dice.pick(&[Lost::Nothing, Lost::Nothing, Lost::Download, Lost::Answer])
}

/// Somebody edits with SQL. Each edit also leaves a note that nobody touches again.
async fn edit(server: &TestServer, dice: &mut Dice, mark: &str) {
    let row = format!("AAAAAAAA-0000-4000-8000-{:012}", dice.roll(6));
    let statement = match dice.roll(6) {
        0..=2 => format!(
            "insert into oak (globalid, girth, species) values ('{row}', {0}, '{mark}')
             on conflict (globalid) do update set girth = excluded.girth, species = excluded.species",
            dice.roll(1000)
        ),
        3 => format!("update oak set height = {} where globalid = '{row}'", dice.roll(1000)),
        4 => format!("delete from oak where globalid = '{row}'"),
        _ => format!(
            "update oak set girth = girth + 1, shape = ST_Point({}, 1, 3857) where girth % 2 = 0",
            dice.roll(100)
        ),
    };
    server.database.sql(&format!("{statement}; insert into visit (note) values ('{mark}')")).await;
}

async fn marks(server: &TestServer) -> BTreeSet<String> {
    let text: String =
        server.database.value("select coalesce(string_agg(note, ' '), '') from visit where note like 'mark%'").await;
    text.split_whitespace().map(str::to_owned).collect()
}

async fn settle(one: &TestServer, other: &TestServer, replica: &str, name: &str) {
    for _ in 0..2 {
        transfer(one, other, replica, Lost::Nothing).await;
        transfer(other, one, replica, Lost::Nothing).await;
    }
    assert_eq!(rows(one).await, rows(other).await, "{name}");
    assert_eq!(transfer(one, other, replica, Lost::Nothing).await, 0, "{name}");
    assert_eq!(transfer(other, one, replica, Lost::Nothing).await, 0, "{name}");
}

/// How many histories are played, and until when.
fn n_histories(often: u64, long: u64) -> impl Iterator<Item = u64> {
    let limit = Duration::from_secs(setting("SYNCLINE_MINUTES", 24 * 60) * 60 / 4);
    let begun = Instant::now();
    let n = setting("SYNCLINE_HISTORIES", at_length(often, long)).min(long);
    (0..n).map(|n| seed() + n).take_while(move |_| begun.elapsed() < limit)
}

#[tokio::test]
async fn f53_a_pair_of_which_a_side_is_restored_loses_only_what_nobody_else_had() {
    for seed in n_histories(2, 100) {
        let mut dice = Dice::new(seed);
        let model = dice.pick(&["perReplica", "perLayer"]);
        let name = format!("SYNCLINE_SEED={seed} {model}");
        let (one, other, replica) = pair("bidirectional", model).await;
        let (mut servers, mut n_edits) = ([one, other], 0);
        let mut play = async |servers: &[TestServer; 2], dice: &mut Dice, n_steps: u64| {
            for _ in 0..n_steps {
                let here = usize::try_from(dice.roll(2)).unwrap();
                if dice.roll(3) == 0 {
                    let lost = lost(dice);
                    transfer(&servers[here], &servers[1 - here], &replica, lost).await;
                } else {
                    n_edits += 1;
                    edit(&servers[here], dice, &format!("mark{n_edits}")).await;
                }
            }
        };
        let n_steps = dice.roll(12);
        play(&servers, &mut dice, n_steps).await;
        let restored = usize::try_from(dice.roll(2)).unwrap();
        let backup = copy(&servers[restored].database).await;
        let n_steps = 3 + dice.roll(10);
        play(&servers, &mut dice, n_steps).await;
        let elsewhere = marks(&servers[1 - restored]).await;
        servers[restored] = TestServer::on(backup).await;
        servers[restored].app.store.adopt(None).await.unwrap();
        let kept = marks(&servers[restored]).await;
        for n in 0..dice.roll(3) {
            edit(&servers[restored], &mut dice, &format!("mark_fresh{n}")).await;
            edit(&servers[1 - restored], &mut dice, &format!("mark_unsent{n}")).await;
        }
        let (fresh, unsent) = (marks(&servers[restored]).await, marks(&servers[1 - restored]).await);
        let takes_back = dice.roll(3) > 0;
        let (taker, giver) = if takes_back { (restored, 1 - restored) } else { (1 - restored, restored) };
        let document = snapshot(&servers[giver], &replica, model).await;
        let done = rebase(&servers[taker], &document).await;
        assert_eq!(done["success"], true, "{name}: {done}");
        settle(&servers[0], &servers[1], &replica, &name).await;
        let found = marks(&servers[0]).await;
        let everything: BTreeSet<String> =
            [&elsewhere, &kept, &fresh, &unsent].into_iter().flatten().cloned().collect();
        let missing: Vec<&String> = everything.difference(&found).collect();
        if takes_back {
            assert!(missing.is_empty(), "{name}: what either side had is gone: {missing:?}");
        } else {
            // What the restored side had lost, the other gives up; what it made itself it does not.
            let own: Vec<&&String> =
                missing.iter().filter(|mark| mark.contains("fresh") || mark.contains("unsent")).collect();
            assert!(own.is_empty() && kept.is_subset(&found), "{name}: {missing:?}");
        }
        play(&servers, &mut dice, 6).await;
        settle(&servers[0], &servers[1], &replica, &name).await;
    }
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "a long run says how far it came")]
async fn f51_f55_a_ring_with_loss_agrees_and_falls_quiet_at_the_latest_as_a_line() {
    let (mut n_rings, mut n_chases) = (0, 0);
    for seed in n_histories(2, 200) {
        let mut dice = Dice::new(seed);
        let name = format!("SYNCLINE_SEED={seed}");
        let servers = [with_rows().await, TestServer::with_trees().await, TestServer::with_trees().await];
        let mut replicas = Vec::new();
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            let ring = format!("ring{from}");
            let document = create(&servers[from], &[("syncDirection", "bidirectional"), ("replicaName", &ring)]).await;
            assert_eq!(import(&servers[to], &document).await["success"], true);
            replicas.push((from, to, document["replicaID"].as_str().unwrap().to_owned()));
        }
        let mut n_edits = 0;
        for _ in 0..30 {
            if dice.roll(2) == 0 {
                let (mut from, mut to, replica) = dice.pick(&replicas);
                if dice.roll(2) == 0 {
                    (from, to) = (to, from);
                }
                let lost = lost(&mut dice);
                transfer(&servers[from], &servers[to], &replica, lost).await;
            } else {
                n_edits += 1;
                let at = usize::try_from(dice.roll(3)).unwrap();
                edit(&servers[at], &mut dice, &format!("mark{n_edits}")).await;
            }
        }
        let mut n_changes = Vec::new();
        for _ in 0..5 {
            let mut sum = 0;
            for (from, to, replica) in &replicas {
                sum += transfer(&servers[*from], &servers[*to], replica, Lost::Nothing).await;
                sum += transfer(&servers[*to], &servers[*from], replica, Lost::Nothing).await;
            }
            n_changes.push(sum);
        }
        if n_changes[4] > 0 {
            // Two edits of one feature follow each other round. Without one of its pairs the ring is a line, where they meet.
            n_chases += 1;
            for _ in 0..3 {
                for (from, to, replica) in &replicas[..2] {
                    transfer(&servers[*from], &servers[*to], replica, Lost::Nothing).await;
                    transfer(&servers[*to], &servers[*from], replica, Lost::Nothing).await;
                }
            }
            for last in [false, true] {
                let mut sum = 0;
                for (from, to, replica) in &replicas {
                    sum += transfer(&servers[*from], &servers[*to], replica, Lost::Nothing).await;
                    sum += transfer(&servers[*to], &servers[*from], replica, Lost::Nothing).await;
                }
                assert!(!last || sum == 0, "{name}: {n_changes:?}, and as a line {sum}");
            }
        }
        assert_eq!(rows(&servers[0]).await, rows(&servers[1]).await, "{name}");
        assert_eq!(rows(&servers[1]).await, rows(&servers[2]).await, "{name}");
        assert_eq!(marks(&servers[0]).await.len(), n_edits, "{name}: every edit arrived everywhere");
        n_rings += 1;
    }
    println!("rings: {n_rings} played, in {n_chases} of which edits followed each other round");
}
