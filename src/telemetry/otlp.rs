//! The way to a collector: one request at a time, on the thread that sends spans.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use opentelemetry_http::{HttpClient, HttpError, Request, Response};

/// How long a collector may take for a request.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(5);

/// Bytes of an answer that are read; it says no more than which spans it did not want.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Client(ureq::Agent);

impl Client {
    pub(super) fn new() -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(REQUEST_TIME_MAX))
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .build();
        Self(config.into())
    }
}

impl HttpClient for Client {
    /// Blocks, which its thread is for.
    fn send_bytes<'client, 'sending>(
        &'client self,
        request: Request<Bytes>,
    ) -> BoxFuture<'sending, Result<Response<Bytes>, HttpError>>
    where
        'client: 'sending,
    {
        Box::pin(async { self.send(request) })
    }
}

impl Client {
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let answer = self.0.run(Request::from_parts(head, body.to_vec()))?;
        let (head, mut body) = answer.into_parts();
        let bytes = body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Response::from_parts(head, bytes.into()))
    }
}
