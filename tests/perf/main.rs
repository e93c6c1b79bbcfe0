//! The benchmarks of sync: the real program against what PostgreSQL, a plain client and GDAL need for the same rows.
//!
//! Everything is compared in rounds, measured and reference in turn, and what counts is the median of the paired ratios: a
//! machine's pace changes from minute to minute, the ratio of two neighbours hardly. A goal that is missed is reported and
//! fails nothing. Run it with `scripts/bench`.
//!
//! [`bed`] has the database and the server, [`data`] the rows, [`http`] the client, [`report`] the table at the end; each
//! of the other modules is a subject.

mod abuse;
mod attachments;
mod bed;
mod ceiling;
mod clone;
mod crowd;
mod data;
mod delta;
mod export;
mod files;
mod http;
mod peers;
mod query;
mod report;
mod upload;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, ValueEnum};

use bed::Bed;
use report::Comparison;

/// What a benchmark ends with; any failure ends the run.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures export, files, delta, upload, crowds, attachments and query against PostgreSQL, a plain client and GDAL.
#[derive(Debug, Parser)]
#[command(name = "scripts/bench")]
struct Options {
    /// How many rows the large table has
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(100_000..))]
    rows: u32,
    /// How often each comparison is made
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Only these subjects
    #[arg(long, value_delimiter = ',')]
    only: Vec<Subject>,
    /// A Python that has tipg and pygeoapi, which are measured beside queries, and pygeodiff, beside clones
    #[arg(long, value_name = "PYTHON")]
    peers: Option<PathBuf>,
    /// Also write the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What cargo says to a benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Subject {
    Export,
    Files,
    Delta,
    Upload,
    Crowd,
    Attachments,
    Query,
    Clone,
}

fn main() -> ExitCode {
    // `cargo test --all-targets` starts benchmarks, too, and wants no figures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::progress(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<()> {
    let wanted = |subject| options.only.is_empty() || options.only.contains(&subject);
    let subjects: Vec<Subject> = Subject::value_variants().iter().copied().filter(|subject| wanted(*subject)).collect();
    let bed = Bed::start()?;
    let measured = measure(&bed, options, &subjects);
    bed.remove()?;
    let comparisons = measured?;
    report::print(&comparisons)?;
    if let Some(file) = &options.json {
        std::fs::write(file, report::json(options.rows, options.rounds, &comparisons)?)?;
    }
    Ok(())
}

fn measure(bed: &Bed, options: &Options, subjects: &[Subject]) -> Result<Vec<Comparison>> {
    data::build(bed, options.rows, subjects.contains(&Subject::Upload))?;
    let mut comparisons = Vec::new();
    for subject in subjects {
        comparisons.extend(match subject {
            Subject::Export => export::measure(bed, options.rounds)?,
            Subject::Files => files::measure(bed, options.rounds)?,
            Subject::Delta => delta::measure(bed, options.rows, options.rounds)?,
            Subject::Upload => upload::measure(bed, options.rows, options.rounds)?,
            Subject::Crowd => [crowd::measure(bed, options.rounds)?, abuse::measure(bed, options.rounds)?].concat(),
            Subject::Attachments => attachments::measure(bed, options.rounds)?,
            Subject::Query => query::measure(bed, options.rows, options.rounds, options.peers.as_deref())?,
            Subject::Clone => clone::measure(bed, options.rows, options.rounds, options.peers.as_deref())?,
        });
    }
    Ok(comparisons)
}
