//! The books: what replicas uploaded and connected clients sent, what became of it, and what can be done about what went wrong.
//!
//! [`batches`] shows receipts and undoes batches; [`rejected`] applies or dismisses refused edits, [`geojson`] shows them to maps, and rescues those that
//! come too late; [`conflicts`] puts back what was overwritten; [`verify`] and [`explain`] answer for what a
//! replica should hold.

pub(crate) mod batches;
pub(crate) mod conflicts;
pub(crate) mod documents;
pub(crate) mod explain;
pub(crate) mod geojson;
pub(crate) mod rejected;
pub(crate) mod verify;

use std::sync::Arc;

use sqlx::Row as _;
use uuid::Uuid;

use crate::{
    app::App,
    auth::owner::see_as_owner,
    error::{Error, Result},
    model::{
        id::{LayerKey, ReplicaId},
        layer::{Layer, Service},
        replica::Replica,
    },
    sql::history,
    store::WriteTx,
};

pub(crate) use crate::store::{
    books::{BatchFilter, ReceiptFilter},
    conflicts::ConflictFilter,
    rejected::{RejectedFilter, RejectedState},
};

/// A replica, also one that was unregistered.
pub(crate) struct Known {
    /// What is known of it.
    pub(crate) replica: Replica,
    /// Whether it is registered.
    pub(crate) registered: bool,
}

/// Finds a replica that who asks may touch, also one that was unregistered.
pub(crate) async fn known(app: &App, service: &Service, id: ReplicaId) -> Result<Known> {
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let found = tx.replica_find(service, id).await?;
    let registered = found.is_some();
    let found = match found {
        Some(found) => Some(found),
        None => tx.tombstone_find(service, id).await?,
    };
    let mut replica = found.ok_or_else(|| Error::ReplicaNotFound { id: id.to_string() })?;
    drop(tx);
    see_as_owner(app, &mut session, service, &mut replica).await?;
    Ok(Known { replica, registered })
}

/// A change that somebody made to a feature later.
#[derive(Debug)]
pub(crate) struct Later {
    /// The feature.
    pub(crate) global_id: Uuid,
    /// Its generation.
    pub(crate) generation: i64,
    /// The replica that it came from, if it came from one, and its name if anything is still known of it.
    pub(crate) origin: Option<(ReplicaId, Option<String>)>,
    /// The batch of the connected client that made it, if one did, and the operation.
    pub(crate) connected: Option<(i64, String)>,
}

/// The newest change of each of the features after a generation.
pub(crate) async fn changed_since(
    tx: &mut WriteTx<'_>,
    service: &Service,
    layer: &Layer,
    generation: i64,
    global_ids: Vec<Uuid>,
) -> Result<Vec<Later>> {
    let mut later = Vec::new();
    for row in tx.rows(history::changed_since(layer, service.key.0, generation, global_ids)).await? {
        let (origin, name): (Option<Uuid>, Option<String>) = (row.try_get(2)?, row.try_get(3)?);
        later.push(Later {
            global_id: row.try_get(0)?,
            generation: row.try_get(1)?,
            origin: origin.map(|id| (ReplicaId(id), name)),
            connected: row.try_get::<Option<i64>, _>(4)?.zip(row.try_get::<Option<String>, _>(5)?),
        });
    }
    Ok(later)
}

/// The layer, table, or attachments with this key.
pub(crate) fn layer_with(service: &Service, key: LayerKey) -> Option<&Arc<Layer>> {
    service.tracked().find(|layer| layer.key == key)
}

/// The same, which must be there for anything to be done.
fn layer_needed(service: &Service, key: LayerKey) -> Result<&Arc<Layer>> {
    layer_with(service, key).ok_or_else(|| {
        Error::NotSupported(
            "the layer of this edit is no longer published; publish its table again, and make the edit by hand"
                .to_owned(),
        )
    })
}

/// Why a change cannot be taken back any more.
fn history_gone(what: &str) -> Error {
    Error::NotSupported(format!(
        "{what} cannot be taken back: the history that has the features as they were is no longer kept; correct them with applyEdits"
    ))
}
