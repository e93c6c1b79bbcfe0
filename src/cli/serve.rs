//! `syncline serve`

use std::{io::Write as _, net::SocketAddr, sync::Arc, time::Duration};

use clap::Args;
use rustix::process::Signal;
use serde_json::json;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    app::App,
    auth::{record_failures, users},
    config::Config,
    error::{Error, Result, chain},
    http, jobs,
    model::actor::Actor,
    replica::life,
    store::{acting, prune::Retention},
    uploads,
};

use super::{database_url, say, stop};

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// The address to listen on [default: 127.0.0.1:6080]; port 0 chooses a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

impl Serve {
    /// Serves until a signal asks it to end; then requests that are under way are finished.
    pub(super) async fn run(self, mut config: Config) -> Result<()> {
        if let Some(listen) = self.listen {
            config.listen = listen;
        }
        // The address first: if it is taken, nothing has been started yet.
        let listener = TcpListener::bind(config.listen).await.map_err(|error| {
            Error::Unavailable(format!(
                "cannot listen on {}: {error}; choose another address with --listen",
                config.listen
            ))
        })?;
        let address = listener.local_addr().map_err(|error| Error::internal("listening", error))?;
        config.listen = address;
        let (url, cluster) = database_url(&config).await?;
        let served = serve(config, &url, listener, address).await;
        if let Some(cluster) = cluster {
            stop(cluster).await?;
        }
        served
    }
}

async fn serve(config: Config, url: &str, listener: TcpListener, address: SocketAddr) -> Result<()> {
    let ended = ended()?;
    // Unheard, it would end the process; heard, writing beyond a limit of file sizes fails, and with it one request.
    let _oversize = listen_for(SignalKind::from_raw(Signal::XFSZ.as_raw()))?;
    let app = App::open(config, url).await?;
    acting(&Actor::server(), tell_first_admin(&app)).await?;
    acting(&Actor::server(), note_settings(&app)).await?;
    let (ending, mut told) = watch::channel(false);
    let background = [
        tokio::spawn(Arc::clone(&app.store).follow_notices()),
        by_itself(sweep(app.clone())),
        by_itself(watch(app.clone())),
        tokio::spawn(seal(app.clone())),
    ];
    let running_jobs = tokio::spawn(jobs::run(app.clone(), told.clone()));
    say(format!("Syncline is ready at http://{address}/arcgis/rest/services"))?;
    let limits = http::listen::Limits {
        n_connections: app.config.max_client_connections,
        n_per_address: app.config.max_connections_per_address,
        head: Duration::from_secs(app.config.client_timeout_seconds.into()),
    };
    let serving = http::listen::serve(listener, http::router(app.clone()), limits, told.clone());
    let telling = tokio::spawn(async move {
        ended.await;
        tracing::info!("finishing the requests that are under way");
        ending.send_replace(true);
    });
    let too_late = async {
        let _ = told.wait_for(|ending| *ending).await;
        tokio::time::sleep(DRAIN_LIMIT).await;
    };
    tokio::select! {
        () = serving => {}
        () = too_late => tracing::warn!("some requests did not end in time; their clients can repeat them"),
    }
    telling.abort();
    // They are given back rather than finished, so that this takes no time unless the database does not answer.
    if tokio::time::timeout(Duration::from_secs(5), running_jobs).await.is_err() {
        tracing::warn!("some jobs could not be given back; they begin again when their leases are over");
    }
    background.iter().for_each(tokio::task::JoinHandle::abort);
    // Statements of requests that did not end are not waited for either.
    let _ = tokio::time::timeout(Duration::from_secs(5), app.store.close()).await;
    tracing::info!("ended");
    Ok(())
}

/// Writes to the audit log with which settings the server has started, as far as they are not the defaults, and without secrets: so who reads the log
/// sees when they were changed.
async fn note_settings(app: &App) -> Result<()> {
    let settings: serde_json::Map<String, serde_json::Value> = (app.config.listed().into_iter())
        .zip(Config::default().listed())
        .filter(|(set, default)| set.value != default.value)
        .map(|(set, _)| (set.name.to_owned(), json!(set.value)))
        .collect();
    app.store.record("server.started", "", env!("CARGO_PKG_VERSION"), json!({"settings": settings})).await
}

/// Makes the first administrator where there is no user yet. The password is said once, to whoever started the server, and is in no log.
async fn tell_first_admin(app: &App) -> Result<()> {
    let Some((user, password)) = users::first_admin(app).await? else { return Ok(()) };
    let told = match app.config.log_json {
        true => json!({"firstUser": user.as_str(), "password": password}).to_string(),
        false => format!(
            "There was no user yet, so there is one now, who may do everything:\n\n    user name  {user}\n    password   {password}\n\n\
             It is not shown again. Sign in at /arcgis/login, or choose another: syncline user set-password {user}"
        ),
    };
    writeln!(std::io::stderr(), "{told}").map_err(|error| Error::internal("printing", error))
}

/// How long requests may take after the server was asked to end.
const DRAIN_LIMIT: Duration = Duration::from_secs(25);

fn listen_for(kind: SignalKind) -> Result<tokio::signal::unix::Signal> {
    signal(kind).map_err(|error| Error::internal("watching for signals", error))
}

/// Resolves when the process is asked to end.
fn ended() -> Result<impl Future<Output = ()> + Send + 'static> {
    let (mut terminate, mut interrupt) = (listen_for(SignalKind::terminate())?, listen_for(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Does something for as long as the server runs, on nobody's behalf.
fn by_itself(work: impl Future<Output = ()> + Send + 'static) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move { acting(&Actor::server(), work).await })
}

/// Seals what was written to the audit log.
async fn seal(app: App) {
    let mut often = tokio::time::interval(Duration::from_secs(2));
    often.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        often.tick().await;
        if let Err(error) = record_failures(&app).await {
            tracing::warn!(error = chain(&error), "failures to sign in could not be written to the audit log");
        }
        if let Err(error) = app.store.seal_audit().await {
            tracing::warn!(error = chain(&error), "the audit log could not be sealed");
        }
    }
}

/// Deletes what is over: result files, replicas that have expired, history that nobody needs.
async fn sweep(app: App) {
    let mut hourly = tokio::time::interval(Duration::from_hours(1));
    let keep = Retention {
        history_days: app.config.keep_history_days,
        receipts_days: app.config.keep_receipts_days,
        refused_days: app.config.keep_refused_days,
    };
    loop {
        hourly.tick().await;
        match app.sweep_files().await {
            Ok(0) => {}
            Ok(n_files) => tracing::info!(n_files, "expired result files were deleted"),
            Err(error) => tracing::warn!(error = chain(&error), "expired result files could not be deleted"),
        }
        match uploads::sweep(&app).await {
            Ok(0) => {}
            Ok(n_files) => tracing::info!(n_files, "expired uploads were deleted"),
            Err(error) => tracing::warn!(error = chain(&error), "expired uploads could not be deleted"),
        }
        if let Err(error) = life::expire(&app, app.config.policy()).await {
            tracing::warn!(error = chain(&error), "replicas that nobody synchronizes could not be looked after");
        }
        if let Err(error) = app.store.forget_attempts().await {
            tracing::warn!(error = chain(&error), "old failures to sign in could not be forgotten");
        }
        match users::forget_expired_tokens(&app).await {
            Ok(0) => {}
            Ok(n_tokens) => tracing::info!(n_tokens, "expired tokens were forgotten"),
            Err(error) => tracing::warn!(error = chain(&error), "expired tokens could not be forgotten"),
        }
        match app.store.prune(keep, false).await {
            Ok(pruned) => {
                let pruned = pruned.into_iter().flatten();
                let n_changes = pruned.filter(|pruned| pruned.n_changes > 0).fold(0, |n, pruned| {
                    tracing::info!(
                        service.name = pruned.service, history_from = %pruned.to, n_changes = pruned.n_changes, "old history was forgotten"
                    );
                    n + pruned.n_changes
                });
                app.metrics.count_pruning(n_changes);
            }
            Err(error) => tracing::warn!(error = chain(&error), "old history could not be forgotten"),
        }
        match app.store.forget_audit(app.config.keep_audit_days).await {
            Ok(0) => {}
            Ok(n_entries) => tracing::info!(n_entries, "old entries of the audit log were forgotten"),
            Err(error) => tracing::warn!(error = chain(&error), "old entries of the audit log could not be forgotten"),
        }
        match app.store.forget_old_books().await {
            Ok(0) => {}
            Ok(n_replicas) => tracing::info!(n_replicas, "replicas that were unregistered long ago were forgotten"),
            Err(error) => tracing::warn!(error = chain(&error), "old books could not be forgotten"),
        }
    }
}

/// Looks whether every change is recorded, and whether the database still is where it was.
async fn watch(app: App) {
    let mut every_minute = tokio::time::interval(Duration::from_mins(1));
    let mut known = Vec::new();
    loop {
        every_minute.tick().await;
        if let Err(error) = app.store.settle().await {
            tracing::warn!(error = chain(&error), "where the database is could not be checked");
        }
        match app.store.watch().await {
            Ok(found) => {
                // Said once, not every minute.
                for problem in found.problems.iter().filter(|problem| !known.contains(*problem)) {
                    tracing::error!(problem, "the server needs attention");
                }
                for notice in found.notices.iter().filter(|notice| !known.contains(*notice)) {
                    tracing::warn!(notice, "somebody should know");
                }
                known = [found.problems, found.notices].concat();
            }
            Err(error) => tracing::warn!(error = chain(&error), "the tracking of changes could not be checked"),
        }
    }
}
