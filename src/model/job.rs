//! Operations that run on their own while their client asks now and then.

use std::fmt;

use uuid::Uuid;

use super::{data_format::DataFormat, id::GlobalId};

/// The identity of a job: `j` and 32 digits; also accepted as a GUID in any spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobId(pub Uuid);

impl JobId {
    /// Reads an id. `None` if it is not one.
    pub fn parse(text: &str) -> Option<JobId> {
        GlobalId::parse(text.trim().trim_start_matches(['j', 'J'])).map(|id| JobId(id.0))
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "j{}", self.0.simple())
    }
}

/// What a job does. A closed list: each is an operation of the API that takes `async`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// createReplica
    CreateReplica,
    /// synchronizeReplica
    SynchronizeReplica,
    /// extractChanges
    ExtractChanges,
    /// applyEdits, of a layer or of the service
    ApplyEdits,
    /// deleteFeatures
    DeleteFeatures,
    /// calculate
    Calculate,
    /// truncate
    Truncate,
    /// append
    Append,
}

impl Operation {
    /// All that this version knows.
    pub const ALL: &[Operation] = &[
        Operation::CreateReplica,
        Operation::SynchronizeReplica,
        Operation::ExtractChanges,
        Operation::ApplyEdits,
        Operation::DeleteFeatures,
        Operation::Calculate,
        Operation::Truncate,
        Operation::Append,
    ];

    /// The API's spelling.
    pub fn name(self) -> &'static str {
        match self {
            Operation::CreateReplica => "createReplica",
            Operation::SynchronizeReplica => "synchronizeReplica",
            Operation::ExtractChanges => "extractChanges",
            Operation::ApplyEdits => "applyEdits",
            Operation::DeleteFeatures => "deleteFeatures",
            Operation::Calculate => "calculate",
            Operation::Truncate => "truncate",
            Operation::Append => "append",
        }
    }

    /// Reads the API's spelling.
    pub fn from_name(name: &str) -> Option<Operation> {
        Operation::ALL.iter().copied().find(|operation| operation.name() == name)
    }
}

/// How far a job is. The words are the API's; clients compare them letter by letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// It waits to be begun.
    Pending,
    /// Somebody works on it.
    InProgress,
    /// It did all that was asked.
    Completed,
    /// It did what was asked but for edits that were refused.
    CompletedWithErrors,
    /// It did nothing, and will not.
    Failed,
}

impl JobState {
    const ALL: &[JobState] = &[
        JobState::Pending,
        JobState::InProgress,
        JobState::Completed,
        JobState::CompletedWithErrors,
        JobState::Failed,
    ];

    /// The API's spelling.
    pub fn name(self) -> &'static str {
        match self {
            JobState::Pending => "Pending",
            JobState::InProgress => "InProgress",
            JobState::Completed => "Completed",
            JobState::CompletedWithErrors => "CompletedWithErrors",
            JobState::Failed => "Failed",
        }
    }

    /// Reads the API's spelling.
    pub fn from_name(name: &str) -> Option<JobState> {
        JobState::ALL.iter().copied().find(|state| state.name() == name)
    }
}

/// A job, as it is in the books.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What it does.
    pub operation: Operation,
    /// How far it is.
    pub state: JobState,
    /// How often it was begun.
    pub attempts: i32,
    /// How the addresses began under which the client reached the server.
    pub base_url: String,
    /// When it was asked for, in milliseconds since 1970.
    pub submitted_ms: i64,
    /// When something was last noted about it.
    pub updated_ms: i64,
    /// How far the current attempt is, as JSON.
    pub progress: Option<String>,
    /// Who asked for it; empty if nobody knows.
    pub owner: String,
    /// The members that describe the result, as JSON.
    pub head: Option<String>,
    /// Why it failed, as the API's error object in JSON.
    pub error: Option<String>,
    /// The result file, if there is one.
    pub result: Option<JobResult>,
}

/// The file with the result of a job.
#[derive(Clone, Debug)]
pub struct JobResult {
    /// Its id.
    pub export: Uuid,
    /// Its size; `None` once it has been deleted.
    pub size_bytes: Option<u64>,
    /// The SHA-256 of its bytes.
    pub sha256: Option<Vec<u8>>,
    /// Its form; JSON once it has been deleted.
    pub format: DataFormat,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_written_and_as_guids() {
        let id = JobId::parse("j0b4b17a86a2e4b3f9c1d2e3f4a5b6c7d").unwrap();
        assert_eq!(id.to_string(), "j0b4b17a86a2e4b3f9c1d2e3f4a5b6c7d");
        assert_eq!(JobId::parse("{0B4B17A8-6A2E-4B3F-9C1D-2E3F4A5B6C7D}"), Some(id));
        assert_eq!(JobId::parse("j1"), None);
    }

    #[test]
    fn names_lead_back_to_what_they_name() {
        for operation in Operation::ALL {
            assert_eq!(Operation::from_name(operation.name()), Some(*operation));
        }
        for state in JobState::ALL {
            assert_eq!(JobState::from_name(state.name()), Some(*state));
        }
    }
}
