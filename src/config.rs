//! The settings: a TOML file, then the environment, then the command line. Nothing else reads the environment.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    error::{Error, Result},
    model::{life::Policy, principal::Access},
};

/// All settings. Each may stand in the file under its name here, or in the environment as `SYNCLINE_` and its name in
/// capitals; the database is also found under `DATABASE_URL`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The data directory: result files, and the private database if there is no other.
    pub data: PathBuf,
    /// The database, as a URL. Without one, the server runs a private PostgreSQL in the data directory.
    pub database_url: Option<String>,
    /// Where the programs of PostgreSQL are, if they are not found by themselves.
    pub pg_bindir: Option<PathBuf>,
    /// The address under which clients reach the server, for instance `https://gis.example.org`, if it is not the one that
    /// their requests name.
    pub public_url: Option<String>,
    /// The most connections to the database.
    pub max_connections: u32,
    /// How long a query may take the database, in seconds.
    pub max_query_seconds: u32,
    /// The largest body of a request, in bytes, after decompression.
    pub max_body_bytes: usize,
    /// How many bytes of the data directory's disk are left free: what would take of them is refused.
    pub disk_reserve_bytes: u64,
    /// How long a result file is kept after it was last fetched.
    pub keep_exports_hours: i32,
    /// How many jobs this process runs at the same time. Each uses a connection to the database.
    pub max_running_jobs: usize,
    /// How many jobs may wait to be begun.
    pub max_waiting_jobs: u32,
    /// The largest file that a client may send, in bytes.
    pub max_upload_bytes: u64,
    /// How many bytes the files that clients sent to a service may have together.
    pub max_pending_upload_bytes: u64,
    /// How many files the clients of a service may have sent.
    pub max_upload_items: u64,
    /// How long a file that a client sent is kept after it was last used.
    pub keep_uploads_hours: i32,
    /// How the names of files may end that clients send; `*` for anything.
    pub upload_extensions: Vec<String>,
    /// How many days of changes are kept although no replica needs them any more.
    pub keep_history_days: i32,
    /// How many days of receipts of uploads are kept at least.
    pub keep_receipts_days: i32,
    /// How many days a refused edit of a connected client is kept that nobody applies or dismisses.
    pub keep_refused_days: i32,
    /// How many refused edits of connected clients may be open in a service; of more, only the receipts are kept.
    pub max_refused_edits: u64,
    /// How many bytes they may take up together, with the files of attachments.
    pub max_refused_bytes: u64,
    /// How many days without a synchronization make a replica idle; 0: never.
    pub warn_replicas_days: i32,
    /// How many days without a synchronization let a replica expire; 0: never.
    pub expire_replicas_days: i32,
    /// How many days a replica that has expired can be revived by synchronizing, before it is unregistered.
    pub grace_days: i32,
    /// Who presents it may do everything, like a key with the role `admin`.
    pub admin_token: Option<String>,
    /// What everybody may do with services of which nothing else was granted, without saying who they are: `none`, `view` or `edit`.
    pub anonymous: Access,
    /// Whether log lines are JSON.
    pub log_json: bool,
}

/// What field apps and scripts send: replicas, edits, archives, and what is attached to features.
const UPLOAD_EXTENSIONS: &[&str] = &[
    "geodatabase",
    "sqlite",
    "gpkg",
    "json",
    "geojson",
    "zip",
    "gz",
    "7z",
    "csv",
    "txt",
    "xml",
    "kml",
    "kmz",
    "gpx",
    "pdf",
    "jpg",
    "jpeg",
    "png",
    "gif",
    "tif",
    "tiff",
    "bmp",
    "webp",
    "heic",
    "heif",
    "svg",
    "mp3",
    "m4a",
    "wav",
    "aac",
    "mp4",
    "mov",
    "avi",
    "3gp",
    "doc",
    "docx",
    "xls",
    "xlsx",
    "ppt",
    "pptx",
    "rtf",
    "odt",
    "ods",
];

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 6080)),
            data: PathBuf::from("data"),
            database_url: None,
            pg_bindir: None,
            public_url: None,
            max_connections: 20,
            max_query_seconds: 30,
            max_body_bytes: 64 << 20,
            disk_reserve_bytes: 256 << 20,
            keep_exports_hours: 24,
            max_running_jobs: 2,
            max_waiting_jobs: 100,
            max_upload_bytes: 2 << 30,
            max_pending_upload_bytes: 5 << 30,
            max_upload_items: 1000,
            keep_uploads_hours: 24,
            upload_extensions: UPLOAD_EXTENSIONS.iter().map(|extension| (*extension).to_owned()).collect(),
            keep_history_days: 90,
            keep_receipts_days: 365,
            keep_refused_days: 90,
            max_refused_edits: 20_000,
            max_refused_bytes: 1 << 30,
            warn_replicas_days: 30,
            expire_replicas_days: 90,
            grace_days: 14,
            admin_token: None,
            anonymous: Access::None,
            log_json: false,
        }
    }
}

impl Config {
    /// Reads the file, if one is named, and then what `environment` says.
    pub fn load(file: Option<&Path>, environment: impl Fn(&str) -> Option<String>) -> Result<Config> {
        let mut config = match file {
            None => Config::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Error::Unavailable(format!("the configuration file {} cannot be read: {error}", path.display()))
                })?;
                toml::from_str(&text).map_err(|error| {
                    Error::Unavailable(format!("the configuration file {} has a mistake: {error}", path.display()))
                })?
            }
        };
        let value = |name: &str| environment(name).filter(|value| !value.trim().is_empty());
        if let Some(url) = value("SYNCLINE_DATABASE_URL").or_else(|| value("DATABASE_URL")) {
            config.database_url = Some(url);
        }
        if let Some(url) = value("SYNCLINE_PUBLIC_URL") {
            config.public_url = Some(url);
        }
        if let Some(path) = value("SYNCLINE_DATA") {
            config.data = path.into();
        }
        if let Some(path) = value("SYNCLINE_PG_BINDIR") {
            config.pg_bindir = Some(path.into());
        }
        if let Some(token) = value("SYNCLINE_ADMIN_TOKEN") {
            config.admin_token = Some(token.trim().to_owned());
        }
        if let Some(word) = value("SYNCLINE_ANONYMOUS") {
            config.anonymous = Access::from_name(&word).ok_or_else(|| {
                Error::Unavailable(format!(
                    "the environment variable SYNCLINE_ANONYMOUS is '{word}'; it must be none, view or edit"
                ))
            })?;
        }
        read_into(&value, "SYNCLINE_LISTEN", &mut config.listen)?;
        read_into(&value, "SYNCLINE_MAX_CONNECTIONS", &mut config.max_connections)?;
        read_into(&value, "SYNCLINE_MAX_QUERY_SECONDS", &mut config.max_query_seconds)?;
        read_into(&value, "SYNCLINE_MAX_BODY_BYTES", &mut config.max_body_bytes)?;
        read_into(&value, "SYNCLINE_DISK_RESERVE_BYTES", &mut config.disk_reserve_bytes)?;
        read_into(&value, "SYNCLINE_KEEP_EXPORTS_HOURS", &mut config.keep_exports_hours)?;
        read_into(&value, "SYNCLINE_MAX_RUNNING_JOBS", &mut config.max_running_jobs)?;
        read_into(&value, "SYNCLINE_MAX_WAITING_JOBS", &mut config.max_waiting_jobs)?;
        read_into(&value, "SYNCLINE_MAX_UPLOAD_BYTES", &mut config.max_upload_bytes)?;
        read_into(&value, "SYNCLINE_MAX_PENDING_UPLOAD_BYTES", &mut config.max_pending_upload_bytes)?;
        read_into(&value, "SYNCLINE_MAX_UPLOAD_ITEMS", &mut config.max_upload_items)?;
        read_into(&value, "SYNCLINE_KEEP_UPLOADS_HOURS", &mut config.keep_uploads_hours)?;
        if let Some(list) = value("SYNCLINE_UPLOAD_EXTENSIONS") {
            config.upload_extensions = list.split(',').map(|extension| extension.trim().to_owned()).collect();
        }
        read_into(&value, "SYNCLINE_KEEP_HISTORY_DAYS", &mut config.keep_history_days)?;
        read_into(&value, "SYNCLINE_KEEP_RECEIPTS_DAYS", &mut config.keep_receipts_days)?;
        read_into(&value, "SYNCLINE_KEEP_REFUSED_DAYS", &mut config.keep_refused_days)?;
        read_into(&value, "SYNCLINE_MAX_REFUSED_EDITS", &mut config.max_refused_edits)?;
        read_into(&value, "SYNCLINE_MAX_REFUSED_BYTES", &mut config.max_refused_bytes)?;
        read_into(&value, "SYNCLINE_WARN_REPLICAS_DAYS", &mut config.warn_replicas_days)?;
        read_into(&value, "SYNCLINE_EXPIRE_REPLICAS_DAYS", &mut config.expire_replicas_days)?;
        read_into(&value, "SYNCLINE_GRACE_DAYS", &mut config.grace_days)?;
        read_into(&value, "SYNCLINE_LOG_JSON", &mut config.log_json)?;
        config.check()?;
        Ok(config)
    }

    /// When replicas are warned of, expire, and are unregistered.
    pub fn policy(&self) -> Policy {
        let days = |days: i32| (days > 0).then_some(days);
        Policy {
            warn_days: days(self.warn_replicas_days),
            expire_days: days(self.expire_replicas_days),
            grace_days: self.grace_days,
        }
    }

    fn check(&self) -> Result<()> {
        let wrong = |problem: String| Err(Error::Unavailable(problem));
        if !(2..=1000).contains(&self.max_connections) {
            return wrong(format!("max_connections is {}; it must be from 2 to 1000", self.max_connections));
        }
        if !(1..=1800).contains(&self.max_query_seconds) {
            return wrong(format!("max_query_seconds is {}; it must be from 1 to 1800", self.max_query_seconds));
        }
        if self.admin_token.as_ref().is_some_and(|token| token.len() < 16) {
            return wrong("admin_token is shorter than 16 characters, which could be guessed; make one with: openssl rand -hex 24".to_owned());
        }
        if self.anonymous > Access::Edit {
            return wrong("anonymous is 'manage'; it must be none, view or edit".to_owned());
        }
        if self.max_body_bytes < 1 << 16 {
            return wrong(format!(
                "max_body_bytes is {}; at least 65536 are needed for ordinary requests",
                self.max_body_bytes
            ));
        }
        if self.keep_exports_hours < 1 {
            return wrong(format!(
                "keep_exports_hours is {}; clients need at least one hour to fetch a result",
                self.keep_exports_hours
            ));
        }
        if self.keep_uploads_hours < 1 {
            return wrong(format!(
                "keep_uploads_hours is {}; clients need at least one hour to use what they have sent",
                self.keep_uploads_hours
            ));
        }
        if let Some(extension) = self.upload_extensions.iter().find(|extension| extension.contains('.')) {
            return wrong(format!("upload_extensions has '{extension}'; extensions are written without a dot"));
        }
        // One connection hears what other processes tell, and requests need one, too.
        let most_jobs = usize::try_from(self.max_connections).unwrap_or(usize::MAX).saturating_sub(2).max(1);
        if !(1..=most_jobs).contains(&self.max_running_jobs) {
            return wrong(format!(
                "max_running_jobs is {}; with max_connections = {} it must be from 1 to {most_jobs}",
                self.max_running_jobs, self.max_connections
            ));
        }
        for (name, days, least) in [
            ("keep_history_days", self.keep_history_days, 1),
            ("keep_receipts_days", self.keep_receipts_days, 30),
            ("keep_refused_days", self.keep_refused_days, 1),
            ("warn_replicas_days", self.warn_replicas_days, 0),
            ("expire_replicas_days", self.expire_replicas_days, 0),
            ("grace_days", self.grace_days, 1),
        ] {
            if !(least..=36_500).contains(&days) {
                return wrong(format!("{name} is {days}; it must be from {least} to 36500"));
            }
        }
        if self.expire_replicas_days > 0 && self.warn_replicas_days > self.expire_replicas_days {
            return wrong(format!(
                "warn_replicas_days is {} and expire_replicas_days is {}; the warning must come first",
                self.warn_replicas_days, self.expire_replicas_days
            ));
        }
        if let Some(url) = &self.public_url
            && !url.starts_with("http://")
            && !url.starts_with("https://")
        {
            return wrong(format!("public_url is '{url}'; it must begin with http:// or https://"));
        }
        Ok(())
    }
}

fn read_into<T: std::str::FromStr>(value: &impl Fn(&str) -> Option<String>, name: &str, into: &mut T) -> Result<()>
where
    T::Err: std::fmt::Display,
{
    if let Some(text) = value(name) {
        *into = text.trim().parse().map_err(|error: T::Err| {
            Error::Unavailable(format!("the environment variable {name} is '{text}': {error}"))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_file_holds_the_defaults_and_every_setting() {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/syncline.toml")).unwrap();
        // Settings without a default stand there as comments.
        let uncommented: String =
            text.lines().map(|line| line.strip_prefix("#set ").unwrap_or(line)).collect::<Vec<_>>().join("\n");
        let all: toml::Table = toml::from_str(&uncommented).unwrap();
        // The settings are the members on the first level of what `Debug` prints.
        let printed = format!("{:#?}", Config::default());
        let members = printed.lines().filter_map(|line| line.strip_prefix("    ")?.split_once(": "));
        let settings: Vec<&str> = members.map(|(name, _)| name).filter(|name| !name.starts_with([' ', '"'])).collect();
        let missing: Vec<&&str> = settings.iter().filter(|name| !all.contains_key(**name)).collect();
        assert!(missing.is_empty(), "config/syncline.toml lacks {missing:?}");
        let config: Config = toml::from_str(&text).unwrap();
        assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
    }

    #[test]
    fn the_environment_wins_over_the_file_and_mistakes_are_named() {
        let environment = |name: &str| match name {
            "SYNCLINE_LISTEN" => Some("0.0.0.0:1".to_owned()),
            "DATABASE_URL" => Some("postgres://x".to_owned()),
            _ => None,
        };
        let config = Config::load(None, environment).unwrap();
        assert_eq!(config.listen.port(), 1);
        assert_eq!(config.database_url.as_deref(), Some("postgres://x"));
        let wrong = Config::load(None, |name| (name == "SYNCLINE_MAX_CONNECTIONS").then(|| "many".to_owned()));
        assert!(wrong.unwrap_err().to_string().contains("SYNCLINE_MAX_CONNECTIONS is 'many'"));
        assert!(toml::from_str::<Config>("lissten = 'x'").unwrap_err().to_string().contains("lissten"));
    }
}
