//! The parameters of the console's resources.

use super::parameters::Parameter;

const SERVICE_NAME: Parameter = Parameter::text("service", "The name of a service.").such_as(&["trees"]);
const IDS: Parameter = Parameter::text("replicaIDs", "Ids of replicas, with commas between them; at most 1000.")
    .such_as(&["6f9619ff-8b86-d011-b42d-00cf4fc964ff"]);

/// Which replicas, and in which order.
pub(super) const REPLICAS: &[Parameter] = &[
    SERVICE_NAME,
    Parameter::text("owner", "Only those of this owner.").such_as(&["somebody"]),
    Parameter::word("state", STATES, "Only those in this state."),
    Parameter::text("text", "Only those that have this in their name, id, owner, client or service.")
        .such_as(&["crew"]),
    Parameter::integer("idleDays", "Only those that have not synchronized for so many days.").such_as(&["0", "30"]),
    Parameter::text("orderByFields", "A member of the answer, and ASC or DESC.").such_as(&[
        "lastSyncDate",
        "changesBehind DESC",
        "historyKeptAlone DESC",
    ]),
];

const STATES: &[&str] = &[
    "live",
    "idle",
    "expired",
    "foreign",
    "busy",
    "neverSynchronized",
    "needsSnapshot",
    "failing",
    "ownExpiry",
    "openEntries",
];

/// Of one service, or of all.
pub(super) const SERVICE: &[Parameter] = &[SERVICE_NAME];

/// Which replicas something is done with.
pub(super) const REPLICA_IDS: &[Parameter] = &[IDS.required()];

/// Whose rule of expiry is set, and to what.
pub(super) const EXPIRE: &[Parameter] = &[
    IDS,
    SERVICE_NAME,
    Parameter::text("days", "After how many days without a synchronization; never; or default.")
        .required()
        .such_as(&["30", "never", "default"]),
];

/// Which tables of the database.
pub(super) const TABLES: &[Parameter] = &[
    Parameter::text("text", "Only those that have this in schema.table.").such_as(&["oak"]),
    Parameter::word("published", &["true", "false"], "Only those that are published, or are not."),
];

/// What is published where.
pub(super) const PUBLISH: &[Parameter] = &[
    Parameter::text("service", "The service; it is made if there is none of this name.").required().such_as(&["trees"]),
    Parameter::text("schema", "The schema of the table; public if it is not given.").such_as(&["public"]),
    Parameter::text("table", "The table, without its schema.").required().such_as(&["elsewhere"]),
    Parameter::text("layerName", "The name of the layer; that of the table if it is not given.").such_as(&["Oaks"]),
    Parameter::off("attachments", "Whether its features may have attachments."),
    Parameter::word("anonymous", &["none", "view", "edit"], "What everybody may do with the service."),
];

/// What is not published any more.
pub(super) const UNPUBLISH: &[Parameter] = &[
    Parameter::text("service", "The service of the layer.").required().such_as(&["trees"]),
    Parameter::integer("layerId", "The id of the layer or table.").required().such_as(&["0"]),
    Parameter::off("force", "Whether it is done although replicas, attachments or open entries of the books are lost."),
];
