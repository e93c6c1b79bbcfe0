//! The answers of createReplica and synchronizeReplica.
//!
//! API reference: *Create Replica*, *Synchronize Replica*, *Response type for sync operations*. The document is the same
//! whether it is the body of the response or a file behind a URL.

use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::{
    app::App,
    error::{Error, Result},
    files::{Finished, Spool},
    model::{
        edit::{EditResult, Op},
        id::{Generation, LayerId, ReplicaId, ServiceKey},
        replica::{SyncModel, TargetType},
    },
    wire::{
        edits::results_json,
        replica::{Transport, generations},
    },
};

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
}

/// The data of an answer.
pub(crate) enum Body {
    /// There is none: the head says all.
    Nothing,
    /// The whole document, head included.
    Document(Finished),
    /// The whole document, as a file that can be fetched.
    File(Uuid),
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

    /// Completes a document whose data has been written, and decides where it goes. A file is registered by the caller.
    pub(crate) async fn finish(&self, app: &App, spool: Spool) -> Result<Answer> {
        Answer::finish(self.head(), self.transport, app, spool).await
    }
}

impl Answer {
    /// Completes a document whose data has been written with the members that describe it, and decides where it goes.
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
            Transport::Url => {
                let id = Uuid::new_v4();
                app.files.keep(finished, id).await?;
                Body::File(id)
            }
        };
        Ok(Answer { head, body })
    }

    /// The row that makes a kept file fetchable, if there is one.
    pub(crate) async fn register(
        &self,
        app: &App,
        tx: &mut crate::store::OwnTx<'_>,
        service: ServiceKey,
        replica: Option<ReplicaId>,
    ) -> Result<()> {
        if let Body::File(id) = &self.body {
            let size_bytes = app.files.export(*id).await?.map_or(0, |(_, size_bytes)| size_bytes);
            tx.export_insert(*id, service, replica, size_bytes).await?;
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

/// `{"error":…}` details of an upload that was rolled back: the edits that failed, by layer.
pub(crate) fn failures(results: &[(LayerId, Vec<EditResult>)]) -> Vec<String> {
    let mut lines = Vec::new();
    for (layer, results) in results {
        for result in results {
            let Some(error) = result.fault() else { continue };
            let feature =
                result.global_id.map_or_else(|| "a feature without global id".to_owned(), |id| id.to_string());
            lines.push(format!(
                "layer {layer}, {} of {feature}: {} (code {})",
                result.op.name(),
                error.description,
                error.code.number()
            ));
        }
    }
    let n_more = lines.len().saturating_sub(50);
    lines.truncate(50);
    if n_more > 0 {
        lines.push(format!("and {n_more} more"));
    }
    lines
}
