//! Checksums of what a client holds, which it can compute itself from the Esri JSON that it was sent.
//!
//! Of each feature, the SHA-256 of a canonical form is taken, and its first 16 bytes are read as a big-endian number. The
//! checksum of a layer is the sum of these numbers modulo 2^128, as 32 hexadecimal digits: the order of features does
//! not matter, and a feature more or less changes it.
//!
//! - `rows`: the canonical form is the global id, as 36 characters in lower case without braces. It shows whether the client
//!   holds the right features.
//! - `content`: the global id as above and a line feed; then, for each attribute that is not null, beside object id and global id,
//!   sorted by the bytes of its name: name, `=`, value, line feed; then, if there is one, `geometry=`, the geometry, line feed. A
//!   text is `t`, the number of its bytes in UTF-8, `:`, the bytes. A number is `n` and the 16 lower-case hexadecimal digits of
//!   its IEEE 754 double, 0 for -0: so dates, integers and decimals need no common notation. A geometry is its parts, each in
//!   round brackets: a point, all points, a path, or a ring; each position is its x, y, and, where the layer has them, z and m
//!   as numbers above, or `-` for null, each followed by a comma.
//!
//! Attachments are taken like features with the attributes `parent_globalid` (in braces and capitals, as it is sent), `name`,
//! `content_type`, `size_bytes`, `sha256` (of the bytes, 64 lower-case hexadecimal digits), and `keywords`, if there are any.
//!
//! Object ids are not part of it: a client that added features offline need not know them.

use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    model::{id::GlobalId, layer::Layer},
};

/// The checksums of a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Checksum {
    /// How many features.
    pub(crate) n_features: u64,
    rows: u128,
    content: u128,
}

impl Checksum {
    /// Takes in a feature as it is sent to clients.
    pub(crate) fn add(&mut self, layer: &Layer, feature: &[u8]) -> Result<()> {
        let broken = |problem: &'static str| Error::internal("computing a checksum", problem);
        let feature: Json =
            serde_json::from_slice(feature).map_err(|error| Error::internal("computing a checksum", error))?;
        let (object_id, global_id) = (&layer.object_id_field().name, &layer.global_id_field().name);
        let attributes = feature["attributes"].as_object().ok_or_else(|| broken("a feature has no attributes"))?;
        let id = attributes.get(global_id).and_then(Json::as_str).and_then(GlobalId::parse);
        let id = canonical_id(id.ok_or_else(|| broken("a feature has no global id"))?.0);
        let mut named: Vec<(&String, &Json)> = attributes
            .iter()
            .filter(|(name, value)| *name != object_id && *name != global_id && !value.is_null())
            .collect();
        named.sort_by_key(|(name, _)| name.as_bytes());
        let mut out = id.clone().into_bytes();
        out.push(b'\n');
        for (name, value) in named {
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            match value {
                Json::String(text) => {
                    out.extend_from_slice(format!("t{}:", text.len()).as_bytes());
                    out.extend_from_slice(text.as_bytes());
                }
                value => number(value, &mut out),
            }
            out.push(b'\n');
        }
        if !feature["geometry"].is_null() {
            out.extend_from_slice(b"geometry=");
            geometry(&feature["geometry"], &mut out);
            out.push(b'\n');
        }
        self.n_features += 1;
        self.rows = self.rows.wrapping_add(digest(id.as_bytes()));
        self.content = self.content.wrapping_add(digest(&out));
        Ok(())
    }

    /// The checksum of the identities, as text.
    pub(crate) fn rows(&self) -> String {
        format!("{:032x}", self.rows)
    }

    /// The checksum of everything, as text.
    pub(crate) fn content(&self) -> String {
        format!("{:032x}", self.content)
    }
}

fn canonical_id(id: Uuid) -> String {
    id.hyphenated().to_string()
}

fn digest(bytes: &[u8]) -> u128 {
    let mut first = [0; 16];
    first.iter_mut().zip(Sha256::digest(bytes)).for_each(|(to, from)| *to = from);
    u128::from_be_bytes(first)
}

fn number(value: &Json, out: &mut Vec<u8>) {
    match value.as_f64() {
        None => out.push(b'-'),
        // Adding 0 turns -0 into 0.
        Some(value) => out.extend_from_slice(format!("n{:016x}", (value + 0.0).to_bits()).as_bytes()),
    }
}

fn geometry(geometry: &Json, out: &mut Vec<u8>) {
    let position = |position: &Json, out: &mut Vec<u8>| {
        for ordinate in position.as_array().into_iter().flatten() {
            number(ordinate, out);
            out.push(b',');
        }
    };
    let mut parts = Vec::new();
    match (&geometry["points"], geometry["paths"].as_array().or_else(|| geometry["rings"].as_array())) {
        (points @ Json::Array(_), _) => parts.push(points),
        (_, Some(all)) => parts.extend(all),
        _ => {
            out.push(b'(');
            for name in ["x", "y", "z", "m"] {
                if let Some(ordinate) = geometry.get(name) {
                    number(ordinate, out);
                    out.push(b',');
                }
            }
            out.push(b')');
        }
    }
    for part in parts {
        out.push(b'(');
        part.as_array().into_iter().flatten().for_each(|one| position(one, out));
        out.push(b')');
    }
}
