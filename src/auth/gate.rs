//! How many passwords are checked at once, and who must wait before the next.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

use crate::{
    error::{Error, Result},
    model::attempts::{Attempts, Counted},
};

use super::{failures::Failures, oidc::Provider, password};

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
            provider: Provider::default(),
        }
    }
}

impl Gate {
    /// Whether it is the password of which `hash` was kept, in an attempt that counts for `of`. `hash` is found when it is known that nobody must wait.
    pub(super) async fn check(
        &self,
        of: &[Counted],
        password: &str,
        hash: impl AsyncFnOnce() -> Result<Option<String>>,
    ) -> Result<bool> {
        let wait = self.attempts().wait(of, Instant::now());
        if wait > Duration::ZERO {
            return Err(must_wait(wait));
        }
        let _place = self.waiting.try_acquire().map_err(|_| {
            Error::Unavailable("too many people sign in at the moment; try again in a few seconds".to_owned())
        })?;
        let _permit = self.checks.acquire().await.map_err(|error| Error::internal("checking a password", error))?;
        // Only now: those that are checked at this moment are few, and the others do not count yet.
        self.attempts().begin(of, Instant::now()).map_err(must_wait)?;
        let fits = password::is(password, hash().await?.as_deref()).await?;
        if fits {
            self.attempts().succeeded(of);
        }
        Ok(fits)
    }

    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn must_wait(wait: Duration) -> Error {
    Error::SignInRefused { retry_seconds: Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0)) }
}
