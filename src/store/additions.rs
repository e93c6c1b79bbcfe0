//! Layers and relationships that administrators add to a service, and relationships that they delete: all of a request, or nothing.

use sqlx::{PgConnection, Row as _};

use crate::{
    error::{Error, Result},
    model::{
        definition::{NewLayer, ServiceAdditions, ServiceDeletions},
        id::LayerId,
        layer::Service,
        rules::Rules,
    },
    sql::{definition::create_table, fragment::Ident},
};

use super::{
    Store,
    publish::{Publication, publish_in, run},
    relations::{add_attachments, forget, relate_in},
};

/// The schema of the tables of new layers in a service that has no layers yet.
const SCHEMA: &str = "public";

/// What was added.
#[derive(Debug, Default)]
pub(crate) struct Added {
    /// The layers: id, name, and whether they have geometries.
    pub(crate) layers: Vec<(LayerId, String, bool)>,
    /// The relationships: id and name.
    pub(crate) relationships: Vec<(i32, String)>,
    /// What somebody should know.
    pub(crate) notices: Vec<String>,
}

impl Store {
    /// Makes tables and publishes them, and declares relationships between layers that were there before.
    pub(crate) async fn add_to_service(&self, service: &Service, additions: &ServiceAdditions) -> Result<Added> {
        let mut session = self.session().await?;
        let mut tx = session.own().await?;
        let mut added = Added::default();
        for declared in &additions.relationships {
            added.relationships.push(relate_in(tx.connection(), service, declared).await?);
        }
        let schema = service.layers.first().map_or(SCHEMA, |layer| layer.table_schema.as_str());
        for layer in &additions.layers {
            let id = add_layer(tx.connection(), service, schema, layer).await?;
            added.layers.push((id, layer.name.clone(), layer.shape.is_some()));
            added.notices.push(format!("layer {id} ({}) is table {schema}.{}", layer.name, layer.table));
        }
        tx.commit().await?;
        self.reload().await?;
        Ok(added)
    }

    /// Forgets relationships.
    pub(crate) async fn delete_from_service(&self, service: &Service, deletions: &ServiceDeletions) -> Result<()> {
        let mut session = self.session().await?;
        let mut tx = session.own().await?;
        for id in &deletions.relationships {
            forget(tx.connection(), service, *id).await?;
        }
        tx.commit().await?;
        self.reload().await
    }
}

async fn add_layer(
    connection: &mut PgConnection,
    service: &Service,
    schema: &str,
    layer: &NewLayer,
) -> Result<LayerId> {
    let invalid = |problem: String| Error::invalid("addToDefinition", format!("layer '{}': {problem}", layer.name));
    let row = sqlx::query("-- table_exists\nselect to_regclass($1) is not null, $2::int is null or exists (select from spatial_ref_sys where srid = $2)")
        .bind(Ident::qualified(schema, &layer.table).as_str())
        .bind(layer.shape.as_ref().map(|shape| shape.srid))
        .fetch_one(&mut *connection)
        .await?;
    if row.try_get(0)? {
        return Err(invalid(format!(
            "table {schema}.{} exists already; choose another name, or publish the table as it is with syncline publish",
            layer.table
        )));
    }
    if !row.try_get::<bool, _>(1)? {
        return Err(invalid("the database does not know its spatial reference".to_owned()));
    }
    run(connection, &create_table(schema, layer)).await?;
    let publication = Publication {
        service: service.name.clone(),
        table_schema: schema.to_owned(),
        table_name: layer.table.clone(),
        layer_name: Some(layer.name.clone()),
    };
    let (published, made) = publish_in(connection, &publication, &layer.definition, false).await?;
    let fitting = Rules::resolve(&layer.definition, &made, service.capabilities, true);
    if !fitting.problems.is_empty() {
        return Err(invalid(fitting.problems.join("; ")));
    }
    if let Some(wanted) = layer.id.filter(|wanted| *wanted != published.layer_id) {
        return Err(invalid(format!(
            "it asks for the id {wanted}, and the next one is {}; leave id out, or give that",
            published.layer_id
        )));
    }
    if layer.attachments {
        add_attachments(connection, service.key, made).await?;
    }
    Ok(published.layer_id)
}
