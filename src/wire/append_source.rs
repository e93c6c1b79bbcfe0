//! The features of an append: out of Esri JSON, GeoJSON or CSV, one after the other, so that a file may be of any size.
//!
//! CSV: the first line names the columns; an empty cell is null; points come in two columns, `longitude` and `latitude` or
//! what `appendSourceInfo` says, in WGS 84 unless `appendSourceInfo.sourceSR` names another reference.

use std::{
    cell::Cell,
    fmt,
    io::{self, BufRead as _, BufReader, Read},
    rc::Rc,
};

use serde::{
    Deserialize,
    de::{Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value as Json, json, value::RawValue};

use crate::{
    error::{Error, Result},
    model::{
        geometry::GeometryType,
        layer::Layer,
        value::{Scalar, brief},
    },
};

use super::{
    edits::{Attributes, FeatureJson, no_attributes},
    geometry::parse_spatial_reference,
    params::Params,
    stream::{Items, Members, Object, Objects},
};

/// The most features of one request.
const MAX_FEATURES: usize = 1_000_000;

/// How much of the source is read at a time.
const CHUNK_BYTES: usize = 1 << 18;

/// How a source writes its features.
#[derive(Clone, Debug)]
pub(super) enum SourceFormat {
    EsriJson,
    GeoJson,
    Csv { delimiter: u8, quote: u8, x: Option<String>, y: Option<String>, srid: i32 },
}

/// A feature of a source.
pub(crate) struct SourceFeature {
    /// Its fields, by the names that the source has for them.
    pub(super) attributes: Vec<(String, Scalar)>,
    /// Its geometry, as Esri JSON.
    pub(super) geometry: Option<Box<RawValue>>,
}

/// How a source is read. Errors are told of the parameter `name`.
pub(crate) struct Reading<'a> {
    pub(super) name: &'static str,
    pub(super) layer: &'a Layer,
    pub(super) format: &'a SourceFormat,
    pub(super) max_feature_bytes: usize,
}

/// What takes features, with the number of bytes that each has in the source. False if no more are wanted.
pub(crate) type Sink<'a> = dyn FnMut(SourceFeature, usize) -> bool + 'a;

impl Reading<'_> {
    /// The spatial reference of the geometries, which may be told after the features.
    pub(crate) fn srid(&self, input: impl Read) -> Result<i32> {
        match self.format {
            SourceFormat::GeoJson => Ok(4326),
            SourceFormat::Csv { srid, .. } => Ok(*srid),
            SourceFormat::EsriJson => {
                let set = self.collection(input, &mut |_| true)?;
                let known = match set.reference.filter(|reference| !reference.is_null()) {
                    Some(reference) => parse_spatial_reference(self.name, &reference.to_string())?,
                    None => None,
                };
                Ok(known.unwrap_or_else(|| self.layer.shape.as_ref().map_or(4326, |shape| shape.srid)))
            }
        }
    }

    /// Gives out the features one by one, from the first to the last.
    pub(crate) fn each(&self, input: impl Read, take: &mut Sink<'_>) -> Result<()> {
        let mut n_features = 0;
        let mut count =
            || {
                n_features += 1;
                match n_features <= MAX_FEATURES {
                    true => Ok(n_features),
                    false => Err(self
                        .wrong(format!("it has more than {MAX_FEATURES} features, which is what is taken at a time"))),
                }
            };
        if let SourceFormat::Csv { delimiter, quote, x, y, .. } = self.format {
            let points = [x.as_deref(), y.as_deref()];
            return self.rows(input, (*delimiter, *quote), points, &mut |feature, n_bytes| {
                count().map(|_| take(feature, n_bytes))
            });
        }
        let mut problem = None;
        let mut is_enough = false;
        let read = self.collection(input, &mut |item| {
            match count().and_then(|number| self.feature(number, &item)) {
                Ok(feature) => is_enough = !take(feature, item.get().len()),
                Err(error) => problem = Some(error),
            }
            !is_enough && problem.is_none()
        });
        match problem {
            Some(error) => Err(error),
            None if is_enough => Ok(()),
            None => read.map(|_| ()),
        }
    }

    /// Reads a feature of a document.
    fn feature(&self, number: usize, item: &RawValue) -> Result<SourceFeature> {
        let wrong = |error: serde_json::Error| self.wrong(format!("feature {number} cannot be read: {error}"));
        if matches!(self.format, SourceFormat::EsriJson) {
            let FeatureJson { attributes, geometry } = serde_json::from_str(item.get()).map_err(wrong)?;
            return Ok(SourceFeature { attributes: attributes.0, geometry: geometry.map(RawValue::to_owned) });
        }
        let GeoFeature { properties, geometry } = serde_json::from_str(item.get()).map_err(wrong)?;
        let geometry = match geometry {
            None => None,
            Some(geometry) => Some(esri_geometry(&geometry).ok_or_else(|| {
                self.wrong(format!("the geometry of feature {number}, a '{}', cannot be read", brief(&geometry.kind)))
            })?),
        };
        Ok(SourceFeature { attributes: properties.0, geometry })
    }

    /// Reads a document: a feature collection with one layer, a feature set (GeoJSON has it under the same names), or an array of features.
    fn collection(&self, input: impl Read, take: &mut dyn FnMut(Box<RawValue>) -> bool) -> Result<Collected> {
        let (input, budget) = self.bounded(input)?;
        let mut take = |item| {
            budget.set(self.max_feature_bytes);
            take(item)
        };
        let mut collection = Collection { take: &mut take, collected: Collected::default() };
        let mut document = serde_json::Deserializer::from_reader(input);
        let read = document.deserialize_any(Document(&mut collection)).and_then(|()| document.end());
        read.map_err(|error| self.wrong(format!("it is no document with features that can be read: {error}")))?;
        match collection.collected {
            collected @ Collected { n_lists: 1, .. } => Ok(collected),
            Collected { has_layers: false, .. } => Err(self.wrong("it has to have one array of features".to_owned())),
            _ => {
                Err(self.wrong("the feature collection has to have one layer; append its layers one by one".to_owned()))
            }
        }
    }

    /// Reads the rows of a table.
    fn rows(
        &self,
        input: impl Read,
        (delimiter, quote): (u8, u8),
        named: [Option<&str>; 2],
        take: &mut dyn FnMut(SourceFeature, usize) -> Result<bool>,
    ) -> Result<()> {
        let (layer, name) = (self.layer, self.name);
        let unreadable = |error: csv::Error| self.wrong(format!("it is not CSV that can be read: {error}"));
        let (input, budget) = self.bounded(input)?;
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).quote(quote).from_reader(input);
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
        for (number, row) in reader.records().enumerate() {
            let row = row.map_err(unreadable)?;
            budget.set(self.max_feature_bytes);
            let cell = |place: usize| row.get(place).map(str::trim).filter(|text| !text.is_empty());
            let geometry = match points {
                Some((x, y)) => match (cell(x), cell(y)) {
                    (None, None) => None,
                    (x, y) => Some(point(x, y).ok_or_else(|| {
                        self.wrong(format!("row {} has coordinates that are no numbers", number + 2))
                    })?),
                },
                None => None,
            };
            let attributes = columns.iter().zip(&row).map(|(column, text)| {
                let value = if text.is_empty() { Scalar::Null } else { Scalar::Text(text.to_owned()) };
                (column.clone(), value)
            });
            if !take(SourceFeature { attributes: attributes.collect(), geometry }, row.as_slice().len())? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The source, of which no more than a feature may have is read until somebody says that one has been read.
    fn bounded<'i>(&self, input: impl Read + 'i) -> Result<(BufReader<Bounded<impl Read + 'i>>, Rc<Cell<usize>>)> {
        let budget = Rc::new(Cell::new(self.max_feature_bytes));
        let bounded = Bounded { input, left: Rc::clone(&budget), limit: self.max_feature_bytes };
        let mut input = BufReader::with_capacity(CHUNK_BYTES, bounded);
        let start = input.fill_buf().map_err(|error| Error::internal("reading an upload", error))?;
        // Spreadsheets put a mark at the beginning.
        let mark = if start.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        input.consume(mark);
        Ok((input, budget))
    }

    fn wrong(&self, problem: String) -> Error {
        Error::invalid(self.name, problem)
    }
}

/// A source while it is read.
struct Bounded<R> {
    input: R,
    /// How many bytes may still be read.
    left: Rc<Cell<usize>>,
    limit: usize,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 {
            return Err(io::Error::other(format!("one feature has more than {} bytes", self.limit)));
        }
        let n_wanted = buffer.len().min(left);
        let n_read = self.input.read(buffer.get_mut(..n_wanted).unwrap_or_default())?;
        self.left.set(left - n_read);
        Ok(n_read)
    }
}

impl SourceFormat {
    /// Reads the parameters that say it.
    pub(super) fn parse(params: &Params) -> Result<SourceFormat> {
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

impl SourceFeature {
    /// It as an Esri feature whose geometry says its spatial reference.
    pub(super) fn json(&self, srid: i32) -> String {
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

/// The document: an array of features, or an object that has it.
struct Document<'a, 'b>(&'a mut Collection<'b>);

/// What gathers features out of an object and of those within it.
struct Collection<'a> {
    take: &'a mut dyn FnMut(Box<RawValue>) -> bool,
    collected: Collected,
}

/// What a document says beside its features.
#[derive(Default)]
struct Collected {
    reference: Option<Json>,
    /// How many arrays of features it has.
    n_lists: usize,
    /// Whether it is a collection of layers.
    has_layers: bool,
}

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of features, or an object with features")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> std::result::Result<(), A::Error> {
        self.0.collected.n_lists += 1;
        Items(|item| (self.0.take)(item)).visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> std::result::Result<(), A::Error> {
        Object(self.0).visit_map(map)
    }
}

impl Members for Collection<'_> {
    const EXPECTED: &'static str = "an object with features";

    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> std::result::Result<(), A::Error> {
        match name {
            "features" => {
                self.collected.n_lists += 1;
                map.next_value_seed(Items(|item| (self.take)(item)))
            }
            "spatialReference" => {
                self.collected.reference = map.next_value()?;
                Ok(())
            }
            "layers" => {
                self.collected.has_layers = true;
                map.next_value_seed(Objects(self))
            }
            "featureSet" => map.next_value_seed(Object(self)),
            _ => map.next_value::<IgnoredAny>().map(drop),
        }
    }
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

fn point(x: Option<&str>, y: Option<&str>) -> Option<Box<RawValue>> {
    let number = |text: Option<&str>| text?.parse::<f64>().ok().filter(|number| number.is_finite());
    RawValue::from_string(format!("{{\"x\":{},\"y\":{}}}", number(x)?, number(y)?)).ok()
}
