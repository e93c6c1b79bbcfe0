//! Publishing tables: finding out what a table is, adding what tracking needs, and taking it away again.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::{
    error::{Error, Result},
    model::{
        capability::Capabilities,
        definition::Definition,
        guard::Guard,
        id::{LayerId, LayerKey, ServiceKey},
        layer::{Field, Layer},
    },
    sql::publish::{Ddl, track},
};

use super::{
    Store,
    candidates::refuse_reserved,
    definition,
    gaps::note_tracking,
    inspect::{Table, inspect},
    relations::relate_by_foreign_keys,
};

/// What is to be published where.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The service; made if it does not exist.
    pub service: String,
    /// The schema of the table.
    pub table_schema: String,
    /// The table.
    pub table_name: String,
    /// The name of the layer; the table's if `None`.
    pub layer_name: Option<String>,
}

/// What publishing did, or would do.
#[derive(Debug)]
pub struct Published {
    /// The service, in its own spelling.
    pub service: String,
    /// The id of the layer within the service.
    pub layer_id: LayerId,
    /// The statements that changed the database.
    pub statements: Vec<Ddl>,
    /// What somebody should know, such as columns that are not published.
    pub notices: Vec<String>,
}

impl Store {
    /// Publishes a table of the database in place, in one transaction. With `dry_run` nothing is changed, and the
    /// statements are what would have been done.
    pub async fn publish(&self, publication: &Publication, dry_run: bool) -> Result<Published> {
        self.publish_as(publication, &Definition::default(), dry_run).await
    }

    /// Publishes a table as [`Store::publish`] does, with a definition.
    pub async fn publish_as(
        &self,
        publication: &Publication,
        definition: &Definition,
        dry_run: bool,
    ) -> Result<Published> {
        check_service_name(&publication.service)?;
        refuse_reserved(&publication.table_schema, &publication.table_name)?;
        let mut session = self.session().await?;
        let mut tx = session.own().await?;
        let (published, _) = publish_in(tx.connection(), publication, definition, dry_run).await?;
        if !dry_run {
            tx.commit().await?;
            self.reload().await?;
        }
        Ok(published)
    }
}

/// Publishes a table within a transaction, and gives the layer that it made, which knows nothing of its definition. With `dry_run`,
/// the transaction must be undone.
pub(super) async fn publish_in(
    connection: &mut PgConnection,
    publication: &Publication,
    definition: &Definition,
    dry_run: bool,
) -> Result<(Published, Layer)> {
    let mut table = inspect(connection, &publication.table_schema, &publication.table_name).await?;
    let mut statements = table.complete();
    let (service_key, service, layer_id) = claim_layer_id(connection, &publication.service).await?;
    let name = publication.layer_name.clone().unwrap_or_else(|| publication.table_name.clone());
    let layer = register(connection, service_key, Some(layer_id), None, name, &table).await?;
    statements.extend(track(service_key, &layer));
    let related = relate_by_foreign_keys(connection, service_key, &layer).await?;
    statements.extend(related.statements);
    table.notices.extend(related.notices);
    if !dry_run {
        for statement in &statements {
            run(connection, statement).await?;
        }
        note_tracking(connection, layer.key).await?;
        if *definition != Definition::default() {
            definition::save(connection, Capabilities::default(), &layer, definition).await?;
        }
    }
    Ok((Published { service, layer_id, statements, notices: table.notices }, layer))
}

/// Names become part of URLs, and are compared without case.
fn check_service_name(name: &str) -> Result<()> {
    let fits = !name.is_empty()
        && name.len() <= 120
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' '))
        && !name.starts_with(['.', ' '])
        && !name.ends_with(' ');
    if fits {
        return Ok(());
    }
    Err(Error::invalid(
        "service",
        format!("'{name}' cannot be the name of a service: use letters, digits, '_', '-' and '.', at most 120"),
    ))
}

pub(super) async fn run(connection: &mut PgConnection, statement: &Ddl) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statement.text().to_owned())).execute(connection).await.map(|_| ()).map_err(|error| {
        match &error {
            // Somebody has the table locked, which is said as ever.
            sqlx::Error::Database(database) if database.code().as_deref() != Some("55P03") => {
                Error::Unavailable(format!("{database}, while running: {}", statement.text()))
            }
            _ => Error::from(error),
        }
    })
}

async fn claim_layer_id(connection: &mut PgConnection, service: &str) -> Result<(ServiceKey, String, LayerId)> {
    let row = sqlx::query(
        "-- service_claim_layer_id
         insert into syncline.service (name, next_layer_id) values ($1, 1)
         on conflict (lower(name)) do update set next_layer_id = service.next_layer_id + 1
         returning service_id, name, next_layer_id - 1",
    )
    .bind(service)
    .fetch_one(connection)
    .await?;
    Ok((ServiceKey(row.try_get(0)?), row.try_get(1)?, LayerId(row.try_get(2)?)))
}

/// Enters a layer and its fields into the catalogue; one with an id of its own, or the attachments of another.
pub(super) async fn register(
    connection: &mut PgConnection,
    service: ServiceKey,
    id: Option<LayerId>,
    attached_to: Option<&Layer>,
    name: String,
    table: &Table,
) -> Result<Layer> {
    let (Some(object_id), Some(global_id)) = (table.object_id, table.global_id) else {
        return Err(Error::internal("registering a layer", "its keys were not completed"));
    };
    let shape = table.shape.as_ref();
    let row = sqlx::query(
        "-- layer_insert
         insert into syncline.layer (service_id, layer_id, name, table_schema, table_name, object_id_column, global_id_column,
           geometry_column, geometry_type, geometry_multi, srid, has_z, has_m, attached_to)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) returning layer_key",
    )
    .bind(service.0)
    .bind(id.map(|id| id.0))
    .bind(&name)
    .bind(&table.schema)
    .bind(&table.name)
    .bind(&table.fields[object_id].name)
    .bind(&table.fields[global_id].name)
    .bind(shape.map(|shape| shape.column.clone()))
    .bind(shape.map(|shape| shape.geometry_type.name()))
    .bind(shape.is_some_and(|shape| shape.multi))
    .bind(shape.map(|shape| shape.srid))
    .bind(shape.is_some_and(|shape| shape.dimensions.z))
    .bind(shape.is_some_and(|shape| shape.dimensions.m))
    .bind(attached_to.map(|features| features.key.0))
    .fetch_one(&mut *connection)
    .await?;
    let key = LayerKey(row.try_get(0)?);
    insert_fields(connection, key, &table.fields).await?;
    Ok(Layer {
        key,
        id: id.or(attached_to.map(|features| features.id)).unwrap_or(LayerId(0)),
        attachments: None,
        attached_to: attached_to.map(|features| features.key),
        name,
        table_schema: table.schema.clone(),
        table_name: table.name.clone(),
        shape: table.shape.clone(),
        fields: table.fields.clone(),
        object_id,
        global_id,
        alters_rows: false,
        definition: Arc::default(),
        rules: Arc::default(),
        guard: Guard::default(),
    })
}

/// Enters the fields of a layer into the catalogue.
pub(super) async fn insert_fields(connection: &mut PgConnection, key: LayerKey, fields: &[Field]) -> Result<()> {
    for (position, field) in fields.iter().enumerate() {
        sqlx::query(
            "-- field_insert
             insert into syncline.field (layer_key, position, name, alias, field_type, column_type, length, nullable, has_default, generated)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(key.0)
        .bind(i32::try_from(position).unwrap_or(i32::MAX))
        .bind(&field.name)
        .bind(&field.alias)
        .bind(field.field_type.name())
        .bind(&field.column_type)
        .bind(field.length.and_then(|length| i32::try_from(length).ok()))
        .bind(field.nullable)
        .bind(field.has_default)
        .bind(field.generated)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
