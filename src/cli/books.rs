//! `syncline batches`, `rejected`, `conflicts`, `verify`, `explain`: the books.

use std::{path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use serde_json::Value as Json;

use crate::{
    app::App,
    books::{
        BatchFilter, ConflictFilter, ReceiptFilter, RejectedFilter, RejectedState, batches, conflicts, documents,
        explain, known, rejected, verify,
    },
    error::{Error, Result},
    model::{
        id::{Generation, GlobalId, LayerId, ReplicaId},
        layer::Service,
    },
};

use super::{counted, replicas::instant, say};

/// The most entries that a command lists.
const MAX_LISTED: i64 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum Batches {
    /// List uploads of replicas and requests of connected clients, the newest first
    List(ListBatches),
    /// Show a batch with its receipts
    Show(Entry),
    /// Take back what a batch did, as a new change
    Undo(Undo),
}

#[derive(Debug, Subcommand)]
pub(super) enum RejectedEdits {
    /// List refused edits
    List(ListRejected),
    /// Show a refused edit
    Show(Entry),
    /// Apply a refused edit, as it was sent or as a file corrects it
    Apply(Apply),
    /// Decide that a refused edit is not wanted
    Dismiss(Entry),
}

#[derive(Debug, Subcommand)]
pub(super) enum Conflicts {
    /// List what uploads overwrote that their clients had not seen
    List(ListConflicts),
    /// Show a conflict with its three versions
    Show(Entry),
    /// Put back what was overwritten, as a new change
    Restore(Restore),
}

#[derive(Debug, Args)]
pub(super) struct OfReplica {
    /// The replica's id, in any spelling; also of one that was unregistered
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ListBatches {
    /// Only the uploads of this replica, by its id in any spelling; also of one that was unregistered
    replica: Option<String>,
    /// The service [default: all]
    #[arg(long)]
    service: Option<String>,
    /// Only the requests of connected clients
    #[arg(long, conflicts_with = "replica")]
    connected: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Undo {
    #[command(flatten)]
    entry: Entry,
    /// List what would be done, and do nothing
    #[arg(long)]
    preview: bool,
    /// Take back also what was changed since
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub(super) struct ListRejected {
    /// The service [default: all]
    #[arg(long)]
    service: Option<String>,
    /// Only those of this replica
    #[arg(long)]
    replica: Option<String>,
    /// Only those of connected clients
    #[arg(long, conflicts_with = "replica")]
    connected: bool,
    /// Only those in this state: open, applied, dismissed
    #[arg(long)]
    state: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ListConflicts {
    /// The service [default: all]
    #[arg(long)]
    service: Option<String>,
    /// Only those of this replica's uploads
    #[arg(long)]
    replica: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Entry {
    /// Its number
    number: i64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Apply {
    #[command(flatten)]
    entry: Entry,
    /// A file with the corrected feature, as Esri JSON
    #[arg(long, value_name = "FILE")]
    feature: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct Restore {
    #[command(flatten)]
    entry: Entry,
    /// Also if the feature was changed since
    #[arg(long)]
    force: bool,
}

/// Print counts and checksums of what a replica should hold
#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    replica: OfReplica,
    /// At this generation [default: the newest]
    #[arg(long, value_name = "GENERATION")]
    at: Option<i64>,
    /// List the features that differ between --at and this generation
    #[arg(long, value_name = "GENERATION", requires = "at")]
    compare_with: Option<i64>,
}

/// Say why a replica holds a feature, or does not
#[derive(Debug, Args)]
pub(super) struct Explain {
    #[command(flatten)]
    replica: OfReplica,
    /// The id of the feature's layer
    #[arg(long)]
    layer: i32,
    /// The feature's global id, in any spelling
    #[arg(long)]
    global_id: String,
}

impl OfReplica {
    /// The replica, registered or not, and its service.
    async fn find(&self, app: &App) -> Result<(Arc<Service>, ReplicaId)> {
        let unknown = || Error::ReplicaNotFound { id: self.id.clone() };
        let id = ReplicaId::parse(&self.id).ok_or_else(unknown)?;
        for service in &app.store.catalogue().services {
            match known(app, service, id).await {
                Ok(_) => return Ok((service.clone(), id)),
                Err(Error::ReplicaNotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(unknown())
    }
}

/// The services that a list is about.
async fn services(app: &App, name: Option<&String>) -> Result<Vec<Arc<Service>>> {
    match name {
        Some(name) => Ok(vec![app.store.service(name).await?]),
        None => Ok(app.store.catalogue().services.clone()),
    }
}

fn replica(text: Option<&String>) -> Result<Option<ReplicaId>> {
    let Some(text) = text else { return Ok(None) };
    ReplicaId::parse(text).map(Some).ok_or_else(|| Error::ReplicaNotFound { id: text.clone() })
}

impl Batches {
    pub(super) async fn run(self, app: &App) -> Result<()> {
        match self {
            Batches::List(list) => {
                let wanted = BatchFilter {
                    replica: replica(list.replica.as_ref())?,
                    connected: list.connected.then_some(true),
                    ..BatchFilter::default()
                };
                let mut all = Vec::new();
                for service in services(app, list.service.as_ref()).await? {
                    let (found, _) = batches::list(app, &service, &wanted, (0, MAX_LISTED)).await?;
                    let shown = documents::batches(&service, &found, false)["batches"].take();
                    all.extend(shown.as_array().into_iter().flatten().map(|one| with_service(&service, one.clone())));
                }
                let all = Json::from(all);
                if list.json {
                    return say(all.to_string());
                }
                const COLUMNS: &[(&str, &str)] = &[
                    ("Batch", "batchId"),
                    ("Service", "service"),
                    ("Received (UTC)", "receivedDate"),
                    ("Operation", "operation"),
                    ("Replica", "replicaName"),
                    ("Direction", "syncDirection"),
                    ("Generation", "serverGen"),
                    ("Applied", "applied"),
                    ("Refused", "refused"),
                    ("Conflicts", "conflicts"),
                    ("Undone (UTC)", "undoneDate"),
                ];
                table(&all, COLUMNS, "No batches.")
            }
            Batches::Show(entry) => {
                let service = entry.service_of_batch(app).await?;
                let wanted = ReceiptFilter::default();
                let (batch, receipts) =
                    batches::show(app, &service, (None, entry.number), &wanted, (0, MAX_LISTED)).await?;
                let shown = documents::receipts(&service, None, &batch, &receipts);
                if entry.json {
                    return say(shown.to_string());
                }
                facts(&shown)?;
                const COLUMNS: &[(&str, &str)] = &[
                    ("Layer", "layer"),
                    ("Edit", "position"),
                    ("Operation", "operation"),
                    ("Feature", "globalId"),
                    ("Applied", "success"),
                    ("Why not", "error"),
                ];
                table(&shown["receipts"], COLUMNS, "No receipts.")
            }
            Batches::Undo(Undo { entry, preview, force }) => {
                let service = entry.service_of_batch(app).await?;
                let how = batches::How { force, preview };
                let undone = batches::undo(app, &service, None, entry.number, how).await?;
                let shown = documents::undone(entry.number, &undone, preview);
                if entry.json {
                    return say(shown.to_string());
                }
                let done = if preview { "To be taken back" } else { "Taken back" };
                say(format!("{done}: {}.", counted(&shown["undoneCount"], "feature")))?;
                for (list, heading) in
                    [("skipped", "Left alone, since they were changed later:"), ("failed", "Refused by the database:")]
                {
                    if shown[list].as_array().is_some_and(|list| !list.is_empty()) {
                        say(heading)?;
                        let columns =
                            [("Layer", "layer"), ("Feature", "globalId"), ("Change", "changedSince"), ("Why", "error")];
                        table(&shown[list], &columns, "")?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl RejectedEdits {
    pub(super) async fn run(self, app: &App) -> Result<()> {
        match self {
            RejectedEdits::List(list) => {
                let state = match &list.state {
                    None => None,
                    Some(name) => Some(RejectedState::from_name(name).ok_or_else(|| {
                        Error::invalid("state", format!("'{name}' is not known; it is one of open, applied, dismissed"))
                    })?),
                };
                let wanted = RejectedFilter {
                    replica: replica(list.replica.as_ref())?,
                    connected: list.connected.then_some(true),
                    state,
                    ..RejectedFilter::default()
                };
                let mut all = Vec::new();
                for service in services(app, list.service.as_ref()).await? {
                    let (edits, _) = rejected::list(app, &service, &wanted, (0, MAX_LISTED)).await?;
                    all.extend(edits.iter().map(|edit| with_service(&service, documents::rejected(&service, edit))));
                }
                let all = Json::from(all);
                if list.json {
                    return say(all.to_string());
                }
                const COLUMNS: &[(&str, &str)] = &[
                    ("Number", "rejectedEditId"),
                    ("Service", "service"),
                    ("Replica", "replicaName"),
                    ("Sent by", "sentBy"),
                    ("Layer", "layer"),
                    ("Operation", "operation"),
                    ("Feature", "globalId"),
                    ("State", "state"),
                    ("Received (UTC)", "lastReceivedDate"),
                    ("Why", "reason"),
                ];
                table(&all, COLUMNS, "No refused edits.")
            }
            RejectedEdits::Show(entry) => {
                let service = entry.service_of_rejected(app).await?;
                let edit = rejected::find(app, &service, entry.number).await?;
                entry.show(&documents::rejected(&service, &edit))
            }
            RejectedEdits::Apply(Apply { entry, feature }) => {
                let feature = match &feature {
                    None => None,
                    Some(path) => Some(std::fs::read_to_string(path).map_err(|error| {
                        Error::NotFound(format!("the file {} cannot be read: {error}", path.display()))
                    })?),
                };
                let service = entry.service_of_rejected(app).await?;
                let result = rejected::apply(app, &service, entry.number, feature.as_deref()).await?;
                if entry.json {
                    return say(documents::applied(entry.number, &result).to_string());
                }
                match result.error {
                    None => say(format!("Refused edit {} is applied.", entry.number)),
                    Some(error) => Err(Error::NotSupported(format!(
                        "refused edit {} was refused again: {} (code {})",
                        entry.number,
                        error.description,
                        error.code.number()
                    ))),
                }
            }
            RejectedEdits::Dismiss(entry) => {
                let service = entry.service_of_rejected(app).await?;
                rejected::dismiss(app, &service, entry.number).await?;
                match entry.json {
                    true => say(documents::dismissed(entry.number).to_string()),
                    false => say(format!("Refused edit {} is dismissed.", entry.number)),
                }
            }
        }
    }
}

impl Conflicts {
    pub(super) async fn run(self, app: &App) -> Result<()> {
        match self {
            Conflicts::List(list) => {
                let wanted = ConflictFilter { replica: replica(list.replica.as_ref())?, ..ConflictFilter::default() };
                let mut all = Vec::new();
                for service in services(app, list.service.as_ref()).await? {
                    let (found, _) = conflicts::list(app, &service, &wanted, (0, MAX_LISTED)).await?;
                    all.extend(found.iter().map(|one| with_service(&service, documents::conflict(&service, one))));
                }
                let all = Json::from(all);
                if list.json {
                    return say(all.to_string());
                }
                const COLUMNS: &[(&str, &str)] = &[
                    ("Number", "conflictId"),
                    ("Service", "service"),
                    ("Layer", "layer"),
                    ("Feature", "globalId"),
                    ("Replica", "replicaName"),
                    ("Operation", "operation"),
                    ("Lost", "fields"),
                    ("Of", "otherReplicaName"),
                    ("Found (UTC)", "foundDate"),
                    ("Restored (UTC)", "restoredDate"),
                ];
                table(&all, COLUMNS, "No conflicts.")
            }
            Conflicts::Show(entry) => {
                let service = entry.service_of_conflict(app).await?;
                let found = conflicts::find(app, &service, entry.number).await?;
                entry.show(&documents::conflict(&service, &found))
            }
            Conflicts::Restore(Restore { entry, force }) => {
                let service = entry.service_of_conflict(app).await?;
                let restored =
                    documents::restored(entry.number, &conflicts::restore(app, &service, entry.number, force).await?);
                match (entry.json, restored["success"] == true) {
                    (true, _) => say(restored.to_string()),
                    (false, true) => say(format!("What conflict {} lost is there again.", entry.number)),
                    (false, false) => {
                        let why = match &restored["description"] {
                            Json::Null => plain("error", &restored["result"]["error"]),
                            said => plain("description", said),
                        };
                        Err(Error::NotSupported(format!("what conflict {} lost was not put back: {why}", entry.number)))
                    }
                }
            }
        }
    }
}

impl Entry {
    fn show(&self, shown: &Json) -> Result<()> {
        if self.json { say(shown.to_string()) } else { facts(shown) }
    }

    async fn service_of_batch(&self, app: &App) -> Result<Arc<Service>> {
        for service in &app.store.catalogue().services {
            match batches::find(app, service, None, self.number).await {
                Ok(_) => return Ok(service.clone()),
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::NotFound(format!("there is no batch {}; syncline batches list has them all", self.number)))
    }

    async fn service_of_rejected(&self, app: &App) -> Result<Arc<Service>> {
        for service in &app.store.catalogue().services {
            match rejected::find(app, service, self.number).await {
                Ok(_) => return Ok(service.clone()),
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::NotFound(format!("there is no refused edit {}; syncline rejected list has them all", self.number)))
    }

    async fn service_of_conflict(&self, app: &App) -> Result<Arc<Service>> {
        for service in &app.store.catalogue().services {
            match conflicts::find(app, service, self.number).await {
                Ok(_) => return Ok(service.clone()),
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::NotFound(format!("there is no conflict {}; syncline conflicts list has them all", self.number)))
    }
}

impl Verify {
    pub(super) async fn run(self, app: &App) -> Result<()> {
        let (service, id) = self.replica.find(app).await?;
        let read = |given: Option<i64>| match given {
            None => Ok(None),
            Some(number) => Generation::new(number)
                .map(Some)
                .ok_or_else(|| Error::invalid("generation", format!("{number} is not one that this server gave out"))),
        };
        let generations = (read(self.at)?, read(self.compare_with)?);
        let shown = documents::verified(&verify::verify(app, &service, id, generations).await?);
        if self.replica.json {
            return say(shown.to_string());
        }
        say(format!("Generation: {}", shown["serverGen"]))?;
        let columns = [("Layer", "id"), ("Of", "of"), ("Count", "count"), ("Rows", "rows"), ("Content", "content")];
        table(&shown["layers"], &columns, "No layers.")?;
        for layer in shown["differing"].as_array().into_iter().flatten() {
            say(format!("Layer {} differs from generation {}:", layer["id"], shown["comparedWith"]))?;
            table(&layer["features"], &[("Feature", "globalId"), ("Difference", "difference")], "Nothing.")?;
        }
        Ok(())
    }
}

impl Explain {
    pub(super) async fn run(self, app: &App) -> Result<()> {
        let (service, id) = self.replica.find(app).await?;
        let feature = GlobalId::parse(&self.global_id)
            .ok_or_else(|| Error::invalid("global-id", format!("'{}' is not a global id", self.global_id)))?;
        let explained = explain::explain(app, &service, id, LayerId(self.layer), feature).await?;
        if self.replica.json {
            return say(documents::explanation(&service, &explained).to_string());
        }
        explained.reasons.iter().try_for_each(say)
    }
}

fn with_service(service: &Service, mut shown: Json) -> Json {
    if let Some(members) = shown.as_object_mut() {
        members.insert("service".to_owned(), service.name.clone().into());
    }
    shown
}

/// Prints the members of a document that fit on a line, and features as JSON.
fn facts(shown: &Json) -> Result<()> {
    let members = shown.as_object().into_iter().flatten();
    let members: Vec<(&String, &Json)> =
        members.filter(|(name, _)| !["receipts", "exceededTransferLimit"].contains(&name.as_str())).collect();
    let wide = members.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 1;
    for (name, value) in members {
        let name_colon = format!("{name}:");
        say(format!("{name_colon:wide$} {}", plain(name, value)))?;
    }
    Ok(())
}

/// Prints rows below the titles of their columns.
fn table(rows: &Json, columns: &[(&str, &str)], none: &str) -> Result<()> {
    let rows = rows.as_array().map_or(&[][..], Vec::as_slice);
    if rows.is_empty() {
        return say(none);
    }
    let texts: Vec<Vec<String>> =
        rows.iter().map(|row| columns.iter().map(|(_, name)| plain(name, &row[*name])).collect()).collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, (title, _))| {
            texts.iter().map(|row| row[index].chars().count()).chain([title.len()]).max().unwrap_or(0)
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, wide)| format!("{cell:wide$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    say(line(columns.iter().map(|(title, _)| *title).collect()))?;
    texts.iter().try_for_each(|row| say(line(row.iter().map(String::as_str).collect())))
}

/// A value as people read it.
fn plain(name: &str, value: &Json) -> String {
    match value {
        Json::Null => "-".to_owned(),
        Json::Bool(value) => if *value { "yes" } else { "no" }.to_owned(),
        Json::Number(number) if name.ends_with("Date") => number.as_i64().map_or_else(String::new, instant),
        Json::String(text) => text.clone(),
        Json::Array(items) if items.iter().all(Json::is_string) => {
            items.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(", ")
        }
        Json::Object(reason) if reason.contains_key("description") => {
            format!("{} (code {})", plain("", &reason["description"]), reason.get("code").unwrap_or(&Json::Null))
        }
        Json::Object(later) if name == "changedSince" => {
            let by = later.get("replicaName").filter(|by| !by.is_null()).map(|by| format!(" by {}", plain("", by)));
            format!("generation {}{}", plain("", &value["serverGen"]), by.unwrap_or_default())
        }
        other => other.to_string(),
    }
}
