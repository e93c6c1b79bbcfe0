//! What one user may have, so that nobody takes what is there for all.

use sqlx::Row as _;

use crate::{
    config::Config,
    error::{Error, Result},
    model::{layer::Service, principal::Access},
};

use super::OwnTx;

/// A limit on what whoever asks may have, if there is one.
pub(crate) fn limit(config: &Config, service: &Service, of_user: u64) -> Option<u64> {
    let caller = &service.caller;
    match (caller.access, caller.principal.is_anonymous()) {
        (Access::Manage, _) => None,
        _ if of_user == 0 => None,
        (_, false) => Some(of_user),
        // Nobody knows how many they are; together they have a tenth of what a user may have.
        (_, true) => config.limit_anonymous.then_some((of_user / 10).max(1)),
    }
}

/// Who has too much of something, for the error.
pub(crate) fn over(service: &Service, what: &str, setting: &str, limit: u64, next: &str) -> Error {
    let who = match service.caller.principal.is_anonymous() {
        true => "Who did not sign in has".to_owned(),
        false => format!("User {} has", service.caller.name()),
    };
    Error::OverQuota(format!("{who} {what}, and the most is {limit} ({setting}); {next}"))
}

impl OwnTx<'_> {
    /// Refuses one replica more to somebody who has as many as they may. Nobody else gets one in the same name until the transaction ends.
    pub(crate) async fn quota_replicas(&mut self, config: &Config, service: &Service) -> Result<()> {
        let Some(most) = limit(config, service, config.max_user_replicas.into()) else { return Ok(()) };
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
        Err(over(
            service,
            &format!("{n_replicas} replicas"),
            "max_user_replicas",
            most,
            "unregister those that are no longer needed (unRegisterReplica), which the resource replicas lists",
        ))
    }

    /// Refuses one job more to somebody of whom as many wait as may.
    pub(crate) async fn quota_jobs(&mut self, config: &Config, service: &Service) -> Result<()> {
        let Some(most) = limit(config, service, config.max_user_waiting_jobs.into()) else { return Ok(()) };
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
        Err(over(service, &what, "max_user_waiting_jobs", most, "ask again when some of them have ended"))
    }

    async fn quota_lock(&mut self, service: &Service) -> Result<()> {
        sqlx::query("-- quota_lock\nselect pg_advisory_xact_lock(1398361672, hashtext(lower($1)))")
            .bind(service.caller.name())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
