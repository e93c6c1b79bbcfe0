//! Whether all is well: a few checks, each with what was found, a verdict, and what to do.

use serde_json::{Value as Json, json};

use crate::{
    app::App,
    error::Result,
    files::Counted,
    store::health::{DatabaseHealth, JobsHealth, OpenGap, ServiceHealth},
};

/// What a check comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// All is well.
    Ok,
    /// Something should be looked at.
    Warning,
    /// Something must be done.
    Problem,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Problem => "problem",
        }
    }
}

/// What was found about one part of the server.
struct Check {
    name: &'static str,
    title: &'static str,
    verdict: Verdict,
    /// What is the case, in a sentence.
    summary: String,
    /// What to do about it; empty if nothing.
    advice: String,
    /// The figures behind it.
    facts: Json,
}

/// How the server, its database and its services are doing.
pub(crate) async fn health(app: &App) -> Result<Json> {
    let services = app.store.service_health().await?;
    let gaps = app.store.open_gaps().await?;
    let database = app.store.database_health().await?;
    let checks = [
        tracking(app, &gaps),
        history(app, &services, database.now_ms),
        books(&services),
        jobs(app, app.store.jobs_health().await?),
        disk(app).await?,
        of_database(&database),
    ];
    let worst = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Ok);
    let policy = app.config.policy();
    let rules = {
        let mut session = app.store.session().await?;
        session.own().await?.service_expiry_list().await?
    };
    let rules: Json = rules.into_iter().map(|(name, days)| json!({"service": name, "expireDays": days})).collect();
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "currentDate": database.now_ms,
        "verdict": worst.name(),
        "checks": checks.iter().map(|check| json!({
            "name": check.name, "title": check.title, "verdict": check.verdict.name(), "summary": check.summary, "advice": check.advice,
            "facts": check.facts,
        })).collect::<Json>(),
        "services": services.iter().map(service).collect::<Json>(),
        "expiryPolicy": {
            "warnDays": policy.warn_days, "expireDays": policy.expire_days, "graceDays": policy.grace_days, "services": rules,
            "keepHistoryDays": app.config.keep_history_days, "keepReceiptsDays": app.config.keep_receipts_days,
        },
    }))
}

fn service(one: &ServiceHealth) -> Json {
    json!({
        "name": one.name,
        "minServerGen": one.from,
        "serverGen": one.to,
        "oldestChangeDate": one.from_ms,
        "lastEditDate": one.to_ms,
        "changes": one.n_changes,
        "changeBytes": one.n_bytes,
        "replicas": one.n_replicas,
        "expiredReplicas": one.n_expired,
        "openRejectedEdits": one.n_rejected,
        "openConflicts": one.n_conflicts,
        "heldBy": one.held_by.as_ref().map(|(id, name, ms)| json!({"replicaID": id.to_uppercase(), "replicaName": name, "lastSyncDate": ms})),
    })
}

fn tracking(app: &App, gaps: &[OpenGap]) -> Check {
    let n_layers: usize = app.store.catalogue().services.iter().map(|service| service.layers.len()).sum();
    let (verdict, summary, advice) = match gaps.first() {
        None => (Verdict::Ok, format!("Every change of {n_layers} layers is recorded."), String::new()),
        Some(first) => (
            Verdict::Problem,
            format!(
                "Changes of layer {} ({}) of {} may have been missed: {}.{}",
                first.layer,
                first.layer_name,
                first.service,
                first.reason,
                if gaps.len() > 1 { format!(" And {} more.", gaps.len() - 1) } else { String::new() }
            ),
            format!(
                "Nobody can synchronize the layer until you run: syncline repair --service '{}' --layer {}. Devices take all rows anew then.",
                first.service, first.layer
            ),
        ),
    };
    let list: Json = gaps
        .iter()
        .map(|gap| {
            json!({
                "service": gap.service, "layer": gap.layer, "name": gap.layer_name, "reason": gap.reason, "noticedDate": gap.noticed_ms,
                "command": format!("syncline repair --service '{}' --layer {}", gap.service, gap.layer),
            })
        })
        .collect();
    let facts = json!({"layers": n_layers, "gaps": list});
    Check { name: "tracking", title: "Change tracking", verdict, summary, advice, facts }
}

fn history(app: &App, services: &[ServiceHealth], now_ms: i64) -> Check {
    const DAY_MS: i64 = 86_400_000;
    let keep_days = i64::from(app.config.keep_history_days);
    let bytes: i64 = services.iter().map(|one| one.n_bytes).sum();
    // Pruning comes hourly, and a holder keeps what it needs however old it is.
    let overdue = services
        .iter()
        .filter(|one| one.from_ms.is_some_and(|oldest| oldest < now_ms - (keep_days + 2) * DAY_MS))
        .max_by_key(|one| one.n_bytes);
    let n_replicas: i64 = services.iter().map(|one| one.n_replicas).sum();
    let n_expired: i64 = services.iter().map(|one| one.n_expired).sum();
    let (verdict, summary, advice) = match overdue.map(|one| (one, one.held_by.as_ref())) {
        Some((one, Some((_, name, ms)))) => (
            Verdict::Warning,
            format!(
                "History of {} older than {keep_days} days is kept for the replica {name}, which last synchronized {} days ago.",
                one.name,
                (now_ms - ms) / DAY_MS
            ),
            "If its device will not come back, unregister it: a preview says how much that frees. If it will, leave it.".to_owned(),
        ),
        Some((one, None)) => (
            Verdict::Warning,
            format!("History of {} is older than {keep_days} days, and no replica needs it.", one.name),
            "The server prunes hourly; if this stays, look for errors in its log, or run: syncline prune".to_owned(),
        ),
        None => (
            Verdict::Ok,
            format!("{n_replicas} replicas; the changes that are kept take up {}.", size(bytes)),
            String::new(),
        ),
    };
    let facts = json!({
        "changeBytes": bytes, "keepHistoryDays": keep_days, "replicas": n_replicas, "expiredReplicas": n_expired,
    });
    Check { name: "history", title: "Replicas and history", verdict, summary, advice, facts }
}

fn books(services: &[ServiceHealth]) -> Check {
    let n_rejected: i64 = services.iter().map(|one| one.n_rejected).sum();
    let n_conflicts: i64 = services.iter().map(|one| one.n_conflicts).sum();
    let (verdict, summary, advice) = match (n_rejected, n_conflicts) {
        (0, 0) => (Verdict::Ok, "No refused edit and no conflict is open.".to_owned(), String::new()),
        _ => (
            Verdict::Warning,
            format!("Open refused edits: {n_rejected}; open conflicts: {n_conflicts}."),
            "Nothing of them is lost. Apply or dismiss refused edits, and put back what was overwritten if it was right.".to_owned(),
        ),
    };
    let facts = json!({"openRejectedEdits": n_rejected, "openConflicts": n_conflicts});
    Check { name: "books", title: "Refused edits and conflicts", verdict, summary, advice, facts }
}

fn jobs(app: &App, jobs: JobsHealth) -> Check {
    let (verdict, summary, advice) = if jobs.n_stuck > 0 {
        (
            Verdict::Warning,
            format!("{} jobs run under a lease that is over: the server that ran them ended.", jobs.n_stuck),
            "They begin again by themselves within a minute. If they do not, no server process is running jobs."
                .to_owned(),
        )
    } else if jobs.n_waiting > 0 && jobs.oldest_s > 600 {
        (
            Verdict::Warning,
            format!("{} jobs wait, the oldest job for {} minutes.", jobs.n_waiting, jobs.oldest_s / 60),
            format!("{} run at a time in each process (max_running_jobs).", app.config.max_running_jobs),
        )
    } else if jobs.n_failed > 0 {
        (
            Verdict::Warning,
            format!("{} jobs failed within a day; {} ended well.", jobs.n_failed, jobs.n_done),
            "The reason stands with each of them.".to_owned(),
        )
    } else {
        (
            Verdict::Ok,
            format!("{} jobs run, {} wait; {} ended within a day.", jobs.n_running, jobs.n_waiting, jobs.n_done),
            String::new(),
        )
    };
    let facts = json!({
        "running": jobs.n_running, "waiting": jobs.n_waiting, "failed": jobs.n_failed, "completed": jobs.n_done,
        "oldestSeconds": jobs.oldest_s, "maxWaiting": app.config.max_waiting_jobs, "maxRunning": app.config.max_running_jobs,
    });
    Check { name: "jobs", title: "Jobs", verdict, summary, advice, facts }
}

async fn disk(app: &App) -> Result<Check> {
    let usage = app.files.usage().await?;
    let usable = usage.free_bytes.saturating_sub(usage.reserve_bytes);
    let (verdict, advice) = if usable == 0 {
        (
            Verdict::Problem,
            "Results, uploads and attachments are refused until there is room: make room on the disk of the data directory, or lower disk_reserve_bytes.",
        )
    } else if usable < usage.total_bytes / 20 {
        (Verdict::Warning, "Make room soon: what does not fit is refused.")
    } else {
        (Verdict::Ok, "")
    };
    let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let summary = format!(
        "{} of {} are free; {} are never written to.",
        size(signed(usage.free_bytes)),
        size(signed(usage.total_bytes)),
        size(signed(usage.reserve_bytes))
    );
    let counted = |one: Counted| json!({"files": one.n_files, "bytes": one.n_bytes, "more": one.has_more});
    let facts = json!({
        "totalBytes": usage.total_bytes, "freeBytes": usage.free_bytes, "reserveBytes": usage.reserve_bytes,
        "spool": counted(usage.spool), "exports": counted(usage.exports), "uploads": counted(usage.uploads),
        "attachments": counted(usage.contents),
    });
    Ok(Check { name: "disk", title: "Disk", verdict, summary, advice: advice.to_owned(), facts })
}

fn of_database(database: &DatabaseHealth) -> Check {
    let (verdict, advice) = if database.n_connections * 10 > database.max_connections * 9 {
        (
            Verdict::Warning,
            "Few connections are left for other programs: raise max_connections of PostgreSQL, or lower that of this server.",
        )
    } else if database.oldest_transaction_s > 3600 {
        (
            Verdict::Warning,
            "A program holds a transaction open. Synchronizing goes on, but PostgreSQL cannot clean up: look for it in pg_stat_activity.",
        )
    } else {
        (Verdict::Ok, "")
    };
    let summary = format!(
        "{}; {}; {} of {} connections; the oldest transaction has been open for {} s.",
        database.version,
        size(database.n_bytes),
        database.n_connections,
        database.max_connections,
        database.oldest_transaction_s
    );
    let facts = json!({
        "version": database.version, "bytes": database.n_bytes, "connections": database.n_connections,
        "maxConnections": database.max_connections, "oldestTransactionSeconds": database.oldest_transaction_s,
        "ownConnections": database.own.0, "ownIdleConnections": database.own.1,
    });
    Check { name: "database", title: "Database", verdict, summary, advice: advice.to_owned(), facts }
}

/// A number of bytes for people.
fn size(bytes: i64) -> String {
    const STEP: i64 = 1024;
    let mut unit = 1;
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut index = 0;
    while bytes / unit >= STEP && index + 1 < units.len() {
        unit *= STEP;
        index += 1;
    }
    let tenths = bytes.saturating_mul(10) / unit;
    let name = units.get(index).copied().unwrap_or_default();
    if index == 0 || tenths >= 1000 {
        format!("{} {name}", bytes / unit)
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_units_that_people_use() {
        for (bytes, shown) in
            [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 KiB"), (200 << 20, "200 MiB"), (3 << 40, "3.0 TiB")]
        {
            assert_eq!(size(bytes), shown);
        }
    }
}
