//! Edits as clients send them.
//!
//! An edit that cannot be read is refused in its place; the others go on. Only a body that is not JSON of the right
//! shape fails as a whole.

use std::sync::Arc;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value as Json, json, value::RawValue};

use crate::{
    error::{Error, Result},
    model::{
        edit::{
            AttachmentEdits, DirectEdits, Edit, EditError, EditErrorCode, EditResult, GeometryEdit, LayerEdits, Op,
            Refusal,
        },
        id::{GlobalId, LayerId},
        layer::{Layer, Service},
        value::{Scalar, Value, brief, coerce},
    },
};

use super::{
    attachments::{AttachmentEditsJson, parse_attachment_edits},
    geometry::{Parsed, Refused, parse_for},
};

/// Attributes in the order in which they came.
pub(super) struct Attributes(pub(super) Vec<(String, Scalar)>);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Attributes, D::Error> {
        struct AttributesVisitor;
        impl<'de> Visitor<'de> for AttributesVisitor {
            type Value = Attributes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("attributes such as {\"name\":\"value\"}")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Attributes, A::Error> {
                let mut attributes = Vec::with_capacity(map.size_hint().unwrap_or(16));
                while let Some((name, Loose(value))) = map.next_entry::<String, Loose>()? {
                    attributes.push((name, value));
                }
                Ok(Attributes(attributes))
            }
        }
        deserializer.deserialize_map(AttributesVisitor)
    }
}

/// Any JSON value as a scalar.
struct Loose(Scalar);

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Loose, D::Error> {
        struct LooseVisitor;
        impl<'de> Visitor<'de> for LooseVisitor {
            type Value = Loose;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value")
            }
            fn visit_bool<E>(self, value: bool) -> std::result::Result<Loose, E> {
                Ok(Loose(Scalar::Bool(value)))
            }
            fn visit_i64<E>(self, value: i64) -> std::result::Result<Loose, E> {
                Ok(Loose(Scalar::Integer(value)))
            }
            fn visit_u64<E>(self, value: u64) -> std::result::Result<Loose, E> {
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "beyond 2^63 no field holds it exactly, which its check says"
                )]
                Ok(Loose(i64::try_from(value).map_or(Scalar::Float(value as f64), Scalar::Integer)))
            }
            fn visit_f64<E>(self, value: f64) -> std::result::Result<Loose, E> {
                Ok(Loose(Scalar::Float(value)))
            }
            fn visit_str<E>(self, value: &str) -> std::result::Result<Loose, E> {
                Ok(Loose(Scalar::Text(value.to_owned())))
            }
            fn visit_string<E>(self, value: String) -> std::result::Result<Loose, E> {
                Ok(Loose(Scalar::Text(value)))
            }
            fn visit_unit<E>(self) -> std::result::Result<Loose, E> {
                Ok(Loose(Scalar::Null))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Loose, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Loose(Scalar::Compound))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Loose, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Loose(Scalar::Compound))
            }
        }
        deserializer.deserialize_any(LooseVisitor)
    }
}

/// A feature as clients write it, before its layer gives it a meaning.
#[derive(Deserialize)]
pub(super) struct FeatureJson<'a> {
    #[serde(default = "no_attributes")]
    pub(super) attributes: Attributes,
    #[serde(borrow, default)]
    pub(super) geometry: Option<&'a RawValue>,
}

pub(super) fn no_attributes() -> Attributes {
    Attributes(Vec::new())
}

#[derive(Deserialize)]
struct LayerEditsJson<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    #[serde(borrow, default)]
    features: Option<FeatureEditsJson<'a>>,
    #[serde(borrow, default)]
    attachments: Option<AttachmentEditsJson<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct FeatureEditsJson<'a> {
    #[serde(borrow, default)]
    adds: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    updates: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    delete_ids: Option<Json>,
}

/// The edits of an upload.
#[derive(Debug, Default)]
pub(crate) struct SyncEdits {
    /// Those of features, by layer.
    pub(crate) features: Vec<LayerEdits>,
    /// Those of attachments, by layer.
    pub(crate) attachments: Vec<AttachmentEdits>,
}

/// Reads the `edits` parameter of synchronizeReplica. `layer_of` finds a layer of the replica; `default_srid` is the
/// reference of geometries that name none; `sender` says which fields are taken. Attachments are refused one by one unless the replica takes them.
pub(crate) fn parse_sync_edits(
    text: &str,
    default_srid: i32,
    takes_attachments: bool,
    sender: Writes,
    layer_of: impl Fn(LayerId) -> Result<Arc<Layer>>,
) -> Result<SyncEdits> {
    let given: Vec<LayerEditsJson<'_>> = serde_json::from_str(text).map_err(|error| {
        Error::invalid("edits", format!("it is not an array of {{\"id\":…,\"features\":{{\"adds\":[],\"updates\":[],\"deleteIds\":[]}}}}: {error}"))
    })?;
    let mut edits: Vec<LayerEdits> = Vec::with_capacity(given.len());
    let mut attachments: Vec<AttachmentEdits> = Vec::new();
    for element in given {
        let id =
            element.id.get().trim_matches('"').parse().map(LayerId).map_err(|_| {
                Error::invalid("edits", format!("{} is not the id of a layer", brief(element.id.get())))
            })?;
        let layer = layer_of(id)?;
        let given = element.attachments.unwrap_or_default();
        if !given.is_empty() {
            let read = parse_attachment_edits(given, &layer, takes_attachments)?;
            match attachments.iter_mut().find(|known| known.layer.key == read.layer.key) {
                Some(known) => known.edits.extend(read.edits),
                None => attachments.push(read),
            }
        }
        let features = element.features.unwrap_or_default();
        let reader = FeatureReader { layer: &layer, default_srid, writes: sender };
        let mut read = Vec::new();
        for (op, list) in [(Op::Add, features.adds), (Op::Update, features.updates)] {
            for feature in list.into_iter().flatten() {
                read.push(reader.sent("edits", op, feature, None)?);
            }
        }
        read.extend(global_ids(features.delete_ids.as_ref())?.into_iter().map(|id| delete(&id)));
        match edits.iter_mut().find(|known| known.layer.key == layer.key) {
            Some(known) => known.edits.extend(read),
            None => edits.push(LayerEdits { layer, edits: read }),
        }
    }
    Ok(SyncEdits { features: edits, attachments })
}

/// Reads features as another server stores them, to be put here as they are.
pub(crate) fn parse_stored(
    features: &[Box<RawValue>],
    layer: &Layer,
    default_srid: i32,
) -> Vec<std::result::Result<Edit, Refusal>> {
    let reader = FeatureReader { layer, default_srid, writes: Writes::AllFields };
    let read = |feature: &RawValue| match serde_json::from_str::<FeatureJson<'_>>(feature.get()) {
        Ok(feature) => reader.by_global_id(Op::Add, feature, None),
        Err(error) => Err(refusal(Op::Add, None, EditErrorCode::Other, format!("it is not a feature: {error}"))),
    };
    features.iter().map(|feature| read(feature)).collect()
}

/// Global ids as an array, or as a list with commas.
pub(super) fn global_ids(given: Option<&Json>) -> Result<Vec<String>> {
    match given {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::Array(items)) => items
            .iter()
            .map(|item| match item {
                Json::String(id) => Ok(id.clone()),
                other => {
                    Err(Error::invalid("edits", format!("{} is not a global id in quotes", brief(&other.to_string()))))
                }
            })
            .collect(),
        Some(Json::String(list)) => {
            Ok(list.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect())
        }
        Some(other) => Err(Error::invalid(
            "edits",
            format!("deleteIds is {}; an array of global ids belongs there", brief(&other.to_string())),
        )),
    }
}

pub(super) fn delete(id: &str) -> std::result::Result<Edit, Refusal> {
    match GlobalId::parse(id) {
        Some(global_id) => {
            Ok(Edit { op: Op::Delete, global_id, values: Vec::new(), geometry: GeometryEdit::Keep, passed_over: None })
        }
        None => {
            let problem = format!("'{}' is not a global id", brief(id));
            let refusal = refusal(Op::Delete, None, EditErrorCode::GlobalIdEmpty, problem);
            Err(Refusal { sent: Some(json!(id).to_string()), ..refusal })
        }
    }
}

pub(super) fn refusal(op: Op, global_id: Option<GlobalId>, code: EditErrorCode, description: String) -> Refusal {
    Refusal { op, global_id, object_id: None, error: EditError { code, description }, sent: None }
}

/// Reads an edit that was kept, or a correction of it: a feature, or for a delete a feature or just its global id. One that
/// does not say which feature it is about is about `known`.
pub(crate) fn parse_kept(
    name: &'static str,
    text: &str,
    (op, known): (Op, Option<GlobalId>),
    layer: &Layer,
    default_srid: i32,
) -> Result<std::result::Result<Edit, Refusal>> {
    let given: &RawValue = serde_json::from_str(text)
        .map_err(|error| Error::invalid(name, format!("it is not a feature in JSON: {error}")))?;
    match serde_json::from_str::<String>(given.get()) {
        Ok(id) if op == Op::Delete => Ok(delete(&id)),
        _ => FeatureReader { layer, default_srid, writes: Writes::EditableFields }.sent(name, op, given, known),
    }
}

/// Reads features of applyEdits, addFeatures and updateFeatures. Without `use_global_ids` features are named by their
/// object ids, and adds get global ids from `new_id`.
pub(crate) fn parse_features(
    name: &'static str,
    text: &str,
    op: Op,
    layer: &Layer,
    use_global_ids: bool,
    mut new_id: impl FnMut() -> GlobalId,
    out: &mut DirectEdits,
) -> Result<()> {
    let not_features = |error: serde_json::Error| {
        Error::invalid(name, format!("it is not an array of {{\"attributes\":{{…}},\"geometry\":{{…}}}}: {error}"))
    };
    let features: Vec<FeatureJson<'_>> = list_or_one(text).map_err(not_features)?;
    // Read once more, as texts, only if one is refused.
    let mut texts: Option<Vec<&RawValue>> = None;
    let default_srid = layer.shape.as_ref().map_or(4326, |shape| shape.srid);
    let reader = FeatureReader { layer, default_srid, writes: Writes::EditableFields };
    for (index, feature) in features.into_iter().enumerate() {
        let mut keep = |refusal| {
            let texts = texts.get_or_insert_with(|| list_or_one(text).unwrap_or_default());
            Refusal { sent: texts.get(index).map(|given| given.get().to_owned()), ..refusal }
        };
        if use_global_ids {
            out.ready.push(reader.by_global_id(op, feature, None).map_err(keep));
        } else if op == Op::Add {
            out.ready.push(reader.read(op, new_id(), feature).map_err(keep));
        } else {
            let named = feature.attributes.0.iter().find(|(name, _)| {
                name.eq_ignore_ascii_case(&layer.object_id_field().name) || name.eq_ignore_ascii_case("OBJECTID")
            });
            let object_id =
                match named.map(|(_, value)| coerce(value.clone(), crate::model::value::FieldType::BigInteger, None)) {
                    Some(Ok(Value::Integer(id))) => id,
                    _ => {
                        let field = &layer.object_id_field().name;
                        let problem = format!("attribute '{field}' does not say which feature is meant");
                        let refused = refusal(op, None, EditErrorCode::Missing, problem);
                        out.by_object_id.push((None, Err(keep(refused))));
                        continue;
                    }
                };
            // The identity is looked up later.
            let read = reader.read(op, GlobalId(uuid::Uuid::nil()), feature).map_err(keep);
            out.by_object_id.push((Some(object_id), read));
        }
    }
    Ok(())
}

/// A list, or the only one of it.
fn list_or_one<'a, T: Deserialize<'a>>(text: &'a str) -> serde_json::Result<Vec<T>> {
    match text.trim_start().starts_with('{') {
        true => serde_json::from_str(text).map(|one| vec![one]),
        false => serde_json::from_str(text),
    }
}

/// Reads the features that applyEdits or deleteFeatures is to delete: ids with commas or as an array.
pub(crate) fn parse_deletes(name: &'static str, text: &str, use_global_ids: bool, out: &mut DirectEdits) -> Result<()> {
    let bare = text.trim().trim_start_matches('[').trim_end_matches(']');
    for part in bare.split(',').map(|part| part.trim().trim_matches('"')).filter(|part| !part.is_empty()) {
        if use_global_ids {
            out.ready.push(delete(part));
        } else {
            let id =
                part.parse().map_err(|_| Error::invalid(name, format!("'{}' is not an object id", brief(part))))?;
            let edit = Edit {
                op: Op::Delete,
                global_id: GlobalId(uuid::Uuid::nil()),
                values: Vec::new(),
                geometry: GeometryEdit::Keep,
                passed_over: None,
            };
            out.by_object_id.push((Some(id), Ok(edit)));
        }
    }
    Ok(())
}

/// Which fields the sender of edits may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    /// Those that clients may write.
    EditableFields,
    /// All that the database does not compute: another server says who edited its rows, and when.
    AllFields,
}

/// Gives features the meaning that they have in a layer.
pub(super) struct FeatureReader<'a> {
    pub(super) layer: &'a Layer,
    /// The spatial reference of geometries that name none.
    pub(super) default_srid: i32,
    pub(super) writes: Writes,
}

impl FeatureReader<'_> {
    /// Reads a feature of an upload; what is refused is kept as it was sent.
    fn sent(
        &self,
        name: &'static str,
        op: Op,
        feature: &RawValue,
        known: Option<GlobalId>,
    ) -> Result<std::result::Result<Edit, Refusal>> {
        let read = serde_json::from_str(feature.get()).map_err(|error| {
            let given = brief(feature.get());
            Error::invalid(name, format!("'{given}' is not {{\"attributes\":{{…}},\"geometry\":{{…}}}}: {error}"))
        })?;
        let keep = |refusal| Refusal { sent: Some(feature.get().to_owned()), ..refusal };
        Ok(self.by_global_id(op, read, known).map_err(keep))
    }

    /// Reads a feature that says its own global id. One that does not say any is `known`.
    fn by_global_id(
        &self,
        op: Op,
        feature: FeatureJson<'_>,
        known: Option<GlobalId>,
    ) -> std::result::Result<Edit, Refusal> {
        let field = &self.layer.global_id_field().name;
        let named = feature.attributes.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(field));
        let named =
            named.or_else(|| feature.attributes.0.iter().find(|(name, _)| name.eq_ignore_ascii_case("globalid")));
        let global_id = match (named, known) {
            (Some((_, Scalar::Text(text))), _) if !text.trim().is_empty() => {
                GlobalId::parse(text).or(known).ok_or_else(|| {
                    refusal(
                        op,
                        None,
                        EditErrorCode::GlobalIdEmpty,
                        format!("'{}' in attribute '{field}' is not a global id", brief(text)),
                    )
                })?
            }
            (_, Some(known)) => known,
            (Some(_), None) => {
                return Err(refusal(
                    op,
                    None,
                    EditErrorCode::GlobalIdEmpty,
                    format!("attribute '{field}' is empty; every edit names its feature"),
                ));
            }
            (None, None) => {
                return Err(refusal(
                    op,
                    None,
                    EditErrorCode::GlobalIdMissing,
                    format!("attribute '{field}' is missing; every edit names its feature"),
                ));
            }
        };
        self.read(op, global_id, feature)
    }

    /// Reads a feature whose global id is known.
    pub(super) fn read(
        &self,
        op: Op,
        global_id: GlobalId,
        feature: FeatureJson<'_>,
    ) -> std::result::Result<Edit, Refusal> {
        let refused = |code, description| refusal(op, Some(global_id), code, description);
        let mut values: Vec<(usize, Value)> = Vec::with_capacity(feature.attributes.0.len());
        let mut passed_over = Map::new();
        for (name, scalar) in feature.attributes.0 {
            // Unknown fields are passed over, as other servers do, and noted; keys and computed fields belong to the server. A field that clients
            // do not see is an unknown one, and keeps its value.
            let index = match self.layer.field_index(&name) {
                Some(index) if self.may_write(index) => index,
                Some(index) if self.layer.is_visible(index) => continue,
                _ => {
                    if let Some(value) = worth_a_note(&name, scalar) {
                        passed_over.insert(name, value);
                    }
                    continue;
                }
            };
            let field = &self.layer.fields[index];
            let value = coerce(scalar, field.field_type, field.length).map_err(|problem| {
                refused(EditErrorCode::Value, format!("Setting of Value for {} failed: {problem}", field.name))
            })?;
            if value == Value::Null && !self.layer.is_nullable(index) {
                return Err(refused(EditErrorCode::NotNullable, format!("field '{}' needs a value", field.name)));
            }
            values.push((index, value));
        }
        values.sort_by_key(|(index, _)| *index);
        // Of a name that came twice, the last counts.
        values.reverse();
        values.dedup_by_key(|(index, _)| *index);
        values.reverse();
        self.layer.rules.check(self.layer, &values).map_err(|problem| refused(EditErrorCode::Value, problem))?;
        if op == Op::Add {
            self.check_complete(&values).map_err(|description| refused(EditErrorCode::NotNullable, description))?;
        }
        let geometry = self.geometry(feature.geometry).map_err(|(code, description)| refused(code, description))?;
        let passed_over = (!passed_over.is_empty()).then(|| Json::Object(passed_over).to_string());
        Ok(Edit { op, global_id, values, geometry, passed_over })
    }

    fn may_write(&self, index: usize) -> bool {
        match self.writes {
            Writes::EditableFields => self.layer.is_editable(index) && self.layer.is_visible(index),
            Writes::AllFields => self.layer.is_writable(index),
        }
    }

    /// A new feature must name every field that needs a value and that nobody fills in.
    fn check_complete(&self, values: &[(usize, Value)]) -> std::result::Result<(), String> {
        for (index, field) in self.layer.fields.iter().enumerate() {
            let needed = !self.layer.is_nullable(index)
                && !field.has_default
                && self.layer.is_editable(index)
                && self.may_write(index);
            if needed && !values.iter().any(|(named, _)| *named == index) {
                return Err(format!("field '{}' needs a value", field.name));
            }
        }
        Ok(())
    }

    fn geometry(&self, given: Option<&RawValue>) -> std::result::Result<GeometryEdit, (EditErrorCode, String)> {
        let Some(shape) = &self.layer.shape else { return Ok(GeometryEdit::Keep) };
        // An explicit null is how clients of tables say nothing. A server sends rows whole: without a geometry, a row has none.
        let Some(given) = given.filter(|given| given.get() != "null") else {
            return Ok(match self.writes {
                Writes::EditableFields => GeometryEdit::Keep,
                Writes::AllFields => GeometryEdit::Clear,
            });
        };
        let wrong = |problem: String| (EditErrorCode::Geometry, problem);
        match parse_for(given.get(), self.default_srid, self.layer.dimensions()) {
            Ok(Parsed::Empty) => Ok(GeometryEdit::Clear),
            Ok(Parsed::Geometry(geometry)) => {
                if geometry.geometry_type() != shape.geometry_type {
                    return Err(wrong(format!(
                        "the geometry is a {}, and layer '{}' holds {}s",
                        geometry.geometry_type().name(),
                        self.layer.name,
                        shape.geometry_type.name()
                    )));
                }
                geometry.to_ewkb(shape.target()).map_err(|problem| wrong(format!("the geometry has {problem}")))?;
                Ok(GeometryEdit::Set(geometry))
            }
            Err(Refused::Curve) => Err((
                EditErrorCode::TrueCurve,
                "the geometry has curves, which cannot be stored; send it densified".to_owned(),
            )),
            Err(Refused::Invalid(problem)) => Err(wrong(format!("the geometry cannot be read: {problem}"))),
        }
    }
}

/// The value of an attribute that the layer does not have; `None` if it is empty, or one of those that every client sends
/// along and no server stores.
fn worth_a_note(name: &str, value: Scalar) -> Option<Json> {
    let sent_along = ["objectid", "globalid", "fid", "oid"].iter().any(|known| name.eq_ignore_ascii_case(known))
        || name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("shape"));
    match value {
        _ if sent_along => None,
        Scalar::Null => None,
        Scalar::Bool(value) => Some(value.into()),
        Scalar::Integer(value) => Some(value.into()),
        Scalar::Float(value) => Some(value.into()),
        Scalar::Text(value) => Some(value.into()),
        Scalar::Compound => Some("(not a single value)".into()),
    }
}

/// The result object of one edit.
pub(crate) fn result_json(result: &EditResult) -> Json {
    let mut shown = json!({});
    if let Some(members) = shown.as_object_mut() {
        if let Some(object_id) = result.object_id {
            members.insert("objectId".to_owned(), object_id.into());
        }
        if let Some(global_id) = result.global_id {
            members.insert("globalId".to_owned(), global_id.to_string().into());
        }
        members.insert("success".to_owned(), result.error.is_none().into());
        if let Some(error) = &result.error {
            members.insert("error".to_owned(), json!({"code": error.code.number(), "description": error.description}));
        }
    }
    shown
}

/// The results of one kind of edit, in their order.
pub(crate) fn results_json(results: &[EditResult], op: Op, wanted: impl Fn(&EditResult) -> bool) -> Json {
    results.iter().filter(|result| result.op == op && wanted(result)).map(result_json).collect()
}

/// The layer of a service with this id.
pub(crate) fn layer_of(service: &Service, parameter: &'static str, id: LayerId) -> Result<Arc<Layer>> {
    service.layer(id).cloned().ok_or_else(|| {
        let known: Vec<String> = service.layers.iter().map(|layer| layer.id.to_string()).collect();
        Error::invalid(
            parameter,
            format!("service {} has no layer or table {id}; it has {}", service.name, known.join(", ")),
        )
    })
}
