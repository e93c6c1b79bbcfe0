//! The parameters of queries.

use super::parameters::{CALLBACK, GLOBAL_IDS, IDS, LAYERS, Parameter, SPATIAL_REFERENCES, SPATIAL_RELATION};

/// Which features a query is about, and what comes back.
pub(super) const QUERY: &[Parameter] = &[
    Parameter::text("where", "A condition in a subset of SQL-92.").such_as(&[
        "1=1",
        "species = 'oak' AND height > 2.5",
        "species LIKE 'o%' OR girth IN (1, 2, 3)",
        "planted BETWEEN DATE '2020-01-01' AND TIMESTAMP '2021-01-01 00:00:00'",
        "CASE WHEN girth IS NULL THEN 0 ELSE girth END + 1 > 2",
        "UPPER(species) <> 'ELM'",
    ]),
    Parameter::text("objectIds", "Object ids to choose from.").such_as(IDS),
    SPATIAL_RELATION,
    Parameter::text("outFields", "Names of fields with commas, or * for all.").such_as(&["*", "species,height"]),
    Parameter::on("returnGeometry", "Whether geometries come."),
    Parameter::text("outSR", "The spatial reference of the answer.").such_as(SPATIAL_REFERENCES),
    Parameter::off("returnIdsOnly", "All object ids instead of features."),
    Parameter::off("returnCountOnly", "Their number instead of features."),
    Parameter::off(
        "returnExtentOnly",
        "The box round them instead of features; together with returnCountOnly also their number.",
    ),
    Parameter::text("orderByFields", "Fields to sort by.").such_as(&["species", "height DESC, objectid"]),
    Parameter::integer("resultOffset", "How many to pass over.").such_as(&["0", "1", "1000"]),
    Parameter::integer("resultRecordCount", "How many at most.").such_as(&["0", "1", "2000"]),
    Parameter::off("returnZ", "Whether heights come."),
    Parameter::off("returnM", "Whether measures come."),
];

/// The formats of features.
pub(super) const FEATURE_FORMATS: &[Parameter] = &[
    Parameter::word(
        "f",
        &["html", "json", "pjson", "geojson", "pbf"],
        "The format of the answer; html if it is not given. geojson is in longitude and latitude; pbf are protocol buffers.",
    ),
    CALLBACK,
];

/// The formats of refused edits.
pub(super) const REFUSED_FORMATS: &[Parameter] = &[
    Parameter::word(
        "f",
        &["html", "json", "pjson", "geojson"],
        "The format of the answer; html if it is not given. geojson has the edits as features, for maps.",
    ),
    CALLBACK,
];

/// How geometries are written.
pub(super) const FORM: &[Parameter] = &[
    Parameter::json("quantizationParameters", "Object", "The grid on which coordinates are told as whole numbers.").such_as(&[
        r#"{"extent":{"xmin":0,"ymin":0,"xmax":1000,"ymax":1000},"mode":"view","originPosition":"upperLeft","tolerance":2}"#,
        r#"{"mode":"edit"}"#,
    ]),
    Parameter::number("maxAllowableOffset", "How far a simplified line may be from the line.").such_as(&["0", "2.5"]),
    Parameter::integer("geometryPrecision", "Digits after the point of coordinates.").such_as(&["0", "3"]),
    Parameter::off("returnCentroid", "Whether polygons come with a point in them."),
    Parameter::off("returnEnvelope", "Whether features come with the box round them."),
];

const MOMENT: Parameter =
    Parameter::text("historicMoment", "A time, in milliseconds since 1970; rows as they were then.").such_as(&["1"]);
const WKT: &str = "A transformation of coordinates; PostGIS chooses.";

/// Which rows a query is about, beyond where, ids and area.
pub(super) const CHOICE: &[Parameter] = &[
    Parameter::word("sqlFormat", &["none", "standard", "native"], "The language of conditions; there is one."),
    Parameter::text("uniqueIds", "The same as objectIds.").such_as(IDS),
    Parameter::text("globalIds", "Global ids to choose from.").such_as(GLOBAL_IDS),
    Parameter::text("time", "A time, or two between which features were, of layers that have times.")
        .such_as(&["0", "0,1000", "null,0"]),
    MOMENT,
    Parameter::text("datumTransformation", WKT),
    Parameter::text("defaultSR", "The spatial reference of both geometry and answer, unless one is named.")
        .such_as(SPATIAL_REFERENCES),
    Parameter::text("relationParam", "The relation of esriSpatialRelRelation, in nine letters.")
        .such_as(&["T*F**F***"]),
    Parameter::text("distance", "How far features may be from the geometry.").such_as(&["0", "100", "2.5"]),
    Parameter::word(
        "units",
        &[
            "esriSRUnit_Meter",
            "esriSRUnit_Kilometer",
            "esriSRUnit_Foot",
            "esriSRUnit_StatuteMile",
            "esriSRUnit_NauticalMile",
            "esriSRUnit_USNauticalMile",
        ],
        "The unit of distance.",
    ),
    Parameter::text("fullText", "Not supported."),
];

/// What of many rows comes back.
pub(super) const SUMMARY: &[Parameter] = &[
    Parameter::json("outStatistics", "Array", "Figures instead of features.").such_as(&[
        r#"[{"statisticType":"max","onStatisticField":"height","outStatisticFieldName":"most"}]"#,
        r#"[{"statisticType":"count","onStatisticField":"objectid"},{"statisticType":"avg","onStatisticField":"girth"}]"#,
    ]),
    Parameter::text("groupByFieldsForStatistics", "Fields for each of whose values figures come.").such_as(&["species", "girth"]),
    Parameter::text("having", "A condition on figures.").such_as(&["MAX(height) > 2"]),
    Parameter::text("havingClause", "The same."),
    Parameter::off("returnDistinctValues", "Each combination of values once."),
    Parameter::off("returnUniqueIdsOnly", "The same as returnIdsOnly."),
    Parameter::on("returnExceededLimitFeatures", "Whether features come if there are more than a page of them."),
    Parameter::integer("maxRecordCountFactor", "How many times larger a page may be.").such_as(&["1", "5"]),
    Parameter::word("resultType", &["none", "standard", "tile"], "How large a page is."),
];

/// One feature.
pub(super) const FEATURE: &[Parameter] = &[
    OUT_FIELDS,
    OUT_SR,
    DEFAULT_SR,
    MOMENT,
    Parameter::on("returnGeometry", "Whether the geometry comes."),
    Parameter::off("returnZ", "Whether its heights come."),
    Parameter::off("returnM", "Whether its measures come."),
];

/// Layers of a service, each with its own condition.
pub(super) const LAYER_DEFS: &[Parameter] = &[Parameter::text("layerDefs", "Conditions by layer.").such_as(&[
    r#"{"0":"height > 2","1":""}"#,
    "0:height > 2;1:objectid > 1",
    r#"[{"layerId":0,"where":"height > 2","outFields":"species"}]"#,
])];

/// queryRelatedRecords
pub(super) const RELATED: &[Parameter] = &[
    Parameter::text("objectIds", "The features whose related records are wanted.").required().such_as(IDS),
    Parameter::integer("relationshipId", "The relationship.").required().such_as(&["0", "1"]),
    Parameter::text("definitionExpression", "A condition for related records.").such_as(&["1=1", "objectid > 1"]),
    OUT_FIELDS,
    OUT_SR,
    DEFAULT_SR,
    ORDER,
    Parameter::off("returnCountOnly", "Their numbers instead."),
    OFFSET,
    COUNT,
    FACTOR,
    MOMENT,
    Parameter::on("returnGeometry", "Whether geometries come."),
    Parameter::off("returnZ", "Whether heights come."),
    Parameter::off("returnM", "Whether measures come."),
    Parameter::word("resultType", &["none", "standard", "tile"], "How large a page is."),
];

/// queryAttachments
pub(super) const ATTACHMENTS: &[Parameter] = &[
    Parameter::text("objectIds", "The features whose attachments are wanted.").such_as(IDS),
    Parameter::text("globalIds", "The same, by global ids.").such_as(GLOBAL_IDS),
    Parameter::text("definitionExpression", "A condition for these features.").such_as(&["1=1", "height > 2"]),
    Parameter::text("where", "The same.").such_as(&["1=1"]),
    Parameter::text("attachmentsDefinitionExpression", "A condition for attachments.").such_as(&["1=1"]),
    Parameter::text("attachmentsWhere", "The same.").such_as(&["1=1"]),
    Parameter::text("attachmentTypes", "Types of contents.").such_as(&["image/jpeg", "text/plain"]),
    Parameter::text("keywords", "Words of which an attachment has one.").such_as(&["a,b"]),
    Parameter::text("size", "The least and the most bytes.").such_as(&["0,1000", "1"]),
    Parameter::off("returnUrl", "Whether the address of each comes."),
    Parameter::off("returnCountOnly", "Their numbers instead."),
    Parameter::off("returnDistinctKeywords", "Not supported."),
    ORDER,
    OFFSET,
    COUNT,
    FACTOR,
    Parameter::integer("offset", "The same as resultOffset.").such_as(&["0"]),
    MOMENT,
    Parameter::word("resultType", &["none", "standard", "tile"], "How large a page is."),
];

const OUT_FIELDS: Parameter =
    Parameter::text("outFields", "Names of fields with commas, or * for all.").such_as(&["*"]);
const OUT_SR: Parameter = Parameter::text("outSR", "The spatial reference of the answer.").such_as(SPATIAL_REFERENCES);
const DEFAULT_SR: Parameter =
    Parameter::text("defaultSR", "The same, where outSR is not given.").such_as(SPATIAL_REFERENCES);
const ORDER: Parameter = Parameter::text("orderByFields", "Fields to sort by.").such_as(&["objectid DESC"]);
const OFFSET: Parameter = Parameter::integer("resultOffset", "How many to pass over.").such_as(&["0", "1"]);
const COUNT: Parameter = Parameter::integer("resultRecordCount", "How many at most.").such_as(&["1", "2000"]);
const FACTOR: Parameter =
    Parameter::integer("maxRecordCountFactor", "How many times larger a page may be.").such_as(&["1", "5"]);

/// Only these layers.
pub(super) const OF_LAYERS: &[Parameter] = &[LAYERS];

const NOT_ASYNC: Parameter = Parameter::off("async", "Not supported.");
const FORCE: Parameter = Parameter::off("force", "Whether what is in use is changed all the same.");
const DEFINITION: &[&str] =
    &[r#"{"description":"a"}"#, r#"{"fields":[{"name":"x","type":"esriFieldTypeString","length":5}]}"#];

/// The administration.
pub(super) const ADMINISTRATION: &[Parameter] = &[NOT_ASYNC];
/// addToDefinition
pub(super) const ADD_TO_DEFINITION: &[Parameter] =
    &[Parameter::json("addToDefinition", "Object", "What is added.").required().such_as(DEFINITION), FORCE];
/// updateDefinition
pub(super) const UPDATE_DEFINITION: &[Parameter] =
    &[Parameter::json("updateDefinition", "Object", "What is changed.").required().such_as(DEFINITION), FORCE];
/// addToDefinition of a service
pub(super) const ADD_TO_SERVICE: &[Parameter] = &[Parameter::json("addToDefinition", "Object", "Layers, tables and relationships.")
    .required()
    .such_as(&[
        r#"{"relationships":[{"originLayerId":0,"originPrimaryKey":"globalid","destinationLayerId":1,"originForeignKey":"oak_id"}]}"#,
        r#"{"tables":[{"name":"checks","fields":[{"name":"note","type":"esriFieldTypeString"}]}]}"#,
    ])];
/// updateDefinition of a service
pub(super) const UPDATE_SERVICE: &[Parameter] = &[Parameter::json("updateDefinition", "Object", "What is changed.")
    .required()
    .such_as(&[r#"{"description":"a"}"#])];
/// deleteFromDefinition of a service
pub(super) const DELETE_FROM_SERVICE: &[Parameter] =
    &[Parameter::json("deleteFromDefinition", "Object", "Relationships that are forgotten.")
        .required()
        .such_as(&[r#"{"relationships":[{"id":0}]}"#])];
/// deleteFromDefinition
pub(super) const DELETE_FROM_DEFINITION: &[Parameter] = &[
    Parameter::json("deleteFromDefinition", "Object", "What is deleted.")
        .required()
        .such_as(&[r#"{"fields":[{"name":"x"}]}"#]),
    FORCE,
];
