//! Statements that bring a layer to a snapshot of the other side of a replica that two servers keep of each other.
//!
//! Which features the snapshot has, and which must stay as they are, is noted in a table that lives as long as the transaction.

use uuid::Uuid;

use crate::model::{
    id::LayerKey,
    layer::{Layer, attachment},
};

use super::{
    fragment::Fragment,
    select::{change_table, column, table},
};

/// Notes the features that somebody else than a replica changed after a generation: they stay as they are.
pub(crate) fn keep_changed(layer: &Layer, service: i32, replica: Uuid, after: i64) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let mut out = Fragment::new("-- rebase_keep\ninsert into pg_temp.syncline_rebase\nselect distinct ");
    out.bind(layer.key.0).sql(", c.").ident(&global_id).sql(", true from syncline.txn t join ");
    out.ident(&change_table(layer.key)).sql(" c on c.syncline_txn = t.txn_id\nwhere t.service_id = ").bind(service);
    out.sql(" and t.generation > ").bind(after).sql(" and t.origin is distinct from ").bind(replica);
    // Attachments may have noted some of their features.
    out.sql("\non conflict do nothing");
    out
}

/// Notes the features whose attachments stay: deleting them would take those along.
pub(crate) fn keep_features(attachments: &Layer, features: LayerKey) -> Fragment {
    let mut out = Fragment::new("-- rebase_keep_features\ninsert into pg_temp.syncline_rebase\nselect distinct ");
    out.bind(features.0).sql(", n.").ident(&column(attachments, attachment::PARENT)).sql(", true from ");
    out.ident(&table(attachments)).sql(" n join pg_temp.syncline_rebase k on k.layer_key = ").bind(attachments.key.0);
    out.sql(" and k.global_id = n.").ident(&column(attachments, attachments.global_id));
    out.sql("\nwhere k.kept on conflict do nothing");
    out
}

/// The next features that a snapshot does not have and that need not stay. Columns: global id.
pub(crate) fn rest(layer: &Layer, after: Option<Uuid>, limit: i64) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let mut out = Fragment::new("-- rebase_rest\nselect n.");
    out.ident(&global_id).sql(" from ").ident(&table(layer)).sql(" n\nwhere not exists (");
    out.sql("select from pg_temp.syncline_rebase k where k.layer_key = ").bind(layer.key.0);
    out.sql(" and k.global_id = n.").ident(&global_id).sql(")");
    if let Some(after) = after {
        out.sql(" and n.").ident(&global_id).sql(" > ").bind(after);
    }
    out.sql("\norder by n.").ident(&global_id).sql(" limit ").bind(limit);
    out
}

/// Enters what a transaction changed of a layer as receipts of a batch. One row: how many were added, changed and deleted.
pub(crate) fn receipts(layer: &Layer, txn: Option<i64>, batch: i64) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let mut out = Fragment::new("-- rebase_receipts\nwith done as (select c.");
    out.ident(&global_id)
        .sql(" as g, n.")
        .ident(&column(layer, layer.object_id))
        .sql("::int8 as o,\n   case when not c.syncline_existed then 'add' when n.");
    out.ident(&global_id)
        .sql(" is null then 'delete' else 'update' end as op\n  from ")
        .ident(&change_table(layer.key));
    out.sql(" c left join ").ident(&table(layer)).sql(" n on n.").ident(&global_id).sql(" = c.").ident(&global_id);
    out.sql("\n  where c.syncline_txn = ").bind(txn).sql("),\nentered as (insert into syncline.receipt (batch_id, layer_key, position, op, global_id, object_id, altered)\n select ");
    out.bind(batch)
        .sql(", ")
        .bind(layer.key.0)
        .sql(", row_number() over (order by d.g), d.op, d.g, d.o, false from done d)");
    out.sql("\nselect count(*) filter (where op = 'add'), count(*) filter (where op = 'update'), count(*) filter (where op = 'delete') from done");
    out
}
