//! Access tokens of the identity provider, which programs present instead of a token of this server.
//!
//! Each is verified once: who it is about is remembered by its SHA-256 until it expires. What its user may do is looked up like that of any other
//! token, so that a disabled user, or one who was unlinked, is out at once.

use std::{
    collections::HashMap,
    str::FromStr as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use openidconnect::{
    AccessToken, ClientId, IdToken, IdTokenVerifier, JsonWebTokenType, Nonce,
    core::{CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm},
};

use crate::{
    app::App,
    config::Config,
    error::{Error, Result, chain},
    model::principal::Principal,
};

use super::{
    Failed, admit,
    claims::says_groups,
    failed,
    provider::{Http, MAX_SKEW_SECONDS, Metadata, Others, Provider, Somebody, Unverified, client, members, more_of},
};

/// The longest token that is looked at.
const MAX_BYTES: usize = 16 << 10;
/// How many tokens are remembered.
const MAX_REMEMBERED: usize = 10_000;
/// How old what the provider says of itself may be when a token names a key that is not known: whoever makes up tokens must not keep it busy.
const KEYS_MAY_BE_OLD: Duration = Duration::from_mins(1);

type Jwt = IdToken<Others, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

/// Whom tokens are about that were verified.
#[derive(Debug, Default)]
pub(super) struct Verified(Mutex<HashMap<[u8; 32], About>>);

/// Whom a token is about, and until when.
#[derive(Clone, Debug)]
struct About {
    issuer: Arc<str>,
    subject: Arc<str>,
    expires_ms: i64,
}

/// Whether a text has the form of a provider's token.
pub(in crate::auth) fn is_jwt(token: &str) -> bool {
    token.len() <= MAX_BYTES
        && token.split('.').count() == 3
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Whom a token of the provider stands for. What does not count, for whatever reason, is [`Error::TokenInvalid`]; the log has the reason.
pub(in crate::auth) async fn authenticate(app: &App, token: &str, digest: [u8; 32]) -> Result<Principal> {
    let provider = &app.gate.provider;
    let about = match provider.verified.get(&digest) {
        Some(about) => about,
        None => {
            let about = verify(app, token).await?;
            provider.verified.put(digest, about.clone());
            about
        }
    };
    if about.expires_ms + MAX_SKEW_SECONDS * 1000 <= now_ms() {
        return Err(Error::TokenInvalid);
    }
    let known = app.store.vouched(&digest, &about.issuer, &about.subject).await?;
    known.map(|known| known.principal.clone()).ok_or(Error::TokenInvalid)
}

/// Verifies a token, and admits its user as a sign-in would.
async fn verify(app: &App, token: &str) -> Result<About> {
    let (somebody, expires_ms) = match app.gate.provider.verify_bearer(&app.config, token).await? {
        Ok(verified) => verified,
        Err(trouble) => {
            return Err(match failed(&trouble) {
                Failed::Unreachable => {
                    Error::Unavailable("the identity provider does not answer, so that its tokens cannot be verified; try again in a minute".to_owned())
                }
                _ => Error::TokenInvalid,
            });
        }
    };
    match admit(app, &somebody).await? {
        Ok(_) => Ok(About { issuer: somebody.issuer.into(), subject: somebody.subject.into(), expires_ms }),
        Err(failed) => {
            tracing::info!(
                reason = failed.word(),
                "somebody's token of the identity provider is genuine and does not count"
            );
            Err(Error::TokenInvalid)
        }
    }
}

impl Provider {
    async fn verify_bearer(
        &self,
        config: &Config,
        token: &str,
    ) -> Result<std::result::Result<(Somebody, i64), super::Trouble>> {
        let metadata = match self.metadata(config, false).await? {
            Ok(metadata) => metadata,
            Err(trouble) => return Ok(Err(trouble)),
        };
        match self.verify_with(config, &metadata, token).await? {
            Err(Unverified::Key) if self.is_older(KEYS_MAY_BE_OLD) => {}
            verified => return Ok(verified.map_err(Unverified::into_trouble)),
        }
        let metadata = match self.metadata(config, true).await? {
            Ok(metadata) => metadata,
            Err(trouble) => return Ok(Err(trouble)),
        };
        Ok(self.verify_with(config, &metadata, token).await?.map_err(Unverified::into_trouble))
    }

    async fn verify_with(
        &self,
        config: &Config,
        metadata: &Arc<Metadata>,
        token: &str,
    ) -> Result<std::result::Result<(Somebody, i64), Unverified>> {
        let (metadata, token, asked) = (Arc::clone(metadata), token.to_owned(), config.clone());
        self.ask(config, move |http, _| who(http, &metadata, &asked, &token)).await
    }
}

/// Whom a token is about, and until when, if it is genuine and for this server.
fn who(
    http: &Http,
    metadata: &Metadata,
    config: &Config,
    token: &str,
) -> std::result::Result<(Somebody, i64), Unverified> {
    let no = |error: &dyn std::error::Error| Unverified::No(chain(error));
    let audience = config.oidc_audience.clone().unwrap_or_default();
    let types = ["application/jwt", "application/at+jwt"]
        .into_iter()
        .filter_map(|name| JsonWebTokenType::new(name.to_owned()).normalize().ok());
    let algorithms = metadata.id_token_signing_alg_values_supported();
    let verifier =
        IdTokenVerifier::new_public_client(ClientId::new(audience), metadata.issuer().clone(), metadata.jwks().clone())
            .set_allowed_jose_types(types)
            .set_allowed_algs(
                algorithms.iter().filter(|algorithm| **algorithm != CoreJwsSigningAlgorithm::None).cloned(),
            )
            // It may be for other services as well.
            .set_other_audience_verifier_fn(|_| true)
            .set_time_fn(|| chrono::Utc::now() - chrono::TimeDelta::seconds(MAX_SKEW_SECONDS));
    let parsed = Jwt::from_str(token).map_err(|error| no(&error))?;
    let is_id_token = |nonce: Option<&Nonce>| match nonce {
        None => Ok(()),
        Some(_) => Err("it is an ID token, which is for a client and not for presenting to anybody".to_owned()),
    };
    let claims = parsed.claims(&verifier, is_id_token).map_err(|error| Unverified::of(&error))?;
    if claims.access_token_hash().is_some() {
        return Err(Unverified::No(
            "it is an ID token, which is for a client and not for presenting to anybody".to_owned(),
        ));
    }
    let mut all = members(claims)?;
    let begins = all.get("nbf").and_then(serde_json::Value::as_i64).unwrap_or_default();
    if begins > chrono::Utc::now().timestamp() + MAX_SKEW_SECONDS {
        return Err(Unverified::No("it does not count yet (nbf)".to_owned()));
    }
    let client = client(metadata, config, None).map_err(|error| no(&error))?;
    // A token that is not for the provider itself gets nothing from it, and is no less genuine.
    if let Err(Unverified::No(why)) =
        more_of(http, &client, config, &AccessToken::new(token.to_owned()), claims.subject(), &mut all)
    {
        tracing::debug!(why, "the identity provider tells no more of whom a token is about");
    }
    let says_groups = says_groups(&all, config);
    let (issuer, subject) = (claims.issuer().to_string(), claims.subject().to_string());
    Ok((Somebody { issuer, subject, claims: all, says_groups, id_token: None }, claims.expiration().timestamp_millis()))
}

impl Verified {
    fn get(&self, digest: &[u8; 32]) -> Option<About> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    fn put(&self, digest: [u8; 32], about: About) {
        let mut verified = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= MAX_REMEMBERED {
            let now = now_ms();
            verified.retain(|_, about| about.expires_ms > now);
        }
        if verified.len() >= MAX_REMEMBERED {
            verified.clear();
        }
        verified.insert(digest, about);
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
