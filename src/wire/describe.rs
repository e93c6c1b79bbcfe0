//! The parts of a layer's document that its definition has a say in: fields, domains, types, templates, symbols, time.

use serde_json::{Map, Value as Json, json};

use crate::{
    error::{Error, Result},
    model::{
        definition::{Definition, Domain, Facts, Index, Template},
        geometry::GeometryType,
        layer::{Field, Layer, Relationship, Service},
        row_rules::Ownership,
        value::FieldType,
    },
};

use super::{
    params::Params,
    query::{MAX_RECORD_COUNT, RESULT_TYPE_MAX_RECORD_COUNT},
};

/// A field, as layers and feature sets list it.
pub(crate) fn field(layer: &Layer, index: usize) -> Json {
    let field = &layer.fields[index];
    let given = layer.definition.field(&field.name);
    let mut shown = json!({
        "name": field.name,
        "type": field_type_name(field),
        "alias": field.alias,
        "sqlType": "sqlTypeOther",
        "nullable": layer.is_nullable(index),
        "editable": layer.is_editable(index),
        "domain": domain(layer, field),
        "defaultValue": given.and_then(|given| given.default_value.clone()),
    });
    if let Some(length) = length(field) {
        shown["length"] = length.into();
    }
    if let Some(description) = given.and_then(|given| given.description.as_ref()) {
        shown["description"] = description.as_str().into();
    }
    if let Some(visible) = given.and_then(|given| given.visible) {
        shown["visible"] = visible.into();
    }
    shown
}

/// The API's name for the type of a field.
pub(super) fn field_type_name(field: &Field) -> &'static str {
    match field.field_type {
        FieldType::ObjectId => "esriFieldTypeOID",
        FieldType::GlobalId => "esriFieldTypeGlobalID",
        FieldType::Guid => "esriFieldTypeGUID",
        FieldType::SmallInteger | FieldType::Boolean => "esriFieldTypeSmallInteger",
        FieldType::Integer => "esriFieldTypeInteger",
        FieldType::BigInteger => "esriFieldTypeBigInteger",
        FieldType::Single => "esriFieldTypeSingle",
        FieldType::Double => "esriFieldTypeDouble",
        FieldType::Text => "esriFieldTypeString",
        FieldType::Date => "esriFieldTypeDate",
        FieldType::DateOnly => "esriFieldTypeDateOnly",
        FieldType::TimeOnly => "esriFieldTypeTimeOnly",
        FieldType::TimestampOffset => "esriFieldTypeTimestampOffset",
    }
}

/// The type of a field to be added, by its name in the API.
pub(crate) fn field_type(name: &str) -> Option<FieldType> {
    Some(match name {
        "esriFieldTypeGUID" => FieldType::Guid,
        "esriFieldTypeSmallInteger" => FieldType::SmallInteger,
        "esriFieldTypeInteger" => FieldType::Integer,
        "esriFieldTypeBigInteger" => FieldType::BigInteger,
        "esriFieldTypeSingle" => FieldType::Single,
        "esriFieldTypeDouble" => FieldType::Double,
        "esriFieldTypeString" => FieldType::Text,
        "esriFieldTypeDate" => FieldType::Date,
        "esriFieldTypeDateOnly" => FieldType::DateOnly,
        "esriFieldTypeTimeOnly" => FieldType::TimeOnly,
        "esriFieldTypeTimestampOffset" => FieldType::TimestampOffset,
        _ => return None,
    })
}

/// The length that documents give, of fields that have one.
pub(super) fn length(field: &Field) -> Option<u32> {
    match field.field_type {
        FieldType::Guid | FieldType::GlobalId => Some(38),
        FieldType::Date => Some(8),
        // What readers take for unlimited.
        FieldType::Text => Some(field.length.unwrap_or(2_147_483_647)),
        _ => None,
    }
}

/// The values that a field takes.
fn domain(layer: &Layer, field: &Field) -> Json {
    match field.field_type {
        FieldType::Boolean => json!({
            "type": "codedValue", "name": "Boolean", "description": "",
            "codedValues": [{"name": "No", "code": 0}, {"name": "Yes", "code": 1}],
            "mergePolicy": "esriMPTDefaultValue", "splitPolicy": "esriSPTDefaultValue",
        }),
        _ => {
            let given = layer.definition.field(&field.name).and_then(|given| given.domain.as_ref());
            given.filter(|domain| **domain != Domain::Inherited).map_or(Json::Null, |domain| json!(domain))
        }
    }
}

/// The domains of a service, each name once: those of fields, and those of fields in types.
pub(crate) fn domains(params: &Params, service: &Service) -> Result<Json> {
    let wanted = params.ids("layers")?;
    if let Some(unknown) =
        wanted.iter().flatten().find(|id| !service.layers.iter().any(|layer| i64::from(layer.id.0) == **id))
    {
        return Err(Error::invalid("layers", format!("service {} has no layer or table {unknown}", service.name)));
    }
    let mut found: Vec<Json> = Vec::new();
    let mut add = |domain: Json| {
        if domain["name"].is_string() && !found.iter().any(|known| known["name"] == domain["name"]) {
            found.push(domain);
        }
    };
    for layer in &service.layers {
        if wanted.as_ref().is_some_and(|ids| !ids.contains(&i64::from(layer.id.0))) {
            continue;
        }
        layer.visible_fields().for_each(|index| add(domain(layer, &layer.fields[index])));
        let definition = layer.shown_definition();
        let in_types = definition.types.iter().flat_map(|of_type| of_type.domains.values());
        let in_subtypes = definition.subtypes.iter().flat_map(|subtype| subtype.domains.values());
        in_types.chain(in_subtypes).for_each(|domain| add(json!(domain)));
    }
    Ok(json!({"domains": found}))
}

/// The name of a field that a definition names, as the table spells it.
fn field_name<'a>(layer: &'a Layer, named: Option<&String>) -> Option<&'a str> {
    let index = named.and_then(|name| layer.field_index(name)).filter(|&index| layer.is_visible(index))?;
    Some(layer.fields[index].name.as_str())
}

/// The field that stands for a feature in lists.
pub(super) fn display_field(layer: &Layer) -> &str {
    field_name(layer, layer.definition.display_field.as_ref()).unwrap_or_else(|| {
        let mut fields = layer.visible_fields().map(|index| &layer.fields[index]);
        fields.find(|field| field.field_type == FieldType::Text).map_or("", |field| field.name.as_str())
    })
}

/// What a definition says about the layer as a whole, or what holds without it.
pub(super) fn put_definition(layer: &Layer, facts: &Facts, shown: &mut Map<String, Json>) {
    let definition = &*layer.shown_definition();
    let mut put = |name: &str, value: Json| {
        shown.insert(name.to_owned(), value);
    };
    let text = |given: &Option<String>| given.clone().unwrap_or_default();
    put("description", text(&definition.description).into());
    put("copyrightText", text(&definition.copyright_text).into());
    put("displayField", display_field(layer).into());
    put("defaultVisibility", definition.default_visibility.unwrap_or(true).into());
    put("htmlPopupType", definition.html_popup_type.as_deref().unwrap_or("esriServerHTMLPopupTypeNone").into());
    put("hasStaticData", definition.has_static_data.unwrap_or(false).into());
    put("maxRecordCount", max_record_count(layer, MAX_RECORD_COUNT).into());
    for name in ["standardMaxRecordCount", "tileMaxRecordCount"] {
        put(name, max_record_count(layer, RESULT_TYPE_MAX_RECORD_COUNT).into());
    }
    put("capabilities", layer.rules.capabilities.to_string().into());
    put("allowGeometryUpdates", layer.rules.geometry_updates.into());
    put("editFieldsInfo", edit_fields(layer));
    put("timeInfo", time_info(layer, facts));
    put_types(layer, definition, &mut put);
    if let Some(shape) = &layer.shape {
        let scales = [("minScale", definition.min_scale), ("maxScale", definition.max_scale)];
        for (name, scale) in scales {
            put(name, number(scale.unwrap_or(0.0)));
        }
        put("effectiveMinScale", number(definition.min_scale.unwrap_or(0.0)));
        put("effectiveMaxScale", number(definition.max_scale.unwrap_or(0.0)));
        put("drawingInfo", drawing_info(definition, shape.geometry_type));
    }
}

/// A whole number without its fraction, as other servers write scales.
fn number(value: f64) -> Json {
    #[expect(clippy::cast_possible_truncation, reason = "a whole number within 2^53")]
    if value.fract() == 0.0 && value.abs() < 9e15 { Json::from(value as i64) } else { Json::from(value) }
}

/// The most features in a page of the layer, if its definition says so, or else the usual.
pub(crate) fn max_record_count(layer: &Layer, usual: i64) -> i64 {
    layer.definition.max_record_count.unwrap_or(usual)
}

fn edit_fields(layer: &Layer) -> Json {
    let tracking = layer.rules.tracking;
    let named = [
        ("creationDateField", tracking.created),
        ("creatorField", tracking.creator),
        ("editDateField", tracking.edited),
        ("editorField", tracking.editor),
    ];
    let shown: Map<String, Json> = named
        .into_iter()
        .filter_map(|(name, index)| Some((name, index.filter(|&index| layer.is_visible(index))?)))
        .map(|(name, index)| (name.to_owned(), layer.fields[index].name.as_str().into()))
        .collect();
    if shown.is_empty() { Json::Null } else { Json::Object(shown) }
}

/// What may be done with rows of others, as a layer's document has it.
pub(super) fn ownership(layer: &Layer) -> Json {
    let Some(Ownership { others, anonymous, .. }) = layer.rules.row_rules.ownership else { return Json::Null };
    json!({
        "allowOthersToQuery": others.query, "allowOthersToUpdate": others.update, "allowOthersToDelete": others.delete,
        "allowAnonymousToQuery": anonymous.query, "allowAnonymousToUpdate": anonymous.update,
        "allowAnonymousToDelete": anonymous.delete,
    })
}

/// Whether the layers of a service keep who edited rows, and what depends on that: what holds for all layers.
pub(super) fn editor_tracking(service: &Service) -> Json {
    let tracks = service.layers.iter().any(|layer| layer.rules.tracking.fields().next().is_some());
    let ownership: Vec<Ownership> = service.layers.iter().filter_map(|layer| layer.rules.row_rules.ownership).collect();
    let all = |allows: fn(&Ownership) -> bool| ownership.iter().all(allows);
    json!({
        "enableEditorTracking": tracks,
        "enableOwnershipAccessControl": !ownership.is_empty(),
        "allowOthersToQuery": all(|of| of.others.query),
        "allowOthersToUpdate": all(|of| of.others.update),
        "allowOthersToDelete": all(|of| of.others.delete),
        "allowAnonymousToQuery": all(|of| of.anonymous.query),
        "allowAnonymousToUpdate": all(|of| of.anonymous.update),
        "allowAnonymousToDelete": all(|of| of.anonymous.delete),
    })
}

fn time_info(layer: &Layer, facts: &Facts) -> Json {
    let Some(time) = layer.rules.time else { return Json::Null };
    let name = |index: Option<usize>| index.map(|index| layer.fields[index].name.as_str());
    let given = layer.definition.time_info.clone().unwrap_or_default();
    json!({
        "startTimeField": name(Some(time.start)),
        "endTimeField": name(time.end),
        "trackIdField": name(time.track),
        "timeExtent": facts.time_extent,
        "timeReference": {"timeZone": "UTC", "respectsDaylightSaving": false},
        "timeInterval": number(given.time_interval.unwrap_or(0.0)),
        "timeIntervalUnits": given.time_interval_units.as_deref().unwrap_or("esriTimeUnitsUnknown"),
        "exportOptions": {"useTime": true, "timeDataCumulative": false, "timeOffset": null, "timeOffsetUnits": null},
        "hasLiveData": false,
    })
}

/// Types and templates. Subtypes are types as well, for clients that know only those.
fn put_types(layer: &Layer, definition: &Definition, put: &mut impl FnMut(&str, Json)) {
    let types = layer.rules.types.as_ref();
    let name = types.map_or("", |types| layer.fields[types.field].name.as_str());
    let own = |templates: &[Template]| -> Json { templates.iter().map(|given| template(layer, given)).collect() };
    put("typeIdField", name.into());
    if types.is_some_and(|types| types.are_subtypes) {
        put("subtypeField", name.into());
        put("subtypes", definition.subtypes.iter().map(|subtype| json!(subtype)).collect());
        put("defaultSubtypeCode", definition.default_subtype_code.clone().unwrap_or(Json::Null));
        let of_subtypes = definition.subtypes.iter().map(|subtype| {
            let mut attributes = blank(layer);
            attributes.extend(subtype.default_values.clone());
            attributes.insert(name.to_owned(), subtype.code.clone());
            let made = named_template(layer, &subtype.name, &attributes);
            json!({"id": subtype.code, "name": subtype.name, "domains": subtype.domains, "templates": [made]})
        });
        put("types", of_subtypes.collect());
        put("templates", own(&definition.templates));
        return;
    }
    put("subtypeField", "".into());
    let shown = definition.types.iter().filter(|_| types.is_some()).map(|of_type| {
        let templates = if of_type.templates.is_empty() {
            let mut attributes = blank(layer);
            attributes.insert(name.to_owned(), of_type.id.clone());
            json!([named_template(layer, &of_type.name, &attributes)])
        } else {
            own(&of_type.templates)
        };
        json!({"id": of_type.id, "name": of_type.name, "domains": of_type.domains, "templates": templates})
    });
    let shown: Vec<Json> = shown.collect();
    // Field apps cannot make features without templates.
    put(
        "templates",
        match (shown.is_empty(), definition.templates.is_empty()) {
            (true, true) => json!([named_template(layer, &layer.name, &blank(layer))]),
            _ => own(&definition.templates),
        },
    );
    put("types", Json::Array(shown));
}

/// Every attribute that a client may write, with what the database fills in.
fn blank(layer: &Layer) -> Map<String, Json> {
    let default = |field: &Field| layer.definition.field(&field.name)?.default_value.clone();
    layer
        .visible_fields()
        .filter(|&index| layer.is_editable(index))
        .map(|index| &layer.fields[index])
        .map(|field| (field.name.clone(), default(field).unwrap_or(Json::Null)))
        .collect()
}

fn named_template(layer: &Layer, name: &str, attributes: &Map<String, Json>) -> Json {
    json!({"name": name, "description": "", "drawingTool": drawing_tool(layer), "prototype": {"attributes": attributes}})
}

fn template(layer: &Layer, given: &Template) -> Json {
    let mut shown = json!(given);
    if given.drawing_tool.is_none() {
        shown["drawingTool"] = drawing_tool(layer).into();
    }
    let mut attributes = blank(layer);
    attributes.extend(given.prototype.attributes.clone());
    shown["prototype"] = json!({"attributes": attributes});
    shown
}

fn drawing_tool(layer: &Layer) -> &'static str {
    match layer.shape.as_ref().map(|shape| shape.geometry_type) {
        None => "esriFeatureEditToolNone",
        Some(GeometryType::Point | GeometryType::Multipoint) => "esriFeatureEditToolPoint",
        Some(GeometryType::Polyline) => "esriFeatureEditToolLine",
        Some(GeometryType::Polygon) => "esriFeatureEditToolPolygon",
    }
}

/// How maps draw the layer: as the definition says, or with a symbol for its type of geometry.
fn drawing_info(definition: &Definition, geometry_type: GeometryType) -> Json {
    let mut shown = match &definition.drawing_info {
        Some(given) => given.clone(),
        None => json!({
            "renderer": {"type": "simple", "label": "", "description": "", "symbol": symbol(geometry_type)},
        }),
    };
    if let Some(members) = shown.as_object_mut() {
        for (name, value) in [("transparency", json!(0)), ("labelingInfo", Json::Null), ("scaleSymbols", json!(true))] {
            members.entry(name).or_insert(value);
        }
    }
    shown
}

fn symbol(geometry_type: GeometryType) -> Json {
    let outline =
        |color: Json, width: f64| json!({"type": "esriSLS", "style": "esriSLSSolid", "color": color, "width": width});
    match geometry_type {
        GeometryType::Point | GeometryType::Multipoint => json!({
            "type": "esriSMS", "style": "esriSMSCircle", "color": [0, 112, 200, 255], "size": 8, "angle": 0, "xoffset": 0, "yoffset": 0,
            "outline": outline(json!([255, 255, 255, 255]), 1.0),
        }),
        GeometryType::Polyline => outline(json!([0, 112, 200, 255]), 1.5),
        GeometryType::Polygon => json!({
            "type": "esriSFS", "style": "esriSFSSolid", "color": [0, 112, 200, 64], "outline": outline(json!([0, 80, 150, 255]), 1.0),
        }),
    }
}

/// The indexes of a table whose fields clients see.
pub(super) fn indexes(layer: &Layer, indexes: &[Index]) -> Json {
    let is_seen = |name: &String| layer.hidden_fields().all(|hidden| hidden != name);
    let shown = indexes.iter().filter(|index| index.fields.iter().all(is_seen)).map(|index| {
        json!({
            "name": index.name, "fields": index.fields.join(","), "isAscending": index.ascending, "isUnique": index.unique,
            "description": index.description,
        })
    });
    shown.collect()
}

/// The relationships of a service, each from both of its ends.
pub(crate) fn relationships(service: &Service) -> Json {
    let shown = service.relationships.iter().filter_map(|relationship: &Relationship| {
        let origin = service.layer_by_key(relationship.origin)?;
        let destination = service.layer_by_key(relationship.destination)?;
        Some(json!({
            "id": relationship.id,
            "name": relationship.name,
            "forwardPathLabel": destination.name,
            "backwardPathLabel": origin.name,
            "originLayerId": origin.id.0,
            "originPrimaryKey": key_field(origin, relationship.origin_field),
            "destinationLayerId": destination.id.0,
            "originForeignKey": key_field(destination, relationship.destination_field),
            "cardinality": cardinality(relationship),
            "attributed": false,
            "composite": false,
            "rules": [],
        }))
    });
    json!({"relationships": shown.collect::<Json>()})
}

/// The name of the field by which rows belong to others; empty if clients do not see it.
pub(super) fn key_field(layer: &Layer, index: usize) -> &str {
    if layer.is_visible(index) { &layer.fields[index].name } else { "" }
}

pub(super) fn cardinality(relationship: &Relationship) -> &'static str {
    if relationship.single { "esriRelCardinalityOneToOne" } else { "esriRelCardinalityOneToMany" }
}
