//! Values of fields: JSON on the line, SQLite's values in the file.

use rusqlite::types::{Value, ValueRef};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Value as Json;

use crate::model::{
    calendar,
    id::GlobalId,
    value::{brief, day, iso_instant, time_of_day},
};

/// What the values of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    ObjectId,
    GlobalId,
    Guid,
    Small,
    Integer,
    Big,
    Single,
    Double,
    Text,
    /// An instant: milliseconds since 1970 on the line, ISO 8601 in the file, UTC in both.
    Date,
    DateOnly,
    TimeOnly,
    /// An instant with the offset at which it was written down.
    Offset,
}

impl Kind {
    /// Reads the API's name. `None` for what is not carried along: shapes, blobs, rasters, XML.
    pub(crate) fn from_name(name: &str) -> Option<Kind> {
        Some(match name {
            "esriFieldTypeOID" => Kind::ObjectId,
            "esriFieldTypeGlobalID" => Kind::GlobalId,
            "esriFieldTypeGUID" => Kind::Guid,
            "esriFieldTypeSmallInteger" => Kind::Small,
            "esriFieldTypeInteger" => Kind::Integer,
            "esriFieldTypeBigInteger" => Kind::Big,
            "esriFieldTypeSingle" => Kind::Single,
            "esriFieldTypeDouble" => Kind::Double,
            "esriFieldTypeString" => Kind::Text,
            "esriFieldTypeDate" => Kind::Date,
            "esriFieldTypeDateOnly" => Kind::DateOnly,
            "esriFieldTypeTimeOnly" => Kind::TimeOnly,
            "esriFieldTypeTimestampOffset" => Kind::Offset,
            _ => return None,
        })
    }
}

/// A value as JSON has it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Integer(i64),
    Real(f64),
    Text(String),
    /// An array or an object, which no field holds.
    Compound,
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Scalar, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Scalar;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value")
            }
            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar::Integer(value))
            }
            #[expect(clippy::cast_precision_loss, reason = "SQLite has no larger integers either")]
            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(i64::try_from(value).map_or(Scalar::Real(value as f64), Scalar::Integer))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar::Real(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar::Text(value.to_owned()))
            }
            fn visit_string<E>(self, value: String) -> Result<Scalar, E> {
                Ok(Scalar::Text(value))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Scalar, A::Error> {
                while sequence.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                Ok(Scalar::Compound)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Scalar, A::Error> {
                while map.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {}
                Ok(Scalar::Compound)
            }
        }
        deserializer.deserialize_any(Read)
    }
}

const DAY_MS: i64 = 86_400_000;

/// What the file holds for a value of the server's.
#[expect(clippy::cast_possible_truncation, reason = "dates written as whole numbers with a point")]
pub(crate) fn to_file(kind: Kind, scalar: Scalar) -> Result<Value, String> {
    Ok(match (kind, scalar) {
        (_, Scalar::Null) => Value::Null,
        (_, Scalar::Compound) => return Err("a list or an object is no value of a field".to_owned()),
        (Kind::Date, Scalar::Integer(ms)) => Value::Text(iso(ms)?),
        (Kind::Date, Scalar::Real(ms)) if ms.abs() < 1e15 => Value::Text(iso(ms as i64)?),
        (Kind::Date, Scalar::Text(text)) => match iso_instant(text.trim()) {
            Some(us) => Value::Text(iso(us.div_euclid(1000))?),
            None => Value::Text(text),
        },
        (Kind::GlobalId | Kind::Guid, Scalar::Text(text)) => {
            Value::Text(GlobalId::parse(&text).map_or(text, |id| id.to_string()))
        }
        (Kind::Text, Scalar::Integer(value)) => Value::Text(value.to_string()),
        (Kind::Text, Scalar::Real(value)) => Value::Text(value.to_string()),
        (Kind::Text, Scalar::Bool(value)) => Value::Text(value.to_string()),
        (_, Scalar::Bool(value)) => Value::Integer(i64::from(value)),
        (_, Scalar::Integer(value)) => Value::Integer(value),
        (_, Scalar::Real(value)) => Value::Real(value),
        (_, Scalar::Text(text)) => Value::Text(text),
    })
}

/// What the server is sent for a value of the file. The error says why it cannot be.
pub(crate) fn to_server(kind: Kind, value: ValueRef<'_>) -> Result<Json, String> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| "the text is not UTF-8".to_owned());
    match (kind, value) {
        (_, ValueRef::Null) => Ok(Json::Null),
        (Kind::Date, ValueRef::Text(bytes)) => {
            let text = text(bytes)?;
            let us = iso_instant(text.trim())
                .ok_or_else(|| format!("'{}' is not a date; write 2024-01-31T10:00:00Z", brief(&text)))?;
            Ok(us.div_euclid(1000).into())
        }
        (Kind::Date, ValueRef::Integer(_) | ValueRef::Real(_)) => {
            Err("a number is not a date; write 2024-01-31T10:00:00Z".to_owned())
        }
        (Kind::DateOnly, ValueRef::Text(bytes)) => {
            let text = text(bytes)?;
            let date = text.get(..10).filter(|date| day(date).is_some());
            date.map(Into::into).ok_or_else(|| format!("'{}' is not a date; write 2024-01-31", brief(&text)))
        }
        (Kind::TimeOnly, ValueRef::Text(bytes)) => {
            let text = text(bytes)?;
            time_of_day(&text).ok_or_else(|| format!("'{}' is not a time; write 10:00:00", brief(&text)))?;
            Ok(text.into())
        }
        (Kind::GlobalId | Kind::Guid, ValueRef::Text(bytes)) => {
            let text = text(bytes)?;
            match GlobalId::parse(&text) {
                Some(id) => Ok(id.to_string().into()),
                None if text.trim().is_empty() => Ok(Json::Null),
                None => Err(format!("'{}' is not a GUID", brief(&text))),
            }
        }
        (Kind::Text, ValueRef::Integer(value)) => Ok(value.to_string().into()),
        (Kind::Text, ValueRef::Real(value)) => Ok(value.to_string().into()),
        (_, ValueRef::Text(bytes)) => Ok(text(bytes)?.into()),
        (_, ValueRef::Integer(value)) => Ok(value.into()),
        (Kind::ObjectId | Kind::Small | Kind::Integer | Kind::Big, ValueRef::Real(value)) => whole(value),
        (_, ValueRef::Real(value)) => {
            serde_json::Number::from_f64(value).map(Json::Number).ok_or_else(|| "infinity cannot be sent".to_owned())
        }
        (_, ValueRef::Blob(_)) => Err("the column holds bytes where a value is wanted".to_owned()),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "checked before")]
fn whole(value: f64) -> Result<Json, String> {
    match value.fract() == 0.0 && value.abs() < 9e15 {
        true => Ok((value as i64).into()),
        false => Err(format!("{value} is not a whole number")),
    }
}

/// An instant as the file writes it.
pub(crate) fn iso(ms: i64) -> Result<String, String> {
    let (year, month, date) = calendar::date(ms.div_euclid(DAY_MS));
    if !(1..=9999).contains(&year) {
        return Err(format!("the date {ms} (milliseconds since 1970) is not within the years 1 to 9999"));
    }
    let of_day = ms.rem_euclid(DAY_MS);
    let (hours, minutes, seconds) = (of_day / 3_600_000, of_day / 60_000 % 60, of_day / 1000 % 60);
    Ok(format!("{year:04}-{month:02}-{date:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", of_day % 1000))
}

/// Milliseconds since 1970, now.
pub(crate) fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_the_same_there_and_back() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(iso(ms).unwrap(), text);
            assert_eq!(to_server(Kind::Date, ValueRef::Text(text.as_bytes())).unwrap(), ms);
        }
        assert!(iso(i64::MAX).is_err());
        for text in ["2024-03-01 10:00:00", "2024-03-01T10:00Z", "2024-03-01T12:00:00+02:00"] {
            assert_eq!(
                to_server(Kind::Date, ValueRef::Text(text.as_bytes())).unwrap(),
                1_709_287_200_000_i64,
                "{text}"
            );
        }
    }

    #[test]
    fn what_cannot_be_sent_is_told() {
        assert!(to_server(Kind::Date, ValueRef::Text(b"tomorrow")).unwrap_err().contains("tomorrow"));
        assert!(to_server(Kind::Integer, ValueRef::Real(1.5)).unwrap_err().contains("1.5"));
        assert_eq!(to_server(Kind::Integer, ValueRef::Real(3.0)).unwrap(), 3);
        assert!(to_server(Kind::Double, ValueRef::Real(f64::INFINITY)).is_err());
        assert_eq!(to_server(Kind::Text, ValueRef::Integer(7)).unwrap(), "7");
        let id = to_server(Kind::GlobalId, ValueRef::Text(b"0b9fc2a5-6b0f-4d3c-8a51-0123456789ab")).unwrap();
        assert_eq!(id, "{0B9FC2A5-6B0F-4D3C-8A51-0123456789AB}");
    }
}
