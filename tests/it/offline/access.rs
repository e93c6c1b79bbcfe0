//! Servers that ask who comes, that are behind a certificate of their own, or that are reached by a proxy.

use std::{
    io::{BufRead as _, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex},
};

use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value as Json, json};

use super::{Field, open, trees_in};

const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");
const PASSWORD: &str = "pass word&+";

/// Stands before a server and asks for tokens, each of which is good for so many requests.
pub struct Gate {
    upstream: String,
    address: String,
    scheme: &'static str,
    /// How often a new token can be used; `None`: nobody is asked.
    n_uses: Option<usize>,
    /// The tokens so far, and how often the last may still be used.
    tokens: Mutex<(usize, usize)>,
    refused: Mutex<usize>,
    /// How many long answers are yet to be cut off in their middle.
    pub n_cuts: Mutex<usize>,
    /// What parts of files were asked for.
    pub ranges: Mutex<Vec<String>>,
}

impl Gate {
    pub fn before(upstream: &str, n_uses: Option<usize>, tls: bool) -> Arc<Gate> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let gate = Arc::new(Gate {
            upstream: upstream.to_owned(),
            address: listener.local_addr().unwrap().to_string(),
            scheme: if tls { "https" } else { "http" },
            n_uses,
            tokens: Mutex::default(),
            refused: Mutex::default(),
            n_cuts: Mutex::default(),
            ranges: Mutex::default(),
        });
        let config = tls.then(|| {
            let chain =
                CertificateDer::pem_file_iter(format!("{TLS}/server.pem")).unwrap().map(Result::unwrap).collect();
            let key = PrivateKeyDer::from_pem_file(format!("{TLS}/server.key")).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
            Arc::new(builder.with_no_client_auth().with_single_cert(chain, key).unwrap())
        });
        let own = gate.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (gate, config) = (own.clone(), config.clone());
                std::thread::spawn(move || match config {
                    None => gate.pass(stream.unwrap()),
                    Some(config) => {
                        let mut secured = StreamOwned::new(ServerConnection::new(config).unwrap(), stream.unwrap());
                        gate.pass(&mut secured)?;
                        secured.conn.send_close_notify();
                        secured.flush()
                    }
                });
            }
        });
        gate
    }

    pub fn url(&self) -> String {
        format!("{}://{}/arcgis/rest/services/trees/FeatureServer", self.scheme, self.address)
    }

    /// Takes one request, and closes the line.
    fn pass(&self, mut stream: impl Read + Write) -> std::io::Result<()> {
        let mut reader = BufReader::new(&mut stream);
        let mut head = String::new();
        while reader.read_line(&mut head)? > 2 {}
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (known, value) = line.split_once(':')?;
                known.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body)?;
        let target = head.split(' ').nth(1).unwrap_or_default();
        let form: Vec<(String, String)> = form_urlencoded::parse(&body).into_owned().collect();
        self.ranges.lock().unwrap().extend(header("range"));
        let answer = match target {
            "/arcgis/rest/info" if self.n_uses.is_some() => json!({"authInfo": {"isTokenBasedSecurity": true,
                "tokenServicesUrl": format!("{}://{}/arcgis/tokens/generateToken", self.scheme, self.address)}}),
            "/arcgis/tokens/generateToken" => self.sign_in(&form),
            _ if self.admits(header("x-esri-authorization").as_deref()) => return self.forward(&head, &body, stream),
            _ => json!({"error": {"code": 498, "message": "Invalid token.", "details": []}}),
        };
        let text = answer.to_string();
        let kind = "Content-Type: application/json\r\nConnection: close";
        write!(stream, "HTTP/1.1 200 OK\r\n{kind}\r\nContent-Length: {}\r\n\r\n{text}", text.len())?;
        stream.flush()
    }

    fn sign_in(&self, form: &[(String, String)]) -> Json {
        let is_right = form.contains(&("password".to_owned(), PASSWORD.to_owned()))
            && form.contains(&("username".to_owned(), "anna".to_owned()));
        if !is_right {
            return json!({"error": {"code": 400, "message": "Unable to generate token.", "details": ["Invalid username or password."]}});
        }
        let mut tokens = self.tokens.lock().unwrap();
        *tokens = (tokens.0 + 1, self.n_uses.unwrap_or_default());
        json!({"token": format!("token-{}", tokens.0), "expires": 0, "ssl": false})
    }

    fn admits(&self, presented: Option<&str>) -> bool {
        if self.n_uses.is_none() {
            return true;
        }
        let mut tokens = self.tokens.lock().unwrap();
        let is_good = presented == Some(format!("Bearer token-{}", tokens.0).as_str()) && tokens.1 > 0;
        match is_good {
            true => tokens.1 -= 1,
            false => *self.refused.lock().unwrap() += 1,
        }
        is_good
    }

    fn forward(&self, head: &str, body: &[u8], mut stream: impl Write) -> std::io::Result<()> {
        let mut server = TcpStream::connect(&self.upstream)?;
        // The server behind knows nothing of these tokens: they go by another name of the same length.
        let kept: Vec<String> = head
            .lines()
            .filter(|line| {
                let line = line.to_lowercase();
                !line.is_empty() && !line.starts_with("connection:") && !line.starts_with("x-esri-authorization:")
            })
            .map(|line| line.replace("token=token-", "gated=token-"))
            .collect();
        server.write_all(format!("{}\r\nConnection: close\r\n\r\n", kept.join("\r\n")).as_bytes())?;
        server.write_all(&renamed(
            &renamed(body, b"token=token-", b"gated=token-"),
            b"name=\"token\"",
            b"name=\"gated\"",
        ))?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let (head, body) = (String::from_utf8_lossy(&answer[..end]).into_owned(), &answer[end + 4..]);
        let mut body = body.to_vec();
        // The server does not know how it is reached.
        if self.scheme == "https" && head.contains("application/json") {
            body = String::from_utf8(body)
                .unwrap()
                .replace(&format!("http://{}", self.address), &format!("https://{}", self.address))
                .into_bytes();
        }
        let kept: Vec<&str> = head.lines().filter(|line| !line.to_lowercase().starts_with("content-length:")).collect();
        write!(stream, "{}\r\nContent-Length: {}\r\n\r\n", kept.join("\r\n"), body.len())?;
        let mut n_cuts = self.n_cuts.lock().unwrap();
        if *n_cuts > 0 && body.len() > 100_000 {
            *n_cuts -= 1;
            body.truncate(body.len() / 2);
        }
        stream.write_all(&body)?;
        stream.flush()
    }
}

/// Bytes with each of these in the place of those, which are as many.
fn renamed(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let found: Vec<usize> =
        (0..bytes.len().saturating_sub(from.len() - 1)).filter(|&at| bytes[at..].starts_with(from)).collect();
    for at in found {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

/// Runs the program as a user, whose password is piped in.
fn signed(arguments: &[&str], password: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
    command.args(arguments).args(["--user", "anna"]).env_remove("SYNCLINE_PASSWORD").env_remove("SYNCLINE_TOKEN");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    child.wait_with_output().unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[tokio::test]
async fn a_user_signs_in_and_again_whenever_the_token_has_run_out() {
    let field = Field::with(true).await;
    // Each token lets two requests through, so that every kind of request meets one that has run out.
    let gate = Gate::before(field.server.address(), Some(2), false);
    let (path, large) = (field.path("signed.gpkg"), vec![7_u8; 200_000]);
    let file = path.to_str().unwrap();
    let output = signed(&["clone", &gate.url(), file, "--no-spatial-index"], "wrong");
    assert!(words(&output).contains("Invalid username or password"), "{}", words(&output));
    let output = signed(&["clone", &gate.url(), file, "--no-spatial-index"], PASSWORD);
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(trees_in(&path), field.trees().await);
    {
        let db = open(&path);
        db.execute("update tree set girth = 70", []).unwrap();
        let insert = "insert into tree__ATTACH (REL_GLOBALID, CONTENT_TYPE, ATT_NAME, DATA) select globalid, 'text/plain', 'large.txt', ?1 from tree";
        db.execute(insert, [&large]).unwrap();
    }
    let output = signed(&["sync", file], PASSWORD);
    assert!(output.status.success(), "{}", words(&output));
    assert_eq!(field.count("tree where girth = 70").await, 5);
    let second = field.path("second.gpkg");
    let output = signed(&["clone", &gate.url(), second.to_str().unwrap(), "--no-spatial-index"], PASSWORD);
    assert!(output.status.success(), "{}", words(&output));
    let whole: i64 = open(&second)
        .query_row("select count(*) from tree__ATTACH where DATA = ?1", [&large], |row| row.get(0))
        .unwrap();
    assert_eq!(whole, 5, "no refusal was taken for a file");
    assert!(*gate.refused.lock().unwrap() > 5, "tokens ran out");
    let bytes = std::fs::read(&path).unwrap();
    for secret in [PASSWORD, "token-"] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret} is not in the file");
    }
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_trusted_only_if_it_is_named() {
    let field = Field::new().await;
    let gate = Gate::before(field.server.address(), None, true);
    let path = field.path("secured.gpkg");
    let arguments = ["clone", &gate.url(), path.to_str().unwrap(), "--no-spatial-index"];
    let said = field.program.failed(&arguments);
    assert!(said.contains("--ca-file") && !path.exists(), "{said}");
    let authority = format!("{TLS}/ca.pem");
    field.program.done(&[&arguments[..], &["--ca-file", &authority]].concat());
    assert_eq!(trees_in(&path), field.trees().await);
    open(&path).execute("update tree set girth = 80", []).unwrap();
    let (said, code) = field.sync(&path, &["--insecure"]);
    assert_eq!((said["sent"].as_i64(), code), (Some(5), 0), "{said}");
}

/// A proxy of SOCKS 5 that leads wherever it is asked to, and counts.
fn socks() -> (String, Arc<Mutex<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, counted) = (listener.local_addr().unwrap().to_string(), Arc::new(Mutex::new(0)));
    let counter = counted.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let counter = counter.clone();
            std::thread::spawn(move || -> std::io::Result<()> {
                // Greeting: version, number of methods, methods; then the request: version, connect, 0, kind, address, port.
                let mut two = [0; 2];
                stream.read_exact(&mut two)?;
                stream.read_exact(&mut vec![0; usize::from(two[1])])?;
                stream.write_all(&[5, 0])?;
                let mut request = [0; 4];
                stream.read_exact(&mut request)?;
                let length = match request[3] {
                    1 => 4,
                    _ => {
                        let mut length = [0];
                        stream.read_exact(&mut length)?;
                        usize::from(length[0])
                    }
                };
                let (mut host, mut port) = (vec![0; length], [0; 2]);
                stream.read_exact(&mut host)?;
                stream.read_exact(&mut port)?;
                let host = if request[3] == 1 {
                    host.iter().map(u8::to_string).collect::<Vec<_>>().join(".")
                } else {
                    String::from_utf8(host).unwrap()
                };
                let mut there = TcpStream::connect((host, u16::from_be_bytes(port)))?;
                stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
                *counter.lock().unwrap() += 1;
                let (mut back, mut from) = (stream.try_clone()?, there.try_clone()?);
                std::thread::spawn(move || std::io::copy(&mut from, &mut back));
                std::io::copy(&mut stream, &mut there)?;
                there.shutdown(std::net::Shutdown::Write)
            });
        }
    });
    (address, counted)
}

#[tokio::test]
async fn a_proxy_is_gone_by_and_one_that_is_not_there_is_told() {
    let field = Field::new().await;
    let (proxy, counted) = socks();
    let path = field.path("proxied.gpkg");
    let arguments = ["clone", &field.url(), path.to_str().unwrap(), "--no-spatial-index", "--proxy"];
    let output = field.program.run(&[&arguments[..], &["socks5://127.0.0.1:1"]].concat());
    assert_eq!(output.status.code(), Some(4), "{}", words(&output));
    assert!(words(&output).contains("cannot be reached"), "{}", words(&output));
    field.program.done(&[&arguments[..], &[&format!("socks5://{proxy}")]].concat());
    assert_eq!(trees_in(&path), field.trees().await);
    assert!(*counted.lock().unwrap() > 0, "everything went by the proxy");
}
