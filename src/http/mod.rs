//! The only room that knows HTTP.
//!
//! A request goes through [`answer`] in a straight line: route, parameters, one call into `query`, `sync` or `replica`, response.
//! The routes are in [`route`], the handlers in [`handlers`], the numbers of errors in [`error`].

mod about;
mod accounts;
mod admin;
mod assets;
mod audit;
mod books;
mod console;
mod crumbs;
mod editing;
mod handlers;
mod health;
pub(crate) mod html;
mod jobs;
pub mod listen;
mod observe;
mod openapi;
mod params;
mod peer;
mod permit;
mod queries;
mod ranges;
mod respond;
mod route;
mod signing_in;
mod single_sign_on;
mod uploads;

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{CompressionLayer, CompressionLevel},
    cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer},
};
use tracing::Instrument as _;
use uuid::Uuid;

use crate::{
    app::App,
    auth::{self, Identity, Session},
    error::{Error, Result},
    files::Incoming,
    model::{
        actor::Actor,
        guard::Caller,
        layer::Service,
        principal::{Access, Principal},
    },
    wire::{error, params::Params},
};

use observe::{Failed, Observed};
use respond::{Format, Reply, Shown, respond, respond_error};
use route::{OfService, Route};
use signing_in::Asked;

/// The whole service: all routes, compression, and what browsers need.
pub fn router(app: App) -> Router {
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::any())
        .allow_methods(AllowMethods::list([Method::GET, Method::POST, Method::HEAD, Method::OPTIONS]))
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            header::ETAG,
            header::CONTENT_DISPOSITION,
            header::CONTENT_LENGTH,
            header::CONTENT_RANGE,
            header::ACCEPT_RANGES,
            REQUEST_ID,
        ])
        .max_age(Duration::from_hours(1));
    Router::new()
        .fallback(answer)
        .with_state(app)
        // Slower levels would take longer than making the answer.
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(axum::middleware::map_response(async |response: Response| ranges::weaken_tag(response)))
        .layer(cors)
        .layer(CatchPanicLayer::custom(panicked))
}

/// How much of what a client calls itself is kept.
const MAX_CLIENT_CHARS: usize = 200;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request on its way through.
struct Call {
    app: App,
    method: Method,
    params: Params,
    /// The file that came with it.
    file: Option<params::File>,
    format: Format,
    /// `http://host:port`, as clients see it.
    base: String,
    /// Who asks.
    principal: Principal,
    /// The session of pages that the request is of.
    session: Option<Session>,
    /// Who looks at the page, if it is one.
    visitor: html::Visitor,
    /// What the browser keeps of a sign-in with the identity provider.
    sign_on: single_sign_on::Kept,
    /// Where the request comes from.
    address: Option<std::net::IpAddr>,
    /// The id under which the log has it.
    request_id: String,
    /// What the client calls itself.
    client: String,
}

async fn answer(State(app): State<App>, request: Request) -> Response {
    let request_id = Uuid::new_v4().simple().to_string();
    let path = request.uri().path().to_owned();
    let observed = Observed::begin(&app, request.method(), &path, &request_id);
    let span = observed.span.clone();
    let mut response = answer_route(app, request, &path, &request_id).instrument(span).await;
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    observed.answered(response)
}

async fn answer_route(app: App, request: Request, path: &str, request_id: &str) -> Response {
    let route = Route::of(path);
    let address = peer::address(&request, &app.config.trusted_proxies);
    let base = base_url(&app, &request);
    let method = request.method().clone();
    let headers = request.headers().clone();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let Received { params, file, format, failure } = received(&app, &route, request, &headers, address).await;
    let (way, title, kind) = crumbs::crumbs(&app, &route);
    let asked = Asked {
        route: &route,
        method: &method,
        params: &params,
        query: &params_of_query(&query),
        headers: &headers,
        format,
        address,
    };
    let identity = match &failure {
        None => signing_in::identify(&app, asked).await,
        // Nothing will be done for anybody.
        Some(_) => Ok(Identity::default()),
    };
    let visitor = signing_in::visitor(&app, identity.as_ref().ok(), format).await;
    let has_json = route.post_only().is_none() && !matches!(route, Route::ConsolePage(..));
    let json_url = (method != Method::POST && has_json).then(|| json_url(&way, &query));
    let basemap_url = app.config.basemap_url.clone();
    let attribution = app.config.basemap_attribution.clone().unwrap_or_default();
    let mut shown = Shown {
        path: &way,
        title: &title,
        kind,
        visitor: &visitor,
        basemap: basemap_url.as_deref().map(|url| html::Basemap { url, attribution: &attribution }),
        about: serde_json::Value::Null,
        params: &params,
        method: &method,
        headers: &headers,
        json_url,
    };
    let is_somebody = identity.as_ref().is_ok_and(|found| !found.principal.is_anonymous());
    let result = match (failure, identity) {
        (Some(error), _) | (None, Err(error)) => Err(error),
        (None, Ok(Identity { principal, session })) => {
            let mut params = match format {
                Format::Html => html::gathered(shown.params).into_owned(),
                _ => shown.params.clone(),
            };
            observe::note(&principal, &params);
            if let Route::Service(name, OfService::CreateReplica) = &route {
                create_defaults(&app, name, &principal, &headers, &mut params);
            }
            let call = Call {
                app,
                method: method.clone(),
                params,
                file,
                format,
                base,
                principal,
                session,
                visitor: visitor.clone(),
                sign_on: single_sign_on::kept(&headers),
                address,
                request_id: request_id.to_owned(),
                client: client(&headers),
            };
            carried_out(&call, &route, &mut shown).await
        }
    };
    let mut response = answer_of(result, &route, format, &shown, (path, &query), request_id);
    if is_somebody && response.headers().get(header::CACHE_CONTROL).is_some_and(|value| value == "no-store") {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
    response
}

/// Does what a request asks for, on behalf of whoever asks, and within their share.
async fn carried_out(call: &Call, route: &Route, shown: &mut Shown<'_>) -> Result<Response> {
    if call.format == Format::Html {
        shown.about = about::about(call, route);
    }
    let actor = Actor::of_request(&call.principal, call.address, &call.request_id);
    let work = auth::acting(&actor, reply(call, route, shown));
    if !permit::is_shared(route) {
        return work.await;
    }
    let share = call.app.gate.shares.of(&call.principal, call.address, &call.app.config);
    share.scope(work).await
}

/// What a request brought, as far as it could be read.
struct Received {
    params: Params,
    file: Option<params::File>,
    /// The format of the answer, whatever becomes of the request.
    format: Format,
    /// Why it cannot be carried out.
    failure: Option<Error>,
}

/// Reads the parameters of a request, and keeps its file.
async fn received(
    app: &App,
    route: &Route,
    request: Request,
    headers: &HeaderMap,
    address: Option<std::net::IpAddr>,
) -> Received {
    let query = params_of_query(request.uri().query().unwrap_or_default());
    let max_bytes = app.config.max_body_bytes;
    let silence = Duration::from_secs(app.config.client_timeout_seconds.into());
    let read = match admitted(app, route, (request.method() == Method::POST, headers), &query, address).await {
        Ok(incoming) => {
            let sender = Sender { app, route, headers, address };
            params::read(request, max_bytes, silence, incoming.map(|incoming| (incoming, sender))).await
        }
        Err(error) => {
            // A client that is still sending would not see the answer if nobody read on; it has the answer meanwhile.
            if !headers.contains_key(header::EXPECT) {
                tokio::spawn(params::pass_over(request, max_bytes, silence));
            }
            Err(error)
        }
    };
    let (params, file, failure) = match read {
        Ok((params, file)) => {
            let failure =
                Error::check_vertices(&params.pairs().iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>());
            (params, file, failure.err())
        }
        Err(error) => (query, None, Some(error)),
    };
    let (format, failure) = match (Format::of(&params), failure) {
        // The format stood in the body, most likely; and what cannot be read is rarely a person's.
        (_, Some(error)) if params.text("f").is_none() => (Format::Json, Some(error)),
        (Ok(format), failure) => (format, failure),
        // A format that nobody knows is answered in the one that every program can read.
        (Err(unknown), failure) => (Format::Json, Some(failure.unwrap_or(unknown))),
    };
    Received { params, file, format, failure }
}

/// Who sends a form with a file, as far as it is known when the file begins.
struct Sender<'a> {
    app: &'a App,
    route: &'a Route,
    headers: &'a HeaderMap,
    address: Option<std::net::IpAddr>,
}

impl Sender<'_> {
    /// Refuses the file of somebody who may not send it, by the parameters that came before it.
    async fn require(&self, params: &Params) -> Result<()> {
        match signing_in::named_by_token(self.app, self.headers, params, self.address).await? {
            Some(who) => permit::authorize(self.app, &who, self.route).await,
            None => Ok(()),
        }
    }
}

/// Where the file of a request goes, if one may come with it. Refuses what is sent before it is sent, as far as the head says that it is wrong.
async fn admitted(
    app: &App,
    route: &Route,
    (is_post, headers): (bool, &HeaderMap),
    query: &Params,
    address: Option<std::net::IpAddr>,
) -> Result<Option<Incoming>> {
    if !is_post || permit::needed(route) == permit::Need::Nothing {
        return Ok(None);
    }
    let mut who = signing_in::named_by_token(app, headers, query, address).await?;
    if uploads::takes_file(route) {
        // A token in the form would win over a cookie that is not enough.
        if let (None, Some(visitor)) = (&who, signing_in::named_by_cookie(app, headers, address).await?)
            && permit::authorize(app, &visitor, route).await.is_ok()
        {
            who = Some(visitor);
        }
        let n_bytes = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let is_known = permit::admit(app, who.as_ref(), route, n_bytes).await?;
        return match uploads::admit(app, who, route, headers).await {
            // Nobody finds out by asking what there is.
            Err(Error::NotFound(_)) if !is_known => Err(Error::TokenRequired),
            admitted => admitted,
        };
    }
    if let Some(who) = who {
        permit::authorize(app, &who, route).await?;
    }
    Ok(None)
}

/// The answer to what succeeded or failed. People who must say who they are, are led to where they can.
fn answer_of(
    result: Result<Response>,
    route: &Route,
    format: Format,
    shown: &Shown<'_>,
    (path, query): (&str, &str),
    request_id: &str,
) -> Response {
    let result = match result {
        Err(Error::TokenRequired) if format == Format::Html && !matches!(route, Route::Metrics) => {
            let query = (*shown.method != Method::POST).then_some(query);
            respond::redirect(StatusCode::FOUND, &signing_in::login_address(path, query))
        }
        result => result,
    };
    match result {
        Ok(response) => response,
        Err(error) => {
            let mut envelope = error::envelope(&error, request_id);
            if matches!(route, Route::Service(_, OfService::UnregisterReplica)) {
                // This operation says in every answer whether it succeeded.
                envelope["success"] = false.into();
            }
            let mut response = respond_error(&envelope, format, shown);
            let retry_seconds = match error {
                Error::ReplicaBusy => Some(5),
                Error::OverQuota(_) => Some(30),
                Error::SignInRefused { retry_seconds } => retry_seconds,
                _ => None,
            };
            if let Some(seconds) = retry_seconds {
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            }
            if matches!(route, Route::Metrics) {
                // No document of the API: who asks looks at the status.
                *response.status_mut() = match error {
                    Error::TokenRequired | Error::TokenInvalid => StatusCode::UNAUTHORIZED,
                    Error::Forbidden(_) => StatusCode::FORBIDDEN,
                    _ if envelope["error"]["code"] == 400 => StatusCode::BAD_REQUEST,
                    _ => StatusCode::SERVICE_UNAVAILABLE,
                };
            }
            if let Some(code) = envelope["error"]["code"].as_i64() {
                response.extensions_mut().insert(Failed(code));
            }
            response
        }
    }
}

async fn reply(call: &Call, route: &Route, shown: &Shown<'_>) -> Result<Response> {
    let reply = handlers::handle(call, route).await?;
    if matches!(route, Route::Ready) && matches!(reply, Reply::Text("not ready")) {
        let mut response = respond(reply, call.format, shown).await?;
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return Ok(response);
    }
    respond(reply, call.format, shown).await
}

/// Whether a client calls itself one of Esri's.
fn is_arcgis(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    agent.is_some_and(|agent| agent.to_ascii_lowercase().contains("arcgis"))
}

/// What a client calls itself, as far as it is worth keeping.
fn client(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let readable = agent.iter().flat_map(|agent| agent.chars()).filter(|c| !c.is_control());
    readable.take(MAX_CLIENT_CHARS).collect()
}

/// Says of createReplica what its client left open. A job reads it as well.
fn create_defaults(app: &App, service: &str, principal: &Principal, headers: &HeaderMap, params: &mut Params) {
    if is_arcgis(headers) {
        // What such a client makes of tables that it does not know, nobody knows.
        params.push_default("openMirror", "false");
    }
    let catalogue = app.store.catalogue();
    let Some(service) = catalogue.service(service) else { return };
    let access = service.access(principal, app.config.anonymous);
    // Of a service that is only to be read, whoever manages it takes replicas that upload, and nobody else.
    if access == Access::View || (access == Access::Edit && !service.capabilities.edits()) {
        params.push_default("syncDirection", "download");
    }
}

impl Call {
    /// What whoever asks may do with a service.
    fn access(&self, service: &Service) -> Access {
        service.access(&self.principal, self.app.config.anonymous)
    }

    /// The service with this name, as whoever asks may use it.
    async fn service(&self, name: &str) -> Result<Service> {
        let service = self.app.store.service(name).await?;
        Ok(service.seen_by(Caller::new(self.principal.clone(), self.access(&service))))
    }
}

fn params_of_query(query: &str) -> Params {
    let mut params = Params::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        params.push(name, value);
    }
    params
}

/// The address of the same page as JSON. A token, which some clients put into addresses, is left out.
fn json_url(path: &[html::Crumb], query: &str) -> String {
    let mut out = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if !["f", "token", "csrf", "password"].contains(&name.to_ascii_lowercase().as_str()) {
            out.append_pair(&name, &value);
        }
    }
    out.append_pair("f", "pjson");
    format!("{}?{}", path.last().map_or("", |crumb| crumb.href.as_str()), out.finish())
}

/// Addresses in answers are absolute, and begin as the client's own request did unless the settings say otherwise.
fn base_url(app: &App, request: &Request) -> String {
    if let Some(url) = &app.config.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .or_else(|| request.uri().authority().map(axum::http::uri::Authority::as_str))
        .filter(|host| {
            host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_'))
        });
    match host {
        Some(host) => format!("http://{host}"),
        None => format!("http://{}", app.config.listen),
    }
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a request panicked");
    let body = r#"{"error":{"code":500,"message":"Unable to complete operation.","details":["The server failed; its log has the reason."]}}"#;
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}
