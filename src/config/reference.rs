//! The reference of the settings, as it is printed and as it stands in the documentation.

use std::fmt::Write as _;

use super::{
    Config,
    settings::{Hidden, SETTINGS, Setting},
    value::quoted,
};

const WIDTH: usize = 120;

impl Setting {
    /// Its name in the environment.
    pub(crate) fn variable(&self) -> String {
        format!("SYNCLINE_{}", self.name.to_ascii_uppercase())
    }

    /// Whether all or a part of it is not shown.
    pub(crate) fn is_secret(&self) -> bool {
        self.more.hidden != Hidden::Nothing
    }

    /// What it is for, as paragraphs.
    fn paragraphs(&self) -> Vec<String> {
        let mut paragraphs = vec![String::new()];
        for line in self.meaning {
            match (line.trim(), paragraphs.last_mut()) {
                ("", _) => paragraphs.push(String::new()),
                (line, Some(paragraph)) => {
                    paragraph.push_str(if paragraph.is_empty() { "" } else { " " });
                    paragraph.push_str(line);
                }
                (_, None) => {}
            }
        }
        paragraphs
    }

    /// Which numbers it takes, if it is a number with limits.
    pub(crate) fn limits(&self) -> Option<String> {
        let (least, most) = self.more.range?;
        Some(if most == i64::MAX { format!("at least {least}") } else { format!("from {least} to {most}") })
    }
}

/// The settings as a file with all defaults and what they mean.
pub(crate) fn toml() -> String {
    let defaults = Config::default();
    let mut out = String::from(
        "# Syncline's settings with their defaults. Each can also be given in the environment, as SYNCLINE_ and its name in capitals,\n\
         # which wins over this file: SYNCLINE_LISTEN=0.0.0.0:6080. Lines that begin with \"#set\" have no default.\n\
         # Made by: syncline config reference --toml\n",
    );
    let mut group = "";
    for setting in SETTINGS {
        if setting.group != group {
            group = setting.group;
            let _ = write!(out, "\n# --- {group} ---\n");
        }
        out.push('\n');
        for paragraph in setting.paragraphs() {
            // Marks of emphasis and code are for the other form.
            wrap(&paragraph.replace('`', ""), "# ", &mut out);
        }
        match (setting.toml)(&defaults) {
            Some(value) => wrap_list(&format!("{} = {value}", setting.name), &mut out),
            None => {
                let _ = writeln!(out, "#set {} = {}", setting.name, setting.more.example);
            }
        }
    }
    out
}

/// The settings as a page of the documentation.
pub(crate) fn markdown() -> String {
    let defaults = Config::default();
    let mut out = String::from(
        "# Settings\n\n\
         Made by `syncline config reference`; what a server would use shows `syncline config show`.\n\n\
         Settings come from a file (TOML; `--config FILE`, or `SYNCLINE_CONFIG`), then from the environment, then from the command line\n\
         (`--data`, `--listen`); what comes later wins. A name that nobody knows, and a value that makes no sense, keep the server from\n\
         starting. [`config/syncline.toml`](../config/syncline.toml) is a file with all defaults.\n",
    );
    let mut group = "";
    for setting in SETTINGS {
        if setting.group != group {
            group = setting.group;
            let _ = write!(out, "\n## {group}\n");
        }
        let default = match (setting.toml)(&defaults) {
            Some(value) => format!("default `{value}`"),
            None => "no default".to_owned(),
        };
        let limits = setting.limits().map(|limits| format!(" {limits}")).unwrap_or_default();
        let also = setting.more.also.map(|name| format!(", also `{name}`")).unwrap_or_default();
        let secret = if setting.is_secret() { "; secret" } else { "" };
        let _ = write!(
            out,
            "\n**`{}`**: {}{limits}; {default}; `{}`{also}{secret}\n\n",
            setting.name,
            setting.kind,
            setting.variable()
        );
        for paragraph in setting.paragraphs() {
            wrap(&paragraph, "", &mut out);
        }
    }
    out
}

/// A setting with its value.
pub(crate) struct Listed {
    /// Its name.
    pub(crate) name: &'static str,
    /// The heading under which it stands.
    pub(crate) group: &'static str,
    /// What it is for, in lines.
    pub(crate) meaning: &'static [&'static str],
    /// Its value as TOML, without what is secret; `None` if there is none.
    pub(crate) value: Option<String>,
}

impl Config {
    /// The settings that are used, one by one, without what is secret.
    pub(crate) fn listed(&self) -> Vec<Listed> {
        SETTINGS
            .iter()
            .map(|setting| Listed {
                name: setting.name,
                group: setting.group,
                meaning: setting.meaning,
                value: (setting.toml)(self).map(|value| hide(setting.more.hidden, value)),
            })
            .collect()
    }

    /// The settings that are used, as a file, without what is secret.
    pub(crate) fn shown(&self) -> String {
        let mut out = String::new();
        for setting in SETTINGS {
            let _ = match (setting.toml)(self) {
                Some(value) => writeln!(out, "{} = {}", setting.name, hide(setting.more.hidden, value)),
                None => writeln!(out, "# {} is not set", setting.name),
            };
        }
        out
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Config {{\n{}}}", self.shown())
    }
}

fn hide(hidden: Hidden, value: String) -> String {
    const STARS: &str = "***";
    match hidden {
        Hidden::Nothing => value,
        Hidden::All => quoted(STARS),
        Hidden::Password => {
            let plain: String = serde_json::from_str(&value).unwrap_or_default();
            // What cannot be read as an address may have its password anywhere, and so may parameters.
            let Ok(mut url) = url::Url::parse(&plain) else { return quoted(STARS) };
            if url.password().is_some() && url.set_password(Some(STARS)).is_err() {
                return quoted(STARS);
            }
            if url.query().is_some() {
                url.set_query(Some(STARS));
            }
            quoted(url.as_str())
        }
    }
}

/// Writes a text in lines that begin with `start`.
fn wrap(text: &str, start: &str, out: &mut String) {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && start.len() + line.len() + 1 + word.len() > WIDTH {
            let _ = writeln!(out, "{start}{line}");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(out, "{start}{line}");
}

/// Writes a member of the file; a long list in several lines.
fn wrap_list(member: &str, out: &mut String) {
    match member.split_once('[').and_then(|(head, list)| Some((head, list.strip_suffix(']')?))) {
        Some((head, list)) if member.len() > WIDTH => {
            let _ = writeln!(out, "{head}[");
            wrap(&format!("{list},"), "  ", out);
            out.push_str("]\n");
        }
        _ => {
            let _ = writeln!(out, "{member}");
        }
    }
}
