//! Uploads: which there were, their receipts, and undoing one.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use sqlx::Row as _;
use uuid::Uuid;

use crate::{
    app::App,
    error::{Error, Result},
    model::{
        edit::{Edit, EditResult, GeometryEdit, LayerEdits, Op},
        id::{GlobalId, ReplicaId},
        layer::{Layer, Service},
    },
    sql::history,
    store::books::{BookedUpload, Receipt, ReceiptFilter},
    sync::{
        apply::{Sender, apply_all},
        put_back::put_back,
    },
};

use super::{Known, Later, changed_since, history_gone, known};

/// A page of the uploads of a replica, the newest first, and whether there are more.
pub(crate) async fn list(
    app: &App,
    service: &Service,
    replica: ReplicaId,
    (offset, limit): (i64, i64),
) -> Result<(Known, Vec<BookedUpload>, bool)> {
    let known = known(app, service, replica).await?;
    let mut session = app.store.session().await?;
    let mut uploads = session.own().await?.upload_list(replica, None, offset, limit).await?;
    let more = cut(&mut uploads, limit);
    Ok((known, uploads, more))
}

/// An upload, a page of its receipts, and whether there are more.
pub(crate) async fn show(
    app: &App,
    service: &Service,
    replica: ReplicaId,
    number: i64,
    wanted: &ReceiptFilter,
    (offset, limit): (i64, i64),
) -> Result<(Known, BookedUpload, Vec<Receipt>, bool)> {
    let known = known(app, service, replica).await?;
    let upload = find(app, replica, number).await?;
    let mut session = app.store.session().await?;
    let mut receipts = session.own().await?.receipt_page(number, wanted, offset, limit).await?;
    let more = cut(&mut receipts, limit);
    Ok((known, upload, receipts, more))
}

async fn find(app: &App, replica: ReplicaId, number: i64) -> Result<BookedUpload> {
    let mut session = app.store.session().await?;
    let found = session.own().await?.upload_list(replica, Some(number), 0, 1).await?;
    found.into_iter().next().ok_or_else(|| {
        Error::NotFound(format!(
            "Upload {number} not found: replica {replica} has none with this number; …/replicas/{replica}/batches lists them"
        ))
    })
}

/// Shortens a list that was read with one more than the limit. Returns whether it was.
pub(super) fn cut<T>(list: &mut Vec<T>, limit: i64) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = list.len() > limit;
    list.truncate(limit);
    more
}

/// What undoing an upload did, or would do.
pub(crate) struct Undone {
    /// Features that are as they were before the upload, by layer.
    pub(crate) restored: Vec<(Arc<Layer>, Uuid, Reversal)>,
    /// Features that were left alone, since somebody changed them later.
    pub(crate) skipped: Vec<(Arc<Layer>, Later)>,
    /// Features that the database did not let go back.
    pub(crate) failed: Vec<(Arc<Layer>, EditResult)>,
}

/// How a feature goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reversal {
    /// The upload added it: it is deleted.
    Deleted,
    /// The upload changed it: it gets its values back.
    Reverted,
    /// The upload deleted it: it is there again.
    Restored,
}

/// Takes back everything that an upload did, as a new change that reaches all replicas. Features that were changed since
/// are left alone unless `force`. With `preview` nothing is done.
pub(crate) async fn undo(
    app: &App,
    service: &Service,
    replica: ReplicaId,
    number: i64,
    force: bool,
    preview: bool,
) -> Result<Undone> {
    known(app, service, replica).await?;
    let upload = find(app, replica, number).await?;
    let generation = upload.generation.ok_or_else(|| history_gone("the upload"))?;
    let mut session = app.store.session().await?;
    let tx = session.read(service).await?;
    // The upload stays in the books for longer than the features as they were.
    if service.tracked().any(|layer| generation <= tx.history.from(layer.key).get()) {
        return Err(history_gone("the upload"));
    }
    tx.end().await?;
    let mut tx = session.write(service.key, None).await?;
    let mut undone = Undone { restored: Vec::new(), skipped: Vec::new(), failed: Vec::new() };
    let mut to_delete: Vec<(Arc<Layer>, Vec<Uuid>)> = Vec::new();
    for layer in service.tracked() {
        let mut reversals: HashMap<Uuid, Option<Reversal>> = HashMap::new();
        for row in tx.rows(history::changed_by(layer, upload.txn)).await? {
            let (existed, exists): (bool, bool) = (row.try_get(1)?, row.try_get(2)?);
            let reversal = match (existed, exists) {
                (true, true) => Some(Reversal::Reverted),
                (true, false) => Some(Reversal::Restored),
                (false, true) => Some(Reversal::Deleted),
                (false, false) => None,
            };
            reversals.insert(row.try_get(0)?, reversal);
        }
        if reversals.is_empty() {
            continue;
        }
        let ids: Vec<Uuid> = reversals.keys().copied().collect();
        // From here on nobody else changes them, so that what is listed stays true until the end.
        tx.rows(history::lock(layer, ids.clone())).await?;
        let later = changed_since(&mut tx, service, layer, generation, ids).await?;
        let touched: HashSet<Uuid> = later.iter().map(|later| later.global_id).collect();
        if !force {
            undone.skipped.extend(later.into_iter().map(|later| (layer.clone(), later)));
        }
        let mut wanted: Vec<(Uuid, Reversal)> = reversals
            .into_iter()
            .filter(|(id, _)| force || !touched.contains(id))
            .filter_map(|(id, reversal)| Some((id, reversal?)))
            .collect();
        wanted.sort_unstable_by_key(|(id, _)| *id);
        let ids_of = |deleted: bool| -> Vec<Uuid> {
            wanted.iter().filter(|(_, how)| (*how == Reversal::Deleted) == deleted).map(|(id, _)| *id).collect()
        };
        if !preview {
            let results = put_back(&mut tx, layer, upload.txn, ids_of(false)).await?;
            undone.failed.extend(failed(layer, results));
        }
        to_delete.push((layer.clone(), ids_of(true)));
        undone.restored.extend(wanted.into_iter().map(|(id, how)| (layer.clone(), id, how)));
    }
    if preview {
        tx.roll_back().await?;
        return Ok(undone);
    }
    // What was added goes last, since what was there before may no longer refer to it then.
    for (layer, ids) in to_delete.into_iter().rev().filter(|(_, ids)| !ids.is_empty()) {
        for (layer, results) in apply_all(&mut tx, service, &[deletes(&layer, ids)], Sender::Client).await? {
            undone.failed.extend(failed(&layer, results));
        }
    }
    let not: HashSet<Uuid> = undone.failed.iter().filter_map(|(_, result)| Some(result.global_id?.0)).collect();
    undone.restored.retain(|(_, id, _)| !not.contains(id));
    tx.batch_undone(number).await?;
    tx.commit().await?;
    tracing::info!(
        replica.id = %replica, batch = number, n_restored = undone.restored.len(), n_skipped = undone.skipped.len(),
        n_failed = undone.failed.len(), "upload undone"
    );
    Ok(undone)
}

fn failed(layer: &Arc<Layer>, results: Vec<EditResult>) -> impl Iterator<Item = (Arc<Layer>, EditResult)> {
    results.into_iter().filter(|result| result.error.is_some()).map(|result| (layer.clone(), result))
}

/// Deletes of features.
pub(super) fn deletes(layer: &Arc<Layer>, ids: Vec<Uuid>) -> LayerEdits {
    let delete = |id| Edit {
        op: Op::Delete,
        global_id: GlobalId(id),
        values: Vec::new(),
        geometry: GeometryEdit::Keep,
        passed_over: None,
    };
    LayerEdits { layer: layer.clone(), edits: ids.into_iter().map(|id| Ok(delete(id))).collect() }
}
