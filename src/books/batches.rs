//! Batches: which there were, of replicas and of connected clients, their receipts, and undoing one.

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
        edit::EditResult,
        id::{GlobalId, ReplicaId},
        layer::{Layer, Service},
    },
    sql::history,
    store::{
        Session, WriteTx,
        books::{BatchFilter, BookedBatch, Receipt, ReceiptFilter},
    },
    sync::{
        apply::{Sender, apply_all},
        put_back::put_back,
        selected::deletes,
    },
};

use super::{Later, changed_since, history_gone, known, layer_with};

/// How many features are taken back at a time.
const FEATURES_AT_ONCE: i64 = 5_000;
/// The most features of each kind that are named when a batch is undone.
pub(super) const MAX_LISTED: usize = 1_000;

/// A page of batches, the newest first, and whether there are more.
pub(crate) async fn list(
    app: &App,
    service: &Service,
    wanted: &BatchFilter,
    (offset, limit): (i64, i64),
) -> Result<(Vec<BookedBatch>, bool)> {
    let mut session = app.store.session().await?;
    let mut batches = session.own().await?.batch_page(service, wanted, offset, limit).await?;
    let more = cut(&mut batches, limit);
    Ok((batches, more))
}

/// A page of the receipts of a batch.
pub(crate) struct Receipts {
    /// They.
    pub(crate) page: Vec<Receipt>,
    /// Whether there are more.
    pub(crate) more: bool,
    /// Whether the rows that a condition selected are still known one by one; `None` if there was none.
    pub(crate) rows_known: Option<bool>,
}

/// A batch and a page of its receipts. `replica` is the one that uploaded it, if it has to be of that one.
pub(crate) async fn show(
    app: &App,
    service: &Service,
    (replica, number): (Option<ReplicaId>, i64),
    wanted: &ReceiptFilter,
    (offset, limit): (i64, i64),
) -> Result<(BookedBatch, Receipts)> {
    let batch = find(app, service, replica, number).await?;
    let mut session = app.store.session().await?;
    let mut page = session.own().await?.receipt_page(number, wanted, offset, limit).await?;
    let rows_known = match batch.by_condition {
        None => None,
        Some(_) => Some(add_rows(&mut session, service, &batch, wanted, (offset, limit), &mut page).await?),
    };
    let more = cut(&mut page, limit);
    Ok((batch, Receipts { page, more, rows_known }))
}

/// Completes a page with the rows that a condition selected, after the receipts that there are: what became of each, the
/// change table knows. False if it no longer does.
async fn add_rows(
    session: &mut Session,
    service: &Service,
    batch: &BookedBatch,
    wanted: &ReceiptFilter,
    (offset, limit): (i64, i64),
    page: &mut Vec<Receipt>,
) -> Result<bool> {
    let layer = batch.layers.first().and_then(|key| layer_with(service, *key));
    let (Some(layer), Some((op, _)), Some(generation)) = (layer, batch.by_condition, batch.generation) else {
        return Ok(false);
    };
    let mut tx = session.read(service).await?;
    if generation <= tx.history.from(layer.key).get() {
        return Ok(false);
    }
    tx.end().await?;
    let lacks = limit.saturating_add(1).saturating_sub(i64::try_from(page.len()).unwrap_or(i64::MAX));
    if wanted.refused == Some(true) || wanted.layer.is_some_and(|key| key != layer.key) || lacks <= 0 {
        return Ok(true);
    }
    let n_before = session.own().await?.receipt_count(batch.id, wanted).await?;
    let n_refused: i64 = batch.refused.iter().map(|(_, n)| n).sum();
    let skip = offset.saturating_sub(n_before).max(0);
    tx = session.read(service).await?;
    let only = wanted.global_id.map(|id| id.0);
    for (index, row) in (0_i64..).zip(tx.all(history::found_by(layer, batch.txn, only, skip, lacks)).await?) {
        let result = EditResult {
            op,
            global_id: Some(GlobalId(row.try_get(0)?)),
            object_id: row.try_get(1)?,
            altered: false,
            error: None,
            passed_over: None,
        };
        let position = n_refused.saturating_add(skip).saturating_add(index).saturating_add(1);
        page.push((layer.key, i32::try_from(position).unwrap_or(i32::MAX), result));
    }
    tx.end().await?;
    Ok(true)
}

/// One batch.
pub(crate) async fn find(app: &App, service: &Service, replica: Option<ReplicaId>, number: i64) -> Result<BookedBatch> {
    if let Some(replica) = replica {
        known(app, service, replica).await?;
    }
    let wanted = BatchFilter { only: Some(number), replica, ..BatchFilter::default() };
    let (found, _) = list(app, service, &wanted, (0, 1)).await?;
    found.into_iter().next().ok_or_else(|| {
        Error::NotFound(match replica {
            Some(replica) => format!(
                "Upload {number} not found: replica {replica} has none with this number; …/replicas/{replica}/batches lists them"
            ),
            None => format!(
                "Batch {number} not found: service {} has none with this number; …/FeatureServer/batches lists them",
                service.name
            ),
        })
    })
}

/// Shortens a list that was read with one more than the limit. Returns whether it was.
pub(super) fn cut<T>(list: &mut Vec<T>, limit: i64) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = list.len() > limit;
    list.truncate(limit);
    more
}

/// What undoing a batch did, or would do.
#[derive(Default)]
pub(crate) struct Undone {
    /// Features that are as they were before the batch, by layer.
    pub(crate) restored: Listed<(Arc<Layer>, Uuid, Reversal)>,
    /// Features that were left alone, since somebody changed them later.
    pub(crate) skipped: Listed<(Arc<Layer>, Later)>,
    /// Features that the database did not let go back.
    pub(crate) failed: Listed<(Arc<Layer>, EditResult)>,
}

impl Undone {
    fn sort(&mut self, layers: &[&Arc<Layer>]) {
        let place = |layer: &Arc<Layer>| layers.iter().position(|known| known.key == layer.key);
        self.restored.first.sort_by_key(|(layer, id, _)| (place(layer), *id));
    }
}

/// Things of which the first are named, and all counted.
pub(crate) struct Listed<T> {
    /// The first.
    pub(crate) first: Vec<T>,
    /// How many there are.
    pub(crate) n: usize,
}

impl<T> Default for Listed<T> {
    fn default() -> Listed<T> {
        Listed { first: Vec::new(), n: 0 }
    }
}

impl<T> Listed<T> {
    fn extend(&mut self, more: impl IntoIterator<Item = T>) {
        for one in more {
            self.n += 1;
            if self.first.len() < MAX_LISTED {
                self.first.push(one);
            }
        }
    }
}

/// How a feature goes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reversal {
    /// The batch added it: it is deleted.
    Deleted,
    /// The batch changed it: it gets its values back.
    Reverted,
    /// The batch deleted it: it is there again.
    Restored,
}

/// How a batch is undone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// Also features that were changed since.
    pub(crate) force: bool,
    /// Nothing is done, only told.
    pub(crate) preview: bool,
}

/// Takes back everything that a batch did, as a new change that reaches all replicas, some thousands of features at a time in
/// one transaction. `replica` is the one that uploaded it, if it has to be of that one.
pub(crate) async fn undo(
    app: &App,
    service: &Service,
    replica: Option<ReplicaId>,
    number: i64,
    how: How,
) -> Result<Undone> {
    let batch = find(app, service, replica, number).await?;
    let generation = batch.generation.ok_or_else(|| history_gone("the batch"))?;
    let mut session = app.store.session().await?;
    let tx = session.read(service).await?;
    // The batch stays in the books for longer than the features as they were.
    if service.tracked().any(|layer| generation <= tx.history.from(layer.key).get()) {
        return Err(history_gone("the batch"));
    }
    tx.end().await?;
    let mut tx = session.write(service.key, None).await?;
    let mut undone = Undone::default();
    let layers: Vec<&Arc<Layer>> = service.tracked().collect();
    for layer in &layers {
        let mut steps = Steps { layer, batch: &batch, generation, how, after: None };
        while let Some(wanted) = steps.next(&mut tx, service, Some(&mut undone)).await? {
            let (added, was_there): (Vec<_>, Vec<_>) =
                wanted.into_iter().partition(|(_, reversal)| *reversal == Reversal::Deleted);
            let mut failed = HashSet::new();
            if !how.preview {
                let ids = was_there.iter().map(|(id, _)| *id).collect();
                failed = note_failed(&mut undone, layer, put_back(&mut tx, layer, batch.txn, ids).await?);
            }
            let done = was_there.into_iter().filter(|(id, _)| !failed.contains(id));
            undone.restored.extend(done.map(|(id, reversal)| ((*layer).clone(), id, reversal)));
            if how.preview {
                undone.restored.extend(added.into_iter().map(|(id, reversal)| ((*layer).clone(), id, reversal)));
            }
        }
    }
    if how.preview {
        tx.roll_back().await?;
        undone.sort(&layers);
        return Ok(undone);
    }
    // What was added goes last, since what was there before may no longer refer to it then.
    for layer in layers.iter().rev() {
        let mut steps = Steps { layer, batch: &batch, generation, how, after: None };
        while let Some(wanted) = steps.next(&mut tx, service, None).await? {
            let added = wanted.into_iter().filter(|(_, reversal)| *reversal == Reversal::Deleted);
            let ids: Vec<Uuid> = added.map(|(id, _)| id).collect();
            if ids.is_empty() {
                continue;
            }
            let mut failed = HashSet::new();
            let edits = [deletes(layer, ids.clone())];
            for (layer, results) in apply_all(&mut tx, service, &edits, Sender::Client).await? {
                failed.extend(note_failed(&mut undone, &layer, results));
            }
            let done = ids.into_iter().filter(|id| !failed.contains(id));
            undone.restored.extend(done.map(|id| ((*layer).clone(), id, Reversal::Deleted)));
        }
    }
    tx.batch_undone(number).await?;
    tx.commit().await?;
    undone.sort(&layers);
    tracing::info!(
        batch = number,
        operation = batch.operation,
        n_restored = undone.restored.n,
        n_skipped = undone.skipped.n,
        n_failed = undone.failed.n,
        "batch undone"
    );
    Ok(undone)
}

/// Notes what could not be taken back. Returns which features that were.
fn note_failed(undone: &mut Undone, layer: &Arc<Layer>, results: Vec<EditResult>) -> HashSet<Uuid> {
    let failed: Vec<EditResult> = results.into_iter().filter(|result| result.error.is_some()).collect();
    let ids = failed.iter().filter_map(|result| Some(result.global_id?.0)).collect();
    undone.failed.extend(failed.into_iter().map(|result| (layer.clone(), result)));
    ids
}

/// The features of a layer that a batch changed, as they are gone through.
struct Steps<'a> {
    layer: &'a Arc<Layer>,
    batch: &'a BookedBatch,
    generation: i64,
    how: How,
    after: Option<Uuid>,
}

impl Steps<'_> {
    /// The next features that are to go back, and how, in the order of their global ids; `None` at the end. From then on nobody else
    /// changes them, so that what is listed stays true. Those that are left alone are noted in `undone`.
    async fn next(
        &mut self,
        tx: &mut WriteTx<'_>,
        service: &Service,
        undone: Option<&mut Undone>,
    ) -> Result<Option<Vec<(Uuid, Reversal)>>> {
        let rows = tx.rows(history::changed_by(self.layer, self.batch.txn, self.after, FEATURES_AT_ONCE)).await?;
        let mut reversals: HashMap<Uuid, Option<Reversal>> = HashMap::with_capacity(rows.len());
        for row in &rows {
            let (existed, exists): (bool, bool) = (row.try_get(1)?, row.try_get(2)?);
            let reversal = match (existed, exists) {
                (true, true) => Some(Reversal::Reverted),
                (true, false) => Some(Reversal::Restored),
                (false, true) => Some(Reversal::Deleted),
                (false, false) => None,
            };
            let id = row.try_get(0)?;
            self.after = Some(id);
            reversals.insert(id, reversal);
        }
        if reversals.is_empty() {
            return Ok(None);
        }
        let ids: Vec<Uuid> = reversals.keys().copied().collect();
        tx.rows(history::lock(self.layer, ids.clone())).await?;
        let later = changed_since(tx, service, self.layer, self.generation, ids).await?;
        let touched: HashSet<Uuid> = later.iter().map(|later| later.global_id).collect();
        if let (Some(undone), false) = (undone, self.how.force) {
            undone.skipped.extend(later.into_iter().map(|later| (self.layer.clone(), later)));
        }
        let mut wanted: Vec<(Uuid, Reversal)> = reversals
            .into_iter()
            .filter(|(id, _)| self.how.force || !touched.contains(id))
            .filter_map(|(id, reversal)| Some((id, reversal?)))
            .collect();
        wanted.sort_unstable_by_key(|(id, _)| *id);
        Ok(Some(wanted))
    }
}
