//! How often something took how long, or was how large.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::Page;

/// The upper ends of classes of durations, in seconds: from a query by id to an export of everything.
const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0];

/// The upper ends of classes of numbers of rows.
const ROWS: &[f64] = &[0.0, 1.0, 10.0, 100.0, 1_000.0, 10_000.0, 100_000.0, 1_000_000.0];

/// What was observed, in classes.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// How many were in each class, and above the last one.
    classes: Vec<AtomicU64>,
    /// The sum of all, in millionths.
    sum: AtomicU64,
}

impl Histogram {
    /// Of durations.
    pub fn of_seconds() -> Histogram {
        Histogram::new(SECONDS)
    }

    /// Of numbers of rows.
    pub fn of_rows() -> Histogram {
        Histogram::new(ROWS)
    }

    fn new(bounds: &'static [f64]) -> Histogram {
        let classes = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds, classes, sum: AtomicU64::new(0) }
    }

    /// Counts something that took so long.
    pub fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.count(duration.as_secs_f64(), us);
    }

    /// Counts something that had so many rows.
    pub fn observe_rows(&self, n_rows: u64) {
        let shown = u32::try_from(n_rows).unwrap_or(u32::MAX);
        self.count(f64::from(shown), n_rows.saturating_mul(1_000_000));
    }

    fn count(&self, value: f64, millionths: u64) {
        let class = self.bounds.partition_point(|bound| *bound < value);
        if let Some(counter) = self.classes.get(class) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(millionths, Ordering::Relaxed);
    }

    /// Writes all classes, each with those below it.
    pub fn write(&self, name: &str, labels: &[(&str, &str)], page: &mut Page) {
        let bucket = format!("{name}_bucket");
        let mut n = 0;
        let bounds = self.bounds.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
        for (counter, bound) in self.classes.iter().zip(bounds) {
            n += counter.load(Ordering::Relaxed);
            let labels: Vec<(&str, &str)> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            page.value(&bucket, &labels, n);
        }
        let sum = Duration::from_micros(self.sum.load(Ordering::Relaxed)).as_secs_f64();
        page.value(&format!("{name}_sum"), labels, sum);
        page.value(&format!("{name}_count"), labels, n);
    }
}
