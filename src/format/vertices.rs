//! A geometry as parts of vertices, and what is done to them before they are written.

use crate::{
    error::{Error, Result},
    model::output::{Grid, GridOrigin, GridPurpose},
};

use super::ewkb::Ewkb;

/// What the parts of a geometry are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Point,
    Multipoint,
    Paths,
    Rings,
}

/// In which direction outer rings run; holes run in the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outer {
    /// As Esri's formats have them.
    Clockwise,
    /// As GeoJSON has them.
    CounterClockwise,
}

/// A path, a ring, or all there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    /// Where the part's vertices end; they begin where those of the part before end.
    pub(crate) end: usize,
    /// Whether it is a hole of the last ring before it that is none.
    pub(crate) hole: bool,
}

/// The vertices of one geometry after the other, in memory that is used again.
#[derive(Debug, Default)]
pub(crate) struct Vertices {
    pub(crate) kind: Kind,
    /// x, y, z, m.
    pub(crate) positions: Vec<[f64; 4]>,
    pub(crate) parts: Vec<Part>,
}

impl Vertices {
    /// Reads a geometry. An empty one has no positions, nor has one with a vertex that is no place.
    pub(crate) fn read(&mut self, ewkb: &[u8], outer: Outer) -> Result<()> {
        self.positions.clear();
        self.parts.clear();
        let mut reader = Ewkb::new(ewkb);
        let kind = reader.head()?;
        self.kind = match kind {
            1 => Kind::Point,
            4 => Kind::Multipoint,
            2 | 5 => Kind::Paths,
            3 | 6 => Kind::Rings,
            other => {
                return Err(Error::internal(
                    "writing a geometry",
                    format!("type {other} has no counterpart in the API"),
                ));
            }
        };
        match kind {
            1 => {
                self.positions.push(reader.position()?);
                self.end_part(false);
            }
            2 => self.path(&mut reader)?,
            3 => self.rings(&mut reader, outer)?,
            _ => {
                for _ in 0..reader.count()? {
                    reader.head()?;
                    match kind {
                        4 => self.positions.push(reader.position()?),
                        5 => self.path(&mut reader)?,
                        _ => self.rings(&mut reader, outer)?,
                    }
                }
                if kind == 4 {
                    self.end_part(false);
                }
            }
        }
        if !reader.all_places {
            self.positions.clear();
            self.parts.clear();
        }
        Ok(())
    }

    /// The vertices of each part, and whether it is a hole.
    pub(crate) fn each_part(&self) -> impl Iterator<Item = (&[[f64; 4]], bool)> {
        let mut start = 0;
        self.parts.iter().map(move |part| {
            let positions = &self.positions[start..part.end];
            start = part.end;
            (positions, part.hole)
        })
    }

    fn end_part(&mut self, hole: bool) {
        let start = self.parts.last().map_or(0, |part| part.end);
        if self.positions.len() > start {
            self.parts.push(Part { end: self.positions.len(), hole });
        }
    }

    fn path(&mut self, reader: &mut Ewkb<'_>) -> Result<()> {
        for _ in 0..reader.count()? {
            self.positions.push(reader.position()?);
        }
        self.end_part(false);
        Ok(())
    }

    fn rings(&mut self, reader: &mut Ewkb<'_>, outer: Outer) -> Result<()> {
        for index in 0..reader.count()? {
            let n_positions = reader.count()?;
            let counter_clockwise = reader.twice_area(n_positions)? > 0.0;
            let start = self.positions.len();
            for _ in 0..n_positions {
                self.positions.push(reader.position()?);
            }
            let wanted = (outer == Outer::CounterClockwise) == (index == 0);
            if counter_clockwise != wanted {
                self.positions[start..].reverse();
            }
            self.end_part(index > 0);
        }
        Ok(())
    }

    /// Rounds x and y to some decimals.
    pub(super) fn round(&mut self, decimals: u8) {
        let factor = 10_f64.powi(i32::from(decimals));
        for position in &mut self.positions {
            for ordinate in &mut position[..2] {
                let rounded = (*ordinate * factor).round() / factor;
                // Beyond 2^53 there are no decimals to lose.
                if (*ordinate * factor).abs() < 9e15 {
                    *ordinate = rounded;
                }
            }
        }
    }

    /// The centre of gravity of rings, as [`Outer`] directs them: holes count as missing. Where rings have no area, the middle of
    /// their vertices. `None` if there are none.
    pub(super) fn centroid(&self) -> Option<[f64; 2]> {
        let origin = *self.positions.first()?;
        let (mut twice_area, mut x, mut y) = (0.0, 0.0, 0.0);
        for (positions, _) in self.each_part() {
            for pair in positions.windows(2) {
                // Relative to one of them, since products of large numbers lose the digits that matter.
                let (ax, ay) = (pair[0][0] - origin[0], pair[0][1] - origin[1]);
                let (bx, by) = (pair[1][0] - origin[0], pair[1][1] - origin[1]);
                let cross = ax * by - bx * ay;
                twice_area += cross;
                x += (ax + bx) * cross;
                y += (ay + by) * cross;
            }
        }
        if twice_area != 0.0 {
            return Some([origin[0] + x / (3.0 * twice_area), origin[1] + y / (3.0 * twice_area)]);
        }
        let [xmin, ymin, xmax, ymax] = self.bounds()?;
        Some([f64::midpoint(xmin, xmax), f64::midpoint(ymin, ymax)])
    }

    /// The box round all vertices: xmin, ymin, xmax, ymax.
    pub(super) fn bounds(&self) -> Option<[f64; 4]> {
        let first = self.positions.first()?;
        let around = [first[0], first[1], first[0], first[1]];
        Some(self.positions.iter().fold(around, |bounds, p| {
            [bounds[0].min(p[0]), bounds[1].min(p[1]), bounds[2].max(p[0]), bounds[3].max(p[1])]
        }))
    }
}

/// A vertex on a grid: the cell, z, m. The cell is told by its distance from the vertex before; that of the first vertex of a
/// part, from the origin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) z: f64,
    pub(super) m: f64,
}

/// A geometry on a grid, in memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Cells {
    pub(super) cells: Vec<Cell>,
    pub(super) parts: Vec<Part>,
}

impl Cells {
    /// Moves vertices to a grid. To be looked at, neighbours in one cell are one vertex, and what is then no line or area any
    /// more is left out, with its holes.
    pub(super) fn read(&mut self, vertices: &Vertices, grid: &Grid) -> Result<()> {
        self.cells.clear();
        self.parts.clear();
        let view = grid.purpose == GridPurpose::View;
        let fewest = match vertices.kind {
            _ if !view => 1,
            Kind::Point | Kind::Multipoint => 1,
            Kind::Paths => 2,
            // The last is the first again.
            Kind::Rings => 4,
        };
        let mut outer_is_gone = false;
        for (positions, hole) in vertices.each_part() {
            if hole && outer_is_gone {
                continue;
            }
            let start = self.cells.len();
            for &[x, y, z, m] in positions {
                let [x, y] = grid.cell(x, y).ok_or_else(|| too_fine(grid))?;
                let again = self.cells[start..].last().is_some_and(|last| (last.x, last.y) == (x, y));
                if !(view && again) {
                    self.cells.push(Cell { x, y, z, m });
                }
            }
            let collapsed = self.cells.len() - start < fewest;
            if collapsed {
                self.cells.truncate(start);
            } else {
                if vertices.kind == Kind::Rings {
                    direct(&mut self.cells[start..], grid, hole);
                }
                relative_to_each_other(&mut self.cells[start..]);
                self.parts.push(Part { end: self.cells.len(), hole });
            }
            outer_is_gone = if hole { outer_is_gone } else { collapsed };
        }
        Ok(())
    }

    /// The cells of each part.
    pub(super) fn each_part(&self) -> impl Iterator<Item = &[Cell]> {
        let mut start = 0;
        self.parts.iter().map(move |part| {
            let cells = &self.cells[start..part.end];
            start = part.end;
            cells
        })
    }
}

fn relative_to_each_other(part: &mut [Cell]) {
    for index in (1..part.len()).rev() {
        part[index].x -= part[index - 1].x;
        part[index].y -= part[index - 1].y;
    }
}

/// Turns a ring round that the grid has turned: outer rings are clockwise, holes counter-clockwise.
fn direct(ring: &mut [Cell], grid: &Grid, hole: bool) {
    let Some(&origin) = ring.first() else { return };
    let relative = |cell: &Cell| (i128::from(cell.x - origin.x), i128::from(cell.y - origin.y));
    let twice_area: i128 = ring
        .windows(2)
        .map(|pair| {
            let ((ax, ay), (bx, by)) = (relative(&pair[0]), relative(&pair[1]));
            ax * by - bx * ay
        })
        .sum();
    // Counted downwards, everything is mirrored.
    let clockwise = if grid.origin == GridOrigin::UpperLeft { twice_area > 0 } else { twice_area < 0 };
    if twice_area != 0 && clockwise == hole {
        ring.reverse();
    }
}

/// A position on a grid.
pub(super) fn cell(grid: &Grid, [x, y]: [f64; 2]) -> Result<[i64; 2]> {
    grid.cell(x, y).ok_or_else(|| too_fine(grid))
}

fn too_fine(grid: &Grid) -> Error {
    Error::invalid(
        "quantizationParameters",
        format!(
            "with a tolerance of {} coordinates of this layer become numbers beyond 2^53; give a greater tolerance, or an extent near the features",
            grid.scale
        ),
    )
}
