//! Styles as QGIS keeps them.

use super::{
    drawing::{Color, Form, LineStyle, Pattern, Stroke, Style, Symbol},
    escaped,
};

/// A style of QGIS 3.
pub(super) fn document(style: &Style) -> String {
    let rules = || style.rules.iter().enumerate();
    let categories: String = rules()
        .map(|(number, rule)| {
            // The category of all other values is that without a value.
            let (value, label) = (escaped(rule.value.as_deref().unwrap_or_default()), escaped(&rule.label));
            format!(
                "<category render=\"true\" symbol=\"{number}\" value=\"{value}\" label=\"{label}\" type=\"string\"/>"
            )
        })
        .collect();
    let symbols: String = rules().map(|(number, rule)| symbol(number, &rule.symbol)).collect();
    let renderer = match &style.field {
        None => format!("<renderer-v2 type=\"singleSymbol\"><symbols>{symbols}</symbols></renderer-v2>"),
        Some(field) => format!(
            "<renderer-v2 type=\"categorizedSymbol\" attr=\"{}\"><categories>{categories}</categories><symbols>{symbols}</symbols></renderer-v2>",
            escaped(field)
        ),
    };
    format!(
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n<qgis version=\"3.22.0\" styleCategories=\"Symbology\">{renderer}</qgis>"
    )
}

fn symbol(number: usize, symbol: &Symbol) -> String {
    let (kind, class, properties) = match symbol {
        Symbol::Marker { form, color: fill, size, outline } => {
            let form = match form {
                Form::Circle => "circle",
                Form::Square => "square",
                Form::Cross => "cross",
                Form::X => "cross2",
                Form::Diamond => "diamond",
                Form::Triangle => "triangle",
            };
            let mut properties = vec![
                ("name", form.to_owned()),
                ("color", color(*fill)),
                ("size", size.to_string()),
                ("size_unit", "Point".to_owned()),
            ];
            properties.extend(stroke(outline.as_ref(), OUTLINE));
            ("marker", "SimpleMarker", properties)
        }
        Symbol::Line(line) => ("line", "SimpleLine", stroke(line.as_ref(), LINE)),
        Symbol::Fill { pattern, color: fill, outline } => {
            let pattern = match pattern {
                None => "no",
                Some(Pattern::Solid) => "solid",
                Some(Pattern::Horizontal) => "horizontal",
                Some(Pattern::Vertical) => "vertical",
                Some(Pattern::ForwardDiagonal) => "f_diagonal",
                Some(Pattern::BackwardDiagonal) => "b_diagonal",
                Some(Pattern::Cross) => "cross",
                Some(Pattern::DiagonalCross) => "diagonal_x",
            };
            let mut properties = vec![("color", color(*fill)), ("style", pattern.to_owned())];
            properties.extend(stroke(outline.as_ref(), OUTLINE));
            ("fill", "SimpleFill", properties)
        }
    };
    // Read by all versions; newer ones write options instead.
    let properties: String =
        properties.iter().map(|(name, value)| format!("<prop k=\"{name}\" v=\"{value}\"/>")).collect();
    format!(
        "<symbol type=\"{kind}\" name=\"{number}\" alpha=\"1\"><layer class=\"{class}\" enabled=\"1\" pass=\"0\" locked=\"0\">{properties}</layer></symbol>"
    )
}

/// What the properties of a stroke are called: color, width, unit of the width, style.
const OUTLINE: [&str; 4] = ["outline_color", "outline_width", "outline_width_unit", "outline_style"];
const LINE: [&str; 4] = ["line_color", "line_width", "line_width_unit", "line_style"];

fn stroke(stroke: Option<&Stroke>, names: [&'static str; 4]) -> Vec<(&'static str, String)> {
    let [color_name, width_name, unit_name, style_name] = names;
    let Some(stroke) = stroke else { return vec![(style_name, "no".to_owned())] };
    let style = match stroke.dash {
        LineStyle::Solid => "solid",
        LineStyle::Dash => "dash",
        LineStyle::Dot => "dot",
        LineStyle::DashDot => "dash dot",
        LineStyle::DashDotDot => "dash dot dot",
    };
    vec![
        (color_name, color(stroke.color)),
        (width_name, stroke.width.to_string()),
        (unit_name, "Point".to_owned()),
        (style_name, style.to_owned()),
    ]
}

fn color(Color([red, green, blue, alpha]): Color) -> String {
    format!("{red},{green},{blue},{alpha}")
}
