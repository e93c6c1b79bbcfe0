//! Styles as the OGC's Styled Layer Descriptor 1.0 has them.

use super::{
    drawing::{Color, Form, LineStyle, Pattern, Rule, Stroke, Style, Symbol},
    escaped,
};

/// A style for a layer of this name.
pub(super) fn document(style: &Style, layer: &str) -> String {
    let name = escaped(layer);
    let rules: String = style.rules.iter().map(|one| rule(style, one)).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<StyledLayerDescriptor version=\"1.0.0\" xmlns=\"http://www.opengis.net/sld\" xmlns:ogc=\"http://www.opengis.net/ogc\">\
         <NamedLayer><Name>{name}</Name><UserStyle><Name>{name}</Name><FeatureTypeStyle>{rules}</FeatureTypeStyle></UserStyle></NamedLayer></StyledLayerDescriptor>"
    )
}

fn rule(style: &Style, rule: &Rule) -> String {
    let filter = match (&style.field, &rule.value) {
        (Some(field), Some(value)) => format!(
            "<ogc:Filter><ogc:PropertyIsEqualTo><ogc:PropertyName>{}</ogc:PropertyName><ogc:Literal>{}</ogc:Literal></ogc:PropertyIsEqualTo></ogc:Filter>",
            escaped(field),
            escaped(value)
        ),
        (Some(_), None) => "<ElseFilter/>".to_owned(),
        (None, _) => String::new(),
    };
    let name = if rule.label.is_empty() { String::new() } else { format!("<Title>{}</Title>", escaped(&rule.label)) };
    format!("<Rule>{name}{filter}{}</Rule>", symbolizer(&rule.symbol))
}

fn symbolizer(symbol: &Symbol) -> String {
    match symbol {
        Symbol::Marker { form, color, size, outline } => {
            let form = match form {
                Form::Circle => "circle",
                Form::Square | Form::Diamond => "square",
                Form::Cross => "cross",
                Form::X => "x",
                Form::Triangle => "triangle",
            };
            // A diamond is a square on its corner.
            let rotation = if matches!(symbol, Symbol::Marker { form: Form::Diamond, .. }) {
                "<Rotation>45</Rotation>"
            } else {
                ""
            };
            format!(
                "<PointSymbolizer><Graphic><Mark><WellKnownName>{form}</WellKnownName>{}{}</Mark><Size>{}</Size>{rotation}</Graphic></PointSymbolizer>",
                fill(*color),
                stroke(outline.as_ref()),
                pixels(*size)
            )
        }
        Symbol::Line(line) => format!("<LineSymbolizer>{}</LineSymbolizer>", stroke(line.as_ref())),
        Symbol::Fill { pattern, color, outline } => {
            let fill = match pattern {
                None => String::new(),
                Some(Pattern::Solid) => fill(*color),
                Some(pattern) => hatched(*pattern, *color),
            };
            format!("<PolygonSymbolizer>{fill}{}</PolygonSymbolizer>", stroke(outline.as_ref()))
        }
    }
}

/// A fill of lines, by the names of marks that servers and QGIS share.
fn hatched(pattern: Pattern, color: Color) -> String {
    let mark = match pattern {
        Pattern::Solid => return fill(color),
        Pattern::Horizontal => "shape://horline",
        Pattern::Vertical => "shape://vertline",
        Pattern::ForwardDiagonal => "shape://backslash",
        Pattern::BackwardDiagonal => "shape://slash",
        Pattern::Cross => "shape://plus",
        Pattern::DiagonalCross => "shape://times",
    };
    let line = Stroke { color, width: 0.75, dash: LineStyle::Solid };
    format!(
        "<Fill><GraphicFill><Graphic><Mark><WellKnownName>{mark}</WellKnownName>{}</Mark><Size>8</Size></Graphic></GraphicFill></Fill>",
        stroke(Some(&line))
    )
}

fn fill(color: Color) -> String {
    format!("<Fill>{}</Fill>", colored("fill", color))
}

fn stroke(stroke: Option<&Stroke>) -> String {
    let Some(stroke) = stroke else { return String::new() };
    let dashes = match stroke.dash {
        LineStyle::Solid => "",
        LineStyle::Dash => "4 2",
        LineStyle::Dot => "1 2",
        LineStyle::DashDot => "4 2 1 2",
        LineStyle::DashDotDot => "4 2 1 2 1 2",
    };
    let dashes = if dashes.is_empty() { String::new() } else { parameter("stroke-dasharray", dashes) };
    let width = parameter("stroke-width", &pixels(stroke.width).to_string());
    format!("<Stroke>{}{width}{dashes}</Stroke>", colored("stroke", stroke.color))
}

fn colored(what: &str, Color([red, green, blue, alpha]): Color) -> String {
    let opacity = f64::from(alpha) / 255.0;
    parameter(what, &format!("#{red:02x}{green:02x}{blue:02x}"))
        + &parameter(&format!("{what}-opacity"), &format!("{opacity:.3}"))
}

fn parameter(name: &str, value: &str) -> String {
    format!("<CssParameter name=\"{name}\">{value}</CssParameter>")
}

/// Pixels, of which an inch has 96, to the hundredth.
fn pixels(points: f64) -> f64 {
    (points * 4.0 / 3.0 * 100.0).round() / 100.0
}
