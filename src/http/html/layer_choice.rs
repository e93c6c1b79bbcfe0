//! The part of a form in which somebody chooses layers and which of their rows. It is sent as a parameter for each choice, which
//! [`gathered`] makes the `layers` and `layerQueries` that programs send.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::wire::params::Params;

use super::Page;
use super::resources::items;
use super::values::plain;
use super::writer::Html;

/// Begins the names of what a form sends about the rows of a layer; its id follows.
const ROWS: &str = "rows.";
const WHERE: &str = "where.";

/// Which rows of a layer there are to choose from.
const ROWS_OF_LAYERS: &[(&str, &str)] = &[("", "Rows in the area"), ("all", "All rows"), ("none", "No rows")];

/// Which rows of a table there are to choose from.
const ROWS_OF_TABLES: &[(&str, &str)] = &[("", "Rows that belong to others"), ("all", "All rows")];

/// Writes a line for each layer and table: whether it is wanted, which of its rows, and a condition on them.
pub(super) fn write(html: &mut Html, page: &Page<'_>) {
    let sent = |prefix: &str, id: &str| page.form_value(&format!("{prefix}{id}")).unwrap_or_default();
    let ticked: Vec<&str> = page
        .form_values
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("layers"))
        .flat_map(|(_, value)| value.split(',').map(str::trim))
        .collect();
    let is_sent = page.form_values.iter().any(|(name, _)| name.starts_with(ROWS)) || !ticked.is_empty();
    html.raw("<div class=\"row\" role=\"group\" aria-labelledby=\"label-layers\">");
    html.raw("<span class=\"label\" id=\"label-layers\">Layers</span><div class=\"layers\">\n");
    for layer in items(page.about, "layers") {
        let (id, name) = (plain(&layer["id"]), plain(&layer["name"]));
        html.raw("<div class=\"layer\"><label class=\"option\"><input type=\"checkbox\" name=\"layers\"");
        html.attribute("value", &id).raw(if !is_sent || ticked.contains(&id.as_str()) { " checked> " } else { "> " });
        html.text(&format!("{name} ({id})")).raw("</label>\n<select");
        html.attribute("name", &format!("{ROWS}{id}")).attribute("aria-label", &format!("Rows of {name}")).raw(">");
        let options = if layer["geometryType"].is_string() { ROWS_OF_LAYERS } else { ROWS_OF_TABLES };
        for (value, text) in options {
            html.raw("<option").attribute("value", value);
            html.raw(if sent(ROWS, &id) == *value { " selected>" } else { ">" }).raw(text).raw("</option>");
        }
        html.raw("</select>\n<input type=\"text\" class=\"code\" spellcheck=\"false\" autocomplete=\"off\" placeholder=\"Where\"");
        html.attribute("name", &format!("{WHERE}{id}")).attribute("aria-label", &format!("Where, of {name}"));
        html.attribute("value", sent(WHERE, &id)).raw("></div>\n");
    }
    html.raw("<small>A condition, such as <code>status = 'open'</code>, takes part of the rows</small></div></div>\n");
}

/// The parameters of a form as a program would have sent them. What was said in `layerQueries` itself stands.
pub(crate) fn gathered(params: &Params) -> Cow<'_, Params> {
    let layers: Vec<&str> =
        params.pairs().iter().filter(|(name, _)| name == "layers").map(|(_, value)| value.trim()).collect();
    let is_part = |name: &str| name.starts_with(ROWS) || name.starts_with(WHERE);
    if layers.len() < 2 && !params.pairs().iter().any(|(name, _)| is_part(name)) {
        return Cow::Borrowed(params);
    }
    let mut queries: Map<String, Value> = Map::new();
    let mut gathered = Params::new();
    for (name, value) in params.pairs() {
        let about = |prefix: &str| name.strip_prefix(prefix).filter(|id| layers.contains(id));
        let value = value.trim();
        if let Some(id) = about(ROWS).filter(|_| !value.is_empty()) {
            queries.entry(id).or_insert_with(|| json!({}))["queryOption"] = value.into();
        } else if let Some(id) = about(WHERE).filter(|_| !value.is_empty()) {
            queries.entry(id).or_insert_with(|| json!({}))["where"] = value.into();
        } else if !is_part(name) && name != "layers" {
            gathered.push(name.as_str(), value);
        }
    }
    for query in queries.values_mut() {
        // With a condition, all rows are all that it lets through, wherever they are.
        if query["where"].is_string() && query["queryOption"] != "none" {
            *query = json!({"queryOption": "useFilter", "where": query["where"], "useGeometry": query["queryOption"] != "all"});
        }
    }
    gathered.push("layers", layers.join(","));
    if !queries.is_empty() {
        gathered.push_default("layerQueries", Value::Object(queries).to_string());
    }
    Cow::Owned(gathered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut params = Params::new();
        for (name, value) in pairs {
            params.push(*name, *value);
        }
        gathered(&params).pairs().to_vec()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn what_a_form_sends_in_parts_is_what_a_program_sends() {
        assert_eq!(
            sent(&[
                ("replicaName", "a"),
                ("layers", "0"),
                ("layers", "2"),
                ("rows.0", ""),
                ("where.0", "a > 1"),
                ("rows.1", "all"),
                ("where.1", "not ticked"),
                ("rows.2", "all"),
                ("where.2", ""),
            ]),
            [
                pair("replicaName", "a"),
                pair("layers", "0,2"),
                pair(
                    "layerQueries",
                    r#"{"0":{"queryOption":"useFilter","where":"a > 1","useGeometry":true},"2":{"queryOption":"all"}}"#
                ),
            ]
        );
        assert_eq!(sent(&[("rows.0", "")]), [pair("layers", "")], "nothing is ticked");
    }

    #[test]
    fn what_programs_send_stays_as_it_is() {
        assert_eq!(sent(&[("layers", "0, 1")]), [pair("layers", "0, 1")]);
        let given = [("layerQueries", "{}"), ("layers", "0"), ("rows.0", "all")];
        assert!(sent(&given).contains(&pair("layerQueries", "{}")));
        assert_eq!(sent(&given).len(), 2);
    }
}
