//! What somebody may not do with replicas.

use crate::{
    error::{Error, Result},
    model::{
        layer::{Layer, Service},
        principal::Access,
        replica::Replica,
    },
    wire::synchronize::SynchronizeReplicaRequest,
};

/// Refuses what two servers do with each other to somebody from whom rows or fields are kept: they would carry on what is missing. If it `brings_rows`,
/// also to a user who may not fill in every field: what a server sends says itself who edited a row, and when.
pub(super) fn require_unlimited(service: &Service, brings_rows: bool) -> Result<()> {
    let is_manager = service.caller.access == Access::Manage;
    let is_user = !service.caller.principal.is_anonymous();
    let writes_less = |layer: &Layer| {
        layer.rules.tracking.fields().next().is_some()
            || (0..layer.fields.len()).any(|index| layer.rules.is_read_only(index))
    };
    let kept_from = |layer: &Layer| match (layer.guard.is_limited(), layer.hidden_fields().next()) {
        (true, _) => Some("rows that you may not see or change"),
        (false, Some(_)) if !is_manager => Some("fields that clients do not see"),
        (false, None) if brings_rows && is_user && !is_manager && writes_less(layer) => {
            Some("fields that you may not fill in, such as who edited a row")
        }
        (false, _) => None,
    };
    match service.layers.iter().find_map(|layer| Some((layer, kept_from(layer)?))) {
        None => Ok(()),
        Some((layer, what)) => Err(Error::Forbidden(format!(
            "layer {} ({}) has {what}, and servers exchange all; replicas between servers need the right to manage service {}. An administrator can \
             grant it, or make the replica",
            layer.id, layer.name, service.name
        ))),
    }
}

/// Refuses edits through a replica that is made for downloads alone to somebody who may not edit, there or at all, instead of passing them over. Edits through one that
/// uploads are taken, refused one by one, and kept: its owner might edit when they were made.
pub(crate) fn require_right(
    service: &Service,
    replica: &Replica,
    request: &SynchronizeReplicaRequest<'_>,
) -> Result<()> {
    let caller = &service.caller;
    let may_edit = caller.access >= Access::Edit;
    if (may_edit && service.capabilities.edits()) || replica.direction.uploads() || !request.brings_edits() {
        return Ok(());
    }
    if may_edit {
        return Err(Error::Forbidden(format!(
            "service {} is only to be read (its capabilities are '{}'), so that the edits stay on the device; who manages it uploads edits by a \
             replica of their own. Without edits, the replica is sent what it lacks",
            service.name, service.capabilities
        )));
    }
    Err(Error::Forbidden(format!(
        "User does not have permissions to access '{}.FeatureServer'. The right 'edit' is needed for edits, which stay on the device, and '{}' is \
         what there is; an administrator can grant it. Without edits, the replica is sent what it lacks",
        service.name,
        caller.access.name()
    )))
}
