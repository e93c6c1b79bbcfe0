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
        (0..4).for_each(|_| drop(reader.varint().unwrap()));
    }
    if blob[9] & 0x40 != 0 && blob[8] >> 2 != 2 {
        (0..reader.varint().unwrap()).for_each(|_| drop(reader.varint().unwrap()));
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
        assert_eq!(read, wanted, "{}", vector["source"]);
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
