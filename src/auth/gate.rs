//! How many passwords are checked at once, and who must wait before the next.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

use crate::{
    error::{Error, Result},
    model::attempts::{Attempts, Counted},
    store::Store,
};

use super::{failures::Failures, oidc::Provider, password, shares::Shares};

/// How many passwords are checked at once: each takes a processor and 19 MiB.
const MAX_CHECKS: usize = 2;
/// How many may wait for that.
const MAX_WAITING: usize = 64;

/// What a process keeps in mind of those who sign in.
#[derive(Debug)]
pub struct Gate {
    checks: Semaphore,
    waiting: Semaphore,
    attempts: Mutex<Attempts>,
    /// Those that are not in the audit log yet.
    pub(super) failures: Failures,
    /// How much each caller takes up.
    pub(crate) shares: Shares,
    /// The identity provider.
    pub(super) provider: Provider,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate {
            checks: Semaphore::new(MAX_CHECKS),
            waiting: Semaphore::new(MAX_WAITING),
            attempts: Mutex::default(),
            failures: Failures::default(),
            shares: Shares::default(),
            provider: Provider::default(),
        }
    }
}

impl Gate {
    /// Whether it is the password of which `hash` was kept, in an attempt that counts for `of`, at every process of the database. `hash` is found when
    /// it is known that nobody must wait.
    pub(super) async fn check(
        &self,
        store: &Store,
        of: &[Counted],
        password: &str,
        hash: impl AsyncFnOnce() -> Result<Option<String>>,
    ) -> Result<bool> {
        // Most of those who guess are known here, and cost the database nothing.
        let wait = self.attempts().wait(of, Instant::now());
        if wait > Duration::ZERO {
            return Err(must_wait(wait));
        }
        let _place = self.waiting.try_acquire().map_err(|_| {
            Error::Unavailable("too many people sign in at the moment; try again in a few seconds".to_owned())
        })?;
        let _permit = self.checks.acquire().await.map_err(|error| Error::internal("checking a password", error))?;
        // Only now: those that are checked at this moment are few, and the others do not count yet.
        self.begin(store, of).await?;
        let fits = password::is(password, hash().await?.as_deref()).await?;
        if fits {
            self.attempts().succeeded(of);
            let mut session = store.session().await?;
            let mut tx = session.own().await?;
            // In the order in which everybody locks them.
            tx.attempt_lock(of).await?;
            tx.attempt_forgive(of).await?;
            tx.do_not_wait_for_disk().await?;
            tx.commit().await?;
        }
        Ok(fits)
    }

    /// Counts an attempt, unless whoever makes it must wait by what all processes know.
    async fn begin(&self, store: &Store, of: &[Counted]) -> Result<()> {
        let mut session = store.session().await?;
        let mut tx = session.own().await?;
        let known = tx.attempt_lock(of).await?;
        {
            let (mut attempts, now) = (self.attempts(), Instant::now());
            for (counted, known) in of.iter().zip(known) {
                attempts.learn(counted, known, now);
            }
            attempts.begin(of, now).map_err(must_wait)?;
        }
        tx.attempt_count(of).await?;
        tx.do_not_wait_for_disk().await?;
        tx.commit().await
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn must_wait(wait: Duration) -> Error {
    Error::SignInRefused { retry_seconds: Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)) }
}
