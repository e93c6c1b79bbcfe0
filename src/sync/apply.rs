//! The one door through which edits reach features.
//!
//! Edits are addressed by global id and applied many in a statement. If a statement fails, the edits that cannot be applied
//! are looked for (see [`super::wave`]), so that a clean upload costs nothing extra, and one bad edit in n a few statements more.

use std::{collections::HashSet, sync::Arc};

use uuid::Uuid;

use crate::{
    error::{Error, Result},
    format::edit::feature_by_object_id,
    model::{
        edit::{
            DirectEdits, Edit, EditError, EditErrorCode, EditResult, FailurePolicy, LayerEdits, Op, Refusal, Sequence,
        },
        id::{GlobalId, LayerKey},
        layer::{Layer, Service, attachment},
        value::Value,
    },
    sql::modify,
    store::{Session, WriteTx, uploads::Upload},
};

use super::{
    allowed::forbidden,
    attached, books,
    failure::{AT_THE_END, Failure},
    guarded,
    order::{Missing, links, parents_first},
    row_types,
    wave::Wave,
};

/// How often edits are tried again when the database had to end a deadlock.
pub(crate) const ATTEMPTS: usize = 5;

/// What became of submitted edits, in their order, by layer.
pub(crate) type Results = Vec<(Arc<Layer>, Vec<EditResult>)>;

/// What a submission did.
pub(crate) struct Submitted {
    /// What became of each edit.
    pub(crate) results: Results,
    /// The batch under which it is in the books.
    pub(crate) batch: i64,
}

/// Applies the edits of an upload in one transaction, and enters it into the books. Last in wins. With
/// [`FailurePolicy::RollBack`], a refused edit undoes all, which is [`Error::RolledBack`].
pub(crate) async fn submit(
    session: &mut Session,
    service: &Service,
    edits: &[LayerEdits],
    policy: FailurePolicy,
    upload: &Upload,
) -> Result<Submitted> {
    for _ in 0..ATTEMPTS {
        match submit_once(session, service, edits, policy, upload).await.map_err(Failure::of) {
            Ok(submitted) => return Ok(submitted),
            Err(Failure::Collided) => tracing::debug!("edits collided with others; applying them again"),
            Err(Failure::AtTheEnd) => {
                books::keep_all(session, service, upload.replica, edits, AT_THE_END).await?;
                return Err(Failure::AtTheEnd.into());
            }
            Err(failure) => return Err(failure.into()),
        }
    }
    Err(Failure::Collided.into())
}

async fn submit_once(
    session: &mut Session,
    service: &Service,
    edits: &[LayerEdits],
    policy: FailurePolicy,
    upload: &Upload,
) -> Result<Submitted> {
    let mut tx = session.write(service.key, Some(upload.replica)).await?;
    let open = books::open(&mut tx, upload.replica).await?;
    let sender = if upload.partner.is_some() { Sender::Server } else { Sender::Client };
    let mut results = apply_all(&mut tx, service, edits, sender).await?;
    if policy == FailurePolicy::RollBack
        && results.iter().flat_map(|(_, results)| results).any(EditResult::undoes_batch)
    {
        tx.roll_back().await?;
        let results = rolled_back(results, EditResult::undoes_batch, |_| 0);
        books::keep_undone(session, service, upload.replica, edits, &results).await?;
        return Err(Error::RolledBack {
            n_before: 0,
            results: edits.iter().map(|edits| edits.layer.id).zip(results).collect(),
        });
    }
    let altering = tx.altering_layers(results.iter().map(|(layer, _)| layer.key).collect()).await?;
    for (_, results) in results.iter_mut().filter(|(layer, _)| altering.contains(&layer.key)) {
        results.iter_mut().filter(|result| result.error.is_none()).for_each(|result| result.altered = true);
    }
    let booked: Vec<(LayerKey, Vec<EditResult>)> =
        results.iter().map(|(layer, results)| (layer.key, results.clone())).collect();
    let batch = tx.batch_insert(service.key, upload, &booked).await?;
    let booked: Vec<Vec<EditResult>> = booked.into_iter().map(|(_, results)| results).collect();
    books::enter(&mut tx, service, upload, batch, edits, &booked, &open).await?;
    tx.commit().await?;
    Ok(Submitted { results, batch })
}

/// The results of edits that were undone because of others: no ids, and the first cause as the reason in each. `n_before` says how many edits
/// of a layer came before these.
pub(super) fn rolled_back(
    results: Results,
    undoes: impl Fn(&EditResult) -> bool,
    n_before: impl Fn(LayerKey) -> usize,
) -> Vec<Vec<EditResult>> {
    let cause = results.iter().find_map(|(layer, results)| {
        let place = results.iter().position(&undoes)?;
        let EditResult { op, global_id, .. } = results.get(place)?;
        let feature = global_id.map_or_else(|| "a feature without global id".to_owned(), |id| id.to_string());
        let number = n_before(layer.key) + place + 1;
        Some(format!("edit {number} of layer {}, the {} of {feature}", layer.id, op.name()))
    });
    let reason = cause.map(|cause| format!(" because of {cause}")).unwrap_or_default();
    let undone = |result: EditResult| match result.error {
        Some(_) => result,
        None => EditResult {
            object_id: if result.op == Op::Add { None } else { result.object_id },
            altered: false,
            error: Some(EditError {
                code: EditErrorCode::RolledBack,
                description: format!("Operation rolled back{reason}."),
            }),
            ..result
        },
    };
    results.into_iter().map(|(_, results)| results.into_iter().map(undone).collect()).collect()
}

/// Finds the features that edits name by their object ids.
pub(crate) async fn look_up_object_ids(
    session: &mut Session,
    layer: Arc<Layer>,
    direct: DirectEdits,
) -> Result<LayerEdits> {
    let DirectEdits { mut ready, by_object_id } = direct;
    if !by_object_id.is_empty() {
        let ids: Vec<i64> = by_object_id.iter().filter_map(|(id, _)| *id).collect();
        let found = session.own().await?.features_by_object_id(&layer, ids).await?;
        for (object_id, edit) in by_object_id {
            ready.push(match (edit, object_id.and_then(|id| found.get(&id))) {
                (Ok(edit), Some(global_id)) => Ok(Edit { global_id: *global_id, ..edit }),
                (Ok(edit), None) => Err(Refusal {
                    op: edit.op,
                    global_id: None,
                    object_id,
                    error: EditError {
                        code: EditErrorCode::Missing,
                        description: format!(
                            "there is no feature with object id {} in layer {}",
                            object_id.unwrap_or(-1),
                            layer.id
                        ),
                    },
                    sent: Some(feature_by_object_id(&layer, &edit, object_id)),
                }),
                (Err(refusal), found) => Err(Refusal { global_id: found.copied(), object_id, ..refusal }),
            });
        }
    }
    // Adds, updates, deletes; within each, the order of the request.
    ready.sort_by_key(|edit| match edit.as_ref().map_or_else(|refusal| refusal.op, |edit| edit.op) {
        Op::Add => 0,
        Op::Update => 1,
        Op::Delete => 2,
    });
    Ok(LayerEdits { layer, edits: ready })
}

/// Who sends edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// A client: an edit that changes nothing still is an edit.
    Client,
    /// Another server. What changes nothing leaves no trace: it came round in a circle of servers, and would go on round.
    Server,
}

/// The edits of one layer while they are applied.
pub(super) struct Work<'a> {
    edits: &'a LayerEdits,
    pub(super) sender: Sender,
    /// What became of each so far.
    pub(super) results: Vec<Option<EditResult>>,
    /// Those that a foreign key refused: what they refer to may come yet.
    pub(super) dangling: Vec<usize>,
}

/// Applies all edits: adds and updates of what others belong to first, deletes of it last.
pub(crate) async fn apply_all(
    tx: &mut WriteTx<'_>,
    service: &Service,
    edits: &[LayerEdits],
    sender: Sender,
) -> Result<Results> {
    apply_in(tx, service, edits, sender, Sequence::ParentsFirst).await
}

/// Applies all edits in the sequence that is asked for.
pub(super) async fn apply_in(
    tx: &mut WriteTx<'_>,
    service: &Service,
    edits: &[LayerEdits],
    sender: Sender,
    sequence: Sequence,
) -> Result<Results> {
    let mut work: Vec<Work<'_>> = edits.iter().map(|edits| Work::new(edits, sender)).collect();
    // What another server sends says itself who edited a feature.
    let attached_to = match sender {
        Sender::Client => attached::features(tx, service, edits).await?,
        Sender::Server => Vec::new(),
    };
    let order = match sequence {
        Sequence::ParentsFirst => parents_first(service, edits),
        Sequence::AsGiven => (0..edits.len()).collect(),
    };
    for &index in &order {
        work[index].refuse_forbidden(tx, service).await?;
        refuse_orphans(tx, service, &mut work, index).await?;
        work[index].apply(tx, Op::Add).await?;
        work[index].apply(tx, Op::Update).await?;
        if sequence == Sequence::AsGiven {
            work[index].apply(tx, Op::Delete).await?;
        }
    }
    for &index in order.iter().rev() {
        // Those that are done already have a result.
        work[index].apply(tx, Op::Delete).await?;
    }
    // Rows may refer to each other within a layer, or in a circle.
    loop {
        let n_dangling: usize = work.iter().map(|work| work.dangling.len()).sum();
        if n_dangling == 0 {
            break;
        }
        for &index in &order {
            work[index].retry(tx).await?;
        }
        if work.iter().map(|work| work.dangling.len()).sum::<usize>() >= n_dangling {
            break;
        }
    }
    let results: Vec<Vec<EditResult>> = work.into_iter().map(Work::finish).collect::<Result<_>>()?;
    attached::stamp(tx, &attached_to, &results).await?;
    Ok(edits.iter().map(|edits| edits.layer.clone()).zip(results).collect())
}

/// Refuses the edits of a layer that would belong to a row that was itself refused and is not there. Attachments are
/// refused as well if there is no such feature at all; the features of the others are kept from going away meanwhile.
async fn refuse_orphans(tx: &mut WriteTx<'_>, service: &Service, work: &mut [Work<'_>], index: usize) -> Result<()> {
    let layer = &work[index].edits.layer;
    let mut refused = Vec::new();
    for link in links(service, layer) {
        let mut missing = Missing::default();
        for parents in work.iter().filter(|other| other.edits.layer.key == link.origin) {
            let ids: Vec<Uuid> = parents.refused().collect();
            if !ids.is_empty() {
                let standing = standing(tx, &parents.edits.layer, ids).await?;
                missing.collect(&link, parents.edits, &parents.results, |id| standing.contains(&id));
            }
        }
        for (position, edit) in work[index].open() {
            if let Some(reason) = missing.reason(&link, edit) {
                refused.push((position, format!("it belongs to a row that is not there: {reason}")));
            }
        }
    }
    if let Some(features) = layer.attached_to.and_then(|key| service.layer_by_key(key)) {
        let parent = |edit: &Edit| match edit.value(attachment::PARENT) {
            Some(Value::Guid(id)) if edit.op != Op::Delete => Some(*id),
            _ => None,
        };
        let ids: Vec<Uuid> = work[index].open().filter_map(|(_, edit)| parent(edit)).collect();
        let standing: HashSet<Uuid> = match ids.is_empty() {
            true => HashSet::new(),
            false => tx.edit(modify::lock(features, ids)).await??.into_iter().map(|(id, _)| id).collect(),
        };
        for (position, edit) in work[index].open() {
            if let Some(id) = parent(edit).filter(|id| !standing.contains(id)) {
                refused.push((position, format!("there is no feature {} in layer {}", GlobalId(id), features.id)));
            }
        }
    }
    for (position, description) in refused {
        work[index].refuse(position, description);
    }
    Ok(())
}

/// Which of these features exist.
pub(super) async fn standing(tx: &mut WriteTx<'_>, layer: &Layer, ids: Vec<Uuid>) -> Result<HashSet<Uuid>> {
    Ok(tx.edit(modify::by_global_id(layer, ids)).await??.into_iter().map(|(id, _)| id).collect())
}

impl<'a> Work<'a> {
    fn new(edits: &'a LayerEdits, sender: Sender) -> Work<'a> {
        let refused = |edit: &std::result::Result<Edit, Refusal>| edit.as_ref().err().cloned().map(EditResult::from);
        Work { edits, sender, results: edits.edits.iter().map(refused).collect(), dangling: Vec::new() }
    }

    /// The edits without a result.
    fn open(&self) -> impl Iterator<Item = (usize, &'a Edit)> {
        self.edits
            .edits
            .iter()
            .enumerate()
            .filter_map(|(index, edit)| Some((index, edit.as_ref().ok()?)))
            .filter(|(index, _)| self.results[*index].is_none())
    }

    /// The features whose edit was refused.
    fn refused(&self) -> impl Iterator<Item = Uuid> {
        self.results
            .iter()
            .flatten()
            .filter(|result| result.error.is_some())
            .filter_map(|result| Some(result.global_id?.0))
    }

    /// Refuses an edit that has no result yet, or another one's refusal by now.
    fn refuse(&mut self, position: usize, description: String) {
        self.refuse_with(position, None, description);
    }

    /// The same with a code, unless it is that of what failed.
    fn refuse_with(&mut self, position: usize, code: Option<EditErrorCode>, description: String) {
        if let Ok(edit) = &self.edits.edits[position]
            && self.results[position].is_none()
        {
            self.results[position] = Some(EditResult {
                op: edit.op,
                global_id: Some(edit.global_id),
                object_id: None,
                altered: false,
                passed_over: None,
                error: Some(EditError {
                    code: code.unwrap_or(EditErrorCode::failed(&self.edits.layer, edit.op)),
                    description,
                }),
            });
        }
    }

    /// Refuses the edits that whoever sends them may not make, and those that the layer does not allow.
    async fn refuse_forbidden(&mut self, tx: &mut WriteTx<'_>, service: &Service) -> Result<()> {
        let open: Vec<(usize, &Edit)> = self.open().collect();
        for (position, code, description) in guarded::refused(tx, service, &self.edits.layer, &open).await? {
            self.refuse_with(position, Some(code), description);
        }
        let open: Vec<(usize, &Edit)> = self.open().collect();
        for (position, description) in forbidden(tx, &self.edits.layer, &open).await? {
            self.refuse(position, description);
        }
        let open: Vec<(usize, &Edit)> = self.open().collect();
        for (position, description) in row_types::misfits(tx, &self.edits.layer, &open).await? {
            self.refuse_with(position, Some(EditErrorCode::Value), description);
        }
        Ok(())
    }

    /// Applies the open edits of one kind.
    async fn apply(&mut self, tx: &mut WriteTx<'_>, op: Op) -> Result<()> {
        let layer = &self.edits.layer;
        let edits: Vec<(usize, &Edit)> = self.open().filter(|(_, edit)| edit.op == op).collect();
        // A statement must not touch a row twice: when an edit names a feature again, what came before is applied first.
        let mut wave = Wave::default();
        for (index, edit) in edits {
            if wave.touches(edit) {
                std::mem::take(&mut wave).apply(tx, layer, op, self).await?;
            }
            wave.add(layer, index, edit);
        }
        wave.apply(tx, layer, op, self).await
    }

    /// Tries the dangling edits once more.
    async fn retry(&mut self, tx: &mut WriteTx<'_>) -> Result<()> {
        for index in std::mem::take(&mut self.dangling) {
            self.results[index] = None;
        }
        for op in [Op::Add, Op::Update, Op::Delete] {
            self.apply(tx, op).await?;
        }
        Ok(())
    }

    fn finish(self) -> Result<Vec<EditResult>> {
        self.results
            .into_iter()
            .map(|result| result.ok_or_else(|| Error::internal("applying edits", "an edit was left without a result")))
            .collect()
    }
}
