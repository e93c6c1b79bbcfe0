//! What is wanted of the documents in a stranger's file. Clients rewrite them, with other prefixes: elements are found by their local names.

use std::borrow::Cow;

/// What stands in each element of this local name, from its start to its end. Elements do not hold others of their own name.
pub(super) fn elements<'t>(text: &'t str, name: &'t str) -> impl Iterator<Item = &'t str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let (at, tag) = tag(rest)?;
            let after = rest.get(at + tag.len() + 2..)?;
            if local(tag) != name {
                rest = after;
                continue;
            }
            if tag.ends_with('/') {
                rest = after;
                return Some("");
            }
            let end = closing(after, name)?;
            rest = after.get(end..)?;
            return after.get(..end);
        }
    })
}

/// The text of the first element of this local name.
pub(super) fn text<'t>(document: &'t str, name: &'t str) -> Option<Cow<'t, str>> {
    elements(document, name).next().map(unescape)
}

/// The next tag: where its `<` is, and what stands between that and its `>`.
fn tag(text: &str) -> Option<(usize, &str)> {
    let at = text.find('<')?;
    let rest = text.get(at + 1..)?;
    rest.get(..rest.find('>')?).map(|tag| (at, tag))
}

/// Where the end of an element of this local name is.
fn closing(text: &str, name: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let (at, tag) = tag(text.get(from..)?)?;
        if tag.strip_prefix('/').is_some_and(|tag| local(tag) == name) {
            return Some(from + at);
        }
        from += at + tag.len() + 2;
    }
}

/// The local name of a tag.
fn local(tag: &str) -> &str {
    let name = tag.split(|c: char| c.is_whitespace() || c == '/').next().unwrap_or_default();
    name.rsplit(':').next().unwrap_or_default()
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    Cow::Owned(text.replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_their_local_names() {
        let document = "<a:Set xmlns:a=\"x\"><Item k='1'><Name>one &amp;amp; only</Name></Item><a:Item/><Items>no</Items><Item ><Name/></Item></a:Set>";
        let items: Vec<&str> = elements(document, "Item").collect();
        assert_eq!(items, ["<Name>one &amp;amp; only</Name>", "", "<Name/>"]);
        assert_eq!(text(items[0], "Name").unwrap(), "one &amp; only");
        assert_eq!(text(items[2], "Name").unwrap(), "");
        assert_eq!(text(document, "Other"), None);
        assert_eq!(elements("<Item><Item", "Item").count(), 0, "what has no end is none");
    }
}
