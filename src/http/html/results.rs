//! Shows what operations answer: rows, counts, ids, extents, outcomes of edits, and any other JSON.

use serde_json::{Map, Value};

use super::values::{self, facts, is_empty, is_long, is_scalar, plain, value};
use super::writer::Html;

/// Writes the answer to a query; `next` is the address of the next records, used if there are more.
pub(super) fn query(html: &mut Html, body: &Value, next: Option<&str>) {
    if let Some(features) = body["features"].as_array() {
        records(html, body, features, next);
    } else if let Some(ids) = body["objectIds"].as_array() {
        html.raw("<p># records: ").text(&ids.len().to_string()).raw("</p>\n");
        facts(html, body, &[("Object ID Field", "objectIdFieldName"), ("Object IDs", "objectIds")]);
    } else if body.get("count").is_some() || body.get("extent").is_some() {
        facts(html, body, &[("Count", "count"), ("Extent", "extent")]);
    } else {
        answer(html, body, 3);
    }
}

fn records(html: &mut Html, body: &Value, features: &[Value], next: Option<&str>) {
    html.raw("<p># records: ").text(&features.len().to_string()).raw("</p>\n");
    facts(
        html,
        body,
        &[
            ("Display Field", "displayFieldName"),
            ("Has Z", "hasZ"),
            ("Has M", "hasM"),
            ("Object ID Field", "objectIdFieldName"),
            ("Global ID Field", "globalIdFieldName"),
            ("Geometry Type", "geometryType"),
            ("Spatial Reference", "spatialReference"),
            ("Exceeded Transfer Limit", "exceededTransferLimit"),
        ],
    );
    features_table(html, "Records", features, body["fields"].as_array());
    if let Some(next) = next {
        html.raw("<p>").link(next, "Next records").raw("</p>\n");
    }
}

/// A column of a table of features.
struct Column<'a> {
    name: &'a str,
    alias: &'a str,
    date: bool,
    codes: &'a [Value],
}

impl<'a> Column<'a> {
    fn of_field(field: &'a Value) -> Option<Self> {
        let name = field["name"].as_str()?;
        Some(Column {
            name,
            alias: field["alias"].as_str().unwrap_or(name),
            date: field["type"] == "esriFieldTypeDate",
            codes: field["domain"]["codedValues"].as_array().map_or(&[], Vec::as_slice),
        })
    }

    fn of_attribute(name: &'a str) -> Self {
        Column { name, alias: name, date: false, codes: &[] }
    }

    fn cell(&self, html: &mut Html, attribute: &Value) {
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
            (None, Value::Number(number)) if self.date => match number.as_i64() {
                Some(milliseconds) => values::date(html, milliseconds),
                None => {
                    html.text(&number.to_string());
                }
            },
            (None, other) => {
                html.text(&plain(other));
            }
        }
    }
}

/// Writes features as a table; without a list of fields the attributes of the first one give the columns.
fn features_table(html: &mut Html, label: &str, features: &[Value], fields: Option<&Vec<Value>>) {
    let Some(first) = features.first() else {
        return;
    };
    let columns: Vec<Column<'_>> = match fields {
        Some(fields) => fields.iter().filter_map(Column::of_field).collect(),
        None => first["attributes"]
            .as_object()
            .map(|attributes| attributes.keys().map(|name| Column::of_attribute(name)).collect())
            .unwrap_or_default(),
    };
    let with_geometry = features.iter().any(|feature| feature["geometry"].is_object());

    html.raw("<div class=\"wide\" role=\"region\" tabindex=\"0\"")
        .attribute("aria-label", label)
        .raw("><table>\n<thead><tr>");
    for column in &columns {
        html.raw("<th scope=\"col\">").text(column.name);
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
        html.raw("<tr>");
        for column in &columns {
            let attribute = &feature["attributes"][column.name];
            html.open_cell(attribute.as_str().is_some_and(is_long));
            column.cell(html, attribute);
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

/// Writes any answer: what fits on a line as a list, the rest below under headings from `level` on.
pub(super) fn answer(html: &mut Html, body: &Value, level: usize) {
    match body {
        Value::Object(members) => object(html, members, level),
        Value::Array(items) => array(html, "Result", items, level),
        _ => {
            html.raw("<p>").text(&plain(body)).raw("</p>\n");
        }
    }
}

fn object(html: &mut Html, members: &Map<String, Value>, level: usize) {
    if members.values().any(is_brief) {
        html.raw("<dl>\n");
        for (key, member) in members.iter().filter(|(_, member)| is_brief(member)) {
            values::row(html, key, |html| value(html, key, member));
        }
        html.raw("</dl>\n");
    }
    for (key, member) in members.iter().filter(|(_, member)| !is_brief(member)) {
        html.heading(level, None, key);
        match member {
            Value::Array(items) => array(html, key, items, level + 1),
            _ if level < 6 => answer(html, member, level + 1),
            _ => values::json(html, member),
        }
    }
}

/// Says whether a member needs no heading of its own.
fn is_brief(member: &Value) -> bool {
    match member {
        Value::Array(items) => items.iter().all(is_scalar),
        Value::Object(object) => {
            is_empty(member)
                || object.contains_key("xmin")
                || object.contains_key("wkid")
                || values::geometry(member).is_some()
        }
        _ => true,
    }
}

fn array(html: &mut Html, label: &str, items: &[Value], level: usize) {
    if items.is_empty() {
        html.raw("<p>").none().raw("</p>\n");
    } else if items.iter().all(|item| item["attributes"].is_object()) {
        features_table(html, label, items, None);
    } else if items.iter().all(is_edit_result) {
        edit_results(html, label, items);
    } else if items.iter().all(is_flat) {
        table(html, label, items);
    } else if level <= 6 && items.iter().all(Value::is_object) {
        for (index, item) in items.iter().enumerate() {
            let name = match item.get("id").filter(|id| is_scalar(id)) {
                Some(id) => format!("Layer {}", plain(id)),
                None => format!("{label} {}", index + 1),
            };
            html.heading(level, None, &name);
            answer(html, item, level + 1);
        }
    } else {
        values::json(html, &Value::Array(items.to_vec()));
    }
}

fn is_edit_result(item: &Value) -> bool {
    item["success"].is_boolean() && item.get("objectId").or_else(|| item.get("globalId")).is_some()
}

fn edit_results(html: &mut Html, label: &str, items: &[Value]) {
    html.open_table(label, &["Object ID", "Global ID", "Success", "Error"]);
    for item in items {
        html.raw("<tr>");
        for key in ["objectId", "globalId", "success"] {
            html.raw("<td>");
            value(html, key, &item[key]);
            html.raw("</td>");
        }
        let error = &item["error"];
        html.open_cell(!error.is_null());
        if error.is_object() {
            html.text(&format!("{}: {}", plain(&error["code"]), plain(&error["description"])));
        } else if !error.is_null() {
            html.text(&plain(error));
        }
        html.raw("</td></tr>\n");
    }
    html.close_table();
}

/// Says whether an object fits in a row of a table.
fn is_flat(item: &Value) -> bool {
    item.as_object().is_some_and(|members| members.values().all(is_scalar))
}

/// Writes flat objects as a table that has a column for each key that occurs.
pub(super) fn table(html: &mut Html, label: &str, items: &[Value]) {
    let mut columns: Vec<&str> = Vec::new();
    for key in items.iter().filter_map(Value::as_object).flat_map(Map::keys) {
        if !columns.contains(&key.as_str()) {
            columns.push(key);
        }
    }
    html.open_table(label, &columns);
    for item in items {
        html.raw("<tr>");
        for column in &columns {
            let member = &item[*column];
            html.open_cell(member.as_str().is_some_and(is_long));
            value(html, column, member);
            html.raw("</td>");
        }
        html.raw("</tr>\n");
    }
    html.close_table();
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(write: impl FnOnce(&mut Html)) -> String {
        let mut html = Html::new();
        write(&mut html);
        html.finish()
    }

    #[test]
    fn records_show_dates_codes_nulls_and_geometries() {
        let html = shown(|html| {
            query(
                html,
                &json!({
                    "objectIdFieldName": "OBJECTID", "hasZ": true, "exceededTransferLimit": true,
                    "fields": [
                        {"name": "OBJECTID", "type": "esriFieldTypeOID", "alias": "OBJECTID"},
                        {"name": "status", "type": "esriFieldTypeSmallInteger", "alias": "Status",
                         "domain": {"type": "codedValue", "codedValues": [{"name": "Open", "code": 1}]}},
                        {"name": "seen", "type": "esriFieldTypeDate", "alias": "Seen on"}],
                    "features": [
                        {"attributes": {"OBJECTID": 7, "status": 1, "seen": 0}, "geometry": {"x": 1, "y": 2, "z": 3}},
                        {"attributes": {"OBJECTID": 8, "status": 2, "seen": null}}]}),
                Some("/query?resultOffset=2"),
            );
        });
        for part in [
            "# records: 2",
            "<dt>Object ID Field:</dt> <dd>OBJECTID</dd>",
            "<dt>Has Z:</dt> <dd>true</dd>",
            "<dt>Exceeded Transfer Limit:</dt> <dd>true</dd>",
            "seen<small>Seen on</small>",
            "Open <span class=\"epoch\">(1)</span>",
            "<td>2</td>",
            "1970-01-01 00:00:00 UTC",
            "Point: X: 1 Y: 2 Z: 3",
            "<td><span class=\"none\">null</span></td>",
            "<a href=\"/query?resultOffset=2\">Next records</a>",
        ] {
            assert!(html.contains(part), "{part} is missing in\n{html}");
        }
    }

    #[test]
    fn ids_counts_and_extents_have_their_labels() {
        let ids = shown(|html| {
            query(html, &json!({"objectIdFieldName": "OBJECTID", "objectIds": [1, 2]}), None);
        });
        assert!(ids.contains("<dt>Object IDs:</dt> <dd>1, 2</dd>"), "{ids}");
        let count = shown(|html| query(html, &json!({"count": 0}), None));
        assert!(count.contains("<dt>Count:</dt> <dd>0</dd>"), "{count}");
        let extent = shown(|html| {
            query(html, &json!({"extent": {"xmin": 1, "ymin": 2, "xmax": 3, "ymax": 4}, "count": 74}), None);
        });
        assert!(extent.contains("YMin: 2") && extent.contains("<dd>74</dd>"), "{extent}");
    }

    #[test]
    fn outcomes_of_edits_form_a_table_per_array() {
        let html = shown(|html| {
            answer(
                html,
                &json!([{"id": 3,
                    "addResults": [{"objectId": 49, "globalId": "{4ED6}", "success": true}],
                    "updateResults": [{"globalId": "{5}", "success": false,
                                       "error": {"code": 1011, "description": "Object is missing."}}],
                    "deleteResults": []}]),
                3,
            );
        });
        for part in [
            "<h3>Layer 3</h3>",
            "<h4>addResults</h4>",
            "<tr><td>49</td><td>{4ED6}</td><td>true</td><td></td></tr>",
            "<td class=\"long\">1011: Object is missing.</td>",
            "<dt>deleteResults:</dt> <dd><span class=\"none\">None</span></dd>",
        ] {
            assert!(html.contains(part), "{part} is missing in\n{html}");
        }
    }

    #[test]
    fn changes_of_a_synchronisation_are_readable() {
        let html = shown(|html| {
            answer(
                html,
                &json!({"responseType": "esriReplicaResponseTypeEdits",
                    "layerServerGens": [{"id": 0, "serverGen": 8412}],
                    "edits": [{"id": 0, "features": {
                        "adds": [{"attributes": {"name": "<i>x</i>"}, "geometry": {"x": 1, "y": 2}}],
                        "updates": [], "deleteIds": ["{7BA1}"]}}]}),
                3,
            );
        });
        for part in [
            "<dt>responseType:</dt> <dd>esriReplicaResponseTypeEdits</dd>",
            "<td>8412</td>",
            "<th scope=\"col\">name</th>",
            "<td>&lt;i&gt;x&lt;/i&gt;</td>",
            "<dt>deleteIds:</dt> <dd>{7BA1}</dd>",
        ] {
            assert!(html.contains(part), "{part} is missing in\n{html}");
        }
    }

    #[test]
    fn deep_nesting_ends_in_plain_json() {
        let mut nested = json!({"leaf": "<b>"});
        for _ in 0..12 {
            nested = json!({ "down": nested });
        }
        let html = shown(|html| answer(html, &nested, 3));
        assert!(html.contains("<h6>down</h6>\n<pre"), "{html}");
        assert!(html.contains("&lt;b&gt;") && !html.contains("<b>"), "{html}");
    }
}
