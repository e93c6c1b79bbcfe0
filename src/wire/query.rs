//! The parameters of a layer's `query` operation: which rows, and what of them.
//!
//! API reference: *Query (Feature Service/Layer)*. What would change the answer and is not there is refused by name. How the
//! answer is written is read by [`super::output`].

use uuid::Uuid;

use crate::{
    error::{Error, Result},
    model::{
        layer::Layer,
        output::{Encoding, Form},
        predicate::{Expr, Expression, Predicate},
        query::{Area, Choice, Columns, Matrix, Output, Page, Period, Query, SpatialRelation},
        statistics::Operand,
        value::brief,
    },
};

use super::{
    describe::max_record_count,
    geometry::{parse_area, parse_spatial_reference},
    output,
    params::Params,
    statistics,
};

/// The most features in a page, unless the layer's definition says otherwise.
pub(crate) const MAX_RECORD_COUNT: i64 = 2000;
/// The most features in a page of `resultType=standard` or `tile`.
pub(crate) const RESULT_TYPE_MAX_RECORD_COUNT: i64 = 8000;
/// The most by which `maxRecordCountFactor` multiplies these.
pub(crate) const MAX_RECORD_COUNT_FACTOR: i64 = 5;

/// What is refused rather than answered as if it had not been asked.
const REFUSED: [&str; 1] = ["fullText"];

/// Reads a query on `layer`.
pub(crate) fn parse(params: &Params, layer: &Layer) -> Result<Query> {
    refuse_unsupported(params)?;
    let choice = choice(params, layer)?;
    let out_srid = out_srid(params, layer)?;
    let form = output::parse(params, layer, out_srid)?;
    let count = params.flag(&["returnCountOnly"], false)?;
    let output = if let Some(table) = statistics::table(params, layer)? {
        if count { Output::TableCount(table) } else { Output::Table(table) }
    } else if params.flag(&["returnExtentOnly"], false)? {
        Output::Extent { srid: out_srid, with_count: count }
    } else if count {
        Output::Count
    } else if params.flag(&["returnIdsOnly"], false)? {
        Output::Ids { order: order(params.text("orderByFields"), layer)?, unique: false }
    } else if params.flag(&["returnUniqueIdsOnly"], false)? {
        if form.encoding == Encoding::Pbf {
            return Err(Error::invalid("f", "pbf has no place for unique ids; ask with f=json, or for returnIdsOnly"));
        }
        Output::Ids { order: order(params.text("orderByFields"), layer)?, unique: true }
    } else {
        Output::Features(page(params, layer, out_srid, &form)?)
    };
    Ok(Query { choice, output, form })
}

/// Reads what is wanted of the feature with an object id: all fields, unless some are named.
pub(crate) fn feature(params: &Params, layer: &Layer, id: i64) -> Result<Query> {
    let mut fields = fields(params.text("outFields").or(Some("*")), layer)?;
    if !fields.contains(&layer.object_id) {
        fields.insert(0, layer.object_id);
    }
    let out_srid = out_srid(params, layer)?;
    let form = output::parse(params, layer, out_srid)?;
    let columns = columns(params, fields, out_srid, &form)?;
    Ok(Query {
        choice: Choice { object_ids: Some(vec![id]), moment: moment(params)?, ..Choice::default() },
        output: Output::Features(Page { columns, order: Vec::new(), offset: 0, limit: 1, all_or_none: false }),
        form,
    })
}

fn refuse_unsupported(params: &Params) -> Result<()> {
    for name in REFUSED {
        if params.get(&[name]).is_some_and(|value| !matches!(value, "null" | "[]" | "{}")) {
            return Err(Error::NotSupported(format!("parameter '{name}' of query is not supported; leave it out")));
        }
    }
    Ok(())
}

/// Reads which rows of a layer are wanted.
pub(crate) fn choice(params: &Params, layer: &Layer) -> Result<Choice> {
    params.word("sqlFormat", "none, standard, native", |word| {
        ["none", "standard", "native"].iter().any(|known| word.eq_ignore_ascii_case(known)).then_some(())
    })?;
    let mut choice = Choice {
        clauses: Vec::from_iter(clause(params, "where", layer)?),
        object_ids: params.ids("objectIds")?.or(params.ids("uniqueIds")?),
        global_ids: global_ids(params)?,
        area: if layer.shape.is_some() { area(params, layer)? } else { None },
        period: None,
        moment: moment(params)?,
        transformation: params
            .text("datumTransformation")
            .filter(|text| !matches!(*text, "null" | "{}" | "[]"))
            .map(brief),
    };
    if let Some(text) = params.text("time").filter(|text| *text != "null") {
        if layer.rules.time.is_none() {
            return Err(Error::invalid(
                "time",
                format!(
                    "layer {} has no time: no field says when its features were; use where, or name the fields in the layer's definition (timeInfo)",
                    layer.id
                ),
            ));
        }
        choice.period = Some(period(text)?);
    }
    Ok(choice)
}

/// Reads a clause, unless it says nothing.
pub(crate) fn clause(params: &Params, name: &'static str, layer: &Layer) -> Result<Option<Predicate>> {
    match params.text(name) {
        Some(text) if text.replace(' ', "") != "1=1" => {
            let clause = Predicate::parse(text, &layer.nameable_fields())
                .map_err(|error| Error::invalid(name, error.to_string()))?;
            require_visible(clause.fields(), name, layer)?;
            Ok(Some(clause))
        }
        _ => Ok(None),
    }
}

/// Reads the global ids to choose from, in any spelling.
pub(crate) fn global_ids(params: &Params) -> Result<Option<Vec<Uuid>>> {
    let Some(text) = params.text("globalIds") else { return Ok(None) };
    let marks: &[char] = &['[', ']', '"', '\'', ' ', '{', '}'];
    let ids: Vec<Uuid> = text
        .split(',')
        .map(|part| part.trim_matches(marks))
        .filter(|part| !part.is_empty())
        .map(|part| {
            Uuid::try_parse(part).map_err(|_| Error::invalid("globalIds", format!("'{}' is not a GUID", brief(part))))
        })
        .collect::<Result<_>>()?;
    Ok((!ids.is_empty()).then_some(ids))
}

/// Reads a moment. It ends with its millisecond, since clients know of edits no more exactly than that.
pub(crate) fn moment(params: &Params) -> Result<Option<i64>> {
    let given = params.integer("historicMoment")?;
    Ok(given.map(|milliseconds| milliseconds.saturating_mul(1000).saturating_add(999)))
}

/// Reads `t` or `t1,t2`, in milliseconds; `null` or nothing is an open end.
fn period(text: &str) -> Result<Period> {
    let ends: Vec<Option<i64>> = text
        .trim_matches(['[', ']'])
        .split(',')
        .map(str::trim)
        .map(|end| match end {
            "null" | "" => Ok(None),
            end => end.parse().map(Some).map_err(|_| {
                let problem = "is not a time; give milliseconds since 1970 as t or t1,t2, with null for an open end";
                Error::invalid("time", format!("'{}' {problem}", brief(end)))
            }),
        })
        .collect::<Result<_>>()?;
    match *ends.as_slice() {
        [instant @ Some(_)] => Ok(Period { from_ms: instant, to_ms: instant }),
        [Some(from), Some(to)] if from > to => {
            Err(Error::invalid("time", format!("it ends at {to}, before it begins at {from}")))
        }
        [from_ms, to_ms] => Ok(Period { from_ms, to_ms }),
        _ => Err(Error::invalid("time", "it has more than two ends; give t or t1,t2")),
    }
}

fn srid(params: &Params, name: &'static str) -> Result<Option<i32>> {
    let own = params.text(name).map_or(Ok(None), |text| parse_spatial_reference(name, text))?;
    match own {
        Some(srid) => Ok(Some(srid)),
        None => params.text("defaultSR").map_or(Ok(None), |text| parse_spatial_reference("defaultSR", text)),
    }
}

/// Reads the spatial reference of the answer.
pub(crate) fn out_srid(params: &Params, layer: &Layer) -> Result<i32> {
    // GeoJSON is in longitudes and latitudes unless somebody wants it otherwise.
    let own = match &layer.shape {
        Some(shape) if output::encoding(params) != Encoding::GeoJson => shape.srid,
        _ => 4326,
    };
    Ok(srid(params, "outSR")?.unwrap_or(own))
}

fn area(params: &Params, layer: &Layer) -> Result<Option<Area>> {
    let layer_srid = layer.shape.as_ref().map_or(4326, |shape| shape.srid);
    let in_srid = srid(params, "inSR")?.unwrap_or(layer_srid);
    let Some(text) = params.text("geometry").filter(|text| !matches!(*text, "null" | "{}")) else { return Ok(None) };
    let Some(geometry) = parse_area("geometry", text, in_srid)? else { return Ok(None) };
    Ok(Some(Area { geometry, relation: relation(params)?, distance_m: distance(params)? }))
}

fn relation(params: &Params) -> Result<SpatialRelation> {
    const NAMES: &str = "esriSpatialRelIntersects, Contains, Within, Crosses, Touches, Overlaps, EnvelopeIntersects, \
        IndexIntersects, Disjoint, Relation";
    let named = params.word("spatialRel", NAMES, |text| {
        let bare = text.strip_prefix("esriSpatialRel").unwrap_or(text);
        Some(match bare.to_ascii_lowercase().as_str() {
            "intersects" => Some(SpatialRelation::Intersects),
            "contains" => Some(SpatialRelation::Contains),
            "within" => Some(SpatialRelation::Within),
            "crosses" => Some(SpatialRelation::Crosses),
            "touches" => Some(SpatialRelation::Touches),
            "overlaps" => Some(SpatialRelation::Overlaps),
            "envelopeintersects" | "indexintersects" => Some(SpatialRelation::EnvelopeIntersects),
            "disjoint" => Some(SpatialRelation::Disjoint),
            "relation" => None,
            _ => return None,
        })
    })?;
    match named {
        None => Ok(SpatialRelation::Intersects),
        Some(Some(relation)) => Ok(relation),
        Some(None) => {
            let text = params.text("relationParam").unwrap_or_default();
            Matrix::parse(text.trim_matches(['"', '\''])).map(SpatialRelation::Relate).ok_or_else(|| {
                Error::invalid(
                    "relationParam",
                    format!(
                        "'{}' is no intersection matrix, which esriSpatialRelRelation needs; give nine of T, F, *, 0, 1 and 2, such as T********",
                        brief(text)
                    ),
                )
            })
        }
    }
}

/// Reads `distance` and `units`, as metres.
fn distance(params: &Params) -> Result<Option<f64>> {
    /// Half way round the world.
    const MOST: f64 = 20_037_508.0;
    let Some(text) = params.text("distance").filter(|text| *text != "null") else { return Ok(None) };
    let metres_each = params.word(
        "units",
        "esriSRUnit_Meter, esriSRUnit_Kilometer, esriSRUnit_Foot, esriSRUnit_StatuteMile, esriSRUnit_NauticalMile, esriSRUnit_USNauticalMile",
        |text| {
            Some(match text.strip_prefix("esriSRUnit_").unwrap_or(text).to_ascii_lowercase().as_str() {
                "meter" | "9001" => 1.0,
                "kilometer" | "9036" => 1000.0,
                "foot" | "9002" => 0.3048,
                "statutemile" | "9093" => 1609.344,
                "nauticalmile" | "9030" => 1852.0,
                "usnauticalmile" | "109012" => 1853.248,
                _ => return None,
            })
        },
    )?;
    let given: f64 = text
        .trim_matches('"')
        .parse()
        .map_err(|_| Error::invalid("distance", format!("'{}' is not a number", brief(text))))?;
    let metres = given * metres_each.unwrap_or(1.0);
    match (0.0..=MOST).contains(&metres) {
        true => Ok((metres > 0.0).then_some(metres)),
        false => Err(Error::invalid("distance", format!("{given} is {metres} m; it must be from 0 to {MOST} m"))),
    }
}

fn page(params: &Params, layer: &Layer, out_srid: i32, form: &Form) -> Result<Page> {
    let mut fields = fields(params.text("outFields"), layer)?;
    if !fields.contains(&layer.object_id) {
        fields.insert(0, layer.object_id);
    }
    let (offset, limit) = limits(params, layer)?;
    Ok(Page {
        columns: columns(params, fields, out_srid, form)?,
        order: order(params.text("orderByFields"), layer)?,
        offset,
        limit,
        all_or_none: !params.flag(&["returnExceededLimitFeatures"], true)?,
    })
}

/// Reads what of each feature comes back beside its fields.
pub(crate) fn columns(params: &Params, fields: Vec<usize>, out_srid: i32, form: &Form) -> Result<Columns> {
    Ok(Columns {
        fields,
        emptied: Vec::new(),
        srid: form.geometry.parts.any().then_some(out_srid),
        max_offset: output::max_allowable_offset(params)?,
        dimensions: form.geometry.dimensions,
    })
}

/// Reads how many rows to pass over, and how many to give at most.
pub(crate) fn limits(params: &Params, layer: &Layer) -> Result<(i64, i64)> {
    let usual = max_record_count(layer, MAX_RECORD_COUNT);
    let most = params
        .word("resultType", "none, standard, tile", |word| {
            Some(match word.to_ascii_lowercase().as_str() {
                "none" => usual,
                "standard" | "tile" => max_record_count(layer, RESULT_TYPE_MAX_RECORD_COUNT),
                _ => return None,
            })
        })?
        .unwrap_or(usual);
    let factor = params.integer("maxRecordCountFactor")?.unwrap_or(1).clamp(1, MAX_RECORD_COUNT_FACTOR);
    let offset = params.integer("resultOffset")?.unwrap_or(0);
    let wanted = params.integer("resultRecordCount")?.unwrap_or(i64::MAX);
    for (name, value) in [("resultOffset", offset), ("resultRecordCount", wanted)] {
        if value < 0 {
            return Err(Error::invalid(name, format!("{value} is negative")));
        }
    }
    Ok((offset, wanted.min(most * factor)))
}

/// Reads names of fields; `*` is all of them.
pub(crate) fn fields(list: Option<&str>, layer: &Layer) -> Result<Vec<usize>> {
    named_fields(list, "outFields", layer)
}

/// Reads names of fields under a parameter.
pub(super) fn named_fields(list: Option<&str>, parameter: &'static str, layer: &Layer) -> Result<Vec<usize>> {
    let mut found = Vec::new();
    for name in list.unwrap_or("").split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if name == "*" {
            return Ok(layer.visible_fields().collect());
        }
        let index = field(name, parameter, layer)?;
        if !found.contains(&index) {
            found.push(index);
        }
    }
    Ok(found)
}

pub(super) fn field(name: &str, parameter: &'static str, layer: &Layer) -> Result<usize> {
    let found = layer.visible_field(name.trim_matches('"'));
    found.ok_or_else(|| no_field(name, parameter, layer))
}

fn no_field(name: &str, parameter: &'static str, layer: &Layer) -> Error {
    let known: Vec<&str> = layer.visible_fields().take(40).map(|index| layer.fields[index].name.as_str()).collect();
    Error::invalid(
        parameter,
        format!("there is no field '{}' in layer {}; the fields are {}", brief(name), layer.id, known.join(", ")),
    )
}

/// Refuses fields that clients do not see as if they were not there.
pub(super) fn require_visible(
    fields: impl IntoIterator<Item = usize>,
    parameter: &'static str,
    layer: &Layer,
) -> Result<()> {
    match fields.into_iter().find(|&index| !layer.is_visible(index)) {
        Some(hidden) => Err(no_field(&layer.fields[hidden].name, parameter, layer)),
        None => Ok(()),
    }
}

/// Reads an order.
pub(crate) fn order(list: Option<&str>, layer: &Layer) -> Result<Vec<(Operand, bool)>> {
    sorted_names(list).map(|(by, descending)| Ok((operand(by, "orderByFields", layer)?, descending))).collect()
}

/// Reads a field or an expression over fields under a parameter.
pub(super) fn operand(text: &str, parameter: &'static str, layer: &Layer) -> Result<Operand> {
    let is_name = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == '_');
    if is_name(text.trim_matches('"')) || layer.field_index(text.trim_matches('"')).is_some() {
        return field(text, parameter, layer).map(Operand::Field);
    }
    let invalid = |problem: String| Error::invalid(parameter, format!("the expression '{}': {problem}", brief(text)));
    let expression = Expression::parse(text, &layer.nameable_fields()).map_err(|error| invalid(error.to_string()))?;
    require_visible(expression.fields(), parameter, layer)?;
    if expression.field_type().is_none() {
        return Err(invalid("it is nothing but NULL".to_owned()));
    }
    // A name with its table, for instance.
    Ok(match expression.root() {
        Expr::Field { index, .. } => Operand::Field(*index),
        _ => Operand::Expression(expression),
    })
}

/// The fields and expressions in an order, and whether each is descending.
pub(super) fn sorted_names(list: Option<&str>) -> impl Iterator<Item = (&str, bool)> {
    items(list.unwrap_or("")).into_iter().map(|item| match item.rsplit_once(char::is_whitespace) {
        Some((name, word)) if word.eq_ignore_ascii_case("desc") => (name.trim(), true),
        Some((name, word)) if word.eq_ignore_ascii_case("asc") => (name.trim(), false),
        _ => (item, false),
    })
}

/// Splits at commas that are neither in quotes nor in parentheses.
pub(super) fn items(list: &str) -> Vec<&str> {
    let (mut quote, mut depth) = (None, 0_usize);
    let split = list.split(move |c| {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, _) => return c == ',' && depth == 0,
        }
        false
    });
    split.map(str::trim).filter(|item| !item.is_empty()).collect()
}
