//! What changed in a part of the history of a layer, for whoever asks: no replica, no own edits.
//!
//! As in a delta, a row as it was at a generation is the before-image of its first change after it, or else the row as it
//! is. The window may end before now: then the state at its upper end is found in the same way as that at its lower end. Rows
//! that belong to others may come and go with them without having changed.

use crate::model::{
    filter::Filter,
    layer::Layer,
    query::{ChangeKinds, Columns},
};

use super::{
    fragment::{Fragment, Ident},
    past::{Moment, Origins, Window, every_column, in_order},
    select::{column, list, table},
    shape,
};

/// A window of the history of a layer.
#[derive(Clone, Copy)]
pub(crate) struct Between<'a> {
    /// The service.
    pub(crate) service: i32,
    /// The rows that count.
    pub(crate) filter: &'a Filter,
    /// Changes after this generation …
    pub(crate) after: i64,
    /// … up to this one.
    pub(crate) upto: i64,
    /// Whether the window ends before now.
    pub(crate) is_past: bool,
}

/// What a statement over changes needs to know beside the layer.
pub(crate) struct Changes<'a> {
    /// The window.
    pub(crate) window: Between<'a>,
    /// What is read of the rows.
    pub(crate) columns: &'a Columns,
    /// The fields that are compared.
    pub(crate) compared: &'a [usize],
    /// Which changes.
    pub(crate) kinds: ChangeKinds,
}

/// The number of columns with which each row of [`changes`] begins.
pub(crate) const N_HEAD: usize = 5;

/// The changed rows in the order inserts (0), updates (1), deletes (2), then by global id.
///
/// Columns: which of the three, whether the geometry changed, whether a compared field changed, global id, object id; then
/// the wanted columns of the row: as it is at the upper end of the window, or was at the lower end if it went.
pub(crate) fn changes(layer: &Layer, wanted: &Changes<'_>) -> Fragment {
    let mut out = Fragment::new("-- changes\n");
    ends(layer, &wanted.window, &mut out);
    out.sql("\nselect case when c.syncline_in then 1 else 0 end, ");
    match &layer.shape {
        Some(shape) => differs(&Ident::new(&shape.column), &mut out),
        None => {
            out.sql("false");
        }
    }
    out.sql(", false");
    for &index in wanted.compared {
        out.sql(" or ");
        differs(&column(layer, index), &mut out);
    }
    keys(layer, "n", &mut out);
    list(layer, wanted.columns, "n", &mut out);
    came_or_changed(layer, wanted, &mut out);
    out.sql("\nunion all select 2, false, false");
    keys(layer, "c", &mut out);
    list(layer, wanted.columns, "c", &mut out);
    went(layer, wanted, &mut out);
    out.sql("\norder by 1, 4");
    out
}

/// The box round what changed, as it was and as it is, in a spatial reference. `None` for a table without geometry.
pub(crate) fn extent(layer: &Layer, wanted: &Changes<'_>, srid: i32) -> Option<Fragment> {
    let mut out = Fragment::new("-- changes_extent\n");
    boxes(layer, wanted, srid, &mut out)?;
    out.sql("\nselect min(xmin), min(ymin), max(xmax), max(ymax) from boxes");
    Some(out)
}

/// Those cells of a grid over a box that what changed reaches: column and row, from the lower left.
pub(crate) fn cells(
    layer: &Layer,
    wanted: &Changes<'_>,
    srid: i32,
    [xmin, ymin, xmax, ymax]: [f64; 4],
    n_cells: i32,
) -> Option<Fragment> {
    let mut out = Fragment::new("-- changes_cells\n");
    boxes(layer, wanted, srid, &mut out)?;
    let (width, height) = ((xmax - xmin) / f64::from(n_cells), (ymax - ymin) / f64::from(n_cells));
    out.sql("\nselect distinct i, j from boxes b");
    for (name, low, high, from, step) in
        [("i", "b.xmin", "b.xmax", xmin, width), ("j", "b.ymin", "b.ymax", ymin, height)]
    {
        out.sql(", generate_series(");
        for (position, ordinate) in [low, high].into_iter().enumerate() {
            out.sql(if position > 0 { ", " } else { "" });
            // A box without width is one column wide.
            if step > 0.0 {
                out.sql("greatest(0, least(").bind(n_cells - 1).sql(", floor((").sql(ordinate).sql(" - ").bind(from);
                out.sql(") / ").bind(step).sql(")::int))");
            } else {
                out.sql("0");
            }
        }
        out.sql(") ").sql(name);
    }
    out.sql("\norder by j, i");
    Some(out)
}

/// Appends `with changed …, now …, boxes …`.
fn boxes(layer: &Layer, wanted: &Changes<'_>, srid: i32, out: &mut Fragment) -> Option<()> {
    let shape = layer.shape.as_ref()?;
    let geometry = |alias: &'static str, out: &mut Fragment| shape::in_reference(shape, alias, srid, out);
    ends(layer, &wanted.window, out);
    out.sql(
        ", boxes as (\n select ST_XMin(g) as xmin, ST_YMin(g) as ymin, ST_XMax(g) as xmax, ST_YMax(g) as ymax from (\n  select ",
    );
    geometry("n", out);
    out.sql(" as g");
    came_or_changed(layer, wanted, out);
    out.sql("\n  union all select ");
    geometry("c", out);
    came_or_changed(layer, wanted, out);
    out.sql(" and c.syncline_in\n  union all select ");
    geometry("c", out);
    went(layer, wanted, out);
    out.sql(") s where not ST_IsEmpty(g) and ");
    shape::is_place(&Ident::new("g"), "s", out);
    out.sql("\n)");
    Some(())
}

/// The features that differ between the ends of a window for somebody who holds the rows of its filter. Columns: global id,
/// whether it was held at the lower end, whether it was held at the upper end.
pub(crate) fn differing(layer: &Layer, window: &Between<'_>, limit: i64) -> Fragment {
    let global_id = column(layer, layer.global_id);
    let mut out = Fragment::new("-- differing\n");
    ends(layer, window, &mut out);
    out.sql("\nselect c.").ident(&global_id).sql(", c.syncline_in, coalesce(n.syncline_in, false)");
    out.sql("\nfrom changed c left join now n on n.").ident(&global_id).sql(" = c.").ident(&global_id);
    out.sql("\nwhere (c.syncline_in or n.syncline_in) and not (c.syncline_moved and c.syncline_in and coalesce(n.syncline_in, false))");
    out.sql("\norder by 1 limit ").bind(limit);
    out
}

/// The images at the lower end of the window, and those at its upper end if that is before now. Those of the layer itself have
/// the number 0.
const THEN: &str = "then_";
const UPTO: &str = "upto_";

/// Appends `with … changed as (…), now as (…)`: the rows that changed in the window, or may have come or gone with what they
/// belong to (`syncline_moved`), as they were at its lower end, and as they are at its upper end; each with whether it passed
/// the filter.
fn ends(layer: &Layer, wanted: &Between<'_>, out: &mut Fragment) {
    let global_id = column(layer, layer.global_id);
    let origins = Origins::of(wanted.filter);
    let upper = if wanted.is_past { Moment::At(UPTO) } else { Moment::Now };
    out.sql("with ");
    origins.images(THEN, wanted.service, wanted.after, out);
    out.sql("then_0 as materialized (");
    origins.found(layer, wanted.filter, THEN, (wanted.service, wanted.after), out);
    out.sql(" and t.generation <= ").bind(wanted.upto);
    in_order(layer, out);
    out.sql("), ");
    if wanted.is_past {
        origins.images(UPTO, wanted.service, wanted.upto, out);
        out.sql("upto_0 as materialized (");
        origins.found(layer, wanted.filter, UPTO, (wanted.service, wanted.upto), out);
        if wanted.filter.ways().is_none() {
            out.sql(" and exists (select from then_0 k where k.").ident(&global_id).sql(" = c.");
            out.ident(&global_id).sql(")");
        }
        in_order(layer, out);
        out.sql("), ");
    }
    changed(layer, wanted, &origins, upper, out);
    out.sql(", now as materialized (\n select ");
    every_column(layer, "n", out);
    out.sql(", coalesce(");
    origins.passed(upper, layer, wanted.filter, "n", out);
    out.sql(", false) as syncline_in\n from ").ident(&table(layer)).sql(" n join changed k on k.").ident(&global_id);
    out.sql(" = n.").ident(&global_id);
    if wanted.is_past {
        out.sql("\n where not exists (select from upto_0 l where l.").ident(&global_id).sql(" = n.").ident(&global_id);
        out.sql(")\n union all select ");
        every_column(layer, "l", out);
        out.sql(", l.syncline_in from upto_0 l join changed k on k.").ident(&global_id).sql(" = l.").ident(&global_id);
        out.sql(" where l.syncline_existed");
    }
    out.sql("\n)");
}

/// Appends `changed as (…)`.
fn changed(layer: &Layer, wanted: &Between<'_>, origins: &Origins<'_>, upper: Moment, out: &mut Fragment) {
    out.sql("changed as materialized (\n select ");
    every_column(layer, "c", out);
    out.sql(", c.syncline_in, false as syncline_moved from then_0 c");
    if let Some(ways) = wanted.filter.ways() {
        let global_id = column(layer, layer.global_id);
        // They did not change in the window, so that they are at its lower end what they are at its upper end.
        out.sql("\n union all select ");
        every_column(layer, "m", out);
        out.sql(", coalesce(");
        origins.passed(Moment::At(THEN), layer, wanted.filter, "m", out);
        out.sql(", false), true from ");
        origins.rows(layer, upper, out);
        out.sql(" m where not exists (select from then_0 x where x.").ident(&global_id).sql(" = m.").ident(&global_id);
        out.sql(") and m.").ident(&global_id).sql(" in (");
        let window = Window { lower: THEN, upper, upto: wanted.upto };
        for (position, way) in ways.iter().enumerate() {
            out.sql(if position > 0 { " union all " } else { "" }).sql("select r.").ident(&global_id).sql(" from (");
            origins.keys(way, window, out);
            out.sql(") k join ");
            origins.rows(layer, upper, out);
            out.sql(" r on r.").ident(&column(layer, way.destination_field)).sql(" = k.key");
        }
        out.sql(")");
    }
    out.sql("\n)");
}

fn keys(layer: &Layer, alias: &'static str, out: &mut Fragment) {
    out.sql(", ").sql(alias).sql(".").ident(&column(layer, layer.global_id));
    out.sql(", ").sql(alias).sql(".").ident(&column(layer, layer.object_id)).sql("::int8, ");
}

/// Appends whether a column changed. What has no equality is compared as text.
fn differs(name: &Ident, out: &mut Fragment) {
    out.sql("(c.syncline_in and c.").ident(name).sql("::text is distinct from n.").ident(name).sql("::text)");
}

fn came_or_changed(layer: &Layer, wanted: &Changes<'_>, out: &mut Fragment) {
    let global_id = column(layer, layer.global_id);
    out.sql("\nfrom changed c join now n on n.").ident(&global_id).sql(" = c.").ident(&global_id);
    out.sql(" where n.syncline_in and (case when c.syncline_in then not c.syncline_moved and ")
        .bind(wanted.kinds.updates);
    out.sql(" else ").bind(wanted.kinds.inserts).sql(" end)");
}

fn went(layer: &Layer, wanted: &Changes<'_>, out: &mut Fragment) {
    let global_id = column(layer, layer.global_id);
    out.sql("\nfrom changed c where ").bind(wanted.kinds.deletes).sql(" and c.syncline_in");
    out.sql(" and not exists (select from now n where n.syncline_in and n.").ident(&global_id);
    out.sql(" = c.").ident(&global_id).sql(")");
}
