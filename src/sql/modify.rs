//! Changing features, many in a statement.

use uuid::Uuid;

use crate::model::{
    edit::Assigned,
    layer::{Field, Layer, attachment},
    predicate::Expr,
    value::{FieldType, Value},
};

use super::{
    fragment::{Fragment, Ident},
    predicate,
    select::{and_visible, change_table, column, columns, policy_holds, table},
};

/// Edits of one layer that name the same attributes, and so go into one statement: column by column, ready to be bound
/// as arrays.
pub(crate) struct Rows<'a> {
    /// The features.
    pub(crate) global_ids: Vec<Uuid>,
    /// The attributes that are named, each with a value for each feature.
    pub(crate) columns: Vec<(usize, Vec<&'a Value>)>,
    /// The geometry for each feature, if the edits say anything about it: EWKB, `None` to clear it.
    pub(crate) geometry: Option<Vec<Option<Vec<u8>>>>,
    /// Whether some of the geometries are in another spatial reference than the layer's.
    pub(crate) reproject: bool,
}

impl Rows<'_> {
    /// The attributes that are named.
    fn fields(&self) -> Vec<usize> {
        self.columns.iter().map(|(index, _)| *index).collect()
    }
}

/// Puts features: those whose global id exists are changed instead, so that an upload sent twice has the effect of one.
/// Returns global id and object id of each row.
pub(crate) fn upsert(layer: &Layer, rows: &Rows<'_>) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let mut out = Fragment::new("-- upsert\ninsert into ");
    out.ident(&table(layer)).sql(" as n (").ident(&global_id);
    each_column(
        layer,
        rows,
        |name, out| {
            out.sql(", ").ident(name);
        },
        &mut out,
    );
    let added = stamps(layer, &rows.fields(), Stamped::Added);
    for (index, _) in &added {
        out.sql(", ").ident(&column(layer, *index));
    }
    out.sql(")\nselect u.g");
    expressions(
        layer,
        rows,
        |_, out| {
            out.sql(", ");
        },
        &mut out,
    );
    for (index, stamp) in &added {
        out.sql(", ");
        write_stamp(layer, *index, *stamp, &mut out);
    }
    source(layer, rows, &mut out);
    out.sql("\non conflict (").ident(&global_id).sql(") do update set ");
    if rows.columns.is_empty() && rows.geometry.is_none() {
        // Something must be set for the row to be returned.
        out.ident(&global_id).sql(" = excluded.").ident(&global_id);
    } else {
        let mut first = true;
        each_column(
            layer,
            rows,
            |name, out| {
                out.sql(if first { "" } else { ", " }).ident(name).sql(" = excluded.").ident(name);
                first = false;
            },
            &mut out,
        );
    }
    for (index, _) in stamps(layer, &rows.fields(), Stamped::Changed) {
        let name = column(layer, index);
        out.sql(", ").ident(&name).sql(" = excluded.").ident(&name);
    }
    out.sql("\nreturning n.").ident(&global_id).sql(", n.").ident(&column(layer, layer.object_id)).sql("::int8");
    checked(layer, &mut out);
    out
}

/// Changes features that exist. Returns global id and object id of each row that was there.
pub(crate) fn update(layer: &Layer, rows: &Rows<'_>) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let mut out = Fragment::new("-- update\nupdate ");
    out.ident(&table(layer)).sql(" as n set ");
    let mut first = true;
    expressions(
        layer,
        rows,
        |name, out| {
            out.sql(if first { "" } else { ", " }).ident(name).sql(" = ");
            first = false;
        },
        &mut out,
    );
    for (index, stamp) in stamps(layer, &rows.fields(), Stamped::Changed) {
        out.sql(", ").ident(&column(layer, index)).sql(" = ");
        write_stamp(layer, index, stamp, &mut out);
    }
    source(layer, rows, &mut out);
    out.sql("\nwhere n.").ident(&global_id).sql(" = u.g\nreturning n.").ident(&global_id);
    out.sql(", n.").ident(&column(layer, layer.object_id)).sql("::int8");
    checked(layer, &mut out);
    out
}

/// Removes features. Returns global id and object id of each row that was there.
pub(crate) fn delete(layer: &Layer, global_ids: Vec<Uuid>) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let mut out = Fragment::new("-- delete\ndelete from ");
    out.ident(&table(layer)).sql(" n where n.").ident(&global_id).sql(" = any(").bind(global_ids);
    out.sql(")\nreturning n.").ident(&global_id).sql(", n.").ident(&column(layer, layer.object_id)).sql("::int8");
    out
}

/// Sets fields of features. Returns global id and object id of each row that was there.
pub(crate) fn calculate(layer: &Layer, assignments: &[(usize, Assigned)], global_ids: Vec<Uuid>) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let shape = layer.shape.as_ref().map(|shape| Ident::new(&shape.column));
    let mut out = Fragment::new("-- calculate\nupdate ");
    out.ident(&table(layer)).sql(" as n set ");
    for (position, (field, assigned)) in assignments.iter().enumerate() {
        out.sql(if position > 0 { ", " } else { "" }).ident(&column(layer, *field)).sql(" = ");
        match assigned {
            Assigned::Value(value) => bind_value(&layer.fields[*field], value, &mut out),
            // From a number that need not be a double to another: to the last digit.
            Assigned::Computed(expression)
                if let Expr::Field { index, .. } = expression.root()
                    && layer.fields[*index].exceeds_double()
                    && layer.fields[*field].exceeds_double() =>
            {
                out.sql("n.").ident(&column(layer, *index));
            }
            // Without a cast: what does not fit the column is refused, and not cut.
            Assigned::Computed(expression) => {
                predicate::render_expression(expression, &columns(layer), shape.as_ref(), "n", &mut out);
            }
        }
    }
    let named: Vec<usize> = assignments.iter().map(|(field, _)| *field).collect();
    for (index, stamp) in stamps(layer, &named, Stamped::Changed) {
        out.sql(", ").ident(&column(layer, index)).sql(" = ");
        write_stamp(layer, index, stamp, &mut out);
    }
    out.sql("\nwhere n.").ident(&global_id).sql(" = any(").bind(global_ids).sql(")\nreturning n.").ident(&global_id);
    out.sql(", n.").ident(&column(layer, layer.object_id)).sql("::int8");
    checked(layer, &mut out);
    out
}

/// Appends what fails the statement if a row that it wrote is none that who asks may write: as the database has it, with what defaults and
/// triggers before the write made of it. The error has the SQLSTATE 44000, and the global id as its detail.
pub(super) fn checked(layer: &Layer, out: &mut Fragment) {
    if let Some(policy) = &layer.guard.check {
        out.sql(", case when ");
        policy_holds(layer, policy, "n", out);
        out.sql(" then true else syncline.refuse_row(n.").ident(&column(layer, layer.global_id)).sql(") end");
    }
}

fn bind_value(field: &Field, value: &Value, out: &mut Fragment) {
    match value {
        Value::Null => out.sql("null"),
        Value::Integer(number) if field.field_type == FieldType::Boolean => out.bind(*number).sql("::int::bool"),
        Value::Integer(number) => out.bind(*number).sql("::int8"),
        Value::Float(number) => out.bind(*number).sql("::float8"),
        Value::Text(text) => out.bind(text.clone()).sql("::text"),
        Value::Guid(guid) => out.bind(*guid).sql("::uuid"),
        Value::Instant(microseconds) => {
            out.sql("timestamptz 'epoch' + (").bind(microseconds / 1_000_000).sql("::int8 * interval '1 second') + (");
            out.bind(microseconds % 1_000_000).sql("::int8 * interval '1 microsecond')")
        }
        Value::Day(days) => out.sql("date 'epoch' + ").bind(*days).sql("::int"),
        Value::TimeOfDay(microseconds) => {
            out.sql("time '00:00' + ").bind(*microseconds).sql("::int8 * interval '1 microsecond'")
        }
    };
}

/// Global id and object id of the features with these object ids, as far as who asks may see them.
pub(crate) fn by_object_id(layer: &Layer, object_ids: Vec<i64>) -> Fragment {
    let mut out = Fragment::new("-- features_by_object_id\nselect n.");
    out.ident(&column(layer, layer.global_id)).sql(", n.").ident(&column(layer, layer.object_id)).sql("::int8 from ");
    out.ident(&table(layer))
        .sql(" n where n.")
        .ident(&column(layer, layer.object_id))
        .sql(" = any(")
        .bind(object_ids)
        .sql(")");
    and_visible(layer, "n", &mut out);
    out
}

/// Global id and object id of those of the features that exist.
pub(crate) fn by_global_id(layer: &Layer, global_ids: Vec<Uuid>) -> Fragment {
    let mut out = Fragment::new("-- features_by_global_id\nselect n.");
    out.ident(&column(layer, layer.global_id)).sql(", n.").ident(&column(layer, layer.object_id)).sql("::int8 from ");
    out.ident(&table(layer))
        .sql(" n where n.")
        .ident(&column(layer, layer.global_id))
        .sql(" = any(")
        .bind(global_ids)
        .sql(")");
    out
}

/// Global id and object id of those of the features that exist, which are kept from being deleted until the transaction
/// ends.
pub(crate) fn lock(layer: &Layer, mut global_ids: Vec<Uuid>) -> Fragment {
    global_ids.sort_unstable();
    global_ids.dedup();
    let mut out = by_global_id(layer, global_ids);
    // In one order everywhere, so that nobody waits in a circle.
    out.sql(" order by n.").ident(&column(layer, layer.global_id)).sql(" for key share");
    out
}

/// Global id of those of the attachments that exist, and of the feature of each.
pub(crate) fn parents(attachments: &Layer, global_ids: Vec<Uuid>) -> Fragment {
    let global_id = column(attachments, attachments.global_id);
    let mut out = Fragment::new("-- attachment_parents\nselect n.");
    out.ident(&global_id).sql(", n.").ident(&column(attachments, attachment::PARENT)).sql(" from ");
    out.ident(&table(attachments)).sql(" n where n.").ident(&global_id).sql(" = any(").bind(global_ids).sql(")");
    out
}

/// Which of the features that exist who asks may see, change and delete, each kept from being changed until the transaction ends. Columns: global
/// id, and a truth value for each.
pub(crate) fn guarded(layer: &Layer, global_ids: Vec<Uuid>) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let mut out = Fragment::new("-- features_guarded\nselect ");
    standing(layer, &mut out);
    out.sql("\nfrom ").ident(&table(layer)).sql(" n where n.").ident(&global_id).sql(" = any(").bind(global_ids);
    // In one order everywhere, so that nobody waits in a circle.
    out.sql(") order by n.").ident(&global_id).sql(" for no key update");
    out
}

/// The same of features as a transaction found them.
pub(crate) fn guarded_images(layer: &Layer, txn: i64, global_ids: Vec<Uuid>) -> Fragment {
    let mut out = Fragment::new("-- features_guarded_then\nselect ");
    standing(layer, &mut out);
    out.sql("\nfrom ")
        .ident(&change_table(layer.key))
        .sql(" n where n.syncline_existed and n.syncline_txn = ")
        .bind(txn);
    out.sql(" and n.").ident(&column(layer, layer.global_id)).sql(" = any(").bind(global_ids).sql(")");
    out
}

fn standing(layer: &Layer, out: &mut Fragment) {
    out.sql("n.").ident(&column(layer, layer.global_id));
    for policy in [&layer.guard.read, &layer.guard.update, &layer.guard.delete] {
        out.sql(", coalesce(");
        match policy {
            None => {
                out.sql("true");
            }
            Some(policy) => policy_holds(layer, policy, "n", out),
        }
        out.sql(", false)");
    }
}

/// Enters into features who edits them, and when. There must be a field for one or the other. Returns global id and object id of each row
/// that was there.
pub(crate) fn stamp(layer: &Layer, global_ids: Vec<Uuid>) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let mut out = Fragment::new("-- features_stamp\nupdate ");
    out.ident(&table(layer)).sql(" as n set ");
    for (position, (index, stamp)) in stamps(layer, &[], Stamped::Changed).into_iter().enumerate() {
        out.sql(if position > 0 { ", " } else { "" }).ident(&column(layer, index)).sql(" = ");
        write_stamp(layer, index, stamp, &mut out);
    }
    // In one order everywhere, so that nobody waits in a circle.
    out.sql("\nfrom (select s.").ident(&global_id).sql(" as g from ").ident(&table(layer)).sql(" s where s.");
    out.ident(&global_id).sql(" = any(").bind(global_ids).sql(") order by 1 for no key update) u");
    out.sql("\nwhere n.").ident(&global_id).sql(" = u.g\nreturning n.").ident(&global_id);
    out.sql(", n.").ident(&column(layer, layer.object_id)).sql("::int8");
    out
}

/// Removes attachments whose feature is gone. Returns global id and object id of each.
pub(crate) fn delete_orphans(features: &Layer, attachments: &Layer) -> Fragment {
    let global_id = column(attachments, attachments.global_id);
    let mut out = Fragment::new("-- delete_orphans\ndelete from ");
    out.ident(&table(attachments)).sql(" n where not exists (select from ").ident(&table(features)).sql(" f where f.");
    out.ident(&column(features, features.global_id)).sql(" = n.").ident(&column(attachments, attachment::PARENT));
    out.sql(")\nreturning n.").ident(&global_id);
    out.sql(", n.").ident(&column(attachments, attachments.object_id)).sql("::int8");
    out
}

/// Keeps others from editing a layer until the end of the transaction. They may read.
pub(crate) fn close(layer: &Layer) -> Fragment {
    let mut out = Fragment::new("-- layer_close\nlock table ");
    out.ident(&table(layer)).sql(" in share row exclusive mode");
    out
}

/// How many rows a layer has, and how many of those that it had before a transaction were changed by it.
pub(crate) fn loaded(layer: &Layer, mark: Option<i64>) -> Fragment {
    let mut out = Fragment::new("-- layer_loaded\nselect (select count(*) from ");
    out.ident(&table(layer)).sql("), (select count(*) from ").ident(&change_table(layer.key));
    out.sql(" c where c.syncline_existed and c.syncline_txn = ").bind(mark).sql(")");
    out
}

/// Global id and object id of those of the features that are stored already as the edits would have them.
pub(crate) fn equal(layer: &Layer, rows: &Rows<'_>) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let mut out = Fragment::new("-- features_equal\nselect n.");
    out.ident(&global_id).sql(", n.").ident(&column(layer, layer.object_id)).sql("::int8");
    source(layer, rows, &mut out);
    out.sql("\njoin ").ident(&table(layer)).sql(" n on n.").ident(&global_id).sql(" = u.g\nwhere true");
    expressions(
        layer,
        rows,
        |name, out| {
            out.sql(" and n.").ident(name).sql(" is not distinct from ");
        },
        &mut out,
    );
    out
}

/// When the server says who edited a row, and when.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stamped {
    /// When it is added.
    Added,
    /// With every change.
    Changed,
}

/// What the server fills in.
#[derive(Clone, Copy)]
enum Stamp {
    Who,
    When,
}

/// The columns that the server fills in: those that the edits do not name, as only another server's do. A row that is added
/// has been changed, too.
fn stamps(layer: &Layer, named: &[usize], stamped: Stamped) -> Vec<(usize, Stamp)> {
    let tracking = layer.rules.tracking;
    let added = [(tracking.creator, Stamp::Who), (tracking.created, Stamp::When)];
    let changed = [(tracking.editor, Stamp::Who), (tracking.edited, Stamp::When)];
    let also_added = added.into_iter().filter(|_| stamped == Stamped::Added);
    let unnamed = |index: &usize| !named.contains(index);
    changed.into_iter().chain(also_added).filter_map(|(index, stamp)| Some((index.filter(unnamed)?, stamp))).collect()
}

/// Who edits, or the time by the database's clock. Clients hold milliseconds, and compare what they hold.
fn write_stamp(layer: &Layer, field: usize, stamp: Stamp, out: &mut Fragment) {
    match stamp {
        Stamp::Who => out.bind(layer.guard.user.to_string()),
        Stamp::When if layer.fields[field].column_type.starts_with("timestamp with time zone") => {
            out.sql("date_trunc('milliseconds', now())")
        }
        Stamp::When => out.sql("date_trunc('milliseconds', now() at time zone 'UTC')"),
    };
}

fn each_column(layer: &Layer, rows: &Rows<'_>, mut each: impl FnMut(&Ident, &mut Fragment), out: &mut Fragment) {
    for (index, _) in &rows.columns {
        each(&column(layer, *index), out);
    }
    if let (Some(_), Some(shape)) = (&rows.geometry, &layer.shape) {
        each(&Ident::new(&shape.column), out);
    }
}

/// For each column: what `before` writes, then the value of the column in the row `u` of the source.
fn expressions(layer: &Layer, rows: &Rows<'_>, mut before: impl FnMut(&Ident, &mut Fragment), out: &mut Fragment) {
    for (position, (index, _)) in rows.columns.iter().enumerate() {
        let field = &layer.fields[*index];
        before(&Ident::new(&field.name), out);
        match field.field_type {
            FieldType::Date => {
                let zone = if field.column_type.starts_with("timestamp with time zone") { "tz" } else { "" };
                // Seconds first: an interval is multiplied as a double, which does not hold the microseconds of far-off years.
                out.sql("timestamp")
                    .sql(zone)
                    .sql(" 'epoch' + (u.c")
                    .number(position)
                    .sql(" / 1000000) * interval '1 second' + (u.c");
                out.number(position).sql(" % 1000000) * interval '1 microsecond'")
            }
            FieldType::DateOnly => out.sql("date 'epoch' + u.c").number(position).sql("::int"),
            FieldType::TimeOnly => out.sql("time '00:00' + u.c").number(position).sql(" * interval '1 microsecond'"),
            FieldType::Boolean => out.sql("u.c").number(position).sql("::int::bool"),
            _ => out.sql("u.c").number(position).sql("::").column_type(field),
        };
    }
    if let (Some(_), Some(shape)) = (&rows.geometry, &layer.shape) {
        before(&Ident::new(&shape.column), out);
        if rows.reproject {
            out.sql("ST_Transform(u.shape::geometry, ").bind(shape.srid).sql(")");
        } else {
            out.sql("u.shape::geometry");
        }
    }
}

/// `from unnest($1, $2, …) as u(g, c0, c1, …, shape)`
fn source(layer: &Layer, rows: &Rows<'_>, out: &mut Fragment) {
    out.sql("\nfrom unnest(").bind(rows.global_ids.clone());
    for (index, values) in &rows.columns {
        out.sql(", ");
        bind_column(&layer.fields[*index], values, out);
    }
    if let Some(geometry) = &rows.geometry {
        out.sql(", ").bind(geometry.clone());
    }
    out.sql(") as u(g");
    for position in 0..rows.columns.len() {
        out.sql(", c").number(position);
    }
    out.sql(if rows.geometry.is_some() { ", shape)" } else { ")" });
}

fn bind_column(field: &Field, values: &[&Value], out: &mut Fragment) {
    match field.field_type {
        FieldType::Text | FieldType::TimestampOffset => out.bind(
            values
                .iter()
                .map(|value| if let Value::Text(text) = value { Some(text.clone()) } else { None })
                .collect::<Vec<_>>(),
        ),
        FieldType::Guid | FieldType::GlobalId => out.bind(
            values
                .iter()
                .map(|value| if let Value::Guid(guid) = value { Some(*guid) } else { None })
                .collect::<Vec<_>>(),
        ),
        FieldType::Single | FieldType::Double => out.bind(
            values
                .iter()
                .map(|value| if let Value::Float(float) = value { Some(*float) } else { None })
                .collect::<Vec<_>>(),
        ),
        _ => out.bind(
            values
                .iter()
                .map(|value| match value {
                    Value::Integer(number) | Value::Instant(number) | Value::TimeOfDay(number) => Some(*number),
                    Value::Day(days) => Some(i64::from(*days)),
                    _ => None,
                })
                .collect::<Vec<_>>(),
        ),
    };
}
