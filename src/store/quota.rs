//! What users have, held against what they may have.

use sqlx::Row as _;

use crate::{
    error::{Error, Result},
    model::{layer::Service, quota::Quotas},
};

use super::OwnTx;

impl OwnTx<'_> {
    /// Refuses one replica more to somebody who has as many as they may. Nobody else gets one in the same name until the transaction ends.
    pub(crate) async fn quota_replicas(&mut self, quotas: &Quotas, service: &Service) -> Result<()> {
        let Some(most) = quotas.most(&service.caller, quotas.replicas) else { return Ok(()) };
        self.quota_lock(service).await?;
        let row = sqlx::query(
            "-- quota_replicas
             select count(*) from syncline.replica where unregistered_at is null and lower(owner) = lower($1)",
        )
        .bind(service.caller.name())
        .fetch_one(self.connection())
        .await?;
        let n_replicas = row.try_get::<i64, _>(0)?.cast_unsigned();
        if n_replicas < most {
            return Ok(());
        }
        Err(Error::OverQuota(Quotas::over(
            &service.caller,
            &format!("{n_replicas} replicas"),
            ("max_user_replicas", most),
            "unregister those that are no longer needed (unRegisterReplica), which the resource replicas lists",
        )))
    }

    /// Refuses one job more to somebody of whom as many wait as may.
    pub(crate) async fn quota_jobs(&mut self, quotas: &Quotas, service: &Service) -> Result<()> {
        let Some(most) = quotas.most(&service.caller, quotas.waiting_jobs) else { return Ok(()) };
        self.quota_lock(service).await?;
        let row = sqlx::query(
            "-- quota_jobs
             select count(*) from syncline.job where state = 'Pending' and ended_at is null and lower(owner) = lower($1)",
        )
        .bind(service.caller.name())
        .fetch_one(self.connection())
        .await?;
        let n_jobs = row.try_get::<i64, _>(0)?.cast_unsigned();
        if n_jobs < most {
            return Ok(());
        }
        let what = format!("{n_jobs} jobs that wait to be begun");
        let next = "ask again when some of them have ended";
        Err(Error::OverQuota(Quotas::over(&service.caller, &what, ("max_user_waiting_jobs", most), next)))
    }

    async fn quota_lock(&mut self, service: &Service) -> Result<()> {
        sqlx::query("-- quota_lock\nselect pg_advisory_xact_lock(1398361672, hashtext(lower($1)))")
            .bind(service.caller.name())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
