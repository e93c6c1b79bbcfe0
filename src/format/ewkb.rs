//! Reading geometries in the form in which PostGIS sends them.

use crate::{
    error::{Error, Result},
    model::geometry::is_place,
};

use super::array;

/// Reads little-endian EWKB, which is what PostGIS sends on every platform that we support.
#[derive(Clone, Copy)]
pub(super) struct Ewkb<'a> {
    rest: &'a [u8],
    has_z: bool,
    has_m: bool,
    /// Whether all positions that were read are places.
    pub(super) all_places: bool,
}

impl<'a> Ewkb<'a> {
    /// A reader at the head of a geometry.
    pub(super) fn new(bytes: &'a [u8]) -> Ewkb<'a> {
        Ewkb { rest: bytes, has_z: false, has_m: false, all_places: true }
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        match self.rest.split_at_checked(length) {
            Some((taken, rest)) => {
                self.rest = rest;
                Ok(taken)
            }
            None => Err(Error::internal("reading a geometry", "it ends too early")),
        }
    }

    /// Reads the head of a geometry, or of one within a collection. Returns its type.
    pub(super) fn head(&mut self) -> Result<u32> {
        if self.take(1)? != [1] {
            return Err(Error::internal("reading a geometry", "it is not little-endian"));
        }
        let flags = u32::from_le_bytes(array(self.take(4)?)?);
        self.has_z = flags & 0x8000_0000 != 0;
        self.has_m = flags & 0x4000_0000 != 0;
        if flags & 0x2000_0000 != 0 {
            self.take(4)?;
        }
        Ok(flags & 0xFFFF)
    }

    /// Reads how many parts or positions follow.
    pub(super) fn count(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(array(self.take(4)?)?))
    }

    fn stride(&self) -> usize {
        8 * (2 + usize::from(self.has_z) + usize::from(self.has_m))
    }

    /// Passes positions over.
    pub(super) fn skip(&mut self, n_positions: u32) -> Result<()> {
        self.take(self.stride() * n_positions as usize).map(|_| ())
    }

    /// A reader at the n-th position before the end of the next `n_positions`.
    pub(super) fn nth_last(&self, n_positions: u32, nth: u32) -> Result<Ewkb<'a>> {
        let at = self.stride() * (n_positions - 1 - nth) as usize;
        match self.rest.get(at..) {
            Some(rest) => Ok(Ewkb { rest, ..*self }),
            None => Err(Error::internal("reading a geometry", "it ends too early")),
        }
    }

    /// Reads x, y, z, m. Heights and measures that there are none of are 0 and NaN.
    pub(super) fn position(&mut self) -> Result<[f64; 4]> {
        let (x, y) = (self.ordinate()?, self.ordinate()?);
        self.all_places &= is_place(x, y);
        let z = if self.has_z { self.ordinate()? } else { 0.0 };
        let m = if self.has_m { self.ordinate()? } else { f64::NAN };
        Ok([x, y, z, m])
    }

    fn ordinate(&mut self) -> Result<f64> {
        Ok(f64::from_le_bytes(array(self.take(8)?)?))
    }

    /// Twice the area of the ring that comes next, positive if it runs counter-clockwise; nothing is consumed.
    pub(super) fn twice_area(&self, n_positions: u32) -> Result<f64> {
        let mut ahead = *self;
        let mut sum = 0.0;
        let mut origin = None;
        let mut last = (0.0, 0.0);
        for _ in 0..n_positions {
            let [x, y, ..] = ahead.position()?;
            let (ox, oy) = *origin.get_or_insert((x, y));
            let here = (x - ox, y - oy);
            sum += last.0 * here.1 - here.0 * last.1;
            last = here;
        }
        Ok(sum)
    }
}
