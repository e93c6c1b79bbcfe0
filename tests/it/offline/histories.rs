//! Several files and SQL writers at the same rows, over a line that breaks now and then, until all agree: no edit is lost, none
//! doubled.

use std::collections::BTreeSet;

use rusqlite::params;

use super::{Field, open, point, trees_in};
use crate::support::{
    Dice, at_length,
    proxy::{Fault, Part, Proxy},
    seed,
};

fn shared(n: u64) -> String {
    format!("{{51170000-0000-4000-8000-{n:012}}}")
}

/// An edit with plain SQL, of the file or of the database; the dialects are alike enough.
fn edit(dice: &mut Dice, number: u64) -> (String, String) {
    let id = shared(1 + dice.roll(8));
    let species = dice.pick(&["oak", "elm", "ash", "forbidden"]);
    let girth = number * 10 + dice.roll(10);
    let sqlite = match dice.roll(8) {
        0 => format!("delete from tree where globalid = '{id}'"),
        1 => format!("insert or ignore into tree (globalid, species, girth) values ('{id}', '{species}', {girth})"),
        2 => format!("update tree set species = '{species}', girth = {girth} where globalid = '{id}'"),
        3 => format!("update tree set species = null where globalid = '{id}'"),
        4 => format!("update tree set shape = @{} where globalid = '{id}'", girth % 97),
        5 => format!("insert into tree (species, girth) values ('new', {girth})"),
        6 => format!("delete from tree where girth % 13 = {}", girth % 13),
        _ => format!("update tree set girth = {girth} where globalid = '{id}'"),
    };
    let postgres = sqlite.replace("insert or ignore", "insert").replace("'forbidden'", "'fir'");
    (sqlite, postgres)
}

async fn history(seed: u64, n_steps: u64) {
    let field = Field::new().await;
    let proxy = Proxy::to(field.server.address());
    let url = field.url_by(&proxy.address.to_string());
    let paths: Vec<_> = (0..3).map(|n| field.path(&format!("{n}.gpkg"))).collect();
    for path in &paths {
        field.program.done(&["clone", &url, path.to_str().unwrap(), "--no-spatial-index"]);
    }
    let mut dice = Dice::new(seed);
    let mut tale = Vec::new();
    for number in 1..=n_steps {
        let device = usize::try_from(dice.roll(3)).unwrap();
        match dice.roll(6) {
            0 => {
                let (_, statement) = edit(&mut dice, number);
                let statement = match statement.split_once('@') {
                    Some((head, tail)) => {
                        let (x, tail) = tail.split_once(' ').unwrap();
                        format!("{head}st_setsrid(st_makepoint({x}, {x}), 3857) {tail}")
                    }
                    None => statement,
                };
                tale.push(format!("database: {statement}"));
                let statement =
                    if statement.starts_with("insert") { statement + " on conflict do nothing" } else { statement };
                field.database.sql(&statement).await;
            }
            1 | 2 => {
                if dice.roll(2) == 0 {
                    let part = dice.pick(&Part::BROKEN);
                    let fault = dice.pick(&[
                        Fault::Request { part, reset: false },
                        Fault::Answer { part, reset: true },
                        Fault::Impatience,
                        Fault::Twice,
                    ]);
                    for _ in 0..dice.roll(3) {
                        proxy.arm(Fault::Pass);
                    }
                    proxy.arm(fault);
                }
                let (said, code) = field.sync(&paths[device], &[]);
                tale.push(format!("{device}: sync, {code}"));
                assert!([0, 3, 4].contains(&code), "seed {seed}: {said}\n{}", tale.join("\n"));
            }
            _ => {
                let (statement, _) = edit(&mut dice, number);
                tale.push(format!("{device}: {statement}"));
                let db = open(&paths[device]);
                match statement.split_once('@') {
                    Some((head, tail)) => {
                        let (x, tail) = tail.split_once(' ').unwrap();
                        let x: f64 = x.parse().unwrap();
                        db.execute(&format!("{head}?1 {tail}"), params![point(x, x)]).unwrap();
                    }
                    None => {
                        db.execute(&statement, []).unwrap();
                    }
                }
            }
        }
    }
    // Everybody goes home.
    for round in 0..3 {
        for path in &paths {
            let mut attempts = 0;
            loop {
                let (said, code) = field.sync(path, &[]);
                if code != 4 {
                    assert!([0, 3].contains(&code), "seed {seed}, round {round}: {said}");
                    break;
                }
                attempts += 1;
                assert!(attempts < 20, "seed {seed}: {said}");
            }
        }
    }
    let trees = field.trees().await;
    for (device, path) in paths.iter().enumerate() {
        let status = field.status(path);
        let refused: BTreeSet<String> = status["refused"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["globalId"].as_str().unwrap().to_owned())
            .collect();
        // What was refused stands as its user left it; everything else is as the server has it.
        let mine: Vec<_> = trees_in(path).into_iter().filter(|tree| !refused.contains(&tree.0)).collect();
        let theirs: Vec<_> = trees.iter().filter(|tree| !refused.contains(&tree.0)).cloned().collect();
        assert_eq!(mine, theirs, "seed {seed}, device {device}\n{}", tale.join("\n"));
        for layer in status["layers"].as_array().unwrap() {
            assert_eq!(
                layer["pending"].to_string(),
                r#"{"adds":0,"updates":0,"deletes":0}"#,
                "seed {seed}, device {device}"
            );
        }
    }
    // New rows come with a girth that nobody else uses.
    let n_doubled = field
        .database
        .value::<i64>(
            "select count(*) from (select girth from tree where species = 'new' group by girth having count(*) > 1) d",
        )
        .await;
    assert_eq!(n_doubled, 0, "seed {seed}\n{}", tale.join("\n"));
}

#[tokio::test]
async fn files_and_writers_agree_in_the_end() {
    for n in 0..at_length(2, 40) {
        history(seed() + n, at_length(40, 120)).await;
    }
}
