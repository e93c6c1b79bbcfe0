//! `syncline audit`

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    error::{Error, Result},
    model::audit::{Filter, Seal},
    store::Store,
    wire::audit,
};

use super::{replicas::instant, say};

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// List what was done, the newest first
    List(List),
    /// Check that nobody changed or removed entries: every link of their chain
    Verify(Verify),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// From this date on (YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ)
    #[arg(long, value_name = "DATE")]
    since: Option<String>,
    /// Before this date
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
    /// Done by this user, key:NAME, server, command:UID or database:ROLE
    #[arg(long)]
    actor: Option<String>,
    /// An action, such as replica.created, or all of a kind, such as replica
    #[arg(long)]
    action: Option<String>,
    /// In this service
    #[arg(long)]
    service: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(i64).range(1..=1_000_000))]
    limit: i64,
    /// Print a JSON object for each, one a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// A place in the chain that was noted once (POSITION:DIGEST): it must still be there
    #[arg(long, value_name = "SEAL")]
    expect: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub(super) async fn run(self, store: &Store) -> Result<()> {
        match self {
            Audit::List(list) => list.run(store).await,
            Audit::Verify(verify) => verify.run(store).await,
        }
    }
}

impl List {
    async fn run(self, store: &Store) -> Result<()> {
        let moment = |name, text: &Option<String>| text.as_deref().map(|text| audit::moment(name, text)).transpose();
        let filter = Filter {
            since_ms: moment("--since", &self.since)?,
            until_ms: moment("--until", &self.until)?,
            actor: self.actor,
            action: self.action,
            service: self.service,
            offset: 0,
            limit: self.limit,
        };
        let entries = store.audit(&filter).await?;
        for entry in &entries {
            if self.json {
                say(audit::entry(entry)?.to_string())?;
                continue;
            }
            let place = [&entry.service, &entry.subject].into_iter().filter(|text| !text.is_empty());
            let place = place.map(String::as_str).collect::<Vec<_>>().join(": ");
            let from = if entry.origin.is_empty() { String::new() } else { format!(" from {}", entry.origin) };
            let detail = if entry.detail == "{}" { String::new() } else { format!(" {}", entry.detail) };
            say(format!("{} {} {}{from}: {place}{detail}", instant(entry.at_ms), entry.action, entry.actor))?;
        }
        if entries.is_empty() && !self.json { say("No entries.") } else { Ok(()) }
    }
}

impl Verify {
    async fn run(self, store: &Store) -> Result<()> {
        let expected = match &self.expect {
            None => None,
            Some(text) => Some(Seal::parse(text).ok_or_else(|| {
                let problem =
                    "is not a position, a colon and 64 hexadecimal digits, as syncline audit verify prints them";
                Error::invalid("--expect", format!("'{text}' {problem}"))
            })?),
        };
        store.seal_audit().await?;
        let found = store.verify_audit(expected.as_ref()).await?;
        let head = found.head.as_ref().map(ToString::to_string);
        if self.json {
            say(json!({
                "entries": found.n_entries, "unsealed": found.n_unsealed, "head": head, "problems": found.problems,
            })
            .to_string())?;
        } else {
            for problem in &found.problems {
                say(format!("PROBLEM: {problem}"))?;
            }
            say(format!(
                "{} entries; the chain ends at {}",
                found.n_entries,
                head.as_deref().unwrap_or("its beginning")
            ))?;
        }
        match found.problems.len() {
            0 => Ok(()),
            n => Err(Error::Unavailable(format!("the audit log was tampered with: {n} problems found; see above"))),
        }
    }
}
