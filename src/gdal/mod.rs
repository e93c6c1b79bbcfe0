//! Exports in the formats that GDAL writes, by its program `ogr2ogr`.
//!
//! What is converted is a GeoPackage of our own making, so nothing that a stranger wrote is read. The program runs as a process
//! of its own, with an argument list and never a shell, with limits of time, memory and size, and ends with who waits for it.
//! [`recipe`] knows what each format takes and what it cannot hold; [`archive`] makes one file of several, [`attachments`] some of what stays behind.

mod archive;
mod attachments;
mod recipe;

use std::{
    ffi::OsString,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::{Child, Command},
    sync::OnceCell,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};

use crate::{
    error::{Error, Result},
    files::{Files, Finished, Progress},
    model::{data_format::DataFormat, layer::Layer, query::Columns},
};

/// How long the program may think about what it can.
const ASKED: Duration = Duration::from_secs(30);

/// How much of what the program complains of is read.
const MAX_COMPLAINT_BYTES: usize = 1 << 16;

/// How many different complaints are passed on.
const MAX_COMPLAINTS: usize = 100;

/// What of its environment the program needs; the rest, like the address of the database, is no business of its.
const ENVIRONMENT: [&str; 8] =
    ["PATH", "HOME", "LD_LIBRARY_PATH", "GDAL_DATA", "GDAL_DRIVER_PATH", "PROJ_LIB", "PROJ_DATA", "LC_CTYPE"];

/// The formats that the installed GDAL writes; none if it is not installed. It is asked once.
pub(crate) async fn formats() -> &'static [DataFormat] {
    static FORMATS: OnceCell<Vec<DataFormat>> = OnceCell::const_new();
    FORMATS
        .get_or_init(|| async {
            let output = program().arg("--formats").stdin(Stdio::null()).kill_on_drop(true).output();
            match timeout(ASKED, output).await.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())) {
                Ok(output) => recipe::written_by(&String::from_utf8_lossy(&output.stdout)),
                Err(error) => {
                    tracing::info!(%error, "GDAL's ogr2ogr cannot be run; there are no exports in the formats that it writes");
                    Vec::new()
                }
            }
        })
        .await
}

/// Checks that exports of this format can be written here.
pub(crate) async fn require(format: DataFormat) -> Result<()> {
    if recipe::driver(format).is_none() || formats().await.contains(&format) {
        return Ok(());
    }
    Err(Error::NotSupported(format!(
        "dataFormat={} is not supported by this server: it needs GDAL with the driver {}, which is not installed; the formats of supportedExportFormats are",
        format.name(),
        recipe::driver(format).unwrap_or_default()
    )))
}

/// Whether exports of this format are converted from a GeoPackage.
pub(crate) fn converts(format: DataFormat) -> bool {
    recipe::driver(format).is_some()
}

/// Whether, in the GeoPackage that is converted to this format, rows have keys of their own, and object ids are fields like
/// others. Where the format has object ids itself, they are the keys.
pub(crate) fn needs_own_keys(format: DataFormat) -> bool {
    format != DataFormat::FileGeodatabase
}

/// Whether attachments come along: as tables, or as files in the same archive. A workbook is no archive that people look into.
pub(crate) fn keeps_attachments(format: DataFormat) -> bool {
    format != DataFormat::Excel
}

/// What one conversion may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long.
    pub(crate) time: Duration,
    /// How many bytes it may write, before they are packed.
    pub(crate) bytes: u64,
    /// How many bytes of memory the program may take. Workbooks are held in memory while they are written.
    pub(crate) memory: u64,
}

/// A GeoPackage that is to be converted.
pub(crate) struct Conversion {
    /// To what.
    pub(crate) format: DataFormat,
    /// What files with several layers are called.
    pub(crate) title: String,
    /// The layers, of which there is at least one.
    pub(crate) layers: Vec<Source>,
    /// Whether attachments were asked for.
    pub(crate) wants_attachments: bool,
}

/// A layer of the GeoPackage.
pub(crate) struct Source {
    /// The name of its table.
    pub(crate) table: String,
    /// What it is.
    pub(crate) layer: Arc<Layer>,
    /// What of it is there.
    pub(crate) columns: Columns,
    /// How many rows.
    pub(crate) n_rows: u64,
    /// How many attachments they have in the GeoPackage.
    pub(crate) n_attachments: u64,
}

/// A file that was converted, and for people what it does not hold, or holds otherwise.
pub(crate) struct Converted {
    /// The file.
    pub(crate) finished: Finished,
    /// What it lacks.
    pub(crate) remarks: Vec<String>,
}

/// Converts a GeoPackage. Dropped unfinished, it ends the program and leaves nothing behind.
pub(crate) async fn convert(
    files: &Files,
    package: &Finished,
    conversion: Conversion,
    limits: Limits,
    progress: &Progress,
) -> Result<Converted> {
    let place = files.workplace().await?;
    let source = place.path().join("source.gpkg");
    package.lend(&source).await?;
    let directory = place.path().join("made");
    tokio::fs::create_dir(&directory).await.map_err(|error| Error::internal("making a directory", error))?;
    let mut remarks = recipe::remarks(&conversion);
    let steps = recipe::steps(&conversion, &source, &directory)?;
    let (ends, n_rows) = (Instant::now() + limits.time, steps.iter().map(|step| step.n_rows).sum::<u64>());
    let mut n_before = 0;
    for step in steps {
        let tell = |percent: u64| {
            let done = n_before * 100 + step.n_rows * percent;
            progress.tell_converted(done.checked_div(n_rows).unwrap_or(100).min(100));
        };
        for complaint in run(&step.arguments, &directory, (limits, ends), tell).await? {
            if !remarks.contains(&complaint) && remarks.len() < MAX_COMPLAINTS {
                remarks.push(complaint);
            }
        }
        n_before += step.n_rows;
    }
    progress.tell_converted(100);
    let finished = archive::finish(files.place(), (source, directory), conversion, &remarks).await?;
    Ok(Converted { finished, remarks })
}

/// `ogr2ogr`, with no more of the environment than it needs.
fn program() -> Command {
    let mut command = Command::new("ogr2ogr");
    command.env_clear().env("PROJ_NETWORK", "OFF");
    for name in ENVIRONMENT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Runs `ogr2ogr` to its end, telling how far it is in percent. Returns what it warned of.
async fn run(
    arguments: &[OsString],
    directory: &Path,
    (limits, ends): (Limits, Instant),
    tell: impl Fn(u64),
) -> Result<Vec<String>> {
    let mut command = program();
    command.args(arguments).current_dir(directory).env("CPL_TMPDIR", directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| {
        Error::Unavailable(format!("GDAL's ogr2ogr cannot be run ({error}); ask for dataFormat=geoPackage or json"))
    })?;
    limit(&child, limits)?;
    let complaints = child.stderr.take().map(|stderr| tokio::spawn(read_complaints(stderr)));
    if let Some(stdout) = child.stdout.take() {
        follow(stdout, directory, (limits, ends), tell).await?;
    }
    let status = child.wait().await.map_err(|error| Error::internal("waiting for ogr2ogr", error))?;
    let text = match complaints {
        Some(complaints) => {
            let failed = |error| Error::internal("reading what ogr2ogr complains of", error);
            complaints
                .await
                .map_err(failed)?
                .map_err(|error| Error::internal("reading what ogr2ogr complains of", error))?
        }
        None => String::new(),
    };
    // What could not be written is told on a line of its own, whatever the program says in the end.
    let failure = text.lines().find_map(|line| line.strip_prefix("ERROR")).map(after_number);
    if !status.success() || failure.is_some() {
        tracing::warn!(%status, complaints = text, "ogr2ogr failed");
        return Err(Error::NotSupported(format!(
            "GDAL could not write this format ({}); ask for fewer fields or rows, or for dataFormat=geoPackage or json",
            failure.map_or_else(|| format!("ogr2ogr ended with {status}"), str::to_owned)
        )));
    }
    let warnings = text.lines().filter_map(|line| line.strip_prefix("Warning")).map(after_number);
    // That it cannot say how far it is says nothing about the file.
    Ok(warnings.filter(|warning| !warning.starts_with("Progress turned off")).map(str::to_owned).collect())
}

/// Holds the program to its memory and to the size of each file. The whole is watched, see [`follow`].
fn limit(child: &Child, limits: Limits) -> Result<()> {
    let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) else { return Ok(()) };
    for (resource, most) in [(Resource::As, limits.memory), (Resource::Fsize, limits.bytes)] {
        let limits = Rlimit { current: Some(most), maximum: Some(most) };
        match prlimit(Some(pid), resource, limits) {
            // It has ended already; its status says how.
            Ok(_) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(Error::internal("limiting ogr2ogr", error)),
        }
    }
    Ok(())
}

/// Follows GDAL's `0...10...20...` to its end.
async fn follow(
    mut stdout: impl AsyncRead + Unpin,
    directory: &Path,
    (limits, ends): (Limits, Instant),
    tell: impl Fn(u64),
) -> Result<()> {
    let mut chunk = [0_u8; 256];
    let mut n_dots = 0;
    let mut looking = interval(Duration::from_secs(1));
    looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            n_read = stdout.read(&mut chunk) => {
                let n_read = n_read.map_err(|error| Error::internal("reading what ogr2ogr says", error))?;
                if n_read == 0 {
                    return Ok(());
                }
                let read = chunk.get(..n_read).unwrap_or_default();
                n_dots += read.iter().filter(|byte| **byte == b'.').count() as u64;
                // Three for each tenth.
                tell((n_dots * 10 / 3).min(100));
            }
            _ = looking.tick() => {
                if size(directory.to_owned()).await? > limits.bytes {
                    return Err(Error::TooLarge { what: "the export", limit: format!("{} bytes (max_conversion_bytes)", limits.bytes) });
                }
            }
            () = sleep_until(ends) => {
                return Err(Error::NotSupported(format!(
                    "converting the export took longer than {} seconds (max_conversion_seconds) and was ended; ask for fewer rows, or for dataFormat=geoPackage or json",
                    limits.time.as_secs()
                )));
            }
        }
    }
}

/// How many bytes the files in a directory have.
async fn size(directory: PathBuf) -> Result<u64> {
    tokio::task::spawn_blocking(move || {
        let files = archive::files(&directory)?;
        // One that went away meanwhile has none.
        Ok(files.iter().filter_map(|path| std::fs::metadata(path).ok()).map(|metadata| metadata.len()).sum())
    })
    .await
    .map_err(|error| Error::internal("measuring an export", error))?
}

/// Reads the beginning of what the program complains of, and passes over the rest, so that it is never held up.
async fn read_complaints(mut stderr: impl AsyncRead + Unpin) -> std::io::Result<String> {
    let mut text = Vec::new();
    let mut chunk = [0_u8; 4096];
    loop {
        let n_read = stderr.read(&mut chunk).await?;
        if n_read == 0 {
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        let free = MAX_COMPLAINT_BYTES.saturating_sub(text.len());
        text.extend_from_slice(chunk.get(..n_read.min(free)).unwrap_or_default());
    }
}

/// The text of ` 6: text`.
fn after_number(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(_, text)| text).trim()
}
