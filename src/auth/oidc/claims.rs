//! What the claims of a provider mean here: names of users, and roles.

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use crate::{config::Config, model::principal::UserName};

/// What a provider says of somebody, by its own names.
pub(super) type Claims = Map<String, Json>;

/// The names that somebody may have here, the best one first.
pub(super) fn names(claims: &Claims, config: &Config) -> Vec<UserName> {
    let text = |name: &str| find(claims, name).and_then(Json::as_str);
    let candidates = match &config.oidc_user_claim {
        Some(claim) => vec![text(claim)],
        None => {
            // Anybody may claim an address that nobody has looked at.
            let is_verified = find(claims, "email_verified") == Some(&Json::Bool(true));
            vec![text("preferred_username"), text("email").filter(|_| is_verified), text("sub")]
        }
    };
    candidates.into_iter().flatten().filter_map(|name| UserName::parse(name).ok()).collect()
}

/// The roles that somebody has at the next sign-in, out of those they have and of their groups. Only roles that the settings give to groups follow the
/// groups; others are an administrator's.
pub(super) fn roles(claims: &Claims, has: &[String], config: &Config) -> Vec<String> {
    let groups = groups(claims, &config.oidc_groups_claim);
    let given: Vec<(&str, String)> = config.oidc_roles.iter().filter_map(|entry| role_of_group(entry)).collect();
    let own = has.iter().filter(|role| !given.iter().any(|(_, of_group)| of_group == *role)).cloned();
    let of_groups = given.iter().filter(|(group, _)| groups.contains(group)).map(|(_, role)| role.clone());
    let mut roles: BTreeSet<String> = own.chain(of_groups).collect();
    if roles.is_empty() {
        roles.extend(config.oidc_default_role.as_ref().map(|role| role.trim().to_lowercase()));
    }
    roles.into_iter().collect()
}

/// Whether the claims say of which groups somebody is, where that matters.
pub(super) fn says_groups(claims: &Claims, config: &Config) -> bool {
    config.oidc_roles.is_empty() || find(claims, &config.oidc_groups_claim).is_some()
}

/// The roles that the settings name.
pub(super) fn roles_named(config: &Config) -> BTreeSet<String> {
    let of_groups = config.oidc_roles.iter().filter_map(|entry| role_of_group(entry)).map(|(_, role)| role);
    of_groups.chain(config.oidc_default_role.as_ref().map(|role| role.trim().to_lowercase())).collect()
}

/// Whether a claim that is needed is not there.
pub(super) fn is_incomplete(claims: &Claims, config: &Config) -> bool {
    let wanted = config.oidc_user_claim.as_deref().unwrap_or("preferred_username");
    find(claims, wanted).is_none()
        || (!config.oidc_roles.is_empty() && find(claims, &config.oidc_groups_claim).is_none())
}

/// A group and its role, in lower case, of an entry of the setting: `GROUP=ROLE`. Names of groups may have `=` in them.
fn role_of_group(entry: &str) -> Option<(&str, String)> {
    entry.rsplit_once('=').map(|(group, role)| (group.trim(), role.trim().to_lowercase()))
}

fn groups<'c>(claims: &'c Claims, claim: &str) -> BTreeSet<&'c str> {
    match find(claims, claim) {
        Some(Json::Array(groups)) => groups.iter().filter_map(Json::as_str).collect(),
        Some(Json::String(group)) => BTreeSet::from([group.as_str()]),
        _ => BTreeSet::new(),
    }
}

/// A claim by its name, or by the way to it, as in `realm_access.roles`.
fn find<'c>(claims: &'c Claims, name: &str) -> Option<&'c Json> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: &Json) -> Claims {
        value.as_object().unwrap().clone()
    }

    fn named(value: &Json, config: &Config) -> Vec<String> {
        names(&claims(value), config).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_name_is_the_preferred_one_then_a_verified_address_then_the_subject() {
        let config = Config::default();
        let all =
            json!({"sub": "4711", "email": "ann@example.org", "email_verified": true, "preferred_username": "ann"});
        assert_eq!(named(&all, &config), ["ann", "ann@example.org", "4711"]);
        for unverified in [json!(false), json!(null), json!("true")] {
            let claims = json!({"sub": "4711", "email": "ann@example.org", "email_verified": unverified});
            assert_eq!(named(&claims, &config), ["4711"], "{unverified}");
        }
        // What cannot be a name is passed over, and nobody becomes a key.
        assert_eq!(named(&json!({"sub": "4711", "preferred_username": "key:ann"}), &config), ["4711"]);
        let config = Config { oidc_user_claim: Some("login.short".to_owned()), ..Config::default() };
        assert_eq!(named(&json!({"sub": "4711", "login": {"short": "ann"}}), &config), ["ann"]);
        assert!(named(&all, &config).is_empty());
    }

    #[test]
    fn roles_follow_the_groups_and_leave_what_an_administrator_gave() {
        let mut config = Config { oidc_groups_claim: "access.roles".to_owned(), ..Config::default() };
        config.oidc_roles =
            ["cn=gis,ou=x=Editor", "bosses=admin", "crews=field crew"].map(str::to_owned).into_iter().collect();
        let of = |groups: Json, has: &[&str], config: &Config| {
            let has: Vec<String> = has.iter().map(|role| (*role).to_owned()).collect();
            roles(&claims(&json!({"access": {"roles": groups}})), &has, config)
        };
        assert_eq!(of(json!(["cn=gis,ou=x", "crews", 7]), &[], &config), ["editor", "field crew"]);
        assert_eq!(of(json!("bosses"), &["editor", "surveyors"], &config), ["admin", "surveyors"]);
        assert_eq!(of(json!([]), &["admin"], &config), Vec::<String>::new());
        config.oidc_default_role = Some("Viewer".to_owned());
        assert_eq!(of(json!(["strangers"]), &["admin"], &config), ["viewer"]);
        assert_eq!(of(json!(["crews"]), &["viewer"], &config), ["field crew", "viewer"]);
        // A name with dots in it is looked for as it is first.
        config.oidc_groups_claim = "https://example.org/groups".to_owned();
        assert_eq!(roles(&claims(&json!({"https://example.org/groups": ["bosses"]})), &[], &config), ["admin"]);
    }
}
