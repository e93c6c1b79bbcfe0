//! Errors as clients get them. The only place that knows their numbers.
//!
//! With `f=json` an error has HTTP status 200 and its code inside: clients look for the member `error` and take any other
//! status for a failure of the transport. API reference: *Error handling with sync operations*.

use serde_json::{Value as Json, json};

use crate::{
    error::{Error, chain},
    model::{edit::EditResult, id::LayerId},
};

const UNABLE: &str = "Unable to complete operation.";

/// The envelope of an error. What is not the client's fault is logged here, once, under `request_id`.
pub(crate) fn envelope(error: &Error, request_id: &str) -> Json {
    match error {
        Error::Unavailable(_) => tracing::warn!(error = chain(error), "a request could not be served"),
        Error::Internal { .. } => tracing::error!(error = chain(error), "a request failed"),
        _ => {}
    }
    let (code, message, details) = parts(error, request_id);
    json!({"error": {"code": code, "message": message, "details": details}})
}

/// The number of an error, its message and its details.
pub(crate) fn parts(error: &Error, request_id: &str) -> (i64, String, Vec<String>) {
    let text = error.to_string();
    match error {
        Error::InvalidParameter { .. } => (400, "Invalid or missing input parameters.".to_owned(), vec![text]),
        Error::NotFound(_) => (404, text, Vec::new()),
        Error::NotSupported(_) => (400, text, Vec::new()),
        Error::Forbidden(_) => (403, text, Vec::new()),
        Error::TokenRequired => {
            (499, text, vec!["send it as the parameter token, or as Authorization: Bearer".to_owned()])
        }
        Error::TokenInvalid => (498, text, Vec::new()),
        Error::SignInRefused { .. } => (400, "Unable to generate token.".to_owned(), vec![text]),
        Error::PostOnly { .. } => (405, "Method Not Allowed".to_owned(), vec![text]),
        Error::ReplicaNotFound { .. } | Error::ReplicaGone { .. } => {
            (400, UNABLE.to_owned(), vec!["Replica not found.".to_owned(), text])
        }
        Error::HistoryGone { .. }
        | Error::FutureGeneration { .. }
        | Error::LostGeneration { .. }
        | Error::RebaseNeeded { .. } => (400, UNABLE.to_owned(), vec![text]),
        Error::RolledBack { results, .. } => {
            let mut details = vec![text];
            details.extend(failures(results));
            (400, UNABLE.to_owned(), details)
        }
        Error::ReplicaBusy => (409, UNABLE.to_owned(), vec![text]),
        Error::OverQuota(_) => (429, UNABLE.to_owned(), vec![text]),
        Error::TooLarge { .. } => (413, "The request is too large.".to_owned(), vec![text]),
        Error::Unavailable(_) => (503, "The server cannot do this at the moment.".to_owned(), vec![text]),
        Error::Internal { .. } => (
            500,
            UNABLE.to_owned(),
            vec![format!("The server failed; its log has the reason under request {request_id}.")],
        ),
    }
}

/// `{"error":…}` details of an upload that was rolled back: the edits that failed, by layer.
fn failures(results: &[(LayerId, Vec<EditResult>)]) -> Vec<String> {
    let mut lines = Vec::new();
    for (layer, results) in results {
        for result in results {
            let Some(error) = result.fault() else { continue };
            let feature =
                result.global_id.map_or_else(|| "a feature without global id".to_owned(), |id| id.to_string());
            lines.push(format!(
                "layer {layer}, {} of {feature}: {} (code {})",
                result.op.name(),
                error.description,
                error.code.number()
            ));
        }
    }
    if let Some(first) = lines.first_mut() {
        first.insert_str(0, "the first to fail: ");
    }
    let n_more = lines.len().saturating_sub(50);
    lines.truncate(50);
    if n_more > 0 {
        lines.push(format!("and {n_more} more"));
    }
    lines
}
