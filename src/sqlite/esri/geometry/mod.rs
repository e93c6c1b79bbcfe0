//! Geometries as mobile geodatabases store them (`ST_Geometry` blobs).
//!
//! ```text
//! 0   u8      0x64
//! 1   u24     spatial reference
//! 4   u32     number of points, those between parts included
//! 8   u8      4 * kind + 2 * has heights + has measures; kind 1 point, 2 multipoint, 5 line, 6 polygon
//! 9   u8      0 empty, 1 point, 2 line that crosses itself, 4 simple line, 8 polygon; 0x40 if of several parts
//! 10  varint  xmin, ymin, xmax, ymax, of more than 10 points
//!     varint  of lines and polygons of several parts: number of parts less 1, number of points of each part but the last
//!     4 bytes varint: length of what follows the flags; then zeros
//!     u32     flags
//!     varint  differences from point to point of x, y, x, y, …; then those of z, z, …; then those of m, m, …
//! ```
//!
//! All numbers are little-endian. A varint has 6 bits in its first byte, beside `0x80` (another byte follows) and `0x40` (it is negative), and 7
//! in each other. Coordinates are cells of a [`Grid`]. Between two parts stands the point (-1, 0). A part of a polygon is an outer ring, which runs
//! counter-clockwise, and its holes; a ring ends where its first point comes again.
//!
//! What genuine files have otherwise and nobody reads: after the length, whatever stood in the writer's memory instead of zeros; and in the flags of
//! polygons of later versions bits of which only some are known. Blobs written here have zeros, and flags that say whether there are heights.

use crate::{
    error::{Error, Result},
    format::vertices::{Kind, Outer, Vertices},
    model::geometry::{GeometryType, Position, Shape},
};

use super::simple;

/// The whole numbers that coordinates are stored as: `(coordinate - origin) * units`, never negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Grid {
    /// The number of the spatial reference in the file.
    pub(crate) srid: u32,
    /// For x, y, z, m: the origin, and how many cells there are to a unit.
    pub(crate) axes: [(f64, f64); 4],
}

/// The largest number that is a cell: up to there doubles hold all whole numbers.
const LAST_CELL: f64 = 9_007_199_254_740_992.0; // 2^53

impl Grid {
    /// The cells of a position; a measure that is missing is -1. `None` if the grid does not reach so far.
    fn cells(&self, position: [f64; 4], has: Ordinates) -> Option<[i64; 4]> {
        let mut cells = [0; 4];
        for (axis, cell) in cells.iter_mut().enumerate().take(4) {
            if !has.axis(axis) {
                continue;
            }
            let (origin, units) = self.axes[axis];
            let at = ((position[axis] - origin) * units).round();
            *cell = if (0.0..=LAST_CELL).contains(&at) {
                #[expect(clippy::cast_possible_truncation, reason = "a whole number within 2^53, checked above")]
                {
                    at as i64
                }
            } else if axis == 3 && position[axis].is_nan() {
                -1
            } else {
                return None;
            };
        }
        Some(cells)
    }

    /// The coordinate of a cell.
    fn coordinate(&self, axis: usize, cell: i64) -> f64 {
        let (origin, units) = self.axes[axis];
        #[expect(
            clippy::cast_precision_loss,
            reason = "cells are whole numbers within 2^53, checked where they are read"
        )]
        let cell = cell as f64;
        // Where the origin is a cell, the decimals come out as they went in: 4544493.7917, not 4544493.791699998. Grids that are finer than
        // doubles have no such decimals.
        let first = origin * units;
        let has_decimals = first.fract() == 0.0 && first.abs() < LAST_CELL / 100.0;
        if has_decimals { (cell + first) / units } else { cell / units + origin }
    }
}

/// Which of the ordinates beside x and y there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ordinates {
    /// Heights.
    pub(crate) z: bool,
    /// Measures.
    pub(crate) m: bool,
}

impl Ordinates {
    fn axis(self, axis: usize) -> bool {
        match axis {
            2 => self.z,
            3 => self.m,
            _ => true,
        }
    }
}

/// The point between two parts.
const BETWEEN_PARTS: [i64; 4] = [-1, 0, 0, 0];
/// So many points have no box.
const MOST_WITHOUT_BOX: usize = 10;

/// Writes geometries of one column, in memory that is used again.
#[derive(Debug)]
pub(crate) struct Encoder {
    grid: Grid,
    has: Ordinates,
    kind: u8,
    vertices: Vertices,
    /// The points of all parts and those between them.
    cells: Vec<[i64; 4]>,
    /// For each part but the last, its number of points with the one that follows it.
    lengths: Vec<usize>,
    data: Vec<u8>,
    /// How many geometries the grid did not reach.
    pub(crate) n_beyond: u64,
}

impl Encoder {
    /// An encoder for a column of this type.
    pub(crate) fn new(grid: Grid, geometry_type: GeometryType, has: Ordinates) -> Encoder {
        Encoder {
            grid,
            has,
            kind: 4 * kind_number(geometry_type) + 2 * u8::from(has.z) + u8::from(has.m),
            vertices: Vertices::default(),
            cells: Vec::new(),
            lengths: Vec::new(),
            data: Vec::new(),
            n_beyond: 0,
        }
    }

    /// Appends a geometry that PostGIS sent. Returns the box round what is stored: xmin, ymin, xmax, ymax; `None` if it is empty. One that the grid does
    /// not reach is stored as an empty one, and counted.
    pub(crate) fn encode(&mut self, ewkb: &[u8], out: &mut Vec<u8>) -> Result<Option<[f64; 4]>> {
        self.vertices.read(ewkb, Outer::CounterClockwise)?;
        if !self.gather() {
            self.cells.clear();
            self.lengths.clear();
            self.n_beyond += 1;
        }
        out.push(0x64);
        out.extend_from_slice(&self.grid.srid.to_le_bytes()[..3]);
        let n_points = u32::try_from(self.cells.len()).map_err(|_| too_large())?;
        out.extend_from_slice(&n_points.to_le_bytes());
        out.push(self.kind);
        let parts = if self.lengths.is_empty() { 0 } else { 0x40 };
        let entity = match self.vertices.kind {
            _ if self.cells.is_empty() => 0,
            Kind::Point => 1,
            Kind::Multipoint if self.cells.len() > 1 => 0x41,
            Kind::Multipoint => 1,
            Kind::Paths if simple::is_simple(&self.cells) => parts | 4,
            Kind::Paths => parts | 2,
            Kind::Rings => parts | 8,
        };
        out.push(entity);
        let bounds = self.bounds();
        if let Some(bounds) = bounds.filter(|_| self.cells.len() > MOST_WITHOUT_BOX) {
            bounds.into_iter().for_each(|bound| varint(bound, out));
        }
        if parts != 0 {
            varint(as_i64(self.lengths.len()), out);
            self.lengths.iter().for_each(|&length| varint(as_i64(length), out));
        }
        self.differences();
        let start = out.len();
        varint(as_i64(self.data.len()), out);
        if out.len() > start + 4 {
            return Err(too_large());
        }
        out.resize(start + 4, 0);
        let flags: u32 = if self.has.z { 0x101 } else { 1 };
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&self.data);
        let coordinate =
            |bounds: [i64; 4]| [0, 1, 2, 3].map(|bound: usize| self.grid.coordinate(bound % 2, bounds[bound]));
        Ok(bounds.map(coordinate))
    }

    /// Appends an empty area.
    pub(crate) fn encode_nothing(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.encode(&[1, 3, 0, 0, 0, 0, 0, 0, 0], out).map(|_| ())
    }

    /// Appends an area that is a box.
    pub(crate) fn encode_box(&mut self, [xmin, ymin, xmax, ymax]: [f64; 4], out: &mut Vec<u8>) -> Result<()> {
        let corners = [[xmin, ymin], [xmax, ymin], [xmax, ymax], [xmin, ymax], [xmin, ymin]];
        let mut ewkb = vec![1, 3, 0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0];
        for ordinate in corners.iter().flatten() {
            ewkb.extend_from_slice(&ordinate.to_le_bytes());
        }
        self.encode(&ewkb, out).map(|_| ())
    }

    /// Puts the vertices on the grid, with points between parts. False if the grid does not reach one of them.
    fn gather(&mut self) -> bool {
        self.cells.clear();
        self.lengths.clear();
        let kind = self.vertices.kind;
        let mut start = 0;
        for (positions, hole) in self.vertices.each_part() {
            if !self.cells.is_empty() && !hole {
                self.cells.push(BETWEEN_PARTS);
                self.lengths.push(self.cells.len() - start);
                start = self.cells.len();
            }
            let ring = self.cells.len();
            for &position in positions {
                match self.grid.cells(position, self.has) {
                    Some(cells) => self.cells.push(cells),
                    None => return false,
                }
            }
            if kind == Kind::Rings {
                part_only_at_its_end(&mut self.cells, ring);
            }
        }
        true
    }

    /// The box round the points, without those between parts.
    fn bounds(&self) -> Option<[i64; 4]> {
        let mut points = self.cells.iter().filter(|cell| !is_between_parts(cell));
        let first = points.next()?;
        Some(points.fold([first[0], first[1], first[0], first[1]], |bounds, cell| {
            [bounds[0].min(cell[0]), bounds[1].min(cell[1]), bounds[2].max(cell[0]), bounds[3].max(cell[1])]
        }))
    }

    fn differences(&mut self) {
        self.data.clear();
        let mut last = [0; 4];
        for cell in &self.cells {
            varint(cell[0] - last[0], &mut self.data);
            varint(cell[1] - last[1], &mut self.data);
            last = *cell;
        }
        for axis in [2, 3] {
            if !self.has.axis(axis) {
                continue;
            }
            let mut last = 0;
            for cell in &self.cells {
                varint(cell[axis] - last, &mut self.data);
                last = cell[axis];
            }
        }
    }
}

fn is_between_parts(cell: &[i64; 4]) -> bool {
    cell[0] == -1 && cell[1] == 0
}

/// Has the first point of a ring, which begins at `start`, come again only at its end, since that is how the end is found: begins it elsewhere,
/// or, if every point comes twice, parts it in two.
fn part_only_at_its_end(cells: &mut Vec<[i64; 4]>, start: usize) {
    // The ring as it would be read.
    let ends = |ring: &[[i64; 4]]| ring.iter().skip(3).position(|cell| same_place(cell, &ring[0])).map(|at| at + 4);
    let ring = &mut cells[start..];
    if ring.len() < 4 || ends(ring) == Some(ring.len()) {
        return;
    }
    let open = ring.len() - 1;
    let once = (0..open).find(|&at| ring[..open].iter().filter(|cell| same_place(cell, &ring[at])).count() == 1);
    if let Some(once) = once {
        ring[..open].rotate_left(once);
        ring[open] = ring[0];
        return;
    }
    let mut at = start;
    while let Some(length) = ends(&cells[at..]).filter(|length| at + length < cells.len()) {
        at += length;
        cells.insert(at, cells[at - 1]);
        if cells.len() - at < 4 {
            // What is left is no ring.
            cells.truncate(at);
        }
    }
}

fn same_place(a: &[i64; 4], b: &[i64; 4]) -> bool {
    a[..2] == b[..2]
}

fn kind_number(geometry_type: GeometryType) -> u8 {
    match geometry_type {
        GeometryType::Point => 1,
        GeometryType::Multipoint => 2,
        GeometryType::Polyline => 5,
        GeometryType::Polygon => 6,
    }
}

fn as_i64(number: usize) -> i64 {
    // Lengths of what is in memory.
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn too_large() -> Error {
    Error::NotSupported(
        "a geometry is too large for a mobile geodatabase; use dataFormat=json or geopackage".to_owned(),
    )
}

fn varint(value: i64, out: &mut Vec<u8>) {
    let mut rest = value.unsigned_abs();
    let sign = if value < 0 { 0x40 } else { 0 };
    let more = |rest: u64| if rest > 0 { 0x80 } else { 0 };
    let first = (rest & 0x3f) as u8;
    rest >>= 6;
    out.push(first | sign | more(rest));
    while rest > 0 {
        let next = (rest & 0x7f) as u8;
        rest >>= 7;
        out.push(next | more(rest));
    }
}

/// What a blob says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decoded {
    /// The vertices; `None` if it is empty.
    pub(crate) shape: Option<Shape>,
    /// Whether vertices have heights and measures.
    pub(crate) has: Ordinates,
}

/// The number of the spatial reference of a blob, which says which grid it is on.
pub(crate) fn srid_of(blob: &[u8]) -> std::result::Result<u32, String> {
    match blob {
        [0x64, a, b, c, ..] => Ok(u32::from_le_bytes([*a, *b, *c, 0])),
        _ => Err("it does not begin like a geometry of a mobile geodatabase".to_owned()),
    }
}

/// Reads a blob that anybody may have written. Rings come as they stand there. The error says what is wrong with it.
pub(crate) fn decode(blob: &[u8], grid: &Grid) -> std::result::Result<Decoded, String> {
    srid_of(blob)?;
    let mut reader = Reader { rest: blob.get(4..).unwrap_or_default() };
    let n_points = usize::try_from(reader.u32()?).map_err(|_| "it has too many points".to_owned())?;
    let (column, entity) = (reader.byte()?, reader.byte()?);
    let has = Ordinates { z: column & 2 != 0, m: column & 1 != 0 };
    let kind = column >> 2;
    if n_points > MOST_WITHOUT_BOX {
        for _ in 0..4 {
            reader.varint()?;
        }
    }
    if entity & 0x40 != 0 && kind != 2 {
        // The points between parts say the same, and are closer to what they part.
        let n_parts = reader.varint()?;
        if n_parts < 0 || n_parts > as_i64(reader.rest.len()) {
            return Err(format!("it says that it has {n_parts} parts more than one"));
        }
        for _ in 0..n_parts {
            reader.varint()?;
        }
    }
    let length = {
        let mut slot = Reader { rest: reader.take(4)? };
        usize::try_from(slot.varint()?).map_err(|_| "its length is negative".to_owned())?
    };
    reader.u32()?;
    let data = reader.rest;
    if data.len() != length {
        return Err(format!("it says that {length} bytes follow, and there are {}", data.len()));
    }
    // Each number takes a byte at least, so that there is room only for points that are there.
    let n_axes = 2 + usize::from(has.z) + usize::from(has.m);
    if n_points.checked_mul(n_axes).is_none_or(|least| least > data.len()) {
        return Err(format!("it says that it has {n_points} points, for which {} bytes are too few", data.len()));
    }
    let cells = points(&mut Reader { rest: data }, n_points, has)?;
    let shape = if cells.is_empty() { None } else { Some(shape(kind, &cells, grid, has)?) };
    Ok(Decoded { shape, has })
}

fn points(reader: &mut Reader<'_>, n_points: usize, has: Ordinates) -> std::result::Result<Vec<[i64; 4]>, String> {
    let add = |last: i64, difference: i64| {
        let sum = last.checked_add(difference).filter(|sum| sum.unsigned_abs() <= 1 << 53);
        sum.ok_or_else(|| "it has a coordinate beyond 2^53".to_owned())
    };
    let mut cells = Vec::with_capacity(n_points);
    let mut last = [0; 4];
    for _ in 0..n_points {
        last[0] = add(last[0], reader.varint()?)?;
        last[1] = add(last[1], reader.varint()?)?;
        cells.push(last);
    }
    for axis in [2, 3] {
        let mut last = 0;
        for cell in cells.iter_mut().filter(|_| has.axis(axis)) {
            last = add(last, reader.varint()?)?;
            cell[axis] = last;
        }
    }
    if !reader.rest.is_empty() {
        return Err(format!("{} bytes follow its last point", reader.rest.len()));
    }
    Ok(cells)
}

fn shape(kind: u8, cells: &[[i64; 4]], grid: &Grid, has: Ordinates) -> std::result::Result<Shape, String> {
    let position = |cell: &[i64; 4]| Position {
        x: grid.coordinate(0, cell[0]),
        y: grid.coordinate(1, cell[1]),
        z: if has.z { grid.coordinate(2, cell[2]) } else { 0.0 },
        m: if has.m && cell[3] != -1 { grid.coordinate(3, cell[3]) } else { f64::NAN },
    };
    let positions = |cells: &[[i64; 4]]| cells.iter().map(position).collect::<Vec<Position>>();
    match (kind, cells) {
        (1, [point]) => Ok(Shape::Point(position(point))),
        (1, _) => Err(format!("it is a point, and has {} of them", cells.len())),
        (2, _) => Ok(Shape::Multipoint(positions(cells))),
        (5, _) => {
            let paths = cells.split(is_between_parts).map(|path| match path {
                [] | [_] => Err(format!("it has a path of {} points", path.len())),
                _ => Ok(positions(path)),
            });
            paths.collect::<std::result::Result<_, _>>().map(Shape::Polyline)
        }
        (6, _) => {
            let mut rings = Vec::new();
            for mut part in cells.split(is_between_parts) {
                while let Some(first) = part.first() {
                    let closing = part.iter().skip(3).position(|cell| same_place(cell, first));
                    let end = closing.ok_or_else(|| "it has a ring that does not end where it begins".to_owned())? + 4;
                    let (ring, rest) = part.split_at(end);
                    rings.push(positions(ring));
                    part = rest;
                }
            }
            Ok(Shape::Polygon(rings))
        }
        _ => Err(format!("{kind} is not a kind of geometry that is known")),
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> std::result::Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| "it ends too early".to_owned())?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> std::result::Result<u8, String> {
        self.take(1).map(|taken| taken[0])
    }

    fn u32(&mut self) -> std::result::Result<u32, String> {
        self.take(4).map(|taken| u32::from_le_bytes([taken[0], taken[1], taken[2], taken[3]]))
    }

    fn varint(&mut self) -> std::result::Result<i64, String> {
        let first = self.byte()?;
        let mut value = u64::from(first & 0x3f);
        let (mut more, mut shift) = (first & 0x80 != 0, 6);
        while more {
            let next = self.byte()?;
            if shift > 55 {
                return Err("it has a number beyond 2^62".to_owned());
            }
            value |= u64::from(next & 0x7f) << shift;
            more = next & 0x80 != 0;
            shift += 7;
        }
        let value = i64::try_from(value).map_err(|_| "it has a number beyond 2^62".to_owned())?;
        Ok(if first & 0x40 != 0 { -value } else { value })
    }
}

#[cfg(test)]
mod tests;
