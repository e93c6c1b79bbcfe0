//! Changes of layers for whoever asks, as parts of an answer.

use std::pin::pin;

use futures_util::TryStreamExt as _;
use sqlx::Row as _;

use crate::{
    error::{Error, Result},
    files::Spool,
    format::json::{global_id, integer},
    model::{id::GlobalId, layer::Layer},
    sql::changes::{self, Changes, N_HEAD},
    store::ReadTx,
};

use super::download::{AttachmentBytes, RowWriter};

/// What is told of the rows.
#[derive(Clone, Copy)]
pub(crate) struct Told {
    /// Object ids alone.
    pub(crate) ids_only: bool,
    /// Deleted rows as they were.
    pub(crate) deleted_features: bool,
    /// Updated rows at all; they may be read only for what follows from them.
    pub(crate) updates: bool,
}

/// What was found in a window of a layer.
#[derive(Default)]
pub(crate) struct Found {
    /// How many rows are told.
    pub(crate) n_rows: u64,
    /// Whether an update changed a geometry.
    pub(crate) geometry_changed: bool,
    /// Object ids of rows of which a compared field changed.
    pub(crate) field_updates: Vec<i64>,
}

/// Appends the lists of what changed, `"adds":[…],"updates":[…],"deleteIds":[…]`: features of a layer or attachments of one.
pub(crate) async fn changes(
    tx: &mut ReadTx<'_>,
    layer: &Layer,
    wanted: &Changes<'_>,
    told: Told,
    bytes: AttachmentBytes<'_>,
    spool: &mut Spool,
) -> Result<Found> {
    let names: [&str; 3] = match told.ids_only || told.deleted_features {
        true => ["\"adds\":[", "],\"updates\":[", "],\"deletes\":["],
        false => ["\"adds\":[", "],\"updates\":[", "],\"deleteIds\":["],
    };
    let writer = RowWriter::new(layer, wanted.columns, bytes);
    let mut found = Found::default();
    spool.buffer().extend_from_slice(names[0].as_bytes());
    let mut open = 0;
    let mut n_in_list = 0;
    // An empty window needs no statement.
    if wanted.window.after < wanted.window.upto {
        let mut rows = pin!(tx.stream(changes::changes(layer, wanted))?);
        while let Some(row) = rows.try_next().await? {
            let kind = usize::try_from(row.try_get::<i32, _>(0)?).unwrap_or(0);
            found.geometry_changed |= row.try_get::<bool, _>(1)?;
            if row.try_get(2)? {
                found.field_updates.push(row.try_get(4)?);
            }
            if kind == 1 && !told.updates {
                continue;
            }
            while open < kind {
                open += 1;
                n_in_list = 0;
                let name =
                    names.get(open).ok_or_else(|| Error::internal("writing changes", "there is no such list"))?;
                spool.buffer().extend_from_slice(name.as_bytes());
            }
            if n_in_list > 0 {
                spool.buffer().push(b',');
            }
            n_in_list += 1;
            found.n_rows += 1;
            if told.ids_only {
                integer(row.try_get(4)?, spool.buffer());
            } else if kind == 2 && !told.deleted_features {
                global_id(GlobalId(row.try_get(3)?), spool.buffer());
            } else {
                writer.write(&row, N_HEAD, spool).await?;
            }
            spool.relieve().await?;
        }
    }
    for name in names.iter().skip(open + 1) {
        spool.buffer().extend_from_slice(name.as_bytes());
    }
    spool.buffer().push(b']');
    Ok(found)
}

/// The box round what changed. `None` if nothing with a geometry did.
pub(crate) async fn extent(
    tx: &mut ReadTx<'_>,
    layer: &Layer,
    wanted: &Changes<'_>,
    srid: i32,
) -> Result<Option<[f64; 4]>> {
    let Some(statement) = changes::extent(layer, wanted, srid) else { return Ok(None) };
    let row = tx.one(statement).await?;
    let corner = |index| row.try_get::<Option<f64>, _>(index);
    Ok(match (corner(0)?, corner(1)?, corner(2)?, corner(3)?) {
        (Some(xmin), Some(ymin), Some(xmax), Some(ymax)) => Some([xmin, ymin, xmax, ymax]),
        _ => None,
    })
}

/// Column and row of each cell of a grid over `whole` that what changed reaches.
pub(crate) async fn cells(
    tx: &mut ReadTx<'_>,
    layer: &Layer,
    wanted: &Changes<'_>,
    srid: i32,
    whole: [f64; 4],
    n_cells: i32,
) -> Result<Vec<(i32, i32)>> {
    let Some(statement) = changes::cells(layer, wanted, srid, whole, n_cells) else { return Ok(Vec::new()) };
    let mut rows = pin!(tx.stream(statement)?);
    let mut reached = Vec::new();
    while let Some(row) = rows.try_next().await? {
        reached.push((row.try_get(0)?, row.try_get(1)?));
    }
    Ok(reached)
}
