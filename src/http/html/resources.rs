//! Shows the resources: catalogue, service, layer and table, list of replicas, replica.

use serde_json::{Map, Value};

use super::Page;
use super::results::{answer, table};
use super::values::{self, fact_rows, facts, is_empty, is_long, json, plain, row};
use super::writer::{Html, percent_encode};

/// Writes the folders and services of a folder.
pub(super) fn catalogue(html: &mut Html, page: &Page<'_>, body: &Value) {
    let here = page.here();
    facts(html, body, &[("Current Version", "currentVersion")]);
    html.heading(2, None, "Folders");
    let folders = items(body, "folders").iter().filter_map(Value::as_str);
    links(html, folders.map(|name| (format!("{here}/{}", percent_encode(name)), name.to_owned())));
    html.heading(2, None, "Services");
    let services = items(body, "services").iter().map(|service| {
        let (path, kind) = (plain(&service["name"]), plain(&service["type"]));
        // A service inside a folder is listed with the folder's name, which the address has already.
        let name = path.rsplit('/').next().unwrap_or_default();
        let address = format!("{here}/{}/{}", percent_encode(name), percent_encode(&kind));
        (address, format!("{path} ({kind})"))
    });
    links(html, services);
    html.heading(2, None, "Supported Interfaces");
    html.raw("<p>").link(page.frame.json_url.unwrap_or_default(), "REST").raw("</p>\n");
}

/// Writes a feature service.
pub(super) fn service(html: &mut Html, page: &Page<'_>, body: &Value) {
    let here = page.here();
    jump(html, &[("#operations", "Supported Operations")]);
    html.raw("<dl>\n");
    fact_rows(html, body, &[("Service Description", "serviceDescription")]);
    row(html, "All Layers and Tables", |html| {
        html.link(&format!("{here}/layers"), "layers");
    });
    fact_rows(
        html,
        body,
        &[
            ("Has Versioned Data", "hasVersionedData"),
            ("Max Record Count", "maxRecordCount"),
            ("Supported query Formats", "supportedQueryFormats"),
            ("Supports applyEdits with GlobalIds", "supportsApplyEditsWithGlobalIds"),
            ("Supports Shared Domains", "supportsSharedDomains"),
        ],
    );
    for (label, key) in [("Layers", "layers"), ("Tables", "tables")] {
        row(html, label, |html| {
            links(html, items(body, key).iter().map(|layer| layer_link(here, layer)));
        });
    }
    if !items(body, "relationships").is_empty() {
        row(html, "Relationships", |html| {
            let names = items(body, "relationships").iter();
            lines(html, names.map(|one| format!("{} ({})", plain(&one["name"]), plain(&one["id"]))));
        });
    }
    fact_rows(
        html,
        body,
        &[
            ("Description", "description"),
            ("Copyright Text", "copyrightText"),
            ("Spatial Reference", "spatialReference"),
            ("Initial Extent", "initialExtent"),
            ("Full Extent", "fullExtent"),
            ("Units", "units"),
            ("Document Info", "documentInfo"),
            ("Enable Z Defaults", "enableZDefaults"),
            ("Z Default", "zDefault"),
            ("Capabilities", "capabilities"),
            ("Sync Enabled", "syncEnabled"),
        ],
    );
    if let Some(flags) = body["syncCapabilities"].as_object() {
        row(html, "Sync Capabilities", |html| {
            lines(html, flag_lines(flags));
        });
    }
    html.raw("</dl>\n");
    change_tracking(html, body);
    service_operations(html, here, body);
}

/// Writes what belongs to a service and what can be done with it, as far as it is capable of it.
fn service_operations(html: &mut Html, here: &str, body: &Value) {
    let syncs = body["syncEnabled"] == true || can(body, &["Sync"]);
    let mut children = Vec::new();
    if syncs {
        children.extend([("replicas", "Replicas"), ("jobs", "Jobs"), ("uploads", "Uploads")]);
    }
    if syncs || can(body, EDITING) {
        children.extend([("batches", "Batches"), ("rejectedEdits", "Refused Edits")]);
    }
    if !children.is_empty() {
        html.heading(2, None, "Child Resources");
        links(html, children.iter().map(|(path, name)| (format!("{here}/{path}"), (*name).to_owned())));
    }
    html.heading(2, Some("operations"), "Supported Operations");
    let mut operations = Vec::new();
    if can(body, EDITING) {
        operations.push(("applyEdits", "Apply Edits"));
    }
    if syncs {
        operations.push(("createReplica", "Create Replica"));
        operations.push(("synchronizeReplica", "Synchronize Replica"));
        operations.push(("unRegisterReplica", "Unregister Replica"));
    }
    if can(body, &["ChangeTracking"]) {
        operations.push(("extractChanges", "Extract Changes"));
    }
    operations.push(("queryDomains", "Query Domains"));
    links(html, operations.iter().map(|(path, name)| (format!("{here}/{path}"), (*name).to_owned())));
}

/// Writes how far back changes of each layer are known.
fn change_tracking(html: &mut Html, body: &Value) {
    let info = &body["changeTrackingInfo"];
    if !info.is_object() {
        return;
    }
    html.heading(2, None, "Change Tracking Info");
    facts(html, info, &[("Last Sync Date", "lastSyncDate")]);
    if !items(info, "layerServerGens").is_empty() {
        table(html, "Server generations of the layers", items(info, "layerServerGens"));
    }
}

/// Writes every layer and table of a service.
pub(super) fn all_layers(html: &mut Html, page: &Page<'_>, body: &Value) {
    for (label, key) in [("Layers", "layers"), ("Tables", "tables")] {
        html.heading(2, None, label);
        links(html, items(body, key).iter().map(|layer| layer_link(page.parent(), layer)));
    }
    for one in items(body, "layers").iter().chain(items(body, "tables")) {
        html.heading(2, None, &format!("{} ({})", plain(&one["name"]), plain(&one["id"])));
        layer_sections(html, page.parent(), one, 3);
    }
}

/// What can be done with a layer whose features may be edited, beside applyEdits.
const EDITING_OPERATIONS: &[(&str, &str)] = &[
    ("addFeatures", "Add Features"),
    ("updateFeatures", "Update Features"),
    ("deleteFeatures", "Delete Features"),
    ("calculate", "Calculate"),
    ("append", "Append"),
    ("validateSQL", "Validate SQL"),
];

/// Writes a layer or table and what can be done with it.
pub(super) fn layer(html: &mut Html, page: &Page<'_>, body: &Value) {
    jump(html, &[("#fields", "Fields"), ("#capabilities", "Capabilities"), ("#operations", "Supported Operations")]);
    if body["geometryType"].is_string() && can(body, &["Query"]) {
        map(html, page.here(), "Map of the layer");
    }
    layer_sections(html, page.parent(), body, 2);
    html.heading(2, Some("operations"), "Supported Operations");
    let mut operations = Vec::new();
    if can(body, &["Query"]) {
        operations.push((format!("{}/query", page.here()), "Query".to_owned()));
    }
    if can(body, EDITING) {
        operations.push((format!("{}/applyEdits", page.here()), "Apply Edits".to_owned()));
        for (path, name) in EDITING_OPERATIONS {
            operations.push((format!("{}/{path}", page.here()), (*name).to_owned()));
        }
        if body["supportsTruncate"] == true {
            let admin = page.here().replacen("/rest/services/", "/rest/admin/services/", 1);
            operations.push((format!("{admin}/truncate"), "Truncate".to_owned()));
        }
    }
    links(html, operations.into_iter());
}

/// Writes the place for a map of a layer's features.
fn map(html: &mut Html, layer: &str, label: &str) {
    html.raw("<div class=\"map\" role=\"region\" data-map")
        .attribute("data-layer", layer)
        .attribute("aria-label", label);
    html.raw(">A browser that runs scripts shows a map here.</div>\n");
}

/// Writes what a layer consists of; `service` is the address of its service.
fn layer_sections(html: &mut Html, service: &str, body: &Value, level: usize) {
    let id = |id| (level == 2).then_some(id);
    html.raw("<dl>\n");
    fact_rows(html, body, LAYER_FACTS);
    if !is_empty(&body["drawingInfo"]) {
        row(html, "Drawing Info", |html| {
            folded(html, "Renderer and labels", &body["drawingInfo"]);
        });
    }
    fact_rows(html, body, LAYER_DATA_FACTS);
    html.raw("</dl>\n");

    html.heading(level, id("fields"), "Fields");
    fields(html, items(body, "fields"));
    for (label, key) in [("Types", "types"), ("Templates", "templates")] {
        if !items(body, key).is_empty() {
            html.heading(level, None, label);
            templates(html, label, items(body, key));
        }
    }
    html.heading(level, id("capabilities"), "Capabilities");
    html.raw("<dl>\n");
    fact_rows(html, body, LAYER_CAPABILITY_FACTS);
    if !items(body, "relationships").is_empty() {
        row(html, "Relationships", |html| {
            relationships(html, service, items(body, "relationships"));
        });
    }
    fact_rows(html, body, &[("Capabilities", "capabilities")]);
    html.raw("</dl>\n");
}

const LAYER_FACTS: &[(&str, &str)] = &[
    ("Name", "name"),
    ("Display Field", "displayField"),
    ("Type", "type"),
    ("Geometry Type", "geometryType"),
    ("Description", "description"),
    ("Definition Expression", "definitionExpression"),
    ("Copyright Text", "copyrightText"),
    ("Min. Scale", "minScale"),
    ("Max. Scale", "maxScale"),
    ("Default Visibility", "defaultVisibility"),
    ("Max Record Count", "maxRecordCount"),
    ("Supported query Formats", "supportedQueryFormats"),
    ("Use Standardized Queries", "useStandardizedQueries"),
    ("Extent", "extent"),
];

const LAYER_DATA_FACTS: &[(&str, &str)] = &[
    ("HasZ", "hasZ"),
    ("HasM", "hasM"),
    ("Has Attachments", "hasAttachments"),
    ("Has Geometry Properties", "hasGeometryProperties"),
    ("HTML Popup Type", "htmlPopupType"),
    ("Object ID Field", "objectIdField"),
    ("Unique ID Field", "uniqueIdField"),
    ("Global ID Field", "globalIdField"),
    ("Type ID Field", "typeIdField"),
];

const LAYER_CAPABILITY_FACTS: &[(&str, &str)] = &[
    ("Supports Statistics", "supportsStatistics"),
    ("Supports Advanced Queries", "supportsAdvancedQueries"),
    ("Advanced Query Capabilities", "advancedQueryCapabilities"),
    ("Supports Coordinates Quantization", "supportsCoordinatesQuantization"),
    ("Supports applyEdits with GlobalIds", "supportsApplyEditsWithGlobalIds"),
    ("Allow Geometry Updates", "allowGeometryUpdates"),
    ("Is Data Versioned", "isDataVersioned"),
    ("Sync Can Return Changes", "syncCanReturnChanges"),
    ("Supports Rollback On Failure Parameter", "supportsRollbackOnFailureParameter"),
    ("Edit Fields Info", "editFieldsInfo"),
    ("Editing Info", "editingInfo"),
];

fn fields(html: &mut Html, fields: &[Value]) {
    let with_domains = fields.iter().any(|field| field["domain"].is_object());
    let mut columns = vec!["Name", "Alias", "Type", "Length", "Nullable", "Editable"];
    if with_domains {
        columns.push("Domain");
    }
    html.open_table("Fields", &columns);
    for field in fields {
        html.raw("<tr><th scope=\"row\">").text(&plain(&field["name"])).raw("</th>");
        for key in ["alias", "type", "length", "nullable", "editable"] {
            text_cell(html, &field[key]);
        }
        if with_domains {
            text_cell(html, &Value::String(domain(&field["domain"])));
        }
        html.raw("</tr>\n");
    }
    html.close_table();
}

/// Returns a domain as `Coded Values: [1: Open], [2: Closed]` or `Range: [1, 50]`; empty if there is none.
fn domain(domain: &Value) -> String {
    if domain.is_null() {
        return String::new();
    }
    if let Some(values) = domain["codedValues"].as_array() {
        let values: Vec<String> =
            values.iter().map(|one| format!("[{}: {}]", plain(&one["code"]), plain(&one["name"]))).collect();
        return format!("Coded Values: {}", values.join(", "));
    }
    if domain["range"].is_array() {
        return format!("Range: [{}]", plain(&domain["range"]));
    }
    plain(&domain["type"])
}

/// Writes a cell with the text of a value, empty where there is none.
fn text_cell(html: &mut Html, member: &Value) {
    let text = if member.is_null() { String::new() } else { plain(member) };
    html.open_cell(is_long(&text)).text(&text).raw("</td>");
}

/// Writes feature types or templates, which have the same members.
fn templates(html: &mut Html, label: &str, items: &[Value]) {
    html.open_table(label, &["Name", "Description", "Drawing Tool", "Prototype"]);
    for one in items {
        html.raw("<tr><th scope=\"row\">");
        html.text(&match one.get("id") {
            Some(id) => format!("{} ({})", plain(&one["name"]), plain(id)),
            None => plain(&one["name"]),
        });
        html.raw("</th>");
        for key in ["description", "drawingTool"] {
            text_cell(html, &one[key]);
        }
        html.raw("<td>");
        if !is_empty(&one["prototype"]) {
            folded(html, "Attributes", &one["prototype"]);
        }
        html.raw("</td></tr>\n");
    }
    html.close_table();
}

fn relationships(html: &mut Html, service: &str, relationships: &[Value]) {
    html.raw("<ul>");
    for one in relationships {
        let related = plain(&one["relatedTableId"]);
        let text = format!("{} ({related})", plain(&one["name"]));
        html.raw("<li>").link(&format!("{service}/{}", percent_encode(&related)), &text);
        if let Some(cardinality) = one["cardinality"].as_str() {
            html.raw(" -- ").text(cardinality);
        }
        html.raw("</li>");
    }
    html.raw("</ul>");
}

/// Writes the list of replicas.
pub(super) fn replicas(html: &mut Html, page: &Page<'_>, body: &Value) {
    let replicas = body.as_array().map_or(&[][..], Vec::as_slice);
    if replicas.is_empty() {
        html.raw("<p>None</p>\n");
    } else {
        html.raw("<p>Replicas: ").text(&replicas.len().to_string()).raw("</p>\n");
        let dated = replicas.iter().any(|replica| replica.get("lastSyncDate").is_some());
        let mut columns = vec!["Replica Name", "Replica ID"];
        if dated {
            columns.push("Last Sync Date");
        }
        html.open_table("Replicas", &columns);
        for replica in replicas {
            let id = plain(&replica["replicaID"]);
            html.raw("<tr><th scope=\"row\">").text(&plain(&replica["replicaName"])).raw("</th><td>");
            html.link(&format!("{}/{}", page.here(), percent_encode(&id)), &id).raw("</td>");
            if dated {
                html.raw("<td>");
                values::value(html, "lastSyncDate", &replica["lastSyncDate"]);
                html.raw("</td>");
            }
            html.raw("</tr>\n");
        }
        html.close_table();
    }
    html.heading(2, Some("operations"), "Supported Operations");
    let create = (format!("{}/createReplica", page.parent()), "Create Replica".to_owned());
    links(html, [create].into_iter());
}

/// Writes the list of jobs.
pub(super) fn jobs(html: &mut Html, page: &Page<'_>, body: &Value) {
    let jobs = items(body, "jobs");
    if jobs.is_empty() {
        html.raw("<p>None</p>\n");
        return;
    }
    html.open_table("Jobs", &["Job ID", "Operation", "Status", "Submission Time", "Last Updated Time"]);
    for job in jobs {
        let id = plain(&job["jobId"]);
        html.raw("<tr><th scope=\"row\">").link(&format!("{}/{}", page.here(), percent_encode(&id)), &id);
        html.raw("</th>");
        for key in ["operation", "status", "submissionTime", "lastUpdatedTime"] {
            html.raw("<td>");
            values::value(html, key, &job[key]);
            html.raw("</td>");
        }
        html.raw("</tr>\n");
    }
    html.close_table();
}

/// Writes the list of uploads.
pub(super) fn uploads(html: &mut Html, page: &Page<'_>, body: &Value) {
    let here = page.here();
    if items(body, "items").is_empty() {
        html.raw("<p>None</p>\n");
    } else {
        html.open_table("Uploads", &["Item ID", "Item Name", "Description", "Date", "Committed", "Size"]);
        for item in items(body, "items") {
            let id = plain(&item["itemID"]);
            html.raw("<tr><th scope=\"row\">").link(&format!("{here}/{}", percent_encode(&id)), &id).raw("</th>");
            for key in ["itemName", "description", "date", "committed", "size"] {
                html.raw("<td>");
                // The key would say the same of a field of that name.
                values::value(html, if key == "date" { "creationDate" } else { key }, &item[key]);
                html.raw("</td>");
            }
            html.raw("</tr>\n");
        }
        html.close_table();
    }
    html.heading(2, Some("operations"), "Supported Operations");
    let operations = [("upload", "Upload"), ("register", "Register")];
    links(html, operations.iter().map(|(path, name)| (format!("{here}/{path}"), (*name).to_owned())));
}

/// Writes one upload.
pub(super) fn upload_item(html: &mut Html, page: &Page<'_>, body: &Value) {
    answer(html, body, 2);
    html.heading(2, Some("operations"), "Supported Operations");
    let (open, committed) = (
        [("uploadPart", "Upload Part"), ("parts", "Parts"), ("commit", "Commit"), ("delete", "Delete")],
        [("delete", "Delete")],
    );
    let operations = if body["committed"] == true { &committed[..] } else { &open[..] };
    links(html, operations.iter().map(|(path, name)| (format!("{}/{path}", page.here()), (*name).to_owned())));
}

/// The members of a replica in the customary order; the others follow.
const REPLICA_FACTS: &[(&str, &str)] = &[
    ("Replica Name", "replicaName"),
    ("Replica Id", "replicaID"),
    ("Replica Owner", "replicaOwner"),
    ("Target Type", "targetType"),
    ("Replica ServerGen", "replicaServerGen"),
    ("Replica ServerSibGen", "replicaServerSibGen"),
    ("Creation Date", "creationDate"),
    ("Last Sync Date", "lastSyncDate"),
    ("Sync Model", "syncModel"),
    ("Sync Direction", "syncDirection"),
    ("Return Attachments", "returnAttachments"),
    ("Attachments Sync Direction", "attachmentsSyncDirection"),
    ("Spatial Relation", "spatialRel"),
];

/// Writes one replica.
pub(super) fn replica(html: &mut Html, page: &Page<'_>, body: &Value) {
    html.raw("<dl>\n");
    fact_rows(html, body, REPLICA_FACTS);
    if !is_empty(&body["geometry"]) {
        row(html, "Geometry", |html| {
            replica_geometry(html, &body["geometry"]);
        });
    }
    fact_rows(html, body, &[("Spatial Reference", "spatialReference")]);
    html.raw("</dl>\n");
    for (label, key) in [("LayerServerGens", "layerServerGens"), ("Layers", "layers")] {
        if !items(body, key).is_empty() {
            html.heading(2, None, label);
            table(html, label, items(body, key));
        }
    }
    let known = |key: &str| REPLICA_FACTS.iter().any(|(_, known)| *known == key);
    let others: Map<String, Value> = body
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !known(key))
        .filter(|(key, _)| !["geometry", "spatialReference", "layerServerGens", "layers"].contains(&key.as_str()))
        .map(|(key, member)| (key.clone(), member.clone()))
        .collect();
    if !others.is_empty() {
        html.heading(2, None, "Further Properties");
        answer(html, &Value::Object(others), 3);
    }
    let id = percent_encode(&plain(&body["replicaID"]));
    // Two steps up: the list of replicas, then the service.
    let service = page.ancestor(2);
    html.heading(2, None, "Child Resources");
    let books = [
        (format!("{}/status", page.here()), "Status"),
        (format!("{}/batches", page.here()), "Uploads"),
        (format!("{service}/rejectedEdits?replicaID={id}"), "Refused Edits"),
        (format!("{service}/conflicts?replicaID={id}"), "Conflicts"),
        (format!("{}/verify", page.here()), "Verify"),
    ];
    links(html, books.into_iter().map(|(address, name)| (address, name.to_owned())));
    html.heading(2, Some("operations"), "Supported Operations");
    let operations = [("synchronizeReplica", "Synchronize Replica"), ("unRegisterReplica", "Unregister Replica")];
    links(html, operations.iter().map(|(path, name)| (format!("{service}/{path}?replicaID={id}"), (*name).to_owned())));
}

/// Writes the area of a replica: an envelope as its lines, anything else in a line with its coordinates folded away.
fn replica_geometry(html: &mut Html, geometry: &Value) {
    if geometry.get("xmin").is_some() {
        values::extent(html, geometry);
        return;
    }
    match values::geometry(geometry) {
        Some(summary) => folded(html, &summary, geometry),
        None => json(html, geometry),
    }
}

const EDITING: &[&str] = &["Create", "Update", "Delete", "Editing"];

/// Says whether a service or layer has one of the capabilities.
fn can(body: &Value, capabilities: &[&str]) -> bool {
    let granted = body["capabilities"].as_str().unwrap_or_default();
    granted.split(',').any(|one| capabilities.iter().any(|name| one.trim().eq_ignore_ascii_case(name)))
}

fn items<'a>(body: &'a Value, key: &str) -> &'a [Value] {
    body[key].as_array().map_or(&[], Vec::as_slice)
}

fn layer_link(service: &str, layer: &Value) -> (String, String) {
    let id = plain(&layer["id"]);
    (format!("{service}/{}", percent_encode(&id)), format!("{} ({id})", plain(&layer["name"])))
}

/// Returns `name: value` for each flag; flags within an object follow it with their path.
fn flag_lines(flags: &Map<String, Value>) -> impl Iterator<Item = String> {
    flags.iter().flat_map(|(name, flag)| match flag.as_object() {
        Some(inner) => inner.iter().map(|(key, value)| format!("{name}.{key}: {}", plain(value))).collect(),
        None => vec![format!("{name}: {}", plain(flag))],
    })
}

fn lines(html: &mut Html, lines: impl Iterator<Item = String>) {
    html.raw("<ul class=\"lines\">");
    for line in lines {
        html.raw("<li>").text(&line).raw("</li>");
    }
    html.raw("</ul>");
}

/// Writes addresses and texts as a list of links, or that there are none.
fn links(html: &mut Html, links: impl Iterator<Item = (String, String)>) {
    let mut links = links.peekable();
    if links.peek().is_none() {
        html.none();
        return;
    }
    html.raw("<ul class=\"links\">");
    for (address, text) in links {
        html.raw("<li>").link(&address, &text).raw("</li>");
    }
    html.raw("</ul>");
}

/// Writes links to places further down the page.
fn jump(html: &mut Html, places: &[(&'static str, &'static str)]) {
    html.raw("<nav class=\"jump\" aria-label=\"On this page\">");
    for (place, text) in places {
        html.raw("<a href=\"").raw(place).raw("\">").raw(text).raw("</a> ");
    }
    html.raw("</nav>\n");
}

/// Writes JSON that few want to see, behind a line to open.
fn folded(html: &mut Html, summary: &str, value: &Value) {
    html.raw("<details><summary>").text(summary).raw("</summary>");
    json(html, value);
    html.raw("</details>");
}
