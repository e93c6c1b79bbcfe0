//! The answers of createReplica and synchronizeReplica.
//!
//! API reference: *Create Replica*, *Synchronize Replica*, *Response type for sync operations*. The document is the same
//! whether it is the body of the response or a file behind a URL.

use crate::{
    app::App,
    error::{Error, Result},
    files::{Export, Finished, Spool},
    model::{
        data_format::DataFormat,
        edit::{EditResult, Op},
        id::{Generation, LayerId, ReplicaId},
        job::JobState,
        layer::Service,
        replica::{SyncModel, TargetType},
    },
    store::OwnTx,
    sync::database::Database,
    wire::{
        edits::results_json,
        replica::{Transport, generations},
    },
};
use serde_json::{Map, Value as Json};

use super::Run;

/// What kind of content an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseType {
    /// A new replica's data.
    Data,
    /// Changes and results of edits.
    Edits,
    /// All rows anew.
    ReplacementData,
    /// Changes for some layers, all rows for others.
    EditsAndData,
    /// Nothing.
    NoEdits,
    /// A registration without data.
    Info,
}

impl ResponseType {
    /// The API's spelling.
    pub(super) fn name(self) -> &'static str {
        match self {
            ResponseType::Data => "esriReplicaResponseTypeData",
            ResponseType::Edits => "esriReplicaResponseTypeEdits",
            ResponseType::ReplacementData => "esriReplicaResponseTypeReplacementData",
            ResponseType::EditsAndData => "esriReplicaResponseTypeEditsAndData",
            ResponseType::NoEdits => "esriReplicaResponseTypeNoEdits",
            ResponseType::Info => "esriReplicaResponseTypeInfo",
        }
    }
}

/// An answer, ready to be sent.
pub(crate) struct Answer {
    /// The members that describe it, without the address of a file.
    pub(crate) head: Map<String, Json>,
    /// Where the data is.
    pub(crate) body: Body,
    /// Whether edits that came with the request were refused.
    pub(crate) refused: bool,
}

/// The data of an answer.
pub(crate) enum Body {
    /// There is none: the head says all.
    Nothing,
    /// The whole document, head included.
    Document(Finished),
    /// The whole document, as a file that can be fetched.
    File(Export),
}

/// What an answer holds, while it is finished.
pub(crate) enum Content<'a> {
    /// A document whose data has been written.
    Document(Spool),
    /// A database whose rows are in.
    Database(Database<'a>, DataFormat),
}

/// Who and what an answer is about.
pub(crate) struct Subject<'a> {
    /// The replica.
    pub(crate) id: ReplicaId,
    /// Its name.
    pub(crate) name: &'a str,
    /// Its sync model.
    pub(crate) model: SyncModel,
    /// Who holds it.
    pub(crate) target: TargetType,
    /// The generations that the client has once it has applied the answer.
    pub(crate) generations: &'a [(LayerId, Generation)],
    /// How it is sent.
    pub(crate) transport: Transport,
    /// What kind of content it has.
    pub(crate) response: ResponseType,
}

impl Subject<'_> {
    /// The members that describe an answer.
    pub(crate) fn head(&self) -> Map<String, Json> {
        let mut head = Map::new();
        head.insert("replicaName".to_owned(), self.name.into());
        head.insert("replicaID".to_owned(), self.id.to_string().into());
        head.insert("transportType".to_owned(), self.transport.name().into());
        head.insert("responseType".to_owned(), self.response.name().into());
        head.insert("syncModel".to_owned(), self.model.name().into());
        head.insert("targetType".to_owned(), self.target.name().into());
        generations(self.model, self.generations, &mut head);
        head
    }

    /// Completes what has been written with the members that describe it, and decides where it goes. A file is registered by
    /// the caller.
    pub(crate) async fn finish(&self, app: &App, head: Map<String, Json>, content: Content<'_>) -> Result<Answer> {
        match content {
            Content::Document(spool) => Answer::finish(head, self.transport, app, spool).await,
            Content::Database(database, format) => {
                Answer::of_file(head, app, database.finish(None).await?, format).await
            }
        }
    }
}

impl Answer {
    /// Completes a document whose data has been written with the members that describe it, and decides where it goes. A file
    /// is registered by the caller.
    pub(crate) async fn finish(
        head: Map<String, Json>,
        transport: Transport,
        app: &App,
        mut spool: Spool,
    ) -> Result<Answer> {
        // The data is the first member, since the head is only known now.
        let tail = serde_json::to_string(&head).map_err(|error| Error::internal("writing an answer", error))?;
        spool.buffer().push(b',');
        spool.buffer().extend_from_slice(tail.trim_start_matches('{').as_bytes());
        let finished = spool.finish().await?;
        let body = match transport {
            Transport::Embedded => Body::Document(finished),
            Transport::Url => Body::File(app.files.keep(finished, DataFormat::Json).await?),
        };
        Ok(Answer { head, body, refused: false })
    }

    /// An answer whose data is a file of another form, which is always fetched.
    pub(crate) async fn of_file(
        head: Map<String, Json>,
        app: &App,
        finished: Finished,
        format: DataFormat,
    ) -> Result<Answer> {
        Ok(Answer { head, body: Body::File(app.files.keep(finished, format).await?), refused: false })
    }

    /// Enters the answer into the books, in the transaction that makes it true: the row that makes a kept file fetchable,
    /// and the end of the job, if it is one's. A job whose lease is lost fails here, and leaves nothing.
    pub(crate) async fn register(
        &self,
        tx: &mut OwnTx<'_>,
        service: &Service,
        replica: Option<ReplicaId>,
        run: &Run,
    ) -> Result<()> {
        let export = match &self.body {
            Body::File(export) => Some(export),
            Body::Nothing | Body::Document(_) => None,
        };
        if let Some(export) = export {
            tx.export_insert(export.id, service, replica, export.format, (export.size_bytes, &export.sha256)).await?;
        }
        if let Some(lease) = run.lease {
            let head =
                serde_json::to_string(&self.head).map_err(|error| Error::internal("writing an answer", error))?;
            let state = if self.refused { JobState::CompletedWithErrors } else { JobState::Completed };
            tx.job_finish(lease, state, &head, export.map(|export| export.id)).await?;
        }
        Ok(())
    }
}

/// Appends the results of a layer's edits: refused ones, and added ones if their ids are wanted.
pub(crate) fn write_results(results: Option<&[EditResult]>, ids_for_adds: bool, out: &mut Vec<u8>) -> Result<u64> {
    let results = results.unwrap_or_default();
    let mut n_results = 0;
    for (name, op) in [("addResults", Op::Add), ("updateResults", Op::Update), ("deleteResults", Op::Delete)] {
        let listed = results_json(results, op, |result| result.error.is_some() || (ids_for_adds && op == Op::Add));
        n_results += listed.as_array().map_or(0, Vec::len) as u64;
        let text = serde_json::to_string(&listed).map_err(|error| Error::internal("writing results", error))?;
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        out.extend_from_slice(text.as_bytes());
    }
    Ok(n_results)
}
