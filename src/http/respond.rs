//! Answers as responses: `f=json`, `pjson` and `html`, documents that stream, and files.

use std::io::Cursor;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use serde_json::Value as Json;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::ReaderStream;

use crate::{
    error::{Error, Result},
    files::Finished,
    model::{attachment::AttachmentInfo, data_format::DataFormat},
    wire::{params::Params, url::encode},
};

use super::{
    assets::Asset,
    html::{Basemap, Crumb, Frame, Kind, Page, Visitor, page, refresh_seconds},
    ranges::{self, Sent},
};

/// The most of a document that is shown as a page or indented; more is for programs.
const MAX_SHOWN_BYTES: u64 = 8 << 20;

const JSON: &str = "application/json; charset=utf-8";
const GEO_JSON: &str = "application/geo+json; charset=utf-8";
const PBF: &str = "application/x-protobuf";
const SCRIPT: &str = "application/javascript; charset=utf-8";

/// What a handler answers.
pub(super) enum Reply {
    /// A small document.
    Json(Json),
    /// A document that is written already.
    Bytes(Vec<u8>),
    /// A document that may be large.
    Spooled(Finished),
    /// A file to keep.
    File(DataFormat, Sent),
    /// What an attachment holds.
    Attachment(AttachmentInfo, Sent),
    /// A form to fill in.
    Form,
    /// A JSON document that comes as JSON whatever is asked for.
    Plain(Json),
    /// A page for people that is no form of a JSON document.
    Page(String),
    /// A file that pages are made with.
    Asset(Asset),
    /// Another address.
    Redirect(String),
    /// Another address to go on at after a form was sent, with the headers of cookies.
    SeeOther {
        /// The address.
        to: String,
        /// `Set-Cookie`
        cookies: Vec<String>,
    },
    /// A word.
    Text(&'static str),
    /// Figures for a monitoring system.
    Figures(String),
}

impl From<Finished> for Reply {
    fn from(finished: Finished) -> Reply {
        match finished {
            Finished::Memory(bytes) => Reply::Bytes(bytes.into()),
            Finished::File(_) => Reply::Spooled(finished),
        }
    }
}

/// The format that a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A page for people, which is what a browser gets.
    Html,
    /// JSON.
    Json,
    /// Indented JSON.
    PrettyJson,
    /// GeoJSON, which only answers to queries have.
    GeoJson,
    /// Protocol buffers, which only they have, too.
    Pbf,
}

impl Format {
    /// Reads the parameter `f`.
    pub(super) fn of(params: &Params) -> Result<Format> {
        let read = |text: &str| match text.to_ascii_lowercase().as_str() {
            "html" | "help" => Some(Format::Html),
            "json" => Some(Format::Json),
            "pjson" => Some(Format::PrettyJson),
            "geojson" => Some(Format::GeoJson),
            "pbf" => Some(Format::Pbf),
            _ => None,
        };
        Ok(params
            .word("f", "html, json, pjson; for a layer's query also geojson and pbf", read)?
            .unwrap_or(Format::Html))
    }

    /// Whether it is only for answers to queries.
    pub(super) fn is_for_features(self) -> bool {
        matches!(self, Format::GeoJson | Format::Pbf)
    }
}

/// What decides how an answer is shown, and what a page shows beside it.
pub(super) struct Shown<'a> {
    /// The way to it.
    pub(super) path: &'a [Crumb],
    /// Its title.
    pub(super) title: &'a str,
    /// What it is about.
    pub(super) kind: Kind,
    /// Who looks at it.
    pub(super) visitor: &'a Visitor,
    /// What lies under maps.
    pub(super) basemap: Option<Basemap<'a>>,
    /// What its page knows of the service or layer that it is about.
    pub(super) about: Json,
    /// The parameters of the request.
    pub(super) params: &'a Params,
    /// Its method.
    pub(super) method: &'a Method,
    /// Its headers.
    pub(super) headers: &'a HeaderMap,
    /// The address of the same as JSON, if a link can have it.
    pub(super) json_url: Option<String>,
}

/// Makes the response.
pub(super) async fn respond(reply: Reply, format: Format, shown: &Shown<'_>) -> Result<Response> {
    match (reply, format) {
        (Reply::Redirect(to), _) => redirect(StatusCode::FOUND, &to),
        (Reply::SeeOther { to, cookies }, _) => {
            let mut response = redirect(StatusCode::SEE_OTHER, &to)?;
            for cookie in cookies {
                response.headers_mut().append(header::SET_COOKIE, header_value(&cookie)?);
            }
            Ok(response)
        }
        (Reply::Page(page), _) => Ok(html(page, shown)),
        (Reply::Asset(asset), _) => Ok(asset.send(shown.headers)),
        (Reply::Plain(value), _) => Ok(json_response(value.to_string())),
        (Reply::Text(text), _) => Ok(response(StatusCode::OK, "text/plain; charset=utf-8", Body::from(text))),
        (Reply::Figures(text), _) => {
            Ok(response(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", Body::from(text)))
        }
        (Reply::File(format, sent), _) => {
            let empty = response(StatusCode::OK, format.media_type(), Body::empty());
            ranges::send(empty, sent, shown.method, shown.headers).await
        }
        (Reply::Attachment(info, sent), _) => ranges::send(attachment(&info), sent, shown.method, shown.headers).await,
        (Reply::Form, Format::Html) => Ok(shown_as_page(shown, None)),
        (Reply::Form, _) => Err(Error::internal("answering", "a form has no JSON")),
        (Reply::Json(value), Format::Html) => Ok(shown_as_page(shown, Some(&value))),
        (Reply::Json(value), Format::PrettyJson) => Ok(json_response(pretty(&value)?)),
        (Reply::Bytes(bytes), Format::GeoJson) => Ok(response(StatusCode::OK, GEO_JSON, Body::from(bytes))),
        (Reply::Bytes(bytes), Format::Pbf) => Ok(response(StatusCode::OK, PBF, Body::from(bytes))),
        (Reply::Json(value), Format::Json | Format::GeoJson | Format::Pbf) => {
            Ok(padded(value.to_string().into_bytes(), shown.params))
        }
        (Reply::Bytes(bytes), Format::Json) => Ok(padded(bytes, shown.params)),
        (Reply::Bytes(bytes), format) => from_value(&read_back(&bytes)?, format, shown),
        (Reply::Spooled(finished), Format::Json | Format::GeoJson | Format::Pbf) => {
            sent(finished, format, shown.params).await
        }
        (Reply::Spooled(finished), format) => {
            if finished.size_bytes() > MAX_SHOWN_BYTES {
                return Err(Error::TooLarge {
                    what: "the answer",
                    limit: "8 MiB for a page; ask with f=json, or with transportType=esriTransportTypeUrl".to_owned(),
                });
            }
            from_value(&read_back(&finished.read().await?)?, format, shown)
        }
    }
}

/// Leads to another address.
pub(super) fn redirect(status: StatusCode, to: &str) -> Result<Response> {
    let mut response = response(status, "text/plain", Body::empty());
    response.headers_mut().insert(header::LOCATION, header_value(to)?);
    Ok(response)
}

fn header_value(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|error| Error::internal("writing a header", error))
}

/// A finished document as it is, from the disk if it is there.
async fn sent(finished: Finished, format: Format, params: &Params) -> Result<Response> {
    let content_type = match format {
        Format::GeoJson => GEO_JSON,
        Format::Pbf => PBF,
        Format::Html | Format::Json | Format::PrettyJson => JSON,
    };
    let size_bytes = finished.size_bytes();
    let written = match finished {
        Finished::Memory(bytes) => return Ok(response(StatusCode::OK, content_type, Body::from(bytes))),
        Finished::File(written) => written,
    };
    let file = written.open().await?;
    // An open file can be read to its end after its name is gone, so nothing is left behind.
    drop(written);
    match callback(params).filter(|_| format == Format::Json) {
        None => Ok(with_length(response(StatusCode::OK, content_type, stream(file)), size_bytes)),
        Some(name) => {
            let call = Cursor::new(format!("{name}(")).chain(file).chain(&b");"[..]);
            Ok(response(StatusCode::OK, SCRIPT, stream(call)))
        }
    }
}

/// An error in the format that was asked for.
pub(super) fn respond_error(envelope: &Json, format: Format, shown: &Shown<'_>) -> Response {
    match format {
        Format::Html => shown_as_page(shown, Some(envelope)),
        Format::Pbf => json_response(brief_error(envelope).to_string()),
        Format::Json | Format::GeoJson => padded(envelope.to_string().into_bytes(), shown.params),
        Format::PrettyJson => json_response(pretty(envelope).unwrap_or_else(|_| Body::from(envelope.to_string()))),
    }
}

/// An error as a widely used reader of protocol buffers takes it: it looks for one only in answers of up to 750 bytes.
fn brief_error(envelope: &Json) -> Json {
    const MAX_BYTES: usize = 750;
    let mut brief = envelope.clone();
    let mut excess = envelope.to_string().len().saturating_sub(MAX_BYTES);
    for detail in brief["error"]["details"].as_array_mut().into_iter().flatten().rev() {
        if let Json::String(text) = detail
            && excess > 0
        {
            let before = text.len();
            // What is cut off is longer than what is put in its place, unless all of it is cut off.
            let mut end = before.saturating_sub(excess + '…'.len_utf8());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text.truncate(end);
            text.push('…');
            excess = excess.saturating_sub(before.saturating_sub(text.len()));
        }
    }
    brief
}

fn from_value(value: &Json, format: Format, shown: &Shown<'_>) -> Result<Response> {
    match format {
        Format::Html => Ok(shown_as_page(shown, Some(value))),
        Format::Json | Format::PrettyJson | Format::GeoJson | Format::Pbf => Ok(json_response(pretty(value)?)),
    }
}

fn read_back(bytes: &[u8]) -> Result<Json> {
    serde_json::from_slice(bytes).map_err(|error| Error::internal("reading an answer back", error))
}

fn pretty(value: &Json) -> Result<Body> {
    serde_json::to_vec_pretty(value).map(Body::from).map_err(|error| Error::internal("writing JSON", error))
}

fn stream(bytes: impl AsyncRead + Send + 'static) -> Body {
    Body::from_stream(ReaderStream::with_capacity(bytes, 256 * 1024))
}

/// An attachment. Whatever it is, a browser must not run it: pictures and sound are shown, the rest is saved.
fn attachment(info: &AttachmentInfo) -> Response {
    let mut response = response(StatusCode::OK, "application/octet-stream", Body::empty());
    let kind = info.content_type.to_ascii_lowercase();
    let shows = ["image/", "video/", "audio/"].iter().any(|start| kind.starts_with(start)) && !kind.contains("svg");
    let ascii: String = info
        .name
        .chars()
        .map(|c| if c.is_ascii_graphic() && !matches!(c, '"' | '\\') || c == ' ' { c } else { '_' })
        .collect();
    let disposition = format!(
        "{}; filename=\"{ascii}\"; filename*=UTF-8''{}",
        if shows || kind == "application/pdf" { "inline" } else { "attachment" },
        encode(&info.name)
    );
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, info.content_type.as_str()),
        (header::CONTENT_DISPOSITION, disposition.as_str()),
        // Browsers lay pictures out with a style of their own.
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'; style-src 'unsafe-inline'"),
    ] {
        // What cannot stand in a header was refused when the attachment came.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    response
}

/// What pages may load and do: only what is the server's own, and no script or style in the page itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// The page of an answer, or of a form.
fn shown_as_page(shown: &Shown<'_>, body: Option<&Json>) -> Response {
    let frame = Frame {
        path: shown.path,
        title: shown.title,
        // Without its parameters, an operation has no JSON.
        json_url: shown.json_url.as_deref().filter(|_| body.is_some()),
        visitor: shown.visitor,
        assets: shown.kind.assets(),
        basemap: shown.basemap,
        refresh_seconds: refresh_seconds(shown.kind, body),
    };
    html(page(&Page { frame, kind: shown.kind, body, about: &shown.about, form_values: shown.params.pairs() }), shown)
}

fn html(page: String, shown: &Shown<'_>) -> Response {
    let mut response = response(StatusCode::OK, "text/html; charset=utf-8", Body::from(page));
    let policy = match shown.basemap.and_then(|basemap| origin(basemap.url)) {
        None => HeaderValue::from_static(POLICY),
        Some(origin) => {
            let policy = POLICY.replacen("img-src 'self'", &format!("img-src 'self' {origin}"), 1);
            // Settings with anything else in an address are refused.
            HeaderValue::from_str(&policy).unwrap_or_else(|_| HeaderValue::from_static(POLICY))
        }
    };
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// The scheme and host of an address, as policies name them: `https://tiles.example.org`, `{s}` in a host as `*`.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next()?;
    let host = host.strip_prefix("{s}").map_or_else(|| host.to_owned(), |host| format!("*{host}"));
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '*');
    (!host.is_empty() && host.chars().all(fits)).then(|| format!("{scheme}://{host}"))
}

/// JSON, or a call of the function that an old browser client names.
fn padded(json: Vec<u8>, params: &Params) -> Response {
    match callback(params) {
        None => json_response(Body::from(json)),
        Some(name) => {
            let mut script = Vec::with_capacity(json.len() + name.len() + 3);
            script.extend_from_slice(name.as_bytes());
            script.push(b'(');
            script.extend_from_slice(&json);
            script.extend_from_slice(b");");
            response(StatusCode::OK, SCRIPT, Body::from(script))
        }
    }
}

/// The function that an old browser client wants called, if it has a name that can be one.
fn callback(params: &Params) -> Option<&str> {
    params.text("callback").filter(|name| {
        name.len() <= 128 && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '$'))
    })
}

fn json_response(body: impl Into<Body>) -> Response {
    response(StatusCode::OK, JSON, body.into())
}

fn with_length(mut response: Response, size_bytes: u64) -> Response {
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(size_bytes));
    response
}

fn response(status: StatusCode, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Nothing weaker keeps a widely used client from showing old rows.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}
