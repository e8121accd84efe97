//! One line and one count for each request.

use std::sync::Arc;
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody as _};
use actix_web::dev::ServiceResponse;
use actix_web::{HttpMessage as _, HttpRequest};
use log::kv::Value;

use super::HttpState;
use super::request::RequestId;
use crate::jobs::{Caller, TraceContext};
use crate::telemetry::{ACCESS, Span, SpanKind};

/// A request on its way to its answer.
pub(super) struct Access {
    since: Instant,
    span: Span,
}

/// The trace that a request belongs to.
pub(super) struct InTrace(pub(super) TraceContext);

/// Requests below it are told of as parts of a trace.
const TRACED_PREFIX: &str = "/api/";

impl Access {
    pub(super) fn begin(request: &HttpRequest) -> Self {
        let since = Instant::now();
        if !request.path().starts_with(TRACED_PREFIX) {
            return Self { since, span: Span::default() };
        }
        let parent = traceparent(request);
        let span = Span::start("request", SpanKind::Server, parent);
        if let Some(trace) = span.context().or(parent) {
            request.extensions_mut().insert(InTrace(trace));
        }
        Self { since, span }
    }

    /// The answer's head is known, and its body is about to be sent.
    pub(super) fn end(
        mut self,
        response: &ServiceResponse<BoxBody>,
        id: &RequestId,
        state: &HttpState,
    ) {
        let (request, duration) = (response.request(), self.since.elapsed());
        let status = response.status().as_u16();
        let route = request.match_pattern();
        state.metrics.answered(request.method().as_str(), route.as_deref(), status, duration);
        self.describe(request.method().as_str(), route.as_deref(), status);
        if !state.access_log {
            return;
        }
        // The end of a stream has a line of its own: that of its connection.
        let bytes = match response.response().body().size() {
            BodySize::None => Some(0),
            BodySize::Sized(bytes) => Some(bytes),
            BodySize::Stream => None,
        };
        let extensions = request.extensions();
        let (peer, client) = (request.peer_addr(), state.rates.behind_proxy(request));
        let caller = extensions.get::<Arc<Caller>>();
        log::info!(
            target: ACCESS,
            method = request.method().as_str(), path = request.path(), status, bytes,
            duration_ms = duration.as_micros() as f64 / 1000.0, request_id = id.as_str(),
            sub = caller.map(|caller| caller.actor.id.as_str()), peer = peer.as_ref().map(Value::from_display),
            client = client.as_ref().map(Value::from_display);
            "request"
        );
    }

    /// By the names that OpenTelemetry gives to what it knows of requests.
    fn describe(&mut self, method: &str, route: Option<&str>, status: u16) {
        self.span.rename(|| format!("{method} {}", route.unwrap_or_default()));
        self.span.set("http.response.status_code", i64::from(status));
        if status >= 500 {
            self.span.fail();
        }
    }
}

/// What the request says of the trace that it belongs to, if that is well-formed: by the
/// specification there is one header, and all else is as if there were none.
fn traceparent(request: &HttpRequest) -> Option<TraceContext> {
    let mut all = request.headers().get_all("traceparent");
    let only = all.next().filter(|_| all.next().is_none())?;
    only.to_str().ok()?.parse().ok()
}
