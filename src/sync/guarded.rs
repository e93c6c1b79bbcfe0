//! Which edits are of rows that whoever sends them may not see, or may not change.
//!
//! What somebody may not see is, for them, not there: their edits of it fare like those of a feature that somebody has deleted.

use std::collections::HashMap;

use sqlx::Row as _;
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    model::{
        edit::{Edit, EditErrorCode, Op},
        id::GlobalId,
        layer::{Layer, Service, attachment},
        principal::Access,
        value::Value,
    },
    sql::modify,
    store::WriteTx,
};

use super::{failure::person, search::ROWS_PER_STATEMENT};

/// What may be done with a row.
#[derive(Clone, Copy, Debug)]
struct Standing {
    read: bool,
    update: bool,
    delete: bool,
}

/// An edit that is refused: its place, and why.
pub(super) type Refused = (usize, EditErrorCode, String);

/// Those of the edits of a layer that whoever sends them may not make.
pub(super) async fn refused(
    tx: &mut WriteTx<'_>,
    service: &Service,
    layer: &Layer,
    edits: &[(usize, &Edit)],
) -> Result<Vec<Refused>> {
    if layer.guard.access < Access::Edit {
        let reason = format!(
            "the right 'edit' for service {} is needed, and {} has '{}'; an administrator can grant it, or make the edit",
            service.name,
            person(&layer.guard.user),
            layer.guard.access.name()
        );
        return Ok(edits.iter().map(|(place, _)| (*place, EditErrorCode::NotPermitted, reason.clone())).collect());
    }
    match layer.attached_to.and_then(|key| service.layer_by_key(key)) {
        Some(features) => of_attachments(tx, features, layer, edits).await,
        None => of_features(tx, layer, edits).await,
    }
}

async fn of_features(tx: &mut WriteTx<'_>, layer: &Layer, edits: &[(usize, &Edit)]) -> Result<Vec<Refused>> {
    if !layer.guard.is_limited() {
        return Ok(Vec::new());
    }
    let known = standing(tx, layer, edits.iter().map(|(_, edit)| edit.global_id.0).collect()).await?;
    let why = |edit: &Edit| -> Option<(EditErrorCode, String)> {
        let row = known.get(&edit.global_id.0)?;
        let allowed = if edit.op == Op::Delete { row.delete } else { row.update };
        match (row.read, allowed) {
            (false, _) => Some((EditErrorCode::Missing, missing(layer, edit.global_id))),
            (true, false) => Some((EditErrorCode::NotOwner, not_owner(layer, edit.global_id, edit.op))),
            (true, true) => None,
        }
    };
    Ok(edits.iter().filter_map(|(place, edit)| why(edit).map(|(code, reason)| (*place, code, reason))).collect())
}

/// Attachments are part of their feature: who may change it may edit them.
async fn of_attachments(
    tx: &mut WriteTx<'_>,
    features: &Layer,
    layer: &Layer,
    edits: &[(usize, &Edit)],
) -> Result<Vec<Refused>> {
    if !features.guard.is_limited() {
        return Ok(Vec::new());
    }
    let mut parents: Vec<(Uuid, Uuid)> = Vec::new();
    for (_, edit) in edits {
        if let Some(Value::Guid(feature)) = edit.value(attachment::PARENT) {
            parents.push((edit.global_id.0, *feature));
        }
    }
    let ids: Vec<Uuid> = edits.iter().map(|(_, edit)| edit.global_id.0).collect();
    for some in ids.chunks(ROWS_PER_STATEMENT) {
        for row in tx.rows(modify::parents(layer, some.to_vec())).await? {
            parents.push((row.try_get(0)?, row.try_get(1)?));
        }
    }
    let known = standing(tx, features, parents.iter().map(|(_, feature)| *feature).collect()).await?;
    let why = |edit: &Edit| -> Option<(EditErrorCode, String)> {
        let of_edit = parents.iter().filter(|(attachment, _)| *attachment == edit.global_id.0);
        of_edit.map(|(_, feature)| *feature).find_map(|feature| {
            let row = known.get(&feature)?;
            match (row.read, row.update) {
                (false, _) => Some((EditErrorCode::failed(layer, edit.op), missing(features, GlobalId(feature)))),
                (true, false) => Some((EditErrorCode::NotOwner, not_owner(features, GlobalId(feature), Op::Update))),
                (true, true) => None,
            }
        })
    };
    Ok(edits.iter().filter_map(|(place, edit)| why(edit).map(|(code, reason)| (*place, code, reason))).collect())
}

/// Refuses to change rows as a whole if any of them is not to be changed by whoever asks.
pub(super) async fn require_all(tx: &mut WriteTx<'_>, layer: &Layer, ids: &[Uuid]) -> Result<()> {
    if layer.guard.update.is_none() {
        return Ok(());
    }
    let known = standing(tx, layer, ids.to_vec()).await?;
    match known.iter().find(|(_, row)| !row.update) {
        None => Ok(()),
        Some((id, _)) => Err(Error::Forbidden(format!(
            "{}; nothing was changed. Choose only features that you may change",
            not_owner(layer, GlobalId(*id), Op::Update)
        ))),
    }
}

/// Why a row must not be written back as a transaction found it, for each that must not.
pub(super) async fn not_to_put_back(
    tx: &mut WriteTx<'_>,
    layer: &Layer,
    txn: i64,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, String>> {
    let mut reasons = HashMap::new();
    if !layer.guard.is_limited() {
        return Ok(reasons);
    }
    let now = standing(tx, layer, ids.to_vec()).await?;
    let mut then = HashMap::new();
    for some in ids.chunks(ROWS_PER_STATEMENT) {
        then.extend(read(&tx.rows(modify::guarded_images(layer, txn, some.to_vec())).await?)?);
    }
    for id in ids {
        let may = |row: &Standing| row.read && row.update;
        if now.get(id).is_some_and(|row| !may(row)) || then.get(id).is_none_or(|row| !may(row)) {
            reasons.insert(*id, not_owner(layer, GlobalId(*id), Op::Update));
        }
    }
    Ok(reasons)
}

/// What may be done with those of the rows that exist. Nobody changes them until the transaction ends.
async fn standing(tx: &mut WriteTx<'_>, layer: &Layer, mut ids: Vec<Uuid>) -> Result<HashMap<Uuid, Standing>> {
    ids.sort_unstable();
    ids.dedup();
    let mut known = HashMap::with_capacity(ids.len());
    for some in ids.chunks(ROWS_PER_STATEMENT) {
        known.extend(read(&tx.rows(modify::guarded(layer, some.to_vec())).await?)?);
    }
    Ok(known)
}

fn read(rows: &[sqlx::postgres::PgRow]) -> Result<Vec<(Uuid, Standing)>> {
    let standing = |row: &sqlx::postgres::PgRow| -> Result<(Uuid, Standing)> {
        Ok((row.try_get(0)?, Standing { read: row.try_get(1)?, update: row.try_get(2)?, delete: row.try_get(3)? }))
    };
    rows.iter().map(standing).collect()
}

fn missing(layer: &Layer, id: GlobalId) -> String {
    format!("feature {id} does not exist in layer {}, or no longer; it was deleted by somebody else", layer.id)
}

fn not_owner(layer: &Layer, id: GlobalId, op: Op) -> String {
    let what = if op == Op::Delete { "deleted" } else { "changed" };
    format!(
        "feature {id} must not be {what} by {}: layer {} ({}) leaves that to who added it (ownershipBasedAccessControlForFeatures)",
        person(&layer.guard.user),
        layer.id,
        layer.name
    )
}
