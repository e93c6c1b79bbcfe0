//! The life of a replica: what its state is, and what comes next.

use super::id::{Generation, ReplicaId};

/// When replicas that nobody synchronizes are warned of, expire, and are unregistered.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Days without a synchronization after which a replica is called idle; `None`: never.
    pub warn_days: Option<i32>,
    /// Days without a synchronization after which it expires; `None`: never.
    pub expire_days: Option<i32>,
    /// Days after that within which a synchronization revives it; then it is unregistered.
    pub grace_days: i32,
}

impl Policy {
    /// The same with another number of days after which replicas expire; 0 for never. `None` leaves it as it is.
    #[must_use]
    pub fn expiring_after(self, days: Option<i32>) -> Policy {
        match days {
            None => self,
            Some(days) => Policy { expire_days: (days > 0).then_some(days), ..self },
        }
    }
}

/// How a replica is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It synchronizes.
    Live,
    /// It has not done so for a while.
    Idle,
    /// It has not done so for long, and will be unregistered unless it does.
    Expired,
    /// The original of the database made it, of which this one is a copy: it does not synchronize here unless it is adopted.
    Foreign,
}

impl State {
    /// The word that people and programs read.
    pub fn name(self) -> &'static str {
        match self {
            State::Live => "live",
            State::Idle => "idle",
            State::Expired => "expired",
            State::Foreign => "foreign",
        }
    }
}

/// What is known about the life of a replica. Times are in milliseconds since 1970, by the clock of the database.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "they are facts that do not depend on each other")]
pub struct Life {
    /// The replica.
    pub id: ReplicaId,
    /// Its name.
    pub name: String,
    /// Who made it; empty if nobody was signed in.
    pub owner: String,
    /// Whether the original of the database made it, of which this one is a copy.
    pub is_foreign: bool,
    /// Whether another server holds it; such a one never expires.
    pub is_server: bool,
    /// When it was made.
    pub created_ms: i64,
    /// When it last synchronized.
    pub last_sync_ms: i64,
    /// When it expired.
    pub expired_ms: Option<i64>,
    /// When this was read.
    pub now_ms: i64,
    /// The generation from which it may need changes; `None` if it only uploads.
    pub acknowledged: Option<Generation>,
    /// Whether it can go on with a delta; otherwise its client needs all rows anew.
    pub can_go_on: bool,
    /// The generation that it was given last; `None` if it only uploads.
    pub given: Option<Generation>,
    /// How many changes of its layers came after that.
    pub n_behind: i64,
    /// Whether there are more than were counted.
    pub has_more: bool,
    /// About how many bytes these changes take up in the database.
    pub bytes_behind: i64,
    /// When what it was given was new: the time of the last commit that it has, while that is known.
    pub given_ms: Option<i64>,
    /// After how many days without a synchronization it expires, instead of what the settings say; 0 for never.
    pub expire_days: Option<i32>,
}

/// How far somebody wants the history of a service to be forgotten.
#[derive(Clone, Copy, Debug)]
pub enum Wish {
    /// Everything older than this.
    OlderThan {
        /// Seconds.
        seconds: i64,
    },
    /// Everything up to this generation.
    Upto(Generation),
    /// Everything that this replica has.
    HeldBy(ReplicaId),
}

const DAY_MS: i64 = 86_400_000;

impl Life {
    /// Its state.
    pub fn state(&self, policy: Policy) -> State {
        let policy = policy.expiring_after(self.expire_days);
        let idle_since = |days: Option<i32>| {
            days.is_some_and(|days| self.now_ms - self.last_sync_ms > i64::from(days).saturating_mul(DAY_MS))
        };
        match self.expired_ms {
            _ if self.is_foreign => State::Foreign,
            Some(_) => State::Expired,
            None if self.is_server => State::Live,
            None if idle_since(policy.warn_days) || idle_since(policy.expire_days) => State::Idle,
            None => State::Live,
        }
    }

    /// When it expires or, expired, is unregistered, unless it synchronizes; `None` if never.
    pub fn ends_ms(&self, policy: Policy) -> Option<i64> {
        let policy = policy.expiring_after(self.expire_days);
        let after = |start: i64, days: i32| start.saturating_add(i64::from(days).saturating_mul(DAY_MS));
        policy.expire_days.filter(|_| !self.is_server).map(|days| match self.expired_ms {
            Some(expired) => after(expired, policy.grace_days),
            None => after(self.last_sync_ms, days),
        })
    }

    /// Whole days since it last synchronized.
    pub fn idle_days(&self) -> i64 {
        (self.now_ms - self.last_sync_ms).max(0) / DAY_MS
    }
}

/// The replica for whose sake alone the oldest history is kept, and the part of it: after the first generation, up to
/// the second. Everything beyond that, somebody else needs as well.
pub fn keeps_alone(lives: &[Life], current: Generation) -> Option<(ReplicaId, Generation, Generation)> {
    let mut needs: Vec<(Generation, ReplicaId)> =
        lives.iter().filter(|life| life.can_go_on).filter_map(|life| Some((life.acknowledged?, life.id))).collect();
    needs.sort_unstable();
    let (lowest, id) = *needs.first()?;
    let upto = needs.get(1).map_or(current, |(next, _)| *next);
    (lowest < upto).then_some((id, lowest, upto))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(acknowledged: i64, last_sync_ms: i64) -> Life {
        Life {
            id: ReplicaId(uuid::Uuid::from_u128(u128::try_from(acknowledged).unwrap())),
            name: String::new(),
            owner: String::new(),
            is_foreign: false,
            is_server: false,
            created_ms: 0,
            last_sync_ms,
            expired_ms: None,
            now_ms: 100 * DAY_MS,
            acknowledged: Generation::new(acknowledged),
            can_go_on: true,
            n_behind: 0,
            has_more: false,
            bytes_behind: 0,
            given: Generation::new(acknowledged),
            given_ms: None,
            expire_days: None,
        }
    }

    #[test]
    fn a_replica_is_live_then_idle_then_expired() {
        let policy = Policy { warn_days: Some(30), expire_days: Some(90), grace_days: 14 };
        let mut one = life(5, 70 * DAY_MS);
        assert_eq!((one.state(policy), one.idle_days()), (State::Live, 30));
        one.last_sync_ms -= 1;
        assert_eq!((one.state(policy), one.ends_ms(policy)), (State::Idle, Some(160 * DAY_MS - 1)));
        one.expired_ms = Some(99 * DAY_MS);
        assert_eq!((one.state(policy), one.ends_ms(policy)), (State::Expired, Some(113 * DAY_MS)));
        let server = Life { is_server: true, expired_ms: None, ..one.clone() };
        assert_eq!((server.state(policy), server.ends_ms(policy)), (State::Live, None));
        let foreign = Life { is_foreign: true, ..one.clone() };
        assert_eq!(foreign.state(policy), State::Foreign);
        let pinned = Life { expire_days: Some(0), expired_ms: None, ..one.clone() };
        assert_eq!((pinned.state(policy), pinned.ends_ms(policy)), (State::Idle, None));
        let soon = Life { expire_days: Some(40), expired_ms: None, ..one.clone() };
        assert_eq!(soon.ends_ms(policy), Some(110 * DAY_MS - 1));
        let never = Policy { warn_days: None, expire_days: None, grace_days: 14 };
        assert_eq!((life(5, 0).state(never), life(5, 0).ends_ms(never)), (State::Live, None));
    }

    #[test]
    fn history_is_kept_for_one_replica_alone_up_to_what_the_next_one_needs() {
        let current = Generation::new(50).unwrap();
        let [low, high] = [life(5, 0), life(9, 0)];
        let found = keeps_alone(&[high.clone(), low.clone()], current);
        assert_eq!(found.map(|(id, after, upto)| (id, after.get(), upto.get())), Some((low.id, 5, 9)));
        assert_eq!(keeps_alone(&[low.clone(), low.clone()], current), None, "two need it alike");
        assert_eq!(keeps_alone(std::slice::from_ref(&high), current).map(|(_, _, upto)| upto.get()), Some(50));
        let lost = Life { can_go_on: false, ..low };
        assert_eq!(keeps_alone(&[lost, high.clone()], current).map(|(id, ..)| id), Some(high.id));
        assert_eq!(keeps_alone(&[], current), None);
    }
}
