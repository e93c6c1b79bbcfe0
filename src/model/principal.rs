//! Who asks, and what they may do with a service.
//!
//! Whoever is known may do at least what everybody may. What a person may do with a service is what was granted to them by name;
//! else the most that was granted to one of their roles; else what their role is for.

use std::{collections::HashMap, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{capability::Capabilities, id::ServiceKey};

/// The longest name of a user, role or key, in bytes.
const MAX_NAME_BYTES: usize = 100;

/// The name of a user, as it was given. Names are compared without case.
#[derive(Clone, Debug)]
pub struct UserName(Arc<str>);

impl UserName {
    /// Reads the name of a person's account. The error says what is wrong with it.
    pub fn parse(text: &str) -> Result<UserName, String> {
        name(text).map(|name| UserName(name.into()))
    }

    /// Who a key stands for: no person can have a name with a colon.
    pub fn of_key(key: &str) -> UserName {
        UserName(format!("key:{key}").into())
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name by which it is known again, in lower case.
    pub fn folded(&self) -> String {
        self.0.to_lowercase()
    }
}

impl PartialEq for UserName {
    fn eq(&self, other: &UserName) -> bool {
        self.0 == other.0 || self.folded() == other.folded()
    }
}

impl Eq for UserName {}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks the name of a user, role or key: up to 100 letters, digits and `. _ - @ +`, beginning with a letter or digit. The error says what is
/// wrong.
pub fn name(text: &str) -> Result<&str, String> {
    let text = text.trim();
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+');
    if text.is_empty() || text.len() > MAX_NAME_BYTES {
        return Err(format!("a name has from 1 to {MAX_NAME_BYTES} bytes; this one has {}", text.len()));
    }
    if !text.starts_with(char::is_alphanumeric) {
        return Err("a name begins with a letter or digit".to_owned());
    }
    match text.chars().find(|c| !fits(*c)) {
        None => Ok(text),
        Some(wrong) => Err(format!("a name has letters, digits and . _ - @ + only, and {wrong:?} is none of them")),
    }
}

/// What somebody is for. Each may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Reads and edits.
    Editor,
    /// Reads and edits, and looks after the services that were granted for that.
    Publisher,
    /// Everything.
    Admin,
}

impl Role {
    /// All of them, from the least to the most.
    pub const ALL: [Role; 4] = [Role::Viewer, Role::Editor, Role::Publisher, Role::Admin];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Editor => "editor",
            Role::Publisher => "publisher",
            Role::Admin => "admin",
        }
    }

    /// Reads the word for it, in any case.
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name().eq_ignore_ascii_case(name.trim()))
    }

    /// What it is for in a service of which nothing was granted.
    pub fn access(self) -> Access {
        match self {
            Role::Viewer => Access::View,
            Role::Editor | Role::Publisher => Access::Edit,
            Role::Admin => Access::Manage,
        }
    }
}

/// What somebody may do with a service. Each includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Nothing: they do not see it.
    #[default]
    None,
    /// Reading: documents, queries, exports, changes, replicas that only download.
    View,
    /// Editing, replicas both ways, sending files.
    Edit,
    /// Definitions, everybody's edits in the books, everybody's replicas.
    Manage,
}

impl Access {
    /// All of them, from the least to the most.
    pub const ALL: [Access; 4] = [Access::None, Access::View, Access::Edit, Access::Manage];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Access::None => "none",
            Access::View => "view",
            Access::Edit => "edit",
            Access::Manage => "manage",
        }
    }

    /// Reads the word for it, in any case.
    pub fn from_name(name: &str) -> Option<Access> {
        Access::ALL.into_iter().find(|access| access.name().eq_ignore_ascii_case(name.trim()))
    }

    /// The most that it leaves of what a service allows.
    pub fn capabilities(self) -> Capabilities {
        match self {
            Access::None => Capabilities::NONE,
            Access::View => {
                Capabilities { query: true, sync: true, extract: true, change_tracking: true, ..Capabilities::NONE }
            }
            Access::Edit | Access::Manage => Capabilities::default(),
        }
    }
}

/// Who asks, after authentication. The default is somebody who did not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Principal {
    /// Their name; `None`: anonymous. Of a key: `key:` and its name.
    pub user: Option<UserName>,
    /// The most that one of their roles is; `None`: anonymous.
    pub role: Option<Role>,
    /// The names of their roles, in lower case.
    pub roles: Arc<[String]>,
    /// The services to which a key is limited; `None`: all.
    pub only: Option<Arc<[ServiceKey]>>,
}

impl Principal {
    /// Somebody who may do everything, under this name.
    pub fn admin(user: UserName) -> Principal {
        Principal {
            user: Some(user),
            role: Some(Role::Admin),
            roles: [Role::Admin.name().to_owned()].into(),
            only: None,
        }
    }

    /// Whether nobody knows who it is.
    pub fn is_anonymous(&self) -> bool {
        self.user.is_none()
    }

    /// Whether they may do everything, also to what belongs to no service.
    pub fn is_admin(&self) -> bool {
        self.role == Some(Role::Admin) && self.only.is_none()
    }

    /// Their name; empty if it is not known.
    pub fn name(&self) -> &str {
        self.user.as_ref().map_or("", UserName::as_str)
    }
}

/// What was granted of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// To everybody; `None`: what the settings say.
    pub anonymous: Option<Access>,
    /// To users, by their names in lower case.
    pub users: HashMap<String, Access>,
    /// To roles, by their names in lower case.
    pub roles: HashMap<String, Access>,
}

impl Grants {
    /// What somebody may do with the service with this key that these are the grants of, where `anonymous` is what everybody may do
    /// with a service of which nothing else is said.
    pub fn access(&self, service: ServiceKey, who: &Principal, anonymous: Access) -> Access {
        let everybody = self.anonymous.unwrap_or(anonymous);
        let (Some(user), Some(role)) = (&who.user, who.role) else { return everybody };
        if who.only.as_ref().is_some_and(|only| !only.contains(&service)) {
            return everybody;
        }
        if role == Role::Admin {
            return Access::Manage;
        }
        let of_roles = || who.roles.iter().filter_map(|role| self.roles.get(role)).max();
        let own = self.users.get(&user.folded()).or_else(of_roles).copied();
        own.unwrap_or_else(|| role.access()).max(everybody)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn somebody(name: &str, role: Role, roles: &[&str]) -> Principal {
        Principal {
            user: Some(UserName::parse(name).unwrap()),
            role: Some(role),
            roles: roles.iter().map(|&role| role.to_owned()).collect(),
            only: None,
        }
    }

    const SERVICE: ServiceKey = ServiceKey(7);

    #[test]
    fn what_is_granted_by_name_wins_over_roles_and_these_over_what_a_role_is_for() {
        let grants = Grants {
            anonymous: None,
            users: HashMap::from([("ann".to_owned(), Access::View)]),
            roles: HashMap::from([
                ("crew".to_owned(), Access::Manage),
                ("editor".to_owned(), Access::None),
                ("viewer".to_owned(), Access::Edit),
            ]),
        };
        let access = |who: &Principal| grants.access(SERVICE, who, Access::None);
        assert_eq!(access(&somebody("Ann", Role::Editor, &["crew", "editor"])), Access::View);
        assert_eq!(access(&somebody("bob", Role::Editor, &["crew", "editor"])), Access::Manage);
        assert_eq!(access(&somebody("bob", Role::Editor, &["editor"])), Access::None);
        assert_eq!(access(&somebody("bob", Role::Viewer, &["viewer"])), Access::Edit);
        assert_eq!(access(&somebody("bob", Role::Publisher, &["publisher"])), Access::Edit);
        assert_eq!(access(&somebody("bob", Role::Admin, &["admin"])), Access::Manage);
        assert_eq!(access(&Principal::default()), Access::None);
    }

    #[test]
    fn nobody_may_do_less_for_having_said_who_they_are() {
        let grants = Grants { anonymous: Some(Access::Edit), ..Grants::default() };
        assert_eq!(grants.access(SERVICE, &somebody("ann", Role::Viewer, &[]), Access::None), Access::Edit);
        let elsewhere = Principal { only: Some([ServiceKey(8)].into()), ..somebody("ann", Role::Admin, &[]) };
        assert_eq!(grants.access(SERVICE, &elsewhere, Access::None), Access::Edit);
        assert_eq!(Grants::default().access(SERVICE, &elsewhere, Access::None), Access::None);
        assert_eq!(grants.access(ServiceKey(8), &elsewhere, Access::None), Access::Manage);
        assert!(!elsewhere.is_admin());
    }

    #[test]
    fn names_have_no_case_and_keys_cannot_be_taken_for_people() {
        assert_eq!(UserName::parse(" Ann@example.org "), UserName::parse("ann@EXAMPLE.org"));
        for wrong in ["", "key:nightly", "a b", "-a", "a\nb", &"x".repeat(101)] {
            assert!(UserName::parse(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(UserName::of_key("nightly").as_str(), "key:nightly");
    }
}
