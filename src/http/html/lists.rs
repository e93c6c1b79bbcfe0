//! Shows what clients have made: replicas, jobs, uploads, and the entries of the books.

use serde_json::{Map, Value};

use super::Page;
use super::resources::{folded, items, links};
use super::results::{answer, table};
use super::values::{self, fact_rows, is_empty, json, plain, row};
use super::writer::{Html, percent_encode};

/// The most entries of a list that are on one page.
const MAX_ENTRIES: usize = 200;

/// Where a page stands in a list that is too long for one.
pub(super) struct Around {
    start: usize,
    count: usize,
}

/// The entries of a list that belong on a page, by the parameter `start`.
pub(super) fn part<'a>(page: &Page<'_>, entries: &'a [Value]) -> (&'a [Value], Around) {
    let start = page.form_value("start").and_then(|start| start.trim().parse::<usize>().ok()).unwrap_or_default();
    let start = start.min(entries.len().saturating_sub(1));
    let shown = entries.get(start..).unwrap_or_default();
    (shown.get(..MAX_ENTRIES).unwrap_or(shown), Around { start, count: entries.len() })
}

impl Around {
    /// Writes which entries are shown and links to those around them, if these are not all.
    pub(super) fn write(&self, html: &mut Html, page: &Page<'_>) {
        let end = self.count.min(self.start.saturating_add(MAX_ENTRIES));
        if self.start == 0 && end == self.count {
            return;
        }
        html.raw("<nav aria-label=\"More entries\"><p class=\"note\">");
        html.text(&format!("{} to {end} of {}", self.start.saturating_add(1), self.count))
            .raw("</p>\n<p class=\"buttons\">");
        let mut to = |start: usize, text: &'static str| {
            html.raw("<a class=\"button second\"").attribute("href", &format!("{}?start={start}", page.here()));
            html.raw(">").raw(text).raw("</a> ");
        };
        if self.start > 0 {
            to(self.start.saturating_sub(MAX_ENTRIES), "Previous");
        }
        if end < self.count {
            to(end, "Next");
        }
        html.raw("</p></nav>\n");
    }
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
        let (shown, around) = part(page, replicas);
        for replica in shown {
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
        around.write(html, page);
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
    let (shown, around) = part(page, jobs);
    for job in shown {
        let id = plain(&job["jobId"]);
        html.raw("<tr><th scope=\"row\">").link(&format!("{}/{}", page.here(), percent_encode(&id)), &id);
        html.raw("</th>");
        for key in ["operation", "status", "submissionTime", "lastUpdatedTime"] {
            html.raw("<td>");
            match key {
                "status" => status(html, &job[key]),
                _ => values::value(html, key, &job[key]),
            }
            html.raw("</td>");
        }
        html.raw("</tr>\n");
    }
    html.close_table();
    around.write(html, page);
}

/// Says whether a job goes on, so that a page about it is soon out of date.
pub(super) fn is_running(job: &Value) -> bool {
    ["Pending", "InProgress"].iter().any(|state| job["status"] == *state)
}

fn status(html: &mut Html, status: &Value) {
    let status = plain(status);
    html.raw(match status.as_str() {
        "Completed" => "<span class=\"badge good\">",
        "CompletedWithErrors" => "<span class=\"badge warn\">",
        "Failed" => "<span class=\"badge bad\">",
        _ => "<span class=\"badge info\">",
    });
    html.text(&status).raw("</span>");
}

/// The members of a job in the customary order; the others follow.
const JOB_FACTS: &[(&str, &str)] = &[
    ("Job ID", "jobId"),
    ("Operation", "operation"),
    ("Submission Time", "submissionTime"),
    ("Last Updated Time", "lastUpdatedTime"),
    ("Result", "resultUrl"),
    ("Result Size", "resultSize"),
    ("Result SHA-256", "resultSha256"),
    ("Attempts", "attempts"),
];

/// Writes one job: how far it is, what became of it, and where its result is.
pub(super) fn job(html: &mut Html, body: &Value) {
    html.raw("<p>Status: ");
    status(html, &body["status"]);
    html.raw("</p>\n");
    if is_running(body) {
        html.raw("<p><progress aria-label=\"The job is running\"></progress></p>\n");
        html.raw(
            "<p class=\"note\" role=\"status\">This page asks again every two seconds until the job has ended.</p>\n",
        );
    }
    let failure = &body["error"];
    if !failure.is_null() {
        super::error(html, failure);
    }
    html.raw("<dl>\n");
    fact_rows(html, body, JOB_FACTS);
    html.raw("</dl>\n");
    let known = |key: &str| key == "status" || key == "error" || JOB_FACTS.iter().any(|(_, known)| *known == key);
    let others: Map<String, Value> = others(body, known);
    if !others.is_empty() {
        html.heading(2, None, "Further Properties");
        answer(html, &Value::Object(others), 3);
    }
}

/// The members of a document that a page has not shown already.
fn others(body: &Value, known: impl Fn(&str) -> bool) -> Map<String, Value> {
    let members = body.as_object().into_iter().flatten();
    members.filter(|(key, _)| !known(key)).map(|(key, member)| (key.clone(), member.clone())).collect()
}

/// Writes the list of uploads.
pub(super) fn uploads(html: &mut Html, page: &Page<'_>, body: &Value) {
    let here = page.here();
    if items(body, "items").is_empty() {
        html.raw("<p>None</p>\n");
    } else {
        html.open_table("Uploads", &["Item ID", "Item Name", "Description", "Date", "Committed", "Size"]);
        let (shown, around) = part(page, items(body, "items"));
        for item in shown {
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
        around.write(html, page);
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
    html.raw("<div class=\"beside\">\n<div>\n<dl>\n");
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
    // The last says what is said already, in another client's spelling.
    let apart = ["geometry", "spatialReference", "layerServerGens", "layers", "returnsAttachments"];
    let others = others(body, |key| apart.contains(&key) || REPLICA_FACTS.iter().any(|(_, known)| *known == key));
    if !others.is_empty() {
        html.heading(2, None, "Further Properties");
        answer(html, &Value::Object(others), 3);
    }
    html.raw("</div>\n<aside>\n");
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
    let mut synchronize = format!("{service}/synchronizeReplica?replicaID={id}");
    if let Some(generation) = body["replicaServerGen"].as_i64() {
        synchronize = format!("{synchronize}&replicaServerGen={generation}");
    }
    let unregister = format!("{service}/unRegisterReplica?replicaID={id}");
    links(
        html,
        [(synchronize, "Synchronize Replica".to_owned()), (unregister, "Unregister Replica".to_owned())].into_iter(),
    );
    html.raw("</aside>\n</div>\n");
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

/// Writes where somebody goes on with a replica that was just made.
pub(super) fn created(html: &mut Html, page: &Page<'_>, body: &Value) {
    let Some(id) = body["replicaID"].as_str() else { return };
    html.heading(3, None, "Go on");
    let id = percent_encode(id);
    let service = page.parent();
    links(
        html,
        [
            (format!("{service}/replicas/{id}"), "Replica".to_owned()),
            (format!("{service}/synchronizeReplica?replicaID={id}"), "Synchronize Replica".to_owned()),
            (format!("{service}/unRegisterReplica?replicaID={id}"), "Unregister Replica".to_owned()),
        ]
        .into_iter(),
    );
}

/// The lists of the books: the member with the entries, the member with the number of each, and the word for them.
const BOOKS: &[(&str, &str, &str)] = &[
    ("batches", "batchId", "Batch"),
    ("rejectedEdits", "rejectedEditId", "Refused edit"),
    ("conflicts", "conflictId", "Conflict"),
];

/// The members that tell entries of the books from each other at a glance.
const ENTRY_FACTS: &[&str] = &[
    "receivedDate",
    "foundDate",
    "state",
    "operation",
    "replicaName",
    "userName",
    "layer",
    "globalId",
    "applied",
    "refused",
    "reason",
    "conflicts",
    "undoneDate",
    "restoredDate",
    "closedDate",
];

/// Writes a list of the books; each entry leads to its page.
pub(super) fn entries(html: &mut Html, page: &Page<'_>, body: &Value) {
    let found = BOOKS.iter().find(|(list, ..)| body[*list].is_array());
    let Some((list, number, word)) = found else { return answer(html, body, 2) };
    let others = others(body, |key| key == *list || key == "exceededTransferLimit");
    if !others.is_empty() {
        answer(html, &Value::Object(others), 2);
    }
    let entries = items(body, list);
    if entries.is_empty() {
        html.raw("<p>None</p>\n");
        return;
    }
    let there: Vec<&str> =
        ENTRY_FACTS.iter().copied().filter(|key| entries.iter().any(|entry| !is_empty(&entry[*key]))).collect();
    let columns: Vec<&str> = std::iter::once(*word).chain(there.iter().copied()).collect();
    html.open_table(word, &columns);
    for entry in entries {
        let id = plain(&entry[*number]);
        html.raw("<tr><th scope=\"row\">").link(&format!("{}/{}", page.here(), percent_encode(&id)), &id).raw("</th>");
        for key in &there {
            html.open_cell(*key == "reason");
            match &entry[*key] {
                empty if is_empty(empty) => {}
                Value::Object(reason) if *key == "reason" => {
                    let text = |key: &str| reason.get(key).map(plain).unwrap_or_default();
                    html.text(&format!("{}: {}", text("code"), text("description")));
                }
                member => values::value(html, key, member),
            }
            html.raw("</td>");
        }
        html.raw("</tr>\n");
    }
    html.close_table();
    if body["exceededTransferLimit"] == true {
        let skipped = page.form_value("resultOffset").and_then(|offset| offset.trim().parse::<usize>().ok());
        let next = skipped.unwrap_or_default().saturating_add(entries.len()).to_string();
        let mut pairs: Vec<(&str, &str)> = ENTRY_FILTERS
            .iter()
            .filter_map(|name| Some((*name, page.form_value(name).filter(|value| !value.is_empty())?)))
            .collect();
        pairs.push(("resultOffset", &next));
        let pairs: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{name}={}", percent_encode(value))).collect();
        html.raw("<p class=\"buttons\"><a class=\"button second\"");
        html.attribute("href", &format!("{}?{}", page.here(), pairs.join("&"))).raw(">Next entries</a></p>\n");
    }
}

/// What a list of the books can be narrowed by, which the link to its next entries repeats.
const ENTRY_FILTERS: &[&str] = &[
    "replicaID",
    "connected",
    "operation",
    "layer",
    "requestId",
    "since",
    "state",
    "globalId",
    "batchId",
    "resultRecordCount",
];

/// Writes an entry of the books and what can be done with it.
pub(super) fn entry(html: &mut Html, page: &Page<'_>, body: &Value) {
    answer(html, body, 2);
    let here = page.here();
    let operations: &[(&str, &str)] = if body.get("rejectedEditId").is_some() {
        match body["state"] == "open" {
            true => &[("apply", "Apply"), ("dismiss", "Dismiss")],
            false => &[],
        }
    } else if body.get("conflictId").is_some() {
        &[("restore", "Restore")]
    } else if body.get("batchId").is_some() && body["undoneDate"].is_null() {
        &[("undo", "Undo")]
    } else {
        &[]
    };
    html.heading(2, Some("operations"), "Supported Operations");
    links(html, operations.iter().map(|(path, name)| (format!("{here}/{path}"), (*name).to_owned())));
}

/// Writes the definition of a service or layer and what can be done with it.
pub(super) fn administration(html: &mut Html, page: &Page<'_>, body: &Value) {
    let here = page.here();
    let of_layer = body.get("adminLayerInfo").is_some();
    let info = if of_layer { &body["adminLayerInfo"] } else { &body["adminServiceInfo"] };
    html.raw("<div class=\"beside\">\n<div>\n");
    answer(html, &Value::Object(others(info, |key| key == "definition")), 2);
    html.heading(2, None, "Definition");
    match is_empty(&info["definition"]) {
        true => {
            html.raw("<p>").none().raw(" Nothing was said beside what the table says itself.</p>\n");
        }
        false => json(html, &info["definition"]),
    }
    html.heading(2, None, "Document");
    folded(html, "All that everybody sees", &Value::Object(others(body, |key| key.starts_with("admin"))));
    html.raw("</div>\n<aside>\n");
    let layers = items(page.about, "layers");
    if !of_layer && !layers.is_empty() {
        html.heading(2, None, "Layers and Tables");
        links(
            html,
            layers.iter().map(|layer| {
                let id = plain(&layer["id"]);
                (format!("{here}/{}", percent_encode(&id)), format!("{} ({id})", plain(&layer["name"])))
            }),
        );
    }
    html.heading(2, Some("operations"), "Supported Operations");
    let mut operations = vec![
        ("addToDefinition", "Add To Definition"),
        ("updateDefinition", "Update Definition"),
        ("deleteFromDefinition", "Delete From Definition"),
        ("refresh", "Refresh"),
    ];
    operations.push(if of_layer {
        ("truncate", "Truncate")
    } else {
        ("cleanupChangeTracking", "Clean Up Change Tracking")
    });
    links(html, operations.iter().map(|(path, name)| (format!("{here}/{path}"), (*name).to_owned())));
    html.raw("</aside>\n</div>\n");
}
