//! Takes part of a service into a new file.
//!
//! The file is `FILE.part` until it is whole. What is asked of the server is noted in it first, under a name that nobody else uses, so
//! that a clone that broke off goes on where it was; and what cannot be gone on with is taken back on the server.

use std::{
    fs::{File as Handle, OpenOptions},
    path::Path,
};

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use serde_json::{Map, Value as Json, json};

use super::{
    Said,
    answer::{self, Generations, Head, Part},
    attachments,
    error::{Error, Result},
    file::{self, Table, table},
    http::{Server, beside, remove},
    operation::{Known, Request, carry_out},
    rows::{self, Row},
    schema::{self, Registration},
    service::{Layer, Service, reference, wkid},
    values::now_ms,
};

/// What is wanted of a service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Ids or names of layers; all if there are none.
    pub(crate) layers: Vec<String>,
    /// West, south, east, north.
    pub(crate) bbox: Option<[f64; 4]>,
    /// The spatial reference of the box.
    pub(crate) bbox_sr: i32,
    /// Conditions, each with the id or name of its layer.
    pub(crate) conditions: Vec<(String, String)>,
    /// How the replica's name on the server begins.
    pub(crate) name: String,
    /// Whether attachments come along.
    pub(crate) attachments: bool,
    /// Whether the tables get spatial indexes.
    pub(crate) spatial_index: bool,
}

impl Wanted {
    /// What must be the same for one clone to go on with another.
    fn settings(&self, url: &str) -> String {
        json!([
            url,
            self.layers,
            self.bbox,
            self.bbox_sr,
            self.conditions,
            self.name,
            self.attachments,
            self.spatial_index
        ])
        .to_string()
    }

    /// The filters, by layer.
    fn queries(&self, service: &Service) -> Result<Json> {
        let mut queries = Map::new();
        for layer in &service.layers {
            let condition =
                self.conditions.iter().find(|(name, _)| is_named(layer, name)).map(|(_, condition)| condition);
            // Rows that belong to others come with those, where an area is wanted.
            let related = layer.geometry.is_none() && layer.is_destination && self.bbox.is_some();
            let query = match (condition, layer.geometry.is_some() && self.bbox.is_some()) {
                (Some(condition), area) => json!({"queryOption": "useFilter", "useGeometry": area, "where": condition}),
                (None, true) => json!({"queryOption": "useFilter", "useGeometry": true}),
                (None, false) if related => json!({"queryOption": "none", "includeRelated": true}),
                (None, false) => json!({"queryOption": "all"}),
            };
            queries.insert(layer.id.to_string(), query);
        }
        for (name, _) in &self.conditions {
            if !service.layers.iter().any(|layer| is_named(layer, name)) {
                return Err(Error::Unfit(format!("--where: there is no layer '{name}' among those that are cloned")));
            }
        }
        Ok(Json::Object(queries))
    }

    fn parameters(&self, service: &Service, replica_name: &str, queries: &Json) -> Vec<(String, String)> {
        let offers = service.offers;
        let ids: Vec<String> = service.layers.iter().map(|layer| layer.id.to_string()).collect();
        let with_attachments = self.attachments && service.layers.iter().any(|layer| layer.has_attachments);
        let mut form = vec![
            ("replicaName", replica_name.to_owned()),
            ("layers", ids.join(",")),
            ("layerQueries", queries.to_string()),
            ("syncModel", if offers.per_layer { "perLayer" } else { "perReplica" }.to_owned()),
            ("transportType", "esriTransportTypeUrl".to_owned()),
            ("dataFormat", "json".to_owned()),
            ("returnAttachments", with_attachments.to_string()),
            ("returnAttachmentsDataByUrl", "true".to_owned()),
            ("async", offers.jobs.to_string()),
            ("targetType", "client".to_owned()),
        ];
        if offers.attachment_directions {
            let direction = if with_attachments { "bidirectional" } else { "none" };
            form.push(("attachmentsSyncDirection", direction.to_owned()));
        }
        if !offers.edits && offers.directions {
            form.push(("syncDirection", "download".to_owned()));
        }
        if let Some([west, south, east, north]) = self.bbox {
            form.push(("geometry", format!("{west},{south},{east},{north}")));
            form.push(("geometryType", "esriGeometryEnvelope".to_owned()));
            form.push(("inSR", self.bbox_sr.to_string()));
        } else if service.full_extent["xmin"].is_number() {
            // Some servers want one, though no layer is filtered by it.
            form.push(("geometry", service.full_extent.to_string()));
            form.push(("geometryType", "esriGeometryEnvelope".to_owned()));
        }
        if let Some(wkid) = wkid(&service.spatial_reference) {
            form.push(("replicaSR", reference(wkid)));
        }
        form.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

fn is_named(layer: &Layer, name: &str) -> bool {
    layer.id.to_string() == name || layer.name.eq_ignore_ascii_case(name)
}

const STATE: &str = "CREATE TABLE IF NOT EXISTS sync_clone (
  id INTEGER PRIMARY KEY CHECK (id = 1), settings TEXT NOT NULL, replica_name TEXT NOT NULL, sent INTEGER NOT NULL DEFAULT 0,
  status_url TEXT, head TEXT, step INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS sync_leftovers (replica_name TEXT PRIMARY KEY, noted_ms INTEGER NOT NULL);";

/// Where a clone is.
struct State {
    replica_name: String,
    sent: bool,
    known: Known,
    step: i64,
}

/// The rows are in the file.
const LOADED: i64 = 1;
/// The file is whole, but for its name.
const WHOLE: i64 = 2;

/// Makes the file at `path` of what is wanted of the service. Returns how many rows of which table it has.
pub(crate) fn run(
    server: &Server,
    wanted: &Wanted,
    path: &Path,
    said: &mut dyn FnMut(Said<'_>),
) -> Result<Vec<(String, i64)>> {
    if path.exists() {
        return Err(Error::Unfit(format!(
            "{} is there already; syncline sync brings it up to date, or choose another name",
            path.display()
        )));
    }
    let part = beside(path, "part");
    let service = Service::ask(server, &wanted.layers)?;
    schema::require_distinct_fields(&service)?;
    let queries = wanted.queries(&service)?;
    let (_lock, mut db) = begin(server, wanted, &part)?;
    let tables = schema::tables(&service, wanted.attachments);
    for layer in &service.layers {
        if !layer.left_out.is_empty() {
            said(Said::Note(&format!("fields of {} that stay behind: {}", layer.name, layer.left_out.join(", "))));
        }
    }
    let mut state = state(&db)?;
    if state.step < LOADED {
        match load(server, wanted, (&service, &queries), &tables, &mut state, (&mut db, &part), said) {
            Err(error) if error.is_final() => {
                // There is nothing to go on with.
                drop(db);
                discard(&part)?;
                return Err(error);
            }
            loaded => loaded?,
        }
    }
    if state.step < WHOLE {
        attachments::fetch(&mut db, &tables, server, &part, &mut |what, n| said(Said::Progress(what, n)))?;
        said(Said::Progress("indexes", 0));
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        schema::complete(&tx, &tables, wanted.spatial_index)?;
        tx.execute("UPDATE sync_clone SET step = ?1", [WHOLE])?;
        tx.commit()?;
    }
    let counts = counts(&db, &tables)?;
    db.close().map_err(|(_, error)| Error::from(error))?;
    publish(&part, path)?;
    // The notes of this clone, which whoever opens the file next would drop as well.
    file::connect(path, false)?.execute_batch("DROP TABLE sync_clone")?;
    Ok(counts)
}

/// Opens what an earlier clone left, if it was the same, or begins anew.
fn begin(server: &Server, wanted: &Wanted, part: &Path) -> Result<(Handle, Connection)> {
    let settings = wanted.settings(server.url.as_str());
    let open = || -> Result<(Handle, Connection)> {
        OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(part)
            .map_err(|error| Error::file(part, &error))?;
        let lock = file::lock(part)?;
        let db = file::connect(part, true)?;
        db.execute_batch(STATE)?;
        Ok((lock, db))
    };
    let (lock, db) = open()?;
    let known: Option<(String, String, bool)> = db
        .query_row("SELECT settings, replica_name, sent FROM sync_clone", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let mut left = {
        let mut listed = db.prepare("SELECT replica_name FROM sync_leftovers")?;
        listed.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?
    };
    let (lock, db) = match known {
        Some((had, ..)) if had == settings => return Ok((lock, db)),
        None => (lock, db),
        Some((_, name, sent)) => {
            // Something else was wanted. What was made for it goes, here and there.
            if sent {
                left.push(name);
            }
            drop(db);
            drop(lock);
            discard(part)?;
            open()?
        }
    };
    for name in left {
        if !unregister(server, &name, None).unwrap_or(false) {
            leave(&db, &name)?;
        }
    }
    db.execute(
        "INSERT INTO sync_clone (id, settings, replica_name) VALUES (1, ?1, ?2)",
        params![settings, new_name(wanted)],
    )?;
    Ok((lock, db))
}

fn new_name(wanted: &Wanted) -> String {
    let unique: String = uuid::Uuid::new_v4().simple().to_string().chars().take(12).collect();
    format!("{}-{unique}", wanted.name)
}

fn leave(db: &Connection, name: &str) -> Result<()> {
    db.execute("INSERT OR IGNORE INTO sync_leftovers VALUES (?1, ?2)", params![name, now_ms()])?;
    Ok(())
}

fn state(db: &Connection) -> Result<State> {
    let (replica_name, sent, status_url, head, step): (String, bool, Option<String>, Option<String>, i64) = db
        .query_row("SELECT replica_name, sent, status_url, head, step FROM sync_clone", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?;
    let head = head.map(|text| serde_json::from_str(&text)).transpose()?;
    Ok(State { replica_name, sent, known: Known { status_url, head }, step })
}

/// Gets the data, and enters all of it in one transaction.
fn load(
    server: &Server,
    wanted: &Wanted,
    (service, queries): (&Service, &Json),
    tables: &[Table],
    state: &mut State,
    (db, part): (&mut Connection, &Path),
    said: &mut dyn FnMut(Said<'_>),
) -> Result<()> {
    if state.sent && state.known.status_url.is_none() && state.known.head.is_none() {
        // The answer was lost: the server may have made a replica, or be about to.
        let old = std::mem::replace(&mut state.replica_name, new_name(wanted));
        if !unregister(server, &old, None)? {
            leave(db, &old)?;
        }
    }
    db.execute("UPDATE sync_clone SET sent = 1, replica_name = ?1", [&state.replica_name])?;
    let form = wanted.parameters(service, &state.replica_name, queries);
    let answer_path = beside(part, "answer");
    let answer = {
        let noting = &*db;
        let mut note = |known: &Known| -> Result<()> {
            let head = known.head.as_ref().map(|head| Json::Object(head.clone()).to_string());
            noting.execute("UPDATE sync_clone SET status_url = ?1, head = ?2", params![known.status_url, head])?;
            Ok(())
        };
        let request = Request {
            address: server.at("createReplica"),
            form: &form,
            into: &answer_path,
            note: &mut note,
            told: &mut |what, n| said(Said::Progress(what, n)),
        };
        carry_out(server, state.known.clone(), request)?
    };
    if !answer.has_rows {
        return Err(Error::Protocol("createReplica gave no data".to_owned()));
    }
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    enter(&tx, server, service, queries, tables, answer.head, &answer_path, &state.replica_name, said)?;
    tx.execute("UPDATE sync_clone SET step = ?1, head = NULL", [LOADED])?;
    tx.commit()?;
    remove(&answer_path)
}

#[expect(clippy::too_many_arguments, reason = "one transaction, of all that is known")]
fn enter(
    db: &Connection,
    server: &Server,
    service: &Service,
    queries: &Json,
    tables: &[Table],
    mut head: Head,
    answer_path: &Path,
    replica_name: &str,
    said: &mut dyn FnMut(Said<'_>),
) -> Result<()> {
    // Notes of the clone stay; all else of the container is made now.
    let left: Vec<(String, i64)> = {
        let mut listed = db.prepare("SELECT replica_name, noted_ms FROM sync_leftovers")?;
        listed.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?
    };
    schema::create(db, service, tables)?;
    // The line may have delivered the request twice: then there is a second replica, which the first synchronization finds.
    leave(db, replica_name)?;
    for (name, noted_ms) in left {
        db.execute("INSERT OR IGNORE INTO sync_leftovers VALUES (?1, ?2)", params![name, noted_ms])?;
    }
    let mut loading = Loading::default();
    let mut n_rows = 0;
    head.extend(answer::read(answer_path, &mut |layer, part| {
        let table = table(tables, layer)?;
        match part {
            Part::Row(feature) => {
                loading.insert(db, table, &Row::read(table, feature)?)?;
                n_rows += 1;
                if n_rows % 1000 == 0 {
                    said(Said::Progress("rows", n_rows));
                }
                Ok(())
            }
            Part::Attachment(attachment) => rows::put_attachment(db, table, &attachment),
            Part::Whole | Part::Gone(_) | Part::AttachmentGone(_) | Part::Result { .. } => Ok(()),
        }
    })?);
    let text = |key: &str| head.get(key).and_then(Json::as_str).map(str::to_owned);
    let id = text("replicaID")
        .or_else(|| text("replicaId"))
        .ok_or_else(|| Error::Protocol("createReplica gave no replicaID".to_owned()))?;
    let generations = Generations::of(&head);
    schema::register(
        db,
        service,
        tables,
        &Registration {
            id: &id,
            name: &text("replicaName").unwrap_or_else(|| replica_name.to_owned()),
            url: server.url.as_str(),
            // What the server did is what counts, not what was asked.
            per_layer: generations.all.is_none(),
            direction: if service.offers.edits { "bidirectional" } else { "download" },
            queries,
            generations: &generations,
        },
    )
}

/// Enters rows of a new file: nothing is there that could be in the way.
#[derive(Default)]
struct Loading {
    /// For a table, the columns that the last row had, and the statement for them.
    statements: std::collections::HashMap<i64, (Vec<usize>, String)>,
}

impl Loading {
    fn insert(&mut self, db: &Connection, table: &Table, row: &Row) -> Result<()> {
        let known = self.statements.entry(table.layer.id).or_default();
        if !known.0.iter().copied().eq(row.values.iter().map(|(at, _)| *at)) || known.1.is_empty() {
            let columns = table.columns();
            let names: Vec<String> = row
                .values
                .iter()
                .filter_map(|(at, _)| columns.get(*at))
                .map(|name| crate::sqlite::quoted(name))
                .collect();
            let places = vec!["?"; names.len()].join(", ");
            known.0 = row.values.iter().map(|(at, _)| *at).collect();
            known.1 =
                format!("INSERT INTO {} ({}) VALUES ({places})", crate::sqlite::quoted(&table.name), names.join(", "));
        }
        let mut statement = db.prepare_cached(&known.1)?;
        for (n, (_, value)) in row.values.iter().enumerate() {
            statement.raw_bind_parameter(n + 1, value)?;
        }
        statement.raw_execute()?;
        Ok(())
    }
}

fn counts(db: &Connection, tables: &[Table]) -> Result<Vec<(String, i64)>> {
    let mut counts = Vec::new();
    for name in tables.iter().flat_map(|table| std::iter::once(&table.name).chain(&table.attachments)) {
        let n = db.query_row(&format!("SELECT count(*) FROM {}", crate::sqlite::quoted(name)), [], |row| row.get(0))?;
        counts.push((name.clone(), n));
    }
    Ok(counts)
}

/// Gives the whole file its name, for good.
fn publish(part: &Path, path: &Path) -> Result<()> {
    let failed = |error: std::io::Error| Error::file(path, &error);
    Handle::open(part).and_then(|file| file.sync_all()).map_err(failed)?;
    std::fs::rename(part, path).map_err(failed)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Handle::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

fn discard(part: &Path) -> Result<()> {
    for path in [
        part.to_owned(),
        beside(part, "answer"),
        beside(part, "answer.tag"),
        beside(part, "attachment"),
        beside(part, "attachment.tag"),
    ] {
        remove(&path)?;
    }
    for journal in ["journal", "wal", "shm"] {
        let mut name = part.as_os_str().to_owned();
        name.push(format!("-{journal}"));
        remove(Path::new(&name))?;
    }
    Ok(())
}

/// Takes replicas of this name back on the server, but for the one whose id is `kept`. Says whether there was one.
pub(crate) fn unregister(server: &Server, name: &str, kept: Option<&str>) -> Result<bool> {
    let listed = server.document(&server.at("replicas"), &[])?;
    let mut found = false;
    for replica in listed.as_array().into_iter().flatten() {
        // A name that is taken gets a number.
        let is_it = replica["replicaName"].as_str().is_some_and(|known| {
            known == name
                || known
                    .strip_prefix(name)
                    .and_then(|rest| rest.strip_prefix('_'))
                    .is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()))
        });
        let id =
            replica["replicaID"].as_str().filter(|id| kept.is_none_or(|kept| rows::spelled(kept) != rows::spelled(id)));
        if let (true, Some(id)) = (is_it, id) {
            server.document(&server.at("unRegisterReplica"), &[("replicaID", id)])?;
            found = true;
        }
    }
    Ok(found)
}
