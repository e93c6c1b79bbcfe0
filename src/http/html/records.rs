//! Shows features: the answer to a query as table and map, and one feature with what belongs to it.

use serde_json::{Map, Value};

use super::Page;
use super::resources::{items, links};
use super::results::{MAX_ROWS, answer, not_shown};
use super::values::{self, facts, plain, row};
use super::writer::{Html, percent_encode};

/// Writes the answer to a query; `next` and `previous` are the addresses of the records after and before those shown.
pub(super) fn query(html: &mut Html, page: &Page<'_>, body: &Value, [previous, next]: [Option<&str>; 2]) {
    if let Some(features) = body["features"].as_array() {
        records(html, page, body, features);
        let around: Vec<(String, String)> = [(previous, "Previous records"), (next, "Next records")]
            .into_iter()
            .filter_map(|(address, text)| Some((address?.to_owned(), text.to_owned())))
            .collect();
        if !around.is_empty() {
            html.raw("<nav aria-label=\"More records\"><p class=\"buttons\">");
            for (address, text) in &around {
                html.raw("<a class=\"button second\"").attribute("href", address).raw(">").text(text).raw("</a> ");
            }
            html.raw("</p></nav>\n");
        }
    } else if let Some(ids) = body["objectIds"].as_array() {
        html.raw("<p># records: ").text(&ids.len().to_string()).raw("</p>\n");
        facts(html, body, &[("Object ID Field", "objectIdFieldName"), ("Object IDs", "objectIds")]);
    } else if body.get("count").is_some() || body.get("extent").is_some() {
        facts(html, body, &[("Count", "count"), ("Extent", "extent")]);
    } else {
        answer(html, body, 3);
    }
}

const HEAD: &[(&str, &str)] = &[
    ("Display Field", "displayFieldName"),
    ("Has Z", "hasZ"),
    ("Has M", "hasM"),
    ("Object ID Field", "objectIdFieldName"),
    ("Global ID Field", "globalIdFieldName"),
    ("Geometry Type", "geometryType"),
    ("Spatial Reference", "spatialReference"),
    ("Exceeded Transfer Limit", "exceededTransferLimit"),
];

fn records(html: &mut Html, page: &Page<'_>, body: &Value, features: &[Value]) {
    html.raw("<p># records: ").text(&features.len().to_string()).raw("</p>\n");
    let id_field = body["objectIdFieldName"].as_str().filter(|name| {
        // Groups of statistics have none.
        features.first().is_some_and(|feature| feature["attributes"][*name].is_i64())
    });
    let layer = page.parent();
    if id_field.is_some() && features.iter().any(|feature| feature["geometry"].is_object()) {
        html.raw("<div class=\"map\" role=\"region\" aria-label=\"Map of the records\" data-map data-rows=\"records\"");
        html.attribute("data-layer", layer);
        if let Some(moment) = page.form_value("historicMoment").filter(|moment| !moment.trim().is_empty()) {
            html.attribute("data-moment", moment);
        }
        html.raw(">A browser that runs scripts shows a map here.</div>\n");
    }
    html.raw("<div id=\"records\">");
    let ids = id_field.map(|field| Ids { field, layer });
    write_table(html, "Records", features, body["fields"].as_array(), ids);
    html.raw("</div>\n<details class=\"head\"><summary>About these records</summary>\n");
    facts(html, body, HEAD);
    html.raw("</details>\n");
}

/// What makes rows of features lead to their pages.
#[derive(Clone, Copy)]
struct Ids<'a> {
    field: &'a str,
    /// The address of their layer.
    layer: &'a str,
}

/// A column of a table of features, or a row of a feature.
struct Column<'a> {
    name: &'a str,
    alias: &'a str,
    kind: &'a str,
    codes: &'a [Value],
}

impl<'a> Column<'a> {
    fn of_field(field: &'a Value) -> Option<Self> {
        let name = field["name"].as_str()?;
        Some(Column {
            name,
            alias: field["alias"].as_str().unwrap_or(name),
            kind: field["type"].as_str().unwrap_or_default(),
            codes: field["domain"]["codedValues"].as_array().map_or(&[], Vec::as_slice),
        })
    }

    fn of_attribute(name: &'a str) -> Self {
        Column { name, alias: name, kind: "", codes: &[] }
    }

    /// The columns that `fields` lists; without it, those that the attributes of the first feature give.
    fn all(fields: Option<&'a Vec<Value>>, attributes: &'a Value) -> Vec<Column<'a>> {
        match fields {
            Some(fields) => fields.iter().filter_map(Column::of_field).collect(),
            None => {
                attributes.as_object().into_iter().flat_map(Map::keys).map(|name| Column::of_attribute(name)).collect()
            }
        }
    }

    fn is_number(&self) -> bool {
        self.codes.is_empty()
            && ["SmallInteger", "Integer", "BigInteger", "Single", "Double", "OID"]
                .iter()
                .any(|kind| self.kind.strip_prefix("esriFieldType") == Some(kind))
    }

    fn write(&self, html: &mut Html, attribute: &Value) {
        let coded = self.codes.iter().find(|coded| coded["code"] == *attribute);
        match (coded, attribute) {
            (_, Value::Null) => {
                html.raw("<span class=\"none\">null</span>");
            }
            (Some(coded), _) => {
                html.text(&plain(&coded["name"]))
                    .raw(" <span class=\"epoch\">(")
                    .text(&plain(attribute))
                    .raw(")</span>");
            }
            (None, Value::Number(number)) if self.kind == "esriFieldTypeDate" => match number.as_i64() {
                Some(milliseconds) => values::date(html, milliseconds),
                None => {
                    html.text(&number.to_string());
                }
            },
            (None, Value::String(text)) if text.is_empty() => {
                html.raw("<span class=\"none\">empty</span>");
            }
            (None, other) => values::shortened(html, &plain(other)),
        }
    }
}

/// Writes features as a table; without a list of fields the attributes of the first one give the columns.
pub(super) fn features_table(html: &mut Html, label: &str, features: &[Value], fields: Option<&Vec<Value>>) {
    write_table(html, label, features.get(..MAX_ROWS).unwrap_or(features), fields, None);
    not_shown(html, features.len());
}

fn write_table(html: &mut Html, label: &str, features: &[Value], fields: Option<&Vec<Value>>, ids: Option<Ids<'_>>) {
    let Some(first) = features.first() else {
        return;
    };
    let columns = Column::all(fields, &first["attributes"]);
    let with_geometry = features.iter().any(|feature| feature["geometry"].is_object());

    html.raw("<div class=\"wide tall\" role=\"region\" tabindex=\"0\"")
        .attribute("aria-label", label)
        .raw("><table>\n<thead><tr>");
    for column in &columns {
        html.raw(if column.is_number() { "<th scope=\"col\" class=\"number\">" } else { "<th scope=\"col\">" });
        html.text(column.name);
        if column.alias != column.name {
            html.raw("<small>").text(column.alias).raw("</small>");
        }
        html.raw("</th>");
    }
    if with_geometry {
        html.raw("<th scope=\"col\">Geometry</th>");
    }
    html.raw("</tr></thead>\n<tbody>\n");
    for feature in features {
        let id = ids.and_then(|ids| feature["attributes"][ids.field].as_i64()).map(|id| id.to_string());
        html.raw("<tr");
        if let Some(id) = &id {
            html.attribute("data-id", id);
        }
        html.raw(">");
        for column in &columns {
            let attribute = &feature["attributes"][column.name];
            html.raw(match attribute {
                Value::String(text) if values::is_long(text) => "<td class=\"long\">",
                Value::Number(_) if column.is_number() => "<td class=\"number\">",
                _ => "<td>",
            });
            match (&id, ids) {
                (Some(id), Some(ids)) if column.name == ids.field => {
                    html.link(&format!("{}/{id}", ids.layer), id);
                }
                _ => column.write(html, attribute),
            }
            html.raw("</td>");
        }
        if with_geometry {
            html.raw("<td>");
            match values::geometry(&feature["geometry"]) {
                Some(summary) => html.text(&summary),
                None => html.raw("<span class=\"none\">null</span>"),
            };
            html.raw("</td>");
        }
        html.raw("</tr>\n");
    }
    html.close_table();
}

/// The most bytes of an address with the values of a feature in it; servers and browsers take at least as many.
const MAX_ADDRESS_BYTES: usize = 6000;

/// Writes one feature, where it is, what belongs to it, and what can be done with it.
pub(super) fn feature(html: &mut Html, page: &Page<'_>, body: &Value) {
    let feature = &body["feature"];
    let layer = &page.about["layer"];
    let id = page.here().rsplit('/').next().unwrap_or_default();
    html.raw("<div class=\"beside\">\n<div>\n");
    if feature["geometry"].is_object() {
        html.raw("<div class=\"map\" role=\"region\" aria-label=\"Map of the feature\" data-map data-rows=\"feature\"");
        html.attribute("data-layer", page.parent()).raw(">A browser that runs scripts shows a map here.</div>\n");
    }
    html.heading(2, None, "Attributes");
    html.raw("<div id=\"feature\"><dl").attribute("data-id", id).raw(">\n");
    for column in Column::all(layer["fields"].as_array(), &feature["attributes"]) {
        let Some(attribute) = feature["attributes"].get(column.name) else { continue };
        let label = match column.alias == column.name {
            true => column.name.to_owned(),
            false => format!("{} ({})", column.name, column.alias),
        };
        row(html, &label, |html| column.write(html, attribute));
    }
    html.raw("</dl></div>\n");
    if let Some(summary) = values::geometry(&feature["geometry"]) {
        html.heading(2, None, "Geometry");
        html.raw("<details><summary>").text(&summary).raw("</summary>");
        values::json(html, &feature["geometry"]);
        html.raw("</details>\n");
    }
    html.raw("</div>\n<aside>\n");
    related(html, page, layer, id);
    html.heading(2, Some("operations"), "Supported Operations");
    let mut operations = Vec::new();
    if page.about["access"] != "view" {
        operations.push((edit_address(page, layer, feature), "Edit".to_owned()));
        operations.push((format!("{}/deleteFeatures?objectIds={id}", page.parent()), "Delete".to_owned()));
        if layer["hasAttachments"] == true {
            operations.push((format!("{}/addAttachment", page.here()), "Add Attachment".to_owned()));
        }
    }
    links(html, operations.into_iter());
    html.raw("</aside>\n</div>\n");
}

/// Writes where a feature's attachments are, and the records that belong to it or that it belongs to.
fn related(html: &mut Html, page: &Page<'_>, layer: &Value, id: &str) {
    let mut found = Vec::new();
    if layer["hasAttachments"] == true {
        found.push((format!("{}/attachments", page.here()), "Attachments".to_owned()));
    }
    for one in items(layer, "relationships") {
        let related = items(page.about, "layers").iter().find(|other| other["id"] == one["relatedTableId"]);
        let name = related.map_or_else(|| plain(&one["name"]), |other| plain(&other["name"]));
        let number = percent_encode(&plain(&one["id"]));
        let query = format!("{}/queryRelatedRecords?objectIds={id}&relationshipId={number}&outFields=*", page.parent());
        found.push((query, format!("Related Records: {name}")));
    }
    if !found.is_empty() {
        html.heading(2, None, "Child Resources");
        links(html, found.into_iter());
    }
}

/// The address of the form that changes a feature, filled with its values as far as there is room for them.
fn edit_address(page: &Page<'_>, layer: &Value, feature: &Value) -> String {
    let editable = |name: &str| {
        let field = items(layer, "fields").iter().find(|field| field["name"] == name);
        name == layer["objectIdField"] || field.is_some_and(|field| field["editable"] == true)
    };
    let attributes: Map<String, Value> = feature["attributes"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| editable(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let features = format!("{:#}", serde_json::json!([{"attributes": attributes}]));
    let form = format!("{}/updateFeatures", page.parent());
    let filled = format!("{form}?features={}", percent_encode(&features));
    if filled.len() <= MAX_ADDRESS_BYTES { filled } else { form }
}

/// Writes the attachments of a feature, pictures as such.
pub(super) fn attachments(html: &mut Html, page: &Page<'_>, body: &Value) {
    let here = page.here();
    let feature = page.parent();
    let found = items(body, "attachmentInfos");
    let edits = page.about["access"] != "view";
    if found.is_empty() {
        html.raw("<p>").none().raw("</p>\n");
    } else {
        html.raw("<p>Attachments: ").text(&found.len().to_string()).raw("</p>\n<ul class=\"cards\">\n");
        for one in found.iter().take(MAX_ROWS) {
            let id = plain(&one["id"]);
            let address = format!("{here}/{}", percent_encode(&id));
            html.raw("<li class=\"card\">");
            if is_picture(one) {
                html.raw("<img class=\"preview\" alt=\"\" loading=\"lazy\"").attribute("src", &address).raw(">");
            }
            html.raw("<p>").link(&address, &format!("{} ({id})", plain(&one["name"]))).raw("</p>\n<p class=\"note\">");
            html.text(&plain(&one["contentType"]))
                .raw(", ")
                .text(&values::size(one["size"].as_u64().unwrap_or_default()));
            if let Some(keywords) = one["keywords"].as_str().filter(|words| !words.is_empty()) {
                html.raw(", ").text(keywords);
            }
            html.raw("</p>");
            if edits {
                html.raw("<p class=\"note\">")
                    .link(&format!("{feature}/updateAttachment?attachmentId={id}"), "Replace");
                html.raw(" · ").link(&format!("{feature}/deleteAttachments?attachmentIds={id}"), "Delete").raw("</p>");
            }
            html.raw("</li>\n");
        }
        html.raw("</ul>\n");
        not_shown(html, found.len());
    }
    html.heading(2, Some("operations"), "Supported Operations");
    let add = (format!("{feature}/addAttachment"), "Add Attachment".to_owned());
    links(html, edits.then_some(add).into_iter());
}

/// The largest picture that is shown before somebody asks for it, in bytes.
const MAX_PREVIEW_BYTES: u64 = 4 << 20;

fn is_picture(attachment: &Value) -> bool {
    let kind = attachment["contentType"].as_str().unwrap_or_default().to_ascii_lowercase();
    let shows = ["image/jpeg", "image/png", "image/gif", "image/webp"].contains(&kind.as_str());
    shows && attachment["size"].as_u64().is_some_and(|bytes| bytes <= MAX_PREVIEW_BYTES)
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::super::tests::made_with;
    use super::*;
    use serde_json::json;

    fn shown(body: &Value) -> String {
        made_with(Kind::Query { table: false }, &["0", "query"], Some(body), &[], &Value::Null)
    }

    #[test]
    fn records_show_dates_codes_nulls_and_geometries() {
        let html = shown(&json!({
            "objectIdFieldName": "OBJECTID", "hasZ": true, "exceededTransferLimit": true,
            "fields": [
                {"name": "OBJECTID", "type": "esriFieldTypeOID", "alias": "OBJECTID"},
                {"name": "status", "type": "esriFieldTypeSmallInteger", "alias": "Status",
                 "domain": {"type": "codedValue", "codedValues": [{"name": "Open", "code": 1}]}},
                {"name": "note", "type": "esriFieldTypeString", "alias": "note"},
                {"name": "seen", "type": "esriFieldTypeDate", "alias": "Seen on"}],
            "features": [
                {"attributes": {"OBJECTID": 7, "status": 1, "seen": 0, "note": ""}, "geometry": {"x": 1, "y": 2, "z": 3}},
                {"attributes": {"OBJECTID": 8, "status": 2, "seen": null, "note": "x".repeat(400)}}]}));
        for part in [
            "# records: 2",
            "data-map data-rows=\"records\" data-layer=\"/rest/services/natural-earth/FeatureServer/0\"",
            "<tr data-id=\"7\"><td class=\"number\"><a href=\"/rest/services/natural-earth/FeatureServer/0/7\">7</a></td>",
            "<dt>Object ID Field:</dt> <dd>OBJECTID</dd>",
            "<dt>Has Z:</dt> <dd>true</dd>",
            "<dt>Exceeded Transfer Limit:</dt> <dd>true</dd>",
            "seen<small>Seen on</small>",
            "Open <span class=\"epoch\">(1)</span>",
            "<td>2</td>",
            "<td><span class=\"none\">empty</span></td>",
            "<td class=\"long\"><details class=\"more\"><summary>xxx",
            "1970-01-01 00:00:00 UTC",
            "Point: X: 1 Y: 2 Z: 3",
            "<td><span class=\"none\">null</span></td>",
            "resultOffset=2\">Next records</a>",
        ] {
            assert!(html.contains(part), "{part} is missing in\n{html}");
        }
    }

    #[test]
    fn statistics_have_neither_map_nor_links() {
        let html = shown(&json!({"objectIdFieldName": "OBJECTID", "features": [{"attributes": {"n": 3}}]}));
        assert!(html.contains("<td>3</td>") && !html.contains("data-map") && !html.contains("data-id"), "{html}");
    }

    #[test]
    fn ids_counts_and_extents_have_their_labels() {
        let ids = shown(&json!({"objectIdFieldName": "OBJECTID", "objectIds": [1, 2]}));
        assert!(ids.contains("<dt>Object IDs:</dt> <dd>1, 2</dd>"), "{ids}");
        let count = shown(&json!({"count": 0}));
        assert!(count.contains("<dt>Count:</dt> <dd>0</dd>"), "{count}");
        let extent = shown(&json!({"extent": {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}, "count": 74}));
        assert!(extent.contains("YMin: 2") && extent.contains("<dd>74</dd>"), "{extent}");
    }

    #[test]
    fn a_feature_leads_to_what_belongs_to_it_and_to_a_form_with_its_values() {
        let about = json!({"access": "edit", "layers": [{"id": 1, "name": "Visits"}], "layer": {
            "objectIdField": "id", "hasAttachments": true, "relationships": [{"id": 4, "name": "r", "relatedTableId": 1}],
            "fields": [{"name": "id", "type": "esriFieldTypeOID"}, {"name": "when", "alias": "When", "type": "esriFieldTypeDate", "editable": true},
                       {"name": "by", "editable": false}]}});
        let body = json!({"feature": {"attributes": {"id": 7, "when": 0, "by": "somebody"}}});
        let html = made_with(Kind::Feature, &["0", "7"], Some(&body), &[], &about);
        for part in [
            "<dt>when (When):</dt> <dd>1970-01-01 00:00:00 UTC",
            "/0/7/attachments\">Attachments</a>",
            "/0/queryRelatedRecords?objectIds=7&amp;relationshipId=4&amp;outFields=*\">Related Records: Visits</a>",
            "%22when%22%3A%200",
            "/0/deleteFeatures?objectIds=7\">Delete</a>",
        ] {
            assert!(html.contains(part), "{part} is missing in\n{html}");
        }
        assert!(!html.contains("%22by%22"), "what nobody may edit is not in the form");
        let viewer = json!({"access": "view", "layer": about["layer"]});
        let html = made_with(Kind::Feature, &["0", "7"], Some(&body), &[], &viewer);
        assert!(!html.contains(">Edit</a>") && !html.contains(">Delete</a>"), "{html}");
    }
}
