//! What change tables tell beside deltas: versions of features, what a transaction did, and rows as they were.

use uuid::Uuid;

use crate::model::{filter::Filter, layer::Layer, query::Columns};

use super::{
    fragment::{Fragment, Ident},
    modify::checked,
    past::{Moment, Origins, in_order},
    select::{change_table, column, filter, list, policy_holds, table},
};

/// The images of rows as they were at a generation, by their names.
const THEN: &str = "then_";

/// Appends `from transactions t join changes c`.
fn changes(layer: &Layer, out: &mut Fragment) {
    out.sql("\nfrom syncline.txn t join ").ident(&change_table(layer.key)).sql(" c on c.syncline_txn = t.txn_id");
}

/// The global ids of features that a transaction changed, and that somebody else than its replica had changed after a
/// generation.
pub(crate) fn overwritten(layer: &Layer, service: i32, txn: i64, replica: Uuid, after: i64) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let mut out = Fragment::new("-- overwritten\nselect distinct c.");
    out.ident(&global_id);
    changes(layer, &mut out);
    out.sql(" join ").ident(&change_table(layer.key)).sql(" m on m.syncline_txn = ").bind(txn);
    out.sql(" and m.").ident(&global_id).sql(" = c.").ident(&global_id);
    out.sql("\nwhere t.service_id = ").bind(service).sql(" and t.generation > ").bind(after);
    out.sql(" and t.origin is distinct from ").bind(replica);
    out
}

/// How changes after a generation found features, and how a transaction that has no generation yet did: the oldest change
/// of a feature first. Columns: global id, generation, origin, existed; then the wanted columns of the row as it was.
pub(crate) fn versions(
    layer: &Layer,
    columns: &Columns,
    service: i32,
    after: i64,
    txn: Option<i64>,
    global_ids: Vec<Uuid>,
) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let mut out = Fragment::new("-- versions\nselect c.");
    out.ident(&global_id).sql(", t.generation, t.origin, c.syncline_existed, ");
    list(layer, columns, "c", &mut out);
    changes(layer, &mut out);
    out.sql("\nwhere c.").ident(&global_id).sql(" = any(").bind(global_ids).sql(") and (t.txn_id = ").bind(txn);
    out.sql(" or (t.service_id = ").bind(service).sql(" and t.generation > ").bind(after).sql("))");
    out.sql("\norder by c.").ident(&global_id).sql(", t.generation nulls last");
    out
}

/// What a transaction did to features of a layer, in the order of their global ids: those after one, so many at a time.
/// Columns: global id, existed before, exists now.
pub(crate) fn changed_by(layer: &Layer, txn: i64, after: Option<Uuid>, limit: i64) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let mut out = Fragment::new("-- changed_by\nselect c.");
    out.ident(&global_id).sql(", c.syncline_existed, n.").ident(&global_id).sql(" is not null\nfrom ");
    out.ident(&change_table(layer.key)).sql(" c left join ").ident(&table(layer)).sql(" n on n.").ident(&global_id);
    out.sql(" = c.").ident(&global_id).sql("\nwhere c.syncline_txn = ").bind(txn);
    if let Some(after) = after {
        out.sql(" and c.").ident(&global_id).sql(" > ").bind(after);
    }
    out.sql("\norder by c.").ident(&global_id).sql(" limit ").bind(limit);
    out
}

/// The features of a layer that were there before a transaction changed them, in the order of their global ids; `only` is
/// the one that is wanted. Columns: global id, object id.
pub(crate) fn found_by(layer: &Layer, txn: i64, only: Option<Uuid>, offset: i64, limit: i64) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let mut out = Fragment::new("-- found_by\nselect c.");
    out.ident(&global_id).sql(", c.").ident(&column(layer, layer.object_id)).sql("::int8\nfrom ");
    out.ident(&change_table(layer.key)).sql(" c where c.syncline_txn = ").bind(txn).sql(" and c.syncline_existed");
    if let Some(only) = only {
        out.sql(" and c.").ident(&global_id).sql(" = ").bind(only);
    }
    out.sql("\norder by c.").ident(&global_id).sql(" limit ").bind(limit).sql(" offset ").bind(offset);
    out
}

/// The edits of a feature by connected clients, the newest first. Columns: batch, operation, generation, what it did.
pub(crate) fn connected_edits(layer: &Layer, service: i32, global_id: Uuid, limit: i64) -> Fragment {
    let mut out =
        Fragment::new("-- connected_edits\nselect b.batch_id, b.operation, t.generation, coalesce(b.changed_as, ");
    out.sql("(select r.op from syncline.receipt r where r.batch_id = b.batch_id and r.layer_key = ").bind(layer.key.0);
    out.sql(" and r.global_id = ").bind(global_id).sql(" and r.code is null order by r.position desc limit 1), ");
    // Changed along with what was named.
    out.sql("case when c.syncline_existed then 'update' else 'add' end)");
    changes(layer, &mut out);
    out.sql(" join syncline.batch b on b.txn_id = t.txn_id\nwhere t.service_id = ").bind(service);
    out.sql(" and b.replica_id is null and c.").ident(&column(layer, layer.global_id)).sql(" = ").bind(global_id);
    out.sql("\norder by b.batch_id desc limit ").bind(limit);
    out
}

/// The newest change of each of the features after a generation. Columns: global id, generation, origin, name of the
/// origin's replica, batch and operation of a connected client.
pub(crate) fn changed_since(layer: &Layer, service: i32, after: i64, global_ids: Vec<Uuid>) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let mut out = Fragment::new("-- changed_since\nselect distinct on (c.");
    out.ident(&global_id)
        .sql(") c.")
        .ident(&global_id)
        .sql(", t.generation, t.origin, r.name, b.batch_id, b.operation");
    changes(layer, &mut out);
    out.sql(" left join syncline.replica r on r.replica_id = t.origin");
    out.sql(" left join syncline.batch b on b.txn_id = t.txn_id and b.replica_id is null\nwhere t.service_id = ");
    out.bind(service).sql(" and t.generation > ").bind(after).sql(" and c.").ident(&global_id).sql(" = any(");
    out.bind(global_ids).sql(")\norder by c.").ident(&global_id).sql(", t.generation desc");
    out
}

/// Keeps others from changing features until the transaction ends. Columns: global id, object id.
pub(crate) fn lock(layer: &Layer, global_ids: Vec<Uuid>) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let mut out = Fragment::new("-- features_lock\nselect n.");
    out.ident(&global_id).sql(", n.").ident(&column(layer, layer.object_id)).sql("::int8\nfrom ").ident(&table(layer));
    out.sql(" n where n.").ident(&global_id).sql(" = any(").bind(global_ids);
    out.sql(")\norder by n.").ident(&global_id).sql(" for update");
    out
}

/// The transaction of the newest change that found a feature there, and so has its last image. Columns: transaction.
pub(crate) fn last_image(layer: &Layer, service: i32, global_id: Uuid) -> Fragment {
    let mut out = Fragment::new("-- last_image\nselect t.txn_id");
    changes(layer, &mut out);
    out.sql("\nwhere t.service_id = ").bind(service).sql(" and c.").ident(&column(layer, layer.global_id));
    out.sql(" = ").bind(global_id).sql(" and c.syncline_existed\norder by t.generation desc limit 1");
    out
}

/// All rows through a filter as they were at a generation.
pub(crate) fn snapshot_at(layer: &Layer, rows: &Filter, columns: &Columns, service: i32, generation: i64) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let origins = Origins::of(rows);
    let mut out = Fragment::new("-- snapshot_at\nwith ");
    origins.images(THEN, service, generation, &mut out);
    out.sql("then_0 as materialized (");
    origins.found(layer, rows, THEN, (service, generation), &mut out);
    in_order(layer, &mut out);
    out.sql(")\nselect ");
    list(layer, columns, "n", &mut out);
    out.sql("\nfrom ")
        .ident(&table(layer))
        .sql(" n\nwhere not exists (select from then_0 c where c.")
        .ident(&global_id);
    out.sql(" = n.").ident(&global_id).sql(") and ");
    origins.passed(Moment::At(THEN), layer, rows, "n", &mut out);
    out.sql("\nunion all select ");
    list(layer, columns, "c", &mut out);
    out.sql("\nfrom then_0 c where c.syncline_in");
    out
}

/// One feature as it is: whether it passes a filter, its where clause, its area, whether who asks may see it; and the row. With a generation,
/// whether it passed the filter then, if the feature itself has not changed since.
pub(crate) fn standing(
    layer: &Layer,
    rows: &Filter,
    columns: &Columns,
    (service, at): (i32, Option<i64>),
    global_id: Uuid,
) -> Fragment {
    let origins = Origins::of(rows);
    let mut out = Fragment::new("-- standing\nwith ");
    if let Some(generation) = at {
        origins.images(THEN, service, generation, &mut out);
    }
    let moment = if at.is_some() { Moment::At(THEN) } else { Moment::Now };
    out.sql("n as (select * from ").ident(&table(layer)).sql(" where ").ident(&column(layer, layer.global_id));
    out.sql(" = ").bind(global_id).sql(")\nselect ");
    facts(layer, (rows, &origins, moment), "n", &mut out);
    out.sql(", ");
    list(layer, columns, "n", &mut out);
    out.sql("\nfrom n");
    out
}

/// One feature as the first change after a generation found it: generation and origin of the change, whether the feature
/// was there, whether it passed a filter, its where clause, its area, whether who asks may see such a row; and the row. No row if it did not
/// change.
pub(crate) fn stood(
    layer: &Layer,
    rows: &Filter,
    columns: &Columns,
    (service, after): (i32, i64),
    global_id: Uuid,
) -> Fragment {
    let origins = Origins::of(rows);
    let mut out = Fragment::new("-- stood\nwith ");
    origins.images(THEN, service, after, &mut out);
    out.sql("c as (\n select c.*, t.generation as syncline_generation, t.origin as syncline_origin");
    changes(layer, &mut out);
    out.sql("\n where t.service_id = ").bind(service).sql(" and t.generation > ").bind(after);
    out.sql(" and c.").ident(&column(layer, layer.global_id)).sql(" = ").bind(global_id);
    out.sql(
        "\n order by t.generation limit 1\n)\nselect c.syncline_generation, c.syncline_origin, c.syncline_existed, ",
    );
    facts(layer, (rows, &origins, Moment::At(THEN)), "c", &mut out);
    out.sql(", ");
    list(layer, columns, "c", &mut out);
    out.sql("\nfrom c");
    out
}

/// Appends whether the filter, its where clause alone, and its area alone let a row through, null for what it has not; and whether who asks may see
/// the row.
fn facts(
    layer: &Layer,
    (rows, origins, moment): (&Filter, &Origins<'_>, Moment),
    alias: &'static str,
    out: &mut Fragment,
) {
    out.sql("coalesce(");
    origins.passed(moment, layer, rows, alias, out);
    out.sql(", false)");
    let mut own = rows;
    while let Filter::Guarded(_, rows) = own {
        own = rows;
    }
    let parts = match own {
        Filter::Matching { rows, area } => [
            rows.clone().map(|rows| Filter::Matching { rows: Some(rows), area: None }),
            area.clone().map(|area| Filter::Matching { rows: None, area: Some(area) }),
        ],
        Filter::All | Filter::None | Filter::Related(_) | Filter::Guarded(..) => [None, None],
    };
    for part in parts {
        match part {
            None => {
                out.sql(", null::bool");
            }
            Some(part) => {
                out.sql(", coalesce(");
                filter(layer, &part, alias, out);
                out.sql(", false)");
            }
        }
    }
    match &layer.guard.read {
        None => out.sql(", true"),
        Some(policy) => {
            out.sql(", coalesce(");
            policy_holds(layer, policy, alias, out);
            out.sql(", false)")
        }
    };
}

/// Writes features back as a transaction found them. Returns global id and object id of each row.
pub(crate) fn put_back(layer: &Layer, txn: i64, global_ids: Vec<Uuid>) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let mut written: Vec<Ident> = vec![global_id.clone(), column(layer, layer.object_id)];
    let editable = (0..layer.fields.len()).filter(|&index| layer.is_writable(index)).map(|index| column(layer, index));
    written.extend(editable.chain(layer.shape.iter().map(|shape| Ident::new(&shape.column))));
    let mut out = Fragment::new("-- put_back\ninsert into ");
    out.ident(&table(layer)).sql(" as n (");
    for (position, name) in written.iter().enumerate() {
        out.sql(if position > 0 { ", " } else { "" }).ident(name);
    }
    out.sql(")\noverriding system value select ");
    for (position, name) in written.iter().enumerate() {
        out.sql(if position > 0 { ", c." } else { "c." }).ident(name);
    }
    out.sql("\nfrom ").ident(&change_table(layer.key)).sql(" c where c.syncline_txn = ").bind(txn);
    out.sql(" and c.syncline_existed and c.").ident(&global_id).sql(" = any(").bind(global_ids);
    out.sql(")\norder by c.").ident(&global_id).sql("\non conflict (").ident(&global_id).sql(") do update set ");
    // The row that stands keeps its object id.
    out.ident(&global_id).sql(" = excluded.").ident(&global_id);
    for name in written.iter().skip(2) {
        out.sql(", ").ident(name).sql(" = excluded.").ident(name);
    }
    out.sql("\nreturning n.").ident(&global_id).sql(", n.").ident(&column(layer, layer.object_id)).sql("::int8");
    checked(layer, &mut out);
    out
}
