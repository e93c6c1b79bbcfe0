//! Values as the database sends them, in the form that GeoPackages have.

use rusqlite::types::ValueRef;

use crate::{
    error::{Error, Result},
    format::array,
    model::{calendar, layer::Field, value::FieldType},
    sqlite::{cannot_write, insert::Slots},
};

/// Microseconds from 1970 to 2000, where PostgreSQL counts from.
const EPOCH_2000_US: i64 = 946_684_800_000_000;
/// Days from 1970 to 2000.
const EPOCH_2000_DAYS: i64 = 10_957;
const DAY_US: i64 = 86_400_000_000;

/// The type with which a column is declared.
pub(in crate::sqlite) fn declared(field: &Field) -> String {
    match field.field_type {
        FieldType::ObjectId | FieldType::BigInteger => "INTEGER".to_owned(),
        FieldType::SmallInteger => "SMALLINT".to_owned(),
        FieldType::Integer => "MEDIUMINT".to_owned(),
        FieldType::Boolean => "BOOLEAN".to_owned(),
        FieldType::Single => "FLOAT".to_owned(),
        FieldType::Double => "DOUBLE".to_owned(),
        FieldType::Date => "DATETIME".to_owned(),
        FieldType::DateOnly => "DATE".to_owned(),
        // There is no type for a time of day.
        FieldType::TimeOnly => "TEXT(15)".to_owned(),
        FieldType::Guid | FieldType::GlobalId => "TEXT(38)".to_owned(),
        // As it was written: no type keeps the offset of an instant.
        FieldType::TimestampOffset => "TEXT(35)".to_owned(),
        FieldType::Text => field.length.map_or_else(|| "TEXT".to_owned(), |length| format!("TEXT({length})")),
    }
}

/// Puts a value that is not null. What the file cannot say is null; in a column that takes no null, the nearest that it can say.
pub(in crate::sqlite) fn put(bytes: &[u8], field: &Field, slots: &mut Slots<'_, '_>) -> Result<()> {
    let put = |slots: &mut Slots<'_, '_>, value: ValueRef<'_>| slots.put(value).map_err(cannot_write);
    match field.field_type {
        FieldType::Text | FieldType::TimestampOffset => put(slots, ValueRef::Text(bytes)),
        FieldType::Guid | FieldType::GlobalId => put(slots, ValueRef::Text(&guid(array(bytes)?))),
        FieldType::Single => put(slots, real(f64::from(f32::from_be_bytes(array(bytes)?)), field)),
        FieldType::Double => put(slots, real(f64::from_be_bytes(array(bytes)?), field)),
        FieldType::Boolean => put(slots, ValueRef::Integer(i64::from(bytes != [0]))),
        FieldType::Date => {
            // The first and the last number stand for infinity.
            let instant = i64::from_be_bytes(array(bytes)?).saturating_add(EPOCH_2000_US);
            match writable(instant.div_euclid(DAY_US), field) {
                None => put(slots, ValueRef::Null),
                Some(day) if day * DAY_US > instant => put(slots, ValueRef::Text(Stamp::new().instant(day * DAY_US))),
                Some(day) => {
                    let last_of_day = (day + 1) * DAY_US - 1;
                    put(slots, ValueRef::Text(Stamp::new().instant(instant.min(last_of_day))))
                }
            }
        }
        FieldType::DateOnly => match writable(i64::from(i32::from_be_bytes(array(bytes)?)) + EPOCH_2000_DAYS, field) {
            None => put(slots, ValueRef::Null),
            Some(day) => {
                let mut stamp = Stamp::new();
                stamp.day(day);
                put(slots, ValueRef::Text(stamp.bytes()))
            }
        },
        FieldType::TimeOnly => {
            let mut stamp = Stamp::new();
            stamp.time(i64::from_be_bytes(array(bytes)?), 6);
            put(slots, ValueRef::Text(stamp.bytes()))
        }
        FieldType::ObjectId | FieldType::SmallInteger | FieldType::Integer | FieldType::BigInteger => {
            put(slots, ValueRef::Integer(integer(bytes)?))
        }
    }
}

/// Reads an integer of whichever size.
pub(super) fn integer(bytes: &[u8]) -> Result<i64> {
    Ok(match bytes.len() {
        2 => i64::from(i16::from_be_bytes(array(bytes)?)),
        4 => i64::from(i32::from_be_bytes(array(bytes)?)),
        8 => i64::from_be_bytes(array(bytes)?),
        n => return Err(Error::internal("reading an integer", format!("it has {n} bytes"))),
    })
}

/// What is not finite has no place in a table that others calculate with; JSON has null there, too. In a column that takes no null, the
/// nearest number, or 0 for what is none.
pub(in crate::sqlite) fn real(value: f64, field: &Field) -> ValueRef<'static> {
    match value {
        _ if value.is_finite() => ValueRef::Real(value),
        _ if field.nullable => ValueRef::Null,
        _ if value.is_nan() => ValueRef::Real(0.0),
        _ => ValueRef::Real(value.clamp(f64::MIN, f64::MAX)),
    }
}

/// A day, given as days since 1970, if it can be written; the nearest that can, in a column that takes no null.
pub(in crate::sqlite) fn writable(days: i64, field: &Field) -> Option<i64> {
    match calendar::WRITABLE_DAYS.contains(&days) {
        false if field.nullable => None,
        _ => Some(days.clamp(*calendar::WRITABLE_DAYS.start(), *calendar::WRITABLE_DAYS.end())),
    }
}

/// A GUID in braces, in capitals.
pub(in crate::sqlite) fn guid(bytes: [u8; 16]) -> [u8; 38] {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = *b"{00000000-0000-0000-0000-000000000000}";
    let mut at = 1;
    for byte in bytes {
        if out[at] == b'-' {
            at += 1;
        }
        out[at] = HEX[usize::from(byte >> 4)];
        out[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    out
}

/// A date or time as text, made without an allocation.
struct Stamp {
    bytes: [u8; 40],
    length: usize,
}

impl Stamp {
    fn new() -> Stamp {
        Stamp { bytes: [0; 40], length: 0 }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    /// Appends a number in so many digits; nothing here has more than nine.
    fn digits(&mut self, value: i64, n_digits: usize) {
        let mut rest = value.unsigned_abs();
        for position in (0..n_digits).rev() {
            self.bytes[self.length + position] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
        }
        self.length += n_digits;
    }

    /// Appends a day, given as days since 1970: `2026-11-22`.
    fn day(&mut self, days: i64) {
        let (year, month, day) = calendar::date(days);
        if year < 0 {
            self.push(b'-');
        }
        self.digits(year, if year.abs() > 9999 { 6 } else { 4 });
        self.push(b'-');
        self.digits(month, 2);
        self.push(b'-');
        self.digits(day, 2);
    }

    /// Appends a time of day with so many digits of its second's fraction, if it has one.
    fn time(&mut self, microseconds: i64, n_digits: u32) {
        let seconds = microseconds / 1_000_000;
        for (position, part) in [seconds / 3600, seconds / 60 % 60, seconds % 60].into_iter().enumerate() {
            if position > 0 {
                self.push(b':');
            }
            self.digits(part, 2);
        }
        let fraction = microseconds % 1_000_000;
        if n_digits == 3 || fraction != 0 {
            self.push(b'.');
            self.digits(fraction / 10_i64.pow(6 - n_digits), n_digits as usize);
        }
    }

    /// An instant, given as microseconds since 1970: `2026-11-22T12:34:56.789Z`. Like everywhere, clients get milliseconds.
    fn instant(&mut self, microseconds: i64) -> &[u8] {
        self.day(microseconds.div_euclid(DAY_US));
        self.push(b'T');
        self.time(microseconds.rem_euclid(DAY_US), 3);
        self.push(b'Z');
        self.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_as_the_standard_has_them() {
        let text = |us| String::from_utf8(Stamp::new().instant(us).to_vec()).unwrap();
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(text(1_709_210_096_789_000), "2024-02-29T12:34:56.789Z");
        assert_eq!(text(-62_135_596_800_000_000), "0001-01-01T00:00:00.000Z");
    }

    #[test]
    fn guids_are_in_braces_and_capitals() {
        let id = uuid::Uuid::parse_str("0b2c4d6e-8f10-4a3b-9c5d-e7f901a2b3c4").unwrap();
        assert_eq!(&guid(*id.as_bytes()), b"{0B2C4D6E-8F10-4A3B-9C5D-E7F901A2B3C4}");
    }
}
