//! Sign-in: which tokens are taken, and where the keys that they are checked with come from.

mod attacks;
mod key_file;
mod key_tls;
mod key_url;
mod numbers;
mod secrecy;
mod tokens;

use std::time::Duration;

use signalbox::auth::{
    AuthConfig, Authenticated, Authenticator, Denial, JwksConfig, JwksTimes, Reason,
};

use crate::support::issuer::KeyServer;
use crate::support::site::{SECRET, Site, SiteOptions};

/// Everything soon, so that a test need not wait for it.
fn times() -> JwksTimes {
    JwksTimes {
        ask_interval: Duration::from_millis(100),
        wait_max: Duration::from_secs(3),
        timeout: Duration::from_millis(400),
        refresh_min: Duration::from_millis(200),
        refresh_default: Duration::from_secs(60),
        retry_min: Duration::from_millis(50),
        retry_max: Duration::from_millis(100),
        file_interval: Duration::from_millis(50),
        ..JwksTimes::default()
    }
}

/// Tokens of these keys, and none of a secret.
fn by_keys(source: &str) -> AuthConfig {
    let jwks = JwksConfig { source: source.to_owned(), times: times() };
    AuthConfig { jwks: Some(jwks), ..AuthConfig::default() }
}

fn by_secret() -> AuthConfig {
    AuthConfig { secret: Some(SECRET.to_owned()), ..AuthConfig::default() }
}

fn authenticator(config: &AuthConfig) -> Authenticator {
    Authenticator::new(config).expect("the configuration can be used")
}

/// One that has the server's keys.
async fn with_keys(server: &KeyServer, config: AuthConfig) -> Authenticator {
    let authenticator = authenticator(&AuthConfig { jwks: by_keys(&server.url()).jwks, ..config });
    crate::support::until("the keys are there", || async {
        authenticator.keys().is_some_and(|keys| keys.keys > 0)
    })
    .await;
    authenticator
}

/// A server that checks tokens so.
async fn site_by(auth: AuthConfig) -> Site {
    Site::start_with(SiteOptions { auth, ..SiteOptions::default() }).await
}

/// Why the token is refused.
fn reason(checked: Result<Authenticated, Denial>) -> Option<Reason> {
    match checked {
        Err(Denial::Refused(reason)) => Some(reason),
        Ok(_) | Err(Denial::KeysUnavailable) => None,
    }
}
