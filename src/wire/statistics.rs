//! Statistics and different values: the parameters that ask for them, and what stands above the rows of the answer.
//!
//! API reference: *Query (Feature Service/Layer)*, `outStatistics`, `groupByFieldsForStatistics`, `having`,
//! `returnDistinctValues`.

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use crate::{
    error::{Error, Result},
    model::{
        layer::{Field, Layer},
        predicate::Predicate,
        statistics::{ColumnValue, Operand, Percentile, Statistic, Table, TableColumn},
        value::brief,
    },
};

use super::{
    describe,
    params::Params,
    query::{items, limits, named_fields, operand, require_visible, sorted_names},
};

/// The most statistics that a query may ask for, and the most fields to group by.
const MAX_COLUMNS: usize = 64;

/// A statistic as clients ask for it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wanted {
    statistic_type: String,
    on_statistic_field: Option<String>,
    out_statistic_field_name: Option<String>,
    statistic_parameters: Option<Parameters>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    value: Option<f64>,
    order_by: Option<String>,
}

/// Reads what a query wants instead of features, if it does.
pub(crate) fn table(params: &Params, layer: &Layer) -> Result<Option<Table>> {
    let wanted: Option<Vec<Wanted>> = params.json("outStatistics")?;
    let distinct = wanted.is_none() && params.flag(&["returnDistinctValues"], false)?;
    let having = params.get(&["having", "havingClause"]);
    let groups = params.text("groupByFieldsForStatistics");
    if wanted.is_none() && !distinct {
        for (name, given) in [("having", having), ("groupByFieldsForStatistics", groups)] {
            if given.is_some() {
                return Err(Error::invalid(
                    name,
                    "it is about statistics, and there are none; give outStatistics, too",
                ));
            }
        }
        return Ok(None);
    }
    let groups = match distinct {
        true => named_fields(params.text("outFields"), "outFields", layer)?.into_iter().map(Operand::Field).collect(),
        false => self::groups(groups, layer)?,
    };
    if distinct && groups.is_empty() {
        return Err(Error::invalid("outFields", "it is missing; returnDistinctValues needs to know of which fields"));
    }
    let wanted = wanted.unwrap_or_default();
    if !distinct && groups.len() + wanted.len() > MAX_COLUMNS {
        return Err(Error::invalid(
            "outStatistics",
            format!("{} groups and statistics; the most is {MAX_COLUMNS}", groups.len() + wanted.len()),
        ));
    }
    let mut columns = Vec::with_capacity(groups.len() + wanted.len());
    let mut n_expressions = 0;
    for operand in groups {
        // What real servers call them.
        n_expressions += usize::from(matches!(operand, Operand::Expression(_)));
        columns.extend(operand.group(layer, &format!("EXPR_{n_expressions}")));
    }
    for statistic in &wanted {
        let column = column(statistic, layer)?;
        if columns.iter().any(|known| known.field.name == column.field.name) {
            return Err(Error::invalid(
                "outStatistics",
                format!(
                    "two columns are called '{}'; give each its own outStatisticFieldName",
                    brief(&column.field.name)
                ),
            ));
        }
        columns.push(column);
    }
    let order = sorted_names(params.text("orderByFields"))
        .map(|(name, descending)| Ok((position(name, &columns, layer)?, descending)))
        .collect::<Result<_>>()?;
    let n_shown = columns.len();
    let having = match having {
        Some(_) if distinct => {
            return Err(Error::invalid("having", "it is about statistics, and there are none; use where"));
        }
        Some(text) => {
            let condition = Predicate::parse_having(text, &mut columns, layer)
                .map_err(|error| Error::invalid("having", error.to_string()))?;
            require_visible(columns.iter().filter_map(of_field), "having", layer)?;
            Some(condition)
        }
        None => None,
    };
    let (offset, limit) = limits(params, layer)?;
    let all_or_none = !params.flag(&["returnExceededLimitFeatures"], true)?;
    Ok(Some(Table { columns, n_shown, having, order, offset, limit, all_or_none, distinct }))
}

/// The field whose values a column has to do with, if it is one.
fn of_field(column: &TableColumn) -> Option<usize> {
    match &column.value {
        ColumnValue::Group(Operand::Field(index)) | ColumnValue::Statistic(_, Some(Operand::Field(index))) => {
            Some(*index)
        }
        _ => None,
    }
}

/// Reads what to group by, each once.
fn groups(list: Option<&str>, layer: &Layer) -> Result<Vec<Operand>> {
    let mut found = Vec::new();
    for item in items(list.unwrap_or_default()) {
        if item == "*" {
            return Ok(layer.visible_fields().map(Operand::Field).collect());
        }
        let group = operand(item, "groupByFieldsForStatistics", layer)?;
        if !found.contains(&group) {
            found.push(group);
        }
    }
    Ok(found)
}

fn column(wanted: &Wanted, layer: &Layer) -> Result<TableColumn> {
    let invalid = |problem: String| Error::invalid("outStatistics", problem);
    let mut statistic = Statistic::from_name(wanted.statistic_type.trim()).ok_or_else(|| {
        invalid(format!(
            "statisticType '{}' is not known; it is one of count, sum, min, max, avg, stddev, var, percentile_cont, percentile_disc",
            brief(&wanted.statistic_type)
        ))
    })?;
    if let Statistic::PercentileContinuous(percentile) | Statistic::PercentileDiscrete(percentile) = &mut statistic {
        *percentile = percentile_of(wanted.statistic_parameters.as_ref())?;
    }
    let name = wanted.on_statistic_field.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let of = match name {
        Some("*") => None,
        Some(name) => Some(operand(name, "outStatistics", layer)?),
        None => return Err(invalid("a statistic has no onStatisticField".to_owned())),
    };
    let default = || match (&of, name) {
        (Some(Operand::Expression(_)), _) => format!("{}_EXPR", statistic.name()),
        (_, name) => format!("{}_{}", statistic.name(), name.unwrap_or_default()),
    };
    let shown = wanted.out_statistic_field_name.as_deref().map(str::trim).filter(|name| !name.is_empty());
    let shown = shown.map_or_else(default, str::to_owned);
    if shown.chars().count() > 128 {
        return Err(invalid(format!("outStatisticFieldName '{}' is longer than 128 characters", brief(&shown))));
    }
    statistic.column(layer, of, shown).map_err(invalid)
}

fn percentile_of(given: Option<&Parameters>) -> Result<Percentile> {
    let invalid = |problem: String| Error::invalid("outStatistics", problem);
    let share = given.and_then(|given| given.value).ok_or_else(|| {
        invalid("a percentile needs statisticParameters with its value, such as {\"value\":0.5}".to_owned())
    })?;
    if !(0.0..=1.0).contains(&share) {
        return Err(invalid(format!("the value {share} of a percentile is not from 0 to 1")));
    }
    let descending = match given.and_then(|given| given.order_by.as_deref()).map(str::trim) {
        None | Some("") => false,
        Some(word) if word.eq_ignore_ascii_case("asc") => false,
        Some(word) if word.eq_ignore_ascii_case("desc") => true,
        Some(word) => {
            return Err(invalid(format!("orderBy '{}' of a percentile is neither ASC nor DESC", brief(word))));
        }
    };
    Ok(Percentile { share, descending })
}

/// The position of a column that an order names, or of the groups of an expression that it repeats.
fn position(name: &str, columns: &[TableColumn], layer: &Layer) -> Result<usize> {
    let bare = name.trim_matches('"');
    let exact = || columns.iter().position(|column| column.field.name == bare);
    let in_any_case = || columns.iter().position(|column| column.field.name.eq_ignore_ascii_case(bare));
    let repeated = || {
        let group = ColumnValue::Group(operand(name, "orderByFields", layer).ok()?);
        columns.iter().position(|column| column.value == group)
    };
    exact().or_else(in_any_case).or_else(repeated).ok_or_else(|| {
        let known: Vec<&str> = columns.iter().map(|column| column.field.name.as_str()).collect();
        Error::invalid(
            "orderByFields",
            format!("there is no column '{}' in the answer; the columns are {}", brief(name), known.join(", ")),
        )
    })
}

/// Everything of the answer but its rows.
pub(crate) fn table_head(layer: &Layer, table: &Table) -> Json {
    let fields = || {
        table.shown().iter().map(|column| match column.value {
            ColumnValue::Group(Operand::Field(index)) => describe::field(layer, index),
            ColumnValue::Group(Operand::Expression(_)) | ColumnValue::Statistic(..) => statistic_field(&column.field),
        })
    };
    if table.distinct {
        return json!({
            "objectIdFieldName": layer.object_id_field().name,
            "globalIdFieldName": layer.global_id_field().name,
            "fields": fields().collect::<Json>(),
        });
    }
    let aliases: Map<String, Json> =
        table.shown().iter().map(|column| (column.field.name.clone(), column.field.alias.clone().into())).collect();
    json!({"displayFieldName": "", "fieldAliases": aliases, "fields": fields().collect::<Json>()})
}

fn statistic_field(field: &Field) -> Json {
    let mut shown = json!({
        "name": field.name, "type": describe::field_type_name(field), "alias": field.alias, "sqlType": "sqlTypeOther",
        "domain": null, "defaultValue": null,
    });
    if let Some(length) = describe::length(field) {
        shown["length"] = length.into();
    }
    shown
}
