//! The services directory: pages for people, made from the JSON that programs get.
//!
//! [`page`] is a pure function. What a page needs beside its text are the files in `assets`, which are the server's own, so
//! that a content security policy can forbid all others; and without scripts, only maps are missing. Pages that are not
//! made from JSON have the same frame: [`document`].

mod admin_forms;
mod console;
mod control;
mod editing_forms;
mod forms;
mod frame;
mod layer_choice;
mod lists;
mod login;
mod query_forms;
mod records;
mod resources;
mod results;
mod values;
mod writer;

use serde_json::Value;

use super::assets::Asset;

use writer::percent_encode;

pub(crate) use console::Console as ConsolePage;
pub(crate) use frame::{Basemap, Crumb, Frame, Visitor, document};
pub(crate) use layer_choice::gathered;
pub(crate) use login::{Login, login};
pub(crate) use writer::Html;

/// What a page is about: it decides how the JSON is shown and which form there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The folders and services of a folder.
    Catalogue,
    /// A feature service.
    Service,
    /// The `layers` resource of a service.
    AllLayers,
    /// A layer or a table.
    Layer,
    /// One feature.
    Feature,
    /// The attachments of a feature.
    Attachments,
    /// The administration of a service or layer: its definition.
    Administration,
    /// An operation on a definition: `addToDefinition` and its like.
    Definition {
        /// Its name.
        operation: &'static str,
    },
    /// A list of the books: batches, refused edits, conflicts.
    Entries,
    /// An entry of the books.
    Entry,
    /// The `query` operation; of a `table`, the form asks for no geometry.
    Query {
        /// Whether the layer is a table.
        table: bool,
    },
    /// The `query` operation of a service.
    ServiceQuery,
    /// The `queryRelatedRecords` operation.
    RelatedRecords,
    /// The `queryAttachments` operation.
    AttachmentQuery,
    /// The `applyEdits` operation of a layer.
    LayerEdits,
    /// The `applyEdits` operation of a service.
    ServiceEdits,
    /// The `createReplica` operation.
    CreateReplica,
    /// The `synchronizeReplica` operation.
    SynchronizeReplica,
    /// The `unRegisterReplica` operation.
    UnregisterReplica,
    /// The `importReplica` operation.
    ImportReplica,
    /// The `extractChanges` operation.
    ExtractChanges,
    /// An operation on an entry of the books: `undo`, `apply`, `dismiss`, `restore`.
    Books {
        /// Its name.
        operation: &'static str,
    },
    /// An operation that edits a layer: `addFeatures`, `calculate`, `append` and their like.
    Editing {
        /// Its name.
        operation: &'static str,
    },
    /// The list of replicas.
    Replicas,
    /// One replica.
    Replica,
    /// The list of jobs.
    Jobs,
    /// One job.
    Job,
    /// The list of uploads.
    Uploads,
    /// One upload.
    UploadItem,
    /// The `upload` operation.
    Upload,
    /// The `register` operation of uploads.
    RegisterUpload,
    /// The `uploadPart` operation.
    UploadPart,
    /// The `commit` operation of an upload.
    CommitUpload,
    /// The `delete` operation of an upload.
    DeleteUpload,
    /// The `generateToken` operation.
    GenerateToken,
    /// A page of the console.
    Console(ConsolePage),
    /// Anything else: its JSON, laid out for reading.
    Other,
}

impl Kind {
    /// The style sheets and scripts that pages of this kind need beside those of all pages.
    pub(crate) fn assets(self) -> &'static [Asset] {
        match self {
            Kind::Layer
            | Kind::Feature
            | Kind::Query { table: false }
            | Kind::ServiceQuery
            | Kind::CreateReplica
            | Kind::ExtractChanges
            | Kind::Editing { operation: "deleteFeatures" } => MAPS,
            Kind::Console(_) => &[Asset::LeafletStyle, Asset::ConsoleStyle, Asset::Console],
            _ => &[],
        }
    }
}

/// What a page with a map needs.
pub(crate) const MAPS: &[Asset] = &[Asset::LeafletStyle, Asset::Directory];

/// The longest address that a page links to with the values of its form.
const MAX_ADDRESS_BYTES: usize = 4000;

/// Everything that a page is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page<'a> {
    /// What is round it; from the last step of its way, links and forms go on.
    pub(crate) frame: Frame<'a>,
    /// What the page is about.
    pub(crate) kind: Kind,
    /// What `f=json` would have answered, an error included; `None` for a form that was not sent yet.
    pub(crate) body: Option<&'a Value>,
    /// What it knows of the service or layer that it is about: see `http::about`.
    pub(crate) about: &'a Value,
    /// The parameters of the request, with which the form is filled again.
    pub(crate) form_values: &'a [(String, String)],
}

impl<'a> Page<'a> {
    /// Returns the path of the resource or operation, without a slash at its end.
    fn here(&self) -> &'a str {
        self.ancestor(0)
    }

    /// Returns the path of the resource that this one belongs to.
    fn parent(&self) -> &'a str {
        self.ancestor(1)
    }

    /// Returns the path some steps up the way here; empty beyond its start.
    fn ancestor(&self, steps: usize) -> &'a str {
        let crumb = self.frame.path.iter().rev().nth(steps);
        crumb.map_or("", |crumb| crumb.href.trim_end_matches('/'))
    }

    /// Returns the value that the request had for a parameter, whatever the case of its name.
    fn form_value(&self, name: &str) -> Option<&'a str> {
        let sent = self.form_values.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        sent.map(|(_, value)| value.as_str())
    }

    /// Returns the address of the same request with another value of one parameter.
    fn asking(&self, form: &forms::Form, changed: &str, value: &str) -> String {
        // Only what the form knows is repeated: a token must not get into an address.
        let mut pairs: Vec<(&str, &str)> = form.values(self);
        pairs.retain(|(name, value)| !value.is_empty() && *name != changed);
        pairs.push((changed, value));
        let pairs: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{name}={}", percent_encode(value))).collect();
        format!("{}?{}", self.here(), pairs.join("&"))
    }

    /// Returns the address of the same answer in each other format that it has, with the name of the format.
    fn other_formats(&self, body: &Value, form: &forms::Form) -> Vec<(String, &'static str)> {
        let mut formats = vec![("json", "JSON"), ("pbf", "Protocol buffers")];
        if body["features"].is_array() {
            formats.insert(1, ("geojson", "GeoJSON"));
        }
        let addresses = formats.into_iter().map(|(format, name)| (self.asking(form, "f", format), name));
        // What does not fit into an address was posted, and can be posted again.
        addresses.filter(|(address, _)| address.len() <= MAX_ADDRESS_BYTES).collect()
    }

    /// Returns the addresses of the records before and after those shown, as far as there are any.
    fn records_around(&self, body: &Value, form: &forms::Form) -> [Option<String>; 2] {
        let number = |name: &str| match self.form_value(name).map(str::trim) {
            None | Some("") => Some(0),
            Some(number) => number.parse::<usize>().ok(),
        };
        let (Some(features), Some(skipped), Some(at_most)) =
            (body["features"].as_array(), number("resultOffset"), number("resultRecordCount"))
        else {
            return [None, None];
        };
        let at = |offset: usize| self.asking(form, "resultOffset", &offset.to_string());
        let step = if at_most > 0 { at_most } else { features.len() };
        let previous = (skipped > 0).then(|| at(skipped.saturating_sub(step)));
        let next = (body["exceededTransferLimit"] == true).then(|| at(skipped.saturating_add(features.len())));
        [previous, next]
    }
}

/// After how many seconds a page is to be asked for again, since what it is about goes on.
pub(crate) fn refresh_seconds(kind: Kind, body: Option<&Value>) -> Option<u32> {
    (kind == Kind::Job && body.is_some_and(lists::is_running)).then_some(2)
}

/// Makes the page for a resource, for the form of an operation, for its result or for an error.
///
/// A body with a top-level `error` is shown as an error on a page of any kind, above the form if the kind has one.
pub(crate) fn page(page: &Page<'_>) -> String {
    document(&page.frame, |html| {
        if let Kind::Console(which) = page.kind {
            return console::write(html, page, which);
        }
        let form = forms::form(page.kind);
        if let Some(body) = page.body {
            match body.get("error").filter(|error| !error.is_null()) {
                // It failed, and says so beside all else.
                Some(_) if page.kind == Kind::Job && body["status"].is_string() => {
                    content(html, page, body, form.as_ref());
                }
                Some(failure) => {
                    error(html, failure);
                    ways_on(html, page, failure);
                }
                None => content(html, page, body, form.as_ref()),
            }
        }
        if let Some(form) = form {
            form.write(html, page);
        }
    })
}

fn content(html: &mut Html, page: &Page<'_>, body: &Value, form: Option<&forms::Form>) {
    match page.kind {
        Kind::Catalogue => resources::catalogue(html, page, body),
        Kind::Service => resources::service(html, page, body),
        Kind::AllLayers => resources::all_layers(html, page, body),
        Kind::Layer => resources::layer(html, page, body),
        Kind::Feature => records::feature(html, page, body),
        Kind::Attachments => records::attachments(html, page, body),
        Kind::Administration => lists::administration(html, page, body),
        Kind::Entries => lists::entries(html, page, body),
        Kind::Entry => lists::entry(html, page, body),
        Kind::Replicas => lists::replicas(html, page, body),
        Kind::Replica => lists::replica(html, page, body),
        Kind::Jobs => lists::jobs(html, page, body),
        Kind::Job => lists::job(html, body),
        Kind::Uploads => lists::uploads(html, page, body),
        Kind::UploadItem => lists::upload_item(html, page, body),
        Kind::Query { .. } => {
            result_heading(html);
            let [previous, next] = form.map_or([None, None], |form| page.records_around(body, form));
            records::query(html, page, body, [previous.as_deref(), next.as_deref()]);
            other_formats(html, &form.map_or(Vec::new(), |form| page.other_formats(body, form)));
        }
        Kind::CreateReplica => {
            result_heading(html);
            results::answer(html, body, 3);
            lists::created(html, page, body);
        }
        Kind::ServiceQuery
        | Kind::RelatedRecords
        | Kind::AttachmentQuery
        | Kind::LayerEdits
        | Kind::ServiceEdits
        | Kind::SynchronizeReplica
        | Kind::UnregisterReplica
        | Kind::ImportReplica
        | Kind::ExtractChanges
        | Kind::Upload
        | Kind::RegisterUpload
        | Kind::UploadPart
        | Kind::CommitUpload
        | Kind::DeleteUpload
        | Kind::GenerateToken
        | Kind::Editing { .. }
        | Kind::Definition { .. }
        | Kind::Books { .. } => {
            result_heading(html);
            results::answer(html, body, 3);
        }
        Kind::Console(_) | Kind::Other => results::answer(html, body, 2),
    }
}

/// Writes links to the same answer in other formats.
fn other_formats(html: &mut Html, formats: &[(String, &str)]) {
    if formats.is_empty() {
        return;
    }
    html.raw("<p class=\"note\">The same answer as");
    for (index, (address, name)) in formats.iter().enumerate() {
        html.raw(if index == 0 { " " } else { ", " }).link(address, name);
    }
    html.raw(".</p>\n");
}

fn result_heading(html: &mut Html) {
    html.raw("<nav class=\"jump\" aria-label=\"On this page\"><a href=\"#form\">Go to the form</a></nav>\n");
    html.heading(2, None, "Result");
}

/// Writes an error in the words that programs look for: `Error: …`, then `Code: …`, then the details.
fn error(html: &mut Html, error: &Value) {
    html.raw("<div class=\"error\" role=\"alert\">\n<p>Error: ").text(&values::plain(&error["message"]));
    html.raw("</p>\n<p>Code: ").text(&values::plain(&error["code"])).raw("</p>\n");
    let details = match &error["details"] {
        Value::Array(lines) => lines.as_slice(),
        Value::Null => &[],
        line => std::slice::from_ref(line),
    };
    for line in details {
        html.raw("<p>").text(&values::plain(line)).raw("</p>\n");
    }
    html.raw("</div>\n");
}

/// Writes where somebody goes from an error: to sign in, or back.
fn ways_on(html: &mut Html, page: &Page<'_>, error: &Value) {
    let mut ways = Vec::new();
    if page.frame.visitor == &Visitor::Stranger && (error["code"] == 499 || error["code"] == 498) {
        ways.push((format!("/arcgis/login?next={}", percent_encode(page.here())), "Login".to_owned()));
    }
    for crumb in page.frame.path.iter().rev().skip(1).take(2) {
        if ways.iter().all(|(address, _)| *address != crumb.href) {
            ways.push((crumb.href.clone(), format!("Back to {}", crumb.text)));
        }
    }
    resources::links(html, ways.into_iter());
}

#[cfg(test)]
mod tests;
