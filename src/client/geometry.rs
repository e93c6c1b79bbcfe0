//! Geometries: Esri JSON on the line, the blobs of GeoPackage in the file.

use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Visitor},
};

use crate::model::geometry::{Position, assemble, twice_area};

/// The most vertices of one geometry.
const MAX_VERTICES: usize = 10_000_000;

/// What kind of geometries a layer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Point,
    Multipoint,
    Polyline,
    Polygon,
}

/// How a layer writes its geometries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// Their kind.
    pub(crate) kind: Kind,
    /// Whether lines and polygons of one part are written as collections of one, and points as multipoints of one.
    pub(crate) multi: bool,
    /// The number of their spatial reference in the file.
    pub(crate) srs_id: i32,
    /// Whether they have heights.
    pub(crate) z: bool,
    /// Whether they have measures.
    pub(crate) m: bool,
}

impl Kind {
    /// Reads the API's name.
    pub(crate) fn from_name(name: &str) -> Option<Kind> {
        match name {
            "esriGeometryPoint" => Some(Kind::Point),
            "esriGeometryMultipoint" => Some(Kind::Multipoint),
            "esriGeometryPolyline" => Some(Kind::Polyline),
            "esriGeometryPolygon" => Some(Kind::Polygon),
            _ => None,
        }
    }

    /// GeoPackage's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Point => "POINT",
            Kind::Multipoint => "MULTIPOINT",
            Kind::Polyline => "MULTILINESTRING",
            Kind::Polygon => "MULTIPOLYGON",
        }
    }
}

/// A geometry as JSON has it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct GeometryJson {
    x: Option<Ordinate>,
    y: Option<Ordinate>,
    z: Option<Ordinate>,
    m: Option<Ordinate>,
    points: Option<Vec<Vertex>>,
    paths: Option<Vec<Vec<Vertex>>>,
    rings: Option<Vec<Vec<Vertex>>>,
    #[serde(rename = "hasZ")]
    has_z: Option<bool>,
    #[serde(rename = "hasM")]
    has_m: Option<bool>,
    curve_paths: Option<de::IgnoredAny>,
    curve_rings: Option<de::IgnoredAny>,
}

/// A number, null, or the text "NaN".
#[derive(Clone, Copy, Debug)]
struct Ordinate(f64);

impl<'de> Deserialize<'de> for Ordinate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ordinate, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Ordinate;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a coordinate")
            }
            fn visit_f64<E>(self, value: f64) -> Result<Ordinate, E> {
                Ok(Ordinate(value))
            }
            #[expect(clippy::cast_precision_loss, reason = "coordinates are doubles, however they are written")]
            fn visit_i64<E>(self, value: i64) -> Result<Ordinate, E> {
                Ok(Ordinate(value as f64))
            }
            #[expect(clippy::cast_precision_loss, reason = "coordinates are doubles, however they are written")]
            fn visit_u64<E>(self, value: u64) -> Result<Ordinate, E> {
                Ok(Ordinate(value as f64))
            }
            fn visit_str<E>(self, value: &str) -> Result<Ordinate, E> {
                Ok(Ordinate(value.parse().unwrap_or(f64::NAN)))
            }
            fn visit_unit<E>(self) -> Result<Ordinate, E> {
                Ok(Ordinate(f64::NAN))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

/// Two to four numbers.
#[derive(Debug)]
struct Vertex {
    ordinates: [f64; 4],
    n: usize,
}

impl<'de> Deserialize<'de> for Vertex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Vertex, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Vertex;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an array of two to four coordinates")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Vertex, A::Error> {
                let mut vertex = Vertex { ordinates: [f64::NAN; 4], n: 0 };
                while let Some(Ordinate(value)) = sequence.next_element()? {
                    let place = vertex
                        .ordinates
                        .get_mut(vertex.n)
                        .ok_or_else(|| de::Error::invalid_length(vertex.n + 1, &"two to four coordinates"))?;
                    *place = value;
                    vertex.n += 1;
                }
                Ok(vertex)
            }
        }
        deserializer.deserialize_seq(Read)
    }
}

impl GeometryJson {
    /// The blob of GeoPackage. `None` if there is nothing in it; the error says what the file cannot hold.
    pub(crate) fn to_blob(&self, form: Form) -> Result<Option<Vec<u8>>, String> {
        if self.curve_paths.is_some() || self.curve_rings.is_some() {
            return Err("it has curves, which GeoPackage files of this kind cannot hold".to_owned());
        }
        // Three numbers are x, y and z, unless there are measures alone.
        let third_is_m = self.has_m == Some(true) && self.has_z != Some(true);
        let position = |vertex: &Vertex| {
            let [x, y, third, fourth] = vertex.ordinates;
            let (z, m) = if third_is_m && vertex.n == 3 { (f64::NAN, third) } else { (third, fourth) };
            Position { x, y, z: if z.is_nan() { 0.0 } else { z }, m }
        };
        let runs = |runs: &[Vec<Vertex>]| -> Vec<Vec<Position>> {
            runs.iter().filter(|run| !run.is_empty()).map(|run| run.iter().map(position).collect()).collect()
        };
        let parts: Vec<Vec<Position>> = match form.kind {
            Kind::Point => {
                let of = |ordinate: Option<Ordinate>| ordinate.map_or(f64::NAN, |ordinate| ordinate.0);
                let (x, y, z) = (of(self.x), of(self.y), of(self.z));
                if x.is_nan() || y.is_nan() {
                    return Ok(None);
                }
                vec![vec![Position { x, y, z: if z.is_nan() { 0.0 } else { z }, m: of(self.m) }]]
            }
            Kind::Multipoint => {
                let points: Vec<Position> = self.points.iter().flatten().map(position).collect();
                if points.is_empty() { Vec::new() } else { vec![points] }
            }
            Kind::Polyline => runs(self.paths.as_deref().unwrap_or_default()),
            Kind::Polygon => runs(self.rings.as_deref().unwrap_or_default()),
        };
        if parts.is_empty() {
            return Ok(None);
        }
        if parts.iter().flatten().any(|p| !p.x.is_finite() || !p.y.is_finite()) {
            return Err("it has coordinates that are no numbers".to_owned());
        }
        let mut out = Blob::begin(form, bounds_of(parts.iter().flatten()));
        match form.kind {
            Kind::Point => {
                if form.multi {
                    out.head(4, 1);
                }
                parts.iter().flatten().for_each(|p| out.point(p));
            }
            Kind::Multipoint => {
                let points = parts.concat();
                out.head(4, points.len());
                points.iter().for_each(|p| out.point(p));
            }
            Kind::Polyline => {
                if form.multi || parts.len() > 1 {
                    out.head(5, parts.len());
                }
                for part in &parts {
                    out.head(2, part.len());
                    part.iter().for_each(|p| out.position(p));
                }
            }
            Kind::Polygon => {
                let polygons = assemble(&parts)?;
                if form.multi || polygons.len() > 1 {
                    out.head(6, polygons.len());
                }
                for polygon in polygons {
                    out.head(3, polygon.len());
                    for ring in polygon {
                        out.count(ring.len());
                        ring.iter().for_each(|p| out.position(p));
                    }
                }
            }
        }
        Ok(Some(out.bytes))
    }
}

fn bounds_of<'a>(positions: impl Iterator<Item = &'a Position>) -> [f64; 4] {
    positions.fold([f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY], |[a, b, c, d], p| {
        [a.min(p.x), b.min(p.y), c.max(p.x), d.max(p.y)]
    })
}

struct Blob {
    bytes: Vec<u8>,
    form: Form,
}

impl Blob {
    fn begin(form: Form, [min_x, min_y, max_x, max_y]: [f64; 4]) -> Blob {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(b"GP\0");
        // Little endian; with an envelope, except that a point is its own.
        bytes.push(if form.kind == Kind::Point { 0b0000_0001 } else { 0b0000_0011 });
        bytes.extend_from_slice(&form.srs_id.to_le_bytes());
        if form.kind != Kind::Point {
            for bound in [min_x, max_x, min_y, max_y] {
                bytes.extend_from_slice(&bound.to_le_bytes());
            }
        }
        Blob { bytes, form }
    }

    fn kind(&mut self, kind: u32) {
        self.bytes.push(1);
        let dimensions = if self.form.z { 1000 } else { 0 } + if self.form.m { 2000 } else { 0 };
        self.bytes.extend_from_slice(&(kind + dimensions).to_le_bytes());
    }

    fn count(&mut self, n: usize) {
        // What was read has far fewer parts than 2^32.
        self.bytes.extend_from_slice(&u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
    }

    fn head(&mut self, kind: u32, n: usize) {
        self.kind(kind);
        self.count(n);
    }

    fn point(&mut self, position: &Position) {
        self.kind(1);
        self.position(position);
    }

    fn position(&mut self, position: &Position) {
        self.bytes.extend_from_slice(&position.x.to_le_bytes());
        self.bytes.extend_from_slice(&position.y.to_le_bytes());
        if self.form.z {
            self.bytes.extend_from_slice(&position.z.to_le_bytes());
        }
        if self.form.m {
            self.bytes.extend_from_slice(&position.m.to_le_bytes());
        }
    }
}

/// What is in a blob: parts, each a list of runs of positions (the rings of a polygon; else one run).
struct Content {
    kind: Kind,
    parts: Vec<Vec<Vec<Position>>>,
    z: bool,
    m: bool,
}

/// The box round what a blob has: west, south, east, north. `None` if it is empty, or no geometry.
pub(crate) fn bounds(blob: &[u8]) -> Option<[f64; 4]> {
    let (head, _) = split(blob)?;
    if head.len() >= 40 {
        let at = |n: usize| -> Option<f64> {
            let bytes: [u8; 8] = head.get(8 + n * 8..16 + n * 8)?.try_into().ok()?;
            Some(if head.get(3)? & 1 == 1 { f64::from_le_bytes(bytes) } else { f64::from_be_bytes(bytes) })
        };
        let found = [at(0)?, at(2)?, at(1)?, at(3)?];
        return found.iter().all(|bound| bound.is_finite()).then_some(found);
    }
    let content = read(blob).ok()??;
    let found = bounds_of(content.parts.iter().flatten().flatten());
    found.iter().all(|bound| bound.is_finite()).then_some(found)
}

/// Writes a blob as Esri JSON; an empty one, or none, as one that clears. The error says what cannot be sent.
pub(crate) fn to_json(blob: Option<&[u8]>, kind: Kind) -> Result<String, String> {
    let content = blob.map(read).transpose()?.flatten();
    let Some(content) = content else {
        return Ok(match kind {
            Kind::Point => r#"{"x":"NaN","y":"NaN"}"#,
            Kind::Multipoint => r#"{"points":[]}"#,
            Kind::Polyline => r#"{"paths":[]}"#,
            Kind::Polygon => r#"{"rings":[]}"#,
        }
        .to_owned());
    };
    if content
        .parts
        .iter()
        .flatten()
        .flatten()
        .any(|p| !p.x.is_finite() || !p.y.is_finite() || (content.z && !p.z.is_finite()))
    {
        return Err("the geometry has coordinates that are no numbers".to_owned());
    }
    let mut out = String::new();
    let (z, m) = (content.z, content.m);
    let run = |out: &mut String, run: &[Position]| push_run(run, (z, m), out);
    let dimensions = |out: &mut String| {
        if z {
            out.push_str("\"hasZ\":true,");
        }
        if m {
            out.push_str("\"hasM\":true,");
        }
    };
    out.push('{');
    match (content.kind, kind) {
        (Kind::Point | Kind::Multipoint, Kind::Point) => {
            let p = content.parts.iter().flatten().flatten().next().ok_or("the geometry has no position")?;
            for (name, value, there) in [("x", p.x, true), ("y", p.y, true), ("z", p.z, z), ("m", p.m, m)] {
                if there {
                    out.push_str(if out.len() > 1 { ",\"" } else { "\"" });
                    out.push_str(name);
                    out.push_str("\":");
                    push_number(value, &mut out);
                }
            }
        }
        (Kind::Point | Kind::Multipoint, Kind::Multipoint) => {
            dimensions(&mut out);
            out.push_str("\"points\":");
            run(&mut out, &content.parts.into_iter().flatten().flatten().collect::<Vec<_>>());
        }
        (Kind::Polyline, Kind::Polyline) => {
            dimensions(&mut out);
            out.push_str("\"paths\":[");
            for (n, path) in content.parts.iter().flatten().enumerate() {
                out.push_str(if n > 0 { "," } else { "" });
                run(&mut out, path);
            }
            out.push(']');
        }
        (Kind::Polygon, Kind::Polygon) => {
            dimensions(&mut out);
            out.push_str("\"rings\":[");
            for (n, mut ring) in
                content.parts.into_iter().flat_map(|part| part.into_iter().enumerate().map(oriented)).enumerate()
            {
                out.push_str(if n > 0 { "," } else { "" });
                // Absent measures are not numbers, and equal to nothing.
                let place = |position: Option<&Position>| position.map(|it| (it.x, it.y));
                if place(ring.first()) != place(ring.last()) {
                    ring.extend(ring.first().copied());
                }
                run(&mut out, &ring);
            }
            out.push(']');
        }
        (found, wanted) => {
            return Err(format!("the geometry is a {}, and the layer has {}", found.name(), wanted.name()));
        }
    }
    out.push('}');
    Ok(out)
}

/// Appends positions, with heights and measures if they are there.
fn push_run(run: &[Position], (z, m): (bool, bool), out: &mut String) {
    out.push('[');
    for (n, p) in run.iter().enumerate() {
        out.push_str(if n > 0 { ",[" } else { "[" });
        push_number(p.x, out);
        out.push(',');
        push_number(p.y, out);
        for (_, value) in [(z, p.z), (m, p.m)].into_iter().filter(|(there, _)| *there) {
            out.push(',');
            push_number(value, out);
        }
        out.push(']');
    }
    out.push(']');
}

/// Appends a number; what is none is null.
fn push_number(value: f64, out: &mut String) {
    match value.is_finite() {
        true => out.push_str(zmij::Buffer::new().format_finite(value)),
        false => out.push_str("null"),
    }
}

/// Outer rings go clockwise, holes the other way.
fn oriented((n, mut ring): (usize, Vec<Position>)) -> Vec<Position> {
    let clockwise = twice_area(&ring) < 0.0;
    if clockwise != (n == 0) {
        ring.reverse();
    }
    ring
}

/// The head of a blob, and the well-known binary after it.
fn split(blob: &[u8]) -> Option<(&[u8], &[u8])> {
    if blob.get(..2)? != b"GP" {
        return None;
    }
    let flags = *blob.get(3)?;
    let envelope = match (flags >> 1) & 7 {
        0 => 0,
        1 => 32,
        2 | 3 => 48,
        4 => 64,
        _ => return None,
    };
    blob.split_at_checked(8 + envelope)
}

/// Reads a blob. `None` if it is empty.
fn read(blob: &[u8]) -> Result<Option<Content>, String> {
    let (_, wkb) = split(blob).ok_or("the geometry column holds no GeoPackage geometry")?;
    let mut reader = Wkb { rest: wkb, n_left: MAX_VERTICES };
    let content = reader.geometry(0)?;
    let is_empty = content.parts.iter().flatten().all(Vec::is_empty)
        || (content.kind == Kind::Point && content.parts.iter().flatten().flatten().all(|p| p.x.is_nan()));
    Ok((!is_empty).then_some(content))
}

struct Wkb<'a> {
    rest: &'a [u8],
    n_left: usize,
}

impl Wkb<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or("the geometry is cut off")?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u32(&mut self, little: bool) -> Result<u32, String> {
        let bytes = self.take()?;
        Ok(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn f64(&mut self, little: bool) -> Result<f64, String> {
        let bytes = self.take()?;
        Ok(if little { f64::from_le_bytes(bytes) } else { f64::from_be_bytes(bytes) })
    }

    fn run(&mut self, little: bool, z: bool, m: bool) -> Result<Vec<Position>, String> {
        let n = self.u32(little)?;
        (0..n).map(|_| self.position(little, z, m)).collect()
    }

    fn position(&mut self, little: bool, z: bool, m: bool) -> Result<Position, String> {
        self.n_left =
            self.n_left.checked_sub(1).ok_or_else(|| format!("the geometry has more than {MAX_VERTICES} vertices"))?;
        Ok(Position {
            x: self.f64(little)?,
            y: self.f64(little)?,
            z: if z { self.f64(little)? } else { 0.0 },
            m: if m { self.f64(little)? } else { f64::NAN },
        })
    }

    fn geometry(&mut self, depth: u8) -> Result<Content, String> {
        let [order] = self.take()?;
        let little = order == 1;
        let code = self.u32(little)?;
        // ISO adds thousands, PostGIS sets bits.
        let (plain, thousands) = (code & 0x0FFF_FFFF, (code & 0x0FFF_FFFF) / 1000);
        let z = code & 0x8000_0000 != 0 || matches!(thousands, 1 | 3);
        let m = code & 0x4000_0000 != 0 || matches!(thousands, 2 | 3);
        if code & 0x2000_0000 != 0 {
            self.u32(little)?;
        }
        let (kind, parts) = match plain % 1000 {
            1 => (Kind::Point, vec![vec![vec![self.position(little, z, m)?]]]),
            2 => (Kind::Polyline, vec![vec![self.run(little, z, m)?]]),
            3 => {
                let n = self.u32(little)?;
                let rings = (0..n).map(|_| self.run(little, z, m)).collect::<Result<Vec<_>, String>>()?;
                (Kind::Polygon, vec![rings])
            }
            collection @ 4..=6 if depth == 0 => {
                let n = self.u32(little)?;
                let mut parts = Vec::new();
                for _ in 0..n {
                    parts.extend(self.geometry(depth + 1)?.parts);
                }
                (
                    if collection == 4 {
                        Kind::Multipoint
                    } else if collection == 5 {
                        Kind::Polyline
                    } else {
                        Kind::Polygon
                    },
                    parts,
                )
            }
            _ => {
                return Err(
                    "the geometry is of a kind that feature services do not have, such as a curve or a collection"
                        .to_owned(),
                );
            }
        };
        Ok(Content { kind, parts, z, m })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(text: &str, form: Form) -> String {
        let json: GeometryJson = serde_json::from_str(text).unwrap();
        to_json(json.to_blob(form).unwrap().as_deref(), form.kind).unwrap()
    }

    fn form(kind: Kind, z: bool, m: bool) -> Form {
        Form { kind, multi: true, srs_id: 4326, z, m }
    }

    #[test]
    fn geometries_come_back_as_they_were() {
        for (kind, z, m, text) in [
            (Kind::Point, false, false, r#"{"x":1.5,"y":-2.25}"#),
            (Kind::Point, true, true, r#"{"x":1.5,"y":-2.25,"z":3.0,"m":null}"#),
            (Kind::Multipoint, true, false, r#"{"hasZ":true,"points":[[1.0,2.0,3.0],[4.0,5.0,6.0]]}"#),
            (
                Kind::Polyline,
                false,
                true,
                r#"{"hasM":true,"paths":[[[0.0,0.0,7.0],[1.0,1.0,null]],[[5.0,5.0,1.0],[6.0,6.0,2.0]]]}"#,
            ),
            (
                Kind::Polygon,
                false,
                false,
                r#"{"rings":[[[0.0,0.0],[0.0,9.0],[9.0,9.0],[9.0,0.0],[0.0,0.0]],[[1.0,1.0],[2.0,1.0],[2.0,2.0],[1.0,1.0]]]}"#,
            ),
        ] {
            assert_eq!(round_trip(text, form(kind, z, m)), text);
        }
    }

    #[test]
    fn rings_leave_clockwise_whoever_drew_them() {
        let drawn = r#"{"rings":[[[0.0,0.0],[9.0,0.0],[9.0,9.0],[0.0,0.0]]]}"#;
        assert_eq!(
            round_trip(drawn, form(Kind::Polygon, false, false)),
            r#"{"rings":[[[0.0,0.0],[9.0,9.0],[9.0,0.0],[0.0,0.0]]]}"#
        );
    }

    #[test]
    fn what_is_empty_clears() {
        let json: GeometryJson = serde_json::from_str(r#"{"x":"NaN","y":"NaN"}"#).unwrap();
        assert_eq!(json.to_blob(form(Kind::Point, false, false)), Ok(None));
        assert_eq!(to_json(None, Kind::Polygon).unwrap(), r#"{"rings":[]}"#);
    }

    #[test]
    fn bounds_are_found_with_and_without_an_envelope() {
        let line: GeometryJson = serde_json::from_str(r#"{"paths":[[[1,5],[3,2]]]}"#).unwrap();
        let blob = line.to_blob(form(Kind::Polyline, false, false)).unwrap().unwrap();
        assert_eq!(bounds(&blob), Some([1.0, 2.0, 3.0, 5.0]));
        let point: GeometryJson = serde_json::from_str(r#"{"x":1,"y":2}"#).unwrap();
        assert_eq!(
            bounds(&point.to_blob(form(Kind::Point, false, false)).unwrap().unwrap()),
            Some([1.0, 2.0, 1.0, 2.0])
        );
        assert_eq!(bounds(b"GP"), None);
    }

    #[test]
    fn what_is_no_geometry_is_told_and_nothing_more() {
        for length in 0..60 {
            let mut blob = vec![b'G', b'P', 0, 1, 0, 0, 0, 0, 1, 6, 0, 0, 0, 255, 255, 255, 255];
            blob.resize(length, 255);
            assert!(to_json(Some(&blob), Kind::Polygon).is_err(), "{length}");
        }
    }
}
