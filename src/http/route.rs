//! Which resource or operation a path names. All routes are here.
//!
//! Words of paths are compared without case, and a slash at the end is passed over: clients write both.

use super::{books::Books, console::Console, html::ConsolePage, respond::Format};

/// A resource or operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/`: leads to the catalogue.
    Root,
    /// `/healthz`: the process lives.
    Health,
    /// `/readyz`: the database answers.
    Ready,
    /// `/metrics`: figures for a monitoring system.
    Metrics,
    /// `/openapi.json`: the description of all this.
    OpenApi,
    /// `static`: a file that pages are made with, by the name in its address.
    Static(String),
    /// `rest/info`
    Info,
    /// `sharing/rest`, `sharing/rest/info`, `sharing/rest/portals/self`: what one client asks of a portal.
    Portal(Portal),
    /// `login`, `login/oidc` and below, `logout`, `tokens/generateToken`, `tokens/session`
    SigningIn(SigningIn),
    /// `rest/admin/accounts/…`: who may sign in, and what was granted.
    Accounts(Accounts),
    /// `rest/services`
    Catalogue,
    /// The audit log.
    Audit,
    /// Whether nobody has tampered with it.
    VerifyAudit,
    /// A resource of the console.
    Console(Console),
    /// A page of the console.
    ConsolePage(ConsolePage, Vec<String>),
    /// Something of a service.
    Service(String, OfService),
    /// Nothing that there is.
    Unknown,
}

/// How people and programs say who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SigningIn {
    /// The page on which people sign in.
    Login,
    /// The way to the identity provider.
    SignOn,
    /// The way back from it.
    SignOnReturn,
    /// The way to where one signs out of it.
    SignOff,
    /// The end of a session.
    Logout,
    /// generateToken: a token for a user name and a password.
    GenerateToken,
    /// A token for the scripts of somebody who is signed in to the pages.
    Session,
}

/// What administrators look after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accounts {
    /// Users.
    Users,
    /// Roles.
    Roles,
    /// Keys of programs.
    Keys,
    /// Tokens and sessions.
    Tokens,
    /// What was granted of services.
    Grants,
}

impl Accounts {
    /// Its name in addresses and documents.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Accounts::Users => "users",
            Accounts::Roles => "roles",
            Accounts::Keys => "keys",
            Accounts::Tokens => "tokens",
            Accounts::Grants => "grants",
        }
    }
}

/// The documents of a portal that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Portal {
    /// Its version.
    Root,
    /// How to sign in.
    Info,
    /// Itself.
    Itself,
}

/// A resource or operation of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OfService {
    /// The service.
    Itself,
    /// All layers and tables in full.
    Layers,
    /// query, of several layers.
    Query,
    /// Which rows belong to which.
    Relationships,
    /// The domains of fields.
    QueryDomains,
    /// Changing the definition of the service, or of the layer with this id.
    Admin(Option<i32>, OfAdmin),
    /// Edits of several layers.
    ApplyEdits,
    /// createReplica
    CreateReplica,
    /// synchronizeReplica
    SynchronizeReplica,
    /// unRegisterReplica
    UnregisterReplica,
    /// importReplica
    ImportReplica,
    /// extractChanges
    ExtractChanges,
    /// All replicas.
    Replicas,
    /// One replica, by its id.
    Replica(String),
    /// A result file, by its name.
    ReplicaFile(String),
    /// All jobs.
    Jobs,
    /// One job, by its id.
    Job(String),
    /// Files that clients send.
    Uploads(OfUploads),
    /// How a replica is doing, by its id.
    ReplicaStatus(String),
    /// cleanupChangeTracking
    CleanUp,
    /// Something of the books.
    Books(Books),
    /// Something of a layer.
    Layer(i32, OfLayer),
}

/// A resource or operation of the uploads of a service; with the id of an item where it is about one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OfUploads {
    /// All items.
    List,
    /// upload: a whole file.
    Upload,
    /// register: a file whose parts will come.
    Register,
    /// One item.
    Item(String),
    /// uploadPart
    Part(String),
    /// The parts of an item.
    Parts(String),
    /// commit: puts the parts together.
    Commit(String),
    /// delete
    Delete(String),
}

/// An operation on a definition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OfAdmin {
    /// The document of the service or layer.
    Itself,
    /// addToDefinition
    Add,
    /// updateDefinition
    Update,
    /// deleteFromDefinition
    Delete,
    /// refresh: reads the catalogue again.
    Refresh,
}

/// A resource or operation of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OfLayer {
    /// The layer.
    Itself,
    /// query
    Query,
    /// queryRelatedRecords
    QueryRelatedRecords,
    /// queryAttachments
    QueryAttachments,
    /// The feature with this object id.
    Feature(i64),
    /// applyEdits
    ApplyEdits,
    /// addFeatures
    AddFeatures,
    /// updateFeatures
    UpdateFeatures,
    /// deleteFeatures
    DeleteFeatures,
    /// calculate
    Calculate,
    /// validateSQL
    ValidateSql,
    /// truncate
    Truncate,
    /// append
    Append,
    /// addAttachment, to the feature with this object id.
    AddAttachment(i64),
    /// updateAttachment, of the feature with this object id.
    UpdateAttachment(i64),
    /// deleteAttachments, of the feature with this object id.
    DeleteAttachments(i64),
    /// The attachments of the feature with this object id.
    Attachments(i64),
    /// The bytes of an attachment, by its id; below its feature's object id, or without it.
    Attachment {
        /// The feature.
        feature: Option<i64>,
        /// The attachment.
        id: i64,
    },
}

impl OfLayer {
    /// The feature whose attachments it is about, by its object id.
    pub(crate) fn feature(self) -> Option<i64> {
        match self {
            OfLayer::Attachments(feature)
            | OfLayer::AddAttachment(feature)
            | OfLayer::UpdateAttachment(feature)
            | OfLayer::DeleteAttachments(feature) => Some(feature),
            OfLayer::Attachment { feature, .. } => feature,
            _ => None,
        }
    }
}

impl Route {
    /// The route of a path.
    pub(crate) fn of(path: &str) -> Route {
        let Some(segments) =
            path.split('/').filter(|part| !part.is_empty()).map(decode).collect::<Option<Vec<String>>>()
        else {
            return Route::Unknown;
        };
        let lower: Vec<String> = segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
        let words: Vec<&str> = lower.iter().map(String::as_str).collect();
        match words.as_slice() {
            [] | ["arcgis"] | ["arcgis", "rest"] => Route::Root,
            ["healthz"] => Route::Health,
            ["readyz"] => Route::Ready,
            ["metrics"] => Route::Metrics,
            ["openapi.json"] => Route::OpenApi,
            ["arcgis", "static", name] => Route::Static((*name).to_owned()),
            ["arcgis", "rest", "info"] => Route::Info,
            ["arcgis", "sharing", "rest"] | ["arcgis", "sharing"] => Route::Portal(Portal::Root),
            ["arcgis", "sharing", "rest", "info"] => Route::Portal(Portal::Info),
            ["arcgis", "sharing", "rest", "portals", "self"] => Route::Portal(Portal::Itself),
            ["arcgis", "login"] => Route::SigningIn(SigningIn::Login),
            ["arcgis", "login", "oidc"] => Route::SigningIn(SigningIn::SignOn),
            ["arcgis", "login", "oidc", "return"] => Route::SigningIn(SigningIn::SignOnReturn),
            ["arcgis", "login", "oidc", "leave"] => Route::SigningIn(SigningIn::SignOff),
            ["arcgis", "logout"] => Route::SigningIn(SigningIn::Logout),
            ["arcgis", "tokens"]
            | ["arcgis", "tokens", "generatetoken"]
            | ["arcgis", "sharing", "rest", "generatetoken"]
            | ["arcgis", "sharing", "generatetoken"]
            | ["arcgis", "admin", "generatetoken"] => Route::SigningIn(SigningIn::GenerateToken),
            ["arcgis", "tokens", "session"] => Route::SigningIn(SigningIn::Session),
            ["arcgis", "rest", "admin", "accounts", "users"] => Route::Accounts(Accounts::Users),
            ["arcgis", "rest", "admin", "accounts", "roles"] => Route::Accounts(Accounts::Roles),
            ["arcgis", "rest", "admin", "accounts", "keys"] => Route::Accounts(Accounts::Keys),
            ["arcgis", "rest", "admin", "accounts", "tokens"] => Route::Accounts(Accounts::Tokens),
            ["arcgis", "rest", "admin", "accounts", "grants"] => Route::Accounts(Accounts::Grants),
            ["arcgis", "rest", "services"] => Route::Catalogue,
            // The second is what clients make of the address of a service by replacing `rest`.
            ["arcgis", "rest", "admin", "services", _, "featureserver", rest @ ..] => {
                of_admin(rest).map_or(Route::Unknown, |found| Route::Service(segments[4].clone(), found))
            }
            ["arcgis", "admin", "services", _, "featureserver", rest @ ..] => {
                of_admin(rest).map_or(Route::Unknown, |found| Route::Service(segments[3].clone(), found))
            }
            ["arcgis", "rest", "admin", "audit"] => Route::Audit,
            ["arcgis", "rest", "admin", "audit", "verify"] => Route::VerifyAudit,
            ["arcgis", "console", rest @ ..] => match ConsolePage::of(rest) {
                Some(page) => Route::ConsolePage(page, segments.get(2..).unwrap_or_default().to_vec()),
                None => Route::Unknown,
            },
            ["arcgis", "rest", "admin", rest @ ..] => {
                Console::of(rest, segments.get(3..).unwrap_or_default()).map_or(Route::Unknown, Route::Console)
            }
            ["arcgis", "rest", "services", _, "featureserver", rest @ ..] => {
                let own = segments.get(5..).unwrap_or_default();
                match of_service(rest, own) {
                    Some(found) => Route::Service(segments[3].clone(), found),
                    None => Route::Unknown,
                }
            }
            _ => Route::Unknown,
        }
    }

    /// Whether it answers with features, which have formats of their own.
    pub(crate) fn gives_features(&self, format: Format) -> bool {
        match self {
            Route::Service(_, OfService::Layer(_, OfLayer::Query)) => true,
            Route::Service(_, OfService::Books(Books::RejectedEdits)) => format == Format::GeoJson,
            _ => false,
        }
    }

    /// The name of an operation that changes data, and therefore takes POST only.
    pub(crate) fn post_only(&self) -> Option<&'static str> {
        let what = match self {
            Route::Service(_, what) => what,
            Route::SigningIn(SigningIn::GenerateToken) => return Some("generateToken"),
            Route::SigningIn(SigningIn::Session) => return Some("session"),
            Route::SigningIn(SigningIn::Logout) => return Some("logout"),
            Route::Console(what) => return what.post_only(),
            _ => return None,
        };
        Some(match what {
            OfService::ApplyEdits | OfService::Layer(_, OfLayer::ApplyEdits) => "applyEdits",
            OfService::CreateReplica => "createReplica",
            OfService::SynchronizeReplica => "synchronizeReplica",
            OfService::UnregisterReplica => "unRegisterReplica",
            OfService::ImportReplica => "importReplica",
            OfService::CleanUp => "cleanupChangeTracking",
            OfService::Admin(_, OfAdmin::Add) => "addToDefinition",
            OfService::Admin(_, OfAdmin::Update) => "updateDefinition",
            OfService::Admin(_, OfAdmin::Delete) => "deleteFromDefinition",
            OfService::Admin(_, OfAdmin::Refresh) => "refresh",
            OfService::Layer(_, OfLayer::AddFeatures) => "addFeatures",
            OfService::Layer(_, OfLayer::UpdateFeatures) => "updateFeatures",
            OfService::Layer(_, OfLayer::DeleteFeatures) => "deleteFeatures",
            OfService::Layer(_, OfLayer::Calculate) => "calculate",
            OfService::Layer(_, OfLayer::Truncate) => "truncate",
            OfService::Layer(_, OfLayer::Append) => "append",
            OfService::Layer(_, OfLayer::AddAttachment(_)) => "addAttachment",
            OfService::Layer(_, OfLayer::UpdateAttachment(_)) => "updateAttachment",
            OfService::Layer(_, OfLayer::DeleteAttachments(_)) => "deleteAttachments",
            OfService::Uploads(OfUploads::Upload) => "upload",
            OfService::Uploads(OfUploads::Register) => "register",
            OfService::Uploads(OfUploads::Part(_)) => "uploadPart",
            OfService::Uploads(OfUploads::Commit(_)) => "commit",
            OfService::Uploads(OfUploads::Delete(_)) => "delete",
            OfService::Books(what) => return what.post_only(),
            _ => return None,
        })
    }
}

fn of_admin(words: &[&str]) -> Option<OfService> {
    let (layer, operation) = match words {
        [id, rest @ ..] if id.starts_with(|c: char| c.is_ascii_digit()) => (Some(id.parse().ok()?), rest),
        rest => (None, rest),
    };
    let what = match operation {
        ["cleanupchangetracking"] if layer.is_none() => return Some(OfService::CleanUp),
        ["truncate"] => return Some(OfService::Layer(layer?, OfLayer::Truncate)),
        [] => OfAdmin::Itself,
        ["addtodefinition"] => OfAdmin::Add,
        ["updatedefinition"] => OfAdmin::Update,
        ["deletefromdefinition"] => OfAdmin::Delete,
        ["refresh"] => OfAdmin::Refresh,
        _ => return None,
    };
    Some(OfService::Admin(layer, what))
}

fn of_service(words: &[&str], segments: &[String]) -> Option<OfService> {
    let own = |index: usize| segments.get(index).cloned().unwrap_or_default();
    if let Some(what) = Books::of(words, segments) {
        return Some(OfService::Books(what));
    }
    Some(match words {
        [] => OfService::Itself,
        ["layers"] => OfService::Layers,
        ["query"] => OfService::Query,
        ["relationships"] => OfService::Relationships,
        ["querydomains"] => OfService::QueryDomains,
        ["applyedits"] => OfService::ApplyEdits,
        ["createreplica"] => OfService::CreateReplica,
        ["synchronizereplica"] => OfService::SynchronizeReplica,
        ["unregisterreplica"] => OfService::UnregisterReplica,
        ["importreplica"] => OfService::ImportReplica,
        ["extractchanges"] => OfService::ExtractChanges,
        ["replicas"] => OfService::Replicas,
        ["replicas", _] => OfService::Replica(own(1)),
        ["replicas", _, "status"] => OfService::ReplicaStatus(own(1)),
        ["replicafiles", _] => OfService::ReplicaFile(own(1)),
        ["jobs"] => OfService::Jobs,
        // Old clients append the word.
        ["jobs", _] | ["jobs", _, "status"] => OfService::Job(own(1)),
        ["uploads", rest @ ..] => OfService::Uploads(match rest {
            [] => OfUploads::List,
            ["upload"] => OfUploads::Upload,
            ["register"] => OfUploads::Register,
            [_] => OfUploads::Item(own(1)),
            [_, "uploadpart"] => OfUploads::Part(own(1)),
            [_, "parts"] => OfUploads::Parts(own(1)),
            [_, "commit"] => OfUploads::Commit(own(1)),
            [_, "delete"] => OfUploads::Delete(own(1)),
            _ => return None,
        }),
        [id, rest @ ..] => {
            let id = id.parse().ok()?;
            let what = match rest {
                [] => OfLayer::Itself,
                ["query"] => OfLayer::Query,
                ["queryrelatedrecords"] => OfLayer::QueryRelatedRecords,
                ["queryattachments"] => OfLayer::QueryAttachments,
                ["applyedits"] => OfLayer::ApplyEdits,
                ["addfeatures"] => OfLayer::AddFeatures,
                ["updatefeatures"] => OfLayer::UpdateFeatures,
                ["deletefeatures"] => OfLayer::DeleteFeatures,
                ["calculate"] => OfLayer::Calculate,
                ["validatesql"] => OfLayer::ValidateSql,
                ["append"] => OfLayer::Append,
                [feature, "addattachment"] => OfLayer::AddAttachment(feature.parse().ok()?),
                [feature, "updateattachment"] => OfLayer::UpdateAttachment(feature.parse().ok()?),
                [feature, "deleteattachments"] => OfLayer::DeleteAttachments(feature.parse().ok()?),
                [feature] => OfLayer::Feature(feature.parse().ok()?),
                ["attachments", id] => OfLayer::Attachment { feature: None, id: id.parse().ok()? },
                [feature, "attachments"] => OfLayer::Attachments(feature.parse().ok()?),
                [feature, "attachments", id] => {
                    OfLayer::Attachment { feature: Some(feature.parse().ok()?), id: id.parse().ok()? }
                }
                _ => return None,
            };
            OfService::Layer(id, what)
        }
    })
}

/// A segment without its percent-encoding. `None` if that is broken.
fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok())?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after.get(2..)?;
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_no_case_and_may_end_in_a_slash() {
        let service = |what| Route::Service("Fire Hydrants".to_owned(), what);
        assert_eq!(Route::of("/arcgis/rest/services/Fire%20Hydrants/FeatureServer"), service(OfService::Itself));
        assert_eq!(
            Route::of("/ARCGIS/Rest/Services/Fire%20Hydrants/featureserver/createReplica/"),
            service(OfService::CreateReplica)
        );
        assert_eq!(
            Route::of("/arcgis/rest/services/Fire%20Hydrants/FeatureServer/0/Query"),
            service(OfService::Layer(0, OfLayer::Query))
        );
        assert_eq!(
            Route::of("/arcgis/rest/services/Fire%20Hydrants/FeatureServer/replicas/{A}"),
            service(OfService::Replica("{A}".into()))
        );
    }

    #[test]
    fn what_is_not_there_is_unknown() {
        for path in [
            "/x",
            "/arcgis/rest/services/a/MapServer",
            "/arcgis/rest/services/a/FeatureServer/0/fly",
            "/arcgis/rest/services/%zz/FeatureServer",
        ] {
            assert_eq!(Route::of(path), Route::Unknown, "{path}");
        }
    }

    #[test]
    fn everything_that_changes_data_takes_post_only() {
        for path in [
            "applyEdits",
            "createReplica",
            "synchronizeReplica",
            "unRegisterReplica",
            "importReplica",
            "0/applyEdits",
            "0/addFeatures",
            "0/updateFeatures",
            "0/deleteFeatures",
            "0/calculate",
            "0/append",
            "0/7/addAttachment",
            "0/7/updateAttachment",
            "0/7/deleteAttachments",
            "uploads/upload",
            "uploads/register",
            "uploads/i1/uploadPart",
            "uploads/i1/commit",
            "uploads/i1/delete",
            "replicas/a/batches/1/undo",
            "rejectedEdits/1/apply",
            "rejectedEdits/1/dismiss",
            "conflicts/1/restore",
        ] {
            assert!(
                Route::of(&format!("/arcgis/rest/services/a/FeatureServer/{path}")).post_only().is_some(),
                "{path}"
            );
        }
        for root in ["/arcgis/rest/admin", "/arcgis/admin"] {
            for operation in ["addToDefinition", "updateDefinition", "deleteFromDefinition", "refresh"] {
                for of in ["", "/0"] {
                    let path = format!("{root}/services/a/FeatureServer{of}/{operation}");
                    assert_eq!(Route::of(&path).post_only(), Some(operation), "{path}");
                }
            }
            for operation in ["cleanupChangeTracking", "0/truncate"] {
                let route = Route::of(&format!("{root}/services/a/FeatureServer/{operation}"));
                assert_eq!(route.post_only(), operation.split('/').next_back());
            }
        }
        assert!(Route::of("/arcgis/rest/services/a/FeatureServer/0/query").post_only().is_none());
    }
}
