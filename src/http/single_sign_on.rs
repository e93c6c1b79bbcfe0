//! Signing in with an identity provider: on the way to it, and back.
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
    signing_in::{cookie, is_secure, next, set_session},
};

/// The cookie of a sign-in that was begun.
const COOKIE: &str = "syncline_sign_on";
/// For how many seconds somebody may take to sign in at the provider.
const SECONDS: u32 = 15 * 60;
/// The longest address to go on at; browsers keep no cookies beyond 4 KiB.
const MAX_NEXT: usize = 2000;

/// What the browser has kept of a sign-in that it began.
pub(super) fn kept(headers: &HeaderMap) -> Option<String> {
    cookie(headers, COOKIE).map(str::to_owned)
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
        Ok((to, kept)) => Reply::SeeOther { to, cookies: vec![set_cookie(call, &kept, SECONDS)] },
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
        kept: call.sign_on.as_deref(),
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
        sign_in::end(&call.app, &session.digest).await?;
    }
    let issued = sign_in::begin_session(&call.app, proved, call.address).await?;
    let cookies = vec![set_session(call, &issued.token, ""), set_cookie(call, "", 0)];
    Ok(Reply::SeeOther { to: next(Some(&to)).to_owned(), cookies })
}

/// Leads to the page where people sign in, which says why they could not.
fn refused(call: &Call, failed: Failed, to: &str) -> Reply {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("failed", failed.word())
        .append_pair("next", next(Some(to)))
        .finish();
    Reply::SeeOther { to: format!("/arcgis/login?{query}"), cookies: vec![set_cookie(call, "", 0)] }
}

/// No script may read it, no other site's page sends it along but by a link, and no other page of this server gets it.
fn set_cookie(call: &Call, kept: &str, seconds: u32) -> String {
    let secure = if is_secure(call) { "; Secure" } else { "" };
    format!("{COOKIE}={kept}; Path=/arcgis/login/oidc; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
}
