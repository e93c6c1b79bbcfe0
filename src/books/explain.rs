//! Why a replica holds a feature, or does not.

use std::{pin::pin, sync::Arc};

use futures_util::TryStreamExt as _;
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{
    app::App,
    error::{Error, Result},
    format::json::FeatureWriter,
    model::{
        edit::EditResult,
        filter::Filter,
        id::{Generation, GlobalId, LayerId, LayerKey, ReplicaId},
        layer::{Layer, Service},
        query::Columns,
        replica::ReplicaLayer,
    },
    sql::{fragment::Fragment, history},
    store::{
        OwnTx, ReadTx,
        conflicts::{Conflict, ConflictFilter},
        connected::{ConnectedEdit, connected_edit},
        rejected::{Rejected, RejectedFilter, RejectedState},
    },
};

use super::{Known, known};

/// The most receipts, conflicts, and refused edits that an explanation names.
const MAX_LISTED: i64 = 50;

/// A batch, its generation if it has one, and what became of an edit in it.
type FeatureReceipt = (i64, Option<i64>, EditResult);

/// All that is known of a feature in the eyes of a replica.
pub(crate) struct Explanation {
    /// The replica.
    pub(crate) known: Known,
    /// The layer.
    pub(crate) layer: Arc<Layer>,
    /// The feature.
    pub(crate) global_id: GlobalId,
    /// The newest generation of the service.
    pub(crate) generation: Generation,
    /// The newest generation that the replica was given.
    pub(crate) given: Generation,
    /// How the feature is.
    pub(crate) now: Standing,
    /// How it was at the generation that the replica was given, and what changed it first; `None` if it has not changed since, or
    /// nobody knows any more. Without a change where only what it belongs to may have changed.
    pub(crate) then: Option<(Standing, Option<FirstChange>)>,
    /// Whether the changes since the generation that the replica was given are still known.
    history_kept: bool,
    /// The edits of the feature in the replica's uploads, the newest first: upload, generation, and what became of it.
    pub(crate) receipts: Vec<FeatureReceipt>,
    /// The edits of the feature by connected clients that the history has, the newest first.
    pub(crate) connected: Vec<ConnectedEdit>,
    /// Refused edits of the feature by the replica and by connected clients.
    pub(crate) rejected: Vec<Rejected>,
    /// Conflicts of the replica over the feature.
    pub(crate) conflicts: Vec<Conflict>,
    /// What follows from all this, in sentences.
    pub(crate) reasons: Vec<String>,
}

/// A feature at a time.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Whether it was there.
    pub(crate) exists: bool,
    /// Whether it passed the replica's filter.
    pub(crate) passes: bool,
    /// Whether the where clause let it through, if there is one.
    passes_where: Option<bool>,
    /// Whether it lay in the area, if there is one.
    passes_area: Option<bool>,
    /// The feature as Esri JSON.
    pub(crate) image: Option<String>,
}

/// The first change of a feature after a generation.
#[derive(Debug)]
pub(crate) struct FirstChange {
    /// Its generation.
    pub(crate) generation: i64,
    /// The replica that it came from, if it came from one.
    pub(crate) origin: Option<ReplicaId>,
    /// The batch of the connected client that made it, if one did, and the operation.
    pub(crate) connected: Option<(i64, String)>,
}

/// Explains a feature to a replica.
pub(crate) async fn explain(
    app: &App,
    service: &Service,
    replica: ReplicaId,
    layer: LayerId,
    global_id: GlobalId,
) -> Result<Explanation> {
    let known = known(app, service, replica).await?;
    let held = known.replica.layers.iter().find(|held| held.layer.id == layer).cloned().ok_or_else(|| {
        let ids: Vec<String> = known.replica.layers.iter().map(|held| held.layer.id.to_string()).collect();
        Error::invalid("layer", format!("layer {layer} is not in the replica, which has {}", ids.join(", ")))
    })?;
    let columns = Columns::visible(&held.layer, known.replica.srid);
    let writer = FeatureWriter::new(&held.layer, &columns);
    let mut session = app.store.session().await?;
    let mut tx = session.read(service).await?;
    let generation = tx.generation;
    let history_kept = tx.history.from(held.layer.key) <= held.given;
    let found =
        first(&mut tx, history::standing(&held.layer, &held.filter, &columns, (service.key.0, None), global_id.0))
            .await?;
    let now = match &found {
        None => Standing::default(),
        Some(row) => Standing::read(row, 0, true, &writer)?,
    };
    let since = held.given.get();
    let statement = history::stood(&held.layer, &held.filter, &columns, (service.key.0, since), global_id.0);
    let mut then = match first(&mut tx, statement).await? {
        // It may have come or gone with what it belongs to.
        None if held.filter.ways().is_some() => {
            let at = (service.key.0, Some(since));
            let statement = history::standing(&held.layer, &held.filter, &columns, at, global_id.0);
            let row = first(&mut tx, statement).await?;
            row.map(|row| Ok::<_, Error>((Standing::read(&row, 0, true, &writer)?, None))).transpose()?
        }
        None => None,
        Some(row) => {
            let change = FirstChange {
                generation: row.try_get(0)?,
                origin: row.try_get::<Option<Uuid>, _>(1)?.map(ReplicaId),
                connected: None,
            };
            Some((Standing::read(&row, 3, row.try_get(2)?, &writer)?, Some(change)))
        }
    };
    // Of a feature that they may not see, nobody learns that there is one by what was done to it.
    let is_known = now.exists || then.as_ref().is_some_and(|(then, _)| then.exists);
    let mut connected = Vec::new();
    if is_known || held.layer.guard.read.is_none() {
        let statement = history::connected_edits(&held.layer, service.key.0, global_id.0, MAX_LISTED);
        connected = tx.all(statement).await?.iter().map(connected_edit).collect::<Result<_>>()?;
    } else {
        then = None;
    }
    tx.end().await?;

    let mut tx = session.own().await?;
    if let Some((_, Some(change))) = &mut then {
        change.connected = tx.connected_at(service.key, change.generation).await?;
    }
    let (receipts, rejected, conflicts) = entries(&mut tx, service, replica, held.layer.key, global_id).await?;
    let mut explanation = Explanation {
        layer: held.layer.clone(),
        global_id,
        generation,
        given: held.given,
        history_kept,
        now,
        then,
        receipts,
        connected,
        rejected,
        conflicts,
        reasons: Vec::new(),
        known,
    };
    explanation.reasons = explanation.reasons(&held);
    Ok(explanation)
}

/// What the books have about a feature of a replica: receipts, refused edits (its own first, then those of connected clients) and conflicts.
async fn entries(
    tx: &mut OwnTx<'_>,
    service: &Service,
    replica: ReplicaId,
    layer: LayerKey,
    global_id: GlobalId,
) -> Result<(Vec<FeatureReceipt>, Vec<Rejected>, Vec<Conflict>)> {
    let receipts = tx.receipts_of_feature(replica, layer, global_id, MAX_LISTED).await?;
    let (layer, global_id) = (Some(layer), Some(global_id));
    let own = RejectedFilter { replica: Some(replica), layer, global_id, ..RejectedFilter::default() };
    let mut rejected = tx.rejected_list(service, &own, 0, MAX_LISTED).await?;
    let connected = RejectedFilter { replica: None, connected: Some(true), ..own };
    rejected.extend(tx.rejected_list(service, &connected, 0, MAX_LISTED).await?);
    let lost = ConflictFilter { replica: Some(replica), layer, global_id, ..ConflictFilter::default() };
    let conflicts = tx.conflict_list(service, &lost, 0, MAX_LISTED).await?;
    Ok((receipts, rejected, conflicts))
}

async fn first(tx: &mut ReadTx<'_>, statement: Fragment) -> Result<Option<PgRow>> {
    pin!(tx.stream(statement)?).try_next().await
}

impl Standing {
    /// Reads what begins at column `at`: four facts and the row. One that whoever asks may not see is, for them, not there.
    fn read(row: &PgRow, at: usize, exists: bool, writer: &FeatureWriter) -> Result<Standing> {
        if !row.try_get::<bool, _>(at + 3)? {
            return Ok(Standing::default());
        }
        let mut image = Vec::new();
        if exists {
            writer.write(row, at + 4, &mut image)?;
        }
        Ok(Standing {
            exists,
            passes: exists && row.try_get::<bool, _>(at)?,
            passes_where: row.try_get(at + 1)?,
            passes_area: row.try_get(at + 2)?,
            image: exists.then(|| String::from_utf8_lossy(&image).into_owned()),
        })
    }

    /// Why the feature passed the filter, or did not.
    fn reason(&self, held: &ReplicaLayer, when: &str) -> String {
        let mut why = Vec::new();
        if self.passes_where == Some(false) {
            let text = held.query.where_clause.as_deref().unwrap_or_default();
            why.push(format!("the where clause \"{text}\" is not true for it"));
        }
        if self.passes_area == Some(false) {
            why.push("it lies outside of the replica's area, or has no geometry".to_owned());
        }
        if let Filter::Guarded(..) = &held.filter
            && self.exists
            && !self.passes
        {
            why.push("who owns the replica may not see it".to_owned());
            return format!("{when} it exists, but is not one of the replica's rows: {}.", why.join(", or "));
        }
        let mut own = &held.filter;
        while let Filter::Guarded(_, rows) = own {
            own = rows;
        }
        match (own, self.exists, self.passes) {
            (_, false, _) => format!("{when} it does not exist in layer {}.", held.layer.id),
            (Filter::None, true, _) => format!("{when} it exists, but the replica takes no rows of this layer."),
            (Filter::Related(_), true, true) => format!("{when} it belongs to a row that the replica holds."),
            (Filter::Related(_), true, false) => format!("{when} it belongs to no row that the replica holds."),
            (Filter::All, true, _) => format!("{when} it exists, and the replica takes all rows of this layer."),
            (Filter::Matching { .. } | Filter::Guarded(..), true, true) => {
                format!("{when} it exists and passes the replica's filter.")
            }
            (Filter::Matching { .. } | Filter::Guarded(..), true, false) => {
                format!("{when} it exists, but does not pass the replica's filter: {}.", why.join(", and "))
            }
        }
    }
}

impl Explanation {
    fn reasons(&self, held: &ReplicaLayer) -> Vec<String> {
        let mut reasons = Vec::new();
        if !self.known.registered {
            reasons.push("The replica is unregistered: it is no longer kept up to date.".to_owned());
        }
        reasons.push(self.now.reason(held, &format!("At generation {}, the newest,", self.generation)));
        self.since(held, &mut reasons);
        self.edits(&mut reasons);
        reasons
    }

    /// Says how the feature was when the replica last heard of it, and what that means for the next download.
    fn since(&self, held: &ReplicaLayer, reasons: &mut Vec<String>) {
        match &self.then {
            _ if !self.history_kept => reasons.push(format!(
                "The changes since generation {}, the newest that the replica was given, are no longer kept; it needs a snapshot.",
                self.given
            )),
            None => reasons.push(format!(
                "It has not changed since generation {}, the newest that the replica was given.",
                self.given
            )),
            Some((then, change)) => {
                reasons.push(
                    then.reason(held, &format!("At generation {}, the newest that the replica was given,", self.given)),
                );
                reasons.push(match change {
                    Some(change) => {
                        let by = self.author(change);
                        format!("Its first change since then was at generation {}, {by}.", change.generation)
                    }
                    None if then.passes == self.now.passes => "It has not changed since then.".to_owned(),
                    None => "It has not changed itself since then, but what it belongs to has.".to_owned(),
                });
                reasons.push(
                    match (then.passes, self.now.passes) {
                        (false, true) => "The next download adds it, unless the replica made this change itself.",
                        (true, true) if change.is_none() => "The next download does not speak of it.",
                        (true, true) => "The next download updates it, unless the replica made these changes itself.",
                        (true, false) => "The next download deletes it.",
                        (false, false) => {
                            "The next download does not speak of it, unless the replica holds it as its own."
                        }
                    }
                    .to_owned(),
                );
            }
        }
    }

    fn author(&self, change: &FirstChange) -> String {
        match (change.origin, &change.connected) {
            (Some(origin), _) if origin == self.known.replica.id => "by the replica's own upload".to_owned(),
            (Some(origin), _) => format!("by an upload of replica {origin}"),
            (None, Some((batch, operation))) => format!("by a connected client ({operation}, batch {batch})"),
            (None, None) => "by another program, with SQL, or by an administrator".to_owned(),
        }
    }

    /// Says what the replica and connected clients did to the feature, and what of that waits for somebody.
    fn edits(&self, reasons: &mut Vec<String>) {
        match self.receipts.first() {
            None => reasons.push("The replica never uploaded an edit of it.".to_owned()),
            Some((batch, _, result)) => reasons.push(match &result.error {
                None => {
                    format!("The replica's last edit of it, the {} in upload {batch}, was applied.", result.op.name())
                }
                Some(error) => format!(
                    "The replica's last edit of it, the {} in upload {batch}, was refused: {} (code {}).",
                    result.op.name(),
                    error.description,
                    error.code.number()
                ),
            }),
        }
        if let Some(edit) = self.connected.first() {
            reasons.push(format!(
                "The last edit of it by a connected client was the {} in batch {} ({}).",
                edit.op.name(),
                edit.batch,
                edit.operation
            ));
        }
        let n_open = self.rejected.iter().filter(|rejected| rejected.state == RejectedState::Open).count();
        if n_open > 0 {
            reasons.push(format!("{n_open} refused edits of it are open; somebody may apply or dismiss them."));
        }
        if let Some(conflict) = self.conflicts.last() {
            reasons.push(format!(
                "The replica overwrote changes of others that it had not seen, last in conflict {}.",
                conflict.id
            ));
        }
    }
}
