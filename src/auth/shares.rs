//! Who shares what one caller may take up at once.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use crate::{
    config::Config,
    model::{attempts::Counted, principal::Principal},
    store::share::{Most, Share},
};

/// How many callers are remembered before those that have gone are forgotten.
const MAX_REMEMBERED: usize = 1000;

/// The shares of all callers who ask for something at the moment.
#[derive(Debug, Default)]
pub struct Shares(Mutex<HashMap<Whose, Weak<Share>>>);

/// Who shares connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Whose {
    /// A user, or a key.
    Named(String),
    /// All who did not sign in, from one address or network.
    From(Option<Counted>),
}

impl Shares {
    /// The share of whoever asks. It is theirs as long as any of their requests holds it.
    pub(crate) fn of(&self, who: &Principal, address: Option<IpAddr>, config: &Config) -> Arc<Share> {
        let whose = match &who.user {
            Some(user) => Whose::Named(user.as_str().to_lowercase()),
            None => Whose::From(address.map(Counted::address)),
        };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = known.get(&whose).and_then(Weak::upgrade) {
            return share;
        }
        if known.len() >= MAX_REMEMBERED {
            known.retain(|_, share| share.strong_count() > 0);
        }
        let share = Arc::new(Share::new(most(config)));
        known.insert(whose, Arc::downgrade(&share));
        share
    }
}

/// How much one caller may have the database do at once.
fn most(config: &Config) -> Most {
    let all_but_one = config.max_connections.saturating_sub(1).max(1);
    let connections = match config.max_caller_requests {
        0 => all_but_one,
        most => most.min(all_but_one),
    };
    let heavy = match config.max_caller_heavy_queries {
        // One processor at least is left to others, if there are two.
        0 => std::thread::available_parallelism().map_or(1, |n| n.get() / 2).max(1),
        most => most as usize,
    };
    Most { connections: connections as usize, heavy }
}

#[cfg(test)]
mod tests {
    use crate::model::principal::UserName;

    use super::*;

    #[test]
    fn everybody_has_a_share_of_their_own_and_who_has_gone_is_forgotten() {
        let shares = Shares::default();
        let config = Config::default();
        let [one, other] = [1, 2].map(|n| Some(IpAddr::from([203, 0, 113, n])));
        let (nobody, ann, same) = (
            Principal::default(),
            Principal::admin(UserName::parse("Ann").unwrap()),
            Principal::admin(UserName::parse("ANN").unwrap()),
        );
        let here = shares.of(&nobody, one, &config);
        assert!(Arc::ptr_eq(&here, &shares.of(&nobody, one, &config)));
        assert!(!Arc::ptr_eq(&here, &shares.of(&nobody, other, &config)));
        // Wherever she is, and however she writes herself.
        let of_ann = shares.of(&ann, one, &config);
        assert!(!Arc::ptr_eq(&here, &of_ann) && Arc::ptr_eq(&of_ann, &shares.of(&same, other, &config)));
        for n in 0..u32::try_from(3 * MAX_REMEMBERED).unwrap() {
            shares.of(&nobody, Some(IpAddr::from(n.to_be_bytes())), &config);
        }
        assert!(shares.0.lock().unwrap().len() <= MAX_REMEMBERED);
    }
}
