//! What surrounds a request: its id, its caller, its body and its conditions.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::access::InTrace;
use super::problem::Problem;
use super::{BODY_BYTES_MAX, HttpState};
use crate::auth::{Denial, bearer_token};
use crate::jobs::{
    CORRELATION_ID_BYTES_MAX, Caller, Command, CommandRequest, EventId, Idempotency, Receipt,
    Version,
};
use crate::pipeline::blocking;
use crate::store::StoreError;

/// Names a request in answers, logs and events.
#[derive(Debug, Clone)]
pub(super) struct RequestId(Arc<str>);

impl RequestId {
    /// The caller's own if it is sane, one of ours otherwise. Sane is short, visible
    /// ASCII without what JSON or a log line would have to escape.
    pub(super) fn of(request: &HttpRequest) -> Self {
        let sane = |id: &&str| {
            (1..=CORRELATION_ID_BYTES_MAX).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&b))
        };
        let own = request.headers().get("x-request-id").and_then(|id| id.to_str().ok());
        match own.filter(sane) {
            Some(id) => Self(id.into()),
            None => Self(uuid::Uuid::now_v7().to_string().into()),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The caller, by the request's bearer token.
pub(super) struct Authenticated(pub(super) Arc<Caller>);

impl FromRequest for Authenticated {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { authenticate(&request).await })
    }
}

async fn authenticate(request: &HttpRequest) -> Result<Authenticated, Problem> {
    let state = request.app_data::<web::Data<HttpState>>().ok_or_else(Problem::internal)?;
    let token = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(bearer_token)
        .ok_or_else(Problem::unauthenticated)?;
    match state.authenticator.authenticate(token).await {
        Ok(proved) => {
            // Whoever writes down the request wants to know.
            request.extensions_mut().insert(Arc::clone(&proved.caller));
            let admitted = state.rates.admit_caller(&proved.caller.actor.id);
            admitted.map_err(Problem::rate_limited)?;
            Ok(Authenticated(proved.caller))
        }
        Err(denial) => {
            log::debug!(error:% = denial; "a token was refused");
            Err(match denial {
                Denial::Refused(_) => Problem::unauthenticated(),
                Denial::KeysUnavailable => Problem::unavailable("tokens cannot be checked for now"),
            })
        }
    }
}

/// The whole body, bounded while it arrives.
pub(super) struct Body(Bytes);

impl FromRequest for Body {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let declared = request.headers().get("content-length").and_then(|v| v.to_str().ok());
        let is_too_large = declared
            .and_then(|length| length.parse::<u64>().ok())
            .is_some_and(|length| length > BODY_BYTES_MAX as u64);
        let state = request.app_data::<web::Data<HttpState>>();
        let time_limit = state.map(|state| state.body_timeout);
        let payload = payload.take();
        Box::pin(async move {
            if is_too_large {
                return Err(Problem::body_too_large());
            }
            let body = timeout(time_limit.ok_or_else(Problem::internal)?, whole(payload)).await;
            body.unwrap_or_else(|_| Err(Problem::request_timeout())).map(Self)
        })
    }
}

/// All of a body, as long as it is not too much.
async fn whole(mut payload: Payload) -> Result<Bytes, Problem> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::malformed("the body ended early"))?;
        if body.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(Problem::body_too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

impl Body {
    /// The body as JSON of this shape.
    pub(super) fn json<T: DeserializeOwned>(&self, request: &HttpRequest) -> Result<T, Problem> {
        let is_json = request
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"));
        if !is_json {
            return Err(Problem::unsupported_media_type());
        }
        serde_json::from_slice(&self.0).map_err(|error| Problem::malformed(error.to_string()))
    }

    /// The same, where no body at all says as much as an empty object.
    pub(super) fn json_or_default<T: DeserializeOwned + Default>(
        &self,
        request: &HttpRequest,
    ) -> Result<T, Problem> {
        if self.0.is_empty() { Ok(T::default()) } else { self.json(request) }
    }
}

/// Has the command carried out, on the conditions that the request names.
pub(super) async fn submit(
    state: &HttpState,
    request: &HttpRequest,
    caller: Arc<Caller>,
    body: &Body,
    command: Command,
) -> Result<Receipt, Problem> {
    let id = request.extensions().get::<RequestId>().cloned();
    let id = id.ok_or_else(Problem::internal)?;
    let trace = request.extensions().get::<InTrace>().map(|InTrace(trace)| *trace);
    let command = CommandRequest {
        caller,
        correlation_id: id.as_str().to_owned(),
        event_id: EventId::fresh(),
        if_match: if_match(request)?,
        idempotency: idempotency(request, body)?,
        trace,
        command,
    };
    Ok(state.commands.submit(command).await?)
}

/// The version of an `If-Match`; none without one, or for `*`. A tag that no job can
/// have becomes 0, which none has.
fn if_match(request: &HttpRequest) -> Result<Option<Version>, Problem> {
    let Some(value) = request.headers().get("if-match") else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let is_weak = text.starts_with("W/");
    let tag = text.strip_prefix("W/").unwrap_or(text);
    let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    match inner {
        Some(tag) if !tag.contains('"') => {
            // Tags are compared as texts: `01` is not the tag of version 1.
            let version = tag.parse().ok().filter(|version: &Version| version.to_string() == tag);
            Ok(Some(version.filter(|_| !is_weak).unwrap_or(0)))
        }
        Some(_) | None => Err(Problem::malformed("If-Match is not one entity tag")),
    }
}

/// The request's idempotency key with a digest of all that makes it the same request.
fn idempotency(request: &HttpRequest, body: &Body) -> Result<Option<Idempotency>, Problem> {
    let Some(value) = request.headers().get("idempotency-key") else {
        return Ok(None);
    };
    let key = value.to_str().unwrap_or_default();
    if !(1..=255).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic()) {
        let detail = "Idempotency-Key is not 1 to 255 visible ASCII characters";
        return Err(Problem::malformed(detail));
    }
    let if_match = request.headers().get("if-match").map(|value| value.as_bytes());
    let mut digest = Sha256::new();
    for part in [
        request.method().as_str().as_bytes(),
        request.path().as_bytes(),
        if_match.unwrap_or_default(),
        &body.0,
    ] {
        // The length keeps two parts from being taken for another two.
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    Ok(Some(Idempotency { key: key.to_owned(), digest: digest.finalize().into() }))
}

/// How long a read may take until it is refused.
const READ_TIME_MAX: Duration = Duration::from_secs(2);

/// Runs a read on a thread for blocking, if not too many run.
pub(super) async fn read<T: Send + 'static>(
    state: &HttpState,
    call: impl FnOnce(&crate::store::Store) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Problem> {
    let place = Arc::clone(&state.reads)
        .try_acquire_owned()
        .map_err(|_| Problem::unavailable("too many reads wait"))?;
    let store = state.store.clone();
    let outcome = blocking(move || {
        // Kept for as long as the thread is, whether somebody waits for it or not.
        let _place = place;
        call(&store)
    });
    match timeout(READ_TIME_MAX, outcome).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(Problem::unavailable("the store takes too long")),
    }
}

/// The query's parameters as this shape; one that is not known is refused.
pub(super) fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, Problem> {
    web::Query::<T>::from_query(request.query_string())
        .map(web::Query::into_inner)
        .map_err(|error| Problem::malformed(error.to_string()))
}
