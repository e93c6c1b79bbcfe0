//! Users and their roles, as they are administered; passwords and tokens, as they are made.

use sqlx::{Row as _, postgres::PgRow};

use crate::{
    error::{Error, Result},
    model::{
        account::{NamedRole, Token, User},
        principal::{self, Role, UserName},
    },
};

use super::{OwnTx, Store, accounts::Bound};

/// Keeps processes apart that start at once on a database without users.
const FIRST_ADMIN: i64 = 0x5359_4e43_4c49_4e45;

/// How many tokens a user has at most; the next one ends the oldest.
const MAX_TOKENS: i64 = 1000;

/// How many tokens the pages of a session have at most; the next one ends the oldest.
const MAX_PAGE_TOKENS: i64 = 200;

/// What there is to know of a user who wants to sign in.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    /// Its key.
    pub(crate) id: i32,
    /// Its name, as it was given.
    pub(crate) name: String,
    /// What is kept of the password.
    pub(crate) password_hash: Option<String>,
    /// Whether the user may sign in.
    pub(crate) enabled: bool,
}

/// A token that is to be kept.
#[derive(Clone, Debug)]
pub(crate) struct NewToken {
    /// Its SHA-256.
    pub(crate) digest: [u8; 32],
    /// Whom it stands for.
    pub(crate) account: i32,
    /// With what alone it counts.
    pub(crate) bound: Option<Bound>,
    /// What there is to know of the session, if it is the cookie of one.
    pub(crate) session: Option<NewSession>,
    /// For how many minutes it counts.
    pub(crate) minutes: i32,
    /// The address that asked for it.
    pub(crate) issued_to: String,
}

/// A session of pages that begins.
#[derive(Clone)]
pub(crate) struct NewSession {
    /// What its forms carry.
    pub(crate) csrf: String,
    /// What the identity provider said, if one has vouched; it is wanted when somebody signs out there.
    pub(crate) id_token: Option<String>,
}

impl std::fmt::Debug for NewSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewSession(…)")
    }
}

impl Store {
    /// Forgets what is remembered of users, tokens and keys, since it was changed.
    pub(crate) fn forget_accounts(&self) {
        self.accounts.forget();
    }
}

impl OwnTx<'_> {
    /// Waits for other processes that make the first user, and says whether there is any.
    pub(crate) async fn account_any_or_lock(&mut self) -> Result<bool> {
        if self.account_any().await? {
            return Ok(true);
        }
        sqlx::query("-- account_lock\nselect pg_advisory_xact_lock($1)")
            .bind(FIRST_ADMIN)
            .execute(self.connection())
            .await?;
        self.account_any().await
    }

    /// Whether there is a user at all.
    pub(crate) async fn account_any(&mut self) -> Result<bool> {
        let row = sqlx::query("-- account_any\nselect exists (select from syncline.account)")
            .fetch_one(self.connection())
            .await?;
        Ok(row.try_get(0)?)
    }

    /// The user with this name, for signing in.
    pub(crate) async fn account_find(&mut self, name: &UserName) -> Result<Option<Account>> {
        let row = sqlx::query(
            "-- account_find
             select account_id, name, password_hash, enabled from syncline.account where lower(name) = lower($1)",
        )
        .bind(name.as_str())
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| {
            Ok(Account {
                id: row.try_get("account_id")?,
                name: row.try_get("name")?,
                password_hash: row.try_get("password_hash")?,
                enabled: row.try_get("enabled")?,
            })
        })
        .transpose()
    }

    /// All users, by name.
    pub(crate) async fn account_list(&mut self) -> Result<Vec<User>> {
        let rows = sqlx::query(
            "-- account_list
             select a.name, a.enabled, a.password_hash is not null as has_password,
               (extract(epoch from a.created_at) * 1000)::int8 as created_ms,
               (select count(*) from syncline.token t where t.account_id = a.account_id and t.session_id is null and t.expires_at > now()) as n_tokens,
               array(select m.role from syncline.account_role m where m.account_id = a.account_id order by m.role) as roles
             from syncline.account a order by lower(a.name)",
        )
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(user).collect()
    }

    /// Makes a user.
    pub(crate) async fn account_add(&mut self, name: &UserName, password_hash: Option<&str>) -> Result<i32> {
        let row = sqlx::query(
            "-- account_add
             insert into syncline.account (name, password_hash, password_changed_at)
             values ($1, $2, case when $2 is not null then now() end) on conflict do nothing returning account_id",
        )
        .bind(name.as_str())
        .bind(password_hash)
        .fetch_optional(self.connection())
        .await?;
        let row = row.ok_or_else(|| {
            Error::invalid("name", format!("there is a user '{name}' already; names are compared without case"))
        })?;
        Ok(row.try_get(0)?)
    }

    /// Gives a user another password, or none.
    pub(crate) async fn account_set_password(&mut self, account: i32, password_hash: Option<&str>) -> Result<()> {
        sqlx::query(
            "-- account_set_password
             update syncline.account set password_hash = $2, password_changed_at = now() where account_id = $1",
        )
        .bind(account)
        .bind(password_hash)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Lets a user sign in, or not.
    pub(crate) async fn account_set_enabled(&mut self, account: i32, enabled: bool) -> Result<()> {
        sqlx::query("-- account_set_enabled\nupdate syncline.account set enabled = $2 where account_id = $1")
            .bind(account)
            .bind(enabled)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Removes a user, with their tokens and what was granted to them.
    pub(crate) async fn account_remove(&mut self, account: i32) -> Result<()> {
        sqlx::query("-- account_remove\ndelete from syncline.account where account_id = $1")
            .bind(account)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Gives a user these roles and no others. All must be there.
    pub(crate) async fn account_set_roles(&mut self, account: i32, roles: &[String]) -> Result<()> {
        sqlx::query("-- account_role_clear\ndelete from syncline.account_role where account_id = $1")
            .bind(account)
            .execute(self.connection())
            .await?;
        for role in roles {
            self.role_require(role).await?;
            sqlx::query(
                "-- account_role_add
                 insert into syncline.account_role (account_id, role) values ($1, lower($2)) on conflict do nothing",
            )
            .bind(account)
            .bind(role)
            .execute(self.connection())
            .await?;
        }
        Ok(())
    }

    /// Keeps other changes of users out until the transaction ends, so that two of them cannot together remove the last administrator.
    pub(crate) async fn account_lock_all(&mut self) -> Result<()> {
        sqlx::query(
            "-- account_lock_all\nlock table syncline.account, syncline.account_role in share row exclusive mode",
        )
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// How many users can sign in and may do everything.
    pub(crate) async fn account_count_admins(&mut self) -> Result<i64> {
        let row = sqlx::query(
            "-- account_count_admins
             select count(distinct a.account_id) from syncline.account a
               join syncline.account_role m using (account_id) join syncline.role r on r.name = m.role
             where a.enabled and r.level = 'admin'",
        )
        .fetch_one(self.connection())
        .await?;
        Ok(row.try_get(0)?)
    }

    /// All roles, those that always are there first.
    pub(crate) async fn role_list(&mut self) -> Result<Vec<NamedRole>> {
        let rows = sqlx::query(
            "-- role_list
             select r.name, r.level, r.built_in, (select count(*) from syncline.account_role m where m.role = r.name) as n_users
             from syncline.role r order by not r.built_in, array_position(array['viewer', 'editor', 'publisher', 'admin'], r.level), r.name",
        )
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| {
                let level: String = row.try_get("level")?;
                Ok(NamedRole {
                    name: row.try_get("name")?,
                    level: Role::from_name(&level).ok_or_else(|| Error::internal("reading a role", level))?,
                    built_in: row.try_get("built_in")?,
                    n_users: row.try_get("n_users")?,
                })
            })
            .collect()
    }

    /// Makes a role.
    pub(crate) async fn role_add(&mut self, name: &str, level: Role) -> Result<()> {
        let added = sqlx::query(
            "-- role_add\ninsert into syncline.role (name, level) values (lower($1), $2) on conflict do nothing",
        )
        .bind(name)
        .bind(level.name())
        .execute(self.connection())
        .await?;
        match added.rows_affected() {
            0 => Err(Error::invalid("name", format!("there is a role '{name}' already"))),
            _ => Ok(()),
        }
    }

    /// Removes a role that nobody has, with what was granted to it.
    pub(crate) async fn role_remove(&mut self, name: &str) -> Result<()> {
        let row = sqlx::query(
            "-- role_use
             select built_in, (select count(*) from syncline.account_role where role = r.name) as n_users,
               (select count(*) from syncline.api_key where role = r.name) as n_keys
             from syncline.role r where name = lower($1) for update",
        )
        .bind(name)
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Err(no_role(name)) };
        if row.try_get("built_in")? {
            return Err(Error::invalid("name", format!("the role '{name}' always is there and cannot be removed")));
        }
        let (n_users, n_keys): (i64, i64) = (row.try_get("n_users")?, row.try_get("n_keys")?);
        if n_users + n_keys > 0 {
            return Err(Error::invalid(
                "name",
                format!("{n_users} users and {n_keys} keys have the role '{name}'; give them another first"),
            ));
        }
        sqlx::query("-- role_remove\ndelete from syncline.role where name = lower($1)")
            .bind(name)
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Refuses the name of a role that is not there.
    pub(crate) async fn role_require(&mut self, name: &str) -> Result<()> {
        // What cannot be a name need not be looked for, and could not always be.
        principal::name(name).map_err(|_| no_role(name))?;
        let row = sqlx::query("-- role_require\nselect from syncline.role where name = lower($1)")
            .bind(name)
            .fetch_optional(self.connection())
            .await?;
        row.map(drop).ok_or_else(|| no_role(name))
    }

    /// Keeps a token, and returns when it stops counting, in milliseconds since 1970. The user's oldest ones go if there are too many.
    pub(crate) async fn token_add(&mut self, token: &NewToken) -> Result<i64> {
        let (bound_as, bound_to) = match &token.bound {
            None => (None, None),
            Some(Bound::Referer(to)) => (Some("referer"), Some(to.as_str())),
            Some(Bound::Ip(to)) => (Some("ip"), Some(to.as_str())),
        };
        let row = sqlx::query(
            "-- token_count\nselect count(*) from syncline.token where account_id = $1 and session_id is null",
        )
        .bind(token.account)
        .fetch_one(self.connection())
        .await?;
        let n_tokens: i64 = row.try_get(0)?;
        // Only then: whatever is deleted makes all processes look at tokens anew.
        if n_tokens >= MAX_TOKENS {
            sqlx::query(
                "-- token_make_room
                 delete from syncline.token where token_id in
                   (select token_id from syncline.token where account_id = $1 and session_id is null order by token_id desc offset $2)",
            )
            .bind(token.account)
            .bind(MAX_TOKENS * 9 / 10)
            .execute(self.connection())
            .await?;
        }
        let row = sqlx::query(
            "-- token_add
             insert into syncline.token (digest, account_id, bound_as, bound_to, is_session, csrf, id_token, expires_at, issued_to)
             values ($1, $2, $3, $4, $5::text is not null, $5, $6, now() + $7 * interval '1 minute', $8)
             returning (extract(epoch from expires_at) * 1000)::int8",
        )
        .bind(token.digest.as_slice())
        .bind(token.account)
        .bind(bound_as)
        .bind(bound_to)
        .bind(token.session.as_ref().map(|session| &session.csrf))
        .bind(token.session.as_ref().and_then(|session| session.id_token.as_ref()))
        .bind(token.minutes)
        .bind(&token.issued_to)
        .fetch_one(self.connection())
        .await?;
        Ok(row.try_get(0)?)
    }

    /// Keeps a token for the scripts of a session's pages, which counts for some minutes and no longer than the session. Returns when it stops
    /// counting, in milliseconds since 1970; `None` if the session is over.
    pub(crate) async fn page_token_add(
        &mut self,
        session: &[u8],
        digest: &[u8],
        minutes: i32,
        issued_to: &str,
    ) -> Result<Option<i64>> {
        let row = sqlx::query(
            "-- page_token_count
             select count(*) from syncline.token t join syncline.token s on t.session_id = s.token_id where s.digest = $1",
        )
        .bind(session)
        .fetch_one(self.connection())
        .await?;
        // Only then, like above.
        if row.try_get::<i64, _>(0)? >= MAX_PAGE_TOKENS {
            sqlx::query(
                "-- page_token_make_room
                 delete from syncline.token where token_id in
                   (select t.token_id from syncline.token t join syncline.token s on t.session_id = s.token_id
                    where s.digest = $1 order by t.token_id desc offset $2)",
            )
            .bind(session)
            .bind(MAX_PAGE_TOKENS * 9 / 10)
            .execute(self.connection())
            .await?;
        }
        let row = sqlx::query(
            "-- page_token_add
             insert into syncline.token (digest, account_id, session_id, expires_at, issued_to)
             select $2, s.account_id, s.token_id, least(now() + $3 * interval '1 minute', s.expires_at), $4
             from syncline.token s where s.digest = $1 and s.is_session and s.expires_at > now()
             returning (extract(epoch from expires_at) * 1000)::int8",
        )
        .bind(session)
        .bind(digest)
        .bind(minutes)
        .bind(issued_to)
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| Ok(row.try_get(0)?)).transpose()
    }

    /// The tokens and sessions that count, of a user or of all, the newest first; at most 1,000.
    pub(crate) async fn token_list(&mut self, user: Option<&str>) -> Result<Vec<Token>> {
        let rows = sqlx::query(
            "-- token_list
             select t.token_id, a.name, t.is_session, t.bound_to, t.issued_to,
               (extract(epoch from t.created_at) * 1000)::int8 as created_ms, (extract(epoch from t.expires_at) * 1000)::int8 as expires_ms
             from syncline.token t join syncline.account a using (account_id)
             where t.expires_at > now() and t.session_id is null and ($1::text is null or lower(a.name) = lower($1))
             order by t.token_id desc limit 1000",
        )
        .bind(user)
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Token {
                    id: row.try_get("token_id")?,
                    user: row.try_get("name")?,
                    is_session: row.try_get("is_session")?,
                    bound_to: row.try_get("bound_to")?,
                    issued_to: row.try_get("issued_to")?,
                    created_ms: row.try_get("created_ms")?,
                    expires_ms: row.try_get("expires_ms")?,
                })
            })
            .collect()
    }

    /// Ends the token with this number. False if it counts no longer.
    pub(crate) async fn token_remove(&mut self, id: i32) -> Result<bool> {
        let removed = sqlx::query("-- token_remove\ndelete from syncline.token where token_id = $1")
            .bind(id)
            .execute(self.connection())
            .await?;
        Ok(removed.rows_affected() > 0)
    }

    /// Ends the token with this SHA-256, or the session with what belongs to it. Returns what the identity provider said when the session began,
    /// if it did.
    pub(crate) async fn token_remove_digest(&mut self, digest: &[u8]) -> Result<Option<String>> {
        let row =
            sqlx::query("-- token_remove_digest\ndelete from syncline.token where digest = $1 returning id_token")
                .bind(digest)
                .fetch_optional(self.connection())
                .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.flatten())
    }

    /// Ends all tokens and sessions of a user, and says how many.
    pub(crate) async fn token_remove_all(&mut self, account: i32) -> Result<u64> {
        let removed = sqlx::query("-- token_remove_all\ndelete from syncline.token where account_id = $1")
            .bind(account)
            .execute(self.connection())
            .await?;
        Ok(removed.rows_affected())
    }

    /// Forgets tokens that have expired, and says how many.
    pub(crate) async fn token_forget(&mut self) -> Result<u64> {
        let removed =
            sqlx::query("-- token_forget\ndelete from syncline.token where expires_at < now() - interval '1 hour'")
                .execute(self.connection())
                .await?;
        Ok(removed.rows_affected())
    }
}

fn user(row: &PgRow) -> Result<User> {
    let name: String = row.try_get("name")?;
    Ok(User {
        name: UserName::parse(&name)
            .map_err(|problem| Error::internal(format!("reading the account '{name}'"), problem))?,
        enabled: row.try_get("enabled")?,
        roles: row.try_get("roles")?,
        has_password: row.try_get("has_password")?,
        n_tokens: row.try_get("n_tokens")?,
        created_ms: row.try_get("created_ms")?,
    })
}

fn no_role(name: &str) -> Error {
    Error::invalid(
        "role",
        format!("there is no role '{}'; syncline role list shows them", crate::model::value::brief(name)),
    )
}
