//! Which capability of a service or layer a request needs, where the operation does not look itself: those of replicas do, and
//! what an edit needs is known where it is applied (`sync::allowed`), since an upload may hold what is allowed and what is not.

use crate::{
    error::{Error, Result},
    model::{capability::Capability, id::LayerId, layer::Service},
};

use super::route::{OfLayer, OfService};

/// Refuses what the service, or the layer that a request is about, does not allow.
pub(super) fn check(service: &Service, what: &OfService) -> Result<()> {
    let allowed = match what {
        OfService::Query => service.require(Capability::Query),
        OfService::Uploads(_) => service.require(Capability::Uploads),
        OfService::ImportReplica => service.require(Capability::Sync),
        OfService::ApplyEdits => service.require(Capability::Editing),
        // Whoever may nothing must be able to read that.
        OfService::Layer(_, OfLayer::Itself) => Ok(()),
        OfService::Layer(id, what) => match (service.layer(LayerId(*id)), what) {
            (None, _) => Ok(()),
            (Some(layer), what) => layer.require(needed(*what)),
        },
        _ => Ok(()),
    };
    allowed.map_err(Error::NotSupported)
}

fn needed(what: OfLayer) -> Capability {
    match what {
        OfLayer::Itself
        | OfLayer::Query
        | OfLayer::QueryRelatedRecords
        | OfLayer::QueryAttachments
        | OfLayer::Feature(_)
        | OfLayer::ValidateSql
        | OfLayer::Attachments(_)
        | OfLayer::Attachment { .. } => Capability::Query,
        OfLayer::ApplyEdits
        | OfLayer::AddFeatures
        | OfLayer::UpdateFeatures
        | OfLayer::DeleteFeatures
        | OfLayer::Append
        | OfLayer::AddAttachment(_)
        | OfLayer::UpdateAttachment(_)
        | OfLayer::DeleteAttachments(_) => Capability::Editing,
        OfLayer::Calculate => Capability::Update,
        // Of all rows, or of their attachments; see there.
        OfLayer::Truncate => Capability::Editing,
    }
}
