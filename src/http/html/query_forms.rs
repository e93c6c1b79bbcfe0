//! The forms of the operations that read rows.

use super::control::{Control, Input};
use super::forms::{FORMAT, GEOMETRY_HINT, GEOMETRY_TYPES, Group, SR_HINT};

pub(super) const SPATIAL_RELATIONSHIPS: &[(&str, &str)] = &[
    ("esriSpatialRelIntersects", "Intersects"),
    ("esriSpatialRelContains", "Contains"),
    ("esriSpatialRelCrosses", "Crosses"),
    ("esriSpatialRelEnvelopeIntersects", "Envelope Intersects"),
    ("esriSpatialRelIndexIntersects", "Index Intersects"),
    ("esriSpatialRelOverlaps", "Overlaps"),
    ("esriSpatialRelTouches", "Touches"),
    ("esriSpatialRelWithin", "Within"),
    ("esriSpatialRelDisjoint", "Disjoint"),
    ("esriSpatialRelRelation", "Relation"),
];

const UNITS: &[(&str, &str)] = &[
    ("esriSRUnit_Meter", "Meters"),
    ("esriSRUnit_Kilometer", "Kilometers"),
    ("esriSRUnit_Foot", "Feet"),
    ("esriSRUnit_StatuteMile", "Miles"),
    ("esriSRUnit_NauticalMile", "Nautical miles"),
    ("esriSRUnit_USNauticalMile", "US nautical miles"),
];

const MOMENT_HINT: &str = "milliseconds since 1970";

const GRID_HINT: &str = "{\"mode\":\"view\",\"tolerance\":10,\"extent\":{…}}";

pub(super) const QUERY: &[Group] = &[
    Group {
        name: "Which rows",
        controls: &[
            Control::line("Where", "where").hint("for example 1=1 for every row"),
            Control::line("Object IDs", "objectIds").hint("1,2,3"),
            Control::line("Time", "time").hint("milliseconds since 1970, as t or t1,t2"),
            Control::lines("Input Geometry", "geometry").hint(GEOMETRY_HINT).spatial(),
            Control::choice("Geometry Type", "geometryType", GEOMETRY_TYPES).spatial(),
            Control::line("Input Spatial Reference", "inSR").hint(SR_HINT).spatial(),
            Control::choice("Spatial Relationship", "spatialRel", SPATIAL_RELATIONSHIPS).spatial(),
            Control::line("Relation", "relationParam").hint("nine of T, F, *, 0, 1, 2").spatial(),
            Control::line("Distance", "distance").hint("along the ground").spatial(),
            Control::choice("Units", "units", UNITS).spatial(),
            Control::line("Historic Moment", "historicMoment").hint(MOMENT_HINT),
        ],
    },
    Group {
        name: "What to return",
        controls: &[
            Control::line("Out Fields", "outFields").hint("names with commas, * for all"),
            Control::on("Return Geometry", "returnGeometry").spatial(),
            Control::line("Output Spatial Reference", "outSR").hint(SR_HINT).spatial(),
            Control::line("Default Spatial Reference", "defaultSR")
                .hint("of the input and the output, where neither is named")
                .spatial(),
            Control::off("Return IDs Only", "returnIdsOnly"),
            Control::off("Return Count Only", "returnCountOnly"),
            Control::off("Return Extent Only", "returnExtentOnly").spatial(),
            Control::off("Return Distinct Values", "returnDistinctValues"),
        ],
    },
    Group {
        name: "Statistics",
        controls: &[
            Control::lines("Out Statistics", "outStatistics")
                .hint("[{\"statisticType\":\"count\",\"onStatisticField\":\"…\",\"outStatisticFieldName\":\"n\"}]"),
            Control::line("Group By Fields For Statistics", "groupByFieldsForStatistics"),
            Control::line("Having", "having").hint("for example COUNT(name) > 1"),
        ],
    },
    Group {
        name: "Order and pages",
        controls: &[
            Control::line("Order By Fields", "orderByFields").hint("name ASC, date DESC"),
            Control::line("Result Offset", "resultOffset").hint("rows to skip"),
            Control::line("Result Record Count", "resultRecordCount").hint("rows at most"),
            Control::choice(
                "Result Type",
                "resultType",
                &[("none", "None"), ("standard", "Standard"), ("tile", "Tile")],
            ),
            Control::on("Return Exceeded Limit Features", "returnExceededLimitFeatures"),
        ],
    },
    Group {
        name: "Geometries",
        controls: &[
            Control::off("Return Z", "returnZ").spatial(),
            Control::off("Return M", "returnM").spatial(),
            Control::off("Return Centroid", "returnCentroid").spatial(),
            Control::off("Return Envelope", "returnEnvelope").spatial(),
            Control::line("Geometry Precision", "geometryPrecision").hint("decimals of x and y").spatial(),
            Control::line("Max Allowable Offset", "maxAllowableOffset").hint("in units of the output").spatial(),
            Control::lines("Quantization Parameters", "quantizationParameters").hint(GRID_HINT).spatial(),
        ],
    },
    Group {
        name: "Answer",
        controls: &[Control::choice(
            "Format",
            "f",
            &[
                ("html", "HTML"),
                ("json", "JSON"),
                ("pjson", "Indented JSON"),
                ("geojson", "GeoJSON"),
                ("pbf", "Protocol buffers"),
            ],
        )],
    },
];

pub(super) const SERVICE_QUERY: &[Group] = &[
    Group {
        name: "Which rows",
        controls: &[
            Control::lines("Layer Definitions", "layerDefs").hint("{\"0\":\"a > 1\",\"1\":\"1=1\"} or 0:a > 1;1:1=1"),
            Control::line("Time", "time").hint("milliseconds since 1970, as t or t1,t2"),
            Control::lines("Input Geometry", "geometry").hint(GEOMETRY_HINT),
            Control::choice("Geometry Type", "geometryType", GEOMETRY_TYPES),
            Control::line("Input Spatial Reference", "inSR").hint(SR_HINT),
            Control::choice("Spatial Relationship", "spatialRel", SPATIAL_RELATIONSHIPS),
            Control::line("Historic Moment", "historicMoment").hint(MOMENT_HINT),
        ],
    },
    Group {
        name: "What to return",
        controls: &[
            Control::on("Return Geometry", "returnGeometry"),
            Control::line("Output Spatial Reference", "outSR").hint(SR_HINT),
            Control::off("Return IDs Only", "returnIdsOnly"),
            Control::off("Return Count Only", "returnCountOnly"),
            Control::off("Return Z", "returnZ"),
            Control::off("Return M", "returnM"),
        ],
    },
    FORMAT,
];

pub(super) const RELATED_RECORDS: &[Group] = &[
    Group {
        name: "Which records",
        controls: &[
            Control::line("Object IDs", "objectIds").hint("of features of this layer, 1,2,3"),
            Control::new("Relationship ID", "relationshipId", Input::Relationship),
            Control::line("Definition Expression", "definitionExpression").hint("a condition on the records"),
            Control::line("Historic Moment", "historicMoment").hint(MOMENT_HINT),
        ],
    },
    Group {
        name: "What to return",
        controls: &[
            Control::line("Out Fields", "outFields").hint("names with commas, * for all"),
            Control::on("Return Geometry", "returnGeometry"),
            Control::line("Output Spatial Reference", "outSR").hint(SR_HINT),
            Control::off("Return Count Only", "returnCountOnly"),
            Control::line("Order By Fields", "orderByFields").hint("name ASC, date DESC"),
            Control::line("Result Offset", "resultOffset").hint("records to skip"),
            Control::line("Result Record Count", "resultRecordCount").hint("records at most"),
            Control::off("Return Z", "returnZ"),
            Control::off("Return M", "returnM"),
            Control::line("Geometry Precision", "geometryPrecision").hint("decimals of x and y"),
            Control::line("Max Allowable Offset", "maxAllowableOffset").hint("in units of the output"),
            Control::lines("Quantization Parameters", "quantizationParameters").hint(GRID_HINT),
        ],
    },
    FORMAT,
];

pub(super) const ATTACHMENTS: &[Group] = &[
    Group {
        name: "Whose attachments",
        controls: &[
            Control::line("Object IDs", "objectIds").hint("1,2,3"),
            Control::line("Global IDs", "globalIds"),
            Control::line("Definition Expression", "definitionExpression").hint("for example 1=1 for every feature"),
        ],
    },
    Group {
        name: "Which attachments",
        controls: &[
            Control::line("Attachments Definition Expression", "attachmentsDefinitionExpression")
                .hint("for example data_size > 1000"),
            Control::line("Attachment Types", "attachmentTypes").hint("image/*, application/pdf"),
            Control::line("Size", "size").hint("min,max in bytes"),
            Control::line("Keywords", "keywords").hint("words with commas, any of which fits"),
        ],
    },
    Group {
        name: "What to return",
        controls: &[
            Control::off("Return URL", "returnUrl"),
            Control::off("Return Count Only", "returnCountOnly"),
            Control::line("Order By Fields", "orderByFields").hint("att_name ASC"),
            Control::line("Result Offset", "resultOffset").hint("attachments to skip"),
            Control::line("Result Record Count", "resultRecordCount").hint("attachments at most"),
        ],
    },
    FORMAT,
];
