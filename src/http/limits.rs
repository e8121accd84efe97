//! How much callers may ask for, and how long they may take: bounds of requests.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, HttpRequest, web};

use super::address::{TrustedProxies, counted};
use super::around::{is_hub, refuse};
use super::problem::Problem;
use super::rate_limiter::RateLimiter;
use super::request::RequestId;
use super::{HttpState, spelling};
use crate::pipeline::{Limit, Metrics};

/// Bytes of a request's target. Room for a long token in the query, where a browser that
/// opens a WebSocket has to put it.
pub const TARGET_BYTES_MAX: usize = 16 * 1024;

/// Bytes of all names and values of a request's headers.
pub const HEADER_BYTES_MAX: usize = 32 * 1024;

/// Headers of a request. actix-http reads 96 at most, and 128 KiB; it answers 431 without a
/// word to what is more, and closes the connection.
pub const HEADERS_MAX: usize = 64;

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests per second of one address; five seconds' worth at once. Default none.
    pub requests_per_second_per_address: Option<NonZeroU32>,
    /// The same of one caller, by the token's `sub`. Default none.
    pub requests_per_second_per_caller: Option<NonZeroU32>,
    /// Whose word about addresses is believed. Default nobody's.
    pub trusted_proxies: TrustedProxies,
    /// How long a request's head may take to come. Default 10 s.
    pub head_timeout: Duration,
    /// How long a request's body may be waited for. Default 30 s.
    pub body_timeout: Duration,
    /// How long an answer may take to be read. Default 60 s: a list of 500 events, 1 MB,
    /// over 20 KB/s.
    pub response_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_second_per_address: None,
            requests_per_second_per_caller: None,
            trusted_proxies: TrustedProxies::default(),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            response_timeout: Duration::from_secs(60),
        }
    }
}

/// A higher rate is none, and could not be told from none.
const RATE_MAX: u32 = 1_000_000;

/// A longer wait is no limit.
const TIMEOUT_MAX: Duration = Duration::from_secs(60 * 60);

impl Limits {
    /// The settings of which there is something that cannot be used, and what.
    #[must_use]
    pub fn faults(&self) -> Vec<(&'static str, String)> {
        let mut faults = Vec::new();
        for (name, rate) in [
            ("requests_per_second_per_address", self.requests_per_second_per_address),
            ("requests_per_second_per_caller", self.requests_per_second_per_caller),
        ] {
            if rate.is_some_and(|rate| rate.get() > RATE_MAX) {
                faults.push((name, format!("is more than {RATE_MAX}; 0 is no limit")));
            }
        }
        for (name, time) in [
            ("head_timeout_seconds", self.head_timeout),
            ("body_timeout_seconds", self.body_timeout),
            ("response_timeout_seconds", self.response_timeout),
        ] {
            if time.is_zero() || time > TIMEOUT_MAX {
                faults.push((name, format!("is not within 1 to {}", TIMEOUT_MAX.as_secs())));
            }
        }
        faults
    }
}

/// Counts requests against their limits, and refusals for the metrics.
#[derive(Debug)]
pub struct RequestRates {
    by_address: Option<RateLimiter>,
    by_caller: Option<RateLimiter>,
    proxies: TrustedProxies,
    metrics: Arc<Metrics>,
}

impl RequestRates {
    /// Nobody has asked for anything yet.
    #[must_use]
    pub fn new(limits: &Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            by_address: limits.requests_per_second_per_address.map(RateLimiter::new),
            by_caller: limits.requests_per_second_per_caller.map(RateLimiter::new),
            proxies: limits.trusted_proxies.clone(),
            metrics,
        }
    }

    /// Where a request comes from that a trusted proxy has passed on; none if it came by
    /// itself.
    pub(super) fn behind_proxy(&self, request: &HttpRequest) -> Option<IpAddr> {
        let peer = request.peer_addr()?.ip().to_canonical();
        self.proxies.client(request).filter(|client| *client != peer)
    }

    /// Counts a request of the address that it comes from.
    ///
    /// # Errors
    /// With how long to wait, when there were too many.
    pub fn admit_address(&self, request: &HttpRequest) -> Result<(), Duration> {
        let Some(limiter) = &self.by_address else {
            return Ok(());
        };
        // A socket without an address is none of TCP's.
        let Some(address) = self.proxies.client(request) else {
            return Ok(());
        };
        limiter.check(&counted(address)).inspect_err(|_| {
            self.metrics.refused(Limit::AddressRequests);
        })
    }

    /// Counts a request of this caller.
    ///
    /// # Errors
    /// With how long to wait, when there were too many.
    pub fn admit_caller(&self, id: &str) -> Result<(), Duration> {
        let Some(limiter) = &self.by_caller else {
            return Ok(());
        };
        limiter.check(id).inspect_err(|_| self.metrics.refused(Limit::CallerRequests))
    }
}

/// Answers whether the process lives; it costs nothing, and whoever asks may end it.
const UNCOUNTED_PATH: &str = "/healthz";

/// Refuses a request that asks for too much, before anything is done for it. Stands behind
/// what answers to other origins, so that their pages can read the refusal.
pub async fn limited(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match fault(request.request()) {
        None => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
        Some(problem) => {
            let id = request.extensions().get::<RequestId>().cloned();
            let response = refuse(request.path(), id.as_ref(), &problem);
            Ok(request.into_response(response))
        }
    }
}

fn fault(request: &HttpRequest) -> Option<Problem> {
    let target = request.uri();
    let target_bytes = target.path().len() + target.query().map_or(0, str::len);
    if target_bytes > TARGET_BYTES_MAX {
        return Some(Problem::target_too_long());
    }
    let headers = request.headers();
    let header_bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > HEADERS_MAX || header_bytes > HEADER_BYTES_MAX {
        return Some(Problem::headers_too_large());
    }
    if let Err(detail) = spelling::check(request) {
        return Some(Problem::malformed(detail));
    }
    // The hub knows which of its requests open a connection, and counts those.
    if is_hub(request.path()) || request.path() == UNCOUNTED_PATH {
        return None;
    }
    let state = request.app_data::<web::Data<HttpState>>()?;
    state.rates.admit_address(request).err().map(Problem::rate_limited)
}
