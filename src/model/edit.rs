//! Edits: what clients ask for, and what became of it.

use std::sync::Arc;

use super::{geometry::Geometry, id::GlobalId, layer::Layer, predicate::Expression, value::Value};

/// What an edit does to a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Puts a feature that the client made.
    Add,
    /// Changes a feature's named attributes or geometry.
    Update,
    /// Removes a feature.
    Delete,
}

impl Op {
    /// The name under which receipts store it.
    pub fn name(self) -> &'static str {
        match self {
            Op::Add => "add",
            Op::Update => "update",
            Op::Delete => "delete",
        }
    }

    /// The operation with this name.
    pub fn from_name(name: &str) -> Option<Op> {
        [Op::Add, Op::Update, Op::Delete].into_iter().find(|op| op.name() == name)
    }
}

/// What an edit does to a feature's geometry.
#[derive(Clone, Debug, PartialEq)]
pub enum GeometryEdit {
    /// It is not mentioned and stays as it is.
    Keep,
    /// It is emptied.
    Clear,
    /// It is replaced.
    Set(Geometry),
}

/// A well-formed edit of one feature.
#[derive(Clone, Debug)]
pub struct Edit {
    /// What to do.
    pub op: Op,
    /// Which feature.
    pub global_id: GlobalId,
    /// The attributes that are named, by their position in the layer's fields; ascending, each once.
    pub values: Vec<(usize, Value)>,
    /// The geometry.
    pub geometry: GeometryEdit,
    /// Attributes that it names and the layer does not have, with their values, as a JSON object.
    pub passed_over: Option<String>,
}

impl Edit {
    /// What it says about a field, if it names it.
    pub fn value(&self, field: usize) -> Option<&Value> {
        self.values.iter().find(|(named, _)| *named == field).map(|(_, value)| value)
    }
}

/// Edits of the attachments of a layer, as a client sends them: what they are to hold is yet to be stored.
#[derive(Clone, Debug)]
pub struct AttachmentEdits {
    /// The table of the attachments.
    pub layer: Arc<Layer>,
    /// The edits, in the order of [`LayerEdits::edits`].
    pub edits: Vec<AttachmentEdit>,
}

/// An edit of an attachment. Also if it is refused, what it brought is kept.
#[derive(Clone, Debug)]
pub struct AttachmentEdit {
    /// What is said of the attachment.
    pub edit: Result<Edit, Refusal>,
    /// Where its bytes come from.
    pub payload: Payload,
    /// What was said of it as it was sent, as a JSON object with `attributes`.
    pub sent: String,
}

/// Where the bytes of an attachment come from.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Nowhere: they stay as they are.
    Keep,
    /// They came with the edit.
    Data(Vec<u8>),
    /// They were uploaded before, under this id.
    Upload(String),
    /// They are kept already.
    Kept {
        /// Their SHA-256, as 64 hexadecimal digits.
        sha256: String,
        /// How many they are.
        size_bytes: u64,
    },
}

/// The edits of one layer in the order in which they are applied: adds, updates, deletes. An edit that could not be read
/// stands in its place as the refusal that it got.
#[derive(Clone, Debug)]
pub struct LayerEdits {
    /// The layer.
    pub layer: Arc<Layer>,
    /// The edits.
    pub edits: Vec<Result<Edit, Refusal>>,
}

/// Edits of one layer of which some name their feature by its object id, which is yet to be looked up.
#[derive(Clone, Debug, Default)]
pub struct DirectEdits {
    /// Adds, and edits by global id.
    pub ready: Vec<Result<Edit, Refusal>>,
    /// Edits by object id, if that could be read; their global id means nothing yet.
    pub by_object_id: Vec<(Option<i64>, Result<Edit, Refusal>)>,
}

/// An edit that is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// What it would have done.
    pub op: Op,
    /// Which feature, if that could be read.
    pub global_id: Option<GlobalId>,
    /// The row's object id, if the client used it to name the feature.
    pub object_id: Option<i64>,
    /// Why.
    pub error: EditError,
    /// What was sent, as JSON, if it could not be read and is to be kept.
    pub sent: Option<String>,
}

/// Why an edit was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EditError {
    /// The API's number.
    pub code: EditErrorCode,
    /// For the person who made the edit: names the field, the value and the rule.
    pub description: String,
}

/// The API's numbers for refused edits. Source: API reference, *Feature service error codes*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditErrorCode {
    /// Anything without a number of its own.
    Other,
    /// Null in a field that needs a value.
    NotNullable,
    /// Undone because another edit failed.
    RolledBack,
    /// Curves, which are not stored.
    TrueCurve,
    /// Somebody else's feature, which its owner alone may edit.
    NotOwner,
    /// Whoever sends it may not edit here.
    NotPermitted,
    /// The feature does not exist, or no longer.
    Missing,
    /// The geometry does not fit the layer.
    Geometry,
    /// A value does not fit its field.
    Value,
    /// An insert failed in the database.
    InsertFailed,
    /// A delete failed in the database.
    DeleteFailed,
    /// An update failed in the database.
    UpdateFailed,
    /// No global id.
    GlobalIdMissing,
    /// An empty or unreadable global id.
    GlobalIdEmpty,
    /// A value that another row has already.
    NotUnique,
    /// An attachment cannot be added.
    AttachmentAdd,
    /// An attachment cannot be changed.
    AttachmentUpdate,
    /// An attachment cannot be deleted.
    AttachmentDelete,
}

impl EditErrorCode {
    /// The number on the wire.
    pub fn number(self) -> i32 {
        match self {
            EditErrorCode::Other => 1000,
            EditErrorCode::NotNullable => 1001,
            EditErrorCode::RolledBack => 1003,
            EditErrorCode::TrueCurve => 1005,
            EditErrorCode::NotOwner => 1007,
            EditErrorCode::NotPermitted => 1013,
            EditErrorCode::Missing => 1011,
            EditErrorCode::Geometry => 1015,
            EditErrorCode::Value => 1016,
            EditErrorCode::InsertFailed => 1017,
            EditErrorCode::DeleteFailed => 1018,
            EditErrorCode::UpdateFailed => 1019,
            EditErrorCode::GlobalIdMissing => 1020,
            EditErrorCode::GlobalIdEmpty => 1021,
            EditErrorCode::NotUnique => 1022,
            EditErrorCode::AttachmentAdd => 1008,
            EditErrorCode::AttachmentUpdate => 1009,
            EditErrorCode::AttachmentDelete => 1010,
        }
    }

    /// The code with this number; anything unknown is [`EditErrorCode::Other`].
    pub fn from_number(number: i32) -> EditErrorCode {
        [
            EditErrorCode::NotNullable,
            EditErrorCode::RolledBack,
            EditErrorCode::TrueCurve,
            EditErrorCode::NotOwner,
            EditErrorCode::NotPermitted,
            EditErrorCode::Missing,
            EditErrorCode::Geometry,
            EditErrorCode::Value,
            EditErrorCode::InsertFailed,
            EditErrorCode::DeleteFailed,
            EditErrorCode::UpdateFailed,
            EditErrorCode::GlobalIdMissing,
            EditErrorCode::GlobalIdEmpty,
            EditErrorCode::NotUnique,
            EditErrorCode::AttachmentAdd,
            EditErrorCode::AttachmentUpdate,
            EditErrorCode::AttachmentDelete,
        ]
        .into_iter()
        .find(|code| code.number() == number)
        .unwrap_or(EditErrorCode::Other)
    }

    /// The code for an edit of a layer's features, or of attachments, that failed for no reason with a code of its own.
    pub fn failed(layer: &Layer, op: Op) -> EditErrorCode {
        match (layer.attached_to, op) {
            (None, Op::Add) => EditErrorCode::InsertFailed,
            (None, Op::Update) => EditErrorCode::UpdateFailed,
            (None, Op::Delete) => EditErrorCode::DeleteFailed,
            (Some(_), Op::Add) => EditErrorCode::AttachmentAdd,
            (Some(_), Op::Update) => EditErrorCode::AttachmentUpdate,
            (Some(_), Op::Delete) => EditErrorCode::AttachmentDelete,
        }
    }
}

/// What became of one edit.
#[derive(Clone, Debug, PartialEq)]
pub struct EditResult {
    /// What it was to do.
    pub op: Op,
    /// Which feature, if that could be read.
    pub global_id: Option<GlobalId>,
    /// The row's object id, if there is a row.
    pub object_id: Option<i64>,
    /// Whether the stored row may differ from what was sent: a default filled in, a trigger of the table.
    pub altered: bool,
    /// `None` if it was applied.
    pub error: Option<EditError>,
    /// What of an applied edit was passed over, see [`Edit::passed_over`].
    pub passed_over: Option<String>,
}

impl EditResult {
    /// Whether the edit was refused for a reason that undoes an all-or-nothing upload. An update of a feature that is gone
    /// does not: the client learns of the deletion in the same answer, and would repeat a rejected upload for ever.
    pub fn undoes_batch(&self) -> bool {
        self.error.as_ref().is_some_and(|error| error.code != EditErrorCode::Missing)
    }

    /// Why the edit undid an all-or-nothing upload, if it was this one and not another.
    pub fn fault(&self) -> Option<&EditError> {
        self.error.as_ref().filter(|error| self.undoes_batch() && error.code != EditErrorCode::RolledBack)
    }
}

impl From<Refusal> for EditResult {
    fn from(refusal: Refusal) -> EditResult {
        let Refusal { op, global_id, object_id, error, .. } = refusal;
        EditResult { op, global_id, object_id, altered: false, error: Some(error), passed_over: None }
    }
}

/// What a field of many features is set to.
#[derive(Clone, Debug)]
pub enum Assigned {
    /// The same for all.
    Value(Value),
    /// What comes out for each of them.
    Computed(Expression),
}

/// In which order the layers of a request are edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// Layers whose rows others belong to first, deletes the other way round.
    ParentsFirst,
    /// Layer by layer, as the client lists them.
    AsGiven,
}

/// What happens to the other edits when one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailurePolicy {
    /// All or nothing.
    RollBack,
    /// The refused edit is skipped and reported, the others are applied.
    Skip,
}
