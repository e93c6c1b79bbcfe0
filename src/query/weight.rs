//! What the database expects a query to cost.

use crate::{
    app::App,
    error::{Error, Result},
    model::{layer::Layer, predicate::Predicate, query::Output},
    sql::{fragment::Fragment, select, selection::Selection, statistics},
    store::{
        Snapshot,
        share::{self, Turn},
    },
};

/// From which cost on, in units of reading a page, a query occupies a processor for so long that others feel it: some hundredths of a second.
const HEAVY_COST: f64 = 5_000.0;

/// Whether a query may run: it is not heavy, or it is its caller's turn, which is kept then. One for which the database would take far too long is
/// refused. `statement` is the one whose cost says so, if that is in doubt.
pub(super) async fn may_run(
    app: &App,
    tx: &mut Snapshot<'_>,
    statement: Option<Fragment>,
    turn: &mut Option<Turn>,
) -> Result<bool> {
    let Some(statement) = statement else { return Ok(true) };
    let (cost, limit) = (tx.cost(statement).await?, app.config.max_query_cost);
    #[expect(clippy::cast_precision_loss, reason = "the planner is not that exact")]
    if limit > 0 && cost > limit as f64 {
        return Err(Error::NotSupported(format!(
            "the database expects the query to cost {cost:.0}, and the limit is {limit} (max_query_cost); nothing was looked for. Ask with a \
             shorter 'where' on fields that have indexes, without LIKE on patterns that begin with %, or narrow the query by geometry or objectIds"
        )));
    }
    if cost > HEAVY_COST && turn.is_none() {
        *turn = share::turn_at_once();
        return Ok(turn.is_some());
    }
    Ok(true)
}

/// The statement whose cost says whether a query is heavy, if that is in doubt.
///
/// Whatever cannot be much is not asked about, since that costs a round trip: features by their ids, and pages of features in the order in
/// which they lie. What is wrongly expected to be quick is ended by the clock.
pub(super) fn doubtful(layer: &Layer, output: &Output, selection: &Selection<'_>) -> Option<Fragment> {
    let choice = selection.choice?;
    // How many rows such a condition leaves is anybody's guess: a page of few may have to read them all.
    if choice.clauses.iter().any(Predicate::is_weighty) {
        return Some(select::count(layer, selection));
    }
    if choice.object_ids.is_some() || choice.global_ids.is_some() {
        return None;
    }
    match output {
        Output::Features(page) => {
            let is_light = choice.clauses.iter().all(|clause| clause.constant().is_some())
                && choice.period.is_none()
                && selection.past.is_none()
                && page.order.is_empty()
                && page.offset <= page.limit;
            (!is_light).then(|| select::page(layer, selection, &page.columns, &page.order, page.offset, page.limit + 1))
        }
        Output::Table(table) => Some(statistics::rows(layer, selection, table, table.limit + 1)),
        Output::TableCount(table) => Some(statistics::count(layer, selection, table)),
        Output::Ids { order, .. } => Some(select::object_ids(layer, selection, order)),
        Output::Count => Some(select::count(layer, selection)),
        Output::Extent { srid, .. } => select::extent(layer, selection, *srid),
    }
}
