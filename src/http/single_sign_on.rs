//! Signing in with an identity provider: on the way to it, and back; and signing out of it.
//!
//! Whatever comes of it, the browser is led on to another address, so that codes stay in none.

use axum::http::HeaderMap;

use crate::{
    auth::{
        oidc::{self, Failed, Return},
        sign_in,
    },
    error::{Error, Result},
};

use super::{
    Call,
    respond::Reply,
    signing_in::{asked, cookie, is_secure, next, set_session},
};

/// The cookie of a sign-in that was begun.
const COOKIE: &str = "syncline_sign_on";
/// For how many seconds somebody may take to sign in at the provider.
const SECONDS: u32 = 15 * 60;
/// The longest address to go on at; browsers keep no cookies beyond 4 KiB.
const MAX_NEXT: usize = 2000;

/// The cookie of somebody who has signed out here and may sign out of the provider, too: what that said of them.
const LEAVING: &str = "syncline_sign_off";
/// For how many seconds they may.
const LEAVING_SECONDS: u32 = 10 * 60;

/// What the browser keeps on the way to the provider.
#[derive(Clone, Default)]
pub(super) struct Kept {
    /// The sign-in that it began.
    begun: Option<String>,
    /// The ID token of the session that has ended.
    id_token: Option<String>,
}

/// What the browser has kept.
pub(super) fn kept(headers: &HeaderMap) -> Kept {
    let sent = |name| cookie(headers, name).map(str::to_owned);
    Kept { begun: sent(COOKIE), id_token: sent(LEAVING) }
}

/// The cookie that hands an ID token on to [`leave`].
pub(super) fn hand_on(call: &Call, id_token: &str) -> String {
    set_cookie(call, LEAVING, id_token, LEAVING_SECONDS)
}

/// Leads to where one signs out of the provider, with what shows that it is really about who asks: without that, providers ask again.
pub(super) async fn leave(call: &Call) -> Result<Reply> {
    let to = oidc::leave_address(&call.app, call.sign_on.id_token.clone()).await?;
    let to = to.unwrap_or_else(|| "/arcgis/login".to_owned());
    Ok(Reply::SeeOther { to, cookies: vec![set_cookie(call, LEAVING, "", 0)] })
}

/// Leads to the provider.
pub(super) async fn begin(call: &Call) -> Result<Reply> {
    let wanted = call.params.text("next").filter(|next| next.len() <= MAX_NEXT);
    let next = next(wanted);
    if oidc::provider_name(&call.app.config).is_none() {
        return Err(Error::NotFound(
            "This server has no identity provider (the setting oidc_issuer); sign in with a password".to_owned(),
        ));
    }
    Ok(match oidc::begin(&call.app, next).await? {
        Ok((to, kept)) => Reply::SeeOther { to, cookies: vec![set_cookie(call, COOKIE, &kept, SECONDS)] },
        Err(failed) => refused(call, failed, next),
    })
}

/// Ends what [`begin`] began: with a session, or with the reason why there is none.
pub(super) async fn finish(call: &Call) -> Result<Reply> {
    let params = &call.params;
    let back = Return {
        state: params.text("state"),
        code: params.text("code"),
        error: params.text("error"),
        issuer: params.text("iss"),
        kept: call.sign_on.begun.as_deref(),
    };
    if oidc::provider_name(&call.app.config).is_none() {
        return Ok(refused(call, Failed::Lost, ""));
    }
    let (proved, to) = match oidc::finish(&call.app, back, call.address).await? {
        Ok(proved) => proved,
        Err((failed, to)) => return Ok(refused(call, failed, &to)),
    };
    // Nobody else may go on with the session of before.
    if let Some(session) = &call.session {
        sign_in::end(&call.app, session).await?;
    }
    let issued = sign_in::begin_session(&call.app, proved, asked(call)).await?;
    let cookies = vec![set_session(call, &issued.token, ""), set_cookie(call, COOKIE, "", 0)];
    Ok(Reply::SeeOther { to: next(Some(&to)).to_owned(), cookies })
}

/// Leads to the page where people sign in, which says why they could not.
fn refused(call: &Call, failed: Failed, to: &str) -> Reply {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("failed", failed.word())
        .append_pair("next", next(Some(to)))
        .finish();
    Reply::SeeOther { to: format!("/arcgis/login?{query}"), cookies: vec![set_cookie(call, COOKIE, "", 0)] }
}

/// No script may read it, no other site's page sends it along but by a link, and no other page of this server gets it.
fn set_cookie(call: &Call, name: &str, kept: &str, seconds: u32) -> String {
    let secure = if is_secure(call) { "; Secure" } else { "" };
    format!("{name}={kept}; Path=/arcgis/login/oidc; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}
