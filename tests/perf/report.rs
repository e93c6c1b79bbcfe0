//! Figures, and the table that people read.

use std::io::Write as _;

use serde_json::{Value as Json, json};

use super::Result;

/// What a ratio should be.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// Measured divided by reference is at most this.
    AtMost(f64),
    /// Measured divided by reference is at least this.
    AtLeast(f64),
    /// Reference divided by measured is at least this.
    TimesFaster(f64),
}

/// What figures mean.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    Seconds,
    Milliseconds,
    PerSecond,
    Mebibytes,
    Kibibytes,
}

/// The figures of one side of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// One for each round: what was measured once, or the median of many.
    pub rounds: Vec<f64>,
    /// All that were measured, if there are many in a round.
    pub all: Vec<f64>,
}

impl Series {
    /// Adds a round of one figure.
    pub fn one(&mut self, figure: f64) {
        self.rounds.push(figure);
    }

    /// Adds a round of many.
    pub fn many(&mut self, figures: &[f64]) {
        self.rounds.push(quantile(figures, 50));
        self.all.extend_from_slice(figures);
    }

    fn shown(&self, unit: Unit) -> String {
        let median = figure(quantile(&self.rounds, 50), unit);
        match self.all.is_empty() {
            true => median,
            false => format!("{median} (p95 {})", figure(quantile(&self.all, 95), unit)),
        }
    }

    fn json(&self) -> Json {
        let mut shown = json!({"median": quantile(&self.rounds, 50), "rounds": self.rounds});
        if !self.all.is_empty() {
            shown["p50"] = quantile(&self.all, 50).into();
            shown["p95"] = quantile(&self.all, 95).into();
        }
        shown
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Comparison {
    pub name: &'static str,
    pub against: &'static str,
    pub unit: Unit,
    pub measured: Series,
    pub reference: Series,
    pub goal: Option<Goal>,
}

impl Comparison {
    fn ratios(&self) -> Vec<f64> {
        let pairs = self.measured.rounds.iter().zip(&self.reference.rounds);
        match self.goal {
            Some(Goal::TimesFaster(_)) => pairs.map(|(measured, reference)| reference / measured).collect(),
            _ => pairs.map(|(measured, reference)| measured / reference).collect(),
        }
    }

    fn verdict(&self) -> Option<bool> {
        let ratio = quantile(&self.ratios(), 50);
        self.goal.map(|goal| match goal {
            Goal::AtMost(most) => ratio <= most,
            Goal::AtLeast(least) => ratio >= least,
            Goal::TimesFaster(least) => ratio >= least,
        })
    }

    fn cells(&self) -> [String; 6] {
        let ratios = self.ratios();
        let (goal, verdict) = match (self.goal, self.verdict()) {
            (Some(Goal::AtMost(most)), Some(met)) => (format!("<= {most}"), if met { "met" } else { "short" }),
            (Some(Goal::AtLeast(least)), Some(met)) => (format!(">= {least}"), if met { "met" } else { "short" }),
            (Some(Goal::TimesFaster(least)), Some(met)) => {
                (format!(">= {least} faster"), if met { "met" } else { "short" })
            }
            _ => (String::new(), ""),
        };
        [
            self.name.to_owned(),
            self.measured.shown(self.unit),
            format!("{}: {}", self.against, self.reference.shown(self.unit)),
            [0, 50, 100].map(|percent| format!("{:.2}", quantile(&ratios, percent))).join(" / "),
            goal,
            verdict.to_owned(),
        ]
    }

    fn json(&self) -> Json {
        let ratios = self.ratios();
        let (at_most, at_least, faster) = match self.goal {
            Some(Goal::AtMost(most)) => (Some(most), None, None),
            Some(Goal::AtLeast(least)) => (None, Some(least), None),
            Some(Goal::TimesFaster(least)) => (None, None, Some(least)),
            None => (None, None, None),
        };
        json!({
            "name": self.name,
            "against": self.against,
            "unit": format!("{:?}", self.unit),
            "measured": self.measured.json(),
            "reference": self.reference.json(),
            "ratio": {"min": quantile(&ratios, 0), "median": quantile(&ratios, 50), "max": quantile(&ratios, 100)},
            "goal": {"at_most": at_most, "at_least": at_least, "times_faster": faster},
            "met": self.verdict(),
        })
    }
}

/// The figure below which a share of all lies; not a number if there are none.
pub fn quantile(figures: &[f64], percent: usize) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let index = sorted.len().saturating_sub(1) * percent;
    let (low, high) = (index / 100, index.div_ceil(100));
    match (sorted.get(low), sorted.get(high)) {
        (Some(low), Some(high)) => f64::midpoint(*low, *high),
        _ => f64::NAN,
    }
}

fn figure(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Seconds => format!("{value:.2} s"),
        Unit::Milliseconds => format!("{value:.2} ms"),
        Unit::PerSecond => format!("{value:.0} /s"),
        Unit::Mebibytes => format!("{value:.1} MiB"),
        Unit::Kibibytes => format!("{value:.0} KiB"),
    }
}

/// Prints the table.
pub fn print(comparisons: &[Comparison]) -> Result<()> {
    let mut lines = vec![["", "measured", "reference", "ratio min / median / max", "goal", ""].map(str::to_owned)];
    lines.extend(comparisons.iter().map(Comparison::cells));
    let width = |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut out = std::io::stdout().lock();
    writeln!(out)?;
    for cells in &lines {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// The figures for programs.
pub fn json(rows: u32, rounds: u32, comparisons: &[Comparison]) -> Result<String> {
    let list: Vec<Json> = comparisons.iter().map(Comparison::json).collect();
    Ok(serde_json::to_string_pretty(&json!({"rows": rows, "rounds": rounds, "comparisons": list}))?)
}

/// Says on standard error what is being done.
pub fn progress(text: &str) {
    // Nobody need read it.
    let _ = writeln!(std::io::stderr(), "bench: {text}");
}
