//! The commands. Each works on the configured database or on the private one in the data directory, whether or not a
//! server is running on it.

mod accounts;
mod audit;
mod backup;
mod books;
mod client;
mod config;
mod definition;
mod give;
mod history;
mod import;
mod jobs;
mod publish;
mod relations;
mod replicas;
mod serve;

use std::{
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use clap::{Args, Parser, Subcommand};

use crate::{
    app::App,
    auth::oidc,
    config::Config,
    error::{Error, Result, chain},
    files::Files,
    model::actor::Actor,
    postgres::Cluster,
    store::{Store, acting},
};

/// A feature service server whose clients may be offline, on PostgreSQL and PostGIS.
#[derive(Debug, Parser)]
#[command(name = "syncline", version, propagate_version = true)]
struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Where settings and data are.
#[derive(Debug, Args)]
struct Place {
    /// The configuration file (TOML)
    #[arg(long, global = true, env = "SYNCLINE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory [default: data]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server; prints its URL when it is ready
    Serve(serve::Serve),
    /// Load a file (GeoPackage, GeoJSON, Shapefile, FileGDB, CSV, …) as a layer of a service
    Import(import::Import),
    /// Publish a PostGIS table in place as a layer of a service
    Publish(publish::Publish),
    /// End the publication of a layer; its table and rows stay
    Unpublish(publish::Unpublish),
    /// Declare that rows of one layer belong to rows of another
    Relate(relations::Relate),
    /// Forget a relationship
    Unrelate(relations::Unrelate),
    /// Let the features of a layer have attachments
    Attachments(relations::Attachments),
    /// Take up what changed about a published table: columns, triggers; replicas keep what they can
    Repair(publish::Repair),
    /// Show and replace what is said about services and layers: domains, templates, symbols, capabilities
    #[command(subcommand)]
    Definition(definition::DefinitionCommand),
    /// Forget changes that no replica needs and that are older than the settings say; the server does so by itself
    Prune(history::Prune),
    /// Show or begin epochs, which keep numbers of a lost past from being given again
    #[command(subcommand)]
    Epoch(history::EpochCommand),
    /// List, show and unregister replicas
    #[command(subcommand)]
    Replicas(replicas::Replicas),
    /// List and show jobs: requests that run on their own
    #[command(subcommand)]
    Jobs(jobs::Jobs),
    /// Add, list and change users
    #[command(subcommand)]
    User(accounts::UserCommand),
    /// Add, list and remove roles
    #[command(subcommand)]
    Role(accounts::RoleCommand),
    /// Add, list and revoke keys of programs
    #[command(subcommand)]
    Key(accounts::KeyCommand),
    /// List and revoke tokens and sessions
    #[command(subcommand)]
    Token(accounts::TokenCommand),
    /// Say what a user, a role or everybody may do with a service
    Grant(accounts::GrantAccess),
    /// List what was granted of services
    Grants(accounts::ListGrants),
    /// List, show and undo uploads of replicas
    #[command(subcommand)]
    Batches(books::Batches),
    /// List, show, apply and dismiss edits that were refused
    #[command(subcommand)]
    Rejected(books::RejectedEdits),
    /// List and show what uploads overwrote unseen, and put it back
    #[command(subcommand)]
    Conflicts(books::Conflicts),
    /// Show who did what, and check that nobody tampered with it
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Print counts and checksums of what a replica should hold
    Verify(books::Verify),
    /// Say why a replica holds a feature, or does not
    Explain(books::Explain),
    #[command(flatten)]
    Client(client::Client),
    /// Take a backup of the database and the files, also while the server runs
    Backup(backup::Backup),
    /// Restore a backup into an empty database and data directory
    Restore(backup::Restore),
    /// Bring the database schema up to date
    Migrate,
    /// Check configuration and database, and say what the server would do
    Check {
        /// Look at every row of every layer as well, and name those with values that clients cannot be given
        #[arg(long)]
        rows: bool,
    },
    /// Show the settings that are used, or what settings there are
    #[command(subcommand)]
    Config(config::ConfigCommand),
}

/// Runs the command that the command line names.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let arguments = match arguments.command {
        Command::Client(client) => return client.run(),
        // What settings there are can be asked whatever they are.
        Command::Config(config::ConfigCommand::Reference(reference)) => return ended(reference.run()),
        _ => arguments,
    };
    let done = tokio::runtime::Runtime::new()
        .map_err(|error| Error::internal("starting", error))
        .and_then(|runtime| runtime.block_on(run(arguments)));
    ended(done)
}

fn ended(done: Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "syncline: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<()> {
    #[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
    let mut config = Config::load(arguments.place.config.as_deref(), |name| std::env::var(name).ok())?;
    if let Some(data) = arguments.place.data {
        config.data = data;
    }
    start_logging(&config)?;
    match arguments.command {
        Command::Serve(serve) => serve.run(config).await,
        Command::Config(command) => command.run(&config),
        Command::Restore(restore) => restore.run(&config).await,
        command => {
            let database = Database::open(&config).await?;
            let actor = Actor::command(rustix::process::getuid().as_raw());
            let done = acting(&actor, on_database(command, &database, &config)).await;
            database.close().await?;
            done
        }
    }
}

async fn on_database(command: Command, database: &Database, config: &Config) -> Result<()> {
    match command {
        Command::Import(import) => import.run(database, config).await,
        Command::Publish(publish) => publish.run(&database.store).await,
        Command::Unpublish(unpublish) => unpublish.run(&database.store).await,
        Command::Relate(relate) => relate.run(&database.store).await,
        Command::Unrelate(unrelate) => unrelate.run(&database.store).await,
        Command::Attachments(attachments) => attachments.run(&database.store).await,
        Command::Definition(definition) => definition.run(&database.store).await,
        Command::Repair(repair) => repair.run(&database.store).await,
        Command::Prune(prune) => prune.run(&database.store, config).await,
        Command::Epoch(epoch) => epoch.run(&database.store).await,
        Command::Replicas(replicas) => replicas.run(&app(database, config).await?).await,
        Command::Jobs(jobs) => jobs.run(&app(database, config).await?).await,
        Command::User(user) => user.run(&app(database, config).await?).await,
        Command::Role(role) => role.run(&app(database, config).await?).await,
        Command::Key(key) => key.run(&app(database, config).await?).await,
        Command::Token(token) => token.run(&app(database, config).await?).await,
        Command::Grant(grant) => grant.run(&app(database, config).await?).await,
        Command::Grants(grants) => grants.run(&app(database, config).await?).await,
        Command::Batches(batches) => batches.run(&app(database, config).await?).await,
        Command::Rejected(rejected) => rejected.run(&app(database, config).await?).await,
        Command::Conflicts(conflicts) => conflicts.run(&app(database, config).await?).await,
        Command::Audit(audit) => audit.run(&database.store).await,
        Command::Verify(verify) => verify.run(&app(database, config).await?).await,
        Command::Explain(explain) => explain.run(&app(database, config).await?).await,
        Command::Backup(backup) => backup.run(database, config).await,
        Command::Migrate => migrated(database).await,
        Command::Check { rows } => check(database, &app(database, config).await?, rows).await,
        Command::Serve(_) | Command::Client(_) | Command::Config(_) | Command::Restore(_) => Ok(()),
    }
}

/// The handles that the server's own operations take.
async fn app(database: &Database, config: &Config) -> Result<App> {
    Ok(App {
        store: database.store.clone(),
        files: Files::open(&config.data, config.disk_reserve_bytes).await?,
        config: Arc::new(config.clone()),
        metrics: Arc::default(),
        gate: Arc::default(),
    })
}

fn start_logging(config: &Config) -> Result<()> {
    use tracing_subscriber::{EnvFilter, fmt};
    // What the database remarks is of no interest, unless somebody asks for it.
    let filter = EnvFilter::try_new(format!("sqlx::postgres::notice=warn,{}", config.log))
        .map_err(|error| Error::internal("starting the log", error))?;
    let logging = fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    // A second start in one process, as in tests, keeps the first one's.
    let _ = if config.log_json { logging.json().try_init() } else { logging.with_target(false).try_init() };
    Ok(())
}

/// A database that a command works on.
pub(crate) struct Database {
    /// The database.
    pub(crate) store: Arc<Store>,
    /// Its URL.
    pub(crate) url: String,
    cluster: Option<Cluster>,
}

impl Database {
    /// Connects to the configured database, or to the private one, which is started if nobody runs it.
    pub(crate) async fn open(config: &Config) -> Result<Database> {
        let (url, cluster) = database_url(config).await?;
        match Store::open(&url, config.max_connections).await {
            Ok(store) => Ok(Database { store: Arc::new(store), url, cluster }),
            Err(error) => {
                if let Some(cluster) = cluster {
                    stop(cluster).await?;
                }
                Err(error)
            }
        }
    }

    /// Lets go of the database.
    pub(crate) async fn close(self) -> Result<()> {
        self.store.close().await;
        match self.cluster {
            None => Ok(()),
            Some(cluster) => stop(cluster).await,
        }
    }
}

/// The URL of the database, and the private cluster that serves it if there is no other.
pub(crate) async fn database_url(config: &Config) -> Result<(String, Option<Cluster>)> {
    if let Some(url) = &config.database_url {
        return Ok((url.clone(), None));
    }
    std::fs::create_dir_all(&config.data).map_err(|error| {
        Error::Unavailable(format!(
            "the data directory {} cannot be made: {error}; choose another with --data",
            config.data.display()
        ))
    })?;
    let cluster = Cluster::start(&config.data, config.pg_bindir.as_deref())
        .await
        .map_err(|error| Error::Unavailable(format!("the private PostgreSQL did not start: {}", chain(&error))))?;
    Ok((cluster.url().to_owned(), Some(cluster)))
}

/// Stops a private cluster, unless another process uses it.
pub(crate) async fn stop(cluster: Cluster) -> Result<()> {
    cluster.stop().await.map_err(|error| Error::internal("stopping the private PostgreSQL", error))
}

/// Prints a line for the person or script that called.
pub(crate) fn say(text: impl AsRef<str>) -> Result<()> {
    writeln!(std::io::stdout(), "{}", text.as_ref()).map_err(|error| Error::internal("printing", error))
}

/// A number with what it counts: `1 edit`, `2 edits`.
pub(crate) fn counted(n: impl std::fmt::Display, what: &str) -> String {
    let n = n.to_string();
    let plural = if n == "1" { "" } else { "s" };
    format!("{n} {what}{plural}")
}

/// `was` of one, `were` of others.
pub(crate) fn were(n: usize) -> &'static str {
    if n == 1 { "was" } else { "were" }
}

/// What is left to do after the schema was brought up to date.
async fn migrated(database: &Database) -> Result<()> {
    say("The database schema is up to date.")?;
    for notice in database.store.watch().await?.notices {
        say(format!("Note: {notice}"))?;
    }
    Ok(())
}

async fn check(database: &Database, app: &App, rows: bool) -> Result<()> {
    let config = &app.config;
    say(match &config.database_url {
        Some(_) => "Database:       as configured; reachable, schema up to date".to_owned(),
        None => format!("Database:       private, in {}; running, schema up to date", config.data.display()),
    })?;
    say(format!("Listens on:     http://{}", config.listen))?;
    say(format!("Data directory: {}", config.data.display()))?;
    let catalogue = database.store.catalogue();
    if catalogue.services.is_empty() {
        say("Services:       none yet; syncline import or syncline publish make one")?;
    }
    for service in &catalogue.services {
        say(format!("Service:        {} with {} layers and tables", service.name, service.layers.len()))?;
    }
    let found = database.store.watch().await?;
    let odd_rows = if rows { database.store.odd_rows().await? } else { Vec::new() };
    for notice in found.notices.iter().chain(&odd_rows) {
        say(format!("Note:           {notice}"))?;
    }
    let mut problems = found.problems;
    if let Some(issuer) = &config.oidc_issuer {
        let of_provider = oidc::problems(app).await?;
        let state = if of_provider.is_empty() { "it answers" } else { "see below" };
        say(format!("Single sign-on: {issuer}; {state}"))?;
        problems.extend(of_provider);
    }
    for problem in &problems {
        say(format!("PROBLEM:        {problem}"))?;
    }
    match problems.len() {
        0 => say("No problems found."),
        n => Err(Error::Unavailable(format!("{n} problems found; see above"))),
    }
}
