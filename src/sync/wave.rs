//! Edits of one kind that go into statements together, and what became of each.

use std::collections::{BTreeMap, HashMap, HashSet};

use uuid::Uuid;

use crate::{
    error::{Error, Result},
    model::{
        edit::{Edit, EditError, EditErrorCode, EditResult, GeometryEdit, Op},
        layer::{Layer, ShapeColumn},
        value::Value,
    },
    sql::{
        fragment::Fragment,
        modify::{self, Rows},
    },
    store::WriteTx,
};

use super::{
    apply::{Sender, Work},
    failure::{explain, is_fatal, is_foreign_key, suppressed},
    search::{ROWS_PER_STATEMENT, Search, culprit},
};

/// What edits must have in common to go into one statement.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Likeness {
    fields: Vec<usize>,
    geometry: bool,
    reproject: bool,
}

impl Likeness {
    fn of(layer: &Layer, edit: &Edit) -> Likeness {
        if edit.op == Op::Delete {
            return Likeness { fields: Vec::new(), geometry: false, reproject: false };
        }
        let srid = layer.shape.as_ref().map(|shape| shape.srid);
        Likeness {
            fields: edit.values.iter().map(|(index, _)| *index).collect(),
            geometry: srid.is_some() && edit.geometry != GeometryEdit::Keep,
            reproject: matches!(&edit.geometry, GeometryEdit::Set(geometry) if Some(geometry.srid) != srid),
        }
    }
}

/// Edits of different features, each with its place in the request.
#[derive(Default)]
pub(super) struct Wave<'a> {
    seen: HashSet<Uuid>,
    groups: BTreeMap<Likeness, Vec<(usize, &'a Edit)>>,
}

impl<'a> Wave<'a> {
    /// Whether it has an edit of the same feature.
    pub(super) fn touches(&self, edit: &Edit) -> bool {
        self.seen.contains(&edit.global_id.0)
    }

    /// Takes an edit of a feature that it does not touch yet.
    pub(super) fn add(&mut self, layer: &Layer, index: usize, edit: &'a Edit) {
        self.seen.insert(edit.global_id.0);
        self.groups.entry(Likeness::of(layer, edit)).or_default().push((index, edit));
    }

    /// Applies its edits, and enters what became of each.
    pub(super) async fn apply(self, tx: &mut WriteTx<'_>, layer: &Layer, op: Op, work: &mut Work<'_>) -> Result<()> {
        for (likeness, mut edits) in self.groups {
            if work.sender == Sender::Server {
                settle_equal(tx, layer, op, &likeness, &mut edits, &mut work.results).await?;
            }
            // In one order everywhere, so that uploads of the same features wait for each other instead of deadlocking.
            edits.sort_by_key(|(_, edit)| edit.global_id);
            let mut search = Search::new(edits.len());
            while let Some(range) = search.next() {
                let Some(chunk) = edits.get(range) else { break };
                match attempt(tx, layer, op, &likeness, chunk).await? {
                    Ok(applied) => {
                        settle(layer, op, chunk, &applied, &mut work.results);
                        search.succeeded(chunk.len());
                    }
                    Err(error) if is_fatal(&error) => return Err(error.into()),
                    Err(error) => {
                        let culprit = culprit(layer, chunk, &error);
                        search.failed(chunk.len(), culprit, (explain(layer, op, &error), is_foreign_key(&error)));
                    }
                }
                if let Some((at, (error, dangling))) = search.refused()
                    && let Some((index, edit)) = edits.get(at)
                {
                    if dangling {
                        work.dangling.push(*index);
                    }
                    work.results[*index] = Some(EditResult {
                        op,
                        global_id: Some(edit.global_id),
                        object_id: None,
                        altered: false,
                        passed_over: None,
                        error: Some(error),
                    });
                }
            }
        }
        Ok(())
    }
}

/// What a statement did.
struct Applied {
    /// Global id and object id of the rows that it touched.
    touched: HashMap<Uuid, i64>,
    /// Those of the other features that were there nevertheless.
    untouched: HashSet<Uuid>,
}

/// Runs the statement of some edits. A statement sees the rows that were there when it began: one that it had to wait for
/// may be gone when it goes on, and made again under the same global id by then. Such a row is locked, and edited after all.
async fn attempt(
    tx: &mut WriteTx<'_>,
    layer: &Layer,
    op: Op,
    likeness: &Likeness,
    edits: &[(usize, &Edit)],
) -> Result<std::result::Result<Applied, sqlx::Error>> {
    let mut touched: HashMap<Uuid, i64> = match tx.edit(statement(layer, op, likeness, edits)?).await? {
        Ok(touched) => touched.into_iter().collect(),
        Err(error) => return Ok(Err(error)),
    };
    let missed: Vec<Uuid> =
        edits.iter().map(|(_, edit)| edit.global_id.0).filter(|id| !touched.contains_key(id)).collect();
    if op == Op::Add || missed.is_empty() {
        return Ok(Ok(Applied { touched, untouched: HashSet::new() }));
    }
    let mut untouched: HashSet<Uuid> = match tx.edit(modify::lock(layer, missed)).await? {
        Ok(standing) => standing.into_iter().map(|(id, _)| id).collect(),
        Err(error) => return Ok(Err(error)),
    };
    let again: Vec<(usize, &Edit)> =
        edits.iter().filter(|(_, edit)| untouched.contains(&edit.global_id.0)).copied().collect();
    if !again.is_empty() {
        match tx.edit(statement(layer, op, likeness, &again)?).await? {
            Ok(more) => touched.extend(more),
            Err(error) => return Ok(Err(error)),
        }
        untouched.retain(|id| !touched.contains_key(id));
    }
    Ok(Ok(Applied { touched, untouched }))
}

fn statement(layer: &Layer, op: Op, likeness: &Likeness, edits: &[(usize, &Edit)]) -> Result<Fragment> {
    if op == Op::Delete {
        return Ok(modify::delete(layer, edits.iter().map(|(_, edit)| edit.global_id.0).collect()));
    }
    let rows = rows(layer, likeness, edits)?;
    Ok(match op {
        Op::Add => modify::upsert(layer, &rows),
        // Nothing to set: it only matters whether the feature is there.
        _ if rows.columns.is_empty() && rows.geometry.is_none() => modify::by_global_id(layer, rows.global_ids),
        _ => modify::update(layer, &rows),
    })
}

/// Gives the edits that would change nothing their results, and takes them out.
async fn settle_equal(
    tx: &mut WriteTx<'_>,
    layer: &Layer,
    op: Op,
    likeness: &Likeness,
    edits: &mut Vec<(usize, &Edit)>,
    results: &mut [Option<EditResult>],
) -> Result<()> {
    if op == Op::Delete {
        return Ok(());
    }
    let mut equal: HashMap<Uuid, i64> = HashMap::new();
    for chunk in edits.chunks(ROWS_PER_STATEMENT) {
        // A value that cannot be compared is found out again, and explained, when it is applied.
        if let Ok(found) = tx.edit(modify::equal(layer, &rows(layer, likeness, chunk)?)).await? {
            equal.extend(found);
        }
    }
    edits.retain(|(index, edit)| match equal.get(&edit.global_id.0) {
        None => true,
        Some(&object_id) => {
            results[*index] = Some(EditResult {
                op,
                global_id: Some(edit.global_id),
                object_id: Some(object_id),
                altered: false,
                passed_over: None,
                error: None,
            });
            false
        }
    });
    Ok(())
}

/// Edits column by column.
fn rows<'a>(layer: &Layer, likeness: &Likeness, edits: &[(usize, &'a Edit)]) -> Result<Rows<'a>> {
    let global_ids: Vec<Uuid> = edits.iter().map(|(_, edit)| edit.global_id.0).collect();
    let mut columns: Vec<(usize, Vec<&Value>)> =
        likeness.fields.iter().map(|&field| (field, Vec::with_capacity(edits.len()))).collect();
    let mut geometry = likeness.geometry.then(|| Vec::with_capacity(edits.len()));
    for (_, edit) in edits {
        for ((_, column), (_, value)) in columns.iter_mut().zip(&edit.values) {
            column.push(value);
        }
        if let (Some(geometry), Some(target)) = (&mut geometry, layer.shape.as_ref().map(ShapeColumn::target)) {
            geometry.push(match &edit.geometry {
                GeometryEdit::Set(given) => Some(
                    given
                        .to_ewkb(target)
                        .map_err(|problem| Error::internal("writing a geometry that was checked before", problem))?,
                ),
                GeometryEdit::Keep | GeometryEdit::Clear => None,
            });
        }
    }
    Ok(Rows { global_ids, columns, geometry, reproject: likeness.reproject })
}

/// The geometries of edits, and nothing else of them.
pub(super) fn rows_of_geometry<'a>(layer: &Layer, reproject: bool, edits: &[(usize, &'a Edit)]) -> Result<Rows<'a>> {
    rows(layer, &Likeness { fields: Vec::new(), geometry: true, reproject }, edits)
}

/// Gives each edit of a statement its result, from the rows that the statement touched. An update or delete that touched
/// nothing found no row, unless a trigger of the table made it so.
fn settle(layer: &Layer, op: Op, edits: &[(usize, &Edit)], applied: &Applied, results: &mut [Option<EditResult>]) {
    for (index, edit) in edits {
        let id = edit.global_id.0;
        let error = match (op, applied.touched.contains_key(&id), applied.untouched.contains(&id)) {
            (_, true, _) | (Op::Delete, false, false) => None,
            (Op::Update, false, false) => Some(EditError {
                code: EditErrorCode::Missing,
                description: format!(
                    "feature {} does not exist in layer {}, or no longer; it was deleted by somebody else",
                    edit.global_id, layer.id
                ),
            }),
            _ => Some(suppressed(layer, op)),
        };
        results[*index] = Some(EditResult {
            op,
            global_id: Some(edit.global_id),
            object_id: applied.touched.get(&id).copied(),
            altered: error.is_none() && is_altered(layer, edit),
            passed_over: edit.passed_over.clone().filter(|_| error.is_none()),
            error,
        });
    }
}

/// Whether the stored row may differ from what the client holds after its edit.
fn is_altered(layer: &Layer, edit: &Edit) -> bool {
    let filled_in = |index: usize| {
        let field = &layer.fields[index];
        field.has_default && layer.is_writable(index) && !edit.values.iter().any(|(named, _)| *named == index)
    };
    layer.alters_rows || (edit.op == Op::Add && (0..layer.fields.len()).any(filled_in))
}
