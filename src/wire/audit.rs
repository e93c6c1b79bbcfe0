//! The audit log as a resource: its parameters and its document.

use serde_json::{Value as Json, json};

use crate::{
    error::{Error, Result},
    model::{
        audit::{Entry, Filter},
        digest::hex,
        value::{brief, iso_instant},
    },
};

use super::{books, params::Params};

/// Reads which entries a request is about.
pub(crate) fn filter(params: &Params) -> Result<Filter> {
    let text = |name| params.text(name).map(str::to_owned);
    let moment = |name| params.text(name).map(|text| moment(name, text)).transpose();
    let (offset, limit) = books::page(params)?;
    Ok(Filter {
        since_ms: moment("since")?,
        until_ms: moment("until")?,
        actor: text("actor"),
        action: text("action"),
        service: text("service"),
        offset,
        limit,
    })
}

/// A page of the log. `more`: there are older ones.
pub(crate) fn document(entries: &[Entry], more: bool) -> Result<Json> {
    let shown = entries.iter().map(entry).collect::<Result<Vec<_>>>()?;
    Ok(json!({"entries": shown, "exceededTransferLimit": more}))
}

/// An entry.
pub(crate) fn entry(entry: &Entry) -> Result<Json> {
    let detail: Json =
        serde_json::from_str(&entry.detail).map_err(|error| Error::internal("reading the audit log", error))?;
    Ok(json!({
        "id": entry.id,
        "time": entry.at_ms,
        "actor": entry.actor,
        "origin": entry.origin,
        "requestId": entry.request_id,
        "action": entry.action,
        "service": entry.service,
        "subject": entry.subject,
        "detail": detail,
        "position": entry.seal.as_ref().map(|seal| seal.position),
        "digest": entry.seal.as_ref().map(|seal| hex(&seal.digest)),
    }))
}

/// Reads a moment: milliseconds since 1970, or a date as people write it, in UTC unless it says otherwise.
pub(crate) fn moment(name: &'static str, text: &str) -> Result<i64> {
    let read = text.trim().parse().ok().or_else(|| iso_instant(text.trim()).map(|microseconds| microseconds / 1000));
    // What PostgreSQL has as a time.
    read.filter(|ms: &i64| (-62_135_596_800_000..=253_402_300_799_999).contains(ms)).ok_or_else(|| {
        Error::invalid(
            name,
            format!(
                "'{}' is not a date: milliseconds since 1970 (UTC), YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ",
                brief(text)
            ),
        )
    })
}
