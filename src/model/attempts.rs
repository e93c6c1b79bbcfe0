//! Who has guessed passwords wrongly, and how long they must wait.
//!
//! Counted are accounts, whether they exist or not, and addresses. After some mistakes, each further one doubles the wait, so that ten
//! thousand guesses come to some dozens. Whoever waits is not told whether a guess was right.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// How many accounts and addresses are remembered.
const MAX_REMEMBERED: usize = 100_000;
/// After how long without an attempt everything is forgiven.
const FORGIVEN: Duration = Duration::from_hours(1);

/// What mistakes are counted of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Counted {
    /// An account, by its name in lower case.
    Account(String),
    /// An address of the network; of those of the newer kind, the network that one place has.
    Address(IpAddr),
}

impl Counted {
    /// An address, or the network that it is of.
    pub fn address(address: IpAddr) -> Counted {
        Counted::Address(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(long) => match long.to_ipv4_mapped() {
                Some(short) => short.into(),
                None => IpAddr::from((long.to_bits() & !u128::from(u64::MAX)).to_be_bytes()),
            },
        })
    }

    /// How many mistakes cost nothing, and the longest wait.
    fn limits(&self) -> (u32, Duration) {
        match self {
            // Somebody else's mistakes must not keep a user out for long.
            Counted::Account(_) => (5, Duration::from_mins(5)),
            // Many people may have one address.
            Counted::Address(_) => (20, Duration::from_mins(15)),
        }
    }
}

/// The mistakes of all.
#[derive(Debug, Default)]
pub struct Attempts(HashMap<Counted, Mistakes>);

#[derive(Clone, Copy, Debug)]
struct Mistakes {
    n: u32,
    last: Instant,
}

impl Mistakes {
    fn wait(self, of: &Counted, now: Instant) -> Duration {
        let (n_free, longest) = of.limits();
        if self.n < n_free {
            return Duration::ZERO;
        }
        let wait = Duration::from_secs(1 << (self.n - n_free).min(20)).min(longest);
        (self.last + wait).saturating_duration_since(now)
    }
}

impl Attempts {
    /// How long to wait before the next attempt.
    pub fn wait(&self, of: &[Counted], now: Instant) -> Duration {
        let waits = of.iter().filter_map(|counted| Some(self.0.get(counted)?.wait(counted, now)));
        waits.max().unwrap_or_default()
    }

    /// Takes over what is known elsewhere of mistakes: how many there were and how long ago the last one was, if there were any.
    pub fn learn(&mut self, of: &Counted, known: Option<(u32, Duration)>, now: Instant) {
        match known.and_then(|(n, since)| Some(Mistakes { n, last: now.checked_sub(since)? })) {
            Some(mistakes) => drop(self.0.insert(of.clone(), mistakes)),
            None => drop(self.0.remove(of)),
        }
    }

    /// Counts an attempt as a mistake until it is known to be none. The error is how long to wait instead.
    pub fn begin(&mut self, of: &[Counted], now: Instant) -> Result<(), Duration> {
        let wait = self.wait(of, now);
        if wait > Duration::ZERO {
            return Err(wait);
        }
        if self.0.len() + of.len() > MAX_REMEMBERED {
            self.0.retain(|counted, mistakes| mistakes.wait(counted, now) > Duration::ZERO);
        }
        if self.0.len() + of.len() > MAX_REMEMBERED {
            // Somebody guesses from very many addresses: whoever has waited longest is let go.
            let mut since: Vec<Instant> = self.0.values().map(|mistakes| mistakes.last).collect();
            let middle = since.len() / 2;
            let (_, oldest, _) = since.select_nth_unstable(middle);
            let oldest = *oldest;
            self.0.retain(|_, mistakes| mistakes.last > oldest);
        }
        for counted in of {
            let mistakes = self.0.entry(counted.clone()).or_insert(Mistakes { n: 0, last: now });
            if now.saturating_duration_since(mistakes.last) > FORGIVEN {
                mistakes.n = 0;
            }
            mistakes.n = mistakes.n.saturating_add(1);
            mistakes.last = now;
        }
        Ok(())
    }

    /// Takes back an attempt that was no mistake. The account is forgiven all others, the address only this one: else whoever has one account could
    /// guess the passwords of all others.
    pub fn succeeded(&mut self, of: &[Counted]) {
        for counted in of {
            match counted {
                Counted::Account(_) => drop(self.0.remove(counted)),
                Counted::Address(_) => {
                    if let Some(mistakes) = self.0.get_mut(counted) {
                        mistakes.n = mistakes.n.saturating_sub(1);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> Counted {
        Counted::Account("ann".to_owned())
    }

    fn from(n: u32) -> Counted {
        Counted::address(IpAddr::from(n.to_be_bytes()))
    }

    /// How many of ten thousand attempts, one every 20 ms, are looked at.
    fn evaluated(of: impl Fn(u32) -> [Counted; 2]) -> u32 {
        let (mut attempts, begin) = (Attempts::default(), Instant::now());
        let tries = (0..10_000u32).map(|n| attempts.begin(&of(n), begin + Duration::from_millis(20) * n));
        u32::try_from(tries.filter(Result::is_ok).count()).unwrap()
    }

    #[test]
    fn of_ten_thousand_guesses_few_are_looked_at() {
        assert!((5..20).contains(&evaluated(|_| [ann(), from(1)])));
        assert!((5..20).contains(&evaluated(|n| [ann(), from(n)])));
        assert!((20..40).contains(&evaluated(|n| [Counted::Account(n.to_string()), from(1)])));
    }

    #[test]
    fn whoever_knows_the_password_is_not_kept_waiting() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        for _ in 0..1000 {
            attempts.begin(&[ann(), from(1)], now).unwrap();
            attempts.succeeded(&[ann(), from(1)]);
        }
        for _ in 0..5 {
            attempts.begin(&[ann(), from(1)], now).unwrap();
        }
        let wait = attempts.begin(&[ann(), from(2)], now).unwrap_err();
        assert_eq!(wait, Duration::from_secs(1));
        attempts.begin(&[Counted::Account("bob".to_owned()), from(1)], now).unwrap();
        attempts.begin(&[ann(), from(2)], now + wait).unwrap();
        attempts.begin(&[ann(), from(2)], now + Duration::from_hours(2)).unwrap();
        assert_eq!(attempts.wait(&[ann()], now + Duration::from_hours(2)), Duration::ZERO);
    }

    #[test]
    fn what_others_have_counted_counts() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        attempts.learn(&ann(), Some((5, Duration::ZERO)), now);
        assert_eq!(attempts.begin(&[ann()], now), Err(Duration::from_secs(1)));
        attempts.learn(&ann(), Some((7, Duration::from_secs(3))), now);
        assert_eq!(attempts.wait(&[ann()], now), Duration::from_secs(1));
        attempts.learn(&ann(), None, now);
        attempts.begin(&[ann()], now).unwrap();
    }

    #[test]
    fn one_account_does_not_buy_guesses_at_others() {
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        let mut n_guesses = 0;
        for n in 0..100 {
            if attempts.begin(&[ann(), from(1)], now).is_ok() {
                attempts.succeeded(&[ann(), from(1)]);
            }
            n_guesses += u32::from(attempts.begin(&[Counted::Account(n.to_string()), from(1)], now).is_ok());
        }
        assert_eq!(n_guesses, 20);
    }

    #[test]
    fn one_place_has_one_network_and_memory_has_an_end() {
        let address = |text: &str| Counted::address(text.parse().unwrap());
        assert_eq!(address("2001:db8::1"), address("2001:db8::2:3"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:10.0.0.1"), address("10.0.0.1"));
        let (mut attempts, now) = (Attempts::default(), Instant::now());
        for n in 0..150_000 {
            attempts.begin(&[from(n)], now + Duration::from_micros(u64::from(n))).unwrap();
        }
        assert!(attempts.0.len() <= MAX_REMEMBERED);
    }
}
