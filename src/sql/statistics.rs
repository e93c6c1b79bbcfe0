//! Tables that are computed from features: groups, statistics, values that differ.

use crate::model::{
    layer::Layer,
    statistics::{ColumnValue, Operand, Percentile, Statistic, Table},
    value::FieldType,
};

use super::{
    fragment::{Fragment, Ident},
    predicate,
    select::{INSTANT, column, computed, value},
    selection::{Selection, from_where},
};

/// A page of the rows of a table, in a stable order; its columns in their order.
pub(crate) fn rows(layer: &Layer, selection: &Selection<'_>, table: &Table, limit: i64) -> Fragment {
    let mut out = Fragment::new("-- table\nselect ");
    for position in 0..table.n_shown {
        out.sql(if position > 0 { ", g.c" } else { "g.c" }).number(position);
    }
    groups(layer, selection, table, &mut out);
    let groups = (0..table.n_groups()).map(|position| (position, false));
    let mut glue = "\norder by g.c";
    for (position, descending) in table.order.iter().copied().chain(groups) {
        out.sql(glue).number(position);
        let is_text = table.columns.get(position).is_some_and(|of| of.field.field_type == FieldType::TimestampOffset);
        out.sql(if is_text { INSTANT } else { "" }).sql(if descending { " desc" } else { "" });
        glue = ", g.c";
    }
    out.sql("\nlimit ").bind(limit).sql(" offset ").bind(table.offset);
    out
}

/// The number of rows of a table.
pub(crate) fn count(layer: &Layer, selection: &Selection<'_>, table: &Table) -> Fragment {
    let mut out = Fragment::new("-- table_count\nselect count(*)");
    groups(layer, selection, table, &mut out);
    out
}

/// Appends `from (…) g where …`: all groups that are wanted, with their columns as `c0`, `c1` and so on.
fn groups(layer: &Layer, selection: &Selection<'_>, table: &Table, out: &mut Fragment) {
    out.sql("\nfrom (select ");
    for (position, of) in table.columns.iter().enumerate() {
        out.sql(if position > 0 { ", " } else { "" });
        match &of.value {
            ColumnValue::Group(operand) => readable(layer, operand, out),
            ColumnValue::Statistic(statistic, operand) => self::statistic(layer, *statistic, operand.as_ref(), out),
        }
        out.sql(" as c").number(position);
    }
    from_where(layer, selection, out);
    for position in 0..table.n_groups() {
        out.sql(if position > 0 { ", " } else { "\ngroup by " }).number(position + 1);
    }
    out.sql(") g");
    if let Some(having) = &table.having {
        let column = |position| predicate::Column { name: Ident::new(&format!("c{position}")), exceeds_double: false };
        let columns: Vec<_> = (0..table.columns.len()).map(column).collect();
        out.sql("\nwhere ");
        predicate::render(having, &columns, None, "g", out);
    }
}

fn statistic(layer: &Layer, statistic: Statistic, operand: Option<&Operand>, out: &mut Fragment) {
    let Some(operand) = operand else {
        out.sql("count(*)");
        return;
    };
    match statistic {
        Statistic::Count => {
            out.sql("count(");
            match operand {
                Operand::Field(index) => {
                    out.sql("n.").ident(&column(layer, *index));
                }
                Operand::Expression(expression) => computed(layer, expression, "n", out),
            }
            out.sql(")");
        }
        Statistic::Sum => number("sum(", layer, operand, out),
        Statistic::Average => number("avg(", layer, operand, out),
        Statistic::StandardDeviation => number("stddev_samp(", layer, operand, out),
        Statistic::Variance => number("var_samp(", layer, operand, out),
        Statistic::Min => ordered("min(", layer, operand, out),
        Statistic::Max => ordered("max(", layer, operand, out),
        Statistic::PercentileContinuous(percentile) => {
            out.sql("percentile_cont(");
            within(percentile, out, |out| {
                comparable(layer, operand, out);
                out.sql("::float8");
            });
        }
        Statistic::PercentileDiscrete(percentile) => {
            shown(layer, operand, out, |out| {
                out.sql("percentile_disc(");
                within(percentile, out, |out| comparable(layer, operand, out));
            });
        }
    }
}

fn number(function: &'static str, layer: &Layer, operand: &Operand, out: &mut Fragment) {
    out.sql(function);
    match type_of(layer, operand) {
        // What would be beyond a double fails the statement: sums of such numbers, and squares, which averages take as well. With one of them, the
        // statistic is no number, for which clients get null.
        FieldType::Double => {
            out.sql("case when abs(");
            comparable(layer, operand, out);
            out.sql(if function == "sum(" { ") > 1e300" } else { ") > 1e140" }).sql(" then 'NaN'::float8 else ");
            comparable(layer, operand, out);
            out.sql(" end)");
        }
        FieldType::Single => {
            comparable(layer, operand, out);
            out.sql("::float8)::float8");
        }
        _ => {
            comparable(layer, operand, out);
            out.sql(")::float8");
        }
    }
}

/// The database knows no least or greatest GUID, but of their texts, which are in the same order.
fn ordered(function: &'static str, layer: &Layer, operand: &Operand, out: &mut Fragment) {
    let is_guid = matches!(type_of(layer, operand), FieldType::Guid | FieldType::GlobalId);
    shown(layer, operand, out, |out| {
        out.sql(function);
        comparable(layer, operand, out);
        out.sql(if is_guid { "::text)::uuid" } else { ")" });
    });
}

/// Appends a value that [`comparable`] gave, as the field shows it: instants with an offset are in UTC then.
fn shown(layer: &Layer, operand: &Operand, out: &mut Fragment, value: impl FnOnce(&mut Fragment)) {
    if type_of(layer, operand) != FieldType::TimestampOffset {
        return value(out);
    }
    out.sql("to_char((");
    value(out);
    out.sql(") at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')");
}

fn within(percentile: Percentile, out: &mut Fragment, operand: impl FnOnce(&mut Fragment)) {
    out.bind(percentile.share).sql("::float8) within group (order by ");
    operand(out);
    out.sql(if percentile.descending { " desc)" } else { ")" });
}

/// Appends a value as something that has an order and, if it is a number, a sum.
fn comparable(layer: &Layer, operand: &Operand, out: &mut Fragment) {
    readable(layer, operand, out);
    match type_of(layer, operand) {
        FieldType::Boolean => {
            out.sql("::int");
        }
        FieldType::TimestampOffset => {
            out.sql(INSTANT);
        }
        _ => {}
    }
}

/// Appends a value in the type in which it is read.
fn readable(layer: &Layer, operand: &Operand, out: &mut Fragment) {
    let expression = match operand {
        Operand::Field(index) => return value(layer, *index, "n", out),
        Operand::Expression(expression) => expression,
    };
    computed(layer, expression, "n", out);
    out.sql(match type_of(layer, operand) {
        FieldType::ObjectId | FieldType::SmallInteger | FieldType::Integer => "::int4",
        FieldType::BigInteger => "::int8",
        FieldType::Single => "::float4",
        FieldType::Double => "::float8",
        FieldType::Text | FieldType::TimestampOffset => "::text",
        FieldType::Guid | FieldType::GlobalId => "::uuid",
        FieldType::Date => "::timestamptz",
        FieldType::DateOnly => "::date",
        FieldType::TimeOnly => "::time",
        FieldType::Boolean => "::bool",
    });
}

/// The type of what an operand is; an expression of nothing but null is a text that is not there.
fn type_of(layer: &Layer, operand: &Operand) -> FieldType {
    match operand {
        Operand::Field(index) => layer.fields[*index].field_type,
        Operand::Expression(expression) => expression.field_type().unwrap_or(FieldType::Text),
    }
}
