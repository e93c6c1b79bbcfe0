//! Enters rows and attachments that come from the server.

use base64::Engine as _;
use rusqlite::{Connection, OptionalExtension as _, params, types::Value};

use super::{
    answer::{Attachment, Feature},
    error::{Error, Result},
    file::{Table, make_way},
    values,
};
use crate::{model::id::GlobalId, sqlite::quoted};

/// A row as the file holds it.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its global id, in braces and capitals.
    pub(crate) globalid: String,
    /// Its object id on the server.
    pub(crate) oid: Option<i64>,
    /// The columns that came, by their place in [`Table::columns`], and their values.
    pub(crate) values: Vec<(usize, Value)>,
}

/// A global id as the file spells it.
pub(crate) fn spelled(globalid: &str) -> String {
    GlobalId::parse(globalid).map_or_else(|| globalid.to_owned(), |id| id.to_string())
}

impl Row {
    /// Reads a row of a layer.
    pub(crate) fn read(table: &Table, feature: Feature) -> Result<Row> {
        let fields = &table.layer.fields;
        let mut row = Row { globalid: String::new(), oid: None, values: Vec::with_capacity(fields.len() + 1) };
        for (at, (name, scalar)) in feature.attributes.0.into_iter().enumerate() {
            // They mostly come in the order of the fields.
            let found = fields.get(at).filter(|field| field.name == name).map(|_| at);
            let Some(at) = found.or_else(|| fields.iter().position(|field| field.name.eq_ignore_ascii_case(&name)))
            else {
                continue;
            };
            let Some(field) = fields.get(at) else { continue };
            let value = values::to_file(field.kind, scalar)
                .map_err(|problem| Error::Protocol(format!("field {name} of layer {}: {problem}", table.layer.id)))?;
            match (field.kind, &value) {
                (values::Kind::GlobalId, Value::Text(text)) => row.globalid.clone_from(text),
                (values::Kind::ObjectId, Value::Integer(oid)) => row.oid = Some(*oid),
                _ => {}
            }
            row.values.push((at, value));
        }
        if row.globalid.is_empty() {
            return Err(Error::Protocol(format!("a row of layer {} has no global id", table.layer.id)));
        }
        if let Some((_, form)) = &table.geometry {
            let blob = feature.geometry.map(|geometry| geometry.to_blob(*form)).transpose().map_err(|problem| {
                Error::Protocol(format!("the geometry of {} in layer {}: {problem}", row.globalid, table.layer.id))
            })?;
            row.values.push((fields.len(), blob.flatten().map_or(Value::Null, Value::Blob)));
        }
        Ok(row)
    }

    /// Enters it: a new row, or over what is there, but for the columns in `kept`.
    pub(crate) fn put(&self, db: &Connection, table: &Table, kept: &[String]) -> Result<()> {
        let (oid_field, globalid_field) = (&table.layer.oid_field, &table.layer.globalid_field);
        if let Some(oid) = self.oid {
            make_way(db, &table.name, oid_field, globalid_field, oid, &self.globalid)?;
        }
        let columns = table.columns();
        let is_there = db
            .prepare_cached(&format!("SELECT 1 FROM {} WHERE {} = ?1", quoted(&table.name), quoted(globalid_field)))?
            .exists([&self.globalid])?;
        let taken: Vec<(&str, &Value)> = self
            .values
            .iter()
            .filter_map(|(at, value)| Some((*columns.get(*at)?, value)))
            .filter(|(name, _)| !(is_there && (name == globalid_field || kept.iter().any(|kept| kept == name))))
            .collect();
        let names: Vec<String> = taken.iter().map(|(name, _)| quoted(name)).collect();
        let table_name = quoted(&table.name);
        let text = if is_there {
            let set: Vec<String> = names.iter().enumerate().map(|(n, name)| format!("{name} = ?{}", n + 2)).collect();
            format!("UPDATE {table_name} SET {} WHERE {} = ?1", set.join(", "), quoted(globalid_field))
        } else {
            let places: Vec<String> = (0..names.len()).map(|n| format!("?{}", n + 2)).collect();
            format!("INSERT INTO {table_name} ({}) SELECT {} WHERE ?1 IS NOT NULL", names.join(", "), places.join(", "))
        };
        let mut statement = db.prepare_cached(&text)?;
        statement.raw_bind_parameter(1, &self.globalid)?;
        for (n, (_, value)) in taken.iter().enumerate() {
            statement.raw_bind_parameter(n + 2, value)?;
        }
        statement.raw_execute()?;
        Ok(())
    }
}

/// Deletes a row, and its attachments.
pub(crate) fn delete(db: &Connection, table: &Table, globalid: &str) -> Result<usize> {
    let statement = format!("DELETE FROM {} WHERE {} = ?1", quoted(&table.name), quoted(&table.layer.globalid_field));
    let n = db.prepare_cached(&statement)?.execute([globalid])?;
    if let Some(attachments) = &table.attachments {
        db.prepare_cached(&format!("DELETE FROM {} WHERE REL_GLOBALID = ?1", quoted(attachments)))?
            .execute([globalid])?;
    }
    Ok(n)
}

/// Enters an attachment. Bytes that are elsewhere are noted as wanted.
pub(crate) fn put_attachment(db: &Connection, table: &Table, attachment: &Attachment) -> Result<()> {
    let Some(name) = &table.attachments else { return Ok(()) };
    let (globalid, parent) = (spelled(&attachment.global_id), spelled(&attachment.parent_global_id));
    let data =
        match &attachment.data {
            Some(text) => Some(base64::engine::general_purpose::STANDARD.decode(text.trim()).map_err(|error| {
                Error::Protocol(format!("the bytes of attachment {globalid} are not base64: {error}"))
            })?),
            None => None,
        };
    if let Some(id) = attachment.attachment_id {
        make_way(db, name, "ATTACHMENTID", "GLOBALID", id, &globalid)?;
    }
    let quoted_name = quoted(name);
    // Only rows of features that are here: the others are no concern of this file.
    let known: Option<i64> = db
        .prepare_cached(&format!("SELECT ATTACHMENTID FROM {quoted_name} WHERE GLOBALID = ?1"))?
        .query_row([&globalid], |row| row.get(0))
        .optional()?;
    let text = match known {
        Some(_) => format!(
            "UPDATE {quoted_name} SET ATTACHMENTID = coalesce(?2, ATTACHMENTID), REL_GLOBALID = ?3, CONTENT_TYPE = ?4, ATT_NAME = ?5, DATA_SIZE = ?6, KEYWORDS = ?7,
               DATA = coalesce(?8, DATA) WHERE GLOBALID = ?1"
        ),
        None => format!(
            "INSERT INTO {quoted_name} (GLOBALID, ATTACHMENTID, REL_GLOBALID, CONTENT_TYPE, ATT_NAME, DATA_SIZE, KEYWORDS, DATA)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, coalesce(?8, x''))"
        ),
    };
    db.prepare_cached(&text)?.execute(params![
        globalid,
        attachment.attachment_id,
        parent,
        attachment.content_type.as_deref().unwrap_or("application/octet-stream"),
        attachment.name.as_deref().unwrap_or("attachment"),
        attachment.size,
        attachment.keywords,
        data
    ])?;
    if data.is_none() {
        db.prepare_cached("INSERT OR REPLACE INTO sync_wanted (layer_id, globalid, url) VALUES (?1, ?2, ?3)")?
            .execute(params![table.layer.id, globalid, attachment.url])?;
    } else {
        db.prepare_cached("DELETE FROM sync_wanted WHERE layer_id = ?1 AND globalid = ?2")?
            .execute(params![table.layer.id, globalid])?;
    }
    Ok(())
}
