//! Our WebSocket frames, as they are written. The client's are `frame_decoder`'s.

use actix_http::ws::{CloseCode, OpCode, Parser};
use bytes::{Bytes, BytesMut};

use super::frame_decoder::MessageKind;
use crate::signalr::protocol::TransferFormat;

/// A frame's header at its longest: 2 bytes, and 8 of length; ours have no mask.
const FRAME_HEADER_BYTES_MAX: usize = 10;

/// One unit as a message of the format's kind.
pub(in crate::signalr) fn message_frame(format: TransferFormat, unit: &[u8]) -> Bytes {
    let kind = match format {
        TransferFormat::Text => MessageKind::Text,
        TransferFormat::Binary => MessageKind::Binary,
    };
    data_frame(kind, unit)
}

/// A whole message.
pub(super) fn data_frame(kind: MessageKind, payload: &[u8]) -> Bytes {
    write(
        payload,
        match kind {
            MessageKind::Text => OpCode::Text,
            MessageKind::Binary => OpCode::Binary,
        },
    )
}

/// The answer to a WebSocket ping.
pub(in crate::signalr) fn pong_frame(payload: &[u8]) -> Bytes {
    write(payload, OpCode::Pong)
}

fn write(payload: &[u8], opcode: OpCode) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + FRAME_HEADER_BYTES_MAX);
    Parser::write_message(&mut frame, payload, opcode, true, false);
    frame.freeze()
}

/// What our Close frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::signalr) enum CloseStatus {
    /// 1000: also the answer to a close without a code, since clients report a close
    /// without one as an error.
    Normal,
    /// 1002: the client broke RFC 6455.
    Protocol,
    /// 1007: a text message is no UTF-8.
    InvalidUtf8,
    /// 1009: a message is too long.
    TooBig,
    /// 1011: whoever handles the connection failed.
    InternalError,
}

/// The last frame, with an empty reason.
pub(in crate::signalr) fn close_frame(status: CloseStatus) -> Bytes {
    let code = match status {
        CloseStatus::Normal => CloseCode::Normal,
        CloseStatus::Protocol => CloseCode::Protocol,
        CloseStatus::InvalidUtf8 => CloseCode::Invalid,
        CloseStatus::TooBig => CloseCode::Size,
        CloseStatus::InternalError => CloseCode::Error,
    };
    let mut frame = BytesMut::with_capacity(FRAME_HEADER_BYTES_MAX);
    Parser::write_close(&mut frame, Some(code.into()), false);
    frame.freeze()
}
