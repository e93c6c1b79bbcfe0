//! Changing definitions, and what of a table they change with them.

use sqlx::{AssertSqlSafe, PgConnection, Row as _, types::Json};

use crate::{
    error::{Error, Result},
    model::{
        capability::Capabilities,
        definition::{Definition, FieldDefinition, LayerChange, ServiceDefinition},
        id::LayerKey,
        layer::{Layer, Service},
        rules::Rules,
        value::brief,
    },
    sql::{
        definition::{add_column, add_index, drop_column, drop_default, drop_index},
        publish::Ddl,
    },
};

use super::{
    Store,
    inspect::describe,
    repair::{Repaired, lock, repair_tracked},
};

/// The largest definition of a layer. Documents of layers and answers to queries hold parts of it.
const MAX_DEFINITION_BYTES: usize = 4 << 20;

impl Store {
    /// Gives a service another definition. `service` is what the definition was worked out for: if somebody else has changed
    /// it meanwhile, nothing is done.
    pub async fn define_service(&self, service: &Service, definition: &ServiceDefinition) -> Result<()> {
        if let Some(Err(problem)) = definition.capabilities.as_deref().map(Capabilities::parse) {
            return Err(Error::invalid("definition", format!("capabilities: {problem}")));
        }
        let mut session = self.session().await?;
        let mut tx = session.own().await?;
        let row = sqlx::query(
            "-- service_definition_lock\nselect definition from syncline.service where service_id = $1 for no key update",
        )
        .bind(service.key.0)
        .fetch_one(tx.connection())
        .await?;
        if row.try_get::<Json<ServiceDefinition>, _>(0)?.0 != service.definition {
            return Err(changed_meanwhile());
        }
        let document = definition.document().map_err(|error| Error::internal("writing a definition", error))?;
        sqlx::query("-- service_define\nupdate syncline.service set definition = $2 where service_id = $1")
            .bind(service.key.0)
            .bind(document)
            .execute(tx.connection())
            .await?;
        tx.commit().await?;
        self.reload().await
    }

    /// Gives a layer another definition, and its table what that says of columns and indexes, in one transaction. `layer` is
    /// what the change was worked out for: if somebody else has changed it meanwhile, nothing is done. Returns what somebody
    /// should know.
    pub async fn define(&self, service: &Service, layer: &Layer, change: &LayerChange) -> Result<Vec<String>> {
        let mut session = self.session().await?;
        let mut tx = session.own().await?;
        let connection = tx.connection();
        let row = sqlx::query(
            "-- layer_definition_lock\nselect definition from syncline.layer where layer_key = $1 for no key update",
        )
        .bind(layer.key.0)
        .fetch_one(&mut *connection)
        .await?;
        if row.try_get::<Json<Definition>, _>(0)?.0 != *layer.definition {
            return Err(changed_meanwhile());
        }
        let mut notices = Vec::new();
        if !change.new_fields.is_empty() || !change.dropped_fields.is_empty() {
            notices = change_columns(connection, service, layer, change).await?;
        }
        change_indexes(connection, layer, change).await?;
        save(connection, service.capabilities, layer, &change.definition).await?;
        tx.commit().await?;
        self.reload().await?;
        Ok(notices)
    }
}

fn changed_meanwhile() -> Error {
    Error::Unavailable("somebody else has changed the definition meanwhile; look at it, and try again".to_owned())
}

/// Holds a definition against the table as it is in this transaction, and stores it. Any problem is an error.
pub(super) async fn save(
    connection: &mut PgConnection,
    service: Capabilities,
    before: &Layer,
    definition: &Definition,
) -> Result<()> {
    let mut table = describe(connection, &before.table_schema, &before.table_name, before.shape.as_ref()).await?;
    table.complete();
    let layer = table.as_layer(before)?;
    let rules = Rules::resolve(definition, &layer, service, true);
    if !rules.problems.is_empty() {
        return Err(Error::invalid("definition", rules.problems.join("; ")));
    }
    change_defaults(connection, &layer, &before.definition, definition).await?;
    let document = definition.document().map_err(|error| Error::internal("writing a definition", error))?;
    if document.to_string().len() > MAX_DEFINITION_BYTES {
        return Err(Error::TooLarge { what: "the definition", limit: format!("{} MiB", MAX_DEFINITION_BYTES >> 20) });
    }
    sqlx::query("-- layer_define\nupdate syncline.layer set definition = $2 where layer_key = $1")
        .bind(layer.key.0)
        .bind(document)
        .execute(connection)
        .await?;
    Ok(())
}

/// Runs a statement whose failure is a mistake of whoever changed the definition, unless it had to wait for too long.
async fn run_for(connection: &mut PgConnection, statement: &Ddl) -> Result<()> {
    match sqlx::raw_sql(AssertSqlSafe(statement.text().to_owned())).execute(connection).await {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) if !matches!(error.code().as_deref(), Some("55P03" | "40P01" | "57014")) => {
            Err(Error::invalid("definition", format!("{error}, while running: {}", statement.text())))
        }
        Err(error) => Err(error.into()),
    }
}

/// Adds and drops columns, and lets tracking know.
async fn change_columns(
    connection: &mut PgConnection,
    service: &Service,
    layer: &Layer,
    change: &LayerChange,
) -> Result<Vec<String>> {
    // Whoever reads the table for long is not waited for with everybody else waiting behind.
    sqlx::query("-- lock_limit\nset local lock_timeout = '10s'").execute(&mut *connection).await?;
    lock(connection, layer).await?;
    if !change.dropped_fields.is_empty() && !change.force {
        refuse_while_held(connection, layer).await?;
    }
    for field in &change.new_fields {
        if layer.field_index(&field.name).is_some()
            || layer.shape.as_ref().is_some_and(|shape| shape.column.eq_ignore_ascii_case(&field.name))
        {
            return Err(Error::invalid("fields", format!("{} has a field '{}' already", layer.name, field.name)));
        }
        run_for(connection, &add_column(layer, field)).await?;
    }
    for name in &change.dropped_fields {
        let index = layer
            .field_index(name)
            .ok_or_else(|| Error::invalid("fields", format!("{} has no field '{}'", layer.name, brief(name))))?;
        let is_end = |relationship: &crate::model::layer::Relationship| {
            (relationship.origin, relationship.origin_field) == (layer.key, index)
                || (relationship.destination, relationship.destination_field) == (layer.key, index)
        };
        if index == layer.object_id || index == layer.global_id {
            return Err(Error::invalid("fields", format!("field '{name}' is a key of the layer, which cannot go")));
        }
        if let Some(relationship) = service.relationships.iter().find(|relationship| is_end(relationship)) {
            return Err(Error::invalid(
                "fields",
                format!(
                    "field '{name}' holds the keys of relationship {} ({}); forget that first, with syncline unrelate",
                    relationship.id, relationship.name
                ),
            ));
        }
        run_for(connection, &drop_column(layer, &layer.fields[index].name)).await?;
    }
    let mut repaired = Repaired {
        service: service.name.clone(),
        layer_id: layer.id,
        notices: Vec::new(),
        statements: Vec::new(),
        history_from: None,
    };
    repair_tracked(connection, service, layer, false, &mut repaired).await?;
    if let Some(generation) = repaired.history_from {
        repaired.notices.push(format!("the history of the layer begins anew at generation {generation}"));
    }
    Ok(repaired.notices)
}

/// A column that goes breaks the history, and every replica has to take all rows anew.
async fn refuse_while_held(connection: &mut PgConnection, layer: &Layer) -> Result<()> {
    let row = sqlx::query(
        "-- replica_count_of_layer\nselect count(*) from syncline.replica_layer join syncline.replica using (replica_id) where layer_key = $1 and unregistered_at is null",
    )
    .bind(layer.key.0)
    .fetch_one(connection)
    .await?;
    let n_replicas: i64 = row.try_get(0)?;
    if n_replicas == 0 {
        return Ok(());
    }
    Err(Error::NotSupported(format!(
        "{n_replicas} replicas hold {}, and would have to take all its rows anew if a field of it went; unregister them first, or use force=true",
        layer.name
    )))
}

async fn change_indexes(connection: &mut PgConnection, layer: &Layer, change: &LayerChange) -> Result<()> {
    for index in &change.new_indexes {
        run_for(connection, &add_index(layer, index)).await?;
    }
    for name in &change.dropped_indexes {
        let row = sqlx::query(
            "-- index_find
             select x.indisunique, m.amname = 'gist' from pg_index x join pg_class i on i.oid = x.indexrelid join pg_am m on m.oid = i.relam
               join pg_class c on c.oid = x.indrelid join pg_namespace n on n.oid = c.relnamespace
             where n.nspname = $1 and c.relname = $2 and i.relname = $3",
        )
        .bind(&layer.table_schema)
        .bind(&layer.table_name)
        .bind(name)
        .fetch_optional(&mut *connection)
        .await?
        .ok_or_else(|| Error::invalid("indexes", format!("{} has no index '{}'", layer.name, brief(name))))?;
        if row.try_get(0)? || row.try_get(1)? {
            return Err(Error::invalid(
                "indexes",
                format!("index '{name}' of {} keeps values unique, or finds geometries; it stays", layer.name),
            ));
        }
        run_for(connection, &drop_index(layer, name)).await?;
    }
    Ok(())
}

/// Lets the database fill in what the definition says, in rows that any program adds.
async fn change_defaults(
    connection: &mut PgConnection,
    layer: &Layer,
    before: &Definition,
    now: &Definition,
) -> Result<()> {
    let default = |of: &Definition, name: &str| {
        of.field(name).and_then(|field: &FieldDefinition| field.default_value.clone()).filter(|value| !value.is_null())
    };
    let mut changed = false;
    for (index, field) in layer.fields.iter().enumerate() {
        let (old, new) = (default(before, &field.name), default(now, &field.name));
        if old == new {
            continue;
        }
        changed = true;
        if !layer.is_writable(index) {
            return Err(Error::invalid(
                "fields",
                format!("field '{}' fills itself in; it takes no default", field.name),
            ));
        }
        match new {
            None => run_for(connection, &drop_default(layer, &field.name)).await?,
            Some(value) => set_default(connection, layer, &field.name, &value).await?,
        }
    }
    if changed {
        note_defaults(connection, layer.key).await?;
    }
    Ok(())
}

async fn set_default(
    connection: &mut PgConnection,
    layer: &Layer,
    column: &str,
    value: &serde_json::Value,
) -> Result<()> {
    let (index, text) = match (layer.field_index(column), value) {
        (Some(index), serde_json::Value::String(text)) => (index, text.clone()),
        (Some(index), value) => (index, value.to_string()),
        (None, _) => return Ok(()),
    };
    let field = &layer.fields[index];
    // Dates are milliseconds on the wire; what a column of yes and no shows as 0 and 1, PostgreSQL reads so.
    let text = match (field.field_type, value.as_i64()) {
        (crate::model::value::FieldType::Date, Some(milliseconds)) => {
            let row = sqlx::query(
                "-- instant_text\nselect to_char(timestamptz 'epoch' at time zone 'UTC' + $1 * interval '1 millisecond', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
            )
            .bind(milliseconds)
            .fetch_one(&mut *connection)
            .await?;
            row.try_get(0)?
        }
        _ => text,
    };
    // The database quotes its own literals: a default takes no bound value.
    let row = sqlx::query(
        "-- default_statement\nselect format('alter table %I.%I alter column %I set default %L', $1, $2, $3, $4)",
    )
    .bind(&layer.table_schema)
    .bind(&layer.table_name)
    .bind(&field.name)
    .bind(&text)
    .fetch_one(&mut *connection)
    .await?;
    let statement: String = row.try_get(0)?;
    match sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) => {
            Err(Error::invalid("fields", format!("field '{}': defaultValue {}: {error}", field.name, brief(&text))))
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes down which columns the database fills in.
async fn note_defaults(connection: &mut PgConnection, layer: LayerKey) -> Result<()> {
    sqlx::query(
        "-- field_note_defaults
         update syncline.field f set has_default = a.atthasdef or a.attidentity <> ''
         from syncline.layer l join pg_namespace n on n.nspname = l.table_schema
           join pg_class c on c.relnamespace = n.oid and c.relname = l.table_name join pg_attribute a on a.attrelid = c.oid
         where l.layer_key = $1 and f.layer_key = $1 and a.attname = f.name",
    )
    .bind(layer.0)
    .execute(connection)
    .await?;
    Ok(())
}
