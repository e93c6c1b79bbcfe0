//! What changed in a part of the history of a layer, for whoever asks: no replica, no own edits.
//!
//! As in a delta, a row as it was at a generation is the before-image of its first change after it, or else the row as it
//! is. The window may end before now: then the state at its upper end is found in the same way as that at its lower end.

use crate::model::{
    filter::Filter,
    layer::Layer,
    query::{ChangeKinds, Columns},
};

use super::{
    fragment::{Fragment, Ident},
    select::{change_table, column, filter, list, table},
};

/// What a statement over changes needs to know beside the layer.
pub(crate) struct Changes<'a> {
    /// The service.
    pub(crate) service: i32,
    /// The rows that count.
    pub(crate) filter: &'a Filter,
    /// What is read of them.
    pub(crate) columns: &'a Columns,
    /// Changes after this generation …
    pub(crate) after: i64,
    /// … up to this one.
    pub(crate) upto: i64,
    /// Whether the window ends before now.
    pub(crate) is_past: bool,
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
    ends(layer, wanted, &mut out);
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
    let column = Ident::new(&shape.column);
    let geometry = |alias: &'static str, out: &mut Fragment| {
        if srid == shape.srid {
            out.sql(alias).sql(".").ident(&column);
        } else {
            out.sql("ST_Transform(").sql(alias).sql(".").ident(&column).sql(", ").bind(srid).sql(")");
        }
    };
    ends(layer, wanted, out);
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
    out.sql(") s where not ST_IsEmpty(g)\n)");
    Some(())
}

/// Appends `with changed as (…), now as (…)`: the rows that changed in the window, as they were at its lower end, and as
/// they are at its upper end; each with whether it passed the filter.
fn ends(layer: &Layer, wanted: &Changes<'_>, out: &mut Fragment) {
    let global_id = column(layer, layer.global_id);
    out.sql("with changed as materialized (");
    images(layer, wanted, out);
    out.sql(" and t.generation <= ").bind(wanted.upto);
    out.sql("\n order by c.").ident(&global_id).sql(", t.generation\n)");
    if wanted.is_past {
        out.sql(", later as materialized (");
        images(layer, &Changes { after: wanted.upto, ..*wanted }, out);
        out.sql(" and exists (select from changed k where k.").ident(&global_id).sql(" = c.").ident(&global_id);
        out.sql(")\n order by c.").ident(&global_id).sql(", t.generation\n)");
    }
    out.sql(", now as materialized (\n select ");
    every_column(layer, "n", out);
    out.sql(", coalesce(");
    filter(layer, wanted.filter, "n", out);
    out.sql(", false) as syncline_in\n from ").ident(&table(layer)).sql(" n join changed k on k.").ident(&global_id);
    out.sql(" = n.").ident(&global_id);
    if wanted.is_past {
        out.sql("\n where not exists (select from later l where l.").ident(&global_id).sql(" = n.").ident(&global_id);
        out.sql(")\n union all select ");
        every_column(layer, "l", out);
        out.sql(", l.syncline_in from later l where l.syncline_existed");
    }
    out.sql("\n)");
}

/// Appends the first before-images after the lower end, up to the end of the condition, which goes on.
fn images(layer: &Layer, wanted: &Changes<'_>, out: &mut Fragment) {
    let global_id = column(layer, layer.global_id);
    out.sql("\n select distinct on (c.").ident(&global_id).sql(") ");
    every_column(layer, "c", out);
    out.sql(", c.syncline_existed, c.syncline_existed and coalesce(");
    filter(layer, wanted.filter, "c", out);
    out.sql(", false) as syncline_in\n from syncline.txn t join ");
    out.ident(&change_table(layer.key)).sql(" c on c.syncline_txn = t.txn_id");
    out.sql("\n where t.service_id = ").bind(wanted.service).sql(" and t.generation > ").bind(wanted.after);
}

fn every_column(layer: &Layer, alias: &'static str, out: &mut Fragment) {
    for index in 0..layer.fields.len() {
        out.sql(if index > 0 { ", " } else { "" }).sql(alias).sql(".").ident(&column(layer, index));
    }
    if let Some(shape) = &layer.shape {
        out.sql(", ").sql(alias).sql(".").ident(&Ident::new(&shape.column));
    }
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
    out.sql(" where n.syncline_in and (case when c.syncline_in then ").bind(wanted.kinds.updates);
    out.sql(" else ").bind(wanted.kinds.inserts).sql(" end)");
}

fn went(layer: &Layer, wanted: &Changes<'_>, out: &mut Fragment) {
    let global_id = column(layer, layer.global_id);
    out.sql("\nfrom changed c where ").bind(wanted.kinds.deletes).sql(" and c.syncline_in");
    out.sql(" and not exists (select from now n where n.syncline_in and n.").ident(&global_id);
    out.sql(" = c.").ident(&global_id).sql(")");
}
