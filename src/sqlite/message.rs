//! What the thread that writes a replica's file is told, whichever kind of file it is.

use std::fs::File;

use sqlx::postgres::PgRow;
use tokio::sync::oneshot;

use crate::model::{
    attachment::AttachmentInfo,
    edit::{EditResult, Op},
    id::GlobalId,
};

/// How many rows are told at a time.
pub(crate) const N_ROWS: usize = 512;

/// What is told, in this order: all about one table after the other, then [`Message::Complete`], then [`Message::Name`].
/// Tables are named by their position in the plan of the file.
pub(crate) enum Message {
    /// Rows of features; all of them have been changed in this way, or are part of a whole layer.
    Rows {
        /// Of which table.
        table: usize,
        /// Whether they were added or updated; `None` if the layer is given whole.
        op: Option<Op>,
        /// Where in each row the first of the table's columns is.
        first: usize,
        /// The rows, no more than [`N_ROWS`].
        rows: Vec<PgRow>,
    },
    /// An attachment.
    Attachment {
        /// Of which table.
        table: usize,
        /// Whether it was added or updated; `None` if the layer is given whole.
        op: Option<Op>,
        /// What is known of it.
        info: AttachmentInfo,
        /// Its bytes.
        bytes: File,
    },
    /// Rows, or attachments, that are gone.
    Deleted {
        /// Of which table.
        table: usize,
        /// Whether these are attachments.
        attachments: bool,
        /// Which.
        ids: Vec<GlobalId>,
    },
    /// What became of edits that came with the request.
    Results {
        /// Of which table.
        table: usize,
        /// Whether these are attachments.
        attachments: bool,
        /// Each.
        results: Vec<EditResult>,
    },
    /// These were all rows: what takes long, like indexes, is to be done now. The sender hears when it is.
    Complete(oneshot::Sender<()>),
    /// What the replica is called, which is known last.
    Name(String),
}
