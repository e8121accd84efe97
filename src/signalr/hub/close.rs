//! Why a connection ended.

use super::error::HubError;
use crate::signalr::protocol::{HubMessage, ProtocolError};

/// Why a connection ended: each says who ended it, and whether the client may come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The client said goodbye, with an error of its own or without.
    ClientClosed(Option<String>),
    /// The client closed its transport without a goodbye.
    TransportClosed,
    /// The client's transport is gone.
    TransportLost,
    /// The client broke the protocol.
    Protocol(ProtocolError),
    /// The client was silent for too long.
    ClientTimeout,
    /// The client did not read what waits for it. No Close can reach it: its socket is aborted.
    SlowConsumer,
    /// The client did not acknowledge what it got.
    Unacknowledged,
    /// The client made far more calls than it may.
    TooManyInvocations,
    /// The handshake failed; the client was told there.
    HandshakeFailed,
    /// The hub did not take the connection.
    ConnectedHookFailed(HubError),
    /// Something that was to be sent cannot be written.
    Unserializable(String),
    /// The hub or the application ended it.
    Aborted,
    /// The client's token has expired: it may come back with another one.
    AuthenticationExpired,
    /// The server stops, or lost something that the client can only get by coming back.
    ServerShutdown,
}

/// The names of reasons, each at its place.
pub(super) const CLOSE_NAMES: [&str; 15] = [
    "client_closed",
    "transport_closed",
    "transport_lost",
    "protocol_error",
    "client_timeout",
    "slow_consumer",
    "unacknowledged",
    "handshake_failed",
    "refused",
    "unserializable",
    "too_many_invocations",
    "aborted",
    "token_expired",
    "server_shutdown",
    "panicked",
];

const CLOSED_WITH_ERROR: &str = "Connection closed with an error.";

impl CloseReason {
    /// The place among [`CLOSE_NAMES`] of an end that has no reason: the session panicked.
    pub(super) const PANICKED: usize = 14;

    /// As logs and metrics name it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        CLOSE_NAMES[self.place()]
    }

    /// Its place among [`CLOSE_NAMES`].
    pub(super) fn place(&self) -> usize {
        match self {
            Self::ClientClosed(_) => 0,
            Self::TransportClosed => 1,
            Self::TransportLost => 2,
            Self::Protocol(_) => 3,
            Self::ClientTimeout => 4,
            Self::SlowConsumer => 5,
            Self::Unacknowledged => 6,
            Self::HandshakeFailed => 7,
            Self::ConnectedHookFailed(_) => 8,
            Self::Unserializable(_) => 9,
            Self::TooManyInvocations => 10,
            Self::Aborted => 11,
            Self::AuthenticationExpired => 12,
            Self::ServerShutdown => 13,
        }
    }

    /// The Close message that the client gets before its transport is closed; none
    /// where it cannot get one, or must not.
    #[must_use]
    pub fn close_message(&self, detailed_errors: bool) -> Option<HubMessage> {
        let allow_reconnect = match self {
            Self::SlowConsumer | Self::HandshakeFailed => return None,
            Self::ClientClosed(_)
            | Self::Aborted
            | Self::ConnectedHookFailed(_)
            | Self::TooManyInvocations => false,
            Self::TransportClosed
            | Self::TransportLost
            | Self::Protocol(_)
            | Self::ClientTimeout
            | Self::Unacknowledged
            | Self::Unserializable(_)
            | Self::AuthenticationExpired
            | Self::ServerShutdown => true,
        };
        let error = self.error().map(|error| error.told(CLOSED_WITH_ERROR, detailed_errors));
        Some(HubMessage::Close { error, allow_reconnect })
    }

    /// What went wrong, as far as the client may be told.
    fn error(&self) -> Option<HubError> {
        let failed =
            |kind: &str, text: String| Some(HubError::Failed { kind: kind.to_owned(), text });
        match self {
            Self::ClientClosed(_)
            | Self::TransportClosed
            | Self::TransportLost
            | Self::SlowConsumer
            | Self::HandshakeFailed
            | Self::Aborted
            | Self::AuthenticationExpired
            | Self::ServerShutdown => None,
            Self::TooManyInvocations => Some(HubError::Refused(TOO_MANY_INVOCATIONS.to_owned())),
            Self::Protocol(error) => failed("InvalidDataException", error.to_string()),
            Self::ClientTimeout => failed("OperationCanceledException", CLIENT_TIMEOUT.to_owned()),
            Self::Unacknowledged => failed("TimeoutException", UNACKNOWLEDGED.to_owned()),
            Self::Unserializable(text) => failed("InvalidOperationException", text.clone()),
            // The reference server shows no text that was meant to be shown alone.
            Self::ConnectedHookFailed(HubError::Refused(text)) => {
                Some(HubError::Exception(text.clone()))
            }
            Self::ConnectedHookFailed(error) => Some(error.clone()),
        }
    }

    /// What the disconnected hook is told: nothing for a graceful end.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        match self {
            Self::ClientClosed(error) => error.clone(),
            Self::TransportClosed
            | Self::Aborted
            | Self::AuthenticationExpired
            | Self::ServerShutdown => None,
            Self::TransportLost => Some("the transport was lost".to_owned()),
            Self::Protocol(error) => Some(error.to_string()),
            Self::ClientTimeout => Some(CLIENT_TIMEOUT.to_owned()),
            Self::Unacknowledged => Some(UNACKNOWLEDGED.to_owned()),
            Self::SlowConsumer => Some("the client does not read".to_owned()),
            Self::TooManyInvocations => Some(TOO_MANY_INVOCATIONS.to_owned()),
            Self::HandshakeFailed => Some("the handshake failed".to_owned()),
            Self::ConnectedHookFailed(error) => Some(error.text().to_owned()),
            Self::Unserializable(text) => Some(text.clone()),
        }
    }
}

const CLIENT_TIMEOUT: &str =
    "Client hasn't sent a message/ping within the configured ClientTimeoutInterval.";

const UNACKNOWLEDGED: &str = "The client did not acknowledge what was sent to it.";

const TOO_MANY_INVOCATIONS: &str =
    "rate_limited: the connection went on making calls that were refused as too many";
