//! What administrators do about users. Each takes effect at once here, and within a moment in other processes.

use crate::{
    app::App,
    error::{Error, Result},
    model::principal::{Role, UserName},
    store::{OwnTx, users::Account},
};

use super::{password, secret};

/// What is done about one user.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Another password; it ends all tokens and sessions.
    Password(String),
    /// No password any more: only another service can vouch for the user.
    NoPassword,
    /// These roles and no others.
    Roles(Vec<String>),
    /// The user may not sign in any more, and no token counts.
    Disable,
    /// The user may sign in again.
    Enable,
    /// The user goes. What they did stays in the books under their name.
    Remove,
    /// All tokens and sessions end.
    RevokeTokens,
}

/// Makes the first administrator, if there is no user yet, and returns the password, which is nowhere else.
pub(crate) async fn first_admin(app: &App) -> Result<Option<(UserName, String)>> {
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    if tx.account_any_or_lock().await? {
        return Ok(None);
    }
    let name = UserName::parse("admin").map_err(|problem| Error::invalid("name", problem))?;
    let password = secret::password()?;
    let account = tx.account_add(&name, Some(&password::hash(&password).await?)).await?;
    tx.account_set_roles(account, &[Role::Admin.name().to_owned()]).await?;
    tx.commit().await?;
    app.store.forget_accounts();
    Ok(Some((name, password)))
}

/// A password that nobody can guess, for somebody to copy.
pub(crate) fn new_password() -> Result<String> {
    secret::password()
}

/// Makes a user, with a password or, if another service is to vouch for them, without.
pub(crate) async fn add(app: &App, name: &UserName, password: Option<&str>, roles: &[String]) -> Result<()> {
    let hash = match password {
        Some(password) => Some(password::hash(password).await?),
        None => None,
    };
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let account = tx.account_add(name, hash.as_deref()).await?;
    tx.account_set_roles(account, roles).await?;
    tx.commit().await?;
    app.store.forget_accounts();
    Ok(())
}

/// Changes something about a user.
pub(crate) async fn change(app: &App, name: &UserName, change: &Change) -> Result<()> {
    let hash = match change {
        Change::Password(password) => Some(password::hash(password).await?),
        _ => None,
    };
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    tx.account_lock_all().await?;
    let Account { id, .. } = tx.account_find(name).await?.ok_or_else(|| no_user(name))?;
    let n_admins = tx.account_count_admins().await?;
    match change {
        Change::Password(_) | Change::NoPassword => {
            tx.account_set_password(id, hash.as_deref()).await?;
            tx.token_remove_all(id).await?;
        }
        Change::Roles(roles) => tx.account_set_roles(id, roles).await?,
        Change::Disable => {
            tx.account_set_enabled(id, false).await?;
            tx.token_remove_all(id).await?;
        }
        Change::Enable => tx.account_set_enabled(id, true).await?,
        Change::Remove => tx.account_remove(id).await?,
        Change::RevokeTokens => drop(tx.token_remove_all(id).await?),
    }
    keep_an_admin(&mut tx, n_admins).await?;
    tx.commit().await?;
    app.store.forget_accounts();
    // What was granted to a user who is gone is in the catalogue.
    app.store.reload().await
}

/// Forgets tokens that count no longer, and says how many.
pub(crate) async fn forget_expired_tokens(app: &App) -> Result<u64> {
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let n_forgotten = tx.token_forget().await?;
    if n_forgotten > 0 {
        tx.commit().await?;
    }
    Ok(n_forgotten)
}

/// Refuses what would leave nobody who can administer users.
pub(super) async fn keep_an_admin(tx: &mut OwnTx<'_>, n_before: i64) -> Result<()> {
    if n_before > 0 && tx.account_count_admins().await? == 0 {
        return Err(Error::Forbidden(
            "This is the last administrator, and nobody could administer users any more; make another user an administrator first".to_owned(),
        ));
    }
    Ok(())
}

/// There is no user of this name.
pub(super) fn no_user(name: &UserName) -> Error {
    Error::NotFound(format!("User '{name}' not found; syncline user list shows all"))
}
