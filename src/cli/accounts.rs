//! `syncline user`, `role`, `key`, `token`, `grant` and `grants`

use std::io::Read as _;

use clap::{Args, Subcommand};
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
        account::Grantee,
        principal::{Access, Role, UserName},
    },
    wire::accounts as documents,
};

use super::{replicas::instant, say};

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Make a user; without --password-stdin or --no-password, with a password that is printed once
    Add(AddUser),
    /// List all users
    List(Listed),
    /// Give a user another password, which ends all their tokens; without --password-stdin, one that is printed once
    SetPassword(SetPassword),
    /// Give a user these roles and no others
    SetRole(SetRole),
    /// Keep a user from signing in, and end all their tokens
    Disable(OneUser),
    /// Let a user sign in again
    Enable(OneUser),
    /// Remove a user; what they did stays in the books
    Remove(OneUser),
    /// Let a person of the identity provider sign in as this user
    Link(LinkUser),
    /// Let nobody of the identity provider sign in as this user any more, and end all their tokens
    Unlink(OneUser),
    /// List which users are whom at the identity provider
    Links(Listed),
}

#[derive(Debug, Args)]
pub(super) struct AddUser {
    /// The name: letters, digits and . _ - @ +
    name: String,
    /// A role: viewer, editor, publisher, admin or one of your own; may be given several times
    #[arg(long = "role", required = true, value_name = "ROLE")]
    roles: Vec<String>,
    #[command(flatten)]
    password: Password,
    /// No password: another service vouches for the user
    #[arg(long, conflicts_with = "password_stdin")]
    no_password: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Password {
    /// Read the password from the standard input
    #[arg(long)]
    password_stdin: bool,
}

#[derive(Debug, Args)]
pub(super) struct Listed {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct SetPassword {
    /// The user
    name: String,
    #[command(flatten)]
    password: Password,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct SetRole {
    /// The user
    name: String,
    /// A role; may be given several times
    #[arg(long = "role", required = true, value_name = "ROLE")]
    roles: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct OneUser {
    /// The user
    name: String,
}

#[derive(Debug, Args)]
pub(super) struct LinkUser {
    /// The user
    name: String,
    /// What the provider calls the person: the claim sub; the server's log has it if somebody could not sign in
    #[arg(long)]
    subject: String,
    /// The provider, as it names itself [default: the setting oidc_issuer]
    #[arg(long)]
    issuer: Option<String>,
}

fn user_name(text: &str) -> Result<UserName> {
    UserName::parse(text).map_err(|problem| Error::invalid("name", problem))
}

impl Password {
    /// The password, and whether it was made here and must be shown.
    fn read(&self) -> Result<(String, bool)> {
        if !self.password_stdin {
            return Ok((users::new_password()?, true));
        }
        let mut text = String::new();
        std::io::stdin().take(10_000).read_to_string(&mut text).map_err(|error| {
            Error::invalid("password", format!("it cannot be read from the standard input: {error}"))
        })?;
        // Whoever writes it with echo writes a line.
        Ok((text.strip_suffix('\n').map_or(text.as_str(), |line| line.trim_end_matches('\r')).to_owned(), false))
    }
}

/// Says what was done, with what nobody can be told again.
fn tell(json: bool, done: &str, name: &str, secret: Option<(&str, &str)>) -> Result<()> {
    if json {
        let mut shown = json!({"name": name});
        if let Some((what, secret)) = secret {
            shown[what] = secret.into();
        }
        return say(shown.to_string());
    }
    say(done)?;
    match secret {
        Some((what, secret)) => say(format!("{what}: {secret}\nIt is not shown again.")),
        None => Ok(()),
    }
}

impl UserCommand {
    pub(super) async fn run(self, app: &App) -> Result<()> {
        let change = async |one: &OneUser, change: Change, done: &str| {
            let name = user_name(&one.name)?;
            users::change(app, &name, &change).await?;
            say(format!("User {name} {done}."))
        };
        match self {
            UserCommand::Add(add) => add.run(app).await,
            UserCommand::List(list) => list_users(app, list.json).await,
            UserCommand::SetPassword(set) => {
                let name = user_name(&set.name)?;
                let (password, is_made) = set.password.read()?;
                users::change(app, &name, &Change::Password(password.clone())).await?;
                let done = format!("User {name} has another password; all tokens and sessions have ended.");
                tell(set.json, &done, name.as_str(), is_made.then_some(("password", &password)))
            }
            UserCommand::SetRole(set) => {
                let name = user_name(&set.name)?;
                users::change(app, &name, &Change::Roles(set.roles.clone())).await?;
                say(format!("User {name} has the roles {}.", set.roles.join(", ")))
            }
            UserCommand::Disable(one) => change(&one, Change::Disable, "cannot sign in any more").await,
            UserCommand::Enable(one) => change(&one, Change::Enable, "can sign in").await,
            UserCommand::Remove(one) => change(&one, Change::Remove, "was removed").await,
            UserCommand::Link(link) => {
                let name = user_name(&link.name)?;
                oidc::link(app, &name, link.issuer.as_deref(), &link.subject).await?;
                say(format!("User {name} can sign in with the identity provider."))
            }
            UserCommand::Unlink(one) => {
                let name = user_name(&one.name)?;
                match oidc::unlink(app, &name).await? {
                    0 => say(format!("User {name} was nobody of an identity provider.")),
                    _ => say(format!(
                        "User {name} cannot sign in with an identity provider any more; all tokens and sessions have ended."
                    )),
                }
            }
            UserCommand::Links(list) => list_links(app, list.json).await,
        }
    }
}

impl AddUser {
    async fn run(self, app: &App) -> Result<()> {
        let name = user_name(&self.name)?;
        let done = format!("User {name} was added with the roles {}.", self.roles.join(", "));
        if self.no_password {
            users::add(app, &name, None, &self.roles).await?;
            return tell(self.json, &done, name.as_str(), None);
        }
        let (password, is_made) = self.password.read()?;
        users::add(app, &name, Some(&password), &self.roles).await?;
        tell(self.json, &done, name.as_str(), is_made.then_some(("password", &password)))
    }
}

async fn list_users(app: &App, json: bool) -> Result<()> {
    let all = lists::users(app).await?;
    if json {
        return say(all.iter().map(documents::user).collect::<Json>().to_string());
    }
    let rows = all.iter().map(|user| {
        let state = match (user.enabled, user.has_password) {
            (false, _) => "disabled",
            (true, true) => "",
            (true, false) => "no password",
        };
        let tokens = user.n_tokens.to_string();
        [user.name.to_string(), user.roles.join(", "), tokens, instant(user.created_ms), state.to_owned()]
    });
    table(["User", "Roles", "Tokens", "Created (UTC)", ""], rows.collect())
}

async fn list_links(app: &App, json: bool) -> Result<()> {
    let all = oidc::links(app).await?;
    if json {
        let shown = all.iter().map(|link| json!({"user": link.user, "issuer": link.issuer, "subject": link.subject, "lastUsed": link.last_used_ms}));
        return say(shown.collect::<Json>().to_string());
    }
    if all.is_empty() {
        return say("No users of an identity provider.");
    }
    let rows = all
        .into_iter()
        .map(|link| [link.user, link.issuer, link.subject, link.last_used_ms.map_or_else(String::new, instant)]);
    table(["User", "Identity provider", "Subject", "Last used (UTC)"], rows.collect())
}

/// Prints columns as wide as they need.
fn table<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> Result<()> {
    let all: Vec<[String; N]> = std::iter::once(head.map(str::to_owned)).chain(rows).collect();
    let wide: Vec<usize> =
        (0..N).map(|column| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    for row in all {
        let cells: Vec<String> = row.iter().zip(&wide).map(|(cell, &wide)| format!("{cell:wide$}")).collect();
        say(cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[derive(Debug, Subcommand)]
pub(super) enum RoleCommand {
    /// Make a role: a name for a group of users, to whom services can be granted
    Add(AddRole),
    /// List all roles
    List(Listed),
    /// Remove a role that nobody has
    Remove(OneRole),
}

#[derive(Debug, Args)]
pub(super) struct AddRole {
    /// The name
    name: String,
    /// What it amounts to where nothing was granted to it: viewer, editor, publisher or admin
    #[arg(long, value_name = "ROLE")]
    level: String,
}

#[derive(Debug, Args)]
pub(super) struct OneRole {
    /// The role
    name: String,
}

/// Reads the name of a built-in role.
fn level(text: &str) -> Result<Role> {
    Role::from_name(text)
        .ok_or_else(|| Error::invalid("level", format!("'{text}' is none of viewer, editor, publisher, admin")))
}

impl RoleCommand {
    pub(super) async fn run(self, app: &App) -> Result<()> {
        match self {
            RoleCommand::Add(add) => {
                let level = level(&add.level)?;
                rights::add_role(app, &add.name, level).await?;
                say(format!("Role {} was added.", add.name.to_lowercase()))
            }
            RoleCommand::Remove(one) => {
                rights::remove_role(app, &one.name).await?;
                say(format!("Role {} was removed.", one.name))
            }
            RoleCommand::List(list) => {
                let all = lists::roles(app).await?;
                if list.json {
                    return say(all.iter().map(documents::role).collect::<Json>().to_string());
                }
                let rows = all.into_iter().map(|role| {
                    let kind = if role.built_in { "built in" } else { "" };
                    [role.name, role.level.name().to_owned(), role.n_users.to_string(), kind.to_owned()]
                });
                table(["Role", "Level", "Users", ""], rows.collect())
            }
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key for a program, and print it once
    Add(AddKey),
    /// List all keys
    List(Listed),
    /// End a key at once
    Revoke(OneKey),
}

#[derive(Debug, Args)]
pub(super) struct AddKey {
    /// A name by which you know it
    name: String,
    /// The role that it has
    #[arg(long)]
    role: String,
    /// A service that it is limited to; may be given several times [default: all]
    #[arg(long = "service", value_name = "SERVICE")]
    services: Vec<String>,
    /// For how many days it counts [default: until it is revoked]
    #[arg(long, value_name = "DAYS")]
    expires: Option<i32>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct OneKey {
    /// The key's name
    name: String,
}

impl KeyCommand {
    pub(super) async fn run(self, app: &App) -> Result<()> {
        match self {
            KeyCommand::Add(add) => {
                let new = NewKey { name: add.name, role: add.role, services: add.services, days: add.expires };
                let key = rights::add_key(app, &new).await?;
                tell(add.json, &format!("Key {} was added.", new.name), &new.name, Some(("key", &key)))
            }
            KeyCommand::Revoke(one) => {
                rights::revoke_key(app, &one.name).await?;
                say(format!("Key {} was revoked.", one.name))
            }
            KeyCommand::List(list) => {
                let all = lists::keys(app).await?;
                if list.json {
                    return say(all.iter().map(documents::key).collect::<Json>().to_string());
                }
                if all.is_empty() {
                    return say("No keys.");
                }
                let rows = all.into_iter().map(|key| {
                    let services = key.services.map_or_else(|| "all".to_owned(), |services| services.join(", "));
                    let expires = key.expires_ms.map_or_else(|| "never".to_owned(), instant);
                    [key.name, key.role, services, expires, key.last_used_ms.map_or_else(String::new, instant)]
                });
                table(["Key", "Role", "Services", "Expires (UTC)", "Last used (UTC)"], rows.collect())
            }
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// List the tokens and sessions that count
    List(ListTokens),
    /// End a token or session at once, by its number, or all of a user
    Revoke(RevokeToken),
}

#[derive(Debug, Args)]
pub(super) struct ListTokens {
    /// Only those of this user
    #[arg(long)]
    user: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct RevokeToken {
    /// The token's number
    id: Option<i32>,
    /// All tokens and sessions of this user
    #[arg(long)]
    user: Option<String>,
}

impl TokenCommand {
    pub(super) async fn run(self, app: &App) -> Result<()> {
        match self {
            TokenCommand::Revoke(RevokeToken { id: Some(id), .. }) => {
                rights::revoke_token(app, id).await?;
                say(format!("Token {id} was revoked."))
            }
            TokenCommand::Revoke(RevokeToken { user, .. }) => {
                let name = user_name(user.as_deref().unwrap_or_default())?;
                users::change(app, &name, &Change::RevokeTokens).await?;
                say(format!("All tokens and sessions of {name} were revoked."))
            }
            TokenCommand::List(list) => {
                let all = lists::tokens(app, list.user.as_deref().map(user_name).transpose()?.as_ref()).await?;
                if list.json {
                    return say(all.iter().map(documents::token).collect::<Json>().to_string());
                }
                if all.is_empty() {
                    return say("No tokens.");
                }
                let rows = all.into_iter().map(|token| {
                    let kind = if token.is_session { "session" } else { "token" };
                    [
                        token.id.to_string(),
                        token.user,
                        kind.to_owned(),
                        instant(token.created_ms),
                        instant(token.expires_ms),
                        token.issued_to,
                        token.bound_to.unwrap_or_default(),
                    ]
                });
                let head = ["Token", "User", "Type", "Made (UTC)", "Expires (UTC)", "Made for", "Bound to"];
                table(head, rows.collect())
            }
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct GrantAccess {
    /// The service
    service: String,
    /// What they may do: none, view, edit or manage; default takes back what was granted
    access: String,
    #[command(flatten)]
    to: To,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct To {
    /// A user
    #[arg(long)]
    user: Option<String>,
    /// Everybody with this role
    #[arg(long)]
    role: Option<String>,
    /// Everybody, also who does not say who they are
    #[arg(long)]
    anonymous: bool,
}

#[derive(Debug, Args)]
pub(super) struct ListGrants {
    /// The service [default: all]
    service: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Reads what may be granted; `None` is what counts where nothing was.
fn access(text: &str) -> Result<Option<Access>> {
    match text.eq_ignore_ascii_case("default") {
        true => Ok(None),
        false => Access::from_name(text)
            .map(Some)
            .ok_or_else(|| Error::invalid("access", format!("'{text}' is none of none, view, edit, manage, default"))),
    }
}

impl GrantAccess {
    pub(super) async fn run(self, app: &App) -> Result<()> {
        let service = app.store.service(&self.service).await?;
        let to = match (self.to.user, self.to.role) {
            (Some(user), _) => Grantee::User(user),
            (None, Some(role)) => Grantee::Role(role),
            (None, None) => Grantee::Anonymous,
        };
        let access = access(&self.access)?;
        rights::grant(&app.store, &service, &to, access).await?;
        let (kind, name) = to.parts();
        let whom = format!("{kind} {name}");
        say(match access {
            Some(access) => format!("Service {}: {} may {}.", service.name, whom.trim(), verb(access)),
            None => format!("Service {}: nothing is granted to {} any more.", service.name, whom.trim()),
        })
    }
}

fn verb(access: Access) -> &'static str {
    match access {
        Access::None => "do nothing",
        Access::View => "view",
        Access::Edit => "edit",
        Access::Manage => "manage",
    }
}

impl ListGrants {
    pub(super) async fn run(self, app: &App) -> Result<()> {
        let service = match &self.service {
            Some(name) => Some(app.store.service(name).await?),
            None => None,
        };
        let all = lists::grants(app, service.as_deref()).await?;
        if self.json {
            return say(all.iter().map(documents::grant).collect::<Json>().to_string());
        }
        say(format!(
            "Where nothing is granted: everybody '{}' (the setting anonymous), users what their role is for.",
            app.config.anonymous.name()
        ))?;
        if all.is_empty() {
            return say("Nothing is granted.");
        }
        let rows = all.into_iter().map(|grant| {
            let (kind, name) = grant.to.parts();
            [grant.service.clone(), kind.to_owned(), name.to_owned(), grant.access.name().to_owned()]
        });
        table(["Service", "To", "", "Access"], rows.collect())
    }
}
