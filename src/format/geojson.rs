//! Features as GeoJSON (RFC 7946).

use serde_json::{Value as Json, json};
use sqlx::postgres::PgRow;

use crate::{
    error::Result,
    model::{geometry::Dimensions, output::GeometryForm, value::FieldType},
};

use super::{
    feature_set::{Column, value_of},
    json::{FeatureWriter, attribute, number},
    vertices::{Kind, Outer, Vertices},
};

/// Writes rows as features of a collection.
pub(super) struct GeoJsonWriter {
    properties: FeatureWriter,
    /// Where the id of a feature is among the columns.
    id: Option<(usize, FieldType)>,
    n_columns: usize,
    geometry: Option<GeometryForm>,
    vertices: Vertices,
}

impl GeoJsonWriter {
    /// Begins a collection. Coordinates that are no longitudes and latitudes are told by their reference, as older readers know it.
    pub(super) fn begin(
        head: &Json,
        columns: &[Column<'_>],
        geometry: Option<GeometryForm>,
        out: &mut Vec<u8>,
    ) -> GeoJsonWriter {
        let id_name = head["objectIdFieldName"].as_str();
        let id = columns.iter().position(|column| Some(column.name) == id_name);
        let id = id.map(|position| (position, columns[position].field_type));
        out.extend_from_slice(b"{\"type\":\"FeatureCollection\",");
        if let Some(srid) = head["spatialReference"]["latestWkid"].as_i64().filter(|&srid| srid != 4326) {
            let crs = json!({"type": "name", "properties": {"name": format!("EPSG:{srid}")}});
            out.extend_from_slice(format!("\"crs\":{crs},").as_bytes());
        }
        out.extend_from_slice(b"\"features\":[");
        GeoJsonWriter {
            properties: FeatureWriter::of(columns, None),
            id,
            n_columns: columns.len(),
            geometry,
            vertices: Vertices::default(),
        }
    }

    /// Appends a feature.
    pub(super) fn row(&mut self, row: &PgRow, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(b"{\"type\":\"Feature\",");
        if let Some((position, field_type)) = self.id
            && let Some(bytes) = value_of(row, position)?
        {
            out.extend_from_slice(b"\"id\":");
            attribute(bytes, field_type, out)?;
            out.push(b',');
        }
        out.extend_from_slice(b"\"geometry\":");
        if let Some(form) = &self.geometry
            && form.parts.vertices
            && let Some(ewkb) = value_of(row, self.n_columns)?
        {
            self.vertices.read(ewkb, Outer::CounterClockwise)?;
            if let Some(decimals) = form.precision {
                self.vertices.round(decimals);
            }
            geometry(&self.vertices, form.dimensions, out);
        } else {
            out.extend_from_slice(b"null");
        }
        out.extend_from_slice(b",\"properties\":");
        self.properties.attributes(row, 0, out)?;
        out.push(b'}');
        Ok(())
    }

    /// Ends the collection. That there is more is said in both places where readers look.
    pub(super) fn end(more: bool, out: &mut Vec<u8>) {
        out.extend_from_slice(match more {
            true => b"],\"properties\":{\"exceededTransferLimit\":true},\"exceededTransferLimit\":true}",
            false => b"]}",
        });
    }
}

/// Appends a geometry; of a single part, as the type that has only one. An empty one is null.
fn geometry(vertices: &Vertices, dimensions: Dimensions, out: &mut Vec<u8>) {
    let n_outer = vertices.parts.iter().filter(|part| !part.hole).count();
    let (name, single) = match (vertices.kind, n_outer) {
        (_, 0) => {
            out.extend_from_slice(b"null");
            return;
        }
        (Kind::Point, _) => ("Point", true),
        (Kind::Multipoint, _) => ("MultiPoint", true),
        (Kind::Paths, 1) => ("LineString", true),
        (Kind::Paths, _) => ("MultiLineString", false),
        (Kind::Rings, 1) => ("Polygon", true),
        (Kind::Rings, _) => ("MultiPolygon", false),
    };
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\",\"coordinates\":");
    if !single {
        out.push(b'[');
    }
    for (index, (positions, hole)) in vertices.each_part().enumerate() {
        match vertices.kind {
            Kind::Rings if hole => out.push(b','),
            Kind::Rings if index > 0 => out.extend_from_slice(b"],["),
            Kind::Rings => out.push(b'['),
            _ if index > 0 => out.push(b','),
            _ => {}
        }
        match (vertices.kind, positions) {
            (Kind::Point, [only, ..]) => position(only, dimensions, out),
            _ => {
                out.push(b'[');
                for (index, at) in positions.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    position(at, dimensions, out);
                }
                out.push(b']');
            }
        }
    }
    if vertices.kind == Kind::Rings {
        out.push(b']');
    }
    if !single {
        out.push(b']');
    }
    out.push(b'}');
}

/// Appends a position. There is no place for measures.
fn position([x, y, z, _]: &[f64; 4], dimensions: Dimensions, out: &mut Vec<u8>) {
    out.push(b'[');
    number(*x, out);
    out.push(b',');
    number(*y, out);
    if dimensions.z {
        out.push(b',');
        number(if z.is_finite() { *z } else { 0.0 }, out);
    }
    out.push(b']');
}
