//! Reading features: columns, filters, order.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use uuid::Uuid;

use crate::model::{
    filter::{Filter, Related},
    guard::RowPolicy,
    id::LayerKey,
    layer::{Field, Layer, attachment},
    predicate::{Expr, Expression},
    query::Columns,
    rules::Time,
    statistics::Operand,
    value::FieldType,
};

use super::{
    fragment::{Fragment, Ident},
    predicate,
    selection::{Selection, from_where},
    shape,
};

/// The user's table of a layer.
pub(crate) fn table(layer: &Layer) -> Ident {
    Ident::qualified(&layer.table_schema, &layer.table_name)
}

/// The change table of a layer.
pub(crate) fn change_table(key: LayerKey) -> Ident {
    Ident::qualified("syncline", &format!("change_{}", key.0))
}

/// The column of a field.
pub(crate) fn column(layer: &Layer, field: usize) -> Ident {
    Ident::new(&layer.fields[field].name)
}

/// The columns of all fields, for conditions.
pub(crate) fn columns(layer: &Layer) -> Vec<predicate::Column> {
    let column =
        |field: &Field| predicate::Column { name: Ident::new(&field.name), exceeds_double: field.exceeds_double() };
    layer.fields.iter().map(column).collect()
}

/// Appends `alias."a", alias."b"::float8, …` and the geometry last. The types that come out are the ones that
/// `format::json` reads: integers, floats, text, uuid, boolean, dates and times, EWKB.
pub(crate) fn list(layer: &Layer, columns: &Columns, alias: &'static str, out: &mut Fragment) {
    edition(layer, out);
    for (position, &index) in columns.fields.iter().enumerate() {
        if position > 0 {
            out.sql(", ");
        }
        match columns.emptied.contains(&index) {
            false => value(layer, index, alias, out),
            true => empty(layer, index, alias, out),
        }
    }
    if let (Some(srid), Some(shape)) = (columns.srid, &layer.shape) {
        if !columns.fields.is_empty() {
            out.sql(", ");
        }
        if columns.max_offset.is_some() {
            out.sql("ST_Simplify(");
        }
        shape::in_reference(shape, alias, srid, out);
        if let Some(offset) = columns.max_offset {
            // What is smaller than the offset stays as the smallest shape of its type.
            out.sql(", ").bind(offset).sql(", true)");
        }
    }
}

/// Appends no value of a field, of the type in which it is read. What cannot be null is the least that the type has, since who holds the field may hold
/// it in a column that takes no null.
fn empty(layer: &Layer, index: usize, alias: &'static str, out: &mut Fragment) {
    out.sql(if layer.is_nullable(index) { "(" } else { "coalesce(" }).sql("case when false then ");
    value(layer, index, alias, out);
    out.sql(" end");
    if !layer.is_nullable(index) {
        // Literals of an unknown type, which become what the column is.
        out.sql(match layer.fields[index].field_type {
            FieldType::Text => ", ''",
            FieldType::Boolean => ", 'false'",
            FieldType::Date | FieldType::DateOnly => ", '1970-01-01'",
            FieldType::TimestampOffset => ", '1970-01-01 00:00:00+00'",
            FieldType::TimeOnly => ", '00:00'",
            FieldType::Guid | FieldType::GlobalId => ", '00000000-0000-0000-0000-000000000000'",
            _ => ", '0'",
        });
    }
    out.sql(")");
}

/// Makes an instant, which has an order, of one that is text with its offset.
pub(super) const INSTANT: &str = "::text::timestamptz";

/// Appends a field's value in a type that is read.
pub(super) fn value(layer: &Layer, index: usize, alias: &'static str, out: &mut Fragment) {
    let field = &layer.fields[index];
    if field.exceeds_double() {
        return predicate::as_double(&column(layer, index), alias, out);
    }
    out.sql(alias).sql(".").ident(&column(layer, index));
    match field.field_type {
        FieldType::Double if field.column_type != "double precision" => out.sql("::float8"),
        FieldType::TimestampOffset => out.sql("::text"),
        FieldType::Text if field.column_type != "text" && !field.column_type.starts_with("character") => {
            out.sql("::text")
        }
        _ => out,
    };
}

/// Appends a comment that changes with the columns of a layer. Connections keep statements by their text, with the types
/// that they had: for a table that is published again, or repaired, the statement kept would fail.
pub(super) fn edition(layer: &Layer, out: &mut Fragment) {
    let mut hasher = DefaultHasher::new();
    for field in &layer.fields {
        (&field.name, &field.column_type).hash(&mut hasher);
    }
    let hash = usize::try_from(hasher.finish()).unwrap_or(usize::MAX);
    out.sql("/* ").ident(&change_table(layer.key)).sql(" ").number(hash).sql(" */ ");
}

/// Appends a condition that is true for the rows of a replica's filter, on `alias`: the table itself or a row as it was
/// before a change, which has the same columns.
pub(crate) fn filter(layer: &Layer, filter: &Filter, alias: &'static str, out: &mut Fragment) {
    let (rows, area) = match filter {
        Filter::All => {
            out.sql("true");
            return;
        }
        Filter::None => {
            out.sql("false");
            return;
        }
        Filter::Related(ways) => {
            for (position, way) in ways.iter().enumerate() {
                out.sql(if position > 0 { " or " } else { "(" });
                belongs(layer, way, alias, out);
            }
            out.sql(")");
            return;
        }
        Filter::Guarded(policy, rows) => {
            out.sql("((");
            policy_holds(layer, policy, alias, out);
            out.sql(") and (");
            self::filter(layer, rows, alias, out);
            out.sql("))");
            return;
        }
        Filter::Matching { rows, area } => (rows, area),
    };
    let shape = layer.shape.as_ref().map(|shape| Ident::new(&shape.column));
    let mut any = false;
    if let Some(rows) = rows {
        out.sql("(");
        predicate::render(rows, &columns(layer), shape.as_ref(), alias, out);
        out.sql(")");
        any = true;
    }
    if let (Some(area), Some(shape)) = (area, &layer.shape) {
        out.sql(if any { " and (" } else { "(" });
        shape::near(shape, alias, area, out);
        out.sql("ST_Intersects(");
        shape::fitting(shape, alias, out);
        out.sql(", ").bind(area.clone()).sql("::bytea::geometry))");
        any = true;
    }
    if !any {
        out.sql("true");
    }
}

/// Appends the condition of a policy, on `alias`.
pub(super) fn policy_holds(layer: &Layer, policy: &RowPolicy, alias: &'static str, out: &mut Fragment) {
    let shape = layer.shape.as_ref().map(|shape| Ident::new(&shape.column));
    predicate::render(&policy.predicate, &columns(layer), shape.as_ref(), alias, out);
}

/// Appends ` and …`, the condition that rows on `alias` are ones that who asks may see; nothing if those are all.
pub(super) fn and_visible(layer: &Layer, alias: &'static str, out: &mut Fragment) {
    if let Some(policy) = &layer.guard.read {
        out.sql("\n  and (");
        policy_holds(layer, policy, alias, out);
        out.sql(")");
    }
}

/// Appends a condition that is true for rows on `alias` that belong to a row of the origin's filter.
fn belongs(layer: &Layer, way: &Related, alias: &'static str, out: &mut Fragment) {
    let inner = inner_alias(alias);
    out.sql("exists (select from ").ident(&table(&way.origin)).sql(" ").sql(inner).sql(" where ");
    same_key(layer, way, alias, inner, out);
    out.sql(" and ");
    filter(&way.origin, &way.filter, inner, out);
    out.sql(")");
}

/// Appends `inner.key = alias.key`.
pub(super) fn same_key(layer: &Layer, way: &Related, alias: &'static str, inner: &'static str, out: &mut Fragment) {
    out.sql(inner).sql(".").ident(&column(&way.origin, way.origin_field));
    out.sql(" = ").sql(alias).sql(".").ident(&column(layer, way.destination_field));
}

/// The name of a table within a condition on another one.
pub(super) fn inner_alias(alias: &str) -> &'static str {
    match alias {
        "r1" => "r2",
        "r2" => "r3",
        "r3" => "r4",
        "r4" => "r5",
        "r5" => "r6",
        "r6" => "r7",
        _ => "r1",
    }
}

/// All rows through a filter, in the order in which the table holds them.
pub(crate) fn snapshot(layer: &Layer, rows: &Filter, columns: &Columns) -> Fragment {
    let mut out = Fragment::new("-- snapshot\nselect ");
    list(layer, columns, "n", &mut out);
    out.sql("\nfrom ").ident(&table(layer)).sql(" n");
    if !matches!(rows, Filter::All) {
        out.sql("\nwhere ");
        filter(layer, rows, "n", &mut out);
    }
    out
}

/// How many bytes the attachments through a filter have together.
pub(crate) fn content_bytes(table_of: &Layer, rows: &Filter) -> Fragment {
    let mut out = Fragment::new("-- content_bytes\nselect coalesce(sum(n.");
    out.ident(&column(table_of, attachment::SIZE)).sql("), 0)::int8 from ").ident(&table(table_of)).sql(" n\nwhere ");
    filter(table_of, rows, "n", &mut out);
    out
}

/// All columns of attachments whose features are there: of one feature by its object id, or one by its own id.
pub(crate) fn attachments(features: &Layer, table_of: &Layer, feature: Option<i64>, id: Option<i64>) -> Fragment {
    let mut out = Fragment::new("-- attachments\nselect ");
    list(table_of, &Columns::all(table_of, 0), "n", &mut out);
    out.sql("\nfrom ").ident(&table(table_of)).sql(" n join ").ident(&table(features)).sql(" f on f.");
    out.ident(&column(features, features.global_id)).sql(" = n.").ident(&column(table_of, attachment::PARENT));
    out.sql("\nwhere true");
    if let Some(feature) = feature {
        out.sql(" and f.").ident(&column(features, features.object_id)).sql(" = ").bind(feature);
    }
    if let Some(id) = id {
        out.sql(" and n.").ident(&column(table_of, attachment::ID)).sql(" = ").bind(id);
    }
    and_visible(features, "f", &mut out);
    out.sql("\norder by n.").ident(&column(table_of, attachment::ID));
    out
}

/// Those of the contents that attachments hold, or held as far as changes are kept.
pub(crate) fn contents_in_use(table_of: &Layer, sha256: &[String]) -> Fragment {
    let held = column(table_of, attachment::SHA256);
    let mut out = Fragment::new("-- contents_in_use\nselect n.");
    out.ident(&held).sql(" from ").ident(&table(table_of)).sql(" n where n.").ident(&held).sql(" = any(");
    out.bind(sha256.to_vec()).sql(")\nunion select c.").ident(&held).sql(" from ").ident(&change_table(table_of.key));
    out.sql(" c where c.").ident(&held).sql(" = any(").bind(sha256.to_vec()).sql(")");
    out
}

/// The object id, if there is such a feature.
pub(crate) fn object_id(layer: &Layer, id: i64) -> Fragment {
    let key = column(layer, layer.object_id);
    let mut out = Fragment::new("-- object_id\nselect n.");
    out.ident(&key).sql("::int8 from ").ident(&table(layer)).sql(" n where n.").ident(&key).sql(" = ").bind(id);
    and_visible(layer, "n", &mut out);
    out
}

/// A page of features in a stable order.
pub(crate) fn page(
    layer: &Layer,
    selection: &Selection<'_>,
    columns: &Columns,
    order: &[(Operand, bool)],
    offset: i64,
    limit: i64,
) -> Fragment {
    let mut out = Fragment::new("-- page\nselect ");
    list(layer, columns, "n", &mut out);
    from_where(layer, selection, &mut out);
    out.sql("\norder by ");
    sort(layer, order, &mut out);
    out.sql("\nlimit ").bind(limit).sql(" offset ").bind(offset);
    out
}

/// Appends what to sort rows by, so that their order is always the same: the object id comes last.
pub(super) fn sort(layer: &Layer, order: &[(Operand, bool)], out: &mut Fragment) {
    for (by, descending) in order {
        match by {
            Operand::Field(index) => {
                out.sql("n.").ident(&column(layer, *index));
                out.sql(if layer.fields[*index].field_type == FieldType::TimestampOffset { INSTANT } else { "" });
            }
            // It is the same for all rows, and the database takes no such thing for an order.
            Operand::Expression(expression) if matches!(expression.root(), Expr::Literal(_)) => continue,
            Operand::Expression(expression) => computed(layer, expression, "n", out),
        }
        out.sql(if *descending { " desc, " } else { ", " });
    }
    out.sql("n.").ident(&column(layer, layer.object_id));
}

/// Appends the value of an expression over a layer's fields, of the type that the database makes it.
pub(super) fn computed(layer: &Layer, expression: &Expression, alias: &'static str, out: &mut Fragment) {
    let shape = layer.shape.as_ref().map(|shape| Ident::new(&shape.column));
    predicate::render_expression(expression, &columns(layer), shape.as_ref(), alias, out);
}

/// All object ids, ascending unless another order is given.
pub(crate) fn object_ids(layer: &Layer, selection: &Selection<'_>, order: &[(Operand, bool)]) -> Fragment {
    let mut out = Fragment::new("-- object_ids\nselect n.");
    out.ident(&column(layer, layer.object_id)).sql("::int8");
    from_where(layer, selection, &mut out);
    out.sql("\norder by ");
    sort(layer, order, &mut out);
    out
}

/// The next global ids of the rows of a selection, ascending.
pub(crate) fn global_ids(layer: &Layer, selection: &Selection<'_>, after: Option<Uuid>, limit: i64) -> Fragment {
    let key = column(layer, layer.global_id);
    let mut out = Fragment::new("-- global_ids\nselect n.");
    out.ident(&key).sql(", n.").ident(&column(layer, layer.object_id)).sql("::int8 from (select n.*");
    from_where(layer, selection, &mut out);
    out.sql(") n");
    if let Some(after) = after {
        out.sql("\nwhere n.").ident(&key).sql(" > ").bind(after);
    }
    out.sql("\norder by n.").ident(&key).sql("\nlimit ").bind(limit);
    out
}

/// The features with these global ids: the id, then what is wanted of each. With `lock`, nobody changes them until the
/// transaction ends.
pub(crate) fn features(layer: &Layer, columns: &Columns, mut global_ids: Vec<Uuid>, lock: bool) -> Fragment {
    global_ids.sort_unstable();
    global_ids.dedup();
    let key = column(layer, layer.global_id);
    let mut out = Fragment::new("-- features\nselect n.");
    out.ident(&key).sql(", ");
    list(layer, columns, "n", &mut out);
    out.sql("\nfrom ").ident(&table(layer)).sql(" n where n.").ident(&key).sql(" = any(").bind(global_ids);
    // In one order everywhere, so that nobody waits in a circle.
    out.sql(")\norder by n.").ident(&key).sql(if lock { " for update" } else { "" });
    out
}

/// The global ids of the features whose field has one of these values, each with the value: as a number or as text.
pub(crate) fn matching(layer: &Layer, field: usize, values: Matched) -> Fragment {
    let (key, matched) = (column(layer, layer.global_id), column(layer, field));
    let mut out = Fragment::new("-- features_matching\nselect n.");
    out.ident(&key).sql(", n.").ident(&matched);
    match &values {
        Matched::Integers(_) => out.sql("::int8"),
        Matched::Texts(_) => out.sql("::text"),
        Matched::Guids(_) => out.sql("::uuid"),
    };
    out.sql(" from ").ident(&table(layer)).sql(" n where n.").ident(&matched).sql(" = any(");
    match values {
        Matched::Integers(values) => out.bind(values),
        Matched::Texts(values) => out.bind(values),
        Matched::Guids(values) => out.bind(values),
    };
    out.sql(")\nlimit ").bind(MAX_MATCHES);
    out
}

/// Values that rows are found by.
pub(crate) enum Matched {
    /// Of any integer field.
    Integers(Vec<i64>),
    /// Of a text field.
    Texts(Vec<String>),
    /// Of a GUID field.
    Guids(Vec<Uuid>),
}

/// The most rows that are looked at to find those with given values.
pub(crate) const MAX_MATCHES: i64 = 100_000;

/// The number of rows.
pub(crate) fn count(layer: &Layer, selection: &Selection<'_>) -> Fragment {
    let mut out = Fragment::new("-- count\nselect count(*)");
    from_where(layer, selection, &mut out);
    out
}

/// The box round the rows, in a spatial reference. `None` for a table without geometry.
pub(crate) fn extent(layer: &Layer, selection: &Selection<'_>, srid: i32) -> Option<Fragment> {
    let shape = layer.shape.as_ref()?;
    let mut out =
        Fragment::new("-- extent\nselect ST_XMin(b), ST_YMin(b), ST_XMax(b), ST_YMax(b) from (select case when ");
    // A vertex that is no place spoils the box of all. Only if there is one, rows are looked at again without it.
    shape::is_place(&Ident::new("e"), "a", &mut out);
    out.sql(" or a.e is null then a.e else (select ST_Extent(f.g) filter (where ");
    shape::is_place(&Ident::new("g"), "f", &mut out);
    out.sql(") from (select ");
    shape::in_reference(shape, "n", srid, &mut out);
    out.sql(" as g");
    from_where(layer, selection, &mut out);
    out.sql(") f) end as b from (select ST_Extent(");
    shape::in_reference(shape, "n", srid, &mut out);
    out.sql(") as e");
    from_where(layer, selection, &mut out);
    out.sql(") a) x");
    Some(out)
}

/// The box round all rows as statistics have it; null if there are none yet.
pub(crate) fn estimated_extent(layer: &Layer) -> Option<Fragment> {
    let shape = layer.shape.as_ref()?;
    let mut out = Fragment::new(
        "-- estimated_extent\nselect ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e) from (select ST_EstimatedExtent(",
    );
    // PostGIS puts the two into quotes as they are.
    let name = |name: &str| name.replace('"', "\"\"");
    out.bind(name(&layer.table_schema))
        .sql(", ")
        .bind(name(&layer.table_name))
        .sql(", ")
        .bind(shape.column.clone())
        .sql(") as e) b");
    Some(out)
}

/// The least and the greatest time of all rows that who asks may see, in milliseconds since 1970; null where there is none that is finite. Each comes from an index of
/// its field, if there is one.
pub(crate) fn time_extent(layer: &Layer, time: Time) -> Fragment {
    let mut out = Fragment::new("-- time_extent\nselect ");
    out.sql("floor(extract(epoch from e.a) * 1000)::int8, floor(extract(epoch from e.z) * 1000)::int8");
    let extreme = |function: &'static str, field: usize, out: &mut Fragment| {
        let column = column(layer, field);
        out.sql("(select ").sql(function).sql("(n.").ident(&column).sql(") from ").ident(&table(layer));
        // What is valid for ever has no end to tell.
        out.sql(" n where n.").ident(&column).sql(" > '-infinity' and n.").ident(&column).sql(" < 'infinity'");
        and_visible(layer, "n", out);
        out.sql(")");
    };
    out.sql("\nfrom (select ");
    extreme("min", time.start, &mut out);
    out.sql(" as a, ");
    match time.end {
        None => extreme("max", time.start, &mut out),
        // What has not ended lasts at least until it began.
        Some(end) => {
            out.sql("greatest(");
            extreme("max", end, &mut out);
            out.sql(", ");
            extreme("max", time.start, &mut out);
            out.sql(")");
        }
    }
    out.sql(" as z) e");
    out
}
