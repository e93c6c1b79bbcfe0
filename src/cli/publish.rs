//! `syncline publish` and `syncline unpublish`

use clap::Args;

use crate::{
    error::{Error, Result},
    model::id::LayerId,
    store::{Store, publish::Publication},
};

use super::say;

#[derive(Debug, Args)]
pub(super) struct Publish {
    /// The service; made if it does not exist
    #[arg(long)]
    service: String,
    /// The table, as schema.table
    #[arg(long, value_name = "SCHEMA.TABLE")]
    table: String,
    /// The name of the layer [default: the table's]
    #[arg(long)]
    layer_name: Option<String>,
    /// Change nothing; print the SQL that would run
    #[arg(long)]
    dry_run: bool,
}

impl Publish {
    pub(super) async fn run(self, store: &Store) -> Result<()> {
        let (schema, table) = split(&self.table);
        let publication =
            Publication { service: self.service, table_schema: schema, table_name: table, layer_name: self.layer_name };
        let published = store.publish(&publication, self.dry_run).await?;
        if self.dry_run {
            for notice in &published.notices {
                say(format!("-- {notice}"))?;
            }
            say(
                "-- What publishing would run, beside entering the layer into Syncline's catalogue; numbers in names are examples.",
            )?;
            say("begin;")?;
            for statement in &published.statements {
                say(format!("{};", statement.text()))?;
            }
            return say("commit;");
        }
        for notice in &published.notices {
            say(format!("note: {notice}"))?;
        }
        say(format!(
            "Published {} as layer {} of service {}: /arcgis/rest/services/{}/FeatureServer/{}",
            self.table, published.layer_id, published.service, published.service, published.layer_id
        ))
    }
}

/// `schema.table`, or a table of the schema `public`.
pub(super) fn split(name: &str) -> (String, String) {
    match name.split_once('.') {
        Some((schema, table)) => (schema.to_owned(), table.to_owned()),
        None => ("public".to_owned(), name.to_owned()),
    }
}

#[derive(Debug, Args)]
pub(super) struct Unpublish {
    /// The service
    #[arg(long)]
    service: String,
    /// The id of the layer or table, or its table as schema.table
    #[arg(long, value_name = "ID|SCHEMA.TABLE")]
    layer: String,
    /// Unregister the replicas that hold the layer
    #[arg(long)]
    force: bool,
}

impl Unpublish {
    pub(super) async fn run(self, store: &Store) -> Result<()> {
        let service = store.service(&self.service).await?;
        let (schema, table) = split(&self.layer);
        let layer = service
            .layers
            .iter()
            .find(|layer| {
                layer.id.to_string() == self.layer || (layer.table_schema == schema && layer.table_name == table)
            })
            .ok_or_else(|| Error::NotFound(format!("service {} has no layer {}", service.name, self.layer)))?;
        let (id, table): (LayerId, String) = (layer.id, format!("{}.{}", layer.table_schema, layer.table_name));
        store.unpublish(&service.name, id, self.force).await?;
        say(format!(
            "Layer {id} of service {} is no longer published; table {table} and its rows stay as they are.",
            service.name
        ))
    }
}
