//! Puts features back as they were.

use std::collections::HashMap;

use uuid::Uuid;

use crate::{
    error::Result,
    model::{
        edit::{EditError, EditErrorCode, EditResult, Op},
        id::GlobalId,
        layer::Layer,
    },
    sql::history,
    store::WriteTx,
};

use super::{
    failure::{explain, is_fatal, suppressed},
    guarded,
    search::{Culprit, Search},
};

/// Writes features back as a transaction found them. Returns what became of each, as an update.
pub(crate) async fn put_back(
    tx: &mut WriteTx<'_>,
    layer: &Layer,
    txn: i64,
    mut global_ids: Vec<Uuid>,
) -> Result<Vec<EditResult>> {
    let result = |id: Uuid, object_id: Option<i64>, error: Option<EditError>| EditResult {
        op: Op::Update,
        global_id: Some(GlobalId(id)),
        object_id,
        altered: false,
        error,
        passed_over: None,
    };
    global_ids.sort_unstable();
    if !layer.rules.capabilities.update {
        let forbidden = EditError {
            code: EditErrorCode::UpdateFailed,
            description: format!(
                "rows of layer {} ({}) must not be changed: its capabilities are '{}'",
                layer.id, layer.name, layer.rules.capabilities
            ),
        };
        return Ok(global_ids.into_iter().map(|id| result(id, None, Some(forbidden.clone()))).collect());
    }
    let mut results = Vec::with_capacity(global_ids.len());
    let denied = guarded::not_to_put_back(tx, layer, txn, &global_ids).await?;
    let denied_result = |id: &Uuid| {
        let error = EditError { code: EditErrorCode::NotOwner, description: denied.get(id)?.clone() };
        Some(result(*id, None, Some(error)))
    };
    results.extend(global_ids.iter().filter_map(denied_result));
    global_ids.retain(|id| !denied.contains_key(id));
    let mut search = Search::new(global_ids.len());
    while let Some(chunk) = search.next().and_then(|range| global_ids.get(range)) {
        match tx.edit(history::put_back(layer, txn, chunk.to_vec())).await? {
            Ok(touched) => {
                let touched: HashMap<Uuid, i64> = touched.into_iter().collect();
                results.extend(chunk.iter().map(|id| match touched.get(id) {
                    Some(object_id) => result(*id, Some(*object_id), None),
                    None => result(*id, None, Some(suppressed(layer, Op::Update))),
                }));
                search.succeeded(chunk.len());
            }
            Err(error) if is_fatal(&error) => return Err(error.into()),
            Err(error) => search.failed(chunk.len(), Culprit::Unknown, explain(layer, Op::Update, &error)),
        }
        if let Some((at, error)) = search.refused() {
            results.extend(global_ids.get(at).map(|id| result(*id, None, Some(error))));
        }
    }
    Ok(results)
}
