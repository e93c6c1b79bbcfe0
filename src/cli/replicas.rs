//! `syncline replicas`

use std::{path::PathBuf, sync::Arc};

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use crate::{
    app::App,
    config::Config,
    error::{Error, Result},
    files::Files,
    model::{id::ReplicaId, layer::Service, replica::Replica},
    replica,
    store::Store,
    wire::{
        import::Source,
        params::Params,
        replica::{Unregister, info},
    },
};

use super::say;

#[derive(Debug, Subcommand)]
pub(super) enum Replicas {
    /// List the replicas of a service, or of all
    List(List),
    /// Show one replica
    Show(One),
    /// Forget a replica; its client must create a new one
    Unregister(One),
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
    pub(super) async fn run(self, store: &Arc<Store>, config: &Config) -> Result<()> {
        let app =
            App { store: store.clone(), files: Files::open(&config.data).await?, config: Arc::new(config.clone()) };
        match self {
            Replicas::List(list) => list.run(&app).await,
            Replicas::Show(one) => one.show(&app).await,
            Replicas::Unregister(one) => one.unregister(&app).await,
            Replicas::Import(import) => import.run(&app).await,
        }
    }
}

impl Import {
    async fn run(self, app: &App) -> Result<()> {
        let service = app.store.service(&self.service).await?;
        let imported = replica::import(app, &service, Params::new(), Source::File(self.file)).await?;
        if self.json {
            return say(imported.to_string());
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
            say(format!("Layer {}: {} features loaded.", layer["id"], layer["count"]))?;
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
        let mut all = Vec::new();
        for service in services {
            for replica in replica::list(app, &service).await? {
                all.push((service.name.clone(), replica));
            }
        }
        if self.json {
            let list: Json = all.iter().map(|(service, replica)| {
                json!({"service": service, "replicaID": replica.id.to_string(), "replicaName": replica.name, "lastSyncDate": replica.last_sync_ms})
            }).collect();
            return say(list.to_string());
        }
        if all.is_empty() {
            return say("No replicas.");
        }
        let width = |of: fn(&(String, Replica)) -> usize| all.iter().map(of).max().unwrap_or(0);
        let (wide_service, wide_name) =
            (width(|(service, _)| service.chars().count()), width(|(_, replica)| replica.name.chars().count()));
        say(format!("{:wide_service$}  {:36}  {:wide_name$}  Last sync (UTC)", "Service", "Replica", "Name"))?;
        for (service, replica) in &all {
            say(format!(
                "{service:wide_service$}  {}  {:wide_name$}  {}",
                replica.id,
                replica.name,
                instant(replica.last_sync_ms)
            ))?;
        }
        Ok(())
    }
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
        let shown = info(&replica);
        if self.json {
            return say(shown.to_string());
        }
        say(format!("Service:     {}", service.name))?;
        say(format!("Replica:     {}", replica.id))?;
        say(format!("Name:        {}", replica.name))?;
        say(format!("Sync model:  {}, {}", replica.sync_model.name(), replica.direction.name()))?;
        say(format!("Created:     {} UTC", instant(replica.created_ms)))?;
        say(format!("Last sync:   {} UTC", instant(replica.last_sync_ms)))?;
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

    async fn unregister(self, app: &App) -> Result<()> {
        let (service, replica) = self.find(app).await?;
        replica::unregister(app, &service, Unregister::One(replica.id)).await?;
        if self.json {
            return say(json!({"success": true, "replicaID": replica.id.to_string()}).to_string());
        }
        say(format!("Replica {} ({}) of service {} is unregistered.", replica.id, replica.name, service.name))
    }
}
