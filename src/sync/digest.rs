//! What edits mean, in 32 bytes: by that a request is recognised that comes again.

use sha2::{Digest as _, Sha256};

use crate::model::{
    edit::{Edit, GeometryEdit, LayerEdits, Refusal},
    value::Value,
};

/// A digest of edits in a canonical form: what they mean, not how their JSON was written.
pub(crate) fn digest(edits: &[LayerEdits]) -> Vec<u8> {
    let mut sum = Sha256::new();
    // Layers are edited in an order of our own, whatever that of the request.
    let mut layers: Vec<&LayerEdits> = edits.iter().collect();
    layers.sort_by_key(|layer| layer.layer.key);
    for layer in layers {
        sum.update(b"layer");
        sum.update(layer.layer.key.0.to_le_bytes());
        for edit in &layer.edits {
            match edit {
                Ok(edit) => feed_edit(edit, &mut sum),
                // Rare enough that the text of its meaning will do.
                Err(Refusal { op, global_id, error, .. }) => {
                    sum.update(format!("refused {op:?} {global_id:?} {error:?}"));
                }
            }
        }
    }
    sum.finalize().to_vec()
}

fn feed_edit(edit: &Edit, sum: &mut Sha256) {
    sum.update(edit.op.name());
    sum.update(edit.global_id.0.as_bytes());
    for (index, value) in &edit.values {
        sum.update(index.to_le_bytes());
        match value {
            Value::Null => sum.update(b"n"),
            Value::Integer(number) => feed(b"i", &number.to_le_bytes(), sum),
            Value::Float(number) => feed(b"f", &number.to_le_bytes(), sum),
            Value::Text(text) => {
                feed(b"t", &text.len().to_le_bytes(), sum);
                sum.update(text);
            }
            Value::Guid(guid) => feed(b"g", guid.as_bytes(), sum),
            Value::Instant(number) => feed(b"d", &number.to_le_bytes(), sum),
            Value::Day(number) => feed(b"y", &number.to_le_bytes(), sum),
            Value::TimeOfDay(number) => feed(b"c", &number.to_le_bytes(), sum),
        }
    }
    match &edit.geometry {
        GeometryEdit::Keep => sum.update(b"keep"),
        GeometryEdit::Clear => sum.update(b"clear"),
        GeometryEdit::Set(geometry) => {
            feed(b"set", &geometry.srid.to_le_bytes(), sum);
            geometry.shape.for_each_part(|part| {
                feed(b"part", &part.len().to_le_bytes(), sum);
                for position in part {
                    for ordinate in [position.x, position.y, position.z, position.m] {
                        sum.update(ordinate.to_le_bytes());
                    }
                }
            });
        }
    }
}

fn feed(tag: &[u8], bytes: &[u8], sum: &mut Sha256) {
    sum.update(tag);
    sum.update(bytes);
}
