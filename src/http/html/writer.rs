//! Writes HTML in which only literals are markup; everything else is escaped.

use std::fmt::Write as _;

/// A page being written.
///
/// Markup has to be `&'static str`, so a value from a request or a table cannot get in as markup.
pub(crate) struct Html(String);

impl Html {
    /// Starts an empty page.
    pub(crate) fn new() -> Self {
        Html(String::new())
    }

    /// Returns the page as written so far.
    pub(crate) fn finish(self) -> String {
        self.0
    }

    /// Writes markup.
    pub(crate) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Writes text, escaped so that it is inert between tags and inside a quoted attribute.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                _ => self.0.push(c),
            }
        }
        self
    }

    /// Writes an attribute with a leading blank; `name` is the literal before the `=`.
    pub(crate) fn attribute(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.raw(" ").raw(name).raw("=\"").text(value).raw("\"")
    }

    /// Writes a heading of the given level, with an id to jump to if it is given one.
    pub(crate) fn heading(&mut self, level: usize, id: Option<&'static str>, text: &str) {
        // The lowest level of HTML is 6.
        let (open, close) = match level {
            0..=2 => ("<h2", "</h2>\n"),
            3 => ("<h3", "</h3>\n"),
            4 => ("<h4", "</h4>\n"),
            5 => ("<h5", "</h5>\n"),
            _ => ("<h6", "</h6>\n"),
        };
        self.raw(open);
        if let Some(id) = id {
            self.attribute("id", id);
        }
        self.raw(">").text(text).raw(close);
    }

    /// Writes a link, or the bare text when following `address` could do anything but fetch a page.
    pub(crate) fn link(&mut self, address: &str, text: &str) -> &mut Self {
        if leads_to_a_page(address) {
            self.raw("<a").attribute("href", address).raw(">").text(text).raw("</a>")
        } else {
            self.text(text)
        }
    }

    /// Writes what stands where there is no value.
    pub(crate) fn none(&mut self) -> &mut Self {
        self.raw("<span class=\"none\">None</span>")
    }

    /// Opens a cell of a table; a `long` text is wrapped, anything else stays on one line.
    pub(crate) fn open_cell(&mut self, long: bool) -> &mut Self {
        self.raw(if long { "<td class=\"long\">" } else { "<td>" })
    }

    /// Opens a table that scrolls sideways in its own box; `label` names it for a screen reader.
    pub(crate) fn open_table(&mut self, label: &str, columns: &[&str]) {
        self.raw("<div class=\"wide\" role=\"region\" tabindex=\"0\"")
            .attribute("aria-label", label)
            .raw("><table>\n<thead><tr>");
        for column in columns {
            self.raw("<th scope=\"col\">").text(column).raw("</th>");
        }
        self.raw("</tr></thead>\n<tbody>\n");
    }

    /// Closes what [`Html::open_table`] opened.
    pub(crate) fn close_table(&mut self) {
        self.raw("</tbody></table></div>\n");
    }
}

/// Says whether `address` is an absolute path of this server or a web address.
///
/// Control characters are refused because browsers drop some of them, which turns `/⇥/host` into `//host`.
pub(crate) fn leads_to_a_page(address: &str) -> bool {
    let own = address.starts_with('/') && !address.starts_with("//") && !address.starts_with("/\\");
    let web = address.starts_with("https://") || address.starts_with("http://");
    (own || web) && !address.chars().any(char::is_control)
}

/// Encodes one segment of a path, or one name or value of a query string.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(address: &str) -> String {
        let mut html = Html::new();
        html.link(address, "text");
        html.finish()
    }

    #[test]
    fn text_cannot_leave_an_element_or_an_attribute() {
        let mut html = Html::new();
        html.text("<b a=\"1\" b='2'>&amp;");
        assert_eq!(html.finish(), "&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;amp;");
    }

    #[test]
    fn links_lead_to_pages_only() {
        assert_eq!(link("/a?b=1&c=\"2"), "<a href=\"/a?b=1&amp;c=&quot;2\">text</a>");
        assert!(link("https://example.com/x.json").starts_with("<a "));
        for address in [
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            " javascript:alert(1)",
            "data:text/html,x",
            "//example.com",
            "/\\example.com",
            "/\t/example.com",
            "https://a\nb",
            "",
        ] {
            assert_eq!(link(address), "text", "{address:?} must not become a link");
        }
    }

    #[test]
    fn segments_keep_their_borders() {
        assert_eq!(percent_encode("a/b c?d=é~"), "a%2Fb%20c%3Fd%3D%C3%A9~");
    }
}
