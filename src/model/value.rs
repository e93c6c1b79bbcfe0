//! Attribute values and their types, apart from how a database or a protocol spells them.

use uuid::Uuid;

use super::{calendar, id::GlobalId};

/// The type of a field, as far as a client can tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldType {
    /// The server's own integer key.
    ObjectId,
    /// The identity of a feature everywhere.
    GlobalId,
    /// A GUID that is not the feature's own.
    Guid,
    /// 16 bits.
    SmallInteger,
    /// 32 bits.
    Integer,
    /// 64 bits; clients hold them exactly only within 2^53.
    BigInteger,
    /// 32-bit floating point.
    Single,
    /// 64-bit floating point.
    Double,
    /// Text.
    Text,
    /// A boolean column, which the API shows as a small integer 0 or 1.
    Boolean,
    /// An instant.
    Date,
    /// A calendar day.
    DateOnly,
    /// A time of day.
    TimeOnly,
    /// An instant with the offset of the clock that told it, as ISO 8601 text.
    TimestampOffset,
}

impl FieldType {
    /// The name under which the catalogue stores it.
    pub fn name(self) -> &'static str {
        match self {
            FieldType::ObjectId => "object_id",
            FieldType::GlobalId => "global_id",
            FieldType::Guid => "guid",
            FieldType::SmallInteger => "small_integer",
            FieldType::Integer => "integer",
            FieldType::BigInteger => "big_integer",
            FieldType::Single => "single",
            FieldType::Double => "double",
            FieldType::Text => "text",
            FieldType::Boolean => "boolean",
            FieldType::Date => "date",
            FieldType::DateOnly => "date_only",
            FieldType::TimeOnly => "time_only",
            FieldType::TimestampOffset => "timestamp_offset",
        }
    }

    /// The type with this name in the catalogue.
    pub fn from_name(name: &str) -> Option<FieldType> {
        [
            FieldType::ObjectId,
            FieldType::GlobalId,
            FieldType::Guid,
            FieldType::SmallInteger,
            FieldType::Integer,
            FieldType::BigInteger,
            FieldType::Single,
            FieldType::Double,
            FieldType::Text,
            FieldType::Boolean,
            FieldType::Date,
            FieldType::DateOnly,
            FieldType::TimeOnly,
            FieldType::TimestampOffset,
        ]
        .into_iter()
        .find(|candidate| candidate.name() == name)
    }
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// Any integer type, and a boolean as 0 or 1.
    Integer(i64),
    /// Either floating-point type; finite.
    Float(f64),
    /// Text without NUL; also an instant with its offset, as it was written.
    Text(String),
    /// A GUID.
    Guid(Uuid),
    /// Microseconds since 1970-01-01T00:00Z.
    Instant(i64),
    /// Days since 1970-01-01.
    Day(i32),
    /// Microseconds since midnight.
    TimeOfDay(i64),
}

/// A value as it arrives in JSON, before the field's type gives it a meaning.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number without fraction that fits.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(String),
    /// An array or object, which no field takes.
    Compound,
}

/// A value of a JSON document; what is not one value is compound.
impl From<&serde_json::Value> for Scalar {
    fn from(given: &serde_json::Value) -> Scalar {
        match given {
            serde_json::Value::Null => Scalar::Null,
            serde_json::Value::Bool(value) => Scalar::Bool(*value),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Scalar::Integer(whole),
                (None, Some(float)) => Scalar::Float(float),
                (None, None) => Scalar::Compound,
            },
            serde_json::Value::String(text) => Scalar::Text(text.clone()),
            serde_json::Value::Array(_) | serde_json::Value::Object(_) => Scalar::Compound,
        }
    }
}

/// Gives a scalar the meaning that a field of type `field_type` gives it. `max_length` counts UTF-16 units, as clients do.
///
/// Blank text is null for everything but text; numbers in quotes are accepted; nothing is ever cut or rounded to fit.
/// The error says what is wrong with the value and what is accepted.
pub fn coerce(scalar: Scalar, field_type: FieldType, max_length: Option<u32>) -> Result<Value, String> {
    match field_type {
        FieldType::Text => text(scalar, max_length),
        _ => match scalar {
            Scalar::Null => Ok(Value::Null),
            Scalar::Text(blank) if blank.trim().is_empty() => Ok(Value::Null),
            Scalar::Compound => Err("an array or object where a single value belongs".to_owned()),
            given => typed(given, field_type),
        },
    }
}

fn text(scalar: Scalar, max_length: Option<u32>) -> Result<Value, String> {
    let text = match scalar {
        Scalar::Null => return Ok(Value::Null),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Integer(value) => value.to_string(),
        Scalar::Float(value) => value.to_string(),
        Scalar::Text(value) => value,
        Scalar::Compound => return Err("an array or object where text belongs".to_owned()),
    };
    if text.contains('\0') {
        return Err("text with a NUL character (U+0000), which cannot be stored; remove it".to_owned());
    }
    let length = text.encode_utf16().count();
    match max_length {
        Some(max) if length > max as usize => {
            Err(format!("text of {length} characters, and the field holds {max}; shorten it"))
        }
        _ => Ok(Value::Text(text)),
    }
}

fn typed(scalar: Scalar, field_type: FieldType) -> Result<Value, String> {
    match field_type {
        FieldType::SmallInteger => integer(&scalar, i64::from(i16::MIN), i64::from(i16::MAX)),
        FieldType::Integer | FieldType::ObjectId => integer(&scalar, i64::from(i32::MIN), i64::from(i32::MAX)),
        FieldType::BigInteger => integer(&scalar, i64::MIN, i64::MAX),
        FieldType::Boolean => boolean(&scalar),
        FieldType::Single | FieldType::Double => float(&scalar, field_type),
        FieldType::Guid | FieldType::GlobalId => match &scalar {
            Scalar::Text(given) => GlobalId::parse(given).map(|id| Value::Guid(id.0)).ok_or_else(|| {
                format!("'{}' is not a GUID, for instance {{8D8B7C2E-0000-4000-8000-00000000000A}}", brief(given))
            }),
            _ => Err(format!("{} is not a GUID in quotes", shown(&scalar))),
        },
        FieldType::Date => instant(&scalar),
        FieldType::DateOnly => match &scalar {
            Scalar::Text(given) => day(given.trim())
                .map(Value::Day)
                .ok_or_else(|| format!("'{}' is not a day written YYYY-MM-DD", brief(given))),
            _ => Err(format!("{} is not a day written 'YYYY-MM-DD'", shown(&scalar))),
        },
        FieldType::TimeOnly => match &scalar {
            Scalar::Text(given) => time_of_day(given.trim())
                .map(Value::TimeOfDay)
                .ok_or_else(|| format!("'{}' is not a time written HH:MM:SS", brief(given))),
            _ => Err(format!("{} is not a time written 'HH:MM:SS'", shown(&scalar))),
        },
        FieldType::TimestampOffset => match &scalar {
            Scalar::Text(given) if is_timestamp_offset(given.trim()) => Ok(Value::Text(given.trim().to_owned())),
            _ => Err(format!(
                "{} is not a date with its offset from UTC, for instance '2003-01-25T17:00:00-05:00'",
                shown(&scalar)
            )),
        },
        FieldType::Text => text(scalar, None),
    }
}

/// Whether it is `YYYY-MM-DDTHH:MM:SS[.ffffff](Z|±HH:MM)` and there is such an instant: what the type of the column takes.
fn is_timestamp_offset(text: &str) -> bool {
    let Some((clock, zone)) = text
        .find(['Z', '+'])
        .or_else(|| text.get(10..)?.find('-').map(|at| at + 10))
        .and_then(|at| text.split_at_checked(at))
    else {
        return false;
    };
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    // The database knows offsets of less than 16 hours.
    let offset_fits = match zone.as_bytes() {
        b"Z" => true,
        [b'+' | b'-', hours @ .., b':', _, _] => hours.len() == 2,
        _ => false,
    };
    offset_fits
        && whole.len() == "YYYY-MM-DDTHH:MM:SS".len()
        && whole.as_bytes().get(10) == Some(&b'T')
        && (1..=6).contains(&fraction.len())
        && fraction.bytes().all(|byte| byte.is_ascii_digit())
        && iso_instant(text).is_some()
}

fn integer(scalar: &Scalar, min: i64, max: i64) -> Result<Value, String> {
    let whole = match scalar {
        Scalar::Bool(value) => Some(i64::from(*value)),
        Scalar::Integer(value) => Some(*value),
        Scalar::Float(value) => whole(*value),
        Scalar::Text(given) => {
            let given = given.trim();
            given.parse().ok().or_else(|| given.parse().ok().and_then(whole))
        }
        Scalar::Null | Scalar::Compound => None,
    };
    match whole {
        Some(value) if (min..=max).contains(&value) => Ok(Value::Integer(value)),
        Some(value) => Err(format!("{value} is outside of {min} to {max}")),
        None => Err(format!("{} is not a whole number", shown(scalar))),
    }
}

/// The integer that a double stands for, if it stands for one exactly.
fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    if value.fract() == 0.0 && value.abs() <= EXACT {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number within 2^53, checked above")]
        return Some(value as i64);
    }
    None
}

fn boolean(scalar: &Scalar) -> Result<Value, String> {
    match integer(scalar, 0, 1) {
        Ok(value) => Ok(value),
        Err(_) => match scalar {
            Scalar::Text(given) if given.trim().eq_ignore_ascii_case("true") => Ok(Value::Integer(1)),
            Scalar::Text(given) if given.trim().eq_ignore_ascii_case("false") => Ok(Value::Integer(0)),
            _ => Err(format!("{} is neither 0 nor 1", shown(scalar))),
        },
    }
}

fn float(scalar: &Scalar, field_type: FieldType) -> Result<Value, String> {
    let value = match scalar {
        Scalar::Bool(value) => Some(f64::from(u8::from(*value))),
        #[expect(clippy::cast_precision_loss, reason = "a double is what the field holds")]
        Scalar::Integer(value) => Some(*value as f64),
        Scalar::Float(value) => Some(*value),
        Scalar::Text(given) => given.trim().parse::<f64>().ok(),
        Scalar::Null | Scalar::Compound => None,
    };
    match value {
        Some(value) if !value.is_finite() => Err(format!("{} is not a finite number", shown(scalar))),
        Some(value) if field_type == FieldType::Single && value.abs() > f64::from(f32::MAX) => {
            Err(format!("{value} does not fit into single precision"))
        }
        Some(value) => Ok(Value::Float(value)),
        None => Err(format!("{} is not a number", shown(scalar))),
    }
}

/// Milliseconds since 1970, as a number or in quotes, or an ISO 8601 text that says its zone (UTC if it has none).
fn instant(scalar: &Scalar) -> Result<Value, String> {
    // The years that can be written: 0001-01-01 to 9999-12-31.
    const FIRST_MS: i64 = -62_135_596_800_000;
    const LAST_MS: i64 = 253_402_300_799_999;
    let ms = match scalar {
        Scalar::Integer(ms) => Some(*ms),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "fractions of a millisecond are dropped by rule; the range is checked below"
        )]
        Scalar::Float(ms) if ms.is_finite() => Some(ms.trunc() as i64),
        Scalar::Text(given) => {
            let given = given.trim();
            match given.parse::<i64>() {
                Ok(ms) => Some(ms),
                Err(_) => {
                    return iso_instant(given).map(Value::Instant).ok_or_else(|| {
                        format!(
                            "'{}' is not a date: milliseconds since 1970 (UTC) or YYYY-MM-DDTHH:MM:SSZ",
                            brief(given)
                        )
                    });
                }
            }
        }
        _ => None,
    };
    match ms {
        Some(ms) if (FIRST_MS..=LAST_MS).contains(&ms) => Ok(Value::Instant(ms * 1000)),
        Some(ms) => {
            Err(format!("{ms} milliseconds is not within the years 1 to 9999; dates are milliseconds since 1970"))
        }
        None => Err(format!("{} is not a date: milliseconds since 1970 (UTC)", shown(scalar))),
    }
}

/// Microseconds since 1970 of `YYYY-MM-DD[(T| )HH:MM[:SS[.ffffff]]][Z|±HH[:MM]]`.
pub fn iso_instant(text: &str) -> Option<i64> {
    const DAY_US: i64 = 86_400_000_000;
    let date = text.get(..10)?;
    let days = i64::from(day(date)?);
    let rest = text.get(10..)?;
    if rest.is_empty() {
        return Some(days * DAY_US);
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, offset_us) = match rest.find(['Z', 'z', '+', '-']) {
        None => (rest, 0),
        Some(at) => (rest.get(..at)?, offset_us(rest.get(at..)?)?),
    };
    Some(days * DAY_US + time_of_day(clock)? - offset_us)
}

fn offset_us(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits: String = text.chars().skip(1).filter(|c| *c != ':').collect();
    let digits = if digits.len() == 2 { format!("{digits}00") } else { digits };
    if digits.len() != 4 {
        return None;
    }
    let number: i64 = digits.parse().ok()?;
    let (hours, minutes) = (number / 100, number % 100);
    (hours <= 15 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000_000)
}

/// Days since 1970-01-01 of `YYYY-MM-DD`, proleptic Gregorian.
pub fn day(text: &str) -> Option<i32> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if year.len() != 4 || month.len() != 2 || day.len() != 2 {
        return None;
    }
    let days = calendar::days(digits(year)?.into(), digits(month)?.into(), digits(day)?.into())?;
    i32::try_from(days).ok()
}

/// Microseconds since midnight of `HH:MM[:SS[.ffffff]]`.
pub fn time_of_day(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let (hours, minutes) = (digits(parts.next()?)?, digits(parts.next()?)?);
    let (seconds, micros) = match parts.next() {
        None => (0, 0),
        Some(seconds) => match seconds.split_once('.') {
            None => (digits(seconds)?, 0),
            Some((whole, fraction)) => {
                let padded: String = fraction.chars().chain("000000".chars()).take(6).collect();
                (digits(whole)?, digits(&padded)?)
            }
        },
    };
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    Some((i64::from(hours) * 3600 + i64::from(minutes) * 60 + i64::from(seconds)) * 1_000_000 + i64::from(micros))
}

fn digits(text: &str) -> Option<i32> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn shown(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Null => "null".to_owned(),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Integer(value) => value.to_string(),
        Scalar::Float(value) => value.to_string(),
        Scalar::Text(value) => format!("'{}'", brief(value)),
        Scalar::Compound => "an array or object".to_owned(),
    }
}

/// At most 60 characters of what somebody sent, for an error message.
pub fn brief(text: &str) -> String {
    if text.chars().count() <= 60 {
        return text.to_owned();
    }
    text.chars().take(60).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(scalar: Scalar, field_type: FieldType) -> Result<Value, String> {
        coerce(scalar, field_type, Some(5))
    }

    #[test]
    fn numbers_are_taken_in_quotes_but_never_rounded() {
        assert_eq!(of(Scalar::Text("5".into()), FieldType::Integer), Ok(Value::Integer(5)));
        assert_eq!(of(Scalar::Float(5.0), FieldType::Integer), Ok(Value::Integer(5)));
        assert_eq!(of(Scalar::Text(" ".into()), FieldType::Integer), Ok(Value::Null));
        assert!(of(Scalar::Float(5.5), FieldType::Integer).unwrap_err().contains("5.5 is not a whole number"));
        assert!(of(Scalar::Integer(40_000), FieldType::SmallInteger).unwrap_err().contains("-32768 to 32767"));
        assert!(of(Scalar::Text("five".into()), FieldType::Double).unwrap_err().contains("'five'"));
        assert_eq!(of(Scalar::Bool(true), FieldType::Boolean), Ok(Value::Integer(1)));
        assert!(of(Scalar::Integer(2), FieldType::Boolean).is_err());
    }

    #[test]
    fn instants_with_an_offset_stay_as_they_are_written() {
        for given in ["2003-01-25T17:00:00-05:00", "2003-01-25T17:00:00.123456+13:45", "2003-01-25T17:00:00Z"] {
            assert_eq!(
                of(Scalar::Text(given.into()), FieldType::TimestampOffset),
                Ok(Value::Text(given.to_owned())),
                "{given}"
            );
        }
        for given in [
            "2003-01-25T17:00:00",
            "2003-01-25",
            "2003-01-25 17:00:00Z",
            "2003-01-25T17:00Z",
            "2003-02-30T17:00:00Z",
            "2003-01-25T17:00:00+5",
            "2003-01-25T17:00:00+16:00",
            "2003-01-25T17:00:00.Z",
            "2003-01-25T17:00:00.1234567Z",
            "2003-01-25T17:00:00é",
        ] {
            let refused = of(Scalar::Text(given.into()), FieldType::TimestampOffset).unwrap_err();
            assert!(refused.contains(given) && refused.contains("offset"), "{refused}");
        }
        assert!(of(Scalar::Integer(0), FieldType::TimestampOffset).is_err());
    }

    #[test]
    fn text_is_never_cut() {
        assert_eq!(of(Scalar::Text("12345".into()), FieldType::Text), Ok(Value::Text("12345".into())));
        assert!(of(Scalar::Text("123456".into()), FieldType::Text).unwrap_err().contains("holds 5"));
        assert_eq!(of(Scalar::Text(String::new()), FieldType::Text), Ok(Value::Text(String::new())));
        assert!(of(Scalar::Text("a\0".into()), FieldType::Text).unwrap_err().contains("NUL"));
    }

    #[test]
    fn dates_are_utc_milliseconds_or_iso() {
        assert_eq!(of(Scalar::Integer(-1), FieldType::Date), Ok(Value::Instant(-1000)));
        assert_eq!(
            of(Scalar::Text("1970-01-02T00:00:00Z".into()), FieldType::Date),
            Ok(Value::Instant(86_400_000_000))
        );
        assert_eq!(of(Scalar::Text("1970-01-01T01:00:00+01:00".into()), FieldType::Date), Ok(Value::Instant(0)));
        assert!(of(Scalar::Text("1/31/2024".into()), FieldType::Date).is_err());
        assert!(of(Scalar::Integer(i64::MAX), FieldType::Date).is_err());
    }

    #[test]
    fn days_are_counted_as_the_calendar_has_them() {
        assert_eq!(day("1970-01-01"), Some(0));
        assert_eq!(day("2000-02-29"), Some(11_016));
        assert_eq!(day("1900-02-29"), None);
        assert_eq!(day("1969-12-31"), Some(-1));
        assert_eq!(day("2024-13-01"), None);
        assert_eq!(time_of_day("15:54:36.5"), Some(57_276_500_000));
        assert_eq!(time_of_day("24:00:00"), None);
    }

    #[test]
    fn every_field_type_is_found_by_its_name() {
        assert_eq!(FieldType::from_name("time_only"), Some(FieldType::TimeOnly));
        assert_eq!(FieldType::from_name("nothing"), None);
    }
}
