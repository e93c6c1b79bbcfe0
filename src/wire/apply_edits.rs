//! The parameters of applyEdits and its kin, and how their answers look.
//!
//! API reference: *Apply Edits (Feature Service)*, *Apply Edits (Feature Service/Layer)*, *Add Features*, *Update Features*,
//! *Delete Features*. There are no versions of the data beside the one that everybody sees, so that `gdbVersion` may name
//! only that one; `sessionID` means nothing without versions.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    error::{Error, Result},
    model::{
        edit::{AttachmentEdits, DirectEdits, EditResult, FailurePolicy, Op, Sequence},
        id::{GlobalId, LayerId},
        layer::{Layer, Service},
        provenance::EditOperation,
        value::brief,
    },
};

use super::{
    attachments::{AttachmentEditsJson, parse_attachment_edits},
    edits::{layer_of, parse_deletes, parse_features, results_json},
    params::Params,
};

/// Edits of a client that is connected.
#[derive(Debug)]
pub(crate) struct ApplyEdits {
    /// The edits, layer by layer, as the client lists them.
    pub(crate) layers: Vec<EditedLayer>,
    /// What happens to the others when one is refused.
    pub(crate) policy: FailurePolicy,
    /// In which order layers are edited.
    pub(crate) sequence: Sequence,
    /// Whether features are named by their global ids, also those that are added.
    pub(crate) use_global_ids: bool,
    /// What the answer has.
    pub(crate) answer: Wanted,
}

/// Edits of one layer.
#[derive(Debug)]
pub(crate) struct EditedLayer {
    /// The layer.
    pub(crate) layer: Arc<Layer>,
    /// Edits of its features.
    pub(crate) features: DirectEdits,
    /// Edits of their attachments, if any came.
    pub(crate) attachments: Option<AttachmentEdits>,
}

/// What an answer to edits has beside the results.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Its shape.
    pub(crate) form: AnswerForm,
    /// The time of the edits.
    pub(crate) moment: bool,
    /// The results, rather than just that all went well.
    pub(crate) results: bool,
    /// The features as they were and as they are.
    pub(crate) features: bool,
}

/// The shape of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerForm {
    /// An array of layers.
    Service,
    /// The three kinds of results of one layer.
    Layer,
    /// One kind of results.
    Only(Op),
}

impl AnswerForm {
    /// The operation that is answered so.
    pub(crate) fn operation(self) -> EditOperation {
        match self {
            AnswerForm::Service | AnswerForm::Layer => EditOperation::ApplyEdits,
            AnswerForm::Only(Op::Add) => EditOperation::AddFeatures,
            AnswerForm::Only(Op::Update) => EditOperation::UpdateFeatures,
            AnswerForm::Only(Op::Delete) => EditOperation::DeleteFeatures,
        }
    }
}

/// The edits of a layer in JSON: an element of the service's `edits`, or what an upload for one layer has.
#[derive(Deserialize)]
struct LayerJson<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    adds: Option<&'a RawValue>,
    #[serde(borrow, default)]
    updates: Option<&'a RawValue>,
    #[serde(borrow, default)]
    deletes: Option<&'a RawValue>,
    #[serde(borrow, default)]
    attachments: Option<AttachmentEditsJson<'a>>,
}

/// The edits of a layer as texts of JSON.
#[derive(Default)]
struct Lists<'a> {
    adds: Option<&'a str>,
    updates: Option<&'a str>,
    deletes: Option<&'a str>,
    attachments: Option<AttachmentEditsJson<'a>>,
}

impl<'a> From<LayerJson<'a>> for Lists<'a> {
    fn from(given: LayerJson<'a>) -> Lists<'a> {
        let text = |raw: Option<&'a RawValue>| raw.map(RawValue::get);
        Lists {
            adds: text(given.adds),
            updates: text(given.updates),
            deletes: text(given.deletes),
            attachments: given.attachments,
        }
    }
}

impl ApplyEdits {
    /// Reads applyEdits of a service. `uploaded` is the content of the upload that `editsUploadId` names; `new_id` makes ids
    /// for features that come without.
    pub(crate) fn of_service(
        params: &Params,
        service: &Service,
        uploaded: Option<&str>,
        new_id: impl FnMut() -> GlobalId,
    ) -> Result<ApplyEdits> {
        let mut reader = Reader::new(params, new_id)?;
        let text = source(params, "edits", uploaded)?.ok_or_else(|| {
            Error::invalid(
                "edits",
                "it is missing; an array of {\"id\":0,\"adds\":[],\"updates\":[],\"deletes\":[]} belongs there",
            )
        })?;
        let text = super::params::double_quoted(text);
        let given: Vec<LayerJson<'_>> = super::params::json_borrowed("edits", &text)?;
        let mut layers = Vec::with_capacity(given.len());
        for element in given {
            let id = element
                .id
                .and_then(|id| id.get().trim_matches('"').trim().parse().ok())
                .map(LayerId)
                .ok_or_else(|| Error::invalid("edits", "an element has no id of a layer"))?;
            layers.push(reader.layer("edits", layer_of(service, "edits", id)?, element.into())?);
        }
        let features = params
            .word("returnServiceEditsOption", "none, originalAndCurrentFeatures", |text| {
                match text.to_ascii_lowercase().as_str() {
                    "none" => Some(false),
                    "originalandcurrentfeatures" => Some(true),
                    _ => None,
                }
            })?
            .unwrap_or(false);
        let sequence = match params.flag(&["honorSequenceOfEdits"], false)? {
            true => Sequence::AsGiven,
            false => Sequence::ParentsFirst,
        };
        finish(params, layers, sequence, reader.use_global_ids, (AnswerForm::Service, features))
    }

    /// Reads applyEdits of a layer.
    pub(crate) fn of_layer(
        params: &Params,
        layer: &Arc<Layer>,
        uploaded: Option<&str>,
        new_id: impl FnMut() -> GlobalId,
    ) -> Result<ApplyEdits> {
        let mut reader = Reader::new(params, new_id)?;
        let lists = match uploaded {
            Some(_) => {
                for name in ["adds", "updates", "deletes"] {
                    source(params, name, uploaded)?;
                }
                let text = uploaded.unwrap_or_default();
                super::params::json_borrowed::<LayerJson<'_>>("editsUploadId", text)?.into()
            }
            None => Lists {
                adds: params.text("adds"),
                updates: params.text("updates"),
                deletes: params.text("deletes"),
                attachments: match params.text("attachments") {
                    None | Some("null" | "[]" | "\"\"") => None,
                    Some(text) => Some(super::params::json_borrowed("attachments", text)?),
                },
            },
        };
        let layers = vec![reader.layer("adds", layer.clone(), lists)?];
        finish(params, layers, Sequence::ParentsFirst, reader.use_global_ids, (AnswerForm::Layer, false))
    }

    /// Reads addFeatures, updateFeatures, or deleteFeatures by object ids.
    pub(crate) fn only(
        params: &Params,
        layer: &Arc<Layer>,
        op: Op,
        new_id: impl FnMut() -> GlobalId,
    ) -> Result<ApplyEdits> {
        let mut reader = Reader::new(params, new_id)?;
        let missing = |name: &'static str, what: &str| Error::invalid(name, format!("it is missing; {what}"));
        let features =
            || params.text("features").ok_or_else(|| missing("features", "an array of features belongs there"));
        let lists = match op {
            Op::Add => Lists { adds: Some(features()?), ..Lists::default() },
            Op::Update => Lists { updates: Some(features()?), ..Lists::default() },
            Op::Delete => {
                let ids = params.text("objectIds");
                // Object ids they are, whatever else the request says.
                reader.use_global_ids = false;
                Lists {
                    deletes: Some(ids.ok_or_else(|| missing("objectIds", "it names the features to delete"))?),
                    ..Lists::default()
                }
            }
        };
        let name = if op == Op::Delete { "objectIds" } else { "features" };
        let layers = vec![reader.layer(name, layer.clone(), lists)?];
        finish(params, layers, Sequence::ParentsFirst, reader.use_global_ids, (AnswerForm::Only(op), false))
    }
}

/// What is read: the parameter, or the upload in its place.
fn source<'a>(params: &'a Params, name: &'static str, uploaded: Option<&'a str>) -> Result<Option<&'a str>> {
    match (params.text(name).filter(|text| *text != "null"), uploaded) {
        (Some(_), Some(_)) => Err(Error::invalid(
            "editsUploadId",
            format!("it and {name} exclude each other; send the edits in one of them"),
        )),
        (given, uploaded) => Ok(given.or(uploaded)),
    }
}

fn finish(
    params: &Params,
    layers: Vec<EditedLayer>,
    sequence: Sequence,
    use_global_ids: bool,
    (form, features): (AnswerForm, bool),
) -> Result<ApplyEdits> {
    let policy = policy(params)?;
    let results = params.flag(&["returnEditResults"], true)?;
    if !results && policy == FailurePolicy::Skip {
        return Err(Error::invalid(
            "returnEditResults",
            "without results, nobody would know which edits were refused; send rollbackOnFailure=true with it",
        ));
    }
    let moment = params.flag(&["returnEditMoment"], false)?;
    Ok(ApplyEdits { layers, policy, sequence, use_global_ids, answer: Wanted { form, moment, results, features } })
}

/// Reads `rollbackOnFailure`, which is true unless the client says otherwise.
pub(crate) fn policy(params: &Params) -> Result<FailurePolicy> {
    Ok(if params.flag(&["rollbackOnFailure"], true)? { FailurePolicy::RollBack } else { FailurePolicy::Skip })
}

/// Refuses what would change the meaning of edits and is not there.
pub(crate) fn refuse_unsupported(params: &Params) -> Result<()> {
    let version = params.text("gdbVersion").filter(|name| !name.eq_ignore_ascii_case("null"));
    if let Some(name) =
        version.filter(|name| !["sde.DEFAULT", "DEFAULT"].iter().any(|known| name.eq_ignore_ascii_case(known)))
    {
        return Err(Error::NotSupported(format!(
            "gdbVersion '{}' is not there: the data has no versions but sde.DEFAULT; nothing was applied",
            brief(name)
        )));
    }
    if params.text("datumTransformation").is_some_and(|text| !matches!(text, "null" | "{}")) {
        return Err(Error::NotSupported(
            "datumTransformation cannot be chosen; leave it out, or send the geometries in the layer's spatial reference"
                .to_owned(),
        ));
    }
    if params.flag(&["usePreviousEditMoment"], false)? {
        return Err(Error::NotSupported(
            "usePreviousEditMoment=true is not supported: each edit has the time at which it is made; leave it out"
                .to_owned(),
        ));
    }
    Ok(())
}

struct Reader<F> {
    use_global_ids: bool,
    new_id: F,
}

impl<F: FnMut() -> GlobalId> Reader<F> {
    fn new(params: &Params, new_id: F) -> Result<Reader<F>> {
        refuse_unsupported(params)?;
        Ok(Reader { use_global_ids: params.flag(&["useGlobalIds"], false)?, new_id })
    }

    fn layer(&mut self, name: &'static str, layer: Arc<Layer>, lists: Lists<'_>) -> Result<EditedLayer> {
        let mut features = DirectEdits::default();
        let updates = if name == "adds" { "updates" } else { name };
        for (name, op, text) in [(name, Op::Add, lists.adds), (updates, Op::Update, lists.updates)] {
            if let Some(text) = present(text) {
                parse_features(name, text, op, &layer, self.use_global_ids, &mut self.new_id, &mut features)?;
            }
        }
        if let Some(text) = present(lists.deletes) {
            let name = if name == "adds" { "deletes" } else { name };
            parse_deletes(name, text, self.use_global_ids, &mut features)?;
        }
        let attachments = match lists.attachments.filter(|lists| !lists.is_empty()) {
            None => None,
            Some(_) if !self.use_global_ids => {
                return Err(Error::invalid(
                    "attachments",
                    "they name their features by global ids; send useGlobalIds=true with them. Nothing was applied",
                ));
            }
            Some(lists) => Some(parse_attachment_edits(lists, &layer, true)?),
        };
        Ok(EditedLayer { layer, features, attachments })
    }
}

/// A list that has something in it.
fn present(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !matches!(*text, "" | "null" | "\"\"" | "[]"))
}

/// What became of the edits of one layer.
pub(crate) struct LayerOutcome<'a> {
    /// The layer.
    pub(crate) id: LayerId,
    /// Of its features.
    pub(crate) features: &'a [EditResult],
    /// Of their attachments, if any came.
    pub(crate) attachments: Option<&'a [EditResult]>,
    /// `editedFeatures`, in JSON, if it is wanted.
    pub(crate) edited: Option<String>,
}

/// Writes the answer.
pub(crate) fn write_answer(wanted: Wanted, layers: &[LayerOutcome<'_>], moment: Option<i64>, out: &mut Vec<u8>) {
    let moment = moment.filter(|_| wanted.moment).map(|moment| format!(",\"editMoment\":{moment}")).unwrap_or_default();
    if !wanted.results {
        out.extend_from_slice(format!("{{\"success\":true{moment}}}").as_bytes());
        return;
    }
    if wanted.form == AnswerForm::Service {
        out.push(b'[');
    }
    for (index, layer) in layers.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.push(b'{');
        match wanted.form {
            AnswerForm::Service => {
                out.extend_from_slice(format!("\"id\":{},", layer.id).as_bytes());
                write_lists(layer.features, out);
            }
            AnswerForm::Layer => write_lists(layer.features, out),
            AnswerForm::Only(op) => write_list(layer.features, op, out),
        }
        if let Some(results) = layer.attachments {
            out.extend_from_slice(b",\"attachments\":{");
            write_lists(results, out);
            out.push(b'}');
        }
        out.extend_from_slice(moment.as_bytes());
        if let Some(edited) = &layer.edited {
            out.extend_from_slice(b",\"editedFeatures\":");
            out.extend_from_slice(edited.as_bytes());
        }
        out.push(b'}');
    }
    if wanted.form == AnswerForm::Service {
        out.push(b']');
    }
}

fn write_lists(results: &[EditResult], out: &mut Vec<u8>) {
    for (index, op) in [Op::Add, Op::Update, Op::Delete].into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_list(results, op, out);
    }
}

fn write_list(results: &[EditResult], op: Op, out: &mut Vec<u8>) {
    let name: &[u8] = match op {
        Op::Add => b"\"addResults\":",
        Op::Update => b"\"updateResults\":",
        Op::Delete => b"\"deleteResults\":",
    };
    out.extend_from_slice(name);
    out.extend_from_slice(results_json(results, op, |_| true).to_string().as_bytes());
}
