//! Answers to queries: a head, rows, and whether there are more.

use serde_json::Value as Json;
use sqlx::{Row as _, ValueRef as _, postgres::PgRow};

use crate::{
    error::{Error, Result},
    model::{
        layer::Field,
        output::{Encoding, Form, GeometryForm},
        value::FieldType,
    },
};

use super::{
    esri_json::{self, JsonWriter},
    geojson::GeoJsonWriter,
    json::integer,
    pbf::PbfWriter,
};

/// A column of the rows of an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column<'a> {
    /// The name under which clients find it.
    pub(crate) name: &'a str,
    /// What it holds, and so how the database sends it.
    pub(crate) field_type: FieldType,
}

impl<'a> From<&'a Field> for Column<'a> {
    fn from(field: &'a Field) -> Column<'a> {
        Column { name: &field.name, field_type: field.field_type }
    }
}

/// Writes the answer to a query, row by row, into memory: an answer is a page.
pub(crate) struct FeatureSetWriter {
    rows: Rows,
    out: Vec<u8>,
    n_rows: u64,
}

enum Rows {
    Json(JsonWriter),
    GeoJson(GeoJsonWriter),
    Pbf(PbfWriter),
}

impl FeatureSetWriter {
    /// A writer of rows that have `columns` and, if `has_geometry`, a geometry after them. `head` is everything of the answer but the
    /// features, as Esri JSON has it.
    pub(crate) fn new(head: &Json, columns: &[Column<'_>], has_geometry: bool, form: &Form) -> FeatureSetWriter {
        let mut out = Vec::with_capacity(64 * 1024);
        let geometry = has_geometry.then(|| form.geometry.clone());
        let rows = match form.encoding {
            Encoding::Json => {
                esri_json::begin(head, "features", &mut out);
                Rows::Json(JsonWriter::new(columns, geometry))
            }
            Encoding::GeoJson => Rows::GeoJson(GeoJsonWriter::begin(head, columns, geometry, &mut out)),
            Encoding::Pbf => Rows::Pbf(PbfWriter::begin(head, columns, geometry, &mut out)),
        };
        FeatureSetWriter { rows, out, n_rows: 0 }
    }

    /// Writes a row.
    pub(crate) fn row(&mut self, row: &PgRow) -> Result<()> {
        if self.n_rows > 0 && !matches!(self.rows, Rows::Pbf(_)) {
            self.out.push(b',');
        }
        self.n_rows += 1;
        match &mut self.rows {
            Rows::Json(writer) => writer.feature(row, 0, &mut self.out),
            Rows::GeoJson(writer) => writer.row(row, &mut self.out),
            Rows::Pbf(writer) => writer.row(row, &mut self.out),
        }
    }

    /// Ends the answer. `more`: whether there are rows that it does not have.
    pub(crate) fn finish(mut self, more: bool) -> Vec<u8> {
        match self.rows {
            Rows::Json(_) => esri_json::end(more, &mut self.out),
            Rows::GeoJson(_) => GeoJsonWriter::end(more, &mut self.out),
            Rows::Pbf(_) => return PbfWriter::end(more, &self.out),
        }
        self.out
    }
}

/// Writes records that are related to features, row by row, into memory: an answer is a page. There is no other encoding of them than
/// Esri JSON.
pub(crate) struct RelatedWriter {
    records: JsonWriter,
    out: Vec<u8>,
    /// The feature whose records are being written.
    feature: Option<i64>,
}

impl RelatedWriter {
    /// A writer of rows that have the object id of a feature, then the `columns` of a record and, if `geometry` is given, its
    /// geometry. `head` is everything of the answer but the records.
    pub(crate) fn new(head: &Json, columns: &[Column<'_>], geometry: Option<GeometryForm>) -> RelatedWriter {
        let mut out = Vec::with_capacity(16 * 1024);
        esri_json::begin(head, "relatedRecordGroups", &mut out);
        RelatedWriter { records: JsonWriter::new(columns, geometry), out, feature: None }
    }

    /// Writes a row. Those of a feature follow each other.
    pub(crate) fn row(&mut self, row: &PgRow) -> Result<()> {
        let feature: i64 = row.try_get(0)?;
        if self.feature == Some(feature) {
            self.out.push(b',');
        } else {
            let glue: &[u8] = if self.feature.is_some() { b"]},{\"objectId\":" } else { b"{\"objectId\":" };
            self.out.extend_from_slice(glue);
            integer(feature, &mut self.out);
            self.out.extend_from_slice(b",\"relatedRecords\":[");
            self.feature = Some(feature);
        }
        self.records.feature(row, 1, &mut self.out)
    }

    /// Ends the answer. `more`: whether there are records that it does not have.
    pub(crate) fn finish(mut self, more: bool) -> Vec<u8> {
        if self.feature.is_some() {
            self.out.extend_from_slice(b"]}");
        }
        esri_json::end(more, &mut self.out);
        self.out
    }
}

/// The bytes of a value, unless it is null.
pub(super) fn value_of(row: &PgRow, position: usize) -> Result<Option<&[u8]>> {
    let value = row.try_get_raw(position)?;
    match value.is_null() {
        true => Ok(None),
        false => value.as_bytes().map(Some).map_err(|error| Error::internal("reading a value", error)),
    }
}
