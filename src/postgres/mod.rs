//! A private PostgreSQL cluster in the data directory, for when no database is configured.
//!
//! The data directory holds `postgres/` (the cluster), `postgres.new/` (one being made) and two
//! lock files. Every process that uses the cluster keeps a shared lock on `postgres-users.lock`;
//! whoever starts or stops it holds `postgres-start.lock` meanwhile. So several processes can use
//! one cluster, and the last one to leave stops it.
//!
//! The server listens on a Unix socket only, in a directory that nobody but its owner may enter.
//! That is why it trusts whoever connects.

mod install;
mod lock;
mod place;
mod server;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use lock::{StartLock, UserLock};
use server::Server;

/// The superuser of the cluster, and the database that Syncline uses.
const NAME: &str = "syncline";

/// The port in the name of the socket. No network port is opened.
const PORT: u16 = 5432;

/// How long the server may take to start, recovery after a crash included, or to stop.
const SERVER_LIMIT: Duration = Duration::from_mins(5);

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A running private cluster, kept running at least as long as this value lives.
///
/// Dropping it leaves the server running for the next process to take over; [`Cluster::stop`] does
/// not.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    dir: PathBuf,
    url: String,
    user: UserLock,
}

impl Cluster {
    /// Attaches to the cluster in the data directory `dir`, creating and starting it as needed.
    ///
    /// PostgreSQL's programs are taken from `bin_dir` if given, else looked for where they are
    /// usually installed.
    pub async fn start(dir: &Path, bin_dir: Option<&Path>) -> Result<Cluster, Error> {
        let dir = dir.to_owned();
        let bin_dir = bin_dir.map(Path::to_owned);
        blocking(move || Cluster::start_blocking(&dir, bin_dir.as_deref())).await
    }

    /// Returns the URL of Syncline's database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the URL of another database of this cluster, such as `postgres`.
    pub fn url_for(&self, database: &str) -> String {
        url(self.server.socket_dir(), database)
    }

    /// Lets go of the cluster, and stops it if no other process uses it.
    pub async fn stop(self) -> Result<(), Error> {
        blocking(move || self.stop_blocking()).await
    }

    fn start_blocking(dir: &Path, bin_dir: Option<&Path>) -> Result<Cluster, Error> {
        fs::create_dir_all(dir).map_err(Error::io("create the directory", dir))?;
        let dir = fs::canonicalize(dir).map_err(Error::io("open the directory", dir))?;
        let start_lock = StartLock::take(&dir)?;
        let user = UserLock::take(&dir, &start_lock)?;
        let server = Server::open_or_create(&dir, bin_dir, &start_lock)?;
        server.bring_up(&start_lock)?;
        let url = url(server.socket_dir(), NAME);
        Ok(Cluster { server, dir, url, user })
    }

    fn stop_blocking(self) -> Result<(), Error> {
        let start_lock = StartLock::take(&self.dir)?;
        if self.user.was_the_last(&start_lock)? {
            self.server.bring_down(&start_lock)
        } else {
            tracing::debug!("other processes use the database: it is left running");
            Ok(())
        }
    }
}

/// Returns the path of one of PostgreSQL's programs, such as `pg_dump`, that goes with a server of a major version: from `bin_dir` if given, else
/// as it is installed, else its name alone.
pub async fn program(name: &'static str, bin_dir: Option<&Path>, major: u32) -> Result<PathBuf, Error> {
    let bin_dir = bin_dir.map(Path::to_owned);
    blocking(move || Ok(install::program(name, bin_dir.as_deref(), major))).await
}

/// Runs what waits for files and processes where waiting hinders nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::Interrupted)?
}

/// Makes a connection URL. The host in the authority is a placeholder that the parameter overrides.
fn url(socket_dir: &Path, database: &str) -> String {
    let host = percent_encode(socket_dir.as_os_str().as_encoded_bytes());
    let database = percent_encode(database.as_bytes());
    format!("postgres://{NAME}@localhost:{PORT}/{database}?host={host}")
}

fn percent_encode(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for digit in [byte >> 4, byte & 15] {
                encoded.extend(char::from_digit(u32::from(digit), 16).map(|c| c.to_ascii_uppercase()));
            }
        }
    }
    encoded
}

/// Why the private cluster cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or program of the cluster could not be worked with.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },

    /// Another process holds a lock for too long.
    #[error(
        "{} has been locked for {} seconds by {holder}, which is starting or stopping the \
         database; wait for it or end it, then try again",
        path.display(), lock::LIMIT.as_secs()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it.
        holder: String,
    },

    /// This machine has no PostgreSQL server.
    #[error(
        "no PostgreSQL server is installed; install it with PostGIS (Debian, Ubuntu: `apt-get \
         install postgresql postgis postgresql-postgis`), or name the directory of its programs in \
         SYNCLINE_PG_BINDIR, or configure the URL of a database elsewhere"
    )]
    NotInstalled,

    /// The version that an existing cluster needs is not installed.
    #[error(
        "the data directory's database was made by PostgreSQL {major}, which is not installed \
         (found: {found}); install it (Debian, Ubuntu: `apt-get install postgresql-{major} \
         postgresql-{major}-postgis-3`) or name the directory of its programs in \
         SYNCLINE_PG_BINDIR"
    )]
    MajorNotInstalled {
        /// The version the cluster needs.
        major: u32,
        /// The versions that are installed.
        found: String,
    },

    /// The only servers installed are too old for a new cluster.
    #[error(
        "PostgreSQL {oldest} or newer is needed, and only {found} is installed; install a newer \
         one with PostGIS"
    )]
    TooOld {
        /// The versions that are installed.
        found: String,
        /// The oldest version that will do.
        oldest: u32,
    },

    /// PostGIS is not installed for the server.
    #[error(
        "PostGIS is not installed for PostgreSQL {major} in {}; install it (Debian, Ubuntu: \
         `apt-get install postgis postgresql-{major}-postgis-3`)",
        bin_dir.display()
    )]
    NoPostgis {
        /// The version of the server.
        major: u32,
        /// Where its programs are.
        bin_dir: PathBuf,
    },

    /// The directory given for PostgreSQL's programs has none.
    #[error(
        "SYNCLINE_PG_BINDIR is {}, where `initdb`, `pg_ctl` and a working `postgres` are not all \
         found; name the directory of a PostgreSQL server's programs, such as \
         /usr/lib/postgresql/17/bin",
        bin_dir.display()
    )]
    NoProgramsIn {
        /// The directory given.
        bin_dir: PathBuf,
    },

    /// The process runs as root, and there is no user to run PostgreSQL as.
    #[error(
        "PostgreSQL refuses to run as root, and there is neither a user `postgres` nor a user \
         `nobody` to run it as; start Syncline as an ordinary user, or create the user `postgres`"
    )]
    NoUnprivilegedUser,

    /// The cluster belongs to another user.
    #[error(
        "the database in {} belongs to user id {owner}, and Syncline runs as {user}; run it as \
         the owner (PostgreSQL refuses root), or give the directory to the user that is to run it",
        data.display()
    )]
    WrongOwner {
        /// The cluster's directory.
        data: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user of this process.
        user: u32,
    },

    /// PostgreSQL's user cannot get to the cluster.
    #[error(
        "user id {user}, which PostgreSQL runs as, may not enter the directories above {}; allow \
         it with `chmod o+x`",
        data.display()
    )]
    Unreachable {
        /// The cluster's directory.
        data: PathBuf,
        /// The user PostgreSQL runs as.
        user: u32,
    },

    /// The directory does not hold a cluster.
    #[error(
        "{} is not a PostgreSQL cluster: it has no valid PG_VERSION; move it away to begin with an \
         empty database",
        data.display()
    )]
    NotACluster {
        /// The directory.
        data: PathBuf,
    },

    /// The data directory's link leads nowhere.
    #[error(
        "{} links to {}, where the database was kept and is no more; bring it back, or remove the \
         link to begin with an empty database",
        link.display(), data.display()
    )]
    Vanished {
        /// The link.
        link: PathBuf,
        /// Where it leads.
        data: PathBuf,
    },

    /// There is a cluster where a new one would be made.
    #[error(
        "{1} holds the database of an earlier data directory of the same name; to use it, link it \
         with `ln -s {1} {0}`, or move it away to begin with an empty database",
        link.display(), data.display()
    )]
    LeftBehind {
        /// The link that should lead there.
        link: PathBuf,
        /// The earlier cluster.
        data: PathBuf,
    },

    /// Somebody else made the directory for the socket.
    #[error("{} should be a directory of user id {user} and is not; remove it", dir.display())]
    ForeignSocketDir {
        /// The directory.
        dir: PathBuf,
        /// Who should own it.
        user: u32,
    },

    /// One of PostgreSQL's programs failed.
    #[error("{} failed as user id {user} ({status}):\n{output}", program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// The user it ran as.
        user: u32,
        /// The last lines it printed.
        output: String,
    },

    /// The server did not start.
    #[error("PostgreSQL did not start in {}; these are its last words:\n{log}", data.display())]
    NotStarted {
        /// The cluster's directory.
        data: PathBuf,
        /// The last lines of its logs.
        log: String,
    },

    /// A server that was started by somebody else does not take connections.
    #[error(
        "PostgreSQL runs in {0} but takes no connections after {1} seconds; if the process that \
         {0}/postmaster.pid names in its first line is not PostgreSQL, remove that file. These are \
         its last words:\n{log}",
        data.display(), SERVER_LIMIT.as_secs()
    )]
    NotReady {
        /// The cluster's directory.
        data: PathBuf,
        /// The last lines of its logs.
        log: String,
    },

    /// The work was cut short by the end of the program, or by a defect of it.
    #[error("starting or stopping the database was interrupted: {0}")]
    Interrupted(#[source] tokio::task::JoinError),
}

impl Error {
    /// Returns what turns an answer of the system into an error about `path`.
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { action, path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_directory_travels_in_the_url() {
        assert_eq!(
            url(Path::new("/srv/a b/postgres"), "syncline"),
            "postgres://syncline@localhost:5432/syncline?host=%2Fsrv%2Fa%20b%2Fpostgres"
        );
        assert_eq!(percent_encode("ß/?&%".as_bytes()), "%C3%9F%2F%3F%26%25");
    }
}
