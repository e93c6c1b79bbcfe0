//! Every resource and operation there is.

use super::{
    accounts as a, console as c,
    parameters::{self as p, Parameter},
    querying as q,
};

/// A resource or operation.
pub(super) struct Operation {
    /// Its path with placeholders in braces; below that of a service unless it begins with a slash.
    path: &'static str,
    /// A name that no other has.
    pub(super) id: &'static str,
    /// The group that it is shown in.
    pub(super) tag: &'static str,
    /// How it is asked.
    pub(super) verbs: Verbs,
    /// What it is, for people.
    pub(super) summary: &'static str,
    /// What it takes, beside what all take.
    pub(super) parameters: &'static [&'static [Parameter]],
    /// What it gives.
    pub(super) answer: Answer,
}

/// How something is asked.
#[derive(Clone, Copy)]
pub(super) enum Verbs {
    /// GET.
    Get,
    /// GET, or POST with the same parameters.
    GetOrPost,
    /// POST, since it changes something.
    Post,
}

/// What comes back, unless it is an error.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// An object that has at least these members, each with the name of its schema.
    Object(&'static [(&'static str, &'static str)]),
    /// An array of objects.
    Array,
    /// Plain text.
    Text,
    /// A file.
    Bytes,
}

use Answer::{Array, Bytes, Object, Text};
use Verbs::{Get, GetOrPost, Post};

impl Operation {
    const fn new(
        tag: &'static str,
        verbs: Verbs,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Operation {
        Operation { path, id, tag, verbs, summary, parameters: &[], answer: Object(&[]) }
    }

    const fn takes(self, parameters: &'static [&'static [Parameter]]) -> Operation {
        Operation { parameters, ..self }
    }

    const fn gives(self, answer: Answer) -> Operation {
        Operation { answer, ..self }
    }

    /// Its whole path.
    pub(super) fn path(&self) -> String {
        match self.path {
            "" => SERVICE.to_owned(),
            whole if whole.starts_with('/') => whole.to_owned(),
            below => format!("{SERVICE}/{below}"),
        }
    }
}

const TOKEN: Answer = Object(&[("token", "text"), ("expires", "number"), ("ssl", "flag")]);

const fn generate_token(path: &'static str, id: &'static str) -> Operation {
    Operation::new("signing in", Post, path, id, "A token for a user name and a password.")
        .takes(&[a::GENERATE_TOKEN])
        .gives(TOKEN)
}

const fn accounts(
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    parameters: &'static [&'static [Parameter]],
) -> Operation {
    Operation::new("accounts", GetOrPost, path, id, summary).takes(parameters)
}

const SERVICE: &str = "/arcgis/rest/services/{service}/FeatureServer";

/// All of them.
pub(super) const OPERATIONS: &[Operation] = &[
    Operation::new("operating", Get, "/healthz", "health", "Whether the process lives.").gives(Text),
    Operation::new("operating", Get, "/readyz", "ready", "Whether requests can be served; HTTP status 503 if not.")
        .gives(Text),
    Operation::new("operating", Get, "/metrics", "metrics", "Figures for Prometheus.").gives(Text),
    Operation::new("operating", Get, "/openapi.json", "description", "This description.")
        .gives(Object(&[("openapi", "text"), ("paths", "object")])),
    Operation::new("operating", Get, "/arcgis/static/{name}", "static", "A file that pages are made with.")
        .gives(Bytes),
    Operation::new("operating", GetOrPost, "/arcgis/rest/admin/audit", "audit", "Who did what, the newest first.")
        .takes(&[p::PAGE, p::AUDIT])
        .gives(Object(&[("entries", "array"), ("exceededTransferLimit", "flag")])),
    Operation::new(
        "operating",
        GetOrPost,
        "/arcgis/rest/admin/audit/verify",
        "verifyAudit",
        "Whether nobody has changed or removed entries of the audit log, and where its chain ends.",
    )
    .takes(&[p::VERIFY_AUDIT])
    .gives(Object(&[("intact", "flag"), ("entries", "integer"), ("head", "text"), ("problems", "array")])),
    Operation::new("catalogue", GetOrPost, "/arcgis/rest/info", "info", "Versions, and how to sign in.")
        .gives(Object(&[("currentVersion", "number"), ("authInfo", "object")])),
    Operation::new(
        "catalogue",
        GetOrPost,
        "/arcgis/sharing/rest",
        "portal",
        "What a widely used client asks of a portal: its version.",
    )
    .gives(Object(&[("currentVersion", "text")])),
    Operation::new("catalogue", GetOrPost, "/arcgis/sharing/rest/info", "portalInfo", "The same: how to sign in.")
        .gives(Object(&[("authInfo", "object")])),
    Operation::new("catalogue", GetOrPost, "/arcgis/sharing/rest/portals/self", "portalSelf", "The same: itself.")
        .gives(Object(&[("id", "text"), ("isPortal", "flag")])),
    Operation::new("signing in", GetOrPost, "/arcgis/login", "login", "The page on which people sign in.")
        .takes(&[a::LOGIN])
        .gives(Text),
    Operation::new(
        "signing in",
        Get,
        "/arcgis/login/oidc",
        "signOn",
        "Leads to the identity provider, if there is one.",
    )
    .takes(&[a::SIGN_ON])
    .gives(Text),
    Operation::new(
        "signing in",
        Get,
        "/arcgis/login/oidc/return",
        "signOnReturn",
        "Where the identity provider leads back to; leads on to a page.",
    )
    .takes(&[a::SIGN_ON_RETURN])
    .gives(Text),
    Operation::new(
        "signing in",
        Get,
        "/arcgis/login/oidc/leave",
        "signOff",
        "Leads to where one signs out of the identity provider; for whoever has just signed out here.",
    )
    .gives(Text),
    Operation::new("signing in", Post, "/arcgis/logout", "logout", "Ends the session of pages.")
        .takes(&[a::CSRF])
        .gives(Text),
    generate_token("/arcgis/tokens/generateToken", "generateToken"),
    generate_token("/arcgis/tokens", "generateTokenBrief"),
    generate_token("/arcgis/sharing/rest/generateToken", "generateTokenOfPortal"),
    generate_token("/arcgis/sharing/generateToken", "generateTokenOfOldPortal"),
    generate_token("/arcgis/admin/generateToken", "generateTokenOfAdmin"),
    Operation::new(
        "signing in",
        Post,
        "/arcgis/tokens/session",
        "sessionToken",
        "A token for the scripts of somebody who is signed in to the pages.",
    )
    .takes(&[a::CSRF])
    .gives(TOKEN),
    accounts(
        "/arcgis/rest/admin/accounts/users",
        "users",
        "All users; a POST with an operation changes one.",
        &[a::USERS],
    ),
    accounts(
        "/arcgis/rest/admin/accounts/roles",
        "roles",
        "All roles; a POST with an operation changes one.",
        &[a::ROLES],
    ),
    accounts("/arcgis/rest/admin/accounts/keys", "keys", "All keys; a POST with an operation changes one.", &[a::KEYS]),
    accounts(
        "/arcgis/rest/admin/accounts/tokens",
        "tokens",
        "Tokens and sessions that count; a POST with an operation ends some.",
        &[a::TOKENS],
    ),
    accounts(
        "/arcgis/rest/admin/accounts/grants",
        "grants",
        "What was granted of services; a POST with an operation changes it.",
        &[a::GRANTS],
    ),
    Operation::new("catalogue", GetOrPost, "/arcgis/rest/services", "services", "All services.").gives(Object(&[
        ("currentVersion", "number"),
        ("folders", "array"),
        ("services", "array"),
    ])),
    Operation::new("resources", GetOrPost, "", "service", "A service.").gives(Object(&[
        ("layers", "array"),
        ("tables", "array"),
        ("capabilities", "text"),
        ("syncEnabled", "flag"),
    ])),
    Operation::new("resources", GetOrPost, "layers", "layers", "All layers and tables in full.")
        .gives(Object(&[("layers", "array"), ("tables", "array")])),
    Operation::new("resources", GetOrPost, "{layer}", "layer", "A layer or table.").gives(Object(&[
        ("id", "integer"),
        ("name", "text"),
        ("type", "text"),
        ("fields", "array"),
        ("objectIdField", "text"),
    ])),
    Operation::new("features", GetOrPost, "{layer}/query", "query", "Features, ids, a count or an extent.")
        .takes(&[q::FEATURE_FORMATS, p::AREA, q::QUERY, q::CHOICE, q::SUMMARY, q::FORM])
        .gives(Object(&[])),
    Operation::new("features", GetOrPost, "{layer}/{objectId}", "feature", "One feature.")
        .takes(&[q::FEATURE, q::FORM])
        .gives(Object(&[("feature", "Feature")])),
    Operation::new(
        "features",
        GetOrPost,
        "query",
        "queryService",
        "Features of several layers, or their ids or numbers.",
    )
    .takes(&[q::LAYER_DEFS, p::AREA, q::QUERY, q::CHOICE, q::SUMMARY, q::FORM])
    .gives(Object(&[("layers", "array")])),
    Operation::new(
        "features",
        GetOrPost,
        "{layer}/queryRelatedRecords",
        "queryRelatedRecords",
        "Records that belong to features.",
    )
    .takes(&[q::RELATED, q::FORM])
    .gives(Object(&[("relatedRecordGroups", "array")])),
    Operation::new("features", GetOrPost, "{layer}/queryAttachments", "queryAttachments", "Attachments of features.")
        .takes(&[q::ATTACHMENTS]),
    Operation::new("resources", GetOrPost, "relationships", "relationships", "Which rows belong to which.")
        .gives(Object(&[("relationships", "array")])),
    Operation::new("resources", GetOrPost, "queryDomains", "queryDomains", "The domains of fields.")
        .takes(&[q::OF_LAYERS])
        .gives(Object(&[("domains", "array")])),
    Operation::new(
        "administration",
        GetOrPost,
        "/arcgis/rest/admin/services/{service}/FeatureServer",
        "admin",
        "What administrators see of a service.",
    )
    .takes(&[q::ADMINISTRATION]),
    Operation::new(
        "administration",
        Post,
        "/arcgis/rest/admin/services/{service}/FeatureServer/addToDefinition",
        "addToDefinition",
        "Adds layers, tables and relationships to a service.",
    )
    .takes(&[q::ADMINISTRATION, q::ADD_TO_SERVICE])
    .gives(Object(&[("success", "flag")])),
    Operation::new(
        "administration",
        Post,
        "/arcgis/rest/admin/services/{service}/FeatureServer/updateDefinition",
        "updateDefinition",
        "Changes the definition of a service.",
    )
    .takes(&[q::ADMINISTRATION, q::UPDATE_SERVICE])
    .gives(Object(&[("success", "flag")])),
    Operation::new(
        "administration",
        Post,
        "/arcgis/rest/admin/services/{service}/FeatureServer/deleteFromDefinition",
        "deleteFromDefinition",
        "Forgets relationships of a service.",
    )
    .takes(&[q::ADMINISTRATION, q::DELETE_FROM_SERVICE])
    .gives(Object(&[("success", "flag")])),
    Operation::new(
        "administration",
        Post,
        "/arcgis/rest/admin/services/{service}/FeatureServer/refresh",
        "refresh",
        "Reads the catalogue again.",
    )
    .takes(&[q::ADMINISTRATION])
    .gives(Object(&[("success", "flag")])),
    Operation::new(
        "administration",
        GetOrPost,
        "/arcgis/rest/admin/services/{service}/FeatureServer/{layer}",
        "adminOfLayer",
        "What administrators see of a layer.",
    )
    .takes(&[q::ADMINISTRATION]),
    Operation::new(
        "administration",
        Post,
        "/arcgis/rest/admin/services/{service}/FeatureServer/{layer}/addToDefinition",
        "addToDefinitionOfLayer",
        "Adds to the definition of a layer.",
    )
    .takes(&[q::ADMINISTRATION, q::ADD_TO_DEFINITION])
    .gives(Object(&[("success", "flag")])),
    Operation::new(
        "administration",
        Post,
        "/arcgis/rest/admin/services/{service}/FeatureServer/{layer}/updateDefinition",
        "updateDefinitionOfLayer",
        "Changes the definition of a layer.",
    )
    .takes(&[q::ADMINISTRATION, q::UPDATE_DEFINITION])
    .gives(Object(&[("success", "flag")])),
    Operation::new(
        "administration",
        Post,
        "/arcgis/rest/admin/services/{service}/FeatureServer/{layer}/deleteFromDefinition",
        "deleteFromDefinitionOfLayer",
        "Deletes from the definition of a layer.",
    )
    .takes(&[q::ADMINISTRATION, q::DELETE_FROM_DEFINITION])
    .gives(Object(&[("success", "flag")])),
    Operation::new(
        "administration",
        Post,
        "/arcgis/rest/admin/services/{service}/FeatureServer/{layer}/refresh",
        "refreshOfLayer",
        "Reads the catalogue again.",
    )
    .takes(&[q::ADMINISTRATION])
    .gives(Object(&[("success", "flag")])),
    Operation::new(
        "features",
        GetOrPost,
        "{layer}/{objectId}/attachments",
        "attachments",
        "The attachments of a feature.",
    )
    .gives(Object(&[("attachmentInfos", "array")])),
    Operation::new(
        "features",
        Get,
        "{layer}/{objectId}/attachments/{attachmentId}",
        "attachment",
        "The bytes of an attachment; ranges are honoured.",
    )
    .gives(Bytes),
    Operation::new("features", Get, "{layer}/attachments/{attachmentId}", "attachmentOfLayer", "The same.")
        .gives(Bytes),
    Operation::new("editing", Post, "applyEdits", "applyEdits", "Edits of several layers.")
        .takes(&[p::SERVICE_EDITS, p::EDITING])
        .gives(Array),
    Operation::new("editing", Post, "{layer}/applyEdits", "applyEditsOfLayer", "Edits of a layer.")
        .takes(&[p::LAYER_EDITS, p::EDITING]),
    Operation::new("editing", Post, "{layer}/addFeatures", "addFeatures", "Adds features.")
        .takes(&[p::FEATURE_EDITS, p::EDITING]),
    Operation::new("editing", Post, "{layer}/updateFeatures", "updateFeatures", "Changes features.")
        .takes(&[p::FEATURE_EDITS, p::EDITING]),
    Operation::new("editing", Post, "{layer}/deleteFeatures", "deleteFeatures", "Deletes features.").takes(&[
        p::SELECTED,
        q::CHOICE,
        p::DELETES,
        p::EDITING,
    ]),
    Operation::new("editing", Post, "{layer}/calculate", "calculate", "Sets fields of many features.").takes(&[
        p::SELECTED,
        q::CHOICE,
        p::CALCULATE,
        p::EDITING,
    ]),
    Operation::new(
        "editing",
        GetOrPost,
        "{layer}/validateSQL",
        "validateSQL",
        "Whether a text is a condition or an expression.",
    )
    .takes(&[p::VALIDATE_SQL])
    .gives(Object(&[("isValidSQL", "flag")])),
    Operation::new("editing", Post, "{layer}/append", "append", "Adds or changes many features out of a file.")
        .takes(&[p::APPEND, p::EDITING]),
    Operation::new(
        "administration",
        Post,
        "/arcgis/rest/admin/services/{service}/FeatureServer/{layer}/truncate",
        "truncate",
        "Deletes all features of a layer.",
    )
    .takes(&[p::TRUNCATE]),
    Operation::new(
        "editing",
        Post,
        "{layer}/{objectId}/addAttachment",
        "addAttachment",
        "Adds an attachment to a feature.",
    )
    .takes(&[p::ATTACHMENT])
    .gives(Object(&[("addAttachmentResult", "EditResult")])),
    Operation::new(
        "editing",
        Post,
        "{layer}/{objectId}/updateAttachment",
        "updateAttachment",
        "Changes an attachment.",
    )
    .takes(&[p::ATTACHMENT_ID, p::ATTACHMENT])
    .gives(Object(&[("updateAttachmentResult", "EditResult")])),
    Operation::new(
        "editing",
        Post,
        "{layer}/{objectId}/deleteAttachments",
        "deleteAttachments",
        "Deletes attachments.",
    )
    .takes(&[p::DELETE_ATTACHMENTS])
    .gives(Object(&[("deleteAttachmentResults", "EditResults")])),
    Operation::new("replicas", Post, "createReplica", "createReplica", "Makes a replica, and its data.").takes(&[
        p::AREA,
        p::CREATE_REPLICA,
        p::DATUM,
    ]),
    Operation::new(
        "replicas",
        Post,
        "synchronizeReplica",
        "synchronizeReplica",
        "Takes a client's edits, and gives what is new to it.",
    )
    .takes(&[p::SYNCHRONIZE, p::DATUM]),
    Operation::new("replicas", Post, "unRegisterReplica", "unRegisterReplica", "Forgets a replica.")
        .takes(&[p::UNREGISTER])
        .gives(Object(&[("success", "flag")])),
    Operation::new(
        "replicas",
        Post,
        "importReplica",
        "importReplica",
        "Makes the other side of a replica of another server.",
    )
    .takes(&[p::IMPORT_REPLICA]),
    Operation::new(
        "replicas",
        GetOrPost,
        "extractChanges",
        "extractChanges",
        "What changed since a generation, without a replica.",
    )
    .takes(&[p::AREA, p::EXTRACT_CHANGES, p::DATUM]),
    Operation::new("replicas", GetOrPost, "replicas", "replicas", "All replicas.").takes(&[p::REPLICAS]).gives(Array),
    Operation::new("replicas", GetOrPost, "replicas/{replicaId}", "replica", "A replica.").gives(Object(&[
        ("replicaID", "text"),
        ("replicaName", "text"),
        ("layers", "array"),
    ])),
    Operation::new("replicas", GetOrPost, "replicas/{replicaId}/status", "replicaStatus", "How a replica is doing.")
        .gives(Object(&[("replicaID", "text"), ("state", "text")])),
    Operation::new("replicas", Get, "replicafiles/{file}", "replicaFile", "A result file; ranges are honoured.")
        .gives(Bytes),
    Operation::new("jobs", GetOrPost, "jobs", "jobs", "All jobs.").gives(Object(&[("jobs", "array")])),
    Operation::new("jobs", GetOrPost, "jobs/{jobId}", "job", "A job.").gives(Object(&[
        ("jobId", "text"),
        ("status", "text"),
        ("resultUrl", "text"),
    ])),
    Operation::new("jobs", GetOrPost, "jobs/{jobId}/status", "jobStatus", "The same, as old clients ask for it.")
        .gives(Object(&[("jobId", "text"), ("status", "text"), ("resultUrl", "text")])),
    Operation::new("uploads", GetOrPost, "uploads", "uploads", "All files that clients sent.")
        .gives(Object(&[("items", "array")])),
    Operation::new("uploads", Post, "uploads/upload", "upload", "Sends a whole file.")
        .takes(&[p::UPLOAD])
        .gives(Object(&[("success", "flag"), ("item", "object")])),
    Operation::new("uploads", Post, "uploads/register", "registerUpload", "Announces a file whose parts will come.")
        .takes(&[p::REGISTER_UPLOAD])
        .gives(Object(&[("success", "flag"), ("item", "object")])),
    Operation::new("uploads", GetOrPost, "uploads/{itemId}", "uploadItem", "A file.")
        .gives(Object(&[("itemID", "text")])),
    Operation::new("uploads", Post, "uploads/{itemId}/uploadPart", "uploadPart", "Sends a part of a file.")
        .takes(&[p::UPLOAD_PART])
        .gives(Object(&[("success", "flag"), ("partId", "text")])),
    Operation::new("uploads", GetOrPost, "uploads/{itemId}/parts", "uploadParts", "The parts of a file that are here.")
        .gives(Object(&[("parts", "array")])),
    Operation::new("uploads", Post, "uploads/{itemId}/commit", "commitUpload", "Puts the parts together.")
        .takes(&[p::COMMIT_UPLOAD])
        .gives(Object(&[("success", "flag"), ("item", "object")])),
    Operation::new("uploads", Post, "uploads/{itemId}/delete", "deleteUpload", "Deletes a file.")
        .gives(Object(&[("success", "flag")])),
    Operation::new(
        "books",
        GetOrPost,
        "batches",
        "batches",
        "What came in one request each: uploads of replicas, and edits of connected clients.",
    )
    .takes(&[p::PAGE, p::OF_REPLICA, p::CONNECTED, p::BATCHES])
    .gives(Object(&[("batches", "array"), ("exceededTransferLimit", "flag")])),
    Operation::new("books", GetOrPost, "batches/{number}", "batch", "A batch, and what became of each edit.")
        .takes(&[p::PAGE, p::OF_FEATURE, p::OUTCOME])
        .gives(Object(&[("batchId", "integer"), ("receipts", "array")])),
    Operation::new("books", Post, "batches/{number}/undo", "undoBatch", "Undoes a batch.")
        .takes(&[p::FORCE, p::PREVIEW]),
    Operation::new("books", GetOrPost, "replicas/{replicaId}/batches", "uploadsOfReplica", "The uploads of a replica.")
        .takes(&[p::PAGE])
        .gives(Object(&[("replicaID", "text"), ("batches", "array"), ("exceededTransferLimit", "flag")])),
    Operation::new(
        "books",
        GetOrPost,
        "replicas/{replicaId}/batches/{number}",
        "uploadOfReplica",
        "An upload, and what became of each edit.",
    )
    .takes(&[p::PAGE, p::OF_FEATURE, p::OUTCOME])
    .gives(Object(&[("replicaID", "text")])),
    Operation::new("books", Post, "replicas/{replicaId}/batches/{number}/undo", "undoUpload", "Undoes an upload.")
        .takes(&[p::FORCE, p::PREVIEW]),
    Operation::new(
        "books",
        GetOrPost,
        "replicas/{replicaId}/verify",
        "verify",
        "Counts and checksums of what a replica should hold.",
    )
    .takes(&[p::VERIFY])
    .gives(Object(&[("replicaID", "text"), ("serverGen", "integer"), ("layers", "array")])),
    Operation::new(
        "books",
        GetOrPost,
        "replicas/{replicaId}/explain",
        "explain",
        "Why a replica holds a feature, or does not.",
    )
    .takes(&[p::THIS_FEATURE])
    .gives(Object(&[("replicaID", "text"), ("reasons", "array")])),
    Operation::new("books", GetOrPost, "rejectedEdits", "rejectedEdits", "Refused edits.")
        .takes(&[q::REFUSED_FORMATS, p::PAGE, p::OF_REPLICA, p::CONNECTED, p::OF_FEATURE, p::STATE])
        .gives(Object(&[("rejectedEdits", "array"), ("exceededTransferLimit", "flag")])),
    Operation::new("books", GetOrPost, "rejectedEdits/{number}", "rejectedEdit", "A refused edit."),
    Operation::new("books", Post, "rejectedEdits/{number}/apply", "applyRejectedEdit", "Applies a refused edit.")
        .takes(&[p::CORRECTION])
        .gives(Object(&[("rejectedEditId", "integer"), ("state", "text"), ("success", "flag")])),
    Operation::new("books", Post, "rejectedEdits/{number}/dismiss", "dismissRejectedEdit", "Dismisses a refused edit.")
        .gives(Object(&[("rejectedEditId", "integer"), ("state", "text"), ("success", "flag")])),
    Operation::new("books", GetOrPost, "conflicts", "conflicts", "What was overwritten unseen.")
        .takes(&[p::PAGE, p::OF_REPLICA, p::OF_FEATURE, p::CONFLICTS])
        .gives(Object(&[("conflicts", "array"), ("exceededTransferLimit", "flag")])),
    Operation::new("books", GetOrPost, "conflicts/{number}", "conflict", "A conflict, with its three versions."),
    Operation::new("books", Post, "conflicts/{number}/restore", "restoreConflict", "Puts back what was overwritten.")
        .takes(&[p::FORCE])
        .gives(Object(&[("conflictId", "integer"), ("success", "flag")])),
    Operation::new(
        "console",
        GetOrPost,
        "/arcgis/rest/admin/health",
        "adminHealth",
        "How the server, its database and its services are doing, with verdicts and what to do.",
    )
    .gives(Object(&[("verdict", "text"), ("checks", "array"), ("services", "array"), ("expiryPolicy", "object")])),
    Operation::new(
        "console",
        GetOrPost,
        "/arcgis/rest/admin/settings",
        "adminSettings",
        "The settings, without secrets.",
    )
    .gives(Object(&[("settings", "array")])),
    Operation::new(
        "console",
        GetOrPost,
        "/arcgis/rest/admin/pulse",
        "adminPulse",
        "A text that changes whenever something changes that the console shows; cheap to ask for.",
    )
    .gives(Object(&[("pulse", "text")])),
    Operation::new(
        "console",
        GetOrPost,
        "/arcgis/rest/admin/tables",
        "adminTables",
        "The tables of the database: which are published, which can be, and what that adds to them.",
    )
    .takes(&[p::PAGE, c::TABLES])
    .gives(Object(&[("tables", "array"), ("exceededTransferLimit", "flag")])),
    Operation::new(
        "console",
        Post,
        "/arcgis/rest/admin/tables/publish",
        "adminPublish",
        "Makes a table a layer of a service, or says what that would do.",
    )
    .takes(&[c::PUBLISH, p::PREVIEW])
    .gives(Object(&[("success", "flag"), ("service", "text"), ("layerId", "integer"), ("notices", "array")])),
    Operation::new(
        "console",
        Post,
        "/arcgis/rest/admin/tables/unpublish",
        "adminUnpublish",
        "Ends the publication of a layer, whose table and rows stay; or says what would be lost.",
    )
    .takes(&[c::UNPUBLISH, p::PREVIEW])
    .gives(Object(&[
        ("success", "flag"),
        ("service", "text"),
        ("layerId", "integer"),
        ("lost", "array"),
        ("kept", "array"),
    ])),
    Operation::new(
        "console",
        GetOrPost,
        "/arcgis/rest/admin/replicas",
        "adminReplicas",
        "The replicas of all services: who holds what, how far behind, and what that keeps.",
    )
    .takes(&[p::PAGE, c::REPLICAS])
    .gives(Object(&[("replicas", "array"), ("count", "integer"), ("exceededTransferLimit", "flag")])),
    Operation::new(
        "console",
        GetOrPost,
        "/arcgis/rest/admin/replicas/lag",
        "adminLag",
        "How far replicas lag on the line of their service's history.",
    )
    .takes(&[c::SERVICE])
    .gives(Object(&[("services", "array")])),
    Operation::new(
        "console",
        Post,
        "/arcgis/rest/admin/replicas/unregister",
        "adminUnregister",
        "Forgets several replicas, or says what that would do.",
    )
    .takes(&[c::REPLICA_IDS, p::PREVIEW]),
    Operation::new(
        "console",
        Post,
        "/arcgis/rest/admin/replicas/expire",
        "adminExpire",
        "Sets after how many days without a synchronization replicas expire.",
    )
    .takes(&[c::EXPIRE])
    .gives(Object(&[("success", "flag")])),
    Operation::new(
        "console",
        GetOrPost,
        "/arcgis/rest/admin/replicas/{replicaId}",
        "adminReplica",
        "A replica of whichever service.",
    )
    .gives(Object(&[("replicaID", "text"), ("service", "text"), ("state", "text"), ("layers", "array")])),
    Operation::new(
        "console",
        GetOrPost,
        "/arcgis/rest/admin/replicas/{replicaId}/timeline",
        "adminTimeline",
        "The last synchronizations of a replica, failed ones included.",
    )
    .takes(&[p::PAGE])
    .gives(Object(&[("synchronizations", "array"), ("exceededTransferLimit", "flag")])),
    Operation::new(
        "administration",
        Post,
        "/arcgis/rest/admin/services/{service}/FeatureServer/cleanupChangeTracking",
        "cleanupChangeTracking",
        "Forgets old changes, as far as no replica needs them.",
    )
    .takes(&[p::CLEAN_UP])
    .gives(Object(&[("success", "flag"), ("minServerGen", "integer")])),
];
