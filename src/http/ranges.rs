//! Files to keep: whole or a range of their bytes, so that a download that broke off can go on where it did.
//!
//! A file never changes, and its tag is its digest. Ranges are of the bytes as they are stored: a compressed response
//! has a weak tag (see [`weaken_tag`]), with which no client can ask for the rest of it.

use std::io::SeekFrom;

use axum::{
    body::Body,
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{
            ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, IF_NONE_MATCH, IF_RANGE,
            RANGE,
        },
    },
    response::Response,
};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _},
};
use tokio_util::io::ReaderStream;

use crate::{
    error::{Error, Result},
    model::digest::{base64, hex},
};

/// The digest of the file, whichever part of it is sent.
const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// How much of a file is read at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// A file to be sent.
pub(super) struct Sent {
    /// The file.
    pub(super) file: File,
    /// Its size.
    pub(super) size_bytes: u64,
    /// The SHA-256 of its bytes, if it is known.
    pub(super) sha256: Option<Vec<u8>>,
}

/// What of a file is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    /// The first byte, and the number of bytes.
    Range(u64, u64),
    /// Nothing that there is.
    Unsatisfiable,
}

/// Fills a response with a file, or with the range of it that the request asks for.
pub(super) async fn send(mut response: Response, sent: Sent, method: &Method, request: &HeaderMap) -> Result<Response> {
    let Sent { mut file, size_bytes, sha256 } = sent;
    let tag = sha256.as_deref().map(|sha256| format!("\"{}\"", hex(sha256)));
    let wanted = match request.get(RANGE).and_then(|range| range.to_str().ok()) {
        Some(range) if still_the_same(request, tag.as_deref()) => parse(range, size_bytes),
        _ => Wanted::Whole,
    };
    let headers = response.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let mut insert = |name: HeaderName, text: &str| {
        HeaderValue::from_str(text)
            .map(|value| headers.insert(name, value))
            .map_err(|error| Error::internal("answering with a file", error))
    };
    if let (Some(tag), Some(sha256)) = (&tag, &sha256) {
        insert(ETAG, tag)?;
        insert(REPR_DIGEST, &format!("sha-256=:{}:", base64(sha256)))?;
    }
    if is_known(request, tag.as_deref()) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    let (status, start, length) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0, size_bytes),
        Wanted::Range(start, length) => {
            insert(CONTENT_RANGE, &format!("bytes {start}-{}/{size_bytes}", start + length - 1))?;
            (StatusCode::PARTIAL_CONTENT, start, length)
        }
        Wanted::Unsatisfiable => {
            insert(CONTENT_RANGE, &format!("bytes */{size_bytes}"))?;
            (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0)
        }
    };
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    if length > 0 && method != Method::HEAD {
        let unreadable = |error| Error::internal("reading a result", error);
        file.seek(SeekFrom::Start(start)).await.map_err(unreadable)?;
        *response.body_mut() = Body::from_stream(ReaderStream::with_capacity(file.take(length), CHUNK_BYTES));
    }
    Ok(response)
}

/// Whether the client's part of the file is one of this file. A date does not say so: a file is made in less than a second.
fn still_the_same(request: &HeaderMap, tag: Option<&str>) -> bool {
    match request.get(IF_RANGE) {
        None => true,
        Some(given) => given.to_str().is_ok_and(|given| Some(given.trim()) == tag),
    }
}

/// Whether the client has the file already: it names the tag, which may have been made weak on its way.
fn is_known(request: &HeaderMap, tag: Option<&str>) -> bool {
    let Some(given) = request.get(IF_NONE_MATCH).and_then(|given| given.to_str().ok()) else { return false };
    let same = |given: &str| given == "*" || Some(given.strip_prefix("W/").unwrap_or(given)) == tag;
    tag.is_some() && given.split(',').map(str::trim).any(same)
}

/// Reads `bytes=first-last`. Anything else, also several ranges, asks for the whole file, as HTTP has it.
fn parse(range: &str, size_bytes: u64) -> Wanted {
    let spec = match range.trim().split_once('=') {
        Some((unit, spec)) if unit.trim().eq_ignore_ascii_case("bytes") => spec.trim(),
        _ => return Wanted::Whole,
    };
    let Some((first, last)) = spec.split_once('-') else { return Wanted::Whole };
    let number = |text: &str| text.chars().all(|c| c.is_ascii_digit()).then(|| text.parse::<u64>().unwrap_or(u64::MAX));
    match (first.trim(), last.trim()) {
        ("", "") => Wanted::Whole,
        ("", last) => match number(last) {
            None => Wanted::Whole,
            Some(0) => Wanted::Unsatisfiable,
            Some(_) if size_bytes == 0 => Wanted::Unsatisfiable,
            Some(n) => Wanted::Range(size_bytes - n.min(size_bytes), n.min(size_bytes)),
        },
        (first, last) => match (number(first), if last.is_empty() { Some(u64::MAX) } else { number(last) }) {
            (Some(first), Some(last)) if first > last => Wanted::Whole,
            (Some(first), Some(_)) if first >= size_bytes => Wanted::Unsatisfiable,
            (Some(first), Some(last)) => Wanted::Range(first, last.min(size_bytes - 1) - first + 1),
            _ => Wanted::Whole,
        },
    }
}

/// Makes the tag of a response weak that was compressed on its way out, and takes the digest away: both are those of the
/// stored bytes.
pub(super) fn weaken_tag(mut response: Response) -> Response {
    if !response.headers().contains_key(CONTENT_ENCODING) {
        return response;
    }
    response.headers_mut().remove(REPR_DIGEST);
    if let Some(tag) = response.headers_mut().remove(ETAG)
        && let Ok(text) = tag.to_str()
        && let Ok(weak) = HeaderValue::from_str(&format!("W/{}", text.trim_start_matches("W/")))
    {
        response.headers_mut().insert(ETAG, weak);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_http_has_it() {
        for (range, wanted) in [
            ("bytes=0-0", Wanted::Range(0, 1)),
            ("bytes=2-4", Wanted::Range(2, 3)),
            ("Bytes = 2 - 4", Wanted::Range(2, 3)),
            ("bytes=7-", Wanted::Range(7, 3)),
            ("bytes=7-99", Wanted::Range(7, 3)),
            ("bytes=-3", Wanted::Range(7, 3)),
            ("bytes=-99", Wanted::Range(0, 10)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=4-2", Wanted::Whole),
            ("bytes=0-1,4-5", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("rows=0-1", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(parse(range, 10), wanted, "{range}");
        }
        assert_eq!(parse("bytes=0-", 0), Wanted::Unsatisfiable);
        assert_eq!(parse("bytes=-5", 0), Wanted::Unsatisfiable);
    }
}
