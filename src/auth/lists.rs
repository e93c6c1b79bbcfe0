//! What administrators see of users, roles, keys, tokens and grants.

use crate::{
    app::App,
    error::Result,
    model::{
        account::{Grant, Key, NamedRole, Token, User},
        layer::Service,
        principal::UserName,
    },
};

/// All users.
pub(crate) async fn users(app: &App) -> Result<Vec<User>> {
    app.store.session().await?.own().await?.account_list().await
}

/// All roles.
pub(crate) async fn roles(app: &App) -> Result<Vec<NamedRole>> {
    app.store.session().await?.own().await?.role_list().await
}

/// All keys.
pub(crate) async fn keys(app: &App) -> Result<Vec<Key>> {
    app.store.session().await?.own().await?.key_list().await
}

/// The tokens and sessions that count, of a user or of all, the newest first; at most 1,000.
pub(crate) async fn tokens(app: &App, user: Option<&UserName>) -> Result<Vec<Token>> {
    app.store.session().await?.own().await?.token_list(user.map(UserName::as_str)).await
}

/// What was granted of a service, or of all.
pub(crate) async fn grants(app: &App, service: Option<&Service>) -> Result<Vec<Grant>> {
    app.store.session().await?.own().await?.grant_list(service.map(|service| service.key)).await
}
