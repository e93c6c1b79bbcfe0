//! Parameters out of query string and body.
//!
//! Bodies are forms, multipart forms or JSON objects. Form bodies need not be percent-encoded, a GET may call itself a form,
//! and a POST may have everything in its query string: clients do all of it.

use std::time::Duration;

use axum::{
    extract::{
        DefaultBodyLimit, FromRequest as _, Multipart, Request,
        multipart::{Field, MultipartError},
    },
    http::{
        HeaderMap, StatusCode,
        header::{CONTENT_ENCODING, CONTENT_TYPE},
    },
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use serde_json::Value as Json;

use crate::{
    error::{Error, Result},
    files::{Incoming, Received},
    model::digest::parse_sha256,
    wire::params::Params,
};

use super::Sender;

/// A file that came with a request.
pub(super) struct File {
    /// What the client calls it.
    pub(super) name: Option<String>,
    /// What the client says that it is.
    pub(super) content_type: Option<String>,
    /// Its bytes.
    pub(super) received: Received,
    /// The SHA-256 that its own headers say it has.
    pub(super) sha256: Option<Vec<u8>>,
}

/// Reads all parameters of a request, and the file that it may come with if there is a place for it. What the body says
/// wins over the query string. The file is refused if
/// the parameters that came before it say that its sender may not send it.
pub(super) async fn read(
    request: Request,
    max_bytes: usize,
    silence: Duration,
    incoming: Option<(Incoming, Sender<'_>)>,
) -> Result<(Params, Option<File>)> {
    refuse_encodings(request.headers())?;
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
        let file = read_multipart(request, max_bytes, silence, incoming, &mut params).await?;
        return Ok((params, file));
    }
    let body = in_time(silence, max_bytes, request).await?;
    if body.is_empty() {
        return Ok((params, None));
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
    Ok((params, None))
}

/// Reads a body without keeping it, as far and as long as an ordinary one may go.
pub(super) async fn pass_over(request: Request, max_bytes: usize, silence: Duration) {
    let mut chunks = request.into_body().into_data_stream();
    let mut n_bytes = 0;
    let reading = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            n_bytes += chunk.len();
            if n_bytes > max_bytes {
                break;
            }
        }
    };
    // Whether it comes to its end, nobody need know.
    let _ = tokio::time::timeout(silence, reading).await;
}

/// A body that is packed could be a thousand times as large as it looks, and no client of feature services packs what it sends.
fn refuse_encodings(headers: &HeaderMap) -> Result<()> {
    match headers.get(CONTENT_ENCODING) {
        Some(encoding) if !encoding.as_bytes().eq_ignore_ascii_case(b"identity") => Err(Error::NotSupported(
            "the body of the request has a Content-Encoding, and bodies are taken as they are only; send it without compression".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// Reads a body whole. Its client may be slow, but not silent.
async fn in_time(silence: Duration, max_bytes: usize, request: Request) -> Result<Bytes> {
    let mut chunks = request.into_body().into_data_stream();
    let mut body = BytesMut::new();
    loop {
        let chunk = match tokio::time::timeout(silence, chunks.next()).await {
            Ok(None) => return Ok(body.freeze()),
            Ok(Some(Ok(chunk))) => chunk,
            Ok(Some(Err(_))) | Err(_) => {
                return Err(Error::invalid(
                    "body",
                    "it could not be read to its end; the connection was interrupted, send the request again",
                ));
            }
        };
        if body.len() + chunk.len() > max_bytes {
            return Err(too_large(max_bytes));
        }
        body.extend_from_slice(&chunk);
    }
}

fn too_large(max_bytes: usize) -> Error {
    Error::TooLarge {
        what: "the body of the request",
        limit: format!("{max_bytes} bytes; send the edits in several parts"),
    }
}

async fn read_multipart(
    mut request: Request,
    max_bytes: usize,
    silence: Duration,
    mut incoming: Option<(Incoming, Sender<'_>)>,
    params: &mut Params,
) -> Result<Option<File>> {
    let broken = |problem: String| Error::invalid("body", format!("it is not a readable multipart form: {problem}"));
    let unreadable = |error: MultipartError| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(max_bytes),
        _ => broken(error.body_text()),
    };
    // Forms have a lower limit of their own otherwise. A file has its own limit, and what is beside it is counted.
    match incoming {
        None => DefaultBodyLimit::max(max_bytes).apply(&mut request),
        Some(_) => DefaultBodyLimit::disable().apply(&mut request),
    }
    let mut form = Multipart::from_request(request, &()).await.map_err(|error| broken(error.body_text()))?;
    let mut n_bytes = 0;
    let mut file = None;
    let silent = |_| broken("nothing more of it came".to_owned());
    while let Some(mut field) =
        tokio::time::timeout(silence, form.next_field()).await.map_err(silent)?.map_err(unreadable)?
    {
        let name = field.name().unwrap_or_default().to_owned();
        if field.file_name().is_some() || (name.eq_ignore_ascii_case("file") && incoming.is_some()) {
            let Some((place, sender)) = incoming.take() else {
                return Err(Error::NotSupported(match file {
                    None => format!("part '{name}' is a file, and no file is taken here; nothing was applied"),
                    Some(_) => format!("part '{name}' is a second file, and one is taken at a time; nothing was kept"),
                }));
            };
            sender.require(params).await?;
            file = Some(receive(field, silence, place).await?);
            continue;
        }
        let mut text = Vec::new();
        while let Some(chunk) =
            tokio::time::timeout(silence, field.chunk()).await.map_err(silent)?.map_err(unreadable)?
        {
            n_bytes += chunk.len();
            if n_bytes > max_bytes {
                return Err(too_large(max_bytes));
            }
            text.extend_from_slice(&chunk);
        }
        let text = String::from_utf8(text).map_err(|_| broken(format!("part '{name}' is not text in UTF-8")))?;
        params.push(name, text);
    }
    Ok(file)
}

/// Writes a file as it comes.
async fn receive(mut field: Field<'_>, silence: Duration, mut place: Incoming) -> Result<File> {
    let interrupted =
        || Error::invalid("file", "it did not arrive to its end, and nothing was kept of it; send it again");
    let name = field.file_name().map(str::to_owned).filter(|name| !name.trim().is_empty());
    let content_type = field.content_type().map(str::to_owned);
    let sha256 = digest_of(field.headers())?;
    loop {
        let chunk = tokio::time::timeout(silence, field.chunk()).await.map_err(|_| interrupted())?;
        match chunk.map_err(|_| interrupted())? {
            Some(chunk) => place.write(chunk).await?,
            None => break,
        }
    }
    Ok(File { name, content_type, received: place.finish().await?, sha256 })
}

/// The SHA-256 in the headers of a part of a form, where HTTP has digests: `Content-Digest: sha-256=:…:`.
fn digest_of(headers: &HeaderMap) -> Result<Option<Vec<u8>>> {
    for name in ["content-digest", "repr-digest"] {
        let Some(text) = headers.get(name) else { continue };
        let members = text.to_str().unwrap_or_default().split(',').filter_map(|member| member.trim().split_once('='));
        for (algorithm, value) in members {
            if algorithm.trim().eq_ignore_ascii_case("sha-256") {
                let digest = parse_sha256(value.trim().trim_matches(':'));
                return digest.map(Some).ok_or_else(|| {
                    Error::invalid("file", format!("its {name} is not a SHA-256 in base64 between colons"))
                });
            }
        }
    }
    Ok(None)
}
