//! T-L1: a soak in small. Devices come and go, days pass, history is forgotten, replicas expire, the server is killed; in the end
//! everybody agrees, the server has no more memory than in the beginning, and no file that is over.
//!
//! `SYNCLINE_SOAK_MINUTES` says how long; `scripts/test-long` sets it.

use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;

use super::convergence::{FILTERS, attached, random_change, shared};
use crate::{
    support::{Dice, Program, TestDatabase, at_length, program::Server, seed, setting},
    sync::{
        device::{Device, Line, files_of, rows_of},
        model::{Change, Fate, N_LAYERS, TREES, Way},
    },
};

const N_ROWS: u64 = 30;

/// How many steps one round has; between rounds a day or a month passes.
const STEPS: usize = 60;

struct Soak {
    program: Program,
    database: TestDatabase,
    server: Option<Server>,
    dice: Dice,
    devices: Vec<Device>,
    n_made: usize,
}

impl Soak {
    async fn new(n_devices: usize) -> Soak {
        let database = TestDatabase::new().await;
        database.sql(TREES).await;
        let program = Program::on(&database);
        for table in ["tree", "note"] {
            program.done(&["publish", "--service", "trees", "--table", table]);
        }
        program.done(&["attachments", "--service", "trees", "--layer", "tree"]);
        let server = Some(program.serve());
        let dice = Dice::new(seed());
        let mut soak = Soak { program, database, server, dice, devices: Vec::new(), n_made: 0 };
        for _ in 0..n_devices {
            let device = soak.new_device().await;
            soak.devices.push(device);
        }
        soak
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    fn line(&self) -> Line<'static> {
        Line::Far(self.server().address().parse().unwrap())
    }

    async fn new_device(&mut self) -> Device {
        self.n_made += 1;
        Device::create(self.line(), FILTERS[self.n_made % FILTERS.len()], self.n_made.is_multiple_of(2)).await
    }

    async fn round(&mut self) {
        for step in 0..STEPS {
            let at = usize::try_from(self.dice.roll(self.devices.len() as u64)).unwrap();
            let layer = usize::try_from(self.dice.roll(N_LAYERS as u64)).unwrap();
            let mut change = random_change(&mut self.dice);
            if let (1, Change::Put(fields)) = (layer, &mut change) {
                fields.x = None;
            }
            let (row, file) = (shared(self.dice.roll(N_ROWS)), attached(self.dice.roll(N_ROWS)));
            self.devices[at].edit(layer, row, &change);
            match self.dice.roll(6) {
                0 => self.devices[at].detach(file),
                1 => self.devices[at].attach(file, row, &format!("{} {step}", self.n_made)),
                2 => {
                    let statement = format!(
                        "update tree set girth = {step} where globalid = '{row}'; insert into note (species) values ('oak')"
                    );
                    self.database.sql(&statement).await;
                }
                _ => {}
            }
            let line = self.line();
            let way = self.dice.pick(&[Way::Bidirectional, Way::Bidirectional, Way::Upload, Way::Download]);
            let fate = self.dice.pick(&[Fate::Arrives, Fate::Arrives, Fate::Repeated, Fate::Lost, Fate::Crash]);
            self.devices[at].sync(line, way, fate, 3, false).await;
        }
    }

    /// A month passes for everybody; nobody who is there has been away for so long.
    async fn pass_a_month(&mut self) {
        let line = self.line();
        for device in &mut self.devices {
            assert!(device.sync(line, Way::Bidirectional, Fate::Arrives, 3, false).await);
        }
        self.database
            .sql(
                "update syncline.txn set committed_at = committed_at - interval '31 days';
                 update syncline.batch set received_at = received_at - interval '31 days';
                 update syncline.replica set last_sync_at = last_sync_at - interval '31 days', expired_at = expired_at - interval '31 days';
                 update syncline.replica_layer set low_since = low_since - interval '31 days'",
            )
            .await;
        for device in &mut self.devices {
            assert!(device.sync(line, Way::Bidirectional, Fate::Arrives, 3, false).await);
        }
        self.program.done(&["prune"]);
    }

    /// Nobody asks it to end; the next one looks after what is over as soon as it begins.
    fn kill(&mut self) {
        let server = self.server.take().unwrap();
        server.signal(Signal::KILL);
        server.wait();
        self.server = Some(self.program.serve());
    }

    async fn check(&mut self) {
        let line = self.line();
        for _ in 0..2 {
            for device in &mut self.devices {
                assert!(device.sync(line, Way::Bidirectional, Fate::Arrives, 3, false).await);
            }
        }
        let mut connection = self.database.connect().await;
        let (rows, files) = (rows_of(&mut connection).await, files_of(&mut connection).await);
        for (number, device) in self.devices.iter().enumerate() {
            let name = format!("SYNCLINE_SEED={}, device {number}", seed());
            device.check(&rows, &name);
            device.check_files(&rows, &files, &name);
            device.check_quiet(line).await;
        }
    }
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "a long run says how far it came")]
async fn t_l1_devices_come_and_go_for_long_and_nothing_is_left_behind() {
    let limit = Duration::from_secs(setting("SYNCLINE_SOAK_MINUTES", at_length(0, 10)) * 60);
    let mut soak = Soak::new(at_length(4, 20)).await;
    let begun = Instant::now();
    let mut n_rounds = 0;
    while n_rounds < 3 || begun.elapsed() < limit {
        soak.round().await;
        // Some device goes and is not heard of again, and a new one comes.
        let device = soak.new_device().await;
        let at = usize::try_from(soak.dice.roll(soak.devices.len() as u64)).unwrap();
        soak.devices[at] = device;
        soak.pass_a_month().await;
        if n_rounds % 2 == 0 {
            soak.kill();
        }
        n_rounds += 1;
    }
    soak.check().await;

    // Who went is unregistered, and what only they needed is forgotten.
    let live: i64 = soak.database.value("select count(*) from syncline.replica where unregistered_at is null").await;
    assert!(
        live <= i64::try_from(soak.devices.len()).unwrap() + 5,
        "{live} replicas of {} devices",
        soak.devices.len()
    );

    // No more memory after the same again.
    soak.kill();
    soak.round().await;
    let before = soak.server().memory_kib();
    for _ in 0..at_length(2, 20) {
        soak.round().await;
    }
    let after = soak.server().memory_kib();
    println!(
        "soak: {n_rounds} rounds, {} devices, {before} KiB before and {after} KiB after the last rounds",
        soak.n_made
    );
    assert!(after < before + before / 4 + 8192, "the server had {before} KiB and has {after} KiB");

    // What killed servers have left is deleted when it is two hours old; nothing else lies in the spool.
    let spool = soak.program.data().join("spool");
    let left = || std::fs::read_dir(&spool).unwrap().map(|entry| entry.unwrap().path());
    for path in left() {
        let long_ago = SystemTime::now() - Duration::from_secs(3 * 3600);
        std::fs::File::options().append(true).open(path).unwrap().set_modified(long_ago).unwrap();
    }
    soak.kill();
    let restarted = Instant::now();
    while left().next().is_some() {
        assert!(restarted.elapsed() < Duration::from_secs(30), "old files stay in the spool");
        tokio::task::yield_now().await;
    }
    soak.check().await;
}
