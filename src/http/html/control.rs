//! The inputs of forms: one for each parameter, and how they are written.

use super::resources::items;
use super::values::plain;
use super::writer::Html;
use super::{Page, layer_choice};

/// The input of one parameter.
pub(super) struct Control {
    label: &'static str,
    pub(super) name: &'static str,
    hint: &'static str,
    pub(super) input: Input,
    /// Says that it is about geometries, which a table does not have.
    pub(super) spatial: bool,
}

#[derive(Clone, Copy)]
pub(super) enum Input {
    Line,
    Lines,
    /// A line that nobody can read; what was sent is not shown again.
    Password,
    File,
    /// Layers and which of their rows; a line where the page knows no layers.
    Layers,
    /// One of the relationships of a layer; a line where the page knows none.
    Relationship,
    /// Values with their texts; the index of the one that applies when nothing is sent.
    Choice(&'static [(&'static str, &'static str)], usize),
}

impl Control {
    pub(super) const fn new(label: &'static str, name: &'static str, input: Input) -> Self {
        Control { label, name, hint: "", input, spatial: false }
    }

    pub(super) const fn line(label: &'static str, name: &'static str) -> Self {
        Control::new(label, name, Input::Line)
    }

    pub(super) const fn lines(label: &'static str, name: &'static str) -> Self {
        Control::new(label, name, Input::Lines)
    }

    pub(super) const fn choice(
        label: &'static str,
        name: &'static str,
        options: &'static [(&'static str, &'static str)],
    ) -> Self {
        Control::new(label, name, Input::Choice(options, 0))
    }

    pub(super) const fn on(label: &'static str, name: &'static str) -> Self {
        Control::new(label, name, Input::Choice(TRUE_FALSE, 0))
    }

    pub(super) const fn off(label: &'static str, name: &'static str) -> Self {
        Control::new(label, name, Input::Choice(TRUE_FALSE, 1))
    }

    pub(super) const fn hint(self, hint: &'static str) -> Self {
        Control { hint, ..self }
    }

    pub(super) const fn spatial(self) -> Self {
        Control { spatial: true, ..self }
    }
}

const TRUE_FALSE: &[(&str, &str)] = &[("true", "True"), ("false", "False")];

impl Control {
    /// Says whether the request said something here other than what applies anyway.
    pub(super) fn is_set(&self, page: &Page<'_>) -> bool {
        let sent = page.form_value(self.name).map(str::trim).filter(|sent| !sent.is_empty());
        match (self.input, sent) {
            (_, None) => false,
            (Input::Choice(options, default), Some(sent)) => {
                options.get(default).is_none_or(|(value, _)| !value.eq_ignore_ascii_case(sent))
            }
            (_, Some(_)) => true,
        }
    }

    /// Writes the label, the input and the hint.
    pub(super) fn write(&self, html: &mut Html, page: &Page<'_>) {
        let sent = page.form_value(self.name);
        match self.input {
            Input::Layers if !items(page.about, "layers").is_empty() => return layer_choice::write(html, page),
            Input::Relationship if !items(&page.about["layer"], "relationships").is_empty() => {
                let relationships = items(&page.about["layer"], "relationships");
                let options: Vec<(String, String)> = relationships
                    .iter()
                    .map(|one| (plain(&one["id"]), format!("{} ({})", plain(&one["name"]), plain(&one["id"]))))
                    .collect();
                let options: Vec<(&str, &str)> =
                    options.iter().map(|(id, name)| (id.as_str(), name.as_str())).collect();
                self.write_choice(html, options, 0, sent);
            }
            Input::Layers | Input::Relationship | Input::Line => {
                self.open_row(html);
                html.raw("<input type=\"text\" spellcheck=\"false\" autocomplete=\"off\"");
                self.attributes(html);
                html.attribute("value", sent.unwrap_or_default()).raw(">");
            }
            Input::Password => {
                self.open_row(html);
                html.raw("<input type=\"password\" autocomplete=\"current-password\"");
                self.attributes(html);
                html.raw(">");
            }
            Input::Lines => {
                self.open_row(html);
                html.raw("<textarea rows=\"3\" spellcheck=\"false\" autocomplete=\"off\"");
                self.attributes(html);
                // The first line feed of a text area is dropped by the parser.
                html.raw(">\n").text(sent.unwrap_or_default()).raw("</textarea>");
            }
            Input::File => {
                self.open_row(html);
                html.raw("<input type=\"file\"");
                self.attributes(html);
                html.raw(">");
            }
            Input::Choice(options, default) => self.write_choice(html, options.to_vec(), default, sent),
        }
        if !self.hint.is_empty() {
            html.raw("<small id=\"hint-").raw(self.name).raw("\">").text(self.hint).raw("</small>");
        }
        if self.name == "outFields" {
            write_field_names(html, page);
        }
        html.raw("</div></div>\n");
    }

    /// Writes few options side by side and more of them as a list; an unknown value that was sent stays on offer.
    fn write_choice<'o>(
        &self,
        html: &mut Html,
        mut options: Vec<(&'o str, &'o str)>,
        default: usize,
        sent: Option<&'o str>,
    ) {
        let chosen = match sent.filter(|sent| !sent.is_empty()) {
            None => default,
            Some(sent) => {
                let known = options.iter().position(|(value, _)| value.eq_ignore_ascii_case(sent));
                known.unwrap_or_else(|| {
                    options.push((sent, sent));
                    options.len() - 1
                })
            }
        };
        if options.len() > 3 {
            self.open_row(html);
            html.raw("<select");
            self.attributes(html);
            html.raw(">");
            for (index, (value, text)) in options.iter().enumerate() {
                html.raw("<option").attribute("value", value);
                html.raw(if index == chosen { " selected>" } else { ">" });
                html.text(text).raw("</option>");
            }
            html.raw("</select>");
            return;
        }
        html.raw("<div class=\"row\" role=\"radiogroup\" aria-labelledby=\"label-").raw(self.name);
        html.raw("\"><span class=\"label\" id=\"label-").raw(self.name).raw("\">");
        html.raw(self.label).raw("</span><div>");
        for (index, (value, text)) in options.iter().enumerate() {
            html.raw("<label class=\"option\"><input type=\"radio\" name=\"").raw(self.name).raw("\"");
            html.attribute("value", value);
            html.raw(if index == chosen { " checked> " } else { "> " });
            html.text(text).raw("</label> ");
        }
    }

    fn open_row(&self, html: &mut Html) {
        html.raw("<div class=\"row\"><label class=\"label\" for=\"").raw(self.name).raw("\">");
        html.raw(self.label).raw("</label><div>");
    }

    fn attributes(&self, html: &mut Html) {
        html.raw(" id=\"").raw(self.name).raw("\" name=\"").raw(self.name).raw("\"");
        if !self.hint.is_empty() {
            html.raw(" aria-describedby=\"hint-").raw(self.name).raw("\"");
        }
    }
}

/// Writes which fields there are to ask for.
fn write_field_names(html: &mut Html, page: &Page<'_>) {
    const MAX_NAMES: usize = 40;
    let fields = items(&page.about["layer"], "fields");
    if !fields.is_empty() {
        let names: Vec<String> = fields.iter().take(MAX_NAMES).map(|field| plain(&field["name"])).collect();
        html.raw("<small>There are ").text(&names.join(", "));
        html.raw(if fields.len() > MAX_NAMES { " and others" } else { "" }).raw("</small>");
    }
}
