//! Edits of the rows that a condition selects: some thousands at a time, however many they are.

use std::sync::Arc;

use uuid::Uuid;

use crate::{
    error::{Error, Result},
    model::{
        capability::Capability,
        edit::{Assigned, Edit, EditResult, GeometryEdit, LayerEdits, Op},
        id::GlobalId,
        layer::{Layer, Service},
    },
    sql::{modify, select, selection::Selection},
    store::WriteTx,
};

use super::{
    apply::{Sender, apply_all},
    failure::{explain, is_fatal},
    guarded, row_types,
    search::{Culprit, ROWS_PER_STATEMENT, Search},
};

/// Rows of a selection in the order of their global ids, as many as go into a statement at a time.
pub(crate) struct Walk<'a> {
    layer: &'a Layer,
    selection: Selection<'a>,
    after: Option<Uuid>,
}

impl<'a> Walk<'a> {
    /// Begins with the first row.
    pub(crate) fn new(layer: &'a Layer, selection: Selection<'a>) -> Walk<'a> {
        Walk { layer, selection, after: None }
    }

    /// The next rows; none at the end.
    async fn next(&mut self, tx: &mut WriteTx<'_>) -> Result<Vec<Uuid>> {
        let limit = i64::try_from(ROWS_PER_STATEMENT).unwrap_or(i64::MAX);
        let statement = select::global_ids(self.layer, &self.selection, self.after, limit);
        let found: Vec<Uuid> = tx.edit(statement).await??.into_iter().map(|(id, _)| id).collect();
        self.after = found.last().copied();
        Ok(found)
    }
}

/// Deletes the next rows of a walk. Returns what became of each; nothing when there are no more.
pub(crate) async fn delete_next(
    tx: &mut WriteTx<'_>,
    service: &Service,
    layer: &Arc<Layer>,
    walk: &mut Walk<'_>,
) -> Result<Vec<EditResult>> {
    let ids = walk.next(tx).await?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let results = apply_all(tx, service, &[deletes(layer, ids)], Sender::Client).await?;
    Ok(results.into_iter().flat_map(|(_, results)| results).collect())
}

/// Deletes of features.
pub(crate) fn deletes(layer: &Arc<Layer>, ids: Vec<Uuid>) -> LayerEdits {
    let delete = |id| Edit {
        op: Op::Delete,
        global_id: GlobalId(id),
        values: Vec::new(),
        geometry: GeometryEdit::Keep,
        passed_over: None,
    };
    LayerEdits { layer: layer.clone(), edits: ids.into_iter().map(|id| Ok(delete(id))).collect() }
}

/// Sets fields of the next rows of a walk. Returns how many were set; `None` when there are no more. A row that cannot be
/// set fails all.
pub(crate) async fn calculate_next(
    tx: &mut WriteTx<'_>,
    layer: &Layer,
    assignments: &[(usize, Assigned)],
    walk: &mut Walk<'_>,
) -> Result<Option<usize>> {
    layer.require(Capability::Update).map_err(Error::NotSupported)?;
    let ids = walk.next(tx).await?;
    guarded::require_all(tx, layer, &ids).await?;
    require_fitting_types(tx, layer, assignments, &ids).await?;
    let mut n_touched = 0;
    let mut search = Search::new(ids.len());
    while let Some(some) = search.next().and_then(|range| ids.get(range)) {
        match tx.edit(modify::calculate(layer, assignments, some.to_vec())).await? {
            Ok(touched) => {
                n_touched += touched.len();
                search.succeeded(some.len());
            }
            Err(error) if is_fatal(&error) => return Err(error.into()),
            Err(error) => search.failed(some.len(), Culprit::Unknown, explain(layer, Op::Update, &error)),
        }
        if let Some((at, error)) = search.refused() {
            return Err(inapplicable(ids.get(at), &error.description));
        }
    }
    Ok((!ids.is_empty()).then_some(n_touched))
}

/// Refuses to set fields to what they do not take in rows of the types that these are.
async fn require_fitting_types(
    tx: &mut WriteTx<'_>,
    layer: &Layer,
    assignments: &[(usize, Assigned)],
    ids: &[Uuid],
) -> Result<()> {
    if !assignments.iter().any(|(field, _)| layer.rules.depends_on_type(*field)) {
        return Ok(());
    }
    let value = |(field, assigned): &(usize, Assigned)| match assigned {
        Assigned::Value(value) => Some((*field, value.clone())),
        Assigned::Computed(_) => None,
    };
    let values: Vec<_> = assignments.iter().filter_map(value).collect();
    let update = |id: &Uuid| Edit {
        op: Op::Update,
        global_id: GlobalId(*id),
        values: values.clone(),
        geometry: GeometryEdit::Keep,
        passed_over: None,
    };
    let updates: Vec<Edit> = ids.iter().map(update).collect();
    let updates: Vec<(usize, &Edit)> = updates.iter().enumerate().collect();
    match row_types::misfits(tx, layer, &updates).await?.first() {
        None => Ok(()),
        Some((at, problem)) => Err(inapplicable(ids.get(*at), problem)),
    }
}

fn inapplicable(feature: Option<&Uuid>, problem: &str) -> Error {
    let id = feature.copied().map(GlobalId).map(|id| id.to_string()).unwrap_or_default();
    Error::invalid("calcExpression", format!("it cannot be applied to feature {id}: {problem}; nothing was changed"))
}
