//! A reader of protocol buffers that knows nothing of the program's: members by their numbers, and what the published
//! schema says they are.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

/// A member as it stands on the wire.
#[derive(Clone, Debug)]
pub enum Wire {
    Number(u64),
    Eight([u8; 8]),
    Four([u8; 4]),
    Bytes(Vec<u8>),
}

/// The members of a message, by their numbers, each in the order in which it came.
#[derive(Clone, Debug, Default)]
pub struct Message(BTreeMap<u64, Vec<Wire>>);

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (&byte, rest) = bytes.split_first().expect("a number ends too early");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return value;
        }
    }
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

impl Message {
    pub fn read(mut bytes: &[u8]) -> Message {
        let mut message = Message::default();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let value = match key & 7 {
                0 => Wire::Number(varint(&mut bytes)),
                1 => {
                    let (eight, rest) = bytes.split_first_chunk().unwrap();
                    bytes = rest;
                    Wire::Eight(*eight)
                }
                2 => {
                    let length = usize::try_from(varint(&mut bytes)).unwrap();
                    let (taken, rest) = bytes.split_at(length);
                    bytes = rest;
                    Wire::Bytes(taken.to_vec())
                }
                5 => {
                    let (four, rest) = bytes.split_first_chunk().unwrap();
                    bytes = rest;
                    Wire::Four(*four)
                }
                other => panic!("wire type {other}"),
            };
            message.0.entry(key >> 3).or_default().push(value);
        }
        message
    }

    fn all(&self, number: u64) -> &[Wire] {
        self.0.get(&number).map_or(&[], Vec::as_slice)
    }

    pub fn number(&self, number: u64) -> u64 {
        match self.all(number) {
            [] => 0,
            [Wire::Number(value)] => *value,
            other => panic!("member {number} is {other:?}"),
        }
    }

    pub fn double(&self, number: u64) -> f64 {
        match self.all(number) {
            [] => 0.0,
            [Wire::Eight(bytes)] => f64::from_le_bytes(*bytes),
            other => panic!("member {number} is {other:?}"),
        }
    }

    pub fn bytes(&self, number: u64) -> Vec<&[u8]> {
        let each = self.all(number).iter().map(|value| match value {
            Wire::Bytes(bytes) => bytes.as_slice(),
            other => panic!("member {number} is {other:?}"),
        });
        each.collect()
    }

    pub fn text(&self, number: u64) -> String {
        self.bytes(number).first().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).unwrap_or_default()
    }

    pub fn message(&self, number: u64) -> Option<Message> {
        self.bytes(number).first().map(|bytes| Message::read(bytes))
    }

    pub fn packed(&self, number: u64) -> Vec<u64> {
        let mut values = Vec::new();
        for mut bytes in self.bytes(number) {
            while !bytes.is_empty() {
                values.push(varint(&mut bytes));
            }
        }
        values
    }
}

/// An attribute as JSON has it.
fn value(message: &Message) -> Json {
    let Some((number, values)) = message.0.first_key_value() else { return Json::Null };
    match (number, &values[0]) {
        (1, Wire::Bytes(bytes)) => String::from_utf8(bytes.clone()).unwrap().into(),
        // The shortest text of a number in 32 bits is what JSON has.
        (2, Wire::Four(bytes)) => serde_json::from_str(&f32::from_le_bytes(*bytes).to_string()).unwrap(),
        (3, Wire::Eight(bytes)) => f64::from_le_bytes(*bytes).into(),
        (4 | 8, Wire::Number(value)) => unzigzag(*value).into(),
        (5..=7, Wire::Number(value)) => (*value).into(),
        other => panic!("value {other:?}"),
    }
}

/// An answer with features, as Esri JSON has it.
pub fn feature_set(bytes: &[u8]) -> Json {
    let answer = Message::read(bytes);
    assert_eq!(answer.text(1), "1", "the version");
    let result = answer.message(2).unwrap().message(1).expect("features");
    let names: Vec<String> = result.bytes(13).iter().map(|field| Message::read(field).text(1)).collect();
    let (has_z, has_m) = (result.number(10) == 1, result.number(11) == 1);
    let transform = result.message(12).expect("a transform, which there always is");
    let (scale, translate) = (transform.message(2).unwrap(), transform.message(3).unwrap());
    let down = if transform.number(1) == 0 { -1.0 } else { 1.0 };
    let kind = result.number(7);
    #[expect(clippy::cast_precision_loss, reason = "numbers stay within 2^53")]
    let geometry = |message: &Message| {
        let coords: Vec<i64> = message.packed(3).into_iter().map(unzigzag).collect();
        let width = 2 + usize::from(has_z) + usize::from(has_m);
        let mut lengths = message.packed(2);
        if kind == 0 {
            assert!(lengths.is_empty());
            lengths = vec![1];
        }
        let mut tuples = coords.chunks(width);
        let mut parts = Vec::new();
        for length in lengths {
            let mut at = [0, 0];
            let mut part = Vec::new();
            for tuple in tuples.by_ref().take(usize::try_from(length).unwrap()) {
                at = [at[0] + tuple[0], at[1] + tuple[1]];
                let mut vertex = vec![
                    json!(at[0] as f64 * scale.double(1) + translate.double(1)),
                    json!(down * at[1] as f64 * scale.double(2) + translate.double(2)),
                ];
                let mut rest = tuple[2..].iter();
                if has_z {
                    vertex.push(json!(*rest.next().unwrap() as f64 * scale.double(4) + translate.double(4)));
                }
                if has_m {
                    vertex.push(match *rest.next().unwrap() {
                        0 => Json::Null,
                        m => json!(m as f64 * scale.double(3) + translate.double(3)),
                    });
                }
                part.push(Json::Array(vertex));
            }
            parts.push(Json::Array(part));
        }
        assert!(tuples.next().is_none(), "more coordinates than lengths tell");
        match kind {
            0 => parts[0][0].clone(),
            1 => json!({"points": parts[0]}),
            2 => json!({"paths": parts}),
            3 => json!({"rings": parts}),
            other => panic!("geometry type {other}"),
        }
    };
    let features: Vec<Json> = result
        .bytes(15)
        .iter()
        .map(|bytes| {
            let feature = Message::read(bytes);
            let values = feature.bytes(1);
            assert_eq!(values.len(), names.len(), "a value for each field");
            let attributes: Map<String, Json> =
                names.iter().cloned().zip(values.iter().map(|bytes| value(&Message::read(bytes)))).collect();
            let mut shown = json!({"attributes": attributes});
            if let Some(message) = feature.message(2) {
                shown["geometry"] = geometry(&message);
            }
            if let Some(message) = feature.message(4) {
                let coords: Vec<i64> = message.packed(3).into_iter().map(unzigzag).collect();
                #[expect(clippy::cast_precision_loss, reason = "numbers stay within 2^53")]
                let [x, y] = [coords[0] as f64, coords[1] as f64];
                shown["centroid"] = json!({"x": x * scale.double(1) + translate.double(1), "y": down * y * scale.double(2) + translate.double(2)});
            }
            shown
        })
        .collect();
    json!({
        "objectIdFieldName": result.text(1), "globalIdFieldName": result.text(3), "geometryType": kind,
        "wkid": result.message(8).map(|reference| reference.number(1)), "exceededTransferLimit": result.number(9) == 1,
        "hasZ": has_z, "hasM": has_m,
        "fields": result.bytes(13).iter().map(|field| json!({"name": Message::read(field).text(1), "type": Message::read(field).number(2)})).collect::<Vec<_>>(),
        "features": features,
    })
}
