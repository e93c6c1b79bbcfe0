//! The documents about jobs, and the parameters that they keep.
//!
//! API reference: *Asynchronous operations*.

use serde_json::{Map, Value as Json, json};

use crate::{
    error::{Error, Result},
    model::{digest::hex, job::Job},
};

use super::{params::Params, replica::Transport, url};

/// Whether a request is to run as a job.
pub(crate) fn asynchronous(params: &Params) -> Result<bool> {
    params.flag(&["async"], false)
}

/// The parameters of a request as a job keeps them: without tokens, which must not lie about.
pub(crate) fn kept_parameters(params: &Params) -> Result<String> {
    let pairs: Vec<&(String, String)> =
        params.pairs().iter().filter(|(name, _)| !name.trim().eq_ignore_ascii_case("token")).collect();
    serde_json::to_string(&pairs).map_err(|error| Error::internal("keeping the parameters of a job", error))
}

/// The parameters that a job kept.
pub(crate) fn parameters(kept: &str) -> Result<Params> {
    let pairs: Vec<(String, String)> =
        serde_json::from_str(kept).map_err(|error| Error::internal("reading the parameters of a job", error))?;
    let mut params = Params::new();
    for (name, value) in pairs {
        params.push(name, value);
    }
    Ok(params)
}

/// The status resource of a job.
pub(crate) fn status(job: &Job, service_name: &str) -> Result<Json> {
    let mut shown: Map<String, Json> = match &job.head {
        Some(head) => read(head)?,
        None => Map::from_iter([("transportType".to_owned(), Transport::Url.name().into())]),
    };
    let result = job.result.as_ref();
    // Clients want the member even where there is no file, and its emptiness says so.
    let result_url = result.map(|result| url::result_file(&job.base_url, service_name, result.export, result.format));
    shown.insert("resultUrl".to_owned(), result_url.unwrap_or_default().into());
    if let Some(size_bytes) = result.and_then(|result| result.size_bytes) {
        shown.insert("resultSize".to_owned(), size_bytes.into());
    }
    if let Some(sha256) = result.and_then(|result| result.sha256.as_ref()) {
        shown.insert("resultSha256".to_owned(), hex(sha256).into());
    }
    shown.insert("submissionTime".to_owned(), job.submitted_ms.into());
    shown.insert("lastUpdatedTime".to_owned(), job.updated_ms.into());
    shown.insert("status".to_owned(), job.state.name().into());
    if let Some(error) = &job.error {
        shown.insert("error".to_owned(), read(error)?.into());
    }
    if let Some(progress) = &job.progress {
        shown.insert("progress".to_owned(), read(progress)?.into());
    }
    shown.insert("jobId".to_owned(), job.id.to_string().into());
    shown.insert("operation".to_owned(), job.operation.name().into());
    shown.insert("attempts".to_owned(), job.attempts.into());
    Ok(Json::Object(shown))
}

/// An element of the list of jobs.
pub(crate) fn list_item(job: &Job) -> Json {
    json!({
        "jobId": job.id.to_string(),
        "operation": job.operation.name(),
        "status": job.state.name(),
        "submissionTime": job.submitted_ms,
        "lastUpdatedTime": job.updated_ms,
    })
}

/// The progress of a job as it is kept: the layer whose rows are being written, how many of all layers were, and how much of
/// them has been converted to another format, in percent.
pub(crate) fn progress((layer, n_rows): (i32, u64), converted: Option<u64>) -> String {
    let mut shown = json!({"layer": layer, "rows": n_rows});
    if let Some(converted) = converted {
        shown["converted"] = converted.into();
    }
    shown.to_string()
}

fn read(text: &str) -> Result<Map<String, Json>> {
    serde_json::from_str(text).map_err(|error| Error::internal("reading a job", error))
}
