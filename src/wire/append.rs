//! The parameters of append, and the formats that it reads: Esri JSON, GeoJSON, CSV.
//!
//! API reference: *Append (Feature Service/Layer)*. The source is an upload of this service (`appendUploadId`) or comes with
//! the request (`edits`); it is read into memory, and therefore no larger than a request may be.
//!
//! CSV: the first line names the columns; an empty cell is null; points come in two columns, `longitude` and `latitude` or
//! what `appendSourceInfo` says, in WGS 84 unless `appendSourceInfo.sourceSR` names another reference.

use serde::Deserialize;
use serde_json::{Map, Value as Json, json, value::RawValue};

use crate::{
    error::{Error, Result},
    model::{
        edit::{Edit, FailurePolicy, GeometryEdit, Op, Refusal},
        geometry::GeometryType,
        id::GlobalId,
        layer::Layer,
        value::{FieldType, Scalar, Value, brief, coerce},
    },
};

use super::{
    apply_edits::policy,
    edits::{Attributes, FeatureJson, FeatureReader, Writes, no_attributes},
    geometry::parse_spatial_reference,
    params::Params,
};

/// The most features of one request.
const MAX_FEATURES: usize = 1_000_000;

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

#[derive(Clone, Debug)]
enum SourceFormat {
    EsriJson,
    GeoJson,
    Csv { delimiter: u8, quote: u8, x: Option<String>, y: Option<String>, srid: i32 },
}

/// Features of a source, apart from how it writes them.
pub(crate) struct SourceFeatures {
    features: Vec<SourceFeature>,
    /// The spatial reference of their geometries.
    srid: i32,
    use_global_ids: bool,
}

struct SourceFeature {
    attributes: Vec<(String, Scalar)>,
    geometry: Option<Box<RawValue>>,
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

    /// Reads the source, which is `text`.
    pub(crate) fn read(&self, text: &str, layer: &Layer) -> Result<SourceFeatures> {
        let name = if self.upload.is_some() { "appendUploadId" } else { "edits" };
        let (mut features, srid) = match &self.format {
            SourceFormat::EsriJson => esri_json(name, text, layer)?,
            SourceFormat::GeoJson => (geo_json(name, text)?, 4326),
            SourceFormat::Csv { delimiter, quote, x, y, srid } => {
                (csv(name, text, layer, *delimiter, *quote, [x.as_deref(), y.as_deref()])?, *srid)
            }
        };
        if features.len() > MAX_FEATURES {
            return Err(Error::invalid(
                name,
                format!("it has {} features, and {MAX_FEATURES} are taken at a time", features.len()),
            ));
        }
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
        Ok(SourceFeatures { features, srid, use_global_ids: self.use_global_ids })
    }
}

impl SourceFormat {
    fn parse(params: &Params) -> Result<SourceFormat> {
        let name =
            params.get(&["appendUploadFormat", "uploadFormat", "editsUploadFormat"]).unwrap_or("featureCollection");
        let info: Map<String, Json> = params.json("appendSourceInfo")?.unwrap_or_default();
        let text = |wanted: &str| info.get(wanted).and_then(Json::as_str);
        match name.trim_matches('"').to_ascii_lowercase().as_str() {
            "json" | "featurecollection" | "esrijson" => Ok(SourceFormat::EsriJson),
            "geojson" => Ok(SourceFormat::GeoJson),
            "csv" => {
                let byte = |wanted: &str, default: u8| match text(wanted) {
                    None | Some("") => Ok(default),
                    Some(text) if text.len() == 1 => Ok(text.as_bytes().first().copied().unwrap_or(default)),
                    Some(text) => Err(Error::invalid(
                        "appendSourceInfo",
                        format!("{wanted} '{}' is not one character", brief(text)),
                    )),
                };
                let srid = match info.get("sourceSR").filter(|reference| !reference.is_null()) {
                    Some(reference) => parse_spatial_reference("appendSourceInfo", &reference.to_string())?,
                    None => None,
                };
                Ok(SourceFormat::Csv {
                    delimiter: byte("columnDelimiter", b',')?,
                    quote: byte("qualifier", b'"')?,
                    x: text("longitudeFieldName").map(str::to_owned),
                    y: text("latitudeFieldName").map(str::to_owned),
                    srid: srid.unwrap_or(4326),
                })
            }
            other => Err(Error::invalid(
                "appendUploadFormat",
                format!("'{}' is not read; the formats are featureCollection (json), geojson and csv", brief(other)),
            )),
        }
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

    /// Whether features keep the global ids that they come with.
    pub(crate) fn use_global_ids(&self) -> bool {
        self.use_global_ids
    }
}

impl SourceFeature {
    /// It as an Esri feature whose geometry says its spatial reference.
    fn json(&self, srid: i32) -> String {
        let attributes: Map<String, Json> =
            self.attributes.iter().map(|(name, value)| (name.clone(), scalar_json(value))).collect();
        let mut feature = json!({"attributes": attributes});
        if let Some(given) = &self.geometry {
            let mut geometry = serde_json::from_str(given.get()).unwrap_or(Json::Null);
            if let Json::Object(members) = &mut geometry {
                members.entry("spatialReference").or_insert_with(|| json!({"wkid": srid}));
            }
            feature["geometry"] = geometry;
        }
        feature.to_string()
    }
}

fn scalar_json(value: &Scalar) -> Json {
    match value {
        Scalar::Null => Json::Null,
        Scalar::Bool(value) => (*value).into(),
        Scalar::Integer(value) => (*value).into(),
        Scalar::Float(value) => (*value).into(),
        Scalar::Text(value) => value.clone().into(),
        Scalar::Compound => "(not a single value)".into(),
    }
}

#[derive(Deserialize)]
struct CollectionJson<'a> {
    #[serde(borrow)]
    layers: Vec<CollectionLayerJson<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CollectionLayerJson<'a> {
    #[serde(borrow)]
    feature_set: FeatureSetJson<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeatureSetJson<'a> {
    #[serde(borrow)]
    features: Vec<FeatureJson<'a>>,
    #[serde(default)]
    spatial_reference: Option<Json>,
}

/// A feature collection with one layer, a feature set, or an array of features.
fn esri_json(name: &'static str, text: &str, layer: &Layer) -> Result<(Vec<SourceFeature>, i32)> {
    let own_srid = layer.shape.as_ref().map_or(4326, |shape| shape.srid);
    let set = if text.trim_start().starts_with('[') {
        FeatureSetJson { features: super::params::json_borrowed(name, text)?, spatial_reference: None }
    } else if let Ok(CollectionJson { mut layers }) = serde_json::from_str::<CollectionJson<'_>>(text) {
        match (layers.pop(), layers.is_empty()) {
            (Some(only), true) => only.feature_set,
            _ => {
                return Err(Error::invalid(
                    name,
                    "the feature collection has to have one layer; append its layers one by one",
                ));
            }
        }
    } else {
        super::params::json_borrowed(name, text)?
    };
    let srid = match set.spatial_reference.filter(|reference| !reference.is_null()) {
        Some(reference) => parse_spatial_reference(name, &reference.to_string())?,
        None => None,
    };
    let features = set.features.into_iter().map(|feature| SourceFeature {
        attributes: feature.attributes.0,
        geometry: feature.geometry.map(RawValue::to_owned),
    });
    Ok((features.collect(), srid.unwrap_or(own_srid)))
}

#[derive(Deserialize)]
struct GeoCollection<'a> {
    #[serde(borrow)]
    features: Vec<GeoFeature<'a>>,
}

#[derive(Deserialize)]
struct GeoFeature<'a> {
    #[serde(default = "no_attributes")]
    properties: Attributes,
    #[serde(borrow, default)]
    geometry: Option<GeoGeometry<'a>>,
}

#[derive(Deserialize)]
struct GeoGeometry<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow, default)]
    coordinates: Option<&'a RawValue>,
}

/// A GeoJSON feature collection, whose coordinates are in WGS 84.
fn geo_json(name: &'static str, text: &str) -> Result<Vec<SourceFeature>> {
    let set: GeoCollection<'_> = super::params::json_borrowed(name, text)?;
    let mut features = Vec::with_capacity(set.features.len());
    for (index, feature) in set.features.into_iter().enumerate() {
        let geometry = match feature.geometry {
            None => None,
            Some(geometry) => Some(esri_geometry(&geometry).ok_or_else(|| {
                Error::invalid(
                    name,
                    format!("the geometry of feature {}, a '{}', cannot be read", index + 1, brief(&geometry.kind)),
                )
            })?),
        };
        features.push(SourceFeature { attributes: feature.properties.0, geometry });
    }
    Ok(features)
}

/// The same geometry as Esri JSON.
fn esri_geometry(given: &GeoGeometry<'_>) -> Option<Box<RawValue>> {
    let coordinates = given.coordinates?.get();
    let text = match given.kind.as_str() {
        "Point" => {
            let ordinates: Vec<f64> = serde_json::from_str(coordinates).ok()?;
            match *ordinates.as_slice() {
                [] => "{\"x\":null,\"y\":null}".to_owned(),
                [x, y] => format!("{{\"x\":{x},\"y\":{y}}}"),
                [x, y, z, ..] => format!("{{\"x\":{x},\"y\":{y},\"z\":{z}}}"),
                _ => return None,
            }
        }
        "MultiPoint" => format!("{{\"points\":{coordinates}}}"),
        "LineString" => format!("{{\"paths\":[{coordinates}]}}"),
        "MultiLineString" => format!("{{\"paths\":{coordinates}}}"),
        "Polygon" => format!("{{\"rings\":{coordinates}}}"),
        "MultiPolygon" => {
            let polygons: Vec<Vec<&RawValue>> = serde_json::from_str(coordinates).ok()?;
            let rings: Vec<&str> = polygons.iter().flatten().map(|ring| ring.get()).collect();
            format!("{{\"rings\":[{}]}}", rings.join(","))
        }
        _ => return None,
    };
    RawValue::from_string(text).ok()
}

/// Pairs of columns that hold the coordinates of points, unless the request names them.
const COORDINATES: [[&str; 2]; 5] =
    [["longitude", "latitude"], ["lon", "lat"], ["long", "lat"], ["x", "y"], ["point_x", "point_y"]];

fn csv(
    name: &'static str,
    text: &str,
    layer: &Layer,
    delimiter: u8,
    quote: u8,
    named: [Option<&str>; 2],
) -> Result<Vec<SourceFeature>> {
    let unreadable = |error: csv::Error| Error::invalid(name, format!("it is not CSV that can be read: {error}"));
    // Spreadsheets put a mark at the beginning.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).quote(quote).from_reader(text.as_bytes());
    let columns: Vec<String> =
        reader.headers().map_err(unreadable)?.iter().map(|name| name.trim().to_owned()).collect();
    let place = |name: &str| columns.iter().position(|column| column.eq_ignore_ascii_case(name));
    let points = match layer.shape.as_ref().map(|shape| shape.geometry_type) {
        None => None,
        Some(GeometryType::Point) => {
            let pair = match named {
                [Some(x), Some(y)] => place(x).zip(place(y)),
                _ => COORDINATES.iter().find_map(|[x, y]| place(x).zip(place(y))),
            };
            Some(pair.ok_or_else(|| {
                Error::invalid(
                    name,
                    "it has no columns for the coordinates of points; call them longitude and latitude, or name them in appendSourceInfo (longitudeFieldName, latitudeFieldName)",
                )
            })?)
        }
        Some(other) => {
            return Err(Error::invalid(
                "appendUploadFormat",
                format!(
                    "layer {} holds {}s, which CSV cannot have; use geojson or featureCollection",
                    layer.id,
                    other.name()
                ),
            ));
        }
    };
    let mut features = Vec::new();
    for row in reader.records() {
        let row = row.map_err(unreadable)?;
        let cell = |place: usize| row.get(place).map(str::trim).filter(|text| !text.is_empty());
        let geometry = match points {
            Some((x, y)) => match (cell(x), cell(y)) {
                (None, None) => None,
                (x, y) => Some(point(x, y).ok_or_else(|| {
                    Error::invalid(name, format!("row {} has coordinates that are no numbers", features.len() + 2))
                })?),
            },
            None => None,
        };
        let attributes = columns.iter().zip(&row).map(|(column, text)| {
            let value = if text.is_empty() { Scalar::Null } else { Scalar::Text(text.to_owned()) };
            (column.clone(), value)
        });
        features.push(SourceFeature { attributes: attributes.collect(), geometry });
        if features.len() > MAX_FEATURES {
            break;
        }
    }
    Ok(features)
}

fn point(x: Option<&str>, y: Option<&str>) -> Option<Box<RawValue>> {
    let number = |text: Option<&str>| text?.parse::<f64>().ok().filter(|number| number.is_finite());
    RawValue::from_string(format!("{{\"x\":{},\"y\":{}}}", number(x)?, number(y)?)).ok()
}
