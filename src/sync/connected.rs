//! What is kept of a connected client's request: its receipts, and the edits of it that were refused.
//!
//! Who is connected learns at once what became of each edit, and holds no generation that an edit could be compared with: hence
//! there are limits to what is kept of refused edits, and no conflicts.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::{
    error::Result,
    model::{
        edit::{Edit, EditError, EditErrorCode, EditResult, LayerEdits, Op, Refusal},
        id::LayerKey,
        layer::{Layer, Service},
        provenance::{Provenance, RefusedLimits},
    },
    sql::history,
    store::{
        Session, WriteTx,
        connected::NewBatch,
        rejected::{NewRejected, OpenRejected, RejectedOrigin, RejectedState},
    },
};

use super::{
    books::{self, Anonymous, Sender, refused_of, settled},
    failure::AT_THE_END,
};

/// A request of a connected client, as the books need it.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    /// How it came.
    pub(crate) from: Provenance,
    /// How much of what is refused is kept.
    pub(crate) limits: RefusedLimits,
    /// Whether features came without global ids and were given some: they are known again by what they are.
    pub(crate) anonymous: bool,
    /// What the edits mean, if every feature came with its global id: then a repetition can be told.
    pub(crate) digest: Option<Vec<u8>>,
}

/// What a request did the first time.
pub(super) struct Repeated {
    /// What became of its edits, by layer.
    pub(super) results: Vec<Vec<EditResult>>,
    /// When that was, in milliseconds since 1970.
    pub(super) moment: i64,
}

/// What has been entered of a request that is applied in parts.
#[derive(Default)]
pub(crate) struct Entered {
    batch: Option<i64>,
    /// Whether refused edits of connected clients are open.
    any_open: bool,
    /// How many edits there were, by layer.
    places: HashMap<LayerKey, i32>,
    refused: books::Repeated,
    added: books::Repeated,
}

impl Entered {
    /// How many edits of a layer were entered.
    pub(crate) fn n_before(&self, layer: LayerKey) -> usize {
        self.places.get(&layer).and_then(|&place| usize::try_from(place).ok()).unwrap_or_default()
    }
}

/// Enters a request, or the next part of one, and the fate of its edits into the books, in the transaction of the edits. All parts are of the same layers.
pub(super) async fn enter(
    tx: &mut WriteTx<'_>,
    service: &Service,
    edits: &[LayerEdits],
    results: &[Vec<EditResult>],
    (sent, entered): (&Sent, &mut Entered),
) -> Result<()> {
    if results.iter().all(Vec::is_empty) {
        return Ok(());
    }
    let new = NewBatch {
        service: service.key,
        from: &sent.from,
        layers: edited(edits),
        digest: sent.digest.as_deref(),
        changed_as: None,
    };
    // A request may list a layer twice.
    let mut receipts = Vec::new();
    for (LayerEdits { layer, .. }, results) in edits.iter().zip(results) {
        let place = entered.places.entry(layer.key).or_default();
        for result in results {
            *place += 1;
            receipts.push((layer.key, *place, result));
        }
    }
    let batch = match entered.batch {
        Some(batch) => {
            tx.connected_more(batch, &receipts).await?;
            batch
        }
        None => {
            let (batch, any_open) = tx.connected_insert(&new, &receipts).await?;
            entered.any_open = any_open;
            *entered.batch.insert(batch)
        }
    };
    if entered.any_open {
        settle(tx, service, edits, results, (sent, &mut entered.added)).await?;
    }
    let rows = refused_of(edits, results, sent.sender(), &mut entered.refused);
    entered.any_open |= !rows.is_empty();
    let n_not_kept = keep(tx, service, Some(batch), rows, sent).await?;
    if n_not_kept > 0 {
        tx.connected_note(batch, None, n_not_kept).await?;
    }
    Ok(())
}

/// Keeps the edits of a request that was undone as a whole, in a transaction that the caller ends.
pub(crate) async fn keep_undone(
    tx: &mut WriteTx<'_>,
    service: &Service,
    edits: &[LayerEdits],
    results: &[Vec<EditResult>],
    sent: &Sent,
) -> Result<()> {
    keep_part(tx, service, edits, results, (sent, &mut Entered::default())).await.map(|_| ())
}

/// Keeps a part of the edits of a request that was undone as a whole. Returns how many there was no room for.
pub(crate) async fn keep_part(
    tx: &mut WriteTx<'_>,
    service: &Service,
    edits: &[LayerEdits],
    results: &[Vec<EditResult>],
    (sent, entered): (&Sent, &mut Entered),
) -> Result<usize> {
    let rows = refused_of(edits, results, sent.sender(), &mut entered.refused);
    keep(tx, service, None, rows, sent).await
}

/// What is said of edits that the database undid at its end, or that were undone because of another.
pub(crate) fn all_refused(edits: &LayerEdits, error: &EditError) -> Vec<EditResult> {
    let result = |edit: &std::result::Result<Edit, Refusal>| match edit {
        Ok(edit) => EditResult {
            op: edit.op,
            global_id: Some(edit.global_id),
            object_id: None,
            altered: false,
            error: Some(error.clone()),
            passed_over: None,
        },
        Err(refusal) => refusal.clone().into(),
    };
    edits.edits.iter().map(result).collect()
}

/// What is said of edits when the database undid all at the end.
pub(crate) fn at_the_end() -> EditError {
    EditError { code: EditErrorCode::Other, description: AT_THE_END.to_owned() }
}

/// Keeps the edits of a request that the database undid at its end without saying because of which.
pub(crate) async fn keep_all(
    session: &mut Session,
    service: &Service,
    edits: &[LayerEdits],
    sent: &Sent,
) -> Result<()> {
    let results: Vec<Vec<EditResult>> = edits.iter().map(|layer| all_refused(layer, &at_the_end())).collect();
    let mut tx = session.write(service.key, None).await?;
    keep_undone(&mut tx, service, edits, &results, sent).await?;
    tx.commit().await
}

impl Sent {
    fn sender(&self) -> Sender<'_> {
        let anonymous = if self.anonymous { Anonymous::Adds } else { Anonymous::Nothing };
        Sender { user: &self.from.user, anonymous }
    }
}

/// The layers that edits are of, each once.
fn edited(edits: &[LayerEdits]) -> Vec<LayerKey> {
    let mut layers: Vec<LayerKey> =
        edits.iter().filter(|edits| !edits.edits.is_empty()).map(|edits| edits.layer.key).collect();
    layers.sort_unstable();
    layers.dedup();
    layers
}

/// Keeps as many refused edits as there is room for. Returns how many were not kept.
async fn keep(
    tx: &mut WriteTx<'_>,
    service: &Service,
    batch: Option<i64>,
    mut rows: Vec<NewRejected>,
    sent: &Sent,
) -> Result<usize> {
    if rows.is_empty() {
        return Ok(0);
    }
    let open = tx.connected_open(service.key, rows.iter().map(|row| row.digest.as_slice()).collect()).await?;
    let known: HashSet<Vec<u8>> = open.known.into_iter().collect();
    let (mut n_edits, mut n_bytes) = (unsigned(open.n_edits), unsigned(open.n_bytes));
    let n_refused = rows.len();
    rows.retain(|row| {
        if known.contains(&row.digest) {
            return true;
        }
        let with_it = n_bytes.saturating_add(unsigned(row.size_bytes));
        let fits = n_edits < sent.limits.edits && with_it <= sent.limits.bytes;
        if fits {
            n_edits += 1;
            n_bytes = with_it;
        }
        fits
    });
    let n_not_kept = n_refused - rows.len();
    if n_not_kept > 0 {
        tracing::warn!(
            service.name = service.name,
            n_not_kept,
            max_refused_edits = sent.limits.edits,
            max_refused_bytes = sent.limits.bytes,
            "refused edits of a connected client are not kept: there are too many open ones; apply or dismiss them (syncline rejected list)"
        );
    }
    tx.rejected_insert(service.key, RejectedOrigin::connected(&sent.from, batch), &rows).await?;
    Ok(n_not_kept)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Closes open refused edits that the applied ones among these make up for, whoever sent them: had they been applied when
/// they came, these would have overwritten them. A feature that came without a global id makes up for one that is the same.
async fn settle(
    tx: &mut WriteTx<'_>,
    service: &Service,
    edits: &[LayerEdits],
    results: &[Vec<EditResult>],
    (sent, added): (&Sent, &mut books::Repeated),
) -> Result<()> {
    let is_applied = |result: &EditResult| result.error.is_none();
    let applied = results.iter().flatten().filter(|result| is_applied(result));
    let features: Vec<Uuid> = applied.filter_map(|result| Some(result.global_id?.0)).collect();
    let digests: HashSet<Vec<u8>> = match sent.anonymous {
        false => HashSet::new(),
        true => books::digests_of_adds(edits, results, &sent.from.user, added).into_iter().collect(),
    };
    if features.is_empty() {
        return Ok(());
    }
    let open = tx.connected_candidates(service.key, features, digests.iter().cloned().collect()).await?;
    let same = open.iter().filter(|(_, digest)| digests.contains(digest)).map(|(rejected, _)| rejected.id);
    let mut ids: Vec<i64> = same.collect();
    let open: Vec<OpenRejected> = open.into_iter().map(|(rejected, _)| rejected).collect();
    ids.extend(settled(&open, edits, results));
    tx.rejected_close(service.key, &ids, RejectedState::Applied, "client").await?;
    Ok(())
}

/// What became of these edits, if the same request came before, was applied whole, and nobody has changed any of its
/// features since. If anybody has, it may be meant anew: open, closed, and open again are three edits.
pub(super) async fn repetition(
    tx: &mut WriteTx<'_>,
    service: &Service,
    edits: &[LayerEdits],
    sent: &Sent,
) -> Result<Option<Repeated>> {
    let Some(digest) = &sent.digest else { return Ok(None) };
    let Some((batch, generation, moment)) = tx.connected_find(service.key, &sent.from, digest).await? else {
        return Ok(None);
    };
    let mut known: HashMap<LayerKey, std::vec::IntoIter<EditResult>> = HashMap::new();
    for LayerEdits { layer, edits } in edits {
        let ids: Vec<Uuid> = edits.iter().flatten().map(|edit| edit.global_id.0).collect();
        if !tx.rows(history::changed_since(layer, service.key.0, generation, ids)).await?.is_empty() {
            return Ok(None);
        }
        // A request may list a layer twice, and its receipts follow each other.
        known.insert(layer.key, tx.receipt_list(batch, layer.key).await?.into_iter());
    }
    let mut results = Vec::with_capacity(edits.len());
    for LayerEdits { layer, edits } in edits {
        let of_layer = known.get_mut(&layer.key).map(|receipts| receipts.take(edits.len()).collect());
        results.push(of_layer.unwrap_or_default());
    }
    tracing::info!(batch, "a request came again; its receipts are the answer");
    Ok(Some(Repeated { results, moment }))
}

/// The batch of a request that changes all rows that a condition selects, while it goes through them. Rows that are changed
/// are accounted for by their number, and by the change table; those that are refused have receipts.
pub(crate) struct ByCondition<'a> {
    service: &'a Service,
    layer: &'a Layer,
    op: Op,
    sent: &'a Sent,
    batch: Option<i64>,
    n_changed: usize,
    n_refused: usize,
    n_not_kept: usize,
}

impl<'a> ByCondition<'a> {
    /// Begins; nothing is entered before anything happens.
    pub(crate) fn new(service: &'a Service, layer: &'a Layer, op: Op, sent: &'a Sent) -> ByCondition<'a> {
        ByCondition { service, layer, op, sent, batch: None, n_changed: 0, n_refused: 0, n_not_kept: 0 }
    }

    /// Counts rows that were changed.
    pub(crate) fn changed(&mut self, n_rows: usize) {
        self.n_changed += n_rows;
    }

    /// Enters deletes that were refused, and counts the others.
    pub(crate) async fn deleted(
        &mut self,
        tx: &mut WriteTx<'_>,
        layer: &std::sync::Arc<Layer>,
        results: &[EditResult],
    ) -> Result<()> {
        let refusals: Vec<EditResult> = results.iter().filter(|result| result.error.is_some()).cloned().collect();
        self.changed(results.len() - refusals.len());
        if refusals.is_empty() {
            return Ok(());
        }
        let batch = self.batch(tx).await?;
        tx.connected_receipts(batch, layer.key, self.n_refused, &refusals).await?;
        self.n_refused += refusals.len();
        let ids: Vec<Uuid> = refusals.iter().filter_map(|result| Some(result.global_id?.0)).collect();
        let edits = super::selected::deletes(layer, ids);
        let sender = Sender { anonymous: Anonymous::Nothing, ..self.sent.sender() };
        let rows = refused_of(&[edits], &[refusals], sender, &mut books::Repeated::default());
        self.n_not_kept += keep(tx, self.service, Some(batch), rows, self.sent).await?;
        Ok(())
    }

    /// Ends. A request that found no rows is not entered.
    pub(crate) async fn end(mut self, tx: &mut WriteTx<'_>) -> Result<()> {
        if self.n_changed + self.n_refused == 0 {
            return Ok(());
        }
        let batch = self.batch(tx).await?;
        tx.connected_note(batch, Some(self.n_changed), self.n_not_kept).await
    }

    async fn batch(&mut self, tx: &mut WriteTx<'_>) -> Result<i64> {
        if let Some(batch) = self.batch {
            return Ok(batch);
        }
        let new = NewBatch {
            service: self.service.key,
            from: &self.sent.from,
            layers: vec![self.layer.key],
            digest: None,
            changed_as: Some(self.op),
        };
        let (batch, _) = tx.connected_insert(&new, &[]).await?;
        self.batch = Some(batch);
        Ok(batch)
    }
}
