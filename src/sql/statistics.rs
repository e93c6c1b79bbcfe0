//! Tables that are computed from features: groups, statistics, values that differ.

use crate::model::{
    layer::Layer,
    statistics::{ColumnValue, Percentile, Statistic, Table},
    value::FieldType,
};

use super::{
    fragment::{Fragment, Ident},
    predicate,
    select::{INSTANT, column, value},
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
        match of.value {
            ColumnValue::Field(index) => value(layer, index, "n", out),
            ColumnValue::Statistic(statistic, index) => self::statistic(layer, statistic, index, out),
        }
        out.sql(" as c").number(position);
    }
    from_where(layer, selection, out);
    for position in 0..table.n_groups() {
        out.sql(if position > 0 { ", " } else { "\ngroup by " }).number(position + 1);
    }
    out.sql(") g");
    if let Some(having) = &table.having {
        let columns: Vec<Ident> =
            (0..table.columns.len()).map(|position| Ident::new(&format!("c{position}"))).collect();
        out.sql("\nwhere ");
        predicate::render(having, &columns, None, "g", out);
    }
}

fn statistic(layer: &Layer, statistic: Statistic, index: Option<usize>, out: &mut Fragment) {
    let Some(index) = index else {
        out.sql("count(*)");
        return;
    };
    match statistic {
        Statistic::Count => {
            out.sql("count(n.").ident(&column(layer, index)).sql(")");
        }
        Statistic::Sum => number("sum(", layer, index, out),
        Statistic::Average => number("avg(", layer, index, out),
        Statistic::StandardDeviation => number("stddev_samp(", layer, index, out),
        Statistic::Variance => number("var_samp(", layer, index, out),
        Statistic::Min => ordered("min(", layer, index, out),
        Statistic::Max => ordered("max(", layer, index, out),
        Statistic::PercentileContinuous(percentile) => {
            out.sql("percentile_cont(");
            within(percentile, out, |out| {
                comparable(layer, index, out);
                out.sql("::float8");
            });
        }
        Statistic::PercentileDiscrete(percentile) => {
            shown(layer, index, out, |out| {
                out.sql("percentile_disc(");
                within(percentile, out, |out| comparable(layer, index, out));
            });
        }
    }
}

fn number(function: &'static str, layer: &Layer, index: usize, out: &mut Fragment) {
    out.sql(function);
    comparable(layer, index, out);
    out.sql(if layer.fields[index].field_type == FieldType::Single { "::float8)::float8" } else { ")::float8" });
}

/// The database knows no least or greatest GUID, but of their texts, which are in the same order.
fn ordered(function: &'static str, layer: &Layer, index: usize, out: &mut Fragment) {
    let is_guid = matches!(layer.fields[index].field_type, FieldType::Guid | FieldType::GlobalId);
    shown(layer, index, out, |out| {
        out.sql(function);
        comparable(layer, index, out);
        out.sql(if is_guid { "::text)::uuid" } else { ")" });
    });
}

/// Appends a value that [`comparable`] gave, as the field shows it: instants with an offset are in UTC then.
fn shown(layer: &Layer, index: usize, out: &mut Fragment, value: impl FnOnce(&mut Fragment)) {
    if layer.fields[index].field_type != FieldType::TimestampOffset {
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

/// Appends a field's value as something that has an order and, if it is a number, a sum.
fn comparable(layer: &Layer, index: usize, out: &mut Fragment) {
    value(layer, index, "n", out);
    match layer.fields[index].field_type {
        FieldType::Boolean => {
            out.sql("::int");
        }
        FieldType::TimestampOffset => {
            out.sql(INSTANT);
        }
        _ => {}
    }
}
