//! The pages of the console. A page is a place for its script, which asks the resources below `/arcgis/rest/admin`; without
//! scripts, it says where the directory has the same.

use super::{Html, Page};

/// A page of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Console {
    /// How all is.
    Overview,
    /// All replicas.
    Replicas,
    /// One replica.
    Replica,
    /// Refused edits.
    Rejected,
    /// Conflicts.
    Conflicts,
    /// Jobs.
    Jobs,
    /// Settings.
    Settings,
}

/// The pages that the bar leads to.
const BAR: [Console; 6] =
    [Console::Overview, Console::Replicas, Console::Rejected, Console::Conflicts, Console::Jobs, Console::Settings];

impl Console {
    /// The page of a path below `console`: its words in lower case.
    pub(crate) fn of(words: &[&str]) -> Option<Console> {
        Some(match words {
            [] => Console::Overview,
            ["replicas"] => Console::Replicas,
            ["replicas", _] => Console::Replica,
            ["rejected"] => Console::Rejected,
            ["conflicts"] => Console::Conflicts,
            ["jobs"] => Console::Jobs,
            ["settings"] => Console::Settings,
            _ => return None,
        })
    }

    /// Its word in addresses.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Console::Overview => "overview",
            Console::Replicas => "replicas",
            Console::Replica => "replica",
            Console::Rejected => "rejected",
            Console::Conflicts => "conflicts",
            Console::Jobs => "jobs",
            Console::Settings => "settings",
        }
    }

    /// Its title.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Console::Overview => "Overview",
            Console::Replicas => "Replicas",
            Console::Replica => "Replica",
            Console::Rejected => "Refused edits",
            Console::Conflicts => "Conflicts",
            Console::Jobs => "Jobs",
            Console::Settings => "Settings",
        }
    }

    fn address(self) -> String {
        match self {
            Console::Overview => "/arcgis/console".to_owned(),
            other => format!("/arcgis/console/{}", other.word()),
        }
    }
}

/// Writes the content of a page.
pub(super) fn write(html: &mut Html, page: &Page<'_>, console: Console) {
    html.raw("<nav class=\"console-bar\" aria-label=\"Console\"><ul>");
    for one in BAR {
        let is_here = one == console || (one, console) == (Console::Replicas, Console::Replica);
        html.raw(if is_here { "<li aria-current=\"page\">" } else { "<li>" });
        html.link(&one.address(), one.title()).raw("</li>");
    }
    html.raw("</ul></nav>\n<div id=\"console\"").attribute("data-page", console.word());
    if console == Console::Replica {
        html.attribute("data-id", page.here().rsplit('/').next().unwrap_or_default());
    }
    html.raw("><p class=\"none\" role=\"status\">Loading…</p></div>\n<noscript><div class=\"hint\"><p>The console needs JavaScript. ");
    html.raw("Without it, the directory shows the same, service by service: <a href=\"/arcgis/rest/services\">services</a>, ");
    html.raw("and below each of them <code>replicas</code>, <code>batches</code>, <code>rejectedEdits</code>, <code>conflicts</code> and <code>jobs</code>. ");
    html.raw("For all services together: <a href=\"/arcgis/rest/admin/replicas\">replicas</a>, <a href=\"/arcgis/rest/admin/health\">health</a>, ");
    html.raw("<a href=\"/arcgis/rest/admin/settings\">settings</a>. On the command line: <code>syncline replicas</code>, <code>syncline rejected</code>, ");
    html.raw("<code>syncline conflicts</code>.</p></div></noscript>\n");
}
