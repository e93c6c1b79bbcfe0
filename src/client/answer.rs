//! Reads answers of createReplica and synchronizeReplica row by row, however many rows they have.
//!
//! The document is the same embedded or behind an address. Members come in any order, but for the id of a layer, which must be
//! known before its rows: where it comes later, the document is looked through for the ids first.

use std::{
    fs::File,
    io::{BufReader, Seek as _, SeekFrom},
    path::Path,
};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value as Json};

use super::{
    error::{Error, Result},
    geometry::GeometryJson,
    values::Scalar,
};

/// What an answer says of itself, beside its rows.
pub(crate) type Head = Map<String, Json>;

/// What an edit asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Op {
    Add,
    Update,
    Delete,
}

impl Op {
    /// Its letter in the log.
    pub(crate) fn letter(self) -> &'static str {
        match self {
            Op::Add => "I",
            Op::Update => "U",
            Op::Delete => "D",
        }
    }

    /// Reads a letter of the log.
    pub(crate) fn from_letter(letter: &str) -> Op {
        match letter {
            "I" => Op::Add,
            "D" => Op::Delete,
            _ => Op::Update,
        }
    }

    /// What people call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Op::Add => "add",
            Op::Update => "update",
            Op::Delete => "delete",
        }
    }
}

/// A part of an answer.
#[derive(Debug)]
pub(crate) enum Part {
    /// What follows of the layer is all that it has.
    Whole,
    /// A row, new or changed.
    Row(Feature),
    /// The global id of a row that is gone.
    Gone(String),
    /// An attachment, new or changed.
    Attachment(Attachment),
    /// The global id of an attachment that is gone.
    AttachmentGone(String),
    /// What became of an edit.
    Result { is_attachment: bool, result: EditResult },
}

/// A row.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Feature {
    /// Its values by the names of their fields.
    #[serde(default)]
    pub(crate) attributes: Attributes,
    /// Its geometry.
    #[serde(default)]
    pub(crate) geometry: Option<GeometryJson>,
}

/// Values by the names of their fields, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Attributes(pub(crate) Vec<(String, Scalar)>);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Attributes, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Attributes;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the attributes of a feature")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Attributes, A::Error> {
                let mut pairs = Vec::with_capacity(16);
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Attributes(pairs))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

/// An attachment, with its bytes or the address of them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Attachment {
    /// Its number on the server.
    #[serde(alias = "id")]
    pub(crate) attachment_id: Option<i64>,
    /// Its global id.
    pub(crate) global_id: String,
    /// The global id of its feature.
    pub(crate) parent_global_id: String,
    /// What kind of file it is.
    pub(crate) content_type: Option<String>,
    /// The name of the file.
    pub(crate) name: Option<String>,
    /// How many bytes it has.
    pub(crate) size: Option<i64>,
    /// Words about it.
    pub(crate) keywords: Option<String>,
    /// Where its bytes are.
    pub(crate) url: Option<String>,
    /// Its bytes, as base64.
    pub(crate) data: Option<String>,
}

/// What became of an edit.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EditResult {
    /// The row's object id, or the attachment's.
    pub(crate) object_id: Option<i64>,
    /// Its global id.
    pub(crate) global_id: Option<String>,
    /// Whether it was done.
    #[serde(default)]
    pub(crate) success: bool,
    /// Why not.
    pub(crate) error: Option<EditError>,
}

/// Why an edit was refused.
#[derive(Debug, Deserialize)]
pub(crate) struct EditError {
    /// The API's number; some servers write it as text.
    #[serde(default)]
    pub(crate) code: Json,
    /// The server's words.
    #[serde(default, alias = "message")]
    pub(crate) description: Option<String>,
}

/// Takes the parts of an answer: the layer's id, and the part.
pub(crate) type Take<'a> = dyn FnMut(i64, Part) -> Result<()> + 'a;

/// Reads what an answer says of itself, and whether it has rows or results.
pub(crate) fn head(path: &Path) -> Result<(Head, bool)> {
    let file = File::open(path).map_err(|error| Error::file(path, &error))?;
    let mut walk = Walk {
        take: &mut |_, _| Ok(()),
        failed: None,
        ids: Vec::new(),
        next: 0,
        head: Head::new(),
        skip: true,
        has_rows: false,
    };
    drive(&mut walk, BufReader::with_capacity(1 << 16, file))?;
    Ok((walk.head, walk.has_rows))
}

/// Reads an answer, and gives its parts in the order in which they come. Returns what it says of itself.
pub(crate) fn read(path: &Path, take: &mut Take<'_>) -> Result<Head> {
    let mut file = File::open(path).map_err(|error| Error::file(path, &error))?;
    let mut n_taken = 0_u64;
    let mut counting = |layer: i64, part: Part| {
        n_taken += 1;
        take(layer, part)
    };
    let mut walk = Walk {
        take: &mut counting,
        failed: None,
        ids: Vec::new(),
        next: 0,
        head: Head::new(),
        skip: false,
        has_rows: false,
    };
    let first = drive(&mut walk, BufReader::with_capacity(1 << 16, &file));
    let Err(Error::Protocol(problem)) = &first else { return first.map(|()| walk.head) };
    if !problem.contains(ID_LATER) || n_taken > 0 {
        return Err(first.err().unwrap_or_else(|| Error::Protocol(String::new())));
    }
    // The ids come after the rows: look for them first.
    let mut ids = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(|error| Error::file(path, &error))?;
    let top: Ids = serde_json::from_reader(BufReader::with_capacity(1 << 16, &file))?;
    ids.extend(top.layers.into_iter().chain(top.edits).map(|layer| layer.id));
    file.seek(SeekFrom::Start(0)).map_err(|error| Error::file(path, &error))?;
    let mut walk = Walk { take, failed: None, ids, next: 0, head: Head::new(), skip: false, has_rows: false };
    drive(&mut walk, BufReader::with_capacity(1 << 16, &file))?;
    Ok(walk.head)
}

const ID_LATER: &str = "rows of a layer whose id comes later";

#[derive(Deserialize)]
struct Ids {
    #[serde(default)]
    layers: Vec<IdOnly>,
    #[serde(default)]
    edits: Vec<IdOnly>,
}

#[derive(Deserialize)]
struct IdOnly {
    id: i64,
}

fn drive<R: std::io::Read>(walk: &mut Walk<'_, '_>, reader: R) -> Result<()> {
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let done = Top(walk).deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match (walk.failed.take(), done) {
        (Some(error), _) => Err(error),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) if error.is_io() => Err(Error::File(format!("the answer cannot be read: {error}"))),
        (None, Err(error)) if error.is_eof() => {
            Err(Error::Unreachable("the answer is cut off; run the command again".to_owned()))
        }
        (None, Err(error)) => Err(Error::Protocol(error.to_string())),
    }
}

struct Walk<'a, 'b> {
    take: &'a mut Take<'b>,
    /// Why a part was not taken; the reading ends with an error that nobody sees.
    failed: Option<Error>,
    /// The ids of the layers in the order in which they come, where that had to be found out first.
    ids: Vec<i64>,
    next: usize,
    head: Head,
    /// Whether only the head is wanted.
    skip: bool,
    has_rows: bool,
}

impl Walk<'_, '_> {
    fn give<E: serde::de::Error>(&mut self, layer: i64, part: Part) -> std::result::Result<(), E> {
        (self.take)(layer, part).map_err(|error| {
            self.failed = Some(error);
            E::custom("not taken")
        })
    }
}

/// A seed whose value is read by a closure from a map or a sequence, which may also be null.
macro_rules! seed {
    ($name:ident, $expecting:literal, $visit:ident, $access:ident, |$self:ident, $from:ident| $body:block) => {
        impl<'de> DeserializeSeed<'de> for $name<'_, '_, '_> {
            type Value = ();
            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
                deserializer.deserialize_any(self)
            }
        }
        impl<'de> Visitor<'de> for $name<'_, '_, '_> {
            type Value = ();
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str($expecting)
            }
            fn visit_unit<E>(self) -> std::result::Result<(), E> {
                Ok(())
            }
            fn $visit<A: $access<'de>>($self, mut $from: A) -> std::result::Result<(), A::Error> $body
        }
    };
}

struct Top<'w, 'a, 'b>(&'w mut Walk<'a, 'b>);

seed!(Top, "an answer", visit_map, MapAccess, |self, map| {
    let walk = self.0;
    while let Some(key) = map.next_key::<String>()? {
        match key.as_str() {
            "layers" | "edits" => {
                walk.has_rows = true;
                if walk.skip {
                    map.next_value::<IgnoredAny>()?;
                } else {
                    map.next_value_seed(Layers { walk: &mut *walk, whole: key == "layers" })?;
                }
            }
            _ => {
                let value = map.next_value()?;
                walk.head.insert(key, value);
            }
        }
    }
    Ok(())
});

struct Layers<'w, 'a, 'b> {
    walk: &'w mut Walk<'a, 'b>,
    whole: bool,
}

seed!(Layers, "a list of layers", visit_seq, SeqAccess, |self, list| {
    while list.next_element_seed(OneLayer { walk: &mut *self.walk, whole: self.whole })?.is_some() {}
    Ok(())
});

struct OneLayer<'w, 'a, 'b> {
    walk: &'w mut Walk<'a, 'b>,
    whole: bool,
}

seed!(OneLayer, "a layer", visit_map, MapAccess, |self, map| {
    let OneLayer { walk, whole } = self;
    let mut id = walk.ids.get(walk.next).copied();
    let mut begun = false;
    walk.next += 1;
    while let Some(key) = map.next_key::<String>()? {
        let is_attachment = match key.as_str() {
            "id" => {
                id = Some(map.next_value()?);
                continue;
            }
            "features" => false,
            "attachments" => true,
            _ => {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
        };
        let layer = id.ok_or_else(|| A::Error::custom(ID_LATER))?;
        if whole && !begun {
            walk.give(layer, Part::Whole)?;
            begun = true;
        }
        if whole {
            map.next_value_seed(Rows { walk: &mut *walk, layer, is_attachment })?;
        } else {
            map.next_value_seed(Changes { walk: &mut *walk, layer, is_attachment })?;
        }
    }
    if let (true, false, Some(layer)) = (whole, begun, id) {
        walk.give(layer, Part::Whole)?;
    }
    Ok(())
});

struct Rows<'w, 'a, 'b> {
    walk: &'w mut Walk<'a, 'b>,
    layer: i64,
    is_attachment: bool,
}

seed!(Rows, "a list of features or attachments", visit_seq, SeqAccess, |self, list| {
    if self.is_attachment {
        while let Some(attachment) = list.next_element()? {
            self.walk.give(self.layer, Part::Attachment(attachment))?;
        }
    } else {
        while let Some(feature) = list.next_element()? {
            self.walk.give(self.layer, Part::Row(feature))?;
        }
    }
    Ok(())
});

struct Changes<'w, 'a, 'b> {
    walk: &'w mut Walk<'a, 'b>,
    layer: i64,
    is_attachment: bool,
}

seed!(Changes, "adds, updates, deleteIds and results", visit_map, MapAccess, |self, map| {
    let Changes { walk, layer, is_attachment } = self;
    while let Some(key) = map.next_key::<String>()? {
        match key.as_str() {
            "adds" | "updates" => {
                map.next_value_seed(Rows { walk: &mut *walk, layer, is_attachment })?;
            }
            "deleteIds" => {
                map.next_value_seed(GoneIds { walk: &mut *walk, layer, is_attachment })?;
            }
            "addResults" | "updateResults" | "deleteResults" => {
                map.next_value_seed(Results { walk: &mut *walk, layer, is_attachment })?;
            }
            _ => {
                map.next_value::<IgnoredAny>()?;
            }
        }
    }
    Ok(())
});

struct GoneIds<'w, 'a, 'b> {
    walk: &'w mut Walk<'a, 'b>,
    layer: i64,
    is_attachment: bool,
}

seed!(GoneIds, "a list of global ids", visit_seq, SeqAccess, |self, list| {
    while let Some(id) = list.next_element::<String>()? {
        self.walk.give(self.layer, if self.is_attachment { Part::AttachmentGone(id) } else { Part::Gone(id) })?;
    }
    Ok(())
});

struct Results<'w, 'a, 'b> {
    walk: &'w mut Walk<'a, 'b>,
    layer: i64,
    is_attachment: bool,
}

seed!(Results, "a list of results", visit_seq, SeqAccess, |self, list| {
    while let Some(result) = list.next_element()? {
        self.walk.give(self.layer, Part::Result { is_attachment: self.is_attachment, result })?;
    }
    Ok(())
});

/// The generations of an answer: that of all layers, or those of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Generations {
    /// One for all.
    pub(crate) all: Option<i64>,
    /// The layers' own.
    pub(crate) layers: Vec<(i64, i64)>,
}

impl Generations {
    /// Reads them from what an answer says of itself.
    pub(crate) fn of(head: &Head) -> Generations {
        let number = |value: &Json| value.as_i64().or_else(|| value.as_str()?.parse().ok());
        let layers = match head.get("layerServerGens") {
            Some(Json::Array(listed)) => listed.clone(),
            // One page of the reference has it as a text with JSON in it.
            Some(Json::String(text)) => serde_json::from_str(text).unwrap_or_default(),
            _ => Vec::new(),
        };
        Generations {
            all: head.get("replicaServerGen").and_then(number),
            layers: layers
                .iter()
                .filter_map(|layer| Some((number(&layer["id"])?, number(&layer["serverGen"])?)))
                .collect(),
        }
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_none() && self.layers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (Result<Head>, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("answer.json");
        std::fs::write(&path, text).unwrap();
        let mut seen = Vec::new();
        let head = read(&path, &mut |layer, part| {
            let shown = match part {
                Part::Whole => "whole".to_owned(),
                Part::Row(feature) => format!("row {}", feature.attributes.0.len()),
                Part::Gone(id) => format!("gone {id}"),
                Part::Attachment(attachment) => format!("attachment {}", attachment.global_id),
                Part::AttachmentGone(id) => format!("attachment gone {id}"),
                Part::Result { result, .. } => format!("result {}", result.success),
            };
            seen.push(format!("{layer} {shown}"));
            Ok(())
        });
        (head, seen)
    }

    #[test]
    fn data_and_edits_are_read_in_whatever_order_they_come() {
        let (head, seen) = parts(
            r#"{"layers":[{"features":[{"attributes":{"a":1,"b":null}}],"id":3},{"id":4,"features":[],"attachments":null}],"replicaServerGen":"7"}"#,
        );
        assert_eq!(Generations::of(&head.unwrap()), Generations { all: Some(7), layers: vec![] });
        assert_eq!(seen, ["3 whole", "3 row 2", "4 whole"]);
        let (head, seen) = parts(
            r#"{"layerServerGens":[{"id":0,"serverGen":9}],"edits":[{"id":0,"features":{"adds":[],"updates":[{"attributes":{}}],"deleteIds":["x"],
               "addResults":[{"success":true,"objectId":5,"globalId":"g"}],"updateResults":[{"success":false,"error":{"code":1011,"description":"no"}}]},
               "attachments":{"adds":[{"globalId":"p","parentGlobalId":"g","name":"a","size":3}],"deleteIds":["q"]}}]}"#,
        );
        assert_eq!(Generations::of(&head.unwrap()).layers, [(0, 9)]);
        assert_eq!(
            seen,
            ["0 row 0", "0 gone x", "0 result true", "0 result false", "0 attachment p", "0 attachment gone q"]
        );
    }

    #[test]
    fn an_answer_that_is_cut_off_is_told_from_one_that_is_not_understood() {
        let whole = r#"{"layers":[{"id":3,"features":[{"attributes":{"a":1}}]}],"replicaServerGen":7}"#;
        for length in 1..whole.len() {
            let (head, _) = parts(&whole[..length]);
            assert!(matches!(head, Err(Error::Unreachable(_))), "{length}: {head:?}");
        }
        assert!(matches!(parts("<html>").0, Err(Error::Protocol(_))));
    }
}
