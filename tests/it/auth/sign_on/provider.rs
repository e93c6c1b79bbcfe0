//! An identity provider of our own, which can lie: what it says and how it signs is up to the test. It is strict with its client.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use openidconnect::{
    JsonWebKeyId, PrivateSigningKey as _,
    core::{CoreEdDsaPrivateSigningKey, CoreJwsSigningAlgorithm},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

pub const CLIENT: &str = "trees-server";
pub const SECRET: &str = "what:only the provider/knows";

/// Two keys for tests, which are nowhere else.
const KEYS: [&str; 2] = [
    "MC4CAQAwBQYDK2VwBCIEIKqZ9KHu+fRSohhROxuud8CUqm41UnUGiGFiwGpxvTLE",
    "MC4CAQAwBQYDK2VwBCIEIOq4FsBrgOHDbDERWjvl81E54PvGiIC8Hgh6zhaOAR8Z",
];

/// What the provider says and does about one code.
#[derive(Clone)]
pub struct Answer {
    /// The claims of the ID token; what it must have is added unless it is there.
    pub claims: Value,
    /// The key that it is signed with, by number, and the one that it names.
    pub key: (usize, &'static str),
    /// The algorithm that its head names.
    pub algorithm: &'static str,
    /// What it says of the person when it is asked; null: no more than who it is.
    pub user_info: Value,
}

impl Default for Answer {
    fn default() -> Answer {
        Answer { claims: json!({}), key: (0, "0"), algorithm: "EdDSA", user_info: Value::Null }
    }
}

#[derive(Default)]
struct Inside {
    base: String,
    /// By code: what was asked for, and what is answered.
    codes: HashMap<String, (HashMap<String, String>, Answer)>,
    /// The keys that it publishes, by number.
    published: Vec<usize>,
    user_info: Value,
}

/// The provider, as long as the test runs.
#[derive(Clone)]
pub struct Provider(Arc<Mutex<Inside>>);

impl Provider {
    pub async fn start() -> Provider {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let provider = Provider(Arc::new(Mutex::new(Inside { base, published: vec![0], ..Inside::default() })));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(description))
            .route("/jwks", get(keys))
            .route("/token", post(token))
            .route("/userinfo", get(user_info))
            .with_state(provider.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        provider
    }

    pub fn issuer(&self) -> String {
        self.0.lock().unwrap().base.clone()
    }

    /// Publishes these keys from now on.
    pub fn publish(&self, keys: &[usize]) {
        self.0.lock().unwrap().published = keys.to_vec();
    }

    /// A code for whoever was led to `address`, and the state that comes with it.
    pub fn let_in(&self, address: &str, answer: Answer) -> (String, String) {
        let url = url::Url::parse(address).unwrap();
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        let mut inside = self.0.lock().unwrap();
        assert!(address.starts_with(&format!("{}/authorize?", inside.base)), "{address}");
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["client_id"], CLIENT);
        assert_eq!(asked["scope"], "openid profile email");
        assert_eq!(asked["code_challenge_method"], "S256");
        let code = format!("code/{}", inside.codes.len());
        let state = asked["state"].clone();
        inside.codes.insert(code.clone(), (asked, answer));
        (code, state)
    }
}

fn answer(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

async fn description(State(provider): State<Provider>) -> Response {
    let base = provider.issuer();
    answer(&json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "userinfo_endpoint": format!("{base}/userinfo"),
        "jwks_uri": format!("{base}/jwks"),
        "end_session_endpoint": format!("{base}/end"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA", "RS256"],
    }))
}

fn key(number: usize) -> CoreEdDsaPrivateSigningKey {
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", KEYS[number]);
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, Some(JsonWebKeyId::new(number.to_string()))).unwrap()
}

async fn keys(State(provider): State<Provider>) -> Response {
    let published = provider.0.lock().unwrap().published.clone();
    let keys: Vec<Value> =
        published.into_iter().map(|number| serde_json::to_value(key(number).as_verification_key()).unwrap()).collect();
    answer(&json!({ "keys": keys }))
}

fn refused(error: &str) -> Response {
    let mut response = answer(&json!({"error": error, "error_description": "no such code"}));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

async fn token(State(provider): State<Provider>, headers: HeaderMap, body: String) -> Response {
    let form: HashMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let mut inside = provider.0.lock().unwrap();
    // Both parts are encoded before they are joined (RFC 6749, 2.3.1).
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let expected = format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(CLIENT), encoded(SECRET))));
    if headers.get(header::AUTHORIZATION).is_none_or(|value| value.to_str().unwrap() != expected) {
        return refused("invalid_client");
    }
    let Some((asked, told)) = inside.codes.remove(&form["code"]) else { return refused("invalid_grant") };
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
    if challenge != asked["code_challenge"] || form["redirect_uri"] != asked["redirect_uri"] {
        return refused("invalid_grant");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({
        "iss": inside.base, "aud": CLIENT, "sub": "4711", "iat": now, "exp": now + 300, "nonce": asked["nonce"],
    });
    for (name, value) in told.claims.as_object().unwrap() {
        // Instants are seconds from now on.
        claims[name] = match (name.as_str(), value.as_i64()) {
            ("exp", Some(seconds)) => json!(i64::try_from(now).unwrap() + seconds),
            _ => value.clone(),
        };
    }
    inside.user_info = match &told.user_info {
        Value::Null => json!({"sub": claims["sub"]}),
        said => said.clone(),
    };
    let token = signed(&json!({"alg": told.algorithm, "kid": told.key.1}), &claims, &told);
    answer(&json!({"access_token": "opaque", "token_type": "Bearer", "id_token": token}))
}

/// A token with this head and these claims, signed as an answer says.
pub fn signed(head: &Value, claims: &Value, told: &Answer) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(head), part(claims));
    let signature = match told.algorithm {
        "none" => String::new(),
        _ => URL_SAFE_NO_PAD.encode(key(told.key.0).sign(&CoreJwsSigningAlgorithm::EdDsa, signed.as_bytes()).unwrap()),
    };
    format!("{signed}.{signature}")
}

async fn user_info(State(provider): State<Provider>) -> Response {
    answer(&provider.0.lock().unwrap().user_info)
}
