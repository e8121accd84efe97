//! Settings: what they mean, their defaults, and where they come from.
//!
//! A TOML file, then the environment, then flags; the later wins. The names are the
//! same everywhere: `--jwt-secret`, `SIGNALBOX_JWT_SECRET`, `jwt_secret`.

use std::num::NonZeroU32;
use std::path::Path;

use clap::Args;
use serde::Deserialize;

/// What may be set, from one source; absent is left to another one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartialSettings {
    /// Address and port to serve on; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, env = "SIGNALBOX_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// The jobs' database [default: sqlite://signalbox.db]
    #[arg(long, env = "SIGNALBOX_DATABASE_URL", value_name = "URL")]
    pub database_url: Option<String>,
    /// The event log's database [default: the jobs' one]
    #[arg(long, env = "SIGNALBOX_EVENT_LOG_DATABASE_URL", value_name = "URL")]
    pub event_log_database_url: Option<String>,
    /// Redis, by which nodes on one PostgreSQL database tell each other of events at once
    /// [default: none]
    #[arg(long, env = "SIGNALBOX_REDIS_URL", value_name = "URL")]
    pub redis_url: Option<String>,
    /// The secret that HS256 tokens are signed with, at least 32 bytes
    #[arg(long, env = "SIGNALBOX_JWT_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub jwt_secret: Option<String>,
    /// The issuer that tokens must name [default: not checked]
    #[arg(long, env = "SIGNALBOX_JWT_ISSUER", value_name = "ISSUER")]
    pub jwt_issuer: Option<String>,
    /// The audience that tokens must name [default: not checked]
    #[arg(long, env = "SIGNALBOX_JWT_AUDIENCE", value_name = "AUDIENCE")]
    pub jwt_audience: Option<String>,
    /// Browser origins that may call from elsewhere [default: none]
    #[arg(
        long,
        env = "SIGNALBOX_ALLOWED_ORIGINS",
        value_name = "ORIGIN,ORIGIN",
        value_delimiter = ','
    )]
    pub allowed_origins: Option<Vec<String>>,
    /// This server's name in the event log [default: host name and a random suffix]
    #[arg(long, env = "SIGNALBOX_NODE_ID", value_name = "NAME")]
    pub node_id: Option<String>,
    /// How log lines look: text or json [default: text]
    #[arg(long, env = "SIGNALBOX_LOG_FORMAT", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// How long a stop may take, in seconds [default: 10]
    #[arg(long, env = "SIGNALBOX_STOP_TIMEOUT_SECONDS", value_name = "SECONDS")]
    pub stop_timeout_seconds: Option<u64>,
    /// Days after which events are removed from the log [default: they are kept]
    #[arg(long, env = "SIGNALBOX_EVENT_RETENTION_DAYS", value_name = "DAYS")]
    pub event_retention_days: Option<NonZeroU32>,
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

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Address and port to serve on.
    pub listen: String,
    /// The jobs' database.
    pub database_url: String,
    /// The event log's database; none is the jobs' one.
    pub event_log_database_url: Option<String>,
    /// Redis, by which nodes tell each other of events.
    pub redis_url: Option<String>,
    /// The secret that tokens are signed with.
    pub jwt_secret: Option<String>,
    /// The issuer that tokens must name.
    pub jwt_issuer: Option<String>,
    /// The audience that tokens must name.
    pub jwt_audience: Option<String>,
    /// Browser origins that may call from elsewhere.
    pub allowed_origins: Vec<String>,
    /// This server's name in the event log.
    pub node_id: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// How long a stop may take, in seconds.
    pub stop_timeout_seconds: u64,
    /// Days after which events are removed from the log; none keeps them.
    pub event_retention_days: Option<NonZeroU32>,
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

    /// These settings, and those of `lower` where these are absent.
    #[must_use]
    pub fn over(self, lower: Self) -> Self {
        Self {
            listen: self.listen.or(lower.listen),
            database_url: self.database_url.or(lower.database_url),
            event_log_database_url: self.event_log_database_url.or(lower.event_log_database_url),
            redis_url: self.redis_url.or(lower.redis_url),
            jwt_secret: self.jwt_secret.or(lower.jwt_secret),
            jwt_issuer: self.jwt_issuer.or(lower.jwt_issuer),
            jwt_audience: self.jwt_audience.or(lower.jwt_audience),
            allowed_origins: self.allowed_origins.or(lower.allowed_origins),
            node_id: self.node_id.or(lower.node_id),
            log_format: self.log_format.or(lower.log_format),
            stop_timeout_seconds: self.stop_timeout_seconds.or(lower.stop_timeout_seconds),
            event_retention_days: self.event_retention_days.or(lower.event_retention_days),
        }
    }

    /// These settings, and the defaults where they are absent.
    #[must_use]
    pub fn or_defaults(self) -> Settings {
        Settings {
            listen: self.listen.unwrap_or_else(|| "127.0.0.1:8080".to_owned()),
            database_url: self.database_url.unwrap_or_else(|| "sqlite://signalbox.db".to_owned()),
            event_log_database_url: self.event_log_database_url,
            redis_url: self.redis_url,
            jwt_secret: self.jwt_secret,
            jwt_issuer: self.jwt_issuer,
            jwt_audience: self.jwt_audience,
            allowed_origins: self.allowed_origins.unwrap_or_default(),
            node_id: self.node_id.unwrap_or_else(default_node_id),
            log_format: self.log_format.unwrap_or_default(),
            stop_timeout_seconds: self.stop_timeout_seconds.unwrap_or(10),
            event_retention_days: self.event_retention_days,
        }
    }
}

impl Settings {
    /// The settings as a TOML file would have them, the secret masked.
    #[must_use]
    pub fn print(&self) -> String {
        let mut table = toml::Table::new();
        let mut set = |key: &str, value: Option<toml::Value>| {
            if let Some(value) = value {
                table.insert(key.to_owned(), value);
            }
        };
        let text = |value: &Option<String>| value.clone().map(toml::Value::String);
        set("listen", Some(self.listen.clone().into()));
        set("database_url", Some(without_password(&self.database_url).into()));
        set(
            "event_log_database_url",
            self.event_log_database_url.as_deref().map(|url| without_password(url).into()),
        );
        set("redis_url", self.redis_url.as_deref().map(|url| without_password(url).into()));
        set("jwt_secret", self.jwt_secret.as_ref().map(|_| "********".into()));
        set("jwt_issuer", text(&self.jwt_issuer));
        set("jwt_audience", text(&self.jwt_audience));
        set("allowed_origins", Some(self.allowed_origins.clone().into()));
        set("node_id", Some(self.node_id.clone().into()));
        let format = match self.log_format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        set("log_format", Some(format.into()));
        let seconds = i64::try_from(self.stop_timeout_seconds).unwrap_or(i64::MAX);
        set("stop_timeout_seconds", Some(seconds.into()));
        set(
            "event_retention_days",
            self.event_retention_days.map(|days| i64::from(days.get()).into()),
        );
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

/// The URL with its password, if it has one, masked.
fn without_password(url: &str) -> String {
    let masked = url.split_once("://").and_then(|(scheme, rest)| {
        let (user, host) = rest.split_once('@')?;
        let (name, _) = user.split_once(':')?;
        Some(format!("{scheme}://{name}:********@{host}"))
    });
    masked.unwrap_or_else(|| url.to_owned())
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
            database_url: Some("postgres://user:hush@host/db".to_owned()),
            ..PartialSettings::default()
        };
        let printed = settings.or_defaults().print();
        assert!(!printed.contains("hush"), "{printed}");
        assert!(printed.contains("postgres://user:********@host/db"), "{printed}");
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
