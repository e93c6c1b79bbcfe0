//! What goes down to a client as a database file: snapshots and deltas of layers, told to the thread that writes it.

use std::{mem, pin::pin};

use futures_util::TryStreamExt as _;
use sqlx::postgres::PgRow;
use tokio::sync::oneshot;

use crate::{
    error::{Error, Result},
    files::{Files, Finished, Progress},
    format::attachments::read_info,
    model::{
        edit::{EditResult, Op},
        filter::Filter,
        id::GlobalId,
        layer::Layer,
        query::Columns,
        verdict::{Verdict, verdict},
    },
    sql::{
        delta::{self, Delta, N_FACTS},
        select,
    },
    sqlite::{
        message::{Message, N_ROWS},
        write::Writing,
    },
    store::ReadTx,
};

use super::download::facts;

/// A database file while rows go into it.
pub(crate) struct Database<'a> {
    writing: Writing<Message>,
    files: &'a Files,
    progress: &'a Progress,
    /// Rows that are yet to be told.
    waiting: Waiting,
}

/// Rows that go into one table in one way.
#[derive(Default)]
struct Waiting {
    table: usize,
    op: Option<Op>,
    first: usize,
    rows: Vec<PgRow>,
    deleted: Vec<GlobalId>,
}

impl<'a> Database<'a> {
    /// A file to which `writing` belongs; attachments are read from `files`.
    pub(crate) fn new(writing: Writing<Message>, files: &'a Files, progress: &'a Progress) -> Database<'a> {
        Database { writing, files, progress, waiting: Waiting::default() }
    }

    /// Puts the features of a layer, or its attachments, that pass a filter into the table at a position. Returns how many.
    pub(crate) async fn snapshot(
        &mut self,
        tx: &mut ReadTx<'_>,
        (table, layer): (usize, &Layer),
        filter: &Filter,
        columns: &Columns,
    ) -> Result<u64> {
        if matches!(filter, Filter::None) {
            return Ok(0);
        }
        let mut rows = pin!(tx.stream(select::snapshot(layer, filter, columns))?);
        let mut n_rows = 0;
        while let Some(row) = rows.try_next().await? {
            self.put(table, layer, None, 0, row).await?;
            n_rows += 1;
        }
        self.tell(layer).await?;
        Ok(n_rows)
    }

    /// Puts what changed in a window of a layer, or of its attachments, into the table at a position. Returns how many rows.
    pub(crate) async fn delta(
        &mut self,
        tx: &mut ReadTx<'_>,
        (table, layer): (usize, &Layer),
        wanted: &Delta<'_>,
    ) -> Result<u64> {
        // A window without changes and without own edits needs no statement at all.
        if wanted.after >= wanted.upto && wanted.own_batches.is_empty() {
            return Ok(0);
        }
        let mut rows = pin!(tx.stream(delta::delta(layer, wanted))?);
        let mut n_rows = 0;
        while let Some(row) = rows.try_next().await? {
            let (id, facts) = facts(&row)?;
            match verdict(&facts) {
                Verdict::Nothing => continue,
                Verdict::Add => self.put(table, layer, Some(Op::Add), N_FACTS, row).await?,
                Verdict::Update => self.put(table, layer, Some(Op::Update), N_FACTS, row).await?,
                Verdict::Delete => {
                    self.waiting.table = table;
                    self.waiting.deleted.push(id);
                    if self.waiting.deleted.len() >= N_ROWS {
                        self.tell(layer).await?;
                    }
                }
            }
            n_rows += 1;
        }
        self.tell(layer).await?;
        Ok(n_rows)
    }

    /// Enters what became of edits of features, or of attachments, of the table at a position.
    pub(crate) async fn results(&mut self, table: usize, attachments: bool, results: Vec<EditResult>) -> Result<()> {
        self.writing.tell(Message::Results { table, attachments, results }).await
    }

    /// Says that these were all rows, and waits until indexes are made.
    pub(crate) async fn complete(&mut self) -> Result<()> {
        let (done, is_done) = oneshot::channel();
        self.writing.tell(Message::Complete(done)).await?;
        // If it fails instead, finishing says why.
        let _ = is_done.await;
        Ok(())
    }

    /// Finishes the file. `name` is what the replica is called, if it is one that was just made.
    pub(crate) async fn finish(mut self, name: Option<String>) -> Result<Finished> {
        if let Some(name) = name {
            self.writing.tell(Message::Name(name)).await?;
        }
        self.writing.finish().await
    }

    async fn put(&mut self, table: usize, layer: &Layer, op: Option<Op>, first: usize, row: PgRow) -> Result<()> {
        if layer.attached_to.is_some() {
            let info = read_info(&row, first)?;
            let (bytes, _) = self.files.content(&info.sha256).await?.ok_or_else(|| {
                Error::Unavailable(format!(
                    "the bytes of attachment {} ({}) of layer {} are missing in the data directory; restore them from a back-up, or delete the attachment",
                    info.global_id, info.name, layer.id
                ))
            })?;
            self.progress.tell(layer.id.0, 1);
            let bytes = bytes.into_std().await;
            return self.writing.tell(Message::Attachment { table, op, info, bytes }).await;
        }
        if self.waiting.op != op || self.waiting.rows.len() >= N_ROWS {
            self.tell(layer).await?;
        }
        self.waiting.table = table;
        self.waiting.op = op;
        self.waiting.first = first;
        self.waiting.rows.push(row);
        Ok(())
    }

    /// Tells the rows that wait.
    async fn tell(&mut self, layer: &Layer) -> Result<()> {
        let Waiting { table, op, first, rows, deleted } = mem::take(&mut self.waiting);
        self.progress.tell(layer.id.0, (rows.len() + deleted.len()) as u64);
        if !rows.is_empty() {
            self.writing.tell(Message::Rows { table, op, first, rows }).await?;
        }
        if !deleted.is_empty() {
            let attachments = layer.attached_to.is_some();
            self.writing.tell(Message::Deleted { table, attachments, ids: deleted }).await?;
        }
        Ok(())
    }
}
