//! How a connection's bytes move.

pub(super) mod websocket;

use bytes::Bytes;

use super::protocol::ProtocolKind;

/// The transports, as negotiation names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransportKind {
    /// One socket, both ways.
    WebSockets,
}

/// One whole message as this transport sends it.
pub(super) fn frame(transport: TransportKind, protocol: ProtocolKind, message: &[u8]) -> Bytes {
    match transport {
        TransportKind::WebSockets => websocket::message_frame(protocol, message),
    }
}

/// What a transport tells its session.
#[derive(Debug)]
pub(super) enum Inbound {
    /// Bytes of the client's stream.
    Bytes(Bytes),
    /// The client asks whether the transport is alive; the bytes go back.
    Ping(Bytes),
    /// The client ends the transport.
    Close,
    /// The client broke the transport's own rules.
    Violation(websocket::Violation),
}
