//! Spatial references of mobile geodatabases, and the grids that belong to them.

use super::geometry::Grid;

/// The first number that is free for references that are described in the file itself; 300000 is one that nobody knows.
pub(super) const FIRST_OWN: u32 = 300_001;
/// Heights and measures: the origin, and how many cells there are to a unit.
const HEIGHTS: (f64, f64) = (-100_000.0, 10_000.0);

/// The grid of a reference that every reader knows by its number.
pub(super) fn built_in(srid: u32) -> Option<Grid> {
    let axes = match srid {
        4326 => [(-400.0, 1e9), (-400.0, 1e9), HEIGHTS, HEIGHTS],
        3857 => [(-20_037_700.0, 10_000.0), (-30_241_100.0, 10_000.0), HEIGHTS, HEIGHTS],
        _ => return None,
    };
    Some(Grid { srid, axes })
}
