//! Features as Esri JSON, from rows as the database sends them.

use sqlx::{Row as _, ValueRef as _, postgres::PgRow};

use crate::{
    error::{Error, Result},
    model::{calendar, geometry::Dimensions, id::GlobalId, layer::Layer, query::Columns, value::FieldType},
};

use super::{array, ewkb::Ewkb, feature_set::Column};

/// Microseconds from 1970 to 2000, where PostgreSQL counts from.
pub(super) const EPOCH_2000_US: i64 = 946_684_800_000_000;
/// Days from 1970 to 2000.
const EPOCH_2000_DAYS: i32 = 10_957;

/// Writes rows of one layer. What does not change from row to row is prepared once.
pub(crate) struct FeatureWriter {
    /// `"name":` for each column, with the comma before it, and the column's type.
    columns: Vec<(Vec<u8>, FieldType)>,
    geometry: Option<GeometryWriter>,
}

impl FeatureWriter {
    /// A writer for rows that `sql::select::list` reads.
    pub(crate) fn new(layer: &Layer, columns: &Columns) -> FeatureWriter {
        let named: Vec<Column<'_>> =
            columns.fields.iter().map(|&index| &layer.fields[index]).map(Column::from).collect();
        FeatureWriter::of(&named, columns.srid.map(|_| columns.dimensions))
    }

    /// A writer for rows that have these columns, and a geometry after them if one is written.
    pub(super) fn of(columns: &[Column<'_>], geometry: Option<Dimensions>) -> FeatureWriter {
        let mut prepared = Vec::with_capacity(columns.len());
        for (position, column) in columns.iter().enumerate() {
            let mut prefix = Vec::new();
            if position > 0 {
                prefix.push(b',');
            }
            string(column.name, &mut prefix);
            prefix.push(b':');
            prepared.push((prefix, column.field_type));
        }
        FeatureWriter { columns: prepared, geometry: geometry.map(|dimensions| GeometryWriter { dimensions }) }
    }

    /// Appends `{"attributes":{…},"geometry":{…}}`. `first` is the position of the first of the layer's columns in the row.
    pub(crate) fn write(&self, row: &PgRow, first: usize, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(b"{\"attributes\":");
        self.attributes(row, first, out)?;
        if let Some(geometry) = &self.geometry {
            let value = row.try_get_raw(first + self.columns.len())?;
            if !value.is_null() {
                let bytes = value.as_bytes().map_err(|error| Error::internal("reading a geometry", error))?;
                let start = out.len();
                out.extend_from_slice(b",\"geometry\":");
                if !geometry.write(bytes, out)? {
                    out.truncate(start);
                }
            }
        }
        out.push(b'}');
        Ok(())
    }

    /// Appends `{"name":value,…}`.
    pub(super) fn attributes(&self, row: &PgRow, first: usize, out: &mut Vec<u8>) -> Result<()> {
        out.push(b'{');
        for (position, (prefix, field_type)) in self.columns.iter().enumerate() {
            out.extend_from_slice(prefix);
            let value = row.try_get_raw(first + position)?;
            if value.is_null() {
                out.extend_from_slice(b"null");
            } else {
                let bytes = value.as_bytes().map_err(|error| Error::internal("reading a value", error))?;
                attribute(bytes, *field_type, out)?;
            }
        }
        out.push(b'}');
        Ok(())
    }
}

/// Appends a value as the database sends it.
pub(super) fn attribute(bytes: &[u8], field_type: FieldType, out: &mut Vec<u8>) -> Result<()> {
    match field_type {
        FieldType::Text | FieldType::TimestampOffset => {
            // The database sends UTF-8: the connection asks for it.
            escaped(bytes, out);
        }
        FieldType::Guid | FieldType::GlobalId => {
            let id = uuid::Uuid::from_slice(bytes).map_err(|error| Error::internal("reading a GUID", error))?;
            global_id(GlobalId(id), out);
        }
        FieldType::Single => match f64::from(f32::from_be_bytes(array(bytes)?)).is_finite() {
            true => {
                out.extend_from_slice(zmij::Buffer::new().format_finite(f32::from_be_bytes(array(bytes)?)).as_bytes());
            }
            false => out.extend_from_slice(b"null"),
        },
        FieldType::Double => number(f64::from_be_bytes(array(bytes)?), out),
        FieldType::Boolean => out.push(if bytes == [0] { b'0' } else { b'1' }),
        FieldType::Date => {
            // The first and the last number stand for infinity, for which clients have no date.
            match i64::from_be_bytes(array(bytes)?) {
                i64::MIN | i64::MAX => out.extend_from_slice(b"null"),
                microseconds => integer(microseconds.saturating_add(EPOCH_2000_US).div_euclid(1000), out),
            }
        }
        FieldType::DateOnly => match i32::from_be_bytes(array(bytes)?) {
            i32::MIN | i32::MAX => out.extend_from_slice(b"null"),
            days => match days.saturating_add(EPOCH_2000_DAYS) {
                days if calendar::WRITABLE_DAYS.contains(&days.into()) => day(days, out),
                _ => out.extend_from_slice(b"null"),
            },
        },
        FieldType::TimeOnly => time_of_day(i64::from_be_bytes(array(bytes)?), out),
        FieldType::ObjectId | FieldType::SmallInteger | FieldType::Integer | FieldType::BigInteger => {
            integer(integer_of(bytes)?, out);
        }
    }
    Ok(())
}

/// Reads an integer of whichever size.
pub(crate) fn integer_of(bytes: &[u8]) -> Result<i64> {
    Ok(match bytes.len() {
        2 => i64::from(i16::from_be_bytes(array(bytes)?)),
        4 => i64::from(i32::from_be_bytes(array(bytes)?)),
        _ => i64::from_be_bytes(array(bytes)?),
    })
}

/// Appends an integer.
pub(crate) fn integer(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a double in its shortest form that reads back as itself, or null for what JSON has no number for.
pub(crate) fn number(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Appends a quoted global id.
pub(crate) fn global_id(id: GlobalId, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(b"\"{");
    for (index, byte) in id.0.as_bytes().iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            out.push(b'-');
        }
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
    out.extend_from_slice(b"}\"");
}

/// Appends a quoted and escaped text.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    escaped(text.as_bytes(), out);
}

fn escaped(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut clean = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[clean..index]);
        clean = index + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(b"0123456789abcdef"[usize::from(byte >> 4)]);
                out.push(b"0123456789abcdef"[usize::from(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[clean..]);
    out.push(b'"');
}

/// Appends a day of the years 1 to 9999, given as days since 1970, as a quoted ISO date.
pub(crate) fn day(days: i32, out: &mut Vec<u8>) {
    let (year, month, day) = calendar::date(days.into());
    out.extend_from_slice(format!("\"{year:04}-{month:02}-{day:02}\"").as_bytes());
}

pub(crate) fn time_of_day(microseconds: i64, out: &mut Vec<u8>) {
    let seconds = microseconds / 1_000_000;
    let (hours, minutes, seconds_left) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let text = match microseconds % 1_000_000 {
        0 => format!("\"{hours:02}:{minutes:02}:{seconds_left:02}\""),
        fraction => format!("\"{hours:02}:{minutes:02}:{seconds_left:02}.{fraction:06}\""),
    };
    out.extend_from_slice(text.as_bytes());
}

/// Writes EWKB as Esri JSON.
#[derive(Clone, Copy)]
struct GeometryWriter {
    dimensions: Dimensions,
}

impl GeometryWriter {
    /// Appends the geometry. False if it is empty or has a vertex that is no place, for which nothing useful was written.
    fn write(self, ewkb: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        let mut reader = Ewkb::new(ewkb);
        let kind = reader.head()?;
        match kind {
            1 => self.point(&mut reader, out)?,
            4 => self.parts(b"points", &mut reader, out, |this, reader, out| {
                let n_points = reader.count()?;
                for index in 0..n_points {
                    separator(index, out);
                    reader.head()?;
                    this.position(reader, out)?;
                }
                Ok(())
            })?,
            2 => self.parts(b"paths", &mut reader, out, Self::path)?,
            5 => self.parts(b"paths", &mut reader, out, |this, reader, out| this.each_part(reader, out, Self::path))?,
            3 => self.parts(b"rings", &mut reader, out, Self::rings)?,
            6 => {
                self.parts(b"rings", &mut reader, out, |this, reader, out| this.each_part(reader, out, Self::rings))?;
            }
            other => {
                return Err(Error::internal(
                    "writing a geometry",
                    format!("type {other} has no counterpart in the API"),
                ));
            }
        }
        Ok(reader.all_places)
    }

    fn point(self, reader: &mut Ewkb<'_>, out: &mut Vec<u8>) -> Result<()> {
        let [x, y, z, m] = reader.position()?;
        out.extend_from_slice(b"{\"x\":");
        number(x, out);
        out.extend_from_slice(b",\"y\":");
        number(y, out);
        if self.dimensions.z {
            out.extend_from_slice(b",\"z\":");
            number(z, out);
        }
        if self.dimensions.m {
            out.extend_from_slice(b",\"m\":");
            number(m, out);
        }
        out.push(b'}');
        Ok(())
    }

    fn parts(
        self,
        name: &[u8],
        reader: &mut Ewkb<'_>,
        out: &mut Vec<u8>,
        inner: impl Fn(Self, &mut Ewkb<'_>, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        out.push(b'{');
        if self.dimensions.z {
            out.extend_from_slice(b"\"hasZ\":true,");
        }
        if self.dimensions.m {
            out.extend_from_slice(b"\"hasM\":true,");
        }
        out.push(b'"');
        out.extend_from_slice(name);
        out.extend_from_slice(b"\":[");
        inner(self, reader, out)?;
        out.extend_from_slice(b"]}");
        Ok(())
    }

    fn each_part(
        self,
        reader: &mut Ewkb<'_>,
        out: &mut Vec<u8>,
        inner: impl Fn(Self, &mut Ewkb<'_>, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let n_parts = reader.count()?;
        for index in 0..n_parts {
            separator(index, out);
            reader.head()?;
            inner(self, reader, out)?;
        }
        Ok(())
    }

    fn path(self, reader: &mut Ewkb<'_>, out: &mut Vec<u8>) -> Result<()> {
        let n_positions = reader.count()?;
        out.push(b'[');
        for index in 0..n_positions {
            separator(index, out);
            self.position(reader, out)?;
        }
        out.push(b']');
        Ok(())
    }

    /// The rings of one polygon: the first clockwise, the holes counter-clockwise, which clients rely on.
    fn rings(self, reader: &mut Ewkb<'_>, out: &mut Vec<u8>) -> Result<()> {
        let n_rings = reader.count()?;
        for index in 0..n_rings {
            separator(index, out);
            let n_positions = reader.count()?;
            let counter_clockwise = reader.twice_area(n_positions)? > 0.0;
            out.push(b'[');
            if counter_clockwise == (index > 0) {
                for position in 0..n_positions {
                    separator(position, out);
                    self.position(reader, out)?;
                }
            } else {
                for position in 0..n_positions {
                    separator(position, out);
                    let mut vertex = reader.nth_last(n_positions, position)?;
                    self.position(&mut vertex, out)?;
                    reader.all_places &= vertex.all_places;
                }
                reader.skip(n_positions)?;
            }
            out.push(b']');
        }
        Ok(())
    }

    fn position(self, reader: &mut Ewkb<'_>, out: &mut Vec<u8>) -> Result<()> {
        let [x, y, z, m] = reader.position()?;
        out.push(b'[');
        number(x, out);
        out.push(b',');
        number(y, out);
        if self.dimensions.z {
            out.push(b',');
            number(z, out);
        }
        if self.dimensions.m {
            out.push(b',');
            number(m, out);
        }
        out.push(b']');
        Ok(())
    }
}

fn separator(index: u32, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::geometry::{Geometry, Position, Shape, Target};

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn esri(shape: Shape, multi: bool, dimensions: Dimensions) -> String {
        let target = Target { multi, has_z: dimensions.z, has_m: dimensions.m };
        let ewkb = Geometry { srid: 3857, shape }.to_ewkb(target).unwrap();
        text(|out| {
            GeometryWriter { dimensions }.write(&ewkb, out).unwrap();
        })
    }

    fn at(x: f64, y: f64) -> Position {
        Position { x, y, z: 7.0, m: f64::NAN }
    }

    #[test]
    fn text_is_escaped_and_numbers_read_back_as_themselves() {
        let hard = "quote \" back \\ line\nbell\u{7} é 中";
        let written = text(|out| string(hard, out));
        assert_eq!(serde_json::from_str::<String>(&written).unwrap(), hard);
        for value in [0.1, -1e-7, 1e300, 13_046_000.000_000_01, 5.0] {
            assert_eq!(serde_json::from_str::<f64>(&text(|out| number(value, out))).unwrap(), value);
        }
        assert_eq!(text(|out| number(f64::NAN, out)), "null");
    }

    #[test]
    fn days_and_times_are_written_as_iso() {
        assert_eq!(text(|out| day(0, out)), "\"1970-01-01\"");
        assert_eq!(text(|out| day(11_016, out)), "\"2000-02-29\"");
        assert_eq!(text(|out| day(-1, out)), "\"1969-12-31\"");
        assert_eq!(text(|out| time_of_day(57_276_500_000, out)), "\"15:54:36.500000\"");
    }

    #[test]
    fn rings_leave_clockwise_and_holes_counter_clockwise() {
        let ccw =
            |x: f64, size: f64| vec![at(x, x), at(x + size, x), at(x + size, x + size), at(x, x + size), at(x, x)];
        let written = esri(Shape::Polygon(vec![ccw(0.0, 10.0), ccw(2.0, 1.0)]), true, Dimensions::default());
        assert_eq!(
            written,
            "{\"rings\":[[[0.0,0.0],[0.0,10.0],[10.0,10.0],[10.0,0.0],[0.0,0.0]],[[2.0,2.0],[3.0,2.0],[3.0,3.0],[2.0,3.0],[2.0,2.0]]]}"
        );
    }

    #[test]
    fn heights_and_measures_are_written_where_the_layer_has_them() {
        let zm = Dimensions { z: true, m: true };
        assert_eq!(esri(Shape::Point(at(1.0, 2.0)), false, zm), "{\"x\":1.0,\"y\":2.0,\"z\":7.0,\"m\":null}");
        assert_eq!(
            esri(Shape::Polyline(vec![vec![at(1.0, 2.0), at(3.0, 4.0)]]), true, zm),
            "{\"hasZ\":true,\"hasM\":true,\"paths\":[[[1.0,2.0,7.0,null],[3.0,4.0,7.0,null]]]}"
        );
        assert_eq!(
            esri(Shape::Multipoint(vec![at(1.0, 2.0)]), true, Dimensions::default()),
            "{\"points\":[[1.0,2.0]]}"
        );
    }
}
