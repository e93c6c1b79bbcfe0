//! The description of the whole interface, as an OpenAPI document: for people who write clients, and for programs that try
//! the server with whatever the description allows.
//!
//! [`operations`] has one entry for each resource and operation, with its parameters. Tests hold it against the routes
//! and against the parameters that are really read.

mod accounts;
mod console;
mod operations;
mod parameters;
mod querying;
mod schemas;

use std::sync::LazyLock;

use serde_json::{Map, Value as Json, json};

use operations::{Answer, OPERATIONS, Operation, Verbs};
use parameters::{COMMON, Kind, Parameter, TOKEN};

/// The document. `base` is the address of the server, `http://host:port`.
pub(super) fn document(base: &str) -> Json {
    let mut paths: Map<String, Json> = Map::new();
    for operation in OPERATIONS {
        let path = operation.path();
        // What clients make of the address of a service by replacing `rest`.
        if let Some(rest) = path.strip_prefix("/arcgis/rest/admin/services/") {
            paths.insert(format!("/arcgis/admin/services/{rest}"), path_item(operation, "Alias"));
        }
        paths.insert(path, path_item(operation, ""));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Syncline",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Feature services that clients can take offline and synchronize",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base}],
        "paths": paths,
        "components": {"schemas": schemas::all()},
    })
}

const DESCRIPTION: &str = "Words of paths and names of parameters have no case, and a slash may end a path. Parameters stand \
    in the query string, in a form (urlencoded or multipart) or in a JSON object, and in several of them together; the \
    body wins. An empty parameter is one that is not given, and one that nobody knows is passed over. Without f the answer \
    is a page for people: send f=json. Errors have the HTTP status 200 and the member `error`.";

/// The path of the description that a path of a request is an instance of, by which it is counted and logged. Words have no
/// case, and a slash may end the path.
pub(super) fn template(path: &str) -> Option<&'static str> {
    static PATHS: LazyLock<Vec<String>> = LazyLock::new(|| OPERATIONS.iter().map(Operation::path).collect());
    // What clients make of the address of a service by replacing `rest`.
    let alias = path.get(..14).filter(|start| start.eq_ignore_ascii_case("/arcgis/admin/"));
    let given: Vec<&str> = match alias {
        Some(_) => ["arcgis", "rest", "admin"].into_iter().chain(parts(&path[14..])).collect(),
        None => parts(path).collect(),
    };
    let fits = |template: &&'static String| {
        let mut expected = parts(template);
        given.iter().all(|word| {
            expected.next().is_some_and(|expected| expected.starts_with('{') || expected.eq_ignore_ascii_case(word))
        }) && expected.next().is_none()
    };
    // Where several fit, the one with the fewest placeholders is meant: a word is what it says.
    PATHS.iter().filter(fits).min_by_key(|template| placeholders(template).count()).map(String::as_str)
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|word| !word.is_empty())
}

/// The names of the placeholders of a path.
fn placeholders(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
}

/// What there is at a path. The suffix keeps the names of operations apart that are at several.
fn path_item(operation: &Operation, suffix: &str) -> Json {
    let mut item = Map::new();
    let names: Json = placeholders(&operation.path())
        .map(|name| {
            let schema = match name {
                "layer" | "objectId" | "attachmentId" | "number" => json!({"type": "integer"}),
                _ => json!({"type": "string"}),
            };
            json!({"name": name, "in": "path", "required": true, "schema": schema})
        })
        .collect();
    if names.as_array().is_some_and(|names| !names.is_empty()) {
        item.insert("parameters".to_owned(), names);
    }
    let has_own_formats = !formats(operation).is_empty();
    let takes_format = matches!(operation.answer, Answer::Object(_) | Answer::Array) && !has_own_formats;
    let common = if takes_format { COMMON } else { &[] };
    let token = if operation.path().starts_with("/arcgis/") { TOKEN } else { &[] };
    let parameters = || common.iter().chain(token).chain(operation.parameters.iter().copied().flatten());
    let described = |id: String| {
        json!({
            "operationId": id,
            "tags": [operation.tag],
            "summary": operation.summary,
            "responses": {"200": {"description": "The answer; or an error, as JSON with the member `error`", "content": content(operation)}},
        })
    };
    let with_body = |id: String| {
        let mut shown = described(id);
        shown["requestBody"] = body(&parameters().collect::<Vec<_>>());
        shown
    };
    let with_query = |id: String| {
        let mut shown = described(id);
        shown["parameters"] = parameters().map(in_query).collect();
        shown
    };
    let id = format!("{}{suffix}", operation.id);
    match operation.verbs {
        Verbs::Get => {
            item.insert("get".to_owned(), with_query(id));
        }
        Verbs::GetOrPost => {
            item.insert("get".to_owned(), with_query(id.clone()));
            item.insert("post".to_owned(), with_body(format!("{id}ByPost")));
        }
        Verbs::Post => {
            item.insert("post".to_owned(), with_body(id));
        }
    }
    Json::Object(item)
}

fn in_query(parameter: &Parameter) -> Json {
    let mut shown =
        json!({"name": parameter.name, "in": "query", "description": parameter.about, "schema": schema(parameter)});
    if parameter.required {
        shown["required"] = true.into();
    }
    shown
}

/// Everything that a body may be.
fn body(parameters: &[&Parameter]) -> Json {
    let properties: Map<String, Json> = parameters
        .iter()
        .map(|parameter| {
            let mut shown = schema(parameter);
            shown["description"] = parameter.about.into();
            (parameter.name.to_owned(), shown)
        })
        .collect();
    let required: Json =
        parameters.iter().filter(|parameter| parameter.required).map(|parameter| parameter.name).collect();
    let form = json!({"type": "object", "properties": properties, "required": required});
    if parameters.iter().any(|parameter| matches!(parameter.kind, Kind::File)) {
        return json!({"required": true, "content": {"multipart/form-data": {"schema": form}}});
    }
    json!({"content": {
        "application/x-www-form-urlencoded": {"schema": form},
        "multipart/form-data": {"schema": form},
        "application/json": {"schema": form},
    }})
}

fn schema(parameter: &Parameter) -> Json {
    let mut schema = match parameter.kind {
        Kind::Text => json!({"type": "string"}),
        Kind::Flag(default) => json!({"type": "boolean", "default": default}),
        Kind::Integer => json!({"type": "integer", "format": "int64"}),
        Kind::Number => json!({"type": "number"}),
        Kind::Word(words) => json!({"type": "string", "enum": words}),
        Kind::Json(name) => json!({
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"$ref": format!("#/components/schemas/{name}")},
        }),
        Kind::File => json!({"type": "string", "contentMediaType": "application/octet-stream"}),
    };
    if !parameter.examples.is_empty() {
        schema["examples"] = parameter.examples.into();
    }
    schema
}

fn content(operation: &Operation) -> Json {
    let error = json!({"$ref": "#/components/schemas/Failure"});
    match operation.answer {
        Answer::Object(members) => {
            let properties: Map<String, Json> =
                members.iter().map(|(name, schema)| ((*name).to_owned(), schemas::named(schema))).collect();
            let required: Json = members.iter().map(|(name, _)| *name).collect();
            answers(operation, &json!({"type": "object", "properties": properties, "required": required}))
        }
        Answer::Array => answers(operation, &json!({"type": "array", "items": {"type": "object"}})),
        Answer::Text => json!({"text/plain": {}}),
        Answer::Bytes => json!({"application/octet-stream": {}, "application/json": {"schema": error}}),
    }
}

/// The answers that an operation with this one can give: itself, an error, and where to ask for a job.
fn answers(operation: &Operation, answer: &Json) -> Json {
    let mut any = vec![answer.clone(), json!({"$ref": "#/components/schemas/Failure"})];
    if operation.parameters.iter().copied().flatten().any(|parameter| parameter.name == "async") {
        any.push(json!({"$ref": "#/components/schemas/Accepted"}));
    }
    let mut content = json!({"application/json": {"schema": {"anyOf": any}}, "text/html": {}});
    for (format, content_type) in [("geojson", "application/geo+json"), ("pbf", "application/x-protobuf")] {
        if formats(operation).contains(&format) {
            content[content_type] = json!({});
        }
    }
    content
}

/// The formats of answers that an operation has beside those that all have, or nothing.
fn formats(operation: &Operation) -> &'static [&'static str] {
    let own = operation.parameters.iter().copied().flatten().find(|parameter| parameter.name == "f");
    match own.map(|parameter| &parameter.kind) {
        Some(Kind::Word(words)) => words,
        _ => &[],
    }
}
