//! Shows single JSON values for reading: dates, extents, geometries, flags, and labelled lists of them.

use serde_json::{Map, Value};

use crate::model::calendar;

use super::writer::Html;

/// Keys whose numbers are milliseconds since 1970.
const DATES: &[&str] = &[
    "creationDate",
    "lastSyncDate",
    "lastEditDate",
    "schemaLastEditDate",
    "dataLastEditDate",
    "receivedDate",
    "lastReceivedDate",
    "closedDate",
    "undoneDate",
    "foundDate",
    "restoredDate",
    "expiredDate",
    "expiryDate",
    "unregisterDate",
    "editMoment",
    "submissionTime",
    "lastUpdatedTime",
    "expires",
];

/// Keys whose texts are addresses that the server itself made, the only values that become links.
const ADDRESSES: &[&str] = &["URL", "responseUrl", "resultUrl", "statusUrl"];

/// Keys whose numbers are bytes.
const SIZES: &[&str] = &["size", "resultSize"];

/// How much of a text is shown before somebody asks for the rest, in characters.
const MAX_SHOWN_CHARACTERS: usize = 200;

/// Writes the members of `object` that `labels` names, in that order, as one list; absent and null ones are left out.
pub(super) fn facts(html: &mut Html, object: &Value, labels: &[(&'static str, &str)]) {
    html.raw("<dl>\n");
    fact_rows(html, object, labels);
    html.raw("</dl>\n");
}

/// Writes the rows of [`facts`], for a list that has other rows too.
pub(super) fn fact_rows(html: &mut Html, object: &Value, labels: &[(&'static str, &str)]) {
    for (label, key) in labels {
        match object.get(key) {
            None | Some(Value::Null) => {}
            Some(member) => row(html, label, |html| value(html, key, member)),
        }
    }
}

/// Writes one row of a list.
pub(super) fn row(html: &mut Html, label: &str, content: impl FnOnce(&mut Html)) {
    html.raw("<div><dt>").text(label).raw(":</dt> <dd>");
    content(html);
    html.raw("</dd></div>\n");
}

/// Writes the value of the member `key` in the form that suits it.
pub(super) fn value(html: &mut Html, key: &str, value: &Value) {
    match value {
        _ if is_empty(value) => {
            html.none();
        }
        Value::Number(number) if DATES.contains(&key) => match number.as_i64() {
            Some(milliseconds) => date(html, milliseconds),
            None => {
                html.text(&number.to_string());
            }
        },
        Value::Number(number) if SIZES.contains(&key) => match number.as_u64() {
            Some(bytes) if bytes >= 1000 => {
                html.text(&size(bytes)).raw(" <span class=\"epoch\">(").text(&bytes.to_string()).raw(")</span>");
            }
            _ => {
                html.text(&number.to_string());
            }
        },
        Value::String(text) if ADDRESSES.contains(&key) => {
            html.link(text, text);
        }
        Value::Object(object) => self::object(html, object, value),
        Value::Array(items) if !items.iter().all(is_scalar) => json(html, value),
        _ => shortened(html, &plain(value)),
    }
}

/// Writes a text; of a long one its beginning, and all of it when somebody opens it.
pub(super) fn shortened(html: &mut Html, text: &str) {
    match text.char_indices().nth(MAX_SHOWN_CHARACTERS) {
        None => html.text(text),
        Some(_) => {
            let end = text.char_indices().nth(MAX_SHOWN_CHARACTERS / 2).map_or(text.len(), |(end, _)| end);
            html.raw("<details class=\"more\"><summary>").text(text.get(..end).unwrap_or(text)).raw("…</summary><p>");
            html.text(text).raw("</p></details>")
        }
    };
}

/// Returns a number of bytes as people say it: `1.2 MB`.
pub(super) fn size(bytes: u64) -> String {
    let (mut scaled, mut units) = (bytes / 100, ["kB", "MB", "GB"].into_iter());
    let mut unit = units.next();
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    // Tenths of the unit.
    while scaled >= 10_000
        && let Some(larger) = units.next()
    {
        scaled /= 1000;
        unit = Some(larger);
    }
    format!("{}.{} {}", scaled / 10, scaled % 10, unit.unwrap_or_default())
}

fn object(html: &mut Html, object: &Map<String, Value>, value: &Value) {
    if object.contains_key("xmin") {
        extent(html, value);
    } else if is_spatial_reference(object) {
        html.text(&spatial_reference(value));
    } else if let Some(summary) = geometry(value) {
        html.text(&summary);
    } else if object.values().all(is_scalar) {
        html.raw("<ul class=\"lines\">");
        for (name, flag) in object {
            html.raw("<li>").text(name).raw(": ");
            self::value(html, name, flag);
            html.raw("</li>");
        }
        html.raw("</ul>");
    } else {
        json(html, value);
    }
}

/// Says whether there is nothing to show.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Says whether a value fits on a line: neither an object nor an array.
pub(super) fn is_scalar(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

/// Says whether a text is too long for one line of a cell of a table.
pub(super) fn is_long(text: &str) -> bool {
    text.chars().count() > 48
}

/// Returns a value as text without quotes; arrays as a list with commas, objects as compact JSON.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            items.join(", ")
        }
        other => other.to_string(),
    }
}

/// Writes a value as indented JSON.
pub(super) fn json(html: &mut Html, value: &Value) {
    html.raw("<pre tabindex=\"0\">").text(&format!("{value:#}")).raw("</pre>");
}

/// Writes a moment in UTC and, beside it, the number that stands for it in JSON.
pub(super) fn date(html: &mut Html, milliseconds: i64) {
    html.text(&utc(milliseconds)).raw(" <span class=\"epoch\">(").text(&milliseconds.to_string()).raw(")</span>");
}

/// Returns milliseconds since 1970 as `2025-04-30 11:56:34 UTC`, with a fraction where there is one.
fn utc(milliseconds: i64) -> String {
    const DAY: i64 = 86_400_000;
    let (year, month, day) = calendar::date(milliseconds.div_euclid(DAY));
    let within_day = milliseconds.rem_euclid(DAY);
    let (hour, minute) = (within_day / 3_600_000, within_day / 60_000 % 60);
    let (second, fraction) = (within_day / 1000 % 60, within_day % 1000);
    let date = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}");
    if fraction == 0 { format!("{date} UTC") } else { format!("{date}.{fraction:03} UTC") }
}

/// Writes an envelope as the lines that every services directory has.
pub(super) fn extent(html: &mut Html, extent: &Value) {
    html.raw("<ul class=\"lines\">");
    for (label, key) in [("XMin", "xmin"), ("YMin", "ymin"), ("XMax", "xmax"), ("YMax", "ymax")] {
        html.raw("<li>").raw(label).raw(": ").text(&plain(&extent[key])).raw("</li>");
    }
    if extent["spatialReference"].is_object() {
        html.raw("<li>Spatial Reference: ").text(&spatial_reference(&extent["spatialReference"])).raw("</li>");
    }
    html.raw("</ul>");
}

fn is_spatial_reference(object: &Map<String, Value>) -> bool {
    ["wkid", "latestWkid", "wkt", "wkt2"].iter().any(|key| object.contains_key(*key))
}

/// Returns `102100 (3857)`, or the text of a system that has no number.
fn spatial_reference(reference: &Value) -> String {
    match (reference["wkid"].as_i64(), reference["latestWkid"].as_i64()) {
        (Some(wkid), Some(latest)) => format!("{wkid} ({latest})"),
        (Some(number), None) | (None, Some(number)) => number.to_string(),
        (None, None) => plain(if reference["wkt"].is_string() { &reference["wkt"] } else { reference }),
    }
}

/// Returns a geometry in one line, the vertices of anything but a point only counted; `None` if it is not a geometry.
pub(super) fn geometry(geometry: &Value) -> Option<String> {
    let object = geometry.as_object()?;
    if object.contains_key("x") {
        let coordinates: Vec<String> = [("X", "x"), ("Y", "y"), ("Z", "z"), ("M", "m")]
            .iter()
            .filter_map(|(label, key)| Some(format!("{label}: {}", plain(object.get(*key)?))))
            .collect();
        return Some(format!("Point: {}", coordinates.join(" ")));
    }
    if let Some(points) = geometry["points"].as_array() {
        return Some(format!("Multipoint: {}", counted(points.len(), "point")));
    }
    for (key, kind, part) in [
        ("rings", "Polygon", "ring"),
        ("curveRings", "Polygon", "ring"),
        ("paths", "Polyline", "path"),
        ("curvePaths", "Polyline", "path"),
    ] {
        if let Some(parts) = geometry[key].as_array() {
            let vertices = parts.iter().filter_map(Value::as_array).map(Vec::len).sum();
            let (parts, vertices) = (counted(parts.len(), part), counted(vertices, "vertex"));
            return Some(format!("{kind}: {parts}, {vertices}"));
        }
    }
    None
}

fn counted(count: usize, noun: &str) -> String {
    match (count, noun) {
        (1, _) => format!("1 {noun}"),
        (_, "vertex") => format!("{count} vertices"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(key: &str, member: &Value) -> String {
        let mut html = Html::new();
        value(&mut html, key, member);
        html.finish()
    }

    #[test]
    fn dates_are_shown_in_utc_beside_their_number() {
        assert_eq!(
            shown("lastSyncDate", &json!(1_746_014_194_603_i64)),
            "2025-04-30 11:56:34.603 UTC <span class=\"epoch\">(1746014194603)</span>"
        );
        assert_eq!(shown("serverGen", &json!(1_746_014_194_603_i64)), "1746014194603");
    }

    #[test]
    fn calendar_holds_at_leap_days_and_before_1970() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(-1000), "1969-12-31 23:59:59 UTC");
        assert_eq!(utc(951_782_400_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(utc(1_709_251_199_000), "2024-02-29 23:59:59 UTC");
        assert_eq!(utc(4_107_542_400_000), "2100-03-01 00:00:00 UTC");
        assert_eq!(utc(-62_135_596_800_000), "0001-01-01 00:00:00 UTC");
        assert!(utc(i64::MAX).ends_with(" UTC"));
        assert!(utc(i64::MIN).ends_with(" UTC"));
    }

    #[test]
    fn spatial_references_show_both_numbers_or_their_text() {
        assert_eq!(shown("spatialReference", &json!({"wkid": 102_100, "latestWkid": 3857})), "102100 (3857)");
        assert_eq!(shown("spatialReference", &json!({"wkid": 4326})), "4326");
        assert_eq!(shown("spatialReference", &json!({"wkt": "GEOGCS[<x>]"})), "GEOGCS[&lt;x&gt;]");
    }

    #[test]
    fn sizes_are_rounded_to_what_people_say() {
        for (bytes, said) in
            [(0, "0 B"), (999, "999 B"), (1234, "1.2 kB"), (1_500_000, "1.5 MB"), (7_000_000_000_000, "7000.0 GB")]
        {
            assert_eq!(size(bytes), said);
        }
    }

    #[test]
    fn geometries_are_summed_up_in_a_line() {
        let ring = json!({"rings": [[[0, 0], [0, 1], [1, 1], [0, 0]], []], "spatialReference": {"wkid": 4326}});
        assert_eq!(geometry(&ring).unwrap(), "Polygon: 2 rings, 4 vertices");
        assert_eq!(geometry(&json!({"x": 1.5, "y": -2, "z": 0})).unwrap(), "Point: X: 1.5 Y: -2 Z: 0");
        assert_eq!(geometry(&json!({"points": [[0, 0]]})).unwrap(), "Multipoint: 1 point");
        assert_eq!(geometry(&json!({"paths": [[[0, 0], [1, 1]]]})).unwrap(), "Polyline: 1 path, 2 vertices");
        assert_eq!(geometry(&json!({"name": "x"})), None);
    }

    #[test]
    fn an_extent_without_rows_is_shown_as_it_is() {
        let html = shown("extent", &json!({"xmin": "NaN", "ymin": "NaN", "xmax": "NaN", "ymax": "NaN"}));
        assert!(html.contains("XMin: NaN") && html.contains("YMax: NaN"), "{html}");
    }

    #[test]
    fn only_addresses_made_by_the_server_become_links() {
        assert!(shown("resultUrl", &json!("https://example.com/a.json")).starts_with("<a "));
        assert_eq!(shown("resultUrl", &json!("javascript:alert(1)")), "javascript:alert(1)");
        assert_eq!(shown("website", &json!("https://example.com/")), "https://example.com/");
    }
}
