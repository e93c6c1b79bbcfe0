//! Users, roles, keys, tokens and grants as documents for administrators. No document has anything that could be presented.

use serde_json::{Value as Json, json};

use crate::model::account::{Grant, Key, NamedRole, Token, User};

/// A user.
pub(crate) fn user(user: &User) -> Json {
    json!({
        "name": user.name.as_str(), "enabled": user.enabled, "roles": user.roles, "hasPassword": user.has_password,
        "tokens": user.n_tokens, "created": user.created_ms,
    })
}

/// Who a user is at an identity provider.
pub(crate) fn identity(issuer: &str, subject: &str, last_used_ms: Option<i64>) -> Json {
    json!({"issuer": issuer, "subject": subject, "lastUsed": last_used_ms})
}

/// A role.
pub(crate) fn role(role: &NamedRole) -> Json {
    json!({"name": role.name, "level": role.level.name(), "builtIn": role.built_in, "users": role.n_users})
}

/// A key; `services` is null if it is limited to none.
pub(crate) fn key(key: &Key) -> Json {
    json!({
        "name": key.name, "role": key.role, "services": key.services, "created": key.created_ms,
        "expires": key.expires_ms, "lastUsed": key.last_used_ms,
    })
}

/// A token or session.
pub(crate) fn token(token: &Token) -> Json {
    json!({
        "id": token.id, "user": token.user, "type": if token.is_session { "session" } else { "token" },
        "boundTo": token.bound_to, "issuedTo": token.issued_to, "created": token.created_ms, "expires": token.expires_ms,
    })
}

/// What was granted.
pub(crate) fn grant(grant: &Grant) -> Json {
    let (kind, name) = grant.to.parts();
    json!({"service": grant.service, "to": kind, "name": name, "access": grant.access.name()})
}
