//! Failures to sign in, summed until they are written to the audit log: whoever tries a thousand passwords fills a few lines of it.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use serde_json::json;

use crate::{app::App, error::Result, model::actor::Actor, store::acting};

/// How many users and addresses are told apart at a time; all others are one.
const MAX_TOLD_APART: usize = 20;

/// How often it failed for which user from which address.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<BTreeMap<(String, String), u64>>);

impl Failures {
    /// Notes a failure. A name that nobody has is not kept: it may be a password in the wrong field.
    pub(super) fn note(&self, user: Option<&str>, address: Option<IpAddr>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut whose =
            (user.unwrap_or("unknown user").to_owned(), address.map(|address| address.to_string()).unwrap_or_default());
        if counts.len() >= MAX_TOLD_APART && !counts.contains_key(&whose) {
            whose = ("others".to_owned(), String::new());
        }
        *counts.entry(whose).or_default() += 1;
    }

    fn take(&self) -> BTreeMap<(String, String), u64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes what was noted since the last time to the audit log.
pub(crate) async fn record_failures(app: &App) -> Result<()> {
    for ((user, origin), times) in app.gate.failures.take() {
        let actor = Actor { name: "anonymous".to_owned(), origin, request_id: String::new() };
        acting(&actor, app.store.record("sign_in.failed", "", &user, json!({"times": times}))).await?;
    }
    Ok(())
}
