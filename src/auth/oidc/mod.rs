//! Signing in by OpenID Connect: an identity provider says who it is.
//!
//! Authorization code flow with PKCE. What has to be known again when somebody comes back is kept by their own browser, in a cookie, so that the server
//! keeps nothing for those who never do. A person of a provider is known by issuer and subject, and by nothing else.

mod bearer;
mod claims;
mod provider;

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    app::App,
    config::Config,
    error::{Error, Result},
    model::principal::UserName,
    store::{
        OwnTx,
        identities::{Link, Vouched},
    },
};

pub(super) use bearer::{authenticate as authenticate_bearer, is_jwt};
pub(super) use provider::Provider;

use provider::{Begun, Somebody, Trouble};

use super::{secret, sign_in::Proved, users};

/// How somebody came back from the provider.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Return<'a> {
    /// What the server gave them on the way.
    pub(crate) state: Option<&'a str>,
    /// What the server gets the tokens for.
    pub(crate) code: Option<&'a str>,
    /// Why there is no code.
    pub(crate) error: Option<&'a str>,
    /// The provider that they come from, if it says so.
    pub(crate) issuer: Option<&'a str>,
    /// What their browser has kept: see [`begin`].
    pub(crate) kept: Option<&'a str>,
}

/// Why somebody could not sign in. Pages say it by a word in their address, so that nothing that others wrote is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The provider cannot be reached.
    Unreachable,
    /// The browser does not know any more what it began, or never did.
    Lost,
    /// The provider refused.
    Refused,
    /// What the provider said does not count.
    Untrusted,
    /// No role.
    NoRole,
    /// No name that counts here.
    NoName,
    /// Somebody else has the name.
    NameTaken,
    /// The account is disabled.
    Disabled,
}

impl Failed {
    const ALL: [Failed; 8] = [
        Failed::Unreachable,
        Failed::Lost,
        Failed::Refused,
        Failed::Untrusted,
        Failed::NoRole,
        Failed::NoName,
        Failed::NameTaken,
        Failed::Disabled,
    ];

    /// The word for it in an address.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Failed::Unreachable => "unreachable",
            Failed::Lost => "lost",
            Failed::Refused => "refused",
            Failed::Untrusted => "untrusted",
            Failed::NoRole => "role",
            Failed::NoName => "name",
            Failed::NameTaken => "taken",
            Failed::Disabled => "disabled",
        }
    }

    /// Reads the word.
    pub(crate) fn from_word(word: &str) -> Option<Failed> {
        Failed::ALL.into_iter().find(|failed| failed.word() == word)
    }

    /// What it is, for the person; `provider` is the provider's name.
    pub(crate) fn text(self, provider: &str) -> String {
        match self {
            Failed::Unreachable => format!("{provider} does not answer at the moment, or not as it should. Try again in a minute; if that does not help, tell an administrator."),
            Failed::Lost => "This sign-in took too long, or was begun in another browser or tab. Please begin it again.".to_owned(),
            Failed::Refused => format!("{provider} did not let you in, or you broke off there."),
            Failed::Untrusted => format!("What {provider} said cannot be trusted. Please begin again; if that does not help, tell an administrator, who finds the reason in the log."),
            Failed::NoRole => format!("{provider} knows you, but you have no role on this server. Ask an administrator for one."),
            Failed::NoName => format!("{provider} gives you no name that can be one on this server. Ask an administrator to link you to a user."),
            Failed::NameTaken => "There already is another user with your name on this server. Ask an administrator to link you to it, if it is yours.".to_owned(),
            Failed::Disabled => "Your user is disabled on this server. Ask an administrator.".to_owned(),
        }
    }
}

/// The name of the provider, if there is one.
pub(crate) fn provider_name(config: &Config) -> Option<&str> {
    config.oidc_issuer.as_ref().map(|_| config.oidc_name.as_str())
}

/// Where a user of the provider signs out of it, too; `None` if there is no such place, or the user is nobody of the provider.
pub(crate) async fn leave(app: &App, user: &UserName) -> Result<bool> {
    let Some(issuer) = &app.config.oidc_issuer else { return Ok(false) };
    app.store.session().await?.own().await?.identity_is_of(issuer, user).await
}

/// The address at the provider where somebody signs out of it, which leads back to the page where one signs in here. With the ID token of the session
/// that ends, the provider knows whom it is about and does not ask.
pub(crate) async fn leave_address(app: &App, id_token: Option<String>) -> Result<Option<String>> {
    if app.config.oidc_issuer.is_none() {
        return Ok(None);
    }
    let base = app.config.public_url.as_deref().unwrap_or_default().trim_end_matches('/');
    app.gate.provider.leave(&app.config, format!("{base}/arcgis/login"), id_token).await
}

/// Begins a sign-in: the address of the provider, and what the browser has to keep until it comes back.
pub(crate) async fn begin(app: &App, next: &str) -> Result<std::result::Result<(String, String), Failed>> {
    let (address, begun) = match app.gate.provider.begin(&app.config, next).await? {
        Ok(begun) => begun,
        Err(trouble) => return Ok(Err(failed(&trouble))),
    };
    let kept = serde_json::to_vec(&begun).map_err(|error| Error::internal("beginning a sign-in", error))?;
    Ok(Ok((address, URL_SAFE_NO_PAD.encode(kept))))
}

/// Ends a sign-in: who it is, and where they wanted to go.
pub(crate) async fn finish(
    app: &App,
    back: Return<'_>,
    address: Option<IpAddr>,
) -> Result<std::result::Result<(Proved, String), (Failed, String)>> {
    let begun: Option<Begun> = back
        .kept
        .and_then(|kept| URL_SAFE_NO_PAD.decode(kept).ok())
        .and_then(|kept| serde_json::from_slice(&kept).ok());
    // Digests, so that how long the comparison takes says nothing about the state.
    let is_own = |begun: &Begun| back.state.is_some_and(|state| secret::digest(state) == secret::digest(&begun.state));
    let begun = begun.filter(is_own);
    let next = begun.as_ref().map(|begun| begun.next.clone()).unwrap_or_default();
    let done = match (back.error, begun, back.code) {
        // Some providers do not give the state back then; and all that comes of it is a page that says so.
        (Some(_), ..) => Err(Failed::Refused),
        (None, None, _) => Err(Failed::Lost),
        (None, Some(begun), Some(code))
            if back.issuer.is_none_or(|issuer| Some(issuer) == app.config.oidc_issuer.as_deref()) =>
        {
            match app.gate.provider.finish(&app.config, begun, code.to_owned()).await? {
                Ok(somebody) => admit(app, &somebody).await?,
                Err(trouble) => Err(failed(&trouble)),
            }
        }
        (None, Some(_), Some(_)) => {
            tracing::warn!("somebody came back from another identity provider than the configured one");
            Err(Failed::Untrusted)
        }
        (None, Some(_), None) => Err(Failed::Refused),
    };
    Ok(match done {
        Ok(proved) => Ok((proved, next)),
        Err(failed) => {
            if failed != Failed::Unreachable {
                app.gate.failures.note(None, address);
            }
            tracing::info!(client.address = ?address, reason = failed.word(), "somebody could not sign in with the identity provider");
            Err((failed, next))
        }
    })
}

fn failed(trouble: &Trouble) -> Failed {
    match trouble {
        Trouble::Unreachable(why) => {
            tracing::warn!(why, "the identity provider does not answer as it should");
            Failed::Unreachable
        }
        Trouble::Untrusted(why) => {
            tracing::warn!(why, "what the identity provider said does not count");
            Failed::Untrusted
        }
    }
}

/// Finds the user for whom the provider vouches, or makes one, and gives them the roles that they have now.
async fn admit(app: &App, who: &Somebody) -> Result<std::result::Result<Proved, Failed>> {
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    tx.account_lock_all().await?;
    let done = match tx.identity_find(&who.issuer, &who.subject).await? {
        Some(user) => known(app, &mut tx, who, &user).await?,
        None => unknown(app, &mut tx, who).await?,
    };
    tx.commit().await?;
    app.store.forget_accounts();
    Ok(done)
}

async fn known(
    app: &App,
    tx: &mut OwnTx<'_>,
    who: &Somebody,
    user: &Vouched,
) -> Result<std::result::Result<Proved, Failed>> {
    if !user.enabled {
        return Ok(Err(Failed::Disabled));
    }
    // A token of the provider may say nothing of groups, and then takes none away.
    let roles = match who.says_groups {
        true => claims::roles(&who.claims, &user.roles, &app.config),
        false => user.roles.clone(),
    };
    if roles != user.roles {
        let n_admins = tx.account_count_admins().await?;
        tx.account_set_roles(user.account, &roles).await?;
        users::keep_an_admin(tx, n_admins).await?;
        tracing::info!(
            user = user.name,
            roles = roles.join(", "),
            "a user has other roles, by the groups of the identity provider"
        );
    }
    if roles.is_empty() {
        tx.token_remove_all(user.account).await?;
        return Ok(Err(Failed::NoRole));
    }
    Ok(Ok(Proved::of(user.account, &user.name, who.id_token.clone())))
}

async fn unknown(app: &App, tx: &mut OwnTx<'_>, who: &Somebody) -> Result<std::result::Result<Proved, Failed>> {
    // For an administrator, who needs both to link somebody to a user.
    let tell = |why: &str| {
        tracing::info!(issuer = who.issuer, subject = who.subject, "nobody was made of somebody new: {why}");
    };
    let roles = claims::roles(&who.claims, &[], &app.config);
    if roles.is_empty() {
        tell("no group of theirs has a role");
        return Ok(Err(Failed::NoRole));
    }
    let names = claims::names(&who.claims, &app.config);
    let Some(name) = names.first() else {
        tell("no claim has a name that can be one");
        return Ok(Err(Failed::NoName));
    };
    if tx.account_find(name).await?.is_some() {
        tell(&format!("there is a user {name} already; syncline user link makes it theirs"));
        return Ok(Err(Failed::NameTaken));
    }
    let account = tx.account_add(name, None).await?;
    tx.account_set_roles(account, &roles).await?;
    tx.identity_add(&who.issuer, &who.subject, account).await?;
    tx.identity_find(&who.issuer, &who.subject).await?;
    tracing::info!(user = %name, roles = roles.join(", "), "a user was made, for whom the identity provider vouches");
    Ok(Ok(Proved::of(account, name.as_str(), who.id_token.clone())))
}

/// Says that a person of a provider is this user.
pub(crate) async fn link(app: &App, name: &UserName, issuer: Option<&str>, subject: &str) -> Result<()> {
    let issuer = issuer.or(app.config.oidc_issuer.as_deref()).ok_or_else(|| {
        Error::invalid("issuer", "it is missing, and no identity provider is configured (oidc_issuer)")
    })?;
    if subject.trim().is_empty() {
        return Err(Error::invalid("subject", "it is empty; give what the provider calls the person (the claim sub)"));
    }
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let account = tx.account_find(name).await?.ok_or_else(|| users::no_user(name))?;
    tx.identity_add(issuer, subject, account.id).await?;
    tx.commit().await
}

/// Says that a user is nobody of a provider any more; their tokens and sessions end. Returns how many identities there were.
pub(crate) async fn unlink(app: &App, name: &UserName) -> Result<u64> {
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let account = tx.account_find(name).await?.ok_or_else(|| users::no_user(name))?;
    let n_removed = tx.identity_remove(account.id).await?;
    tx.token_remove_all(account.id).await?;
    tx.commit().await?;
    app.store.forget_accounts();
    Ok(n_removed)
}

/// Who users are at providers.
pub(crate) async fn links(app: &App) -> Result<Vec<Link>> {
    app.store.session().await?.own().await?.identity_list().await
}

/// What is wrong with the provider or with what the settings say about it; nothing if people can sign in.
pub(crate) async fn problems(app: &App) -> Result<Vec<String>> {
    if app.config.oidc_issuer.is_none() {
        return Ok(Vec::new());
    }
    let mut problems = Vec::new();
    match app.gate.provider.metadata(&app.config, true).await {
        Ok(Ok(metadata)) if metadata.token_endpoint().is_some() => {}
        Ok(Ok(_)) => problems
            .push("the identity provider names no token endpoint, so that nobody can sign in with it".to_owned()),
        Ok(Err(Trouble::Unreachable(why) | Trouble::Untrusted(why))) => {
            problems.push(format!("the identity provider does not answer as it should: {why}"));
        }
        Err(error) => problems.push(crate::error::chain(&error)),
    }
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    for role in claims::roles_named(&app.config) {
        if let Err(error) = tx.role_require(&role).await {
            problems.push(format!("oidc_roles or oidc_default_role names a role that is not there: {error}"));
        }
    }
    Ok(problems)
}
