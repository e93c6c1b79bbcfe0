//! From a proved identity to what is presented afterwards: tokens, and sessions of pages.
//!
//! Whoever proves an identity (a password here, another service some day) ends with the key of an account; a token or a session is made for that.

use std::net::IpAddr;

use crate::{
    app::App,
    error::{Error, Result},
    model::{actor::Actor, attempts::Counted, principal::UserName},
    store::{
        accounts::Bound,
        users::{NewSession, NewToken},
    },
};

use super::{Session, TOKEN_PREFIX, acting, secret};

/// For how long somebody is signed in to the pages.
const SESSION_MINUTES: i32 = 12 * 60;
/// For how long a token counts that a page of a session gets for its scripts.
const PAGE_MINUTES: i32 = 15;

/// The longest that is kept of what an identity provider said: it is handed on by a cookie, and browsers keep none beyond 4 KiB.
const MAX_ID_TOKEN: usize = 3800;

/// An account whose user has proved to be who they are.
#[derive(Clone)]
pub(crate) struct Proved {
    account: i32,
    name: String,
    /// What the identity provider said, if one has vouched.
    id_token: Option<String>,
}

impl Proved {
    /// An account and its name, for which an identity provider has vouched; with its ID token, if it gave one.
    pub(super) fn of(account: i32, name: &str, id_token: Option<String>) -> Proved {
        Proved { account, name: name.to_owned(), id_token: id_token.filter(|token| token.len() <= MAX_ID_TOKEN) }
    }
}

impl std::fmt::Debug for Proved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proved({})", self.name)
    }
}

/// A request for a token or a session: where it comes from, and its id.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The address of the network.
    pub(crate) address: Option<IpAddr>,
    /// The id, as the log has it.
    pub(crate) request_id: &'a str,
}

/// What somebody gets to present.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    /// The token, which is nowhere else.
    pub(crate) token: String,
    /// When it stops counting, in milliseconds since 1970.
    pub(crate) expires_ms: i64,
}

/// Who a user name and a password say that it is. Whatever is wrong with them, the error and the time it takes are the same.
pub(crate) async fn check_password(app: &App, user: &str, password: &str, address: Option<IpAddr>) -> Result<Proved> {
    let refused = || Error::SignInRefused { retry_seconds: None };
    let folded: String = user.trim().to_lowercase().chars().take(200).collect();
    let counted: Vec<Counted> =
        std::iter::once(Counted::Account(folded)).chain(address.map(Counted::address)).collect();
    // What cannot be a name is compared with nothing, like a name that nobody has.
    let name = UserName::parse(user).ok();
    let mut found = None;
    let find = async || -> Result<Option<String>> {
        if let Some(name) = &name {
            found = app.store.session().await?.own().await?.account_find(name).await?;
        }
        Ok(found.as_ref().and_then(|account| account.password_hash.clone()))
    };
    let fits = app.gate.check(&app.store, &counted, password, find).await?;
    match found {
        Some(account) if fits && account.enabled => {
            Ok(Proved { account: account.id, name: account.name, id_token: None })
        }
        found => {
            let user = found.and(name);
            app.gate.failures.note(user.as_ref().map(UserName::as_str), address);
            tracing::info!(client.address = address.map(tracing::field::display), "somebody could not sign in");
            Err(refused())
        }
    }
}

/// Makes a token that counts for `minutes`, or as long as the settings allow.
pub(crate) async fn issue_token(
    app: &App,
    who: Proved,
    bound: Option<Bound>,
    minutes: i64,
    asked: Asked<'_>,
) -> Result<Issued> {
    let longest = i64::from(app.config.max_token_minutes);
    let minutes = i32::try_from(minutes.clamp(1, longest)).unwrap_or(app.config.max_token_minutes);
    issue(app, who, bound, (minutes, None), asked).await
}

/// Makes the session of somebody who has signed in to the pages; what is issued is its cookie.
pub(crate) async fn begin_session(app: &App, mut who: Proved, asked: Asked<'_>) -> Result<Issued> {
    let session = NewSession { csrf: secret::token("")?, id_token: who.id_token.take() };
    issue(app, who, None, (SESSION_MINUTES, Some(session)), asked).await
}

/// Makes a token for the scripts of a session's pages; it ends with the session.
pub(crate) async fn token_of_session(app: &App, of: &Session, address: Option<IpAddr>) -> Result<Issued> {
    let token = secret::token(TOKEN_PREFIX)?;
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let added = tx.page_token_add(&of.digest, &secret::digest(&token), PAGE_MINUTES, &issued_to(address)).await?;
    let expires_ms = added.ok_or(Error::TokenInvalid)?;
    tx.commit().await?;
    Ok(Issued { token, expires_ms })
}

/// Ends a session, with the tokens of its pages. Returns what the identity provider said when it began, if it did.
pub(crate) async fn end(app: &App, ended: &Session) -> Result<Option<String>> {
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    let id_token = tx.token_remove_digest(&ended.digest).await?;
    tx.commit().await?;
    app.store.forget_accounts();
    Ok(id_token)
}

async fn issue(
    app: &App,
    who: Proved,
    bound: Option<Bound>,
    (minutes, session): (i32, Option<NewSession>),
    asked: Asked<'_>,
) -> Result<Issued> {
    let token = secret::token(TOKEN_PREFIX)?;
    let new = NewToken {
        digest: secret::digest(&token),
        account: who.account,
        bound,
        session,
        minutes,
        issued_to: issued_to(asked.address),
    };
    let added = async {
        let mut session = app.store.session().await?;
        let mut tx = session.own().await?;
        let expires_ms = tx.token_add(&new).await?;
        tx.commit().await?;
        Ok::<i64, Error>(expires_ms)
    };
    // The request began as nobody's; whoever has proved who they are does this.
    let actor = Actor { name: who.name, origin: new.issued_to.clone(), request_id: asked.request_id.to_owned() };
    let expires_ms = acting(&actor, added).await?;
    Ok(Issued { token, expires_ms })
}

fn issued_to(address: Option<IpAddr>) -> String {
    address.map(|address| address.to_string()).unwrap_or_default()
}
