//! Who users are at identity providers.

use sqlx::Row as _;

use crate::{
    error::{Error, Result},
    model::principal::UserName,
};

use super::OwnTx;

/// A user for whom a provider vouches.
#[derive(Clone, Debug)]
pub(crate) struct Vouched {
    /// The key of the account.
    pub(crate) account: i32,
    /// The name.
    pub(crate) name: String,
    /// Whether the user may sign in.
    pub(crate) enabled: bool,
    /// The names of their roles.
    pub(crate) roles: Vec<String>,
}

/// Who a user is at a provider.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// The provider, as it names itself.
    pub(crate) issuer: String,
    /// The person, as the provider names them.
    pub(crate) subject: String,
    /// The name of the user.
    pub(crate) user: String,
    /// When they last signed in that way, in milliseconds since 1970; `None`: never.
    pub(crate) last_used_ms: Option<i64>,
}

impl OwnTx<'_> {
    /// The user whom a provider knows as `subject`, who is noted to sign in now.
    pub(crate) async fn identity_find(&mut self, issuer: &str, subject: &str) -> Result<Option<Vouched>> {
        let row = sqlx::query(
            "-- identity_find
             with used as (update syncline.identity set last_used_at = now() where issuer = $1 and subject = $2 returning account_id)
             select a.account_id, a.name, a.enabled,
               array(select m.role from syncline.account_role m where m.account_id = a.account_id order by m.role) as roles
             from used join syncline.account a using (account_id)",
        )
        .bind(issuer)
        .bind(subject)
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| {
            Ok(Vouched {
                account: row.try_get("account_id")?,
                name: row.try_get("name")?,
                enabled: row.try_get("enabled")?,
                roles: row.try_get("roles")?,
            })
        })
        .transpose()
    }

    /// Whether a user is somebody of a provider.
    pub(crate) async fn identity_is_of(&mut self, issuer: &str, user: &UserName) -> Result<bool> {
        let row = sqlx::query(
            "-- identity_is_of
             select exists (select from syncline.identity i join syncline.account a using (account_id)
               where i.issuer = $1 and lower(a.name) = lower($2))",
        )
        .bind(issuer)
        .bind(user.as_str())
        .fetch_one(self.connection())
        .await?;
        Ok(row.try_get(0)?)
    }

    /// Notes who a user is at a provider. One person there is one user here.
    pub(crate) async fn identity_add(&mut self, issuer: &str, subject: &str, account: i32) -> Result<()> {
        let row = sqlx::query(
            "-- identity_add
             insert into syncline.identity (issuer, subject, account_id) values ($1, $2, $3)
             on conflict (issuer, subject) do update set issuer = excluded.issuer
             returning account_id, (select name from syncline.account a where a.account_id = identity.account_id) as name",
        )
        .bind(issuer)
        .bind(subject)
        .bind(account)
        .fetch_one(self.connection())
        .await?;
        if row.try_get::<i32, _>("account_id")? == account {
            return Ok(());
        }
        let name: String = row.try_get("name")?;
        Err(Error::invalid(
            "subject",
            format!("it is the user {name} already; end that first with: syncline user unlink {name}"),
        ))
    }

    /// Forgets who a user is at providers, and says how many identities there were.
    pub(crate) async fn identity_remove(&mut self, account: i32) -> Result<u64> {
        let removed = sqlx::query("-- identity_remove\ndelete from syncline.identity where account_id = $1")
            .bind(account)
            .execute(self.connection())
            .await?;
        Ok(removed.rows_affected())
    }

    /// Who users are at providers, by name; at most 10,000.
    pub(crate) async fn identity_list(&mut self) -> Result<Vec<Link>> {
        let rows = sqlx::query(
            "-- identity_list
             select i.issuer, i.subject, a.name, (extract(epoch from i.last_used_at) * 1000)::int8 as last_used_ms
             from syncline.identity i join syncline.account a using (account_id) order by lower(a.name), i.issuer limit 10000",
        )
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Link {
                    issuer: row.try_get("issuer")?,
                    subject: row.try_get("subject")?,
                    user: row.try_get("name")?,
                    last_used_ms: row.try_get("last_used_ms")?,
                })
            })
            .collect()
    }
}
