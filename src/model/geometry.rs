//! Geometries as clients send them, and their form in the database (EWKB).

use std::collections::BTreeSet;

use geo::{Coord, CoordinatePosition as _, LineString, Polygon, coordinate_position::CoordPos};

/// A spatial reference as other programs describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpatialReference {
    /// The database's number.
    pub srid: i32,
    /// Who numbers it otherwise, for instance EPSG.
    pub authority: String,
    /// The number there.
    pub code: i32,
    /// Its description as WKT.
    pub text: String,
}

/// What a layer's geometry column holds, in the API's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GeometryType {
    /// One position.
    Point,
    /// Any number of positions.
    Multipoint,
    /// Lines of one or more paths.
    Polyline,
    /// Areas of one or more rings.
    Polygon,
}

impl GeometryType {
    /// The name under which the catalogue stores it.
    pub fn name(self) -> &'static str {
        match self {
            GeometryType::Point => "point",
            GeometryType::Multipoint => "multipoint",
            GeometryType::Polyline => "polyline",
            GeometryType::Polygon => "polygon",
        }
    }

    /// The type with this name in the catalogue.
    pub fn from_name(name: &str) -> Option<GeometryType> {
        [GeometryType::Point, GeometryType::Multipoint, GeometryType::Polyline, GeometryType::Polygon]
            .into_iter()
            .find(|candidate| candidate.name() == name)
    }
}

/// A vertex: x, y, z, m. Heights and measures that were not given are 0 and NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// Easting or longitude.
    pub x: f64,
    /// Northing or latitude.
    pub y: f64,
    /// Height.
    pub z: f64,
    /// Measure.
    pub m: f64,
}

/// The vertices of a geometry, grouped as the client grouped them.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A position.
    Point(Position),
    /// Positions.
    Multipoint(Vec<Position>),
    /// Paths of two or more vertices.
    Polyline(Vec<Vec<Position>>),
    /// Closed rings in any order and orientation; [`Geometry::to_ewkb`] finds out which is a hole in which.
    Polygon(Vec<Vec<Position>>),
    /// A box; becomes a polygon.
    Envelope {
        /// Lower left.
        min: Position,
        /// Upper right.
        max: Position,
    },
}

impl Shape {
    /// Gives each run of vertices in turn: paths, rings, or all that there is.
    pub fn for_each_part(&self, mut each: impl FnMut(&[Position])) {
        match self {
            Shape::Point(position) => each(&[*position]),
            Shape::Multipoint(positions) => each(positions),
            Shape::Polyline(parts) | Shape::Polygon(parts) => parts.iter().for_each(|part| each(part)),
            Shape::Envelope { min, max } => each(&[*min, *max]),
        }
    }
}

/// A geometry with its spatial reference. All coordinates are finite.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    /// The spatial reference, as a SRID of the database.
    pub srid: i32,
    /// The vertices.
    pub shape: Shape,
}

/// Which of the ordinates beside x and y there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dimensions {
    /// Heights.
    pub z: bool,
    /// Measures.
    pub m: bool,
}

/// How a geometry is to be written for a column or a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Whether single parts are written as collections of one.
    pub multi: bool,
    /// Whether heights are written.
    pub has_z: bool,
    /// Whether measures are written.
    pub has_m: bool,
}

impl Geometry {
    /// The type of a layer that could hold it.
    pub fn geometry_type(&self) -> GeometryType {
        match self.shape {
            Shape::Point(_) => GeometryType::Point,
            Shape::Multipoint(_) => GeometryType::Multipoint,
            Shape::Polyline(_) => GeometryType::Polyline,
            Shape::Polygon(_) | Shape::Envelope { .. } => GeometryType::Polygon,
        }
    }

    /// Whether it is a box that has an area.
    pub fn is_box(&self) -> bool {
        matches!(&self.shape, Shape::Envelope { min, max } if min.x < max.x && min.y < max.y)
    }

    /// Latitudes moved into what Web Mercator can show. The poles have no image there, and whole-world filters are common.
    fn clamped_for_web_mercator(mut self) -> Geometry {
        const LIMIT: f64 = 85.051_128_779_806_59;
        let clamp = |position: &mut Position| {
            position.x = position.x.clamp(-180.0, 180.0);
            position.y = position.y.clamp(-LIMIT, LIMIT);
        };
        match &mut self.shape {
            Shape::Point(position) => clamp(position),
            Shape::Multipoint(positions) => positions.iter_mut().for_each(clamp),
            Shape::Polyline(parts) | Shape::Polygon(parts) => parts.iter_mut().flatten().for_each(clamp),
            Shape::Envelope { min, max } => {
                clamp(min);
                clamp(max);
            }
        }
        self
    }

    /// The geometry as an area to compare features of a layer with, in EWKB and in its own reference. The error says why it cannot
    /// be one.
    pub fn to_area(&self, layer_srid: i32) -> Result<Vec<u8>, String> {
        let flat = Target { multi: false, has_z: false, has_m: false };
        let geometry = match (self.srid, layer_srid) {
            (4326, 3857) => self.clone().clamped_for_web_mercator(),
            _ => self.clone(),
        };
        geometry.to_ewkb(flat).or_else(|_| geometry.to_ewkb(Target { multi: true, ..flat }))
    }

    /// The geometry in PostGIS's extended well-known binary. The error names what the target cannot hold.
    pub fn to_ewkb(&self, target: Target) -> Result<Vec<u8>, String> {
        let mut out = Ewkb { bytes: Vec::with_capacity(64), srid: self.srid, target };
        match &self.shape {
            Shape::Point(position) if target.multi => {
                out.collection(4, true, &[position], |out, p| out.point(p, false));
            }
            Shape::Point(position) => out.point(position, true),
            Shape::Multipoint(positions) => out.collection(4, true, positions, |out, p| out.point(p, false)),
            Shape::Polyline(paths) => match paths.as_slice() {
                [path] if !target.multi => out.line(path, true),
                _ if !target.multi => {
                    return Err(format!("{} paths, and the layer's column holds lines of one path", paths.len()));
                }
                paths => out.collection(5, true, paths, |out, path| out.line(path, false)),
            },
            Shape::Polygon(rings) => {
                let polygons = assemble(rings)?;
                match polygons.as_slice() {
                    [polygon] if !target.multi => out.polygon(polygon, true),
                    _ if !target.multi => {
                        return Err(format!(
                            "{} outer rings, and the layer's column holds polygons of one",
                            polygons.len()
                        ));
                    }
                    polygons => out.collection(6, true, polygons, |out, polygon| out.polygon(polygon, false)),
                }
            }
            Shape::Envelope { min, max } => {
                let corner = |x, y| Position { x, y, z: 0.0, m: f64::NAN };
                let ring = [
                    corner(min.x, min.y),
                    corner(min.x, max.y),
                    corner(max.x, max.y),
                    corner(max.x, min.y),
                    corner(min.x, min.y),
                ];
                out.polygon(&[&ring], true);
            }
        }
        Ok(out.bytes)
    }
}

struct Ewkb {
    bytes: Vec<u8>,
    srid: i32,
    target: Target,
}

impl Ewkb {
    fn head(&mut self, kind: u32, outermost: bool) {
        let mut flags = kind;
        if self.target.has_z {
            flags |= 0x8000_0000;
        }
        if self.target.has_m {
            flags |= 0x4000_0000;
        }
        if outermost {
            flags |= 0x2000_0000;
        }
        self.bytes.push(1); // little endian
        self.bytes.extend_from_slice(&flags.to_le_bytes());
        if outermost {
            self.bytes.extend_from_slice(&self.srid.to_le_bytes());
        }
    }

    fn count(&mut self, count: usize) {
        // A request is limited to far fewer vertices than 2^32.
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&count.to_le_bytes());
    }

    fn position(&mut self, position: &Position) {
        self.bytes.extend_from_slice(&position.x.to_le_bytes());
        self.bytes.extend_from_slice(&position.y.to_le_bytes());
        if self.target.has_z {
            self.bytes.extend_from_slice(&position.z.to_le_bytes());
        }
        if self.target.has_m {
            self.bytes.extend_from_slice(&position.m.to_le_bytes());
        }
    }

    fn point(&mut self, position: &Position, outermost: bool) {
        self.head(1, outermost);
        self.position(position);
    }

    fn line(&mut self, path: &[Position], outermost: bool) {
        self.head(2, outermost);
        self.count(path.len());
        path.iter().for_each(|position| self.position(position));
    }

    fn polygon(&mut self, rings: &[&[Position]], outermost: bool) {
        self.head(3, outermost);
        self.count(rings.len());
        for ring in rings {
            self.count(ring.len());
            ring.iter().for_each(|position| self.position(position));
        }
    }

    fn collection<T>(&mut self, kind: u32, outermost: bool, parts: &[T], each: impl Fn(&mut Ewkb, &T)) {
        self.head(kind, outermost);
        self.count(parts.len());
        parts.iter().for_each(|part| each(self, part));
    }
}

/// How many comparisons of boxes and of vertices may be spent on one geometry: a second or so.
const MAX_COMPARISONS: usize = 200_000_000;

/// Sorts rings into polygons.
///
/// A ring inside an even number of others is an outer ring, any other a hole in the smallest ring round it. Orientation is not trusted, since clients get it wrong. The error says that there are too many.
pub fn assemble(rings: &[Vec<Position>]) -> Result<Vec<Vec<&[Position]>>, String> {
    if let [only] = rings {
        return Ok(vec![vec![only]]);
    }
    let mut sorted: Vec<Candidate<'_>> = rings.iter().map(|ring| Candidate::new(ring)).collect();
    sorted.sort_by(|a, b| b.area.total_cmp(&a.area));
    let parents = parents(&sorted).ok_or_else(|| {
        format!("{} rings, too many to find out which lies in which; send fewer at a time", rings.len())
    })?;
    let mut polygons: Vec<Vec<&[Position]>> = Vec::new();
    // For each ring: how many rings are round it, and which polygon it belongs to.
    let mut placed: Vec<(usize, usize)> = Vec::with_capacity(sorted.len());
    for (ring, parent) in sorted.iter().zip(parents) {
        let depth = parent.map_or(0, |parent| placed[parent].0 + 1);
        let polygon = match parent {
            Some(parent) if depth % 2 == 1 => placed[parent].1,
            _ => {
                polygons.push(Vec::new());
                polygons.len() - 1
            }
        };
        polygons[polygon].push(ring.positions);
        placed.push((depth, polygon));
    }
    Ok(polygons)
}

/// For each ring the smallest one round it. The rings come in the order of their areas, largest first. `None` if finding
/// out takes too long.
fn parents(sorted: &[Candidate<'_>]) -> Option<Vec<Option<usize>>> {
    let mut left = MAX_COMPARISONS;
    let mut parents = vec![None; sorted.len()];
    // From west to east: only rings that reach as far can be round the next one.
    let by_bound = |bound: usize| {
        let mut order: Vec<usize> = (0..sorted.len()).collect();
        order.sort_by(|&a, &b| sorted[a].bounds[bound].total_cmp(&sorted[b].bounds[bound]).then(a.cmp(&b)));
        order
    };
    let mut ending = by_bound(2).into_iter().peekable();
    let mut reaching: BTreeSet<usize> = BTreeSet::new();
    for ring in by_bound(0) {
        while let Some(ended) = ending.next_if(|&other| sorted[other].bounds[2] < sorted[ring].bounds[0]) {
            reaching.remove(&ended);
        }
        for &larger in reaching.range(..ring).rev() {
            left = left.checked_sub(1)?;
            if sorted[larger].contains(&sorted[ring], &mut left)? {
                parents[ring] = Some(larger);
                break;
            }
        }
        reaching.insert(ring);
    }
    Some(parents)
}

struct Candidate<'a> {
    positions: &'a [Position],
    outline: Polygon,
    area: f64,
    bounds: [f64; 4],
}

impl<'a> Candidate<'a> {
    fn new(positions: &'a [Position]) -> Candidate<'a> {
        let outline = Polygon::new(LineString::from_iter(positions.iter().map(|p| (p.x, p.y))), Vec::new());
        let mut bounds = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
        for p in positions {
            bounds = [bounds[0].min(p.x), bounds[1].min(p.y), bounds[2].max(p.x), bounds[3].max(p.y)];
        }
        Candidate { positions, outline, area: twice_area(positions).abs(), bounds }
    }

    /// Whether `other`, which is smaller, lies inside. Rings may touch in single vertices, so the first vertex that is
    /// not on the boundary decides. `None` when no comparisons are left.
    fn contains(&self, other: &Candidate<'_>, left: &mut usize) -> Option<bool> {
        let [xmin, ymin, xmax, ymax] = self.bounds;
        if other.bounds[0] < xmin || other.bounds[1] < ymin || other.bounds[2] > xmax || other.bounds[3] > ymax {
            return Some(false);
        }
        for p in other.positions {
            *left = left.checked_sub(self.positions.len())?;
            match self.outline.coordinate_position(&Coord { x: p.x, y: p.y }) {
                CoordPos::Inside => return Some(true),
                CoordPos::Outside => return Some(false),
                CoordPos::OnBoundary => {}
            }
        }
        Some(false)
    }
}

/// Whether two coordinates name a place. What is no number names none, nor does what lies farther out than any spatial reference
/// reaches.
pub fn is_place(x: f64, y: f64) -> bool {
    x.abs() < 1e15 && y.abs() < 1e15
}

/// Twice the area of a ring, positive if it runs counter-clockwise. Coordinates are taken relative to the first vertex,
/// since products of large ones lose the digits that matter.
pub fn twice_area(ring: &[Position]) -> f64 {
    let Some(origin) = ring.first() else { return 0.0 };
    ring.windows(2)
        .map(|pair| {
            let (ax, ay) = (pair[0].x - origin.x, pair[0].y - origin.y);
            let (bx, by) = (pair[1].x - origin.x, pair[1].y - origin.y);
            ax * by - bx * ay
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(x: f64, y: f64, size: f64) -> Vec<Position> {
        let at = |x, y| Position { x, y, z: 0.0, m: 0.0 };
        vec![at(x, y), at(x, y + size), at(x + size, y + size), at(x + size, y), at(x, y)]
    }

    #[test]
    fn rings_become_polygons_whatever_their_order_and_orientation() {
        let mut island = square(4.0, 4.0, 1.0);
        island.reverse();
        let rings = vec![square(3.0, 3.0, 4.0), square(20.0, 0.0, 5.0), island, square(0.0, 0.0, 10.0)];
        let polygons = assemble(&rings).unwrap();
        assert_eq!(polygons.len(), 3);
        assert_eq!(polygons[0], [rings[3].as_slice(), rings[0].as_slice()], "the hole is in the largest ring");
        assert_eq!(polygons[1], [rings[1].as_slice()]);
        assert_eq!(polygons[2], [rings[2].as_slice()], "the island in the hole is an outer ring again");
    }

    #[test]
    fn a_hole_that_touches_its_outer_ring_is_a_hole() {
        let rings = vec![square(0.0, 0.0, 10.0), square(0.0, 2.0, 3.0)];
        assert_eq!(assemble(&rings).unwrap().len(), 1);
    }

    #[test]
    fn rings_are_sorted_or_refused_in_bounded_time() {
        let row = |n: i32| (0..n).map(|i| square(f64::from(i) * 2.0, 0.0, 1.0)).collect::<Vec<_>>();
        assert_eq!(assemble(&row(20_000)).unwrap().len(), 20_000);
        let side = |i: i32| f64::from(i) / 250_000.0 * std::f64::consts::TAU;
        let circle: Vec<Position> =
            (0..250_000).map(|i| Position { x: side(i).cos(), y: side(i).sin(), z: 0.0, m: 0.0 }).collect();
        assert!(assemble(&[circle.clone(), circle]).unwrap_err().contains("2 rings"));
    }

    #[test]
    fn a_single_part_column_refuses_two_parts() {
        let two = Geometry { srid: 4326, shape: Shape::Polygon(vec![square(0.0, 0.0, 1.0), square(5.0, 0.0, 1.0)]) };
        let single = Target { multi: false, has_z: false, has_m: false };
        assert!(two.to_ewkb(single).unwrap_err().contains("2 outer rings"));
        assert!(two.to_ewkb(Target { multi: true, ..single }).is_ok());
    }

    #[test]
    fn a_point_is_written_with_its_reference_and_height() {
        let point = Geometry { srid: 3857, shape: Shape::Point(Position { x: 1.0, y: 2.0, z: 3.0, m: f64::NAN }) };
        let bytes = point.to_ewkb(Target { multi: false, has_z: true, has_m: false }).unwrap();
        assert_eq!(bytes.len(), 1 + 4 + 4 + 24);
        assert_eq!(&bytes[1..5], &0xA000_0001_u32.to_le_bytes());
        assert_eq!(&bytes[5..9], &3857_i32.to_le_bytes());
    }

    #[test]
    fn clockwise_rings_have_negative_area() {
        assert!(twice_area(&square(1e7, 1e7, 1.0)) < 0.0);
    }
}
