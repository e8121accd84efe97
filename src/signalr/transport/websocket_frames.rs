//! WebSocket frames: ours as they are written, the client's as they are read, bounded
//! before they are buffered. actix-http's codec does both; the request's payload
//! becomes a stream of [`Inbound`] for the session.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use actix_http::ws::{CloseCode, Codec, Frame, Item, OpCode, Parser, ProtocolError};
use actix_web::web;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use tokio_util::codec::Decoder as _;

use super::inbound::{Inbound, Violation};
use crate::signalr::protocol::ProtocolKind;

/// The bytes of one hub message as a frame of its protocol's kind.
pub(super) fn message_frame(protocol: ProtocolKind, message: &[u8]) -> Bytes {
    let opcode = match protocol {
        ProtocolKind::Json => OpCode::Text,
    };
    let mut frame = BytesMut::with_capacity(message.len() + FRAME_HEADER_BYTES_MAX);
    Parser::write_message(&mut frame, message, opcode, true, false);
    frame.freeze()
}

/// The answer to a WebSocket ping.
pub(in crate::signalr) fn pong_frame(payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + FRAME_HEADER_BYTES_MAX);
    Parser::write_message(&mut frame, payload, OpCode::Pong, true, false);
    frame.freeze()
}

/// The last frame: 1000 unless the client broke a rule. Always with a code, since
/// clients report a close without one as an error.
pub(in crate::signalr) fn close_frame(violation: Option<Violation>) -> Bytes {
    let code = match violation {
        None => CloseCode::Normal,
        Some(Violation::Protocol) => CloseCode::Protocol,
        Some(Violation::TooBig) => CloseCode::Size,
    };
    let mut frame = BytesMut::with_capacity(FRAME_HEADER_BYTES_MAX);
    Parser::write_close(&mut frame, Some(code.into()), false);
    frame.freeze()
}

/// Lets a session stop the flow of input while it cannot take more.
#[derive(Debug, Default)]
pub(in crate::signalr) struct InboundGate {
    is_shut: Cell<bool>,
    reader: RefCell<Option<Waker>>,
}

impl InboundGate {
    /// Nothing more is read from the socket until [`open`](Self::open).
    pub(in crate::signalr) fn shut(&self) {
        self.is_shut.set(true);
    }

    /// Input flows again.
    pub(in crate::signalr) fn open(&self) {
        self.is_shut.set(false);
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }
}

/// The client's frames, bounded before they are buffered.
pub(in crate::signalr) struct InboundFrames {
    payload: web::Payload,
    codec: Codec,
    buffer: BytesMut,
    frame_bytes_max: usize,
    gate: Rc<InboundGate>,
    is_done: bool,
}

/// A frame's header at its longest: 2 bytes, 8 of length, 4 of mask.
const FRAME_HEADER_BYTES_MAX: usize = 14;

impl fmt::Debug for InboundFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InboundFrames").field("buffered", &self.buffer.len()).finish()
    }
}

impl InboundFrames {
    pub(in crate::signalr) fn new(
        payload: web::Payload,
        frame_bytes_max: usize,
        gate: Rc<InboundGate>,
    ) -> Self {
        Self {
            payload,
            codec: Codec::new().max_size(frame_bytes_max),
            buffer: BytesMut::new(),
            frame_bytes_max,
            gate,
            is_done: false,
        }
    }

    fn decode(&mut self) -> Result<Option<Inbound>, Violation> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        // The codec compares a frame's length with its bound only once the frame has
        // arrived whole, so the length that the header declares is looked at first.
        if declared_length(&self.buffer).is_some_and(|length| length > self.frame_bytes_max as u64)
        {
            return Err(Violation::TooBig);
        }
        let frame = self.codec.decode(&mut self.buffer).map_err(|error| match error {
            ProtocolError::Overflow => Violation::TooBig,
            _ => Violation::Protocol,
        })?;
        if self.buffer.is_empty() {
            // An idle connection keeps no buffer.
            self.buffer = BytesMut::new();
        }
        Ok(frame.map(|frame| match frame {
            // The stream of hub messages has no borders at frames, and the reference
            // server takes either kind.
            Frame::Text(bytes) | Frame::Binary(bytes) => Inbound::Bytes(bytes),
            Frame::Continuation(
                Item::FirstText(bytes)
                | Item::FirstBinary(bytes)
                | Item::Continue(bytes)
                | Item::Last(bytes),
            ) => Inbound::Bytes(bytes),
            Frame::Ping(bytes) => Inbound::Ping(bytes),
            Frame::Pong(_) => Inbound::Bytes(Bytes::new()),
            Frame::Close(_) => Inbound::Close,
        }))
    }
}

/// The payload length that a frame's header declares, as soon as it has arrived.
fn declared_length(buffer: &[u8]) -> Option<u64> {
    match buffer.get(1)? & 0x7F {
        126 => {
            let bytes = buffer.get(2..4)?.try_into().ok()?;
            Some(u64::from(u16::from_be_bytes(bytes)))
        }
        127 => Some(u64::from_be_bytes(buffer.get(2..10)?.try_into().ok()?)),
        short => Some(u64::from(short)),
    }
}

impl Stream for InboundFrames {
    type Item = Inbound;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Inbound>> {
        let this = self.get_mut();
        loop {
            if this.is_done {
                return Poll::Ready(None);
            }
            if this.gate.is_shut.get() {
                *this.gate.reader.borrow_mut() = Some(context.waker().clone());
                return Poll::Pending;
            }
            match this.decode() {
                Ok(Some(inbound)) => return Poll::Ready(Some(inbound)),
                Ok(None) => {}
                Err(violation) => {
                    this.is_done = true;
                    return Poll::Ready(Some(Inbound::Violation(violation)));
                }
            }
            match Pin::new(&mut this.payload).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(chunk))) => this.buffer.extend_from_slice(&chunk),
                // The end and a failure are the same: the client is gone.
                Poll::Ready(Some(Err(_)) | None) => this.is_done = true,
            }
        }
    }
}
