//! What every request passes: its id, where it comes from, and what a browser may
//! do with the answer.

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{HttpMessage as _, HttpResponse, web};

use super::HttpState;
use super::access::Access;
use super::problem::Problem;
use super::request::RequestId;
use super::watch::Watched;

/// Which browser origins may call. The server's own always may.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    allowed: Vec<String>,
    /// Only a `Host` that names this machine's loopback is served.
    loopback_only: bool,
}

/// Why a text is no origin as browsers write it; none if it is. One that is not would
/// never be met.
#[must_use]
pub fn origin_fault(origin: &str) -> Option<String> {
    let is_lower = origin.chars().all(|c| !c.is_uppercase() && !c.is_whitespace());
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let is_host = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '@', '*']);
    let is_good = is_lower && host.is_some_and(is_host);
    (!is_good).then(|| {
        format!("'{origin}' is no origin: scheme, host and port in lower case, as in https://board.example")
    })
}

impl Origins {
    /// The server's own origin and these, each as browsers write it:
    /// `https://board.example`.
    #[must_use]
    pub fn new(allowed: Vec<String>) -> Self {
        Self { allowed, loopback_only: false }
    }

    /// Serves nobody who calls this server by another name than that of the loopback:
    /// a page elsewhere could otherwise point its own name here.
    #[must_use]
    pub fn loopback_only(mut self) -> Self {
        self.loopback_only = true;
        self
    }

    /// The origins beside the server's own.
    #[must_use]
    pub fn allowed(&self) -> &[String] {
        &self.allowed
    }

    /// Whether the origin is the one that the request was sent to, or configured. Without
    /// TLS here there may be some in front: then either scheme may be the own.
    #[must_use]
    pub fn is_allowed(&self, origin: &str, host: Option<&str>, is_tls: bool) -> bool {
        let own = origin.split_once("://");
        let is_own = own.is_some_and(|(scheme, authority)| {
            Some(authority) == host && (!is_tls || scheme == "https")
        });
        is_own || self.allowed.iter().any(|allowed| allowed == origin)
    }

    fn admits(&self, request: &ServiceRequest) -> bool {
        let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok());
        let host = header("host");
        if self.loopback_only && !host.is_some_and(is_loopback) {
            return false;
        }
        match request.headers().get("origin") {
            None => true,
            Some(_) => header("origin")
                .is_some_and(|origin| self.is_allowed(origin, host, is_tls(request))),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

/// Below it are the hub's endpoints, which answer by SignalR's rules.
const HUB_PREFIX: &str = "/hub/";

/// Whether the request came by this server's own TLS.
fn is_tls(request: &ServiceRequest) -> bool {
    request.app_config().secure()
}

/// Whether SignalR answers there.
pub(super) fn is_hub(path: &str) -> bool {
    path.starts_with(HUB_PREFIX)
}

/// What everything else may, should a browser take it for a page.
const DATA_SECURITY_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// On every answer. The two `same-origin` keep other sites from opening or embedding what is
/// here; pages of configured origins ask by CORS, to which neither applies.
const SECURITY_HEADERS: [(&str, &str); 5] = [
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// A year, in which browsers come by TLS alone. Other names of the domain are not ours.
const STRICT_TRANSPORT_SECURITY: (&str, &str) = ("strict-transport-security", "max-age=31536000");

/// `page` is what a page from here may load and do; one with needs of its own brings its
/// policy along. Where nothing has changed, a browser goes on with the policy that it has:
/// it would take one from here in its place, and there is no content to tell which.
fn add_security_headers(
    response: &mut HttpResponse<BoxBody>,
    page: Option<&HeaderValue>,
    is_tls: bool,
) {
    let is_unchanged = response.status() == StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    let static_header =
        |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
    if !is_unchanged && !headers.contains_key(CONTENT_SECURITY_POLICY) {
        let is_page = headers
            .get(CONTENT_TYPE)
            .is_some_and(|media_type| media_type.as_bytes().starts_with(b"text/html"));
        let of_data = HeaderValue::from_static(DATA_SECURITY_POLICY);
        let policy = page.filter(|_| is_page).cloned().unwrap_or(of_data);
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    let transport = is_tls.then_some(STRICT_TRANSPORT_SECURITY);
    for (name, value) in SECURITY_HEADERS.into_iter().chain(transport) {
        let (name, value) = static_header(name, value);
        headers.insert(name, value);
    }
}

/// Wraps every request of the app.
pub async fn around(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let (id, access) = (RequestId::of(request.request()), Access::begin(request.request()));
    request.extensions_mut().insert(id.clone());
    let path = request.path().to_owned();
    let is_hub = is_hub(&path);
    let is_tls = is_tls(&request);
    let watched = request.request().conn_data::<Arc<Watched>>().map(Arc::clone);
    if let Some(watched) = &watched {
        watched.begin();
    }
    let is_admitted =
        request.app_data::<web::Data<Origins>>().is_none_or(|origins| origins.admits(&request));
    let mut response = if is_admitted {
        match next.call(request).await {
            Ok(response) => named(response.map_into_boxed_body(), &id, &path),
            Err(error) => return Err(error),
        }
    } else {
        let problem = Problem::forbidden("this origin may not call");
        request.into_response(refuse(&path, Some(&id), &problem))
    };
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
    let state = response.request().app_data::<web::Data<HttpState>>().cloned();
    let page = state.as_ref().map(|state| state.sign_in.policy());
    add_security_headers(response.response_mut(), page, is_tls);
    if let Some(state) = state {
        access.end(&response, &id, &state);
    }
    Ok(match watched {
        Some(watched) => response.map_body(|_, body| BoxBody::new(watched.answer(body, is_hub))),
        None => response,
    })
}

/// The answer to a request that no handler sees.
pub(super) fn refuse(path: &str, id: Option<&RequestId>, problem: &Problem) -> HttpResponse {
    let response = problem.response(id.map(RequestId::as_str).unwrap_or_default(), path);
    if is_hub(path) {
        // SignalR's clients take a body for the error's text.
        let mut bare = response.drop_body();
        bare.headers_mut().remove(CONTENT_TYPE);
        bare.map_into_boxed_body()
    } else {
        response
    }
}

/// A problem that a handler returned, with the request's id in it. Its headers stay,
/// also those that were added on the way here for another origin.
fn named(
    response: ServiceResponse<BoxBody>,
    id: &RequestId,
    path: &str,
) -> ServiceResponse<BoxBody> {
    let problem = response.response().error().and_then(|error| error.as_error::<Problem>());
    let Some(problem) = problem else {
        return response;
    };
    if let Some(cause) = problem.cause() {
        let level = if problem.is_ours() { log::Level::Error } else { log::Level::Warn };
        log::log!(level, error = cause, path, request_id = id.as_str(); "a request failed");
    }
    let body = problem.body(id.as_str(), path);
    response.map_body(|_, _| BoxBody::new(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_and_configured_origins_may_call() {
        let origins = Origins::new(vec!["https://board.example".to_owned()]);
        let host = Some("127.0.0.1:8080");
        let is_allowed = |origin| origins.is_allowed(origin, host, false);
        assert!(is_allowed("http://127.0.0.1:8080") && is_allowed("https://127.0.0.1:8080"));
        assert!(is_allowed("https://board.example"));
        assert!(origins.is_allowed("https://127.0.0.1:8080", host, true));
        assert!(!origins.is_allowed("http://127.0.0.1:8080", host, true), "by TLS alone");
        for foreign in
            ["http://127.0.0.1:9090", "https://board.example.evil", "null", "", "127.0.0.1:8080"]
        {
            assert!(!is_allowed(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_loopback_name_is_recognised_with_and_without_port() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:80", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", ""] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
