//! Edits in a whole replica: what its versions of rows say since the client last uploaded.

use std::collections::HashMap;

use rusqlite::{Row, types::Value};

use crate::{
    error::{Error, Result},
    model::value::brief,
    sqlite::{
        esri::column::julian_day,
        quoted,
        read::{Reader, Table},
    },
};

use super::{Edits, MAX_ROWS, Source, Wanted, check_replica, documents, key, layer_of};

/// What rows end with that have not ended is later than this.
const OPEN: f64 = 5_373_484.49;
/// Less than a millisecond, in days: moments are kept to one.
const SLACK: f64 = 4e-9;
/// The type of the item that a replica is.
const SYNC_REPLICA: &str = "{5B966567-FB87-4DDE-938B-B4B37423539D}";

/// What became of a row since the upload.
enum Fate {
    Inserted,
    /// With what it was, if that is there.
    Updated(Option<Vec<Value>>),
}

/// Appends the edits in a file.
pub(super) fn read(reader: &Reader, out: &mut Edits<'_, '_>) -> Result<()> {
    let reading = out.reading;
    let document = document(reader, out)?;
    check_replica(reading, &documents::text(&document, "ReplicaID").unwrap_or_default())?;
    for dataset in documents::elements(&document, "GPSyncDataset") {
        let text = |name| documents::text(dataset, name).unwrap_or_default();
        let name = text("DatasetName");
        let bare = name.strip_prefix("main.").unwrap_or(&name);
        let Some(table) = reader.table(bare) else {
            return Err(reading.wrong(format!(
                "the file says that it has a table '{}', which is not there or is not an ordinary table",
                brief(bare)
            )));
        };
        // Without them there are no versions, hence no edits.
        if table.column("gdb_from_date").is_none() || table.column("gdb_to_date").is_none() {
            return Err(reading.wrong(format!("table '{}' of the file keeps no versions of its rows", brief(bare))));
        }
        let uploaded = text("ReplicaClientUploadGen")
            .parse::<i64>()
            .map_err(|_| reading.wrong(format!("the file does not say when '{}' was last uploaded", brief(bare))))?;
        let layer = layer_of(reading, text("LayerID").parse().ok(), bare)?;
        let source = Source::new(reader, reading, layer, table)?;
        append(reader, &source, julian_day(uploaded) + SLACK, out)?;
    }
    Ok(())
}

/// The definition of the replica.
fn document(reader: &Reader, out: &Edits<'_, '_>) -> Result<String> {
    let faulty = out.reading.faulty();
    let none = || {
        out.reading.wrong(
            "the database is not the file of a replica: it is a geodatabase without a replica in it. Send the file that createReplica gave",
        )
    };
    let items = reader.table("GDB_Items").ok_or_else(none)?;
    let sql =
        format!("SELECT CAST(Definition AS TEXT) FROM {} NOT INDEXED WHERE upper(Type) = ?1", quoted(&items.name));
    let mut statement = reader.connection().prepare(&sql).map_err(&faulty)?;
    let found = statement.query_map([SYNC_REPLICA], |row| row.get::<_, Option<String>>(0)).map_err(&faulty)?;
    let mut found = found.collect::<rusqlite::Result<Vec<Option<String>>>>().map_err(&faulty)?;
    match (found.pop().flatten(), found.is_empty()) {
        (Some(document), true) => Ok(document),
        (_, false) => Err(out.reading.wrong("the file has several replicas in it")),
        (None, _) => Err(none()),
    }
}

/// Appends the edits of a table since `uploaded`, a Julian day.
fn append(reader: &Reader, source: &Source<'_>, uploaded: f64, out: &mut Edits<'_, '_>) -> Result<()> {
    let (mut fates, gone) = fates(reader, source, uploaded, out)?;
    if !fates.is_empty() {
        before(reader, source, uploaded, (&mut fates, out))?;
    }
    let faulty = out.reading.faulty();
    for list in ["adds", "updates"] {
        let sql = format!(
            "SELECT {} FROM {} NOT INDEXED WHERE gdb_to_date > {OPEN} AND gdb_from_date > {uploaded:?}",
            source.list(),
            quoted(&source.table.name)
        );
        let mut statement = reader.connection().prepare(&sql).map_err(&faulty)?;
        let mut rows = statement.query([]).map_err(&faulty)?;
        let start = out.open(source, list);
        while let Some(row) = rows.next().map_err(&faulty)? {
            let id = global_id(row, source.global_id).map_err(&faulty)?;
            match (fates.get(&key(&id)), list) {
                (Some(Fate::Inserted), "adds") => out.row(source, row, Wanted::New, start)?,
                (Some(Fate::Updated(Some(before))), "updates") => {
                    out.row(source, row, Wanted::ChangedSince(before), start)?;
                }
                (Some(Fate::Updated(None)), "updates") => out.row(source, row, Wanted::All, start)?,
                _ => {}
            }
        }
        out.close();
    }
    let start = out.open(source, "deleteIds");
    for id in gone {
        out.deleted(&id, start)?;
    }
    out.close();
    Ok(())
}

/// What became of each row: those that are there, and the global ids of those that are gone.
fn fates(
    reader: &Reader,
    source: &Source<'_>,
    uploaded: f64,
    out: &Edits<'_, '_>,
) -> Result<(HashMap<String, Fate>, Vec<String>)> {
    let faulty = out.reading.faulty();
    let sql = format!(
        "WITH h AS (SELECT {id} AS g, MIN(gdb_from_date) AS f0,
             MAX(CASE WHEN gdb_to_date > {OPEN} THEN gdb_from_date END) AS cur,
             MAX(CASE WHEN gdb_to_date <= {OPEN} THEN gdb_to_date END) AS ended FROM {table} NOT INDEXED GROUP BY 1)
         SELECT CAST(g AS TEXT), cur IS NULL, f0 > {uploaded:?} FROM h
         WHERE cur > {uploaded:?} OR (cur IS NULL AND f0 <= {uploaded:?} AND ended > {uploaded:?})",
        id = quoted(&source.table.columns[source.global_id].name),
        table = table_of(source.table),
    );
    let mut statement = reader.connection().prepare(&sql).map_err(&faulty)?;
    let mut rows = statement.query([]).map_err(&faulty)?;
    let (mut fates, mut gone) = (HashMap::new(), Vec::new());
    while let Some(row) = rows.next().map_err(&faulty)? {
        let read = || -> rusqlite::Result<(Option<String>, bool, bool)> { Ok((row.get(0)?, row.get(1)?, row.get(2)?)) };
        let (id, is_gone, is_new) = read().map_err(&faulty)?;
        let id = id.unwrap_or_default();
        if fates.len() + gone.len() >= MAX_ROWS {
            return Err(Error::TooLarge {
                what: "the upload",
                limit: format!("{MAX_ROWS} edited rows of a layer; send edits more often"),
            });
        }
        match (is_gone, is_new) {
            (true, _) => gone.push(id),
            (false, true) => drop(fates.insert(key(&id), Fate::Inserted)),
            (false, false) => drop(fates.insert(key(&id), Fate::Updated(None))),
        }
    }
    Ok((fates, gone))
}

/// Finds what rows that were changed had been when the client last uploaded.
fn before(
    reader: &Reader,
    source: &Source<'_>,
    uploaded: f64,
    (fates, out): (&mut HashMap<String, Fate>, &Edits<'_, '_>),
) -> Result<()> {
    let faulty = out.reading.faulty();
    let sql = format!(
        "SELECT {} FROM {} NOT INDEXED WHERE gdb_from_date <= {uploaded:?} AND gdb_to_date > {uploaded:?} AND gdb_to_date <= {OPEN}",
        source.list(),
        table_of(source.table)
    );
    let mut statement = reader.connection().prepare(&sql).map_err(&faulty)?;
    let mut rows = statement.query([]).map_err(&faulty)?;
    let mut left = out.reading.max_bytes;
    while let Some(row) = rows.next().map_err(&faulty)? {
        let id = global_id(row, source.global_id).map_err(&faulty)?;
        let Some(Fate::Updated(before)) = fates.get_mut(&key(&id)) else { continue };
        let mut values = Vec::with_capacity(source.table.columns.len());
        for position in 0..source.table.columns.len() {
            let value: Value = row.get(position).map_err(&faulty)?;
            let n_bytes = 32
                + match &value {
                    Value::Text(text) => text.len(),
                    Value::Blob(bytes) => bytes.len(),
                    Value::Null | Value::Integer(_) | Value::Real(_) => 0,
                };
            // Beyond what is held in memory, rows count as edited as a whole.
            let Some(rest) = left.checked_sub(n_bytes) else { return Ok(()) };
            left = rest;
            values.push(value);
        }
        *before = Some(values);
    }
    Ok(())
}

fn table_of(table: &Table) -> String {
    quoted(&table.name)
}

fn global_id(row: &Row<'_>, position: usize) -> rusqlite::Result<String> {
    Ok(row.get::<_, Option<String>>(position)?.unwrap_or_default())
}
