//! The audit log, for administrators.

use serde_json::json;

use crate::{
    error::{Error, Result},
    model::audit::Seal,
    wire::audit,
};

use super::{Call, respond::Reply};

/// What was done, the newest first.
pub(super) async fn list(call: &Call) -> Result<Reply> {
    let mut filter = audit::filter(&call.params)?;
    let limit = filter.limit;
    // One more than a page tells whether there is another.
    filter.limit += 1;
    let mut entries = call.app.store.audit(&filter).await?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = entries.len() > wanted;
    entries.truncate(wanted);
    Ok(Reply::Json(audit::document(&entries, more)?))
}

/// Whether nobody has changed or removed entries; and where the chain ends, to be noted elsewhere.
pub(super) async fn verify(call: &Call) -> Result<Reply> {
    let read = |text| {
        Seal::parse(text).ok_or_else(|| {
            Error::invalid(
                "expect",
                "it is not a position, a colon and 64 hexadecimal digits, as 'head' of an earlier answer has them",
            )
        })
    };
    let expected = call.params.text("expect").map(read).transpose()?;
    let found = call.app.store.verify_audit(expected.as_ref()).await?;
    Ok(Reply::Json(json!({
        "intact": found.problems.is_empty(), "entries": found.n_entries, "unsealed": found.n_unsealed,
        "head": found.head.as_ref().map(ToString::to_string), "problems": found.problems,
    })))
}
