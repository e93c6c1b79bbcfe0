//! The parameters that say how an answer to a query is written: `f`, `quantizationParameters`, `geometryPrecision`,
//! `maxAllowableOffset`, `returnGeometry`, `returnCentroid`, `returnEnvelope`, `returnZ`, `returnM`.
//!
//! API reference: *Query (Feature Service/Layer)*. `multipatchOption` and `returnTrueCurves` are passed over: no layer has
//! multipatches or curves.

use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::{
    error::{Error, Result},
    model::{
        geometry::{Dimensions, GeometryType},
        layer::Layer,
        output::{Encoding, Form, GeometryForm, GeometryParts, Grid, GridOrigin, GridPurpose},
        value::brief,
    },
};

use super::{geometry::spatial_reference_of, params::Params};

/// How many cells a grid has along its longer side if its client does not say how large they are.
const CELLS: f64 = 10_000.0;

/// The encoding that `f` asks for. Pages and indented documents are made of JSON.
pub(crate) fn encoding(params: &Params) -> Encoding {
    match params.text("f").map(str::to_ascii_lowercase).as_deref() {
        Some("geojson") => Encoding::GeoJson,
        Some("pbf") => Encoding::Pbf,
        _ => Encoding::Json,
    }
}

/// Reads how the answer to a query on `layer` is written, if its geometries are in `srid`.
pub(crate) fn parse(params: &Params, layer: &Layer, srid: i32) -> Result<Form> {
    let encoding = encoding(params);
    let Some(shape) = &layer.shape else { return Ok(Form { encoding, geometry: GeometryForm::default() }) };
    let is_polygon = shape.geometry_type == GeometryType::Polygon;
    let parts = GeometryParts {
        vertices: params.flag(&["returnGeometry"], true)?,
        centroid: params.flag(&["returnCentroid"], false)? && is_polygon,
        envelope: params.flag(&["returnEnvelope"], false)?,
    };
    let all = layer.dimensions();
    let dimensions =
        Dimensions { z: all.z && params.flag(&["returnZ"], false)?, m: all.m && params.flag(&["returnM"], false)? };
    let offset = max_allowable_offset(params)?;
    let asked = quantization(params, offset, srid)?;
    let grid = match encoding {
        Encoding::Pbf => Some(asked.unwrap_or_else(|| fine_grid(srid))),
        Encoding::Json => asked,
        Encoding::GeoJson if asked.is_some() => {
            return Err(Error::invalid(
                "quantizationParameters",
                "GeoJSON has no place for coordinates on a grid; ask with f=json or f=pbf, or leave it out",
            ));
        }
        Encoding::GeoJson => None,
    };
    Ok(Form { encoding, geometry: GeometryForm { parts, dimensions, precision: precision(params)?, grid } })
}

/// By how much lines may be simplified, in units of the answer; `None`: not at all.
pub(crate) fn max_allowable_offset(params: &Params) -> Result<Option<f64>> {
    let name = "maxAllowableOffset";
    let Some(text) = params.text(name).filter(|text| !text.eq_ignore_ascii_case("null")) else { return Ok(None) };
    match text.trim_matches('"').trim().parse::<f64>() {
        Ok(offset) if offset.is_finite() && offset >= 0.0 => Ok((offset > 0.0).then_some(offset)),
        _ => Err(Error::invalid(
            name,
            format!("'{}' is no distance; give a number that is not negative, in units of outSR", brief(text)),
        )),
    }
}

fn precision(params: &Params) -> Result<Option<u8>> {
    let name = "geometryPrecision";
    match params.integer(name)? {
        None => Ok(None),
        Some(decimals) if decimals < 0 => Err(Error::invalid(name, format!("{decimals} is negative"))),
        // A double has no more than seventeen digits.
        Some(decimals) => Ok(u8::try_from(decimals).ok().filter(|&decimals| decimals < 17)),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Quantization {
    mode: Option<String>,
    origin_position: Option<String>,
    tolerance: Option<f64>,
    extent: Option<GridExtent>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GridExtent {
    xmin: f64,
    ymin: f64,
    xmax: f64,
    ymax: f64,
    #[serde(default)]
    spatial_reference: Json,
}

/// Reads the grid that a client wants. Without a tolerance its cells are as large as lines may be simplified, or the extent has
/// ten thousand of them.
fn quantization(params: &Params, offset: Option<f64>, srid: i32) -> Result<Option<Grid>> {
    let name = "quantizationParameters";
    let Some(given) = params.json::<Quantization>(name)? else { return Ok(None) };
    let purpose = match given.mode.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("view") => GridPurpose::View,
        Some("edit") => GridPurpose::Edit,
        Some(mode) => {
            return Err(Error::invalid(name, format!("mode '{}' is not known; it is view or edit", brief(mode))));
        }
    };
    let origin = match given.origin_position.as_deref().map(str::to_ascii_lowercase).as_deref() {
        None | Some("upperleft") => GridOrigin::UpperLeft,
        Some("lowerleft") => GridOrigin::LowerLeft,
        Some(origin) => {
            return Err(Error::invalid(
                name,
                format!("originPosition '{}' is not known; it is upperLeft or lowerLeft", brief(origin)),
            ));
        }
    };
    if let Some(extent) = &given.extent
        && let Some(other) = spatial_reference_of(name, &extent.spatial_reference)?
        && other != srid
    {
        return Err(Error::invalid(
            name,
            format!("its extent is in spatial reference {other} and the answer in {srid}; give the extent in outSR"),
        ));
    }
    let of_extent = |extent: &GridExtent| (extent.xmax - extent.xmin).max(extent.ymax - extent.ymin) / CELLS;
    let scale = given
        .tolerance
        .filter(|&tolerance| tolerance != 0.0)
        .or(offset)
        .or_else(|| given.extent.as_ref().map(of_extent).filter(|&side| side != 0.0))
        .unwrap_or(fine_grid(srid).scale);
    let translate = match (&given.extent, origin) {
        (None, _) => [0.0, 0.0],
        (Some(extent), GridOrigin::UpperLeft) => [extent.xmin, extent.ymax],
        (Some(extent), GridOrigin::LowerLeft) => [extent.xmin, extent.ymin],
    };
    if !scale.is_finite() || scale <= 0.0 || translate.iter().any(|ordinate| !ordinate.is_finite()) {
        return Err(Error::invalid(
            name,
            "tolerance must be a positive number, and the corners of extent numbers with xmin <= xmax and ymin <= ymax",
        ));
    }
    Ok(Some(Grid { purpose, origin, scale, translate }))
}

/// A grid on which nothing is lost that anybody measured: a tenth of a millimetre, on which all numbers stay within 2^53.
/// Where a code does not tell whether its units are degrees, cells are small enough for both.
fn fine_grid(srid: i32) -> Grid {
    let scale = match srid {
        4000..5000 => 1e-9,
        2000..4000 | 20_000..33_000 => 1e-4,
        _ => 1e-8,
    };
    Grid { purpose: GridPurpose::Edit, origin: GridOrigin::UpperLeft, scale, translate: [0.0, 0.0] }
}

/// What brings the numbers of cells back to coordinates.
pub(crate) fn transform(grid: &Grid) -> Json {
    json!({
        "originPosition": match grid.origin {
            GridOrigin::UpperLeft => "upperLeft",
            GridOrigin::LowerLeft => "lowerLeft",
        },
        "scale": [grid.scale, grid.scale],
        "translate": grid.translate,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        let mut params = Params::new();
        for (name, value) in pairs {
            params.push(*name, *value);
        }
        params
    }

    fn grid(text: &str, offset: Option<f64>) -> Result<Option<Grid>> {
        quantization(&params(&[("quantizationParameters", text)]), offset, 3857)
    }

    #[test]
    fn a_grid_begins_at_the_corner_of_its_extent_that_its_origin_names() {
        let web = r#"{"extent":{"xmin":0,"ymin":-10,"xmax":20,"ymax":10,"spatialReference":{"wkid":102100}},"mode":"view","originPosition":"upperLeft","tolerance":0.5}"#;
        let expected =
            Grid { purpose: GridPurpose::View, origin: GridOrigin::UpperLeft, scale: 0.5, translate: [0.0, 10.0] };
        assert_eq!(grid(web, None).unwrap(), Some(expected));
        let lower = grid(&web.replace("upperLeft", "lowerLeft").replace("view", "edit"), None).unwrap().unwrap();
        assert_eq!((lower.translate, lower.purpose), ([0.0, -10.0], GridPurpose::Edit));
        assert_eq!(grid("null", None).unwrap(), None);
    }

    #[test]
    fn cells_have_a_size_though_the_client_names_none() {
        let extent = r#"{"extent":{"xmin":0,"ymin":0,"xmax":20000,"ymax":10}}"#;
        assert_eq!(grid(extent, None).unwrap().unwrap().scale, 2.0);
        assert_eq!(grid(extent, Some(7.0)).unwrap().unwrap().scale, 7.0);
        assert_eq!(grid(r#"{"mode":"edit"}"#, None).unwrap().unwrap().scale, 1e-4);
    }

    #[test]
    fn what_is_no_grid_is_refused_by_name() {
        for (text, word) in [
            (r#"{"mode":"print"}"#, "'print'"),
            (r#"{"originPosition":"centre"}"#, "'centre'"),
            (r#"{"tolerance":-1}"#, "tolerance"),
            (r#"{"tolerance":"x"}"#, "quantizationParameters"),
            (r#"{"extent":{"xmin":0,"ymin":0,"xmax":1,"ymax":1,"spatialReference":{"wkid":4326}}}"#, "4326"),
        ] {
            let error = grid(text, None).unwrap_err().to_string();
            assert!(error.contains("quantizationParameters") && error.contains(word), "{error}");
        }
        let precise = |value: &str| precision(&params(&[("geometryPrecision", value)]));
        assert_eq!(precise("3").unwrap(), Some(3));
        assert_eq!(precise("30").unwrap(), None);
        assert!(precise("-1").is_err() && precise("x").is_err());
        let offset = |value: &str| max_allowable_offset(&params(&[("maxAllowableOffset", value)]));
        assert_eq!((offset("0").unwrap(), offset("1.5").unwrap()), (None, Some(1.5)));
        assert!(offset("-1").is_err() && offset("NaN").is_err());
    }
}
