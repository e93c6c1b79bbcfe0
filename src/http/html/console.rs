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
    /// The tables of the database, and publishing them.
    Publish,
    /// Users and roles.
    Users,
    /// What was granted of services.
    Grants,
    /// Keys of programs.
    Keys,
    /// Sessions and tokens.
    Sessions,
    /// The audit log.
    Audit,
    /// Settings.
    Settings,
}

/// The pages that the bar leads to, and what they are called there.
const BAR: [(Console, &str); 9] = [
    (Console::Overview, "Overview"),
    (Console::Replicas, "Replicas"),
    (Console::Rejected, "Refused edits"),
    (Console::Conflicts, "Conflicts"),
    (Console::Jobs, "Jobs"),
    (Console::Publish, "Publish"),
    (Console::Users, "Accounts"),
    (Console::Audit, "Audit log"),
    (Console::Settings, "Settings"),
];

/// The pages about accounts, which have a bar of their own.
const ACCOUNTS: [(Console, &str); 4] = [
    (Console::Users, "Users and roles"),
    (Console::Grants, "Grants"),
    (Console::Keys, "Keys"),
    (Console::Sessions, "Sessions and tokens"),
];

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
            ["publish"] => Console::Publish,
            ["users"] => Console::Users,
            ["grants"] => Console::Grants,
            ["keys"] => Console::Keys,
            ["sessions"] => Console::Sessions,
            ["audit"] => Console::Audit,
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
            Console::Publish => "publish",
            Console::Users => "users",
            Console::Grants => "grants",
            Console::Keys => "keys",
            Console::Sessions => "sessions",
            Console::Audit => "audit",
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
            Console::Publish => "Publish tables",
            Console::Users => "Users and roles",
            Console::Grants => "Grants",
            Console::Keys => "Keys of programs",
            Console::Sessions => "Sessions and tokens",
            Console::Audit => "Audit log",
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
    let is_of_accounts = ACCOUNTS.iter().any(|(one, _)| *one == console);
    let section = match console {
        Console::Replica => Console::Replicas,
        _ if is_of_accounts => Console::Users,
        other => other,
    };
    bar(html, "console-bar", "Console", &BAR, section);
    if is_of_accounts {
        bar(html, "console-bar below", "Accounts", &ACCOUNTS, console);
    }
    html.raw("<div id=\"console\" aria-busy=\"true\"").attribute("data-page", console.word());
    if console == Console::Replica {
        html.attribute("data-id", page.here().rsplit('/').next().unwrap_or_default());
    }
    html.raw("><p class=\"none\" role=\"status\">Loading…</p></div>\n<noscript><div class=\"hint\"><p>The console needs JavaScript. ");
    html.raw("Without it, the directory shows the same, service by service: <a href=\"/arcgis/rest/services\">services</a>, ");
    html.raw("and below each of them <code>replicas</code>, <code>batches</code>, <code>rejectedEdits</code>, <code>conflicts</code> and <code>jobs</code>. ");
    html.raw("For all services together: <a href=\"/arcgis/rest/admin/replicas\">replicas</a>, <a href=\"/arcgis/rest/admin/health\">health</a>, ");
    html.raw(
        "<a href=\"/arcgis/rest/admin/tables\">tables</a>, <a href=\"/arcgis/rest/admin/accounts/users\">users</a>, ",
    );
    html.raw(
        "<a href=\"/arcgis/rest/admin/audit\">audit log</a>, <a href=\"/arcgis/rest/admin/settings\">settings</a>. ",
    );
    html.raw("On the command line: <code>syncline replicas</code>, <code>syncline rejected</code>, <code>syncline conflicts</code>, ");
    html.raw("<code>syncline publish</code>, <code>syncline user</code>, <code>syncline audit</code>.</p></div></noscript>\n");
}

/// Writes links to pages, with the one that somebody is on marked.
fn bar(html: &mut Html, class: &str, label: &str, pages: &[(Console, &str)], here: Console) {
    html.raw("<nav").attribute("class", class).attribute("aria-label", label).raw("><ul>");
    for (one, name) in pages {
        html.raw(if *one == here { "<li aria-current=\"page\">" } else { "<li>" });
        html.link(&one.address(), name).raw("</li>");
    }
    html.raw("</ul></nav>\n");
}
