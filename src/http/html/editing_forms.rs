//! The forms of the operations that edit layers.

use super::control::{Control, Input};
use super::forms::{FORMAT, GEOMETRY_HINT, GEOMETRY_TYPES, Group, SR_HINT};
use super::query_forms::SPATIAL_RELATIONSHIPS;

/// The heading of an operation's form, and its parameters.
pub(super) fn of(operation: &str) -> (&'static str, &'static [Group]) {
    match operation {
        "addFeatures" => ("Add Features", ADD_FEATURES),
        "updateFeatures" => ("Update Features", UPDATE_FEATURES),
        "deleteFeatures" => ("Delete Features", DELETE_FEATURES),
        "calculate" => ("Calculate", CALCULATE),
        "validateSQL" => ("Validate SQL", VALIDATE_SQL),
        "truncate" => ("Truncate", TRUNCATE),
        "append" => ("Append", APPEND),
        "addAttachment" => ("Add Attachment", ADD_ATTACHMENT),
        "updateAttachment" => ("Update Attachment", UPDATE_ATTACHMENT),
        _ => ("Delete Attachments", DELETE_ATTACHMENTS),
    }
}

const ROLLBACK: Control = Control::on("Rollback on Failure", "rollbackOnFailure");
const MOMENT: Control = Control::off("Return Edit Moment", "returnEditMoment");
const ASYNC: Control = Control::off("Asynchronous", "async").hint("runs as a job; the answer says where to ask for it");

/// applyEdits of a layer.
pub(super) const LAYER_EDITS: &[Group] = &[
    Group {
        name: "Edits",
        controls: &[
            Control::lines("Adds", "adds").hint("[{\"attributes\":{…},\"geometry\":{…}}]"),
            Control::lines("Updates", "updates").hint("features with their object id, or global id"),
            Control::lines("Deletes", "deletes").hint("1,2,3, or global ids"),
            Control::lines("Attachments", "attachments")
                .hint("{\"adds\":[],\"updates\":[],\"deletes\":[]}, with global ids"),
            Control::line("Edits Upload ID", "editsUploadId")
                .hint("instead of edits above: an upload that has them, as JSON"),
            Control::on("Rollback on Failure", "rollbackOnFailure"),
            Control::off("Use GlobalIds", "useGlobalIds"),
            Control::off("Return Edit Moment", "returnEditMoment"),
            Control::on("Return Edit Results", "returnEditResults"),
            Control::off("Asynchronous", "async").hint("runs as a job; the answer says where to ask for it"),
        ],
    },
    FORMAT,
];

/// applyEdits of a service.
pub(super) const SERVICE_EDITS: &[Group] = &[
    Group {
        name: "Edits",
        controls: &[
            Control::lines("Edits", "edits").hint("[{\"id\":0,\"adds\":[],\"updates\":[],\"deletes\":[]}]"),
            Control::line("Edits Upload ID", "editsUploadId")
                .hint("instead of edits above: an upload that has them, as JSON"),
            Control::off("Use GlobalIds", "useGlobalIds"),
            Control::on("Rollback on Failure", "rollbackOnFailure"),
            Control::off("Honor Sequence Of Edits", "honorSequenceOfEdits"),
            Control::choice(
                "Return Service Edits Option",
                "returnServiceEditsOption",
                &[("none", "None"), ("originalAndCurrentFeatures", "Original and current features")],
            ),
            Control::off("Return Edit Moment", "returnEditMoment"),
            Control::on("Return Edit Results", "returnEditResults"),
            Control::off("Asynchronous", "async").hint("runs as a job; the answer says where to ask for it"),
        ],
    },
    FORMAT,
];

const ADD_FEATURES: &[Group] = &[
    Group {
        name: "Features",
        controls: &[
            Control::lines("Features", "features").hint("[{\"attributes\":{…},\"geometry\":{…}}]"),
            ROLLBACK,
            Control::off("Use GlobalIds", "useGlobalIds"),
            MOMENT,
        ],
    },
    FORMAT,
];

const UPDATE_FEATURES: &[Group] = &[
    Group {
        name: "Features",
        controls: &[
            Control::lines("Features", "features").hint("with their object id, or global id"),
            ROLLBACK,
            Control::off("Use GlobalIds", "useGlobalIds"),
            MOMENT,
        ],
    },
    FORMAT,
];

const DELETE_FEATURES: &[Group] = &[
    Group {
        name: "Which rows",
        controls: &[
            Control::line("Object IDs", "objectIds").hint("1,2,3"),
            Control::line("Where", "where").hint("for example 1=1 for every row"),
            Control::lines("Geometry", "geometry").hint(GEOMETRY_HINT).spatial(),
            Control::choice("Geometry Type", "geometryType", GEOMETRY_TYPES).spatial(),
            Control::line("Input Spatial Reference", "inSR").hint(SR_HINT).spatial(),
            Control::choice("Spatial Relationship", "spatialRel", SPATIAL_RELATIONSHIPS).spatial(),
        ],
    },
    Group {
        name: "How",
        controls: &[ROLLBACK, Control::off("Return Delete Results", "returnDeleteResults"), MOMENT, ASYNC],
    },
    FORMAT,
];

const CALCULATE: &[Group] = &[
    Group {
        name: "Which rows, and what they become",
        controls: &[
            Control::line("Where", "where").hint("for example 1=1 for every row"),
            Control::lines("Calc Expression", "calcExpression")
                .hint("[{\"field\":\"name\",\"value\":5},{\"field\":\"other\",\"sqlExpression\":\"height * 2\"}]"),
            MOMENT,
            ASYNC,
        ],
    },
    FORMAT,
];

const VALIDATE_SQL: &[Group] = &[
    Group {
        name: "SQL",
        controls: &[
            Control::lines("SQL", "sql"),
            Control::choice(
                "SQL Type",
                "sqlType",
                &[("where", "where"), ("expression", "expression"), ("statement", "statement")],
            ),
        ],
    },
    FORMAT,
];

const TRUNCATE: &[Group] = &[
    Group {
        name: "What goes",
        controls: &[Control::off("Attachment Only", "attachmentOnly").hint("the features stay"), ASYNC],
    },
    FORMAT,
];

const APPEND: &[Group] = &[
    Group {
        name: "Source",
        controls: &[
            Control::line("Append Upload ID", "appendUploadId").hint("an upload of this service"),
            Control::choice(
                "Append Upload Format",
                "appendUploadFormat",
                &[("featureCollection", "Feature collection"), ("geojson", "GeoJSON"), ("csv", "CSV")],
            ),
            Control::lines("Edits", "edits").hint("a feature collection, instead of an upload"),
            Control::lines("Append Source Info", "appendSourceInfo")
                .hint("CSV: {\"longitudeFieldName\":\"x\",\"latitudeFieldName\":\"y\"}"),
            Control::lines("Field Mappings", "fieldMappings").hint("[{\"name\":\"field\",\"sourceName\":\"column\"}]"),
        ],
    },
    Group {
        name: "How",
        controls: &[
            Control::off("Upsert", "upsert"),
            Control::line("Upsert Matching Field", "upsertMatchingField"),
            Control::off("Skip Updates", "skipUpdates"),
            Control::off("Skip Inserts", "skipInserts"),
            Control::on("Update Geometry", "updateGeometry"),
            Control::off("Use GlobalIds", "useGlobalIds"),
            ROLLBACK,
            Control::on("Asynchronous", "async"),
        ],
    },
    FORMAT,
];

const FILE: Control = Control::new("Attachment", "attachment", Input::File);
const UPLOAD: Control = Control::line("Upload ID", "uploadId").hint("instead of a file");
const KEYWORDS: Control = Control::line("Keywords", "keywords");

const ADD_ATTACHMENT: &[Group] = &[Group { name: "File", controls: &[FILE, UPLOAD, KEYWORDS, MOMENT] }, FORMAT];

const UPDATE_ATTACHMENT: &[Group] = &[
    Group {
        name: "Attachment",
        controls: &[Control::line("Attachment ID", "attachmentId"), FILE, UPLOAD, KEYWORDS, MOMENT],
    },
    FORMAT,
];

const DELETE_ATTACHMENTS: &[Group] = &[
    Group {
        name: "Attachments",
        controls: &[Control::line("Attachment IDs", "attachmentIds").hint("1,2,3"), ROLLBACK, MOMENT],
    },
    FORMAT,
];
