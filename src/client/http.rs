//! Requests to a feature server: documents, forms, files that come and files that go.
//!
//! Tokens travel in a header and in bodies, to the host of the service only; never in an address that is logged, and never
//! to another host that an answer names.

use std::{
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
/// How long a line may be silent. Some servers prepare an answer for minutes before they say a word.
const SILENCE: Duration = Duration::from_secs(300);
/// How often what changes nothing is asked again before it is given up.
const N_ATTEMPTS: u32 = 4;

/// How to reach a server, and as whom.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Access {
    /// A token of the server's [environment: SYNCLINE_TOKEN]; or write USER:PASSWORD@ before the host in the URL
    #[arg(long, env = "SYNCLINE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// Certificates (PEM) to trust instead of the usual ones
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Trust any certificate: whoever is on the line can read and change everything
    #[arg(long)]
    pub(crate) insecure: bool,
    /// The proxy, http://… or socks5://… [default: as the environment says: HTTPS_PROXY, ALL_PROXY …]
    #[arg(long, value_name = "URL")]
    pub(crate) proxy: Option<String>,
    /// The user and password of the URL.
    #[arg(skip)]
    pub(crate) user: Option<(String, String)>,
}

/// A feature server.
pub(crate) struct Server {
    agent: Agent,
    /// The service's address, without a slash at the end and without who asks.
    pub(crate) url: Url,
    token: Option<String>,
    basic: Option<String>,
}

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
        let user = of_url.or_else(|| access.user.clone());
        let _ = (url.set_username(""), url.set_password(None));
        url.set_query(None);
        url.set_fragment(None);
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        let mut server = Server { agent: agent(access)?, url, token: access.token.clone(), basic: None };
        if let (None, Some((user, password))) = (&server.token, user) {
            server.sign_in(&user, &password)?;
        }
        Ok(server)
    }

    /// An address below the service.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.url)
    }

    fn sign_in(&mut self, user: &str, password: &str) -> Result<()> {
        let info = self.url.as_str().split_once("/rest/services").map(|(root, _)| format!("{root}/rest/info"));
        let info = info.and_then(|info| self.document(&info, &[]).ok()).unwrap_or_default();
        let auth = &info["authInfo"];
        let address = auth["tokenServicesUrl"].as_str().filter(|_| auth["isTokenBasedSecurity"] == true);
        let Some(address) = address else {
            // No tokens: a proxy in front of the server asks.
            let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
            self.basic = Some(format!("Basic {credentials}"));
            return Ok(());
        };
        let form = [("username", user), ("password", password), ("client", "requestip"), ("expiration", "60")];
        let answer = self.document(address, &form)?;
        let token =
            answer["token"].as_str().ok_or_else(|| Error::Protocol("generateToken gave no token".to_owned()))?;
        self.token = Some(token.to_owned());
        Ok(())
    }

    /// Whether an address is of the service's own host, to which who asks may be told.
    fn is_own(&self, address: &str) -> bool {
        Url::parse(address).is_ok_and(|address| address.origin() == self.url.origin())
    }

    /// A document, asked for by a POST with `f=json` and the pairs given. Repeated if the line breaks: only for what changes
    /// nothing, or nothing twice.
    pub(crate) fn document(&self, address: &str, form: &[(&str, &str)]) -> Result<Json> {
        retrying(|| {
            let mut answer = self.post(address, form)?;
            let text = answer
                .body_mut()
                .with_config()
                .limit(MAX_DOCUMENT_BYTES)
                .read_to_vec()
                .map_err(|error| broken(&error))?;
            document(&text)
        })
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
        if let Some(token) = self.token.as_deref().filter(|_| own) {
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
        let token = self.token.as_ref().map(|token| ("X-Esri-Authorization", format!("Bearer {token}")));
        let basic = self.basic.as_ref().map(|basic| ("Authorization", basic.clone()));
        token.into_iter().chain(basic).collect()
    }

    /// Fetches a file into `into`. What a broken attempt left there is gone on with, if the file is still the same; its tag is
    /// noted beside it. `told` hears how many bytes are there.
    pub(crate) fn download(&self, address: &str, into: &Path, told: &mut dyn FnMut(u64)) -> Result<()> {
        retrying(|| self.download_once(address, into, told))
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
        let mut asked = self.with_token(address);
        let mut request = self.agent.get(&asked);
        if let Some(tag) = known.as_deref().filter(|_| there > 0) {
            request = request.header("Range", format!("bytes={there}-")).header("If-Range", tag);
        }
        if self.is_own(address) {
            for (name, value) in self.identity() {
                request = request.header(name, value);
            }
        }
        asked.clear();
        let mut answer = request.call().map_err(|error| broken(&error))?;
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
        let mut done = file.seek(SeekFrom::End(0)).map_err(|error| Error::file(into, &error))?;
        copy(&mut answer.body_mut().with_config().limit(u64::MAX).reader(), &mut file, into, &mut |n| {
            done += n;
            told(done);
        })?;
        remove(&tag_path)
    }

    /// The address with the token that files are fetched with.
    fn with_token(&self, address: &str) -> String {
        match (&self.token, Url::parse(address)) {
            (Some(token), Ok(mut url)) if self.is_own(address) => {
                url.query_pairs_mut().append_pair("token", token);
                url.into()
            }
            _ => address.to_owned(),
        }
    }

    /// Sends a file as the part `file` of a form, without holding it in memory.
    pub(crate) fn upload(&self, address: &str, name: &str, content: impl Read, size: u64) -> Result<Json> {
        let boundary = format!("syncline-{}", uuid::Uuid::new_v4().simple());
        let plain: String =
            name.chars().map(|c| if c.is_control() || matches!(c, '"' | '\\') { '_' } else { c }).collect();
        let fields = [("f", Some("json")), ("token", self.token.as_deref())];
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
        let text = usable(answer)?
            .body_mut()
            .with_config()
            .limit(MAX_DOCUMENT_BYTES)
            .read_to_vec()
            .map_err(|error| broken(&error))?;
        document(&text)
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

/// Refuses what is no answer of the API's.
fn usable(answer: Response<Body>) -> Result<Response<Body>> {
    let status = answer.status();
    match status.as_u16() {
        200..=299 => Ok(answer),
        401 | 407 => Err(Error::Refused {
            code: 499,
            message: "who asks must say who they are".to_owned(),
            details: vec!["give --token, or USER:PASSWORD@ in the URL".to_owned()],
        }),
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
