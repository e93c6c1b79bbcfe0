//! Parameters out of query string and body.
//!
//! Bodies are forms, multipart forms or JSON objects. Form bodies need not be percent-encoded, a GET may call itself a form,
//! and a POST may have everything in its query string: clients do all of it.

use axum::{
    body::Body,
    extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request, multipart::MultipartError},
    http::{StatusCode, header::CONTENT_TYPE},
};
use serde_json::Value as Json;

use crate::{
    error::{Error, Result},
    wire::params::Params,
};

/// Reads all parameters of a request. What the body says wins over the query string.
pub(super) async fn read(request: Request, max_bytes: usize) -> Result<Params> {
    let mut params = Params::new();
    for (name, value) in form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes()) {
        params.push(name, value);
    }
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(str::to_ascii_lowercase)
        .unwrap_or_default();
    if content_type.starts_with("multipart/form-data") {
        read_multipart(request, max_bytes, &mut params).await?;
        return Ok(params);
    }
    let body = read_body(request.into_body(), max_bytes).await?;
    if body.is_empty() {
        return Ok(params);
    }
    if content_type.starts_with("application/json") {
        let members: serde_json::Map<String, Json> = serde_json::from_slice(&body)
            .map_err(|error| Error::invalid("body", format!("it is not a JSON object: {error}")))?;
        for (name, value) in members {
            match value {
                Json::Null => {}
                Json::String(text) => params.push(name, text),
                other => params.push(name, other.to_string()),
            }
        }
    } else {
        for (name, value) in form_urlencoded::parse(&body) {
            params.push(name, value);
        }
    }
    Ok(params)
}

async fn read_body(body: Body, max_bytes: usize) -> Result<bytes::Bytes> {
    axum::body::to_bytes(body, max_bytes).await.map_err(|error| {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(inner) = cause {
            if inner.is::<http_body_util::LengthLimitError>() {
                return too_large(max_bytes);
            }
            cause = inner.source();
        }
        Error::invalid(
            "body",
            "it could not be read to its end; the connection was interrupted, send the request again",
        )
    })
}

fn too_large(max_bytes: usize) -> Error {
    Error::TooLarge {
        what: "the body of the request",
        limit: format!("{max_bytes} bytes; send the edits in several parts"),
    }
}

async fn read_multipart(mut request: Request, max_bytes: usize, params: &mut Params) -> Result<()> {
    let broken = |problem: String| Error::invalid("body", format!("it is not a readable multipart form: {problem}"));
    let unreadable = |error: MultipartError| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(max_bytes),
        _ => broken(error.body_text()),
    };
    // Forms have a lower limit of their own otherwise.
    DefaultBodyLimit::max(max_bytes).apply(&mut request);
    let mut form = Multipart::from_request(request, &()).await.map_err(|error| broken(error.body_text()))?;
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        let name = field.name().unwrap_or_default().to_owned();
        if field.file_name().is_some() {
            return Err(Error::NotSupported(format!(
                "part '{name}' is a file, and files cannot be uploaded yet; nothing was applied"
            )));
        }
        params.push(name, field.text().await.map_err(unreadable)?);
    }
    Ok(())
}
