//! synchronizeReplica.
//!
//! Edits go up in one transaction, changes come down in a snapshot taken after it, and the books are brought up to date
//! last. If the process dies in between, the client repeats its request: its edits are recognised by their batch, and
//! the answer is computed for the generation that the *request* names.

use std::time::Instant;

use serde_json::{Map, Value as Json};

use crate::{
    app::App,
    auth::owner::see_as_owner,
    error::{Error, Result},
    files::Spool,
    model::{
        capability::Capability,
        data_format::DataFormat,
        edit::{EditResult, Op},
        filter::Filter,
        guard::RowPolicy,
        id::{Generation, LayerId, LayerKey},
        layer::{Layer, Service},
        query::Columns,
        replica::{GivenPolicy, Replica, ReplicaLayer, SyncDirection, TargetType},
        verdict::is_own_batch,
    },
    sql::delta::{Before, Delta},
    store::{ReadTx, Session, life::LayerNote, uploads::Batch},
    sync::{
        books::keep_all,
        download::{self, AttachmentBytes},
    },
    uploads::{
        self,
        edits::{Uploaded as UploadedFile, UploadedEdits},
        payloads::store_payloads,
    },
    wire::{
        edits::SyncEdits,
        replica::sibling_generations,
        synchronize::{PlannedLayer, SyncPlan, SynchronizeReplicaRequest},
    },
};

use super::{
    Run,
    answer::{Answer, Body, Content, ResponseType, Subject, write_results},
    backlog::Backlog,
    create::{LayerContent, attachment_bytes, write_content},
    database,
    noting::{self, note_failure},
    owner::{require_right, require_unlimited},
    upload::{Part, Uploaded, siblings, upload},
};

/// Takes a replica's edits and gives it what it lacks. `address` is that of the service.
pub(crate) async fn synchronize(
    app: &App,
    service: &Service,
    address: &str,
    request: &SynchronizeReplicaRequest<'_>,
    run: &Run,
) -> Result<Answer> {
    let started = Instant::now();
    let done = synchronize_once(app, service, address, request, (run, started)).await;
    if let Err(error) = &done {
        app.metrics.count_sync(noting::outcome(error));
        note_failure(app, service, request.replica, (run, started.elapsed()), error).await;
    }
    done
}

async fn synchronize_once(
    app: &App,
    service: &Service,
    address: &str,
    request: &SynchronizeReplicaRequest<'_>,
    (run, started): (&Run, Instant),
) -> Result<Answer> {
    service.require(Capability::Sync).map_err(Error::NotSupported)?;
    let service = &*service.synchronized();
    // Before there is a connection, since it takes one of its own.
    let (uploaded_edits, backlog) = match request.edits_upload {
        Some(id) => match uploads::edits::edits(app, service, "editsUploadId", id, request.replica).await? {
            UploadedFile::Edits(edits) => (Some(edits), None),
            UploadedFile::Backlog(file) => (None, Some(file)),
        },
        None => (None, None),
    };
    let asked = Instant::now();
    let session = app.store.session_for_replica(request.replica).await;
    app.metrics.count_wait(asked.elapsed());
    let mut session = session?;
    let Some(mut replica) = session.own().await?.replica_find(service, request.replica).await? else {
        return Err(too_late(app, &mut session, service, request, (uploaded_edits.as_ref(), backlog.is_some())).await?);
    };
    if replica.target == TargetType::Server {
        require_unlimited(service, request.brings_edits())?;
    }
    require_right(service, &replica, request)?;
    see_as_owner(app, &mut session, service, &mut replica).await?;
    if replica.is_foreign {
        return Err(Error::Unavailable(format!(
            "the replica {} belongs to the original of this database, of which this is a copy, so nothing was taken or given; \
             synchronize with the original. If this server replaces it, an administrator runs: syncline replicas adopt --all",
            replica.id
        )));
    }
    let bytes_up = uploaded_edits.as_ref().map_or_else(|| request.edits_bytes(), |uploaded| uploaded.text.len()) as u64;
    let mut plan = request.resolve(&replica, uploaded_edits.as_ref().map(|uploaded| uploaded.text.as_str()))?;
    if let Some(uploaded) = uploaded_edits {
        uploaded.settle(&mut plan.attachments);
    }
    for planned in &plan.layers {
        replica.layers[planned.index].layer.require(Capability::Sync).map_err(Error::NotSupported)?;
    }
    check_generations(&mut session, service, &replica, &plan).await?;

    for edits in std::mem::take(&mut plan.attachments) {
        plan.edits.push(store_payloads(app, Some((&mut session, service)), edits).await?);
    }
    let uploaded = match backlog {
        None => upload(&mut session, service, &replica, &plan, Part::Whole, run).await?,
        Some(file) => {
            let backlog = Backlog { app, service, replica: &replica, request, plan: &plan, run };
            backlog.upload(&mut session, &file).await?
        }
    };
    note_policies(&mut session, service, &mut replica, &plan).await?;
    let batches = match plan.layers.iter().filter_map(|planned| planned.presented).min() {
        Some(oldest) => session.own().await?.batch_list(replica.id, oldest).await?,
        None => Vec::new(),
    };

    let mut tx = session.read(service).await?;
    let synchronization = Synchronization {
        service,
        replica: &replica,
        request,
        uploaded: &uploaded,
        bytes_up,
        batches: &batches,
        address,
        bytes: attachment_bytes(app, address, request.attachments_by_url),
    };
    let written = synchronization.write(app, &mut tx, &plan, run).await?;
    tx.end().await?;
    conclude(app, &mut session, &synchronization, &plan, written, (run, started)).await
}

/// Makes the answer of what was written, and notes what the replica was given.
async fn conclude(
    app: &App,
    session: &mut Session,
    synchronization: &Synchronization<'_>,
    plan: &SyncPlan,
    written: Written<'_>,
    (run, started): (&Run, Instant),
) -> Result<Answer> {
    let Synchronization { service, replica, request, uploaded, .. } = *synchronization;
    let n_changes = written.n_changes;
    let generations: Vec<(LayerId, Generation)> =
        written.generations.iter().map(|noted| (noted.id, noted.now)).collect();
    let subject = Subject {
        id: replica.id,
        name: &replica.name,
        model: replica.sync_model,
        target: replica.target,
        generations: &generations,
        transport: request.transport,
        response: written.response,
    };
    let mut answer = match written.response {
        ResponseType::NoEdits => Answer { head: subject.head(), body: Body::Nothing, refused: false },
        _ => {
            let mut head = subject.head();
            if replica.target == TargetType::Server && written.response == ResponseType::ReplacementData {
                for_rebase(replica, &mut head);
            }
            subject.finish(app, head, written.content).await?
        }
    };
    answer.refused = uploaded.results.iter().flat_map(|(_, results)| results).any(|result| result.error.is_some());
    let mut tx = session.own().await?;
    let notes = notes(replica, plan, &written.generations);
    let moves = |note: &LayerNote| note.presented.is_some() || note.given.is_some();
    let mut news =
        request.close || run.lease.is_some() || matches!(answer.body, Body::File(_)) || notes.iter().any(moves);
    // Noted with the import already, unless there was nothing to import or it came again.
    let siblings = siblings(replica, plan);
    if !siblings.is_empty() {
        tx.replica_sibling_note(replica.id, &siblings).await?;
        news = true;
    }
    if !news {
        // Only the time of the synchronization is noted, which a crash may take back.
        tx.do_not_wait_for_disk().await?;
    }
    tx.replica_note(replica.id, &notes).await?;
    let note = noting::note(synchronization, plan, (&answer, n_changes), (run, started));
    tx.sync_note(service, replica.id, &note, false).await?;
    if request.close {
        tx.replica_unregister(service, replica.id).await?;
    }
    answer.register(&mut tx, service, Some(replica.id), run).await?;
    tx.commit().await?;
    noting::count(&app.metrics, uploaded);
    app.metrics.count_delta(n_changes);
    tracing::info!(
        service.name = service.name, replica.id = %replica.id, n_edits = plan.edits.iter().map(|edits| edits.edits.len()).sum::<usize>(),
        n_changes, response = ?written.response, closed = request.close, "replica synchronized"
    );
    Ok(answer)
}

/// Notes what the holder of a replica may see from now on, if that is anything else than before. That begins a generation, since who holds one
/// must be known to have been given the rows of one policy, and the same fields.
async fn note_policies(session: &mut Session, service: &Service, replica: &mut Replica, plan: &SyncPlan) -> Result<()> {
    let now = replica.layers.iter().zip(&replica.policies);
    let changed: Vec<(LayerKey, Option<RowPolicy>, Vec<String>)> = now
        .map(|(known, policy)| (known.layer.key, policy.clone(), replica.hidden(&known.layer)))
        .filter(|(layer, policy, hidden)| {
            *policy != replica.policy_of(*layer, Generation::LAST)
                || *hidden != replica.hidden_of(*layer, Generation::LAST)
        })
        .collect();
    if changed.is_empty() || plan.layers.iter().all(|planned| !planned.direction.downloads()) {
        return Ok(());
    }
    let (mut tx, since) = session.write(service.key, Some(replica.id)).await?.stamp().await?;
    for (layer, policy, hidden) in changed {
        let given = GivenPolicy { since, layer, policy, hidden };
        tx.replica_policy_insert(replica.id, &given).await?;
        replica.given_policies.push(given);
    }
    tx.commit().await?;
    tracing::info!(service.name = service.name, replica.id = %replica.id, %since, "the holder of a replica may see other rows or fields than before");
    Ok(())
}

/// The answer to a replica that is not registered. If it was once, and sends edits, they are kept for an administrator.
async fn too_late(
    app: &App,
    session: &mut Session,
    service: &Service,
    request: &SynchronizeReplicaRequest<'_>,
    (uploaded, has_backlog): (Option<&UploadedEdits>, bool),
) -> Result<Error> {
    let id = request.replica.to_string();
    let Some(tombstone) = session.own().await?.tombstone_find(service, request.replica).await? else {
        return Ok(Error::ReplicaNotFound { id });
    };
    if has_backlog {
        let what = "The edits are more than a request may bring and are not kept; keep the file".to_owned();
        return Ok(Error::ReplicaGone { id, what });
    }
    let edits = match request.rescued(&tombstone, uploaded.map(|uploaded| uploaded.text.as_str())) {
        Ok(SyncEdits { mut features, mut attachments }) => {
            if let Some(uploaded) = uploaded {
                uploaded.settle(&mut attachments);
            }
            for edits in attachments {
                features.push(store_payloads(app, Some((&mut *session, service)), edits).await?);
            }
            features
        }
        Err(error) => {
            return Ok(Error::ReplicaGone {
                id,
                what: format!("The edits could not be read and are not kept: {error}"),
            });
        }
    };
    if edits.iter().all(|edits| edits.edits.is_empty()) {
        return Ok(Error::ReplicaNotFound { id });
    }
    let reason = "the replica was unregistered when the edit came";
    let n_kept = keep_all(session, service, tombstone.id, &edits, reason).await?;
    tracing::warn!(replica.id = %tombstone.id, n_kept, "a replica that was unregistered uploaded edits; they are kept");
    let what = format!(
        "Nothing was applied, but the {n_kept} edits are kept: an administrator finds them in \
         {}/FeatureServer/rejectedEdits?replicaID={id} and can apply them",
        service.name
    );
    Ok(Error::ReplicaGone { id, what })
}

/// Refuses generations that no delta can start from, before anything is applied.
async fn check_generations(session: &mut Session, service: &Service, replica: &Replica, plan: &SyncPlan) -> Result<()> {
    let tx = session.read(service).await?;
    for planned in &plan.layers {
        check_generation(&tx, replica, planned)?;
    }
    tx.end().await
}

/// Refuses a generation that no delta can start from. Two servers are told what they can do together.
fn check_generation(tx: &ReadTx<'_>, replica: &Replica, planned: &PlannedLayer) -> Result<()> {
    let ReplicaLayer { layer, base, .. } = &replica.layers[planned.index];
    let checked = match planned.presented {
        // What the other server has from there on is known, whatever past it is of.
        Some(presented) if replica.target == TargetType::Server && presented == *base => {
            tx.history.check_reach(layer, planned.direction, presented)
        }
        presented => tx.history.check(layer, planned.direction, presented),
    };
    checked.map_err(|error| match error {
        Error::LostGeneration { .. } | Error::HistoryGone { .. } if replica.target == TargetType::Server => {
            Error::RebaseNeeded { replica: replica.id, why: error.to_string() }
        }
        error => error,
    })
}

/// Adds what the other server needs to know to bring its side to a snapshot: what this one has received, and whether the snapshot
/// has all rows.
fn for_rebase(replica: &Replica, head: &mut Map<String, Json>) {
    sibling_generations(replica, head);
    let all = |filter: &Filter| matches!(filter, Filter::All | Filter::Matching { rows: None, area: None });
    let whole = replica.layers.iter().all(|layer| all(&layer.filter));
    head.insert("hasAllRows".to_owned(), whole.into());
}

/// What a synchronization makes known of the layers that took part.
fn notes(replica: &Replica, plan: &SyncPlan, noted: &[Noted]) -> Vec<LayerNote> {
    let mut notes = Vec::with_capacity(plan.layers.len());
    for (planned, noted) in plan.layers.iter().zip(noted) {
        let known = &replica.layers[planned.index];
        let presented = planned.presented.filter(|_| !noted.presented_is_lost);
        let snapshot = planned.direction == SyncDirection::Snapshot;
        notes.push(LayerNote {
            layer: noted.layer,
            presented: presented.filter(|presented| *presented > known.presented),
            given: Some(noted.now).filter(|given| planned.direction.downloads() && *given > known.given),
            acknowledged: presented.filter(|presented| !snapshot && *presented >= noted.history_from),
            renewed: Some(noted.now).filter(|_| snapshot),
            history_from: noted.history_from,
        });
    }
    notes
}

/// A synchronization whose edits are applied.
pub(super) struct Synchronization<'a> {
    pub(super) service: &'a Service,
    pub(super) replica: &'a Replica,
    /// The address of the service.
    pub(super) address: &'a str,
    pub(super) request: &'a SynchronizeReplicaRequest<'a>,
    pub(super) uploaded: &'a Uploaded,
    /// How many bytes of edits came.
    pub(super) bytes_up: u64,
    batches: &'a [Batch],
    bytes: AttachmentBytes<'a>,
}

struct Written<'a> {
    content: Content<'a>,
    response: ResponseType,
    n_changes: u64,
    /// For each layer that takes part, what it comes to.
    generations: Vec<Noted>,
}

struct Noted {
    id: LayerId,
    layer: LayerKey,
    /// The generation that the client has now.
    now: Generation,
    /// The oldest one from which a delta can be made.
    history_from: Generation,
    /// Whether what the client presented was given in a past that is lost.
    presented_is_lost: bool,
}

impl Synchronization<'_> {
    /// Writes what the client lacks, in the form that it asks for.
    async fn write<'a>(&self, app: &'a App, tx: &mut ReadTx<'_>, plan: &SyncPlan, run: &'a Run) -> Result<Written<'a>> {
        // The history may have been shortened, or have got a gap, since the request was found good. Its edits are applied by
        // now; they are recognised when the client sends them again.
        for planned in &plan.layers {
            check_generation(tx, self.replica, planned)?;
        }
        let generations = self.reached(tx, plan);
        let (content, n_changes) = match self.request.format {
            DataFormat::Json => {
                let (spool, n_changes) = self.write_document(app.files.spool(&run.progress), tx, plan).await?;
                (Content::Document(spool), n_changes)
            }
            _ => {
                let reached = generations.iter().map(|noted| (noted.layer, noted.now)).collect();
                let (database, n_changes) = database::write_changes(app, tx, self, plan, &reached, run).await?;
                (Content::Database(database, self.request.format), n_changes)
            }
        };
        let n_replaced = plan.layers.iter().filter(|planned| planned.direction == SyncDirection::Snapshot).count();
        let response = match (plan.layers.len() - n_replaced, n_replaced) {
            (0, _) => ResponseType::ReplacementData,
            (_, 0) if n_changes > 0 => ResponseType::Edits,
            (_, 0) => ResponseType::NoEdits,
            _ => ResponseType::EditsAndData,
        };
        Ok(Written { content, response, n_changes, generations })
    }

    /// Writes `{"edits":[…]` and, for layers that are replaced, `,"layers":[…]`. Returns how many changes.
    async fn write_document(&self, mut spool: Spool, tx: &mut ReadTx<'_>, plan: &SyncPlan) -> Result<(Spool, u64)> {
        let (replaced, changed): (Vec<&PlannedLayer>, Vec<&PlannedLayer>) =
            plan.layers.iter().partition(|planned| planned.direction == SyncDirection::Snapshot);
        let mut n_changes = 0;
        spool.buffer().push(b'{');
        if !changed.is_empty() {
            spool.buffer().extend_from_slice(b"\"edits\":[");
            for (position, planned) in changed.iter().enumerate() {
                if position > 0 {
                    spool.buffer().push(b',');
                }
                n_changes += self.write_changes(&mut spool, tx, planned).await?;
            }
            spool.buffer().push(b']');
        }
        if !replaced.is_empty() {
            spool.buffer().extend_from_slice(if changed.is_empty() {
                b"\"layers\":[".as_slice()
            } else {
                b",\"layers\":["
            });
            for (position, planned) in replaced.iter().enumerate() {
                let layer = &self.replica.layers[planned.index];
                if position > 0 {
                    spool.buffer().push(b',');
                }
                let content = LayerContent {
                    layer: &layer.layer,
                    filter: &layer.filter,
                    columns: self.replica.columns(&layer.layer),
                    attachments: self.replica.return_attachments,
                };
                n_changes += write_content(tx, &content, self.bytes, &mut spool).await?;
            }
            spool.buffer().push(b']');
        }
        Ok((spool, n_changes))
    }

    /// What the layers that take part come to.
    fn reached(&self, tx: &ReadTx<'_>, plan: &SyncPlan) -> Vec<Noted> {
        plan.layers
            .iter()
            .map(|planned| {
                let layer = &self.replica.layers[planned.index];
                // An upload alone moves nobody forward: changes of others in between would be skipped.
                let generation = match planned.direction {
                    SyncDirection::Upload => planned.presented.unwrap_or(layer.given),
                    _ => tx.generation,
                };
                Noted {
                    id: layer.layer.id,
                    layer: layer.layer.key,
                    now: generation,
                    history_from: tx.history.from(layer.layer.key),
                    presented_is_lost: planned.presented.is_some_and(|presented| tx.history.is_lost(presented)),
                }
            })
            .collect()
    }

    /// Writes one element of `edits`. Returns the number of changes and of results in it.
    async fn write_changes(&self, spool: &mut Spool, tx: &mut ReadTx<'_>, planned: &PlannedLayer) -> Result<u64> {
        let layer = &self.replica.layers[planned.index];
        spool.buffer().extend_from_slice(format!("{{\"id\":{},\"features\":{{", layer.layer.id).as_bytes());
        let presented = planned.presented.filter(|_| planned.direction.downloads());
        let mut n_changes = self.write_lists(spool, tx, layer, (&layer.layer, &layer.filter), presented).await?;
        spool.buffer().extend_from_slice(b"},\"attachments\":{");
        match &layer.layer.attachments {
            Some(attachments) => {
                let filter = Filter::of_attachments(&layer.layer, layer.filter.clone());
                let presented = presented.filter(|_| self.replica.attachments_direction.downloads());
                n_changes += self.write_lists(spool, tx, layer, (attachments, &filter), presented).await?;
            }
            // Clients ask for the length of the lists, whether there can be attachments or not.
            None => {
                spool.buffer().extend_from_slice(NO_CHANGES);
                write_results(None, false, spool.buffer())?;
            }
        }
        spool.buffer().extend_from_slice(b"}}");
        Ok(n_changes)
    }

    /// What of a layer, or of its attachments, the client might see at a generation that it presents, and since, if that was anything else than
    /// now.
    pub(super) fn before(&self, known: &ReplicaLayer, attachments: bool, presented: Generation) -> Option<Before> {
        let replica = self.replica;
        let then = replica.policies_at(presented);
        let changes: Vec<Generation> = replica.policy_changes(presented, known.given).collect();
        let between: Vec<_> = changes.iter().map(|since| replica.policies_at(*since)).collect();
        let hidden = replica.hidden(&known.layer);
        let had_other_fields = !attachments
            && std::iter::once(&presented).chain(&changes).any(|at| replica.hidden_of(known.layer.key, *at) != hidden);
        if !had_other_fields && then == replica.policies && between.iter().all(|policies| *policies == replica.policies)
        {
            return None;
        }
        let index = replica.layers.iter().position(|other| other.layer.key == known.layer.key)?;
        let filter = |policies: &[Option<RowPolicy>]| {
            let filter = replica.filters(self.service, policies).swap_remove(index);
            if attachments { Filter::of_attachments(&known.layer, filter) } else { filter }
        };
        let between = between.iter().map(|policies| filter(policies)).collect();
        Some(Before { then: filter(&then), between, had_other_fields })
    }

    /// Writes the lists of features or of attachments of a layer: what changed since `presented`, if that is wanted, and what
    /// became of the client's edits.
    async fn write_lists(
        &self,
        spool: &mut Spool,
        tx: &mut ReadTx<'_>,
        known: &ReplicaLayer,
        (layer, filter): (&Layer, &Filter),
        presented: Option<Generation>,
    ) -> Result<u64> {
        let mut n_changes = 0;
        match presented {
            Some(presented) => {
                let columns = self.replica.columns(layer);
                let batches = self.own_batches(presented, known.presented.max(presented));
                let before = self.before(known, layer.attached_to.is_some(), presented);
                let wanted = self.delta(tx, known, (filter, before.as_ref(), &columns), presented, &batches);
                n_changes += download::delta(tx, layer, &wanted, self.bytes, spool).await?;
            }
            None => spool.buffer().extend_from_slice(NO_CHANGES),
        }
        let results = Some(self.results(layer.key));
        n_changes += write_results(results, self.request.return_ids_for_adds, spool.buffer())?;
        Ok(n_changes)
    }

    /// What changed of a layer, or of its attachments, since `presented`.
    pub(super) fn delta<'d>(
        &self,
        tx: &ReadTx<'_>,
        known: &ReplicaLayer,
        (filter, before, columns): (&'d Filter, Option<&'d Before>, &'d Columns),
        presented: Generation,
        own_batches: &'d [i64],
    ) -> Delta<'d> {
        Delta {
            service: self.service.key.0,
            filter,
            before,
            columns,
            after: presented.get(),
            upto: tx.generation.get(),
            given: known.given.get(),
            own_batches,
            replica: self.replica.id.0,
            returns_altered: self.replica.target == TargetType::Client,
        }
    }

    /// What became of the client's edits of a layer, or of its attachments.
    pub(super) fn results(&self, layer: LayerKey) -> &[EditResult] {
        let results = self.uploaded.results.iter().find(|(key, _)| *key == layer);
        results.map(|(_, results)| results.as_slice()).unwrap_or_default()
    }

    /// Whether the client wants to know what became of an edit: refused ones, and added ones if their ids are wanted.
    pub(super) fn is_told(&self, result: &EditResult) -> bool {
        result.error.is_some() || (self.request.return_ids_for_adds && result.op == Op::Add)
    }

    /// The batches after `presented` that this client has sent itself.
    pub(super) fn own_batches(&self, presented: Generation, newest_presented: Generation) -> Vec<i64> {
        let own = |batch: &&Batch| {
            let direction = if batch.downloads { SyncDirection::Bidirectional } else { SyncDirection::Upload };
            let carried = Some(batch.id) == self.uploaded.batch;
            batch.generation > presented && is_own_batch(carried, direction, batch.generation > newest_presented)
        };
        self.batches.iter().filter(own).map(|batch| batch.id).collect()
    }
}

/// Lists without a change.
const NO_CHANGES: &[u8] = b"\"adds\":[],\"updates\":[],\"deleteIds\":[]";
