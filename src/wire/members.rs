//! Members of JSON objects in parameters, read as tolerantly as parameters themselves: names in any case, numbers and
//! booleans also in quotes, null for absent.

use serde_json::{Map, Value as Json};

use crate::{
    error::{Error, Result},
    model::{id::Generation, value::brief},
};

/// The members of one object.
pub(crate) struct Members<'a> {
    name: &'static str,
    members: &'a Map<String, Json>,
}

impl<'a> Members<'a> {
    /// The members of an object that stands in the parameter `name`.
    pub(crate) fn new(name: &'static str, members: &'a Map<String, Json>) -> Members<'a> {
        Members { name, members }
    }

    /// The value of a member, unless it is null or an empty text.
    pub(crate) fn get(&self, wanted: &str) -> Option<&'a Json> {
        self.members
            .iter()
            .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value)
            .filter(|value| !value.is_null() && value.as_str() != Some(""))
    }

    /// A text.
    pub(crate) fn text(&self, wanted: &str) -> Result<Option<&'a str>> {
        match self.get(wanted) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.trim())),
            Some(other) => Err(self.wrong(wanted, other, "a text")),
        }
    }

    /// True or false.
    pub(crate) fn flag(&self, wanted: &str, default: bool) -> Result<bool> {
        match self.get(wanted) {
            None => Ok(default),
            Some(Json::Bool(value)) => Ok(*value),
            Some(Json::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(Json::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(other) => Err(self.wrong(wanted, other, "true or false")),
        }
    }

    /// A whole number.
    pub(crate) fn integer(&self, wanted: &str) -> Result<Option<i64>> {
        match self.get(wanted) {
            None => Ok(None),
            Some(Json::Number(number)) if number.is_i64() => Ok(number.as_i64()),
            Some(Json::String(text)) if text.trim().parse::<i64>().is_ok() => Ok(text.trim().parse().ok()),
            Some(other) => Err(self.wrong(wanted, other, "a whole number")),
        }
    }

    /// A generation.
    pub(crate) fn generation(&self, wanted: &str) -> Result<Option<Generation>> {
        self.integer(wanted)?
            .map(|number| {
                Generation::new(number).ok_or_else(|| {
                    Error::invalid(self.name, format!("{wanted} {number} is not a generation that a server gives out"))
                })
            })
            .transpose()
    }

    fn wrong(&self, wanted: &str, given: &Json, expected: &str) -> Error {
        Error::invalid(self.name, format!("{wanted} is {}; {expected} belongs there", brief(&given.to_string())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_are_read_as_clients_write_them() {
        let object = json!({"Gen ": "12", "on": "True", "off": false, "nothing": null, "empty": "", "bad": []});
        let members = Members::new("p", object.as_object().unwrap());
        assert_eq!(members.integer("gen").unwrap(), Some(12));
        assert!(members.flag("ON", false).unwrap());
        assert!(!members.flag("off", true).unwrap());
        assert_eq!(members.integer("nothing").unwrap(), None);
        assert_eq!(members.text("empty").unwrap(), None);
        assert!(members.integer("bad").unwrap_err().to_string().contains("bad is []; a whole number belongs there"));
    }
}
