//! Where edits come from.

/// The API's operations that bring edits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditOperation {
    /// synchronizeReplica
    SynchronizeReplica,
    /// applyEdits, of a layer or of the service
    ApplyEdits,
    /// addFeatures
    AddFeatures,
    /// updateFeatures
    UpdateFeatures,
    /// deleteFeatures
    DeleteFeatures,
    /// calculate
    Calculate,
    /// truncate
    Truncate,
    /// append
    Append,
    /// addAttachment
    AddAttachment,
    /// updateAttachment
    UpdateAttachment,
    /// deleteAttachments
    DeleteAttachments,
}

impl EditOperation {
    /// All that there are.
    pub const ALL: &[EditOperation] = &[
        EditOperation::SynchronizeReplica,
        EditOperation::ApplyEdits,
        EditOperation::AddFeatures,
        EditOperation::UpdateFeatures,
        EditOperation::DeleteFeatures,
        EditOperation::Calculate,
        EditOperation::Truncate,
        EditOperation::Append,
        EditOperation::AddAttachment,
        EditOperation::UpdateAttachment,
        EditOperation::DeleteAttachments,
    ];

    /// The API's spelling.
    pub fn name(self) -> &'static str {
        match self {
            EditOperation::SynchronizeReplica => "synchronizeReplica",
            EditOperation::ApplyEdits => "applyEdits",
            EditOperation::AddFeatures => "addFeatures",
            EditOperation::UpdateFeatures => "updateFeatures",
            EditOperation::DeleteFeatures => "deleteFeatures",
            EditOperation::Calculate => "calculate",
            EditOperation::Truncate => "truncate",
            EditOperation::Append => "append",
            EditOperation::AddAttachment => "addAttachment",
            EditOperation::UpdateAttachment => "updateAttachment",
            EditOperation::DeleteAttachments => "deleteAttachments",
        }
    }

    /// Reads the API's spelling, in any case.
    pub fn from_name(name: &str) -> Option<EditOperation> {
        EditOperation::ALL.iter().copied().find(|operation| operation.name().eq_ignore_ascii_case(name))
    }
}

/// How edits of a connected client came.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The operation that brought them.
    pub operation: EditOperation,
    /// The id under which the log has the request, or that of its job.
    pub request_id: String,
    /// Who sent them; empty as long as there are no accounts.
    pub user: String,
}

/// How much of what connected clients were refused is kept in a service.
#[derive(Clone, Copy, Debug)]
pub struct RefusedLimits {
    /// The most refused edits that may be open.
    pub edits: u64,
    /// The most bytes that they may take up together, with the files of attachments.
    pub bytes: u64,
}
