//! Features as Esri JSON, with their geometries in the form that a query asks for.

use serde_json::Value as Json;
use sqlx::postgres::PgRow;

use crate::{
    error::Result,
    model::{
        geometry::Dimensions,
        output::{GeometryForm, Grid},
    },
};

use super::{
    feature_set::{Column, value_of},
    json::{FeatureWriter, integer, number},
    vertices::{Cells, Kind, Outer, Vertices, cell},
};

/// Writes rows as features.
pub(super) struct JsonWriter {
    /// Writes attributes, and geometries that are written as they are stored.
    features: FeatureWriter,
    n_columns: usize,
    /// How geometries are written that are not written as they are stored.
    form: Option<GeometryForm>,
    vertices: Vertices,
    cells: Cells,
}

impl JsonWriter {
    /// A writer of rows that have `columns` and, if `geometry` is given, a geometry after them.
    pub(super) fn new(columns: &[Column<'_>], geometry: Option<GeometryForm>) -> JsonWriter {
        let (plain, form) = match geometry {
            Some(form) if form.is_plain() => (Some(form.dimensions), None),
            other => (None, other),
        };
        JsonWriter {
            features: FeatureWriter::of(columns, plain),
            n_columns: columns.len(),
            form,
            vertices: Vertices::default(),
            cells: Cells::default(),
        }
    }

    /// Appends a feature. `first` is the position of the first of its columns in the row.
    pub(super) fn feature(&mut self, row: &PgRow, first: usize, out: &mut Vec<u8>) -> Result<()> {
        let Some(form) = &self.form else { return self.features.write(row, first, out) };
        out.extend_from_slice(b"{\"attributes\":");
        self.features.attributes(row, first, out)?;
        if let Some(ewkb) = value_of(row, first + self.n_columns)? {
            self.vertices.read(ewkb, Outer::Clockwise)?;
            geometry(form, &mut self.vertices, &mut self.cells, out)?;
        }
        out.push(b'}');
        Ok(())
    }
}

/// Begins an answer: its head, which is an object, and then a list with this name.
pub(super) fn begin(head: &Json, list: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(head.to_string().as_bytes());
    out.pop();
    out.extend_from_slice(b",\"");
    out.extend_from_slice(list.as_bytes());
    out.extend_from_slice(b"\":[");
}

/// Ends the list and the answer.
pub(super) fn end(more: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if more { b"],\"exceededTransferLimit\":true}" } else { b"]}" });
}

/// Appends `,"geometry":{…},"centroid":{…},"envelope":{…}`, as far as they are wanted and there is something to write.
fn geometry(form: &GeometryForm, vertices: &mut Vertices, cells: &mut Cells, out: &mut Vec<u8>) -> Result<()> {
    let (centroid, bounds) = (vertices.centroid(), vertices.bounds());
    if form.parts.vertices {
        match &form.grid {
            Some(grid) => {
                cells.read(vertices, grid)?;
                if !cells.cells.is_empty() {
                    out.extend_from_slice(b",\"geometry\":");
                    on_grid(vertices.kind, cells, form.dimensions, out);
                }
            }
            None if vertices.positions.is_empty() => {}
            None => {
                if let Some(decimals) = form.precision {
                    vertices.round(decimals);
                }
                out.extend_from_slice(b",\"geometry\":");
                exact(vertices, form.dimensions, out);
            }
        }
    }
    if let Some(at) = centroid.filter(|_| form.parts.centroid) {
        out.extend_from_slice(b",\"centroid\":{\"x\":");
        match &form.grid {
            Some(grid) => {
                let [x, y] = cell(grid, at)?;
                integer(x, out);
                out.extend_from_slice(b",\"y\":");
                integer(y, out);
            }
            None => {
                number(at[0], out);
                out.extend_from_slice(b",\"y\":");
                number(at[1], out);
            }
        }
        out.push(b'}');
    }
    if let Some(bounds) = bounds.filter(|_| form.parts.envelope) {
        out.extend_from_slice(b",\"envelope\":");
        envelope(bounds, form.grid.as_ref(), out)?;
    }
    Ok(())
}

fn envelope(bounds: [f64; 4], grid: Option<&Grid>, out: &mut Vec<u8>) -> Result<()> {
    let corners = match grid {
        Some(grid) => Some((cell(grid, [bounds[0], bounds[1]])?, cell(grid, [bounds[2], bounds[3]])?)),
        None => None,
    };
    for (index, name) in ["xmin", "ymin", "xmax", "ymax"].iter().enumerate() {
        out.push(if index == 0 { b'{' } else { b',' });
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        match corners {
            Some((min, max)) => integer(if index < 2 { min[index] } else { max[index - 2] }, out),
            None => number(bounds[index], out),
        }
    }
    out.push(b'}');
    Ok(())
}

/// Appends a geometry with coordinates as they are.
fn exact(vertices: &Vertices, dimensions: Dimensions, out: &mut Vec<u8>) {
    let parts = vertices.each_part().map(|(positions, _)| positions);
    write(vertices.kind, parts, dimensions, out, |position, axis, out| number(position[axis], out));
}

/// Appends a geometry in cells.
fn on_grid(kind: Kind, cells: &Cells, dimensions: Dimensions, out: &mut Vec<u8>) {
    write(kind, cells.each_part(), dimensions, out, |cell, axis, out| match axis {
        0 => integer(cell.x, out),
        1 => integer(cell.y, out),
        2 => number(cell.z, out),
        _ => number(cell.m, out),
    });
}

/// Appends a geometry of these parts. `ordinate` appends x, y, z or m of a vertex: 0, 1, 2 or 3.
fn write<'a, T: 'a>(
    kind: Kind,
    parts: impl Iterator<Item = &'a [T]>,
    dimensions: Dimensions,
    out: &mut Vec<u8>,
    ordinate: impl Fn(&T, usize, &mut Vec<u8>),
) {
    const NAMES: [&[u8]; 4] = [b"\"x\":", b"\"y\":", b"\"z\":", b"\"m\":"];
    let axes = [Some(0), Some(1), dimensions.z.then_some(2), dimensions.m.then_some(3)];
    let vertex = |vertex: &T, named: bool, out: &mut Vec<u8>| {
        for axis in axes.into_iter().flatten() {
            if axis > 0 {
                out.push(b',');
            }
            if named {
                out.extend_from_slice(NAMES[axis]);
            }
            ordinate(vertex, axis, out);
        }
    };
    out.push(b'{');
    if kind == Kind::Point {
        parts.flatten().take(1).for_each(|only| vertex(only, true, out));
        out.push(b'}');
        return;
    }
    if dimensions.z {
        out.extend_from_slice(b"\"hasZ\":true,");
    }
    if dimensions.m {
        out.extend_from_slice(b"\"hasM\":true,");
    }
    out.extend_from_slice(match kind {
        Kind::Point | Kind::Multipoint => b"\"points\":",
        Kind::Paths => b"\"paths\":[",
        Kind::Rings => b"\"rings\":[",
    });
    for (index, part) in parts.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        for (index, at) in part.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"[[" } else { b",[" });
            vertex(at, false, out);
            out.push(b']');
        }
        out.push(b']');
    }
    out.extend_from_slice(if kind == Kind::Multipoint { b"}" } else { b"]}" });
}
