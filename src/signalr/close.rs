//! Why a connection ended.

use super::protocol::{HubMessage, ProtocolError};

/// Why a connection ended: each says who ended it, and whether the client may come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CloseReason {
    /// The client said goodbye, with an error of its own or without.
    ClientClosed(Option<String>),
    /// The client's transport is gone, without a goodbye.
    TransportLost,
    /// The client broke the protocol.
    Protocol(ProtocolError),
    /// The client was silent for too long.
    ClientTimeout,
    /// The client did not read what waits for it. No Close can reach it: its socket is aborted.
    SlowConsumer,
    /// The handshake failed; the client was told there.
    HandshakeFailed,
    /// The hub did not take the connection; the text is for a client that may see details.
    ConnectedHookFailed(String),
    /// The hub or the application ended it.
    Aborted,
    /// The client's token has expired: it may come back with another one.
    AuthenticationExpired,
    /// The server stops, or lost something that the client can only get by coming back.
    ServerShutdown,
}

const CLOSED_WITH_ERROR: &str = "Connection closed with an error.";

impl CloseReason {
    /// The Close message that the client gets before its transport is closed; none
    /// where it cannot get one, or must not.
    #[must_use]
    pub fn close_message(&self, detailed_errors: bool) -> Option<HubMessage> {
        let close = |error: Option<String>, allow_reconnect| {
            Some(HubMessage::Close { error, allow_reconnect })
        };
        match self {
            Self::SlowConsumer | Self::HandshakeFailed => None,
            Self::ClientClosed(_) | Self::Aborted => close(None, false),
            Self::TransportLost | Self::AuthenticationExpired | Self::ServerShutdown => {
                close(None, true)
            }
            Self::Protocol(error) => close(
                Some(detail("InvalidDataException", &error.to_string(), detailed_errors)),
                true,
            ),
            Self::ClientTimeout => close(
                Some(detail("OperationCanceledException", CLIENT_TIMEOUT, detailed_errors)),
                true,
            ),
            Self::ConnectedHookFailed(text) => {
                let error = if detailed_errors {
                    format!("{CLOSED_WITH_ERROR} {text}")
                } else {
                    CLOSED_WITH_ERROR.to_owned()
                };
                close(Some(error), false)
            }
        }
    }

    /// What the disconnected hook is told: nothing for a graceful end.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        match self {
            Self::ClientClosed(error) => error.clone(),
            Self::Aborted | Self::AuthenticationExpired | Self::ServerShutdown => None,
            Self::TransportLost => Some("the transport was lost".to_owned()),
            Self::Protocol(error) => Some(error.to_string()),
            Self::ClientTimeout => Some(CLIENT_TIMEOUT.to_owned()),
            Self::SlowConsumer => Some("the client does not read".to_owned()),
            Self::HandshakeFailed => Some("the handshake failed".to_owned()),
            Self::ConnectedHookFailed(text) => Some(text.clone()),
        }
    }
}

const CLIENT_TIMEOUT: &str =
    "Client hasn't sent a message/ping within the configured ClientTimeoutInterval.";

fn detail(kind: &str, text: &str, detailed_errors: bool) -> String {
    if detailed_errors {
        format!("{CLOSED_WITH_ERROR} {kind}: {text}")
    } else {
        CLOSED_WITH_ERROR.to_owned()
    }
}
