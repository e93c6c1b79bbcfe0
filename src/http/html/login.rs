//! The page on which people sign in.

use super::writer::Html;

/// What the page shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Login<'a> {
    /// The name that somebody gave before.
    pub(crate) user: &'a str,
    /// The page to go on at.
    pub(crate) next: &'a str,
    /// What went wrong before, if something did.
    pub(crate) problem: Option<&'a str>,
    /// What people call the identity provider, if there is one.
    pub(crate) provider: Option<&'a str>,
    /// Whether whoever looks at it has just signed out, and can sign out of the provider, too.
    pub(crate) may_leave: bool,
}

/// Writes the form, and the way to the identity provider.
pub(crate) fn login(html: &mut Html, shown: &Login<'_>) {
    let Login { user, next, problem, provider, may_leave } = *shown;
    if let Some(problem) = problem {
        html.raw("<div class=\"error\" role=\"alert\">\n<p>").text(problem).raw("</p>\n</div>\n");
    }
    if let Some(provider) = provider.filter(|_| may_leave) {
        html.raw("<p role=\"status\">You are signed out of this server. ");
        html.raw("<a rel=\"noreferrer\" href=\"/arcgis/login/oidc/leave\">Sign out of ")
            .text(provider)
            .raw(", too</a>, if others use this browser.</p>\n");
    }
    if let Some(provider) = provider {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
        html.raw("<p class=\"buttons\"><a class=\"button\"").attribute("href", &format!("/arcgis/login/oidc?{query}"));
        html.raw(">Sign in with ").text(provider).raw("</a></p>\n");
    }
    html.raw("<form class=\"narrow\" action=\"/arcgis/login\" method=\"post\">\n<input type=\"hidden\" name=\"next\"");
    html.attribute("value", next).raw(">\n<fieldset><legend>");
    html.raw(if provider.is_some() { "Or with a password" } else { "Sign in" }).raw("</legend>\n");
    html.raw("<div class=\"row\"><label class=\"label\" for=\"username\">User name</label><div>");
    html.raw("<input type=\"text\" id=\"username\" name=\"username\" autocomplete=\"username\" spellcheck=\"false\" required");
    html.attribute("value", user).raw("></div></div>\n");
    html.raw("<div class=\"row\"><label class=\"label\" for=\"password\">Password</label><div>");
    html.raw("<input type=\"password\" id=\"password\" name=\"password\" autocomplete=\"current-password\" required></div></div>\n");
    html.raw("</fieldset>\n<p class=\"buttons\"><button type=\"submit\">Login</button></p>\n</form>\n");
}
