//! How much of the server one caller takes up at once: whoever asks much waits for themselves, and others are served.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    error::{Error, Result},
    model::{attempts::Counted, principal::Principal},
};

/// How long a request waits until others of its caller are done.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How many callers are remembered before those that have gone are forgotten.
const MAX_REMEMBERED: usize = 1000;

/// The places of all callers who ask for something at the moment.
#[derive(Debug, Default)]
pub struct Places(Mutex<HashMap<Whose, Weak<Semaphore>>>);

/// Who shares places.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Whose {
    /// A user, or a key.
    Named(String),
    /// All who did not sign in, from one address or network.
    From(Option<Counted>),
}

/// A place that a request has until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Places {
    /// Waits until fewer than `most` requests of whoever asks are worked on. Nothing but memory is held meanwhile.
    pub(crate) async fn take(&self, who: &Principal, address: Option<IpAddr>, most: usize) -> Result<Place> {
        self.take_within(LONGEST_WAIT, whose(who, address), most).await
    }

    async fn take_within(&self, wait: Duration, whose: Whose, most: usize) -> Result<Place> {
        let taken = tokio::time::timeout(wait, self.of(whose, most).acquire_owned()).await;
        match taken {
            Ok(permit) => Ok(Place { _permit: permit.map_err(|error| Error::internal("taking a place", error))? }),
            Err(_) => Err(Error::OverQuota(format!(
                "{most} of your requests are being worked on, and this one has waited {} s for them (max_caller_requests); send fewer at \
                 the same time, or ask for less at a time, and send this one again",
                wait.as_secs()
            ))),
        }
    }

    fn of(&self, whose: Whose, most: usize) -> Arc<Semaphore> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = known.get(&whose).and_then(Weak::upgrade) {
            return places;
        }
        if known.len() >= MAX_REMEMBERED {
            known.retain(|_, places| places.strong_count() > 0);
        }
        let places = Arc::new(Semaphore::new(most));
        known.insert(whose, Arc::downgrade(&places));
        places
    }
}

fn whose(who: &Principal, address: Option<IpAddr>) -> Whose {
    match &who.user {
        Some(user) => Whose::Named(user.as_str().to_lowercase()),
        None => Whose::From(address.map(Counted::address)),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::principal::UserName;

    use super::*;

    #[tokio::test]
    async fn everybody_has_places_of_their_own_and_who_has_gone_is_forgotten() {
        let places = Places::default();
        let [one, other] = [1, 2].map(|n| Some(IpAddr::from([203, 0, 113, n])));
        let nobody = Principal::default();
        let held = places.take(&nobody, one, 1).await.unwrap();
        places.take(&nobody, other, 1).await.unwrap();
        let ann = Principal::admin(UserName::parse("Ann").unwrap());
        let of_ann = places.take(&ann, one, 1).await.unwrap();
        // Wherever she is, and however she writes herself.
        assert!(places.of(whose(&Principal::admin(UserName::parse("ANN").unwrap()), other), 1).try_acquire().is_err());
        assert!(places.of(whose(&nobody, one), 1).try_acquire().is_err());
        drop((held, of_ann));
        places.take(&nobody, one, 1).await.unwrap();
        for n in 0..u32::try_from(3 * MAX_REMEMBERED).unwrap() {
            places.take(&nobody, Some(IpAddr::from(n.to_be_bytes())), 1).await.unwrap();
        }
        assert!(places.0.lock().unwrap().len() <= MAX_REMEMBERED);
    }

    #[tokio::test]
    async fn who_waits_too_long_is_told_why() {
        let places = Places::default();
        let _held = places.take(&Principal::default(), None, 1).await.unwrap();
        let error = places.take_within(Duration::ZERO, Whose::From(None), 1).await.unwrap_err();
        assert!(matches!(&error, Error::OverQuota(text) if text.contains("max_caller_requests")), "{error}");
    }
}
