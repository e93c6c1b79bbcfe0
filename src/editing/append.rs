//! append: features out of a file, some of which may be there already.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use serde_json::{Map, Value as Json, json};
use sqlx::Row as _;

use crate::{
    app::App,
    error::{Error, Result},
    model::{
        edit::{Edit, EditError, EditErrorCode, EditResult, LayerEdits, Op, Refusal, Sequence},
        id::GlobalId,
        key::Key,
        layer::{Layer, Service},
        provenance::EditOperation,
        value::Value,
    },
    replica::{Run, answer::Answer},
    sql::select::{self, MAX_MATCHES, Matched},
    store::{Session, WriteTx},
    sync::{
        connected::{Entered, Sent, all_refused, at_the_end, keep_part},
        direct,
        failure::Failure,
    },
    wire::{
        append::{AppendRequest, SourceFeatures, Upsert},
        edits::result_json,
    },
};

use super::{
    Outcome, commit, new_id, sent,
    source::{Features, Source},
};

/// How many values are looked up at a time.
const VALUES_AT_ONCE: usize = 5_000;

/// The most refused features that an answer lists.
const MAX_LISTED: usize = 1_000;

/// Features that are to be put into a layer.
pub(super) struct Append {
    layer: Arc<Layer>,
    request: Arc<AppendRequest>,
    features: Features,
}

/// What has become of the features so far.
#[derive(Default)]
struct Counts {
    n_features: usize,
    n_edits: usize,
    n_added: usize,
    n_updated: usize,
    n_refused: usize,
    /// As many as the answer lists.
    refused: Vec<EditResult>,
}

/// Why all edits were undone.
struct Undone {
    /// How many batches came before the one in which an edit was refused; `None` if the database refused at the end.
    batch: Option<usize>,
    /// The edits of that batch.
    edits: Vec<LayerEdits>,
    /// What became of them.
    results: Vec<Vec<EditResult>>,
    /// What is said of all others.
    of_others: EditError,
}

impl Append {
    /// Opens the source.
    pub(super) async fn of(app: &App, layer: Arc<Layer>, request: AppendRequest, source: Source) -> Result<Append> {
        let request = Arc::new(request);
        let limit = app.config.max_body_bytes;
        let features = Features::of(layer.clone(), request.clone(), source, limit).await?;
        Ok(Append { layer, request, features })
    }

    /// Puts them into the layer, some thousands at a time.
    pub(super) async fn apply(&self, app: &App, session: &mut Session, service: &Service, run: &Run) -> Result<Answer> {
        let own_ids = self.request.upsert.as_ref().is_some_and(|upsert| upsert.field == self.layer.global_id);
        let sent = sent(app, service, run, EditOperation::Append, !own_ids && !self.request.use_global_ids());
        let how = (self.request.policy, Sequence::ParentsFirst);
        let mut tx = session.write(service.key, None).await?;
        let (mut entered, mut counts) = (Entered::default(), Counts::default());
        let mut batches = self.features.read();
        let mut n_batches = 0;
        while let Some(features) = batches.next().await? {
            let edits = [LayerEdits { layer: self.layer.clone(), edits: self.edits(&mut tx, &features).await? }];
            let applied = direct::apply_part(&mut tx, service, &edits, how, (&sent, &mut entered)).await?;
            if applied.undone {
                tx.roll_back().await?;
                let undone = Undone::by(n_batches, edits.into(), applied.results);
                self.keep(session, service, &sent, &undone).await?;
                let results = undone.results.into_iter().map(|results| (self.layer.id, results)).collect();
                return Err(Error::RolledBack { n_before: entered.n_before(self.layer.key), results });
            }
            counts.add(features.len(), applied.results.into_iter().next().unwrap_or_default());
            n_batches += 1;
        }
        let outcome = counts.outcome(app, &self.layer, run);
        let done = commit(app, tx, service, outcome, run).await;
        if done.as_ref().is_err_and(Failure::is_at_the_end) {
            self.keep(session, service, &sent, &Undone::at_the_end()).await?;
        }
        done
    }

    /// Keeps all edits, which were undone, as far as there is room for them. The source is read once more.
    async fn keep(&self, session: &mut Session, service: &Service, sent: &Sent, undone: &Undone) -> Result<()> {
        let mut tx = session.write(service.key, None).await?;
        let mut entered = Entered::default();
        let mut batches = self.features.read();
        let mut n_batches = 0;
        while let Some(features) = batches.next().await? {
            let n_left_out = if undone.batch == Some(n_batches) {
                keep_part(&mut tx, service, &undone.edits, &undone.results, (sent, &mut entered)).await?
            } else {
                let edits = [LayerEdits { layer: self.layer.clone(), edits: self.edits(&mut tx, &features).await? }];
                let results = [all_refused(&edits[0], &undone.of_others)];
                keep_part(&mut tx, service, &edits, &results, (sent, &mut entered)).await?
            };
            if n_left_out > 0 {
                break;
            }
            n_batches += 1;
        }
        tx.commit().await
    }

    /// What some of the features come to.
    async fn edits(&self, tx: &mut WriteTx<'_>, features: &SourceFeatures) -> Result<Edits> {
        match &self.request.upsert {
            None => {
                let edit = |index| features.edit(index, &self.layer, None, true, new_id());
                Ok((0..features.len()).filter_map(edit).collect())
            }
            Some(upsert) => self.upserts(tx, upsert, features).await,
        }
    }

    /// The edits, where features may be there already. A value that comes twice in the source is the same feature: in another batch, it is there.
    async fn upserts(&self, tx: &mut WriteTx<'_>, upsert: &Upsert, features: &SourceFeatures) -> Result<Edits> {
        let keys = features.keys(&self.layer, upsert.field);
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
                edits.push(Err(Refusal { sent: features.sent(index), ..ambiguous(field, key) }));
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
            let Some(edit) = features.edit(index, &self.layer, there, with_geometry, id) else { continue };
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

/// Edits, or why something is none.
type Edits = Vec<std::result::Result<Edit, Refusal>>;

impl Counts {
    fn add(&mut self, n_features: usize, results: Vec<EditResult>) {
        self.n_features += n_features;
        self.n_edits += results.len();
        for result in results {
            match (&result.error, result.op) {
                (None, Op::Add) => self.n_added += 1,
                (None, _) => self.n_updated += 1,
                (Some(_), _) => {
                    self.n_refused += 1;
                    if self.refused.len() < MAX_LISTED {
                        self.refused.push(result);
                    }
                }
            }
        }
    }

    fn outcome(self, app: &App, layer: &Layer, run: &Run) -> Outcome {
        let (n_applied, n_refused) = (self.n_added + self.n_updated, self.n_refused);
        let mut head: Map<String, Json> = Map::from_iter([
            ("layerName".to_owned(), layer.name.as_str().into()),
            ("recordCount".to_owned(), n_applied.into()),
            ("insertCount".to_owned(), self.n_added.into()),
            ("updateCount".to_owned(), self.n_updated.into()),
            ("skippedCount".to_owned(), (self.n_features - self.n_edits).into()),
        ]);
        if n_refused > 0 {
            head.insert("refusedCount".to_owned(), n_refused.into());
            head.insert("refused".to_owned(), self.refused.iter().map(result_json).collect());
        }
        let mut document = app.files.spool(&run.progress);
        let mut answer = json!({"success": n_refused == 0});
        if let Some(members) = answer.as_object_mut() {
            members.extend(head.clone());
        }
        document.buffer().extend_from_slice(answer.to_string().as_bytes());
        Outcome { document, head, n_applied, n_refused }
    }
}

impl Undone {
    /// Undone by a refused edit.
    fn by(batch: usize, edits: Vec<LayerEdits>, results: Vec<Vec<EditResult>>) -> Undone {
        let errors = || results.iter().flatten().filter_map(|result| result.error.as_ref());
        let said = errors().find(|error| error.code == EditErrorCode::RolledBack);
        let of_others = said.cloned().unwrap_or_else(|| EditError {
            code: EditErrorCode::RolledBack,
            description: "Operation rolled back because of others.".to_owned(),
        });
        Undone { batch: Some(batch), edits, results, of_others }
    }

    /// Undone by the database, which does not say because of which edit.
    fn at_the_end() -> Undone {
        Undone { batch: None, edits: Vec::new(), results: Vec::new(), of_others: at_the_end() }
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
