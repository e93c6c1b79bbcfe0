//! Runs the PostgreSQL server of a cluster: where it lives, as whom it runs, and how it is made,
//! started and stopped.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, fchown, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::install::{self, Install};
use super::lock::StartLock;
use super::place::{self, Account, with_suffix};
use super::{Error, NAME, POLL_INTERVAL, PORT, SERVER_LIMIT};

/// The file that holds our settings. It is included last in `postgresql.conf`.
const SETTINGS_FILE: &str = "syncline.conf";

/// What the server prints before it opens its own log.
const START_LOG: &str = "start.log";

/// What the server says if sessions of its killed predecessor still work. They notice before long.
const ORPHANS: &str = "pre-existing shared memory block";

const ORPHANS_INTERVAL: Duration = Duration::from_secs(1);

/// How many lines of a log an error shows.
const SHOWN_LINES: usize = 20;

/// A server that a cluster can be run with; it may or may not be running.
#[derive(Debug)]
pub(super) struct Server {
    /// The cluster's directory, free of links.
    data: PathBuf,
    socket_dir: PathBuf,
    account: Account,
    install: Install,
}

/// What the server is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Stopped,
    /// Starting, recovering or stopping.
    Busy,
    Ready,
}

impl Server {
    /// Opens the cluster of the data directory `dir`, making it first if there is none.
    pub(super) fn open_or_create(dir: &Path, bin_dir: Option<&Path>, start_lock: &StartLock) -> Result<Server, Error> {
        let link = dir.join("postgres");
        if let Some(data) = place::existing_cluster(&link)? {
            return Server::open(data, bin_dir);
        }
        let account = Account::for_new_cluster(dir)?;
        let install = install::find(bin_dir, None)?;
        let data = place::new_cluster(dir, &link, account)?;
        let server = Server::new(data, account, install)?;
        server.create(&link, start_lock)?;
        Ok(server)
    }

    fn open(data: PathBuf, bin_dir: Option<&Path>) -> Result<Server, Error> {
        let account = Account::for_cluster(&data)?;
        let version = read_if_any(&data.join("PG_VERSION"))?.unwrap_or_default();
        let Ok(major) = version.trim().parse() else {
            return Err(Error::NotACluster { data });
        };
        let install = install::find(bin_dir, Some(major))?;
        Server::new(data, account, install)
    }

    fn new(data: PathBuf, account: Account, install: Install) -> Result<Server, Error> {
        let socket_dir = place::socket_dir(&data, account);
        if socket_dir != data {
            place::secure_socket_dir(&socket_dir, account)?;
        }
        Ok(Server { data, socket_dir, account, install })
    }

    /// Returns the directory in which the server's socket is.
    pub(super) fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    /// Makes the cluster and its database aside, so that a kill on the way leaves no half of it in
    /// place.
    fn create(&self, link: &Path, start_lock: &StartLock) -> Result<(), Error> {
        let (directory, version) = (self.data.display(), self.install.major);
        tracing::info!(%directory, version, "creating the database");
        let new = with_suffix(&self.data, ".new");
        match fs::remove_dir_all(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &new)(error));
            }
            _ => {}
        }
        self.account.make_dir(&new)?;
        if link != self.data && fs::symlink_metadata(link).is_err() {
            // Made before the cluster is complete: with its target missing but `.new` there, it
            // says that the creation was interrupted.
            symlink(&self.data, link).map_err(Error::io("create the link", link))?;
        }

        let mut initdb = self.command(&self.program("initdb"), &new, start_lock)?;
        initdb.args(["-D", ".", "--encoding=UTF8", "--locale", locale()]);
        initdb.args(["--username", NAME, "--auth=trust", "--data-checksums"]);
        self.run(&mut initdb)?;

        let config = new.join("postgresql.conf");
        let append = || {
            let mut file = OpenOptions::new().append(true).open(&config)?;
            write!(file, "\n# ALTER SYSTEM has the last word over this file.\ninclude '{SETTINGS_FILE}'\n")
        };
        append().map_err(Error::io("write", &config))?;
        self.write_settings(&new)?;

        // The shell's own input is the start lock, as with the other programs.
        let mut shell = self.command(Path::new("sh"), &new, start_lock)?;
        shell
            .arg("-c")
            .arg(format!("echo 'CREATE DATABASE {NAME};' | \"$0\" --single -D . -c exit_on_error=on postgres"));
        self.run(shell.arg(self.program("postgres")))?;

        fs::rename(&new, &self.data).map_err(Error::io("rename", &new))?;
        if let Some(parent) = self.data.parent() {
            let sync = || File::open(parent)?.sync_all();
            sync().map_err(Error::io("flush the directory", parent))?;
        }
        Ok(())
    }

    /// Starts the server, or waits for one that runs already, until it takes connections.
    pub(super) fn bring_up(&self, start_lock: &StartLock) -> Result<(), Error> {
        let deadline = Instant::now() + SERVER_LIMIT;
        loop {
            match self.state()? {
                State::Ready => break,
                State::Stopped => match self.launch(start_lock) {
                    Err(Error::NotStarted { log, .. }) if log.contains(ORPHANS) && Instant::now() < deadline => {
                        tracing::warn!("waiting for the sessions of a killed server to end");
                        std::thread::sleep(ORPHANS_INTERVAL);
                    }
                    launched => launched?,
                },
                State::Busy => {}
            }
            if Instant::now() >= deadline {
                let (data, log) = (self.data.clone(), self.log_tail());
                return Err(Error::NotReady { data, log });
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Stops the server if it runs, ending its connections.
    pub(super) fn bring_down(&self, start_lock: &StartLock) -> Result<(), Error> {
        if self.state()? == State::Stopped {
            tracing::warn!(directory = %self.data.display(), "the database had stopped already");
            return Ok(());
        }
        let mut stop = self.command(&self.program("pg_ctl"), &self.data, start_lock)?;
        stop.args(["stop", "-D", ".", "-m", "fast", "-w", "-s", "-t"]);
        stop.arg(SERVER_LIMIT.as_secs().to_string());
        self.run(&mut stop)?;
        if self.socket_dir != self.data
            && let Err(error) = fs::remove_dir(&self.socket_dir)
        {
            // Nothing depends on it: the next start takes it as it is.
            tracing::debug!(directory = %self.socket_dir.display(), %error, "left in place");
        }
        Ok(())
    }

    fn launch(&self, start_lock: &StartLock) -> Result<(), Error> {
        self.remove_misleading_locks()?;
        self.write_settings(&self.data)?;
        // `pg_ctl` appends to it.
        place::remove_file(&self.data.join(START_LOG))?;
        let mut start = self.command(&self.program("pg_ctl"), &self.data, start_lock)?;
        start.args(["start", "-D", ".", "-w", "-s", "-l", START_LOG, "-t"]);
        start.arg(SERVER_LIMIT.as_secs().to_string());
        match self.run(&mut start) {
            Err(Error::Program { output, .. }) => {
                Err(Error::NotStarted { data: self.data.clone(), log: format!("{output}\n{}", self.log_tail()) })
            }
            other => other,
        }
    }

    /// Looks at the socket first, because a process id says little once a machine or container was
    /// restarted.
    fn state(&self) -> Result<State, Error> {
        let Some(pid_file) = read_if_any(&self.pid_path())? else {
            return Ok(State::Stopped);
        };
        let socket = place::socket_in(&self.socket_dir);
        let is_ready = pid_file.lines().nth(7).is_some_and(|status| status.trim() == "ready");
        if UnixStream::connect(socket).is_ok() {
            return Ok(if is_ready { State::Ready } else { State::Busy });
        }
        // A file without a process id is being written.
        let is_gone = pid_in(&pid_file).is_some_and(|pid| !exists(pid) || !is_postmaster(pid));
        Ok(if is_gone { State::Stopped } else { State::Busy })
    }

    /// Removes the lock files of a dead server whose process id another program has by now.
    ///
    /// The server would take that program for its predecessor and refuse to start. Files whose
    /// process id is free are left to the server, which has further checks to make with them.
    fn remove_misleading_locks(&self) -> Result<(), Error> {
        let socket_lock = with_suffix(&place::socket_in(&self.socket_dir), ".lock");
        for path in [self.pid_path(), socket_lock] {
            let pid = read_if_any(&path)?.as_deref().and_then(pid_in);
            if pid.is_some_and(|pid| exists(pid) && !is_postmaster(pid)) {
                tracing::info!(file = %path.display(), "removing what a killed server left behind");
                place::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn pid_path(&self) -> PathBuf {
        self.data.join("postmaster.pid")
    }

    fn write_settings(&self, data: &Path) -> Result<(), Error> {
        let path = data.join(SETTINGS_FILE);
        let new = with_suffix(&path, ".new");
        // Nothing that stands there already is opened: it may be a link, laid for a process that
        // runs as root.
        place::remove_file(&new)?;
        let replace = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
            file.write_all(settings(&self.socket_dir).as_bytes())?;
            fchown(&file, Some(self.account.uid), Some(self.account.gid))?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        replace().map_err(Error::io("write", &path))
    }

    /// Prepares a program to run in `cwd` (so that no path has to survive the shell that `pg_ctl`
    /// uses).
    ///
    /// It inherits the start lock as its input: if this process is killed, the lock stays taken
    /// until the program is done. Its process group is its own, so that an interrupt from the
    /// terminal does not reach it.
    fn command(&self, program: &Path, cwd: &Path, start_lock: &StartLock) -> Result<Command, Error> {
        let lock = start_lock.share().map_err(Error::io("prepare", program))?;
        let mut command = Command::new(program);
        command.current_dir(cwd).env("LC_ALL", "C").process_group(0).stdin(lock);
        if !self.account.is_this_process() {
            // The standard library also clears the supplementary groups when root changes the user.
            command.uid(self.account.uid).gid(self.account.gid);
        }
        Ok(command)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.install.bin_dir.join(name)
    }

    fn run(&self, command: &mut Command) -> Result<(), Error> {
        let program = PathBuf::from(command.get_program());
        let output = command.output().map_err(Error::io("run", &program))?;
        if output.status.success() {
            return Ok(());
        }
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        let (status, output) = (output.status, last_lines(&text));
        Err(Error::Program { program, status, user: self.account.uid, output })
    }

    /// Returns the end of the log written last: what was printed at the start, or a daily log.
    fn log_tail(&self) -> String {
        let daily = fs::read_dir(self.data.join("log")).into_iter().flatten().flatten();
        let logs = daily.map(|entry| entry.path()).chain([self.data.join(START_LOG)]);
        let newest = logs.max_by_key(|path| path.metadata().and_then(|it| it.modified()).ok());
        let bytes = newest.and_then(|path| fs::read(path).ok());
        last_lines(&String::from_utf8_lossy(&bytes.unwrap_or_default()))
    }
}

fn read_if_any(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Returns the settings of the server. What is durable by PostgreSQL's default stays so.
fn settings(socket_dir: &Path) -> String {
    // The path needs no quoting: see `place::socket_dir`.
    let socket_dir = socket_dir.display();
    format!(
        "\
# Written by Syncline at each start: changes made here are lost. ALTER SYSTEM overrides them.
listen_addresses = ''
port = {PORT}
unix_socket_directories = '{socket_dir}'
unix_socket_permissions = 0700
max_connections = 100
max_prepared_transactions = 0
shared_buffers = 256MB
max_wal_size = 2GB
jit = off
# Not the schema of the user: the superuser is called like our schema, where nobody's tables belong.
search_path = 'public'
timezone = 'UTC'
log_timezone = 'UTC'
# One file for each day of the week, overwritten a week later.
logging_collector = on
log_directory = 'log'
log_filename = 'postgres-%a.log'
log_file_mode = 0600
log_rotation_age = 1d
log_rotation_size = 0
log_truncate_on_rotation = on
log_line_prefix = '%m [%p] '
"
    )
}

/// Picks the locale for new databases: the one that knows the letters of all languages, if the
/// system has it.
fn locale() -> &'static str {
    const UNICODE: &str = "C.UTF-8";
    let output = Command::new("locale").arg("-a").output();
    if output.is_ok_and(|output| lists_locale(&String::from_utf8_lossy(&output.stdout), UNICODE)) {
        return UNICODE;
    }
    tracing::warn!("the system has no locale {UNICODE}: the database ignores case in ASCII letters only");
    "C"
}

/// Looks for a locale in a list that may spell its encoding differently, `C.utf8` for `C.UTF-8`.
fn lists_locale(list: &str, wanted: &str) -> bool {
    let simplify = |name: &str| name.replace('-', "").to_ascii_lowercase();
    list.lines().any(|name| simplify(name.trim()) == simplify(wanted))
}

/// Reads the process id from the text of `postmaster.pid`. That of a server in single-user mode is
/// negative.
fn pid_in(pid_file: &str) -> Option<Pid> {
    let pid: i32 = pid_file.lines().next()?.trim().parse().ok()?;
    Pid::from_raw(pid.checked_abs()?)
}

fn exists(pid: Pid) -> bool {
    test_kill_process(pid) != Err(Errno::SRCH)
}

/// Returns whether an existing process is a PostgreSQL server, believing it is where the system
/// does not tell.
fn is_postmaster(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.map_or(true, |stat| stat_is_postmaster(&stat))
}

/// Judges by a line such as `4711 (postgres) S 1 ...`. A zombie's state is Z: it is dead, but
/// nobody asked for it.
fn stat_is_postmaster(stat: &str) -> bool {
    let Some((before, after)) = stat.rsplit_once(')') else {
        return true;
    };
    let name = before.split_once('(').map_or("", |(_, name)| name);
    let is_dead = after.trim_start().starts_with(['Z', 'X']);
    matches!(name, "postgres" | "postmaster") && !is_dead
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_living_server_is_taken_for_one() {
        assert!(stat_is_postmaster("4711 (postgres) S 1 4711 4711 0 -1"));
        assert!(!stat_is_postmaster("4711 (postgres) Z 1 4711 4711 0 -1"));
        assert!(!stat_is_postmaster("4711 (tokio-rt (worker)) S 1 4711"));
        assert!(!stat_is_postmaster("4711 (a) postgres) S 1 4711"));
    }

    #[test]
    fn process_ids_are_read_from_servers_of_both_kinds() {
        assert_eq!(pid_in("4711\n/srv/postgres\n"), Pid::from_raw(4711));
        assert_eq!(pid_in("-4711\n/srv/postgres\n"), Pid::from_raw(4711));
        assert_eq!(pid_in(""), None);
        assert_eq!(pid_in("0\n"), None);
    }

    #[test]
    fn the_server_listens_on_its_socket_only_and_stays_durable() {
        let text = settings(Path::new("/srv/postgres"));
        assert!(text.contains("\nlisten_addresses = ''\n"));
        assert!(text.contains("\nunix_socket_directories = '/srv/postgres'\n"));
        for name in ["fsync", "synchronous_commit", "full_page_writes"] {
            assert!(!text.contains(&format!("\n{name} =")), "{name}");
        }
    }

    #[test]
    fn locales_are_recognised_in_either_spelling() {
        assert!(lists_locale("C\nC.utf8\nPOSIX\n", "C.UTF-8"));
        assert!(lists_locale("C\nC.UTF-8\n", "C.UTF-8"));
        assert!(!lists_locale("C\nPOSIX\nen_GB.utf8\n", "C.UTF-8"));
    }

    #[test]
    fn the_end_of_a_log_is_shown() {
        let log: Vec<String> = (1..=30).map(|n| format!("line {n}")).collect();
        let shown = last_lines(&log.join("\n\n"));
        assert!(shown.starts_with("line 11\n") && shown.ends_with("line 30"), "{shown}");
        assert_eq!(last_lines(""), "");
    }
}
