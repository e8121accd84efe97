//! The client's WebSocket frames, from bytes that arrive in any pieces (RFC 6455).
//!
//! No I/O and no answer: bytes in, [`FrameEvent`]s out. A data frame's payload is
//! handed on as it arrives and never gathered: who gathers messages bounds them. What
//! is kept is the chunk in hand, a frame's
//! header and a control frame; between frames, with nothing in hand, no heap memory.

use std::{fmt, mem};

use bytes::{Buf as _, Bytes, BytesMut};

/// What the bytes of a message are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::signalr) enum MessageKind {
    /// UTF-8, checked across pieces; one piece may end inside a character.
    Text,
    /// Any bytes.
    Binary,
}

/// Something that the client's frames say.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::signalr) enum FrameEvent {
    /// A piece of a message, as it arrived; empty only if it ends the message. It shares
    /// the memory of the chunk that it came in: who keeps it keeps the chunk.
    Data { kind: MessageKind, bytes: Bytes, ends_message: bool },
    /// The bytes go back in a Pong.
    Ping(Bytes),
    /// The answer to a Ping, or a sign of life without one.
    Pong(Bytes),
    /// The last event: code and reason, if the frame had them.
    Close(Option<(u16, String)>),
}

/// What the client did against RFC 6455; the code of the Close frame that answers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::signalr) enum Violation {
    /// 1002
    Protocol,
    /// 1007
    InvalidUtf8,
    /// 1009: a frame that declares more than the bound.
    TooBig,
}

/// The longest payload of a control frame (RFC 6455, 5.5).
const CONTROL_PAYLOAD_BYTES_MAX: u64 = 125;

/// A client's header at its longest: 2 bytes, 8 of length, 4 of mask.
const HEADER_BYTES_MAX: usize = 14;

/// Reads one connection's frames, strictly.
#[derive(Default)]
pub(in crate::signalr) struct FrameDecoder {
    /// What has arrived and is not decoded.
    chunk: BytesMut,
    state: State,
    /// The message whose last fragment has not begun.
    open: Option<MessageKind>,
    /// How far the current text message is UTF-8.
    utf8: Utf8Check,
    frame_bytes_max: u64,
}

impl fmt::Debug for FrameDecoder {
    /// Without the client's bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameDecoder")
            .field("in_hand", &self.chunk.len())
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

enum State {
    Header(Header),
    Data { kind: MessageKind, is_final: bool, remaining: u64, mask: Mask },
    Control { kind: ControlKind, payload: BytesMut, remaining: u64, mask: Mask },
    Closed,
    Failed(Violation),
}

impl Default for State {
    fn default() -> Self {
        Self::Header(Header::default())
    }
}

impl FrameDecoder {
    /// At the start of a connection, after the upgrade. A frame that declares more
    /// bytes of payload than the bound is refused as soon as its header has arrived.
    pub(in crate::signalr) fn new(frame_bytes_max: u64) -> Self {
        Self { frame_bytes_max, ..Self::default() }
    }

    /// Takes the next bytes of the connection; [`next`](Self::next) decodes them.
    ///
    /// A chunk that nobody shares is unmasked in place, else it is copied.
    pub(in crate::signalr) fn feed(&mut self, chunk: Bytes) {
        if matches!(self.state, State::Closed | State::Failed(_)) {
            return;
        }
        let chunk = BytesMut::from(chunk);
        if self.chunk.is_empty() {
            self.chunk = chunk;
        } else {
            self.chunk.unsplit(chunk);
        }
    }

    /// The next event; none if that needs more bytes.
    ///
    /// # Errors
    ///
    /// The client's first violation, as soon as its bytes have arrived, and from then on
    /// whenever it is called. After a Close it gives none, whatever follows.
    pub(in crate::signalr) fn next(&mut self) -> Result<Option<FrameEvent>, Violation> {
        let outcome = self.decode();
        match &outcome {
            Ok(Some(FrameEvent::Close(_))) => self.end(State::Closed),
            Err(violation) => self.end(State::Failed(*violation)),
            Ok(_) if self.chunk.is_empty() => self.chunk = BytesMut::new(),
            Ok(_) => {}
        }
        outcome
    }

    fn end(&mut self, state: State) {
        *self = Self { state, ..Self::default() };
    }

    fn decode(&mut self) -> Result<Option<FrameEvent>, Violation> {
        loop {
            match &mut self.state {
                State::Header(header) => {
                    if self.chunk.is_empty() {
                        return Ok(None);
                    }
                    header.fill(&mut self.chunk);
                    if let Some(state) = header.parse(&mut self.open, self.frame_bytes_max)? {
                        self.state = state;
                    }
                }
                State::Data { kind, is_final, remaining, mask } => {
                    if *remaining > 0 && self.chunk.is_empty() {
                        return Ok(None);
                    }
                    let mut piece = take(&mut self.chunk, remaining);
                    mask.remove(&mut piece);
                    let (kind, is_frame_end) = (*kind, *remaining == 0);
                    let ends_message = *is_final && is_frame_end;
                    if kind == MessageKind::Text {
                        self.utf8.check(&piece)?;
                        if ends_message {
                            self.utf8.finish()?;
                        }
                    }
                    if is_frame_end {
                        self.state = State::default();
                    }
                    if ends_message || !piece.is_empty() {
                        let bytes = piece.freeze();
                        return Ok(Some(FrameEvent::Data { kind, bytes, ends_message }));
                    }
                }
                State::Control { kind, payload, remaining, mask } => {
                    // Copied: a slow control frame must not keep its chunks alive.
                    payload.extend_from_slice(&take(&mut self.chunk, remaining));
                    if *remaining > 0 {
                        return Ok(None);
                    }
                    mask.remove(payload);
                    let event = kind.event(mem::take(payload).freeze())?;
                    self.state = State::default();
                    return Ok(Some(event));
                }
                State::Closed => return Ok(None),
                State::Failed(violation) => return Err(*violation),
            }
        }
    }
}

/// The bytes of the frame that are in hand.
fn take(chunk: &mut BytesMut, remaining: &mut u64) -> BytesMut {
    let in_hand = chunk.len();
    let count = usize::try_from(*remaining).map_or(in_hand, |remaining| remaining.min(in_hand));
    *remaining -= count as u64;
    match count {
        // A split, even of nothing, would make the chunk shared.
        0 => BytesMut::new(),
        count if count == in_hand => mem::take(chunk),
        count => chunk.split_to(count),
    }
}

/// A frame's header, as far as it has arrived.
#[derive(Default)]
struct Header {
    bytes: [u8; HEADER_BYTES_MAX],
    filled: usize,
}

impl Header {
    /// Takes the header's bytes, as far as it is known how many they are.
    fn fill(&mut self, chunk: &mut BytesMut) {
        let count = chunk.len().min(self.known_length() - self.filled);
        chunk.copy_to_slice(&mut self.bytes[self.filled..self.filled + count]);
        self.filled += count;
    }

    /// The first two bytes say how long the header is.
    fn known_length(&self) -> usize {
        const FIXED: usize = 2;
        const MASK: usize = 4;
        match (self.filled, self.bytes[1] & 0x7F) {
            (0 | 1, _) => FIXED,
            (_, 126) => FIXED + 2 + MASK,
            (_, 127) => FIXED + 8 + MASK,
            _ => FIXED + MASK,
        }
    }

    /// Checks what has arrived. Once that is all, the state in which the frame's payload
    /// is read, with `open` as it is after the frame.
    fn parse(
        &self,
        open: &mut Option<MessageKind>,
        frame_bytes_max: u64,
    ) -> Result<Option<State>, Violation> {
        let bytes = &self.bytes[..self.filled];
        let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
        // No extension is negotiated that would give the reserved bits a meaning.
        if first & 0x70 != 0 {
            return Err(Violation::Protocol);
        }
        let is_final = first & 0x80 != 0;
        let content = Content::of(first & 0x0F, *open)?;
        let is_control = matches!(content, Content::Control(_));
        if is_control && !is_final {
            return Err(Violation::Protocol);
        }

        let Some((second, rest)) = rest.split_first() else { return Ok(None) };
        let is_masked = second & 0x80 != 0;
        let short_length = second & 0x7F;
        let is_too_long = is_control && u64::from(short_length) > CONTROL_PAYLOAD_BYTES_MAX;
        if !is_masked || is_too_long {
            return Err(Violation::Protocol);
        }

        // A length takes the fewest bytes that hold it (RFC 6455, 5.2).
        let (remaining, least, most, rest) = match short_length {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u16::from_be_bytes(*length).into(), 126, u64::MAX, rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from_be_bytes(*length), 1 << 16, u64::MAX >> 1, rest),
                None => return Ok(None),
            },
            short => (short.into(), 0, u64::MAX, rest),
        };
        if !(least..=most).contains(&remaining) {
            return Err(Violation::Protocol);
        }
        if remaining > frame_bytes_max {
            return Err(Violation::TooBig);
        }

        let Ok(key) = rest.try_into() else { return Ok(None) };
        let mask = Mask(key);
        Ok(Some(match content {
            Content::Data(kind) => {
                *open = (!is_final).then_some(kind);
                State::Data { kind, is_final, remaining, mask }
            }
            Content::Control(kind) => {
                State::Control { kind, payload: BytesMut::new(), remaining, mask }
            }
        }))
    }
}

/// What a frame carries.
enum Content {
    Data(MessageKind),
    Control(ControlKind),
}

impl Content {
    /// By its opcode, after frames that left this message open.
    fn of(opcode: u8, open: Option<MessageKind>) -> Result<Self, Violation> {
        match (opcode, open) {
            (0x0, Some(kind)) => Ok(Self::Data(kind)),
            (0x1, None) => Ok(Self::Data(MessageKind::Text)),
            (0x2, None) => Ok(Self::Data(MessageKind::Binary)),
            (0x8, _) => Ok(Self::Control(ControlKind::Close)),
            (0x9, _) => Ok(Self::Control(ControlKind::Ping)),
            (0xA, _) => Ok(Self::Control(ControlKind::Pong)),
            _ => Err(Violation::Protocol),
        }
    }
}

#[derive(Clone, Copy)]
enum ControlKind {
    Close,
    Ping,
    Pong,
}

impl ControlKind {
    fn event(self, payload: Bytes) -> Result<FrameEvent, Violation> {
        match self {
            Self::Ping => Ok(FrameEvent::Ping(payload)),
            Self::Pong => Ok(FrameEvent::Pong(payload)),
            Self::Close => close_status(&payload).map(FrameEvent::Close),
        }
    }
}

/// The payload of a Close frame (RFC 6455, 5.5.1).
fn close_status(payload: &[u8]) -> Result<Option<(u16, String)>, Violation> {
    if payload.is_empty() {
        return Ok(None);
    }
    let (code, reason) = payload.split_first_chunk().ok_or(Violation::Protocol)?;
    let code = u16::from_be_bytes(*code);
    if !is_close_code(code) {
        return Err(Violation::Protocol);
    }
    let reason = str::from_utf8(reason).map_err(|_| Violation::InvalidUtf8)?;
    Ok(Some((code, reason.to_owned())))
}

/// Whether a Close frame may carry the code: those of RFC 6455, 7.4, and of IANA's
/// registry after it, but for those that only report how a connection ended.
fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// A frame's masking key, turned to the next byte of its payload.
struct Mask([u8; 4]);

impl Mask {
    fn remove(&mut self, bytes: &mut [u8]) {
        let [a, b, c, d] = self.0;
        let key = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let (words, rest) = bytes.as_chunks_mut();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ key).to_ne_bytes();
        }
        for (byte, key) in rest.iter_mut().zip(key.to_ne_bytes()) {
            *byte ^= key;
        }
        self.0.rotate_left(bytes.len() % 4);
    }
}

/// The longest character in UTF-8.
const CHARACTER_BYTES_MAX: usize = 4;

/// Checks text that comes in pieces. It keeps the bytes of a character that a piece's
/// end cut; the piece itself is handed on as it is.
#[derive(Default)]
struct Utf8Check {
    cut: [u8; CHARACTER_BYTES_MAX],
    cut_length: usize,
}

impl Utf8Check {
    /// Refuses the first byte with which no text goes on.
    fn check(&mut self, mut piece: &[u8]) -> Result<(), Violation> {
        while self.cut_length > 0
            && let Some((byte, rest)) = piece.split_first()
        {
            // A whole character clears the cut and an impossible one ends the message,
            // so there is room.
            self.cut[self.cut_length] = *byte;
            self.cut_length += 1;
            piece = rest;
            if unfinished(&self.cut[..self.cut_length])?.is_empty() {
                self.cut_length = 0;
            }
        }
        if !piece.is_empty() {
            let cut = unfinished(piece)?;
            self.cut[..cut.len()].copy_from_slice(cut);
            self.cut_length = cut.len();
        }
        Ok(())
    }

    /// Refuses a text that ends inside a character.
    fn finish(&self) -> Result<(), Violation> {
        if self.cut_length > 0 { Err(Violation::InvalidUtf8) } else { Ok(()) }
    }
}

/// The bytes after the last whole character, which may be the beginning of another.
fn unfinished(bytes: &[u8]) -> Result<&[u8], Violation> {
    match str::from_utf8(bytes) {
        Ok(_) => Ok(&[]),
        Err(error) if error.error_len().is_none() => Ok(&bytes[error.valid_up_to()..]),
        Err(_) => Err(Violation::InvalidUtf8),
    }
}

#[cfg(test)]
#[path = "frame_decoder_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "frame_decoder_other.rs"]
mod other_decoder;
