//! Who may ask for what: the one table of the rights that routes need; and which capabilities.
//!
//! [`needed`] names every route, so that a new one has no way round it. Which capability of a service or layer a request needs, where the operation does not look itself: those of replicas do, and
//! what an edit needs is known where it is applied (`sync::allowed`), since an upload may hold what is allowed and what is not.

use crate::{
    app::App,
    error::{Error, Result},
    model::{
        capability::Capability,
        id::LayerId,
        layer::Service,
        principal::{Access, Principal},
    },
};

use super::{
    Call,
    books::Books,
    route::{Accounts, OfLayer, OfService, OfUploads, Route, SigningIn},
};

/// What somebody must be to ask for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Anybody. What one may not see is not in the answer.
    Nothing,
    /// Somebody who may do this with the service.
    Service(Access),
    /// An administrator.
    Admin,
    /// An administrator; anybody, where the settings say so.
    Figures,
}

/// What a route needs.
pub(super) fn needed(route: &Route) -> Need {
    match route {
        Route::Root
        | Route::Health
        | Route::Ready
        | Route::OpenApi
        | Route::Info
        | Route::Portal(_)
        | Route::Catalogue
        | Route::Static(_)
        | Route::SigningIn(
            SigningIn::Login
            | SigningIn::SignOn
            | SigningIn::SignOnReturn
            | SigningIn::SignOff
            | SigningIn::Logout
            | SigningIn::GenerateToken
            | SigningIn::Session,
        )
        // A place for a script, which asks what it may.
        | Route::ConsolePage(..)
        | Route::Unknown => Need::Nothing,
        Route::Metrics => Need::Figures,
        Route::Accounts(Accounts::Users | Accounts::Roles | Accounts::Keys | Accounts::Tokens | Accounts::Grants) => {
            Need::Admin
        }
        Route::Console(_) => Need::Admin,
        Route::Audit | Route::VerifyAudit => Need::Admin,
        Route::Service(_, what) => Need::Service(needed_of_service(what)),
    }
}

fn needed_of_service(what: &OfService) -> Access {
    match what {
        OfService::Itself
        | OfService::Layers
        | OfService::Query
        | OfService::Relationships
        | OfService::QueryDomains
        // Which way, and whether with edits, is looked at there.
        | OfService::CreateReplica
        | OfService::SynchronizeReplica
        | OfService::UnregisterReplica
        | OfService::ExtractChanges
        | OfService::Replicas
        | OfService::Replica(_)
        | OfService::ReplicaFile(_)
        | OfService::ReplicaStatus(_)
        | OfService::Jobs
        | OfService::Job(_) => Access::View,
        OfService::ApplyEdits | OfService::ImportReplica => Access::Edit,
        OfService::Admin(..) | OfService::CleanUp => Access::Manage,
        OfService::Uploads(
            OfUploads::List
            | OfUploads::Upload
            | OfUploads::Register
            | OfUploads::Item(_)
            | OfUploads::Part(_)
            | OfUploads::Parts(_)
            | OfUploads::Commit(_)
            | OfUploads::Delete(_),
        ) => Access::Edit,
        OfService::Books(what) => match what {
            Books::Verify(_) | Books::Explain(_) => Access::View,
            Books::Batches
            | Books::Batch(_)
            | Books::Undo(_)
            | Books::Uploads(_)
            | Books::Upload(..)
            | Books::UndoUpload(..)
            | Books::RejectedEdits
            | Books::RejectedEdit(_)
            | Books::ApplyRejected(_)
            | Books::DismissRejected(_)
            | Books::Conflicts
            | Books::Conflict(_)
            | Books::RestoreConflict(_) => Access::Edit,
        },
        OfService::Layer(_, what) => match what {
            OfLayer::Itself
            | OfLayer::Query
            | OfLayer::QueryRelatedRecords
            | OfLayer::QueryAttachments
            | OfLayer::Feature(_)
            | OfLayer::ValidateSql
            | OfLayer::Attachments(_)
            | OfLayer::Attachment { .. } => Access::View,
            OfLayer::ApplyEdits
            | OfLayer::AddFeatures
            | OfLayer::UpdateFeatures
            | OfLayer::DeleteFeatures
            | OfLayer::Calculate
            | OfLayer::Append
            | OfLayer::AddAttachment(_)
            | OfLayer::UpdateAttachment(_)
            | OfLayer::DeleteAttachments(_) => Access::Edit,
            OfLayer::Truncate => Access::Manage,
        },
    }
}

/// Says whether what a request does counts as its caller's, who has a share of the database.
pub(super) fn is_shared(route: &Route) -> bool {
    match needed(route) {
        Need::Service(_) | Need::Admin => true,
        Need::Nothing | Need::Figures => false,
    }
}

/// Refuses what whoever asks may not do, without saying more of what they may not see than its name, which they have.
pub(super) async fn authorize(app: &App, who: &Principal, route: &Route) -> Result<()> {
    match (needed(route), route) {
        (Need::Service(access), Route::Service(name, _)) => {
            let service = match app.store.service(name).await {
                // Nobody finds out by asking which services there are.
                Err(Error::NotFound(_)) if who.is_anonymous() && app.config.anonymous < Access::View => {
                    return Err(Error::TokenRequired);
                }
                found => found?,
            };
            require_of(app, who, &service, access, "this")
        }
        (Need::Figures, _) if app.config.metrics_open => Ok(()),
        (Need::Figures | Need::Admin, _) if !who.is_admin() => Err(match who.is_anonymous() {
            true => Error::TokenRequired,
            false => Error::Forbidden("this is for administrators only".to_owned()),
        }),
        (Need::Nothing | Need::Figures | Need::Admin | Need::Service(_), _) => Ok(()),
    }
}

/// Refuses a file before it is sent, if whoever sends it may not, as far as that is known: their token may come after the file, and then the
/// file is no larger than any other body. `who` is whom the head of the request names. Says whether it is known that they may.
pub(super) async fn admit(app: &App, who: Option<&Principal>, route: &Route, n_bytes: Option<u64>) -> Result<bool> {
    let Some(who) = who else {
        let most = u64::try_from(app.config.max_body_bytes).unwrap_or(u64::MAX);
        let is_small = n_bytes.is_some_and(|n_bytes| n_bytes <= most);
        let is_there = matches!(route, Route::Service(name, _) if app.store.catalogue().service(name).is_some());
        return match authorize(app, &Principal::default(), route).await {
            Err(Error::TokenRequired) if is_small && is_there => Ok(false),
            may => may.map(|()| true),
        };
    };
    authorize(app, who, route).await.map(|()| true)
}

/// Refuses who may not do with a service what `what` needs.
pub(super) fn require(call: &Call, service: &Service, needed: Access, what: &str) -> Result<()> {
    require_of(&call.app, &call.principal, service, needed, what)
}

fn require_of(app: &App, who: &Principal, service: &Service, needed: Access, what: &str) -> Result<()> {
    let has = service.access(who, app.config.anonymous);
    if has >= needed {
        return Ok(());
    }
    if who.is_anonymous() {
        return Err(Error::TokenRequired);
    }
    let why = match has {
        // Not even this much of what they may not see.
        Access::None => String::new(),
        has => format!(
            " The right '{}' is needed for {what}, and user {} has '{}'; an administrator can grant it",
            needed.name(),
            who.name(),
            has.name()
        ),
    };
    Err(Error::Forbidden(format!("User does not have permissions to access '{}.FeatureServer'.{why}", service.name)))
}

/// Refuses what the service, or the layer that a request is about, does not allow.
pub(super) fn check(service: &Service, what: &OfService) -> Result<()> {
    let allowed = match what {
        OfService::Query => service.require(Capability::Query),
        OfService::Uploads(_) => service.synchronized().require(Capability::Uploads),
        OfService::ImportReplica => service.require(Capability::Sync),
        OfService::ApplyEdits => service.require(Capability::Editing),
        // Whoever may nothing must be able to read that.
        OfService::Layer(_, OfLayer::Itself) => Ok(()),
        OfService::Layer(id, what) => match (service.layer(LayerId(*id)), what) {
            (None, _) => Ok(()),
            (Some(layer), what) => layer.require(capability(*what)),
        },
        _ => Ok(()),
    };
    allowed.map_err(Error::NotSupported)
}

fn capability(what: OfLayer) -> Capability {
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
