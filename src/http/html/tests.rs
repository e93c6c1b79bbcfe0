use serde_json::json;

use super::*;

const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&lt;";

fn crumbs(steps: &[(&str, &str)]) -> Vec<Crumb> {
    let crumb = |(text, href): &(&str, &str)| Crumb { text: (*text).to_owned(), href: (*href).to_owned() };
    steps.iter().map(crumb).collect()
}

fn frame<'a>(path: &'a [Crumb], json_url: Option<&'a str>) -> Frame<'a> {
    Frame {
        path,
        title: "A title",
        json_url,
        visitor: &Visitor::Anybody,
        assets: &[],
        basemap: None,
        refresh_seconds: None,
    }
}

/// Makes a page below `/rest/services/natural-earth/FeatureServer`; `below` are the last parts of its path.
fn made(kind: Kind, below: &[&str], body: Option<&Value>, form_values: &[(&str, &str)]) -> String {
    made_with(kind, below, body, form_values, &Value::Null)
}

/// Makes a page that knows something of its service or layer.
pub(super) fn made_with(
    kind: Kind,
    below: &[&str],
    body: Option<&Value>,
    form_values: &[(&str, &str)],
    about: &Value,
) -> String {
    let mut path = crumbs(&[
        ("Home", "/rest/services"),
        ("natural-earth (FeatureServer)", "/rest/services/natural-earth/FeatureServer"),
    ]);
    for part in below {
        let href = format!("{}/{part}", path[path.len() - 1].href);
        path.push(Crumb { text: (*part).to_owned(), href });
    }
    let form_values: Vec<(String, String)> =
        form_values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    page(&Page { frame: frame(&path, Some("/rest/services?f=pjson")), kind, body, about, form_values: &form_values })
}

/// Asserts that all `parts` are in the page, in this order.
#[track_caller]
fn assert_in_order(html: &str, parts: &[&str]) {
    let mut rest = html;
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => panic!("{part:?} is missing, or not in its place, in\n{html}"),
        }
    }
}

#[test]
fn every_page_has_the_frame() {
    let html = made(Kind::Other, &["jobs"], Some(&json!({"status": "Completed"})), &[]);
    assert_in_order(
        &html,
        &[
            "<!DOCTYPE html>\n<html lang=\"en\">",
            "<title>A title</title>",
            "<link rel=\"stylesheet\" href=\"/arcgis/static/style.",
            "<script src=\"/arcgis/static/theme.",
            "href=\"#content\"",
            "<a href=\"/rest/services\">Home</a>",
            "<a href=\"/rest/services/natural-earth/FeatureServer\">natural-earth (FeatureServer)</a>",
            "<li aria-current=\"page\"><a href=\"/rest/services/natural-earth/FeatureServer/jobs\">jobs</a>",
            "<h1>A title</h1>",
            "href=\"/rest/services?f=pjson\">JSON</a>",
            "<dt>status:</dt> <dd>Completed</dd>",
            "</html>",
        ],
    );
}

#[test]
fn a_page_loads_and_runs_only_what_is_the_servers() {
    let html = made(Kind::CreateReplica, &["createReplica"], None, &[]);
    for forbidden in ["<script>", "<style", "<img", "<iframe", "@import", "url(", " style=", " onclick"] {
        assert!(!html.contains(forbidden), "{forbidden} in\n{html}");
    }
    let loaded = html
        .split(" src=\"")
        .skip(1)
        .chain(html.split("<link ").skip(1).filter_map(|link| link.split("href=\"").nth(1)));
    for address in loaded {
        assert!(address.starts_with("/arcgis/static/"), "{address}");
    }
}

#[test]
fn catalogue_links_folders_and_services() {
    let path = crumbs(&[("Home", "/rest/services"), ("Field work", "/rest/services/Field%20work/")]);
    let body = json!({"currentVersion": 10.91, "folders": ["a/b"],
        "services": [{"name": "Field work/Wells & pumps", "type": "FeatureServer"}]});
    let html = page(&Page {
        frame: frame(&path, None),
        kind: Kind::Catalogue,
        body: Some(&body),
        about: &Value::Null,
        form_values: &[],
    });
    assert_in_order(
        &html,
        &[
            "<dt>Current Version:</dt> <dd>10.91</dd>",
            "Folders</h2>",
            "<a href=\"/rest/services/Field%20work/a%2Fb\">a/b</a>",
            "Services</h2>",
            "<a href=\"/rest/services/Field%20work/Wells%20%26%20pumps/FeatureServer\">\
             Field work/Wells &amp; pumps (FeatureServer)</a>",
        ],
    );
    assert!(!html.contains(">JSON</a>"), "{html}");
}

fn service() -> Value {
    json!({
        "serviceDescription": "Places", "maxRecordCount": 1000, "hasVersionedData": false,
        "capabilities": "Query,Create,Update,Delete,Editing,Sync", "syncEnabled": true, "copyrightText": "",
        "layers": [{"id": 0, "name": "Cities"}], "tables": [{"id": 3, "name": "Visits"}],
        "spatialReference": {"wkid": 102_100, "latestWkid": 3857}, "units": "esriMeters",
        "fullExtent": {"xmin": 1.5, "ymin": 2, "xmax": 3, "ymax": 4, "spatialReference": {"wkid": 4326}},
        "syncCapabilities": {"supportsAsync": false, "supportsPerLayerSync": true,
            "advancedReplicasResourceCapabilities": {"supportsReturnLastSyncDate": true}},
        "changeTrackingInfo": {"lastSyncDate": null, "layerServerGens": [{"id": 0, "minServerGen": 1, "serverGen": 42}]},
    })
}

#[test]
fn service_shows_its_labels_in_order_and_its_operations() {
    let base = "/rest/services/natural-earth/FeatureServer";
    assert_in_order(
        &made(Kind::Service, &[], Some(&service()), &[]),
        &[
            "<dt>Service Description:</dt> <dd>Places</dd>",
            &format!("<a href=\"{base}/layers\">layers</a>"),
            "<dt>Has Versioned Data:</dt> <dd>false</dd>",
            "<dt>Max Record Count:</dt> <dd>1000</dd>",
            &format!("<a href=\"{base}/0\">Cities (0)</a>"),
            &format!("<a href=\"{base}/3\">Visits (3)</a>"),
            "<dt>Copyright Text:</dt> <dd><span class=\"none\">None</span>",
            "<dt>Spatial Reference:</dt> <dd>102100 (3857)</dd>",
            "<li>XMin: 1.5</li><li>YMin: 2</li><li>XMax: 3</li><li>YMax: 4</li><li>Spatial Reference: 4326</li>",
            "<dt>Units:</dt> <dd>esriMeters</dd>",
            "<dd>Query,Create,Update,Delete,Editing,Sync</dd>",
            "<dt>Sync Enabled:</dt> <dd>true</dd>",
            "<li>supportsPerLayerSync: true</li>",
            "<li>advancedReplicasResourceCapabilities.supportsReturnLastSyncDate: true</li>",
            "<td>0</td><td>1</td><td>42</td>",
            &format!("<a href=\"{base}/replicas\">Replicas</a>"),
            &format!("<a href=\"{base}/applyEdits\">Apply Edits</a>"),
            &format!("<a href=\"{base}/createReplica\">Create Replica</a>"),
            &format!("<a href=\"{base}/synchronizeReplica\">Synchronize Replica</a>"),
            &format!("<a href=\"{base}/unRegisterReplica\">Unregister Replica</a>"),
        ],
    );
}

#[test]
fn service_offers_only_what_it_can_do() {
    let mut body = service();
    body["capabilities"] = json!("Query");
    body["syncEnabled"] = json!(false);
    let html = made(Kind::Service, &[], Some(&body), &[]);
    for absent in ["applyEdits\"", "createReplica", "/replicas"] {
        assert!(!html.contains(absent), "{absent} in\n{html}");
    }
}

fn layer() -> Value {
    json!({
        "id": 0, "name": "Cities", "type": "Feature Layer", "displayField": "name", "minScale": 0,
        "geometryType": "esriGeometryPoint", "hasZ": false, "objectIdField": "OBJECTID", "globalIdField": "GlobalID",
        "extent": {"xmin": -1, "ymin": -2, "xmax": 3, "ymax": 4, "spatialReference": {"wkid": 4326}},
        "fields": [
            {"name": "OBJECTID", "type": "esriFieldTypeOID", "alias": "Number", "nullable": false, "editable": false, "domain": null},
            {"name": "state", "type": "esriFieldTypeString", "alias": "State", "length": 50, "nullable": true, "editable": true,
             "domain": {"type": "codedValue", "codedValues": [{"name": "Open", "code": "o"}, {"name": "Closed", "code": "c"}]}},
            {"name": "depth", "type": "esriFieldTypeDouble", "alias": "Depth", "domain": {"type": "range", "range": [1, 50]}}],
        "templates": [{"name": "City", "description": "", "drawingTool": "esriFeatureEditToolPoint", "prototype": {"attributes": {"state": "o"}}}],
        "relationships": [{"id": 0, "name": "Visits of", "relatedTableId": 3, "cardinality": "esriRelCardinalityOneToMany"}],
        "advancedQueryCapabilities": {"supportsPagination": true},
        "supportsStatistics": true, "capabilities": "Create,Delete,Query,Update,Editing",
    })
}

#[test]
fn layer_shows_its_labels_in_order_and_its_fields() {
    let base = "/rest/services/natural-earth/FeatureServer";
    assert_in_order(
        &made(Kind::Layer, &["0"], Some(&layer()), &[]),
        &[
            "<dt>Name:</dt> <dd>Cities</dd>",
            "<dt>Display Field:</dt> <dd>name</dd>",
            "<dt>Type:</dt> <dd>Feature Layer</dd>",
            "<dt>Geometry Type:</dt> <dd>esriGeometryPoint</dd>",
            "<dt>Min. Scale:</dt> <dd>0</dd>",
            "<li>XMin: -1</li>",
            "<dt>HasZ:</dt> <dd>false</dd>",
            "<dt>Object ID Field:</dt> <dd>OBJECTID</dd>",
            "<dt>Global ID Field:</dt> <dd>GlobalID</dd>",
            "Fields</h2>",
            "<th scope=\"row\">OBJECTID</th><td>Number</td><td>esriFieldTypeOID</td><td></td><td>false</td><td>false</td>",
            "<td>esriFieldTypeString</td><td>50</td><td>true</td><td>true</td><td>Coded Values: [o: Open], [c: Closed]</td>",
            "<td>Range: [1, 50]</td>",
            "Templates</h2>",
            "esriFeatureEditToolPoint",
            "<dt>Supports Statistics:</dt> <dd>true</dd>",
            "supportsPagination: true",
            &format!("<a href=\"{base}/3\">Visits of (3)</a> -- esriRelCardinalityOneToMany"),
            "<dt>Capabilities:</dt> <dd>Create,Delete,Query,Update,Editing</dd>",
            &format!("<a href=\"{base}/0/query\">Query</a>"),
            &format!("<a href=\"{base}/0/applyEdits\">Apply Edits</a>"),
        ],
    );
}

#[test]
fn all_layers_shows_each_with_its_fields() {
    let body = json!({"layers": [layer()], "tables": [{"id": 3, "name": "Visits", "type": "Table", "fields": []}]});
    assert_in_order(
        &made(Kind::AllLayers, &["layers"], Some(&body), &[]),
        &[
            "<a href=\"/rest/services/natural-earth/FeatureServer/0\">Cities (0)</a>",
            "<a href=\"/rest/services/natural-earth/FeatureServer/3\">Visits (3)</a>",
            "<h2>Cities (0)</h2>",
            "<h3>Fields</h3>",
            "<h2>Visits (3)</h2>",
        ],
    );
}

#[test]
fn query_form_has_the_labels_in_order_and_keeps_what_was_sent() {
    let sent = [("WHERE", "name <> 'x'"), ("returnGeometry", "FALSE"), ("spatialRel", "esriSpatialRelWithin")];
    assert_in_order(
        &made(Kind::Query { table: false }, &["0", "query"], None, &sent),
        &[
            "action=\"/rest/services/natural-earth/FeatureServer/0/query\" method=\"get\"",
            "<label class=\"label\" for=\"where\">Where</label>",
            "id=\"where\" name=\"where\" aria-describedby=\"hint-where\" value=\"name &lt;&gt; &#39;x&#39;\"",
            ">Object IDs<",
            ">Input Geometry<",
            ">Geometry Type<",
            ">Input Spatial Reference<",
            ">Spatial Relationship<",
            "value=\"esriSpatialRelWithin\" selected",
            ">Out Fields<",
            ">Return Geometry<",
            "name=\"returnGeometry\" value=\"false\" checked",
            ">Output Spatial Reference<",
            ">Return IDs Only<",
            "name=\"returnIdsOnly\" value=\"false\" checked",
            ">Order By Fields<",
            ">Result Offset<",
            ">Format<",
            ">Query (GET)</button>",
            "formmethod=\"post\">Query (POST)</button>",
        ],
    );
}

#[test]
fn query_of_a_table_asks_for_no_geometry() {
    let html = made(Kind::Query { table: true }, &["3", "query"], None, &[]);
    assert_in_order(&html, &["for=\"where\"", "for=\"outFields\"", "name=\"returnCountOnly\""]);
    for absent in ["name=\"geometry\"", "name=\"spatialRel\"", "name=\"outSR\"", "name=\"returnExtentOnly\""] {
        assert!(!html.contains(absent), "{absent} in\n{html}");
    }
}

#[test]
fn next_records_repeat_the_query_without_its_token() {
    let body = json!({"exceededTransferLimit": true, "fields": [{"name": "a"}],
        "features": [{"attributes": {"a": 1}}, {"attributes": {"a": 2}}]});
    let sent = [("where", "a > 0 & b"), ("resultOffset", "40"), ("token", "secret"), ("objectIds", ""), ("f", "html")];
    let html = made(Kind::Query { table: true }, &["3", "query"], Some(&body), &sent);
    let next = "/FeatureServer/3/query?where=a%20%3E%200%20%26%20b&amp;f=html&amp;resultOffset=42\">Next records</a>";
    assert_in_order(&html, &["<h2>Result</h2>", "# records: 2", next, "<h2 id=\"form\">Query</h2>"]);
    assert!(!html.contains("secret"), "{html}");
}

#[test]
fn replicas_are_listed_with_links() {
    let none = made(Kind::Replicas, &["replicas"], Some(&json!([])), &[]);
    assert_in_order(&none, &["<p>None</p>", "FeatureServer/createReplica\""]);
    let one = json!([{"replicaName": "Walk", "replicaID": "c359-ab", "lastSyncDate": 1_746_014_194_000_i64}]);
    assert_in_order(
        &made(Kind::Replicas, &["replicas"], Some(&one), &[]),
        &[
            "Replicas: 1",
            "Walk",
            "<a href=\"/rest/services/natural-earth/FeatureServer/replicas/c359-ab\">c359-ab</a>",
            "2025-04-30 11:56:34 UTC",
        ],
    );
}

#[test]
fn replica_shows_every_key() {
    let body = json!({
        "replicaName": "Walk", "replicaID": "c359-ab", "replicaOwner": "", "syncModel": "perLayer", "targetType": "client",
        "creationDate": 1_723_554_821_183_i64, "lastSyncDate": 1_746_014_194_000_i64,
        "layerServerGens": [{"id": 0, "serverGen": 1_746_014_194_603_i64}],
        "geometry": {"rings": [[[0, 0], [0, 1], [1, 1], [0, 0]]]}, "spatialRel": "esriSpatialRelIntersects",
        "layers": [{"id": 0, "queryOption": "useFilter", "useGeometry": true, "includeRelated": true, "where": "a > 1"}],
        "spatialReference": {"wkid": 102_100, "latestWkid": 3857}, "supportsReplicaTracking": true});
    let service = "/rest/services/natural-earth/FeatureServer";
    assert_in_order(
        &made(Kind::Replica, &["replicas", "c359-ab"], Some(&body), &[]),
        &[
            "<dt>Replica Name:</dt> <dd>Walk</dd>",
            "<dt>Replica Id:</dt> <dd>c359-ab</dd>",
            "<dt>Replica Owner:</dt> <dd><span class=\"none\">None</span></dd>",
            "<dt>Target Type:</dt> <dd>client</dd>",
            "<dt>Creation Date:</dt> <dd>2024-08-13 13:13:41.183 UTC",
            "<dt>Last Sync Date:</dt> <dd>2025-04-30 11:56:34 UTC",
            "<dt>Sync Model:</dt> <dd>perLayer</dd>",
            "<dt>Spatial Relation:</dt> <dd>esriSpatialRelIntersects</dd>",
            "Polygon: 1 ring, 4 vertices",
            "102100 (3857)",
            "LayerServerGens</h2>",
            "<td>1746014194603</td>",
            "<td>useFilter</td><td>true</td><td>true</td><td>a &gt; 1</td>",
            "<dt>supportsReplicaTracking:</dt> <dd>true</dd>",
            &format!("<a href=\"{service}/synchronizeReplica?replicaID=c359-ab\">"),
            &format!("<a href=\"{service}/unRegisterReplica?replicaID=c359-ab\">"),
        ],
    );
}

#[test]
fn operations_on_replicas_are_posted_with_their_parameters() {
    let form = |kind| made(kind, &["operation"], None, &[("replicaID", "c359")]);
    let post = "/FeatureServer/operation\" method=\"post\"";
    let note = "This operation is only supported via POST";
    let create = form(Kind::CreateReplica);
    let names = [
        "replicaName",
        "layers",
        "layerQueries",
        "geometry",
        "geometryType",
        "inSR",
        "replicaSR",
        "transportType",
        "syncModel",
        "syncDirection",
        "dataFormat",
        "f",
    ];
    let names = names.map(|name| format!(" name=\"{name}\""));
    assert_in_order(&create, &[note, post]);
    assert_in_order(&create, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let synchronize = form(Kind::SynchronizeReplica);
    let names = [
        "replicaID",
        "replicaServerGen",
        "transportType",
        "closeReplica",
        "returnIdsForAdds",
        "edits",
        "syncDirection",
        "syncLayers",
        "rollbackOnFailure",
        "f",
    ];
    let names = names.map(|name| format!(" name=\"{name}\""));
    assert_in_order(&synchronize, &[note, post, "value=\"c359\""]);
    assert_in_order(&synchronize, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let unregister = form(Kind::UnregisterReplica);
    assert_in_order(&unregister, &[note, post, "name=\"replicaID\"", "value=\"c359\"", ">Unregister Replica</button>"]);
    assert_in_order(&form(Kind::LayerEdits), &[note, post, "name=\"adds\"", "name=\"updates\"", "name=\"deletes\""]);
    assert_in_order(&form(Kind::ServiceEdits), &[note, post, "name=\"edits\"", "name=\"rollbackOnFailure\""]);
}

#[test]
fn every_input_has_a_label() {
    for kind in [Kind::Query { table: false }, Kind::CreateReplica, Kind::SynchronizeReplica, Kind::LayerEdits] {
        let html = made(kind, &["operation"], None, &[]);
        for part in html.split(" id=\"").skip(1) {
            let (id, rest) = part.split_once('"').unwrap();
            if rest.starts_with(" name=") {
                assert!(html.contains(&format!("<label class=\"label\" for=\"{id}\">")), "{id} has no label");
            }
        }
        assert_eq!(html.matches("role=\"radiogroup\"").count(), html.matches("aria-labelledby=\"label-").count());
    }
}

#[test]
fn an_unknown_choice_stays_what_it_was() {
    let html = made(Kind::CreateReplica, &["createReplica"], None, &[("syncModel", "none")]);
    assert!(html.contains("name=\"syncModel\" value=\"none\" checked"), "{html}");
}

#[test]
fn errors_are_worded_for_programs_and_leave_the_form() {
    let body = json!({"error": {"code": 400, "message": "Unable to complete operation.", "details": ["Field 'x' <is> unknown."]}});
    let html = made(Kind::Query { table: false }, &["0", "query"], Some(&body), &[("where", "x = 1")]);
    assert_in_order(
        &html,
        &[
            "Error: Unable to complete operation.</p>",
            "Code: 400</p>",
            "Field &#39;x&#39; &lt;is&gt; unknown.</p>",
            "value=\"x = 1\"",
        ],
    );
    let refused = json!({"success": false, "error": {"code": 404, "message": "Not found", "details": []}});
    assert_in_order(&made(Kind::Layer, &["9"], Some(&refused), &[]), &["Error: Not found</p>", "Code: 404</p>"]);
}

/// Puts the hostile text in place of every key that is not looked up by name, and of every text.
fn poisoned(value: &Value) -> Value {
    match value {
        Value::String(_) => json!(HOSTILE),
        Value::Array(items) => items.iter().map(poisoned).collect(),
        Value::Object(members) => {
            let mut members: serde_json::Map<String, Value> =
                members.iter().map(|(key, member)| (key.clone(), poisoned(member))).collect();
            members.insert(HOSTILE.to_owned(), json!(HOSTILE));
            Value::Object(members)
        }
        other => other.clone(),
    }
}

/// Returns a body for each kind of page.
fn bodies() -> Vec<(Kind, Value)> {
    let query = json!({"fields": [{"name": "a", "alias": "b", "domain": {"codedValues": [{"name": "n", "code": "x"}]}}],
        "features": [{"attributes": {"a": "x"}, "geometry": {"x": "NaN", "y": 1}}], "displayFieldName": "a"});
    let edits = json!({"addResults": [{"objectId": 1, "globalId": "g", "success": false, "error": {"description": "d"}}],
        "layers": [{"id": "x", "features": [{"attributes": {"a": "b"}}]}], "deep": {"resultUrl": "javascript:x"}});
    vec![
        (Kind::Catalogue, json!({"folders": ["a"], "services": [{"name": "a", "type": "b"}], "currentVersion": "1"})),
        (Kind::Service, service()),
        (Kind::AllLayers, json!({"layers": [layer()], "tables": [layer()]})),
        (Kind::Layer, layer()),
        (Kind::Query { table: false }, query),
        (Kind::LayerEdits, edits.clone()),
        (Kind::ServiceEdits, json!([edits])),
        (Kind::CreateReplica, edits.clone()),
        (Kind::SynchronizeReplica, edits.clone()),
        (Kind::UnregisterReplica, json!({"success": true, "a": "b"})),
        (Kind::Replicas, json!([{"replicaName": "a", "replicaID": "b", "lastSyncDate": "c"}])),
        (
            Kind::Replica,
            json!({"replicaName": "a", "replicaID": "b", "geometry": {"a": "b"}, "layers": [{"where": "x"}]}),
        ),
        (Kind::Feature, json!({"feature": {"attributes": {"state": "a"}, "geometry": {"x": 1, "y": 2}}})),
        (
            Kind::Attachments,
            json!({"attachmentInfos": [{"id": "a", "name": "b", "contentType": "image/png", "size": 5, "keywords": "k"}]}),
        ),
        (
            Kind::Administration,
            json!({"adminLayerInfo": {"tableName": "a", "definition": {"b": "c"}, "problems": ["d"]}}),
        ),
        (Kind::Definition { operation: "updateDefinition" }, edits.clone()),
        (
            Kind::Entries,
            json!({"rejectedEdits": [{"rejectedEditId": "a", "state": "b", "reason": {"code": 1, "description": "c"}}]}),
        ),
        (Kind::Entry, json!({"rejectedEditId": "a", "state": "open"})),
        (Kind::Jobs, json!({"jobs": [{"jobId": "a", "status": "b"}]})),
        (Kind::Job, json!({"jobId": "a", "status": "b", "error": {"message": "c"}})),
        (Kind::Uploads, json!({"items": [{"itemID": "a", "itemName": "b"}]})),
        (Kind::UploadItem, json!({"itemID": "a"})),
        (Kind::RelatedRecords, edits.clone()),
        (Kind::Other, edits),
        (Kind::Other, json!({"error": {"message": "m", "code": "c", "details": ["d"]}})),
    ]
}

/// What a page knows beside its document, of all kinds together.
fn about() -> Value {
    let mut layer = layer();
    layer["hasAttachments"] = json!(true);
    json!({"access": "manage", "layer": layer, "layers": [{"id": 0, "name": "a", "geometryType": "b"}, {"id": 1, "name": "c"}],
        "services": [{"name": "a", "description": "b".repeat(300), "layers": 1, "tables": 2, "capabilities": "Query"}]})
}

#[test]
fn hostile_names_and_values_are_inert_on_every_page() {
    for (kind, body) in bodies() {
        let body = if kind == Kind::Replicas {
            Value::Array(body.as_array().into_iter().flatten().map(poisoned).collect())
        } else {
            poisoned(&body)
        };
        let names = ["where", "f", "layers", "syncModel", "geometryType", "edits", "replicaID", "adds"];
        let form_values: Vec<(String, String)> =
            names.iter().map(|name| ((*name).to_owned(), HOSTILE.to_owned())).collect();
        let path =
            crumbs(&[("Home", "/rest/services"), (HOSTILE, "/rest/x\"'><script>"), (HOSTILE, "javascript:alert(1)")]);
        let visitor = Visitor::User { name: HOSTILE.to_owned(), csrf: HOSTILE.to_owned() };
        let frame = Frame { title: HOSTILE, visitor: &visitor, ..frame(&path, Some("javascript:alert(1)")) };
        let about = poisoned(&about());
        let html = page(&Page { frame, kind, body: Some(&body), about: &about, form_values: &form_values });
        assert!(html.contains("&lt;script&gt;alert(1)"), "{kind:?} does not show the text at all");
        for live in ["<script>", "<img", "\"'>", "href=\"javascript", "href=\"data", ">JSON</a>"] {
            assert!(!html.contains(live), "{kind:?} lets {live} through in\n{html}");
        }
    }
}
