//! Ending the publication of a layer, and what is lost by it.

use sqlx::Row as _;

use crate::{
    error::{Error, Result},
    model::{
        definition::Definition,
        id::{LayerId, LayerKey, ReplicaId},
        layer::{Layer, Service},
    },
    sql::{
        fragment::Fragment,
        publish::{Ddl, drop_attachment_table, untrack},
        select::{change_table, table},
    },
};

use super::{OwnTx, Store, publish::run};

/// How many changes are counted at most.
const MOST_COUNTED: i64 = 1_000_000;

/// What goes with the publication of a layer, or is of no more use then. The table and its rows stay.
#[derive(Clone, Debug, Default)]
pub struct Loss {
    /// The replicas that hold the layer, and are unregistered with it.
    pub(crate) replicas: Vec<ReplicaId>,
    /// Its attachments, and how many bytes they have.
    pub(crate) attachments: (i64, i64),
    /// Refused edits of its features that are open.
    pub(crate) n_rejected: i64,
    /// Conflicts of its features that nobody has settled.
    pub(crate) n_conflicts: i64,
    /// Its recorded changes (counted up to a million), and how many bytes they take up.
    pub(crate) changes: (i64, i64),
    /// The names of its relationships.
    pub(crate) relationships: Vec<String>,
    /// Whether there is a definition: domains, symbols, rules for rows and fields.
    pub(crate) definition: bool,
}

impl Loss {
    /// What people or devices miss, in words. Where there is something, it must be confirmed.
    pub fn told(&self) -> Vec<String> {
        let counted = |n: i64, one: &str, several: &str| match n {
            0 => None,
            1 => Some(format!("1 {one}")),
            n => Some(format!("{n} {several}")),
        };
        let n_replicas = i64::try_from(self.replicas.len()).unwrap_or(i64::MAX);
        [
            counted(n_replicas, "replica that holds it", "replicas that hold it"),
            counted(self.attachments.0, "attachment", "attachments"),
            counted(self.n_rejected, "refused edit that is open", "refused edits that are open"),
            counted(self.n_conflicts, "conflict that is open", "conflicts that are open"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Store {
    /// What would be lost if a layer was not published any more.
    pub async fn unpublish_preview(&self, service: &Service, layer: &Layer) -> Result<Loss> {
        let mut session = self.session().await?;
        session.own().await?.loss(service, layer).await
    }

    /// Ends the publication of a layer: tracking is taken away, the table and its rows stay. Where replicas, attachments or
    /// open entries of the books are lost by it ([`Loss::told`]), that must be asked for by `force`. Returns what was lost.
    pub async fn unpublish(&self, service: &str, layer_id: LayerId, force: bool) -> Result<Loss> {
        let service = self.service(service).await?;
        let layer = service
            .layer(layer_id)
            .ok_or_else(|| Error::NotFound(format!("service {} has no layer or table {layer_id}", service.name)))?;
        let mut session = self.session().await?;
        let mut tx = session.own().await?;
        // Whoever works with the table for long is not waited for with everybody else waiting behind.
        sqlx::query("-- lock_limit\nset local lock_timeout = '10s'").execute(tx.connection()).await?;
        // From here on, nobody makes a replica of it.
        sqlx::query("-- layer_lock\nselect from syncline.layer where layer_key = $1 for update")
            .bind(layer.key.0)
            .execute(tx.connection())
            .await?;
        let loss = tx.loss(&service, layer).await?;
        let told = loss.told();
        if !told.is_empty() && !force {
            return Err(Error::NotSupported(format!(
                "layer {layer_id} of {} is published with {}, which would be lost; see to them first, or lose them with force=true (on the command line: --force)",
                service.name,
                told.join(", ")
            )));
        }
        sqlx::query("-- replica_unregister_by_layer\nupdate syncline.replica set unregistered_at = now() where unregistered_at is null and replica_id in (select replica_id from syncline.replica_layer where layer_key = $1)")
            .bind(layer.key.0)
            .execute(tx.connection())
            .await?;
        for statement in statements(layer) {
            run(tx.connection(), &statement).await?;
        }
        sqlx::query("-- layer_delete\ndelete from syncline.layer where layer_key = $1")
            .bind(layer.key.0)
            .execute(tx.connection())
            .await?;
        tx.commit().await?;
        self.reload().await?;
        Ok(loss)
    }
}

/// What takes away what publishing has made beside the table.
fn statements(layer: &Layer) -> Vec<Ddl> {
    let mut statements = untrack(layer);
    if let Some(attachments) = &layer.attachments {
        statements.extend(untrack(attachments));
        statements.push(drop_attachment_table(layer.key));
    }
    statements
}

impl OwnTx<'_> {
    async fn loss(&mut self, service: &Service, layer: &Layer) -> Result<Loss> {
        let keys: Vec<i32> =
            std::iter::once(layer.key.0).chain(layer.attachments.iter().map(|one| one.key.0)).collect();
        let replicas = sqlx::query(
            "-- replicas_by_layer
             select replica_id from syncline.replica_layer join syncline.replica using (replica_id)
             where layer_key = $1 and unregistered_at is null order by replica_id",
        )
        .bind(layer.key.0)
        .fetch_all(self.connection())
        .await?;
        let open = sqlx::query(
            "-- open_entries_by_layer
             select (select count(*) from syncline.rejected_edit where service_id = $1 and layer_key = any($2) and state = 'open'),
               (select count(*) from syncline.conflict where service_id = $1 and layer_key = any($2) and restored_at is null)",
        )
        .bind(service.key.0)
        .bind(&keys)
        .fetch_one(self.connection())
        .await?;
        let of_layer = |key: LayerKey| {
            let ends = service.relationships.iter();
            ends.filter(move |one| one.origin == key || one.destination == key).map(|one| one.name.clone()).collect()
        };
        let mut changes = self.changes_size(layer).await?;
        if let Some(attachments) = &layer.attachments {
            let (n_changes, n_bytes) = self.changes_size(attachments).await?;
            changes = (changes.0 + n_changes, changes.1 + n_bytes);
        }
        Ok(Loss {
            replicas: replicas.iter().map(|row| Ok(ReplicaId(row.try_get(0)?))).collect::<Result<_>>()?,
            attachments: match &layer.attachments {
                Some(attachments) => self.attachments_size(attachments).await?,
                None => (0, 0),
            },
            n_rejected: open.try_get(0)?,
            n_conflicts: open.try_get(1)?,
            changes,
            relationships: of_layer(layer.key),
            definition: *layer.definition != Definition::default(),
        })
    }

    async fn attachments_size(&mut self, attachments: &Layer) -> Result<(i64, i64)> {
        let mut out = Fragment::new("-- attachments_size\nselect count(*), coalesce(sum(size_bytes), 0)::int8 from ");
        out.ident(&table(attachments));
        let row = out.query()?.fetch_one(self.connection()).await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }

    async fn changes_size(&mut self, layer: &Layer) -> Result<(i64, i64)> {
        let changes = change_table(layer.key);
        let row = sqlx::query("-- changes_there\nselect pg_total_relation_size(to_regclass($1))")
            .bind(changes.as_str())
            .fetch_one(self.connection())
            .await?;
        // It may be gone, which is a reason to unpublish the layer.
        let Some(n_bytes) = row.try_get::<Option<i64>, _>(0)? else { return Ok((0, 0)) };
        let mut out = Fragment::new("-- changes_size\nselect count(*) from (select from ");
        out.ident(&changes).sql(" limit ").bind(MOST_COUNTED).sql(") b");
        let row = out.query()?.fetch_one(self.connection()).await?;
        Ok((row.try_get(0)?, n_bytes))
    }
}
