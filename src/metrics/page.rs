//! The text in which figures are told: Prometheus, text format 0.0.4.

use std::fmt::{Display, Write as _};

/// A page of metrics while it is written.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// Begins a metric.
    pub fn metric(&mut self, name: &str, kind: &str, help: &str) {
        self.text.push_str(&["# HELP ", name, " ", help, "\n# TYPE ", name, " ", kind, "\n"].concat());
    }

    /// Writes one value of it.
    pub fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(name);
        for (position, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            self.text.push_str(&[if position == 0 { "{" } else { "," }, label, "=\"", &text, "\""].concat());
        }
        self.text.push_str(if labels.is_empty() { " " } else { "} " });
        // Writing to a text cannot fail.
        let _ = writeln!(self.text, "{value}");
    }

    /// A metric that is one value.
    pub fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.metric(name, kind, help);
        self.value(name, &[], value);
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }
}
