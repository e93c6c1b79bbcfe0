//! What was edited in the file: what it comes to for a row, and freezing it for a request.
//!
//! The log has an entry for each edit. What they come to for a row is worked out from its entries, from whether the row is there, and
//! from whether the server has refused it before. Edits go into the outbox in one transaction with their removal from the log;
//! what is edited from then on is logged anew. So an edit is in the log, in the outbox, in what was refused, or on the server,
//! and never in two of these.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use serde_json::{Map, Value as Json};

use super::{
    answer::Op,
    error::{Error, Result},
    file::{Replica, Table, make_way, table},
    geometry, values,
    values::now_ms,
};
use crate::{
    model::id::GlobalId,
    sqlite::{geopackage::log::LOCAL_IDS, quoted},
};

/// The most edits in a request.
pub(crate) const MAX_EDITS: usize = 10_000;
/// The most bytes of edits in a request, but for a single edit that is larger.
const MAX_BYTES: usize = 16 << 20;

/// What the log has of a row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    /// The first thing that was done.
    first: Op,
    /// The columns that were changed; `None` if the row was entered as a whole.
    pub(crate) fields: Option<BTreeSet<String>>,
}

/// What the log has of a row. `None` if nothing.
pub(crate) fn pending(db: &Connection, layer: i64, is_attachment: bool, globalid: &str) -> Result<Option<Pending>> {
    let mut entries = db.prepare_cached(
        "SELECT op, fields FROM sync_changes WHERE layer_id = ?1 AND globalid = ?3 AND is_attachment = ?2 ORDER BY seq",
    )?;
    let mut rows = entries.query(params![layer, is_attachment, globalid])?;
    let mut found: Option<Pending> = None;
    while let Some(row) = rows.next()? {
        let (op, fields): (String, Option<String>) = (row.get(0)?, row.get(1)?);
        let op = Op::from_letter(&op);
        let pending = found.get_or_insert_with(|| Pending { first: op, fields: Some(BTreeSet::new()) });
        match (op, fields, &mut pending.fields) {
            (Op::Update, Some(fields), Some(known)) => known.extend(listed(&fields)),
            (Op::Delete, _, _) => {}
            (_, _, known) => *known = None,
        }
    }
    Ok(found)
}

/// The names in a list of fields as triggers write it: elements of a JSON array, each with a comma after it.
fn listed(fields: &str) -> Vec<String> {
    serde_json::from_str(&format!("[{}]", fields.trim_end_matches(','))).unwrap_or_default()
}

/// How many edits are in the log, for each layer and kind.
pub(crate) fn count(db: &Connection) -> Result<i64> {
    Ok(db.query_row(
        "SELECT count(*) FROM (SELECT DISTINCT layer_id, is_attachment, globalid FROM sync_changes)",
        [],
        |row| row.get(0),
    )?)
}

/// A row with entries in the log.
struct Touched {
    layer: i64,
    is_attachment: bool,
    globalid: String,
}

/// What an edit comes to.
enum Net {
    /// Nothing is left of it.
    Nothing,
    /// This is to be sent.
    Send { op: Op, sent: Json },
    /// It cannot be sent, for this reason. The columns that it set stay known.
    Unfit { op: Op, problem: String, fields: Option<BTreeSet<String>> },
}

/// Moves up to `max_edits` edits from the log into the outbox. Returns how many.
pub(crate) fn freeze(replica: &mut Replica, max_edits: usize) -> Result<usize> {
    let tables = &replica.tables;
    let tx = replica.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute("UPDATE sync_replica SET tracking = 0", [])?;
    spell_ids(&tx, tables)?;
    let (mut n_edits, mut n_bytes) = (0, 0);
    for touched in touched(&tx, max_edits)? {
        if n_bytes > MAX_BYTES {
            break;
        }
        let Touched { layer, is_attachment, globalid } = &touched;
        let key = params![layer, is_attachment, globalid];
        match net(&tx, table(tables, *layer)?, &touched)? {
            Net::Nothing => {
                tx.execute(
                    "DELETE FROM sync_refused WHERE layer_id = ?1 AND is_attachment = ?2 AND globalid = ?3",
                    key,
                )?;
            }
            Net::Unfit { op, problem, fields } => {
                note_refused(&tx, (*layer, *is_attachment, globalid), op, (None, &problem), None, fields.as_ref())?;
            }
            Net::Send { op, sent } => {
                if op == Op::Update {
                    renumber(&tx, table(tables, *layer)?, &touched)?;
                }
                let sent = sent.to_string();
                n_edits += 1;
                n_bytes += sent.len();
                tx.execute(
                    "INSERT INTO sync_outbox_rows (layer_id, is_attachment, globalid, op, sent) VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![layer, is_attachment, globalid, op.letter(), sent],
                )?;
                tx.execute("INSERT INTO sync_outbox_changes SELECT * FROM sync_changes WHERE layer_id = ?1 AND is_attachment = ?2 AND globalid = ?3", key)?;
            }
        }
        tx.execute("DELETE FROM sync_changes WHERE layer_id = ?1 AND is_attachment = ?2 AND globalid = ?3", key)?;
    }
    if n_edits > 0 {
        tx.execute("INSERT INTO sync_outbox (id, kind, made_ms) VALUES (1, 'sync', ?1)", [now_ms()])?;
    }
    tx.execute("UPDATE sync_replica SET tracking = 1", [])?;
    tx.commit()?;
    Ok(n_edits)
}

/// The rows with entries in the log, in the order in which they were first touched.
fn touched(db: &Connection, max: usize) -> Result<Vec<Touched>> {
    let mut listed = db.prepare(
        "SELECT layer_id, is_attachment, globalid FROM sync_changes GROUP BY 1, 2, 3 ORDER BY min(seq) LIMIT ?1",
    )?;
    let rows = listed.query_map([i64::try_from(max).unwrap_or(i64::MAX)], |row| {
        Ok(Touched { layer: row.get(0)?, is_attachment: row.get(1)?, globalid: row.get(2)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Spells global ids that a program has made in its own way as the server does.
fn spell_ids(db: &Connection, tables: &[Table]) -> Result<()> {
    let mut odd = db.prepare("SELECT DISTINCT layer_id, is_attachment, globalid FROM sync_changes WHERE globalid <> upper(globalid) OR globalid NOT LIKE '{%'")?;
    let found = odd
        .query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?, row.get::<_, String>(2)?)))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    for (layer, is_attachment, globalid) in found {
        let Some(spelled) = GlobalId::parse(&globalid).map(|id| id.to_string()) else { continue };
        let Some((name, _, id_field)) = table(tables, layer)?.keys(is_attachment) else { continue };
        let (name, id_field) = (quoted(name), quoted(id_field));
        db.execute(
            &format!("UPDATE OR IGNORE {name} SET {id_field} = ?2 WHERE {id_field} = ?1"),
            [&globalid, &spelled],
        )?;
        if let (false, Some(attachments)) = (is_attachment, &table(tables, layer)?.attachments) {
            let text = format!("UPDATE {} SET REL_GLOBALID = ?2 WHERE REL_GLOBALID = ?1", quoted(attachments));
            db.execute(&text, [&globalid, &spelled])?;
        }
        db.execute(
            "UPDATE sync_changes SET globalid = ?4 WHERE layer_id = ?1 AND is_attachment = ?2 AND globalid = ?3",
            params![layer, is_attachment, globalid, spelled],
        )?;
    }
    Ok(())
}

/// Gives a row that was deleted and entered again the object id that it had: on the server it never went.
fn renumber(db: &Connection, table: &Table, touched: &Touched) -> Result<()> {
    let Some((name, oid_field, id_field)) = table.keys(touched.is_attachment) else { return Ok(()) };
    let mut first = db.prepare_cached("SELECT oid FROM sync_changes WHERE layer_id = ?1 AND is_attachment = ?2 AND globalid = ?3 ORDER BY seq LIMIT 1")?;
    let oid: Option<i64> =
        first.query_row(params![touched.layer, touched.is_attachment, touched.globalid], |row| row.get(0))?;
    let Some(oid) = oid.filter(|oid| *oid < LOCAL_IDS) else { return Ok(()) };
    make_way(db, name, oid_field, id_field, oid, &touched.globalid)?;
    let text = format!(
        "UPDATE {} SET {} = ?2 WHERE {} = ?1 AND {} <> ?2",
        quoted(name),
        quoted(oid_field),
        quoted(id_field),
        quoted(oid_field)
    );
    db.prepare_cached(&text)?.execute(params![touched.globalid, oid])?;
    Ok(())
}

/// What was refused of a row before, and still stands in the file: what it was, and which columns it changed; `None` for all.
fn refused(db: &Connection, touched: &Touched) -> Result<Option<(Op, Option<BTreeSet<String>>)>> {
    let mut found = db.prepare_cached(
        "SELECT op, fields FROM sync_refused WHERE layer_id = ?1 AND is_attachment = ?2 AND globalid = ?3",
    )?;
    let row: Option<(String, Option<String>)> = found
        .query_row(params![touched.layer, touched.is_attachment, touched.globalid], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(row.map(|(op, fields)| (Op::from_letter(&op), fields.and_then(|fields| serde_json::from_str(&fields).ok()))))
}

/// The columns that an edit set, as it was sent. `None` if that cannot be told.
pub(crate) fn named(table: &Table, sent: &str) -> Option<BTreeSet<String>> {
    let sent: Json = serde_json::from_str(sent).ok()?;
    let mut fields: BTreeSet<String> = sent["attributes"].as_object()?.keys().cloned().collect();
    if let (Some((column, _)), true) = (&table.geometry, sent.get("geometry").is_some()) {
        fields.insert(column.clone());
    }
    Some(fields)
}

fn net(db: &Connection, table: &Table, touched: &Touched) -> Result<Net> {
    let pending = pending(db, touched.layer, touched.is_attachment, &touched.globalid)?;
    let Some(pending) = pending else { return Ok(Net::Nothing) };
    let refused = refused(db, touched)?;
    let is_new = pending.first == Op::Add || matches!(refused, Some((Op::Add, _)));
    let Some((name, _, id_field)) = table.keys(touched.is_attachment) else { return Ok(Net::Nothing) };
    let is_there = db
        .prepare_cached(&format!("SELECT 1 FROM {} WHERE {} = ?1", quoted(name), quoted(id_field)))?
        .exists([&touched.globalid])?;
    let op = match (is_there, is_new) {
        (false, true) => return Ok(Net::Nothing),
        (false, false) => Op::Delete,
        (true, true) => Op::Add,
        (true, false) => Op::Update,
    };
    if GlobalId::parse(&touched.globalid).is_none() {
        let problem =
            format!("'{}' is not a GUID; delete the row, and enter it again without a global id", touched.globalid);
        return Ok(Net::Unfit { op, problem, fields: pending.fields });
    }
    if op == Op::Delete {
        return Ok(Net::Send { op, sent: Json::Null });
    }
    let mut fields = pending.fields;
    let sent = match touched.is_attachment {
        true => attachment(db, name, &touched.globalid)?,
        false => {
            // What was refused of the row before has never reached the server.
            if let Some((_, more)) = refused {
                fields = fields.zip(more).map(|(mut fields, more)| {
                    fields.extend(more);
                    fields
                });
            }
            feature(db, table, &touched.globalid, op, fields.as_ref())?
        }
    };
    Ok(match sent {
        Ok(sent) => Net::Send { op, sent },
        Err(problem) => Net::Unfit { op, problem, fields },
    })
}

/// A row as the server is sent it: all of a new one, and of others what was changed.
fn feature(
    db: &Connection,
    table: &Table,
    globalid: &str,
    op: Op,
    changed: Option<&BTreeSet<String>>,
) -> Result<std::result::Result<Json, String>> {
    let is_wanted = |name: &str| {
        op == Op::Add || changed.is_none_or(|fields| fields.iter().any(|field| field.eq_ignore_ascii_case(name)))
    };
    let fields: Vec<_> = table
        .layer
        .fields
        .iter()
        .filter(|field| {
            field.editable
                && !matches!(field.kind, values::Kind::ObjectId | values::Kind::GlobalId)
                && is_wanted(&field.name)
        })
        .collect();
    let shape = table.geometry.as_ref().filter(|(column, _)| is_wanted(column));
    let mut columns: Vec<String> = fields.iter().map(|field| quoted(&field.name)).collect();
    columns.extend(shape.map(|(column, _)| quoted(column)));
    columns.push("1".to_owned());
    let text = format!(
        "SELECT {} FROM {} WHERE {} = ?1",
        columns.join(", "),
        quoted(&table.name),
        quoted(&table.layer.globalid_field)
    );
    let mut read = db.prepare_cached(&text)?;
    let mut rows = read.query([globalid])?;
    let Some(row) = rows.next()? else { return Ok(Err("the row is not there".to_owned())) };
    let mut attributes = Map::new();
    attributes.insert(table.layer.globalid_field.clone(), globalid.into());
    for (at, field) in fields.iter().enumerate() {
        match values::to_server(field.kind, row.get_ref(at)?) {
            // What a new row does not have, the server may fill in.
            Ok(Json::Null) if op == Op::Add => {}
            Ok(value) => {
                attributes.insert(field.name.clone(), value);
            }
            Err(problem) => return Ok(Err(format!("field {}: {problem}", field.name))),
        }
    }
    let mut feature = Map::from_iter([("attributes".to_owned(), Json::Object(attributes))]);
    if let Some((_, form)) = shape {
        let blob = match row.get_ref(fields.len())? {
            rusqlite::types::ValueRef::Null => None,
            rusqlite::types::ValueRef::Blob(blob) => Some(blob),
            _ => return Ok(Err("the geometry column holds no geometry".to_owned())),
        };
        if blob.is_some() || op == Op::Update {
            match geometry::to_json(blob, form.kind) {
                Ok(text) => feature.insert("geometry".to_owned(), serde_json::from_str(&text)?),
                Err(problem) => return Ok(Err(problem)),
            };
        }
    }
    Ok(Ok(Json::Object(feature)))
}

/// An attachment as the server is sent it, without its bytes.
fn attachment(db: &Connection, name: &str, globalid: &str) -> Result<std::result::Result<Json, String>> {
    let text =
        format!("SELECT REL_GLOBALID, CONTENT_TYPE, ATT_NAME, KEYWORDS FROM {} WHERE GLOBALID = ?1", quoted(name));
    let (parent, kind, name, keywords): (Option<String>, Option<String>, Option<String>, Option<String>) =
        db.query_row(&text, [globalid], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
    let Some(parent) = parent.as_deref().and_then(GlobalId::parse) else {
        return Ok(Err("REL_GLOBALID is not the global id of a feature".to_owned()));
    };
    let mut sent = Map::new();
    sent.insert("globalId".to_owned(), globalid.into());
    sent.insert("parentGlobalId".to_owned(), parent.to_string().into());
    sent.insert(
        "contentType".to_owned(),
        kind.filter(|kind| !kind.is_empty()).unwrap_or_else(|| "application/octet-stream".to_owned()).into(),
    );
    sent.insert(
        "name".to_owned(),
        name.filter(|name| !name.is_empty()).unwrap_or_else(|| "attachment".to_owned()).into(),
    );
    if let Some(keywords) = keywords {
        sent.insert("keywords".to_owned(), keywords.into());
    }
    Ok(Ok(Json::Object(sent)))
}

/// Notes that an edit of a row (layer, whether it is an attachment, global id) was refused, with a code and words. The row stays as its user
/// left it.
pub(crate) fn note_refused(
    db: &Connection,
    key: (i64, bool, &str),
    op: Op,
    (code, description): (Option<i64>, &str),
    sent: Option<&str>,
    fields: Option<&BTreeSet<String>>,
) -> Result<()> {
    let fields = fields.map(serde_json::to_string).transpose()?;
    db.execute(
        "INSERT INTO sync_refused (layer_id, is_attachment, globalid, op, code, description, sent, fields, refused_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (layer_id, is_attachment, globalid) DO UPDATE SET op = excluded.op, code = excluded.code,
           description = excluded.description, sent = excluded.sent, fields = excluded.fields, refused_ms = excluded.refused_ms",
        params![key.0, key.1, key.2, op.letter(), code, description, sent, fields, now_ms()],
    )?;
    Ok(())
}

/// Puts the edits of the outbox back into the log: the server has said that it will not have this request.
pub(crate) fn thaw(replica: &mut Replica) -> Result<()> {
    let tx = replica.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // With their old numbers, so before what was edited since.
    tx.execute("INSERT INTO sync_changes SELECT * FROM sync_outbox_changes", [])?;
    empty_outbox(&tx)?;
    tx.commit()?;
    Ok(())
}

/// Empties the outbox.
pub(crate) fn empty_outbox(db: &Connection) -> Result<()> {
    db.execute_batch("DELETE FROM sync_outbox; DELETE FROM sync_outbox_rows; DELETE FROM sync_outbox_changes")?;
    Ok(())
}

/// Sets the only edit of the outbox aside as refused: the server has refused a request that had nothing else in it.
pub(crate) fn refuse_outbox(replica: &mut Replica, error: &Error) -> Result<()> {
    let code = match error {
        Error::Refused { code, .. } => Some(*code),
        _ => None,
    };
    let tables = &replica.tables;
    let tx = replica.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let rows = {
        let mut listed = tx.prepare("SELECT layer_id, is_attachment, globalid, op, sent FROM sync_outbox_rows")?;
        let rows = listed.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?;
        rows.collect::<rusqlite::Result<Vec<(i64, bool, String, String, Option<String>)>>>()?
    };
    for (layer, is_attachment, globalid, op, sent) in rows {
        let fields = sent.as_deref().and_then(|sent| named(table(tables, layer).ok()?, sent));
        note_refused(
            &tx,
            (layer, is_attachment, &globalid),
            Op::from_letter(&op),
            (code, &error.words()),
            sent.as_deref(),
            fields.as_ref(),
        )?;
    }
    empty_outbox(&tx)?;
    tx.commit()?;
    Ok(())
}

/// Puts what was refused into the log again, as it stands in the file now. Returns how many edits.
pub(crate) fn retry(replica: &mut Replica) -> Result<usize> {
    let tables = &replica.tables;
    let tx = replica.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let rows = {
        let mut listed =
            tx.prepare("SELECT layer_id, is_attachment, globalid, op FROM sync_refused ORDER BY refused_ms")?;
        let rows = listed.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        rows.collect::<rusqlite::Result<Vec<(i64, bool, String, String)>>>()?
    };
    let mut n_again = 0;
    for (layer, is_attachment, globalid, op) in rows {
        let Some((name, _, id_field)) = table(tables, layer)?.keys(is_attachment) else { continue };
        let (name, id_field) = (quoted(name), quoted(id_field));
        if op == "D" {
            // The trigger logs it.
            n_again += tx.execute(&format!("DELETE FROM {name} WHERE {id_field} = ?1"), [&globalid])?;
            continue;
        }
        let is_there = tx.prepare(&format!("SELECT 1 FROM {name} WHERE {id_field} = ?1"))?.exists([&globalid])?;
        if is_there {
            n_again += tx.execute(
                "INSERT INTO sync_changes (layer_id, is_attachment, op, globalid, fields) VALUES (?1, ?2, ?3, ?4, ?5)",
                // Which fields stands in what was refused.
                params![layer, is_attachment, op, globalid, (op == "U").then_some("")],
            )?;
        }
    }
    tx.commit()?;
    Ok(n_again)
}
