//! Keys of programs, and what was granted of services, as they are administered.

use sqlx::Row as _;

use crate::{
    error::{Error, Result},
    model::{
        account::{Grant, Grantee, Key},
        id::ServiceKey,
        principal::Access,
    },
};

use super::OwnTx;

impl OwnTx<'_> {
    /// Makes a key that counts for some days, or for ever. The role must be there.
    pub(crate) async fn key_add(
        &mut self,
        name: &str,
        digest: &[u8],
        role: &str,
        services: Option<&[ServiceKey]>,
        days: Option<i32>,
    ) -> Result<()> {
        self.role_require(role).await?;
        let services: Option<Vec<i32>> = services.map(|services| services.iter().map(|key| key.0).collect());
        let added = sqlx::query(
            "-- key_add
             insert into syncline.api_key (name, digest, role, services, expires_at)
             values ($1, $2, lower($3), $4, now() + $5 * interval '1 day') on conflict do nothing",
        )
        .bind(name)
        .bind(digest)
        .bind(role)
        .bind(services)
        .bind(days)
        .execute(self.connection())
        .await?;
        match added.rows_affected() {
            0 => Err(Error::invalid("name", format!("there is a key '{name}' already; revoke it first"))),
            _ => Ok(()),
        }
    }

    /// All keys, by name.
    pub(crate) async fn key_list(&mut self) -> Result<Vec<Key>> {
        let rows = sqlx::query(
            "-- key_list
             select k.name, k.role,
               case when k.services is not null then array(select s.name from syncline.service s where s.service_id = any(k.services) order by s.name) end as services,
               (extract(epoch from k.created_at) * 1000)::int8 as created_ms, (extract(epoch from k.expires_at) * 1000)::int8 as expires_ms,
               (extract(epoch from k.last_used_at) * 1000)::int8 as last_used_ms
             from syncline.api_key k order by lower(k.name)",
        )
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Key {
                    name: row.try_get("name")?,
                    role: row.try_get("role")?,
                    services: row.try_get("services")?,
                    created_ms: row.try_get("created_ms")?,
                    expires_ms: row.try_get("expires_ms")?,
                    last_used_ms: row.try_get("last_used_ms")?,
                })
            })
            .collect()
    }

    /// Ends a key. False if there is none of this name.
    pub(crate) async fn key_remove(&mut self, name: &str) -> Result<bool> {
        let removed = sqlx::query("-- key_remove\ndelete from syncline.api_key where lower(name) = lower($1)")
            .bind(name)
            .execute(self.connection())
            .await?;
        Ok(removed.rows_affected() > 0)
    }

    /// Notes that a key is used, unless that was noted some minutes ago. False then.
    pub(super) async fn key_touch(&mut self, digest: &[u8]) -> Result<bool> {
        let touched = sqlx::query(
            "-- key_touch
             update syncline.api_key set last_used_at = now()
             where digest = $1 and (last_used_at is null or last_used_at < now() - interval '5 minutes')",
        )
        .bind(digest)
        .execute(self.connection())
        .await?;
        Ok(touched.rows_affected() > 0)
    }

    /// What was granted of a service, or of all.
    pub(crate) async fn grant_list(&mut self, service: Option<ServiceKey>) -> Result<Vec<Grant>> {
        let rows = sqlx::query(
            "-- grant_list
             select s.name as service, a.name as account, g.role, g.access
             from syncline.service_grant g join syncline.service s using (service_id) left join syncline.account a using (account_id)
             where $1::int is null or g.service_id = $1
             order by s.name, a.name is not null, g.role is not null, lower(a.name), g.role",
        )
        .bind(service.map(|key| key.0))
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| {
                let access: String = row.try_get("access")?;
                let to = match (row.try_get("account")?, row.try_get("role")?) {
                    (Some(user), _) => Grantee::User(user),
                    (None, Some(role)) => Grantee::Role(role),
                    (None, None) => Grantee::Anonymous,
                };
                let access = Access::from_name(&access).ok_or_else(|| Error::internal("reading a grant", access))?;
                Ok(Grant { service: row.try_get("service")?, to, access })
            })
            .collect()
    }

    /// Sets what somebody may do with a service; without `access`, nothing is said of them any more.
    pub(crate) async fn grant_set(
        &mut self,
        service: ServiceKey,
        account: Option<i32>,
        role: Option<&str>,
        access: Option<Access>,
    ) -> Result<()> {
        sqlx::query(
            "-- grant_remove
             delete from syncline.service_grant where service_id = $1
               and account_id is not distinct from $2 and role is not distinct from lower($3)",
        )
        .bind(service.0)
        .bind(account)
        .bind(role)
        .execute(self.connection())
        .await?;
        if let Some(access) = access {
            sqlx::query(
                "-- grant_add
                 insert into syncline.service_grant (service_id, account_id, role, access) values ($1, $2, lower($3), $4)",
            )
            .bind(service.0)
            .bind(account)
            .bind(role)
            .bind(access.name())
            .execute(self.connection())
            .await?;
        }
        Ok(())
    }
}
