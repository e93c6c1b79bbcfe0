//! Who may see and change which rows, as a layer's definition says it.

use super::{
    definition::{Definition, OwnershipControl, RowRule},
    guard::RowPolicy,
    layer::Layer,
};

/// Who may see and change which rows; see [`super::guard`].
#[derive(Clone, Debug, Default)]
pub struct RowRules {
    /// What depends on who added a row.
    pub ownership: Option<Ownership>,
    /// Who sees which rows; `None`: everybody all.
    pub rows: Option<Vec<RowRule>>,
    /// Whether what the definition says of it cannot be followed. Whoever meant to keep rows from somebody meant to.
    pub is_broken: bool,
}

impl RowRules {
    /// What a definition says of it, and what of that cannot be followed. `creator` is the field with the name of who added a row.
    pub(super) fn resolve(definition: &Definition, layer: &Layer, creator: Option<usize>) -> (RowRules, Vec<String>) {
        let mut rules = RowRules::default();
        let mut problems = Vec::new();
        if let Some(given) = &definition.ownership_based_access_control_for_features {
            match creator {
                None => problems.push(
                    "ownershipBasedAccessControlForFeatures: nothing tells who owns a row; name a creatorField in editFieldsInfo".to_owned(),
                ),
                Some(creator) => {
                    let (others, anonymous) = given.into();
                    rules.ownership = Some(Ownership { creator, others, anonymous });
                }
            }
        }
        if !definition.row_access.is_empty() {
            rules.rows = Some(definition.row_access.clone());
        }
        for (rule, number) in definition.row_access.iter().zip(1..) {
            let n_named =
                [rule.user.is_some(), rule.role.is_some(), rule.anonymous].iter().filter(|named| **named).count();
            if n_named != 1 {
                problems.push(format!(
                    "rowAccess: rule {number} names {n_named} of user, role and anonymous; it is for exactly one of them"
                ));
            }
            for (key, clause) in [("where", &rule.clause), ("check", &rule.check)] {
                if let Some(clause) = clause.as_deref().filter(|clause| !clause.trim().is_empty())
                    && let Err(problem) = RowPolicy::check(clause, &layer.fields)
                {
                    problems.push(format!("rowAccess: rule {number}: {key}: {problem}"));
                }
            }
        }
        rules.is_broken = !problems.is_empty();
        (rules, problems)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ownership.is_none() && self.rows.is_none() && !self.is_broken
    }
}

/// What depends on who added a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The field with their name.
    pub creator: usize,
    /// What users may do with rows of others.
    pub others: Allowance,
    /// What may be done by who did not sign in.
    pub anonymous: Allowance,
}

/// What may be done with rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Seeing them.
    pub query: bool,
    /// Changing them.
    pub update: bool,
    /// Deleting them.
    pub delete: bool,
}

impl From<&OwnershipControl> for (Allowance, Allowance) {
    /// What others and anonymous callers may do.
    fn from(given: &OwnershipControl) -> (Allowance, Allowance) {
        let others = Allowance {
            query: given.allow_others_to_query,
            update: given.allow_others_to_update,
            delete: given.allow_others_to_delete,
        };
        let anonymous = Allowance {
            query: given.allow_anonymous_to_query.unwrap_or(others.query),
            update: given.allow_anonymous_to_update.unwrap_or(others.update),
            delete: given.allow_anonymous_to_delete.unwrap_or(others.delete),
        };
        (others, anonymous)
    }
}
