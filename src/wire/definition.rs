//! Definitions as administrators send them: whole, in a file, or in part, with `addToDefinition`, `updateDefinition` and
//! `deleteFromDefinition`.
//!
//! Nothing is passed over: a key that cannot be set is refused by its name, unless it says what holds already, since clients
//! send parts of documents back.

use serde_json::{Map, Value as Json, json};

use crate::{
    error::{Error, Result},
    model::{
        definition::{Definition, Facts, LayerChange, NewField, NewIndex, ServiceDefinition},
        layer::{Layer, Service},
        value::{FieldType, brief},
    },
};

use super::{
    describe::{field, field_type},
    params::{Params, json},
    service,
};

/// What a definition of a layer may say.
pub(super) const LAYER_KEYS: [&str; 24] = [
    "name",
    "description",
    "copyrightText",
    "displayField",
    "defaultVisibility",
    "minScale",
    "maxScale",
    "htmlPopupType",
    "hasStaticData",
    "capabilities",
    "allowGeometryUpdates",
    "maxRecordCount",
    "editFieldsInfo",
    "ownershipBasedAccessControlForFeatures",
    "rowAccess",
    "timeInfo",
    "drawingInfo",
    "typeIdField",
    "types",
    "subtypeField",
    "subtypes",
    "defaultSubtypeCode",
    "templates",
    "fields",
];

/// What it may say of a field.
pub(super) const FIELD_KEYS: [&str; 8] =
    ["name", "alias", "description", "editable", "nullable", "visible", "defaultValue", "domain"];

/// What a definition of a service may say.
const SERVICE_KEYS: [&str; 5] =
    ["description", "copyrightText", "capabilities", "allowGeometryUpdates", "hasStaticData"];

/// What clients write for the keys of a service.
fn service_key(key: &str) -> &str {
    if key == "serviceDescription" { "description" } else { key }
}

/// Reads a whole definition of a layer.
pub(crate) fn whole(document: &Map<String, Json>) -> Result<Definition> {
    merged(Map::new(), document, &Json::Null)
}

/// Reads a whole definition of a service.
pub(crate) fn whole_service(document: &Map<String, Json>) -> Result<ServiceDefinition> {
    merged_service(Map::new(), document, &Json::Null)
}

/// Reads a definition file: TOML or JSON.
pub(crate) fn file(text: &str) -> Result<Map<String, Json>> {
    if text.trim_start().starts_with('{') {
        return json("definition", text);
    }
    toml::from_str(text).map_err(|error| {
        Error::invalid("definition", format!("the file is neither JSON nor TOML that belongs here: {error}"))
    })
}

/// The definition of a layer as a document that [`whole`] reads.
pub(crate) fn document(layer: &Layer) -> Result<Json> {
    layer.definition.document().map_err(|error| Error::internal("writing a definition", error))
}

/// The definition of a service as a document that [`whole_service`] reads.
pub(crate) fn service_document(service: &Service) -> Result<Json> {
    service.definition.document().map_err(|error| Error::internal("writing a definition", error))
}

/// Reads `updateDefinition` of a layer: what it names is replaced, fields by their names; null takes something back.
pub(crate) fn update(params: &Params, service: &Service, layer: &Layer) -> Result<LayerChange> {
    let given: Map<String, Json> = needed(params, "updateDefinition")?;
    Ok(LayerChange { definition: updated(&given, service, layer)?, ..LayerChange::default() })
}

/// The definition of a layer with these changes.
pub(crate) fn updated(given: &Map<String, Json>, of: &Service, layer: &Layer) -> Result<Definition> {
    let mut current = service::layer(of, layer, &Facts::default());
    // Also those that clients do not see.
    current["fields"] = (0..layer.fields.len()).map(|index| field(layer, index)).collect();
    merged(members(document(layer)?), given, &current)
}

/// Reads `updateDefinition` of a service.
pub(crate) fn update_service(params: &Params, of: &Service) -> Result<ServiceDefinition> {
    updated_service(&needed(params, "updateDefinition")?, of)
}

/// The definition of a service with these changes.
pub(crate) fn updated_service(given: &Map<String, Json>, of: &Service) -> Result<ServiceDefinition> {
    let current =
        json!({"name": of.name, "syncEnabled": of.capabilities.sync, "maxRecordCount": super::query::MAX_RECORD_COUNT});
    merged_service(members(service_document(of)?), given, &current)
}

/// Reads `addToDefinition` of a layer: fields, and indexes.
pub(crate) fn add(params: &Params, service: &Service, layer: &Layer) -> Result<LayerChange> {
    let given: Map<String, Json> = needed(params, "addToDefinition")?;
    let mut change = LayerChange::default();
    let mut said = Vec::new();
    for (key, value) in &given {
        match key.as_str() {
            "fields" => {
                for field in objects("fields", value)? {
                    let name = new_name("fields", field)?;
                    let mut about = Map::new();
                    for (key, value) in field {
                        if FIELD_KEYS.contains(&key.as_str()) {
                            about.insert(key.clone(), value.clone());
                        }
                    }
                    change.new_fields.push(new_field(name, field)?);
                    said.push(Json::Object(about));
                }
            }
            "indexes" => {
                for index in objects("indexes", value)? {
                    change.new_indexes.push(new_index(index, layer, &change.new_fields)?);
                }
            }
            "layers" | "tables" => {
                return Err(Error::NotSupported(format!("'{key}' cannot be added to a layer; add it to the service")));
            }
            "relationships" => {
                return Err(Error::NotSupported(
                    "'relationships' cannot be added to a layer; add them to the service, where both ends are known"
                        .to_owned(),
                ));
            }
            _ => return Err(cannot_be_set("addToDefinition", key, &["fields", "indexes"])),
        }
    }
    let names: Vec<&str> = change.new_fields.iter().map(|field| field.name.as_str()).collect();
    // What is said about the new fields is merged without a look at the document, which does not have them.
    let mut base = members(document(layer)?);
    let mut about = base.remove("fields").and_then(|list| list.as_array().cloned()).unwrap_or_default();
    about.retain(|field| {
        !names.iter().any(|name| field["name"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(name)))
    });
    about.extend(said);
    base.insert("fields".to_owned(), Json::Array(about));
    change.definition = merged(base, &Map::new(), &service::layer(service, layer, &Facts::default()))?;
    Ok(change)
}

/// Reads `deleteFromDefinition` of a layer: fields, and indexes.
pub(crate) fn delete(params: &Params, layer: &Layer) -> Result<LayerChange> {
    let given: Map<String, Json> = needed(params, "deleteFromDefinition")?;
    let mut change = LayerChange {
        definition: (*layer.definition).clone(),
        force: params.flag(&["force"], false)?,
        ..LayerChange::default()
    };
    for (key, value) in &given {
        let into = match key.as_str() {
            "fields" => &mut change.dropped_fields,
            "indexes" => &mut change.dropped_indexes,
            "layers" | "tables" => {
                return Err(Error::NotSupported(format!(
                    "'{key}' cannot go here; syncline unpublish ends the publication of a layer"
                )));
            }
            _ => return Err(cannot_be_set("deleteFromDefinition", key, &["fields", "indexes"])),
        };
        for object in objects("deleteFromDefinition", value)? {
            into.push(name_of("deleteFromDefinition", object)?.to_owned());
        }
    }
    let dropped = &change.dropped_fields;
    change.definition.fields.retain(|field| !dropped.iter().any(|name| name.eq_ignore_ascii_case(&field.name)));
    Ok(change)
}

pub(super) fn needed(params: &Params, name: &'static str) -> Result<Map<String, Json>> {
    params
        .json(name)?
        .ok_or_else(|| Error::invalid(name, "it is missing; a JSON object with what is to change belongs there"))
}

fn members(document: Json) -> Map<String, Json> {
    match document {
        Json::Object(members) => members,
        _ => Map::new(),
    }
}

fn cannot_be_set(name: &'static str, key: &str, known: &[&str]) -> Error {
    Error::invalid(name, format!("'{}' cannot be set; what can is {}", brief(key), known.join(", ")))
}

/// A definition with what `given` changes of it. `current` is the layer's document.
fn merged(mut base: Map<String, Json>, given: &Map<String, Json>, current: &Json) -> Result<Definition> {
    for (key, value) in given {
        match key.as_str() {
            "fields" => merge_fields(&mut base, value, current)?,
            key if LAYER_KEYS.contains(&key) => put(&mut base, key, value),
            key if current.get(key) == Some(value) => {}
            "hasAttachments" => {
                return Err(Error::NotSupported(
                    "'hasAttachments' is switched on with syncline attachments".to_owned(),
                ));
            }
            key => return Err(cannot_be_set("definition", key, &LAYER_KEYS)),
        }
    }
    serde_json::from_value(Json::Object(base))
        .map_err(|error| Error::invalid("definition", format!("it is not what belongs there: {error}")))
}

fn merged_service(mut base: Map<String, Json>, given: &Map<String, Json>, current: &Json) -> Result<ServiceDefinition> {
    for (key, value) in given {
        match service_key(key) {
            key if SERVICE_KEYS.contains(&key) => put(&mut base, key, value),
            key if current.get(key) == Some(value) => {}
            key => return Err(cannot_be_set("definition", key, &SERVICE_KEYS)),
        }
    }
    serde_json::from_value(Json::Object(base))
        .map_err(|error| Error::invalid("definition", format!("it is not what belongs there: {error}")))
}

fn put(base: &mut Map<String, Json>, key: &str, value: &Json) {
    if value.is_null() {
        base.remove(key);
    } else {
        base.insert(key.to_owned(), value.clone());
    }
}

/// Merges what is said about fields, each by its name.
fn merge_fields(base: &mut Map<String, Json>, given: &Json, current: &Json) -> Result<()> {
    let mut fields = base.remove("fields").and_then(|list| list.as_array().cloned()).unwrap_or_default();
    let no_fields = Vec::new();
    let known = current["fields"].as_array().unwrap_or(&no_fields);
    for field in objects("fields", given)? {
        let name = name_of("fields", field)?;
        let is_it = |other: &Json| other["name"].as_str().is_some_and(|other| other.eq_ignore_ascii_case(name));
        let as_shown = known.iter().find(|other| is_it(other)).unwrap_or(&Json::Null);
        let at = fields.iter().position(is_it).unwrap_or_else(|| {
            fields.push(json!({"name": name}));
            fields.len() - 1
        });
        let Some(about) = fields.get_mut(at).and_then(Json::as_object_mut) else { continue };
        for (key, value) in field {
            match key.as_str() {
                "name" => {}
                // What holds already need not be said.
                key if as_shown.get(key) == Some(value) => {}
                key if FIELD_KEYS.contains(&key) => put(about, key, value),
                key => return Err(cannot_be_set("fields", key, &FIELD_KEYS)),
            }
        }
    }
    fields.retain(|field| field.as_object().is_some_and(|about| about.len() > 1));
    base.insert("fields".to_owned(), Json::Array(fields));
    Ok(())
}

pub(super) fn objects<'a>(name: &'static str, list: &'a Json) -> Result<Vec<&'a Map<String, Json>>> {
    let wrong = || Error::invalid(name, "an array of objects with names belongs there, as in [{\"name\":\"…\"}]");
    list.as_array().ok_or_else(wrong)?.iter().map(|object| object.as_object().ok_or_else(wrong)).collect()
}

pub(super) fn name_of<'a>(parameter: &'static str, object: &'a Map<String, Json>) -> Result<&'a str> {
    object
        .get("name")
        .and_then(Json::as_str)
        .filter(|name| !name.is_empty())
        .ok_or_else(|| Error::invalid(parameter, "an element has no name"))
}

/// The name of something that is to be made in the database.
pub(super) fn new_name<'a>(parameter: &'static str, object: &'a Map<String, Json>) -> Result<&'a str> {
    let name = name_of(parameter, object)?;
    let fits = name.len() <= 63
        && name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !name.to_ascii_lowercase().starts_with("syncline_");
    if fits {
        return Ok(name);
    }
    Err(Error::invalid(
        parameter,
        format!(
            "'{}' cannot be a name: use letters, digits and '_', at most 63 bytes, not beginning with a digit or syncline_",
            brief(name)
        ),
    ))
}

pub(super) fn new_field(name: &str, given: &Map<String, Json>) -> Result<NewField> {
    let type_name = given.get("type").and_then(Json::as_str).unwrap_or_default();
    let field_type = field_type(type_name).ok_or_else(|| {
        Error::invalid(
            "fields",
            format!(
                "field '{name}': '{}' is not the type of a field that can be added; use esriFieldTypeString, SmallInteger, Integer, BigInteger, \
                 Single, Double, Date, DateOnly, TimeOnly, TimestampOffset or GUID",
                brief(type_name)
            ),
        )
    })?;
    let length = match (field_type, given.get("length")) {
        (FieldType::Text, Some(length)) if !length.is_null() => {
            let read = length.as_u64().and_then(|length| u32::try_from(length).ok()).filter(|length| *length > 0);
            let read = read.ok_or_else(|| {
                Error::invalid("fields", format!("field '{name}': the length {length} is not a whole number above 0"))
            })?;
            // Longer than the database can declare is unlimited.
            (read <= 10_485_760).then_some(read)
        }
        _ => None,
    };
    Ok(NewField { name: name.to_owned(), field_type, length })
}

fn new_index(given: &Map<String, Json>, layer: &Layer, new: &[NewField]) -> Result<NewIndex> {
    let name = new_name("indexes", given)?.to_owned();
    let mut fields = Vec::new();
    for named in given.get("fields").and_then(Json::as_str).unwrap_or_default().split(',').map(str::trim) {
        let known = layer.field_index(named).map(|index| layer.fields[index].name.clone());
        let found = known.or_else(|| new.iter().find(|field| field.name == named).map(|field| field.name.clone()));
        fields.push(found.ok_or_else(|| {
            Error::invalid(
                "indexes",
                format!(
                    "index '{name}': there is no field '{}' in {}; name fields with commas",
                    brief(named),
                    layer.name
                ),
            )
        })?);
    }
    Ok(NewIndex { name, fields, unique: given.get("isUnique").and_then(Json::as_bool).unwrap_or(false) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Json) -> Map<String, Json> {
        members(value)
    }

    #[test]
    fn a_file_is_json_or_toml_and_says_the_same() {
        let from_toml = file(
            "displayField = 'species'\n[[fields]]\nname = 'species'\nalias = 'Art'\n[fields.domain]\ntype = 'codedValue'\nname = 'Species'\n\
             codedValues = [{name = 'Oak', code = 'oak'}]",
        )
        .unwrap();
        let from_json = file(
            r#"{"displayField":"species","fields":[{"name":"species","alias":"Art","domain":
               {"type":"codedValue","name":"Species","codedValues":[{"name":"Oak","code":"oak"}]}}]}"#,
        )
        .unwrap();
        assert_eq!(whole(&from_toml).unwrap(), whole(&from_json).unwrap());
        assert!(file("{").is_err() && file("a = = b").is_err());
    }

    #[test]
    fn what_cannot_be_set_is_refused_unless_it_holds_already() {
        let current = json!({"geometryType": "esriGeometryPoint", "fields": [{"name": "a", "type": "esriFieldTypeString", "alias": "a"}]});
        let merge = |given: Json| merged(Map::new(), &object(given), &current);
        assert!(merge(json!({"geometryType": "esriGeometryPoint"})).is_ok());
        assert!(
            merge(json!({"geometryType": "esriGeometryPolygon"})).unwrap_err().to_string().contains("'geometryType'")
        );
        let fields =
            merge(json!({"fields": [{"name": "A", "type": "esriFieldTypeString", "alias": "x"}]})).unwrap().fields;
        assert_eq!((fields[0].name.as_str(), fields[0].alias.as_deref()), ("A", Some("x")));
        assert!(merge(json!({"fields": [{"name": "a", "length": 5}]})).unwrap_err().to_string().contains("'length'"));
        assert!(merge(json!({"fields": [{"alias": "x"}]})).is_err());
    }

    #[test]
    fn null_takes_something_back_and_the_rest_stays() {
        let base =
            object(json!({"description": "d", "fields": [{"name": "a", "alias": "x"}, {"name": "b", "alias": "y"}]}));
        let given = object(json!({"description": null, "fields": [{"name": "a", "alias": null}]}));
        let now = merged(base, &given, &Json::Null).unwrap();
        assert_eq!(now.description, None);
        assert_eq!(now.fields.len(), 1);
        assert_eq!(now.fields[0].name, "b");
    }

    #[test]
    fn names_of_new_columns_are_plain() {
        for name in ["a b", "1a", "", "a\"; drop", "syncline_txn"] {
            assert!(new_name("fields", &object(json!({"name": name}))).is_err(), "{name}");
        }
        assert!(new_name("fields", &object(json!({"name": "Größe_2"}))).is_ok());
    }
}
