//! What the database expects of a statement before it runs.

use serde_json::Value as Json;
use sqlx::Row as _;

use crate::{
    error::Result,
    model::{filter::Filter, layer::Layer},
    sql::{fragment::Fragment, select},
};

use super::session::Snapshot;

/// What a statement is thought to give.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Estimate {
    /// How many rows.
    pub(crate) n_rows: u64,
    /// How many bytes the values of a row have in the database; of what is kept outside of its row, only the pointer.
    pub(crate) row_bytes: u64,
    /// What it costs, in units of reading a page.
    pub(crate) cost: f64,
}

impl Snapshot<'_> {
    /// What the planner expects, which costs no look at any row. It may be wrong by much, mostly for conditions that nobody
    /// made statistics for.
    pub(crate) async fn estimate(&mut self, statement: Fragment) -> Result<Estimate> {
        let row = self.one(statement.explained()).await?;
        let plan: Json = row.try_get(0)?;
        let number = |name: &str| plan.pointer(&format!("/0/Plan/{name}")).and_then(Json::as_f64).unwrap_or_default();
        // Saturates, which is right for what has no bounds.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate, never below zero")]
        Ok(Estimate {
            n_rows: number("Plan Rows") as u64,
            row_bytes: number("Plan Width") as u64,
            cost: number("Total Cost"),
        })
    }

    /// What the planner expects a statement to cost, in its own units.
    pub(crate) async fn cost(&mut self, statement: Fragment) -> Result<f64> {
        let plan: Json = self.one(statement.explained()).await?.try_get(0)?;
        Ok(plan.pointer("/0/Plan/Total Cost").and_then(Json::as_f64).unwrap_or_default())
    }

    /// How many bytes the attachments through a filter have together.
    pub(crate) async fn content_bytes(&mut self, table: &Layer, filter: &Filter) -> Result<u64> {
        let sum: i64 = self.one(select::content_bytes(table, filter)).await?.try_get(0)?;
        Ok(u64::try_from(sum).unwrap_or_default())
    }
}
