//! The parameters of append, and what the features of its source stand for.
//!
//! API reference: *Append (Feature Service/Layer)*. The source is an upload of this service (`appendUploadId`) or comes with
//! the request (`edits`). It is read feature by feature ([`super::append_source`]).

use serde_json::{Map, Value as Json};

use crate::{
    error::{Error, Result},
    model::{
        edit::{Edit, FailurePolicy, GeometryEdit, Op, Refusal},
        id::GlobalId,
        layer::Layer,
        value::{FieldType, Scalar, Value, brief, coerce},
    },
};

use super::{
    append_source::{Reading, SourceFeature, SourceFormat},
    apply_edits::policy,
    edits::{Attributes, FeatureJson, FeatureReader, Writes},
    params::Params,
};

/// Features to be put into a layer.
#[derive(Debug)]
pub(crate) struct AppendRequest {
    /// The upload that has them; `None` if they came with the request.
    pub(crate) upload: Option<String>,
    format: SourceFormat,
    /// Names in the source, and the fields that they mean.
    renamed: Vec<(String, String)>,
    /// The only fields that are taken; all of them if `None`.
    taken: Option<Vec<usize>>,
    /// By what a feature is known to be there already; `None`: each is a new one.
    pub(crate) upsert: Option<Upsert>,
    /// What happens to the others when one is refused.
    pub(crate) policy: FailurePolicy,
    /// Whether new features keep the global ids that they come with.
    use_global_ids: bool,
    /// Whether the answer is wanted at once instead of a job.
    pub(crate) at_once: bool,
}

/// How features are known to be there already, and what is done then.
#[derive(Clone, Debug)]
pub(crate) struct Upsert {
    /// The field whose value is compared.
    pub(crate) field: usize,
    /// Those that are there are left alone.
    pub(crate) skip_updates: bool,
    /// Those that are not there are passed over.
    pub(crate) skip_inserts: bool,
    /// Geometries of those that are there are replaced.
    pub(crate) update_geometry: bool,
}

/// Some features of a source, apart from how it writes them.
pub(crate) struct SourceFeatures {
    features: Vec<SourceFeature>,
    /// The spatial reference of their geometries.
    srid: i32,
    use_global_ids: bool,
}

impl AppendRequest {
    /// Reads the parameters.
    pub(crate) fn parse(params: &Params, layer: &Layer) -> Result<AppendRequest> {
        super::apply_edits::refuse_unsupported(params)?;
        for (name, instead) in [
            ("appendItemId", "upload the file, and give its appendUploadId"),
            ("layerMappings", "append to each layer by itself"),
        ] {
            if params.text(name).is_some_and(|text| !matches!(text, "null" | "[]")) {
                return Err(Error::NotSupported(format!("parameter '{name}' is not supported; {instead}")));
            }
        }
        let upload = params.get(&["appendUploadId", "editsUploadId"]).map(str::to_owned);
        match (&upload, params.text("edits")) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid("edits", "it and appendUploadId exclude each other; send one of them"));
            }
            (None, None) => {
                return Err(Error::invalid(
                    "appendUploadId",
                    "it is missing; it names the upload that has the features",
                ));
            }
            _ => {}
        }
        let use_global_ids = params.flag(&["useGlobalIds"], false)?;
        Ok(AppendRequest {
            format: SourceFormat::parse(params)?,
            upload,
            renamed: field_mappings(params, layer)?,
            taken: append_fields(params, layer)?,
            upsert: upsert(params, layer, use_global_ids)?,
            policy: policy(params)?,
            use_global_ids,
            at_once: !params.flag(&["async"], true)?,
        })
    }

    /// How the source is to be read: `max_feature_bytes` is the most that is held of it at a time.
    pub(crate) fn reading<'a>(&'a self, layer: &'a Layer, max_feature_bytes: usize) -> Reading<'a> {
        let name = if self.upload.is_some() { "appendUploadId" } else { "edits" };
        Reading { name, layer, format: &self.format, max_feature_bytes }
    }

    /// Features that were read, as the request wants them.
    pub(crate) fn features(&self, mut features: Vec<SourceFeature>, srid: i32, layer: &Layer) -> SourceFeatures {
        for (name, _) in features.iter_mut().flat_map(|feature| &mut feature.attributes) {
            if let Some((_, target)) = self.renamed.iter().find(|(source, _)| source.eq_ignore_ascii_case(name)) {
                name.clone_from(target);
            }
        }
        if let Some(taken) = &self.taken {
            // What tells features apart is needed, whether it is to be stored or not.
            let key = self.upsert.as_ref().map(|upsert| upsert.field);
            let is_taken = |index: usize| taken.contains(&index) || Some(index) == key || index == layer.global_id;
            for feature in &mut features {
                feature.attributes.retain(|(name, _)| layer.field_index(name).is_some_and(is_taken));
            }
        }
        SourceFeatures { features, srid, use_global_ids: self.use_global_ids }
    }

    /// Whether new features keep the global ids that they come with.
    pub(crate) fn use_global_ids(&self) -> bool {
        self.use_global_ids
    }
}

fn field_mappings(params: &Params, layer: &Layer) -> Result<Vec<(String, String)>> {
    let given: Vec<Map<String, Json>> = params.json("fieldMappings")?.unwrap_or_default();
    let mut renamed = Vec::with_capacity(given.len());
    for element in &given {
        let member = |names: [&str; 2]| names.iter().find_map(|name| element.get(*name)).and_then(Json::as_str);
        let (Some(target), Some(source)) = (member(["name", "target"]), member(["sourceName", "source"])) else {
            return Err(Error::invalid(
                "fieldMappings",
                "[{\"name\":\"field of the layer\",\"sourceName\":\"column\"}] belongs there",
            ));
        };
        field_named("fieldMappings", target, layer)?;
        renamed.push((source.to_owned(), target.to_owned()));
    }
    Ok(renamed)
}

/// Reads `appendFields`: names in an array, or with commas.
fn append_fields(params: &Params, layer: &Layer) -> Result<Option<Vec<usize>>> {
    let Some(text) = params.text("appendFields").filter(|text| !matches!(*text, "null" | "[]" | "*")) else {
        return Ok(None);
    };
    let names: Vec<String> = match text.starts_with('[') {
        true => super::params::json("appendFields", text)?,
        false => text.split(',').map(|name| name.trim().to_owned()).collect(),
    };
    names.iter().map(|name| field_named("appendFields", name, layer)).collect::<Result<Vec<_>>>().map(Some)
}

fn field_named(name: &'static str, field: &str, layer: &Layer) -> Result<usize> {
    layer
        .visible_field(field)
        .ok_or_else(|| Error::invalid(name, format!("there is no field '{}' in layer {}", brief(field), layer.id)))
}

fn upsert(params: &Params, layer: &Layer, use_global_ids: bool) -> Result<Option<Upsert>> {
    if !params.flag(&["upsert"], false)? {
        return Ok(None);
    }
    let field = match params.text("upsertMatchingField") {
        Some(name) => field_named("upsertMatchingField", name, layer)?,
        None if use_global_ids => layer.global_id,
        None => layer.object_id,
    };
    if !matches!(
        layer.fields[field].field_type,
        FieldType::Text
            | FieldType::Guid
            | FieldType::GlobalId
            | FieldType::ObjectId
            | FieldType::SmallInteger
            | FieldType::Integer
            | FieldType::BigInteger
    ) {
        return Err(Error::invalid(
            "upsertMatchingField",
            format!(
                "features cannot be known by field '{}'; it has to hold texts, whole numbers or GUIDs",
                layer.fields[field].name
            ),
        ));
    }
    Ok(Some(Upsert {
        field,
        skip_updates: params.flag(&["skipUpdates"], false)?,
        skip_inserts: params.flag(&["skipInserts"], false)?,
        update_geometry: params.flag(&["updateGeometry"], true)?,
    }))
}

impl SourceFeatures {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.features.len()
    }

    /// The value by which each is known, if it has one.
    pub(crate) fn keys(&self, layer: &Layer, field: usize) -> Vec<Option<Value>> {
        let known = &layer.fields[field];
        let key = |feature: &SourceFeature| {
            let (_, given) = feature.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(&known.name))?;
            coerce(given.clone(), known.field_type, known.length).ok().filter(|value| *value != Value::Null)
        };
        self.features.iter().map(key).collect()
    }

    /// The edit that a feature stands for. `known` is the feature of the layer that it changes; otherwise it is a new one.
    pub(crate) fn edit(
        &self,
        index: usize,
        layer: &Layer,
        known: Option<GlobalId>,
        with_geometry: bool,
        new_id: GlobalId,
    ) -> Option<std::result::Result<Edit, Refusal>> {
        let feature = self.features.get(index)?;
        let own = || {
            let name = &layer.global_id_field().name;
            let (_, given) = feature.attributes.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
            if let Scalar::Text(text) = given { GlobalId::parse(text) } else { None }
        };
        let op = if known.is_some() { Op::Update } else { Op::Add };
        let id = known.or_else(|| own().filter(|_| self.use_global_ids)).unwrap_or(new_id);
        let json =
            FeatureJson { attributes: Attributes(feature.attributes.clone()), geometry: feature.geometry.as_deref() };
        let reader = FeatureReader { layer, default_srid: self.srid, writes: Writes::EditableFields };
        let keep = |edit: Edit| if with_geometry { edit } else { Edit { geometry: GeometryEdit::Keep, ..edit } };
        let refuse = |refusal| Refusal { sent: Some(feature.json(self.srid)), ..refusal };
        Some(reader.read(op, id, json).map(keep).map_err(refuse))
    }

    /// A feature as it came, to be kept.
    pub(crate) fn sent(&self, index: usize) -> Option<String> {
        Some(self.features.get(index)?.json(self.srid))
    }
}
