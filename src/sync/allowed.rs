//! Which edits a layer's capabilities forbid.

use std::collections::HashSet;

use uuid::Uuid;

use crate::{
    error::Result,
    model::{
        edit::{Edit, GeometryEdit, Op},
        layer::Layer,
    },
    sql::modify,
    store::WriteTx,
};

use super::{apply::standing, wave::rows_of_geometry};

/// The edits among these that the layer does not allow, by their places, each with the reason.
///
/// The add of a feature that exists changes it. Clients send the geometry with every update, so that where geometries must
/// not change only one that is another than the stored one is refused.
pub(super) async fn forbidden(
    tx: &mut WriteTx<'_>,
    layer: &Layer,
    edits: &[(usize, &Edit)],
) -> Result<Vec<(usize, String)>> {
    let rules = &layer.rules;
    let mut refused = Vec::new();
    let allowed: Vec<(usize, &Edit)> = edits.iter().filter(|(_, edit)| rules.allows(edit.op)).copied().collect();
    for (place, edit) in edits.iter().filter(|(_, edit)| !rules.allows(edit.op)) {
        let what = match edit.op {
            Op::Add => "added",
            Op::Update => "changed",
            Op::Delete => "deleted",
        };
        refused.push((
            *place,
            format!(
                "rows of layer {} ({}) must not be {what}: its capabilities are '{}'",
                layer.id, layer.name, rules.capabilities
            ),
        ));
    }
    if !rules.capabilities.update && allowed.iter().any(|(_, edit)| edit.op == Op::Add) {
        let adds: Vec<(usize, &Edit)> = allowed.iter().filter(|(_, edit)| edit.op == Op::Add).copied().collect();
        let standing = standing(tx, layer, ids(&adds)).await?;
        refused.extend(adds.iter().filter(|(_, edit)| standing.contains(&edit.global_id.0)).map(|(place, edit)| {
            let reason = format!(
                "feature {} exists already, and rows of layer {} ({}) must not be changed: its capabilities are '{}'",
                edit.global_id, layer.id, layer.name, rules.capabilities
            );
            (*place, reason)
        }));
    }
    if !rules.geometry_updates && layer.shape.is_some() {
        let moved: Vec<(usize, &Edit)> = allowed
            .iter()
            .filter(|(_, edit)| edit.op != Op::Delete && edit.geometry != GeometryEdit::Keep)
            .copied()
            .collect();
        if !moved.is_empty() {
            let standing = standing(tx, layer, ids(&moved)).await?;
            let same = unmoved(tx, layer, &moved).await?;
            let changes = |edit: &Edit| standing.contains(&edit.global_id.0) && !same.contains(&edit.global_id.0);
            refused.extend(moved.iter().filter(|(_, edit)| changes(edit)).map(|(place, edit)| {
                let reason = format!(
                    "the geometry of feature {} must not be changed: layer {} ({}) does not allow it (allowGeometryUpdates is false); \
                     send the feature with the geometry that it has, or without",
                    edit.global_id, layer.id, layer.name
                );
                (*place, reason)
            }));
        }
    }
    Ok(refused)
}

fn ids(edits: &[(usize, &Edit)]) -> Vec<Uuid> {
    edits.iter().map(|(_, edit)| edit.global_id.0).collect()
}

/// Which of the features have the geometry already that the edit would give them.
async fn unmoved(tx: &mut WriteTx<'_>, layer: &Layer, edits: &[(usize, &Edit)]) -> Result<HashSet<Uuid>> {
    let srid = layer.shape.as_ref().map(|shape| shape.srid);
    let elsewhere = |edit: &Edit| matches!(&edit.geometry, GeometryEdit::Set(geometry) if Some(geometry.srid) != srid);
    let mut same = HashSet::new();
    for reproject in [false, true] {
        let alike: Vec<(usize, &Edit)> =
            edits.iter().filter(|(_, edit)| elsewhere(edit) == reproject).copied().collect();
        if !alike.is_empty() {
            // A geometry that cannot be compared is not the one that is stored.
            if let Ok(found) = tx.edit(modify::equal(layer, &rows_of_geometry(layer, reproject, &alike)?)).await? {
                same.extend(found.into_iter().map(|(id, _)| id));
            }
        }
    }
    Ok(same)
}
