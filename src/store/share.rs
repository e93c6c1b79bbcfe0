//! How much one caller has the database do at once: whoever asks much waits for themselves, and others are served.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};

/// How long a request waits for a connection that others of its caller have.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

tokio::task_local! {
    /// The share of whoever asks for what is being done.
    static SHARE: Arc<Share>;
}

/// What one caller may take up at once.
#[derive(Debug)]
pub(crate) struct Share {
    connections: Arc<Semaphore>,
    heavy: Arc<Semaphore>,
    most: Most,
}

/// How much is in a share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    /// How many connections.
    pub(crate) connections: usize,
    /// How many queries that occupy a processor of the database for long.
    pub(crate) heavy: usize,
}

impl Share {
    pub(crate) fn new(most: Most) -> Share {
        let semaphore = |most| Arc::new(Semaphore::new(most));
        Share { connections: semaphore(most.connections), heavy: semaphore(most.heavy), most }
    }

    /// Does `work` with connections of this share only. Work that is handed to another task is not in it.
    pub(crate) fn scope<F: Future>(self: Arc<Share>, work: F) -> impl Future<Output = F::Output> {
        SHARE.scope(self, work)
    }

    async fn connection(&self, wait: Duration) -> Result<OwnedSemaphorePermit> {
        taken(&self.connections, wait).await?.ok_or_else(|| {
            Error::OverQuota(format!(
                "{} of your requests are being worked on, and this one has waited {} s for them (max_caller_requests); send fewer at \
                 the same time, or ask for less at a time, and send this one again",
                self.most.connections,
                wait.as_secs()
            ))
        })
    }

    async fn turn(&self, wait: Duration) -> Result<Turn> {
        taken(&self.heavy, wait).await?.map(|permit| Turn { _permit: Some(permit) }).ok_or_else(|| {
            Error::OverQuota(format!(
                "the query is one of those that take the database long, {} of yours are being worked on, and this one has waited {} s for \
                 them (max_caller_heavy_queries); ask one after the other, or narrow the query by fields with an index, geometry or objectIds",
                self.most.heavy,
                wait.as_secs()
            ))
        })
    }
}

/// A permit, or `None` if none came free in time.
async fn taken(semaphore: &Arc<Semaphore>, wait: Duration) -> Result<Option<OwnedSemaphorePermit>> {
    match tokio::time::timeout(wait, Arc::clone(semaphore).acquire_owned()).await {
        Ok(permit) => permit.map(Some).map_err(|error| Error::internal("waiting for one's share", error)),
        Err(_) => Ok(None),
    }
}

/// Waits until whoever asks has fewer connections than their share; at once, and for nothing, if nobody in particular does.
pub(super) async fn connection() -> Result<Option<OwnedSemaphorePermit>> {
    match SHARE.try_with(Arc::clone) {
        Ok(share) => share.connection(LONGEST_WAIT).await.map(Some),
        Err(_) => Ok(None),
    }
}

/// The right to have the database do something that takes it long, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
}

/// The turn of whoever asks, if it has come already. Without a share it always has.
pub(crate) fn turn_at_once() -> Option<Turn> {
    match SHARE.try_with(|share| Arc::clone(&share.heavy).try_acquire_owned()) {
        Ok(permit) => permit.ok().map(|permit| Turn { _permit: Some(permit) }),
        Err(_) => Some(Turn { _permit: None }),
    }
}

/// Waits for the turn of whoever asks. Who waits must hold no connection, or others would wait for it.
pub(crate) async fn turn() -> Result<Turn> {
    match SHARE.try_with(Arc::clone) {
        Ok(share) => share.turn(LONGEST_WAIT).await,
        Err(_) => Ok(Turn { _permit: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Most = Most { connections: 1, heavy: 1 };

    #[tokio::test]
    async fn who_waits_too_long_is_told_why() {
        let share = Share::new(ONE);
        let (_connection, _turn) =
            (share.connection(Duration::ZERO).await.unwrap(), share.turn(Duration::ZERO).await.unwrap());
        for (error, setting) in [
            (share.connection(Duration::ZERO).await.unwrap_err(), "max_caller_requests"),
            (share.turn(Duration::ZERO).await.unwrap_err(), "max_caller_heavy_queries"),
        ] {
            assert!(matches!(&error, Error::OverQuota(text) if text.contains(setting)), "{error}");
        }
    }

    #[tokio::test]
    async fn what_is_done_for_nobody_in_particular_waits_for_nobody() {
        let share = Arc::new(Share::new(ONE));
        let taken = Arc::clone(&share).scope(async { connection().await.unwrap().is_some() }).await;
        assert!(taken && connection().await.unwrap().is_none());
        let _turn = Arc::clone(&share).scope(turn()).await.unwrap();
        assert!(share.scope(async { turn_at_once().is_none() }).await, "the only one is taken");
        let _others = (turn().await.unwrap(), turn_at_once().unwrap());
    }
}
