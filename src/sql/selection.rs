//! Which rows a query chooses: where they are read from, and the conditions that they meet.

use crate::model::{
    layer::{Layer, ShapeColumn},
    query::{Choice, Period, SpatialRelation},
};

use super::{
    fragment::{Fragment, Ident},
    past::every_column,
    predicate,
    select::{and_visible, change_table, column, columns, edition, table},
    shape,
};

/// Which rows a query chooses, with what the database had to find out first. All rows as they are, unless something is given.
#[derive(Clone, Copy, Default)]
pub(crate) struct Selection<'a> {
    /// What the query asks.
    pub(crate) choice: Option<&'a Choice>,
    /// The shape of the query in the layer's spatial reference.
    pub(crate) reach: Option<&'a Reach>,
    /// The past whose rows are asked for.
    pub(crate) past: Option<Past>,
}

/// The shape with which features are compared, as EWKB.
#[derive(Debug)]
pub(crate) enum Reach {
    /// A shape in the layer's spatial reference, and how it must stand to a feature.
    Shape(Vec<u8>, SpatialRelation),
    /// Everything within a distance.
    Around {
        /// The shape in longitude and latitude.
        origin: Vec<u8>,
        /// How many metres round it.
        metres: f64,
        /// A box round all of it in the layer's spatial reference, for the index; `None` if that has none.
        bounds: Option<Vec<u8>>,
    },
}

/// A past state of a service.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past {
    /// The service.
    pub(crate) service: i32,
    /// Its generation.
    pub(crate) generation: i64,
}

/// Appends `from … n where …`.
pub(super) fn from_where(layer: &Layer, selection: &Selection<'_>, out: &mut Fragment) {
    out.sql("\n");
    edition(layer, out);
    out.sql("from ");
    source(layer, selection.past, "n", out);
    out.sql("\nwhere ");
    conditions(layer, selection, "n", out);
}

/// Appends the table, or what it was, under an alias.
pub(super) fn source(layer: &Layer, past: Option<Past>, alias: &'static str, out: &mut Fragment) {
    let Some(Past { service, generation }) = past else {
        out.ident(&table(layer)).sql(" ").sql(alias);
        return;
    };
    // What a row was is the image before its first change since; a row that did not change is what it is.
    let global_id = column(layer, layer.global_id);
    out.sql("(with past as (select distinct on (c.").ident(&global_id).sql(") c.* from syncline.txn t join ");
    out.ident(&change_table(layer.key)).sql(" c on c.syncline_txn = t.txn_id where t.service_id = ").bind(service);
    out.sql(" and t.generation > ")
        .bind(generation)
        .sql(" order by c.")
        .ident(&global_id)
        .sql(", t.generation)\n select ");
    every_column(layer, "s", out);
    out.sql(" from ").ident(&table(layer)).sql(" s where not exists (select from past c where c.").ident(&global_id);
    out.sql(" = s.").ident(&global_id).sql(") union all select ");
    every_column(layer, "c", out);
    out.sql(" from past c where c.syncline_existed) ").sql(alias);
}

/// Appends the condition that rows of an alias meet.
pub(super) fn conditions(layer: &Layer, selection: &Selection<'_>, alias: &'static str, out: &mut Fragment) {
    out.sql("true");
    and_visible(layer, alias, out);
    if let Some(choice) = selection.choice {
        let shape = layer.shape.as_ref().map(|shape| Ident::new(&shape.column));
        for clause in &choice.clauses {
            out.sql("\n  and (");
            predicate::render(clause, &columns(layer), shape.as_ref(), alias, out);
            out.sql(")");
        }
        if let Some(ids) = &choice.object_ids {
            out.sql("\n  and ")
                .sql(alias)
                .sql(".")
                .ident(&column(layer, layer.object_id))
                .sql(" = any(")
                .bind(ids.clone())
                .sql(")");
        }
        if let Some(ids) = &choice.global_ids {
            out.sql("\n  and ")
                .sql(alias)
                .sql(".")
                .ident(&column(layer, layer.global_id))
                .sql(" = any(")
                .bind(ids.clone())
                .sql(")");
        }
        if let Some(period) = choice.period {
            during(layer, period, alias, out);
        }
    }
    if let (Some(reach), Some(shape)) = (selection.reach, &layer.shape) {
        out.sql("\n  and ");
        stands(reach, shape, alias, out);
    }
}

/// Appends a condition on where features are.
fn stands(reach: &Reach, shape: &ShapeColumn, alias: &'static str, out: &mut Fragment) {
    const EWKB: &str = "::bytea::geometry";
    let (area, relation) = match reach {
        Reach::Shape(area, relation) => (area, *relation),
        Reach::Around { origin, metres, bounds } => {
            out.sql("(");
            if let Some(bounds) = bounds {
                let column = Ident::new(&shape.column);
                out.sql(alias).sql(".").ident(&column).sql(" && ").bind(bounds.clone()).sql(EWKB).sql(" and ");
            }
            out.sql("ST_DWithin(");
            shape::in_reference(shape, alias, 4326, out);
            out.sql("::geography, ");
            out.bind(origin.clone()).sql(EWKB).sql("::geography, ").bind(*metres).sql("))");
            return;
        }
    };
    // The relation is read as: geometry of the query, relation, feature.
    let (before, between, after) = match relation {
        SpatialRelation::Intersects => ("ST_Intersects(", ", ", ")"),
        SpatialRelation::Contains => ("ST_Contains(", ", ", ")"),
        SpatialRelation::Within => ("ST_Within(", ", ", ")"),
        SpatialRelation::Crosses => ("ST_Crosses(", ", ", ")"),
        SpatialRelation::Touches => ("ST_Touches(", ", ", ")"),
        SpatialRelation::Overlaps => ("ST_Overlaps(", ", ", ")"),
        SpatialRelation::EnvelopeIntersects => ("(", " && ", ")"),
        SpatialRelation::Disjoint => ("(not ST_Intersects(", ", ", "))"),
        SpatialRelation::Relate(matrix) => {
            if matrix.needs_contact() {
                let column = Ident::new(&shape.column);
                out.bind(area.clone()).sql(EWKB).sql(" && ").sql(alias).sql(".").ident(&column).sql(" and ");
            }
            out.sql("ST_Relate(").bind(area.clone()).sql(EWKB).sql(", ");
            shape::fitting(shape, alias, out);
            out.sql(", ").bind(matrix.text()).sql(")");
            return;
        }
    };
    if relation != SpatialRelation::Disjoint {
        shape::near(shape, alias, area, out);
    }
    out.sql(before).bind(area.clone()).sql(EWKB).sql(between);
    shape::fitting(shape, alias, out);
    out.sql(after);
}

/// Appends a condition on when features were; nothing for a layer whose features have no time.
fn during(layer: &Layer, period: Period, alias: &'static str, out: &mut Fragment) {
    /// What the database can hold, with room to spare.
    const MOST_MS: i64 = 9_000_000_000_000_000;
    const LEAST_MS: i64 = -210_000_000_000_000;
    let Some(time) = layer.rules.time else { return };
    let start = column(layer, time.start);
    let end = column(layer, time.end.unwrap_or(time.start));
    for (bound, name, comparison) in [(period.to_ms, &start, " <= "), (period.from_ms, &end, " >= ")] {
        let Some(bound) = bound else { continue };
        out.sql("\n  and (").sql(alias).sql(".").ident(name).sql(comparison).sql("timestamptz 'epoch' + ");
        // Seconds first: an interval is multiplied as a double, which does not hold the microseconds of far-off years.
        let bound = bound.clamp(LEAST_MS, MOST_MS);
        out.bind(bound.div_euclid(1000)).sql("::bigint * interval '1 second' + ");
        out.bind(bound.rem_euclid(1000)).sql("::bigint * interval '1 millisecond'");
        if time.end.is_some() {
            // A stretch of time without an end has not ended, one without a beginning was always.
            out.sql(" or ").sql(alias).sql(".").ident(name).sql(" is null");
        }
        out.sql(")");
    }
}
