//! What the server counts while it runs, and the text in which it tells it (Prometheus, text format 0.0.4).

use std::{
    fmt::Display,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

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
}

/// Counters since the process began.
#[derive(Debug, Default)]
pub struct Metrics {
    syncs: [AtomicU64; 5],
    applied: AtomicU64,
    refused: AtomicU64,
    waited_us: AtomicU64,
}

impl Metrics {
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
        let name = "syncline_sync_wait_seconds_total";
        page.metric(
            name,
            "counter",
            "How long synchronizations waited for another one of their replica, or for a connection, since the process began",
        );
        page.value(name, &[], Duration::from_micros(self.waited_us.load(Ordering::Relaxed)).as_secs_f64());
    }
}

/// A page of metrics while it is written.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// Begins a metric.
    pub fn metric(&mut self, name: &str, kind: &str, help: &str) {
        self.text.push_str(&["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"].concat());
    }

    /// Writes one value of it.
    pub fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (position, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.text.push_str(&[if position == 0 { "{" } else { "," }, label, "=\"", &text, "\""].concat());
        }
        self.text.push_str(if labels.is_empty() { " " } else { "} " });
        self.text.push_str(&value.to_string());
        self.text.push('\n');
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
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
