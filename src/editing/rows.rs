//! One change of all rows that a condition selects: deleteFeatures by `where` or `geometry`, calculate, truncate.
//!
//! The rows are gone through some thousands at a time, so that memory does not grow with them. Results go to a spool.

use std::sync::Arc;

use serde_json::{Map, json};

use crate::{
    app::App,
    error::{Error, Result},
    model::{
        capability::Capability,
        edit::{Assigned, EditResult, FailurePolicy, Op},
        layer::{Layer, Service},
        provenance::EditOperation,
    },
    query,
    replica::{Run, answer::Answer},
    sql::selection::Selection,
    store::{Session, WriteTx},
    sync::{
        connected::ByCondition,
        selected::{Walk, calculate_next, delete_next},
    },
    wire::{
        apply_edits::{policy, refuse_unsupported},
        calculate::CalculateRequest,
        edits::result_json,
        params::Params,
        selected::SelectedRows,
    },
};

use super::{Outcome, commit, sent};

/// The most refused edits that an error lists.
const MAX_LISTED: usize = 100;

/// One change of many rows.
pub(crate) struct RowEdits {
    /// The layer whose rows they are.
    layer: Arc<Layer>,
    rows: SelectedRows,
    change: Change,
    operation: EditOperation,
    /// Whether the answer has the time of the edits.
    moment: bool,
}

enum Change {
    /// They go. With `results`, the answer says what became of each.
    Delete { policy: FailurePolicy, results: bool },
    /// Fields of theirs are set.
    Set(Vec<(usize, Assigned)>),
}

impl RowEdits {
    /// deleteFeatures.
    pub(super) fn delete(layer: Arc<Layer>, rows: SelectedRows, params: &Params) -> Result<RowEdits> {
        refuse_unsupported(params)?;
        layer.require(Capability::Delete).map_err(Error::NotSupported)?;
        let change = Change::Delete { policy: policy(params)?, results: params.flag(&["returnDeleteResults"], false)? };
        let moment = params.flag(&["returnEditMoment"], false)?;
        Ok(RowEdits { layer, rows, change, operation: EditOperation::DeleteFeatures, moment })
    }

    /// calculate.
    pub(super) fn calculate(layer: Arc<Layer>, request: CalculateRequest) -> RowEdits {
        let CalculateRequest { rows, assignments, moment } = request;
        RowEdits { layer, rows, change: Change::Set(assignments), operation: EditOperation::Calculate, moment }
    }

    /// truncate: all rows go, or all attachments. Rows are deleted one by one rather than with TRUNCATE, which would be seen
    /// by snapshots from before it.
    pub(super) fn truncate(layer: Arc<Layer>, params: &Params) -> Result<RowEdits> {
        let attachments_only = params.flag(&["attachmentOnly"], false)?;
        let needed = if attachments_only { Capability::Update } else { Capability::Delete };
        layer.require(needed).map_err(Error::NotSupported)?;
        let layer = match attachments_only {
            false => layer,
            true => layer.attachments.clone().ok_or_else(|| {
                Error::invalid("attachmentOnly", format!("the features of layer {} have no attachments", layer.id))
            })?,
        };
        let change = Change::Delete { policy: FailurePolicy::RollBack, results: false };
        let rows = SelectedRows::default();
        Ok(RowEdits { layer, rows, change, operation: EditOperation::Truncate, moment: false })
    }

    /// Makes the change.
    pub(super) async fn apply(&self, app: &App, session: &mut Session, service: &Service, run: &Run) -> Result<Answer> {
        let reach = {
            let mut tx = session.read(service).await?;
            let reach = query::reach(&mut tx, &self.layer, &self.rows.choice, None).await?;
            tx.end().await?;
            reach
        };
        let selection = Selection { choice: Some(&self.rows.choice), reach: reach.as_ref(), past: None };
        let walk = Walk::new(&self.layer, selection);
        let mut tx = session.write(service.key, None).await?;
        let moment = match self.moment {
            true => Some(tx.moment().await?),
            false => None,
        };
        match &self.change {
            Change::Set(assignments) => {
                let outcome = self.set(app, &mut tx, service, (assignments, walk), moment, run).await?;
                commit(app, tx, service, outcome, run).await
            }
            Change::Delete { policy, results } => {
                let deleted = self.remove(app, &mut tx, service, walk, *results, run).await?;
                let mut outcome = deleted.outcome;
                let member = moment.map(|moment| format!(",\"editMoment\":{moment}")).unwrap_or_default();
                let end = if *results { format!("]{member}}}") } else { format!("{{\"success\":true{member}}}") };
                outcome.document.buffer().extend_from_slice(end.as_bytes());
                if *policy == FailurePolicy::RollBack && outcome.n_refused > 0 {
                    tx.roll_back().await?;
                    let first = deleted.refused.first().and_then(|first| first.error.as_ref());
                    return Err(Error::NotSupported(format!(
                        "Operation rolled back. {} of {} features could not be deleted, and rollbackOnFailure is true; nothing was deleted. \
                         The first to fail: {}",
                        outcome.n_refused,
                        outcome.n_refused + outcome.n_applied,
                        first.map_or("", |error| error.description.as_str())
                    )));
                }
                if !*results && outcome.n_refused > 0 {
                    // Nothing else would tell which are left.
                    let refused: Vec<_> = deleted.refused.iter().map(result_json).collect();
                    let n_left = outcome.n_refused;
                    let mut document = app.files.spool(&run.progress);
                    let answer = json!({"success": false, "deleteResults": refused, "error": {
                        "code": 400, "message": "Unable to complete operation.",
                        "details": [format!("{n_left} features could not be deleted; the others are")],
                    }});
                    document.buffer().extend_from_slice(answer.to_string().as_bytes());
                    outcome.document = document;
                }
                commit(app, tx, service, outcome, run).await
            }
        }
    }

    async fn set(
        &self,
        app: &App,
        tx: &mut WriteTx<'_>,
        service: &Service,
        (assignments, mut walk): (&[(usize, Assigned)], Walk<'_>),
        moment: Option<i64>,
        run: &Run,
    ) -> Result<Outcome> {
        let sent = sent(app, service, run, self.operation, false);
        let mut batch = ByCondition::new(service, &self.layer, Op::Update, &sent);
        let mut n_set = 0;
        while let Some(n) = calculate_next(tx, &self.layer, assignments, &mut walk).await? {
            n_set += n;
        }
        batch.changed(n_set);
        batch.end(tx).await?;
        let mut answer = json!({"success": true, "updatedFeatureCount": n_set});
        if let Some(moment) = moment {
            answer["editMoment"] = moment.into();
        }
        let mut document = app.files.spool(&run.progress);
        document.buffer().extend_from_slice(answer.to_string().as_bytes());
        let head = Map::from_iter([("updatedFeatureCount".to_owned(), n_set.into())]);
        Ok(Outcome { document, head, n_applied: n_set, n_refused: 0 })
    }

    async fn remove(
        &self,
        app: &App,
        tx: &mut WriteTx<'_>,
        service: &Service,
        mut walk: Walk<'_>,
        results: bool,
        run: &Run,
    ) -> Result<Removed> {
        let mut document = app.files.spool(&run.progress);
        let (mut n_applied, mut n_refused, mut refused) = (0, 0, Vec::new());
        if results {
            document.buffer().extend_from_slice(b"{\"deleteResults\":[");
        }
        let mut first = true;
        let sent = sent(app, service, run, self.operation, false);
        let mut batch = ByCondition::new(service, &self.layer, Op::Delete, &sent);
        loop {
            let some = delete_next(tx, service, &self.layer, &mut walk).await?;
            if some.is_empty() {
                break;
            }
            batch.deleted(tx, &self.layer, &some).await?;
            for result in some {
                if results {
                    document.buffer().extend_from_slice(if first { b"" } else { b"," });
                    document.buffer().extend_from_slice(result_json(&result).to_string().as_bytes());
                    first = false;
                }
                match result.error {
                    None => n_applied += 1,
                    Some(_) => {
                        n_refused += 1;
                        if refused.len() < MAX_LISTED {
                            refused.push(result);
                        }
                    }
                }
            }
            document.relieve().await?;
        }
        batch.end(tx).await?;
        let outcome = Outcome { document, head: Map::new(), n_applied, n_refused };
        Ok(Removed { outcome, refused })
    }
}

struct Removed {
    outcome: Outcome,
    /// The first of those that could not be deleted.
    refused: Vec<EditResult>,
}
