//! The forms of the operations: their labels, the parameters they send, and how they are written.

use super::control::{Control, Input};
use super::query_forms::{ATTACHMENTS, QUERY, RELATED_RECORDS, SERVICE_QUERY};
use super::resources::items;
use super::values::plain;
use super::writer::Html;
use super::{Kind, Page, admin_forms, editing_forms};

/// A form: the parameters of one operation, in the customary order.
pub(super) struct Form {
    heading: &'static str,
    submit: Submit,
    groups: &'static [Group],
    spatial: bool,
}

/// How a form is sent, and what its buttons say.
enum Submit {
    GetOrPost(&'static str, &'static str),
    Post(&'static str),
}

/// Parameters that belong together.
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) controls: &'static [Control],
}

/// The groups that few need; who does opens them.
const FOLDED: &[&str] = &["Statistics", "Order and pages", "Geometries", "Advanced"];

pub(super) const GEOMETRY_TYPES: &[(&str, &str)] = &[
    ("esriGeometryEnvelope", "Envelope"),
    ("esriGeometryPoint", "Point"),
    ("esriGeometryPolyline", "Polyline"),
    ("esriGeometryPolygon", "Polygon"),
    ("esriGeometryMultipoint", "Multipoint"),
];

const TRANSPORT_TYPES: &[(&str, &str)] = &[("esriTransportTypeUrl", "Url"), ("esriTransportTypeEmbedded", "Embedded")];

pub(super) const FORMAT: Group =
    Group { name: "Answer", controls: &[Control::choice("Format", "f", &[("html", "HTML"), ("json", "JSON")])] };

pub(super) const GEOMETRY_HINT: &str = "xmin,ymin,xmax,ymax or a JSON geometry";
pub(super) const SR_HINT: &str = "a number such as 3857, or JSON";

const CREATE_REPLICA: &[Group] = &[
    Group {
        name: "What the replica holds",
        controls: &[
            Control::line("Replica Name", "replicaName").hint("made up if empty"),
            Control::new("Layers", "layers", Input::Layers).hint("ids of layers and tables, 0,1,2"),
            Control::lines("LayerQueries", "layerQueries")
                .hint("instead of choices above: {\"0\":{\"queryOption\":\"useFilter\",\"where\":\"…\",\"useGeometry\":true}}"),
            Control::lines("Geometry", "geometry").hint(GEOMETRY_HINT),
            Control::choice("Geometry Type", "geometryType", GEOMETRY_TYPES),
            Control::line("Input Spatial Reference", "inSR").hint(SR_HINT),
            Control::line("Replica Spatial Reference", "replicaSR").hint(SR_HINT),
        ],
    },
    Group {
        name: "How it is delivered and synchronized",
        controls: &[
            Control::choice("Transport Type", "transportType", TRANSPORT_TYPES),
            Control::choice(
                "Sync Model",
                "syncModel",
                &[("perReplica", "perReplica"), ("perLayer", "perLayer"), ("none", "none")],
            ),
            Control::choice(
                "Sync Direction",
                "syncDirection",
                &[
                    ("", "As the target has it"),
                    ("bidirectional", "bidirectional"),
                    ("upload", "upload"),
                    ("download", "download"),
                ],
            ),
            Control::off("Return Attachments", "returnAttachments"),
            Control::choice(
                "Attachments Sync Direction",
                "attachmentsSyncDirection",
                &[
                    ("", "As returnAttachments has it"),
                    ("bidirectional", "bidirectional"),
                    ("upload", "upload"),
                    ("none", "none"),
                ],
            ),
            Control::choice("Data Format", "dataFormat", EXPORT_FORMATS)
                .hint("those after GeoPackage with syncModel=none"),
            Control::off("Asynchronous", "async").hint("runs as a job; the answer says where to ask for it"),
        ],
    },
    Group {
        name: "Advanced",
        controls: &[
            Control::choice("Target Type", "targetType", &[("client", "client"), ("server", "server")]),
            Control::on("Return Attachments Data By Url", "returnAttachmentsDataByUrl"),
            Control::lines("Replica Options", "replicaOptions")
                .hint("{\"registerExistingData\":true,\"refReplicaId\":\"…\",\"refReplicaServerGen\":8411}"),
        ],
    },
    FORMAT,
];

const EXPORT_FORMATS: &[(&str, &str)] = &[
    ("json", "JSON"),
    ("sqlite", "SQLite (mobile geodatabase)"),
    ("geoPackage", "GeoPackage"),
    ("featureCollection", "feature collection"),
    ("csv", "CSV"),
    ("geojson", "GeoJSON"),
    ("shapefile", "shapefiles"),
    ("filegdb", "file geodatabase"),
    ("kml", "KML"),
    ("excel", "Excel"),
];

const SYNCHRONIZE_REPLICA: &[Group] = &[
    Group {
        name: "Replica",
        controls: &[
            Control::line("Replica ID", "replicaID"),
            Control::line("Replica ServerGen", "replicaServerGen")
                .hint("perReplica: the generation that the client has"),
            Control::line("Replica ServerSibGen", "replicaServerSibGen")
                .hint("a server's upload: the generation of that server"),
            Control::choice("Transport Type", "transportType", TRANSPORT_TYPES),
            Control::off("Close Replica", "closeReplica"),
            Control::off("Asynchronous", "async").hint("runs as a job; the answer says where to ask for it"),
        ],
    },
    Group {
        name: "Edits and directions",
        controls: &[
            Control::off("Return Ids For Adds", "returnIdsForAdds"),
            Control::lines("Edits", "edits")
                .hint("[{\"id\":0,\"features\":{\"adds\":[],\"updates\":[],\"deleteIds\":[]}}]"),
            Control::line("Edits Upload ID", "editsUploadId").hint("instead of edits: an upload that has them"),
            Control::choice(
                "Edits Upload Format",
                "editsUploadFormat",
                &[("json", "JSON"), ("sqlite", "SQLite: mobile geodatabase, GeoPackage")],
            ),
            Control::choice(
                "Sync Direction",
                "syncDirection",
                &[
                    ("bidirectional", "bidirectional"),
                    ("upload", "upload"),
                    ("download", "download"),
                    ("snapshot", "snapshot"),
                ],
            ),
            Control::lines("Sync Layers", "syncLayers")
                .hint("perLayer: [{\"id\":0,\"serverGen\":8411,\"syncDirection\":\"bidirectional\"}]"),
            Control::choice(
                "Rollback on Failure",
                "rollbackOnFailure",
                &[("", "As the sync model says"), ("true", "True"), ("false", "False")],
            ),
        ],
    },
    FORMAT,
];

const UNREGISTER_REPLICA: &[Group] = &[Group {
    name: "Replica",
    controls: &[
        Control::line("Replica ID", "replicaID").hint("* for every replica that you may remove"),
        Control::choice("Format", "f", &[("html", "HTML"), ("json", "JSON")]),
    ],
}];

const IMPORT_REPLICA: &[Group] = &[
    Group {
        name: "What another server's createReplica answered",
        controls: &[
            Control::line("Replica Name", "replicaName"),
            Control::line("Replica ID", "replicaID"),
            Control::choice("Sync Model", "syncModel", &[("perReplica", "perReplica"), ("perLayer", "perLayer")]),
            Control::choice(
                "Sync Direction",
                "syncDirection",
                &[("download", "download"), ("upload", "upload"), ("bidirectional", "bidirectional")],
            ),
            Control::line("Spatial Reference", "spatialReference").hint(SR_HINT),
            Control::line("Replica ServerGen", "replicaServerGen").hint("perReplica"),
            Control::lines("Layer ServerGens", "layerServerGens").hint("perLayer: [{\"id\":0,\"serverGen\":8411}]"),
            Control::lines("Layers", "layers").hint("[{\"id\":0,\"features\":[…]}]"),
        ],
    },
    FORMAT,
];

const EXTRACT_CHANGES: &[Group] = &[
    Group {
        name: "Which changes",
        controls: &[
            Control::line("Layers", "layers").hint("ids of layers and tables; all if empty"),
            Control::line("ServerGens", "serverGens").hint("changes after 8411, or those in [8411,8500]"),
            Control::lines("Layer ServerGens", "layerServerGens").hint("[{\"id\":0,\"serverGen\":8411}]"),
            Control::on("Return Inserts", "returnInserts"),
            Control::on("Return Updates", "returnUpdates"),
            Control::on("Return Deletes", "returnDeletes"),
            Control::lines("LayerQueries", "layerQueries").hint("{\"0\":{\"where\":\"…\",\"useGeometry\":true}}"),
            Control::lines("Geometry", "geometry").hint(GEOMETRY_HINT),
            Control::choice("Geometry Type", "geometryType", GEOMETRY_TYPES),
            Control::line("Input Spatial Reference", "inSR").hint(SR_HINT),
        ],
    },
    Group {
        name: "What to return",
        controls: &[
            Control::line("Output Spatial Reference", "outSR").hint(SR_HINT),
            Control::off("Return IDs Only", "returnIdsOnly"),
            Control::off("Return Deleted Features", "returnDeletedFeatures"),
            Control::off("Return Has Geometry Updates", "returnHasGeometryUpdates"),
            Control::off("Return Attachments", "returnAttachments"),
            Control::on("Return Attachments Data By Url", "returnAttachmentsDataByUrl"),
            Control::line("Fields To Compare", "fieldsToCompare").hint("{\"fields\":[\"A\",\"B\"]}"),
            Control::off("Return Extent Only", "returnExtentOnly"),
            Control::choice(
                "Changes Extent Grid Cell",
                "changesExtentGridCell",
                &[("none", "None"), ("large", "Large"), ("medium", "Medium"), ("small", "Small")],
            ),
            Control::choice(
                "Transport Type",
                "transportType",
                &[("esriTransportTypeEmbedded", "Embedded"), ("esriTransportTypeUrl", "Url")],
            ),
            Control::choice("Data Format", "dataFormat", &[("json", "JSON")]),
        ],
    },
    FORMAT,
];

const UPLOAD: &[Group] = &[
    Group {
        name: "File",
        controls: &[
            Control::new("File", "file", Input::File),
            Control::line("Description", "description"),
            Control::line("Checksum", "checksum").hint("SHA-256 of the file, if you have it"),
        ],
    },
    FORMAT,
];

const REGISTER_UPLOAD: &[Group] = &[
    Group {
        name: "File",
        controls: &[
            Control::line("Item Name", "itemName").hint("edits.json"),
            Control::line("Description", "description"),
        ],
    },
    FORMAT,
];

const UPLOAD_PART: &[Group] = &[
    Group {
        name: "Part",
        controls: &[
            Control::new("File", "file", Input::File),
            Control::line("Part ID", "partId").hint("from 1"),
            Control::line("Checksum", "checksum").hint("SHA-256 of the part, if you have it"),
        ],
    },
    FORMAT,
];

const COMMIT_UPLOAD: &[Group] = &[
    Group {
        name: "Parts",
        controls: &[
            Control::line("Parts", "parts").hint("1,2,3; all of them by their numbers if empty"),
            Control::line("Checksum", "checksum").hint("SHA-256 of the whole file, if you have it"),
        ],
    },
    FORMAT,
];

const UNDO: &[Group] = &[
    Group {
        name: "Upload",
        controls: &[
            Control::on("Preview", "preview").hint("lists what would be done, and does nothing"),
            Control::off("Force", "force").hint("also what others changed since"),
        ],
    },
    FORMAT,
];

const APPLY_REJECTED: &[Group] = &[
    Group {
        name: "Edit",
        controls: &[Control::lines("Feature", "feature").hint("a correction; empty: as it was sent")],
    },
    FORMAT,
];

const RESTORE: &[Group] = &[
    Group {
        name: "Conflict",
        controls: &[Control::off("Force", "force").hint("also if the feature was changed since")],
    },
    FORMAT,
];

const GENERATE_TOKEN: &[Group] = &[
    Group {
        name: "Who",
        controls: &[Control::line("User name", "username"), Control::new("Password", "password", Input::Password)],
    },
    Group {
        name: "Token",
        controls: &[
            Control::choice(
                "Client",
                "client",
                &[
                    ("", "Anything"),
                    ("referer", "Web page, see referer"),
                    ("requestip", "Address of this request"),
                    ("ip", "Address, see IP"),
                ],
            ),
            Control::line("Referer", "referer").hint("the page with which alone the token counts"),
            Control::line("IP", "ip").hint("the address from which alone the token counts"),
            Control::line("Expiration", "expiration").hint("minutes; 60 if empty"),
        ],
    },
    FORMAT,
];

/// Returns the form of a page, if pages of its kind have one.
pub(super) fn form(kind: Kind) -> Option<Form> {
    let post = |heading, button, groups| Some(Form { heading, submit: Submit::Post(button), groups, spatial: true });
    let read = |heading, groups, spatial| {
        Some(Form { heading, submit: Submit::GetOrPost("Query (GET)", "Query (POST)"), groups, spatial })
    };
    match kind {
        Kind::Query { table } => read("Query", QUERY, !table),
        Kind::ServiceQuery => read("Query", SERVICE_QUERY, true),
        Kind::RelatedRecords => read("Query Related Records", RELATED_RECORDS, true),
        Kind::AttachmentQuery => read("Query Attachments", ATTACHMENTS, true),
        Kind::CreateReplica => post("Create Replica", "Create Replica", CREATE_REPLICA),
        Kind::SynchronizeReplica => post("Synchronize Replica", "Synchronize Replica", SYNCHRONIZE_REPLICA),
        Kind::UnregisterReplica => post("Unregister Replica", "Unregister Replica", UNREGISTER_REPLICA),
        Kind::ImportReplica => post("Import Replica", "Import Replica", IMPORT_REPLICA),
        Kind::ExtractChanges => Some(Form {
            heading: "Extract Changes",
            submit: Submit::GetOrPost("Extract Changes (GET)", "Extract Changes (POST)"),
            groups: EXTRACT_CHANGES,
            spatial: true,
        }),
        Kind::Books { operation: "undo" } => post("Undo Batch", "Undo", UNDO),
        Kind::Books { operation: "apply" } => post("Apply Refused Edit", "Apply", APPLY_REJECTED),
        Kind::Books { operation: "restore" } => post("Restore", "Restore", RESTORE),
        Kind::Books { .. } => post("Dismiss Refused Edit", "Dismiss", &[FORMAT]),
        Kind::Editing { operation: "validateSQL" } => {
            let (heading, groups) = editing_forms::of("validateSQL");
            let submit = Submit::GetOrPost("Validate SQL (GET)", "Validate SQL (POST)");
            Some(Form { heading, submit, groups, spatial: true })
        }
        Kind::Editing { operation } => {
            let (name, groups) = editing_forms::of(operation);
            post(name, name, groups)
        }
        Kind::Definition { operation } => {
            let (name, groups) = admin_forms::of(operation);
            post(name, name, groups)
        }
        Kind::LayerEdits => post("Apply Edits", "Apply Edits", editing_forms::LAYER_EDITS),
        Kind::ServiceEdits => post("Apply Edits", "Apply Edits", editing_forms::SERVICE_EDITS),
        Kind::Upload => post("Upload", "Upload", UPLOAD),
        Kind::RegisterUpload => post("Register", "Register", REGISTER_UPLOAD),
        Kind::UploadPart => post("Upload Part", "Upload Part", UPLOAD_PART),
        Kind::CommitUpload => post("Commit", "Commit", COMMIT_UPLOAD),
        Kind::DeleteUpload => post("Delete", "Delete", &[FORMAT]),
        Kind::GenerateToken => post("Generate Token", "Generate Token", GENERATE_TOKEN),
        Kind::Catalogue
        | Kind::Service
        | Kind::AllLayers
        | Kind::Layer
        | Kind::Feature
        | Kind::Attachments
        | Kind::Administration
        | Kind::Entries
        | Kind::Entry
        | Kind::Replicas
        | Kind::Replica
        | Kind::Jobs
        | Kind::Job
        | Kind::Uploads
        | Kind::UploadItem
        | Kind::Console(_)
        | Kind::Other => None,
    }
}

impl Form {
    fn controls(&self) -> impl Iterator<Item = &'static Control> {
        let spatial = self.spatial;
        self.groups.iter().flat_map(|group| group.controls).filter(move |control| spatial || !control.spatial)
    }

    /// Returns the parameters of the request that this form has, as they were sent.
    pub(super) fn values<'a>(&self, page: &Page<'a>) -> Vec<(&'static str, &'a str)> {
        self.controls().filter_map(|control| Some((control.name, page.form_value(control.name)?))).collect()
    }

    /// Writes the form, filled with what the request sent.
    pub(super) fn write(&self, html: &mut Html, page: &Page<'_>) {
        // Without an answer above it, the title of the page is heading enough.
        if page.body.is_some() {
            html.heading(2, Some("form"), self.heading);
        }
        if matches!(self.submit, Submit::Post(_)) {
            html.raw("<p class=\"note\">This operation is only supported via POST.</p>\n");
        }
        html.raw("<form").attribute("action", page.here());
        html.raw(match self.submit {
            Submit::GetOrPost(..) => " method=\"get\"",
            Submit::Post(_) => " method=\"post\"",
        });
        if self.controls().any(|control| matches!(control.input, Input::File)) {
            html.raw(" enctype=\"multipart/form-data\"");
        }
        html.raw(">\n");
        // Of a form that may be sent by GET, the button for POST has it: it must not get into an address.
        let csrf = page.frame.visitor.csrf();
        if let (Some(csrf), Submit::Post(_)) = (csrf, &self.submit) {
            html.raw("<input type=\"hidden\" name=\"csrf\"").attribute("value", csrf).raw(">\n");
        }
        for group in self.groups {
            let controls = || group.controls.iter().filter(|control| self.spatial || !control.spatial);
            let folded = FOLDED.contains(&group.name);
            if controls().next().is_none() {
                continue;
            }
            if folded {
                html.raw("<details class=\"group\"");
                html.raw(if controls().any(|control| control.is_set(page)) { " open><summary>" } else { "><summary>" });
                html.raw(group.name).raw("</summary>\n");
            }
            html.raw("<fieldset><legend>").raw(group.name).raw("</legend>\n");
            for control in controls() {
                control.write(html, page);
                if control.name == "geometry" {
                    write_drawing(html, page);
                }
            }
            html.raw(if folded { "</fieldset></details>\n" } else { "</fieldset>\n" });
        }
        html.raw("<p class=\"buttons\">");
        match self.submit {
            Submit::GetOrPost(get, post) => {
                html.raw("<button type=\"submit\">").raw(get).raw("</button> ");
                html.raw("<button type=\"submit\" class=\"second\" formmethod=\"post\"");
                if let Some(csrf) = csrf {
                    html.raw(" name=\"csrf\"").attribute("value", csrf);
                }
                html.raw(">").raw(post).raw("</button>");
            }
            Submit::Post(post) => {
                html.raw("<button type=\"submit\">").raw(post).raw("</button>");
            }
        }
        html.raw("</p>\n</form>\n");
    }
}

/// Writes the place for a map on which somebody draws the geometry that the form asks for.
fn write_drawing(html: &mut Html, page: &Page<'_>) {
    html.raw("<details class=\"draw\"");
    // What a replica holds is mostly a matter of where.
    html.raw(if page.kind == Kind::CreateReplica { " open" } else { "" });
    html.raw("><summary>Draw it on a map</summary><div class=\"map\" role=\"region\" aria-label=\"Map to draw on\" data-draw");
    html.attribute("data-of", page.parent());
    if page.about["layer"].is_null() {
        let with_geometry = items(page.about, "layers").iter().filter(|layer| layer["geometryType"].is_string());
        let ids: Vec<String> = with_geometry.map(|layer| plain(&layer["id"])).collect();
        html.attribute("data-layers", &ids.join(","));
    }
    html.raw(">A browser that runs scripts shows a map here.</div></details>\n");
}
