//! The page on which people sign in.

use super::writer::Html;

/// Writes the form; with what went wrong before, if something did.
pub(crate) fn login(html: &mut Html, user: &str, next: &str, problem: Option<&str>) {
    if let Some(problem) = problem {
        html.raw("<div class=\"error\" role=\"alert\">\n<p>").text(problem).raw("</p>\n</div>\n");
    }
    html.raw("<form class=\"narrow\" action=\"/arcgis/login\" method=\"post\">\n<input type=\"hidden\" name=\"next\"");
    html.attribute("value", next).raw(">\n<fieldset><legend>Sign in</legend>\n");
    html.raw("<div class=\"row\"><label class=\"label\" for=\"username\">User name</label><div>");
    html.raw("<input type=\"text\" id=\"username\" name=\"username\" autocomplete=\"username\" spellcheck=\"false\" required");
    html.attribute("value", user).raw("></div></div>\n");
    html.raw("<div class=\"row\"><label class=\"label\" for=\"password\">Password</label><div>");
    html.raw("<input type=\"password\" id=\"password\" name=\"password\" autocomplete=\"current-password\" required></div></div>\n");
    html.raw("</fieldset>\n<p class=\"buttons\"><button type=\"submit\">Login</button></p>\n</form>\n");
}
