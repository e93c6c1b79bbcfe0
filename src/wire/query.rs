//! The parameters of a layer's `query` operation.
//!
//! API reference: *Query (Feature Service/Layer)*. Not supported yet, and refused by name where they would change the answer:
//! statistics, distinct values, time, distance. How the answer is written is read by [`super::output`].

use crate::{
    error::{Error, Result},
    model::{
        layer::Layer,
        output::{Encoding, Form},
        predicate::Predicate,
        query::{Columns, Output, Page, Query, SpatialRelation},
        value::brief,
    },
};

use super::{
    geometry::{parse_area, parse_spatial_reference},
    output,
    params::Params,
};

/// The most features in a page.
pub(crate) const MAX_RECORD_COUNT: i64 = 2000;

/// What is refused rather than answered as if it had not been asked.
const REFUSED: [&str; 9] = [
    "outStatistics",
    "groupByFieldsForStatistics",
    "having",
    "havingClause",
    "time",
    "distance",
    "relationParam",
    "historicMoment",
    "fullText",
];

/// Reads a query on `layer`.
pub(crate) fn parse(params: &Params, layer: &Layer) -> Result<Query> {
    refuse_unsupported(params)?;
    let layer_srid = layer.shape.as_ref().map_or(4326, |shape| shape.srid);
    let srid = |name: &'static str| -> Result<Option<i32>> {
        params.text(name).map_or(Ok(None), |text| parse_spatial_reference(name, text))
    };
    let rows = match params.text("where") {
        Some(text) if text.replace(' ', "") != "1=1" => {
            Some(Predicate::parse(text, &layer.fields).map_err(|error| Error::invalid("where", error.to_string()))?)
        }
        _ => None,
    };
    let in_srid = srid("inSR")?.unwrap_or(layer_srid);
    let area = match params.text("geometry") {
        Some(text) if layer.shape.is_some() => parse_area("geometry", text, in_srid)?,
        _ => None,
    };
    let relation = params
        .word(
            "spatialRel",
            "esriSpatialRelIntersects, Contains, Within, Crosses, Touches, Overlaps, EnvelopeIntersects",
            relation,
        )?
        .unwrap_or(SpatialRelation::Intersects);
    // GeoJSON is in longitudes and latitudes unless somebody wants it otherwise.
    let own_srid = if output::encoding(params) == Encoding::GeoJson { 4326 } else { layer_srid };
    let out_srid = srid("outSR")?.unwrap_or(own_srid);
    let form = output::parse(params, layer, out_srid)?;
    let output = if params.flag(&["returnCountOnly"], false)? && !params.flag(&["returnExtentOnly"], false)? {
        Output::Count
    } else if params.flag(&["returnExtentOnly"], false)? {
        Output::Extent { srid: out_srid, with_count: params.flag(&["returnCountOnly"], false)? }
    } else if params.flag(&["returnIdsOnly"], false)? {
        Output::Ids
    } else {
        Output::Features(page(params, layer, out_srid, &form)?)
    };
    Ok(Query { rows, object_ids: params.ids("objectIds")?, area: area.map(|area| (area, relation)), output, form })
}

fn refuse_unsupported(params: &Params) -> Result<()> {
    for name in REFUSED {
        if params.get(&[name]).is_some_and(|value| !matches!(value, "null" | "[]" | "{}")) {
            return Err(Error::NotSupported(format!("parameter '{name}' of query is not supported yet; leave it out")));
        }
    }
    if params.flag(&["returnDistinctValues"], false)? {
        return Err(Error::NotSupported("returnDistinctValues=true is not supported yet; leave it out".to_owned()));
    }
    Ok(())
}

pub(super) fn relation(text: &str) -> Option<SpatialRelation> {
    let bare = text.strip_prefix("esriSpatialRel").unwrap_or(text);
    Some(match bare.to_ascii_lowercase().as_str() {
        "intersects" => SpatialRelation::Intersects,
        "contains" => SpatialRelation::Contains,
        "within" => SpatialRelation::Within,
        "crosses" => SpatialRelation::Crosses,
        "touches" => SpatialRelation::Touches,
        "overlaps" => SpatialRelation::Overlaps,
        "envelopeintersects" | "indexintersects" => SpatialRelation::EnvelopeIntersects,
        _ => return None,
    })
}

fn page(params: &Params, layer: &Layer, out_srid: i32, form: &Form) -> Result<Page> {
    let mut fields = fields(params.text("outFields"), layer)?;
    if !fields.contains(&layer.object_id) {
        fields.insert(0, layer.object_id);
    }
    let offset = params.integer("resultOffset")?.unwrap_or(0);
    let wanted = params.integer("resultRecordCount")?.unwrap_or(MAX_RECORD_COUNT);
    for (name, value) in [("resultOffset", offset), ("resultRecordCount", wanted)] {
        if value < 0 {
            return Err(Error::invalid(name, format!("{value} is negative")));
        }
    }
    let columns = Columns {
        fields,
        srid: form.geometry.parts.any().then_some(out_srid),
        max_offset: output::max_allowable_offset(params)?,
        dimensions: form.geometry.dimensions,
    };
    Ok(Page {
        columns,
        order: order(params.text("orderByFields"), layer)?,
        offset,
        limit: wanted.min(MAX_RECORD_COUNT),
    })
}

fn fields(list: Option<&str>, layer: &Layer) -> Result<Vec<usize>> {
    let mut found = Vec::new();
    for name in list.unwrap_or("").split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if name == "*" {
            return Ok((0..layer.fields.len()).collect());
        }
        let index = field(name, "outFields", layer)?;
        if !found.contains(&index) {
            found.push(index);
        }
    }
    Ok(found)
}

fn field(name: &str, parameter: &'static str, layer: &Layer) -> Result<usize> {
    layer.field_index(name.trim_matches('"')).ok_or_else(|| {
        let known: Vec<&str> = layer.fields.iter().take(40).map(|field| field.name.as_str()).collect();
        Error::invalid(
            parameter,
            format!("there is no field '{}' in layer {}; the fields are {}", brief(name), layer.id, known.join(", ")),
        )
    })
}

fn order(list: Option<&str>, layer: &Layer) -> Result<Vec<(usize, bool)>> {
    let mut order = Vec::new();
    for item in list.unwrap_or("").split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (name, descending) = match item.rsplit_once(char::is_whitespace) {
            Some((name, word)) if word.eq_ignore_ascii_case("desc") => (name.trim(), true),
            Some((name, word)) if word.eq_ignore_ascii_case("asc") => (name.trim(), false),
            _ => (item, false),
        };
        order.push((field(name, "orderByFields", layer)?, descending));
    }
    Ok(order)
}
