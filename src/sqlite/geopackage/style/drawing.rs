//! Renderers and symbols of a `drawingInfo`.
//!
//! API reference: *Renderer objects*, *Symbol objects*. Read are `simple` and `uniqueValue` with one field, and the simple
//! symbols of points, lines and areas.

use serde_json::Value as Json;

/// How a layer is drawn.
#[derive(Debug, PartialEq)]
pub(super) struct Style {
    /// The field whose values choose among the rules; `None`: there is one rule, for all features.
    pub(super) field: Option<String>,
    /// At least one.
    pub(super) rules: Vec<Rule>,
}

/// How some features are drawn.
#[derive(Debug, PartialEq)]
pub(super) struct Rule {
    /// The value of the field; `None`: all others.
    pub(super) value: Option<String>,
    /// What a legend says.
    pub(super) label: String,
    /// With what.
    pub(super) symbol: Symbol,
}

/// A symbol. Lengths are in points, of which an inch has 72.
#[derive(Debug, PartialEq)]
pub(super) enum Symbol {
    /// Of points.
    Marker { form: Form, color: Color, size: f64, outline: Option<Stroke> },
    /// Of lines.
    Line(Option<Stroke>),
    /// Of areas; what is filled with nothing has no pattern.
    Fill { pattern: Option<Pattern>, color: Color, outline: Option<Stroke> },
}

/// What a marker looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Circle,
    Square,
    Cross,
    X,
    Diamond,
    Triangle,
}

/// What an area is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    Solid,
    Horizontal,
    Vertical,
    ForwardDiagonal,
    BackwardDiagonal,
    Cross,
    DiagonalCross,
}

/// A line, or an outline.
#[derive(Debug, PartialEq)]
pub(super) struct Stroke {
    pub(super) color: Color,
    pub(super) width: f64,
    pub(super) dash: LineStyle,
}

/// How a line is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineStyle {
    Solid,
    Dash,
    Dot,
    DashDot,
    DashDotDot,
}

/// Red, green, blue, and how little is seen through it, each up to 255.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Color(pub(super) [u8; 4]);

/// Reads a renderer. `None` if there is something in it for which there are no words here. `field_named` knows the layer's
/// fields in any case.
pub(super) fn read(info: &Json, field_named: impl Fn(&str) -> Option<String>) -> Option<Style> {
    let renderer = &info["renderer"];
    match renderer["type"].as_str()? {
        "simple" => Some(Style { field: None, rules: vec![rule(renderer, None)?] }),
        "uniqueValue" if is_blank(&renderer["field2"]) && is_blank(&renderer["field3"]) => {
            let field = field_named(renderer["field1"].as_str()?)?;
            let mut rules = Vec::new();
            for info in renderer["uniqueValueInfos"].as_array()? {
                rules.push(rule(info, Some(text(&info["value"])?))?);
            }
            if renderer["defaultSymbol"].is_object() {
                let label = renderer["defaultLabel"].as_str().unwrap_or_default().to_owned();
                rules.push(Rule { value: None, label, symbol: symbol(&renderer["defaultSymbol"])? });
            }
            (!rules.is_empty()).then_some(Style { field: Some(field), rules })
        }
        _ => None,
    }
}

fn is_blank(value: &Json) -> bool {
    value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty())
}

fn rule(from: &Json, value: Option<String>) -> Option<Rule> {
    let label = from["label"].as_str().filter(|label| !label.is_empty()).or(value.as_deref()).unwrap_or_default();
    Some(Rule { label: label.to_owned(), symbol: symbol(&from["symbol"])?, value })
}

fn text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn symbol(symbol: &Json) -> Option<Symbol> {
    match symbol["type"].as_str()? {
        "esriSMS" => Some(Symbol::Marker {
            form: match symbol["style"].as_str().unwrap_or("esriSMSCircle") {
                "esriSMSCircle" => Form::Circle,
                "esriSMSSquare" => Form::Square,
                "esriSMSCross" => Form::Cross,
                "esriSMSX" => Form::X,
                "esriSMSDiamond" => Form::Diamond,
                "esriSMSTriangle" => Form::Triangle,
                _ => return None,
            },
            color: color(&symbol["color"]),
            size: length(&symbol["size"], 8.0),
            outline: stroke(&symbol["outline"]),
        }),
        "esriSLS" => Some(Symbol::Line(stroke(symbol))),
        "esriSFS" => Some(Symbol::Fill {
            pattern: match symbol["style"].as_str().unwrap_or("esriSFSSolid") {
                "esriSFSSolid" => Some(Pattern::Solid),
                "esriSFSHorizontal" => Some(Pattern::Horizontal),
                "esriSFSVertical" => Some(Pattern::Vertical),
                "esriSFSForwardDiagonal" => Some(Pattern::ForwardDiagonal),
                "esriSFSBackwardDiagonal" => Some(Pattern::BackwardDiagonal),
                "esriSFSCross" => Some(Pattern::Cross),
                "esriSFSDiagonalCross" => Some(Pattern::DiagonalCross),
                "esriSFSNull" => None,
                _ => return None,
            },
            color: color(&symbol["color"]),
            outline: stroke(&symbol["outline"]),
        }),
        _ => None,
    }
}

fn stroke(symbol: &Json) -> Option<Stroke> {
    let dash = match symbol.as_object()?.get("style").and_then(Json::as_str).unwrap_or("esriSLSSolid") {
        "esriSLSNull" => return None,
        "esriSLSDash" => LineStyle::Dash,
        "esriSLSDot" => LineStyle::Dot,
        "esriSLSDashDot" => LineStyle::DashDot,
        "esriSLSDashDotDot" => LineStyle::DashDotDot,
        _ => LineStyle::Solid,
    };
    Some(Stroke { color: color(&symbol["color"]), width: length(&symbol["width"], 1.0), dash })
}

/// A color; black with nothing behind it if there is none.
fn color(value: &Json) -> Color {
    let part = |index: usize, absent: u8| {
        value.get(index).and_then(Json::as_u64).map_or(absent, |part| u8::try_from(part).unwrap_or(u8::MAX))
    };
    Color([part(0, 0), part(1, 0), part(2, 0), part(3, 255)])
}

fn length(value: &Json, absent: f64) -> f64 {
    value.as_f64().filter(|length| (0.0..1000.0).contains(length)).unwrap_or(absent)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_has_no_words_here_is_left_to_the_program() {
        let field = |name: &str| name.eq_ignore_ascii_case("kind").then(|| "kind".to_owned());
        let dot = json!({"type": "esriSMS", "color": [1, 2, 3, 4]});
        let simple = |symbol: Json| read(&json!({"renderer": {"type": "simple", "symbol": symbol}}), field);
        assert!(simple(dot.clone()).is_some());
        assert_eq!(simple(json!({"type": "esriPMS"})), None);
        let unique = |field1: &str, field2: &str| {
            let infos = [json!({"value": 3, "symbol": dot})];
            read(
                &json!({"renderer": {"type": "uniqueValue", "field1": field1, "field2": field2, "uniqueValueInfos": infos}}),
                field,
            )
        };
        let style = unique("KIND", "").unwrap();
        assert_eq!((style.field.as_deref(), style.rules[0].label.as_str()), (Some("kind"), "3"));
        assert_eq!(unique("kind", "other"), None);
        assert_eq!(unique("gone", ""), None);
        assert_eq!(read(&json!({"renderer": {"type": "heatmap"}}), field), None);
    }
}
