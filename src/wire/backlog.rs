//! Edits in a file that is too large for the memory: an array of `{"id":0,"features":{"adds":[…],…},"attachments":{…}}`, or an
//! object that has it under `edits`, as the answer of another server's synchronizeReplica is. Items come out piece by piece.

use std::{fmt, fs::File, io::BufReader, path::Path};

use serde::de::{Deserializer as _, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::{
    error::{Error, Result},
    model::id::LayerId,
};

use super::stream::{Items, Members, Object, Objects};

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
    let read = json.deserialize_any(Document(Layer { id: None, sink })).and_then(|()| json.end());
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

/// The document: an array of layers, or an object that has it.
struct Document<'a, 'b>(Layer<'a, 'b>);

impl<'de> Visitor<'de> for Document<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of edits, or an object with edits")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, seq: A) -> std::result::Result<(), A::Error> {
        Objects(&mut self.0).visit_seq(seq)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> std::result::Result<(), A::Error> {
        Object(&mut self).visit_map(map)
    }
}

impl Members for Document<'_, '_> {
    const EXPECTED: &'static str = "an object with edits";

    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> std::result::Result<(), A::Error> {
        match name {
            "edits" => map.next_value_seed(Objects(&mut self.0)),
            _ => map.next_value::<IgnoredAny>().map(drop),
        }
    }
}

/// The edits of a layer.
struct Layer<'a, 'b> {
    id: Option<LayerId>,
    sink: &'a mut Sink<'b>,
}

impl Members for Layer<'_, '_> {
    const EXPECTED: &'static str = "an object with id and features";

    fn begin(&mut self) {
        self.id = None;
    }

    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> std::result::Result<(), A::Error> {
        let of = match name {
            "id" => {
                self.id = Some(LayerId(map.next_value()?));
                return Ok(());
            }
            "features" => "features",
            "attachments" => "attachments",
            _ => return map.next_value::<IgnoredAny>().map(drop),
        };
        // Nothing is held back until the layer is known.
        let layer = self.id.ok_or_else(|| A::Error::custom("the id of a layer must come before its edits"))?;
        map.next_value_seed(Object(&mut Lists { layer, of, sink: self.sink }))
    }
}

/// The lists of edits of a layer's features, or of its attachments.
struct Lists<'a, 'b> {
    layer: LayerId,
    of: &'static str,
    sink: &'a mut Sink<'b>,
}

impl Members for Lists<'_, '_> {
    const EXPECTED: &'static str = "an object with adds, updates and deleteIds";

    fn member<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> std::result::Result<(), A::Error> {
        let Some(name) = ["adds", "updates", "deleteIds"].into_iter().find(|known| *known == name) else {
            return map.next_value::<IgnoredAny>().map(drop);
        };
        let list = List { layer: self.layer, of: self.of, name };
        map.next_value_seed(Items(|item| (self.sink)(list, item)))
    }
}
