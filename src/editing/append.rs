//! append: features out of a file, some of which may be there already.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::{Map, Value as Json, json};
use sqlx::Row as _;
use uuid::Uuid;

use crate::{
    app::App,
    error::{Error, Result},
    model::{
        edit::{EditError, EditErrorCode, LayerEdits, Op, Refusal, Sequence},
        id::GlobalId,
        layer::{Layer, Service},
        provenance::EditOperation,
        value::Value,
    },
    replica::{Run, answer::Answer},
    sql::select::{self, MAX_MATCHES, Matched},
    store::{Session, WriteTx},
    sync::{
        connected::{keep_all, keep_undone},
        direct,
        failure::Failure,
    },
    wire::{
        append::{AppendRequest, SourceFeatures, Upsert},
        edits::result_json,
    },
};

use super::{Outcome, commit, new_id, sent};

/// How many values are looked up at a time.
const VALUES_AT_ONCE: usize = 5_000;

/// The most refused features that an answer lists.
const MAX_LISTED: usize = 1_000;

/// Features that have been read out of a file.
pub(super) struct Features {
    /// Where they are to go.
    pub(super) layer: Arc<Layer>,
    /// How.
    pub(super) request: AppendRequest,
    /// They.
    pub(super) features: SourceFeatures,
}

impl Features {
    /// Puts them into the layer.
    pub(super) async fn apply(&self, app: &App, session: &mut Session, service: &Service, run: &Run) -> Result<Answer> {
        let mut tx = session.write(service.key, None).await?;
        let edits = match &self.request.upsert {
            None => (0..self.features.len())
                .filter_map(|index| self.features.edit(index, &self.layer, None, true, new_id()))
                .collect(),
            Some(upsert) => self.upserts(&mut tx, upsert).await?,
        };
        let edits = [LayerEdits { layer: self.layer.clone(), edits }];
        let own_ids = self.request.upsert.as_ref().is_some_and(|upsert| upsert.field == self.layer.global_id);
        let sent = sent(app, service, run, EditOperation::Append, !own_ids && !self.features.use_global_ids());
        let policy = self.request.policy;
        let applied = direct::apply(&mut tx, service, &edits, policy, Sequence::ParentsFirst, &sent).await?;
        if applied.undone {
            tx.roll_back().await?;
            let mut tx = session.write(service.key, None).await?;
            keep_undone(&mut tx, service, &edits, &applied.results, &sent).await?;
            tx.commit().await?;
            return Err(Error::RolledBack {
                results: applied.results.into_iter().map(|results| (self.layer.id, results)).collect(),
            });
        }
        let results = applied.results.into_iter().next().unwrap_or_default();
        let refused = || results.iter().filter(|result| result.error.is_some());
        let n_refused = refused().count();
        let count = |op: Op| results.iter().filter(|result| result.error.is_none() && result.op == op).count();
        let (n_added, n_updated) = (count(Op::Add), count(Op::Update));
        let mut head: Map<String, Json> = Map::from_iter([
            ("layerName".to_owned(), self.layer.name.as_str().into()),
            ("recordCount".to_owned(), (n_added + n_updated).into()),
            ("insertCount".to_owned(), n_added.into()),
            ("updateCount".to_owned(), n_updated.into()),
            ("skippedCount".to_owned(), (self.features.len() - results.len()).into()),
        ]);
        if n_refused > 0 {
            head.insert("refusedCount".to_owned(), n_refused.into());
            head.insert("refused".to_owned(), refused().take(MAX_LISTED).map(result_json).collect());
        }
        let mut document = app.files.spool(&run.progress);
        let mut answer = json!({"success": n_refused == 0});
        if let Some(members) = answer.as_object_mut() {
            members.extend(head.clone());
        }
        document.buffer().extend_from_slice(answer.to_string().as_bytes());
        let outcome = Outcome { document, head, n_applied: n_added + n_updated, n_refused };
        let done = commit(app, tx, service, outcome, run).await;
        if done.as_ref().is_err_and(Failure::is_at_the_end) {
            keep_all(session, service, &edits, &sent).await?;
        }
        done
    }

    /// The edits, where features may be there already. A value that comes twice in the file is the same feature.
    async fn upserts(
        &self,
        tx: &mut WriteTx<'_>,
        upsert: &Upsert,
    ) -> Result<Vec<std::result::Result<crate::model::edit::Edit, Refusal>>> {
        let keys = self.features.keys(&self.layer, upsert.field);
        let mut known = Known::default();
        for some in keys.chunks(VALUES_AT_ONCE) {
            known.look_up(tx, &self.layer, upsert.field, some).await?;
        }
        let own_id = upsert.field == self.layer.global_id;
        let field = &self.layer.fields[upsert.field].name;
        let mut edits = Vec::with_capacity(keys.len());
        for (index, key) in keys.into_iter().enumerate() {
            let key = key.as_ref().and_then(Key::of);
            if let Some(key) = key.as_ref().filter(|key| known.ambiguous.contains(*key)) {
                edits.push(Err(Refusal { sent: self.features.sent(index), ..ambiguous(field, key) }));
                continue;
            }
            let there = key.as_ref().and_then(|key| known.by_key.get(key)).copied();
            if there.is_some() && upsert.skip_updates || there.is_none() && upsert.skip_inserts {
                continue;
            }
            let with_geometry = there.is_none() || upsert.update_geometry;
            let id = match &key {
                Some(Key::Guid(id)) if own_id => GlobalId(*id),
                _ => new_id(),
            };
            let Some(edit) = self.features.edit(index, &self.layer, there, with_geometry, id) else { continue };
            if let (Some(key), Ok(edit)) = (key, &edit) {
                known.by_key.entry(key).or_insert(edit.global_id);
            }
            edits.push(edit);
        }
        // Adds come before updates, as the engine wants them.
        edits.sort_by_key(|edit| edit.as_ref().map_or_else(|refusal| refusal.op, |edit| edit.op) != Op::Add);
        Ok(edits)
    }
}

fn ambiguous(field: &str, key: &Key) -> Refusal {
    Refusal {
        op: Op::Update,
        global_id: None,
        object_id: None,
        error: EditError {
            code: EditErrorCode::NotUnique,
            description: format!(
                "several features have {key} in field '{field}', so that it is not known which one is meant; nothing was done for it"
            ),
        },
        sent: None,
    }
}

/// A value by which features are known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Integer(i64),
    Text(String),
    Guid(Uuid),
}

impl Key {
    fn of(value: &Value) -> Option<Key> {
        match value {
            Value::Integer(number) => Some(Key::Integer(*number)),
            Value::Text(text) => Some(Key::Text(text.clone())),
            Value::Guid(guid) => Some(Key::Guid(*guid)),
            _ => None,
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Key::Integer(number) => write!(f, "{number}"),
            Key::Text(text) => write!(f, "'{}'", crate::model::value::brief(text)),
            Key::Guid(guid) => write!(f, "{}", GlobalId(*guid)),
        }
    }
}

/// Features that are there, by their values.
#[derive(Default)]
struct Known {
    by_key: HashMap<Key, GlobalId>,
    /// Values of several features.
    ambiguous: HashSet<Key>,
}

impl Known {
    async fn look_up(
        &mut self,
        tx: &mut WriteTx<'_>,
        layer: &Layer,
        field: usize,
        values: &[Option<Value>],
    ) -> Result<()> {
        let keys = || values.iter().flatten().filter_map(Key::of);
        let Some(first) = keys().next() else { return Ok(()) };
        let matched = match first {
            Key::Integer(_) => Matched::Integers(
                keys().filter_map(|key| if let Key::Integer(number) = key { Some(number) } else { None }).collect(),
            ),
            Key::Text(_) => Matched::Texts(
                keys().filter_map(|key| if let Key::Text(text) = key { Some(text) } else { None }).collect(),
            ),
            Key::Guid(_) => Matched::Guids(
                keys().filter_map(|key| if let Key::Guid(guid) = key { Some(guid) } else { None }).collect(),
            ),
        };
        let rows = tx.rows(select::matching(layer, field, matched)).await?;
        if i64::try_from(rows.len()).unwrap_or(i64::MAX) >= MAX_MATCHES {
            return Err(Error::invalid(
                "upsertMatchingField",
                "too many features have the same values in it; choose a field whose values are unique",
            ));
        }
        for row in &rows {
            let key = match first {
                Key::Integer(_) => Key::Integer(row.try_get(1)?),
                Key::Text(_) => Key::Text(row.try_get(1)?),
                Key::Guid(_) => Key::Guid(row.try_get(1)?),
            };
            if self.by_key.insert(key.clone(), GlobalId(row.try_get(0)?)).is_some() {
                self.ambiguous.insert(key);
            }
        }
        Ok(())
    }
}
