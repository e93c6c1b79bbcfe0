//! Who asks: tokens, keys and passwords.
//!
//! A token is random, and the database has only its SHA-256. What a server has found out about one it remembers for some seconds (`store::accounts`), and
//! forgets at once when it hears that anything about users, tokens or keys has changed.

mod failures;
mod gate;
pub(crate) mod lists;
pub(crate) mod oidc;
pub(crate) mod owner;
mod password;
pub(crate) mod rights;
mod secret;
mod shares;
pub(crate) mod sign_in;
pub(crate) mod users;

use std::time::{SystemTime, UNIX_EPOCH};

use crate::{
    app::App,
    error::{Error, Result},
    model::principal::{Principal, UserName},
};

pub(crate) use crate::store::{accounts::Bound, acting};
pub(crate) use failures::record_failures;
pub use gate::Gate;

/// How tokens begin that users get for their passwords.
const TOKEN_PREFIX: &str = "slt_";
/// How keys of programs begin.
const KEY_PREFIX: &str = "slk_";

/// What a request presents, and from where.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Presented<'a> {
    /// The token or key.
    pub(crate) token: &'a str,
    /// Whether it is the cookie of a page.
    pub(crate) is_cookie: bool,
    /// The page that the request came from.
    pub(crate) referer: Option<&'a str>,
    /// The address of the network that it came from.
    pub(crate) address: Option<std::net::IpAddr>,
}

/// Who asks, and in which session of pages.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identity {
    /// Who asks.
    pub(crate) principal: Principal,
    /// The session whose cookie was presented.
    pub(crate) session: Option<Session>,
}

/// A session of pages.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// What its forms carry.
    pub(crate) csrf: String,
    /// The SHA-256 of its cookie.
    pub(crate) digest: [u8; 32],
}

/// Finds out who asks. Nothing presented is nobody; something that does not count is [`Error::TokenInvalid`], whatever is asked for, so that
/// clients get another one.
pub(crate) async fn authenticate(app: &App, presented: Option<Presented<'_>>) -> Result<Identity> {
    let Some(presented) = presented else { return Ok(Identity::default()) };
    let digest = secret::digest(presented.token);
    // Digests, so that how long the comparison takes says nothing about the token.
    if let Some(expected) = &app.config.admin_token
        && !presented.is_cookie
        && digest == secret::digest(expected)
    {
        return Ok(Identity { principal: Principal::admin(UserName::of_key("admin_token")), session: None });
    }
    let known = match presented.token {
        token if token.starts_with(KEY_PREFIX) => app.store.key(&digest).await?,
        token if token.starts_with(TOKEN_PREFIX) => app.store.token(&digest).await?,
        token if app.config.oidc_audience.is_some() && !presented.is_cookie && oidc::is_jwt(token) => {
            let principal = oidc::authenticate_bearer(app, token, digest).await?;
            return Ok(Identity { principal, session: None });
        }
        _ => None,
    };
    let known = known.ok_or(Error::TokenInvalid)?;
    let is_over = known.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms());
    // The cookie of a page is no token, and a token is no cookie: else a page of somebody else's could use the one as the other.
    let is_elsewhere = known.csrf.is_some() != presented.is_cookie;
    let is_bound = match &known.bound {
        None => true,
        Some(Bound::Referer(to)) => presented.referer.is_none_or(|referer| is_from(referer, to)),
        Some(Bound::Ip(to)) => presented.address.is_some_and(|address| address.to_string() == *to),
    };
    if is_over || is_elsewhere || !is_bound {
        return Err(Error::TokenInvalid);
    }
    let session = known.csrf.clone().map(|csrf| Session { csrf, digest });
    Ok(Identity { principal: known.principal.clone(), session })
}

/// Whether a page is of the place to which a token is bound. Browsers mostly send where a page is from and not which it is, so that only as much is
/// compared as both have.
fn is_from(referer: &str, bound_to: &str) -> bool {
    let bare = |text: &str| text.trim().trim_end_matches('/').to_ascii_lowercase();
    let host = |text: &str| {
        let bare = bare(text);
        let rest = bare.split_once("://").map_or(bare.as_str(), |(_, rest)| rest);
        rest.split(['/', '?', '#']).next().unwrap_or_default().to_owned()
    };
    bare(referer) == bare(bound_to) || host(referer) == host(bound_to)
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
