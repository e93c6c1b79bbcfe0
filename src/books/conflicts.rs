//! Conflicts: listed, and what was overwritten put back.

use crate::{
    app::App,
    error::{Error, Result},
    model::{
        edit::{EditResult, LayerEdits, Op},
        layer::Service,
    },
    store::conflicts::{Conflict, ConflictFilter},
    sync::{
        apply::{Sender, apply_all},
        put_back::put_back,
        selected::deletes,
    },
    wire::edits::parse_kept,
};

use super::{Later, batches::cut, changed_since, layer_needed};

/// A page of conflicts, and whether there are more.
pub(crate) async fn list(
    app: &App,
    service: &Service,
    wanted: &ConflictFilter,
    (offset, limit): (i64, i64),
) -> Result<(Vec<Conflict>, bool)> {
    let mut session = app.store.session().await?;
    let mut conflicts = session.own().await?.conflict_list(service, wanted, offset, limit).await?;
    let more = cut(&mut conflicts, limit);
    Ok((conflicts, more))
}

/// One conflict.
pub(crate) async fn find(app: &App, service: &Service, number: i64) -> Result<Conflict> {
    let mut session = app.store.session().await?;
    let found = session.own().await?.conflict_find(service, number).await?;
    found.ok_or_else(|| {
        Error::NotFound(format!(
            "Conflict {number} not found: service {} has none with this number; …/FeatureServer/conflicts lists them",
            service.name
        ))
    })
}

/// What became of putting back what was overwritten.
pub(crate) enum Restored {
    /// It was tried, with this result.
    Tried(EditResult),
    /// It was left alone, since somebody changed it later.
    ChangedSince(Later),
}

/// Writes the feature back as it was overwritten, as a new change that reaches all replicas: a feature that had been deleted
/// is deleted again. If it was changed since, it is left alone unless `force`.
pub(crate) async fn restore(app: &App, service: &Service, number: i64, force: bool) -> Result<Restored> {
    let conflict = find(app, service, number).await?;
    let layer = layer_needed(service, conflict.overwrite.layer)?;
    let id = conflict.overwrite.global_id.0;
    let mut session = app.store.session().await?;
    let tx = session.read(service).await?;
    // The transaction stays in the books for longer than the features as they were.
    let kept = conflict.generation.filter(|generation| *generation > tx.history.from(layer.key).get());
    tx.end().await?;
    let mut tx = session.write(service.key, None).await?;
    if let Some(generation) = kept {
        tx.rows(crate::sql::history::lock(layer, vec![id])).await?;
        let later = changed_since(&mut tx, service, layer, generation, vec![id]).await?;
        if let (Some(later), false) = (later.into_iter().next(), force) {
            tx.roll_back().await?;
            return Ok(Restored::ChangedSince(later));
        }
    } else if !force {
        tx.roll_back().await?;
        return Err(Error::NotSupported(
            "the history since this conflict is no longer kept, so that nobody can tell whether the feature was changed since; \
             look at it, and use force=true to write it back nevertheless"
                .to_owned(),
        ));
    }
    let edits = match (&conflict.overwrite.server, kept) {
        (None, _) => Some(deletes(layer, vec![id])),
        (Some(_), Some(_)) => None,
        (Some(image), None) => {
            let srid = layer.shape.as_ref().map_or(4326, |shape| shape.srid);
            let edit = parse_kept("feature", image, (Op::Add, None), layer, srid)?;
            Some(LayerEdits { layer: layer.clone(), edits: vec![edit] })
        }
    };
    let results = match edits {
        Some(edits) => apply_all(&mut tx, service, &[edits], Sender::Client).await?,
        None => vec![(layer.clone(), put_back(&mut tx, layer, conflict.txn, vec![id]).await?)],
    };
    let result = results
        .into_iter()
        .flat_map(|(_, results)| results)
        .next()
        .ok_or_else(|| Error::internal("restoring a feature", "it has no result"))?;
    if result.error.is_some() {
        tx.roll_back().await?;
    } else {
        tx.conflict_restored(number).await?;
        tx.commit().await?;
        tracing::info!(conflict = number, "what was overwritten was put back");
    }
    Ok(Restored::Tried(result))
}
