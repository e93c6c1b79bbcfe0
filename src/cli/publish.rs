//! `syncline publish` and `syncline unpublish`

use std::path::{Path, PathBuf};

use clap::Args;

use crate::{
    auth::rights,
    error::{Error, Result},
    model::{account::Grantee, definition::Definition, id::LayerId, layer::Service, principal::Access},
    store::{Store, publish::Publication},
    wire::definition,
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
    /// Let its features have attachments
    #[arg(long)]
    attachments: bool,
    /// What everybody may do with the service, without saying who they are: none, view or edit [default: what the settings say]
    #[arg(long, value_name = "ACCESS")]
    anonymous: Option<String>,
    /// What is to be said about the layer: a definition file (JSON or TOML)
    #[arg(long, value_name = "FILE")]
    definition: Option<PathBuf>,
    /// Change nothing; print the SQL that would run
    #[arg(long)]
    dry_run: bool,
}

impl Publish {
    pub(super) async fn run(self, store: &Store) -> Result<()> {
        let (schema, table) = split(&self.table);
        // Known to be wrong before anything is done.
        let anonymous = self.anonymous.as_deref().map(everybody).transpose()?;
        let publication =
            Publication { service: self.service, table_schema: schema, table_name: table, layer_name: self.layer_name };
        let definition = read_definition(self.definition.as_deref())?;
        let published = store.publish_as(&publication, &definition, self.dry_run).await?;
        if self.attachments && !self.dry_run {
            store.enable_attachments(&published.service, published.layer_id).await?;
        }
        if let (Some(access), false) = (anonymous, self.dry_run) {
            let service = store.service(&published.service).await?;
            rights::grant(store, &service, &Grantee::Anonymous, Some(access)).await?;
        }
        if self.dry_run {
            if self.attachments {
                say(
                    "-- note: a table for the attachments is made in the schema syncline, with triggers like the ones below",
                )?;
            }
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

/// Reads what everybody may do.
fn everybody(text: &str) -> Result<Access> {
    Access::from_name(text)
        .filter(|access| *access <= Access::Edit)
        .ok_or_else(|| Error::invalid("anonymous", format!("'{text}' is none of none, view, edit")))
}

/// The definition in a file, if there is one.
pub(super) fn read_definition(file: Option<&Path>) -> Result<Definition> {
    file.map_or_else(|| Ok(Definition::default()), |file| definition::whole(&super::definition::read(file)?))
}

/// `schema.table`, or a table of the schema `public`.
pub(super) fn split(name: &str) -> (String, String) {
    match name.split_once('.') {
        Some((schema, table)) => (schema.to_owned(), table.to_owned()),
        None => ("public".to_owned(), name.to_owned()),
    }
}

/// The layer that a person names by its id, its table, or its own name if only one has it.
pub(super) fn layer_id(service: &Service, named: &str) -> Result<LayerId> {
    let (schema, table) = split(named);
    let known = || service.layers.iter();
    let mut called = known().filter(|layer| layer.name == named);
    let found = known()
        .find(|layer| layer.id.to_string() == named || (layer.table_schema == schema && layer.table_name == table))
        .or_else(|| called.next().filter(|_| called.next().is_none()));
    found.map(|layer| layer.id).ok_or_else(|| {
        let known: Vec<String> =
            known().map(|layer| format!("{} ({}.{})", layer.id, layer.table_schema, layer.table_name)).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Error::NotFound(format!("service {} has no layer {named}; there is {known}", service.name))
    })
}

#[derive(Debug, Args)]
pub(super) struct Unpublish {
    /// The service
    #[arg(long)]
    service: String,
    /// The id of the layer or table, or its table as schema.table
    #[arg(long, value_name = "ID|SCHEMA.TABLE")]
    layer: String,
    /// Do it although replicas that hold it, attachments or open refused edits and conflicts are lost
    #[arg(long)]
    force: bool,
    /// Change nothing; say what would be lost
    #[arg(long)]
    dry_run: bool,
}

impl Unpublish {
    pub(super) async fn run(self, store: &Store) -> Result<()> {
        let service = store.service(&self.service).await?;
        let id = layer_id(&service, &self.layer)?;
        let layer = service.layer(id).ok_or_else(|| Error::NotFound(format!("there is no layer {id}")))?;
        if self.dry_run {
            let told = store.unpublish_preview(&service, layer).await?.told();
            return say(match told.is_empty() {
                true => {
                    format!("Of layer {id} of service {}, only its history and definition would be lost.", service.name)
                }
                false => format!("With layer {id} of service {} would be lost: {}.", service.name, told.join(", ")),
            });
        }
        let told = store.unpublish(&service.name, id, self.force).await?.told();
        let lost = if told.is_empty() { String::new() } else { format!(" Lost with it: {}.", told.join(", ")) };
        say(format!(
            "Layer {id} of service {} is no longer published; table {}.{} and its rows stay as they are.{lost}",
            service.name, layer.table_schema, layer.table_name
        ))
    }
}

#[derive(Debug, Args)]
pub(super) struct Repair {
    /// The service
    #[arg(long)]
    service: String,
    /// The id of the layer or table, or its table as schema.table
    #[arg(long, value_name = "ID|SCHEMA.TABLE")]
    layer: String,
    /// Change nothing; print the SQL that would run
    #[arg(long)]
    dry_run: bool,
}

impl Repair {
    pub(super) async fn run(self, store: &Store) -> Result<()> {
        let service = store.service(&self.service).await?;
        let id = layer_id(&service, &self.layer)?;
        let repaired = store.repair(&service.name, id, self.dry_run).await?;
        let mark = if self.dry_run { "--" } else { "note:" };
        for notice in &repaired.notices {
            say(format!("{mark} {notice}"))?;
        }
        if repaired.statements.is_empty() {
            return say(format!("Layer {} of service {} needs no repair.", repaired.layer_id, repaired.service));
        }
        if self.dry_run {
            say("begin;")?;
            for statement in &repaired.statements {
                say(format!("{};", statement.text()))?;
            }
            return say("commit;");
        }
        say(match repaired.history_from {
            None => format!(
                "Layer {} of service {} is as its table is now. Replicas go on as before.",
                repaired.layer_id, repaired.service
            ),
            Some(generation) => format!(
                "Layer {} of service {} is as its table is now. Its history begins anew at generation {generation}: clients have to \
                 synchronize once with syncDirection=snapshot, or create their replicas again. What they have edited can be uploaded before.",
                repaired.layer_id, repaired.service
            ),
        })
    }
}
