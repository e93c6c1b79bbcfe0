//! Which replicas an administrator asks for, and in which order.

/// A selection of replicas.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Those of this service.
    pub service: Option<String>,
    /// Those of this owner.
    pub owner: Option<String>,
    /// Those in this state.
    pub state: Option<WantedState>,
    /// Those that have this text in their id, name, owner, client or service; in lower case.
    pub text: Option<String>,
    /// Those that have not synchronized for so many days.
    pub idle_days: Option<i64>,
    /// In which order.
    pub order: Order,
}

/// What is asked of the state of replicas. One can be in several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedState {
    /// It synchronizes.
    Live,
    /// It has not done so for a while.
    Idle,
    /// It has expired.
    Expired,
    /// The original of a copied database made it.
    Foreign,
    /// It is synchronizing now.
    Busy,
    /// It has never synchronized since it was made.
    NeverSynchronized,
    /// Its client has to take all rows anew.
    NeedsSnapshot,
    /// Its last synchronization was answered with an error.
    Failing,
    /// It has a rule of expiry of its own.
    OwnExpiry,
    /// It has refused edits or conflicts that are open.
    OpenEntries,
}

impl WantedState {
    const ALL: [(WantedState, &'static str); 10] = [
        (WantedState::Live, "live"),
        (WantedState::Idle, "idle"),
        (WantedState::Expired, "expired"),
        (WantedState::Foreign, "foreign"),
        (WantedState::Busy, "busy"),
        (WantedState::NeverSynchronized, "neverSynchronized"),
        (WantedState::NeedsSnapshot, "needsSnapshot"),
        (WantedState::Failing, "failing"),
        (WantedState::OwnExpiry, "ownExpiry"),
        (WantedState::OpenEntries, "openEntries"),
    ];

    /// The words for them, for an error.
    pub const WORDS: &'static str =
        "live, idle, expired, foreign, busy, neverSynchronized, needsSnapshot, failing, ownExpiry, openEntries";

    /// The state with this name, in any case.
    pub fn from_name(name: &str) -> Option<WantedState> {
        Self::ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(state, _)| *state)
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }
}

/// In which order replicas are listed.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// By what.
    pub column: Column,
    /// Whether the greatest comes first.
    pub descending: bool,
}

impl Default for Order {
    /// Those that have waited longest come first.
    fn default() -> Order {
        Order { column: Column::LastSync, descending: false }
    }
}

/// What replicas can be ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The service.
    Service,
    /// The name.
    Name,
    /// Who made it.
    Owner,
    /// What its client calls itself.
    Client,
    /// Its state.
    State,
    /// When it was made.
    Created,
    /// When it last synchronized.
    LastSync,
    /// The generation that it has.
    Generation,
    /// How many changes it is behind.
    Changes,
    /// How many bytes that is.
    Bytes,
    /// How much history is kept for its sake alone.
    KeptAlone,
    /// When it expires, or is unregistered.
    Expiry,
    /// How many of its refused edits are open.
    Rejected,
    /// How many of its conflicts are open.
    Conflicts,
    /// How its last synchronization ended.
    Outcome,
}

impl Column {
    const ALL: [(Column, &'static str); 15] = [
        (Column::Service, "service"),
        (Column::Name, "replicaName"),
        (Column::Owner, "replicaOwner"),
        (Column::Client, "client"),
        (Column::State, "state"),
        (Column::Created, "creationDate"),
        (Column::LastSync, "lastSyncDate"),
        (Column::Generation, "givenServerGen"),
        (Column::Changes, "changesBehind"),
        (Column::Bytes, "bytesBehind"),
        (Column::KeptAlone, "historyKeptAlone"),
        (Column::Expiry, "expiryDate"),
        (Column::Rejected, "openRejectedEdits"),
        (Column::Conflicts, "openConflicts"),
        (Column::Outcome, "lastOutcome"),
    ];

    /// The column with this name, in any case: that of the member which has it.
    pub fn from_name(name: &str) -> Option<Column> {
        Self::ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(column, _)| *column)
    }

    /// All names, for an error.
    pub fn names() -> String {
        Self::ALL.map(|(_, name)| name).join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_word_among_those_that_errors_list() {
        assert_eq!(WantedState::WORDS, WantedState::ALL.map(|(_, name)| name).join(", "));
        for (state, name) in WantedState::ALL {
            assert_eq!((WantedState::from_name(&name.to_uppercase()), state.name()), (Some(state), name));
        }
        assert_eq!(Column::from_name("CHANGESBEHIND"), Some(Column::Changes));
    }
}
