//! The table of settings, from which everything else about them is made: the members of [`Config`], their defaults, how they are read from
//! the environment, and the reference.

use std::{net::SocketAddr, path::PathBuf};

use serde::Deserialize;

use crate::model::{network::Network, principal::Access};

use super::value::Value;

/// A setting, as the table has it.
pub(crate) struct Setting {
    /// Its name in the file. In the environment it is `SYNCLINE_` and the name in capitals.
    pub(crate) name: &'static str,
    /// The heading under which it stands.
    pub(crate) group: &'static str,
    /// What kind of value it takes.
    pub(crate) kind: &'static str,
    /// What it is for: lines of text, in which an empty one ends a paragraph.
    pub(crate) meaning: &'static [&'static str],
    /// What only some settings have.
    pub(crate) more: More,
    /// Takes its value from a text of the environment; says what is wrong with it.
    pub(crate) read: fn(&mut Config, &str) -> Result<(), String>,
    /// The value as TOML; `None` if there is none.
    pub(crate) toml: fn(&Config) -> Option<String>,
    /// The value, if it is a number.
    pub(crate) number: fn(&Config) -> Option<i64>,
}

/// What only some settings have.
pub(crate) struct More {
    /// The least and the greatest number that it takes.
    pub(crate) range: Option<(i64, i64)>,
    /// A value as TOML, for the example of one that has no default.
    pub(crate) example: &'static str,
    /// Another name in the environment.
    pub(crate) also: Option<&'static str>,
    /// What of it is not shown.
    pub(crate) hidden: Hidden,
}

/// What of a setting is not shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// Nothing is hidden.
    Nothing,
    /// The password in an address.
    Password,
    /// All of it.
    All,
}

const PLAIN: More = More { range: None, example: "", also: None, hidden: Hidden::Nothing };

/// Any number from this one on.
const ANY: i64 = i64::MAX;

/// Days of some hundred years, beyond which dates make no sense.
const MAX_DAYS: i64 = 36_500;

macro_rules! settings {
    ($($group:literal { $(
        $(#[doc = $line:literal])+
        $name:ident: $type:ty = $default:expr $(, $key:ident: $value:expr)*;
    )+ })+) => {
        /// All settings. Each may stand in the file under its name here, or in the environment as `SYNCLINE_` and its name in
        /// capitals; the database is also found under `DATABASE_URL`.
        #[derive(Clone, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Config {
            $($( $(#[doc = $line])+ pub $name: $type, )+)+
        }

        impl Default for Config {
            fn default() -> Config {
                Config { $($( $name: $default, )+)+ }
            }
        }

        /// All settings, in the order of the reference.
        pub(crate) const SETTINGS: &[Setting] = &[$($(
            Setting {
                name: stringify!($name),
                group: $group,
                kind: <$type as Value>::KIND,
                meaning: &[$($line),+],
                more: More { $($key: $value,)* ..PLAIN },
                read: |config, text| {
                    config.$name = <$type as Value>::read(text)?;
                    Ok(())
                },
                toml: |config| Value::toml(&config.$name),
                number: |config| Value::number(&config.$name),
            },
        )+)+];
    };
}

settings! {
    "Network" {
        /// The address to listen on, as `HOST:PORT`.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 6080));
        /// The address under which clients reach the server, for instance `https://gis.example.org`, if it is not the one that their
        /// requests name.
        public_url: Option<String> = None, example: "\"https://gis.example.org\"";
        /// How many connections clients may have at the same time; more wait until one ends.
        max_client_connections: u32 = 2000, range: Some((1, 1_000_000));
        /// How many of them one address may have; more are refused. Behind a proxy, all come from its address: set it to what the
        /// proxy may need, or to 0 for no limit.
        max_connections_per_address: u32 = 200, range: Some((0, 1_000_000));
        /// How many seconds a client may take for the head of a request, and may send nothing of its body, before its connection is closed.
        client_timeout_seconds: u32 = 60, range: Some((1, 3600));
    }
    "Storage" {
        /// The data directory: result files, uploads, what attachments hold, and the private database if no other is configured.
        data: PathBuf = PathBuf::from("data");
        /// The database, as a URL. Without one, Syncline runs a private PostgreSQL in the data directory.
        database_url: Option<String> = None,
            example: "\"postgres://syncline:secret@localhost:5432/gis\"", also: Some("DATABASE_URL"), hidden: Hidden::Password;
        /// Where the programs of PostgreSQL are, if they are not found by themselves.
        pg_bindir: Option<PathBuf> = None, example: "\"/usr/lib/postgresql/15/bin\"";
        /// The most connections to the database.
        max_connections: u32 = 20, range: Some((2, 1000));
        /// How many bytes of the data directory's disk are left free. What would take of them is refused, so that one request
        /// never fills the disk that others, and perhaps the database, need.
        disk_reserve_bytes: u64 = 256 << 20, range: Some((0, ANY));
    }
    "Requests" {
        /// How many seconds a query may take the database; one that takes longer is refused.
        max_query_seconds: u32 = 30, range: Some((1, 1800));
        /// How much a query may cost by what the database's planner expects, in its own units; what is beyond is refused before it is
        /// begun. Asked are all queries but those for features by their ids or page by page in their own order. 0: any cost.
        max_query_cost: u64 = 100_000_000, range: Some((0, ANY));
        /// How many requests of one caller (a user, a key, or an address for those who did not sign in) use the database at the same time,
        /// in each process; others of theirs wait. One connection is always left to others. 0: no limit but that.
        max_caller_requests: u32 = 8, range: Some((0, 1_000_000));
        /// How many queries of one caller that are expected to take the database long (a cost above 5,000 in its planner's units: about that of
        /// reading a table of 20 MB) run at the same time, in each process; others of theirs wait, and everything else goes on. 0: half as many
        /// as the machine has processors, and one at least.
        max_caller_heavy_queries: u32 = 0, range: Some((0, 1_000_000));
        /// The largest body of a request, in bytes.
        max_body_bytes: usize = 64 << 20, range: Some((1 << 16, ANY));
        /// How many hours a result file is kept after it was last fetched.
        keep_exports_hours: i32 = 24, range: Some((1, 24 * MAX_DAYS));
    }
    "Jobs" {
        /// How many jobs (requests with `async=true`) this process runs at the same time. Each uses a connection to the database.
        max_running_jobs: usize = 2, range: Some((1, 998));
        /// How many jobs may wait to be begun; more are refused.
        max_waiting_jobs: u32 = 100, range: Some((0, ANY));
    }
    "Users" {
        /// How many replicas a user may have registered, in all services together; 0: any number. Who may manage a service (an
        /// administrator, or a key for programs) is not limited there, neither in this nor in waiting jobs or bytes.
        max_user_replicas: u32 = 20, range: Some((0, ANY));
        /// How many jobs of a user run at the same time; 0: any number.
        max_user_running_jobs: u32 = 2, range: Some((0, ANY));
        /// How many jobs of a user may wait to be begun; 0: any number.
        max_user_waiting_jobs: u32 = 10, range: Some((0, ANY));
        /// How many bytes the files that a user sent may have together; 0: any number.
        max_user_upload_bytes: u64 = 5 << 29, range: Some((0, ANY));
        /// Whether all who did not sign in have, together, a tenth of what one user may have. Without it they are limited only by what
        /// holds for a service.
        limit_anonymous: bool = false;
    }
    "Uploads" {
        /// The largest file that a client may send, in bytes.
        max_upload_bytes: u64 = 2 << 30, range: Some((0, ANY));
        /// How many bytes the files that clients sent to a service may have together.
        max_pending_upload_bytes: u64 = 5 << 30, range: Some((0, ANY));
        /// How many files the clients of a service may have sent.
        max_upload_items: u64 = 1000, range: Some((0, ANY));
        /// How many hours a file that a client sent is kept after it was last used.
        keep_uploads_hours: i32 = 24, range: Some((1, 24 * MAX_DAYS));
        /// How the names of files may end that clients send, without a dot; `*` for anything. In the environment, with commas between.
        upload_extensions: Vec<String> = UPLOAD_EXTENSIONS.split_whitespace().map(str::to_owned).collect();
    }
    "Conversions" {
        /// How many seconds GDAL may take for an export in one of its formats (csv, shapefile, filegdb and so on).
        max_conversion_seconds: u32 = 3600, range: Some((1, 24 * 3600));
        /// How many bytes it may write for one, before they are packed.
        max_conversion_bytes: u64 = 16 << 30, range: Some((1 << 20, ANY));
        /// How many bytes of memory it may take. Workbooks are held in memory while they are written.
        max_conversion_memory_bytes: u64 = 4 << 30, range: Some((256 << 20, ANY));
    }
    "History and books" {
        /// How many days of changes are kept although no replica needs them any more. For a replica, they are kept as long as it lives.
        keep_history_days: i32 = 90, range: Some((1, MAX_DAYS));
        /// How many days the receipts of uploads and of edits of connected clients are kept; those of an upload in any case until the
        /// client has moved past it.
        keep_receipts_days: i32 = 365, range: Some((30, MAX_DAYS));
        /// How many days entries of the audit log are kept.
        keep_audit_days: i32 = 730, range: Some((30, MAX_DAYS));
        /// How many days a refused edit of a connected client is kept that nobody applies or dismisses. What replicas upload
        /// is kept until somebody does.
        keep_refused_days: i32 = 90, range: Some((1, MAX_DAYS));
        /// How many refused edits of connected clients may be open in a service; of more, only the receipts are kept.
        max_refused_edits: u64 = 20_000, range: Some((0, ANY));
        /// How many bytes they may take up together, with the files of attachments.
        max_refused_bytes: u64 = 1 << 30, range: Some((0, ANY));
    }
    "Replicas" {
        /// After how many days without a synchronization a replica is shown as idle; 0: never.
        warn_replicas_days: i32 = 30, range: Some((0, MAX_DAYS));
        /// After how many days without a synchronization a replica expires; 0: never.
        expire_replicas_days: i32 = 90, range: Some((0, MAX_DAYS));
        /// How many days a replica that has expired can be revived by synchronizing, before it is unregistered.
        grace_days: i32 = 14, range: Some((1, MAX_DAYS));
    }
    "Access" {
        /// Who presents this token (as the parameter `token`, or as `Authorization: Bearer`) may do everything over HTTP, like a
        /// key with the role `admin`. At least 16 characters; make one with `openssl rand -hex 24`.
        admin_token: Option<String> = None, example: "\"0123456789abcdef0123456789abcdef\"", hidden: Hidden::All;
        /// What everybody may do, without saying who they are, with services of which nothing else was granted.
        anonymous: Access = Access::None;
        /// The longest time for which a token counts that somebody gets for a password (generateToken), in minutes.
        max_token_minutes: i32 = 20_160, range: Some((1, 525_600));
        /// Whether tokens are taken that stand in addresses (`?token=…`), where proxies may log them and browsers remember them. Some
        /// old clients cannot do without.
        tokens_in_urls: bool = true;
        /// The proxies in front of the server, as addresses or networks, such as `127.0.0.1` or `10.0.0.0/8`. What they say in
        /// `X-Forwarded-For` or `Forwarded` is where a request comes from; what others say there is passed over.
        trusted_proxies: Vec<Network> = Vec::new();
    }
    "Pages" {
        /// Tiles to lie under the maps of pages, as an address with `{x}`, `{y}` and `{z}`; browsers fetch them from there. Without it,
        /// the outline of the land does, which comes from the server itself.
        basemap_url: Option<String> = None, example: "\"https://tiles.example.org/{z}/{x}/{y}.png\"";
        /// Whose the tiles are, as it stands in a corner of the maps.
        basemap_attribution: Option<String> = None, example: "\"© Example contributors\"";
    }
    "Single sign-on" {
        /// The identity provider with which people sign in (OpenID Connect), as it names itself: the address below which it has
        /// `/.well-known/openid-configuration`. It needs `public_url`, and knows the server as a client whose redirect address is
        /// `PUBLIC_URL/arcgis/login/oidc/return`.
        oidc_issuer: Option<String> = None, example: "\"https://id.example.org/realms/gis\"";
        /// How the provider calls the server.
        oidc_client_id: Option<String> = None, example: "\"syncline\"";
        /// What the provider knows the server by; none for a public client, which is known by its redirect address alone.
        oidc_client_secret: Option<String> = None, example: "\"secret\"", hidden: Hidden::All;
        /// A file that has it; where both are set, the file counts.
        oidc_client_secret_file: Option<PathBuf> = None, example: "\"/etc/syncline/oidc_secret\"";
        /// What the provider is asked for.
        oidc_scopes: Vec<String> = ["openid", "profile", "email"].map(str::to_owned).into();
        /// What people call the provider: *Sign in with …*
        oidc_name: String = "single sign-on".to_owned();
        /// The claim that has the name which somebody new gets here. Without it, that is `preferred_username`, else `email` if the
        /// provider has verified it, else `sub`.
        oidc_user_claim: Option<String> = None, example: "\"preferred_username\"";
        /// The claim that has the groups of somebody, or the way to it, such as `realm_access.roles`.
        oidc_groups_claim: String = "groups".to_owned();
        /// The roles of groups, as `GROUP=ROLE`. At each sign-in users get those of their groups and lose the others that are named
        /// here; roles that are not named here are left alone. In the environment, with commas between.
        oidc_roles: Vec<String> = Vec::new();
        /// The role of whoever has no other. Without it, somebody new needs a group that has a role.
        oidc_default_role: Option<String> = None, example: "\"viewer\"";
        /// The audience (the claim `aud`) of the provider's access tokens for this server. With it, programs may present such tokens (JWT,
        /// verified by the provider's keys) as `Authorization: Bearer`, instead of a token or key of this server; without it, none is
        /// taken. Their users are made and get roles as at a sign-in. It is not `oidc_client_id`, which is the audience of ID tokens.
        oidc_audience: Option<String> = None, example: "\"https://gis.example.org\"";
        /// Certificates (PEM) to trust for the provider instead of the usual ones.
        oidc_ca_file: Option<PathBuf> = None, example: "\"/etc/ssl/certs/own-ca.pem\"";
    }
    "Observation" {
        /// What is logged: `error`, `warn`, `info` (a line for each request), `debug` or `trace`; also for each part, such as
        /// `info,syncline::jobs=debug`.
        log: String = "info".to_owned();
        /// Whether log lines are JSON.
        log_json: bool = false;
        /// Requests that take longer than so many milliseconds are logged as warnings.
        slow_request_ms: u64 = 10_000, range: Some((1, ANY));
        /// Whether anybody may read `/metrics`; if not, only administrators may, such as a monitoring system that presents a token.
        metrics_open: bool = false;
    }
}

/// What field apps and scripts send: replicas, edits, archives, and what is attached to features.
const UPLOAD_EXTENSIONS: &str = "geodatabase sqlite gpkg json geojson zip gz 7z csv txt xml kml kmz gpx pdf jpg jpeg png gif tif tiff bmp webp \
    heic heif svg mp3 m4a wav aac mp4 mov avi 3gp doc docx xls xlsx ppt pptx rtf odt ods";
