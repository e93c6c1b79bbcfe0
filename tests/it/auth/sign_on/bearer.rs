//! Access tokens of the provider, presented instead of a token of the server.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};

use super::{
    provider::{Answer, CLIENT, Provider, signed},
    roles, with_issuer,
};
use crate::{
    auth::{get_as, post_as, signing_in::token_of},
    support::{TestServer, server::error},
};

const AUDIENCE: &str = "https://gis.example/api";

async fn with_audience() -> (TestServer, Provider) {
    let provider = Provider::start().await;
    let mut server = with_issuer(&provider.issuer()).await;
    server.configure(|config| config.oidc_audience = Some(AUDIENCE.to_owned()));
    (server, provider)
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A token about carla, with these claims instead of its own; null: without.
fn token(provider: &Provider, changed: &Json, told: &Answer) -> String {
    let mut claims = json!({
        "iss": provider.issuer(), "aud": [AUDIENCE, "another"], "sub": "4711", "iat": now(), "exp": now() + 300, "client_id": "a program",
        "preferred_username": "carla", "groups": ["gis"],
    });
    for (name, value) in changed.as_object().unwrap() {
        match value {
            Json::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    signed(&json!({"alg": told.algorithm, "kid": told.key.1, "typ": "at+jwt"}), &claims, told)
}

async fn code(server: &TestServer, token: &str) -> i64 {
    let answer = get_as(server, token, "", &[]).await;
    answer.get("error").map_or(200, |_| error(&answer).0)
}

#[tokio::test]
async fn a_program_presents_a_token_of_the_provider_where_the_settings_say_so() {
    let (mut server, provider) = with_audience().await;
    let own = token(&provider, &json!({}), &Answer::default());
    let add = [("features", r#"[{"attributes":{"species":"x"}}]"#)];
    for _ in 0..3 {
        let answer = post_as(&server, &own, "0/addFeatures", &add).await;
        assert_eq!(answer["addResults"][0]["success"], true, "{answer}");
    }
    assert_eq!(roles(&server, "carla").await, "editor");
    let entries: i64 = server
        .database
        .value("select count(*) from syncline.audit where action = 'user.linked' and subject = 'carla'")
        .await;
    assert_eq!(entries, 1);
    // A token that says nothing of groups takes no role away; one that says another group does.
    let quiet = token(&provider, &json!({"groups": null}), &Answer::default());
    assert_eq!(code(&server, &quiet).await, 200);
    assert_eq!(roles(&server, "carla").await, "editor");
    let other = token(&provider, &json!({"groups": ["nobody"]}), &Answer::default());
    assert_eq!(code(&server, &other).await, 498);
    assert_eq!(roles(&server, "carla").await, "");
    let bosses = token(&provider, &json!({"groups": ["bosses"]}), &Answer::default());
    assert_eq!(code(&server, &bosses).await, 200);
    assert_eq!(roles(&server, "carla").await, "admin");
    // Who is disabled is out at once, with every token.
    let root = token_of(&server, "root").await;
    let done =
        post_as(&server, &root, "/arcgis/rest/admin/accounts/users", &[("operation", "disable"), ("name", "carla")])
            .await;
    assert_eq!(done["success"], true, "{done}");
    assert_eq!(code(&server, &own).await, 498);
    assert_eq!(code(&server, &bosses).await, 498);
    // And nothing of it counts where nobody said for whom such tokens are.
    server.configure(|config| config.oidc_audience = None);
    assert_eq!(
        code(&server, &token(&provider, &json!({"sub": "1", "preferred_username": "dora"}), &Answer::default())).await,
        498
    );
}

#[tokio::test]
async fn a_token_that_is_not_genuine_or_not_for_this_server_does_not_count() {
    let (server, provider) = with_audience().await;
    let good = || Answer::default();
    let whole = token(&provider, &json!({}), &good());
    let [head, claims, signature]: [&str; 3] = whole.split('.').collect::<Vec<_>>().try_into().unwrap();
    let mine = token(&provider, &json!({"groups": ["bosses"]}), &good());
    let wrong = [
        ("an ID token", token(&provider, &json!({"aud": CLIENT, "nonce": "x"}), &good())),
        ("an ID token for everybody", token(&provider, &json!({"nonce": "x"}), &good())),
        ("an ID token with a hash", token(&provider, &json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}), &good())),
        ("another audience", token(&provider, &json!({"aud": "another"}), &good())),
        ("no audience", token(&provider, &json!({"aud": null}), &good())),
        ("another issuer", token(&provider, &json!({"iss": "https://id.example"}), &good())),
        ("expired", token(&provider, &json!({"exp": now() - 120}), &good())),
        ("without an end", token(&provider, &json!({"exp": null}), &good())),
        ("not yet", token(&provider, &json!({"nbf": now() + 600}), &good())),
        ("no group with a role", token(&provider, &json!({"groups": []}), &good())),
        ("the name of another user", token(&provider, &json!({"sub": "77", "preferred_username": "root"}), &good())),
        ("no signature", token(&provider, &json!({}), &Answer { algorithm: "none", ..good() })),
        ("an algorithm of a secret", token(&provider, &json!({}), &Answer { algorithm: "HS256", ..good() })),
        (
            "an algorithm that the key is not for",
            token(&provider, &json!({}), &Answer { algorithm: "RS256", ..good() }),
        ),
        ("a key that nobody publishes", token(&provider, &json!({}), &Answer { key: (1, "1"), ..good() })),
        ("a key under the name of another", token(&provider, &json!({}), &Answer { key: (1, "0"), ..good() })),
        ("others' claims", format!("{head}.{}.{signature}", mine.split('.').nth(1).unwrap())),
        ("cut", format!("{head}.{claims}.")),
        ("nothing in it", "..".to_owned()),
        ("no JSON", "e30.e30.e30".to_owned()),
    ];
    for (what, token) in wrong {
        assert_eq!(code(&server, &token).await, 498, "{what}");
    }
    assert_eq!(server.database.value::<i64>("select count(*) from syncline.account").await, 3);
    assert_eq!(code(&server, &whole).await, 200);
}
