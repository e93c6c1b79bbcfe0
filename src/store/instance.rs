//! Which installation serves the database: a copy is told from a restored original by what the data directory knows.

use sqlx::Row as _;
use uuid::Uuid;

use crate::{error::Result, model::id::ReplicaId};

use super::Store;

impl Store {
    /// Begins to serve the database, for a server whose data directory has this id of an installation, if any. Returns the id to keep
    /// there. If the database is elsewhere than before and the server is not one that served it, it is a copy: the id is a
    /// new one, and the replicas that it has are foreign.
    pub async fn begin_serving(&self, held: Option<Uuid>) -> Result<Uuid> {
        let row = sqlx::query("-- instance_begin_serving\nselect syncline.begin_serving($1)")
            .bind(held)
            .fetch_one(self.pool())
            .await?;
        Ok(row.try_get(0)?)
    }

    /// How many replicas were made by the original of the database, of which this one is a copy.
    pub async fn foreign_replicas(&self) -> Result<i64> {
        let row = sqlx::query(
            "-- replica_count_foreign
             select count(*) from syncline.replica where instance_id <> syncline.instance() and unregistered_at is null",
        )
        .fetch_one(self.pool())
        .await?;
        Ok(row.try_get(0)?)
    }

    /// Makes foreign replicas this installation's own: one, or all. Returns those that it adopted.
    pub async fn adopt(&self, replica: Option<ReplicaId>) -> Result<Vec<ReplicaId>> {
        sqlx::query(
            "-- replica_adopt
             update syncline.replica set instance_id = syncline.instance()
             where instance_id <> syncline.instance() and unregistered_at is null and ($1::uuid is null or replica_id = $1)
             returning replica_id",
        )
        .bind(replica.map(|id| id.0))
        .fetch_all(self.pool())
        .await?
        .iter()
        .map(|row| Ok(ReplicaId(row.try_get(0)?)))
        .collect()
    }
}
