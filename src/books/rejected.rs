//! Refused edits: listed, applied, dismissed; and kept when they come too late.

use sqlx::Row as _;

use crate::{
    app::App,
    error::{Error, Result},
    model::{
        edit::{Edit, EditErrorCode, EditResult, LayerEdits, Op},
        id::ReplicaId,
        layer::{Layer, Service},
    },
    sql::history,
    store::{
        WriteTx,
        rejected::{Rejected, RejectedFilter, RejectedState},
    },
    sync::{
        apply::{Results, Sender, apply_all},
        put_back::put_back,
    },
    wire::{attachments, edits::parse_kept},
};

use super::{batches::cut, layer_needed};

/// A page of refused edits, and whether there are more.
pub(crate) async fn list(
    app: &App,
    service: &Service,
    wanted: &RejectedFilter,
    (offset, limit): (i64, i64),
) -> Result<(Vec<Rejected>, bool)> {
    let mut session = app.store.session().await?;
    let mut edits = session.own().await?.rejected_list(service, wanted, offset, limit).await?;
    let more = cut(&mut edits, limit);
    Ok((edits, more))
}

/// One refused edit.
pub(crate) async fn find(app: &App, service: &Service, number: i64) -> Result<Rejected> {
    let mut session = app.store.session().await?;
    let found = session.own().await?.rejected_find(service, number).await?;
    found.ok_or_else(|| {
        Error::NotFound(format!(
            "Refused edit {number} not found: service {} has none with this number; …/FeatureServer/rejectedEdits lists them",
            service.name
        ))
    })
}

/// Applies a refused edit as it was sent, or as `feature` corrects it. An update of a feature that is gone puts it back
/// first. Nothing is changed if the edit is refused again, which the result says.
pub(crate) async fn apply(app: &App, service: &Service, number: i64, feature: Option<&str>) -> Result<EditResult> {
    let rejected = find(app, service, number).await?;
    require_open(&rejected)?;
    let layer = layer_needed(service, rejected.layer)?;
    let srid = reference(app, service, rejected.replica, layer).await?;
    let what = (rejected.op, rejected.global_id);
    let is_attachment = layer.attached_to.is_some();
    let corrected = feature.map(|feature| match is_attachment {
        true => attachments::with_kept_bytes(feature, &rejected.feature, layer),
        false => feature.to_owned(),
    });
    let mut read = parse_kept("feature", corrected.as_deref().unwrap_or(&rejected.feature), what, layer, srid)?;
    if is_attachment && corrected.is_some() {
        read = read.and_then(|edit| if edit.op == Op::Delete { Ok(edit) } else { attachments::checked(edit) });
    }
    if let (Ok(edit), Some(id), None) = (&mut read, rejected.global_id, feature) {
        // Connected clients need not name features by their global ids, and what they say of them means nothing then.
        edit.global_id = id;
    }
    if let (Ok(edit), Some(id)) = (&read, rejected.global_id)
        && edit.global_id != id
    {
        return Err(Error::invalid(
            "feature",
            format!(
                "it is {}, and the refused edit is of {id}; the correction must be of the same feature",
                edit.global_id
            ),
        ));
    }
    let mut session = app.store.session().await?;
    let mut tx = session.write(service.key, None).await?;
    let result = match read {
        Err(refusal) => refusal.into(),
        Ok(edit) => apply_or_restore(&mut tx, service, layer, edit).await?,
    };
    if result.error.is_some() {
        tx.roll_back().await?;
        return Ok(result);
    }
    close(&mut tx, service, &rejected, RejectedState::Applied).await?;
    tx.commit().await?;
    tracing::info!(rejected_edit = number, "refused edit applied");
    Ok(result)
}

async fn apply_or_restore(
    tx: &mut WriteTx<'_>,
    service: &Service,
    layer: &std::sync::Arc<Layer>,
    edit: Edit,
) -> Result<EditResult> {
    let edits = [LayerEdits { layer: layer.clone(), edits: vec![Ok(edit.clone())] }];
    let result = only(apply_all(tx, service, &edits, Sender::Client).await?)?;
    if result.error.as_ref().is_none_or(|error| error.code != EditErrorCode::Missing) {
        return Ok(result);
    }
    let id = edit.global_id.0;
    let again = match tx.rows(history::last_image(layer, service.key.0, id)).await?.first() {
        Some(row) => {
            let txn: i64 = row.try_get(0)?;
            let restored = only(vec![(layer.clone(), put_back(tx, layer, txn, vec![id]).await?)])?;
            if restored.error.is_some() {
                return Ok(restored);
            }
            edits
        }
        // Nobody knows any more what it was, so that it must be complete by itself.
        None => [LayerEdits { layer: layer.clone(), edits: vec![Ok(Edit { op: Op::Add, ..edit })] }],
    };
    only(apply_all(tx, service, &again, Sender::Client).await?)
}

fn only(results: Results) -> Result<EditResult> {
    results
        .into_iter()
        .flat_map(|(_, results)| results)
        .next()
        .ok_or_else(|| Error::internal("applying an edit", "it has no result"))
}

/// The spatial reference of geometries that name none: that of the replica, if it is one's and anything is still known of it.
pub(super) async fn reference(app: &App, service: &Service, replica: Option<ReplicaId>, layer: &Layer) -> Result<i32> {
    let of_layer = layer.shape.as_ref().map_or(4326, |shape| shape.srid);
    let Some(replica) = replica else { return Ok(of_layer) };
    match super::known(app, service, replica).await {
        Ok(known) => Ok(known.replica.srid),
        Err(Error::ReplicaNotFound { .. }) => Ok(of_layer),
        Err(error) => Err(error),
    }
}

/// Decides that a refused edit is not wanted.
pub(crate) async fn dismiss(app: &App, service: &Service, number: i64) -> Result<()> {
    let rejected = find(app, service, number).await?;
    require_open(&rejected)?;
    let mut session = app.store.session().await?;
    let mut tx = session.write(service.key, None).await?;
    close(&mut tx, service, &rejected, RejectedState::Dismissed).await?;
    tx.commit().await?;
    tracing::info!(rejected_edit = number, "refused edit dismissed");
    Ok(())
}

fn require_open(rejected: &Rejected) -> Result<()> {
    if rejected.state == RejectedState::Open {
        return Ok(());
    }
    Err(not_open(rejected.id, rejected.state.name()))
}

async fn close(tx: &mut WriteTx<'_>, service: &Service, rejected: &Rejected, state: RejectedState) -> Result<()> {
    let by = match service.caller.name() {
        "" => "administrator",
        user => user,
    };
    match tx.rejected_close(service.key, &[rejected.id], state, by).await? {
        0 => Err(not_open(rejected.id, "closed by somebody else at this moment")),
        _ => Ok(()),
    }
}

fn not_open(number: i64, state: &str) -> Error {
    Error::NotSupported(format!("refused edit {number} is {state}; only open ones can be applied or dismissed"))
}
