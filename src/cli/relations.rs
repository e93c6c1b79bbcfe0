//! `syncline relate`, `syncline unrelate` and `syncline attachments`

use clap::Args;

use crate::{
    error::{Error, Result},
    model::{definition::Declaration, id::LayerId},
    store::Store,
};

use super::{publish::layer_id, say};

#[derive(Debug, Args)]
pub(super) struct Relate {
    /// The service
    #[arg(long)]
    service: String,
    /// The layer of the rows that others belong to, and its unique key
    #[arg(long, value_name = "LAYER.FIELD")]
    origin: String,
    /// The layer of the rows that belong, and the field that holds the key
    #[arg(long, value_name = "LAYER.FIELD")]
    destination: String,
    /// The name of the relationship [default: the layers']
    #[arg(long)]
    name: Option<String>,
}

impl Relate {
    pub(super) async fn run(self, store: &Store) -> Result<()> {
        let declared = Declaration {
            name: self.name.clone(),
            origin: end("origin", &self.origin)?,
            destination: end("destination", &self.destination)?,
        };
        let id = store.relate(&self.service, &declared).await?;
        say(format!("Relationship {id}: rows of {} belong to rows of {}.", self.destination, self.origin))
    }
}

/// `0.globalid`
fn end(name: &'static str, text: &str) -> Result<(LayerId, String)> {
    text.split_once('.')
        .and_then(|(layer, field)| Some((LayerId(layer.parse().ok()?), field.to_owned())))
        .filter(|(_, field)| !field.is_empty())
        .ok_or_else(|| Error::invalid(name, format!("'{text}' is not the id of a layer and a field, as in 0.globalid")))
}

#[derive(Debug, Args)]
pub(super) struct Unrelate {
    /// The service
    #[arg(long)]
    service: String,
    /// The id of the relationship
    #[arg(long)]
    id: i32,
}

impl Unrelate {
    pub(super) async fn run(self, store: &Store) -> Result<()> {
        store.unrelate(&self.service, self.id).await?;
        say(format!("Relationship {} of service {} is forgotten; no row was changed.", self.id, self.service))
    }
}

#[derive(Debug, Args)]
pub(super) struct Attachments {
    /// The service
    #[arg(long)]
    service: String,
    /// The id of the layer or table, or its table as schema.table
    #[arg(long, value_name = "ID|SCHEMA.TABLE")]
    layer: String,
}

impl Attachments {
    pub(super) async fn run(self, store: &Store) -> Result<()> {
        let service = store.service(&self.service).await?;
        let id = layer_id(&service, &self.layer)?;
        say(match store.enable_attachments(&service.name, id).await? {
            true => format!("Features of layer {id} of service {} may have attachments now.", service.name),
            false => format!("Features of layer {id} of service {} may have attachments already.", service.name),
        })
    }
}
