//! The ways in which a request fails. A closed list; knows no HTTP.
//!
//! An edit that fails is not here: it is data, see [`crate::model::edit::EditResult`].

use crate::model::{edit::EditResult, id::Generation, value::brief, vertices};

/// Why a request failed. A variant exists where a client would act differently.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A parameter cannot be read or makes no sense.
    #[error("'{name}' parameter is invalid: {problem}")]
    InvalidParameter {
        /// The parameter, in the API's spelling.
        name: &'static str,
        /// What is wrong with it and what is accepted.
        problem: String,
    },
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The operation or a capability is not there.
    #[error("{0}")]
    NotSupported(String),
    /// Nobody may do this here.
    #[error("{0}")]
    Forbidden(String),
    /// Whoever asks must say who they are.
    #[error("Token Required")]
    TokenRequired,
    /// Whoever asks is not who may do this.
    #[error("Invalid Token")]
    TokenInvalid,
    /// A user name and a password are not those of a user who may sign in; or there were too many mistakes to look at them.
    #[error("{}", match .retry_seconds {
        None => "Invalid username or password.".to_owned(),
        Some(seconds) => format!("Too many failed attempts; try again in {seconds} seconds."),
    })]
    SignInRefused {
        /// How long to wait before the next attempt, if this one was not looked at.
        retry_seconds: Option<u64>,
    },
    /// A read where the API wants a POST.
    #[error("{operation} changes data and takes POST requests only")]
    PostOnly {
        /// The operation.
        operation: &'static str,
    },
    /// The replica does not exist, or no longer.
    #[error("the replica '{}' is not registered with this service; create a new one", brief(.id))]
    ReplicaNotFound {
        /// The id as the client sent it.
        id: String,
    },
    /// The replica was unregistered, and edits came nevertheless.
    #[error(
        "the replica '{}' is no longer registered with this service; create a new one. {what}", brief(.id)
    )]
    ReplicaGone {
        /// The id as the client sent it.
        id: String,
        /// What became of the edits.
        what: String,
    },
    /// The client's generation is older than the history that is kept.
    #[error(
        "the changes since generation {presented} are no longer kept (history starts at {history_from}); \
         synchronize with syncDirection=snapshot, or create the replica again. Edits can still be uploaded with syncDirection=upload"
    )]
    HistoryGone {
        /// What the client has.
        presented: Generation,
        /// Where the kept history starts.
        history_from: Generation,
    },
    /// The client's generation has never been.
    #[error(
        "generation {presented} lies in the future of this service, whose newest is {current}; the number is not of this \
         service or the service was restored to an earlier state. Synchronize with syncDirection=snapshot, or create the replica again"
    )]
    FutureGeneration {
        /// What the client claims to have.
        presented: Generation,
        /// The newest generation of the service.
        current: Generation,
    },
    /// The client's generation was given before the database was set back in time.
    #[error(
        "generation {presented} was given before the database was restored from a back-up or taken over by a standby, and what came \
         before it is lost; synchronize with syncDirection=snapshot, or create the replica again. Edits can still be uploaded with syncDirection=upload"
    )]
    LostGeneration {
        /// What the client has.
        presented: Generation,
    },
    /// The two sides of a replica between servers cannot go on from what they know of each other.
    #[error(
        "the two sides of replica {replica} need to be re-based: {why}. Take a snapshot of one side (synchronizeReplica with \
         syncDirection=snapshot, transportType=esriTransportTypeEmbedded, returnAttachmentsDataByUrl=false) and send it to importReplica of the \
         other with rebase=true, or give it to syncline replicas import --rebase; best, the side that was restored takes the other's. Edits that \
         were not sent yet stay as they are"
    )]
    RebaseNeeded {
        /// The replica.
        replica: crate::model::id::ReplicaId,
        /// Why.
        why: String,
    },
    /// An all-or-nothing upload with a refused edit.
    #[error("Operation rolled back. {} of {} edits failed and rollbackOnFailure is true; nothing was applied",
        .results.iter().flat_map(|(_, r)| r).filter(|r| r.fault().is_some()).count(),
        .n_before + .results.iter().map(|(_, r)| r.len()).sum::<usize>())]
    RolledBack {
        /// How many edits came before, of which none was refused.
        n_before: usize,
        /// What became of each of the others, by layer.
        results: Vec<(crate::model::id::LayerId, Vec<EditResult>)>,
    },
    /// Another synchronization of the same replica has not finished.
    #[error("another synchronization of this replica is still running; try again in a moment")]
    ReplicaBusy,
    /// Whoever asks has as much of something as one may have.
    #[error("{0}")]
    OverQuota(String),
    /// Something is larger than what is taken.
    #[error("{what} is larger than the limit of {limit}")]
    TooLarge {
        /// The thing.
        what: &'static str,
        /// The limit with its unit.
        limit: String,
    },
    /// The server cannot do it now.
    #[error("{0}")]
    Unavailable(String),
    /// A defect or a failure of the machine. The text is for the log only.
    #[error("{attempt}")]
    Internal {
        /// What was attempted.
        attempt: String,
        /// What went wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The result of what a request asks for.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Refuses the texts of a request that have more vertices than one may have, before any of them is read as geometry.
    pub(crate) fn check_vertices(texts: &[&str]) -> Result<()> {
        match vertices::are_too_many(texts) {
            false => Ok(()),
            true => Err(Error::TooLarge {
                what: "the number of vertices in the request",
                limit: format!(
                    "{}; nothing of it was read, send it in several parts",
                    vertices::MAX_VERTICES_OF_REQUEST
                ),
            }),
        }
    }

    /// A parameter that cannot be read or makes no sense.
    pub fn invalid(name: &'static str, problem: impl Into<String>) -> Error {
        Error::InvalidParameter { name, problem: problem.into() }
    }

    /// A failure that is not the client's.
    pub fn internal(attempt: impl Into<String>, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Internal { attempt: attempt.into(), source: source.into() }
    }
}

impl From<sqlx::Error> for Error {
    /// A database failure that no caller gave a meaning. What passes by waiting is said to be so.
    fn from(source: sqlx::Error) -> Error {
        match &source {
            sqlx::Error::PoolTimedOut => {
                Error::Unavailable("all database connections are in use; try again in a moment".to_owned())
            }
            sqlx::Error::Io(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Error::Unavailable("the database cannot be reached at the moment; try again".to_owned())
            }
            sqlx::Error::Database(database) if database.code().as_deref() == Some("57014") => {
                Error::Unavailable("the database took longer than the allowed time; ask for less at a time".to_owned())
            }
            sqlx::Error::Database(database) if database.code().as_deref() == Some("55P03") => Error::Unavailable(
                "another program keeps what is needed locked, for instance somebody who edits the same rows; try again later".to_owned(),
            ),
            // Not about the request: the same one succeeds when there is room again.
            sqlx::Error::Database(database) if database.code().as_deref().is_some_and(|code| code.starts_with("53")) => {
                tracing::error!(%database, "the database lacks room, memory or connections");
                Error::Unavailable(
                    "the database has no room, memory or connections left; nothing was stored, try again later".to_owned(),
                )
            }
            // Syncline's own tables do not lose columns.
            sqlx::Error::Database(database) if matches!(database.code().as_deref(), Some("42703" | "42P01")) => {
                tracing::error!(%database, "a published table is not what it was when it was published");
                Error::Unavailable(
                    "a published table or column was dropped or renamed; an administrator has to run syncline check, and syncline repair".to_owned(),
                )
            }
            _ => Error::internal("speaking to the database", source),
        }
    }
}

/// The whole chain of causes, for the log.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
