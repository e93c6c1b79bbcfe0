//! What one user may have, so that nobody takes what is there for all.

use super::{guard::Caller, principal::Access};

/// What a user may have; 0: any number.
#[derive(Clone, Copy, Debug)]
pub struct Quotas {
    /// Registered replicas.
    pub replicas: u64,
    /// Jobs that wait to be begun.
    pub waiting_jobs: u64,
    /// Bytes of files that were sent.
    pub upload_bytes: u64,
    /// Whether all who did not sign in have a tenth of that together; else they are not limited in this way.
    pub limit_anonymous: bool,
}

impl Quotas {
    /// How much of something of which a user may have `of_user` somebody may have; `None`: any number.
    pub fn most(&self, caller: &Caller, of_user: u64) -> Option<u64> {
        match (caller.access, caller.principal.is_anonymous()) {
            (Access::Manage, _) => None,
            _ if of_user == 0 => None,
            (_, false) => Some(of_user),
            // Nobody knows how many they are.
            (_, true) => self.limit_anonymous.then_some((of_user / 10).max(1)),
        }
    }

    /// Says that somebody has `what`, which is as much as the setting allows, and what to do next.
    pub fn over(caller: &Caller, what: &str, (setting, most): (&str, u64), next: &str) -> String {
        let who = match caller.principal.is_anonymous() {
            true => "Who did not sign in has".to_owned(),
            false => format!("User {} has", caller.name()),
        };
        format!("{who} {what}, and the most is {most} ({setting}); {next}")
    }
}
