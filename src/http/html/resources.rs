//! Shows what is published: catalogue, service, layer and table.

use serde_json::{Map, Value};

use super::Page;
use super::lists::part;
use super::results::table;
use super::values::{fact_rows, facts, is_empty, is_long, json, plain, row, shortened};
use super::writer::{Html, percent_encode};

/// Writes the folders and services of a folder.
pub(super) fn catalogue(html: &mut Html, page: &Page<'_>, body: &Value) {
    let here = page.here();
    html.raw("<dl>\n");
    // There is one folder, and clients know it by this name.
    row(html, "Folder", |html| {
        html.raw("/");
    });
    fact_rows(html, body, &[("Current Version", "currentVersion")]);
    html.raw("</dl>\n");
    html.heading(2, None, "Folders");
    let folders = items(body, "folders").iter().filter_map(Value::as_str);
    links(html, folders.map(|name| (format!("{here}/{}", percent_encode(name)), name.to_owned())));
    html.heading(2, None, "Services");
    if items(body, "services").is_empty() {
        html.raw("<p>")
            .none()
            .raw("</p>\n<p class=\"note\">There is nothing that you may see here. Tables become layers with ");
        html.raw("<code>syncline publish</code>, and files with <code>syncline import</code>.</p>\n");
    } else {
        let (services, around) = part(page, items(body, "services"));
        html.raw("<ul class=\"cards\">\n");
        for service in services {
            service_card(html, page, service);
        }
        html.raw("</ul>\n");
        around.write(html, page);
    }
    html.heading(2, None, "Supported Interfaces");
    html.raw("<p>").link(page.frame.json_url.unwrap_or_default(), "REST").raw("</p>\n");
}

/// Writes a service of the catalogue, with what it holds and what one may do with it.
fn service_card(html: &mut Html, page: &Page<'_>, service: &Value) {
    let (path, kind) = (plain(&service["name"]), plain(&service["type"]));
    // A service inside a folder is listed with the folder's name, which the address has already.
    let name = path.rsplit('/').next().unwrap_or_default();
    let address = format!("{}/{}/{}", page.here(), percent_encode(name), percent_encode(&kind));
    html.raw("<li class=\"card\"><p class=\"name\">").link(&address, &format!("{path} ({kind})")).raw("</p>");
    let Some(known) = items(page.about, "services").iter().find(|known| known["name"] == service["name"]) else {
        html.raw("</li>\n");
        return;
    };
    if let Some(description) = known["description"].as_str().filter(|text| !text.is_empty()) {
        html.raw("<p>");
        shortened(html, description);
        html.raw("</p>");
    }
    html.raw("<p class=\"note\">").text(&counted(known["layers"].as_u64(), "layer"));
    if known["tables"].as_u64() > Some(0) {
        html.raw(", ").text(&counted(known["tables"].as_u64(), "table"));
    }
    html.raw("</p>\n<p class=\"badges\">");
    if can(known, &["Sync"]) {
        html.raw("<span class=\"badge info\">Sync</span> ");
    }
    html.raw(match can(known, EDITING) {
        true => "<span class=\"badge good\">Editable</span>",
        false => "<span class=\"badge\">Read only</span>",
    });
    html.raw("</p></li>\n");
}

fn counted(count: Option<u64>, noun: &str) -> String {
    match count.unwrap_or_default() {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    }
}

/// Writes a feature service.
pub(super) fn service(html: &mut Html, page: &Page<'_>, body: &Value) {
    let here = page.here();
    jump(html, &[("#operations", "Supported Operations")]);
    html.raw("<div class=\"beside\">\n<div>\n<dl>\n");
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
    html.raw("</div>\n<aside>\n");
    service_operations(html, page, body);
    html.raw("</aside>\n</div>\n");
}

/// Writes what belongs to a service and what can be done with it, as far as it is capable of it.
fn service_operations(html: &mut Html, page: &Page<'_>, body: &Value) {
    let here = page.here();
    let syncs = body["syncEnabled"] == true || can(body, &["Sync"]);
    let mut children = Vec::new();
    if syncs {
        children.extend([("replicas", "Replicas"), ("jobs", "Jobs"), ("uploads", "Uploads")]);
    }
    if syncs || can(body, EDITING) {
        children.extend([("batches", "Batches"), ("rejectedEdits", "Refused Edits")]);
    }
    if syncs {
        children.push(("conflicts", "Conflicts"));
    }
    if !items(body, "relationships").is_empty() {
        children.push(("relationships", "Relationships"));
    }
    if !children.is_empty() {
        html.heading(2, None, "Child Resources");
        links(html, children.iter().map(|(path, name)| (format!("{here}/{path}"), (*name).to_owned())));
    }
    html.heading(2, Some("operations"), "Supported Operations");
    let mut operations = Vec::new();
    if can(body, &["Query"]) {
        operations.push(("query", "Query"));
    }
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
    let mut operations: Vec<(String, String)> =
        operations.iter().map(|(path, name)| (format!("{here}/{path}"), (*name).to_owned())).collect();
    if page.about["access"] == "manage" {
        operations.push((admin_address(here), "Administration".to_owned()));
    }
    links(html, operations.into_iter());
}

/// The address of the administration of a service or layer.
pub(super) fn admin_address(of: &str) -> String {
    of.replacen("/rest/services/", "/rest/admin/services/", 1)
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
    html.raw("<div class=\"beside\">\n<div>\n");
    if body["geometryType"].is_string() && can(body, &["Query"]) {
        map(html, page.here(), "Map of the layer");
    }
    layer_sections(html, page.parent(), body, 2);
    html.raw("</div>\n<aside>\n");
    layer_operations(html, page, body);
    html.raw("</aside>\n</div>\n");
}

/// Writes what can be done with a layer, as far as it is capable of it.
fn layer_operations(html: &mut Html, page: &Page<'_>, body: &Value) {
    html.heading(2, Some("operations"), "Supported Operations");
    let mut operations = Vec::new();
    if can(body, &["Query"]) {
        operations.push((format!("{}/query", page.here()), "Query".to_owned()));
        let all = format!("{}/query?where=1%3D1&outFields=*&resultRecordCount=100", page.here());
        operations.push((all, "Query: the first 100 records".to_owned()));
        if !items(body, "relationships").is_empty() {
            operations.push((format!("{}/queryRelatedRecords", page.here()), "Query Related Records".to_owned()));
        }
        if body["hasAttachments"] == true {
            operations.push((format!("{}/queryAttachments", page.here()), "Query Attachments".to_owned()));
        }
    }
    if can(body, EDITING) {
        operations.push((format!("{}/applyEdits", page.here()), "Apply Edits".to_owned()));
        for (path, name) in EDITING_OPERATIONS {
            operations.push((format!("{}/{path}", page.here()), (*name).to_owned()));
        }
        if body["supportsTruncate"] == true {
            operations.push((format!("{}/truncate", admin_address(page.here())), "Truncate".to_owned()));
        }
    }
    if page.about["access"] == "manage" {
        operations.push((admin_address(page.here()), "Administration".to_owned()));
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
    html.open_cell(is_long(&text));
    shortened(html, &text);
    html.raw("</td>");
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

pub(super) const EDITING: &[&str] = &["Create", "Update", "Delete", "Editing"];

/// Says whether a service or layer has one of the capabilities.
pub(super) fn can(body: &Value, capabilities: &[&str]) -> bool {
    let granted = body["capabilities"].as_str().unwrap_or_default();
    granted.split(',').any(|one| capabilities.iter().any(|name| one.trim().eq_ignore_ascii_case(name)))
}

pub(super) fn items<'a>(body: &'a Value, key: &str) -> &'a [Value] {
    body[key].as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn layer_link(service: &str, layer: &Value) -> (String, String) {
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
    html.raw("<ul class=\"lines columns\">");
    for line in lines {
        html.raw("<li>").text(&line).raw("</li>");
    }
    html.raw("</ul>");
}

/// Writes addresses and texts as a list of links, or that there are none.
pub(super) fn links(html: &mut Html, links: impl Iterator<Item = (String, String)>) {
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
pub(super) fn folded(html: &mut Html, summary: &str, value: &Value) {
    html.raw("<details><summary>").text(summary).raw("</summary>");
    json(html, value);
    html.raw("</details>");
}
