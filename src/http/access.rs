//! One line and one count for each request.

use std::sync::Arc;
use std::time::Instant;

use actix_web::HttpMessage as _;
use actix_web::body::{BodySize, BoxBody, MessageBody as _};
use actix_web::dev::ServiceResponse;
use log::kv::Value;

use super::HttpState;
use super::request::RequestId;
use crate::jobs::Caller;
use crate::telemetry::ACCESS;

/// A request on its way to its answer.
pub(super) struct Access {
    since: Instant,
}

impl Access {
    pub(super) fn begin() -> Self {
        Self { since: Instant::now() }
    }

    /// The answer's head is known, and its body is about to be sent.
    pub(super) fn end(
        self,
        response: &ServiceResponse<BoxBody>,
        id: &RequestId,
        state: &HttpState,
    ) {
        let (request, duration) = (response.request(), self.since.elapsed());
        let status = response.status().as_u16();
        let route = request.match_pattern();
        state.metrics.answered(request.method().as_str(), route.as_deref(), status, duration);
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
        let peer = request.peer_addr();
        let caller = extensions.get::<Arc<Caller>>();
        log::info!(
            target: ACCESS,
            method = request.method().as_str(), path = request.path(), status, bytes,
            duration_ms = duration.as_micros() as f64 / 1000.0, request_id = id.as_str(),
            sub = caller.map(|caller| caller.actor.id.as_str()), peer = peer.as_ref().map(Value::from_display);
            "request"
        );
    }
}
