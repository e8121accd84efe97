//! `signalbox serve`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Outcome, run};
use crate::auth::{AuthConfig, JwksConfig};
use crate::config::{ConfigError, PartialSettings, Settings};
use crate::http::{Limits, Origins, SignInPages, TrustedProxies};
use crate::hub;
use crate::pipeline::PipelineConfig;
use crate::server::ServerConfig;
use crate::signalr::{ConnectionOptions, HubOptions};
use crate::store::StoreConfig;
use crate::telemetry;
use crate::tls::TlsFiles;

/// Where a server's settings come from.
#[derive(Debug, Args)]
pub struct SettingsArgs {
    /// A TOML file of settings; environment and flags go before it
    #[arg(long, env = "SIGNALBOX_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: PartialSettings,
}

impl SettingsArgs {
    /// The settings that are in force.
    pub(super) fn settings(self) -> Result<Settings, ConfigError> {
        let file = self.config.as_deref().map(PartialSettings::from_file).transpose()?;
        Ok(self.settings.over(file.unwrap_or_default()).or_defaults())
    }
}

/// Flags of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Show the settings that are in force, secrets masked, and stop
    #[arg(long)]
    print_config: bool,
    /// Do not apply pending migrations
    #[arg(long)]
    no_migrate: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Runs the server.
pub fn run(args: Box<ServeArgs>) -> Outcome {
    let settings = args.settings.settings()?;
    if args.print_config {
        println!("{}", settings.print());
        return Ok(());
    }
    let _log = telemetry::start(settings.log_format);
    let (collector, node_id) = (settings.otlp_endpoint.clone(), settings.node_id.clone());
    let ratio = 1.0 / f64::from(settings.trace_one_in.get());
    let config = server_config(settings, !args.no_migrate)?;
    let faults = config.faults();
    if !faults.is_empty() {
        return Err(faults.join("\nsignalbox: ").into());
    }
    // Ends after the server, which has spans to the end.
    let _traces = telemetry::start_traces(collector.as_deref(), ratio, &node_id)?;
    run::until_signalled(config, |_| async { Ok(()) })
}

/// The server that these settings ask for.
pub(super) fn server_config(settings: Settings, migrate: bool) -> Result<ServerConfig, String> {
    if let Some(fault) = settings.otlp_endpoint.as_deref().and_then(telemetry::endpoint_fault) {
        return Err(format!("otlp_endpoint: {fault}"));
    }
    let is_shared = settings.database_url.starts_with("postgres");
    if settings.redis_url.is_some() && !is_shared {
        return Err(
            "--redis-url is for nodes that share a PostgreSQL database; an SQLite file has \
                    one server"
                .to_owned(),
        );
    }
    let hub = hub::options();
    Ok(ServerConfig {
        listen: settings.listen,
        store: StoreConfig {
            database_url: settings.database_url,
            event_log_database_url: settings.event_log_database_url,
            node_id: settings.node_id,
            migrate,
        },
        auth: AuthConfig {
            secret: settings.jwt_secret,
            jwks: settings.jwks.map(JwksConfig::new),
            issuer: settings.jwt_issuer,
            audience: settings.jwt_audience,
            clock_skew: Duration::from_secs(settings.jwt_clock_skew_seconds),
        },
        origins: Origins::new(settings.allowed_origins),
        demo: None,
        sign_in: SignInPages {
            sign_in_url: settings.sign_in_url,
            token_renewal_url: settings.token_renewal_url,
        },
        pipeline: PipelineConfig {
            event_retention: settings.event_retention_days.map(|days| days.get() * DAY),
            redis_url: settings.redis_url,
            ..PipelineConfig::default()
        },
        hub: HubOptions {
            connection: ConnectionOptions {
                connections_max: settings.connections_max,
                connections_per_user_max: settings.connections_per_caller_max,
                body_timeout: Duration::from_secs(settings.body_timeout_seconds),
                ..hub.connection
            },
            groups_per_connection_max: settings.groups_per_connection_max,
            invocations_per_second_max: settings.invocations_per_second_per_connection,
            ..hub
        },
        tls: tls_files(settings.tls_certificate, settings.tls_key)?,
        limits: Limits {
            requests_per_second_per_address: settings.requests_per_second_per_address,
            requests_per_second_per_caller: settings.requests_per_second_per_caller,
            trusted_proxies: TrustedProxies::parse(&settings.trusted_proxies)
                .map_err(|fault| format!("trusted_proxies: {fault}"))?,
            head_timeout: Duration::from_secs(settings.head_timeout_seconds),
            body_timeout: Duration::from_secs(settings.body_timeout_seconds),
            response_timeout: Duration::from_secs(settings.response_timeout_seconds),
        },
        access_log: settings.access_log,
        stop_timeout: Duration::from_secs(settings.stop_timeout_seconds),
    })
}

/// Both files, or none.
fn tls_files(
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Result<Option<TlsFiles>, String> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles::new(certificate, key))),
        (None, None) => Ok(None),
        (Some(_), None) => Err("tls_key: is missing beside tls_certificate".to_owned()),
        (None, Some(_)) => Err("tls_certificate: is missing beside tls_key".to_owned()),
    }
}
