//! What is kept of an upload beside its receipts: the edits that were refused, and what the others overwrote.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value as Json};
use sha2::{Digest as _, Sha256};
use sqlx::Row as _;
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    format::{edit::feature, json::FeatureWriter},
    model::{
        edit::{Edit, EditError, EditErrorCode, EditResult, GeometryEdit, LayerEdits, Op, Refusal},
        id::{Generation, GlobalId, LayerKey, ReplicaId},
        layer::{Layer, Service, attachment},
        query::Columns,
        value::Value,
    },
    sql::history,
    store::{
        Session, WriteTx,
        conflicts::Overwrite,
        rejected::{NewRejected, OpenRejected, RejectedOrigin, RejectedState},
        uploads::Upload,
    },
};

/// The most refused edits of a replica that may be open when it uploads more.
const MAX_OPEN: usize = 20_000;
/// Features of which versions are read at once.
const FEATURES_AT_ONCE: usize = 500;
/// The name that a geometry has among the names of fields.
const GEOMETRY: &str = "geometry";

/// The open refused edits of a replica that is about to upload. Refuses the upload if there are too many of them: what could
/// not be kept must not be taken.
pub(super) async fn open(tx: &mut WriteTx<'_>, replica: ReplicaId) -> Result<Vec<OpenRejected>> {
    let open = tx.rejected_open(replica).await?;
    if open.len() > MAX_OPEN {
        return Err(Error::TooLarge {
            what: "the list of refused edits of this replica that wait for somebody to apply or dismiss them (…/FeatureServer/rejectedEdits)",
            limit: MAX_OPEN.to_string(),
        });
    }
    Ok(open)
}

/// Enters what an upload did into the books, in the transaction of its edits.
pub(super) async fn enter(
    tx: &mut WriteTx<'_>,
    service: &Service,
    upload: &Upload,
    batch: i64,
    edits: &[LayerEdits],
    results: &[Vec<EditResult>],
    open: &[OpenRejected],
) -> Result<()> {
    let settled = settled(open, edits, results);
    tx.rejected_close(service.key, &settled, RejectedState::Applied, "client").await?;
    let from = RejectedOrigin::upload(upload.replica, Some(batch), &upload.user);
    tx.rejected_insert(service.key, from, &refused(edits, results)).await?;
    for (layer_edits, results) in edits.iter().zip(results) {
        find_overwrites(tx, service, upload, batch, layer_edits, results).await?;
    }
    for (LayerEdits { layer, .. }, results) in edits.iter().zip(results) {
        let Some(table) =
            layer.attachments.as_ref().filter(|table| edits.iter().all(|edits| edits.layer.key != table.key))
        else {
            continue;
        };
        if results.iter().any(|result| result.op == Op::Delete && result.error.is_none()) {
            let unnamed = LayerEdits { layer: table.clone(), edits: Vec::new() };
            find_overwrites(tx, service, upload, batch, &unnamed, &[]).await?;
        }
    }
    Ok(())
}

/// Keeps the edits of an upload that was undone as a whole: each was received, and none applied.
pub(super) async fn keep_undone(
    session: &mut Session,
    service: &Service,
    replica: ReplicaId,
    edits: &[LayerEdits],
    results: &[Vec<EditResult>],
) -> Result<()> {
    let mut tx = session.write(service.key, None).await?;
    let rows = refused(edits, results);
    tx.rejected_insert(service.key, RejectedOrigin::upload(replica, None, service.caller.name()), &rows).await?;
    tx.commit().await
}

/// Keeps all edits of an upload that cannot be applied at all, for the same reason. Returns how many.
pub(crate) async fn keep_all(
    session: &mut Session,
    service: &Service,
    replica: ReplicaId,
    edits: &[LayerEdits],
    reason: &str,
) -> Result<usize> {
    let result = |edit: &std::result::Result<Edit, Refusal>| {
        let error = EditError { code: EditErrorCode::Other, description: reason.to_owned() };
        match edit {
            Ok(edit) => Refusal { op: edit.op, global_id: Some(edit.global_id), object_id: None, error, sent: None },
            Err(refusal) => refusal.clone(),
        }
        .into()
    };
    let results: Vec<Vec<EditResult>> = edits.iter().map(|layer| layer.edits.iter().map(result).collect()).collect();
    let rows = refused(edits, &results);
    let mut tx = session.write(service.key, None).await?;
    open(&mut tx, replica).await?;
    tx.rejected_insert(service.key, RejectedOrigin::upload(replica, None, service.caller.name()), &rows).await?;
    tx.commit().await?;
    Ok(rows.len())
}

/// Whose edits are kept, and how they are known again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<'a> {
    /// The user, if it is a connected client's; the same edit of two users is two. Empty for a replica, of which all that it sent is its own, and
    /// where nobody knows.
    pub(super) user: &'a str,
    /// Which features have global ids that nobody but the server knows.
    pub(super) anonymous: Anonymous,
}

impl Sender<'_> {
    /// A replica, whose clients name every feature.
    const REPLICA: Sender<'static> = Sender { user: "", anonymous: Anonymous::Nothing };
}

/// Which features have global ids that nobody but the server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anonymous {
    /// None.
    Nothing,
    /// Those that are added.
    Adds,
}

/// The refused ones among edits of a replica, each once.
fn refused(edits: &[LayerEdits], results: &[Vec<EditResult>]) -> Vec<NewRejected> {
    refused_of(edits, results, Sender::REPLICA, &mut Repeated::default())
}

/// The refused ones among edits, each once. Features that came without global ids are told by what they are, and the same one twice is two. Of
/// a request in parts, `repeated` knows the parts before.
pub(super) fn refused_of(
    edits: &[LayerEdits],
    results: &[Vec<EditResult>],
    sender: Sender<'_>,
    repeated: &mut Repeated,
) -> Vec<NewRejected> {
    let mut rows: Vec<NewRejected> = Vec::new();
    let mut places: HashMap<(LayerKey, Vec<u8>), usize> = HashMap::new();
    for (LayerEdits { layer, edits }, results) in edits.iter().zip(results) {
        for (edit, result) in edits.iter().zip(results) {
            let Some(error) = &result.error else { continue };
            let (feature, names) = match edit {
                Ok(edit) => (feature(layer, edit), names(layer, edit)),
                Err(refusal) => {
                    // A text column holds no NUL, which JSON can only have escaped.
                    let sent = refusal.sent.clone().unwrap_or_else(|| "null".to_owned());
                    let names = names_sent(layer, &sent);
                    (sent, names)
                }
            };
            let user = sender.user;
            let digest = match (sender.anonymous, edit) {
                (Anonymous::Adds, Ok(edit)) if edit.op == Op::Add => {
                    repeated.digest(layer, &nameless(layer, edit), user)
                }
                (Anonymous::Adds, Err(refusal)) if refusal.op == Op::Add => repeated.digest(layer, &feature, user),
                _ => digest(result.op, &feature, 0, user),
            };
            let row = NewRejected {
                layer: layer.key,
                op: result.op,
                global_id: result.global_id,
                size_bytes: size(layer, edit, &feature),
                feature,
                names,
                digest,
                error: error.clone(),
            };
            match places.get(&(layer.key, row.digest.clone())) {
                Some(&place) => rows[place] = row,
                None => {
                    places.insert((layer.key, row.digest.clone()), rows.len());
                    rows.push(row);
                }
            }
        }
    }
    rows
}

/// The digests under which the applied ones among a user's adds without global ids would be kept.
pub(super) fn digests_of_adds(
    edits: &[LayerEdits],
    results: &[Vec<EditResult>],
    user: &str,
    repeated: &mut Repeated,
) -> Vec<Vec<u8>> {
    let mut digests = Vec::new();
    for (LayerEdits { layer, edits }, results) in edits.iter().zip(results) {
        for (edit, result) in edits.iter().zip(results) {
            if let (Ok(edit), None, Op::Add) = (edit, &result.error, result.op) {
                digests.push(repeated.digest(layer, &nameless(layer, edit), user));
            }
        }
    }
    digests
}

/// How often features without global ids came in a request.
#[derive(Default)]
pub(super) struct Repeated(HashMap<(LayerKey, Vec<u8>), u32>);

impl Repeated {
    fn digest(&mut self, layer: &Layer, feature: &str, user: &str) -> Vec<u8> {
        let n_before = self.0.entry((layer.key, digest(Op::Add, feature, 0, user))).or_default();
        let digest = digest(Op::Add, feature, *n_before, user);
        *n_before += 1;
        digest
    }
}

/// SHA-256 of operation and feature, of how often the same came before in the request, and of who sent it.
fn digest(op: Op, feature: &str, n_before: u32, user: &str) -> Vec<u8> {
    let mut sum = Sha256::new();
    sum.update(op.name());
    sum.update([0]);
    sum.update(feature);
    if n_before > 0 {
        sum.update([0]);
        sum.update(n_before.to_le_bytes());
    }
    if !user.is_empty() {
        // No JSON has a zero in it, so that no feature ends like this.
        sum.update([0]);
        sum.update(user.to_lowercase());
    }
    sum.finalize().to_vec()
}

/// An added feature without the global id that it was given.
fn nameless(layer: &Layer, edit: &Edit) -> String {
    feature(layer, &Edit { global_id: GlobalId(Uuid::nil()), ..edit.clone() })
}

/// How many bytes a refused edit takes up, with the file of an attachment.
fn size(layer: &Layer, edit: &std::result::Result<Edit, Refusal>, feature: &str) -> i64 {
    let file = match (layer.attached_to, edit) {
        (None, _) => 0,
        (Some(_), Ok(edit)) => match edit.value(attachment::SIZE) {
            Some(Value::Integer(size)) => *size,
            _ => 0,
        },
        (Some(_), Err(_)) => {
            let read = serde_json::from_str::<Json>(feature).unwrap_or(Json::Null);
            read["attributes"][layer.fields[attachment::SIZE].name.as_str()].as_i64().unwrap_or(0)
        }
    };
    i64::try_from(feature.len()).unwrap_or(i64::MAX).saturating_add(file)
}

/// The fields that an edit names, and `geometry`.
fn names(layer: &Layer, edit: &Edit) -> Vec<String> {
    let fields = edit.values.iter().filter_map(|(index, _)| Some(layer.fields.get(*index)?.name.clone()));
    let geometry = (edit.op != Op::Delete && edit.geometry != GeometryEdit::Keep).then(|| GEOMETRY.to_owned());
    fields.chain(geometry).collect()
}

/// The same for an edit that could not be read.
fn names_sent(layer: &Layer, sent: &str) -> Vec<String> {
    let Ok(sent) = serde_json::from_str::<Json>(sent) else { return Vec::new() };
    let attributes = sent["attributes"].as_object();
    let fields = attributes.into_iter().flatten().filter_map(|(name, _)| {
        let index = layer.visible_field(name).filter(|&index| layer.is_editable(index))?;
        Some(layer.fields[index].name.clone())
    });
    let geometry = (layer.shape.is_some() && !sent["geometry"].is_null()).then(|| GEOMETRY.to_owned());
    fields.chain(geometry).collect()
}

/// Open refused edits that the applied ones among these make up for: they delete the feature, or say something about
/// everything that was refused.
pub(super) fn settled(open: &[OpenRejected], edits: &[LayerEdits], results: &[Vec<EditResult>]) -> Vec<i64> {
    if open.is_empty() {
        return Vec::new();
    }
    let mut applied: HashMap<(LayerKey, GlobalId), Vec<(&Layer, &Edit)>> = HashMap::new();
    for (LayerEdits { layer, edits }, results) in edits.iter().zip(results) {
        for (edit, result) in edits.iter().zip(results) {
            if let (Ok(edit), None) = (edit, &result.error) {
                applied.entry((layer.key, edit.global_id)).or_default().push((layer, edit));
            }
        }
    }
    let makes_up = |rejected: &OpenRejected, (layer, edit): (&Layer, &Edit)| {
        edit.op == Op::Delete
            || (rejected.op != Op::Delete && {
                let said = names(layer, edit);
                rejected.names.iter().all(|name| said.contains(name))
            })
    };
    open.iter()
        .filter(|rejected| {
            let later = rejected.global_id.and_then(|id| applied.get(&(rejected.layer, id)));
            later.is_some_and(|edits| edits.iter().any(|edit| makes_up(rejected, *edit)))
        })
        .map(|rejected| rejected.id)
        .collect()
}

/// Finds what the applied edits of a layer overwrote that the client had not seen, and enters it into the books.
async fn find_overwrites(
    tx: &mut WriteTx<'_>,
    service: &Service,
    upload: &Upload,
    batch: i64,
    layer_edits: &LayerEdits,
    results: &[EditResult],
) -> Result<()> {
    let layer = &layer_edits.layer;
    // Attachments are as new to a client as their features.
    let key = layer.attached_to.unwrap_or(layer.key);
    let known = upload.known.iter().find(|(known, _)| *known == key).map(|(_, generation)| *generation);
    let (Some(known), Some(mark)) = (known, tx.mark()) else { return Ok(()) };
    let mut applied: HashMap<Uuid, Vec<&Edit>> = HashMap::new();
    for (edit, result) in layer_edits.edits.iter().zip(results) {
        if let (Ok(edit), None) = (edit, &result.error) {
            applied.entry(edit.global_id.0).or_default().push(edit);
        }
    }
    // A feature takes its attachments along, which nobody names and which may be new to the client.
    let takes_along = layer.attached_to.is_some();
    // Most uploads end here: nobody else changed anything.
    if (applied.is_empty() && !takes_along) || !tx.changed_by_others(service.key, upload.replica, known).await? {
        return Ok(());
    }
    let statement = history::overwritten(layer, service.key.0, mark, upload.replica.0, known.get());
    let mut ids: Vec<Uuid> = Vec::new();
    for row in tx.rows(statement).await? {
        ids.push(row.try_get(0)?);
    }
    ids.retain(|id| takes_along || applied.contains_key(id));
    let gone = merged(&[]);
    let taken_along = [&gone];
    let srid = layer.shape.as_ref().map_or(0, |shape| shape.srid);
    let columns = Columns::visible(layer, srid);
    let writer = FeatureWriter::new(layer, &columns);
    for some in ids.chunks(FEATURES_AT_ONCE) {
        let statement = history::versions(layer, &columns, service.key.0, known.get(), Some(mark), some.to_vec());
        let mut versions: BTreeMap<Uuid, Vec<Version>> = BTreeMap::new();
        for row in tx.rows(statement).await? {
            versions.entry(row.try_get(0)?).or_default().push(Version::read(&row, &writer)?);
        }
        let mut found = Vec::new();
        for (id, versions) in &versions {
            let edits = applied.get(id).map_or(taken_along.as_slice(), Vec::as_slice);
            if let Some(lost) = lost(layer, upload.replica, versions, edits)? {
                found.push(Overwrite { layer: layer.key, global_id: GlobalId(*id), known, ..lost });
            }
        }
        if !found.is_empty() {
            tx.conflict_insert(service.key, upload.replica, batch, &found).await?;
        }
    }
    Ok(())
}

/// A feature as a change found it, and whose change that was.
struct Version {
    /// `None` for the change of the upload itself.
    generation: Option<Generation>,
    origin: Option<ReplicaId>,
    /// `None` if it was not there.
    image: Option<String>,
}

impl Version {
    fn read(row: &sqlx::postgres::PgRow, writer: &FeatureWriter) -> Result<Version> {
        let mut image = Vec::new();
        let existed: bool = row.try_get(3)?;
        if existed {
            writer.write(row, 4, &mut image)?;
        }
        Ok(Version {
            generation: row.try_get::<Option<i64>, _>(1)?.and_then(Generation::new),
            origin: row.try_get::<Option<Uuid>, _>(2)?.map(ReplicaId),
            image: existed.then(|| String::from_utf8_lossy(&image).into_owned()),
        })
    }
}

/// What of a feature the edits of an upload overwrote that their client had not seen. `versions` are how the changes since
/// then found the feature, the oldest first; the last is that of the upload. `None` if nothing was lost.
fn lost(layer: &Layer, replica: ReplicaId, versions: &[Version], edits: &[&Edit]) -> Result<Option<Overwrite>> {
    let Some((mine, others)) = versions.split_last().filter(|(mine, _)| mine.generation.is_none()) else {
        return Ok(None);
    };
    let Some(newest) = others.iter().rev().find(|version| version.origin != Some(replica)) else { return Ok(None) };
    let Some(last) = edits.last() else { return Ok(None) };

    // Who touched each field last; and the feature as a whole, if it came or went.
    let (mut touched, mut whole) = (BTreeMap::new(), None);
    for pair in versions.windows(2) {
        let [before, after] = pair else { continue };
        let foreign = before.origin != Some(replica);
        let (old, new) = (members(layer, before.image.as_deref())?, members(layer, after.image.as_deref())?);
        if before.image.is_some() != after.image.is_some() {
            whole = Some(foreign);
        }
        for name in old.keys().chain(new.keys()) {
            if old.get(name) != new.get(name) {
                touched.insert(name.clone(), foreign);
            }
        }
    }
    let sent = sent(layer, edits)?;
    let fields: Vec<String> = match (&mine.image, last.op) {
        // It was deleted, and is there again.
        (None, _) if whole == Some(true) => sent.keys().cloned().collect(),
        (None, _) => return Ok(None),
        (Some(_), Op::Delete) => touched.into_iter().filter(|(_, foreign)| *foreign).map(|(name, _)| name).collect(),
        (Some(image), Op::Add | Op::Update) => {
            let stood = members(layer, Some(image))?;
            let foreign = touched.into_iter().filter(|(_, foreign)| *foreign).map(|(name, _)| name);
            foreign.filter(|name| sent.get(name).is_some_and(|value| stood.get(name) != Some(value))).collect()
        }
    };
    if fields.is_empty() && mine.image.is_some() {
        return Ok(None);
    }
    let client = match last.op {
        Op::Delete => None,
        Op::Add | Op::Update => Some(feature(layer, &merged(edits))),
    };
    Ok(Some(Overwrite {
        layer: layer.key,
        global_id: last.global_id,
        op: last.op,
        fields,
        known: newest.generation.unwrap_or(Generation::ZERO),
        other_generation: newest.generation.unwrap_or(Generation::ZERO),
        other_origin: newest.origin,
        base: others.first().and_then(|version| version.image.clone()),
        server: mine.image.clone(),
        client,
    }))
}

/// Attributes and geometry of a feature, by name; without the keys, which nobody changes. Nothing for no feature.
fn members(layer: &Layer, image: Option<&str>) -> Result<Map<String, Json>> {
    let Some(image) = image else { return Ok(Map::new()) };
    let read: Json =
        serde_json::from_str(image).map_err(|error| Error::internal("reading a feature of one's own", error))?;
    let mut members = read["attributes"].as_object().cloned().unwrap_or_default();
    members.retain(|name, _| layer.field_index(name).is_some_and(|index| layer.is_editable(index)));
    if layer.shape.is_some() {
        members.insert(GEOMETRY.to_owned(), read["geometry"].clone());
    }
    Ok(members)
}

/// What edits of one feature say in the end, by name.
fn sent(layer: &Layer, edits: &[&Edit]) -> Result<Map<String, Json>> {
    let merged = merged(edits);
    let named = names(layer, &merged);
    let mut members = members(layer, Some(&feature(layer, &merged)))?;
    if let Some(geometry) = members.get_mut(GEOMETRY).and_then(Json::as_object_mut) {
        // One that is cleared has none.
        let srid = geometry.get("spatialReference").and_then(|reference| reference["wkid"].as_i64());
        let same = layer.shape.as_ref().map(|shape| i64::from(shape.srid)) == srid;
        if same {
            geometry.remove("spatialReference");
        }
    }
    members.retain(|name, _| named.contains(name));
    // A geometry that is cleared reads as none.
    if merged.geometry == GeometryEdit::Clear
        && let Some(geometry) = members.get_mut(GEOMETRY)
    {
        *geometry = Json::Null;
    }
    Ok(members)
}

/// Edits of one feature, one after the other, as one.
fn merged(edits: &[&Edit]) -> Edit {
    let mut all: Option<Edit> = None;
    for edit in edits {
        match &mut all {
            Some(all) if edit.op != Op::Delete && all.op != Op::Delete => {
                let mut values: BTreeMap<usize, _> = std::mem::take(&mut all.values).into_iter().collect();
                values.extend(edit.values.iter().cloned());
                all.values = values.into_iter().collect();
                if edit.geometry != GeometryEdit::Keep {
                    all.geometry = edit.geometry.clone();
                }
            }
            _ => all = Some((*edit).clone()),
        }
    }
    all.unwrap_or(Edit {
        op: Op::Delete,
        global_id: GlobalId(Uuid::nil()),
        values: Vec::new(),
        geometry: GeometryEdit::Keep,
        passed_over: None,
    })
}
