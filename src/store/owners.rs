//! Whom replicas belong to, and who users are that do not ask at this moment.

use std::sync::Arc;

use sqlx::Row as _;
use uuid::Uuid;

use crate::{
    error::{Error, Result},
    model::{
        id::{ReplicaId, ServiceKey},
        principal::{Principal, Role, UserName},
        value::brief,
    },
};

use super::{OwnTx, Store};

/// Which replicas are given to somebody.
#[derive(Clone, Debug)]
pub enum Given {
    /// One.
    One(ReplicaId),
    /// All of a user, who may have been removed.
    AllOf(String),
}

impl Store {
    /// Gives replicas to a user; to anybody who may use their service, if none is named. Returns which.
    pub async fn give_replicas(&self, which: &Given, to: Option<&str>) -> Result<Vec<ReplicaId>> {
        let mut session = self.session().await?;
        let mut tx = session.own().await?;
        if let Some(user) = to
            && tx.principal_find(user).await?.is_none()
        {
            return Err(Error::NotFound(format!(
                "there is no user '{}'; syncline user list names those that there are",
                brief(user)
            )));
        }
        let (id, from) = match which {
            Given::One(id) => (Some(id.0), None),
            Given::AllOf(user) => (None, Some(user.as_str())),
        };
        let given: Vec<ReplicaId> = sqlx::query(
            "-- replica_give
             update syncline.replica set owner = $3
             where unregistered_at is null and ($1::uuid is null or replica_id = $1) and ($2::text is null or lower(owner) = lower($2))
             returning replica_id",
        )
        .bind(id)
        .bind(from)
        .bind(to.unwrap_or_default())
        .fetch_all(tx.connection())
        .await?
        .iter()
        .map(|row| Ok(ReplicaId(row.try_get::<Uuid, _>(0)?)))
        .collect::<Result<_>>()?;
        if let (Given::One(id), true) = (which, given.is_empty()) {
            return Err(Error::ReplicaNotFound { id: id.to_string() });
        }
        tx.commit().await?;
        tracing::info!(
            ?which,
            to = to.unwrap_or_default(),
            n_replicas = given.len(),
            "replicas were given to somebody"
        );
        Ok(given)
    }
}

impl OwnTx<'_> {
    /// The user, or the key of a program, with this name; `None` if there is none, or no longer.
    pub(crate) async fn principal_find(&mut self, name: &str) -> Result<Option<Principal>> {
        let row = sqlx::query(
            "-- principal_find
             select a.name, coalesce(array_agg(r.name order by r.name) filter (where r.name is not null), '{}'),
               coalesce(array_agg(r.level) filter (where r.name is not null), '{}'), null::int4[]
             from syncline.account a left join syncline.account_role m using (account_id) left join syncline.role r on r.name = m.role
             where lower(a.name) = lower($1) group by a.name
             union all select 'key:' || k.name, array[r.name], array[r.level], k.services
             from syncline.api_key k join syncline.role r on r.name = k.role where lower('key:' || k.name) = lower($1)
             limit 1",
        )
        .bind(name)
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let name: String = row.try_get(0)?;
        let levels: Vec<String> = row.try_get(2)?;
        let services: Option<Vec<i32>> = row.try_get(3)?;
        let user = match name.strip_prefix("key:") {
            Some(key) => UserName::of_key(key),
            None => UserName::parse(&name).map_err(|problem| Error::internal("reading a user", problem))?,
        };
        Ok(Some(Principal {
            user: Some(user),
            role: levels.iter().filter_map(|level| Role::from_name(level)).max(),
            roles: row.try_get::<Vec<String>, _>(1)?.into(),
            only: services.map(|services| services.into_iter().map(ServiceKey).collect::<Arc<[ServiceKey]>>()),
        }))
    }
}
