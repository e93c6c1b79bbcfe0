//! The resources of the books: routes and handlers.

use serde_json::Value as Json;

use crate::{
    books::{
        BatchFilter, ConflictFilter, ReceiptFilter, RejectedFilter, RejectedState, batches, conflicts, documents,
        explain, geojson, known, rejected, verify,
    },
    error::{Error, Result},
    model::{id::ReplicaId, layer::Service, value::brief},
    wire::{books as wire, params::Params},
};

use super::{
    Call,
    respond::{Format, Reply},
};

/// A resource or operation of the books. Texts are ids and numbers as they stand in the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Books {
    /// All batches: uploads of replicas, and requests of connected clients.
    Batches,
    /// A batch.
    Batch(String),
    /// Undoes a batch.
    Undo(String),
    /// The uploads of a replica.
    Uploads(String),
    /// An upload of a replica.
    Upload(String, String),
    /// Undoes an upload.
    UndoUpload(String, String),
    /// What a replica should hold.
    Verify(String),
    /// Why a replica holds a feature, or does not.
    Explain(String),
    /// All refused edits.
    RejectedEdits,
    /// A refused edit.
    RejectedEdit(String),
    /// Applies a refused edit.
    ApplyRejected(String),
    /// Dismisses a refused edit.
    DismissRejected(String),
    /// All conflicts.
    Conflicts,
    /// A conflict.
    Conflict(String),
    /// Puts back what was overwritten.
    RestoreConflict(String),
}

impl Books {
    /// The resource of a path below that of a service: its words in lower case, and as they came.
    pub(super) fn of(words: &[&str], segments: &[String]) -> Option<Books> {
        let own = |index: usize| segments.get(index).cloned().unwrap_or_default();
        Some(match words {
            ["batches"] => Books::Batches,
            ["batches", _] => Books::Batch(own(1)),
            ["batches", _, "undo"] => Books::Undo(own(1)),
            ["replicas", _, "batches"] => Books::Uploads(own(1)),
            ["replicas", _, "batches", _] => Books::Upload(own(1), own(3)),
            ["replicas", _, "batches", _, "undo"] => Books::UndoUpload(own(1), own(3)),
            ["replicas", _, "verify"] => Books::Verify(own(1)),
            ["replicas", _, "explain"] => Books::Explain(own(1)),
            ["rejectededits"] => Books::RejectedEdits,
            ["rejectededits", _] => Books::RejectedEdit(own(1)),
            ["rejectededits", _, "apply"] => Books::ApplyRejected(own(1)),
            ["rejectededits", _, "dismiss"] => Books::DismissRejected(own(1)),
            ["conflicts"] => Books::Conflicts,
            ["conflicts", _] => Books::Conflict(own(1)),
            ["conflicts", _, "restore"] => Books::RestoreConflict(own(1)),
            _ => return None,
        })
    }

    /// The name of an operation that changes data.
    pub(super) fn post_only(&self) -> Option<&'static str> {
        match self {
            Books::Undo(_) | Books::UndoUpload(..) => Some("undo"),
            Books::ApplyRejected(_) => Some("apply"),
            Books::DismissRejected(_) => Some("dismiss"),
            Books::RestoreConflict(_) => Some("restore"),
            _ => None,
        }
    }

    /// Whether it is a list of entries.
    pub(super) fn is_list(&self) -> bool {
        matches!(self, Books::Batches | Books::Uploads(_) | Books::RejectedEdits | Books::Conflicts)
    }

    /// Whether it is one entry.
    pub(super) fn is_entry(&self) -> bool {
        matches!(self, Books::Batch(_) | Books::Upload(..) | Books::RejectedEdit(_) | Books::Conflict(_))
    }

    /// The steps of the path below that of the service.
    pub(super) fn steps(&self) -> Vec<&str> {
        match self {
            Books::Batches => vec!["batches"],
            Books::Batch(number) => vec!["batches", number],
            Books::Undo(number) => vec!["batches", number, "undo"],
            Books::Uploads(id) => vec!["replicas", id, "batches"],
            Books::Upload(id, number) => vec!["replicas", id, "batches", number],
            Books::UndoUpload(id, number) => vec!["replicas", id, "batches", number, "undo"],
            Books::Verify(id) => vec!["replicas", id, "verify"],
            Books::Explain(id) => vec!["replicas", id, "explain"],
            Books::RejectedEdits => vec!["rejectedEdits"],
            Books::RejectedEdit(number) => vec!["rejectedEdits", number],
            Books::ApplyRejected(number) => vec!["rejectedEdits", number, "apply"],
            Books::DismissRejected(number) => vec!["rejectedEdits", number, "dismiss"],
            Books::Conflicts => vec!["conflicts"],
            Books::Conflict(number) => vec!["conflicts", number],
            Books::RestoreConflict(number) => vec!["conflicts", number, "restore"],
        }
    }
}

fn replica(id: &str) -> Result<ReplicaId> {
    ReplicaId::parse(id).ok_or_else(|| Error::ReplicaNotFound { id: id.to_owned() })
}

/// Answers a request.
pub(super) async fn handle(call: &Call, service: &Service, what: &Books) -> Result<Reply> {
    let (app, params) = (&call.app, &call.params);
    let answer: Json = match what {
        Books::Batches => {
            let wanted = batches_wanted(params, service)?;
            let (listed, more) = batches::list(app, service, &wanted, wire::page(params)?).await?;
            documents::batches(service, &listed, more)
        }
        Books::Batch(number) => batch(call, service, None, wire::number("Batch", number)?).await?,
        Books::Undo(number) => undo(call, service, None, wire::number("Batch", number)?).await?,
        Books::Uploads(id) => {
            let known = known(app, service, replica(id)?).await?;
            let wanted = BatchFilter { replica: Some(known.replica.id), ..BatchFilter::default() };
            let (listed, more) = batches::list(app, service, &wanted, wire::page(params)?).await?;
            documents::uploads(service, &known, &listed, more)
        }
        Books::Upload(id, number) => batch(call, service, Some(replica(id)?), wire::number("Upload", number)?).await?,
        Books::UndoUpload(id, number) => {
            undo(call, service, Some(replica(id)?), wire::number("Upload", number)?).await?
        }
        Books::Verify(id) => {
            let generations = wire::generations(params)?;
            documents::verified(&verify::verify(app, service, replica(id)?, generations).await?)
        }
        Books::Explain(id) => {
            let layer = wire::layer(params, service)?
                .ok_or_else(|| Error::invalid("layer", "it is missing; it is the id of the feature's layer"))?;
            let feature = wire::global_id(params)?
                .ok_or_else(|| Error::invalid("globalId", "it is missing; it names the feature"))?;
            let explained = explain::explain(app, service, replica(id)?, layer.id, feature).await?;
            documents::explanation(service, &explained)
        }
        Books::RejectedEdits => {
            let wanted = rejected_wanted(params, service)?;
            let (edits, more) = rejected::list(app, service, &wanted, wire::page(params)?).await?;
            if call.format == Format::GeoJson {
                let collection = geojson::rejected_edits(app, service, &edits, more).await?;
                return Ok(Reply::Bytes(collection.to_string().into_bytes()));
            }
            documents::rejected_list(service, &edits, more)
        }
        Books::RejectedEdit(number) => {
            let number = wire::number("Refused edit", number)?;
            documents::rejected(service, &rejected::find(app, service, number).await?)
        }
        Books::ApplyRejected(number) => {
            let number = wire::number("Refused edit", number)?;
            let result = rejected::apply(app, service, number, params.text("feature")).await?;
            documents::applied(number, &result)
        }
        Books::DismissRejected(number) => {
            let number = wire::number("Refused edit", number)?;
            rejected::dismiss(app, service, number).await?;
            documents::dismissed(number)
        }
        Books::Conflicts => {
            let wanted = conflicts_wanted(params, service)?;
            let (found, more) = conflicts::list(app, service, &wanted, wire::page(params)?).await?;
            documents::conflict_list(service, &found, more)
        }
        Books::Conflict(number) => {
            let number = wire::number("Conflict", number)?;
            documents::conflict(service, &conflicts::find(app, service, number).await?)
        }
        Books::RestoreConflict(number) => {
            let number = wire::number("Conflict", number)?;
            let restored = conflicts::restore(app, service, number, params.flag(&["force"], false)?).await?;
            documents::restored(number, &restored)
        }
    };
    Ok(Reply::Json(answer))
}

/// Which batches a list is to have.
fn batches_wanted(params: &Params, service: &Service) -> Result<BatchFilter> {
    Ok(BatchFilter {
        only: None,
        replica: wire::replica(params)?,
        connected: wire::connected(params)?,
        operation: wire::operation(params)?,
        layer: wire::layer(params, service)?.map(|layer| layer.key),
        request_id: params.text("requestId").map(str::to_owned),
        since_ms: params.integer("since")?,
    })
}

/// Which refused edits.
fn rejected_wanted(params: &Params, service: &Service) -> Result<RejectedFilter> {
    Ok(RejectedFilter {
        replica: wire::replica(params)?,
        connected: wire::connected(params)?,
        layer: wire::layer(params, service)?.map(|layer| layer.key),
        state: params.word("state", "open, applied, dismissed", RejectedState::from_name)?,
        global_id: wire::global_id(params)?,
    })
}

/// Which conflicts.
fn conflicts_wanted(params: &Params, service: &Service) -> Result<ConflictFilter> {
    Ok(ConflictFilter {
        replica: wire::replica(params)?,
        batch: params.integer("batchId")?,
        layer: wire::layer(params, service)?.map(|layer| layer.key),
        global_id: wire::global_id(params)?,
        since_ms: params.integer("since")?,
    })
}

/// A batch with its receipts; of a replica, if it has to be one's.
async fn batch(call: &Call, service: &Service, replica: Option<ReplicaId>, number: i64) -> Result<Json> {
    let (app, params) = (&call.app, &call.params);
    let wanted = ReceiptFilter {
        layer: wire::layer(params, service)?.map(|layer| layer.key),
        refused: wire::refused(params)?,
        global_id: wire::global_id(params)?,
    };
    let known = match replica {
        Some(replica) => Some(known(app, service, replica).await?),
        None => None,
    };
    let (batch, receipts) = batches::show(app, service, (replica, number), &wanted, wire::page(params)?).await?;
    Ok(documents::receipts(service, known.as_ref(), &batch, &receipts))
}

/// Undoes a batch; of a replica, if it has to be one's.
async fn undo(call: &Call, service: &Service, replica: Option<ReplicaId>, number: i64) -> Result<Json> {
    let how =
        batches::How { force: call.params.flag(&["force"], false)?, preview: call.params.flag(&["preview"], false)? };
    let undone = batches::undo(&call.app, service, replica, number, how).await?;
    Ok(documents::undone(number, &undone, how.preview))
}

/// The title of a page.
pub(super) fn title(what: &Books, service: &str) -> String {
    let title = match what {
        Books::Batches => "Batches".to_owned(),
        Books::Batch(number) => format!("Batch {}", brief(number)),
        Books::Undo(number) => format!("Undo batch {}", brief(number)),
        Books::Uploads(id) => format!("Uploads of {}", brief(id)),
        Books::Upload(_, number) => format!("Upload {}", brief(number)),
        Books::UndoUpload(_, number) => format!("Undo upload {}", brief(number)),
        Books::Verify(id) => format!("Verify {}", brief(id)),
        Books::Explain(id) => format!("Explain a feature to {}", brief(id)),
        Books::RejectedEdits => "Refused edits".to_owned(),
        Books::RejectedEdit(number) => format!("Refused edit {}", brief(number)),
        Books::ApplyRejected(number) => format!("Apply refused edit {}", brief(number)),
        Books::DismissRejected(number) => format!("Dismiss refused edit {}", brief(number)),
        Books::Conflicts => "Conflicts".to_owned(),
        Books::Conflict(number) => format!("Conflict {}", brief(number)),
        Books::RestoreConflict(number) => format!("Restore what conflict {} lost", brief(number)),
    };
    format!("{title} ({service})")
}
