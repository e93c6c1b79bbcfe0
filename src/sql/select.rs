//! Reading features: columns, filters, order.

use crate::model::{
    filter::Filter,
    id::LayerKey,
    layer::Layer,
    predicate::Predicate,
    query::{Columns, SpatialRelation},
    value::FieldType,
};

use super::{
    fragment::{Fragment, Ident},
    predicate,
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

/// The columns of all fields.
pub(crate) fn columns(layer: &Layer) -> Vec<Ident> {
    layer.fields.iter().map(|field| Ident::new(&field.name)).collect()
}

/// Appends `alias."a", alias."b"::float8, …` and the geometry last. The types that come out are the ones that
/// `format::json` reads: integers, floats, text, uuid, boolean, dates and times, EWKB.
pub(crate) fn list(layer: &Layer, columns: &Columns, alias: &'static str, out: &mut Fragment) {
    // Connections keep statements by their text. A table published again may have other types, for which the statement
    // kept would fail.
    out.sql("/* layer ").ident(&change_table(layer.key)).sql(" */ ");
    for (position, &index) in columns.fields.iter().enumerate() {
        let field = &layer.fields[index];
        if position > 0 {
            out.sql(", ");
        }
        out.sql(alias).sql(".").ident(&Ident::new(&field.name));
        match field.field_type {
            FieldType::Double if field.column_type != "double precision" => out.sql("::float8"),
            FieldType::Text if field.column_type != "text" && !field.column_type.starts_with("character") => {
                out.sql("::text")
            }
            _ => out,
        };
    }
    if let (Some(srid), Some(shape)) = (columns.srid, &layer.shape) {
        if !columns.fields.is_empty() {
            out.sql(", ");
        }
        if srid == shape.srid {
            out.sql(alias).sql(".").ident(&Ident::new(&shape.column));
        } else {
            out.sql("ST_Transform(")
                .sql(alias)
                .sql(".")
                .ident(&Ident::new(&shape.column))
                .sql(", ")
                .bind(srid)
                .sql(")");
        }
    }
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
    if let (Some(area), Some(shape)) = (area, &shape) {
        out.sql(if any { " and " } else { "" }).sql("ST_Intersects(").sql(alias).sql(".").ident(shape).sql(", ");
        out.bind(area.clone()).sql("::bytea::geometry)");
        any = true;
    }
    if !any {
        out.sql("true");
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

/// What a delta statement needs to know beside the layer.
pub(crate) struct Delta<'a> {
    /// The service.
    pub(crate) service: i32,
    /// The rows of the replica.
    pub(crate) filter: &'a Filter,
    /// What is read of the rows that are sent.
    pub(crate) columns: &'a Columns,
    /// Changes after this generation …
    pub(crate) after: i64,
    /// … up to this one.
    pub(crate) upto: i64,
    /// The newest generation that the replica was ever given.
    pub(crate) given: i64,
    /// The replica's own batches, see `model::verdict::is_own_batch`.
    pub(crate) own_batches: &'a [i64],
    /// The replica.
    pub(crate) replica: uuid::Uuid,
}

/// The number of columns of facts with which each row of a delta begins.
pub(crate) const N_FACTS: usize = 11;

/// The rows concerned in a window with the facts about each (see `model::verdict::Facts`), in the order adds, updates,
/// deletes, then by global id: the same order each time that the same window is asked for.
///
/// Columns: global id, then exists, then in (both null for a row without a change in the window, which an own batch edited
/// in vain: then is now), now exists, now in, foreign, unsure, own op, own code, own altered, client has; then the wanted
/// columns of the row.
pub(crate) fn delta(layer: &Layer, wanted: &Delta<'_>) -> Fragment {
    // Without own batches and with a confirmed generation, the receipts have nothing to say.
    let receipts = !wanted.own_batches.is_empty() || wanted.given > wanted.after;
    let global_id = column(layer, layer.global_id);
    let mut out = Fragment::new("-- delta\nwith changed as (\n select distinct on (c.");
    out.ident(&global_id)
        .sql(") c.")
        .ident(&global_id)
        .sql(" as g, c.syncline_existed as existed, c.syncline_existed and coalesce(");
    filter(layer, wanted.filter, "c", &mut out);
    out.sql(", false) as then_in, t.generation <= ").bind(wanted.given).sql(" as between_answers");
    out.sql("\n from syncline.txn t join ").ident(&change_table(layer.key)).sql(" c on c.syncline_txn = t.txn_id");
    out.sql("\n where t.service_id = ").bind(wanted.service);
    out.sql(" and t.generation > ").bind(wanted.after).sql(" and t.generation <= ").bind(wanted.upto);
    out.sql("\n order by c.").ident(&global_id).sql(", t.generation\n)");
    if receipts {
        own_edits(layer, wanted, &global_id, &mut out);
    }
    out.sql("\nselect k.g, k.existed, k.then_in, n.").ident(&global_id).sql(" is not null as now_exists, n.");
    out.ident(&global_id).sql(" is not null and coalesce(");
    filter(layer, wanted.filter, "n", &mut out);
    out.sql(", false) as now_in, k.is_foreign, k.unsure, k.op, k.code, k.altered,");
    out.sql(" case when k.op is null then k.then_in else k.op <> 'delete' end as client_has, ");
    list(layer, wanted.columns, "n", &mut out);
    if receipts {
        out.sql(
            // What an own upload changed without having named it is news: a foreign key's action, a trigger.
            "\nfrom (select coalesce(c.g, o.g) as g, c.existed, c.then_in, \
             f.g is not null or (c.g is not null and not coalesce(o.applied, false)) as is_foreign, \
             coalesce(c.between_answers, false) or u.g is not null as unsure, o.op, o.code, o.altered \
             from changed c full join edited o on o.g = c.g left join by_others f on f.g = coalesce(c.g, o.g) \
             left join unconfirmed u on u.g = coalesce(c.g, o.g)) k",
        );
    } else {
        out.sql(
            "\nfrom (select c.g, c.existed, c.then_in, true as is_foreign, c.between_answers as unsure, \
             null::text as op, null::int as code, null::bool as altered from changed c) k",
        );
    }
    out.sql("\nleft join ").ident(&table(layer)).sql(" n on n.").ident(&global_id).sql(" = k.g");
    // By position: the layer's own columns may have any name.
    out.sql("\norder by 5 desc, 11, 1");
    out
}

/// What the replica's own batches did: the last edit of each row, which rows others changed, and which rows it may have
/// heard of in an answer that it never confirmed.
fn own_edits(layer: &Layer, wanted: &Delta<'_>, global_id: &Ident, out: &mut Fragment) {
    out.sql(", edited as (\n select r.global_id as g, (array_agg(r.op order by r.batch_id desc, r.position desc))[1] as op,");
    out.sql(" (array_agg(r.code order by r.batch_id desc, r.position desc))[1] as code, bool_or(r.altered) as altered, bool_or(r.code is null) as applied");
    out.sql("\n from syncline.receipt r where r.batch_id = any(").bind(wanted.own_batches.to_vec());
    out.sql(") and r.layer_key = ").bind(layer.key.0).sql(" and r.global_id is not null group by r.global_id\n)");
    out.sql(", by_others as (\n select distinct c.").ident(global_id).sql(" as g from syncline.txn t join ");
    out.ident(&change_table(layer.key))
        .sql(" c on c.syncline_txn = t.txn_id where t.service_id = ")
        .bind(wanted.service);
    out.sql(" and t.generation > ").bind(wanted.after).sql(" and t.generation <= ").bind(wanted.upto);
    out.sql(" and not exists (select from syncline.batch b where b.txn_id = t.txn_id and b.batch_id = any(");
    out.bind(wanted.own_batches.to_vec()).sql("))\n)");
    out.sql(", unconfirmed as (\n select distinct r.global_id as g from syncline.batch b join syncline.txn t using (txn_id)");
    out.sql(" join syncline.receipt r using (batch_id) where b.replica_id = ").bind(wanted.replica);
    out.sql(" and t.generation > ").bind(wanted.after).sql(" and t.generation <= ").bind(wanted.given);
    out.sql(" and r.layer_key = ").bind(layer.key.0).sql(" and r.global_id is not null\n)");
}

/// Which rows a query selects.
#[derive(Clone, Copy, Default)]
pub(crate) struct Selection<'a> {
    /// The where clause.
    pub(crate) rows: Option<&'a Predicate>,
    /// Object ids to choose from.
    pub(crate) object_ids: Option<&'a [i64]>,
    /// A shape as EWKB in the layer's spatial reference, and how features must stand to it.
    pub(crate) area: Option<&'a (Vec<u8>, SpatialRelation)>,
}

fn from_where(layer: &Layer, selection: &Selection<'_>, out: &mut Fragment) {
    out.sql("\nfrom ").ident(&table(layer)).sql(" n");
    let mut glue = "\nwhere ";
    if let Some(rows) = selection.rows {
        let shape = layer.shape.as_ref().map(|shape| Ident::new(&shape.column));
        out.sql(glue).sql("(");
        predicate::render(rows, &columns(layer), shape.as_ref(), "n", out);
        out.sql(")");
        glue = "\n  and ";
    }
    if let Some(ids) = selection.object_ids {
        out.sql(glue).sql("n.").ident(&column(layer, layer.object_id)).sql(" = any(").bind(ids.to_vec()).sql(")");
        glue = "\n  and ";
    }
    if let (Some((area, relation)), Some(shape)) = (selection.area, &layer.shape) {
        let shape = Ident::new(&shape.column);
        out.sql(glue);
        // The relation is read as: geometry of the query, relation, feature.
        let (function, feature_first) = match relation {
            SpatialRelation::Intersects => ("ST_Intersects(", true),
            SpatialRelation::Contains => ("ST_Contains(", false),
            SpatialRelation::Within => ("ST_Within(", false),
            SpatialRelation::Crosses => ("ST_Crosses(", true),
            SpatialRelation::Touches => ("ST_Touches(", true),
            SpatialRelation::Overlaps => ("ST_Overlaps(", true),
            SpatialRelation::EnvelopeIntersects => ("(", true),
        };
        let between = if *relation == SpatialRelation::EnvelopeIntersects { " && " } else { ", " };
        out.sql(function);
        if feature_first {
            out.sql("n.").ident(&shape).sql(between).bind(area.clone()).sql("::bytea::geometry)");
        } else {
            out.bind(area.clone()).sql("::bytea::geometry").sql(between).sql("n.").ident(&shape).sql(")");
        }
    }
}

/// A page of features in a stable order.
pub(crate) fn page(
    layer: &Layer,
    selection: &Selection<'_>,
    columns: &Columns,
    order: &[(usize, bool)],
    offset: i64,
    limit: i64,
) -> Fragment {
    let mut out = Fragment::new("-- page\nselect ");
    list(layer, columns, "n", &mut out);
    from_where(layer, selection, &mut out);
    out.sql("\norder by ");
    for (index, descending) in order {
        out.sql("n.").ident(&column(layer, *index)).sql(if *descending { " desc, " } else { ", " });
    }
    out.sql("n.").ident(&column(layer, layer.object_id)).sql("\nlimit ").bind(limit).sql(" offset ").bind(offset);
    out
}

/// All object ids, ascending.
pub(crate) fn object_ids(layer: &Layer, selection: &Selection<'_>) -> Fragment {
    let mut out = Fragment::new("-- object_ids\nselect n.");
    out.ident(&column(layer, layer.object_id)).sql("::int8");
    from_where(layer, selection, &mut out);
    out.sql("\norder by n.").ident(&column(layer, layer.object_id));
    out
}

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
        Fragment::new("-- extent\nselect ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e) from (select ST_Extent(");
    if srid == shape.srid {
        out.sql("n.").ident(&Ident::new(&shape.column));
    } else {
        out.sql("ST_Transform(n.").ident(&Ident::new(&shape.column)).sql(", ").bind(srid).sql(")");
    }
    out.sql(") as e");
    from_where(layer, selection, &mut out);
    out.sql(") b");
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
