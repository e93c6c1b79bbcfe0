//! Which rows an operation is to change: the parameters of deleteFeatures and calculate.
//!
//! API reference: *Delete Features*, *Calculate*. Conditions that are given together must all be true.

use crate::{
    error::{Error, Result},
    model::{layer::Layer, query::Choice},
};

use super::{params::Params, query};

/// The rows that an operation is to change: all of them if nothing is said.
#[derive(Debug, Default)]
pub(crate) struct SelectedRows {
    /// The rows.
    pub(crate) choice: Choice,
    /// Whether there is a where clause, which may be one that every row passes.
    pub(crate) says_where: bool,
}

impl SelectedRows {
    /// Reads them.
    pub(crate) fn parse(params: &Params, layer: &Layer) -> Result<SelectedRows> {
        // Passed over, it would let more rows be changed than were meant.
        let refused = |name, problem: &str| Err(Error::invalid(name, format!("{problem}; nothing was changed")));
        if layer.shape.is_none() && params.text("geometry").is_some() {
            return refused("geometry", &format!("layer {} is a table and has no geometry", layer.id));
        }
        let choice = query::choice(params, layer)?;
        if choice.moment.is_some() {
            return refused("historicMoment", "what was cannot be changed; leave it out");
        }
        Ok(SelectedRows { choice, says_where: params.text("where").is_some() })
    }

    /// Whether nothing was said.
    pub(crate) fn is_all(&self) -> bool {
        self.is_ids() && self.choice.object_ids.is_none()
    }

    /// Whether nothing but object ids was said.
    pub(crate) fn is_ids(&self) -> bool {
        let Choice { clauses: _, object_ids: _, global_ids, area, period, moment: _, transformation: _ } = &self.choice;
        !self.says_where && global_ids.is_none() && area.is_none() && period.is_none()
    }
}
