//! Features whose attachments are edited: they count as edited themselves.

use std::collections::{BTreeSet, HashMap};

use sqlx::Row as _;
use uuid::Uuid;

use crate::{
    error::Result,
    model::{
        edit::{EditResult, LayerEdits},
        layer::{Layer, Service, attachment},
        value::Value,
    },
    sql::modify,
    store::WriteTx,
};

use super::{failure::is_fatal, search::ROWS_PER_STATEMENT};

/// The features of a layer whose attachments are about to be edited.
pub(super) struct Features<'a> {
    /// Their layer.
    layer: &'a Layer,
    /// Which edits the following is about: their position among those of all layers.
    edits: usize,
    /// The features, by the global ids of their attachments.
    by_attachment: HashMap<Uuid, Vec<Uuid>>,
}

/// Finds the features whose attachments are about to be edited, in layers that keep who edited a feature last, or when. An attachment that
/// is moved has two.
pub(super) async fn features<'a>(
    tx: &mut WriteTx<'_>,
    service: &'a Service,
    edits: &[LayerEdits],
) -> Result<Vec<Features<'a>>> {
    let mut found = Vec::new();
    for (position, of_layer) in edits.iter().enumerate() {
        let features = of_layer.layer.attached_to.and_then(|key| service.layer_by_key(key));
        let Some(features) = features.filter(|layer| keeps_last_edit(layer)) else { continue };
        let mut by_attachment: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
        let applicable = || of_layer.edits.iter().flatten();
        for edit in applicable() {
            if let Some(Value::Guid(feature)) = edit.value(attachment::PARENT) {
                by_attachment.entry(edit.global_id.0).or_default().push(*feature);
            }
        }
        let ids: Vec<Uuid> = applicable().map(|edit| edit.global_id.0).collect();
        for some in ids.chunks(ROWS_PER_STATEMENT) {
            for row in tx.rows(modify::parents(&of_layer.layer, some.to_vec())).await? {
                by_attachment.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
            }
        }
        found.push(Features { layer: features, edits: position, by_attachment });
    }
    Ok(found)
}

fn keeps_last_edit(layer: &Layer) -> bool {
    let tracking = layer.rules.tracking;
    tracking.editor.is_some() || tracking.edited.is_some()
}

/// Enters into the features whose attachments were edited who did that, and when. `results` are those of all layers.
pub(super) async fn stamp(
    tx: &mut WriteTx<'_>,
    features: &[Features<'_>],
    results: &[impl AsRef<[EditResult]>],
) -> Result<()> {
    for Features { layer, edits, by_attachment } in features {
        let edited = results.get(*edits).map(AsRef::as_ref).unwrap_or_default();
        let applied = edited.iter().filter(|result| result.error.is_none()).filter_map(|result| result.global_id);
        let touched: BTreeSet<Uuid> = applied.filter_map(|id| by_attachment.get(&id.0)).flatten().copied().collect();
        let touched: Vec<Uuid> = touched.into_iter().collect();
        for some in touched.chunks(ROWS_PER_STATEMENT) {
            match tx.edit(modify::stamp(layer, some.to_vec())).await? {
                Ok(_) => {}
                Err(error) if is_fatal(&error) => return Err(error.into()),
                // The attachments are what was sent; they do not fail because a rule of the table protects the feature.
                Err(error) => tracing::warn!(
                    layer.id = layer.id.0,
                    %error,
                    "the table refused to note that attachments of features were edited"
                ),
            }
        }
    }
    Ok(())
}
