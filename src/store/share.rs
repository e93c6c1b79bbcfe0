//! How many connections one caller has at once: whoever asks much waits for themselves, and others are served.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Error, Result};

/// How long a request waits for a connection that others of its caller have.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

tokio::task_local! {
    /// The share of whoever asks for what is being done.
    static SHARE: Arc<Share>;
}

/// The connections that one caller may have at once.
#[derive(Debug)]
pub(crate) struct Share {
    connections: Arc<Semaphore>,
    most: usize,
}

impl Share {
    pub(crate) fn new(most: usize) -> Share {
        Share { connections: Arc::new(Semaphore::new(most)), most }
    }

    /// Does `work` with connections of this share only. Work that is handed to another task is not in it.
    pub(crate) fn scope<F: Future>(self: Arc<Share>, work: F) -> impl Future<Output = F::Output> {
        SHARE.scope(self, work)
    }

    async fn take(&self, wait: Duration) -> Result<OwnedSemaphorePermit> {
        match tokio::time::timeout(wait, Arc::clone(&self.connections).acquire_owned()).await {
            Ok(permit) => permit.map_err(|error| Error::internal("waiting for a connection", error)),
            Err(_) => Err(Error::OverQuota(format!(
                "{} of your requests are being worked on, and this one has waited {} s for them (max_caller_requests); send fewer at \
                 the same time, or ask for less at a time, and send this one again",
                self.most,
                wait.as_secs()
            ))),
        }
    }
}

/// Waits until whoever asks has fewer connections than their share; at once, and for nothing, if nobody in particular does.
pub(super) async fn take() -> Result<Option<OwnedSemaphorePermit>> {
    match SHARE.try_with(Arc::clone) {
        Ok(share) => share.take(LONGEST_WAIT).await.map(Some),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_waits_too_long_is_told_why() {
        let share = Share::new(1);
        let _held = share.take(Duration::ZERO).await.unwrap();
        let error = share.take(Duration::ZERO).await.unwrap_err();
        assert!(matches!(&error, Error::OverQuota(text) if text.contains("max_caller_requests")), "{error}");
    }

    #[tokio::test]
    async fn what_is_done_for_nobody_in_particular_waits_for_nobody() {
        let share = Arc::new(Share::new(1));
        let taken = Arc::clone(&share).scope(async { take().await.unwrap().is_some() }).await;
        assert!(taken && take().await.unwrap().is_none());
    }
}
