//! `syncline definition`: what administrators say about services and layers.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value as Json};

use crate::{
    error::{Error, Result},
    model::definition::LayerChange,
    store::Store,
    wire::definition,
};

use super::{publish::layer_id, say};

#[derive(Debug, Subcommand)]
pub(super) enum DefinitionCommand {
    /// Print a definition as JSON, as `set` takes it
    Show(Show),
    /// Replace a definition by that in a file (JSON or TOML)
    Set(Set),
}

#[derive(Debug, Args)]
pub(super) struct Of {
    /// The service
    #[arg(long)]
    service: String,
    /// The id of the layer or table, or its table as schema.table [default: the service itself]
    #[arg(long, value_name = "ID|SCHEMA.TABLE")]
    layer: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    of: Of,
}

#[derive(Debug, Args)]
pub(super) struct Set {
    #[command(flatten)]
    of: Of,
    /// Change only what the file names; null takes something back
    #[arg(long)]
    merge: bool,
    /// The file
    file: PathBuf,
}

impl DefinitionCommand {
    pub(super) async fn run(self, store: &Store) -> Result<()> {
        match self {
            DefinitionCommand::Show(show) => show.run(store).await,
            DefinitionCommand::Set(set) => set.run(store).await,
        }
    }
}

impl Show {
    async fn run(self, store: &Store) -> Result<()> {
        let service = store.service(&self.of.service).await?;
        let document = match &self.of.layer {
            None => definition::service_document(&service)?,
            Some(named) => {
                let id = layer_id(&service, named)?;
                service.layer(id).map_or(Ok(Json::Null), |layer| definition::document(layer))?
            }
        };
        say(serde_json::to_string_pretty(&document).map_err(|error| Error::internal("writing a definition", error))?)
    }
}

impl Set {
    async fn run(self, store: &Store) -> Result<()> {
        let given = read(&self.file)?;
        let service = store.service(&self.of.service).await?;
        let Some(named) = &self.of.layer else {
            let wanted = if self.merge {
                definition::updated_service(&given, &service)?
            } else {
                definition::whole_service(&given)?
            };
            store.define_service(&service, &wanted).await?;
            return say(format!("The definition of service {} is as in {}.", service.name, self.file.display()));
        };
        let id = layer_id(&service, named)?;
        let Some(layer) = service.layer(id) else {
            return Err(Error::NotFound(format!("service {} has no layer {named}", service.name)));
        };
        let definition =
            if self.merge { definition::updated(&given, &service, layer)? } else { definition::whole(&given)? };
        for notice in store.define(&service, layer, &LayerChange { definition, ..LayerChange::default() }).await? {
            say(format!("note: {notice}"))?;
        }
        say(format!("The definition of layer {id} of service {} is as in {}.", service.name, self.file.display()))
    }
}

/// Reads a definition file.
pub(super) fn read(file: &std::path::Path) -> Result<Map<String, Json>> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Error::Unavailable(format!("the file {} cannot be read: {error}", file.display())))?;
    definition::file(&text)
}
