//! Answers in Esri's protocol buffers: `FeatureCollectionPBuffer`, version 1.
//!
//! The numbers of messages and members are those of the published `FeatureCollection.proto`. What every reader needs before
//! features (fields, transform, geometry type) stands before them.

use serde_json::Value as Json;
use sqlx::postgres::PgRow;

use crate::{
    error::{Error, Result},
    model::{
        output::{GeometryForm, nearest},
        value::FieldType,
    },
};

use super::{
    array,
    feature_set::{Column, value_of},
    json::{self, EPOCH_2000_US},
    vertices::{Cell, Cells, Kind, Outer, Vertices, cell},
};

/// How fine heights and measures are.
const Z_SCALE: f64 = 1e-4;
/// Measures are told by their distance from here, so that the number 0 is left for those that are not known.
const M_TRANSLATE: f64 = -100_000.0;

/// Writes rows as features of a `FeatureResult`.
pub(super) struct PbfWriter {
    columns: Vec<FieldType>,
    geometry: Option<GeometryForm>,
    vertices: Vertices,
    cells: Cells,
    feature: Vec<u8>,
    part: Vec<u8>,
}

impl PbfWriter {
    /// Begins a result.
    pub(super) fn begin(
        head: &Json,
        columns: &[Column<'_>],
        geometry: Option<GeometryForm>,
        out: &mut Vec<u8>,
    ) -> PbfWriter {
        feature_result_head(head, out);
        PbfWriter {
            columns: columns.iter().map(|column| column.field_type).collect(),
            geometry,
            vertices: Vertices::default(),
            cells: Cells::default(),
            feature: Vec::with_capacity(1024),
            part: Vec::with_capacity(1024),
        }
    }

    /// Appends a feature.
    pub(super) fn row(&mut self, row: &PgRow, out: &mut Vec<u8>) -> Result<()> {
        self.feature.clear();
        for (position, &field_type) in self.columns.iter().enumerate() {
            self.part.clear();
            if let Some(bytes) = value_of(row, position)? {
                value(bytes, field_type, &mut self.part)?;
            }
            // A null is a value without anything in it.
            message(1, &self.part, &mut self.feature);
        }
        if self.geometry.is_some()
            && let Some(ewkb) = value_of(row, self.columns.len())?
        {
            self.geometry(ewkb)?;
        }
        message(15, &self.feature, out);
        Ok(())
    }

    fn geometry(&mut self, ewkb: &[u8]) -> Result<()> {
        let Some(form) = &self.geometry else { return Ok(()) };
        let Some(grid) = &form.grid else {
            return Err(Error::internal("writing a geometry", "protocol buffers need a grid"));
        };
        self.vertices.read(ewkb, Outer::Clockwise)?;
        let centroid = self.vertices.centroid().filter(|_| form.parts.centroid);
        let bounds = self.vertices.bounds().filter(|_| form.parts.envelope);
        if form.parts.vertices {
            self.cells.read(&self.vertices, grid)?;
            if !self.cells.cells.is_empty() {
                let mut lengths = Vec::new();
                let mut coords = Vec::with_capacity(self.cells.cells.len() * 4);
                for part in self.cells.each_part() {
                    varint(part.len() as u64, &mut lengths);
                    for &Cell { x, y, z, m } in part {
                        signed(x, &mut coords);
                        signed(y, &mut coords);
                        if form.dimensions.z {
                            signed(height(z), &mut coords);
                        }
                        if form.dimensions.m {
                            signed(measure(m), &mut coords);
                        }
                    }
                }
                self.part.clear();
                if self.vertices.kind != Kind::Point {
                    message(2, &lengths, &mut self.part);
                }
                message(3, &coords, &mut self.part);
                message(2, &self.part, &mut self.feature);
            }
        }
        if let Some(at) = centroid {
            let [x, y] = cell(grid, at)?;
            let mut coords = Vec::with_capacity(16);
            signed(x, &mut coords);
            signed(y, &mut coords);
            self.part.clear();
            message(3, &coords, &mut self.part);
            message(4, &self.part, &mut self.feature);
        }
        if let Some(bounds) = bounds {
            self.part.clear();
            for (number, corner) in (1..).zip(bounds) {
                double(number, corner, &mut self.part);
            }
            message(6, &self.part, &mut self.feature);
        }
        Ok(())
    }

    /// The whole answer, of a result to which all features were written.
    pub(super) fn end(more: bool, result: &[u8]) -> Vec<u8> {
        let mut tail = Vec::new();
        if more {
            boolean(9, true, &mut tail);
        }
        wrap(1, &[result, &tail])
    }
}

/// A number of rows.
pub(crate) fn count(count: i64) -> Vec<u8> {
    let mut out = Vec::new();
    unsigned(1, count.unsigned_abs(), &mut out);
    wrap(2, &[&out])
}

/// The most bytes of ids in an answer.
const MAX_ID_BYTES: usize = 16 << 20;

/// Writes object ids as they come.
pub(crate) struct IdsWriter {
    name: Vec<u8>,
    ids: Vec<u8>,
}

impl IdsWriter {
    /// A writer of the ids in the field with this name.
    pub(crate) fn new(field_name: &str) -> IdsWriter {
        let mut name = Vec::new();
        message(1, field_name.as_bytes(), &mut name);
        IdsWriter { name, ids: Vec::new() }
    }

    /// Appends an id. How long all of them are stands in front of them, so they are held until the last one is there.
    pub(crate) fn id(&mut self, id: i64) -> Result<()> {
        if self.ids.len() >= MAX_ID_BYTES {
            return Err(Error::TooLarge {
                what: "the answer",
                limit: "16 MiB of ids as protocol buffers; ask with f=json, which has no limit".to_owned(),
            });
        }
        // Negative ones become what every reader of 64 bits takes for them.
        varint(id.cast_unsigned(), &mut self.ids);
        Ok(())
    }

    /// The whole answer.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut ids = Vec::with_capacity(self.ids.len() + 8);
        message(3, &self.ids, &mut ids);
        wrap(3, &[&self.name, &ids])
    }
}

/// A box and how many rows there are in it. `extent` is a JSON envelope; corners that are no numbers are not a number here, too.
pub(crate) fn extent(extent: &Json, count: Option<i64>) -> Vec<u8> {
    let mut envelope = Vec::new();
    for (number, name) in (1..).zip(["xmin", "ymin", "xmax", "ymax"]) {
        double(number, extent[name].as_f64().unwrap_or(f64::NAN), &mut envelope);
    }
    message(5, &spatial_reference(&extent["spatialReference"]), &mut envelope);
    let mut out = Vec::new();
    message(1, &envelope, &mut out);
    if let Some(count) = count {
        unsigned(2, count.unsigned_abs(), &mut out);
    }
    wrap(4, &[&out])
}

/// A `FeatureCollectionPBuffer` that has a result of this number, which is in pieces.
fn wrap(number: u32, result: &[&[u8]]) -> Vec<u8> {
    let size = result.iter().map(|piece| piece.len()).sum::<usize>();
    let mut result_head = Vec::with_capacity(12);
    key(number, 2, &mut result_head);
    varint(size as u64, &mut result_head);
    let mut out = Vec::with_capacity(size + 32);
    message(1, b"1", &mut out);
    key(2, 2, &mut out);
    varint((result_head.len() + size) as u64, &mut out);
    out.extend_from_slice(&result_head);
    result.iter().for_each(|piece| out.extend_from_slice(piece));
    out
}

/// Appends everything of a `FeatureResult` but the features, from what Esri JSON has instead.
fn feature_result_head(head: &Json, out: &mut Vec<u8>) {
    text(1, &head["objectIdFieldName"], out);
    if let Some(unique) = head["uniqueIdField"].as_object() {
        let mut field = Vec::new();
        text(1, unique.get("name").unwrap_or(&Json::Null), &mut field);
        boolean(2, unique.get("isSystemMaintained").and_then(Json::as_bool).unwrap_or_default(), &mut field);
        message(2, &field, out);
    }
    text(3, &head["globalIdFieldName"], out);
    unsigned(7, geometry_type(head["geometryType"].as_str()), out);
    if head["spatialReference"].is_object() {
        message(8, &spatial_reference(&head["spatialReference"]), out);
    }
    boolean(10, head["hasZ"].as_bool().unwrap_or_default(), out);
    boolean(11, head["hasM"].as_bool().unwrap_or_default(), out);
    transform(&head["transform"], out);
    for field in head["fields"].as_array().into_iter().flatten() {
        let mut shown = Vec::new();
        text(1, &field["name"], &mut shown);
        unsigned(2, field_type(field["type"].as_str()), &mut shown);
        text(3, &field["alias"], &mut shown);
        // sqlTypeOther
        unsigned(4, 16, &mut shown);
        for (number, name) in [(5, "domain"), (6, "defaultValue")] {
            if !field[name].is_null() {
                message(number, field[name].to_string().as_bytes(), &mut shown);
            }
        }
        message(13, &shown, out);
    }
}

fn transform(given: &Json, out: &mut Vec<u8>) {
    let mut shown = Vec::new();
    unsigned(1, u64::from(given["originPosition"] == "lowerLeft"), &mut shown);
    let pair = |name: &str, other: f64| [0, 1].map(|axis| given[name][axis].as_f64().unwrap_or(other));
    for (number, [x, y], m, z) in
        [(2, pair("scale", 1.0), Z_SCALE, Z_SCALE), (3, pair("translate", 0.0), M_TRANSLATE, 0.0)]
    {
        let mut quadruple = Vec::with_capacity(36);
        for (axis, value) in (1..).zip([x, y, m, z]) {
            double(axis, value, &mut quadruple);
        }
        message(number, &quadruple, &mut shown);
    }
    message(12, &shown, out);
}

fn spatial_reference(given: &Json) -> Vec<u8> {
    let mut shown = Vec::new();
    for (number, name) in [(1, "wkid"), (2, "latestWkid")] {
        if let Some(code) = given[name].as_u64() {
            unsigned(number, code, &mut shown);
        }
    }
    if given["wkt"].is_string() {
        text(5, &given["wkt"], &mut shown);
    }
    shown
}

fn geometry_type(name: Option<&str>) -> u64 {
    match name {
        Some("esriGeometryPoint") => 0,
        Some("esriGeometryMultipoint") => 1,
        Some("esriGeometryPolyline") => 2,
        Some("esriGeometryPolygon") => 3,
        _ => 127,
    }
}

fn field_type(name: Option<&str>) -> u64 {
    match name {
        Some("esriFieldTypeSmallInteger") => 0,
        Some("esriFieldTypeInteger") => 1,
        Some("esriFieldTypeSingle") => 2,
        Some("esriFieldTypeDouble") => 3,
        Some("esriFieldTypeDate") => 5,
        Some("esriFieldTypeOID") => 6,
        Some("esriFieldTypeGUID") => 10,
        Some("esriFieldTypeGlobalID") => 11,
        Some("esriFieldTypeBigInteger") => 13,
        Some("esriFieldTypeDateOnly") => 14,
        Some("esriFieldTypeTimeOnly") => 15,
        Some("esriFieldTypeTimestampOffset") => 16,
        _ => 4,
    }
}

/// Appends a value in the member that readers expect for its type; nothing for what has no value for them.
fn value(bytes: &[u8], field_type: FieldType, out: &mut Vec<u8>) -> Result<()> {
    match field_type {
        FieldType::Text | FieldType::TimestampOffset => message(1, bytes, out),
        FieldType::Guid | FieldType::GlobalId | FieldType::DateOnly | FieldType::TimeOnly => {
            let mut quoted = Vec::with_capacity(40);
            json::attribute(bytes, field_type, &mut quoted)?;
            // There is nothing in them that JSON would write differently.
            if let Some(bare) = quoted.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) {
                message(1, bare, out);
            }
        }
        FieldType::Single => {
            let number = f32::from_be_bytes(array(bytes)?);
            if number.is_finite() {
                key(2, 5, out);
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        FieldType::Double => {
            let number = f64::from_be_bytes(array(bytes)?);
            if number.is_finite() {
                double(3, number, out);
            }
        }
        FieldType::Boolean => zigzag(4, i64::from(bytes != [0]), out),
        FieldType::Date => match i64::from_be_bytes(array(bytes)?) {
            i64::MIN | i64::MAX => {}
            microseconds => zigzag(8, microseconds.saturating_add(EPOCH_2000_US).div_euclid(1000), out),
        },
        FieldType::ObjectId | FieldType::SmallInteger | FieldType::Integer | FieldType::BigInteger => {
            let number = json::integer_of(bytes)?;
            match field_type {
                FieldType::ObjectId if u32::try_from(number).is_ok() => unsigned(5, number.unsigned_abs(), out),
                FieldType::SmallInteger | FieldType::Integer if i32::try_from(number).is_ok() => zigzag(4, number, out),
                _ => zigzag(8, number, out),
            }
        }
    }
    Ok(())
}

fn height(z: f64) -> i64 {
    nearest(z / Z_SCALE).unwrap_or_default()
}

fn measure(m: f64) -> i64 {
    nearest((m - M_TRANSLATE) / Z_SCALE).unwrap_or_default()
}

fn key(number: u32, wire_type: u32, out: &mut Vec<u8>) {
    varint(u64::from(number << 3 | wire_type), out);
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is less than 128")]
    out.push(value as u8);
}

/// Appends an integer so that small negative ones are short, too.
fn signed(value: i64, out: &mut Vec<u8>) {
    varint((value << 1 ^ value >> 63).cast_unsigned(), out);
}

fn zigzag(number: u32, value: i64, out: &mut Vec<u8>) {
    key(number, 0, out);
    signed(value, out);
}

fn unsigned(number: u32, value: u64, out: &mut Vec<u8>) {
    key(number, 0, out);
    varint(value, out);
}

fn boolean(number: u32, value: bool, out: &mut Vec<u8>) {
    unsigned(number, u64::from(value), out);
}

fn double(number: u32, value: f64, out: &mut Vec<u8>) {
    key(number, 1, out);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a text, or the empty one.
fn text(number: u32, value: &Json, out: &mut Vec<u8>) {
    message(number, value.as_str().unwrap_or_default().as_bytes(), out);
}

/// Appends bytes with their length: a text, or a message.
fn message(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    key(number, 2, out);
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
