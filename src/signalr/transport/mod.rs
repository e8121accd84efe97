//! How a connection's bytes move.

mod inbound;
pub(super) mod websocket;
pub(super) mod websocket_frames;

use bytes::Bytes;

pub(super) use inbound::{Inbound, Violation};

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
        TransportKind::WebSockets => websocket_frames::message_frame(protocol, message),
    }
}
