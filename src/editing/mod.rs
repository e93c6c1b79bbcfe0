//! What connected clients change: edits of features and attachments, and of all rows that a condition selects.
//!
//! A request is read ([`Request::read`]) and carried out ([`run`]) in one transaction, by somebody who waits for it or by a
//! job. A job's end and its result are entered in the same transaction, so that an attempt that is made again changes
//! nothing twice. What collided with others is tried again as a whole.

mod append;
pub(crate) mod attachments;
mod edits;
mod rows;
mod source;

use std::sync::Arc;

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::{
    app::App,
    error::{Error, Result},
    files::Spool,
    model::{
        data_format::DataFormat,
        edit::{EditResult, LayerEdits, Op},
        id::GlobalId,
        job::Operation,
        layer::{Layer, Service},
        provenance::{EditOperation, Provenance, RefusedLimits},
    },
    replica::{
        Run,
        answer::{Answer, Body},
    },
    store::{Session, WriteTx},
    sync::{
        apply::ATTEMPTS,
        connected::{Sent, keep_undone},
        failure::Failure,
    },
    uploads,
    wire::{
        append::AppendRequest, apply_edits::ApplyEdits, calculate::CalculateRequest, params::Params,
        selected::SelectedRows,
    },
};

use append::Append;
use edits::Prepared;
use rows::RowEdits;
use source::Source;

/// What a client asks to be changed.
pub(crate) enum Request {
    /// Edits, each of one feature or attachment.
    Edits(ApplyEdits),
    /// One change of all rows that a condition selects.
    Rows(RowEdits),
    /// Features out of a file.
    Append(Arc<Layer>, AppendRequest, Source),
}

/// The operations on edits of features that are no jobs of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Single {
    /// addFeatures
    Add,
    /// updateFeatures
    Update,
}

impl Request {
    /// Reads the parameters of an operation on a layer, or on the service if there is none.
    pub(crate) async fn read(
        app: &App,
        service: &Service,
        layer: Option<&Arc<Layer>>,
        operation: Operation,
        params: &Params,
    ) -> Result<Request> {
        let of_layer = || layer.ok_or_else(|| Error::NotFound("Invalid URL".to_owned()));
        Ok(match operation {
            Operation::ApplyEdits => {
                let uploaded = match params.text("editsUploadId") {
                    None => None,
                    Some(id) => {
                        params.word("editsUploadFormat", "json", |text| {
                            text.eq_ignore_ascii_case("json").then_some(())
                        })?;
                        Some(uploads::text(app, service, "editsUploadId", id).await?)
                    }
                };
                Request::Edits(match layer {
                    None => ApplyEdits::of_service(params, service, uploaded.as_deref(), new_id)?,
                    Some(layer) => ApplyEdits::of_layer(params, layer, uploaded.as_deref(), new_id)?,
                })
            }
            Operation::DeleteFeatures => {
                let layer = of_layer()?;
                let selected = SelectedRows::parse(params, layer)?;
                if selected.is_all() {
                    return Err(Error::invalid(
                        "objectIds",
                        "it is missing, and so are where and geometry; one of them has to say which features are deleted",
                    ));
                }
                match selected.is_ids() {
                    true => Request::Edits(ApplyEdits::only(params, layer, Op::Delete, new_id)?),
                    false => Request::Rows(RowEdits::delete(layer.clone(), selected, params)?),
                }
            }
            Operation::Calculate => {
                let layer = of_layer()?;
                Request::Rows(RowEdits::calculate(layer.clone(), CalculateRequest::parse(params, layer)?))
            }
            Operation::Truncate => Request::Rows(RowEdits::truncate(of_layer()?.clone(), params)?),
            Operation::Append => {
                let layer = of_layer()?;
                let request = AppendRequest::parse(params, layer)?;
                let source = match &request.upload {
                    Some(id) => Source::File(uploads::file(app, service, "appendUploadId", id).await?),
                    None => Source::Text(params.text("edits").unwrap_or_default().into()),
                };
                Request::Append(layer.clone(), request, source)
            }
            Operation::CreateReplica | Operation::SynchronizeReplica | Operation::ExtractChanges => {
                return Err(Error::internal("reading edits", format!("{} is none", operation.name())));
            }
        })
    }

    /// Reads the parameters of addFeatures or updateFeatures.
    pub(crate) fn read_single(layer: &Arc<Layer>, single: Single, params: &Params) -> Result<Request> {
        let op = match single {
            Single::Add => Op::Add,
            Single::Update => Op::Update,
        };
        Ok(Request::Edits(ApplyEdits::only(params, layer, op, new_id)?))
    }

    /// Whether it runs as a job unless the client says otherwise.
    pub(crate) fn is_job_by_default(&self) -> bool {
        matches!(self, Request::Append(_, request, _) if !request.at_once)
    }
}

/// A global id for a feature that comes without. They ascend, and rows are put in the order of their global ids: so the
/// object ids of new features ascend in the order of the request.
fn new_id() -> GlobalId {
    GlobalId(Uuid::now_v7())
}

/// Carries out a request.
pub(crate) async fn run(app: &App, service: &Service, request: Request, run: &Run) -> Result<Answer> {
    let mut session = app.store.session().await?;
    let prepared = match request {
        Request::Edits(edits) => Work::Edits(Prepared::of(app, &mut session, service, edits, run).await?),
        Request::Rows(rows) => Work::Rows(rows),
        Request::Append(layer, request, source) => Work::Append(Append::of(app, layer, request, source).await?),
    };
    for _ in 0..ATTEMPTS {
        let done = match &prepared {
            Work::Edits(prepared) => prepared.apply(app, &mut session, service, run).await,
            Work::Rows(rows) => rows.apply(app, &mut session, service, run).await,
            Work::Append(append) => append.apply(app, &mut session, service, run).await,
        };
        match done.map_err(Failure::of) {
            Ok(answer) => return Ok(answer),
            Err(Failure::Collided) => tracing::debug!("edits collided with others; applying them again"),
            Err(failure) => return Err(failure.into()),
        }
    }
    Err(Failure::Collided.into())
}

/// A request, as far as it can be brought before there is a transaction.
enum Work {
    Edits(Prepared),
    Rows(RowEdits),
    Append(Append),
}

/// What a request came to.
struct Outcome {
    /// The answer, written.
    document: Spool,
    /// What the status of a job says of it.
    head: Map<String, Json>,
    n_applied: usize,
    n_refused: usize,
}

/// What the books need to know of a request.
fn sent(app: &App, service: &Service, run: &Run, operation: EditOperation, anonymous: bool) -> Sent {
    let from = Provenance { operation, request_id: run.request_id.clone(), user: service.caller.name().to_owned() };
    let limits = RefusedLimits { edits: app.config.max_refused_edits, bytes: app.config.max_refused_bytes };
    Sent { from, limits, anonymous, digest: None }
}

/// Ends a transaction of edits, and with it the job that it is.
async fn commit(app: &App, tx: WriteTx<'_>, service: &Service, outcome: Outcome, run: &Run) -> Result<Answer> {
    let (n_applied, n_refused) = (outcome.n_applied, outcome.n_refused);
    let answer = outcome.answer(app, run).await?;
    let mut tx = tx.end_edits();
    answer.register(&mut tx, service, None, run).await?;
    tx.commit().await?;
    app.metrics.count_edits(n_applied, n_refused);
    Ok(answer)
}

/// Keeps the edits of a request that was undone as a whole, and ends the job that it is.
async fn undo(
    app: &App,
    session: &mut Session,
    service: &Service,
    undone: Undone<'_>,
    outcome: Outcome,
    run: &Run,
) -> Result<Answer> {
    let n_refused = outcome.n_refused;
    let answer = outcome.answer(app, run).await?;
    let mut tx = session.write(service.key, None).await?;
    keep_undone(&mut tx, service, undone.edits, undone.results, undone.sent).await?;
    let mut tx = tx.end_edits();
    answer.register(&mut tx, service, None, run).await?;
    tx.commit().await?;
    app.metrics.count_edits(0, n_refused);
    Ok(answer)
}

/// Edits of which none was applied, since one was refused.
struct Undone<'a> {
    edits: &'a [LayerEdits],
    /// What became of each.
    results: &'a [Vec<EditResult>],
    sent: &'a Sent,
}

impl Outcome {
    /// Nobody waits for the answer of a job: it is kept, to be fetched.
    async fn answer(self, app: &App, run: &Run) -> Result<Answer> {
        let finished = self.document.finish().await?;
        let body = match run.lease {
            Some(_) => Body::File(app.files.keep(finished, DataFormat::Json).await?),
            None => Body::Document(finished),
        };
        Ok(Answer { head: self.head, body, refused: self.n_refused > 0 })
    }
}
