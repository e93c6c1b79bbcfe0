//! A database for each test.
//!
//! If `DATABASE_URL` names a server it is used; otherwise a private one is started in a temporary directory, and stopped and
//! removed when the test program ends. The schema is migrated once, into a template that each test clones.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgConnectOptions};
use syncline::{postgres::Cluster, store::Store};
use tokio::sync::OnceCell;

use super::watch;

/// The databases of this run begin with this.
fn prefix() -> String {
    format!("syncline_it_{}", std::process::id())
}

struct Place {
    /// The URL of any database of the server, with `{}` for its name.
    pattern: String,
    /// Takes the names of databases that no test needs any more.
    done_with: mpsc::Sender<String>,
    /// Its standard input is ours: when this process ends, however it does, the cluster is stopped.
    _watchdog: Option<Mutex<Child>>,
    _cluster: Option<Cluster>,
}

static PLACE: OnceCell<Place> = OnceCell::const_new();
static COUNTER: AtomicU32 = AtomicU32::new(0);

impl Place {
    async fn find() -> Place {
        watch::begin();
        #[expect(clippy::disallowed_methods, reason = "the tests' own setting, which is not the program's")]
        let server = std::env::var("DATABASE_URL");
        let (pattern, watchdog, cluster) = match server {
            Ok(url) => {
                let mut url = url::Url::parse(&url).unwrap();
                url.set_path("/DATABASE");
                (url.to_string().replace("/DATABASE", "/{}"), None, None)
            }
            Err(_) => Place::start().await,
        };
        let (done_with, names) = mpsc::channel();
        let url = pattern.replace("{}", "postgres");
        std::thread::spawn(move || drop_databases(&url, &names));
        let place = Place { pattern, done_with, _watchdog: watchdog, _cluster: cluster };
        place.prepare().await;
        place
    }

    async fn start() -> (String, Option<Mutex<Child>>, Option<Cluster>) {
        let directory: PathBuf = std::env::temp_dir().join(prefix());
        let cluster = Cluster::start(&directory, None).await.unwrap();
        // The program attaches to the cluster and, being its last user, stops it when it ends.
        let watchdog = Command::new("sh")
            .args(["-c", "cat >/dev/null; \"$0\" check --data \"$1\" >/dev/null 2>&1; rm -rf \"$1\""])
            .arg(env!("CARGO_BIN_EXE_syncline"))
            .arg(&directory)
            .env_remove("DATABASE_URL")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let pattern = cluster.url_for("DATABASE").replace("/DATABASE", "/{}");
        // Nothing here need survive a crash of the machine.
        let mut connection = PgConnection::connect(&pattern.replace("{}", "postgres")).await.unwrap();
        for statement in
            ["alter system set fsync = off", "alter system set synchronous_commit = off", "select pg_reload_conf()"]
        {
            sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
        }
        (pattern, Some(Mutex::new(watchdog)), Some(cluster))
    }

    async fn prepare(&self) {
        let template = format!("{}_template", prefix());
        self.run(&format!("create database {template}")).await;
        let store = Store::open(&self.url(&template), 2).await.unwrap();
        store.close().await;
    }

    fn url(&self, database: &str) -> String {
        self.pattern.replace("{}", database)
    }

    async fn run(&self, statement: &str) {
        let mut connection = PgConnection::connect(&self.url("postgres")).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

/// Drops databases, one after the other: hundreds of them would fill many a disk, and take minutes to delete in the end.
fn drop_databases(url: &str, names: &mpsc::Receiver<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url).await.unwrap();
        while let Ok(name) = names.recv() {
            let statement = format!("drop database {name} with (force)");
            sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        }
    });
}

/// An empty database with Syncline's schema, which is dropped some time after nobody has this any more.
#[derive(Clone)]
pub struct TestDatabase {
    pub url: String,
    _own: Option<Arc<Own>>,
}

/// A database that tests made.
struct Own {
    name: String,
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(place) = PLACE.get() {
            // Nobody drops them any more if the tests are about to end; then all that there is goes with its directory.
            let _ = place.done_with.send(std::mem::take(&mut self.name));
        }
    }
}

impl TestDatabase {
    pub async fn new() -> TestDatabase {
        let place = PLACE.get_or_init(Place::find).await;
        let name = format!("{}_{}", prefix(), COUNTER.fetch_add(1, Ordering::Relaxed));
        place.run(&format!("create database {name} template {}_template", prefix())).await;
        TestDatabase { url: place.url(&name), _own: Some(Arc::new(Own { name })) }
    }

    /// A database without anything of Syncline's.
    pub async fn bare() -> TestDatabase {
        let place = PLACE.get_or_init(Place::find).await;
        let name = format!("{}_bare_{}", prefix(), COUNTER.fetch_add(1, Ordering::Relaxed));
        place.run(&format!("create database {name} template template0")).await;
        TestDatabase { url: place.url(&name), _own: Some(Arc::new(Own { name })) }
    }

    /// A database that somebody else made, or nobody.
    pub fn at(url: impl Into<String>) -> TestDatabase {
        TestDatabase { url: url.into(), _own: None }
    }

    /// Runs statements as another program would.
    pub async fn sql(&self, statements: &str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// The one value of a query.
    pub async fn value<T>(&self, query: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let mut connection = self.connect().await;
        let value = sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        value
    }

    /// Asks until a condition holds.
    pub async fn until(&self, condition: &str) {
        let mut connection = self.connect().await;
        let started = Instant::now();
        while !sqlx::query_scalar::<_, bool>(AssertSqlSafe(condition.to_owned()))
            .fetch_one(&mut connection)
            .await
            .unwrap()
        {
            assert!(started.elapsed() < Duration::from_secs(30), "this never came true: {condition}");
        }
        connection.close().await.unwrap();
    }

    pub async fn connect(&self) -> PgConnection {
        let options: PgConnectOptions = self.url.parse().unwrap();
        PgConnection::connect_with(&options.options([("search_path", "public")])).await.unwrap()
    }
}
