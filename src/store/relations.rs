//! What makes rows belong to other rows: relationships between layers, and attachments.

use std::sync::Arc;

use sqlx::{PgConnection, Row as _};

use crate::{
    error::{Error, Result},
    model::{
        definition::Declaration,
        id::{LayerId, LayerKey, ServiceKey},
        layer::{Layer, Service},
        value::FieldType,
    },
    sql::publish::{ATTACHMENT_SCHEMA, Ddl, attachment_table, attachment_table_name, index_on, renew_functions, track},
};

use super::{
    Store,
    gaps::note_tracking,
    inspect::inspect,
    publish::{register, run},
};

impl Store {
    /// Declares that rows of one layer belong to rows of another. Returns its id within the service.
    pub async fn relate(&self, service: &str, declared: &Declaration) -> Result<i32> {
        let service = self.service(service).await?;
        let mut session = self.session().await?;
        let mut tx = session.own().await?;
        let (id, _) = relate_in(tx.connection(), &service, declared).await?;
        tx.commit().await?;
        self.reload().await?;
        Ok(id)
    }

    /// Forgets a relationship.
    pub async fn unrelate(&self, service: &str, id: i32) -> Result<()> {
        let service = self.service(service).await?;
        let mut session = self.session().await?;
        let mut tx = session.own().await?;
        forget(tx.connection(), &service, id).await?;
        tx.commit().await?;
        self.reload().await
    }

    /// Lets the features of a layer have attachments. False if they may already.
    pub async fn enable_attachments(&self, service: &str, layer: LayerId) -> Result<bool> {
        let service = self.service(service).await?;
        let layer = service
            .layer(layer)
            .ok_or_else(|| Error::NotFound(format!("service {} has no layer or table {layer}", service.name)))?;
        if layer.attachments.is_some() {
            return Ok(false);
        }
        let mut session = self.session().await?;
        let mut tx = session.own().await?;
        add_attachments(tx.connection(), service.key, Layer::clone(layer)).await?;
        tx.commit().await?;
        self.reload().await?;
        Ok(true)
    }
}

/// Declares a relationship within a transaction. Returns its id and its name.
pub(super) async fn relate_in(
    connection: &mut PgConnection,
    service: &Service,
    declared: &Declaration,
) -> Result<(i32, String)> {
    let (origin, origin_field) = end(service, &declared.origin)?;
    let (destination, destination_field) = end(service, &declared.destination)?;
    let (key, held) = (&origin.fields[origin_field], &destination.fields[destination_field]);
    if !holds_keys_of(held.field_type, key.field_type) {
        return Err(Error::invalid(
            "destination",
            format!(
                "{} of layer {} is {} and {} of layer {} is {}; the two hold the same keys and need types that compare",
                key.name, origin.id, key.column_type, held.name, destination.id, held.column_type
            ),
        ));
    }
    if !is_unique(connection, origin, &key.name).await? {
        return Err(Error::invalid(
            "origin",
            format!(
                "{} of {}.{} is not unique; a row must belong to one row, not to several: add a unique constraint",
                key.name, origin.table_schema, origin.table_name
            ),
        ));
    }
    let single = is_unique(connection, destination, &held.name).await?;
    if !is_indexed(connection, destination, &held.name).await? {
        run(connection, &index_on(&destination.table_schema, &destination.table_name, &held.name)).await?;
    }
    let name = declared.name.clone().unwrap_or_else(|| format!("{}_{}", origin.name, destination.name));
    let ends = Ends {
        origin: origin.key,
        origin_field: &key.name,
        destination: destination.key,
        destination_field: &held.name,
    };
    let id = insert(connection, service.key, &name, &ends, single).await?.ok_or_else(|| {
        Error::NotSupported(format!(
            "this relationship between layers {} and {} exists already",
            origin.id, destination.id
        ))
    })?;
    Ok((id, name))
}

/// Forgets a relationship within a transaction.
pub(super) async fn forget(connection: &mut PgConnection, service: &Service, id: i32) -> Result<()> {
    let done = sqlx::query(
        "-- relationship_delete\ndelete from syncline.relationship where service_id = $1 and relationship_id = $2",
    )
    .bind(service.key.0)
    .bind(id)
    .execute(connection)
    .await?;
    match done.rows_affected() {
        0 => Err(Error::NotFound(format!("service {} has no relationship {id}", service.name))),
        _ => Ok(()),
    }
}

/// Whether values of a field can be the keys that another has.
fn holds_keys_of(held: FieldType, key: FieldType) -> bool {
    let family = |of: FieldType| match of {
        FieldType::ObjectId | FieldType::SmallInteger | FieldType::Integer | FieldType::BigInteger => {
            FieldType::Integer
        }
        FieldType::GlobalId | FieldType::Guid => FieldType::Guid,
        other => other,
    };
    family(held) == family(key)
}

fn end<'a>(service: &'a Service, (id, field): &(LayerId, String)) -> Result<(&'a Arc<Layer>, usize)> {
    let layer = service
        .layer(*id)
        .ok_or_else(|| Error::NotFound(format!("service {} has no layer or table {id}", service.name)))?;
    let index = layer.field_index(field).ok_or_else(|| {
        let known: Vec<&str> = layer.fields.iter().map(|field| field.name.as_str()).collect();
        Error::NotFound(format!("layer {id} has no field '{field}'; it has {}", known.join(", ")))
    })?;
    Ok((layer, index))
}

/// Makes the table for a layer's attachments, tracks it, and lets the layer's triggers know of it.
pub(super) async fn add_attachments(
    connection: &mut PgConnection,
    service: ServiceKey,
    mut layer: Layer,
) -> Result<Vec<Ddl>> {
    let mut statements = attachment_table(layer.key);
    for statement in &statements {
        run(connection, statement).await?;
    }
    let mut table = inspect(connection, ATTACHMENT_SCHEMA, &attachment_table_name(layer.key)).await?;
    // Nothing is missing, but the fields that are keys are only then known to be.
    table.complete();
    let name = format!("attachments of {}", layer.name);
    let attachments = register(connection, service, None, Some(&layer), name, &table).await?;
    let mut more = track(service, &attachments);
    layer.attachments = Some(Arc::new(attachments));
    more.extend(renew_functions(service, &layer));
    for statement in &more {
        run(connection, statement).await?;
    }
    note_tracking(connection, layer.key).await?;
    if let Some(attachments) = &layer.attachments {
        note_tracking(connection, attachments.key).await?;
    }
    statements.extend(more);
    Ok(statements)
}

/// Makes relationships of the foreign keys between a table and others that are published in the same service.
pub(super) async fn relate_by_foreign_keys(
    connection: &mut PgConnection,
    service: ServiceKey,
    layer: &Layer,
) -> Result<Related> {
    let rows = sqlx::query(
        "-- foreign_key_list
         select o.layer_key, o.name, oa.attname::text, d.layer_key, d.name, da.attname::text,
           exists (select from pg_index i where i.indrelid = f.conrelid and i.indisunique and i.indpred is null and i.indnkeyatts = 1
             and i.indkey[0] = f.conkey[1]),
           exists (select from pg_index i where i.indrelid = f.conrelid and i.indpred is null and i.indkey[0] = f.conkey[1]),
           d.table_schema, d.table_name
         from pg_constraint f
         join pg_class oc on oc.oid = f.confrelid join pg_namespace os on os.oid = oc.relnamespace
         join syncline.layer o on o.table_schema = os.nspname and o.table_name = oc.relname and o.service_id = $1 and o.attached_to is null
         join pg_class dc on dc.oid = f.conrelid join pg_namespace ds on ds.oid = dc.relnamespace
         join syncline.layer d on d.table_schema = ds.nspname and d.table_name = dc.relname and d.service_id = $1 and d.attached_to is null
         join pg_attribute oa on oa.attrelid = f.confrelid and oa.attnum = f.confkey[1]
         join pg_attribute da on da.attrelid = f.conrelid and da.attnum = f.conkey[1]
         where f.contype = 'f' and array_length(f.conkey, 1) = 1 and $2 in (o.layer_key, d.layer_key)
           and exists (select from syncline.field x where x.layer_key = o.layer_key and x.name = oa.attname)
           and exists (select from syncline.field x where x.layer_key = d.layer_key and x.name = da.attname)
         order by f.conname",
    )
    .bind(service.0)
    .bind(layer.key.0)
    .fetch_all(&mut *connection)
    .await?;
    let mut related = Related { statements: Vec::new(), notices: Vec::new() };
    for row in &rows {
        let (origin_name, destination_name): (String, String) = (row.try_get(1)?, row.try_get(4)?);
        let (origin_field, destination_field): (String, String) = (row.try_get(2)?, row.try_get(5)?);
        let ends = Ends {
            origin: LayerKey(row.try_get(0)?),
            origin_field: &origin_field,
            destination: LayerKey(row.try_get(3)?),
            destination_field: &destination_field,
        };
        let name = format!("{origin_name}_{destination_name}");
        if insert(connection, service, &name, &ends, row.try_get(6)?).await?.is_none() {
            continue;
        }
        related.notices.push(format!("relationship {name}: rows of {destination_name} belong to rows of {origin_name} by the foreign key {destination_field}"));
        if !row.try_get::<bool, _>(7)? {
            let (schema, table): (String, String) = (row.try_get(8)?, row.try_get(9)?);
            related.statements.push(index_on(&schema, &table, &destination_field));
        }
    }
    Ok(related)
}

/// What making relationships asks for.
pub(super) struct Related {
    /// The statements that are yet to run.
    pub(super) statements: Vec<Ddl>,
    /// What somebody should know.
    pub(super) notices: Vec<String>,
}

/// The two ends of a relationship.
struct Ends<'a> {
    origin: LayerKey,
    origin_field: &'a str,
    destination: LayerKey,
    destination_field: &'a str,
}

/// Enters a relationship into the catalogue. `None` if it is there already.
async fn insert(
    connection: &mut PgConnection,
    service: ServiceKey,
    name: &str,
    ends: &Ends<'_>,
    single: bool,
) -> Result<Option<i32>> {
    let row = sqlx::query(
        "-- relationship_insert
         insert into syncline.relationship (service_id, relationship_id, name, origin_key, origin_field, destination_key, destination_field, single)
         select $1, coalesce((select max(relationship_id) + 1 from syncline.relationship where service_id = $1), 0), $2, $3, $4, $5, $6, $7
         on conflict on constraint relationship_once do nothing returning relationship_id",
    )
    .bind(service.0)
    .bind(name)
    .bind(ends.origin.0)
    .bind(ends.origin_field)
    .bind(ends.destination.0)
    .bind(ends.destination_field)
    .bind(single)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

async fn is_unique(connection: &mut PgConnection, layer: &Layer, column: &str) -> Result<bool> {
    has_index(connection, layer, column, true).await
}

async fn is_indexed(connection: &mut PgConnection, layer: &Layer, column: &str) -> Result<bool> {
    has_index(connection, layer, column, false).await
}

async fn has_index(connection: &mut PgConnection, layer: &Layer, column: &str, unique: bool) -> Result<bool> {
    let row = sqlx::query(
        "-- index_exists
         select exists (select from pg_index i join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace
           join pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
           where n.nspname = $1 and c.relname = $2 and a.attname = $3 and i.indpred is null
             and (not $4 or (i.indisunique and i.indnkeyatts = 1)))",
    )
    .bind(&layer.table_schema)
    .bind(&layer.table_name)
    .bind(column)
    .bind(unique)
    .fetch_one(connection)
    .await?;
    Ok(row.try_get(0)?)
}
