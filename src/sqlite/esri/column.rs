//! Columns of mobile geodatabases: how they are defined, registered and filled.

use rusqlite::types::ValueRef;

use crate::{
    error::{Error, Result},
    format::{
        array,
        json::{day, integer_of, time_of_day},
    },
    model::{
        layer::{Field, Layer},
        value::FieldType,
    },
    sqlite::{
        cannot_write,
        geopackage::values::{real, writable},
        insert::Slots,
    },
};

/// Microseconds from 1970 to 2000, where PostgreSQL counts from.
const EPOCH_2000_US: i64 = 946_684_800_000_000;
/// Days from 1970 to 2000.
const EPOCH_2000_DAYS: i64 = 10_957;
/// The Julian day with which 1970 begins.
const JULIAN_1970: f64 = 2_440_587.5;
const DAY_MS: f64 = 86_400_000.0;
/// The last Julian day of the year 9999.
const LAST: f64 = 5_373_484.0;

/// A column of a table in the file.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// Its name: that of the service's field.
    pub(super) name: String,
    /// What it holds.
    pub(super) kind: Kind,
    /// Whether whoever edits the file may leave it empty.
    pub(super) nullable: bool,
    /// Whether rows may come without a value: also those from before a definition required one.
    pub(super) may_come_empty: bool,
}

/// What a column holds, in the format's own terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ObjectId,
    Short,
    Integer,
    Single,
    Double,
    /// At most so many characters.
    Text(u32),
    Clob,
    Date,
    Guid,
    GlobalId,
    Blob,
    Shape,
}

impl Column {
    /// The column of a field.
    pub(super) fn of(layer: &Layer, index: usize) -> Column {
        let field = &layer.fields[index];
        let kind = match field.field_type {
            FieldType::ObjectId => Kind::ObjectId,
            FieldType::GlobalId => Kind::GlobalId,
            FieldType::Guid => Kind::Guid,
            FieldType::SmallInteger | FieldType::Boolean => Kind::Short,
            FieldType::Integer => Kind::Integer,
            FieldType::Single => Kind::Single,
            // The level of the file has no larger integer; a double holds what clients hold exactly.
            FieldType::Double | FieldType::BigInteger => Kind::Double,
            FieldType::Text => field.length.map_or(Kind::Clob, Kind::Text),
            FieldType::Date => Kind::Date,
            // Nor has it a type for a day, a time, or an instant with an offset.
            FieldType::DateOnly => Kind::Text(10),
            FieldType::TimeOnly => Kind::Text(15),
            FieldType::TimestampOffset => Kind::Text(35),
        };
        // What somebody else fills in may be empty on a device.
        let filled_in = field.has_default || !layer.is_editable(index);
        let is_key = matches!(kind, Kind::ObjectId | Kind::GlobalId);
        let nullable = !is_key && (layer.is_nullable(index) || filled_in);
        Column { name: field.name.clone(), kind, nullable, may_come_empty: nullable || (!is_key && field.nullable) }
    }

    /// The columns of a table of attachments.
    pub(super) fn of_attachments() -> [Column; 7] {
        let column = |name: &str, kind| Column {
            name: name.to_owned(),
            kind,
            nullable: kind == Kind::Blob,
            may_come_empty: kind == Kind::Blob,
        };
        [
            column("ATTACHMENTID", Kind::ObjectId),
            column("GLOBALID", Kind::GlobalId),
            column("REL_GLOBALID", Kind::Guid),
            column("CONTENT_TYPE", Kind::Text(150)),
            column("ATT_NAME", Kind::Text(250)),
            column("DATA_SIZE", Kind::Integer),
            column("DATA", Kind::Blob),
        ]
    }

    /// Its definition in a table of a replica, spelled as genuine files spell it.
    pub(super) fn definition(&self) -> String {
        let name = identifier(&self.name);
        let c = name.as_str();
        let null = if self.may_come_empty { "" } else { " not null" };
        // A check of the type that also holds for what is missing.
        let is = |sql_type: &str| match self.may_come_empty {
            true => format!("(typeof({c}) = '{sql_type}' or typeof({c}) = 'null')"),
            false => format!("typeof({c}) = '{sql_type}'"),
        };
        // The same, where nothing else is checked.
        let only = |sql_type: &str| match self.may_come_empty {
            true => format!("typeof({c}) = '{sql_type}' or typeof({c}) = 'null'"),
            false => format!("typeof({c}) = '{sql_type}'"),
        };
        match self.kind {
            Kind::ObjectId | Kind::Integer => {
                format!("{c} int32 check({} and {c} >= -2147483648 and {c} <= 2147483647){null}", is("integer"))
            }
            Kind::Short => format!("{c} int16 check({} and {c} >= -32768 and {c} <= 32767){null}", is("integer")),
            Kind::Single => format!("{c} float32 check({}){null}", only("real")),
            Kind::Double => format!("{c} float64 check({}){null}", only("real")),
            Kind::Text(length) => {
                format!("{c} text({length}) check({} and not length({c}) > {length}){null}", is("text"))
            }
            Kind::Clob => format!("{c} clob(2147483647){null}"),
            Kind::Date => format!("{c} realdate check({} and {c} >= 0.0){null}", is("real")),
            Kind::Guid | Kind::GlobalId => format!("{c} uuidtext check({} and length({c}) = 38){null}", is("text")),
            Kind::Blob => format!("{c} blob check({}){null}", only("blob")),
            Kind::Shape => format!(
                "{c} geometryblob check((typeof({c}) = 'blob' and length({c}) >= 18 and cast(hex(substr({c},1,1)) as integer) = 64) or typeof({c}) = 'null')"
            ),
        }
    }

    /// Its definition in a file of changes, which checks nothing.
    pub(super) fn plain_definition(&self) -> String {
        let name = crate::sqlite::quoted(&self.name);
        let declared = match self.kind {
            Kind::ObjectId => return format!("{name} integer primary key autoincrement"),
            Kind::GlobalId => return format!("{name} uuidtext unique not null"),
            Kind::Short => "int16",
            Kind::Integer => "int32",
            Kind::Single => "float32",
            Kind::Double => "float64",
            Kind::Text(length) => return format!("{name} text({length})"),
            Kind::Clob => "clob",
            Kind::Date => "realdate",
            Kind::Guid => "uuidtext",
            Kind::Blob => "blob",
            Kind::Shape => "geometryblob",
        };
        format!("{name} {declared}")
    }

    /// How it is registered: the type's number, size, decimal digits, flags.
    pub(super) fn registered(&self) -> (i64, Option<i64>, Option<i64>, i64) {
        let nullable = if self.nullable { 4 } else { 0 };
        match self.kind {
            Kind::ObjectId => (2, Some(0), None, 3),
            Kind::Short => (1, Some(0), None, nullable),
            Kind::Integer => (2, Some(0), None, nullable),
            Kind::Single => (3, Some(0), Some(0), nullable),
            Kind::Double => (4, Some(0), Some(0), nullable),
            Kind::Text(length) => (5, Some(i64::from(length)), None, nullable),
            Kind::Clob => (13, None, None, nullable),
            Kind::Date => (7, Some(0), None, nullable),
            Kind::Guid => (12, Some(38), None, nullable),
            Kind::GlobalId => (12, Some(38), None, 256),
            Kind::Blob => (6, None, None, nullable),
            Kind::Shape => (8, None, None, 32_768 | nullable),
        }
    }

    /// The name of the type in definitions.
    pub(super) fn field_type(&self) -> &'static str {
        match self.kind {
            Kind::ObjectId => "esriFieldTypeOID",
            Kind::Short => "esriFieldTypeSmallInteger",
            Kind::Integer => "esriFieldTypeInteger",
            Kind::Single => "esriFieldTypeSingle",
            Kind::Double => "esriFieldTypeDouble",
            Kind::Text(_) | Kind::Clob => "esriFieldTypeString",
            Kind::Date => "esriFieldTypeDate",
            Kind::Guid => "esriFieldTypeGUID",
            Kind::GlobalId => "esriFieldTypeGlobalID",
            Kind::Blob => "esriFieldTypeBlob",
            Kind::Shape => "esriFieldTypeGeometry",
        }
    }
}

/// Puts a field's value that is not null, as the database sends it. What the file cannot say is null; in a column that takes no null, the nearest that
/// it can say. An error names the field.
pub(super) fn put(bytes: &[u8], field: &Field, slots: &mut Slots<'_, '_>) -> Result<()> {
    let name = &field.name;
    let put = |slots: &mut Slots<'_, '_>, value: ValueRef<'_>| slots.put(value).map_err(cannot_write);
    match field.field_type {
        FieldType::Text | FieldType::TimestampOffset => put(slots, ValueRef::Text(bytes)),
        FieldType::Guid | FieldType::GlobalId => {
            let id = uuid::Uuid::from_slice(bytes).map_err(|error| Error::internal("reading a GUID", error))?;
            put(slots, ValueRef::Text(braced(id, &mut [0; 38])))
        }
        FieldType::Single => put(slots, real(f64::from(f32::from_be_bytes(array(bytes)?)), field)),
        FieldType::Double => put(slots, real(f64::from_be_bytes(array(bytes)?), field)),
        FieldType::Boolean => put(slots, ValueRef::Integer(i64::from(bytes != [0]))),
        FieldType::Date => match i64::from_be_bytes(array(bytes)?) {
            // Infinity, for which clients have no date.
            i64::MIN | i64::MAX if field.nullable => put(slots, ValueRef::Null),
            i64::MIN => put(slots, ValueRef::Real(0.0)),
            i64::MAX => put(slots, ValueRef::Real(LAST)),
            microseconds => {
                put(slots, ValueRef::Real(julian_day(microseconds.saturating_add(EPOCH_2000_US).div_euclid(1000))))
            }
        },
        FieldType::DateOnly => {
            let days = i64::from(i32::from_be_bytes(array(bytes)?)) + EPOCH_2000_DAYS;
            match writable(days, field).and_then(|days| i32::try_from(days).ok()) {
                None => put(slots, ValueRef::Null),
                Some(days) => put_unquoted(slots, |out| day(days, out)),
            }
        }
        FieldType::TimeOnly => {
            let microseconds = i64::from_be_bytes(array(bytes)?);
            put_unquoted(slots, |out| time_of_day(microseconds, out))
        }
        FieldType::BigInteger => {
            let whole = integer_of(bytes)?;
            if whole.unsigned_abs() > 1 << 53 {
                return Err(too_large(name, whole, "whole numbers beyond 2^53"));
            }
            #[expect(clippy::cast_precision_loss, reason = "within 2^53, checked above")]
            put(slots, ValueRef::Real(whole as f64))
        }
        FieldType::ObjectId => {
            let id = integer_of(bytes)?;
            i32::try_from(id).map_err(|_| too_large(name, id, "object ids beyond 32 bits"))?;
            put(slots, ValueRef::Integer(id))
        }
        FieldType::SmallInteger | FieldType::Integer => put(slots, ValueRef::Integer(integer_of(bytes)?)),
    }
}

fn too_large(name: &str, value: i64, what: &str) -> Error {
    Error::NotSupported(format!(
        "field '{name}' has the value {value} in a row, and a mobile geodatabase cannot hold {what}; use dataFormat=json or geopackage"
    ))
}

/// Puts a text that is written in quotes, without them.
fn put_unquoted(slots: &mut Slots<'_, '_>, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
    let mut text = Vec::with_capacity(20);
    write(&mut text);
    let bare = text.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(&text);
    slots.put(ValueRef::Text(bare)).map_err(cannot_write)
}

/// An instant, given as milliseconds since 1970, as the files have it.
pub(super) fn julian_day(ms: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "instants are within the years 1 to 9999")]
    let ms = ms as f64;
    JULIAN_1970 + ms / DAY_MS
}

/// Milliseconds since 1970 of a Julian day; what is behind the milliseconds is the rounding of the day. `None` outside of the years that instants have.
pub(super) fn instant_ms(julian_day: f64) -> Option<i64> {
    let ms = ((julian_day - JULIAN_1970) * DAY_MS).round();
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
    (ms.abs() < 4e14).then_some(ms as i64)
}

/// A GUID in braces and capitals.
pub(super) fn braced(id: uuid::Uuid, out: &mut [u8; 38]) -> &[u8] {
    // The buffer is as long as the text.
    id.braced().encode_upper(out).as_bytes()
}

/// A name as it stands in definitions: bare where that is possible, as genuine files have it.
pub(super) fn identifier(name: &str) -> String {
    let mut characters = name.chars();
    let starts = characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let is_plain = starts && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_reserved = RESERVED.split(' ').any(|word| word.eq_ignore_ascii_case(name));
    if is_plain && !is_reserved { name.to_owned() } else { crate::sqlite::quoted(name) }
}

/// Words that SQLite does not take for names.
const RESERVED: &str = "abort action add after all alter always analyze and as asc attach autoincrement before begin between by cascade case cast \
check collate column commit conflict constraint create cross current current_date current_time current_timestamp database default deferrable \
deferred delete desc detach distinct do drop each else end escape except exclude exclusive exists explain fail filter first following for foreign \
from full generated glob group groups having if ignore immediate in index indexed initially inner insert instead intersect into is isnull join key \
last left like limit match materialized natural no not nothing notnull null nulls of offset on or order others outer over partition plan pragma \
preceding primary query raise range recursive references regexp reindex release rename replace restrict returning right rollback row rows savepoint \
select set table temp temporary then ties to transaction trigger unbounded union unique update using vacuum values view virtual when where window \
with without";
