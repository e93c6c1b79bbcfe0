//! `syncline clone`, `sync`, `status`: the offline client. It needs no database and no server of its own.

use std::{
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use rustix::termios;
use serde_json::{Value as Json, json};

use super::counted;
use crate::client::{
    Said,
    clone::{self, Wanted},
    error::{Error, Result},
    file::Replica,
    http::{Access, Server},
    status, sync,
};

/// The exit code of a synchronization that went through, and after which edits are refused or in conflict.
const NEEDS_ATTENTION: u8 = 3;
/// The exit code where the server could not be reached: nothing is lost, and the same command goes on.
const UNREACHABLE: u8 = 4;

/// The commands of the offline client.
#[derive(Debug, Subcommand)]
pub(super) enum Client {
    /// Take part of a feature service offline, as a GeoPackage that any program can edit
    Clone(Clone),
    /// Send what was edited in a cloned file, and fetch what others did
    ///
    /// Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but edits are refused or in conflict (see status), 4 the server
    /// cannot be reached: run it again.
    Sync(Sync),
    /// Show what is to be sent from a cloned file, what was refused, and how far it is behind
    Status(Status),
}

#[derive(Debug, Args)]
pub(super) struct Clone {
    /// The service: https://host/arcgis/rest/services/NAME/FeatureServer
    url: String,
    /// The file to make: field.gpkg
    file: PathBuf,
    /// Layers and tables by id or name, with commas between them [default: all]
    #[arg(long, value_delimiter = ',')]
    layers: Vec<String>,
    /// Only features that touch this box: west,south,east,north
    #[arg(long, value_name = "W,S,E,N", allow_hyphen_values = true, value_parser = parse_box)]
    bbox: Option<Box4>,
    /// The spatial reference of the box
    #[arg(long, value_name = "WKID", default_value_t = 4326)]
    bbox_sr: i32,
    /// Only rows of a layer for which a condition is true: 0:status = 'open' (can be repeated)
    #[arg(long = "where", value_name = "LAYER:CONDITION", value_parser = parse_condition)]
    conditions: Vec<(String, String)>,
    /// How the replica is called on the server; something unique is added
    #[arg(long, default_value = "syncline")]
    name: String,
    /// Leave attachments behind
    #[arg(long)]
    no_attachments: bool,
    /// Make no spatial indexes: then also programs without spatial functions, such as the sqlite3 shell, can edit the file
    #[arg(long)]
    no_spatial_index: bool,
    #[command(flatten)]
    access: Access,
    /// Print a JSON document instead of words
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Sync {
    /// The file: of syncline clone, or a GeoPackage of a replica that the server made
    file: PathBuf,
    /// Send what was refused again, as it stands in the file now
    #[arg(long)]
    retry: bool,
    /// Take all rows anew, after what was edited was sent
    #[arg(long)]
    snapshot: bool,
    #[command(flatten)]
    access: Access,
    /// Print a JSON document instead of words
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Status {
    /// The file: of syncline clone, or a GeoPackage of a replica that the server made
    file: PathBuf,
    /// Do not ask the server
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    access: Access,
    /// Print a JSON document instead of words
    #[arg(long)]
    json: bool,
}

/// West, south, east, north.
#[derive(Clone, Copy, Debug)]
struct Box4([f64; 4]);

fn parse_box(text: &str) -> std::result::Result<Box4, String> {
    let numbers: Vec<f64> = text.split(',').filter_map(|number| number.trim().parse().ok()).collect();
    match numbers.as_slice() {
        &[west, south, east, north] if west <= east && south <= north && numbers.iter().all(|n| n.is_finite()) => {
            Ok(Box4([west, south, east, north]))
        }
        _ => Err("a box is west,south,east,north: 8.4,49.0,8.5,49.1".to_owned()),
    }
}

fn parse_condition(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once(':') {
        Some((layer, condition)) if !condition.trim().is_empty() => {
            Ok((layer.trim().to_owned(), condition.trim().to_owned()))
        }
        _ => Err("a condition has its layer before it: 0:status = 'open'".to_owned()),
    }
}

impl Client {
    /// Runs the command. Failures are told here, and as exit codes.
    pub(super) fn run(self) -> ExitCode {
        let done = match self {
            Client::Clone(command) => command.run(),
            Client::Sync(command) => command.run(),
            Client::Status(command) => command.run(),
        };
        match done {
            Ok(code) => code,
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "syncline: {error}");
                match error {
                    Error::Unreachable(_) => ExitCode::from(UNREACHABLE),
                    _ => ExitCode::FAILURE,
                }
            }
        }
    }
}

impl Clone {
    fn run(self) -> Result<ExitCode> {
        let server = Server::connect(&self.url, &with_password(self.access)?)?;
        let wanted = Wanted {
            layers: self.layers,
            bbox: self.bbox.map(|bbox| bbox.0),
            bbox_sr: self.bbox_sr,
            conditions: self.conditions,
            name: self.name,
            attachments: !self.no_attachments,
            spatial_index: !self.no_spatial_index,
        };
        let mut shown = Shown::new(self.json);
        let counts = clone::run(&server, &wanted, &self.file, &mut |said| shown.hear(said))?;
        shown.end();
        if self.json {
            let tables: Vec<Json> = counts.iter().map(|(name, n)| json!({"table": name, "rows": n})).collect();
            print(&json!({"file": self.file.display().to_string(), "tables": tables}).to_string())?;
        } else {
            let counts: Vec<String> = counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
            print(&format!("{}: {}", self.file.display(), counts.join(", ")))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Sync {
    fn run(self) -> Result<ExitCode> {
        let mut replica = Replica::open(&self.file)?;
        let server = Server::connect(&replica.url, &with_password(self.access)?)?;
        let mut shown = Shown::new(self.json);
        let wishes = sync::Wishes { retry: self.retry, snapshot: self.snapshot };
        let done = sync::run(&mut replica, &server, wishes, &mut |said| shown.hear(said))?;
        shown.end();
        let status = status::of(&replica, None)?;
        let n_refused = status["refused"].as_array().map_or(0, Vec::len);
        if self.json {
            let summary = json!({
                "sent": done.sent, "received": done.received, "deleted": done.deleted, "conflicts": done.conflicts, "refused": status["refused"],
            });
            print(&summary.to_string())?;
        } else {
            let (sent, received) = (counted(done.sent, "edit"), counted(done.received, "row"));
            print(&format!("{sent} sent, {received} received, {} deleted", done.deleted))?;
            if n_refused > 0 {
                let refused = counted(n_refused, "edit");
                print(&format!("{refused} refused: see syncline status {}", self.file.display()))?;
            }
            if done.conflicts > 0 {
                let rows = counted(done.conflicts, "row");
                print(&format!(
                    "{rows} edited here and by others meanwhile: see syncline status {}",
                    self.file.display()
                ))?;
            }
        }
        Ok(if n_refused > 0 || done.conflicts > 0 { ExitCode::from(NEEDS_ATTENTION) } else { ExitCode::SUCCESS })
    }
}

impl Status {
    fn run(self) -> Result<ExitCode> {
        let replica = Replica::look(&self.file)?;
        let server = match self.offline {
            true => None,
            false => Some(Server::connect(&replica.url, &with_password(self.access)?)?),
        };
        let status = match status::of(&replica, server.as_ref()) {
            // What the file knows is worth telling also where the server is out of reach.
            Err(Error::Unreachable(problem)) => {
                let _ = writeln!(std::io::stderr(), "syncline: {problem}");
                status::of(&replica, None)?
            }
            done => done?,
        };
        print(&if self.json { status.to_string() } else { described(&status) })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Asks for the password of a user where it is not known yet: at a terminal, or else of the first line that is piped in.
fn with_password(mut access: Access) -> Result<Access> {
    let Some(user) = access.user.as_ref().filter(|_| access.password.is_none()) else { return Ok(access) };
    let failed = |error: std::io::Error| Error::Unfit(format!("--user: the password cannot be read: {error}"));
    let input = std::io::stdin();
    let shown = if input.is_terminal() {
        let _ = write!(std::io::stderr(), "Password of {user}: ");
        let shown = termios::tcgetattr(&input).map_err(|error| failed(error.into()))?;
        let mut hidden = shown.clone();
        hidden.local_modes.remove(termios::LocalModes::ECHO);
        termios::tcsetattr(&input, termios::OptionalActions::Flush, &hidden).map_err(|error| failed(error.into()))?;
        Some(shown)
    } else {
        None
    };
    let mut line = String::new();
    let read = input.read_line(&mut line);
    if let Some(shown) = shown {
        termios::tcsetattr(&input, termios::OptionalActions::Now, &shown).map_err(|error| failed(error.into()))?;
        let _ = writeln!(std::io::stderr());
    }
    if read.map_err(failed)? == 0 {
        return Err(Error::Unfit(
            "--user: there is no password; set SYNCLINE_PASSWORD, or write it on the standard input".to_owned(),
        ));
    }
    access.password = Some(line.trim_end_matches(['\r', '\n']).to_owned());
    Ok(access)
}

/// A status for people.
fn described(status: &Json) -> String {
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut lines = vec![
        format!("service:    {}", text(&status["service"])),
        format!("replica:    {} ({})", text(&status["replicaName"]), text(&status["replicaId"])),
        format!("last sync:  {}", text(&status["lastSync"])),
    ];
    let (mut n_pending, mut details) = (0, Vec::new());
    for layer in status["layers"].as_array().into_iter().flatten() {
        for (key, what) in [("pending", ""), ("pendingAttachments", " (attachments)")] {
            let n = |op: &str| layer[key][op].as_i64().unwrap_or(0);
            let (adds, updates, deletes) = (n("adds"), n("updates"), n("deletes"));
            if adds + updates + deletes > 0 {
                n_pending += adds + updates + deletes;
                details.push(format!(
                    "  {}{what}: {adds} added, {updates} changed, {deletes} deleted",
                    text(&layer["table"])
                ));
            }
        }
    }
    lines.push(format!("to be sent: {}", counted(n_pending, "edit")));
    lines.append(&mut details);
    if let Some(n) = status["unanswered"].as_i64() {
        lines.push(format!("unanswered: a request with {}; syncline sync goes on with it", counted(n, "edit")));
    }
    if let Some(n) = status["attachmentsToFetch"].as_i64().filter(|n| *n > 0) {
        lines.push(format!("to be fetched: {}", counted(n, "attachment")));
    }
    match (&status["behind"]["changes"], &status["behind"]["why"]) {
        (Json::Number(n), _) => lines.push(format!("behind:     {} changed on the server since", counted(n, "row"))),
        (_, Json::String(why)) => lines.push(format!("behind:     not known: {why}")),
        _ => {}
    }
    for (key, title) in [("refused", "refused"), ("conflicts", "edited here and by others")] {
        let listed = status[key].as_array().cloned().unwrap_or_default();
        if !listed.is_empty() {
            lines.push(format!("{title}: {}", listed.len()));
        }
        for entry in listed {
            let kind = if entry["isAttachment"] == true { " (attachment)" } else { "" };
            let what = match key {
                "refused" => format!("{} refused: {}", text(&entry["edit"]), text(&entry["description"])),
                _ => match &entry["theirs"] {
                    Json::Null => text(&entry["what"]),
                    theirs => format!("{}; theirs: {theirs}", text(&entry["what"])),
                },
            };
            lines.push(format!("  {}{kind} {}: {what}", text(&entry["table"]), text(&entry["globalId"])));
        }
    }
    if status["refused"].as_array().is_some_and(|refused| !refused.is_empty()) {
        lines.push(
            "Correct the rows and run syncline sync, or send them as they are with syncline sync --retry.".to_owned(),
        );
    }
    lines.join("\n")
}

/// What is going on, for people at a terminal.
struct Shown {
    bar: ProgressBar,
    quiet: bool,
}

impl Shown {
    fn new(json: bool) -> Shown {
        let quiet = json || !std::io::stderr().is_terminal();
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            bar.set_style(style);
        }
        if !quiet {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Shown { bar, quiet: json }
    }

    fn hear(&mut self, said: Said<'_>) {
        match said {
            Said::Note(text) if !self.quiet => {
                self.bar.suspend(|| {
                    let _ = writeln!(std::io::stderr(), "note: {text}");
                });
            }
            Said::Note(_) => {}
            Said::Progress(what, n @ (0..=9_999_999)) => self.bar.set_message(format!("{what} {n}")),
            Said::Progress(what, n) => self.bar.set_message(format!("{what} {} million", n / 1_000_000)),
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn print(text: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{text}").map_err(|error| Error::File(format!("printing: {error}")))
}
