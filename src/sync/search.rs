//! Finds the edits that cannot be applied among those that were tried in one statement.
//!
//! A failed statement is undone as a whole. Often the database says which row it failed on: then what stands before that
//! row is applied in one statement, and the search goes on after it. If it does not say, what failed is halved. How many
//! edits are tried at once adapts to how many of them are bad: twice as many after a success, half as many after a
//! failure, so that a clean upload goes in few large statements and little work is undone of one that is not.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
};

use uuid::Uuid;

use crate::model::{edit::Edit, layer::Layer, value::Value};

/// The most edits in one statement. There is next to nothing to gain beyond.
pub(super) const ROWS_PER_STATEMENT: usize = 5_000;

/// A search through a list of edits. After each try it is told how the try ended.
pub(super) struct Search<E> {
    /// Everything before is settled.
    at: usize,
    n_edits: usize,
    /// How many to try when nothing is known of them.
    size: usize,
    failure: Option<Failure<E>>,
}

/// Edits that are known to fail together, the first of them where the search is.
struct Failure<E> {
    /// Where they end.
    end: usize,
    /// How many of them to try next; they are expected to succeed.
    next: usize,
    /// Whether the edit after those is likely to be the bad one.
    then_one: bool,
    error: E,
}

/// Which edit of a failed statement the database complained of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Culprit {
    /// This one, certainly.
    Is(usize),
    /// This one, most likely.
    MayBe(usize),
    /// It did not say.
    Unknown,
}

impl<E> Search<E> {
    /// A search through this many edits.
    pub(super) fn new(n_edits: usize) -> Search<E> {
        Search { at: 0, n_edits, size: ROWS_PER_STATEMENT, failure: None }
    }

    /// What to try next. `None` when all edits are settled.
    pub(super) fn next(&self) -> Option<Range<usize>> {
        let n = match &self.failure {
            None => self.size,
            Some(failure) => failure.next,
        };
        (self.at < self.n_edits).then(|| self.at..(self.at + n).min(self.n_edits))
    }

    /// The try of `n` edits succeeded.
    pub(super) fn succeeded(&mut self, n: usize) {
        self.at += n;
        match &mut self.failure {
            None => self.size = (self.size * 2).min(ROWS_PER_STATEMENT),
            // What failed together may succeed after what has changed since.
            Some(failure) if self.at >= failure.end => self.failure = None,
            Some(failure) => {
                let half = (failure.end - self.at).div_ceil(2);
                failure.next = if std::mem::take(&mut failure.then_one) { 1 } else { half };
            }
        }
    }

    /// The try of `n` edits failed, because of `culprit` among them.
    pub(super) fn failed(&mut self, n: usize, culprit: Culprit, error: E) {
        if self.failure.is_none() {
            self.size = match culprit {
                Culprit::Is(index) | Culprit::MayBe(index) => (self.size / 2).min(2 * index + 2),
                Culprit::Unknown => self.size / 2,
            }
            .max(1);
        }
        let (n_bad, next) = match culprit {
            Culprit::Is(index) => (index + 1, index),
            Culprit::MayBe(index) => (n, index),
            Culprit::Unknown => (n, n / 2),
        };
        let then_one = matches!(culprit, Culprit::MayBe(1..));
        self.failure = Some(Failure { end: self.at + n_bad, next: next.max(1), then_one, error });
    }

    /// The edit that turns out to be refused, and why, if the last try left only one that can be. It is settled by this.
    pub(super) fn refused(&mut self) -> Option<(usize, E)> {
        let failure = self.failure.take_if(|failure| failure.end == self.at + 1)?;
        self.at += 1;
        Some((self.at - 1, failure.error))
    }
}

/// Which of the edits of a failed statement the database complains of.
pub(super) fn culprit(layer: &Layer, edits: &[(usize, &Edit)], error: &sqlx::Error) -> Culprit {
    let sqlx::Error::Database(database) = error else { return Culprit::Unknown };
    let detail = database
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .and_then(|database| database.detail())
        .unwrap_or_default();
    match database.code().unwrap_or_default().as_ref() {
        // The detail shows the row that breaks the rule, with its global id.
        "23502" | "23514" if database.table() == Some(layer.table_name.as_str()) => {
            let places: HashMap<Uuid, usize> =
                edits.iter().enumerate().map(|(place, (_, edit))| (edit.global_id.0, place)).collect();
            let named: BTreeSet<usize> = uuids(detail).filter_map(|id| places.get(&id).copied()).collect();
            match named.first() {
                Some(place) if named.len() == 1 => Culprit::Is(*place),
                _ => Culprit::Unknown,
            }
        }
        // The detail is the global id.
        "44000" => match edits.iter().position(|(_, edit)| uuids(detail).any(|id| id == edit.global_id.0)) {
            Some(place) => Culprit::Is(place),
            None => Culprit::Unknown,
        },
        // The detail shows the value: it may be that of several edits, of which the first may be good.
        "23503" | "23505" => {
            let Some((column, value)) = key(detail) else { return Culprit::Unknown };
            let field = layer.fields.iter().position(|field| field.name == column);
            let has_value = |edit: &Edit| match field {
                Some(field) if field == layer.global_id => edit.global_id.0.hyphenated().to_string() == value,
                Some(field) => edit
                    .values
                    .iter()
                    .find(|(index, _)| *index == field)
                    .is_some_and(|(_, sent)| written(sent).as_deref() == Some(value)),
                None => false,
            };
            match edits.iter().position(|(_, edit)| has_value(edit)) {
                Some(place) => Culprit::MayBe(place),
                None => Culprit::Unknown,
            }
        }
        _ => Culprit::Unknown,
    }
}

/// The GUIDs that a text names, each once for each time.
fn uuids(text: &str) -> impl Iterator<Item = Uuid> {
    const LENGTH: usize = 36;
    text.as_bytes()
        .windows(LENGTH)
        .filter(|window| window.iter().filter(|byte| **byte == b'-').count() == 4)
        .filter_map(|window| Uuid::try_parse_ascii(window).ok())
}

/// `Key (column)=(value) …`: column and value, if it is one column.
fn key(detail: &str) -> Option<(&str, &str)> {
    let (_, rest) = detail.split_once('(')?;
    let (column, rest) = rest.split_once(")=(")?;
    let (value, _) = rest.split_once(") ")?;
    Some((column.trim_matches('"'), value))
}

/// A value as the database writes it, for the types that keys have.
fn written(value: &Value) -> Option<String> {
    match value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Text(text) => Some(text.clone()),
        Value::Guid(guid) => Some(guid.hyphenated().to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a search in which the edits at `bad` fail; `names` says what the database tells of a failed try. Returns
    /// which were refused and the number of tries.
    fn play(n_edits: usize, bad: &[usize], names: impl Fn(usize) -> Culprit) -> (Vec<usize>, usize) {
        let mut search = Search::new(n_edits);
        let (mut refused, mut applied, mut n_tries) = (Vec::new(), Vec::new(), 0);
        while let Some(range) = search.next() {
            n_tries += 1;
            assert!(!range.is_empty() && n_tries < 20 * n_edits + 20, "the search does not end: {range:?}");
            match bad.iter().find(|bad| range.contains(bad)) {
                None => {
                    search.succeeded(range.len());
                    applied.extend(range);
                }
                Some(first) => {
                    search.failed(range.len(), names(first - range.start), *first);
                }
            }
            if let Some((at, error)) = search.refused() {
                assert_eq!(error, at, "the reason is the edit's own");
                refused.push(at);
            }
        }
        let mut all: Vec<usize> = applied.iter().chain(&refused).copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..n_edits).collect::<Vec<_>>(), "each edit has one end");
        (refused, n_tries)
    }

    #[test]
    fn the_bad_edits_are_found_and_no_others_whatever_the_database_says() {
        let everywhere: Vec<usize> = (0..10_000).step_by(97).collect();
        for bad in [vec![], vec![0], vec![4_999, 5_000], vec![9_999], vec![3, 4, 5, 6], everywhere] {
            assert_eq!(play(10_000, &bad, Culprit::Is).0, bad);
            assert_eq!(play(10_000, &bad, Culprit::MayBe).0, bad);
            assert_eq!(play(10_000, &bad, |_| Culprit::Unknown).0, bad);
            assert_eq!(play(10_000, &bad, |_| Culprit::MayBe(0)).0, bad, "a wrong guess costs time only");
        }
        let all: Vec<usize> = (0..100).collect();
        assert_eq!(play(100, &all, |_| Culprit::Unknown).0, all);
    }

    #[test]
    fn one_bad_edit_in_a_hundred_takes_few_tries() {
        let bad: Vec<usize> = (50..10_000).step_by(100).collect();
        assert_eq!(play(10_000, &[], |_| Culprit::Unknown).1, 2);
        assert!(play(10_000, &bad, Culprit::Is).1 < 300);
        assert!(play(10_000, &bad, Culprit::MayBe).1 < 420);
        assert!(play(10_000, &bad, |_| Culprit::Unknown).1 < 1_200);
    }

    #[test]
    fn details_of_the_database_are_read() {
        let id = Uuid::from_u128(0x8d8b_7c2e_0000_4000_8000_0000_0000_000a);
        let detail = format!("Failing row contains (1, {id}, a, (b), null).");
        assert_eq!(uuids(&detail).collect::<Vec<_>>(), [id]);
        assert_eq!(key("Key (label)=(a (b)) already exists."), Some(("label", "a (b)")));
        assert_eq!(key("Key (\"Kind\")=(9) is not present in table \"kind (old)\"."), Some(("Kind", "9")));
    }
}
