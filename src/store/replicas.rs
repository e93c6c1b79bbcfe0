//! Replicas and what they hold.

use std::sync::Arc;

use sqlx::{PgConnection, Row as _, postgres::PgRow};

use crate::{
    error::{Error, Result},
    model::{
        filter::{Filter, LayerQuery, QueryOption},
        geometry::SpatialReference,
        guard::RowPolicy,
        id::{Generation, LayerKey, ReplicaId},
        layer::{Layer, Service},
        predicate::Predicate,
        replica::{
            AttachmentsDirection, GivenPolicy, NewReplica, Replica, ReplicaLayer, SyncDirection, SyncModel, TargetType,
        },
    },
};

use super::{OwnTx, Snapshot, session::generation_of};

impl Snapshot<'_> {
    /// An area in the spatial reference of a layer, mended if it crosses itself, as EWKB. Long edges are divided first, since
    /// a straight line in one reference is a curve in another.
    pub(crate) async fn area_for(&mut self, ewkb: &[u8], srid: i32) -> Result<Vec<u8>> {
        let row = sqlx::query(
            "-- area_transform
             select ST_AsEWKB(case when ST_SRID(g) = $2 then ST_MakeValid(g)
               else ST_MakeValid(ST_Transform(ST_Segmentize(g, greatest(ST_XMax(g) - ST_XMin(g), ST_YMax(g) - ST_YMin(g), 1e-9) / 64), $2)) end)
             from (select $1::bytea::geometry as g) a",
        )
        .bind(ewkb)
        .bind(srid)
        .fetch_one(self.connection())
        .await
        .map_err(|error| match error {
            sqlx::Error::Database(database) => {
                tracing::debug!(%database, "an area could not be transformed");
                Error::invalid("geometry", format!("it cannot be brought into spatial reference {srid}; check its coordinates and inSR"))
            }
            other => Error::from(other),
        })?;
        Ok(row.try_get(0)?)
    }

    /// Refuses a spatial reference that the database does not know, by the name of the parameter that names it.
    pub(crate) async fn require_srid(&mut self, name: &'static str, srid: i32) -> Result<()> {
        // PostGIS comes with these, and nearly everybody asks for them.
        if matches!(srid, 4326 | 3857) {
            return Ok(());
        }
        let row = sqlx::query("-- srid_exists\nselect exists (select from spatial_ref_sys where srid = $1)")
            .bind(srid)
            .fetch_one(self.connection())
            .await?;
        match row.try_get(0)? {
            true => Ok(()),
            false => Err(Error::invalid(name, format!("the database knows no spatial reference {srid}"))),
        }
    }
}

impl Snapshot<'_> {
    /// What the database knows of a spatial reference.
    pub(crate) async fn reference(&mut self, srid: i32) -> Result<SpatialReference> {
        let row = sqlx::query(
            "-- reference_find
             select coalesce(auth_name, 'NONE'), coalesce(auth_srid, srid), coalesce(srtext, 'undefined')
             from spatial_ref_sys where srid = $1",
        )
        .bind(srid)
        .fetch_one(self.connection())
        .await?;
        Ok(SpatialReference { srid, authority: row.try_get(0)?, code: row.try_get(1)?, text: row.try_get(2)? })
    }
}

/// What the holder of a new replica has of one of its layers.
pub(crate) struct Holding {
    /// The replica's geometry in the layer's spatial reference, as EWKB.
    pub(crate) area: Option<Vec<u8>>,
    /// The generation up to which it has everything.
    pub(crate) given: Generation,
    /// For a server's replica: what was received from the other server, in its generations.
    pub(crate) sibling: Option<Generation>,
    /// Which of the rows it was made of its holder might see; `None`: all.
    pub(crate) policy: Option<RowPolicy>,
    /// The names of the fields that it was made without.
    pub(crate) hidden: Vec<String>,
}

impl OwnTx<'_> {
    /// Registers a replica whose holder has these `holdings` of its layers, in their order. Its name is made unique within the service.
    pub(crate) async fn replica_insert(
        &mut self,
        service: &Service,
        id: ReplicaId,
        new: &NewReplica,
        holdings: &[Holding],
    ) -> Result<String> {
        // Two requests with one name would otherwise both find it free.
        sqlx::query("-- replica_name_lock\nselect pg_advisory_xact_lock(1398361668, $1)")
            .bind(service.key.0)
            .execute(self.connection())
            .await?;
        let wanted = new.name.clone().unwrap_or_else(|| format!("Replica_{}", id.0.simple()));
        let name: String = sqlx::query(
            "-- replica_name_free
             select candidate from (select $2::text as candidate, 0 as n union all
               select $2 || '_' || i, i + 1 from generate_series(0, (select count(*) from syncline.replica where service_id = $1)) i) c
             where not exists (select from syncline.replica r where r.service_id = $1 and r.name = c.candidate and r.unregistered_at is null)
             order by n limit 1",
        )
        .bind(service.key.0)
        .bind(&wanted)
        .fetch_one(self.connection())
        .await?
        .try_get(0)?;
        sqlx::query(
            "-- replica_insert
             insert into syncline.replica (replica_id, service_id, name, sync_model, direction, srid, area_json,
               return_attachments, attachments_direction, target_type, owner)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(id.0)
        .bind(service.key.0)
        .bind(&name)
        .bind(new.sync_model.name())
        .bind(new.direction.name())
        .bind(new.srid)
        .bind(new.area.as_ref().map(|area| area.json.clone()))
        .bind(new.return_attachments)
        .bind(new.attachments_direction.name())
        .bind(new.target.name())
        .bind(service.caller.name())
        .execute(self.connection())
        .await?;
        for (position, ((layer, query), holding)) in new.layers.iter().zip(holdings).enumerate() {
            sqlx::query(
                "-- replica_layer_insert
                 insert into syncline.replica_layer (replica_id, layer_key, position, query_option, use_geometry, include_related,
                   where_clause, area, given, presented, base, sib_generation)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $9, $10)",
            )
            .bind(id.0)
            .bind(layer.key.0)
            .bind(i32::try_from(position).unwrap_or(i32::MAX))
            .bind(query.option.name())
            .bind(query.use_geometry)
            .bind(query.include_related)
            .bind(&query.where_clause)
            .bind(&holding.area)
            .bind(holding.given.get())
            .bind(holding.sibling.map(Generation::get))
            .execute(self.connection())
            .await?;
        }
        for ((layer, _), Holding { policy, hidden, .. }) in new.layers.iter().zip(holdings) {
            if policy.is_some() || !hidden.is_empty() {
                let (layer, policy, hidden) = (layer.key, policy.clone(), hidden.clone());
                self.replica_policy_insert(id, &GivenPolicy { since: Generation::ZERO, layer, policy, hidden }).await?;
            }
        }
        Ok(name)
    }

    /// Notes what of a layer the holder of a replica may see in what it is given from a generation on.
    pub(crate) async fn replica_policy_insert(&mut self, id: ReplicaId, given: &GivenPolicy) -> Result<()> {
        sqlx::query(
            "-- replica_policy_insert
             insert into syncline.replica_policy (replica_id, layer_key, since, clause, user_name, hidden_fields)
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id.0)
        .bind(given.layer.0)
        .bind(given.since.get())
        .bind(given.policy.as_ref().map(|policy| &*policy.clause))
        .bind(given.policy.as_ref().map_or("", |policy| &policy.user))
        .bind(&given.hidden)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Whether any service of this database has a replica with this id.
    pub(crate) async fn replica_exists(&mut self, id: ReplicaId) -> Result<bool> {
        let row = sqlx::query("-- replica_exists\nselect exists (select from syncline.replica where replica_id = $1)")
            .bind(id.0)
            .fetch_one(self.connection())
            .await?;
        Ok(row.try_get(0)?)
    }

    /// The replica with this id in this service, if who asks may touch it.
    pub(crate) async fn replica_find(&mut self, service: &Service, id: ReplicaId) -> Result<Option<Replica>> {
        Ok(self.replica_read(service, id, false).await?.filter(|found| service.caller.may_touch(&found.owner)))
    }

    /// The replica with this id in this service, whoever owns it.
    pub(crate) async fn replica_refer(&mut self, service: &Service, id: ReplicaId) -> Result<Option<Replica>> {
        self.replica_read(service, id, false).await
    }

    /// What is kept of a replica that was unregistered, if who asks may touch it.
    pub(crate) async fn tombstone_find(&mut self, service: &Service, id: ReplicaId) -> Result<Option<Replica>> {
        Ok(self.replica_read(service, id, true).await?.filter(|found| service.caller.may_touch(&found.owner)))
    }

    async fn replica_read(&mut self, service: &Service, id: ReplicaId, dead: bool) -> Result<Option<Replica>> {
        let row = sqlx::query(
            "-- replica_find
             select replica_id, name, owner, sync_model, direction, srid, area_json,
               (extract(epoch from created_at) * 1000)::int8, (extract(epoch from last_sync_at) * 1000)::int8,
               return_attachments, attachments_direction, target_type, instance_id <> syncline.instance()
             from syncline.replica where service_id = $1 and replica_id = $2 and (unregistered_at is not null) = $3",
        )
        .bind(service.key.0)
        .bind(id.0)
        .bind(dead)
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let mut replica = replica(&row)?;
        for row in sqlx::query(
            "-- replica_layer_list
             select layer_key, query_option, use_geometry, include_related, where_clause, area, given, presented,
               base, sib_generation
             from syncline.replica_layer where replica_id = $1 order by position",
        )
        .bind(id.0)
        .fetch_all(self.connection())
        .await?
        {
            replica.layers.push(replica_layer(service, &row)?);
        }
        for row in sqlx::query(
            "-- replica_policy_list
             select since, layer_key, clause, user_name, hidden_fields from syncline.replica_policy where replica_id = $1 order by since, layer_key",
        )
        .bind(id.0)
        .fetch_all(self.connection())
        .await?
        {
            let layer = LayerKey(row.try_get(1)?);
            let Some(known) = service.layer_by_key(layer) else { continue };
            let (clause, user): (Option<String>, String) = (row.try_get(2)?, row.try_get(3)?);
            let policy = clause.map(|clause| RowPolicy::new(clause, user.into(), &known.fields));
            let mut hidden: Vec<String> = row.try_get(4)?;
            // Of those that the table has no more nothing can be told.
            hidden.retain(|name| known.fields.iter().any(|field| field.name == *name));
            replica.given_policies.push(GivenPolicy { since: generation_of(&row, 0)?, layer, policy, hidden });
        }
        let policies = replica.layers.iter().map(|known| known.layer.guard.read.clone()).collect();
        replica.see(service, policies);
        Ok(Some(replica))
    }

    /// The replicas of a service that who asks may touch, without their layers, oldest first.
    pub(crate) async fn replica_list(&mut self, service: &Service) -> Result<Vec<Replica>> {
        sqlx::query(
            "-- replica_list
             select replica_id, name, owner, sync_model, direction, srid, area_json,
               (extract(epoch from created_at) * 1000)::int8, (extract(epoch from last_sync_at) * 1000)::int8,
               return_attachments, attachments_direction, target_type, instance_id <> syncline.instance()
             from syncline.replica where service_id = $1 and unregistered_at is null
               and ($2::text is null or owner = '' or lower(owner) = lower($2)) order by created_at, replica_id",
        )
        .bind(service.key.0)
        .bind(service.caller.only())
        .fetch_all(self.connection())
        .await?
        .iter()
        .map(replica)
        .collect()
    }

    /// Ends a replica. Its name is free again; what is known of it is kept for the books. False if there was none that who asks may touch.
    pub(crate) async fn replica_unregister(&mut self, service: &Service, id: ReplicaId) -> Result<bool> {
        let done = sqlx::query(
            "-- replica_unregister
             update syncline.replica set unregistered_at = now()
             where service_id = $1 and replica_id = $2 and unregistered_at is null
               and ($3::text is null or owner = '' or lower(owner) = lower($3))",
        )
        .bind(service.key.0)
        .bind(id.0)
        .bind(service.caller.only())
        .execute(self.connection())
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Notes what was received from the other server. What is known already is not taken back.
    pub(crate) async fn replica_sibling_note(
        &mut self,
        id: ReplicaId,
        siblings: &[(LayerKey, Generation)],
    ) -> Result<()> {
        sibling_note(self.connection(), id, siblings).await
    }
}

/// Notes what was received from the other server, in whatever transaction that happens.
pub(super) async fn sibling_note(
    connection: &mut PgConnection,
    id: ReplicaId,
    siblings: &[(LayerKey, Generation)],
) -> Result<()> {
    let (layers, generations): (Vec<i32>, Vec<i64>) =
        siblings.iter().map(|(layer, generation)| (layer.0, generation.get())).unzip();
    sqlx::query(
        "-- replica_sibling_note
         update syncline.replica_layer l set sib_generation = greatest(l.sib_generation, s.generation)
         from unnest($2::int4[], $3::int8[]) s(layer_key, generation)
         where l.replica_id = $1 and l.layer_key = s.layer_key",
    )
    .bind(id.0)
    .bind(layers)
    .bind(generations)
    .execute(connection)
    .await?;
    Ok(())
}

fn replica(row: &PgRow) -> Result<Replica> {
    let (model, direction): (String, String) = (row.try_get(3)?, row.try_get(4)?);
    let (attachments, target): (String, String) = (row.try_get(10)?, row.try_get(11)?);
    Ok(Replica {
        id: ReplicaId(row.try_get(0)?),
        name: row.try_get(1)?,
        owner: row.try_get(2)?,
        sync_model: SyncModel::from_name(&model).ok_or_else(|| unknown("sync model", &model))?,
        target: TargetType::from_name(&target).ok_or_else(|| unknown("target type", &target))?,
        direction: SyncDirection::from_name(&direction).ok_or_else(|| unknown("direction", &direction))?,
        srid: row.try_get(5)?,
        area_json: row.try_get(6)?,
        created_ms: row.try_get(7)?,
        last_sync_ms: row.try_get(8)?,
        return_attachments: row.try_get(9)?,
        attachments_direction: AttachmentsDirection::from_name(&attachments)
            .ok_or_else(|| unknown("direction of attachments", &attachments))?,
        is_foreign: row.try_get(12)?,
        layers: Vec::new(),
        policies: Vec::new(),
        given_policies: Vec::new(),
    })
}

fn replica_layer(service: &Service, row: &PgRow) -> Result<ReplicaLayer> {
    let key = LayerKey(row.try_get(0)?);
    let layer = service.layer_by_key(key).ok_or_else(|| unknown("layer", &key.0.to_string()))?;
    let option: String = row.try_get(1)?;
    let query = LayerQuery {
        option: QueryOption::from_name(&option).ok_or_else(|| unknown("query option", &option))?,
        use_geometry: row.try_get(2)?,
        include_related: row.try_get(3)?,
        where_clause: row.try_get(4)?,
    };
    // It was good when the replica was made; the table may have other columns now.
    let filter = filter_of(layer, &query, row.try_get(5)?).map_err(|error| {
        Error::NotSupported(format!("the columns of layer {} have changed, and the replica's filter no longer fits: {error}; create the replica again", layer.id))
    })?;
    Ok(ReplicaLayer {
        layer: layer.clone(),
        own: filter.clone(),
        filter,
        query,
        given: generation_of(row, 6)?,
        presented: generation_of(row, 7)?,
        base: generation_of(row, 8)?,
        sibling: row.try_get::<Option<i64>, _>(9)?.and_then(Generation::new),
    })
}

/// The rows that a layer query means by itself, without relationships. The area is in the layer's spatial reference.
pub(crate) fn filter_of(layer: &Arc<Layer>, query: &LayerQuery, area: Option<Vec<u8>>) -> Result<Filter> {
    Ok(match query.option {
        QueryOption::All => Filter::All,
        QueryOption::None => Filter::None,
        QueryOption::UseFilter => Filter::Matching {
            rows: match &query.where_clause {
                None => None,
                Some(text) => Some(Predicate::parse(text, &layer.fields).map_err(|error| {
                    Error::invalid("layerQueries", format!("layer {}: where clause: {error}", layer.id))
                })?),
            },
            area: area.filter(|_| query.use_geometry),
        },
    })
}

fn unknown(what: &str, name: &str) -> Error {
    Error::internal("reading a replica", format!("unknown {what} '{name}'"))
}
