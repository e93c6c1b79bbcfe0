//! What the database expects a query to cost.

use crate::{
    app::App,
    error::{Error, Result},
    model::{layer::Layer, predicate::Predicate, query::Output},
    sql::{fragment::Fragment, select, selection::Selection, statistics},
    store::{
        Session, Snapshot,
        share::{self, Turn},
    },
};

/// From which cost on, in units of reading a page, a query occupies a processor for so long that others feel it: some hundredths of a second.
const HEAVY_COST: f64 = 5_000.0;

/// How the queries of a request are carried out.
pub(super) enum Lane {
    /// At once, as long as none of them is heavy.
    Quick,
    /// Now that it is their caller's turn, on a connection for what takes long.
    Heavy { _turn: Turn },
}

impl Lane {
    /// Waits for the caller's turn. Meanwhile nothing may be held that others could use, neither a connection nor a snapshot.
    pub(super) async fn heavy() -> Result<Lane> {
        Ok(Lane::Heavy { _turn: share::turn().await? })
    }

    /// A connection.
    pub(super) async fn session(&self, app: &App) -> Result<Session> {
        match self {
            Lane::Quick => app.store.session().await,
            Lane::Heavy { .. } => app.store.heavy_session().await,
        }
    }

    /// Whether a query may run in the lane. One for which the database would take far too long is refused. `statement` is the one whose cost says
    /// so, if that is in doubt.
    pub(super) async fn takes(&self, app: &App, tx: &mut Snapshot<'_>, statement: Option<Fragment>) -> Result<bool> {
        let Some(statement) = statement else { return Ok(true) };
        let (cost, limit) = (tx.cost(statement).await?, app.config.max_query_cost);
        #[expect(clippy::cast_precision_loss, reason = "the planner is not that exact")]
        if limit > 0 && cost > limit as f64 {
            return Err(Error::NotSupported(format!(
                "the database expects the query to cost {cost:.0}, and the limit is {limit} (max_query_cost); nothing was looked for. Ask with a \
                 shorter 'where' on fields that have indexes, without LIKE on patterns that begin with %, or narrow the query by geometry or objectIds"
            )));
        }
        Ok(cost <= HEAVY_COST || matches!(self, Lane::Heavy { .. }))
    }
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
