//! `syncline jobs`

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde_json::Value as Json;

use crate::{
    app::App,
    error::{Error, Result},
    jobs,
    model::{
        job::{Job, JobId},
        layer::Service,
        value::brief,
    },
    wire::job::{list_item, status},
};

use super::{replicas::instant, say};

#[derive(Debug, Subcommand)]
pub(super) enum Jobs {
    /// List the jobs of a service, or of all, the newest first
    List(List),
    /// Show one job
    Show(One),
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
    /// The job's id
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Jobs {
    pub(super) async fn run(self, app: &App) -> Result<()> {
        match self {
            Jobs::List(list) => list.run(app).await,
            Jobs::Show(one) => one.show(app).await,
        }
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
            for job in jobs::list(app, &service).await? {
                all.push((service.name.clone(), job));
            }
        }
        if self.json {
            let mut list = Vec::with_capacity(all.len());
            for (service, job) in &all {
                let mut item = list_item(job);
                item["service"] = service.as_str().into();
                list.push(item);
            }
            return say(Json::Array(list).to_string());
        }
        if all.is_empty() {
            return say("No jobs.");
        }
        let wide = all.iter().map(|(service, _)| service.chars().count()).max().unwrap_or(0).max("Service".len());
        say(format!("{:wide$}  {:33}  {:18}  {:19}  Submitted (UTC)", "Service", "Job", "Operation", "Status"))?;
        for (service, job) in &all {
            say(format!(
                "{service:wide$}  {:33}  {:18}  {:19}  {}",
                job.id.to_string(),
                job.operation.name(),
                job.state.name(),
                instant(job.submitted_ms)
            ))?;
        }
        Ok(())
    }
}

impl One {
    /// The job, and the service that has it.
    async fn find(&self, app: &App) -> Result<(Arc<Service>, Job)> {
        if let Some(id) = JobId::parse(&self.id) {
            for service in &app.store.catalogue().services {
                if let Some(job) = jobs::find(app, service, id).await? {
                    return Ok((service.clone(), job));
                }
            }
        }
        Err(Error::NotFound(format!("there is no job '{}'; syncline jobs list names them", brief(&self.id))))
    }

    async fn show(self, app: &App) -> Result<()> {
        let (service, job) = self.find(app).await?;
        let shown = status(&job, &service.name)?;
        if self.json {
            return say(shown.to_string());
        }
        say(format!("Service:     {}", service.name))?;
        say(format!("Job:         {}", job.id))?;
        say(format!("Operation:   {}", job.operation.name()))?;
        say(format!("Status:      {}", job.state.name()))?;
        say(format!("Begun:       {} times", job.attempts))?;
        say(format!("Submitted:   {} UTC", instant(job.submitted_ms)))?;
        say(format!("Last news:   {} UTC", instant(job.updated_ms)))?;
        if let (Some(rows), Some(layer)) = (shown["progress"]["rows"].as_u64(), shown["progress"]["layer"].as_i64()) {
            say(format!("Progress:    {rows} rows, now of layer {layer}"))?;
        }
        if let Some(url) = shown["resultUrl"].as_str().filter(|url| !url.is_empty()) {
            let size = shown["resultSize"].as_u64().map_or("deleted".to_owned(), |size| format!("{size} bytes"));
            say(format!("Result:      {url}, {size}"))?;
        }
        if let Some(message) = shown["error"]["message"].as_str() {
            say(format!("Error:       {message}"))?;
            for detail in shown["error"]["details"].as_array().into_iter().flatten().filter_map(Json::as_str) {
                say(format!("             {detail}"))?;
            }
        }
        Ok(())
    }
}
