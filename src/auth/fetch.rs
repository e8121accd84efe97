//! Fetches a document over HTTP: bounded in bytes, time and redirects.

use std::sync::Arc;
use std::time::Duration;

use ureq::http::{Uri, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Proxy};

use super::jwks::JWKS_BYTES_MAX;

/// Redirects that are followed: issuers that have moved, not loops.
const REDIRECTS_MAX: u32 = 3;

/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The document, and for how long it may be used if the answer says so. Blocks for as long
/// as the timeout at most.
///
/// # Errors
/// What went wrong; nothing of the answer is quoted.
pub(super) fn fetch(
    url: &Uri,
    is_loopback: bool,
    connect_timeout: Duration,
    timeout: Duration,
) -> Result<(Vec<u8>, Option<Duration>), String> {
    let is_https = url.scheme_str() == Some("https");
    let agent: Agent = Agent::config_builder()
        .timeout_connect(Some(connect_timeout))
        .timeout_global(Some(timeout))
        .max_redirects(REDIRECTS_MAX)
        .max_response_header_size(HEAD_BYTES_MAX)
        // A redirect must not lead out of what TLS protects.
        .https_only(is_https)
        .proxy(if is_loopback { None } else { Proxy::try_from_env() })
        .tls_config(tls(is_https)?)
        .user_agent(concat!("signalbox/", env!("CARGO_PKG_VERSION")))
        .accept("application/jwk-set+json, application/json")
        .build()
        .into();
    let failed = |error: ureq::Error| match error {
        // Others may quote what came.
        ureq::Error::StatusCode(status) => format!("answered with status {status}"),
        ureq::Error::Timeout(_) => "did not answer in time".to_owned(),
        ureq::Error::TooManyRedirects => "redirects too often".to_owned(),
        ureq::Error::RequireHttpsOnly(_) => "redirects to plain http".to_owned(),
        ureq::Error::BodyExceedsLimit(_) => format!("has more than {JWKS_BYTES_MAX} bytes"),
        ureq::Error::LargeResponseHeader(..) => "answered with too long a head".to_owned(),
        ureq::Error::HostNotFound => "has a host that is not known".to_owned(),
        ureq::Error::Io(error) if is_of_tls(&error) => format!("is not trusted: {error}"),
        ureq::Error::Io(error) => format!("cannot be reached: {error}"),
        ureq::Error::Rustls(error) => format!("is not trusted: {error}"),
        ureq::Error::Tls(error) => format!("is not trusted: {error}"),
        _ => "gave an answer that is not understood".to_owned(),
    };
    let mut answer = agent.get(url).call().map_err(failed)?;
    let max_age = answer.headers().get(header::CACHE_CONTROL);
    let max_age = max_age.and_then(|value| value.to_str().ok()).and_then(max_age_of);
    let body = answer.body_mut().with_config().limit(JWKS_BYTES_MAX as u64).read_to_vec();
    Ok((body.map_err(failed)?, max_age))
}

/// A failed handshake comes as an error of reading or writing.
fn is_of_tls(error: &std::io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>())
}

/// Trusts whom the system trusts. Looked up each time, as the system may change its mind.
fn tls(is_needed: bool) -> Result<TlsConfig, String> {
    let mut roots = Vec::new();
    if is_needed {
        let found = rustls_native_certs::load_native_certs();
        if found.certs.is_empty() {
            return Err("cannot be trusted: the system has no root certificates".to_owned());
        }
        roots.extend(found.certs.iter().map(|root| Certificate::from_der(root).to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(provider)
        .build())
}

/// What `Cache-Control` allows; nothing, where it says that all has to be asked again.
fn max_age_of(cache_control: &str) -> Option<Duration> {
    let mut directives = cache_control.split(',').map(|directive| directive.trim());
    if directives
        .clone()
        .any(|it| matches!(it.to_ascii_lowercase().as_str(), "no-store" | "no-cache"))
    {
        return Some(Duration::ZERO);
    }
    let seconds = directives.find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        name.eq_ignore_ascii_case("max-age").then(|| value.trim_matches('"').parse().ok())?
    });
    seconds.map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_what_cache_control_allows() {
        for (header, seconds) in [
            ("max-age=300", Some(300)),
            ("public, MAX-AGE=\"60\", must-revalidate", Some(60)),
            ("max-age=300, no-cache", Some(0)),
            ("no-store", Some(0)),
            ("max-age=-1", None),
            ("max-age=99999999999999999999", None),
            ("s-maxage=300", None),
            ("", None),
        ] {
            assert_eq!(max_age_of(header), seconds.map(Duration::from_secs), "{header}");
        }
    }
}
