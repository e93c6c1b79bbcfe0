//! Geometries in GeoPackages that clients send.

use crate::model::geometry::{Position, Shape};

/// What is wrong with a geometry, for whoever sent it.
pub(super) type Problem = &'static str;

/// Reads a geometry. `None` if it is empty. Every length is held against the bytes that there are.
pub(super) fn read(blob: &[u8]) -> Result<Option<Shape>, Problem> {
    let (head, rest) = blob.split_at_checked(8).ok_or("it is shorter than the head of a geometry")?;
    if !head.starts_with(b"GP") {
        return Err("it does not begin like a geometry of a GeoPackage");
    }
    let flags = head[3];
    if flags & 0b0010_0000 != 0 {
        return Err("it is of an extended type");
    }
    let box_bytes = match flags >> 1 & 7 {
        0 => 0,
        1 => 32,
        2 | 3 => 48,
        4 => 64,
        _ => return Err("its box has an unknown form"),
    };
    let wkb = rest.get(box_bytes..).ok_or("it ends in its box")?;
    let mut reader = Wkb { rest: wkb, little: true, has_z: false, has_m: false };
    let shape = reader.shape()?;
    if !reader.rest.is_empty() {
        return Err("it has bytes after its end");
    }
    Ok(shape)
}

/// Reads well-known binary, in either order of bytes.
struct Wkb<'a> {
    rest: &'a [u8],
    little: bool,
    has_z: bool,
    has_m: bool,
}

const TOO_SHORT: Problem = "it ends too early";

impl Wkb<'_> {
    fn shape(&mut self) -> Result<Option<Shape>, Problem> {
        Ok(match self.head()? {
            1 => self.position()?.map(Shape::Point),
            2 => full(vec![self.line()?]).map(Shape::Polyline),
            3 => full(self.rings()?).map(Shape::Polygon),
            4 => {
                let mut positions = Vec::new();
                for _ in 0..self.count(21)? {
                    self.expect(1)?;
                    positions.extend(self.position()?);
                }
                (!positions.is_empty()).then_some(Shape::Multipoint(positions))
            }
            5 => {
                let mut paths = Vec::new();
                for _ in 0..self.count(9)? {
                    self.expect(2)?;
                    paths.push(self.line()?);
                }
                full(paths).map(Shape::Polyline)
            }
            6 => {
                let mut rings = Vec::new();
                for _ in 0..self.count(9)? {
                    self.expect(3)?;
                    rings.extend(self.rings()?);
                }
                full(rings).map(Shape::Polygon)
            }
            7 => return Err("it is a collection of geometries; a layer takes one type"),
            8..=17 => return Err("it has curves or surfaces, which cannot be stored; send it densified"),
            _ => return Err("it is of an unknown type"),
        })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Problem> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(TOO_SHORT)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn number(&mut self) -> Result<u32, Problem> {
        let bytes = self.take()?;
        Ok(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    /// Reads the head of a geometry, of ISO's or of PostGIS's making. Returns its type.
    fn head(&mut self) -> Result<u32, Problem> {
        self.little = match self.take()? {
            [0] => false,
            [1] => true,
            _ => return Err("its order of bytes is neither 0 nor 1"),
        };
        let head = self.number()?;
        let (flags, base) = (head & 0xF000_0000, head & 0x0FFF_FFFF);
        if flags & 0x2000_0000 != 0 {
            self.number()?;
        }
        self.has_z = flags & 0x8000_0000 != 0 || matches!(base / 1000, 1 | 3);
        self.has_m = flags & 0x4000_0000 != 0 || matches!(base / 1000, 2 | 3);
        if base >= 4000 {
            return Err("it is of an unknown type");
        }
        Ok(base % 1000)
    }

    fn expect(&mut self, kind: u32) -> Result<(), Problem> {
        if self.head()? == kind { Ok(()) } else { Err("a part of it is of another type than the whole") }
    }

    /// Reads how many things of at least so many bytes each follow. There cannot be more than there are bytes for.
    fn count(&mut self, least_bytes: usize) -> Result<u32, Problem> {
        let n = self.number()?;
        if (n as usize).checked_mul(least_bytes).is_none_or(|needed| needed > self.rest.len()) {
            return Err("it tells of more parts than it has bytes for");
        }
        Ok(n)
    }

    /// Reads a position. `None` if it is empty, which is written as not a number.
    fn position(&mut self) -> Result<Option<Position>, Problem> {
        let (x, y) = (self.ordinate()?, self.ordinate()?);
        let z = if self.has_z { self.ordinate()? } else { 0.0 };
        let m = if self.has_m { self.ordinate()? } else { f64::NAN };
        if x.is_nan() && y.is_nan() {
            return Ok(None);
        }
        if !x.is_finite() || !y.is_finite() {
            return Err("a coordinate is not a finite number");
        }
        Ok(Some(Position { x, y, z, m }))
    }

    fn ordinate(&mut self) -> Result<f64, Problem> {
        let bytes = self.take()?;
        Ok(if self.little { f64::from_le_bytes(bytes) } else { f64::from_be_bytes(bytes) })
    }

    fn line(&mut self) -> Result<Vec<Position>, Problem> {
        let stride = 8 * (2 + usize::from(self.has_z) + usize::from(self.has_m));
        let n = self.count(stride)?;
        let mut line = Vec::with_capacity(n as usize);
        for _ in 0..n {
            line.push(self.position()?.ok_or("a vertex is not a number")?);
        }
        Ok(line)
    }

    fn rings(&mut self) -> Result<Vec<Vec<Position>>, Problem> {
        let n = self.count(4)?;
        (0..n).map(|_| self.line()).collect()
    }
}

/// The parts, unless there is nothing in them.
fn full(parts: Vec<Vec<Position>>) -> Option<Vec<Vec<Position>>> {
    let parts: Vec<Vec<Position>> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    (!parts.is_empty()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(wkb: &[u8]) -> Vec<u8> {
        [b"GP\0\x01\xE6\x10\0\0".as_slice(), wkb].concat()
    }

    fn point(x: f64, y: f64) -> Vec<u8> {
        [b"\x01\x01\0\0\0".as_slice(), &x.to_le_bytes(), &y.to_le_bytes()].concat()
    }

    #[test]
    fn points_are_read_in_both_orders_and_empty_ones_are_nothing() {
        let Ok(Some(Shape::Point(read))) = read(&blob(&point(1.5, -2.0))) else { panic!("no point") };
        assert_eq!((read.x, read.y), (1.5, -2.0));
        let big = [b"\0\0\0\0\x01".as_slice(), &1.5f64.to_be_bytes(), &(-2.0f64).to_be_bytes()].concat();
        assert!(matches!(super::read(&blob(&big)), Ok(Some(Shape::Point(p))) if p.x == 1.5));
        assert_eq!(super::read(&blob(&point(f64::NAN, f64::NAN))), Ok(None));
    }

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        // A line of four thousand million vertices.
        let giant = [b"\x01\x02\0\0\0".as_slice(), &u32::MAX.to_le_bytes(), &[0; 64]].concat();
        assert!(read(&blob(&giant)).is_err());
        let many = [b"\x01\x06\0\0\0".as_slice(), &u32::MAX.to_le_bytes()].concat();
        assert!(read(&blob(&many)).is_err());
        let long = [point(1.0, 2.0), vec![0]].concat();
        assert!(read(&blob(&long)).is_err());
        let whole = blob(&point(1.0, 2.0));
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
        // Collections within collections.
        let nested = b"\x01\x07\0\0\0\x01\0\0\0".repeat(1000);
        assert!(read(&blob(&nested)).is_err());
    }
}
