use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;
use crate::model::geometry::{Geometry, Target};

const VECTORS: &str = include_str!("../../../../tests/fixtures/geodatabase/st_geometry_vectors.json");

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}

fn grid_of(vector: &Json) -> Grid {
    let number = |name: &str| vector[name].as_f64();
    let xy = |origin: &str| (number(origin).unwrap(), number("xy_units").unwrap());
    let z = (number("false_z").unwrap_or(0.0), number("z_units").unwrap_or(1.0));
    let srid = u32::try_from(vector["srid"].as_u64().unwrap()).unwrap();
    Grid { srid, axes: [xy("false_x"), xy("false_y"), z, (0.0, 1.0)] }
}

/// The same with what nobody reads as it is written here: zeros after the length, and plain flags.
fn plain(blob: &[u8]) -> Vec<u8> {
    let mut plain = blob.to_vec();
    let mut reader = Reader { rest: blob.get(10..).unwrap() };
    let n_points = u32::from_le_bytes([blob[4], blob[5], blob[6], blob[7]]);
    if n_points > 10 {
        (0..4).for_each(|_| assert!(reader.varint().is_ok()));
    }
    if blob[9] & 0x40 != 0 && blob[8] >> 2 != 2 {
        (0..reader.varint().unwrap()).for_each(|_| assert!(reader.varint().is_ok()));
    }
    let slot = blob.len() - reader.rest.len();
    let used = {
        let before = reader.rest.len();
        reader.varint().unwrap();
        before - reader.rest.len()
    };
    plain[slot + used..slot + 4].fill(0);
    let has_z = blob[8] & 2 != 0;
    plain[slot + 4..slot + 8].copy_from_slice(&[1, u8::from(has_z), 0, 0]);
    plain
}

/// Reads a blob and writes what was read, from the form in which PostGIS would send it.
fn again(blob: &[u8], grid: Grid) -> Vec<u8> {
    let decoded = decode(blob, &grid).unwrap();
    let geometry_type = match blob[8] >> 2 {
        1 => GeometryType::Point,
        2 => GeometryType::Multipoint,
        5 => GeometryType::Polyline,
        _ => GeometryType::Polygon,
    };
    let mut encoder = Encoder::new(grid, geometry_type, decoded.has);
    let mut out = Vec::new();
    match decoded.shape {
        Some(shape) => encoder.encode(&as_stored(&shape, decoded.has), &mut out).unwrap(),
        // GEOMETRYCOLLECTION has no counterpart; an empty line, an empty polygon.
        None => encoder.encode(&[1, 3, 0, 0, 0, 0, 0, 0, 0], &mut out).unwrap(),
    };
    out
}

/// EWKB with the rings in their order.
fn as_stored(shape: &Shape, has: Ordinates) -> Vec<u8> {
    let multi = !matches!(shape, Shape::Point(_));
    Geometry { srid: 4326, shape: shape.clone() }.to_ewkb(Target { multi, has_z: has.z, has_m: has.m }).unwrap()
}

#[test]
fn genuine_blobs_are_read_as_what_they_say() {
    let vectors: Vec<Json> = serde_json::from_str(VECTORS).unwrap();
    assert_eq!(vectors.len(), 14);
    for vector in &vectors {
        let decoded = decode(&bytes(vector["hex"].as_str().unwrap()), &grid_of(vector)).unwrap();
        let Some(shape) = decoded.shape else {
            assert_eq!(vector["n"], 0);
            continue;
        };
        let mut read: Vec<(f64, f64)> = Vec::new();
        shape.for_each_part(|part| read.extend(part.iter().map(|position| (position.x, position.y))));
        let wanted: Vec<(f64, f64)> = vector["xy"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|part| part.as_array().unwrap())
            .map(|pair| (pair[0].as_f64().unwrap(), pair[1].as_f64().unwrap()))
            .collect();
        // They were computed in another order of rounding.
        let near = |a: f64, b: f64| (a - b).abs() <= 2.0 * f64::EPSILON * 40_000_000.0;
        assert_eq!(read.len(), wanted.len());
        assert!(read.iter().zip(&wanted).all(|(a, b)| near(a.0, b.0) && near(a.1, b.1)), "{}", vector["source"]);
        if let Some(heights) = vector["z"].as_array() {
            let mut read = Vec::new();
            shape.for_each_part(|part| read.extend(part.iter().map(|position| position.z)));
            let flat: Vec<f64> = heights
                .iter()
                .flat_map(|height| height.as_array().cloned().unwrap_or_else(|| vec![height.clone()]))
                .map(|height| height.as_f64().unwrap())
                .collect();
            assert_eq!(read, flat, "{}", vector["source"]);
        }
    }
}

#[test]
fn genuine_blobs_are_written_again_byte_by_byte() {
    for vector in serde_json::from_str::<Vec<Json>>(VECTORS).unwrap() {
        let genuine = bytes(vector["hex"].as_str().unwrap());
        if let Some(canonical) = vector["canonical_hex"].as_str() {
            let mut canonical = bytes(canonical);
            // Flags of later versions.
            canonical = plain(&canonical);
            assert_eq!(plain(&genuine), canonical);
        }
        assert_eq!(again(&genuine, grid_of(&vector)), plain(&genuine), "{}", vector["source"]);
    }
}

/// Every geometry in the layers of a genuine file.
fn each_in_file(name: &str, mut each: impl FnMut(&str, &[u8], Option<[f64; 4]>)) {
    let path = format!("{}/tests/fixtures/geodatabase/{name}", env!("CARGO_MANIFEST_DIR"));
    let file = rusqlite::Connection::open_with_flags(
        format!("file:{path}?immutable=1"),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_URI,
    )
    .unwrap();
    let mut columns = file.prepare("SELECT f_table_name, f_geometry_column FROM st_geometry_columns").unwrap();
    let columns: Vec<(String, String)> =
        columns.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(|row| row.unwrap()).collect();
    for (table, column) in columns {
        let mut rows = file
            .prepare(&format!(
                "SELECT t.{column}, i.minx, i.miny, i.maxx, i.maxy FROM {table} t NOT INDEXED
                 LEFT JOIN st_spindex__{table}_{column} i ON i.pkid = t.rowid WHERE t.{column} IS NOT NULL"
            ))
            .unwrap();
        let mut rows = rows.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let bound = |at: usize| row.get::<_, Option<f64>>(at).unwrap();
            let bounds = bound(1).map(|xmin| [xmin, bound(2).unwrap(), bound(3).unwrap(), bound(4).unwrap()]);
            each(&table, &row.get::<_, Vec<u8>>(0).unwrap(), bounds);
        }
    }
}

fn known_grid(srid: u32) -> Grid {
    super::super::reference::built_in(srid).unwrap()
}

#[test]
fn every_geometry_of_genuine_files_is_written_again_and_has_the_box_of_its_index() {
    let mut n_geometries = 0;
    for name in ["canyonlands.geodatabase", "offlineSample.geodatabase"] {
        each_in_file(name, |table, blob, indexed| {
            let grid = known_grid(srid_of(blob).unwrap());
            assert_eq!(again(blob, grid), plain(blob), "{table}");
            let decoded = decode(blob, &grid).unwrap();
            let Some(shape) = decoded.shape else { return };
            let mut bounds = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
            shape.for_each_part(|part| {
                for p in part {
                    bounds = [bounds[0].min(p.x), bounds[1].min(p.y), bounds[2].max(p.x), bounds[3].max(p.y)];
                }
            });
            // Numbers of four bytes, rounded outwards.
            let indexed = indexed.unwrap();
            let slack = 2.0 * f64::from(f32::EPSILON) * bounds[0].abs().max(bounds[1].abs());
            for (bound, sign) in [(0, 1.0), (1, 1.0), (2, -1.0), (3, -1.0)] {
                let outside = (bounds[bound] - indexed[bound]) * sign;
                assert!((0.0..=slack).contains(&outside), "{table}: {bounds:?} in {indexed:?}");
            }
            n_geometries += 1;
        });
    }
    assert_eq!(n_geometries, 154);
}

const FINE: Grid = Grid { srid: 300_001, axes: [(-1000.0, 16.0), (-1000.0, 16.0), (-1000.0, 16.0), (-1000.0, 16.0)] };

fn ordinate() -> impl Strategy<Value = f64> {
    // Sixteenths, which the grid holds exactly.
    (-8000_i32..8000).prop_map(|cell| f64::from(cell) / 16.0)
}

fn position(has: Ordinates) -> impl Strategy<Value = Position> {
    let measure = prop_oneof![4 => ordinate(), 1 => Just(f64::NAN)];
    (ordinate(), ordinate(), ordinate(), measure).prop_map(move |(x, y, z, m)| Position {
        x,
        y,
        z: if has.z { z } else { 0.0 },
        m: if has.m { m } else { f64::NAN },
    })
}

fn ring(has: Ordinates) -> impl Strategy<Value = Vec<Position>> {
    proptest::collection::vec(position(has), 3..20).prop_map(|mut ring| {
        ring.push(ring[0]);
        ring
    })
}

fn any_shape() -> impl Strategy<Value = (Shape, Ordinates)> {
    (any::<bool>(), any::<bool>()).prop_flat_map(|(z, m)| {
        let has = Ordinates { z, m };
        let shape = prop_oneof![
            position(has).prop_map(Shape::Point),
            proptest::collection::vec(position(has), 1..20).prop_map(Shape::Multipoint),
            proptest::collection::vec(proptest::collection::vec(position(has), 2..20), 1..5).prop_map(Shape::Polyline),
            proptest::collection::vec(ring(has), 1..5).prop_map(Shape::Polygon),
        ];
        (shape, Just(has))
    })
}

/// The vertices in a form in which it does not matter where a ring begins, which way it runs, and which ring is first; NaN is no number, so the
/// bits are compared.
fn canonical(shape: &Shape) -> Vec<Vec<[u64; 4]>> {
    let mut parts: Vec<Vec<[u64; 4]>> = Vec::new();
    let is_polygon = matches!(shape, Shape::Polygon(_));
    shape.for_each_part(|part| {
        let mut bits: Vec<[u64; 4]> = part.iter().map(|p| [p.x, p.y, p.z, p.m].map(f64::to_bits)).collect();
        if is_polygon {
            bits.sort_unstable();
            // The vertex at which it begins and ends counts once.
            bits.dedup();
        }
        parts.push(bits);
    });
    if is_polygon {
        parts.sort_unstable();
    }
    parts
}

proptest! {
    #[test]
    fn what_is_written_is_read((shape, has) in any_shape()) {
        let geometry_type = Geometry { srid: 4326, shape: shape.clone() }.geometry_type();
        let mut encoder = Encoder::new(FINE, geometry_type, has);
        let mut blob = Vec::new();
        let bounds = encoder.encode(&as_stored(&shape, has), &mut blob).unwrap().unwrap();
        let read = decode(&blob, &FINE).unwrap();
        prop_assert_eq!(read.has, has);
        let read = read.shape.unwrap();
        prop_assert_eq!(canonical(&read), canonical(&shape));
        let mut inside = true;
        read.for_each_part(|part| {
            inside &= part.iter().all(|p| bounds[0] <= p.x && p.x <= bounds[2] && bounds[1] <= p.y && p.y <= bounds[3]);
        });
        prop_assert!(inside);
    }

    #[test]
    fn no_bytes_bring_the_reader_down(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes, &FINE);
        let mut dressed = vec![0x64, 1, 0, 0];
        dressed.extend_from_slice(&bytes);
        let _ = decode(&dressed, &FINE);
    }

    #[test]
    fn damage_is_found_or_does_no_harm(
        (shape, has) in any_shape(), at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<proptest::sample::Index>()
    ) {
        let mut blob = Vec::new();
        let geometry_type = Geometry { srid: 4326, shape: shape.clone() }.geometry_type();
        Encoder::new(FINE, geometry_type, has).encode(&as_stored(&shape, has), &mut blob).unwrap();
        let cut = cut.index(blob.len());
        prop_assert!(decode(&blob[..cut], &FINE).is_err());
        let at = at.index(blob.len());
        blob[at] = byte;
        let _ = decode(&blob, &FINE);
    }
}

#[test]
fn a_blob_cannot_ask_for_more_memory_than_it_has_bytes() {
    let mut blob = vec![0x64, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 8, 0x41];
    blob.extend_from_slice(&[0; 4 + 4 + 4]);
    assert!(decode(&blob, &FINE).unwrap_err().contains("points"));
}

#[test]
fn a_ring_that_passes_where_it_begins_is_read_as_one_ring() {
    let at = |x: f64, y: f64| Position { x, y, z: 0.0, m: f64::NAN };
    // A bow tie of two triangles that meet where the ring begins.
    let bow =
        vec![at(0.0, 0.0), at(2.0, 1.0), at(2.0, -1.0), at(0.0, 0.0), at(-2.0, -1.0), at(-2.0, 1.0), at(0.0, 0.0)];
    let has = Ordinates { z: false, m: false };
    let mut blob = Vec::new();
    let shape = Shape::Polygon(vec![bow]);
    Encoder::new(FINE, GeometryType::Polygon, has).encode(&as_stored(&shape, has), &mut blob).unwrap();
    let Some(Shape::Polygon(rings)) = decode(&blob, &FINE).unwrap().shape else { panic!("no polygon") };
    assert_eq!(rings.len(), 1);
    assert_eq!(rings[0].len(), 7);
}

#[test]
fn what_the_grid_does_not_reach_is_stored_as_empty_and_counted() {
    let has = Ordinates { z: false, m: false };
    let mut encoder = Encoder::new(FINE, GeometryType::Point, has);
    let (mut far, mut empty) = (Vec::new(), Vec::new());
    for x in [-2000.0, f64::INFINITY] {
        far.clear();
        let point = Shape::Point(Position { x, y: 0.0, z: 0.0, m: f64::NAN });
        assert_eq!(encoder.encode(&as_stored(&point, has), &mut far).unwrap(), None);
    }
    let nowhere = Shape::Point(Position { x: f64::NAN, y: f64::NAN, z: 0.0, m: f64::NAN });
    encoder.encode(&as_stored(&nowhere, has), &mut empty).unwrap();
    assert_eq!((far, encoder.n_beyond), (empty, 1));
}

#[test]
fn lines_that_meet_themselves_are_told_from_simple_ones() {
    let line = |points: &[(i64, i64)]| points.iter().map(|&(x, y)| [x, y, 0, 0]).collect::<Vec<_>>();
    let simple = |points: &[(i64, i64)]| simple::is_simple(&line(points));
    assert!(simple(&[(0, 0), (10, 0), (10, 10)]));
    assert!(simple(&[(0, 0), (10, 0), (10, 10), (0, 0)]), "closed");
    assert!(!simple(&[(0, 0), (10, 10), (10, 0), (0, 10)]), "crosses itself");
    assert!(!simple(&[(0, 0), (10, 0), (5, 5), (5, 0)]), "touches itself with its end");
    assert!(!simple(&[(0, 0), (10, 0), (5, 0)]), "goes back on itself");
    assert!(!simple(&[(0, 0), (10, 0), (10, 10), (10, 0)]), "ends where it has been");
    assert!(simple(&[(0, 0), (10, 0), (-1, 0), (10, 0), (20, 5)]), "two paths that meet at their ends");
    assert!(!simple(&[(0, 0), (10, 0), (-1, 0), (5, -5), (5, 5)]), "two paths that cross");
}
