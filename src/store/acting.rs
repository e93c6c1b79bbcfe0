//! On whose behalf transactions are made, which the triggers of the audit log read.

use serde_json::json;

use crate::model::{actor::Actor, digest::hex};

tokio::task_local! {
    /// How a transaction begins that is made on behalf of somebody.
    static BEGIN: String;
}

/// Does `work` on behalf of `actor`: every transaction in it says so to the database. Work that is handed to another task is not in it.
pub(crate) fn acting<F: Future>(actor: &Actor, work: F) -> impl Future<Output = F::Output> + use<F> {
    let said = json!({"actor": actor.name, "origin": actor.origin, "request": actor.request_id}).to_string();
    // In one message with the beginning, so that it costs no round trip; which takes no parameters, hence digits only.
    let begin = format!("begin; set local syncline.actor = '{}'", hex(said.as_bytes()));
    // What requests do is large, and would be moved about with every future that holds it.
    BEGIN.scope(begin, Box::pin(work))
}

/// How a transaction that writes begins.
pub(super) fn begin() -> String {
    BEGIN.try_with(Clone::clone).unwrap_or_else(|_| "begin".to_owned())
}
