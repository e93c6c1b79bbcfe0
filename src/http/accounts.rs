//! Users, roles, keys, tokens and grants over HTTP, for administrators: GET lists, POST changes.

use std::collections::HashMap;

use axum::http::Method;
use serde_json::{Value as Json, json};

use crate::{
    app::App,
    auth::{
        lists, oidc,
        rights::{self, NewKey},
        users::{self, Change},
    },
    error::{Error, Result},
    model::{
        account::{Grantee, User},
        principal::{Access, Role, UserName},
    },
    wire::accounts as documents,
};

use super::{Call, respond::Reply, route::Accounts};

/// Answers a request about accounts.
pub(super) async fn handle(call: &Call, what: Accounts) -> Result<Reply> {
    let operation = call.params.text("operation");
    if call.method != Method::POST {
        return match operation {
            Some(_) => Err(Error::PostOnly { operation: "operation" }),
            None => list(call, what).await.map(Reply::Json),
        };
    }
    let Some(operation) = operation else { return list(call, what).await.map(Reply::Json) };
    let operation = operation.to_ascii_lowercase();
    let (done, secret) = match what {
        Accounts::Users => of_users(call, &operation).await?,
        Accounts::Roles => of_roles(call, &operation).await?,
        Accounts::Keys => of_keys(call, &operation).await?,
        Accounts::Tokens => of_tokens(call, &operation).await?,
        Accounts::Grants => of_grants(call, &operation).await?,
    };
    tracing::info!(by = call.principal.name(), what = what.name(), operation, about = done, "accounts were changed");
    let mut answer = json!({"success": true});
    if let Some((name, secret)) = secret {
        answer[name] = secret.into();
    }
    Ok(Reply::Json(answer))
}

async fn list(call: &Call, what: Accounts) -> Result<Json> {
    let app = &call.app;
    let listed: Json = match what {
        Accounts::Users => users(app).await?,
        Accounts::Roles => lists::roles(app).await?.iter().map(documents::role).collect(),
        Accounts::Keys => lists::keys(app).await?.iter().map(documents::key).collect(),
        Accounts::Tokens => {
            let user = call.params.text("user").map(user_name).transpose()?;
            lists::tokens(app, user.as_ref()).await?.iter().map(documents::token).collect()
        }
        Accounts::Grants => {
            let service = match call.params.text("service") {
                Some(name) => Some(app.store.service(name).await?),
                None => None,
            };
            lists::grants(app, service.as_deref()).await?.iter().map(documents::grant).collect()
        }
    };
    let mut answer = json!({});
    answer[what.name()] = listed;
    if what == Accounts::Grants {
        answer["anonymous"] = app.config.anonymous.name().into();
    }
    Ok(answer)
}

/// All users, with who they are at identity providers.
async fn users(app: &App) -> Result<Json> {
    let mut identities: HashMap<String, Vec<Json>> = HashMap::new();
    for link in oidc::links(app).await? {
        let shown = documents::identity(&link.issuer, &link.subject, link.last_used_ms);
        identities.entry(link.user).or_default().push(shown);
    }
    let shown = |user: &User| {
        let mut shown = documents::user(user);
        shown["identities"] = identities.remove(user.name.as_str()).unwrap_or_default().into();
        shown
    };
    Ok(lists::users(app).await?.iter().map(shown).collect())
}

/// Whom or what was changed, and a secret that is shown once.
type Done = (String, Option<(&'static str, String)>);

fn unknown(accepted: &'static str) -> Error {
    Error::invalid("operation", format!("it is none of {accepted}"))
}

fn given<'a>(call: &'a Call, name: &'static str) -> Result<&'a str> {
    call.params.text(name).ok_or_else(|| Error::invalid(name, "it is missing"))
}

fn user_name(text: &str) -> Result<UserName> {
    UserName::parse(text).map_err(|problem| Error::invalid("name", problem))
}

/// Names with commas between.
fn names(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn roles(call: &Call) -> Result<Vec<String>> {
    let roles = names(given(call, "roles")?);
    match roles.is_empty() {
        true => Err(Error::invalid("roles", "at least one role is needed")),
        false => Ok(roles),
    }
}

/// The password of a user, made here if none is given.
fn password(call: &Call) -> Result<(String, Option<(&'static str, String)>)> {
    // Not trimmed: blanks are characters of a password.
    if let Some(password) = call.params.get(&["password"]).filter(|password| !password.is_empty()) {
        return Ok((password.to_owned(), None));
    }
    let made = users::new_password()?;
    Ok((made.clone(), Some(("password", made))))
}

async fn of_users(call: &Call, operation: &str) -> Result<Done> {
    let app = &call.app;
    let name = user_name(given(call, "name")?)?;
    let mut shown = None;
    let change = match operation {
        "add" => {
            let roles = roles(call)?;
            if call.params.flag(&["noPassword"], false)? {
                users::add(app, &name, None, &roles).await?;
                return Ok((name.to_string(), None));
            }
            let (password, made) = password(call)?;
            users::add(app, &name, Some(&password), &roles).await?;
            return Ok((name.to_string(), made));
        }
        "setpassword" => {
            let (password, made) = password(call)?;
            shown = made;
            Change::Password(password)
        }
        "removepassword" => Change::NoPassword,
        "setroles" => Change::Roles(roles(call)?),
        "disable" => Change::Disable,
        "enable" => Change::Enable,
        "remove" => Change::Remove,
        "revoketokens" => Change::RevokeTokens,
        "link" => {
            oidc::link(app, &name, call.params.text("issuer"), given(call, "subject")?).await?;
            return Ok((name.to_string(), None));
        }
        "unlink" => {
            oidc::unlink(app, &name).await?;
            return Ok((name.to_string(), None));
        }
        _ => {
            return Err(unknown(
                "add, setPassword, removePassword, setRoles, disable, enable, remove, revokeTokens, link, unlink",
            ));
        }
    };
    users::change(app, &name, &change).await?;
    Ok((name.to_string(), shown))
}

async fn of_roles(call: &Call, operation: &str) -> Result<Done> {
    let name = given(call, "name")?;
    match operation {
        "add" => {
            let level = call.params.word("level", "viewer, editor, publisher, admin", Role::from_name)?;
            let level = level.ok_or_else(|| Error::invalid("level", "it is missing"))?;
            rights::add_role(&call.app, name, level).await?;
        }
        "remove" => rights::remove_role(&call.app, name).await?,
        _ => return Err(unknown("add, remove")),
    }
    Ok((name.to_owned(), None))
}

async fn of_keys(call: &Call, operation: &str) -> Result<Done> {
    let name = given(call, "name")?;
    match operation {
        "add" => {
            let days = call.params.integer("expires")?;
            let new = NewKey {
                name: name.to_owned(),
                role: given(call, "role")?.to_owned(),
                services: names(call.params.text("services").unwrap_or_default()),
                days: days.map(|days| i32::try_from(days).unwrap_or(i32::MAX)),
            };
            let key = rights::add_key(&call.app, &new).await?;
            Ok((new.name, Some(("key", key))))
        }
        "revoke" => {
            rights::revoke_key(&call.app, name).await?;
            Ok((name.to_owned(), None))
        }
        _ => Err(unknown("add, revoke")),
    }
}

async fn of_tokens(call: &Call, operation: &str) -> Result<Done> {
    if operation != "revoke" {
        return Err(unknown("revoke"));
    }
    if let Some(user) = call.params.text("user") {
        let name = user_name(user)?;
        users::change(&call.app, &name, &Change::RevokeTokens).await?;
        return Ok((name.to_string(), None));
    }
    let id =
        call.params.integer("id")?.ok_or_else(|| Error::invalid("id", "the number of a token is needed, or a user"))?;
    rights::revoke_token(&call.app, i32::try_from(id).unwrap_or(-1)).await?;
    Ok((id.to_string(), None))
}

async fn of_grants(call: &Call, operation: &str) -> Result<Done> {
    if operation != "set" {
        return Err(unknown("set"));
    }
    let params = &call.params;
    let service = call.app.store.service(given(call, "service")?).await?;
    let to = match (params.text("user"), params.text("role"), params.flag(&["anonymous"], false)?) {
        (Some(user), None, false) => Grantee::User(user.to_owned()),
        (None, Some(role), false) => Grantee::Role(role.to_owned()),
        (None, None, true) => Grantee::Anonymous,
        _ => {
            return Err(Error::invalid(
                "user",
                "one of user, role and anonymous=true is needed: to whom it is granted",
            ));
        }
    };
    let accepted = "none, view, edit, manage, default";
    let access = params.word("access", accepted, |word| match word.eq_ignore_ascii_case("default") {
        true => Some(None),
        false => Access::from_name(word).map(Some),
    })?;
    let access = access.ok_or_else(|| Error::invalid("access", format!("it is missing; one of {accepted}")))?;
    rights::grant(&call.app.store, &service, &to, access).await?;
    let (kind, name) = to.parts();
    Ok((format!("{} {kind} {name}", service.name), None))
}
