//! The parameters of signing in, and of accounts.

use super::parameters::Parameter;

const USERNAME: Parameter = Parameter::text("username", "The name of the user.").required();
const PASSWORD: Parameter = Parameter::text("password", "The password; never in the address.").required();

/// Signing in to the pages.
pub(super) const LOGIN: &[Parameter] = &[
    Parameter::text("username", "The name of the user."),
    Parameter::text("password", "The password; never in the address."),
    NEXT,
    Parameter::text("failed", "Why signing in with the identity provider failed."),
    Parameter::text("left", "true: somebody has just signed out, who may sign out of the identity provider as well."),
];

const NEXT: Parameter = Parameter::text("next", "The page of this server to go on at.");

/// To the identity provider.
pub(super) const SIGN_ON: &[Parameter] = &[NEXT];

/// And back.
pub(super) const SIGN_ON_RETURN: &[Parameter] = &[
    Parameter::text("state", "What the server gave on the way."),
    Parameter::text("code", "What the server gets the tokens of the provider for."),
    Parameter::text("error", "Why there is no code."),
    Parameter::text("iss", "The provider."),
];

/// What forms of a session carry.
pub(super) const CSRF: &[Parameter] =
    &[Parameter::text("csrf", "What the forms of the session carry; needed beside its cookie.")];

/// Tokens for passwords.
pub(super) const GENERATE_TOKEN: &[Parameter] = &[
    USERNAME,
    PASSWORD,
    Parameter::word(
        "client",
        &["referer", "ip", "requestip"],
        "What the token is to be bound to; nothing if it is not given.",
    ),
    Parameter::text("referer", "With client=referer: the page, or the site, with which alone the token counts."),
    Parameter::text("ip", "With client=ip: the address from which alone the token counts."),
    Parameter::integer(
        "expiration",
        "For how many minutes the token counts; 60 if it is not given, and as long as the settings allow at most.",
    ),
];

const NAME: Parameter = Parameter::text("name", "The name; compared without case.");

/// Users.
pub(super) const USERS: &[Parameter] = &[
    Parameter::word(
        "operation",
        &[
            "add",
            "setPassword",
            "removePassword",
            "setRoles",
            "disable",
            "enable",
            "remove",
            "revokeTokens",
            "link",
            "unlink",
        ],
        "What is to be done, by POST only; without it, all users are listed.",
    ),
    NAME,
    Parameter::text("issuer", "With link: the identity provider; that of the settings if it is not given."),
    Parameter::text("subject", "With link: what the identity provider calls the person (the claim sub)."),
    Parameter::text("password", "The password; if it is empty, one is made and answered once."),
    Parameter::off("noPassword", "With add: another service vouches for the user."),
    Parameter::text("roles", "Names of roles, with commas between."),
];

/// Roles.
pub(super) const ROLES: &[Parameter] = &[
    Parameter::word("operation", &["add", "remove"], "What is to be done, by POST only."),
    NAME,
    Parameter::word(
        "level",
        &["viewer", "editor", "publisher", "admin"],
        "What the role amounts to where nothing was granted to it.",
    ),
];

/// Keys.
pub(super) const KEYS: &[Parameter] = &[
    Parameter::word("operation", &["add", "revoke"], "What is to be done, by POST only; the key is answered once."),
    NAME,
    Parameter::text("role", "The name of a role."),
    Parameter::text("services", "Names of the services that the key is limited to, with commas between; all if empty."),
    Parameter::integer("expires", "For how many days the key counts; until it is revoked if empty."),
];

/// Tokens.
pub(super) const TOKENS: &[Parameter] = &[
    Parameter::word("operation", &["revoke"], "What is to be done, by POST only."),
    Parameter::integer("id", "The number of a token."),
    Parameter::text("user", "A user: only their tokens are listed, or all of them revoked."),
];

/// Grants.
pub(super) const GRANTS: &[Parameter] = &[
    Parameter::word("operation", &["set"], "What is to be done, by POST only."),
    Parameter::text("service", "The name of a service."),
    Parameter::text("user", "To whom it is granted: a user,"),
    Parameter::text("role", "or a role,"),
    Parameter::off("anonymous", "or everybody, also who does not say who they are."),
    Parameter::word(
        "access",
        &["none", "view", "edit", "manage", "default"],
        "What they may do; default takes back what was granted.",
    ),
];
