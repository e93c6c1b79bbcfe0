//! Fills an R-tree of SQLite at once, by writing its nodes instead of inserting row by row.
//!
//! Boxes are tiled: sorted into slices by one coordinate and by the other within a slice, cut into full nodes, and so on up to
//! the root. The result is smaller and quicker to search than a tree that grew. What is in memory at a time is a slice, and the boxes
//! round the nodes, half a byte for each row.

use rusqlite::{Connection, params, types::ValueRef};

use super::{
    insert::Inserts,
    quoted,
    sorted::{Sorter, number, ordered},
};

/// How many boxes SQLite puts into a node of two dimensions when pages have at least 2048 bytes.
const N_CELLS: usize = 51;
/// A box with an id: 8 bytes for the id, 4 for each of the four bounds.
const CELL_BYTES: usize = 24;
/// Two bytes for the depth (in the root only), two for the number of cells.
const HEAD_BYTES: usize = 4;
const NODE_BYTES: usize = HEAD_BYTES + N_CELLS * CELL_BYTES;
/// SQLite's number for the root.
const ROOT: i64 = 1;

/// The boxes of a layer while its rows are written.
pub(crate) struct Boxes {
    /// By their middles from west to east.
    by_x: Sorter<RECORD_BYTES>,
    /// The nodes of the rows, by the ids of the rows.
    nodes: Sorter<16>,
}

/// Four bytes of the middle, eight of the id, four of each bound.
const RECORD_BYTES: usize = 28;

/// A box round a row, or round the boxes of a node.
#[derive(Clone, Copy, Debug)]
struct Cell {
    id: i64,
    min_x: f32,
    max_x: f32,
    min_y: f32,
    max_y: f32,
}

impl Boxes {
    /// No boxes yet. Those that do not fit into the memory are put beside the file of `connection`.
    pub(crate) fn beside(connection: &Connection) -> Boxes {
        Boxes { by_x: Sorter::beside(connection), nodes: Sorter::beside(connection) }
    }

    /// Adds a row's box. One that is not finite is left out: no search would find it, and SQLite takes it for damage.
    pub(crate) fn add(&mut self, id: i64, [min_x, min_y, max_x, max_y]: [f64; 4]) -> rusqlite::Result<()> {
        if min_x <= max_x && min_y <= max_y && [min_x, min_y, max_x, max_y].into_iter().all(f64::is_finite) {
            let cell = Cell { id, min_x: down(min_x), max_x: up(max_x), min_y: down(min_y), max_y: up(max_y) };
            return self.by_x.push(cell.record());
        }
        Ok(())
    }

    /// Writes them into an R-tree table of two dimensions that is still empty. `Ok` means that SQLite would not find a fault.
    pub(crate) fn write(self, connection: &Connection, table: &str) -> rusqlite::Result<()> {
        let part = |suffix: &str| format!("{table}_{suffix}");
        let Boxes { by_x, nodes: mut of_rows } = self;
        let mut nodes = connection.prepare(&format!("INSERT INTO {} VALUES (?1, ?2)", quoted(&part("node"))))?;
        let mut put_node = |number: i64, bytes: &[u8]| -> rusqlite::Result<()> {
            nodes.raw_bind_parameter(1, number)?;
            nodes.raw_bind_parameter(2, ValueBlob(bytes))?;
            nodes.raw_execute().map(drop)
        };
        let mut next = ROOT + 1;
        let mut depth: u16 = 0;
        let mut level = Vec::new();
        let n_cells = by_x.len();
        let sorted = by_x.sorted()?;
        let mut cells = sorted.iter()?.map(|record| record.map(|record| Cell::of(&record)));
        if n_cells > N_CELLS {
            let mut slice = Vec::new();
            loop {
                slice.clear();
                for cell in cells.by_ref().take(in_slice(n_cells)) {
                    slice.push(cell?);
                }
                if slice.is_empty() {
                    break;
                }
                by_y(&mut slice);
                for cells in slice.chunks(N_CELLS) {
                    put_node(next, &node(0, cells))?;
                    for cell in cells {
                        of_rows.push(entry(cell.id, next))?;
                    }
                    level.push(around(next, cells));
                    next += 1;
                }
            }
            depth = 1;
        } else {
            for cell in cells {
                let cell = cell?;
                of_rows.push(entry(cell.id, ROOT))?;
                level.push(cell);
            }
        }
        let mut parents = connection.prepare(&format!("INSERT INTO {} VALUES (?1, ?2)", quoted(&part("parent"))))?;
        // A level that fits into one node is the root's.
        while level.len() > N_CELLS {
            let mut above = Vec::with_capacity(level.len().div_ceil(N_CELLS));
            for cells in tiles(&mut level) {
                put_node(next, &node(0, cells))?;
                for cell in cells {
                    parents.execute((cell.id, next))?;
                }
                above.push(around(next, cells));
                next += 1;
            }
            level = above;
            depth += 1;
        }
        if depth > 0 {
            for cell in &level {
                parents.execute((cell.id, ROOT))?;
            }
        }
        connection.execute(
            &format!("INSERT OR REPLACE INTO {} VALUES (?1, ?2)", quoted(&part("node"))),
            params![ROOT, node(depth, &level)],
        )?;
        // In the order of the table, so that its pages are written one after the other.
        let of_rows = of_rows.sorted()?;
        Inserts::new(connection, &part("rowid"), &["rowid", "nodeno"])?.insert_all(of_rows.iter()?, |record, slots| {
            let [id, node] = halves(record);
            slots.put(ValueRef::Integer(id))?;
            slots.put(ValueRef::Integer(node))
        })
    }
}

impl Cell {
    fn record(&self) -> [u8; RECORD_BYTES] {
        let mut record = [0; RECORD_BYTES];
        // Bits of a number, so that they are ordered like it.
        let bits = (self.min_x + self.max_x).to_bits();
        let middle = if bits >> 31 == 0 { bits ^ 1 << 31 } else { !bits };
        record[..4].copy_from_slice(&middle.to_be_bytes());
        record[4..12].copy_from_slice(&self.id.to_be_bytes());
        for (position, bound) in [self.min_x, self.max_x, self.min_y, self.max_y].into_iter().enumerate() {
            record[12 + 4 * position..16 + 4 * position].copy_from_slice(&bound.to_be_bytes());
        }
        record
    }

    fn of(record: &[u8; RECORD_BYTES]) -> Cell {
        let mut id = [0; 8];
        id.copy_from_slice(&record[4..12]);
        let [min_x, max_x, min_y, max_y] = [12, 16, 20, 24].map(|at| {
            let mut bound = [0; 4];
            bound.copy_from_slice(&record[at..at + 4]);
            f32::from_be_bytes(bound)
        });
        Cell { id: i64::from_be_bytes(id), min_x, max_x, min_y, max_y }
    }
}

/// Which node a row is in.
fn entry(id: i64, node: i64) -> [u8; 16] {
    let mut record = [0; 16];
    record[..8].copy_from_slice(&ordered(id));
    record[8..].copy_from_slice(&ordered(node));
    record
}

/// The row and the node of such a record.
fn halves(record: &[u8; 16]) -> [i64; 2] {
    [0, 8].map(|at| {
        let mut half = [0; 8];
        half.copy_from_slice(&record[at..at + 8]);
        number(half)
    })
}

/// Bytes that are bound as they are.
struct ValueBlob<'a>(&'a [u8]);

impl rusqlite::ToSql for ValueBlob<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(rusqlite::types::ToSqlOutput::Borrowed(ValueRef::Blob(self.0)))
    }
}

/// Cuts boxes into nodes: vertical slices of as many nodes each as there are slices.
fn tiles(cells: &mut [Cell]) -> impl Iterator<Item = &[Cell]> {
    let in_slice = in_slice(cells.len());
    cells.sort_unstable_by(|a, b| (a.min_x + a.max_x).total_cmp(&(b.min_x + b.max_x)));
    cells.chunks_mut(in_slice).for_each(by_y);
    cells.chunks(N_CELLS)
}

/// How many boxes of so many go into a slice.
fn in_slice(n_cells: usize) -> usize {
    let n_nodes = n_cells.div_ceil(N_CELLS);
    let n_slices = n_nodes.isqrt().max(1);
    n_nodes.div_ceil(n_slices) * N_CELLS
}

/// Sorts a slice from south to north.
fn by_y(slice: &mut [Cell]) {
    slice.sort_unstable_by(|a, b| (a.min_y + a.max_y).total_cmp(&(b.min_y + b.max_y)));
}

/// A node as SQLite keeps it. The depth of the tree stands in the root.
fn node(depth: u16, cells: &[Cell]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(NODE_BYTES);
    bytes.extend_from_slice(&depth.to_be_bytes());
    bytes.extend_from_slice(&u16::try_from(cells.len()).unwrap_or(u16::MAX).to_be_bytes());
    for cell in cells {
        bytes.extend_from_slice(&cell.id.to_be_bytes());
        for bound in [cell.min_x, cell.max_x, cell.min_y, cell.max_y] {
            bytes.extend_from_slice(&bound.to_be_bytes());
        }
    }
    bytes.resize(NODE_BYTES, 0);
    bytes
}

fn around(id: i64, cells: &[Cell]) -> Cell {
    let empty =
        Cell { id, min_x: f32::INFINITY, max_x: f32::NEG_INFINITY, min_y: f32::INFINITY, max_y: f32::NEG_INFINITY };
    cells.iter().fold(empty, |all, cell| Cell {
        id,
        min_x: all.min_x.min(cell.min_x),
        max_x: all.max_x.max(cell.max_x),
        min_y: all.min_y.min(cell.min_y),
        max_y: all.max_y.max(cell.max_y),
    })
}

/// The next number of four bytes that is not larger.
#[expect(clippy::cast_possible_truncation, reason = "what the cast loses is made up for")]
fn down(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) > value { near.next_down() } else { near }
}

/// The next number of four bytes that is not smaller.
#[expect(clippy::cast_possible_truncation, reason = "what the cast loses is made up for")]
fn up(value: f64) -> f32 {
    let near = value as f32;
    if f64::from(near) < value { near.next_up() } else { near }
}
