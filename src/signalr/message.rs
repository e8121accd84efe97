//! A message for many: encoded once per protocol and transport, shared by all.

use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};

use super::protocol::{HubMessage, Payload, ProtocolKind, encode};
use super::transport::{TransportKind, frame};

/// A hub message with the bytes that it becomes on each kind of connection, made
/// when the first one needs them.
#[derive(Debug)]
pub struct SerializedMessage {
    message: HubMessage,
    websocket_json: OnceLock<Bytes>,
}

impl SerializedMessage {
    /// Wraps a message; encodes nothing yet.
    #[must_use]
    pub fn new(message: HubMessage) -> Self {
        Self { message, websocket_json: OnceLock::new() }
    }

    /// A call of a client's method with one argument, which nobody answers.
    #[must_use]
    pub fn invocation(target: &str, argument: Payload) -> Self {
        Self::new(HubMessage::Invocation {
            invocation_id: None,
            target: target.to_owned(),
            arguments: vec![argument],
            stream_ids: Vec::new(),
        })
    }

    /// The bytes for this protocol on this transport; the same ones for every caller.
    pub(super) fn framed(&self, protocol: ProtocolKind, transport: TransportKind) -> &Bytes {
        let place = match (protocol, transport) {
            (ProtocolKind::Json, TransportKind::WebSockets) => &self.websocket_json,
        };
        place.get_or_init(|| framed(protocol, transport, &self.message))
    }
}

/// The bytes of a message for one connection.
pub(super) fn framed(
    protocol: ProtocolKind,
    transport: TransportKind,
    message: &HubMessage,
) -> Bytes {
    let mut encoded = BytesMut::with_capacity(256);
    encode(protocol, message, &mut encoded);
    frame(transport, protocol, &encoded)
}
