//! The identity provider: what it says of itself, and what it says of people, once that is verified.

use std::{
    io::Read as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use openidconnect::{
    AccessToken, AccessTokenHash, AuthType, AuthenticationFlow, AuthorizationCode, ClaimsVerificationError, Client,
    ClientId, ClientSecret, CsrfToken, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet,
    HttpRequest, HttpResponse, IdTokenFields, IssuerUrl, LogoutRequest, Nonce, OAuth2TokenResponse as _,
    PkceCodeChallenge, PkceCodeVerifier, PostLogoutRedirectUrl, ProviderMetadataWithLogout, RedirectUrl, Scope,
    SignatureVerificationError, StandardErrorResponse, StandardTokenResponse, SubjectIdentifier, TokenResponse as _,
    UserInfoClaims,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreResponseType, CoreRevocableToken,
        CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
    },
    http::{self, header::CONTENT_TYPE},
};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use ureq::{
    Agent,
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};
use url::{Host, Url};

use crate::{
    config::Config,
    error::{Error, Result, chain},
};

use super::{
    bearer::Verified,
    claims::{Claims, is_incomplete},
};

/// How long an answer of the provider may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer of the provider.
const MAX_ANSWER_BYTES: u64 = 1 << 20;
/// How many requests to it there may be at once: each takes a thread.
const MAX_REQUESTS: usize = 8;
/// For how long what it says of itself counts. Keys that are new before that are asked for when they come up.
const KNOWN_FOR: Duration = Duration::from_hours(1);
/// By how many seconds its clock may be wrong.
pub(super) const MAX_SKEW_SECONDS: i64 = 60;

/// All claims that have no type of their own.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Others(Claims);

impl openidconnect::AdditionalClaims for Others {}

/// What the provider says of itself.
pub(super) type Metadata = ProviderMetadataWithLogout;

type Tokens = StandardTokenResponse<
    IdTokenFields<
        Others,
        EmptyExtraTokenFields,
        CoreGenderClaim,
        CoreJweContentEncryptionAlgorithm,
        CoreJwsSigningAlgorithm,
    >,
    CoreTokenType,
>;
pub(super) type OurClient = Client<
    Others,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    Tokens,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// What a process remembers of the provider.
#[derive(Debug)]
pub(in crate::auth) struct Provider {
    known: Mutex<Option<(Instant, Arc<Metadata>)>>,
    /// Its tokens that were verified.
    pub(super) verified: Verified,
    requests: Semaphore,
}

impl Default for Provider {
    fn default() -> Provider {
        Provider { known: Mutex::default(), verified: Verified::default(), requests: Semaphore::new(MAX_REQUESTS) }
    }
}

/// A sign-in that somebody has begun, as their browser keeps it.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Begun {
    /// What the provider must give back.
    pub(super) state: String,
    /// What its token must have in it.
    nonce: String,
    /// What the code is worth nothing without.
    verifier: String,
    /// Where to go on.
    pub(super) next: String,
}

/// Somebody for whom the provider vouches.
pub(super) struct Somebody {
    /// The provider, as it names itself.
    pub(super) issuer: String,
    /// The person, as the provider names them.
    pub(super) subject: String,
    /// What else it says of them.
    pub(super) claims: Claims,
    /// Whether it says of which groups they are: if it names none then, they are of none.
    pub(super) says_groups: bool,
    /// The ID token that says so, if it came with one.
    pub(super) id_token: Option<String>,
}

/// Why the provider's answer is of no use.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It cannot be reached, or does not answer as it should.
    Unreachable(String),
    /// What it says cannot be verified, or it does not know the code.
    Untrusted(String),
}

impl Provider {
    /// The address where somebody signs in, and what is to be kept until they come back.
    pub(super) async fn begin(
        &self,
        config: &Config,
        next: &str,
    ) -> Result<std::result::Result<(String, Begun), Trouble>> {
        let metadata = match self.metadata(config, false).await? {
            Ok(metadata) => metadata,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let client = client(&metadata, config, None)?;
        let mut request = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                CsrfToken::new_random,
                Nonce::new_random,
            )
            .set_pkce_challenge(challenge);
        for scope in config.oidc_scopes.iter().filter(|scope| *scope != "openid") {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (address, state, nonce) = request.url();
        let begun = Begun {
            state: state.into_secret(),
            nonce: nonce.secret().clone(),
            verifier: verifier.into_secret(),
            next: next.to_owned(),
        };
        Ok(Ok((address.into(), begun)))
    }

    /// Who it is that has come back with this code.
    pub(super) async fn finish(
        &self,
        config: &Config,
        begun: Begun,
        code: String,
    ) -> Result<std::result::Result<Somebody, Trouble>> {
        let metadata = match self.metadata(config, false).await? {
            Ok(metadata) => metadata,
            Err(trouble) => return Ok(Err(trouble)),
        };
        let nonce = Nonce::new(begun.nonce.clone());
        let (of, asked) = (Arc::clone(&metadata), config.clone());
        let tokens = self.ask(config, move |http, secret| exchange(http, &of, &asked, secret, begun, code)).await?;
        let tokens = match tokens {
            Ok(tokens) => Arc::new(tokens),
            Err(trouble) => return Ok(Err(trouble)),
        };
        match self.verify(config, &metadata, &tokens, &nonce).await? {
            Err(Unverified::Key) => {}
            verified => return Ok(verified.map_err(Unverified::into_trouble)),
        }
        // It signs with a key that is newer than what is known of it.
        let metadata = match self.metadata(config, true).await? {
            Ok(metadata) => metadata,
            Err(trouble) => return Ok(Err(trouble)),
        };
        Ok(self.verify(config, &metadata, &tokens, &nonce).await?.map_err(Unverified::into_trouble))
    }

    /// What the provider says of itself, with its keys; asked for anew if it is old, or `afresh`.
    pub(super) async fn metadata(
        &self,
        config: &Config,
        afresh: bool,
    ) -> Result<std::result::Result<Arc<Metadata>, Trouble>> {
        if !afresh
            && let Some((since, known)) = &*self.known()
            && since.elapsed() < KNOWN_FOR
        {
            return Ok(Ok(Arc::clone(known)));
        }
        let issuer = issuer(config)?;
        let found = self
            .ask(config, move |http, _| {
                Metadata::discover(&issuer, http).map_err(|error| Trouble::Unreachable(chain(&error)))
            })
            .await?;
        Ok(found.map(|metadata| {
            let metadata = Arc::new(metadata);
            *self.known() = Some((Instant::now(), Arc::clone(&metadata)));
            metadata
        }))
    }

    /// Whether what the provider says of itself was asked for longer ago.
    pub(super) fn is_older(&self, than: Duration) -> bool {
        self.known().as_ref().is_none_or(|(since, _)| since.elapsed() > than)
    }

    /// The address where somebody signs out of the provider, and comes back from to `back`; `None` if it has none, or does not answer.
    pub(super) async fn leave(
        &self,
        config: &Config,
        back: String,
        id_token: Option<String>,
    ) -> Result<Option<String>> {
        let Ok(metadata) = self.metadata(config, false).await? else { return Ok(None) };
        let Some(address) = metadata.additional_metadata().end_session_endpoint.clone() else { return Ok(None) };
        let back = PostLogoutRedirectUrl::new(back).map_err(|error| Error::internal("reading public_url", error))?;
        let request = LogoutRequest::from(address)
            .set_client_id(ClientId::new(config.oidc_client_id.clone().unwrap_or_default()))
            .set_post_logout_redirect_uri(back);
        let mut url = request.http_get_url();
        if let Some(id_token) = id_token {
            url.query_pairs_mut().append_pair("id_token_hint", &id_token);
        }
        Ok(matches!(url.scheme(), "https" | "http").then(|| url.into()))
    }

    async fn verify(
        &self,
        config: &Config,
        metadata: &Arc<Metadata>,
        tokens: &Arc<Tokens>,
        nonce: &Nonce,
    ) -> Result<std::result::Result<Somebody, Unverified>> {
        let (metadata, tokens, nonce, asked) =
            (Arc::clone(metadata), Arc::clone(tokens), nonce.clone(), config.clone());
        self.ask(config, move |http, secret| {
            let client = client(&metadata, &asked, secret).map_err(|error| Unverified::No(chain(&error)))?;
            who(http, &client, &asked, &tokens, &nonce)
        })
        .await
    }

    /// Runs what asks the provider on a thread of its own, with the client's secret.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        config: &Config,
        work: impl FnOnce(&Http, Option<ClientSecret>) -> T + Send + 'static,
    ) -> Result<T> {
        let _permit = self.requests.try_acquire().map_err(|_| {
            Error::Unavailable("too many people sign in at the moment; try again in a few seconds".to_owned())
        })?;
        let config = config.clone();
        tokio::task::spawn_blocking(move || -> Result<T> {
            let secret = secret(&config)?;
            Ok(work(&Http::of(&config)?, secret))
        })
        .await
        .map_err(|error| Error::internal("asking the identity provider", error))?
    }

    fn known(&self) -> MutexGuard<'_, Option<(Instant, Arc<Metadata>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a token does not count.
pub(super) enum Unverified {
    /// There is no such key.
    Key,
    /// For another reason.
    No(String),
}

impl Unverified {
    pub(super) fn of(error: &ClaimsVerificationError) -> Unverified {
        match error {
            ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_),
            ) => Unverified::Key,
            error => Unverified::No(chain(error)),
        }
    }

    pub(super) fn into_trouble(self) -> Trouble {
        Trouble::Untrusted(match self {
            Unverified::Key => "its token is signed with a key that it does not publish".to_owned(),
            Unverified::No(why) => why,
        })
    }
}

fn issuer(config: &Config) -> Result<IssuerUrl> {
    let text = config.oidc_issuer.clone().unwrap_or_default();
    IssuerUrl::new(text).map_err(|error| Error::internal("reading oidc_issuer", error))
}

fn secret(config: &Config) -> Result<Option<ClientSecret>> {
    let Some(path) = &config.oidc_client_secret_file else {
        return Ok(config.oidc_client_secret.clone().map(ClientSecret::new));
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::internal(format!("reading oidc_client_secret_file ({})", path.display()), error))?;
    Ok(Some(ClientSecret::new(text.trim().to_owned())))
}

pub(super) fn client(metadata: &Metadata, config: &Config, secret: Option<ClientSecret>) -> Result<OurClient> {
    let base = config.public_url.as_deref().unwrap_or_default().trim_end_matches('/');
    let back = RedirectUrl::new(format!("{base}/arcgis/login/oidc/return"))
        .map_err(|error| Error::internal("reading public_url", error))?;
    let id = ClientId::new(config.oidc_client_id.clone().unwrap_or_default());
    let client = OurClient::from_provider_metadata(metadata.clone(), id, secret).set_redirect_uri(back);
    // Where nothing is said, providers take the secret in a header.
    let methods = metadata.token_endpoint_auth_methods_supported();
    let takes = |method| methods.is_none_or(|methods| methods.contains(&method));
    let in_body = !takes(CoreClientAuthMethod::ClientSecretBasic) && takes(CoreClientAuthMethod::ClientSecretPost);
    Ok(client.set_auth_type(if in_body { AuthType::RequestBody } else { AuthType::BasicAuth }))
}

/// Gives the code, and gets the tokens.
fn exchange(
    http: &Http,
    metadata: &Metadata,
    config: &Config,
    secret: Option<ClientSecret>,
    begun: Begun,
    code: String,
) -> std::result::Result<Tokens, Trouble> {
    use openidconnect::RequestTokenError::{Other, Parse, Request, ServerResponse};
    let client = client(metadata, config, secret).map_err(|error| Trouble::Untrusted(chain(&error)))?;
    let request = client
        .exchange_code(AuthorizationCode::new(code))
        .map_err(|error| Trouble::Unreachable(chain(&error)))?
        .set_pkce_verifier(PkceCodeVerifier::new(begun.verifier));
    request.request(http).map_err(|error| match error {
        // Not what it describes: that may have the code in it.
        ServerResponse(response) => Trouble::Untrusted(format!("it gave no token: {}", response.error())),
        Request(error) => Trouble::Unreachable(chain(&error)),
        Parse(..) | Other(_) => Trouble::Unreachable("its answer with the tokens cannot be read".to_owned()),
    })
}

/// Whom the tokens are about, if they are genuine, for us, and for this sign-in.
fn who(
    http: &Http,
    client: &OurClient,
    config: &Config,
    tokens: &Tokens,
    nonce: &Nonce,
) -> std::result::Result<Somebody, Unverified> {
    let no = |error: &dyn std::error::Error| Unverified::No(chain(error));
    let token = tokens.id_token().ok_or_else(|| Unverified::No("it gave no ID token".to_owned()))?;
    let verifier =
        client.id_token_verifier().set_time_fn(|| chrono::Utc::now() - chrono::TimeDelta::seconds(MAX_SKEW_SECONDS));
    let claims = token.claims(&verifier, nonce).map_err(|error| Unverified::of(&error))?;
    if let Some(expected) = claims.access_token_hash() {
        let key = token.signing_key(&verifier).map_err(|error| no(&error))?;
        let algorithm = token.signing_alg().map_err(|error| no(&error))?;
        let found = AccessTokenHash::from_token(tokens.access_token(), algorithm, key).map_err(|error| no(&error))?;
        if found != *expected {
            return Err(Unverified::No("its access token is not the one that its ID token is about".to_owned()));
        }
    }
    let mut all = members(claims)?;
    more_of(http, client, config, tokens.access_token(), claims.subject(), &mut all)?;
    Ok(Somebody {
        issuer: claims.issuer().to_string(),
        subject: claims.subject().to_string(),
        claims: all,
        says_groups: true,
        id_token: Some(token.to_string()),
    })
}

/// Asks the provider for claims that are needed and that its token does not have.
pub(super) fn more_of(
    http: &Http,
    client: &OurClient,
    config: &Config,
    token: &AccessToken,
    subject: &SubjectIdentifier,
    all: &mut Claims,
) -> std::result::Result<(), Unverified> {
    let no = |error: &dyn std::error::Error| Unverified::No(chain(error));
    if !is_incomplete(all, config) || client.user_info_url().is_none() {
        return Ok(());
    }
    let more: UserInfoClaims<Others, CoreGenderClaim> = client
        .user_info(token.clone(), Some(subject.clone()))
        .map_err(|error| no(&error))?
        .request(http)
        .map_err(|error| no(&error))?;
    // What is signed counts where both say something.
    for (name, value) in members(&more)? {
        all.entry(name).or_insert(value);
    }
    Ok(())
}

pub(super) fn members(claims: &impl Serialize) -> std::result::Result<Claims, Unverified> {
    match serde_json::to_value(claims) {
        Ok(serde_json::Value::Object(members)) => Ok(members),
        Ok(_) => Err(Unverified::No("its claims are no object".to_owned())),
        Err(error) => Err(Unverified::No(error.to_string())),
    }
}

/// Requests to the provider, and to nobody to whom it would lead.
pub(super) struct Http {
    agent: Agent,
    /// Whether the provider is on this machine, so that nobody reads along without TLS.
    is_local: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("{0} has no TLS, without which others can read along")]
    Plain(String),
    #[error(transparent)]
    Ureq(#[from] ureq::Error),
    #[error("its answer breaks off")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Http(#[from] http::Error),
    #[error("its answer is larger than {MAX_ANSWER_BYTES} bytes")]
    TooLarge,
}

impl Http {
    fn of(config: &Config) -> Result<Http> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = &config.oidc_ca_file {
            let attempt = || format!("reading oidc_ca_file ({})", path.display());
            let pem = std::fs::read(path).map_err(|error| Error::internal(attempt(), error))?;
            let certificates: Vec<_> = parse_pem(&pem)
                .filter_map(|item| match item {
                    Ok(PemItem::Certificate(certificate)) => Some(certificate),
                    _ => None,
                })
                .collect();
            if certificates.is_empty() {
                return Err(Error::internal(attempt(), "it has no certificate in PEM form"));
            }
            tls = tls.root_certs(RootCerts::new_with_certs(&certificates));
        }
        let is_local = config
            .oidc_issuer
            .as_deref()
            .and_then(|issuer| Url::parse(issuer).ok())
            .is_some_and(|url| is_loopback(&url));
        let mut agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(TIMEOUT))
            .user_agent(concat!("syncline/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build());
        if is_local {
            agent = agent.proxy(None);
        }
        Ok(Http { agent: agent.build().into(), is_local })
    }

    fn send(&self, request: HttpRequest) -> std::result::Result<HttpResponse, NoAnswer> {
        let address = request.uri().to_string();
        let url = Url::parse(&address).ok().filter(|url| url.scheme() == "https" || self.is_local && is_loopback(url));
        if url.is_none() {
            return Err(NoAnswer::Plain(address));
        }
        let response = match request.method() == http::Method::GET {
            true => self.agent.run(request.map(|_| ()))?,
            false => self.agent.run(request)?,
        };
        let (head, body) = response.into_parts();
        let mut bytes = Vec::new();
        body.into_reader().take(MAX_ANSWER_BYTES + 1).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_ANSWER_BYTES {
            return Err(NoAnswer::TooLarge);
        }
        let mut answer = http::Response::builder().status(head.status);
        if let Some(kind) = head.headers.get(CONTENT_TYPE) {
            answer = answer.header(CONTENT_TYPE, kind);
        }
        Ok(answer.body(bytes)?)
    }
}

impl openidconnect::SyncHttpClient for Http {
    type Error = NoAnswer;

    fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, NoAnswer> {
        self.send(request)
    }
}

/// Whether an address is of this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
