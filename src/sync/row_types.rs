//! Whether the values of updates are in the domains of the types that their rows have.
//!
//! An edit that names its type was held against the domains of that when it was read. For one that does not, the type stands in the row.

use std::collections::HashMap;

use serde_json::Value as Json;
use sqlx::Row as _;
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    format::json::FeatureWriter,
    model::{
        edit::{Edit, Op},
        geometry::Dimensions,
        layer::Layer,
        query::Columns,
        value::{Scalar, Value, coerce},
    },
    sql::select,
    store::WriteTx,
};

use super::search::ROWS_PER_STATEMENT;

/// The edits among these that set a field to what it does not take in a row of this type, by their places, each with the reason.
/// Edits of a feature are in the order in which they are applied.
pub(super) async fn misfits(
    tx: &mut WriteTx<'_>,
    layer: &Layer,
    edits: &[(usize, &Edit)],
) -> Result<Vec<(usize, String)>> {
    let rules = &layer.rules;
    let Some(types) = &rules.types else { return Ok(Vec::new()) };
    let is_open = |edit: &Edit| {
        edit.op != Op::Delete
            && edit.value(types.field).is_none()
            && edit.values.iter().any(|(index, _)| rules.depends_on_type(*index))
    };
    let open: Vec<Uuid> = edits.iter().filter(|(_, edit)| is_open(edit)).map(|(_, edit)| edit.global_id.0).collect();
    let mut type_of = stored(tx, layer, types.field, open).await?;
    let mut refused = Vec::new();
    for (place, edit) in edits {
        if let Some(named) = edit.value(types.field) {
            type_of.insert(edit.global_id.0, named.clone());
        } else if is_open(edit)
            && let Some(row_type) = type_of.get(&edit.global_id.0)
            && let Err(problem) = rules.check_in_type(layer, &edit.values, row_type)
        {
            refused.push((*place, problem));
        }
    }
    Ok(refused)
}

/// The types of those of the features that exist, which nobody changes until the transaction ends.
async fn stored(
    tx: &mut WriteTx<'_>,
    layer: &Layer,
    field: usize,
    features: Vec<Uuid>,
) -> Result<HashMap<Uuid, Value>> {
    let columns = Columns {
        fields: vec![field],
        emptied: Vec::new(),
        srid: None,
        max_offset: None,
        dimensions: Dimensions::default(),
    };
    let writer = FeatureWriter::new(layer, &columns);
    let known = &layer.fields[field];
    let mut found = HashMap::new();
    for some in features.chunks(ROWS_PER_STATEMENT) {
        for row in tx.rows(select::features(layer, &columns, some.to_vec(), true)).await? {
            let mut text = Vec::new();
            writer.write(&row, 1, &mut text)?;
            let read = |error| Error::internal("reading the type of a row", error);
            let feature: Json = serde_json::from_slice(&text).map_err(|error| read(error.to_string()))?;
            let value = Scalar::from(&feature["attributes"][&known.name]);
            found.insert(row.try_get(0)?, coerce(value, known.field_type, known.length).map_err(read)?);
        }
    }
    Ok(found)
}
