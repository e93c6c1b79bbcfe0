//! What the server counts while it runs, and the text in which it tells it (Prometheus, text format 0.0.4).

mod histogram;
mod page;
mod process;

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

pub use histogram::Histogram;
pub use page::Page;

/// How a synchronization ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncOutcome {
    /// Every edit was applied.
    Completed,
    /// Some edits were refused.
    CompletedWithErrors,
    /// The client has to take all rows anew first.
    NeedsSnapshot,
    /// The request was refused.
    Refused,
    /// The server could not do it.
    Failed,
}

impl SyncOutcome {
    const ALL: [(SyncOutcome, &'static str); 5] = [
        (SyncOutcome::Completed, "completed"),
        (SyncOutcome::CompletedWithErrors, "completed_with_errors"),
        (SyncOutcome::NeedsSnapshot, "needs_snapshot"),
        (SyncOutcome::Refused, "refused"),
        (SyncOutcome::Failed, "failed"),
    ];

    /// The word by which monitoring and the timeline of a replica have it.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }

    /// The outcome with this name.
    pub fn from_name(name: &str) -> Option<SyncOutcome> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(outcome, _)| *outcome)
    }
}

/// Counters since the process began.
#[derive(Debug)]
pub struct Metrics {
    began: SystemTime,
    syncs: [AtomicU64; 5],
    applied: AtomicU64,
    refused: AtomicU64,
    waited_us: AtomicU64,
    deltas: Histogram,
    /// By route. A request takes the lock for as long as counting takes.
    requests: Mutex<BTreeMap<&'static str, Histogram>>,
    open_requests: AtomicU64,
    sent_bytes: AtomicU64,
    /// By code.
    errors: Mutex<BTreeMap<i64, u64>>,
    /// By operation and outcome.
    jobs: Mutex<BTreeMap<(&'static str, &'static str), u64>>,
    forgotten_changes: AtomicU64,
    pruned_at_unix: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let zero = || AtomicU64::new(0);
        Metrics {
            began: SystemTime::now(),
            syncs: Default::default(),
            applied: zero(),
            refused: zero(),
            waited_us: zero(),
            deltas: Histogram::of_rows(),
            requests: Mutex::default(),
            open_requests: zero(),
            sent_bytes: zero(),
            errors: Mutex::default(),
            jobs: Mutex::default(),
            forgotten_changes: zero(),
            pruned_at_unix: zero(),
        }
    }
}

/// What a lock guards; counting goes on if somebody panicked who held it.
fn held<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn unix(moment: SystemTime) -> Duration {
    moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

impl Metrics {
    /// Counts a request that came.
    pub fn begin_request(&self) {
        self.open_requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that is over, whose answer began after `duration`.
    pub fn end_request(&self, route: &'static str, duration: Duration, n_bytes: u64) {
        self.open_requests.fetch_sub(1, Ordering::Relaxed);
        self.sent_bytes.fetch_add(n_bytes, Ordering::Relaxed);
        held(&self.requests).entry(route).or_insert_with(Histogram::of_seconds).observe(duration);
    }

    /// Counts an error that was answered.
    pub fn count_error(&self, code: i64) {
        *held(&self.errors).entry(code).or_default() += 1;
    }

    /// Counts a job that ended.
    pub fn count_job(&self, operation: &'static str, outcome: &'static str) {
        *held(&self.jobs).entry((operation, outcome)).or_default() += 1;
    }

    /// Counts the rows of a delta or snapshot.
    pub fn count_delta(&self, n_rows: u64) {
        self.deltas.observe_rows(n_rows);
    }

    /// Counts changes that were forgotten, and notes when.
    pub fn count_pruning(&self, n_changes: u64) {
        self.forgotten_changes.fetch_add(n_changes, Ordering::Relaxed);
        self.pruned_at_unix.store(unix(SystemTime::now()).as_secs(), Ordering::Relaxed);
    }

    /// Counts a synchronization.
    pub fn count_sync(&self, outcome: SyncOutcome) {
        for (counter, (known, _)) in self.syncs.iter().zip(SyncOutcome::ALL) {
            if known == outcome {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Counts edits.
    pub fn count_edits(&self, n_applied: usize, n_refused: usize) {
        self.applied.fetch_add(n_applied as u64, Ordering::Relaxed);
        self.refused.fetch_add(n_refused as u64, Ordering::Relaxed);
    }

    /// Counts how long a synchronization waited for another one of its replica, or for a connection.
    pub fn count_wait(&self, waited: Duration) {
        self.waited_us.fetch_add(u64::try_from(waited.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Writes the counters.
    pub fn write(&self, page: &mut Page) {
        page.metric("syncline_syncs_total", "counter", "Synchronizations by outcome, since the process began");
        for (counter, (_, name)) in self.syncs.iter().zip(SyncOutcome::ALL) {
            page.value("syncline_syncs_total", &[("outcome", name)], counter.load(Ordering::Relaxed));
        }
        page.metric("syncline_edits_total", "counter", "Edits of clients by outcome, since the process began");
        for (counter, name) in [(&self.applied, "applied"), (&self.refused, "refused")] {
            page.value("syncline_edits_total", &[("outcome", name)], counter.load(Ordering::Relaxed));
        }
        page.single(
            "syncline_sync_wait_seconds_total",
            "counter",
            "How long synchronizations waited for another one of their replica, or for a connection, since the process began",
            Duration::from_micros(self.waited_us.load(Ordering::Relaxed)).as_secs_f64(),
        );
        page.metric(
            "syncline_delta_rows",
            "histogram",
            "Rows and deletions of deltas and snapshots that replicas were given",
        );
        self.deltas.write("syncline_delta_rows", &[], page);
        self.write_requests(page);
        page.metric("syncline_jobs_ended_total", "counter", "Jobs that this process ended, by operation and outcome");
        for ((operation, outcome), n) in held(&self.jobs).iter() {
            page.value("syncline_jobs_ended_total", &[("operation", operation), ("outcome", outcome)], n);
        }
        page.single(
            "syncline_forgotten_changes_total",
            "counter",
            "Changes that this process has deleted from the history",
            self.forgotten_changes.load(Ordering::Relaxed),
        );
        page.single(
            "syncline_last_pruning_timestamp_seconds",
            "gauge",
            "When this process last looked for history to forget, in seconds since 1970; 0 if it has not yet",
            self.pruned_at_unix.load(Ordering::Relaxed),
        );
        page.metric("syncline_build_info", "gauge", "The version of the program");
        page.value("syncline_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        process::write(unix(self.began).as_secs_f64(), page);
    }

    fn write_requests(&self, page: &mut Page) {
        let name = "syncline_request_duration_seconds";
        page.metric(name, "histogram", "How long requests took until their answers began, by route");
        for (route, histogram) in held(&self.requests).iter() {
            histogram.write(name, &[("route", route)], page);
        }
        page.metric("syncline_errors_total", "counter", "Requests that were answered by an error, by its code");
        for (code, n) in held(&self.errors).iter() {
            page.value("syncline_errors_total", &[("code", &code.to_string())], n);
        }
        page.single(
            "syncline_open_requests",
            "gauge",
            "Requests that are being answered",
            self.open_requests.load(Ordering::Relaxed),
        );
        page.single(
            "syncline_sent_bytes_total",
            "counter",
            "Bytes of answers, before compression",
            self.sent_bytes.load(Ordering::Relaxed),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_labels_and_labels_cannot_end_their_quotes() {
        let metrics = Metrics::default();
        metrics.count_sync(SyncOutcome::NeedsSnapshot);
        metrics.count_edits(2, 1);
        let mut page = Page::default();
        metrics.write(&mut page);
        page.value("x", &[("service", "a\"b\\"), ("y", "z")], 1.5);
        let text = page.finish();
        for line in [
            "syncline_syncs_total{outcome=\"needs_snapshot\"} 1\n",
            "syncline_syncs_total{outcome=\"completed\"} 0\n",
            "syncline_edits_total{outcome=\"applied\"} 2\n",
            "# TYPE syncline_edits_total counter\n",
            "x{service=\"a\\\"b\\\\\",y=\"z\"} 1.5\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
