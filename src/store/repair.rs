//! Repairing a publication: taking up what changed about a table, and its triggers, under living replicas.

use sqlx::{PgConnection, Row as _};

use crate::{
    error::{Error, Result},
    model::{
        id::{Generation, LayerId, LayerKey},
        layer::{Layer, Service},
        predicate::Predicate,
    },
    sql::{
        fragment::Fragment,
        publish::{Ddl, track, track_again},
        select,
    },
};

use super::{
    Store,
    gaps::{inspect_tracking, note_tracking, open_gap},
    inspect::describe,
    publish::{insert_fields, run},
    session::generation,
};

/// What a repair did, or would do.
#[derive(Debug)]
pub struct Repaired {
    /// The service, in its own spelling.
    pub service: String,
    /// The layer.
    pub layer_id: LayerId,
    /// What changed, and what somebody should know.
    pub notices: Vec<String>,
    /// The statements that changed the database; empty if there was nothing to repair.
    pub statements: Vec<Ddl>,
    /// Where the layer's history begins now, if it had to begin anew: every replica that holds the layer gets all of its
    /// rows with its next synchronization, for which its client must ask.
    pub history_from: Option<Generation>,
}

impl Store {
    /// Brings a publication up to what its table has become, in one transaction that nobody edits the table in. If changes
    /// were missed, or columns are gone or are others, the history of the layer begins anew, so that no delta has holes.
    /// With `dry_run` nothing is changed.
    pub async fn repair(&self, service: &str, layer_id: LayerId, dry_run: bool) -> Result<Repaired> {
        self.reload().await?;
        let service = self.service(service).await?;
        let features = service
            .layer(layer_id)
            .ok_or_else(|| Error::NotFound(format!("service {} has no layer or table {layer_id}", service.name)))?;
        let mut session = self.session().await?;
        let mut tx = session.own().await?;
        let connection = tx.connection();
        let mut repaired = Repaired {
            service: service.name.clone(),
            layer_id,
            notices: Vec::new(),
            statements: Vec::new(),
            history_from: None,
        };
        for before in [Some(features), features.attachments.as_ref()].into_iter().flatten() {
            lock(connection, before).await?;
        }
        for before in [Some(features), features.attachments.as_ref()].into_iter().flatten() {
            repair_tracked(connection, &service, before, dry_run, &mut repaired).await?;
        }
        if !dry_run {
            tx.commit().await?;
            self.reload().await?;
        }
        Ok(repaired)
    }
}

/// Repairs one tracked table: that of a layer, or that of its attachments.
pub(super) async fn repair_tracked(
    connection: &mut PgConnection,
    service: &Service,
    before: &Layer,
    dry_run: bool,
    repaired: &mut Repaired,
) -> Result<()> {
    let found = inspect_tracking(connection, before).await?;
    let gap = open_gap(connection, before.key).await?.or(found.gap);
    let mut table = describe(connection, &before.table_schema, &before.table_name, before.shape.as_ref()).await?;
    let mut statements = table.complete();
    let now = table.as_layer(before)?;
    let change = compare(before, &now);
    if gap.is_none() && change == Change::None && statements.is_empty() && !found.outdated {
        return Ok(());
    }
    repaired.notices.append(&mut table.notices);
    repaired.notices.extend(gap.iter().map(|reason| format!("changes were missed: {reason}")));
    repaired.notices.extend(found.news);
    repaired.notices.extend(hopeless_replicas(connection, service, &now).await?);
    statements.extend(if has_change_table(connection, before).await? {
        track_again(service.key, before, &now)
    } else {
        track(service.key, &now)
    });
    if !dry_run {
        update_layer(connection, &now).await?;
        repaired.notices.extend(end_relationships(connection, now.key).await?);
        for statement in &statements {
            run(connection, statement).await?;
        }
        note_tracking(connection, now.key).await?;
        if gap.is_some() || change == Change::Breaks {
            let row = sqlx::query("-- history_begin\nselect syncline.begin_history($1)")
                .bind(now.key.0)
                .fetch_one(connection)
                .await?;
            repaired.history_from = Some(generation(row.try_get(0)?)?);
        }
    }
    repaired.statements.extend(statements);
    Ok(())
}

/// Forgets relationships by columns that are gone. Returns what somebody should know.
async fn end_relationships(connection: &mut PgConnection, layer: LayerKey) -> Result<Vec<String>> {
    let rows = sqlx::query(
        "-- relationship_delete_broken
         delete from syncline.relationship r where $1 in (origin_key, destination_key) and not (
           exists (select from syncline.field f where f.layer_key = r.origin_key and f.name = r.origin_field)
           and exists (select from syncline.field f where f.layer_key = r.destination_key and f.name = r.destination_field))
         returning name",
    )
    .bind(layer.0)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| Ok(format!("relationship {} has ended: its field is gone", row.try_get::<&str, _>(0)?)))
        .collect()
}

/// Waits for everybody who edits the table, and keeps others from it: what they did unseen is then before the new history.
pub(super) async fn lock(connection: &mut PgConnection, layer: &Layer) -> Result<()> {
    let mut out = Fragment::new("-- table_lock\nlock table ");
    out.ident(&select::table(layer)).sql(" in share row exclusive mode");
    match out.query()?.execute(connection).await {
        Ok(_) => Ok(()),
        Err(sqlx::Error::Database(error)) if matches!(error.code().as_deref(), Some("42P01" | "42809" | "3F000")) => {
            Err(Error::NotFound(format!(
                "the table {}.{} is gone, or is no table any more; restore it under this name, or end the publication with syncline unpublish",
                layer.table_schema, layer.table_name
            )))
        }
        Err(error) => Err(error.into()),
    }
}

/// What a change of a table means for those who hold its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// Nothing that is published.
    None,
    /// Columns were added, or are longer, have a default, may be null: deltas go on.
    Grows,
    /// Columns are gone or are others: a row as it was cannot be compared with one as it is.
    Breaks,
}

fn compare(before: &Layer, now: &Layer) -> Change {
    let bare = |column_type: &str| column_type.split('(').next().unwrap_or_default().to_owned();
    let kept = before.fields.iter().all(|old| {
        now.fields.iter().any(|new| {
            new.name == old.name && new.field_type == old.field_type && bare(&new.column_type) == bare(&old.column_type)
        })
    });
    let shape = |layer: &Layer| {
        layer.shape.as_ref().map(|shape| (shape.column.clone(), shape.geometry_type, shape.srid, shape.dimensions))
    };
    let keys = |layer: &Layer| (layer.object_id_field().name.clone(), layer.global_id_field().name.clone());
    if !kept || shape(before) != shape(now) || keys(before) != keys(now) {
        return Change::Breaks;
    }
    // A definition may give a field another alias than its column's comment.
    let described = |layer: &Layer| {
        let mut fields = layer.fields.clone();
        for field in &mut fields {
            if let Some(alias) = before.definition.field(&field.name).and_then(|given| given.alias.as_ref()) {
                field.alias.clone_from(alias);
            }
        }
        format!("{fields:?}{:?}", layer.shape)
    };
    if described(before) == described(now) { Change::None } else { Change::Grows }
}

async fn has_change_table(connection: &mut PgConnection, layer: &Layer) -> Result<bool> {
    let row = sqlx::query("-- change_table_exists\nselect to_regclass('syncline.change_' || $1::int4) is not null")
        .bind(layer.key.0)
        .fetch_one(connection)
        .await?;
    Ok(row.try_get(0)?)
}

/// Enters what the table is now into the catalogue.
async fn update_layer(connection: &mut PgConnection, layer: &Layer) -> Result<()> {
    let shape = layer.shape.as_ref();
    sqlx::query(
        "-- layer_update
         update syncline.layer set object_id_column = $2, global_id_column = $3, geometry_column = $4, geometry_type = $5, geometry_multi = $6,
           srid = $7, has_z = $8, has_m = $9 where layer_key = $1",
    )
    .bind(layer.key.0)
    .bind(&layer.object_id_field().name)
    .bind(&layer.global_id_field().name)
    .bind(shape.map(|shape| shape.column.clone()))
    .bind(shape.map(|shape| shape.geometry_type.name()))
    .bind(shape.is_some_and(|shape| shape.multi))
    .bind(shape.map(|shape| shape.srid))
    .bind(shape.is_some_and(|shape| shape.dimensions.z))
    .bind(shape.is_some_and(|shape| shape.dimensions.m))
    .execute(&mut *connection)
    .await?;
    sqlx::query("-- field_delete\ndelete from syncline.field where layer_key = $1")
        .bind(layer.key.0)
        .execute(&mut *connection)
        .await?;
    insert_fields(connection, layer.key, &layer.fields).await
}

/// The replicas whose filters no longer make sense.
async fn hopeless_replicas(connection: &mut PgConnection, service: &Service, layer: &Layer) -> Result<Vec<String>> {
    let rows = sqlx::query(
        "-- replica_filter_list
         select r.replica_id, r.name, l.where_clause from syncline.replica r join syncline.replica_layer l using (replica_id)
         where l.layer_key = $1 and r.unregistered_at is null and l.where_clause is not null order by r.name",
    )
    .bind(layer.key.0)
    .fetch_all(connection)
    .await?;
    let mut notices = Vec::new();
    for row in &rows {
        let (id, name, text): (uuid::Uuid, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if let Err(error) = Predicate::parse(&text, &layer.fields) {
            notices.push(format!(
                "replica {id} ({name}) of service {} can no longer be synchronized, and has to be made anew: its filter {text}: {error}",
                service.name
            ));
        }
    }
    Ok(notices)
}
