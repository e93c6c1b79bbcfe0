//! The audit log, for administrators.

use crate::{error::Result, wire::audit};

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
