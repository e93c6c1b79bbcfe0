//! Sorts records outside of SQLite, and builds indexes out of what is sorted, in a small part of the time that SQLite takes, and with as
//! little memory for many rows as for few.
//!
//! Records are arrays of bytes that are ordered as bytes. Full runs of them go, sorted, into a file without a name beside the database,
//! and are merged as they are read.
//!
//! An index of SQLite is a tree of entries (key, …, rowid), like a table without rowid whose primary key is all of its columns: so
//! [`Index`] fills such a table, which is quick if entries come in order, and then enters it in the schema as the index that it is.

use std::{cmp::Reverse, collections::BinaryHeap, fs::File, io, os::unix::fs::FileExt as _, path::PathBuf};

use rusqlite::{Connection, ffi, params};

use super::{
    insert::{Inserts, Slots},
    quoted,
};

/// How many records are sorted at a time.
const RUN: usize = 128 << 10;
/// How much of each run is read at a time.
const CHUNK_BYTES: usize = 32 << 10;

/// Takes records of `N` bytes.
pub(crate) struct Sorter<const N: usize> {
    /// Where runs go; `None`: they stay in memory.
    scratch: Option<PathBuf>,
    file: Option<File>,
    /// How many records each run in the file has. All but the last are as long.
    runs: Vec<usize>,
    buffer: Vec<[u8; N]>,
}

impl<const N: usize> Sorter<N> {
    /// Begins to sort. What does not fit into the memory goes beside the file of `connection`, and stays in memory if that has none.
    pub(crate) fn beside(connection: &Connection) -> Sorter<N> {
        let path = connection.path().filter(|path| !path.is_empty());
        let scratch = path.map(|path| PathBuf::from(format!("{path}.runs")));
        Sorter { scratch, file: None, runs: Vec::new(), buffer: Vec::new() }
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.runs.iter().sum::<usize>() + self.buffer.len()
    }

    /// Takes a record.
    pub(crate) fn push(&mut self, record: [u8; N]) -> rusqlite::Result<()> {
        self.buffer.push(record);
        if self.buffer.len() < RUN || self.scratch.is_none() {
            return Ok(());
        }
        self.put_aside().map_err(failed)
    }

    fn put_aside(&mut self) -> io::Result<()> {
        self.buffer.sort_unstable();
        let file = match (&mut self.file, &self.scratch) {
            (Some(file), _) => file,
            (none, Some(path)) => {
                let file = File::options().create(true).truncate(true).read(true).write(true).open(path)?;
                // It has no name from here on, so that nothing is left of it, whatever happens.
                std::fs::remove_file(path)?;
                none.insert(file)
            }
            (None, None) => return Ok(()),
        };
        let n_before: usize = self.runs.iter().sum();
        file.write_all_at(self.buffer.as_flattened(), (n_before * N) as u64)?;
        self.runs.push(self.buffer.len());
        self.buffer.clear();
        Ok(())
    }

    /// Sorts what is there. It can be read as often as is wanted.
    pub(crate) fn sorted(mut self) -> rusqlite::Result<Sorted<N>> {
        if self.file.is_some() && !self.buffer.is_empty() {
            self.put_aside().map_err(failed)?;
        }
        self.buffer.sort_unstable();
        Ok(Sorted(self))
    }
}

/// Records in their order.
pub(crate) struct Sorted<const N: usize>(Sorter<N>);

impl<const N: usize> Sorted<N> {
    /// The records from the first to the last.
    pub(crate) fn iter(&self) -> rusqlite::Result<impl Iterator<Item = rusqlite::Result<[u8; N]>>> {
        let Sorter { file, runs, buffer, .. } = &self.0;
        let mut merge = Merge { runs: Vec::with_capacity(runs.len()), first: BinaryHeap::with_capacity(runs.len()) };
        let mut start = 0;
        for (position, &length) in runs.iter().enumerate() {
            let Some(file) = file else { break };
            let mut run = Run { file, next: start * N, end: (start + length) * N, chunk: Vec::new(), at: 0 };
            start += length;
            if let Some(record) = run.next().map_err(failed)? {
                merge.first.push(Reverse((record, position)));
            }
            merge.runs.push(run);
        }
        Ok(buffer.iter().copied().map(Ok).chain(merge))
    }
}

/// A run as it is read.
struct Run<'f> {
    file: &'f File,
    /// Where the next chunk begins, and where the run ends, in bytes.
    next: usize,
    end: usize,
    chunk: Vec<u8>,
    /// Where the next record begins in the chunk.
    at: usize,
}

impl Run<'_> {
    fn next<const N: usize>(&mut self) -> io::Result<Option<[u8; N]>> {
        if self.at == self.chunk.len() {
            let length = (self.end - self.next).min(CHUNK_BYTES / N * N);
            self.chunk.resize(length, 0);
            self.file.read_exact_at(&mut self.chunk, self.next as u64)?;
            self.next += length;
            self.at = 0;
        }
        let record = self.chunk.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).copied();
        self.at += if record.is_some() { N } else { 0 };
        Ok(record)
    }
}

/// Merges runs.
struct Merge<'f, const N: usize> {
    runs: Vec<Run<'f>>,
    /// The next record of each run.
    first: BinaryHeap<Reverse<([u8; N], usize)>>,
}

impl<const N: usize> Iterator for Merge<'_, N> {
    type Item = rusqlite::Result<[u8; N]>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut least = self.first.peek_mut()?;
        let Reverse((record, position)) = *least;
        match self.runs.get_mut(position).map(Run::next) {
            Some(Ok(Some(next))) => *least = Reverse((next, position)),
            Some(Err(error)) => return Some(Err(failed(error))),
            Some(Ok(None)) | None => drop(std::collections::binary_heap::PeekMut::pop(least)),
        }
        Some(Ok(record))
    }
}

/// A failure of the file with the runs, as SQLite would tell it of its own.
#[expect(clippy::needless_pass_by_value, reason = "it is what errors are mapped by")]
fn failed(error: io::Error) -> rusqlite::Error {
    let code = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => ffi::SQLITE_FULL,
        _ => ffi::SQLITE_IOERR,
    };
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(format!("sorting keys: {error}")))
}

/// A whole number as bytes that are ordered like it.
pub(crate) fn ordered(number: i64) -> [u8; 8] {
    (number ^ i64::MIN).to_be_bytes()
}

/// The whole number of such bytes.
pub(crate) fn number(bytes: [u8; 8]) -> i64 {
    i64::from_be_bytes(bytes) ^ i64::MIN
}

/// An index while it is made.
pub(crate) struct Index<'a> {
    /// Its name.
    pub(crate) name: &'a str,
    /// The table that it is of.
    pub(crate) table: &'a str,
    /// How it would be made: `CREATE INDEX …`.
    pub(crate) sql: &'a str,
    /// How many columns it has.
    pub(crate) n_columns: usize,
}

impl Index<'_> {
    /// Makes the index of entries that come in its order, each once. `bind` puts the values of the columns as the table has them, and the rowid.
    pub(crate) fn build<R>(
        &self,
        connection: &Connection,
        entries: impl Iterator<Item = rusqlite::Result<R>>,
        bind: impl FnMut(&R, &mut Slots<'_, '_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let columns: Vec<String> = (0..=self.n_columns).map(|column| format!("c{column}")).collect();
        let list = columns.join(", ");
        // Columns without a type take values as they are.
        connection.execute_batch(&format!(
            "CREATE TABLE {} ({list}, PRIMARY KEY ({list})) WITHOUT ROWID",
            quoted(self.name)
        ))?;
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        Inserts::new(connection, self.name, &names)?.insert_all(entries, bind)?;
        connection.execute_batch("PRAGMA writable_schema = ON")?;
        connection.execute(
            "UPDATE sqlite_schema SET type = 'index', tbl_name = ?2, sql = ?3 WHERE name = ?1",
            params![self.name, self.table, self.sql],
        )?;
        // Forgets what was known of the schema, and that it can be written.
        connection.execute_batch("PRAGMA writable_schema = RESET")
    }
}

/// A global id with the key of its row.
pub(crate) type IdKey = [u8; 24];
/// Global ids with the keys of their rows.
pub(crate) type IdKeys = Sorter<24>;

/// A global id with the key of its row.
pub(crate) fn id_key(id: [u8; 16], key: i64) -> IdKey {
    let mut record = [0; 24];
    record[..16].copy_from_slice(&id);
    record[16..].copy_from_slice(&ordered(key));
    record
}

/// The global id and the key of such a record.
pub(crate) fn of_id_key(record: &IdKey) -> ([u8; 16], i64) {
    let (mut id, mut key) = ([0; 16], [0; 8]);
    id.copy_from_slice(&record[..16]);
    key.copy_from_slice(&record[16..]);
    (id, number(key))
}

/// Refuses global ids that are there twice, where an index is to be unique.
pub(crate) fn distinct(
    entries: impl Iterator<Item = rusqlite::Result<IdKey>>,
) -> impl Iterator<Item = rusqlite::Result<IdKey>> {
    let mut last: Option<IdKey> = None;
    entries.map(move |entry| {
        let entry = entry?;
        let before = last.replace(entry);
        match before.is_some_and(|before| before[..16] == entry[..16]) {
            true => Err(rusqlite::Error::SqliteFailure(
                ffi::Error::new(ffi::SQLITE_CONSTRAINT_UNIQUE),
                Some("two rows have the same global id".to_owned()),
            )),
            false => Ok(entry),
        }
    })
}
