//! The bytes of attachments, both ways, without holding large ones in memory.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
};

use base64::Engine as _;
use rusqlite::{Connection, MAIN_DB, OptionalExtension as _, TransactionBehavior, params};
use serde_json::Value as Json;

use super::{
    error::{Error, Result},
    file::{Table, table},
    http::{Server, beside, remove},
};
use crate::sqlite::quoted;

/// Attachments up to this size travel in the request itself, larger ones before it.
const MAX_EMBEDDED_BYTES: i64 = 64 * 1024;
/// Also without uploads, no attachment of more than this is put into a request.
const MAX_INLINE_BYTES: i64 = 32 << 20;

const CHUNK_BYTES: usize = 256 * 1024;

/// Fetches what has not come yet. Each is entered by itself, so that an interruption costs one at most. Returns how many came.
pub(crate) fn fetch(
    db: &mut Connection,
    tables: &[Table],
    server: &Server,
    path: &Path,
    told: &mut dyn FnMut(&str, u64),
) -> Result<u64> {
    let wanted = {
        let mut listed = db.prepare("SELECT layer_id, globalid, url FROM sync_wanted ORDER BY layer_id, globalid")?;
        let rows = listed.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect::<rusqlite::Result<Vec<(i64, String, Option<String>)>>>()?
    };
    let into = beside(path, "attachment");
    let mut n_fetched = 0;
    for (layer, globalid, url) in wanted {
        let table = table(tables, layer)?;
        let Some(name) = &table.attachments else { continue };
        let Some(addresses) = addresses(db, table, name, &globalid, url, server)? else {
            // It went while it was awaited.
            db.execute("DELETE FROM sync_wanted WHERE layer_id = ?1 AND globalid = ?2", params![layer, globalid])?;
            continue;
        };
        let mut refusal = None;
        for address in addresses {
            match server.download(&address, &into, &mut |n| told("attachment", n)) {
                Ok(()) => {
                    refusal = None;
                    break;
                }
                Err(error @ Error::Refused { .. }) => refusal = Some(error),
                Err(error) => return Err(error),
            }
        }
        if let Some(error) = refusal {
            return Err(error);
        }
        enter(db, layer, name, &globalid, &into)?;
        n_fetched += 1;
    }
    remove(&into)?;
    Ok(n_fetched)
}

/// Where an attachment can be fetched: the address that came with it, which may have expired, and the resource.
fn addresses(
    db: &Connection,
    table: &Table,
    name: &str,
    globalid: &str,
    url: Option<String>,
    server: &Server,
) -> Result<Option<Vec<String>>> {
    let text = format!(
        "SELECT a.ATTACHMENTID, f.{} FROM {} a LEFT JOIN {} f ON f.{} = a.REL_GLOBALID WHERE a.GLOBALID = ?1",
        quoted(&table.layer.oid_field),
        quoted(name),
        quoted(&table.name),
        quoted(&table.layer.globalid_field)
    );
    let found: Option<(i64, Option<i64>)> =
        db.query_row(&text, [globalid], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((id, parent)) = found else { return Ok(None) };
    let resource = parent.map(|parent| server.at(&format!("{}/{parent}/attachments/{id}", table.layer.id)));
    Ok(Some(url.filter(|url| !url.is_empty()).into_iter().chain(resource).collect()))
}

/// Copies a file into the row of an attachment.
fn enter(db: &mut Connection, layer: i64, name: &str, globalid: &str, from: &Path) -> Result<()> {
    let failed = |error: std::io::Error| Error::file(from, &error);
    let mut file = File::open(from).map_err(failed)?;
    let size = i64::try_from(file.metadata().map_err(failed)?.len()).unwrap_or(i64::MAX);
    let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute("UPDATE sync_replica SET tracking = 0", [])?;
    let row: Option<i64> = tx
        .query_row(&format!("SELECT ATTACHMENTID FROM {} WHERE GLOBALID = ?1", quoted(name)), [globalid], |row| {
            row.get(0)
        })
        .optional()?;
    let is_edited = tx
        .prepare("SELECT 1 FROM sync_changes WHERE layer_id = ?1 AND is_attachment = 1 AND globalid = ?2")?
        .exists(params![layer, globalid])?;
    if let (Some(row), false) = (row, is_edited) {
        tx.execute(
            &format!("UPDATE {} SET DATA = zeroblob(?2), DATA_SIZE = ?2 WHERE ATTACHMENTID = ?1", quoted(name)),
            params![row, size],
        )?;
        let mut blob = tx.blob_open(MAIN_DB, name, "DATA", row, false)?;
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let n = file.read(&mut buffer).map_err(failed)?;
            if n == 0 {
                break;
            }
            blob.write_all(buffer.get(..n).unwrap_or_default())
                .map_err(|error| Error::File(format!("an attachment cannot be written: {error}")))?;
        }
        drop(blob);
    }
    tx.execute("DELETE FROM sync_wanted WHERE layer_id = ?1 AND globalid = ?2", params![layer, globalid])?;
    tx.execute("UPDATE sync_replica SET tracking = 1", [])?;
    tx.commit()?;
    drop(file);
    remove(from)
}

/// What is sent of an attachment's bytes: themselves, or the id of the upload that was made of them. `None` if the attachment
/// is no longer there.
pub(crate) enum Bytes {
    /// As base64.
    Embedded(String),
    /// By the id of an upload.
    Uploaded(String),
}

/// Reads or uploads the bytes of an attachment. `None` if it is no longer there.
pub(crate) fn bytes(
    db: &Connection,
    server: &Server,
    uploads: bool,
    name: &str,
    globalid: &str,
    file_name: &str,
    path: &Path,
) -> Result<Option<Bytes>> {
    let text = format!("SELECT ATTACHMENTID, length(DATA) FROM {} WHERE GLOBALID = ?1", quoted(name));
    let found: Option<(i64, Option<i64>)> =
        db.query_row(&text, [globalid], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((row, size)) = found else { return Ok(None) };
    let size = size.unwrap_or(0);
    let embedded = size <= MAX_EMBEDDED_BYTES || (!uploads && size <= MAX_INLINE_BYTES);
    if embedded {
        let data: Option<Vec<u8>> = db.query_row(
            &format!("SELECT CAST(DATA AS BLOB) FROM {} WHERE ATTACHMENTID = ?1", quoted(name)),
            [row],
            |row| row.get(0),
        )?;
        return Ok(Some(Bytes::Embedded(base64::engine::general_purpose::STANDARD.encode(data.unwrap_or_default()))));
    }
    // Copied first, so that nobody who edits the file waits for the line.
    let copy = beside(path, "attachment");
    let failed = |error: std::io::Error| Error::file(&copy, &error);
    let mut file = File::options().create(true).truncate(true).read(true).write(true).open(&copy).map_err(failed)?;
    {
        let mut blob = db.blob_open(MAIN_DB, name, "DATA", row, true)?;
        std::io::copy(&mut blob, &mut file).map_err(failed)?;
    }
    let size = file.seek(SeekFrom::End(0)).map_err(failed)?;
    let mut send = |name: &str| server.upload(&server.at("uploads/upload"), name, &mut file, size);
    // Servers look at the names of uploads, which are not those of attachments.
    let answer = match send(file_name) {
        Err(error) if error.is_final() => send("attachment.txt")?,
        done => done?,
    };
    remove(&copy)?;
    let id = answer["item"]["itemID"]
        .as_str()
        .or_else(|| answer["item"]["itemId"].as_str())
        .or_else(|| answer["itemID"].as_str());
    match id {
        Some(id) => Ok(Some(Bytes::Uploaded(id.to_owned()))),
        None => Err(Error::Protocol(format!("uploads/upload gave no id: {}", Json::to_string(&answer)))),
    }
}
