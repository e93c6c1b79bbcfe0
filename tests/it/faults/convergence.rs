//! T-M2: devices and SQL writers edit the same rows over lines that break, while the server is killed now and then. In the
//! end everybody agrees, and no edit is lost or doubled.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use rustix::process::Signal;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use crate::{
    support::{
        Dice, Program, TestDatabase, at_length,
        proxy::{Fault, Part, Proxy},
        seed,
    },
    sync::{
        device::{Device, Line, files_of, rows_of},
        model::{Change, Fate, Fields, N_LAYERS, REFUSED_GIRTH, TREES, TestFilter, Way},
    },
};

pub const FILTERS: [TestFilter; 4] = [TestFilter::All, TestFilter::Oaks, TestFilter::Area, TestFilter::OaksInArea];

/// A row that everybody edits.
pub fn shared(n: u64) -> Uuid {
    Uuid::from_u128(0x5117_0000_0000_4000_8000_0000_0000_0000 + u128::from(n))
}

/// A row that only this device edits, and numbers.
fn private(device: usize) -> Uuid {
    Uuid::from_u128(0x5117_0000_0000_4000_8000_0000_0001_0000 + device as u128)
}

/// An attachment that everybody edits.
pub fn attached(n: u64) -> Uuid {
    Uuid::from_u128(0x5117_0000_0000_4000_8000_0000_0002_0000 + u128::from(n))
}

pub fn random_change(dice: &mut Dice) -> Change {
    if dice.roll(6) == 0 {
        return Change::Delete;
    }
    let species = [None, Some(None), Some(Some("oak".to_owned())), Some(Some("elm".to_owned()))];
    let girth = [None, Some(None), Some(Some(1)), Some(Some(3)), Some(Some(REFUSED_GIRTH))];
    Change::Put(Fields {
        species: dice.pick(&species),
        girth: dice.pick(&girth),
        x: dice.pick(&[None, Some(5), Some(500)]),
    })
}

fn random_fault(dice: &mut Dice) -> Fault {
    let part = dice.pick(&Part::BROKEN);
    let reset = dice.roll(2) == 0;
    match dice.roll(8) {
        0 | 1 => Fault::Request { part, reset },
        2..=4 => Fault::Answer { part, reset },
        5 | 6 => Fault::Impatience,
        _ => Fault::Twice,
    }
}

/// Edits and synchronizes. The private row counts the edits.
fn in_the_field(
    number: usize,
    mut dice: Dice,
    n_edits: usize,
    n_shared: u64,
    proxy: &Proxy,
    progress: &AtomicUsize,
) -> Device {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let line = Line::Far(proxy.address);
        let mut device = Device::create(line, FILTERS[number % FILTERS.len()], number % 2 == 1).await;
        for n in 1..=n_edits {
            let layer = usize::try_from(dice.roll(N_LAYERS as u64)).unwrap();
            let mut change = random_change(&mut dice);
            if let (1, Change::Put(fields)) = (layer, &mut change) {
                fields.x = None;
            }
            device.edit(layer, shared(dice.roll(n_shared)), &change);
            if dice.roll(3) == 0 {
                let file = attached(dice.roll(n_shared));
                match dice.roll(4) {
                    0 => device.detach(file),
                    _ => device.attach(file, shared(dice.roll(n_shared)), &format!("{number} {n}")),
                }
            }
            let count = Fields { species: None, girth: Some(Some(i32::try_from(n).unwrap() * 1000)), x: None };
            device.edit(1, private(number), &Change::Put(count));
            if dice.roll(3) == 0 || n == n_edits {
                if dice.roll(10) < 4 {
                    proxy.arm(random_fault(&mut dice));
                }
                let way = dice.pick(&[
                    Way::Bidirectional,
                    Way::Bidirectional,
                    Way::Bidirectional,
                    Way::Upload,
                    Way::Download,
                ]);
                // Edits made while the line is broken go up with the next attempt.
                device.sync(line, way, Fate::Arrives, 3, false).await;
            }
            progress.fetch_add(1, Ordering::SeqCst);
        }
        device
    })
}

/// Edits with SQL until told to stop: more than one row at a time, held open, rolled back.
async fn with_sql(mut connection: PgConnection, mut dice: Dice, n_shared: u64, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::SeqCst) {
        let mut tx = connection.begin().await.unwrap();
        let mut done = Ok(());
        for _ in 0..1 + dice.roll(3) {
            let (id, girth) = (shared(dice.roll(n_shared)), dice.pick(&["null", "1", "3"]));
            let statement = match dice.roll(4) {
                0 => format!("delete from tree where globalid = '{id}'"),
                1 => format!(
                    "insert into note (globalid, girth) values ('{id}', {girth}) on conflict (globalid) do update set girth = excluded.girth"
                ),
                2 => format!("update tree set girth = {girth}, shape = ST_Point(5, 5, 3857) where globalid = '{id}'"),
                _ => format!(
                    "insert into tree (globalid, species) values ('{id}', 'oak') on conflict (globalid) do update set species = excluded.species"
                ),
            };
            done = done.and(sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *tx).await.map(drop));
            if done.is_err() {
                break;
            }
        }
        // A writer that met an upload in another order may have been chosen to give way.
        match done {
            Ok(()) if dice.roll(5) > 0 => tx.commit().await.unwrap(),
            _ => tx.rollback().await.unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_agrees_in_the_end() {
    let (n_devices, n_edits, n_kills) = at_length((5, 50, 2), (20, 300, 10));
    let seed = seed();
    // Few enough that everybody meets, and enough that not everybody waits for everybody.
    let n_shared = n_devices as u64;
    let database = TestDatabase::new().await;
    database.sql(TREES).await;
    let program = Program::on(&database);
    for table in ["tree", "note"] {
        program.done(&["publish", "--service", "trees", "--table", table]);
    }
    program.done(&["attachments", "--service", "trees", "--layer", "tree"]);
    let mut server = program.serve();
    let proxy = Arc::new(Proxy::to(server.address()));
    let (progress, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut writers = Vec::new();
    for n in 0..3 {
        writers.push(tokio::spawn(with_sql(
            database.connect().await,
            Dice::new(seed * 1000 + 900 + n),
            n_shared,
            stop.clone(),
        )));
    }
    let mut clients = Vec::new();
    for number in 0..n_devices {
        let (proxy, progress, dice) = (proxy.clone(), progress.clone(), Dice::new(seed * 1000 + number as u64));
        clients.push(std::thread::spawn(move || in_the_field(number, dice, n_edits, n_shared, &proxy, &progress)));
    }
    for kill in 1..=n_kills {
        while progress.load(Ordering::SeqCst) < n_devices * n_edits * kill / (n_kills + 1)
            && !clients.iter().any(std::thread::JoinHandle::is_finished)
        {
            tokio::task::yield_now().await;
        }
        server.signal(Signal::KILL);
        server.wait();
        server = program.serve();
        proxy.lead_to(server.address());
    }
    let mut devices: Vec<Device> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.unwrap();
    }
    // Now nothing breaks any more, and a device that could not upload does.
    let line = Line::Far(server.address().parse().unwrap());
    for _ in 0..2 {
        for device in &mut devices {
            assert!(device.sync(line, Way::Bidirectional, Fate::Arrives, 3, false).await);
        }
    }
    let rows = rows_of(&mut database.connect().await).await;
    let files = files_of(&mut database.connect().await).await;
    for (number, device) in devices.iter().enumerate() {
        assert!(!device.has_pending());
        device.check(&rows, &format!("seed {seed}, device {number}"));
        device.check_files(&rows, &files, &format!("seed {seed}, device {number}"));
        let count = rows[1].get(&private(number)).and_then(|row| row.girth);
        assert_eq!(
            count,
            Some(i32::try_from(n_edits).unwrap() * 1000),
            "seed {seed}: the last edit of device {number}"
        );
    }
    for (rule, query) in [
        ("every transaction has its generation", "select count(*) from syncline.txn where generation is null"),
        (
            "every upload has its receipts",
            "select count(*) from syncline.txn t where origin is not null and not exists
               (select from syncline.batch b join syncline.receipt r using (batch_id) where b.txn_id = t.txn_id)",
        ),
        (
            "what one device alone edited has changed as often as it was uploaded",
            "select count(*) from (select c.globalid, count(*) n from syncline.change_2 c where c.globalid between '51170000-0000-4000-8000-000000010000' and '51170000-0000-4000-8000-00000001ffff' group by 1) c
             full join (select r.global_id, count(distinct r.batch_id) n from syncline.receipt r
               where r.global_id between '51170000-0000-4000-8000-000000010000' and '51170000-0000-4000-8000-00000001ffff' and code is null group by 1) r on r.global_id = c.globalid
             where r.n is distinct from c.n",
        ),
    ] {
        assert_eq!(database.value::<i64>(query).await, 0, "seed {seed}: {rule}");
    }
    server.stop();
}
