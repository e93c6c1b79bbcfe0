//! Whether there is room for a result: asked of each layer before its first row is read.
//!
//! Of features the database says how many rows of which width it expects; of attachments, which are few and large, the
//! bytes are summed up. Both are cautious: what is refused would not have fit; what is let in and does not fit fails while it is
//! written (see [`Files::require_room`] and the reserve of [`crate::files`]).

use crate::{
    error::Result,
    files::Files,
    model::{filter::Filter, layer::Layer, query::Columns},
    sql::select,
    store::ReadTx,
    sync::download::AttachmentBytes,
};

/// What a row has beside its names and values: brackets, commas, the names of its two parts.
const ROW_BYTES: u64 = 32;

/// How a result holds attachments.
pub(super) enum Written<'a> {
    /// In a document.
    AsText(AttachmentBytes<'a>),
    /// In a database file.
    AsBytes,
}

/// Refuses the features of a layer if the disk has no room for them.
pub(super) async fn require_room_for_features(
    tx: &mut ReadTx<'_>,
    layer: &Layer,
    filter: &Filter,
    columns: &Columns,
    files: &Files,
) -> Result<()> {
    if matches!(filter, Filter::None) {
        return Ok(());
    }
    let estimate = tx.estimate(select::snapshot(layer, filter, columns)).await?;
    let names: usize = columns.fields.iter().map(|field| layer.fields[*field].name.len() + 4).sum();
    let row_bytes = estimate.row_bytes.saturating_add(names as u64).saturating_add(ROW_BYTES);
    files.require_room(estimate.n_rows.saturating_mul(row_bytes))
}

/// Refuses the attachments through a filter if the disk has no room for what they hold, as text or as bytes.
pub(super) async fn require_room_for_attachments(
    tx: &mut ReadTx<'_>,
    table: &Layer,
    filter: &Filter,
    bytes: Written<'_>,
    files: &Files,
) -> Result<()> {
    match (bytes, filter) {
        (Written::AsText(AttachmentBytes::Address(_)), _) | (_, Filter::None) => Ok(()),
        // In base 64, four letters are three bytes.
        (Written::AsText(_), _) => files.require_room(tx.content_bytes(table, filter).await?.saturating_mul(4) / 3),
        (Written::AsBytes, _) => files.require_room(tx.content_bytes(table, filter).await?),
    }
}
