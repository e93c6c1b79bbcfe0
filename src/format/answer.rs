//! Answers that have no features: numbers, object ids, extents.

use serde_json::{Value as Json, json};

use crate::{error::Result, model::output::Encoding};

use super::{esri_json, json::integer, pbf};

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
    /// Whether there are any yet.
    Json(bool),
    /// What is told in front of them is how long they are.
    Pbf(pbf::IdsWriter),
}

impl IdsWriter {
    /// Begins an answer with the ids in the field with this name.
    pub(crate) fn begin(field_name: &str, encoding: Encoding, out: &mut Vec<u8>) -> IdsWriter {
        if encoding == Encoding::Pbf {
            return IdsWriter::Pbf(pbf::IdsWriter::new(field_name));
        }
        esri_json::begin(&json!({"objectIdFieldName": field_name}), "objectIds", out);
        IdsWriter::Json(false)
    }

    /// Begins an answer with the same ids as unique ids, as newer clients call them. There is no other encoding of them.
    pub(crate) fn begin_unique(field_name: &str, out: &mut Vec<u8>) -> IdsWriter {
        let head = json!({"uniqueIdField": {"name": field_name, "isSystemMaintained": true}});
        esri_json::begin(&head, "uniqueIds", out);
        IdsWriter::Json(false)
    }

    /// Appends an id.
    pub(crate) fn id(&mut self, id: i64, out: &mut Vec<u8>) -> Result<()> {
        match self {
            IdsWriter::Json(any) => {
                if *any {
                    out.push(b',');
                }
                *any = true;
                integer(id, out);
                Ok(())
            }
            IdsWriter::Pbf(writer) => writer.id(id),
        }
    }

    /// Ends the answer.
    pub(crate) fn end(self, out: &mut Vec<u8>) {
        match self {
            IdsWriter::Json(_) => esri_json::end(false, out),
            IdsWriter::Pbf(writer) => out.extend_from_slice(&writer.finish()),
        }
    }
}
