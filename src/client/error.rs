//! The ways in which the offline client fails, each with what to do next.

use std::io;

/// Why a command of the client did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command or the file is not what is needed; the same command will fail again.
    #[error("{0}")]
    Unfit(String),
    /// The server cannot be reached, or the line broke. Nothing is lost; the same command goes on.
    #[error("{0}")]
    Unreachable(String),
    /// The server answered with an error.
    #[error("the server says: {message}{}", said(.code, .details))]
    Refused {
        /// The API's number.
        code: i64,
        /// The server's words.
        message: String,
        /// More of them.
        details: Vec<String>,
    },
    /// The server answered something that is not the API's.
    #[error("the server's answer is not understood: {0}")]
    Protocol(String),
    /// A file or the database in it cannot be read or written.
    #[error("{0}")]
    File(String),
}

/// The result of what a command of the client asks for.
pub(crate) type Result<T> = std::result::Result<T, Error>;

fn said(code: &i64, details: &[String]) -> String {
    let more: String = details.iter().filter(|detail| !detail.is_empty()).map(|detail| format!("; {detail}")).collect();
    format!("{more} (code {code})")
}

impl Error {
    /// A failure to read or write a file beside the database.
    pub(crate) fn file(path: &std::path::Path, error: &io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::StorageFull => Error::File(format!(
                "the disk of {} is full; nothing is lost: make room and run the command again",
                path.display()
            )),
            _ => Error::File(format!("{}: {error}", path.display())),
        }
    }

    /// Whether the server has said for good that it will not do it: repeating the same request makes no sense.
    pub(crate) fn is_final(&self) -> bool {
        // 409: somebody else synchronizes; 498, 499: who asks must sign in; 500 and above: the server's own trouble.
        matches!(self, Error::Refused { code, .. } if !matches!(code, 409 | 429 | 498 | 499 | 500..=599))
    }

    /// The server's words about one edit, where it refused the whole request for it.
    pub(crate) fn words(&self) -> String {
        match self {
            Error::Refused { message, details, .. } => {
                std::iter::once(message).chain(details).cloned().collect::<Vec<_>>().join("; ")
            }
            other => other.to_string(),
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::File(
                "another program is writing to the file; save or end editing there, and run the command again"
                    .to_owned(),
            ),
            Some(ErrorCode::DiskFull) => {
                Error::File("the disk is full; nothing is lost: make room and run the command again".to_owned())
            }
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Error::File(format!("the file cannot be opened for writing: {error}"))
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Error::File(format!("the file is damaged, or not a GeoPackage: {error}"))
            }
            _ => Error::File(format!("the file cannot be used: {error}")),
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Error {
        Error::Protocol(error.to_string())
    }
}
