//! Named values of a request, with typed getters.
//!
//! Clients spell names in any case and by several aliases, send booleans in three ways, and send an empty value for what
//! they do not mean; all of that ends here.

use std::borrow::Cow;

use serde::de::{DeserializeOwned, IgnoredAny};

use crate::{
    error::{Error, Result},
    model::value::brief,
};

/// The parameters of a request, from query string and body together.
#[derive(Clone, Debug, Default)]
pub struct Params {
    values: Vec<(String, String)>,
}

impl Params {
    /// No parameters.
    pub fn new() -> Params {
        Params::default()
    }

    /// Adds a value. One given later under the same name wins, as a body wins over the query string.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.values.push((name.into(), value.into()));
    }

    /// Adds a value, unless one was given under the name.
    pub fn push_default(&mut self, name: &'static str, value: impl Into<String>) {
        if self.get(&[name]).is_none() {
            self.push(name, value);
        }
    }

    /// Everything as it was sent, to fill a form again.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.values
    }

    /// The value under any of these names, in any case. Empty is absent.
    pub fn get(&self, names: &[&str]) -> Option<&str> {
        // Tells whoever wonders why a parameter has no effect which ones are looked at.
        tracing::trace!(parameter = names.first().copied().unwrap_or_default(), "looked at");
        self.values
            .iter()
            .rev()
            .filter(|(name, value)| {
                !value.trim().is_empty() && names.iter().any(|wanted| name.trim().eq_ignore_ascii_case(wanted))
            })
            .map(|(_, value)| value.trim())
            .next()
    }

    /// A value that may be any text.
    pub fn text(&self, name: &'static str) -> Option<&str> {
        self.get(&[name])
    }

    /// True or false, by any of the names.
    pub fn flag(&self, names: &[&'static str], default: bool) -> Result<bool> {
        let Some(value) = self.get(names) else { return Ok(default) };
        match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "\"true\"" | "yes" | "on" => Ok(true),
            "false" | "0" | "\"false\"" | "no" | "off" => Ok(false),
            "null" | "none" => Ok(default),
            _ => Err(Error::invalid(
                names.first().copied().unwrap_or("flag"),
                format!("'{}' is neither true nor false", brief(value)),
            )),
        }
    }

    /// A whole number, also in quotes.
    pub fn integer(&self, name: &'static str) -> Result<Option<i64>> {
        let Some(value) = self.get(&[name]) else { return Ok(None) };
        if value.eq_ignore_ascii_case("null") {
            return Ok(None);
        }
        let bare = value.trim_matches('"').trim();
        match bare.parse::<i64>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Error::invalid(name, format!("'{}' is not a whole number", brief(value)))),
        }
    }

    /// One of the words that `read` knows; `accepted` lists them for the error.
    pub fn word<T>(&self, name: &'static str, accepted: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.get(&[name]) else { return Ok(None) };
        match read(value.trim_matches('"')) {
            Some(found) => Ok(Some(found)),
            None => Err(Error::invalid(name, format!("'{}' is not known; it is one of {accepted}", brief(value)))),
        }
    }

    /// A JSON value. `null`, `{}` and `[]` are absent.
    pub fn json<T: DeserializeOwned>(&self, name: &'static str) -> Result<Option<T>> {
        match self.get(&[name]) {
            None => Ok(None),
            Some(text) if is_empty_json(text) => Ok(None),
            Some(text) => json(name, text).map(Some),
        }
    }

    /// Ids: `0,1`, `[0,1]` or `["0","1"]`.
    pub fn ids(&self, name: &'static str) -> Result<Option<Vec<i64>>> {
        let Some(text) = self.get(&[name]) else { return Ok(None) };
        let bare = text.trim_start_matches('[').trim_end_matches(']');
        let mut ids = Vec::new();
        for part in
            bare.split(',').map(|part| part.trim().trim_matches(['"', '\'']).trim()).filter(|part| !part.is_empty())
        {
            match part.parse() {
                Ok(id) => ids.push(id),
                Err(_) => {
                    return Err(Error::invalid(
                        name,
                        format!("'{}' is not a whole number; ids are written 0,1,2", brief(part)),
                    ));
                }
            }
        }
        Ok((!ids.is_empty()).then_some(ids))
    }
}

fn is_empty_json(text: &str) -> bool {
    matches!(text, "null" | "{}" | "[]" | "\"\"")
}

/// Reads JSON, also with names and strings in single quotes, which a published client sends, and with names without quotes,
/// as the API reference prints them.
pub(crate) fn json<T: DeserializeOwned>(name: &'static str, text: &str) -> Result<T> {
    serde_json::from_str(text)
        .or_else(|error| serde_json::from_str(&with_quoted_names(&with_double_quotes(text))).map_err(|_| error))
        .map_err(|error| Error::invalid(name, format!("it is not the JSON that belongs here: {error}")))
}

/// JSON that may be in single quotes, in double quotes.
pub(crate) fn double_quoted(text: &str) -> Cow<'_, str> {
    let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    match !text.contains('\'') || is_json(text) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(with_double_quotes(text)),
    }
}

/// Reads JSON into what borrows from it.
pub(crate) fn json_borrowed<'a, T: serde::Deserialize<'a>>(name: &'static str, text: &'a str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Error::invalid(name, format!("it is not the JSON that belongs here: {error}")))
}

/// Single-quoted strings as double-quoted ones; what stands in double quotes stays.
fn with_double_quotes(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quote = None;
    let mut escaped = false;
    for c in text.chars() {
        match (quote, c) {
            _ if escaped => {
                escaped = false;
                if !(c == '\'' && quote == Some('\'')) {
                    out.push('\\');
                }
                out.push(c);
            }
            (Some(_), '\\') => escaped = true,
            (None, '\'' | '"') => {
                quote = Some(c);
                out.push('"');
            }
            (Some(open), c) if c == open => {
                quote = None;
                out.push('"');
            }
            (Some('\''), '"') => out.push_str("\\\""),
            _ => out.push(c),
        }
    }
    out
}

/// Names of members that have no quotes, in quotes.
fn with_quoted_names(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let (mut in_string, mut escaped, mut name_may_follow) = (false, false, false);
    while let Some(c) = rest.chars().next() {
        let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let (word, after) = rest.split_at(length);
        if !in_string && name_may_follow && (c.is_alphabetic() || c == '_') && after.trim_start().starts_with(':') {
            out.push('"');
            out.push_str(word);
            out.push('"');
            rest = after;
            name_may_follow = false;
            continue;
        }
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' => in_string = !in_string,
            _ => {}
        }
        if !c.is_whitespace() {
            name_may_follow = !in_string && matches!(c, '{' | ',');
        }
        out.push(c);
        rest = rest.strip_prefix(c).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        let mut params = Params::new();
        for (name, value) in pairs {
            params.push(*name, *value);
        }
        params
    }

    #[test]
    fn names_have_no_case_empty_is_absent_and_the_last_wins() {
        let given = params(&[("WHERE", "a"), ("where", ""), ("layers", "1"), ("Layers", "2")]);
        assert_eq!(given.text("where"), Some("a"));
        assert_eq!(given.text("layers"), Some("2"));
        assert_eq!(given.text("absent"), None);
    }

    #[test]
    fn booleans_are_read_as_clients_write_them() {
        let given = params(&[("a", "True"), ("b", "0"), ("c", "maybe"), ("d", "null")]);
        assert!(given.flag(&["a"], false).unwrap());
        assert!(!given.flag(&["b"], true).unwrap());
        assert!(given.flag(&["d"], true).unwrap());
        assert!(given.flag(&["c"], false).unwrap_err().to_string().contains("'c' parameter"));
    }

    #[test]
    fn ids_are_read_in_every_syntax() {
        for text in ["0,1,2", "0, 1, 2", "[0,1,2]", "[\"0\",\"1\", \"2\"]"] {
            assert_eq!(params(&[("layers", text)]).ids("layers").unwrap(), Some(vec![0, 1, 2]), "{text}");
        }
        assert_eq!(params(&[("layers", "[]")]).ids("layers").unwrap(), None);
        assert!(params(&[("layers", "0;1")]).ids("layers").is_err());
    }

    #[test]
    fn json_in_single_quotes_is_understood() {
        let value: serde_json::Value = json("layerQueries", "{'0':{'where':'name = \\'x\\'','a':\"it's\"}}").unwrap();
        assert_eq!(value["0"]["where"], "name = 'x'");
        assert_eq!(value["0"]["a"], "it's");
        assert!(json::<serde_json::Value>("geometry", "{'a':").is_err());
    }

    #[test]
    fn names_without_quotes_are_understood() {
        let text = "{xmin: -104, ymin:35.6, 'of': [{a_1 : \"x, y:\\\" z: 1\"}, true], spatialReference:{wkid:4326}}";
        let value: serde_json::Value = json("geometry", text).unwrap();
        assert_eq!((&value["xmin"], &value["spatialReference"]["wkid"]), (&(-104).into(), &4326.into()));
        assert_eq!(value["of"][0]["a_1"], "x, y:\" z: 1");
        assert!(json::<serde_json::Value>("geometry", "{xmin}").is_err());
    }
}
