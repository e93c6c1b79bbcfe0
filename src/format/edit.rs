//! Edits as Esri JSON: what a client sent, in the form in which it can be shown, kept, and read again.

use crate::model::{
    edit::{Edit, GeometryEdit, Op},
    geometry::{Dimensions, GeometryType, Position, Shape},
    layer::Layer,
    value::{FieldType, Value},
};

use super::json::{day, global_id, integer, number, string, time_of_day};

/// An edit as a feature: the global id, and what it names. A delete has its global id only.
pub(crate) fn feature(layer: &Layer, edit: &Edit) -> String {
    let mut key = Vec::new();
    string(&layer.global_id_field().name, &mut key);
    key.push(b':');
    global_id(edit.global_id, &mut key);
    keyed(layer, edit, &key)
}

/// The same of an edit that names its feature by the object id, if at all.
pub(crate) fn feature_by_object_id(layer: &Layer, edit: &Edit, id: Option<i64>) -> String {
    let mut key = Vec::new();
    string(&layer.object_id_field().name, &mut key);
    key.push(b':');
    match id {
        Some(id) => integer(id, &mut key),
        None => key.extend_from_slice(b"null"),
    }
    keyed(layer, edit, &key)
}

fn keyed(layer: &Layer, edit: &Edit, key: &[u8]) -> String {
    let mut out = b"{\"attributes\":{".to_vec();
    out.extend_from_slice(key);
    for (index, value) in &edit.values {
        let Some(field) = layer.fields.get(*index) else { continue };
        out.push(b',');
        string(&field.name, &mut out);
        out.push(b':');
        attribute(value, field.field_type, &mut out);
    }
    out.push(b'}');
    if edit.op != Op::Delete
        && let Some(shape) = &layer.shape
    {
        match &edit.geometry {
            GeometryEdit::Keep => {}
            GeometryEdit::Clear => {
                out.extend_from_slice(b",\"geometry\":");
                out.extend_from_slice(empty(shape.geometry_type));
            }
            GeometryEdit::Set(geometry) => {
                out.extend_from_slice(b",\"geometry\":");
                write_geometry(&geometry.shape, Some(geometry.srid), layer.dimensions(), &mut out);
            }
        }
    }
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}

fn attribute(value: &Value, field_type: FieldType, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Integer(whole) => integer(*whole, out),
        Value::Float(float) if field_type == FieldType::Single => {
            // The shortest text of a single; as a double it would have digits that nobody sent.
            #[expect(clippy::cast_possible_truncation, reason = "the field holds a single")]
            let single = *float as f32;
            out.extend_from_slice(zmij::Buffer::new().format(single).as_bytes());
        }
        Value::Float(float) => number(*float, out),
        Value::Text(text) => string(text, out),
        Value::Guid(guid) => global_id(crate::model::id::GlobalId(*guid), out),
        Value::Instant(microseconds) if microseconds % 1000 == 0 => integer(microseconds / 1000, out),
        Value::Instant(microseconds) => {
            // Milliseconds do not hold it.
            let days = microseconds.div_euclid(86_400_000_000);
            let (mut date, mut time) = (Vec::new(), Vec::new());
            day(i32::try_from(days).unwrap_or(i32::MAX), &mut date);
            time_of_day(microseconds.rem_euclid(86_400_000_000), &mut time);
            out.extend_from_slice(date.trim_ascii_end().strip_suffix(b"\"").unwrap_or(&date));
            out.push(b'T');
            out.extend_from_slice(time.strip_prefix(b"\"").and_then(|time| time.strip_suffix(b"\"")).unwrap_or(&time));
            out.extend_from_slice(b"Z\"");
        }
        Value::Day(days) => day(*days, out),
        Value::TimeOfDay(microseconds) => time_of_day(*microseconds, out),
    }
}

/// What clears a geometry of this type.
pub(crate) fn empty(geometry_type: GeometryType) -> &'static [u8] {
    match geometry_type {
        GeometryType::Point => b"{\"x\":\"NaN\",\"y\":\"NaN\"}",
        GeometryType::Multipoint => b"{\"points\":[]}",
        GeometryType::Polyline => b"{\"paths\":[]}",
        GeometryType::Polygon => b"{\"rings\":[]}",
    }
}

/// Appends a geometry; without its spatial reference if there is none.
pub(crate) fn write_geometry(shape: &Shape, srid: Option<i32>, dimensions: Dimensions, out: &mut Vec<u8>) {
    out.push(b'{');
    let flags = |out: &mut Vec<u8>| {
        if dimensions.z {
            out.extend_from_slice(b"\"hasZ\":true,");
        }
        if dimensions.m {
            out.extend_from_slice(b"\"hasM\":true,");
        }
    };
    match shape {
        Shape::Point(position) => {
            for (name, ordinate) in [("\"x\":", position.x), (",\"y\":", position.y)] {
                out.extend_from_slice(name.as_bytes());
                number(ordinate, out);
            }
            if dimensions.z {
                out.extend_from_slice(b",\"z\":");
                number(position.z, out);
            }
            if dimensions.m {
                out.extend_from_slice(b",\"m\":");
                number(position.m, out);
            }
        }
        Shape::Multipoint(positions) => {
            flags(out);
            out.extend_from_slice(b"\"points\":");
            write_positions(positions, dimensions, out);
        }
        Shape::Polyline(parts) => {
            flags(out);
            write_parts("\"paths\":[", parts, dimensions, out);
        }
        Shape::Polygon(parts) => {
            flags(out);
            write_parts("\"rings\":[", parts, dimensions, out);
        }
        Shape::Envelope { min, max } => {
            for (name, ordinate) in
                [("\"xmin\":", min.x), (",\"ymin\":", min.y), (",\"xmax\":", max.x), (",\"ymax\":", max.y)]
            {
                out.extend_from_slice(name.as_bytes());
                number(ordinate, out);
            }
        }
    }
    if let Some(srid) = srid {
        out.extend_from_slice(b",\"spatialReference\":{\"wkid\":");
        integer(i64::from(srid), out);
        out.push(b'}');
    }
    out.push(b'}');
}

fn write_parts(head: &str, parts: &[Vec<Position>], dimensions: Dimensions, out: &mut Vec<u8>) {
    out.extend_from_slice(head.as_bytes());
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_positions(part, dimensions, out);
    }
    out.push(b']');
}

fn write_positions(positions: &[Position], dimensions: Dimensions, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, position) in positions.iter().enumerate() {
        out.extend_from_slice(if index > 0 { b",[" } else { b"[" });
        number(position.x, out);
        out.push(b',');
        number(position.y, out);
        for ordinate in [dimensions.z.then_some(position.z), dimensions.m.then_some(position.m)].into_iter().flatten() {
            out.push(b',');
            number(ordinate, out);
        }
        out.push(b']');
    }
    out.push(b']');
}
