//! The statement behind a delta: the rows concerned in a window, and the facts about each.
//!
//! A row is concerned if it changed in the window, if one of the client's own batches edited it, or if it belongs to a row
//! that changed: then it may have entered or left the replica without having changed itself. Whether a row passed the
//! filter *then* is asked of the image that its first change in the window kept; if it did not change, of the row as it is.
//! For a filter over relationships the same holds for the rows that it belongs to, and so on.

use crate::model::{
    filter::{Filter, Related},
    layer::Layer,
    query::Columns,
};

use super::{
    fragment::{Fragment, Ident},
    past::{Moment, Origins},
    select::{change_table, column, filter, list, table},
};

/// What a delta statement needs to know beside the layer.
pub(crate) struct Delta<'a> {
    /// The service.
    pub(crate) service: i32,
    /// The rows of the replica.
    pub(crate) filter: &'a Filter,
    /// If they were others at the lower end of the window, since its holder might see other rows then.
    pub(crate) before: Option<&'a Before>,
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
    /// Whether a row is sent back to whom it came from because the table's own rules altered it. Two servers whose rules
    /// both stamp rows would send them to and fro for ever.
    pub(crate) returns_altered: bool,
}

/// What the rows of a replica were, as long as its holder might see other rows or fields than now.
#[derive(Debug)]
pub(crate) struct Before {
    /// At the lower end of the window.
    pub(crate) then: Filter,
    /// In answers that the client may have applied since, without ever confirming them.
    pub(crate) between: Vec<Filter>,
    /// Whether rows that it has may be without fields that it sees now, or with ones that it sees no more: each is sent again.
    pub(crate) had_other_fields: bool,
}

impl<'a> Delta<'a> {
    /// Which rows the client had at the lower end of the window.
    fn then(&self) -> &'a Filter {
        self.before.map_or(self.filter, |before| &before.then)
    }
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
    let mut out = Fragment::new("-- delta\nwith ");
    let past = Past { wanted, origins: Origins::of(wanted.then()) };
    past.origins(&mut out);
    past.changed(layer, &global_id, &mut out);
    if receipts {
        own_edits(layer, wanted, &global_id, &mut out);
    }
    out.sql("\nselect k.g, k.existed, k.then_in, n.").ident(&global_id).sql(" is not null as now_exists, n.");
    out.ident(&global_id).sql(" is not null and coalesce(");
    filter(layer, wanted.filter, "n", &mut out);
    let news = if wanted.before.is_some_and(|before| before.had_other_fields) { "true" } else { "k.is_foreign" };
    out.sql(", false) as now_in, ").sql(news).sql(", k.unsure, k.op, k.code, k.altered,");
    out.sql(" case when k.op is null then k.then_in else k.op <> 'delete' end as client_has, ");
    list(layer, wanted.columns, "n", &mut out);
    if receipts {
        out.sql(
            // What an own upload changed without having named it is news: a foreign key's action, a trigger.
            "\nfrom (select coalesce(c.g, o.g) as g, c.existed, c.then_in, \
             f.g is not null or (coalesce(c.changed, false) and not coalesce(o.applied, false)) as is_foreign, \
             coalesce(c.between_answers, false) or u.g is not null as unsure, o.op, o.code, o.altered \
             from changed c full join edited o on o.g = c.g left join by_others f on f.g = coalesce(c.g, o.g) \
             left join unconfirmed u on u.g = coalesce(c.g, o.g)) k",
        );
    } else {
        out.sql(
            "\nfrom (select c.g, c.existed, c.then_in, c.changed as is_foreign, c.between_answers as unsure, \
             null::text as op, null::int as code, null::bool as altered from changed c) k",
        );
    }
    out.sql("\nleft join ").ident(&table(layer)).sql(" n on n.").ident(&global_id).sql(" = k.g");
    // By position: the layer's own columns may have any name.
    out.sql("\norder by 5 desc, 11, 1");
    out
}

/// Appends `from transactions join changes where in the window`, the changes as `c`, the transactions as `t`.
fn in_window(layer: &Layer, wanted: &Delta<'_>, out: &mut Fragment) {
    out.sql("\n from syncline.txn t join ").ident(&change_table(layer.key)).sql(" c on c.syncline_txn = t.txn_id");
    out.sql("\n where t.service_id = ").bind(wanted.service);
    out.sql(" and t.generation > ").bind(wanted.after).sql(" and t.generation <= ").bind(wanted.upto);
}

/// What is known of the state at the lower end of the window: for each layer that rows of the wanted one belong to, rows
/// that changed (`then_1`, `then_2`, …), and rows that may have entered or left with what they belong to (`moved_1`, …).
struct Past<'a> {
    wanted: &'a Delta<'a>,
    origins: Origins<'a>,
}

/// The lower end of the window, by the names of its images.
const THEN: Moment = Moment::At("then_");

impl Past<'_> {
    /// Writes what rows may belong to, the farthest first.
    fn origins(&self, out: &mut Fragment) {
        for (number, origin, rows) in self.origins.iter() {
            let global_id = column(origin, origin.global_id);
            out.sql("then_").number(number).sql(" as materialized (\n select distinct on (c.").ident(&global_id);
            out.sql(") c.*, c.syncline_existed and coalesce(");
            self.origins.passed(THEN, origin, rows, "c", out);
            out.sql(", false) as syncline_in, ");
            self.between_answers(origin, rows, out);
            out.sql(" as syncline_between");
            in_window(origin, self.wanted, out);
            out.sql("\n order by c.").ident(&global_id).sql(", t.generation\n), ");
            if let Some(further) = rows.ways() {
                out.sql("moved_").number(number).sql(" as materialized (");
                self.moved(origin, further, number, out);
                out.sql("\n), ");
            }
        }
    }

    /// Writes `changed`: rows of the layer itself that changed, and those that may have moved.
    fn changed(&self, layer: &Layer, global_id: &Ident, out: &mut Fragment) {
        if let Some(before) = self.wanted.before {
            return self.changed_or_regarded_otherwise(layer, before, global_id, out);
        }
        let Some(ways) = self.wanted.filter.ways() else {
            out.sql("changed as (");
            self.changed_itself(layer, global_id, out);
            out.sql("\n)");
            return;
        };
        out.sql("then_0 as materialized (");
        self.changed_itself(layer, global_id, out);
        out.sql("\n), moved_0 as materialized (");
        self.moved(layer, ways, 0, out);
        out.sql("\n), changed as (\n select t.g, t.existed, t.then_in, t.between_answers, t.changed from then_0 t\n union all select n.");
        out.ident(global_id).sql(", true, coalesce(");
        self.origins.passed(THEN, layer, self.wanted.filter, "n", out);
        // Such a row may have left and come back without having changed: whoever applied the answer in between lacks it.
        out.sql(", false), m.between_answers, m.between_answers from moved_0 m join ")
            .ident(&table(layer))
            .sql(" n on n.");
        out.ident(global_id).sql(" = m.g\n)");
    }

    /// The same where the holder might see other rows than now: concerned are all rows, in what they might see then as in what they may now.
    fn changed_or_regarded_otherwise(&self, layer: &Layer, before: &Before, global_id: &Ident, out: &mut Fragment) {
        out.sql("then_0 as materialized (");
        self.changed_itself(layer, global_id, out);
        out.sql("\n), ");
        let ways = before.then.ways();
        if let Some(ways) = ways {
            out.sql("moved_0 as materialized (");
            self.moved(layer, ways, 0, out);
            out.sql("\n), ");
        }
        out.sql("changed as (\n select t.g, t.existed, t.then_in, t.between_answers, t.changed from then_0 t\n union all select n.");
        out.ident(global_id).sql(", true, coalesce(");
        self.origins.passed(THEN, layer, &before.then, "n", out);
        out.sql(", false), ");
        let moved = |out: &mut Fragment| {
            if ways.is_some() {
                out.sql(" or exists (select from moved_0 m where m.between_answers and m.g = n.")
                    .ident(global_id)
                    .sql(")");
            }
        };
        self.passed_between(layer, before, "n", out);
        moved(out);
        // Whoever applied an answer in which the row was missing lacks it.
        out.sql(", not (true");
        for rows in &before.between {
            out.sql(" and coalesce(");
            filter(layer, rows, "n", out);
            out.sql(", false)");
        }
        out.sql(")");
        moved(out);
        out.sql("\n from ").ident(&table(layer)).sql(" n where not exists (select from then_0 x where x.g = n.");
        out.ident(global_id).sql(")\n)");
    }

    /// Appends whether a row was in an answer that the client may have applied without confirming it, as far as that is for what its holder
    /// might see.
    fn passed_between(&self, layer: &Layer, before: &Before, alias: &'static str, out: &mut Fragment) {
        out.sql("(false");
        for rows in &before.between {
            out.sql(" or coalesce(");
            filter(layer, rows, alias, out);
            out.sql(", false)");
        }
        out.sql(")");
    }

    fn changed_itself(&self, layer: &Layer, global_id: &Ident, out: &mut Fragment) {
        out.sql("\n select distinct on (c.").ident(global_id).sql(") c.").ident(global_id);
        out.sql(" as g, c.syncline_existed as existed, c.syncline_existed and coalesce(");
        self.origins.passed(THEN, layer, self.wanted.then(), "c", out);
        out.sql(", false) as then_in, ");
        self.between_answers(layer, self.wanted.then(), out);
        if let Some(before) = self.wanted.before {
            out.sql(" or ");
            self.passed_between(layer, before, "c", out);
        }
        out.sql(" as between_answers, true as changed");
        in_window(layer, self.wanted, out);
        out.sql("\n order by c.").ident(global_id).sql(", t.generation");
    }

    /// Appends whether an answer that the client never confirmed may have spoken of a changed row: because of the change, or
    /// because of what the row belonged to before it.
    fn between_answers(&self, layer: &Layer, rows: &Filter, out: &mut Fragment) {
        out.sql("coalesce(t.generation <= ").bind(self.wanted.given);
        if let (Some(ways), true) = (rows.ways(), self.wanted.given > self.wanted.after) {
            for way in ways {
                out.sql(" or c.").ident(&column(layer, way.destination_field)).sql(" in (select k.key from (");
                self.keys(way, out);
                out.sql(") k where k.between_answers and k.key is not null)");
            }
        }
        out.sql(", false)");
    }

    /// Appends the rows of a layer that did not change, but belong, or belonged, to one that did: `g`, `between_answers`.
    fn moved(&self, layer: &Layer, ways: &[Related], number: usize, out: &mut Fragment) {
        let global_id = column(layer, layer.global_id);
        out.sql("\n select m.g, bool_or(m.between_answers) as between_answers from (");
        for (position, way) in ways.iter().enumerate() {
            out.sql(if position > 0 { "\n  union all " } else { "" }).sql("select m.").ident(&global_id);
            out.sql(" as g, k.between_answers from (");
            self.keys(way, out);
            out.sql(") k join ").ident(&table(layer)).sql(" m on m.").ident(&column(layer, way.destination_field));
            out.sql(" = k.key");
        }
        out.sql(") m where not exists (select from then_").number(number).sql(" x where x.");
        match number {
            0 => out.sql("g"),
            _ => out.ident(&global_id),
        };
        out.sql(" = m.g) group by m.g");
    }

    /// Appends the keys of rows that changed, or may have moved: as they were then, and as they are.
    fn keys(&self, way: &Related, out: &mut Fragment) {
        let origin = &way.origin;
        let (key, global_id) = (column(origin, way.origin_field), column(origin, origin.global_id));
        let number = self.origins.number(origin);
        out.sql("select x.")
            .ident(&key)
            .sql(" as key, x.syncline_between as between_answers from then_")
            .number(number);
        out.sql(" x where x.syncline_existed union all select r.")
            .ident(&key)
            .sql(", x.syncline_between from then_")
            .number(number);
        out.sql(" x join ").ident(&table(origin)).sql(" r on r.").ident(&global_id).sql(" = x.").ident(&global_id);
        if way.filter.ways().is_some() {
            out.sql(" union all select r.").ident(&key).sql(", v.between_answers from moved_").number(number);
            out.sql(" v join ").ident(&table(origin)).sql(" r on r.").ident(&global_id).sql(" = v.g");
        }
    }
}

/// What the replica's own batches did: the last edit of each row, which rows others changed, and which rows it may have
/// heard of in an answer that it never confirmed.
fn own_edits(layer: &Layer, wanted: &Delta<'_>, global_id: &Ident, out: &mut Fragment) {
    out.sql(", edited as (\n select r.global_id as g, (array_agg(r.op order by r.batch_id desc, r.position desc))[1] as op,");
    out.sql(" (array_agg(r.code order by r.batch_id desc, r.position desc))[1] as code, ");
    out.sql(if wanted.returns_altered { "bool_or(r.altered)" } else { "false" });
    out.sql(" as altered, bool_or(r.code is null) as applied");
    out.sql("\n from syncline.receipt r where r.batch_id = any(").bind(wanted.own_batches.to_vec());
    out.sql(") and r.layer_key = ").bind(layer.key.0).sql(" and r.global_id is not null group by r.global_id\n)");
    out.sql(", by_others as (\n select distinct c.").ident(global_id).sql(" as g");
    in_window(layer, wanted, out);
    out.sql(" and not exists (select from syncline.batch b where b.txn_id = t.txn_id and b.batch_id = any(");
    out.bind(wanted.own_batches.to_vec()).sql("))\n)");
    out.sql(", unconfirmed as (\n select distinct r.global_id as g from syncline.batch b join syncline.txn t using (txn_id)");
    out.sql(" join syncline.receipt r using (batch_id) where b.replica_id = ").bind(wanted.replica);
    out.sql(" and t.generation > ").bind(wanted.after).sql(" and t.generation <= ").bind(wanted.given);
    out.sql(" and r.layer_key = ").bind(layer.key.0).sql(" and r.global_id is not null\n)");
}
