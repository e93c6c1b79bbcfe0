//! How an answer to a query is written, apart from what is in it.

use super::geometry::Dimensions;

/// The encoding of an answer, and how geometries are written in it.
#[derive(Clone, Debug)]
pub struct Form {
    /// Which encoding.
    pub encoding: Encoding,
    /// How geometries are written.
    pub geometry: GeometryForm,
}

/// How an answer is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Esri JSON.
    Json,
    /// GeoJSON (RFC 7946).
    GeoJson,
    /// Esri's protocol buffers.
    Pbf,
}

/// How geometries are written.
#[derive(Clone, Debug, Default)]
pub struct GeometryForm {
    /// What of each feature's geometry is written.
    pub parts: GeometryParts,
    /// The heights and measures that are written.
    pub dimensions: Dimensions,
    /// How many decimals of x and y are kept; `None`: all.
    pub precision: Option<u8>,
    /// The grid to which vertices are moved; coordinates are then the numbers of its cells.
    pub grid: Option<Grid>,
}

impl GeometryForm {
    /// Whether geometries are written as they are stored.
    pub fn is_plain(&self) -> bool {
        self.parts == GeometryParts::VERTICES && self.precision.is_none() && self.grid.is_none()
    }
}

/// What of a feature's geometry is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GeometryParts {
    /// All vertices.
    pub vertices: bool,
    /// The centre of gravity of a polygon.
    pub centroid: bool,
    /// The box round it.
    pub envelope: bool,
}

impl GeometryParts {
    /// The vertices alone.
    pub const VERTICES: GeometryParts = GeometryParts { vertices: true, centroid: false, envelope: false };

    /// Whether anything is written for which the geometry must be read.
    pub fn any(self) -> bool {
        self.vertices || self.centroid || self.envelope
    }
}

/// A grid to which vertices are moved, in the spatial reference of the answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grid {
    /// Whether the answer is looked at or edited.
    pub purpose: GridPurpose,
    /// The corner from which cells are counted.
    pub origin: GridOrigin,
    /// The length of a cell's side.
    pub scale: f64,
    /// Where that corner is: x and y.
    pub translate: [f64; 2],
}

/// What a client wants vertices on a grid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GridPurpose {
    /// To draw them: vertices that follow each other in one cell are one, and parts that collapse are left out.
    View,
    /// To edit them: all vertices are there.
    Edit,
}

/// From where the cells of a grid are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GridOrigin {
    /// To the right, and down.
    UpperLeft,
    /// To the right, and up.
    LowerLeft,
}

/// The greatest number of a cell: readers hold the numbers as doubles, which are exact up to here.
const MAX_CELL: f64 = 9_007_199_254_740_991.0;

impl Grid {
    /// The cell of a position; `None` if it is further off than readers can count.
    pub fn cell(&self, x: f64, y: f64) -> Option<[i64; 2]> {
        let down = match self.origin {
            GridOrigin::UpperLeft => self.translate[1] - y,
            GridOrigin::LowerLeft => y - self.translate[1],
        };
        Some([nearest((x - self.translate[0]) / self.scale)?, nearest(down / self.scale)?])
    }
}

/// The nearest integer, halves upwards; `None` beyond what readers can count.
pub fn nearest(value: f64) -> Option<i64> {
    let rounded = (value + 0.5).floor();
    #[expect(clippy::cast_possible_truncation, reason = "it was compared with 2^53")]
    (rounded.abs() <= MAX_CELL).then_some(rounded as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_counted_from_the_corner_that_the_grid_begins_at() {
        let mut grid =
            Grid { purpose: GridPurpose::View, origin: GridOrigin::UpperLeft, scale: 10.0, translate: [100.0, 200.0] };
        assert_eq!(grid.cell(100.0, 200.0), Some([0, 0]));
        assert_eq!(grid.cell(124.9, 175.1), Some([2, 2]));
        assert_eq!(grid.cell(125.0, 175.0), Some([3, 3]), "halves go on");
        assert_eq!(grid.cell(85.0, 215.0), Some([-1, -1]), "also where numbers are negative");
        assert_eq!(grid.cell(84.9, 215.1), Some([-2, -2]));
        grid.origin = GridOrigin::LowerLeft;
        grid.translate = [100.0, 0.0];
        assert_eq!(grid.cell(124.9, 175.1), Some([2, 18]));
        grid.scale = 1e-15;
        assert_eq!(grid.cell(124.9, 175.1), None, "no reader could count so far");
        assert_eq!(grid.cell(f64::NAN, 0.0), None);
    }
}
