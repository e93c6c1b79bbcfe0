//! Shows what operations answer: outcomes of edits, rows, and any other JSON.

use serde_json::{Map, Value};

use super::records::features_table;
use super::values::{self, is_empty, is_long, is_scalar, plain, value};
use super::writer::Html;

/// The most rows of a table; a page with more is slow, and nobody reads it.
pub(super) const MAX_ROWS: usize = 500;

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
    for item in items.iter().take(MAX_ROWS) {
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
    not_shown(html, items.len());
}

/// Says how many rows a table does not have, if it does not have them all.
pub(super) fn not_shown(html: &mut Html, count: usize) {
    if count > MAX_ROWS {
        html.raw("<p class=\"note\">These are the first ").text(&MAX_ROWS.to_string()).raw(" of ");
        html.text(&count.to_string()).raw("; the JSON has all of them.</p>\n");
    }
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
    for item in items.iter().take(MAX_ROWS) {
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
    not_shown(html, items.len());
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
