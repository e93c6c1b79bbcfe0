//! Sends a request that may take long, and finds its answer: in the body, behind an address, or by asking a job.

use std::{path::Path, time::Duration};

use serde_json::Value as Json;

use super::{
    answer::{self, Head},
    error::{Error, Result},
    http::{Server, refusal, remove},
};

/// What is known of a request that was sent, so that whoever comes back after an interruption goes on there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Where to ask how it is getting on.
    pub(crate) status_url: Option<String>,
    /// What its answer says of itself, where the rows are behind an address.
    pub(crate) head: Option<Head>,
}

/// A request, and what to do while it is on its way.
pub(crate) struct Request<'a> {
    /// The operation's address.
    pub(crate) address: String,
    /// Its parameters.
    pub(crate) form: &'a [(String, String)],
    /// Where the answer is put.
    pub(crate) into: &'a Path,
    /// Writes down for good what has become known.
    pub(crate) note: &'a mut dyn FnMut(&Known) -> Result<()>,
    /// Hears what happens: a word, and a number of bytes.
    pub(crate) told: &'a mut dyn FnMut(&str, u64),
}

/// An answer.
pub(crate) struct Answer {
    /// What it says of itself.
    pub(crate) head: Head,
    /// Whether there are rows, in the file that was named.
    pub(crate) has_rows: bool,
}

/// Sends the request, unless it is known that it was received, and waits for the answer.
pub(crate) fn carry_out(server: &Server, mut known: Known, request: Request<'_>) -> Result<Answer> {
    let Request { address, form, into, note, told } = request;
    if known.head.is_none() && known.status_url.is_none() {
        told("sent", 0);
        let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (head, has_rows) = server.signed(|| {
            // What a download left there is of another answer.
            remove(into)?;
            server.submit(&address, &form, into)?;
            let (head, has_rows) = answer::head(into)?;
            match refusal(&Json::Object(head.clone())) {
                Some(error) => Err(error),
                None => Ok((head, has_rows)),
            }
        })?;
        if has_rows {
            return Ok(Answer { head, has_rows });
        }
        match text(&head, &["statusUrl", "statusURL", "status_url"]) {
            Some(url) => known.status_url = Some(url),
            None => known.head = Some(head),
        }
        remove(into)?;
        note(&known)?;
    }
    if known.head.is_none() {
        let Some(status_url) = known.status_url.clone() else {
            return Err(Error::Protocol("it has neither data nor a status".to_owned()));
        };
        match wait(server, &status_url, told) {
            Ok(head) => known.head = Some(head),
            Err(error) => {
                if is_over(&error) {
                    note(&Known::default())?;
                }
                return Err(error);
            }
        }
        note(&known)?;
    }
    let head = known.head.unwrap_or_default();
    let Some(url) = text(&head, &["resultUrl", "responseUrl", "URL", "url", "resultURL"]) else {
        return Ok(Answer { head, has_rows: false });
    };
    match server.download(&url, into, &mut |n| told("received", n)) {
        Ok(()) => Ok(Answer { head, has_rows: true }),
        Err(error) => {
            if is_over(&error) {
                note(&Known::default())?;
            }
            Err(error)
        }
    }
}

/// Whether an error says that a job or its result is no more, so that the request has to be sent again.
fn is_over(error: &Error) -> bool {
    matches!(error, Error::Refused { code, .. } if !matches!(code, 409 | 429 | 498 | 499))
}

/// A text of a head, by the first of its names that says something.
fn text(head: &Head, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| head.get(*name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned))
}

/// Asks a job how it is getting on, ever less often, until it has ended.
fn wait(server: &Server, status_url: &str, told: &mut dyn FnMut(&str, u64)) -> Result<Head> {
    let mut pause = Duration::from_millis(40);
    loop {
        let status = server.document(status_url, &[])?;
        let word = status["status"].as_str().unwrap_or_default().to_owned();
        let plain: String = word.trim_start_matches("esriJob").chars().filter(char::is_ascii_alphabetic).collect();
        match plain.to_ascii_lowercase().as_str() {
            "completed" | "completedwitherrors" | "succeeded" => {
                return match status {
                    Json::Object(head) => Ok(head),
                    _ => Err(Error::Protocol("the status of a job is no object".to_owned())),
                };
            }
            "failed" | "cancelled" | "timedout" => {
                return Err(refusal(&status).unwrap_or_else(|| Error::Refused {
                    code: 500,
                    message: format!("the job ended as {word}"),
                    details: Vec::new(),
                }));
            }
            "" => return Err(Error::Protocol("the status of a job does not say how it is getting on".to_owned())),
            _ => {
                let rows = status["progress"]["rows"].as_u64().unwrap_or_default();
                told("waiting", rows);
            }
        }
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(Duration::from_secs(5));
    }
}
