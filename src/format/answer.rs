//! Answers that have no features: numbers, object ids, extents.

use serde_json::{Value as Json, json};

use crate::model::output::Encoding;

use super::{json::integer, pbf};

/// How many rows there are.
pub(crate) fn count(count: i64, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Json => json!({"count": count}).to_string().into_bytes(),
        // Readers look for the number here or there.
        Encoding::GeoJson => {
            json!({"type": "FeatureCollection", "count": count, "properties": {"count": count}, "features": []})
                .to_string()
                .into_bytes()
        }
        Encoding::Pbf => pbf::count(count),
    }
}

/// A box, and how many rows there are if that was asked, too. `extent` is an envelope as Esri JSON has it.
pub(crate) fn extent(extent: Json, count: Option<i64>, encoding: Encoding) -> Vec<u8> {
    let extent = match encoding {
        Encoding::Json => extent,
        Encoding::GeoJson => {
            let corner = |name: &str| &extent[name];
            let [xmin, ymin, xmax, ymax] = ["xmin", "ymin", "xmax", "ymax"].map(corner);
            let ring = json!([[xmin, ymin], [xmax, ymin], [xmax, ymax], [xmin, ymax], [xmin, ymin]]);
            json!({"type": "Polygon", "coordinates": [ring], "bbox": [xmin, ymin, xmax, ymax]})
        }
        Encoding::Pbf => return pbf::extent(&extent, count),
    };
    let mut answer = json!({"extent": extent});
    if let Some(count) = count {
        answer["count"] = count.into();
    }
    answer.to_string().into_bytes()
}

/// Writes object ids as they come. In GeoJSON they are what they are in Esri JSON: there are no features to be a collection of.
pub(crate) enum IdsWriter {
    /// The answer so far, and whether it has ids.
    Json(Vec<u8>, bool),
    /// The same in protocol buffers.
    Pbf(pbf::IdsWriter),
}

impl IdsWriter {
    /// A writer of the ids in the field with this name.
    pub(crate) fn new(field_name: &str, encoding: Encoding) -> IdsWriter {
        if encoding == Encoding::Pbf {
            return IdsWriter::Pbf(pbf::IdsWriter::new(field_name));
        }
        let mut out = json!({"objectIdFieldName": field_name}).to_string().into_bytes();
        out.pop();
        out.extend_from_slice(b",\"objectIds\":[");
        IdsWriter::Json(out, false)
    }

    /// A writer of the same ids as unique ids, as newer clients call them. There is no other encoding of them.
    pub(crate) fn unique(field_name: &str) -> IdsWriter {
        let head = json!({"uniqueIdField": {"name": field_name, "isSystemMaintained": true}});
        let mut out = head.to_string().into_bytes();
        out.pop();
        out.extend_from_slice(b",\"uniqueIds\":[");
        IdsWriter::Json(out, false)
    }

    /// Appends an id.
    pub(crate) fn id(&mut self, id: i64) {
        match self {
            IdsWriter::Json(out, any) => {
                if *any {
                    out.push(b',');
                }
                *any = true;
                integer(id, out);
            }
            IdsWriter::Pbf(writer) => writer.id(id),
        }
    }

    /// The whole answer.
    pub(crate) fn finish(self) -> Vec<u8> {
        match self {
            IdsWriter::Json(mut out, _) => {
                out.extend_from_slice(b"]}");
                out
            }
            IdsWriter::Pbf(writer) => writer.finish(),
        }
    }
}
