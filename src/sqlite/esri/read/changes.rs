//! Edits in a file of changes.

use crate::{
    error::Result,
    model::{edit::Op, value::brief},
    sqlite::{
        quoted,
        read::{Reader, Table},
    },
};

use super::{Edits, Source, Wanted, check_replica, layer_of};
use crate::sqlite::esri::delta::change_type;

/// A table of changes: of which dataset, and of what kind.
struct Changed<'a> {
    dataset: i64,
    op: Op,
    table: &'a Table,
}

/// Appends the edits in a file.
pub(super) fn read(reader: &Reader, out: &mut Edits<'_, '_>) -> Result<()> {
    let reading = out.reading;
    let Some(head) = reader.table("GDB_DataChanges") else {
        return Err(reading.wrong("the file does not say whose changes it has: it has no table GDB_DataChanges"));
    };
    let sql = format!("SELECT CAST(ReplicaGUID AS TEXT) FROM {} LIMIT 1", quoted(&head.name));
    let id = match reader.connection().query_row(&sql, [], |row| row.get::<_, Option<String>>(0)) {
        Err(rusqlite::Error::QueryReturnedNoRows) => None,
        found => found.map_err(reading.faulty())?,
    };
    check_replica(reading, &id.unwrap_or_default())?;
    let datasets = datasets(reader, out)?;
    let mut changed = tables(reader, out)?;
    changed.sort_by_key(|changed| (changed.dataset, change_type(changed.op)));
    for Changed { dataset, op, table } in changed {
        let Some((_, layer, name)) = datasets.iter().find(|(id, ..)| *id == dataset) else {
            return Err(reading.wrong(format!(
                "the file has changes in table '{}', and does not say of which layer they are",
                brief(&table.name)
            )));
        };
        let source = Source::new(reader, reading, layer_of(reading, *layer, name)?, table)?;
        append(reader, &source, op, out)?;
    }
    Ok(())
}

/// The datasets: number, layer, name.
fn datasets(reader: &Reader, out: &Edits<'_, '_>) -> Result<Vec<(i64, Option<i64>, String)>> {
    let faulty = out.reading.faulty();
    let Some(table) = reader.table("GDB_DataChangesDatasets") else { return Ok(Vec::new()) };
    let sql = format!("SELECT ID, LayerID, CAST(Name AS TEXT) FROM {}", quoted(&table.name));
    let mut statement = reader.connection().prepare(&sql).map_err(&faulty)?;
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, Option<String>>(2)?.unwrap_or_default())))
        .map_err(&faulty)?;
    rows.collect::<rusqlite::Result<_>>().map_err(&faulty)
}

/// The tables of changes: those that are registered, and those that are called like one.
fn tables<'r>(reader: &'r Reader, out: &Edits<'_, '_>) -> Result<Vec<Changed<'r>>> {
    let faulty = out.reading.faulty();
    let mut found: Vec<Changed<'r>> = Vec::new();
    if let (Some(deltas), Some(items)) = (reader.table("GDB_DataChangesDeltas"), reader.table("GDB_Items")) {
        let sql = format!(
            "SELECT d.ChangedDatasetID, d.ChangeType, CAST(i.Name AS TEXT) FROM {} d JOIN {} i NOT INDEXED ON i.ObjectID = d.RecordsetClassID",
            quoted(&deltas.name),
            quoted(&items.name)
        );
        let mut statement = reader.connection().prepare(&sql).map_err(&faulty)?;
        let mut rows = statement.query([]).map_err(&faulty)?;
        while let Some(row) = rows.next().map_err(&faulty)? {
            let read =
                || -> rusqlite::Result<(i64, i64, Option<String>)> { Ok((row.get(0)?, row.get(1)?, row.get(2)?)) };
            let (dataset, kind, name) = read().map_err(&faulty)?;
            let name = name.unwrap_or_default();
            let bare = name.rsplit('.').next().unwrap_or_default();
            let op = [Op::Add, Op::Update, Op::Delete].into_iter().find(|op| change_type(*op) == kind);
            match (op, reader.table(bare)) {
                (Some(op), Some(table)) => found.push(Changed { dataset, op, table }),
                _ => {
                    return Err(out.reading.wrong(format!(
                        "the file says that changes of kind {kind} are in '{}', which is not there or is not an ordinary table",
                        brief(&name)
                    )));
                }
            }
        }
    }
    for table in reader.tables() {
        let is_known = found.iter().any(|changed| changed.table.name == table.name);
        if let Some((dataset, op)) = by_name(&table.name).filter(|_| !is_known) {
            found.push(Changed { dataset, op, table });
        }
    }
    Ok(found)
}

/// What the name of a table of changes says: `T_1_inserts`.
fn by_name(name: &str) -> Option<(i64, Op)> {
    let lower = name.to_ascii_lowercase();
    let (number, kind) = lower.strip_prefix("t_")?.split_once('_')?;
    let op = match kind {
        "inserts" => Op::Add,
        "updates" => Op::Update,
        "deletes" => Op::Delete,
        _ => return None,
    };
    number.bytes().all(|byte| byte.is_ascii_digit()).then(|| number.parse().ok().map(|number| (number, op)))?
}

fn append(reader: &Reader, source: &Source<'_>, op: Op, out: &mut Edits<'_, '_>) -> Result<()> {
    let faulty = out.reading.faulty();
    let sql = format!("SELECT {} FROM {} NOT INDEXED", source.list(), quoted(&source.table.name));
    let mut statement = reader.connection().prepare(&sql).map_err(&faulty)?;
    let mut rows = statement.query([]).map_err(&faulty)?;
    let (list, wanted) = match op {
        Op::Add => ("adds", Wanted::New),
        Op::Update => ("updates", Wanted::All),
        Op::Delete => ("deleteIds", Wanted::All),
    };
    let start = out.open(source, list);
    while let Some(row) = rows.next().map_err(&faulty)? {
        if op == Op::Delete {
            let id = row.get::<_, Option<String>>(source.global_id).map_err(&faulty)?;
            out.deleted(&id.unwrap_or_default(), start)?;
        } else {
            out.row(source, row, wanted, start)?;
        }
    }
    out.close();
    Ok(())
}
