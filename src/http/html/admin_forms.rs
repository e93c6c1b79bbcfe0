//! The forms of the operations on definitions.

use super::control::Control;
use super::forms::{FORMAT, Group};

/// The heading of an operation's form, and its parameters.
pub(super) fn of(operation: &str) -> (&'static str, &'static [Group]) {
    match operation {
        "addToDefinition" => ("Add To Definition", ADD),
        "updateDefinition" => ("Update Definition", UPDATE),
        "deleteFromDefinition" => ("Delete From Definition", DELETE),
        "cleanupChangeTracking" => ("Clean Up Change Tracking", CLEAN_UP),
        _ => ("Refresh", &[FORMAT]),
    }
}

const ADD: &[Group] = &[
    Group {
        name: "Definition",
        controls: &[Control::lines("Add To Definition", "addToDefinition")
            .hint("of a layer: {\"fields\":[…],\"indexes\":[…]}; of a service: {\"layers\":[…],\"tables\":[…],\"relationships\":[…]}")],
    },
    FORMAT,
];

const UPDATE: &[Group] = &[
    Group {
        name: "Definition",
        controls: &[Control::lines("Update Definition", "updateDefinition")
            .hint("what is to be otherwise; for instance {\"description\":\"…\",\"fields\":[{\"name\":\"state\",\"alias\":\"State\"}]}")],
    },
    FORMAT,
];

const DELETE: &[Group] = &[
    Group {
        name: "Definition",
        controls: &[Control::lines("Delete From Definition", "deleteFromDefinition")
            .hint("what is to go, by its name; for instance {\"indexes\":[{\"name\":\"…\"}]}")],
    },
    FORMAT,
];

const CLEAN_UP: &[Group] = &[
    Group {
        name: "History",
        controls: &[
            Control::line("Layers", "layers").hint("ids of layers and tables; all if empty"),
            Control::line("Retention Period", "retentionPeriod").hint("what is older is forgotten; one of these three"),
            Control::choice(
                "Retention Period Units",
                "retentionPeriodUnits",
                &[("days", "Days"), ("hours", "Hours"), ("minutes", "Minutes"), ("seconds", "Seconds")],
            ),
            Control::line("Min ServerGen", "minServerGen").hint("what is before this generation is forgotten"),
            Control::line("Replica ID", "replicaId").hint("what is kept for this replica alone is forgotten"),
        ],
    },
    FORMAT,
];
