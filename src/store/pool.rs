//! Pools of connections: how they are made, kept and given back.

use std::{str::FromStr as _, time::Duration};

use rustix::process::{Pid, setpriority_process};
use sqlx::{
    ConnectOptions as _, Connection as _, Row as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::error::{Error, Result};

/// By how much processes that give way are nicer than others: they get a tenth of a processor that others want, and all of one that nobody wants.
const NICE: i32 = 10;

/// How to connect to the database at `url`.
pub(super) fn options(url: &str) -> Result<PgConnectOptions> {
    Ok(PgConnectOptions::from_str(url)
        .map_err(|error| {
            Error::Unavailable(format!(
                "the database URL cannot be read: {error}; it looks like postgres://user:password@host:5432/database"
            ))
        })?
        .application_name("syncline")
        // Windows differ in size by orders of magnitude, so each statement is planned for its own values.
        .options([
            ("TimeZone", "UTC"),
            ("plan_cache_mode", "force_custom_plan"),
            ("jit", "off"),
            // Pages and deltas are small: workers would take longer to start than to help, and an index finds the rows of a
            // delta faster than a scan of the table does.
            ("max_parallel_workers_per_gather", "0"),
            ("random_page_cost", "1.1"),
            ("lock_timeout", "30s"),
            ("statement_timeout", "30min"),
        ])
        // What a request did is said where it is handled.
        .disable_statement_logging())
}

/// A pool of at most so many connections.
pub(super) fn settings(max_connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(30))
        // A connection that was in use a moment ago need not be asked whether it lives.
        .test_before_acquire(false)
        .before_acquire(|connection, used| {
            Box::pin(async move {
                if used.idle_for > Duration::from_secs(5) {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        // A request that is dropped half-way must not leave its replica locked, nor a transaction open, which happens if it
        // is dropped while the transaction begins. The time of the transaction is then before that of the statement.
        .after_release(|connection, _| {
            Box::pin(async move {
                let row = sqlx::raw_sql("select pg_advisory_unlock_all(), now() = statement_timestamp()")
                    .fetch_one(&mut *connection)
                    .await?;
                row.try_get(1)
            })
        })
}

/// A pool whose connections are served by processes that give way to others. The database must run on this machine.
///
/// They only read, so that hardly anybody ever waits for what such a process holds.
pub(super) fn giving_way(settings: PgPoolOptions) -> PgPoolOptions {
    settings.after_connect(|connection, _| {
        Box::pin(async move {
            let pid: i32 = sqlx::raw_sql("select pg_backend_pid()").fetch_one(&mut *connection).await?.try_get(0)?;
            if let Err(problem) = make_nice(pid) {
                tracing::warn!(%problem, "what takes the database long does not give way to the rest");
            }
            Ok(())
        })
    })
}

/// Lowers the priority of a process of the database.
fn make_nice(pid: i32) -> std::io::Result<()> {
    // Where processes have other numbers than here, it would be anybody's.
    if std::fs::read_to_string(format!("/proc/{pid}/comm"))?.trim() != "postgres" {
        return Err(std::io::Error::other(format!("process {pid} is none of the database")));
    }
    setpriority_process(Pid::from_raw(pid), NICE)?;
    // Where the system shares processors between sessions first, and each process of the database is one, the session counts.
    match std::fs::write(format!("/proc/{pid}/autogroup"), NICE.to_string()) {
        Err(problem) if problem.kind() != std::io::ErrorKind::NotFound => Err(problem),
        _ => Ok(()),
    }
}
