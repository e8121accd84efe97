//! Settings: what they mean, their defaults, and where they come from.
//!
//! A TOML file, then the environment, then flags; the later wins. The names are the
//! same everywhere: `--jwt-secret`, `SIGNALBOX_JWT_SECRET`, `jwt_secret`.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Deserialize;

use crate::store::without_password;

/// Declares every setting once: what a source may say, what the server works with when
/// none does, and how it is shown. A row is
/// `name: what a source says => what the server works with, default, shown;`.
macro_rules! settings {
    ($(
        $(#[doc = $doc:literal])+
        #[arg($($arg:tt)+)]
        $name:ident: $given:ty => $used:ty, $default:expr, $shown:expr;
    )+) => {
        /// What may be set, from one source; absent is left to another one.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct PartialSettings {
            $(
                $(#[doc = $doc])+
                #[arg($($arg)+)]
                pub $name: Option<$given>,
            )+
        }

        /// All settings.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Settings {
            $(
                $(#[doc = $doc])+
                pub $name: $used,
            )+
        }

        impl PartialSettings {
            /// These settings, and those of `lower` where these are absent.
            #[must_use]
            pub fn over(self, lower: Self) -> Self {
                Self { $($name: self.$name.or(lower.$name),)+ }
            }

            /// These settings, and the defaults where they are absent.
            #[must_use]
            pub fn or_defaults(self) -> Settings {
                $(let $name: fn(Option<$given>) -> $used = $default;)+
                Settings { $($name: $name(self.$name),)+ }
            }
        }

        impl Settings {
            /// Name and value, as a file would have them; what is not set is not there.
            fn shown(&self) -> toml::Table {
                let mut table = toml::Table::new();
                $(
                    let show: fn(&$used) -> Option<toml::Value> = $shown;
                    if let Some(value) = show(&self.$name) {
                        table.insert(stringify!($name).to_owned(), value);
                    }
                )+
                table
            }
        }
    };
}

settings! {
    /// Address and port to serve on; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "SIGNALBOX_LISTEN", value_name = "ADDRESS:PORT")]
    listen: String => String, |it| it.unwrap_or_else(|| "127.0.0.1:8080".to_owned()), shown;
    /// The jobs' database [default: sqlite://signalbox.db]
    #[arg(long, env = "SIGNALBOX_DATABASE_URL", value_name = "URL")]
    database_url: String => String,
        |it| it.unwrap_or_else(|| "sqlite://signalbox.db".to_owned()),
        |url| Some(without_password(url).into());
    /// The event log's database [default: the jobs' one]
    #[arg(long, env = "SIGNALBOX_EVENT_LOG_DATABASE_URL", value_name = "URL")]
    event_log_database_url: String => Option<String>, as_given, url_if_set;
    /// Redis, by which nodes on one PostgreSQL database tell each other of events at once
    /// [default: none]
    #[arg(long, env = "SIGNALBOX_REDIS_URL", value_name = "URL")]
    redis_url: String => Option<String>, as_given, url_if_set;
    // Sign-in.
    /// The secret that HS256 tokens are signed with, at least 32 bytes
    #[arg(long, env = "SIGNALBOX_JWT_SECRET", value_name = "SECRET", hide_env_values = true)]
    jwt_secret: String => Option<String>, as_given, masked;
    /// File or URL of the public keys that RS256, ES256 and EdDSA tokens are signed with
    #[arg(long, env = "SIGNALBOX_JWKS", value_name = "FILE|URL")]
    jwks: String => Option<String>, as_given, url_if_set;
    /// By how many seconds an issuer's clock may be ahead [default: 30]
    #[arg(long, env = "SIGNALBOX_JWT_CLOCK_SKEW_SECONDS", value_name = "SECONDS")]
    jwt_clock_skew_seconds: u64 => u64, |it| it.unwrap_or(30), |it| Some(number(*it));
    /// The issuer that tokens must name [default: not checked]
    #[arg(long, env = "SIGNALBOX_JWT_ISSUER", value_name = "ISSUER")]
    jwt_issuer: String => Option<String>, as_given, text_if_set;
    /// The audience that tokens must name [default: not checked]
    #[arg(long, env = "SIGNALBOX_JWT_AUDIENCE", value_name = "AUDIENCE")]
    jwt_audience: String => Option<String>, as_given, text_if_set;
    /// Browser origins that may call from elsewhere [default: none]
    #[arg(
        long,
        env = "SIGNALBOX_ALLOWED_ORIGINS",
        value_name = "ORIGIN,ORIGIN",
        value_delimiter = ','
    )]
    allowed_origins: Vec<String> => Vec<String>, Option::unwrap_or_default, shown;
    // The page's sign-in
    /// A page that signs people in and hands the board a token [default: none]
    #[arg(long, env = "SIGNALBOX_SIGN_IN_URL", value_name = "URL")]
    sign_in_url: String => Option<String>, as_given, text_if_set;
    /// What answers the board another token before one expires [default: none]
    #[arg(long, env = "SIGNALBOX_TOKEN_RENEWAL_URL", value_name = "URL")]
    token_renewal_url: String => Option<String>, as_given, text_if_set;
    /// This server's name in the event log [default: host name and a random suffix]
    #[arg(long, env = "SIGNALBOX_NODE_ID", value_name = "NAME")]
    node_id: String => String, |it| it.unwrap_or_else(default_node_id), shown;
    /// How log lines look: text or json [default: text]
    #[arg(long, env = "SIGNALBOX_LOG_FORMAT", value_name = "FORMAT")]
    log_format: LogFormat => LogFormat, Option::unwrap_or_default,
        |format| Some(format.name().into());

    // Logs and traces.
    /// Whether each request and each connection has a line in the log [default: true]
    #[arg(long, env = "SIGNALBOX_ACCESS_LOG", value_name = "BOOL")]
    access_log: bool => bool, |it| it.unwrap_or(true), |it| Some((*it).into());
    /// The OpenTelemetry collector that is told of traces [default: none]
    #[arg(long, env = "SIGNALBOX_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: String => Option<String>, as_given, text_if_set;
    /// One of how many traces that begin here is told of [default: 1]
    #[arg(long, env = "SIGNALBOX_TRACE_ONE_IN", value_name = "NUMBER")]
    trace_one_in: NonZeroU32 => NonZeroU32, |it| it.unwrap_or(NonZeroU32::MIN),
        |it| Some(number(it.get().into()));

    /// How long a stop may take, in seconds [default: 10]
    #[arg(long, env = "SIGNALBOX_STOP_TIMEOUT_SECONDS", value_name = "SECONDS")]
    stop_timeout_seconds: u64 => u64, |it| it.unwrap_or(10), |it| Some(number(*it));
    /// Days after which events are removed from the log [default: they are kept]
    #[arg(long, env = "SIGNALBOX_EVENT_RETENTION_DAYS", value_name = "DAYS")]
    event_retention_days: NonZeroU32 => Option<NonZeroU32>, as_given,
        |days| days.map(|days| number(days.get().into()));

    // TLS.
    /// The server's certificate with its chain, a PEM file [default: no TLS]
    #[arg(long, env = "SIGNALBOX_TLS_CERTIFICATE", value_name = "FILE")]
    tls_certificate: PathBuf => Option<PathBuf>, as_given, path_if_set;
    /// The certificate's private key, a PEM file [default: none]
    #[arg(long, env = "SIGNALBOX_TLS_KEY", value_name = "FILE")]
    tls_key: PathBuf => Option<PathBuf>, as_given, path_if_set;

    // Limits of what callers may ask for; 0 is none.
    /// Requests of one address per second, 0 for no limit [default: no limit]
    #[arg(long, env = "SIGNALBOX_REQUESTS_PER_SECOND_PER_ADDRESS", value_name = "REQUESTS")]
    requests_per_second_per_address: u32 => Option<NonZeroU32>, unless_zero, limit_if_set;
    /// Requests of one caller per second, 0 for no limit [default: no limit]
    #[arg(long, env = "SIGNALBOX_REQUESTS_PER_SECOND_PER_CALLER", value_name = "REQUESTS")]
    requests_per_second_per_caller: u32 => Option<NonZeroU32>, unless_zero, limit_if_set;
    /// Proxies whose word about a caller's address is believed [default: none]
    #[arg(
        long,
        env = "SIGNALBOX_TRUSTED_PROXIES",
        value_name = "NETWORK,NETWORK",
        value_delimiter = ','
    )]
    trusted_proxies: Vec<String> => Vec<String>, Option::unwrap_or_default, shown;
    /// Hub connections at the same time [default: 100000]
    #[arg(long, env = "SIGNALBOX_CONNECTIONS_MAX", value_name = "CONNECTIONS")]
    connections_max: usize => usize, |it| it.unwrap_or(100_000), |it| Some(number(*it as u64));
    /// Hub connections of one caller at the same time, 0 for no limit [default: no limit]
    #[arg(long, env = "SIGNALBOX_CONNECTIONS_PER_CALLER_MAX", value_name = "CONNECTIONS")]
    connections_per_caller_max: usize => Option<usize>,
        |it| it.filter(|max| *max > 0), |max| max.map(|max| number(max as u64));
    /// Groups that one hub connection may be in [default: 200]
    #[arg(long, env = "SIGNALBOX_GROUPS_PER_CONNECTION_MAX", value_name = "GROUPS")]
    groups_per_connection_max: usize => usize,
        |it| it.unwrap_or(200), |it| Some(number(*it as u64));
    /// Calls of one hub connection per second, 0 for no limit [default: no limit]
    #[arg(long, env = "SIGNALBOX_INVOCATIONS_PER_SECOND_PER_CONNECTION", value_name = "CALLS")]
    invocations_per_second_per_connection: u32 => Option<NonZeroU32>, unless_zero, limit_if_set;
    /// How long a request's head may take to come, in seconds [default: 10]
    #[arg(long, env = "SIGNALBOX_HEAD_TIMEOUT_SECONDS", value_name = "SECONDS")]
    head_timeout_seconds: u64 => u64, |it| it.unwrap_or(10), |it| Some(number(*it));
    /// How long a request's body may be waited for, in seconds [default: 30]
    #[arg(long, env = "SIGNALBOX_BODY_TIMEOUT_SECONDS", value_name = "SECONDS")]
    body_timeout_seconds: u64 => u64, |it| it.unwrap_or(30), |it| Some(number(*it));
    /// How long an answer may take to be read, in seconds [default: 60]
    #[arg(long, env = "SIGNALBOX_RESPONSE_TIMEOUT_SECONDS", value_name = "SECONDS")]
    response_timeout_seconds: u64 => u64, |it| it.unwrap_or(60), |it| Some(number(*it));
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One object per line, for programs.
    Json,
}

impl LogFormat {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// A setting cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read: {error}")]
    Unreadable {
        /// Which file.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A key that means nothing.
    #[error("the configuration file {path} has the key '{key}', which is no setting{hint}")]
    UnknownKey {
        /// Which file.
        path: String,
        /// The key.
        key: String,
        /// What may have been meant.
        hint: String,
    },
    /// The file is not what it should be.
    #[error("the configuration file {path} is not understood: {error}")]
    Malformed {
        /// Which file.
        path: String,
        /// Where and why.
        error: Box<toml::de::Error>,
    },
}

impl PartialSettings {
    /// The settings of a TOML file. A key that is not known is an error.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: shown.clone(), error })?;
        Self::from_toml(&text, &shown)
    }

    fn from_toml(text: &str, path: &str) -> Result<Self, ConfigError> {
        let malformed = |error: toml::de::Error| ConfigError::Malformed {
            path: path.to_owned(),
            error: Box::new(error),
        };
        let table: toml::Table = toml::from_str(text).map_err(malformed)?;
        let known = Self::names();
        if let Some(key) = table.keys().find(|key| !known.contains(key)) {
            let hint = nearest(key, &known);
            let hint = hint.map_or_else(String::new, |name| format!("; did you mean '{name}'?"));
            let (path, key) = (path.to_owned(), key.clone());
            return Err(ConfigError::UnknownKey { path, key, hint });
        }
        toml::from_str(text).map_err(malformed)
    }

    /// The names of all settings, as a file has them.
    #[must_use]
    pub fn names() -> Vec<String> {
        let arguments = Self::augment_args(clap::Command::new("settings"));
        arguments.get_arguments().map(|argument| argument.get_id().to_string()).collect()
    }
}

impl Settings {
    /// The settings as a TOML file would have them, the secret masked.
    #[must_use]
    pub fn print(&self) -> String {
        let table = self.shown();
        let lines: Vec<String> =
            table.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        lines.join("\n")
    }
}

/// The known name that a misspelt one may have been meant for.
fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a String> {
    /// As alike as `listn` and `listen`; `port` and `listen` are not.
    const LIKENESS_MIN: f64 = 0.8;
    let likeness = |known: &&String| strsim::jaro_winkler(name, known);
    let best = known.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)))?;
    (likeness(&best) >= LIKENESS_MIN).then_some(best)
}

fn as_given<T>(value: Option<T>) -> Option<T> {
    value
}

fn path_if_set(path: &Option<PathBuf>) -> Option<toml::Value> {
    path.as_ref().map(|path| path.display().to_string().into())
}

fn unless_zero(value: Option<u32>) -> Option<NonZeroU32> {
    value.and_then(NonZeroU32::new)
}

fn limit_if_set(limit: &Option<NonZeroU32>) -> Option<toml::Value> {
    limit.map(|limit| number(limit.get().into()))
}

fn shown<T: Clone + Into<toml::Value>>(value: &T) -> Option<toml::Value> {
    Some(value.clone().into())
}

fn text_if_set(value: &Option<String>) -> Option<toml::Value> {
    value.clone().map(toml::Value::String)
}

fn url_if_set(url: &Option<String>) -> Option<toml::Value> {
    url.as_deref().map(|url| without_password(url).into())
}

fn masked(secret: &Option<String>) -> Option<toml::Value> {
    secret.as_ref().map(|_| "********".into())
}

fn number(value: u64) -> toml::Value {
    i64::try_from(value).unwrap_or(i64::MAX).into()
}

fn default_node_id() -> String {
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{host}-{}", &random[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_source_wins_key_by_key() {
        let lower = PartialSettings {
            listen: Some("low".to_owned()),
            node_id: Some("low".to_owned()),
            ..PartialSettings::default()
        };
        let upper =
            PartialSettings { listen: Some("high".to_owned()), ..PartialSettings::default() };
        let settings = upper.over(lower).or_defaults();
        assert_eq!((settings.listen.as_str(), settings.node_id.as_str()), ("high", "low"));
        assert_eq!(settings.database_url, "sqlite://signalbox.db");
    }

    #[test]
    fn secrets_are_not_printed() {
        let settings = PartialSettings {
            jwt_secret: Some("hush".to_owned()),
            database_url: Some("postgres://user:hu@sh@host/db".to_owned()),
            ..PartialSettings::default()
        };
        let printed = settings.or_defaults().print();
        assert!(!printed.contains("hush") && !printed.contains("sh@"), "{printed}");
        assert!(printed.contains("postgres://user:***@host/db"), "{printed}");
    }

    #[test]
    fn events_are_kept_for_a_day_or_more() {
        let settings = |text| toml::from_str::<PartialSettings>(text);
        let kept = settings("event_retention_days = 30").expect("days").or_defaults().print();
        assert!(kept.contains("event_retention_days = 30"), "{kept}");
        assert!(settings("event_retention_days = 0").is_err());
        assert_eq!(PartialSettings::default().or_defaults().event_retention_days, None);
    }

    #[test]
    fn a_key_that_is_not_known_is_refused() {
        let refusal = |text: &str| {
            let error = PartialSettings::from_toml(text, "a.toml").expect_err("no such setting");
            error.to_string()
        };
        let known = "the configuration file a.toml has the key ";
        for (text, said) in [
            ("listn = \"x\"", "'listn', which is no setting; did you mean 'listen'?"),
            (
                "data_base_url = \"x\"",
                "'data_base_url', which is no setting; did you mean 'database_url'?",
            ),
            ("colour = \"red\"", "'colour', which is no setting"),
        ] {
            assert_eq!(refusal(text), format!("{known}{said}"));
        }
        assert!(refusal("listen = 7").contains("line 1"), "{}", refusal("listen = 7"));
    }
}
