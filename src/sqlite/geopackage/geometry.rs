//! Geometries in the form that GeoPackages have: a head with a box, then ISO WKB.

use crate::{
    error::{Error, Result},
    format::array,
    model::geometry::is_place,
};

/// The head of a geometry without a box.
const HEAD_BYTES: usize = 8;
/// A box in x and y.
const BOX_BYTES: usize = 32;
/// Little-endian, without a box.
const FLAGS: u8 = 0b0000_0001;
/// A box in x and y is there.
const HAS_BOX: u8 = 0b0000_0010;
const IS_EMPTY: u8 = 0b0001_0000;

const POINT: u32 = 1;

/// Writes a geometry, as PostGIS sends it, into `out`, which is cleared. Returns its box, if it is not empty: least x and y, greatest x and y. Of one with
/// a vertex that is no place, nothing is written.
pub(in crate::sqlite) fn write(ewkb: &[u8], srid: i32, out: &mut Vec<u8>) -> Result<Option<[f64; 4]>> {
    out.clear();
    out.extend_from_slice(b"GP\0");
    out.push(FLAGS);
    out.extend_from_slice(&srid.to_le_bytes());
    // Other programs write no box for points either, and compare what they wrote byte by byte.
    let is_point = ewkb.get(1) == Some(&1) && ewkb.get(2..4) == Some(&[0, 0]);
    if !is_point {
        out.resize(HEAD_BYTES + BOX_BYTES, 0);
    }
    let mut bounds = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    let mut copying = Copying { rest: ewkb, out, bounds: &mut bounds, all_places: true };
    copying.geometry(0)?;
    if !copying.all_places {
        out.clear();
        return Ok(None);
    }
    let [min_x, min_y, max_x, max_y] = bounds;
    let is_empty = min_x > max_x || min_y > max_y;
    if is_empty {
        out[3] = FLAGS | IS_EMPTY;
        if !is_point {
            out.drain(HEAD_BYTES..HEAD_BYTES + BOX_BYTES);
        }
        return Ok(None);
    }
    if !is_point {
        out[3] = FLAGS | HAS_BOX;
        for (position, bound) in [min_x, max_x, min_y, max_y].into_iter().enumerate() {
            let at = HEAD_BYTES + 8 * position;
            out[at..at + 8].copy_from_slice(&bound.to_le_bytes());
        }
    }
    Ok(Some(bounds))
}

/// The ISO WKB of a geometry that [`write()`] wrote.
pub(in crate::sqlite) fn without_head(written: &[u8]) -> &[u8] {
    let has_box = written.get(3).is_some_and(|flags| flags & HAS_BOX != 0);
    written.get(if has_box { HEAD_BYTES + BOX_BYTES } else { HEAD_BYTES }..).unwrap_or_default()
}

/// Copies a geometry from the database's form of WKB to the ISO's, and finds its box.
struct Copying<'a> {
    rest: &'a [u8],
    out: &'a mut Vec<u8>,
    bounds: &'a mut [f64; 4],
    all_places: bool,
}

impl<'a> Copying<'a> {
    fn geometry(&mut self, depth: usize) -> Result<()> {
        if self.take(1)? != [1] {
            return Err(wrong("it is not little-endian"));
        }
        let head = u32::from_le_bytes(array(self.take(4)?)?);
        let (has_z, has_m) = (head & 0x8000_0000 != 0, head & 0x4000_0000 != 0);
        if head & 0x2000_0000 != 0 {
            self.take(4)?;
        }
        let kind = head & 0xFFFF;
        self.out.push(1);
        let iso = kind + if has_z { 1000 } else { 0 } + if has_m { 2000 } else { 0 };
        self.out.extend_from_slice(&iso.to_le_bytes());
        let stride = 8 * (2 + usize::from(has_z) + usize::from(has_m));
        match kind {
            POINT => self.positions(1, stride),
            2 => {
                let n = self.count()?;
                self.positions(n, stride)
            }
            3 => {
                for _ in 0..self.count()? {
                    let n = self.count()?;
                    self.positions(n, stride)?;
                }
                Ok(())
            }
            4..=7 if depth < 8 => {
                for _ in 0..self.count()? {
                    self.geometry(depth + 1)?;
                }
                Ok(())
            }
            other => Err(wrong(&format!("it is of type {other}, which a GeoPackage is not given"))),
        }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| wrong("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn count(&mut self) -> Result<usize> {
        let bytes = self.take(4)?;
        self.out.extend_from_slice(bytes);
        Ok(u32::from_le_bytes(array(bytes)?) as usize)
    }

    fn positions(&mut self, n: usize, stride: usize) -> Result<()> {
        let bytes = self.take(n * stride)?;
        self.out.extend_from_slice(bytes);
        let bounds = &mut *self.bounds;
        for position in bytes.chunks_exact(stride) {
            let x = f64::from_le_bytes(array(&position[..8])?);
            let y = f64::from_le_bytes(array(&position[8..16])?);
            // An empty point has no numbers, which are neither less nor greater.
            self.all_places &= is_place(x, y) || (x.is_nan() && y.is_nan());
            bounds[0] = bounds[0].min(x);
            bounds[1] = bounds[1].min(y);
            bounds[2] = bounds[2].max(x);
            bounds[3] = bounds[3].max(y);
        }
        Ok(())
    }
}

fn wrong(problem: &str) -> Error {
    Error::internal("writing a geometry into a GeoPackage", problem.to_owned())
}
