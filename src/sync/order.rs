//! In which order the layers of an upload are edited, and which edits cannot stand because of others.
//!
//! Rows come after the rows that they belong to, attachments after their features; deletes go the other way round. So the
//! order in which a client lists layers does not matter to the foreign keys of their tables.

use std::collections::HashMap;

use uuid::Uuid;

use crate::model::{
    edit::{EditResult, LayerEdits, Op},
    id::LayerKey,
    key::Key,
    layer::{Layer, Service, attachment},
};

/// The positions of the layers, each after those that its rows belong to. Layers that belong to each other in a circle stay
/// in the order of the request.
pub(crate) fn parents_first(service: &Service, edits: &[LayerEdits]) -> Vec<usize> {
    let mut order = Vec::with_capacity(edits.len());
    let mut rest: Vec<usize> = (0..edits.len()).collect();
    while !rest.is_empty() {
        let waits = |&index: &usize| {
            let layer = &edits[index].layer;
            rest.iter().any(|&other| other != index && belongs_to(service, layer, &edits[other].layer))
        };
        let next = rest.iter().position(|index| !waits(index)).unwrap_or(0);
        order.push(rest.remove(next));
    }
    order
}

fn belongs_to(service: &Service, layer: &Layer, other: &Layer) -> bool {
    links(service, layer).iter().any(|link| link.origin == other.key)
}

/// A field of a layer that holds the key of rows of another.
pub(super) struct Link {
    /// The other layer.
    pub(super) origin: LayerKey,
    /// The field there; the global id if `None`.
    origin_field: Option<usize>,
    /// The field here.
    destination_field: usize,
}

/// What rows of a layer belong to.
pub(super) fn links(service: &Service, layer: &Layer) -> Vec<Link> {
    if let Some(features) = layer.attached_to {
        return vec![Link { origin: features, origin_field: None, destination_field: attachment::PARENT }];
    }
    service
        .relationships
        .iter()
        .filter(|known| known.destination == layer.key)
        .map(|known| {
            let global_id = service.layer_by_key(known.origin).map(|origin| origin.global_id);
            let origin_field = Some(known.origin_field).filter(|field| Some(*field) != global_id);
            Link { origin: known.origin, origin_field, destination_field: known.destination_field }
        })
        .collect()
}

/// Rows that were to be put, and are not there.
#[derive(Default)]
pub(super) struct Missing {
    by_key: HashMap<Key, String>,
}

impl Missing {
    /// Takes the rows of a layer whose edit was refused, but for those that `stands` says are there all the same.
    pub(super) fn collect(
        &mut self,
        link: &Link,
        edits: &LayerEdits,
        results: &[Option<EditResult>],
        stands: impl Fn(Uuid) -> bool,
    ) {
        for (edit, result) in edits.edits.iter().zip(results) {
            let Some((error, global_id)) =
                result.as_ref().and_then(|result| Some((result.error.as_ref()?, result.global_id?)))
            else {
                continue;
            };
            if stands(global_id.0) {
                continue;
            }
            let key = match (link.origin_field, edit) {
                (None, _) => Some(Key::Guid(global_id.0)),
                (Some(field), Ok(edit)) => edit.value(field).and_then(Key::of),
                (Some(_), Err(_)) => None,
            };
            if let Some(key) = key {
                let reason = format!("{global_id} of layer {} was refused: {}", edits.layer.id, error.description);
                self.by_key.insert(key, reason);
            }
        }
    }

    /// Why a row cannot stand, if what it is to belong to is missing.
    pub(super) fn reason(&self, link: &Link, edit: &crate::model::edit::Edit) -> Option<&str> {
        if edit.op == Op::Delete || self.by_key.is_empty() {
            return None;
        }
        let key = edit.value(link.destination_field).and_then(Key::of)?;
        self.by_key.get(&key).map(String::as_str)
    }
}
