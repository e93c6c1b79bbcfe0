//! The real program: its commands, and a server in a process of its own.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::Value as Json;

use super::{TestDatabase, server::encode, watch};

/// The program with a data directory of its own, which is removed in the end.
pub struct Program {
    data: PathBuf,
    database: Option<TestDatabase>,
    path: Option<String>,
    environment: Vec<(&'static str, String)>,
    keeps_log: bool,
}

impl Program {
    /// Works on a database.
    pub fn on(database: &TestDatabase) -> Program {
        let mut program = Program::private();
        program.database = Some(database.clone());
        program
    }

    /// Works on a private database in its data directory.
    pub fn private() -> Program {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let n = COUNTER.fetch_add(1, Ordering::Relaxed);
        // Not a directory that only this user may enter: PostgreSQL may have to run as another.
        let data = std::env::temp_dir().join(format!("syncline_program_{}_{n}", std::process::id()));
        std::fs::create_dir_all(&data).unwrap();
        Program { data, database: None, path: None, environment: Vec::new(), keeps_log: false }
    }

    /// Has it look for other programs in a directory first, and then only where the system has its shell.
    pub fn search(&mut self, directory: &Path) {
        let shell = directory.join("system");
        std::fs::create_dir(&shell).unwrap();
        for name in ["sh", "env", "sleep", "mv"] {
            let found = ["/bin", "/usr/bin"].iter().map(|place| Path::new(place).join(name)).find(|path| path.exists());
            std::os::unix::fs::symlink(found.unwrap(), shell.join(name)).unwrap();
        }
        self.path = Some(format!("{}:{}", directory.display(), shell.display()));
    }

    /// Keeps what its server logs, for [`Server::log`].
    pub fn keep_log(mut self) -> Program {
        self.keeps_log = true;
        self
    }

    /// Has this setting.
    pub fn with(self, name: &'static str, value: u64) -> Program {
        self.with_text(name, &value.to_string())
    }

    /// Has this setting.
    pub fn with_text(mut self, name: &'static str, value: &str) -> Program {
        self.environment.push((name, value.to_owned()));
        self
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_syncline"));
        command.args(arguments).arg("--data").arg(&self.data).stdin(Stdio::null());
        command.env_remove("SYNCLINE_DATABASE_URL").env_remove("DATABASE_URL");
        // What a test is about is mostly not who may do it.
        command.env("SYNCLINE_ANONYMOUS", "edit");
        if let Some(database) = &self.database {
            command.env("DATABASE_URL", &database.url);
        }
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Begins a command.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command that must fail, and returns its complaint.
    pub fn failed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    /// Starts a server on a free port, and waits until it is ready.
    pub fn serve(&self) -> Server {
        let mut command = self.command(&["serve", "--listen", "127.0.0.1:0"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let Some(at) = line.find("http://") else {
            let mut log = String::new();
            child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
            panic!("the server did not become ready: {line}{log}");
        };
        // Mostly nobody reads a log, which must not fill its pipe.
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let kept = self.keeps_log.then(|| log.clone());
        std::thread::spawn(move || {
            let mut line = Vec::new();
            while let Ok(1..) = stderr.read_until(b'\n', &mut line) {
                watch::read(&line);
                if let Some(kept) = &kept {
                    kept.lock().unwrap().extend_from_slice(&line);
                }
                line.clear();
            }
        });
        let url = line.get(at..).unwrap().trim().to_owned();
        Server { child, line, stdout, url, log }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// A server in a process of its own. Dropped, it is killed.
pub struct Server {
    child: Child,
    /// What it printed when it was ready.
    pub line: String,
    stdout: BufReader<ChildStdout>,
    /// The catalogue.
    pub url: String,
    log: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    /// What it has logged so far, if its program keeps that.
    pub fn log(&self) -> String {
        String::from_utf8(self.log.lock().unwrap().clone()).unwrap()
    }

    /// The log once it has so many lines with a text in them.
    pub fn log_with(&self, text: &str, n_lines: usize) -> String {
        let started = Instant::now();
        loop {
            let log = self.log();
            if log.matches(text).count() >= n_lines {
                return log;
            }
            assert!(started.elapsed() < Duration::from_secs(20), "'{text}' is not there {n_lines} times: {log}");
            std::thread::yield_now();
        }
    }

    /// The host and port.
    pub fn address(&self) -> &str {
        let rest = self.url.strip_prefix("http://").unwrap();
        rest.split_once('/').map_or(rest, |(address, _)| address)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// Sends a file in a form of several parts, and returns the answer. `path` begins after `rest/services/`. A server that
    /// has said why it takes no more may close the line before all is sent.
    pub fn send_file(&self, path: &str, field: &str, name: &str, bytes: &[u8]) -> std::io::Result<Json> {
        let head = format!(
            "--b\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\nContent-Type: image/jpeg\r\n\r\n"
        );
        let tail = "\r\n--b--\r\n";
        let mut stream = self.connect();
        let length = head.len() + bytes.len() + tail.len();
        let request = format!(
            "POST /arcgis/rest/services/{path}?f=json HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {length}\r\n\r\n{head}",
            self.address()
        );
        for part in [request.as_bytes(), bytes, tail.as_bytes()] {
            if stream.write_all(part).is_err() {
                break;
            }
        }
        read_body(stream)
    }

    /// POST of a form with `f=json`; `path` begins after `rest/services/`.
    pub fn post(&self, path: &str, parameters: &[(&str, &str)]) -> Json {
        post(self.address(), path, parameters).unwrap()
    }

    /// The most memory that the process ever had, in KiB.
    pub fn peak_memory_kib(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// The memory that the process has now, in KiB.
    pub fn memory_kib(&self) -> u64 {
        self.status("VmRSS:")
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches("kB").trim().parse().unwrap()
    }

    /// Lets the process write no file beyond this size, as a full disk would, from now on.
    pub fn limit_files(&self, max_bytes: Option<u64>) {
        let limit = Rlimit { current: max_bytes, maximum: None };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Fsize, limit).unwrap();
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for the end; returns what else was printed.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap(), rest)
    }

    /// Asks for the end and waits for it, which must be a good one.
    pub fn stop(self) {
        self.signal(Signal::TERM);
        assert_eq!(self.wait().0.code(), Some(0));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// POST of a form with `f=json` to a server that may not be there, or over a line that may break.
pub fn post(address: &str, path: &str, parameters: &[(&str, &str)]) -> std::io::Result<Json> {
    let form = encode(parameters);
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/arcgis/rest/services/{path}") };
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes())?;
    read_body(stream)
}

/// The JSON in the rest of a response whose connection is closed after it.
pub fn body(stream: TcpStream) -> Json {
    read_body(stream).unwrap()
}

/// … which may not come, or not whole.
fn read_body(mut stream: TcpStream) -> std::io::Result<Json> {
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let broken = || std::io::Error::new(std::io::ErrorKind::UnexpectedEof, response.clone());
    let (head, body) = response.split_once("\r\n\r\n").ok_or_else(broken)?;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    if length.is_some_and(|length: usize| body.len() < length) {
        return Err(broken());
    }
    Ok(serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}")))
}
