//! What administrators do about roles, keys, tokens and grants.

use crate::{
    app::App,
    error::{Error, Result},
    model::{
        account::Grantee,
        id::ServiceKey,
        layer::Service,
        principal::{self, Access, Role, UserName},
    },
    store::Store,
};

use super::{KEY_PREFIX, secret};

/// A key that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct NewKey {
    /// The name.
    pub(crate) name: String,
    /// The name of its role.
    pub(crate) role: String,
    /// The names of the services that it is limited to; none: all.
    pub(crate) services: Vec<String>,
    /// For how many days it counts; `None`: until it is revoked.
    pub(crate) days: Option<i32>,
}

fn parse_name(text: &str) -> Result<&str> {
    principal::name(text).map_err(|problem| Error::invalid("name", problem))
}

/// Makes a key, and returns it; it is nowhere else.
pub(crate) async fn add_key(app: &App, new: &NewKey) -> Result<String> {
    let name = parse_name(&new.name)?;
    if new.days.is_some_and(|days| !(1..=36_500).contains(&days)) {
        return Err(Error::invalid("expires", "a key counts for 1 to 36500 days, or until it is revoked"));
    }
    let mut services: Vec<ServiceKey> = Vec::new();
    for service in &new.services {
        services.push(app.store.service(service).await?.key);
    }
    let key = secret::token(KEY_PREFIX)?;
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let limited = Some(services.as_slice()).filter(|services| !services.is_empty());
    tx.key_add(name, &secret::digest(&key), &new.role, limited, new.days).await?;
    tx.commit().await?;
    Ok(key)
}

/// Ends a key at once.
pub(crate) async fn revoke_key(app: &App, name: &str) -> Result<()> {
    let name = parse_name(name)?;
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    if !tx.key_remove(name).await? {
        return Err(Error::NotFound(format!("Key '{name}' not found; syncline key list shows all")));
    }
    tx.commit().await?;
    app.store.forget_accounts();
    Ok(())
}

/// Ends a token or session at once, by its number.
pub(crate) async fn revoke_token(app: &App, id: i32) -> Result<()> {
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    if !tx.token_remove(id).await? {
        return Err(Error::NotFound(format!("Token {id} not found: it has expired, or was revoked before")));
    }
    tx.commit().await?;
    app.store.forget_accounts();
    Ok(())
}

/// Makes a role of one's own: a name for a group of users, who may do at least what the built-in role `level` may.
pub(crate) async fn add_role(app: &App, name: &str, level: Role) -> Result<()> {
    let name = parse_name(name)?;
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    tx.role_add(name, level).await?;
    tx.commit().await
}

/// Removes a role that nobody has, with what was granted to it.
pub(crate) async fn remove_role(app: &App, name: &str) -> Result<()> {
    let name = parse_name(name)?;
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    tx.role_remove(name).await?;
    tx.commit().await?;
    app.store.reload().await
}

/// Grants somebody what they may do with a service; without `access`, what was granted ends and the default counts again.
pub(crate) async fn grant(store: &Store, service: &Service, to: &Grantee, access: Option<Access>) -> Result<()> {
    if *to == Grantee::Anonymous && access == Some(Access::Manage) {
        return Err(Error::invalid(
            "access",
            "nobody may manage a service without saying who they are; grant it to a user or a role",
        ));
    }
    let mut session = store.session().await?;
    let mut tx = session.own().await?;
    let (account, role) = match to {
        Grantee::Anonymous => (None, None),
        Grantee::User(user) => {
            let name = UserName::parse(user).map_err(|problem| Error::invalid("user", problem))?;
            let account = tx.account_find(&name).await?;
            let account = account.ok_or_else(|| {
                Error::invalid("user", format!("there is no user '{name}'; syncline user list shows all"))
            })?;
            (Some(account.id), None)
        }
        Grantee::Role(role) => {
            tx.role_require(role).await?;
            (None, Some(role.as_str()))
        }
    };
    tx.grant_set(service.key, account, role, access).await?;
    tx.commit().await?;
    store.reload().await
}
