//! The database and the server that are measured. Both are as users have them: the database is durable, the server is
//! the program.

use std::{
    future::Future,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use syncline::{
    postgres::Cluster,
    store::{Store, publish::Publication},
};
use tokio::runtime::Runtime;

use super::{
    Result,
    http::{Client, Request},
    report::progress,
};

/// Who presents it is the administrator of the servers that are measured.
pub const ADMIN_TOKEN: &str = "the-administrator-of-the-bench";

/// A database and a directory, both removed in the end.
pub struct Bed {
    runtime: Runtime,
    /// The database.
    pub url: String,
    /// Where files may be put.
    pub directory: PathBuf,
    place: Place,
}

enum Place {
    /// Started for this run. The watchdog's standard input is ours: when this process ends, however it does, the cluster is
    /// stopped and its directory removed.
    Private { cluster: Cluster, watchdog: Child },
    /// A database of our own on a configured server.
    Configured { admin_url: String, database: String },
}

impl Bed {
    /// Makes a database on the server that `DATABASE_URL` names, or else on a private one in a temporary directory.
    pub fn start() -> Result<Bed> {
        let runtime = Runtime::new()?;
        let name = format!("syncline_bench_{}", std::process::id());
        let directory = std::env::temp_dir().join(&name);
        #[expect(clippy::disallowed_methods, reason = "the variable that the server reads, too")]
        let configured = std::env::var("DATABASE_URL").ok();
        let (url, place) = match configured {
            Some(admin_url) => {
                let mut url = url::Url::parse(&admin_url)?;
                url.set_path(&name);
                runtime.block_on(run_on(&admin_url, format!("create database {name}")))?;
                std::fs::create_dir_all(&directory)?;
                (url.to_string(), Place::Configured { admin_url, database: name })
            }
            None => {
                progress("starting a private PostgreSQL");
                let cluster = runtime.block_on(Cluster::start(&directory, None))?;
                let watchdog = watch(&directory)?;
                (cluster.url().to_owned(), Place::Private { cluster, watchdog })
            }
        };
        Ok(Bed { runtime, url, directory, place })
    }

    /// Waits for a future.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Starts a future beside everything else.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(future);
    }

    /// Opens a connection as another program would.
    pub fn connect(&self) -> Result<PgConnection> {
        Ok(self.wait(PgConnection::connect(&self.url))?)
    }

    /// Runs statements on a connection of their own.
    pub fn sql(&self, statements: impl Into<String>) -> Result<()> {
        self.wait(run_on(&self.url, statements.into()))
    }

    /// Publishes tables of the schema `public`, each in a service of its own with its name, as layer 0.
    pub fn publish(&self, tables: &[&str]) -> Result<()> {
        self.wait(async {
            let store = Store::open(&self.url, 2).await?;
            for table in tables {
                let publication = Publication {
                    service: (*table).to_owned(),
                    table_schema: "public".to_owned(),
                    table_name: (*table).to_owned(),
                    layer_name: None,
                };
                store.publish(&publication, false).await?;
            }
            store.close().await;
            Ok(())
        })
    }

    /// Stops and removes everything.
    pub fn remove(self) -> Result<()> {
        match self.place {
            Place::Private { cluster, mut watchdog } => {
                self.runtime.block_on(cluster.stop())?;
                drop(watchdog.stdin.take());
                watchdog.wait()?;
            }
            Place::Configured { admin_url, database } => {
                self.runtime.block_on(run_on(&admin_url, format!("drop database {database} with (force)")))?;
                std::fs::remove_dir_all(&self.directory)?;
            }
        }
        Ok(())
    }
}

async fn run_on(url: &str, statements: String) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

/// Starts a process that cleans up once this one is gone. An interrupt from the terminal does not reach it.
fn watch(directory: &Path) -> Result<Child> {
    // The program attaches to the cluster and, being its last user, stops it when it ends.
    let clean = "cat >/dev/null; if [ -e \"$1/postgres/postmaster.pid\" ]; then \"$0\" check --data \"$1\" >/dev/null 2>&1; fi; rm -rf \"$1\"";
    let watchdog = Command::new("sh")
        .args(["-c", clean, env!("CARGO_BIN_EXE_syncline")])
        .arg(directory)
        .env_remove("DATABASE_URL")
        .process_group(0)
        .stdin(Stdio::piped())
        .spawn()?;
    Ok(watchdog)
}

/// A running server.
pub struct Server {
    child: Child,
    address: SocketAddr,
    data: PathBuf,
}

impl Server {
    /// Starts the program on a free port.
    pub fn start(bed: &Bed) -> Result<Server> {
        let data = bed.directory.join("server");
        let mut child = Command::new(env!("CARGO_BIN_EXE_syncline"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(&data)
            .env("SYNCLINE_DATABASE_URL", &bed.url)
            .env("SYNCLINE_ANONYMOUS", "edit")
            .env("SYNCLINE_ADMIN_TOKEN", ADMIN_TOKEN)
            // Statements over a whole table are no news here.
            .env("SYNCLINE_LOG", "error")
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let address = line.split_once("http://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
        let address = address.parse().map_err(|_| format!("the server did not say where it listens, but '{line}'"))?;
        Ok(Server { child, address, data })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connects to it.
    pub fn connect(&self) -> Result<Client> {
        Client::connect(self.address)
    }

    /// The most memory that it ever used, in MiB.
    pub fn peak_memory(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("the system tells no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }

    /// Where finished results are.
    pub fn exports(&self) -> PathBuf {
        self.data.join("exports")
    }

    /// Deletes the finished results, so that writing them back to the disk disturbs nothing that follows.
    pub fn delete_exports(&self) -> Result<()> {
        for entry in std::fs::read_dir(self.exports())? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    /// Forgets a replica.
    pub fn unregister(&self, service: &str, replica: &str) -> Result<()> {
        let path = format!("{service}/FeatureServer/unRegisterReplica");
        self.connect()?.send(&Request::post(&path, &[("replicaID", replica)]))?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // If it has ended by itself there is nothing to end.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
