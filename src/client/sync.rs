//! Brings a file up to date, and its edits to the server.
//!
//! One request at a time stands in the outbox, written down before it is sent and repeated as it is until it is answered; the
//! server takes a repetition for what it is. The answer is applied in one transaction, which empties the outbox.

use std::time::Duration;

use rusqlite::{OptionalExtension as _, TransactionBehavior, params};
use serde_json::{Map, Value as Json, json};

use super::{
    Said,
    answer::Head,
    apply::{self, Applied, Kind},
    attachments::{self, Bytes},
    changes::{self, MAX_EDITS},
    clone::unregister,
    error::{Error, Result},
    file::{Replica, table},
    http::{Server, beside, remove},
    operation::{Known, Request, carry_out},
    rows::Row,
    values::now_ms,
};
use crate::sqlite::quoted;

/// How long to wait before a request is repeated whose answer did not come.
const PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(2)];

/// How long a name is looked for that a broken clone may have left.
const LEFTOVER_MS: i64 = 24 * 3600 * 1000;

/// What is asked for beside the usual.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wishes {
    /// Send what was refused again, as it stands now.
    pub(crate) retry: bool,
    /// Take all rows anew.
    pub(crate) snapshot: bool,
}

/// Synchronizes until nothing is left to be sent. Returns what that came to.
pub(crate) fn run(
    replica: &mut Replica,
    server: &Server,
    wishes: Wishes,
    said: &mut dyn FnMut(Said<'_>),
) -> Result<Applied> {
    replica.check_recording()?;
    clear_leftovers(replica, server)?;
    if wishes.retry {
        changes::retry(replica)?;
    }
    let mut total = Applied::default();
    let mut batch = Batch { max_edits: MAX_EDITS, doubt: None, proved: false };
    let takes_edits = replica.direction != "download";
    let mut snapshot_due = wishes.snapshot;
    let mut has_asked = false;
    loop {
        let kind = match kind_in_outbox(replica)? {
            Some(kind) => kind,
            None => {
                let n = if takes_edits && batch.doubt.is_none() { freeze(replica, batch.max_edits)? } else { 0 };
                let kind = match (n, snapshot_due) {
                    // What others did comes with the rows.
                    (1.., true) => Kind::Upload,
                    (0, true) => Kind::Snapshot,
                    (0, false) if has_asked && batch.doubt.is_none() => break,
                    _ => Kind::Sync,
                };
                put_into_outbox(replica, kind)?;
                kind
            }
        };
        match exchange_repeating(replica, server, kind, said) {
            Ok(applied) => {
                has_asked |= kind != Kind::Upload;
                snapshot_due &= kind != Kind::Snapshot;
                total = sum(total, applied);
                said(Said::Progress("edits sent", total.sent));
                batch.accepted();
            }
            Err(error) if error.is_final() => batch.refused(replica, error, &mut total)?,
            Err(error) => return Err(error),
        }
    }
    restore_deleted(replica, server)?;
    let tables = replica.tables.clone();
    attachments::fetch(&mut replica.db, &tables, server, &replica.path, &mut |what, n| said(Said::Progress(what, n)))?;
    Ok(total)
}

fn sum(a: Applied, b: Applied) -> Applied {
    Applied {
        received: a.received + b.received,
        deleted: a.deleted + b.deleted,
        sent: a.sent + b.sent,
        refused: a.refused + b.refused,
        conflicts: a.conflicts + b.conflicts,
    }
}

/// Says what to do where the server's words need not.
fn explained(error: Error) -> Error {
    let Error::Refused { code, message, mut details } = error else { return error };
    let words = format!("{message} {}", details.join(" ")).to_lowercase();
    if words.contains("snapshot") || words.contains("generation") || words.contains("servergen") {
        details.push("run syncline sync --snapshot: it sends what was edited here, and takes all rows anew".to_owned());
    } else if words.contains("replica") {
        details.push(
            "what was edited here is still in the file; if the replica is no more, make a new clone in another file, and bring it there".to_owned(),
        );
    }
    Error::Refused { code, message, details }
}

fn kind_in_outbox(replica: &Replica) -> Result<Option<Kind>> {
    let kind: Option<String> = replica.db.query_row("SELECT kind FROM sync_outbox", [], |row| row.get(0)).optional()?;
    Ok(kind.map(|kind| Kind::from_name(&kind)))
}

fn put_into_outbox(replica: &Replica, kind: Kind) -> Result<()> {
    replica.db.execute(
        "INSERT INTO sync_outbox (id, kind, made_ms) VALUES (1, ?1, ?2) ON CONFLICT (id) DO UPDATE SET kind = excluded.kind",
        params![kind.name(), now_ms()],
    )?;
    Ok(())
}

fn n_in_outbox(replica: &Replica) -> Result<usize> {
    let n: i64 = replica.db.query_row("SELECT count(*) FROM sync_outbox_rows", [], |row| row.get(0))?;
    Ok(usize::try_from(n).unwrap_or(0))
}

/// How many edits go into a request, where the server refuses whole requests for one of them.
struct Batch {
    max_edits: usize,
    /// So many edits were refused together, and it is not known yet whether without them it goes.
    doubt: Option<usize>,
    /// Without edits it goes: it is one of them.
    proved: bool,
}

impl Batch {
    fn accepted(&mut self) {
        match self.doubt.take() {
            Some(n) => {
                self.proved = true;
                self.max_edits = (n / 2).max(1);
            }
            None => self.max_edits = (self.max_edits * 2).min(MAX_EDITS),
        }
    }

    /// Looks for the edit for which the request in the outbox was refused, by sending fewer. One that is refused alone is set aside.
    fn refused(&mut self, replica: &mut Replica, error: Error, total: &mut Applied) -> Result<()> {
        match n_in_outbox(replica)? {
            // The request is refused for what it is, not for its edits.
            0 => {
                changes::thaw(replica)?;
                return Err(explained(error));
            }
            1 if self.proved => {
                changes::refuse_outbox(replica, &error)?;
                total.refused += 1;
            }
            n => {
                changes::thaw(replica)?;
                match self.proved {
                    true => self.max_edits = (n / 2).max(1),
                    false => self.doubt = Some(n),
                }
            }
        }
        Ok(())
    }
}

/// Moves edits into the outbox, if there are any that can be sent.
fn freeze(replica: &mut Replica, max_edits: usize) -> Result<usize> {
    loop {
        let n = changes::freeze(replica, max_edits)?;
        if n > 0 || changes::count(&replica.db)? == 0 {
            return Ok(n);
        }
    }
}

/// Repeats an exchange over a line that breaks, a few times: it is the same request, and has one effect.
fn exchange_repeating(
    replica: &mut Replica,
    server: &Server,
    kind: Kind,
    said: &mut dyn FnMut(Said<'_>),
) -> Result<Applied> {
    for pause in PAUSES {
        match exchange(replica, server, kind, said) {
            // Busy, maybe with what this file asked for before it was interrupted.
            Err(Error::Unreachable(_) | Error::Refused { code: 409 | 429, .. }) => std::thread::sleep(pause),
            done => return done,
        }
    }
    exchange(replica, server, kind, said)
}

/// Sends what is in the outbox, and applies the answer.
fn exchange(replica: &mut Replica, server: &Server, kind: Kind, said: &mut dyn FnMut(Said<'_>)) -> Result<Applied> {
    let form = request(replica, server, kind)?;
    let (status_url, head): (Option<String>, Option<String>) =
        replica.db.query_row("SELECT status_url, head FROM sync_outbox", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let head: Option<Head> = head.map(|text| serde_json::from_str(&text)).transpose()?;
    let into = beside(&replica.path, "answer");
    let answer = {
        let db = &replica.db;
        let mut note = |known: &Known| -> Result<()> {
            let head = known.head.as_ref().map(|head| Json::Object(head.clone()).to_string());
            db.execute("UPDATE sync_outbox SET status_url = ?1, head = ?2", params![known.status_url, head])?;
            Ok(())
        };
        let request = Request {
            address: server.at("synchronizeReplica"),
            form: &form,
            into: &into,
            note: &mut note,
            told: &mut |what, n| said(Said::Progress(what, n)),
        };
        carry_out(server, Known { status_url, head }, request)?
    };
    let applied = apply::apply(replica, kind, answer.head, answer.has_rows.then_some(into.as_path()));
    if let Err(Error::Protocol(_) | Error::Unreachable(_)) = applied {
        // The answer is of no use: the next attempt asks for another.
        replica.db.execute("UPDATE sync_outbox SET status_url = NULL, head = NULL", [])?;
    }
    let applied = applied?;
    remove(&into)?;
    Ok(applied)
}

/// The parameters of the request in the outbox: as they were written down, or, if they are not yet, written down now.
fn request(replica: &Replica, server: &Server, kind: Kind) -> Result<Vec<(String, String)>> {
    let written: Option<String> = replica.db.query_row("SELECT request FROM sync_outbox", [], |row| row.get(0))?;
    if let Some(text) = written {
        return Ok(serde_json::from_str(&text)?);
    }
    let edits = edits(replica, server)?;
    let mut form = vec![
        ("replicaID", replica.id.clone()),
        ("transportType", "esriTransportTypeUrl".to_owned()),
        ("dataFormat", "json".to_owned()),
        ("returnIdsForAdds", "true".to_owned()),
        ("returnAttachmentsDataByUrl", "true".to_owned()),
        ("async", replica.offers.jobs.to_string()),
    ];
    if replica.offers.rollback {
        form.push(("rollbackOnFailure", "false".to_owned()));
    }
    let direction = match kind {
        Kind::Sync if replica.direction == "download" => "download",
        Kind::Sync => "bidirectional",
        Kind::Upload => "upload",
        Kind::Snapshot => "snapshot",
    };
    let generations = replica.generations()?;
    if replica.per_layer {
        let layers: Vec<Json> = generations
            .layers
            .iter()
            .map(|(id, generation)| json!({"id": id, "serverGen": generation, "syncDirection": direction}))
            .collect();
        form.push(("syncLayers", Json::Array(layers).to_string()));
    } else {
        form.push(("replicaServerGen", generations.all.unwrap_or_default().to_string()));
        form.push(("syncDirection", direction.to_owned()));
    }
    if !edits.is_empty() {
        form.push(("edits", Json::Array(edits).to_string()));
    }
    let form: Vec<(String, String)> = form.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    replica.db.execute("UPDATE sync_outbox SET request = ?1", [serde_json::to_string(&form)?])?;
    Ok(form)
}

/// The edits in the outbox as the API writes them. The bytes of large attachments are uploaded first.
fn edits(replica: &Replica, server: &Server) -> Result<Vec<Json>> {
    let db = &replica.db;
    let rows = {
        let mut listed = db.prepare(
            "SELECT o.layer_id, o.is_attachment, o.globalid, o.op, o.sent, o.upload_id FROM sync_outbox_rows o
             LEFT JOIN (SELECT layer_id, is_attachment, globalid, min(seq) AS first FROM sync_outbox_changes GROUP BY 1, 2, 3) c
               USING (layer_id, is_attachment, globalid) ORDER BY o.layer_id, c.first",
        )?;
        let rows = listed
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)))?;
        rows.collect::<rusqlite::Result<Vec<(i64, bool, String, String, Option<String>, Option<String>)>>>()?
    };
    let mut layers: Vec<(i64, [Map<String, Json>; 2])> = Vec::new();
    for (layer, is_attachment, globalid, op, sent, upload_id) in rows {
        let mut sent: Json = sent.map(|text| serde_json::from_str(&text)).transpose()?.unwrap_or_default();
        if is_attachment && op != "D" {
            let Some(name) = &table(&replica.tables, layer)?.attachments else { continue };
            let file_name = sent["name"].as_str().unwrap_or("attachment").to_owned();
            let bytes = match upload_id {
                Some(id) => Some(Bytes::Uploaded(id)),
                None => {
                    attachments::bytes(db, server, replica.offers.uploads, name, &globalid, &file_name, &replica.path)?
                }
            };
            match bytes {
                Some(Bytes::Embedded(data)) => sent["data"] = data.into(),
                Some(Bytes::Uploaded(id)) => {
                    db.execute("UPDATE sync_outbox_rows SET upload_id = ?3 WHERE layer_id = ?1 AND is_attachment = 1 AND globalid = ?2", params![layer, globalid, id])?;
                    sent["uploadId"] = id.into();
                }
                None => {
                    // Deleted since: that is in the log, and will be sent.
                    db.execute(
                        "DELETE FROM sync_outbox_rows WHERE layer_id = ?1 AND is_attachment = 1 AND globalid = ?2",
                        params![layer, globalid],
                    )?;
                    continue;
                }
            }
        }
        if layers.last().is_none_or(|(last, _)| *last != layer) {
            layers.push((layer, [Map::new(), Map::new()]));
        }
        let Some((_, kinds)) = layers.last_mut() else { continue };
        let (key, value) = match op.as_str() {
            "I" => ("adds", sent),
            "U" => ("updates", sent),
            _ => ("deleteIds", globalid.into()),
        };
        let list = kinds[usize::from(is_attachment)].entry(key).or_insert_with(|| Json::Array(Vec::new()));
        if let Json::Array(list) = list {
            list.push(value);
        }
    }
    Ok(layers
        .into_iter()
        .map(|(layer, [features, attachments])| {
            let mut edits = Map::from_iter([("id".to_owned(), layer.into())]);
            for (key, lists) in [("features", features), ("attachments", attachments)] {
                if !lists.is_empty() {
                    edits.insert(key.to_owned(), Json::Object(lists));
                }
            }
            Json::Object(edits)
        })
        .collect())
}

/// Puts rows back whose deletion the server refused: they are still there, so they are here as well.
fn restore_deleted(replica: &mut Replica, server: &Server) -> Result<()> {
    let refused = {
        let mut listed =
            replica.db.prepare("SELECT layer_id, globalid FROM sync_refused WHERE op = 'D' AND is_attachment = 0")?;
        let rows = listed.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<Vec<(i64, String)>>>()?
    };
    for (layer, globalid) in refused {
        let table = replica.table(layer)?.clone();
        let id_field = &table.layer.globalid_field;
        let is_there = replica
            .db
            .prepare(&format!("SELECT 1 FROM {} WHERE {} = ?1", quoted(&table.name), quoted(id_field)))?
            .exists([&globalid])?;
        if is_there {
            continue;
        }
        let condition = format!("{id_field} = '{globalid}'");
        let wkid = table.geometry.as_ref().map(|(_, form)| form.srs_id.to_string()).unwrap_or_default();
        let form = [
            ("where", condition.as_str()),
            ("outFields", "*"),
            ("returnZ", "true"),
            ("returnM", "true"),
            ("outSR", &wkid),
        ];
        let found = server.document(&server.at(&format!("{layer}/query")), &form)?;
        let feature = found["features"].as_array().and_then(|features| features.first()).cloned();
        let Some(feature) = feature else { continue };
        let row = Row::read(&table, serde_json::from_value(feature)?)?;
        let tx = replica.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        tx.execute("UPDATE sync_replica SET tracking = 0", [])?;
        row.put(&tx, &table, &[])?;
        tx.execute("UPDATE sync_replica SET tracking = 1", [])?;
        tx.commit()?;
    }
    Ok(())
}

/// Takes replicas back that a clone which broke off may have left on the server.
fn clear_leftovers(replica: &Replica, server: &Server) -> Result<()> {
    let left = {
        let mut listed = replica.db.prepare("SELECT replica_name, noted_ms FROM sync_leftovers")?;
        listed.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<Vec<(String, i64)>>>()?
    };
    for (name, noted_ms) in left {
        // Of the file's own name there may be another; one look is enough, as this replica is there already.
        let is_own = replica.name.starts_with(&name);
        let is_gone = match unregister(server, &name, Some(&replica.id)) {
            Ok(is_gone) => is_gone,
            // A server that does not say who holds what is synchronized with nevertheless.
            Err(Error::Refused { .. } | Error::Protocol(_)) => false,
            Err(error) => return Err(error),
        };
        if is_gone || is_own || now_ms() - noted_ms > LEFTOVER_MS {
            replica.db.execute("DELETE FROM sync_leftovers WHERE replica_name = ?1", [name])?;
        }
    }
    Ok(())
}
