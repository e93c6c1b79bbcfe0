//! Edits in a file that is too large for the memory: an array of `{"id":0,"features":{"adds":[…],…},"attachments":{…}}`, or an
//! object that has it under `edits`, as the answer of another server's synchronizeReplica is. Items come out piece by piece.

use std::{fmt, fs::File, io::BufReader, path::Path};

use serde::de::{DeserializeSeed, Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::{
    error::{Error, Result},
    model::id::LayerId,
};

/// The lists that a layer has for its features, and for its attachments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct List {
    /// The layer.
    pub(crate) layer: LayerId,
    /// `features` or `attachments`.
    pub(crate) of: &'static str,
    /// `adds`, `updates` or `deleteIds`.
    pub(crate) name: &'static str,
}

/// What takes the items of the lists, one by one. False if no more are wanted.
pub(crate) type Sink<'a> = dyn FnMut(List, Box<RawValue>) -> bool + 'a;

/// Reads the file from its beginning to its end, and gives out the items of each list. Blocks.
pub(crate) fn read(path: &Path, sink: &mut Sink<'_>) -> Result<()> {
    let file = File::open(path).map_err(|error| Error::internal("reading an upload", error))?;
    let mut json = serde_json::Deserializer::from_reader(BufReader::with_capacity(1 << 18, file));
    let read = json.deserialize_any(Document(sink)).and_then(|()| json.end());
    read.map_err(|error| {
        Error::invalid(
            "editsUploadId",
            format!("the file is neither an array of edits nor an object with such an array under 'edits': {error}"),
        )
    })
}

/// As JSON what was read of a list, in the form in which edits come with a request.
pub(crate) fn text(list: List, items: &[Box<RawValue>]) -> String {
    let mut text = format!("[{{\"id\":{},\"{}\":{{\"{}\":[", list.layer, list.of, list.name);
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            text.push(',');
        }
        text.push_str(item.get());
    }
    text.push_str("]}}]");
    text
}

struct Document<'a, 'b>(&'a mut Sink<'b>);

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of edits, or an object with edits")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> std::result::Result<(), A::Error> {
        Layers(self.0).visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "edits" => map.next_value_seed(Layers(self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct Layers<'a, 'b>(&'a mut Sink<'b>);

impl<'de> DeserializeSeed<'de> for Layers<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Layers<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of {\"id\":0,\"features\":{}}")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<(), A::Error> {
        while seq.next_element_seed(Layer(self.0))?.is_some() {}
        Ok(())
    }
}

struct Layer<'a, 'b>(&'a mut Sink<'b>);

impl<'de> DeserializeSeed<'de> for Layer<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Layer<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with id and features")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        let mut id = None;
        while let Some(name) = map.next_key::<String>()? {
            let of = match name.as_str() {
                "id" => {
                    id = Some(LayerId(map.next_value()?));
                    continue;
                }
                "features" => "features",
                "attachments" => "attachments",
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            // Nothing is held back until the layer is known.
            let layer = id.ok_or_else(|| A::Error::custom("the id of a layer must come before its edits"))?;
            map.next_value_seed(Lists { layer, of, sink: self.0 })?;
        }
        Ok(())
    }
}

struct Lists<'a, 'b> {
    layer: LayerId,
    of: &'static str,
    sink: &'a mut Sink<'b>,
}

impl<'de> DeserializeSeed<'de> for Lists<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Lists<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with adds, updates and deleteIds")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let known = ["adds", "updates", "deleteIds"].into_iter().find(|known| *known == name);
            match known {
                None => drop(map.next_value::<IgnoredAny>()?),
                Some(name) => {
                    let list = List { layer: self.layer, of: self.of, name };
                    map.next_value_seed(Items { list, sink: self.sink })?;
                }
            }
        }
        Ok(())
    }
}

struct Items<'a, 'b> {
    list: List,
    sink: &'a mut Sink<'b>,
}

impl<'de> DeserializeSeed<'de> for Items<'_, '_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Items<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> std::result::Result<(), A::Error> {
        while let Some(item) = seq.next_element::<Box<RawValue>>()? {
            if !(self.sink)(self.list, item) {
                return Err(A::Error::custom("the reading was given up"));
            }
        }
        Ok(())
    }
}
