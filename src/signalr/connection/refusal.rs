//! Why a request of a connection is refused, and with which status and words: the
//! reference server's.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use super::registry::{Full, TokenError};
use super::transport_kind::TransportKind;

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The request names no connection.
    NoId,
    /// It names one that is not there, or is gone.
    UnknownConnection,
    /// The connection belongs to somebody else.
    OtherUser,
    /// The connection has this transport already, and goes on with it.
    Taken,
    /// The connection has another transport.
    OtherTransport,
    /// The endpoint does not have this transport.
    Unsupported(TransportKind),
    /// A WebSocket's client sends on its socket.
    PostOnWebSocket,
    /// Only a connection that polls is ended by a request.
    NotPolling,
    /// The body broke off.
    BrokenBody,
    /// The body did not come in time.
    LateBody,
    /// Too many of these requests came in too short a time; after this one may come again.
    TooFast(Duration),
    /// There is no place for one more connection.
    Full(Full),
    /// The upgrade is no proper handshake, or the caller is not let in.
    Status(StatusCode),
}

impl Refusal {
    pub(super) fn into_response(self) -> HttpResponse {
        let (status, text) = match self {
            Self::NoId => (StatusCode::BAD_REQUEST, "Connection ID required"),
            Self::UnknownConnection => (StatusCode::NOT_FOUND, "No Connection with that ID"),
            Self::OtherUser => {
                (StatusCode::FORBIDDEN, "The user associated with this connection changed.")
            }
            Self::OtherTransport => {
                (StatusCode::BAD_REQUEST, "Cannot change transports mid-connection")
            }
            Self::PostOnWebSocket => (
                StatusCode::METHOD_NOT_ALLOWED,
                "POST requests are not allowed for WebSocket connections.",
            ),
            Self::NotPolling => (
                StatusCode::BAD_REQUEST,
                "Cannot terminate this connection using the DELETE endpoint.",
            ),
            Self::Unsupported(transport) => {
                let name = transport.name();
                let text = format!("{name} transport not supported by this end point type");
                return HttpResponse::NotFound().insert_header(PLAIN_TEXT).body(text);
            }
            Self::Taken => return HttpResponse::Conflict().finish(),
            Self::BrokenBody => return HttpResponse::BadRequest().finish(),
            Self::Status(status) => {
                let mut response = HttpResponse::build(status);
                if status == StatusCode::SERVICE_UNAVAILABLE {
                    response.insert_header(RETRY_AFTER);
                }
                return response.finish();
            }
            Self::LateBody => return HttpResponse::RequestTimeout().finish(),
            Self::TooFast(wait) => {
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0 || wait.is_zero());
                return HttpResponse::TooManyRequests()
                    .insert_header(("Retry-After", seconds))
                    .finish();
            }
            Self::Full(full) => {
                let status = match full {
                    Full::Server => StatusCode::SERVICE_UNAVAILABLE,
                    Full::User => StatusCode::TOO_MANY_REQUESTS,
                };
                return HttpResponse::build(status).insert_header(RETRY_AFTER).finish();
            }
        };
        HttpResponse::build(status).insert_header(PLAIN_TEXT).body(text)
    }
}

/// What is full or away now may not be in a second.
pub(super) const RETRY_AFTER: (&str, &str) = ("Retry-After", "1");

pub(super) const PLAIN_TEXT: (&str, &str) = ("Content-Type", "text/plain");

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Unknown => Self::UnknownConnection,
            TokenError::OtherUser => Self::OtherUser,
        }
    }
}

impl From<Full> for Refusal {
    fn from(full: Full) -> Self {
        Self::Full(full)
    }
}

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Self {
        Self::Status(status)
    }
}
