//! Geometries of rows, as far as their layer can have them.
//!
//! A column that does not declare what it holds may hold anything, and a vertex may lie where another spatial reference has no place for it.
//! Such a geometry is read as null, so that one odd row keeps nobody from the others; `store::odd` names it. Columns that declare type and
//! spatial reference are read as they are.

use crate::model::{geometry::GeometryType, layer::ShapeColumn};

use super::fragment::{Fragment, Ident};

/// Appends the geometry of a row on `alias`; null if it is none that the layer can have.
pub(super) fn fitting(shape: &ShapeColumn, alias: &'static str, out: &mut Fragment) {
    let column = Ident::new(&shape.column);
    if shape.declared {
        out.sql(alias).sql(".").ident(&column);
        return;
    }
    out.sql("(case when ");
    fits(shape, alias, out);
    out.sql(" then ").sql(alias).sql(".").ident(&column).sql(" end)");
}

/// Appends whether the layer can have the geometry of a row on `alias`, as far as the declaration of a column can say it.
pub(super) fn fits(shape: &ShapeColumn, alias: &'static str, out: &mut Fragment) {
    let column = Ident::new(&shape.column);
    out.sql("ST_SRID(").sql(alias).sql(".").ident(&column).sql(") = ").bind(shape.srid);
    out.sql(" and ST_GeometryType(").sql(alias).sql(".").ident(&column).sql(match shape.geometry_type {
        GeometryType::Point => ") = 'ST_Point'",
        GeometryType::Multipoint => ") = 'ST_MultiPoint'",
        GeometryType::Polyline => ") in ('ST_LineString', 'ST_MultiLineString')",
        GeometryType::Polygon => ") in ('ST_Polygon', 'ST_MultiPolygon')",
    });
}

/// Appends the geometry of a row on `alias` in a spatial reference; null as in [`fitting`], and if it has no place there.
pub(super) fn in_reference(shape: &ShapeColumn, alias: &'static str, srid: i32, out: &mut Fragment) {
    if srid == shape.srid {
        fitting(shape, alias, out);
        return;
    }
    let transformed = |function: &'static str, out: &mut Fragment| {
        out.sql(function);
        fitting(shape, alias, out);
        out.sql(", ").bind(srid).sql(")");
    };
    // Catching a failure costs as much as the transformation itself, so it is done only where there may be one.
    match safe_region(shape.srid, srid) {
        None => transformed("syncline.transform_or_null(", out),
        Some(region) => {
            out.sql("(case when ").sql(alias).sql(".").ident(&Ident::new(&shape.column)).sql(" @ ").sql(region);
            transformed(" then ST_Transform(", out);
            transformed(" else syncline.transform_or_null(", out);
            out.sql(" end)");
        }
    }
}

/// Appends whether all vertices of a geometry in a column are places (`model::geometry::is_place`); null if there are none.
pub(super) fn is_place(column: &Ident, alias: &'static str, out: &mut Fragment) {
    for (before, function) in
        [("", "abs(ST_XMin("), (" + ", "abs(ST_YMin("), (" + ", "abs(ST_XMax("), (" + ", "abs(ST_YMax(")]
    {
        out.sql(before).sql(function).sql(alias).sql(".").ident(column).sql("))");
    }
    out.sql(" < 1e15");
}

/// Where every place of one spatial reference has one in another, if that is known.
fn safe_region(from: i32, to: i32) -> Option<&'static str> {
    match (from, to) {
        (4326, 3857) => Some("ST_MakeEnvelope(-180, -89.9, 180, 89.9, 4326)"),
        (3857, 4326) => Some("ST_MakeEnvelope(-20037509, -100000000, 20037509, 100000000, 3857)"),
        _ => None,
    }
}

/// Appends the beginning of a condition on the geometry of a row on `alias`, for an index to be used: it holds wherever the box of the
/// geometry meets that of `area`. A column that declares what it holds needs none, since the condition itself uses the index.
pub(super) fn near(shape: &ShapeColumn, alias: &'static str, area: &[u8], out: &mut Fragment) {
    if !shape.declared {
        out.sql(alias).sql(".").ident(&Ident::new(&shape.column)).sql(" && ");
        out.bind(area.to_vec()).sql("::bytea::geometry and ");
    }
}
