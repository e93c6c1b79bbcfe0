//! Users, roles, keys, tokens and grants, as whoever administers them sees them.

use super::principal::{Access, Role, UserName};

/// A user.
#[derive(Clone, Debug)]
pub struct User {
    /// The name.
    pub name: UserName,
    /// Whether they may sign in.
    pub enabled: bool,
    /// The names of their roles.
    pub roles: Vec<String>,
    /// Whether they have a password; who has none is vouched for by another service.
    pub has_password: bool,
    /// How many of their tokens and sessions count.
    pub n_tokens: i64,
    /// When the account was made, in milliseconds since 1970.
    pub created_ms: i64,
}

/// A role: one of those that there always are, or a group of users.
#[derive(Clone, Debug)]
pub struct NamedRole {
    /// The name, in lower case.
    pub name: String,
    /// What it amounts to where nothing was granted to it.
    pub level: Role,
    /// Whether it always is there.
    pub built_in: bool,
    /// How many users have it.
    pub n_users: i64,
}

/// A key of a program.
#[derive(Clone, Debug)]
pub struct Key {
    /// The name.
    pub name: String,
    /// The name of its role.
    pub role: String,
    /// The names of the services that it is limited to; `None`: all.
    pub services: Option<Vec<String>>,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it stops counting; `None`: never.
    pub expires_ms: Option<i64>,
    /// When it was last used, to within some minutes; `None`: never.
    pub last_used_ms: Option<i64>,
}

/// A token or a session of pages, without what would have to be presented.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its number.
    pub id: i32,
    /// Whose it is.
    pub user: String,
    /// Whether it is the session of pages.
    pub is_session: bool,
    /// The referer or address with which alone it counts.
    pub bound_to: Option<String>,
    /// The address that asked for it.
    pub issued_to: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it stops counting.
    pub expires_ms: i64,
}

/// To whom something is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grantee {
    /// Everybody, also who does not say who they are.
    Anonymous,
    /// A user, by name.
    User(String),
    /// A role, by name.
    Role(String),
}

impl Grantee {
    /// What it is called, and its name.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Grantee::Anonymous => ("anonymous", ""),
            Grantee::User(name) => ("user", name),
            Grantee::Role(name) => ("role", name),
        }
    }
}

/// What was granted.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The service.
    pub service: String,
    /// To whom.
    pub to: Grantee,
    /// What.
    pub access: Access,
}
