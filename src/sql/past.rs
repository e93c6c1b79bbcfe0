//! Rows as they were at a generation, and what they belonged to then.
//!
//! A row as it was at a generation is the before-image of its first change after it, or else the row as it is. Whether it passed
//! a filter over relationships depends on the rows that it belonged to, which are looked up as they were, too, and so on.
//! Statements that ask so begin with the images of all layers that are passed through ([`Origins::images`]).

use crate::model::{
    filter::{Filter, Related},
    layer::Layer,
};

use super::{
    fragment::Fragment,
    select::{change_table, column, filter, inner_alias, policy_holds, same_key, table},
};

/// The layers that rows of a filter belong to, the farthest first. A replica has one filter for each.
pub(super) struct Origins<'a>(Vec<(&'a Layer, &'a Filter)>);

/// When rows are asked for.
#[derive(Clone, Copy)]
pub(super) enum Moment {
    /// As they are.
    Now,
    /// As they were at the generation whose images begin with this name, followed by the number of the layer.
    At(&'static str),
}

impl<'a> Origins<'a> {
    /// Those of a filter; none unless it goes over relationships.
    pub(super) fn of(rows: &'a Filter) -> Origins<'a> {
        let mut origins = Origins(Vec::new());
        origins.gather(rows);
        origins
    }

    fn gather(&mut self, rows: &'a Filter) {
        let Some(ways) = rows.ways() else { return };
        for way in ways {
            if self.number(&way.origin) == 0 {
                self.gather(&way.filter);
                self.0.push((&way.origin, &way.filter));
            }
        }
    }

    /// Each with its number, which is the name of its images.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &'a Layer, &'a Filter)> {
        self.0.iter().zip(1..).map(|(&(layer, rows), number)| (number, layer, rows))
    }

    /// The number of a layer, from 1; 0 if it is none of these.
    pub(super) fn number(&self, layer: &Layer) -> usize {
        self.0.iter().position(|(known, _)| known.key == layer.key).map_or(0, |index| index + 1)
    }

    /// Appends, for each layer, `name_1 as materialized (…), `: what the first changes after a generation found.
    /// Columns: those of the row, `syncline_existed`, `syncline_in` (whether it passed its filter), `syncline_generation`.
    pub(super) fn images(&self, name: &'static str, service: i32, generation: i64, out: &mut Fragment) {
        for (number, layer, rows) in self.iter() {
            out.sql(name).number(number).sql(" as materialized (");
            self.found(layer, rows, name, (service, generation), out);
            in_order(layer, out);
            out.sql("), ");
        }
    }

    /// Appends a select of what the changes of a layer's rows after a generation found, with the columns of [`Self::images`]: as
    /// far as its condition, which may go on before [`in_order`] ends it.
    pub(super) fn found(
        &self,
        layer: &Layer,
        rows: &Filter,
        name: &'static str,
        (service, generation): (i32, i64),
        out: &mut Fragment,
    ) {
        out.sql("\n select distinct on (c.").ident(&column(layer, layer.global_id));
        out.sql(") c.*, c.syncline_existed and coalesce(");
        self.passed(Moment::At(name), layer, rows, "c", out);
        out.sql(", false) as syncline_in, t.generation as syncline_generation\n from syncline.txn t join ");
        out.ident(&change_table(layer.key))
            .sql(" c on c.syncline_txn = t.txn_id\n where t.service_id = ")
            .bind(service);
        out.sql(" and t.generation > ").bind(generation);
    }

    /// Appends a condition that is true for rows on `alias` that passed the filter at a moment. The row itself is as it was;
    /// what it belongs to is looked up as it was. The images of that moment must stand before.
    pub(super) fn passed(&self, moment: Moment, layer: &Layer, rows: &Filter, alias: &'static str, out: &mut Fragment) {
        let (ways, name) = match (rows, moment) {
            (Filter::Related(ways), Moment::At(name)) => (ways, name),
            (Filter::Guarded(policy, rows), Moment::At(_)) => {
                out.sql("((");
                policy_holds(layer, policy, alias, out);
                out.sql(") and (");
                self.passed(moment, layer, rows, alias, out);
                out.sql("))");
                return;
            }
            _ => return filter(layer, rows, alias, out),
        };
        let inner = inner_alias(alias);
        for (position, way) in ways.iter().enumerate() {
            let number = self.number(&way.origin);
            let global_id = column(&way.origin, way.origin.global_id);
            out.sql(if position > 0 { " or " } else { "(" }).sql("exists (select from ").sql(name).number(number);
            out.sql(" ").sql(inner).sql(" where ").sql(inner).sql(".syncline_in and ");
            same_key(layer, way, alias, inner, out);
            out.sql(") or exists (select from ").ident(&table(&way.origin)).sql(" ").sql(inner).sql(" where ");
            same_key(layer, way, alias, inner, out);
            out.sql(" and not exists (select from ").sql(name).number(number).sql(" x where x.").ident(&global_id);
            out.sql(" = ").sql(inner).sql(".").ident(&global_id).sql(") and ");
            self.passed(moment, &way.origin, &way.filter, inner, out);
            out.sql(")");
        }
        out.sql(")");
    }

    /// Appends a select of the keys of rows that others belonged or belong to, and that may have brought those along into the
    /// filter or out of it, within a window: those that changed, as they were and as they are at the upper end, and those
    /// that may have moved with what they belong to themselves.
    pub(super) fn keys(&self, way: &Related, window: Window, out: &mut Fragment) {
        let origin = &way.origin;
        let (key, global_id) = (column(origin, way.origin_field), column(origin, origin.global_id));
        let number = self.number(origin);
        let changed = |out: &mut Fragment| {
            out.sql("x.syncline_generation <= ").bind(window.upto);
        };
        out.sql("select x.").ident(&key).sql(" as key from ").sql(window.lower).number(number);
        out.sql(" x where x.syncline_existed and ");
        changed(out);
        out.sql(" union all select r.").ident(&key).sql(" from ").sql(window.lower).number(number).sql(" x join ");
        self.rows(origin, window.upper, out);
        out.sql(" r on r.").ident(&global_id).sql(" = x.").ident(&global_id).sql(" where ");
        changed(out);
        let Some(further) = way.filter.ways() else { return };
        for way in further {
            out.sql(" union all select r.").ident(&key).sql(" from ");
            self.rows(origin, window.upper, out);
            out.sql(" r where r.").ident(&column(origin, way.destination_field)).sql(" in (");
            self.keys(way, window, out);
            out.sql(")");
        }
    }

    /// Appends the rows of a layer at a moment, as something to select from.
    pub(super) fn rows(&self, layer: &Layer, moment: Moment, out: &mut Fragment) {
        let Moment::At(name) = moment else {
            out.ident(&table(layer));
            return;
        };
        let (number, global_id) = (self.number(layer), column(layer, layer.global_id));
        out.sql("(select ");
        every_column(layer, "n", out);
        out.sql(" from ").ident(&table(layer)).sql(" n where not exists (select from ").sql(name).number(number);
        out.sql(" x where x.").ident(&global_id).sql(" = n.").ident(&global_id).sql(") union all select ");
        every_column(layer, "x", out);
        out.sql(" from ").sql(name).number(number).sql(" x where x.syncline_existed)");
    }
}

/// Appends what makes the first of a row's changes count.
pub(super) fn in_order(layer: &Layer, out: &mut Fragment) {
    out.sql("\n order by c.").ident(&column(layer, layer.global_id)).sql(", t.generation\n");
}

/// A part of the history whose ends have images.
#[derive(Clone, Copy)]
pub(super) struct Window {
    /// The name of the images at the lower end.
    pub(super) lower: &'static str,
    /// The upper end.
    pub(super) upper: Moment,
    /// Its generation.
    pub(super) upto: i64,
}

/// Appends all columns of a layer, the geometry last.
pub(super) fn every_column(layer: &Layer, alias: &'static str, out: &mut Fragment) {
    for index in 0..layer.fields.len() {
        out.sql(if index > 0 { ", " } else { "" }).sql(alias).sql(".").ident(&column(layer, index));
    }
    if let Some(shape) = &layer.shape {
        out.sql(", ").sql(alias).sql(".").ident(&super::fragment::Ident::new(&shape.column));
    }
}
