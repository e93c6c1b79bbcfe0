//! Requests to a feature server: documents, forms, files that come and files that go.
//!
//! Tokens travel in a header and in bodies, to the host of the service only; never in an address that is logged, and never
//! to another host that an answer names.

use std::{
    cell::RefCell,
    fs::{File, OpenOptions},
    io::{self, Read, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use base64::Engine as _;
use serde_json::Value as Json;
use ureq::{
    Agent, Body,
    http::Response,
    tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem},
};
use url::Url;

use super::error::{Error, Result};

/// The largest document that is read into memory; data goes to the disk.
const MAX_DOCUMENT_BYTES: u64 = 64 << 20;
/// The largest document that is taken for an error in the place of a file.
const MAX_ERROR_BYTES: u64 = 1 << 16;
/// How long a line may be silent. Some servers prepare an answer for minutes before they say a word.
const SILENCE: Duration = Duration::from_secs(300);
/// How often what changes nothing is asked again before it is given up.
const N_ATTEMPTS: u32 = 4;

/// How to reach a server, and as whom.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Access {
    /// A token of the server's [environment: SYNCLINE_TOKEN]
    #[arg(long, env = "SYNCLINE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// Sign in as this user, with the password in SYNCLINE_PASSWORD, or else on the first line of the standard input
    #[arg(long, value_name = "NAME", conflicts_with = "token")]
    pub(crate) user: Option<String>,
    /// The user's password. Not meant to be written into a command, where others can read it.
    #[arg(long, env = "SYNCLINE_PASSWORD", hide = true, hide_env_values = true)]
    pub(crate) password: Option<String>,
    /// Certificates (PEM) to trust instead of the usual ones
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Trust any certificate: whoever is on the line can read and change everything
    #[arg(long)]
    pub(crate) insecure: bool,
    /// The proxy, http://… or socks5://… [default: as the environment says: HTTPS_PROXY, ALL_PROXY …]
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
}

/// Who signs in, and where.
struct Login {
    /// The address that gives tokens.
    address: String,
    user: String,
    password: String,
}

/// A feature server.
pub(crate) struct Server {
    agent: Agent,
    /// The service's address, without a slash at the end and without who asks.
    pub(crate) url: Url,
    /// The token that is sent; another one when it has run out.
    token: RefCell<Option<String>>,
    basic: Option<String>,
    login: Option<Login>,
}

/// How many other addresses a file may be found at.
const MAX_REDIRECTS: u32 = 5;

impl Server {
    /// Finds out how to reach the service at `url`. Asks for a token if there are a user and a password, and the server has
    /// tokens.
    pub(crate) fn connect(url: &str, access: &Access) -> Result<Server> {
        let mut url = Url::parse(url).map_err(|error| {
            Error::Unfit(format!("'{}' is not a URL ({error}); give the address of a FeatureServer", without_user(url)))
        })?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(Error::Unfit("the URL must begin with http:// or https://".to_owned()));
        }
        let of_url = (!url.username().is_empty())
            .then(|| (decoded(url.username()), decoded(url.password().unwrap_or_default())));
        let of_access = || Some((access.user.clone()?, access.password.clone().unwrap_or_default()));
        let user = of_url.or_else(of_access);
        let _ = (url.set_username(""), url.set_password(None));
        url.set_query(None);
        url.set_fragment(None);
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        let token = RefCell::new(access.token.clone());
        let mut server = Server { agent: agent(access)?, url, token, basic: None, login: None };
        if let (None, Some((user, password))) = (&access.token, user) {
            server.introduce(user, password)?;
        }
        Ok(server)
    }

    /// An address below the service.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }

    /// Finds out how the server wants to be told who asks, and tells it.
    fn introduce(&mut self, user: String, password: String) -> Result<()> {
        let info = match self.url.as_str().split_once("/rest/services") {
            Some((root, _)) => match self.document(&format!("{root}/rest/info"), &[]) {
                // A server that does not say has no tokens.
                Err(Error::Refused { .. } | Error::Protocol(_)) => Json::Null,
                info => info?,
            },
            None => Json::Null,
        };
        let auth = &info["authInfo"];
        let address = auth["tokenServicesUrl"].as_str().filter(|_| auth["isTokenBasedSecurity"] == true);
        let Some(address) = address else {
            // A proxy in front of the server asks.
            let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            self.basic = Some(format!("Basic {credentials}"));
            return Ok(());
        };
        if self.url.scheme() == "https" && !address.starts_with("https:") {
            return Err(Error::Unfit(format!(
                "the server wants the password sent to {address}, in the clear; nothing was sent. Ask its owner to correct tokenServicesUrl, or give --token"
            )));
        }
        self.login = Some(Login { address: address.to_owned(), user, password });
        self.sign_in()
    }

    /// Gets a token. Nothing happens if nobody has said who asks.
    fn sign_in(&self) -> Result<()> {
        let Some(Login { address, user, password }) = &self.login else { return Ok(()) };
        self.token.replace(None);
        let form = [("username", user.as_str()), ("password", password), ("client", "requestip"), ("expiration", "60")];
        let answer = retrying(|| read_document(self.post(address, &form)?))?;
        let token =
            answer["token"].as_str().ok_or_else(|| Error::Protocol("generateToken gave no token".to_owned()))?;
        self.token.replace(Some(token.to_owned()));
        Ok(())
    }

    /// Asks again with another token where that of a user has run out: what was asked before was not looked at.
    pub(crate) fn signed<T>(&self, mut ask: impl FnMut() -> Result<T>) -> Result<T> {
        match ask() {
            Err(Error::Refused { code: 498 | 499, .. }) if self.login.is_some() => {
                self.sign_in()?;
                ask()
            }
            done => done,
        }
    }

    /// Whether an address is of the service's own host, to which who asks may be told.
    fn is_own(&self, address: &str) -> bool {
        Url::parse(address).is_ok_and(|address| address.origin() == self.url.origin())
    }

    /// A document, asked for by a POST with `f=json` and the pairs given. Repeated if the line breaks: only for what changes
    /// nothing, or nothing twice.
    pub(crate) fn document(&self, address: &str, form: &[(&str, &str)]) -> Result<Json> {
        retrying(|| self.signed(|| read_document(self.post(address, form)?)))
    }

    /// Sends a form, and keeps what is answered as a file, however large.
    pub(crate) fn submit(&self, address: &str, form: &[(&str, &str)], into: &Path) -> Result<()> {
        let mut answer = self.post(address, form)?;
        let mut file = File::create(into).map_err(|error| Error::file(into, &error))?;
        copy(&mut answer.body_mut().with_config().limit(u64::MAX).reader(), &mut file, into, &mut |_| {})
    }

    fn post(&self, address: &str, form: &[(&str, &str)]) -> Result<Response<Body>> {
        let own = self.is_own(address);
        let mut pairs: Vec<(&str, &str)> = vec![("f", "json")];
        pairs.extend_from_slice(form);
        let token = self.token.borrow();
        if let Some(token) = token.as_deref().filter(|_| own) {
            pairs.push(("token", token));
        }
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let mut request = self.agent.post(address).content_type("application/x-www-form-urlencoded");
        if own {
            for (name, value) in self.identity() {
                request = request.header(name, value);
            }
        }
        usable(request.send(body).map_err(|error| broken(&error))?)
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        let token = self.token.borrow().as_ref().map(|token| ("X-Esri-Authorization", format!("Bearer {token}")));
        let basic = self.basic.as_ref().map(|basic| ("Authorization", basic.clone()));
        token.into_iter().chain(basic).collect()
    }

    /// Fetches a file into `into`. What a broken attempt left there is gone on with, if the file is still the same; its tag is
    /// noted beside it. `told` hears how many bytes are there.
    pub(crate) fn download(&self, address: &str, into: &Path, told: &mut dyn FnMut(u64)) -> Result<()> {
        retrying(|| self.signed(|| self.download_once(address, into, told)))
    }

    fn download_once(&self, address: &str, into: &Path, told: &mut dyn FnMut(u64)) -> Result<()> {
        let tag_path = beside(into, "tag");
        let known = std::fs::read_to_string(&tag_path).ok().and_then(|text| {
            let (of, tag) = text.split_once('\n')?;
            (of == address).then(|| tag.to_owned())
        });
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(into)
            .map_err(|error| Error::file(into, &error))?;
        let there = file.metadata().map_err(|error| Error::file(into, &error))?.len();
        let range = known.as_deref().filter(|_| there > 0).map(|tag| (there, tag));
        let mut answer = self.get(address, range)?;
        let status = answer.status().as_u16();
        if status == 416 && known.is_some() {
            // All of it was there already, or another file is there now: begin anew.
            drop(file);
            remove(into)?;
            remove(&tag_path)?;
            return Err(Error::Unreachable("the file on the server is not the one of which a part is here".to_owned()));
        }
        if status != 206 {
            answer = usable(answer)?;
            let tag =
                answer.headers().get("etag").and_then(|tag| tag.to_str().ok()).filter(|tag| !tag.starts_with("W/"));
            match tag {
                Some(tag) => std::fs::write(&tag_path, format!("{address}\n{tag}"))
                    .map_err(|error| Error::file(&tag_path, &error))?,
                None => remove(&tag_path)?,
            }
            file.set_len(0).map_err(|error| Error::file(into, &error))?;
        }
        let may_be_error = status != 206 && is_plain_json(&answer);
        let mut done = file.seek(SeekFrom::End(0)).map_err(|error| Error::file(into, &error))?;
        copy(&mut answer.body_mut().with_config().limit(u64::MAX).reader(), &mut file, into, &mut |n| {
            done += n;
            told(done);
        })?;
        remove(&tag_path)?;
        if may_be_error && done < MAX_ERROR_BYTES {
            let text = std::fs::read(into).map_err(|error| Error::file(into, &error))?;
            if let Err(error @ Error::Refused { .. }) = document(&text) {
                remove(into)?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Asks for a file, or for what it has behind so many bytes if it still has a tag. Goes where the server points to; who asks is told to the
    /// service's own host alone.
    fn get(&self, address: &str, range: Option<(u64, &str)>) -> Result<Response<Body>> {
        let mut address = address.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let mut request = self.agent.get(self.with_token(&address));
            if let Some((there, tag)) = range {
                request = request.header("Range", format!("bytes={there}-")).header("If-Range", tag);
            }
            if self.is_own(&address) {
                for (name, value) in self.identity() {
                    request = request.header(name, value);
                }
            }
            let answer = request.call().map_err(|error| broken(&error))?;
            let Some(next) = elsewhere(&answer) else { return Ok(answer) };
            let next = Url::parse(&address).and_then(|base| base.join(next));
            address = next.map_err(|_| Error::Protocol("it points to an address that is none".to_owned()))?.into();
        }
        Err(Error::Protocol(format!("a file is at none of {MAX_REDIRECTS} addresses that point to each other")))
    }

    /// The address with the token that files are fetched with.
    fn with_token(&self, address: &str) -> String {
        match (self.token.borrow().as_deref(), Url::parse(address)) {
            (Some(token), Ok(mut url)) if self.is_own(address) => {
                url.query_pairs_mut().append_pair("token", token);
                url.into()
            }
            _ => address.to_owned(),
        }
    }

    /// Sends a file as the part `file` of a form, without holding it in memory.
    pub(crate) fn upload(&self, address: &str, name: &str, file: &mut File, size: u64) -> Result<Json> {
        self.signed(|| {
            file.seek(SeekFrom::Start(0))
                .map_err(|error| Error::File(format!("an attachment cannot be read: {error}")))?;
            self.upload_once(address, name, &*file, size)
        })
    }

    fn upload_once(&self, address: &str, name: &str, content: impl Read, size: u64) -> Result<Json> {
        let boundary = format!("syncline-{}", uuid::Uuid::new_v4().simple());
        let plain: String =
            name.chars().map(|c| if c.is_control() || matches!(c, '"' | '\\') { '_' } else { c }).collect();
        let token = self.token.borrow().clone();
        let fields = [("f", Some("json")), ("token", token.as_deref())];
        let mut head: String = fields
            .into_iter()
            .filter_map(|(key, value)| {
                Some(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{key}\"\r\n\r\n{}\r\n", value?))
            })
            .collect();
        let disposition = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{plain}\"");
        head.extend(["--", &boundary, "\r\n", &disposition, "\r\nContent-Type: application/octet-stream\r\n\r\n"]);
        let tail = format!("\r\n--{boundary}--\r\n");
        let length = head.len() as u64 + size + tail.len() as u64;
        let mut body = head.as_bytes().chain(content.take(size)).chain(tail.as_bytes());
        let mut request = self
            .agent
            .post(address)
            .content_type(format!("multipart/form-data; boundary={boundary}"))
            .header("Content-Length", length.to_string());
        for (name, value) in self.identity() {
            request = request.header(name, value);
        }
        let answer = request.send(ureq::SendBody::from_reader(&mut body)).map_err(|error| broken(&error))?;
        read_document(usable(answer)?)
    }
}

fn agent(access: &Access) -> Result<Agent> {
    let mut tls = TlsConfig::builder().disable_verification(access.insecure);
    if let Some(path) = &access.ca_file {
        let pem = std::fs::read(path).map_err(|error| Error::file(path, &error))?;
        let certificates: Vec<Certificate<'static>> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(Error::Unfit(format!("{} has no certificate in PEM form", path.display())));
        }
        tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
    }
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        // Followed one by one: what is sent to the server is not for whoever it points to.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_per_read(Some(SILENCE))
        .timeout_per_write(Some(SILENCE))
        .accept_encoding("identity")
        .user_agent(concat!("syncline/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls.build());
    if let Some(proxy) = &access.proxy {
        let proxy = ureq::Proxy::new(proxy).map_err(|_| {
            Error::Unfit(
                "--proxy is not the address of a proxy; write http://HOST:PORT or socks5://HOST:PORT".to_owned(),
            )
        })?;
        config = config.proxy(Some(proxy));
    }
    Ok(config.build().into())
}

/// Whether an answer is JSON without a tag. Servers answer errors so in the place of a file, with a status that says nothing.
fn is_plain_json(answer: &Response<Body>) -> bool {
    let kind = answer.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.contains("json") && !answer.headers().contains_key("etag")
}

/// Where an answer says that what was asked for is.
fn elsewhere(answer: &Response<Body>) -> Option<&str> {
    let status = answer.status().as_u16();
    answer.headers().get("location").filter(|_| matches!(status, 301 | 302 | 303 | 307 | 308))?.to_str().ok()
}

/// Refuses what is no answer of the API's.
fn usable(answer: Response<Body>) -> Result<Response<Body>> {
    let status = answer.status();
    match status.as_u16() {
        200..=299 => Ok(answer),
        401 | 407 => Err(Error::Refused {
            code: 499,
            message: "who asks must say who they are".to_owned(),
            details: vec!["give --token, or --user and the password".to_owned()],
        }),
        300..=399 => Err(Error::Unfit(match elsewhere(&answer) {
            Some(place) => format!("the service is no longer at this address, but at {place}; give that one"),
            None => format!("the address leads nowhere (HTTP {status}); it is not that of a FeatureServer"),
        })),
        502..=504 => {
            Err(Error::Unreachable(format!("the server is not there at the moment (HTTP {status}); try again later")))
        }
        _ => {
            let mut answer = answer;
            let text = answer.body_mut().with_config().limit(1 << 16).read_to_vec().unwrap_or_default();
            // Some servers put the error of the API under the status that it names.
            Err(document(&text).err().filter(|error| matches!(error, Error::Refused { .. })).unwrap_or_else(|| {
                Error::Refused {
                    code: i64::from(status.as_u16()),
                    message: format!("HTTP {status}"),
                    details: Vec::new(),
                }
            }))
        }
    }
}

/// Reads the document that is an answer.
fn read_document(mut answer: Response<Body>) -> Result<Json> {
    let body = answer.body_mut().with_config().limit(MAX_DOCUMENT_BYTES);
    document(&body.read_to_vec().map_err(|error| broken(&error))?)
}

/// Reads a document, which may be an error.
fn document(text: &[u8]) -> Result<Json> {
    let json: Json = serde_json::from_slice(text).map_err(|_| {
        let shown: String = String::from_utf8_lossy(text).chars().take(80).collect();
        Error::Protocol(format!("it is not JSON: {shown:?}; is the URL that of a FeatureServer?"))
    })?;
    match refusal(&json) {
        Some(error) => Err(error),
        None => Ok(json),
    }
}

/// The error that a document is, if it is one.
pub(crate) fn refusal(json: &Json) -> Option<Error> {
    let error = json.get("error").filter(|error| error.is_object())?;
    let text = |value: &Json| value.as_str().map(str::to_owned);
    let details = match &error["details"] {
        Json::Array(details) => details.iter().filter_map(text).collect(),
        other => text(other).into_iter().collect(),
    };
    let message = text(&error["message"])
        .or_else(|| text(&error["description"]))
        .unwrap_or_else(|| "it does not say why".to_owned());
    Some(Error::Refused { code: error["code"].as_i64().unwrap_or(500), message, details })
}

fn copy(from: &mut impl Read, to: &mut File, path: &Path, told: &mut dyn FnMut(u64)) -> Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::Unreachable(format!("the line broke while a file came: {error}"))),
        };
        let bytes = buffer.get(..n).unwrap_or_default();
        to.write_all(bytes).map_err(|error| Error::file(path, &error))?;
        told(n as u64);
    }
    to.sync_all().map_err(|error| Error::file(path, &error))
}

/// Asks again, after a while, if the line breaks.
fn retrying<T>(mut ask: impl FnMut() -> Result<T>) -> Result<T> {
    let mut pause = Duration::from_millis(200);
    for _ in 1..N_ATTEMPTS {
        match ask() {
            Err(Error::Unreachable(_)) => std::thread::sleep(pause),
            done => return done,
        }
        pause *= 3;
    }
    ask()
}

fn broken(error: &ureq::Error) -> Error {
    match error {
        ureq::Error::HostNotFound => Error::Unreachable("there is no such host, or no network".to_owned()),
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => Error::Unfit(format!(
            "no secure line to the server: {error}; if its certificate is your own, give it with --ca-file"
        )),
        // What is wrong with a certificate comes as a failure of the line.
        ureq::Error::Io(inner)
            if inner.kind() == io::ErrorKind::InvalidData && inner.to_string().contains("certificate") =>
        {
            Error::Unfit(format!(
                "no secure line to the server: {inner}; if its certificate is your own, give that of who signed it with --ca-file"
            ))
        }
        ureq::Error::BodyExceedsLimit(_) => Error::Protocol("a document of more than 64 MiB".to_owned()),
        // Not with their words, which hold the address, and so the token.
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
            Error::Unfit("the address, or one that the server gave, is not one".to_owned())
        }
        ureq::Error::InvalidProxyUrl => Error::Unfit("the proxy of the environment is not an address".to_owned()),
        error => Error::Unreachable(format!("the server cannot be reached: {error}")),
    }
}

/// Removes a file that may not be there.
pub(crate) fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file(path, &error)),
        _ => Ok(()),
    }
}

/// The path with more at its end.
pub(crate) fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    PathBuf::from(name)
}

fn decoded(text: &str) -> String {
    form_urlencoded::parse(format!("p={}", text.replace('+', "%2B")).as_bytes())
        .map(|(_, value)| value.into_owned())
        .collect()
}

/// A URL as it may be shown.
fn without_user(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, rest)| rest)
}
