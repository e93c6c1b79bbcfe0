//! What a parameter is called, what it takes, and what it is about.

/// A parameter of an operation.
pub(super) struct Parameter {
    /// Its name.
    pub(super) name: &'static str,
    /// What it takes.
    pub(super) kind: Kind,
    /// Whether nothing can be done without it.
    pub(super) required: bool,
    /// What it is about, for people.
    pub(super) about: &'static str,
    /// Values that it takes.
    pub(super) examples: &'static [&'static str],
}

/// What a parameter takes.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// Any text, or one with a syntax of its own.
    Text,
    /// True or false, and what counts when it is not given.
    Flag(bool),
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// One of these.
    Word(&'static [&'static str]),
    /// JSON of the schema with this name.
    Json(&'static str),
    /// A file, which only a multipart form can have.
    File,
}

impl Parameter {
    const fn new(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
        Parameter { name, kind, required: false, about, examples: &[] }
    }

    /// Takes any text.
    pub(super) const fn text(name: &'static str, about: &'static str) -> Parameter {
        Parameter::new(name, Kind::Text, about)
    }

    /// Is false unless it is given.
    pub(super) const fn off(name: &'static str, about: &'static str) -> Parameter {
        Parameter::new(name, Kind::Flag(false), about)
    }

    /// Is true unless it is given.
    pub(super) const fn on(name: &'static str, about: &'static str) -> Parameter {
        Parameter::new(name, Kind::Flag(true), about)
    }

    /// Takes a whole number.
    pub(super) const fn integer(name: &'static str, about: &'static str) -> Parameter {
        Parameter::new(name, Kind::Integer, about)
    }

    /// Takes a number.
    pub(super) const fn number(name: &'static str, about: &'static str) -> Parameter {
        Parameter::new(name, Kind::Number, about)
    }

    /// Takes one of some words.
    pub(super) const fn word(name: &'static str, words: &'static [&'static str], about: &'static str) -> Parameter {
        Parameter::new(name, Kind::Word(words), about)
    }

    /// Takes JSON; `schema` is the name of its schema.
    pub(super) const fn json(name: &'static str, schema: &'static str, about: &'static str) -> Parameter {
        Parameter::new(name, Kind::Json(schema), about)
    }

    /// Takes a file.
    pub(super) const fn file(name: &'static str, about: &'static str) -> Parameter {
        Parameter { required: true, ..Parameter::new(name, Kind::File, about) }
    }

    /// Need not be given.
    pub(super) const fn optional(self) -> Parameter {
        Parameter { required: false, ..self }
    }

    /// Has to be given.
    pub(super) const fn required(self) -> Parameter {
        Parameter { required: true, ..self }
    }

    /// Takes for instance these.
    pub(super) const fn such_as(self, examples: &'static [&'static str]) -> Parameter {
        Parameter { examples, ..self }
    }
}

/// For old browsers.
pub(super) const CALLBACK: Parameter =
    Parameter::text("callback", "The function that f=json is wrapped into, for old browsers.").such_as(&["cb"]);

/// What every resource takes that is not only bytes.
pub(super) const COMMON: &[Parameter] =
    &[Parameter::word("f", &["html", "json", "pjson"], "The format of the answer; html if it is not given."), CALLBACK];

/// Who asks.
pub(super) const TOKEN: &[Parameter] =
    &[Parameter::text("token", "The token or key of whoever asks, unless a header has it.")];

/// Object ids, as clients write them.
pub(super) const IDS: &[&str] = &["1,2", "[1,2]", "1"];
/// Spatial references, as clients write them.
pub(super) const SPATIAL_REFERENCES: &[&str] = &["3857", "4326", r#"{"wkid":102100,"latestWkid":3857}"#];
/// Geometries, as clients write them.
pub(super) const GEOMETRIES: &[&str] = &[
    "0,0,100000,100000",
    "1.5,2.5",
    r#"{"xmin":0,"ymin":0,"xmax":100000,"ymax":100000,"spatialReference":{"wkid":3857}}"#,
    r#"{"x":1,"y":2}"#,
    r#"{"rings":[[[0,0],[0,10],[10,10],[10,0],[0,0]]]}"#,
    r#"{"paths":[[[0,0],[10,10]]]}"#,
    r#"{"points":[[0,0],[10,10]]}"#,
];
/// The types of geometries.
pub(super) const GEOMETRY_TYPES: &[&str] = &[
    "esriGeometryEnvelope",
    "esriGeometryPoint",
    "esriGeometryMultipoint",
    "esriGeometryPolyline",
    "esriGeometryPolygon",
];
const TRANSPORTS: &[&str] = &["esriTransportTypeUrl", "esriTransportTypeEmbedded"];
const DIRECTIONS: &[&str] = &["bidirectional", "upload", "download", "snapshot"];
const GENERATIONS: &[&str] = &["0", "1", "2"];
/// Global ids, as clients write them.
pub(super) const GLOBAL_IDS: &[&str] = &["{6F9619FF-8B86-D011-B42D-00CF4FC964FF}", "6f9619ff8b86d011b42d00cf4fc964ff"];
const REPLICA_IDS: &[&str] = &["6f9619ff-8b86-d011-b42d-00cf4fc964ff"];
const FEATURES: &str = r#"[{"attributes":{"globalid":"{6F9619FF-8B86-D011-B42D-00CF4FC964FF}","species":"oak","height":1.5,"girth":7,"planted":0},"geometry":{"x":1,"y":2}}]"#;

/// A box or a shape, and the reference of its coordinates.
pub(super) const AREA: &[Parameter] = &[
    Parameter::text("geometry", "xmin,ymin,xmax,ymax, or a geometry as JSON.").such_as(GEOMETRIES),
    Parameter::word("geometryType", GEOMETRY_TYPES, "The type of the geometry; a JSON geometry says its own."),
    Parameter::text("inSR", "The spatial reference of the geometry, as its number or as JSON.")
        .such_as(SPATIAL_REFERENCES),
];

/// How features must stand to a geometry.
pub(super) const SPATIAL_RELATION: Parameter = Parameter::word(
    "spatialRel",
    &[
        "esriSpatialRelIntersects",
        "esriSpatialRelContains",
        "esriSpatialRelWithin",
        "esriSpatialRelCrosses",
        "esriSpatialRelTouches",
        "esriSpatialRelOverlaps",
        "esriSpatialRelEnvelopeIntersects",
        "esriSpatialRelIndexIntersects",
    ],
    "How features must stand to the geometry.",
);

/// Whether what can be applied is applied when something cannot.
const ROLLBACK: Parameter = Parameter::on("rollbackOnFailure", "Whether nothing is applied if one edit is refused.");
const BY_GLOBAL_IDS: Parameter =
    Parameter::off("useGlobalIds", "Whether adds keep their global ids, and features are named by them.");

const EDIT_MOMENT: Parameter = Parameter::off("returnEditMoment", "Whether the answer has the time of the edits.");
const SESSION: Parameter = Parameter::text("gdbVersion", "The version; there is one.").such_as(&["sde.DEFAULT"]);

const DATUM_OF_EDITS: Parameter =
    Parameter::text("datumTransformation", "Not supported: transformations are those that PostGIS chooses.");
const PREVIOUS_MOMENT: Parameter = Parameter::off("usePreviousEditMoment", "Not supported.");

/// What all edits of features take.
pub(super) const EDITING: &[Parameter] = &[
    ROLLBACK,
    BY_GLOBAL_IDS,
    EDIT_MOMENT,
    SESSION,
    DATUM_OF_EDITS,
    PREVIOUS_MOMENT,
    Parameter::on("returnEditResults", "Whether the answer has the result of each edit."),
];

const IN_SEQUENCE: Parameter =
    Parameter::off("honorSequenceOfEdits", "Whether updates may name what the adds of the same request add.");

/// applyEdits of a layer.
pub(super) const LAYER_EDITS: &[Parameter] = &[
    Parameter::json("adds", "Features", "Features to add.").such_as(&[FEATURES]),
    Parameter::json("updates", "Features", "Features with their object id, or global id, and what changes.")
        .such_as(&[r#"[{"attributes":{"objectid":1,"species":"elm"}}]"#, FEATURES]),
    Parameter::text("deletes", "Object ids, or global ids, of features to delete.").such_as(IDS),
    Parameter::json("attachments", "Object", "Attachments to add, change and delete; with useGlobalIds.").such_as(&[
        r#"{"adds":[{"globalId":"{7F9619FF-8B86-D011-B42D-00CF4FC964FF}","parentGlobalId":"{6F9619FF-8B86-D011-B42D-00CF4FC964FF}","contentType":"text/plain","name":"a.txt","data":"YQ=="}]}"#,
        r#"{"deletes":["{7F9619FF-8B86-D011-B42D-00CF4FC964FF}"]}"#,
    ]),
    IN_SEQUENCE,
    EDITS_UPLOAD,
    EDITS_UPLOAD_FORMAT,
    ASYNC,
];

/// addFeatures, updateFeatures.
pub(super) const FEATURE_EDITS: &[Parameter] =
    &[Parameter::json("features", "Features", "The features.").required().such_as(&[FEATURES])];

/// Which rows of a layer are meant.
pub(super) const SELECTED: &[Parameter] = &[
    Parameter::text("where", "A condition.").such_as(&["objectid = 1", "1=1", "height > 20"]),
    Parameter::text("geometry", "A shape that they must stand in a relation to.").such_as(GEOMETRIES),
    Parameter::word("geometryType", GEOMETRY_TYPES, "The type of the geometry; a JSON geometry says its own."),
    Parameter::text("inSR", "The spatial reference of the geometry.").such_as(SPATIAL_REFERENCES),
    SPATIAL_RELATION,
    Parameter::text("objectIds", "Object ids to choose from.").such_as(IDS),
];

/// deleteFeatures.
pub(super) const DELETES: &[Parameter] =
    &[Parameter::off("returnDeleteResults", "Whether each deleted feature is told."), ASYNC];

/// calculate
pub(super) const CALCULATE: &[Parameter] = &[
    Parameter::json("calcExpression", "Array", "Fields and what they become: a value, or an expression.")
        .required()
        .such_as(&[
            r#"[{"field":"height","sqlExpression":"height * 2 + girth"}]"#,
            r#"[{"field":"species","value":"oak"}]"#,
        ]),
    ASYNC,
];

/// validateSQL
pub(super) const VALIDATE_SQL: &[Parameter] = &[
    Parameter::text("sql", "A text to check.").required().such_as(&["height > 2", "height * 2"]),
    Parameter::word("sqlType", &["where", "expression", "statement"], "What the text is."),
];

/// truncate
pub(super) const TRUNCATE: &[Parameter] =
    &[Parameter::off("attachmentOnly", "Whether only attachments go."), EDIT_MOMENT, SESSION, ASYNC];

/// append
pub(super) const APPEND: &[Parameter] = &[
    Parameter::json("edits", "Object", "A feature collection, instead of an upload.").such_as(&[
        r#"{"layers":[{"layerDefinition":{"fields":[{"name":"species","type":"esriFieldTypeString"}]},"featureSet":{"features":[{"attributes":{"species":"elm"}}]}}]}"#,
    ]),
    Parameter::text("appendUploadId", "The upload that has the features.").such_as(REPLICA_IDS),
    Parameter::word("appendUploadFormat", &["featureCollection", "geojson", "csv"], "Its format."),
    Parameter::json("appendSourceInfo", "Object", "How to read it.").such_as(&["{}"]),
    Parameter::json("fieldMappings", "Array", "Which field goes where.").such_as(&[r#"[{"name":"species","sourceName":"species"}]"#]),
    Parameter::off("upsert", "Whether features that are there are changed."),
    Parameter::text("upsertMatchingField", "The field by which they are found.").such_as(&["species"]),
    Parameter::off("skipUpdates", "Whether features that are there stay as they are."),
    Parameter::off("skipInserts", "Whether features that are not there are left out."),
    Parameter::on("updateGeometry", "Whether geometries change, too."),
    Parameter::text("appendFields", "Only these fields.").such_as(&["species", "[\"species\"]"]),
    Parameter::text("appendItemId", "Not supported."),
    Parameter::text("layerMappings", "Not supported."),
    Parameter::on("async", "Whether it runs as a job."),
];

/// addAttachment
pub(super) const ATTACHMENT: &[Parameter] = &[
    Parameter::file("attachment", "The file.").optional(),
    Parameter::text("uploadId", "An upload that has it, instead.").such_as(REPLICA_IDS),
    Parameter::text("keywords", "Words by which it is found.").such_as(&["a,b"]),
    EDIT_MOMENT,
    SESSION,
    DATUM_OF_EDITS,
    PREVIOUS_MOMENT,
];
/// updateAttachment
pub(super) const ATTACHMENT_ID: &[Parameter] =
    &[Parameter::integer("attachmentId", "The attachment to change.").required().such_as(&["1"])];
/// deleteAttachments
pub(super) const DELETE_ATTACHMENTS: &[Parameter] = &[
    Parameter::text("attachmentIds", "The attachments to delete.").required().such_as(IDS),
    ROLLBACK,
    EDIT_MOMENT,
    SESSION,
    DATUM_OF_EDITS,
    PREVIOUS_MOMENT,
];

/// applyEdits of a service.
pub(super) const SERVICE_EDITS: &[Parameter] = &[
    Parameter::json("edits", "ServiceEdits", "Edits by layer.").such_as(&[
        r#"[{"id":0,"adds":[{"attributes":{"species":"ash"}}],"updates":[{"attributes":{"objectid":1,"girth":3}}],"deletes":[2]}]"#,
        r#"[{"id":1,"adds":[{"attributes":{"note":"x"}}]}]"#,
    ]),
    Parameter::text("returnServiceEditsOption", "Which edits the answer tells of.").such_as(&["none"]),
    IN_SEQUENCE,
    EDITS_UPLOAD,
    EDITS_UPLOAD_FORMAT,
    ASYNC,
];

/// Layers by their ids.
pub(super) const LAYERS: Parameter =
    Parameter::text("layers", "Ids of layers and tables.").such_as(&["0", "0,1", "[0,1]"]);
const TRANSPORT: Parameter =
    Parameter::word("transportType", TRANSPORTS, "Whether the answer has the data, or the address of a file with it.");
const DATA_FORMAT: Parameter = Parameter::word(
    "dataFormat",
    &["json", "sqlite", "geoPackage"],
    "The format of the data; sqlite is a mobile geodatabase.",
);
const EXPORT_FORMAT: Parameter = Parameter::word(
    "dataFormat",
    &["json", "sqlite", "geoPackage", "featureCollection", "csv", "geojson", "shapefile", "filegdb", "kml", "excel"],
    "The format of the data; sqlite is a mobile geodatabase. Those after geoPackage with syncModel=none only, and as far as supportedExportFormats has them.",
);
const OPEN_MIRROR: Parameter = Parameter::on(
    "openMirror",
    "Whether a mobile geodatabase has a copy of each layer that open programs understand; not on by default for clients of Esri's.",
);
const ASYNC: Parameter = Parameter::off("async", "Whether it runs as a job; the answer says where to ask for it.");
const EDITS_UPLOAD: Parameter =
    Parameter::text("editsUploadId", "An upload with the edits, instead of edits.").such_as(REPLICA_IDS);
const EDITS_UPLOAD_FORMAT: Parameter =
    Parameter::word("editsUploadFormat", &["json", "sqlite", "geopackage"], "The format of that upload.");
const ATTACHMENTS_BY_URL: Parameter =
    Parameter::on("returnAttachmentsDataByUrl", "Whether attachments come as addresses instead of in the document.");
const LAYER_QUERIES: Parameter = Parameter::json("layerQueries", "LayerQueries", "Which rows of each layer.").such_as(&[
    r#"{"0":{"queryOption":"useFilter","where":"height > 2","useGeometry":true,"includeRelated":true},"1":{"queryOption":"all"}}"#,
    r#"{"0":{"where":"species = 'oak'"}}"#,
]);
/// What is refused by name, unless there is nothing to transform where a replica is made.
pub(super) const DATUM: &[Parameter] = &[
    Parameter::text(
        "datumTransformations",
        "Transformations are those that PostGIS chooses; naming one is refused wherever there is something to transform.",
    ),
    Parameter::text("datumTransformation", "The same."),
];
const REPLICA_ID: Parameter = Parameter::text("replicaID", "The id of a replica.").such_as(REPLICA_IDS);
const UNKNOWN_TIME: Parameter =
    Parameter::off("timeReferenceUnknownClient", "Without effect: every date has a time zone.");
const BRANCH: Parameter = Parameter::off("reconcileBranchVersion", "Without effect: no layer has branch versions.");

/// createReplica, beside the area.
pub(super) const CREATE_REPLICA: &[Parameter] = &[
    Parameter::text("replicaName", "What the replica is called; made up if it is not given.").such_as(&["a"]),
    LAYERS,
    LAYER_QUERIES,
    Parameter::text("replicaSR", "The spatial reference of the replica.").such_as(SPATIAL_REFERENCES),
    TRANSPORT,
    EXPORT_FORMAT,
    OPEN_MIRROR,
    ASYNC,
    Parameter::word(
        "syncModel",
        &["perReplica", "perLayer", "none"],
        "Whether all layers have one generation; none: data that is not synchronized.",
    ),
    Parameter::word("targetType", &["client", "server"], "Who takes the replica."),
    Parameter::word(
        "syncDirection",
        &["bidirectional", "upload", "download"],
        "Which ways edits may go; where whoever asks may only read, download unless said otherwise.",
    ),
    Parameter::off("returnAttachments", "Whether attachments come with the data."),
    Parameter::word(
        "attachmentsSyncDirection",
        &["bidirectional", "upload", "none"],
        "Which ways attachments go afterwards.",
    ),
    ATTACHMENTS_BY_URL,
    Parameter::json("replicaOptions", "ReplicaOptions", "Registers data that the client has already.")
        .such_as(&[r#"{"registerExistingData":true,"refReplicaServerGen":1}"#, r#"{"syncDataOptions":4}"#]),
    UNKNOWN_TIME,
    BRANCH,
];

/// synchronizeReplica.
pub(super) const SYNCHRONIZE: &[Parameter] = &[
    REPLICA_ID.required(),
    Parameter::integer("replicaServerGen", "The generation that the client has, of a perReplica replica.").such_as(GENERATIONS),
    Parameter::integer("replicaServerSibGen", "The generation of another server whose edits these are.").such_as(GENERATIONS),
    Parameter::json("syncLayers", "SyncLayers", "Generations and directions by layer, of a perLayer replica.")
        .such_as(&[r#"[{"id":0,"serverGen":1,"syncDirection":"bidirectional"}]"#]),
    Parameter::word("syncDirection", DIRECTIONS, "Which way the edits go."),
    Parameter::json("edits", "SyncEdits", "The client's edits.").such_as(&[
        r#"[{"id":0,"features":{"adds":[{"attributes":{"globalid":"{6F9619FF-8B86-D011-B42D-00CF4FC964FF}","species":"fir"}}],"updates":[],"deleteIds":[]}}]"#,
    ]),
    EDITS_UPLOAD,
    EDITS_UPLOAD_FORMAT,
    TRANSPORT,
    DATA_FORMAT,
    ASYNC,
    Parameter::off("closeReplica", "Whether the replica is unregistered afterwards."),
    Parameter::off("returnIdsForAdds", "Whether the answer has the object ids of added features."),
    ATTACHMENTS_BY_URL,
    ROLLBACK,
    Parameter::word("geometryType", GEOMETRY_TYPES, "Without effect."),
    UNKNOWN_TIME,
    BRANCH,
];

/// unRegisterReplica.
pub(super) const UNREGISTER: &[Parameter] =
    &[Parameter::text("replicaID", "The id of a replica, or * for all.").such_as(REPLICA_IDS)];

/// importReplica.
pub(super) const IMPORT_REPLICA: &[Parameter] = &[
    Parameter::json("layers", "Array", "The layers of a document that createReplica answered.")
        .required()
        .such_as(&[r#"[{"id":0,"features":[{"attributes":{"globalid":"{6F9619FF-8B86-D011-B42D-00CF4FC964FF}"}}]}]"#]),
    REPLICA_ID.required(),
    Parameter::text("replicaName", "The name of the replica.").such_as(&["a"]),
    Parameter::word("targetType", &["server"], "Who took the replica."),
    Parameter::word("syncModel", &["perReplica", "perLayer"], "Whether all layers have one generation."),
    Parameter::word("syncDirection", &["bidirectional", "upload", "download"], "Which ways edits may go."),
    Parameter::text("spatialReference", "The spatial reference of the document.").such_as(SPATIAL_REFERENCES),
    Parameter::text("replicaSR", "The same.").such_as(SPATIAL_REFERENCES),
    Parameter::integer("replicaServerGen", "The generation of the document.").such_as(GENERATIONS),
    Parameter::json("layerServerGens", "LayerServerGens", "The generations of its layers.")
        .such_as(&[r#"[{"id":0,"serverGen":1}]"#]),
    Parameter::off("returnAttachments", "Whether it has attachments."),
    Parameter::word("attachmentsSyncDirection", &["bidirectional", "upload", "none"], "Which ways attachments go."),
    Parameter::off(
        "rebase",
        "Whether the replica is registered here already and is brought to a snapshot of its other side.",
    ),
    Parameter::off("hasAllRows", "Whether the snapshot has all rows of its layers."),
    Parameter::integer("replicaServerSibGen", "What the side that gave the snapshot had received of this one.")
        .such_as(GENERATIONS),
];

/// extractChanges, beside the area.
pub(super) const EXTRACT_CHANGES: &[Parameter] = &[
    LAYERS,
    Parameter::text("serverGens", "The generation after which, or two between which, changes are wanted.")
        .such_as(&["0", "1", "[0,1]"]),
    Parameter::json("layerServerGens", "LayerServerGens", "The same by layer.")
        .such_as(&[r#"[{"id":0,"serverGen":0}]"#]),
    LAYER_QUERIES,
    Parameter::on("returnInserts", "Whether rows come that are new."),
    Parameter::on("returnUpdates", "Whether rows come that changed."),
    Parameter::on("returnDeletes", "Whether rows are told that went."),
    Parameter::off("returnDeletedFeatures", "Whether rows that went come as they were."),
    Parameter::off("returnIdsOnly", "Object ids instead of rows."),
    Parameter::off("returnExtentOnly", "The box round changes instead of rows."),
    Parameter::word(
        "changesExtentGridCell",
        &["none", "large", "medium", "small"],
        "The cells into which that box is divided.",
    ),
    Parameter::off("returnHasGeometryUpdates", "Whether it is told of each row if its geometry changed."),
    Parameter::json("fieldsToCompare", "Object", "Fields of which it is told whether they changed.")
        .such_as(&[r#"{"fields":["species"]}"#]),
    Parameter::text("outSR", "The spatial reference of the answer.").such_as(SPATIAL_REFERENCES),
    Parameter::off("returnAttachments", "Whether changes of attachments come."),
    ATTACHMENTS_BY_URL,
    TRANSPORT,
    Parameter::word("dataFormat", &["json"], "The format of the data."),
    ASYNC,
    Parameter::text("gdbVersion", "The version; there is one.").such_as(&["sde.DEFAULT"]),
    UNKNOWN_TIME,
    BRANCH,
];

/// The list of replicas.
pub(super) const REPLICAS: &[Parameter] = &[
    Parameter::off("returnLastSyncDate", "Whether it is told when each was synchronized last."),
    Parameter::off("returnVersion", "Whether the version of each is told."),
    Parameter::text("replicaVersion", "Only replicas of this version; there is one.").such_as(&["sde.DEFAULT"]),
];

const CHECKSUM: Parameter = Parameter::text("checksum", "The SHA-256 of the file; compared with what arrived.")
    .such_as(&["e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]);
const DESCRIPTION: Parameter = Parameter::text("description", "What the file is.").such_as(&["a"]);

/// upload
pub(super) const UPLOAD: &[Parameter] = &[
    Parameter::file("file", "The file."),
    Parameter::text("filename", "Its name, if its part of the form has none.").such_as(&["a.json"]),
    DESCRIPTION,
    CHECKSUM,
];

/// register
pub(super) const REGISTER_UPLOAD: &[Parameter] = &[
    Parameter::text("itemName", "The name of the file whose parts will come.").required().such_as(&["a.json"]),
    DESCRIPTION,
];

/// uploadPart
pub(super) const UPLOAD_PART: &[Parameter] = &[
    Parameter::file("file", "The part."),
    Parameter::integer("partId", "Its number, from 1.").required().such_as(&["1"]),
    CHECKSUM,
];

/// commit
pub(super) const COMMIT_UPLOAD: &[Parameter] =
    &[Parameter::text("parts", "The numbers of the parts in their order.").such_as(&["1", "1,2"]), CHECKSUM];

/// cleanupChangeTracking
pub(super) const CLEAN_UP: &[Parameter] = &[
    LAYERS,
    Parameter::integer("retentionPeriod", "Forgets what is older than this.").such_as(&["1"]),
    Parameter::word("retentionPeriodUnits", &["days", "hours", "minutes", "seconds"], "The unit of that."),
    Parameter::integer("minServerGen", "Forgets what lies before this generation.").such_as(GENERATIONS),
    Parameter::text("replicaId", "Forgets what this replica does not need.").such_as(REPLICA_IDS),
    Parameter::off("async", "Not supported."),
];

/// A page of a list.
pub(super) const PAGE: &[Parameter] = &[
    Parameter::integer("resultOffset", "How many to pass over.").such_as(&["0", "1"]),
    Parameter::integer("resultRecordCount", "How many at most.").such_as(&["1", "100"]),
];

/// Which entries of the audit log.
pub(super) const AUDIT: &[Parameter] = &[
    Parameter::text("since", "From this moment on: milliseconds since 1970, or an ISO date.").such_as(&["2026-01-01"]),
    Parameter::text("until", "Before this moment.").such_as(&["2030-01-01T00:00:00Z"]),
    Parameter::text("actor", "Done by this user, key:NAME, server, command:UID or database:ROLE.").such_as(&["server"]),
    Parameter::text("action", "An action, or all of a kind.").such_as(&["replica.created", "replica"]),
    Parameter::text("service", "In this service.").such_as(&["trees"]),
];

/// A place in the chain of the audit log.
pub(super) const VERIFY_AUDIT: &[Parameter] =
    &[Parameter::text("expect", "A place that was noted once, POSITION:DIGEST, which must still be there.")];

const LAYER: Parameter = Parameter::integer("layer", "The id of a layer.").such_as(&["0", "1"]);
const GLOBAL_ID: Parameter = Parameter::text("globalId", "The global id of a feature.").such_as(GLOBAL_IDS);

/// Which rows of the books.
pub(super) const OF_FEATURE: &[Parameter] = &[LAYER, GLOBAL_ID];
/// The same, where both are needed.
pub(super) const THIS_FEATURE: &[Parameter] = &[LAYER.required(), GLOBAL_ID.required()];
/// Whose rows of the books.
pub(super) const OF_REPLICA: &[Parameter] = &[REPLICA_ID];
/// What connected clients sent, or what replicas uploaded.
pub(super) const CONNECTED: &[Parameter] = &[Parameter::word(
    "connected",
    &["true", "false"],
    "Only what connected clients sent, or only what replicas uploaded.",
)];
/// Batches by what brought them.
pub(super) const BATCHES: &[Parameter] = &[
    Parameter::word(
        "operation",
        &[
            "synchronizeReplica",
            "applyEdits",
            "addFeatures",
            "updateFeatures",
            "deleteFeatures",
            "calculate",
            "truncate",
            "append",
            "addAttachment",
            "updateAttachment",
            "deleteAttachments",
        ],
        "The operation that brought the edits.",
    ),
    Parameter::integer("layer", "The id of a layer that they edit.").such_as(&["0"]),
    Parameter::text("requestId", "The id of the request, as its answer's X-Request-Id has it, or of its job."),
    Parameter::integer("since", "Only later ones, in milliseconds since 1970.").such_as(&["0"]),
];
/// Receipts by what became of the edits.
pub(super) const OUTCOME: &[Parameter] =
    &[Parameter::word("outcome", &["applied", "refused"], "What became of the edit.")];
/// Refused edits by what became of them.
pub(super) const STATE: &[Parameter] =
    &[Parameter::word("state", &["open", "applied", "dismissed"], "What became of the refused edit.")];
/// Conflicts by where and when they came to be.
pub(super) const CONFLICTS: &[Parameter] = &[
    Parameter::integer("batchId", "The upload that overwrote.").such_as(&["1"]),
    Parameter::integer("since", "Only later ones, in milliseconds since 1970.").such_as(&["0"]),
];
/// Whether it is done although somebody else has changed the rows.
pub(super) const FORCE: &[Parameter] =
    &[Parameter::off("force", "Whether rows are changed that others have changed since.")];
/// Whether it is only told what would be done.
pub(super) const PREVIEW: &[Parameter] = &[Parameter::off("preview", "Whether it is only told what would be done.")];
/// A corrected edit.
pub(super) const CORRECTION: &[Parameter] =
    &[Parameter::json("feature", "Feature", "The edit as it should have been; as it was sent if this is not given.")
        .such_as(&[r#"{"attributes":{"species":"elm"}}"#])];
/// Generations to compare.
pub(super) const VERIFY: &[Parameter] =
    &[Parameter::text("serverGens", "A generation, or two whose difference is told.").such_as(&["1", "0,1"])];
