//! What clients are told of a definition: nothing of the fields that they do not see, which types, templates and symbols may name as well.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value as Json;

use super::{definition::Definition, layer::Layer};

impl Layer {
    /// The layer's definition without what it says of fields that clients do not see. Symbols that depend on one are left out as a whole.
    pub fn shown_definition(&self) -> Arc<Definition> {
        let hidden: Vec<String> = self.hidden_fields().map(str::to_lowercase).collect();
        if hidden.is_empty() {
            return self.definition.clone();
        }
        let is_seen = |name: &String| !hidden.contains(&name.to_lowercase());
        let mut shown = Definition::clone(&self.definition);
        let in_types = shown.types.iter_mut().flat_map(|of_type| &mut of_type.templates);
        for template in in_types.chain(&mut shown.templates) {
            template.prototype.attributes.retain(|name, _| is_seen(name));
        }
        for of_type in &mut shown.types {
            keep(&mut of_type.domains, is_seen);
        }
        for subtype in &mut shown.subtypes {
            keep(&mut subtype.domains, is_seen);
            keep(&mut subtype.default_values, is_seen);
        }
        if shown.drawing_info.as_ref().is_some_and(|info| names_one_of(info, &hidden)) {
            shown.drawing_info = None;
        }
        Arc::new(shown)
    }
}

fn keep<T>(by_field: &mut BTreeMap<String, T>, is_seen: impl Fn(&String) -> bool) {
    by_field.retain(|name, _| is_seen(name));
}

/// Whether a text in a document has one of these names, in lower case, as a word of its own: as the field of a renderer, or in an expression.
fn names_one_of(document: &Json, names: &[String]) -> bool {
    match document {
        Json::String(text) => {
            let text = text.to_lowercase();
            let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
            names.contains(&text) || words.any(|word| names.iter().any(|name| name == word))
        }
        Json::Array(items) => items.iter().any(|item| names_one_of(item, names)),
        Json::Object(members) => members.values().any(|value| names_one_of(value, names)),
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::names_one_of;

    #[test]
    fn a_field_is_found_in_renderers_labels_and_expressions() {
        let names = ["girth".to_owned(), "Übermaß".to_lowercase(), "odd name".to_owned()];
        for info in [
            json!({"renderer": {"type": "uniqueValue", "field1": "GIRTH"}}),
            json!({"labelingInfo": [{"labelExpression": "[species] CONCAT [Girth]"}]}),
            json!({"labelingInfo": [{"labelExpressionInfo": {"expression": "$feature.girth + 1"}}]}),
            json!({"renderer": {"visualVariables": [{"field": "ÜBERMASS"}, {"field": "Übermaß"}]}}),
            json!({"renderer": {"field2": "odd name"}}),
        ] {
            assert!(names_one_of(&info, &names), "{info}");
        }
        assert!(!names_one_of(&json!({"renderer": {"field1": "girth_class", "label": "7", "size": 8}}), &names));
    }
}
