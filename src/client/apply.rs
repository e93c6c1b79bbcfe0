//! Applies an answer to the file, whole or not at all.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};
use serde_json::{Map, Value as Json};

use super::{
    answer::{self, Attachment, EditResult, Feature, Generations, Head, Op, Part},
    changes::{empty_outbox, named, note_refused, pending},
    error::{Error, Result},
    file::{Replica, Table, make_way, table},
    rows::{self, Row, spelled},
    values::now_ms,
};
use crate::sqlite::quoted;

/// How long conflicts are told: a month.
const CONFLICTS_KEPT_MS: i64 = 30 * 24 * 3600 * 1000;

/// The API's number for a row that is not there.
const MISSING: i64 = 1011;

/// What an answer changed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Applied {
    /// Rows and attachments that came.
    pub(crate) received: u64,
    /// … that went.
    pub(crate) deleted: u64,
    /// Edits that the server took.
    pub(crate) sent: u64,
    /// Edits that it refused.
    pub(crate) refused: u64,
    /// Rows with edits that were not sent yet, which others had changed.
    pub(crate) conflicts: u64,
}

/// What the request of an answer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Edits up, changes down.
    Sync,
    /// Edits up only.
    Upload,
    /// All rows anew.
    Snapshot,
}

impl Kind {
    /// Its name in the outbox.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Sync => "sync",
            Kind::Upload => "upload",
            Kind::Snapshot => "snapshot",
        }
    }

    /// Reads a name of the outbox.
    pub(crate) fn from_name(name: &str) -> Kind {
        match name {
            "upload" => Kind::Upload,
            "snapshot" => Kind::Snapshot,
            _ => Kind::Sync,
        }
    }
}

/// Applies the answer to the request in the outbox: the rows in the file at `path`, if there are any, the generations, and what
/// became of the edits. The outbox is empty afterwards.
pub(crate) fn apply(replica: &mut Replica, kind: Kind, head: Head, path: Option<&Path>) -> Result<Applied> {
    let (tables, per_layer) = (&replica.tables, replica.per_layer);
    let tx = replica.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute("UPDATE sync_replica SET tracking = 0", [])?;
    let has_pending = tx.query_row("SELECT EXISTS (SELECT 1 FROM sync_changes)", [], |row| row.get(0))?;
    let mut entering = Entering {
        db: &tx,
        tables,
        has_pending,
        applied: Applied::default(),
        arrived: HashSet::new(),
        results: Vec::new(),
        whole: Vec::new(),
    };
    let mut head = head;
    if let Some(path) = path {
        tx.execute_batch("CREATE TEMP TABLE IF NOT EXISTS seen (layer_id, is_attachment, globalid, PRIMARY KEY (layer_id, is_attachment, globalid)) WITHOUT ROWID; DELETE FROM temp.seen")?;
        // The file's own generations are those of its rows.
        head.extend(answer::read(path, &mut |layer, part| entering.take(layer, part))?);
    }
    entering.sweep()?;
    entering.settle()?;
    let applied = entering.applied;
    generations(&tx, kind, per_layer, &Generations::of(&head))?;
    empty_outbox(&tx)?;
    tx.execute("DELETE FROM sync_conflicts WHERE seen_ms < ?1", [now_ms() - CONFLICTS_KEPT_MS])?;
    if applied.received + applied.deleted > 0 {
        tx.execute("UPDATE gpkg_contents SET last_change = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE table_name IN (SELECT table_name FROM sync_layers)", [])?;
    }
    tx.execute("UPDATE sync_replica SET tracking = 1, last_sync_ms = ?1", [now_ms()])?;
    tx.commit()?;
    Ok(applied)
}

/// Enters the generations of an answer.
fn generations(db: &Connection, kind: Kind, per_layer: bool, found: &Generations) -> Result<()> {
    // An upload alone leaves them as they are: what others did has not come.
    if kind == Kind::Upload {
        return Ok(());
    }
    if found.is_empty() || (!per_layer && found.all.is_none()) {
        return Err(Error::Protocol(
            "it does not say up to which generation it goes; nothing was changed here".to_owned(),
        ));
    }
    if per_layer {
        for (layer, generation) in &found.layers {
            db.execute("UPDATE sync_layers SET server_gen = ?2 WHERE layer_id = ?1", params![layer, generation])?;
        }
    } else {
        db.execute("UPDATE sync_replica SET server_gen = ?1", [found.all])?;
    }
    Ok(())
}

/// An answer while it is entered, in a transaction that records nothing.
struct Entering<'a> {
    db: &'a Connection,
    tables: &'a [Table],
    /// Whether anything at all was edited since the request was made.
    has_pending: bool,
    applied: Applied,
    /// Rows of the outbox that came back.
    arrived: HashSet<(i64, bool, String)>,
    results: Vec<(i64, bool, EditResult)>,
    /// Layers of which all rows came.
    whole: Vec<i64>,
}

impl Entering<'_> {
    fn take(&mut self, layer: i64, part: Part) -> Result<()> {
        match part {
            Part::Whole => self.whole.push(layer),
            Part::Row(feature) => self.row(layer, feature)?,
            Part::Gone(id) => self.gone(layer, &spelled(&id))?,
            Part::Attachment(attachment) => self.attachment(layer, &attachment)?,
            Part::AttachmentGone(id) => self.attachment_gone(layer, &spelled(&id))?,
            Part::Result { is_attachment, result } => self.results.push((layer, is_attachment, result)),
        }
        Ok(())
    }

    /// Notes that a row came.
    fn came(&mut self, layer: i64, is_attachment: bool, globalid: &str) -> Result<()> {
        self.applied.received += 1;
        let key = params![layer, is_attachment, globalid];
        if self.whole.contains(&layer) {
            self.db.prepare_cached("INSERT OR IGNORE INTO temp.seen VALUES (?1, ?2, ?3)")?.execute(key)?;
        }
        let mut sent = self.db.prepare_cached(
            "SELECT 1 FROM sync_outbox_rows WHERE layer_id = ?1 AND is_attachment = ?2 AND globalid = ?3",
        )?;
        if sent.exists(key)? {
            self.arrived.insert((layer, is_attachment, globalid.to_owned()));
        }
        // A row that the server has is no longer one that it refused to add.
        let mut known = self.db.prepare_cached(
            "DELETE FROM sync_refused WHERE layer_id = ?1 AND is_attachment = ?2 AND globalid = ?3 AND op = 'I'",
        )?;
        known.execute(key)?;
        Ok(())
    }

    fn row(&mut self, layer: i64, feature: Feature) -> Result<()> {
        let table = table(self.tables, layer)?;
        let row = Row::read(table, feature)?;
        self.came(layer, false, &row.globalid)?;
        let edited = if self.has_pending { pending(self.db, layer, false, &row.globalid)? } else { None };
        let Some(edited) = edited else { return row.put(self.db, table, &[]) };
        let Some(mine) = self.current(table, &row.globalid)? else {
            return self.conflict(
                layer,
                false,
                &row.globalid,
                "deleted here, changed by others",
                Some(shown(table, &row, None)),
            );
        };
        // What was edited here stands, and the rest is as the server has it.
        let columns = table.columns();
        let kept: Vec<String> = match &edited.fields {
            Some(fields) => fields.iter().cloned().collect(),
            None => columns.iter().map(|name| (*name).to_owned()).collect(),
        };
        let differing: Vec<usize> = row
            .values
            .iter()
            .filter(|(at, value)| {
                columns.get(*at).is_some_and(|name| kept.iter().any(|kept| kept == name))
                    && mine.get(*at) != Some(value)
            })
            .map(|(at, _)| *at)
            .filter(|at| {
                columns
                    .get(*at)
                    .is_none_or(|name| *name != table.layer.oid_field && *name != table.layer.globalid_field)
            })
            .collect();
        row.put(self.db, table, &kept)?;
        if differing.is_empty() {
            return Ok(());
        }
        self.conflict(
            layer,
            false,
            &row.globalid,
            "edited here, changed by others",
            Some(shown(table, &row, Some(&differing))),
        )
    }

    /// The values of a row that is in the file.
    fn current(&self, table: &Table, globalid: &str) -> Result<Option<Vec<rusqlite::types::Value>>> {
        let columns: Vec<String> = table.columns().into_iter().map(quoted).collect();
        let text = format!(
            "SELECT {} FROM {} WHERE {} = ?1",
            columns.join(", "),
            quoted(&table.name),
            quoted(&table.layer.globalid_field)
        );
        let n = columns.len();
        Ok(self
            .db
            .prepare_cached(&text)?
            .query_row([globalid], |row| (0..n).map(|at| row.get(at)).collect())
            .optional()?)
    }

    fn gone(&mut self, layer: i64, globalid: &str) -> Result<()> {
        let table = table(self.tables, layer)?;
        if self.has_pending && pending(self.db, layer, false, globalid)?.is_some() {
            if self.current(table, globalid)?.is_some() {
                return self.conflict(layer, false, globalid, "edited here, deleted by others", None);
            }
            self.forget(layer, false, globalid)?;
        }
        self.applied.deleted += rows::delete(self.db, table, globalid)? as u64;
        Ok(())
    }

    fn attachment(&mut self, layer: i64, attachment: &Attachment) -> Result<()> {
        let table = table(self.tables, layer)?;
        let globalid = spelled(&attachment.global_id);
        self.came(layer, true, &globalid)?;
        if self.has_pending && pending(self.db, layer, true, &globalid)?.is_some() {
            return self.conflict(layer, true, &globalid, "edited here, changed by others", None);
        }
        rows::put_attachment(self.db, table, attachment)
    }

    fn attachment_gone(&mut self, layer: i64, globalid: &str) -> Result<()> {
        let table = table(self.tables, layer)?;
        let Some(name) = &table.attachments else { return Ok(()) };
        let text = format!("SELECT 1 FROM {} WHERE GLOBALID = ?1", quoted(name));
        if self.has_pending && pending(self.db, layer, true, globalid)?.is_some() {
            if self.db.prepare_cached(&text)?.exists([globalid])? {
                return self.conflict(layer, true, globalid, "edited here, deleted by others", None);
            }
            self.forget(layer, true, globalid)?;
        }
        let text = format!("DELETE FROM {} WHERE GLOBALID = ?1", quoted(name));
        self.applied.deleted += self.db.prepare_cached(&text)?.execute([globalid])? as u64;
        Ok(())
    }

    /// Forgets the edits of a row on which this file and the server agree.
    fn forget(&self, layer: i64, is_attachment: bool, globalid: &str) -> Result<()> {
        self.db.execute(
            "DELETE FROM sync_changes WHERE layer_id = ?1 AND is_attachment = ?2 AND globalid = ?3",
            params![layer, is_attachment, globalid],
        )?;
        Ok(())
    }

    fn conflict(
        &mut self,
        layer: i64,
        is_attachment: bool,
        globalid: &str,
        what: &str,
        theirs: Option<Json>,
    ) -> Result<()> {
        self.applied.conflicts += 1;
        self.db.execute(
            "INSERT INTO sync_conflicts (layer_id, is_attachment, globalid, what, theirs, seen_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![layer, is_attachment, globalid, what, theirs.map(|theirs| theirs.to_string()), now_ms()],
        )?;
        Ok(())
    }

    /// Deletes what did not come of layers of which everything came, but for what was edited here.
    fn sweep(&mut self) -> Result<()> {
        for layer in std::mem::take(&mut self.whole) {
            let table = table(self.tables, layer)?;
            for is_attachment in [false, true] {
                let Some((name, _, id_field)) = table.keys(is_attachment) else { continue };
                let (name, id_field) = (quoted(name), quoted(id_field));
                let n = self.db.execute(
                    &format!(
                        "DELETE FROM {name} WHERE NOT EXISTS (SELECT 1 FROM temp.seen s WHERE s.layer_id = ?1 AND s.is_attachment = ?2 AND s.globalid = {name}.{id_field})
                           AND NOT EXISTS (SELECT 1 FROM sync_changes c WHERE c.layer_id = ?1 AND c.is_attachment = ?2 AND c.globalid = {name}.{id_field})
                           AND NOT EXISTS (SELECT 1 FROM sync_outbox_rows o WHERE o.layer_id = ?1 AND o.is_attachment = ?2 AND o.globalid = {name}.{id_field})
                           AND NOT EXISTS (SELECT 1 FROM sync_refused r WHERE r.layer_id = ?1 AND r.is_attachment = ?2 AND r.globalid = {name}.{id_field} AND r.op = 'I')"
                    ),
                    params![layer, is_attachment],
                )?;
                self.applied.deleted += n as u64;
            }
        }
        Ok(())
    }

    /// Enters what became of the edits that were sent. Those of which the answer says nothing were taken.
    fn settle(&mut self) -> Result<()> {
        let mut by_row: HashMap<(i64, bool, String), EditResult> = HashMap::new();
        for (layer, is_attachment, result) in std::mem::take(&mut self.results) {
            if let Some(globalid) = &result.global_id {
                by_row.insert((layer, is_attachment, spelled(globalid)), result);
            } else if !result.success {
                return Err(Error::Protocol(
                    "an edit was refused, and it does not say which; nothing was changed here".to_owned(),
                ));
            }
        }
        let mut listed = self.db.prepare("SELECT layer_id, is_attachment, globalid, op, sent FROM sync_outbox_rows")?;
        let mut rows = listed.query([])?;
        while let Some(row) = rows.next()? {
            let key: (i64, bool, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let (op, sent): (String, Option<String>) = (row.get(3)?, row.get(4)?);
            let op = Op::from_letter(&op);
            match by_row.get(&key) {
                Some(result) if !result.success => self.not_taken(&key, op, result, sent.as_deref())?,
                result => {
                    self.applied.sent += 1;
                    self.db.execute(
                        "DELETE FROM sync_refused WHERE layer_id = ?1 AND is_attachment = ?2 AND globalid = ?3",
                        params![key.0, key.1, key.2],
                    )?;
                    self.taken(&key, op, result.and_then(|result| result.object_id))?;
                }
            }
        }
        Ok(())
    }

    /// Gives a row the object id that it has on the server, and clears away what belonged to a row that is gone.
    fn taken(&self, (layer, is_attachment, globalid): &(i64, bool, String), op: Op, oid: Option<i64>) -> Result<()> {
        let table = table(self.tables, *layer)?;
        match (op, oid.filter(|oid| *oid > 0)) {
            (Op::Add, Some(oid)) => {
                let Some((name, oid_field, id_field)) = table.keys(*is_attachment) else { return Ok(()) };
                make_way(self.db, name, oid_field, id_field, oid, globalid)?;
                let text =
                    format!("UPDATE {} SET {} = ?2 WHERE {} = ?1", quoted(name), quoted(oid_field), quoted(id_field));
                self.db.prepare_cached(&text)?.execute(params![globalid, oid])?;
            }
            (Op::Delete, _) if !is_attachment => {
                // Unless somebody has entered it again meanwhile.
                if let (Some(attachments), None) = (&table.attachments, self.current(table, globalid)?) {
                    self.db
                        .execute(&format!("DELETE FROM {} WHERE REL_GLOBALID = ?1", quoted(attachments)), [globalid])?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn not_taken(&mut self, key: &(i64, bool, String), op: Op, result: &EditResult, sent: Option<&str>) -> Result<()> {
        let (layer, is_attachment, globalid) = (key.0, key.1, key.2.as_str());
        let error = result.error.as_ref();
        let code = error.and_then(|error| error.code.as_i64().or_else(|| error.code.as_str()?.parse().ok()));
        // What is to be gone is gone.
        if op == Op::Delete && code == Some(MISSING) {
            self.applied.sent += 1;
            return Ok(());
        }
        self.applied.refused += 1;
        let words = error
            .and_then(|error| error.description.as_deref())
            .filter(|words| !words.is_empty())
            .unwrap_or("the server does not say why");
        let fields = sent.and_then(|sent| named(table(self.tables, layer).ok()?, sent));
        note_refused(self.db, (layer, is_attachment, globalid), op, (code, words), sent, fields.as_ref())?;
        // A row that the server no longer has goes here, too; what was edited is in what was refused.
        let is_edited = self.has_pending && pending(self.db, layer, is_attachment, globalid)?.is_some();
        if op == Op::Update && code == Some(MISSING) && !self.arrived.contains(key) && !is_edited {
            let table = table(self.tables, layer)?;
            match (is_attachment, &table.attachments) {
                (false, _) => self.applied.deleted += rows::delete(self.db, table, globalid)? as u64,
                (true, Some(name)) => {
                    self.db.execute(&format!("DELETE FROM {} WHERE GLOBALID = ?1", quoted(name)), [globalid])?;
                }
                (true, None) => {}
            }
        }
        Ok(())
    }
}

/// A row as people are shown it: its attributes by name, or those of them that are named.
fn shown(table: &Table, row: &Row, only: Option<&[usize]>) -> Json {
    use rusqlite::types::Value;
    let columns = table.columns();
    let mut members = Map::new();
    for (at, value) in row.values.iter().filter(|(at, _)| only.is_none_or(|only| only.contains(at))) {
        let Some(name) = columns.get(*at) else { continue };
        let value = match value {
            Value::Null => Json::Null,
            Value::Integer(value) => (*value).into(),
            Value::Real(value) => (*value).into(),
            Value::Text(value) => value.as_str().into(),
            Value::Blob(_) => "(geometry)".into(),
        };
        members.insert((*name).to_owned(), value);
    }
    Json::Object(members)
}
