//! Users, roles, tokens and keys.
//!
//! What was found out about a token is remembered, so that not every request asks the database.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::{Row as _, postgres::PgRow};

use crate::{
    error::{Error, Result},
    model::{
        id::ServiceKey,
        principal::{Principal, Role, UserName},
    },
};

use super::{OwnTx, Store};

/// For how long a token is remembered if the process hears of no change: as long as a revoked one may count where the connection that
/// tells of changes is broken.
const REMEMBERED: Duration = Duration::from_secs(10);

/// How many tokens are remembered.
const MAX_REMEMBERED: usize = 10_000;

/// A token or key that the database has, and whom it stands for.
#[derive(Clone, Debug)]
pub(crate) struct KnownToken {
    /// Whom it stands for.
    pub(crate) principal: Principal,
    /// When it stops counting, in milliseconds since 1970; `None`: never.
    pub(crate) expires_ms: Option<i64>,
    /// The only referer or address with which it counts.
    pub(crate) bound: Option<Bound>,
    /// What the forms of its session carry, if it is the cookie of one.
    pub(crate) csrf: Option<String>,
}

/// With what alone a token counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// Requests from pages of this address.
    Referer(String),
    /// Requests from this address of the network.
    Ip(String),
}

/// What a process remembers of tokens and keys, by their SHA-256.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    /// How often it was all forgotten.
    n_forgotten: u64,
    found: HashMap<[u8; 32], (Instant, Arc<KnownToken>)>,
    /// Whether there are users, and since when that is known.
    has_accounts: Option<(Instant, bool)>,
}

impl Known {
    /// Forgets everything: something about users, tokens or keys has changed.
    pub(super) fn forget(&self) {
        let mut remembered = self.lock();
        remembered.n_forgotten += 1;
        remembered.found.clear();
        remembered.has_accounts = None;
    }

    /// What is remembered, or how often everything was forgotten.
    fn get(&self, digest: &[u8; 32]) -> std::result::Result<Arc<KnownToken>, u64> {
        let remembered = self.lock();
        match remembered.found.get(digest) {
            Some((since, known)) if since.elapsed() < REMEMBERED => Ok(Arc::clone(known)),
            _ => Err(remembered.n_forgotten),
        }
    }

    /// Remembers what was read after everything had been forgotten `n_forgotten` times, unless something has changed since.
    fn put(&self, digest: [u8; 32], n_forgotten: u64, known: &Arc<KnownToken>) {
        let mut remembered = self.lock();
        if remembered.n_forgotten != n_forgotten {
            return;
        }
        if remembered.found.len() >= MAX_REMEMBERED {
            remembered.found.clear();
        }
        remembered.found.insert(digest, (Instant::now(), Arc::clone(known)));
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Whether anybody can sign in, because there are users.
    pub(crate) async fn has_accounts(&self) -> Result<bool> {
        let known = self.accounts.lock().has_accounts;
        if let Some((since, known)) = known
            && (known || since.elapsed() < REMEMBERED)
        {
            return Ok(known);
        }
        let known = self.session().await?.own().await?.account_any().await?;
        self.accounts.lock().has_accounts = Some((Instant::now(), known));
        Ok(known)
    }

    /// The token with this SHA-256, if it counts. What was true some seconds ago is taken for true, unless the process has heard of a change.
    pub(crate) async fn token(&self, digest: &[u8; 32]) -> Result<Option<Arc<KnownToken>>> {
        let n_forgotten = match self.accounts.get(digest) {
            Ok(known) => return Ok(Some(known)),
            Err(n_forgotten) => n_forgotten,
        };
        let found = self.session().await?.own().await?.token_find(digest).await?.map(Arc::new);
        Ok(found.inspect(|known| self.accounts.put(*digest, n_forgotten, known)))
    }

    /// The user for whom a provider vouches by the token with this SHA-256, likewise.
    pub(crate) async fn vouched(
        &self,
        digest: &[u8; 32],
        issuer: &str,
        subject: &str,
    ) -> Result<Option<Arc<KnownToken>>> {
        let n_forgotten = match self.accounts.get(digest) {
            Ok(known) => return Ok(Some(known)),
            Err(n_forgotten) => n_forgotten,
        };
        let found = self.session().await?.own().await?.vouched_find(issuer, subject).await?.map(Arc::new);
        Ok(found.inspect(|known| self.accounts.put(*digest, n_forgotten, known)))
    }

    /// The key with this SHA-256, likewise.
    pub(crate) async fn key(&self, digest: &[u8; 32]) -> Result<Option<Arc<KnownToken>>> {
        let n_forgotten = match self.accounts.get(digest) {
            Ok(known) => return Ok(Some(known)),
            Err(n_forgotten) => n_forgotten,
        };
        let mut session = self.session().await?;
        let mut tx = session.own().await?;
        let found = tx.key_find(digest).await?.map(Arc::new);
        if found.is_some() && tx.key_touch(digest).await? {
            tx.do_not_wait_for_disk().await?;
            tx.commit().await?;
        }
        Ok(found.inspect(|known| self.accounts.put(*digest, n_forgotten, known)))
    }
}

impl OwnTx<'_> {
    /// The token with this SHA-256, if it has not expired and its user may sign in.
    pub(crate) async fn token_find(&mut self, digest: &[u8]) -> Result<Option<KnownToken>> {
        let row = sqlx::query(
            "-- token_find
             select a.name, t.bound_as, t.bound_to, t.csrf, (extract(epoch from t.expires_at) * 1000)::int8 as expires_ms,
               coalesce(array_agg(r.name order by r.name) filter (where r.name is not null), '{}') as roles,
               coalesce(array_agg(r.level) filter (where r.level is not null), '{}') as levels
             from syncline.token t join syncline.account a using (account_id)
               left join syncline.account_role m using (account_id) left join syncline.role r on r.name = m.role
             where t.digest = $1 and t.expires_at > now() and a.enabled
             group by t.token_id, a.account_id",
        )
        .bind(digest)
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let name: String = row.try_get("name")?;
        let bound = match (row.try_get::<Option<String>, _>("bound_as")?.as_deref(), row.try_get("bound_to")?) {
            (Some("referer"), Some(to)) => Some(Bound::Referer(to)),
            (Some(_), Some(to)) => Some(Bound::Ip(to)),
            _ => None,
        };
        Ok(Some(KnownToken {
            principal: principal(&row, UserName::parse(&name).map_err(|problem| unreadable(&name, problem))?)?,
            expires_ms: row.try_get("expires_ms")?,
            bound,
            csrf: row.try_get("csrf")?,
        }))
    }

    /// The user whom a provider knows as `subject`, if they may do anything here.
    pub(crate) async fn vouched_find(&mut self, issuer: &str, subject: &str) -> Result<Option<KnownToken>> {
        let row = sqlx::query(
            "-- vouched_find
             select a.name, coalesce(array_agg(r.name order by r.name) filter (where r.name is not null), '{}') as roles,
               coalesce(array_agg(r.level) filter (where r.level is not null), '{}') as levels
             from syncline.identity i join syncline.account a using (account_id)
               left join syncline.account_role m using (account_id) left join syncline.role r on r.name = m.role
             where i.issuer = $1 and i.subject = $2 and a.enabled
             group by a.account_id",
        )
        .bind(issuer)
        .bind(subject)
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let name: String = row.try_get("name")?;
        let principal = principal(&row, UserName::parse(&name).map_err(|problem| unreadable(&name, problem))?)?;
        Ok(Some(KnownToken { principal, expires_ms: None, bound: None, csrf: None }))
    }

    /// The key with this SHA-256, if it has not expired.
    pub(crate) async fn key_find(&mut self, digest: &[u8]) -> Result<Option<KnownToken>> {
        let row = sqlx::query(
            "-- key_find
             select k.name, k.services, (extract(epoch from k.expires_at) * 1000)::int8 as expires_ms, array[r.name] as roles, array[r.level] as levels
             from syncline.api_key k join syncline.role r on r.name = k.role
             where k.digest = $1 and (k.expires_at is null or k.expires_at > now())",
        )
        .bind(digest)
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let services: Option<Vec<i32>> = row.try_get("services")?;
        let principal = principal(&row, UserName::of_key(row.try_get("name")?))?;
        Ok(Some(KnownToken {
            principal: Principal {
                only: services.map(|services| services.into_iter().map(ServiceKey).collect()),
                ..principal
            },
            expires_ms: row.try_get("expires_ms")?,
            bound: None,
            csrf: None,
        }))
    }
}

fn principal(row: &PgRow, user: UserName) -> Result<Principal> {
    let levels: Vec<String> = row.try_get("levels")?;
    let roles: Vec<String> = row.try_get("roles")?;
    // Who is in no role is known by name, and may what was granted to that.
    let role = levels.iter().filter_map(|level| Role::from_name(level)).max().unwrap_or(Role::Viewer);
    Ok(Principal { user: Some(user), role: Some(role), roles: roles.into(), only: None })
}

fn unreadable(name: &str, problem: String) -> Error {
    Error::internal(format!("reading the account '{name}'"), problem)
}
