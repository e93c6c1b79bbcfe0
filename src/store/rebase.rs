//! What bringing a replica to a snapshot of its other side asks of the database.

use std::collections::HashSet;

use sqlx::Row as _;
use uuid::Uuid;

use crate::{
    error::Result,
    model::{
        id::{Generation, LayerKey, ReplicaId, ServiceKey},
        layer::Layer,
    },
    sql::rebase,
};

use super::WriteTx;

/// How many features are deleted at a time.
const ROWS_AT_ONCE: i64 = 5_000;

/// What was done to a layer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rebased {
    /// Features that were missing.
    pub(crate) n_added: i64,
    /// Features that were others.
    pub(crate) n_updated: i64,
    /// Features that the snapshot does not have.
    pub(crate) n_deleted: i64,
    /// Features that stayed as they are.
    pub(crate) n_kept: i64,
}

impl WriteTx<'_> {
    /// Begins to compare with a snapshot.
    pub(crate) async fn rebase_begin(&mut self) -> Result<()> {
        sqlx::query(
            "-- rebase_begin
             create temporary table syncline_rebase (layer_key integer, global_id uuid, kept boolean not null, primary key (layer_key, global_id))
             on commit drop",
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Has those features of a layer stay as they are that somebody else than the replica changed after a generation, and for
    /// attachments their features.
    pub(crate) async fn rebase_keep(
        &mut self,
        layer: &Layer,
        service: ServiceKey,
        replica: ReplicaId,
        after: Generation,
    ) -> Result<()> {
        rebase::keep_changed(layer, service.0, replica.0, after.get()).query()?.execute(self.connection()).await?;
        if let Some(features) = layer.attached_to {
            rebase::keep_features(layer, features).query()?.execute(self.connection()).await?;
        }
        Ok(())
    }

    /// Notes that the snapshot has these features. Returns those that stay as they are nevertheless.
    pub(crate) async fn rebase_held(&mut self, layer: LayerKey, ids: &[Uuid]) -> Result<HashSet<Uuid>> {
        let rows = sqlx::query(
            "-- rebase_held
             with kept as (select global_id from pg_temp.syncline_rebase where layer_key = $1 and kept and global_id = any($2)),
             noted as (insert into pg_temp.syncline_rebase select distinct $1, u.id, false from unnest($2) u(id) on conflict do nothing)
             select global_id from kept",
        )
        .bind(layer.0)
        .bind(ids)
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// The next features that the snapshot does not have and that need not stay, in the order of their global ids.
    pub(crate) async fn rebase_rest(&mut self, layer: &Layer, after: Option<Uuid>) -> Result<Vec<Uuid>> {
        let rows = self.rows(rebase::rest(layer, after, ROWS_AT_ONCE)).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Enters what was done to a layer into the books, under a batch.
    pub(crate) async fn rebase_book(&mut self, layer: &Layer, batch: i64) -> Result<Rebased> {
        let mark = self.mark();
        let row = rebase::receipts(layer, mark, batch).query()?.fetch_one(self.connection()).await?;
        let kept = sqlx::query(
            "-- rebase_count_kept\nselect count(*) from pg_temp.syncline_rebase where layer_key = $1 and kept",
        )
        .bind(layer.key.0)
        .fetch_one(self.connection())
        .await?;
        Ok(Rebased {
            n_added: row.try_get(0)?,
            n_updated: row.try_get(1)?,
            n_deleted: row.try_get(2)?,
            n_kept: kept.try_get(0)?,
        })
    }

    /// Notes what of the other side is here now. It may be less than before, where the other side was restored.
    pub(crate) async fn rebase_reach(
        &mut self,
        replica: ReplicaId,
        layer: LayerKey,
        sibling: Generation,
    ) -> Result<()> {
        sqlx::query(
            "-- rebase_reach\nupdate syncline.replica_layer set sib_generation = $3 where replica_id = $1 and layer_key = $2",
        )
        .bind(replica.0)
        .bind(layer.0)
        .bind(sibling.get())
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Lets the other side go on from what it has of this one, where that is of a past that a restore has taken away: it has
    /// everything of that past, and what came after it is still to be sent.
    pub(crate) async fn rebase_forgive(
        &mut self,
        replica: ReplicaId,
        layer: LayerKey,
        received: Generation,
    ) -> Result<()> {
        sqlx::query(
            "-- rebase_forgive
             update syncline.replica_layer l set base = greatest(l.base, e.lost_upto)
             from (select max(lost_upto) as lost_upto from syncline.epoch where lost_after < $3 and $3 <= lost_upto) e
             where l.replica_id = $1 and l.layer_key = $2 and e.lost_upto is not null",
        )
        .bind(replica.0)
        .bind(layer.0)
        .bind(received.get())
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
