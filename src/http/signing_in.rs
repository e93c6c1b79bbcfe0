//! Signing in: tokens for passwords, sessions of pages, tokens for the scripts of these.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method, header};
use serde_json::json;

use crate::{
    app::App,
    auth::{
        self, Bound, Identity, Presented,
        oidc::{self, Failed},
        sign_in::{self, Issued},
    },
    error::{Error, Result},
    model::principal::Principal,
    wire::params::Params,
};

use super::{
    Call,
    html::{self, Frame, Visitor},
    respond::{Format, Reply},
    route::{Route, SigningIn},
    single_sign_on,
};

/// The cookie of a session.
const COOKIE: &str = "agstoken";

/// For how many minutes a token counts if its client does not say.
const MINUTES: i64 = 60;

/// What of a request says who asks.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// The route, method, parameters and headers.
    pub(super) route: &'a Route,
    pub(super) method: &'a Method,
    pub(super) params: &'a Params,
    pub(super) query: &'a Params,
    pub(super) headers: &'a HeaderMap,
    pub(super) format: Format,
    /// Where it comes from.
    pub(super) address: Option<IpAddr>,
}

/// Finds out who asks, from the first token that is not empty; a cookie counts only for pages, and for what a browser goes to.
pub(super) async fn identify(app: &App, asked: Asked<'_>) -> Result<Identity> {
    let Asked { route, method, params, query, headers, format, address } = asked;
    let signs_in = matches!(route, Route::SigningIn(SigningIn::Login | SigningIn::GenerateToken));
    if signs_in && query.get(&["password"]).is_some() {
        return Err(Error::invalid(
            "password",
            "it stands in the address, which is written into logs on its way; send it in the body of a POST, and choose another",
        ));
    }
    if *method == Method::POST
        && matches!(route, Route::SigningIn(SigningIn::Login))
        && is_of_another_site(app, headers)
    {
        return Err(Error::Forbidden(
            "This form was sent by a page of another site. Open the sign-in page of this server and sign in there; if you did, an administrator \
             should set public_url to the address at which you see it"
                .to_owned(),
        ));
    }
    if !app.config.tokens_in_urls && query.get(&["token"]).is_some() {
        return Err(Error::invalid(
            "token",
            "this server takes no tokens in addresses; send it in the body of a POST, or as Authorization: Bearer",
        ));
    }
    // What is sent with a password is for another server, or old.
    if let Some(token) = token_of(headers, params).filter(|_| !signs_in) {
        return auth::authenticate(app, Some(presented(token, false, headers, address))).await;
    }
    // Else any page could ask in the name of whoever looks at it. What somebody goes to, by a link to JSON, no other page can read.
    let sent = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_gone_to = *method == Method::GET
        && sent("sec-fetch-mode") == Some("navigate")
        && sent("sec-fetch-dest") == Some("document");
    let counts = format == Format::Html || is_gone_to || matches!(route, Route::SigningIn(SigningIn::Session));
    let Some(token) = cookie(headers, COOKIE).filter(|_| counts) else { return Ok(Identity::default()) };
    let identity = match auth::authenticate(app, Some(presented(token, true, headers, address))).await {
        // A session that has ended is nobody's fault: whoever had it is asked to sign in where that is needed.
        Err(Error::TokenInvalid) => return Ok(Identity::default()),
        identity => identity?,
    };
    if *method == Method::POST && !signs_in {
        let expected = identity.session.as_ref().map(|session| session.csrf.as_str());
        if params.text("csrf") != expected {
            return Err(Error::Forbidden(
                "This form is not one of your session, or you have signed in again since; open its page again and send it from there".to_owned(),
            ));
        }
    }
    Ok(identity)
}

/// Whether a browser says that it sends a form for a page of another site, which could sign somebody in as somebody else. Programs, and browsers that
/// say nothing of it, are believed.
fn is_of_another_site(app: &App, headers: &HeaderMap) -> bool {
    let sent = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = sent("sec-fetch-site") {
        return site == "cross-site";
    }
    let Some(origin) = sent("origin") else { return false };
    let place = |address: &str| {
        let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
        rest.split('/').next().unwrap_or_default().to_ascii_lowercase()
    };
    let own = [sent("host"), sent("x-forwarded-host"), app.config.public_url.as_deref()];
    own.into_iter().flatten().all(|own| place(own) != place(origin))
}

/// Whom a token names that is known before the body is read; `None` if there is none yet.
pub(super) async fn named_by_token(
    app: &App,
    headers: &HeaderMap,
    query: &Params,
    address: Option<IpAddr>,
) -> Result<Option<Principal>> {
    let Some(token) = token_of(headers, query) else { return Ok(None) };
    let identity = auth::authenticate(app, Some(presented(token, false, headers, address))).await?;
    Ok(Some(identity.principal))
}

/// Whose session the cookie of a request is of, if any.
pub(super) async fn named_by_cookie(
    app: &App,
    headers: &HeaderMap,
    address: Option<IpAddr>,
) -> Result<Option<Principal>> {
    let Some(token) = cookie(headers, COOKIE) else { return Ok(None) };
    match auth::authenticate(app, Some(presented(token, true, headers, address))).await {
        Ok(identity) => Ok(Some(identity.principal)),
        Err(Error::TokenInvalid) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The first token that is not empty, of the headers and the parameters.
fn token_of<'a>(headers: &'a HeaderMap, params: &'a Params) -> Option<&'a str> {
    let bearer = |name: &str| {
        let (scheme, token) = headers.get(name)?.to_str().ok()?.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
    };
    bearer("x-esri-authorization").or_else(|| bearer("authorization")).or_else(|| params.text("token"))
}

fn presented<'a>(token: &'a str, is_cookie: bool, headers: &'a HeaderMap, address: Option<IpAddr>) -> Presented<'a> {
    let referer = headers.get(header::REFERER).and_then(|value| value.to_str().ok());
    Presented { token, is_cookie, referer, address }
}

/// The value of a cookie among those of a request.
pub(super) fn cookie<'h>(headers: &'h HeaderMap, wanted: &str) -> Option<&'h str> {
    let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
    let named = cookies.split(';').filter_map(|cookie| cookie.trim().split_once('='));
    named.filter(|(name, _)| *name == wanted).map(|(_, value)| value.trim()).find(|value| !value.is_empty())
}

/// Who looks at a page.
pub(super) async fn visitor(app: &App, identity: Option<&Identity>, format: Format) -> Visitor {
    match identity.map(|identity| (&identity.principal.user, &identity.session)) {
        Some((Some(user), Some(session))) => {
            Visitor::User { name: user.as_str().to_owned(), csrf: session.csrf.clone() }
        }
        _ if format != Format::Html => Visitor::Anybody,
        // Without the database, there is nothing to sign in to either.
        _ if oidc::provider_name(&app.config).is_some() => Visitor::Stranger,
        _ => match app.store.has_accounts().await {
            Ok(true) => Visitor::Stranger,
            Ok(false) | Err(_) => Visitor::Anybody,
        },
    }
}

/// Where somebody signs in who wants to see a page; `address` is its path and query string. Tokens in it are not passed on.
pub(super) fn login_address(path: &str, query: Option<&str>) -> String {
    let mut next = path.to_owned();
    if let Some(query) = query {
        let kept = form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| !["token", "csrf", "password"].contains(&name.to_ascii_lowercase().as_str()));
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish();
        if !query.is_empty() {
            next = format!("{next}?{query}");
        }
    }
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", &next).finish();
    format!("/arcgis/login?{query}")
}

/// Answers a request to sign in or out.
pub(super) async fn handle(call: &Call, what: SigningIn) -> Result<Reply> {
    match what {
        SigningIn::Login if call.method != Method::POST => {
            let provider = oidc::provider_name(&call.app.config);
            let failed = call.params.text("failed").and_then(Failed::from_word);
            let problem = provider.zip(failed).map(|(provider, failed)| failed.text(provider));
            let has_left = call.params.text("left") == Some("true");
            let may_leave = has_left && oidc::leave_address(&call.app, None).await?.is_some();
            Ok(login_page(call, problem.as_deref(), may_leave))
        }
        SigningIn::SignOn => single_sign_on::begin(call).await,
        SigningIn::SignOnReturn => single_sign_on::finish(call).await,
        SigningIn::SignOff => single_sign_on::leave(call).await,
        SigningIn::Login => login(call).await,
        SigningIn::Logout => logout(call).await,
        SigningIn::GenerateToken => generate_token(call).await,
        SigningIn::Session => token_of_session(call).await,
    }
}

async fn generate_token(call: &Call) -> Result<Reply> {
    let params = &call.params;
    let (user, password) = (params.text("username"), params.get(&["password"]));
    let (Some(user), Some(password)) = (user, password) else {
        return Err(Error::invalid("username", "username and password are needed, in the body of a POST"));
    };
    let client = params.word("client", "referer, ip, requestip", |word| {
        ["referer", "ip", "requestip"].into_iter().find(|known| known.eq_ignore_ascii_case(word))
    })?;
    let missing = |name: &'static str| Error::invalid(name, "it is missing; the token is to be bound to it (client)");
    let bound = match client {
        Some("referer") => {
            let referer = params.text("referer").ok_or_else(|| missing("referer"))?;
            if referer.len() > 2000 || referer.chars().any(char::is_control) {
                return Err(Error::invalid(
                    "referer",
                    "it is no address of a page; up to 2000 bytes without control characters are taken",
                ));
            }
            Some(Bound::Referer(referer.to_owned()))
        }
        Some("ip") => {
            let text = params.text("ip").ok_or_else(|| missing("ip"))?;
            let address: IpAddr = text
                .trim()
                .parse()
                .map_err(|_| Error::invalid("ip", "it is no address of a network, such as 203.0.113.7"))?;
            Some(Bound::Ip(address.to_canonical().to_string()))
        }
        Some(_) => call.address.map(|address| Bound::Ip(address.to_string())),
        None => None,
    };
    let minutes = params.integer("expiration")?.filter(|minutes| *minutes > 0).unwrap_or(MINUTES);
    let proved = sign_in::check_password(&call.app, user, password, call.address).await?;
    let issued = sign_in::issue_token(&call.app, proved, bound, minutes, asked(call)).await?;
    Ok(token(call, &issued))
}

fn token(call: &Call, issued: &Issued) -> Reply {
    Reply::Json(json!({"token": issued.token, "expires": issued.expires_ms, "ssl": is_secure(call)}))
}

async fn token_of_session(call: &Call) -> Result<Reply> {
    let session = call.session.as_ref().ok_or(Error::TokenRequired)?;
    Ok(token(call, &sign_in::token_of_session(&call.app, session, call.address).await?))
}

async fn login(call: &Call) -> Result<Reply> {
    let params = &call.params;
    let (user, password) = (params.text("username").unwrap_or_default(), params.get(&["password"]).unwrap_or_default());
    if user.is_empty() || password.is_empty() {
        return Ok(login_page(call, Some("User name and password are needed."), false));
    }
    let proved = match sign_in::check_password(&call.app, user, password, call.address).await {
        Err(error @ Error::SignInRefused { .. }) => return Ok(login_page(call, Some(&error.to_string()), false)),
        proved => proved?,
    };
    // Nobody else may go on with the session of before.
    if let Some(session) = &call.session {
        sign_in::end(&call.app, session).await?;
    }
    let issued = sign_in::begin_session(&call.app, proved, asked(call)).await?;
    let to = next(params.text("next")).to_owned();
    Ok(Reply::SeeOther { to, cookies: vec![set_session(call, &issued.token, "")] })
}

async fn logout(call: &Call) -> Result<Reply> {
    let mut cookies = vec![set_session(call, "", "; Max-Age=0")];
    let id_token = match &call.session {
        Some(session) => sign_in::end(&call.app, session).await?,
        None => None,
    };
    let to = match &call.principal.user {
        // Else they would be in again with one click, on a machine that others use, too.
        Some(user) if oidc::leave(&call.app, user).await? => {
            cookies.extend(id_token.map(|token| single_sign_on::hand_on(call, &token)));
            "/arcgis/login?left=true"
        }
        _ => HOME,
    };
    Ok(Reply::SeeOther { to: to.to_owned(), cookies })
}

/// The request, as what is made for it remembers it.
pub(super) fn asked(call: &Call) -> sign_in::Asked<'_> {
    sign_in::Asked { address: call.address, request_id: &call.request_id }
}

const HOME: &str = "/arcgis/rest/services";

/// Where to go after signing in: a page of this server and nowhere else.
pub(super) fn next(wanted: Option<&str>) -> &str {
    let is_own = |address: &&str| {
        address.starts_with("/arcgis/")
            && address.chars().all(|c| c.is_ascii_graphic() && c != '\\')
            && address.len() < 4000
    };
    wanted.filter(is_own).unwrap_or(HOME)
}

/// No script may read it, and no other site's page sends it along, but by a link.
pub(super) fn set_session(call: &Call, token: &str, age: &str) -> String {
    let secure = if is_secure(call) { "; Secure" } else { "" };
    format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Lax{secure}{age}")
}

pub(super) fn is_secure(call: &Call) -> bool {
    call.base.starts_with("https://")
}

fn login_page(call: &Call, problem: Option<&str>, may_leave: bool) -> Reply {
    let crumbs = [
        html::Crumb { text: "Home".to_owned(), href: HOME.to_owned() },
        html::Crumb { text: "Login".to_owned(), href: "/arcgis/login".to_owned() },
    ];
    let frame = Frame {
        path: &crumbs,
        title: "Login",
        json_url: None,
        visitor: &call.visitor,
        assets: &[],
        basemap: None,
        refresh_seconds: None,
    };
    let shown = html::Login {
        user: call.params.text("username").filter(|_| problem.is_some()).unwrap_or_default(),
        next: next(call.params.text("next")),
        problem,
        provider: oidc::provider_name(&call.app.config),
        may_leave,
    };
    Reply::Page(html::document(&frame, |page| html::login(page, &shown)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_signing_in_nobody_is_led_away() {
        assert_eq!(
            next(Some("/arcgis/rest/services/a%20b/FeatureServer?f=html")),
            "/arcgis/rest/services/a%20b/FeatureServer?f=html"
        );
        for away in [
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "/arcgis\n/x",
            "/arcgis/\u{9}x",
            "javascript:x",
            "",
        ] {
            assert_eq!(next(Some(away)), HOME, "{away:?}");
        }
    }

    #[test]
    fn secrets_in_an_address_are_not_passed_on() {
        assert_eq!(
            login_address("/arcgis/rest/services", Some("f=html&Token=slt_x&where=a%3Db")),
            "/arcgis/login?next=%2Farcgis%2Frest%2Fservices%3Ff%3Dhtml%26where%3Da%253Db"
        );
        assert_eq!(login_address("/arcgis/x", Some("token=slt_x")), "/arcgis/login?next=%2Farcgis%2Fx");
    }
}
