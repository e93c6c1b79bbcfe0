//! Epochs: whether the database still is where it was, and what that means for the numbers that clients hold.

use sqlx::Row as _;

use crate::error::{Error, Result};

use super::Store;

/// An epoch, as it is told to people.
#[derive(Clone, Debug)]
pub struct Epoch {
    /// Its number.
    pub id: i32,
    /// Generations after this one …
    pub lost_after: i64,
    /// … up to this one are of a lost past.
    pub lost_upto: i64,
    /// Why it began.
    pub reason: String,
    /// When, as text.
    pub began_at: String,
}

impl Store {
    /// Begins an epoch if the database is not where it was when the last one began, and sees to it that no generation is
    /// given twice. Done whenever the database is opened, and now and then; the database itself does it before it gives a
    /// number.
    pub async fn settle(&self) -> Result<()> {
        let began: bool =
            sqlx::query("-- epoch_settle\nselect syncline.settle()").fetch_one(self.pool()).await?.try_get(0)?;
        if began && let Some(epoch) = self.epochs().await?.pop() {
            if epoch.lost_upto > epoch.lost_after {
                tracing::warn!(
                    epoch = epoch.id,
                    lost_after = epoch.lost_after,
                    lost_upto = epoch.lost_upto,
                    reason = epoch.reason,
                    "a new epoch began: clients that hold a generation in between are told to take all rows anew; all others go on"
                );
            } else {
                tracing::info!(epoch = epoch.id, "the first epoch began");
            }
        }
        let row = sqlx::query(
            "-- sequence_check
             select g.last_value, greatest((select max(generation) from syncline.txn), (select max(history_from) from syncline.service), 0),
               has_function_privilege('pg_control_system()', 'execute')
             from syncline.generation g",
        )
        .fetch_one(self.pool())
        .await?;
        let (last, highest): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        if last < highest {
            // Tables were restored, and the sequence was not.
            tracing::warn!(
                last,
                highest,
                "the sequence of generations stood below what was given already; it was raised"
            );
            self.begin_epoch("the sequence of generations stood below what had been given already").await?;
        }
        if !row.try_get::<bool, _>(2)? {
            tracing::warn!(
                "the database role may not call pg_control_system(): a restore into another cluster is only recognised by its timeline \
                 and database; grant execute on function pg_control_system() to it, or run syncline epoch begin after a restore"
            );
        }
        Ok(())
    }

    /// Begins an epoch because somebody says so: after a restore that nothing in the database shows, such as a copy of its files.
    pub async fn begin_epoch(&self, reason: &str) -> Result<Epoch> {
        let mut session = self.session().await?;
        let mut tx = session.own().await?;
        sqlx::query("-- epoch_begin\nselect syncline.begin_epoch($1)").bind(reason).execute(tx.connection()).await?;
        tx.commit().await?;
        self.epochs().await?.pop().ok_or_else(|| Error::internal("beginning an epoch", "it is not there"))
    }

    /// All epochs, in their order.
    pub async fn epochs(&self) -> Result<Vec<Epoch>> {
        sqlx::query("-- epoch_list\nselect epoch_id, lost_after, lost_upto, reason, to_char(began_at, 'YYYY-MM-DD HH24:MI:SS') from syncline.epoch order by epoch_id")
            .fetch_all(self.pool())
            .await?
            .iter()
            .map(|row| {
                Ok(Epoch {
                    id: row.try_get(0)?,
                    lost_after: row.try_get(1)?,
                    lost_upto: row.try_get(2)?,
                    reason: row.try_get(3)?,
                    began_at: row.try_get(4)?,
                })
            })
            .collect()
    }
}
