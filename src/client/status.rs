//! What a file holds that the server does not know, and what the server has that the file does not.

use rusqlite::{Connection, params};
use serde_json::{Value as Json, json};

use super::{
    error::Result,
    file::Replica,
    http::Server,
    service::{Offers, has},
    values::iso,
};

/// Describes a file; with a server, also how far it is behind.
pub(crate) fn of(replica: &Replica, server: Option<&Server>) -> Result<Json> {
    let db = &replica.db;
    let last: Option<i64> = db.query_row("SELECT last_sync_ms FROM sync_replica", [], |row| row.get(0))?;
    let mut layers = Vec::new();
    for table in &replica.tables {
        let count = |is_attachment: bool| pending_of(db, table.layer.id, is_attachment);
        layers.push(json!({
            "id": table.layer.id,
            "name": table.layer.name,
            "table": table.name,
            "pending": count(false)?,
            "pendingAttachments": count(true)?,
        }));
    }
    let unanswered: i64 = db.query_row("SELECT count(*) FROM sync_outbox_rows", [], |row| row.get(0))?;
    let in_flight: bool = db.query_row("SELECT EXISTS (SELECT 1 FROM sync_outbox)", [], |row| row.get(0))?;
    let wanted: i64 = db.query_row("SELECT count(*) FROM sync_wanted", [], |row| row.get(0))?;
    let behind = match server {
        Some(server) => behind(replica, server)?,
        None => Json::Null,
    };
    Ok(json!({
        "file": replica.path.display().to_string(),
        "service": replica.url,
        "replicaName": replica.name,
        "replicaId": replica.id,
        "direction": replica.direction,
        "lastSync": last.map(iso).transpose().unwrap_or_default(),
        "layers": layers,
        "unanswered": in_flight.then_some(unanswered),
        "attachmentsToFetch": wanted,
        "refused": refused(replica)?,
        "conflicts": conflicts(replica)?,
        "behind": behind,
    }))
}

/// How many rows of a layer have edits in the log, by what was done first and last.
fn pending_of(db: &Connection, layer: i64, is_attachment: bool) -> Result<Json> {
    let mut listed = db.prepare_cached(
        "WITH ends AS (SELECT globalid, min(seq) AS first, max(seq) AS last FROM sync_changes WHERE layer_id = ?1 AND is_attachment = ?2 GROUP BY globalid)
         SELECT f.op, l.op, count(*) FROM ends JOIN sync_changes f ON f.seq = ends.first JOIN sync_changes l ON l.seq = ends.last GROUP BY 1, 2",
    )?;
    let mut rows = listed.query(params![layer, is_attachment])?;
    let (mut adds, mut updates, mut deletes) = (0, 0, 0);
    while let Some(row) = rows.next()? {
        let (first, last, n): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        match (first.as_str(), last.as_str()) {
            ("I", "D") => {}
            ("I", _) => adds += n,
            (_, "D") => deletes += n,
            _ => updates += n,
        }
    }
    Ok(json!({"adds": adds, "updates": updates, "deletes": deletes}))
}

fn refused(replica: &Replica) -> Result<Vec<Json>> {
    let mut listed = replica.db.prepare(
        "SELECT layer_id, is_attachment, globalid, op, code, description, sent, refused_ms FROM sync_refused ORDER BY refused_ms, layer_id, globalid",
    )?;
    let mut rows = listed.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let layer: i64 = row.get(0)?;
        let op: String = row.get(3)?;
        let sent: Option<String> = row.get(6)?;
        found.push(json!({
            "layer": layer,
            "table": replica.table(layer)?.name,
            "isAttachment": row.get::<_, bool>(1)?,
            "globalId": row.get::<_, String>(2)?,
            "edit": super::answer::Op::from_letter(&op).name(),
            "code": row.get::<_, Option<i64>>(4)?,
            "description": row.get::<_, String>(5)?,
            "sent": sent.map(|text| serde_json::from_str::<Json>(&text)).transpose()?,
            "refused": iso(row.get(7)?).unwrap_or_default(),
        }));
    }
    Ok(found)
}

fn conflicts(replica: &Replica) -> Result<Vec<Json>> {
    let mut listed = replica
        .db
        .prepare("SELECT layer_id, is_attachment, globalid, what, theirs, seen_ms FROM sync_conflicts ORDER BY id")?;
    let mut rows = listed.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let layer: i64 = row.get(0)?;
        let theirs: Option<String> = row.get(4)?;
        found.push(json!({
            "layer": layer,
            "table": replica.table(layer)?.name,
            "isAttachment": row.get::<_, bool>(1)?,
            "globalId": row.get::<_, String>(2)?,
            "what": row.get::<_, String>(3)?,
            "theirs": theirs.map(|text| serde_json::from_str::<Json>(&text)).transpose()?,
            "seen": iso(row.get(5)?).unwrap_or_default(),
        }));
    }
    Ok(found)
}

/// How many rows were changed on the server since the file's generations, its own edits among them; where the server can tell.
fn behind(replica: &Replica, server: &Server) -> Result<Json> {
    let document = server.document(server.url.as_str(), &[])?;
    let generations = replica.generations()?;
    if !has(&document, "ChangeTracking")
        || Offers::read(&document).jobs && document["extractChangesCapabilities"]["supportsReturnIdsOnly"] != true
    {
        return Ok(json!({"changes": null, "why": "the server does not offer to tell"}));
    }
    let ids: Vec<String> = replica.tables.iter().map(|table| table.layer.id.to_string()).collect();
    let layers: Vec<Json> = match generations.all {
        Some(generation) => {
            replica.tables.iter().map(|table| json!({"id": table.layer.id, "serverGen": generation})).collect()
        }
        None => generations.layers.iter().map(|(id, generation)| json!({"id": id, "serverGen": generation})).collect(),
    };
    let (ids, layers) = (ids.join(","), Json::Array(layers).to_string());
    let form = [
        ("layers", ids.as_str()),
        ("layerServerGens", &layers),
        ("returnInserts", "true"),
        ("returnUpdates", "true"),
        ("returnDeletes", "true"),
        ("returnIdsOnly", "true"),
        ("transportType", "esriTransportTypeEmbedded"),
        ("async", "false"),
    ];
    let answer = match server.document(&server.at("extractChanges"), &form) {
        Ok(answer) => answer,
        Err(error @ super::error::Error::Refused { .. }) => return Ok(json!({"changes": null, "why": error.words()})),
        Err(error) => return Err(error),
    };
    let mut n = 0;
    for layer in answer["edits"].as_array().into_iter().flatten() {
        for key in ["adds", "updates", "deletes"] {
            n += layer["objectIds"][key].as_array().map_or(0, Vec::len);
        }
    }
    Ok(json!({"changes": n}))
}
