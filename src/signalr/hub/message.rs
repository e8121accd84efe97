//! A message for many: encoded once per protocol and transport, shared by all.

use std::fmt;
use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};

use super::arguments::SendArguments;
use crate::signalr::connection::TransportKind;
use crate::signalr::protocol::{HubMessage, Payload, ProtocolKind, encode};

/// A hub message with the bytes that it becomes on each kind of connection, made
/// when the first one needs them.
#[derive(Debug)]
pub struct SerializedMessage {
    content: Content,
    websocket_json: OnceLock<Option<Bytes>>,
    websocket_messagepack: OnceLock<Option<Bytes>>,
    events_json: OnceLock<Option<Bytes>>,
    polling_json: OnceLock<Option<Bytes>>,
    polling_messagepack: OnceLock<Option<Bytes>>,
}

enum Content {
    Message(HubMessage),
    /// A call whose arguments are written in each protocol's own way.
    Call {
        target: String,
        arguments: Box<dyn SendArguments + Send + Sync>,
    },
}

impl SerializedMessage {
    /// Wraps a message; encodes nothing yet. A payload of one protocol is converted
    /// for the other.
    #[must_use]
    pub fn new(message: HubMessage) -> Self {
        Self::of(Content::Message(message))
    }

    /// A call of a client's method with one argument, which nobody answers.
    #[must_use]
    pub fn invocation(target: &str, argument: Payload) -> Self {
        Self::new(call(target, vec![argument], None))
    }

    /// A call of a client's method, which nobody answers.
    #[must_use]
    pub fn call(target: &str, arguments: impl SendArguments + Send + Sync + 'static) -> Self {
        Self::of(Content::Call { target: target.to_owned(), arguments: Box::new(arguments) })
    }

    fn of(content: Content) -> Self {
        Self {
            content,
            websocket_json: OnceLock::new(),
            websocket_messagepack: OnceLock::new(),
            events_json: OnceLock::new(),
            polling_json: OnceLock::new(),
            polling_messagepack: OnceLock::new(),
        }
    }

    /// Whether it is counted on connections that may reconnect.
    pub(super) fn is_trackable(&self) -> bool {
        match &self.content {
            Content::Message(message) => message.is_trackable(),
            Content::Call { .. } => true,
        }
    }

    /// The bytes for this protocol on this transport; the same ones for every caller.
    /// None for a message that cannot be written.
    pub(super) fn framed(
        &self,
        protocol: ProtocolKind,
        transport: TransportKind,
    ) -> Option<&Bytes> {
        let place = match (transport, protocol) {
            (TransportKind::WebSockets, ProtocolKind::Json) => &self.websocket_json,
            (TransportKind::WebSockets, ProtocolKind::MessagePack) => &self.websocket_messagepack,
            (TransportKind::LongPolling, ProtocolKind::Json) => &self.polling_json,
            (TransportKind::LongPolling, ProtocolKind::MessagePack) => &self.polling_messagepack,
            // A handshake over events that asks for another protocol is refused.
            (TransportKind::ServerSentEvents, _) => &self.events_json,
        };
        place.get_or_init(|| self.frame(protocol, transport)).as_ref()
    }

    fn frame(&self, protocol: ProtocolKind, transport: TransportKind) -> Option<Bytes> {
        match &self.content {
            Content::Message(message) => Some(framed(protocol, transport, message)),
            Content::Call { target, arguments } => match arguments.payloads(protocol) {
                Ok(arguments) => Some(framed(protocol, transport, &call(target, arguments, None))),
                Err(error) => {
                    log::error!(method:% = target, error:%; "a call is not sent, it cannot be written");
                    None
                }
            },
        }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(message) => message.fmt(f),
            Self::Call { target, .. } => write!(f, "Call({target})"),
        }
    }
}

/// A call of a client's method; with an id, one that the client answers.
pub(super) fn call(
    target: &str,
    arguments: Vec<Payload>,
    invocation_id: Option<String>,
) -> HubMessage {
    let target = target.to_owned();
    HubMessage::Invocation { invocation_id, target, arguments, stream_ids: Vec::new() }
}

/// The bytes of a message for one connection.
pub(super) fn framed(
    protocol: ProtocolKind,
    transport: TransportKind,
    message: &HubMessage,
) -> Bytes {
    let mut encoded = BytesMut::with_capacity(256);
    encode(protocol, message, &mut encoded);
    transport.frame(protocol.transfer_format(), &encoded)
}
