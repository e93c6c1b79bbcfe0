//! `syncline replicas`

use std::{path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use crate::{
    app::App,
    console,
    error::{Error, Result},
    model::{
        id::ReplicaId,
        layer::Service,
        life::{Life, Policy},
        replica::Replica,
    },
    replica::{self, life},
    wire::{
        console::ExpiryOf,
        import::Source,
        life::status,
        params::Params,
        replica::{Unregister, info},
    },
};

use super::{counted, give::Giving, say, were};

#[derive(Debug, Subcommand)]
pub(super) enum Replicas {
    /// List the replicas of a service, or of all
    List(List),
    /// Show one replica
    Show(One),
    /// Forget a replica, or all that nobody has synchronized for long; their clients must create new ones
    Unregister(Unregistration),
    /// Give a replica to another user, or all of a user who has left
    Give(Giving),
    /// Set after how many days without a synchronization a replica expires
    Expire(Expiry),
    /// Let replicas synchronize here that belong to the original of this database, because this server replaces it
    Adopt(Adoption),
    /// Register a replica of another server, and load what its createReplica (targetType=server) answered
    Import(Import),
}

#[derive(Debug, Args)]
pub(super) struct Import {
    /// The JSON document that createReplica answered, or the file behind its URL
    file: PathBuf,
    /// The service; its layers have the ids and fields of the other service's, and no rows
    #[arg(long)]
    service: String,
    /// The replica is registered already: bring it to this snapshot of its other side (synchronizeReplica with
    /// syncDirection=snapshot); what was edited here and not sent yet stays
    #[arg(long)]
    rebase: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// The service [default: all]
    #[arg(long)]
    service: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct One {
    /// The replica's id, in any spelling
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Replicas {
    pub(super) async fn run(self, app: &App) -> Result<()> {
        match self {
            Replicas::List(list) => list.run(app).await,
            Replicas::Show(one) => one.show(app).await,
            Replicas::Import(import) => import.run(app).await,
            Replicas::Expire(rule) => rule.run(app).await,
            Replicas::Adopt(which) => which.run(app).await,
            Replicas::Give(giving) => giving.run(app).await,
            Replicas::Unregister(which) => which.run(app).await,
        }
    }
}

impl Import {
    async fn run(self, app: &App) -> Result<()> {
        let service = app.store.service(&self.service).await?;
        let source = Source::File(self.file);
        let imported = match self.rebase {
            true => replica::rebase(app, &service, Params::new(), source).await?,
            false => replica::import(app, &service, Params::new(), source).await?,
        };
        if self.json {
            return say(imported.to_string());
        }
        if self.rebase {
            say(format!("Replica {} of service {} is re-based.", imported["replicaID"], service.name))?;
            for layer in imported["layers"].as_array().into_iter().flatten() {
                say(format!(
                    "Layer {}: {} added, {} changed, {} deleted; edited here and left as they are: {}.",
                    layer["id"],
                    counted(&layer["addCount"], "feature"),
                    layer["updateCount"],
                    layer["deleteCount"],
                    layer["keptCount"]
                ))?;
            }
            return Ok(());
        }
        let text = |member: &str| imported[member].as_str().unwrap_or_default().to_owned();
        say(format!(
            "Replica {} ({}) is registered with service {}, direction {}.",
            text("replicaID"),
            text("replicaName"),
            service.name,
            text("syncDirection")
        ))?;
        for layer in imported["layers"].as_array().into_iter().flatten() {
            say(format!("Layer {}: {} loaded.", layer["id"], counted(&layer["count"], "feature")))?;
        }
        Ok(())
    }
}

impl List {
    async fn run(self, app: &App) -> Result<()> {
        let services = match &self.service {
            Some(name) => vec![app.store.service(name).await?],
            None => app.store.catalogue().services.clone(),
        };
        let policy = app.config.policy();
        let mut all = Vec::new();
        for service in services {
            let (lives, alone) = life::lives(app, &service).await?;
            for life in lives {
                let alone = alone.filter(|alone| alone.replica == life.id);
                all.push((service.name.clone(), life, alone.map(|alone| (alone.n_generations, alone.n_changes))));
            }
        }
        if self.json {
            let list: Json = all.iter().map(|(service, life, alone)| shown(service, life, policy, *alone)).collect();
            return say(list.to_string());
        }
        if all.is_empty() {
            return say("No replicas.");
        }
        print(all.iter().map(|(service, life, _)| (service.as_str(), life)), policy)?;
        for (_, life, alone) in &all {
            if let Some((_, n_changes)) = alone {
                say(format!("Kept for replica {} ({}) alone: {}.", life.id, life.name, counted(n_changes, "change")))?;
            }
        }
        Ok(())
    }
}

/// The status of a replica, with its service.
fn shown(service: &str, life: &Life, policy: Policy, alone: Option<(i64, i64)>) -> Json {
    let mut shown = status(life, policy, alone);
    shown["service"] = service.into();
    shown
}

/// Prints a table of replicas.
fn print<'a>(lives: impl Iterator<Item = (&'a str, &'a Life)> + Clone, policy: Policy) -> Result<()> {
    let wide_service = lives.clone().map(|(service, _)| service.chars().count()).max().unwrap_or(0).max(7);
    let owner = |life: &Life| if life.owner.is_empty() { "(anybody)".to_owned() } else { life.owner.clone() };
    let wide_owner = lives.clone().map(|(_, life)| owner(life).chars().count()).max().unwrap_or(0).max(5);
    let wide_name = lives.clone().map(|(_, life)| life.name.chars().count()).max().unwrap_or(0).max(4);
    say(format!(
        "{:wide_service$}  {:36}  {:wide_name$}  {:wide_owner$}  {:7}  {:>8}  {:19}  {:19}",
        "Service", "Replica", "Name", "Owner", "State", "Behind", "Last sync (UTC)", "Ends (UTC)"
    ))?;
    for (service, life) in lives {
        let behind = format!("{}{}", if life.has_more { ">" } else { "" }, life.n_behind);
        say(format!(
            "{service:wide_service$}  {}  {:wide_name$}  {:wide_owner$}  {:7}  {behind:>8}  {}  {}",
            life.id,
            life.name,
            owner(life),
            life.state(policy).name(),
            instant(life.last_sync_ms),
            life.ends_ms(policy).map_or_else(|| "never".to_owned(), instant)
        ))?;
    }
    Ok(())
}

/// `2026-01-31 12:00:00`
pub(super) fn instant(ms: i64) -> String {
    let mut day = Vec::new();
    crate::format::json::day(i32::try_from(ms.div_euclid(86_400_000)).unwrap_or(0), &mut day);
    let day = String::from_utf8_lossy(&day).trim_matches('"').to_owned();
    let seconds = ms.rem_euclid(86_400_000) / 1000;
    format!("{day} {:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

impl One {
    /// The replica, and the service that has it.
    async fn find(&self, app: &App) -> Result<(Arc<Service>, Replica)> {
        let unknown = || Error::ReplicaNotFound { id: self.id.clone() };
        let id = ReplicaId::parse(&self.id).ok_or_else(unknown)?;
        for service in &app.store.catalogue().services {
            match replica::find(app, service, id).await {
                Ok(replica) => return Ok((service.clone(), replica)),
                Err(Error::ReplicaNotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(unknown())
    }

    async fn show(self, app: &App) -> Result<()> {
        let (service, replica) = self.find(app).await?;
        if self.json {
            return say(info(&replica).to_string());
        }
        let policy = app.config.policy();
        let (life, alone) = life::life(app, &service, replica.id).await?;
        say(format!("Service:     {}", service.name))?;
        say(format!("Replica:     {}", replica.id))?;
        say(format!("Name:        {}", replica.name))?;
        say(format!("Sync model:  {}, {}", replica.sync_model.name(), replica.direction.name()))?;
        say(format!("Created:     {} UTC", instant(replica.created_ms)))?;
        say(format!("Last sync:   {} UTC", instant(replica.last_sync_ms)))?;
        say(format!(
            "Owner:       {}",
            if replica.owner.is_empty() { "nobody in particular" } else { &replica.owner }
        ))?;
        say(format!("State:       {}", life.state(policy).name()))?;
        if let Some(ends) = life.ends_ms(policy) {
            let what = if life.expired_ms.is_some() { "Unregisters" } else { "Expires" };
            say(format!("{:12} {} UTC unless it synchronizes", format!("{what}:"), instant(ends)))?;
        }
        let more = if life.has_more { "more than " } else { "" };
        say(format!("Behind:      {more}{}", counted(life.n_behind, "change")))?;
        if !life.can_go_on {
            say("             the changes since its last synchronization are no longer kept: it needs a snapshot")?;
        }
        if let Some(alone) = alone {
            say(format!(
                "Keeps alone: {} over {}, which nobody else needs",
                counted(alone.n_changes, "change"),
                counted(alone.n_generations, "generation")
            ))?;
        }
        for layer in &replica.layers {
            let filter = layer.query.where_clause.as_deref().map(|text| format!(", where {text}")).unwrap_or_default();
            say(format!(
                "Layer {}:     {}, {}{filter}; has everything up to generation {}, was given {}",
                layer.layer.id,
                layer.layer.name,
                layer.query.option.name(),
                layer.presented,
                layer.given
            ))?;
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
pub(super) struct Unregistration {
    /// The replica's id, in any spelling
    #[arg(required_unless_present = "idle_days")]
    id: Option<String>,
    /// All replicas that have not synchronized for so many days
    #[arg(long, value_name = "N", conflicts_with = "id", value_parser = clap::value_parser!(i64).range(1..))]
    idle_days: Option<i64>,
    /// With --idle-days: only those of this service [default: all]
    #[arg(long, requires = "idle_days")]
    service: Option<String>,
    /// With --idle-days: change nothing; list the replicas
    #[arg(long, requires = "idle_days")]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Unregistration {
    async fn run(self, app: &App) -> Result<()> {
        match (&self.id, self.idle_days) {
            (Some(id), _) => One { id: id.clone(), json: self.json }.unregister(app).await,
            (None, Some(days)) => self.unregister_idle(app, days).await,
            (None, None) => Err(Error::invalid("id", "name a replica, or use --idle-days")),
        }
    }

    async fn unregister_idle(&self, app: &App, days: i64) -> Result<()> {
        let services = match &self.service {
            Some(name) => vec![app.store.service(name).await?],
            None => app.store.catalogue().services.clone(),
        };
        let mut done = Vec::new();
        for service in services {
            for life in life::unregister_idle(app, &service, days, self.dry_run).await? {
                done.push((service.name.clone(), life));
            }
        }
        let policy = app.config.policy();
        if self.json {
            let list: Json = done.iter().map(|(service, life)| shown(service, life, policy, None)).collect();
            return say(list.to_string());
        }
        if !done.is_empty() {
            print(done.iter().map(|(service, life)| (service.as_str(), life)), policy)?;
        }
        let verb = if self.dry_run { "would be" } else { were(done.len()) };
        say(format!("{} {verb} unregistered.", counted(done.len(), "replica")))
    }
}

impl One {
    async fn unregister(self, app: &App) -> Result<()> {
        let (service, replica) = self.find(app).await?;
        replica::unregister(app, &service, Unregister::One(replica.id)).await?;
        if self.json {
            return say(json!({"success": true, "replicaID": replica.id.to_string()}).to_string());
        }
        say(format!("Replica {} ({}) of service {} is unregistered.", replica.id, replica.name, service.name))
    }
}

#[derive(Debug, Args)]
pub(super) struct Expiry {
    /// The replica's id, in any spelling
    #[arg(required_unless_present = "service", conflicts_with = "service")]
    id: Option<String>,
    /// All replicas of this service that have no rule of their own
    #[arg(long)]
    service: Option<String>,
    /// It never expires
    #[arg(long, conflicts_with_all = ["days", "default"])]
    never: bool,
    /// It expires after so many days without a synchronization
    #[arg(long, value_name = "N", required_unless_present_any = ["never", "default"], value_parser = clap::value_parser!(i32).range(1..=36_500))]
    days: Option<i32>,
    /// It expires as its service, or as the settings say
    #[arg(long, conflicts_with = "days")]
    default: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Expiry {
    async fn run(self, app: &App) -> Result<()> {
        let (of, what) = match (&self.id, self.service) {
            (_, Some(service)) => {
                let what = format!("Replicas of service {service} without a rule of their own");
                (ExpiryOf::Service(service), what)
            }
            (id, None) => {
                let id = id.clone().unwrap_or_default();
                let parsed = ReplicaId::parse(&id).ok_or(Error::ReplicaNotFound { id })?;
                (ExpiryOf::Replicas(vec![parsed]), format!("Replica {parsed}"))
            }
        };
        let days = if self.never { Some(0) } else { self.days };
        console::set_expiry(app, &of, days).await?;
        if self.json {
            return say(json!({"success": true, "expireDays": days}).to_string());
        }
        match days {
            Some(0) => say(format!("{what}: never expires.")),
            Some(days) => say(format!("{what}: expires after {days} days without a synchronization.")),
            None => say(format!("{what}: expires as its service, or as the settings say.")),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Adoption {
    /// The replica's id, in any spelling
    #[arg(required_unless_present = "all")]
    id: Option<String>,
    /// All of them
    #[arg(long, conflicts_with = "id")]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Adoption {
    async fn run(self, app: &App) -> Result<()> {
        let id = match &self.id {
            None => None,
            Some(id) => Some(ReplicaId::parse(id).ok_or_else(|| Error::ReplicaNotFound { id: id.clone() })?),
        };
        let adopted = app.store.adopt(id).await?;
        if self.json {
            let ids: Json = adopted.iter().map(ReplicaId::to_string).collect();
            return say(json!({"adopted": ids}).to_string());
        }
        say(match (adopted.len(), &self.id) {
            (0, Some(id)) => format!(
                "Replica {id} is none that could be adopted; syncline replicas list shows those that are foreign."
            ),
            (n, _) => format!("{} {} adopted.", counted(n, "replica"), were(n)),
        })
    }
}
