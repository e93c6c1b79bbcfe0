//! Reading what is published.

use std::{collections::HashMap, sync::Arc};

use sqlx::{Row as _, postgres::PgRow, types::Json};

use crate::{
    error::{Error, Result},
    model::{
        capability::Capabilities,
        definition::{Definition, ServiceDefinition},
        geometry::{Dimensions, GeometryType},
        guard::{Caller, Guard},
        id::{LayerId, LayerKey, ServiceKey},
        layer::{Catalogue, Field, Layer, Relationship, Service, ShapeColumn},
        principal::{Access, Grants},
        rules::Rules,
        value::FieldType,
    },
};

use super::OwnTx;

/// Reads all services and layers.
pub(super) async fn read(mut tx: OwnTx<'_>) -> Result<Catalogue> {
    let mut fields: HashMap<i32, Vec<Field>> = HashMap::new();
    for row in sqlx::query(
        "-- field_list
         select layer_key, name, alias, field_type, column_type, length, nullable, has_default, generated
         from syncline.field order by layer_key, position",
    )
    .fetch_all(tx.connection())
    .await?
    {
        fields.entry(row.try_get(0)?).or_default().push(field(&row)?);
    }
    let mut described = services(&mut tx).await?;
    grants(&mut tx, &mut described).await?;
    let mut layers: HashMap<i32, Vec<Arc<Layer>>> = HashMap::new();
    let mut attachments: HashMap<LayerKey, Layer> = HashMap::new();
    // Attachments come before the layers that have them.
    for row in sqlx::query(
        "-- layer_list
         select l.layer_key, l.service_id, coalesce(l.layer_id, f.layer_id) as layer_id, l.name, l.table_schema, l.table_name,
           l.object_id_column, l.global_id_column, l.geometry_column, l.geometry_type, l.geometry_multi, l.srid, l.has_z, l.has_m,
           l.attached_to, l.definition, coalesce(upper(postgis_typmod_type(a.atttypmod)) <> 'GEOMETRY' and postgis_typmod_srid(a.atttypmod) = l.srid, false) as shape_declared
         from syncline.layer l left join syncline.layer f on f.layer_key = l.attached_to
           left join pg_attribute a on a.attrelid = to_regclass(format('%I.%I', l.table_schema, l.table_name)) and a.attname = l.geometry_column and a.atttypmod >= 0
         order by l.attached_to is null, l.service_id, l.layer_id",
    )
    .fetch_all(tx.connection())
    .await?
    {
        let fields = fields.remove(&row.try_get(0)?).unwrap_or_default();
        let mut read = layer(&row, fields)?;
        if let Some(features) = read.attached_to {
            attachments.insert(features, read);
            continue;
        }
        let service: i32 = row.try_get(1)?;
        if let Some(of) = described.iter().find(|of| of.key.0 == service) {
            define(&mut read, of);
        }
        read.attachments = attachments.remove(&read.key).map(|mut attachments| {
            attachments.rules = Arc::new(Rules::of(read.rules.capabilities.of_attachments()));
            Arc::new(attachments)
        });
        layers.entry(service).or_default().push(Arc::new(read));
    }
    let mut relationships = relationships(&mut tx, &layers).await?;
    let services = described
        .into_iter()
        .map(|service| {
            let key = service.key.0;
            Arc::new(Service {
                layers: layers.remove(&key).unwrap_or_default(),
                relationships: relationships.remove(&key).unwrap_or_default(),
                ..service
            })
        })
        .collect();
    Ok(Catalogue { services })
}

/// The services, without their layers.
async fn services(tx: &mut OwnTx<'_>) -> Result<Vec<Service>> {
    let mut services = Vec::new();
    for row in sqlx::query(
        "-- service_list\nselect service_id, name, description, definition from syncline.service order by name",
    )
    .fetch_all(tx.connection())
    .await?
    {
        let Json(definition): Json<ServiceDefinition> = row.try_get("definition")?;
        let name: String = row.try_get("name")?;
        services.push(Service {
            key: ServiceKey(row.try_get("service_id")?),
            description: definition.description.clone().map_or_else(|| row.try_get("description"), Ok)?,
            capabilities: capabilities(&name, &definition),
            name,
            definition,
            layers: Vec::new(),
            relationships: Vec::new(),
            grants: Grants::default(),
            caller: Caller::default(),
        });
    }
    Ok(services)
}

/// Enters what was granted of each service.
async fn grants(tx: &mut OwnTx<'_>, services: &mut [Service]) -> Result<()> {
    for row in sqlx::query(
        "-- grant_list
         select g.service_id, lower(a.name) as account, g.role, g.access
         from syncline.service_grant g left join syncline.account a using (account_id)",
    )
    .fetch_all(tx.connection())
    .await?
    {
        let key: i32 = row.try_get("service_id")?;
        let Some(service) = services.iter_mut().find(|service| service.key.0 == key) else { continue };
        let name: String = row.try_get("access")?;
        let access = Access::from_name(&name).ok_or_else(|| unknown("access", &name))?;
        match (row.try_get("account")?, row.try_get("role")?) {
            (Some(account), _) => service.grants.users.insert(account, access),
            (None, Some(role)) => service.grants.roles.insert(role, access),
            (None, None) => service.grants.anonymous.replace(access),
        };
    }
    Ok(())
}

/// What a service allows. A list that cannot be read allows nothing: whoever wrote it meant to forbid something.
fn capabilities(name: &str, definition: &ServiceDefinition) -> Capabilities {
    match definition.capabilities.as_deref().map(Capabilities::parse) {
        None => Capabilities::default(),
        Some(Ok(capabilities)) => capabilities,
        Some(Err(problem)) => {
            tracing::error!(service.name = name, problem, "the capabilities of a service cannot be read");
            Capabilities::NONE
        }
    }
}

/// Works out what the definition of a layer means, and brings the layer up to it.
fn define(layer: &mut Layer, service: &Service) {
    let geometry_updates = service.definition.allow_geometry_updates.unwrap_or(true);
    let rules = Rules::resolve(&layer.definition, layer, service.capabilities, geometry_updates);
    for problem in &rules.problems {
        tracing::warn!(service.name = service.name, layer = layer.id.0, problem, "a definition does not fit its table");
    }
    if let Some(name) = layer.definition.name.as_ref().filter(|name| !name.trim().is_empty()) {
        layer.name.clone_from(name);
    }
    for field in &mut layer.fields {
        if let Some(alias) = layer.definition.field(&field.name).and_then(|given| given.alias.as_ref()) {
            field.alias.clone_from(alias);
        }
    }
    // What the server fills in, the client does not know.
    layer.alters_rows |= rules.tracking.fields().next().is_some();
    layer.rules = Arc::new(rules);
}

async fn relationships(
    tx: &mut OwnTx<'_>,
    layers: &HashMap<i32, Vec<Arc<Layer>>>,
) -> Result<HashMap<i32, Vec<Relationship>>> {
    let mut found: HashMap<i32, Vec<Relationship>> = HashMap::new();
    for row in sqlx::query(
        "-- relationship_list
         select service_id, relationship_id, name, origin_key, origin_field, destination_key, destination_field, single
         from syncline.relationship order by service_id, relationship_id",
    )
    .fetch_all(tx.connection())
    .await?
    {
        let service: i32 = row.try_get("service_id")?;
        let end = |key: &str, field: &str| -> Result<(LayerKey, usize)> {
            let (key, field): (i32, String) = (row.try_get(key)?, row.try_get(field)?);
            let layer = layers.get(&service).and_then(|layers| layers.iter().find(|layer| layer.key.0 == key));
            let index = layer.and_then(|layer| layer.fields.iter().position(|known| known.name == field));
            Ok((LayerKey(key), index.ok_or_else(|| unknown("field of a relationship", &field))?))
        };
        let (origin, origin_field) = end("origin_key", "origin_field")?;
        let (destination, destination_field) = end("destination_key", "destination_field")?;
        found.entry(service).or_default().push(Relationship {
            id: row.try_get("relationship_id")?,
            name: row.try_get("name")?,
            origin,
            origin_field,
            destination,
            destination_field,
            single: row.try_get("single")?,
        });
    }
    Ok(found)
}

fn field(row: &PgRow) -> Result<Field> {
    let type_name: String = row.try_get("field_type")?;
    Ok(Field {
        name: row.try_get("name")?,
        alias: row.try_get("alias")?,
        field_type: FieldType::from_name(&type_name).ok_or_else(|| unknown("field type", &type_name))?,
        column_type: row.try_get("column_type")?,
        length: row.try_get::<Option<i32>, _>("length")?.and_then(|length| u32::try_from(length).ok()),
        nullable: row.try_get("nullable")?,
        has_default: row.try_get("has_default")?,
        generated: row.try_get("generated")?,
    })
}

fn layer(row: &PgRow, fields: Vec<Field>) -> Result<Layer> {
    let position = |column: &str| -> Result<usize> {
        let name: String = row.try_get(column)?;
        fields.iter().position(|field| field.name == name).ok_or_else(|| unknown("key column", &name))
    };
    let (object_id, global_id) = (position("object_id_column")?, position("global_id_column")?);
    let shape = match row.try_get::<Option<String>, _>("geometry_column")? {
        None => None,
        Some(column) => {
            let type_name: String = row.try_get("geometry_type")?;
            Some(ShapeColumn {
                column,
                geometry_type: GeometryType::from_name(&type_name)
                    .ok_or_else(|| unknown("geometry type", &type_name))?,
                multi: row.try_get("geometry_multi")?,
                srid: row.try_get("srid")?,
                dimensions: Dimensions { z: row.try_get("has_z")?, m: row.try_get("has_m")? },
                declared: row.try_get("shape_declared")?,
            })
        }
    };
    Ok(Layer {
        key: LayerKey(row.try_get("layer_key")?),
        id: LayerId(row.try_get("layer_id")?),
        attachments: None,
        attached_to: row.try_get::<Option<i32>, _>("attached_to")?.map(LayerKey),
        name: row.try_get("name")?,
        table_schema: row.try_get("table_schema")?,
        table_name: row.try_get("table_name")?,
        shape,
        alters_rows: fields.iter().any(|field| field.generated || rounds(&field.column_type)),
        fields,
        object_id,
        global_id,
        definition: Arc::new(row.try_get::<Json<Definition>, _>("definition")?.0),
        rules: Arc::default(),
        guard: Guard::default(),
    })
}

fn unknown(what: &str, name: &str) -> Error {
    Error::internal("reading the catalogue", format!("unknown {what} '{name}'"))
}

/// Whether a column of this type may keep something else than what is written to it.
fn rounds(column_type: &str) -> bool {
    column_type.starts_with("numeric(")
        || column_type.starts_with("character(")
        || column_type.contains("time(")
        || column_type.contains("timestamp(")
}
