//! Bytes to hub messages and back: no I/O, no actors, no clock.
//!
//! The client's bytes are a stream: messages may be cut and joined anywhere, so a
//! [`MessageReader`] keeps what is left over. Decoders never panic and never trust
//! a length.

mod convert;
mod handshake;
mod json;
mod json_text;
mod messagepack;
#[cfg(test)]
mod reading;
mod values;

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

pub use json_text::JsonText;
pub use values::{Blob, Guid, UtcTime};

pub use handshake::{HandshakeError, HandshakeRequest, encode_handshake_response, read_handshake};

/// A message of the hub protocol.
#[derive(Debug, Clone)]
pub enum HubMessage {
    /// Type 1: calls a method. Without an id nobody waits for an answer.
    Invocation {
        /// Chosen by the sender; never empty.
        invocation_id: Option<String>,
        /// The method.
        target: String,
        /// The arguments that are not streams.
        arguments: Vec<Payload>,
        /// The ids of the streams that the caller will send.
        stream_ids: Vec<String>,
    },
    /// Type 2: one item of a stream.
    StreamItem {
        /// Which stream.
        invocation_id: String,
        /// The item.
        item: Payload,
    },
    /// Type 3: ends an invocation or a stream.
    Completion {
        /// Which one.
        invocation_id: String,
        /// How it ended.
        outcome: CompletionOutcome,
    },
    /// Type 4: calls a method whose results are a stream.
    StreamInvocation {
        /// Chosen by the sender.
        invocation_id: String,
        /// The method.
        target: String,
        /// The arguments that are not streams.
        arguments: Vec<Payload>,
        /// The ids of the streams that the caller will send.
        stream_ids: Vec<String>,
    },
    /// Type 5: asks to end a stream early.
    CancelInvocation {
        /// Which stream.
        invocation_id: String,
    },
    /// Type 6: the sender is alive.
    Ping,
    /// Type 7: the sender ends the connection.
    Close {
        /// Why, if something went wrong; never empty.
        error: Option<String>,
        /// Whether a client that reconnects by itself shall do so.
        allow_reconnect: bool,
    },
    /// Type 8: the highest message received, of a stateful connection.
    Ack {
        /// Which one.
        sequence_id: u64,
    },
    /// Type 9: the number of the message that follows, of a stateful connection.
    Sequence {
        /// Which one.
        sequence_id: u64,
    },
}

/// How an invocation or a stream ended.
#[derive(Debug, Clone)]
pub enum CompletionOutcome {
    /// Without a value.
    Void,
    /// With this value, possibly null.
    Value(Payload),
    /// It failed, with this text for the caller.
    Error(String),
}

/// An application value within a message, still in the bytes of its protocol: it
/// is bound once the type that it must have is known.
#[derive(Debug, Clone)]
pub enum Payload {
    /// JSON text.
    Json(Box<RawValue>),
    /// One MessagePack value.
    MessagePack(Bytes),
}

/// The hub protocols that a handshake can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolKind {
    /// Text, each message ended by byte 0x1E.
    Json,
    /// Binary, each message behind its length.
    MessagePack,
}

/// What a transport has to be able to carry. Serialises to its name in negotiation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum TransferFormat {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// The peer broke the protocol; the connection ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Not a message of the protocol; says what is wrong.
    #[error("{0}")]
    InvalidData(String),
    /// Longer than the bound.
    #[error(
        "The maximum message size of {bytes_max}B was exceeded. The message size can be configured in AddHubOptions."
    )]
    TooLarge {
        /// The bound.
        bytes_max: usize,
    },
    /// The stream ended inside a message.
    #[error("Connection terminated while reading a message.")]
    Incomplete,
}

/// A message without something that every one of its type has.
fn missing(name: &str) -> ProtocolError {
    ProtocolError::InvalidData(format!("Missing required property '{name}'."))
}

impl ProtocolKind {
    /// The protocol of that name, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Json, Self::MessagePack]
            .into_iter()
            .find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }

    /// As the handshake names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::MessagePack => "messagepack",
        }
    }

    /// What its messages are made of.
    #[must_use]
    pub const fn transfer_format(self) -> TransferFormat {
        match self {
            Self::Json => TransferFormat::Text,
            Self::MessagePack => TransferFormat::Binary,
        }
    }

    /// A value in this protocol's bytes; an error says why it cannot be written.
    /// Structs become maps, their members named as declared.
    pub fn payload<T: Serialize + ?Sized>(self, value: &T) -> Result<Payload, String> {
        match self {
            Self::Json => serde_json::value::to_raw_value(value)
                .map(Payload::Json)
                .map_err(|error| error.to_string()),
            Self::MessagePack => rmp_serde::to_vec_named(value)
                .map(|bytes| Payload::MessagePack(Bytes::from(bytes)))
                .map_err(|error| error.to_string()),
        }
    }
}

impl HubMessage {
    /// Whether connections that may reconnect count it.
    #[must_use]
    pub fn is_trackable(&self) -> bool {
        match self {
            Self::Invocation { .. }
            | Self::StreamItem { .. }
            | Self::Completion { .. }
            | Self::StreamInvocation { .. }
            | Self::CancelInvocation { .. } => true,
            Self::Ping | Self::Close { .. } | Self::Ack { .. } | Self::Sequence { .. } => false,
        }
    }
}

impl Payload {
    /// Null.
    #[must_use]
    pub fn null(protocol: ProtocolKind) -> Self {
        match protocol {
            ProtocolKind::Json => Self::Json(RawValue::NULL.to_owned()),
            ProtocolKind::MessagePack => Self::MessagePack(Bytes::from_static(&[0xC0])),
        }
    }

    /// JSON text that is known to be well formed, without a copy of its parts.
    ///
    /// # Errors
    /// When the text is not one JSON value.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        RawValue::from_string(text.to_owned()).map(Self::Json)
    }

    /// The value as the type that is asked for; an error says why it does not convert.
    pub fn bind<T: DeserializeOwned>(&self) -> Result<T, String> {
        match self {
            Self::Json(text) => serde_json::from_str(text.get()).map_err(|e| e.to_string()),
            Self::MessagePack(bytes) => rmp_serde::from_slice(bytes).map_err(|e| e.to_string()),
        }
    }
}

/// Takes messages off the front of a byte stream.
#[derive(Debug)]
pub struct MessageReader {
    protocol: ProtocolKind,
    bytes_max: usize,
    buffer: BytesMut,
    /// How much of the buffer is known to hold no end of a message.
    scanned: usize,
}

impl MessageReader {
    /// A reader that starts with `left_over`, what followed the handshake. A message
    /// may have `bytes_max` bytes, counted with its terminator.
    #[must_use]
    pub fn new(protocol: ProtocolKind, bytes_max: usize, left_over: BytesMut) -> Self {
        Self { protocol, bytes_max, buffer: left_over, scanned: 0 }
    }

    /// Adds what arrived.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Forgets what arrived and was not read: a new stream begins.
    pub fn reset(&mut self) {
        self.buffer = BytesMut::new();
        self.scanned = 0;
    }

    /// Bytes that wait to be read.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole message; none when more bytes are needed. Messages of a type
    /// that is not known are passed over, as future extensions.
    pub fn next_message(&mut self) -> Result<Option<HubMessage>, ProtocolError> {
        loop {
            let Some(bytes) = self.next_frame()? else {
                return Ok(None);
            };
            let decoded = match self.protocol {
                ProtocolKind::Json => json::decode(&bytes)?,
                ProtocolKind::MessagePack => messagepack::decode(&bytes)?,
            };
            if decoded.is_some() {
                return Ok(decoded);
            }
        }
    }

    /// Whether the stream may end here; not inside a message.
    pub fn finish(&self) -> Result<(), ProtocolError> {
        if self.buffer.is_empty() { Ok(()) } else { Err(ProtocolError::Incomplete) }
    }

    fn next_frame(&mut self) -> Result<Option<Bytes>, ProtocolError> {
        let found = match self.protocol {
            ProtocolKind::Json => take_record(&mut self.buffer, &mut self.scanned, self.bytes_max)?,
            ProtocolKind::MessagePack => {
                messagepack::take_message(&mut self.buffer, self.bytes_max)?
            }
        };
        if self.buffer.is_empty() {
            // A connection that waits for its client keeps no buffer.
            self.buffer = BytesMut::new();
        }
        Ok(found)
    }
}

/// Ends every record of the JSON protocol and of the handshake.
const RECORD_SEPARATOR: u8 = 0x1E;

/// The next record without its separator, if it has arrived whole.
fn take_record(
    buffer: &mut BytesMut,
    scanned: &mut usize,
    bytes_max: usize,
) -> Result<Option<Bytes>, ProtocolError> {
    let end = memchr::memchr(RECORD_SEPARATOR, &buffer[*scanned..]).map(|at| at + *scanned);
    let record_bytes = end.map_or(buffer.len() + 1, |end| end + 1);
    if record_bytes > bytes_max {
        return Err(ProtocolError::TooLarge { bytes_max });
    }
    let Some(end) = end else {
        *scanned = buffer.len();
        return Ok(None);
    };
    *scanned = 0;
    let mut record = buffer.split_to(end + 1);
    record.truncate(end);
    Ok(Some(record.freeze()))
}

/// Writes a whole message, as its protocol delimits it.
pub fn encode(protocol: ProtocolKind, message: &HubMessage, output: &mut BytesMut) {
    match protocol {
        ProtocolKind::Json => {
            json::encode(message, output);
            output.put_u8(RECORD_SEPARATOR);
        }
        ProtocolKind::MessagePack => messagepack::encode(message, output),
    }
}
