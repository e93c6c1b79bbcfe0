//! What is round the content of every page: its head, the bar at its top, the way to it, and its foot.

use super::super::assets::Asset;
use super::writer::{Html, leads_to_a_page};

/// One step of the way from the root of the services to a page.
#[derive(Clone, Debug)]
pub(crate) struct Crumb {
    /// What the step is called, such as `Cities (0)`.
    pub(crate) text: String,
    /// The absolute path of the step without a query string, already percent-encoded.
    pub(crate) href: String,
}

/// Who looks at a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Visitor {
    /// Somebody, on a server where nobody can sign in.
    #[default]
    Anybody,
    /// Somebody who has not signed in.
    Stranger,
    /// Somebody who has.
    User {
        /// The name of the user.
        name: String,
        /// What every form of a page must send beside the cookie, so that no other site can.
        csrf: String,
    },
}

impl Visitor {
    /// What forms must send beside the cookie, for somebody who has one.
    pub(crate) fn csrf(&self) -> Option<&str> {
        match self {
            Visitor::User { csrf, .. } => Some(csrf),
            Visitor::Anybody | Visitor::Stranger => None,
        }
    }
}

/// What lies under the maps of pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Basemap<'a> {
    /// Where its tiles are, with `{x}`, `{y}` and `{z}`.
    pub(crate) url: &'a str,
    /// Whose they are.
    pub(crate) attribution: &'a str,
}

/// What is round a page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    /// The way here; the last step is the page itself.
    pub(crate) path: &'a [Crumb],
    /// The title and main heading, such as `Layer: Cities (ID: 0)`.
    pub(crate) title: &'a str,
    /// The address of the same answer as indented JSON; `None` where no link can ask for it, as after a POST.
    pub(crate) json_url: Option<&'a str>,
    /// Who looks at it.
    pub(crate) visitor: &'a Visitor,
    /// The style sheets and scripts that it needs beside those of all pages; modules, that is.
    pub(crate) assets: &'a [Asset],
    /// What lies under its maps; the outline of the land if there is none.
    pub(crate) basemap: Option<Basemap<'a>>,
    /// After how many seconds a browser asks again, with or without scripts.
    pub(crate) refresh_seconds: Option<u32>,
}

/// Makes a page: the frame with what `content` writes below the title.
pub(crate) fn document(frame: &Frame<'_>, content: impl FnOnce(&mut Html)) -> String {
    let mut html = Html::new();
    head(&mut html, frame);
    bar(&mut html, frame);
    way(&mut html, frame.path);
    html.raw("<main id=\"content\" tabindex=\"-1\"");
    if let Some(basemap) = frame.basemap {
        html.attribute("data-basemap", basemap.url).attribute("data-attribution", basemap.attribution);
    }
    html.raw(">\n<div class=\"title\"><h1>").text(frame.title).raw("</h1>");
    if let Some(url) = frame.json_url.filter(|url| leads_to_a_page(url)) {
        html.raw("\n<p class=\"formats\"><a class=\"button second small\"").attribute("href", url).raw(">JSON</a></p>");
    }
    html.raw("</div>\n");
    content(&mut html);
    html.raw("</main>\n<footer><ul><li>").link("/arcgis/rest/info", "Server").raw("</li><li>");
    html.link("/openapi.json", "Description of the interface (OpenAPI)").raw("</li><li>");
    html.link("/arcgis/console", "Console for administrators").raw("</li></ul></footer>\n</body>\n</html>\n");
    html.finish()
}

fn head(html: &mut Html, frame: &Frame<'_>) {
    html.raw(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n",
    );
    if let Some(seconds) = frame.refresh_seconds {
        html.raw("<meta http-equiv=\"refresh\"").attribute("content", &seconds.to_string()).raw(">\n");
    }
    if let Some(csrf) = frame.visitor.csrf() {
        html.raw("<meta name=\"csrf\"").attribute("content", csrf).raw(">\n");
    }
    html.raw("<title>").text(frame.title).raw("</title>\n");
    for asset in [Asset::Style].iter().chain(frame.assets) {
        if asset.is_style() {
            html.raw("<link rel=\"stylesheet\"").attribute("href", asset.address()).raw(">\n");
        }
    }
    // The first one runs before anything is drawn; modules run when all is there.
    html.raw("<script").attribute("src", Asset::Theme.address()).raw("></script>\n");
    for asset in frame.assets.iter().filter(|asset| !asset.is_style()) {
        html.raw("<script type=\"module\"").attribute("src", asset.address()).raw("></script>\n");
    }
    html.raw("<link rel=\"icon\" type=\"image/svg+xml\"").attribute("href", Asset::Icon.address()).raw(">\n</head>\n");
}

fn bar(html: &mut Html, frame: &Frame<'_>) {
    html.raw("<body>\n<a class=\"skip\" href=\"#content\">Skip to the content</a>\n<header class=\"bar\">\n");
    html.raw("<p class=\"brand\"><a href=\"/arcgis/rest/services\">Syncline <span>Services Directory</span></a></p>\n");
    html.raw("<div class=\"account\">");
    match frame.visitor {
        Visitor::Anybody => {}
        Visitor::Stranger => {
            html.raw("<a href=\"/arcgis/login\">Login</a> <a href=\"/arcgis/tokens/generateToken\">Get Token</a>");
        }
        Visitor::User { name, csrf } => {
            html.raw("<bdi>").text(name).raw("</bdi> <a href=\"/arcgis/tokens/generateToken\">Get Token</a> ");
            html.raw("<form method=\"post\" action=\"/arcgis/logout\"><input type=\"hidden\" name=\"csrf\"");
            html.attribute("value", csrf).raw("><button type=\"submit\">Logout</button></form>");
        }
    }
    // A script shows it, since it needs one to do anything.
    html.raw(" <button type=\"button\" class=\"theme\" hidden>Dark</button></div>\n</header>\n");
}

fn way(html: &mut Html, path: &[Crumb]) {
    html.raw("<nav class=\"way\" aria-label=\"Breadcrumb\"><ol>");
    for (index, crumb) in path.iter().enumerate() {
        let last = index + 1 == path.len();
        html.raw(if last { "<li aria-current=\"page\">" } else { "<li>" });
        html.link(&crumb.href, &crumb.text).raw("</li>");
    }
    html.raw("</ol></nav>\n");
}
