//! The settings: a TOML file, then the environment, then the command line. Nothing else reads the environment.

pub(crate) mod reference;
mod settings;
mod value;

use std::path::Path;

use crate::{
    error::{Error, Result},
    model::{life::Policy, principal::Access, quota::Quotas},
};

pub use settings::Config;

use settings::SETTINGS;

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
        for setting in SETTINGS {
            let names = [Some(setting.variable()), setting.more.also.map(str::to_owned)];
            let given = names.into_iter().flatten().find_map(|name| {
                let text = environment(&name)?;
                (!text.trim().is_empty()).then_some((name, text))
            });
            if let Some((name, text)) = given {
                (setting.read)(&mut config, &text).map_err(|problem| {
                    let shown = if setting.is_secret() { "not readable".to_owned() } else { format!("'{text}'") };
                    Error::Unavailable(format!("the environment variable {name} is {shown}: {problem}"))
                })?;
            }
        }
        config.check()?;
        Ok(config)
    }

    /// What a user may have.
    pub fn quotas(&self) -> Quotas {
        Quotas {
            replicas: self.max_user_replicas.into(),
            waiting_jobs: self.max_user_waiting_jobs.into(),
            upload_bytes: self.max_user_upload_bytes,
            limit_anonymous: self.limit_anonymous,
        }
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
        for setting in SETTINGS {
            let (Some((least, most)), Some(limits)) = (setting.more.range, setting.limits()) else { continue };
            if let Some(number) = (setting.number)(self).filter(|number| !(least..=most).contains(number)) {
                return wrong(format!("{} is {number}; it must be {limits}", setting.name));
            }
        }
        if self.admin_token.as_ref().is_some_and(|token| token.len() < 16) {
            return wrong("admin_token is shorter than 16 characters, which could be guessed; make one with: openssl rand -hex 24".to_owned());
        }
        if self.anonymous > Access::Edit {
            return wrong("anonymous is 'manage'; it must be none, view or edit".to_owned());
        }
        if let Some(extension) = self.upload_extensions.iter().find(|extension| extension.contains('.')) {
            return wrong(format!("upload_extensions has '{extension}'; extensions are written without a dot"));
        }
        // One connection hears what other processes tell, and requests need one, too.
        let most_jobs = usize::try_from(self.max_connections).unwrap_or(usize::MAX).saturating_sub(2).max(1);
        if self.max_running_jobs > most_jobs {
            return wrong(format!(
                "max_running_jobs is {}; with max_connections = {} it must be from 1 to {most_jobs}",
                self.max_running_jobs, self.max_connections
            ));
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
        if let Some(url) = &self.basemap_url {
            let host = url.split_once("://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default();
            let host = host.strip_prefix("{s}").unwrap_or(host);
            let is_host = !host.is_empty()
                && host.chars().all(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':'));
            let is_web = url.starts_with("https://") || url.starts_with("http://");
            if !is_web || !is_host || !["{x}", "{y}", "{z}"].iter().all(|part| url.contains(part)) {
                return wrong(format!(
                    "basemap_url is '{url}'; it must be an address such as https://tiles.example.org/{{z}}/{{x}}/{{y}}.png"
                ));
            }
        }
        self.check_single_sign_on()?;
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&self.log) {
            return wrong(format!(
                "log is '{}': {error}; write a level (error, warn, info, debug, trace), or levels of parts as in info,syncline::jobs=debug",
                self.log
            ));
        }
        Ok(())
    }

    fn check_single_sign_on(&self) -> Result<()> {
        let wrong = |problem: String| Err(Error::Unavailable(problem));
        let Some(issuer) = &self.oidc_issuer else { return Ok(()) };
        let url = url::Url::parse(issuer).ok().filter(url::Url::has_host);
        let is_local = url.as_ref().and_then(url::Url::host).is_some_and(|host| match host {
            url::Host::Domain(name) => name == "localhost",
            url::Host::Ipv4(address) => address.is_loopback(),
            url::Host::Ipv6(address) => address.is_loopback(),
        });
        let is_fit = url.is_some_and(|url| {
            (url.scheme() == "https" || url.scheme() == "http" && is_local)
                && url.query().is_none()
                && url.fragment().is_none()
        });
        if !is_fit {
            return wrong(format!(
                "oidc_issuer is '{issuer}'; it must be the address of an identity provider, beginning with https:// (http:// only for one on this machine)"
            ));
        }
        if self.public_url.is_none() {
            return wrong("oidc_issuer is set and public_url is not; the identity provider leads people back to public_url, so set it, too".to_owned());
        }
        if self.oidc_client_id.is_none() {
            return wrong(
                "oidc_issuer is set and oidc_client_id is not; it is what the identity provider calls this server"
                    .to_owned(),
            );
        }
        if let Some(entry) = self.oidc_roles.iter().find(|entry| {
            entry.rsplit_once('=').is_none_or(|(group, role)| group.trim().is_empty() || role.trim().is_empty())
        }) {
            return wrong(format!("oidc_roles has '{entry}'; write GROUP=ROLE"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Run `syncline config reference --toml > config/syncline.toml`, and `syncline config reference > docs/configuration.md`.
    #[test]
    fn the_documents_are_what_the_table_of_settings_makes() {
        let read = |name: &str| std::fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(read("config/syncline.toml") == reference::toml(), "config/syncline.toml is stale");
        assert!(read("docs/configuration.md") == reference::markdown(), "docs/configuration.md is stale");
    }

    #[test]
    fn the_example_file_holds_the_defaults_and_every_setting() {
        let text = reference::toml();
        let config: Config = toml::from_str(&text).unwrap();
        assert_eq!(config.shown(), Config::default().shown());
        // Settings without a default stand there as comments.
        let uncommented: String =
            text.lines().map(|line| line.strip_prefix("#set ").unwrap_or(line)).collect::<Vec<_>>().join("\n");
        let all: toml::Table = toml::from_str(&uncommented).unwrap();
        let settings: BTreeSet<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        assert_eq!(all.keys().map(String::as_str).collect::<BTreeSet<_>>(), settings);
        toml::from_str::<Config>(&uncommented).unwrap().check().unwrap();
    }

    #[test]
    fn what_is_secret_is_never_shown() {
        let mut config = Config { admin_token: Some("0123456789abcdef".to_owned()), ..Config::default() };
        for url in ["postgres://me:geheim@host/gis?password=geheim", "host=x password=geheim"] {
            config.database_url = Some(url.to_owned());
            for text in [config.shown(), format!("{config:?}")] {
                assert!(!text.contains("geheim") && !text.contains("0123456789abcdef"), "{text}");
                assert!(text.contains("admin_token = \"***\""), "{text}");
            }
        }
    }

    #[test]
    fn an_identity_provider_needs_all_that_belongs_to_it() {
        let good = Config {
            public_url: Some("https://gis.example.org".to_owned()),
            oidc_issuer: Some("https://id.example.org/realms/x".to_owned()),
            oidc_client_id: Some("syncline".to_owned()),
            oidc_roles: vec!["cn=gis,ou=x=editor".to_owned()],
            ..Config::default()
        };
        good.check().unwrap();
        let refused = |change: fn(&mut Config)| {
            let mut config = good.clone();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        for plain in ["http://127.0.0.1:9400", "http://localhost:9400", "http://[::1]:9400"] {
            Config { oidc_issuer: Some(plain.to_owned()), ..good.clone() }.check().unwrap();
        }
        assert!(refused(|config| config.oidc_issuer = Some("http://id.example.org".to_owned())).contains("https://"));
        assert!(refused(|config| config.oidc_issuer = Some("id.example.org".to_owned())).contains("oidc_issuer"));
        assert!(refused(|config| config.public_url = None).contains("public_url"));
        assert!(refused(|config| config.oidc_client_id = None).contains("oidc_client_id"));
        assert!(refused(|config| config.oidc_roles = vec!["gis".to_owned()]).contains("GROUP=ROLE"));
    }

    #[test]
    fn values_out_of_range_are_refused_by_name() {
        let load = |wanted: &str, text: &str| {
            let (wanted, text) = (wanted.to_owned(), text.to_owned());
            Config::load(None, move |name| (name == wanted).then(|| text.clone())).unwrap_err().to_string()
        };
        assert_eq!(load("SYNCLINE_MAX_CONNECTIONS", "1"), "max_connections is 1; it must be from 2 to 1000");
        assert_eq!(load("SYNCLINE_MAX_BODY_BYTES", "1"), "max_body_bytes is 1; it must be at least 65536");
        assert!(load("SYNCLINE_LOG", "=loud").starts_with("log is '=loud': "));
        assert!(load("SYNCLINE_MAX_RUNNING_JOBS", "19").contains("from 1 to 18"));
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
