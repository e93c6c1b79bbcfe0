//! Writes a database file on a thread of its own, while rows still come from the network.
//!
//! The file is made once, from beginning to end, in one transaction without a journal, so a thread that fails leaves nothing
//! to be repaired: the file is deleted. Indexes and triggers are made when the rows are in.

use rusqlite::Connection;
use tokio::{sync::mpsc, task::JoinHandle};

use super::cannot_write;
use crate::{
    error::{Error, Result},
    files::{Finished, Place},
};

/// How many messages wait between who reads rows and the thread that writes them; the bound of the memory.
const N_WAITING: usize = 4;

/// A database file while a thread of its own writes what it is told by messages. Dropped unfinished, it leaves nothing behind.
pub(crate) struct Writing<M> {
    messages: mpsc::Sender<Option<M>>,
    thread: JoinHandle<Result<Finished>>,
}

/// The messages, where they come out. Their end is said, not inferred: who tells them may fail.
pub(crate) struct Coming<M>(mpsc::Receiver<Option<M>>);

impl<M> Coming<M> {
    /// The next message. `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<M>> {
        self.0
            .blocking_recv()
            .ok_or_else(|| Error::internal("writing a database file", "who had the rows has given up"))
    }
}

impl<M: Send + 'static> Writing<M> {
    /// Makes an empty database, in which `work` writes until it has seen the last message. It is in a transaction, which ends
    /// with it; tables, indexes and `PRAGMA user_version` are its own matter.
    pub(crate) fn begin<W>(place: Place, work: W) -> Writing<M>
    where
        W: FnOnce(&Connection, &mut Coming<M>) -> Result<()> + Send + 'static,
    {
        let (messages, coming) = mpsc::channel(N_WAITING);
        // Nobody waits for the thread of what was dropped, so that its file is dropped as well.
        Writing { messages, thread: tokio::task::spawn_blocking(move || write(place, coming, work)) }
    }

    /// Tells the next message. Waits while some are not yet done.
    pub(crate) async fn tell(&mut self, message: M) -> Result<()> {
        if self.messages.send(Some(message)).await.is_ok() {
            return Ok(());
        }
        // The thread ends before its time only if it fails.
        match (&mut self.thread).await {
            Ok(Err(error)) => Err(error),
            _ => Err(Error::internal("writing a database file", "it ended before its time")),
        }
    }

    /// Says that this was all, and waits for the whole file.
    pub(crate) async fn finish(self) -> Result<Finished> {
        // If the thread has ended already, its result says why.
        let _ = self.messages.send(None).await;
        self.thread.await.map_err(|error| Error::internal("writing a database file", error))?
    }
}

fn write<M, W>(place: Place, coming: mpsc::Receiver<Option<M>>, work: W) -> Result<Finished>
where
    W: FnOnce(&Connection, &mut Coming<M>) -> Result<()>,
{
    let connection = create(&place).map_err(cannot_write)?;
    work(&connection, &mut Coming(coming))?;
    connection.execute_batch("COMMIT").map_err(cannot_write)?;
    connection.close().map_err(|(_, error)| cannot_write(error))?;
    place.finish()
}

fn create(place: &Place) -> rusqlite::Result<Connection> {
    let connection = Connection::open(place.path())?;
    // Nobody sees the file before it is whole and on the disk, so SQLite need not care for either. Rows and keys are appended, and what was
    // written is not read again, so that a large cache would hold nothing of use.
    connection.execute_batch(
        "PRAGMA page_size = 4096; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA cache_size = -8192; PRAGMA foreign_keys = OFF; BEGIN",
    )?;
    Ok(connection)
}
