//! Esri JSON geometries and spatial references.
//!
//! Source: API reference, *Geometry objects*. Not supported: curves, which are refused.

use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};
use serde_json::{Value as Json, json};

use crate::{
    error::{Error, Result},
    model::{
        geometry::{Dimensions, Geometry, GeometryType, Position, Shape},
        vertices::{MAX_VERTICES, VERTEX_BYTES, n_vertices},
    },
};

/// The reference as clients write it: Web Mercator has an id of its own besides EPSG's.
pub(crate) fn spatial_reference(srid: i32) -> Json {
    match srid {
        3857 => json!({"wkid": 102_100, "latestWkid": 3857}),
        srid => json!({"wkid": srid, "latestWkid": srid}),
    }
}

/// Reads a spatial reference: `4326`, `"4326"`, `{"wkid":…,"latestWkid":…}`, `{"wkt":…}`. `None` if there is nothing in it.
pub(crate) fn parse_spatial_reference(name: &'static str, text: &str) -> Result<Option<i32>> {
    let given: Json = match serde_json::from_str(text) {
        Ok(given) => given,
        Err(_) if text.starts_with(['{', '\'']) => super::params::json(name, text)?,
        Err(_) => Json::String(text.to_owned()),
    };
    spatial_reference_of(name, &given)
}

/// The spatial reference of a value of JSON; `None` if there is nothing in it.
pub(crate) fn spatial_reference_of(name: &'static str, given: &Json) -> Result<Option<i32>> {
    let number = |value: &Json| match value {
        Json::Number(number) => number.as_i64(),
        Json::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let wkid = match given {
        Json::Null => return Ok(None),
        Json::Object(members) => {
            let member =
                |key: &str| members.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value);
            let found = member("latestWkid").and_then(number).or_else(|| member("wkid").and_then(number));
            match (found, member("wkt").and_then(Json::as_str)) {
                (Some(wkid), _) => wkid,
                (None, Some(wkt)) if !wkt.trim().is_empty() => return from_wkt(name, wkt).map(Some),
                _ => return Ok(None),
            }
        }
        Json::String(text) if text.contains('[') => return from_wkt(name, text).map(Some),
        value => number(value).ok_or_else(|| {
            Error::invalid(
                name,
                format!("{value} is not a spatial reference; give a number such as 4326, or {{\"wkid\":4326}}"),
            )
        })?,
    };
    match wkid {
        102_100 | 102_113 | 900_913 | 3785 => Ok(Some(3857)),
        1..=998_999 => Ok(i32::try_from(wkid).ok()),
        _ => Err(Error::invalid(name, format!("there is no spatial reference {wkid}"))),
    }
}

/// The id that a WKT says it has, or that of the two references whose names everybody writes.
fn from_wkt(name: &'static str, wkt: &str) -> Result<i32> {
    let authority = wkt
        .rfind("AUTHORITY[\"EPSG\",")
        .and_then(|at| wkt.get(at + 17..))
        .map(|rest| rest.trim_start_matches('"').chars().take_while(char::is_ascii_digit).collect::<String>());
    if let Some(Ok(srid)) = authority.map(|digits| digits.parse()) {
        return Ok(srid);
    }
    if wkt.contains("WGS_1984_Web_Mercator") {
        return Ok(3857);
    }
    if wkt.starts_with("GEOGCS[\"GCS_WGS_1984\"") {
        return Ok(4326);
    }
    Err(Error::invalid(name, "the WKT names no EPSG code; give the code instead, for instance {\"wkid\":4326}"))
}

/// A geometry as JSON has it, before it is known to be one.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct GeometryJson {
    // A null says that there is no coordinate, which is not the same as saying nothing.
    #[serde(deserialize_with = "said")]
    x: Option<Ordinate>,
    #[serde(deserialize_with = "said")]
    y: Option<Ordinate>,
    z: Option<Ordinate>,
    m: Option<Ordinate>,
    points: Option<Vec<Vertex>>,
    paths: Option<Vec<Vec<Vertex>>>,
    rings: Option<Vec<Vec<Vertex>>>,
    xmin: Option<Ordinate>,
    ymin: Option<Ordinate>,
    xmax: Option<Ordinate>,
    ymax: Option<Ordinate>,
    #[serde(rename = "hasZ")]
    has_z: Option<bool>,
    #[serde(rename = "hasM")]
    has_m: Option<bool>,
    curve_paths: Option<de::IgnoredAny>,
    curve_rings: Option<de::IgnoredAny>,
    spatial_reference: Option<Json>,
}

fn said<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Ordinate>, D::Error> {
    Ordinate::deserialize(deserializer).map(Some)
}

/// A number, null, or the text "NaN".
#[derive(Clone, Copy)]
struct Ordinate(f64);

impl<'de> Deserialize<'de> for Ordinate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Ordinate, D::Error> {
        struct OrdinateVisitor;
        impl Visitor<'_> for OrdinateVisitor {
            type Value = Ordinate;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a coordinate")
            }
            fn visit_f64<E>(self, value: f64) -> std::result::Result<Ordinate, E> {
                Ok(Ordinate(value))
            }
            #[expect(clippy::cast_precision_loss, reason = "coordinates are doubles")]
            fn visit_i64<E>(self, value: i64) -> std::result::Result<Ordinate, E> {
                Ok(Ordinate(value as f64))
            }
            #[expect(clippy::cast_precision_loss, reason = "coordinates are doubles")]
            fn visit_u64<E>(self, value: u64) -> std::result::Result<Ordinate, E> {
                Ok(Ordinate(value as f64))
            }
            fn visit_unit<E>(self) -> std::result::Result<Ordinate, E> {
                Ok(Ordinate(f64::NAN))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<Ordinate, E> {
                match text.trim() {
                    "NaN" | "" => Ok(Ordinate(f64::NAN)),
                    text => text.parse().map(Ordinate).map_err(|_| E::custom(format!("'{text}' is not a coordinate"))),
                }
            }
        }
        deserializer.deserialize_any(OrdinateVisitor)
    }
}

/// `[x, y]`, with up to two more.
struct Vertex {
    ordinates: [f64; 4],
    n: usize,
}

impl<'de> Deserialize<'de> for Vertex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Vertex, D::Error> {
        struct VertexVisitor;
        impl<'de> Visitor<'de> for VertexVisitor {
            type Value = Vertex;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a vertex such as [1.5, 2.5]")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<Vertex, A::Error> {
                let mut vertex = Vertex { ordinates: [f64::NAN; 4], n: 0 };
                while let Some(Ordinate(value)) = seq.next_element()? {
                    if let Some(place) = vertex.ordinates.get_mut(vertex.n) {
                        *place = value;
                    }
                    vertex.n += 1;
                }
                if (2..=4).contains(&vertex.n) { Ok(vertex) } else { Err(de::Error::invalid_length(vertex.n, &self)) }
            }
        }
        deserializer.deserialize_seq(VertexVisitor)
    }
}

/// What became of reading a geometry.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// There is one.
    Geometry(Geometry),
    /// It is empty, which clears a feature's geometry.
    Empty,
}

/// Why a geometry was refused.
#[derive(Debug)]
pub(crate) enum Refused {
    /// It has curves.
    Curve,
    /// Anything else.
    Invalid(String),
}

/// Reads an Esri JSON geometry. `default_srid` is its reference if it names none.
pub(crate) fn parse(text: &str, default_srid: i32) -> std::result::Result<Parsed, Refused> {
    parse_for(text, default_srid, Dimensions::default())
}

/// Reads an Esri JSON geometry for a layer that has these ordinates: where the geometry does not say what the third of three
/// numbers is, it is what the layer has.
pub(crate) fn parse_for(text: &str, default_srid: i32, expected: Dimensions) -> std::result::Result<Parsed, Refused> {
    let too_many =
        |n_vertices: usize| Refused::Invalid(format!("it has {n_vertices} vertices, and the limit is {MAX_VERTICES}"));
    // Before they take up memory.
    if text.len() > MAX_VERTICES * VERTEX_BYTES {
        let n_vertices = n_vertices(text);
        if n_vertices > MAX_VERTICES {
            return Err(too_many(n_vertices));
        }
    }
    let given: GeometryJson =
        serde_json::from_str(text).map_err(|error| Refused::Invalid(format!("it is not a geometry: {error}")))?;
    if given.curve_paths.is_some() || given.curve_rings.is_some() {
        return Err(Refused::Curve);
    }
    let srid = match &given.spatial_reference {
        None => default_srid,
        Some(reference) => spatial_reference_of("geometry", reference)
            .map_err(|error| Refused::Invalid(error.to_string()))?
            .unwrap_or(default_srid),
    };
    let n_vertices = given.points.as_ref().map_or(0, Vec::len)
        + given.paths.iter().chain(&given.rings).flatten().map(Vec::len).sum::<usize>();
    if n_vertices > MAX_VERTICES {
        return Err(too_many(n_vertices));
    }
    let third_is_m = match (given.has_z, given.has_m) {
        (Some(true), _) => false,
        (_, Some(true)) => true,
        (None, None) => expected.m && !expected.z,
        _ => false,
    };
    let position = |vertex: &Vertex| finite(vertex, third_is_m);
    let shape = match given {
        GeometryJson { points: Some(points), .. } => {
            Shape::Multipoint(points.iter().map(position).collect::<std::result::Result<_, _>>()?)
        }
        GeometryJson { paths: Some(paths), .. } => Shape::Polyline(parts(&paths, position, check_path)?),
        GeometryJson { rings: Some(rings), .. } => Shape::Polygon(parts(&rings, position, close_ring)?),
        GeometryJson { xmin: Some(xmin), ymin: Some(ymin), xmax: Some(xmax), ymax: Some(ymax), .. } => {
            return envelope([xmin.0, ymin.0, xmax.0, ymax.0], srid).map(Parsed::Geometry).map_err(Refused::Invalid);
        }
        GeometryJson { x: Some(x), y: Some(y), z, m, .. } => {
            if x.0.is_nan() || y.0.is_nan() {
                return Ok(Parsed::Empty);
            }
            let vertex =
                Vertex { ordinates: [x.0, y.0, z.map_or(f64::NAN, |z| z.0), m.map_or(f64::NAN, |m| m.0)], n: 4 };
            Shape::Point(finite(&vertex, false)?)
        }
        _ => return Err(Refused::Invalid("it has none of x and y, points, paths, rings, xmin".to_owned())),
    };
    let empty = match &shape {
        Shape::Multipoint(points) => points.is_empty(),
        Shape::Polyline(parts) | Shape::Polygon(parts) => parts.is_empty(),
        Shape::Point(_) | Shape::Envelope { .. } => false,
    };
    Ok(if empty { Parsed::Empty } else { Parsed::Geometry(Geometry { srid, shape }) })
}

/// A missing height is 0, a missing measure not a number; x and y must be there.
fn finite(vertex: &Vertex, third_is_m: bool) -> std::result::Result<Position, Refused> {
    let [x, y, third, fourth] = vertex.ordinates;
    let (z, m) = if third_is_m { (f64::NAN, third) } else { (third, fourth) };
    if !x.is_finite() || !y.is_finite() || z.is_infinite() || m.is_infinite() {
        return Err(Refused::Invalid("it has a coordinate that is not a finite number".to_owned()));
    }
    Ok(Position { x, y, z: if z.is_nan() { 0.0 } else { z }, m })
}

fn parts(
    given: &[Vec<Vertex>],
    position: impl Fn(&Vertex) -> std::result::Result<Position, Refused>,
    check: impl Fn(&mut Vec<Position>) -> std::result::Result<(), Refused>,
) -> std::result::Result<Vec<Vec<Position>>, Refused> {
    let mut parts = Vec::with_capacity(given.len());
    for part in given.iter().filter(|part| !part.is_empty()) {
        let mut positions = part.iter().map(&position).collect::<std::result::Result<Vec<_>, _>>()?;
        check(&mut positions)?;
        parts.push(positions);
    }
    Ok(parts)
}

#[expect(clippy::ptr_arg, reason = "the sibling that closes rings needs the vector")]
fn check_path(path: &mut Vec<Position>) -> std::result::Result<(), Refused> {
    match path.len() {
        0 | 1 => Err(Refused::Invalid("it has a path of one vertex; a path needs two".to_owned())),
        _ => Ok(()),
    }
}

fn close_ring(ring: &mut Vec<Position>) -> std::result::Result<(), Refused> {
    if let (Some(first), Some(last)) = (ring.first().copied(), ring.last().copied())
        && (first.x != last.x || first.y != last.y)
    {
        ring.push(first);
    }
    match ring.len() {
        0..=3 => Err(Refused::Invalid("it has a ring of fewer than three different vertices".to_owned())),
        _ => Ok(()),
    }
}

fn envelope([xmin, ymin, xmax, ymax]: [f64; 4], srid: i32) -> std::result::Result<Geometry, String> {
    if [xmin, ymin, xmax, ymax].iter().any(|value| !value.is_finite()) {
        return Err("the envelope has a coordinate that is not a finite number".to_owned());
    }
    // A box across the date line has its west to the east of its east.
    let in_degrees = (4000..5000).contains(&srid) && [xmin, xmax].iter().all(|x| x.abs() <= 180.0);
    if in_degrees && xmin > xmax && ymin <= ymax {
        let at = |x, y| Position { x, y, z: 0.0, m: f64::NAN };
        let ring = |west, east| vec![at(west, ymin), at(west, ymax), at(east, ymax), at(east, ymin), at(west, ymin)];
        return Ok(Geometry { srid, shape: Shape::Polygon(vec![ring(xmin, 180.0), ring(-180.0, xmax)]) });
    }
    if xmin > xmax || ymin > ymax {
        return Err(format!(
            "the envelope is inside out: xmin {xmin} must not exceed xmax {xmax}, nor ymin {ymin} ymax {ymax}"
        ));
    }
    let at = |x, y| Position { x, y, z: 0.0, m: f64::NAN };
    Ok(Geometry { srid, shape: Shape::Envelope { min: at(xmin, ymin), max: at(xmax, ymax) } })
}

/// The geometry of a filter: JSON, or `x,y`, or `xmin,ymin,xmax,ymax`.
pub(crate) fn parse_area(name: &'static str, text: &str, default_srid: i32) -> Result<Option<Geometry>> {
    if text.starts_with('{') {
        let text = match serde_json::from_str::<Json>(text) {
            Ok(_) => text.to_owned(),
            Err(_) => super::params::json::<Json>(name, text)?.to_string(),
        };
        return match parse(&text, default_srid) {
            Ok(Parsed::Geometry(geometry)) => Ok(Some(geometry)),
            Ok(Parsed::Empty) => {
                Err(Error::invalid(name, "it is empty; leave the parameter out for no restriction by area"))
            }
            Err(Refused::Curve) => Err(Error::invalid(name, "curves are not supported; send the geometry densified")),
            Err(Refused::Invalid(problem)) => Err(Error::invalid(name, problem)),
        };
    }
    let numbers: Vec<f64> = text
        .split(',')
        .map(|part| part.trim().parse())
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| Error::invalid(name, "it is neither JSON nor x,y nor xmin,ymin,xmax,ymax"))?;
    match *numbers.as_slice() {
        [x, y] if x.is_finite() && y.is_finite() => {
            Ok(Some(Geometry { srid: default_srid, shape: Shape::Point(Position { x, y, z: 0.0, m: f64::NAN }) }))
        }
        [xmin, ymin, xmax, ymax] => {
            envelope([xmin, ymin, xmax, ymax], default_srid).map(Some).map_err(|problem| Error::invalid(name, problem))
        }
        _ => Err(Error::invalid(name, format!("{} numbers; a point has two, an envelope four", numbers.len()))),
    }
}

/// The API's name of a geometry type.
pub(crate) fn type_name(geometry_type: GeometryType) -> &'static str {
    match geometry_type {
        GeometryType::Point => "esriGeometryPoint",
        GeometryType::Multipoint => "esriGeometryMultipoint",
        GeometryType::Polyline => "esriGeometryPolyline",
        GeometryType::Polygon => "esriGeometryPolygon",
    }
}

/// An area as it is shown again: points and boxes in their own forms, everything else as it came.
pub(crate) fn area_json(geometry: &Geometry, text: &str) -> String {
    let mut shown = match &geometry.shape {
        Shape::Envelope { min, max } => json!({"xmin": min.x, "ymin": min.y, "xmax": max.x, "ymax": max.y}),
        Shape::Point(position) => json!({"x": position.x, "y": position.y}),
        _ => super::params::json("geometry", text).unwrap_or(Json::Null),
    };
    if let Some(members) = shown.as_object_mut() {
        members.insert("spatialReference".to_owned(), spatial_reference(geometry.srid));
    }
    shown.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(text: &str) -> Geometry {
        match parse(text, 4326) {
            Ok(Parsed::Geometry(geometry)) => geometry,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_geometry_says_its_own_reference_or_takes_the_default() {
        assert_eq!(geometry("{\"x\":1,\"y\":2}").srid, 4326);
        assert_eq!(geometry("{\"x\":1,\"y\":2,\"spatialReference\":{\"wkid\":102100}}").srid, 3857);
        assert_eq!(geometry("{\"x\":1,\"y\":2,\"spatialReference\":{\"wkid\":null}}").srid, 4326);
        assert_eq!(geometry("{\"x\":1,\"y\":2,\"spatialReference\":{\"wkid\":\"2056\"}}").srid, 2056);
    }

    #[test]
    fn the_third_ordinate_is_a_measure_only_if_said_so() {
        let Shape::Polyline(paths) = geometry("{\"hasM\":true,\"paths\":[[[1,2,3],[4,5,null]]]}").shape else {
            panic!()
        };
        assert_eq!((paths[0][0].z, paths[0][0].m), (0.0, 3.0));
        let Shape::Polyline(paths) = geometry("{\"paths\":[[[1,2,3],[4,5,6]]]}").shape else { panic!() };
        assert_eq!(paths[0][0].z, 3.0);
    }

    #[test]
    fn what_cannot_be_stored_is_refused_with_its_reason() {
        for (text, reason) in [
            ("{\"x\":1}", "none of x and y"),
            ("{\"rings\":[[[0,0],[1,1],[0,0]]]}", "fewer than three"),
            ("{\"paths\":[[[0,0]]]}", "one vertex"),
            ("{\"rings\":\"foo\"}", "not a geometry"),
            ("{\"xmin\":0,\"ymin\":5,\"xmax\":1,\"ymax\":1}", "inside out"),
            ("{\"xmin\":5,\"ymin\":0,\"xmax\":1,\"ymax\":1,\"spatialReference\":{\"wkid\":3857}}", "inside out"),
        ] {
            match parse(text, 4326) {
                Err(Refused::Invalid(problem)) => assert!(problem.contains(reason), "{problem}"),
                other => panic!("{text}: {other:?}"),
            }
        }
        assert!(matches!(parse("{\"curveRings\":[]}", 4326), Err(Refused::Curve)));
        assert!(matches!(parse("{\"x\":\"NaN\",\"y\":\"NaN\"}", 4326), Ok(Parsed::Empty)));
        assert!(matches!(parse("{\"rings\":[]}", 4326), Ok(Parsed::Empty)));
    }

    #[test]
    fn areas_come_in_three_syntaxes() {
        let envelope = parse_area("geometry", "  -80.000,   35.1, -70, 40", 4326).unwrap().unwrap();
        assert!(matches!(envelope.shape, Shape::Envelope { .. }));
        assert!(matches!(parse_area("geometry", "1,2", 4326).unwrap().unwrap().shape, Shape::Point(_)));
        let quoted =
            parse_area("geometry", "{'xmin':-170,'ymin':1,'xmax':2,'ymax':3,'spatialReference':{'wkid':4326}}", 3857);
        assert_eq!(quoted.unwrap().unwrap().srid, 4326);
        assert!(parse_area("geometry", "1,2,3", 4326).unwrap_err().to_string().contains("3 numbers"));
    }

    #[test]
    fn references_are_read_in_every_spelling() {
        let read = |text| parse_spatial_reference("inSR", text).unwrap();
        assert_eq!(read("4326"), Some(4326));
        assert_eq!(read("\"4326\""), Some(4326));
        assert_eq!(read("{\"wkid\":102100,\"latestWkid\":3857}"), Some(3857));
        assert_eq!(read("{\"wkid\":\"3857\"}"), Some(3857));
        assert_eq!(read("{}"), None);
        assert_eq!(read("PROJCS[\"x\",AUTHORITY[\"EPSG\",\"2056\"]]"), Some(2056));
        assert!(parse_spatial_reference("inSR", "abc").unwrap_err().to_string().contains("inSR"));
        assert!(parse_spatial_reference("outSR", "-3").is_err());
    }
}
