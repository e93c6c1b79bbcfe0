//! Fills an R-tree of SQLite at once, by writing its nodes instead of inserting row by row.
//!
//! Boxes are tiled: sorted into slices by one coordinate and by the other within a slice, cut into full nodes, and so on up to
//! the root. The result is smaller and quicker to search than a tree that grew.

use rusqlite::{Connection, params, types::ValueRef};

use super::quoted;

/// How many boxes SQLite puts into a node of two dimensions when pages have at least 2048 bytes.
const N_CELLS: usize = 51;
/// A box with an id: 8 bytes for the id, 4 for each of the four bounds.
const CELL_BYTES: usize = 24;
/// Two bytes for the depth (in the root only), two for the number of cells.
const HEAD_BYTES: usize = 4;
const NODE_BYTES: usize = HEAD_BYTES + N_CELLS * CELL_BYTES;
/// SQLite's number for the root.
const ROOT: i64 = 1;

/// The boxes of a layer while its rows are written: 24 bytes for each, and 16 more at the end.
#[derive(Debug, Default)]
pub(crate) struct Boxes {
    cells: Vec<Cell>,
}

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
    /// Adds a row's box. One that is not finite is left out: no search would find it, and SQLite takes it for damage.
    pub(crate) fn add(&mut self, id: i64, [min_x, min_y, max_x, max_y]: [f64; 4]) {
        if min_x <= max_x && min_y <= max_y && [min_x, min_y, max_x, max_y].into_iter().all(f64::is_finite) {
            self.cells.push(Cell { id, min_x: down(min_x), max_x: up(max_x), min_y: down(min_y), max_y: up(max_y) });
        }
    }

    /// Writes them into an R-tree table of two dimensions that is still empty. `Ok` means that SQLite would not find a fault.
    pub(crate) fn write(self, connection: &Connection, table: &str) -> rusqlite::Result<()> {
        let part = |suffix: &str| quoted(&format!("{table}_{suffix}"));
        let mut nodes = connection.prepare(&format!("INSERT INTO {} VALUES (?1, ?2)", part("node")))?;
        let mut parents = connection.prepare(&format!("INSERT INTO {} VALUES (?1, ?2)", part("parent")))?;
        let mut level = self.cells;
        let mut of_rows: Vec<(i64, i64)> = Vec::with_capacity(level.len());
        let mut next = ROOT + 1;
        let mut depth: u16 = 0;
        // A level that fits into one node is the root's.
        while level.len() > N_CELLS {
            let mut above = Vec::with_capacity(level.len().div_ceil(N_CELLS));
            for cells in tiles(&mut level) {
                nodes.raw_bind_parameter(1, next)?;
                nodes.raw_bind_parameter(2, ValueBlob(&node(0, cells)))?;
                nodes.raw_execute()?;
                for cell in cells {
                    if depth == 0 {
                        of_rows.push((cell.id, next));
                    } else {
                        parents.execute((cell.id, next))?;
                    }
                }
                above.push(around(next, cells));
                next += 1;
            }
            level = above;
            depth += 1;
        }
        for cell in &level {
            if depth == 0 {
                of_rows.push((cell.id, ROOT));
            } else {
                parents.execute((cell.id, ROOT))?;
            }
        }
        connection.execute(
            &format!("INSERT OR REPLACE INTO {} VALUES (?1, ?2)", part("node")),
            params![ROOT, node(depth, &level)],
        )?;
        // In the order of the table, so that its pages are written one after the other.
        of_rows.sort_unstable();
        let mut rows = connection.prepare(&format!("INSERT INTO {} VALUES (?1, ?2)", part("rowid")))?;
        for (id, node) in of_rows {
            rows.raw_bind_parameter(1, id)?;
            rows.raw_bind_parameter(2, node)?;
            rows.raw_execute()?;
        }
        Ok(())
    }
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
    let n_nodes = cells.len().div_ceil(N_CELLS);
    let n_slices = n_nodes.isqrt().max(1);
    let in_slice = n_nodes.div_ceil(n_slices) * N_CELLS;
    cells.sort_unstable_by(|a, b| (a.min_x + a.max_x).total_cmp(&(b.min_x + b.max_x)));
    for slice in cells.chunks_mut(in_slice) {
        slice.sort_unstable_by(|a, b| (a.min_y + a.max_y).total_cmp(&(b.min_y + b.max_y)));
    }
    cells.chunks(N_CELLS)
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
