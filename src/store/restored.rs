//! A database that was just loaded from a backup.

use sqlx::Row as _;

use crate::error::Result;

use super::Store;

impl Store {
    /// The time, and the major version of the server.
    pub(crate) async fn now_and_version(&self) -> Result<(String, u32)> {
        let row = sqlx::query(
            "-- now_and_version
             select to_char(now(), 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), current_setting('server_version_num')::int / 10000",
        )
        .fetch_one(self.pool())
        .await?;
        let major: i32 = row.try_get(1)?;
        Ok((row.try_get(0)?, major.unsigned_abs()))
    }

    /// Whether the database has Syncline's tables.
    pub(crate) async fn has_schema(&self) -> Result<bool> {
        let row = sqlx::query("-- schema_find\nselect to_regnamespace('syncline') is not null")
            .fetch_one(self.pool())
            .await?;
        Ok(row.try_get(0)?)
    }

    /// Takes up what was restored from a backup: brings the schema up to date and begins an epoch, so that numbers that were given after the
    /// backup are not given again. `as_copy`: the original lives on, so that its replicas are strangers here.
    pub(crate) async fn take_up_restored(&self, taken_at: &str, as_copy: bool) -> Result<()> {
        self.migrate().await?;
        // Said rather than left to be found out: a new cluster may look like the old one to who may not ask it for its name.
        self.begin_epoch(&format!("restored from a backup of {taken_at}")).await?;
        if as_copy {
            let mut session = self.session().await?;
            let mut tx = session.own().await?;
            sqlx::query("-- instance_renew\nupdate syncline.instance set instance_id = gen_random_uuid()")
                .execute(tx.connection())
                .await?;
            tx.commit().await?;
        }
        sqlx::query("analyze").execute(self.pool()).await?;
        self.reload().await
    }
}
