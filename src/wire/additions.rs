//! What is added to a service, and deleted from it, as a whole: layers, tables, relationships.
//!
//! API reference: *Add to Definition (Feature Service)*, *Delete from Definition (Feature Service)*. A new layer is a layer's document: its
//! fields become columns of a new table, and what a definition can say is said of it. What else stands in such documents describes
//! what a server can do, and is passed over.

use serde_json::{Map, Value as Json};

use crate::{
    error::{Error, Result},
    model::{
        definition::{Declaration, NewLayer, NewShape, ServiceAdditions, ServiceDeletions},
        geometry::GeometryType,
        id::LayerId,
        layer::Service,
        value::brief,
    },
};

use super::{
    definition::{FIELD_KEYS, LAYER_KEYS, name_of, needed, new_field, new_name, objects, whole},
    geometry::{spatial_reference_of, type_name},
    params::Params,
};

/// The most layers and relationships that are added at once.
const MAX_ADDITIONS: usize = 50;
/// The most fields of a new layer.
const MAX_FIELDS: usize = 500;

/// Reads `addToDefinition` of a service.
pub(crate) fn add(params: &Params, service: &Service) -> Result<ServiceAdditions> {
    const NAME: &str = "addToDefinition";
    let given: Map<String, Json> = needed(params, NAME)?;
    let mut additions = ServiceAdditions::default();
    // As hosted services take it: a relationship stands in both of its layers.
    let mut ends = Vec::new();
    for (key, value) in &given {
        match key.as_str() {
            "layers" | "tables" => {
                for document in objects(NAME, value)? {
                    match document.get("relationships").and_then(Json::as_array) {
                        Some(list) if !document.contains_key("fields") => {
                            let layer = layer_id(NAME, document.get("id"))?;
                            ends.extend(list.iter().map(|end| (layer, end)));
                        }
                        _ => additions.layers.push(new_layer(document, key == "tables", service)?),
                    }
                }
            }
            "relationships" => {
                for one in objects(NAME, value)? {
                    additions.relationships.push(whole_relationship(one)?);
                }
            }
            other => {
                return Err(Error::invalid(
                    NAME,
                    format!("'{}' cannot be added to a service; layers, tables and relationships can", brief(other)),
                ));
            }
        }
    }
    additions.relationships.extend(paired(&ends)?);
    let n_additions = additions.layers.len() + additions.relationships.len();
    match n_additions {
        0 => Err(Error::invalid(NAME, "it adds nothing; layers, tables or relationships belong there")),
        n if n > MAX_ADDITIONS => {
            Err(Error::invalid(NAME, format!("it adds {n}; the most at once is {MAX_ADDITIONS}")))
        }
        _ => Ok(additions),
    }
}

/// Reads `deleteFromDefinition` of a service.
pub(crate) fn delete(params: &Params) -> Result<ServiceDeletions> {
    const NAME: &str = "deleteFromDefinition";
    let given: Map<String, Json> = needed(params, NAME)?;
    let mut deletions = ServiceDeletions::default();
    for (key, value) in &given {
        match key.as_str() {
            "relationships" => {
                for one in objects(NAME, value)? {
                    let id = one.get("id").and_then(Json::as_i64).and_then(|id| i32::try_from(id).ok());
                    deletions.relationships.push(id.ok_or_else(|| {
                        Error::invalid(NAME, "a relationship goes by its id, as in {\"relationships\":[{\"id\":0}]}")
                    })?);
                }
            }
            "layers" | "tables" => {
                return Err(Error::NotSupported(format!(
                    "'{key}' cannot go here; syncline unpublish ends the publication of a layer, and leaves its table"
                )));
            }
            other => {
                return Err(Error::invalid(
                    NAME,
                    format!("'{}' cannot be deleted from a service; relationships can", brief(other)),
                ));
            }
        }
    }
    if deletions.relationships.is_empty() {
        return Err(Error::invalid(NAME, "it deletes nothing; relationships belong there"));
    }
    Ok(deletions)
}

fn layer_id(parameter: &'static str, given: Option<&Json>) -> Result<LayerId> {
    let id = given.and_then(Json::as_i64).and_then(|id| i32::try_from(id).ok()).filter(|id| *id >= 0);
    id.map(LayerId).ok_or_else(|| {
        let shown = given.map_or_else(|| "missing".to_owned(), Json::to_string);
        Error::invalid(parameter, format!("the id of a layer is {}; a whole number belongs there", brief(&shown)))
    })
}

fn text<'a>(parameter: &'static str, object: &'a Map<String, Json>, key: &str) -> Result<&'a str> {
    object
        .get(key)
        .and_then(Json::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Error::invalid(parameter, format!("a relationship has no {key}")))
}

/// Reads a relationship as `relationships` of a service shows it.
fn whole_relationship(given: &Map<String, Json>) -> Result<Declaration> {
    const NAME: &str = "relationships";
    refuse_kind(given)?;
    Ok(Declaration {
        name: given.get("name").and_then(Json::as_str).filter(|name| !name.is_empty()).map(str::to_owned),
        origin: (layer_id(NAME, given.get("originLayerId"))?, text(NAME, given, "originPrimaryKey")?.to_owned()),
        destination: (
            layer_id(NAME, given.get("destinationLayerId"))?,
            text(NAME, given, "originForeignKey")?.to_owned(),
        ),
    })
}

/// Rows that go with the row that they belong to, and rows that belong to several, need what tables do not say.
fn refuse_kind(given: &Map<String, Json>) -> Result<()> {
    let cardinality = given.get("cardinality").and_then(Json::as_str).unwrap_or_default();
    if cardinality.eq_ignore_ascii_case("esriRelCardinalityManyToMany") {
        return Err(Error::NotSupported("relationships of many to many are not supported".to_owned()));
    }
    if given.get("composite").and_then(Json::as_bool) == Some(true) {
        return Err(Error::NotSupported(
            "composite=true is not supported: whether rows go with the row that they belong to, a foreign key of the database says"
                .to_owned(),
        ));
    }
    Ok(())
}

/// Puts the two ends of each relationship together.
fn paired(ends: &[(LayerId, &Json)]) -> Result<Vec<Declaration>> {
    const NAME: &str = "relationships";
    struct End<'a> {
        layer: LayerId,
        related: LayerId,
        is_origin: bool,
        key: &'a str,
        name: Option<&'a str>,
    }
    let mut read = Vec::with_capacity(ends.len());
    for (layer, given) in ends {
        let given = given
            .as_object()
            .ok_or_else(|| Error::invalid(NAME, format!("an element of layer {layer} is no object")))?;
        refuse_kind(given)?;
        let is_origin = match text(NAME, given, "role")?.to_ascii_lowercase().as_str() {
            "esrirelroleorigin" => true,
            "esrirelroledestination" => false,
            other => {
                return Err(Error::invalid(
                    NAME,
                    format!("role '{}' is neither esriRelRoleOrigin nor esriRelRoleDestination", brief(other)),
                ));
            }
        };
        let related = layer_id(NAME, given.get("relatedTableId"))?;
        let name = given.get("name").and_then(Json::as_str).filter(|name| !name.is_empty());
        read.push(End { layer: *layer, related, is_origin, key: text(NAME, given, "keyField")?, name });
    }
    let (origins, mut destinations): (Vec<End<'_>>, Vec<End<'_>>) = read.into_iter().partition(|end| end.is_origin);
    let alone = |end: &End<'_>| {
        Error::invalid(
            NAME,
            format!(
                "the relationship of layer {} with layer {} has but one end; it must stand in both layers, with roles and keyFields",
                end.layer, end.related
            ),
        )
    };
    let mut found = Vec::with_capacity(origins.len());
    for origin in origins {
        let at = destinations
            .iter()
            .position(|end| (end.layer, end.related) == (origin.related, origin.layer))
            .ok_or_else(|| alone(&origin))?;
        let destination = destinations.remove(at);
        found.push(Declaration {
            name: origin.name.map(str::to_owned),
            origin: (origin.layer, origin.key.to_owned()),
            destination: (destination.layer, destination.key.to_owned()),
        });
    }
    match destinations.first() {
        Some(left) => Err(alone(left)),
        None => Ok(found),
    }
}

/// Reads the document of a layer that is to be made.
fn new_layer(document: &Map<String, Json>, in_tables: bool, service: &Service) -> Result<NewLayer> {
    const NAME: &str = "addToDefinition";
    let name = name_of(NAME, document)?.to_owned();
    let wrong = |problem: String| Error::invalid(NAME, format!("layer '{}': {problem}", brief(&name)));
    let geometry = document.get("geometryType").and_then(Json::as_str).filter(|text| !text.is_empty());
    let is_table = in_tables || document.get("type").and_then(Json::as_str) == Some("Table");
    let shape = match (geometry, is_table) {
        (None, true) => None,
        (None, false) => {
            return Err(wrong("it has no geometryType; what has no geometry belongs in tables".to_owned()));
        }
        (Some(_), true) => return Err(wrong("a table has no geometryType; what has one belongs in layers".to_owned())),
        (Some(geometry), false) => Some(new_shape(geometry, document, service).map_err(wrong)?),
    };
    let id = match document.get("id") {
        None | Some(Json::Null) => None,
        given => Some(layer_id(NAME, given)?),
    };
    let mut layer = NewLayer {
        id,
        table: table_name(&name).ok_or_else(|| wrong("its name has no letters to call a table by".to_owned()))?,
        object_id: "objectid".to_owned(),
        global_id: "globalid".to_owned(),
        fields: Vec::new(),
        shape,
        attachments: document.get("hasAttachments").and_then(Json::as_bool).unwrap_or(false),
        definition: whole(&said(document))?,
        name: name.clone(),
    };
    let fields = document.get("fields").ok_or_else(|| wrong("it has no fields".to_owned()))?;
    let fields = objects("fields", fields)?;
    if fields.len() > MAX_FIELDS {
        return Err(wrong(format!("{} fields; the most is {MAX_FIELDS}", fields.len())));
    }
    for field in fields {
        let name = new_name("fields", field)?;
        match field.get("type").and_then(Json::as_str) {
            Some("esriFieldTypeOID") => name.clone_into(&mut layer.object_id),
            Some("esriFieldTypeGlobalID")
                if ["globalid", "global_id"].contains(&name.to_ascii_lowercase().as_str()) =>
            {
                name.clone_into(&mut layer.global_id);
            }
            Some("esriFieldTypeGlobalID") => {
                return Err(wrong(format!("its global id is called '{name}'; call it globalid")));
            }
            // The column of geometries, which some servers list as a field.
            Some("esriFieldTypeGeometry") => {}
            _ => layer.fields.push(new_field(name, field)?),
        }
    }
    let mut names: Vec<String> = layer
        .fields
        .iter()
        .map(|field| &field.name)
        .chain([&layer.object_id, &layer.global_id])
        .map(|name| name.to_lowercase())
        .collect();
    names.extend(layer.shape.as_ref().map(|_| NewShape::COLUMN.to_owned()));
    names.sort_unstable();
    match names.windows(2).find(|two| two[0] == two[1]) {
        Some(two) => Err(wrong(format!("two of its columns would be called '{}'", two[0]))),
        None => Ok(layer),
    }
}

/// What of a layer's document is a definition.
fn said(document: &Map<String, Json>) -> Map<String, Json> {
    let mut said: Map<String, Json> = Map::new();
    for (key, value) in document.iter().filter(|(key, value)| LAYER_KEYS.contains(&key.as_str()) && !value.is_null()) {
        let is_empty = value.as_array().is_some_and(Vec::is_empty) || value == "";
        if key == "fields" {
            let about = |field: &Json| -> Option<Json> {
                let field = field.as_object()?;
                let own = field.get("type").and_then(Json::as_str);
                let is_key =
                    matches!(own, Some("esriFieldTypeOID" | "esriFieldTypeGlobalID" | "esriFieldTypeGeometry"));
                let known = field.iter().filter(|(key, value)| FIELD_KEYS.contains(&key.as_str()) && !value.is_null());
                (!is_key).then(|| known.map(|(key, value)| (key.clone(), value.clone())).collect())
            };
            said.insert(key.clone(), value.as_array().into_iter().flatten().filter_map(about).collect());
        } else if !is_empty {
            said.insert(key.clone(), value.clone());
        }
    }
    said
}

fn new_shape(geometry: &str, document: &Map<String, Json>, service: &Service) -> std::result::Result<NewShape, String> {
    const TYPES: [GeometryType; 4] =
        [GeometryType::Point, GeometryType::Multipoint, GeometryType::Polyline, GeometryType::Polygon];
    let geometry_type = TYPES
        .into_iter()
        .find(|known| type_name(*known).eq_ignore_ascii_case(geometry))
        .ok_or_else(|| format!("geometryType '{}' is none of {}", brief(geometry), TYPES.map(type_name).join(", ")))?;
    let own = document.get("spatialReference");
    let of_extent = document.get("extent").and_then(|extent| extent.get("spatialReference"));
    let reference = own.or(of_extent).filter(|reference| !reference.is_null());
    let srid = match reference {
        None => None,
        Some(reference) => spatial_reference_of("spatialReference", reference).map_err(|error| error.to_string())?,
    };
    let flag = |key: &str| document.get(key).and_then(Json::as_bool).unwrap_or(false);
    Ok(NewShape { geometry_type, srid: srid.unwrap_or(service.srid()), has_z: flag("hasZ"), has_m: flag("hasM") })
}

/// The name of a table for a layer with this name: its letters and digits in lower case.
fn table_name(layer: &str) -> Option<String> {
    let mut name = String::new();
    for c in layer.chars().flat_map(char::to_lowercase) {
        match c {
            c if c.is_alphanumeric() => name.push(c),
            _ if !name.ends_with('_') => name.push('_'),
            _ => {}
        }
    }
    let name = name.trim_matches('_');
    let mut end = name.len().min(50);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let name = &name[..end];
    match name.chars().next()? {
        c if c.is_alphabetic() => Some(name.to_owned()),
        _ => Some(format!("layer_{name}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_are_called_after_their_layers() {
        for (layer, table) in [
            ("Fire Hydrants (old)", "fire_hydrants_old"),
            ("2024", "layer_2024"),
            ("Größe", "größe"),
            ("a\";drop", "a_drop"),
        ] {
            assert_eq!(table_name(layer).as_deref(), Some(table));
        }
        assert_eq!(table_name("?!"), None);
        assert_eq!(table_name(&"x".repeat(200)).unwrap().len(), 50);
    }

    #[test]
    fn a_relationship_needs_both_of_its_ends() {
        let end = |role: &str, related: i32, key: &str| json!({"role": role, "relatedTableId": related, "keyField": key, "name": "r"});
        let (origin, destination) =
            (end("esriRelRoleOrigin", 1, "globalid"), end("esriRelRoleDestination", 0, "oak_id"));
        let found = paired(&[(LayerId(0), &origin), (LayerId(1), &destination)]).unwrap();
        assert_eq!((found.len(), found[0].name.as_deref()), (1, Some("r")));
        assert_eq!(found[0].origin, (LayerId(0), "globalid".to_owned()));
        assert_eq!(found[0].destination, (LayerId(1), "oak_id".to_owned()));
        for ends in [vec![(LayerId(0), &origin)], vec![(LayerId(1), &destination)]] {
            assert!(paired(&ends).unwrap_err().to_string().contains("but one end"));
        }
    }
}
